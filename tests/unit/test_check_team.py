"""What `check` says of a team: nobody there, closed for good, leave that overlaps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.records import Crm
from scoring.document import Source
from scoring.load import load_policy
from scoring.policy import Policy
from sync.check_team import empty_pools, overlapping_leave, shut_hours
from sync.owners import OwnerDirectory
from tests.support.owners import listed

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def policy(reps: str, pools: str, hours: str = "{}") -> Policy:
    text = b"""\
version: 1
name: small
fit: {groups: {size: {field: company.employees, points: {from 200: 60, unknown: 0}}}}
mql: {become_when: {good: {fit: from 50}}}
routing: [{to: pool p}]
"""
    team = f"version: 1\nhours: {hours}\nreps: {reps}\npools: {pools}\nqueues: {{inbound: {{hubspot: none}}}}\n"
    return load_policy(Source("policy.yaml", text), Source("team.yaml", team.encode()), lists=lambda name: name)[0]


def pool(nobody_free: str = "queue inbound", hours: str = "") -> str:
    of = f", hours: {hours}" if hours else ""
    return f"{{p: {{method: even, nobody_free: {nobody_free}, reps: {{ana@acme.com: {{}}, bo@acme.com: {{}}}}{of}}}}}"


@pytest.mark.parametrize(
    ("ana", "bo", "said"),
    [
        ("2026-12-24..2027-01-02", "2026-12-31", ["2026-12-31 00:00 until 2027-01-01 00:00"]),
        ("2026-12-24, 2026-12-25", "2026-12-20..2026-12-25", ["2026-12-24 00:00 until 2026-12-26 00:00"]),
        ("2026-12-03 13:00-17:30", "2026-12-03 17:30-18:00", []),
        ("2026-12-03 13:00-17:30", "2026-12-03 17:00-18:00", ["2026-12-03 17:00 until 2026-12-03 17:30"]),
        ("2026-10-01..2026-10-31", "2026-10-01..2026-10-31", []),
        ("2027-06-01..2027-06-30", "2027-06-01..2027-06-30", []),
        ("2026-11-20..2026-11-30", "2026-11-20..2026-11-30", ["2026-11-20 00:00 until 2026-12-01 00:00"]),
    ],
)
def test_leave_of_all_at_once_is_named_with_its_time(ana: str, bo: str, said: list[str]) -> None:
    reps = f"{{ana@acme.com: {{away: [{ana}]}}, bo@acme.com: {{away: [{bo}]}}}}"
    found = list(overlapping_leave(policy(reps, pool()), now=NOW))
    assert found == [
        ("team.yaml: pools.p", f"all of its reps are away from {one} UTC; people go to queue inbound") for one in said
    ]


def test_who_has_left_is_not_waited_for() -> None:
    reps = "{ana@acme.com: {away: [2026-12-24]}, bo@acme.com: {status: left}}"
    [(_, said)] = overlapping_leave(policy(reps, pool("wait 2 working hours then queue inbound")), now=NOW)
    assert said.endswith("2026-12-25 00:00 UTC; people wait, then go to queue inbound")


def test_leave_is_in_the_zone_of_the_hours() -> None:
    hours = "{tokyo: {zone: Asia/Tokyo, mon-fri: 09:00-17:00}, here: {zone: UTC, mon-fri: 09:00-17:00}}"
    reps = "{ana@acme.com: {away: [2026-12-24], hours: tokyo}, bo@acme.com: {away: [2026-12-24]}}"
    [(_, said)] = overlapping_leave(policy(reps, pool(hours="here"), hours), now=NOW)
    assert "from 2026-12-24 09:00 until 2026-12-25 00:00 Asia/Tokyo" in said


def test_hours_that_are_closed_for_good_are_named() -> None:
    gone = "{zone: UTC, mon-fri: 09:00-17:00, closed: [2026-01-01..9999-12-31]}"
    hours = f"{{gone: {gone}, open: {{zone: UTC, mon: 09:00-10:00}}}}"
    made = policy("{ana@acme.com: {hours: gone}, bo@acme.com: {hours: open}}", pool(), hours)
    assert list(shut_hours(made, now=NOW)) == [
        ("team.yaml: hours.gone", "closed for good; nobody is ever free by these hours")
    ]


def test_a_pool_of_which_nobody_is_in_the_crm_is_named() -> None:
    made = policy("{ana@acme.com: {}, bo@acme.com: {}}", pool())
    known = listed(made.team, Crm.HUBSPOT, Crm.SALESFORCE, inactive=["ana@acme.com"])
    owners = [owner for owner in known if (owner.crm, owner.email) != (Crm.SALESFORCE, "bo@acme.com")]
    directory = OwnerDirectory(owners=owners, team=made.team, crms=(Crm.HUBSPOT, Crm.SALESFORCE))
    assert list(empty_pools(made, Crm.HUBSPOT, directory)) == []
    assert list(empty_pools(made, Crm.SALESFORCE, directory)) == [
        ("team.yaml: pools.p", "none of its reps can own people in salesforce; people go to queue inbound")
    ]
