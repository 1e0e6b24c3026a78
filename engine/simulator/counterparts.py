"""The world outside in virtual time: providers that take everything unless told to fail, and a system that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_never

from engine.delivery.message import Capabilities, Message, SendResult
from engine.enrollment.caller import CallRequest
from engine.errors import DoubtfulChannelError, PermanentChannelError, TransientChannelError
from engine.project import ChannelKind
from engine.simulator.scenario import Answer, Failure


class SimulatedProvider:
    """One channel's provider: takes every message, but fails as it is told for as long as it is told."""

    def __init__(self, channel: str, kind: ChannelKind, clock: Callable[[], datetime]) -> None:
        self._kind = kind
        self._channel = channel
        self._clock = clock
        self._until: tuple[Failure, datetime] | None = None

    @property
    def capabilities(self) -> Capabilities:
        # One that never answers knows no key, either: what the author says of doubts is what is tried.
        has_key = self._failure() != "no_answer"
        return Capabilities(kind=self._kind, has_idempotency=has_key, has_receipts=True)

    def fail(self, how: Failure, until: datetime) -> None:
        """From now until `until` (exclusive)."""
        self._until = (how, until)

    def send(self, message: Message) -> SendResult:
        match self._failure():
            case None:
                return SendResult(provider_message_id=f"{self._channel}-{message.delivery_id}")
            case "permanent":
                raise PermanentChannelError("the provider refuses the message", reason="rejected")
            case "outage":
                raise TransientChannelError("the provider is out")
            case "no_answer":
                raise DoubtfulChannelError("the provider may have taken the message")
            case never:
                assert_never(never)

    def _failure(self) -> Failure | None:
        return self._until[0] if self._until and self._clock() < self._until[1] else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Called:
    at: datetime
    request: CallRequest


@dataclass(slots=True)
class SimulatedCaller:
    """Answers `call` steps from a table of URLs (default: 200 and an empty object) and remembers what was asked."""

    answers: Mapping[str, Answer]
    clock: Callable[[], datetime]
    calls: list[Called] = field(default_factory=list)

    def call(self, request: CallRequest) -> Any:
        self.calls.append(Called(at=self.clock(), request=request))
        answer = self.answers.get(request.url, Answer())
        return answer.json if 200 <= answer.status < 300 else None
