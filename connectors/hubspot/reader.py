"""Reading a portal: records, form submissions, owners.

Search API: https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm
Forms API: https://developers.hubspot.com/docs/api-reference/legacy/marketing/forms/v1/get-form-integrations-v1-submissions-forms-form_guid
Owners API: https://developers.hubspot.com/docs/api-reference/crm-crm-owners-v3/guide
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from connectors.errors import UnexpectedAnswer
from connectors.fields import CrmMap, EventRule, EventSource, ObjectMap
from connectors.hubspot.answers import (
    BatchAnswer,
    Paging,
    Record,
    Undecodable,
    batch_answer,
    decode,
    following,
    record_page,
)
from connectors.hubspot.client import Client
from connectors.hubspot.refusals import Refused
from connectors.hubspot.schema import Schema
from connectors.normalise import Converter, converter, email, fold, instant, number, salesforce_id
from connectors.records import (
    CompanyRecord,
    Counter,
    Crm,
    Engagement,
    FieldKind,
    FieldSchema,
    Found,
    Gone,
    Moved,
    Owner,
    OwnerKind,
    Page,
    PersonRecord,
    ReadBack,
    RecordProblem,
    RecordRef,
    Scalar,
    Window,
)

__all__ = ["BATCH", "Form", "Reader", "merged_ids"]

R = TypeVar("R", PersonRecord, CompanyRecord)

BATCH = 100
"""Most inputs of a batch call, and rows of a list page."""

_SEARCH_PAGE = 200
_SUBMISSION_PAGE = 50
_LONGEST_URL = 8_000
"""Characters of a list call; beyond it ids are listed and the properties read by batch."""

_STAMP: Mapping[str, str] = {"contact": "lastmodifieddate", "company": "hs_lastmodifieddate"}
"""The property that moves with every change. Contacts have the other one too, and it does not."""

_MERGED = ("hs_merged_object_ids", "hs_calculated_merged_vids")
_ALWAYS: Mapping[str, tuple[str, ...]] = {
    "contact": ("email", "hs_additional_emails", "hubspot_owner_id", "associatedcompanyid", "createdate", *_MERGED),
    "company": ("hubspot_owner_id", _MERGED[0]),
}
_CROSS: Mapping[str, str] = {"salesforcecontactid": "contact", "salesforceleadid": "lead"}
"""Written by HubSpot's own Salesforce connector, where the portal has it."""


class _Form(msgspec.Struct, frozen=True):
    id: str
    name: str | None = None
    archived: bool | None = None


class _Forms(msgspec.Struct, frozen=True):
    results: list[_Form]
    paging: Paging | None = None


class _Value(msgspec.Struct, frozen=True):
    name: str
    value: object = None


class _Submission(msgspec.Struct, frozen=True):
    submittedAt: int | str  # noqa: N815  # HubSpot's names, here and below
    conversionId: str | None = None  # noqa: N815
    values: list[_Value] | None = None
    pageUrl: str | None = None  # noqa: N815


class _Submissions(msgspec.Struct, frozen=True):
    results: list[msgspec.Raw]
    paging: Paging | None = None


class _OwnerRow(msgspec.Struct, frozen=True):
    id: str | int
    email: str | None = None
    firstName: str | None = None  # noqa: N815
    lastName: str | None = None  # noqa: N815
    type: str | None = None
    archived: bool | None = None


class _Owners(msgspec.Struct, frozen=True):
    results: list[_OwnerRow]
    paging: Paging | None = None


