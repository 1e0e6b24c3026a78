"""Many rows in few statements.

SQLAlchemy runs `executemany`, and makes each row at leisure. Here a statement has many rows, made in one go: SQLite's
driver gives up the interpreter's lock at each step of a statement, and a thread that has to take it back hundreds of
times from a busy server waits longer than it works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

from msgspec import Struct
from sqlalchemy import Dialect, Insert, Table

#: Rows of a statement at most: few enough that the databases go on knowing the statement of each number.
_ROWS_AT_MOST = 64


class Bulk:
    """An INSERT of a table, on one kind of database."""

    def __init__(self, table: Table, insert: Insert, names: Sequence[str], dialect: Dialect) -> None:
        """`insert`: as for one row. `names`: the columns that are written, which are the fields of a record."""
        # psycopg's own way names each parameter, which does not go with many rows.
        kind: Any = type(dialect)
        by_place = kind(paramstyle="qmark" if dialect.name == "sqlite" else "format")
        compiled = insert.compile(dialect=by_place, column_keys=list(names))
        self._head, _, rest = str(compiled).partition(" VALUES ")
        self._row, self._on, self._conflict = rest.partition(" ON CONFLICT ")
        placed: list[str] = list(compiled.positiontup or names)
        self._values = attrgetter(*placed)
        processes = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in placed]
        self._processed = [(place, process) for place, process in enumerate(processes) if process is not None]
        self._statements: dict[int, str] = {}

    def statements(self, records: Iterable[Struct]) -> Iterator[tuple[str, Sequence[Any]]]:
        """Those that insert these rows, with their values."""
        # Column by column: most of their values go as they are.
        columns = list(zip(*map(self._values, records), strict=True))
        if not columns:
            return
        for place, process in self._processed:
            columns[place] = tuple(map(process, columns[place]))
        rows = list(zip(*columns, strict=True))
        for begin in range(0, len(rows), _ROWS_AT_MOST):
            some = rows[begin : begin + _ROWS_AT_MOST]
            values = tuple(chain.from_iterable(some))
            yield self._statement(len(some)), values

    def _statement(self, size: int) -> str:
        known = self._statements.get(size)
        if known is None:
            known = f"{self._head} VALUES {', '.join([self._row] * size)}{self._on}{self._conflict}"
            self._statements[size] = known
        return known
