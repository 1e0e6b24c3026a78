"""Memberships of segments, in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, or_, select, true

from engine.events.model import Membership
from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records, among, listed
from engine.storage.tables import memberships

_MEMBERSHIPS = Records(Membership, memberships, key=("profile_id", "segment"))
_OF = Prepared(
    _MEMBERSHIPS.select().where(memberships.c.profile_id == bindparam("profile_id")).order_by(memberships.c.segment)
)
_MEMBERS = (
    select(memberships.c.profile_id)
    .where(memberships.c.segment == bindparam("segment"), memberships.c.is_member == true())
    .order_by(memberships.c.profile_id)
)

_OF_EACH = {
    dialect: Prepared(_MEMBERSHIPS.select().where(memberships.c.segment == bindparam("segment"), is_asked))
    for dialect, is_asked in among(memberships.c.profile_id, "profile_ids").items()
}
_SETTLED = select(memberships.c.profile_id).where(
    memberships.c.segment == bindparam("segment"), memberships.c.definition == bindparam("definition")
)
_TOLD = _SETTLED.where(or_(memberships.c.told.is_(None), memberships.c.told == memberships.c.is_member))


class SqlMemberships:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, profile_id: str) -> Sequence[Membership]:
        return _MEMBERSHIPS.all(self._connection, _OF, {"profile_id": profile_id})

    def of_each(self, profile_ids: Collection[str], segment: str) -> Sequence[Membership]:
        asked = {"segment": segment, "profile_ids": listed(self._connection, profile_ids)}
        return _MEMBERSHIPS.all(self._connection, _OF_EACH[self._connection.dialect.name], asked)

    def save(self, membership: Membership) -> None:
        _MEMBERSHIPS.put(self._connection, membership)

    def save_each(self, memberships: Collection[Membership]) -> None:
        _MEMBERSHIPS.put_each(self._connection, memberships)

    def members(self, segment: str) -> Sequence[str]:
        return self._connection.scalars(_MEMBERS, {"segment": segment}).all()

    def settled(self, segment: str, definition: str, *, is_told: bool) -> Sequence[str]:
        asked = {"segment": segment, "definition": definition}
        return self._connection.scalars(_TOLD if is_told else _SETTLED, asked).all()
