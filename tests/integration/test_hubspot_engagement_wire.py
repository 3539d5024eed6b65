"""The sources of engagement of a portal, as they come over the wire and as they may come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.errors import RetryLater, RunCannotContinue, SourceMissing, UnexpectedAnswer
from connectors.fields import CrmMap, EventRule, EventSource, ObjectMap
from connectors.hubspot import ApiVersion, HubSpotConnector, HubSpotSettings
from connectors.records import Crm, Engagement, Page, RecordRef, Stream, StreamKind, Window
from connectors.retry import Patience
from tests.support.wire import Asked, Say, Wire, answers

HI = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LO = HI - timedelta(hours=1)
AT = HI - timedelta(minutes=10)
WINDOW = Window(lo=LO, hi=HI)


def millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


class Portal:
    """Connectors to the wire, closed at the end."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.opened: list[HubSpotConnector] = []

    def connector(self, *rules: EventRule, version: ApiVersion = "v3") -> HubSpotConnector:
        made = HubSpotConnector(
            HubSpotSettings(base_url=self.wire.url, token="secret", api_version=version),
            CrmMap(crm=Crm.HUBSPOT, objects={"contact": ObjectMap(object="contact", facts=())}, events=rules),
            patience=Patience(attempts=2, first_wait=0.0, longest_wait=0.0),
            sleep=lambda seconds: None,
            schemas={"contact": {}, "task": {}},
        )
        self.opened.append(made)
        return made

    def pages(
        self, name: str, *rules: EventRule, window: Window = WINDOW, resume: str | None = None, **how: Any
    ) -> list[Page[Engagement]]:
        stream = Stream(crm=Crm.HUBSPOT, kind=StreamKind.ENGAGEMENT, name=name)
        connector = self.connector(*rules, **how)
        if name.startswith("marketing event"):
            connector.streams()
        return list(connector.engagement(stream, window, resume))

    def events(self, name: str, *rules: EventRule, **how: Any) -> list[Engagement]:
        return [row for page in self.pages(name, *rules, **how) for row in page.rows]


@pytest.fixture
def portal(wire: Wire) -> Iterator[Portal]:
    made = Portal(wire)
    yield made
    for one in made.opened:
        one.close()


def rule(source: EventSource, key: str | None, kind: str, *statuses: str, **set: str) -> EventRule:
    return EventRule(source=source, key=key, kind=kind, statuses=statuses, set=set)


CLICK = rule(EventSource.EMAIL, "CLICK", "email_click")
HELD = rule(EventSource.MEETING, "COMPLETED", "meeting_held")
VIEW = rule(EventSource.OCCURRENCE, "e_visited_page", "page_view")
CAME = rule(EventSource.MARKETING_EVENT, "WEBINAR", "webinar_attended", "ATTENDED")


# -- e-mail events -------------------------------------------------------------------------------------------------


def click(n: int = 1, **more: Any) -> dict[str, Any]:
    event = {
        "id": f"id-{n}",
        "created": millis(AT),
        "type": "CLICK",
        "recipient": f"p{n}@acme.com",
        "portalId": 7,
        "appId": 113,
        "emailCampaignId": 300,
        "url": "https://acme.com/pricing",
        "sentBy": {"id": "sent", "created": millis(AT)},
    }
    return event | more


def emails(*events: dict[str, Any], offset: str | None = None) -> Say:
    return Say(body={"hasMore": offset is not None, "offset": offset or "end", "events": list(events)})


def test_a_window_of_email_events_is_asked_for_with_both_ends_inside(portal: Portal) -> None:
    portal.wire.script = answers(emails(click()))
    portal.events("email event:CLICK", CLICK)
    (asked,) = portal.wire.asked
    assert (asked.method, asked.path) == ("GET", "/email/public/v1/events")
    assert asked.query == {
        "startTimestamp": [str(millis(LO) - 1)],
        "endTimestamp": [str(millis(HI) + 1)],
        "eventType": ["CLICK"],
        "limit": ["1000"],
    }


