"""The long-lived process: what becomes due, what a dead worker leaves behind, and what is never done twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from sync.schedule import Cron, Every, Schedule
from sync.store import runs
from sync.store.db import Store
from sync.store.runs import Holder, RunRow, RunState, this_process
from sync.worker import FORCED_EXIT, Worker
from tests.support.processes import process

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

QUARTER = Every(interval=timedelta(minutes=15))

ids = count()


@dataclass(slots=True)
class Scene:
    """A worker, its clock, and what it executed. ``does`` stands for the run itself."""

    store: Store
    now: datetime = NOON
    jobs: Mapping[str, Schedule] = field(default_factory=lambda: {"sync": QUARTER})
    executed: list[RunRow] = field(default_factory=list)
    does: Callable[[RunRow], RunState] = lambda row: RunState.SUCCEEDED

    def worker(self, **how: Any) -> Worker:
        return Worker(
            store=self.store,
            jobs=self.jobs,
            execute=self._execute,
            holder=this_process("worker"),
            now=lambda: self.now,
            new_id=lambda: f"r{next(ids):04}",
            poll=timedelta(milliseconds=1),
            **how,
        )

    def _execute(self, row: RunRow, stopping: Callable[[], bool]) -> None:
        self.executed.append(row)
        ended = self.does(row)
        with self.store.write() as tx:
            runs.note(tx, row.run_id, as_of=row.as_of or self.now)
            runs.move(tx, row.run_id, ended, finished_at=None if ended is RunState.QUEUED else self.now)

    def work(self, **how: Any) -> list[str]:
        """A worker's life until the queue is empty. The slots it ran."""
        before = len(self.executed)
        self.worker(**how).run(threading.Event(), idle=lambda: True)
        return [row.slot for row in self.executed[before:]]

    def rows(self) -> list[tuple[str, RunState, int]]:
        """(slot, state, slots it stands for), by slot."""
        with self.store.read() as tx:
            found = runs.newest(tx, limit=999)
        return sorted((row.slot, row.state, row.counts.get("slots", 0)) for row in found)

    def enqueue(self, run_id: str, *, trigger: str = "schedule", **how: Any) -> None:
        with self.store.write() as tx:
            runs.enqueue(
                tx, run_id=run_id, job="sync", slot=how.pop("slot", run_id), trigger=trigger, now=self.now, **how
            )

    def taken_by_the_dead(self, run_id: str, *, as_of: datetime | None = None, **how: Any) -> None:
        """A run whose process was killed."""
        self.enqueue(run_id, **how)
        dead = Holder(name="dead", host=this_process("x").host, pid=2**22 + 1, started="1")
        with self.store.write() as tx:
            runs.claim(tx, dead, now=self.now, run_id=run_id)
            runs.note(tx, run_id, as_of=as_of or self.now)

    def state(self, run_id: str) -> RunState:
        with self.store.read() as tx:
            found = runs.find(tx, run_id)
        assert found is not None
        return found.state


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store=store)


# -- what is due -------------------------------------------------------------------------------------------------


def test_at_the_first_look_nothing_is_behind(scene: Scene) -> None:
    assert scene.work() == []
    assert scene.rows() == [("2026-11-25T12:00:00Z", RunState.COALESCED, 0)]
    scene.now += timedelta(minutes=14)
    assert scene.work() == []
    scene.now += timedelta(minutes=1)
    assert scene.work() == ["2026-11-25T12:15:00Z"]


def test_a_slot_is_run_once_however_often_it_is_looked_at(scene: Scene) -> None:
    scene.work()
    scene.now += timedelta(minutes=20)
    assert scene.work() == ["2026-11-25T12:15:00Z"]
    assert scene.work() == []
    assert scene.worker().enqueue_due("sync", trigger="schedule") is None


def test_what_was_missed_becomes_the_newest_slot(scene: Scene) -> None:
    scene.work()
    scene.now += timedelta(hours=1, minutes=5)
    assert scene.work() == ["2026-11-25T13:00:00Z"]
    assert scene.rows()[1:] == [
        ("2026-11-25T12:45:00Z", RunState.COALESCED, 3),
        ("2026-11-25T13:00:00Z", RunState.SUCCEEDED, 1),
    ]


