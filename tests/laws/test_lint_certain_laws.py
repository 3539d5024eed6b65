"""What lint takes for certain is so: against the naive reading of the language, on random conditions and policies."""

from __future__ import annotations

from datetime import date
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring import conditions as c
from scoring.implied import implies, meet
from scoring.lint_reach import greatest
from scoring.lint_tables import reachable_lines
from scoring.policy import Policy
from tests.support import oracle
from tests.support.policies import ATTRIBUTE_VALUES, DAYS, KINDS, fact_conditions, facts, matches, policies, populations

TODAY = date(2026, 6, 15)
LAW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
_spans = st.builds(c.Span, st.integers(1, 70)) | st.builds(c.Span, st.integers(1, 3), st.just(c.Unit.MONTH))
_ages = st.one_of(*(st.builds(made, st.just("person.created_at"), _spans) for made in (c.AgeBelow, c.AgeFrom)))
_titles = st.one_of(
    *(
        st.lists(st.sampled_from(("sales", "vp sales", "sale", "vp", "head of it", "it")), min_size=1, max_size=2).map(
            lambda parts, made=made: made("person.title", tuple(parts))  # type: ignore[misc]  # each its own class
        )
        for made in (c.Contains, c.StartsWith, c.OneOf)
    )
)
_tests = st.one_of(fact_conditions, _ages, _titles)
_pairs = st.one_of(
    st.tuples(_tests, _tests),
    st.tuples(_ages, _ages),
    st.tuples(_titles, _titles),
    st.tuples(_tests, _tests).map(lambda two: (c.All(two), two[0])),
    st.tuples(_tests, _tests).map(lambda two: (two[0], c.Any(two))),
)


@settings(LAW, max_examples=300)
@given(pair=_pairs, people=st.lists(facts(TODAY), min_size=5, max_size=5))
def test_what_is_implied_is_true_of_everybody(
    pair: tuple[c.Condition, c.Condition], people: list[dict[str, Any]]
) -> None:
    a, b = pair
    if implies(a, b):
        for person in people:
            view = oracle.View(person, TODAY)
            assert oracle.holds(b, view) or not oracle.holds(a, view), (a, b, person)


@given(pair=st.tuples(_tests, _tests))
def test_both_together_imply_each_and_each_implies_either(pair: tuple[c.Condition, c.Condition]) -> None:
    for one in pair:
        assert implies(c.All(pair), one)
        assert implies(one, c.Any(pair))


_VALUES = (*ATTRIBUTE_VALUES, "careers", "something else", None)
_MINUTES = (0, 4, 5, 9, 10, 11, None)


def _every_event(kind: str) -> list[dict[str, Any]]:
    choices = [_MINUTES if name == "minutes" else _VALUES for name in KINDS[kind]]
    return [
        {"kind": kind, "attributes": {n: v for n, v in zip(KINDS[kind], values, strict=True) if v is not None}}
        for values in product(*choices)
    ]


EVENTS = [event for kind in KINDS for event in _every_event(kind)]


@settings(LAW, max_examples=100)
@given(a=matches, b=matches)
def test_matchers_that_meet_do_so_in_some_event(a: c.EventMatch, b: c.EventMatch) -> None:
    if meet(a, b):
        assert any(oracle.matches(a, event, TODAY) and oracle.matches(b, event, TODAY) for event in EVENTS), (a, b)


@LAW
@given(data=st.data(), policy=policies())
def test_nobody_has_more_than_the_greatest_score(data: st.DataObject, policy: Policy) -> None:
    today = data.draw(st.sampled_from(DAYS))
    people, events = data.draw(populations(today))
    for person, of in people.items():
        happened = [event for event in events[person] if event["day"] <= today]
        view = oracle.View(of, today, happened)
        for model in policy.models:
            for dimension in (model.fit, model.engagement):
                most = greatest(dimension)
                assert most is None or oracle.dimension(dimension, view).micro <= most


@LAW
@given(data=st.data(), policy=policies())
def test_nobody_gets_the_points_of_a_line_that_is_out_of_reach(data: st.DataObject, policy: Policy) -> None:
    people = data.draw(st.lists(facts(TODAY), min_size=4, max_size=4))
    tables = [
        item
        for model in policy.models
        for group in model.fit.groups
        for item in group.items
        if isinstance(item, c.Table) and item.lines
    ]
    for table in tables:
        reachable = [id(line) for line in reachable_lines(table)]
        for person in people:
            view = oracle.View(person, TODAY)
            first = next((line for line in table.lines if oracle.holds(line.test, view)), None)
            missing = person.get(table.field) is None
            assert first is None or missing or id(first) in reachable
