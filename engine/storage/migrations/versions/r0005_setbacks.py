"""How often the routing of an occurrence has failed, and which are set aside; how often a stimulus was taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.storage.types import Instant

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("occurrences", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("occurrences", sa.Column("fault", sa.Text))
    op.add_column("occurrences", sa.Column("retry_at", Instant))
    op.add_column("occurrences", sa.Column("set_aside_at", Instant))
    op.create_index(
        "ix_occurrences_failed",
        "occurrences",
        ["seq"],
        sqlite_where=sa.text("attempts > 0"),
        postgresql_where=sa.text("attempts > 0"),
    )
    op.add_column("stimuli", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    op.create_index("ix_stimuli_enrollment_id_seq", "stimuli", ["enrollment_id", "seq"])
