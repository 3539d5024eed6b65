"""Finding rows by the records they speak of, and the marks on people that follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, select, update

from connectors.records import Crm, RecordProblem, RecordRef
from sync.resolve import PEOPLE_OBJECTS
from sync.store import schema

__all__ = [
    "COMPANY_OBJECT",
    "SaveCounts",
    "aliases_of",
    "by_object",
    "carrier",
    "carries",
    "dirty_employees",
    "dirty_people",
    "follow_aliases",
    "here",
    "mark_dirty",
    "moved_into",
    "parts",
]

COMPANY_OBJECT: Mapping[str, str] = {Crm.HUBSPOT: "company", Crm.SALESFORCE: "account"}

PART = 900
"""Ids in one statement."""


@dataclass(slots=True)
class SaveCounts:
    """What became of the rows of a page.

    older     the stored version was newer, nothing was taken
    events    engagement that counters showed
    problems  values that could not be used, of records that did not have this problem before
    doubts    values that may mean something nobody can tell, of records that are new or changed
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    older: int = 0
    events: int = 0
    problems: list[RecordProblem] = field(default_factory=list)
    doubts: list[RecordProblem] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.new + self.changed + self.unchanged + self.older

    def plus(self, other: SaveCounts) -> SaveCounts:
        """Both together, without the problems."""
        return SaveCounts(
            new=self.new + other.new,
            changed=self.changed + other.changed,
            unchanged=self.unchanged + other.unchanged,
            older=self.older + other.older,
            events=self.events + other.events,
        )


def parts(values: Sequence[Any], size: int = PART) -> Iterator[Sequence[Any]]:
    """Pieces that fit into one statement."""
    return (values[start : start + size] for start in range(0, len(values), size))


def by_object(refs: Iterable[RecordRef]) -> dict[tuple[str, str], list[str]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for ref in refs:
        grouped.setdefault((ref.crm, ref.object), []).append(ref.id)
    return grouped


def carrier(object: str, id: str) -> RecordRef:
    """The record an event belongs to. It can be the other CRM's, where the event's address was known only there.

    Only HubSpot's ids are digits alone: a Salesforce id begins with its object's prefix and ends with check letters.
    Rows of files are an object of their own.
    """
    if object in PEOPLE_OBJECTS[Crm.FILE]:
        return RecordRef(crm=Crm.FILE, object=object, id=id)
    return RecordRef(crm=Crm.HUBSPOT if id.isdecimal() else Crm.SALESFORCE, object=object, id=id)


def carries(link: Any, event: Any) -> Any:
    """The join of an event's row with the link of its record, whichever CRM's that is (see `carrier`)."""
    return and_(link.conn.in_([crm.value for crm in Crm]), link.object == event.object, link.id == event.id)


def here(table: Any, conn: str, object: str, ids: Sequence[str]) -> Any:
    return and_(table.c.conn == conn, table.c.object == object, table.c.id.in_(ids))


def aliases_of(tx: Connection, refs: Iterable[RecordRef]) -> Iterator[tuple[RecordRef, RecordRef]]:
    for (conn, object), ids in by_object(refs).items():
        a = schema.alias.c
        for part in parts(ids):
            found = select(a.old_id, a.new_object, a.new_id).where(
                a.conn == conn, a.object == object, a.old_id.in_(part)
            )
            for row in tx.execute(found):
                old = RecordRef(crm=Crm(conn), object=object, id=row.old_id)
                yield old, RecordRef(crm=Crm(conn), object=row.new_object, id=row.new_id)


def moved_into(tx: Connection, refs: Iterable[RecordRef]) -> Iterator[tuple[RecordRef, RecordRef]]:
    """(old, new) of every record that was merged or converted into one of these, without a stop between."""
    a = schema.alias.c
    for (conn, object), ids in by_object(refs).items():
        crm = Crm(conn)
        for part in parts(ids):
            where = and_(a.conn == conn, a.new_object == object, a.new_id.in_(part))
            for row in tx.execute(select(a.object, a.old_id, a.new_id).where(where)):
                yield (
                    RecordRef(crm=crm, object=row.object, id=row.old_id),
                    RecordRef(crm=crm, object=object, id=row.new_id),
                )


def follow_aliases(tx: Connection, refs: Iterable[RecordRef]) -> dict[RecordRef, RecordRef]:
    """Each ref -> where its life goes on in the end; those that never moved are left out."""
    target = dict(aliases_of(tx, refs))  # hardly any, as a rule
    seen = {ref: {ref, to} for ref, to in target.items()}
    open_ends = set(target)
    while open_ends:
        step = dict(aliases_of(tx, {target[ref] for ref in open_ends}))
        open_ends = {ref for ref in open_ends if target[ref] in step and step[target[ref]] not in seen[ref]}
        for ref in open_ends:
            target[ref] = step[target[ref]]
            seen[ref].add(target[ref])
    return {ref: end for ref, end in target.items() if end != ref}


def mark_dirty(tx: Connection, refs: Iterable[RecordRef], why: str) -> None:
    """The people of these records must be gathered and scored again. A reason that stands already stays."""
    for (conn, object), ids in by_object(refs).items():
        for part in parts(ids):
            people = select(schema.link.c.person_id).where(here(schema.link, conn, object, part))
            dirty_people(tx, schema.person.c.person_id.in_(people), why)


def dirty_people(tx: Connection, which: Any, why: str) -> None:
    """As `mark_dirty`, for the people a condition on the person table finds."""
    tx.execute(update(schema.person).where(which, schema.person.c.dirty.is_(None)).values(dirty=why))


def dirty_employees(tx: Connection, companies: Iterable[RecordRef]) -> None:
    r = schema.record.c
    for (conn, _), ids in by_object(companies).items():
        for part in parts(sorted(set(ids))):
            people = (
                select(schema.link.c.person_id)
                .join(
                    schema.record,
                    (schema.link.c.conn == r.conn) & (schema.link.c.object == r.object) & (schema.link.c.id == r.id),
                )
                .where(r.conn == conn, r.company_id.in_(part), r.company_id.is_not(None))
            )
            dirty_people(tx, schema.person.c.person_id.in_(people), "company")
