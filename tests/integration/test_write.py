"""Rows of the outbox meet a CRM whose every answer is scripted: what is sent, what is believed, what is parked."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from connectors.errors import OutcomeUnknown, RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.records import BulkWrites, Crm, FieldKind, FieldSchema, RecordRef
from scoring.policy import Result
from sync.plan import op_key
from sync.store import decisions, outbox, runs, schema
from sync.store.db import Store
from sync.store.outbox import RowState
from sync.store.runs import Holder, LeaseLost
from sync.write import MOST_ATTEMPTS
from tests.support.outbox_rows import Killed, Scene, ref_of
from tests.support.scripted import Act


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store=store)


# -- one record --------------------------------------------------------------------------------------------------


def test_a_first_send_sets_the_values_and_leaves_no_row(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None, score="3")
    scene.put(ref, status="mql", score="71")
    report = scene.write()
    assert scene.crm.values[ref] == {"status": "mql", "score": "71"}
    assert scene.acked(ref) == {"status": "mql", "score": "71"}
    assert scene.rows() == []
    assert (report.written, report.found_done, report.unanswered) == (1, 0, 0)


def test_what_stands_there_already_is_acknowledged_without_a_send(scene: Scene) -> None:
    ref = scene.crm.add("1", status="mql")
    scene.put(ref, {"status": None}, status="mql")
    report = scene.write()
    assert scene.crm.sends == []
    assert scene.acked(ref) == {"status": "mql"}
    assert (report.written, report.found_done) == (0, 1)


def test_only_what_differs_is_sent(scene: Scene) -> None:
    ref = scene.crm.add("1", status="mql", score="3")
    scene.put(ref, {"status": None, "score": "3"}, status="mql", score="71")
    scene.write()
    assert scene.crm.sends_to(ref) == [{"score": "71"}]
    assert scene.acked(ref) == {"status": "mql", "score": "71"}


def test_rows_that_people_do_not_edit_are_not_read_first(scene: Scene) -> None:
    ref = scene.crm.add("1", score="3")
    scene.put(ref, score="71")
    scene.write()
    assert scene.crm.reads == []


def test_a_second_run_has_nothing_to_do(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None)
    scene.put(ref, status="mql")
    scene.write()
    before = dict(scene.crm.calls)
    scene.write()
    assert dict(scene.crm.calls) == before


def test_batches_are_no_larger_than_the_connector_takes(scene: Scene) -> None:
    """The scripted CRM asserts the bound."""
    scene.crm.batch_size, scene.crm.read_size = 3, 7
    refs = [scene.crm.add(str(n), status=None) for n in range(20)]
    for ref in refs:
        scene.put(ref, status="mql")
    assert scene.write().written == 20
    assert all(scene.crm.values[ref]["status"] == "mql" for ref in refs)


@pytest.mark.parametrize(("rows", "sizes"), [(4, [3, 1]), (5, [5]), (8, [8]), (12, [8, 4]), (14, [8, 6])])
def test_many_rows_are_sent_in_one_go_where_the_connector_writes_in_bulk(
    scene: Scene, rows: int, sizes: list[int]
) -> None:
    """Five are many here, and eight the most; a batch as usual is three."""
    scene.crm.batch_size, scene.crm.read_size, scene.crm.bulk = 3, 2, BulkWrites(least=5, most=8)
    begun: list[int] = []
    scene.crm.before_apply = lambda: begun.append(len(scene.crm.sends))
    refs = [scene.crm.add(str(n), status=None) for n in range(rows)]
    for ref in refs:
        scene.put(ref, status="mql")
    assert scene.write().written == rows
    assert [after - before for before, after in pairwise([*begun, rows])] == sizes
    assert all(scene.crm.values[ref]["status"] == "mql" for ref in refs)


def test_every_object_gets_its_own_batches(scene: Scene) -> None:
    contact, lead = scene.crm.add("1", status=None), scene.crm.add("2", "lead", status=None)
    scene.put(contact, status="mql")
    scene.put(lead, status="mql")
    assert scene.write().written == 2


# -- refusals ----------------------------------------------------------------------------------------------------


def test_a_refused_record_is_parked_with_its_reason_and_the_others_go_on(scene: Scene) -> None:
    refs = [scene.crm.add(str(n), score="0") for n in range(5)]
    for ref in refs:
        scene.put(ref, score="71")
    scene.crm.script(refs[2], Act.REFUSE)
    report = scene.write()
    assert (report.written, report.rejected_new, report.rejected_known) == (4, 1, 0)
    [letter] = scene.letters()
    assert (letter.ref, letter.code, letter.reason, letter.field) == (refs[2], "INVALID", "not this value", "score")
    assert scene.acked(refs[2]) == {}


def test_a_parked_row_is_not_sent_again_while_nothing_changed(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0")
    scene.put(ref, score="71")
    scene.crm.script(ref, Act.REFUSE)
    scene.write()
    assert scene.put(ref, score="71") == 0
    report = scene.write()
    assert len(scene.crm.sends) == 1
    assert (report.rejected_new, report.rejected_known) == (0, 0)


@pytest.mark.parametrize("way", ["another release key", "a day later", "by hand", "other values"])
def test_a_parked_row_is_released_and_the_same_refusal_is_not_news(scene: Scene, way: str) -> None:
    ref = scene.crm.add("1", score="0")
    scene.put(ref, score="71")
    scene.crm.script(ref, Act.REFUSE, Act.REFUSE)
    assert scene.write().rejected_new == 1
    match way:
        case "another release key":
            scene.release = "r2"
        case "a day later":
            scene.clock.forward(days=1)
        case "by hand":
            [letter] = scene.letters()
            with scene.store.write() as tx:
                assert outbox.release_dead(tx, release=scene.release, now=scene.clock.now(), seqs=[letter.seq]) == 1
        case _:
            assert scene.put(ref, score="72") == 1
    report = scene.write()
    assert (report.rejected_new, report.rejected_known) == (0, 1)
    assert len(scene.crm.sends) == 2
    scene.release = "r3"
    assert scene.write().written == 1
    assert scene.rows() == []


def test_a_replaced_plan_of_a_released_row_does_not_make_its_refusal_new(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0")
    scene.put(ref, score="71")
    scene.crm.script(ref, Act.REFUSE, Act.REFUSE)
    scene.write()
    with scene.store.write() as tx:
        outbox.release_dead(tx, release="r2", now=scene.clock.now())
    scene.put(ref, score="72")
    report = scene.write()
    assert (report.rejected_new, report.rejected_known) == (0, 1)


def test_another_refusal_of_a_parked_row_is_news(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0", reason=None)
    scene.put(ref, score="71", reason="demo")
    scene.crm.script(ref, Act.REFUSE, Act.REFUSE_PARTLY)
    scene.write()
    scene.release = "r2"
    assert scene.write().rejected_new == 1


def test_what_a_refusal_wrote_all_the_same_is_not_taken_for_an_edit(scene: Scene) -> None:
    """HubSpot refuses the lifecycle stage and writes the rest: the rest is ours."""
    ref = scene.crm.add("1", status="nurture", reason=None)
    scene.acknowledge(ref, status="nurture")
    scene.put(ref, status="mql", reason="demo")
    scene.crm.script(ref, Act.REFUSE_PARTLY)
    scene.write()
    assert scene.crm.values[ref]["status"] == "mql"
    scene.put(ref, {"status": "mql"}, status="assigned", reason="demo")
    report = scene.write()
    assert (report.conflicts, scene.conflicts()) == (0, [])
    assert scene.crm.values[ref] == {"status": "assigned", "reason": "demo"}


def test_done_with_another_value_in_the_answer_is_a_refusal_of_that_value(scene: Scene) -> None:
    ref = scene.crm.add("1", stage=None, score="71")
    scene.put(ref, {"stage": None}, stage="marketingqualifiedlead", score="71")
    scene.crm.script(ref, Act.KEEP)
    report = scene.write()
    [letter] = scene.letters()
    assert (letter.code, letter.field) == ("NOT_TAKEN", "stage")
    assert report.written == 0
    assert scene.acked(ref) == {"score": "71"}


def test_a_lock_passes(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None)
    scene.put(ref, status="mql")
    scene.crm.script(ref, Act.LOCK, Act.LOCK)
    report = scene.write()
    assert (report.written, report.rejected_new) == (1, 0)
    assert scene.clock.slept == pytest.approx(5 + 10, abs=1)
    assert scene.rows() == []


def test_a_lock_that_does_not_pass_is_parked(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None)
    scene.put(ref, status="mql")
    scene.crm.script(ref, *[Act.LOCK] * MOST_ATTEMPTS)
    assert scene.write().rejected_new == 1
    assert len(scene.crm.sends) == MOST_ATTEMPTS
    assert scene.letters()[0].code == "LOCKED"


TEXT = FieldSchema(name="reason", kind=FieldKind.TEXT, writable=True, length=5)
STATUS = FieldSchema(name="status", kind=FieldKind.PICKLIST, writable=True, options=("mql",))


@pytest.mark.parametrize(
    ("described", "value", "code"),
    [
        ({}, "x", "NO_SUCH_PROPERTY"),
        ({"reason": FieldSchema(name="reason", kind=FieldKind.TEXT, writable=False)}, "x", "READ_ONLY"),
        ({"reason": TEXT}, "too long", "TOO_LONG"),
        ({"reason": TEXT}, "short", None),
        ({"reason": TEXT}, None, None),
    ],
)
def test_what_the_schema_refuses_costs_no_call(
    scene: Scene, described: dict[str, FieldSchema], value: str | None, code: str | None
) -> None:
    ref = scene.crm.add("1", reason="was")
    scene.crm.schema = described
    scene.put(ref, reason=value)
    scene.write()
    assert [letter.code for letter in scene.letters()] == ([code] if code else [])
    assert len(scene.crm.sends) == (code is None)


def test_an_option_the_crm_does_not_have_is_parked_before_the_others_are_sent(scene: Scene) -> None:
    scene.crm.schema = {"status": STATUS}
    bad, good = scene.crm.add("1", status=None), scene.crm.add("2", status=None)
    scene.put(bad, status="mq1")
    scene.put(good, status="mql")
    assert scene.write().written == 1
    [letter] = scene.letters()
    assert (letter.ref, letter.code, letter.field) == (bad, "NO_SUCH_OPTION", "status")
    assert "mqlsync setup" in letter.reason


def test_a_property_the_policy_has_stopped_writing_is_forgotten(scene: Scene) -> None:
    """The mapping can change while rows wait, fly or are parked."""
    both, only, flying = (scene.crm.add(str(n), status=None, score="0") for n in range(3))
    scene.put(both, status="mql", score="71")
    scene.put(only, status="mql")
    scene.put(flying, status="mql")
    scene.hold(scene.row(flying), {"status": "mql"})
    scene.results = {"score": Result.TOTAL}
    scene.write()
    assert scene.crm.sends_to(both) == [{"score": "71"}]
    assert scene.crm.sends_to(only) == scene.crm.sends_to(flying) == []
    assert scene.rows() == []


# -- records that move -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noticed", ["by the read", "by the write", "when read back"])
def test_a_record_that_lives_on_elsewhere_is_handed_back(scene: Scene, noticed: str) -> None:
    ref, to = scene.crm.add("1", status=None, score="1"), ref_of("2")
    scene.crm.moved[ref] = to
    match noticed:
        case "by the read":
            scene.put(ref, status="mql")
        case "by the write":
            scene.put(ref, score="71")
            scene.crm.script(ref, Act.CONVERT)
        case _:
            scene.put(ref, score="71")
            scene.crm.script(ref, Act.LOSE)
    report = scene.write()
    assert report.redirected == 1
    assert scene.moves == [(ref, to)]
    assert scene.rows() == []


def test_a_record_that_cannot_be_read_is_parked_until_the_next_run_and_the_others_go_on(scene: Scene) -> None:
    """Nothing is sent to it: whether a person has edited it is not known."""
    refs = [scene.crm.add(str(n), status=None) for n in range(3)]
    for ref in refs:
        scene.put(ref, status="mql")
    scene.crm.unread = {refs[1]}
    report = scene.write()
    assert (report.written, report.rejected_new) == (2, 1)
    assert scene.crm.sends_to(refs[1]) == []
    assert [(letter.ref, letter.code) for letter in scene.letters()] == [(refs[1], outbox.UNREADABLE)]
    scene.crm.unread = set()
    assert scene.write().written == 1
    assert scene.rows() == []


def test_a_deleted_record_is_handed_back_as_gone(scene: Scene) -> None:
    gone, deleted = ref_of("1"), scene.crm.add("2", score="1")
    scene.put(gone, {}, status="mql")
    scene.put(deleted, score="71")
    scene.crm.script(deleted, Act.DELETE)
    assert scene.write().redirected == 2
    assert sorted(scene.moves) == [(gone, None), (deleted, None)]
    assert scene.rows() == []


# -- sends without an answer -------------------------------------------------------------------------------------


def test_a_lost_answer_to_a_done_write_is_read_back_and_not_sent_again(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None)
    scene.put(ref, status="mql")
    scene.crm.script(ref, Act.TAKE_SILENTLY)
    report = scene.write()
    assert len(scene.crm.sends) == 1
    assert scene.clock.slept >= 90
    assert scene.acked(ref) == {"status": "mql"}
    assert (report.written, report.found_done, report.unanswered) == (0, 1, 1)
    assert scene.rows() == []


def test_a_lost_write_is_read_back_and_sent_again(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None)
    scene.put(ref, status="mql")
    scene.crm.script(ref, Act.LOSE)
    report = scene.write()
    assert scene.crm.sends_to(ref) == [{"status": "mql"}] * 2
    assert (report.written, report.unanswered) == (1, 1)
    assert scene.acked(ref) == {"status": "mql"}


def test_an_answer_that_leaves_out_some_records_is_settled_row_by_row(scene: Scene) -> None:
    refs = [scene.crm.add(str(n), score="0") for n in range(6)]
    for ref in refs:
        scene.put(ref, score="71")
    scene.crm.script(refs[1], Act.TAKE_SILENTLY)
    scene.crm.script(refs[4], Act.LOSE)
    report = scene.write()
    assert [len(scene.crm.sends_to(ref)) for ref in refs] == [1, 1, 1, 1, 2, 1]
    assert (report.written, report.found_done, report.unanswered) == (5, 1, 2)
    assert all(scene.acked(ref) == {"score": "71"} for ref in refs)


def test_a_write_that_arrives_late_is_ours(scene: Scene) -> None:
    """Held inside the CRM beyond the read-back: the value that appears then is one of those we sent."""
    ref = scene.crm.add("1", status=None)
    scene.put(ref, status="mql")
    scene.crm.script(ref, Act.ARRIVE_LATE)
    report = scene.write()
    assert (report.conflicts, scene.crm.values[ref]) == (0, {"status": "mql"})
    assert scene.acked(ref) == {"status": "mql"}


def test_a_late_write_of_an_older_plan_is_not_taken_for_an_edit(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None)
    scene.acknowledge(ref, status=None)
    scene.put(ref, status="mql")
    scene.crm.script(ref, *[Act.LOSE] * 4, Act.ARRIVE_LATE)
    scene.write()
    assert scene.letters()[0].code == "NO_ANSWER"
    late = scene.crm.late.pop()
    scene.crm.values[ref] |= late.fields
    scene.put(ref, {"status": None}, status="assigned")
    report = scene.write()
    assert (report.conflicts, report.tampered, scene.conflicts()) == (0, 0, [])
    assert scene.crm.values[ref] == {"status": "assigned"}


def test_sends_that_never_get_an_answer_are_parked(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0")
    scene.put(ref, score="71")
    scene.crm.script(ref, *[Act.LOSE] * 50)
    report = scene.write()
    assert len(scene.crm.sends) == MOST_ATTEMPTS
    [letter] = scene.letters()
    assert (letter.code, letter.attempts) == ("NO_ANSWER", MOST_ATTEMPTS)
    assert report.rejected_new == 1


@pytest.mark.parametrize("error", [OutcomeUnknown, UnexpectedAnswer])
def test_an_error_after_sending_makes_the_whole_batch_unanswered(scene: Scene, error: type) -> None:
    refs = [scene.crm.add(str(n), score="0") for n in range(3)]
    for ref in refs:
        scene.put(ref, score="71")
    how = {"status": 200} if error is UnexpectedAnswer else {}
    scene.crm.raising.append(error(Crm.HUBSPOT, "cut", **how))
    report = scene.write()
    assert (report.failure, report.unanswered, report.written) == (None, 3, 3)


def test_a_row_in_flight_when_the_process_died_waits_before_it_is_read_back(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None)
    scene.put(ref, status="mql")
    scene.hold(scene.row(ref), {"status": "mql"})
    scene.clock.forward(seconds=60)
    scene.write()
    assert scene.clock.slept == pytest.approx(30)
    assert scene.crm.sends_to(ref) == [{"status": "mql"}]
    assert scene.acked(ref) == {"status": "mql"}


def test_a_row_in_flight_is_not_replaced_by_a_newer_plan_but_brought_up_to_it(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None, score="1")
    scene.put(ref, status="mql", score="71")
    scene.hold(scene.row(ref), {"status": "mql", "score": "71"})
    assert scene.put(ref, status="mql", score="80") == 0
    scene.write()
    assert scene.crm.sends_to(ref) == [{"status": "mql", "score": "80"}]
    assert scene.acked(ref) == {"status": "mql", "score": "80"}


def test_a_row_in_flight_that_nobody_wants_any_more_does_not_bring_its_value_back(scene: Scene) -> None:
    """Decided, sent, killed, decided back: the CRM shows the first value still, and that is right again."""
    ref = scene.crm.add("1", status="nurture")
    scene.acknowledge(ref, status="nurture")
    scene.put(ref, status="mql")
    scene.hold(scene.row(ref), {"status": "mql"})
    scene.put(ref, status="nurture")
    with scene.store.write() as tx:
        outbox.drop_pending(tx, [ref])
    scene.write()
    assert scene.crm.sends == []
    assert scene.crm.values[ref] == {"status": "nurture"}
    assert scene.rows() == []


@pytest.mark.parametrize(("took_effect", "acked"), [(True, {"status": "mql"}), (False, {})])
def test_a_property_that_is_to_be_left_alone_by_now_is_not_sent_again(
    scene: Scene, took_effect: bool, acked: dict[str, str]
) -> None:
    """What the CRM shows of it is believed all the same: later plans must know it for ours."""
    ref = scene.crm.add("1", status="mql" if took_effect else None)
    scene.put(ref, {"status": None}, status="mql")
    scene.hold(scene.row(ref), {"status": "mql"})
    with scene.store.write() as tx:
        decisions.save_desired(tx, [("p1", ref, {})])
    scene.write()
    assert (scene.crm.sends, scene.rows(), scene.acked(ref)) == ([], [], acked)


def test_an_answer_that_comes_to_a_newer_plan_makes_the_person_planned_again(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None, score="1")
    person = {"person_id": "p1", "ambiguous": False}
    with scene.store.write() as tx:
        tx.execute(insert(schema.person), person)
    scene.put(ref, status="mql")
    scene.hold(scene.row(ref), {"status": "mql"})
    scene.put(ref, score="71")
    scene.write()
    assert scene.acked(ref) == {"status": "mql"}
    with scene.store.read() as tx:
        assert tx.execute(select(schema.person.c.dirty)).scalar_one() == "answered"


# -- people edit -------------------------------------------------------------------------------------------------


def test_an_owner_set_between_plan_and_send_stands_and_is_taken_over(scene: Scene) -> None:
    ref = scene.crm.add("1", owner=None, status=None)
    scene.put(ref, owner="rep-1", status="mql")
    scene.crm.values[ref]["owner"] = "rep-2"
    report = scene.write()
    assert scene.crm.values[ref] == {"owner": "rep-2", "status": "mql"}
    assert scene.crm.sends_to(ref) == [{"status": "mql"}]
    assert scene.acked(ref) == {"owner": "rep-2", "status": "mql"}
    assert report.conflicts == 1
    [(person_id, conflict)] = scene.adopted
    assert (person_id, conflict.theirs, conflict.ours) == ("p1", "rep-2", "rep-1")
    [row] = scene.conflicts()
    assert (row.kind, row.theirs, row.held) == ("human edit", "rep-2", False)


@pytest.mark.parametrize("then", [Act.LOCK, Act.LOSE, Act.TAKE_SILENTLY])
def test_an_owner_that_was_taken_over_stays_through_locks_and_silences(scene: Scene, then: Act) -> None:
    ref = scene.crm.add("1", owner=None, status=None)
    scene.put(ref, owner="rep-1", status="mql")
    scene.crm.values[ref]["owner"] = "rep-2"
    scene.crm.script(ref, then)
    scene.write()
    assert scene.crm.values[ref] == {"owner": "rep-2", "status": "mql"}
    assert all("owner" not in fields for fields in scene.crm.sends_to(ref))


def test_a_status_a_person_set_is_held(scene: Scene) -> None:
    ref = scene.crm.add("1", status="mql", score="1")
    scene.acknowledge(ref, status="mql")
    scene.put(ref, status="assigned", score="71")
    scene.crm.values[ref]["status"] = "disqualified"
    scene.write()
    assert scene.crm.values[ref] == {"status": "disqualified", "score": "71"}
    [row] = scene.conflicts()
    assert (row.kind, row.field, row.theirs, row.held) == ("human edit", "status", "disqualified", True)
    with scene.store.write() as tx:
        assert outbox.release_held(tx, ["p1"], at=scene.clock.now()) == 1
    assert not scene.conflicts()[0].held


def test_an_owner_that_cannot_be_taken_over_is_held(scene: Scene) -> None:
    scene.adopts = False
    ref = scene.crm.add("1", owner=None)
    scene.put(ref, owner="rep-1")
    scene.crm.values[ref]["owner"] = "somebody"
    scene.write()
    assert scene.crm.values[ref] == {"owner": "somebody"}
    assert scene.acked(ref) == {}
    assert scene.conflicts()[0].held


def test_a_score_a_person_changed_is_written_again_and_counted(scene: Scene) -> None:
    ref = scene.crm.add("1", score="10", status=None)
    scene.acknowledge(ref, score="10")
    scene.put(ref, score="71", status="mql")
    scene.crm.values[ref]["score"] = "99"
    report = scene.write()
    assert scene.crm.values[ref] == {"score": "71", "status": "mql"}
    assert (report.tampered, report.conflicts) == (1, 0)
    assert [row.kind for row in scene.conflicts()] == ["tamper"]


@pytest.mark.parametrize(
    ("there", "sent"),
    [
        (None, True),
        ("lead", True),
        ("subscriber", True),
        ("opportunity", False),
        ("customer", False),
        ("a stage of the portal", False),
    ],
)
def test_the_lifecycle_stage_only_goes_forward(scene: Scene, there: str | None, sent: bool) -> None:
    ref = scene.crm.add("1", stage=None)
    scene.put(ref, stage="marketingqualifiedlead")
    scene.crm.values[ref]["stage"] = there
    scene.write()
    assert scene.crm.values[ref]["stage"] == ("marketingqualifiedlead" if sent else there)
    assert scene.rows() == []
    assert scene.conflicts() == []


# -- stops -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        RetryLater(Crm.HUBSPOT, "429", status=429),
        RunCannotContinue(Crm.HUBSPOT, "the calls of today are used up", quota=True),
        RunCannotContinue(Crm.HUBSPOT, "the token was revoked", credentials=True),
    ],
)
@pytest.mark.parametrize("after", [0, 1])
def test_a_batch_that_was_not_sent_waits_as_before_and_says_why(
    scene: Scene, error: RetryLater | RunCannotContinue, after: int
) -> None:
    scene.crm.batch_size = 2
    refs = [scene.crm.add(str(n), score="0") for n in range(6)]
    for ref in refs:
        scene.put(ref, score="71")
    scene.crm.raising.extend([*[None] * after, error])
    report = scene.write()
    assert report.failure is error
    assert report.written == 2 * after
    waiting = scene.rows()
    assert {row.state for row in waiting} == {"pending"}
    assert {(row.attempts, tuple(row.sent)) for row in waiting} == {(0, ())}
    assert len(waiting) == 6 - 2 * after
    assert scene.write().written == len(waiting)
    assert all(scene.crm.values[ref] == {"score": "71"} for ref in refs)


def test_a_read_that_fails_leaves_everything_as_it_was(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None)
    scene.put(ref, status="mql")
    scene.crm.raising.append(RetryLater(Crm.HUBSPOT, "503", status=503))
    report = scene.write()
    assert report.failure is not None
    assert (scene.state(ref), scene.crm.sends) == (RowState.PENDING, [])


def test_a_read_back_that_fails_leaves_the_row_in_flight_for_the_next_run(scene: Scene) -> None:
    ref = scene.crm.add("1", status=None)
    scene.put(ref, status="mql")
    scene.crm.script(ref, Act.TAKE_SILENTLY)
    scene.crm.raising.extend([None, None, RetryLater(Crm.HUBSPOT, "503", status=503)])
    assert scene.write().failure is not None
    assert scene.state(ref) is RowState.INFLIGHT
    scene.write()
    assert len(scene.crm.sends) == 1
    assert scene.acked(ref) == {"status": "mql"}


def test_asked_to_stop_it_ends_between_two_batches(scene: Scene) -> None:
    scene.crm.read_size = scene.crm.batch_size = 2
    refs = [scene.crm.add(str(n), score="0") for n in range(6)]
    for ref in refs:
        scene.put(ref, score="71")
    scene.stop_after = 1
    report = scene.write()
    assert (report.written, len(scene.rows())) == (2, 4)
    scene.stop_after = None
    assert scene.write().written == 4


def test_asked_to_stop_while_resting_it_leaves_the_row_in_flight(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0")
    scene.put(ref, score="71")
    scene.crm.script(ref, Act.LOSE)
    scene.stop_after = 3
    scene.write()
    assert scene.state(ref) is RowState.INFLIGHT


def test_a_writer_whose_lease_was_taken_over_commits_nothing(scene: Scene) -> None:
    """The other one has taken over while the answer was on its way."""
    us = Holder(name="us", host="here", pid=1, started="1")
    them = Holder(name="them", host="there", pid=1, started="1")
    ref = scene.crm.add("1", score="0")
    scene.put(ref, score="71")
    with scene.store.write() as tx:
        fences = runs.take_leases(tx, ["hubspot:1"], us, now=scene.clock.now())
    assert isinstance(fences, dict)
    scene.check = lambda tx: runs.check_leases(tx, fences)

    def take_over() -> None:
        with scene.store.write() as tx:
            taken = runs.take_leases(tx, ["hubspot:1"], them, now=scene.clock.now() + timedelta(minutes=5))
        assert taken == {"hubspot:1": 2}

    scene.crm.before_apply = take_over
    with pytest.raises(LeaseLost):
        scene.write()
    assert scene.state(ref) is RowState.INFLIGHT
    assert scene.acked(ref) == {}


def test_only_the_named_plans_are_sent_and_the_others_wait_as_they_are(scene: Scene) -> None:
    """Released rows and rows of earlier plans too: an applied plan is sent, and nothing else."""
    scene.crm.read_size = 3
    named = [scene.crm.add(str(n), score="0") for n in range(5)]
    other, parked = scene.crm.add("other", score="0"), scene.crm.add("parked", score="0")
    scene.put(parked, score="71")
    scene.crm.script(parked, Act.REFUSE)
    scene.write()
    scene.put(other, score="71")
    for ref in named:
        scene.put(ref, score="71")
    scene.only = frozenset(row.op_key for row in scene.rows() if row.id in {ref.id for ref in named})
    scene.release = "another"
    assert scene.write().written == 5
    assert [(row.id, row.state) for row in scene.rows()] == [("parked", "pending"), ("other", "pending")]
    scene.only = None
    assert scene.write().written == 2


# -- tasks -------------------------------------------------------------------------------------------------------

KEY = "p1:1:task:1"


def test_a_task_waits_for_the_owner_it_is_for(scene: Scene) -> None:
    person = scene.crm.add("1", owner=None)
    scene.put_task(person)
    scene.write()
    assert scene.crm.drafts == []
    scene.put(person, owner="rep")
    report = scene.write()
    assert (report.tasks, report.written) == (1, 1)
    assert scene.crm.tasks[KEY].owner == "rep"
    assert scene.rows() == []
    assert scene.acked(RecordRef(crm=Crm.HUBSPOT, object="task", id=KEY)) == {"id": f"t-{KEY}"}


def test_a_task_that_waits_does_not_keep_the_run_busy(scene: Scene) -> None:
    """Its own rest is over; what it waits for is not a matter of time."""
    person = scene.crm.add("1", owner=None)
    scene.put_task(person)
    scene.acknowledge(person, owner="rep")
    scene.crm.script(KEY, Act.LOCK)
    scene.stop_after = 3
    scene.write()
    with scene.store.write() as tx:
        tx.execute(schema.acked.delete())
    scene.stop_after = None
    scene.clock.forward(minutes=1)
    scene.write()
    assert scene.clock.slept < 10
    assert len(scene.rows()) == 1


def test_a_task_goes_to_the_owner_a_person_has_chosen_since(scene: Scene) -> None:
    person = scene.crm.add("1", owner=None)
    scene.put_task(person)
    scene.put(person, owner="rep")
    scene.crm.values[person]["owner"] = "another rep"
    scene.write()
    assert scene.crm.tasks[KEY].owner == "another rep"


@pytest.mark.parametrize("first", [Act.TAKE_SILENTLY, Act.LOSE])
def test_a_task_without_an_answer_is_looked_for_before_it_is_made_again(scene: Scene, first: Act) -> None:
    person = scene.crm.add("1", owner="rep")
    scene.acknowledge(person, owner="rep")
    scene.put_task(person)
    scene.crm.script(KEY, first)
    scene.write()
    assert [draft.attempted for draft in scene.crm.drafts] == [False, True]
    assert list(scene.crm.tasks) == [KEY]
    assert scene.rows() == []


def test_a_task_that_is_made_or_waits_is_not_queued_twice(scene: Scene) -> None:
    person = scene.crm.add("1", owner="rep")
    scene.acknowledge(person, owner="rep")
    assert scene.put_task(person)
    assert not scene.put_task(person)
    scene.write()
    assert not scene.put_task(person)


def test_a_refused_task_is_parked(scene: Scene) -> None:
    person = scene.crm.add("1", owner="rep")
    scene.acknowledge(person, owner="rep")
    scene.put_task(person)
    scene.crm.script(KEY, Act.LOCK, Act.REFUSE)
    assert scene.write().rejected_new == 1
    assert scene.letters()[0].ref.id == KEY
    assert not scene.put_task(person)


def test_the_task_of_a_converted_person_follows_them(scene: Scene) -> None:
    person, to = scene.crm.add("1", owner="rep"), ref_of("2")
    scene.acknowledge(person, owner="rep")
    scene.put_task(person)
    scene.crm.moved[person] = to
    scene.crm.script(KEY, Act.CONVERT)
    report = scene.write()
    assert scene.moves == [(person, to)]
    assert report.tasks == 1
    assert (scene.crm.tasks[KEY].person, scene.crm.tasks[KEY].owner) == (to, "rep")


def test_the_task_of_a_deleted_person_is_forgotten(scene: Scene) -> None:
    person = scene.crm.add("1", owner="rep")
    scene.acknowledge(person, owner="rep")
    scene.put_task(person)
    scene.crm.script(KEY, Act.DELETE)
    scene.write()
    assert (scene.moves, scene.rows(), scene.crm.tasks) == ([(person, None)], [], {})


def test_a_task_that_is_sent_from_one_person_to_the_next_is_parked_in_the_end(scene: Scene) -> None:
    person = scene.crm.add("1", owner="rep")
    scene.acknowledge(person, owner="rep")
    scene.put_task(person)
    scene.crm.moved[person] = person
    scene.crm.script(KEY, *[Act.CONVERT] * 20)
    scene.write()
    assert [letter.code for letter in scene.letters()] == ["REDIRECTED"]


def test_tasks_that_were_not_sent_wait_as_before(scene: Scene) -> None:
    person = scene.crm.add("1", owner="rep")
    scene.acknowledge(person, owner="rep")
    scene.put_task(person)
    scene.crm.raising.append(RetryLater(Crm.HUBSPOT, "429", status=429))
    assert scene.write().failure is not None
    [row] = scene.rows()
    assert (row.state, row.attempts, row.sent) == ("pending", 0, [])


# -- a process that dies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [Act.TAKE, Act.TAKE_SILENTLY, Act.LOSE, Act.LOCK])
def test_killed_at_any_boundary_and_run_again_the_crm_ends_the_same(scene: Scene, act: Act) -> None:
    """Every boundary of an undisturbed run, one after another, each with a person and a task."""
    boundaries = 12
    killed = 0
    for n in range(1, boundaries + 1):
        id = str(n)
        person = scene.crm.add(id, owner=None, status=None)
        key = f"p{id}:1:task:1"
        scene.put(person, owner="rep", status="mql")
        scene.put_task(person, key=key)
        scene.crm.script(person, act)
        scene.crm.script(key, act)
        scene.kill_at = n
        try:
            scene.write()
        except Killed:
            killed += 1
        scene.kill_at = None
        scene.write()
        assert scene.crm.values[person] == {"owner": "rep", "status": "mql"}
        assert key in scene.crm.tasks
        assert scene.rows() == []
    assert killed >= 6


def test_the_key_of_a_plan_is_used_once(scene: Scene) -> None:
    """The same values planned against the same version of a record are one row, whoever plans them."""
    ref = scene.crm.add("1", status=None)
    scene.put(ref, status="mql")
    assert scene.put(ref, status="mql") == 0
    assert [row.op_key for row in scene.rows()] == [op_key(ref, "0", {"status": "mql"})]
    again = dict(scene.rows()[0]._mapping) | {"seq": None, "id": "other"}
    with pytest.raises(IntegrityError, match="op_key"), scene.store.write() as tx:
        tx.execute(insert(schema.outbox), again)
