"""Whoever does something in a CRM gets the points of the policy's line for it, of every source there is, and once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.records import Crm
from tests.support.world import AS_OF, World, api_writes, world

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
THEN = AS_OF - 3 * DAY

HUBSPOT_LINES = """\
    - {email_event: DELIVERED,    event: email_delivered}
    - {email_event: OPEN,         event: email_open}
    - {email_event: CLICK,        event: email_click}
    - {email_event: BOUNCE,       event: email_bounce}
    - {email_event: STATUSCHANGE, event: email_unsubscribe}
    - {email_message: incoming,   event: email_reply}
    - {meeting: COMPLETED,        event: meeting_held}
    - {meeting: SCHEDULED,        event: meeting_booked}
    - {call: otherwise,           event: call}
    - {task_type: EMAIL,          event: chat}
    - {marketing_event: WEBINAR, status: [ATTENDED], event: webinar_attended}
    - {marketing_event: WEBINAR,  event: webinar_registered}
    - {event_type: e_visited_page, event: page_view}
"""

POINTS: dict[str, int] = {
    "event: email_open": 1,
    "event: email_click, where: {link: https://acme.com/pricing}": 2,
    "event: email_bounce": -5,
    "event: email_unsubscribe": -7,
    "event: email_reply": 3,
    "event: meeting_held": 13,
    "event: meeting_booked": 11,
    "event: call, where: {direction: inbound}": 17,
    "event: call, where: {direction: outbound, outcome: connected}": 19,
    "event: chat": 23,
    "event: webinar_attended, where: {name: Scoring}": 29,
    "event: webinar_registered": 31,
    "event: page_view, where: {path: /Pricing}": 37,
    "event: campaign_response": 41,
    "event: event_attended": 43,
}
"""Rule -> points. No two sums of one person's are alike."""


def policy() -> str:
    rules = "\n".join(f"        - {{{rule}, points: {points}}}" for rule, points in POINTS.items())
    return f"""\
version: 1
name: every-source
fit: {{groups: {{title: {{field: person.title, points: {{unknown: 0, otherwise: 1}}}}}}}}
engagement:
  floor: none
  groups:
    all:
      rules:
{rules}
grade: {{fit: {{A: 1, B: 0}}, engagement: {{1: 1000, 2: 0, 3: otherwise}}}}
mql: {{become_when: {{never: {{grade: [A1]}}}}}}
routing: [{{name: everyone, to: queue inbound}}]
write:
  hubspot: {{contact: {{engagement: mql_score}}}}
  salesforce: {{lead: {{engagement: MQL_Score__c}}, contact: {{engagement: MQL_Score__c}}}}
  score_step: 1
"""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[World]:
    """Both CRMs, empty, with every source mapped."""
    with world(tmp_path, people=0, setup=False) as made:
        fields = made.config / "fields.yaml"
        head, counters, tail = cut(fields.read_text(), "    # Totals that HubSpot keeps", "  sales_state:")
        assert "counter:" in counters
        text = head + HUBSPOT_LINES + tail
        meeting = "    - {meeting: otherwise,        event: meeting_held}\n"
        assert meeting in text
        fields.write_text(text.replace(meeting, "    - {email_message: incoming, event: email_reply}\n"))
        (made.config / "policy.yaml").write_text(policy())
        (made.config / "team.yaml").write_text("version: 1\nqueues: {inbound: {}}\n")
        made.box.hubspot.event_analytics = True
        made.setup()
        yield made


def cut(text: str, start: str, end: str) -> tuple[str, str, str]:
    i = text.index(start)
    j = text.index(end, i)
    return text[:i], text[i:j], text[j:]


def contact(scene: World, name: str) -> str:
    return scene.box.hubspot.add("contacts", {"email": f"{name}@acme.com", "firstname": name}, at=AS_OF - 30 * DAY)


def lead(scene: World, name: str) -> str:
    fields = {"LastName": name, "Company": "Acme", "Email": f"{name}@acme.com"}
    return scene.box.salesforce.add("Lead", fields, at=AS_OF - 30 * DAY)


def score(scene: World, id: str) -> int:
    return int(scene.box.hubspot.get("contacts", id).get("mql_score") or 0)


def activity(scene: World, object: str, person: str, **properties: Any) -> str:
    hubspot = scene.box.hubspot
    id = hubspot.add(object, {"hs_timestamp": hubspot.stamp(THEN), **properties}, at=THEN)
    hubspot.associate(object, id, "contacts", person)
    return id


