"""Many rows as columns: the database writes one JSON array a column, and no row becomes an object of its own."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, FromClause, Integer, Text, cast, func, select, true

__all__ = ["read_columns", "read_in_order"]

PIECE = 250_000
"""Rows that are read at a time: SQLite makes no text of more than a billion characters."""

_texts = msgspec.json.Decoder(list[str | None])
_numbers = msgspec.json.Decoder(list[int | None])


def read_columns(
    tx: Connection,
    columns: Sequence[ColumnElement[str | int | None]],
    where: ColumnElement[bool],
    *,
    of: FromClause | None = None,
) -> pa.Table:
    """Texts and whole numbers of some hundred thousand rows, by the names of the columns, in no particular order.

    ``of`` as in ``select_from``.
    """
    collected = func.json_agg if tx.dialect.name == "postgresql" else func.json_group_array
    query = select(*(cast(collected(column), Text).label(column.key) for column in columns)).where(where)
    found = tx.execute(query if of is None else query.select_from(of)).one()
    arrays = {}
    for column, text in zip(columns, found, strict=True):
        is_number = isinstance(column.type, Integer)
        # No row at all is NULL to Postgres.
        values = (_numbers if is_number else _texts).decode(text or "[]")
        arrays[column.key] = pa.array(values, pa.int64() if is_number else pa.string())
    return pa.table(arrays)


def read_in_order(
    tx: Connection, columns: Sequence[ColumnElement[str | int | None]], where: ColumnElement[bool]
) -> pa.Table:
    """All rows as `read_columns` does, in the order of the first column.

    That is a text every row has another one of, of digits and small letters: every database sorts those alike.
    """
    key = columns[0]
    found: list[pa.Table] = []
    rest = select(*columns).where(where).order_by(key).limit(PIECE)
    while not found or found[-1].num_rows == PIECE:
        some = (rest if not found else rest.where(key > found[-1][0][-1].as_py())).subquery()
        found.append(read_columns(tx, list(some.c), true()).sort_by(key.key))
    return pa.concat_tables(found)
