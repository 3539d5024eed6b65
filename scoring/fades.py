"""Calendar ages, windows and fading: the only place where time becomes points.

For given points, fade and day the worth of an occurrence depends on its age in whole days alone, so every age's worth
is computed once, here, with 50 decimal digits, and the query only looks numbers up.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

from scoring.conditions import Fade, FadeMode, Span, Unit

__all__ = ["add_months", "micro_by_age", "months_between", "window_start"]

_DIGITS = Context(prec=50, rounding=ROUND_HALF_UP)
_WHOLE = Decimal(10_000)
"""100 % in hundredths of a percent."""


def add_months(day: date, months: int) -> date:
    """The same day of the month ``months`` later (or earlier), or that month's last day when it is shorter.

    Years before 1 and after 9999 are cut to the first and last day there is.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year < date.min.year:
        return date.min
    if year > date.max.year:
        return date.max
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def months_between(start: date, end: date) -> int:
    """The largest k with ``start`` + k months <= ``end``; negative when ``start`` is later."""
    months = (end.year - start.year) * 12 + end.month - start.month
    return months if add_months(start, months) <= end else months - 1


def window_start(span: Span, day: date) -> date:
    """The first date whose age on ``day`` is below ``span``: the window is from there to ``day``, both included."""
    match span.unit:
        case Unit.DAY:
            return day - timedelta(days=min(span.n - 1, (day - date.min).days))
        case Unit.MONTH:
            first = add_months(day, -span.n)
            while first > date.min and add_months(first, span.n) > day:
                first -= timedelta(days=1)
            while add_months(first, span.n) <= day:
                first += timedelta(days=1)
            return first


def _steps(span: Span, age: int, day: date) -> int:
    """How often ``span`` has passed whole since the date that is ``age`` days before ``day``."""
    match span.unit:
        case Unit.DAY:
            return age // span.n
        case Unit.MONTH:
            return months_between(day - timedelta(days=age), day) // span.n


@lru_cache(maxsize=4096)
def _half_life(days: int, rest: int) -> Decimal:
    """2 to the power of -``rest`` / ``days``."""
    return _DIGITS.power(Decimal(2), _DIGITS.divide(Decimal(-rest), Decimal(days)))


@lru_cache(maxsize=4096)
def _compounded(percent: int, steps: int) -> Decimal:
    return _DIGITS.power(1 - percent / _WHOLE, steps) if steps else Decimal(1)


def _factor(fade: Fade, age: int, day: date) -> Decimal:
    match fade.mode:
        case FadeMode.NONE:
            return Decimal(1)
        case FadeMode.HALF_LIFE:
            halvings, rest = divmod(age, fade.span.n)
            return _DIGITS.divide(_half_life(fade.span.n, rest), Decimal(2**halvings))
        case FadeMode.LINEAR:
            return max(Decimal(0), 1 - fade.percent * _steps(fade.span, age, day) / _WHOLE)
        case FadeMode.COMPOUND:
            return _compounded(fade.percent, _steps(fade.span, age, day))
        case FadeMode.EXPIRE:
            return Decimal(_steps(fade.span, age, day) < 1)


def micro_by_age(micro: int, fade: Fade, day: date, ages: int) -> tuple[int, ...]:
    """What an occurrence of ``micro`` micro-points is worth on ``day``, for the ages 0 to ``ages`` - 1 in days.

    Rounded to whole micro-points, halves away from zero.
    """
    return tuple(
        int(_DIGITS.multiply(micro, _factor(fade, age, day)).to_integral_value(ROUND_HALF_UP)) for age in range(ages)
    )
