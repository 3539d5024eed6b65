"""Which events count for nothing, in SQL: they are taken out before anything else sees them.

Every line of ``ignore`` looks at the full set of events: everything up to the day scored, however old. So a delivery
that ``not_before`` leaves out, or one that is itself ignored, still tells its scanner's click from a person's. Events
dated after the day are not known to it yet and make nothing ignored: what a day's score was does not change with what
came later.

Lines without a test are a filter of the events. The timed tests are joins of events with events, by person and by time
slot as wide as the test's span, so that only neighbours meet; their answer, few ids, is one table of the query's
``WITH``, and only events of the kinds concerned are looked up in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar, assert_never

from sqlglot import exp

from scoring import sql
from scoring.conditions import All, BeforeFirst, Burst, Dimension, Ignore, SoonAfter
from scoring.conditions_sql import Conditions, among, between, kinds_of_match, matches
from scoring.fades import window_start

__all__ = ["Live", "Sources"]

Expression = exp.Expression
_Query = TypeVar("_Query", exp.Select, exp.Query)


@dataclass(frozen=True, slots=True)
class Live:
    """The events one dimension counts: the table ``events`` without those of its ``ignore`` lines.

    name    of the table of ids that the timed lines leave out
    later   only events later than the person's instant in the table ``since`` (person_id, at, day)
    """

    on: date
    ignore: tuple[Ignore, ...] = ()
    name: str = "ignored"
    later: bool = False

    def of(self, kinds: Collection[str]) -> Expression:
        """Those of some kinds (others may be among them), as ``e``."""
        lines = [line for line in self.ignore if kinds_of_match(line.match) & set(kinds)]
        plain = [line for line in lines if line.test is None]
        timed = set().union(*(kinds_of_match(line.match) for line in lines if line.test is not None)) & set(kinds)
        if not (plain or timed or self.later):
            return sql.table("events", "e")
        parts = []
        if timed != set(kinds):
            parts.append(self._filtered(plain, set(kinds) - timed))
        if timed:
            parts.append(self._without_ids(self._filtered(plain, timed)))
        return _union(parts).subquery("e", copy=False)

    def _filtered(self, plain: Sequence[Ignore], kinds: Collection[str]) -> exp.Select:
        """Events of these kinds that no line without a test ignores."""
        rows = _every("e").from_(sql.table("events", "e"), copy=False)
        rows = rows.where(among(sql.column("kind", "e"), sorted(kinds)), copy=False)
        if any(line.when != All() for line in plain):
            rows = _with_person(rows, "e", join_type="left")
        if plain:
            rows = rows.where(exp.Not(this=sql.or_false(sql.either(self._names(line) for line in plain))), copy=False)
        if not self.later:
            return rows
        same = sql.equals(sql.column("person_id", "s"), sql.column("person_id", "e"))
        timed = sql.column("timed", "e")
        by_time = sql.both([timed, exp.GT(this=sql.column("at", "e"), expression=sql.column("at", "s"))])
        by_day = sql.both(
            [exp.Not(this=timed.copy()), exp.GT(this=sql.column("day", "e"), expression=sql.column("day", "s"))]
        )
        return rows.join(sql.table("since", "s"), on=same, copy=False).where(sql.either([by_time, by_day]), copy=False)

    def _names(self, line: Ignore) -> Expression:
        """Whether event ``e`` of person ``p`` is one the line is about."""
        tests = [matches(line.match, self.on)]
        if line.when != All():
            tests.append(Conditions(on=self.on, table="p").expression(line.when))
        return sql.both(tests)

    def _without_ids(self, rows: exp.Select) -> exp.Select:
        same = sql.both(sql.equals(sql.column(name, "i"), sql.column(name, "e")) for name in ("person_id", "event_id"))
        return rows.join(sql.table(self.name, "i"), on=same, join_type="left", copy=False).where(
            exp.Is(this=sql.column("event_id", "i"), expression=exp.null()), copy=False
        )

    # what the lines ignore

    @property
    def timed(self) -> tuple[Ignore, ...]:
        return tuple(line for line in self.ignore if line.test is not None)

    def ids(self) -> exp.Select:
        """person_id and event_id of what the timed lines ignore, each once."""
        found = _union(
            _every("l").from_(self._ignored(line).subquery("l", copy=False), copy=False) for line in self.timed
        )
        return _every("f").distinct(copy=False).from_(found.subquery("f", copy=False), copy=False)

    def account(self, dimension: Dimension) -> exp.Select:
        """Every ignored event that would count by its age: person_id, event_id, kind, day, at, line (from 0).

        The first line that ignores it is the one named.
        """
        found = []
        for number, line in enumerate(self.ignore):
            rows = self._ignored(line) if line.test is not None else self._ids_of(line)
            columns = [(name, sql.column(name, "l")) for name in ("person_id", "event_id")]
            found.append(
                sql.select([*columns, ("line", sql.num(number))]).from_(rows.subquery("l", copy=False), copy=False)
            )
        keys = [sql.column(name, "a") for name in ("person_id", "event_id")]
        first = (
            sql.select([*((key.name, key) for key in keys), ("line", exp.Min(this=sql.column("line", "a")))])
            .from_(_union(found).subquery("a", copy=False), copy=False)
            .group_by(*(key.copy() for key in keys), copy=False)
        )
        same = sql.both(sql.equals(sql.column(name, "e"), sql.column(name, "i")) for name in ("person_id", "event_id"))
        shown = [(name, sql.column(name, "e")) for name in ("person_id", "event_id", "kind", "day", "at")]
        return (
            sql.select([*shown, ("line", sql.column("line", "i"))])
            .from_(sql.table("events", "e"), copy=False)
            .join(first.subquery("i", copy=False), on=same, copy=False)
            .where(between(sql.column("day", "e"), window_start(dimension.not_before, self.on), self.on), copy=False)
        )

    def _ids_of(self, line: Ignore) -> exp.Select:
        rows = sql.select((name, sql.column(name, "e")) for name in ("person_id", "event_id"))
        return self._of_line(rows, line)

    def _of_line(self, rows: exp.Select, line: Ignore) -> exp.Select:
        """``rows`` of the events ``e`` that a line is about."""
        rows = _known(rows.from_(sql.table("events", "e"), copy=False), self.on)
        if line.when != All():
            rows = _with_person(rows, "e")
        return rows.where(self._names(line), copy=False)

    def _candidates(self, line: Ignore, names: Iterable[str] = ()) -> exp.Select:
        """The events of a line that a timed test looks at: person_id, event_id, micros and these columns."""
        columns = [(name, sql.column(name, "e")) for name in ("person_id", "event_id", *names)]
        return _timed(self._of_line(sql.select([*columns, ("micros", _micros("e"))]), line))

    def _kind(self, kind: str) -> exp.Select:
        """All events of a kind that a timed test looks at: person_id, email, micros."""
        columns = [(name, sql.column(name, "e")) for name in ("person_id", "email")]
        rows = sql.select([*columns, ("micros", _micros("e"))]).from_(sql.table("events", "e"), copy=False)
        return _timed(_known(rows, self.on)).where(among(sql.column("kind", "e"), [kind]), copy=False)

    def _ignored(self, line: Ignore) -> exp.Select:
        """person_id and event_id of what one timed line ignores; an event may be there more than once."""
        match line.test:
            case SoonAfter():
                return self._soon_after(line, line.test)
            case BeforeFirst():
                return self._before_first(line, line.test)
            case Burst():
                return self._burst(line, line.test)
            case None:
                raise ValueError(f"'{line.name}' has no test")
            case _:
                assert_never(line.test)

    def _soon_after(self, line: Ignore, test: SoonAfter) -> exp.Select:
        rows = _follow(
            self._candidates(line, ["email"]), self._kind(test.kind), test.microseconds, ("person_id", "event_id")
        )
        email, other = sql.column("email", "c"), sql.column("email", "s")
        same = sql.equals(email, other)
        none = [exp.Is(this=one.copy(), expression=exp.null()) for one in (email, other)]
        return rows.where(sql.either([same, *none]), copy=False)

    def _before_first(self, line: Ignore, test: BeforeFirst) -> exp.Select:
        keys = [sql.column(name, "k") for name in ("person_id", "email")]
        first = (
            sql.select([*((key.name, key) for key in keys), ("micros", exp.Min(this=sql.column("micros", "k")))])
            .from_(self._kind(test.kind).subquery("k", copy=False), copy=False)
            .group_by(*(key.copy() for key in keys), copy=False)
        )
        same = sql.both(sql.equals(sql.column(name, "f"), sql.column(name, "c")) for name in ("person_id", "email"))
        return (
            sql.select((name, sql.column(name, "c")) for name in ("person_id", "event_id"))
            .from_(self._candidates(line, ["email"]).subquery("c", copy=False), copy=False)
            .join(first.subquery("f", copy=False), on=same, copy=False)
            .where(exp.LT(this=sql.column("micros", "c"), expression=sql.column("micros", "f")), copy=False)
        )

    def _burst(self, line: Ignore, test: Burst) -> exp.Select:
        """Spans that begin with an event and hold enough; then the events in them."""
        extra = [test.attribute] if test.attribute is not None else []
        candidates = exp.Select(expressions=[exp.Star()]).from_(sql.table("of_line"), copy=False)
        keys = [sql.column(name, "m") for name in ("person_id", "micros", *extra)]
        moments = (
            sql.select([*((key.name, key) for key in keys), ("times", exp.Count(this=exp.Star()))])
            .from_(candidates.subquery("m", copy=False), copy=False)
            .group_by(*(key.copy() for key in keys), copy=False)
        )
        begin = (
            exp.Select(expressions=[sql.column(name, "b") for name in ("person_id", "micros")])
            .distinct(copy=False)
            .from_(moments.copy().subquery("b", copy=False), copy=False)
        )
        held = _follow(moments, begin, test.microseconds, (*extra, "times"), ("person_id", "micros"))
        if test.attribute is None:
            size: Expression = sql.whole_sum(sql.column("times", "h"))
        else:
            value = sql.column(test.attribute, "h")
            missing = exp.Max(this=sql.case([(sql.known(value.copy()), sql.num(0))], sql.num(1)))
            size = exp.Add(
                this=sql.cast(exp.Count(this=exp.Distinct(expressions=[value])), "BIGINT"), expression=missing
            )
        start = [sql.column(name, "h") for name in ("person_id#", "micros#")]
        bursts = (
            sql.select([("person_id", start[0]), ("micros", start[1])])
            .from_(held.subquery("h", copy=False), copy=False)
            .group_by(*(key.copy() for key in start), copy=False)
            .having(exp.GTE(this=size, expression=sql.num(test.n)), copy=False)
        )
        found = _follow(candidates.copy(), bursts, test.microseconds, ("person_id", "event_id"))
        return found.with_("of_line", as_=self._candidates(line, extra), copy=False)


class Sources:
    """The events of every dimension of a policy, collected while its query is written."""

    def __init__(self, on: date, *, later: bool = False) -> None:
        self._on = on
        self._later = later
        self._live: dict[tuple[Ignore, ...], Live] = {}

    def of(self, dimension: Dimension) -> Live:
        ignore = dimension.ignore
        number = len(self._live)
        return self._live.setdefault(ignore, Live(self._on, ignore, f"ignored{number}", self._later))

    def within(self, query: _Query) -> _Query:
        """The query with the tables of ignored ids it reads."""
        asked = {table.name for table in query.find_all(exp.Table)}
        for live in self._live.values():
            if live.name in asked:
                query = query.with_(live.name, as_=live.ids(), copy=False)
        return query


def _every(table: str) -> exp.Select:
    return exp.Select(expressions=[exp.Column(this=exp.Star(), table=exp.to_identifier(table))])


def _union(selects: Iterable[exp.Select]) -> exp.Query:
    first, *rest = selects
    return exp.union(first, *rest, distinct=False, copy=False) if rest else first


def _with_person(rows: exp.Select, events: str, join_type: str = "inner") -> exp.Select:
    same = sql.equals(sql.column("person_id", "p"), sql.column("person_id", events))
    return rows.join(sql.table("people", "p"), on=same, join_type=join_type, copy=False)


def _known(rows: exp.Select, on: date) -> exp.Select:
    """Events that are there and not dated after the day."""
    today = exp.LTE(this=sql.column("day", "e"), expression=sql.day(on))
    return rows.where(today, copy=False).where(exp.Not(this=sql.column("deleted", "e")), copy=False)


def _timed(rows: exp.Select) -> exp.Select:
    """Events whose time of day is known: those of several occurrences have none."""
    once = sql.equals(sql.cast(sql.column("count", "e"), "BIGINT"), sql.num(1))
    return rows.where(sql.column("timed", "e"), copy=False).where(once, copy=False)


def _micros(table: str) -> Expression:
    return exp.UnixMicros(this=sql.column("at", table))


def _follow(
    rows: exp.Select, starts: exp.Select, microseconds: int, names: Sequence[str], of_start: Sequence[str] = ()
) -> exp.Select:
    """``rows`` (c) that lie less than ``microseconds`` after one of ``starts`` (s), with each; both by person, micros.

    ``of_start``: columns of the start, with ``#`` behind their name. Rows meet starts of their own slot of time and of
    the slot before: an equality, which a join can look up.
    """
    slot = sql.floor_divide(sql.column("micros"), microseconds)
    slotted = _every("r").select(sql.named(slot, "slot"), copy=False).from_(rows.subquery("r", copy=False), copy=False)
    both = _union(
        _every("r")
        .select(sql.named(each, "slot"), copy=False)
        .from_(starts.copy().subquery("r", copy=False), copy=False)
        for each in (slot.copy(), exp.Add(this=exp.Paren(this=slot.copy()), expression=sql.num(1)))
    )
    same = sql.both(sql.equals(sql.column(name, "s"), sql.column(name, "c")) for name in ("person_id", "slot"))
    time, start = sql.column("micros", "c"), sql.column("micros", "s")
    end = exp.Add(this=start.copy(), expression=sql.num(microseconds))
    return (
        sql.select(
            [
                *((name, sql.column(name, "c")) for name in names),
                *((f"{name}#", sql.column(name, "s")) for name in of_start),
            ]
        )
        .from_(slotted.subquery("c", copy=False), copy=False)
        .join(both.subquery("s", copy=False), on=same, copy=False)
        .where(exp.GTE(this=time, expression=start), copy=False)
        .where(exp.LT(this=time.copy(), expression=end), copy=False)
    )
