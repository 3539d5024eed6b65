"""When sales won or lost whom they had taken on.

Revision ID: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TIMES = ("won_at", "lost_at")


def upgrade() -> None:
    for name in TIMES:
        op.add_column("episode", sa.Column(name, sa.DateTime(timezone=True)))


def downgrade() -> None:
    for name in reversed(TIMES):
        op.drop_column("episode", name)
