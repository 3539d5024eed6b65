"""Engagement: one row an event, replaced when the CRM corrects it, and the growth of counters as events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, or_, select

from connectors.normalise import email as normal_email
from connectors.records import Counter, Crm, Engagement, RecordRef
from sync.resolve import PEOPLE_OBJECTS, precedence
from sync.store import schema
from sync.store.db import to_json
from sync.store.refs import SaveCounts, by_object, carrier, follow_aliases, here, mark_dirty, parts
from sync.store.statements import Lookup, PageStatement

__all__ = [
    "EVENT_BODY",
    "any_waiting",
    "counter_events",
    "insert_counter_events",
    "midnight",
    "place_waiting",
    "save_engagement",
]

CLOCK_STEP = timedelta(seconds=1)
"""CRM clocks are read from a header that knows whole seconds; stamps of records know milliseconds."""


EVENT_BODY = ("conn", "source_id", "object", "id", "address", "kind", "at", "timed", "count", "attributes", "deleted")


class EventRow(NamedTuple):
    """One row of the event table as it is sent to the driver; attributes as text."""

    conn: str
    source_id: str
    object: str | None
    id: str | None
    address: str | None
    kind: str
    at: datetime
    timed: bool
    count: int  # type: ignore[assignment]  # the column's name, which is a method of tuples too
    attributes: str
    deleted: bool
    seen_at: datetime


_NEW_EVENT = PageStatement(schema.event, EventRow._fields)
_FIRST_EVENT = PageStatement(schema.event, EventRow._fields, keys=("conn", "source_id"), keep=True)
_EVENTS = Lookup([schema.event], schema.event, ("conn",), "source_id")


def save_engagement(tx: Connection, events: Sequence[Engagement], *, seen_at: datetime) -> SaveCounts:
    """Store a page of engagement. A corrected event replaces the one before, which goes to the history.

    An event belongs to a record. One that names an address, or a record not read yet, waits until there is one, and
    then belongs to it for good.
    """
    counts = SaveCounts()
    newest = {(e.crm.value, e.source_id): e for e in events}
    counts.unchanged += len(events) - len(newest)
    stored = _stored_events(tx, newest)
    owners = _records_of(tx, newest, stored)
    fresh: list[EventRow] = []
    replaced: list[Any] = []
    for key, engagement in newest.items():
        before = stored.get(key)
        row: EventRow | None
        if engagement.deleted:
            gone = before is None or before.deleted
            row = None if gone else _as_stored(before)._replace(deleted=True, seen_at=seen_at)
        else:
            row = _event_row(engagement, owners[key], seen_at)
        if row is None or (before is not None and row[:-1] == _as_stored(before)[:-1]):
            counts.unchanged += 1
            continue
        fresh.append(row)
        if before is None:
            counts.new += 1
        else:
            counts.changed += 1
            replaced.append(before)
    _replace_events(tx, replaced, fresh, seen_at)
    return counts


def _event_row(engagement: Engagement, owner: tuple[str | None, str | None, str | None], seen_at: datetime) -> EventRow:
    at = engagement.at
    timed = isinstance(at, datetime)
    return EventRow(
        engagement.crm.value,
        engagement.source_id,
        *owner,
        engagement.kind,
        at if isinstance(at, datetime) else midnight(at),
        timed,
        engagement.count,
        to_json(engagement.attributes) if engagement.attributes else "{}",
        False,
        seen_at,
    )


def _as_stored(row: Any) -> EventRow:
    """A row of the table as it would be sent."""
    values: list[Any] = [to_json(row.attributes) if n == "attributes" else getattr(row, n) for n in EventRow._fields]
    return EventRow(*values)


def midnight(day: date) -> datetime:
    """How a date without time is stored."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _stored_events(tx: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    grouped: dict[str, list[str]] = {}
    for conn, source_id in keys:
        grouped.setdefault(conn, []).append(source_id)
    return {
        (row.conn, row.source_id): row
        for conn, ids in grouped.items()
        for part in parts(ids)
        for row in _EVENTS.rows(tx, part, conn=conn)
    }


