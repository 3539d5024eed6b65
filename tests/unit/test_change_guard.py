"""What a run may change unasked, what stops it, and what a yes lets pass."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.guard import Approval, Change, Finding, Intake, Limit, judge, of_bytes, stopped_text, to_bytes
from sync.settings import Guard

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
GUARD = Guard(new_mqls_per_run=2, owner_changes_per_run=1, share_of_people_changed=0.5, people_min_for_share=4)


def mql(known: bool = True) -> Change:
    return Change(status="mql", known=known, mql=True)


def found(
    changes: dict[str, Change],
    *,
    people: int = 100,
    guard: Guard = GUARD,
    intake: Intake | None = None,
    first: bool = False,
    approval: Approval | None = None,
) -> list[tuple[Limit, str]]:
    judged = judge(
        guard,
        changes,
        people=lambda: people,
        intake=intake or Intake(),
        first=first,
        now=NOW,
        approval=approval,
    )
    return [(one.limit, one.found) for one in judged]


@pytest.mark.parametrize(
    ("changes", "people", "expected"),
    [
        ({}, 100, []),
        ({"a": mql(), "b": mql()}, 100, []),
        ({"a": mql(), "b": mql(), "c": mql()}, 100, [(Limit.NEW_MQLS, "3")]),
        ({"a": mql(), "b": mql(), "c": Change(status="near", known=True)}, 100, []),
        ({"a": Change(owner="hubspot:1")}, 100, []),
        ({"a": Change(owner="hubspot:1"), "b": Change(owner="hubspot:2")}, 100, [(Limit.OWNER_CHANGES, "2")]),
        ({"a": mql(), "b": Change(status="near", known=True)}, 4, []),
        (
            {"a": mql(), "b": Change(status="near", known=True), "c": Change(owner="hubspot:1")},
            4,
            [(Limit.SHARE, "3 of 4")],
        ),
        ({"a": mql(), "b": Change(status="near", known=True), "c": Change(owner="hubspot:1")}, 3, []),
        ({"a": mql(known=False), "b": Change(status="near"), "c": Change(status="near")}, 4, []),
        (
            {name: Change(status="mql", known=True, mql=True, owner=f"hubspot:{name}") for name in "abc"},
            4,
            [(Limit.NEW_MQLS, "3"), (Limit.OWNER_CHANGES, "3"), (Limit.SHARE, "3 of 4")],
        ),
    ],
)
def test_a_limit_stops_what_is_over_it(changes, people, expected):
    assert found(changes, people=people) == expected


@pytest.mark.parametrize(
    ("before", "gone", "expected"),
    [
        (100, 20, []),
        (100, 21, [(Limit.SHRUNKEN, "21 of 100")]),
        (100, -5, []),
        (3, 3, []),
        (4, 4, [(Limit.SHRUNKEN, "4 of 4")]),
    ],
)
def test_people_that_are_gone_stop_a_run(before, gone, expected):
    intake = Intake(people={"hubspot": (before, gone)})
    assert found({}, intake=intake) == expected
    without = Guard(people_min_for_share=4, share_of_people_gone=None)
    assert found({}, intake=intake, guard=without) == []


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ({"hubspot:contact": 0, "salesforce:lead": 14}, []),
        ({"hubspot:contact": 0, "salesforce:lead": 15}, [(Limit.SILENT, "2026-11-10T12:00:00+00:00")]),
        ({"hubspot:contact": 15, "salesforce:lead": 15}, []),
        ({}, []),
    ],
)
def test_a_stream_that_is_silent_while_others_speak_stops_a_run(days, expected):
    intake = Intake(moved={stream: NOW - timedelta(days=n) for stream, n in days.items()})
    silent = Guard(stream_silent_for=timedelta(days=14))
    assert found({}, intake=intake, guard=silent) == expected
    assert found({}, intake=intake, guard=Guard()) == []


def test_a_first_run_of_real_crms_waits_whatever_its_numbers_and_passes_with_a_yes():
    assert found({"a": mql(known=False)}, first=True) == [(Limit.FIRST_RUN, "1")]
    many = {str(n): mql(known=False) for n in range(9)}
    assert found(many, first=True, approval=Approval()) == []


CHANGES = st.dictionaries(
    st.text(min_size=1, max_size=3),
    st.builds(
        Change,
        status=st.sampled_from([None, "mql", "near"]),
        known=st.booleans(),
        mql=st.booleans(),
        owner=st.sampled_from([None, "hubspot:1"]),
    ),
    max_size=12,
)


@given(CHANGES)
def test_what_was_stopped_passes_with_its_yes(changes):
    approval = Approval(changes=of_bytes(to_bytes(changes)))
    assert found(changes, people=len(changes), approval=approval) == []


@given(CHANGES, CHANGES)
def test_what_is_beside_a_yes_counts_as_without_it(approved, others):
    others = {f"other {name}": one for name, one in others.items()}
    approval = Approval(changes=of_bytes(to_bytes(approved)))
    assert found({**approved, **others}, approval=approval) == found(others)


@pytest.mark.parametrize(
    "other", [Change(status="near", known=True), Change(status="mql", known=True), mql(known=True)]
)
def test_a_yes_is_to_one_change_of_a_person_only(other):
    first = Change(status="mql", known=True, mql=True, owner="hubspot:1")
    assert Approval(changes=of_bytes(to_bytes({"a": first}))).allows("a", first)
    assert not Approval(changes=of_bytes(to_bytes({"a": first}))).allows("a", other)
    assert not Approval(changes=of_bytes(to_bytes({"a": first}))).allows("b", first)


def test_an_input_that_was_let_pass_does_not_stop_again_until_it_is_another():
    intake = Intake(people={"hubspot": (100, 50)})
    (finding,) = judge(GUARD, {}, people=lambda: 0, intake=intake, first=False, now=NOW)
    assert found({}, intake=intake, approval=Approval(findings=(finding,))) == []
    worse = Intake(people={"hubspot": (100, 51)})
    assert found({}, intake=worse, approval=Approval(findings=(finding,))) == [(Limit.SHRUNKEN, "51 of 100")]


def test_a_finding_survives_its_json():
    finding = Finding(limit=Limit.SILENT, found="1", allowed="2", text="three", where="hubspot:contact")
    assert Finding.of_json(finding.as_json()) == finding


def test_the_message_says_each_limit_what_was_done_and_what_to_type():
    findings = judge(
        GUARD,
        {name: Change(status="mql", known=True, mql=True, owner="hubspot:9") for name in "abc"},
        people=lambda: 4,
        intake=Intake(),
        first=False,
        now=NOW,
    )
    text = stopped_text(findings, run_id="r_12345678", job="sync", written=0, again=False)
    assert text == (
        "Stopped for approval: 3 people would become MQL, at most 2 may in one run (guard.new_mqls_per_run); "
        "3 people would get another owner, at most 1 may in one run (guard.owner_changes_per_run); "
        "status or owner of 3 of 4 people would change, at most 50% may in one run (guard.share_of_people_changed). "
        "Nothing was decided or written. Look: `mqlsync plan sync`. Let it through: `mqlsync apply r_12345678`. "
        "Or correct the rules and `mqlsync run sync`, which decides anew."
    )
    later = stopped_text(findings, run_id="r_12345678", job="sync", written=7, again=True)
    assert later.startswith("What was let through is no longer all that would happen: the world has moved since. ")
    assert "7 values had been written before that." in later
