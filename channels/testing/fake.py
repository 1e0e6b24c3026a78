"""An adapter that sends nothing: it records messages, and fails when told to. For scenarios, simulations and tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from channels.base import AdapterContext, ChannelAdapter, NoSettings, channel_error
from engine.delivery.message import Capabilities, Message, SendResult
from engine.errors import ChannelConfigError
from engine.project import ChannelKind

#: `permanent`: refuses the message. `outage`: cannot be reached. `doubtful`: takes it, and its answer is lost.
FakeFailure = Literal["permanent", "outage", "doubtful"]


def _now() -> datetime:
    return datetime.now(UTC)


class FakeAdapter(ChannelAdapter[NoSettings]):
    """Takes every message of its kind. Threads may share it."""

    name = "fake"
    Settings = NoSettings
    serves_any_kind = True

    def __init__(self, kind: ChannelKind = "email", *, channel: str = "", clock: Callable[[], datetime] = _now) -> None:
        super().__init__(NoSettings(), AdapterContext(channel=channel or kind, kind=kind))
        self.capabilities = Capabilities(kind=kind, has_look_up=True, has_attachments=True, has_media=True)
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: list[Message] = []
        self._failure: tuple[FakeFailure, datetime | None] | None = None

    @classmethod
    def open(cls, settings: Mapping[str, Any], context: AdapterContext) -> FakeAdapter:
        problems = cls.check_settings(settings)
        if problems:
            raise ChannelConfigError(f"channel `{context.channel}` (fake): {'; '.join(problems)}")
        return cls(context.kind, channel=context.channel)

    @property
    def sent(self) -> list[Message]:
        """The messages taken so far, in order."""
        with self._lock:
            return list(self._taken)

    def fail(self, kind: FakeFailure, until: datetime | None = None) -> None:
        """Fails so from now on, up to and not including `until`; None: until told otherwise."""
        with self._lock:
            self._failure = (kind, until)

    def mend(self) -> None:
        """Takes messages again."""
        with self._lock:
            self._failure = None

    def clear(self) -> None:
        """Forgets the messages taken."""
        with self._lock:
            self._taken.clear()

    def deliver(self, message: Message) -> SendResult:
        with self._lock:
            match self._failing():
                case "permanent":
                    raise channel_error("rejected", "fake refused the message, as it was told to")
                case "outage":
                    raise channel_error("transient", "fake cannot be reached, as it was told")
                case "doubtful":
                    self._taken.append(message)
                    raise channel_error("doubtful", "fake gave no answer, as it was told to")
                case None:
                    self._taken.append(message)
        return self._result(message.delivery_id)

    def look_up(self, delivery_id: str) -> SendResult | None:
        is_known = any(message.delivery_id == delivery_id for message in self.sent)
        return self._result(delivery_id) if is_known else None

    def _failing(self) -> FakeFailure | None:
        if self._failure is None:
            return None
        kind, until = self._failure
        return kind if until is None or self._clock() < until else None

    @staticmethod
    def _result(delivery_id: str) -> SendResult:
        return SendResult(provider_message_id=f"fake-{delivery_id}")
