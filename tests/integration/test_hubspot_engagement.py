"""Every source of engagement of a portal, read from the sandbox: what comes, of whom, when, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.errors import SourceMissing
from connectors.fields import CrmMap, EventRule, EventSource, ObjectMap
from connectors.hubspot import HubSpotConnector, HubSpotSettings
from connectors.records import Crm, Engagement, RecordRef, Stream, StreamKind, Window
from connectors.retry import Patience
from connectors.sandbox import Sandbox

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
EVER = Window(lo=None, hi=NOW)


def rule(source: EventSource, key: str | None, kind: str, *statuses: str, **set: str) -> EventRule:
    return EventRule(source=source, key=key, kind=kind, statuses=statuses, set=set)


RULES = (
    rule(EventSource.EMAIL, "DELIVERED", "email_delivered"),
    rule(EventSource.EMAIL, "CLICK", "email_click"),
    rule(EventSource.EMAIL, "STATUSCHANGE", "email_unsubscribe"),
    rule(EventSource.MEETING, "COMPLETED", "meeting_held"),
    rule(EventSource.MEETING, "SCHEDULED", "meeting_booked", type="hs_meeting_title"),
    rule(EventSource.CALL, None, "call", direction="hs_call_direction"),
    rule(EventSource.MAIL, "incoming", "email_reply"),
    rule(EventSource.TASK, "CALL", "call", direction="outbound"),
    rule(EventSource.MARKETING_EVENT, "WEBINAR", "webinar_attended", "ATTENDED"),
    rule(EventSource.MARKETING_EVENT, "WEBINAR", "webinar_registered", "REGISTERED", "NO_SHOW"),
    rule(EventSource.OCCURRENCE, "e_visited_page", "page_view"),
)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox.start(at=NOW) as running:
        running.clock.freeze(NOW)
        running.hubspot.event_analytics = True
        yield running


@pytest.fixture(params=["v3", "2026-03"])
def connector(box: Sandbox, request: pytest.FixtureRequest) -> Iterator[HubSpotConnector]:
    made = HubSpotConnector(
        HubSpotSettings(
            base_url=box.url,
            token=box.hubspot.token,
            api_version=request.param,
            per_10_seconds=100_000,
            search_per_second=100_000,
        ),
        CrmMap(crm=Crm.HUBSPOT, objects={"contact": ObjectMap(object="contact", facts=())}, events=RULES),
        patience=Patience(attempts=2, first_wait=0.0, longest_wait=0.0),
        sleep=lambda seconds: None,
    )
    yield made
    made.close()


def stream(name: str) -> Stream:
    return Stream(crm=Crm.HUBSPOT, kind=StreamKind.ENGAGEMENT, name=name)


def read(connector: HubSpotConnector, name: str, window: Window = EVER, resume: str | None = None) -> list[Engagement]:
    return [row for page in connector.engagement(stream(name), window, resume) for row in page.rows]


def live(events: list[Engagement]) -> list[Engagement]:
    return [event for event in events if not event.deleted]


def person(box: Sandbox, email: str) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object="contact", id=box.hubspot.add("contacts", {"email": email}, at=NOW - DAY))


def activity(box: Sandbox, object: str, *people: RecordRef, at: datetime = NOW - DAY, **properties: str) -> str:
    id = box.hubspot.add(object, {"hs_timestamp": box.hubspot.stamp(at), **properties}, at=at)
    for one in people:
        box.hubspot.associate(object, id, "contacts", one.id)
    return id


def later(lo: datetime = NOW - timedelta(minutes=15)) -> Window:
    return Window(lo=lo, hi=NOW)


def test_each_mapped_source_is_a_stream(connector: HubSpotConnector, box: Sandbox) -> None:
    webinar = box.hubspot.add_marketing_event("Scoring", NOW - DAY)
    box.hubspot.add_marketing_event("Fair", NOW - DAY, type="CONFERENCE")
    names = [one.name for one in connector.streams() if one.kind is StreamKind.ENGAGEMENT]
    assert names == [
        "email event:DELIVERED",
        "email event:CLICK",
        "email event:STATUSCHANGE",
        "meeting",
        "call",
        "email",
        "task",
        f"marketing event:{webinar}",
        "event:e_visited_page",
    ]


def test_a_click_has_its_mail_its_link_its_second_and_where_it_came_from(
    connector: HubSpotConnector, box: Sandbox
) -> None:
    at = NOW - timedelta(hours=3, milliseconds=250)
    more = {"url": "https://acme.com/pricing", "ipAddress": "203.0.113.77", "browser": {"type": "Browser"}}
    id = box.hubspot.add_email_event("CLICK", "Ana@Acme.com", at, campaign=77, **more)
    box.hubspot.add_email_event("OPEN", "ana@acme.com", at, campaign=77)
    (click,) = read(connector, "email event:CLICK")
    assert (click.who, click.at, click.kind) == ("ana@acme.com", at, "email_click")
    assert click.source_id == f"email:{round(at.timestamp() * 1000)}:{id}"
    assert click.attributes == {
        "email": "77",
        "link": "https://acme.com/pricing",
        "network": "203.0.113.0/24",
        "agent": "Browser",
    }


def test_clicks_the_portal_itself_does_not_count_are_none(connector: HubSpotConnector, box: Sandbox) -> None:
    box.hubspot.add_email_event("CLICK", "bot@acme.com", NOW - DAY, filteredEvent=True)
    box.hubspot.add_email_event("DELIVERED", "bot@acme.com", NOW - DAY, filteredEvent=True)
    assert read(connector, "email event:CLICK") == []
    assert [event.kind for event in read(connector, "email event:DELIVERED")] == ["email_delivered"]


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"portalSubscriptionStatus": "UNSUBSCRIBED"}, True),
        ({"subscriptions": [{"id": 1, "status": "UNSUBSCRIBED"}]}, True),
        ({"subscriptions": [{"id": 1, "status": "SUBSCRIBED"}]}, False),
        ({}, True),
    ],
)
def test_only_the_end_of_a_subscription_is_an_unsubscribe(
    connector: HubSpotConnector, box: Sandbox, more: dict[str, Any], counts: bool
) -> None:
    box.hubspot.add_email_event("STATUSCHANGE", "ana@acme.com", NOW - DAY, **more)
    assert bool(read(connector, "email event:STATUSCHANGE")) is counts


def test_two_thousand_deliveries_are_three_calls_and_can_be_gone_on_with(
    connector: HubSpotConnector, box: Sandbox
) -> None:
    for n in range(2_001):
        box.hubspot.add_email_event("DELIVERED", f"p{n}@acme.com", NOW - timedelta(seconds=n))
    pages = list(connector.engagement(stream("email event:DELIVERED"), EVER, None))
    assert [len(page.rows) for page in pages] == [1_000, 1_000, 1]
    assert connector.calls["email_events"] == 3
    assert len(read(connector, "email event:DELIVERED", resume=pages[0].resume)) == 1_001
    assert pages[-1].resume is None
    assert len(read(connector, "email event:DELIVERED", resume="not of this portal")) == 2_001


def test_both_ends_of_a_window_belong_to_it(connector: HubSpotConnector, box: Sandbox) -> None:
    lo = NOW - timedelta(minutes=15)
    for at in (lo - timedelta(milliseconds=1), lo, NOW, NOW + timedelta(milliseconds=1)):
        box.hubspot.add_email_event("CLICK", "ana@acme.com", at)
        box.hubspot.add_occurrence("e_visited_page", "1", at, {})
    assert sorted(event.at for event in read(connector, "email event:CLICK", later(lo))) == [lo, NOW]
    assert sorted(event.at for event in read(connector, "event:e_visited_page", later(lo))) == [lo, NOW]


def test_a_meeting_is_booked_on_the_day_of_booking_and_held_on_its_own(
    connector: HubSpotConnector, box: Sandbox
) -> None:
    ana, bo = person(box, "ana@acme.com"), person(box, "bo@acme.com")
    start = box.hubspot.stamp(NOW + DAY)
    both = activity(
        box,
        "meetings",
        ana,
        bo,
        at=NOW - 2 * DAY,
        hs_meeting_outcome="SCHEDULED",
        hs_meeting_title="Demo",
        hs_meeting_start_time=start,
        hs_activity_type="Discovery",
    )
    activity(box, "meetings", ana, hs_meeting_outcome="CANCELED", hs_meeting_start_time=start)
    booked = read(connector, "meeting")
    assert [(event.kind, event.at, event.who) for event in booked] == [
        ("meeting_booked", NOW - 2 * DAY, ana),
        ("meeting_booked", NOW - 2 * DAY, bo),
    ]
    assert booked[0].attributes == {"type": "Demo"}
    box.hubspot.edit("meetings", both, {"hs_meeting_outcome": "COMPLETED"})
    held = live(read(connector, "meeting", later()))
    assert [(event.kind, event.at, event.attributes) for event in held] == [
        ("meeting_held", NOW + DAY, {"type": "Discovery"})
    ] * 2
    assert {event.source_id for event in held} == {event.source_id for event in booked}


def test_a_meeting_that_is_called_off_or_loses_a_guest_is_taken_back(connector: HubSpotConnector, box: Sandbox) -> None:
    ana, bo = person(box, "ana@acme.com"), person(box, "bo@acme.com")
    id = activity(box, "meetings", ana, bo, hs_meeting_outcome="COMPLETED")
    first = {event.source_id for event in read(connector, "meeting")}
    box.hubspot.erase("contacts", bo.id)
    box.hubspot.edit("meetings", id, {"hs_meeting_title": "moved"})
    again = read(connector, "meeting", later())
    assert [event.who for event in live(again)] == [ana]
    assert first <= {event.source_id for event in again}
    box.hubspot.edit("meetings", id, {"hs_meeting_outcome": "NO_SHOW"})
    gone = read(connector, "meeting", later())
    assert first <= {event.source_id for event in gone if event.deleted}
    assert live(gone) == []


def test_what_was_deleted_is_taken_back_by_a_window_of_days_and_not_asked_for_by_others(
    connector: HubSpotConnector, box: Sandbox
) -> None:
    ana = person(box, "ana@acme.com")
    ids = [activity(box, "meetings", ana, at=NOW - 2 * DAY, hs_meeting_outcome="COMPLETED") for _ in range(130)]
    stored = {event.source_id for event in read(connector, "meeting")}
    for id in ids[:120]:
        box.hubspot.archive("meetings", id)
    before = connector.calls.get("list", 0)
    assert read(connector, "meeting", later()) == []
    assert connector.calls.get("list", 0) == before
    week = Window(lo=NOW - 7 * DAY, hi=NOW)
    pages = list(connector.engagement(stream("meeting"), week, None))
    gone = {row.source_id for page in pages for row in page.rows if row.deleted}
    kept = {row.source_id for page in pages for row in page.rows if not row.deleted}
    assert stored - gone == kept == {f"meeting:{id}:0" for id in ids[120:]}
    again = list(connector.engagement(stream("meeting"), week, pages[0].resume))
    assert {row.source_id for page in again for row in page.rows if row.deleted} == gone
    box.hubspot.restore("meetings", ids[0])
    assert f"meeting:{ids[0]}:0" in {event.source_id for event in live(read(connector, "meeting", week))}


def test_a_merge_makes_no_second_meeting(connector: HubSpotConnector, box: Sandbox) -> None:
    ana, twin = person(box, "ana@acme.com"), person(box, "ana@other.com")
    id = activity(box, "meetings", ana, hs_meeting_outcome="COMPLETED")
    (before,) = read(connector, "meeting")
    box.hubspot.merge("contacts", twin.id, ana.id)
    box.hubspot.edit("meetings", id, {"hs_meeting_title": "moved"})
    (after,) = live(read(connector, "meeting", later()))
    assert after.source_id == before.source_id
    assert after.who != before.who


@pytest.mark.parametrize(
    ("properties", "attributes"),
    [
        (
            {"hs_call_direction": "OUTBOUND", "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7"},
            {"direction": "outbound", "outcome": "connected"},
        ),
        (
            {"hs_call_direction": "INBOUND", "hs_call_duration": "90000", "hs_call_status": "COMPLETED"},
            {"direction": "inbound", "outcome": "completed", "minutes": 1.5},
        ),
        ({"hs_call_disposition": "an account's own"}, {"outcome": "an account's own"}),
    ],
)
def test_a_call_has_direction_outcome_and_length(
    connector: HubSpotConnector, box: Sandbox, properties: dict[str, Any], attributes: dict[str, Any]
) -> None:
    activity(box, "calls", person(box, "ana@acme.com"), **properties)
    (call,) = read(connector, "call")
    assert call.attributes == attributes
    assert call.at == NOW - DAY


@pytest.mark.parametrize("status", ["QUEUED", "RINGING", "IN_PROGRESS"])
def test_a_call_that_has_not_been_made_is_none(connector: HubSpotConnector, box: Sandbox, status: str) -> None:
    activity(box, "calls", person(box, "ana@acme.com"), hs_call_status=status)
    assert read(connector, "call") == []


def test_a_mail_that_came_in_is_an_answer_and_one_that_went_out_is_none(
    connector: HubSpotConnector, box: Sandbox
) -> None:
    ana = person(box, "ana@acme.com")
    activity(box, "emails", ana, hs_email_direction="INCOMING_EMAIL")
    activity(box, "emails", ana, hs_email_direction="EMAIL", hs_email_status="SENT")
    assert [(event.kind, event.who) for event in read(connector, "email")] == [("email_reply", ana)]


def test_a_task_counts_when_it_is_closed_and_never_when_it_is_ours(connector: HubSpotConnector, box: Sandbox) -> None:
    ana = person(box, "ana@acme.com")
    closed = activity(box, "tasks", ana, hs_task_type="CALL", hs_task_status="COMPLETED")
    activity(box, "tasks", ana, hs_task_type="CALL", hs_task_status="NOT_STARTED")
    ours: dict[str, Any] = {"hs_task_body": "because<br>[mqlsync:p:1:task:1]"}
    activity(box, "tasks", ana, hs_task_type="CALL", hs_task_status="COMPLETED", **ours)
    events = read(connector, "task")
    assert [(event.source_id, event.attributes) for event in events] == [
        (f"task:{closed}:0", {"direction": "outbound"})
    ]
    box.hubspot.edit("tasks", closed, {"hs_task_status": "IN_PROGRESS"})
    assert live(read(connector, "task", later())) == []


def test_our_own_task_is_known_by_its_key_where_there_is_one(connector: HubSpotConnector, box: Sandbox) -> None:
    box.hubspot.add_property("tasks", "mqlsync_task_key", unique=True)
    ana = person(box, "ana@acme.com")
    activity(box, "tasks", ana, hs_task_type="CALL", hs_task_status="COMPLETED", mqlsync_task_key="p:1:task:1")
    assert read(connector, "task") == []


def test_a_webinar_tells_who_came_and_who_only_registered(connector: HubSpotConnector, box: Sandbox) -> None:
    ana, bo, cy = (person(box, f"{name}@acme.com") for name in ("ana", "bo", "cy"))
    webinar = box.hubspot.add_marketing_event("Scoring", NOW - DAY, NOW - DAY)
    for one in (ana, bo, cy):
        box.hubspot.attend(webinar, one.id, "REGISTERED", NOW - 9 * DAY)
    box.hubspot.attend(webinar, ana.id, "ATTENDED", NOW - DAY, minutes=42)
    box.hubspot.attend(webinar, cy.id, "CANCELLED", NOW - DAY)
    connector.streams()
    events = read(connector, f"marketing event:{webinar}")
    assert [(event.kind, event.who, event.at, event.attributes) for event in live(events)] == [
        ("webinar_attended", ana, NOW - DAY, {"name": "Scoring", "minutes": 42}),
        ("webinar_registered", bo, NOW - 9 * DAY, {"name": "Scoring"}),
    ]
    assert [event.who for event in events if event.deleted] == [cy]


def test_a_webinar_of_last_season_costs_no_call(connector: HubSpotConnector, box: Sandbox) -> None:
    old = box.hubspot.add_marketing_event("Old", NOW - 90 * DAY, NOW - 90 * DAY)
    recent = box.hubspot.add_marketing_event("Recent", NOW - 5 * DAY, NOW - 5 * DAY)
    connector.streams()
    for id in (old, recent):
        read(connector, f"marketing event:{id}", later())
    assert connector.calls["participations"] == 1
    read(connector, f"marketing event:{old}")
    assert connector.calls["participations"] == 2


def test_a_page_view_has_its_path(connector: HubSpotConnector, box: Sandbox) -> None:
    ana = person(box, "ana@acme.com")
    id = box.hubspot.add_occurrence("e_visited_page", ana.id, NOW - DAY, {"hs_url": "https://acme.com/Pricing/?a=1"})
    (view,) = read(connector, "event:e_visited_page")
    assert (view.source_id, view.who, view.at, view.attributes) == (
        f"event:{id}",
        ana,
        NOW - DAY,
        {"path": "/Pricing"},
    )


def test_two_hundred_and_fifty_occurrences_are_read_page_by_page(connector: HubSpotConnector, box: Sandbox) -> None:
    for n in range(250):
        box.hubspot.add_occurrence("e_visited_page", "7", NOW - timedelta(seconds=n), {})
    pages = list(connector.engagement(stream("event:e_visited_page"), EVER, None))
    assert [len(page.rows) for page in pages] == [100, 100, 50]
    assert len(read(connector, "event:e_visited_page", resume=pages[1].resume)) == 50


def test_a_quiet_window_costs_one_call_a_stream(connector: HubSpotConnector, box: Sandbox) -> None:
    streams = [one for one in connector.streams() if one.kind is StreamKind.ENGAGEMENT]
    before = sum(connector.calls.values())
    for one in streams:
        assert read(connector, one.name, later()) == []
    properties = connector.calls.get("properties", 0)
    assert sum(connector.calls.values()) - before - properties == len(streams)


@pytest.mark.parametrize(
    ("scope", "name"),
    [("content", "email event:CLICK"), ("crm.objects.contacts.read", "meeting")],
)
def test_a_source_without_its_scope_is_named(connector: HubSpotConnector, box: Sandbox, scope: str, name: str) -> None:
    box.hubspot.scopes.discard(scope)
    with pytest.raises(SourceMissing, match=scope):
        read(connector, name)


def test_a_plan_without_event_analytics_is_named(connector: HubSpotConnector, box: Sandbox) -> None:
    box.hubspot.event_analytics = False
    with pytest.raises(SourceMissing, match="event:e_visited_page is not read"):
        read(connector, "event:e_visited_page")


def test_marketing_events_out_of_scope_are_a_stream_that_says_why(connector: HubSpotConnector, box: Sandbox) -> None:
    box.hubspot.scopes.discard("crm.objects.marketing_events.read")
    (name,) = [one.name for one in connector.streams() if one.name.startswith("marketing")]
    with pytest.raises(SourceMissing, match=r"crm\.objects\.marketing_events\.read"):
        read(connector, name)
    box.hubspot.scopes.add("crm.objects.marketing_events.read")
    assert not [one.name for one in connector.streams() if one.name.startswith("marketing")]


def test_a_type_of_event_the_account_does_not_have_is_named(box: Sandbox, connector: HubSpotConnector) -> None:
    box.hubspot.event_types.clear()
    with pytest.raises(SourceMissing, match="no events of the type e_visited_page"):
        read(connector, "event:e_visited_page")