_P = TypeVar("_P", _Forms, _Submissions, _Owners)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    guid: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _CounterPlan:
    rule: EventRule
    property: str
    blank: Counter


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What to ask of an object, and how each property becomes a fact. Made once per listing."""

    object: str
    asked: tuple[str, ...]
    facts: tuple[tuple[str, str, Converter], ...]
    written: tuple[str, ...]
    heard: tuple[str, ...]
    counters: tuple[_CounterPlan, ...]
    cross: tuple[str, ...]


class Reader:
    def __init__(self, client: Client, schema: Schema, fields: CrmMap) -> None:
        self._client = client
        self._schema = schema
        self._fields = fields
        self._forms: dict[str, Form] = {}

    # -- records ---------------------------------------------------------------------------------------------------

    def people(self, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        plan = self._plan("contact")
        return self._records(plan, window, resume, lambda row: _person(plan, row))

    def companies(self, window: Window, resume: str | None) -> Iterator[Page[CompanyRecord]]:
        plan = self._plan("company")
        return self._records(plan, window, resume, lambda row: _company(plan, row))

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
        counters = self._fields.events_of(EventSource.COUNTER) if object == "contact" else ()
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
            counters=tuple(
                _CounterPlan(
                    rule=rule,
                    property=rule.key,
                    blank=Counter(
                        property=rule.key,
                        kind=rule.kind,
                        total=0,
                        last_at=None,
                        count_first=rule.count_first,
                        attributes=rule.set,
                    ),
                )
                for rule in counters
                if rule.key is not None and rule.key in known
            ),
            cross=cross,
        )

    def _records(
        self, plan: _Plan, window: Window, resume: str | None, make: Callable[[Record], R | RecordProblem]
    ) -> Iterator[Page[R]]:
        pages = self._listed(plan, resume) if window.lo is None else self._changed(plan, window.lo, window.hi, resume)
        for rows, broken, after in pages:
            problems = [
                RecordProblem(ref=_ref(plan.object, row.id), field="", reason=f"cannot be read: {row.reason}")
                for row in broken
            ]
            made: list[R] = []
            for row in rows:
                one = make(row)
                if isinstance(one, RecordProblem):
                    problems.append(one)
                else:
                    made.append(one)
            yield Page(rows=tuple(made), resume=after, problems=tuple(problems))

    def _listed(
        self, plan: _Plan, resume: str | None
    ) -> Iterator[tuple[Sequence[Record], Sequence[Undecodable], str | None]]:
        """Every live record, 100 a page. The list has no cap and does not lag, but cannot be filtered."""
        query = [("limit", str(BATCH)), ("archived", "false")]
        whole = query + [("properties", name) for name in plan.asked]
        by_batch = sum(len(name) + len("&properties=") for name in plan.asked) > _LONGEST_URL
        after = resume
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
            rows: Sequence[Record] = page.rows
            if by_batch and rows:
                rows = self._batch(plan.object, [row.id for row in rows], plan.asked).results
            if page.after is not None and page.after == after:
                raise _going_round("list", plan.object)
            after = page.after
            yield rows, page.broken, after
            if after is None:
                return

    def _changed(
        self, plan: _Plan, lo: datetime, hi: datetime, resume: str | None
    ) -> Iterator[tuple[Sequence[Record], Sequence[Undecodable], str | None]]:
        """What changed in [lo, hi], by id. Only an empty page is the end: a short one can be the index's mood.

        Neither an offset nor a restart at the last stamp would do: search ends at 10,000 rows, one bulk edit gives more
        than that the same stamp, and rows move while they are read.
        """
        span: dict[str, object] = {
            "propertyName": _STAMP[plan.object],
            "operator": "BETWEEN",
            "value": _millis(lo),
            "highValue": _millis(hi),
        }
        last, before = resume, frozenset[str]()
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
                raise _going_round("search", plan.object)
            # The last row's id as it stands: no arithmetic on ids, whose order is the index's own business.
            last, before = page.last, frozenset(ids)
            yield page.rows, page.broken, last

    # -- reading by id ---------------------------------------------------------------------------------------------

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> dict[RecordRef, ReadBack]:
        found: dict[RecordRef, ReadBack] = {}
        for start in range(0, len(refs), BATCH):
            found |= self._read_some(list(dict.fromkeys(refs[start : start + BATCH])), fields)
        return found

    def _read_some(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> dict[RecordRef, ReadBack]:
        object = refs[0].object
        merged = _MERGED if object == "contact" else _MERGED[:1]
        rows = self._batch(object, [ref.id for ref in refs], tuple(dict.fromkeys((*fields, *merged)))).results
        by_id = {row.id: row for row in rows}
        survivors = {old: row.id for row in rows for old in merged_ids(row)}
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

    # -- forms -----------------------------------------------------------------------------------------------------

    def forms(self) -> tuple[Form, ...]:
        """The forms whose submissions are events by the map. One call per hundred forms."""
        rules = self._fields.events_of(EventSource.FORM)
        if not rules:
            return ()
        found = [Form(guid=one.id, name=one.name or "") for one in self._all_forms() if not one.archived]
        wanted = tuple(form for form in found if _rule(rules, form) is not None)
        self._forms = {form.guid: form for form in wanted}
        return wanted

    def _all_forms(self) -> list[_Form]:
        for path in self._client.paths.forms[:-1]:
            try:
                return self._forms_at(path)
            except Refused as refused:
                if refused.status != 404:
                    raise
        return self._forms_at(self._client.paths.forms[-1])

    def _forms_at(self, path: str) -> list[_Form]:
        return [
            row
            for page in self._pages("forms", path, lambda body: decode(body, _Forms), [("limit", str(BATCH))])
            for row in page.results
        ]

    def submissions(self, guid: str, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """Newest first, until the window's lower end: there is no filter by date."""
        if guid not in self._forms:
            self.forms()
        form = self._forms.get(guid) or Form(guid=guid, name="")
        rule = _rule(self._fields.events_of(EventSource.FORM), form)
        path = f"{self._client.paths.submissions}/{quote(guid, safe='')}"
        query = [("limit", str(_SUBMISSION_PAGE))]
        pages = self._pages("submissions", path, lambda body: decode(body, _Submissions), query, resume)
        try:
            yield from self._events(form, rule, pages, window)
        except Refused as refused:
            if refused.status != 404:
                raise
            gone = RecordRef(crm=Crm.HUBSPOT, object="form", id=guid)
            yield Page(
                rows=(), resume=None, problems=(RecordProblem(ref=gone, field="", reason="there is no such form"),)
            )

    def _events(
        self, form: Form, rule: EventRule | None, pages: Iterator[_Submissions], window: Window
    ) -> Iterator[Page[Engagement]]:
        for page in pages:
            rows: list[Engagement] = []
            problems: list[RecordProblem] = []
            oldest: datetime | None = None
            for raw in page.results:
                read = _submission(form, rule, raw)
                if isinstance(read, RecordProblem):
                    problems.append(read)
                    continue
                at, made = read
                oldest = at
                if at > window.hi or (window.lo is not None and at < window.lo):
                    continue
                if isinstance(made, RecordProblem):
                    problems.append(made)
                elif made is not None:
                    rows.append(made)
            after = following(page.paging)
            if window.lo is not None and oldest is not None and oldest < window.lo:
                after = None
            yield Page(rows=tuple(rows), resume=after, problems=tuple(problems))
            if after is None:
                return

    # -- owners ----------------------------------------------------------------------------------------------------

    def owners(self) -> tuple[Owner, ...]:
        """All of them, each time: an owner's own stamp does not move when the user behind it changes."""
        found: dict[str, Owner] = {}
        for archived in ("true", "false"):
            query = [("limit", str(BATCH)), ("archived", archived)]
            pages = self._pages("owners", self._client.paths.owners, lambda body: decode(body, _Owners), query)
            for row in (row for page in pages for row in page.results):
                one = _owner(row, active=archived == "false" and not row.archived)
                found[one.id] = one
        return tuple(sorted(found.values(), key=lambda owner: (not owner.active, owner.id)))

    def _pages(
        self,
        kind: str,
        path: str,
        read: Callable[[bytes], _P],
        query: Sequence[tuple[str, str]],
        after: str | None = None,
    ) -> Iterator[_P]:
        while True:
            here = [*query, ("after", after)] if after else query
            page = self._client.read(kind, "GET", path, read=read, query=here)
            yield page
            further = following(page.paging)
            if further is None:
                return
            if further == after:
                raise _going_round(kind, path)
            after = further


