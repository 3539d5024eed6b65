"""People in the store: which records are theirs, what is known of them, and who has to be looked at again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update

from connectors.records import Crm, RecordRef
from sync.gather import CompanySource, OwnerNames, PersonSources, RecordSource
from sync.resolve import PEOPLE_OBJECTS, Identity, Link, Method, ResolvedPerson, Role, person_id, resolve
from sync.store import outbox, schema
from sync.store.refs import COMPANY_OBJECT, aliases_of, by_object, follow_aliases, here, moved_into, parts
from sync.store.statements import insert_into, upsert

__all__ = [
    "ResolveCounts",
    "any_touched",
    "count",
    "last_assigned",
    "last_owner_keys",
    "load_owner_names",
    "load_sources",
    "owner_name",
    "resolve_touched",
    "settle_dirty",
]

BATCH = 2000
"""Touched records whose clusters are in memory at once."""


@dataclass(slots=True)
class ResolveCounts:
    """What resolving found, over the clusters that were looked at (not over all people).

    without_email  live records that can be tied to others by ids only
    ambiguous      people of whom no record may be written
    shadows        duplicates beside a record that is written
    """

    records: int = 0
    people: int = 0
    new: int = 0
    merged: int = 0
    ambiguous: int = 0
    shadows: int = 0
    without_email: int = 0


def resolve_touched(tx: Connection, *, at: datetime, batch: int = BATCH) -> ResolveCounts:
    """Find out who the new and changed records are, and store the answer. Call it when every CRM is wholly read.

    Only clusters with such a record are loaded. People whose records or roles changed become dirty; queued writes of
    records that are no longer written are forgotten (rows in flight stay and are settled by their answer).
    """
    counts = ResolveCounts()
    r = schema.record.c
    touched = select(r.conn, r.object, r.id).where(r.touched).order_by(r.conn, r.object, r.id).limit(batch)
    while refs := [RecordRef(crm=Crm(row.conn), object=row.object, id=row.id) for row in tx.execute(touched)]:
        cluster = _cluster(tx, refs)
        people = resolve(cluster.identities.values(), cluster.aliases)
        _store(tx, people, cluster.identities, counts, at)
        for (conn, object), ids in by_object([*cluster.identities, *refs]).items():
            for part in parts(ids):
                looked_at = and_(here(schema.record, conn, object, part), r.touched)
                tx.execute(update(schema.record).where(looked_at).values(touched=False))
    return counts


# -- loading clusters --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Cluster:
    identities: dict[RecordRef, Identity] = field(default_factory=dict)
    aliases: dict[RecordRef, RecordRef] = field(default_factory=dict)


def _cluster(tx: Connection, refs: Iterable[RecordRef]) -> _Cluster:
    """Everything that hangs together with these records, however long the way."""
    found = _Cluster()
    visited: set[RecordRef] = set()
    people: set[str] = set()
    emails: set[str] = set()
    frontier = set(refs)
    while frontier:
        visited |= frontier
        loaded = {identity.ref: identity for identity in _identities(tx, frontier)}
        found.identities.update(loaded)
        live = [identity for identity in loaded.values() if not identity.gone]
        asked_people = {i.link.person_id if i.link else person_id(i.ref) for i in loaded.values()} - people
        asked_emails = {email for identity in live for email in identity.emails} - emails
        people |= asked_people
        emails |= asked_emails
        forward = dict(aliases_of(tx, frontier))
        backward = dict(moved_into(tx, frontier))
        found.aliases |= forward | backward
        reached = {ref for identity in live for ref in identity.cross_refs}
        reached.update(forward.values())
        reached.update(backward)
        reached.update(_naming(tx, frontier))
        reached.update(_of_people(tx, asked_people))
        reached.update(_of_emails(tx, asked_emails))
        frontier = reached - visited
    return found


def _identities(tx: Connection, refs: Iterable[RecordRef]) -> Iterator[Identity]:
    r, l = schema.record.c, schema.link.c  # noqa: E741  # as in the query's aliases
    columns = (r.id, r.emails, r.cross_refs, r.gone, l.person_id, l.role, l.method, l.confidence)
    joined = schema.record.outerjoin(schema.link, and_(l.conn == r.conn, l.object == r.object, l.id == r.id))
    for (conn, object), ids in by_object(refs).items():
        if object not in PEOPLE_OBJECTS[conn]:
            continue
        for part in parts(ids):
            found = select(*columns).select_from(joined).where(here(schema.record, conn, object, part))
            for row in tx.execute(found):
                ref = RecordRef(crm=Crm(conn), object=object, id=row.id)
                yield Identity(
                    ref=ref,
                    emails=tuple(row.emails),
                    cross_refs=tuple(RecordRef(crm=Crm(c), object=o, id=i) for c, o, i in row.cross_refs),
                    gone=row.gone,
                    link=_link(ref, row) if row.person_id is not None else None,
                )


def _link(ref: RecordRef, row: Any) -> Link:
    return Link(
        ref=ref,
        person_id=row.person_id,
        role=Role(row.role),
        method=Method(row.method),
        confidence=row.confidence,
    )


def _refs(rows: Iterable[Any]) -> Iterator[RecordRef]:
    return (RecordRef(crm=Crm(row[0]), object=row[1], id=row[2]) for row in rows)


def _naming(tx: Connection, refs: Iterable[RecordRef]) -> Iterator[RecordRef]:
    c = schema.cross_ref.c
    for (conn, object), ids in by_object(refs).items():
        for part in parts(ids):
            where = and_(c.to_conn == conn, c.to_object == object, c.to_id.in_(part))
            yield from _refs(tx.execute(select(c.conn, c.object, c.id).where(where)))


def _of_people(tx: Connection, person_ids: Iterable[str]) -> Iterator[RecordRef]:
    c = schema.link.c
    for part in parts(sorted(person_ids)):
        yield from _refs(tx.execute(select(c.conn, c.object, c.id).where(c.person_id.in_(part))))


def _of_emails(tx: Connection, emails: Iterable[str]) -> Iterator[RecordRef]:
    c = schema.record_email.c
    for part in parts(sorted(emails)):
        yield from _refs(tx.execute(select(c.conn, c.object, c.id).where(c.email.in_(part))))


# -- storing the answer ------------------------------------------------------------------------------------------


def _store(
    tx: Connection,
    people: Sequence[ResolvedPerson],
    identities: Mapping[RecordRef, Identity],
    counts: ResolveCounts,
    at: datetime,
) -> None:
    moved: list[Link] = []
    rows: list[dict[str, Any]] = []
    unwritten: list[RecordRef] = []
    for person in people:
        changed = [link for link in person.links if identities[link.ref].link != link]
        known = any(
            i is not None and i.person_id == person.person_id for i in (identities[x.ref].link for x in person.links)
        )
        counts.people += 1
        counts.new += not known
        counts.ambiguous += person.ambiguous
        counts.shadows += sum(link.role is Role.SHADOW for link in person.links)
        counts.without_email += sum(not identities[link.ref].emails for link in person.live)
        moved += changed
        unwritten += [link.ref for link in changed if link.role is not Role.TARGET]
        if changed:
            why = "identity" if known else "new"
            rows.append({"person_id": person.person_id, "ambiguous": person.ambiguous, "dirty": why})
    counts.records += len(identities)
    _save_people(tx, rows)
    _save_links(tx, moved)
    outbox.drop_pending(tx, unwritten)
    _save_conflicts(tx, people, at)
    for person in people:
        for absorbed in person.absorbed:
            merge_people(tx, absorbed, person.person_id, at=at)
            counts.merged += 1


def _save_people(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    insert = insert_into(schema.person, tx.dialect)
    kept = {
        "ambiguous": insert.excluded.ambiguous,
        "dirty": func.coalesce(schema.person.c.dirty, insert.excluded.dirty),
    }
    tx.execute(insert.on_conflict_do_update(index_elements=["person_id"], set_=kept), list(rows))


def _save_links(tx: Connection, links: Sequence[Link]) -> None:
    rows = [
        {
            "conn": link.ref.crm.value,
            "object": link.ref.object,
            "id": link.ref.id,
            "person_id": link.person_id,
            "role": link.role.value,
            "method": link.method.value,
            "confidence": link.confidence,
        }
        for link in links
    ]
    upsert(tx, schema.link, rows, ("conn", "object", "id"))


LISTED = ("ambiguous", "duplicate")
"""Kinds of conflict that resolving finds and settles itself."""


def _save_conflicts(tx: Connection, people: Sequence[ResolvedPerson], at: datetime) -> None:
    """List the duplicates with their ids while they stand, and only then."""
    wanted: dict[tuple[str, RecordRef], tuple[str, str]] = {}
    for person in people:
        others = " ".join(str(link.ref) for link in person.live)
        for link in person.live:
            if link.role is Role.AMBIGUOUS:
                wanted["ambiguous", link.ref] = (person.person_id, others)
            elif link.role is Role.SHADOW:
                written = [t.ref for t in person.live if t.role is Role.TARGET and t.ref.crm is link.ref.crm]
                wanted["duplicate", link.ref] = (person.person_id, " ".join(map(str, written)))
    c = schema.conflict.c
    standing: dict[tuple[str, RecordRef], Any] = {}
    for (conn, object), ids in by_object(link.ref for person in people for link in person.links).items():
        for part in parts(ids):
            where = and_(here(schema.conflict, conn, object, part), c.kind.in_(LISTED), c.settled_at.is_(None))
            for row in tx.execute(select(schema.conflict).where(where)):
                standing[row.kind, RecordRef(crm=Crm(conn), object=object, id=row.id)] = row
    settled = [row.seq for key, row in standing.items() if key not in wanted]
    for part in parts(settled):
        tx.execute(update(schema.conflict).where(c.seq.in_(part)).values(settled_at=at))
    rows = [
        {
            "kind": kind,
            "person_id": person_id,
            "conn": ref.crm.value,
            "object": ref.object,
            "id": ref.id,
            "field": "",
            "theirs": theirs,
            "ours": None,
            "episode": None,
            "held": False,
            "seen_at": at,
            "settled_at": None,
        }
        for (kind, ref), (person_id, theirs) in wanted.items()
        if (known := standing.get((kind, ref))) is None or (known.person_id, known.theirs) != (person_id, theirs)
    ]
    upsert(tx, schema.conflict, rows, ("kind", "conn", "object", "id", "field"))


# -- people who become one ---------------------------------------------------------------------------------------


def merge_people(tx: Connection, loser: str, survivor: str, *, at: datetime) -> None:
    """``loser`` turned out to be ``survivor``. Queued writes, conflicts and verdicts go with it.

    Its episodes go with it too, with status and assignments, but only when the survivor has none of its own: two
    histories cannot be numbered into one without renaming tasks that stand in the CRMs. Else they stay under the old
    id, and the open one closes as ``merged``.
    """
    e = schema.episode.c
    own = tx.execute(select(e.n).where(e.person_id == survivor).limit(1)).first()
    if own is None:
        for table in (schema.episode, schema.assignment, schema.routing_wait):
            tx.execute(update(table).where(table.c.person_id == loser).values(person_id=survivor))
        p = schema.person.c
        had = tx.execute(select(p.status, p.status_since, p.reason).where(p.person_id == loser)).first()
        if had is not None and had.status is not None:
            kept = {"status": had.status, "status_since": had.status_since, "reason": had.reason}
            tx.execute(update(schema.person).where(p.person_id == survivor).values(kept))
    else:
        still_open = and_(e.person_id == loser, e.closed_at.is_(None))
        tx.execute(update(schema.episode).where(still_open).values(closed_at=at, outcome="merged"))
    d = schema.decision.c
    if own is None and tx.execute(select(d.run_id).where(d.person_id == survivor)).first() is None:
        tx.execute(update(schema.decision).where(d.person_id == loser).values(person_id=survivor))
    else:
        tx.execute(delete(schema.decision).where(d.person_id == loser))
    for table in (schema.outbox, schema.desired, schema.conflict, schema.verdict):
        tx.execute(update(table).where(table.c.person_id == loser).values(person_id=survivor))
    tx.execute(delete(schema.person).where(schema.person.c.person_id == loser))
    m = schema.merged_person.c
    tx.execute(update(schema.merged_person).where(m.into_id == loser).values(into_id=survivor))
    row = {"person_id": loser, "into_id": survivor, "merged_at": at}
    upsert(tx, schema.merged_person, [row], ("person_id",))
    body = {"from": loser, "into": survivor, "episodes": "kept apart" if own else "moved"}
    tx.execute(schema.audit.insert(), {"at": at, "who": "resolve", "what": "people merged", "body": body})


# -- dirty people ------------------------------------------------------------------------------------------------


def settle_dirty(tx: Connection, person_ids: Iterable[str]) -> None:
    """These people are decided: call it in the transaction that stores the decision."""
    for part in parts(sorted(person_ids)):
        tx.execute(update(schema.person).where(schema.person.c.person_id.in_(part)).values(dirty=None))


def count(tx: Connection) -> int:
    """How many people there are."""
    return int(tx.execute(select(func.count()).select_from(schema.person)).scalar_one())


def any_touched(tx: Connection) -> bool:
    """Something that decides must be looked at again: a record to resolve, or a person to score."""
    touched = select(schema.record.c.id).where(schema.record.c.touched).limit(1)
    dirty = select(schema.person.c.person_id).where(schema.person.c.dirty.is_not(None)).limit(1)
    return tx.execute(touched).first() is not None or tx.execute(dirty).first() is not None


def person_ids(
    tx: Connection,
    which: ColumnElement[bool] | None,
    *,
    start: str,
    below: str | None,
    after: str | None,
    limit: int,
) -> list[str]:
    """The next ids, in order, of people who fit: from ``start``, above ``after``, below ``below``."""
    p = schema.person.c.person_id
    asked = select(p).where(p >= start).order_by(p).limit(limit)
    if after is not None:
        asked = asked.where(p > after)
    if below is not None:
        asked = asked.where(p < below)
    if which is not None:
        asked = asked.where(which)
    return list(tx.execute(asked).scalars())


# -- what is known of them ---------------------------------------------------------------------------------------


def load_owner_names(tx: Connection) -> OwnerNames:
    """(CRM, owner id) -> how a policy names the owner: a user by e-mail address, a queue by its name."""
    return {
        (row.conn, row.id): (row.email if row.kind == "user" else None) or row.name
        for row in tx.execute(select(schema.owner))
    }


def load_sources(tx: Connection, ids: Sequence[str], owners: OwnerNames) -> dict[str, PersonSources]:
    """Everything `gather` reads of these people, in a handful of statements. People without records are left out."""
    records: dict[str, list[RecordSource]] = {}
    r, l = schema.record.c, schema.link.c  # noqa: E741  # as in the query's aliases
    columns: list[Any] = [l.person_id, l.role, l.confidence, r.conn, r.object, r.id, r.facts, r.emails, r.company_id]
    columns += [r.inputs_at, r.created_at, r.gone, r.moved_to]
    joined = schema.link.join(schema.record, and_(l.conn == r.conn, l.object == r.object, l.id == r.id))
    for part in parts(ids):
        for row in tx.execute(select(*columns).select_from(joined).where(l.person_id.in_(part))):
            crm = Crm(row.conn)
            company = RecordRef(crm=crm, object=COMPANY_OBJECT[crm], id=row.company_id) if row.company_id else None
            records.setdefault(row.person_id, []).append(
                RecordSource(
                    ref=RecordRef(crm=crm, object=row.object, id=row.id),
                    target=row.role == Role.TARGET,
                    gone=row.gone,
                    moved=row.moved_to is not None,
                    facts=row.facts,
                    email=row.emails[0] if row.emails else None,
                    company=company,
                    inputs_at=row.inputs_at,
                    created_at=row.created_at,
                    confidence=row.confidence,
                )
            )
    companies = _companies(tx, {s.company for of in records.values() for s in of if s.company is not None})
    assigned = last_assigned(tx, list(records))
    last_owner = last_owner_keys(tx, list(records))
    return {
        id: PersonSources(
            person_id=id,
            records=tuple(sources),
            companies={s.company: companies[s.company] for s in sources if s.company in companies},
            last_owner=owner_name(last_owner[id], owners) if id in last_owner else None,
            last_assigned_at=assigned.get(id),
        )
        for id, sources in records.items()
    }


def _companies(tx: Connection, refs: Iterable[RecordRef]) -> dict[RecordRef, CompanySource]:
    """Companies by the ref that people have of them; a merged one answers with the company it went into."""
    wanted = set(refs)
    ends = {ref: ref for ref in wanted} | follow_aliases(tx, wanted)
    r = schema.record.c
    loaded: dict[RecordRef, CompanySource] = {}
    for (conn, object), ids in by_object(set(ends.values())).items():
        for part in parts(ids):
            live = and_(here(schema.record, conn, object, part), r.gone.is_(False))
            for row in tx.execute(select(r.id, r.facts, r.inputs_at).where(live)):
                ref = RecordRef(crm=Crm(conn), object=object, id=row.id)
                loaded[ref] = CompanySource(ref=ref, facts=row.facts, inputs_at=row.inputs_at)
    return {ref: loaded[end] for ref, end in ends.items() if end in loaded}


def last_assigned(tx: Connection, ids: Sequence[str]) -> dict[str, datetime]:
    """When mqlsync gave each of these people to somebody for the last time."""
    a = schema.assignment.c
    out: dict[str, datetime] = {}
    for part in parts(ids):
        ours = and_(a.person_id.in_(part), a.why != "adopted")
        newest = select(a.person_id, func.max(a.decided_at)).where(ours).group_by(a.person_id)
        out.update((row[0], row[1]) for row in tx.execute(newest))
    return out


def last_owner_keys(tx: Connection, ids: Sequence[str]) -> dict[str, str]:
    """The owner key of who had the newest closed episode in the end."""
    e, a = schema.episode.c, schema.assignment.c
    out: dict[str, str] = {}
    joined = schema.episode.join(schema.assignment, and_(a.person_id == e.person_id, a.n == e.n))
    for part in parts(ids):
        closed = (
            select(e.person_id, a.owner_key)
            .select_from(joined)
            .where(e.person_id.in_(part), e.closed_at.is_not(None))
            .order_by(e.person_id, e.n, a.step)
        )
        for row in tx.execute(closed):
            out[row.person_id] = row.owner_key
    return out


def owner_name(key: str, owners: OwnerNames) -> str:
    """What people call an owner: a rep or user by e-mail address, a queue by its name."""
    kind, _, rest = key.partition(":")
    if kind == "user":
        conn, _, id = rest.partition(":")
        return owners.get((conn, id), id)
    return rest
