"""Channels whose provider is in trouble."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.storage.types import Instant, Name

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "circuits",
        sa.Column("channel", Name, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("probes", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("opened_at", Instant),
        sa.Column("probe_at", Instant),
        sa.Column("probing", Name),
    )
