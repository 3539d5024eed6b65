"""A policy becomes one SQL query: people and events in, scorecards out.

The query is a sqlglot tree from the first node to the last; no SQL text is ever parsed, glued or translated. It reads
three tables: ``people`` and ``events`` (`scoring.tables`) and ``fades`` (one row: for each fade the worth of an
occurrence by age). Conditions become expressions in `scoring.conditions_sql`, events become points in
`scoring.events_sql`; here the steps from points to grade and gate are put on top of them.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import assert_never

from sqlglot import exp

from scoring import sql
from scoring.cards import Layout, Section, fields_of, layout, sections
from scoring.conditions import (
    AbsentRule,
    All,
    Combine,
    Condition,
    CountMode,
    Dimension,
    EventExists,
    EventMatch,
    EventRule,
    FadeMode,
    FitRule,
    Group,
    LabelIn,
    Missing,
    Not,
    Score,
    ScoreAtLeast,
    ScoreBelow,
    Span,
    Table,
    Unit,
    alternatives,
)
from scoring.conditions import Any as AnyOf
from scoring.conditions_sql import Conditions, among
from scoring.events_sql import Counted, Fades, Keyed, Pass, Picked, Since, pick, union, window_of
from scoring.fades import window_start
from scoring.ignored_sql import Live, Sources
from scoring.long_lists import LongList, long_lists, of_columns
from scoring.policy import Bands, Policy
from scoring.tables import KNOWN_FROM, KNOWN_UNTIL, MICRO, events_schema, people_schema

__all__ = [
    "Account",
    "Compiled",
    "CompiledFresh",
    "compile_fresh",
    "compile_policy",
    "newest",
    "newest_of_two",
    "with_lists",
]

Expression = exp.Expression
_Column = tuple[str, exp.Expression]

_ALL = 10_000
"""100 % in hundredths of a percent."""

_SCORES = (Score.FIT, Score.ENGAGEMENT, Score.TOTAL)

_FEW = 100
"""Up to so many people are named one by one in a query."""

_MAX_BITS = 62
"""Gate lines of a model, and whatever else is told by the bits of one 64-bit integer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What `scoring.ledger` asks of a policy for one day.

    detail  the columns of `Compiled.query` with those between the steps
    picks   one row a person, item and counted event: person_id, item, event_id, day, occurrences, micro (of one)
    ignored one row a person, engagement dimension and ignored event: person_id, section (its place among
            `scoring.cards.sections`), event_id, kind, day, at, line (its place in ``ignore``)
    fades   column of ``fades`` -> worth by age
    people, events   the columns the queries read
    lists   of these columns, those that are not in the files: the engine shows each one's table and adds the column
    """

    detail: exp.Select
    picks: exp.Query | None
    ignored: exp.Query | None
    fades: Mapping[str, tuple[int, ...]]
    people: frozenset[str]
    events: frozenset[str]
    lists: Mapping[str, LongList]


class Compiled:
    """A policy for one day. The queries for ledgers are made when they are asked for: most days nobody does.

    query   one row a person: the columns of `scoring.cards.schema`
    fades, people, events, lists   as in `Account`, for ``query`` alone
    """

    def __init__(self, policy: Policy, day: date) -> None:
        self._policy = policy
        self._parts = _Query(policy, day)
        self.layout: Layout = self._parts.layout
        self.query: exp.Select = self._parts.sources.within(self._parts.cards())
        self.fades: Mapping[str, tuple[int, ...]] = self._parts.fades.tables()
        self.people, self.events, self.lists = _columns_read([self.query], policy)

    @cached_property
    def account(self) -> Account:
        parts = self._parts
        detail = parts.sources.within(parts.detail())
        picks = _joined(pick(one, parts.on, parts.fades, whole_order=True) for one in parts.counted)
        if picks is not None:
            picks = parts.sources.within(picks)
        ignored = _joined(parts.ignored())
        asked = (query for query in (detail, picks, ignored) if query is not None)
        people, events, lists = _columns_read(asked, self._policy)
        return Account(
            detail=detail,
            picks=picks,
            ignored=ignored,
            fades=parts.fades.tables(),
            people=people,
            events=events,
            lists=lists,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledFresh:
    """What is worth how much of what came later than an instant.

    query   one row a person: person_id, points (whole points of engagement), hand_raise (day of the newest one). It
            reads one more table, ``since``: of each person asked about person_id, at (the instant) and day (its date
            in the policy's timezone)
    fades, people, events, lists   as in `Account`
    """

    query: exp.Select
    fades: Mapping[str, tuple[int, ...]]
    people: frozenset[str]
    events: frozenset[str]
    lists: Mapping[str, LongList]


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

    def __init__(self, policy: Policy, on: date, *, later: bool = False) -> None:
        self.policy = policy
        self.on = on
        self.fades = Fades(on)
        self.layout = layout(policy, on)
        self.sections = sections(policy)
        self.sources = Sources(on, later=later)
        self.passes: dict[Live, Pass] = {}
        self.keyed: dict[tuple[Live, CountMode, str | None], Keyed] = {}
        self.picked = Picked(on, self.fades)
        self.counted: list[Counted] = []
        self.person = Conditions(on=on, table=None)
        self.groups = [
            (section, index, group)
            for index, (section, group) in enumerate((s, g) for s in self.sections for g in s.dimension.groups)
        ]
        sizes = [len(group.items) for _, _, group in self.groups]
        self.first = [sum(sizes[:index]) for index in range(len(sizes))]

    # what each item counts

    def pass_(self, events: Live) -> Pass:
        """The pass over these events that all dimensions which count them share."""
        return self.passes.setdefault(events, Pass(f"a{len(self.passes)}", self.on, self.fades, events))

    def start(self, dimension: Dimension, window: Span | None) -> date:
        first = window_start(dimension.not_before, self.on)
        return first if window is None else max(first, window_start(window, self.on))

    def exists(self, dimension: Dimension) -> Callable[[EventExists], Expression]:
        """Whether an event exists that is live in the dimension."""
        pass_ = self.pass_(self.sources.of(dimension))

        def expression(node: EventExists) -> Expression:
            start = self.start(dimension, node.window)
            if node.at_least <= 1:
                newest = pass_.newest(Since(node.match, self.start(dimension, None)))
                return exp.GTE(this=newest, expression=sql.day(start))
            occurrences = pass_.occurrences(Since(node.match, start))
            return exp.GTE(this=occurrences, expression=sql.num(node.at_least))

        return expression

    def event_rule(self, counted: Counted) -> _Counts:
        rule = counted.rule
        if counted.one_by_one:
            occurrences, raw, kept, shared = self.picked.rule(counted)
            return _Counts(occurrences=occurrences, raw=raw, kept=kept, shared=shared if counted.shares_max else None)
        occurrences, raw = self._sum(counted)
        tests: list[Expression] = []
        if rule.when != All():
            tests.append(self.person.expression(rule.when))
        if rule.only_if is not None:
            window = window_of(counted, rule.only_if, self.on)
            enough = self.pass_(counted.events).occurrences(Since(rule.match, window))
            tests.append(exp.GTE(this=enough, expression=sql.num(rule.only_if.n)))
        if tests:
            occurrences = sql.case([(sql.both(test.copy() for test in tests), occurrences)])
            raw = sql.case([(sql.both(tests), raw)])
        return _Counts(occurrences=occurrences, raw=raw, kept=raw.copy())

    def _sum(self, counted: Counted) -> tuple[Expression, Expression]:
        """Counted occurrences and their worth, without conditions on the person; both NULL where there are none."""
        rule, since, pass_ = counted.rule, counted.since, self.pass_(counted.events)

        def single(true: Expression, newest: Expression) -> tuple[Expression, Expression]:
            worth = self.fades.worth(rule.micro, rule.fade, newest, counted.start)
            return sql.case([(true, sql.num(1))]), sql.case([(true.copy(), worth)])

        match rule.count.mode:
            case CountMode.EVERY if rule.fade.mode is FadeMode.NONE:
                occurrences = pass_.occurrences(since)
                return occurrences, exp.Mul(this=occurrences.copy(), expression=sql.num(rule.micro))
            case CountMode.EVERY if rule.fade.mode is FadeMode.EXPIRE:
                occurrences = pass_.occurrences(since)
                expiry = max(counted.start, window_start(rule.fade.span, self.on))
                fresh = sql.or_zero(pass_.occurrences(Since(rule.match, expiry)))
                worth: Expression = exp.Mul(this=fresh, expression=sql.num(rule.micro))
                return occurrences, sql.case([(sql.known(occurrences.copy()), worth)])
            case CountMode.EVERY:
                return pass_.occurrences(since), pass_.worth(since, rule.micro, rule.fade)
            case CountMode.ONCE:
                newest = pass_.newest(since)
                return single(sql.known(newest.copy()), newest)
            case CountMode.AT_LEAST:
                within = pass_.occurrences(Since(rule.match, window_of(counted, rule.count, self.on)))
                enough = exp.GTE(this=within, expression=sql.num(rule.count.n))
                return single(enough, pass_.newest(since))
            case CountMode.DISTINCT:
                values, newest = self._keyed(counted).distinct(
                    Since(rule.match, window_of(counted, rule.count, self.on))
                )
                return single(exp.GTE(this=values, expression=sql.num(rule.count.n)), newest)
            case CountMode.ONCE_PER_DAY | CountMode.ONCE_PER_WEEK | CountMode.ONCE_PER_MONTH | CountMode.ONCE_PER:
                groups, worth = self._keyed(counted).once_per(since, rule.micro, rule.fade)
                some = exp.GT(this=groups, expression=sql.num(0))
                return sql.case([(some, groups.copy())]), worth
            case _:
                assert_never(rule.count.mode)

    def _keyed(self, counted: Counted) -> Keyed:
        count = counted.rule.count
        mode = CountMode.ONCE_PER if count.mode is CountMode.DISTINCT else count.mode
        key = (counted.events, mode, count.attribute)
        if key not in self.keyed:
            self.keyed[key] = Keyed(f"k{len(self.keyed)}", count, self.on, self.fades, counted.events)
        return self.keyed[key]

    def absent_rule(self, rule: AbsentRule, dimension: Dimension) -> _Counts:
        newest = self._newest(rule.match, dimension)
        last = sql.greatest(newest, sql.column("person.created_at"))
        silent = exp.LT(this=last, expression=sql.day(window_start(rule.span, self.on)))
        tests: list[Expression] = [silent]
        if rule.when != All():
            tests.append(self.person.expression(rule.when))
        periods = self._periods(last.copy(), rule.span) if rule.every else sql.num(1)
        number = sql.case([(sql.both(tests), periods)])
        raw = exp.Mul(this=exp.Paren(this=number), expression=sql.num(rule.micro))
        return _Counts(occurrences=number.copy(), raw=raw, kept=raw.copy())

    def _newest(self, match: EventMatch, dimension: Dimension) -> Expression:
        """Day of the newest live event of a dimension, NULL for none."""
        return self.pass_(self.sources.of(dimension)).newest(Since(match, self.start(dimension, None)))

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
                counted = Counted(
                    index=index,
                    rule=item,
                    events=self.sources.of(dimension),
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

    def ignored(self) -> list[exp.Select]:
        """What the dimensions ignore, each with the place of its section."""
        found = []
        for number, section in enumerate(self.sections):
            if section.dimension.ignore:
                rows = self.sources.of(section.dimension).account(section.dimension)
                found.append(rows.select(sql.named(sql.num(number), "section"), copy=False))
        return found

    # the steps

    @cached_property
    def _steps(self) -> list[list[_Column]]:
        gates = self._gates()  # before the passes are written: gates ask for aggregates too
        return [*self._scores(), gates]

    def cards(self) -> exp.Select:
        """The scorecards."""
        return self._stacked(self._steps, self._result())

    def detail(self) -> exp.Select:
        """The scorecards with the columns between the steps."""
        between = [(column, sql.column(column)) for columns in self._steps[:8] for column, _ in columns]
        return self._stacked(self._steps, [*self._result(), *between])

    def fresh(self) -> exp.Select:
        """person_id, the whole points of engagement, and the day of the newest hand raise."""
        steps = [*self._scores(), [("hand_raise#", self._hand_raise())]]
        points, raised = sql.column(Score.ENGAGEMENT), sql.column("hand_raise#")
        return self._stacked(
            steps, [("person_id", sql.column("person_id")), ("points", points), ("hand_raise", raised)]
        )

    def _scores(self) -> list[list[_Column]]:
        return [
            *(self._items(), self._values(), self._joined(), self._capped(), self._weighted(), self._summed()),
            *(self._limited(), self._floored(), self._chosen(), self._whole(), self._labels(), self._grades()),
        ]

    def _stacked(self, steps: Sequence[Sequence[_Column]], result: Sequence[_Column]) -> exp.Select:
        """``result`` on top of the steps, each a query around the one before.

        A step has the columns that are asked for above it, no others: planning a query costs by its columns.
        """
        asked = _asked(value for _, value in result)
        layers: list[list[exp.Expression]] = []
        for columns in reversed(steps):
            new = [(name, value) for name, value in columns if name in asked]
            handed_on = sorted(asked - {name for name, _ in new})
            layers.append([*map(sql.column, handed_on), *(sql.named(value.copy(), name) for name, value in new)])
            asked = asked.difference(name for name, _ in new) | _asked(value for _, value in new)
        rows = self._base(asked)
        for number, layer in enumerate(reversed(layers)):
            rows = exp.Select(expressions=layer).from_(rows.subquery(f"s{number}", copy=False), copy=False)
            if number == 0:
                rows = rows.join(sql.table("fades"), join_type="cross", copy=False)
        return sql.select((name, value.copy()) for name, value in result).from_(
            rows.subquery("z", copy=False), copy=False
        )

    def _base(self, asked: Collection[str]) -> exp.Select:
        """People with their model and what their events come to: the columns of these names."""
        parts: list[tuple[str, exp.Select]] = []
        aggregates = ((pass_.name, pass_.query()) for pass_ in self.passes.values())
        parts += [(name, query) for name, query in aggregates if query is not None]
        parts += [(keyed.name, keyed.query()) for keyed in self.keyed.values()]
        if (picked := self.picked.query()) is not None:
            parts.append(("k", picked))
        model = Conditions(on=self.on, table="p")
        choices = [
            (model.expression(m.when), sql.num(index))
            for index, m in enumerate(self.policy.models)
            if m.when is not None
        ]
        model_index = sql.case(choices, sql.num(len(self.policy.models) - 1))
        found: dict[str, exp.Expression] = {"model#": model_index}
        for name, part in parts:
            found |= {one.alias: sql.column(one.alias, name) for one in part.expressions if one.alias != "person_id"}
        base = sql.select((name, found.get(name) or sql.column(name, "p")) for name in sorted(asked)).from_(
            sql.table("people", "p"), copy=False
        )
        for name, part in parts:
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
                    given = sql.known(kept)
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
            (
                f"sum#{number}",
                sql.total(
                    [
                        *([sql.num(section.dimension.start)] if section.dimension.start else []),
                        *(sql.column(f"g#{index}") for of, index, _ in self.groups if of is section),
                    ]
                ),
            )
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
            if self.policy.models[index].fit.thirds:  # a step is no number that anything could be added to
                return value(Score.ENGAGEMENT)(index)
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
            *((str(score), points(score)) for score in _SCORES),
            ("fit.known_groups", exp.Mul(this=sql.column("known_groups"), expression=sql.num(MICRO))),
            ("fit.unknown_groups", exp.Mul(this=sql.column("unknown_groups"), expression=sql.num(MICRO))),
        ]

    def _labels(self) -> list[_Column]:
        def label(score: Score) -> Callable[[int], Expression]:
            return lambda index: _band(self._bands(index).get(score), sql.column(str(score)))

        return [(f"{score}#label", self._by_model(label(score))) for score in _SCORES]

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
        def suppressed(index: int) -> Expression:
            engagement = self.policy.models[index].engagement
            person = Conditions(on=self.on, table=None, event_exists=self.exists(engagement))
            named = [(person.expression(line.test), sql.text(line.name)) for line in self.policy.suppress]
            return sql.case(named, sql.cast(exp.null(), "TEXT"))

        return [
            ("suppressed#", self._by_model(suppressed)),
            ("hand_raise#", self._hand_raise()),
            ("lines#", self._bits("become_when has", self._lines)),
            ("reach#", self._bits("become_when has conditions for", self._alternatives)),
            ("review#", self._bits("review has", self._reviewed)),
            ("needs#", self._bits("needs has", lambda _: [Missing(field) for field in self.policy.needs])),
            ("unknown#", self._bits("fit has tables for", self._unknown)),
            ("drop#", self._by_model(self._dropped)),
        ]

    def _hand_raise(self) -> Expression:
        """Day of the newest live hand raise, NULL for none."""
        return self._by_model(lambda index: self._newest(self.policy.hand_raise, self.policy.models[index].engagement))

    def _bits(self, what: str, tests: Callable[[int], Sequence[Condition]]) -> Expression:
        """Which of a model's conditions are true, as bits: the first is 1."""

        def bits(index: int) -> Expression:
            asked, known = tests(index), self._gate(index)
            if len(asked) > _MAX_BITS:
                raise ValueError(f"model {self.policy.models[index].name}: {what} more than {_MAX_BITS} lines")
            return sql.total(
                sql.case([(known.expression(test), sql.num(1 << bit))], sql.num(0)) for bit, test in enumerate(asked)
            )

        return self._by_model(bits)

    def _gate(self, index: int) -> Conditions:
        """Conditions on facts, events, scores and labels of a model's people. Without bands there is no label to be."""
        return Conditions(
            on=self.on,
            table=None,
            event_exists=self.exists(self.policy.models[index].engagement),
            points={score: sql.column(str(score)) for score in _SCORES},
            labels={score: sql.column(f"{score}#label") for score in _SCORES} | {Score.GRADE: sql.column("grade#")},
        )

    def _lines(self, index: int) -> list[Condition]:
        return [line.test for line in self.policy.models[index].become_when]

    def _alternatives(self, index: int) -> list[Condition]:
        """What of each alternative of a gate line is not about scores."""
        return [_but_scores(one) for test in self._lines(index) for one in alternatives(test)]

    def _reviewed(self, index: int) -> list[Condition]:
        return [line.test for line in self.policy.review.lines] if self.policy.review is not None else []

    def _unknown(self, index: int) -> list[Condition]:
        return [Missing(field) for field in fields_of(self.policy.models[index].fit)]

    def _dropped(self, index: int) -> Expression:
        if self.policy.stay is None:
            return sql.truth(False)
        return sql.or_false(self._gate(index).expression(self.policy.stay.drop_when))

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
            *((str(score), sql.column(str(score))) for score in _SCORES),
            *((f"{score}_micro", sql.column(f"{score}_micro")) for score in _SCORES),
            ("lines", sql.column("lines#")),
            ("known_groups", sql.column("known_groups")),
            ("unknown_groups", sql.column("unknown_groups")),
            ("hand_raise", sql.column("hand_raise#")),
            *((name, sql.column(f"{name}#")) for name in ("review", "needs", "unknown", "reach", "drop")),
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


def _but_scores(condition: Condition) -> Condition:
    """The condition with all that it says about scores and grades taken as true."""
    match condition:
        case All(of=conditions):
            return All(tuple(_but_scores(one) for one in conditions))
        case AnyOf(of=conditions):
            return AnyOf(tuple(_but_scores(one) for one in conditions))
        case Not(of=inner):
            return condition if _but_scores(inner) == inner else All()
        case ScoreAtLeast() | ScoreBelow() | LabelIn():
            return All()
        case _:
            return condition


def _asked(values: Iterable[Expression]) -> set[str]:
    """The columns of the step before that these expressions read."""
    return {column.name for value in values for column in value.find_all(exp.Column) if not column.table}


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
    return Compiled(policy, day)


def compile_fresh(policy: Policy, day: date) -> CompiledFresh:
    """The query for engagement that came later than an instant of each person's; absence is not asked."""
    models = tuple(replace(m, engagement=_without_absence(m.engagement)) for m in policy.models)
    query = _Query(replace(policy, models=models), day, later=True)
    fresh = query.sources.within(query.fresh())
    people, events, lists = _columns_read([fresh], policy)
    return CompiledFresh(query=fresh, fades=query.fades.tables(), people=people, events=events, lists=lists)


def _without_absence(dimension: Dimension) -> Dimension:
    groups = (
        replace(group, items=tuple(item for item in group.items if not isinstance(item, AbsentRule)))
        for group in dimension.groups
    )
    return replace(dimension, groups=tuple(groups))


def _joined(selects: Iterable[exp.Select]) -> exp.Query | None:
    parts = list(selects)
    return union(parts) if parts else None


def _columns_read(
    queries: Iterable[exp.Query], policy: Policy
) -> tuple[frozenset[str], frozenset[str], dict[str, LongList]]:
    """The columns of people and of events that are read, and those that are made of them."""
    names = {column.name for query in queries for column in query.find_all(exp.Column)}
    lists = {name: one for name, one in long_lists(policy).items() if name in names}
    names |= {one.condition.field for one in lists.values()}
    people, events = (frozenset(of.names) & names for of in (people_schema(policy.custom), events_schema()))
    return people, events, lists


def newest(
    table: str,
    key: str,
    columns: Iterable[str],
    *,
    dedup: bool,
    only: frozenset[str] | None,
    known_on: date | None = None,
    keys_of: str | None = None,
) -> exp.Select:
    """The rows of ``table`` that count: of each person's ``key`` the one with the greatest seq (``dedup``).

    ``known_on``: of a versioned table, those that were known on that day.

    ``only``: of certain people. Few ids are named in the query, so that most of a sorted file need not be read; many
    are looked up in the table ``only_people``.

    ``keys_of``: those alone whose key is in this table too.
    """
    names = sorted(columns)
    rows = sql.select((name, sql.column(name)) for name in {*names, "seq"}).from_(sql.table(table), copy=False)
    # Before a row is compared with others: whose rows they are is quickly told, which of them is newest is not.
    if only is not None:
        rows = rows.where(_is_one_of(only), copy=False)
    if keys_of is not None:
        rows = rows.where(_is_key_of(keys_of, key), copy=False)
    if known_on is not None:
        until = sql.column(KNOWN_UNTIL)
        still = exp.Is(this=until, expression=exp.null())
        later = exp.GT(this=until.copy(), expression=sql.day(known_on))
        rows = rows.where(exp.LTE(this=sql.column(KNOWN_FROM), expression=sql.day(known_on)), copy=False).where(
            sql.either([still, later]), copy=False
        )
    if dedup:
        of = [sql.column(name) for name in dict.fromkeys(("person_id", key))]
        rows = rows.select(sql.named(sql.over(exp.RowNumber(), of, (("seq", True),)), "nth"), copy=False)
    result = sql.select((name, sql.column(name, "n")) for name in names).from_(
        rows.subquery("n", copy=False), copy=False
    )
    if dedup:
        result = result.where(sql.equals(sql.column("nth", "n"), sql.num(1)), copy=False)
    return result


def newest_of_two(every: str, settled: str, others: str, key: str, columns: Iterable[str]) -> exp.Query:
    """As `newest` of the table ``every``, which is ``settled`` (no key twice) and ``others`` together.

    Rows of ``settled`` are compared only where the others have their key: mostly a few of very many.
    """
    names = sorted(columns)
    apart = (
        sql.select((name, sql.column(name)) for name in names)
        .from_(sql.table(settled), copy=False)
        .where(exp.Not(this=_is_key_of(others, key)), copy=False)
    )
    compared = newest(every, key, names, dedup=True, only=None, keys_of=others)
    return exp.Union(this=apart, expression=compared, distinct=False)


def with_lists(rows: exp.Query, columns: Collection[str], lists: Mapping[str, LongList]) -> exp.Query:
    """The rows of people or events, with the ``lists`` that are made of these columns."""
    made = of_columns(lists, columns)
    if not made:
        return rows
    shown = [(name, sql.column(name)) for name in sorted(columns)]
    return sql.select([*shown, *((name, one.test()) for name, one in made.items())]).from_(
        rows.subquery("r", copy=False), copy=False
    )


def _is_one_of(only: frozenset[str]) -> Expression:
    person = sql.column("person_id")
    if len(only) <= _FEW:
        return among(person, sorted(only))
    return exp.In(this=person, query=exp.select("person_id").from_("only_people").subquery())


def _is_key_of(table: str, key: str) -> Expression:
    keys = sql.select([(key, sql.column(key))]).from_(sql.table(table), copy=False)
    return exp.In(this=sql.column(key), query=keys.subquery())