# -- one row -------------------------------------------------------------------------------------------------------


def _ref(object: str, id: str) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object=object, id=id)


def _kind(known: Mapping[str, FieldSchema], name: str) -> FieldKind:
    return known[name].kind


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
        version=row.updatedAt or row.properties.get(_STAMP.get(ref.object, _STAMP["company"])) or "",
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
        counters=tuple(_counter(one, ref, get, problems) for one in plan.counters),
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


def _counter(
    plan: _CounterPlan, ref: RecordRef, get: Callable[[str], str | None], problems: list[RecordProblem]
) -> Counter:
    raw = get(plan.property)
    if not raw or raw == "0":
        return plan.blank
    field = plan.property
    try:
        total = int(number(raw))
        field = plan.rule.date or field
        last = get(plan.rule.date) if plan.rule.date else None
        last_at = instant(last) if last else None
    except ValueError as error:
        problems.append(RecordProblem(ref=ref, field=field, reason=str(error)))
        if field == plan.property:
            return plan.blank
        last_at = None
    return Counter(
        property=plan.property,
        kind=plan.rule.kind,
        total=total,
        last_at=last_at,
        count_first=plan.rule.count_first,
        attributes=plan.rule.set,
    )


def _rule(rules: Sequence[EventRule], form: Form) -> EventRule | None:
    """The first line that names the form by GUID or name, or is ``otherwise``."""
    names = {fold(form.guid), fold(form.name)} - {""}
    return next((rule for rule in rules if rule.key is None or fold(rule.key) in names), None)


