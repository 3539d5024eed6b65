"""Comparing a stream with its CRM: how far that has come, what was seen there, and what only the store has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, not_, select, update

from connectors.records import Crm, RecordRef, Stream
from sync.resolve import Role
from sync.store import schema
from sync.store.refs import here, parts
from sync.store.statements import insert_into, upsert

__all__ = [
    "Drift",
    "Known",
    "SweepState",
    "begin",
    "count_unseen",
    "forget_seen",
    "known_of",
    "load_sweep",
    "mend_links",
    "newest_sweeps",
    "note_seen",
    "save_sweep",
    "unseen",
]


@dataclass(slots=True)
class Drift:
    """What a sweep of one stream found, and mended. All but ``listed`` must tend to nothing.

    listed   records of the CRM, or events read again
    missed   they were not in the store
    changed  the store had an older version, or held them for gone
    gone     the store held them for live: deleted, merged away or converted there
    links    who a record is was not known, or no longer true
    left     not there either, and left as they are, being too many at once
    """

    listed: int = 0
    missed: int = 0
    changed: int = 0
    gone: int = 0
    links: int = 0
    left: int = 0

    @property
    def repaired(self) -> int:
        return self.missed + self.changed + self.gone + self.links


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepState:
    """The newest sweep of a stream. ``since``: when the one before it began. ``resume``: where to go on in it."""

    began_at: datetime
    since: datetime | None
    resume: str | None
    found: Drift
    finished_at: datetime | None


def load_sweep(tx: Connection, stream: Stream) -> SweepState | None:
    """The stream's newest sweep, None when there was none."""
    c = schema.sweep.c
    row = tx.execute(select(schema.sweep).where(c.conn == stream.crm, c.stream == stream.name)).first()
    if row is None:
        return None
    return _state(row)


def _state(row: Any) -> SweepState:
    return SweepState(
        began_at=row.began_at,
        since=row.since,
        resume=row.resume,
        found=Drift(**row.found),
        finished_at=row.finished_at,
    )


def save_sweep(tx: Connection, stream: Stream, state: SweepState) -> None:
    """Store where the sweep stands, in the transaction of what it mended."""
    row = {
        "conn": stream.crm,
        "stream": stream.name,
        "began_at": state.began_at,
        "since": state.since,
        "resume": state.resume,
        "found": asdict(state.found),
        "finished_at": state.finished_at,
    }
    upsert(tx, schema.sweep, [row], ("conn", "stream"))


def newest_sweeps(tx: Connection) -> Iterator[tuple[str, SweepState]]:
    """(``hubspot:contact``, its newest sweep) of every stream that was ever swept."""
    for row in tx.execute(select(schema.sweep).order_by(schema.sweep.c.conn, schema.sweep.c.stream)):
        yield f"{row.conn}:{row.stream}", _state(row)


def begin(tx: Connection, stream: Stream, *, at: datetime) -> SweepState:
    """A new sweep: nothing of the stream's records is seen yet."""
    before = load_sweep(tx, stream)
    forget_seen(tx, stream)
    state = SweepState(
        began_at=at,
        since=before.began_at if before is not None and before.finished_at is not None else None,
        resume=None,
        found=Drift(),
        finished_at=None,
    )
    save_sweep(tx, stream, state)
    return state


def note_seen(tx: Connection, refs: Iterable[RecordRef]) -> None:
    """These live in the CRM."""
    rows = [{"conn": ref.crm.value, "object": ref.object, "id": ref.id} for ref in dict.fromkeys(refs)]
    if rows:
        tx.execute(insert_into(schema.sighting, tx.dialect).on_conflict_do_nothing(), rows)


@dataclass(frozen=True, slots=True)
class Known:
    """A record as the store has it."""

    modified_at: datetime
    gone: bool


def known_of(tx: Connection, crm: Crm, object: str, ids: Sequence[str]) -> Mapping[str, Known]:
    """Of these ids, those the store has."""
    r = schema.record.c
    return {
        row.id: Known(row.modified_at, row.gone)
        for part in parts(ids)
        for row in tx.execute(select(r.id, r.modified_at, r.gone).where(here(schema.record, crm, object, part)))
    }


def unseen(tx: Connection, crm: Crm, object: str, *, before: datetime, after: str, limit: int) -> list[RecordRef]:
    """Live records of the store that were there ``before`` the sweep began and that it did not see, by id."""
    r = schema.record.c
    found = select(r.id).where(_live_at(crm, object, before), not_(_seen()), r.id > after).order_by(r.id).limit(limit)
    return [RecordRef(crm=crm, object=object, id=id) for id in tx.execute(found).scalars()]


def count_unseen(tx: Connection, crm: Crm, object: str, *, before: datetime) -> tuple[int, int]:
    """(how many `unseen` would find in all, how many records it would look at)."""
    live = select(func.count()).select_from(schema.record).where(_live_at(crm, object, before))
    return tx.execute(live.where(not_(_seen()))).scalar_one(), tx.execute(live).scalar_one()


def _live_at(crm: Crm, object: str, before: datetime) -> ColumnElement[bool]:
    r = schema.record.c
    return and_(r.conn == crm, r.object == object, not_(r.gone), r.first_seen_at <= before)


def _seen() -> ColumnElement[bool]:
    r, s = schema.record.c, schema.sighting.c
    return exists().where(s.conn == r.conn, s.object == r.object, s.id == r.id)


def forget_seen(tx: Connection, stream: Stream) -> None:
    """What was seen is of no use once the comparison is over."""
    s = schema.sighting.c
    tx.execute(delete(schema.sighting).where(s.conn == stream.crm, s.object == stream.name))


def mend_links(tx: Connection, crm: Crm, object: str) -> int:
    """Have every person's record looked at whose link is missing or no longer true; drop links of nothing."""
    r, l = schema.record.c, schema.link.c  # noqa: E741  # as in the query's aliases
    linked = and_(l.conn == r.conn, l.object == r.object, l.id == r.id)
    here = and_(r.conn == crm, r.object == object, not_(r.touched))
    alone = and_(not_(r.gone), not_(exists().where(linked)))
    stale = and_(r.gone, exists().where(linked, l.role != Role.GONE))
    touched = tx.execute(update(schema.record).where(here, alone | stale).values(touched=True)).rowcount
    lost = delete(schema.link).where(l.conn == crm, l.object == object, not_(exists().where(linked)))
    return touched + tx.execute(lost).rowcount
