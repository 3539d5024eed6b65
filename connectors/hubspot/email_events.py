"""What recipients did with marketing mails: deliveries, opens, clicks, replies, bounces, changes of subscription.

Email events API: https://developers.hubspot.com/docs/api-reference/legacy/marketing/email-events/get-email-public-v1-events
There is no later version of it. It knows people by address only, and each event by ``id`` and ``created`` together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from connectors.errors import SourceMissing
from connectors.fields import CrmMap, EventRule, EventSource
from connectors.hubspot.client import Client
from connectors.hubspot.event_rules import Rules, network_of, stable_id
from connectors.hubspot.paging import going_round
from connectors.hubspot.refusals import Refused
from connectors.normalise import email, instant
from connectors.records import Crm, Engagement, Page, RecordProblem, RecordRef, Window

__all__ = ["EmailEvents"]

_PAGE = 1_000
_MACHINE_MADE = ("OPEN", "CLICK")
"""Types that HubSpot marks with ``filteredEvent`` where the portal's own reports leave them out (bots, own staff)."""

_SUBSCRIPTION = "STATUSCHANGE"


class _Browser(msgspec.Struct, frozen=True, gc=False):
    type: str | None = None


class _Subscription(msgspec.Struct, frozen=True, gc=False):
    status: str | None = None


class _Event(msgspec.Struct, frozen=True, gc=False):
    type: str
    created: int | str
    id: str | int | None = None
    recipient: str | None = None
    emailCampaignId: int | str | None = None  # noqa: N815  # HubSpot's names, here and below
    appId: int | str | None = None  # noqa: N815
    url: str | None = None
    filteredEvent: bool | None = None  # noqa: N815
    ipAddress: str | None = None  # noqa: N815
    deviceType: str | None = None  # noqa: N815
    browser: _Browser | None = None
    portalSubscriptionStatus: str | None = None  # noqa: N815
    subscriptions: list[_Subscription] | None = None


class _EventPage(msgspec.Struct, frozen=True):
    events: list[_Event]
    hasMore: bool | None = None  # noqa: N815
    offset: str | int | None = None


class _RawPage(msgspec.Struct, frozen=True):
    events: list[msgspec.Raw]
    hasMore: bool | None = None  # noqa: N815
    offset: str | int | None = None


class _PageRead(msgspec.Struct, frozen=True):
    events: list[_Event]
    broken: tuple[str, ...]
    offset: str | None


_WHOLE = msgspec.json.Decoder(_EventPage)
_RAW = msgspec.json.Decoder(_RawPage)
_ONE = msgspec.json.Decoder(_Event)


