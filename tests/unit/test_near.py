"""How far somebody is from the gate, in points and in words."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.cards import DimensionLayout, Layout, Scorecard, cards
from scoring.conditions import LabelIn, Score, ScoreAtLeast
from scoring.engine import DuckDbEngine
from scoring.near import missing, shortfall
from scoring.policy import GateLine, Policy
from tests.support.rules import TODAY, complete_policy, happened, person, policy
from tests.support.snapshots import write_bucket

FIT = """
  groups:
    size: {field: company.employees, points: {from 200: 35, from 50: 20, unknown: 5, otherwise: 0}}
    home: {field: person.country, points: {US: 40, unknown: 0, otherwise: 0}}
"""
CHATS = "{groups: {g: {rules: [{event: chat, points: 1}]}}}"
GRADE = "{fit: {A: 70, B: 40, C: 0}, engagement: {1: 50, 2: 30, 3: 0}}"


@pytest.fixture(scope="module")
def engine():
    with DuckDbEngine() as opened:
        yield opened


def card(engine: DuckDbEngine, of: Policy, facts: dict[str, Any], chats: int = 0) -> Scorecard:
    """The scorecard of somebody with these facts and as many chats today."""
    events = happened("chat", 0, count=chats) if chats else []
    with tempfile.TemporaryDirectory() as folder:
        bucket = write_bucket(Path(folder), {"p": person(facts, of=of)}, {"p": events})
        return next(cards(engine.score(of, bucket, TODAY)))


def gate(line: str, grade: str = GRADE, fit: str = FIT) -> Policy:
    return policy(fit=fit, engagement=CHATS, grade=grade, mql=f"{{become_when: {line}}}")


US200 = {"company.employees": "200", "person.country": "US"}
US = {"company.employees": "20", "person.country": "US"}


@pytest.mark.parametrize(
    ("line", "facts", "chats", "points", "said"),
    [
        # 75 fit is an A
        ("{hot: {grade: [A1, A2]}}", US200, 22, 8, "8 engagement points short of A2"),
        ("{hot: {grade: [A1]}}", US200, 49, 1, "1 engagement point short of A1"),
        ("{hot: {grade: [A1, B1]}}", US, 45, 5, "5 engagement points short of B1"),
        ("{hot: {grade: [A2]}}", US, 25, 35, "30 fit and 5 engagement points short of A2"),
        ("{hot: {engagement: from 30}}", US, 12, 18, "18 engagement points short of 30"),
        ("{hot: {fit: from 60, engagement: from 30}}", US, 12, 38, None),
        ("{hot: {total: from 90}}", US200, 5, 10, "10 total points short of 90"),
        ("{hot: {fit: [A]}}", US, 0, 30, "30 fit points short of A"),
        # one score counts once, by the furthest of its bounds
        ("{hot: {grade: [A2], engagement: from 40}}", US200, 22, 18, None),
        # the nearest of all lines; the first of equals
        ("{far: {grade: [A1]}, near: {engagement: from 25}}", US200, 22, 3, "3 engagement points short of 25"),
        ("{one: {engagement: from 30}, two: {grade: [A2]}}", US200, 22, 8, "8 engagement points short of 30"),
        # other conditions are true, in one of the alternatives
        ("{hot: {person.country: US, engagement: from 30}}", US, 12, 18, "18 engagement points short of 30"),
        ("{hot: [{person.country: DE, engagement: from 13}, {engagement: from 30}]}", US, 12, 18, None),
    ],
)
def test_the_shortfall_is_the_least_over_lines_and_cells(engine, line, facts, chats, points, said) -> None:
    of = gate(line)
    found = shortfall(of, card(engine, of, facts, chats))
    assert found is not None
    assert found.points == points
    if said is not None:
        assert str(found) == said


@pytest.mark.parametrize(
    "line",
    [
        "{hot: {person.country: DE, engagement: from 30}}",
        "{hot: {engagement: from 30, fit: below 10}}",
        "{hot: {event: demo_request, engagement: from 30}}",
        "{hot: {fit: [C]}}",
    ],
    ids=["a fact", "a score that is too high", "an event", "a label below"],
)
def test_where_points_cannot_help_there_is_no_shortfall(engine, line) -> None:
    of = gate(line)
    assert shortfall(of, card(engine, of, US, 12)) is None


def test_several_targets_are_told_one_by_one(engine) -> None:
    of = gate("{hot: {fit: from 60, engagement: from 30}}")
    found = shortfall(of, card(engine, of, US, 12))
    assert str(found) == "20 fit points short of 60 and 18 engagement points short of 30"


def test_an_open_gate_is_short_of_nothing(engine) -> None:
    of = gate("{hot: {grade: [A2]}}")
    scored = card(engine, of, US200, 35)
    found = shortfall(of, scored)
    assert found is not None
    assert (found.points, found.line) == (0, "hot")
    assert missing(of, scored) is None


def test_missing_names_the_unknown_facts_with_what_they_could_add(engine) -> None:
    of = gate("{hot: {grade: [B2]}}")
    assert missing(of, card(engine, of, {"person.country": "US"}, 22)) == (
        "8 engagement points short of B2; unknown: company.employees (up to 35)"
    )
    assert missing(of, card(engine, of, {}, 30)) == (
        "35 fit points short of B2; unknown: company.employees (up to 35), person.country (up to 40)"
    )


def test_what_an_unknown_fact_could_add_is_limited_like_its_points(engine) -> None:
    fit = """
  groups:
    size: {field: company.employees, max: 30, weight: 40%, points: {from 200: 35, unknown: 0, otherwise: 0}}
    home: {field: person.country, weight: 60%, points: {US: -5, unknown: 0, otherwise: 0}}
