"""Between frozen records and rows: one `Records` for each kind of record and its table, with its statements.

Statements are built once, at import: building one costs more than running it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, Insert, Select, Table, select
from sqlalchemy.dialects import postgresql, sqlite

R = TypeVar("R", bound=Struct)


class Records(Generic[R]):
    """Writes and reads records of one class; its table's columns bear the names of the fields."""

    def __init__(self, record: type[R], table: Table, *, key: Sequence[str] = (), without: Sequence[str] = ()) -> None:
        """`key`: the columns by which a record is replaced. `without`: fields that the database gives."""
        self._record = record
        self._names = record.__struct_fields__
        self._written = tuple(name for name in self._names if name not in without)
        self._values = attrgetter(*self._written)
        self._insert = _inserts(table, self._written, key, "nothing")
        self._replace = _inserts(table, self._written, key, "replace")
        self._table = table

    def select(self) -> Select[Any]:
        """All records; add conditions and an order."""
        return select(*(self._table.c[name] for name in self._names))

    def read(self, rows: Iterable[Sequence[Any]]) -> list[R]:
        names, record = self._names, self._record
        return [record(**dict(zip(names, row, strict=True))) for row in rows]

    def all(self, connection: Connection, statement: Select[Any], parameters: dict[str, Any] | None = None) -> list[R]:
        return self.read(connection.execute(statement, parameters))

    def first(
        self, connection: Connection, statement: Select[Any], parameters: dict[str, Any] | None = None
    ) -> R | None:
        row = connection.execute(statement, parameters).first()
        return None if row is None else self._record(**dict(zip(self._names, row, strict=True)))

    def add(self, connection: Connection, record: R) -> bool:
        """Inserts it; False where the database has one under the same key."""
        return connection.execute(self._insert[connection.dialect.name], self.row(record)).rowcount == 1

    def put(self, connection: Connection, record: R) -> None:
        """Inserts or replaces it."""
        connection.execute(self._replace[connection.dialect.name], self.row(record))

    def row(self, record: R) -> dict[str, Any]:
        return dict(zip(self._written, self._values(record), strict=True))


def _inserts(table: Table, names: Sequence[str], key: Sequence[str], conflict: str) -> dict[str, Insert]:
    statements: dict[str, Insert] = {}
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert)):
        # Inline: nobody asks for the number that the row gets; whether there was one is what `add` answers.
        statement: Any = insert(table).inline().execution_options(preserve_rowcount=True)
        if key and conflict == "nothing":
            statement = statement.on_conflict_do_nothing(index_elements=list(key))
        elif key:
            replaced = {column: statement.excluded[column] for column in names if column not in key}
            statement = statement.on_conflict_do_update(index_elements=list(key), set_=replaced)
        statements[name] = statement
    return statements
