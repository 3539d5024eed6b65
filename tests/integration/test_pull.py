"""Reading a CRM in windows: nothing missed, nothing lost by a crash, nothing changed by reading again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from connectors.errors import RetryLater, SourceMissing
from connectors.port import Connector
from connectors.records import Crm, RecordProblem, RecordRef, Stream, StreamKind, Window
from sync.pull import PullReport, pull
from sync.store import schema
from sync.store.accounts import Cursor, load_cursor
from sync.store.db import Store, StoreError
from tests.support.fake_crm import FakeCrm
from tests.support.made import DAY, after, clicks, company, contact, did, firm, person, user
from tests.support.stores import new_store

PEOPLE = Stream(crm=Crm.HUBSPOT, kind=StreamKind.PEOPLE, name="contact")


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture
def crm() -> FakeCrm:
    made = FakeCrm()
    made.hold(*(person(contact(n), f"p{n}@x.com") for n in range(1, 6)), firm(company(1)))
    made.happened(did(contact(1), "e1"), did("p2@x.com", "f1"))
    made.owners_held = (user(Crm.HUBSPOT, "7", "ana@x.com"),)
    return made


def run(crm: FakeCrm, store: Store, **more: Any) -> PullReport:
    connector: Connector = crm
    return pull(connector, store, **({"settle": timedelta(0), "overlap": timedelta(minutes=15)} | more))


def cursor(store: Store, stream: Stream = PEOPLE) -> Cursor | None:
    with store.read() as tx:
        return load_cursor(tx, stream)


def stored(store: Store) -> list[str]:
    with store.read() as tx:
        people = select(schema.record.c.id).where(schema.record.c.object == "contact").order_by(schema.record.c.id)
        return list(tx.execute(people).scalars())


def everything(store: Store) -> dict[str, list[Any]]:
    """All tables but the cursors' own time of writing."""
    with store.read() as tx:
        return {
            table.name: [
                tuple(row)
                for row in tx.execute(
                    select(*(c for c in table.c if c.name not in ("updated_at", "pinned_at"))).order_by(
                        *table.primary_key.columns
                    )
                )
            ]
            for table in schema.metadata.sorted_tables
        }


def test_a_first_pull_reads_everything_and_moves_every_cursor(crm: FakeCrm, store: Store) -> None:
    report = run(crm, store)
    assert report.rows == {"hubspot:owners": 1, "hubspot:company": 1, "hubspot:contact": 5, "hubspot:form": 2}
    assert report.counts["hubspot:contact"].new == 5
    assert report.calls == {"check": 1, "owners": 1, "company": 1, "contact": 3, "form": 1}
    assert not report.interrupted
    assert stored(store) == ["1", "2", "3", "4", "5"]
    assert cursor(store) == Cursor(lo=DAY, window=None, resume=None, mapping="")
    assert [(name, w.lo, w.hi) for name, w, _ in crm.windows] == [
        ("company", None, DAY),
        ("contact", None, DAY),
        ("form", None, DAY),
    ]


def test_the_next_pull_reads_what_changed_with_an_overlap_up_to_now(crm: FakeCrm, store: Store) -> None:
    run(crm, store)
    crm.clock = after(hours=1)
    crm.hold(person(contact(3), "new@x.com", at=after(minutes=30)))
    crm.windows.clear()
    report = run(crm, store, settle=timedelta(seconds=30))
    assert crm.windows[1] == ("contact", Window(lo=after(minutes=-15), hi=after(hours=1, seconds=-30)), None)
    assert report.counts["hubspot:contact"].changed == 1
    settled = cursor(store)
    assert settled is not None
    assert settled.lo == after(hours=1, seconds=-30)


def test_what_an_index_showed_late_is_caught_by_the_overlap(crm: FakeCrm, store: Store) -> None:
    run(crm, store)
    crm.hold(person(contact(9), at=after(minutes=-5)))
    crm.clock = after(minutes=15)
    run(crm, store)
    assert "9" in stored(store)


def test_pulling_twice_changes_nothing(crm: FakeCrm, store: Store) -> None:
    crm.hold(person(contact(1), "p1@x.com", counters=(clicks(3, last=DAY),)))
    run(crm, store)
    before = everything(store)
    report = run(crm, store)
    assert everything(store) == before
    assert all(c.new == c.changed == 0 for c in report.counts.values())


def test_a_quiet_pull_costs_one_call_a_stream(crm: FakeCrm, store: Store) -> None:
    account = crm.check()
    crm.clock = after(hours=1)
    run(crm, store, account=account)
    crm.clock = after(hours=2)
    assert run(crm, store, account=account).calls == {"owners": 1, "company": 1, "contact": 1, "form": 1}


