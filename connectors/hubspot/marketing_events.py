"""Who registered for a webinar or another marketing event, came, or did not.

Marketing events API: https://developers.hubspot.com/docs/api-reference/latest/marketing/marketing-events/guide
There is no filter by time: an event is read again until some weeks after its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

import msgspec

from connectors.errors import SourceMissing
from connectors.fields import CrmMap, EventSource
from connectors.hubspot.answers import Listing, Paging, Undecodable, decode, following, listing
from connectors.hubspot.client import Client
from connectors.hubspot.event_rules import Rules, stable_id
from connectors.hubspot.paging import pages
from connectors.hubspot.refusals import NotPermitted, Refused
from connectors.normalise import email, instant, number
from connectors.records import Crm, Engagement, Page, RecordProblem, RecordRef, Window

__all__ = ["MarketingEvents"]

_PAGE = 100
_STILL_MOVES = timedelta(days=30)
"""So long after its end an event's attendance is still read again."""


class _EventRow(msgspec.Struct, frozen=True):
    objectId: str | int | None = None  # noqa: N815  # HubSpot's names, here and below
    id: str | int | None = None
    eventName: str | None = None  # noqa: N815
    eventType: str | None = None  # noqa: N815
    startDateTime: str | int | None = None  # noqa: N815
    endDateTime: str | int | None = None  # noqa: N815


class _Contact(msgspec.Struct, frozen=True):
    contactId: str | int | None = None  # noqa: N815
    email: str | None = None


class _Ends(msgspec.Struct, frozen=True):
    contact: _Contact | None = None


class _Attendance(msgspec.Struct, frozen=True):
    attendanceState: str  # noqa: N815
    occurredAt: int | str  # noqa: N815
    attendanceDurationSeconds: int | float | str | None = None  # noqa: N815


class _Participation(msgspec.Struct, frozen=True):
    properties: _Attendance
    associations: _Ends
    id: str | int | None = None


class _Participations(msgspec.Struct, frozen=True):
    results: list[msgspec.Raw]
    paging: Paging | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _MarketingEvent:
    """``over``: when it ends, or begins where its end is not known; None when neither is."""

    id: str
    name: str
    type: str
    over: datetime | None


