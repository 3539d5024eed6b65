"""Rows on their way to a CRM, what was confirmed of them, and what is parked.

A row is ``pending -> inflight -> gone (acked) | pending | dead``; ``MOVES`` is the whole of it.
Every function takes the transaction it runs in, so that a caller decides what stands or falls together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, or_, select, update

from connectors.records import Crm, RecordRef
from sync.plan import Conflict, PlannedTask, PlannedWrite
from sync.store import schema
from sync.store.refs import parts
from sync.store.statements import Lookup, insert, upsert

__all__ = ["TASK", "DeadLetter", "OutboxRow", "RowState"]

TASK = "task"
"""The object of rows that create a follow-up task; their id is the task's key."""

RETRY_DEAD_AFTER = timedelta(days=1)
"""A parked row is tried again once a day even when nothing about it changed."""

NO_ANSWER = "NO_ANSWER"
"""The code of rows that were parked because nothing was ever answered."""

UNREADABLE = "UNREADABLE"
"""The code of rows that were parked because their CRM fails at telling what it shows."""

MOST_IN_DOUBT = 20
"""Attempts without an answer that are remembered of one row: those of four days at worst, oldest forgotten first."""


class RowState(StrEnum):
    PENDING = "pending"
    INFLIGHT = "inflight"
    DEAD = "dead"


