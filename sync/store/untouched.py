"""Open MQLs in somebody's hands whom nobody has touched yet, as the store has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, select, update

from scoring.episodes import Status
from sync.store import schema
from sync.store.refs import parts

__all__ = [
    "Assignee",
    "Listed",
    "Untouched",
    "assignees",
    "in_hand",
    "mark_touched",
    "names_of",
    "opened_since",
    "waiting_for_review",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Untouched:
    """The newest assignment of an open episode. ``assigned_at``: of its first one."""

    person_id: str
    n: int
    assigned_at: datetime
    step: int
    owner_key: str
    pool: str | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignee:
    """One who had an episode. ``why``: why it was given on, None for the first or where a rule did."""

    owner_key: str
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A person for a list. ``owner_key`` and ``pool`` of the newest assignment, where there is one."""

    person_id: str
    name: str
    grade: str
    owner_key: str | None = None
    pool: str | None = None


def in_hand(tx: Connection) -> list[Untouched]:
    """Everybody who was assigned and whom nobody has touched, in the order of their ids; adopted episodes aside."""
    e, a = schema.episode.c, schema.assignment.c
    found = (
        select(e.person_id, e.n, e.assigned_at, a.step, a.owner_key, a.pool, a.decided_at.label("since"))
        .join(schema.assignment, and_(a.person_id == e.person_id, a.n == e.n))
        .where(e.closed_at.is_(None), e.adopted.is_(False), e.assigned_at.is_not(None))
        .where(e.touched_at.is_(None), e.accepted_at.is_(None))
        .order_by(e.person_id, a.step)
    )
    newest = {row.person_id: row for row in tx.execute(found)}
    return [Untouched(**row._mapping) for row in newest.values()]


def assignees(tx: Connection, episodes: Mapping[str, int]) -> dict[str, tuple[Assignee, ...]]:
    """Everybody who had the episode of each of these people, in order."""
    a = schema.assignment.c
    found: dict[str, tuple[Assignee, ...]] = {}
    for part in parts(sorted(episodes)):
        rows = select(a.person_id, a.n, a.owner_key, a.trace).where(a.person_id.in_(part))
        for row in tx.execute(rows.order_by(a.person_id, a.step)):
            if episodes[row.person_id] == row.n:
                one = Assignee(owner_key=row.owner_key, why=(row.trace.get("again") or {}).get("why"))
                found[row.person_id] = (*found.get(row.person_id, ()), one)
    return found


def mark_touched(tx: Connection, touched: Mapping[tuple[str, int], datetime]) -> None:
    """(person, episode) -> when sales touched the person first. What is known already stays."""
    e = schema.episode.c
    rows = [{"key": person_id, "number": n, "at": at} for (person_id, n), at in touched.items()]
    if rows:
        here = (e.person_id == bindparam("key")) & (e.n == bindparam("number")) & e.touched_at.is_(None)
        tx.execute(update(schema.episode).where(here).values(touched_at=bindparam("at")), rows)


# -- for a digest ------------------------------------------------------------------------------------------------


def opened_since(tx: Connection, since: datetime) -> list[Listed]:
    """Who became an MQL later than that, in order; adopted ones aside."""
    e, p, a = schema.episode.c, schema.person.c, schema.assignment.c
    found = (
        select(p.person_id, p.name, p.email, e.n, e.grade, a.owner_key, a.pool)
        .join(schema.episode, e.person_id == p.person_id)
        .outerjoin(schema.assignment, and_(a.person_id == e.person_id, a.n == e.n))
        .where(e.opened_at > since, e.adopted.is_(False))
        .order_by(e.opened_at, p.person_id, e.n, a.step)
    )
    newest = {(row.person_id, row.n): row for row in tx.execute(found)}
    return [
        Listed(person_id=row.person_id, name=_name(row), grade=row.grade, owner_key=row.owner_key, pool=row.pool)
        for row in newest.values()
    ]


def waiting_for_review(tx: Connection) -> list[Listed]:
    """Who waits for a marketer, the longest wait first."""
    p = schema.person.c
    found = select(p.person_id, p.name, p.email, p.grade).where(p.status == Status.REVIEW)
    found = found.order_by(p.status_since, p.person_id)
    return [Listed(person_id=row.person_id, name=_name(row), grade=row.grade or "") for row in tx.execute(found)]


def names_of(tx: Connection, person_ids: Iterable[str]) -> dict[str, str]:
    """How each of these people is called."""
    p = schema.person.c
    found: dict[str, str] = {}
    for part in parts(sorted(person_ids)):
        rows = select(p.person_id, p.name, p.email).where(p.person_id.in_(part))
        found.update((row.person_id, _name(row)) for row in tx.execute(rows))
    return found


def _name(row: Any) -> str:
    return str(row.name or row.email or row.person_id)
