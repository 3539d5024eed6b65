"""HubSpot's HTTP API over a portal's state: which path, in v3/v4 and in 2026-03, is answered by what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox.clock import millis_of
from connectors.sandbox.faults import FaultKind
from connectors.sandbox.hubspot_bodies import (
    RefusalError,
    encode,
    flag,
    limit_of,
    need,
    not_found,
    place_of,
    table_of,
)
from connectors.sandbox.hubspot_engagement import Engagement
from connectors.sandbox.hubspot_gate import SHOWN_PER_DAY, Gate
from connectors.sandbox.hubspot_links import Links
from connectors.sandbox.hubspot_properties import Properties
from connectors.sandbox.hubspot_records import Records
from connectors.sandbox.hubspot_store import Owner, PortalState
from connectors.sandbox.hubspot_values import iso
from connectors.sandbox.server import Request, Response

OWNER_PAGE = 500
SUBMISSION_PAGE = 50


class HubSpotApi:
    """Answers every call to a portal."""

    def __init__(self, portal: PortalState) -> None:
        self._portal = portal
        self.gate = Gate(portal)
        self._links = Links(portal)
        self._records = Records(portal, self._links)
        self._properties = Properties(portal)
        self._engagement = Engagement(portal)

    def answer(self, request: Request) -> Response:
        """One call, whole or not at all."""
        portal = self._portal
        with portal.lock:
            try:
                if request.fault is not None:
                    self.gate.refuse_by_fault(request)
                response = self._routed(request)
            except RefusalError as refusal:
                response = self._refusal(refusal)
            return response

    def _routed(self, request: Request) -> Response:
        segments = _family(request.segments)
        if segments[:1] == ("oauth",):
            return self.gate.token(request)
        by_oauth = self.gate.authenticate(request)
        is_search = segments[-1:] == ("search",)
        try:
            self.gate.count(is_search)
            response = self._route(request, segments)
        except RefusalError as refusal:
            response = self._refusal(refusal)
        if not is_search:
            response.headers |= self.gate.headers(daily=not by_oauth)
        if request.fault is not None and request.fault.kind is FaultKind.REPEATED_PAGE:
            _repeat(request, response)
        return response

    def _refusal(self, refusal: RefusalError) -> Response:
        body: dict[str, Any] = {"status": "error", "message": refusal.message, "correlationId": self._portal.serial()}
        if refusal.category is not None:
            body["category"] = refusal.category
        return Response(refusal.status, body | refusal.more, dict(refusal.headers))

    def _route(self, request: Request, segments: tuple[str, ...]) -> Response:
        match (request.method, *segments):
            case (method, "objects", object_, *rest):
                return self._records.answer(request, method, table_of(self._portal, object_), tuple(rest))
            case (method, "associations", from_, to, *rest):
                return self._links.answer(
                    request, method, table_of(self._portal, from_), table_of(self._portal, to), tuple(rest)
                )
            case ("GET", "owners"):
                return self._owners(request)
            case ("GET", "owners", id_):
                return self._owner(request, id_)
            case (method, "properties", object_, *rest):
                return self._properties.answer(request, method, table_of(self._portal, object_), tuple(rest))
            case ("GET", "account", "details"):
                return Response(200, self._account())
            case ("GET", "account", "api-usage", "daily", "private-apps"):
                return Response(200, {"results": [self._usage()]})
            case ("GET", "forms"):
                return self._forms(request)
            case ("GET", "forms", guid):
                return Response(200, self._form_json(guid))
            case ("GET", "submissions", guid):
                return self._submissions(request, guid)
            case ("GET", "email-events"):
                return self._engagement.email_events(request)
            case ("GET", "marketing-events"):
                return self._engagement.marketing_events(request)
            case ("GET", "marketing-events", "participations", id_, "breakdown"):
                return self._engagement.breakdown(request, id_)
            case ("GET", "events"):
                return self._engagement.occurrences(request)
            case ("GET", "events", "event-types"):
                return self._engagement.event_types()
            case _:
                raise RefusalError(404, None, "resource not found")

    # -- owners, account, forms

    def _owners(self, request: Request) -> Response:
        need(self._portal, "crm.objects.owners.read")
        archived, email = flag(request, "archived"), request.one("email")
        limit = limit_of(request, 100, OWNER_PAGE)
        above = place_of(request.one("after"))
        rows = [
            owner
            for owner in sorted(self._portal.owners.values(), key=lambda owner: int(owner.id))
            if owner.active != archived and int(owner.id) > above and (email is None or owner.email == email.lower())
        ]
        body: dict[str, Any] = {"results": [_owner_json(owner) for owner in rows[:limit]]}
        if len(rows) > limit:
            body["paging"] = {"next": {"after": encode(rows[limit - 1].id)}}
        return Response(200, body)

    def _owner(self, request: Request, id_: str) -> Response:
        need(self._portal, "crm.objects.owners.read")
        by_user = request.one("idProperty") == "userId"
        archived = flag(request, "archived")
        for owner in self._portal.owners.values():
            if (str(owner.user_id) if by_user else owner.id) == id_ and owner.active != archived:
                return Response(200, _owner_json(owner))
        raise not_found(id_)

    def _account(self) -> dict[str, Any]:
        portal = self._portal
        offset = portal.clock.now().astimezone(ZoneInfo(portal.time_zone)).utcoffset() or timedelta()
        minutes = int(offset.total_seconds() // 60)
        sign = "-" if minutes < 0 else "+"
        return {
            "portalId": portal.portal_id,
            "accountType": "DEVELOPER_TEST",
            "timeZone": portal.time_zone,
            "companyCurrency": "EUR",
            "additionalCurrencies": [],
            "utcOffset": f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}",
            "utcOffsetMilliseconds": minutes * 60_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        }

    def _usage(self) -> dict[str, Any]:
        portal = self._portal
        here = portal.clock.now().astimezone(ZoneInfo(portal.time_zone))
        midnight = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return {
            "name": "private-apps-api-calls-daily",
            "usageLimit": portal.limits.per_day or SHOWN_PER_DAY,
            "currentUsage": self.gate.calls_today,
            "collectedAt": portal.now(),
            "fetchStatus": "SUCCESS",
            "resetsAt": iso(millis_of(midnight)),
        }

    def _forms(self, request: Request) -> Response:
        need(self._portal, "forms")
        limit = limit_of(request, 20, 1000)
        guids = list(self._portal.forms)
        start = place_of(request.one("after")) if request.one("after") else 0
        body: dict[str, Any] = {"results": [self._form_json(guid) for guid in guids[start : start + limit]]}
        if start + limit < len(guids):
            body["paging"] = {"next": {"after": encode(str(start + limit))}}
        return Response(200, body)

    def _form_json(self, guid: str) -> dict[str, Any]:
        need(self._portal, "forms")
        form = self._portal.forms.get(guid)
        if form is None:
            raise not_found(guid)
        return {
            "id": form.guid,
            "name": form.name,
            "createdAt": form.created,
            "updatedAt": form.created,
            "archived": False,
            "formType": "hubspot",
            "fieldGroups": [],
            "configuration": {"language": "en", "cloneable": True, "editable": True, "archivable": True},
            "displayOptions": {"renderRawHtml": False, "theme": "default_style", "submitButtonText": "Submit"},
            "legalConsentOptions": {"type": "none"},
        }

    def _submissions(self, request: Request, guid: str) -> Response:
        """Newest first. A page goes on below the submission it ended with, whatever has come in since."""
        need(self._portal, "forms")
        form = self._portal.forms.get(guid)
        if form is None:
            raise not_found(guid)
        limit = limit_of(request, 20, SUBMISSION_PAGE)
        rows = sorted(enumerate(form.submissions), key=lambda row: (row[1][0], row[0]), reverse=True)
        after = request.one("after")
        if after:
            last = place_of(after)
            start = next((place for place, row in enumerate(rows) if row[0] == last), len(rows)) + 1
        else:
            start = 0
        page = rows[start : start + limit]
        body: dict[str, Any] = {
            "results": [
                {
                    "conversionId": conversion,
                    "submittedAt": at,
                    "values": [{"name": n, "value": v, "objectTypeId": "0-1"} for n, v in values.items()],
                    "pageUrl": page_url,
                }
                for _, (at, conversion, values, page_url) in page
            ]
        }
        if start + limit < len(rows):
            body["paging"] = {"next": {"after": encode(str(page[-1][0]))}}
        return Response(200, body)


_FAMILIES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("crm", "v3", "objects"): ("objects",),
    ("crm", "v4", "objects"): ("objects",),
    ("crm", "objects", "2026-03"): ("objects",),
    ("crm", "v4", "associations"): ("associations",),
    ("crm", "associations", "2026-03"): ("associations",),
    ("crm", "v3", "owners"): ("owners",),
    ("crm", "owners", "2026-03"): ("owners",),
    ("crm", "v3", "properties"): ("properties",),
    ("crm", "properties", "2026-03"): ("properties",),
    ("account-info", "v3"): ("account",),
    ("account-info", "2026-03"): ("account",),
    ("marketing", "v3", "forms"): ("forms",),
    ("marketing", "forms", "2026-09-beta"): ("forms",),
    ("form-integrations", "v1", "submissions", "forms"): ("submissions",),
    ("email", "public", "v1", "events"): ("email-events",),
    ("marketing", "v3", "marketing-events"): ("marketing-events",),
    ("marketing", "marketing-events", "2026-03"): ("marketing-events",),
    ("events", "v3", "events"): ("events",),
    ("events", "event-occurrences", "2026-03"): ("events",),
    ("oauth", "v1", "token"): ("oauth",),
    ("oauth", "v3", "token"): ("oauth",),
    ("oauth", "2026-03", "token"): ("oauth",),
}


def _repeat(request: Request, response: Response) -> None:
    """The page names itself as its successor, where it has one."""
    if isinstance(response.body, dict) and "paging" in response.body:
        asked = request.json() if request.method == "POST" else {}
        response.body["paging"]["next"]["after"] = request.one("after") or asked.get("after") or encode("0")


def _family(segments: tuple[str, ...]) -> tuple[str, ...]:
    """The path without its version: ("objects", "contacts", "batch", "read"); () for what does not exist."""
    for length in (4, 3, 2):
        family = _FAMILIES.get(segments[:length])
        if family is not None:
            return family + segments[length:]
    return ()


def _owner_json(owner: Owner) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": owner.id,
        "email": owner.email,
        "type": owner.type,
        "firstName": owner.first,
        "lastName": owner.last,
        "userIdIncludingInactive": owner.user_id,
        "createdAt": owner.created,
        "updatedAt": owner.updated,
        "archived": not owner.active,
    }
    if owner.active:
        shown["userId"] = owner.user_id
    return shown
