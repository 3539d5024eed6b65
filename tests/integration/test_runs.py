"""Runs and leases: one winner, a fence for the loser, and no trust in what a dead process left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from sync.store import runs, schema
from sync.store.db import Store
from sync.store.runs import LEASE_FOR, UNHEARD_FOR, HeldElsewhere, Holder, LeaseLost, RunState, this_process
from tests.support.processes import ended, process

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

HOLDS = """
import sys
from datetime import datetime
from sync.store import runs
from sync.store.db import Store

store, now = Store.open(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
holder = runs.this_process("theirs")
with store.write() as tx:
    taken = runs.take_leases(tx, ["decide", "hubspot:1"], holder, now=now)
    assert isinstance(taken, dict)
    runs.enqueue(tx, run_id="theirs", job="sync", slot="s", trigger="schedule", now=now)
    runs.claim(tx, holder, now=now)
print("ready", flush=True)
sys.stdin.read()
"""


def other(host: str = "another host", name: str = "theirs", pid: int = 7) -> Holder:
    return Holder(name=name, host=host, pid=pid, started="77")


@pytest.fixture
def us() -> Holder:
    return this_process("ours")


def take(store: Store, holder: Holder, *names: str, now: datetime = NOW) -> dict[str, int] | HeldElsewhere:
    with store.write() as tx:
        return runs.take_leases(tx, names or ("decide",), holder, now=now)


def lease(store: Store, name: str = "decide") -> Any:
    with store.read() as tx:
        return tx.execute(select(schema.lease).where(schema.lease.c.name == name)).one()


# -- leases ------------------------------------------------------------------------------------------------------


def test_the_first_one_gets_the_lease_with_the_first_fence(store: Store, us: Holder) -> None:
    assert take(store, us, "hubspot:1", "decide") == {"decide": 1, "hubspot:1": 1}
    row = lease(store)
    assert (row.holder, row.host, row.pid, row.expires_at) == ("ours", us.host, us.pid, NOW + LEASE_FOR)


def test_a_lease_given_back_is_taken_with_the_next_fence(store: Store, us: Holder) -> None:
    fences = take(store, other(), "decide")
    assert isinstance(fences, dict)
    with store.write() as tx:
        runs.drop_leases(tx, fences, other())
    assert lease(store).holder is None
    assert take(store, us) == {"decide": 2}


def test_all_leases_or_none(store: Store, us: Holder) -> None:
    take(store, other(), "hubspot:1")
    held = take(store, us, "decide", "hubspot:1", "salesforce:2")
    assert held == HeldElsewhere(name="hubspot:1", host="another host", pid=7, expires_at=NOW + LEASE_FOR)
    assert lease(store, "decide").holder is None
    assert lease(store, "salesforce:2").holder is None
    assert take(store, us, "decide", "salesforce:2") == {"decide": 1, "salesforce:2": 1}


def test_another_hosts_lease_is_taken_over_when_its_time_has_run_out_and_not_before(store: Store, us: Holder) -> None:
    take(store, other())
    assert isinstance(take(store, us, now=NOW + LEASE_FOR - timedelta(microseconds=1)), HeldElsewhere)
    assert take(store, us, now=NOW + LEASE_FOR) == {"decide": 2}


def test_a_renewed_lease_is_not_taken_over(store: Store, us: Holder) -> None:
    take(store, other())
    with store.write() as tx:
        runs.renew_leases(tx, {"decide": 1}, other(), now=NOW + timedelta(seconds=50))
    assert isinstance(take(store, us, now=NOW + LEASE_FOR), HeldElsewhere)


def test_a_living_process_of_this_host_keeps_its_lease_and_a_dead_one_loses_it_at_once(
    database: str, store: Store, us: Holder
) -> None:
    with process(HOLDS, database, NOW.isoformat()) as running:
        assert isinstance(take(store, us, "decide", now=NOW + timedelta(hours=9)), HeldElsewhere)
        ended(running)
        assert take(store, us, "decide", "hubspot:1", now=NOW) == {"decide": 2, "hubspot:1": 2}


def test_another_process_with_the_pid_of_the_dead_one_is_not_it(store: Store, us: Holder) -> None:
    """A container that is started again has the same host and the same pid."""
    take(store, Holder(name="theirs", host=us.host, pid=us.pid, started="before"))
    assert take(store, us) == {"decide": 2}


def test_the_same_holder_takes_its_own_lease_again(store: Store, us: Holder) -> None:
    """A run that could not give it back must not wait for itself."""
    take(store, us)
    assert take(store, us) == {"decide": 2}


@pytest.mark.parametrize("act", ["check", "renew"])
def test_a_holder_whose_lease_was_taken_over_is_refused_and_nothing_of_it_is_committed(store: Store, act: str) -> None:
    ours, theirs = other(name="ours"), other(host="a third host")
    fences = take(store, ours, "decide", "hubspot:1")
    assert isinstance(fences, dict)
    take(store, theirs, "hubspot:1", now=NOW + LEASE_FOR)

    def write() -> None:
        with store.write() as tx:
            tx.execute(schema.pool_counter.insert(), {"pool": "p", "rep": "r", "assigned": 1})
            if act == "check":
                runs.check_leases(tx, fences)
            else:
                runs.renew_leases(tx, fences, ours, now=NOW + LEASE_FOR)

    with pytest.raises(LeaseLost, match="hubspot:1"):
        write()
    with store.read() as tx:
        assert tx.execute(select(schema.pool_counter)).all() == []
    row = lease(store, "decide")
    assert row.expires_at == NOW + LEASE_FOR


def test_a_holder_that_gave_its_lease_back_may_not_write_either(store: Store) -> None:
    fences = take(store, other())
    assert isinstance(fences, dict)
    with store.write() as tx:
        runs.check_leases(tx, fences)
        runs.drop_leases(tx, fences, other())
    with pytest.raises(LeaseLost), store.write() as tx:
        runs.check_leases(tx, fences)


def test_giving_back_a_lease_that_is_somebody_elses_by_now_leaves_it_alone(store: Store) -> None:
    fences = take(store, other())
    assert isinstance(fences, dict)
    take(store, other("a third host", "others"), now=NOW + LEASE_FOR)
    with store.write() as tx:
        runs.drop_leases(tx, fences, other())
    assert lease(store).holder == "others"


def test_of_many_who_want_the_same_leases_one_gets_them(store: Store) -> None:
    results = together(8, lambda n: take(store, other(f"host {n}", f"holder {n}"), "decide", "hubspot:1"))
    won = [r for r in results if isinstance(r, dict)]
    assert won == [{"decide": 1, "hubspot:1": 1}]


# -- runs --------------------------------------------------------------------------------------------------------


def together(n: int, do: Callable[[int], Any]) -> list[Any]:
    """The results of ``do`` in n threads that begin at one moment."""
    start, results = threading.Barrier(n), [None] * n

    def one(k: int) -> None:
        start.wait()
        results[k] = do(k)

    threads = [threading.Thread(target=one, args=(k,)) for k in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def enqueue(store: Store, run_id: str, *, slot: str | None = None, job: str = "sync", **how: Any) -> bool:
    with store.write() as tx:
        return runs.enqueue(
            tx, run_id=run_id, job=job, slot=slot or run_id, trigger="schedule", now=how.pop("now", NOW), **how
        )


def claim(store: Store, holder: Holder, run_id: str | None = None, now: datetime = NOW) -> runs.RunRow | None:
    with store.write() as tx:
        return runs.claim(tx, holder, now=now, run_id=run_id)


def move(store: Store, run_id: str, state: RunState) -> None:
    with store.write() as tx:
        runs.move(tx, run_id, state)


def state(store: Store, run_id: str) -> RunState:
    with store.read() as tx:
        found = runs.find(tx, run_id)
    assert found is not None
    return found.state


def test_of_many_who_want_a_slot_one_gets_it(store: Store) -> None:
    for slot in ("10:00", "10:15"):
        assert sum(together(8, lambda n, slot=slot: enqueue(store, f"{slot} {n}", slot=slot))) == 1
    with store.read() as tx:
        assert sorted(row.slot for row in runs.newest(tx)) == ["10:00", "10:15"]


ENQUEUES = """
import sys
from datetime import datetime
from sync.store import runs
from sync.store.db import Store

store, now = Store.open(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
won = 0
for n in range(40):
    with store.write() as tx:
        won += runs.enqueue(
            tx, run_id=f"{sys.argv[3]} {n}", job="sync", slot=str(n), trigger="schedule", now=now
        )
print(won, flush=True)
"""


def test_of_two_processes_that_see_the_same_slots_each_slot_has_one_winner(database: str, store: Store) -> None:
    with (
        process(ENQUEUES, database, NOW.isoformat(), "a") as one,
        process(ENQUEUES, database, NOW.isoformat(), "b") as two,
    ):
        for running in (one, two):
            assert running.stdin is not None
            running.stdin.write("go\n")
            running.stdin.flush()
        won = [int(running.stdout.readline()) for running in (one, two) if running.stdout is not None]
    assert sum(won) == 40


def test_a_run_id_that_is_taken_is_an_error_not_a_slot_that_was_claimed(store: Store) -> None:
    enqueue(store, "r", slot="1")
    with pytest.raises(IntegrityError, match="run_id"):
        enqueue(store, "r", slot="2")


def test_the_oldest_queued_run_is_claimed_first_and_by_one(store: Store, us: Holder) -> None:
    enqueue(store, "new", now=NOW + timedelta(minutes=1))
    enqueue(store, "old")
    claimed = together(6, lambda n: claim(store, us))
    assert sorted(row.run_id for row in claimed if row is not None) == ["new", "old"]
    assert claim(store, us) is None


def test_a_claimed_run_says_who_has_it_since_when(store: Store, us: Holder) -> None:
    enqueue(store, "r", as_of=NOW - timedelta(days=1))
    row = claim(store, us, "r", now=NOW + timedelta(seconds=5))
    assert row is not None
    assert (row.state, row.host, row.pid) == (RunState.RUNNING, us.host, us.pid)
    assert (row.started_at, row.as_of) == (NOW + timedelta(seconds=5), NOW - timedelta(days=1))


def test_a_named_run_is_claimed_and_no_other(store: Store, us: Holder) -> None:
    enqueue(store, "a")
    assert claim(store, us, "b") is None
    assert state(store, "a") is RunState.QUEUED


ROADS = {
    RunState.QUEUED: (),
    RunState.RUNNING: (RunState.RUNNING,),
    RunState.LOST: (RunState.RUNNING, RunState.LOST),
    RunState.SUCCEEDED: (RunState.RUNNING, RunState.SUCCEEDED),
    RunState.PARTIAL: (RunState.RUNNING, RunState.PARTIAL),
    RunState.FAILED: (RunState.RUNNING, RunState.FAILED),
    RunState.CANCELLED: (RunState.CANCELLED,),
}


@pytest.mark.parametrize("start", ROADS)
@pytest.mark.parametrize("end", RunState)
def test_a_run_moves_only_along_the_table(store: Store, start: RunState, end: RunState) -> None:
    enqueue(store, "r")
    for step in ROADS[start]:
        move(store, "r", step)
    if end in runs.MOVES.get(start, ()):
        move(store, "r", end)
        assert state(store, "r") is end
    else:
        with pytest.raises(RuntimeError, match=f"cannot become {end} now"):
            move(store, "r", end)
        assert state(store, "r") is start


def test_the_newest_slot_of_a_job_counts_whatever_became_of_it(store: Store) -> None:
    enqueue(store, "a", slot_at=NOW)
    enqueue(store, "b", slot_at=NOW + timedelta(hours=1), state=RunState.MISSED)
    enqueue(store, "c", slot_at=NOW + timedelta(hours=9), job="another")
    enqueue(store, "d")
    with store.read() as tx:
        assert runs.last_slot_at(tx, "sync") == NOW + timedelta(hours=1)
        assert runs.last_slot_at(tx, "never seen") is None


# -- dead processes ----------------------------------------------------------------------------------------------


def lost(store: Store, holder: Holder, now: datetime = NOW) -> list[str]:
    with store.write() as tx:
        return [row.run_id for row in runs.lose_dead_runs(tx, holder, now=now)]


def test_the_run_of_a_killed_process_is_lost_and_that_of_a_living_one_is_not(
    database: str, store: Store, us: Holder
) -> None:
    with process(HOLDS, database, NOW.isoformat()) as running:
        assert lost(store, us) == []
        ended(running)
        assert lost(store, us) == ["theirs"]
    assert state(store, "theirs") is RunState.LOST


def test_our_own_run_is_not_lost(store: Store, us: Holder) -> None:
    enqueue(store, "r")
    claim(store, us)
    assert lost(store, this_process("another of this process")) == []


def test_a_run_of_an_earlier_process_with_our_pid_is_lost(store: Store, us: Holder) -> None:
    enqueue(store, "r")
    claim(store, Holder(name="theirs", host=us.host, pid=us.pid, started="before"))
    assert lost(store, us) == ["r"]


@pytest.mark.parametrize(
    ("renewed", "passed", "expected"),
    [
        (True, UNHEARD_FOR * 3, []),
        (False, UNHEARD_FOR - timedelta(seconds=1), []),
        (False, UNHEARD_FOR, ["r"]),
    ],
)
def test_a_run_of_another_host_is_lost_when_nothing_was_heard_of_it_for_long(
    store: Store, us: Holder, renewed: bool, passed: timedelta, expected: list[str]
) -> None:
    enqueue(store, "r")
    claim(store, other())
    take(store, other())
    if renewed:
        with store.write() as tx:
            runs.renew_leases(tx, {"decide": 1}, other(), now=NOW + passed)
    assert lost(store, us, NOW + passed) == expected


def test_finished_runs_are_forgotten_and_open_ones_kept(store: Store, us: Holder) -> None:
    for run_id, end in (("done", RunState.SUCCEEDED), ("going on", RunState.RUNNING), ("waiting", None)):
        enqueue(store, run_id)
        if end is not None:
            move(store, run_id, RunState.RUNNING)
        if end is RunState.SUCCEEDED:
            move(store, run_id, end)
    with store.write() as tx:
        assert runs.forget_before(tx, NOW + timedelta(days=1)) == 1
        assert {row.run_id for row in runs.newest(tx)} == {"going on", "waiting"}
