"""How the files that scoring reads are laid out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring.tables import events_schema
from sync.store import parquet
from sync.store.parquet import RowGroups

SCHEMA = pa.schema([pa.field("person_id", pa.string(), nullable=False), pa.field("seq", pa.int64())])


def some(first: int, last: int) -> pa.Table:
    return pa.table({"person_id": [f"p{n:05d}" for n in range(first, last)], "seq": range(first, last)}, schema=SCHEMA)


@pytest.mark.parametrize("sizes", [(), (0,), (3,), (10,), (4, 4, 4), (25,), (7, 30, 1), (9, 1, 10)])
def test_row_groups_are_whole_whatever_the_tables_were(
    sizes: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows in their order; every row group but the last has the same number of them."""
    monkeypatch.setattr(parquet, "GROUP_ROWS", 10)
    path = tmp_path / "x.parquet"
    total = 0
    with path.open("wb") as sink, RowGroups(sink, SCHEMA) as file:
        for size in sizes:
            file.write(some(total, total + size))
            total += size
    meta = pq.read_metadata(path)
    groups = [meta.row_group(n).num_rows for n in range(meta.num_row_groups)]
    assert groups == [10] * (total // 10) + [total % 10] * (total % 10 > 0)
    assert pq.read_table(path).equals(some(0, total))


def test_the_id_is_a_dictionary_with_the_least_and_the_greatest_beside_it(tmp_path: Path) -> None:
    """What scoring groups by, and what tells a query which row groups it can leave out."""
    path = tmp_path / "x.parquet"
    parquet.write_sorted(some(3, 9), SCHEMA, path)
    column = pq.read_metadata(path).row_group(0).column(0)
    assert column.has_dictionary_page
    assert (column.statistics.min, column.statistics.max) == ("p00003", "p00008")


def test_what_differs_in_every_row_is_no_dictionary_and_ids_are_read_without_unpacking(tmp_path: Path) -> None:
    """Whoever is asked for, the ids of all are looked at first; unpacking random letters would be half of the time."""
    path = tmp_path / "x.parquet"
    row = {"person_id": "p", "event_id": "hubspot:1", "kind": "chat", "count": 1, "seq": 2, "deleted": False}
    day = {"day": date(2026, 1, 2), "at": datetime(2026, 1, 2, tzinfo=UTC), "timed": True}
    parquet.write_sorted(pa.Table.from_pylist([row | day], events_schema()), events_schema(), path)
    group = pq.read_metadata(path).row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert {name for name, column in columns.items() if column.compression == "UNCOMPRESSED"} == {"person_id"}
    apart = {name for name, column in columns.items() if not column.has_dictionary_page}
    assert apart == {"event_id", "seq", "at", "deleted", "timed"}
    assert pq.read_table(path).to_pylist()[0].items() >= (row | day).items()


def test_a_file_that_broke_off_holds_no_half_row_group(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"

    def break_off() -> None:
        with path.open("wb") as sink, RowGroups(sink, SCHEMA) as file:
            file.write(some(0, 5))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert pq.read_metadata(path).num_rows == 0
