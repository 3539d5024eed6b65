"""What the CRMs say of people and companies, as last read.

Every function takes the transaction it runs in, so that rows and cursor stand or fall together. Saving what is stored
already changes nothing: pages can be read again at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, Text, cast, delete, select

from connectors.normalise import email as normal_email
from connectors.records import (
    CompanyRecord,
    Crm,
    PersonRecord,
    RecordProblem,
    RecordRef,
)
from sync.resolve import PEOPLE_OBJECTS
from sync.sales import Hearing, deal_word, latest, read_stored, sales_word, stored, unknown_value
from sync.store import outbox, schema
from sync.store.accounts import Cursor, load_cursor, pin_account, pinned_accounts, save_owners, save_window
from sync.store.db import to_json
from sync.store.engagement import (
    EventRow,
    any_waiting,
    counter_events,
    insert_counter_events,
    place_waiting,
    save_engagement,
)
from sync.store.refs import SaveCounts, aliases_of, by_object, dirty_employees, here, mark_dirty, moved_into, parts
from sync.store.reviews import hear_answers, note_blank
from sync.store.statements import Lookup, PageStatement, upsert

__all__ = [
    "Cursor",
    "SaveCounts",
    "load_cursor",
    "mark_dirty",
    "mark_moved",
    "note_confirmed",
    "pin_account",
    "pinned_accounts",
    "save_companies",
    "save_engagement",
    "save_owners",
    "save_people",
    "save_window",
]

NOT_AN_INPUT = "person.owner"
"""A mapped fact that no score depends on: owners change by our own hand."""

R = TypeVar("R", PersonRecord, CompanyRecord)

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_NOTHING_HEARD = Hearing()


# -- the record table --------------------------------------------------------------------------------------------


class RecordRow(NamedTuple):
    """One row of the record table as it is sent to the driver; JSON columns as text."""

    conn: str
    object: str
    id: str
    email_norm: str | None
    emails: str
    facts: str
    current: str
    counters: str
    cross_refs: str
    owner: str | None
    company_id: str | None
    input_hash: str
    version: str
    modified_at: datetime
    created_at: datetime | None
    gone: bool
    moved_to: str | None
    problems: str
    sales: str | None
    inputs_at: datetime
    touched: bool
    written_at: datetime | None
    first_seen_at: datetime
    seen_at: datetime

    @property
    def ref(self) -> RecordRef:
        return RecordRef(crm=Crm(self.conn), object=self.object, id=self.id)

    def says_the_same(self, other: RecordRow) -> bool:
        """Equal in all but when it was read."""
        return self[:-1] == other[:-1]


_SAVE_RECORD = PageStatement(schema.record, RecordRow._fields, keys=("conn", "object", "id"))

_JSON = {"emails", "facts", "current", "counters", "cross_refs", "problems", "sales"}

_STORED_ROW = [cast(schema.record.c[n], Text).label(n) if n in _JSON else schema.record.c[n] for n in RecordRow._fields]

_read: Any = msgspec.json.decode


_STORED = Lookup(_STORED_ROW, schema.record, ("conn", "object"), "id")


def _stored(tx: Connection, refs: Iterable[RecordRef]) -> dict[RecordRef, RecordRow]:
    out: dict[RecordRef, RecordRow] = {}
    for (conn, object), ids in by_object(refs).items():
        crm = Crm(conn)
        for part in parts(ids):
            for row in _STORED.rows(tx, part, conn=conn, object=object):
                out[RecordRef(crm=crm, object=object, id=row.id)] = RecordRow(*row)
    return out


def _input_hash(facts: Mapping[str, Any], emails: str, company: str | None, gone: bool) -> str:
    inputs = facts
    if NOT_AN_INPUT in facts:
        inputs = dict(facts)
        del inputs[NOT_AN_INPUT]
    body = to_json([inputs, emails, company, gone])
    return hashlib.blake2b(body.encode(), digest_size=16).hexdigest()


def _newest(records: Iterable[R]) -> dict[RecordRef, R]:
    """One of each: a batch can name a record twice, by its old and its new id."""
    out: dict[RecordRef, R] = {}
    for one in records:
        before = out.get(one.ref)
        if before is None or one.modified_at >= before.modified_at:
            out[one.ref] = one
    return out


def _is_older(record: PersonRecord | CompanyRecord, stored: RecordRow) -> bool:
    """An index that lags shows an older version than one already read. A record that is gone is always news."""
    return record.modified_at < stored.modified_at and (stored.gone or not record.gone)


@dataclass(slots=True)
class _Page:
    """What saving one page has to do, collected first so that each thing is one statement."""

    seen_at: datetime
    counts: SaveCounts = field(default_factory=SaveCounts)
    rows: list[RecordRow] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    readdressed: list[RecordRow] = field(default_factory=list)
    rereferred: list[RecordRow] = field(default_factory=list)
    fresh: list[RecordRow] = field(default_factory=list)
    dirty: dict[str, list[RecordRef]] = field(default_factory=dict)
    aliases: dict[RecordRef, tuple[RecordRef, str]] = field(default_factory=dict)
    first: list[EventRow] = field(default_factory=list)
    deltas: list[EventRow] = field(default_factory=list)
    grown: list[RecordRef] = field(default_factory=list)

    def take(self, row: RecordRow, before: RecordRow | None) -> None:
        """Note what a new or changed row means for the tables beside it."""
        self.rows.append(row)
        if before is None:
            self.counts.new += 1
            self.fresh.append(row)
            if row.cross_refs != "[]":
                self.rereferred.append(row)
            return
        self.counts.changed += 1
        if (before.emails, before.gone) != (row.emails, row.gone):
            self.readdressed.append(row)
        if before.cross_refs != row.cross_refs:
            self.rereferred.append(row)
        if before.input_hash != row.input_hash:
            self.history.append(_history(row, before, self.seen_at))
            self.dirty.setdefault("facts", []).append(row.ref)
        elif before.owner != row.owner or before.facts != row.facts:
            self.dirty.setdefault("owner", []).append(row.ref)
        if before.sales != row.sales:
            self.dirty.setdefault("sales", []).append(row.ref)


def _history(row: RecordRow, before: RecordRow, seen_at: datetime) -> dict[str, Any]:
    now, old = _read(row.facts), _read(before.facts)
    changed = [n for n in sorted({*now, *old}) if now.get(n) != old.get(n) and n != NOT_AN_INPUT]
    values = {name: old[name] for name in changed if name in old} | {"inputs_at": before.inputs_at.isoformat()}
    for name in ("emails", "company_id", "gone"):
        if getattr(row, name) != getattr(before, name):
            changed.append(name)
            value = getattr(before, name)
            if value is not None:
                values[name] = _read(value) if name in _JSON else value
    return {
        "conn": row.conn,
        "object": row.object,
        "id": row.id,
        "seen_at": seen_at,
        "changed": changed,
        "old": values,
    }


def save_people(
    tx: Connection,
    records: Sequence[PersonRecord],
    *,
    seen_at: datetime,
    ours: Mapping[str, str],
    hearing: Hearing = _NOTHING_HEARD,
) -> SaveCounts:
    """Store a page of people, with the engagement that their counters show.

    Parameters
    ----------
    seen_at: the CRM's clock when the page was read
    ours: fact -> property, for facts mapped from a property that mqlsync writes too. A value that is there because we
        wrote it does not become a fact: the fact keeps what it was before.
    hearing: what sales and marketing say by which properties. That is no scoring input: it moves neither facts nor
        their history
    """
    page = _Page(seen_at=seen_at)
    newest = _newest(records)
    page.counts.unchanged += len(records) - len(newest)
    stored = _stored(tx, newest)
    merged = _newly_absorbed(tx, newest.values())
    moved: dict[RecordRef, RecordRow] = {}
    for ref, record in newest.items():
        before = stored.get(ref)
        if before is not None and _is_older(record, before):
            page.counts.older += 1
            continue
        row = _person_row(record, before, record.facts, seen_at, touched=ref in merged, hearing=hearing)
        if before is not None and row.says_the_same(before):
            page.counts.unchanged += 1
        else:
            moved[ref] = row
    written = _written_by_us(tx, moved, stored, ours)
    for ref, values in written.items():
        facts = _without_our_values(newest[ref], _read(stored[ref].facts), ours, values)
        row = _person_row(newest[ref], stored[ref], facts, seen_at, touched=ref in merged, hearing=hearing)
        if row.says_the_same(stored[ref]):
            page.counts.unchanged += 1
            del moved[ref]
        else:
            moved[ref] = row
    counted = _stored(tx, [old for olds in merged.values() for old in olds])
    for ref, row in moved.items():
        record, before = newest[ref], stored.get(ref)
        if ref in merged:
            page.aliases.update(dict.fromkeys(merged[ref], (ref, "merged")))
        if record.moved_to is not None and (before is None or before.moved_to != row.moved_to):
            page.aliases[ref] = (record.moved_to, "merged" if record.moved_to.object == ref.object else "converted")
        # The survivor's totals now include those of the record merged into it, whose events are stored already.
        doubled = ref in merged and (before is not None or any(old in counted for old in merged[ref]))
        if record.counters and not record.gone and not doubled:
            base, read_before = ({}, None) if before is None else (_read(before.counters), before.seen_at)
            if grown := counter_events(ref, record.counters, base, read_before, seen_at):
                if before is None:
                    page.first += grown
                else:
                    page.deltas += grown
                page.grown.append(ref)
        page.take(row, before)
        page.counts.problems += _new_problems(record.problems, before)
        page.counts.doubts += _doubts(record, hearing)
        if before is not None and _edited(row.current, before.current, written.get(ref, {})):
            page.dirty.setdefault("edited", []).append(ref)
    _write_page(tx, page)
    if hearing.review is not None:
        hear_answers(tx, _answers(newest, stored, hearing.review.property), hearing.review.property)
    _absorb(tx, page)
    page.counts.events = insert_counter_events(tx, page.first, page.deltas)
    mark_dirty(tx, [ref for ref in page.grown if ref in stored], "engagement")
    if any_waiting(tx):
        arrived = [row for row in [*page.fresh, *page.readdressed] if not row.gone]
        here_now = {*(row.ref for row in arrived), *page.aliases}
        # Also what was written of them under names they had before.
        awaited = [str(ref) for ref in here_now | _former_names(tx, here_now)]
        place_waiting(tx, [*awaited, *(a for row in arrived for a in _read(row.emails))], seen_at=seen_at)
    return page.counts


def _person_row(
    record: PersonRecord,
    before: RecordRow | None,
    facts: Mapping[str, Any],
    seen_at: datetime,
    *,
    touched: bool,
    hearing: Hearing,
) -> RecordRow:
    """The row of a record; ``before`` is the one stored, ``facts`` are those to believe."""
    ref = record.ref
    if before is not None and record.gone and not record.facts:
        return _tombstone(before, record.moved_to, seen_at, record=record)
    emails, email, addresses = "[]", None, []
    if record.emails:
        addresses = list(dict.fromkeys(a for text in record.emails if (a := normal_email(text))))
        emails, email = to_json(addresses), addresses[0] if addresses else None
    company = record.company.id if record.company else None
    refs = to_json(sorted([str(r.crm), r.object, r.id] for r in record.cross_refs)) if record.cross_refs else "[]"
    moved_to = f"{record.moved_to.object}:{record.moved_to.id}" if record.moved_to else None
    hash = _input_hash(facts, emails, company, record.gone)
    inputs_at = record.modified_at
    if before is None:
        touched = True
    else:
        if hash == before.input_hash:
            inputs_at = before.inputs_at
        known = (before.emails, before.cross_refs, before.gone, before.moved_to)
        touched = touched or before.touched or known != (emails, refs, record.gone, moved_to)
    return RecordRow(
        ref.crm.value,
        ref.object,
        ref.id,
        email,
        emails,
        to_json(facts),
        _current(record, before),
        to_json({c.property: c.total for c in record.counters}) if record.counters else "{}",
        refs,
        record.owner,
        company,
        hash,
        record.version,
        record.modified_at,
        record.created_at,
        record.gone,
        moved_to,
        _problems(record.problems) if record.problems else "[]",
        _sales(record, before, hearing),
        inputs_at,
        touched,
        before.written_at if before is not None else None,
        before.first_seen_at if before is not None else seen_at,
        seen_at,
    )


def _sales(record: PersonRecord, before: RecordRow | None, hearing: Hearing) -> str | None:
    """What sales says, as text of JSON. Of a record that is gone nothing counts but that it was converted."""
    if hearing.sales is None or (record.gone and not _converted(record.ref, record.moved_to)):
        return None
    known = read_stored(_read(before.sales)) if before is not None and before.sales is not None else None
    by_property = sales_word(hearing.sales, record.heard, at=record.modified_at, before=known)
    word = latest((by_property, deal_word(hearing.sales, record.deals, before=known)))
    return to_json(stored(word)) if word is not None else None


def _converted(ref: RecordRef, to: RecordRef | None) -> bool:
    return to is not None and to.object != ref.object


def _doubts(record: PersonRecord, hearing: Hearing) -> list[RecordProblem]:
    gone = hearing.gone.get(record.ref.object, ())
    if hearing.sales is None or not gone or record.gone:
        return []
    reason = unknown_value(hearing.sales, record.heard, gone)
    return [] if reason is None else [RecordProblem(ref=record.ref, field=hearing.sales.property, reason=reason)]


def _answers(
    records: Mapping[RecordRef, PersonRecord], stored: Mapping[RecordRef, RecordRow], property: str
) -> dict[RecordRef, tuple[str | None, datetime]]:
    """What the review's property shows of records that are no older than what is known of them."""
    said: dict[RecordRef, tuple[str | None, datetime]] = {}
    for ref, record in records.items():
        before = stored.get(ref)
        if record.gone or (before is not None and (_is_older(record, before) or _lags(record, before))):
            continue
        said[ref] = (blank_is_none(record.heard.get(property)), record.modified_at)
    return said