@pytest.mark.parametrize("closes", [True, False])
def test_a_window_closes_with_its_last_page_or_with_its_end(crm: FakeCrm, store: Store, closes: bool) -> None:
    crm.closes = closes
    run(crm, store)
    assert cursor(store) == Cursor(lo=DAY, window=None, resume=None, mapping="")


def test_the_cursor_moves_to_the_bound_of_the_window_not_to_the_newest_row(crm: FakeCrm, store: Store) -> None:
    """A record that changes during the scan leaves the window upward; the next one must find it."""
    crm.clock = after(hours=1)

    def change(stream: str, resume: str | None) -> None:
        if stream == "contact" and resume == "2":
            crm.hold(person(contact(4), "moved@x.com", at=after(hours=1, seconds=1)))
            crm.clock = after(hours=1, seconds=2)

    crm.before_page = change
    run(crm, store)
    assert stored(store) == ["1", "2", "3", "5"]
    crm.before_page = None
    run(crm, store)
    assert stored(store) == ["1", "2", "3", "4", "5"]


def test_counters_are_dated_by_the_crms_clock_of_each_page(crm: FakeCrm, store: Store) -> None:
    crm.hold(person(contact(1), counters=(clicks(1),)))
    run(crm, store)
    crm.hold(person(contact(1), at=after(hours=1), counters=(clicks(4),)))
    crm.clock = after(hours=2)
    run(crm, store)
    with store.read() as tx:
        found = tx.execute(select(schema.event.c.at, schema.event.c.count).where(schema.event.c.kind == "email_click"))
        assert [tuple(row) for row in found] == [(after(hours=2), 3)]


# -- crashes -----------------------------------------------------------------------------------------------------


def boundaries(crm: FakeCrm, store: Store) -> list[str]:
    seen: list[str] = []
    run(crm, store, reached=seen.append)
    return seen


def test_every_commit_is_told(crm: FakeCrm, store: Store) -> None:
    assert boundaries(crm, store) == [
        "pull:hubspot:owners:done",
        *(f"pull:hubspot:company:{p}" for p in ("begun", "page", "done")),
        *(f"pull:hubspot:contact:{p}" for p in ("begun", "page", "page", "page", "done")),
        *(f"pull:hubspot:form:{p}" for p in ("begun", "page", "done")),
    ]


@pytest.mark.parametrize("nth", range(12))
@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=3)])
def test_killed_at_any_boundary_and_run_again_is_as_if_undisturbed(
    crm: FakeCrm, store: Store, tmp_path: Path, nth: int, later: timedelta
) -> None:
    """Also when something changed between the crash and the next run: the run reads up to its own now."""
    places = 0

    def die(place: str) -> None:
        nonlocal places
        if places == nth:
            raise Killed(place)
        places += 1

    with pytest.raises(Killed):
        run(crm, store, reached=die)
    crm.clock = DAY + later
    if later:
        changed = person(contact(2), "p2@x.com", at=after(hours=2), facts={"person.title": "CEO"})
        crm.hold(changed, person(contact(8), at=after(hours=1)))
    run(crm, store)

    calm = new_store(tmp_path, "calm")
    run(crm, calm)
    told, expected = everything(store), everything(calm)
    for tables in (told, expected):
        # When pages were read, and what it said before, is all that may differ.
        tables["record"] = [row[:-2] for row in tables["record"]]
        tables["event"] = sorted(row[1:-1] for row in tables["event"])
        tables["owner"] = [row[:-1] for row in tables["owner"]]
        tables.pop("record_history")
    assert told == expected
    calm.close()


def test_a_crash_before_a_page_is_stored_reads_it_again(crm: FakeCrm, store: Store) -> None:
    def fail(stream: str, resume: str | None) -> None:
        if stream == "contact" and resume == "2":
            raise RetryLater(Crm.HUBSPOT, "no connection")

    crm.before_page = fail
    with pytest.raises(RetryLater):
        run(crm, store)
    begun = cursor(store)
    assert begun == Cursor(lo=None, window=Window(lo=None, hi=DAY), resume="2", mapping="")
    crm.before_page = None
    crm.windows.clear()
    crm.clock = after(hours=1)
    run(crm, store)
    assert [(w.lo, w.hi, resume) for name, w, resume in crm.windows if name == "contact"] == [
        (None, DAY, "2"),
        (after(minutes=-15), after(hours=1), None),
    ]
    assert stored(store) == ["1", "2", "3", "4", "5"]


def test_a_stop_is_clean_and_the_next_pull_goes_on(crm: FakeCrm, store: Store) -> None:
    pages = 0

    def stop() -> bool:
        return pages == 2

    def count(place: str) -> None:
        nonlocal pages
        pages += place == "pull:hubspot:contact:page"

    report = run(crm, store, stop=stop, reached=count)
    assert report.interrupted
    assert stored(store) == ["1", "2", "3", "4"]
    assert run(crm, store).rows["hubspot:contact"] == 1 + 5
    assert stored(store) == ["1", "2", "3", "4", "5"]


