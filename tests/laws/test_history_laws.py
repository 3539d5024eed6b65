"""What the store says of a past day is what a log of every day says."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from connectors.records import CompanyRecord, Engagement, PersonRecord
from scoring.tables import KNOWN_FROM, KNOWN_UNTIL
from sync.gather import GatherRules, gather
from sync.history import Past, people_pasts
from sync.store import people, records, schema
from sync.store.db import Store
from sync.store.snapshot import Snapshot
from tests.support.made import company, contact, did, firm, gone, person, sf_contact
from tests.support.stores import new_store, quick_folder

ZONE = ZoneInfo("America/New_York")
MONDAY = datetime(2026, 3, 2, 15, tzinfo=UTC)
RULES = GatherRules(prefer={"person.title": "newest", "default": "salesforce unless blank"})
WHO = (contact(1), contact(2), sf_contact(1))
EMAILS = {contact(1): "a@x.example", contact(2): "b@y.example", sf_contact(1): "a@x.example"}


@dataclass(frozen=True, slots=True)
class Edit:
    """Somebody changes a record, or something happens to a person. ``hours`` after three in the afternoon, UTC."""

    what: str
    who: int = 0
    value: str | None = None
    hours: int = 0


values = st.sampled_from(["VP", "CEO", None])
edits = st.one_of(
    st.builds(Edit, st.just("title"), st.integers(0, 2), values, st.integers(0, 13)),
    st.builds(Edit, st.just("employer"), st.integers(0, 2), st.sampled_from(["1", "2", None]), st.integers(0, 13)),
    st.builds(Edit, st.just("firm"), st.integers(1, 2), st.sampled_from(["10", "500"]), st.integers(0, 13)),
    st.builds(Edit, st.just("event"), st.integers(0, 2), st.sampled_from(["e1", "e2"]), st.integers(0, 13)),
    st.builds(Edit, st.just("unsaid"), st.integers(0, 2), st.sampled_from(["e1", "e2"]), st.integers(0, 13)),
    st.builds(Edit, st.just("gone"), st.integers(0, 2), st.none(), st.integers(0, 13)),
)


class Life:
    """Applies edits as a pull would, and remembers what each record says."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.titles: dict[int, str | None] = {}
        self.employers: dict[int, str | None] = {}
        self.counts: dict[str, int] = {}

    def begin(self, at: datetime) -> None:
        with self.store.write(durable=False) as tx:
            records.save_companies(tx, [firm(company(n), at=at) for n in (1, 2)], seen_at=at)
        for who in range(len(WHO)):
            self.say(who, at)
        with self.store.write(durable=False) as tx:
            people.resolve_touched(tx, at=at)

    def say(self, who: int, at: datetime, *, vanish: bool = False) -> None:
        employer = self.employers.get(who)
        facts = {"person.title": title} if (title := self.titles.get(who)) is not None else {}
        record: PersonRecord = gone(WHO[who], at=at)
        if not vanish:
            where = company(employer) if employer is not None else None
            record = person(WHO[who], EMAILS[WHO[who]], at=at, facts=facts, company=where, created_at=MONDAY)
        with self.store.write(durable=False) as tx:
            records.save_people(tx, [record], seen_at=at, ours={})

    def apply(self, edit: Edit, at: datetime) -> None:
        match edit.what:
            case "title":
                self.titles[edit.who] = edit.value
                self.say(edit.who, at)
            case "employer":
                self.employers[edit.who] = edit.value
                self.say(edit.who, at)
            case "gone":
                self.say(edit.who, at, vanish=True)
            case "firm":
                made: CompanyRecord = firm(company(edit.who), at=at, facts={"company.employees": edit.value})
                with self.store.write(durable=False) as tx:
                    records.save_companies(tx, [made], seen_at=at)
            case _:
                assert edit.value is not None
                self.counts[edit.value] = self.counts.get(edit.value, 0) + 1
                found: Engagement = did(
                    contact(1 + edit.who % 2),
                    edit.value,
                    at=MONDAY,
                    count=self.counts[edit.value],
                    deleted=edit.what == "unsaid",
                )
                with self.store.write(durable=False) as tx:
                    records.save_engagement(tx, [found], seen_at=at)


