"""Working time: calendars with holidays, closed days, several intervals, and clocks that are set."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from scoring import hours as working_time
from scoring.team import Away, Delay, Hours, Rep

LONDON = Hours(name="london", zone="Europe/London", days=(*[((540, 1050),)] * 5, (), ()), holidays="GB-ENG")
NEW_YORK = Hours(
    name="new-york",
    zone="America/New_York",
    days=(*[((510, 1080),)] * 4, ((510, 960),), (), ()),
    holidays="US",
    closed=((date(2026, 12, 24), date(2026, 12, 24)), (date(2026, 12, 28), date(2026, 12, 31))),
)
BREAK = Hours(name="break", zone="UTC", days=(((480, 720), (780, 1020)), *[()] * 6))
AROUND = Hours(name="around", zone="Europe/Berlin", days=(((0, 1440),),) * 7)
NIGHT = Hours(name="night", zone="Europe/Berlin", days=(((90, 270),),) * 7)
NEVER = Hours(name="never", zone="UTC", days=((),) * 7)


def there(hours: Hours, text: str) -> datetime:
    return datetime.strptime(text, "%d %b %Y %H:%M").replace(tzinfo=ZoneInfo(hours.zone))


def shown(hours: Hours, at: datetime | None) -> str:
    assert at is not None
    return at.astimezone(ZoneInfo(hours.zone)).strftime("%a %d %b %Y %H:%M")


@pytest.mark.parametrize(
    ("hours", "n", "start", "end"),
    [
        (LONDON, 4, "27 Mar 2026 16:30", "Mon 30 Mar 2026 12:00"),
        (LONDON, 4, "24 Dec 2026 16:30", "Tue 29 Dec 2026 12:00"),
        (LONDON, 4, "21 Nov 2026 11:00", "Mon 23 Nov 2026 13:00"),
        (LONDON, 1, "23 Nov 2026 17:30", "Tue 24 Nov 2026 10:00"),
        (NEW_YORK, 4, "30 Oct 2026 14:00", "Mon 02 Nov 2026 10:30"),
        (NEW_YORK, 8, "25 Nov 2026 15:00", "Fri 27 Nov 2026 13:30"),
        (BREAK, 4, "23 Nov 2026 08:00", "Mon 23 Nov 2026 13:00"),
        (BREAK, 5, "23 Nov 2026 11:00", "Mon 30 Nov 2026 08:00"),
        (LONDON, 0, "21 Nov 2026 11:00", "Mon 23 Nov 2026 09:00"),
        (LONDON, 0, "23 Nov 2026 11:00", "Mon 23 Nov 2026 11:00"),
        # 29 March has 23 hours, 25 October has 25
        (AROUND, 23, "29 Mar 2026 00:00", "Mon 30 Mar 2026 00:00"),
        (AROUND, 25, "25 Oct 2026 00:00", "Mon 26 Oct 2026 00:00"),
        # 01:30-04:30 is two hours when 02:00 is skipped, four when it comes twice
        (NIGHT, 3, "29 Mar 2026 01:30", "Mon 30 Mar 2026 02:30"),
        (NIGHT, 3, "25 Oct 2026 01:30", "Sun 25 Oct 2026 03:30"),
    ],
)
def test_working_hours_after_an_instant(hours: Hours, n: int, start: str, end: str) -> None:
    """The vectors J11 to J13, then breaks, weekends and clocks."""
    assert shown(hours, working_time.add(hours, there(hours, start), n * 60)) == end


@pytest.mark.parametrize(
    ("hours", "start", "end", "minutes"),
    [
        (NEW_YORK, "23 Dec 2026 16:00", "29 Dec 2026 12:00", 120),
        (LONDON, "20 Nov 2026 17:00", "23 Nov 2026 09:30", 60),
        (LONDON, "23 Nov 2026 12:00", "23 Nov 2026 11:00", 0),
        (BREAK, "23 Nov 2026 11:59", "23 Nov 2026 13:01", 2),
        (AROUND, "28 Mar 2026 12:00", "29 Mar 2026 12:00", 23 * 60),
        (AROUND, "24 Oct 2026 12:00", "25 Oct 2026 12:00", 25 * 60),
        (NEVER, "01 Jan 2026 00:00", "01 Jan 2027 00:00", 0),
    ],
)
def test_working_time_between_two_instants(hours: Hours, start: str, end: str, minutes: int) -> None:
    """The vector J14 first."""
    assert working_time.between(hours, there(hours, start), there(hours, end)) == minutes


def test_whole_minutes_are_counted_once_they_are_over() -> None:
    start = datetime(2026, 11, 23, 10, 0, 30, tzinfo=UTC)
    assert working_time.between(LONDON, start, datetime(2026, 11, 23, 10, 2, 29, tzinfo=UTC)) == 1
    assert working_time.between(None, start, datetime(2026, 11, 23, 10, 2, 30, tzinfo=UTC)) == 2


@pytest.mark.parametrize(
    ("hours", "at", "is_open"),
    [
        (LONDON, "23 Nov 2026 08:59", False),
        (LONDON, "23 Nov 2026 09:00", True),
        (LONDON, "23 Nov 2026 17:29", True),
        (LONDON, "23 Nov 2026 17:30", False),
        (LONDON, "21 Nov 2026 12:00", False),
        (LONDON, "25 Dec 2026 12:00", False),
        (LONDON, "28 Dec 2026 12:00", False),  # instead of Saturday the 26th
        (NEW_YORK, "24 Dec 2026 12:00", False),
        (NEW_YORK, "31 Dec 2026 12:00", False),
        (NEW_YORK, "04 Jan 2027 12:00", True),
        (BREAK, "23 Nov 2026 12:30", False),
        (AROUND, "23 Nov 2026 23:59", True),
        (AROUND, "24 Nov 2026 00:00", True),
        (NEVER, "23 Nov 2026 12:00", False),
    ],
)
def test_open_is_what_the_wall_clock_says(hours: Hours, at: str, is_open: bool) -> None:
    assert working_time.is_open(hours, there(hours, at)) is is_open


def test_an_instant_is_open_up_to_its_last_second() -> None:
    last = datetime(2026, 12, 3, 17, 29, 59, tzinfo=UTC)
    assert working_time.is_open(LONDON, last)
    assert not working_time.is_open(LONDON, last.replace(minute=30, second=0))


def test_without_hours_it_is_always_open() -> None:
    at = datetime(2026, 12, 25, 3, tzinfo=UTC)
    assert working_time.is_open(None, at)
    assert not working_time.is_holiday(None, at)
    assert working_time.next_opening(None, at) == at
    assert working_time.add(None, at, 90) == datetime(2026, 12, 25, 4, 30, tzinfo=UTC)


def test_what_never_opens_has_no_next_opening() -> None:
    at = datetime(2026, 12, 25, 3, tzinfo=UTC)
    assert working_time.next_opening(NEVER, at) is None
    assert working_time.add(NEVER, at, 1) is None


def test_a_calendar_closed_for_decades_opens_after_them() -> None:
    closed = Hours(name="far", zone="UTC", days=(((540, 600),),) * 7, closed=((date(2026, 1, 1), date(2060, 12, 31)),))
    assert working_time.next_opening(closed, datetime(2026, 3, 1, tzinfo=UTC)) == datetime(2061, 1, 1, 9, tzinfo=UTC)
    for_good = Hours(name="end", zone="UTC", days=closed.days, closed=((date(2026, 1, 1), date.max),))
    assert working_time.next_opening(for_good, datetime(2026, 3, 1, tzinfo=UTC)) is None


def test_a_holiday_moved_into_the_year_before_is_known() -> None:
    """New Year's Day 2028 is a Saturday: the Friday before is off, which is in 2027."""
    assert working_time.is_holiday(NEW_YORK, there(NEW_YORK, "31 Dec 2027 12:00"))