"""
    of = gate("{hot: {engagement: from 30}}", fit=fit)
    assert missing(of, card(engine, of, {}, 29)) == (
        "1 engagement point short of 30; unknown: company.employees (up to 12)"
    )


def test_a_person_whom_points_cannot_help_lacks_the_unknown_facts_alone(engine) -> None:
    of = gate("{hot: {person.country: DE, engagement: from 30}}")
    assert missing(of, card(engine, of, {"person.country": "US"}, 22)) == "unknown: company.employees (up to 35)"
    assert missing(of, card(engine, of, US, 22)) is None


def test_a_fit_in_thirds_has_no_shortfall_but_unknown_facts(engine) -> None:
    fit = """
  style: thirds
  start: D
  criteria:
    size: {field: company.employees, match: from 200, weight: 3}
    home: {field: person.country, match: US}
"""
    of = gate("{hot: {grade: [B1]}}", grade="{engagement: {1: 50, 2: 0}}", fit=fit)
    scored = card(engine, of, {"person.country": "US"}, 20)
    assert shortfall(of, scored) is None
    assert missing(of, scored) == "unknown: company.employees (up to 3 thirds)"


def test_nobody_who_is_suppressed_lacks_anything(engine) -> None:
    of = complete_policy()
    scored = card(engine, of, {"person.email": "kim@acme.com", "person.country": "US"})
    assert scored.suppressed == "employee"
    assert missing(of, scored) is None


# -- against a search ---------------------------------------------------------------------------------------------

PLAIN = policy(fit=FIT, engagement=CHATS, grade=GRADE)
BANDS = {"A": 70, "B": 40, "C": 0}, {"1": 50, "2": 30, "3": 0}
CELLS = [f"{f}{e}" for f in BANDS[0] for e in BANDS[1]]


def graded(fit: int, engagement: int) -> str:
    letter = next(label for label, bound in BANDS[0].items() if fit >= bound)
    return letter + next(label for label, bound in BANDS[1].items() if engagement >= bound)


def at(fit: int, engagement: int) -> Scorecard:
    """A scorecard of these points, with every line within reach of points."""
    place = Layout(
        version="v",
        day=TODAY.isoformat(),
        models=("default",),
        lines=((),),
        dimensions=tuple(
            DimensionLayout(score=score, models=("default",), groups=(), loss=f"{score}#loss")
            for score in (Score.FIT, Score.ENGAGEMENT)
        ),
    )
    return Scorecard(
        person_id="p",
        model="default",
        suppressed=None,
        grade=graded(fit, engagement),
        fit=fit,
        engagement=engagement,
        total=fit + engagement,
        fit_micro=0,
        engagement_micro=0,
        total_micro=0,
        lines=(),
        known_groups=0,
        unknown_groups=0,
        hand_raise=None,
        reach=-1,
        layout=place,
        values=(None, None),
    )


def upwards(cells: list[str]) -> tuple[str, ...]:
    """With every cell that is as good in both letters and digits."""
    return tuple(c for c in CELLS if any(c[0] <= one[0] and c[1] <= one[1] for one in cells))


CONDITIONS = st.one_of(
    st.lists(st.sampled_from(CELLS), min_size=1, max_size=3).map(lambda some: LabelIn(Score.GRADE, upwards(some))),
    st.integers(0, 80).map(lambda n: ScoreAtLeast(Score.FIT, n)),
    st.integers(0, 80).map(lambda n: ScoreAtLeast(Score.ENGAGEMENT, n)),
)


@given(st.lists(CONDITIONS, min_size=1, max_size=3), st.integers(0, 90), st.integers(0, 90))
def test_no_smaller_number_of_points_opens_the_gate_and_this_one_does(conditions, fit, engagement) -> None:
    """Whatever the lines are, adding points to fit and engagement, every way there is."""
    lines = tuple(GateLine(name=f"line {n}", test=one) for n, one in enumerate(conditions))
    of = replace(PLAIN, models=(replace(PLAIN.models[-1], become_when=lines),))

    def true(condition: Any, f: int, e: int) -> bool:
        if isinstance(condition, LabelIn):
            return graded(f, e) in condition.labels
        return (f if condition.of is Score.FIT else e) >= condition.value

    bounds = [0, 30, 40, 50, 70, *(c.value for c in conditions if isinstance(c, ScoreAtLeast))]
    reachable = [
        max(0, f - fit) + max(0, e - engagement)
        for f, e in product([fit, *bounds], [engagement, *bounds])
        if any(true(one, max(f, fit), max(e, engagement)) for one in conditions)
    ]
    found = shortfall(of, at(fit, engagement))
    assert found is not None
    assert found.points == min(reachable)
