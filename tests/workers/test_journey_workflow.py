"""The workflow on Temporal's time-skipping server, its steps answered by a script."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import groupby

import pytest
from msgspec.structs import replace
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from engine.enrollment.model import Nudge
from engine.errors import StoreUnavailable
from engine.plan.digest import digest
from engine.plan.effects import (
    Arrived,
    Chosen,
    Done,
    Held,
    Left,
    Moved,
    Over,
    Perform,
    Reconsider,
    Result,
    Resumed,
    Sent,
    Started,
    WaitUntil,
)
from engine.plan.interpreter import begin
from engine.plan.model import Awaited, Branch, Elapsed, Otherwise, Repeat, Send, Set, Wait, WaitFor
from tests.waiting import PATIENCE, until
from tests.workers.road import NOON, Road, Script, Workers, make_plan
from workers.connection import quiet_runtime
from workers.contracts.payloads import Standing, StimulusPayload
from workers.contracts.plans import PLANS
from workers.worker import WORKFLOW_RUNNER
from workers.workflows.journey import JourneyWorkflow

pytestmark = pytest.mark.temporal

Build = Callable[..., Road]
HOUR = timedelta(hours=1)


def wait(step_id: str, *, next: str | None, hours: int = 1) -> Wait:
    return Wait(step_id=step_id, for_=Elapsed(seconds=hours * 3600), next=next)


def send(step_id: str, *, next: str | None = None, channel: str = "email", topic: str = "news") -> Send:
    return Send(
        step_id=step_id,
        channels=(channel,),
        template="hello",
        topic=topic,
        next=next,
        otherwise={"capped": Otherwise(action="exit")},
    )


def elapsed(hours: int = 1) -> Callable[[Perform, datetime], Result]:
    """What the real performer answers for an elapsed wait."""

    def answer(effect: Perform, _now: datetime) -> Result:
        if effect.is_due:
            return Done()
        return WaitUntil(until=effect.reached_at + hours * HOUR, why="timer")

    return answer


def test_waits_stay_on_the_grid_and_do_not_drift_by_latencies(road: Build, skipping: WorkflowEnvironment) -> None:
    steps = [wait("w1", next="s1"), send("s1", next="w2"), wait("w2", next="s2", hours=48), send("s2")]
    script = Script({"w1": elapsed(), "s1": Sent(outcome="sent"), "w2": elapsed(48), "s2": Sent(outcome="sent")})
    person = road(make_plan(*steps), script)
    person.enter()
    assert person.settle() == Standing(mode="waiting", step_id="w1", visit=1, wake_at=NOON + HOUR, is_idle=True)
    person.go_to(skipping, NOON + timedelta(minutes=59))
    assert [step for step, _ in script.calls] == ["w1"]
    person.go_to(skipping, NOON + timedelta(days=4))
    assert script.calls == [
        ("w1", NOON),
        ("w1", NOON + HOUR),
        ("s1", NOON + HOUR),
        ("w2", NOON + HOUR),
        ("w2", NOON + 49 * HOUR),
        ("s2", NOON + 49 * HOUR),
    ]
    assert script.finished == [("completed", NOON + 49 * HOUR)]
    person.end()


def test_activities_and_timers_carry_the_author_s_words(road: Build, skipping: WorkflowEnvironment) -> None:
    script = Script({"w1": elapsed(), "s1": [WaitUntil(until=NOON + 5 * HOUR, why="quiet"), Sent(outcome="sent")]})
    person = road(make_plan(wait("w1", next="s1"), send("s1")), script)
    person.enter()
    person.go_to(skipping, NOON + 6 * HOUR)
    person.end()
    assert person.summaries("TIMER_STARTED") == ["wait 1h · w1", "send email · s1 (quiet)"]
    assert person.summaries("ACTIVITY_TASK_SCHEDULED") == ["send email · s1", "send email · s1"]


def test_sends_go_to_the_queue_of_their_channel_and_transactional_ones_first(
    workers: Workers, dev_client: Client
) -> None:
    steps = [send("s1", next="s2"), send("s2", channel="sms", topic="orders")]
    script = Script({"s1": Sent(outcome="sent"), "s2": Sent(outcome="sent")})
    person = workers.road(dev_client, make_plan(*steps), script)
    person.enter()
    person.end()
    scheduled = [
        each.activity_task_scheduled_event_attributes
        for each in person.history()
        if each.HasField("activity_task_scheduled_event_attributes")
    ]
    assert [each.task_queue.name for each in scheduled] == ["sojourn-send-email", "sojourn-send-sms"]
    assert [each.priority.priority_key for each in scheduled] == [4, 1]
    assert {each.priority.fairness_key for each in scheduled} == {"cart"}


def test_an_awaited_event_leads_on_at_the_moment_it_was_committed(road: Build, skipping: WorkflowEnvironment) -> None:
    awaiting = WaitFor(step_id="reply", alternatives=(Awaited(event="Replied", then="thank"),), next="s2")
    script = Script(
        {"reply": WaitUntil(until=None, why="event"), "thank": Sent(outcome="sent"), "s2": Sent(outcome="sent")}
    )
    person = road(make_plan(awaiting, send("thank"), send("s2")), script)
    person.enter()
    person.go_to(skipping, NOON + 3 * HOUR)
    person.nudge(Arrived(step_id="reply", visit=1, goto="thank"), at=NOON + 3 * HOUR)
    person.end()
    assert script.calls == [("reply", NOON), ("thank", NOON + 3 * HOUR)]


def test_an_input_that_comes_late_counts_from_now_and_not_from_its_cause(
    road: Build, skipping: WorkflowEnvironment
) -> None:
    awaiting = WaitFor(step_id="reply", alternatives=(Awaited(event="Replied"),), next="s")
    script = Script({"reply": WaitUntil(until=None, why="event"), "s": Sent(outcome="sent")})
    person = road(make_plan(awaiting, send("s")), script)
    person.enter()
    person.go_to(skipping, NOON + 3 * HOUR)
    person.nudge(Arrived(step_id="reply", visit=1, goto=None), at=NOON + HOUR)
    person.end()
    _, sent_at = script.calls[-1]
    assert NOON + 3 * HOUR <= sent_at < NOON + 3 * HOUR + timedelta(seconds=1)


def test_repeated_deliveries_change_nothing(road: Build) -> None:
    awaiting = WaitFor(step_id="reply", alternatives=(Awaited(event="Replied"),), next="again")
    again = WaitFor(step_id="again", alternatives=(Awaited(event="Replied"),), next=None)
    script = Script({"reply": WaitUntil(until=None, why="event"), "again": WaitUntil(until=None, why="event")})
    person = road(make_plan(awaiting, again), script)
    for _ in range(3):
        person.enter()
    person.settle()
    for _ in range(3):
        person.nudge(Arrived(step_id="reply", visit=1, goto=None), at=NOON)
    assert person.settle().step_id == "again"
    person.nudge(Left(reason="exit"), at=NOON)
    person.end()
    person.nudge(Left(reason="exit"), at=NOON)
    person.enter()
    assert [step for step, _ in script.calls] == ["reply", "again"]


def test_a_paused_journey_holds_the_person_and_a_resume_takes_the_step_then(
    road: Build, skipping: WorkflowEnvironment
) -> None:
    script = Script({"s": [Held(), Sent(outcome="sent")]})
    person = road(make_plan(send("s")), script)
    person.enter()
    assert person.settle().mode == "held"
    person.go_to(skipping, NOON + 24 * HOUR)
    person.nudge(Resumed(), at=NOON + 24 * HOUR)
    person.end()
    assert [each.reached_at for each in script.performed] == [NOON, NOON + 24 * HOUR]


def test_an_exit_ends_a_wait_without_a_further_step(road: Build) -> None:
    script = Script({"w": elapsed(), "s": Sent(outcome="sent")})
    person = road(make_plan(wait("w", next="s"), send("s")), script)
    person.enter()
    person.settle()
    person.nudge(Left(reason="ordered"), at=NOON)
    person.end()
    assert script.calls == [("w", NOON)]
    # The store said so before the workflow heard of it: there is nothing to record.
    assert script.finished == []


def test_an_exit_during_a_step_lets_the_step_end_and_takes_no_other(road: Build) -> None:
    began, may_end = threading.Event(), threading.Event()

    def slow(_effect: Perform, _now: datetime) -> Result:
        began.set()
        may_end.wait(PATIENCE)
        return Sent(outcome="sent")

    script = Script({"s1": slow, "s2": Sent(outcome="sent")})
    person = road(make_plan(send("s1", next="s2"), send("s2")), script)
    person.enter()
    assert began.wait(PATIENCE)
    person.nudge(Left(reason="ordered"), at=NOON)
    until(lambda: person.standing().mode == "over", person.standing)
    assert not person.standing().is_idle
    may_end.set()
    person.end()
    assert [step for step, _ in script.calls] == ["s1"]


def test_an_exit_goes_before_inputs_that_came_earlier(road: Build) -> None:
    awaiting = WaitFor(step_id="reply", alternatives=(Awaited(event="Replied"),), next="s")
    script = Script({"s": Sent(outcome="sent")})
    person = road(make_plan(awaiting, send("s")), script)
    state = begin(enrollment_id=person.enrollment.enrollment_id, entered_at=NOON)
    person.enter_as(
        state=replace(state, mode="waiting", step_id="reply", visit=1),
        queue=(
            StimulusPayload(input=Arrived(step_id="reply", visit=1, goto=None), created_at=NOON),
            StimulusPayload(input=Left(reason="ordered"), created_at=NOON),
        ),
    )
    person.end()
    assert script.calls == []


def test_a_step_that_finds_the_enrollment_over_ends_it_without_recording_again(road: Build) -> None:
    script = Script({"s": Over(reason="goal")})
    person = road(make_plan(send("s")), script)
    person.enter()
    person.end()
    assert script.finished == []


def test_an_unsent_outcome_ends_the_journey_where_the_author_says_so(road: Build) -> None:
    script = Script({"s": Sent(outcome="capped")})
    person = road(make_plan(send("s")), script)
    person.enter()
    person.end()
    assert script.finished == [("capped", NOON)]


def test_a_changed_zone_has_the_moment_computed_again(road: Build, skipping: WorkflowEnvironment) -> None:
    script = Script({"w": [WaitUntil(until=NOON + 9 * HOUR, why="timer"), elapsed(2), elapsed(2)]})
    person = road(make_plan(wait("w", next=None)), script)
    person.enter()
    assert person.settle().wake_at == NOON + 9 * HOUR
    person.nudge(Reconsider(), at=NOON)
    assert person.settle().wake_at == NOON + 2 * HOUR
    person.go_to(skipping, NOON + 3 * HOUR)
    person.end()
    assert script.finished == [("completed", NOON + 2 * HOUR)]


def test_signals_that_come_before_the_start_are_kept(road: Build) -> None:
    awaiting = WaitFor(step_id="reply", alternatives=(Awaited(event="Replied"),), next="s")
    script = Script({"reply": WaitUntil(until=None, why="event"), "s": Sent(outcome="sent")})
    person = road(make_plan(awaiting, send("s")), script)
    person.enter_as(signals=[StimulusPayload(input=Arrived(step_id="reply", visit=1, goto=None), created_at=NOON)])
    person.end()
    assert [step for step, _ in script.calls] == ["reply", "s"]


def test_a_repeat_knows_its_passes(road: Build, skipping: WorkflowEnvironment) -> None:
    loop = Repeat(step_id="loop", times=2, body="s", next=None)
    script = Script({"loop": [Chosen(goto="s"), Chosen(goto="s"), Done()], "s": Sent(outcome="sent")})
    person = road(make_plan(loop, send("s", next="loop")), script)
    person.enter()
    person.end()
    assert [(each.step_id, each.visit, each.passes_begun) for each in script.performed] == [
        ("loop", 1, 0),
        ("s", 1, 0),
        ("loop", 2, 1),
        ("s", 2, 0),
        ("loop", 3, 2),
    ]


def test_a_journey_without_steps_is_completed_at_once(road: Build) -> None:
    script = Script({})
    person = road(make_plan(), script)
    person.enter()
    person.end()
    assert script.finished == [("completed", NOON)]


def test_an_unavailable_store_delays_a_step_and_loses_nobody(road: Build, skipping: WorkflowEnvironment) -> None:
    failures = 8

    def unsteady(_effect: Perform, _now: datetime) -> Result:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StoreUnavailable("the database is locked")
        return Done()

    script = Script({"set": unsteady, "s": Sent(outcome="sent")})
    person = road(make_plan(Set(step_id="set", values={}, next="s"), send("s")), script)
    person.enter()
    person.let_pass(skipping, timedelta(minutes=10))
    person.end()
    assert [step for step, _ in script.calls] == ["set"] * 9 + ["s"]


def test_an_error_reaches_the_history_without_its_text(
    workers: Workers, dev_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    failures = 1

    def leaky(_effect: Perform, _now: datetime) -> Result:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise ValueError("cannot write row (ana@example.com)")
        return Sent(outcome="sent")

    person = workers.road(dev_client, make_plan(send("s")), Script({"s": leaky}))
    person.enter()
    person.end()
    history = "".join(str(event) for event in person.history())
    assert "ValueError in step s" in history
    assert "ana@example" not in history
    assert "ValueError" in caplog.text
    assert "ana@example" not in caplog.text


def test_a_wait_may_last_longer_than_a_workflow_s_default_life(road: Build, skipping: WorkflowEnvironment) -> None:
    script = Script({"w": elapsed(400 * 24)})
    person = road(make_plan(wait("w", next=None, hours=400 * 24)), script)
    person.enter()
    person.go_to(skipping, NOON + timedelta(days=401))
    person.end()
    assert script.finished == [("completed", NOON + timedelta(days=400))]


def test_a_long_history_is_left_behind_and_the_person_stays_where_they_were(
    workers: Workers, dev_client: Client
) -> None:
    awaiting = WaitFor(step_id="reply", alternatives=(Awaited(event="Replied", then="reply"),), next=None)
    script = Script({"reply": WaitUntil(until=None, why="event")})
    person = workers.road(dev_client, make_plan(awaiting), script)
    person.enter()
    first_run = person._loop.run(person.handle.describe()).run_id

    def reply(visit: int) -> Nudge:
        return Arrived(step_id="reply", visit=visit, goto="reply")

    def go_round(visits: range) -> None:
        for visit in visits:
            assert person.settle().visit == visit
            person.nudge(reply(visit), at=NOON)

    go_round(range(1, 11))
    # Of a visit that is over: each makes the history longer, and has no effect.
    person.nudge_each([reply(1)] * 400, at=NOON)
    go_round(range(11, 21))
    assert person.settle() == Standing(mode="waiting", step_id="reply", visit=21, wake_at=None, is_idle=True)
    description = person._loop.run(person.handle.describe())
    assert description.run_id != first_run
    assert description.workflow_type == "cart"
    assert description.search_attributes["SojournJourney"] == ["cart"]
    # Each visit was performed, in order; a step whose answer was lost with a workflow task is performed again.
    assert [visit for visit, _ in groupby(effect.visit for effect in script.performed)] == list(range(1, 22))
    left_behind = person._loop.run(dev_client.get_workflow_handle(person.handle.id, run_id=first_run).fetch_history())
    assert left_behind.events[-1].HasField("workflow_execution_continued_as_new_event_attributes")
    replayer = Replayer(workflows=[JourneyWorkflow], workflow_runner=WORKFLOW_RUNNER, runtime=quiet_runtime())
    assert person._loop.run(replayer.replay_workflow(left_behind)).replay_failure is None
    person.nudge(Left(reason="exit"), at=NOON)
    person.end()


def test_who_cancels_in_temporal_stops_the_enrollment(workers: Workers, dev_client: Client) -> None:
    awaiting = WaitFor(step_id="reply", alternatives=(Awaited(event="Replied"),), next=None)
    script = Script({"reply": WaitUntil(until=None, why="event")})
    person = workers.road(dev_client, make_plan(awaiting), script)
    person.enter()
    person.settle()

    async def cancel() -> str:
        await person.handle.cancel()
        while (status := (await person.handle.describe()).status) is None or status.name == "RUNNING":
            await asyncio.sleep(0.01)
        return status.name

    assert person._loop.run(cancel(), timeout=PATIENCE) == "CANCELED"
    assert [reason for reason, _ in script.finished] == ["stopped"]


def test_a_branch_is_chosen_by_its_performer(road: Build) -> None:
    branch = Branch(step_id="vip", arms=(), otherwise=None, next="s2")
    script = Script({"vip": Chosen(goto="s1"), "s1": Sent(outcome="sent"), "s2": Sent(outcome="sent")})
    person = road(make_plan(branch, send("s1"), send("s2")), script)
    person.enter()
    person.end()
    assert [step for step, _ in script.calls] == ["vip", "s1"]


def test_a_second_started_is_harmless(road: Build) -> None:
    script = Script({"reply": WaitUntil(until=None, why="event")})
    person = road(make_plan(WaitFor(step_id="reply", alternatives=())), script)
    person.enter()
    person.settle()
    payload = StimulusPayload(input=Started(), created_at=NOON).to_json()
    person._loop.run(person.handle.signal("nudge", payload))
    assert person.settle().step_id == "reply"
    assert len(script.calls) == 1


def test_a_moved_person_goes_on_with_the_other_plan_and_the_time_already_waited_counts(
    road: Build, skipping: WorkflowEnvironment
) -> None:
    script = Script({"w": [elapsed(9), elapsed(2), elapsed(2)], "s2": Sent(outcome="sent")})
    person = road(make_plan(wait("w", next="s1", hours=9), send("s1")), script)
    onto = make_plan(wait("w", next="s2", hours=2), send("s2"))
    PLANS.put(digest(onto), onto)
    person.enter()
    person.go_to(skipping, NOON + HOUR)
    person.nudge(Moved(digest=digest(onto)), at=NOON + HOUR)
    assert person.settle().wake_at == NOON + 2 * HOUR
    person.go_to(skipping, NOON + 3 * HOUR)
    person.end()
    assert script.calls == [
        ("w", NOON), ("w", NOON + HOUR), ("w", NOON + 2 * HOUR), ("s2", NOON + 2 * HOUR)
    ]  # fmt: skip
    assert [each.digest for each in script.performed] == [None, digest(onto), None, None]


def test_a_move_outlasts_a_continue_as_new_and_takes_the_place_in_line_with_it(
    workers: Workers, dev_client: Client
) -> None:
    awaiting = WaitFor(step_id="reply", alternatives=(Awaited(event="Replied", then="reply"),), next="s")
    onto = make_plan(awaiting, send("s", topic="orders"), title="With an answer")
    PLANS.put(digest(onto), onto)
    script = Script({"reply": WaitUntil(until=None, why="event"), "s": Sent(outcome="sent")})
    person = workers.road(dev_client, make_plan(awaiting, send("s")), script)
    person.enter()
    person.settle()
    first_run = person._loop.run(person.handle.describe()).run_id
    person.nudge(Moved(digest=digest(onto)), at=NOON)
    person.settle()
    person.nudge_each([Arrived(step_id="reply", visit=0, goto="reply")] * 400, at=NOON)
    person.settle()
    assert person._loop.run(person.handle.describe()).run_id != first_run
    person.nudge(Arrived(step_id="reply", visit=1, goto="s"), at=NOON)
    person.end()
    scheduled = [
        each.activity_task_scheduled_event_attributes.priority.priority_key
        for each in person.history()
        if each.HasField("activity_task_scheduled_event_attributes")
    ]
    # By the first version it was marketing, and would stand in line with the rest.
    assert scheduled == [1]


def test_a_person_who_cannot_be_moved_goes_on_as_before(road: Build, skipping: WorkflowEnvironment) -> None:
    script = Script({"w": elapsed(), "s1": Sent(outcome="sent")})
    person = road(make_plan(wait("w", next="s1"), send("s1")), script)
    onto = make_plan(send("s1"))
    PLANS.put(digest(onto), onto)
    person.enter()
    person.nudge(Moved(digest=digest(onto)), at=NOON)
    person.go_to(skipping, NOON + 2 * HOUR)
    person.end()
    assert script.calls == [("w", NOON), ("w", NOON + HOUR), ("s1", NOON + HOUR)]
