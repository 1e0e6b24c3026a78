"""Events from rows: what happened within the last day takes its ordinary way; older ones are history, kept silently."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from engine import ids
from engine.events.identity import IdentifierKind
from engine.events.importing import cells
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
    aliases: Mapping[str, str] = field(
        default_factory=lambda: {
            "id": "user_id", "userId": "user_id", "profile": "user_id", "at": "timestamp", "time": "timestamp",
            "messageId": "message_id",
        }
    )  # fmt: skip

    @property
    def needed(self) -> Sequence[str]:
        return ("user_id", "timestamp") if self.event else ("user_id", "event", "timestamp")

    def knows(self, name: str) -> bool:
        return name in _FIELDS or name.startswith("properties.")

    def read(self, given: Mapping[str, Any], now: datetime) -> EventRow:
        """The event, checked. Without a message id it gets one from its content: equal rows are one event."""
        for name in self.needed:
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

    def people(self, row: EventRow) -> Iterable[tuple[IdentifierKind, str]]:
        return (("external", row.user_id),)

    def take(self, unit: Unit, rows: Sequence[EventRow], now: datetime) -> Sequence[Outcome]:
        """In their order, whatever the batches: what is recent finds the history before it taken as given."""
        pasts: dict[str, _Past] = {}
        names: dict[str, frozenset[str]] = {}
        for row in rows:
            names[row.user_id] = names.get(row.user_id, frozenset()) | {row.name}
        outcomes = [self._take(unit, row, names[row.user_id], pasts, now) for row in rows]
        for past in pasts.values():
            self._settle(unit, past, now)
        return outcomes

    def _take(
        self, unit: Unit, row: EventRow, names: frozenset[str], pasts: dict[str, _Past], now: datetime
    ) -> Outcome:
        if unit.events.find(row.event_id) is not None:
            return "unchanged"
        is_new = unit.profiles.find_by("external", row.user_id) is None
        profile = self.intake.ensure(unit, "external", row.user_id, now)
        if profile.erased_at is not None:
            return RowRefused("erased", "this person was erased: nothing more is kept about them", "user_id")
        if now - row.timestamp <= RECENT:
            self._settle(unit, pasts.pop(profile.profile_id, None), now)
            self.intake.track(
                unit,
                user_id=row.user_id,
                name=row.name,
                properties=row.properties,
                timestamp=row.timestamp,
                message_id=row.message_id,
                now=now,
            )
            return "taken"
        past = pasts.get(profile.profile_id)
        if past is None or row.name not in past.names:
            # Under another id of theirs, where two were merged.
            self._settle(unit, past, now)
            before = None if is_new else self.history.before(unit, profile, names, now)
            pasts[profile.profile_id] = _Past(profile, names, before)
        unit.events.add(
            Event(
                event_id=row.event_id,
                profile_id=profile.profile_id,
                name=row.name,
                timestamp=row.timestamp,
                received_at=now,
                properties=row.properties,
            )
        )
        return "taken"

    def _settle(self, unit: Unit, past: _Past | None, now: datetime) -> None:
        if past is not None:
            self.history.refresh(unit, past.profile, past.before, past.names, now)

    def _properties(self, event: str, given: Mapping[str, Any]) -> dict[str, Value]:
        types = (self.project.events or {}).get(event, {})
        whole = given.get("properties")
        properties = {} if cells.is_empty(whole) else dict(cells.mapping("properties", whole))
        for name, cell in given.items():
            if name.startswith("properties.") and not cells.is_empty(cell):
                own = name.removeprefix("properties.")
                properties[own] = cells.typed(name, types.get(own, "any"), cell, self.zone)
        return properties
