"""Records of people that are gone: an index that has only them, and how many there were.

Revision ID: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

GONE = sa.text("role = 'gone'")


def upgrade() -> None:
    op.create_index("ix_link_gone", "link", ["conn"], sqlite_where=GONE, postgresql_where=GONE)
    op.add_column("intake", sa.Column("gone", sa.Integer))


def downgrade() -> None:
    with op.batch_alter_table("intake") as intake:
        intake.drop_column("gone")
    op.drop_index("ix_link_gone", "link")
