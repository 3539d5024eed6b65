"""What is sent to a CRM, given what is wanted, what it acknowledged and what it says now."""

from datetime import date

import pytest

from connectors.records import Crm, FieldKind, RecordRef
from scoring.policy import Result, WritePlan
from sync.plan import (
    RecordState,
    Verdict,
    canonical,
    compare_again,
    due_date,
    lifecycle_rank,
    op_key,
    plan_record,
    release_key,
)

REF = RecordRef(crm=Crm.HUBSPOT, object="contact", id="512")
PROPERTIES = {
    Result.STATUS: "mql_status",
    Result.GRADE: "mql_grade",
    Result.ENGAGEMENT: "mql_score",
    Result.REASON: "mql_reason",
    Result.OWNER: "hubspot_owner_id",
    Result.LIFECYCLE: "lifecyclestage",
    Result.REVIEW: "mql_review",
}
RESULTS = {prop: result for result, prop in PROPERTIES.items()}
HUMAN = frozenset({Result.OWNER, Result.STATUS})


def state(current=None, acked=None, sent=(), held=frozenset()):
    return RecordState(ref=REF, version="v1", current=current or {}, acked=acked or {}, sent=sent, held=held)


def plan(wanted, **known):
    return plan_record(state(**known), wanted, PROPERTIES, WritePlan())


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (FieldKind.NUMBER, "83", "83"),
        (FieldKind.NUMBER, "83.0", "83"),
        (FieldKind.NUMBER, "100", "100"),
        (FieldKind.NUMBER, "1E+2", "100"),
        (FieldKind.NUMBER, "0.50", "0.5"),
        (FieldKind.NUMBER, "n/a", "n/a"),
        (FieldKind.NUMBER, "NaN", "NaN"),
        (FieldKind.NUMBER, "", None),
        (FieldKind.DATETIME, "2026-11-25T09:00:00.000Z", "2026-11-25T09:00:00Z"),
        (FieldKind.DATETIME, "2026-11-25T10:00:00.000+0100", "2026-11-25T09:00:00Z"),
        (FieldKind.DATETIME, "soon", "soon"),
        (FieldKind.BOOLEAN, "True", "true"),
        (FieldKind.TEXT, "  ", None),
        (FieldKind.TEXT, " A1 ", "A1"),
        (FieldKind.TEXT, None, None),
    ],
)
def test_values_that_are_the_same_have_one_spelling(kind, text, expected):
    assert canonical(kind, text) == expected


def test_a_first_write_sends_everything_that_is_not_there():
    planned = plan(
        {Result.STATUS: "assigned", Result.GRADE: "A1", Result.ENGAGEMENT: "50"}, current={"mql_grade": "A1"}
    )
    assert planned.write is not None
    assert planned.write.fields == {"mql_status": "assigned", "mql_score": "50"}
    assert planned.adopted == {"mql_grade": "A1"}
    assert planned.desired == {"mql_status": "assigned", "mql_grade": "A1", "mql_score": "50"}


def test_nothing_is_sent_when_the_crm_has_acknowledged_it():
    values = {"mql_status": "assigned", "mql_score": "50"}
    planned = plan({Result.STATUS: "assigned", Result.ENGAGEMENT: "50"}, current=values, acked=values)
    assert planned.write is None
    assert planned.conflicts == ()


def test_a_number_waits_for_a_step_of_five_from_the_last_written_one():
    known = {"mql_status": "not_yet", "mql_score": "50"}
    for now, sent in [("54", None), ("55", {"mql_score": "55"}), ("45", {"mql_score": "45"}), ("46", None)]:
        planned = plan({Result.STATUS: "not_yet", Result.ENGAGEMENT: now}, current=known, acked=known)
        assert (planned.write.fields if planned.write else None) == sent, now


def test_a_change_of_status_carries_the_number_along():
    known = {"mql_status": "not_yet", "mql_score": "50"}
    planned = plan({Result.STATUS: "assigned", Result.ENGAGEMENT: "51"}, current=known, acked=known)
    assert planned.write is not None
    assert planned.write.fields == {"mql_status": "assigned", "mql_score": "51"}


@pytest.mark.parametrize(("field", "result"), [("mql_status", Result.STATUS), ("hubspot_owner_id", Result.OWNER)])
def test_what_a_person_changed_is_reported_and_not_overwritten(field, result):
    planned = plan({result: "ours now"}, current={field: "theirs"}, acked={field: "ours before"})
    assert planned.write is None
    assert [(c.field, c.theirs, c.tamper) for c in planned.conflicts] == [(field, "theirs", False)]


def test_a_field_of_our_own_is_written_again_and_counted_as_tampered():
    planned = plan({Result.REASON: "why"}, current={"mql_reason": "edited"}, acked={"mql_reason": "why"})
    assert planned.write is not None
    assert planned.write.fields == {"mql_reason": "why"}
    assert [c.tamper for c in planned.conflicts] == [True]


def test_our_own_unanswered_attempt_is_not_mistaken_for_a_person():
    planned = plan(
        {Result.STATUS: "assigned"},
        current={"mql_status": "mql"},
        acked={"mql_status": "not_yet"},
        sent=({"mql_status": "mql"},),
    )
    assert planned.conflicts == ()
    assert planned.write is not None


def test_a_held_field_is_left_alone():
    planned = plan({Result.STATUS: "assigned"}, current={"mql_status": "x"}, held=frozenset({"mql_status"}))
    assert planned.write is None
    assert planned.desired == {}


@pytest.mark.parametrize(
    ("now", "sent"),
    [
        (None, True),
        ("subscriber", True),
        ("lead", True),
        ("marketingqualifiedlead", False),
        ("salesqualifiedlead", False),
        ("customer", False),
        ("1234567", False),
    ],
)
def test_a_lifecycle_stage_only_moves_forward(now, sent):
    planned = plan({Result.LIFECYCLE: "marketingqualifiedlead"}, current={"lifecyclestage": now})
    assert (planned.write is not None) is sent


