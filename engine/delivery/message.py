"""Messages, results and receipts: the port that every channel adapter implements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from engine.project import ChannelKind

#: Our words for what a provider reports later. Vendors' words map to them in tables; unknown ones become `unknown`.
ReceiptKind = Literal[
    "delivered",
    "deferred",
    "bounced",
    "complained",
    "opened",
    "clicked",
    "unsubscribed",
    "replied",
    "failed",
    "unknown",
]
#: Reasons of a permanent refusal. `invalid_address` suppresses the address; `opted_out` is a withdrawal upstream.
PERMANENT_REASONS = ("rejected", "invalid_address", "opted_out", "too_large", "not_allowed", "unknown")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """Rendered content for one address."""

    #: Idempotency key towards the provider, and what the `Message-ID` of an email is made of.
    delivery_id: str
    channel: str
    kind: ChannelKind
    to: str = field(repr=False)
    #: `Demo Shop <hello@shop.example>` or a number; None: the adapter's own setting.
    from_: str | None = None
    subject: str | None = field(default=None, repr=False)
    html: str | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    #: Chat blocks, as the provider takes them, but with `&`, `<` and `>` of people's values escaped, as Slack wants it.
    blocks: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    #: Extra email headers (`List-Unsubscribe` …); names and values are checked by the email adapters.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    attachments: tuple[Attachment, ...] = ()
    #: `journey`, `step`: ids that a provider may carry along and give back with its receipts.
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_test: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SendResult:
    """What a provider said when it took a message."""

    #: The provider's id of the message, or None where it gives none.
    provider_message_id: str | None = None
    #: SMS segments charged, where the provider says.
    segments: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """A provider's later report about a message, or a person's reply to one."""

    kind: ReceiptKind
    #: The provider's id of this very report, for replay safety; derived from the content where it gives none.
    receipt_id: str
    occurred_at: datetime
    provider_message_id: str | None = None
    delivery_id: str | None = None
    #: The address that it concerns, where named (a reply's sender).
    address: str | None = field(default=None, repr=False)
    #: For `bounced`: True where the address is dead for good.
    is_hard: bool = False
    #: For `clicked`.
    url: str | None = field(default=None, repr=False)
    #: For `replied`.
    text: str | None = field(default=None, repr=False)
    #: The provider's own word.
    vendor_kind: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookRequest:
    """An inbound provider request, as it came: verified before it is parsed."""

    #: The public URL that the provider called (from configuration, never from the `Host` header).
    url: str
    method: str
    #: Lower-case names.
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What an adapter can do."""

    kind: ChannelKind
    #: The provider de-duplicates by our key.
    has_idempotency: bool = False
    #: For how long it remembers a key; None: for longer than a message is tried.
    key_lasts: timedelta | None = None
    has_receipts: bool = False
    #: `look_up(delivery_id)` tells whether the provider has the message.
    has_look_up: bool = False
    has_attachments: bool = False
    has_media: bool = False


class Adapter(Protocol):
    """One provider. Implementations live in `channels/` and in anyone's package (entry points `sojourn.channels`)."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def send(self, message: Message) -> SendResult:
        """Hands the message to the provider. Raises only `engine.errors.ChannelError`."""
        ...


class AskableAdapter(Adapter, Protocol):
    """An adapter with `capabilities.has_look_up`: asked before a message that may have gone is handed over again."""

    def look_up(self, delivery_id: str) -> SendResult | None:
        """What the provider has under this delivery id, or None. Raises only `engine.errors.ChannelError`."""
        ...


class ReceivingAdapter(Adapter, Protocol):
    """The other direction of an adapter: what `POST /v1/receipts/CHANNEL` calls, in this order."""

    def verify(self, request: WebhookRequest) -> None:
        """Returns if the request is the provider's and fresh; raises `engine.errors.ReceiptRefused` otherwise."""
        ...

    def parse(self, request: WebhookRequest) -> Sequence[Receipt]:
        """What a verified request reports; raises `ReceiptRefused` where it cannot be read."""
        ...

    def answer(self, request: WebhookRequest) -> str:
        """Text to answer a verified request with: a challenge echoed, else empty."""
        ...
