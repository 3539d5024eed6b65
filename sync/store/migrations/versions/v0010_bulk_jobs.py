"""Bulk jobs that may be writing.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bulk_job",
        sa.Column("conn", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("object", sa.String, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("bulk_job")
