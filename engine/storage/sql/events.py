"""Events, in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from engine.profiles.model import Event
from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records, among, listed
from engine.storage.tables import events
from engine.storage.types import Instant

_EVENTS = Records(Event, events, key=("event_id",))
_FIND = Prepared(_EVENTS.select().where(events.c.event_id == bindparam("event_id")))
_KNOWN = {
    dialect: Prepared(select(events.c.event_id).where(is_asked))
    for dialect, is_asked in among(events.c.event_id, "event_ids").items()
}
_OF = _EVENTS.select().where(events.c.profile_id == bindparam("profile_id")).order_by(events.c.timestamp, events.c.seq)
_LAST = (
    _EVENTS.select()
    .where(events.c.profile_id == bindparam("profile_id"))
    .order_by(events.c.timestamp.desc(), events.c.seq.desc())
    .limit(1)
)
_NAMED = events.c.name == bindparam("name")
_SINCE = events.c.timestamp >= bindparam("since", type_=Instant)
_UNTIL = events.c.timestamp <= bindparam("until", type_=Instant)
_FROM = events.c.source == bindparam("source")
#: By whether a name and a first instant are asked for.
_LISTS = {
    (False, False): Prepared(_OF),
    (False, True): Prepared(_OF.where(_SINCE)),
    (True, False): Prepared(_OF.where(_NAMED)),
    (True, True): Prepared(_OF.where(_NAMED, _SINCE)),
}
_EACH = {dialect: Prepared(_OF.where(is_named, _SINCE)) for dialect, is_named in among(events.c.name, "names").items()}
#: By whether a name, a last instant and a source are asked for.
_LASTS = {
    (has_name, has_until, has_source): Prepared(
        _LAST.where(
            *(
                condition
                for condition, is_asked in ((_NAMED, has_name), (_UNTIL, has_until), (_FROM, has_source))
                if is_asked
            )
        )
    )
    for has_name in (False, True)
    for has_until in (False, True)
    for has_source in (False, True)
}


class SqlEvents:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, event: Event) -> bool:
        return _EVENTS.add(self._connection, event)

    def add_each(self, events: Sequence[Event]) -> int:
        return _EVENTS.add_each(self._connection, events)

    def known(self, event_ids: Collection[str]) -> set[str]:
        asked = {"event_ids": listed(self._connection, event_ids)}
        return {event_id for (event_id,) in _KNOWN[self._connection.dialect.name].rows(self._connection, asked)}

    def find(self, event_id: str) -> Event | None:
        return _EVENTS.first(self._connection, _FIND, {"event_id": event_id})

    def of(self, profile_id: str, name: str | None = None, *, since: datetime | None = None) -> Sequence[Event]:
        given = {"profile_id": profile_id, "name": name, "since": since}
        statement = _LISTS[name is not None, since is not None]
        return _EVENTS.all(
            self._connection, statement, {key: value for key, value in given.items() if value is not None}
        )

    def of_each(self, profile_id: str, names: Sequence[str], *, since: datetime) -> Sequence[Event]:
        if not names:
            return []
        asked = {"profile_id": profile_id, "names": listed(self._connection, names), "since": since}
        found = _EVENTS.all(self._connection, _EACH[self._connection.dialect.name], asked)
        return sorted(found, key=lambda event: names.index(event.name))

    def last(
        self, profile_id: str, name: str | None = None, *, until: datetime | None = None, source: str | None = None
    ) -> Event | None:
        given = {"profile_id": profile_id, "name": name, "until": until, "source": source}
        statement = _LASTS[name is not None, until is not None, source is not None]
        return _EVENTS.first(
            self._connection, statement, {key: value for key, value in given.items() if value is not None}
        )
