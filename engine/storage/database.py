"""The store on SQLite or PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy import exc as sql_errors
from sqlalchemy.pool import QueuePool

from engine.errors import BadInput, Conflict, StoreUnavailable
from engine.storage.sharing import OneConnection
from engine.storage.sql.prepared import RUNNER, AtOnce, hold, run
from engine.storage.sql.unit import SqlUnit, lock_number
from engine.storage.tables import REVISION
from engine.storage.turns import TurnTimeout
from engine.storage.types import write_json
from engine.storage.wakeups import CHANNEL, Wakeups

if TYPE_CHECKING:
    from engine.store import Unit

#: How long a transaction waits for another one's lock, or for a free connection, before `StoreUnavailable`.
PATIENCE_SECONDS = 10
#: SQLSTATE classes of a PostgreSQL that cannot serve now: connection, rollback by deadlock, resources, locks,
#: shutdown, system. Others (a limit exceeded, a constraint) are defects: no retry helps.
_PASSING = ("08", "40", "53", "55", "57", "58")
#: What SQLite calls the same.
_PASSING_SQLITE = ("BUSY", "LOCKED", "CANTOPEN", "IOERR", "FULL", "READONLY", "NOMEM", "PROTOCOL", "INTERRUPT")
_NOTIFY = f"NOTIFY {CHANNEL}"


class Database:
    """A `Store`. Threads may share it; one transaction at a time in a thread.

    `url`: `sqlite:///PATH` (its folder is created), or `postgresql://…` (psycopg 3). Raises BadInput for another.
    """

    def __init__(self, url: str) -> None:
        parsed = _parse(url)
        #: What to call it in messages: without password and parameters.
        self.name = parsed.set(query={}).render_as_string(hide_password=True)
        self._engine = _open(parsed)
        #: Of threads at SQLite's one connection. PostgreSQL has as many as it takes.
        self._one = OneConnection(self._engine, PATIENCE_SECONDS) if parsed.drivername == "sqlite" else None
        self._own = threading.local()
        self._is_checked = False

    def __repr__(self) -> str:
        return f"Database({self.name})"

    @contextmanager
    def transaction(self, profile_id: str | None = None, *, is_shared: bool = False) -> Iterator[Unit]:
        """One unit of work, under the profile's lock where one is named (see `engine.store`).

        Only on SQLite is a commit shared: PostgreSQL itself writes those of many connections at once.
        """
        if getattr(self._own, "is_open", False):
            # On SQLite the inner one would wait for the outer one until it is given up.
            raise RuntimeError("a transaction is open already in this thread: pass its unit on instead")
        if not self._is_checked:
            self.check_revision()
            self._is_checked = True
        self._own.is_open = True
        try:
            with self._begin(is_shared=is_shared) as connection:
                unit = SqlUnit(connection)
                if profile_id is not None:
                    unit.lock(profile_id, is_awaited=True)
                yield unit
                if unit.queue.has_news and connection.dialect.name == "postgresql":
                    # Sent with the commit, and once however much was added.
                    hold(connection, _NOTIFY, ())
        finally:
            self._own.is_open = False

    def wakeups(self, wake: Callable[[], None]) -> Wakeups:
        """Calls `wake`, once started, whenever any process has committed something to be routed or delivered."""
        return Wakeups(self._engine, wake)

    def revision(self) -> str | None:
        """The revision of the tables in the database; None where nothing was created yet."""
        with self._begin() as connection:
            return _revision(connection)

    def check_revision(self) -> None:
        """Raises Conflict where the tables are older or newer than this code reads and writes."""
        found = self.revision()
        if found is None or found < REVISION:
            state = "has no tables yet" if found is None else f"is at revision {found}, this version needs {REVISION}"
            raise Conflict(f"the database {self.name} {state}: run `sojourn migrate`")
        if found > REVISION:
            raise Conflict(
                f"the database {self.name} is at revision {found}, newer than this version of Sojourn knows "
                f"({REVISION}): upgrade Sojourn on this machine"
            )

    def migrate(self, progress: Callable[[str], None] | None = None) -> tuple[str | None, str]:
        """Brings the tables up to date: the revision before (None: there were none) and after. `progress` is called
        with each revision that was applied. A repeat does nothing; of two at once the second waits."""
        with self._begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": lock_number("sojourn migrate")})
            before = _revision(connection)
            if before is not None and before > REVISION:
                raise Conflict(
                    f"the database {self.name} is at revision {before}, newer than this version of Sojourn knows "
                    f"({REVISION}): upgrade Sojourn on this machine; nothing was changed"
                )
            if before != REVISION:
                _upgrade(connection, progress)
        return before, REVISION

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    @contextmanager
    def _begin(self, *, is_shared: bool = False) -> Iterator[Connection]:
        begun = self._one.begin(is_shared=is_shared) if self._one else self._engine.begin()
        try:
            with begun as connection:
                yield connection
        except (sql_errors.TimeoutError, TurnTimeout) as error:
            raise StoreUnavailable(f"no connection to {self.name} came free in {PATIENCE_SECONDS} s") from error
        except sql_errors.DBAPIError as error:
            code = _passing_code(error)
            if code is None:
                _leave_out_rows(error)
                raise
            raise StoreUnavailable(
                f"the database {self.name} cannot be reached or was locked too long ({code})"
            ) from error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except sql_errors.ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in ("sqlite", "postgresql", "postgresql+psycopg"):
        # The text itself may hold a password: it is not repeated.
        raise BadInput(
            "the database URL is not one that Sojourn knows: write sqlite:///PATH/FILE.db or postgresql://USER@HOST/NAME"
        ) from None
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _open(url: URL) -> Engine:
    # No parameters in logs and errors: they are people's data.
    common: dict[str, Any] = {"hide_parameters": True, "json_serializer": write_json}
    if url.drivername == "sqlite":
        return _open_sqlite(url, common)
    try:
        engine = create_engine(
            url,
            # As many as one process's threads keep busy; more are opened for a moment, at the price of a connection.
            pool_size=16,
            max_overflow=16,
            # The one that was used last: a connection's server process knows the statements that it was asked before.
            pool_use_lifo=True,
            pool_timeout=PATIENCE_SECONDS,
            **common,
        )
    except ModuleNotFoundError:
        raise BadInput("PostgreSQL needs a driver that is not installed: install sojourn[postgres]") from None
    # Imported here: the driver may not be there, which `create_engine` finds out.
    from engine.storage.sql.line import use_lines

    use_lines(engine)
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _prepare_postgresql(connection: Any, _record: object) -> None:
    connection.execute(f"SET lock_timeout = '{PATIENCE_SECONDS}s'")


def _open_sqlite(url: URL, common: dict[str, Any]) -> Engine:
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"the folder of the database {url.database} cannot be created") from error
    # One connection: SQLite has one writer, and every transaction may write. Threads wait for it in turn, see
    # `OneConnection`; each with a connection of its own they would poll the file's lock, at half the rate and with long
    # tails.
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=PATIENCE_SECONDS,
        connect_args={"check_same_thread": False, "timeout": PATIENCE_SECONDS, "cached_statements": 256},
        **common,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediately)
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    # The driver's own BEGIN is deferred: two transactions would read first, and one of them fail when it writes.
    connection.isolation_level = None
    record.info[RUNNER] = AtOnce(connection)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: NORMAL survives kill -9 as well, but not a power cut, and a delivery forgotten is a message sent twice.
    connection.execute("PRAGMA synchronous = FULL")
    # 64 MiB of pages, taken as they are needed: with SQLite's own 2 a large store reads the same ones again and again.
    connection.execute("PRAGMA cache_size = -65536")
    # 64 MiB of log before its pages go into the file, each once however often it was written: with SQLite's own 4 a
    # commit of intake takes a fifth longer.
    connection.execute("PRAGMA wal_autocheckpoint = 16000")


def _begin_immediately(connection: Connection) -> None:
    run(connection, "BEGIN IMMEDIATE", ())


def _revision(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _upgrade(connection: Connection, progress: Callable[[str], None] | None) -> None:
    # Half a second to import, and needed once a release.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "engine.storage:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["progress"] = progress
    command.upgrade(config, "head")


def _passing_code(error: sql_errors.DBAPIError) -> str | None:
    """What the database calls the trouble, where a retry may help; else None."""
    driver = error.orig
    sqlite_name: str | None = getattr(driver, "sqlite_errorname", None)
    if sqlite_name is not None:
        return sqlite_name if sqlite_name.removeprefix("SQLITE_").startswith(_PASSING_SQLITE) else None
    state: str | None = getattr(driver, "sqlstate", None)
    if state is not None:
        return state if state.startswith(_PASSING) else None
    return (
        type(driver).__name__
        if error.connection_invalidated or isinstance(error, sql_errors.OperationalError)
        else None
    )


def _leave_out_rows(error: sql_errors.DBAPIError) -> None:
    """PostgreSQL quotes the failing row under its message: people's data, which logs must not hold."""
    diagnosis = getattr(error.orig, "diag", None)
    if error.orig is not None and diagnosis is not None and diagnosis.message_primary:
        error.orig.args = (diagnosis.message_primary,)
        error.args = (f"({type(error.orig).__name__}) {diagnosis.message_primary}",)
