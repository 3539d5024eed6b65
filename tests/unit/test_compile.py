"""The shape of the compiled query: portable, and few passes over the events."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from sqlglot import ErrorLevel, exp

from scoring import conditions as c
from scoring import sql
from scoring.compile import Compiled, compile_fresh, compile_policy
from scoring.document import PolicyInvalid
from scoring.engine import DuckDbEngine
from scoring.facts import custom_fact
from scoring.policy import GateLine, Grade, Model, Policy, Review, WritePlan
from scoring.tables import MICRO
from scoring.team import Team
from tests.support.rules import policy

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


def compiled(*rules: c.EventRule | c.AbsentRule, newest: bool = False, ignore: tuple[c.Ignore, ...] = ()) -> Compiled:
    return compile_policy(shaped(*rules, newest=newest, ignore=ignore), TODAY)


def shaped(
    *rules: c.EventRule | c.AbsentRule, newest: bool = False, ignore: tuple[c.Ignore, ...] = (), **more: Any
) -> Policy:
    group = c.Group(name="g", items=rules, max=40 * MICRO, newest_first=newest)
    model = Model(
        name="default",
        when=None,
        fit=c.Dimension(),
        engagement=c.Dimension(groups=(group,), ignore=ignore),
        grade=Grade(total_weights=(4_000, 6_000)),
        become_when=(),
    )
    return Policy(
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
        **more,
    )


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


CLICKS = c.EventMatch(("email_click",))
LINES = (
    c.Ignore(name="opens", match=c.EventMatch(("email_open",))),
    c.Ignore(name="mine", match=CLICKS, when=c.DomainIn("person.email_domain", ("acme.com",))),
    c.Ignore(name="scanner", match=CLICKS, test=c.SoonAfter("email_delivered", 10_000_000)),
    c.Ignore(name="early", match=CLICKS, test=c.BeforeFirst("email_delivered")),
    c.Ignore(name="storm", match=CLICKS, test=c.Burst(3, "link", 2_000_000)),
    c.Ignore(name="hail", match=CLICKS, test=c.Burst(9, None, 1)),
)


def test_what_a_policy_does_not_ignore_costs_nothing() -> None:
    """Lines about other kinds change no query that scores; a line without a test is a filter of the one scan."""
    plain = compiled(rule("views"))
    assert compiled(rule("views"), ignore=LINES).query.sql() == plain.query.sql()
    careers = c.Ignore(name="careers", match=c.EventMatch(("page_view",), c.OneOf("path", ("/careers",))))
    assert scans(compiled(rule("views"), ignore=(careers,)).query) == 1


def test_ids_are_looked_up_only_for_the_kinds_a_timed_line_is_about() -> None:
    query = compiled(rule("views"), rule("clicks", match=CLICKS), ignore=LINES).query
    (ids,) = query.ctes
    looked_up = [
        select
        for select in query.find_all(exp.Select)
        if any(join.this.name == ids.alias for join in select.args.get("joins") or ())
    ]
    assert len(looked_up) == 1
    kinds = [test for test in looked_up[0].find_all(exp.In) if test.this.name == "kind"]
    assert {value.this.this for test in kinds for value in test.expressions} == {"email_click"}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"needs": tuple(f"person.custom.f{n}" for n in range(63))}, "needs has more than 62 lines"),
        (
            {"review": Review(lines=tuple(GateLine(name=str(n), test=c.All()) for n in range(63)))},
            "review has more than 62",
        ),
    ],
)
def test_what_does_not_fit_into_the_bits_of_a_number_is_said(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_policy(shaped(rule("views"), **part), TODAY)


CUSTOM = {name: custom_fact(name) for name in (f"person.custom.f{n}" for n in range(61))}
SECTIONS = {
    "at most 60 lines; of a line that is a list": lambda n: {
        "mql": "{become_when: {a: ["
        + ", ".join(f"{{person.custom.f{i}: known}}" for i in range(n - 1))
        + "], z: {person.email: known}}}"
    },
    "at most 60 facts": lambda n: {
        "mql": f"{{become_when: {{a: {{person.email: known}}}}, needs: [{', '.join(list(CUSTOM)[:n])}]}}"
    },
    "review: at most 60 lines": lambda n: {
        "mql": "{become_when: {a: {person.email: known}}, review: {"
        + ", ".join(f"r{i}: {{person.custom.f{i}: known}}" for i in range(n))
        + "}}"
    },
    "fit: at most 60 different facts in tables": lambda n: {
        "fit": "{groups: {"
        + ", ".join(f"g{i}: {{field: person.custom.f{i}, points: {{known: 1}}}}" for i in range(n))
        + "}}"
    },
}


@pytest.mark.parametrize("said", SECTIONS)
def test_what_loads_fits_and_one_more_is_an_error_of_the_file(said: str) -> None:
    made = policy(custom=CUSTOM, **SECTIONS[said](60))
    assert compile_policy(made, TODAY).query
    with pytest.raises(PolicyInvalid, match=said):
        policy(custom=CUSTOM, **SECTIONS[said](61))


@pytest.mark.parametrize("newest", [False, True])
def test_every_query_is_one_that_spark_can_read(newest: bool) -> None:
    """Nothing unsupported, no pattern, no power, no floating point; places in a list are counted from 0 there."""
    per_day = replace(rule("per day"), max_per_day=20 * MICRO)
    rules = [rule(str(n), mode) for n, mode in enumerate(MODES)] + ([] if newest else [per_day])
    rules.append(rule("clicks", match=CLICKS))
    of = compiled(*rules, newest=newest, ignore=LINES)
    fresh = compile_fresh(shaped(*rules, newest=newest, ignore=LINES), TODAY)
    for query in (of.query, of.account.detail, of.account.picks, fresh.query, of.account.ignored):
        assert query is not None
        text = query.sql("spark", unsupported_level=ErrorLevel.RAISE)
        assert not re.search(r"regexp|rlike|pow|double|float", text, re.IGNORECASE)
        assert not [window for window in query.find_all(exp.Window) if window.find(exp.Distinct)]
        places = re.findall(r"`fades`\.`f\d+`\[(.*?)\]", text)
        assert places or query is of.account.ignored
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
