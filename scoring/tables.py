"""The two tables scoring reads, and how a value is stored in them.

Text is stored folded, numbers as whole micro-units, dates as local days, so that every engine compares bytes and
integers and none needs a collation, a locale or a floating point number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from scoring.facts import ATTRIBUTES, FACTS, Fact, FactType

__all__ = [
    "KNOWN_FROM",
    "KNOWN_UNTIL",
    "LIST_EDGE",
    "MICRO",
    "Bucket",
    "FactValue",
    "event_row",
    "events_schema",
    "fold",
    "page_path",
    "people_row",
    "people_schema",
    "spread",
    "valid_column",
    "words",
    "words_column",
]

MICRO = 1_000_000
"""Micro-units in one: points, and every number a policy compares."""

LIST_EDGE = "\x1f"
"""A list fact is stored as one text: edge, item, edge, item, edge. So "has item x" is "contains edge x edge"."""

KNOWN_FROM, KNOWN_UNTIL = "known_from", "known_until"
"""The days between which a row of a versioned bucket was what we knew."""

FactValue = str | bool | Decimal | date | datetime | tuple[str, ...]
"""A parsed fact: text kinds as str, numbers as Decimal, instants aware. A missing fact is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The Parquet files of one part of the people, each sorted by person. Every person is in one bucket only.

    Where several files hold a person, or a person's event, the row with the greatest ``seq`` counts.

    compacted  every person and every event is in one file only, so that several files need no choosing between rows
    settled    those of the files that have every person or event once, among them all: only what is in the others too
               needs choosing
    versioned  rows have two more columns, `KNOWN_FROM` and `KNOWN_UNTIL` (dates; NULL: still known), and a day sees
               those known on it: from <= day < until. What was known on one day has one row a person and event.
    """

    people: tuple[Path, ...]
    events: tuple[Path, ...]
    compacted: bool = False
    settled: frozenset[Path] = frozenset()
    versioned: bool = False


_ASCII_WORD = re.compile(r"[a-z0-9]+")


def fold(text: str) -> str:
    """The form in which texts are compared: NFKC, case folded, trimmed, white space runs as one space."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def words(text: str) -> str:
    """The words of a text (maximal runs of letters and digits, folded), each between spaces: ``' vice president '``."""
    folded = fold(text)
    if folded.isascii():
        found = _ASCII_WORD.findall(folded)
        return f" {' '.join(found)} " if found else ""
    split = "".join(c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in folded).split()
    return f" {' '.join(split)} " if split else ""


def words_column(name: str) -> str:
    return f"{name}#words"


def valid_column(name: str) -> str:
    return f"{name}#valid"


def _fact_columns(fact: Fact) -> list[pa.Field]:
    match fact.type:
        case FactType.NUMBER:
            return [pa.field(fact.name, pa.int64())]
        case FactType.BOOLEAN:
            return [pa.field(fact.name, pa.bool_())]
        case FactType.DATE | FactType.INSTANT:
            return [pa.field(fact.name, pa.date32())]
        case FactType.EMAIL | FactType.PHONE:
            return [pa.field(fact.name, pa.string()), pa.field(valid_column(fact.name), pa.bool_())]
        case FactType.TEXT:
            return [pa.field(fact.name, pa.string()), pa.field(words_column(fact.name), pa.string())]
        case _:
            return [pa.field(fact.name, pa.string())]


def people_schema(custom: Mapping[str, Fact] | None = None) -> pa.Schema:
    """One row a person: ``person_id``, ``seq`` and a column for each fact (two where words or validity are asked too).

    Where several files hold a person, the row with the greatest ``seq`` is the one that counts.

    Missing is NULL everywhere; facts whose missing value is false or 0 never are NULL. Dates are the calendar day in
    the policy's timezone. Facts that exist only inside one decision (``fit.*``) have no column.
    """
    facts = [f for f in FACTS.values() if f.only_in is None] + sorted((custom or {}).values(), key=lambda f: f.name)
    keys = [pa.field("person_id", pa.string(), nullable=False), pa.field("seq", pa.int64(), nullable=False)]
    return pa.schema([*keys, *(c for f in facts for c in _fact_columns(f))])


