"""Reading a portal: people and companies, as a listing, a window, or by id.

Search API: https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connectors.fields import CrmMap, EventSource, ObjectMap
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
from connectors.hubspot.refusals import Refused
from connectors.hubspot.schema import Schema
from connectors.normalise import Converter, converter, email, instant, salesforce_id
from connectors.records import (
    CompanyRecord,
    Crm,
    FieldKind,
    FieldSchema,
    Found,
    Gone,
    Moved,
    Page,
    PersonRecord,
    ReadBack,
    RecordProblem,
    RecordRef,
    Scalar,
    Sighting,
    Window,
)

__all__ = ["BATCH", "Reader", "Rows", "merged_ids"]

BATCH = 100
"""Most inputs of a batch call, and rows of a list page."""

_SEARCH_PAGE = 200
_LONGEST_URL = 8_000
"""Characters of a list call; beyond it ids are listed and the properties read by batch."""

_ALONE = 2
"""So many absent ids are asked for one by one; of more, one call first finds those that lie in the bin."""

_STAMP: Mapping[str, str] = {"contact": "lastmodifieddate", "company": "hs_lastmodifieddate"}
"""The property that moves with every change. Contacts have the other one too, and it does not."""

_MERGED = ("hs_merged_object_ids", "hs_calculated_merged_vids")
_ALWAYS: Mapping[str, tuple[str, ...]] = {
    "contact": ("email", "hs_additional_emails", "hubspot_owner_id", "associatedcompanyid", "createdate", *_MERGED),
    "company": ("hubspot_owner_id", _MERGED[0]),
}
_BEGINNING, _END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Before the first portal, and later than any stamp."""

_SEARCHED = "id>"
"""Begins the resume points of a load that goes on by search."""

