"""A sweep finds what no pull was ever told of, mends it, and goes on where it was stopped."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from connectors.errors import RunCannotContinue
from connectors.records import Crm, RecordRef, Sighting, Stream, StreamKind
from sync.pull import Source, pull
from sync.store import schema
from sync.store.db import Store
from sync.store.people import resolve_touched
from sync.store.sweeps import Drift, Known, load_sweep
from sync.sweep import FEW, SweepReport, overlooked, sweep
from tests.support.fake_crm import FakeCrm
from tests.support.made import DAY, after, company, contact, did, firm, gone, person
from tests.support.stores import new_store

PEOPLE = Stream(crm=Crm.HUBSPOT, kind=StreamKind.PEOPLE, name="contact")
NOTHING = Drift()


@pytest.fixture
def crm(store: Store) -> FakeCrm:
    """Five people, two companies and two events, all read a day ago and once more now, all linked."""
    made = FakeCrm()
    made.hold(*(person(contact(n), f"p{n}@x.com") for n in range(1, 6)), firm(company(1)), firm(company(2)))
    made.happened(did(contact(1), "e1"), did(contact(2), "e2"))
    pulled(made, store)
    made.clock = after(days=1)
    pulled(made, store)
    return made


def pulled(crm: FakeCrm, store: Store, **more: Any) -> None:
    pull(crm, store, settle=timedelta(0), overlap=timedelta(minutes=15), **more)
    with store.write() as tx:
        resolve_touched(tx, at=crm.clock)


def swept(crm: FakeCrm, store: Store, *, mapping: str = "", **more: Any) -> SweepReport:
    source = Source(connector=crm, mapping=mapping)
    return sweep(source, store, overlap=timedelta(minutes=15), **more)


def drift(report: SweepReport, stream: str = "hubspot:contact") -> dict[str, int]:
    """What was found, without what was only looked at."""
    return {name: n for name, n in asdict(report.found[stream]).items() if n and name != "listed"}


def rows(store: Store, *columns: Any) -> list[Any]:
    with store.read() as tx:
        r = schema.record.c
        return [tuple(row) for row in tx.execute(select(r.id, *columns).where(r.object == "contact").order_by(r.id))]


def forget(store: Store, ref: RecordRef) -> None:
    """As if no pull had ever shown it."""
    with store.write() as tx:
        for table in (schema.record, schema.link):
            tx.execute(delete(table).where(table.c.object == ref.object, table.c.id == ref.id))


def test_where_nothing_differs_nothing_is_fetched_and_nothing_found(crm: FakeCrm, store: Store) -> None:
    before = rows(store, *schema.record.c)
    report = swept(crm, store)
    assert report.repaired == 0
    assert report.found["hubspot:contact"].listed == 5
    assert report.found["hubspot:company"].listed == 2
    assert rows(store, *schema.record.c) == before
    assert not {"fetch contact", "fetch company", "read"} & set(crm.calls)


def test_a_record_no_pull_has_shown_is_fetched(crm: FakeCrm, store: Store) -> None:
    forget(store, contact(3))
    assert drift(swept(crm, store)) == {"missed": 1}
    assert [id for (id,) in rows(store)] == ["1", "2", "3", "4", "5"]
    assert drift(swept(crm, store)) == {}


def test_an_older_version_is_replaced(crm: FakeCrm, store: Store) -> None:
    """Changed long before the last pull ended: no window will ever come back to it."""
    crm.hold(person(contact(2), "p2@x.com", at=after(hours=-3), facts={"person.title": "CEO"}))
    with store.write() as tx:
        tx.execute(update(schema.record).where(schema.record.c.id == "2").values(modified_at=after(days=-2)))
    assert drift(swept(crm, store)) == {"changed": 1}
    assert rows(store, schema.record.c.facts)[1][1]["person.title"] == "CEO"


def test_what_changed_after_the_last_pull_is_left_to_the_next(crm: FakeCrm, store: Store) -> None:
    late = after(days=1, minutes=-14)
    crm.hold(person(contact(2), "new@x.com", at=late), person(contact(9), at=late))
    assert drift(swept(crm, store)) == {}
    assert "9" not in [id for (id,) in rows(store)]


def test_a_deleted_record_is_marked_as_gone_and_its_link_with_it(crm: FakeCrm, store: Store) -> None:
    del crm.people_held[contact(4)]
    assert drift(swept(crm, store)) == {"gone": 1}
    assert [id for id, is_gone in rows(store, schema.record.c.gone) if is_gone] == ["4"]
    with store.write() as tx:
        resolve_touched(tx, at=crm.clock)
        role = tx.execute(select(schema.link.c.role).where(schema.link.c.id == "4")).scalar_one()
    assert role == "gone"


def test_a_record_that_was_merged_away_lives_on_in_the_other(crm: FakeCrm, store: Store) -> None:
    crm.hold(gone(contact(4), contact(5)))
    assert drift(swept(crm, store)) == {"gone": 1}
    assert rows(store, schema.record.c.moved_to)[3] == ("4", "contact:5")
    with store.write() as tx:
        resolve_touched(tx, at=crm.clock)
        links = {id: who for id, who in tx.execute(select(schema.link.c.id, schema.link.c.person_id))}  # noqa: C416  # rows are not pairs to the type checker
    assert links["4"] == links["5"]


def test_a_restored_record_lives_again_though_its_stamp_is_old(crm: FakeCrm, store: Store) -> None:
    held = crm.people_held.pop(contact(4))
    swept(crm, store)
    crm.hold(held)
    assert drift(swept(crm, store)) == {"changed": 1}
    assert not any(is_gone for _, is_gone in rows(store, schema.record.c.gone))


def test_a_live_record_that_the_list_leaves_out_is_not_buried(crm: FakeCrm, store: Store) -> None:
    crm.unlisted = frozenset({contact(4), contact(5)})
    assert drift(swept(crm, store)) == {}
    assert not any(is_gone for _, is_gone in rows(store, schema.record.c.gone))


def test_a_record_that_cannot_be_read_is_not_buried(crm: FakeCrm, store: Store) -> None:
    del crm.people_held[contact(4)], crm.people_held[contact(5)]
    crm.unread = frozenset({contact(5)})
    assert drift(swept(crm, store)) == {"gone": 1}
    assert [id for id, is_gone in rows(store, schema.record.c.gone) if is_gone] == ["4"]


def test_companies_are_compared_like_people(crm: FakeCrm, store: Store) -> None:
    forget(store, company(1))
    del crm.companies_held[company(2)]
    assert drift(swept(crm, store), "hubspot:company") == {"missed": 1, "gone": 1}


def test_an_event_that_came_late_is_read_by_the_second_look(crm: FakeCrm, store: Store) -> None:
    """Its stamp lies before the overlap of every pull to come."""
    crm.happened(did(contact(1), "late"), changed=after(hours=3))
    pulled(crm, store)
    assert drift(swept(crm, store), "hubspot:form") == {"missed": 1}
    assert drift(swept(crm, store), "hubspot:form") == {}


def test_a_link_that_is_missing_or_no_longer_true_is_made_anew(crm: FakeCrm, store: Store) -> None:
    with store.write() as tx:
        tx.execute(delete(schema.link).where(schema.link.c.id == "1"))
        tx.execute(update(schema.record).where(schema.record.c.id == "2").values(gone=True, touched=False))
        tx.execute(schema.link.insert(), [link("77"), link("78")])
    del crm.people_held[contact(2)]
    assert drift(swept(crm, store)) == {"links": 4}
    with store.write() as tx:
        resolve_touched(tx, at=crm.clock)
        roles = {id: role for id, role in tx.execute(select(schema.link.c.id, schema.link.c.role))}  # noqa: C416  # as above
    assert roles == {"1": "target", "2": "gone", "3": "target", "4": "target", "5": "target"}
    assert drift(swept(crm, store)) == {}


def link(id: str) -> dict[str, Any]:
    named = {"conn": "hubspot", "object": "contact", "id": id, "person_id": "nobody"}
    return {**named, "role": "target", "method": "alone", "confidence": 1.0}


# -- when it does not trust what it sees ---------------------------------------------------------------------------


@pytest.fixture
def hidden(crm: FakeCrm, store: Store) -> FakeCrm:
    """Of a hundred people all but seventy can no longer be seen."""
    crm.hold(*(person(contact(n), f"p{n}@x.com") for n in range(100, 200)))
    crm.clock = after(days=2)
    pulled(crm, store, mapping="all again")
    for n in range(100, 100 + FEW + 10):
        del crm.people_held[contact(n)]
    return crm


def test_a_great_many_absent_records_are_left_alone_and_told(hidden: FakeCrm, store: Store) -> None:
    report = swept(hidden, store, mapping="all again")
    assert drift(report) == {"left": FEW + 10}
    assert "--accept-gone" in report.warnings[0]
    assert not any(is_gone for _, is_gone in rows(store, schema.record.c.gone))


def test_somebody_who_knows_that_they_are_gone_can_say_so(hidden: FakeCrm, store: Store) -> None:
    swept(hidden, store, mapping="all again")
    assert drift(swept(hidden, store, mapping="all again", accept_gone=True)) == {"gone": FEW + 10}


@pytest.mark.parametrize("mapping", ["another", None], ids=["another map", "never pulled"])
def test_what_the_next_pull_reads_whole_is_passed_over(tmp_path: Path, mapping: str | None) -> None:
    store, crm = new_store(tmp_path, "other"), FakeCrm()
    crm.hold(person(contact(1)))
    if mapping is not None:
        pulled(crm, store, mapping=mapping)
    report = swept(crm, store)
    assert report.found == {}
    assert len(report.warnings) == 3
    assert not any(kind.startswith("ids") for kind in crm.calls)
    store.close()


# -- stopped on the way --------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process dies here."""