def events_schema() -> pa.Schema:
    """One row an event.

    person_id, event_id  text; event_id is ``crm:source id``
    kind                 one of `EVENT_KINDS`
    day                  calendar day in the policy's timezone (the date itself where there is no time of day)
    at                   instant in UTC; 00:00 UTC of the date where there is no time of day
    timed                false for a date without time
    count                occurrences, at least 1
    seq, deleted         where several files hold an event, the row with the greatest seq counts; deleted: none does
    attributes           folded text with its words, ``minutes`` in micro-minutes
    """
    columns = [
        pa.field("person_id", pa.string(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("day", pa.date32(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("timed", pa.bool_(), nullable=False),
        pa.field("count", pa.int32(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("deleted", pa.bool_(), nullable=False),
    ]
    for name, type in ATTRIBUTES.items():
        if type is FactType.NUMBER:
            columns.append(pa.field(name, pa.int64()))
        else:
            columns += [pa.field(name, pa.string()), pa.field(words_column(name), pa.string())]
    return pa.schema(columns)


# -- values into columns -----------------------------------------------------------------------------------------

_fold = lru_cache(maxsize=65_536)(fold)
_words = lru_cache(maxsize=65_536)(words)


def spread(fact: Fact, value: FactValue | None, *, zone: tzinfo, valid: bool | None = None) -> dict[str, Any]:
    """A fact's columns as they are stored; all NULL for a missing fact, save those that are false or 0 when missing."""
    name = fact.name
    if value is None:
        empty = False if fact.missing_false else 0 if fact.missing_zero else None
        match fact.type:
            case FactType.EMAIL | FactType.PHONE:
                return {name: None, valid_column(name): None}
            case FactType.TEXT:
                return {name: None, words_column(name): None}
            case _:
                return {name: empty}
    match fact.type, value:
        case FactType.NUMBER, Decimal():
            return {name: int((value * MICRO).to_integral_value())}
        case FactType.BOOLEAN, bool():
            return {name: value}
        case ((FactType.DATE | FactType.INSTANT), datetime()):
            return {name: value.astimezone(zone).date()}
        case ((FactType.DATE | FactType.INSTANT), date()):
            return {name: value}
        case FactType.LIST, tuple():
            return {name: LIST_EDGE + LIST_EDGE.join(map(_fold, value)) + LIST_EDGE}
        case ((FactType.EMAIL | FactType.PHONE), str()):
            return {name: _fold(value), valid_column(name): valid}
        case FactType.TEXT, str():
            return {name: _fold(value), words_column(name): _words(value)}
        case _, str():
            return {name: _fold(value)}
    raise TypeError(f"{name} is a {fact.type}, which {value!r} is not")


def people_row(
    facts: Mapping[str, FactValue],
    person_id: str,
    seq: int,
    *,
    zone: tzinfo,
    valid: Mapping[str, bool] | None = None,
    custom: Mapping[str, Fact] | None = None,
) -> dict[str, Any]:
    """One row of `people_schema`.

    ``zone`` makes days of instants; ``valid`` judges the e-mail addresses and telephone numbers among ``facts``.
    """
    own = custom or {}
    row = _empty_facts() | {"person_id": person_id, "seq": seq}
    for fact in own.values():
        row.update(spread(fact, None, zone=zone))
    for name, value in facts.items():
        fact = FACTS.get(name) or own[name]
        if fact.only_in is None:
            row.update(spread(fact, value, zone=zone, valid=valid.get(name) if valid else None))
    return row


@cache
def _empty_facts() -> dict[str, Any]:
    """The columns of the built-in facts of somebody of whom nothing is known. Not to be changed."""
    row: dict[str, Any] = {}
    for fact in FACTS.values():
        if fact.only_in is None:
            row.update(spread(fact, None, zone=UTC))
    return row


def page_path(address: str) -> str:
    """The path of a page: without scheme, host, query, fragment and final ``/``; the root stays ``/``."""
    text = address.strip()
    has_host = "://" in text or (not text.startswith("/") and "." in text.partition("/")[0])
    try:
        path = urlsplit(text if not has_host or "://" in text else f"//{text}").path
    except ValueError:
        path = text.partition("?")[0].partition("#")[0]
    return "/" + path.strip("/") if path.strip("/") else "/"


_NO_ATTRIBUTES = {
    column: None
    for name, type in ATTRIBUTES.items()
    for column in ((name,) if type is FactType.NUMBER else (name, words_column(name)))
}


def event_row(
    person_id: str,
    event_id: str,
    kind: str,
    at: datetime | date,
    *,
    zone: tzinfo,
    timed: bool = True,
    count: int = 1,
    seq: int = 0,
    deleted: bool = False,
    attributes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One row of `events_schema`.

    ``at`` is an instant, or a date where there is no time of day. ``timed`` False with an instant: only its day is to
    be relied on (the last of several occurrences). ``minutes`` that are no number are left out.
    """
    if isinstance(at, datetime):
        day = at.astimezone(zone).date()
    else:
        day, timed = at, False
    row: dict[str, Any] = {
        "person_id": person_id,
        "event_id": event_id,
        "kind": kind,
        "day": day,
        "at": at if timed else datetime(day.year, day.month, day.day, tzinfo=UTC),
        "timed": timed,
        "count": count,
        "seq": seq,
        "deleted": deleted,
        **_NO_ATTRIBUTES,
    }
    for name, value in (attributes or {}).items():
        type = ATTRIBUTES.get(name)
        if type is FactType.NUMBER:
            row[name] = _micro(value)
        elif type is not None and value is not None:
            text = str(value)
            if name == "path" and text:
                text = page_path(text)
            if folded := _fold(text):
                row[name], row[words_column(name)] = folded, _words(text)
    return row


def _micro(value: Any) -> int | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
        return int((number * MICRO).to_integral_value()) if number.is_finite() else None
    except (ArithmeticError, ValueError):
        return None