def test_slots_that_are_too_old_are_missed_and_counted(scene: Scene) -> None:
    scene.work()
    scene.now += timedelta(hours=3)
    assert scene.work(catch_up=timedelta(minutes=50)) == ["2026-11-25T15:00:00Z"]
    assert scene.rows()[1:] == [
        ("2026-11-25T14:00:00Z", RunState.MISSED, 8),
        ("2026-11-25T14:45:00Z", RunState.COALESCED, 3),
        ("2026-11-25T15:00:00Z", RunState.SUCCEEDED, 1),
    ]


def test_when_all_are_too_old_nothing_runs(scene: Scene) -> None:
    scene.jobs = {"sync": Cron(expression="0 3 * * *", timezone="UTC")}
    scene.work()
    scene.now += timedelta(days=2)
    assert scene.work(catch_up=timedelta(hours=1)) == []
    assert [state for _, state, _ in scene.rows()] == [RunState.COALESCED, RunState.MISSED]
    assert scene.work(catch_up=timedelta(hours=1)) == []
    assert len(scene.rows()) == 2


def test_the_hour_that_comes_twice_is_one_slot(scene: Scene) -> None:
    scene.jobs = {"sync": Cron(expression="30 2 * * *", timezone="Europe/Berlin")}
    scene.now = datetime(2026, 10, 24, 12, tzinfo=UTC)
    scene.work()
    ran = []
    for _ in range(48):
        scene.now += timedelta(minutes=30)
        ran += scene.work()
    assert ran == ["2026-10-25T02:30:00"]