class MarketingEvents:
    """One stream for each marketing event of a type that is mapped. ``unread``: rows of the listing that are none."""

    def __init__(self, client: Client, fields: CrmMap) -> None:
        self._client = client
        self._rules = Rules(fields.events_of(EventSource.MARKETING_EVENT))
        self._events: dict[str, _MarketingEvent] | None = None
        self._missing: SourceMissing | None = None
        self.unread: tuple[Undecodable, ...] = ()

    def listed(self) -> tuple[str, ...]:
        """Ids of the marketing events. One call per hundred, and none where no line asks for them.

        ("",) where the portal does not show them: reading that stream says why.
        """
        if not self._rules.lines:
            return ()
        self._missing = None
        try:
            self._events = {event.id: event for event in self._all() if self._is_asked_for(event)}
        except (NotPermitted, Refused) as refused:
            if isinstance(refused, Refused) and refused.status not in (403, 404):
                raise
            self._missing = SourceMissing(
                Crm.HUBSPOT,
                f"marketing events are not read: {refused.problem}",
                advice=refused.advice or "Take the marketing_event lines out of fields.yaml if the account has none.",
            )
            return ("",)
        return tuple(self._events)

    def _is_asked_for(self, event: _MarketingEvent) -> bool:
        statuses = {"", *(status for rule in self._rules.lines for status in rule.statuses)}
        return any(self._rules.first(event.type, status=status) for status in statuses)

    def _all(self) -> Iterator[_MarketingEvent]:
        self.unread = ()
        for page in self._listing():
            self.unread += tuple(page.broken)
            for row in page.results:
                id = row.objectId if row.objectId is not None else row.id
                if id is not None:
                    yield _MarketingEvent(
                        id=str(id),
                        name=row.eventName or "",
                        type=row.eventType or "",
                        over=_latest(row.endDateTime, row.startDateTime),
                    )

    def _listing(self) -> Iterator[Listing[_EventRow]]:
        """HubSpot writes the address with a slash at its end; should one version know it without only, that will do."""
        bare, query = self._client.paths.marketing_events, [("limit", str(_PAGE))]
        try:
            yield from pages(self._client, "marketing_events", f"{bare}/", _event_page, query)
        except Refused as refused:
            if refused.status != 404:
                raise
            yield from pages(self._client, "marketing_events", bare, _event_page, query)

    def read(self, id: str, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """Everybody's latest state; no call for an event that was over long before the window.

        Participations move while they are read, so an interrupted reading begins anew: ``resume`` is never used.
        """
        if self._missing is not None:
            raise self._missing
        if self._events is None:
            self.listed()
        event = (self._events or {}).get(id)
        if event is None or _is_settled(event, window):
            return
        path = f"{self._client.paths.marketing_events}/participations/{quote(id, safe='')}/breakdown"
        query = [("limit", str(_PAGE))]
        read = pages(self._client, "participations", path, lambda body: decode(body, _Participations), query)
        for page in read:
            yield self._page(event, page)

    def _page(self, event: _MarketingEvent, page: _Participations) -> Page[Engagement]:
        rows: list[Engagement] = []
        problems: list[RecordProblem] = []
        for raw in page.results:
            try:
                one = self._engagement(event, decode(raw, _Participation))
            except (msgspec.DecodeError, ValueError) as error:
                problems.append(_problem(event, f"a participation cannot be read: {error}"))
                continue
            if isinstance(one, RecordProblem):
                problems.append(one)
            elif one is not None:
                rows.append(one)
        return Page(rows=tuple(rows), resume=following(page.paging), problems=tuple(problems))

    def _engagement(self, event: _MarketingEvent, read: _Participation) -> Engagement | RecordProblem | None:
        state, contact = read.properties.attendanceState, read.associations.contact or _Contact()
        who = _who(contact)
        if who is None:
            return _problem(event, f"participation {read.id} names neither contact nor address")
        rule = self._rules.first(event.type, status=state)
        source_id = f"marketing event:{event.id}:{read.id or stable_id(who, state)}"
        at = instant(read.properties.occurredAt)
        if rule is None:  # it may have been an event in an earlier state
            return Engagement(crm=Crm.HUBSPOT, source_id=source_id, kind="", at=at, who=who, deleted=True)
        attributes: dict[str, str | int | float] = {"name": event.name}
        if (seconds := read.properties.attendanceDurationSeconds) is not None:
            attributes["minutes"] = number(round(number(seconds) / 60, 2))
        words = {"eventName": event.name, "eventType": event.type, "attendanceState": state}
        attributes |= {name: words.get(source, source) for name, source in rule.set.items()}
        return Engagement(
            crm=Crm.HUBSPOT,
            source_id=source_id,
            kind=rule.kind,
            at=at,
            who=who,
            attributes={name: value for name, value in attributes.items() if value != ""},
        )


def _event_page(body: bytes) -> Listing[_EventRow]:
    return listing(body, _EventRow)


def _who(contact: _Contact) -> RecordRef | str | None:
    if contact.contactId is not None and str(contact.contactId).strip():
        return RecordRef(crm=Crm.HUBSPOT, object="contact", id=str(contact.contactId))
    return email(contact.email)


def _is_settled(event: _MarketingEvent, window: Window) -> bool:
    return window.lo is not None and event.over is not None and event.over + _STILL_MOVES < window.lo


def _latest(*stamps: str | int | None) -> datetime | None:
    known = []
    for stamp in stamps:
        try:
            known.append(instant(stamp) if stamp is not None else None)
        except ValueError:
            continue  # then it counts as one whose end is not known, and is read on
    return max((at for at in known if at is not None), default=None)


def _problem(event: _MarketingEvent, reason: str) -> RecordProblem:
    where = RecordRef(crm=Crm.HUBSPOT, object="marketing event", id=event.id)
    return RecordProblem(ref=where, field="", reason=reason)
