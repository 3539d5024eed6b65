"""The two tables scoring reads, and how a value is stored in them.

Text is stored folded, numbers as whole micro-units, dates as local days, so that every engine compares bytes and
integers and none needs a collation, a locale or a floating point number.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from scoring.facts import ATTRIBUTES, FACTS, Fact, FactType

__all__ = [
    "Bucket",
    "LIST_EDGE",
    "MICRO",
    "FactValue",
    "events_schema",
    "fold",
    "people_schema",
    "valid_column",
    "words",
    "words_column",
]

MICRO = 1_000_000
"""Micro-units in one: points, and every number a policy compares."""

LIST_EDGE = "\x1f"
"""A list fact is stored as one text: edge, item, edge, item, edge. So "has item x" is "contains edge x edge"."""

FactValue = str | bool | Decimal | date | datetime | tuple[str, ...]
"""A parsed fact: text kinds as str, numbers as Decimal, instants aware. A missing fact is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The Parquet files of one part of the people, each sorted by person. Every person is in one bucket only."""

    people: tuple[Path, ...]
    events: tuple[Path, ...]


def fold(text: str) -> str:
    """The form in which texts are compared: NFKC, case folded, trimmed, white space runs as one space."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def words(text: str) -> str:
    """The words of a text (maximal runs of letters and digits, folded), each between spaces: ``' vice president '``."""
    folded = fold(text)
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
