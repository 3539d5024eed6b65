"""Everybody with their scores, as a table in a file: what the store decided, for whoever cannot read it in a CRM."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, and_, select

from connectors.records import Crm
from sync.store import schema
from sync.store.db import Store
from sync.store.people import load_owner_names, owner_name, person_ids

__all__ = ["COLUMNS", "NoSuchTable", "export_scored"]

PART = 900
"""People in memory at once, and ids in one statement."""

COLUMNS: Mapping[str, pa.DataType] = {
    "person": pa.string(),
    "email": pa.string(),
    "name": pa.string(),
    **{crm.value: pa.string() for crm in Crm},
    "status": pa.string(),
    "status_since": pa.timestamp("us", "UTC"),
    "grade": pa.string(),
    "fit": pa.int64(),
    "engagement": pa.int64(),
    "total": pa.int64(),
    "model": pa.string(),
    "reason": pa.string(),
    "owner": pa.string(),
    "scored_on": pa.string(),
    "policy_version": pa.string(),
}
"""Column -> type in Parquet. Those named after a connection hold the ids of the person's records there."""

Row = dict[str, Any]


class NoSuchTable(Exception):
    """The file that was named cannot be written as a table. Nothing was written."""


def export_scored(store: Store, to: Path) -> int:
    """Write one row for everybody who has a score and a record that is still there; returns how many.

    CSV (UTF-8) or Parquet, by the name's ending. A file of the name is replaced when the new one is complete.

    Raises
    ------
    NoSuchTable: another ending, or a place where nothing can be written
    """
    writer = _WRITERS.get(to.suffix.lower())
    if writer is None:
        raise NoSuchTable(f"{to.name}: write a name that ends with {' or '.join(_WRITERS)}")
    beside = to.with_name(f".{to.name}.{os.getpid()}")
    written = 0
    try:
        try:
            with writer(beside) as write:
                for rows in _rows(store):
                    write(rows)
                    written += len(rows)
            beside.replace(to)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise NoSuchTable(f"{to} cannot be written: {error.strerror or type(error).__name__}") from None
    return written


def _rows(store: Store) -> Iterator[Sequence[Row]]:
    """In the order of person ids, a transaction for each part."""
    with store.read() as tx:
        owners = load_owner_names(tx)
    after: str | None = None
    while True:
        with store.read() as tx:
            ids = person_ids(tx, schema.person.c.status.is_not(None), start="", below=None, after=after, limit=PART)
            rows = _part(tx, ids, owners) if ids else []
        if not ids:
            return
        yield rows
        after = ids[-1]


def _part(tx: Connection, ids: Sequence[str], owners: Mapping[tuple[str, str], str]) -> list[Row]:
    records = _records(tx, ids)
    owned = _owned(tx, ids)
    people = select(schema.person).where(schema.person.c.person_id.in_(ids)).order_by(schema.person.c.person_id)
    return [
        {
            "person": row.person_id,
            "email": row.email,
            "name": row.name,
            **{crm.value: ";".join(records[row.person_id].get(crm, ())) or None for crm in Crm},
            "status": row.status,
            "status_since": row.status_since,
            "grade": row.grade,
            "fit": row.fit,
            "engagement": row.engagement,
            "total": row.total,
            "model": row.model,
            "reason": row.reason,
            "owner": owner_name(owned[row.person_id], owners) if row.person_id in owned else None,
            "scored_on": row.scored_day,
            "policy_version": row.policy_version,
        }
        for row in tx.execute(people)
        if row.person_id in records
    ]


def _records(tx: Connection, ids: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Person -> connection -> ids of the records that are there."""
    r, l = schema.record.c, schema.link.c  # noqa: E741  # as in other queries
    joined = schema.link.join(schema.record, and_(l.conn == r.conn, l.object == r.object, l.id == r.id))
    asked = (
        select(l.person_id, l.conn, l.id)
        .select_from(joined)
        .where(l.person_id.in_(ids), r.gone.is_(False))
        .order_by(l.person_id, l.conn, l.object, l.id)
    )
    found: dict[str, dict[str, list[str]]] = {}
    for person_id, conn, id in tx.execute(asked):
        found.setdefault(person_id, {}).setdefault(conn, []).append(id)
    return found


def _owned(tx: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Who has the open episode of each of these, as an owner key."""
    e, a = schema.episode.c, schema.assignment.c
    joined = schema.episode.join(schema.assignment, and_(a.person_id == e.person_id, a.n == e.n))
    asked = select(e.person_id, a.owner_key).select_from(joined).where(e.person_id.in_(ids), e.closed_at.is_(None))
    # The last step is the newest.
    return {row[0]: row[1] for row in tx.execute(asked.order_by(e.person_id, a.step))}


# -- files -------------------------------------------------------------------------------------------------------

Write = Callable[[Sequence[Row]], None]


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(COLUMNS))
        table.writeheader()
        yield lambda rows: table.writerows(_spelled(row) for row in rows)


def _spelled(row: Row) -> Row:
    return {name: _instant(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    shape = pa.schema(list(COLUMNS.items()))
    with pq.ParquetWriter(path, shape) as table:
        yield lambda rows: table.write_table(pa.Table.from_pylist(list(rows), schema=shape))


_WRITERS = {".csv": _csv, ".parquet": _parquet}