@pytest.mark.parametrize("offset", ["opaque==", 17])
def test_email_events_go_on_at_their_offset_until_there_is_no_more(portal: Portal, offset: Any) -> None:
    more = Say(body={"hasMore": True, "offset": offset, "events": [click(1)]})
    portal.wire.script = answers(more, emails(click(2)))
    pages = portal.pages("email event:CLICK", CLICK)
    assert [page.resume for page in pages] == [str(offset), None]
    assert portal.wire.asked[1].query["offset"] == [str(offset)]


def test_an_empty_page_in_the_middle_ends_no_window(portal: Portal) -> None:
    portal.wire.script = answers(emails(offset="a"), emails(click(2)))
    assert len(portal.events("email event:CLICK", CLICK)) == 1


def test_email_events_that_go_round_are_stopped_after_a_second_look(portal: Portal) -> None:
    portal.wire.script = answers(emails(click(1), offset="a"), emails(click(2), offset="a"))
    with pytest.raises(UnexpectedAnswer, match="round in a circle"):
        portal.pages("email event:CLICK", CLICK)
    assert len(portal.wire.asked) == 3


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ({"created": "yesterday"}, "created"),
        ({"recipient": " "}, "names no recipient"),
        ({"recipient": None}, "names no recipient"),
        ({"type": None}, "cannot be read"),
        ({"emailCampaignId": {"id": 3}}, "cannot be read"),
    ],
)
def test_an_email_event_that_cannot_be_used_costs_itself_alone(portal: Portal, odd: dict[str, Any], told: str) -> None:
    portal.wire.script = answers(emails(click(1, **odd), click(2)))
    (page,) = portal.pages("email event:CLICK", CLICK)
    assert [row.who for row in page.rows] == ["p2@acme.com"]
    (problem,) = page.problems
    assert told in problem.reason


def test_an_event_without_an_id_has_a_stable_one(portal: Portal) -> None:
    nameless = [click(n, id=None) for n in (1, 2)]
    portal.wire.script = answers(emails(*nameless))
    first, again = ([e.source_id for e in portal.events("email event:CLICK", CLICK)] for _ in range(2))
    assert first == again
    assert len(set(first)) == 2


def test_one_id_at_two_instants_is_two_events(portal: Portal) -> None:
    portal.wire.script = answers(emails(click(1), click(1, created=millis(AT) + 1)))
    assert len({e.source_id for e in portal.events("email event:CLICK", CLICK)}) == 2


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("unknown", None), (None, None)],
)
def test_of_an_address_only_the_network_is_kept(portal: Portal, address: str | None, network: str | None) -> None:
    portal.wire.script = answers(emails(click(ipAddress=address, userAgent="Mozilla/5.0 (Ana's own)")))
    (event,) = portal.events("email event:CLICK", CLICK)
    assert event.attributes.get("network") == network
    assert "Ana" not in repr(event)


def test_a_set_takes_a_field_of_the_event_or_a_fixed_text(portal: Portal) -> None:
    portal.wire.script = answers(emails(click()))
    (event,) = portal.events(
        "email event:CLICK", rule(EventSource.EMAIL, "click", "email_click", email="spring", link="appId")
    )
    assert event.attributes["email"] == "spring"
    assert event.attributes["link"] == "113"


def test_otherwise_reads_all_types_in_one_stream(portal: Portal) -> None:
    rules = (CLICK, rule(EventSource.EMAIL, None, "campaign_response"))
    connector = portal.connector(*rules)
    names = [s.name for s in connector.streams() if s.kind is StreamKind.ENGAGEMENT]
    assert names == ["email event:"]
    portal.wire.script = answers(emails(click(1), click(2, type="PRINT")))
    assert [e.kind for e in portal.events(names[0], *rules)] == ["email_click", "campaign_response"]
    assert "eventType" not in portal.wire.asked[-1].query


