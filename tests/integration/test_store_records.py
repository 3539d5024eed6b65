"""Saving pages of people, companies, engagement and owners in a real SQLite file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.event import listen

from connectors.records import AccountInfo, Crm, Engagement, Owner, PersonRecord, RecordProblem, RecordRef
from sync.store import accounts, engagement, outbox, people, records, schema
from sync.store.db import Store, StoreError
from sync.store.refs import SaveCounts
from tests.support.made import (
    DAY,
    account,
    after,
    clicks,
    company,
    contact,
    did,
    firm,
    gone,
    lead,
    person,
    sf_contact,
    user,
)
from tests.support.stores import new_store

OURS = {"person.lifecycle_stage": "lifecyclestage"}


def save(store: Store, *found: PersonRecord, at: datetime = DAY) -> SaveCounts:
    with store.write() as tx:
        return records.save_people(tx, found, seen_at=at, ours=OURS)


def save_events(store: Store, *found: Engagement, at: datetime = DAY) -> SaveCounts:
    with store.write() as tx:
        return records.save_engagement(tx, found, seen_at=at)


def settle(store: Store) -> None:
    """Everybody resolved and decided: nobody is dirty."""
    with store.write() as tx:
        people.resolve_touched(tx, at=DAY)
        people.settle_dirty(tx, tx.execute(select(schema.person.c.person_id)).scalars().all())


def rows(store: Store, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    with store.read() as tx:
        picked = [table.c[c] for c in columns] if columns else list(table.c)
        return [tuple(row) for row in tx.execute(select(*picked).order_by(*table.primary_key.columns))]


def dirty(store: Store) -> list[str | None]:
    return [why for (why,) in rows(store, schema.person, "dirty")]


def row(store: Store, ref: RecordRef) -> Any:
    r = schema.record.c
    with store.read() as tx:
        return tx.execute(select(schema.record).where(r.conn == ref.crm, r.object == ref.object, r.id == ref.id)).one()


# -- people ------------------------------------------------------------------------------------------------------


def test_a_new_record_is_stored_whole_with_its_addresses(store: Store) -> None:
    full = person(
        contact(1),
        " Ana@Acme.COM",
        "ana@acme.com",
        "ana@home.org",
        facts={"person.title": "VP", "person.page_views": 3},
        current={"mql_status": None, "owner": "77"},
        owner="77",
        company=company(5),
        cross_refs=(lead(1),),
        counters=(clicks(2),),
        created_at=after(days=-3),
        problems=(RecordProblem(ref=contact(1), field="numberofemployees", reason="not a number"),),
    )
    counts = save(store, full)
    assert (counts.new, counts.rows, counts.problems) == (1, 1, list(full.problems))
    stored = row(store, contact(1))
    assert stored.emails == ["ana@acme.com", "ana@home.org"]
    assert stored.email_norm == "ana@acme.com"
    assert stored.facts == {"person.email": " Ana@Acme.COM", "person.title": "VP", "person.page_views": 3}
    assert stored.current == {"mql_status": None, "owner": "77"}
    assert (stored.owner, stored.company_id, stored.counters) == ("77", "5", {"clicks": 2})
    assert stored.cross_refs == [["salesforce", "lead", lead(1).id]]
    assert stored.problems == [["numberofemployees", "not a number"]]
    assert (stored.modified_at, stored.created_at, stored.seen_at) == (DAY, after(days=-3), DAY)
    assert stored.touched
    assert [e for (e,) in rows(store, schema.record_email, "email")] == ["ana@acme.com", "ana@home.org"]
    assert rows(store, schema.record_history) == []


def test_reading_a_page_again_changes_nothing(store: Store) -> None:
    page = [
        person(contact(n), f"p{n}@x.com", facts={"person.title": "VP"}, counters=(clicks(n, last=DAY),))
        for n in range(5)
    ]
    save(store, *page)
    settle(store)
    before = {table: rows(store, table) for table in schema.metadata.sorted_tables}
    counts = save(store, *page, at=after(hours=1))
    assert (counts.unchanged, counts.new, counts.changed, counts.events) == (5, 0, 0, 0)
    assert {table: rows(store, table) for table in schema.metadata.sorted_tables} == before


def test_when_a_record_was_first_read_stays_known(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    save(store, person(contact(1), "b@x.com", at=after(hours=1)), at=after(days=1))
    save(store, gone(contact(1), at=after(hours=2)), at=after(days=2))
    stored = row(store, contact(1))
    assert (stored.first_seen_at, stored.seen_at) == (DAY, after(days=2))


def test_an_older_version_than_the_stored_one_is_not_taken(store: Store) -> None:
    """A search index that lags shows yesterday's record after today's was read by id."""
    save(store, person(contact(1), "new@x.com", at=after(hours=1)))
    counts = save(store, person(contact(1), "old@x.com", at=DAY))
    assert (counts.older, counts.changed) == (1, 0)
    assert row(store, contact(1)).emails == ["new@x.com"]


def test_an_equal_stamp_with_other_values_is_taken(store: Store) -> None:
    save(store, person(contact(1), facts={"person.title": "VP"}))
    assert save(store, person(contact(1), facts={"person.title": "CEO"})).changed == 1
    assert row(store, contact(1)).facts["person.title"] == "CEO"


def test_a_record_named_twice_in_a_page_counts_by_its_newest_version(store: Store) -> None:
    counts = save(store, person(contact(1), "b@x.com", at=after(hours=1)), person(contact(1), "a@x.com"))
    assert counts.rows == 2
    assert row(store, contact(1)).emails == ["b@x.com"]


def test_moved_facts_make_the_person_dirty_and_a_line_of_history(store: Store) -> None:
    save(store, person(contact(1), "a@x.com", facts={"person.title": "VP", "person.city": "Rome"}, company=company(1)))
    settle(store)
    save(store, person(contact(1), "b@x.com", facts={"person.title": "CEO"}, at=after(hours=1)), at=after(hours=2))
    assert dirty(store) == ["facts"]
    assert rows(store, schema.record_history, "id", "seen_at", "changed", "old") == [
        (
            "1",
            after(hours=2),
            ["person.city", "person.email", "person.title", "emails", "company_id"],
            {
                "person.city": "Rome",
                "person.email": "a@x.com",
                "person.title": "VP",
                "emails": ["a@x.com"],
                "company_id": "1",
                "inputs_at": DAY.isoformat(),
            },
        )
    ]
    assert row(store, contact(1)).inputs_at == after(hours=1)


@pytest.mark.parametrize(
    "touch",
    [
        {"version": "another"},
        {"current": {"mql_score": "80"}},
        {"counters": (clicks(0),)},
        {"owner": "9", "facts": {"person.title": "VP", "person.owner": "9"}},
    ],
)
def test_stamps_written_values_counters_and_owners_are_no_scoring_inputs(store: Store, touch: dict[str, Any]) -> None:
    save(store, person(contact(1), facts={"person.title": "VP"}))
    before = row(store, contact(1))
    given = {"facts": {"person.title": "VP"}} | touch
    save(store, person(contact(1), at=after(hours=1), **given))
    stored = row(store, contact(1))
    assert stored.input_hash == before.input_hash
    assert stored.inputs_at == DAY
    assert stored.modified_at == after(hours=1)
    assert rows(store, schema.record_history) == []


def test_our_own_write_coming_back_makes_nobody_dirty(store: Store) -> None:
    save(store, person(contact(1), "a@x.com", current={"mql_score": None}))
    settle(store)
    with store.write() as tx:
        outbox.acknowledge(tx, {contact(1): {"mql_score": "80"}}, at=DAY)
    save(store, person(contact(1), "a@x.com", current={"mql_score": "80"}, at=after(hours=1)))
    assert dirty(store) == [None]
    assert row(store, contact(1)).current == {"mql_score": "80"}


def test_somebody_elses_edit_of_a_property_we_write_makes_the_person_dirty(store: Store) -> None:
    save(store, person(contact(1), "a@x.com", current={"mql_score": "80"}))
    settle(store)
    save(store, person(contact(1), "a@x.com", current={"mql_score": "1"}, at=after(hours=1)))
    assert dirty(store) == ["edited"]


def test_an_owner_set_by_anybody_makes_the_person_dirty_but_is_no_input(store: Store) -> None:
    save(store, person(contact(1), "a@x.com", owner="1"))
    settle(store)
    save(store, person(contact(1), "a@x.com", owner="2", at=after(hours=1)))
    assert dirty(store) == ["owner"]
    assert rows(store, schema.record_history) == []


# -- values of our own making ------------------------------------------------------------------------------------


def staged(stage: str, text: str, at: datetime, **more: Any) -> PersonRecord:
    return person(
        contact(1), "a@x.com", at=at, facts={"person.lifecycle_stage": stage} | more, current={"lifecyclestage": text}
    )


def test_a_value_acknowledged_as_ours_does_not_become_a_fact(store: Store) -> None:
    save(store, staged("lead", "lead", DAY))
    settle(store)
    with store.write() as tx:
        outbox.acknowledge(tx, {contact(1): {"lifecyclestage": "marketingqualifiedlead"}}, at=DAY)
    for hour in (1, 2):
        save(store, staged("mql", "marketingqualifiedlead", after(hours=hour)))
        stored = row(store, contact(1))
        assert stored.facts["person.lifecycle_stage"] == "lead"
        assert stored.current == {"lifecyclestage": "marketingqualifiedlead"}
    assert dirty(store) == [None]
    assert rows(store, schema.record_history) == []


def test_a_value_sent_without_an_answer_is_taken_for_ours(store: Store) -> None:
    save(store, staged("lead", "lead", DAY))
    with store.write() as tx:
        tx.execute(
            insert(schema.outbox).values(
                op_key="k",
                conn="hubspot",
                object="contact",
                id="1",
                person_id="p",
                fields={},
                base={},
                sent=[{"lifecyclestage": "marketingqualifiedlead"}],
                state="inflight",
                attempts=1,
                run_id="r",
            )
        )
    save(store, staged("mql", "marketingqualifiedlead", after(hours=1)))
    assert row(store, contact(1)).facts["person.lifecycle_stage"] == "lead"


def test_what_a_person_sets_afterwards_is_a_fact_again(store: Store) -> None:
    save(store, staged("lead", "lead", DAY))
    with store.write() as tx:
        outbox.acknowledge(tx, {contact(1): {"lifecyclestage": "marketingqualifiedlead"}}, at=DAY)
    save(store, staged("mql", "marketingqualifiedlead", after(hours=1)))
    save(store, staged("customer", "customer", after(hours=2)))
    assert row(store, contact(1)).facts["person.lifecycle_stage"] == "customer"


def test_other_facts_of_the_same_read_are_taken(store: Store) -> None:
    save(store, staged("lead", "lead", DAY))
    with store.write() as tx:
        outbox.acknowledge(tx, {contact(1): {"lifecyclestage": "marketingqualifiedlead"}}, at=DAY)
    save(store, staged("mql", "marketingqualifiedlead", after(hours=1), **{"person.title": "CEO"}))
    facts = row(store, contact(1)).facts
    assert (facts["person.lifecycle_stage"], facts["person.title"]) == ("lead", "CEO")


def test_a_fact_that_was_missing_before_our_write_stays_missing(store: Store) -> None:
    save(store, person(contact(1), "a@x.com", current={"lifecyclestage": None}))
    with store.write() as tx:
        outbox.acknowledge(tx, {contact(1): {"lifecyclestage": "marketingqualifiedlead"}}, at=DAY)
    save(store, staged("mql", "marketingqualifiedlead", after(hours=1)))
    assert "person.lifecycle_stage" not in row(store, contact(1)).facts


# -- problems ----------------------------------------------------------------------------------------------------


def test_a_problem_is_reported_when_it_is_new_and_kept_while_it_stands(store: Store) -> None:
    problem = RecordProblem(ref=contact(1), field="country", reason="no such country")
    assert save(store, person(contact(1), problems=(problem,))).problems == [problem]
    again = person(contact(1), facts={"person.title": "VP"}, at=after(hours=1), problems=(problem,))
    assert save(store, again).problems == []
    assert row(store, contact(1)).problems == [["country", "no such country"]]
    save(store, person(contact(1), at=after(hours=2)))
    assert row(store, contact(1)).problems == []


# -- counters ----------------------------------------------------------------------------------------------------


def events(store: Store) -> list[tuple[str, int, datetime]]:
    return [
        (source_id, count, at)
        for source_id, count, at, gone in rows(store, schema.event, "source_id", "count", "at", "deleted")
        if not gone
    ]


def counted(total: int, *, at: datetime, last: datetime | None = None, **more: Any) -> PersonRecord:
    return person(contact(1), "a@x.com", at=at, counters=(clicks(total, last=last, **more),))


def test_the_first_read_of_a_dated_counter_is_one_event_of_the_whole(store: Store) -> None:
    assert save(store, counted(7, at=DAY, last=after(days=-9))).events == 1
    assert events(store) == [("contact:1:clicks:7", 7, after(days=-9))]


@pytest.mark.parametrize(
    ("last", "more"), [(None, {}), (after(days=-9), {"count_first": False})], ids=["no last date", "first read ignored"]
)
def test_the_first_read_of_other_counters_is_no_event(
    store: Store, last: datetime | None, more: dict[str, Any]
) -> None:
    save(store, counted(7, at=DAY, last=last, **more))
    assert events(store) == []
    save(store, counted(9, at=after(hours=1), last=last, **more), at=after(hours=2))
    assert [(id, n) for id, n, _ in events(store)] == [("contact:1:clicks:9", 2)]


@pytest.mark.parametrize(
    ("last", "dated"),
    [
        (after(hours=3), after(hours=3)),
        (after(hours=-3), after(hours=5)),
        (after(hours=9), after(hours=5)),
        (after(hours=5, milliseconds=700), after(hours=5, milliseconds=700)),
        (None, after(hours=5)),
    ],
    ids=["between", "before the last read", "after this read", "within the clock's second", "no date"],
)
def test_growth_is_dated_between_the_reads_or_by_the_read(store: Store, last: datetime | None, dated: datetime) -> None:
    save(store, counted(7, at=DAY))
    save(store, counted(10, at=after(hours=4), last=last), at=after(hours=5))
    assert events(store) == [("contact:1:clicks:10", 3, dated)]


def test_a_counter_that_falls_is_no_event_and_grows_from_where_it_fell(store: Store) -> None:
    save(store, counted(7, at=DAY, last=DAY))
    save(store, counted(3, at=after(hours=1)), at=after(hours=1))
    save(store, counted(7, at=after(hours=2)), at=after(hours=2))
    found = events(store)
    assert [n for _, n, _ in found] == [7, 4]
    assert found[1][0].startswith("contact:1:clicks:7:")


def test_growth_makes_the_person_dirty_and_belongs_to_the_record(store: Store) -> None:
    save(store, counted(1, at=DAY))
    settle(store)
    save(store, counted(2, at=after(hours=1), attributes={"link": "x"}), at=after(hours=1))
    assert dirty(store) == ["engagement"]
    assert rows(store, schema.event, "object", "id", "address", "timed", "attributes") == [
        ("contact", "1", None, False, {"link": "x"})
    ]


def test_a_counters_midnight_is_not_taken_for_a_date(store: Store) -> None:
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    save(store, counted(1, at=DAY, last=midnight))
    assert events(store) == [("contact:1:clicks:1", 1, midnight + timedelta(microseconds=1))]


def test_after_a_merge_the_counter_begins_anew_without_an_event(store: Store) -> None:
    """The survivor's total holds both histories, and both are stored already."""
    save(store, counted(7, at=DAY, last=DAY), person(contact(2), counters=(clicks(5, last=DAY),)))
    merged = counted(12, at=after(hours=1), last=after(hours=1))
    save(store, PersonRecord(**{n: getattr(merged, n) for n in PersonRecord.__slots__} | {"absorbed": (contact(2),)}))
    assert [n for _, n, _ in events(store)] == [7, 5]
    grown = counted(13, at=after(hours=2), last=after(hours=2))
    save(store, PersonRecord(**{n: getattr(grown, n) for n in PersonRecord.__slots__} | {"absorbed": (contact(2),)}))
    assert [n for _, n, _ in events(store)] == [7, 5, 1]