def known_now(store: Store) -> tuple[dict[str, Mapping[str, Any]], set[tuple[str, str, int]]]:
    """Facts by person, and (person, event, count), as a run would find them."""
    with store.read() as tx:
        ids = sorted(tx.execute(select(schema.person.c.person_id)).scalars())
        found = {id: gather(of, RULES) for id, of in people.load_sources(tx, ids, {}).items()}
        link, e = schema.link.c, schema.event.c
        joined = select(link.person_id, e.conn, e.source_id, e.count).join(
            schema.link, (link.object == e.object) & (link.id == e.id)
        )
        events = {
            (row.person_id, f"{row.conn}:{row.source_id}", row.count)
            for row in tx.execute(joined.where(e.deleted.is_(False)))
        }
    return {id: one.facts for id, one in found.items() if one is not None}, events


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(edits, max_size=4), min_size=1, max_size=4), st.integers(0, 1), st.sets(st.integers(1, 4)))
@example([[Edit("title", 0, "VP", 12)], [Edit("title", 2, "CEO", 1)], [], [Edit("gone", 0)]], 0, set())
@example([[Edit("title", 2, "CEO")], [Edit("title", 0, "VP")], [Edit("title", 0, "CFO")]], 0, {1})
@example([[Edit("event", 0, "e1", 1)], [Edit("event", 1, "e1", 1)], [Edit("unsaid", 1, "e1", 0)]], 1, set())
@example([[Edit("event", 0, "e1", 1)], [Edit("event", 1, "e1", 1)], [Edit("unsaid", 1, "e1", 0)]], 1, {1, 2})
def test_a_past_day_is_what_a_log_of_that_day_says(
    days: Sequence[Sequence[Edit]], late: int, refreshed: set[int]
) -> None:
    log: dict[date, Any] = {}
    with quick_folder() as folder:
        store = new_store(folder)
        try:
            life = Life(store)
            life.begin(MONDAY)
            log[MONDAY.astimezone(ZONE).date()] = known_now(store)
            last = MONDAY
            for number, edits_of_day in enumerate(days, 1):
                for n, edit in enumerate(sorted(edits_of_day, key=lambda e: e.hours)):
                    last = max(last, MONDAY + timedelta(days=number + late, hours=edit.hours, minutes=n))
                    life.apply(edit, last)
                    # Of a day only its end is kept: what comes later on it replaces what came before.
                    log[last.astimezone(ZONE).date()] = known_now(store)
                if number in refreshed:
                    refresh(store)
            compare(store, log)
        finally:
            store.close()


def compare(store: Store, log: Mapping[date, Any]) -> None:
    past = Past(store=store, rules=RULES, zone=ZONE)
    first, until = min(log), max(log) + timedelta(days=1)
    every = [first + timedelta(days=n) for n in range((until - first).days + 1)]
    with tempfile.TemporaryDirectory() as folder:
        buckets = past.write(Path(folder), since=first, until=until)
        written = [pq.read_table(file).to_pylist() for bucket in buckets for file in bucket.people]
        happened = [pq.read_table(file).to_pylist() for bucket in buckets for file in bucket.events]
    for day in every:
        facts, events = log[max(known for known in log if known <= day)]
        with store.read() as tx:
            pasts = people_pasts(tx, sorted(facts), RULES)
        told = {id: found.facts for id, one in pasts.items() if (found := gather(one.before(past.end(day)), RULES))}
        assert told == facts
        rows = {row["person_id"]: row for table in written for row in table if seen_on(row, day)}
        assert sum(seen_on(row, day) for table in written for row in table) == len(rows)
        assert {id: row["person.title"] for id, row in rows.items()} == {
            id: title.lower() if isinstance(title := of.get("person.title"), str) else None for id, of in facts.items()
        }
        assert {
            (row["person_id"], row["event_id"], row["count"])
            for table in happened
            for row in table
            if seen_on(row, day)
        } == events
        compare_one_by_one(past, day, facts, events)


def compare_one_by_one(past: Past, day: date, facts: Mapping[str, Any], events: set[tuple[str, str, int]]) -> None:
    """The same of each person alone, as explaining one past day asks for it."""
    found: set[tuple[str, str, int]] = set()
    for id, told in facts.items():
        with tempfile.TemporaryDirectory() as folder:
            known = past.known(id, past.end(day), Path(folder))
            assert known is not None
            assert known.facts.facts == told
            rows = pq.read_table(known.bucket.events[0]).to_pylist()
            assert len({row["event_id"] for row in rows}) == len(rows)
            found |= {(row["person_id"], row["event_id"], row["count"]) for row in rows}
    assert found == {event for event in events if event[0] in facts}


def refresh(store: Store) -> None:
    """The snapshot names the events of a person up to here; the rest is looked for in the table."""
    report = Snapshot.of(store).refresh(store, timezone=ZONE.key)
    with store.write(durable=False) as tx:
        people.settle_dirty(tx, report.dirty)


def seen_on(row: Mapping[str, Any], day: date) -> bool:
    return row[KNOWN_FROM] <= day and (row[KNOWN_UNTIL] is None or day < row[KNOWN_UNTIL])
