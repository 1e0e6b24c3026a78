"""Fewer indexes for what arrives: each that is sorted by person or id costs an event a page of its own.

One for a person's history, by time and by name, instead of two. On SQLite none of whom an occurrence is about, but of
those that failed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.drop_index("ix_events_profile_id_name_timestamp_seq", "events")
    op.drop_index("ix_events_profile_id_timestamp_seq", "events")
    op.create_index("ix_events_profile_id_timestamp_seq_name", "events", ["profile_id", "timestamp", "seq", "name"])
    op.drop_index("ix_occurrences_failed", "occurrences")
    op.create_index(
        "ix_occurrences_failed",
        "occurrences",
        ["profile_id", "seq"],
        sqlite_where=sa.text("attempts > 0"),
        postgresql_where=sa.text("attempts > 0"),
    )
    if op.get_context().dialect.name == "sqlite":
        op.drop_index("ix_occurrences_profile_id_seq", "occurrences")