def test_a_survivor_with_a_new_id_brings_no_event_of_what_is_stored(store: Store) -> None:
    save(store, counted(7, at=DAY, last=DAY))
    save(
        store,
        person(contact(3), at=after(hours=1), counters=(clicks(12, last=DAY),), absorbed=(contact(1), contact(2))),
    )
    assert [n for _, n, _ in events(store)] == [7]


def test_a_merge_from_before_the_first_load_is_a_first_read(store: Store) -> None:
    save(store, person(contact(3), counters=(clicks(12, last=DAY),), absorbed=(contact(1),)))
    assert [n for _, n, _ in events(store)] == [12]


# -- merges, deletes, conversions --------------------------------------------------------------------------------


def test_a_merged_record_vanishes_without_a_word_and_is_buried(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"), person(contact(2), "b@x.com", facts={"person.title": "VP"}))
    settle(store)
    save(store, person(contact(1), "a@x.com", "b@x.com", at=after(hours=1), absorbed=(contact(2),)))
    buried = row(store, contact(2))
    assert (buried.gone, buried.moved_to, buried.touched) == (True, "contact:1", True)
    assert buried.facts["person.title"] == "VP"
    assert rows(store, schema.alias, "object", "old_id", "new_object", "new_id", "reason") == [
        ("contact", "2", "contact", "1", "merged")
    ]
    assert rows(store, schema.record_email, "email", "id") == [("a@x.com", "1"), ("b@x.com", "1")]
    assert row(store, contact(1)).touched


def test_a_tombstone_keeps_what_was_known(store: Store) -> None:
    save(store, person(lead(1), "a@x.com", facts={"person.title": "VP"}))
    save(store, gone(lead(1), sf_contact(1), at=after(hours=1)))
    stored = row(store, lead(1))
    assert (stored.gone, stored.moved_to) == (True, f"contact:{sf_contact(1).id}")
    assert (stored.facts["person.title"], stored.emails) == ("VP", ["a@x.com"])
    assert rows(store, schema.record_email) == []
    assert rows(store, schema.record_history, "changed", "old") == [
        (["gone"], {"gone": False, "inputs_at": DAY.isoformat()})
    ]
    assert rows(store, schema.alias, "reason") == [("converted",)]


def test_a_deletion_is_news_even_with_an_older_stamp_and_a_restored_record_lives(store: Store) -> None:
    save(store, person(contact(1), "a@x.com", at=after(hours=1)))
    save(store, gone(contact(1), at=DAY))
    assert row(store, contact(1)).gone
    save(store, person(contact(1), "a@x.com", at=after(hours=2)))
    assert not row(store, contact(1)).gone
    assert rows(store, schema.record_email, "email") == [("a@x.com",)]


def test_a_lagging_index_does_not_bring_a_deleted_record_back(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    save(store, gone(contact(1), at=after(hours=2)))
    assert save(store, person(contact(1), "a@x.com", at=after(hours=1))).older == 1
    assert row(store, contact(1)).gone


def test_found_gone_outside_of_a_pull(store: Store) -> None:
    save(store, person(lead(1), "a@x.com"), person(contact(1), "b@x.com"))
    with store.write() as tx:
        assert records.mark_moved(tx, lead(1), sf_contact(1), reason="converted", at=DAY)
        assert records.mark_moved(tx, contact(1), None, reason="deleted", at=DAY)
        assert not records.mark_moved(tx, contact(9), None, reason="deleted", at=DAY)
    assert row(store, lead(1)).moved_to == f"contact:{sf_contact(1).id}"
    assert row(store, contact(1)).gone
    assert rows(store, schema.alias, "old_id", "new_id") == [(lead(1).id, sf_contact(1).id)]


# -- companies ---------------------------------------------------------------------------------------------------


def save_firms(store: Store, *found: Any) -> SaveCounts:
    with store.write() as tx:
        return records.save_companies(tx, found, seen_at=DAY)


def test_a_company_whose_facts_move_makes_its_people_dirty(store: Store) -> None:
    save_firms(store, firm(account(1), facts={"company.name": "A"}), firm(account(2)))
    save(store, person(lead(1), "a@x.com", company=account(1)), person(lead(2), "b@x.com", company=account(2)))
    settle(store)
    save_firms(store, firm(account(1), facts={"company.name": "B"}, at=after(hours=1)))
    with store.read() as tx:
        found = tx.execute(select(schema.person.c.dirty, schema.person.c.person_id)).all()
    assert sorted(why for why, _ in found if why) == ["company"]
    assert rows(store, schema.record_history, "object", "changed", "old") == [
        ("account", ["company.name"], {"company.name": "A", "inputs_at": DAY.isoformat()})
    ]


def test_a_count_alone_leaves_the_rest_of_the_company(store: Store) -> None:
    save_firms(store, firm(account(1), facts={"company.name": "A", "company.open_opportunities": 0}, owner="7"))
    save_firms(store, firm(account(1), facts={"company.open_opportunities": 2}, partial=True, at=after(hours=1)))
    stored = row(store, account(1))
    assert stored.facts == {"company.name": "A", "company.open_opportunities": 2}
    assert (stored.owner, stored.modified_at, stored.version) == ("7", DAY, DAY.isoformat())


def test_a_count_of_a_company_not_read_yet_waits_for_the_company(store: Store) -> None:
    save_firms(store, firm(account(1), facts={"company.open_opportunities": 2}, partial=True, at=after(hours=1)))
    save_firms(store, firm(account(1), facts={"company.name": "A", "company.open_opportunities": 2}))
    assert row(store, account(1)).facts == {"company.name": "A", "company.open_opportunities": 2}


# -- engagement --------------------------------------------------------------------------------------------------


def placed(store: Store) -> dict[str, tuple[str | None, str | None]]:
    return {sid: (id, address) for sid, id, address in rows(store, schema.event, "source_id", "id", "address")}


def test_an_event_belongs_to_its_record_and_reading_it_again_changes_nothing(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    assert save_events(store, did(contact(1), "e1"), did(contact(1), "e1")).rows == 2
    assert save_events(store, did(contact(1), "e1"), at=after(hours=1)).unchanged == 1
    assert placed(store) == {"e1": ("1", None)}
    assert rows(store, schema.event_history) == []


def test_a_corrected_event_replaces_the_old_one_which_is_kept_in_the_history(store: Store) -> None:
    save(store, person(contact(1)))
    save_events(store, did(contact(1), "e1", attributes={"path": "/a"}))
    ((first,),) = rows(store, schema.event, "seq")
    save_events(store, did(contact(1), "e1", attributes={"path": "/b"}), at=after(hours=1))
    assert rows(store, schema.event, "attributes") == [({"path": "/b"},)]
    ((second,),) = rows(store, schema.event, "seq")
    assert second > first
    ((body, seen, superseded),) = rows(store, schema.event_history, "body", "seen_at", "superseded_at")
    assert body["attributes"] == {"path": "/a"}
    assert (seen, superseded) == (DAY, after(hours=1))


def test_a_number_is_never_given_twice_even_after_the_last_event_was_replaced(store: Store) -> None:
    """The snapshot reads what has a greater number than the last it knows."""
    save(store, person(contact(1)))
    seen: list[int] = []
    for n in range(3):
        save_events(store, did(contact(1), "e1", count=n + 1))
        seen += [seq for (seq,) in rows(store, schema.event, "seq")]
    assert seen == sorted(set(seen))


def test_a_deleted_event_is_marked_and_one_never_seen_is_ignored(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    save_events(store, did(contact(1), "e1"))
    settle(store)
    save_events(store, did(contact(1), "e1", deleted=True), did(contact(1), "e2", deleted=True), at=after(hours=1))
    assert rows(store, schema.event, "source_id", "deleted") == [("e1", True)]
    assert dirty(store) == ["engagement"]
    assert save_events(store, did(contact(1), "e1", deleted=True)).unchanged == 1


@pytest.mark.parametrize(
    ("at", "stored", "timed"),
    [
        (datetime(2026, 3, 1, 5, tzinfo=UTC), datetime(2026, 3, 1, 5, tzinfo=UTC), True),
        (date(2026, 3, 1), datetime(2026, 3, 1, tzinfo=UTC), False),
    ],
)
def test_a_date_has_no_time_of_day(store: Store, at: date, stored: datetime, timed: bool) -> None:
    save_events(store, did(contact(1), "e1", at=at))
    assert rows(store, schema.event, "at", "timed") == [(stored, timed)]


def test_a_form_of_a_known_address_belongs_to_its_record_at_once(store: Store) -> None:
    save(store, person(contact(1), "a@x.com", "b@x.com"))
    save_events(store, did(" B@x.com", "f1", kind="form_submit"))
    assert placed(store) == {"f1": ("1", None)}


def test_a_form_waits_for_its_record_and_then_sticks_to_it(store: Store) -> None:
    save_events(store, did("A@x.com", "f1"))
    assert placed(store) == {"f1": (None, "a@x.com")}
    save(store, person(contact(1), "a@x.com"))
    assert placed(store) == {"f1": ("1", None)}
    save(store, person(contact(1), "other@x.com", at=after(hours=1)), person(contact(2), "a@x.com"))
    save_events(store, did("a@x.com", "f1"), at=after(hours=2))
    assert placed(store) == {"f1": ("1", None)}
    assert rows(store, schema.event_history) == []


def test_a_form_finds_its_record_when_the_address_is_added_later(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"))
    settle(store)
    save_events(store, did("b@x.com", "f1"))
    assert dirty(store) == [None]
    save(store, person(contact(1), "a@x.com", "b@x.com", at=after(hours=1)))
    assert placed(store) == {"f1": ("1", None)}


def test_a_form_prefers_a_record_of_its_own_crm(store: Store) -> None:
    save(store, person(sf_contact(1), "a@x.com"), person(contact(7), "a@x.com"), person(contact(5), "a@x.com"))
    save_events(store, did("a@x.com", "f1"))
    assert placed(store) == {"f1": ("5", None)}


def test_an_event_of_a_record_not_read_yet_waits_for_it(store: Store) -> None:
    save_events(store, did(lead(1), "t1"))
    assert placed(store) == {"t1": (None, str(lead(1)))}
    save(store, person(lead(1)))
    assert placed(store) == {"t1": (lead(1).id, None)}


def test_an_event_of_a_merged_record_belongs_to_the_survivor(store: Store) -> None:
    save_events(store, did(contact(1), "early"))
    save(store, person(contact(2), absorbed=(contact(1),)))
    save_events(store, did(contact(1), "late"))
    assert placed(store) == {"early": ("2", None), "late": ("2", None)}


def test_an_event_of_a_converted_lead_waits_for_its_contact(store: Store) -> None:
    """The first load can bring the lead and its tasks before the contact."""
    save(store, gone(lead(1), sf_contact(1)))
    save_events(store, did(lead(1), "t1"))
    assert placed(store) == {"t1": (None, str(lead(1)))}
    save(store, person(sf_contact(1)))
    assert placed(store) == {"t1": (sf_contact(1).id, None)}


def test_an_event_of_a_deleted_record_waits_until_the_record_is_restored(store: Store) -> None:
    save(store, gone(contact(1)))
    save_events(store, did(contact(1), "e1"))
    assert placed(store) == {"e1": (None, str(contact(1)))}
    save(store, person(contact(1), at=after(hours=1)))
    assert placed(store) == {"e1": ("1", None)}


def test_new_engagement_makes_the_person_dirty(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"), person(contact(2), "b@x.com"))
    settle(store)
    save_events(store, did(contact(1), "e1"))
    assert sorted(map(str, dirty(store))) == ["None", "engagement"]


def test_an_event_that_moves_to_another_record_makes_both_people_dirty(store: Store) -> None:
    save(store, person(contact(1), "a@x.com"), person(contact(2), "b@x.com"))
    save_events(store, did(contact(1), "e1"))
    settle(store)
    save_events(store, did(contact(2), "e1"))
    assert dirty(store) == ["engagement", "engagement"]
    assert placed(store) == {"e1": ("2", None)}


def test_the_same_id_of_two_crms_is_two_events(store: Store) -> None:
    save_events(store, did(contact(1), "1"), did(lead(1), "1"))
    assert len(rows(store, schema.event)) == 2


# -- owners ------------------------------------------------------------------------------------------------------


def save_owners(store: Store, *owners: Owner) -> SaveCounts:
    with store.write() as tx:
        return records.save_owners(tx, Crm.HUBSPOT, owners, seen_at=DAY)


def test_owners_are_kept_as_listed_and_who_vanishes_is_inactive(store: Store) -> None:
    ana, ben = user(Crm.HUBSPOT, "1", "Ana@x.com"), user(Crm.HUBSPOT, "2", "ben@x.com")
    assert save_owners(store, ana, ben).new == 2
    assert save_owners(store, ana, ben).unchanged == 2
    assert save_owners(store, ana).changed == 1
    with store.read() as tx:
        found = accounts.load_owners(tx)
    assert [(o.id, o.email, o.active) for o in found] == [("1", "ana@x.com", True), ("2", "ben@x.com", False)]
    assert save_owners(store, ana).changed == 0


def test_a_renamed_owner_makes_who_they_own_dirty(store: Store) -> None:
    with store.write() as tx:
        records.save_companies(tx, [firm(company(1), owner="1")], seen_at=DAY)
    save(store, person(contact(1), owner="1"), person(contact(2), company=company(1)), person(contact(3), owner="2"))
    save_owners(store, user(Crm.HUBSPOT, "1", "ana@x.com"), user(Crm.HUBSPOT, "2", "ben@x.com"))
    settle(store)
    save_owners(store, user(Crm.HUBSPOT, "1", "ana@married.com"), user(Crm.HUBSPOT, "2", "ben@x.com", active=False))
    assert sorted(map(str, dirty(store))) == ["None", "company", "owner"]


# -- accounts ----------------------------------------------------------------------------------------------------


def test_a_store_is_for_the_account_it_was_made_with(store: Store) -> None:
    mine = AccountInfo(crm=Crm.HUBSPOT, id="100", name="Acme", timezone="UTC")
    with store.write() as tx:
        accounts.pin_account(tx, mine, at=DAY)
        accounts.pin_account(tx, mine, at=DAY)
        assert accounts.pinned_accounts(tx) == {"hubspot": "100"}
        other = AccountInfo(crm=Crm.HUBSPOT, id="200", name="Beta", timezone="UTC")
        with pytest.raises(StoreError, match=r"account 100 \(Acme\), the credentials are for 200 \(Beta\)"):
            accounts.pin_account(tx, other, at=DAY)


# -- the same from whatever order --------------------------------------------------------------------------------


def digest(store: Store, tables: Sequence[Any]) -> dict[str, Any]:
    return {table.name: rows(store, table) for table in tables}


def test_the_same_pulls_on_an_empty_store_give_equal_rows(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        store = new_store(tmp_path, name)
        save_events(store, did("a@x.com", "f1"))
        save(store, person(contact(1), "a@x.com", counters=(clicks(3, last=DAY),)), person(contact(2), "b@x.com"))
        save(store, person(lead(1), "a@x.com"), person(sf_contact(1), "b@x.com"))
        settle(store)
        made.append(digest(store, schema.metadata.sorted_tables))
        store.close()
    assert made[0] == made[1]


def test_one_page_costs_a_fixed_number_of_statements(store: Store) -> None:
    """However many records: nothing is asked or written one by one."""
    save(store, *(person(contact(n), f"p{n}@x.com") for n in range(800)))
    settle(store)
    sent: list[str] = []
    listen(store.engine, "before_cursor_execute", lambda c, cur, sql, *rest: sent.append(sql))
    save(
        store, *(person(contact(n), f"p{n}@x.com", facts={"person.title": "VP"}, at=after(hours=1)) for n in range(800))
    )
    assert len(sent) <= 12
    with store.read() as tx:
        assert tx.execute(select(func.count()).where(schema.person.c.dirty == "facts")).scalar_one() == 800


def test_events_waiting_are_not_looked_for_when_there_are_none(store: Store) -> None:
    with store.read() as tx:
        assert not engagement.any_waiting(tx)
    save_events(store, did("a@x.com", "f1"))
    with store.read() as tx:
        assert engagement.any_waiting(tx)
