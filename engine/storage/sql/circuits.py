"""Channels in trouble, in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete

from engine.delivery.circuit import Circuit
from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records
from engine.storage.tables import circuits

_CIRCUITS = Records(Circuit, circuits, key=("channel",))
_SAME = circuits.c.channel == bindparam("channel")
_FIND = Prepared(_CIRCUITS.select().where(_SAME))
_ALL = _CIRCUITS.select().order_by(circuits.c.channel)
_REMOVE = Prepared(delete(circuits).where(_SAME))


class SqlCircuits:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, channel: str) -> Circuit | None:
        return _CIRCUITS.first(self._connection, _FIND, {"channel": channel})

    def save(self, circuit: Circuit) -> None:
        _CIRCUITS.put(self._connection, circuit)

    def remove(self, channel: str) -> None:
        _REMOVE.write(self._connection, {"channel": channel})

    def all(self) -> Sequence[Circuit]:
        return _CIRCUITS.all(self._connection, _ALL)
