"""The shape of the compiled query: portable, and few passes over the events."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest
from sqlglot import ErrorLevel, exp

from scoring import conditions as c
from scoring import sql
from scoring.compile import Compiled, compile_policy
from scoring.engine import DuckDbEngine
from scoring.policy import Grade, Model, Policy, WritePlan
from scoring.tables import MICRO
from scoring.team import Team

TODAY = date(2026, 6, 15)
VIEW = c.EventMatch(("page_view",))
HALF = c.Fade(c.FadeMode.HALF_LIFE, c.Span(14))
MODES = (
    c.Count(),
    c.Count(c.CountMode.ONCE),
    c.Count(c.CountMode.ONCE_PER_DAY),
    c.Count(c.CountMode.ONCE_PER_WEEK),
    c.Count(c.CountMode.ONCE_PER_MONTH),
    c.Count(c.CountMode.ONCE_PER, "path"),
    c.Count(c.CountMode.AT_LEAST, None, 3, c.Span(7)),
    c.Count(c.CountMode.DISTINCT, "path", 3),
)


def rule(name: str, count: c.Count = MODES[0], match: c.EventMatch = VIEW) -> c.EventRule:
    return c.EventRule(name=name, reason=name, match=match, micro=8 * MICRO, fade=HALF, count=count)


def compiled(*rules: c.EventRule | c.AbsentRule, newest: bool = False) -> Compiled:
    group = c.Group(name="g", items=rules, max=40 * MICRO, newest_first=newest)
    model = Model(
        name="default",
        when=None,
        fit=c.Dimension(),
        engagement=c.Dimension(groups=(group,)),
        grade=Grade(total_weights=(4_000, 6_000)),
        become_when=(),
    )
    policy = Policy(
        name="shape",
        version="0" * 12,
        scoring_hash="0" * 12,
        timezone="UTC",
        suppress=(),
        models=(model,),
        hand_raise=VIEW,
        routing=(),
        write=WritePlan(),
        team=Team(),
    )
    return compile_policy(policy, TODAY)


def scans(query: exp.Expression) -> int:
    return sum(table.name == "events" for table in query.find_all(exp.Table))


def test_rules_share_one_pass_over_the_events() -> None:
    """Thirty rules that count every occurrence, once, or at least, with an absence: one scan, not thirty."""
    rules = [
        rule(f"{n}", MODES[(0, 1, 6)[n % 3]], c.EventMatch(("page_view",), c.OneOf("path", (str(n),))))
        for n in range(30)
    ]
    absent = c.AbsentRule(name="quiet", reason="quiet", match=VIEW, span=c.Span(60), micro=-MICRO)
    assert scans(compiled(*rules, absent).query) == 1


def test_rules_with_one_kind_of_key_share_one_grouping() -> None:
    """Days, weeks, months and one attribute: four groupings beside the pass, however many rules there are."""
    rules = [rule(f"{n}", MODES[(2, 3, 4, 5, 7)[n % 5]]) for n in range(20)]
    assert scans(compiled(*rules).query) == 1 + 4


@pytest.mark.parametrize("newest", [False, True])
def test_every_query_is_one_that_spark_can_read(newest: bool) -> None:
    """Nothing unsupported, no pattern, no power, no floating point; places in a list are counted from 0 there."""
    per_day = replace(rule("per day"), max_per_day=20 * MICRO)
    rules = [rule(str(n), mode) for n, mode in enumerate(MODES)] + ([] if newest else [per_day])
    of = compiled(*rules, newest=newest)
    for query in (of.query, of.detail, of.picks):
        assert query is not None
        text = query.sql("spark", unsupported_level=ErrorLevel.RAISE)
        assert not re.search(r"regexp|rlike|pow|double|float", text, re.IGNORECASE)
        places = re.findall(r"`fades`\.`f\d+`\[(.*?)\]", text)
        assert places
        assert all(place.endswith("+ -1") for place in places)
        assert "NULLS LAST" in text or "ORDER BY" not in text


@pytest.mark.parametrize("value", [0, 1, 499_999, 500_000, 1_000_001, -1, -499_999, -500_000, -500_001, -1_000_000])
@pytest.mark.parametrize("share", [1, 3_300, 5_000, 10_000])
def test_integer_division_rounds_as_it_says(value: int, share: int) -> None:
    """Toward minus infinity, and halves away from zero; engines' own division rounds toward zero."""
    size = abs(value) * share
    rounded = (size + 5_000) // 10_000
    query = exp.Select(
        expressions=[sql.floor_divide(sql.num(value), MICRO), sql.rounded_share(sql.num(value), share)]
    ).sql("duckdb")
    with DuckDbEngine(threads=1) as engine:
        found = engine._connection.execute(query).fetchall()
    assert found == [(value // MICRO, rounded if value >= 0 else -rounded)]
