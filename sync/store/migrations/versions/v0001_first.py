"""The first tables.

Revision ID: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Instant = sa.DateTime(timezone=True)


def only_where(condition: str, sqlite: str = "") -> dict[str, Any]:
    return {"sqlite_where": sa.text(sqlite or condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "acked",
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("conn", "object", "id"),
    )
    op.create_table(
        "alias",
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("old_id", sa.String(), nullable=False),
        sa.Column("new_object", sa.String(), nullable=False),
        sa.Column("new_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("seen_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("conn", "object", "old_id"),
    )
    op.create_index("ix_alias_new", "alias", ["conn", "new_object", "new_id"], unique=False)
    op.create_table(
        "assignment",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("owner_key", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("pool", sa.String(), nullable=True),
        sa.Column("trace", sa.JSON(), nullable=False),
        sa.Column("decided_at", Instant, nullable=False),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "n", "step"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "conflict",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("theirs", sa.Text(), nullable=True),
        sa.Column("ours", sa.Text(), nullable=True),
        sa.Column("episode", sa.Integer(), nullable=True),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("seen_at", Instant, nullable=False),
        sa.Column("settled_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("kind", "conn", "object", "id", "field", name="uq_conflict_kind_conn_object_id_field"),
    )
    op.create_index("ix_conflict_person_id", "conflict", ["person_id"], unique=False)
    op.create_table(
        "cross_ref",
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("to_conn", sa.String(), nullable=False),
        sa.Column("to_object", sa.String(), nullable=False),
        sa.Column("to_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("conn", "object", "id", "to_conn", "to_object", "to_id"),
    )
    op.create_index("ix_cross_ref_to", "cross_ref", ["to_conn", "to_object", "to_id"], unique=False)
    op.create_table(
        "cursor",
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("lo", Instant, nullable=True),
        sa.Column("mapping", sa.String(), nullable=False),
        sa.Column("window_lo", Instant, nullable=True),
        sa.Column("window_hi", Instant, nullable=True),
        sa.Column("resume", sa.Text(), nullable=True),
        sa.Column("updated_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("conn", "stream"),
    )
    op.create_table(
        "decision",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("as_of", Instant, nullable=False),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("person_id"),
    )
    op.create_table(
        "desired",
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("conn", "object", "id"),
    )
    op.create_table(
        "episode",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("opened_at", Instant, nullable=False),
        sa.Column("line", sa.String(), nullable=False),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.Column("grade", sa.String(), nullable=False),
        sa.Column("fit", sa.Integer(), nullable=False),
        sa.Column("engagement", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.Column("adopted", sa.Boolean(), nullable=False),
        sa.Column("assigned_at", Instant, nullable=True),
        sa.Column("task_key", sa.String(), nullable=True),
        sa.Column("closed_at", Instant, nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "n"),
    )
    op.create_table(
        "event",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=True),
        sa.Column("id", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("timed", sa.Boolean(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("seen_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("conn", "source_id", name="uq_event_conn_source_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_unresolved", "event", ["address"], unique=False, **only_where("id IS NULL"))
    op.create_table(
        "event_history",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("seen_at", Instant, nullable=False),
        sa.Column("superseded_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "job_run",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("slot_at", Instant, nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("as_of", Instant, nullable=True),
        sa.Column("queued_at", Instant, nullable=False),
        sa.Column("started_at", Instant, nullable=True),
        sa.Column("finished_at", Instant, nullable=True),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("process_started", sa.String(), nullable=True),
        sa.Column("policy_version", sa.String(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("calls", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id"),
        sa.UniqueConstraint("job", "slot", name="uq_job_run_job_slot"),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("process_started", sa.String(), nullable=True),
        sa.Column("expires_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "link",
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("conn", "object", "id"),
    )
    op.create_index("ix_link_person_id", "link", ["person_id"], unique=False)
    op.create_table(
        "merged_person",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("into_id", sa.String(), nullable=False),
        sa.Column("merged_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("person_id"),
    )
    op.create_table(
        "outbox",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("op_key", sa.String(), nullable=False),
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("base", sa.JSON(), nullable=False),
        sa.Column("sent", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", Instant, nullable=True),
        sa.Column("sent_at", Instant, nullable=True),
        sa.Column("fence", sa.Integer(), nullable=True),
        sa.Column("batch_id", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_field", sa.String(), nullable=True),
        sa.Column("release_key", sa.String(), nullable=True),
        sa.Column("dead_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("op_key", name="uq_outbox_op_key"),
    )
    op.create_index("ix_outbox_record", "outbox", ["conn", "object", "id"], unique=False)
    op.create_index("ix_outbox_state", "outbox", ["state", "conn", "object"], unique=False)
    op.create_index(
        "uq_outbox_open",
        "outbox",
        ["conn", "object", "id"],
        unique=True,
        **only_where("state IN ('pending','inflight')"),
    )
    op.create_table(
        "owner",
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("objects", sa.JSON(), nullable=False),
        sa.Column("integration", sa.Boolean(), nullable=False),
        sa.Column("seen_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("conn", "id"),
    )
    op.create_table(
        "person",
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("ambiguous", sa.Boolean(), nullable=False),
        sa.Column("dirty", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("status_since", Instant, nullable=True),
        sa.Column("fit", sa.Integer(), nullable=True),
        sa.Column("engagement", sa.Integer(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("grade", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("scored_day", sa.String(), nullable=True),
        sa.Column("policy_version", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("person_id"),
    )
    op.create_index("ix_person_dirty", "person", ["person_id"], unique=False, **only_where("dirty IS NOT NULL"))
    op.create_index("ix_person_email", "person", ["email"], unique=False)
    op.create_table(
        "pinned",
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("account_name", sa.String(), nullable=False),
        sa.Column("pinned_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("conn"),
    )
    op.create_table(
        "pool_counter",
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("rep", sa.String(), nullable=False),
        sa.Column("assigned", sa.Integer(), nullable=False),
        sa.Column("last_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("pool", "rep"),
    )
    op.create_table(
        "record",
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("email_norm", sa.String(), nullable=True),
        sa.Column("emails", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("current", sa.JSON(), nullable=False),
        sa.Column("counters", sa.JSON(), nullable=False),
        sa.Column("cross_refs", sa.JSON(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("company_id", sa.String(), nullable=True),
        sa.Column("input_hash", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("modified_at", Instant, nullable=False),
        sa.Column("created_at", Instant, nullable=True),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("moved_to", sa.String(), nullable=True),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("inputs_at", Instant, nullable=False),
        sa.Column("touched", sa.Boolean(), nullable=False),
        sa.Column("written_at", Instant),
        sa.Column("seen_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("conn", "object", "id"),
    )
    op.create_index(
        "ix_record_company", "record", ["conn", "company_id"], unique=False, **only_where("company_id IS NOT NULL")
    )
    op.create_index("ix_record_email_norm", "record", ["email_norm"], unique=False)
    op.create_index(
        "ix_record_touched",
        "record",
        ["conn", "object", "id"],
        unique=False,
        **only_where("touched", sqlite="touched = 1"),
    )
    op.create_table(
        "record_email",
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("email", "conn", "object", "id"),
    )
    op.create_index("ix_record_email_record", "record_email", ["conn", "object", "id"], unique=False)
    op.create_table(
        "record_history",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("seen_at", Instant, nullable=False),
        sa.Column("changed", sa.JSON(), nullable=False),
        sa.Column("old", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "schema_cache",
        sa.Column("conn", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("fetched_at", Instant, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("conn", "object"),
    )
    op.create_table(
        "snapshot",
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("sorted", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("file"),
    )


def downgrade() -> None:
    op.drop_table("snapshot")
    op.drop_table("schema_cache")
    op.drop_table("record_history")
    op.drop_table("record_email")
    op.drop_table("record")
    op.drop_table("pool_counter")
    op.drop_table("pinned")
    op.drop_table("person")
    op.drop_table("owner")
    op.drop_table("outbox")
    op.drop_table("merged_person")
    op.drop_table("link")
    op.drop_table("lease")
    op.drop_table("job_run")
    op.drop_table("event_history")
    op.drop_table("event")
    op.drop_table("episode")
    op.drop_table("desired")
    op.drop_table("decision")
    op.drop_table("cursor")
    op.drop_table("cross_ref")
    op.drop_table("conflict")
    op.drop_table("audit")
    op.drop_table("assignment")
    op.drop_table("alias")
    op.drop_table("acked")
