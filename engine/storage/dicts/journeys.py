"""Deployed journeys and their plans, in dicts."""

from __future__ import annotations

from collections.abc import Sequence

from engine.storage.dicts.shelf import Journal, Shelf
from engine.store import JourneyRecord


class DictJourneys:
    def __init__(self, journal: Journal) -> None:
        self._plans: Shelf[str, str] = Shelf(journal)
        self._journeys: Shelf[str, JourneyRecord] = Shelf(journal)
        self._by_name = self._journeys.index(lambda j: (None, (j.journey,)))

    def save_plan(self, digest: str, journey: str, document: str) -> None:  # noqa: ARG002 (a database keeps the name)
        if digest not in self._plans:
            self._plans.put(digest, document)

    def find_plan(self, digest: str) -> str | None:
        return self._plans.get(digest)

    def save(self, record: JourneyRecord) -> None:
        self._journeys.put(record.journey, record)

    def find(self, journey: str) -> JourneyRecord | None:
        return self._journeys.get(journey)

    def all(self) -> Sequence[JourneyRecord]:
        return self._by_name.all()