def test_two_workers_that_look_at_once_enqueue_a_slot_once(scene: Scene) -> None:
    scene.work()
    scene.now += timedelta(minutes=15)
    workers, start = [scene.worker() for _ in range(6)], threading.Barrier(6)
    claimed: list[str | None] = []

    def look(worker: Worker) -> None:
        start.wait()
        claimed.append(worker.enqueue_due("sync", trigger="schedule"))

    threads = [threading.Thread(target=look, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [slot for slot in claimed if slot] == ["2026-11-25T12:15:00Z"]


def test_runs_that_take_longer_than_their_interval_do_not_pile_up(scene: Scene) -> None:
    """Nobody executes: the queue holds one run of the job, which will be as of the moment it begins."""
    worker = scene.worker()
    worker.enqueue_due("sync", trigger="schedule")
    for _ in range(5):
        scene.now += timedelta(minutes=15)
        worker.enqueue_due("sync", trigger="schedule")
    assert [state for _, state, _ in scene.rows()] == [
        RunState.COALESCED,
        RunState.QUEUED,
        *[RunState.COALESCED] * 4,
    ]


def test_an_interrupted_run_does_not_stand_for_newer_slots(scene: Scene) -> None:
    scene.does = lambda row: RunState.QUEUED
    worker = scene.worker()
    worker.enqueue_due("sync", trigger="schedule")
    scene.now += timedelta(minutes=15)
    worker.enqueue_due("sync", trigger="schedule")
    row = worker.claim()
    assert row is not None
    scene._execute(row, lambda: True)
    scene.now += timedelta(minutes=15)
    assert worker.enqueue_due("sync", trigger="schedule") == "2026-11-25T12:30:00Z"


# -- running -----------------------------------------------------------------------------------------------------


def test_an_interrupted_run_goes_back_to_the_queue_and_on_with_its_own_moment(scene: Scene) -> None:
    scene.enqueue("r")
    stop = threading.Event()

    def interrupted(row: RunRow) -> RunState:
        stop.set()
        return RunState.QUEUED

    scene.does = interrupted
    scene.worker().run(stop)
    assert scene.state("r") is RunState.QUEUED
    scene.does, scene.now = lambda row: RunState.SUCCEEDED, NOON + timedelta(minutes=5)
    scene.work()
    assert [row.as_of for row in scene.executed] == [None, NOON]
    assert scene.state("r") is RunState.SUCCEEDED


def test_a_worker_that_is_asked_to_stop_claims_nothing_more(scene: Scene) -> None:
    scene.enqueue("r")
    stop = threading.Event()
    stop.set()
    scene.worker().run(stop)
    assert scene.executed == []
    assert scene.state("r") is RunState.QUEUED


def test_a_run_that_breaks_is_failed_with_its_error_and_the_next_one_runs(scene: Scene) -> None:
    scene.enqueue("broken")
    scene.enqueue("sound")

    def breaks(row: RunRow) -> RunState:
        if row.run_id == "broken":
            raise LookupError("there is no such job\nand so on")
        return RunState.SUCCEEDED

    scene.does = breaks
    scene.work()
    assert (scene.state("broken"), scene.state("sound")) == (RunState.FAILED, RunState.SUCCEEDED)
    with scene.store.read() as tx:
        found = runs.find(tx, "broken")
    assert found is not None
    assert (found.error, found.finished_at) == ("LookupError: there is no such job", NOON)


def test_a_run_that_breaks_after_its_end_was_written_down_keeps_it(scene: Scene) -> None:
    scene.enqueue("r")
    worker = scene.worker()

    def execute(row: RunRow, stopping: Callable[[], bool]) -> None:
        scene._execute(row, stopping)
        raise RuntimeError("while closing")

    object.__setattr__(worker, "execute", execute)
    worker.run(threading.Event(), idle=lambda: True)
    assert scene.state("r") is RunState.SUCCEEDED


WORKS = """
import sys, threading
from datetime import timedelta
from sync.worker import stop_on_signals

stop = threading.Event()
stop_on_signals(stop, grace=timedelta(seconds=float(sys.argv[1])))
print("ready", flush=True)
while not stop.wait(0.01):
    pass
print("stopping", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop_and_the_second_one_insists(first: signal.Signals) -> None:
    with process(WORKS, "600") as running:
        assert running.stdout is not None
        running.send_signal(first)
        assert running.stdout.readline() == "stopping\n"
        assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        assert running.wait() == FORCED_EXIT


def test_a_worker_that_does_not_end_in_time_is_ended() -> None:
    with process(WORKS, "0.01") as running:
        running.send_signal(signal.SIGTERM)
        assert running.wait() == FORCED_EXIT


# -- after a death -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", ["schedule", "catch-up", "queue"])
def test_the_run_of_a_killed_worker_is_done_again_as_of_its_own_moment(scene: Scene, trigger: str) -> None:
    scene.taken_by_the_dead("r", trigger=trigger, as_of=NOON - timedelta(hours=1))
    scene.work()
    assert [(row.run_id, row.as_of) for row in scene.executed] == [("r", NOON - timedelta(hours=1))]
    assert scene.state("r") is RunState.SUCCEEDED


@pytest.mark.parametrize("trigger", ["manual", "plan", "apply"])
def test_what_somebody_started_by_hand_is_not_done_by_a_worker(scene: Scene, trigger: str) -> None:
    """A killed `plan` that a worker took up again would write what was only to be looked at."""
    scene.taken_by_the_dead("r", trigger=trigger)
    scene.work()
    assert scene.executed == []
    assert scene.state("r") is RunState.LOST


def test_a_run_that_died_long_ago_is_not_decided_as_of_then(scene: Scene) -> None:
    scene.taken_by_the_dead("r")
    scene.now += timedelta(days=3)
    scene.work()
    assert scene.executed == []
    assert scene.state("r") is RunState.LOST


def test_a_run_that_was_interrupted_long_ago_is_cancelled(scene: Scene) -> None:
    scene.does = lambda row: RunState.QUEUED
    scene.enqueue("r")
    worker = scene.worker()
    row = worker.claim()
    assert row is not None
    scene._execute(row, lambda: True)
    scene.now += timedelta(days=3)
    scene.work()
    assert scene.state("r") is RunState.CANCELLED


def test_a_run_asked_for_as_of_a_day_long_ago_is_done(scene: Scene) -> None:
    scene.enqueue("r", trigger="queue", as_of=NOON - timedelta(days=30))
    scene.work()
    assert [row.run_id for row in scene.executed] == ["r"]


def test_recovering_twice_changes_nothing(scene: Scene) -> None:
    scene.taken_by_the_dead("r")
    worker = scene.worker()
    worker.recover()
    worker.recover()
    assert scene.state("r") is RunState.QUEUED
