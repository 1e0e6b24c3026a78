"""When each attribute was set: the newest holds, in whatever order calls arrive and profiles merge."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("profiles", sa.Column("set_at", sa.JSON))
