"""Enrollments, refusals and trails, in dicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

from msgspec.structs import replace

from engine import store
from engine.enrollment.model import Enrollment, Refusal, TrailEntry
from engine.storage.dicts.shelf import Journal, Place, Shelf


def _active(enrollment: Enrollment) -> Place | None:
    if enrollment.state != "active":
        return None
    return enrollment.profile_id, (enrollment.entered_at, enrollment.enrollment_id)


def _waking(enrollment: Enrollment) -> Place | None:
    if enrollment.state != "active" or enrollment.wake_at is None:
        return None
    return None, (enrollment.wake_at,)


class DictEnrollments:
    def __init__(self, journal: Journal) -> None:
        self._enrollments: Shelf[str, Enrollment] = Shelf(journal)
        self._all = self._enrollments.index(lambda e: (None, (e.entered_at,)))
        self._by_profile = self._enrollments.index(lambda e: (e.profile_id, (e.entered_at,)))
        self._by_journey = self._enrollments.index(lambda e: (e.journey, (e.entered_at,)))
        self._numbered = self._enrollments.index(lambda e: ((e.journey, e.profile_id, e.key), (e.number,)))
        self._active = self._enrollments.index(_active)
        self._waking = self._enrollments.index(_waking)
        self._refusals: Shelf[str, Refusal] = Shelf(journal)
        self._refused = self._refusals.index(lambda r: (None, (r.refused_at,)))
        self._refused_by_profile = self._refusals.index(lambda r: (r.profile_id, (r.refused_at,)))
        self._refused_by_journey = self._refusals.index(lambda r: (r.journey, (r.refused_at,)))
        self._journal = journal
        #: By enrollment; numbered when they are read, which is seldom.
        self._trails: dict[str, list[TrailEntry]] = {}

    def save(self, enrollment: Enrollment) -> None:
        self._enrollments.put(enrollment.enrollment_id, enrollment)

    def find(self, enrollment_id: str) -> Enrollment | None:
        return self._enrollments.get(enrollment_id)

    def owner(self, enrollment_id: str) -> str | None:
        found = self.find(enrollment_id)
        return None if found is None else found.profile_id

    def active(self, profile_id: str) -> Sequence[Enrollment]:
        return self._active.all(profile_id)

    def of(
        self, *, profile_id: str | None = None, journey: str | None = None, limit: int | None = None
    ) -> Sequence[Enrollment]:
        found: Iterator[Enrollment]
        if profile_id is not None:
            found = self._by_profile.backwards(profile_id)
            if journey is not None:
                found = (enrollment for enrollment in found if enrollment.journey == journey)
        elif journey is not None:
            found = self._by_journey.backwards(journey)
        else:
            found = self._all.backwards()
        return list(islice(found, limit))

    def inside(self, journey: str) -> Sequence[Enrollment]:
        return [enrollment for enrollment in self._by_journey.all(journey) if enrollment.state == "active"]

    def places(self, journey: str) -> Sequence[store.Place]:
        counts = Counter((each.digest, each.step_id, each.waiting) for each in self.inside(journey))
        places = [
            store.Place(digest=digest, step_id=step_id, waiting=waiting, people=people)
            for (digest, step_id, waiting), people in counts.items()
        ]
        return sorted(places, key=lambda place: (place.digest, place.step_id or "", place.waiting or ""))

    def last(self, journey: str, profile_id: str, key: str | None) -> Enrollment | None:
        return self._numbered.last((journey, profile_id, key))

    def count_entered(self, journey: str, since: datetime) -> int:
        return self._by_journey.count(journey, after=since)

    def next_wake_at(self) -> datetime | None:
        first = self._waking.first()
        return None if first is None else first.wake_at

    def counts(self, journey: str) -> dict[str, int]:
        everybody = self._by_journey.all(journey)
        active = sum(enrollment.state == "active" for enrollment in everybody)
        converted = sum(enrollment.converted_at is not None for enrollment in everybody)
        return {"active": active, "ended": len(everybody) - active, "converted": converted}

    def refuse(self, refusal: Refusal) -> None:
        if refusal.refusal_id not in self._refusals:
            self._refusals.put(refusal.refusal_id, refusal)

    def refusals(self, *, profile_id: str | None = None, journey: str | None = None) -> Sequence[Refusal]:
        if profile_id is not None:
            found = self._refused_by_profile.all(profile_id)
            return [refusal for refusal in found if journey is None or refusal.journey == journey]
        return self._refused.all() if journey is None else self._refused_by_journey.all(journey)

    def add_trail(self, entry: TrailEntry) -> None:
        entries = self._trails.setdefault(entry.enrollment_id, [])
        entries.append(entry)
        self._journal.note(entries.pop)

    def trail(self, enrollment_id: str) -> Sequence[TrailEntry]:
        return [replace(entry, seq=seq) for seq, entry in enumerate(self._trails.get(enrollment_id, ()), start=1)]

    def forget(self, profile_id: str) -> None:
        for enrollment in self._by_profile.all(profile_id):
            self._enrollments.put(enrollment.enrollment_id, replace(enrollment, trigger={}, steps={}))

    def hand_over(self, source_id: str, target_id: str) -> None:
        for refusal in self._refused_by_profile.all(source_id):
            self._refusals.put(refusal.refusal_id, replace(refusal, profile_id=target_id))