def _lags(record: PersonRecord, before: RecordRow) -> bool:
    """The version is older than our newest confirmed write."""
    return before.written_at is not None and record.modified_at < before.written_at


def _current(record: PersonRecord, before: RecordRow | None) -> str:
    """What the properties we write say now, as text of JSON.

    A version older than our confirmed write comes from an index that lags: what was confirmed (`note_confirmed`) is the
    later word.
    """
    if before is None or not _lags(record, before):
        return to_json(record.current)
    known = _read(before.current)
    return to_json(dict(record.current) | {p: v for p, v in known.items() if p in record.current})


def note_confirmed(
    tx: Connection, confirmed: Mapping[RecordRef, tuple[Mapping[str, str | None], datetime | None]]
) -> None:
    """What a CRM just said these records hold: (values, the record's stamp where the answer shows it).

    By the answer to a write, or to a read by id. Until the next pull this is the newest that is known of them; without
    it, a plan made before that pull would take our own write for somebody's edit.
    """
    rows: list[RecordRow] = []
    for ref, row in _stored(tx, confirmed).items():
        values, at = confirmed[ref]
        stamps = [stamp for stamp in (row.written_at, at) if stamp is not None]
        now = to_json(_read(row.current) | dict(values))
        rows.append(row._replace(current=now, written_at=max(stamps, default=None)))
    _SAVE_RECORD.execute(tx, rows)
    note_blank(tx, confirmed)


