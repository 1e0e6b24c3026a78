"""The events that receipts become: their names, and what they say. Written down once, for them and for the checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from engine.delivery.message import ReceiptKind
from engine.project import ChannelKind

#: Segment's names: a medium before what happened, but for `Unsubscribed`, which stands alone.
_MEDIUM: Mapping[ChannelKind, str] = {"email": "Email", "sms": "SMS", "chat": "Chat"}
_DID: Mapping[ReceiptKind, str] = {
    "delivered": "Delivered",
    "deferred": "Deferred",
    "bounced": "Bounced",
    "complained": "Marked as Spam",
    "opened": "Opened",
    "clicked": "Link Clicked",
    "replied": "Replied",
    "failed": "Failed",
    "unknown": "Reported",
}
#: Every property that such an event may have, with its type in the catalogue's words.
PROPERTIES: Mapping[str, str] = {
    **dict.fromkeys(("channel", "journey", "step", "delivery", "template", "topic"), "string"),
    **dict.fromkeys(("url", "text", "meaning", "vendor_kind"), "string"),
    "is_hard": "boolean",
}


def event_name(medium: ChannelKind, kind: ReceiptKind) -> str:
    """The name of the event that a receipt becomes: `Email Link Clicked`."""
    return "Unsubscribed" if kind == "unsubscribed" else f"{_MEDIUM[medium]} {_DID[kind]}"


#: All of them.
NAMES: frozenset[str] = frozenset(
    event_name(medium, kind) for medium in get_args(ChannelKind) for kind in get_args(ReceiptKind)
)
