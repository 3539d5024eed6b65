"""Mails, bookings and opportunities of an org, read from the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.errors import RunCannotContinue, SourceMissing
from connectors.fields import CrmMap, EventRule, EventSource, FactField, ObjectMap
from connectors.records import Crm, Deal, DealState, Engagement, PersonRecord, Stream, StreamKind, Window
from connectors.retry import Patience
from connectors.salesforce import ClientCredentials, SalesforceConnector, SalesforceSettings
from connectors.sandbox import Sandbox

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

FIELDS = CrmMap(
    crm=Crm.SALESFORCE,
    objects={"contact": ObjectMap(object="contact", facts=(FactField(fact="person.email", property="Email"),))},
    events=(
        EventRule(source=EventSource.MAIL, key="incoming", kind="email_reply", set={"email": "Subject"}),
        EventRule(source=EventSource.MAIL, key="outgoing", kind="email_delivered"),
        EventRule(source=EventSource.MAIL, key="opened", kind="email_open"),
        EventRule(source=EventSource.MEETING, key="Call", kind="meeting_booked"),
        EventRule(source=EventSource.MEETING, key=None, kind="meeting_held"),
        EventRule(source=EventSource.TASK, key="Call", kind="call"),
    ),
    deals=True,
)


class Scene:
    def __init__(self, box: Sandbox) -> None:
        self.box, self.org = box, box.salesforce
        auth = ClientCredentials(consumer_key=self.org.consumer_key, consumer_secret=self.org.consumer_secret)
        self.sf = SalesforceConnector(
            SalesforceSettings(base_url=box.url, auth=auth), FIELDS, patience=Patience(attempts=2, first_wait=0)
        )

    def window(self, back: timedelta | None) -> Window:
        return Window(lo=None if back is None else NOW - back, hi=NOW + timedelta(seconds=1))

    def events(self, name: str, back: timedelta | None = None) -> list[Engagement]:
        stream = Stream(crm=Crm.SALESFORCE, kind=StreamKind.ENGAGEMENT, name=name)
        return [row for page in self.sf.engagement(stream, self.window(back), None) for row in page.rows]

    def people(self, name: str, back: timedelta | None = None) -> dict[str, PersonRecord]:
        stream = Stream(crm=Crm.SALESFORCE, kind=StreamKind.PEOPLE, name=name)
        return {row.ref.id: row for page in self.sf.people(stream, self.window(back), None) for row in page.rows}

    def mail(self, **fields: Any) -> str:
        known = {"Incoming": True, "FromAddress": "Ana@Acme.com", "MessageDate": (NOW - DAY).isoformat(), "Status": "1"}
        return self.org.add("EmailMessage", known | fields, at=NOW - HOUR)

    def contact(self, name: str, at: datetime = NOW - 9 * DAY) -> str:
        return self.org.add("Contact", {"LastName": name, "Email": f"{name}@acme.com"}, at=at)

    def deal(self, contact: str, stage: str = "Prospecting", at: datetime = NOW - 2 * DAY) -> tuple[str, str]:
        fields = {"Name": "Deal", "StageName": stage, "CloseDate": "2027-01-31"}
        opportunity = self.org.add("Opportunity", fields, at=at)
        role = {"OpportunityId": opportunity, "ContactId": contact}
        return opportunity, self.org.add("OpportunityContactRole", role, at=at)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Sandbox.start(at=NOW) as box:
        box.clock.freeze(NOW)
        made = Scene(box)
        yield made
        made.sf.close()


# -- mails


def test_a_mail_that_came_in_is_of_its_sender(scene: Scene) -> None:
    id = scene.mail(Subject="Re: pricing")
    (event,) = scene.events("email message")
    assert (event.source_id, event.kind, event.who, event.at, event.attributes) == (
        f"email message:{id}:0",
        "email_reply",
        "ana@acme.com",
        NOW - DAY,
        {"email": "Re: pricing"},
    )


def test_a_mail_that_went_out_is_of_each_recipient_and_opened_once_more(scene: Scene) -> None:
    opened = NOW - HOUR
    scene.mail(Incoming=False, ToAddress="ana@acme.com; BO@acme.com;ana@acme.com", FirstOpenedDate=opened.isoformat())
    events = scene.events("email message")
    assert [(event.kind, event.who, event.at) for event in events] == [
        ("email_delivered", "ana@acme.com", NOW - DAY),
        ("email_delivered", "bo@acme.com", NOW - DAY),
        ("email_open", "ana@acme.com", opened),
        ("email_open", "bo@acme.com", opened),
    ]
    assert len({event.source_id for event in events}) == 4


@pytest.mark.parametrize("fields", [{"Status": "5"}, {"FromAddress": None}, {"FromAddress": " ; "}])
def test_a_draft_and_a_mail_of_nobody_are_none(scene: Scene, fields: dict[str, Any]) -> None:
    scene.mail(**fields)
    assert scene.events("email message") == []


def test_a_deleted_mail_is_taken_back(scene: Scene) -> None:
    id = scene.mail()
    (there,) = scene.events("email message")
    scene.org.delete("EmailMessage", id)
    (gone,) = scene.events("email message", 2 * HOUR)
    assert (gone.source_id, gone.deleted) == (there.source_id, True)


def test_bodies_of_mails_are_never_asked_for(scene: Scene) -> None:
    scene.mail()
    scene.events("email message")
    described = scene.sf.describe("email message")
    assert "Subject" in described
    assert scene.sf.calls["pull email message"] == 1


# -- meetings


def test_a_booking_is_of_the_day_somebody_booked_and_a_meeting_of_its_own(scene: Scene) -> None:
    ana = scene.contact("ana")
    start = {"WhoId": ana, "StartDateTime": (NOW + DAY).isoformat(), "EndDateTime": (NOW + DAY + HOUR).isoformat()}
    for type in ("Call", "Meeting"):
        scene.org.add("Event", start | {"Type": type, "Subject": type}, at=NOW - 3 * DAY)
    assert sorted((event.kind, event.at) for event in scene.events("event")) == [
        ("meeting_booked", NOW - 3 * DAY),
        ("meeting_held", NOW + DAY),
    ]


# -- what is not there


@pytest.mark.parametrize(("object", "name"), [("EmailMessage", "email message"), ("Task", "task"), ("Event", "event")])
def test_an_object_that_is_not_to_be_seen_is_a_missing_source(scene: Scene, object: str, name: str) -> None:
    scene.org.absent.add(object)
    with pytest.raises(SourceMissing, match=f"{name} is not read: the object {object} does not exist"):
        scene.events(name)


def test_an_object_that_went_since_its_describe_is_one_as_well(scene: Scene) -> None:
    scene.events("email message")
    scene.org.absent.add("EmailMessage")
    with pytest.raises(SourceMissing, match="email message is not read"):
        scene.events("email message")


def test_people_that_are_not_to_be_seen_end_the_run(scene: Scene) -> None:
    scene.org.absent.add("Contact")
    with pytest.raises(RunCannotContinue, match="Contact"):
        scene.people("contact")


# -- opportunities


@pytest.mark.parametrize(
    ("stage", "state"),
    [("Prospecting", DealState.OPEN), ("Closed Won", DealState.WON), ("Closed Lost", DealState.LOST)],
)
def test_a_contact_comes_with_its_opportunities(scene: Scene, stage: str, state: DealState) -> None:
    ana, bo = scene.contact("ana"), scene.contact("bo")
    opportunity, _ = scene.deal(ana, stage)
    people = scene.people("contact")
    assert people[ana].deals == (Deal(id=opportunity, stage=stage, state=state, at=NOW - 2 * DAY),)
    assert people[bo].deals == ()


def test_a_change_of_an_opportunity_brings_its_contacts(scene: Scene) -> None:
    ana, bo = scene.contact("ana"), scene.contact("bo")
    opportunity, _ = scene.deal(ana)
    scene.org.add("OpportunityContactRole", {"OpportunityId": opportunity, "ContactId": bo}, at=NOW - 2 * DAY)
    assert scene.people("contact opportunity", HOUR) == {}
    scene.org.edit("Opportunity", opportunity, {"StageName": "Closed Won"})
    changed = scene.people("contact opportunity", HOUR)
    assert {id: [deal.state for deal in one.deals] for id, one in changed.items()} == {
        ana: [DealState.WON],
        bo: [DealState.WON],
    }
    assert changed[ana].emails == ("ana@acme.com",)


def test_a_role_that_is_given_or_taken_brings_its_contact(scene: Scene) -> None:
    ana = scene.contact("ana")
    opportunity, role = scene.deal(ana, at=NOW)
    (deal,) = scene.people("opportunity contact role", HOUR)[ana].deals
    assert deal.id == opportunity
    scene.org.delete("OpportunityContactRole", role)
    assert scene.people("opportunity contact role", HOUR)[ana].deals == ()


def test_a_first_load_reads_everybody_with_a_role_once(scene: Scene) -> None:
    ana, bo = scene.contact("ana"), scene.contact("bo")
    scene.deal(ana)
    assert set(scene.people("opportunity contact role")) == {ana}
    assert scene.people("contact opportunity") == {}
    assert set(scene.people("contact")) == {ana, bo}


def test_what_is_fetched_by_id_has_its_opportunities_too(scene: Scene) -> None:
    ana = scene.contact("ana")
    scene.deal(ana)
    stream = Stream(crm=Crm.SALESFORCE, kind=StreamKind.PEOPLE, name="contact")
    (person,) = scene.sf.fetch(stream, [scene.people("contact")[ana].ref]).rows
    assert isinstance(person, PersonRecord)
    assert len(person.deals) == 1


def test_without_opportunities_contacts_are_read_and_the_streams_say_why(scene: Scene) -> None:
    ana = scene.contact("ana")
    scene.deal(ana)
    scene.org.absent.add("OpportunityContactRole")
    assert scene.people("contact")[ana].deals == ()
    for name in ("opportunity contact role", "contact opportunity"):
        with pytest.raises(SourceMissing, match=r"OpportunityContactRole|contact opportunity"):
            scene.people(name)


def test_a_quiet_window_costs_one_call_a_stream(scene: Scene) -> None:
    streams = [one for one in scene.sf.streams() if one.kind in (StreamKind.ENGAGEMENT, StreamKind.PEOPLE)]
    for one in streams:  # the describes and the sign-in
        list((scene.sf.people if one.kind is StreamKind.PEOPLE else scene.sf.engagement)(one, scene.window(HOUR), None))
    before = sum(scene.sf.calls.values())
    for one in streams:
        list((scene.sf.people if one.kind is StreamKind.PEOPLE else scene.sf.engagement)(one, scene.window(HOUR), None))
    assert sum(scene.sf.calls.values()) - before == len(streams) == 6
