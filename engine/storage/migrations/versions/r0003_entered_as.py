"""Under which profile and number an enrollment was entered, where a merge has changed either."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("enrollments", sa.Column("entered_as", sa.Text))
