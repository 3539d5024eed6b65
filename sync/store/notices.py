"""Notices on their way to people: written with the decision they tell of, gone once a channel has accepted them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from sync.notices import Kind, Notice
from sync.store import schema
from sync.store.outbox import RowState
from sync.store.refs import parts

__all__ = ["KEPT", "Unsent", "known", "mark_sent", "newest", "not_accepted", "put", "unsent", "waiting"]

KEPT = timedelta(days=3)
"""So long a notice is tried. After that it is news no more, and stays as the record of what was due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """A notice that nobody has accepted yet."""

    notice: Notice
    made_at: datetime
    attempts: int


def put(tx: Connection, notices: Iterable[Notice], *, at: datetime) -> int:
    """Write these notices, those whose key is there already aside. Returns how many are new."""
    by_key = {one.key: one for one in notices}
    there = known(tx, by_key)
    rows = [
        {"key": one.key, "person_id": one.person_id, "kind": one.kind.value, "to": one.to}
        | {"subject": one.subject, "body": one.body, "made_at": at, "attempts": 0}
        for one in by_key.values()
        if one.key not in there
    ]
    if rows:
        dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
        tx.execute(dialect.insert(schema.notice).on_conflict_do_nothing(index_elements=["key"]), rows)
    return len(rows)


def known(tx: Connection, keys: Iterable[str]) -> frozenset[str]:
    """Those of the keys of which there is a notice, sent or not."""
    n = schema.notice.c
    found: set[str] = set()
    for part in parts(sorted(keys)):
        found.update(tx.execute(select(n.key).where(n.key.in_(part))).scalars())
    return frozenset(found)


def unsent(tx: Connection, *, now: datetime) -> list[Unsent]:
    """What can be sent, oldest first: of people for whom nothing is on its way to a CRM, and not too old."""
    n, o = schema.notice.c, schema.outbox.c
    on_its_way = exists().where(o.person_id == n.person_id, o.state != RowState.DEAD)
    found = select(schema.notice).where(n.sent_at.is_(None), n.made_at > now - KEPT, ~on_its_way)
    return list(_rows(tx.execute(found.order_by(n.made_at, n.key)).all()))


def waiting(tx: Connection, *, now: datetime) -> int:
    """How many notices wait, those of people who have to be written first included."""
    n = schema.notice.c
    counted = select(func.count()).where(n.sent_at.is_(None), n.made_at > now - KEPT)
    return int(tx.execute(counted).scalar_one())


def newest(tx: Connection, kind: Kind, *, to: str) -> datetime | None:
    """When somebody was last told this; None: never."""
    n = schema.notice.c
    at: datetime | None = tx.execute(select(func.max(n.made_at)).where(n.kind == kind, n.to == to)).scalar_one()
    return at


def mark_sent(tx: Connection, key: str, *, at: datetime) -> None:
    """A channel has accepted it: it is never sent again."""
    n = schema.notice.c
    tx.execute(
        update(schema.notice).where(n.key == key).values(sent_at=at, attempts=schema.notice.c.attempts + 1, error=None)
    )


def not_accepted(tx: Connection, key: str, error: str) -> None:
    """It waits for the next run. ``error``: why, without addresses of channels, which hold secrets."""
    n = schema.notice.c
    tx.execute(update(schema.notice).where(n.key == key).values(attempts=schema.notice.c.attempts + 1, error=error))


def _rows(found: Iterable[Any]) -> Iterator[Unsent]:
    for row in found:
        made = {name: getattr(row, name) for name in Notice.__slots__}
        notice = Notice(**{**made, "kind": Kind(row.kind)})
        yield Unsent(notice=notice, made_at=row.made_at, attempts=row.attempts)
