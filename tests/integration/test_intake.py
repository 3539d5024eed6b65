"""What is remembered of the input, so that a run can be stopped by what it lacks."""

from datetime import UTC, datetime, timedelta

from sync.guard import Approval, Finding, Limit
from sync.store import stops
from sync.store.db import Store

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=3)

SILENT = Finding(limit=Limit.SILENT, found="", allowed="", text="", where="hubspot:contact")


def moved(store: Store) -> dict[str, datetime]:
    with store.read() as tx:
        return dict(stops.intake(tx, {}).moved)


def test_a_stream_counts_as_moved_when_it_is_read_first_and_when_it_has_something_new(store: Store) -> None:
    with store.write() as tx:
        stops.note_moved(tx, [("hubspot", "contact", False), ("salesforce", "lead", True)], at=NOW)
    with store.write() as tx:
        stops.note_moved(tx, [("hubspot", "contact", False), ("salesforce", "lead", True)], at=LATER)
    assert moved(store) == {"hubspot:contact": NOW, "salesforce:lead": LATER}


def test_a_silence_that_was_let_pass_is_not_looked_at_until_the_stream_moves(store: Store) -> None:
    with store.write() as tx:
        stops.note_moved(tx, [("hubspot", "contact", True), ("salesforce", "lead", True)], at=NOW)
        stops.note_passed(tx, "r2", Approval(run_id="r1", findings=(SILENT,)), people={}, at=NOW)
    assert moved(store) == {"salesforce:lead": NOW}
    with store.write() as tx:
        stops.note_moved(tx, [("hubspot", "contact", False)], at=LATER)
    assert moved(store) == {"salesforce:lead": NOW}
    with store.write() as tx:
        stops.note_moved(tx, [("hubspot", "contact", True)], at=LATER)
    assert moved(store) == {"hubspot:contact": LATER, "salesforce:lead": NOW}


def test_people_are_compared_with_the_last_run_that_decided(store: Store) -> None:
    with store.read() as tx:
        assert stops.intake(tx, {"hubspot": 9}).people == {}
    with store.write() as tx:
        stops.note_passed(tx, "r1", None, people={"hubspot": 9}, at=NOW)
    with store.read() as tx:
        assert stops.intake(tx, {"hubspot": 7}).people == {"hubspot": (9, 7)}
        assert stops.intake(tx, {}).people == {"hubspot": (9, 0)}
        assert stops.intake(tx, {}).moved == {}