def _problems(problems: Sequence[RecordProblem]) -> str:
    return to_json(sorted([p.field, p.reason] for p in problems))


def _new_problems(problems: Sequence[RecordProblem], before: RecordRow | None) -> list[RecordProblem]:
    if not problems:
        return []
    known = _read(before.problems) if before else []
    return [p for p in problems if [p.field, p.reason] not in known]


def _without_our_values(
    record: PersonRecord,
    before: Mapping[str, Any],
    ours: Mapping[str, str],
    written: Mapping[str, frozenset[str | None]],
) -> dict[str, Any]:
    facts: dict[str, Any] = dict(record.facts)
    for fact, prop in ours.items():
        if prop in record.current and blank_is_none(record.current[prop]) in written.get(prop, frozenset()):
            facts.pop(fact, None)
            if fact in before:
                facts[fact] = before[fact]
    return facts


def blank_is_none(text: str | None) -> str | None:
    """A CRM's blank and no value are the same."""
    return (text.strip() or None) if text is not None else None


def _edited(now: str, before: str, written: Mapping[str, frozenset[str | None]]) -> bool:
    """A property we write was changed, and not by us."""
    if now == before:
        return False
    values, old = _read(now), _read(before)
    return any(
        blank_is_none(value) not in written.get(prop, frozenset())
        for prop, value in values.items()
        if value != old.get(prop)
    )


