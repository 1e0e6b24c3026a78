"""What an expression may ask: one profile at one instant. Declared here, implemented over a store or in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from engine.profiles.model import Event, Value


class Facts(Protocol):
    """One profile at `now`; every member may be lazy."""

    @property
    def now(self) -> datetime:
        """The moment of evaluation, aware, UTC."""
        ...

    @property
    def zone(self) -> ZoneInfo:
        """The profile's zone, else the project's."""
        ...

    @property
    def profile_id(self) -> str: ...

    @property
    def profile(self) -> Mapping[str, Value]:
        """What `profile.NAME` reads."""
        ...

    @property
    def event(self) -> Mapping[str, Value]:
        """What `event.NAME` reads: the properties of the event under test; empty where there is none."""
        ...

    @property
    def trigger(self) -> Mapping[str, Value]:
        """What `trigger.NAME` reads."""
        ...

    @property
    def steps(self) -> Mapping[str, Mapping[str, Value]]:
        """What `steps.ID.…` reads: `{"review": {"event": {…}, "response": …}}`."""
        ...

    def events(self, name: str, *, since: datetime | None = None) -> Sequence[Event]:
        """The profile's events of a name, by timestamp: those with `timestamp <= now`, and the event under test.

        Older ones than `since` need not be among them.
        """
        ...

    def newest(self, name: str) -> Event | None:
        """The last of `events`."""
        ...

    def upcoming(self, name: str) -> Sequence[Event]:
        """The profile's stored events of a name with `timestamp > now`, by timestamp. Only `stability` asks."""
        ...

    def in_segment(self, name: str) -> bool: ...

    def has_consent(self, channel: str, topic: str) -> bool:
        """Whether a message on that channel and topic would find valid consent now."""
        ...

    def consent_changes_at(self, channel: str, topic: str) -> datetime | None:
        """The earliest instant after `now` at which time alone may change `has_consent` (a grant expires), or None.
        Only `stability` asks."""
        ...

    def is_enrolled(self, journey: str) -> bool: ...

    def received(self, journey: str) -> Sequence[datetime]:
        """Instants of messages sent to the profile by a journey, ascending."""
        ...
