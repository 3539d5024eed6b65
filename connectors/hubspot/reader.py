"""Reading a portal: people and companies, as a listing, a window, or by id.

Search API: https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from connectors.errors import RetryLater
from connectors.fields import CrmMap, EventSource, FactField, ObjectMap
from connectors.hubspot import counters
from connectors.hubspot.answers import (
    BatchAnswer,
    Record,
    Undecodable,
    batch_answer,
    decode,
    record_page,
)
from connectors.hubspot.client import Client
from connectors.hubspot.paging import going_round
from connectors.hubspot.partial import Part, every_one
from connectors.hubspot.refusals import Refused
from connectors.hubspot.rows import ALWAYS, CROSS, MERGED, Plan, as_page, merged_ids, modified_at, ref_of, stamp_of
from connectors.hubspot.schema import Schema
from connectors.normalise import Converter, converter, dated
from connectors.records import (
    CompanyRecord,
    FieldSchema,
    Found,
    Gone,
    Moved,
    Page,
    PersonRecord,
    ReadBack,
    RecordRef,
    Sighting,
    Unread,
    Window,
)

__all__ = ["BATCH", "Reader", "Rows"]

BATCH = 100
"""Most inputs of a batch call, and rows of a list page."""

_SEARCH_PAGE = 200
_LONGEST_URL = 8_000
"""Characters of a list call; beyond it ids are listed and the properties read by batch."""

_ALONE = 2
"""So many absent ids are asked for one by one; of more, one call first finds those that lie in the bin."""

_BEGINNING, _END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Before the first portal, and later than any stamp."""

_SEARCHED = "id>"
"""Begins the resume points of a load that goes on by search."""

Rows = tuple[Sequence[Record], Sequence[Undecodable], str | None]
"""What a page has, what of it is no record, and where to go on."""


