"""What awaits routing and what awaits its carrier, in dicts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from msgspec.structs import replace

from engine.enrollment.model import Stimulus
from engine.events.model import Occurrence
from engine.storage.dicts.shelf import Journal, Shelf


class DictQueue:
    def __init__(self, journal: Journal) -> None:
        self._occurrences: Shelf[int, Occurrence] = Shelf(journal)
        self._waiting = self._occurrences.index(lambda o: (None, ()) if o.set_aside_at is None else None)
        self._failed = self._occurrences.index(lambda o: (None, ()) if o.attempts else None)
        self._stimuli: Shelf[int, Stimulus] = Shelf(journal)
        self._timed = self._stimuli.index(lambda s: (None, (s.not_before,)))
        self._taken = self._stimuli.index(lambda s: (s.enrollment_id, ()) if s.attempts else None)

    def add_occurrence(self, occurrence: Occurrence) -> None:
        seq = self._occurrences.next_number()
        self._occurrences.put(seq, replace(occurrence, seq=seq))

    def add_occurrences(self, occurrences: Sequence[Occurrence]) -> None:
        for occurrence in occurrences:
            self.add_occurrence(occurrence)

    def next_occurrence(self, now: datetime | None = None) -> Occurrence | None:
        first = self._waiting.first()
        if first is None or first.retry_at is None or now is None:
            return first
        passed_over: set[str] = set()
        for each in self._waiting.all():
            if each.profile_id not in passed_over:
                if each.retry_at is None or each.retry_at <= now:
                    return each
                passed_over.add(each.profile_id)
        return None

    def confirm_occurrence(self, taken: Occurrence, now: datetime | None = None) -> Occurrence | None:  # noqa: ARG002
        return taken  # nobody else was at it

    def remove_occurrence(self, seq: int) -> None:
        self._occurrences.drop(seq)

    def count_occurrences(self) -> int:
        return self._waiting.count()

    def set_back(self, occurrence: Occurrence) -> None:
        known = self._occurrences.get(occurrence.seq)
        if known is not None and known.attempts == occurrence.attempts - 1:
            changed = replace(
                known,
                attempts=occurrence.attempts,
                fault=occurrence.fault,
                retry_at=occurrence.retry_at,
                set_aside_at=occurrence.set_aside_at,
            )
            self._occurrences.put(known.seq, changed)

    def setbacks(self, limit: int = 1000) -> Sequence[Occurrence]:
        return self._failed.all()[:limit]

    def count_set_aside(self) -> int:
        return sum(each.set_aside_at is not None for each in self._failed.all())

    def retry_set_aside(self, seqs: Collection[int] | None = None) -> int:
        found = [
            each for each in self._failed.all() if each.set_aside_at is not None and (seqs is None or each.seq in seqs)
        ]
        for each in found:
            self._occurrences.put(each.seq, replace(each, attempts=0, retry_at=None, set_aside_at=None))
        return len(found)

    def add_stimulus(self, stimulus: Stimulus) -> None:
        seq = self._stimuli.next_number()
        self._stimuli.put(seq, replace(stimulus, seq=seq))

    def stimuli(self, now: datetime, limit: int = 100) -> Sequence[Stimulus]:
        return sorted(self._due(now), key=lambda stimulus: stimulus.seq)[:limit]

    def claim_stimuli(self, now: datetime, until: datetime, limit: int = 100) -> Sequence[Stimulus]:
        first: dict[str, Stimulus] = {}
        for each in self._due(now):
            known = first.get(each.enrollment_id)
            if known is None or each.seq < known.seq:
                first[each.enrollment_id] = each
        claimed: list[Stimulus] = []
        for each in first.values():
            taken = self._taken.first(each.enrollment_id)
            if taken is None or taken.seq >= each.seq:
                claimed.append(replace(each, not_before=until, attempts=each.attempts + 1))
                self._stimuli.put(each.seq, claimed[-1])
                if len(claimed) == limit:
                    break
        return sorted(claimed, key=lambda stimulus: stimulus.seq)

    def put_back_stimuli(self, seqs: Collection[int], not_before: datetime) -> None:
        for seq in seqs:
            known = self._stimuli.get(seq)
            if known is not None:
                self._stimuli.put(seq, replace(known, not_before=not_before))

    def next_stimulus_at(self) -> datetime | None:
        first = self._timed.first()
        return None if first is None else first.not_before

    def remove_stimuli(self, seqs: Collection[int]) -> None:
        for seq in seqs:
            self._stimuli.drop(seq)

    def hand_over(self, source_id: str, target_id: str) -> None:
        for occurrence in {each.seq: each for each in (*self._waiting.all(), *self._failed.all())}.values():
            if occurrence.profile_id == source_id:
                self._occurrences.put(occurrence.seq, replace(occurrence, profile_id=target_id))

    def _due(self, now: datetime) -> list[Stimulus]:
        first = self._timed.first()
        if first is None or first.not_before > now:
            return []  # asked again and again, and mostly in vain
        return self._timed.until(now)
