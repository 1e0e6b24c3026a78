"""The world outside in virtual time: providers that take everything unless told to fail, and a system that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from engine.delivery.message import Capabilities, Message, SendResult
from engine.enrollment.caller import CallRequest
from engine.errors import PermanentChannelError, TransientChannelError
from engine.project import ChannelKind
from engine.simulator.scenario import Answer


class SimulatedProvider:
    """One channel's provider: takes every message, but fails as it is told for as long as it is told."""

    def __init__(self, channel: str, kind: ChannelKind, clock: Callable[[], datetime]) -> None:
        self.capabilities = Capabilities(kind=kind, has_idempotency=True, has_receipts=True)
        self._channel = channel
        self._clock = clock
        self._failing: tuple[Literal["permanent", "outage"], datetime] | None = None

    def fail(self, how: Literal["permanent", "outage"], until: datetime) -> None:
        """From now until `until` (exclusive)."""
        self._failing = (how, until)

    def send(self, message: Message) -> SendResult:
        if self._failing and self._clock() < self._failing[1]:
            if self._failing[0] == "permanent":
                raise PermanentChannelError("the provider refuses the message", reason="rejected")
            raise TransientChannelError("the provider is out")
        return SendResult(provider_message_id=f"{self._channel}-{message.delivery_id}")


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
