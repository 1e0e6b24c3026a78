"""The interpreter's inputs, results, effects and state as JSON and back.

Written out by hand, tagged by `kind`: what stands in a history is read months later by another release, so its form is
a decision and not the by-product of a class.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, assert_never

from engine.enrollment.model import Nudge
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
from engine.plan.state import Pass, State

Json = dict[str, Any]


def instant_to_json(at: datetime | None) -> str | None:
    """ISO 8601 with its offset, to the microsecond; None stays None."""
    return None if at is None else at.isoformat()


def instant_from_json(text: str) -> datetime:
    """The aware instant. Raises ValueError for a naive one."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant without a zone came across the border to Temporal")
    return at


def maybe_instant(text: str | None) -> datetime | None:
    return None if text is None else instant_from_json(text)


def input_to_json(event: Nudge) -> Json:
    """An input that comes from outside of the workflow."""
    match event:
        case Started() | Resumed() | Reconsider():
            return {"kind": event.kind}
        case Arrived():
            return {"kind": event.kind, "step_id": event.step_id, "visit": event.visit, "goto": event.goto}
        case Left():
            return {"kind": event.kind, "reason": event.reason}
        case Moved():
            return {"kind": event.kind, "digest": event.digest}
        case _:
            assert_never(event)


def input_from_json(data: Mapping[str, Any]) -> Nudge:
    match data["kind"]:
        case "started":
            return Started()
        case "resumed":
            return Resumed()
        case "reconsider":
            return Reconsider()
        case "arrived":
            return Arrived(step_id=data["step_id"], visit=data["visit"], goto=data["goto"])
        case "left":
            return Left(reason=data["reason"])
        case "moved":
            return Moved(digest=data["digest"])
        case unknown:
            raise ValueError(f"unknown input {unknown!r}: it was written by a later release")


def result_to_json(result: Result) -> Json:
    match result:
        case Done() | Held():
            return {"kind": result.kind}
        case Chosen():
            return {"kind": result.kind, "goto": result.goto}
        case WaitUntil():
            return {"kind": result.kind, "until": instant_to_json(result.until), "why": result.why}
        case Sent():
            return {"kind": result.kind, "outcome": result.outcome}
        case Over():
            return {"kind": result.kind, "reason": result.reason}
        case _:
            assert_never(result)


def result_from_json(data: Mapping[str, Any]) -> Result:
    match data["kind"]:
        case "done":
            return Done()
        case "held":
            return Held()
        case "chosen":
            return Chosen(goto=data["goto"])
        case "wait_until":
            return WaitUntil(until=maybe_instant(data["until"]), why=data["why"])
        case "sent":
            return Sent(outcome=data["outcome"])
        case "over":
            return Over(reason=data["reason"])
        case unknown:
            raise ValueError(f"unknown result {unknown!r}: it was written by a later release")


def perform_to_json(effect: Perform) -> Json:
    moved = {} if effect.digest is None else {"digest": effect.digest}
    return moved | {
        "kind": effect.kind,
        "step_id": effect.step_id,
        "visit": effect.visit,
        "attempt": effect.attempt,
        "reached_at": instant_to_json(effect.reached_at),
        "since": instant_to_json(effect.since),
        "passes_begun": effect.passes_begun,
        "pass_began_at": instant_to_json(effect.pass_began_at),
        "is_due": effect.is_due,
    }


def perform_from_json(data: Mapping[str, Any]) -> Perform:
    return Perform(
        step_id=data["step_id"],
        visit=data["visit"],
        attempt=data["attempt"],
        reached_at=instant_from_json(data["reached_at"]),
        since=maybe_instant(data["since"]),
        passes_begun=data["passes_begun"],
        pass_began_at=maybe_instant(data["pass_began_at"]),
        is_due=data["is_due"],
        digest=data.get("digest"),
    )


def state_to_json(state: State) -> Json:
    return {
        "enrollment_id": state.enrollment_id,
        "mode": state.mode,
        "entered_at": instant_to_json(state.entered_at),
        "step_id": state.step_id,
        "visit": state.visit,
        "reached_at": instant_to_json(state.reached_at),
        "wake_at": instant_to_json(state.wake_at),
        "attempt": state.attempt,
        "visits": dict(state.visits),
        "began": {step_id: instant_to_json(at) for step_id, at in state.began.items()},
        "passes": {
            step_id: {"number": each.number, "began_at": instant_to_json(each.began_at)}
            for step_id, each in state.passes.items()
        },
        "reason": state.reason,
    }


def state_from_json(data: Mapping[str, Any]) -> State:
    return State(
        enrollment_id=data["enrollment_id"],
        mode=data["mode"],
        entered_at=instant_from_json(data["entered_at"]),
        step_id=data["step_id"],
        visit=data["visit"],
        reached_at=maybe_instant(data["reached_at"]),
        wake_at=maybe_instant(data["wake_at"]),
        attempt=data["attempt"],
        visits=dict(data["visits"]),
        began={step_id: instant_from_json(at) for step_id, at in data["began"].items()},
        passes={
            step_id: Pass(number=each["number"], began_at=instant_from_json(each["began_at"]))
            for step_id, each in data["passes"].items()
        },
        reason=data["reason"],
    )
