"""The few SQL expressions everything is made of, in the subset that DuckDB and Spark read alike.

Every literal is cast, whole numbers stay 64 bit, division of whole numbers says how it rounds, nothing is a floating
point number, a regular expression or a text that somebody glued together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import reduce

from sqlglot import exp

__all__ = [
    "NEWEST_FIRST",
    "age",
    "both",
    "case",
    "cast",
    "clamp",
    "column",
    "day",
    "either",
    "equals",
    "floor_divide",
    "greatest",
    "known",
    "least",
    "named",
    "num",
    "or_false",
    "or_zero",
    "over",
    "rounded_share",
    "select",
    "sum_over",
    "table",
    "text",
    "total",
    "truth",
    "whole_sum",
]

NEWEST_FIRST = (("day", True), ("at", True), ("event_id", False))
"""The order of events wherever order matters: smaller age, later instant, smaller id."""


def column(name: str, table: str | None = None) -> exp.Expression:
    return exp.column(name, table=table, quoted=True)


def cast(value: exp.Expression, to: str) -> exp.Expression:
    return exp.Cast(this=value, to=exp.DataType(this=exp.DataType.Type[to]))


def named(value: exp.Expression, name: str) -> exp.Expression:
    return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))


def table(name: str, alias: str | None = None) -> exp.Expression:
    return exp.Table(
        this=exp.to_identifier(name), alias=exp.TableAlias(this=exp.to_identifier(alias)) if alias else None
    )


def num(value: int) -> exp.Expression:
    """A 64-bit integer."""
    return cast(exp.Literal.number(value), "BIGINT")


def text(value: str) -> exp.Expression:
    return cast(exp.Literal.string(value), "TEXT")


def day(value: date) -> exp.Expression:
    return cast(exp.Literal.string(value.isoformat()), "DATE")


def truth(value: bool) -> exp.Expression:
    return exp.true() if value else exp.false()


def both(tests: Iterable[exp.Expression]) -> exp.Expression:
    """All of them; none: true."""
    return _joined(exp.And, list(tests), truth(True))


def either(tests: Iterable[exp.Expression]) -> exp.Expression:
    """Any of them; none: false."""
    return _joined(exp.Or, list(tests), truth(False))


def _joined(
    kind: type[exp.And] | type[exp.Or], tests: Sequence[exp.Expression], empty: exp.Expression
) -> exp.Expression:
    if not tests:
        return empty
    return tests[0] if len(tests) == 1 else exp.Paren(this=reduce(lambda a, b: kind(this=a, expression=b), tests))


def equals(left: exp.Expression, right: exp.Expression) -> exp.Expression:
    return exp.EQ(this=left, expression=right)


def known(value: exp.Expression) -> exp.Expression:
    return exp.Not(this=exp.Is(this=value, expression=exp.null()))


def case(
    branches: Sequence[tuple[exp.Expression, exp.Expression]], otherwise: exp.Expression | None = None
) -> exp.Expression:
    """The value of the first true branch; no branch is true (or unknown): ``otherwise``, NULL without it."""
    ifs = [exp.If(this=test, true=value) for test, value in branches]
    if not ifs:
        return otherwise or exp.null()
    return exp.Case(ifs=ifs, default=otherwise)


def greatest(*values: exp.Expression) -> exp.Expression:
    """The greatest that is not NULL."""
    return (
        values[0] if len(values) == 1 else exp.Greatest(this=values[0], expressions=list(values[1:]), ignore_nulls=True)
    )


def least(*values: exp.Expression) -> exp.Expression:
    return values[0] if len(values) == 1 else exp.Least(this=values[0], expressions=list(values[1:]), ignore_nulls=True)


def clamp(value: exp.Expression, low: int | None, high: int | None) -> exp.Expression:
    if high is not None:
        value = least(value, num(high))
    return value if low is None else greatest(value, num(low))


def or_zero(value: exp.Expression) -> exp.Expression:
    return exp.Coalesce(this=value, expressions=[num(0)])


def or_false(test: exp.Expression) -> exp.Expression:
    return exp.Coalesce(this=test, expressions=[truth(False)])


def total(values: Iterable[exp.Expression]) -> exp.Expression:
    """The sum of columns; none: 0."""
    summands = list(values)
    return exp.Paren(this=reduce(lambda a, b: exp.Add(this=a, expression=b), summands)) if summands else num(0)


def whole_sum(value: exp.Expression) -> exp.Expression:
    """The 64-bit sum over rows (DuckDB would widen it)."""
    return cast(exp.Sum(this=value), "BIGINT")


def age(column_: exp.Expression, on: date) -> exp.Expression:
    """Whole days from a date column to ``on``."""
    return exp.DateDiff(this=day(on), expression=column_, unit=exp.Var(this="DAY"))


def floor_divide(value: exp.Expression, by: int) -> exp.Expression:
    """Division that rounds toward minus infinity; the engines' own rounds toward zero."""
    below = exp.Neg(
        this=exp.Paren(this=_divide(exp.Paren(this=exp.Sub(this=num(by - 1), expression=value.copy())), by))
    )
    return case([(exp.LT(this=value, expression=num(0)), below)], _divide(exp.Paren(this=value.copy()), by))


def _divide(value: exp.Expression, by: int) -> exp.Expression:
    return exp.IntDiv(this=value, expression=num(by))


def rounded_share(value: exp.Expression, share: int) -> exp.Expression:
    """``value`` times ``share`` / 10 000, rounded, halves away from zero; without 64-bit overflow on the way."""
    size = exp.Abs(this=value)
    units = exp.Mul(this=_divide(size, 10_000), expression=num(share))
    rest = exp.Mul(this=exp.Paren(this=exp.Mod(this=size.copy(), expression=num(10_000))), expression=num(share))
    rounded = _divide(exp.Paren(this=exp.Add(this=rest, expression=num(5_000))), 10_000)
    whole = exp.Paren(this=exp.Add(this=exp.Paren(this=units), expression=exp.Paren(this=rounded)))
    return case([(exp.LT(this=value.copy(), expression=num(0)), exp.Neg(this=whole))], whole.copy())


def sum_over(
    value: exp.Expression,
    partition: Sequence[exp.Expression],
    order: Sequence[tuple[str, bool]] = (),
    *,
    before: bool = False,
) -> exp.Expression:
    """The 64-bit sum over a window, see `over`."""
    return cast(over(exp.Sum(this=value), partition, order, before=before), "BIGINT")


def over(
    function: exp.Expression,
    partition: Sequence[exp.Expression],
    order: Sequence[tuple[str, bool]] = (),
    *,
    before: bool = False,
) -> exp.Expression:
    """A window function. ``order``: (column, descending); ``before``: the frame is all rows before this one."""
    frame = exp.WindowSpec(
        kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end=exp.Literal.number(1), end_side="PRECEDING"
    )
    ordered = [
        # sqlglot leaves NULLS LAST out where that is the dialect's own order
        exp.Ordered(this=column(name), desc=descending, nulls_first=False)
        for name, descending in order
    ]
    return exp.Window(
        this=function,
        partition_by=list(partition),
        order=exp.Order(expressions=ordered) if ordered else None,
        spec=frame if before else None,
    )


def select(columns: Iterable[tuple[str, exp.Expression]]) -> exp.Select:
    return exp.Select(expressions=[named(value, name) for name, value in columns])
