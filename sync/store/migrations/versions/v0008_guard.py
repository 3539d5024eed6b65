"""Runs that a guard stopped, what their input is compared with, and what people lack to qualify.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stop",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("job", sa.String, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True)),
        sa.Column("policy_version", sa.String, nullable=False),
        sa.Column("findings", sa.JSON, nullable=False),
        sa.Column("changes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "intake",
        sa.Column("conn", sa.String, primary_key=True),
        sa.Column("stream", sa.String, primary_key=True),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("people", sa.Integer),
        sa.Column("excused", sa.Boolean, nullable=False),
    )
    op.add_column("person", sa.Column("missing", sa.Text))


def downgrade() -> None:
    with op.batch_alter_table("person") as person:
        person.drop_column("missing")
    op.drop_table("intake")
    op.drop_table("stop")
