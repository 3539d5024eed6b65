"""What reading costs the client: fetch, decode and normalise; and the HubSpot package's typed models beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from connectors.hubspot.answers import record_page
from connectors.port import Connector
from connectors.records import Crm, Page, Patch, PersonRecord, Stream, StreamKind, Window
from connectors.salesforce import SalesforceConnector
from connectors.salesforce.windows import changed_rows
from sync.collecting import collecting_rarely
from sync.compose import load, open_parts
from tests.benchmarks.figures import Figure, Sizes, timed
from tests.benchmarks.scene import Box, install, sandbox

PROPERTIES = (
    "email", "firstname", "lastname", "jobtitle", "phone", "country", "company", "lifecyclestage", "hubspot_owner_id",
    "createdate", "lastmodifieddate", "hs_email_optout", "hs_additional_emails", "associatedcompanyid", "hs_object_id",
)  # fmt: skip

SINGLY = "limits: {share_of_day: 50%}"
IN_BULK = "limits: {share_of_day: 50%, bulk_reads_above: 0}"

UNPACED = ("per_10_seconds: 190", "per_10_seconds: 1000000")
"""What a page costs, and not what it costs to find the machine's caches full of others' after each pause."""

IN_A_JOB = 4
"""Times as many people as elsewhere: a job is not made for fewer rows than tens of thousands."""

LATENCY = 0.15
"""Seconds, of a call to a CRM some way off."""

PER_10_SECONDS, SEARCHES, WINDOW = 190, 5, 31.0
"""Quotas of a Professional portal, and seconds after which what went at once in the first window is spread."""


@contextmanager
def connectors(people: int, *edits: tuple[str, str]) -> Iterator[tuple[Box, dict[Crm, Connector]]]:
    """Both CRMs with people, and connectors made from the configuration that is shipped, edited."""
    with sandbox(people) as box, tempfile.TemporaryDirectory() as folder:
        config = install(Path(folder), box)
        settings = config / "mqlsync.yaml"
        for old, new in edits:
            settings.write_text(settings.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        loaded = load(config, environment=box.environment)
        with open_parts(loaded) as opened:
            yield box, dict(opened.parts.connectors)


def people_pages(connector: Connector, streams: Sequence[Stream] = ()) -> Iterator[Page[PersonRecord]]:
    """Everybody of one CRM, as a first load reads them."""
    hi = connector.now()
    for stream in streams or _people(connector):
        yield from connector.people(stream, Window(lo=None, hi=hi), None)


def _people(connector: Connector) -> list[Stream]:
    return [stream for stream in connector.streams() if stream.kind is StreamKind.PEOPLE]


def _read(connector: Connector) -> tuple[int, float]:
    """How many people, and the CPU ms per 1,000 of reading them all. Pages are let go of, as in a run."""
    streams = _people(connector)

    def everybody() -> int:
        return sum(len(page.rows) for page in people_pages(connector, streams))

    everybody()  # opens the connection, describes the objects
    with collecting_rarely():  # as a pull does
        found, _, cpu = timed(everybody)
    return found, cpu / found * 1e6


def hubspot(sizes: Sizes) -> Iterator[Figure]:
    """The connector, and in the same process the package's own two ways of asking for the same."""
    with connectors(sizes.records, UNPACED) as (box, both):
        connector = both[Crm.HUBSPOT]
        found, ours = _read(connector)
        of = f"{found:,} contacts"
        yield Figure(
            what="HubSpot: fetch, decode, normalise",
            of=of,
            unit="CPU ms / 1,000",
            value=ours,
            floor=25,
            target=15,
        )
        typed, raw = _package(box, pages=max(1, min(40, found // 100)))
        yield Figure(what="HubSpot package, typed models", of=of, unit="CPU ms / 1,000", value=typed)
        yield Figure(what="HubSpot package, raw and decoded", of=of, unit="CPU ms / 1,000", value=raw)
        yield Figure(
            what="raw against typed", of="same calls", unit="x", value=typed / raw, floor=10, target=20, more=True
        )
        yield Figure(
            what="connector, normalised, against typed", of="15 properties", unit="x", value=typed / ours, more=True
        )


def latency(sizes: Sizes) -> Iterator[Figure]:
    """A first load as over a network: pages come one after the other, the limiter is on."""
    with connectors(sizes.records) as (box, both):
        connector = both[Crm.HUBSPOT]
        streams = _people(connector)
        sum(len(page.rows) for page in people_pages(connector, streams))
        box.delay(LATENCY)
        before = connector.calls["list"]
        rows, wall, cpu = timed(lambda: sum(len(page.rows) for page in people_pages(connector, streams)))
        calls = connector.calls["list"] - before
    of = f"{calls} calls of {LATENCY * 1e3:.0f} ms"
    what = "HubSpot first load at a distance"
    yield Figure(what=what, of=of, unit="contacts/s", value=rows / wall, more=True)
    yield Figure(what=what, of=of, unit="% of one cursor", value=calls * LATENCY / wall * 100, floor=90, more=True)
    yield Figure(what=what, of=of, unit="% of a core", value=cpu / wall * 100, floor=20, target=10)


def quota(sizes: Sizes) -> Iterator[Figure]:
    """What a portal with the quotas of a Professional account gets to do at a distance, when there is enough to do.

    The first windows are left out: there what may go at once goes at once.
    """
    with ExitStack() as open_things:
        box, both = open_things.enter_context(connectors(sizes.records))
        connector = both[Crm.HUBSPOT]
        hi = connector.now()
        [stream] = _people(connector)
        people = [row.ref for page in people_pages(connector) for row in page.rows]
        together = connector.batch_size * connector.batches_at_once
        some = people[:together]
        field = next(name for name, one in connector.describe("contact").items() if name == "jobtitle" and one.writable)
        everybody = Window(lo=hi - timedelta(days=36_500), hi=hi)

        def read(_: int) -> None:
            connector.read(people, [field])

        def update(turn: int) -> None:
            connector.apply([Patch(ref=ref, fields={field: f"T{turn}"}, trace=f"{turn}-{ref.id}") for ref in some])

        def walk(_: int) -> int:
            return sum(len(page.rows) for page in connector.people(stream, everybody, None))

        def search(_: int) -> None:
            list(two.map(walk, range(2)))

        two = ThreadPoolExecutor(2)  # one cursor is bound by how far away the portal is
        open_things.callback(two.shutdown)
        box.delay(LATENCY)
        box.keep_quotas(per_10_seconds=PER_10_SECONDS, search_per_second=SEARCHES)
        for kind, work, rate in (
            ("batch_read", read, PER_10_SECONDS / 10),
            ("batch_update", update, PER_10_SECONDS / 10),
            ("search", search, SEARCHES),
        ):
            yield from _kept_busy(box, connector, kind, work, rate, seconds=sizes.busy)


def _kept_busy(
    box: Box, connector: Connector, kind: str, work: Callable[[int], None], rate: float, *, seconds: float
) -> Iterator[Figure]:
    """The share of a budget of ``rate`` calls a second that is used by doing ``work`` again and again."""
    turn = count()
    for_a_window = perf_counter() + WINDOW
    while perf_counter() < for_a_window:
        work(next(turn))
    began, before, refused, spent = perf_counter(), connector.calls[kind], box.refused(), process_time()
    while perf_counter() < began + seconds:
        work(next(turn))
    wall, cpu = perf_counter() - began, process_time() - spent
    made = connector.calls[kind] - before
    what, of = f"HubSpot {kind.replace('_', ' ')} at a distance", f"{rate:g} calls/s of {LATENCY * 1e3:.0f} ms"
    yield Figure(what=what, of=of, unit="% used", value=made / wall / rate * 100, floor=90, target=95, more=True)
    yield Figure(what=what, of=of, unit="% of a core", value=cpu / wall * 100, floor=20, target=10)
    yield Figure(what=what, of=of, unit="429s", value=box.refused() - refused, floor=0, target=0)


def _package(box: Box, pages: int) -> tuple[float, float]:
    """CPU ms per 1,000 contacts, typed and raw; pages of both take turns."""
    from hubspot import HubSpot

    api = HubSpot(access_token=box.environment["HUBSPOT_TOKEN"], host=box.url, base_url=box.url, retry=False)
    contacts = api.crm.contacts.basic_api
    contacts.api_client.configuration.host = box.url
    asked: dict[str, Any] = {"limit": 100, "properties": list(PROPERTIES), "_request_timeout": (5, 30)}

    def raw(after: str | None) -> tuple[int, str | None]:
        page = record_page(contacts.get_page(after=after, _preload_content=False, **asked).data)
        return len(page.rows), page.after

    def typed(after: str | None) -> int:
        return len(contacts.get_page(after=after, **asked).results)

    raw(None)  # opens the connection
    found, after, raw_spent, typed_spent = 0, None, 0.0, 0.0
    for _ in range(pages):
        (rows, following), _, raw_cpu = timed(lambda here=after: raw(here))  # type: ignore[misc]  # binds the loop's
        same, _, typed_cpu = timed(lambda here=after: typed(here))  # type: ignore[misc]  # as above
        assert rows == same
        found, after = found + rows, following
        raw_spent, typed_spent = raw_spent + raw_cpu, typed_spent + typed_cpu
        if after is None:
            break
    return typed_spent / found * 1e6, raw_spent / found * 1e6


def salesforce(sizes: Sizes) -> Iterator[Figure]:
    """By queries, then by jobs: the rows of the answers as columns, and the records they become.

    Each of as many people as it is for: a job costs five calls whatever it reads, and is asked for tens of thousands.
    """
    by_job = sizes.records * IN_A_JOB
    ways = (
        ("Salesforce REST", SINGLY, sizes.records, (12.0, 8.0), None),
        ("Salesforce bulk", IN_BULK, by_job, None, (5.0, 3.0)),
    )
    for what, limits, people, records, rows in ways:
        with connectors(people, (SINGLY, limits)) as (_, both):
            connector = both[Crm.SALESFORCE]
            found, cost = _read(connector)
            of = f"{found:,} leads and contacts"
            bounds = {"floor": records[0], "target": records[1]} if records else {}
            yield Figure(what=f"{what}: fetch, decode, normalise", of=of, unit="CPU ms / 1,000", value=cost, **bounds)
            bounds = {"floor": rows[0], "target": rows[1]} if rows else {}
            cost = _rows_alone(connector, found)
            yield Figure(what=f"{what}: fetch, decode to columns", of=of, unit="CPU ms / 1,000", value=cost, **bounds)


def _rows_alone(connector: Connector, found: int) -> float:
    """CPU ms per 1,000 rows, without what makes records of them."""
    assert isinstance(connector, SalesforceConnector)
    client, columns = connector._client, connector._reader.columns  # the port has only records
    window = Window(lo=None, hi=connector.now())

    def everything() -> int:
        return sum(
            page.table.size
            for name in ("lead", "contact")
            for page in changed_rows(client, columns(name), window, None)
        )

    with collecting_rarely():
        rows, _, cpu = timed(everything)
    assert rows == found
    return cpu / found * 1e6
