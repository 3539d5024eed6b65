"""A policy becomes one SQL query: people and events in, scorecards out.

The query is a sqlglot tree from the first node to the last; no SQL text is ever parsed, glued or translated. It reads
three tables: ``people`` and ``events`` (`scoring.tables`) and ``fades`` (one row: for each fade the worth of an
occurrence by age). How it gets at an event rule's points depends on how the rule counts:

- *every*, *once*, *at least*, absence and gates: conditional aggregates of one pass over the events (`_Pass`);
- *once per ...* and *distinct*: one grouping by (person, key) for each kind of key, shared by all its rules (`_Keyed`);
- ``max_per_day`` and ``cap: newest``: the occurrences one by one, with window functions (`_Picked`).

The same choice of occurrences, for all rules, is what `ledger_query` shows for single people.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import assert_never

from sqlglot import exp

from scoring import sql
from scoring.cards import Layout, Section, layout, sections
from scoring.conditions import (
    AbsentRule,
    AgeBelow,
    AgeFrom,
    All,
    Any,
    AtLeast,
    Below,
    Combine,
    Condition,
    Contains,
    Count,
    CountMode,
    DateBefore,
    DateFrom,
    Dimension,
    DomainIn,
    Equals,
    EventExists,
    EventMatch,
    EventRule,
    Fade,
    FadeMode,
    FitRule,
    Group,
    HasWords,
    Known,
    LabelIn,
    Missing,
    Not,
    OneOf,
    OwnerState,
    Score,
    ScoreAtLeast,
    ScoreBelow,
    Span,
    StartsWith,
    Table,
    Unit,
    Validity,
)
from scoring.fades import micro_by_age, window_start
from scoring.policy import Bands, Policy
from scoring.tables import LIST_EDGE, MICRO, events_schema, people_schema, valid_column, words_column

__all__ = ["Compiled", "compile_policy", "newest"]

Expression = exp.Expression
_Column = tuple[str, exp.Expression]

_ALL = 10_000
"""100 % in hundredths of a percent."""

_FEW = 100
"""Up to so many people are named one by one in a query."""

_MAX_LINES = 62
"""Gate lines of a model: they are the bits of one 64-bit integer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A policy for one day.

    query   one row a person: the columns of `scoring.cards.schema`
    detail  the same with columns between the steps, for `scoring.ledger`
    picks   one row a person, item and counted event: person_id, item, event_id, day, occurrences, micro (of one)
    fades   column of ``fades`` -> worth by age
    people, events   the columns the queries read
    """

    layout: Layout
    query: exp.Select
    detail: exp.Select
    picks: exp.Query | None
    fades: Mapping[str, tuple[int, ...]]
    people: frozenset[str]
    events: frozenset[str]


# -- conditions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conditions:
    """Conditions as expressions. Unknown (NULL) stands for false, except below NOT, where it is made false."""

    on: date
    table: str | None
    event_exists: Callable[[EventExists], Expression] | None = None
    points: Mapping[Score, Expression] = field(default_factory=dict)
    labels: Mapping[Score, Expression] = field(default_factory=dict)

    def column(self, name: str) -> Expression:
        return sql.column(name, self.table)

    def expression(self, node: Condition) -> Expression:
        match node:
            case All(of=nodes):
                return sql.both(self.expression(n) for n in nodes)
            case Any(of=nodes):
                return sql.either(self.expression(n) for n in nodes)
            case Not(of=inner):
                return exp.Not(this=exp.Coalesce(this=self.expression(inner), expressions=[sql.truth(False)]))
            case EventExists():
                if self.event_exists is None:
                    raise ValueError("a condition on events can only stand in suppress and in become_when")
                return self.event_exists(node)
            case ScoreAtLeast(of=score, value=value):
                return exp.GTE(this=self._score(self.points, score), expression=sql.num(value))
            case ScoreBelow(of=score, value=value):
                return exp.LT(this=self._score(self.points, score), expression=sql.num(value))
            case LabelIn(of=score, labels=labels):
                return _among(self._score(self.labels, score), labels)
            case OwnerState():
                raise ValueError(f"'{node.state}' is only known in routing, it cannot be scored ({node.field})")
            case _:
                return self._fact(node)

    @staticmethod
    def _score(known: Mapping[Score, Expression], score: Score) -> Expression:
        if score not in known:
            raise ValueError(f"a condition on '{score}' can only stand in become_when")
        return known[score].copy()

    def _fact(
        self,
        node: Known
        | Missing
        | Equals
        | OneOf
        | DomainIn
        | HasWords
        | Contains
        | StartsWith
        | AtLeast
        | Below
        | DateFrom
        | DateBefore
        | AgeBelow
        | AgeFrom
        | Validity,
    ) -> Expression:
        column = self.column(node.field)
        match node:
            case Known():
                return exp.Not(this=exp.Is(this=column, expression=exp.null()))
            case Missing():
                return exp.Is(this=column, expression=exp.null())
            case Equals(value=bool() as value):
                return sql.equals(column, sql.truth(value))
            case Equals(value=value):
                return sql.equals(column, sql.num(value))
            case OneOf(values=values, listed=True):
                return sql.either(_contains(column, f"{LIST_EDGE}{value}{LIST_EDGE}") for value in values)
            case OneOf(values=values):
                return _among(column, values)
            case DomainIn(values=values):
                below = (exp.EndsWith(this=column.copy(), expression=sql.text(f".{value}")) for value in values)
                return sql.either([_among(column, values), *below])
            case HasWords(field=name, phrases=phrases):
                return sql.either(_contains(self.column(words_column(name)), phrase) for phrase in phrases)
            case Contains(parts=parts):
                return sql.either(_contains(column, part) for part in parts)
            case StartsWith(parts=parts):
                return sql.either(exp.StartsWith(this=column.copy(), expression=sql.text(part)) for part in parts)
            case AtLeast(value=value):
                return exp.GTE(this=column, expression=sql.num(value))
            case Below(value=value):
                return exp.LT(this=column, expression=sql.num(value))
            case DateFrom(date=bound):
                return exp.GTE(this=column, expression=sql.day(bound))
            case DateBefore(date=bound):
                return exp.LT(this=column, expression=sql.day(bound))
            case AgeBelow(span=span):
                return _between(column, window_start(span, self.on), self.on)
            case AgeFrom(span=span):
                return exp.LT(this=column, expression=sql.day(window_start(span, self.on)))
            case Validity(field=name, value=value):
                return sql.equals(self.column(valid_column(name)), sql.truth(value))
            case _:
                assert_never(node)


def _among(column: Expression, values: Sequence[str]) -> Expression:
    if not values:
        return sql.truth(False)
    return exp.In(this=column.copy(), expressions=[sql.text(value) for value in values])


def _contains(column: Expression, part: str) -> Expression:
    return exp.Contains(this=column.copy(), expression=sql.text(part))


def _between(column: Expression, first: date, last: date) -> Expression:
    return sql.both(
        [exp.GTE(this=column.copy(), expression=sql.day(first)), exp.LTE(this=column.copy(), expression=sql.day(last))]
    )


def _matches(match: EventMatch, on: date) -> Expression:
    """Whether an event of table ``e`` is one the rule is about."""
    conditions = _Conditions(on=on, table="e")
    own = [_among(sql.column("kind", "e"), match.kinds)]
    if match.where != All():
        own.append(conditions.expression(match.where))
    return sql.either([sql.both(own), *(_matches(other, on) for other in match.any_of)])


def _kinds(match: EventMatch) -> set[str]:
    return set(match.kinds).union(*(_kinds(other) for other in match.any_of))


# -- fades -------------------------------------------------------------------------------------------------------


class _Fades:
    """The age tables the query looks worths up in, collected while it is written."""

    def __init__(self, on: date) -> None:
        self._on = on
        self._ages: dict[tuple[int, Fade], int] = {}

    def worth(self, micro: int, fade: Fade, day: Expression, start: date) -> Expression:
        """What one occurrence on the date ``day``, from ``start`` on, is worth."""
        match fade.mode:
            case FadeMode.NONE:
                return sql.num(micro)
            case FadeMode.EXPIRE:
                fresh = exp.GTE(this=day, expression=sql.day(window_start(fade.span, self._on)))
                return sql.case([(fresh, sql.num(micro))], sql.num(0))
            case FadeMode.HALF_LIFE | FadeMode.LINEAR | FadeMode.COMPOUND:
                key = (micro, fade)
                self._ages[key] = max(self._ages.get(key, 0), (self._on - start).days + 1)
                place = exp.Add(this=sql.age(day, self._on), expression=sql.num(1))
                column = sql.column(f"f{list(self._ages).index(key)}", "fades")
                return exp.Bracket(this=column, expressions=[place], offset=1)
            case _:
                assert_never(fade.mode)

    def tables(self) -> dict[str, tuple[int, ...]]:
        return {
            f"f{index}": micro_by_age(micro, fade, self._on, ages)
            for index, ((micro, fade), ages) in enumerate(self._ages.items())
        }


# -- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Since:
    """Events that match, dated from ``start`` on."""

    match: EventMatch
    start: date


class _Pass:
    """One pass over the events: flags of the matches, then aggregates by person."""

    def __init__(self, on: date, fades: _Fades) -> None:
        self._on = on
        self._fades = fades
        self._flags: dict[EventMatch, str] = {}
        self._aggregates: dict[tuple[object, ...], Expression] = {}
        self._wanted: list[_Since] = []

    def newest(self, events: _Since) -> Expression:
        """Day of the newest, NULL for none."""
        return self._aggregate(("newest", events), lambda: exp.Max(this=self._where(events, sql.column("day", "h"))))

    def occurrences(self, events: _Since) -> Expression:
        """How many, NULL for none."""
        return self._aggregate(
            ("occurrences", events), lambda: sql.whole_sum(self._where(events, sql.column("count", "h")))
        )

    def worth(self, events: _Since, micro: int, fade: Fade) -> Expression:
        """What all of them are worth together, NULL for none."""

        def summed() -> Expression:
            one = self._fades.worth(micro, fade, sql.column("day", "h"), events.start)
            return sql.whole_sum(
                self._where(events, exp.Mul(this=sql.column("count", "h"), expression=exp.Paren(this=one)))
            )

        return self._aggregate(("worth", events, micro, fade), summed)

    def _aggregate(self, key: tuple[object, ...], expression: Callable[[], Expression]) -> Expression:
        if key not in self._aggregates:
            self._aggregates[key] = expression()
        return sql.column(f"a{list(self._aggregates).index(key)}")

    def _where(self, events: _Since, value: Expression) -> Expression:
        flag = self._flags.setdefault(events.match, f"m{len(self._flags)}")
        self._wanted.append(events)
        since = exp.GTE(this=sql.column("day", "h"), expression=sql.day(events.start))
        return sql.case([(sql.both([sql.column(flag, "h"), since]), value)])

    def query(self) -> exp.Select | None:
        if not self._aggregates:
            return None
        flags = [(flag, _matches(match, self._on)) for match, flag in self._flags.items()]
        hits = _live(self._wanted, self._on, [("person_id", None), ("day", None), ("count", _count()), *flags])
        aggregates = [(f"a{index}", value) for index, value in enumerate(self._aggregates.values())]
        return (
            sql.select([("person_id", sql.column("person_id", "h")), *aggregates])
            .from_(hits.subquery("h", copy=False), copy=False)
            .join(sql.table("fades"), join_type="cross", copy=False)
            .group_by(sql.column("person_id", "h"), copy=False)
        )


def _count() -> Expression:
    return sql.cast(sql.column("count", "e"), "BIGINT")


def _live(events: Iterable[_Since], on: date, columns: Iterable[tuple[str, Expression | None]]) -> exp.Select:
    """Events dated in any of the windows, of any of the kinds, not deleted. None: the column of that name."""
    wanted = list(events)
    kinds = sorted(set().union(*(_kinds(one.match) for one in wanted)))
    return (
        sql.select((name, value or sql.column(name, "e")) for name, value in columns)
        .from_(sql.table("events", "e"), copy=False)
        .where(_between(sql.column("day", "e"), min(one.start for one in wanted), on), copy=False)
        .where(_among(sql.column("kind", "e"), kinds), copy=False)
        .where(exp.Not(this=sql.column("deleted", "e")), copy=False)
    )


def _key(count: Count, on: date, table: str) -> Expression:
    """What tells the groups of a ``once per`` apart; for ``distinct`` the attribute."""
    day = sql.column("day", table)
    match count.mode:
        case CountMode.ONCE_PER_DAY:
            return day
        case CountMode.ONCE_PER_WEEK:  # Mondays: the age in days, counted from this week's Sunday
            shifted = exp.Add(this=sql.age(day, on), expression=sql.num(6 - on.weekday()))
            return exp.IntDiv(this=exp.Paren(this=shifted), expression=sql.num(7))
        case CountMode.ONCE_PER_MONTH:
            year = exp.Mul(this=sql.cast(exp.Year(this=day), "BIGINT"), expression=sql.num(12))
            return exp.Add(this=year, expression=sql.cast(exp.Month(this=day.copy()), "BIGINT"))
        case CountMode.ONCE_PER | CountMode.DISTINCT:
            if count.attribute is None:
                raise ValueError(f"'{count.mode}' needs an attribute")
            return sql.column(count.attribute, table)
        case _:
            raise ValueError(f"'{count.mode}' has no groups")


class _Keyed:
    """One grouping by (person, key), shared by all rules with that key."""

    def __init__(self, name: str, count: Count, on: date, fades: _Fades) -> None:
        self.name = name
        self._count = count
        self._on = on
        self._fades = fades
        self._newest: dict[_Since, str] = {}
        self._sums: dict[str, Expression] = {}

    def _column(self, events: _Since) -> Expression:
        """Day of the newest of a group."""
        return sql.column(self._newest.setdefault(events, f"d{len(self._newest)}"), "g")

    def _sum(self, expression: Expression) -> Expression:
        name = f"{self.name}_{len(self._sums)}"
        self._sums[name] = expression
        return sql.column(name)

    def once_per(self, events: _Since, micro: int, fade: Fade) -> tuple[Expression, Expression]:
        """Number of groups, and what their newest occurrences are worth together."""
        newest = self._column(events)
        one = self._fades.worth(micro, fade, newest.copy(), events.start)
        some = exp.Not(this=exp.Is(this=newest.copy(), expression=exp.null()))
        return self._sum(exp.Count(this=newest)), self._sum(sql.whole_sum(sql.case([(some, one)])))

    def distinct(self, events: _Since) -> tuple[Expression, Expression]:
        """Number of different known values, and the day of the newest event, with or without a value."""
        newest = self._column(events)
        known = exp.Not(this=exp.Is(this=sql.column("key", "g"), expression=exp.null()))
        values = self._sum(exp.Count(this=sql.case([(known, newest)])))
        return values, self._sum(exp.Max(this=newest.copy()))

    def query(self) -> exp.Select:
        day = sql.column("day", "e")
        newest: list[tuple[str, Expression]] = []
        for events, name in self._newest.items():
            since = exp.GTE(this=day.copy(), expression=sql.day(events.start))
            newest.append(
                (name, exp.Max(this=sql.case([(sql.both([_matches(events.match, self._on), since]), day.copy())])))
            )
        key = _key(self._count, self._on, "e")
        grouped = _live(self._newest, self._on, [("person_id", None), ("key", key), *newest]).group_by(
            sql.column("person_id", "e"), key.copy(), copy=False
        )
        return (
            sql.select([("person_id", sql.column("person_id", "g")), *self._sums.items()])
            .from_(grouped.subquery("g", copy=False), copy=False)
            .join(sql.table("fades"), join_type="cross", copy=False)
            .group_by(sql.column("person_id", "g"), copy=False)
        )


# -- one rule's occurrences --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """An event rule in its place. ``index``: of the item; ``start``: the first day whose events can count."""

    index: int
    rule: EventRule
    start: date
    group: int
    shared_max: int | None
    newest_first: bool

    @property
    def since(self) -> _Since:
        return _Since(self.rule.match, self.start)

    @property
    def most(self) -> int | None:
        """How many occurrences fit below ``max``, newest first; None where that is not how the rule is capped."""
        if not self.newest_first or self.rule.max is None or self.rule.micro <= 0:
            return None
        return max(self.rule.max, 0) // self.rule.micro

    @property
    def shares_max(self) -> bool:
        """Whether its occurrences compete with other rules' for the group's ``max``."""
        return self.shared_max is not None and self.rule.micro > 0

    @property
    def one_by_one(self) -> bool:
        """Whether the sum cannot be known without the single occurrences."""
        return self.shares_max or self.most is not None or self.rule.max_per_day is not None


def _window(counted: _Counted, count: Count | None, on: date) -> date:
    """The first day of a count's window, within the rule's."""
    if count is None or count.window is None:
        return counted.start
    return max(counted.start, window_start(count.window, on))


def _pick(counted: _Counted, on: date, fades: _Fades, *, whole_order: bool) -> exp.Select:
    """The occurrences that count, one row an event: item, person_id, day, occurrences, worth (of one).

    ``whole_order``: with event_id and at, and newest by these too. Between events of one day, all worth the same, it
    changes which is taken, never what they give.
    """
    rule = counted.rule
    names = ("person_id", "day", "at", "event_id") if whole_order else ("person_id", "day")
    order = sql.NEWEST_FIRST if whole_order else sql.NEWEST_FIRST[:1]
    person = sql.column("person_id", "c")
    candidates = _candidates(counted, on, names)
    marks: list[tuple[str, Expression]] = []
    tests: list[Expression] = []

    def occurrences_from(count: Count) -> None:
        """At least ``count.n`` of the candidates lie in its window."""
        name = f"within{len(marks)}"
        marks.append((name, sql.sum_over(_if_since(counted, count, on, sql.column("count", "c")), [person])))
        tests.append(exp.GTE(this=sql.column(name, "r"), expression=sql.num(count.n)))

    if rule.only_if is not None:
        occurrences_from(rule.only_if)
    first_of = [person]
    match rule.count.mode:
        case CountMode.AT_LEAST:
            occurrences_from(rule.count)
        case CountMode.DISTINCT:
            known = exp.Not(this=exp.Is(this=sql.column("key", "c"), expression=exp.null()))
            first = sql.equals(sql.column("nth_of_value", "c"), sql.num(1))
            value = sql.case([(sql.both([known, first]), sql.num(1))], sql.num(0))
            marks.append(("values", sql.sum_over(_if_since(counted, rule.count, on, value), [person])))
            tests.append(exp.GTE(this=sql.column("values", "r"), expression=sql.num(rule.count.n)))
            nth = sql.over(exp.RowNumber(), [person.copy(), sql.column("key", "c")], order)
            candidates = exp.Select(expressions=[exp.Star(), sql.named(nth, "nth_of_value")]).from_(
                candidates.subquery("c", copy=False), copy=False
            )
        case CountMode.ONCE_PER_DAY | CountMode.ONCE_PER_WEEK | CountMode.ONCE_PER_MONTH | CountMode.ONCE_PER:
            first_of = [person, sql.column("key", "c")]
        case CountMode.EVERY | CountMode.ONCE:
            pass
        case _:
            assert_never(rule.count.mode)
    if rule.count.mode is not CountMode.EVERY:
        marks.append(("nth", sql.over(exp.RowNumber(), first_of, order)))
        tests.append(sql.equals(sql.column("nth", "r"), sql.num(1)))

    occurrences = sql.column("count", "r") if rule.count.mode is CountMode.EVERY else sql.num(1)
    ranked = exp.Select(expressions=[exp.Star(), *(sql.named(mark, name) for name, mark in marks)])
    return (
        sql.select(
            [
                ("item", sql.num(counted.index)),
                *((name, sql.column(name, "r")) for name in names),
                ("occurrences", occurrences),
                ("worth", fades.worth(rule.micro, rule.fade, sql.column("day", "r"), counted.start)),
            ]
        )
        .from_(ranked.from_(candidates.subquery("c", copy=False), copy=False).subquery("r", copy=False), copy=False)
        .join(sql.table("fades"), join_type="cross", copy=False)
        .where(sql.both(tests), copy=False)
    )


def _candidates(counted: _Counted, on: date, names: Sequence[str]) -> exp.Select:
    """The live events a rule is about, of the people its ``when`` is true for."""
    rule = counted.rule
    keyed = rule.count.mode not in (CountMode.EVERY, CountMode.ONCE, CountMode.AT_LEAST)
    columns = [*((name, None) for name in names), ("count", _count())]
    if keyed:
        columns.append(("key", _key(rule.count, on, "e")))
    events = _live([counted.since], on, columns).where(_matches(rule.match, on), copy=False)
    if rule.when == All():
        return events
    return events.join(
        sql.table("people", "p"), on=sql.equals(sql.column("person_id", "p"), sql.column("person_id", "e")), copy=False
    ).where(_Conditions(on=on, table="p").expression(rule.when), copy=False)


def _if_since(counted: _Counted, count: Count, on: date, value: Expression) -> Expression:
    """``value`` of the candidates in a count's window, 0 of the others."""
    since = exp.GTE(this=sql.column("day", "c"), expression=sql.day(_window(counted, count, on)))
    return sql.case([(since, value)], sql.num(0))