_CROSS: Mapping[str, str] = {"salesforcecontactid": "contact", "salesforceleadid": "lead"}
"""Written by HubSpot's own Salesforce connector, where the portal has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What to ask of an object, and how each property becomes a fact. Made once per listing."""

    object: str
    asked: tuple[str, ...]
    facts: tuple[tuple[str, str, Converter], ...]
    written: tuple[str, ...]
    heard: tuple[str, ...]
    counters: tuple[counters.CounterPlan, ...]
    cross: tuple[str, ...]


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
        plan = replace(self._plan(object), asked=(_STAMP[object],))
        for rows, broken, after in self._listed(plan, _END, resume):
            seen = [Sighting(ref=_ref(object, row.id), modified_at=_modified(plan, row)) for row in rows]
            seen += [Sighting(ref=_ref(object, row.id), modified_at=None) for row in broken if row.id]
            yield Page(rows=tuple(seen), resume=after)

    def fetch(self, object: str, ids: Sequence[str]) -> Page[Any]:
        """These records, whole."""
        plan = self._plan(object)
        return _page(plan, self.by_ids(object, ids, plan.asked, archived=False), (), None)

    def rows(self, object: str, properties: Sequence[str], window: Window, resume: str | None) -> Iterator[Rows]:
        """What changed of any object, as it comes: records, what is none, where to go on. ``resume`` as in `people`."""
        asked = tuple(dict.fromkeys((*properties, _stamp(object))))
        plan = _Plan(object=object, asked=asked, facts=(), written=(), heard=(), counters=(), cross=())
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

    def _plan(self, object: str) -> _Plan:
        known = self._schema.of(object)
        mapped = self._fields.objects.get(object) or ObjectMap(object=object, facts=())
        rules = self._fields.events_of(EventSource.COUNTER) if object == "contact" else ()
        cross = tuple(name for name in _CROSS if object == "contact" and name in known)
        named = [name for name in (*self._named(object), *mapped.heard) if name in known]
        return _Plan(
            object=object,
            asked=tuple(dict.fromkeys((*named, _STAMP[object], *_ALWAYS[object], *cross))),
            facts=tuple(
                (fact.fact, fact.property, converter(fact, _kind(known, fact.property)))
                for fact in mapped.facts
                if fact.property is not None and fact.property in known
            ),
            written=mapped.written,
            heard=mapped.heard,
            counters=counters.plans(rules, known),
            cross=cross,
        )

    def _records(self, plan: _Plan, window: Window, resume: str | None) -> Iterator[Page[Any]]:
        if window.lo is None:
            pages = self._listed(plan, window.hi, resume)
        else:
            pages = self._changed(plan, window.lo, window.hi, resume)
        return (_page(plan, *page) for page in pages)

    def _listed(self, plan: _Plan, hi: datetime, resume: str | None) -> Iterator[Rows]:
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
            if by_batch and rows:
                rows = self._batch(plan.object, [row.id for row in rows], plan.asked).results
            after, again = page.after, False
            been.add(after)
            yield rows, page.broken, after
            if after is None:
                return

    def _searched(self, plan: _Plan, hi: datetime, last: str | None) -> Iterator[Rows]:
        """Every record by search, with resume points of its own."""
        for rows, broken, after in self._changed(plan, _BEGINNING, hi, last):
            yield rows, broken, None if after is None else f"{_SEARCHED}{after}"

    def _changed(self, plan: _Plan, lo: datetime, hi: datetime, resume: str | None) -> Iterator[Rows]:
        """What changed in [lo, hi], by id. Only an empty page is the end: a short one can be the index's mood.

        Neither an offset nor a restart at the last stamp would do: search ends at 10,000 rows, one bulk edit gives more
        than that the same stamp, and rows move while they are read.
        """
        span: dict[str, object] = {
            "propertyName": _stamp(plan.object),
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
        merged = _MERGED if object == "contact" else _MERGED[:1]
        rows = self._batch(object, [ref.id for ref in refs], tuple(dict.fromkeys((*fields, *merged)))).results
        by_id = {row.id: row for row in rows}
        survivors = {old: row.id for row in rows for old in merged_ids(row)}
        absent = [ref.id for ref in refs if ref.id not in by_id and ref.id not in survivors]
        if len(absent) > _ALONE:
            by_id |= {row.id: row for row in self._batch(object, absent, fields, archived=True).results}
        found: dict[RecordRef, ReadBack] = {}
        for ref in refs:
            row = by_id.get(ref.id)
            if row is not None:
                found[ref] = _found(ref, row, fields)
            elif ref.id in survivors:
                found[ref] = _moved(ref, survivors[ref.id])
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
            if refused.status == 404:
                return Gone(ref=ref, reason="deleted, or never there")
            raise
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
            answer = self._client.read("batch_read", "POST", path, read=batch_answer, body=body, query=query)
        except Refused as refused:
            if refused.status == 404:  # none of them, said in another way
                return BatchAnswer(results=[])
            raise
        return answer

    def by_property(self, object: str, property: str, values: Sequence[str]) -> list[Record]:
        """Live records whose unique ``property`` is one of these."""
        return [
            row
            for start in range(0, len(values), BATCH)
            for row in self._batch(object, values[start : start + BATCH], (property,), by=property).results
        ]

    def by_ids(self, object: str, ids: Sequence[str], properties: Sequence[str], *, archived: bool) -> list[Record]:
        """Records by id; absent ones are left out."""
        return [
            row
            for start in range(0, len(ids), BATCH)
            for row in self._batch(object, ids[start : start + BATCH], properties, archived=archived).results
        ]

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


def _page(plan: _Plan, rows: Sequence[Record], broken: Sequence[Undecodable], resume: str | None) -> Page[Any]:
    """Rows as people or companies; what is none is a problem of the page."""
    problems = [
        RecordProblem(ref=_ref(plan.object, row.id), field="", reason=f"cannot be read: {row.reason}") for row in broken
    ]
    made: list[PersonRecord | CompanyRecord] = []
    make = _person if plan.object == "contact" else _company
    for row in rows:
        one = make(plan, row)
        if isinstance(one, RecordProblem):
            problems.append(one)
        else:
            made.append(one)
    return Page(rows=tuple(made), resume=resume, problems=tuple(problems))


def _ref(object: str, id: str) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object=object, id=id)


def _kind(known: Mapping[str, FieldSchema], name: str) -> FieldKind:
    return known[name].kind


def _stamp(object: str) -> str:
    return _STAMP.get(object, _STAMP["company"])


