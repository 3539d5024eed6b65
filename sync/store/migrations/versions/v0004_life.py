"""The life of an MQL: review, verdicts, what sales says, what people are told.

Revision ID: 0004
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Instant = sa.DateTime(timezone=True)
Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def of_episode() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("waiting", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("approves_at", Instant),
        sa.Column("approved_at", Instant),
        sa.Column("approved_by", sa.String),
        sa.Column("drop_since", sa.String),
        sa.Column("touched_at", Instant),
        sa.Column("accepted_at", Instant),
    )


def upgrade() -> None:
    for column in of_episode():
        op.add_column("episode", column)
    op.add_column("record", sa.Column("sales", sa.JSON))
    op.create_table(
        "verdict",
        sa.Column("seq", Serial, primary_key=True, autoincrement=True),
        sa.Column("person_id", sa.String, nullable=False),
        sa.Column("approve", sa.Boolean, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("why", sa.Text),
    )
    op.create_index("ix_verdict_person_id", "verdict", ["person_id"])
    op.create_table(
        "notice",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("person_id", sa.String),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("to", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("sent_at", Instant),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
    )
    unsent = sa.text("sent_at IS NULL")
    op.create_index("ix_notice_unsent", "notice", ["made_at"], sqlite_where=unsent, postgresql_where=unsent)


def downgrade() -> None:
    op.drop_table("notice")
    op.drop_table("verdict")
    with op.batch_alter_table("record") as batch:
        batch.drop_column("sales")
    with op.batch_alter_table("episode") as batch:
        for column in of_episode():
            batch.drop_column(column.name)
