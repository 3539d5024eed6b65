"""The published test vectors of the policy language, letters A to D, F and H: given, expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scoring.cards import Scorecard, cards
from scoring.conditions import (
    AbsentRule,
    AgeBelow,
    AgeFrom,
    All,
    AtLeast,
    Below,
    Combine,
    Condition,
    Contains,
    Count,
    CountMode,
    Dimension,
    DomainIn,
    EventMatch,
    EventRule,
    Fade,
    FadeMode,
    FitRule,
    Group,
    HasWords,
    Known,
    Missing,
    Not,
    OneOf,
    Span,
    Table,
    TableLine,
    Unit,
)
from scoring.conditions import Any as AnyOf
from scoring.engine import DuckDbEngine
from scoring.facts import custom_fact
from scoring.fades import micro_by_age, months_between, window_start
from scoring.policy import Bands, Grade, Model, Policy, WritePlan
from scoring.tables import MICRO, Bucket, events_schema, people_schema
from scoring.team import Team
from tests.support.snapshots import event, event_row, person_row, write_bucket, write_rows

TODAY = date(2026, 6, 15)
"""A Monday."""

SHOWN = 500_000


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as one:
        yield one


NO_GRADE = Grade()


def micro(points: float | str | Decimal) -> int:
    return int(Decimal(str(points)) * MICRO)


def policy(fit: Dimension, engagement: Dimension, grade: Grade = NO_GRADE) -> Policy:
    model = Model(name="default", when=None, fit=fit, engagement=engagement, grade=grade, become_when=())
    return Policy(
        name="vectors",
        version="0" * 12,
        scoring_hash="0" * 12,
        timezone="America/New_York",
        suppress=(),
        models=(model,),
        hand_raise=EventMatch(("demo_request",)),
        routing=(),
        write=WritePlan(),
        team=Team(),
    )


EMPTY = Dimension()
VIEW = EventMatch(("page_view",))
FEATURE = EventMatch(("product_use",))
DAY14, DAY7, DAY3 = (Fade(FadeMode.HALF_LIFE, Span(n)) for n in (14, 7, 3))
LOSE_MONTHLY = Fade(FadeMode.LINEAR, Span(1, Unit.MONTH), 2_500)


def rule(points: float, match: EventMatch = VIEW, **options: Any) -> EventRule:
    name = options.pop("name", f"{match.kinds[0]} {points}")
    return EventRule(name=name, reason=name, match=match, micro=micro(points), **options)


def group(*rules: EventRule | AbsentRule, **options: Any) -> Group:
    return Group(name=options.pop("name", "group"), items=rules, **options)


def dimension(*groups: Group, floor: int | None = 0, **options: Any) -> Dimension:
    return Dimension(groups=groups, max=None, floor=floor, **options)


def views(*ages: int, count: int = 1, today: date = TODAY, **attributes: Any) -> list[dict[str, Any]]:
    return [
        event(f"e{n}", "page_view", today - timedelta(days=age), count=count, **attributes)
        for n, age in enumerate(ages)
    ]


def features(*names: str | None) -> list[dict[str, Any]]:
    return [event(f"f{n}", "product_use", TODAY, feature=name) for n, name in enumerate(names)]


def clicks(*emails: str | None) -> list[dict[str, Any]]:
    return [event(f"c{n}", "email_click", TODAY, email=email) for n, email in enumerate(emails)]


def made(kind: str, count: int = 1) -> list[dict[str, Any]]:
    return [event(kind, kind, TODAY, count=count)]


@dataclass(frozen=True, kw_only=True)
class Vector:
    """``cases``: (events, exact points of engagement) under one dimension on one day."""

    engagement: Dimension
    cases: Sequence[tuple[list[dict[str, Any]], str]]
    today: date = TODAY
    created: date | None = None


PATHS = [
    event("1", "page_view", TODAY, path="/a"),
    event("2", "page_view", TODAY, path="/a"),
    event("3", "page_view", TODAY - timedelta(days=1), path="/b"),
    event("4", "page_view", TODAY - timedelta(days=8), path="/a"),
]


def counting(mode: CountMode, attribute: str | None = None) -> Dimension:
    return dimension(group(rule(10, count=Count(mode, attribute))))


def at_least(n: int, days: int) -> Count:
    return Count(CountMode.AT_LEAST, n=n, window=Span(days))


DISTINCT = Count(CountMode.DISTINCT, "feature", 3)
PER_EMAIL = rule(2, EventMatch(("email_click",)), count=Count(CountMode.ONCE_PER, "email"))
ABSENT = AbsentRule(name="quiet", reason="quiet", match=VIEW, span=Span(60), micro=micro(-10))
DELIVERED = event("d", "email_delivered", TODAY - timedelta(days=1), email="m")
CHAT, FORM = EventMatch(("chat",)), EventMatch(("form_submit",))
PLUS, MINUS = rule(40), rule(-5, CHAT)
PENALTY, BONUS = rule(-20), rule(5, CHAT)
D4 = dimension(group(rule(20, CHAT, max=micro(25)), rule(12), name="a", max=micro(30)), group(rule(15, FORM), name="b"))
D10 = dimension(
    group(rule(50, CHAT), rule(75), name="a", combine=Combine.BEST, weight=4_000),
    group(rule(75, FORM), name="b", weight=6_000),
)

VECTORS: dict[str, Vector] = {
    "A7: tomorrow's event is not counted yet": Vector(
        engagement=dimension(group(rule(1))), cases=[(views(-1), "0"), (views(0), "1")]
    ),
    "A8: within 7 days": Vector(
        engagement=dimension(group(rule(1, window=Span(7)))), cases=[(views(6), "1"), (views(7), "0")]
    ),
    "A9: not before 365 days": Vector(
        engagement=dimension(group(rule(1)), not_before=Span(365)), cases=[(views(364), "1"), (views(365), "0")]
    ),
    "A11: a date without time": Vector(engagement=dimension(group(rule(1))), cases=[(views(0), "1")]),
    "B1: half-life 14 days": Vector(
        engagement=dimension(group(rule(10, fade=DAY14))),
        cases=[
            (views(0), "10"),
            (views(1), "9.516952"),
            (views(7), "7.071068"),
            (views(14), "5"),
            (views(28), "2.5"),
        ],
    ),
    "B2: lose 50% every 30 days": Vector(
        engagement=dimension(group(rule(10, fade=Fade(FadeMode.LINEAR, Span(30), 5_000)))),
        cases=[(views(a), p) for a, p in zip((29, 30, 59, 60, 90), ("10", "5", "5", "0", "0"), strict=True)],
    ),
    "B3: lose 50% every 30 days compounding": Vector(
        engagement=dimension(group(rule(10, fade=Fade(FadeMode.COMPOUND, Span(30), 5_000)))),
        cases=[(views(60), "2.5"), (views(90), "1.25")],
    ),
    **{
        f"B4: lose 25% every month, on {day}": Vector(
            engagement=dimension(group(rule(10, fade=LOSE_MONTHLY))),
            cases=[([event("e", "page_view", date(2026, 1, 31))], points)],
            today=day,
        )
        for day, points in (
            (date(2026, 2, 27), "10"),
            (date(2026, 2, 28), "7.5"),
            (date(2026, 3, 30), "7.5"),
            (date(2026, 3, 31), "5"),
        )
    },
    "B5: expire after 90 days": Vector(
        engagement=dimension(group(rule(10, fade=Fade(FadeMode.EXPIRE, Span(90))))),
        cases=[(views(89), "10"), (views(90), "0")],
    ),
    "B6: negative points fade too": Vector(
        engagement=dimension(group(rule(-20, fade=DAY14)), floor=None), cases=[(views(14), "-10")]
    ),
    "B7: an occurrence is rounded before it is multiplied": Vector(
        engagement=dimension(group(rule(1, fade=DAY3))), cases=[(views(1, count=3), "2.381103")]
    ),
    "B8: fade none": Vector(engagement=dimension(group(rule(10))), cases=[(views(200), "10")]),
    "C1: every": Vector(engagement=counting(CountMode.EVERY), cases=[(PATHS, "40")]),
    "C1: once": Vector(engagement=counting(CountMode.ONCE), cases=[(PATHS, "10")]),
    "C1: once per day": Vector(engagement=counting(CountMode.ONCE_PER_DAY), cases=[(PATHS, "30")]),
    "C1: once per week": Vector(engagement=counting(CountMode.ONCE_PER_WEEK), cases=[(PATHS, "30")]),
    "C1: once per month": Vector(engagement=counting(CountMode.ONCE_PER_MONTH), cases=[(PATHS, "10")]),
    "C1: once per path": Vector(engagement=counting(CountMode.ONCE_PER, "path"), cases=[(PATHS, "20")]),
    "C2: once counts the newest": Vector(
        engagement=dimension(group(rule(10, fade=DAY7, count=Count(CountMode.ONCE)))), cases=[(views(7, 14), "5")]
    ),
    "C3: at least 5 in 7 days": Vector(
        engagement=dimension(group(rule(10, count=at_least(5, 7)))),
        cases=[
            ([*views(0, count=4), event("x", "page_view", TODAY - timedelta(days=6))], "10"),
            ([*views(0, count=4), event("x", "page_view", TODAY - timedelta(days=7))], "0"),
        ],
    ),
    "C4: at least, dated at the newest": Vector(
        engagement=dimension(group(rule(10, fade=DAY3, count=at_least(2, 7)))), cases=[(views(3, 6), "5")]
    ),
    "C5: distinct feature at least 3": Vector(
        engagement=dimension(group(rule(10, FEATURE, count=DISTINCT))),
        cases=[(features("a", "A", "b"), "0"), (features("a", None, "b"), "0"), (features("a", "c", "b"), "10")],
    ),
    "C6: once per email": Vector(
        engagement=dimension(group(PER_EMAIL)), cases=[(clicks(*["m1"] * 7, "M1", None, None), "4")]
    ),
    "C7: max per day": Vector(
        engagement=dimension(group(rule(8, max_per_day=micro(20)))), cases=[(views(0, 0, 0, 0, 1), "28")]
    ),
    "C8: only if at least 3 in 30 days": Vector(
        engagement=dimension(group(rule(8, only_if=at_least(3, 30)))),
        cases=[(views(0, 0), "0"), (views(0, 0, 0), "24")],
    ),
    "C9: absent for 60 days": Vector(
        engagement=dimension(group(ABSENT), floor=None),
        cases=[([DELIVERED, *views(a)], p) for a, p in ((59, "0"), (60, "-10"), (179, "-10"))],
    ),
    "C9: absent, every 60 days": Vector(
        engagement=dimension(group(replace(ABSENT, every=True)), floor=None), cases=[([DELIVERED, *views(179)], "-20")]
    ),
    **{
        f"absent, every month, on {day}": Vector(
            engagement=dimension(group(replace(ABSENT, span=Span(1, Unit.MONTH), every=True)), floor=None),
            cases=[([event("e", "page_view", seen)], points) for seen, points in cases],
            today=day,
        )
        for day, cases in (
            (date(2026, 2, 28), ((date(2026, 1, 31), "-10"), (date(2025, 12, 29), "-20"), (date(2026, 1, 29), "-10"))),
            (date(2026, 3, 30), ((date(2026, 1, 31), "-10"), (date(2026, 1, 30), "-20"), (date(2026, 2, 28), "-10"))),
        )
    },
    "C10: no events, created 45 days ago": Vector(
        engagement=dimension(group(ABSENT), floor=None), cases=[([], "0")], created=TODAY - timedelta(days=45)
    ),
    "D1: max limits the sum after fading": Vector(
        engagement=dimension(group(rule(5, fade=DAY14, max=micro(20)))), cases=[(views(*[14] * 10), "20")]
    ),
    "D2: cap newest limits which events count": Vector(
        engagement=dimension(group(rule(5, fade=DAY14, max=micro(20), newest_first=True))),
        cases=[(views(*[14] * 10), "10")],
    ),
    "D3: the third does not fit": Vector(
        engagement=dimension(group(rule(8, fade=DAY7, max=micro(20), newest_first=True))),
        cases=[(views(0, 7, 14), "12")],
    ),
    "D4: rule max, then group max": Vector(
        engagement=D4, cases=[([*made("chat", 2), *views(0), *made("form_submit")], "45")]
    ),
    "D5: the cap is on the sum": Vector(
        engagement=dimension(group(PLUS, MINUS, max=micro(30))), cases=[([*views(0), *made("chat")], "30")]
    ),
    "D6: a penalty in a group of its own": Vector(
        engagement=dimension(group(PLUS, name="a", max=micro(30)), group(MINUS, name="b")),
        cases=[([*views(0), *made("chat")], "25")],
    ),
    "D7: the floor is on the dimension": Vector(
        engagement=dimension(group(PENALTY, name="a"), group(BONUS, name="b")),
        cases=[([*views(0), *made("chat")], "0")],
    ),
    "D8: floor none": Vector(
        engagement=dimension(group(PENALTY, name="a"), group(BONUS, name="b"), floor=None),
        cases=[([*views(0), *made("chat")], "-15")],
    ),
    "D9: group min": Vector(
        engagement=dimension(group(rule(-10), min=micro(-15)), floor=None), cases=[(views(0, 1, 2), "-15")]
    ),
    "D10: best, weights": Vector(engagement=D10, cases=[([*made("chat"), *views(0), *made("form_submit")], "75")]),
    "D12: weight 33%": Vector(engagement=dimension(group(rule(0.5), weight=3_300)), cases=[(views(0), "0.165")]),
}


def scored(
    engine: DuckDbEngine, folder: Path, of: Policy, people: dict[str, Any], events: dict[str, Any], today: date = TODAY
) -> dict[str, Scorecard]:
    return {card.person_id: card for card in cards(engine.score(of, write_bucket(folder, people, events), today))}


@pytest.mark.parametrize("name", VECTORS)
def test_engagement_vector(engine: DuckDbEngine, tmp_path: Path, name: str) -> None:
    vector = VECTORS[name]
    people = {str(n): {"person.created_at": vector.created} for n in range(len(vector.cases))}
    events = {str(n): given for n, (given, _) in enumerate(vector.cases)}
    found = scored(engine, tmp_path, policy(EMPTY, vector.engagement), people, events, vector.today)
    exact = [found[person].engagement_micro for person in people]
    assert exact == [micro(points) for _, points in vector.cases]


@pytest.mark.parametrize(
    ("zone", "at", "as_of", "age"),
    [
        ("America/New_York", "2026-03-08T04:30:00+00:00", "2026-03-08T05:30:00+00:00", 1),
        ("UTC", "2026-03-08T04:30:00+00:00", "2026-03-08T05:30:00+00:00", 0),
        ("America/New_York", "2026-03-07T17:00:00+00:00", "2026-03-14T16:00:00+00:00", 7),
        ("America/New_York", "2026-11-01T03:59:59+00:00", "2026-11-02T04:30:00+00:00", 1),
        ("America/New_York", "2026-11-01T04:00:00+00:00", "2026-11-02T04:59:59+00:00", 0),
        ("America/New_York", "2026-06-15T23:00:00+00:00", "2026-06-15T16:00:00+00:00", 0),
    ],
    ids=["A1", "A2", "A3", "A4", "A5", "A6"],
)
def test_ages_are_calendar_days_of_the_zone(
    engine: DuckDbEngine, tmp_path: Path, zone: str, at: str, as_of: str, age: int
) -> None:
    """The ledger shows the age; an event later than as_of but of the same date counts with age 0."""
    instant = datetime.fromisoformat(at)
    day = instant.astimezone(ZoneInfo(zone)).date()
    today = datetime.fromisoformat(as_of).astimezone(ZoneInfo(zone)).date()
    given = [event("e", "page_view", day, at=instant)]
    bucket = write_bucket(tmp_path, {"p": {}}, {"p": given})
    ledger = engine.ledgers(policy(EMPTY, dimension(group(rule(1)))), bucket, today, ["p"])["p"]
    assert [one.age for one in ledger.engagement.groups[0].rules[0].events] == [age]


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        ("2026-01-31", "2026-02-27", 0),
        ("2026-01-31", "2026-02-28", 1),
        ("2026-02-28", "2026-03-28", 1),
        ("2028-02-29", "2029-02-28", 12),
        ("2026-03-01", "2026-02-28", -1),
    ],
)
def test_months_are_whole_calendar_months(start: str, end: str, months: int) -> None:
    """A10, and one the other way round."""
    assert months_between(date.fromisoformat(start), date.fromisoformat(end)) == months


def test_a_window_reaches_no_further_than_the_calendar() -> None:
    assert window_start(Span(10_000_000), TODAY) == date.min
    assert window_start(Span(100_000, Unit.MONTH), TODAY) == date.min


def test_a_fade_of_everything_leaves_the_first_period_alone() -> None:
    everything = Fade(FadeMode.COMPOUND, Span(2), 10_000)
    assert micro_by_age(7, everything, TODAY, 4) == (7, 7, 0, 0)


@pytest.mark.parametrize(
    ("exact", "whole"), [("69.499999", 69), ("69.5", 70), ("-0.5", 0), ("-0.500001", -1), ("-0.6", -1), ("-1.5", -1)]
)
def test_whole_points_are_rounded_half_up(engine: DuckDbEngine, tmp_path: Path, exact: str, whole: int) -> None:
    """D11."""
    fit = Group(name="g", items=(FitRule(name="r", reason="r", test=All(), micro=micro(exact)),))
    found = scored(engine, tmp_path, policy(dimension(fit, floor=None), EMPTY), {"p": {}}, {})
    assert (found["p"].fit_micro, found["p"].fit) == (micro(exact), whole)


def country_table(unknown: float = 3) -> Dimension:
    line = TableLine(test=OneOf("person.country", ("no", "se")), micro=micro(15), label="in home")
    table = Table(field="person.country", lines=(line,), unknown=micro(unknown), otherwise=micro(1))
    return dimension(Group(name="country", items=(table,)))


def size_table() -> Dimension:
    lines = [
        TableLine(test=AtLeast("company.employees", micro(bound)), micro=micro(points), label=f"from {bound}")
        for bound, points in ((2000, 25), (200, 35), (50, 20))
    ]
    return dimension(
        Group(name="size", items=(Table(field="company.employees", lines=tuple(lines), unknown=micro(5)),))
    )


@pytest.mark.parametrize(
    ("fit", "facts", "points", "unknown"),
    [
        (country_table(), {"person.country": "NO"}, 15, 0),
        (country_table(), {"person.country": "no"}, 15, 0),
        (country_table(), {"person.country": "US"}, 1, 0),
        (country_table(), {}, 3, 1),
        (country_table(unknown=0), {}, 0, 1),
        *(
            (size_table(), facts, points, 0)
            for facts, points in (
                ({"company.employees": 2000}, 25),
                ({"company.employees": 1999}, 35),
                ({"company.employees": Decimal("199.5")}, 20),
                ({"company.employees": 49}, 0),
            )
        ),
        (size_table(), {}, 5, 1),
    ],
)
def test_a_fit_table_gives_its_first_true_line(
    engine: DuckDbEngine, tmp_path: Path, fit: Dimension, facts: dict[str, Any], points: int, unknown: int
) -> None:
    """F1 to F3."""
    card = scored(engine, tmp_path, policy(fit, EMPTY), {"p": facts}, {})["p"]
    assert (card.fit, card.unknown_groups, card.known_groups) == (points, unknown, 1 - unknown)


def known_and_not(test: Condition, name: str) -> Condition:
    return All((Known(name), Not(test)))


RIVALS = DomainIn("person.email_domain", ("rival.io",))
FROM_DIRECTOR = OneOf("person.seniority", ("director", "head", "vp", "c_level"))
BELOW_DIRECTOR = OneOf("person.seniority", ("student", "individual", "lead", "manager"))
SMALL_US = All((Below("company.employees", micro(50)), OneOf("person.country", ("us",))))

CONDITIONS: list[tuple[str, Condition, dict[str, Any], bool]] = [
    ("F4", HasWords("person.title", (" student ", " intern ")), {"person.title": "Internal Audit Director"}, False),
    ("F4", HasWords("person.title", (" student ", " intern ")), {"person.title": "Marketing INTERN (summer)"}, True),
    ("F5", HasWords("person.title", (" vice president ",)), {"person.title": "Vice-President, Sales"}, True),
    ("F6", Contains("person.title", ("audit",)), {"person.title": "Internal Auditor"}, True),
    ("F7", RIVALS, {"person.email_domain": "mail.Rival.io"}, True),
    ("F7", RIVALS, {"person.email_domain": "notrival.io"}, False),
    ("F8", known_and_not(RIVALS, "person.email_domain"), {}, False),
    ("F9", AnyOf((OneOf("person.consent", ("none",)), Missing("person.consent"))), {}, True),
    ("F10", OneOf("person.consent", ("none",)), {}, False),
    ("F11", OneOf("person.lead_status", ("in review",)), {"person.lead_status": "In  Review "}, True),
    ("F12", known_and_not(HasWords("person.title", (" intern ",)), "person.title"), {"person.title": "CEO"}, True),
    ("F13", FROM_DIRECTOR, {"person.seniority": "vp"}, True),
    ("F14", BELOW_DIRECTOR, {}, False),
    ("F15", SMALL_US, {"company.employees": 49, "person.country": "us"}, True),
    ("F16", AgeBelow("person.created_at", Span(30)), {"person.created_at": TODAY - timedelta(days=30)}, False),
    ("F17", AgeFrom("person.created_at", Span(30)), {"person.created_at": TODAY - timedelta(days=30)}, True),
    ("percent", Contains("person.title", ("100%",)), {"person.title": "100 percent"}, False),
    ("underscore", Contains("person.title", ("a_b",)), {"person.title": "acb"}, False),
    ("quote", Contains("person.title", ("o'b",)), {"person.title": "O'Brien"}, True),
]


def test_conditions_hold_as_published(engine: DuckDbEngine, tmp_path: Path) -> None:
    """F4 to F17, and texts that SQL would read as patterns: every condition is a rule worth a point."""
    rules = tuple(
        FitRule(name=f"{name} {n}", reason=name, test=test, micro=MICRO)
        for n, (name, test, _, _) in enumerate(CONDITIONS)
    )
    people = {f"p{n}": facts for n, (_, _, facts, _) in enumerate(CONDITIONS)}
    found = scored(engine, tmp_path, policy(dimension(Group(name="g", items=rules)), EMPTY), people, {})
    columns = [rule.name for rule in rules]
    holds = [found[f"p{n}"].reasons[f"fit.g.{name}"] == MICRO for n, name in enumerate(columns)]
    assert holds == [expected for _, _, _, expected in CONDITIONS]


def always(name: str, points: str) -> FitRule:
    return FitRule(name=name, reason=name, test=All(), micro=micro(points))


def test_the_floor_of_fit_is_on_the_dimension(engine: DuckDbEngine, tmp_path: Path) -> None:
    """F19."""
    fit = dimension(
        Group(name="a", items=(always("minus five", "-5"), always("minus fifteen", "-15"))),
        Group(name="b", items=(always("plus ten", "10"),)),
    )
    card = scored(engine, tmp_path, policy(fit, EMPTY), {"p": {}}, {})["p"]
    assert (card.fit, card.reasons["fit#loss"]) == (0, micro(-10))


@pytest.mark.parametrize(
    ("fit", "engagement", "weights", "exact", "whole"),
    [
        ("72.5", "51.25", (4_000, 6_000), "59.75", 60),
        ("69.5", "69.4", (5_000, 5_000), "69.45", 69),
        ("12", "30", (10_000, 10_000), "42", 42),
    ],
    ids=["H3", "H4", "plain sum"],
)
def test_the_total_starts_from_exact_scores(
    engine: DuckDbEngine, tmp_path: Path, fit: str, engagement: str, weights: tuple[int, int], exact: str, whole: int
) -> None:
    of = policy(
        dimension(Group(name="f", items=(always("fit", fit),))),
        dimension(group(rule(float(engagement)))),
        Grade(total_weights=weights),
    )
    card = scored(engine, tmp_path, of, {"p": {}}, {"p": views(0)})["p"]
    assert (card.total_micro, card.total) == (micro(exact), whole)


@pytest.mark.parametrize(("points", "label"), [("69", "B"), ("70", "A"), ("69.5", "A"), ("0", "D")])
def test_grades_are_cut_from_whole_points(engine: DuckDbEngine, tmp_path: Path, points: str, label: str) -> None:
    """H2."""
    bands = Bands(labels=("A", "B", "C", "D"), bounds=(70, 45, 20, 0))
    of = policy(dimension(Group(name="f", items=(always("fit", points),))), EMPTY, Grade(fit=bands))
    assert scored(engine, tmp_path, of, {"p": {}}, {})["p"].grade == label


def test_newer_rows_replace_older_ones_and_deleted_events_are_gone(engine: DuckDbEngine, tmp_path: Path) -> None:
    """With several files the greatest seq of a person, and of an event, counts; whichever file it is in."""
    old, new, other = views(0, 1, 2)
    people = [
        write_rows(tmp_path / "p2", [person_row("p", {"person.country": "SE"}, {}, seq=2)], people_schema()),
        write_rows(
            tmp_path / "p1",
            [person_row("p", {"person.country": "US"}, {}, seq=1), person_row("q", {}, {}, seq=1)],
            people_schema(),
        ),
    ]
    events = [
        write_rows(
            tmp_path / "e1",
            [event_row("p", old, seq=1), event_row("p", new, seq=1), event_row("q", other, seq=1)],
            events_schema(),
        ),
        write_rows(
            tmp_path / "e2",
            [event_row("p", {**old, "count": 5}, seq=3), event_row("p", new, seq=2, deleted=True)],
            events_schema(),
        ),
    ]
    bucket = Bucket(people=tuple(people), events=tuple(events))
    of = policy(country_table(), dimension(group(rule(1))))
    found = {card.person_id: (card.fit, card.engagement) for card in cards(engine.score(of, bucket, TODAY))}
    assert found == {"p": (15, 5), "q": (3, 1)}
    some = engine.score(of, bucket, TODAY, only=frozenset({"q", "nobody"}))
    assert [(card.person_id, card.engagement) for card in cards(some)] == [("q", 1)]


def test_a_bucket_without_files_holds_nobody(engine: DuckDbEngine) -> None:
    table = engine.score(policy(country_table(), EMPTY), Bucket(people=(), events=()), TODAY)
    assert table.num_rows == 0


def test_files_older_than_the_policys_facts_are_refused(engine: DuckDbEngine, tmp_path: Path) -> None:
    """An absent column is not a missing fact: everybody would be scored as unknown."""
    asks = FitRule(name="r", reason="r", test=Known("person.custom.use_case"), micro=MICRO)
    of = policy(dimension(Group(name="g", items=(asks,))), EMPTY)
    of = replace(of, custom={"person.custom.use_case": custom_fact("person.custom.use_case")})
    with pytest.raises(ValueError, match=r"people.parquet has no column person.custom.use_case.*rebuild the snapshot"):
        engine.score(of, write_bucket(tmp_path, {"p": {}}, {}), TODAY)


def test_compacted_files_are_read_side_by_side(engine: DuckDbEngine, tmp_path: Path) -> None:
    """Several buckets in one query: every person is in one of the files only, so no rows are compared."""
    parts = []
    for person in ("p", "q"):
        (tmp_path / person).mkdir()
        parts.append(write_bucket(tmp_path / person, {person: {}}, {person: [event(person, "page_view", TODAY)]}))
    together = Bucket(
        people=parts[0].people + parts[1].people, events=parts[0].events + parts[1].events, compacted=True
    )
    found = cards(engine.score(policy(EMPTY, dimension(group(rule(1)))), together, TODAY))
    assert sorted((card.person_id, card.engagement) for card in found) == [("p", 1), ("q", 1)]