def _millis(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


def merged_ids(row: Record) -> tuple[str, ...]:
    """Ids that were merged into this record: ``1;2``, and for contacts also ``1:epoch;2:epoch``."""
    get = row.properties.get
    plain, timed = get(_MERGED[0]), get(_MERGED[1])
    if not plain and not timed:
        return ()
    texts = [one.partition(":")[0].strip() for part in (plain, timed) if part for one in part.split(";")]
    return tuple(dict.fromkeys(id for id in texts if id and id != row.id))


def _found(ref: RecordRef, row: Record, fields: Sequence[str]) -> ReadBack:
    if row.archived:
        return Gone(ref=ref, reason="deleted")
    return Found(
        ref=ref,
        values={name: row.properties.get(name) or None for name in fields},
        version=row.updatedAt or row.properties.get(_stamp(ref.object)) or "",
    )


def _moved(ref: RecordRef, to: str) -> Moved:
    return Moved(ref=ref, to=_ref(ref.object, to), reason=f"merged into {to}")


def _facts(
    plan: _Plan, ref: RecordRef, get: Callable[[str], str | None], problems: list[RecordProblem]
) -> dict[str, Scalar]:
    facts: dict[str, Scalar] = {}
    for fact, name, convert in plan.facts:
        raw = get(name)
        if raw:
            try:
                value = convert(raw)
            except ValueError as error:
                problems.append(RecordProblem(ref=ref, field=name, reason=f"{fact}: {error}"))
            else:
                if value is not None:
                    facts[fact] = value
    return facts


def _modified(plan: _Plan, row: Record) -> datetime | None:
    for stamp in (row.properties.get(_STAMP[plan.object]), row.updatedAt):
        if stamp:
            try:
                return instant(stamp)
            except ValueError:
                continue
    return None


def _no_stamp(ref: RecordRef, plan: _Plan) -> RecordProblem:
    return RecordProblem(ref=ref, field=_STAMP[plan.object], reason="the record has no readable modification time")


def _person(plan: _Plan, row: Record) -> PersonRecord | RecordProblem:
    ref = RecordRef(crm=Crm.HUBSPOT, object="contact", id=row.id)
    modified = _modified(plan, row)
    if modified is None:
        return _no_stamp(ref, plan)
    get = row.properties.get
    problems: list[RecordProblem] = []
    company = get("associatedcompanyid")
    merged = merged_ids(row)
    return PersonRecord(
        ref=ref,
        emails=_emails(get("email"), get("hs_additional_emails")),
        facts=_facts(plan, ref, get, problems),
        current={name: get(name) or None for name in plan.written},
        heard={name: get(name) or None for name in plan.heard},
        owner=get("hubspot_owner_id") or None,
        version=row.updatedAt or get(_STAMP["contact"]) or "",
        modified_at=modified,
        created_at=_created(ref, row, problems),
        company=_ref("company", company) if company else None,
        cross_refs=_cross_refs(plan, ref, get, problems) if plan.cross else (),
        counters=tuple(counters.counter(one, ref, get, problems) for one in plan.counters),
        gone=row.archived,
        absorbed=tuple(_ref("contact", id) for id in merged) if merged else (),
        problems=tuple(problems),
    )


def _company(plan: _Plan, row: Record) -> CompanyRecord | RecordProblem:
    ref = RecordRef(crm=Crm.HUBSPOT, object="company", id=row.id)
    modified = _modified(plan, row)
    if modified is None:
        return _no_stamp(ref, plan)
    problems: list[RecordProblem] = []
    return CompanyRecord(
        ref=ref,
        facts=_facts(plan, ref, row.properties.get, problems),
        owner=row.properties.get("hubspot_owner_id") or None,
        version=row.updatedAt or row.properties.get(_STAMP["company"]) or "",
        modified_at=modified,
        gone=row.archived,
        problems=tuple(problems),
    )


def _created(ref: RecordRef, row: Record, problems: list[RecordProblem]) -> datetime | None:
    stamp = row.createdAt or row.properties.get("createdate")
    if not stamp:
        return None
    try:
        return instant(stamp)
    except ValueError as error:
        problems.append(RecordProblem(ref=ref, field="createdAt", reason=str(error)))
        return None


def _emails(primary: str | None, more: str | None) -> tuple[str, ...]:
    if not more:
        return (primary.strip(),) if primary and not primary.isspace() else ()
    found: dict[str | None, str] = {}
    for address in (primary or "", *more.split(";")):
        if bare := address.strip():
            found.setdefault(email(bare), bare)
    return tuple(found.values())


def _cross_refs(
    plan: _Plan, ref: RecordRef, get: Callable[[str], str | None], problems: list[RecordProblem]
) -> tuple[RecordRef, ...]:
    found: list[RecordRef] = []
    for name in plan.cross:
        raw = get(name)
        if raw and raw.strip():
            try:
                found.append(RecordRef(crm=Crm.SALESFORCE, object=_CROSS[name], id=salesforce_id(raw)))
            except ValueError as error:
                problems.append(RecordProblem(ref=ref, field=name, reason=str(error)))
    return tuple(found)
