"""Who gets a person: rules, draws, owners of both CRMs, and the trace that explains it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from connectors.records import Crm, Owner, OwnerKind
from scoring.conditions import OneOf
from scoring.document import Source
from scoring.load import load_policy
from scoring.policy import Policy, Route, Target, TargetKind
from scoring.tables import LIST_EDGE
from sync.assign import Assigned, assign
from sync.owners import OwnerDirectory, takers
from sync.pools import Candidate, Counter

START = datetime(2026, 11, 23, 10, 1, tzinfo=UTC)
BOTH = (Crm.HUBSPOT, Crm.SALESFORCE)

TEAM = """\
version: 1
reps:
  ana@acme.com: {name: Ana, hubspot: 1101, salesforce: 005A00000000001}
  bo@acme.com:  {name: Bo}
  cy@acme.com:  {name: Cy}
  ida@acme.com: {status: left}
pools:
  p:
    method: weighted
    nobody_free: queue inbound
    reps: {ana@acme.com: {weight: 2}, bo@acme.com: {weight: 1}, cy@acme.com: {weight: 1}}
  old: {method: even, nobody_free: queue inbound, reps: {ida@acme.com: {}}}
queues:
  inbound: {hubspot: none, salesforce: Inbound_Leads}
  desk:    {hubspot: desk@acme.com}
unowned: [Admin@Acme.com, Web_Leads]
"""


def policy(routing: str = "[{name: all, to: pool p}]", team: str = TEAM) -> Policy:
    text = f"""\