def test_a_type_the_portal_does_not_know_is_a_missing_source(portal: Portal) -> None:
    portal.wire.script = answers(Say(status=400, body={"message": "Invalid event type"}))
    with pytest.raises(SourceMissing, match="no e-mail events of the type REPLI"):
        portal.pages("email event:REPLI", rule(EventSource.EMAIL, "REPLI", "email_reply"))


def test_an_offset_no_longer_known_begins_the_window_anew(portal: Portal) -> None:
    def script(asked: Asked) -> Say:
        return Say(status=400) if asked.query.get("offset") == ["old"] else emails(click())

    portal.wire.script = script
    assert len(portal.events("email event:CLICK", CLICK, resume="old")) == 1


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, {"category": "MISSING_SCOPES"}, SourceMissing),
        (403, b"<html>", SourceMissing),
        (404, b"<html>", SourceMissing),
        (401, {"category": "INVALID_AUTHENTICATION"}, RunCannotContinue),
        (429, {"policyName": "DAILY"}, RunCannotContinue),
        (500, b"", RetryLater),
        (200, b"<html>", UnexpectedAnswer),
        (200, {"hasMore": False}, UnexpectedAnswer),
        (200, {"hasMore": True, "events": []}, UnexpectedAnswer),
    ],
)
@pytest.mark.parametrize("name", ["email event:CLICK", "meeting", "event:e_visited_page"])
def test_what_is_refused_is_told_by_what_it_means_for_the_run(
    portal: Portal, name: str, status: int, body: Any, error: type[Exception]
) -> None:
    portal.wire.script = answers(Say(status=status, body=body))
    with pytest.raises(error) as raised:
        portal.pages(name, CLICK, HELD, VIEW)
    assert isinstance(raised.value, SourceMissing) is (error is SourceMissing)
    assert "secret" not in str(raised.value)


# -- activities ----------------------------------------------------------------------------------------------------


def meeting(id: str, **properties: Any) -> dict[str, Any]:
    known = {"hs_meeting_outcome": "COMPLETED", "hs_meeting_start_time": stamp(AT), "hs_lastmodifieddate": stamp(AT)}
    return {"id": id, "properties": known | properties, "createdAt": stamp(LO), "updatedAt": stamp(AT)}


def associated(pairs: dict[str, list[Any]]) -> dict[str, Any]:
    results = [{"from": {"id": id}, "to": [{"toObjectId": to} for to in targets]} for id, targets in pairs.items()]
    return {"status": "COMPLETE", "results": results}


def activities(*rows: dict[str, Any], links: Say) -> Any:
    """One page of a search, an empty one, and the associations."""
    left = [list(rows), []]

    def script(asked: Asked) -> Say:
        if "associations" in asked.path:
            return links
        return Say(body={"results": left.pop(0)})

    return script


@pytest.mark.parametrize(
    ("version", "search", "links"),
    [
        ("v3", "/crm/v3/objects/meetings/search", "/crm/v4/associations/meetings/contacts/batch/read"),
        (
            "2026-03",
            "/crm/objects/2026-03/meetings/search",
            "/crm/associations/2026-03/meetings/contacts/batch/read",
        ),
    ],
)
def test_what_changed_is_searched_for_and_its_people_are_asked_for_together(
    portal: Portal, version: ApiVersion, search: str, links: str
) -> None:
    portal.wire.script = activities(meeting("11"), meeting("12"), links=Say(body=associated({"11": [1], "12": ["2"]})))
    events = portal.events("meeting", HELD, version=version)
    assert [(e.source_id, e.who) for e in events if not e.deleted] == [
        ("meeting:11:0", RecordRef(crm=Crm.HUBSPOT, object="contact", id="1")),
        ("meeting:12:0", RecordRef(crm=Crm.HUBSPOT, object="contact", id="2")),
    ]
    first, people, last = portal.wire.asked
    assert (first.path, people.path, last.path) == (search, links, search)
    assert people.body == {"inputs": [{"id": "11"}, {"id": "12"}]}
    (filters,) = first.body["filterGroups"]
    assert filters["filters"][0]["propertyName"] == "hs_lastmodifieddate"
    assert last.body["filterGroups"][0]["filters"][1]["value"] == "12"