def _replace_events(tx: Connection, replaced: Sequence[Any], fresh: Sequence[EventRow], seen_at: datetime) -> None:
    """Old versions to the history, new ones in as new rows: what the snapshot lacks is always at the end."""
    if replaced:
        history = [
            {
                "conn": row.conn,
                "source_id": row.source_id,
                "body": {n: getattr(row, n) for n in EVENT_BODY if n not in ("conn", "source_id", "at")}
                | {"at": row.at.isoformat()},
                "seen_at": row.seen_at,
                "superseded_at": seen_at,
            }
            for row in replaced
        ]
        tx.execute(schema.event_history.insert(), history)
        for part in parts([row.seq for row in replaced]):
            tx.execute(delete(schema.event).where(schema.event.c.seq.in_(part)))
    _NEW_EVENT.execute(tx, fresh)
    places = {(row.object, row.id) for row in (*fresh, *replaced)}
    owners = {carrier(object, id) for object, id in places if id is not None}
    mark_dirty(tx, owners, "engagement")


def _records_of(
    tx: Connection, events: Mapping[tuple[str, str], Engagement], stored: Mapping[tuple[str, str], Any]
) -> dict[tuple[str, str], tuple[str | None, str | None, str | None]]:
    """Event -> (object, id, None) of its record, or (None, None, whom it waits for)."""
    named = {e.who for e in events.values() if isinstance(e.who, RecordRef)}
    places = _live_places(tx, named)
    addresses: dict[tuple[str, str], tuple[str, str]] = {}
    out: dict[tuple[str, str], tuple[str | None, str | None, str | None]] = {}
    for key, engagement in events.items():
        before = stored.get(key)
        if isinstance(engagement.who, RecordRef):
            place = places.get(engagement.who)
            out[key] = (place.object, place.id, None) if place else (None, None, str(engagement.who))
        elif before is not None and before.id is not None:
            out[key] = (before.object, before.id, None)
        else:
            addresses[key] = (key[0], normal_email(engagement.who) or "")
    found = _by_address(tx, addresses.values())
    for key, (conn, address) in addresses.items():
        ref = found.get((conn, address))
        out[key] = (ref.object, ref.id, None) if ref else (None, None, address)
    return out


def _live_places(tx: Connection, refs: Iterable[RecordRef]) -> dict[RecordRef, RecordRef]:
    """Each ref -> the stored record that carries its events: itself, or where it moved. Unknown ones are left out."""
    wanted = set(refs)
    moved = follow_aliases(tx, wanted)
    ends = {ref: moved.get(ref, ref) for ref in wanted}
    known = set(_carriers(tx, ends.values()))
    return {ref: end for ref, end in ends.items() if end in known}


def _carriers(tx: Connection, refs: Iterable[RecordRef]) -> Iterator[RecordRef]:
    """Records that events can belong to: live ones, and gone ones that are linked to a person already."""
    r, link = schema.record.c, schema.link.c
    for (conn, object), ids in by_object(refs).items():
        linked = select(link.id).where(link.conn == r.conn, link.object == r.object, link.id == r.id).exists()
        for part in parts(sorted(set(ids))):
            found = select(r.id).where(here(schema.record, conn, object, part), or_(r.gone.is_(False), linked))
            for id in tx.execute(found).scalars():
                yield RecordRef(crm=Crm(conn), object=object, id=id)


def _by_address(tx: Connection, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], RecordRef]:
    """(conn, address) -> the record of that address: one of the same CRM if there is, then in order of precedence."""
    asked = {pair for pair in wanted if pair[1]}
    records: dict[str, list[RecordRef]] = {}
    c = schema.record_email.c
    for part in parts(sorted({address for _, address in asked})):
        for row in tx.execute(select(schema.record_email).where(c.email.in_(part))):
            records.setdefault(row.email, []).append(RecordRef(crm=Crm(row.conn), object=row.object, id=row.id))
    return {
        (conn, address): min(records[address], key=lambda ref: (ref.crm != conn, precedence(ref)))
        for conn, address in asked
        if address in records
    }


def any_waiting(tx: Connection) -> bool:
    """Whether there is any event without a record."""
    return tx.execute(select(schema.event.c.seq).where(schema.event.c.id.is_(None)).limit(1)).first() is not None


