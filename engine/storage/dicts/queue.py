"""What awaits routing and what awaits its carrier, in dicts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from engine.enrollment.model import Stimulus
from engine.events.model import Occurrence
from engine.storage.dicts.shelf import Journal, Shelf


class DictQueue:
    def __init__(self, journal: Journal) -> None:
        self._occurrences: Shelf[int, Occurrence] = Shelf(journal)
        self._waiting = self._occurrences.index(lambda _: (None, ()))
        self._stimuli: Shelf[int, Stimulus] = Shelf(journal)
        self._timed = self._stimuli.index(lambda s: (None, (s.not_before,)))

    def add_occurrence(self, occurrence: Occurrence) -> None:
        seq = self._occurrences.next_number()
        self._occurrences.put(seq, replace(occurrence, seq=seq))

    def next_occurrence(self) -> Occurrence | None:
        return self._waiting.first()

    def remove_occurrence(self, seq: int) -> None:
        self._occurrences.drop(seq)

    def count_occurrences(self) -> int:
        return self._waiting.count()

    def add_stimulus(self, stimulus: Stimulus) -> None:
        seq = self._stimuli.next_number()
        self._stimuli.put(seq, replace(stimulus, seq=seq))

    def stimuli(self, now: datetime, limit: int = 100) -> Sequence[Stimulus]:
        first = self._timed.first()
        if first is None or first.not_before > now:
            return []  # asked again and again, and mostly in vain
        return sorted(self._timed.until(now), key=lambda stimulus: stimulus.seq)[:limit]

    def next_stimulus_at(self) -> datetime | None:
        first = self._timed.first()
        return None if first is None else first.not_before

    def remove_stimulus(self, seq: int) -> None:
        self._stimuli.drop(seq)

    def hand_over(self, source_id: str, target_id: str) -> None:
        for occurrence in self._waiting.all():
            if occurrence.profile_id == source_id:
                self._occurrences.put(occurrence.seq, replace(occurrence, profile_id=target_id))
