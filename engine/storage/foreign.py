"""Rows of a database that is not ours, by a query of whoever runs us."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import CursorResult, Engine, create_engine, event, make_url
from sqlalchemy import exc as sql_errors

from engine.errors import BadInput

#: Rows fetched at once: the result is never held as a whole.
_FETCHED = 1_000
#: The statement goes there as it is written: neither a colon nor a percent sign in it is a parameter of ours.
_OPTIONS: dict[str, Any] = {"stream_results": True, "yield_per": _FETCHED, "no_parameters": True}


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryResult:
    """What a query gives, row by row."""

    columns: Sequence[str]
    rows: Iterator[Mapping[str, Any]]


@contextmanager
def query(url: str, statement: str) -> Iterator[QueryResult]:
    """Runs one SELECT on any database that SQLAlchemy knows; where it can be said, as one who may only read. Nothing is
    committed.

    Raises BadInput for a URL or a statement that cannot be used, and where that database does not answer.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(parsed, hide_parameters=True)
    except (sql_errors.ArgumentError, sql_errors.NoSuchModuleError):
        # The text itself may hold a password: it is not repeated.
        raise BadInput("--from is no database URL that can be used: write DIALECT://USER@HOST/NAME") from None
    except ModuleNotFoundError as problem:
        raise BadInput(f"the driver of this database is not installed: {problem.name}") from None
    options = _OPTIONS | _only_reading(engine)
    name = parsed.set(query={}).render_as_string(hide_password=True)
    file = parsed.database if parsed.get_backend_name() == "sqlite" else None
    # SQLite would make an empty one, and then know none of the tables.
    if file and not file.startswith((":memory:", "file:")) and not Path(file).is_file():
        raise BadInput(f"--from {name}: there is no such file")
    with ExitStack() as open_:
        open_.callback(engine.dispose)
        with _asking(name):
            connection = open_.enter_context(engine.connect())
            result = connection.execution_options(**options).exec_driver_sql(statement)
            if not result.returns_rows:
                raise BadInput("--query gives no rows: write a SELECT")
            columns = tuple(result.keys())
        yield QueryResult(columns=columns, rows=_rows(result, name))


def _only_reading(engine: Engine) -> dict[str, Any]:
    """Sees to it that nothing can be written by connections of this engine; options of theirs that say so."""
    match engine.dialect.name:
        case "sqlite":
            # Its driver commits what changes tables at once, without being asked.
            event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA query_only = ON"))
            return {}
        case "postgresql":
            return {"postgresql_readonly": True}
        case _:
            return {}


def _rows(result: CursorResult[Any], name: str) -> Iterator[Mapping[str, Any]]:
    found = result.mappings()
    while True:
        with _asking(name):
            row = found.fetchone()
        if row is None:
            return
        yield dict(row)


@contextmanager
def _asking(name: str) -> Iterator[None]:
    """What goes wrong over there, in our words; what goes wrong here meanwhile is none of it."""
    try:
        yield
    except sql_errors.OperationalError as problem:
        raise BadInput(f"the database {name} did not answer the query: {_words(problem)}") from None
    except sql_errors.SQLAlchemyError as problem:
        raise BadInput(f"--query cannot be run on {name}: {_words(problem)}") from None


def _words(problem: sql_errors.SQLAlchemyError) -> str:
    """The database's own words, their first line: what follows may quote rows."""
    said = str(getattr(problem, "orig", None) or problem).strip()
    return said.splitlines()[0] if said else type(problem).__name__
