"""What sales and a marketer say, on its way from records to the decision, in a real SQLite file."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from connectors.records import Crm, PersonRecord, RecordProblem
from scoring.episodes import Sales, SalesState, Verdict
from sync.mapping import ReviewAnswer
from sync.mapping import SalesState as Rule
from sync.sales import Hearing
from sync.store import decisions, outbox, people, records, reviews, schema
from sync.store.db import Store
from sync.store.problems import known_problems, note_problems, untold_doubts
from sync.store.refs import SaveCounts
from tests.support.made import DAY, after, contact, gone, lead, person, sf_contact

STATUS = Rule(property="Status", values={"Working": "working", "Closed": "rejected"}, reason="why")
REVIEW = ReviewAnswer(property="mql_review", approve=("approved",), reject=("rejected",))
HEARING = Hearing(sales=STATUS, review=REVIEW)
RULES = {Crm.HUBSPOT: REVIEW, Crm.SALESFORCE: REVIEW}
ANA = "ana@acme.example"


def save(store: Store, *found: PersonRecord, hearing: Hearing = HEARING) -> SaveCounts:
    with store.write() as tx:
        return records.save_people(tx, found, seen_at=max(one.modified_at for one in found), ours={}, hearing=hearing)


def settle(store: Store) -> None:
    """Everybody resolved, heard and decided: nobody is dirty."""
    with store.write() as tx:
        people.resolve_touched(tx, at=DAY)
        reviews.tell_answers(tx, RULES)
        people.settle_dirty(tx, tx.execute(select(schema.person.c.person_id)).scalars().all())


def tell(store: Store) -> int:
    with store.write() as tx:
        return reviews.tell_answers(tx, RULES)


def only_person(store: Store) -> decisions.PersonState:
    with store.read() as tx:
        ids = list(tx.execute(select(schema.person.c.person_id)).scalars())
        assert len(ids) == 1
        return decisions.load_people(tx, ids)[ids[0]]


def rows(store: Store, table: Any) -> list[Any]:
    with store.read() as tx:
        return list(tx.execute(select(table)).all())


def history(store: Store) -> list[tuple[Any, ...]]:
    return [(row.input_hash, row.facts) for row in rows(store, schema.record)] + rows(store, schema.record_history)


# -- sales -------------------------------------------------------------------------------------------------------


def test_a_word_found_at_the_first_read_has_the_time_of_the_record(store):
    save(store, person(lead(1), ANA, heard={"Status": "working", "why": None}))
    settle(store)
    assert only_person(store).sales == Sales(state=SalesState.WORKING, at=DAY)


def test_a_word_that_moves_makes_dirty_and_is_no_scoring_input(store):
    save(store, person(lead(1), ANA, heard={"Status": None}))
    settle(store)
    before = history(store)
    save(store, person(lead(1), ANA, at=after(hours=1), heard={"Status": "Closed", "why": "Not ready"}))
    state = only_person(store)
    assert state.dirty == "sales"
    assert state.sales == Sales(state=SalesState.REJECTED, at=after(hours=1), reason="Not ready")
    assert history(store) == before


def test_a_record_that_moves_otherwise_leaves_the_word_as_it_was(store):
    save(store, person(lead(1), ANA, heard={"Status": "Working"}))
    settle(store)
    save(store, person(lead(1), ANA, at=after(days=2), heard={"Status": "Working"}))
    assert only_person(store).sales == Sales(state=SalesState.WORKING, at=DAY)
    assert only_person(store).dirty is None


def test_a_value_that_says_nothing_clears_the_word(store):
    save(store, person(lead(1), ANA, heard={"Status": "Working"}))
    settle(store)
    save(store, person(lead(1), ANA, at=after(hours=1), heard={"Status": "Open"}))
    assert only_person(store).sales is None
    assert only_person(store).dirty == "sales"


def test_the_latest_word_of_either_crm_counts(store):
    save(store, person(lead(1), ANA, heard={"Status": "Working"}))
    save(store, person(contact(1), ANA, at=after(hours=1), heard={"Status": "Closed"}))
    settle(store)
    assert only_person(store).sales == Sales(state=SalesState.REJECTED, at=after(hours=1))
    save(store, person(contact(1), ANA, at=after(hours=2), heard={"Status": None}))
    assert only_person(store).sales == Sales(state=SalesState.WORKING, at=DAY)


def test_the_word_of_a_converted_lead_outlives_it_and_that_of_a_deleted_one_does_not(store):
    converted = Rule(property="Status", values={"Working": "working"}, sql_when={"IsConverted": ("true",)})
    hearing = Hearing(sales=converted)
    save(store, person(lead(1), ANA, heard={"Status": "Working"}), hearing=hearing)
    settle(store)
    told = {"Status": "Working", "IsConverted": "true"}
    moved = person(lead(1), ANA, at=after(hours=1), heard=told, gone=True, moved_to=sf_contact(1))
    save(store, moved, person(sf_contact(1), ANA, at=after(hours=1)), hearing=hearing)
    settle(store)
    assert only_person(store).sales == Sales(state=SalesState.SQL, at=after(hours=1))
    save(store, person(lead(2), ANA, at=after(hours=2), heard={"Status": "Working"}), hearing=hearing)
    save(store, gone(lead(2), at=after(hours=3)), hearing=hearing)
    settle(store)
    assert only_person(store).sales == Sales(state=SalesState.SQL, at=after(hours=1))


def test_a_renamed_value_is_told_once_however_many_records_have_it(store):
    hearing = Hearing(sales=STATUS, gone={"lead": ("Working",)})
    found = [person(lead(n), heard={"Status": "In touch"}) for n in range(3)]
    doubts = save(store, *found, hearing=hearing).doubts
    assert {doubt.field for doubt in doubts} == {"Status"}
    with store.write() as tx:
        known = known_problems(tx)
        told = note_problems(tx, untold_doubts(doubts, known), known, at=DAY)
    assert [type(one) for one in told] == [RecordProblem]
    with store.write() as tx:
        assert untold_doubts(doubts, known_problems(tx)) == []


# -- review ------------------------------------------------------------------------------------------------------


def answered(value: str | None, *, hours: float = 0, ref: Any = None) -> PersonRecord:
    heard = {"mql_review": value, "Status": None}
    return person(ref or contact(1), ANA, at=after(hours=hours), heard=heard, current={"mql_review": value})


def verdicts(store: Store) -> list[tuple[bool, str, Any]]:
    return [(row.approve, row.by, row.at) for row in rows(store, schema.verdict)]


def test_an_edit_is_one_verdict_however_often_it_is_read(store):
    save(store, answered(None))
    settle(store)
    save(store, answered(" Approved ", hours=1))
    assert tell(store) == 1
    for hours in (1, 1, 2, 3):
        save(store, answered("Approved", hours=hours))
        assert tell(store) == 0
    assert verdicts(store) == [(True, "hubspot: mql_review", after(hours=1))]
    assert only_person(store).dirty is not None
    assert only_person(store).verdict == Verdict(approve=True, at=after(hours=1), by="hubspot: mql_review")


def test_the_first_read_hears_an_answer_too(store):
    save(store, answered("rejected"))
    settle(store)
    assert verdicts(store) == [(False, "hubspot: mql_review", DAY)]


def test_another_answer_before_the_first_was_cleared_is_another_verdict(store):
    save(store, answered("approved"))
    settle(store)
    save(store, answered("rejected", hours=1))
    assert tell(store) == 1
    assert only_person(store).verdict == Verdict(approve=False, at=after(hours=1), by="hubspot: mql_review")


def test_a_value_that_is_no_answer_is_heard_as_none(store):
    save(store, answered("on holiday"))
    settle(store)
    assert verdicts(store) == []
    assert tell(store) == 0


@pytest.mark.parametrize("stamp", [after(hours=2), None], ids=["with its stamp", "without a stamp"])
def test_after_it_was_cleared_the_same_answer_is_a_new_one_but_an_older_version_is_not(store, stamp):
    """HubSpot's answer to a write has the record's stamp, Salesforce's has not."""
    save(store, answered("approved", hours=1))
    settle(store)
    with store.write() as tx:
        records.note_confirmed(tx, {contact(1): ({"mql_review": None}, stamp)})
    save(store, answered("approved", hours=1))
    assert tell(store) == 0
    save(store, answered("approved", hours=3))
    assert tell(store) == 1
    assert [at for _, _, at in verdicts(store)] == [after(hours=1), after(hours=3)]


