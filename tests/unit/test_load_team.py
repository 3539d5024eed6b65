"""team.yaml: hours, absences, caps, backups and queues as types, and every error at its place."""

# ruff: noqa: E501  (messages are compared whole, a table line is one case)

from __future__ import annotations

from datetime import date, datetime

import pytest

from scoring.document import Unreadable
from scoring.load_hours import parse_away
from scoring.team import Delay, Hours, NobodyFree, PoolMethod, PoolRep, Queue, Team
from tests.support.policy_text import POLICY, but, load, problems

TEAM = """\
version: 1
hours:
  office: {zone: Europe/London, mon-thu: 09:00-12:30 13:00-17:30, fri: 09:00-16:00, sat: closed, holidays: GB-ENG,
           closed: [2026-12-24, 2026-12-28..2026-12-31]}
  nights: {zone: UTC, sun: 00:00-06:00 22:00-24:00}
reps:
  ana@acme.com: {name: Ana, backup: Bo@acme.com, hours: office}
  bo@acme.com:  {name: Bo, away: [2026-12-24, 2026-12-03 13:00-17:30, 2026-12-20..2027-01-02]}
pools:
  sales:
    method: least open
    hours: nights
    nobody_free: wait 2 working hours then queue inbound
    catch_up: yes
    reps: {ana@acme.com: {weight: 1.25, per_day: 6, per_week: 12, open: 40}, bo@acme.com: {}}
queues:
  inbound: {hubspot: none, tell: Sam@acme.com, alarm_after: 30 working minutes, hours: office}
managers: {sales: Pat@acme.com}
"""


def team(text: str = TEAM) -> Team:
    return load(team=text)[0].team


def told(old: str, new: str) -> list[str]:
    return problems(POLICY, but(old, new, TEAM))


def test_hours_become_minutes_of_each_day() -> None:
    day = ((540, 750), (780, 1050))
    assert team().hours["office"] == Hours(
        name="office",
        zone="Europe/London",
        days=(day, day, day, day, ((540, 960),), (), ()),
        holidays="GB-ENG",
        closed=((date(2026, 12, 24), date(2026, 12, 24)), (date(2026, 12, 28), date(2026, 12, 31))),
    )
    assert team().hours["nights"].days[6] == ((0, 360), (1320, 1440))


def test_reps_pools_queues_and_managers_become_types() -> None:
    read = team()
    ana, bo = read.reps["ana@acme.com"], read.reps["bo@acme.com"]
    assert (ana.backup, ana.hours, ana.away) == ("bo@acme.com", "office", ())
    assert [away.text for away in bo.away] == ["2026-12-24", "2026-12-03 13:00-17:30", "2026-12-20..2027-01-02"]
    pool = read.pools["sales"]
    assert (pool.method, pool.hours, pool.catch_up) == (PoolMethod.LEAST_OPEN, "nights", True)
    assert pool.reps == (
        PoolRep(email="ana@acme.com", weight=125, per_day=6, per_week=12, open=40),
        PoolRep(email="bo@acme.com"),
    )
    delay = Delay(minutes=30, working=True)
    assert read.queues["inbound"] == Queue(name="inbound", tell="sam@acme.com", alarm_after=delay, hours="office")
    assert read.managers == {"sales": "pat@acme.com"}


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-12-24", "2026-12-24T00:00", "2026-12-25T00:00"),
        ("2026-12-21..2027-01-02", "2026-12-21T00:00", "2027-01-03T00:00"),
        ("2026-12-03 13:00-17:30", "2026-12-03T13:00", "2026-12-03T17:30"),
        ("2026-12-03 13:00-24:00", "2026-12-03T13:00", "2026-12-04T00:00"),
        ("2026-12-03 13:00..2026-12-05 12:00", "2026-12-03T13:00", "2026-12-05T12:00"),
        ("2028-02-29", "2028-02-29T00:00", "2028-03-01T00:00"),
    ],
)
def test_an_absence_is_from_until_before(text: str, start: str, end: str) -> None:
    away = parse_away(text)
    assert away is not None
    assert (away.text, away.start, away.end) == (text, datetime.fromisoformat(start), datetime.fromisoformat(end))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("21.12.2026", "write 2026-12-21"),
        ("2026-12-32", "there is no such day"),
        ("2026-12-24..2026-12-20", "ends before it begins"),
        ("2026-12-03 17:30-13:00", "ends before it begins"),
        ("2026-12-03 13:00", "either both ends have a time of day, or none has"),
        ("2026-12-03 13:00..2026-12-05", "either both ends have a time of day, or none has"),
        ("2026-12-03..2026-12-05 12:00", "either both ends have a time of day, or none has"),
        ("2026-12-03 25:00-26:00", "'25:00': there is no such time of day"),
        ("2026-12-03 24:00-24:00", "'24:00': there is no such time of day"),
        ("9999-12-31", "there is no such day"),
        ("next week", "write it like 2026-12-24"),
    ],
)
def test_a_wrong_absence_says_what_is_right(text: str, said: str) -> None:
    with pytest.raises(Unreadable) as wrong:
        parse_away(text)
    assert said in str(wrong.value)


