"""Statements that SQLAlchemy writes, once, and that the database's driver runs.

SQLAlchemy knows our types and both dialects. Run by it, a statement costs ten times what SQLite takes for it: a message
takes some twenty of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import Connection, Dialect, Select

#: Where a connection keeps its cursor, for as long as it lives.
_CURSOR = "sojourn cursor"
_Process = Callable[[Any], Any]


class _Compiled(Struct, frozen=True):
    """A statement as one kind of database takes it."""

    sql: str
    #: In the order of the statement: a parameter, and what makes of its value what the driver takes.
    parameters: Sequence[tuple[str, _Process | None]]
    #: Values that are part of the statement.
    constants: Mapping[str, Any]
    #: Columns of the result whose values have to be made, and how.
    made: Sequence[tuple[int, _Process]]


class Prepared:
    """A statement with named parameters, compiled when each kind of database first sees it."""

    def __init__(self, statement: Any, written: Sequence[str] = ()) -> None:
        """`written`: of an INSERT, the columns that are given."""
        self._statement = statement
        self._written = written
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, given: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """All rows of a SELECT."""
        compiled = self._of(connection.dialect)
        rows = run(connection, compiled.sql, _values(compiled, given), reads=True).rows
        if not compiled.made or not rows:
            return rows
        whole = [list(row) for row in rows]
        for place, make in compiled.made:
            for row in whole:
                row[place] = make(row[place])
        return whole

    def change(self, connection: Connection, given: Mapping[str, Any]) -> int:
        """Runs what changes rows; how many it changed."""
        compiled = self._of(connection.dialect)
        return run(connection, compiled.sql, _values(compiled, given)).touched

    def _of(self, dialect: Dialect) -> _Compiled:
        known = self._compiled.get(dialect.name)
        if known is None:
            known = self._compiled[dialect.name] = self._compile(dialect)
        return known

    def _compile(self, dialect: Dialect) -> _Compiled:
        kind: Any = type(dialect)
        by_place = kind(paramstyle="qmark" if dialect.name == "sqlite" else "format")
        compiled = self._statement.compile(dialect=by_place, column_keys=self._written or None)
        names: list[str] = compiled.positiontup
        types = {name: bound.type.dialect_impl(dialect) for name, bound in compiled.binds.items()}
        columns = self._statement.selected_columns if isinstance(self._statement, Select) else ()
        makers = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        return _Compiled(
            sql=str(compiled),
            parameters=[(name, types[name].bind_processor(dialect)) for name in names],
            constants={name: value for name, value in compiled.params.items() if value is not None},
            made=[(place, make) for place, make in enumerate(makers) if make is not None],
        )


class Ran(NamedTuple):
    """What came of a statement."""

    rows: Sequence[Sequence[Any]]
    #: How many rows it found or changed.
    touched: int


def run(connection: Connection, sql: str, values: Sequence[Any], *, reads: bool = False) -> Ran:
    """Runs a statement in the driver's words; only what `reads` has rows. Errors are SQLAlchemy's, as everywhere."""
    # One for all of a connection's statements: psycopg takes as long to make one as to use it.
    cursor: Any = connection.info.get(_CURSOR)
    if cursor is None:
        driver: Any = connection.connection.dbapi_connection
        cursor = connection.info[_CURSOR] = driver.cursor()
    try:
        cursor.execute(sql, values)
        rows = cursor.fetchall() if reads else ()
    except Exception as error:
        # It wraps the driver's errors, closes the cursor, and gives up a connection that is lost; nothing public does.
        del connection.info[_CURSOR]
        connection._handle_dbapi_exception(error, sql, tuple(values), cursor, None)
    return Ran(rows, cursor.rowcount)


def _values(compiled: _Compiled, given: Mapping[str, Any]) -> Sequence[Any]:
    if compiled.constants:
        given = {**compiled.constants, **given}
    return [given[name] if process is None else process(given[name]) for name, process in compiled.parameters]
