"""The Parquet snapshot: what it holds, how it grows, and that it is always what a rebuild would make."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from connectors.records import Crm, RecordRef
from scoring.facts import FactType, custom_fact
from scoring.tables import Bucket, events_schema, people_schema
from sync.resolve import person_id
from sync.store import people, records, schema, snapshot
from sync.store.db import Store
from sync.store.snapshot import Snapshot, SnapshotReport, bucket_of
from tests.support.made import DAY, account, after, contact, did, firm, gone, lead, person, sf_contact, user
from tests.support.stores import new_store


def save(store: Store, *found: Any, at: datetime = DAY) -> None:
    with store.write() as tx:
        records.save_people(tx, found, seen_at=at, ours={})


def happened(store: Store, *found: Any, at: datetime = DAY) -> None:
    with store.write() as tx:
        records.save_engagement(tx, found, seen_at=at)


def refresh(store: Store, *, resolve: bool = True, settle: bool = True, **more: Any) -> SnapshotReport:
    if resolve:
        with store.write() as tx:
            people.resolve_touched(tx, at=DAY)
    report = Snapshot.of(store).refresh(store, **({"timezone": "UTC"} | more))
    if settle:
        with store.write() as tx:
            people.settle_dirty(tx, report.dirty)
    return report


def newest(files: Iterator[Path] | tuple[Path, ...], key: str) -> list[dict[str, Any]]:
    """What scoring sees of some files: the greatest ``seq`` of each key, without what was taken back."""
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        for row in pq.read_table(file).to_pylist():
            if row[key] not in found or row["seq"] > found[row[key]]["seq"]:
                found[row[key]] = row
    return [row for _, row in sorted(found.items()) if not row.get("deleted")]


def seen(report: SnapshotReport) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(people, events) as scoring sees them, without the numbers that only order versions."""

    def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if k != "seq"} for row in rows]

    buckets = [report.files[b] for b in range(report.buckets)]
    return (
        plain([row for b in buckets for row in newest(b.people, "person_id")]),
        plain([row for b in buckets for row in newest(b.events, "event_id")]),
    )


def rebuilt(store: Store, **more: Any) -> SnapshotReport:
    shutil.rmtree(store.folder)
    return refresh(store, resolve=False, **more)


def files(report: SnapshotReport, kind: str) -> list[Path]:
    return [f for b in report.files.values() for f in getattr(b, kind)]


# -- what it holds -----------------------------------------------------------------------------------------------


def test_an_empty_store_has_an_empty_snapshot(store: Store) -> None:
    report = refresh(store)
    assert report.buckets == 1
    assert seen(report) == ([], [])
    assert report.dirty == frozenset()


def test_it_holds_every_person_and_every_event(store: Store) -> None:
    with store.write() as tx:
        records.save_owners(tx, Crm.SALESFORCE, [user(Crm.SALESFORCE, "5", "ana@x.com")], seen_at=DAY)
        records.save_companies(tx, [firm(account(1), facts={"company.name": "Acme"})], seen_at=DAY)
    save(store, person(contact(1), "a@x.com", facts={"person.title": "VP", "person.first_name": "Ana"}))
    save(store, person(sf_contact(1), "a@x.com", company=account(1), facts={"person.owner": "5"}))
    happened(
        store,
        did(
            contact(1), "1", at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC), attributes={"path": "https://x.com/Pricing/"}
        ),
        did(sf_contact(1), "2", at=date(2026, 3, 1), kind="call", attributes={"minutes": 3}),
        did(lead(9), "3"),
    )
    report = refresh(store, timezone="Europe/Berlin")
    me = person_id(contact(1))
    (row,), events = seen(report)
    assert (row["person_id"], row["person.title"], row["company.name"], row["person.owner"]) == (
        me,
        "vp",
        "acme",
        "ana@x.com",
    )
    assert [(e["person_id"], e["event_id"], e["day"], e["timed"], e["path"], e["minutes"]) for e in events] == [
        (me, "hubspot:1", date(2026, 3, 2), True, "/pricing", None),
        (me, "salesforce:2", date(2026, 3, 1), False, None, 3_000_000),
    ]
    for file in files(report, "people"):
        assert pq.read_schema(file).equals(people_schema())
    for file in files(report, "events"):
        assert pq.read_schema(file).equals(events_schema())
    assert report.dirty == {me}
    assert report.dirty_in(0) == {me}
    assert report.facts([me, "nobody"]) == {me: row | {"seq": 1}}
    with store.read() as tx:
        assert tx.execute(select(schema.person.c.email, schema.person.c.name)).one() == ("a@x.com", "Ana")


