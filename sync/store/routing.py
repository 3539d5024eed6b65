"""What routing reads and leaves: counters of the pools, what reps have in hand, who waits, whose people were before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, or_, select

from connectors.normalise import domain as normal_domain
from connectors.records import Crm, RecordRef
from sync.account_match import Account
from sync.assign import Waiting
from sync.owners import OwnerDirectory
from sync.pools import Counter, Load
from sync.resolve import Role
from sync.store import schema
from sync.store.refs import COMPANY_OBJECT, parts
from sync.store.statements import upsert

__all__ = [
    "forget_waits",
    "load_accounts",
    "load_counters",
    "load_loads",
    "load_waits",
    "open_of",
    "save_counters",
    "save_waits",
    "waiting",
]

A_WEEK_AND_ZONES = timedelta(days=9)
"""An ISO week, and how far its beginning can be from UTC's."""


# -- counters ----------------------------------------------------------------------------------------------------


def load_counters(tx: Connection) -> dict[tuple[str, str], Counter]:
    """(pool, rep) -> what the rep has had from it."""
    return {
        (row.pool, row.rep): Counter(assigned=row.assigned, last_at=row.last_at, weight=row.weight, missed=row.missed)
        for row in tx.execute(select(schema.pool_counter))
    }


def save_counters(tx: Connection, counters: Mapping[tuple[str, str], Counter]) -> None:
    rows = [
        {"pool": pool, "rep": rep, **{name: getattr(counter, name) for name in Counter.__slots__}}
        for (pool, rep), counter in counters.items()
    ]
    upsert(tx, schema.pool_counter, rows, ("pool", "rep"))


# -- what reps have in hand --------------------------------------------------------------------------------------


def load_loads(tx: Connection, directory: OwnerDirectory, *, as_of: datetime) -> dict[str, Load]:
    """By rep: when pools gave them somebody in these days, and how many open episodes are theirs.

    An episode is a rep's when it was assigned to them, and when a CRM says that they own the person.
    """
    a = schema.assignment.c
    recent = select(a.owner_key, a.decided_at).where(
        a.pool.is_not(None), a.decided_at >= as_of - A_WEEK_AND_ZONES, a.decided_at <= as_of + A_WEEK_AND_ZONES
    )
    given: dict[str, list[datetime]] = {}
    for row in tx.execute(recent):
        if (email := _rep(row.owner_key)) is not None:
            given.setdefault(email, []).append(row.decided_at)
    owned = _owned(tx, directory)
    return {
        email: Load(given=tuple(sorted(given.get(email, ()))), open=owned.get(email, 0)) for email in {*given, *owned}
    }


def _owned(tx: Connection, directory: OwnerDirectory) -> dict[str, int]:
    e = schema.episode.c
    episodes = {row.person_id: row.n for row in tx.execute(select(e.person_id, e.n).where(e.closed_at.is_(None)))}
    theirs: set[tuple[str, str]] = set()
    for part in parts(sorted(episodes)):
        theirs.update(_assigned(tx, part, episodes))
        theirs.update(_in_crms(tx, part, directory))
    owned: dict[str, int] = {}
    for _, email in theirs:
        owned[email] = owned.get(email, 0) + 1
    return owned


