"""Runs and who may run: one row a run, one row a lease.

A slot of a schedule is claimed by inserting its row; the unique key (job, slot) is the whole election. A lease says
which process works on a CRM account, so that its call budget is a plain object in one process.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update

from sync.store import schema
from sync.store.statements import insert_once

__all__ = ["Holder", "LeaseLost", "RunRow", "RunState", "this_process"]

LEASE_FOR = timedelta(seconds=60)
"""A holder that has not renewed for this long is taken for dead when its process cannot be looked up."""

UNHEARD_FOR = timedelta(minutes=5)
"""A run of another host that has gone on for this long without a living lease has lost its process."""


PLAN = "plan"
"""The trigger of a run that was only looked at: nothing of what it decided was kept."""


SIGNED_OUT = "signed_out"
"""Where a run's counts say that a CRM did not accept the credential."""


class RunState(StrEnum):
    """Where a run stands. ``MOVES`` lists the legal moves."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    COALESCED = "coalesced"
    MISSED = "missed"
    LOST = "lost"
    WAITING = "waiting"
    APPROVED = "approved"


MOVES: Mapping[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED}),
    RunState.RUNNING: frozenset(
        {RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED, RunState.QUEUED, RunState.LOST, RunState.WAITING}
    ),
    RunState.WAITING: frozenset({RunState.APPROVED, RunState.CANCELLED}),
    RunState.LOST: frozenset({RunState.QUEUED}),
}


class LeaseLost(Exception):
    """Another process has taken over. Nothing was committed by this one after that; it must stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process. ``started`` tells two processes with one pid apart."""

    name: str
    host: str
    pid: int
    started: str


ENDED = ("Z", "X", "x")
"""Process states of what has ended: a killed process stays listed until its parent asks for it."""


def this_process(name: str) -> Holder:
    """Who we are. ``name`` is unique to the run or worker."""
    pid = os.getpid()
    return Holder(name=name, host=socket.gethostname(), pid=pid, started=_started(pid) or "")


def _started(pid: int) -> str | None:
    """When a process of this host started, as the system says it; None when there is no such process.

    One that has ended and was not yet waited for by its parent is none.
    """
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The fields after the command, which is in parentheses and may hold spaces: first the state, 22nd the start.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in ENDED else fields[19]
    asked = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    state, _, started = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip().partition(" ")  # noqa: S603
    return None if state[:1] in ENDED else started.strip() or None


_DECIDED = (RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED)
"""Where decisions were kept, if any were made: one that waits for approval kept none."""


# -- leases ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldElsewhere:
    """Why a lease could not be had."""

    name: str
    host: str
    pid: int
    expires_at: datetime


def take_leases(
    tx: Connection, names: Sequence[str], holder: Holder, *, now: datetime
) -> dict[str, int] | HeldElsewhere:
    """All of them, or none. Returns each lease's fence, or who holds one of them.

    A holder on this host whose process is gone is taken over at once; one on another host when its time has run out.
    """
    names = sorted(names)
    for name in names:
        insert_once(tx, schema.lease, {"name": name, "fence": 0}, ("name",))
    # Locked in the order of their names, so that two who want the same ones neither both get them nor wait in a circle.
    wanted = select(schema.lease).where(schema.lease.c.name.in_(names)).order_by(schema.lease.c.name).with_for_update()
    known = {row.name: row for row in tx.execute(wanted)}
    for row in known.values():
        if row.holder is not None and row.holder != holder.name and _alive(row, holder, now):
            return HeldElsewhere(name=row.name, host=row.host, pid=row.pid, expires_at=row.expires_at)
    fences: dict[str, int] = {}
    values = {
        "holder": holder.name,
        "host": holder.host,
        "pid": holder.pid,
        "process_started": holder.started,
        "expires_at": now + LEASE_FOR,
    }
    for name in names:
        fences[name] = known[name].fence + 1
        tx.execute(update(schema.lease).where(schema.lease.c.name == name).values(fence=fences[name], **values))
    return fences


def _alive(row: Any, holder: Holder, now: datetime) -> bool:
    if row.host == holder.host:
        return bool(_started(row.pid) == row.process_started)
    return bool(row.expires_at > now)


def renew_leases(tx: Connection, fences: Mapping[str, int], holder: Holder, *, now: datetime) -> None:
    """The heartbeat. Raises `LeaseLost` when one of them has a new fence."""
    for name, fence in fences.items():
        kept = tx.execute(
            update(schema.lease)
            .where(schema.lease.c.name == name, schema.lease.c.holder == holder.name, schema.lease.c.fence == fence)
            .values(expires_at=now + LEASE_FOR)
        )
        if kept.rowcount != 1:
            raise LeaseLost(f"the lease {name!r} was taken over by another process; this run stops and commits nothing")


def check_leases(tx: Connection, fences: Mapping[str, int]) -> None:
    """In every transaction of a holder: it commits only while its fences stand, and nobody can take over until then."""
    held = select(schema.lease).where(schema.lease.c.name.in_(fences), schema.lease.c.holder.is_not(None))
    found = {row.name: row.fence for row in tx.execute(held.with_for_update(read=True))}
    for name, fence in fences.items():
        if found.get(name) != fence:
            raise LeaseLost(f"the lease {name!r} was taken over by another process; this run stops and commits nothing")


def drop_leases(tx: Connection, fences: Mapping[str, int], holder: Holder) -> None:
    """Give them back; the fence stays, so that a late writer is still refused."""
    for name, fence in fences.items():
        tx.execute(
            update(schema.lease)
            .where(schema.lease.c.name == name, schema.lease.c.fence == fence, schema.lease.c.holder == holder.name)
            .values(holder=None, expires_at=None)
        )


# -- runs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run, as listed by `mqlsync runs`."""

    run_id: str
    job: str
    slot: str
    slot_at: datetime | None
    state: RunState
    stage: str | None
    trigger: str
    as_of: datetime | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    host: str | None
    pid: int | None
    policy_version: str | None
    counts: Mapping[str, Any]
    calls: Mapping[str, Any]
    error: str | None


