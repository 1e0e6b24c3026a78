"""What one process commits to the queues wakes another one at once, also after the connection was lost."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress

import psycopg
import pytest

from engine.storage import wakeups
from engine.storage.database import Database
from tests.storage.records import occurrence, stimulus
from tests.waiting import PATIENCE

_OTHER_PROCESS = """
import sys
from engine.storage.database import Database
from tests.storage.records import occurrence
with Database(sys.argv[1]).transaction() as unit:
    unit.queue.add_occurrence(occurrence())
"""


class Bell:
    """Counts, and can be waited for."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def __call__(self) -> None:
        self._rung.set()

    def rings(self, seconds: float = PATIENCE) -> bool:
        did = self._rung.wait(seconds)
        self._rung.clear()
        return did


def test_another_processs_commit_rings(postgres_url: str) -> None:
    database, bell = Database(postgres_url), Bell()
    listening = database.wakeups(bell)
    listening.start()
    assert bell.rings()  # listens
    subprocess.run([sys.executable, "-c", _OTHER_PROCESS, postgres_url], check=True)
    assert bell.rings()
    listening.stop()
    database.close()


def test_it_rings_with_the_commit_and_only_where_something_was_added(postgres_url: str) -> None:
    database, other, bell = Database(postgres_url), Database(postgres_url), Bell()
    listening = database.wakeups(bell)
    listening.start()
    assert bell.rings()
    with other.transaction() as unit:
        unit.queue.count_occurrences()
    assert not bell.rings(0.2)
    with other.transaction() as unit:
        unit.queue.add_stimulus(stimulus())
        assert not bell.rings(0.2)
    assert bell.rings()
    with suppress(ZeroDivisionError), other.transaction() as unit:
        unit.queue.add_occurrence(occurrence())
        raise ZeroDivisionError
    assert not bell.rings(0.2)
    listening.stop()
    other.close()
    database.close()


def test_a_lost_connection_is_opened_anew_and_what_was_missed_is_looked_for(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wakeups, "_FIRST_PAUSE_SECONDS", 0.05)
    database, bell = Database(postgres_url), Bell()
    listening = database.wakeups(bell)
    listening.start()
    assert bell.rings()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
    assert bell.rings()
    assert "no wake-ups from the database (OperationalError)" in caplog.text
    with database.transaction() as unit:
        unit.queue.add_occurrence(occurrence())
    assert bell.rings()
    listening.stop()
    database.close()


def test_on_sqlite_there_is_nobody_to_listen_to(sqlite_url: str) -> None:
    database, bell = Database(sqlite_url), Bell()
    listening = database.wakeups(bell)
    listening.start()
    with database.transaction() as unit:
        unit.queue.add_occurrence(occurrence())
    assert not bell.rings(0.05)
    listening.stop()
    database.close()
