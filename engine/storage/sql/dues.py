"""Moments at which only time will change something, in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_

from engine.events.model import Due
from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records, among, listed
from engine.storage.tables import dues
from engine.storage.types import Instant

_DUES = Records(Due, dues, key=("kind", "profile_id", "subject"))
_SAME = (
    dues.c.kind == bindparam("kind"),
    dues.c.profile_id == bindparam("profile_id"),
    dues.c.subject == bindparam("subject"),
)
_FIND = Prepared(_DUES.select().where(*_SAME))
_OF = Prepared(_DUES.select().where(dues.c.profile_id == bindparam("profile_id")).order_by(dues.c.kind, dues.c.subject))
_REMOVE = Prepared(delete(dues).where(*_SAME))
_REMOVE_EACH = {
    dialect: Prepared(
        delete(dues).where(dues.c.kind == bindparam("kind"), is_asked, dues.c.subject == bindparam("subject"))
    )
    for dialect, is_asked in among(dues.c.profile_id, "profile_ids").items()
}
_UNTIL = (
    _DUES.select()
    .where(dues.c.due_at <= bindparam("now", type_=Instant))
    .order_by(dues.c.due_at, dues.c.kind, dues.c.profile_id, dues.c.subject)
    .limit(bindparam("most"))
)
_PLACE = (dues.c.due_at, dues.c.kind, dues.c.profile_id, dues.c.subject)
_UNTIL_AFTER = _UNTIL.where(
    tuple_(*_PLACE)
    > tuple_(bindparam("after_at", type_=Instant), bindparam("kind"), bindparam("who"), bindparam("what"))
)
_NEXT_AT = select(func.min(dues.c.due_at, type_=Instant))


class SqlDues:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, due: Due) -> None:
        _DUES.put(self._connection, due)

    def put_each(self, dues: Collection[Due]) -> None:
        _DUES.put_each(self._connection, dues)

    def find(self, kind: str, profile_id: str, subject: str) -> Due | None:
        return _DUES.first(self._connection, _FIND, {"kind": kind, "profile_id": profile_id, "subject": subject})

    def of(self, profile_id: str) -> Sequence[Due]:
        return _DUES.all(self._connection, _OF, {"profile_id": profile_id})

    def remove(self, kind: str, profile_id: str, subject: str) -> None:
        _REMOVE.write(self._connection, {"kind": kind, "profile_id": profile_id, "subject": subject})

    def remove_each(self, kind: str, profile_ids: Collection[str], subject: str) -> None:
        asked = {"kind": kind, "profile_ids": listed(self._connection, profile_ids), "subject": subject}
        _REMOVE_EACH[self._connection.dialect.name].write(self._connection, asked)

    def until(self, now: datetime, limit: int = 1000, *, after: Due | None = None) -> Sequence[Due]:
        asked: dict[str, Any] = {"now": now, "most": limit}
        if after is None:
            return _DUES.all(self._connection, _UNTIL, asked)
        asked |= {"after_at": after.due_at, "kind": after.kind, "who": after.profile_id, "what": after.subject}
        return _DUES.all(self._connection, _UNTIL_AFTER, asked)

    def next_at(self) -> datetime | None:
        at: datetime | None = self._connection.scalar(_NEXT_AT)
        return at
