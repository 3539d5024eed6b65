"""What sales and marketing say by a record's properties, and whose word counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.records import Deal, DealState
from scoring.episodes import Sales, SalesState
from sync.mapping import ReviewAnswer
from sync.mapping import SalesState as Rule
from sync.sales import approves, deal_word, latest, not_offered, read_stored, sales_word, stored, unknown_value
from tests.support.made import DAY, after

RULE = Rule(
    property="Status",
    values={"Working - Contacted": "working", "Accepted": "accepted", "Closed": "rejected"},
    sql_when={"IsConverted": ("true",), "stage": ("opportunity", "Customer")},
    won_when={"Type": ("customer",)},
    reason="why",
)


def word(at=DAY, before=None, **heard):
    return sales_word(RULE, heard, at=at, before=before)


@pytest.mark.parametrize(
    ("heard", "state", "reason"),
    [
        ({}, None, None),
        ({"Status": None}, None, None),
        ({"Status": "   "}, None, None),
        ({"Status": "Open - Not Contacted"}, None, None),
        ({"Status": "Working - Contacted"}, SalesState.WORKING, None),
        ({"Status": "  working -  CONTACTED "}, SalesState.WORKING, None),
        ({"Status": "Accepted", "why": "Not ready"}, SalesState.ACCEPTED, None),
        ({"Status": "Closed", "why": "Not ready"}, SalesState.REJECTED, "Not ready"),
        ({"Status": "Closed", "why": " "}, SalesState.REJECTED, None),
        ({"Status": "Closed", "IsConverted": "true"}, SalesState.SQL, None),
        ({"Status": None, "stage": "customer"}, SalesState.SQL, None),
        ({"Status": "Closed", "IsConverted": "true", "Type": "Customer"}, SalesState.WON, None),
        ({"Status": "Accepted", "IsConverted": "false", "stage": "lead"}, SalesState.ACCEPTED, None),
        ({"why": "Not ready"}, None, None),
    ],
)
def test_the_properties_of_a_record_are_a_word(heard, state, reason):
    said = word(**heard)
    assert (said and said.state, said and said.reason) == (state, reason)
    assert said is None or said.at == DAY


OPPORTUNITY = Rule(
    property="Status",
    values={},
    opportunity={"open": "accepted", "Negotiation/Review": "working", "won": "sql", "lost": "rejected"},
)


def deal(stage="Prospecting", state=DealState.OPEN, at=DAY, id="006"):
    return Deal(id=id, stage=stage, state=state, at=at)


@pytest.mark.parametrize(
    ("deals", "state"),
    [
        ((), None),
        ((deal(),), SalesState.ACCEPTED),
        ((deal("negotiation/REVIEW "),), SalesState.WORKING),
        ((deal("Closed Won", DealState.WON),), SalesState.SQL),
        ((deal("Closed Lost", DealState.LOST),), SalesState.REJECTED),
        ((deal("Closed Lost", DealState.LOST), deal(at=after(days=1), id="007")), SalesState.ACCEPTED),
        ((deal("Closed Won", DealState.WON), deal(id="007")), SalesState.SQL),
    ],
)
def test_an_opportunity_is_a_word_by_its_stage_or_its_end(deals, state):
    """Of several the latest counts, of equally late ones the weightiest."""
    said = deal_word(OPPORTUNITY, deals, before=None)
    assert (said and said.state) == state
    assert said is None or said.at == max(one.at for one in deals)


def test_an_opportunity_says_nothing_where_no_line_names_it():
    assert deal_word(RULE, (deal("Closed Won", DealState.WON),), before=None) is None


def test_an_opportunity_that_is_only_edited_keeps_the_time_of_its_word():
    first = deal_word(OPPORTUNITY, (deal(),), before=None)
    assert deal_word(OPPORTUNITY, (deal(at=after(days=3)),), before=first) == first


def test_a_word_keeps_the_time_at_which_it_was_first_read():
    first = word(Status="Accepted")
    assert word(at=after(days=3), before=first, Status="accepted") == first


@pytest.mark.parametrize(
    "heard",
    [{"Status": "Accepted"}, {"Status": "Closed", "why": "too small"}, {"Status": "Closed", "IsConverted": "true"}],
)
def test_a_word_that_moves_has_the_time_of_the_version_that_shows_it(heard):
    before = word(Status="Closed", why="no budget")
    assert word(at=after(days=1), before=before, **heard).at == after(days=1)


def test_a_value_that_says_nothing_takes_the_word_back():
    assert word(at=after(days=1), before=word(Status="Accepted"), Status="Open - Not Contacted") is None


def test_a_value_that_is_not_named_is_in_doubt_only_where_a_named_one_has_gone():
    gone = not_offered(RULE, ("Open", "working - contacted", "Shelved", "Closed"))
    assert gone == ("Accepted",)
    told = unknown_value(RULE, {"Status": "Shelved"}, gone)
    assert told is not None
    assert "'Shelved'" in told
    assert "'Accepted'" in told
    assert unknown_value(RULE, {"Status": "closed"}, gone) is None
    assert unknown_value(RULE, {"Status": None}, gone) is None
    assert unknown_value(RULE, {"Status": "Shelved"}, ()) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("approved", True),
        (" APPROVED ", True),
        ("yes", True),
        ("Rejected", False),
        ("later", None),
        ("", None),
        (None, None),
    ],
)
def test_a_review_is_answered_by_yes_no_or_nothing(value, said):
    assert approves(ReviewAnswer(property="review", approve=("Approved", "yes"), reject=("rejected",)), value) is said


WORDS = st.builds(
    Sales,
    state=st.sampled_from(SalesState),
    at=st.integers(0, 2).map(lambda days: DAY + timedelta(days=days)),
    reason=st.none() | st.sampled_from(["not ready", "too small"]),
)


@given(st.lists(st.none() | WORDS).flatmap(lambda said: st.tuples(st.just(said), st.permutations(said))))
def test_the_order_of_records_does_not_matter(both):
    said, shuffled = both
    assert latest(said) == latest(shuffled)


@given(st.lists(st.none() | WORDS))
def test_the_latest_word_counts_and_of_equally_late_ones_the_weightiest(said):
    counts = latest(said)
    given_ = [one for one in said if one is not None]
    if not given_:
        assert counts is None
        return
    newest = [one for one in given_ if one.at == max(other.at for other in given_)]
    weights = ["won", "lost", "sql", "working", "accepted", "rejected"]
    assert counts in newest
    assert counts.state == min((one.state for one in newest), key=weights.index)


@given(st.none() | WORDS)
def test_a_stored_word_is_read_as_it_was(said):
    assert read_stored(stored(said)) == said