def damaged(crm: FakeCrm, store: Store) -> None:
    """One of each kind, spread over the pages."""
    forget(store, contact(1))
    del crm.people_held[contact(3)]
    crm.hold(gone(contact(4), contact(5)))
    forget(store, company(2))


def places(crm: FakeCrm, store: Store) -> list[str]:
    seen: list[str] = []
    swept(crm, store, reached=seen.append)
    return seen


def test_every_commit_is_told(crm: FakeCrm, store: Store) -> None:
    damaged(crm, store)
    assert places(crm, store) == [
        *(f"sweep:hubspot:company:{p}" for p in ("begun", "page", "done")),
        *(f"sweep:hubspot:contact:{p}" for p in ("begun", "page", "page", "looked up", "done")),
        *(f"sweep:hubspot:form:{p}" for p in ("begun", "page", "done")),
    ]


@pytest.mark.parametrize("nth", range(11))
def test_killed_anywhere_and_begun_again_it_ends_as_if_undisturbed(crm: FakeCrm, store: Store, nth: int) -> None:
    damaged(crm, store)
    passed = 0

    def die(place: str) -> None:
        nonlocal passed
        if passed == nth:
            raise Killed(place)
        passed += 1

    with pytest.raises(Killed):
        swept(crm, store, reached=die)
    crm.clock = after(days=1, hours=1)
    report = swept(crm, store)
    assert not report.warnings
    assert [id for id, is_gone in rows(store, schema.record.c.gone) if is_gone] == ["3", "4"]
    assert [id for (id,) in rows(store)] == ["1", "2", "3", "4", "5"]
    with store.read() as tx:
        state = load_sweep(tx, PEOPLE)
        assert tx.execute(select(schema.sighting)).first() is None
    assert state is not None
    assert state.finished_at is not None
    if nth < 7:
        assert drift(report) == {"missed": 1, "gone": 2}, "what was found before the crash counts as well"


