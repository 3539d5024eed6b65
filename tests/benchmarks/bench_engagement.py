"""What engagement costs the client: fetch, decode and normalise, source by source, from answers that are ready."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from time import thread_time
from typing import Any

from connectors.fields import CrmMap, EventRule, EventSource
from connectors.hubspot import HubSpotConnector, HubSpotSettings
from connectors.records import Crm, Stream, StreamKind, Window
from tests.benchmarks.figures import Figure, Sizes
from tests.support.wire import Asked, Say, Wire

AT = datetime(2026, 11, 25, 11, 0, tzinfo=UTC)
STAMP = "2026-11-25T11:00:00.000Z"

RULES = (
    EventRule(source=EventSource.EMAIL, key="CLICK", kind="email_click"),
    EventRule(source=EventSource.MEETING, key="COMPLETED", kind="meeting_held"),
    EventRule(source=EventSource.OCCURRENCE, key="e_visited_page", kind="page_view"),
)


def hubspot(sizes: Sizes) -> Iterator[Figure]:
    """CPU of the reading thread alone: the server's threads are others."""
    pages = max(1, sizes.records // 1_000)
    sources = {
        "email event:CLICK": ("e-mail events: fetch, decode, normalise", _mails(pages), 1_000 * pages, 5.0),
        "meeting": ("meetings and their people: the same", _meetings(5 * pages), 1_000 * pages, 15.0),
        "event:e_visited_page": ("event occurrences: the same", _occurrences(10 * pages), 1_000 * pages, 15.0),
    }
    for name, (what, script, events, target) in sources.items():
        read, cpu = min((_read(name, script) for _ in range(2)), key=lambda both: both[1])
        assert read == events
        yield Figure(
            what=f"HubSpot {what}",
            of=f"{read:,} events",
            unit="CPU ms / 1,000",
            value=cpu / read * 1e6,
            floor=2 * target,
            target=target,
        )


def _read(name: str, script: Callable[[], Callable[[Asked], Say]]) -> tuple[int, float]:
    """Live events read, and the CPU seconds of it."""
    wire = Wire()
    connector = HubSpotConnector(
        HubSpotSettings(base_url=wire.url, token="t", per_10_seconds=100_000, search_per_second=100_000),
        CrmMap(crm=Crm.HUBSPOT, objects={}, events=RULES),
    )
    stream = Stream(crm=Crm.HUBSPOT, kind=StreamKind.ENGAGEMENT, name=name)
    window = Window(lo=AT - timedelta(hours=1), hi=AT + timedelta(hours=1))
    try:
        wire.script = lambda asked: Say(body={"portalId": 1, "results": []})
        connector.check()
        wire.script = script()
        began = thread_time()
        read = sum(not row.deleted for page in connector.engagement(stream, window, None) for row in page.rows)
        return read, thread_time() - began
    finally:
        connector.close()
        wire.close()


def _said(body: Mapping[str, Any]) -> Say:
    return Say(body=json.dumps(body).encode())


def _mails(pages: int) -> Callable[[], Callable[[Asked], Say]]:
    def event(n: int) -> dict[str, Any]:
        return {
            "id": f"8d6d9a2e-{n:08d}",
            "created": round(AT.timestamp() * 1000) + n,
            "type": "CLICK",
            "recipient": f"person{n}@example.com",
            "portalId": 1,
            "appId": 113,
            "emailCampaignId": 300,
            "url": "https://example.com/pricing?utm_source=mail",
            "ipAddress": "203.0.113.77",
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0",
            "browser": {"type": "Browser", "name": "Chrome", "version": ["120"]},
            "location": {"city": "Berlin", "country": "Germany"},
            "sentBy": {"id": "sent", "created": 1},
        }

    def page(n: int) -> Say:
        events = [event(1_000 * n + i) for i in range(1_000)]
        return _said({"hasMore": n + 1 < pages, "offset": str(n + 1), "events": events})

    return _in_turn([page(n) for n in range(pages)])


def _meetings(pages: int) -> Callable[[], Callable[[Asked], Say]]:
    def page(n: int) -> Say:
        told = {"hs_meeting_outcome": "COMPLETED", "hs_meeting_start_time": STAMP, "hs_activity_type": "Discovery"}
        rows = [
            {"id": str(200 * n + i), "properties": told, "createdAt": STAMP, "updatedAt": STAMP, "archived": False}
            for i in range(200)
        ]
        return _said({"total": 200 * pages, "results": rows})

    def people(n: int) -> Say:
        kinds = [{"category": "HUBSPOT_DEFINED", "typeId": 200, "label": None}]
        rows = [
            {"from": {"id": str(200 * n + i)}, "to": [{"toObjectId": 7_000 + i, "associationTypes": kinds}]}
            for i in range(200)
        ]
        return _said({"status": "COMPLETE", "results": rows})

    said = [one for n in range(pages) for one in (page(n), people(n))]
    return _in_turn([*said, _said({"total": 0, "results": []})])


def _occurrences(pages: int) -> Callable[[], Callable[[Asked], Say]]:
    def page(n: int) -> Say:
        rows = [
            {
                "id": f"o{100 * n + i}",
                "objectType": "CONTACT",
                "objectId": str(i),
                "eventType": "e_visited_page",
                "occurredAt": STAMP,
                "properties": {
                    "hs_url": "https://example.com/docs/start?x=1",
                    "hs_title": "Start",
                    "hs_browser": "Chrome",
                },
            }
            for i in range(100)
        ]
        return _said({"results": rows} | ({"paging": {"next": {"after": str(n + 1)}}} if n + 1 < pages else {}))

    return _in_turn([page(n) for n in range(pages)])


def _in_turn(said: list[Say]) -> Callable[[], Callable[[Asked], Say]]:
    """A script that begins anew each time it is asked for."""

    def begin() -> Callable[[Asked], Say]:
        left = iter(said)
        return lambda asked: next(left)

    return begin
