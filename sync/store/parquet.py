"""How the Parquet files that scoring reads are laid out.

A query pays for every row group before it reads a row, so they are large. A person's id repeats through all their rows
and is kept as a dictionary, by whose places scoring groups without looking at the texts. It is the first thing looked
at whoever is asked for, and hardly to be compressed: it is not. What is different in every row is no dictionary.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["GROUP_ROWS", "RowGroups", "write_sorted"]

GROUP_ROWS = 122_880
"""With ten rows a person, the ids of 12,000 people: few enough for DuckDB to group by the dictionary's places."""

PERSON = "person_id"


def _encoding(field: pa.Field) -> str | None:
    """What is quicker to read, and to write, than a dictionary or rows as they are; None for a dictionary."""
    if pa.types.is_boolean(field.type):
        return "RLE"
    match field.name:
        case "event_id":
            return "DELTA_LENGTH_BYTE_ARRAY"
        case "seq" | "at":
            return "PLAIN"
        case _:
            return None


class RowGroups:
    """A file written table by table, in row groups of `GROUP_ROWS` whatever the size of the tables."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        encodings = {field.name: encoding for field in schema if (encoding := _encoding(field))}
        self._writer = pq.ParquetWriter(
            sink,
            schema,
            compression={name: "none" if name == PERSON else "zstd" for name in schema.names},
            use_dictionary=[name for name in schema.names if name not in encodings],
            column_encoding=encodings,
        )
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def __enter__(self) -> RowGroups:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._rows:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._writer.close()

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows < GROUP_ROWS:
            return
        rows = pa.concat_tables(self._waiting)
        whole = self._rows - self._rows % GROUP_ROWS
        self._writer.write_table(rows.slice(0, whole), row_group_size=GROUP_ROWS)
        self._waiting, self._rows = [rows.slice(whole)], self._rows - whole


def write_sorted(table: pa.Table, schema: pa.Schema, path: Path) -> None:
    """A file of columns in the order of ``schema``; those the table lacks are NULL."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    with path.open("wb") as sink, RowGroups(sink, schema) as file:
        file.write(pa.table(columns, schema=schema))
