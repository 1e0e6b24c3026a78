"""Opening, naming and migrating databases."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.schema import SchemaItem

from engine.errors import BadInput, Conflict, StoreUnavailable
from engine.storage import migrations
from engine.storage.database import Database
from engine.storage.tables import REVISION, metadata
from tests.storage.records import event, profile
from tests.waiting import PATIENCE


@pytest.fixture(params=["sqlite", "postgres"])
def blank_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """One of each database, without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'folder' / 'blank.db'}"
    url: str = request.getfixturevalue("blank_postgres_url")
    return url


def _driver_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


# ── migrations ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_first_migration_creates_everything_and_a_repeat_nothing(blank_url: str) -> None:
    database = Database(blank_url)
    assert database.revision() is None
    applied: list[str] = []
    assert database.migrate(applied.append) == (None, REVISION)
    assert applied[-1] == REVISION
    assert database.migrate(applied.append) == (REVISION, REVISION)
    assert applied.count(REVISION) == 1
    assert database.revision() == REVISION
    with database.transaction() as unit:
        assert unit.profiles.all_ids() == []
    database.close()


def test_the_newest_revision_is_the_one_that_the_code_names() -> None:
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_heads() == [REVISION]


def test_migrated_tables_are_those_of_the_code(database_url: str) -> None:
    engine = create_engine(_driver_url(database_url))
    with engine.connect() as connection:
        opts = {"compare_type": True, "compare_server_default": True, "include_object": _is_everywhere}
        assert compare_metadata(MigrationContext.configure(connection, opts=opts), metadata) == []
    engine.dispose()


def _is_everywhere(item: SchemaItem, _name: str, kind: str, _is_reflected: bool, _compared: SchemaItem | None) -> bool:
    """Whether both databases have it: the comparison does not ask, and would miss the other's. `_shape` has them."""
    return kind != "index" or getattr(item, "_ddl_if", None) is None


def _shape(connection: Connection) -> list[tuple[str, ...]]:
    """What autogenerate does not compare either: collations, partial indexes' conditions, AUTOINCREMENT."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        # A constraint may stand before or after another.
        shape = [(name, " ".join(sorted(re.findall(r"[^\s,()]+|[()]", sql)))) for name, sql in rows]
    else:
        columns = connection.execute(
            text(
                "SELECT table_name || '.' || column_name, data_type, is_nullable, coalesce(collation_name, ''),"
                " coalesce(column_default, '') FROM information_schema.columns WHERE table_schema = 'public'"
            )
        )
        indexes = connection.execute(text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"))
        shape = [tuple(row) for row in (*columns, *indexes)]
    return sorted(row for row in shape if not row[0].startswith("alembic_version"))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_migrated_tables_are_those_of_the_code_to_the_letter(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    migrated = create_engine(_driver_url(request.getfixturevalue(f"{kind}_url")))
    if kind == "sqlite":
        created = create_engine(f"sqlite:///{tmp_path / 'created.db'}")
    else:
        created = create_engine(_driver_url(request.getfixturevalue("blank_postgres_url")))
    with created.begin() as connection:
        metadata.create_all(connection)
    with migrated.connect() as one, created.connect() as other:
        assert _shape(one) == _shape(other) != []
    migrated.dispose()
    created.dispose()


_MIGRATE = "import sys; from engine.storage.database import Database; print(Database(sys.argv[1]).migrate()[0])"


def test_of_processes_that_migrate_at_once_one_does_and_the_others_wait(blank_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _MIGRATE, blank_url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(3)
    ]
    answers = sorted(process.communicate(timeout=PATIENCE)[0].strip() for process in processes)
    assert answers == [REVISION, REVISION, "None"]


def test_a_database_without_tables_says_what_to_run(blank_url: str) -> None:
    database = Database(blank_url)
    with pytest.raises(Conflict, match="no tables yet: run `sojourn migrate`"), database.transaction():
        pass
    with pytest.raises(Conflict, match="sojourn migrate"):
        database.check_revision()
    database.migrate()
    with database.transaction() as unit:
        unit.profiles.save(profile())
    database.close()
    reopened = Database(blank_url)
    reopened.check_revision()
    with reopened.transaction() as unit:
        assert unit.profiles.find("p1") == profile()
    reopened.close()


def test_tables_newer_than_the_code_are_left_alone(database_url: str) -> None:
    engine = create_engine(_driver_url(database_url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9001'"))
    engine.dispose()
    database = Database(database_url)
    with pytest.raises(Conflict, match=r"9001, newer than this version of Sojourn knows \(\d+\): upgrade"):
        database.migrate()
    with pytest.raises(Conflict, match="upgrade Sojourn"), database.transaction():
        pass
    assert database.revision() == "9001"
    database.close()


# ── names and errors ─────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("url", ["mysql://ann:s3cret@db/shop", "s3cret", "", "postgresql+asyncpg://ann:s3cret@db/shop"])
def test_a_url_of_another_kind_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadInput, match="sqlite:///PATH") as caught:
        Database(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_does_not_answer_is_an_unavailable_store_and_no_secret_shows() -> None:
    database = Database("postgresql://ann:s3cret@127.0.0.1:1/shop?application_name=s3cret&connect_timeout=2")
    assert "s3cret" not in repr(database)
    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught, database.transaction():
        pass
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    database.close()


def test_a_file_that_cannot_be_opened_is_an_unavailable_store(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    database = Database(f"sqlite:///{tmp_path / 'folder.db'}")
    with pytest.raises(StoreUnavailable, match="SQLITE_CANTOPEN"), database.transaction():
        pass
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="folder"):
        Database(f"sqlite:///{tmp_path / 'file' / 'a.db'}")


def test_a_defect_is_not_an_unavailable_store_and_shows_no_payload(database: Database) -> None:
    broken = event(properties={"mail": "ann@shop.example"}, name=None)
    with pytest.raises(Exception, match=r"(?i)not.null constraint") as caught, database.transaction() as unit:
        unit.events.add(broken)
    assert not isinstance(caught.value, StoreUnavailable)
    assert "ann@shop.example" not in "".join(traceback.format_exception(caught.value))
    with database.transaction() as unit:
        assert unit.events.of("p1") == []


def test_a_connection_that_the_server_ended_is_replaced(postgres_url: str) -> None:
    database = Database(postgres_url)
    with database.transaction() as unit:
        unit.profiles.save(profile())
    engine = create_engine(_driver_url(postgres_url))
    with engine.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE datname = current_database() AND pid <> pg_backend_pid()")
        )  # fmt: skip
    engine.dispose()
    with pytest.raises(StoreUnavailable), database.transaction() as unit:
        unit.profiles.find("p1")
    with database.transaction() as unit:
        assert unit.profiles.find("p1") == profile()
    database.close()


def test_a_database_in_memory_lives_as_long_as_it_is_open() -> None:
    database = Database("sqlite://")
    database.migrate()
    with database.transaction() as unit:
        unit.profiles.save(profile())
    with ThreadPoolExecutor(1) as other:
        assert other.submit(database.revision).result() == REVISION
    with database.transaction() as unit:
        assert unit.profiles.find("p1") == profile()
    database.close()


def test_sqlite_keeps_a_write_ahead_log_and_syncs_every_commit(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.transaction() as unit:
        unit.profiles.save(profile())
    path = sqlite_url.removeprefix("sqlite:///")
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    with database._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000
    database.close()
