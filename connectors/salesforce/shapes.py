"""Rows to records, column by column: what to do with each column is settled once for a stream.

A value that comes again in a page (a country, a status, an owner) is converted once. Where one row of a page is no
record, the page is gone through row by row, and that row alone is a problem.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import repeat
from typing import Any, Generic, TypeVar

from connectors.columns import made
from connectors.normalise import Converter, as_text, instants, moments, to_moment
from connectors.records import CompanyRecord, Crm, Page, PersonRecord, RecordProblem, RecordRef, Scalar
from connectors.salesforce import soql
from connectors.salesforce.tables import Table

__all__ = ["Companies", "Fact", "People", "Shape", "ref_of", "text_of"]

R = TypeVar("R", PersonRecord, CompanyRecord)

Problems = dict[int, list[RecordProblem]]
"""By number of the row."""


def ref_of(object: str, id: str) -> RecordRef:
    return RecordRef(crm=Crm.SALESFORCE, object=object, id=soql.id18(id))


def text_of(value: Scalar | None) -> str | None:
    """A field's value as text: numbers without a trailing ``.0``, booleans ``true`` and ``false``, blank as None."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else as_text(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One mapped fact, ready to be read from rows."""

    name: str
    property: str
    convert: Converter


class Shape(ABC, Generic[R]):
    """What makes records of the rows of one object."""

    def __init__(self, object: str, facts: Sequence[Fact]) -> None:
        self._object = object
        self._facts = facts

    def page(self, table: Table, resume: str | None) -> Page[R]:
        """The rows as records; one that cannot be read is a problem of the page."""
        try:
            return Page(rows=tuple(self._records(table)), resume=resume)
        except (ValueError, TypeError, KeyError, AttributeError):
            return self._row_by_row(table, resume)

    def _row_by_row(self, table: Table, resume: str | None) -> Page[R]:
        records: list[R] = []
        problems: list[RecordProblem] = []
        for one in table.parts(1):
            try:
                records += self._records(one)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                reason = f"the record cannot be read: {type(error).__name__}: {error}"
                ref = RecordRef(crm=Crm.SALESFORCE, object=self._object, id=str(one["Id"][0]))
                problems.append(RecordProblem(ref=ref, field="SystemModstamp", reason=reason))
        return Page(rows=tuple(records), resume=resume, problems=tuple(problems))

    @abstractmethod
    def _records(self, table: Table) -> list[R]: ...

    def _refs(self, table: Table) -> list[RecordRef]:
        ids = [soql.id18(id) for id in table["Id"]]
        if not all(ids):
            raise ValueError("it has no id")
        return made(RecordRef, table.size, crm=repeat(Crm.SALESFORCE), object=repeat(self._object), id=ids)

    def _read_facts(self, table: Table, refs: Sequence[RecordRef], problems: Problems) -> list[dict[str, Scalar]]:
        columns = {fact.name: self._read(fact, table[fact.property], refs, problems) for fact in self._facts}
        return _mappings(columns, table.size)

    @staticmethod
    def _read(fact: Fact, column: Sequence[Any], refs: Sequence[RecordRef], problems: Problems) -> Sequence[Any]:
        try:
            return moments(column) if fact.convert is to_moment else converted(column, fact.convert)
        except (ValueError, TypeError):
            pass  # one of them: which, and what of the others
        values: list[Any] = []
        for number, (ref, raw) in enumerate(zip(refs, column, strict=True)):
            try:
                values.append(None if raw is None else fact.convert(_single(raw)))
            except (ValueError, TypeError) as error:
                values.append(None)
                reason = f"{fact.property}: {error}"
                problems.setdefault(number, []).append(RecordProblem(ref=ref, field=fact.name, reason=reason))
        return values

    def _moves(self, table: Table) -> tuple[list[bool], list[RecordRef | None]]:
        """Which rows are gone, and where those live on."""
        deleted, converted_ = table["IsDeleted"], table["IsConverted"]
        gone = [bool(d or c) for d, c in zip(deleted, converted_, strict=True)]
        if not any(gone):
            return gone, [None] * table.size
        masters, contacts = table["MasterRecordId"], table["ConvertedContactId"]
        return gone, [
            moved_to(self._object, d, m, c, p)
            for d, m, c, p in zip(deleted, masters, converted_, contacts, strict=True)
        ]