def _written_by_us(
    tx: Connection, moved: Mapping[RecordRef, RecordRow], stored: Mapping[RecordRef, RecordRow], ours: Mapping[str, str]
) -> dict[RecordRef, dict[str, frozenset[str | None]]]:
    """For records where a property we write has moved: every value of it that came, or may have come, from us."""
    asked = [ref for ref, row in moved.items() if ref in stored and _may_be_ours(row, stored[ref], ours)]
    values: dict[RecordRef, dict[str, set[str | None]]] = {}
    for ref, fields in outbox.acked_fields(tx, asked).items():
        for prop, value in fields.items():
            values.setdefault(ref, {}).setdefault(prop, set()).add(blank_is_none(value))
    for (conn, object), ids in by_object(asked).items():
        for part in parts(ids):
            sent = select(schema.outbox.c.id, schema.outbox.c.sent).where(here(schema.outbox, conn, object, part))
            for row in tx.execute(sent):
                ref = RecordRef(crm=Crm(conn), object=object, id=row.id)
                for attempt in row.sent:
                    for prop, value in attempt.items():
                        values.setdefault(ref, {}).setdefault(prop, set()).add(blank_is_none(value))
    return {ref: {p: frozenset(v) for p, v in of.items()} for ref, of in values.items()}


def _may_be_ours(row: RecordRow, before: RecordRow, ours: Mapping[str, str]) -> bool:
    """A property we write moved, or a fact read from one differs: it may never have taken a value of ours."""
    if row.current != before.current:
        return True
    if not ours or row.facts == before.facts:
        return False
    now, then = _read(row.facts), _read(before.facts)
    return any(now.get(fact) != then.get(fact) for fact in ours)


