"""Why a journey is in its state, in the words of who put it there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("journeys", sa.Column("note", sa.Text))
