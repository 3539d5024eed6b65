"""How the Parquet files that scoring reads are laid out.

Row groups are what a query can skip, and what its threads share: few people each for the sake of a query about one in
a hundred, many rows each for the sake of one about everybody. A person's id repeats through all their rows, so it is
kept as a dictionary, which scoring groups by without looking at the texts; a row group has few enough people for that.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["GROUP_ROWS", "RowGroups", "write_sorted"]

GROUP_ROWS = 16_384


class RowGroups:
    """A file written table by table, in row groups of `GROUP_ROWS` whatever the size of the tables."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(sink, schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def __enter__(self) -> RowGroups:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=GROUP_ROWS)
        self._waiting, self._rows = [], 0


def write_sorted(table: pa.Table, schema: pa.Schema, path: Path) -> None:
    """A file of columns in the order of ``schema``; those the table lacks are NULL."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    with path.open("wb") as sink, RowGroups(sink, schema) as file:
        file.write(pa.table(columns, schema=schema))
