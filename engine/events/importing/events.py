"""Events from rows: what happened within the last day takes its ordinary way; older ones are history, kept silently."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from engine import ids
from engine.events.importing import cells
from engine.events.importing.columns import Kind
from engine.events.importing.history import History
from engine.events.importing.rows import RowRefused
from engine.events.importing.taker import Outcome
from engine.events.intake import Intake
from engine.profiles.model import Event, Profile, Value
from engine.project import Project
from engine.store import Unit

#: What is older is history: by default a journey ignores it, too (`ignore_older_than`).
RECENT = timedelta(days=1)
_FIELDS = ("user_id", "event", "timestamp", "message_id", "properties")


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRow:
    user_id: str
    name: str
    timestamp: datetime
    properties: Mapping[str, Value]
    message_id: str

    @property
    def event_id(self) -> str:
        """The id that the same message has when it comes in through the API."""
        return ids.derived_id("ev", "intake", self.message_id)


@dataclass(frozen=True, slots=True)
class _Past:
    """A person whose history grows by events of some names, and their memberships before; None: not here before."""

    profile: Profile
    names: frozenset[str]
    before: Mapping[str, bool] | None


class _Batch:
    """The rows of one transaction: what they need is read together, and the past that they tell is written together."""

    def __init__(self, intake: Intake, history: History, unit: Unit, rows: Sequence[EventRow], now: datetime) -> None:
        self._intake = intake
        self._history = history
        self._unit = unit
        self._now = now
        self._known = unit.events.known({row.event_id for row in rows})
        self._owners = unit.profiles.owners("external", {row.user_id for row in rows})
        found = unit.profiles.find_each(set(self._owners.values()))
        self._profiles = {profile.profile_id: profile for profile in found}
        self._names: dict[str, frozenset[str]] = {}
        for row in rows:
            self._names[row.user_id] = self._names.get(row.user_id, frozenset()) | {row.name}
        self._events: list[Event] = []
        self._pasts: dict[str, _Past] = {}

    def take(self, row: EventRow) -> Outcome:
        if row.event_id in self._known:
            return "unchanged"
        is_new = row.user_id not in self._owners
        profile = self._profile(row.user_id)
        if profile.erased_at is not None:
            return RowRefused("erased", "this person was erased: nothing more is kept about them", "user_id")
        self._known.add(row.event_id)
        if self._now - row.timestamp <= RECENT:
            if profile.profile_id in self._pasts:
                self.settle()
            self._intake.track(
                self._unit,
                user_id=row.user_id,
                name=row.name,
                properties=row.properties,
                timestamp=row.timestamp,
                message_id=row.message_id,
                now=self._now,
            )
            return "taken"
        past = self._pasts.get(profile.profile_id)
        if past is not None and row.name not in past.names:
            # Under another id of theirs, where two were merged.
            self.settle()
            past = None
        if past is None:
            names = self._names[row.user_id]
            before = None if is_new else self._history.before(self._unit, profile, names, self._now)
            self._pasts[profile.profile_id] = _Past(profile, names, before)
        self._events.append(
            Event(
                event_id=row.event_id,
                profile_id=profile.profile_id,
                name=row.name,
                timestamp=row.timestamp,
                received_at=self._now,
                properties=row.properties,
            )
        )
        return "taken"

    def settle(self) -> None:
        """Writes the past that was told, and takes what it has changed as given."""
        if self._events:
            self._unit.events.add_each(self._events)
            self._events = []
        for past in self._pasts.values():
            self._history.refresh(self._unit, past.profile, past.before, past.names, self._now)
        self._pasts = {}

    def _profile(self, user_id: str) -> Profile:
        owner = self._owners.get(user_id)
        if owner is None:
            profile = self._intake.ensure(self._unit, "external", user_id, self._now)
            self._owners[user_id] = owner = profile.profile_id
            self._profiles[owner] = profile
        return self._profiles[owner]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRows:
    """Takes events in."""

    project: Project
    intake: Intake
    history: History
    #: For timestamps without an offset.
    zone: ZoneInfo | None = None
    #: The name of every event, where the rows hold only one kind and say no name.
    event: str | None = None
    kind: Kind = "events"
    fields: Sequence[str] = _FIELDS
    aliases: Mapping[str, str] = field(
        default_factory=lambda: {
            "id": "user_id", "userId": "user_id", "profile": "user_id", "at": "timestamp", "time": "timestamp",
            "messageId": "message_id",
        }
    )  # fmt: skip

    def needed(self, given: Collection[str]) -> Sequence[str]:
        del given
        return self._needed

    @property
    def _needed(self) -> Sequence[str]:
        return ("user_id", "timestamp") if self.event else ("user_id", "event", "timestamp")

    def knows(self, name: str) -> bool:
        return name in _FIELDS or name.startswith("properties.")

    def is_catalogued(self, name: str) -> bool:
        del name
        return True  # what an event has not in its catalogue is a matter of each event's name

    def read(self, given: Mapping[str, Any], now: datetime) -> EventRow:
        """The event, checked. Without a message id it gets one from its content: equal rows are one event."""
        for name in self._needed:
            if cells.is_empty(given.get(name)):
                raise RowRefused("missing", f"`{name}` is missing: every event needs one", name)
        user_id = cells.text("user_id", given["user_id"])
        name = self.event or cells.text("event", given["event"], longest=200)
        timestamp = cells.past("timestamp", given["timestamp"], self.zone, now)
        properties = self._properties(name, given)
        said = given.get("message_id")
        if cells.is_empty(said):
            content = json.dumps([user_id, name, timestamp.isoformat(), properties], sort_keys=True)
            message_id = ids.derived_id("import-", content)
        else:
            message_id = cells.text("message_id", said)
        return EventRow(user_id=user_id, name=name, timestamp=timestamp, properties=properties, message_id=message_id)

    def take(self, unit: Unit, rows: Sequence[EventRow], now: datetime) -> Sequence[Outcome]:
        """In their order, whatever the batches: what is recent finds the history before it taken as given."""
        self.intake.people(unit, {("external", row.user_id) for row in rows})
        batch = _Batch(self.intake, self.history, unit, rows, now)
        outcomes = [batch.take(row) for row in rows]
        batch.settle()
        return outcomes

    def _properties(self, event: str, given: Mapping[str, Any]) -> dict[str, Value]:
        types = (self.project.events or {}).get(event, {})
        whole = given.get("properties")
        properties = {} if cells.is_empty(whole) else dict(cells.mapping("properties", whole))
        for name, cell in given.items():
            if name.startswith("properties.") and not cells.is_empty(cell):
                own = name.removeprefix("properties.")
                properties[own] = cells.typed(name, types.get(own, "any"), cell, self.zone)
        return properties
