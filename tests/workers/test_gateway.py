"""Stimuli become workflows and signals on a real dev server, and nobody's address becomes part of an id."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from engine.enrollment.model import Stimulus
from engine.events.intake import Intake
from engine.plan.digest import digest
from engine.plan.effects import Left, Started, WaitUntil
from engine.plan.model import Awaited, Plan, Send, WaitFor
from engine.project import Project
from engine.storage.memory import MemoryStore
from tests.workers.road import KEY, NOON, TOPICS, Script, Workers, make_enrollment, make_plan
from workers.contracts.payloads import EnrollmentStart
from workers.contracts.plans import PLANS
from workers.gateway import Gateway, workflow_id
from workers.loop import LoopThread

AWAITING = make_plan(WaitFor(step_id="reply", alternatives=(Awaited(event="Replied"),)), journey="review")


def stimulus(event: Started | Left, plan: Plan = AWAITING, **changes: object) -> Stimulus:
    enrollment = make_enrollment(plan)
    return Stimulus(enrollment_id=enrollment.enrollment_id, input=event, created_at=NOON, not_before=NOON)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, "review/p1/2"),
        ("cart-7", "review/p1/cart-7/2"),
        ("a:b.c_d", "review/p1/a:b.c_d/2"),
    ],
)
def test_a_workflow_id_is_made_of_ids(key: str | None, expected: str) -> None:
    assert workflow_id(make_enrollment(AWAITING, key=key, number=2), KEY) == expected


@pytest.mark.parametrize("key", ["ana@example.com", "+34600111222", "a/b", "", "x" * 65, "ñ", "a b"])
def test_a_key_that_may_be_more_than_an_id_is_replaced_by_a_keyed_hash(key: str) -> None:
    one = workflow_id(make_enrollment(AWAITING, key=key), KEY)
    assert one == workflow_id(make_enrollment(AWAITING, key=key), KEY)
    hashed = one.split("/")[2]
    assert hashed.startswith("~")
    assert not key or key not in one
    # Who does not hold the project's key cannot test a guess.
    assert one != workflow_id(make_enrollment(AWAITING, key=key), bytes([1]) * 32)


def test_a_merge_renames_nobodys_workflow() -> None:
    """Whoever is joined, and to whom those are joined after: a signal goes where the enrollment began."""
    store = MemoryStore()
    project = Project(name="shop", root=Path(), timezone="UTC", locale="en", database="")
    intake = Intake(project, KEY)
    with store.transaction() as unit:
        people = [intake.ensure(unit, "external", name, NOON) for name in ("ana", "ben", "cid")]
        for number, person in enumerate(people):
            enrollment = make_enrollment(AWAITING, key="k", number=1)
            entered_at = NOON - timedelta(hours=number)
            unit.enrollments.save(
                replace(enrollment, enrollment_id=f"e{number}", profile_id=person.profile_id, entered_at=entered_at)
            )
    with store.transaction() as unit:
        before = {each.enrollment_id: workflow_id(each, KEY) for each in unit.enrollments.of(journey="review")}
        intake.alias(unit, previous_id="ana", user_id="ben", now=NOON)
        intake.alias(unit, previous_id="ben", user_id="cid", now=NOON)
        after = {each.enrollment_id: workflow_id(each, KEY) for each in unit.enrollments.of(journey="review")}
        numbers = [each.number for each in unit.enrollments.of(profile_id=people[2].profile_id)]
    assert after == before
    assert len(set(before.values())) == 3
    assert sorted(numbers) == [1, 2, 3]


def test_a_start_carries_search_attributes_a_title_and_no_plan(workers: Workers, dev_client: Client) -> None:
    script = Script({"reply": WaitUntil(until=None, why="event")})
    person = workers.road(dev_client, AWAITING, script)
    person.enter()
    person.settle()
    description = person._loop.run(person.handle.describe())
    assert {name: list(values) for name, values in description.search_attributes.items() if "Sojourn" in name} == {
        "SojournJourney": ["review"],
        "SojournVersion": [digest(AWAITING)],
        "SojournProfile": [person.enrollment.profile_id],
    }
    assert description.workflow_type == "review"
    assert person._loop.run(description.static_summary()) == "Abandoned cart"
    person.nudge(Left(reason="exit"), at=NOON)
    person.end()


def test_a_start_and_a_signal_may_come_again_after_the_end(workers: Workers, dev_client: Client) -> None:
    script = Script({"reply": WaitUntil(until=None, why="event")})
    person = workers.road(dev_client, AWAITING, script)
    person.enter()
    person.nudge(Left(reason="exit"), at=NOON)
    person.end()
    run_id = person._loop.run(person.handle.describe()).run_id
    person.enter()
    person.nudge(Left(reason="exit"), at=NOON)
    assert person._loop.run(person.handle.describe()).run_id == run_id
    assert [step for step, _ in script.calls] == ["reply"]


def test_a_stimulus_for_nobody_is_dropped_and_said(
    dev_client: Client, loop: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway(dev_client, loop.loop, project_key=KEY, topics=TOPICS)
    assert gateway.deliver([(stimulus(Left(reason="exit")), make_enrollment(AWAITING, profile="nobody"))]) == {}
    assert "no workflow carries enrollment" in caplog.text


def test_an_unreachable_server_is_an_error_for_the_courier_to_try_again(loop: LoopThread) -> None:
    async def connect() -> Client:
        return await Client.connect("127.0.0.1:9", lazy=True)

    PLANS.put(digest(AWAITING), AWAITING)
    gateway = Gateway(loop.run(connect()), loop.loop, project_key=KEY, topics=TOPICS)
    with pytest.raises((RPCError, RuntimeError)):
        gateway.deliver([(stimulus(Started()), make_enrollment(AWAITING))])


def test_topics_that_are_not_marketing_are_named_in_the_start(workers: Workers, dev_client: Client) -> None:
    steps = [
        Send(step_id="a", channels=("email",), template="t", topic="news", next="b"),
        Send(step_id="b", channels=("email",), template="t", topic="orders"),
    ]
    person = workers.road(dev_client, make_plan(*steps), Script({"a": WaitUntil(until=None, why="capped")}))
    person.enter()
    started = person.history()[0].workflow_execution_started_event_attributes
    start = EnrollmentStart.from_json(
        person.client.data_converter.payload_converter.from_payloads(started.input.payloads)[0]
    )
    assert start.urgent_topics == ("orders",)
    assert started.workflow_run_timeout.ToTimedelta() == timedelta()
    person.nudge(Left(reason="exit"), at=NOON)
    person.end()


def test_one_that_is_refused_leaves_the_others_of_its_batch_delivered(
    dev_client: Client, loop: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    PLANS.put(digest(AWAITING), AWAITING)
    gateway = Gateway(dev_client, loop.loop, project_key=KEY, topics=TOPICS)
    people = [make_enrollment(AWAITING, profile=f"p{time.monotonic_ns()}-{number}") for number in range(40)]
    people[7] = replace(people[7], digest="feedfeedfeedfeed")
    batch = [(replace(stimulus(Started()), seq=number), person) for number, person in enumerate(people, start=1)]
    waiting = dict(enumerate(batch, start=1))
    refused: Mapping[int, Exception] = {}
    while list(refused) != [8]:
        refused = gateway.deliver(list(waiting.values()))
        # A busy server may turn some away for the moment: they come again, as from the courier.
        assert 8 in refused
        waiting = {seq: waiting[seq] for seq in refused}
    assert "was refused with" in caplog.text
    for number, person in enumerate(people):
        handle = dev_client.get_workflow_handle(workflow_id(person, KEY))
        if number != 7:
            loop.run(handle.terminate())
    # Whatever comes again is harmless.
    assert gateway.deliver(batch[:3]) == {}


def test_a_batch_that_waits_for_a_silent_server_is_given_up_as_a_whole(
    loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less than the courier's lease, however many there are."""
    monkeypatch.setattr("workers.gateway._ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"

        async def connect() -> Client:
            return await Client.connect(address, lazy=True)

        PLANS.put(digest(AWAITING), AWAITING)
        gateway = Gateway(loop.run(connect()), loop.loop, project_key=KEY, topics=TOPICS)
        batch = [(replace(stimulus(Started()), seq=number), make_enrollment(AWAITING)) for number in range(1, 101)]
        began = time.monotonic()
        with pytest.raises(RPCError) as raised:
            gateway.deliver(batch)
        assert raised.value.status is RPCStatusCode.DEADLINE_EXCEEDED
        # One after the other, they would have taken a hundred times as long as the server is given.
        assert time.monotonic() - began < 15
