"""The consent ledger and suppressions, in dicts."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from engine.consent.model import ConsentRecord, Suppression
from engine.storage.dicts.shelf import Journal, Shelf, newest


class DictConsents:
    def __init__(self, journal: Journal) -> None:
        self._records: Shelf[str, ConsentRecord] = Shelf(journal)
        self._log = self._records.index(lambda _: (None, ()))
        self._by_profile = self._records.index(lambda r: (r.profile_id, ()))
        self._suppressions: Shelf[str, Suppression] = Shelf(journal)
        self._suppressed = self._suppressions.index(lambda _: (None, ()))
        self._by_address = self._suppressions.index(lambda s: ((s.channel_kind, s.address_hash), ()))

    def add(self, record: ConsentRecord) -> bool:
        if record.consent_id in self._records:
            return False
        self._records.put(record.consent_id, record)
        return True

    def of(self, profile_id: str) -> Sequence[ConsentRecord]:
        return self._by_profile.all(profile_id)

    def log(self, *, limit: int | None = None) -> Sequence[ConsentRecord]:
        return newest(self._log.all(), limit)

    def suppress(self, suppression: Suppression) -> None:
        self._suppressions.put(suppression.suppression_id, suppression)

    def suppressions(self, channel_kind: str, address_hash: str) -> Sequence[Suppression]:
        return self._by_address.all((channel_kind, address_hash))

    def all_suppressions(self) -> Sequence[Suppression]:
        return self._suppressed.all()

    def forget(self, profile_id: str) -> None:
        for record in self._by_profile.all(profile_id):
            self._records.put(record.consent_id, replace(record, evidence={}))
