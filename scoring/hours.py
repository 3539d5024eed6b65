"""Working time: when a calendar of team.yaml is open, and how much of its time passes between two instants. Pure.

An instant belongs to an open interval when the wall clock of the calendar's zone shows a time inside it, on a day that
is neither a holiday nor closed. Working time is the real time that passes meanwhile: an interval over a skipped hour is
shorter than its ends say, one over a repeated hour longer. A calendar of None is always open.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from scoring.team import Away, Delay, Hours, Rep

__all__ = ["add", "after", "away", "between", "is_holiday", "is_open", "local_day", "next_opening"]

LONGEST_REST = timedelta(days=366)
"""A calendar that is not open in so many days without a closed range is never open again."""

Interval = tuple[datetime, datetime]


def is_open(hours: Hours | None, at: datetime) -> bool:
    """Whether work is done at an instant. Intervals are half-open: at 17:30 a day that ends 17:30 is over."""
    if hours is None:
        return True
    wall = at.astimezone(ZoneInfo(hours.zone))
    minute = wall.hour * 60 + wall.minute
    inside = any(start <= minute < end for start, end in hours.days[wall.weekday()])
    return inside and not _is_free(hours, wall.date())


def is_holiday(hours: Hours | None, at: datetime) -> bool:
    """Whether the local day is a holiday of the calendar or one of its closed days."""
    return hours is not None and _is_free(hours, local_day(hours.zone, at))


def local_day(zone: str, at: datetime) -> date:
    """The date that the wall clock of a zone shows."""
    return at.astimezone(ZoneInfo(zone)).date()


def next_opening(hours: Hours | None, at: datetime) -> datetime | None:
    """``at`` itself while the calendar is open, else when it opens next; None: it does not open any more."""
    return add(hours, at, 0)


def add(hours: Hours | None, at: datetime, minutes: int) -> datetime | None:
    """The open instant before which ``minutes`` of working time have passed since ``at``, in UTC.

    Where they are over exactly when a day closes, it is the next opening: the answer is never in a closed minute.
    None: the calendar does not open often enough.
    """
    left = timedelta(minutes=minutes)
    if hours is None:
        return at.astimezone(UTC) + left
    for start, end in _open_from(hours, at.astimezone(UTC)):
        if left < end - start:
            return start + left
        left -= end - start
    return None


@lru_cache(maxsize=4096)  # a run gives many people to somebody at one instant
def after(hours: Hours | None, at: datetime, delay: Delay) -> datetime | None:
    """When a delay that began at ``at`` is over: `add` for a working delay, else the real time on the clock."""
    return add(hours if delay.working else None, at, delay.minutes)


def between(hours: Hours | None, start: datetime, end: datetime) -> int:
    """Whole minutes of working time from ``start`` until ``end``; 0 when ``end`` is the earlier one."""
    passed = timedelta()
    if hours is None:
        passed = end - start
    else:
        last = end.astimezone(UTC)
        for opens, closes in _open_from(hours, start.astimezone(UTC)):
            if opens >= last:
                break
            passed += min(closes, last) - opens
    return max(passed // timedelta(minutes=1), 0)


def away(rep: Rep, at: datetime, zone: str) -> Away | None:
    """The first absence of a rep that an instant falls into, by the wall clock of ``zone``."""
    wall = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return next((one for one in rep.away if one.start <= wall < one.end), None)


# -- days --------------------------------------------------------------------------------------------------------


def _open_from(hours: Hours, at: datetime) -> Iterator[Interval]:
    """The open intervals that end after ``at``, in order, the first one cut to begin no earlier."""
    day = local_day(hours.zone, at)
    rest = day + LONGEST_REST
    while day <= rest:
        for start, end in _open_on(hours, day):
            if end > at:
                rest = day + LONGEST_REST
                yield max(start, at), end
        if day == date.max:
            return
        day += timedelta(days=1)
        closed = max((last for first, last in hours.closed if first <= day <= last), default=None)
        if closed is not None:
            # over a long range at once; its last day is closed too
            day, rest = closed, min(closed, date.max - LONGEST_REST) + LONGEST_REST


@lru_cache(maxsize=4096)
def _open_on(hours: Hours, day: date) -> tuple[Interval, ...]:
    """The open intervals of a local day in UTC. Where the clock is set back inside one, it can be cut in two."""
    if not hours.days[day.weekday()] or _is_free(hours, day):
        return ()
    midnight = datetime.combine(day, time())
    found: list[Interval] = []
    for start, end, offset in _of_one_offset(ZoneInfo(hours.zone), midnight):
        for opens, closes in hours.days[day.weekday()]:
            first = max(start, (midnight + timedelta(minutes=opens) - offset).replace(tzinfo=UTC))
            last = min(end, (midnight + timedelta(minutes=closes) - offset).replace(tzinfo=UTC))
            if first < last:
                found.append((first, last))
    return tuple(sorted(found))


def _of_one_offset(zone: ZoneInfo, midnight: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """The stretches of UTC, all around a local day, in which the zone's clock is not set: start, end, offset."""
    # a day either side: no zone is further from UTC
    start = midnight.replace(tzinfo=UTC) - timedelta(days=1)
    end = start + timedelta(days=3)
    while start < end:
        offset = _offset(zone, start)
        until = _next_change(zone, start, end)
        yield start, until, offset
        start = until


def _next_change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime:
    """When the offset of ``start`` ends, at most ``end``. No zone sets its clock twice within three days."""
    before = _offset(zone, start)
    if _offset(zone, end) == before:
        return end
    step = timedelta(seconds=1)
    low, high = 0, (end - start) // step
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, start + middle * step) == before:
            low = middle
        else:
            high = middle
    return start + high * step


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _is_free(hours: Hours, day: date) -> bool:
    if any(first <= day <= last for first, last in hours.closed):
        return True
    return hours.holidays is not None and day in _holidays(hours.holidays, day.year)


@cache
def _holidays(code: str, year: int) -> frozenset[date]:
    """The public holidays of a country, or of its part, in a year; where a day off is moved, the day it is moved to."""
    # a quarter of a second that only a team with holidays pays for
    from holidays import country_holidays

    country, _, part = code.partition("-")
    return frozenset(country_holidays(country, subdiv=part or None, years=year))