MOVES: Mapping[RowState, frozenset[RowState]] = {
    RowState.PENDING: frozenset({RowState.INFLIGHT, RowState.DEAD}),
    RowState.INFLIGHT: frozenset({RowState.PENDING, RowState.DEAD}),
    RowState.DEAD: frozenset({RowState.PENDING}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One open row. ``fields`` of a task row is its draft; ``sent`` are attempts that may have taken effect."""

    seq: int
    key: str
    ref: RecordRef
    person_id: str
    fields: Mapping[str, Any]
    base: Mapping[str, str | None]
    sent: tuple[Mapping[str, Any], ...]
    state: RowState
    attempts: int
    not_before: datetime | None
    sent_at: datetime | None
    error_code: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A parked row and why it is parked."""

    seq: int
    ref: RecordRef
    person_id: str
    fields: Mapping[str, Any]
    code: str
    reason: str
    field: str | None
    release_key: str
    dead_at: datetime
    attempts: int


def _row(found: Any) -> OutboxRow:
    return OutboxRow(
        seq=found.seq,
        key=found.op_key,
        ref=RecordRef(crm=Crm(found.conn), object=found.object, id=found.id),
        person_id=found.person_id,
        fields=found.fields,
        base=found.base,
        sent=tuple(found.sent),
        state=RowState(found.state),
        attempts=found.attempts,
        not_before=found.not_before,
        sent_at=found.sent_at,
        error_code=found.error_code,
        error=found.error,
    )


# -- planning ----------------------------------------------------------------------------------------------------


def put(tx: Connection, writes: Sequence[tuple[str, PlannedWrite]], *, run_id: str, release: str) -> int:
    """Queue writes of (person_id, write). Returns how many rows now wait that did not wait like this before.

    A pending row of the same record is replaced; an inflight one is left alone (the record is planned again after its
    answer). A record parked with the same values and the same ``release`` stays parked.
    """
    fresh, replaced = _new(tx, writes, run_id=run_id, release=release)
    _delete(tx, replaced)
    insert(tx, schema.outbox, fresh)
    return len(fresh)


def count_new(tx: Connection, writes: Sequence[tuple[str, PlannedWrite]], *, release: str) -> int:
    """What `put` would return; nothing is queued."""
    fresh, _ = _new(tx, writes, run_id="", release=release)
    return len(fresh)


def _new(
    tx: Connection, writes: Sequence[tuple[str, PlannedWrite]], *, run_id: str, release: str
) -> tuple[list[dict[str, Any]], list[int]]:
    """The rows to be queued, and the numbers of those they replace."""
    known: dict[RecordRef, list[Any]] = {}
    for (crm, object), ids in _by_object([write.ref for _, write in writes]).items():
        for part in parts(ids):
            for row in tx.execute(select(schema.outbox).where(_here(schema.outbox, crm, object, part))):
                known.setdefault(RecordRef(crm=crm, object=object, id=row.id), []).append(row)
    replaced: list[int] = []
    fresh: list[dict[str, Any]] = []
    for person_id, write in writes:
        rows = known.get(write.ref, [])
        state = {row.state: row for row in rows}
        waiting, dead = state.get(RowState.PENDING), state.get(RowState.DEAD)
        if RowState.INFLIGHT in state or (waiting is not None and waiting.op_key == write.key):
            continue
        if dead is not None and dead.fields == dict(write.fields) and dead.release_key == release:
            continue
        replaced += [row.seq for row in rows]
        fresh.append(
            {
                "op_key": write.key,
                "conn": write.ref.crm,
                "object": write.ref.object,
                "id": write.ref.id,
                "person_id": person_id,
                "fields": dict(write.fields),
                "base": dict(write.base),
                "sent": [attempt for row in rows for attempt in row.sent],
                "state": RowState.PENDING,
                "attempts": waiting.attempts if waiting is not None else 0,
                "run_id": run_id,
                "error_code": next((row.error_code for row in rows if row.error_code is not None), None),
            }
        )
    return fresh, replaced


def put_tasks(tx: Connection, tasks: Sequence[tuple[str, PlannedTask]], *, run_id: str) -> int:
    """Queue tasks of (person_id, task) unless they exist, wait or are parked already. Returns how many are new."""
    fresh = _new_tasks(tx, tasks)
    insert(tx, schema.outbox, [_task_row(person_id, task, run_id) for person_id, task in fresh])
    return len(fresh)


def count_new_tasks(tx: Connection, tasks: Sequence[tuple[str, PlannedTask]]) -> int:
    """What `put_tasks` would return; nothing is queued."""
    return len(_new_tasks(tx, tasks))


def _new_tasks(tx: Connection, tasks: Sequence[tuple[str, PlannedTask]]) -> list[tuple[str, PlannedTask]]:
    keys: dict[Crm, list[str]] = {}
    for _, task in tasks:
        keys.setdefault(task.person.crm, []).append(task.key)
    there: set[tuple[str, str]] = set()
    for crm, own in keys.items():
        for part in parts(own):
            for table in (schema.acked, schema.outbox):
                found = select(table.c.id).where(table.c.conn == crm, table.c.object == TASK, table.c.id.in_(part))
                there.update((crm, key) for key in tx.execute(found).scalars())
    return [(person_id, task) for person_id, task in tasks if (task.person.crm, task.key) not in there]


def _task_row(person_id: str, task: PlannedTask, run_id: str) -> dict[str, Any]:
    crm = task.person.crm
    return {
        "op_key": f"task:{crm}:{task.key}",
        "conn": crm,
        "object": TASK,
        "id": task.key,
        "person_id": person_id,
        "fields": {
            "person": [task.person.object, task.person.id],
            "owner_property": task.owner_property,
            "owner": task.owner,
            "subject": task.subject,
            "lines": list(task.lines),
            "due": task.due.isoformat(),
            "since": task.since.isoformat(),
            **({"confirmed_owner": task.owner} if task.stands else {}),
        },
        "base": {},
        "sent": [],
        "state": RowState.PENDING,
        "attempts": 0,
        "run_id": run_id,
    }


def drop_pending(tx: Connection, refs: Sequence[RecordRef]) -> int:
    """Forget queued or parked rows of records that need nothing any more. Rows in flight stay."""
    dropped = 0
    for (crm, object), ids in _by_object(refs).items():
        for part in parts(ids):
            here = _here(schema.outbox, crm, object, part)
            dropped += tx.execute(
                delete(schema.outbox).where(here, schema.outbox.c.state != RowState.INFLIGHT)
            ).rowcount
    return dropped


# -- sending -----------------------------------------------------------------------------------------------------


def ready(
    tx: Connection, crm: Crm, *, now: datetime, limit: int, skip: frozenset[int] | set[int] = frozenset()
) -> list[OutboxRow]:
    """The next pending rows of one object of one CRM, records before tasks, oldest first, without those in ``skip``."""
    waiting = (
        select(schema.outbox)
        .where(
            schema.outbox.c.conn == crm,
            schema.outbox.c.state == RowState.PENDING,
            schema.outbox.c.not_before.is_(None) | (schema.outbox.c.not_before <= now),
        )
        .order_by(schema.outbox.c.object == TASK, schema.outbox.c.object, schema.outbox.c.seq)
        .limit(limit + len(skip))
    )
    rows = [row for found in tx.execute(waiting) if (row := _row(found)).seq not in skip]
    return [row for row in rows if row.ref.object == rows[0].ref.object][:limit]


def waiting(tx: Connection, crm: Crm, object: str, *, now: datetime) -> int:
    """How many rows of one object `ready` would give, if it gave all."""
    o = schema.outbox.c
    ready_now = o.not_before.is_(None) | (o.not_before <= now)
    here = (o.conn == crm, o.object == object, o.state == RowState.PENDING, ready_now)
    return tx.execute(select(func.count()).select_from(schema.outbox).where(*here)).scalar_one()


def inflight(tx: Connection, crm: Crm) -> list[OutboxRow]:
    """Rows that were sent and have no answer: by a lost connection, or because the sender died."""
    sent = select(schema.outbox).where(schema.outbox.c.conn == crm, schema.outbox.c.state == RowState.INFLIGHT)
    return [_row(found) for found in tx.execute(sent.order_by(schema.outbox.c.seq))]


def next_due(tx: Connection, crm: Crm, *, skip: frozenset[int] | set[int] = frozenset()) -> datetime | None:
    """When the earliest pending row that has to rest may go, None when none rests. Those in ``skip`` do not count."""
    resting = select(schema.outbox.c.seq, schema.outbox.c.not_before).where(
        schema.outbox.c.conn == crm,
        schema.outbox.c.state == RowState.PENDING,
        schema.outbox.c.not_before.is_not(None),
    )
    return min((row.not_before for row in tx.execute(resting) if row.seq not in skip), default=None)


def mark_inflight(
    tx: Connection, rows: Sequence[tuple[OutboxRow, Mapping[str, Any]]], *, now: datetime, fence: int, batch: str
) -> None:
    """Before the call: each row with exactly the fields that are about to be sent. Commit before sending."""
    if not rows:
        return
    o = schema.outbox.c
    before = _before(RowState.INFLIGHT)
    statement = (
        update(schema.outbox)
        .where(o.seq == bindparam("key"), or_(*(o.state == state for state in before)))
        .values(
            state=RowState.INFLIGHT,
            sent=bindparam("now_sent"),
            attempts=o.attempts + 1,
            sent_at=now,
            fence=fence,
            batch_id=batch,
        )
    )
    moved = tx.execute(
        statement,
        [{"key": row.seq, "now_sent": [*row.sent, dict(fields)][-MOST_IN_DOUBT:]} for row, fields in rows],
    )
    if moved.rowcount != len(rows):
        raise _taken(f"{len(rows) - moved.rowcount} of {len(rows)} rows from {rows[0][0].ref} on", before)


def _before(state: RowState) -> list[RowState]:
    return [before for before, after in MOVES.items() if state in after]


def _taken(what: str, expected: Sequence[RowState]) -> RuntimeError:
    return RuntimeError(f"{what}: not {' or '.join(expected)} in the outbox any more; another run has taken it")


def _move(tx: Connection, row: OutboxRow, state: RowState, **values: Any) -> None:
    sources = _before(state)
    moved = tx.execute(
        update(schema.outbox)
        .where(schema.outbox.c.seq == row.seq, schema.outbox.c.state.in_(sources))
        .values(state=state, **values)
    )
    if moved.rowcount != 1:
        raise _taken(str(row.ref), sources)


def acknowledge(tx: Connection, confirmed: Mapping[RecordRef, Mapping[str, Any]], *, at: datetime) -> None:
    """Add values to what the CRM has confirmed of records. Nothing else ever moves `acked`."""
    confirmed = {ref: fields for ref, fields in confirmed.items() if fields}
    before = acked_fields(tx, list(confirmed))
    rows = [
        {"conn": r.crm, "object": r.object, "id": r.id, "fields": {**before.get(r, {}), **fields}, "at": at}
        for r, fields in confirmed.items()
    ]
    upsert(tx, schema.acked, rows, ("conn", "object", "id"))


def narrow(tx: Connection, row: OutboxRow, fields: Mapping[str, str | None]) -> None:
    """From now on the row wants only this: the rest is confirmed, or somebody else's."""
    tx.execute(update(schema.outbox).where(schema.outbox.c.seq == row.seq).values(fields=dict(fields)))


def aim_task(tx: Connection, row: OutboxRow, person: RecordRef, *, owner: str) -> None:
    """The person of a task lives on under another name: the task goes there, with the owner that was confirmed."""
    draft = {**row.fields, "person": [person.object, person.id], "confirmed_owner": owner}
    back_to_pending(tx, row, not_before=None, answered=True)
    tx.execute(update(schema.outbox).where(schema.outbox.c.seq == row.seq).values(fields=draft))


def remove(tx: Connection, rows: Sequence[OutboxRow]) -> None:
    """Rows that reached their end: everything asked for is confirmed, or belongs to somebody else now."""
    _delete(tx, [row.seq for row in rows])


def back_to_pending(
    tx: Connection, row: OutboxRow, *, not_before: datetime | None, answered: bool, attempts: int | None = None
) -> None:
    """Try again. ``answered``: the CRM said it did nothing, so the last attempt is no longer in doubt."""
    found = tx.execute(select(schema.outbox.c.sent).where(schema.outbox.c.seq == row.seq)).scalar_one()
    values: dict[str, Any] = {"not_before": not_before, "sent": found[:-1] if answered else found}
    if attempts is not None:
        values["attempts"] = attempts
    _move(tx, row, RowState.PENDING, **values)


def bury(
    tx: Connection, row: OutboxRow, *, code: str, reason: str, field: str | None, release: str, at: datetime
) -> bool:
    """Park the row with its reason. True when this rejection is new, or another one than last time.

    What was sent stays remembered: a refusal can come with part of the values written.
    """
    again = row.error_code == code
    _move(
        tx,
        row,
        RowState.DEAD,
        error_code=code,
        error=reason,
        error_field=field,
        release_key=release,
        dead_at=at,
    )
    return not again


def release_dead(tx: Connection, *, release: str, now: datetime, seqs: Sequence[int] | None = None) -> int:
    """Let parked rows try again: the ones named, else those whose release key no longer matches, those parked a day,
    and those a CRM did not answer for, which says nothing of the row.
    """
    dead = schema.outbox.c.state == RowState.DEAD
    which: ColumnElement[bool]
    if seqs is not None:
        which = schema.outbox.c.seq.in_(seqs)
    else:
        c = schema.outbox.c
        rested = c.dead_at <= now - RETRY_DEAD_AFTER
        which = (c.release_key != release) | rested | c.error_code.in_([NO_ANSWER, UNREADABLE])
    moved = tx.execute(
        update(schema.outbox).where(dead, which).values(state=RowState.PENDING, not_before=None, attempts=0)
    )
    return moved.rowcount


def dead_letters(tx: Connection) -> list[DeadLetter]:
    """Everything parked, oldest first."""
    found = tx.execute(
        select(schema.outbox).where(schema.outbox.c.state == RowState.DEAD).order_by(schema.outbox.c.seq)
    )
    return [
        DeadLetter(
            seq=row.seq,
            ref=RecordRef(crm=Crm(row.conn), object=row.object, id=row.id),
            person_id=row.person_id,
            fields=row.fields,
            code=row.error_code or "",
            reason=row.error or "",
            field=row.error_field,
            release_key=row.release_key or "",
            dead_at=row.dead_at,
            attempts=row.attempts,
        )
        for row in found
    ]


def acked_fields(tx: Connection, refs: Sequence[RecordRef]) -> dict[RecordRef, dict[str, str | None]]:
    """What each record has confirmed; records that never confirmed anything are left out."""
    return _fields_of(tx, _ACKED, refs)


_ACKED, _DESIRED = (
    Lookup((table.c.id, table.c.fields), table, ("conn", "object"), "id") for table in (schema.acked, schema.desired)
)


def _fields_of(tx: Connection, of: Lookup, refs: Sequence[RecordRef]) -> dict[RecordRef, dict[str, str | None]]:
    out: dict[RecordRef, dict[str, str | None]] = {}
    for (crm, object), ids in _by_object(refs).items():
        for part in parts(ids):
            for row in of.rows(tx, part, conn=crm, object=object):
                out[RecordRef(crm=crm, object=object, id=row.id)] = dict(row.fields)
    return out


def desired_fields(tx: Connection, refs: Sequence[RecordRef]) -> dict[RecordRef, dict[str, str | None]]:
    """Every value the newest plan wants of each record; records that were never planned are left out."""
    return _fields_of(tx, _DESIRED, refs)


def _by_object(refs: Iterable[RecordRef]) -> dict[tuple[Crm, str], list[str]]:
    grouped: dict[tuple[Crm, str], list[str]] = {}
    for ref in refs:
        grouped.setdefault((ref.crm, ref.object), []).append(ref.id)
    return grouped


def _here(table: Any, crm: Crm, object: str, ids: Sequence[str]) -> Any:
    return (table.c.conn == crm) & (table.c.object == object) & table.c.id.in_(ids)


def _delete(tx: Connection, seqs: Sequence[int]) -> None:
    for part in parts(seqs):
        tx.execute(delete(schema.outbox).where(schema.outbox.c.seq.in_(part)))


def counts(tx: Connection) -> dict[str, int]:
    """Rows by state."""
    found = tx.execute(select(schema.outbox.c.state, func.count()).group_by(schema.outbox.c.state))
    return {state.value: 0 for state in RowState} | {row[0]: row[1] for row in found}


# -- conflicts ---------------------------------------------------------------------------------------------------


def record_conflict(
    tx: Connection, person_id: str, conflict: Conflict, *, episode: int | None, held: bool, at: datetime
) -> bool:
    """Remember a person's edit. True when it is new. A held property is not written again in this episode."""
    kind = "tamper" if conflict.tamper else "human edit"
    ref = conflict.ref
    key = ("kind", "conn", "object", "id", "field")
    known = tx.execute(
        select(schema.conflict.c.theirs, schema.conflict.c.settled_at).where(
            schema.conflict.c.kind == kind,
            schema.conflict.c.conn == ref.crm,
            schema.conflict.c.object == ref.object,
            schema.conflict.c.id == ref.id,
            schema.conflict.c.field == conflict.field,
        )
    ).first()
    row = {
        "kind": kind,
        "person_id": person_id,
        "conn": ref.crm,
        "object": ref.object,
        "id": ref.id,
        "field": conflict.field,
        "theirs": conflict.theirs,
        "ours": conflict.ours,
        "episode": episode,
        "held": held,
        "seen_at": at,
        # What is not held is dealt with: adopted, or written again.
        "settled_at": None if held else at,
    }
    upsert(tx, schema.conflict, [row], key)
    return known is None or known.settled_at is not None or known.theirs != conflict.theirs


def release_held(tx: Connection, person_ids: Sequence[str], *, at: datetime) -> int:
    """New episodes: what people held in the last ones is ours to write again. Returns how many values that are.

    Not what is held because of a fight: a workflow knows nothing of episodes.
    """
    c = schema.conflict.c
    theirs = select(schema.conflict).where(c.held, c.kind != "fight")
    held = [row for part in parts(person_ids) for row in tx.execute(theirs.where(c.person_id.in_(part)))]
    release(tx, held, at=at)
    return len(held)


def release(tx: Connection, held: Sequence[Any], *, at: datetime) -> None:
    """Rows of `schema.conflict` hold no longer: what stands there now counts as known, so that ours replaces it.

    Whoever changes it again meanwhile has made another edit.
    """
    c = schema.conflict.c
    for part in parts([row.seq for row in held]):
        tx.execute(update(schema.conflict).where(c.seq.in_(part)).values(held=False, settled_at=at))
    known: dict[RecordRef, dict[str, str | None]] = {}
    for row in sorted(held, key=lambda row: row.seen_at):
        known.setdefault(RecordRef(crm=Crm(row.conn), object=row.object, id=row.id), {})[row.field] = row.theirs
    acknowledge(tx, known, at=at)