def test_a_holiday_is_one_on_the_local_date() -> None:
    late = datetime(2026, 12, 26, 3, tzinfo=UTC)
    assert working_time.is_holiday(NEW_YORK, late)  # still the 25th there
    assert not working_time.is_holiday(NEW_YORK, datetime(2026, 12, 26, 6, tzinfo=UTC))


def test_a_delay_is_working_time_or_the_clocks() -> None:
    friday = there(LONDON, "20 Nov 2026 17:00")
    assert shown(LONDON, working_time.after(LONDON, friday, Delay(minutes=60, working=True))) == "Mon 23 Nov 2026 09:30"
    assert (
        shown(LONDON, working_time.after(LONDON, friday, Delay(minutes=60, working=False))) == "Fri 20 Nov 2026 18:00"
    )


def test_an_absence_is_half_open_and_by_the_wall_clock_of_a_zone() -> None:
    away = Away(text="2026-12-03 13:00-17:30", start=datetime(2026, 12, 3, 13), end=datetime(2026, 12, 3, 17, 30))  # noqa: DTZ001  # wall clock
    rep = Rep(email="bo@acme.com", name="Bo", away=(away,))
    assert working_time.away(rep, datetime(2026, 12, 3, 12, 59, tzinfo=UTC), "Europe/London") is None
    assert working_time.away(rep, datetime(2026, 12, 3, 13, 0, tzinfo=UTC), "Europe/London") is away
    assert working_time.away(rep, datetime(2026, 12, 3, 17, 30, tzinfo=UTC), "Europe/London") is None
    assert working_time.away(rep, datetime(2026, 12, 3, 12, 0, tzinfo=UTC), "Europe/Berlin") is away
