"""What storing costs: pages of new people, the same once more, engagement; an increment into a big store."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from connectors.records import Crm, Engagement, Page, PersonRecord, RecordRef, StreamKind, Window
from sync.store.db import Store
from sync.store.engagement import save_engagement
from sync.store.records import save_people
from sync.store.statements import sqlite_time
from tests.benchmarks.bench_connectors import connectors, people_pages
from tests.benchmarks.figures import Figure, Sizes, timed
from tests.benchmarks.scene import AS_OF


def upsert(sizes: Sizes) -> Iterator[Figure]:
    with connectors(sizes.records) as (_, both):
        people: list[Page[PersonRecord]] = list(people_pages(both[Crm.HUBSPOT]))
        salesforce = both[Crm.SALESFORCE]
        window = Window(lo=None, hi=salesforce.now())
        events: list[Page[Engagement]] = [
            page
            for stream in salesforce.streams()
            if stream.kind is StreamKind.ENGAGEMENT
            for page in salesforce.engagement(stream, window, None)
        ]
    gc.freeze()  # a run holds one page, not all of them; the collector need not go through them again and again
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/mqlsync.db", folder=Path(folder) / "snapshot")
        try:
            new = _saved("store: new people, pages of 100", store, people, partial(save_people, ours={}))
            yield replace(new, floor=15, target=8)
            yield _by_rows_written(new, store, sum(len(page.rows) for page in people))
            yield _saved("store: the same people again", store, people, partial(save_people, ours={}))
            yield _saved("store: new engagement, Salesforce's pages", store, events, save_engagement)
            yield _saved("store: the same engagement again", store, events, save_engagement)
        finally:
            store.close()


def _saved(what: str, store: Store, pages: Sequence[Page[Any]], save: Callable[..., Any]) -> Figure:
    def all_pages() -> None:
        for page in pages:
            with store.write(durable=False) as tx:
                save(tx, page.rows, seen_at=AS_OF)

    _, _, cpu = timed(all_pages)
    rows = sum(len(page.rows) for page in pages)
    return Figure(what=what, of=f"{rows:,} rows", unit="CPU ms / 1,000", value=cpu / rows * 1e6)


def _by_rows_written(new: Figure, store: Store, people: int) -> Figure:
    """A new person is a record, its addresses, and what its counters already count."""
    with store.read() as tx:
        rows = sum(
            tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
            for table in ("record", "record_email", "cross_ref", "event")
        )
    what = "store: the same, by rows written"
    return replace(new, what=what, of=f"{rows:,} rows", value=new.value * people / rows)


# -- a big store -------------------------------------------------------------------------------------------------


def increment(sizes: Sizes) -> Iterator[Figure]:
    """A hundredth of the people changed, a hundredth of the events new, in pages as the CRMs send them."""
    people, changed = sizes.most_scored // 10, sizes.most_scored // 1000
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/mqlsync.db", folder=Path(folder) / "snapshot")
        try:
            _fill(store, people)
            refs = [
                RecordRef(crm=Crm.HUBSPOT, object="contact", id=str(n)) for n in range(1, people, people // changed)
            ]
            pages = list(_parts([_changed(ref) for ref in refs], 200))
            news = list(_parts([_event(ref, n) for n in range(10) for ref in refs], 2_000))

            def all_pages() -> None:
                for save, of in ((partial(save_people, ours={}), pages), (save_engagement, news)):
                    for page in of:
                        with store.write(durable=False) as tx:
                            save(tx, page, seen_at=AS_OF)

            _, wall, cpu = timed(all_pages)
        finally:
            store.close()
    what = "store: an increment"
    of = f"{len(refs):,} people + {10 * len(refs):,} events into {people:,} + {10 * people:,}"
    yield Figure(what=what, of=of, unit="wall s", value=wall, floor=6, target=3)
    yield Figure(what=what, of=of, unit="CPU s", value=cpu)


def _fill(store: Store, people: int) -> None:
    """People with one address and ten events each, made by the database itself."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {people})"
    at = sqlite_time(AS_OF - timedelta(days=30))
    record = """
        INSERT INTO record (conn, object, id, email_norm, emails, facts, current, counters, cross_refs, input_hash,
            version, modified_at, gone, problems, inputs_at, touched, first_seen_at, seen_at)
        SELECT 'hubspot', 'contact', i, 'p' || i || '@x.example', '["p' || i || '@x.example"]',
            '{"person.title":"Head of Sales","person.country":"DE"}', '{}', '{}', '[]', 'h' || i, 'v', ?, 0, '[]',
            ?, 0, ?, ? FROM n"""
    email = "INSERT INTO record_email SELECT 'p' || i || '@x.example', 'hubspot', 'contact', i FROM n"
    events = """
        INSERT INTO event (conn, source_id, object, id, kind, at, timed, count, attributes, deleted, seen_at)
        SELECT 'hubspot', 'e' || k || ':' || i, 'contact', i, 'page_view', ?, 1, 1, '{"path":"/pricing"}', 0, ?
        FROM n, (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
            UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"""
    for statement, times in ((record, 4), (email, 0), (events, 2)):
        with store.write(durable=False) as tx:
            tx.exec_driver_sql(_with(numbers, statement), (at,) * times)


def _with(numbers: str, statement: str) -> str:
    """SQLite wants the WITH behind the INSERT's columns, which is where its SELECT begins."""
    insert, select, rest = statement.partition("SELECT")
    return f"{insert} {numbers} {select}{rest}"


def _changed(ref: RecordRef) -> PersonRecord:
    address = f"p{ref.id}@x.example"
    facts = {"person.title": "Chief Executive", "person.country": "DE"}
    return PersonRecord(ref=ref, emails=(address,), facts=facts, current={}, owner=None, version="w", modified_at=AS_OF)


def _event(ref: RecordRef, n: int) -> Engagement:
    attributes = {"path": "/pricing"}
    return Engagement(
        crm=Crm.HUBSPOT, source_id=f"new{n}:{ref.id}", kind="page_view", at=AS_OF, who=ref, attributes=attributes
    )


def _parts(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