def do_everything_in_hubspot(scene: World) -> dict[str, int]:
    """Contact -> the points that are theirs."""
    hubspot, due = scene.box.hubspot, dict[str, int]()

    def somebody(name: str, points: int) -> str:
        id = contact(scene, name)
        due[id] = points
        return id

    for name, type, points, more in (
        ("opens", "OPEN", 1, {}),
        ("clicks", "CLICK", 2, {"url": "https://acme.com/pricing"}),
        ("filtered", "CLICK", 0, {"url": "https://acme.com/pricing", "filteredEvent": True}),
        ("bounces", "BOUNCE", -5, {}),
        ("leaves", "STATUSCHANGE", -7, {"portalSubscriptionStatus": "UNSUBSCRIBED"}),
        ("stays", "STATUSCHANGE", 0, {"portalSubscriptionStatus": "SUBSCRIBED"}),
        ("receives", "DELIVERED", 0, {}),
    ):
        somebody(name, points)
        hubspot.add_email_event(type, f"{name}@acme.com", THEN, **more)
    start = hubspot.stamp(THEN)
    activity(scene, "emails", somebody("writes", 3), hs_email_direction="INCOMING_EMAIL")
    activity(scene, "emails", somebody("iswritten", 0), hs_email_direction="EMAIL", hs_email_status="SENT")
    activity(scene, "meetings", somebody("met", 13), hs_meeting_outcome="COMPLETED", hs_meeting_start_time=start)
    activity(scene, "meetings", somebody("booked", 11), hs_meeting_outcome="SCHEDULED", hs_meeting_start_time=start)
    activity(scene, "meetings", somebody("cancelled", 0), hs_meeting_outcome="CANCELED", hs_meeting_start_time=start)
    activity(scene, "calls", somebody("calls", 17), hs_call_direction="INBOUND")
    connected = {"hs_call_direction": "OUTBOUND", "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7"}
    activity(scene, "calls", somebody("answers", 19), **connected)
    busy = connected | {"hs_call_disposition": "9d9162e7-6cf3-4944-bf63-4dff82258764"}
    activity(scene, "calls", somebody("busy", 0), **busy)
    activity(scene, "tasks", somebody("mailed", 23), hs_task_type="EMAIL", hs_task_status="COMPLETED")
    activity(scene, "tasks", somebody("tobemailed", 0), hs_task_type="EMAIL", hs_task_status="NOT_STARTED")
    webinar = hubspot.add_marketing_event("Scoring", THEN, THEN)
    for name, state, points in (
        ("attends", "ATTENDED", 29),
        ("registers", "REGISTERED", 31),
        ("misses", "NO_SHOW", 31),
    ):
        hubspot.attend(webinar, somebody(name, points), state, THEN)
    hubspot.add_occurrence(
        "e_visited_page", somebody("visits", 37), THEN, {"hs_url": "https://acme.com/Pricing/?utm=1"}
    )
    return due


def do_everything_in_salesforce(scene: World) -> dict[tuple[str, str], int]:
    """(object, id) -> the points that are theirs."""
    org, due = scene.box.salesforce, dict[tuple[str, str], int]()

    def somebody(name: str, points: int) -> str:
        id = lead(scene, name)
        due["Lead", id] = points
        return id

    campaign = org.add("Campaign", {"Name": "Fair", "Type": "Conference"})
    org.add("CampaignMemberStatus", {"CampaignId": campaign, "Label": "Attended", "HasResponded": True})
    came = {"CampaignId": campaign, "LeadId": somebody("came", 43), "Status": "Attended"}
    org.add("CampaignMember", came, at=THEN)
    mailing = org.add("Campaign", {"Name": "News", "Type": "Email"})
    told = {"CampaignId": mailing, "LeadId": somebody("responded", 41), "Status": "Responded"}
    org.add("CampaignMember", told, at=THEN)
    sent = {"CampaignId": mailing, "LeadId": somebody("onlysent", 0), "Status": "Sent"}
    org.add("CampaignMember", sent, at=THEN)
    call = {"WhoId": somebody("called", 17), "Type": "Call", "Status": "Completed", "CallType": "Inbound"}
    org.add("Task", call | {"Subject": "Call"}, at=THEN)
    plan = {"WhoId": somebody("tobecalled", 0), "Type": "Call", "Status": "Not Started", "CallType": "Inbound"}
    org.add("Task", plan | {"Subject": "Call"}, at=THEN)
    somebody("replied", 3)
    mail = {"Incoming": True, "FromAddress": "Replied@acme.com", "MessageDate": THEN.isoformat(), "Status": "1"}
    org.add("EmailMessage", mail, at=THEN)
    return due


