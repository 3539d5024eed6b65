"""Owners by name, backups, waits, caps and levels: what the rules of routing do when somebody is not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from connectors.records import Crm
from scoring.document import Source
from scoring.load import load_policy
from scoring.policy import Policy
from sync.assign import Assigned, Routed, Waiting, assign
from sync.owners import OwnerDirectory
from sync.pools import Candidate, Counter, Load
from tests.support.owners import listed

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
"""A Wednesday."""

ANA, BO, CY = "ana@acme.com", "bo@acme.com", "cy@acme.com"

TEAM = """\
version: 1
hours:
  office: {zone: UTC, mon-fri: 09:00-17:00}
  evening: {zone: UTC, mon-fri: 18:00-22:00}
  never: {zone: UTC, sun: 09:00-10:00, closed: [2026-01-01..9999-12-31]}
reps:
  ana@acme.com: {away: [2026-11-25], backup: bo@acme.com}
  bo@acme.com:  {hours: evening, backup: cy@acme.com}
  cy@acme.com:  {hours: office, backup: ana@acme.com}
  dee@acme.com: {status: left, backup: ana@acme.com}
  eli@acme.com: {away: [2026-11-25 12:00-14:00], hours: office, backup: bo@acme.com}
  flo@acme.com: {hours: evening}
  gus@acme.com: {hours: never}
  hal@acme.com: {away: [2026-11-25]}
pools:
  p: {method: even, nobody_free: queue inbound, reps: {ana@acme.com: {}, cy@acme.com: {}}}
  night: {method: even, hours: evening, nobody_free: assign anyway else queue inbound, reps: {flo@acme.com: {}}}
  leave: {method: even, nobody_free: assign anyway else queue inbound, reps: {hal@acme.com: {}}}
  slow: {method: even, hours: office, nobody_free: wait 2 working hours then queue inbound, reps: {hal@acme.com: {}}}
  quick: {method: even, hours: office, nobody_free: wait 30 minutes then queue inbound, reps: {hal@acme.com: {}}}
  shut: {method: even, hours: never, nobody_free: wait 2 working hours then queue inbound, reps: {gus@acme.com: {}}}
queues:
  inbound: {hubspot: none}
  desk: {hubspot: none}
"""


def policy(routing: str, team: str = TEAM) -> Policy:
    text = f"""\
