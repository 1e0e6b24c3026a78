"""Profiles and events: the facts that everything else is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

#: What an attribute, a property or a computed value may be: JSON, and datetime, date, timedelta while computing.
Value = Any
#: Nothing that a shop tells of happened earlier: such a time is a unit mistaken for another.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


class Profile(Struct, frozen=True, kw_only=True):
    """One person whom we may message."""

    #: Opaque and derived (`engine.ids.profile_id`); the only name of a person in histories, logs and metrics.
    profile_id: str
    #: The shop's own id for the person (`userId`), or None for an anonymous visitor.
    external_id: str | None = None
    email: str | None = None
    #: E.164.
    phone: str | None = None
    #: Handle per chat channel: `{"chat": "U123"}`.
    chat: Mapping[str, str] = {}
    #: IANA name, or None: then the project's holds.
    timezone: str | None = None
    #: BCP 47 tag (`es-MX`), or None: then the project's holds.
    locale: str | None = None
    attributes: Mapping[str, Value] = {}
    created_at: datetime | None = None
    #: When each attribute, field of its own and handle was set or deleted last (`engine.profiles.merge` names them).
    set_at: Mapping[str, datetime] = {}
    #: Set when the person was erased: no attribute or address is left, and nothing is ever sent.
    erased_at: datetime | None = None

    def address(self, channel: str, kind: str) -> str | None:
        """The person's own address on a channel of a kind (`email`, `sms`, `chat`), or None."""
        match kind:
            case "email":
                return self.email
            case "sms":
                return self.phone
            case _:
                return self.chat.get(channel)

    def readable(self) -> dict[str, Value]:
        """What `profile.NAME` sees in expressions and templates: the attributes under the profile's own fields."""
        own = {
            "id": self.external_id,
            "email": self.email,
            "phone": self.phone,
            "timezone": self.timezone,
            "locale": self.locale,
        }
        return {**self.attributes, **{name: value for name, value in own.items() if value is not None}}


#: Names that `set` and `identify` write to the profile itself, not to its attributes.
OWN_FIELDS = ("email", "phone", "timezone", "locale")


class Event(Struct, frozen=True, kw_only=True):
    """An immutable fact about a profile."""

    #: Derived from the sender's `message_id`: a repeat is the same event.
    event_id: str
    profile_id: str
    name: str
    #: When it happened (clamped to `received_at` where the sender's clock was more than 5 minutes ahead).
    timestamp: datetime
    #: When it was taken in.
    received_at: datetime
    properties: Mapping[str, Value] = {}
    #: `intake` came from outside, `receipt` from a provider, `emit` from a journey; `identify` says that attributes
    #: were set by a call from outside, and is never routed.
    source: str = "intake"
    #: True where the sender's timestamp was clamped.
    is_clamped: bool = False
