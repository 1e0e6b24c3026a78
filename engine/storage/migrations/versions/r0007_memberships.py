"""By which definition a membership was evaluated, and what triggers were told of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("memberships", sa.Column("definition", sa.Text))
    op.add_column("memberships", sa.Column("told", sa.Boolean))
