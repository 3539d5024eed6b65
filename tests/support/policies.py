"""Random policies, people and events for the laws of scoring. Small vocabularies, so that things do meet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from scoring import conditions as c
from scoring.facts import FactType, custom_fact
from scoring.load_grade import STEPS
from scoring.policy import Bands, GateLine, Grade, Model, Policy, Review, Stay, SuppressLine, WritePlan
from scoring.tables import MICRO
from scoring.team import Team

DAYS = (date(2026, 6, 15), date(2026, 2, 28), date(2026, 3, 31), date(2028, 2, 29), date(2026, 11, 1))

CUSTOM = {
    "person.custom.topics": custom_fact("person.custom.topics", FactType.LIST),
    "person.custom.renewal": custom_fact("person.custom.renewal", FactType.DATE),
}

TITLES = ("VP Sales", "Vice-President, Sales", "Sales  INTERN (summer)", "Internal Audit Director", "Head of IT", "CEO")
DOMAINS = ("rival.io", "eu.rival.io", "notrival.io", "acme.edu")
COUNTRIES = ("us", "no", "de")
TOPICS = ("crm", "crm+", "scoring")
ATTRIBUTE_VALUES = ("/pricing", "/careers", "/careers/ops", "demo", "Demo", "a", "A", "b", "100%_x")
KINDS = {
    "page_view": ("path",),
    "form_submit": ("form", "page"),
    "webinar_attended": ("name", "minutes"),
    "email_click": ("email", "link"),
    "email_delivered": ("email",),
}

spans = st.one_of(
    st.integers(1, 40).map(c.Span), st.integers(1, 3).map(lambda n: c.Span(n, c.Unit.MONTH)), st.just(c.Span(7))
)
points = st.integers(-20_000, 60_000).map(lambda n: n * 1000)
caps = st.none() | st.sampled_from((5, 12, 20, 40)).map(lambda n: n * MICRO)


def positive(micro: int) -> int:
    return abs(micro) or MICRO


# -- conditions --------------------------------------------------------------------------------------------------


def _tuples(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(tuple)


def _numbers(name: str, bounds: tuple[int, ...]) -> st.SearchStrategy[c.Condition]:
    micro = st.sampled_from([bound * MICRO for bound in bounds])
    return st.one_of(
        st.builds(c.AtLeast, st.just(name), micro),
        st.builds(c.Below, st.just(name), micro),
        st.builds(c.Equals, st.just(name), micro),
    )


def _texts(name: str, values: tuple[str, ...]) -> st.SearchStrategy[c.Condition]:
    return st.one_of(
        st.builds(c.OneOf, st.just(name), _tuples(values)),
        st.builds(c.Contains, st.just(name), _tuples(tuple(v[1:4] for v in values if len(v) > 3))),
        st.builds(c.StartsWith, st.just(name), _tuples(tuple(v[:3] for v in values))),
    )


def _dates(name: str) -> st.SearchStrategy[c.Condition]:
    days = st.sampled_from(DAYS)
    return st.one_of(
        st.builds(c.DateFrom, st.just(name), days),
        st.builds(c.DateBefore, st.just(name), days),
        st.builds(c.AgeBelow, st.just(name), spans),
        st.builds(c.AgeFrom, st.just(name), spans),
    )


def _combined(leaves: st.SearchStrategy[c.Condition]) -> st.SearchStrategy[c.Condition]:
    several = st.lists(leaves, max_size=3).map(tuple)
    return st.one_of(
        leaves,
        st.builds(c.Not, leaves),
        st.builds(c.All, several),
        st.builds(c.Any, several),
        st.builds(c.Not, st.builds(c.Any, several)),
        st.builds(c.All, st.tuples(leaves, st.builds(c.Not, st.builds(c.All, several)))),
    )


_TITLE_WORDS = (" sales ", " intern ", " vice president ", " it ", " head of it ")
_fact_names = (
    "person.title",
    "person.email_domain",
    "person.country",
    "company.employees",
    "person.created_at",
    "person.custom.topics",
    "person.email",
)
_fact_leaves: st.SearchStrategy[c.Condition] = st.one_of(
    st.builds(c.Known, st.sampled_from(_fact_names)),
    st.builds(c.Missing, st.sampled_from(_fact_names)),
    st.builds(c.HasWords, st.just("person.title"), _tuples(_TITLE_WORDS)),
    _texts("person.title", tuple(t.casefold() for t in TITLES if "  " not in t)),
    st.builds(c.OneOf, st.just("person.country"), _tuples(COUNTRIES)),
    st.builds(c.DomainIn, st.just("person.email_domain"), _tuples(("rival.io", "edu", "acme.edu", "io"))),
    st.builds(c.OneOf, st.just("person.custom.topics"), _tuples(TOPICS), st.just(True)),
    _numbers("company.employees", (0, 50, 200)),
    _numbers("company.open_opportunities", (0, 1)),
    st.builds(c.Equals, st.just("person.unsubscribed"), st.booleans()),
    st.builds(c.Validity, st.just("person.email"), st.booleans()),
    _dates("person.created_at"),
    _dates("person.custom.renewal"),
)
fact_conditions = _combined(_fact_leaves)


def _where(attributes: tuple[str, ...]) -> st.SearchStrategy[c.Condition]:
    folded = tuple(dict.fromkeys(v.casefold() for v in ATTRIBUTE_VALUES))
    leaves: list[st.SearchStrategy[c.Condition]] = [st.builds(c.Known, st.sampled_from(attributes))]
    for name in attributes:
        if name == "minutes":
            leaves.append(_numbers(name, (5, 10)))
        else:
            leaves += [_texts(name, folded), st.builds(c.HasWords, st.just(name), _tuples((" careers ", " a ")))]
    return st.just(c.All()) | _combined(st.one_of(leaves))


@st.composite
def _single_match(draw: st.DrawFn) -> c.EventMatch:
    kind = draw(st.sampled_from(sorted(KINDS)))
    return c.EventMatch((kind,), draw(_where(KINDS[kind])))


any_match = st.just(c.EventMatch(tuple(k for k in KINDS if k != "email_delivered")))
matches = st.one_of(
    _single_match(),
    any_match,
    st.builds(lambda one, other: c.EventMatch(one.kinds, one.where, (other,)), _single_match(), _single_match()),
    st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=3, unique=True).map(lambda k: c.EventMatch(tuple(k))),
)

# -- rules -------------------------------------------------------------------------------------------------------

fades = st.one_of(
    st.just(c.Fade()),
    st.builds(c.Fade, st.just(c.FadeMode.HALF_LIFE), st.integers(1, 30).map(c.Span)),
    st.builds(c.Fade, st.just(c.FadeMode.LINEAR), spans, st.integers(1, 10_000)),
    st.builds(c.Fade, st.just(c.FadeMode.COMPOUND), spans, st.integers(1, 10_000)),
    st.builds(c.Fade, st.just(c.FadeMode.EXPIRE), spans),
)


def _counts(match: c.EventMatch) -> st.SearchStrategy[c.Count]:
    attributes = sorted({a for kind in match.kinds for a in KINDS[kind]})
    modes = [
        c.CountMode.EVERY,
        c.CountMode.ONCE,
        c.CountMode.ONCE_PER_DAY,
        c.CountMode.ONCE_PER_WEEK,
        c.CountMode.ONCE_PER_MONTH,
    ]
    return st.one_of(
        st.sampled_from(modes).map(c.Count),
        st.builds(c.Count, st.just(c.CountMode.ONCE_PER), st.sampled_from(attributes)),
        st.builds(c.Count, st.just(c.CountMode.AT_LEAST), st.none(), st.integers(1, 4), spans),
        st.builds(
            c.Count, st.just(c.CountMode.DISTINCT), st.sampled_from(attributes), st.integers(1, 3), st.none() | spans
        ),
    )


_only_if = st.builds(c.Count, st.just(c.CountMode.AT_LEAST), st.none(), st.integers(1, 3), spans)


def _rarely(strategy: st.SearchStrategy[Any], otherwise: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(otherwise), st.just(otherwise), strategy)


@st.composite
def _event_rule(draw: st.DrawFn, name: str, newest: bool) -> c.EventRule:
    match = draw(matches)
    micro = draw(points)
    capped = newest or draw(st.booleans())
    per_day = None if capped else draw(_rarely(st.sampled_from((8, 20)).map(lambda n: n * MICRO), None))
    return c.EventRule(
        name=name,
        reason=f"because of {name}",
        match=match,
        micro=micro if per_day is None else positive(micro),
        when=draw(_rarely(fact_conditions, c.All())),
        window=draw(_rarely(spans, None)),
        count=draw(_counts(match)),
        fade=draw(fades),
        only_if=draw(_rarely(_only_if, None)),
        max_per_day=per_day,
        max=draw(caps),
        min=draw(_rarely(st.just(-15 * MICRO), None)),
        newest_first=capped,
    )


@st.composite
def _absent_rule(draw: st.DrawFn, name: str) -> c.AbsentRule:
    return c.AbsentRule(
        name=name,
        reason=name,
        match=draw(matches),
        span=draw(spans),
        micro=-positive(draw(points)),
        when=draw(_rarely(fact_conditions, c.All())),
        every=draw(st.booleans()),
        min=draw(st.none() | st.just(-50 * MICRO)),
    )


@st.composite
def _event_group(draw: st.DrawFn, name: str, weight: int | None) -> c.Group:
    newest = draw(_rarely(st.just(True), False))
    items: list[Any] = []
    for index in range(draw(st.integers(1, 4))):
        rule_name = f"{name} rule {index}"
        items.append(draw(_absent_rule(rule_name) if draw(st.integers(0, 5)) == 0 else _event_rule(rule_name, newest)))
    return c.Group(
        name=name,
        items=tuple(items),
        combine=draw(st.sampled_from(c.Combine)),
        max=draw(caps),
        min=draw(_rarely(st.just(-15 * MICRO), None)),
        weight=weight,
        newest_first=newest,
    )


@st.composite
def _table(draw: st.DrawFn, least: int = 0) -> c.Table:
    field, tests = draw(
        st.sampled_from(
            (
                ("company.employees", _numbers("company.employees", (10, 50, 200))),
                ("person.country", st.builds(c.OneOf, st.just("person.country"), _tuples(COUNTRIES))),
                ("person.title", st.builds(c.HasWords, st.just("person.title"), _tuples(_TITLE_WORDS))),
            )
        )
    )
    lines = [
        c.TableLine(test=draw(tests), micro=draw(points), label="line") for _ in range(draw(st.integers(least, 3)))
    ]
    return c.Table(field=field, lines=tuple(lines), unknown=draw(points), otherwise=draw(points))


@st.composite
def _fit_group(draw: st.DrawFn, name: str, weight: int | None) -> c.Group:
    items: tuple[Any, ...]
    if draw(st.booleans()):
        items = (draw(_table()),)
    else:
        items = tuple(
            c.FitRule(
                name=f"{name} rule {index}", reason=f"{name} {index}", test=draw(fact_conditions), micro=draw(points)
            )
            for index in range(draw(st.integers(1, 3)))
        )
    return c.Group(
        name=name,
        items=items,
        combine=draw(st.sampled_from(c.Combine)),
        max=draw(caps),
        min=draw(_rarely(st.just(-15 * MICRO), None)),
        weight=weight,
    )


@st.composite
def _thirds(draw: st.DrawFn) -> c.Dimension:
    groups = []
    for index in range(draw(st.integers(1, 5))):
        table, weight = draw(_table(least=1)), draw(st.integers(1, 3)) * MICRO
        line = replace(table.lines[0], micro=weight)
        groups.append(
            c.Group(name=f"criterion {index}", items=(replace(table, lines=(line,), unknown=0, otherwise=-weight),))
        )
    return c.Dimension(
        groups=tuple(groups), max=12 * MICRO, floor=0, thirds=True, start=draw(st.integers(0, 12)) * MICRO
    )


_clocks = st.sampled_from((1, 500_000, 2_000_000, 10_000_000, 3_600_000_000))
_timed_tests = st.one_of(
    st.builds(c.SoonAfter, st.sampled_from(sorted(KINDS)), _clocks),
    st.builds(c.BeforeFirst, st.sampled_from(("email_click", "email_delivered"))),
    st.builds(c.Burst, st.integers(1, 4), st.sampled_from((None, "email", "link", "path")), _clocks),
)


@st.composite
def ignores(draw: st.DrawFn) -> tuple[c.Ignore, ...]:
    """Lines of ``ignore``, some of which overlap."""
    return tuple(
        c.Ignore(
            name=f"ignored {index}",
            match=draw(matches),
            when=draw(_rarely(fact_conditions, c.All())),
            test=draw(st.none() | _timed_tests | _timed_tests),
        )
        for index in range(draw(st.integers(1, 3)))
    )


@st.composite
def _dimension(draw: st.DrawFn, prefix: str) -> c.Dimension:
    if prefix.startswith("fit") and draw(st.integers(0, 3)) == 0:
        return draw(_thirds())
    weights = draw(st.sampled_from(((None,), (None, None), (10_000,), (3_300, 6_700), (1, 9_999), ())))
    group = _fit_group if prefix.startswith("fit") else _event_group
    return c.Dimension(
        groups=tuple(draw(group(f"{prefix} {index}", weight)) for index, weight in enumerate(weights)),
        max=draw(st.none() | st.just(100 * MICRO)),
        floor=draw(st.none() | st.just(0)),
        not_before=draw(st.sampled_from((c.Span(730), c.Span(60), c.Span(3, c.Unit.MONTH)))),
        ignore=() if prefix.startswith("fit") else draw(st.just(()) | ignores()),
    )


_grades = st.sampled_from(
    (
        Grade(
            fit=Bands(labels=("A", "B", "C"), bounds=(60, 20, None)),
            engagement=Bands(labels=("1", "2", "3"), bounds=(40, 10, None)),
        ),
        Grade(
            engagement=Bands(labels=("1", "2"), bounds=(30, 0)),
            total_weights=(4_000, 6_000),
            total_max=80 * MICRO,
            total=Bands(labels=("hot", "cold"), bounds=(50, 0)),
        ),
        Grade(),
    )
)

_event_tests = st.builds(c.EventExists, matches, st.none() | spans, st.integers(1, 3))
_whole_scores = st.sampled_from((c.Score.FIT, c.Score.ENGAGEMENT, c.Score.TOTAL))


_gate_conditions = _combined(
    st.one_of(
        _fact_leaves,
        _event_tests,
        st.builds(c.ScoreAtLeast, _whole_scores, st.integers(-10, 80)),
        st.builds(c.ScoreBelow, _whole_scores, st.integers(-10, 80)),
        st.builds(c.LabelIn, st.just(c.Score.GRADE), st.just(("A1", "B1", "1", "D2", "C+1"))),
        st.builds(c.LabelIn, st.just(c.Score.ENGAGEMENT), st.just(("1",))),
        st.builds(c.LabelIn, st.just(c.Score.FIT), st.just(("A", "B+", "B"))),
        _numbers("fit.unknown_groups", (0, 1, 2)),
        _numbers("fit.known_groups", (0, 1, 2)),
    )
)


@st.composite
def _model(draw: st.DrawFn, name: str, when: c.Condition | None, base: Model | None) -> Model:
    fit = base.fit if base and draw(st.booleans()) else draw(_dimension(f"fit of {name}"))
    grade = base.grade if base and base.fit.thirds is fit.thirds and draw(st.booleans()) else draw(_grades)
    if fit.thirds:
        grade = replace(grade, fit=STEPS, total=None)
    return Model(
        name=name,
        when=when,
        fit=fit,
        engagement=base.engagement if base and draw(st.booleans()) else draw(_dimension(f"engagement of {name}")),
        grade=grade,
        become_when=tuple(
            GateLine(name=f"line {index}", test=draw(_gate_conditions)) for index in range(draw(st.integers(0, 3)))
        ),
    )


BUSY = ("page_view", "email_click")
PLAIN = Policy(
    name="random",
    version="0" * 12,
    scoring_hash="0" * 12,
    timezone="UTC",
    suppress=(),
    models=(),
    hand_raise=c.EventMatch(("email_delivered",)),
    routing=(),
    write=WritePlan(),
    team=Team(),
    custom=CUSTOM,
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    default = draw(_model("default", None, None))
    number = draw(st.integers(0, 2))
    others = [draw(_model(f"model {index}", draw(fact_conditions), default)) for index in range(number)]
    suppress = st.one_of(fact_conditions, _event_tests)
    reviews = [
        GateLine(name=f"review {index}", test=draw(_gate_conditions)) for index in range(draw(st.integers(0, 2)))
    ]
    return replace(
        PLAIN,
        suppress=tuple(
            SuppressLine(name=f"no {index}", test=draw(suppress)) for index in range(draw(st.integers(0, 2)))
        ),
        models=(*others, default),
        hand_raise=draw(matches),
        needs=tuple(draw(st.lists(st.sampled_from(_fact_names), max_size=3, unique=True))),
        review=Review(lines=tuple(reviews)) if reviews else None,
        stay=Stay(drop_when=draw(_gate_conditions), lasting=c.Span(7), at_least=c.Span(14))
        if draw(st.booleans())
        else None,
    )


@st.composite
def crowded_policies(draw: st.DrawFn) -> Policy:
    """Few rules for the same events, with caps that some occurrences fit and some do not."""
    small = st.sampled_from((1, 2, 3, 5, -2)).map(lambda n: n * MICRO)
    newest = draw(st.booleans())
    rules = []
    for index in range(draw(st.integers(2, 3))):
        match = draw(st.sampled_from((c.EventMatch(BUSY[:1]), c.EventMatch(BUSY), c.EventMatch(BUSY[1:]))))
        micro = draw(small)
        rules.append(
            c.EventRule(
                name=f"rule {index}",
                reason="",
                match=match,
                micro=micro,
                window=draw(_rarely(st.sampled_from((3, 10)).map(c.Span), None)),
                count=draw(st.just(c.Count()) | _counts(match)),
                fade=draw(fades),
                only_if=draw(_rarely(_only_if, None)),
                max=draw(_rarely(st.sampled_from((2, 7)).map(lambda n: n * MICRO), None)),
                newest_first=newest or draw(st.booleans()),
            )
        )
    most = draw(st.sampled_from((4, 9, 14))) * MICRO
    groups = c.Group(name="crowd", items=tuple(rules), max=most, newest_first=newest)
    model = Model(
        name="default",
        when=None,
        fit=c.Dimension(),
        engagement=c.Dimension(groups=(groups,), max=None, floor=None),
        grade=Grade(),
        become_when=(),
    )
    return replace(PLAIN, models=(model,))


# -- people and events -------------------------------------------------------------------------------------------


@st.composite
def facts(draw: st.DrawFn, today: date) -> dict[str, Any]:
    ages = st.integers(-2, 130)
    result: dict[str, Any] = {
        "person.unsubscribed": draw(st.booleans()),
        "person.hard_bounced": False,
        "person.converted": False,
        "company.is_customer": False,
        "company.open_opportunities": draw(st.sampled_from((Decimal(0), Decimal(1), Decimal("1.5")))),
    }
    some = {
        "person.title": st.sampled_from(TITLES),
        "person.country": st.sampled_from(COUNTRIES),
        "person.email_domain": st.sampled_from(DOMAINS),
        "company.employees": st.sampled_from((0, 49, Decimal("199.5"), 200, 2000)),
        "person.created_at": ages.map(lambda age: today - timedelta(days=age)),
        "person.custom.topics": _tuples(TOPICS),
        "person.custom.renewal": ages.map(lambda age: today - timedelta(days=age)),
        "person.email": st.sampled_from(("a@rival.io", "nobody")),
    }
    for name, values in some.items():
        if draw(st.integers(0, 3)):
            result[name] = draw(values)
    if "person.email" in result:
        result["person.email!"] = "@" in result["person.email"]
    return result


_times = st.one_of(
    st.just(timedelta()),
    st.sampled_from((9, 17)).map(lambda hour: timedelta(hours=hour)),
    st.builds(
        lambda start, micros: timedelta(hours=9 if start else 0, microseconds=micros),
        st.booleans(),
        st.sampled_from((1, 500_000, 1_999_999, 2_000_000, 9_999_999, 10_000_000)),
    ),
)
"""Midnight stands for no time of day; most of the others are seconds apart."""


@st.composite
def events(draw: st.DrawFn, today: date, person: str, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    result = []
    for index in range(draw(st.integers(0, 9))):
        kind = draw(st.sampled_from(kinds))
        day = today - timedelta(days=draw(st.one_of(st.integers(-1, 8), st.integers(-1, 100), st.integers(0, 30))))
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + draw(_times)
        attributes: dict[str, Any] = {}
        for name in KINDS[kind]:
            if draw(st.integers(0, 3)):
                values = (Decimal("4.5"), Decimal(5), Decimal(10)) if name == "minutes" else ATTRIBUTE_VALUES
                attributes[name] = draw(st.sampled_from(values))
        result.append(
            {
                "event_id": f"hubspot:{person}-{index * 7 % 10}",
                "kind": kind,
                "day": day,
                "at": at,
                "count": draw(st.sampled_from((1, 1, 1, 2, 5))),
                "attributes": attributes,
            }
        )
    return result


@st.composite
def populations(
    draw: st.DrawFn, today: date, kinds: tuple[str, ...] = tuple(sorted(KINDS)), size: int = 8
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """People and their events, by person id. ``kinds``: of the events."""
    people = {f"p{index}": draw(facts(today)) for index in range(size)}
    return people, {person: draw(events(today, person, kinds)) for person in people}


@st.composite
def histories(draw: st.DrawFn, today: date, size: int = 6) -> dict[str, list[dict[str, Any]]]:
    """Mails and clicks, many of them seconds apart, by person id."""
    links, mails = st.sampled_from((None, "a", "b", "c")), st.sampled_from((None, "m1", "M1", "m2"))
    result: dict[str, list[dict[str, Any]]] = {}
    for person in (f"p{index}" for index in range(size)):
        result[person] = [
            {
                "event_id": f"hubspot:{person}-{index}",
                "kind": draw(st.sampled_from(("email_click", "email_click", "email_delivered"))),
                "day": (day := today - timedelta(days=draw(st.integers(-1, 1)))),
                "at": datetime(day.year, day.month, day.day, tzinfo=UTC) + draw(_times),
                "count": draw(st.sampled_from((1, 1, 1, 1, 2))),
                "attributes": {},
            }
            for index in range(draw(st.integers(0, 12)))
        ]
        for event in result[person]:
            given = {"email": draw(mails)} | ({"link": draw(links)} if event["kind"] == "email_click" else {})
            event["attributes"] = {name: value for name, value in given.items() if value is not None}
    return result


@st.composite
def stormy_policies(draw: st.DrawFn) -> Policy:
    """Every click is a point; some clicks and mails are ignored."""
    clicks, mails = c.EventMatch(("email_click",)), c.EventMatch(("email_delivered",))
    lines = tuple(
        c.Ignore(name=f"line {index}", match=draw(st.sampled_from((clicks, clicks, mails))), test=draw(_timed_tests))
        for index in range(draw(st.integers(1, 3)))
    )
    rules = [
        c.EventRule(name=name, reason=name, match=match, micro=MICRO, count=draw(_counts(match)))
        for name, match in (("clicks", clicks), ("mails", mails))
    ]
    model = Model(
        name="default",
        when=None,
        fit=c.Dimension(),
        engagement=c.Dimension(
            groups=(c.Group(name="mail", items=tuple(rules)),),
            max=None,
            not_before=draw(st.sampled_from((c.Span(1), c.Span(2), c.Span(60)))),
            ignore=lines,
        ),
        grade=Grade(),
        become_when=(),
    )
    return replace(PLAIN, models=(model,))
