"""What `sync` may rely on, whatever the CRM."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from connectors.errors import ConnectorError, RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.port import Connector
from connectors.records import (
    Engagement,
    FieldKind,
    Found,
    Gone,
    Moved,
    OwnerKind,
    Patch,
    PersonRecord,
    RecordRef,
    Redirected,
    Rejected,
    Stream,
    StreamKind,
    TaskDraft,
    Unchanged,
    Unknown,
    Window,
    Written,
)
from connectors.sandbox import Fault, FaultKind

if TYPE_CHECKING:
    from tests.contract.conftest import ConnectorCase, ReadingCase


def settle(case: ReadingCase) -> None:
    """Let the CRM's clock pass what was done, so that a window up to now holds it."""
    case.sandbox.clock.move(timedelta(seconds=5))


def stream_of(connector: Connector, kind: StreamKind) -> Stream:
    return next(stream for stream in connector.streams() if stream.kind is kind)


def window(connector: Connector, *, hours: float | None = None) -> Window:
    connector.check()
    hi = connector.now()
    return Window(lo=None if hours is None else hi - timedelta(hours=hours), hi=hi)


def people(connector: Connector, *, hours: float | None = None) -> dict[str, PersonRecord]:
    """By id. ``hours`` None is a first load."""
    stream = stream_of(connector, StreamKind.PEOPLE)
    pages = list(connector.people(stream, window(connector, hours=hours), None))
    assert pages[-1].resume is None
    return {row.ref.id: row for page in pages for row in page.rows}


def ready(case: ConnectorCase) -> Connector:
    """A connector to an account that has the fields mqlsync writes."""
    connector = case.connector()
    connector.ensure_schema(case.wanted())
    return connector


def patch(case: ConnectorCase, ref: RecordRef, **values: str | None) -> Patch:
    return Patch(ref=ref, fields={case.names[name]: value for name, value in values.items()}, trace=f"t-{ref.id}")


def draft(case: ConnectorCase, person: RecordRef, owner: str, *, attempted: bool = False) -> TaskDraft:
    return TaskDraft(
        key="abcdefgh:1:task:1",
        person=person,
        owner=owner,
        subject="Call Ana & co",
        lines=("score 80 > 50", "asked for a <demo>"),
        due=date(2026, 12, 1),
        since=case.sandbox.clock.now() - timedelta(minutes=1),
        attempted=attempted,
    )


# -- the account ---------------------------------------------------------------------------------------------------


def test_check_names_the_account_alike_every_time(reading: ReadingCase) -> None:
    first, second = reading.connector().check(), reading.connector().check()
    assert first.crm is reading.crm
    assert first.id
    assert first.id == second.id


def test_the_clock_is_the_crms(case: ConnectorCase) -> None:
    case.sandbox.clock.move(timedelta(days=3))
    assert abs(case.connector().now() - case.sandbox.clock.now()) < timedelta(seconds=5)


def test_every_request_is_counted(case: ConnectorCase) -> None:
    connector = ready(case)
    people(connector)
    assert sum(connector.calls.values()) == sum(case.sandbox.calls[case.crm].values())


def test_fields_are_made_once(case: ConnectorCase) -> None:
    connector = case.connector()
    dry = connector.ensure_schema(case.wanted(), dry_run=True)
    assert len(case.sandbox.journal.writes()) == 0
    made = connector.ensure_schema(case.wanted())
    again = case.connector().ensure_schema(case.wanted())
    names = {want.name for want in case.wanted()}
    assert {c.what for c in dry if c.name in names} == {"created"}
    assert {c.what for c in made if c.name in names} == {"created"}
    assert {c.what for c in again} == {"present"}


def test_made_fields_are_described_as_asked(case: ConnectorCase) -> None:
    connector = ready(case)
    described = connector.describe(case.wanted()[0].object)
    for want in case.wanted():
        assert described[want.name].kind is want.kind
        assert described[want.name].writable
    assert set(described[case.names["status"]].options or ()) >= {"none", "mql", "sql"}


def test_a_field_of_another_type_stops_the_setup_with_its_name(case: ConnectorCase) -> None:
    ready(case)
    other = replace(case.wanted()[0], kind=FieldKind.PICKLIST, options=("a",))
    with pytest.raises(RunCannotContinue, match=other.name):
        case.connector().ensure_schema((other,))


