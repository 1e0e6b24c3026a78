"""The arguments and answers of the workflow, its signal and its activities. Each writes and reads its own JSON.

Every form carries `v`; a reader refuses one that it does not know, and the task is repeated until a worker comes that
does: a person waits for a deploy and is not lost to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

from engine.enrollment.model import Nudge
from engine.plan.effects import Perform, Result
from engine.plan.state import State
from workers.contracts import codec
from workers.contracts.clock import Clock
from workers.contracts.codec import Json

VERSION = 1


def _check(data: Mapping[str, Any], what: str) -> None:
    if data.get("v") != VERSION:
        raise ValueError(f"{what} has form {data.get('v')!r}; this release reads {VERSION}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StimulusPayload:
    """An input for an enrollment, and when its cause was committed: the argument of the signal `nudge`."""

    input: Nudge
    created_at: datetime
    #: Of a move: the new plan's, as `EnrollmentStart.urgent_topics`.
    urgent_topics: tuple[str, ...] = ()

    def to_json(self) -> Json:
        urgent = {"urgent_topics": list(self.urgent_topics)} if self.urgent_topics else {}
        return urgent | {
            "v": VERSION,
            "input": codec.input_to_json(self.input),
            "created_at": codec.instant_to_json(self.created_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        _check(data, "a stimulus")
        return cls(
            input=codec.input_from_json(data["input"]),
            created_at=codec.instant_from_json(data["created_at"]),
            urgent_topics=tuple(data.get("urgent_topics", ())),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrollmentStart:
    """The argument of a journey's workflow: who is carried (by id), on which plan (by hash), from where."""

    enrollment_id: str
    digest: str
    entered_at: datetime
    #: Topics of this plan that are not marketing: their sends go first. Fixed at entry, as the history must be.
    urgent_topics: tuple[str, ...] = ()
    clock: Clock | None = None
    #: Where the person stands, after continue-as-new; None at entry.
    state: State | None = None
    #: Inputs that had come and not been taken, after continue-as-new.
    queue: tuple[StimulusPayload, ...] = ()

    def to_json(self) -> Json:
        clock = self.clock and {
            "origin_server": codec.instant_to_json(self.clock.origin_server),
            "origin_engine": codec.instant_to_json(self.clock.origin_engine),
            "rate": self.clock.rate,
            "is_work_instant": self.clock.is_work_instant,
        }
        return {
            "v": VERSION,
            "enrollment_id": self.enrollment_id,
            "digest": self.digest,
            "entered_at": codec.instant_to_json(self.entered_at),
            "urgent_topics": list(self.urgent_topics),
            "clock": clock,
            "state": self.state and codec.state_to_json(self.state),
            "queue": [each.to_json() for each in self.queue],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        _check(data, "the start of an enrollment")
        clock = data["clock"] and Clock(
            origin_server=codec.instant_from_json(data["clock"]["origin_server"]),
            origin_engine=codec.instant_from_json(data["clock"]["origin_engine"]),
            rate=data["clock"]["rate"],
            # Histories recorded before there was a choice have none.
            is_work_instant=data["clock"].get("is_work_instant", False),
        )
        return cls(
            enrollment_id=data["enrollment_id"],
            digest=data["digest"],
            entered_at=codec.instant_from_json(data["entered_at"]),
            urgent_topics=tuple(data["urgent_topics"]),
            clock=clock,
            state=data["state"] and codec.state_from_json(data["state"]),
            queue=tuple(StimulusPayload.from_json(each) for each in data["queue"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PerformRequest:
    """The argument of the activities `perform` and `dispatch`."""

    enrollment_id: str
    effect: Perform
    #: Engine time of the decision to perform it.
    now: datetime

    def to_json(self) -> Json:
        return {
            "v": VERSION,
            "enrollment_id": self.enrollment_id,
            "effect": codec.perform_to_json(self.effect),
            "now": codec.instant_to_json(self.now),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        _check(data, "a request to perform a step")
        return cls(
            enrollment_id=data["enrollment_id"],
            effect=codec.perform_from_json(data["effect"]),
            now=codec.instant_from_json(data["now"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PerformAnswer:
    """The answer of `perform` and `dispatch`."""

    result: Result

    def to_json(self) -> Json:
        return {"v": VERSION, "result": codec.result_to_json(self.result)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        _check(data, "the answer of a step")
        return cls(result=codec.result_from_json(data["result"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishRequest:
    """The argument of the activity `finish`."""

    enrollment_id: str
    reason: str
    now: datetime

    def to_json(self) -> Json:
        return {
            "v": VERSION,
            "enrollment_id": self.enrollment_id,
            "reason": self.reason,
            "now": codec.instant_to_json(self.now),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        _check(data, "a request to finish")
        return cls(enrollment_id=data["enrollment_id"], reason=data["reason"], now=codec.instant_from_json(data["now"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The answer of the query `standing`."""

    #: `starting` until the first input was taken, else the interpreter's mode.
    mode: Literal["starting", "performing", "waiting", "held", "over"]
    step_id: str | None
    visit: int
    wake_at: datetime | None
    #: No activity is under way and no input is queued: only time or a signal will change anything.
    is_idle: bool

    def to_json(self) -> Json:
        return {
            "v": VERSION,
            "mode": self.mode,
            "step_id": self.step_id,
            "visit": self.visit,
            "wake_at": codec.instant_to_json(self.wake_at),
            "is_idle": self.is_idle,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        _check(data, "a standing")
        return cls(
            mode=data["mode"],
            step_id=data["step_id"],
            visit=data["visit"],
            wake_at=codec.maybe_instant(data["wake_at"]),
            is_idle=data["is_idle"],
        )
