"""Rows of a listing as people and companies, a page at a time.

A page is taken column by column: what holds for a whole property is looked up once, not once a record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from operator import itemgetter
from typing import Any

from connectors.columns import made
from connectors.hubspot import counters
from connectors.hubspot.answers import Record, Undecodable
from connectors.normalise import Converter, converted, email, instant, instants, salesforce_id
from connectors.records import CompanyRecord, Crm, Page, PersonRecord, RecordProblem, RecordRef, Scalar

__all__ = ["ALWAYS", "CROSS", "MERGED", "Plan", "as_page", "merged_ids", "modified_at", "ref_of", "stamp_of"]

MERGED = ("hs_merged_object_ids", "hs_calculated_merged_vids")
ALWAYS: Mapping[str, tuple[str, ...]] = {
    "contact": ("email", "hs_additional_emails", "hubspot_owner_id", "associatedcompanyid", "createdate", *MERGED),
    "company": ("hubspot_owner_id", MERGED[0]),
}
CROSS: Mapping[str, str] = {"salesforcecontactid": "contact", "salesforceleadid": "lead"}
"""Written by HubSpot's own Salesforce connector, where the portal has it."""

_STAMPS: Mapping[str, str] = {"contact": "lastmodifieddate"}
"""The property that moves with every change, where it is not as elsewhere. Contacts have the other one too, and it does
not."""

Columns = Mapping[str, Sequence[str | None]]
"""Property -> its text in each record of a page, None where it is blank. Every property of the plan is there."""

Told = defaultdict[int, list[RecordProblem]]
"""Place in the page -> what is wrong with that record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to ask of an object, and how each property becomes a fact. Made once per listing."""

    object: str
    asked: tuple[str, ...]
    facts: tuple[tuple[str, str, Converter], ...]
    written: tuple[str, ...]
    heard: tuple[str, ...]
    counters: tuple[counters.CounterPlan, ...]
    cross: tuple[str, ...]


def as_page(plan: Plan, rows: Sequence[Record], broken: Sequence[Undecodable], resume: str | None) -> Page[Any]:
    """Rows as people or companies; what is none is a problem of the page."""
    problems = [
        RecordProblem(ref=ref_of(plan.object, one.id), field="", reason=f"cannot be read: {one.reason}")
        for one in broken
    ]
    stamps = _stamps(plan.object, rows)
    if None in stamps:
        problems += [
            RecordProblem(
                ref=ref_of(plan.object, row.id),
                field=stamp_of(plan.object),
                reason="the record has no readable modification time",
            )
            for row, at in zip(rows, stamps, strict=True)
            if at is None
        ]
        rows = [row for row, at in zip(rows, stamps, strict=True) if at is not None]
    moments = [at for at in stamps if at is not None]
    make = _people if plan.object == "contact" else _companies
    return Page(rows=tuple(make(plan, rows, moments)), resume=resume, problems=tuple(problems))


def ref_of(object: str, id: str) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object=object, id=id)


def stamp_of(object: str) -> str:
    """The property that moves with every change of such an object."""
    return _STAMPS.get(object, "hs_lastmodifieddate")


def modified_at(object: str, row: Record) -> datetime | None:
    """When a record changed last; None where it says nothing that can be read."""
    for text in (row.properties.get(stamp_of(object)), row.updatedAt):
        if text:
            try:
                return instant(text)
            except ValueError:
                continue
    return None


def _stamps(object: str, rows: Sequence[Record]) -> list[datetime | None]:
    """`modified_at` of each."""
    changed = stamp_of(object)
    try:
        return instants(row.properties.get(changed) or row.updatedAt for row in rows)
    except ValueError:
        return [modified_at(object, row) for row in rows]


def merged_ids(row: Record) -> tuple[str, ...]:
    """Ids that were merged into this record: ``1;2``, and for contacts also ``1:epoch;2:epoch``."""
    get = row.properties.get
    plain, timed = get(MERGED[0]), get(MERGED[1])
    if not plain and not timed:
        return ()
    texts = [one.partition(":")[0].strip() for part in (plain, timed) if part for one in part.split(";")]
    return tuple(dict.fromkeys(id for id in texts if id and id != row.id))


# -- people and companies ------------------------------------------------------------------------------------------


def _people(plan: Plan, rows: Sequence[Record], moments: Sequence[datetime]) -> Iterable[PersonRecord]:
    refs = _refs("contact", [row.id for row in rows])
    columns = _columns(plan, rows)
    told: Told = defaultdict(list)
    facts = _facts(plan, refs, columns, told)
    created = _created(refs, rows, told)
    cross = _cross_refs(plan, refs, columns, told) if plan.cross else repeat(())
    rising = [counters.column(one, refs, columns, told) for one in plan.counters]
    merged = [merged_ids(row) for row in rows]
    return made(
        PersonRecord,
        len(rows),
        ref=refs,
        emails=list(map(_emails, columns["email"], columns["hs_additional_emails"])),
        facts=facts,
        current=_as_they_are(plan.written, columns, len(rows)),
        heard=_as_they_are(plan.heard, columns, len(rows)),
        owner=[id or None for id in columns["hubspot_owner_id"]],
        version=_versions("contact", rows),
        modified_at=moments,
        created_at=created,
        company=_employers(columns["associatedcompanyid"]),
        cross_refs=cross,
        counters=zip(*rising, strict=True) if rising else repeat(()),
        gone=[row.archived for row in rows],
        absorbed=[tuple(ref_of("contact", id) for id in ids) if ids else () for ids in merged],
        problems=_problems(told, len(rows)),
    )