def _former_names(tx: Connection, refs: Iterable[RecordRef]) -> set[RecordRef]:
    """The records that went into these, however long ago."""
    found: set[RecordRef] = set()
    ends = set(refs)
    while ends := {old for old, _ in moved_into(tx, ends)} - found:
        found |= ends
    return found


def _newly_absorbed(tx: Connection, records: Iterable[PersonRecord]) -> dict[RecordRef, list[RecordRef]]:
    """Survivor -> the records merged into it that were not known to be so."""
    claims = {old: record.ref for record in records for old in record.absorbed if old != record.ref}
    if not claims:
        return {}
    known = {old for old, _ in aliases_of(tx, claims)}
    fresh: dict[RecordRef, list[RecordRef]] = {}
    for old, survivor in claims.items():
        if old not in known:
            fresh.setdefault(survivor, []).append(old)
    return fresh


def _write_page(tx: Connection, page: _Page) -> None:
    _SAVE_RECORD.execute(tx, page.rows)
    if page.history:
        tx.execute(schema.record_history.insert(), page.history)
    _forget_addresses(tx, page.readdressed)
    rows = [row for row in (*page.fresh, *page.readdressed) if not row.gone]
    _NEW_EMAIL.execute(tx, [(a, r.conn, r.object, r.id) for r in rows for a in _read(r.emails)])
    _save_cross_refs(tx, page.rereferred)
    for why, refs in page.dirty.items():
        mark_dirty(tx, refs, why)


