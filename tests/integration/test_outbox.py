"""The outbox without its writer: what queues, what replaces what, and which moves a row may make."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from connectors.records import Crm, RecordRef
from scoring.policy import Result
from sync.plan import Conflict
from sync.store import decisions, outbox, schema
from sync.store.db import Store
from sync.store.outbox import MOST_IN_DOUBT, MOVES, OutboxRow, RowState
from tests.support.outbox_rows import planned, ref_of, task_of

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

REF = ref_of("1")


def put(store: Store, ref: RecordRef = REF, *, version: str = "1", release: str = "k", **fields: str | None) -> int:
    with store.write() as tx:
        write = planned(ref, fields, version=version)
        return outbox.put(tx, [(f"p{ref.id}", write)], run_id="r", release=release)


def rows(store: Store) -> list[Any]:
    with store.read() as tx:
        return list(tx.execute(select(schema.outbox).order_by(schema.outbox.c.seq)))


def ready(store: Store, *, crm: Crm = Crm.HUBSPOT, now: datetime = NOW, limit: int = 10, **how: Any) -> list[OutboxRow]:
    with store.read() as tx:
        return outbox.ready(tx, crm, now=now, limit=limit, **how)


def send(store: Store, row: OutboxRow) -> None:
    with store.write() as tx:
        outbox.mark_inflight(tx, [(row, row.fields)], now=NOW, fence=3, batch="b")


def park(store: Store, code: str = "INVALID") -> bool:
    [row] = ready(store, now=NOW + timedelta(days=1))
    send(store, row)
    with store.write() as tx:
        return outbox.bury(tx, row, code=code, reason="because", field=None, release="k", at=NOW)


# -- queueing ----------------------------------------------------------------------------------------------------


def test_a_plan_waits_once(store: Store) -> None:
    assert put(store, score="1") == 1
    assert put(store, score="1") == 0
    assert len(rows(store)) == 1


def test_a_newer_plan_replaces_the_waiting_one(store: Store) -> None:
    put(store, score="1")
    assert put(store, score="2") == 1
    [row] = rows(store)
    assert row.fields == {"score": "2"}


def test_the_same_values_against_a_newer_version_are_another_plan(store: Store) -> None:
    """MQL, recycled, MQL again: the second promotion is no repeat of the first."""
    put(store, score="1")
    assert put(store, score="1", version="2") == 1
    assert len(rows(store)) == 1


def test_a_replaced_plan_hands_on_what_is_in_doubt(store: Store) -> None:
    put(store, score="1")
    [row] = ready(store)
    send(store, row)
    with store.write() as tx:
        outbox.back_to_pending(tx, row, not_before=None, answered=False)
    put(store, score="2")
    [row] = ready(store)
    assert (row.sent, row.attempts) == (({"score": "1"},), 1)


def test_a_row_in_flight_is_left_alone(store: Store) -> None:
    put(store, score="1")
    send(store, ready(store)[0])
    assert put(store, score="2") == 0
    [row] = rows(store)
    assert (row.state, row.fields, row.fence, row.batch_id) == ("inflight", {"score": "1"}, 3, "b")


@pytest.mark.parametrize(
    ("score", "release", "queued"),
    [("1", "k", 0), ("1", "another", 1), ("2", "k", 1)],
)
def test_a_parked_record_stays_parked_while_values_and_release_are_the_same(
    store: Store, score: str, release: str, queued: int
) -> None:
    put(store, score="1")
    park(store)
    assert put(store, score=score, release=release) == queued
    [row] = rows(store)
    assert row.state == (RowState.PENDING if queued else RowState.DEAD)


def test_what_was_sent_of_a_parked_record_is_remembered(store: Store) -> None:
    put(store, score="1")
    park(store)
    with store.write() as tx:
        outbox.release_dead(tx, release="another", now=NOW)
    assert ready(store)[0].sent == ({"score": "1"},)
    put(store, score="2")
    assert ready(store)[0].sent == ({"score": "1"},)


def test_attempts_in_doubt_are_remembered_up_to_a_bound(store: Store) -> None:
    put(store, score="1")
    for _ in range(MOST_IN_DOUBT + 5):
        [row] = ready(store)
        send(store, row)
        with store.write() as tx:
            outbox.back_to_pending(tx, row, not_before=None, answered=False)
    assert len(ready(store)[0].sent) == MOST_IN_DOUBT


def test_forgetting_what_is_no_longer_wanted_spares_what_flies(store: Store) -> None:
    waiting, flying, parked = ref_of("1"), ref_of("2"), ref_of("3")
    put(store, parked, score="1")
    park(store)
    put(store, flying, score="1")
    send(store, ready(store)[0])
    put(store, waiting, score="1")
    with store.write() as tx:
        assert outbox.drop_pending(tx, [waiting, flying, parked]) == 2
    assert [row.id for row in rows(store)] == ["2"]


# -- what is ready -----------------------------------------------------------------------------------------------


def test_one_object_at_a_time_records_before_tasks_oldest_first(store: Store) -> None:
    leads = [RecordRef(crm=Crm.SALESFORCE, object="lead", id=str(n)) for n in range(3)]
    contact = RecordRef(crm=Crm.SALESFORCE, object="contact", id="c")
    with store.write() as tx:
        outbox.put_tasks(tx, [("p", task_of(contact))], run_id="r")
    for ref in (*leads, contact, REF):
        put(store, ref, score="1")

    def ids(skip: Sequence[OutboxRow] = (), limit: int = 10) -> list[str]:
        skipped = frozenset(row.seq for row in skip)
        return [row.ref.id for row in ready(store, crm=Crm.SALESFORCE, skip=skipped, limit=limit)]

    assert ids() == ["c"]
    first = ready(store, crm=Crm.SALESFORCE)
    assert ids(first) == ["0", "1", "2"]
    assert ids(first, limit=2) == ["0", "1"]
    with store.write() as tx:
        outbox.drop_pending(tx, [*leads, contact])
    assert ids() == ["p1:1:task:1"]


def test_a_row_that_rests_is_not_ready_before_its_time(store: Store) -> None:
    put(store, score="1")
    [row] = ready(store)
    send(store, row)
    later = NOW + timedelta(seconds=5)
    with store.write() as tx:
        outbox.back_to_pending(tx, row, not_before=later, answered=True)
    assert ready(store, now=later - timedelta(microseconds=1)) == []
    [row] = ready(store, now=later)
    assert (row.sent, row.attempts) == ((), 1)
    with store.read() as tx:
        assert outbox.next_due(tx, Crm.HUBSPOT) == later
        assert outbox.next_due(tx, Crm.HUBSPOT, skip={row.seq}) is None
        assert outbox.next_due(tx, Crm.SALESFORCE) is None


# -- moves -------------------------------------------------------------------------------------------------------


def test_the_table_of_moves_is_what_the_functions_do(store: Store) -> None:
    assert MOVES[RowState.PENDING] == {RowState.INFLIGHT, RowState.DEAD}
    assert MOVES[RowState.INFLIGHT] == {RowState.PENDING, RowState.DEAD}
    assert MOVES[RowState.DEAD] == {RowState.PENDING}
    put(store, score="1")
    [row] = ready(store)
    with pytest.raises(RuntimeError, match="another run has taken it"), store.write() as tx:
        outbox.back_to_pending(tx, row, not_before=None, answered=True)
    send(store, row)
    with pytest.raises(RuntimeError, match="another run has taken it"):
        send(store, row)
    with store.write() as tx:
        outbox.bury(tx, row, code="C", reason="r", field=None, release="k", at=NOW)
    with pytest.raises(RuntimeError, match="another run has taken it"), store.write() as tx:
        outbox.bury(tx, row, code="C", reason="r", field=None, release="k", at=NOW)


def test_a_batch_of_which_one_row_was_taken_is_not_marked_at_all(store: Store) -> None:
    for n in range(3):
        put(store, ref_of(str(n)), score="1")
    batch = ready(store)
    send(store, batch[1])
    with pytest.raises(RuntimeError, match="another run has taken it"), store.write() as tx:
        outbox.mark_inflight(tx, [(row, row.fields) for row in batch], now=NOW, fence=4, batch="c")
    assert [row.state for row in rows(store)] == ["pending", "inflight", "pending"]


@pytest.mark.parametrize(
    ("release", "passed", "seqs", "moved"),
    [
        ("k", timedelta(hours=23), None, 0),
        ("k", timedelta(days=1), None, 1),
        ("another", timedelta(0), None, 1),
        ("k", timedelta(0), "all", 1),
        ("another", timedelta(days=9), "none", 0),
    ],
)
def test_parked_rows_are_released_by_key_by_time_or_by_hand(
    store: Store, release: str, passed: timedelta, seqs: str | None, moved: int
) -> None:
    put(store, score="1")
    park(store)
    chosen = {None: None, "all": [row.seq for row in rows(store)], "none": []}[seqs]
    with store.write() as tx:
        assert outbox.release_dead(tx, release=release, now=NOW + passed, seqs=chosen) == moved
    [row] = rows(store)
    assert (row.state, row.attempts) == (("pending", 0) if moved else ("dead", 1))


def test_a_rejection_is_new_once(store: Store) -> None:
    put(store, score="1")
    assert park(store)
    for code, new in (("INVALID", False), ("OTHER", True), ("INVALID", True)):
        with store.write() as tx:
            outbox.release_dead(tx, release="another", now=NOW)
        assert park(store, code) is new


# -- what was confirmed ------------------------------------------------------------------------------------------


def test_confirmed_values_add_up(store: Store) -> None:
    with store.write() as tx:
        outbox.acknowledge(tx, {REF: {"score": "1", "status": None}}, at=NOW)
        outbox.acknowledge(tx, {REF: {"score": "2"}, ref_of("2"): {}}, at=NOW)
        assert outbox.acked_fields(tx, [REF, ref_of("2")]) == {REF: {"score": "2", "status": None}}


def test_what_is_wanted_of_a_record_is_read_by_its_name(store: Store) -> None:
    with store.write() as tx:
        decisions.save_desired(tx, [("p1", REF, {"score": "1"})])
        assert outbox.desired_fields(tx, [REF, ref_of("2")]) == {REF: {"score": "1"}}


# -- conflicts ---------------------------------------------------------------------------------------------------


def edit(theirs: str | None, *, tamper: bool = False) -> Conflict:
    return Conflict(ref=REF, field="status", result=Result.STATUS, theirs=theirs, ours="mql", tamper=tamper)


def test_an_edit_is_new_once_until_it_changes_or_was_settled(store: Store) -> None:
    def record(conflict: Conflict) -> bool:
        with store.write() as tx:
            return outbox.record_conflict(tx, "p1", conflict, episode=1, held=True, at=NOW)

    assert record(edit("a"))
    assert not record(edit("a"))
    assert record(edit("b"))
    assert record(edit("b", tamper=True))
    with store.write() as tx:
        assert outbox.release_held(tx, ["p1"], at=NOW) == 2
        assert outbox.release_held(tx, ["p1"], at=NOW) == 0
    assert record(edit("b"))