def place_waiting(tx: Connection, keys: Iterable[str], *, seen_at: datetime) -> None:
    """Events that waited for one of these (an address, or ``crm:object:id``) now belong to the record found for it."""
    e = schema.event.c
    asked = sorted(set(keys))
    waiting = [
        row
        for part in parts(asked)
        for row in tx.execute(select(schema.event).where(e.id.is_(None), e.address.in_(part)))
    ]
    named = {row.seq: _ref(row.address) for row in waiting}
    places = _live_places(tx, {ref for ref in named.values() if ref is not None})
    found = _by_address(tx, {(row.conn, row.address) for row in waiting if named[row.seq] is None})
    replaced: list[Any] = []
    fresh: list[EventRow] = []
    for row in waiting:
        ref = named[row.seq]
        place = places.get(ref) if ref is not None else found.get((row.conn, row.address))
        if place is not None:
            replaced.append(row)
            fresh.append(_as_stored(row)._replace(object=place.object, id=place.id, address=None))
    for part in parts([row.seq for row in replaced]):
        tx.execute(delete(schema.event).where(e.seq.in_(part)))
    # Not superseded, only found: no history.
    _replace_events(tx, [], fresh, seen_at)


def _ref(key: str) -> RecordRef | None:
    """``hubspot:contact:17`` -> the record; None for an e-mail address."""
    crm, _, rest = key.partition(":")
    object, _, id = rest.partition(":")
    return RecordRef(crm=Crm(crm), object=object, id=id) if id and crm in PEOPLE_OBJECTS else None


# -- counters ----------------------------------------------------------------------------------------------------


def counter_events(
    ref: RecordRef,
    counters: Sequence[Counter],
    base: Mapping[str, int],
    read_before: datetime | None,
    seen_at: datetime,
) -> list[EventRow]:
    """The growth of each counter since ``read_before`` (None: never read), when it stood at ``base``."""
    out: list[EventRow] = []
    for counter in counters:
        if counter.property not in base:
            grown = counter.total if counter.count_first and counter.last_at is not None else 0
            at = counter.last_at
        else:
            assert read_before is not None
            grown = counter.total - base[counter.property]
            at = _delta_time(counter, read_before, seen_at)
        if grown > 0:
            assert at is not None
            out.append(_delta(ref, counter, grown, at, seen_at))
    return out


def not_midnight(at: datetime) -> datetime:
    """Without time of day, exact midnight (UTC) stands for a date in any zone, anything else for an instant's day."""
    return at + timedelta(microseconds=1) if at.astimezone(UTC).time() == datetime.min.time() else at


def _delta_time(counter: Counter, before: datetime, now: datetime) -> datetime:
    if counter.last_at is not None and before <= counter.last_at < now + CLOCK_STEP:
        return counter.last_at
    return now


def _delta(ref: RecordRef, counter: Counter, grown: int, at: datetime, seen_at: datetime) -> EventRow:
    return EventRow(
        ref.crm.value,
        f"{ref.object}:{ref.id}:{counter.property}:{counter.total}",
        ref.object,
        ref.id,
        None,
        counter.kind,
        not_midnight(at),
        # When the last one was is known, not when each was: no test of seconds may use it.
        False,
        grown,
        to_json(counter.attributes) if counter.attributes else "{}",
        False,
        seen_at,
    )


def insert_counter_events(tx: Connection, first: Sequence[EventRow], more: Sequence[EventRow]) -> int:
    """Store what counters showed. ``first``: of records that were never read, so that a stored one is the same."""
    taken = _stored_events(tx, {(row.conn, row.source_id) for row in more}) if more else {}
    # A counter that fell and has grown to an earlier total again: another event, not the same one.
    again = [
        row._replace(source_id=f"{row.source_id}:{row.seen_at.astimezone(UTC):%Y%m%dT%H%M%S%f}")
        if (row.conn, row.source_id) in taken
        else row
        for row in more
    ]
    _FIRST_EVENT.execute(tx, first)
    _NEW_EVENT.execute(tx, again)
    return len(first) + len(again)
