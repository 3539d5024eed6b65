"""From rows to people and to engagement, by the field map."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from connectors.fields import CrmMap, EngagementColumns, EventRule, EventSource, ObjectMap
from connectors.file.reader import Made, Maker
from connectors.file.seen import Seen
from connectors.file.tables import Broken, Cells, Row
from connectors.file.values import Said, columns_of, said, said_by, when
from connectors.normalise import Converter, converter, fold, instant
from connectors.records import Crm, Engagement, PersonRecord, RecordProblem, RecordRef, Scalar

__all__ = ["PERSON", "engagement_maker", "mapped_columns", "people_maker"]

PERSON = "person"
"""The one object that a file of people holds."""

CREATED = "person.created_at"
EMAIL = "person.email"


def _ref(id: str) -> RecordRef:
    return RecordRef(crm=Crm.FILE, object=PERSON, id=id)


def _version(cells: Cells) -> str:
    body = json.dumps(cells, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(body.encode(), digest_size=12).hexdigest()


def mapped_columns(mapped: ObjectMap) -> Mapping[str, tuple[str, ...]]:
    """Fact -> the columns it is read from."""
    return {fact.fact: columns_of(fact.property) for fact in mapped.facts if fact.property is not None}


# -- people ------------------------------------------------------------------------------------------------------


def people_maker(fields: CrmMap, zone: ZoneInfo, now: datetime) -> Maker[PersonRecord]:
    """``now``: when the file is read. A row has no stamp of its own: it changed when that was noticed."""
    assert fields.file is not None
    mapped = fields.objects.get(PERSON) or ObjectMap(object=PERSON, facts=())
    facts = tuple((one.fact, said_by(one), converter(one)) for one in mapped.facts)
    name = said(fields.file.id)
    of_facts = [column for columns in mapped_columns(mapped).values() for column in columns]

    def make(row: Row | Broken, seen: Seen) -> Made[PersonRecord]:
        id = name(row.cells)
        if isinstance(row, Broken):
            return Made(id=id, reasons=(row.reason,))
        if id is None:
            return Made(id=None, reasons=("it says nothing that names it",))
        version = _version(row.cells)
        return Made(id=id, record=_person(_ref(id), row.cells, facts, zone, now, version), version=version)

    return Maker(
        columns=tuple(dict.fromkeys((*columns_of(fields.file.id), *of_facts))),
        make=make,
        gone=lambda id: PersonRecord(
            ref=_ref(id), emails=(), facts={}, current={}, owner=None, version="gone", modified_at=now, gone=True
        ),
    )


def _person(
    ref: RecordRef,
    cells: Cells,
    plan: Sequence[tuple[str, Said, Converter]],
    zone: ZoneInfo,
    now: datetime,
    version: str,
) -> PersonRecord:
    facts: dict[str, Scalar] = {}
    problems: list[RecordProblem] = []
    for fact, says, convert in plan:
        text = says(cells)
        if text is None:
            continue
        try:
            value = convert(text)
        except ValueError as error:
            problems.append(RecordProblem(ref=ref, field=fact, reason=str(error)))
            continue
        if value is not None:
            facts[fact] = value
    return PersonRecord(
        ref=ref,
        emails=(str(facts[EMAIL]),) if EMAIL in facts else (),
        facts=facts,
        current={},
        owner=None,
        version=version,
        modified_at=now,
        created_at=_created(facts, zone),
        problems=tuple(problems),
    )


def _created(facts: Mapping[str, Scalar], zone: ZoneInfo) -> datetime | None:
    """What cannot be read is told where facts are read as their types."""
    try:
        at = when(str(facts[CREATED]), zone)
    except (KeyError, ValueError):
        return None
    return at if isinstance(at, datetime) else instant(at.isoformat())


# -- engagement --------------------------------------------------------------------------------------------------


def engagement_maker(fields: CrmMap, zone: ZoneInfo, columns: Sequence[str]) -> Maker[Engagement]:
    """``columns``: those of the file; what a rule sets an attribute to and is none of them is a fixed text."""
    assert fields.file is not None
    assert fields.file.engagement is not None
    of = fields.file.engagement
    rules = fields.events_of(EventSource.ROW)
    attributes = [_attributes(rule, columns) for rule in rules]
    kind_of = said(of.kind)
    name = said(of.id) if of.id is not None else None
    wanted = [text for text in (of.kind, of.at, of.person, of.email, of.id, of.count) if text is not None]
    wanted += [text for rule in rules for text in rule.set.values()]
    used = tuple(column for text in dict.fromkeys(wanted) for column in columns_of(text) if column in columns)

    def make(row: Row | Broken, seen: Seen) -> Made[Engagement]:
        if isinstance(row, Broken):
            return Made(id=name(row.cells) if name is not None else None, reasons=(row.reason,))
        id = name(row.cells) if name is not None else _numbered(row.cells, seen)
        if id is None:
            return Made(id=None, reasons=("it says nothing that names it",))
        taken = _taken(rules, kind_of(row.cells))
        if taken is None:
            return Made(id=None)
        try:
            event = _event(id, row.cells, of, rules[taken].kind, zone)
        except ValueError as error:
            return Made(id=id, reasons=(str(error),))
        return Made(id=id, record=replace(event, attributes=attributes[taken](row.cells)))

    return Maker(
        columns=tuple(dict.fromkeys(used)),
        make=make,
        gone=lambda id: Engagement(crm=Crm.FILE, source_id=id, kind="", at=date.min, who="", deleted=True),
        whole=name is not None,
    )


def _numbered(cells: Cells, seen: Seen) -> str:
    """A row without a name is what it says, and the how-many-eth that says so."""
    content = _version(cells)
    return f"{content}-{seen.again(f'={content}')}"


def _taken(rules: Sequence[EventRule], kind: str | None) -> int | None:
    """Which rule takes a row, the first that fits; None: the row is no event."""
    text = fold(kind or "")
    return next((n for n, rule in enumerate(rules) if rule.key is None or fold(rule.key) == text), None)


def _event(id: str, cells: Cells, of: EngagementColumns, kind: str, zone: ZoneInfo) -> Engagement:
    """ValueError says what is wrong with the row."""
    person = said(of.person)(cells) if of.person is not None else None
    who = said(of.email)(cells) if of.email is not None else None
    if person is None and who is None:
        raise ValueError("it does not say whose it is")
    text = said(of.at)(cells)
    if text is None:
        raise ValueError("it does not say when it was")
    try:
        at = when(text, zone)
    except ValueError:
        raise ValueError(f"{of.at}: not a date or time in a known form") from None
    return Engagement(
        crm=Crm.FILE,
        source_id=id,
        kind=kind,
        at=at,
        who=_ref(person) if person is not None else who or "",
        count=_count(of, cells),
    )


def _count(of: EngagementColumns, cells: Cells) -> int:
    text = said(of.count)(cells) if of.count is not None else None
    if text is None:
        return 1
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise ValueError(f"{of.count}: not how often something happened")
    return int(text)


def _attributes(rule: EventRule, columns: Sequence[str]) -> Callable[[Cells], dict[str, str | int | float]]:
    """A column that the file has, or a text with columns in it, is looked up; any other text is the value itself."""
    plan = {
        name: said(text) if set(columns_of(text)) <= set(columns) else (lambda cells, text=text: text)
        for name, text in rule.set.items()
    }

    def read(cells: Cells) -> dict[str, str | int | float]:
        return {name: value for name, says in plan.items() if (value := says(cells)) is not None}

    return read
