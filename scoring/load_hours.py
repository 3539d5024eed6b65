"""When work is done and when somebody is away: the calendars and absences of team.yaml."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import available_timezones

from scoring import countries
from scoring.document import Entry, Kind, Node, Unreadable, did_you_mean, parse_date
from scoring.team import Away, Hours

__all__ = ["parse_away", "parse_zone", "read_hours"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60

Intervals = tuple[tuple[int, int], ...]


def parse_zone(text: str) -> str:
    """A time zone by its IANA name."""
    zones = available_timezones()
    if text not in zones:
        raise Unreadable(f"unknown timezone '{text}'{did_you_mean(text, sorted(zones))}")
    return text


def read_hours(entry: Entry) -> Hours:
    """``{zone: Europe/London, mon-fri: 09:00-17:30, holidays: GB-ENG, closed: [2026-12-24]}``."""
    node = entry.node
    days: dict[str, Intervals] = {}
    rest: dict[str, Node] = {}
    never: Intervals = ()
    for one in node.pairs():
        if one.key in ("zone", "holidays", "closed"):
            rest[one.key] = one.node
            continue
        try:
            named = _days(one.key)
        except Unreadable as why:
            one.name.error(str(why))
            continue
        intervals = one.node.read(_intervals, never)
        for day in named:
            if day in days:
                one.name.error(f"'{day}' is already given")
            days[day] = intervals
    if node.kind is Kind.MAPPING and "zone" not in rest:
        node.under(f"{node.path}.zone").error("this key is missing")
    if node.kind is Kind.MAPPING and not any(days.values()):
        node.warn("these hours never open", at=entry.name)
    return Hours(
        name=entry.key,
        zone=rest["zone"].read(parse_zone, "UTC") if "zone" in rest else "UTC",
        days=tuple(days.get(day, ()) for day in DAYS),
        holidays=rest["holidays"].read(_holidays, None) if "holidays" in rest else None,
        closed=tuple(one.read(_closed, (date.min, date.min)) for one in rest["closed"].each())
        if "closed" in rest
        else (),
    )


def _days(key: str) -> tuple[str, ...]:
    """``mon``, ``mon-fri``."""
    first, dash, last = key.partition("-")
    for name in (first, last) if dash else (first,):
        if name not in DAYS:
            known = ("zone", "holidays", "closed", *DAYS)
            near = did_you_mean(key, known) or (did_you_mean(name, DAYS) if dash else "")
            raise Unreadable(f"unknown key{near or ': zone, holidays, closed, mon to sun or a range like mon-fri'}")
    start, end = DAYS.index(first), DAYS.index(last or first)
    if end < start:
        raise Unreadable(f"'{key}': a range goes forward in the week, which begins with mon")
    return DAYS[start : end + 1]


def _intervals(text: str) -> Intervals:
    """``09:00-12:00 13:00-17:30`` or ``closed``; in minutes since midnight."""
    if text == "closed":
        return ()
    found: list[tuple[int, int]] = []
    for part in text.split():
        interval = _interval(part)
        if found and interval[0] < found[-1][1]:
            raise Unreadable(f"'{part}' begins before the interval in front of it ends")
        found.append(interval)
    return tuple(found)


def _interval(text: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    if not dash:
        raise Unreadable(f"'{text}': write it like 09:00-17:30, or closed")
    opens, closes = _minute(start), _minute(end, last=True)
    if closes < opens:
        raise Unreadable(f"'{text}' crosses midnight: write {start}-24:00, and 00:00-{end} on the next day")
    if closes == opens:
        raise Unreadable(f"'{text}' is never open")
    return opens, closes


def _minute(text: str, *, last: bool = False) -> int:
    """``09:30``, as the end of something ``24:00`` as well; in minutes since midnight."""
    clock = re.fullmatch(r"([0-9]{2}):([0-9]{2})", text)
    if clock is None:
        raise Unreadable(f"'{text}' is not a time of day: write it like 09:00")
    minute = int(clock[1]) * 60 + int(clock[2])
    if int(clock[2]) > 59 or minute > _DAY_MINUTES or (minute == _DAY_MINUTES and not last):
        raise Unreadable(f"'{text}': there is no such time of day")
    return minute


@cache
def _calendars() -> dict[str, list[str]]:
    # a quarter of a second that only a team with holidays pays for
    from holidays import list_supported_countries

    supported: dict[str, list[str]] = list_supported_countries(include_aliases=False)
    return supported


def _holidays(text: str) -> str | None:
    """A country, or country and subdivision, of the package `holidays`."""
    country, dash, part = text.partition("-")
    calendars = _calendars()
    if country not in calendars:
        code = countries.ALIASES.get(country.upper(), country.upper())
        near = f", did you mean '{code}'?" if code in calendars else did_you_mean(country, calendars)
        raise Unreadable(f"unknown holidays '{text}'{near}", code="E02")
    if dash and part not in calendars[country]:
        whole = [f"{country}-{name}" for name in calendars[country]]
        near = did_you_mean(text, whole) or (f": {country} has {', '.join(whole)}" if whole else f": write {country}")
        raise Unreadable(f"unknown holidays '{text}'{near}", code="E02")
    return text


def _closed(text: str) -> tuple[date, date]:
    """``2026-12-24`` or ``2026-12-28..2026-12-31``: first and last day."""
    first, dots, last = text.partition("..")
    start = parse_date(first.strip())
    end = parse_date(last.strip()) if dots else start
    if end < start:
        raise Unreadable(f"'{text}' ends before it begins")
    return start, end


_AWAY = re.compile(
    r"(?P<from_day>\S+?)"
    r"(?: (?P<from_time>[0-9]{2}:[0-9]{2}))?"
    r"(?:(?P<dots>\.\.)(?P<to_day>\S+?)(?: (?P<to_time>[0-9]{2}:[0-9]{2}))?|-(?P<until>[0-9]{2}:[0-9]{2}))?"
)


def parse_away(text: str) -> Away | None:
    """An absence, wall clock without zone: one day, days, hours of a day, or from an instant until another one."""
    text = " ".join(text.split())
    found = _AWAY.fullmatch(text)
    if found is None or (found["until"] and not found["from_time"]):
        raise Unreadable(f"'{text}': write it like 2026-12-24, 2026-12-21..2027-01-02 or 2026-12-03 13:00-17:30")
    if bool(found["from_time"]) != bool(found["to_time"] or found["until"]):
        raise Unreadable(f"'{text}': either both ends have a time of day, or none has")
    first = parse_date(found["from_day"])
    last = parse_date(found["to_day"]) if found["to_day"] else first
    try:
        if found["from_time"]:
            start = _at(first, found["from_time"])
            end = _at(last, found["to_time"] or found["until"], last=True)
        else:
            start, end = _at(first, "00:00"), _at(last, "24:00", last=True)
    except OverflowError:
        raise Unreadable(f"'{text}': there is no such day") from None
    if end <= start:
        raise Unreadable(f"'{text}' ends before it begins")
    return Away(text=text, start=start, end=end)


def _at(day: date, clock: str, *, last: bool = False) -> datetime:
    return datetime.combine(day, time()) + timedelta(minutes=_minute(clock, last=last))