def test_a_lifecycle_stage_that_a_person_moved_back_stays_there():
    acked = {"lifecyclestage": "marketingqualifiedlead"}
    planned = plan({Result.LIFECYCLE: "marketingqualifiedlead"}, current={"lifecyclestage": "lead"}, acked=acked)
    assert planned.write is None


def test_an_answer_is_cleared_again_and_is_no_tampering():
    planned = plan({Result.REVIEW: None}, current={"mql_review": "approved"}, acked={"mql_review": None})
    assert planned.write is not None
    assert (planned.write.fields, planned.write.base) == ({"mql_review": None}, {"mql_review": "approved"})
    assert planned.conflicts == ()


def test_an_unknown_stage_ranks_beyond_all_we_know():
    assert lifecycle_rank("1234567") > lifecycle_rank("evangelist") > lifecycle_rank("lead") > lifecycle_rank(None)


@pytest.mark.parametrize(
    ("field", "want", "now", "base", "acked", "sent", "verdict"),
    [
        ("mql_status", "mql", "mql", None, {}, (), Verdict.DONE),
        ("mql_status", "mql", None, None, {}, (), Verdict.SEND),
        ("mql_status", "mql", "not_yet", "not_yet", {}, (), Verdict.SEND),
        ("mql_status", "mql", "old", None, {"mql_status": "old"}, (), Verdict.SEND),
        ("mql_status", "mql", "old", None, {}, ({"mql_status": "old"},), Verdict.SEND),
        ("mql_status", "mql", "theirs", "not_yet", {}, (), Verdict.THEIRS),
        ("hubspot_owner_id", "7", "9", None, {}, (), Verdict.THEIRS),
        ("mql_reason", "why", "edited", None, {}, (), Verdict.TAMPER),
        ("mql_score", "50", "50.0", None, {}, (), Verdict.DONE),
        ("lifecyclestage", "marketingqualifiedlead", "lead", None, {}, (), Verdict.SEND),
        ("lifecyclestage", "marketingqualifiedlead", "customer", "lead", {}, (), Verdict.LEAVE),
        ("mql_review", None, "approved", "approved", {"mql_review": None}, (), Verdict.SEND),
        ("mql_review", None, "rejected", "approved", {}, (), Verdict.LEAVE),
        ("mql_review", None, None, "approved", {}, (), Verdict.DONE),
    ],
)
def test_the_value_of_this_moment_decides(field, want, now, base, acked, sent, verdict):
    found = compare_again(
        REF,
        wanted={field: want},
        now={field: now},
        base={field: base},
        acked=acked,
        sent=sent,
        results=RESULTS,
        human_edit_wins=HUMAN,
    )
    assert found.verdicts == {field: verdict}
    assert found.fields({field: want}) == ({field: want} if verdict in (Verdict.SEND, Verdict.TAMPER) else {})
    assert found.done({field: want}) == ({field: want} if verdict is Verdict.DONE else {})
    assert [c.tamper for c in found.conflicts] == {Verdict.THEIRS: [False], Verdict.TAMPER: [True]}.get(verdict, [])


def test_the_same_promotion_seen_from_another_version_is_another_operation():
    assert op_key(REF, "v1", {"a": "1"}) == op_key(REF, "v1", {"a": "1"})
    assert op_key(REF, "v1", {"a": "1"}) != op_key(REF, "v2", {"a": "1"})


def test_a_parked_row_is_released_by_a_new_value_mapping_or_schema():
    keys = {release_key({"a": v}, m, s) for v in "12" for m in "ab" for s in "xy"}
    assert len(keys) == 8


@pytest.mark.parametrize(
    ("day", "working_days", "due"),
    [
        (date(2026, 11, 25), 1, date(2026, 11, 26)),
        (date(2026, 11, 27), 1, date(2026, 11, 30)),
        (date(2026, 11, 28), 1, date(2026, 11, 30)),
        (date(2026, 11, 26), 3, date(2026, 12, 1)),
        (date(2026, 11, 25), 0, date(2026, 11, 25)),
    ],
)
def test_a_task_is_due_on_a_working_day(day, working_days, due):
    assert due_date(day, working_days) == due


def plan_missing(
    *, missing: str | None, engagement: str, status: str = "not_yet", without: frozenset[Result] = frozenset()
):
    shown = {"mql_status": "not_yet", "mql_score": "40", "mql_missing": "10 points short"}
    properties = {**PROPERTIES, Result.MISSING: "mql_missing"}
    properties = {result: prop for result, prop in properties.items() if result not in without}
    wanted = {Result.STATUS: status, Result.ENGAGEMENT: engagement, Result.MISSING: missing}
    planned = plan_record(state(current=shown, acked=shown), wanted, properties, WritePlan(score_step=5))
    return {} if planned.write is None else planned.write.fields


@pytest.mark.parametrize(
    ("how", "sent"),
    [
        ({"missing": "11 points short", "engagement": "39"}, {}),
        ({"missing": None, "engagement": "40"}, {}),
        ({"missing": "15 points short", "engagement": "35"}, {"mql_score": "35", "mql_missing": "15 points short"}),
        (
            {"missing": None, "engagement": "41", "status": "mql"},
            {"mql_status": "mql", "mql_score": "41", "mql_missing": None},
        ),
        (
            {"missing": "11 points short", "engagement": "39", "without": frozenset({Result.ENGAGEMENT})},
            {"mql_missing": "11 points short"},
        ),
    ],
)
def test_what_is_missing_is_written_when_the_numbers_are(how, sent):
    assert plan_missing(**how) == sent
