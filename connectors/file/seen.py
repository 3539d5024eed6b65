"""The ids that a reading of a file has met, on disk: there may be millions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["Seen"]


class Seen:
    """``id -> line``. Lives as long as `opened` does; SQLite moves it to a file of its own when it grows."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Seen]:
        # "" is a database on disk that is deleted when it is closed; small ones stay in memory.
        database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA cache_size = -8000")
            database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID")
            database.execute("BEGIN")
            yield cls(database)
        finally:
            database.close()

    def meet(self, id: str, line: int) -> int | None:
        """Note an id. The line in which it was met before, None when it was not."""
        try:
            self._database.execute("INSERT INTO seen VALUES (?, ?)", (id, line))
        except sqlite3.IntegrityError:
            met: int = self._database.execute("SELECT line FROM seen WHERE id = ?", (id,)).fetchone()[0]
            return met
        return None

    def again(self, id: str) -> int:
        """How often an id was met, this time included."""
        counted = "INSERT INTO seen VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET line = line + 1 RETURNING line"
        times: int = self._database.execute(counted, (id,)).fetchone()[0]
        return times

    def without(self, ids: Sequence[str]) -> list[str]:
        """Those that were not met."""
        return [i for i in ids if self._database.execute("SELECT 1 FROM seen WHERE id = ?", (i,)).fetchone() is None]
