"""The published test vectors of the policy language, letters A to D and F to H: given, expected.

Every policy is text, as a person writes it; every row goes through each engine. Unless a row says otherwise it is noon
of Monday, 2026-06-15 in New York, and points are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scoring.conditions import Fade, FadeMode, Score, Span, Unit
from scoring.facts import SENIORITIES
from scoring.fades import micro_by_age, months_between, window_start
from scoring.policy import Policy
from scoring.review import sampled
from scoring.tables import MICRO, event_row
from tests.support import engines
from tests.support.engines import Scorer
from tests.support.rules import TODAY, complete_policy, happened, instant, noon, person, policy, viewed
from tests.support.snapshots import event

COMPLETE = complete_policy()


def micro(points: str) -> int:
    return int(Decimal(points) * MICRO)


def group(rule: str, more: str = "") -> str:
    """Engagement of one group with one rule: no caps, floor 0."""
    return f"{{max: none, groups: {{g: {{{more}rules: [{{{rule}}}]}}}}}}"


def named(kind: str, attribute: str, *values: str | None) -> list[dict[str, Any]]:
    """Events today, one for each value."""
    return [
        event(f"{kind}-{n}", kind, TODAY, at=noon(TODAY), **({attribute: value} if value else {}))
        for n, value in enumerate(values)
    ]


scorer = engines.scorer


@dataclass(frozen=True, kw_only=True)
class Vector:
    """``cases``: (events, exact points of engagement) under one policy on one day."""

    engagement: str
    cases: Sequence[tuple[list[dict[str, Any]], str]]
    today: date = TODAY
    created: str | None = None


PATHS = [
    *viewed(0, 0, path="/a"),
    *happened("page_view", 1, path="/b"),
    *happened("page_view", 8, path="/a"),
]
ABSENT = "event: any, absent_for: 60 days, points: -10"
DELIVERED = happened("email_delivered", 1, email="m")
TWO = (
    "{{max: none, {}groups: {{a: {{rules: [{{event: page_view, points: -20}}]}}, "
    "b: {{rules: [{{event: chat, points: 5}}]}}}}}}"
)


def _vectors() -> dict[str, Vector]:
    view = "event: page_view, points: 10"
    today = viewed(0)
    return {
        "A7: tomorrow's event is not counted yet": Vector(
            engagement=group("event: page_view, points: 1"),
            cases=[
                ([event("t", "page_view", date(2026, 6, 16), at=instant("2026-06-16T04:30:00"))], "0"),
                (today, "1"),
            ],
        ),
        "A8: within 7 days": Vector(
            engagement=group("event: page_view, points: 1, within: 7 days"), cases=[(viewed(6), "1"), (viewed(7), "0")]
        ),
        "A9: not before 365 days": Vector(
            engagement="{max: none, not_before: 365 days, groups: {g: {rules: [{event: page_view, points: 1}]}}}",
            cases=[(viewed(364), "1"), (viewed(365), "0")],
        ),
        "A11: a date without time": Vector(
            engagement=group("event: page_view, points: 1"), cases=[([event("d", "page_view", TODAY)], "1")]
        ),
        "B1: half-life 14 days": Vector(
            engagement=group(view, "fade: half-life 14 days, "),
            cases=[
                *((viewed(0), "10"), (viewed(1), "9.516952"), (viewed(7), "7.071068")),
                *((viewed(14), "5"), (viewed(28), "2.5")),
            ],
        ),
        "B2: lose 50% every 30 days": Vector(
            engagement=group(view, "fade: lose 50% every 30 days, "),
            cases=[(viewed(a), p) for a, p in zip((29, 30, 59, 60, 90), ("10", "5", "5", "0", "0"), strict=True)],
        ),
        "B3: lose 50% every 30 days compounding": Vector(
            engagement=group(view, "fade: lose 50% every 30 days compounding, "),
            cases=[(viewed(60), "2.5"), (viewed(90), "1.25")],
        ),
        **{
            f"B4: lose 25% every month, on {day}": Vector(
                engagement=group(view, "fade: lose 25% every month, "),
                cases=[([event("e", "page_view", date(2026, 1, 31))], points)],
                today=date.fromisoformat(day),
            )
            for day, points in (("2026-02-27", "10"), ("2026-02-28", "7.5"), ("2026-03-30", "7.5"), ("2026-03-31", "5"))
        },
        "B5: expire after 90 days": Vector(
            engagement=group(view, "fade: expire after 90 days, "), cases=[(viewed(89), "10"), (viewed(90), "0")]
        ),
        "B6: negative points fade too": Vector(
            engagement="{max: none, floor: none, groups: {g: {fade: half-life 14 days, "
            "rules: [{event: page_view, points: -20}]}}}",
            cases=[(viewed(14), "-10")],
        ),
        "B7: an occurrence is rounded before it is multiplied": Vector(
            engagement=group("event: page_view, points: 1", "fade: half-life 3 days, "),
            cases=[(viewed(1, count=3), "2.381103")],
        ),
        "B8: fade none in a group that fades": Vector(
            engagement=group(f"{view}, fade: none", "fade: half-life 14 days, "), cases=[(viewed(200), "10")]
        ),
        **{
            f"C1: {count}": Vector(engagement=group(f"{view}, count: {count}"), cases=[(PATHS, points)])
            for count, points in (
                *(("every", "40"), ("once", "10"), ("once per day", "30"), ("once per week", "30")),
                *(("once per month", "10"), ("once per path", "20")),
            )
        },
        "C2: once counts the newest": Vector(
            engagement=group(f"{view}, count: once", "fade: half-life 7 days, "), cases=[(viewed(7, 14), "5")]
        ),
        "C3: at least 5 in 7 days": Vector(
            engagement=group(f"{view}, count: at least 5 in 7 days"),
            cases=[([*viewed(0, count=4), *viewed(6)], "10"), ([*viewed(0, count=4), *viewed(7)], "0")],
        ),
        "C4: at least, dated at the newest": Vector(
            engagement=group(f"{view}, count: at least 2 in 7 days", "fade: half-life 3 days, "),
            cases=[(viewed(3, 6), "5")],
        ),
        "C5: distinct feature at least 3": Vector(
            engagement=group("event: product_use, points: 10, count: distinct feature at least 3"),
            cases=[
                (named("product_use", "feature", "a", "A", "b"), "0"),
                (named("product_use", "feature", "a", None, "b"), "0"),
                (named("product_use", "feature", "a", "c", "b"), "10"),
            ],
        ),
        "C6: once per email": Vector(
            engagement=group("event: email_click, points: 2, count: once per email"),
            cases=[(named("email_click", "email", *["m1"] * 7, "M1", None, None), "4")],
        ),
        "C7: max per day": Vector(
            engagement=group("event: page_view, points: 8, max_per_day: 20"), cases=[(viewed(0, 0, 0, 0, 1), "28")]
        ),
        "C8: only if at least 3 in 30 days": Vector(
            engagement=group("event: page_view, points: 8, only_if: at least 3 in 30 days"),
            cases=[(viewed(0, 0), "0"), (viewed(0, 0, 0), "24")],
        ),
        "C9: absent for 60 days": Vector(
            engagement=group(ABSENT).replace("max: none", "max: none, floor: none"),
            cases=[([*DELIVERED, *viewed(a)], p) for a, p in ((59, "0"), (60, "-10"), (179, "-10"))],
        ),
        "C9: absent, every 60 days": Vector(
            engagement=group(f"{ABSENT}, count: every").replace("max: none", "max: none, floor: none"),
            cases=[([*DELIVERED, *viewed(179)], "-20")],
        ),
        "C10: no events, created 45 days ago": Vector(
            engagement=group(ABSENT).replace("max: none", "max: none, floor: none"),
            cases=[([], "0")],
            created=str(TODAY - timedelta(days=45)),
        ),
        "D1: max limits the sum after fading": Vector(
            engagement=group("event: page_view, points: 5, max: 20", "fade: half-life 14 days, "),
            cases=[(viewed(*[14] * 10), "20")],
        ),
        "D2: cap newest limits which events count": Vector(
            engagement=group("event: page_view, points: 5, max: 20, cap: newest", "fade: half-life 14 days, "),
            cases=[(viewed(*[14] * 10), "10")],
        ),
        "D3: the third does not fit": Vector(
            engagement=group("event: page_view, points: 8, max: 20, cap: newest", "fade: half-life 7 days, "),
            cases=[(viewed(0, 7, 14), "12")],
        ),
        "D4: rule max, then group max": Vector(
            engagement="{max: none, groups: {a: {max: 30, rules: [{event: chat, points: 20, max: 25}, "
            "{event: page_view, points: 12}]}, b: {rules: [{event: form_submit, points: 15}]}}}",
            cases=[([*happened("chat", 0, count=2), *today, *happened("form_submit", 0)], "45")],
        ),
        "D5: the cap is on the sum": Vector(
            engagement="{max: none, groups: {a: {max: 30, rules: [{event: page_view, points: 40}, "
            "{event: chat, points: -5}]}}}",
            cases=[([*today, *happened("chat", 0)], "30")],
        ),
        "D6: a penalty in a group of its own": Vector(
            engagement="{max: none, groups: {a: {max: 30, rules: [{event: page_view, points: 40}]}, "
            "b: {rules: [{event: chat, points: -5}]}}}",
            cases=[([*today, *happened("chat", 0)], "25")],
        ),
        "D7: the floor is on the dimension": Vector(
            engagement=TWO.format(""), cases=[([*today, *happened("chat", 0)], "0")]
        ),
        "D8: floor none": Vector(
            engagement=TWO.format("floor: none, "), cases=[([*today, *happened("chat", 0)], "-15")]
        ),
        "D9: group min": Vector(
            engagement="{max: none, floor: none, groups: {g: {min: -15, rules: [{event: page_view, points: -10}]}}}",
            cases=[(viewed(0, 1, 2), "-15")],
        ),
        "D10: best, weights": Vector(
            engagement="{max: none, groups: {a: {take: best, weight: 40%, rules: [{event: chat, points: 50}, "
            "{event: page_view, points: 75}]}, b: {weight: 60%, rules: [{event: form_submit, points: 75}]}}}",
            cases=[([*happened("chat", 0), *today, *happened("form_submit", 0)], "75")],
        ),
        "D12: weight 33%": Vector(
            engagement="{max: none, groups: {a: {weight: 33%, rules: [{event: page_view, points: 0.5}]}, "
            "b: {weight: 67%, rules: [{event: chat, points: 1}]}}}",
            cases=[(today, "0.165")],
        ),
        **{
            f"absent, every month, on {day}": Vector(
                engagement=group("event: page_view, absent_for: 1 month, points: -10, count: every").replace(
                    "max: none", "max: none, floor: none"
                ),
                cases=[([event("e", "page_view", date.fromisoformat(seen))], points) for seen, points in cases],
                today=date.fromisoformat(day),
            )
            for day, cases in (
                ("2026-02-28", (("2026-01-31", "-10"), ("2025-12-29", "-20"), ("2026-01-29", "-10"))),
                ("2026-03-30", (("2026-01-31", "-10"), ("2026-01-30", "-20"), ("2026-02-28", "-10"))),
            )
        },
    }


VECTORS = _vectors()


@pytest.mark.parametrize("name", VECTORS)
def test_engagement_vector(scorer: Scorer, name: str) -> None:
    vector = VECTORS[name]
    created = {"person.created_at": vector.created} if vector.created is not None else {}
    people = {str(n): person(created) for n in range(len(vector.cases))}
    events = {str(n): given for n, (given, _) in enumerate(vector.cases)}
    found = scorer.score(policy(engagement=vector.engagement), people, events, vector.today)
    assert [found[p].engagement.micro for p in people] == [micro(points) for _, points in vector.cases]


# -- A: days -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "at", "as_of", "age"),
    [
        ("America/New_York", "2026-03-08T04:30:00", "2026-03-08T05:30:00", 1),
        ("UTC", "2026-03-08T04:30:00", "2026-03-08T05:30:00", 0),
        ("America/New_York", "2026-03-07T17:00:00", "2026-03-14T16:00:00", 7),
        ("America/New_York", "2026-11-01T03:59:59", "2026-11-02T04:30:00", 1),
        ("America/New_York", "2026-11-01T04:00:00", "2026-11-02T04:59:59", 0),
        ("America/New_York", "2026-06-15T23:00:00", "2026-06-15T16:00:00", 0),
    ],
    ids=["A1", "A2", "A3", "A4", "A5", "A6"],
)
def test_ages_are_calendar_days_of_the_zone(scorer: Scorer, zone: str, at: str, as_of: str, age: int) -> None:
    """A rule that loses a tenth of its 10 points a day tells the age."""
    where = ZoneInfo(zone)
    stored = event_row("p", "e", "page_view", instant(at), zone=where)
    of = policy(timezone=zone, engagement=group("event: page_view, points: 10", "fade: lose 10% every day, "))
    given = {"p": [event("e", "page_view", stored["day"], at=stored["at"])]}
    found = scorer.score(of, {"p": person({})}, given, instant(as_of).astimezone(where).date())
    assert found["p"].engagement.micro == (10 - age) * MICRO


MONTHS = [
    ("2026-01-31", "2026-02-27", 0),
    ("2026-01-31", "2026-02-28", 1),
    ("2026-02-28", "2026-03-28", 1),
    ("2028-02-29", "2029-02-28", 12),
]


@pytest.mark.parametrize(("start", "end", "months"), [*MONTHS, ("2026-03-01", "2026-02-28", -1)])
def test_months_are_whole_calendar_months(start: str, end: str, months: int) -> None:
    """A10, and one the other way round."""
    assert months_between(date.fromisoformat(start), date.fromisoformat(end)) == months


@pytest.mark.parametrize(("start", "end", "months"), MONTHS)
def test_a_fade_by_months_counts_whole_calendar_months(scorer: Scorer, start: str, end: str, months: int) -> None:
    """A10 as points: 5 of 100 are lost every month."""
    of = policy(engagement=group("event: page_view, points: 100", "fade: lose 5% every month, "))
    given = {"p": [event("e", "page_view", date.fromisoformat(start))]}
    found = scorer.score(of, {"p": person({})}, given, date.fromisoformat(end))
    assert found["p"].engagement.micro == (100 - 5 * months) * MICRO


def test_a_window_reaches_no_further_than_the_calendar() -> None:
    assert window_start(Span(10_000_000), TODAY) == date.min
    assert window_start(Span(100_000, Unit.MONTH), TODAY) == date.min


def test_a_fade_of_everything_leaves_the_first_period_alone() -> None:
    everything = Fade(FadeMode.COMPOUND, Span(2), 10_000)
    assert micro_by_age(7, everything, TODAY, 4) == (7, 7, 0, 0)


# -- D: rounding -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "rest", "lost", "exact", "whole"),
    [
        ("69.499", "0.001", "0.1%", "69.499999", 69),
        ("69.5", "0.001", "100%", "69.5", 70),
        ("-0.5", "-0.001", "100%", "-0.5", 0),
        ("-0.5", "-0.001", "99.9%", "-0.500001", -1),
        ("-0.6", "-0.001", "100%", "-0.6", -1),
        ("-1.5", "-0.001", "100%", "-1.5", -1),
    ],
)
def test_whole_points_are_rounded_half_up(
    scorer: Scorer, points: str, rest: str, lost: str, exact: str, whole: int
) -> None:
    """D11, and two more. A policy says thousandths; the millionths are left of one that faded."""
    of = policy(
        engagement="{max: none, floor: none, groups: {g: {rules: ["
        f"{{event: page_view, points: {points}}}, {{event: chat, points: {rest}, fade: lose {lost} every day}}]}}}}}}"
    )
    found = scorer.score(of, {"p": person({})}, {"p": [*viewed(0), *happened("chat", 1)]}, TODAY)["p"]
    assert (found.engagement.micro, found.whole[Score.ENGAGEMENT]) == (micro(exact), whole)


# -- F: conditions and fit tables --------------------------------------------------------------------------------


def table(field: str, points: str, **sections: str) -> Policy:
    return policy(fit=f"{{groups: {{t: {{field: {field}, points: {{{points}}}}}}}}}", **sections)


@pytest.mark.parametrize(("value", "points"), [("NO", 15), ("no", 15), ("US", 1), ("", 3), (None, 3), ("unknown", 3)])
def test_a_table_of_countries(scorer: Scorer, value: str | None, points: int) -> None:
    """F1."""
    of = table("person.country", "in home: 15, unknown: 3, otherwise: 1", lists="{home: [NO, SE]}")
    found = scorer.score(of, {"p": person({"person.country": value} if value is not None else {})}, {}, TODAY)["p"]
    assert found.fit.micro == points * MICRO


def test_a_table_without_an_unknown_line_gives_nothing_for_what_is_missing(scorer: Scorer) -> None:
    """F2."""
    of = table("person.country", "in home: 15, otherwise: 1", lists="{home: [NO, SE]}")
    found = scorer.score(of, {"p": person({})}, {}, TODAY)["p"]
    assert (found.fit.micro, found.unknown_groups, found.known_groups) == (0, 1, 0)
    assert found.unknown == ("person.country",)


@pytest.mark.parametrize(
    ("employees", "points"), [("2000", 25), ("1999", 35), ("199.5", 20), ("49", 0), ("unknown", 5)]
)
def test_a_table_of_sizes(scorer: Scorer, employees: str, points: int) -> None:
    """F3: the size table of the complete example."""
    found = scorer.score(COMPLETE, {"p": person({"company.employees": employees}, of=COMPLETE)}, {}, TODAY)["p"]
    assert found.fit.groups["company_size"] == points * MICRO


STUDENT, RIVALS = "person.title: has word student or intern", "person.email_domain: in rivals"
CONDITIONS: list[tuple[str, str, dict[str, str], bool]] = [
    ("F4", STUDENT, {"person.title": "Internal Audit Director"}, False),
    ("F4", STUDENT, {"person.title": "Marketing INTERN (summer)"}, True),
    ("F5", "person.title: has word vice president", {"person.title": "Vice-President, Sales"}, True),
    ("F6", "person.title: contains audit", {"person.title": "Internal Auditor"}, True),
    ("F7", RIVALS, {"person.email": "a@mail.Rival.io"}, True),
    ("F7", RIVALS, {"person.email": "a@notrival.io"}, False),
    ("F8", "person.email_domain: not in rivals", {}, False),
    ("F9", "person.consent: [none, unknown]", {}, True),
    ("F10", "person.consent: none", {}, False),
    ("F11", "person.lead_status: is in review", {"person.lead_status": "In Review"}, True),
    ("F12", "person.title: not has word intern", {"person.title": "CEO"}, True),
    ("F13", "person.seniority: from director", {"person.title": "VP Sales"}, True),
    ("F14", "person.seniority: below director", {}, False),
    (
        "F15",
        "company.employees: below 50, person.country: US",
        {"company.employees": "49", "person.country": "us"},
        True,
    ),
    ("F16", "person.created_at: within 30 days", {"person.created_at": "2026-05-16"}, False),
    ("F17", "person.created_at: older than 30 days", {"person.created_at": "2026-05-16"}, True),
    ("percent", "person.title: contains 100%", {"person.title": "100 percent"}, False),
    ("underscore", "person.title: contains a_b", {"person.title": "acb"}, False),
    ("quote", "person.title: contains o'b", {"person.title": "O'Brien"}, True),
]


def test_conditions_hold_as_published(scorer: Scorer) -> None:
    """F4 to F17, and texts that SQL would read as patterns: every condition is a rule worth a point."""
    rules = ", ".join(
        f"{{name: {name} {n}, when: {{{test}}}, points: 1}}" for n, (name, test, *_) in enumerate(CONDITIONS)
    )
    of = policy(lists="{rivals: [rival.io]}", fit=f"{{groups: {{g: {{rules: [{rules}]}}}}}}")
    people = {f"p{n}": person(facts) for n, (*_, facts, _) in enumerate(CONDITIONS)}
    found = scorer.score(of, people, {}, TODAY)
    holds = [found[f"p{n}"].fit.items["g", f"{name} {n}"][0] == MICRO for n, (name, *_) in enumerate(CONDITIONS)]
    assert holds == [expected for *_, expected in CONDITIONS]


@pytest.mark.parametrize(
    ("title", "rank"),
    [
        ("Vice President Sales", "vp"),
        ("President", "c_level"),
        ("Executive Assistant to the CEO", "individual"),
        ("Internal Audit Director", "director"),
        ("Lead Generation Manager", "manager"),
        ("Werkstudent", "student"),
        ("Head of Student Affairs", "head"),
        ("Analyst", "individual"),
        ("", None),
    ],
)
def test_the_seniority_of_a_title(scorer: Scorer, title: str, rank: str | None) -> None:
    """F18."""
    names = dict.fromkeys(SENIORITIES, 0) | ({rank: 1} if rank is not None else {})
    lines = ", ".join(f"{name}: {points}" for name, points in names.items())
    of = table("person.seniority", f"{lines}, unknown: {int(rank is None)}")
    assert scorer.score(of, {"p": person({"person.title": title})}, {}, TODAY)["p"].fit.micro == MICRO


def test_the_floor_of_fit_is_on_the_dimension(scorer: Scorer) -> None:
    """F19."""
    rule = "{{name: {}, when: {{person.email: unknown}}, points: {}}}"
    of = policy(
        fit=f"{{groups: {{a: {{rules: [{rule.format('five', -5)}, {rule.format('fifteen', -15)}]}}, "
        f"b: {{rules: [{rule.format('ten', 10)}]}}}}}}"
    )
    found = scorer.score(of, {"p": person({})}, {}, TODAY)["p"]
    assert (found.fit.micro, sum(found.fit.groups.values())) == (0, micro("-10"))


def test_the_best_of_rules_is_one_that_is_true(scorer: Scorer) -> None:
    rule = "{{name: {}, when: {{person.country: {}}}, points: {}}}"
    rules = ", ".join(rule.format(*one) for one in (("a", "US", -5), ("b", "[US, DE]", -9), ("c", "FR", 3)))
    of = policy(fit=f"{{floor: none, groups: {{g: {{take: best, rules: [{rules}]}}}}}}")
    people = {country: person({"person.country": country}) for country in ("US", "DE", "FR", "NO")}
    found = scorer.score(of, people, {}, TODAY)
    assert {p: one.fit.micro // MICRO for p, one in found.items()} == {"US": -5, "DE": -9, "FR": 3, "NO": 0}


# -- G: thirds ---------------------------------------------------------------------------------------------------

CRITERIA = ("person.title", "person.department", "person.region", "person.city", "person.language")


@pytest.mark.parametrize(
    ("start", "weight", "said", "step"),
    [
        ("D", 2, "+++++", "A+"),
        ("D", 2, "-----", "F"),
        ("D", 2, "+++-?", "C+"),
        ("D", 2, "?????", "D"),
        ("D", 3, "+++++", "A+"),
        ("D", 3, "++++-", "A"),
        ("D", 1, "+????", "D+"),
        ("C", 3, "-????", "D"),
    ],
    ids=["G1 all", "G1 none", "G1 mixed", "G1 unknown", "G2", "G3", "G4", "G5"],
)
def test_a_fit_in_thirds(scorer: Scorer, start: str, weight: int, said: str, step: str) -> None:
    """Criteria that match (+), do not (-) or are unknown (?)."""
    criteria = ", ".join(
        f"c{n}: {{field: {field}, match: is good, weight: {weight}}}" for n, field in enumerate(CRITERIA)
    )
    of = policy(fit=f"{{style: thirds, start: {start}, criteria: {{{criteria}}}}}", grade="{engagement: {1: 1, 2: 0}}")
    facts = {field: {"+": "good", "-": "bad", "?": ""}[sign] for field, sign in zip(CRITERIA, said, strict=True)}
    found = scorer.score(of, {"p": person(facts)}, {}, TODAY)["p"]
    assert found.grade == f"{step}2"
    assert (found.unknown_groups, found.known_groups) == (said.count("?"), 5 - said.count("?"))
    worth = {"+": weight, "-": -weight, "?": 0}
    assert [micro // MICRO for micro in found.fit.groups.values()] == [worth[sign] for sign in said]


# -- H: grade, total, gate ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "said", "cell", "true"),
    [
        ("B+", "B+1", "B1", True),
        ("B-", "B-1", "B1", True),
        ("B+", "B+1", "B+1", True),
        ("B", "B1", "B+1", False),
    ],
)
def test_a_bare_letter_means_all_its_steps(scorer: Scorer, style: str, said: str, cell: str, true: bool) -> None:
    """H1."""
    of = policy(
        fit=f"{{style: thirds, start: {style}, criteria: {{c: {{field: person.title, match: is x}}}}}}",
        grade="{engagement: {1: 0}}",
        mql=f"{{become_when: {{line: {{grade: [{cell}]}}}}}}",
    )
    found = scorer.score(of, {"p": person({})}, {}, TODAY)["p"]
    assert (found.grade, bool(found.lines)) == (said, true)


def always(points: str) -> str:
    return f"{{max: none, groups: {{g: {{rules: [{{when: {{person.email: unknown}}, points: {points}}}]}}}}}}"


@pytest.mark.parametrize(("points", "label"), [("69", "B"), ("70", "A"), ("69.5", "A"), ("0", "D")])
def test_grades_are_cut_from_whole_points(scorer: Scorer, points: str, label: str) -> None:
    """H2, and what was rounded up."""
    of = policy(fit=always(points), grade="{fit: {A: 70, B: 45, C: 20, D: 0}}")
    assert scorer.score(of, {"p": person({})}, {}, TODAY)["p"].grade == label


@pytest.mark.parametrize(
    ("fit", "engagement", "weights", "exact", "whole"),
    [
        ("72.5", "51.25", "weights: {fit: 40%, engagement: 60%}", "59.75", 60),
        ("69.5", "69.4", "weights: {fit: 50%, engagement: 50%}", "69.45", 69),
        ("12", "30", "bands: {all: 0}", "42", 42),
        ("12", "30", "max: 40, bands: {hot: 40, cold: 0}", "40", 40),
    ],
    ids=["H3", "H4", "plain sum", "max"],
)
def test_the_total_starts_from_exact_scores(
    scorer: Scorer, fit: str, engagement: str, weights: str, exact: str, whole: int
) -> None:
    of = policy(
        fit=always(fit), engagement=group(f"event: page_view, points: {engagement}"), grade=f"{{total: {{{weights}}}}}"
    )
    found = scorer.score(of, {"p": person({})}, {"p": viewed(0)}, TODAY)["p"]
    assert (found.total_micro, found.whole[Score.TOTAL]) == (micro(exact), whole)


VP = {
    "person.title": "VP Sales",
    "person.email": "vp@bigcorp.example",
    "person.country": "US",
    "company.name": "Big Corp",
    "company.employees": "800",
    "company.industry": "Software",
}
SELF_SERVE = {"company.employees": "40", "person.source": "product"}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in VP.items() if name not in names}


def demo(age: int) -> list[dict[str, Any]]:
    return happened("demo_request", age, form="demo")


@pytest.mark.parametrize(
    ("facts", "given", "expected"),
    [
        (VP, demo(6), {"grade": "A1", "mql": "asked_for_sales"}),
        (VP, demo(7), {"grade": "A1", "mql": "hot_and_right"}),
        (VP, demo(30), {"grade": "A3", "mql": None}),
        (
            without("person.title", "company.industry"),
            demo(0),
            {"grade": "B1", "mql": "asked_for_sales", "review": ("thin_profile",)},
        ),
        (without("company.name"), demo(0), {"grade": "A1", "mql": "asked_for_sales", "needs": ("company.name",)}),
        (
            VP | {"company.open_opportunities": "1", "person.email": "vp@rival.io"},
            demo(0),
            {"grade": "A1", "suppressed": "open_opportunity"},
        ),
        (VP | {"person.country": "DE"}, demo(0), {"grade": "A1", "suppressed": "no_consent"}),
        (
            VP | SELF_SERVE,
            [*happened("product_signup", 0, product="x"), *viewed(0, path="/pricing")],
            {"model": "self_serve", "fit": 65, "engagement": 38, "grade": "A2", "mql": "hot_and_right"},
        ),
    ],
    ids=["H5", "H6", "H7", "H8", "H9", "H10", "H11", "H12"],
)
def test_the_complete_example(
    scorer: Scorer, facts: dict[str, str], given: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    """H5 to H12. Suppressed people pass no gate, whatever lines are true of them."""
    found = scorer.score(COMPLETE, {"p": person(facts, of=COMPLETE)}, {"p": given}, TODAY)["p"]
    shown = {
        "grade": found.grade,
        "model": found.model,
        "fit": found.whole[Score.FIT],
        "engagement": found.whole[Score.ENGAGEMENT],
        "suppressed": found.suppressed,
        "mql": next(iter(found.lines), None),
        "needs": found.needs,
        "review": found.review,
    }
    assert {key: shown[key] for key in expected} == expected
    if "suppressed" not in expected:
        assert found.suppressed is None
        assert (found.needs, found.review) == (expected.get("needs", ()), expected.get("review", ()))


@pytest.mark.parametrize(
    ("episode", "drawn"),
    [(1, [2, 7, 57, 58, 67, 150, 169, 178]), (2, [81, 103, 130, 145, 197])],
    ids=["H13", "H14"],
)
def test_the_review_sample(episode: int, drawn: list[int]) -> None:
    assert COMPLETE.review is not None
    share = COMPLETE.review.sample
    found = [n for n in range(1, 200) if sampled(COMPLETE.name, f"p-{n}", episode, share)]
    assert found == drawn
