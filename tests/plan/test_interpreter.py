"""The interpreter alone: inputs in, states and effects out, no store and no clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.plan.effects import (
    Arrived,
    Chosen,
    Done,
    Finish,
    Held,
    Input,
    Left,
    Moved,
    Over,
    Perform,
    Performed,
    Reconsider,
    Result,
    Resumed,
    Sent,
    Started,
    WaitUntil,
    Woke,
)
from engine.plan.interpreter import advance, begin
from engine.plan.model import (
    Awaited,
    Elapsed,
    EventTrigger,
    ExitStep,
    Otherwise,
    Plan,
    Repeat,
    Send,
    Step,
    Wait,
    WaitFor,
)
from engine.plan.state import State

T = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def plan_of(*steps: Step) -> Plan:
    """A plan whose first step is the first given."""
    by_id = {step.step_id: step for step in steps}
    return Plan(
        journey="j",
        title="J",
        triggers=(EventTrigger(event="E"),),
        first=steps[0].step_id if steps else None,
        steps=by_id,
    )


def wait(step_id: str, next_: str | None = None) -> Wait:
    return Wait(step_id=step_id, next=next_, for_=Elapsed(seconds=3600))


def send(step_id: str, next_: str | None = None, **otherwise: Otherwise) -> Send:
    return Send(step_id=step_id, next=next_, channels=("email",), template="t", topic="cart", otherwise=otherwise)


class Drive:
    """Drives a plan by hand."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.state: State = begin(enrollment_id="e1", entered_at=T)
        self.now = T

    def __call__(self, event: Input, at: datetime | None = None) -> tuple[Perform | Finish, ...]:
        self.now = at or self.now
        self.state, effects = advance(self.plan, self.state, event, self.now)
        return effects

    def answer(self, result: Result, at: datetime | None = None) -> tuple[Perform | Finish, ...]:
        """The result of the step under way."""
        state = self.state
        return self(Performed(step_id=str(state.step_id), visit=state.visit, attempt=state.attempt, result=result), at)


def test_a_journey_without_steps_is_completed_as_it_begins() -> None:
    drive = Drive(plan_of())
    assert drive(Started()) == (Finish(reason="completed"),)
    assert drive.state.mode == "over"


def test_steps_follow_each_other_and_the_end_is_recorded() -> None:
    drive = Drive(plan_of(wait("w", "s"), send("s")))
    assert drive(Started()) == (Perform(step_id="w", visit=1, attempt=1, reached_at=T),)
    assert drive.answer(WaitUntil(until=T + HOUR, why="timer")) == ()
    assert drive.state.wake_at == T + HOUR
    due = drive(Woke(), T + HOUR)
    assert due == (Perform(step_id="w", visit=1, attempt=2, reached_at=T, is_due=True),)
    assert drive.answer(Done()) == (Perform(step_id="s", visit=1, attempt=1, reached_at=T + HOUR),)
    assert drive.answer(Sent(outcome="sent")) == (Finish(reason="completed"),)


def test_a_timer_that_fires_before_its_moment_moves_nobody() -> None:
    drive = Drive(plan_of(wait("w")))
    drive(Started())
    drive.answer(WaitUntil(until=T + HOUR, why="timer"))
    assert drive(Woke(), T + HOUR - timedelta(microseconds=1)) == ()
    assert drive.state.mode == "waiting"


def test_an_end_from_outside_pre_empts_a_wait_and_a_step_under_way() -> None:
    for is_waiting in (True, False):
        drive = Drive(plan_of(wait("w")))
        drive(Started())
        if is_waiting:
            drive.answer(WaitUntil(until=T + HOUR, why="timer"))
        assert drive(Left(reason="exit")) == ()
        assert (drive.state.mode, drive.state.reason) == ("over", "exit")
        assert drive(Woke(), T + HOUR) == ()


@pytest.mark.parametrize(
    "stray",
    [
        Started(),
        Woke(),
        Resumed(),
        Arrived(step_id="w", visit=2, goto=None),
        Arrived(step_id="other", visit=1, goto=None),
        Performed(step_id="w", visit=1, attempt=9, result=Done()),
        Performed(step_id="w", visit=9, attempt=1, result=Done()),
    ],
)
def test_inputs_that_do_not_fit_change_nothing(stray: Input) -> None:
    drive = Drive(plan_of(wait("w")))
    drive(Started())
    drive.answer(WaitUntil(until=T + HOUR, why="timer"))
    before = drive.state
    assert drive(stray) == ()
    assert drive.state == before