def test_an_answer_that_a_read_before_sending_showed_is_still_heard_by_the_next_pull(store):
    save(store, answered("approved"))
    settle(store)
    with store.write() as tx:
        records.note_confirmed(tx, {contact(1): ({"mql_review": "rejected"}, None)})
    save(store, answered("rejected", hours=1))
    assert tell(store) == 1


def test_the_latest_verdict_counts_whoever_brought_it_later(store):
    save(store, answered(None))
    settle(store)
    said = Verdict(approve=False, at=after(hours=5), by="jo", why="a student")
    with store.write() as tx:
        reviews.say(tx, [only_person(store).person_id], said)
    save(store, answered("approved", hours=1))
    assert tell(store) == 1
    assert only_person(store).verdict == said


def test_a_verdict_follows_a_person_who_turns_out_to_be_another(store):
    save(store, answered("approved", ref=lead(1)))
    settle(store)
    with store.write() as tx:
        people.merge_people(tx, only_person(store).person_id, "survivor", at=DAY)
    assert [row.person_id for row in rows(store, schema.verdict)] == ["survivor"]


def test_what_is_cleared_is_the_answer_that_was_heard(store):
    save(store, answered("approved"))
    assert rows(store, schema.answer)[0].told is False
    settle(store)
    assert only_person(store).targets[0].answer == "approved"
    with store.write() as tx:
        records.note_confirmed(tx, {contact(1): ({"mql_review": None, "other": "x"}, after(hours=1))})
        assert outbox.counts(tx)["pending"] == 0
    assert only_person(store).targets[0].answer is None