version: 1
name: small
fit: {{groups: {{size: {{field: company.employees, points: {{from 200: 60, unknown: 0}}}}}}}}
mql: {{become_when: {{good: {{fit: from 50}}}}}}
routing: {routing}
"""
    return load_policy(
        Source("policy.yaml", text.encode()), Source("team.yaml", team.encode()), lists=lambda name: name
    )[0]


def person(id: str = "x", *, since: datetime | None = None, worked_by: str | None = None, **facts: Any) -> Candidate:
    return Candidate(
        person_id=id,
        episode=1,
        facts={name.replace("__", "."): value for name, value in facts.items()},
        crms=(Crm.HUBSPOT,),
        total=50,
        qualified_at=NOON,
        worked_by=worked_by,
        waiting_since=since,
    )


def route(
    routing: str,
    *people: Candidate,
    at: datetime = NOON,
    team: str = TEAM,
    loads: Mapping[str, Load] | None = None,
    counters: Mapping[tuple[str, str], Counter] | None = None,
) -> Routed:
    rules = policy(routing, team)
    directory = OwnerDirectory(owners=listed(rules.team), team=rules.team, crms=(Crm.HUBSPOT,))
    return assign(
        people or [person()], rules.team, rules.routing, directory, counters or {}, as_of=at, loads=loads, version="v7"
    )


def only(routed: Routed) -> Assigned:
    assert routed.waiting == []
    [one] = routed.assigned
    return one


def wait(routed: Routed) -> Waiting:
    assert routed.assigned == []
    [one] = routed.waiting
    return one


# -- owners ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "owner", "worked_by", "is_so"),
    [
        ("active", "rep:bo@acme.com", None, True),
        ("active", "rep:dee@acme.com", None, False),
        ("active", "user:hubspot:9", None, False),
        ("available", "rep:cy@acme.com", None, True),
        ("available", "rep:bo@acme.com", None, False),
        ("available", "rep:ana@acme.com", None, False),
        ("working", "rep:cy@acme.com", "rep:cy@acme.com", True),
        ("working", "rep:cy@acme.com", "rep:bo@acme.com", False),
        ("working", "rep:cy@acme.com", None, False),
        ("working", "rep:dee@acme.com", "rep:dee@acme.com", False),
    ],
)
def test_an_owner_is_active_available_or_working(state: str, owner: str, worked_by: str | None, is_so: bool) -> None:
    rules = f"[{{name: it, when: {{person.owner: {state}}}, to: queue desk}}, {{to: queue inbound}}]"
    one = only(route(rules, person(person__owner=owner, worked_by=worked_by)))
    assert (one.owner_key == "queue:desk") is is_so


def test_a_false_rule_about_an_owner_says_why_they_are_not_so() -> None:
    one = only(route("[{name: it, when: {person.owner: available}, to: person.owner}, {to: queue inbound}]",
                     person(person__owner="rep:bo@acme.com")))  # fmt: skip
    assert one.trace["rules"][0] == {
        "rule": "it",
        "true": False,
        "false": "person.owner: available",
        "found": "rep:bo@acme.com",
        "because": "bo@acme.com: out of hours",
    }


@pytest.mark.parametrize(
    ("if_away", "rep", "key"),
    [
        ("", ANA, "queue:inbound"),
        (", if_away: next rule", ANA, "queue:inbound"),
        (", if_away: pool p", ANA, "rep:cy@acme.com"),
        (", if_away: queue desk", ANA, "queue:desk"),
        (", if_away: their backup", ANA, "rep:cy@acme.com"),
        (", if_away: their backup", BO, "rep:cy@acme.com"),
        (", if_away: their backup", "dee@acme.com", "rep:cy@acme.com"),
        (", if_away: their backup", CY, "rep:cy@acme.com"),
        (", if_away: their backup", "flo@acme.com", "queue:inbound"),
    ],
)
def test_somebody_who_is_not_free_is_passed_over_as_the_rule_says(if_away: str, rep: str, key: str) -> None:
    assert only(route(f"[{{to: rep {rep}{if_away}}}, {{to: queue inbound}}]")).owner_key == key


def test_backups_are_asked_in_turn_and_nobody_twice() -> None:
    """ana -> bo -> cy -> ana again: at 18:00 only bo is free, at 23:00 nobody."""
    rules = f"[{{to: rep {ANA}, if_away: their backup}}, {{to: queue inbound}}]"
    assert only(route(rules, at=NOON.replace(hour=18))).owner_key == f"rep:{BO}"
    late = only(route(rules, at=NOON.replace(hour=23)))
    assert late.owner_key == "queue:inbound"
    assert late.trace["rules"][0]["backups"] == [
        {"rep": BO, "state": "out of hours"},
        {"rep": CY, "state": "out of hours"},
    ]


def test_a_chain_of_backups_ends_after_five() -> None:
    names = [f"r{n}@acme.com" for n in range(8)]
    reps = [f"{name}: {{away: [2026-11-25], backup: {after}}}" for name, after in pairwise(names)]
    for at, free in ((5, "rep:r5@acme.com"), (6, "queue:inbound")):
        chain = [*reps[:at], f"r{at}@acme.com: {{backup: r0@acme.com}}", *reps[at + 1 :], "r7@acme.com: {}"]
        pool = "{p: {method: even, nobody_free: queue inbound, reps: {r0@acme.com: {}}}}"
        team = f"version: 1\nreps: {{{', '.join(chain)}}}\npools: {pool}\nqueues: {{inbound: {{hubspot: none}}}}\n"
        rules = "[{to: rep r0@acme.com, if_away: their backup}, {to: queue inbound}]"
        assert only(route(rules, team=team)).owner_key == free


def test_an_owner_at_their_cap_is_not_free() -> None:
    team = TEAM.replace("cy@acme.com: {}}", "cy@acme.com: {open: 2}}")
    rules = "[{to: rep cy@acme.com}, {to: queue inbound}]"
    assert only(route(rules, team=team, loads={CY: Load(open=1)})).owner_key == f"rep:{CY}"
    full = only(route(rules, team=team, loads={CY: Load(open=2)}))
    assert full.trace["rules"][0]["away"] == "cy@acme.com: at cap 2 open"


def test_who_must_not_get_somebody_again_is_not_active_for_them() -> None:
    rules = policy("[{when: {person.owner: active}, to: person.owner}, {to: pool p}]")
    directory = OwnerDirectory(owners=listed(rules.team), team=rules.team, crms=(Crm.HUBSPOT,))
    barred = Candidate(person_id="x", episode=1, facts={"person.owner": f"rep:{CY}"}, crms=(Crm.HUBSPOT,), total=1,
                       qualified_at=NOON, not_to=frozenset({CY}))  # fmt: skip
    one = only(assign([barred], rules.team, rules.routing, directory, {}, as_of=NOON))
    assert one.owner_key == "queue:inbound"
    assert one.trace["pool"]["reps"][1]["state"] == "had them before"


# -- waits -------------------------------------------------------------------------------------------------------


def test_a_wait_ends_in_the_queue_when_its_working_hours_are_over() -> None:
    routing = "[{name: all, to: pool slow}]"
    first = wait(route(routing))
    assert (first.since, first.until, first.why) == (NOON, NOON.replace(hour=14), "all")
    again = wait(route(routing, person(since=NOON), at=NOON.replace(hour=13, minute=59)))
    assert (again.since, again.until) == (first.since, first.until)
    over = only(route(routing, person(since=NOON), at=NOON.replace(hour=14)))
    assert over.owner_key == "queue:inbound"
    assert over.trace["rules"][0]["wait"]["then"] == "queue inbound"
    assert json.loads(json.dumps(over.trace)) == over.trace


def test_a_wait_in_the_evening_is_over_the_next_day() -> None:
    evening = NOON.replace(hour=20)
    assert wait(route("[{to: pool slow}]", at=evening)).until == datetime(2026, 11, 26, 11, tzinfo=UTC)
    assert wait(route("[{to: pool quick}]", at=evening)).until == evening + timedelta(minutes=30)


def test_who_becomes_free_while_somebody_waits_gets_them() -> None:
    tomorrow = NOON + timedelta(days=1)
    waited = only(route("[{to: pool slow}]", person(since=tomorrow - timedelta(minutes=5)), at=tomorrow))
    assert waited.owner_key == "rep:hal@acme.com"


def test_nobody_waits_by_hours_that_never_open() -> None:
    one = only(route("[{to: pool shut}]"))
    assert one.owner_key == "queue:inbound"
    assert one.trace["rules"][0]["wait"]["until"] is None


def test_a_wait_for_one_rep_is_counted_in_their_hours() -> None:
    rules = "[{name: eli, to: rep eli@acme.com, if_away: wait 1 working hour then queue desk}, {to: queue inbound}]"
    assert wait(route(rules)).until == NOON.replace(hour=13)
    assert only(route(rules, person(since=NOON), at=NOON.replace(hour=13))).owner_key == "queue:desk"
    back = NOON.replace(hour=14)
    assert only(route(rules, person(since=NOON.replace(hour=13, minute=30)), at=back)).owner_key == "rep:eli@acme.com"


def test_after_a_wait_a_rule_can_lead_to_a_pool_or_to_nobody() -> None:
    since = NOON - timedelta(hours=9)
    to_pool = "[{to: rep eli@acme.com, if_away: wait 30 minutes then pool p}, {to: queue inbound}]"
    assert only(route(to_pool, person(since=since))).owner_key == f"rep:{CY}"
    to_owner = "[{to: rep eli@acme.com, if_away: wait 30 minutes then company.owner}, {to: queue inbound}]"
    assert only(route(to_owner, person(since=since, company__owner=f"rep:{CY}"))).owner_key == f"rep:{CY}"
    assert only(route(to_owner, person(since=since, company__owner=f"rep:{ANA}"))).owner_key == "queue:inbound"
    assert only(route(to_owner, person(since=since))).owner_key == "queue:inbound"


def test_assign_anyway_ignores_hours_but_not_leave() -> None:
    night = only(route("[{to: pool night}]"))
    assert night.owner_key == "rep:flo@acme.com"
    assert "hours and holidays did not matter" in night.trace["pool"]["anyway"]
    assert only(route("[{to: pool leave}]")).owner_key == "queue:inbound"


# -- caps and levels ---------------------------------------------------------------------------------------------


def two(ana: str = "{}", bo: str = "{}", more: str = "") -> str:
    return f"""\
