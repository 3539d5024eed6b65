"""The wide reasons of everybody, as Parquet: the newest, and the last of each day, by policy version.

One file a bucket, day and scoring version, beside the snapshot. Like the snapshot it is a cache with a memory: what it
holds can be computed again from the store, except for days whose facts have moved since.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["KEPT", "Scorecards"]

KEPT = timedelta(days=400)
"""How long a day's reasons are kept: a year of back-testing, and some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecards:
    """The files of one store. ``folder`` is made when the first is written."""

    folder: Path

    def _file(self, version: str, day: date, bucket: int) -> Path:
        return self.folder / version / day.isoformat() / f"{bucket:02d}.parquet"

    def whole(self, version: str, day: date, buckets: int) -> bool:
        """Every bucket was scored by this version on this day."""
        return all(self._file(version, day, bucket).exists() for bucket in range(buckets))

    def save(self, table: pa.Table, *, version: str, day: date, bucket: int, whole: bool) -> None:
        """Keep a bucket's reasons. Not ``whole``: only these people's rows are replaced.

        Written beside, synced and renamed: a crash leaves the old file or the new one.
        """
        path = self._file(version, day, bucket)
        if not whole and path.exists():
            kept = pq.read_table(path)
            others = kept.filter(pc.invert(pc.is_in(kept["person_id"], value_set=table["person_id"].combine_chunks())))
            table = (
                pa.concat_tables([others, table]).sort_by("person_id").replace_schema_metadata(table.schema.metadata)
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        with beside.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def row(self, person_id: str, *, version: str, day: date, bucket: int) -> pa.Table | None:
        """One person's row as kept, None when there is none of that day."""
        path = self._file(version, day, bucket)
        if not path.exists():
            return None
        found = pq.read_table(path, filters=pc.field("person_id") == person_id)
        return found if found.num_rows else None

    def forget(self, *, before: date) -> int:
        """Remove the days before ``before``. Returns how many."""
        old = [path for path in self._days() if date.fromisoformat(path.name) < before]
        for path in old:
            shutil.rmtree(path)
        return len(old)

    def _days(self) -> Iterator[Path]:
        yield from self.folder.glob("*/????-??-??")
