"""Runs that a guard stopped and that wait for somebody's yes; and what is remembered of the input to judge the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, text, update

from sync.guard import Approval, Finding, Intake, Limit, of_bytes
from sync.resolve import Role
from sync.store import runs, schema
from sync.store.runs import RunState
from sync.store.statements import upsert

__all__ = ["NotWaiting", "Stop", "find", "intake", "note_moved", "note_passed", "note_people", "save", "waiting"]

WHOLE = ""
"""The stream that stands for a connection as a whole."""


class NotWaiting(Exception):
    """The run does not wait for a yes, or no longer. Nothing was read from a CRM and nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A run that waits. ``as_of``: the instant it was asked to decide as of; None: as of when it is let through."""

    run_id: str
    job: str
    at: datetime
    as_of: datetime | None
    policy_version: str
    findings: tuple[Finding, ...]
    approval: Approval


# -- runs that wait ----------------------------------------------------------------------------------------------


def save(
    tx: Connection,
    *,
    run_id: str,
    job: str,
    at: datetime,
    as_of: datetime | None,
    policy_version: str,
    findings: Sequence[Finding],
    changes: bytes,
) -> None:
    """Remember what stopped a run and what it would have changed. It takes the place of earlier stops of its job."""
    earlier = select(schema.stop.c.run_id).where(schema.stop.c.job == job, schema.stop.c.run_id != run_id)
    _end(tx, tx.execute(earlier).scalars().all(), RunState.CANCELLED, f"{run_id} was stopped in its place")
    row = {
        "run_id": run_id,
        "job": job,
        "at": at,
        "as_of": as_of,
        "policy_version": policy_version,
        "findings": [one.as_json() for one in findings],
        "changes": changes,
    }
    upsert(tx, schema.stop, [row], ("run_id",))


def find(tx: Connection, run_id: str) -> Stop:
    """Raises `NotWaiting` with what has become of the run."""
    run = runs.find(tx, run_id)
    if run is None:
        raise NotWaiting(f"there is no run {run_id}; see `mqlsync runs`. Nothing was written")
    row = tx.execute(select(schema.stop).where(schema.stop.c.run_id == run_id)).first()
    if row is None or run.state is not RunState.WAITING:
        why = f": {run.error}" if run.error else ""
        raise NotWaiting(f"run {run_id} does not wait for approval, it is {run.state}{why}. Nothing was written")
    return _stop(row)


def _stop(row: Any) -> Stop:
    found = dict(row._mapping)
    findings = tuple(Finding.of_json(one) for one in found.pop("findings"))
    changes = of_bytes(found.pop("changes"))
    approval = Approval(run_id=row.run_id, changes=changes, findings=findings)
    return Stop(**found, findings=findings, approval=approval)


def waiting(tx: Connection) -> list[tuple[str, str, datetime, tuple[Finding, ...]]]:
    """(run, job, since when, why) of every run that waits, the oldest first."""
    s, j = schema.stop.c, schema.job_run.c
    found = tx.execute(
        select(s.run_id, s.job, s.at, s.findings)
        .join(schema.job_run, j.run_id == s.run_id)
        .where(j.state == RunState.WAITING)
        .order_by(s.at, s.run_id)
    )
    return [(row.run_id, row.job, row.at, tuple(map(Finding.of_json, row.findings))) for row in found]


def note_passed(tx: Connection, run_id: str, approval: Approval | None) -> None:
    """In the transaction of a run's decisions: whatever waited is decided with them, let through or no longer there."""
    approved = approval.run_id if approval is not None else None
    others = select(schema.stop.c.run_id).where(schema.stop.c.run_id.notin_([run_id, approved or run_id]))
    _end(tx, tx.execute(others).scalars().all(), RunState.CANCELLED, f"{run_id} has decided anew since")
    if approved is not None:
        _end(tx, [approved], RunState.APPROVED, f"let through by {run_id}")
    for one in approval.findings if approval is not None else ():
        if one.limit is Limit.SILENT:
            conn, _, stream = one.where.partition(":")
            c = schema.intake.c
            tx.execute(update(schema.intake).where(c.conn == conn, c.stream == stream).values(excused=True))


def _end(tx: Connection, run_ids: Sequence[str], state: RunState, why: str) -> None:
    j = schema.job_run.c
    for run_id in run_ids:
        here = (j.run_id == run_id) & (j.state == RunState.WAITING)
        tx.execute(update(schema.job_run).where(here).values(state=state, error=why))
        tx.execute(delete(schema.stop).where(schema.stop.c.run_id == run_id))


# -- input -------------------------------------------------------------------------------------------------------


def note_moved(tx: Connection, streams: Iterable[tuple[str, str, bool]], *, at: datetime) -> None:
    """(connection, stream, whether it had something new) after a pull. One that is read first counts as moved."""
    known = {(row.conn, row.stream) for row in tx.execute(select(schema.intake.c.conn, schema.intake.c.stream))}
    rows = [
        {"conn": conn, "stream": stream, "moved_at": at, "people": None, "gone": None, "excused": False}
        for conn, stream, moved in streams
        if moved or (conn, stream) not in known
    ]
    upsert(tx, schema.intake, rows, ("conn", "stream"))


def note_people(tx: Connection, *, counted: bool, at: datetime) -> None:
    """For the next run: how many records of people there are, if that is to be ``counted``, and how many are gone."""
    gone = _gone(tx)
    people = _people(tx) if counted else {conn: people for conn, (people, _) in _before(tx).items()}
    rows = [
        {"conn": conn, "stream": WHOLE, "moved_at": at, "people": n, "gone": gone.get(conn, 0), "excused": False}
        for conn, n in people.items()
    ]
    upsert(tx, schema.intake, rows, ("conn", "stream"))


def intake(tx: Connection) -> Intake:
    """What the input was when decisions were last stored, and is now."""
    gone = _gone(tx)
    c = schema.intake.c
    streams = tx.execute(select(schema.intake).where(c.stream != WHOLE, c.excused.is_(False)))
    return Intake(
        people={conn: (people, gone.get(conn, 0) - went) for conn, (people, went) in _before(tx).items()},
        moved={f"{row.conn}:{row.stream}": row.moved_at for row in streams},
    )


def _before(tx: Connection) -> dict[str, tuple[int, int]]:
    """Connection -> the records of people there were, and those that had gone, when decisions were last stored."""
    c = schema.intake.c
    found = select(c.conn, c.people, c.gone).where(c.stream == WHOLE, c.people.is_not(None))
    return {row.conn: (row.people, row.gone or 0) for row in tx.execute(found)}


def _people(tx: Connection) -> dict[str, int]:
    """The records of people of each connection that are there. Looks at all of them."""
    counted = select(schema.link.c.conn, func.count()).where(schema.link.c.role != Role.GONE)
    return {row[0]: row[1] for row in tx.execute(counted.group_by(schema.link.c.conn))}


def _gone(tx: Connection) -> dict[str, int]:
    """Those that are there no more, by the index that has only them: SQLite takes it for its own words alone."""
    counted = select(schema.link.c.conn, func.count()).where(text("role = 'gone'")).group_by(schema.link.c.conn)
    return {row[0]: row[1] for row in tx.execute(counted)}
