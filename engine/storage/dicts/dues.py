"""Moments at which only time will change something, in dicts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from engine.events.model import Due
from engine.storage.dicts.shelf import Journal, Shelf


def _place(due: Due) -> tuple[datetime, str, str, str]:
    return due.due_at, due.kind, due.profile_id, due.subject


class DictDues:
    def __init__(self, journal: Journal) -> None:
        self._dues: Shelf[tuple[str, str, str], Due] = Shelf(journal)
        self._by_time = self._dues.index(lambda d: (None, _place(d)))
        self._by_profile = self._dues.index(lambda d: (d.profile_id, ()))

    def put(self, due: Due) -> None:
        self._dues.put((due.kind, due.profile_id, due.subject), due)

    def put_each(self, dues: Collection[Due]) -> None:
        for due in dues:
            self.put(due)

    def find(self, kind: str, profile_id: str, subject: str) -> Due | None:
        return self._dues.get((kind, profile_id, subject))

    def of(self, profile_id: str) -> Sequence[Due]:
        return sorted(self._by_profile.all(profile_id), key=lambda due: (due.kind, due.subject))

    def remove(self, kind: str, profile_id: str, subject: str) -> None:
        self._dues.drop((kind, profile_id, subject))

    def remove_each(self, kind: str, profile_ids: Collection[str], subject: str) -> None:
        for profile_id in profile_ids:
            self.remove(kind, profile_id, subject)

    def until(self, now: datetime, limit: int = 1000, *, after: Due | None = None) -> Sequence[Due]:
        first = self._by_time.first()
        if first is None or first.due_at > now:
            return []
        found = self._by_time.until(now)
        if after is not None:
            behind = _place(after)
            found = [due for due in found if _place(due) > behind]
        return found[:limit]

    def next_at(self) -> datetime | None:
        first = self._by_time.first()
        return None if first is None else first.due_at

    def forget(self, profile_id: str) -> None:
        for due in self._by_profile.all(profile_id):
            self.remove(due.kind, due.profile_id, due.subject)

    def hand_over(self, source_id: str, target_id: str) -> None:  # noqa: ARG002 (worked out anew for the target)
        self.forget(source_id)
