"""Counts how often a database is asked something and answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.pq import Trace

from engine.storage.database import Database


@contextmanager
def round_trips(database: Database, folder: Path) -> Iterator[list[bytes]]:
    """Holds in the end one item for each time that PostgreSQL was asked and said that it was ready for the next
    question. The database has opened one connection, and opens no other meanwhile."""
    connection = database._engine.raw_connection()
    wire = connection.driver_connection.pgconn  # type: ignore[union-attr]
    connection.close()
    trips: list[bytes] = []
    with open(folder / "wire.txt", "w+b") as notes:
        wire.trace(notes.fileno())
        wire.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            yield trips
        finally:
            wire.untrace()
        notes.seek(0)
        trips += [line for line in notes if b"ReadyForQuery" in line]
