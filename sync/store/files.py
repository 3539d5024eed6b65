"""What the store has of files, for the connector that reads them (`connectors.file.Known`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import literal, select

from connectors.file.known import Mark
from connectors.records import Stream, StreamKind
from sync.store import schema
from sync.store.accounts import load_cursor
from sync.store.db import Store
from sync.store.refs import parts
from sync.store.statements import upsert

__all__ = ["StoredRows"]

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Asked from the thread that reads, while another one may write."""

    store: Store

    def versions(self, stream: Stream, ids: Sequence[str]) -> Mapping[str, str]:
        """id -> version of the live ones; an event has none."""
        id, version, live = _columns(stream)
        found: dict[str, str] = {}
        with self.store.read() as tx:
            for part in parts(ids):
                for row in tx.execute(select(id, version).where(live, id.in_(part))):
                    found[row[0]] = row[1]
        return found

    def ids(self, stream: Stream) -> Iterator[Sequence[str]]:
        """In the order of ids, a transaction for each thousand."""
        id, _, live = _columns(stream)
        after = ""
        while True:
            with self.store.read() as tx:
                asked = select(id).where(live, id > after).order_by(id).limit(PAGE)
                found = list(tx.execute(asked).scalars())
            if not found:
                return
            yield found
            after = found[-1]

    def mark(self, stream: Stream) -> Mark | None:
        """The content of the newest window, if that was read to its end."""
        c = schema.file_mark.c
        with self.store.read() as tx:
            row = tx.execute(select(schema.file_mark).where(c.conn == stream.crm, c.stream == stream.name)).first()
            cursor = load_cursor(tx, stream)
        if row is None or cursor is None or cursor.lo != row.window_hi:
            return None
        return Mark(size=row.size, modified_ns=row.modified_ns, sha256=row.sha256, read_at=row.read_at)

    def begin(self, stream: Stream, mark: Mark, hi: datetime) -> None:
        row = {
            "conn": stream.crm,
            "stream": stream.name,
            "size": mark.size,
            "modified_ns": mark.modified_ns,
            "sha256": mark.sha256,
            "read_at": mark.read_at,
            "window_hi": hi,
        }
        with self.store.write() as tx:
            upsert(tx, schema.file_mark, [row], ("conn", "stream"))


def _columns(stream: Stream) -> tuple[Any, Any, Any]:
    """The id, the version, and the condition that a row of this stream is there still."""
    if stream.kind is StreamKind.ENGAGEMENT:
        e = schema.event.c
        return e.source_id, literal(""), (e.conn == stream.crm) & e.deleted.is_(False)
    r = schema.record.c
    return r.id, r.version, (r.conn == stream.crm) & (r.object == stream.name) & r.gone.is_(False)
