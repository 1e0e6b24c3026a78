"""Databases for tests: a fresh one each, migrated once and copied; and how examples are drawn."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from engine.storage.database import Database
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.postgres_server import running_server

# The same examples in every run, however busy the machine: what turns red was changed.
# `pytest --hypothesis-profile=explore` draws others.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", settings.get_profile("steady"), derandomize=False)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parity-examples",
        type=int,
        default=1_200,
        metavar="N",
        help="pairs of a person and an expression in tests/parity: memory against SQLite and PostgreSQL",
    )
    parser.addoption(
        "--cap-interleavings",
        type=int,
        default=60,
        metavar="N",
        help="situations in tests/delivery/test_cap_interleavings.py: two workers and one person, on each database",
    )


@dataclass
class PostgresServer:
    """A running server, and the databases made on it."""

    socket_folder: str
    _connection: psycopg.Connection[tuple[object, ...]]
    _numbers: Iterator[int] = field(default_factory=count)

    def create(self, template: str = "template1") -> str:
        """The URL of a new database like the template."""
        name = f"test{next(self._numbers)}"
        # The template's files are copied as they are: a third of the time that going through the log takes.
        strategy = " STRATEGY file_copy" if self._connection.info.server_version >= 150000 else ""
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}{strategy}")
        return f"postgresql://postgres@/{name}?host={self.socket_folder}"

    def drop(self, url: str) -> None:
        self._run(f"DROP DATABASE {database_name(url)} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        self._connection.execute(statement.encode())


def database_name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def _migrated(url: str) -> str:
    database = Database(url)
    database.migrate()
    database.close()
    return url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with (
        running_server() as socket_folder,
        psycopg.connect(host=socket_folder, user="postgres", dbname="postgres", autocommit=True) as connection,
    ):
        yield PostgresServer(socket_folder, connection)


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> str:
    """The name of a database to copy."""
    return database_name(_migrated(postgres_server.create()))


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    _migrated(f"sqlite:///{path}")
    return path


@pytest.fixture
def blank_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database without tables."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, migrated_postgres: str) -> Iterator[str]:
    """A PostgreSQL database with all tables, empty."""
    url = postgres_server.create(migrated_postgres)
    yield url
    postgres_server.drop(url)


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """An SQLite file with all tables, empty."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'sojourn.db')}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """One of each database, with all tables, empty."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def any_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Every kind of store, empty."""
    if request.param == "memory":
        yield MemoryStore()
        return
    database = Database(request.getfixturevalue(f"{request.param}_url"))
    yield database
    database.close()
