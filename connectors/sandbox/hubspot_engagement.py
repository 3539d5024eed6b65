"""What is neither a CRM record nor a form: e-mail events, marketing events and who came, event occurrences."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connectors.sandbox.clock import millis_of
from connectors.sandbox.hubspot_bodies import RefusalError, encode, limit_of, need, not_found, place_of
from connectors.sandbox.hubspot_store import MarketingEvent, PortalState
from connectors.sandbox.hubspot_values import instant, iso
from connectors.sandbox.server import Request, Response

EMAIL_EVENT_TYPES = (
    *("PROCESSED", "SENT", "DROPPED", "DEFERRED", "DELIVERED", "BOUNCE"),
    *("OPEN", "CLICK", "REPLY", "FORWARD", "PRINT", "SPAMREPORT", "STATUSCHANGE"),
)
EMAIL_EVENT_PAGE = 1_000
STATES = ("REGISTERED", "CANCELLED", "ATTENDED", "NO_SHOW")


class Engagement:
    """Answers `/email/public/v1/events`, `/marketing/v3/marketing-events/...` and `/events/v3/events`."""

    def __init__(self, portal: PortalState) -> None:
        self._portal = portal

    # -- e-mail events

    def email_events(self, request: Request) -> Response:
        """Newest first, at most a thousand; `offset` is opaque. Both bounds are inclusive."""
        need(self._portal, "content")
        limit = limit_of(request, 10, EMAIL_EVENT_PAGE)
        type_, campaign, recipient = (request.one(name) for name in ("eventType", "campaignId", "recipient"))
        if type_ is not None and type_ not in EMAIL_EVENT_TYPES:
            raise RefusalError(400, "VALIDATION_ERROR", f"Invalid event type: {type_}")
        lo, hi = _millis(request, "startTimestamp"), _millis(request, "endTimestamp")
        rows = [
            event
            for event in self._portal.email_events
            if (type_ is None or event["type"] == type_)
            and (campaign is None or str(event["emailCampaignId"]) == campaign)
            and (recipient is None or event["recipient"].lower() == recipient.lower())
            and (lo is None or event["created"] >= lo)
            and (hi is None or event["created"] <= hi)
        ]
        rows.sort(key=lambda event: (event["created"], event["id"]), reverse=True)
        start = max(place_of(request.one("offset")), 0)
        page = rows[start : start + limit]
        more = start + limit < len(rows)
        body: dict[str, Any] = {"hasMore": more, "offset": encode(str(start + len(page))), "events": page}
        return Response(200, body)

    # -- marketing events

    def marketing_events(self, request: Request) -> Response:
        """All of them, by id."""
        need(self._portal, "crm.objects.marketing_events.read")
        limit = limit_of(request, 10, 100)
        events = sorted(self._portal.marketing_events.values(), key=lambda event: int(event.id))
        start = max(place_of(request.one("after")), 0)
        body: dict[str, Any] = {"results": [_event_json(event) for event in events[start : start + limit]]}
        if start + limit < len(events):
            body["paging"] = {"next": {"after": encode(str(start + limit))}}
        return Response(200, body)

    def breakdown(self, request: Request, id_: str) -> Response:
        """Who takes part in an event, each with the newest state."""
        need(self._portal, "crm.objects.marketing_events.read")
        event = self._portal.marketing_events.get(id_)
        if event is None:
            raise not_found(id_)
        limit, state = limit_of(request, 10, 100), request.one("state")
        if state is not None and state not in STATES:
            raise RefusalError(400, "VALIDATION_ERROR", f"Invalid attendance state: {state}")
        rows = [
            row
            for row in event.participations.values()
            if state is None or row["properties"]["attendanceState"] == state
        ]
        start = max(place_of(request.one("after")), 0)
        page = [self._participation(event, row) for row in rows[start : start + limit]]
        body: dict[str, Any] = {"total": len(rows), "results": page}
        if start + limit < len(rows):
            body["paging"] = {"next": {"after": encode(str(start + limit))}}
        return Response(200, body)

    def _participation(self, event: MarketingEvent, row: dict[str, Any]) -> dict[str, Any]:
        contacts = self._portal.tables["contacts"]
        id_ = contacts.current(row["contact"])
        record = contacts.by_id.get(id_)
        email = record.properties.get("email") if record is not None else None
        return {
            "id": row["id"],
            "createdAt": row["createdAt"],
            "properties": row["properties"],
            "associations": {
                "contact": {"contactId": id_, "email": email, "firstname": None, "lastname": None},
                "marketingEvent": {
                    "marketingEventId": event.id,
                    "externalEventId": f"external-{event.id}",
                    "externalAccountId": "1",
                    "name": event.name,
                },
            },
        }

    # -- event occurrences

    def occurrences(self, request: Request) -> Response:
        """Oldest first, of one type; Enterprise accounts only."""
        if not self._portal.event_analytics:
            raise RefusalError(403, "MISSING_SCOPES", "This account's plan does not include event analytics.")
        type_ = request.one("eventType")
        if type_ is not None and type_ not in self._portal.event_types:
            raise RefusalError(400, "VALIDATION_ERROR", f"There is no event type {type_}")
        limit, object_id = limit_of(request, 20, 100), request.one("objectId")
        after, before = (_stamp(request, name) for name in ("occurredAfter", "occurredBefore"))
        rows = [
            row
            for row in sorted(self._portal.occurrences, key=lambda row: (row["occurredAt"], row["id"]))
            if (type_ is None or row["eventType"] == type_)
            and (object_id is None or row["objectId"] == object_id)
            and (after is None or instant(row["occurredAt"]) > after)
            and (before is None or instant(row["occurredAt"]) < before)
        ]
        start = max(place_of(request.one("after")), 0)
        body: dict[str, Any] = {"results": rows[start : start + limit]}
        if start + limit < len(rows):
            body["paging"] = {"next": {"after": encode(str(start + limit))}}
        return Response(200, body)

    def event_types(self) -> Response:
        """Also of accounts that cannot have any."""
        return Response(200, {"eventTypes": sorted(self._portal.event_types)})


def _millis(request: Request, name: str) -> int | None:
    text = request.one(name)
    if text is not None and not text.lstrip("-").isdigit():
        raise RefusalError(400, "VALIDATION_ERROR", f"{name} must be a number of milliseconds, got {text}")
    return None if text is None else int(text)


def _stamp(request: Request, name: str) -> int | None:
    text = request.one(name)
    try:
        return None if text is None else instant(text)
    except ValueError:
        raise RefusalError(400, "VALIDATION_ERROR", f"{name} is no time: {text}") from None


def _event_json(event: MarketingEvent) -> dict[str, Any]:
    return {
        "objectId": event.id,
        "eventName": event.name,
        "eventType": event.type,
        "startDateTime": iso(event.starts),
        "endDateTime": None if event.ends is None else iso(event.ends),
        "eventOrganizer": "Example",
        "eventCancelled": False,
        "createdAt": iso(event.starts),
        "updatedAt": iso(event.starts),
        "customProperties": [],
    }


def email_event(
    id_: str, type_: str, recipient: str, at: datetime, portal_id: int, campaign: int, more: dict[str, Any]
) -> dict[str, Any]:
    """One e-mail event as the API shows it. ValueError for a type there is not."""
    if type_ not in EMAIL_EVENT_TYPES:
        raise ValueError(f"no type of e-mail event: {type_}")
    sent = {"id": f"sent-{id_}", "created": millis_of(at)}
    return {
        "id": id_,
        "created": millis_of(at),
        "type": type_,
        "recipient": recipient,
        "portalId": portal_id,
        "appId": 113,
        "emailCampaignId": campaign,
        "sentBy": sent,
        **more,
    }