def test_a_first_load_lists_and_asks_for_the_people_of_events_alone(portal: Portal) -> None:
    rows = [meeting("11"), meeting("12", hs_meeting_outcome="CANCELED")]
    portal.wire.script = lambda asked: Say(body=associated({"11": [1]}) if asked.body else {"results": rows})
    events = portal.events("meeting", HELD, window=Window(lo=None, hi=HI))
    assert [e.source_id for e in events] == ["meeting:11:0"]
    assert portal.wire.asked[0].path == "/crm/v3/objects/meetings"
    assert portal.wire.asked[1].body == {"inputs": [{"id": "11"}]}


@pytest.mark.parametrize(
    "links",
    [
        Say(body={"status": "COMPLETE", "results": []}),
        Say(status=207, body={"results": [], "errors": [{"category": "OBJECT_NOT_FOUND"}], "numErrors": 1}),
        Say(status=207, body={"errors": [{"category": "OBJECT_NOT_FOUND"}]}),
    ],
)
def test_a_meeting_of_nobody_is_no_event(portal: Portal, links: Say) -> None:
    portal.wire.script = activities(meeting("11"), links=links)
    assert [e for e in portal.events("meeting", HELD) if not e.deleted] == []


def test_people_beyond_a_page_of_associations_are_asked_for_again(portal: Portal) -> None:
    more = associated({"11": [3, 1]})
    more["results"][0]["paging"] = {"next": {"after": "NTAw"}}
    said = [Say(body=more), Say(body=associated({"11": [2]}))]
    pages = [[meeting("11")], []]
    portal.wire.script = lambda asked: (
        said.pop(0) if "associations" in asked.path else Say(body={"results": pages.pop(0)})
    )
    people = [e.who for e in portal.events("meeting", HELD) if not e.deleted]
    assert [who.id for who in people if isinstance(who, RecordRef)] == ["1", "2", "3"]
    assert portal.wire.asked[2].body == {"inputs": [{"id": "11", "after": "NTAw"}]}


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"hs_meeting_start_time": None, "hs_timestamp": None}, "nowhere when it was"),
        ({"hs_meeting_start_time": "soon"}, "not a date or time"),
    ],
)
def test_a_meeting_that_cannot_be_dated_costs_itself_alone(
    portal: Portal, properties: dict[str, Any], told: str
) -> None:
    links = Say(body=associated({"11": [1], "12": [2]}))
    portal.wire.script = activities(meeting("11", **properties), meeting("12"), links=links)
    page, _ = portal.pages("meeting", HELD)
    assert [e.source_id for e in page.rows if not e.deleted] == ["meeting:12:0"]
    (problem,) = page.problems
    assert told in problem.reason
    assert problem.ref.id == "11"


def test_a_meeting_without_outcome_falls_under_otherwise(portal: Portal) -> None:
    links = Say(body=associated({"11": [1]}))
    portal.wire.script = activities(meeting("11", hs_meeting_outcome=None), links=links)
    events = portal.events("meeting", rule(EventSource.MEETING, None, "meeting_held"))
    assert [e.at for e in events if not e.deleted] == [AT]


# -- marketing events ----------------------------------------------------------------------------------------------


def participation(n: int, state: str = "ATTENDED", **contact: Any) -> dict[str, Any]:
    return {
        "id": f"part-{n}",
        "properties": {"attendanceState": state, "occurredAt": millis(AT), "attendanceDurationSeconds": 600},
        "associations": {"contact": contact or {"contactId": str(n), "email": None}},
    }


