"""What contacts did on the web site and in the product, one by one: HubSpot's event occurrences.

Events API: https://developers.hubspot.com/docs/api-reference/latest/events/event-occurrences/guide. Of Enterprise
accounts only; marketing mails are not among them.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from connectors.errors import SourceMissing
from connectors.fields import CrmMap, EventRule, EventSource
from connectors.hubspot.answers import Paging, decode, following
from connectors.hubspot.client import Client
from connectors.hubspot.event_rules import Rules, path_of, stable_id
from connectors.hubspot.paging import pages
from connectors.hubspot.refusals import Refused
from connectors.normalise import as_text, instant, instant_text, number
from connectors.records import Crm, Engagement, Page, RecordProblem, RecordRef, Window

__all__ = ["Occurrences"]

_PAGE = 100


class _Occurrence(msgspec.Struct, frozen=True, gc=False):
    objectId: str | int  # noqa: N815  # HubSpot's names, here and below
    occurredAt: str | int  # noqa: N815
    id: str | int | None = None
    properties: dict[str, str | bool | int | float | None] | None = None


class _OccurrencePage(msgspec.Struct, frozen=True):
    results: list[msgspec.Raw]
    paging: Paging | None = None


_ONE = msgspec.json.Decoder(_Occurrence)


class Occurrences:
    """One stream for each type of event that is mapped: the API lists them by type."""

    def __init__(self, client: Client, fields: CrmMap) -> None:
        self._client = client
        self._rules = Rules(fields.events_of(EventSource.OCCURRENCE))

    def types(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(rule.key for rule in self._rules.lines if rule.key))

    def read(self, type: str, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """Occurrences of one type in the window. SourceMissing where the account has no such type."""
        rule = self._rules.first(type)
        if rule is None:
            return
        # both bounds may be exclusive: what lies outside is left out here
        before = window.hi.timestamp() * 1000 + 1
        query = [("eventType", type), ("objectType", "contact"), ("limit", str(_PAGE))]
        query.append(("occurredBefore", instant_text(instant(before))))
        if window.lo is not None:
            query.append(("occurredAfter", instant_text(instant(window.lo.timestamp() * 1000 - 1))))
        path = self._client.paths.occurrences
        known = False
        try:
            for page in pages(
                self._client, "occurrences", path, lambda body: decode(body, _OccurrencePage), query, resume
            ):
                known = True
                yield _page(type, rule, page, window)
        except Refused as refused:
            if refused.status != 400 or known:
                raise
            raise SourceMissing(
                Crm.HUBSPOT,
                f"the account has no events of the type {type}: {refused.problem}",
                advice="Correct the event_type lines of fields.yaml.",
            ) from refused


def _page(type: str, rule: EventRule, page: _OccurrencePage, window: Window) -> Page[Engagement]:
    rows: list[Engagement] = []
    problems: list[RecordProblem] = []
    for raw in page.results:
        try:
            one = _ONE.decode(raw)
            at = instant(one.occurredAt)
            if at <= window.hi and (window.lo is None or at >= window.lo):
                rows.append(
                    Engagement(
                        crm=Crm.HUBSPOT,
                        source_id=f"event:{one.id or stable_id(type, one.objectId, one.occurredAt)}",
                        kind=rule.kind,
                        at=at,
                        who=RecordRef(crm=Crm.HUBSPOT, object="contact", id=str(one.objectId)),
                        attributes=_attributes(rule, one),
                    )
                )
        except (msgspec.DecodeError, ValueError) as error:
            where = RecordRef(crm=Crm.HUBSPOT, object="event", id=type)
            problems.append(RecordProblem(ref=where, field="", reason=f"an occurrence cannot be read: {error}"))
    return Page(rows=tuple(rows), resume=following(page.paging), problems=tuple(problems))


def _attributes(rule: EventRule, one: _Occurrence) -> dict[str, str | int | float]:
    """``path`` of the page's address; the rest by ``set``: of the property where the text names one, else the text."""
    properties = one.properties or {}
    url = properties.get("hs_url")
    read: dict[str, str | int | float] = {"path": path_of(url)} if isinstance(url, str) else {}
    for name, source in rule.set.items():
        value = properties.get(source, "" if source.startswith("hs_") else source)
        if value is None or value == "":
            continue
        text = as_text(value)
        read[name] = path_of(text) if name == "path" else number(text) if name == "minutes" else text
    return {name: value for name, value in read.items() if value != ""}