def test_whoever_does_it_gets_the_points_of_its_line(scene: World) -> None:
    in_hubspot, in_salesforce = do_everything_in_hubspot(scene), do_everything_in_salesforce(scene)
    report = scene.run()
    assert report.exit_code == 0, report.warnings
    assert [said for said in report.warnings if "not read" in said] == []
    assert {id: score(scene, id) for id in in_hubspot} == in_hubspot
    found = {key: int(scene.box.salesforce.get(*key)["MQL_Score__c"] or 0) for key in in_salesforce}
    assert found == in_salesforce
    before = len(api_writes(scene.box))
    scene.run()
    assert len(api_writes(scene.box)) == before


def test_what_changes_afterwards_changes_the_points(scene: World) -> None:
    hubspot = scene.box.hubspot
    person = contact(scene, "ana")
    meeting = activity(scene, "meetings", person, hs_meeting_outcome="SCHEDULED")
    scene.run()
    assert score(scene, person) == 11
    hubspot.edit("meetings", meeting, {"hs_meeting_outcome": "COMPLETED"})
    scene.run()
    assert score(scene, person) == 13
    hubspot.edit("meetings", meeting, {"hs_meeting_outcome": "CANCELED"})
    scene.run()
    assert score(scene, person) == 0


def test_what_is_deleted_in_hubspot_is_taken_back_by_a_sweep(scene: World) -> None:
    person = contact(scene, "ana")
    meeting = activity(scene, "meetings", person, hs_meeting_outcome="COMPLETED")
    scene.run()
    scene.box.hubspot.archive("meetings", meeting)
    scene.run()
    assert score(scene, person) == 13
    swept = scene.cli("sweep")
    assert swept.returncode == 0, swept.stdout
    scene.run()
    assert score(scene, person) == 0


def test_a_mail_event_before_its_person_counts_when_the_person_appears(scene: World) -> None:
    scene.box.hubspot.add_email_event("CLICK", "late@acme.com", THEN, url="https://acme.com/pricing")
    scene.run()
    person = contact(scene, "late")
    scene.box.hubspot.edit("contacts", person, {"jobtitle": "CFO"})
    scene.run()
    assert score(scene, person) == 2


def test_a_source_that_is_missing_is_said_and_what_was_done_there_meanwhile_still_counts(scene: World) -> None:
    hubspot = scene.box.hubspot
    person = contact(scene, "ana")
    hubspot.add_occurrence("e_visited_page", person, THEN, {"hs_url": "https://acme.com/Pricing"})
    activity(scene, "meetings", person, hs_meeting_outcome="COMPLETED")
    hubspot.event_analytics = False
    hubspot.scopes -= {"content", "crm.objects.marketing_events.read"}
    scene.box.salesforce.absent.add("EmailMessage")
    report = scene.run()
    assert report.exit_code == 0
    assert score(scene, person) == 13
    said = "\n".join(report.warnings)
    for name in ("email event:CLICK", "event:e_visited_page", "marketing events", "email message"):
        assert name in said
    assert len(scene.run().warnings) == len(report.warnings)
    checked = scene.cli("check", "--online")
    assert "event:e_visited_page is not read" in checked.stdout
    assert "Runs go on without it" in checked.stdout
    assert checked.returncode == 0, checked.stdout
    hubspot.event_analytics = True
    scene.run()
    assert score(scene, person) == 13 + 37


def test_a_quiet_run_costs_hubspot_one_call_a_stream_and_the_two_listings(scene: World) -> None:
    do_everything_in_hubspot(scene)
    scene.run()
    scene.box.clock.move(timedelta(hours=2))
    scene.run()
    scene.box.clock.move(timedelta(hours=2))
    with scene.opened() as opened:
        streams = len(opened.parts.connectors[Crm.HUBSPOT].streams())
    scene.box.reset_calls()
    scene.run()
    calls = scene.box.calls["hubspot"]
    whose = calls.pop("GET /account-info/v3/details")
    listings = calls["GET /marketing/v3/forms"] + calls["GET /marketing/v3/marketing-events"]
    assert (whose, listings) == (1, 2)
    assert sum(calls.values()) - listings <= streams + 1, "owners are two pages: those who left are listed apart"
