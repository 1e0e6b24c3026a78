"""Databases for runs outside pytest: its fixtures are not at hand there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engine.storage.database import Database
from tests.postgres_server import running_server

NAMES = ("sqlite", "postgresql")


@contextmanager
def fresh_database(name: str) -> Iterator[str]:
    """The URL of an empty, migrated database of this name's kind."""
    with ExitStack() as stack:
        if name == "postgresql":
            url = f"postgresql://postgres@/postgres?host={stack.enter_context(running_server())}"
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sojourn-chaos-"))
            url = f"sqlite:///{Path(folder) / 'sojourn.db'}"
        database = Database(url)
        database.migrate()
        database.close()
        yield url
