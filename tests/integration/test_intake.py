"""What is remembered of the input, so that a run can be stopped by what it lacks."""

from datetime import UTC, datetime, timedelta

from sync.guard import Approval, Finding, Limit
from sync.store import schema, stops
from sync.store.db import Store

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=3)

SILENT = Finding(limit=Limit.SILENT, found="", allowed="", text="", where="hubspot:contact")


def moved(store: Store) -> dict[str, datetime]:
    with store.read() as tx:
        return dict(stops.intake(tx).moved)


def test_a_stream_counts_as_moved_when_it_is_read_first_and_when_it_has_something_new(store: Store) -> None:
    with store.write() as tx:
        stops.note_moved(tx, [("hubspot", "contact", False), ("salesforce", "lead", True)], at=NOW)
    with store.write() as tx:
        stops.note_moved(tx, [("hubspot", "contact", False), ("salesforce", "lead", True)], at=LATER)
    assert moved(store) == {"hubspot:contact": NOW, "salesforce:lead": LATER}


def test_a_silence_that_was_let_pass_is_not_looked_at_until_the_stream_moves(store: Store) -> None:
    with store.write() as tx:
        stops.note_moved(tx, [("hubspot", "contact", True), ("salesforce", "lead", True)], at=NOW)
        stops.note_passed(tx, "r2", Approval(run_id="r1", findings=(SILENT,)))
    assert moved(store) == {"salesforce:lead": NOW}
    with store.write() as tx:
        stops.note_moved(tx, [("hubspot", "contact", False)], at=LATER)
    assert moved(store) == {"salesforce:lead": NOW}
    with store.write() as tx:
        stops.note_moved(tx, [("hubspot", "contact", True)], at=LATER)
    assert moved(store) == {"hubspot:contact": LATER, "salesforce:lead": NOW}


def link(store: Store, *roles: str) -> None:
    """Records of people of HubSpot with these roles, in the place of those there were."""
    rows = [
        {"conn": "hubspot", "object": "contact", "id": str(n), "person_id": str(n), "role": role, "method": "alone"}
        for n, role in enumerate(roles)
    ]
    with store.write() as tx:
        tx.execute(schema.link.delete())
        tx.execute(schema.link.insert(), [row | {"confidence": 1.0} for row in rows])


def people(store: Store) -> dict[str, tuple[int, int]]:
    with store.read() as tx:
        return dict(stops.intake(tx).people)


def test_what_has_gone_since_the_last_run_that_decided_is_held_against_what_there_was(store: Store) -> None:
    link(store, "target", "shadow", "target", "gone")
    assert people(store) == {}
    with store.write() as tx:
        stops.note_people(tx, counted=False, at=NOW)
    assert people(store) == {}, "nobody has counted yet"
    with store.write() as tx:
        stops.note_people(tx, counted=True, at=NOW)
    assert people(store) == {"hubspot": (3, 0)}
    link(store, "target", "gone", "gone", "gone")
    assert people(store) == {"hubspot": (3, 2)}
    assert people(store) == {"hubspot": (3, 2)}, "looking at it settles nothing"
    with store.write() as tx:
        stops.note_people(tx, counted=False, at=LATER)
    assert people(store) == {"hubspot": (3, 0)}
    with store.write() as tx:
        stops.note_people(tx, counted=True, at=LATER)
    assert people(store) == {"hubspot": (1, 0)}