_EMAIL = ("email", "conn", "object", "id")
_CROSS_REF = ("conn", "object", "id", "to_conn", "to_object", "to_id")
# Keys throughout: what a record that was lost has left behind is no obstacle to its return.
_NEW_EMAIL = PageStatement(schema.record_email, _EMAIL, keys=_EMAIL, keep=True)
_NEW_CROSS_REF = PageStatement(schema.cross_ref, _CROSS_REF, keys=_CROSS_REF, keep=True)


def _forget_addresses(tx: Connection, rows: Sequence[RecordRow]) -> None:
    for (conn, object), ids in by_object(row.ref for row in rows).items():
        for part in parts(ids):
            tx.execute(delete(schema.record_email).where(here(schema.record_email, conn, object, part)))


def _save_cross_refs(tx: Connection, rows: Sequence[RecordRow]) -> None:
    for (conn, object), ids in by_object(row.ref for row in rows).items():
        for part in parts(ids):
            tx.execute(delete(schema.cross_ref).where(here(schema.cross_ref, conn, object, part)))
    _NEW_CROSS_REF.execute(tx, [(r.conn, r.object, r.id, *to) for r in rows for to in _read(r.cross_refs)])


def _absorb(tx: Connection, page: _Page) -> None:
    """Write down who moved where, and bury records that vanished without a word of their own."""
    if not page.aliases:
        return
    rows = [
        {
            "conn": old.crm,
            "object": old.object,
            "old_id": old.id,
            "new_object": new.object,
            "new_id": new.id,
            "reason": reason,
            "seen_at": page.seen_at,
        }
        for old, (new, reason) in page.aliases.items()
    ]
    upsert(tx, schema.alias, rows, ("conn", "object", "old_id"))
    outbox.drop_pending(tx, [ref for ref in page.aliases if ref.object in PEOPLE_OBJECTS[ref.crm]])
    buried = _Page(seen_at=page.seen_at)
    for ref, before in _stored(tx, page.aliases).items():
        if not before.gone:
            buried.take(_tombstone(before, page.aliases[ref][0], page.seen_at), before)
    _write_page(tx, buried)


def _tombstone(
    before: RecordRow, to: RecordRef | None, seen_at: datetime, *, record: PersonRecord | None = None
) -> RecordRow:
    """The row of a record that is gone. What is known of it stays: for the history, and for what it passes on.

    ``record``: what the CRM says of it, None when it vanished without a word.
    """
    row = before._replace(
        gone=True,
        moved_to=f"{to.object}:{to.id}" if to else before.moved_to,
        input_hash=_input_hash(_read(before.facts), before.emails, before.company_id, True),
        sales=before.sales if _converted(before.ref, to) else None,
        seen_at=seen_at,
    )
    if record is not None:
        row = row._replace(version=record.version, modified_at=max(record.modified_at, before.modified_at))
    news = (row.gone, row.moved_to) != (before.gone, before.moved_to)
    return row._replace(touched=before.touched or (news and before.object in PEOPLE_OBJECTS[before.conn]))