class EmailEvents:
    """One stream for each type of event that is mapped, so that no other type is transferred."""

    def __init__(self, client: Client, fields: CrmMap) -> None:
        self._client = client
        self._rules = Rules(fields.events_of(EventSource.EMAIL))

    def types(self) -> tuple[str, ...]:
        """The mapped types; ("",) for all of them at once, where ``otherwise`` is mapped."""
        if any(rule.key is None for rule in self._rules.lines):
            return ("",)
        return tuple(dict.fromkeys(rule.key.strip().upper() for rule in self._rules.lines if rule.key))

    def read(self, type: str, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """Events of one type ("" for all) created in the window. ``resume`` is the API's offset in the same window.

        SourceMissing when the portal knows no such type.
        """
        query = [("endTimestamp", str(_millis(window.hi) + 1)), ("limit", str(_PAGE))]
        if window.lo is not None:
            query.append(("startTimestamp", str(_millis(window.lo) - 1)))
        if type:
            query.append(("eventType", type))
        offset, been, again = resume, {resume}, False
        while True:
            try:
                page = self._page(query, offset)
            except Refused as refused:
                if refused.status != 400:
                    raise
                if offset is not None and offset == resume:
                    offset = resume = (
                        None  # an offset of an earlier run is not kept for ever: the window from its start
                    )
                    continue
                raise SourceMissing(
                    Crm.HUBSPOT,
                    f"the portal has no e-mail events of the type {type or 'asked for'}: {refused.problem}",
                    advice="Correct the email_event lines of fields.yaml.",
                ) from refused
            further = page.offset
            if further is not None and further in been:
                if not again:
                    again = True
                    continue
                if page.events or page.broken or further != offset:
                    raise going_round("email_events", self._client.paths.email_events)
                further = None  # nothing is on it, and it points to itself: the end
            offset, again = further, False
            been.add(offset)
            yield self._made(page, window, offset)
            if offset is None:
                return

    def _page(self, query: Sequence[tuple[str, str]], offset: str | None) -> _PageRead:
        here = [*query, ("offset", offset)] if offset else query
        return self._client.read("email_events", "GET", self._client.paths.email_events, read=_read, query=here)

    def _made(self, page: _PageRead, window: Window, resume: str | None) -> Page[Engagement]:
        rows: list[Engagement] = []
        problems = [_problem(f"an e-mail event cannot be read: {reason}") for reason in page.broken]
        for event in page.events:
            try:
                at = instant(event.created)
            except ValueError as error:
                problems.append(_problem(f"e-mail event {event.id}: created: {error}"))
                continue
            if at > window.hi or (window.lo is not None and at < window.lo):
                continue
            rule = self._rules.first(event.type)
            if rule is None or not _counts(event, rule):
                continue
            who = email(event.recipient)
            if who is None:
                problems.append(_problem(f"e-mail event {event.id or event.created} names no recipient", "recipient"))
                continue
            rows.append(_engagement(event, rule, at, who))
        return Page(rows=tuple(rows), resume=resume, problems=tuple(problems))


def _read(body: bytes) -> _PageRead:
    """A page; where a row does not fit, the others do."""
    try:
        page = _WHOLE.decode(body)
    except msgspec.ValidationError:
        raw = _RAW.decode(body)
        events, broken = [], []
        for one in raw.events:
            try:
                events.append(_ONE.decode(one))
            except msgspec.DecodeError as error:
                broken.append(str(error))
        return _PageRead(events=events, broken=tuple(broken), offset=_offset(raw.hasMore, raw.offset))
    return _PageRead(events=page.events, broken=(), offset=_offset(page.hasMore, page.offset))


def _offset(more: bool | None, offset: str | int | None) -> str | None:
    """Where to go on. ValidationError when there is more and nobody says where: that is not the end."""
    if not more:
        return None
    if offset is None or offset == "":
        raise msgspec.ValidationError("there is more, and no offset")
    return str(offset)


def _counts(event: _Event, rule: EventRule) -> bool:
    """Not what the portal's own reports leave out, and of changes of a subscription only its end."""
    if event.filteredEvent and event.type in _MACHINE_MADE:
        return False
    if event.type != _SUBSCRIPTION or rule.kind != "email_unsubscribe":
        return True
    said = [event.portalSubscriptionStatus, *(one.status for one in event.subscriptions or ())]
    return not any(said) or "UNSUBSCRIBED" in said


def _engagement(event: _Event, rule: EventRule, at: datetime, who: str) -> Engagement:
    campaign = _text(event.emailCampaignId)
    sources = {"emailCampaignId": campaign, "appId": _text(event.appId), "url": event.url or ""}
    attributes = {"email": campaign, "link": event.url or "", "network": network_of(event.ipAddress)}
    attributes["agent"] = (event.browser.type if event.browser and event.browser.type else event.deviceType) or ""
    attributes |= {name: sources.get(source, source) for name, source in rule.set.items()}
    made = _millis(at)
    return Engagement(
        crm=Crm.HUBSPOT,
        source_id=f"email:{made}:{event.id or stable_id(event.type, who, campaign, event.url)}",
        kind=rule.kind,
        at=at,
        who=who,
        attributes={name: text for name, text in attributes.items() if text},
    )


def _problem(reason: str, field: str = "") -> RecordProblem:
    where = RecordRef(crm=Crm.HUBSPOT, object="email event", id="")
    return RecordProblem(ref=where, field=field, reason=reason)


def _text(value: int | str | None) -> str:
    return "" if value is None else str(value)


def _millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)