@pytest.mark.parametrize(
    ("phrase", "becomes"),
    [
        ("queue inbound", NobodyFree(queue="inbound")),
        ("wait 45 minutes then queue inbound", NobodyFree(queue="inbound", wait=Delay(minutes=45, working=False))),
        ("assign anyway else queue  inbound", NobodyFree(queue="inbound", anyway=True)),
    ],
)
def test_what_a_pool_does_when_nobody_is_free(phrase: str, becomes: NobodyFree) -> None:
    read = team(but("wait 2 working hours then queue inbound", phrase, TEAM))
    assert read.pools["sales"].nobody_free == becomes


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("zone: UTC", "zone: UCT0", "team.yaml:5:18: hours.nights.zone: unknown timezone 'UCT0', did you mean 'UCT'?"),
        ("{zone: UTC, ", "{", "team.yaml:5:11: hours.nights.zone: this key is missing"),
        ("zone: UTC, sun", "zone: UTC, sunday", "team.yaml:5:23: hours.nights.sunday: unknown key: zone, holidays, closed, mon to sun or a range like mon-fri"),
        ("fri: 09", "fry: 09", "team.yaml:3:67: hours.office.fry: unknown key, did you mean 'fri'?"),
        ("mon-thu", "thu-mon", "team.yaml:3:33: hours.office.thu-mon: 'thu-mon': a range goes forward in the week, which begins with mon"),
        ("mon-thu", "mon-fri", "team.yaml:3:67: hours.office.fri: 'fri' is already given"),
        ("09:00-16:00", "9:00-16:00", "team.yaml:3:72: hours.office.fri: '9:00' is not a time of day: write it like 09:00"),
        ("09:00-16:00", "09:00-24:01", "team.yaml:3:72: hours.office.fri: '24:01': there is no such time of day"),
        ("09:00-16:00", "09:00-16:60", "team.yaml:3:72: hours.office.fri: '16:60': there is no such time of day"),
        ("09:00-16:00", "22:00-06:00", "team.yaml:3:72: hours.office.fri: '22:00-06:00' crosses midnight: write 22:00-24:00, and 00:00-06:00 on the next day"),
        ("09:00-16:00", "09:00-09:00", "team.yaml:3:72: hours.office.fri: '09:00-09:00' is never open"),
        ("09:00-16:00", "09:00-12:00 11:00-16:00", "team.yaml:3:72: hours.office.fri: '11:00-16:00' begins before the interval in front of it ends"),
        ("09:00-16:00", "from 9 to 4", "team.yaml:3:72: hours.office.fri: 'from': write it like 09:00-17:30, or closed"),
        ("GB-ENG", "GB-ENK", "team.yaml:3:108: hours.office.holidays: unknown holidays 'GB-ENK', did you mean 'GB-ENG'?"),
        ("GB-ENG", "UK", "team.yaml:3:108: hours.office.holidays: unknown holidays 'UK', did you mean 'GB'?"),
        ("GB-ENG", "gb", "team.yaml:3:108: hours.office.holidays: unknown holidays 'gb', did you mean 'GB'?"),
        ("GB-ENG", "Utopia", "team.yaml:3:108: hours.office.holidays: unknown holidays 'Utopia'"),
        ("2026-12-28..2026-12-31", "2026-12-31..2026-12-28", "team.yaml:4:33: hours.office.closed[1]: '2026-12-31..2026-12-28' ends before it begins"),
        ("[2026-12-24, 2026-12-28..2026-12-31]", "2026-12-24", "team.yaml:4:20: hours.office.closed: a list is wanted here, not a text"),
        ("backup: Bo@acme.com", "backup: bob@acme.com", "team.yaml:7:37: reps.ana@acme.com.backup: 'bob@acme.com' is not in reps, did you mean 'bo@acme.com'?"),
        ("backup: Bo@acme.com", "backup: Ana@acme.com", "team.yaml:7:37: reps.ana@acme.com.backup: 'Ana@acme.com' cannot be their own backup"),
        ("Bo@acme.com, hours: office", "Bo@acme.com, hours: ofice", "team.yaml:7:57: reps.ana@acme.com.hours: unknown hours 'ofice', did you mean 'office'?"),
        ("method: least open", "method: least", "team.yaml:11:13: pools.sales.method: unknown method 'least': weighted, even or least open"),
        ("hours: nights", "hours: night", "team.yaml:12:12: pools.sales.hours: unknown hours 'night', did you mean 'nights'?"),
        ("wait 2 working hours then queue inbound", "wait 2 working hours", "team.yaml:13:18: pools.sales.nobody_free: 'wait 2 working hours': a wait ends with 'then queue ...'"),
        ("wait 2 working hours then queue inbound", "wait 2 working hours then pool sales", "team.yaml:13:18: pools.sales.nobody_free: 'wait 2 working hours then pool sales': a wait ends with 'then queue ...'"),
        ("wait 2 working hours then queue inbound", "assign anyway", "team.yaml:13:18: pools.sales.nobody_free: 'assign anyway': write 'assign anyway else queue ...'"),
        ("wait 2 working hours then queue inbound", "wait -2 hours then queue inbound", "team.yaml:13:18: pools.sales.nobody_free: '-2 hours' is not a time span: write it like '4 working hours' or '30 minutes'"),
        ("wait 2 working hours then queue inbound", "the queue", "team.yaml:13:18: pools.sales.nobody_free: 'the queue': write 'queue ...', 'wait ... then queue ...' or 'assign anyway else queue ...'"),
        ("catch_up: yes", "catch_up: true", "team.yaml:14:15: pools.sales.catch_up: 'true': write yes or no"),
        ("open: 40", "open: 0", "team.yaml:15:73: pools.sales.reps.ana@acme.com.open: '0': a cap of 0 admits nobody: take the rep out of the pool"),
        ("per_day: 6", "per_day: -6", "team.yaml:15:50: pools.sales.reps.ana@acme.com.per_day: '-6': a whole number from 1 to 1000000 is wanted here"),
        ("per_week: 12", "per_week: 1.5", "team.yaml:15:63: pools.sales.reps.ana@acme.com.per_week: '1.5': a whole number from 1 to 1000000 is wanted here"),
        ("weight: 1.25", "weight: 1.255", "team.yaml:15:35: pools.sales.reps.ana@acme.com.weight: '1.255': a weight is above 0 with at most 2 decimals"),
        ("30 working minutes", "30 minutes", "team.yaml:17:61: queues.inbound.alarm_after: '30 minutes': working time is wanted here: write '30 working minutes'"),
        ("tell: Sam@acme.com", "tell: Sam", "team.yaml:17:34: queues.inbound.tell: 'Sam' is not an e-mail address"),
        ("managers: {sales", "managers: {sale", "team.yaml:18:12: managers: unknown pool 'sale', did you mean 'sales'?"),
    ],
)  # fmt: skip
def test_an_error_has_place_path_and_cure(old: str, new: str, problem: str) -> None:
    assert told(old, new) == [problem]


def test_hours_that_never_open_are_warned_of() -> None:
    text = but("sun: 00:00-06:00 22:00-24:00", "sun: closed", TEAM)
    said = [str(w) for w in load(team=text)[1] if "never open" in w.message]
    assert said == ["team.yaml:5:3: hours.nights: these hours never open"]


def test_absences_may_overlap() -> None:
    text = but("away: [2026-12-24, ", "away: [2026-12-24, 2026-12-24, ", TEAM)
    assert len(team(text).reps["bo@acme.com"].away) == 4
