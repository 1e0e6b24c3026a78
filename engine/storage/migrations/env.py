"""What Alembic runs: the revisions, inside the transaction that `Database.migrate` has begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alembic import context

from engine.storage.tables import metadata

_progress: Callable[[str], None] | None = context.config.attributes["progress"]


def _applied(*_: Any, **given: Any) -> None:
    if _progress is not None:
        _progress(str(given["step"].up_revision_id))


# Transactional DDL on SQLite, too: a migration cut short leaves the tables as they were.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    on_version_apply=_applied,
)
with context.begin_transaction():
    context.run_migrations()