def marketing(*rows: Any, event: dict[str, Any] | None = None, paging: dict[str, Any] | None = None) -> Any:
    known = {"objectId": 5, "eventName": "Scoring", "eventType": "WEBINAR", "startDateTime": stamp(AT)}

    def script(asked: Asked) -> Say:
        if asked.path.endswith("/breakdown"):
            first = "after" not in asked.query
            return Say(body={"results": list(rows) if first else []} | ({"paging": paging} if paging and first else {}))
        return Say(body={"results": [known | (event or {})]})

    return script


@pytest.mark.parametrize(
    ("version", "base"), [("v3", "/marketing/v3/marketing-events"), ("2026-03", "/marketing/marketing-events/2026-03")]
)
def test_a_marketing_event_is_listed_and_its_participations_read(
    portal: Portal, version: ApiVersion, base: str
) -> None:
    portal.wire.script = marketing(participation(1), paging={"next": {"after": "next"}})
    pages = portal.pages("marketing event:5", CAME, version=version)
    assert [asked.path.rstrip("/") for asked in portal.wire.asked] == [
        base,
        *[f"{base}/participations/5/breakdown"] * 2,
    ]
    assert portal.wire.asked[1].query == {"limit": ["100"]}
    assert portal.wire.asked[2].query["after"] == ["next"]
    assert [page.resume for page in pages] == ["next", None]
    (event,) = pages[0].rows
    assert (event.source_id, event.attributes) == (
        "marketing event:5:part-1",
        {"name": "Scoring", "minutes": 10},
    )


def test_marketing_events_may_be_listed_at_an_address_without_a_slash(portal: Portal) -> None:
    usual = marketing(participation(1))
    portal.wire.script = lambda asked: Say(status=404) if asked.path.endswith("/") else usual(asked)
    assert len(portal.events("marketing event:5", CAME)) == 1


@pytest.mark.parametrize(
    ("contact", "who"),
    [
        ({"contactId": 9, "email": "a@x.com"}, RecordRef(crm=Crm.HUBSPOT, object="contact", id="9")),
        ({"contactId": None, "email": "A@X.com"}, "a@x.com"),
        ({"contactId": None, "email": None}, None),
    ],
)
def test_a_participant_is_a_contact_or_an_address(portal: Portal, contact: dict[str, Any], who: object) -> None:
    portal.wire.script = marketing(participation(1, **contact), {"id": "broken"})
    (page,) = portal.pages("marketing event:5", CAME)
    assert [row.who for row in page.rows] == ([who] if who else [])
    assert len(page.problems) == (1 if who else 2)


@pytest.mark.parametrize(
    ("ends", "read"),
    [(LO - timedelta(days=29), True), (LO - timedelta(days=31), False), (None, False), ("whenever", False)],
)
def test_an_event_is_read_again_until_weeks_after_its_end(portal: Portal, ends: Any, read: bool) -> None:
    end = stamp(ends) if isinstance(ends, datetime) else ends
    portal.wire.script = marketing(
        participation(1), event={"startDateTime": stamp(LO - timedelta(days=40)), "endDateTime": end}
    )
    assert bool(portal.events("marketing event:5", CAME)) is read


# -- occurrences ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "path"), [("v3", "/events/v3/events"), ("2026-03", "/events/event-occurrences/2026-03")]
)
def test_occurrences_of_a_type_are_asked_for_without_a_contact(portal: Portal, version: ApiVersion, path: str) -> None:
    row = {"id": "o1", "objectId": 3, "occurredAt": stamp(AT), "properties": {"hs_url": "https://x.com/a/b/"}}
    portal.wire.script = answers(Say(body={"results": [row, {"id": "o2"}]}))
    (page,) = portal.pages("event:e_visited_page", VIEW, version=version)
    (asked,) = portal.wire.asked
    assert asked.path == path
    assert asked.query == {
        "eventType": ["e_visited_page"],
        "objectType": ["contact"],
        "limit": ["100"],
        "occurredAfter": [stamp(LO - timedelta(milliseconds=1))],
        "occurredBefore": [stamp(HI + timedelta(milliseconds=1))],
    }
    assert [(e.source_id, e.attributes) for e in page.rows] == [("event:o1", {"path": "/a/b"})]
    assert len(page.problems) == 1


