"""How events come to points in SQL: the passes over the events table, and the choice of occurrences for the ledger.

How a query gets at an event rule's points depends on how the rule counts:

- *every*, *once*, *at least*, absence and gates: conditional aggregates of one pass over the events (`Pass`);
- *once per ...* and *distinct*: one grouping by (person, key) for each kind of key, shared by all its rules (`Keyed`);
- ``max_per_day`` and ``cap: newest``: the occurrences one by one, with window functions (`Picked`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import assert_never

from sqlglot import exp

from scoring import sql
from scoring.conditions import (
    All,
    Count,
    CountMode,
    EventMatch,
    EventRule,
    Fade,
    FadeMode,
)
from scoring.conditions_sql import Conditions, among, between, kinds_of_match, matches
from scoring.fades import micro_by_age, window_start
from scoring.ignored_sql import Live

__all__ = ["Counted", "Fades", "Keyed", "Pass", "Picked", "Since", "pick", "union", "window_of"]

Expression = exp.Expression


# -- fades -------------------------------------------------------------------------------------------------------


class Fades:
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
class Since:
    """Events that match, dated from ``start`` on."""

    match: EventMatch
    start: date


class Pass:
    """One pass over the events: flags of the matches, then aggregates by person."""

    def __init__(self, name: str, on: date, fades: Fades, events: Live) -> None:
        self.name = name
        self._on = on
        self._fades = fades
        self._live = events
        self._flags: dict[EventMatch, str] = {}
        self._aggregates: dict[tuple[object, ...], Callable[[], Expression]] = {}
        self._wanted: dict[Since, None] = {}

    def newest(self, events: Since) -> Expression:
        """Day of the newest, NULL for none."""
        return self._aggregate(
            ("newest", events), events, lambda: exp.Max(this=self._where(events, sql.column("day", "h")))
        )

    def occurrences(self, events: Since) -> Expression:
        """How many, NULL for none."""
        return self._aggregate(
            ("occurrences", events), events, lambda: sql.whole_sum(self._where(events, sql.column("count", "h")))
        )

    def worth(self, events: Since, micro: int, fade: Fade) -> Expression:
        """What all of them are worth together, NULL for none."""

        def summed() -> Expression:
            one = self._fades.worth(micro, fade, sql.column("day", "h"), events.start)
            return sql.whole_sum(
                self._where(events, exp.Mul(this=sql.column("count", "h"), expression=exp.Paren(this=one)))
            )

        return self._aggregate(("worth", events, micro, fade), events, summed)

    def _aggregate(self, key: tuple[object, ...], events: Since, expression: Callable[[], Expression]) -> Expression:
        """The column of an aggregate; it is written when it is known what else the pass looks at."""
        self._aggregates.setdefault(key, expression)
        self._wanted[events] = None
        return sql.column(self._named(list(self._aggregates).index(key)))

    def _named(self, aggregate: int) -> str:
        return f"{self.name}_{aggregate}"

    def _where(self, events: Since, value: Expression) -> Expression:
        """``value`` of the events meant. What the pass as a whole looks for is not asked again of every event."""
        tests = []
        if not _is_all(events.match, kinds_of(self._wanted)):
            tests.append(sql.column(self._flags.setdefault(events.match, f"m{len(self._flags)}"), "h"))
        if events.start > first_day(self._wanted):
            tests.append(exp.GTE(this=sql.column("day", "h"), expression=sql.day(events.start)))
        return sql.case([(sql.both(tests), value)]) if tests else value

    def query(self) -> exp.Select | None:
        if not self._aggregates:
            return None
        aggregates = [
            (f"{self.name}_{index}", expression()) for index, expression in enumerate(self._aggregates.values())
        ]
        flags = [(flag, matches(match, self._on)) for match, flag in self._flags.items()]
        columns = [("person_id", None), ("day", None), ("count", count_column()), *flags]
        hits = live(self._wanted, self._live, columns)
        return (
            sql.select([("person_id", sql.column("person_id", "h")), *aggregates])
            .from_(hits.subquery("h", copy=False), copy=False)
            .join(sql.table("fades"), join_type="cross", copy=False)
            .group_by(sql.column("person_id", "h"), copy=False)
        )


def count_column() -> Expression:
    return sql.cast(sql.column("count", "e"), "BIGINT")


def live(wanted: Collection[Since], events: Live, columns: Iterable[tuple[str, Expression | None]]) -> exp.Select:
    """Events dated in any of the windows, of any of the kinds, not deleted. None: the column of that name."""
    kinds = kinds_of(wanted)
    return (
        sql.select((name, value or sql.column(name, "e")) for name, value in columns)
        .from_(events.of(kinds), copy=False)
        .where(between(sql.column("day", "e"), first_day(wanted), events.on), copy=False)
        .where(among(sql.column("kind", "e"), sorted(kinds)), copy=False)
        .where(exp.Not(this=sql.column("deleted", "e")), copy=False)
    )


def first_day(events: Iterable[Since]) -> date:
    return min(one.start for one in events)


def kinds_of(events: Iterable[Since]) -> set[str]:
    return set().union(*(kinds_of_match(one.match) for one in events))


def _is_all(match: EventMatch, kinds: set[str]) -> bool:
    """Whether every event of these kinds matches."""
    return match.where == All() and kinds <= set(match.kinds)


def key_column(count: Count, on: date, table: str) -> Expression:
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


class Keyed:
    """One grouping by (person, key), shared by all rules with that key."""

    def __init__(self, name: str, count: Count, on: date, fades: Fades, events: Live) -> None:
        self.name = name
        self._count = count
        self._on = on
        self._fades = fades
        self._live = events
        self._newest: dict[Since, str] = {}
        self._sums: dict[str, Expression] = {}

    def _where(self, events: Since) -> Expression:
        """The day of the events meant; where no others are, all that are looked at are meant."""
        day = sql.column("day", "e")
        if len(self._newest) == 1:
            return day
        since = exp.GTE(this=day.copy(), expression=sql.day(events.start))
        return sql.case([(sql.both([matches(events.match, self._on), since]), day)])

    def _column(self, events: Since) -> Expression:
        """Day of the newest of a group."""
        return sql.column(self._newest.setdefault(events, f"d{len(self._newest)}"), "g")

    def _sum(self, expression: Expression) -> Expression:
        name = f"{self.name}_{len(self._sums)}"
        self._sums[name] = expression
        return sql.column(name)

    def once_per(self, events: Since, micro: int, fade: Fade) -> tuple[Expression, Expression]:
        """Number of groups, and what their newest occurrences are worth together."""
        newest = self._column(events)
        one = self._fades.worth(micro, fade, newest.copy(), events.start)
        some = sql.known(newest.copy())
        return self._sum(exp.Count(this=newest)), self._sum(sql.whole_sum(sql.case([(some, one)])))

    def distinct(self, events: Since) -> tuple[Expression, Expression]:
        """Number of different known values, and the day of the newest event, with or without a value."""
        newest = self._column(events)
        known = sql.known(sql.column("key", "g"))
        values = self._sum(exp.Count(this=sql.case([(known, newest)])))
        return values, self._sum(exp.Max(this=newest.copy()))

    def query(self) -> exp.Select:
        newest = [(name, exp.Max(this=self._where(events))) for events, name in self._newest.items()]
        key = key_column(self._count, self._on, "e")
        grouped = live(self._newest, self._live, [("person_id", None), ("key", key), *newest]).group_by(
            sql.column("person_id", "e"), key.copy(), copy=False
        )
        if len(self._newest) == 1:
            (events,) = self._newest
            grouped = grouped.where(matches(events.match, self._on), copy=False)
        return (
            sql.select([("person_id", sql.column("person_id", "g")), *self._sums.items()])
            .from_(grouped.subquery("g", copy=False), copy=False)
            .join(sql.table("fades"), join_type="cross", copy=False)
            .group_by(sql.column("person_id", "g"), copy=False)
        )


# -- one rule's occurrences --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """An event rule in its place. ``index``: of the item; ``start``: the first day whose events can count."""

    index: int
    rule: EventRule
    events: Live
    start: date
    group: int
    shared_max: int | None
    newest_first: bool

    @property
    def since(self) -> Since:
        return Since(self.rule.match, self.start)

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


def window_of(counted: Counted, count: Count | None, on: date) -> date:
    """The first day of a count's window, within the rule's."""
    if count is None or count.window is None:
        return counted.start
    return max(counted.start, window_start(count.window, on))


def pick(counted: Counted, on: date, fades: Fades, *, whole_order: bool) -> exp.Select:
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
            known = sql.known(sql.column("key", "c"))
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


def _candidates(counted: Counted, on: date, names: Sequence[str]) -> exp.Select:
    """The live events a rule is about, of the people its ``when`` is true for."""
    rule = counted.rule
    keyed = rule.count.mode not in (CountMode.EVERY, CountMode.ONCE, CountMode.AT_LEAST)
    columns = [*((name, None) for name in names), ("count", count_column())]
    if keyed:
        columns.append(("key", key_column(rule.count, on, "e")))
    events = live([counted.since], counted.events, columns).where(matches(rule.match, on), copy=False)
    if rule.when == All():
        return events
    return events.join(
        sql.table("people", "p"), on=sql.equals(sql.column("person_id", "p"), sql.column("person_id", "e")), copy=False
    ).where(Conditions(on=on, table="p").expression(rule.when), copy=False)


def _if_since(counted: Counted, count: Count, on: date, value: Expression) -> Expression:
    """``value`` of the candidates in a count's window, 0 of the others."""
    since = exp.GTE(this=sql.column("day", "c"), expression=sql.day(window_of(counted, count, on)))
    return sql.case([(since, value)], sql.num(0))


class Picked:
    """The rules whose occurrences have to be looked at one by one, newest first."""

    def __init__(self, on: date, fades: Fades) -> None:
        self._on = on
        self._fades = fades
        self._rules: list[Counted] = []

    def rule(self, counted: Counted) -> tuple[Expression, Expression, Expression, Expression]:
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
        picks = union(pick(counted, self._on, self._fades, whole_order=whole_order) for counted in self._rules)
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


def union(selects: Iterable[exp.Select]) -> exp.Query:
    first, *rest = selects
    return exp.union(first, *rest, distinct=False, copy=False) if rest else first
