"""How events come to points in SQL: the passes over the events table, and the choice of occurrences for the ledger.

How a query gets at an event rule's points depends on how the rule counts:

- *every*, *once*, *at least*, absence and gates: conditional aggregates of one pass over the events (`Pass`);
- *once per ...* and *distinct*: one grouping by (person, key) for each kind of key, shared by all its rules (`Keyed`);
- ``max_per_day`` and ``cap: newest``: the occurrences one by one, with window functions (`Picked`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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
    """The rules whose occurrences have to be looked at newest first.

    Whatever a rule caps by itself is decided by days: what happened on one day is worth the same, so it does not matter
    which of it counts. Only where rules compete for their group's ``max`` the single events are put in order.
    """

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
            for name in ("n", "raw", "kept", *(["shared"] if counted.shares_max else [])):
                value = sql.case([(own.copy(), sql.column(name, "d"))])
                columns.append((f"{name}{counted.index}", sql.whole_sum(value)))
        return (
            sql.select(columns)
            .from_(union(self._parts()).subquery("d", copy=False), copy=False)
            .group_by(sql.column("person_id", "d"), copy=False)
        )

    def _parts(self) -> Iterator[exp.Select]:
        """Rows of person_id, item, n, raw, kept and shared (NULL where no group's cap is shared)."""
        sharing = [counted for counted in self._rules if counted.shares_max]
        capped = [counted for counted in self._rules if not counted.shares_max and counted.most is not None]
        uncapped = [counted for counted in self._rules if not counted.shares_max and counted.most is None]
        if uncapped:
            yield self._worths(_as_kept(self._days(uncapped)), uncapped)
        if capped:
            yield self._worths(_within_own_max(self._days(capped), capped, sql.NEWEST_FIRST[:1]), capped)
        if sharing:
            picks: exp.Query = union(pick(one, self._on, self._fades, whole_order=True) for one in sharing)
            if any(one.most is not None for one in sharing):
                kept = _within_own_max(picks, sharing, sql.NEWEST_FIRST)
            else:
                kept = _as_kept(picks)
            shared = _within_shared_max(kept, sharing)
            per_day = any(one.rule.max_per_day is not None for one in sharing)
            yield self._worths(_by_day(shared, ("kept", "shared")) if per_day else shared, sharing)

    def _days(self, rules: Iterable[Counted]) -> exp.Select:
        picks = union(pick(counted, self._on, self._fades, whole_order=False) for counted in rules)
        return _by_day(picks, ())

    def _worths(self, rows: exp.Select, rules: Sequence[Counted]) -> exp.Select:
        """What occurrences are worth, with at most so much a day where a rule says so."""

        def worth(occurrences: str) -> Expression:
            return exp.Mul(this=sql.column(occurrences, "s"), expression=sql.column("worth", "s"))

        limited = []
        for counted in rules:
            if counted.rule.max_per_day is not None:
                own = sql.equals(sql.column("item", "s"), sql.num(counted.index))
                day = sql.column("day", "s")
                most = self._fades.worth(counted.rule.max_per_day, counted.rule.fade, day, counted.start)
                limited.append((own, sql.least(worth("kept"), most)))
        shared = worth("shared") if any(counted.shares_max for counted in rules) else sql.cast(exp.null(), "BIGINT")
        return (
            sql.select(
                [
                    *((name, sql.column(name, "s")) for name in ("person_id", "item")),
                    *(("n", sql.column("kept", "s")), ("raw", worth("occurrences"))),
                    *(("kept", sql.case(limited, worth("kept"))), ("shared", shared)),
                ]
            )
            .from_(rows.subquery("s", copy=False), copy=False)
            .join(sql.table("fades"), join_type="cross", copy=False)
        )


def _by_day(rows: exp.Query, counts: Sequence[str]) -> exp.Select:
    """Picks of one rule and day as one row: ``occurrences`` and ``counts`` added up, the worth of one."""
    keys = [sql.column(name, "o") for name in ("person_id", "item", "day")]
    sums = [(name, sql.whole_sum(sql.column(name, "o"))) for name in ("occurrences", *counts)]
    return (
        sql.select([*((key.name, key) for key in keys), *sums, ("worth", exp.Max(this=sql.column("worth", "o")))])
        .from_(rows.subquery("o", copy=False), copy=False)
        .group_by(*(key.copy() for key in keys), copy=False)
    )


def _with(rows: exp.Query, table: str, name: str, value: Expression) -> exp.Select:
    """The rows with one more column."""
    return exp.Select(expressions=[exp.Star(), sql.named(value, name)]).from_(
        rows.subquery(table, copy=False), copy=False
    )


def _as_kept(rows: exp.Query) -> exp.Select:
    return _with(rows, "k", "kept", sql.column("occurrences", "k"))


def _within_own_max(rows: exp.Query, rules: Iterable[Counted], order: Sequence[tuple[str, bool]]) -> exp.Select:
    """With the occurrences that are ``kept`` by the rules' own ``cap: newest``."""
    earlier = sql.sum_over(
        sql.column("occurrences", "o"), [sql.column(name, "o") for name in ("person_id", "item")], order, before=True
    )
    fits = []
    for counted in rules:
        if counted.most is not None:
            room = exp.Sub(this=sql.num(counted.most), expression=sql.or_zero(sql.column("earlier", "v")))
            own = sql.equals(sql.column("item", "v"), sql.num(counted.index))
            fits.append((own, sql.greatest(sql.least(sql.column("occurrences", "v"), room), sql.num(0))))
    return _with(_with(rows, "o", "earlier", earlier), "v", "kept", sql.case(fits, sql.column("occurrences", "v")))


def _within_shared_max(rows: exp.Query, rules: Sequence[Counted]) -> exp.Select:
    """With the occurrences that are left (``shared``) by the groups' ``cap: newest``."""
    item = sql.column("item", "t")
    group = sql.case([(sql.equals(item.copy(), sql.num(one.index)), sql.num(one.group)) for one in rules])
    unit = sql.case([(sql.equals(item.copy(), sql.num(one.index)), sql.num(one.rule.micro)) for one in rules])
    spent = sql.sum_over(
        exp.Mul(this=sql.column("kept", "t"), expression=exp.Paren(this=unit)),
        [sql.column("person_id", "t"), group],
        (*sql.NEWEST_FIRST, ("item", False)),
        before=True,
    )
    fits = []
    for counted in rules:
        left = exp.Sub(this=sql.num(counted.shared_max or 0), expression=sql.or_zero(sql.column("spent", "u")))
        room = exp.IntDiv(this=exp.Paren(this=sql.greatest(left, sql.num(0))), expression=sql.num(counted.rule.micro))
        own = sql.equals(sql.column("item", "u"), sql.num(counted.index))
        fits.append((own, sql.least(sql.column("kept", "u"), room)))
    return _with(_with(rows, "t", "spent", spent), "u", "shared", sql.case(fits, sql.column("kept", "u")))


def union(selects: Iterable[exp.Select]) -> exp.Query:
    first, *rest = selects
    return exp.union(first, *rest, distinct=False, copy=False) if rest else first