version: 1
name: small
fit: {{groups: {{size: {{field: company.employees, points: {{from 200: 60, unknown: 0}}}}}}}}
mql: {{become_when: {{good: {{fit: from 50}}}}}}
lists: {{emea: [DE, NL], rivals: [rival.io]}}
routing: {routing}
write: {{hubspot: {{contact: {{owner: hubspot_owner_id}}}}, salesforce: {{lead: {{owner: OwnerId}}}}}}
"""
    return load_policy(
        Source("policy.yaml", text.encode()), Source("team.yaml", team.encode()), lists=lambda name: name
    )[0]


def user(crm: Crm, id: str, email: str | None, *, active: bool = True, integration: bool = False) -> Owner:
    return Owner(
        crm=crm,
        id=id,
        kind=OwnerKind.USER,
        email=email,
        name=email or id,
        active=active,
        integration=integration,
    )


def queue(id: str, name: str, *objects: str) -> Owner:
    return Owner(crm=Crm.SALESFORCE, id=id, kind=OwnerKind.QUEUE, email=None, name=name, active=True, objects=objects)


OWNERS = (
    user(Crm.HUBSPOT, "1101", "ana.ruiz@elsewhere.com"),
    user(Crm.HUBSPOT, "1102", "Bo@Acme.com"),
    user(Crm.HUBSPOT, "1103", "cy@acme.com"),
    user(Crm.HUBSPOT, "1110", "desk@acme.com"),
    user(Crm.HUBSPOT, "1111", "rex@acme.com"),
    user(Crm.SALESFORCE, "005A00000000001AAA", "ana@acme.com"),
    user(Crm.SALESFORCE, "005A00000000002AAA", "bo@acme.com", active=False),
    user(Crm.SALESFORCE, "005A00000000003AAA", "bo@acme.com"),
    user(Crm.SALESFORCE, "005A00000000004AAA", "admin@acme.com"),
    user(Crm.SALESFORCE, "005A00000000005AAA", "robot@acme.com", integration=True),
    user(Crm.SALESFORCE, "005A00000000006AAA", "rex@acme.com"),
    queue("00GA00000000001AAA", "Inbound_Leads", "lead"),
    queue("00GA00000000002AAA", "Web_Leads", "lead"),
)


def directory(team: Policy | None = None, *, takes: tuple[Crm, ...] | None = None, owners=OWNERS) -> OwnerDirectory:
    return OwnerDirectory(owners=owners, team=(team or policy()).team, crms=BOTH, takes=takes)


def person(id: str, *, crms: tuple[Crm, ...] = (Crm.HUBSPOT,), total: int = 50, minute: int = 0, **facts) -> Candidate:
    return Candidate(
        person_id=id,
        episode=1,
        facts={name.replace("__", "."): value for name, value in facts.items()},
        crms=crms,
        total=total,
        qualified_at=START + timedelta(minutes=minute),
    )


def route(one: Candidate, routing: str = "[{name: all, to: pool p}]", **more) -> Assigned:
    rules = policy(routing)
    [assigned] = assign([one], rules.team, rules.routing, directory(rules), {}, as_of=START, **more).assigned
    return assigned


# -- the draw ----------------------------------------------------------------------------------------------------


def test_weight_two_receives_twice_as_many_in_the_documented_order() -> None:
    """Vector J1: persons p-1 ... p-8, one a minute."""
    rules, counters, drawn = policy(), {}, []
    for n in range(8):
        routed = assign(
            [person(f"p-{n + 1}")],
            rules.team,
            rules.routing,
            directory(rules),
            counters,
            as_of=START + timedelta(minutes=n),
        )
        counters = routed.counters
        drawn.append(routed.assigned[0].owner_key.removeprefix("rep:").partition("@")[0])
    assert " ".join(drawn) == "ana bo cy ana ana bo cy ana"
    assert {rep: c.assigned for (_, rep), c in counters.items()} == {
        "ana@acme.com": 4,
        "bo@acme.com": 2,
        "cy@acme.com": 2,
    }


def test_people_are_routed_best_first_then_the_earlier_then_the_smaller_id() -> None:
    people = [
        person("d", total=40),
        person("c", total=50, minute=1),
        person("b", total=50),
        person("a", total=50),
        person("z", total=90, minute=9),
    ]
    rules = policy()
    found = assign(people, rules.team, rules.routing, directory(rules), {}, as_of=START).assigned
    assert [one.person_id for one in found] == ["z", "a", "b", "c", "d"]


def test_a_rep_new_in_the_pool_starts_at_the_level_of_the_others() -> None:
    rules = policy()
    had = {("p", "ana@acme.com"): Counter(assigned=20, last_at=START), ("p", "bo@acme.com"): Counter(assigned=10)}
    routed = assign([person("x")], rules.team, rules.routing, directory(rules), had, as_of=START)
    [one], after = routed.assigned, routed.counters
    assert one.trace["pool"]["levelled"] == [{"rep": "cy@acme.com", "before": 0, "after": 10}]
    assert after["p", "cy@acme.com"].assigned == 10 + (one.owner_key == "rep:cy@acme.com")


def test_a_rep_who_is_not_usable_is_skipped_with_the_reason() -> None:
    one = route(person("x", crms=BOTH))
    states = {row["rep"]: row["state"] for row in one.trace["pool"]["reps"]}
    assert states == {
        "ana@acme.com": "free",
        "bo@acme.com": "free",
        "cy@acme.com": "unmapped in salesforce",
    }
    owners = [o for o in OWNERS if o.id != "005A00000000003AAA"]
    assert directory(owners=owners).why_not("bo@acme.com", BOTH) == "inactive in CRM"
    assert directory().why_not("ida@acme.com", BOTH) == "left"


def test_only_the_crms_that_take_an_owner_are_asked() -> None:
    assert directory(takes=(Crm.HUBSPOT,)).why_not("cy@acme.com", BOTH) is None
    assert directory(takes=(Crm.SALESFORCE,)).why_not("cy@acme.com", BOTH) == "unmapped in salesforce"
    assert directory(takes=(Crm.SALESFORCE,)).why_not("cy@acme.com", (Crm.HUBSPOT,)) is None


def test_nobody_free_leads_to_the_queue() -> None:
    one = route(person("x"), "[{name: all, to: pool old}]")
    assert (one.owner_key, one.pool, one.why) == ("queue:inbound", None, "all")
    assert one.trace["pool"]["pick"] is None
    assert one.trace["pool"]["nobody_free"] == "queue inbound"


# -- the rules ---------------------------------------------------------------------------------------------------

OWNED = (
    "[{name: owner, when: {person.owner: active}, to: person.owner}, "
    "{name: account, when: {company.owner: known}, to: company.owner, if_away: queue inbound}, "
    "{name: all, to: pool p}]"
)


@pytest.mark.parametrize(
    ("facts", "key", "why"),
    [
        ({"person__owner": "rep:bo@acme.com"}, "rep:bo@acme.com", "owner"),
        ({"person__owner": "user:hubspot:1111", "company__owner": "rep:cy@acme.com"}, "rep:cy@acme.com", "account"),
        ({"company__owner": "rep:ida@acme.com"}, "queue:inbound", "account"),
        ({"company__owner": "user:hubspot:1111"}, "queue:inbound", "account"),
        ({"person__owner": "rep:ida@acme.com"}, "rep:", "all"),
        ({"person__owner": None, "company__owner": None}, "rep:", "all"),
    ],
)
def test_owners_at_work_go_before_pools(facts: dict[str, str], key: str, why: str) -> None:
    one = route(person("x", **facts), OWNED)
    assert one.owner_key.startswith(key)
    assert one.why == why


def test_a_rep_target_falls_through_when_away() -> None:
    assert route(person("x"), "[{to: rep bo@acme.com}, {to: queue inbound}]").owner_key == "rep:bo@acme.com"
    gone = route(person("x"), "[{to: rep ida@acme.com}, {to: queue inbound}]")
    assert gone.owner_key == "queue:inbound"
    assert gone.trace["rules"][0] == {"rule": "rep ida@acme.com", "true": True, "away": "ida@acme.com: left"}


@pytest.mark.parametrize(
    ("when", "facts", "true"),
    [
        ("{person.country: in emea}", {"person.country": "de"}, True),
        ("{person.country: not in emea}", {"person.country": "us"}, True),
        ("{person.country: not in emea}", {}, False),
        ("{person.country: [unknown, US]}", {}, True),
        ("{company.employees: from 200}", {"company.employees": 200_000_000}, True),
        ("{company.employees: below 200}", {"company.employees": 200_000_000}, False),
        ("{company.employees: below 200}", {}, False),
        ("{company.open_opportunities: 0}", {}, True),
        ("{person.unsubscribed: false}", {}, True),
        ("{person.email_domain: in rivals}", {"person.email_domain": "eu.rival.io"}, True),
        ("{person.email_domain: in rivals}", {"person.email_domain": "notrival.io"}, False),
        ("{person.title: has word vice president}", {"person.title": "vice-president, sales"}, True),
        ("{person.title: has word intern}", {"person.title": "internal audit"}, False),
        ("{person.title: contains audit}", {"person.title": "internal audit"}, True),
        ("{person.title: starts with int}", {"person.title": "internal audit"}, True),
        ("{person.phone: invalid}", {"person.phone": "1", "person.phone#valid": False}, True),
        ("{person.phone: valid}", {}, False),
        ("{person.last_assigned_at: within 7 days}", {"person.last_assigned_at": date(2026, 11, 17)}, True),
        ("{person.last_assigned_at: within 7 days}", {"person.last_assigned_at": date(2026, 11, 16)}, False),
        ("{person.last_assigned_at: within 7 days}", {"person.last_assigned_at": date(2026, 11, 24)}, False),
        ("{person.last_assigned_at: older than 1 month}", {"person.last_assigned_at": "2026-10-23"}, True),
        ("{person.last_assigned_at: older than 1 month}", {"person.last_assigned_at": "2026-10-24"}, False),
        ("{person.created_at: before 2026-01-01}", {"person.created_at": date(2025, 12, 31)}, True),
        ("{person.created_at: from 2026-01-01}", {"person.created_at": date(2026, 1, 1)}, True),
        ("[{person.country: US}, {person.city: Bonn}]", {"person.city": "bonn"}, True),
    ],
)
def test_routing_conditions(when: str, facts: dict[str, object], true: bool) -> None:
    one = Candidate(person_id="x", episode=1, facts=facts, crms=(Crm.HUBSPOT,), total=1, qualified_at=START)
    assigned = route(one, f"[{{name: it, when: {when}, to: queue desk}}, {{name: rest, to: queue inbound}}]")
    assert (assigned.owner_key == "queue:desk") is true


def test_spans_end_in_the_policys_zone() -> None:
    late = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)  # still the 23rd in New York
    rules = policy("[{when: {person.last_assigned_at: within 1 day}, to: queue desk}, {to: queue inbound}]")
    one = person("x", person__last_assigned_at=date(2026, 11, 23))
    for zone, key in (("America/New_York", "queue:desk"), ("UTC", "queue:inbound")):
        routed = assign([one], rules.team, rules.routing, directory(rules), {}, as_of=late, timezone=zone)
        assert routed.assigned[0].owner_key == key


def test_the_trace_says_what_was_false_and_what_decided() -> None:
    one = route(person("p-1", person__country="us", company__employees=50_000_000), (
        "[{name: EMEA, when: {person.country: in emea}, to: queue desk}, "
        "{name: big, when: {person.country: US, company.employees: from 200}, to: queue desk}, "
        "{name: all, to: pool p}]"
    ))  # fmt: skip
    assert one.trace["rules"] == [
        {"rule": "EMEA", "true": False, "false": "person.country: de or nl", "found": "us"},
        {"rule": "big", "true": False, "false": "company.employees: from 200", "found": "50"},
        {"rule": "all", "true": True, "to": "rep:ana@acme.com"},
    ]
    assert one.trace["pool"]["reps"][0] == {
        "rep": "ana@acme.com",
        "state": "free",
        "assigned": 0,
        "weight": "2",
        "ratio": "1/4",
        "last": None,
    }
    assert (one.trace["pool"]["pick"], one.trace["pool"]["decided_by"]) == ("ana@acme.com", "share")
    assert json.loads(json.dumps(one.trace)) == one.trace


# -- owners ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crm", "owner_id", "key"),
    [
        (Crm.HUBSPOT, None, None),
        (Crm.HUBSPOT, "", None),
        (Crm.HUBSPOT, "1101", "rep:ana@acme.com"),
        (Crm.HUBSPOT, "1102", "rep:bo@acme.com"),
        (Crm.HUBSPOT, "1111", "user:hubspot:1111"),
        (Crm.HUBSPOT, "9999", "user:hubspot:9999"),
        (Crm.SALESFORCE, "005A00000000001AAA", "rep:ana@acme.com"),
        (Crm.SALESFORCE, "005A00000000002AAA", None),
        (Crm.SALESFORCE, "005A00000000003AAA", "rep:bo@acme.com"),
        (Crm.SALESFORCE, "005A00000000004AAA", None),
        (Crm.SALESFORCE, "005A00000000005AAA", None),
        (Crm.SALESFORCE, "00GA00000000001AAA", None),
        (Crm.SALESFORCE, "00GA00000000099AAA", None),
    ],
)
def test_blank_queues_inactive_ourselves_and_unowned_count_as_nobody(
    crm: Crm, owner_id: str | None, key: str | None
) -> None:
    assert directory().owner_key(crm, owner_id) == key


@pytest.mark.parametrize(
    ("key", "crm", "object", "owner_id"),
    [
        ("rep:ana@acme.com", Crm.HUBSPOT, "contact", "1101"),
        ("rep:ana@acme.com", Crm.SALESFORCE, "contact", "005A00000000001AAA"),
        ("rep:bo@acme.com", Crm.SALESFORCE, "lead", "005A00000000003AAA"),
        ("rep:cy@acme.com", Crm.SALESFORCE, "lead", None),
        ("queue:inbound", Crm.HUBSPOT, "contact", None),
        ("queue:inbound", Crm.SALESFORCE, "lead", "00GA00000000001AAA"),
        ("queue:inbound", Crm.SALESFORCE, "contact", None),
        ("queue:desk", Crm.HUBSPOT, "contact", "1110"),
        ("queue:desk", Crm.SALESFORCE, "lead", None),
        ("user:hubspot:1111", Crm.HUBSPOT, "contact", "1111"),
        ("user:hubspot:1111", Crm.SALESFORCE, "lead", "005A00000000006AAA"),
        ("user:hubspot:9999", Crm.SALESFORCE, "lead", None),
    ],
)
def test_an_owner_is_named_as_each_crm_names_them(key: str, crm: Crm, object: str, owner_id: str | None) -> None:
    assert directory().owner_id_for(key, crm, object) == owner_id


def test_nobody_inactive_is_ever_written() -> None:
    owners = [o for o in OWNERS if o.id != "005A00000000003AAA"]
    assert directory(owners=owners).owner_id_for("rep:bo@acme.com", Crm.SALESFORCE, "lead") is None


def test_the_takers_are_where_the_policy_writes_an_owner() -> None:
    assert takers(policy().write, BOTH) == BOTH
    assert takers(policy().write, (Crm.SALESFORCE,)) == (Crm.SALESFORCE,)


def test_an_item_of_a_list_fact_is_found_whole() -> None:
    rules = policy()
    routing = (
        Route(
            name="tagged",
            when=OneOf("person.custom.tags", ("vip",), True),
            to=Target(kind=TargetKind.QUEUE, name="desk"),
        ),
        Route(name="rest", when=None, to=Target(kind=TargetKind.QUEUE, name="inbound")),
    )
    edge = LIST_EDGE
    people = [
        person("a", person__custom__tags=f"{edge}new{edge}vip{edge}"),
        person("b", person__custom__tags=f"{edge}vip2{edge}"),
    ]
    found = assign(people, rules.team, routing, directory(rules), {}, as_of=START).assigned
    assert [one.owner_key for one in found] == ["queue:desk", "queue:inbound"]
