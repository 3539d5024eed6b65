"""The long-lived process: finds what is due, runs it, stops when asked.

Whatever wants a run (a schedule, `mqlsync run --queue`) inserts a row; the worker takes rows one at a time. SIGTERM
lets the run that is under way stop between two batches and go back to the queue.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType

from sqlalchemy import Connection

from sync.log import get_logger
from sync.schedule import Schedule, Ticker, due, slot_key
from sync.store import runs
from sync.store.db import Store
from sync.store.runs import Holder, RunRow, RunState

__all__ = ["Worker"]

FORCED_EXIT = 75
"""EX_TEMPFAIL: stopped before the work was done; start again and it goes on."""

TAKEN_UP = frozenset({"schedule", "catch-up", "queue"})
"""Triggers of runs that a worker takes up again after a crash. What somebody started by hand (a plan, a dry run, the
rows of one file) went with their process: done again by a worker it would be another thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One process that runs jobs.

    jobs      name -> schedule
    execute   does one run; one that its ``stop`` argument interrupts goes back to the queue
    catch_up  older slots are not made up for
    poll      how long to wait between two looks at the queue
    grace     how long a run may take to stop after SIGTERM
    new_id    names a run
    since     a job rests whose credential a CRM has refused since then: whoever starts a worker has put it right, or
              its first run finds out; None: whenever it was refused
    """

    store: Store
    jobs: Mapping[str, Schedule]
    execute: Callable[[RunRow, Callable[[], bool]], object]
    holder: Holder
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    catch_up: timedelta = timedelta(days=1)
    poll: timedelta = timedelta(seconds=1)
    grace: timedelta = timedelta(seconds=25)
    since: datetime | None = None

    def run(self, stop: threading.Event, *, idle: Callable[[], bool] = lambda: False) -> None:
        """Work until ``stop`` is set, or ``idle()`` says that an empty queue is the end."""
        log = get_logger()
        self.recover()
        for job in self.jobs:
            self.enqueue_due(job, trigger="catch-up")
        ticker = Ticker(dict(self.jobs), lambda job: self._tick(job, stop))
        ticker.start()
        log.info("worker.started", worker=self.holder.name, jobs=sorted(self.jobs))
        try:
            while not stop.is_set():
                row = self.claim()
                if row is not None:
                    self._execute(row, stop)
                elif idle():
                    return
                else:
                    stop.wait(self.poll.total_seconds())
        finally:
            ticker.stop()
            log.info("worker.stopped", worker=self.holder.name)

    def _execute(self, row: RunRow, stop: threading.Event) -> None:
        """One run. What breaks it is written down in its row and must not take the next ones with it."""
        try:
            self.execute(row, stop.is_set)
            with self.store.read() as tx:
                out = runs.signed_out(tx, row.job, since=self.since)
            if out is not None:
                get_logger().error("worker.job_rests", job=row.job, run=out.run_id, error=out.error)
        except Exception as error:  # noqa: BLE001  # whatever it was: logged in full, and the run is failed
            get_logger().exception("worker.run_failed", run=row.run_id, job=row.job)
            first_line = str(error).partition("\n")[0]
            with self.store.write() as tx:
                now = runs.find(tx, row.run_id)
                if now is not None and now.state is RunState.RUNNING:
                    failed = f"{type(error).__name__}: {first_line}"
                    runs.move(tx, row.run_id, RunState.FAILED, finished_at=self.now(), error=failed)

    def _tick(self, job: str, stop: threading.Event) -> None:
        if not stop.is_set():
            self.recover()
            self.enqueue_due(job, trigger="schedule")

    def enqueue_due(self, job: str, *, trigger: str) -> str | None:
        """Insert what the clock says. Returns the slot that was claimed by this call, None when nothing was.

        On the first look of a new job nothing is behind: its first slot is the next one. While a run of the job still
        waits in the queue it stands for this slot too: runs that take longer than their interval must not pile up.
        """
        schedule, at = self.jobs[job], self.now()
        with self.store.write() as tx:
            last = runs.last_slot_at(tx, job)
            if last is None:
                runs.enqueue(
                    tx,
                    run_id=self.new_id(),
                    job=job,
                    slot=slot_key(schedule, at),
                    slot_at=at,
                    trigger="first look",
                    now=at,
                    state=RunState.COALESCED,
                )
                return None
            if runs.signed_out(tx, job, since=self.since) is not None:
                # Asking again with a credential that is refused can lock an account; somebody has to act first.
                return None
            if runs.waits_for_approval(tx, job):
                # Once it is let through, or run anew, what was due meanwhile is made up for by one run.
                return None
            found = due(schedule, since=last, at=at, catch_up=self.catch_up)
            for slots, state in ((found.missed, RunState.MISSED), (found.coalesced, RunState.COALESCED)):
                if slots:
                    self._insert(tx, job, schedule, slots[-1], trigger, state, len(slots))
            if found.run is None:
                return None
            if runs.waits(tx, job):
                self._insert(tx, job, schedule, found.run, trigger, RunState.COALESCED, 1)
                return None
            claimed = self._insert(tx, job, schedule, found.run, trigger, RunState.QUEUED, 1)
        return slot_key(schedule, found.run) if claimed else None

    def _insert(
        self, tx: Connection, job: str, schedule: Schedule, slot: datetime, trigger: str, state: RunState, slots: int
    ) -> bool:
        return runs.enqueue(
            tx,
            run_id=self.new_id(),
            job=job,
            slot=slot_key(schedule, slot),
            slot_at=slot,
            trigger=trigger,
            now=self.now(),
            state=state,
            counts={"slots": slots},
        )

    def claim(self) -> RunRow | None:
        """The oldest queued run, now ours."""
        with self.store.write() as tx:
            return runs.claim(tx, self.holder, now=self.now())

    def recover(self) -> None:
        """Queue again what a dead worker was doing; its in-flight writes are settled by that run.

        Not what is older than ``catch_up``: a run decides as of its own moment, and newer decisions stand already.
        """
        log, oldest = get_logger(), self.now() - self.catch_up
        with self.store.write() as tx:
            for row in runs.lose_dead_runs(tx, self.holder, now=self.now()):
                again = row.trigger in TAKEN_UP and (row.as_of or row.queued_at) >= oldest
                if again:
                    runs.move(tx, row.run_id, RunState.QUEUED, finished_at=None)
                log.warning("worker.run_lost", run=row.run_id, job=row.job, stage=row.stage, queued_again=again)
            outdated = runs.cancel_outdated(tx, before=oldest)
        if outdated:
            log.warning("worker.outdated_cancelled", runs=outdated)


def stop_on_signals(stop: threading.Event, *, grace: timedelta) -> None:
    """SIGTERM and SIGINT ask politely; a second one, or ``grace`` without an end, forces the exit."""

    again = False

    def force() -> None:
        try:
            get_logger().error("worker.forced_exit", after_seconds=grace.total_seconds())
        finally:
            os._exit(FORCED_EXIT)

    def end() -> None:
        stop.set()
        time.sleep(grace.total_seconds())
        force()

    def asked(signum: int, frame: FrameType | None) -> None:
        nonlocal again
        if again:
            force()
        again = True
        # In a thread of its own: a handler interrupts the main thread wherever it is, also inside the event's lock.
        threading.Thread(target=end, name="grace", daemon=True).start()

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)
