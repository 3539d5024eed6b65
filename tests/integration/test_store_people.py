"""Resolving in the database: clusters loaded, links and roles stored, people merged, facts loaded."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import event, insert, select

from connectors.records import Crm, PersonRecord, RecordRef
from sync.gather import GatherRules, gather
from sync.resolve import person_id
from sync.store import people, records, schema
from sync.store.db import Store
from sync.store.people import ResolveCounts
from sync.store.statements import upsert
from tests.support.made import DAY, account, after, contact, firm, gone, lead, person, sf_contact, user


def save(store: Store, *found: PersonRecord, at: datetime = DAY) -> None:
    with store.write() as tx:
        records.save_people(tx, found, seen_at=at, ours={})


def resolve(store: Store, *, at: datetime = DAY, batch: int = 2000) -> ResolveCounts:
    with store.write() as tx:
        return people.resolve_touched(tx, at=at, batch=batch)


def settle(store: Store) -> None:
    with store.write() as tx:
        people.settle_dirty(tx, tx.execute(select(schema.person.c.person_id)).scalars().all())


def links(store: Store) -> dict[RecordRef, tuple[str, str]]:
    with store.read() as tx:
        return {
            RecordRef(crm=Crm(r.conn), object=r.object, id=r.id): (r.person_id, r.role)
            for r in tx.execute(select(schema.link))
        }


def rows(store: Store, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    with store.read() as tx:
        picked = [table.c[c] for c in columns] if columns else list(table.c)
        return [tuple(row) for row in tx.execute(select(*picked).order_by(*table.primary_key.columns))]


def queue(store: Store, ref: RecordRef, state: str, person: str = "p") -> None:
    with store.write() as tx:
        tx.execute(
            insert(schema.outbox).values(
                op_key=f"{ref}:{state}",
                conn=ref.crm,
                object=ref.object,
                id=ref.id,
                person_id=person,
                fields={"a": "1"},
                base={},
                sent=[],
                state=state,
                attempts=0,
                run_id="r",
            )
        )


def open_episode(store: Store, person: str, n: int = 1, **more: Any) -> None:
    given: dict[str, Any] = {
        "opened_at": DAY,
        "line": "fit",
        "lines": [],
        "grade": "A1",
        "fit": 1,
        "engagement": 1,
        "total": 1,
        "policy_version": "v",
        "adopted": False,
        "run_id": "r",
    }
    with store.write() as tx:
        tx.execute(insert(schema.episode).values(person_id=person, n=n, **(given | more)))


def assign(store: Store, person: str, owner: str, *, n: int = 1, step: int = 1, **more: Any) -> None:
    given: dict[str, Any] = {"why": "pool", "trace": {}, "decided_at": DAY, "policy_version": "v"}
    with store.write() as tx:
        tx.execute(
            insert(schema.assignment).values(person_id=person, n=n, step=step, owner_key=owner, **(given | more))
        )


H1, H2, C1, C2, L1, L2 = contact(1), contact(2), sf_contact(1), sf_contact(2), lead(1), lead(2)


def test_new_records_become_people_who_are_new(store: Store) -> None:
    save(store, person(H1, "a@x.com"), person(L1, "a@x.com"), person(H2))
    counts = resolve(store)
    assert counts == ResolveCounts(records=3, people=2, new=2, without_email=1)
    me = person_id(H1)
    assert links(store) == {H1: (me, "target"), L1: (me, "target"), H2: (person_id(H2), "target")}
    assert sorted(rows(store, schema.person, "dirty", "ambiguous")) == [("new", False), ("new", False)]
    assert rows(store, schema.record, "touched") == [(False,)] * 3


def test_resolving_again_looks_at_nothing_and_changes_nothing(store: Store) -> None:
    save(store, person(H1, "a@x.com"), person(C1, "a@x.com"), person(L1, "a@x.com"))
    resolve(store)
    before = {t: rows(store, t) for t in schema.metadata.sorted_tables}
    assert resolve(store, at=after(hours=1)) == ResolveCounts()
    assert {t: rows(store, t) for t in schema.metadata.sorted_tables} == before


def test_looking_again_at_settled_clusters_changes_nothing(store: Store) -> None:
    save(store, person(H1, "a@x.com"), person(C1, "a@x.com"), person(L1, "a@x.com"), person(C2, "z@x.com"))
    resolve(store)
    settle(store)
    before = {t: rows(store, t) for t in schema.metadata.sorted_tables}
    with store.write() as tx:
        tx.execute(schema.record.update().values(touched=True))
    resolve(store, at=after(hours=1))
    assert {t: rows(store, t) for t in schema.metadata.sorted_tables} == before


@pytest.mark.parametrize("batch", [1, 2, 2000])
def test_clusters_do_not_depend_on_the_batch_or_on_who_was_touched(store: Store, batch: int) -> None:
    """A chain of addresses, a reference and a merge, with the far end read long before."""
    save(store, person(C1, "c@x.com"), person(contact(9), "z@x.com"))
    resolve(store)
    save(store, person(H1, "a@x.com", cross_refs=(L1,)), person(L1, "b@x.com"), person(L2, "b@x.com", "c@x.com"))
    save(store, person(contact(8), "c@x.com", absorbed=(contact(9),)), at=after(hours=1))
    resolve(store, batch=batch)
    assert {p for p, _ in links(store).values()} == {person_id(contact(9))}
    assert set(links(store)) == {H1, L1, L2, C1, contact(8), contact(9)}


def test_a_reference_read_before_the_record_it_names_ties_both(store: Store) -> None:
    save(store, person(H1, "a@x.com", cross_refs=(C1,)))
    resolve(store)
    save(store, person(C1, "other@x.com"))
    resolve(store)
    assert {p for p, _ in links(store).values()} == {person_id(H1)}


def test_duplicates_are_listed_while_they_stand(store: Store) -> None:
    save(store, person(C1, "a@x.com"), person(L1, "a@x.com"))
    assert resolve(store).shadows == 1
    listed = ("kind", "id", "theirs", "held", "settled_at")
    assert rows(store, schema.conflict, *listed) == [("duplicate", L1.id, str(C1), False, None)]
    save(store, gone(L1, at=after(hours=1)))
    resolve(store, at=after(hours=2))
    assert rows(store, schema.conflict, *listed) == [("duplicate", L1.id, str(C1), False, after(hours=2))]


def test_ambiguous_records_are_listed_with_all_ids_and_their_queued_writes_forgotten(store: Store) -> None:
    save(store, person(H1, "a@x.com"), person(L1, "a@x.com"))
    resolve(store)
    queue(store, H1, "pending")
    save(store, person(C1, "a@x.com"), person(C2, "a@x.com"))
    assert resolve(store).ambiguous == 1
    assert {role for _, role in links(store).values()} == {"ambiguous"}
    assert rows(store, schema.person, "ambiguous") == [(True,)]
    everyone = " ".join(map(str, (H1, C1, C2, L1)))
    found = rows(store, schema.conflict, "kind", "id", "theirs")
    assert sorted(found) == sorted(("ambiguous", r.id, everyone) for r in (H1, C1, C2, L1))
    assert rows(store, schema.outbox) == []


def test_conversion_moves_the_link_and_forgets_what_was_queued_for_the_lead(store: Store) -> None:
    save(store, person(L1, "a@x.com"))
    resolve(store)
    me = person_id(L1)
    queue(store, L1, "pending", me)
    save(store, gone(L1, C1, at=after(hours=1)), person(C1, "a@x.com", at=after(hours=1)))
    resolve(store)
    assert links(store) == {L1: (me, "gone"), C1: (me, "target")}
    assert rows(store, schema.outbox) == []


def test_a_row_in_flight_is_left_to_its_answer(store: Store) -> None:
    save(store, person(L1, "a@x.com"))
    resolve(store)
    queue(store, L1, "inflight")
    save(store, gone(L1, C1, at=after(hours=1)), person(C1, "a@x.com", at=after(hours=1)))
    resolve(store)
    assert rows(store, schema.outbox, "state") == [("inflight",)]


def test_a_conversion_seen_before_its_contact_waits_with_the_link(store: Store) -> None:
    save(store, person(L1, "a@x.com"))
    resolve(store)
    save(store, gone(L1, C1, at=after(hours=1)))
    resolve(store)
    assert links(store) == {L1: (person_id(L1), "gone")}
    save(store, person(C1, "new@x.com", at=after(hours=2)))
    resolve(store)
    assert links(store) == {L1: (person_id(L1), "gone"), C1: (person_id(L1), "target")}


def test_a_duplicate_gives_way_in_the_queue_when_a_contact_appears(store: Store) -> None:
    save(store, person(L1, "a@x.com"))
    resolve(store)
    queue(store, L1, "pending")
    save(store, person(C1, "a@x.com"))
    resolve(store)
    assert links(store)[L1][1] == "shadow"
    assert rows(store, schema.outbox) == []


# -- people who become one ---------------------------------------------------------------------------------------


def two_people(store: Store) -> tuple[str, str]:
    """A Salesforce Contact and a HubSpot contact that do not know of each other yet: (survivor, loser)."""
    save(store, person(C1, "c@x.com"), person(H1, "h@x.com"))
    resolve(store)
    settle(store)
    return person_id(H1), person_id(C1)


def meet(store: Store) -> None:
    save(store, person(H1, "h@x.com", "c@x.com", at=after(hours=1)))
    assert resolve(store, at=after(hours=2)).merged == 1


def test_the_loser_is_gone_and_the_survivor_dirty(store: Store) -> None:
    survivor, loser = two_people(store)
    meet(store)
    assert rows(store, schema.person, "person_id", "dirty") == [(survivor, "facts")]
    assert rows(store, schema.merged_person) == [(loser, survivor, after(hours=2))]
    assert rows(store, schema.audit, "who", "what", "body") == [
        ("resolve", "people merged", {"from": loser, "into": survivor, "episodes": "moved"})
    ]


def test_episodes_go_with_the_loser_when_the_survivor_has_none(store: Store) -> None:
    survivor, loser = two_people(store)
    open_episode(store, loser, task_key="t")
    assign(store, loser, "rep:ana@x.com")
    queue(store, C1, "pending", loser)
    with store.write() as tx:
        changed = {"status": "assigned", "status_since": DAY, "reason": "because"}
        tx.execute(schema.person.update().where(schema.person.c.person_id == loser).values(changed))
        upsert(
            tx,
            schema.decision,
            [{"person_id": loser, "run_id": "r", "as_of": DAY, "policy_version": "v", "body": {}}],
            ("person_id",),
        )
    meet(store)
    assert rows(store, schema.episode, "person_id", "n", "task_key", "closed_at") == [(survivor, 1, "t", None)]
    assert rows(store, schema.assignment, "person_id", "owner_key") == [(survivor, "rep:ana@x.com")]
    assert rows(store, schema.person, "status", "status_since", "reason") == [("assigned", DAY, "because")]
    assert rows(store, schema.outbox, "person_id") == [(survivor,)]
    assert rows(store, schema.decision, "person_id") == [(survivor,)]


def test_episodes_stay_apart_when_both_have_some_and_the_open_one_closes(store: Store) -> None:
    survivor, loser = two_people(store)
    open_episode(store, survivor)
    open_episode(store, loser)
    meet(store)
    found = sorted(rows(store, schema.episode, "person_id", "closed_at", "outcome"))
    assert found == sorted([(survivor, None, None), (loser, after(hours=2), "merged")])


def test_merging_in_a_chain_points_to_the_last_survivor(store: Store) -> None:
    save(store, person(L1, "l@x.com"), person(C1, "c@x.com"), person(H1, "h@x.com"))
    resolve(store)
    save(store, person(C1, "c@x.com", "l@x.com", at=after(hours=1)))
    resolve(store)
    save(store, person(H1, "h@x.com", "c@x.com", at=after(hours=1)))
    resolve(store)
    found = dict(rows(store, schema.merged_person, "person_id", "into_id"))
    assert found == {person_id(L1): person_id(H1), person_id(C1): person_id(H1)}


# -- what is loaded for gathering --------------------------------------------------------------------------------


def facts_of(store: Store, id: str, **rules: Any) -> dict[str, Any]:
    with store.read() as tx:
        owners = people.load_owner_names(tx)
        sources = people.load_sources(tx, [id], owners)
    found = gather(sources[id], GatherRules(owners=owners, **rules))
    assert found is not None
    return dict(found.facts)


def test_records_companies_and_owners_come_together(store: Store) -> None:
    with store.write() as tx:
        records.save_owners(tx, Crm.SALESFORCE, [user(Crm.SALESFORCE, "005", "Ana@x.com")], seen_at=DAY)
        records.save_companies(
            tx, [firm(account(1), facts={"company.name": "Acme", "company.owner": "005"})], seen_at=DAY
        )
    save(store, person(H1, "a@x.com", facts={"person.title": "VP"}))
    save(store, person(C1, "a@x.com", company=account(1), facts={"person.owner": "005"}))
    resolve(store)
    facts = facts_of(store, person_id(H1))
    assert facts["person.title"] == "VP"
    assert facts["company.name"] == "Acme"
    assert facts["person.owner"] == facts["company.owner"] == "ana@x.com"


def test_a_merged_company_answers_with_the_one_it_went_into(store: Store) -> None:
    with store.write() as tx:
        records.save_companies(tx, [firm(account(1)), firm(account(2), facts={"company.name": "New"})], seen_at=DAY)
        records.save_companies(tx, [firm(account(1), gone=True, moved_to=account(2), at=after(hours=1))], seen_at=DAY)
    save(store, person(C1, "a@x.com", company=account(1)))
    resolve(store)
    assert facts_of(store, person_id(C1))["company.name"] == "New"


def test_last_owner_and_last_assignment_come_from_what_was_decided(store: Store) -> None:
    save(store, person(H1, "a@x.com"))
    resolve(store)
    me = person_id(H1)
    for n, (owner, closed) in enumerate([("rep:ana@x.com", DAY), ("user:hubspot:77", DAY), ("rep:new@x.com", None)], 1):
        open_episode(store, me, n, closed_at=closed)
        assign(store, me, owner, n=n, decided_at=after(days=n))
    assign(store, me, "rep:other@x.com", n=3, step=2, decided_at=after(days=9), why="adopted")
    facts = facts_of(store, me)
    assert facts["person.last_owner"] == "77"
    assert facts["person.last_assigned_at"] == after(days=3)


def test_settling_clears_only_those_named(store: Store) -> None:
    save(store, person(H1, "a@x.com"), person(H2, "b@x.com"))
    resolve(store)
    with store.write() as tx:
        assert people.any_touched(tx)
        people.settle_dirty(tx, [person_id(H1)])
    assert dict(rows(store, schema.person, "person_id", "dirty")) == {person_id(H1): None, person_id(H2): "new"}
    settle(store)
    with store.read() as tx:
        assert not people.any_touched(tx)


def test_resolving_costs_statements_by_the_batch_not_by_the_record(store: Store) -> None:
    save(store, *(person(contact(n), f"p{n}@x.com") for n in range(400)))
    sent: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda c, cur, sql, *rest: sent.append(sql))
    resolve(store)
    assert len(sent) < 40
