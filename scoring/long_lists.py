"""Conditions with very many values: computed once a person or event, from a table of the values.

A list file may have a hundred thousand lines, and a thousand conditions may name it. Written into the query wherever it
is named, it would be gigabytes of text. So a condition like this reads a column, and who shows the engine its tables
people and events adds that column to them (`LongList.test`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from sqlglot import exp

from scoring import sql
from scoring.conditions import DomainIn, OneOf
from scoring.policy import Policy

__all__ = ["MANY", "LongList", "long_lists", "of_columns"]

MANY = 1000
"""More values than this are not written into the query."""

_VALUE = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class LongList:
    """A condition of more than `MANY` values.

    column  of people or of events, as conditions name it
    table   one column of text, ``value``: the values, which the engine must show under this name
    """

    condition: OneOf | DomainIn
    column: str
    table: str

    @classmethod
    def of(cls, condition: OneOf | DomainIn) -> LongList | None:
        """None for few values. Conditions that name the same list share its values, and so their column."""
        if len(condition.values) <= MANY or (isinstance(condition, OneOf) and condition.listed):
            return None
        # Not by the values: to look at all of them for each condition would take longer than all else.
        table = f"list_{id(condition.values)}"
        return cls(condition=condition, column=f"{condition.field}#in#{table}", table=table)

    @property
    def values(self) -> tuple[str, ...]:
        return self.condition.values

    def test(self) -> exp.Expression:
        """The column. NULL for a missing fact."""
        own = sql.column(self.condition.field)
        if isinstance(self.condition, OneOf):
            return self._among(own)
        # Below ``rival.io`` is whatever ends with its two labels: there are few numbers of labels, and many values.
        labels = sorted({value.count(".") for value in self.values})
        return sql.either(self._among(_last_labels(own, dots)) for dots in labels)

    def _among(self, text: exp.Expression) -> exp.Expression:
        values = sql.select([(_VALUE, sql.column(_VALUE))]).from_(sql.table(self.table), copy=False)
        return exp.In(this=text, query=values.subquery())


def _last_labels(domain: exp.Expression, dots: int) -> exp.Expression:
    """The end of a domain that has so many dots; of a domain that has fewer, no text that is anybody's."""
    pattern = r"[^.]*" + r"\.[^.]*" * dots + "$"
    return exp.RegexpExtract(this=domain.copy(), expression=sql.text(pattern), group=exp.Literal.number(0))


def long_lists(policy: Policy) -> dict[str, LongList]:
    """Those of a policy, by their columns."""
    return {one.column: one for one in _found(policy, set())}


def of_columns(lists: Mapping[str, LongList], columns: Collection[str]) -> dict[str, LongList]:
    """Those whose facts or attributes are among the columns of a table."""
    return {name: one for name, one in lists.items() if one.condition.field in columns}


def _found(part: Any, seen: set[int]) -> Iterator[LongList]:
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, OneOf | DomainIn):
        if (one := LongList.of(part)) is not None:
            yield one
    elif is_dataclass(part):
        for field in fields(part):
            yield from _found(getattr(part, field.name), seen)
    elif isinstance(part, tuple) and part and not isinstance(part[0], str):
        for each in part:
            yield from _found(each, seen)
