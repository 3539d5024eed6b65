"""Who rewrites our fields, how often, and which of them are therefore left alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from connectors.records import Crm, RecordRef
from sync.fights import Fight, FightRule, rewritten_again
from sync.plan import Conflict
from sync.store import schema
from sync.store.refs import by_object, here, parts
from sync.store.statements import upsert

__all__ = ["FIGHT", "note_rewritten", "note_written", "standing"]

FIGHT = "fight"
"""The kind of conflict that holds a field until it is released, whatever becomes of the person."""


def note_rewritten(
    tx: Connection, person_id: str, conflict: Conflict, rule: FightRule, *, at: datetime
) -> Fight | None:
    """Our value was replaced. The fight that this is, from now on held, or None while it does not happen too often.

    Counted once for each time that we wrote: planning again before ours stands there again counts nothing, nor does an
    owner who is changed again and again while we only follow.
    """
    f = schema.fight.c
    this = and_(*(f[name] == value for name, value in _named(conflict).items()))
    before = tx.execute(select(f.rewritten, f.answered).where(this)).first()
    if before is not None and not before.answered:
        return None
    earlier = [] if before is None else [datetime.fromisoformat(one) for one in before.rewritten]
    times, too_often = rewritten_again(earlier, at, rule)
    if not too_often:
        row = {**_named(conflict), "rewritten": [one.isoformat() for one in times], "answered": False}
        upsert(tx, schema.fight, [row], ("conn", "object", "id", "field"))
        return None
    # Whoever releases it starts anew.
    tx.execute(delete(schema.fight).where(this))
    held = {
        **_named(conflict),
        "kind": FIGHT,
        "person_id": person_id,
        "theirs": conflict.theirs,
        "ours": conflict.ours,
        "episode": None,
        "held": True,
        "seen_at": at,
        "settled_at": None,
    }
    upsert(tx, schema.conflict, [held], ("kind", "conn", "object", "id", "field"))
    return Fight(
        ref=conflict.ref,
        person_id=person_id,
        field=conflict.field,
        theirs=conflict.theirs,
        ours=conflict.ours,
        times=len(times),
        since=times[0],
    )


def note_written(tx: Connection, written: Mapping[RecordRef, Collection[str]]) -> None:
    """The CRM has confirmed these properties of these records: whoever replaces them now does it once more."""
    f = schema.fight.c
    answered: list[ColumnElement[bool]] = []
    for (conn, object), ids in by_object(written).items():
        for part in parts(ids):
            for row in tx.execute(select(f.id, f.field).where(here(schema.fight, conn, object, part))):
                ref = RecordRef(crm=Crm(conn), object=object, id=row.id)
                if row.field in written[ref]:
                    answered += [and_(f.conn == conn, f.object == object, f.id == row.id, f.field == row.field)]
    for this in answered:
        tx.execute(update(schema.fight).where(this).values(answered=True))


def standing(tx: Connection) -> list[Any]:
    """The rows of `schema.conflict` that are fights and not released, oldest first."""
    c = schema.conflict.c
    found = select(schema.conflict).where(c.kind == FIGHT, c.held, c.settled_at.is_(None)).order_by(c.seen_at, c.seq)
    return list(tx.execute(found))


def _named(conflict: Conflict) -> dict[str, str]:
    ref = conflict.ref
    return {"conn": ref.crm.value, "object": ref.object, "id": ref.id, "field": conflict.field}
