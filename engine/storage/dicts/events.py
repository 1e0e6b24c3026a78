"""Events, in dicts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from msgspec.structs import replace

from engine.profiles.model import Event
from engine.storage.dicts.shelf import Journal, Shelf


class DictEvents:
    def __init__(self, journal: Journal) -> None:
        self._events: Shelf[str, Event] = Shelf(journal)
        self._by_profile = self._events.index(lambda e: (e.profile_id, (e.timestamp,)))
        self._by_name = self._events.index(lambda e: ((e.profile_id, e.name), (e.timestamp,)))

    def add(self, event: Event) -> bool:
        if event.event_id in self._events:
            return False
        self._events.put(event.event_id, event)
        return True

    def add_each(self, events: Sequence[Event]) -> int:
        return sum(self.add(event) for event in events)

    def known(self, event_ids: Collection[str]) -> set[str]:
        return {event_id for event_id in event_ids if event_id in self._events}

    def find(self, event_id: str) -> Event | None:
        return self._events.get(event_id)

    def of(self, profile_id: str, name: str | None = None, *, since: datetime | None = None) -> Sequence[Event]:
        index, group = (self._by_profile, profile_id) if name is None else (self._by_name, (profile_id, name))
        return index.all(group) if since is None else index.since(since, group)

    def of_each(self, profile_id: str, names: Sequence[str], *, since: datetime) -> Sequence[Event]:
        return [event for name in names for event in self.of(profile_id, name, since=since)]

    def last(
        self, profile_id: str, name: str | None = None, *, until: datetime | None = None, source: str | None = None
    ) -> Event | None:
        index, group = (self._by_profile, profile_id) if name is None else (self._by_name, (profile_id, name))
        for event in index.backwards(group):
            if (until is None or event.timestamp <= until) and source in (None, event.source):
                return event
        return None

    def forget(self, profile_id: str) -> None:
        for event in self._by_profile.all(profile_id):
            self._events.put(event.event_id, replace(event, properties={}))

    def hand_over(self, source_id: str, target_id: str) -> None:
        for event in self._by_profile.all(source_id):
            self._events.put(event.event_id, replace(event, profile_id=target_id))
