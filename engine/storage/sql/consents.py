"""The consent ledger and suppressions, in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam

from engine.consent.model import ConsentRecord, Suppression
from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records
from engine.storage.tables import consents, suppressions

_CONSENTS = Records(ConsentRecord, consents, key=("consent_id",))
_OF = Prepared(_CONSENTS.select().where(consents.c.profile_id == bindparam("profile_id")).order_by(consents.c.seq))
_SUPPRESSIONS = Records(Suppression, suppressions, key=("suppression_id",))
_SUPPRESSED = _SUPPRESSIONS.select().order_by(suppressions.c.seq)
_OF_ADDRESS = Prepared(
    _SUPPRESSED.where(
        suppressions.c.channel_kind == bindparam("channel_kind"),
        suppressions.c.address_hash == bindparam("address_hash"),
    )
)


class SqlConsents:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, record: ConsentRecord) -> bool:
        return _CONSENTS.add(self._connection, record)

    def of(self, profile_id: str) -> Sequence[ConsentRecord]:
        return _CONSENTS.all(self._connection, _OF, {"profile_id": profile_id})

    def log(self, *, limit: int | None = None) -> Sequence[ConsentRecord]:
        # Backwards, so that a limit leaves the newest.
        newest_first = _CONSENTS.select().order_by(consents.c.seq.desc()).limit(limit)
        return _CONSENTS.all(self._connection, newest_first)[::-1]

    def suppress(self, suppression: Suppression) -> None:
        _SUPPRESSIONS.put(self._connection, suppression)

    def suppressions(self, channel_kind: str, address_hash: str) -> Sequence[Suppression]:
        return _SUPPRESSIONS.all(
            self._connection, _OF_ADDRESS, {"channel_kind": channel_kind, "address_hash": address_hash}
        )

    def all_suppressions(self) -> Sequence[Suppression]:
        return _SUPPRESSIONS.all(self._connection, _SUPPRESSED)