def test_a_used_up_quota_loses_nothing_and_pages_are_not_read_twice(crm: FakeCrm, store: Store) -> None:
    def used_up(stream: str, resume: str | None) -> None:
        if stream == "sweep contact" and resume == "4":
            raise RunCannotContinue(Crm.HUBSPOT, "no calls are left today", quota=True)

    crm.before_page = used_up
    with pytest.raises(RunCannotContinue):
        swept(crm, store)
    crm.before_page = None
    crm.made.clear()
    swept(crm, store)
    assert crm.calls["ids contact"] == 1


def test_a_stop_is_heard_between_two_pages(crm: FakeCrm, store: Store) -> None:
    pages = 0

    def count(place: str) -> None:
        nonlocal pages
        pages += place == "sweep:hubspot:contact:page"

    report = swept(crm, store, reached=count, stop=lambda: pages == 1)
    assert report.interrupted
    assert crm.calls["ids contact"] == 1
    assert not swept(crm, store).interrupted


# -- what a pull ought to have brought -----------------------------------------------------------------------------

moments = st.integers(-3, 3).map(lambda n: after(hours=n))


@given(
    listed=st.dictionaries(st.integers(1, 6), st.none() | moments),
    known=st.dictionaries(st.integers(1, 6), st.builds(Known, moments, st.booleans())),
    read_to=moments,
)
def test_only_what_a_pull_ought_to_have_brought_is_overlooked(
    listed: dict[int, datetime | None], known: dict[int, Known], read_to: datetime
) -> None:
    seen = [Sighting(ref=contact(n), modified_at=at) for n, at in listed.items()]
    stored = {str(n): one for n, one in known.items()}
    found = set(overlooked(seen, stored, read_to))
    for one in seen:
        before = stored.get(one.ref.id)
        due = one.modified_at is not None and one.modified_at <= read_to
        same = before is not None and not before.gone and one.modified_at == before.modified_at
        assert not (one.ref in found and (not due or same))
        assert one.ref in found or not due or (before is not None and not before.gone)
    mended = {ref.id: Known(next(s.modified_at for s in seen if s.ref == ref) or DAY, False) for ref in found}
    assert overlooked(seen, {**stored, **mended}, read_to) == [], "what was fetched is not overlooked again"


def test_drift_is_nothing_where_nothing_was_found() -> None:
    assert replace(NOTHING, listed=9, left=3).repaired == 0
