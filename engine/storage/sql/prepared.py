"""Statements that SQLAlchemy writes, once, and that the database's driver runs.

SQLAlchemy knows our types and both dialects. Run by it, a statement costs ten times what SQLite takes for it: a message
takes some twenty of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol, cast

from msgspec import Struct
from sqlalchemy import Connection, Dialect, Select

#: Where a connection keeps its `Runner`, for as long as it lives.
RUNNER = "sojourn runner"
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
        rows = read(connection, compiled.sql, _values(compiled, given))
        if not compiled.made or not rows:
            return rows
        whole = [list(row) for row in rows]
        for place, make in compiled.made:
            for row in whole:
                row[place] = make(row[place])
        return whole

    def value(self, connection: Connection, given: Mapping[str, Any]) -> Any:
        """The first value of the first row of a SELECT; None where there is no row."""
        rows = self.rows(connection, given)
        return rows[0][0] if rows else None

    def change(self, connection: Connection, given: Mapping[str, Any]) -> int:
        """Runs what changes rows; how many it changed."""
        compiled = self._of(connection.dialect)
        return run(connection, compiled.sql, _values(compiled, given)).touched

    def write(self, connection: Connection, given: Mapping[str, Any]) -> None:
        """Runs what changes rows and of which nobody asks how many."""
        compiled = self._of(connection.dialect)
        hold(connection, compiled.sql, _values(compiled, given))

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


class Runner(Protocol):
    """Runs statements on one connection, in its driver's words. Raises the driver's errors."""

    def run(self, sql: str, values: Sequence[Any]) -> Ran: ...
    def read(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """The rows of a statement that changes nothing."""
        ...

    def hold(self, sql: str, values: Sequence[Any]) -> None:
        """Runs a statement for which nobody waits: at the latest with the commit, which then raises its error."""
        ...

    def expect(self, sql: str, values: Sequence[Any]) -> None:
        """Says that this will be read next."""
        ...


class AtOnce:
    """Runs each statement at once: on SQLite nothing is gained by less."""

    def __init__(self, driver: Any) -> None:
        # One for all statements of the connection: to make one takes as long as to use it.
        self._cursor = driver.cursor()

    def run(self, sql: str, values: Sequence[Any]) -> Ran:
        cursor = self._cursor.execute(sql, values)
        return Ran(cursor.fetchall(), cursor.rowcount)

    def read(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = self._cursor.execute(sql, values).fetchall()
        return rows

    def hold(self, sql: str, values: Sequence[Any]) -> None:
        self._cursor.execute(sql, values)

    def expect(self, sql: str, values: Sequence[Any]) -> None:
        """Nothing is gained by it."""


class _Ahead:
    """A connection, but for what is read: that brings nothing, and is expected to be read soon."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._runner: Runner = connection.info[RUNNER]
        self.info = {RUNNER: self}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def read(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        self._runner.expect(sql, values)
        return ()


def ahead(connection: Connection) -> Connection:
    """Stands for a connection: what is read from it is expected to be read from that connection soon."""
    return cast("Connection", _Ahead(connection))


def run(connection: Connection, sql: str, values: Sequence[Any]) -> Ran:
    """Runs a statement in the driver's words. Errors are SQLAlchemy's, as everywhere."""
    runner: Runner = connection.info[RUNNER]
    try:
        return runner.run(sql, values)
    except BaseException as error:
        refuse(connection, error, sql, values)


def read(connection: Connection, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
    """The rows of a statement that changes nothing."""
    runner: Runner = connection.info[RUNNER]
    try:
        return runner.read(sql, values)
    except BaseException as error:
        refuse(connection, error, sql, values)


def hold(connection: Connection, sql: str, values: Sequence[Any]) -> None:
    """Runs a statement for which nobody waits, see `Runner.hold`."""
    runner: Runner = connection.info[RUNNER]
    try:
        runner.hold(sql, values)
    except BaseException as error:
        refuse(connection, error, sql, values)


def refuse(connection: Connection, error: BaseException, sql: str, values: Sequence[Any] = ()) -> NoReturn:
    """Raises a driver's error as SQLAlchemy does, which gives up a connection that is lost or was interrupted."""
    connection._handle_dbapi_exception(error, sql, tuple(values), None, None)  # nothing public does it


def _values(compiled: _Compiled, given: Mapping[str, Any]) -> Sequence[Any]:
    if compiled.constants:
        given = {**compiled.constants, **given}
    return [given[name] if process is None else process(given[name]) for name, process in compiled.parameters]