# -- what is refused, and what is read anew ----------------------------------------------------------------------


def test_another_account_is_refused_before_anything_is_read(crm: FakeCrm, store: Store) -> None:
    run(crm, store)
    other = FakeCrm(id="200")
    other.hold(person(contact(99)))
    with pytest.raises(StoreError, match="account 100"):
        run(other, store)
    assert "99" not in stored(store)
    assert other.windows == []


def test_another_field_map_reads_everything_again(crm: FakeCrm, store: Store) -> None:
    run(crm, store, mapping="one")
    crm.clock = after(hours=1)
    crm.windows.clear()
    run(crm, store, mapping="one")
    assert crm.windows[1][1].lo == after(minutes=-15)
    crm.windows.clear()
    run(crm, store, mapping="two")
    assert [w.lo for _, w, _ in crm.windows] == [None, None, None]


def test_a_window_begun_with_another_field_map_is_not_gone_on_with(crm: FakeCrm, store: Store) -> None:
    def fail(stream: str, resume: str | None) -> None:
        if resume == "2":
            raise RetryLater(Crm.HUBSPOT, "no connection")

    crm.before_page = fail
    with pytest.raises(RetryLater):
        run(crm, store, mapping="one")
    crm.before_page = None
    crm.windows.clear()
    run(crm, store, mapping="two")
    assert [(name, w.lo, resume) for name, w, resume in crm.windows if name == "contact"] == [("contact", None, None)]


def test_a_stream_that_is_not_to_be_had_is_left_out_and_nothing_of_it_is_lost(crm: FakeCrm, store: Store) -> None:
    def refuse(stream: str, resume: str | None) -> None:
        if stream == "form":
            raise SourceMissing(Crm.HUBSPOT, "form is not read.", advice="Give the token the scope.")

    crm.before_page = refuse
    for _ in range(2):
        report = run(crm, store)
        assert report.left_out == ["hubspot: form is not read. Give the token the scope."]
        assert report.problems == []
        assert stored(store) == ["1", "2", "3", "4", "5"]
        crm.clock = after(hours=1)
    crm.before_page = None
    report = run(crm, store)
    assert report.left_out == []
    assert report.counts["hubspot:form"].new == 2


def test_a_clock_set_back_does_not_turn_the_window_round(crm: FakeCrm, store: Store) -> None:
    crm.clock = after(days=1)
    run(crm, store)
    crm.clock = DAY
    crm.windows.clear()
    run(crm, store)
    assert all(w.lo is not None and w.lo <= w.hi for _, w, _ in crm.windows)


def test_problems_are_reported_once(crm: FakeCrm, store: Store) -> None:
    bad = RecordProblem(ref=contact(1), field="country", reason="no such country")
    crm.hold(person(contact(1), problems=(bad,)))
    assert run(crm, store).problems == [bad]
    assert run(crm, store).problems == []


def test_a_problem_of_a_page_is_told_once(crm: FakeCrm, store: Store) -> None:
    bad = RecordProblem(ref=RecordRef(crm=Crm.HUBSPOT, object="form", id="x"), field="", reason="no such form")
    crm.page_problems = (bad,)
    crm.people_held.clear()
    crm.companies_held.clear()
    assert run(crm, store).problems == [bad]
    assert run(crm, store).problems == [], "the overlap reads it again, and it is known"
    worse = replace(bad, reason="another one")
    crm.page_problems = (bad, worse)
    assert run(crm, store).problems == [worse]


def test_values_we_wrote_do_not_become_facts(crm: FakeCrm, store: Store) -> None:
    def staged(stage: str, at: datetime) -> Any:
        return person(contact(1), at=at, facts={"person.lead_status": stage}, current={"hs_lead_status": stage})

    crm.hold(staged("NEW", DAY))
    run(crm, store, ours={"person.lead_status": "hs_lead_status"})
    with store.write() as tx:
        acked = {"conn": "hubspot", "object": "contact", "id": "1", "fields": {"hs_lead_status": "OPEN"}, "at": DAY}
        tx.execute(schema.acked.insert(), acked)
    crm.hold(staged("OPEN", after(hours=1)))
    crm.clock = after(hours=1)
    run(crm, store, ours={"person.lead_status": "hs_lead_status"})
    with store.read() as tx:
        people = select(schema.record.c.facts).where(schema.record.c.object == "contact")
        facts = tx.execute(people.where(schema.record.c.id == "1")).scalar_one()
    assert facts == {"person.lead_status": "NEW"}
