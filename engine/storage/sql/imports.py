"""How far unfinished imports have come, in SQL."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete

from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records
from engine.storage.tables import imports
from engine.store import ImportMark

_IMPORTS = Records(ImportMark, imports, key=("import_id",))
_SAME = imports.c.import_id == bindparam("import_id")
_FIND = Prepared(_IMPORTS.select().where(_SAME))
_REMOVE = Prepared(delete(imports).where(_SAME))


class SqlImports:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, import_id: str) -> ImportMark | None:
        return _IMPORTS.first(self._connection, _FIND, {"import_id": import_id})

    def save(self, mark: ImportMark) -> None:
        _IMPORTS.put(self._connection, mark)

    def remove(self, import_id: str) -> None:
        _REMOVE.write(self._connection, {"import_id": import_id})