def test_a_counters_day_is_local_and_its_time_of_day_is_not_to_be_used(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    with store.write() as tx:
        body = {"conn": "hubspot", "object": "contact", "id": "1", "kind": "page_view", "count": 3, "attributes": {}}
        for n, at in enumerate([datetime(2026, 3, 1, 23, 30, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)]):
            more = {"source_id": str(n), "at": at, "timed": False, "deleted": False, "seen_at": DAY}
            tx.execute(schema.event.insert(), body | more)
    _, events = seen(refresh(store, timezone="Europe/Berlin"))
    assert [(e["day"], e["timed"]) for e in events] == [(date(2026, 3, 2), False), (date(2026, 3, 1), False)]


def test_unreadable_values_are_reported(store: Store) -> None:
    save(store, person(contact(1), facts={"company.employees": "many"}))
    report = refresh(store)
    assert [(p.ref, p.fact, p.reason) for p in report.problems] == [(contact(1), "company.employees", "not a number")]
    assert refresh(store).problems == ()


# -- how it grows ------------------------------------------------------------------------------------------------


def test_a_quiet_refresh_writes_no_file(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    happened(store, did(contact(1), "1"))
    before = refresh(store)
    again = refresh(store)
    assert again.files == before.files
    assert (again.gathered, again.rebuilt, again.dirty) == (0, False, frozenset())


def test_what_changed_is_appended_and_only_who_is_dirty_is_gathered(store: Store) -> None:
    save(store, *(person(contact(n), f"p{n}@x.com") for n in range(5)))
    happened(store, did(contact(0), "1"))
    first = refresh(store)
    save(store, person(contact(2), "p2@x.com", facts={"person.title": "VP"}, at=after(hours=1)))
    happened(store, did(contact(3), "2"), did(contact(0), "1", count=5))
    report = refresh(store)
    assert report.gathered == 3
    assert report.dirty == {person_id(contact(n)) for n in (0, 2, 3)}
    assert set(files(first, "people")) < set(files(report, "people"))
    assert len(files(report, "events")) == 2
    assert seen(report) == seen(rebuilt(store))


def test_dirty_people_stay_dirty_until_they_are_decided(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    assert refresh(store, settle=False).dirty == refresh(store, settle=False).dirty == {person_id(contact(1))}
    refresh(store)
    assert refresh(store).dirty == frozenset()


def test_many_deltas_become_one_sorted_file(store: Store) -> None:
    save(store, *(person(contact(n), f"p{n}@x.com") for n in range(9)))
    report = refresh(store)
    for n in range(25):
        save(store, person(contact(n % 9), f"p{n % 9}@x.com", facts={"person.title": f"{n}"}, at=after(hours=n + 1)))
        happened(store, did(contact(n % 9), f"e{n % 7}", count=n + 1))
        report = refresh(store)
        assert len(files(report, "people")) <= 11
        assert len(files(report, "events")) <= 11
    assert seen(report) == seen(rebuilt(store))
    on_disk = {path.name for path in store.folder.iterdir()}
    report = refresh(store, resolve=False)
    assert on_disk == {path.name for kind in ("people", "events") for path in files(report, kind)}


def test_a_deleted_event_is_taken_back(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    happened(store, did(contact(1), "1"), did(contact(1), "2"))
    refresh(store)
    happened(store, did(contact(1), "1", deleted=True))
    report = refresh(store)
    assert [e["event_id"] for e in seen(report)[1]] == ["hubspot:2"]
    assert seen(report) == seen(rebuilt(store))


def test_an_event_that_moves_to_another_person_leaves_the_first(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"), person(contact(2), "b@x.com"))
    happened(store, did(contact(1), "1"))
    refresh(store)
    happened(store, did(contact(2), "1"))
    report = refresh(store)
    assert [(e["person_id"], e["event_id"]) for e in seen(report)[1]] == [(person_id(contact(2)), "hubspot:1")]
    assert seen(report) == seen(rebuilt(store))


def test_a_merged_persons_engagement_goes_over_to_the_survivor(store: Store) -> None:
    save(store, person(sf_contact(1), "c@x.com"), person(contact(1), "h@x.com"))
    happened(store, did(sf_contact(1), "old"), did(contact(1), "own"))
    refresh(store)
    save(store, person(contact(1), "h@x.com", "c@x.com", at=after(hours=1)))
    happened(store, did(sf_contact(1), "new"))
    report = refresh(store)
    survivor = person_id(contact(1))
    found, events = seen(report)
    assert [row["person_id"] for row in found] == [survivor]
    assert {(e["person_id"], e["event_id"]) for e in events} == {
        (survivor, f"{name}") for name in ("salesforce:old", "hubspot:own", "salesforce:new")
    }
    with store.read() as tx:
        assert tx.execute(select(schema.merged_person)).all() == []
    assert seen(report) == seen(rebuilt(store))


def test_a_person_without_a_live_record_leaves_and_comes_back(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"), person(contact(2), "b@x.com"))
    happened(store, did(contact(1), "1"))
    refresh(store)
    save(store, gone(contact(1), at=after(hours=1)))
    report = refresh(store)
    assert [row["person_id"] for row in seen(report)[0]] == [person_id(contact(2))]
    assert report.dirty == {person_id(contact(1))}
    assert seen(report) == seen(rebuilt(store))
    save(store, person(contact(1), "a@x.com", at=after(hours=2)))
    report = refresh(store)
    assert {row["person_id"] for row in seen(report)[0]} == {person_id(contact(n)) for n in (1, 2)}
    assert [e["event_id"] for e in seen(report)[1]] == ["hubspot:1"]


def test_an_event_that_waited_for_its_record_arrives_with_it(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    happened(store, did("b@x.com", "f"), did(lead(1), "t"))
    assert seen(refresh(store))[1] == []
    save(store, person(contact(1), "a@x.com", "b@x.com", at=after(hours=1)), person(lead(1), "a@x.com"))
    report = refresh(store)
    assert {e["event_id"] for e in seen(report)[1]} == {"hubspot:f", "salesforce:t"}


# -- when it is made anew ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"timezone": "Asia/Tokyo"},
        {"prefer": {"default": "newest"}},
        {"seniority": (("director", ("boss",)),)},
        {"custom": {"person.custom.x": custom_fact("person.custom.x", FactType.NUMBER)}},
        {"free_mail": frozenset({"x.com"})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_it_was_made_with_makes_it_anew_when_it_changes(store: Store, change: dict[str, Any]) -> None:
    save(store, person(contact(1), "a@x.com", facts={"person.custom.x": "5", "person.title": "boss"}))
    refresh(store)
    assert not refresh(store).rebuilt
    report = refresh(store, **change)
    assert report.rebuilt
    assert not refresh(store, **change).rebuilt
    assert report.dirty == frozenset()


def test_a_lost_file_makes_it_anew(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    before = refresh(store)
    files(before, "events")[0].unlink()
    report = refresh(store)
    assert report.rebuilt
    assert seen(report)[0] != []


def test_files_that_a_crash_left_are_removed_and_others_are_not_touched(store: Store) -> None:
    refresh(store)
    left = [store.folder / name for name in ("people-00-99999999d.parquet", "events-07-1s.parquet", "x.parquet.tmp")]
    others = [store.folder / "cards" / "a.parquet", store.folder / "notes.txt"]
    (store.folder / "cards").mkdir()
    for path in (*left, *others):
        path.write_bytes(b"")
    refresh(store)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)


def test_a_crash_before_the_manifest_leaves_the_old_snapshot(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store, person(contact(1), "a@x.com"))
    happened(store, did(contact(1), "1"))
    refresh(store)
    save(store, person(contact(1), "a@x.com", facts={"person.title": "VP"}, at=after(hours=1)))
    happened(store, did(contact(1), "2"))

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "_save_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            refresh(store)
    report = refresh(store)
    assert not report.rebuilt
    assert report.dirty == {person_id(contact(1))}
    assert seen(report) == seen(rebuilt(store))


def test_too_much_at_once_makes_it_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MOST_TAIL", 3)
    save(store, person(contact(1), "a@x.com"))
    refresh(store)
    happened(store, *(did(contact(1), f"e{n}") for n in range(4)))
    report = refresh(store)
    assert report.rebuilt
    assert len(seen(report)[1]) == 4


# -- many buckets ------------------------------------------------------------------------------------------------


def test_many_people_are_spread_over_buckets_by_the_range_of_their_ids(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SMALL", 10)
    monkeypatch.setattr(snapshot, "PEOPLE_BATCH", 7)
    monkeypatch.setattr(snapshot, "EVENT_BATCH", 11)
    save(store, *(person(contact(n), f"p{n}@x.com") for n in range(300)))
    happened(store, *(did(contact(n), f"e{n}") for n in range(0, 300, 2)))
    report = refresh(store)
    assert (report.buckets, sorted(report.files)) == (64, list(range(64)))
    for number, bucket in report.files.items():
        held = [row["person_id"] for row in newest(bucket.people, "person_id")]
        assert {bucket_of(id, 64) for id in held} <= {number}
        assert held == sorted(held)
        assert {e["person_id"] for e in newest(bucket.events, "event_id")} <= set(held)
        assert report.dirty_in(number) == set(held)
    assert sum(report.dirty_in(b) != set() for b in range(64)) > 50
    found, events = seen(report)
    assert (len(found), len(events)) == (300, 150)
    ids = [person_id(contact(n)) for n in range(5)]
    assert set(report.facts(ids)) == set(ids)
    assert sorted(id for some in report.by_bucket(ids).values() for id in some) == sorted(ids)


def test_every_text_has_one_bucket_and_buckets_are_in_order_of_the_ids() -> None:
    ids = sorted(["", "!", "2", "22", "zz", "a", "az", "~"] + [person_id(contact(n)) for n in range(500)])
    numbers = [bucket_of(id, 64) for id in ids]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(64))
    assert {bucket_of(id, 1) for id in ids} == {0}


# -- the law -----------------------------------------------------------------------------------------------------

REFS = [make(n) for make in (contact, sf_contact, lead) for n in (1, 2)]
REF = st.sampled_from(REFS)
WHO = st.one_of(REF, st.sampled_from(["a@x.com", "b@x.com"]))
STEP = st.one_of(
    st.tuples(
        st.just("person"),
        REF,
        st.lists(st.sampled_from(["a@x.com", "b@x.com", "c@x.com"]), max_size=2, unique=True),
        st.sampled_from(["VP", "CEO"]),
    ),
    st.tuples(st.just("gone"), REF, st.none() | REF),
    st.tuples(st.just("event"), WHO, st.sampled_from(["e1", "e2", "e3"]), st.integers(1, 2), st.booleans()),
    st.tuples(st.just("refresh")),
)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(STEP, max_size=25), buckets=st.sampled_from([1, 2]))
def test_growing_gives_what_making_it_anew_gives(
    steps: list[Any], buckets: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever happens to records and events in whatever order, and whenever the snapshot is refreshed."""
    store = new_store(tmp_path_factory.mktemp("law"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "SMALL", 1_000 if buckets == 1 else -1)
        patch.setattr(snapshot, "MANY", 2)
        patch.setattr(snapshot, "_STARTS", {1: ("",), 2: ("", "i")})
        patch.setattr(snapshot.os, "fsync", lambda handle: None)
        patch.setattr(snapshot, "MOST_DELTAS", 2)
        refresh(store)
        for hour, step in enumerate(steps):
            at = after(hours=hour)
            match step:
                case ("person", ref, emails, title):
                    save(store, person(ref, *emails, at=at, facts={"person.title": title}), at=at)
                case ("gone", ref, to):
                    moved = to if isinstance(to, RecordRef) and to != ref and to.crm is ref.crm else None
                    save(store, gone(ref, moved, at=at), at=at)
                case ("event", who, id, count, deleted):
                    happened(store, did(who, id, count=count, deleted=deleted), at=at)
                case _:
                    refresh(store)
        grown = refresh(store)
        assert grown.buckets == buckets
        assert not grown.rebuilt
        assert seen(grown) == seen(rebuilt(store))
    store.close()


def test_a_bucket_is_what_scoring_expects(store: Store) -> None:
    report = refresh(store)
    assert isinstance(report.files[0], Bucket)
    assert all(path.exists() for path in (*report.files[0].people, *report.files[0].events))


def test_a_form_of_an_address_that_only_the_other_crm_knows_counts_for_that_person(store: Store) -> None:
    """HubSpot's index can show a contact later than its form shows the submission: the lead carries it meanwhile."""
    save(store, person(lead(1), "a@x.com"))
    refresh(store)
    happened(store, did("a@x.com", "f1", kind="demo_request"))
    report = refresh(store, settle=False)
    assert report.dirty == {person_id(lead(1))}
    assert [(row["event_id"], row["person_id"]) for row in seen(report)[1]] == [("hubspot:f1", person_id(lead(1)))]
    save(store, person(contact(7), "a@x.com", at=after(minutes=1)))
    people_seen, [event] = seen(refresh(store))
    assert [row["person_id"] for row in people_seen] == [event["person_id"]]
    assert seen(rebuilt(store)) == (people_seen, [event])


def test_sorted_files_hold_everything_once_and_delta_files_are_told_apart(store: Store) -> None:
    """So scoring compares only what the delta files name too."""
    save(store, person(contact(1), "a@x.com"))
    happened(store, did(contact(1), "1"))
    assert set(files(refresh(store), "people") + files(refresh(store), "events")) == refresh(store).files[0].settled
    happened(store, did(contact(1), "2"))
    grown = refresh(store).files[0]
    assert set(grown.people + grown.events) - grown.settled == {grown.people[1], grown.events[1]}
