"""What a provider's requests and answers look like: the tables that the contract suite works through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from channels.testing.server import Reply
from engine.delivery.message import Message, ReceiptKind, WebhookRequest
from engine.errors import ChannelError, PermanentChannelError
from engine.project import ChannelKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A provider's no, and what it must become."""

    reply: Reply
    error: type[ChannelError] = PermanentChannelError
    #: Of a permanent refusal.
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpExhibit:
    """A provider's HTTP API."""

    #: What it answers when it takes a message, and the id that it gives.
    accepted: Reply
    message_id: str | None
    #: Its ways to say no, as published; at least one is about the message, not the account.
    refusals: tuple[Refusal, ...]
    #: How it says "too fast"; the suite adds `Retry-After`.
    throttled: Reply = field(default=Reply(status=429))


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiptExhibit:
    """A provider's webhooks."""

    #: (body, moment of signing, secret) -> the request as the provider would send it.
    sign: Callable[[bytes, datetime, str], WebhookRequest]
    secret: str
    #: Bodies as published, each with the kinds of what it reports.
    bodies: tuple[tuple[bytes, tuple[ReceiptKind, ...]], ...]
    #: One with a word that nobody knows yet.
    unknown: bytes
    #: Ones that cannot be read, though signed.
    unreadable: tuple[bytes, ...]


#: An address of each kind that belongs to nobody.
ADDRESSES: Mapping[ChannelKind, str] = {"email": "ana@shop.example", "sms": "+447700900123", "chat": "U0ANA0ANA"}


def sample_message(kind: ChannelKind, **changes: Any) -> Message:
    """A message of that kind, with `changes` over its fields."""
    fields: dict[str, Any] = {
        "delivery_id": "d0123456789abcdef01234567",
        "channel": kind,
        "kind": kind,
        "to": ADDRESSES[kind],
        "text": "Your cart waits, Ana",
        "subject": "Your cart" if kind == "email" else None,
        "html": "<p>Your cart waits, <b>Ana</b></p>" if kind == "email" else None,
    }
    return Message(**(fields | changes))