def _companies(plan: Plan, rows: Sequence[Record], moments: Sequence[datetime]) -> Iterable[CompanyRecord]:
    refs = _refs("company", [row.id for row in rows])
    columns = _columns(plan, rows)
    told: Told = defaultdict(list)
    facts = _facts(plan, refs, columns, told)
    return made(
        CompanyRecord,
        len(rows),
        ref=refs,
        facts=facts,
        owner=[id or None for id in columns["hubspot_owner_id"]],
        version=_versions("company", rows),
        modified_at=moments,
        gone=[row.archived for row in rows],
        problems=_problems(told, len(rows)),
    )


def _refs(object: str, ids: Sequence[str]) -> list[RecordRef]:
    return made(RecordRef, len(ids), crm=repeat(Crm.HUBSPOT), object=repeat(object), id=ids)


def _employers(named: Sequence[str | None]) -> list[RecordRef | None]:
    """The company of each. Colleagues share one name of it."""
    ids = list(filter(None, dict.fromkeys(named)))
    refs = dict(zip(ids, _refs("company", ids), strict=True))
    return [refs.get(id) if id else None for id in named]


def _versions(object: str, rows: Sequence[Record]) -> list[str]:
    changed = stamp_of(object)
    return [row.updatedAt or row.properties.get(changed) or "" for row in rows]


def _problems(told: Told, size: int) -> list[tuple[RecordProblem, ...]]:
    return [tuple(told[at]) if at in told else () for at in range(size)]


# -- one column ----------------------------------------------------------------------------------------------------


def _columns(plan: Plan, rows: Sequence[Record]) -> Columns:
    """What was not asked for, because the portal does not have it, is blank."""
    dates = (one.rule.date for one in plan.counters if one.rule.date)
    named = (*plan.asked, *plan.written, *plan.heard, *dates)
    blank: dict[str, Sequence[str | None]] = dict.fromkeys(named, (None,) * len(rows))
    held = [row.properties for row in rows]
    try:  # all that was asked for is told of every record as a rule, blank or not
        columns = list(zip(*map(itemgetter(*plan.asked), held), strict=True))
    except KeyError:
        columns = [tuple(row.get(name) for row in held) for name in plan.asked]
    return blank | dict(zip(plan.asked, columns, strict=False))


def _facts(plan: Plan, refs: Sequence[RecordRef], columns: Columns, told: Told) -> list[dict[str, Scalar]]:
    facts: list[dict[str, Scalar]] = [{} for _ in refs]
    for fact, name, convert in plan.facts:
        column = columns[name]
        try:
            values = converted(convert, column)
        except ValueError:
            values = [_converted(fact, name, convert, raw, refs[at], told, at) for at, raw in enumerate(column)]
        for into, value in zip(facts, values, strict=True):
            if value is not None:
                into[fact] = value
    return facts


def _converted(
    fact: str, name: str, convert: Converter, raw: str | None, of: RecordRef, told: Told, at: int
) -> Scalar | None:
    """One value of a column that has some that cannot be read."""
    try:
        return convert(raw) if raw else None
    except ValueError as error:
        told[at].append(RecordProblem(ref=of, field=name, reason=f"{fact}: {error}"))
        return None


def _as_they_are(names: Sequence[str], columns: Columns, size: int) -> list[dict[str, str | None]]:
    """Each record's text of these properties. Most of them are blank in most records."""
    blank: dict[str, str | None] = dict.fromkeys(names)
    found = [blank.copy() for _ in range(size)]
    for name in names:
        column = columns[name]
        if any(column):
            for into, text in zip(found, column, strict=True):
                if text:
                    into[name] = text
    return found


def _created(refs: Sequence[RecordRef], rows: Sequence[Record], told: Told) -> list[datetime | None]:
    texts = [row.createdAt or row.properties.get("createdate") for row in rows]
    try:
        return instants(texts)
    except ValueError:
        return [_created_one(text, refs[at], told, at) for at, text in enumerate(texts)]


def _created_one(text: str | None, of: RecordRef, told: Told, at: int) -> datetime | None:
    try:
        return instant(text) if text else None
    except ValueError as error:
        told[at].append(RecordProblem(ref=of, field="createdAt", reason=str(error)))
        return None


def _emails(primary: str | None, more: str | None) -> tuple[str, ...]:
    if not more:
        return (primary.strip(),) if primary and not primary.isspace() else ()
    found: dict[str | None, str] = {}
    for address in (primary or "", *more.split(";")):
        if bare := address.strip():
            found.setdefault(email(bare), bare)
    return tuple(found.values())


def _cross_refs(plan: Plan, refs: Sequence[RecordRef], columns: Columns, told: Told) -> list[tuple[RecordRef, ...]]:
    found: list[list[RecordRef]] = [[] for _ in refs]
    for name in plan.cross:
        for at, raw in enumerate(columns[name]):
            if raw and raw.strip():
                try:
                    found[at].append(RecordRef(crm=Crm.SALESFORCE, object=CROSS[name], id=salesforce_id(raw)))
                except ValueError as error:
                    told[at].append(RecordProblem(ref=refs[at], field=name, reason=str(error)))
    return [tuple(one) for one in found]