def test_missing_options_are_added_and_the_others_kept(case: ConnectorCase) -> None:
    ready(case)
    status = replace(case.wanted()[2], options=("none", "mql", "recycled"))
    connector = case.connector()
    (change,) = [c for c in connector.ensure_schema((status,)) if c.name == status.name]
    assert change.what == "options added"
    assert set(connector.describe(status.object)[status.name].options or ()) == {"none", "mql", "sql", "recycled"}


# -- people --------------------------------------------------------------------------------------------------------


def test_a_first_load_reads_everybody_in_canonical_words(reading: ReadingCase) -> None:
    connector = reading.connector()
    ref = reading.person(email="Ana@Example.com", title="CTO", country="Deutschland")
    blank = reading.person()
    settle(reading)
    found = people(connector)
    assert set(found) >= {ref.id, blank.id}
    ana = found[ref.id]
    assert ana.ref == ref
    assert [address.lower() for address in ana.emails] == ["ana@example.com"]
    assert ana.facts["person.title"] == "CTO"
    assert ana.facts["person.country"] == "DE"
    assert str(ana.facts["person.created_at"]).endswith("Z")
    assert "person.title" not in found[blank.id].facts
    assert found[blank.id].emails == ()


def test_what_we_write_is_read_with_each_record(case: ConnectorCase) -> None:
    connector = ready(case)
    ref = case.person()
    connector.apply([patch(case, ref, score="42", status="mql")])
    settle(case)
    current = people(connector)[ref.id].current
    assert current[case.names["score"]] in ("42", "42.0")
    assert current[case.names["status"]] == "mql"
    assert current[case.names["grade"]] is None


def test_a_window_holds_what_changed_in_it_and_nothing_else(reading: ReadingCase) -> None:
    connector = reading.connector()
    old, edited = reading.person(title="a"), reading.person(title="b")
    settle(reading)
    people(connector)
    reading.sandbox.clock.move(timedelta(days=2))
    reading.edit(edited, title="c")
    settle(reading)
    found = people(connector, hours=1)
    assert edited.id in found
    assert old.id not in found
    assert found[edited.id].facts["person.title"] == "c"


def test_a_window_can_be_resumed_after_any_page(reading: ReadingCase) -> None:
    """Stopping after a page and going on from its resume point reads the same people once each."""
    connector = reading.connector()
    expected = {ref.id: ref for ref in (reading.person(title=str(n)) for n in range(430))}
    stream = stream_of(connector, StreamKind.PEOPLE)
    for hours in (None, 1):
        for ref in expected.values() if hours else ():
            reading.edit(ref, title="edited")
        settle(reading)
        span = window(connector, hours=hours)
        seen: list[str] = []
        resume: str | None = None
        for _ in range(50):
            page = next(iter(reading.connector().people(stream, span, resume)))
            seen += [row.ref.id for row in page.rows]
            resume = page.resume
            if resume is None:
                break
        assert resume is None
        assert set(expected) <= set(seen)
        assert len(seen) == len(set(seen))


def test_an_empty_window_costs_no_call_more_than_it_must(reading: ReadingCase) -> None:
    connector = reading.connector()
    reading.person()
    settle(reading)
    people(connector)
    reading.sandbox.clock.move(timedelta(days=2))
    stream, span = stream_of(connector, StreamKind.PEOPLE), window(connector, hours=1)
    for _ in connector.people(stream, span, None):
        pass  # whatever describes the object is asked here, and kept
    before = sum(connector.calls.values())
    pages = list(connector.people(stream, span, None))
    assert not [row for page in pages for row in page.rows]
    assert sum(connector.calls.values()) - before == reading.quiet_calls


