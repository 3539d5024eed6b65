"""Verdicts of marketers on people in review, from a CRM's property or from the command line.

An edit of the property becomes a verdict exactly once: `answer` keeps what stands in it, from the read that first
showed it until the property is blank again, by our hand or another's. What an older version of the record shows is no
edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, select, update

from connectors.records import Crm, RecordRef
from scoring.episodes import Status, Verdict
from sync.mapping import ReviewAnswer
from sync.sales import approves
from sync.store import schema
from sync.store.refs import by_object, dirty_people, here, parts
from sync.store.statements import upsert

__all__ = ["hear_answers", "in_review", "note_blank", "say", "tell_answers"]

Said = Mapping[RecordRef, tuple[str | None, datetime]]
"""What each record's property shows (None: nothing), and the stamp of that version."""


def hear_answers(tx: Connection, said: Said, property: str) -> None:
    """Remember what is new in the property, in the transaction that stores the records."""
    known = _answers(tx, said)
    rows = [
        _row(ref, property, value, at, told=value is None)
        for ref, (value, at) in said.items()
        if _is_news(value, at, known.get(ref))
    ]
    upsert(tx, schema.answer, rows, ("conn", "object", "id"))


def _is_news(value: str | None, at: datetime, known: Any) -> bool:
    if known is None:
        return value is not None
    if value == known.value:
        return False
    # It was blank at `known.at`: what an earlier version shows is what was answered and cleared since.
    return known.value is not None or bool(at > known.at)


def _row(ref: RecordRef, property: str, value: str | None, at: datetime, *, told: bool) -> dict[str, Any]:
    key = {"conn": ref.crm.value, "object": ref.object, "id": ref.id}
    return key | {"property": property, "value": value, "at": at, "told": told}


def _answers(tx: Connection, refs: Iterable[RecordRef]) -> dict[RecordRef, Any]:
    found: dict[RecordRef, Any] = {}
    for (conn, object), ids in by_object(refs).items():
        for part in parts(ids):
            for row in tx.execute(select(schema.answer).where(here(schema.answer, conn, object, part))):
                found[RecordRef(crm=Crm(conn), object=object, id=row.id)] = row
    return found


def note_blank(tx: Connection, confirmed: Mapping[RecordRef, tuple[Mapping[str, str | None], datetime | None]]) -> None:
    """A CRM just said what these records hold: where the property is blank, whatever is chosen next is a new edit."""
    blank = {ref: (values, at) for ref, (values, at) in confirmed.items() if None in values.values()}
    rows = []
    for ref, known in _answers(tx, blank).items():
        values, at = blank[ref]
        if known.value is not None and known.property in values and values[known.property] is None:
            rows.append(_row(ref, known.property, None, max(known.at, at or known.at), told=True))
    upsert(tx, schema.answer, rows, ("conn", "object", "id"))


def tell_answers(tx: Connection, rules: Mapping[Crm, ReviewAnswer]) -> int:
    """Make verdicts of what was heard. Call it when it is known whose the records are. Returns how many.

    Whether anybody waits for the verdict is not asked here: one that nobody waits for changes nothing.
    """
    a, l = schema.answer.c, schema.link.c  # noqa: E741  # as in the query's aliases
    joined = schema.answer.join(schema.link, and_(l.conn == a.conn, l.object == a.object, l.id == a.id))
    untold = select(schema.answer, l.person_id).select_from(joined).where(~a.told)
    rows = tx.execute(untold.order_by(a.at, a.conn, a.object, a.id)).all()
    said = [
        {"person_id": row.person_id, "approve": yes, "at": row.at, "by": f"{row.conn}: {row.property}", "why": None}
        for row in rows
        if (rule := rules.get(Crm(row.conn))) is not None and (yes := approves(rule, row.value)) is not None
    ]
    if rows:
        keys = [{"its_conn": row.conn, "its_object": row.object, "its_id": row.id} for row in rows]
        its = and_(a.conn == bindparam("its_conn"), a.object == bindparam("its_object"), a.id == bindparam("its_id"))
        tx.execute(update(schema.answer).where(its).values(told=True), keys)
    _store(tx, said)
    return len(said)


def say(tx: Connection, person_ids: Sequence[str], verdict: Verdict) -> None:
    """One verdict on each of these people. The next run decides by it."""
    plain = {"approve": verdict.approve, "at": verdict.at, "by": verdict.by, "why": verdict.why}
    _store(tx, [{"person_id": person_id, **plain} for person_id in person_ids])


def _store(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    tx.execute(schema.verdict.insert(), list(rows))
    for part in parts([row["person_id"] for row in rows]):
        dirty_people(tx, schema.person.c.person_id.in_(part), "review")


def in_review(tx: Connection) -> list[str]:
    """Ids of everybody who waits for a marketer, longest first."""
    p = schema.person.c
    found = select(p.person_id).where(p.status == Status.REVIEW).order_by(p.status_since, p.person_id)
    return list(tx.execute(found).scalars())