class Reader:
    def __init__(self, client: Client, schema: Schema, fields: CrmMap) -> None:
        self._client = client
        self._schema = schema
        self._fields = fields

    # -- records ---------------------------------------------------------------------------------------------------

    def people(self, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        plan = self._plan("contact")
        return self._records(plan, window, resume)

    def companies(self, window: Window, resume: str | None) -> Iterator[Page[CompanyRecord]]:
        plan = self._plan("company")
        return self._records(plan, window, resume)

    def ids(self, object: str, resume: str | None) -> Iterator[Page[Sighting]]:
        """Every live record with its stamp, from the list."""
        plan = replace(self._plan(object), asked=(stamp_of(object),))
        for rows, broken, after in self._listed(plan, _END, resume):
            live = [row for row in rows if not row.archived]
            seen = [Sighting(ref=ref_of(object, row.id), modified_at=modified_at(plan.object, row)) for row in live]
            seen += [Sighting(ref=ref_of(object, row.id), modified_at=None) for row in broken if row.id]
            yield Page(rows=tuple(seen), resume=after)

    def fetch(self, object: str, ids: Sequence[str]) -> Page[Any]:
        """These records, whole."""
        plan = self._plan(object)
        rows, broken = self._every(object, ids, plan.asked)
        return as_page(plan, rows, broken, None)

    def rows(self, object: str, properties: Sequence[str], window: Window, resume: str | None) -> Iterator[Rows]:
        """What changed of any object, as it comes: records, what is none, where to go on. ``resume`` as in `people`."""
        asked = tuple(dict.fromkeys((*properties, stamp_of(object))))
        plan = Plan(object=object, asked=asked, facts=(), written=(), heard=(), counters=(), cross=())
        if window.lo is None:
            return self._listed(plan, window.hi, resume)
        return self._changed(plan, window.lo, window.hi, resume)

    def missing(self, object: str) -> tuple[str, ...]:
        """Mapped properties that the portal does not have: they read as blank everywhere."""
        known = self._schema.of(object)
        return tuple(sorted({name for name in self._named(object) if name not in known}))

    def _named(self, object: str) -> list[str]:
        mapped = self._fields.objects.get(object) or ObjectMap(object=object, facts=())
        names = list(mapped.needed())
        if object == "contact":
            for rule in self._fields.events_of(EventSource.COUNTER):
                names += [name for name in (rule.key, rule.date) if name]
        return names

    def _plan(self, object: str) -> Plan:
        known = self._schema.of(object)
        mapped = self._fields.objects.get(object) or ObjectMap(object=object, facts=())
        rules = self._fields.events_of(EventSource.COUNTER) if object == "contact" else ()
        cross = tuple(name for name in CROSS if object == "contact" and name in known)
        named = [name for name in (*self._named(object), *mapped.heard) if name in known]
        return Plan(
            object=object,
            asked=tuple(dict.fromkeys((*named, stamp_of(object), *ALWAYS[object], *cross))),
            facts=tuple(
                (fact.fact, fact.property, _converter(fact, known[fact.property]))
                for fact in mapped.facts
                if fact.property is not None and fact.property in known
            ),
            written=mapped.written,
            heard=mapped.heard,
            counters=counters.plans(rules, known),
            cross=cross,
        )

    def _records(self, plan: Plan, window: Window, resume: str | None) -> Iterator[Page[Any]]:
        if window.lo is None:
            pages = self._listed(plan, window.hi, resume)
        else:
            pages = self._changed(plan, window.lo, window.hi, resume)
        return (as_page(plan, *page) for page in pages)

    def _listed(self, plan: Plan, hi: datetime, resume: str | None) -> Iterator[Rows]:
        """Every live record, 100 a page. The list has no cap and does not lag, but cannot be filtered.

        A cursor that leads back to where the list has been is asked for once more; when it still does, the list is no
        way to the end, and all that changed up to ``hi``, which is everything, is searched for by id instead.
        """
        if resume is not None and resume.startswith(_SEARCHED):
            yield from self._searched(plan, hi, resume.removeprefix(_SEARCHED) or None)
            return
        query = [("limit", str(BATCH)), ("archived", "false")]
        whole = query + [("properties", name) for name in plan.asked]
        by_batch = sum(len(name) + len("&properties=") for name in plan.asked) > _LONGEST_URL
        after, been, again = resume, {resume}, False
        while True:
            here = [("after", after)] if after else []
            asked = query if by_batch else whole
            try:
                page = self._client.read(
                    "list", "GET", self._client.objects(plan.object), read=record_page, query=asked + here
                )
            except Refused as refused:
                if refused.status in (414, 431) and not by_batch:
                    by_batch = True
                    continue
                if refused.status == 400 and after is not None and after == resume:
                    after = resume = None  # the cursor of an earlier run is not kept for ever: list from the start
                    continue
                raise
            if page.after is not None and page.after in been:
                if again:
                    yield from self._searched(plan, hi, None)
                    return
                again = True
                continue
            rows: Sequence[Record] = page.rows
            broken = page.broken
            if by_batch and rows:
                rows, unread = self._every(plan.object, [row.id for row in rows], plan.asked)
                broken = (*broken, *unread)
            after, again = page.after, False
            been.add(after)
            yield rows, broken, after
            if after is None:
                return

    def _searched(self, plan: Plan, hi: datetime, last: str | None) -> Iterator[Rows]:
        """Every record by search, with resume points of its own."""
        for rows, broken, after in self._changed(plan, _BEGINNING, hi, last):
            yield rows, broken, None if after is None else f"{_SEARCHED}{after}"

    def _changed(self, plan: Plan, lo: datetime, hi: datetime, resume: str | None) -> Iterator[Rows]:
        """What changed in [lo, hi], by id. Only an empty page is the end: a short one can be the index's mood.

        Neither an offset nor a restart at the last stamp would do: search ends at 10,000 rows, one bulk edit gives more
        than that the same stamp, and rows move while they are read.
        """
        span: dict[str, object] = {
            "propertyName": stamp_of(plan.object),
            "operator": "BETWEEN",
            "value": _millis(lo),
            "highValue": _millis(hi),
        }
        last, before, again = resume, frozenset[str](), False
        while True:
            beyond = [{"propertyName": "hs_object_id", "operator": "GT", "value": last}] if last is not None else []
            body = {
                "filterGroups": [{"filters": [span, *beyond]}],
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "properties": list(plan.asked),
                "limit": _SEARCH_PAGE,
                "after": "0",
            }
            page = self._client.read(
                "search", "POST", self._client.objects(plan.object, "search"), read=record_page, body=body
            )
            if not page.last and not page.broken:
                yield (), (), None
                return
            ids = {row.id for row in page.rows} | {row.id for row in page.broken if row.id}
            if ids <= before or page.last == last:
                if again:
                    raise going_round("search", plan.object)
                again = True
                continue
            # The last row's id as it stands: no arithmetic on ids, whose order is the index's own business.
            last, before, again = page.last, frozenset(ids), False
            yield page.rows, page.broken, last

    # -- reading by id ---------------------------------------------------------------------------------------------

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> dict[RecordRef, ReadBack]:
        asked = list(dict.fromkeys(refs))
        parts = [asked[start : start + BATCH] for start in range(0, len(asked), BATCH)]
        found: dict[RecordRef, ReadBack] = {}
        for some in self._client.together(lambda part: self._read_some(part, fields), parts):
            found |= some
        return found

    def _read_some(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> dict[RecordRef, ReadBack]:
        object = refs[0].object
        merged = MERGED if object == "contact" else MERGED[:1]
        rows, broken = self._every(object, [ref.id for ref in refs], tuple(dict.fromkeys((*fields, *merged))))
        by_id = {row.id: row for row in rows}
        unread = {one.id: one.reason for one in broken}
        survivors = {old: row.id for row in rows for old in merged_ids(row)}
        absent = [ref.id for ref in refs if ref.id not in by_id.keys() | survivors.keys() | unread.keys()]
        deleted: frozenset[str] = frozenset()
        if len(absent) > _ALONE:
            deleted = frozenset(row.id for row in self._batch(object, absent, (), archived=True).results)
        found: dict[RecordRef, ReadBack] = {}
        for ref in refs:
            row = by_id.get(ref.id)
            if row is not None:
                found[ref] = _found(ref, row, fields)
            elif ref.id in survivors:
                found[ref] = _moved(ref, survivors[ref.id])
            elif ref.id in unread:
                found[ref] = Unread(ref=ref, reason=unread[ref.id])
            elif ref.id in deleted:
                found[ref] = Gone(ref=ref, reason="deleted")
            else:
                found[ref] = self._read_alone(ref, fields)
        return found

    def _read_alone(self, ref: RecordRef, fields: Sequence[str]) -> ReadBack:
        """A merged-away id answers here with the survivor, a deleted one not at all."""
        query = [("archived", "false"), *(("properties", name) for name in fields)]
        try:
            row = self._client.read(
                "read", "GET", self._client.objects(ref.object, ref.id), read=lambda b: decode(b, Record), query=query
            )
        except Refused as refused:
            if refused.absent:
                return Gone(ref=ref, reason="deleted, or never there")
            raise
        except RetryLater as failed:
            if failed.status != 500:
                raise
            return Unread(ref=ref, reason=failed.problem)
        return _found(ref, row, fields) if row.id == ref.id else _moved(ref, row.id)

    def _batch(
        self,
        object: str,
        ids: Sequence[str],
        properties: Sequence[str],
        *,
        by: str | None = None,
        archived: bool = False,
    ) -> BatchAnswer:
        """The records there are; absent ones are left out. ``by`` names a unique property that the ids are of."""
        body: dict[str, Any] = {
            "inputs": [{"id": id} for id in ids],
            "properties": list(properties),
            "propertiesWithHistory": [],
        }
        if by is not None:
            body["idProperty"] = by
        path = self._client.objects(object, "batch", "read")
        query = [("archived", "true" if archived else "false")]
        try:
            return self._client.read("batch_read", "POST", path, read=batch_answer, body=body, query=query)
        except Refused as refused:
            if refused.absent:  # none of them, said in another way
                return BatchAnswer(results=[])
            raise

    def _every(
        self,
        object: str,
        ids: Sequence[str],
        properties: Sequence[str],
        *,
        by: str | None = None,
        archived: bool = False,
    ) -> tuple[list[Record], list[Undecodable]]:
        """The same for any number, where nobody looks up what an answer leaves out: what HubSpot fails at is told."""
        rows: dict[str, Record] = {}  # both names of what was merged can be answered with one record, twice
        broken: list[Undecodable] = []

        def ask(part: Sequence[str]) -> Part[Record]:
            answer = self._batch(object, part, properties, by=by, archived=archived)
            broken.extend(answer.broken)
            there = {row.id if by is None else row.properties.get(by) or "" for row in answer.results}
            return Part(
                rows=answer.results,
                answered=frozenset(there.union(one.id for one in answer.broken)),
                errors=[bytes(entry) for entry in answer.errors],
            )

        for start in range(0, len(ids), BATCH):
            found, failed = every_one(self._client, ids[start : start + BATCH], ask)
            rows |= {row.id: row for row in found}
            broken += [Undecodable(id=id, reason=f"HubSpot fails at it ({why})") for id, why in failed.items()]
        return list(rows.values()), broken

    def by_property(self, object: str, property: str, values: Sequence[str]) -> tuple[list[Record], frozenset[str]]:
        """(live records whose unique ``property`` is one of these, values of which nobody can tell)."""
        rows, broken = self._every(object, values, (property,), by=property)
        return rows, frozenset(one.id for one in broken)

    def by_ids(
        self, object: str, ids: Sequence[str], properties: Sequence[str], *, archived: bool
    ) -> tuple[list[Record], frozenset[str]]:
        """(records by id, ids of those that cannot be read). Absent ones are left out."""
        rows, broken = self._every(object, ids, properties, archived=archived)
        return rows, frozenset(one.id for one in broken)

    def deleted(self, object: str, properties: Sequence[str], *, pages: int) -> Iterator[Record]:
        """What lies in the bin (90 days), at most so many pages of it: there is no filter, and no search."""
        query = [("limit", str(BATCH)), ("archived", "true"), *(("properties", name) for name in properties)]
        after: str | None = None
        for _ in range(pages):
            here = [*query, ("after", after)] if after else query
            page = self._client.read("list", "GET", self._client.objects(object), read=record_page, query=here)
            yield from page.rows
            if page.after is None or page.after == after:
                return
            after = page.after


# -- one row -------------------------------------------------------------------------------------------------------


def _converter(fact: FactField, of: FieldSchema) -> Converter:
    convert = converter(fact, of.kind)
    return dated(convert) if of.native == "date" else convert


def _millis(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


def _found(ref: RecordRef, row: Record, fields: Sequence[str]) -> ReadBack:
    if row.archived:
        return Gone(ref=ref, reason="deleted")
    return Found(
        ref=ref,
        values={name: row.properties.get(name) or None for name in fields},
        version=row.updatedAt or row.properties.get(stamp_of(ref.object)) or "",
    )


def _moved(ref: RecordRef, to: str) -> Moved:
    return Moved(ref=ref, to=ref_of(ref.object, to), reason=f"merged into {to}")
