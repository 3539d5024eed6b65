"""Sweeps, and fields that somebody rewrites again and again.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sweep",
        sa.Column("conn", sa.String, primary_key=True),
        sa.Column("stream", sa.String, primary_key=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True)),
        sa.Column("resume", sa.Text),
        sa.Column("found", sa.JSON, nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "sighting",
        sa.Column("conn", sa.String, primary_key=True),
        sa.Column("object", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
    )
    op.create_table(
        "fight",
        sa.Column("conn", sa.String, primary_key=True),
        sa.Column("object", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("field", sa.String, primary_key=True),
        sa.Column("rewritten", sa.JSON, nullable=False),
        sa.Column("answered", sa.Boolean, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("fight")
    op.drop_table("sighting")
    op.drop_table("sweep")