class _Picked:
    """The rules whose occurrences have to be looked at one by one, newest first."""

    def __init__(self, on: date, fades: _Fades) -> None:
        self._on = on
        self._fades = fades
        self._rules: list[_Counted] = []

    def rule(self, counted: _Counted) -> tuple[Expression, Expression, Expression, Expression]:
        """Counted occurrences left by ``cap: newest``; worth before and after the rule's caps; after the group's."""
        self._rules.append(counted)
        names = ("n", "raw", "kept", "shared")
        occurrences, raw, kept, shared = (sql.column(f"{name}{counted.index}") for name in names)
        return occurrences, raw, kept, shared

    def query(self) -> exp.Select | None:
        if not self._rules:
            return None
        columns: list[tuple[str, Expression]] = [("person_id", sql.column("person_id", "d"))]
        for counted in self._rules:
            own = sql.equals(sql.column("item", "d"), sql.num(counted.index))
            kept = sql.column("kept", "d")
            if counted.rule.max_per_day is not None:
                day = sql.column("day", "d")
                most = self._fades.worth(counted.rule.max_per_day, counted.rule.fade, day, counted.start)
                kept = sql.least(kept, most)
            for name, value in (("n", sql.column("n", "d")), ("raw", sql.column("raw", "d")), ("kept", kept)):
                columns.append((f"{name}{counted.index}", sql.whole_sum(sql.case([(own.copy(), value)]))))
            columns.append(
                (f"shared{counted.index}", sql.whole_sum(sql.case([(own.copy(), sql.column("shared", "d"))])))
            )
        return (
            sql.select(columns)
            .from_(self._by_day().subquery("d", copy=False), copy=False)
            .join(sql.table("fades"), join_type="cross", copy=False)
            .group_by(sql.column("person_id", "d"), copy=False)
        )

    def _by_day(self) -> exp.Select:
        """Occurrences and worths by person, rule and day."""
        rows = self._shared()
        keys = [sql.column(name, "s") for name in ("person_id", "item", "day")]

        def worth(occurrences: str) -> Expression:
            product = exp.Mul(this=sql.column(occurrences, "s"), expression=sql.column("worth", "s"))
            return sql.whole_sum(product)

        return (
            sql.select(
                [
                    *((key.name, key) for key in keys),
                    ("n", sql.whole_sum(sql.column("kept", "s"))),
                    ("raw", worth("occurrences")),
                    ("kept", worth("kept")),
                    ("shared", worth("shared")),
                ]
            )
            .from_(rows.subquery("s", copy=False), copy=False)
            .group_by(*(key.copy() for key in keys), copy=False)
        )

    def _shared(self) -> exp.Select:
        """With the occurrences that are left by the groups' ``cap: newest``."""
        kept = self._kept()
        sharing = [counted for counted in self._rules if counted.shares_max]
        star: list[Expression] = [exp.Star()]
        if not sharing:
            return exp.Select(expressions=[*star, sql.named(sql.column("kept", "t"), "shared")]).from_(
                kept.subquery("t", copy=False), copy=False
            )
        item = sql.column("item", "t")
        group = sql.case([(sql.equals(item.copy(), sql.num(c.index)), sql.num(c.group)) for c in sharing], sql.num(-1))
        unit = sql.case([(sql.equals(item.copy(), sql.num(c.index)), sql.num(c.rule.micro)) for c in sharing])
        spent = sql.sum_over(
            exp.Mul(this=sql.column("kept", "t"), expression=exp.Paren(this=unit)),
            [sql.column("person_id", "t"), group],
            (*sql.NEWEST_FIRST, ("item", False)),
            before=True,
        )
        before = exp.Select(expressions=[*star, sql.named(spent, "spent")]).from_(
            kept.subquery("t", copy=False), copy=False
        )
        fits = []
        for counted in sharing:
            left = exp.Sub(this=sql.num(counted.shared_max or 0), expression=sql.or_zero(sql.column("spent", "u")))
            room = exp.IntDiv(
                this=exp.Paren(this=sql.greatest(left, sql.num(0))), expression=sql.num(counted.rule.micro)
            )
            own = sql.equals(sql.column("item", "u"), sql.num(counted.index))
            fits.append((own, sql.least(sql.column("kept", "u"), room)))
        shared = sql.case(fits, sql.column("kept", "u"))
        return exp.Select(expressions=[*star, sql.named(shared, "shared")]).from_(
            before.subquery("u", copy=False), copy=False
        )

    def _kept(self) -> exp.Select:
        """With the occurrences that are left by the rules' own ``cap: newest``."""
        whole_order = any(counted.shares_max for counted in self._rules)
        picks = _union(_pick(counted, self._on, self._fades, whole_order=whole_order) for counted in self._rules)
        capped = [counted for counted in self._rules if counted.most is not None]
        star: list[Expression] = [exp.Star()]
        if not capped:
            return exp.Select(expressions=[*star, sql.named(sql.column("occurrences", "o"), "kept")]).from_(
                picks.subquery("o", copy=False), copy=False
            )
        order = sql.NEWEST_FIRST if whole_order else sql.NEWEST_FIRST[:1]
        earlier = sql.sum_over(
            sql.column("occurrences", "o"),
            [sql.column("person_id", "o"), sql.column("item", "o")],
            order,
            before=True,
        )
        before = exp.Select(expressions=[*star, sql.named(earlier, "earlier")]).from_(
            picks.subquery("o", copy=False), copy=False
        )
        fits = []
        for counted in capped:
            room = exp.Sub(this=sql.num(counted.most or 0), expression=sql.or_zero(sql.column("earlier", "v")))
            own = sql.equals(sql.column("item", "v"), sql.num(counted.index))
            fits.append((own, sql.greatest(sql.least(sql.column("occurrences", "v"), room), sql.num(0))))
        kept = sql.case(fits, sql.column("occurrences", "v"))
        return exp.Select(expressions=[*star, sql.named(kept, "kept")]).from_(
            before.subquery("v", copy=False), copy=False
        )


