"""Notices on their way to people: written with the decision they tell of, gone once a channel has accepted them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, update

from sync.notices import Kind, Notice, key_of
from sync.store import schema
from sync.store.outbox import RowState
from sync.store.refs import parts
from sync.store.statements import insert_into

__all__ = ["KEPT", "Unsent", "known", "mark_sent", "newest", "not_accepted", "put", "unsent", "waiting"]

_OF_ASSIGNMENTS = frozenset({Kind.ASSIGNED, Kind.REMIND, Kind.REASSIGNED})

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
        tx.execute(insert_into(schema.notice, tx.dialect).on_conflict_do_nothing(index_elements=["key"]), rows)
    return len(rows)


def known(tx: Connection, keys: Iterable[str]) -> frozenset[str]:
    """Those of the keys of which there is a notice, sent or not."""
    n = schema.notice.c
    found: set[str] = set()
    for part in parts(sorted(keys)):
        found.update(tx.execute(select(n.key).where(n.key.in_(part))).scalars())
    return frozenset(found)


def unsent(tx: Connection, *, now: datetime) -> list[Unsent]:
    """What can be sent, oldest first: of people for whom nothing is on its way to a CRM, and not too old.

    What tells an owner of an assignment is left out once there is a newer one, or the episode is over.
    """
    n, o = schema.notice.c, schema.outbox.c
    on_its_way = exists().where(o.person_id == n.person_id, o.state != RowState.DEAD)
    return _in_time(tx, ~on_its_way, now=now)


def _in_time(tx: Connection, *conditions: ColumnElement[bool], now: datetime) -> list[Unsent]:
    n = schema.notice.c
    found = select(schema.notice).where(n.sent_at.is_(None), n.made_at > now - KEPT, *conditions)
    waiting = list(_rows(tx.execute(found.order_by(n.made_at, n.key)).all()))
    in_force = _in_force(tx, [one.notice.person_id for one in waiting if one.notice.person_id is not None])
    return [one for one in waiting if one.notice.kind not in _OF_ASSIGNMENTS or one.notice.key in in_force]


def _in_force(tx: Connection, person_ids: Iterable[str]) -> frozenset[str]:
    """The keys that notices of the newest assignments of these people's open episodes have."""
    e, a = schema.episode.c, schema.assignment.c
    keys: set[str] = set()
    for part in parts(sorted(set(person_ids))):
        newest = select(a.person_id, a.n, func.max(a.step).label("step")).where(a.person_id.in_(part))
        last = newest.group_by(a.person_id, a.n).subquery()
        still = select(last.c.person_id, last.c.n, last.c.step).join(
            schema.episode, and_(e.person_id == last.c.person_id, e.n == last.c.n, e.closed_at.is_(None))
        )
        keys.update(
            key_of(row.person_id, row.n, kind, row.step) for row in tx.execute(still) for kind in _OF_ASSIGNMENTS
        )
    return frozenset(keys)


def waiting(tx: Connection, *, now: datetime) -> int:
    """How many notices wait, those of people who have to be written first included."""
    return len(_in_time(tx, now=now))


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
