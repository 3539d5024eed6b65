"""Where the files are, and how a CSV file is written."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

__all__ = ["CSV", "PARQUET", "FileSettings"]

CSV = frozenset({".csv", ".tsv", ".txt"})
PARQUET = frozenset({".parquet", ".pq"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """One connection to files.

    name        what people call it; a store is pinned to it
    people      a row is a person; None where the file only has engagement
    engagement  a row is an activity
    encoding    of CSV files without a byte order mark, by Python's name
    delimiter   between the cells of a CSV file; None: seen from its header
    zone        of times that do not say theirs

    Raises ValueError for what cannot work, without looking at the files.
    """

    name: str
    people: Path | None
    engagement: Path | None = None
    encoding: str = "utf-8"
    delimiter: str | None = None
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if self.people is None and self.engagement is None:
            raise ValueError("a connection to files names at least one: people, engagement")
        for path in (self.people, self.engagement):
            if path is not None and path.suffix.lower() not in CSV | PARQUET:
                raise ValueError(f"{path.name}: neither CSV (.csv, .tsv, .txt) nor Parquet (.parquet, .pq)")
        try:
            text = codecs.lookup(self.encoding)._is_text_encoding
        except LookupError:
            text = False
        if not text:
            raise ValueError(f"'{self.encoding}' is no text encoding; write utf-8, windows-1252, utf-16, ...")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ValueError("the delimiter is one character: ',' or ';' or '|' or a tab")
