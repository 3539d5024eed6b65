"""When a record was read for the first time, so that the past can be told.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Instant = sa.DateTime(timezone=True)

# Stores do not know it of records they have. One made after the store began was read soon after it was made.
BACKFILL = """
    UPDATE record SET first_seen_at = CASE
        WHEN created_at IS NOT NULL AND created_at < seen_at
             AND created_at > (SELECT min(pinned_at) FROM pinned WHERE pinned.conn = record.conn) THEN created_at
        ELSE coalesce(
            (SELECT min(pinned_at) FROM pinned WHERE pinned.conn = record.conn AND pinned_at < record.seen_at), seen_at)
        END
"""


def upgrade() -> None:
    op.add_column("record", sa.Column("first_seen_at", Instant, nullable=True))
    op.execute(BACKFILL)
    with op.batch_alter_table("record") as batch:
        batch.alter_column("first_seen_at", existing_type=Instant, nullable=False)
    op.create_index("ix_record_history_record", "record_history", ["conn", "object", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_record_history_record", table_name="record_history")
    with op.batch_alter_table("record") as batch:
        batch.drop_column("first_seen_at")
