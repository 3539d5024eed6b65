"""Where somebody else's value stands against ours: field by field, with what it means and how it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, and_, or_, select

from connectors.records import Crm, RecordRef
from sync.owners import OwnerDirectory
from sync.resolve import Role
from sync.store import outbox, schema
from sync.store.people import load_owner_names, owner_name
from sync.store.refs import mark_dirty

__all__ = ["NothingHeld", "Owned", "Standing", "TwoOwners", "release", "standing", "two_owners"]

REMEMBERED = timedelta(days=30)
"""How long a field that was written over, and that we wrote again, is listed."""

MEANINGS: Mapping[str, str] = {
    "human edit": "somebody changed it after we wrote it; theirs stays, and we write this field no more",
    "fight": "somebody, most likely a workflow, sets it back again and again; we write this field no more",
    "tamper": "somebody typed over it; we write ours again",
}


class NothingHeld(Exception):
    """A number names no field that is held. Nothing was released."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One field. ``no`` names it for the release; ``held``: it is not written while this stands."""

    no: int
    kind: str
    ref: RecordRef
    person_id: str
    name: str
    field: str
    theirs: str | None
    ours: str | None
    since: datetime
    held: bool

    @property
    def ends(self) -> str:
        """How it ends."""
        if not self.held:
            return "nothing to do; find out who does it when it comes back"
        episode = "the next episode of the person, or " if self.kind == "human edit" else ""
        return f"{episode}`mqlsync conflicts release {self.no}`: the next run writes ours"

    def as_json(self) -> dict[str, Any]:
        return {
            "no": self.no,
            "kind": self.kind,
            "crm": self.ref.crm,
            "record": str(self.ref),
            "person_id": self.person_id,
            "name": self.name,
            "field": self.field,
            "theirs": self.theirs,
            "ours": self.ours,
            "since": self.since,
            "held": self.held,
            "means": MEANINGS[self.kind],
            "ends": self.ends,
        }

    def lines(self) -> Iterator[str]:
        yield f"{self.no}  {self.ref}  {self.field}: {_shown(self.theirs)}, ours {_shown(self.ours)}"
        yield f"    {self.name}, since {self.since:%Y-%m-%d %H:%M} UTC: {MEANINGS[self.kind]}."
        yield f"    Ends with {self.ends}." if self.held else f"    {self.ends[0].upper()}{self.ends[1:]}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """Whose one record of a person is."""

    ref: RecordRef
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoOwners:
    """An MQL who has one owner in one CRM and another one in the other: as neither CRM decides, both stay."""

    person_id: str
    name: str
    owned: tuple[Owned, ...]

    def as_json(self) -> dict[str, Any]:
        owners = [{"crm": one.ref.crm, "record": str(one.ref), "owner": one.owner} for one in self.owned]
        return {"person_id": self.person_id, "name": self.name, "owners": owners}

    def lines(self) -> Iterator[str]:
        yield f"{self.name} has two owners: " + ", ".join(f"{one.owner} has {one.ref}" for one in self.owned)
        yield "    Neither is overwritten. Give both to one of them, or set owner_authority to the CRM that decides."


def standing(tx: Connection, *, now: datetime) -> list[Standing]:
    """Every field that is held, and those typed over lately; the oldest first."""
    c, p = schema.conflict.c, schema.person.c
    lately = and_(c.kind == "tamper", c.seen_at > now - REMEMBERED)
    found = (
        select(schema.conflict, p.email, p.name)
        .outerjoin(schema.person, p.person_id == c.person_id)
        .where(or_(c.held, lately), c.kind.in_(MEANINGS))
        .order_by(c.seen_at, c.seq)
    )
    return [
        Standing(
            no=row.seq,
            kind=row.kind,
            ref=RecordRef(crm=Crm(row.conn), object=row.object, id=row.id),
            person_id=row.person_id,
            name=row.name or row.email or row.person_id,
            field=row.field,
            theirs=row.theirs,
            ours=row.ours,
            since=row.seen_at,
            held=row.held,
        )
        for row in tx.execute(found)
    ]


def release(tx: Connection, numbers: Sequence[int], *, at: datetime) -> list[Standing]:
    """Let the next run write these fields again. All of them, or none.

    Raises
    ------
    NothingHeld: with the numbers that name no field that is held
    """
    held = {one.no: one for one in standing(tx, now=at) if one.held}
    unknown = sorted(set(numbers) - held.keys())
    if unknown:
        listed = ", ".join(map(str, unknown))
        raise NothingHeld(
            f"no field that is held has the number {listed}; see `mqlsync conflicts`. Nothing was released"
        )
    freed = [held[no] for no in dict.fromkeys(numbers)]
    c = schema.conflict.c
    outbox.release(tx, tx.execute(select(schema.conflict).where(c.seq.in_(numbers))).all(), at=at)
    mark_dirty(tx, [one.ref for one in freed], "released")
    return freed


def two_owners(tx: Connection, directory: OwnerDirectory) -> list[TwoOwners]:
    """Open episodes whose records belong to different people in the two CRMs."""
    e, l, r, p = schema.episode.c, schema.link.c, schema.record.c, schema.person.c  # noqa: E741  # as in the query
    found = (
        select(l.person_id, p.name, p.email, l.conn, l.object, l.id, r.owner)
        .join(schema.link, l.person_id == e.person_id)
        .join(schema.record, and_(r.conn == l.conn, r.object == l.object, r.id == l.id))
        .join(schema.person, p.person_id == e.person_id)
        .where(e.closed_at.is_(None), l.role == Role.TARGET, r.gone.is_(False), r.owner.is_not(None))
        .order_by(l.person_id, l.conn, l.object, l.id)
    )
    names = load_owner_names(tx)
    people: dict[str, tuple[str, dict[RecordRef, str]]] = {}
    for row in tx.execute(found):
        key = directory.owner_key(Crm(row.conn), row.owner)
        if key is not None:
            _, owned = people.setdefault(row.person_id, (row.name or row.email or row.person_id, {}))
            owned[RecordRef(crm=Crm(row.conn), object=row.object, id=row.id)] = key
    return [
        TwoOwners(
            person_id=person_id,
            name=name,
            owned=tuple(Owned(ref=ref, owner=owner_name(key, names)) for ref, key in owned.items()),
        )
        for person_id, (name, owned) in people.items()
        if not all(directory.is_same(key, other) for key, other in pairwise(owned.values()))
    ]


def _shown(value: str | None) -> str:
    return "(blank)" if value is None or value == "" else repr(value)