def test_an_awaited_event_leads_where_its_alternative_says() -> None:
    step = WaitFor(step_id="f", next="after", alternatives=(Awaited(event="X", then="bye"),), within_seconds=3600)
    drive = Drive(plan_of(step, ExitStep(step_id="bye", reason="came"), send("after")))
    assert drive(Started()) == (Perform(step_id="f", visit=1, attempt=1, reached_at=T, since=T),)
    drive.answer(WaitUntil(until=T + HOUR, why="event"))
    effects = drive(Arrived(step_id="f", visit=1, goto="bye"), T + HOUR / 2)
    assert effects == (Perform(step_id="bye", visit=1, attempt=1, reached_at=T + HOUR / 2),)
    assert drive.answer(Over(reason="came")) == ()
    assert drive.state.reason == "came"


def test_since_counts_from_entry_or_from_when_the_named_step_last_began() -> None:
    awaiting = WaitFor(step_id="f", alternatives=(Awaited(event="X"),), since="s")
    drive = Drive(plan_of(wait("w", "s"), send("s", "f"), awaiting))
    drive(Started())
    drive.answer(Done(), T + HOUR)
    effects = drive.answer(Sent(outcome="sent"), T + 2 * HOUR)
    assert effects == (Perform(step_id="f", visit=1, attempt=1, reached_at=T + 2 * HOUR, since=T + HOUR),)
    from_start = Drive(plan_of(wait("w", "f"), replace(awaiting, since="start")))
    from_start(Started())
    effects = from_start.answer(Done(), T + HOUR)
    assert effects == (Perform(step_id="f", visit=1, attempt=1, reached_at=T + HOUR, since=T),)


@pytest.mark.parametrize(
    ("otherwise", "effect"),
    [
        (Otherwise(action="skip"), Perform(step_id="n", visit=1, attempt=1, reached_at=T)),
        (Otherwise(action="exit"), Finish(reason="no_consent")),
        (Otherwise(action="goto", goto="o"), Perform(step_id="o", visit=1, attempt=1, reached_at=T)),
        (Otherwise(action="goto"), Perform(step_id="n", visit=1, attempt=1, reached_at=T)),
    ],
)
def test_otherwise_says_what_follows_an_unsent_outcome(otherwise: Otherwise, effect: Perform | Finish) -> None:
    drive = Drive(plan_of(send("s", "n", no_consent=otherwise), send("n"), send("o", "n")))
    drive(Started())
    assert drive.answer(Sent(outcome="no_consent")) == (effect,)


def test_a_deferred_message_is_tried_again_in_the_same_visit() -> None:
    drive = Drive(plan_of(send("s")))
    drive(Started())
    drive.answer(WaitUntil(until=T + HOUR, why="quiet"))
    again = drive(Woke(), T + HOUR)
    assert again == (Perform(step_id="s", visit=1, attempt=2, reached_at=T, is_due=True),)


def test_a_held_step_is_reached_when_the_journey_is_resumed() -> None:
    drive = Drive(plan_of(send("s")))
    drive(Started())
    assert drive.answer(Held()) == ()
    assert drive.state.mode == "held"
    assert drive(Resumed(), T + HOUR) == (Perform(step_id="s", visit=1, attempt=2, reached_at=T + HOUR),)


def test_a_repeat_counts_its_passes_and_forgets_them_when_it_is_left() -> None:
    loop = Repeat(step_id="r", times=2, body="s", every_seconds=3600, next="end")
    drive = Drive(plan_of(loop, send("s", "r"), ExitStep(step_id="end", reason="done")))
    drive(Started())
    assert drive.answer(Chosen(goto="s")) == (Perform(step_id="s", visit=1, attempt=1, reached_at=T),)
    back = drive.answer(Sent(outcome="sent"), T + HOUR / 2)
    assert back == (Perform(step_id="r", visit=2, attempt=1, reached_at=T + HOUR / 2, passes_begun=1, pass_began_at=T),)
    drive.answer(WaitUntil(until=T + HOUR, why="every"))
    due = drive(Woke(), T + HOUR)
    assert due == (
        Perform(step_id="r", visit=2, attempt=2, reached_at=T + HOUR / 2, passes_begun=1, pass_began_at=T, is_due=True),
    )
    assert drive.answer(Chosen(goto="s")) == (Perform(step_id="s", visit=2, attempt=1, reached_at=T + HOUR),)
    drive.answer(Sent(outcome="sent"))
    drive.answer(Done())
    assert drive.state.step_id == "end"
    assert drive.state.passes == {}