def _assigned(tx: Connection, ids: Sequence[str], episodes: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """(person, rep) by the newest assignment of the open episode."""
    a = schema.assignment.c
    found = select(a.person_id, a.n, a.owner_key).where(a.person_id.in_(ids)).order_by(a.person_id, a.step)
    newest = {row.person_id: row.owner_key for row in tx.execute(found) if episodes[row.person_id] == row.n}
    for person_id, owner_key in newest.items():
        if (email := _rep(owner_key)) is not None:
            yield person_id, email


def _in_crms(tx: Connection, ids: Sequence[str], directory: OwnerDirectory) -> Iterator[tuple[str, str]]:
    """(person, rep) by who owns their records."""
    r, l = schema.record.c, schema.link.c  # noqa: E741  # as in the query's aliases
    found = (
        select(l.person_id, r.conn, r.owner)
        .join(schema.record, and_(r.conn == l.conn, r.object == l.object, r.id == l.id))
        .where(l.person_id.in_(ids), l.role == Role.TARGET, r.gone.is_(False), r.owner.is_not(None))
    )
    for row in tx.execute(found):
        if (email := _rep(directory.owner_key(Crm(row.conn), row.owner))) is not None:
            yield row.person_id, email


def _rep(owner_key: str | None) -> str | None:
    kind, _, email = (owner_key or "").partition(":")
    return email if kind == "rep" else None


def open_of(tx: Connection, owner_key: str) -> list[str]:
    """People whose open episode was last assigned to this owner."""
    e, a, own = schema.episode.c, schema.assignment.c, schema.assignment.alias()
    newest = select(func.max(own.c.step)).where(own.c.person_id == e.person_id, own.c.n == e.n)
    found = (
        select(e.person_id)
        .join(schema.assignment, and_(a.person_id == e.person_id, a.n == e.n))
        .where(a.step == newest.correlate(schema.episode).scalar_subquery())
        .where(e.closed_at.is_(None), a.owner_key == owner_key)
        .order_by(e.person_id)
    )
    return list(tx.execute(found).scalars())


# -- who waits ---------------------------------------------------------------------------------------------------


def load_waits(tx: Connection) -> dict[tuple[str, int], datetime]:
    """(person, episode) -> since when nobody is free for it."""
    w = schema.routing_wait.c
    return {(row.person_id, row.n): row.since for row in tx.execute(select(w.person_id, w.n, w.since))}


def save_waits(tx: Connection, waits: Iterable[Waiting]) -> None:
    rows = [
        {"person_id": w.person_id, "n": w.episode, "since": w.since, "until": w.until, "why": w.why}
        | {"trace": dict(w.trace)}
        for w in waits
    ]
    upsert(tx, schema.routing_wait, rows, ("person_id", "n"))


def forget_waits(tx: Connection) -> None:
    """Whoever was assigned, or is in no open episode any more, does not wait."""
    w, e, a = schema.routing_wait.c, schema.episode.c, schema.assignment.c
    assigned = exists().where(a.person_id == w.person_id, a.n == w.n)
    still_open = exists().where(e.person_id == w.person_id, e.n == w.n, e.closed_at.is_(None))
    tx.execute(delete(schema.routing_wait).where(or_(assigned, ~still_open)))


def waiting(tx: Connection, person_id: str | None = None) -> list[Any]:
    """The rows of `schema.routing_wait`, the longest wait first; of one person when they are named."""
    w = schema.routing_wait.c
    found = select(schema.routing_wait).order_by(w.since, w.person_id)
    return list(tx.execute(found if person_id is None else found.where(w.person_id == person_id)))


# -- accounts ----------------------------------------------------------------------------------------------------


def load_accounts(tx: Connection, directory: OwnerDirectory) -> list[Account]:
    """The companies and accounts of both CRMs that somebody owns."""
    r = schema.record.c
    found: list[Account] = []
    for conn, object in COMPANY_OBJECT.items():
        facts = (r.facts["company.domain"].as_string(), r.facts["company.name"].as_string())
        owned = select(r.id, r.owner, *facts).where(
            r.conn == conn, r.object == object, r.gone.is_(False), r.owner.is_not(None)
        )
        for id, owner, domain, name in tx.execute(owned):
            key = directory.owner_key(Crm(conn), owner)
            if key is not None:
                ref = RecordRef(crm=Crm(conn), object=object, id=id)
                found.append(Account(ref=ref, domain=_domain(domain), name=name, owner_key=key))
    return found


def _domain(text: str | None) -> str | None:
    """A website says its domain; what is none says nothing."""
    if not text:
        return None
    try:
        return normal_domain(text)
    except ValueError:
        return None
