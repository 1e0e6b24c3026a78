"""Events, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam

from engine.profiles.model import Event
from engine.storage.sql.records import Records
from engine.storage.tables import events
from engine.storage.types import Instant

_EVENTS = Records(Event, events, key=("event_id",))
_FIND = _EVENTS.select().where(events.c.event_id == bindparam("event_id"))
_OF = _EVENTS.select().where(events.c.profile_id == bindparam("profile_id")).order_by(events.c.timestamp, events.c.seq)
_NAMED = events.c.name == bindparam("name")
_SINCE = events.c.timestamp >= bindparam("since", type_=Instant)
#: By whether a name and a first instant are asked for.
_LISTS = {
    (False, False): _OF,
    (False, True): _OF.where(_SINCE),
    (True, False): _OF.where(_NAMED),
    (True, True): _OF.where(_NAMED, _SINCE),
}


class SqlEvents:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, event: Event) -> bool:
        return _EVENTS.add(self._connection, event)

    def find(self, event_id: str) -> Event | None:
        return _EVENTS.first(self._connection, _FIND, {"event_id": event_id})

    def of(self, profile_id: str, name: str | None = None, *, since: datetime | None = None) -> Sequence[Event]:
        given = {"profile_id": profile_id, "name": name, "since": since}
        statement = _LISTS[name is not None, since is not None]
        return _EVENTS.all(
            self._connection, statement, {key: value for key, value in given.items() if value is not None}
        )
