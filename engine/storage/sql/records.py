"""Between frozen records and rows: one `Records` for each kind of record and its table, with its statements.

Statements are built once, at import: building one costs more than running it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from msgspec import Struct
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Insert,
    Select,
    Table,
    Text,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from engine.storage.sql.bulk import Bulk
from engine.storage.sql.prepared import Prepared, hold, run

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
        self._add = {name: Prepared(statement, self._written) for name, statement in self._insert.items()}
        self._put = {name: Prepared(statement, self._written) for name, statement in self._replace.items()}
        self._table = table
        self._bulk: dict[tuple[int, str], Bulk] = {}

    def select(self) -> Select[Any]:
        """All records; add conditions and an order."""
        return select(*(self._table.c[name] for name in self._names))

    def read(self, rows: Iterable[Sequence[Any]]) -> list[R]:
        names, record = self._names, self._record
        return [record(**dict(zip(names, row, strict=True))) for row in rows]

    def all(
        self, connection: Connection, statement: Prepared | Select[Any], parameters: dict[str, Any] | None = None
    ) -> list[R]:
        if isinstance(statement, Prepared):
            return self.read(statement.rows(connection, parameters or {}))
        return self.read(connection.execute(statement, parameters))

    def first(self, connection: Connection, statement: Prepared | Select[Any], parameters: dict[str, Any]) -> R | None:
        found = self.all(connection, statement, parameters)
        return found[0] if found else None

    def add(self, connection: Connection, record: R) -> bool:
        """Inserts it; False where the database has one under the same key."""
        return self._add[connection.dialect.name].change(connection, self.row(record)) == 1

    def add_each(self, connection: Connection, records: Iterable[R]) -> int:
        """Like `add` of each in turn; how many were inserted."""
        statements = self._many(connection, self._insert, records)
        return sum(run(connection, sql, values).touched for sql, values in statements)

    def ensure_each(self, connection: Connection, records: Iterable[R]) -> None:
        """Like `add_each`, for whom nobody waits."""
        for sql, values in self._many(connection, self._insert, records):
            hold(connection, sql, values)

    def put_each(self, connection: Connection, records: Iterable[R]) -> None:
        """Like `put` of each in turn; no two of them have one key."""
        for sql, values in self._many(connection, self._replace, records):
            hold(connection, sql, values)

    def put(self, connection: Connection, record: R) -> None:
        """Inserts or replaces it."""
        self._put[connection.dialect.name].write(connection, self.row(record))

    def _many(
        self, connection: Connection, statements: dict[str, Insert], records: Iterable[R]
    ) -> Iterator[tuple[str, Sequence[Any]]]:
        dialect = connection.dialect
        bulk = self._bulk.get((id(statements), dialect.name))
        if bulk is None:
            bulk = Bulk(self._table, statements[dialect.name], self._written, dialect)
            self._bulk[id(statements), dialect.name] = bulk
        return bulk.statements(records)

    def row(self, record: R) -> dict[str, Any]:
        return dict(zip(self._written, self._values(record), strict=True))


def among(column: Column[Any], name: str) -> dict[str, ColumnElement[bool]]:
    """By dialect: whether a column is one of the texts in the parameter, however many: one statement serves them all.

    On SQLite the parameter is their JSON text, on PostgreSQL a list: see `listed`.
    """
    each = func.json_each(bindparam(name, type_=Text)).table_valued("value")
    return {
        "sqlite": column.in_(select(each.c.value)),
        # As a join: `= ANY` compares each row of a small table with each of the texts.
        "postgresql": column.in_(select(func.unnest(bindparam(name, type_=ARRAY(Text))))),
    }


def listed(connection: Connection, values: Collection[str]) -> Any:
    """The parameter of a condition of `among`."""
    return json.dumps(list(values)) if connection.dialect.name == "sqlite" else list(values)


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