# -- answers that are odd ------------------------------------------------------------------------------------------


OCCURRENCE = {"id": "o", "objectId": "1", "occurredAt": stamp(AT)}


def test_an_occurrence_without_properties_is_one(portal: Portal) -> None:
    portal.wire.script = answers(Say(body={"results": [OCCURRENCE | {"properties": None}]}))
    assert len(portal.events("event:e_visited_page", VIEW)) == 1


@pytest.mark.parametrize("name", ["event:e_visited_page", "form:guid-2"])
def test_a_cursor_of_an_earlier_run_that_is_refused_begins_the_source_again(portal: Portal, name: str) -> None:
    sent = {"conversionId": "c", "submittedAt": millis(AT), "values": [{"name": "email", "value": "a@b.c"}]}

    def script(asked: Asked) -> Say:
        if asked.path.endswith("/forms"):
            return Say(body={"results": [{"id": "guid-2", "name": "x"}]})
        if asked.query.get("after"):
            return Say(status=400, body={"category": "VALIDATION_ERROR"})
        return Say(body={"results": [sent if name.startswith("form") else OCCURRENCE]})

    portal.wire.script = script
    form = rule(EventSource.FORM, None, "form_submit")
    assert len(portal.events(name, VIEW, form, resume="old")) == 1


def test_a_type_that_is_refused_from_its_beginning_is_missing_whatever_the_cursor(portal: Portal) -> None:
    portal.wire.script = lambda asked: Say(status=400, body={"message": "no"})
    with pytest.raises(SourceMissing):
        portal.pages("event:e_visited_page", VIEW, resume="old")


def test_a_refusal_in_the_middle_of_a_list_is_no_missing_source(portal: Portal) -> None:
    first = Say(body={"results": [OCCURRENCE], "paging": {"next": {"after": "x"}}})
    portal.wire.script = answers(first, Say(status=400))
    with pytest.raises(UnexpectedAnswer):
        portal.pages("event:e_visited_page", VIEW)


def test_an_empty_page_that_points_to_itself_is_the_end(portal: Portal) -> None:
    portal.wire.script = answers(emails(click(), offset="a"), emails(offset="a"), emails(offset="a"))
    assert [page.resume for page in portal.pages("email event:CLICK", CLICK)] == ["a", None]


@pytest.mark.parametrize("end", [{"hasMore": None}, {}])
def test_a_page_that_does_not_speak_of_more_is_the_last(portal: Portal, end: dict[str, Any]) -> None:
    portal.wire.script = answers(Say(body={"events": [click(id=7)]} | end))
    assert len(portal.events("email event:CLICK", CLICK)) == 1


@pytest.mark.parametrize("context", [{}, {"ids": ["12"]}, {"fromObjectId": ["12"]}])
def test_a_meeting_at_whose_people_hubspot_always_fails_costs_itself_alone(
    portal: Portal, context: dict[str, Any]
) -> None:
    """Nothing of it is taken back either: nobody said that it is no one's."""
    left = [[meeting("11"), meeting("12"), meeting("13")], []]

    def script(asked: Asked) -> Say:
        if "associations" not in asked.path:
            return Say(body={"results": left.pop(0)})
        ids = [one["id"] for one in asked.body["inputs"]]
        told = associated({id: [1] for id in ids if id != "12"})
        failed = {"errors": [{"category": "INTERNAL_ERROR", "context": context}]} if "12" in ids else {}
        return Say(status=207, body=told | failed)

    portal.wire.script = script
    pages = portal.pages("meeting", HELD)
    events = [row for page in pages for row in page.rows]
    assert [one.source_id for one in events if not one.deleted] == ["meeting:11:0", "meeting:13:0"]
    assert not any("meeting:12" in one.source_id for one in events)
    (problem,) = [one for page in pages for one in page.problems]
    assert problem.ref.id == "12"
    assert "INTERNAL_ERROR" in problem.reason