version: 1
hours: {{kiribati: {{zone: Pacific/Kiritimati, mon-sun: 00:00-24:00}}}}
reps: {{ana@acme.com: {{}}, bo@acme.com: {{}}}}
pools:
  p: {{method: weighted, nobody_free: queue inbound, reps: {{ana@acme.com: {ana}, bo@acme.com: {bo}}}{more}}}
queues: {{inbound: {{hubspot: none}}}}
"""


ALL = "[{name: all, to: pool p}]"


def crowd(n: int) -> list[Candidate]:
    return [person(f"p-{i}") for i in range(n)]


def shares(routed: Routed) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in routed.assigned:
        found[one.owner_key] = found.get(one.owner_key, 0) + 1
    return found


@pytest.mark.parametrize("weight", ["0.5", "1", "10", "1200"])
def test_a_weight_is_told_as_team_yaml_says_it(weight: str) -> None:
    assert only(route(ALL, team=two(f"{{weight: {weight}}}"))).trace["pool"]["reps"][0]["weight"] == weight


def test_a_cap_of_a_day_counts_what_the_run_itself_gives() -> None:
    routed = route(ALL, *crowd(9), team=two("{per_day: 2}", "{per_day: 3}"))
    assert shares(routed) == {"rep:ana@acme.com": 2, "rep:bo@acme.com": 3, "queue:inbound": 4}
    assert routed.assigned[-1].trace["pool"]["reps"][0]["state"] == "at cap 2/2 today"


@pytest.mark.parametrize(
    ("given", "zone", "state"),
    [
        ([NOON - timedelta(hours=1)], "", "at cap 1/1 today"),
        ([NOON - timedelta(hours=13)], "", "free"),
        # in Kiribati it is the 26th already, from 10:00 UTC on
        ([NOON - timedelta(hours=1)], ", hours: kiribati", "at cap 1/1 today"),
        ([NOON - timedelta(hours=3)], ", hours: kiribati", "free"),
    ],
)
def test_a_day_is_the_reps_local_date(given: list[datetime], zone: str, state: str) -> None:
    routed = route(ALL, team=two("{per_day: 1}", more=zone), loads={ANA: Load(given=tuple(given), open=1)})
    assert only(routed).trace["pool"]["reps"][0]["state"] == state


@pytest.mark.parametrize(
    ("day", "state"), [(22, "free"), (23, "at cap this week"), (24, "at cap this week"), (29, "at cap this week")]
)
def test_a_week_is_the_iso_week(day: int, state: str) -> None:
    given = Load(given=(datetime(2026, 11, day, 12, tzinfo=UTC),))
    routed = route(ALL, team=two("{per_week: 1, per_day: 9}"), loads={ANA: given})
    assert only(routed).trace["pool"]["reps"][0]["state"] == state


def test_a_cap_of_open_people_counts_what_is_in_hand_already() -> None:
    routed = route(ALL, *crowd(5), team=two("{open: 3}", "{open: 9}"), loads={ANA: Load(open=2)})
    assert shares(routed) == {"rep:ana@acme.com": 1, "rep:bo@acme.com": 4}


def known(ana: Counter, bo: Counter) -> dict[tuple[str, str], Counter]:
    return {("p", ANA): ana, ("p", BO): bo}


def test_another_weight_begins_at_the_level_of_the_others() -> None:
    had = known(Counter(assigned=10, weight=100), Counter(assigned=10, weight=100))
    one = only(route(ALL, team=two("{weight: 3}"), counters=had))
    assert one.trace["pool"]["levelled"] == [{"rep": ANA, "before": 10, "after": 31}]
    same = only(route(ALL, team=two("{weight: 1}"), counters=had))
    assert "levelled" not in same.trace["pool"]
    fewer = only(route(ALL, team=two("{weight: 0.5}"), counters=had))
    assert "levelled" not in fewer.trace["pool"]  # never lowered


def test_who_was_at_a_cap_is_levelled_when_free_again_unless_missed_people_are_caught_up() -> None:
    had = known(Counter(assigned=2, weight=100, missed=True), Counter(assigned=9, weight=100))
    one = route(ALL, team=two(), counters=had)
    assert only(one).trace["pool"]["levelled"] == [{"rep": ANA, "before": 2, "after": 9}]
    assert not one.counters["p", ANA].missed
    caught_up = route(ALL, *crowd(6), team=two(more=", catch_up: yes"), counters=had)
    assert shares(caught_up) == {"rep:ana@acme.com": 6}


def test_who_was_away_while_others_got_people_is_levelled_when_back() -> None:
    team = two().replace("bo@acme.com: {}}\npools", "bo@acme.com: {away: [2026-11-25]}}\npools")
    had = known(Counter(assigned=2, weight=100), Counter(assigned=2, weight=100))
    away = route(ALL, *crowd(4), team=team, counters=had)
    assert shares(away) == {"rep:ana@acme.com": 4}
    back = only(route(ALL, team=team, counters=away.counters, at=NOON + timedelta(days=1)))
    assert back.trace["pool"]["levelled"] == [{"rep": BO, "before": 2, "after": 6}]


def test_out_of_hours_is_nothing_that_was_missed() -> None:
    team = two().replace(
        "reps: {ana@acme.com: {}, bo@acme.com: {}}\n", "reps: {ana@acme.com: {hours: office}, bo@acme.com: {}}\n", 1
    )
    team = team.replace("hours: {", "hours: {office: {zone: UTC, mon-fri: 13:00-17:00}, ")
    had = known(Counter(assigned=2, weight=100), Counter(assigned=2, weight=100))
    morning = route(ALL, *crowd(4), team=team, counters=had)
    assert shares(morning) == {"rep:bo@acme.com": 4}
    afternoon = route(ALL, *crowd(4), team=team, counters=morning.counters, at=NOON.replace(hour=14))
    assert shares(afternoon) == {"rep:ana@acme.com": 4}


def test_a_cap_that_is_reached_marks_the_rep_until_they_are_free() -> None:
    had = known(Counter(assigned=2, weight=100), Counter(assigned=2, weight=100))
    today = route(ALL, *crowd(5), team=two("{per_day: 1}"), counters=had)
    assert today.counters["p", ANA] == Counter(assigned=3, last_at=NOON, weight=100, missed=True)
    tomorrow = only(route(ALL, team=two("{per_day: 1}"), counters=today.counters, at=NOON + timedelta(days=1)))
    assert tomorrow.trace["pool"]["levelled"] == [{"rep": ANA, "before": 3, "after": 6}]


def test_the_trace_says_when_by_which_version_and_how_the_account_was_found() -> None:
    one = only(route(ALL, team=two()))
    assert (one.trace["as_of"], one.trace["version"]) == ("2026-11-25T12:00:00+00:00", "v7")
    matched = person()
    account = {"account": "salesforce:account:1", "by": "domain"}
    matched = Candidate(**{n: getattr(matched, n) for n in Candidate.__slots__} | {"account": account})
    assert only(route(ALL, matched, team=two())).trace["account"] == account