class People(Shape[PersonRecord]):
    """``email``: the property with the address. ``written``, ``heard``: properties shown as text."""

    def __init__(
        self, object: str, facts: Sequence[Fact], *, email: str, written: Sequence[str], heard: Sequence[str]
    ) -> None:
        super().__init__(object, facts)
        self._email = email
        self._written = tuple(written)
        self._heard = tuple(heard)

    def _records(self, table: Table) -> list[PersonRecord]:
        refs, problems = self._refs(table), Problems()
        stamps = table["SystemModstamp"]
        gone, moved = self._moves(table)
        records = made(
            PersonRecord,
            table.size,
            ref=refs,
            emails=[(address,) if address else () for address in table[self._email]],
            facts=self._read_facts(table, refs, problems),
            current=_texts(table, self._written),
            heard=_texts(table, self._heard),
            owner=converted(table["OwnerId"], _id),
            version=stamps,
            modified_at=_moments(stamps),
            created_at=instants(table["CreatedDate"]),
            company=_accounts(table["AccountId"]),
            gone=gone,
            moved_to=moved,
        )
        return _noted(records, problems)


class Companies(Shape[CompanyRecord]):
    def _records(self, table: Table) -> list[CompanyRecord]:
        refs, problems = self._refs(table), Problems()
        stamps = table["SystemModstamp"]
        gone, moved = self._moves(table)
        records = made(
            CompanyRecord,
            table.size,
            ref=refs,
            facts=self._read_facts(table, refs, problems),
            owner=converted(table["OwnerId"], _id),
            version=stamps,
            modified_at=_moments(stamps),
            gone=gone,
            moved_to=moved,
        )
        return _noted(records, problems)


def converted(column: Sequence[Any], convert: Callable[[Any], Any]) -> Sequence[Any]:
    """A column's values converted, None as None. Where they repeat, each once.

    A column holds values of one kind: that 1 and True are alike to a set matters nowhere.
    """
    distinct = set(column)
    distinct.discard(None)
    if not distinct:
        return column
    if 2 * len(distinct) > len(column):
        return [None if value is None else convert(value) for value in column]
    answers = {value: convert(value) for value in distinct}
    answers[None] = None
    return [answers[value] for value in column]


def _single(raw: Any) -> Scalar:
    """ValueError for what has parts, as an address has."""
    if not isinstance(raw, str | bool | int | float):
        raise ValueError("it is no single value; map one of its parts")
    return raw


def _texts(table: Table, names: Sequence[str]) -> list[dict[str, str | None]]:
    """The fields of each row as text, the blank ones as well."""
    blank = dict.fromkeys(names)
    return _mappings({name: converted(table[name], text_of) for name in names}, table.size, blank)


def _mappings(
    columns: Mapping[str, Sequence[Any]], size: int, blank: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """What the columns say of each row, where they say something; beneath it what ``blank`` says.

    Most columns of a page say little: nothing at all, or the same of everybody. So every row begins as a copy of what
    they have in common, and gets what it has of its own.
    """
    if not size:
        return []
    common = dict(blank or {})
    own: list[tuple[str, Sequence[Any]]] = []
    for name, column in columns.items():
        value = column[0]
        if value == column[-1] and column.count(value) == size:
            if value is not None:
                common[name] = value
        else:
            own.append((name, column))
    rows = [common.copy() for _ in range(size)]
    for name, column in own:
        for row, value in zip(rows, column, strict=True):
            if value is not None:
                row[name] = value
    return rows


def _noted(records: list[R], problems: Problems) -> list[R]:
    for number, some in problems.items():
        records[number] = replace(records[number], problems=tuple(some))
    return records


def moved_to(object: str, deleted: Any, master: Any, converted: Any, contact: Any) -> RecordRef | None:
    """Where a record lives on that was merged or converted."""
    if converted and contact:
        return ref_of("contact", contact)
    if deleted and master:
        return ref_of(object, master)
    return None


def _moments(stamps: Sequence[str]) -> Sequence[datetime | None]:
    """None of them blank. ValueError where one is."""
    if not all(stamps):
        raise ValueError("it has no change stamp")
    return instants(stamps)


def _id(value: Any) -> str | None:
    return soql.id18(value) if value else None


def _accounts(column: Sequence[Any]) -> Sequence[RecordRef | None]:
    distinct = [id for id in set(column) if id]
    ids = [soql.id18(id) for id in distinct]
    refs = made(RecordRef, len(ids), crm=repeat(Crm.SALESFORCE), object=repeat("account"), id=ids)
    known = dict(zip(distinct, refs, strict=True))
    return [known.get(id) for id in column] if known else [None] * len(column)
