"""Who waits for a rep, and what a draw from a pool has to remember of those it skipped.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Instant = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("pool_counter") as batch:
        batch.add_column(sa.Column("weight", sa.Integer, nullable=True))
        batch.add_column(sa.Column("missed", sa.Boolean, nullable=False, server_default=sa.false()))
    with op.batch_alter_table("pool_counter") as batch:
        batch.alter_column("missed", existing_type=sa.Boolean, server_default=None)
    drawn = sa.text("pool IS NOT NULL")
    op.create_index("ix_assignment_drawn", "assignment", ["decided_at"], sqlite_where=drawn, postgresql_where=drawn)
    op.create_table(
        "routing_wait",
        sa.Column("person_id", sa.String, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True),
        sa.Column("since", Instant, nullable=False),
        sa.Column("until", Instant, nullable=False),
        sa.Column("why", sa.String, nullable=False),
        sa.Column("trace", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("routing_wait")
    op.drop_index("ix_assignment_drawn", "assignment")
    with op.batch_alter_table("pool_counter") as batch:
        batch.drop_column("missed")
        batch.drop_column("weight")