def _union(selects: Iterable[exp.Select]) -> exp.Query:
    first, *rest = selects
    return exp.union(first, *rest, distinct=False, copy=False) if rest else first


# -- the whole ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """How an item gets its points: each an expression, NULL where it gives nothing."""

    occurrences: Expression | None
    raw: Expression
    kept: Expression
    shared: Expression | None = None


class _Query:
    """The query of one policy and day, from the bottom up.

    Each step selects everything of the one before and adds its own columns:
    ``n``, ``raw``, ``kept`` and ``shared`` with the number of the item, ``v`` (the item's value after its own caps),
    ``joined``, ``capped`` and ``g`` with the number of the group (together, after min and max, after weight),
    ``most`` and ``d`` with the number of the dimension (after max, after floor), and the scores.
    """

    def __init__(self, policy: Policy, on: date) -> None:
        self.policy = policy
        self.on = on
        self.fades = _Fades(on)
        self.layout = layout(policy, on)
        self.sections = sections(policy)
        self.pass_ = _Pass(on, self.fades)
        self.keyed: dict[tuple[CountMode, str | None], _Keyed] = {}
        self.picked = _Picked(on, self.fades)
        self.counted: list[_Counted] = []
        self.person = _Conditions(on=on, table=None)
        self.groups = [
            (section, index, group)
            for index, (section, group) in enumerate((s, g) for s in self.sections for g in s.dimension.groups)
        ]
        sizes = [len(group.items) for _, _, group in self.groups]
        self.first = [sum(sizes[:index]) for index in range(len(sizes))]

    # what each item counts

    def start(self, dimension: Dimension, window: Span | None) -> date:
        first = window_start(dimension.not_before, self.on)
        return first if window is None else max(first, window_start(window, self.on))

    def exists(self, dimension: Dimension) -> Callable[[EventExists], Expression]:
        """Whether an event exists that is live under the dimension's ``not_before``."""

        def expression(node: EventExists) -> Expression:
            start = self.start(dimension, node.window)
            if node.at_least <= 1:
                newest = self.pass_.newest(_Since(node.match, self.start(dimension, None)))
                return exp.GTE(this=newest, expression=sql.day(start))
            occurrences = self.pass_.occurrences(_Since(node.match, start))
            return exp.GTE(this=occurrences, expression=sql.num(node.at_least))

        return expression

    def event_rule(self, counted: _Counted) -> _Counts:
        rule = counted.rule
        if counted.one_by_one:
            occurrences, raw, kept, shared = self.picked.rule(counted)
            return _Counts(occurrences=occurrences, raw=raw, kept=kept, shared=shared if counted.shares_max else None)
        occurrences, raw = self._sum(counted)
        tests: list[Expression] = [exp.GT(this=occurrences.copy(), expression=sql.num(0))]
        if rule.when != All():
            tests.append(self.person.expression(rule.when))
        if rule.only_if is not None:
            enough = self.pass_.occurrences(_Since(rule.match, _window(counted, rule.only_if, self.on)))
            tests.append(exp.GTE(this=enough, expression=sql.num(rule.only_if.n)))
        guarded = sql.case([(sql.both(tests), raw)])
        number = sql.case([(sql.both(test.copy() for test in tests), occurrences)])
        return _Counts(occurrences=number, raw=guarded, kept=guarded.copy())

    def _sum(self, counted: _Counted) -> tuple[Expression, Expression]:
        """Counted occurrences and their worth, without conditions on the person."""
        rule, since = counted.rule, counted.since

        def single(true: Expression, newest: Expression) -> tuple[Expression, Expression]:
            worth = self.fades.worth(rule.micro, rule.fade, newest, counted.start)
            return sql.case([(true, sql.num(1))]), worth

        match rule.count.mode:
            case CountMode.EVERY if rule.fade.mode in (FadeMode.NONE, FadeMode.EXPIRE):
                occurrences = self.pass_.occurrences(since)
                fresh = occurrences.copy()
                if rule.fade.mode is FadeMode.EXPIRE:
                    expiry = max(counted.start, window_start(rule.fade.span, self.on))
                    fresh = sql.or_zero(self.pass_.occurrences(_Since(rule.match, expiry)))
                return occurrences, exp.Mul(this=fresh, expression=sql.num(rule.micro))
            case CountMode.EVERY:
                return self.pass_.occurrences(since), self.pass_.worth(since, rule.micro, rule.fade)
            case CountMode.ONCE:
                newest = self.pass_.newest(since)
                return single(exp.Not(this=exp.Is(this=newest.copy(), expression=exp.null())), newest)
            case CountMode.AT_LEAST:
                within = self.pass_.occurrences(_Since(rule.match, _window(counted, rule.count, self.on)))
                enough = exp.GTE(this=within, expression=sql.num(rule.count.n))
                return single(enough, self.pass_.newest(since))
            case CountMode.DISTINCT:
                values, newest = self._keyed(rule.count).distinct(
                    _Since(rule.match, _window(counted, rule.count, self.on))
                )
                return single(exp.GTE(this=values, expression=sql.num(rule.count.n)), newest)
            case CountMode.ONCE_PER_DAY | CountMode.ONCE_PER_WEEK | CountMode.ONCE_PER_MONTH | CountMode.ONCE_PER:
                return self._keyed(rule.count).once_per(since, rule.micro, rule.fade)
            case _:
                assert_never(rule.count.mode)

    def _keyed(self, count: Count) -> _Keyed:
        mode = CountMode.ONCE_PER if count.mode is CountMode.DISTINCT else count.mode
        key = (mode, count.attribute)
        if key not in self.keyed:
            self.keyed[key] = _Keyed(f"k{len(self.keyed)}", count, self.on, self.fades)
        return self.keyed[key]

    def absent_rule(self, rule: AbsentRule, dimension: Dimension) -> _Counts:
        newest = self.pass_.newest(_Since(rule.match, self.start(dimension, None)))
        last = sql.greatest(newest, sql.column("person.created_at"))
        silent = exp.LT(this=last, expression=sql.day(window_start(rule.span, self.on)))
        tests: list[Expression] = [silent]
        if rule.when != All():
            tests.append(self.person.expression(rule.when))
        periods = self._periods(last.copy(), rule.span) if rule.every else sql.num(1)
        number = sql.case([(sql.both(tests), periods)])
        raw = exp.Mul(this=exp.Paren(this=number), expression=sql.num(rule.micro))
        return _Counts(occurrences=number.copy(), raw=raw, kept=raw.copy())

    def _periods(self, last: Expression, span: Span) -> Expression:
        """How many whole spans have passed since ``last``, a date before today."""
        match span.unit:
            case Unit.DAY:
                return exp.IntDiv(this=exp.Paren(this=sql.age(last, self.on)), expression=sql.num(span.n))
            case Unit.MONTH:
                return exp.IntDiv(this=exp.Paren(this=self._months(last)), expression=sql.num(span.n))
            case _:
                assert_never(span.unit)

    def _months(self, last: Expression) -> Expression:
        """Whole calendar months since ``last``: by the months' numbers, one less before its day comes."""
        number = exp.Add(
            this=exp.Mul(this=sql.cast(exp.Year(this=last), "BIGINT"), expression=sql.num(12)),
            expression=sql.cast(exp.Month(this=last.copy()), "BIGINT"),
        )
        months = exp.Sub(this=sql.num(self.on.year * 12 + self.on.month), expression=exp.Paren(this=number))
        if self.on.day == monthrange(self.on.year, self.on.month)[1]:  # the last day stands for all that would follow
            return months
        late = exp.GT(this=sql.cast(exp.Day(this=last.copy()), "BIGINT"), expression=sql.num(self.on.day))
        return exp.Sub(
            this=exp.Paren(this=months), expression=exp.Paren(this=sql.case([(late, sql.num(1))], sql.num(0)))
        )

    def item(self, index: int, group_index: int, group: Group, dimension: Dimension) -> _Counts:
        item = group.items[index - self.first[group_index]]
        match item:
            case Table():
                points = self._table(item)
                return _Counts(occurrences=None, raw=points, kept=points.copy())
            case FitRule():
                points = sql.case([(self.person.expression(item.test), sql.num(item.micro))])
                return _Counts(occurrences=None, raw=points, kept=points.copy())
            case EventRule():
                counted = _Counted(
                    index=index,
                    rule=item,
                    start=self.start(dimension, item.window),
                    group=group_index,
                    shared_max=group.max if group.newest_first else None,
                    newest_first=item.newest_first or group.newest_first,
                )
                self.counted.append(counted)
                return self.event_rule(counted)
            case AbsentRule():
                return self.absent_rule(item, dimension)
            case _:
                assert_never(item)

    def _table(self, table: Table) -> Expression:
        lines = [(self.person.expression(line.test), sql.num(line.micro)) for line in table.lines]
        missing = self.person.expression(Missing(table.field))
        return sql.case([(missing, sql.num(table.unknown)), *lines], sql.num(table.otherwise))

    # the steps

    def query(self) -> tuple[exp.Select, exp.Select]:
        """The scorecards, and the same with the columns between the steps."""
        gates = self._gates()  # before the passes are written: gates ask for aggregates too
        steps = [self._items(), self._values(), self._joined(), self._capped(), self._weighted(), self._summed()]
        steps += [
            self._limited(),
            self._floored(),
            self._chosen(),
            self._whole(),
            self._labels(),
            self._grades(),
            gates,
        ]
        rows = self._base()
        for number, columns in enumerate(steps):
            name = f"s{number}"
            new = [sql.named(value, column) for column, value in columns]
            before = exp.Column(this=exp.Star(), table=exp.to_identifier(name))
            rows = exp.Select(expressions=[before, *new]).from_(rows.subquery(name, copy=False), copy=False)
            if number == 0:
                rows = rows.join(sql.table("fades"), join_type="cross", copy=False)
        result = self._result()
        between = [column for columns in steps[:8] for column, _ in columns]
        detail = sql.select([*result, *((column, sql.column(column)) for column in between)])
        return sql.select(result).from_(rows.subquery("z", copy=False), copy=False), detail.from_(
            rows.subquery("z", copy=False), copy=False
        )

    def _base(self) -> exp.Select:
        """People with their model and what their events come to."""
        parts: list[tuple[str, exp.Select]] = []
        if (aggregates := self.pass_.query()) is not None:
            parts.append(("a", aggregates))
        parts += [(keyed.name, keyed.query()) for keyed in self.keyed.values()]
        if (picked := self.picked.query()) is not None:
            parts.append(("k", picked))
        model = _Conditions(on=self.on, table="p")
        choices = [
            (model.expression(m.when), sql.num(index))
            for index, m in enumerate(self.policy.models)
            if m.when is not None
        ]
        people = exp.Column(this=exp.Star(), table=exp.to_identifier("p"))
        model_index = sql.case(choices, sql.num(len(self.policy.models) - 1))
        base = exp.Select(expressions=[people, sql.named(model_index, "model#")]).from_(
            sql.table("people", "p"), copy=False
        )
        for name, part in parts:
            taken = [column.alias for column in part.expressions if column.alias != "person_id"]
            base = base.select(*(sql.named(sql.column(column, name), column) for column in taken), copy=False)
            same = sql.equals(sql.column("person_id", name), sql.column("person_id", "p"))
            base = base.join(part.subquery(name, copy=False), on=same, join_type="left", copy=False)
        return base

    def _items(self) -> list[_Column]:
        columns: list[_Column] = []
        for section, group_index, group in self.groups:
            for index in range(self.first[group_index], self.first[group_index] + len(group.items)):
                counts = self.item(index, group_index, group, section.dimension)
                for name, value in (
                    ("n", counts.occurrences),
                    ("raw", counts.raw),
                    ("kept", counts.kept),
                    ("shared", counts.shared),
                ):
                    if value is not None:
                        columns.append((f"{name}#{index}", self._of_section(section, value)))
        return columns

    def _of_section(self, section: Section, value: Expression) -> Expression:
        """NULL for people whose model has another dimension."""
        if len(section.models) == len(self.policy.models):
            return value
        own = exp.In(this=sql.column("model#"), expressions=[sql.num(index) for index in section.models])
        return sql.case([(own, value)])

    def _values(self) -> list[_Column]:
        columns: list[_Column] = []
        for _, group_index, group in self.groups:
            for index, item in enumerate(group.items, self.first[group_index]):
                kept = sql.column(f"kept#{index}")
                value = kept
                if isinstance(item, EventRule | AbsentRule) and (item.min, item.max) != (None, None):
                    given = exp.Not(this=exp.Is(this=kept, expression=exp.null()))
                    value = sql.case([(given, sql.clamp(kept.copy(), item.min, item.max))])
                columns.append((f"v#{index}", value))
        return columns

    def _joined(self) -> list[_Column]:
        columns: list[_Column] = []
        for _, group_index, group in self.groups:
            values = []
            for index, item in enumerate(group.items, self.first[group_index]):
                shares = group.newest_first and group.max is not None and isinstance(item, EventRule) and item.micro > 0
                value = sql.column(f"shared#{index}" if shares else f"v#{index}")
                # the best of fit rules is one that is true; an event rule that gives nothing is worth 0
                best_of_true = group.combine is Combine.BEST and isinstance(item, FitRule)
                values.append(value if best_of_true else sql.or_zero(value))
            joined = (
                sql.or_zero(sql.greatest(*values)) if group.combine is Combine.BEST and values else sql.total(values)
            )
            columns.append((f"joined#{group_index}", joined))
        return columns

    def _capped(self) -> list[_Column]:
        return [
            (
                f"capped#{index}",
                sql.clamp(sql.column(f"joined#{index}"), group.min, None if group.newest_first else group.max),
            )
            for _, index, group in self.groups
        ]

    def _weighted(self) -> list[_Column]:
        columns: list[_Column] = []
        for _, index, group in self.groups:
            capped = sql.column(f"capped#{index}")
            columns.append((f"g#{index}", capped if group.weight is None else sql.rounded_share(capped, group.weight)))
        return columns

    def _summed(self) -> list[_Column]:
        return [
            (f"sum#{number}", sql.total(sql.column(f"g#{index}") for of, index, _ in self.groups if of is section))
            for number, section in enumerate(self.sections)
        ]

    def _limited(self) -> list[_Column]:
        return [
            (f"most#{number}", sql.clamp(sql.column(f"sum#{number}"), None, section.dimension.max))
            for number, section in enumerate(self.sections)
        ]

    def _floored(self) -> list[_Column]:
        return [
            (f"d#{number}", sql.clamp(sql.column(f"most#{number}"), section.dimension.floor, None))
            for number, section in enumerate(self.sections)
        ]

    def _chosen(self) -> list[_Column]:
        """Each model's own dimensions, and the total of them."""

        def of_model(score: Score, index: int) -> int:
            return next(n for n, part in enumerate(self.sections) if part.score is score and index in part.models)

        def value(score: Score) -> Callable[[int], Expression]:
            return lambda index: sql.column(f"d#{of_model(score, index)}")

        def tables(index: int) -> list[Expression]:
            groups = self.sections[of_model(Score.FIT, index)].dimension.groups
            fields = [item.field for group in groups for item in group.items if isinstance(item, Table)]
            return [self.person.expression(Missing(name)) for name in fields]

        def unknown(index: int) -> Expression:
            return sql.total(sql.case([(missing, sql.num(1))], sql.num(0)) for missing in tables(index))

        def known(index: int) -> Expression:
            return sql.total(sql.case([(missing, sql.num(0))], sql.num(1)) for missing in tables(index))

        def total(index: int) -> Expression:
            grade = self.policy.models[index].grade
            shares = zip((Score.FIT, Score.ENGAGEMENT), grade.total_weights, strict=True)
            parts = [
                v if share == _ALL else sql.rounded_share(v, share)
                for v, share in ((value(score)(index), share) for score, share in shares)
            ]
            return sql.clamp(sql.total(parts), None, grade.total_max)

        return [
            ("fit_micro", self._by_model(value(Score.FIT))),
            ("engagement_micro", self._by_model(value(Score.ENGAGEMENT))),
            ("total_micro", self._by_model(total)),
            ("known_groups", self._by_model(known)),
            ("unknown_groups", self._by_model(unknown)),
        ]

    def _whole(self) -> list[_Column]:
        def points(score: Score) -> Expression:
            half = exp.Add(this=sql.column(f"{score}_micro"), expression=sql.num(MICRO // 2))
            return sql.floor_divide(exp.Paren(this=half), MICRO)

        return [
            *((str(score), points(score)) for score in (Score.FIT, Score.ENGAGEMENT, Score.TOTAL)),
            ("fit.known_groups", exp.Mul(this=sql.column("known_groups"), expression=sql.num(MICRO))),
            ("fit.unknown_groups", exp.Mul(this=sql.column("unknown_groups"), expression=sql.num(MICRO))),
        ]

    def _labels(self) -> list[_Column]:
        def label(score: Score) -> Callable[[int], Expression]:
            return lambda index: _band(self._bands(index).get(score), sql.column(str(score)))

        return [
            (f"{score}#label", self._by_model(label(score))) for score in (Score.FIT, Score.ENGAGEMENT, Score.TOTAL)
        ]

    def _bands(self, model: int) -> dict[Score, Bands]:
        grade = self.policy.models[model].grade
        bands = {Score.FIT: grade.fit, Score.ENGAGEMENT: grade.engagement, Score.TOTAL: grade.total}
        return {score: of for score, of in bands.items() if of is not None}

    def _grades(self) -> list[_Column]:
        def grade(index: int) -> Expression:
            labels = [sql.column(f"{s}#label") for s in (Score.FIT, Score.ENGAGEMENT) if s in self._bands(index)]
            if not labels:
                return sql.text("")
            return labels[0] if len(labels) == 1 else exp.Concat(expressions=labels)

        return [("grade#", self._by_model(grade))]

    def _gates(self) -> list[_Column]:
        points = {score: sql.column(str(score)) for score in (Score.FIT, Score.ENGAGEMENT, Score.TOTAL)}

        def lines(index: int) -> Expression:
            model = self.policy.models[index]
            if len(model.become_when) > _MAX_LINES:
                raise ValueError(f"model {model.name}: become_when has more than {_MAX_LINES} lines")
            conditions = _Conditions(
                on=self.on,
                table=None,
                event_exists=self.exists(model.engagement),
                points=points,
                labels={s: sql.column(f"{s}#label") for s in self._bands(index)} | {Score.GRADE: sql.column("grade#")},
            )
            return sql.total(
                sql.case([(conditions.expression(line.test), sql.num(1 << bit))], sql.num(0))
                for bit, line in enumerate(model.become_when)
            )

        default = self.policy.models[-1].engagement
        person = _Conditions(on=self.on, table=None, event_exists=self.exists(default))
        suppress = [(person.expression(line.test), sql.text(line.name)) for line in self.policy.suppress]
        hand_raise = self.pass_.newest(_Since(self.policy.hand_raise, self.start(default, None)))
        return [
            ("suppressed#", sql.case(suppress, sql.cast(exp.null(), "TEXT"))),
            ("lines#", self._by_model(lines)),
            ("hand_raise#", hand_raise),
        ]

    def _by_model(self, expression: Callable[[int], Expression]) -> Expression:
        """The expression of the person's model."""
        each = [expression(index) for index in range(len(self.policy.models))]
        if all(one == each[-1] for one in each):
            return each[-1]
        own = [(sql.equals(sql.column("model#"), sql.num(index)), value) for index, value in enumerate(each[:-1])]
        return sql.case(own, each[-1])

    def _result(self) -> list[_Column]:
        names = [sql.text(model.name) for model in self.policy.models]
        columns: list[_Column] = [
            ("person_id", sql.column("person_id")),
            ("model", self._by_model(lambda index: names[index])),
            ("suppressed", sql.column("suppressed#")),
            ("grade", sql.column("grade#")),
            *((str(score), sql.column(str(score))) for score in (Score.FIT, Score.ENGAGEMENT, Score.TOTAL)),
            *((f"{score}_micro", sql.column(f"{score}_micro")) for score in (Score.FIT, Score.ENGAGEMENT, Score.TOTAL)),
            ("lines", sql.column("lines#")),
            ("known_groups", sql.column("known_groups")),
            ("unknown_groups", sql.column("unknown_groups")),
            ("hand_raise", sql.column("hand_raise#")),
        ]
        index = group_index = 0
        for number, (section, place) in enumerate(zip(self.sections, self.layout.dimensions, strict=True)):
            lost = exp.Sub(this=sql.column(f"sum#{number}"), expression=sql.column(f"d#{number}"))
            columns.append((place.loss, self._of_section(section, lost)))
            for group in place.groups:
                items = range(index, index + len(group.items))
                given = sql.total(sql.or_zero(sql.column(f"v#{one}")) for one in items)
                lost = exp.Sub(this=given, expression=sql.column(f"g#{group_index}"))
                columns.append((group.loss, self._of_section(section, lost)))
                for item in group.items:
                    columns.append((item.column, sql.column(f"v#{index}")))
                    if item.counts:
                        columns.append((item.counts, sql.column(f"n#{index}")))
                    index += 1
                group_index += 1
        return columns


def _band(bands: Bands | None, points: Expression) -> Expression:
    """The label of whole points; below the last bound the last label."""
    if bands is None:
        return sql.cast(exp.null(), "TEXT")
    *upper, last = zip(bands.labels, bands.bounds, strict=True)
    tests = [
        (exp.GTE(this=points.copy(), expression=sql.num(bound)), sql.text(label))
        for label, bound in upper
        if bound is not None
    ]
    return sql.case(tests, sql.text(last[0]))


def compile_policy(policy: Policy, day: date) -> Compiled:
    """The queries of a policy for one day.

    Raises ValueError for a condition that stands where it cannot be computed (the loader does not let one pass).
    """
    query = _Query(policy, day)
    cards, detail = query.query()
    picks = (
        _union(_pick(counted, day, query.fades, whole_order=True) for counted in query.counted)
        if query.counted
        else None
    )
    used = {column.name for tree in (cards, picks) if tree is not None for column in tree.find_all(exp.Column)}
    return Compiled(
        layout=query.layout,
        query=cards,
        detail=detail,
        picks=picks,
        fades=query.fades.tables(),
        people=frozenset(used & {*people_schema(policy.custom).names, "person_id", "seq"}),
        events=frozenset(used & set(events_schema().names)),
    )


def newest(table: str, key: str, columns: Iterable[str], *, dedup: bool, only: frozenset[str] | None) -> exp.Select:
    """The rows of ``table`` that count: of each ``key`` the one with the greatest seq (``dedup``), of certain people.

    ``only``: few ids are named in the query, so that most of a sorted file need not be read; many are looked up in the
    table ``only_people``.
    """
    names = sorted(columns)
    rows = sql.select((name, sql.column(name)) for name in {*names, "seq"}).from_(sql.table(table), copy=False)
    if dedup:
        nth = sql.over(exp.RowNumber(), [sql.column(key)], (("seq", True),))
        rows = rows.select(sql.named(nth, "nth"), copy=False)
    result = sql.select((name, sql.column(name, "n")) for name in names).from_(
        rows.subquery("n", copy=False), copy=False
    )
    if dedup:
        result = result.where(sql.equals(sql.column("nth", "n"), sql.num(1)), copy=False)
    if only is not None:
        person = sql.column("person_id", "n")
        if len(only) <= _FEW:
            chosen = _among(person, sorted(only))
        else:
            chosen = exp.In(this=person, query=exp.select("person_id").from_("only_people").subquery())
        result = result.where(chosen, copy=False)
    return result
