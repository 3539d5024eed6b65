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

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from sync.store import schema

__all__ = ["Holder", "LeaseLost", "RunRow", "RunState", "this_process"]

LEASE_FOR = timedelta(seconds=60)
"""A holder that has not renewed for this long is taken for dead when its process cannot be looked up."""


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


MOVES: Mapping[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED}),
    RunState.RUNNING: frozenset(
        {RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED, RunState.QUEUED, RunState.LOST}
    ),
    RunState.LOST: frozenset({RunState.QUEUED}),
}


class LeaseLost(Exception):  # said to the caller: drop the result
    """Another process has taken over. Nothing was committed by this one after that; it must stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process. ``started`` tells two processes with one pid apart."""

    name: str
    host: str
    pid: int
    started: str


def this_process(name: str) -> Holder:
    """Who we are. ``name`` is unique to the run or worker."""
    pid = os.getpid()
    return Holder(name=name, host=socket.gethostname(), pid=pid, started=_started(pid) or "")


def _started(pid: int) -> str | None:
    """When a process of this host started, as the system says it; None when there is no such process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # Field 22, counted after the command, which is in parentheses and may hold spaces.
            return stat.read_text().rpartition(")")[2].split()[19]
        except OSError:
            return None
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return found.stdout.strip() or None


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
    known = {row.name: row for row in tx.execute(select(schema.lease).where(schema.lease.c.name.in_(names)))}
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
        fences[name] = known[name].fence + 1 if name in known else 1
        if name in known:
            tx.execute(update(schema.lease).where(schema.lease.c.name == name).values(fence=fences[name], **values))
        else:
            tx.execute(insert(schema.lease).values(name=name, fence=1, **values))
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
    """In every transaction of a holder: it commits only while its fences stand."""
    found = {r.name: r.fence for r in tx.execute(select(schema.lease.c.name, schema.lease.c.fence))}
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
    return RunRow(**{**row._mapping, "state": RunState(row.state)})


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
    try:
        with tx.begin_nested():
            tx.execute(insert(schema.job_run).values(**row))
    except IntegrityError:
        return False
    return True


def claim(tx: Connection, holder: Holder, *, now: datetime, run_id: str | None = None) -> RunRow | None:
    """Take the oldest queued run, or the one named. None when there is nothing to take."""
    queued = select(schema.job_run).where(schema.job_run.c.state == RunState.QUEUED)
    if run_id is not None:
        queued = queued.where(schema.job_run.c.run_id == run_id)
    row = tx.execute(
        queued.order_by(schema.job_run.c.queued_at, schema.job_run.c.run_id).limit(1).with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    move(tx, row.run_id, RunState.RUNNING, started_at=now, finished_at=None, host=holder.host, pid=holder.pid)
    return find(tx, row.run_id)


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


def last_slot_at(tx: Connection, job: str) -> datetime | None:
    """The instant of the newest scheduled slot of a job that has a row, whatever became of it."""
    newest_slot = select(func.max(schema.job_run.c.slot_at)).where(schema.job_run.c.job == job)
    found: datetime | None = tx.execute(newest_slot).scalar_one()
    return found


def lose_dead_runs(tx: Connection, holder: Holder, *, now: datetime) -> list[RunRow]:
    """Runs marked running whose process on this host is gone: lost, and queued again with their own as_of."""
    running = tx.execute(select(schema.job_run).where(schema.job_run.c.state == RunState.RUNNING)).all()
    lost = [row for row in running if row.host == holder.host and row.pid != holder.pid and _started(row.pid) is None]
    for row in lost:
        move(tx, row.run_id, RunState.LOST, finished_at=now, error="its process ended without a word")
    return [_run(row) for row in lost]


def forget_before(tx: Connection, moment: datetime) -> int:
    """Drop finished runs older than ``moment``."""
    ended = [s for s in RunState if s not in (RunState.QUEUED, RunState.RUNNING)]
    gone = tx.execute(
        delete(schema.job_run).where(schema.job_run.c.queued_at < moment, schema.job_run.c.state.in_(ended))
    )
    return gone.rowcount
