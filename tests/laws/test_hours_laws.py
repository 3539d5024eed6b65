"""Laws of working time, for calendars with holidays, closed days, breaks, and zones whose clocks are set."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import hours as working_time
from scoring.team import Hours

ZONES = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Kolkata",
    "Asia/Beirut",
)

# every clock of the zones above is set on one of these days or close by
CHANGES = (datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC),
           datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 31, tzinfo=UTC))  # fmt: skip


@st.composite
def intervals(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    edges = sorted(draw(st.sets(st.integers(0, 1440), max_size=6)))
    return tuple(zip(edges[::2], edges[1::2], strict=False))


@st.composite
def calendars(draw: st.DrawFn) -> Hours:
    first = draw(st.dates(date(2026, 1, 1), date(2026, 12, 31)))
    return Hours(
        name="any",
        zone=draw(st.sampled_from(ZONES)),
        days=tuple(draw(intervals()) for _ in range(7)),
        holidays=draw(st.sampled_from([None, "US", "GB-ENG", "DE-BY"])),
        closed=draw(st.sampled_from([(), ((first, first + timedelta(days=9)),)])),
    )


instants = st.one_of(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001  # of the strategy
    st.builds(
        lambda at, seconds: at + timedelta(seconds=seconds), st.sampled_from(CHANGES), st.integers(0, 3 * 86_400)
    ),
)


def counted(hours: Hours, start: datetime, end: datetime) -> int:
    """The naive way: minute by minute, by what the wall clock shows."""
    zone, open_minutes = ZoneInfo(hours.zone), 0
    free = working_time.is_holiday
    at = start
    while at < end:
        wall = at.astimezone(zone)
        minute = wall.hour * 60 + wall.minute
        inside = any(opens <= minute < closes for opens, closes in hours.days[wall.weekday()])
        open_minutes += inside and not free(hours, at)
        at += timedelta(minutes=1)
    return open_minutes


@given(calendars(), instants, st.integers(0, 3000))
@settings(max_examples=60, deadline=None)
def test_between_is_what_counting_minute_by_minute_gives(hours: Hours, start: datetime, minutes: int) -> None:
    start = start.replace(second=0, microsecond=0)
    end = start + timedelta(minutes=minutes)
    assert working_time.between(hours, start, end) == counted(hours, start, end)


@given(calendars(), instants, st.integers(0, 4000))
@settings(max_examples=200, deadline=None)
def test_what_is_added_lies_between(hours: Hours, start: datetime, minutes: int) -> None:
    end = working_time.add(hours, start, minutes)
    if end is None:
        assert working_time.between(hours, start, start + timedelta(days=400)) == 0
    else:
        assert working_time.between(hours, start, end) == minutes


@given(calendars(), instants, st.integers(0, 20_000))
@settings(max_examples=200, deadline=None)
def test_what_lies_between_two_instants_can_be_added(hours: Hours, start: datetime, minutes: int) -> None:
    """Up to an instant that is open."""
    start = start.replace(second=0, microsecond=0)
    end = working_time.next_opening(hours, start + timedelta(minutes=minutes))
    if end is not None:
        assert working_time.add(hours, start, working_time.between(hours, start, end)) == end


@given(calendars(), instants, instants, st.integers(0, 4000), st.integers(0, 4000))
@settings(max_examples=200, deadline=None)
def test_later_and_longer_end_no_earlier(hours: Hours, one: datetime, other: datetime, few: int, more: int) -> None:
    (one, other), (few, more) = sorted([one, other]), sorted([few, more])
    ends = [working_time.add(hours, at, n) for at, n in ((one, few), (one, more), (other, more))]
    known = [end for end in ends if end is not None]
    assert known == sorted(known)
    assert ends[: len(known)] == known  # what never ends, does not end earlier either


@given(calendars(), instants, st.integers(0, 4000))
@settings(max_examples=200, deadline=None)
def test_nothing_ends_in_a_closed_minute(hours: Hours, start: datetime, minutes: int) -> None:
    end = working_time.add(hours, start, minutes)
    assert end is None or (working_time.is_open(hours, end) and end >= start)


@given(calendars(), instants, st.integers(0, 3000), st.integers(0, 3000))
@settings(max_examples=200, deadline=None)
def test_two_spans_are_as_long_as_both_together(hours: Hours, start: datetime, first: int, second: int) -> None:
    start = start.replace(second=0, microsecond=0)
    middle, end = start + timedelta(minutes=first), start + timedelta(minutes=first + second)
    between = working_time.between
    assert between(hours, start, end) == between(hours, start, middle) + between(hours, middle, end)


@given(calendars(), instants)
@settings(max_examples=200, deadline=None)
def test_the_next_opening_is_the_first(hours: Hours, at: datetime) -> None:
    opens = working_time.next_opening(hours, at)
    if working_time.is_open(hours, at):
        assert opens == at
    elif opens is not None:
        assert working_time.between(hours, at, opens) == 0
        assert working_time.is_open(hours, opens)
    else:
        assert working_time.between(hours, at, at + timedelta(days=400)) == 0
