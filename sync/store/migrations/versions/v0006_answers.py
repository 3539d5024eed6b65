"""Answers to a review that a marketer gave in a CRM.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answer",
        sa.Column("conn", sa.String, primary_key=True),
        sa.Column("object", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("property", sa.String, nullable=False),
        sa.Column("value", sa.String),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told", sa.Boolean, nullable=False),
    )
    op.create_index(
        "ix_answer_untold",
        "answer",
        ["conn", "object", "id"],
        sqlite_where=sa.text("told = 0"),
        postgresql_where=sa.text("NOT told"),
    )


def downgrade() -> None:
    op.drop_table("answer")