def _run(row: Any) -> RunRow:
    return RunRow(**{**{name: row._mapping[name] for name in RunRow.__slots__}, "state": RunState(row.state)})


def enqueue(
    tx: Connection,
    *,
    run_id: str,
    job: str,
    slot: str,
    trigger: str,
    now: datetime,
    slot_at: datetime | None = None,
    as_of: datetime | None = None,
    state: RunState = RunState.QUEUED,
    counts: Mapping[str, Any] | None = None,
) -> bool:
    """Claim a slot. False when it was claimed before, by whatever process."""
    row = {
        "run_id": run_id,
        "job": job,
        "slot": slot,
        "slot_at": slot_at,
        "state": state,
        "trigger": trigger,
        "as_of": as_of,
        "queued_at": now,
        "finished_at": None if state is RunState.QUEUED else now,
        "counts": dict(counts or {}),
        "calls": {},
    }
    return insert_once(tx, schema.job_run, row, ("job", "slot"))


def claim(tx: Connection, holder: Holder, *, now: datetime, run_id: str | None = None) -> RunRow | None:
    """Take the oldest queued run, or the one named. None when there is nothing to take.

    A scheduled run of a job that waits for approval stays in the queue; what somebody asked for does not.
    """
    queued = select(schema.job_run).where(schema.job_run.c.state == RunState.QUEUED)
    if run_id is not None:
        queued = queued.where(schema.job_run.c.run_id == run_id)
    else:
        paused = select(schema.job_run.c.job).where(schema.job_run.c.state == RunState.WAITING)
        asked = schema.job_run.c.slot_at.is_(None)
        queued = queued.where(or_(asked, schema.job_run.c.job.not_in(paused.scalar_subquery())))
    row = tx.execute(
        queued.order_by(schema.job_run.c.queued_at, schema.job_run.c.run_id).limit(1).with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    process = {"host": holder.host, "pid": holder.pid, "process_started": holder.started}
    move(tx, row.run_id, RunState.RUNNING, started_at=now, finished_at=None, **process)
    return find(tx, row.run_id)


def waits(tx: Connection, job: str) -> bool:
    """A scheduled run of this job is queued and has not begun: it will be as of the moment it begins."""
    queued = select(schema.job_run.c.run_id).where(
        schema.job_run.c.job == job,
        schema.job_run.c.state == RunState.QUEUED,
        schema.job_run.c.slot_at.is_not(None),
        schema.job_run.c.as_of.is_(None),
    )
    return tx.execute(queued.limit(1)).first() is not None


def waits_for_approval(tx: Connection, job: str) -> bool:
    """A guard has stopped a run of this job: its schedule rests until somebody says yes, or runs it anew."""
    found = select(schema.job_run.c.run_id).where(schema.job_run.c.job == job)
    return tx.execute(found.where(schema.job_run.c.state == RunState.WAITING).limit(1)).first() is not None


def signed_out(tx: Connection, job: str, *, since: datetime | None = None) -> RunRow | None:
    """The newest finished run of a job, if a CRM did not accept the credential then; not one before ``since``.

    A run that went better, whoever started it, ends that.
    """
    c = schema.job_run.c
    finished = (RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED, RunState.WAITING)
    newest_of = select(schema.job_run).where(c.job == job, c.state.in_(finished), c.finished_at.is_not(None))
    row = tx.execute(newest_of.order_by(c.finished_at.desc(), c.run_id).limit(1)).first()
    if row is None or not row.counts.get(SIGNED_OUT) or (since is not None and row.finished_at < since):
        return None
    return _run(row)


def move(tx: Connection, run_id: str, state: RunState, **values: Any) -> None:
    """Change a run's state, by a legal move only."""
    sources = [before for before, after in MOVES.items() if state in after]
    moved = tx.execute(
        update(schema.job_run)
        .where(schema.job_run.c.run_id == run_id, schema.job_run.c.state.in_(sources))
        .values(state=state, **values)
    )
    if moved.rowcount != 1:
        raise RuntimeError(f"run {run_id} cannot become {state} now: it is not {' or '.join(sources)}")


def note(tx: Connection, run_id: str, **values: Any) -> None:
    """Write down how far a run is, without changing its state."""
    tx.execute(update(schema.job_run).where(schema.job_run.c.run_id == run_id).values(**values))


def find(tx: Connection, run_id: str) -> RunRow | None:
    row = tx.execute(select(schema.job_run).where(schema.job_run.c.run_id == run_id)).first()
    return _run(row) if row is not None else None


def newest(tx: Connection, *, limit: int = 20, job: str | None = None) -> list[RunRow]:
    """The newest runs first."""
    wanted = select(schema.job_run).order_by(schema.job_run.c.queued_at.desc(), schema.job_run.c.run_id).limit(limit)
    if job is not None:
        wanted = wanted.where(schema.job_run.c.job == job)
    return [_run(row) for row in tx.execute(wanted)]


def last_deciding(tx: Connection, *, since: datetime, before: datetime) -> RunRow | None:
    """The last run that decided about somebody as of an instant from ``since`` on. Plans decide nothing."""
    c = schema.job_run.c
    within = select(schema.job_run).where(
        c.as_of >= since, c.as_of < before, c.trigger != PLAN, c.state.in_(_DECIDED), c.finished_at.is_not(None)
    )
    found = map(_run, tx.execute(within.order_by(c.as_of.desc(), c.finished_at.desc())))
    return next((run for run in found if run.counts.get("people") and run.policy_version is not None), None)


def last_slot_at(tx: Connection, job: str) -> datetime | None:
    """The instant of the newest scheduled slot of a job that has a row, whatever became of it."""
    newest_slot = select(func.max(schema.job_run.c.slot_at)).where(schema.job_run.c.job == job)
    found: datetime | None = tx.execute(newest_slot).scalar_one()
    return found


def lose_dead_runs(tx: Connection, holder: Holder, *, now: datetime) -> list[RunRow]:
    """Mark as lost what is marked running and has no process any more. Returns these runs.

    A process of this host is looked up; one of another host has `UNHEARD_FOR` to show a lease that is alive.
    """
    running = tx.execute(select(schema.job_run).where(schema.job_run.c.state == RunState.RUNNING)).all()
    leases = tx.execute(select(schema.lease).where(schema.lease.c.expires_at > now)).all()
    leading = {(row.host, row.pid, row.process_started) for row in leases}
    lost = []
    for row in running:
        if row.host == holder.host:
            dead = _started(row.pid) != row.process_started
        else:
            process = (row.host, row.pid, row.process_started)
            dead = process not in leading and row.started_at <= now - UNHEARD_FOR
        if dead:
            move(tx, row.run_id, RunState.LOST, finished_at=now, error="its process ended without a word")
            lost.append(_run(row))
    return lost


def cancel_outdated(tx: Connection, *, before: datetime) -> int:
    """Runs that were interrupted and never taken up again before their moment was too long ago: nobody wants them."""
    waiting = (schema.job_run.c.state == RunState.QUEUED) & schema.job_run.c.started_at.is_not(None)
    outdated = tx.execute(select(schema.job_run.c.run_id).where(waiting, schema.job_run.c.as_of < before)).scalars()
    for run_id in (found := list(outdated)):
        move(tx, run_id, RunState.CANCELLED, error="interrupted, and too old to be made up for")
    return len(found)


def forget_before(tx: Connection, moment: datetime) -> int:
    """Drop finished runs older than ``moment``."""
    ended = [s for s in RunState if s not in (RunState.QUEUED, RunState.RUNNING, RunState.WAITING)]
    gone = tx.execute(
        delete(schema.job_run).where(schema.job_run.c.queued_at < moment, schema.job_run.c.state.in_(ended))
    )
    return gone.rowcount
