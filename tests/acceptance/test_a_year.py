"""A year, day by day, in both CRMs: what becomes of people who qualify, cool down, are turned down and come again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select

from sync.store import schema
from sync.store.db import Store
from tests.support.world import AS_OF, World, api_writes, edit, world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DAYS = 365
STAY_AND_REVIEW = """\
  stay: {at_least: 14 days, drop_when: {engagement: below 20, for: 7 days}, never_drop_in: [accepted, working]}
  review:
    second_choice: {fit: [B]}
    auto_approve_after: 8 working hours
    hours: office
    hand_raise_skips: true
"""
FIRST_CHOICE = {"Title": "VP Sales", "Country": "US", "Industry": "Technology", "NumberOfEmployees": 300}
SECOND_CHOICE = {"Title": "Analyst", "Country": "FR", "Industry": "Technology", "NumberOfEmployees": 60}
"""Fit A (30 + 25 + 25 + 20 points), and fit B (22 + 25 + 6 + 10)."""

NOT_READY = {"hs_lead_status": "UNQUALIFIED", "mql_rejection_reason": "not_ready"}

Calendar = Mapping[int, list[tuple[str, Any]]]
"""day -> what happens before its run: (``webinar``, which), (``form``, its name), (``met``, None), (``visit``, None),
(``hubspot``, properties) or (``salesforce``, fields)."""


@dataclass(slots=True)
class Person:
    """Somebody with a record in each CRM. ``status`` and ``engagement`` are of each day, after its run."""

    scene: World
    name: str
    facts: dict[str, Any]
    calendar: Calendar
    contact: str = ""
    lead: str = ""
    status: list[str] = field(default_factory=list)
    engagement: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        address = f"{self.name}@acme.example"
        self.contact = self.scene.box.hubspot.add("contacts", {"email": address, "lastname": self.name})
        org = self.scene.box.salesforce
        queue = next(one["Id"] for one in org.all("Group") if one["DeveloperName"] == "Web_Leads")
        fields = {"Email": address, "LastName": self.name, "Company": f"{self.name} Inc.", "OwnerId": queue}
        self.lead = org.add("Lead", fields | self.facts)

    def live(self, day: int) -> None:
        for what, how in self.calendar.get(day, []):
            getattr(self, f"_{what}")(how)

    def _webinar(self, which: int) -> None:
        campaigns = [c["Id"] for c in self.scene.box.salesforce.all("Campaign") if c["Type"] == "Webinar"]
        member = {"CampaignId": campaigns[which], "LeadId": self.lead, "Status": "Attended"}
        self.scene.box.salesforce.add("CampaignMember", member)

    def _form(self, name: str) -> None:
        portal = self.scene.box.hubspot
        form = next(guid for guid, one in portal.forms.items() if one.name == name)
        at = self.scene.box.clock.now() - timedelta(hours=1)
        portal.add_submission(form, at, {"email": f"{self.name}@acme.example"})

    def _met(self, _: None) -> None:
        at = self.scene.box.clock.now() - timedelta(hours=1)
        times = {"StartDateTime": at.isoformat(), "ActivityDateTime": at.isoformat(), "DurationInMinutes": 30}
        event = {"WhoId": self.lead, "Subject": "Meeting", "Type": "Meeting", "ActivityDate": at.date().isoformat()}
        owner = self.scene.box.salesforce.get("Lead", self.lead)["OwnerId"]
        self.scene.box.salesforce.add("Event", event | times | {"OwnerId": owner})

    def _visit(self, _: None) -> None:
        portal = self.scene.box.hubspot
        visits = int(portal.get("contacts", self.contact).get("hs_analytics_num_visits") or 0)
        at = str(int(self.scene.box.clock.now().timestamp() * 1000))
        seen = {"hs_analytics_num_visits": str(visits + 1), "hs_analytics_last_visit_timestamp": at}
        portal.edit("contacts", self.contact, seen)

    def _hubspot(self, properties: Mapping[str, str]) -> None:
        self.scene.box.hubspot.edit("contacts", self.contact, properties)

    def _salesforce(self, fields: Mapping[str, Any]) -> None:
        self.scene.box.salesforce.edit("Lead", self.lead, fields)

    # -- what became of them --

    def shown(self) -> tuple[Any, Any]:
        """The status in HubSpot and in Salesforce."""
        contact = self.scene.box.hubspot.get("contacts", self.contact)
        return contact.get("mql_status"), self.scene.box.salesforce.get("Lead", self.lead)["MQL_Status__c"]

    def owners(self) -> tuple[str | None, str]:
        """The address of the owner in HubSpot and in Salesforce."""
        portal, org = self.scene.box.hubspot, self.scene.box.salesforce
        here = portal.get("contacts", self.contact).get("hubspot_owner_id")
        there = org.get("User", org.get("Lead", self.lead)["OwnerId"])
        return portal.owners[here].email if here else None, there["Email"].lower()

    def turns(self) -> list[tuple[int, str]]:
        """(day, status) of each day on which the status was another than the day before."""
        days = list(enumerate(self.status))
        return [days[0], *(now for before, now in pairwise(days) if before[1] != now[1])]

    def status_writes(self, crm: str) -> list[str]:
        """Every status that was written to one CRM through its API, oldest first."""
        record, name = (self.contact, "mql_status") if crm == "hubspot" else (self.lead, "MQL_Status__c")
        written = [entry for entry in api_writes(self.scene.box) if (entry.crm, entry.id) == (crm, record)]
        return [entry.changes[name][1] for entry in written if name in entry.changes]


def people(scene: World) -> dict[str, Person]:
    lively = [("webinar", 0), ("webinar", 1), ("form", "Download the guide"), ("form", "Newsletter")]
    """18 + 18 + 12 + 3 = 51 points: enough for fit B."""
    ada: Calendar = {
        1: [("form", "Download the guide"), ("met", None)],
        **{day: [("visit", None)] for day in (8, 12, 19, 20, 27, 36)},
        40: [("hubspot", NOT_READY)],
        60: [("webinar", 0)],
        62: [("webinar", 1)],
        103: [("hubspot", {"hs_lead_status": "CONNECTED"})],
        120: [("hubspot", {"lifecyclestage": "opportunity"})],
        150: [("hubspot", {"lifecyclestage": "customer"})],
    }
    calendars: dict[str, tuple[dict[str, Any], Calendar]] = {
        "ada": (FIRST_CHOICE, ada),
        "ben": (SECOND_CHOICE, {2: lively, 3: [("hubspot", {"mql_review": "approved"})]}),
        "cleo": (SECOND_CHOICE, {2: lively}),
        "dan": (
            SECOND_CHOICE,
            {
                2: lively,
                3: [("salesforce", {"MQL_Review__c": "rejected"})],
                50: [("webinar", 2), ("webinar", 3)],
            },
        ),
        "eve": (FIRST_CHOICE, {5: [("met", None), ("form", "Download the guide")], 200: [("form", "Request a demo")]}),
        "gil": (
            FIRST_CHOICE,
            {5: [("form", "Request a demo")], 9: [("hubspot", NOT_READY)], 30: [("form", "Contact sales")]},
        ),
    }
    return {name: Person(scene, name, *life) for name, life in calendars.items()}


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Person]]:
    """Everybody after a year of runs, one a day at noon."""
    with world(tmp_path_factory.mktemp("year"), people=0) as scene:
        gate = "    hot_and_right:   {grade: [A1, A2, B1]}\n"
        edit(scene.config / "policy.yaml", (gate, gate + STAY_AND_REVIEW))
        lives = people(scene)
        with scene.opened() as opened:
            for day in range(DAYS):
                scene.box.clock.freeze(AS_OF + timedelta(days=day))
                for one in lives.values():
                    one.live(day)
                report = opened.run("sync", as_of=scene.box.clock.now())
                assert report.exit_code == 0, (day, report.error, report.problems)
                note(opened.parts.store, lives, day)
        yield lives


def note(store: Store, lives: Mapping[str, Person], day: int) -> None:
    """Remember how everybody stands; both CRMs show the same."""
    p = schema.person.c
    with store.read() as tx:
        stored = {row.email: row for row in tx.execute(select(p.email, p.status, p.engagement))}
    for one in lives.values():
        row = stored[f"{one.name}@acme.example"]
        one.status.append(row.status)
        one.engagement.append(row.engagement)
        assert one.shown() == (row.status, row.status), (day, one.name)
        if row.status in ("assigned", "accepted"):
            assert len(set(one.owners())) == 1, (day, one.name, one.owners())


def crossings(series: list[int], bound: int) -> int:
    """How often a series of days goes from one side of a bound to the other."""
    return sum((before < bound) != (now < bound) for before, now in pairwise(series))


def test_who_flaps_at_the_threshold_changes_status_once(year: Mapping[str, Person]) -> None:
    ada = year["ada"]
    assert crossings(ada.engagement[1:40], 30) == 5, "the gate opens and shuts, nobody is asked again"
    assert ada.turns()[:2] == [(0, "not_yet"), (1, "assigned")]
    assert ada.status_writes("hubspot")[:3] == ["not_yet", "assigned", "recycled"]


def test_rejected_then_waits_then_comes_again_and_becomes_a_customer(year: Mapping[str, Person]) -> None:
    ada = year["ada"]
    assert ada.engagement[62] > 50, "the points are there long before the wait of 60 days is over"
    assert ada.turns()[2:] == [
        (40, "recycled"),
        (100, "assigned"),
        (103, "accepted"),
        (120, "sql"),
    ]
    won = ada.scene.box.clock.now() - timedelta(days=DAYS - 1 - 150)
    e = schema.episode.c
    with ada.scene.opened() as opened, opened.parts.store.read() as tx:
        assert [at for at in tx.execute(select(e.won_at)).scalars() if at] == [won]


def test_a_marketer_lets_one_pass_and_time_the_other(year: Mapping[str, Person]) -> None:
    """Day 2 is a Friday: eight working hours after noon end on Monday, before the run."""
    assert year["ben"].turns()[:3] == [(0, "not_yet"), (2, "review"), (3, "assigned")]
    assert year["cleo"].turns()[:3] == [(0, "not_yet"), (2, "review"), (5, "assigned")]


def test_whom_marketing_rejects_is_looked_at_again_after_the_wait(year: Mapping[str, Person]) -> None:
    assert year["dan"].turns()[:5] == [
        (0, "not_yet"),
        (2, "review"),
        (3, "recycled"),
        (63, "review"),
        (64, "assigned"),
    ]


def test_who_cools_down_for_a_week_is_dropped_and_may_come_again(year: Mapping[str, Person]) -> None:
    eve = year["eve"]
    cold = [day for day, points in enumerate(eve.engagement) if points < 20 and day > 5]
    again = [day for day in cold if day > 200]
    assert eve.turns() == [
        (0, "not_yet"),
        (5, "assigned"),
        (cold[0] + 7, "not_yet"),
        (200, "assigned"),
        (again[0] + 7, "not_yet"),
    ]


def test_who_asks_for_sales_again_does_not_wait(year: Mapping[str, Person]) -> None:
    assert year["gil"].turns()[:4] == [(0, "not_yet"), (5, "assigned"), (9, "recycled"), (30, "assigned")]


@pytest.mark.parametrize("name", ["ada", "ben", "cleo", "dan", "eve", "gil"])
def test_both_crms_are_told_each_change_once(year: Mapping[str, Person], name: str) -> None:
    told = [status for _, status in year[name].turns()]
    assert year[name].status_writes("hubspot") == year[name].status_writes("salesforce") == told


def test_every_time_as_an_mql_is_an_episode_of_its_own(year: Mapping[str, Person]) -> None:
    e, p = schema.episode.c, schema.person.c
    with year["ada"].scene.opened() as opened, opened.parts.store.read() as tx:
        rows = tx.execute(select(p.email, e.n, e.outcome).where(p.person_id == e.person_id).order_by(e.n)).all()
    found: dict[str, list[str | None]] = {}
    for row in rows:
        found.setdefault(row.email.split("@")[0], []).append(row.outcome)
    assert found == {
        "ada": ["rejected:not_ready", "sql"],
        "ben": ["faded"],
        "cleo": ["faded"],
        "dan": ["rejected:review", "faded"],
        "eve": ["faded", "faded"],
        "gil": ["rejected:not_ready", "faded"],
    }
