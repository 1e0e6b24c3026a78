"""A person as conditions see them, from plain values: the factory behind the `facts_of` fixture."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.expressions.evaluate import is_true
from engine.profiles.model import Event, Value
from engine.project import Segment

#: A Monday; noon in Madrid.
NOON = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
MADRID = ZoneInfo("Europe/Madrid")


@dataclass(frozen=True, kw_only=True)
class FakeFacts:
    """`engine.expressions.facts.Facts` over values in memory; `tested` is the event under test."""

    now: datetime = NOON
    zone: ZoneInfo = MADRID
    profile_id: str = "p1"
    profile: Mapping[str, Value] = field(default_factory=dict)
    event: Mapping[str, Value] = field(default_factory=dict)
    trigger: Mapping[str, Value] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    stored: tuple[Event, ...] = ()
    tested: Event | None = None
    segments: Mapping[str, Segment] = field(default_factory=dict)
    #: (channel, topic) -> when the grant expires, or None.
    consents: Mapping[tuple[str, str], datetime | None] = field(default_factory=dict)
    journeys: Collection[str] = ()
    sent: Mapping[str, Sequence[datetime]] = field(default_factory=dict)

    def at(self, now: datetime) -> FakeFacts:
        """The same person at another instant."""
        return replace(self, now=now)

    def events(self, name: str, *, since: datetime | None = None) -> Sequence[Event]:
        every = {event.event_id: event for event in (*self.stored, *([self.tested] if self.tested else []))}
        counted = [e for e in every.values() if e.name == name and (e.timestamp <= self.now or e is self.tested)]
        # What is older need not be there, so that nobody relies on it.
        counted = [e for e in counted if since is None or e.timestamp >= since]
        return sorted(counted, key=lambda event: event.timestamp)

    def newest(self, name: str) -> Event | None:
        return next(reversed(self.events(name)), None)

    def upcoming(self, name: str) -> Sequence[Event]:
        ahead = [event for event in self.stored if event.name == name and event.timestamp > self.now]
        return sorted(ahead, key=lambda event: event.timestamp)

    def in_segment(self, name: str) -> bool:
        return is_true(self.segments[name].condition, self)

    def has_consent(self, channel: str, topic: str) -> bool:
        expires_at = self.consents.get((channel, topic), self.now)
        return expires_at is None or expires_at > self.now

    def consent_changes_at(self, channel: str, topic: str) -> datetime | None:
        return self.consents.get((channel, topic)) if self.has_consent(channel, topic) else None

    def is_enrolled(self, journey: str) -> bool:
        return journey in self.journeys

    def received(self, journey: str) -> Sequence[datetime]:
        return [at for at in self.sent.get(journey, ()) if at <= self.now]


def facts_of(
    *,
    events: Iterable[tuple[timedelta, str, Mapping[str, Value]]] = (),
    tested: tuple[timedelta, str, Mapping[str, Value]] | None = None,
    segments: Mapping[str, str] | None = None,
    sent: Mapping[str, Sequence[timedelta]] | None = None,
    now: datetime = NOON,
    **others: object,
) -> FakeFacts:
    """Facts at `now`; events and messages stand at offsets from it: `(timedelta(days=-1), "Page Viewed", {…})`."""
    stored = tuple(_event(now, number, row) for number, row in enumerate(events))
    under_test = _event(now, len(stored), tested) if tested else None
    known = {name: Segment(name=name, title=name, condition=text) for name, text in (segments or {}).items()}
    instants = {journey: [now + offset for offset in offsets] for journey, offsets in (sent or {}).items()}
    facts = FakeFacts(now=now, stored=stored, tested=under_test, segments=known, sent=instants)
    if under_test:
        facts = replace(facts, event=under_test.properties)
    return replace(facts, **others)  # type: ignore[arg-type]


def _event(now: datetime, number: int, row: tuple[timedelta, str, Mapping[str, Value]]) -> Event:
    offset, name, properties = row
    moment = now + offset
    return Event(
        event_id=f"v{number}", profile_id="p1", name=name, timestamp=moment, received_at=moment, properties=properties
    )
