"""Writes people and events, given as plain dicts (`tests.support.oracle`), as the Parquet files scoring reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scoring.facts import ATTRIBUTES, FACTS, Fact, FactType
from scoring.tables import (
    LIST_EDGE,
    MICRO,
    Bucket,
    events_schema,
    fold,
    people_schema,
    valid_column,
    words,
    words_column,
)


def _stored(name: str, type: FactType, facts: Mapping[str, Any]) -> dict[str, Any]:
    value = facts.get(name)
    if value is None:
        return {}
    match type:
        case FactType.NUMBER:
            return {name: int(Decimal(value) * MICRO)}
        case FactType.BOOLEAN | FactType.DATE | FactType.INSTANT:
            return {name: value}
        case FactType.LIST:
            return {name: LIST_EDGE + "".join(fold(item) + LIST_EDGE for item in value)}
        case FactType.EMAIL | FactType.PHONE:
            return {name: fold(value), valid_column(name): facts[f"{name}!"]}
        case FactType.TEXT:
            return {name: fold(value), words_column(name): words(value)}
        case _:
            return {name: fold(value)}


def person_row(person_id: str, facts: Mapping[str, Any], custom: Mapping[str, Fact], seq: int = 1) -> dict[str, Any]:
    row: dict[str, Any] = {"person_id": person_id, "seq": seq}
    for fact in [*(f for f in FACTS.values() if f.only_in is None), *custom.values()]:
        row |= _stored(fact.name, fact.type, facts)
    return row


def event_row(person_id: str, event: Mapping[str, Any], seq: int = 1, *, deleted: bool = False) -> dict[str, Any]:
    row = {
        "person_id": person_id,
        "event_id": event["event_id"],
        "kind": event["kind"],
        "day": event["day"],
        "at": event["at"],
        "timed": event["at"].time() != time.min,
        "count": event["count"],
        "seq": seq,
        "deleted": deleted,
    }
    for name, type in ATTRIBUTES.items():
        row |= _stored(name, type, event["attributes"])
    return row


def event(
    event_id: str, kind: str, day: date, *, at: datetime | None = None, count: int = 1, **attributes: Any
) -> dict[str, Any]:
    """An event as a plain dict. Without ``at`` it has no time of day."""
    instant = at or datetime.combine(day, time.min, UTC)
    return {"event_id": event_id, "kind": kind, "day": day, "at": instant, "count": count, "attributes": attributes}


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> Path:
    """A Parquet file of rows; what a row does not name is NULL."""
    columns = {name: [row.get(name) for row in rows] for name in schema.names}
    pq.write_table(pa.table(columns, schema=schema), path)
    return path


def write_bucket(
    folder: Path,
    people: Mapping[str, Mapping[str, Any]],
    events: Mapping[str, Sequence[Mapping[str, Any]]],
    custom: Mapping[str, Fact] | None = None,
) -> Bucket:
    """One file of people (id -> facts) and one of events (person id -> events), sorted by person."""
    person_rows = [person_row(one, people[one], custom or {}) for one in sorted(people)]
    event_rows = [event_row(one, each) for one in sorted(events) for each in events[one]]
    return Bucket(
        people=(write_rows(folder / "people.parquet", person_rows, people_schema(custom)),),
        events=(write_rows(folder / "events.parquet", event_rows, events_schema()),),
    )