def test_a_change_of_zone_asks_again_only_where_somebody_waits_for_a_local_time() -> None:
    drive = Drive(plan_of(wait("w")))
    drive(Started())
    assert drive(Reconsider()) == ()
    drive.answer(WaitUntil(until=T + HOUR, why="timer"))
    assert drive(Reconsider()) == (Perform(step_id="w", visit=1, attempt=2, reached_at=T),)
    awaiting = Drive(plan_of(WaitFor(step_id="f", alternatives=(Awaited(event="X"),))))
    awaiting(Started())
    awaiting.answer(WaitUntil(until=None, why="event"))
    assert awaiting(Reconsider()) == ()


# ── moves to another version ─────────────────────────────────────────────────────────────────────────────────────────
class Moving(Drive):
    """Drives a plan, and then another one."""

    def move(self, plan: Plan, at: datetime) -> tuple[Perform | Finish, ...]:
        self.now = at
        self.state, effects = advance(plan, self.state, Moved(digest="v2"), at)
        if effects:
            self.plan = plan
        return effects


def test_a_move_performs_the_same_visit_again_and_keeps_what_has_passed() -> None:
    drive = Moving(plan_of(wait("w", "s"), send("s")))
    drive(Started())
    drive.answer(WaitUntil(until=T + HOUR, why="timer"))
    effects = drive.move(plan_of(wait("w", "t"), send("t")), T + HOUR / 2)
    assert effects == (Perform(step_id="w", visit=1, attempt=2, reached_at=T, digest="v2"),)
    drive.answer(WaitUntil(until=T + 2 * HOUR, why="timer"))
    assert drive.state.wake_at == T + 2 * HOUR
    drive(Woke(), T + 2 * HOUR)
    assert drive.answer(Done()) == (Perform(step_id="t", visit=1, attempt=1, reached_at=T + 2 * HOUR),)


def test_a_step_that_has_moved_is_a_new_visit_reached_when_the_old_one_was() -> None:
    drive = Moving(plan_of(wait("w", "s"), send("s")))
    drive(Started())
    drive.answer(WaitUntil(until=T + HOUR, why="timer"))
    onto = replace(plan_of(wait("pause", "s"), send("s")), moved={"w": "pause"})
    effects = drive.move(onto, T + HOUR / 2)
    assert effects == (Perform(step_id="pause", visit=1, attempt=1, reached_at=T, digest="v2"),)
    assert drive.state.began == {"w": T, "pause": T}
    assert drive.state.visits == {"w": 1, "pause": 1}


def test_a_move_that_would_strand_somebody_is_not_made() -> None:
    drive = Moving(plan_of(wait("w", "s"), send("s")))
    drive(Started())
    drive.answer(WaitUntil(until=T + HOUR, why="timer"))
    before = drive.state
    assert drive.move(plan_of(send("s")), T) == ()
    assert drive.state == before


def test_nobody_is_moved_while_a_step_is_performed_or_after_the_end() -> None:
    drive = Moving(plan_of(wait("w")))
    drive(Started())
    assert drive.move(plan_of(wait("w")), T) == ()
    drive(Left(reason="exit"))
    assert drive.move(plan_of(wait("w")), T) == ()


def test_passes_of_a_repeat_go_on_where_it_still_exists_under_its_new_name() -> None:
    def looping(name: str) -> Plan:
        return plan_of(Repeat(step_id=name, times=3, body="w"), wait("w", name))

    drive = Moving(looping("loop"))
    drive(Started())
    drive.answer(Chosen(goto="w"))
    drive.answer(WaitUntil(until=T + HOUR, why="timer"))
    drive.move(replace(looping("again"), moved={"loop": "again"}), T)
    drive.answer(WaitUntil(until=T + HOUR, why="timer"))
    drive(Woke(), T + HOUR)
    (effect,) = drive.answer(Done())
    assert isinstance(effect, Perform)
    assert (effect.step_id, effect.passes_begun, effect.pass_began_at) == ("again", 1, T)


def test_passes_of_a_repeat_that_is_gone_are_forgotten() -> None:
    drive = Moving(plan_of(Repeat(step_id="loop", times=3, body="w"), wait("w", "loop")))
    drive(Started())
    drive.answer(Chosen(goto="w"))
    drive.answer(WaitUntil(until=T + HOUR, why="timer"))
    drive.move(plan_of(wait("w")), T)
    assert drive.state.passes == {}


def test_whoever_is_held_moves_and_is_asked_for_once_more() -> None:
    drive = Moving(plan_of(send("s")))
    drive(Started())
    drive.answer(Held())
    assert drive.move(plan_of(send("s")), T + HOUR) == (
        Perform(step_id="s", visit=1, attempt=2, reached_at=T, digest="v2"),
    )
    drive.answer(Held())
    assert drive(Resumed(), T + 2 * HOUR) == (Perform(step_id="s", visit=1, attempt=3, reached_at=T + 2 * HOUR),)
