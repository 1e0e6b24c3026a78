"""How far imports have come: kept with the rows that they have committed, and no longer in a file beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.storage.types import Instant, Json, Name

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("import_id", Name, primary_key=True),
        sa.Column("progress", Json, nullable=False),
        sa.Column("committed_at", Instant, nullable=False),
    )
