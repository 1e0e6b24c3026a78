"""What crosses the border to Temporal comes back as it went, and holds no more than it must."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from engine.enrollment.model import Nudge
from engine.errors import StoreUnavailable
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
from engine.plan.model import Plan
from engine.plan.state import Pass, State
from workers.contracts import codec
from workers.contracts.clock import Clock
from workers.contracts.payloads import (
    EnrollmentStart,
    FinishRequest,
    PerformAnswer,
    PerformRequest,
    Standing,
    StimulusPayload,
)
from workers.contracts.plans import PlanShelf

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)


def through_json(data: object) -> dict[str, object]:
    return json.loads(json.dumps(data))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "event",
    [
        Started(),
        Resumed(),
        Reconsider(),
        Arrived(step_id="a", visit=2, goto=None),
        Left(reason="exit"),
        Moved(digest="v2"),
    ],
    ids=lambda event: event.kind,
)
def test_every_nudge_comes_back_as_it_went(event: Nudge) -> None:
    payload = StimulusPayload(input=event, created_at=NOON, urgent_topics=("orders",))
    assert StimulusPayload.from_json(through_json(payload.to_json())) == payload


@pytest.mark.parametrize(
    "result",
    [
        Done(),
        Held(),
        Chosen(goto="b"),
        Chosen(goto=None),
        WaitUntil(until=NOON, why="quiet"),
        WaitUntil(until=None, why="event"),
        Sent(outcome="no_consent"),
        Over(reason="goal"),
    ],
    ids=str,
)
def test_every_result_comes_back_as_it_went(result: Result) -> None:
    answer = PerformAnswer(result=result)
    assert PerformAnswer.from_json(through_json(answer.to_json())) == answer


def test_a_whole_start_comes_back_with_state_queue_and_clock() -> None:
    state = State(
        enrollment_id="e1",
        mode="waiting",
        entered_at=NOON,
        step_id="remind",
        visit=2,
        reached_at=NOON + HOUR,
        wake_at=NOON + 2 * HOUR,
        attempt=3,
        visits={"remind": 2},
        began={"remind": NOON + HOUR},
        passes={"loop": Pass(number=2, began_at=NOON)},
    )
    start = EnrollmentStart(
        enrollment_id="e1",
        digest="abc",
        entered_at=NOON,
        urgent_topics=("orders",),
        clock=Clock(origin_server=NOON + 5 * HOUR, origin_engine=NOON, rate=90.0, is_work_instant=True),
        state=state,
        queue=(StimulusPayload(input=Resumed(), created_at=NOON),),
    )
    assert EnrollmentStart.from_json(through_json(start.to_json())) == start


def test_requests_and_standings_come_back_as_they_went() -> None:
    effect = Perform(
        step_id="a",
        visit=1,
        attempt=2,
        reached_at=NOON,
        since=NOON - HOUR,
        passes_begun=1,
        pass_began_at=NOON,
        is_due=True,
    )
    request = PerformRequest(enrollment_id="e1", effect=effect, now=NOON)
    finish = FinishRequest(enrollment_id="e1", reason="completed", now=NOON)
    standing = Standing(mode="waiting", step_id="a", visit=1, wake_at=NOON, is_idle=True)
    assert PerformRequest.from_json(through_json(request.to_json())) == request
    assert FinishRequest.from_json(through_json(finish.to_json())) == finish
    assert Standing.from_json(through_json(standing.to_json())) == standing


def test_a_form_of_a_later_release_is_refused_and_not_guessed_at() -> None:
    later = {**PerformAnswer(result=Done()).to_json(), "v": 2}
    with pytest.raises(ValueError, match="this release reads 1"):
        PerformAnswer.from_json(later)
    with pytest.raises(ValueError, match="unknown result 'teleported'"):
        codec.result_from_json({"kind": "teleported"})


def test_a_naive_instant_is_refused_at_the_border() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        codec.instant_from_json("2026-03-02T12:00:00")


def test_the_clock_maps_server_time_to_engine_time_and_back() -> None:
    server = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
    clock = Clock(origin_server=server, origin_engine=NOON, rate=90.0)
    assert clock.to_engine(server + timedelta(minutes=90)) == NOON + timedelta(minutes=1)
    assert clock.to_server(NOON + timedelta(minutes=1)) == server + timedelta(minutes=90)
    assert clock.server_span(HOUR) == timedelta(hours=90)


def test_a_plan_is_loaded_once_and_kept_under_its_hash() -> None:
    plan = Plan(journey="j", title="J", triggers=(), first=None, steps={})
    asked: list[str] = []

    def load(digest: str) -> Plan:
        asked.append(digest)
        return plan

    shelf = PlanShelf()
    shelf.connect(load)
    assert shelf.plan("abc") is plan
    assert shelf.plan("abc") is plan
    assert asked == ["abc"]


def test_a_failed_load_is_told_and_tried_again() -> None:
    plan = Plan(journey="j", title="J", triggers=(), first=None, steps={})
    answers: list[Exception | Plan] = [StoreUnavailable("down"), plan]

    def load(_digest: str) -> Plan:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shelf = PlanShelf()
    with pytest.raises(StoreUnavailable, match="nothing is connected"):
        shelf.plan("abc")
    shelf.connect(load)
    with pytest.raises(StoreUnavailable, match="down"):
        shelf.plan("abc")
    assert shelf.plan("abc") is plan