def test_associations_that_fail_for_all_take_nothing_back(portal: Portal) -> None:
    failed = Say(status=207, body={"results": [], "errors": [{"category": "INTERNAL_ERROR"}]})
    portal.wire.script = activities(meeting("11"), meeting("12"), links=failed)
    with pytest.raises(RetryLater):
        portal.events("meeting", HELD)


CALLED = rule(EventSource.CALL, "OUTBOUND", "call")
OWN = "1b2c0d6e-0000-4000-8000-00000000abcd"
LABELS = [{"id": OWN.upper(), "label": "Call  back Later", "deleted": False}, {"id": 7}]


def outcomes(portal: Portal, *ids: str, said: Say) -> list[object]:
    """What calls with these dispositions are said to have come to."""
    known = {"hs_call_direction": "OUTBOUND", "hs_timestamp": stamp(AT), "hs_lastmodifieddate": stamp(AT)}
    calls = [
        {
            "id": str(n),
            "properties": known | {"hs_call_disposition": id},
            "createdAt": stamp(LO),
            "updatedAt": stamp(AT),
        }
        for n, id in enumerate(ids)
    ]
    usual = activities(*calls, links=Say(body=associated({str(n): [1] for n in range(len(ids))})))
    portal.wire.script = lambda asked: said if "dispositions" in asked.path else usual(asked)
    return [one.attributes["outcome"] for one in portal.events("call", CALLED) if not one.deleted]


CONNECTED, BUSY = "f240bbac-87c9-4f6e-bf70-924b57d47db7", "9D9162E7-6CF3-4944-BF63-4DFF82258764"


@pytest.mark.parametrize("listed", [LABELS, {"results": LABELS}])
def test_an_accounts_own_outcome_of_a_call_has_the_name_it_has_there(portal: Portal, listed: object) -> None:
    assert outcomes(portal, CONNECTED, OWN, OWN, "unheard of", said=Say(body=listed)) == [
        "connected",
        "call back later",
        "call back later",
        "unheard of",
    ]
    assert [asked.path for asked in portal.wire.asked].count("/calling/v1/dispositions") == 1


@pytest.mark.parametrize(
    "said",
    [
        Say(status=403, body={"category": "MISSING_SCOPES"}),
        Say(status=404),
        Say(status=500),
        Say(body={"results": [{"id": 7}]}),
        Say(body=b"<html></html>"),
    ],
)
def test_where_outcomes_are_not_told_those_of_every_portal_have_their_names_all_the_same(
    portal: Portal, said: Say
) -> None:
    assert outcomes(portal, CONNECTED, BUSY, OWN, said=said) == ["connected", "busy", OWN]


def test_a_portal_without_outcomes_of_its_own_is_not_asked_for_them(portal: Portal) -> None:
    assert outcomes(portal, CONNECTED, BUSY, said=Say(status=500)) == ["connected", "busy"]


def first_page_of_associations() -> dict[str, Any]:
    page = associated({"11": [1]})
    page["results"][0]["paging"] = {"next": {"after": "x"}}
    return page


def test_a_page_of_associations_that_comes_twice_does_not_end_them(portal: Portal) -> None:
    page = first_page_of_associations()
    links = [Say(body=page), Say(body=page), Say(body=associated({"11": [2]}))]
    pages = [[meeting("11")], []]

    def script(asked: Asked) -> Say:
        return links.pop(0) if "associations" in asked.path else Say(body={"results": pages.pop(0)})

    portal.wire.script = script
    there = [one for one in portal.events("meeting", HELD) if not one.deleted]
    assert [one.who.id for one in there if isinstance(one.who, RecordRef)] == ["1", "2"]


def test_associations_that_never_end_are_stopped(portal: Portal) -> None:
    portal.wire.script = activities(meeting("11"), links=Say(body=first_page_of_associations()))
    with pytest.raises(UnexpectedAnswer, match="round in a circle"):
        portal.events("meeting", HELD)