def test_a_read_outlives_passing_trouble(case: ConnectorCase) -> None:
    connector = ready(case)
    ref = case.person()
    settle(case)
    span, stream = window(connector, hours=1), stream_of(connector, StreamKind.PEOPLE)
    for kind in (FaultKind.SERVER_ERROR, FaultKind.CUT_BEFORE, FaultKind.RATE_LIMITED, FaultKind.TRUNCATED):
        case.sandbox.faults.add(Fault(kind=kind, crm=case.crm, match=case.calls["query"], status=503))
        found = [row.ref.id for page in connector.people(stream, span, None) for row in page.rows]
        assert ref.id in found
    assert len(case.sandbox.faults.hits) == 4


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.SERVER_ERROR, RetryLater),
        (FaultKind.CUT_BEFORE, RetryLater),
        (FaultKind.RATE_LIMITED, (RetryLater, RunCannotContinue)),
        (FaultKind.HTML, UnexpectedAnswer),
        (FaultKind.TRUNCATED, UnexpectedAnswer),
        (FaultKind.EXPIRED_TOKEN, RunCannotContinue),
    ],
)
def test_a_read_that_never_succeeds_says_why(
    case: ConnectorCase, kind: FaultKind, error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    connector = ready(case)
    case.person()
    settle(case)
    span, stream = window(connector, hours=1), stream_of(connector, StreamKind.PEOPLE)
    case.sandbox.faults.add(Fault(kind=kind, crm=case.crm, match=case.calls["query"], status=502, times=None))
    with pytest.raises(error):
        list(connector.people(stream, span, None))


def test_a_merged_person_points_at_the_survivor(case: ConnectorCase) -> None:
    """From either side: the survivor names whom it absorbed, or the absorbed one names where it went."""
    connector = ready(case)
    one, two = case.person(email="a@example.com"), case.person(email="b@example.com")
    survivor = case.merge(one, two)
    settle(case)
    found = people(connector, hours=1)
    ids = {ref.id for ref in found[survivor.id].absorbed}
    moved = {row.ref.id for row in found.values() if row.moved_to == survivor}
    assert {two.id, one.id} - {survivor.id} <= ids | moved


def test_a_persons_company_is_named(case: ConnectorCase) -> None:
    connector = ready(case)
    person, company = case.person(), case.company("Acme")
    employer = case.employ(person, company)
    settle(case)
    assert people(connector)[person.id].company == employer


def test_companies_are_read(case: ConnectorCase) -> None:
    connector = ready(case)
    company = case.company("Acme")
    settle(case)
    stream = stream_of(connector, StreamKind.COMPANIES)
    for span in (window(connector), window(connector, hours=1)):
        pages = list(connector.companies(stream, span, None))
        assert pages[-1].resume is None
        rows = {row.ref: row for page in pages for row in page.rows}
        assert rows[company].facts["company.name"] == "Acme"


def test_a_deleted_person_is_missing_from_the_listing_of_ids(reading: ReadingCase) -> None:
    connector = reading.connector()
    stays = [reading.person(title=str(n)) for n in range(250)]
    deleted = reading.person()
    reading.delete(deleted)
    settle(reading)
    pages = list(connector.ids(stream_of(connector, StreamKind.PEOPLE), None))
    assert pages[-1].resume is None
    listed = {sighting.ref for page in pages for sighting in page.rows}
    assert listed >= set(stays)
    assert deleted not in listed


def test_somebody_merged_away_is_missing_from_the_listing_of_ids(case: ConnectorCase) -> None:
    connector = ready(case)
    one, two = case.person(email="a@example.com"), case.person(email="b@example.com")
    survivor = case.merge(one, two)
    settle(case)
    pages = connector.ids(stream_of(connector, StreamKind.PEOPLE), None)
    listed = {sighting.ref for page in pages for sighting in page.rows}
    assert {one, two, survivor} & listed == {survivor}


def test_people_are_fetched_whole_by_id(reading: ReadingCase) -> None:
    """As a window would give them; whoever is not there is left out, or comes as gone."""
    connector = reading.connector()
    ann, bob = reading.person(email="ann@example.com", title="CTO"), reading.person(title="CFO")
    deleted = reading.person()
    reading.delete(deleted)
    settle(reading)
    known = people(connector)
    fetched = connector.fetch(stream_of(connector, StreamKind.PEOPLE), [ann, deleted])
    assert fetched.resume is None
    live = {row.ref: row for row in fetched.rows if not row.gone}
    assert set(live) == {ann}
    found = live[ann]
    assert isinstance(found, PersonRecord)
    assert (found.facts, found.emails, found.version) == (
        known[ann.id].facts,
        known[ann.id].emails,
        known[ann.id].version,
    )
    assert bob.id in known


def test_a_converted_person_points_at_whom_they_became(case: ConnectorCase) -> None:
    connector = ready(case)
    person = case.person(email="ann@example.com")
    became = case.convert(person)
    settle(case)
    if became is None:
        assert case.crm.value == "hubspot"
        return
    pages = list(
        connector.people(
            Stream(crm=case.crm, kind=StreamKind.PEOPLE, name=person.object), window(connector, hours=1), None
        )
    )
    (row,) = [row for page in pages for row in page.rows if row.ref == person]
    assert (row.gone, row.moved_to) == (True, became)
    (outcome,) = connector.apply([patch(case, person, grade="A1")])
    assert isinstance(outcome, Redirected)
    assert outcome.to == became


def test_a_window_ends_at_its_upper_bound(case: ConnectorCase) -> None:
    """What changes after it belongs to the next one, however long the reading takes."""
    connector = ready(case)
    before = case.person(title="a")
    settle(case)
    span = window(connector, hours=1)
    case.sandbox.clock.move(timedelta(minutes=5))
    after = case.person(title="b")
    settle(case)
    stream = stream_of(connector, StreamKind.PEOPLE)
    read = {row.ref for page in connector.people(stream, span, None) for row in page.rows}
    assert before in read
    assert after not in read


# -- owners and engagement -----------------------------------------------------------------------------------------


def test_owners_are_users_who_may_have_left_and_queues(case: ConnectorCase) -> None:
    active, gone = case.owner("ana@acme.com"), case.owner("old@acme.com", active=False)
    queue = case.queue("Inbound")
    found = {owner.id: owner for owner in case.connector().owners()}
    assert found[active].active
    assert found[active].email == "ana@acme.com"
    assert not found[gone].active
    assert found[queue].kind is OwnerKind.QUEUE
    assert found[queue].name == "Inbound"
    assert found[active].kind is OwnerKind.USER


def engagements(connector: Connector, span: Window) -> Iterator[Engagement]:
    for stream in connector.streams():
        if stream.kind is StreamKind.ENGAGEMENT:
            pages = list(connector.engagement(stream, span, None))
            assert pages[-1].resume is None
            for page in pages:
                yield from page.rows


def test_an_activity_is_one_event_however_often_it_is_read(case: ConnectorCase) -> None:
    connector = ready(case)
    person = case.person(email="Ana@Example.com")
    case.engage(person, case.sandbox.clock.now())
    settle(case)
    first = list(engagements(connector, window(connector)))
    second = list(engagements(case.connector(), window(connector, hours=1)))
    assert len(first) == 1
    assert first == second
    assert first[0].who in (person, "ana@example.com")


def test_events_before_the_window_are_left_out(case: ConnectorCase) -> None:
    connector = ready(case)
    person = case.person(email="ana@example.com")
    case.engage(person, case.sandbox.clock.now())
    case.sandbox.clock.move(timedelta(days=2))
    assert list(engagements(connector, window(connector, hours=1))) == []


def test_an_activity_that_was_read_needs_no_second_reading(reading: ReadingCase) -> None:
    connector = reading.connector()
    person = reading.person(email="ana@example.com")
    reading.engage(person, reading.sandbox.clock.now())
    settle(reading)
    first = list(engagements(connector, window(connector)))
    assert [event.who in (person, "ana@example.com") for event in first] == [True]
    reading.engage(reading.person(email="bob@example.com"), reading.sandbox.clock.now())
    settle(reading)
    later = {event.source_id for event in engagements(connector, window(connector, hours=1))}
    assert len(later | {first[0].source_id}) == 2


# -- reading by id -------------------------------------------------------------------------------------------------


def test_reading_by_id_tells_found_moved_and_gone_apart(case: ConnectorCase) -> None:
    connector = ready(case)
    there, one, two, deleted = (case.person(title=title) for title in "abcd")
    survivor = case.merge(one, two)
    case.delete(deleted)
    refs = [there, two, deleted]
    found = connector.read(refs, [case.names["title"], case.names["grade"]])
    assert set(found) == set(refs)
    assert isinstance(found[there], Found)
    assert found[there].values == {case.names["title"]: "a", case.names["grade"]: None}
    assert isinstance(found[two], Moved)
    assert found[two].to == survivor
    assert isinstance(found[deleted], Gone)


def test_somebody_deleted_is_gone_by_id(reading: ReadingCase) -> None:
    connector = reading.connector()
    there, deleted = reading.person(title="a"), reading.person(title="b")
    reading.delete(deleted)
    found = connector.read([there, deleted], [reading.names["title"]])
    assert isinstance(found[there], Found)
    assert found[there].values == {reading.names["title"]: "a"}
    assert isinstance(found[deleted], Gone)


def test_any_number_of_records_is_read_by_id(reading: ReadingCase) -> None:
    connector = reading.connector()
    refs = [reading.person(title=str(n)) for n in range(connector.read_size + 20)]
    found = connector.read(refs, [reading.names["title"]])
    assert {ref: found[ref].values[reading.names["title"]] for ref in refs} == {r: str(n) for n, r in enumerate(refs)}  # type: ignore[union-attr]
    assert connector.read([], [reading.names["title"]]) == {}


# -- writing -------------------------------------------------------------------------------------------------------


def test_values_are_written_and_confirmed(case: ConnectorCase) -> None:
    connector = ready(case)
    refs = [case.person() for _ in range(3)]
    outcomes = connector.apply([patch(case, ref, score=str(n), grade="A1") for n, ref in enumerate(refs, start=1)])
    assert [type(outcome) for outcome in outcomes] == [Written] * 3
    assert [outcome.ref for outcome in outcomes] == refs
    assert [case.value(ref, "score") for ref in refs] == ["1", "2", "3"]
    assert connector.apply([]) == ()


def test_none_clears(case: ConnectorCase) -> None:
    connector = ready(case)
    ref = case.person()
    connector.apply([patch(case, ref, grade="A1", status="mql", score="5")])
    (outcome,) = connector.apply([patch(case, ref, grade=None, status=None, score=None)])
    assert isinstance(outcome, Written)
    assert [case.value(ref, name) for name in ("grade", "status", "score")] == [None, None, None]


def test_one_bad_value_harms_no_other_record(case: ConnectorCase) -> None:
    connector = ready(case)
    refs = [case.person() for _ in range(20)]
    patches = [patch(case, ref, status="no such option" if n == 13 else "mql") for n, ref in enumerate(refs)]
    outcomes = connector.apply(patches)
    bad = outcomes[13]
    assert isinstance(bad, Rejected)
    assert bad.ref == refs[13]
    assert not bad.retry
    assert bad.reason
    assert [type(o) for n, o in enumerate(outcomes) if n != 13] == [Written] * 19
    assert {case.value(ref, "status") for n, ref in enumerate(refs) if n != 13} == {"mql"}
    assert case.value(refs[13], "status") is None


@pytest.mark.parametrize("poison", ["a value", "a property"])
def test_a_poison_row_at_any_place_of_a_batch_is_parked_alone(case: ConnectorCase, poison: str) -> None:
    connector = ready(case)
    refs = [case.person() for _ in range(connector.batch_size)]
    # Every place is tried against the answers that say least, in test_poison_rows; here against the real words.
    for place in range(0, connector.batch_size, 7):
        patches = [patch(case, ref, score=str(place)) for ref in refs]
        field = case.names["status"] if poison == "a value" else "No_Such_Field__c"
        patches[place] = replace(patches[place], fields={field: "no such option"})
        outcomes = connector.apply(patches)
        assert [n for n, one in enumerate(outcomes) if not isinstance(one, Written)] == [place]
        refused = outcomes[place]
        assert isinstance(refused, Rejected)
        assert refused.ref == refs[place]
        assert not refused.retry
    scores = {case.value(ref, "score") for n, ref in enumerate(refs) if n != place}
    assert scores == {str(place)}


def test_outcomes_come_in_the_order_asked(case: ConnectorCase) -> None:
    connector = ready(case)
    refs = [case.person() for _ in range(12)]
    for ref in refs[3], refs[7]:
        case.delete(ref)
    asked = [*refs[6:], *reversed(refs[:6])]
    outcomes = connector.apply([patch(case, ref, grade="A1") for ref in asked])
    assert [outcome.ref for outcome in outcomes] == asked
    gone = {outcome.ref for outcome in outcomes if isinstance(outcome, Redirected)}
    assert gone == {refs[3], refs[7]}


def test_what_is_read_back_is_what_was_confirmed(case: ConnectorCase) -> None:
    connector = ready(case)
    ref = case.person()
    fields = {"score": "42", "grade": "B2", "status": "mql"}
    (outcome,) = connector.apply([patch(case, ref, **fields)])
    assert isinstance(outcome, Written)
    found = connector.read([ref], [case.names[name] for name in fields])[ref]
    assert isinstance(found, Found)
    held = {name: found.values[case.names[name]] for name in fields}
    assert held | {"score": str(int(float(held["score"] or 0)))} == fields
    for name, value in outcome.values.items():
        assert found.values.get(name, value) == value


def test_a_write_to_a_merged_or_deleted_person_is_redirected(case: ConnectorCase) -> None:
    connector = ready(case)
    fine, one, two, deleted = (case.person() for _ in range(4))
    survivor = case.merge(one, two)
    case.delete(deleted)
    outcomes = connector.apply([patch(case, ref, grade="A1") for ref in (two, fine, deleted)])
    assert isinstance(outcomes[0], Redirected)
    assert outcomes[0].to == survivor
    assert isinstance(outcomes[1], Written)
    assert isinstance(outcomes[2], Redirected)
    assert outcomes[2].to is None


@pytest.mark.parametrize(
    ("kind", "written"), [(FaultKind.CUT_AFTER, True), (FaultKind.TRUNCATED, True), (FaultKind.CUT_BEFORE, False)]
)
def test_a_write_without_an_answer_is_unknown_and_not_sent_again(
    case: ConnectorCase, kind: FaultKind, written: bool
) -> None:
    connector = ready(case)
    refs = [case.person() for _ in range(3)]
    before = len(case.sandbox.journal.writes())
    case.sandbox.faults.add(Fault(kind=kind, crm=case.crm, match=case.calls["update"]))
    outcomes = connector.apply([patch(case, ref, grade="A1") for ref in refs])
    assert [type(outcome) for outcome in outcomes] == [Written if case.asks else Unknown] * 3
    done = written or case.asks
    assert len(case.sandbox.journal.writes()) - before == (3 if done else 0)
    found = connector.read(refs, [case.names["grade"]])
    assert {found[ref].values[case.names["grade"]] for ref in refs} == {"A1" if done else None}  # type: ignore[union-attr]


def test_a_write_that_the_server_failed_at_is_unknown(case: ConnectorCase) -> None:
    connector = ready(case)
    ref = case.person()
    case.sandbox.faults.add(Fault(kind=FaultKind.SERVER_ERROR, crm=case.crm, match=case.calls["update"], status=502))
    (outcome,) = connector.apply([patch(case, ref, grade="A1")])
    assert isinstance(outcome, Written if case.asks else Unknown)


def test_a_write_refused_by_an_expired_token_is_sent_again_or_ends_the_run(case: ConnectorCase) -> None:
    """401: nothing was done. Where the token can be renewed the write is sent again, else a person has to act."""
    connector = ready(case)
    ref = case.person()
    case.sandbox.faults.add(Fault(kind=FaultKind.EXPIRED_TOKEN, crm=case.crm, match=case.calls["update"]))
    outcome: object
    try:
        (outcome,) = connector.apply([patch(case, ref, grade="A1")])
    except RunCannotContinue as error:
        outcome = error
    done = case.value(ref, "grade") == "A1"
    assert isinstance(outcome, Written) if done else isinstance(outcome, RunCannotContinue)


def test_a_partly_failed_batch_is_told_record_by_record(case: ConnectorCase) -> None:
    connector = ready(case)
    refs = [case.person() for _ in range(6)]
    case.sandbox.faults.add(
        Fault(kind=FaultKind.PARTIAL_BATCH, crm=case.crm, match=case.calls["update"], every=3, times=None)
    )
    outcomes = connector.apply([patch(case, ref, grade="A1") for ref in refs])
    for ref, outcome in zip(refs, outcomes, strict=True):
        assert outcome.ref == ref
        assert isinstance(outcome, Written) == (case.value(ref, "grade") == "A1")
        if isinstance(outcome, Rejected):
            assert outcome.retry


def test_writing_the_same_twice_changes_nothing_more(case: ConnectorCase) -> None:
    connector = ready(case)
    ref = case.person()
    changes = patch(case, ref, score="7", grade="A1", status="mql")
    connector.apply([changes])
    before = case.sandbox.digest(without=["*modif*", "*Modif*", "*Modstamp*"])
    (outcome,) = connector.apply([changes])
    assert isinstance(outcome, Written | Unchanged)
    assert case.sandbox.digest(without=["*modif*", "*Modif*", "*Modstamp*"]) == before


def test_an_owner_is_written_by_id(case: ConnectorCase) -> None:
    connector = ready(case)
    ref, owner = case.person(), case.owner("ana@acme.com")
    (outcome,) = connector.apply([patch(case, ref, owner=owner)])
    assert isinstance(outcome, Written)
    assert case.value(ref, "owner") == owner


# -- tasks ---------------------------------------------------------------------------------------------------------


def test_a_task_is_made_once(case: ConnectorCase) -> None:
    connector = ready(case)
    person, owner = case.person(email="ana@example.com"), case.owner("ana@acme.com")
    (made,) = connector.create_tasks([draft(case, person, owner)])
    (again,) = case.connector().create_tasks([draft(case, person, owner, attempted=True)])
    assert isinstance(made, Written)
    assert isinstance(again, Unchanged)
    (task,) = case.tasks()
    assert (made.id, again.id) == (task.id, task.id)
    assert (task.person, task.owner, task.due) == (person.id, owner, "2026-12-01")
    assert task.subject == "Call Ana & co"
    assert "80" in task.body
    assert connector.create_tasks([]) == ()


@pytest.mark.parametrize("kind", [FaultKind.CUT_AFTER, FaultKind.TRUNCATED, FaultKind.CUT_BEFORE])
def test_a_task_whose_answer_was_lost_is_not_made_twice(case: ConnectorCase, kind: FaultKind) -> None:
    connector = ready(case)
    person, owner = case.person(), case.owner("ana@acme.com")
    case.sandbox.faults.add(Fault(kind=kind, crm=case.crm, match=case.calls["create_task"]))
    (lost,) = connector.create_tasks([draft(case, person, owner)])
    assert isinstance(lost, Unknown)
    (settled,) = case.connector().create_tasks([draft(case, person, owner, attempted=True)])
    assert isinstance(settled, Written if kind is FaultKind.CUT_BEFORE else Unchanged)
    assert len(case.tasks()) == 1


def test_a_task_a_rep_has_deleted_does_not_come_back(case: ConnectorCase) -> None:
    connector = ready(case)
    person, owner = case.person(), case.owner("ana@acme.com")
    connector.create_tasks([draft(case, person, owner)])
    case.delete_task(case.tasks()[0].id)
    (outcome,) = connector.create_tasks([draft(case, person, owner, attempted=True)])
    assert isinstance(outcome, Unchanged)
    assert case.tasks() == []


def test_a_task_for_somebody_who_left_is_refused_and_the_others_made(case: ConnectorCase) -> None:
    connector = ready(case)
    people_, owner = [case.person() for _ in range(3)], case.owner("ana@acme.com")
    drafts = [replace(draft(case, who, owner), key=f"key{n}:1:task:1") for n, who in enumerate(people_)]
    drafts[1] = replace(drafts[1], owner=case.owner("old@acme.com", active=False))
    outcomes = connector.create_tasks(drafts)
    assert isinstance(outcomes[1], Rejected)
    assert [type(outcomes[0]), type(outcomes[2])] == [Written, Written]
    assert {task.person for task in case.tasks()} == {people_[0].id, people_[2].id}


# -- secrets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [k for k in FaultKind if k not in (FaultKind.SLOW, FaultKind.COMMIT_LATE)])
def test_no_secret_is_seen_in_what_a_connector_says(case: ConnectorCase, kind: FaultKind) -> None:
    """Neither in itself, nor in errors with their causes, nor in what it says of a record."""
    connector = ready(case)
    ref = case.person()
    settle(case)
    said = [repr(connector), repr(vars(connector)) if hasattr(connector, "__dict__") else ""]
    span, stream = window(connector, hours=1), stream_of(connector, StreamKind.PEOPLE)
    case.sandbox.faults.add(Fault(kind=kind, crm=case.crm, times=None))
    for ask in (
        lambda: list(connector.people(stream, span, None)),
        lambda: connector.apply([patch(case, ref, grade="A1")]),
        lambda: connector.check(),
        lambda: case.connector().check(),
    ):
        try:
            said.append(repr(ask()))
        except ConnectorError as error:
            said.append("".join(traceback.format_exception(error)))
    seen = [secret for secret in case.secrets if any(secret in text for text in said)]
    assert seen == []


def test_settings_do_not_show_their_secrets(case: ConnectorCase) -> None:
    connector = case.connector()
    found = [value for value in held_by(connector) if any(secret in repr(value) for secret in case.secrets)]
    assert found == []


def held_by(connector: Connector) -> Iterator[object]:
    """Whatever a connector holds that has a repr of its own making."""
    seen: set[int] = set()
    waiting: list[object] = [connector]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or not type(one).__module__.startswith("connectors."):
            continue
        seen.add(id(one))
        yield one
        names = [*getattr(one, "__dict__", {}), *getattr(type(one), "__slots__", ())]
        waiting += [getattr(one, name) for name in names if hasattr(one, name)]