def _submission(
    form: Form, rule: EventRule | None, raw: msgspec.Raw
) -> RecordProblem | tuple[datetime, Engagement | RecordProblem | None]:
    """When it was sent, and the event it makes; a problem where even the time cannot be read."""
    where = RecordRef(crm=Crm.HUBSPOT, object="form", id=form.guid)
    try:
        sent = decode(raw, _Submission)
        at = instant(sent.submittedAt)
    except (msgspec.DecodeError, ValueError) as error:
        return RecordProblem(ref=where, field="submittedAt", reason=f"a submission cannot be read: {error}")
    if rule is None:
        return at, None
    values = {
        value.name.rpartition("/")[2].strip().casefold(): str(value.value)
        for value in sent.values or ()
        if value.value is not None
    }
    who = email(values.get("email"))
    if who is None:
        named = sent.conversionId or at.isoformat()
        return at, RecordProblem(ref=where, field="email", reason=f"submission {named} names no e-mail address")
    attributes = {"form": form.name, "page": _path_of(sent.pageUrl)}
    attributes |= {name: values.get(source.casefold(), source) for name, source in rule.set.items()}
    return at, Engagement(
        crm=Crm.HUBSPOT,
        source_id=sent.conversionId or _stable_id(form.guid, at, who),
        kind=rule.kind,
        at=at,
        who=who,
        attributes={name: text for name, text in attributes.items() if text},
    )


def _stable_id(*parts: object) -> str:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def _path_of(url: str | None) -> str:
    if not url:
        return ""
    try:
        path = urlsplit(url.strip()).path
    except ValueError:
        return ""
    return path.rstrip("/") or "/"


def _owner(row: _OwnerRow, *, active: bool) -> Owner:
    address = email(row.email)
    name = " ".join(part.strip() for part in (row.firstName, row.lastName) if part and part.strip())
    return Owner(
        crm=Crm.HUBSPOT,
        id=str(row.id),
        kind=OwnerKind.QUEUE if (row.type or "").upper() == "QUEUE" else OwnerKind.USER,
        email=address,
        name=name or address or str(row.id),
        active=active,
        label=name,
    )


def _going_round(kind: str, what: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        Crm.HUBSPOT,
        f"the {kind} of {what} goes round in a circle: a page brought nothing new.",
        status=200,
        advice="What was read so far is stored; the next run begins this window again.",
    )
