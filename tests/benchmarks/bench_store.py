"""What storing a page costs: new people, the same once more, and engagement."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from connectors.records import Crm, Engagement, Page, PersonRecord, StreamKind, Window
from sync.store.db import Store
from sync.store.engagement import save_engagement
from sync.store.records import save_people
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
