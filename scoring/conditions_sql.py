"""Conditions of the policy as SQL expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import assert_never

from sqlglot import exp

from scoring import sql
from scoring.conditions import (
    AgeBelow,
    AgeFrom,
    All,
    Any,
    AtLeast,
    Below,
    Condition,
    Contains,
    DateBefore,
    DateFrom,
    DomainIn,
    Equals,
    EventExists,
    EventMatch,
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
    StartsWith,
    Validity,
)
from scoring.fades import window_start
from scoring.long_lists import LongList
from scoring.tables import LIST_EDGE, valid_column, words_column

__all__ = ["Conditions", "among", "between", "kinds_of_match", "matches"]

Expression = exp.Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
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
                return among(self._score(self.labels, score), labels)
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
        if isinstance(node, OneOf | DomainIn) and (long := LongList.of(node)) is not None:
            return self.column(long.column)
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
                return among(column, values)
            case DomainIn(values=values):
                below = (exp.EndsWith(this=column.copy(), expression=sql.text(f".{value}")) for value in values)
                return sql.either([among(column, values), *below])
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
                return between(column, window_start(span, self.on), self.on)
            case AgeFrom(span=span):
                return exp.LT(this=column, expression=sql.day(window_start(span, self.on)))
            case Validity(field=name, value=value):
                return sql.equals(self.column(valid_column(name)), sql.truth(value))
            case _:
                assert_never(node)


def among(column: Expression, values: Sequence[str]) -> Expression:
    if not values:
        return sql.truth(False)
    return exp.In(this=column.copy(), expressions=[sql.text(value) for value in values])


def _contains(column: Expression, part: str) -> Expression:
    return exp.Contains(this=column.copy(), expression=sql.text(part))


def between(column: Expression, first: date, last: date) -> Expression:
    return sql.both(
        [exp.GTE(this=column.copy(), expression=sql.day(first)), exp.LTE(this=column.copy(), expression=sql.day(last))]
    )


def matches(match: EventMatch, on: date) -> Expression:
    """Whether an event of table ``e`` is one the rule is about."""
    conditions = Conditions(on=on, table="e")
    own = [among(sql.column("kind", "e"), match.kinds)]
    if match.where != All():
        own.append(conditions.expression(match.where))
    return sql.either([sql.both(own), *(matches(other, on) for other in match.any_of)])


def kinds_of_match(match: EventMatch) -> set[str]:
    return set(match.kinds).union(*(kinds_of_match(other) for other in match.any_of))
