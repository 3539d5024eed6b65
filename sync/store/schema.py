"""The tables. One schema for SQLite and Postgres; migrations make it, this describes it.

Conventions: ``conn`` is the connection (``hubspot``, ``salesforce``, ``file``); (conn, object, id) names a remote
record. Times are aware UTC (`Instant`). ``json`` columns hold plain JSON with sorted keys.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

__all__ = [
    "acked",
    "alias",
    "answer",
    "assignment",
    "audit",
    "bulk_job",
    "conflict",
    "cross_ref",
    "cursor",
    "decision",
    "desired",
    "episode",
    "event",
    "event_history",
    "fight",
    "file_mark",
    "intake",
    "job_run",
    "lease",
    "link",
    "merged_person",
    "metadata",
    "notice",
    "outbox",
    "owner",
    "person",
    "pinned",
    "policy_version",
    "pool_counter",
    "record",
    "record_email",
    "record_history",
    "routing_wait",
    "schema_cache",
    "shadow",
    "shadow_run",
    "sighting",
    "snapshot",
    "stop",
    "sweep",
    "verdict",
]


class Instant(TypeDecorator[datetime]):
    """An aware UTC time, on SQLite too (which stores it without zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a stored time must say its zone, this one does not: {value}")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        read: datetime = value
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def only_where(condition: str, sqlite: str = "") -> dict[str, Any]:
    """The options of a partial index, in both dialects' spelling.

    ``sqlite`` where that differs: its planner takes the index only for a query that says the same word for word.
    """
    return {"sqlite_where": text(sqlite or condition), "postgresql_where": text(condition)}


Serial = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

# -- what the CRMs say -------------------------------------------------------------------------------------------

pinned = Table(  # the portal and org this store was made with; others are refused
    "pinned",
    metadata,
    Column("conn", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("account_name", String, nullable=False),
    Column("pinned_at", Instant, nullable=False),
)

cursor = Table(  # how far a stream is read: everything changed before `lo` is stored
    "cursor",
    metadata,
    Column("conn", String, primary_key=True),
    Column("stream", String, primary_key=True),
    Column("lo", Instant),
    Column("mapping", String, nullable=False),  # hash of the field map it was read with; another one reads all again
    Column("window_lo", Instant),  # an unfinished window: its bounds and where to go on in it
    Column("window_hi", Instant),
    Column("resume", Text),
    Column("updated_at", Instant, nullable=False),
)

file_mark = Table(  # the content of a file that the newest window of a stream reads
    "file_mark",
    metadata,
    Column("conn", String, primary_key=True),
    Column("stream", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("sha256", String, nullable=False),
    Column("read_at", Instant, nullable=False),
    Column("window_hi", Instant, nullable=False),  # stored as a whole once the cursor has come to here
)

sweep = Table(  # how far the newest comparison of a stream with its CRM has come, and what it found
    "sweep",
    metadata,
    Column("conn", String, primary_key=True),
    Column("stream", String, primary_key=True),
    Column("began_at", Instant, nullable=False),
    Column("since", Instant),  # when the one before it began
    Column("resume", Text),  # where to go on; NULL: at the start, or finished
    Column("found", JSON, nullable=False),  # `sync.store.sweeps.Drift`
    Column("finished_at", Instant),  # NULL while it is under way
)

sighting = Table(  # the records that the sweep under way has seen in the CRM
    "sighting",
    metadata,
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("id", String, primary_key=True),
)

record = Table(  # people and companies of the CRMs as last read
    "record",
    metadata,
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("email_norm", String),
    Column("emails", JSON, nullable=False),  # normalised, primary first
    Column("facts", JSON, nullable=False),  # canonical name -> value; values we wrote ourselves are not taken over
    Column("current", JSON, nullable=False),  # property we write -> text now
    Column("counters", JSON, nullable=False),  # property -> last total
    Column("cross_refs", JSON, nullable=False),  # [[conn, object, id], ...]
    Column("owner", String),
    Column("company_id", String),
    Column("input_hash", String, nullable=False),  # of the scoring inputs only
    Column("version", String, nullable=False),
    Column("modified_at", Instant, nullable=False),
    Column("created_at", Instant),
    Column("gone", Boolean, nullable=False),
    Column("moved_to", String),  # "object:id" in the same CRM
    Column("problems", JSON, nullable=False),  # [[field, reason], ...]
    Column("sales", JSON(none_as_null=True)),  # what sales says: {"state", "reason", "at"}; NULL: nothing
    Column("inputs_at", Instant, nullable=False),  # `modified_at` of the read in which the scoring inputs last moved
    Column("touched", Boolean, nullable=False),  # who this record is must be found out (again)
    Column("written_at", Instant),  # the CRM's stamp of our newest confirmed write; `current` is no older than that
    Column("first_seen_at", Instant, nullable=False),  # when it was read for the first time
    Column("seen_at", Instant, nullable=False),
    Index(None, "email_norm"),
    Index("ix_record_touched", "conn", "object", "id", **only_where("touched", sqlite="touched = 1")),
    Index(
        "ix_record_company",
        "conn",
        "company_id",
        **only_where("company_id IS NOT NULL"),
    ),
)

record_email = Table(  # every address of a record, to find who shares one
    "record_email",
    metadata,
    Column("email", String, primary_key=True),
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("id", String, primary_key=True),
    Index("ix_record_email_record", "conn", "object", "id"),
)

cross_ref = Table(  # a record that names a record of the other CRM (HubSpot's salesforcecontactid)
    "cross_ref",
    metadata,
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("to_conn", String, primary_key=True),
    Column("to_object", String, primary_key=True),
    Column("to_id", String, primary_key=True),
    Index("ix_cross_ref_to", "to_conn", "to_object", "to_id"),
)

record_history = Table(  # one row each time a record's scoring inputs moved: what they were before
    "record_history",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("conn", String, nullable=False),
    Column("object", String, nullable=False),
    Column("id", String, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("changed", JSON, nullable=False),  # names of the facts that moved
    Column("old", JSON, nullable=False),  # their values before, absent means missing; and `inputs_at` before
    Index("ix_record_history_record", "conn", "object", "id"),
)

event = Table(
    "event",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("conn", String, nullable=False),
    Column("source_id", String, nullable=False),
    Column("object", String),  # the record it belongs to, once known
    Column("id", String),
    Column("address", String),  # whom it waits for while no record is known: e-mail address, or crm:object:id
    Column("kind", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("timed", Boolean, nullable=False),
    Column("count", Integer, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("seen_at", Instant, nullable=False),
    UniqueConstraint("conn", "source_id"),
    Index("ix_event_unresolved", "address", **only_where("id IS NULL")),
    # A changed event is a new row, and no number is given twice: what the snapshot lacks has a greater `seq`.
    sqlite_autoincrement=True,
)

event_history = Table(  # superseded versions of an event
    "event_history",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("conn", String, nullable=False),
    Column("source_id", String, nullable=False),
    Column("body", JSON, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("superseded_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)

owner = Table(
    "owner",
    metadata,
    Column("conn", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("email", String),  # lower case
    Column("name", String, nullable=False),
    Column("label", String, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("objects", JSON, nullable=False),
    Column("integration", Boolean, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

alias = Table(  # a merge or a lead conversion: the old name, and where it lives on
    "alias",
    metadata,
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("old_id", String, primary_key=True),
    Column("new_object", String, nullable=False),
    Column("new_id", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Index("ix_alias_new", "conn", "new_object", "new_id"),
)

# -- who is who --------------------------------------------------------------------------------------------------

link = Table(
    "link",
    metadata,
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("person_id", String, nullable=False),
    Column("role", String, nullable=False),  # target, shadow, ambiguous, gone
    Column("method", String, nullable=False),  # alone, link, cross reference, e-mail
    Column("confidence", Float, nullable=False),
    Index(None, "person_id"),
    Index("ix_link_gone", "conn", **only_where("role = 'gone'")),
)

person = Table(
    "person",
    metadata,
    Column("person_id", String, primary_key=True),
    Column("email", String),  # for showing and finding, normalised
    Column("name", String),
    Column("ambiguous", Boolean, nullable=False),
    Column("dirty", String),  # why the person must be gathered and scored again; NULL when up to date
    Column("status", String),  # policy-language 10.2; NULL before the first decision
    Column("status_since", Instant),
    Column("fit", Integer),
    Column("engagement", Integer),
    Column("total", Integer),
    Column("grade", String),
    Column("model", String),
    Column("reason", Text),  # fixed for the episode when it opens
    Column("missing", Text),  # what they lack to qualify, in words; NULL where no CRM is told
    Column("scored_day", String),  # ISO day the stored numbers are for
    Column("policy_version", String),
    Index(
        "ix_person_dirty",
        "person_id",
        **only_where("dirty IS NOT NULL"),
    ),
    Index(None, "email"),
)

merged_person = Table(  # two people found to be one, until the snapshot has moved the engagement of the first
    "merged_person",
    metadata,
    Column("person_id", String, primary_key=True),
    Column("into_id", String, nullable=False),
    Column("merged_at", Instant, nullable=False),
)

# -- decisions ---------------------------------------------------------------------------------------------------

episode = Table(
    "episode",
    metadata,
    Column("person_id", String, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("opened_at", Instant, nullable=False),
    Column("line", String, nullable=False),  # the gate line that opened it, or "adopted"
    Column("lines", JSON, nullable=False),
    Column("grade", String, nullable=False),
    Column("fit", Integer, nullable=False),
    Column("engagement", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("policy_version", String, nullable=False),
    Column("adopted", Boolean, nullable=False),
    Column("assigned_at", Instant),
    Column("task_key", String),  # the follow-up task, once planned
    Column("waiting", JSON, nullable=False, server_default="[]"),  # why it waits for a marketer; empty: it does not
    Column("approves_at", Instant),  # when time approves it; NULL: never
    Column("approved_at", Instant),
    Column("approved_by", String),  # a reviewer, "time", "rule"; NULL: nobody had to
    Column("drop_since", String),  # ISO day since which mql.stay's drop_when has been true without a break
    Column("touched_at", Instant),  # the first time sales touched it after it was assigned
    Column("accepted_at", Instant),
    Column("closed_at", Instant),
    Column("outcome", String),
    Column("won_at", Instant),  # when sales said that a sale was made, or was not, after the episode had ended as sql
    Column("lost_at", Instant),
    Column("run_id", String, nullable=False),
)

verdict = Table(  # what marketers said about people in review; the newest counts
    "verdict",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("person_id", String, nullable=False),
    Column("approve", Boolean, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", String, nullable=False),
    Column("why", Text),
    Index(None, "person_id"),
)

answer = Table(  # what stands in the property by which a review is answered, of records where ever anything did
    "answer",
    metadata,
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("property", String, nullable=False),
    Column("value", String),  # NULL: blank again
    Column("at", Instant, nullable=False),  # the CRM's stamp of the version that showed it, or of our clearing it
    Column("told", Boolean, nullable=False),  # it has become a verdict, where it is one
    Index("ix_answer_untold", "conn", "object", "id", **only_where("NOT told", sqlite="told = 0")),
)

notice = Table(  # what people are told beside their CRM; each once
    "notice",
    metadata,
    Column("key", String, primary_key=True),  # "person:n:kind:step"
    Column("person_id", String),
    Column("kind", String, nullable=False),
    Column("to", String, nullable=False),  # e-mail of a rep or manager
    Column("subject", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Index("ix_notice_unsent", "made_at", **only_where("sent_at IS NULL")),
)

assignment = Table(
    "assignment",
    metadata,
    Column("person_id", String, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("owner_key", String, nullable=False),  # "rep:<e-mail>", "queue:<name>", "user:<conn>:<owner id>"
    Column("why", String, nullable=False),  # the route that decided, or "adopted"
    Column("pool", String),
    Column("trace", JSON, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("policy_version", String, nullable=False),
    Index("ix_assignment_drawn", "decided_at", **only_where("pool IS NOT NULL")),
)

pool_counter = Table(
    "pool_counter",
    metadata,
    Column("pool", String, primary_key=True),
    Column("rep", String, primary_key=True),
    Column("assigned", Integer, nullable=False),
    Column("last_at", Instant),
    Column("weight", Integer),  # hundredths, as of the last draw the rep was free in; NULL before `weight` was stored
    Column("missed", Boolean, nullable=False, default=False),  # skipped since then for being away or at a cap
)

routing_wait = Table(  # an episode that nobody was free for; gone when it is assigned or closed
    "routing_wait",
    metadata,
    Column("person_id", String, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("since", Instant, nullable=False),  # of the first run in which nobody was free
    Column("until", Instant, nullable=False),  # when the queue gets it
    Column("why", String, nullable=False),  # the route that waits
    Column("trace", JSON, nullable=False),  # of the newest attempt
)

decision = Table(  # the newest decision that changed something for a person, with its full ledger
    "decision",
    metadata,
    Column("person_id", String, primary_key=True),
    Column("run_id", String, nullable=False),
    Column("as_of", Instant, nullable=False),
    Column("policy_version", String, nullable=False),
    Column("body", JSON, nullable=False),
)

# -- writing -----------------------------------------------------------------------------------------------------

desired = Table(
    "desired",
    metadata,
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("person_id", String, nullable=False),
    Column("fields", JSON, nullable=False),  # property -> canonical text, None clears
)

acked = Table(  # what the CRM confirmed; the only thing a plan is compared with
    "acked",
    metadata,
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("fields", JSON, nullable=False),
    Column("at", Instant, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("op_key", String, nullable=False, unique=True),
    Column("conn", String, nullable=False),
    Column("object", String, nullable=False),  # contact, lead, task
    Column("id", String, nullable=False),  # record id; the task key for a task
    Column("person_id", String, nullable=False),
    Column("fields", JSON, nullable=False),  # property -> wanted text; a task's draft
    Column("base", JSON, nullable=False),  # property -> text seen when deciding
    Column("sent", JSON, nullable=False),  # [fields of each attempt that has no answer yet]
    Column("state", String, nullable=False),  # pending, inflight, dead
    Column("attempts", Integer, nullable=False),
    Column("not_before", Instant),
    Column("sent_at", Instant),
    Column("fence", Integer),
    Column("batch_id", String),
    Column("run_id", String, nullable=False),
    Column("error_code", String),
    Column("error", Text),
    Column("error_field", String),
    Column("release_key", String),  # dead rows: retried when this no longer matches
    Column("dead_at", Instant),
    Index(
        "uq_outbox_open",
        "conn",
        "object",
        "id",
        unique=True,
        **only_where("state IN ('pending','inflight')"),
    ),
    Index("ix_outbox_state", "state", "conn", "object"),
    Index("ix_outbox_record", "conn", "object", "id"),  # uq_outbox_open serves only who names its states
)

conflict = Table(  # where a person's edit, or two records of one address, keeps us from writing
    "conflict",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),  # human edit, ambiguous, duplicate, tamper, fight
    Column("person_id", String, nullable=False),
    Column("conn", String, nullable=False),
    Column("object", String, nullable=False),
    Column("id", String, nullable=False),
    Column("field", String, nullable=False),
    Column("theirs", Text),
    Column("ours", Text),
    Column("episode", Integer),
    Column("held", Boolean, nullable=False),  # the field is not written while this stands
    Column("seen_at", Instant, nullable=False),
    Column("settled_at", Instant),
    UniqueConstraint("kind", "conn", "object", "id", "field"),
    Index(None, "person_id"),
)

fight = Table(  # fields of ours that somebody rewrites: when, as far back as it counts
    "fight",
    metadata,
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("field", String, primary_key=True),
    Column("rewritten", JSON, nullable=False),  # ISO instants, oldest first
    Column("answered", Boolean, nullable=False),  # ours was written again since the last of them
)

# -- runs --------------------------------------------------------------------------------------------------------

job_run = Table(
    "job_run",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("job", String, nullable=False),
    Column("slot", String, nullable=False),  # ISO slot of the schedule, or "manual:<id>"
    Column("slot_at", Instant),  # the instant of a scheduled slot
    Column("state", String, nullable=False),
    Column("stage", String),
    Column("trigger", String, nullable=False),  # schedule, catch-up, manual
    Column("as_of", Instant),
    Column("queued_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("host", String),
    Column("pid", Integer),
    Column("process_started", String),  # tells two processes with one pid apart
    Column("policy_version", String),
    Column("counts", JSON, nullable=False),
    Column("calls", JSON, nullable=False),
    Column("error", Text),
    UniqueConstraint("job", "slot"),
)

lease = Table(
    "lease",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String),
    Column("fence", Integer, nullable=False),
    Column("host", String),
    Column("pid", Integer),
    Column("process_started", String),
    Column("expires_at", Instant),
)

stop = Table(  # a run that a guard stopped before it wrote, until somebody lets it through or it has no more meaning
    "stop",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("job", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("as_of", Instant),  # the instant it was asked to decide as of; NULL: as of now
    Column("policy_version", String, nullable=False),
    Column("findings", JSON, nullable=False),  # [`sync.guard.Finding`]
    Column("changes", LargeBinary, nullable=False),  # what it would have changed: `sync.guard.Change.digest`, joined
)

intake = Table(  # what a guard compares the newest input with
    "intake",
    metadata,
    Column("conn", String, primary_key=True),
    Column("stream", String, primary_key=True),  # empty: the connection as a whole
    Column("moved_at", Instant, nullable=False),  # when it last had something that was not known
    Column("people", Integer),  # of the connection as a whole: records of people, counted once a day
    Column("gone", Integer),  # and how many had gone when decisions were last stored
    Column("excused", Boolean, nullable=False),  # somebody has let it pass that it is silent; until it moves
)

bulk_job = Table(  # jobs of a CRM that may be writing: a run that was killed leaves them behind
    "bulk_job",
    metadata,
    Column("conn", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("object", String, nullable=False),
)

schema_cache = Table(
    "schema_cache",
    metadata,
    Column("conn", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("fetched_at", Instant, nullable=False),
    Column("body", JSON, nullable=False),
)

snapshot = Table(  # the Parquet files that scoring reads; rebuilt from the store when lost
    "snapshot",
    metadata,
    Column("file", String, primary_key=True),
    Column("kind", String, nullable=False),  # people, events, cards; settings for what the files were made with
    Column("bucket", Integer, nullable=False),
    Column("sorted", Boolean, nullable=False),  # the compacted file of its bucket, or a delta
    Column("seq", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("meta", JSON, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("who", String, nullable=False),
    Column("what", String, nullable=False),
    Column("body", JSON, nullable=False),
)

# -- versions of the policy --------------------------------------------------------------------------------------

policy_version = Table(  # one row each time files were put into use, or found in use
    "policy_version",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("version", String, nullable=False),  # the content hash; empty for files that did not load
    Column("name", String, nullable=False),
    Column("how", String, nullable=False),  # `sync.publication.How`
    Column("note", Text, nullable=False),
    Column("who", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("restores", Integer),  # the seq whose files were brought back
    Column("digest", String, nullable=False),  # of the bytes of all files
    Column("files", JSON, nullable=False),  # path inside the directory -> text
)

shadow = Table(  # a candidate that is scored beside the policy in use, until ended_at
    "shadow",
    metadata,
    Column("id", String, primary_key=True),
    Column("version", String, nullable=False),
    Column("name", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("who", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("files", JSON, nullable=False),
)

shadow_run = Table(  # what one run's people would have become under the candidate
    "shadow_run",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("shadow_id", String, nullable=False),
    Column("live_version", String, nullable=False),
    Column("as_of", Instant, nullable=False),
    Column("whole", Boolean, nullable=False),  # everybody was compared, not only who changed
    Column("people", Integer, nullable=False),
    Column("body", JSON, nullable=False),
    Index(None, "shadow_id"),
)
