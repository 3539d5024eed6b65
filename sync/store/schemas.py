"""The CRMs' descriptions of their properties, kept for a day so that a quiet run does not ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from connectors.records import Crm, FieldKind, FieldSchema
from sync.store import schema
from sync.store.statements import upsert

__all__ = ["forget_schemas", "load_schemas", "save_schemas"]


def load_schemas(tx: Connection, crm: Crm) -> dict[str, Mapping[str, FieldSchema]]:
    """Object -> property -> description, of what is kept."""
    kept = select(schema.schema_cache).where(schema.schema_cache.c.conn == crm)
    return {row.object: {name: _field(body) for name, body in row.body.items()} for row in tx.execute(kept)}


def _field(body: Mapping[str, Any]) -> FieldSchema:
    options = body["options"]
    values = {**body, "kind": FieldKind(body["kind"]), "options": None if options is None else tuple(options)}
    return FieldSchema(**values)


def save_schemas(tx: Connection, crm: Crm, described: Mapping[str, Mapping[str, FieldSchema]], *, at: datetime) -> None:
    """Keep what was fetched; an object that is kept already and still young keeps its date."""
    known = {
        row.object: row.fetched_at
        for row in tx.execute(select(schema.schema_cache).where(schema.schema_cache.c.conn == crm))
    }
    rows = [
        {
            "conn": crm,
            "object": object,
            "fetched_at": known.get(object, at),
            "body": {name: asdict(one) for name, one in fields.items()},
        }
        for object, fields in described.items()
    ]
    upsert(tx, schema.schema_cache, rows, ("conn", "object"))


def forget_schemas(tx: Connection, *, before: datetime | None = None) -> None:
    """Drop what is older than ``before``; everything, when the CRMs' fields were changed on purpose."""
    gone = delete(schema.schema_cache)
    tx.execute(gone if before is None else gone.where(schema.schema_cache.c.fetched_at <= before))