def mark_moved(tx: Connection, ref: RecordRef, to: RecordRef | None, *, reason: str, at: datetime) -> bool:
    """A record turned out, outside of a pull, to be gone (``to`` None) or to live on under another name.

    Its queued writes are forgotten; `people.resolve_touched` moves its link. False when the store never had it.
    """
    before = _stored(tx, [ref]).get(ref)
    page = _Page(seen_at=at)
    if to is not None:
        page.aliases[ref] = (to, reason)
        _absorb(tx, page)
    elif before is not None:
        outbox.drop_pending(tx, [ref])
        if not before.gone:
            page.take(_tombstone(before, None, at), before)
            _write_page(tx, page)
    return before is not None


# -- companies ---------------------------------------------------------------------------------------------------


def save_companies(tx: Connection, records: Sequence[CompanyRecord], *, seen_at: datetime) -> SaveCounts:
    """Store a page of companies. People of a company whose facts moved become dirty."""
    page = _Page(seen_at=seen_at)
    whole = [r for r in records if not r.partial]
    newest = _newest(whole)
    page.counts.unchanged += len(whole) - len(newest)
    partial: dict[RecordRef, dict[str, Any]] = {}
    for count in records:
        if count.partial:
            partial.setdefault(count.ref, {}).update(count.facts)
    stored = _stored(tx, {**newest, **partial})
    for ref in {**newest, **partial}:
        before = stored.get(ref)
        record: CompanyRecord | None = newest.get(ref)
        if record is not None and before is not None and _is_older(record, before):
            page.counts.older += 1
            record = None
            if ref not in partial:
                continue
        row = _company_row(record, before, ref, partial.get(ref), seen_at)
        if record is not None and record.moved_to is not None and (before is None or before.moved_to != row.moved_to):
            page.aliases[ref] = (record.moved_to, "merged")
        if before is not None and row.says_the_same(before):
            page.counts.unchanged += 1
            continue
        page.take(row, before)
        if record is not None:
            page.counts.problems += _new_problems(record.problems, before)
    changed = [ref for refs in page.dirty.values() for ref in refs] + [row.ref for row in page.fresh]
    changed += [to for to, _ in page.aliases.values()]
    page.dirty.clear()
    _write_page(tx, page)
    _absorb(tx, page)
    dirty_employees(tx, changed)
    return page.counts


def _company_row(
    record: CompanyRecord | None,
    before: RecordRow | None,
    ref: RecordRef,
    partial: Mapping[str, Any] | None,
    seen_at: datetime,
) -> RecordRow:
    if record is None or (record.gone and not record.facts and before is not None):
        facts: dict[str, Any] = _read(before.facts) if before else {}
    else:
        facts = dict(record.facts)
    facts.update(partial or {})
    gone = record.gone if record else bool(before and before.gone)
    hash = _input_hash(facts, "[]", None, gone)
    row = RecordRow(
        conn=ref.crm,
        object=ref.object,
        id=ref.id,
        email_norm=None,
        emails="[]",
        facts=to_json(facts),
        current="{}",
        counters="{}",
        cross_refs="[]",
        owner=record.owner if record else None,
        company_id=None,
        input_hash=hash,
        version=record.version if record else "",
        # Known by a count alone so far: whatever the company's own page says is newer.
        modified_at=record.modified_at if record else LONG_AGO,
        created_at=None,
        gone=gone,
        moved_to=f"{record.moved_to.object}:{record.moved_to.id}" if record and record.moved_to else None,
        problems=_problems(record.problems) if record else "[]",
        sales=None,
        inputs_at=record.modified_at if record else LONG_AGO,
        touched=False,
        written_at=None,
        first_seen_at=before.first_seen_at if before is not None else seen_at,
        seen_at=seen_at,
    )
    if before is None:
        return row
    if record is None:
        row = row._replace(
            owner=before.owner,
            version=before.version,
            modified_at=before.modified_at,
            moved_to=before.moved_to,
            problems=before.problems,
            inputs_at=before.inputs_at,
        )
    return row._replace(inputs_at=row.modified_at if hash != before.input_hash else before.inputs_at)
