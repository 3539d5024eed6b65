"""Rows of a CSV or Parquet file as text by column, one after the other: a file may be larger than memory."""

from __future__ import annotations

import codecs
import csv
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.errors import RunCannotContinue
from connectors.file.settings import PARQUET, FileSettings
from connectors.normalise import as_text
from connectors.records import Crm

__all__ = ["Broken", "Row", "Table", "table"]

Cells = Mapping[str, str]
"""Column -> text, without the blank ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``line``: where it begins, the header is line 1. Of Parquet the number of the row, from 1."""

    line: int
    cells: Cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A row that cannot be read. ``cells`` are what it seems to hold: not to be taken for what somebody wrote."""

    line: int
    reason: str
    cells: Cells = field(default_factory=dict)


class Table(ABC):
    """One file. ``columns`` as in its header, in order."""

    columns: tuple[str, ...]

    @abstractmethod
    def rows(self, wanted: Sequence[str]) -> Iterator[Row | Broken]:
        """Every row with the cells of the ``wanted`` columns. `RunCannotContinue`: the file cannot be read."""


def table(path: Path, settings: FileSettings) -> Table:
    """The file behind ``path``. `RunCannotContinue` where it is not there or is no table."""
    try:
        if path.suffix.lower() in PARQUET:
            return _Parquet(path, settings.zone)
        return _Csv(path, settings.encoding, settings.delimiter)
    except OSError as error:
        raise unreadable(path, error.strerror or type(error).__name__) from None


def unreadable(path: Path, why: str, *, advice: str = "Nothing of it was read.") -> RunCannotContinue:
    return RunCannotContinue(Crm.FILE, f"{path} cannot be read: {why}.", advice=advice)


# -- CSV ---------------------------------------------------------------------------------------------------------

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = ",;\t|"

LONGEST_ROW = 1_000
"""Lines of one row. A quote that is never closed would take the rest of the file into one cell."""


NEVER_CLOSED = "a quote is not closed"


class _Lines:
    """The lines of a text, numbered, some of which can be given back."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= LONGEST_ROW:
            raise csv.Error(f"{NEVER_CLOSED} within {LONGEST_ROW:,} lines")
        line = self._again.popleft() if self._again else self._text.readline()
        if not line:
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        return line

    def begin(self) -> int:
        """Another row begins; the number of its first line."""
        self.taken = []
        return self.number + 1

    def give_back(self) -> None:
        """All lines of this row but its first are to be read once more, as rows of their own."""
        self._again.extendleft(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1


class _Csv(Table):
    def __init__(self, path: Path, encoding: str, delimiter: str | None) -> None:
        with path.open("rb") as file:
            start = file.read(4)
        marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
        self._path = path
        self._encoding = marked or encoding
        self._delimiter = delimiter
        self._skipped = 0
        self.columns = self._header()

    def _open(self) -> TextIO:
        # Bytes that mean nothing in this encoding stay recognisable: their rows are named, the others are read.
        return self._path.open(encoding=self._encoding, errors="surrogateescape", newline="")

    def _header(self) -> tuple[str, ...]:
        """Sees the delimiter as well: that by which the header has most columns."""
        try:
            with self._open() as text:
                first = text.readline().strip()
            if first.lower().startswith("sep=") and len(first) == len("sep=") + 1:
                # Excel's own word for it.
                self._skipped, self._delimiter = 1, self._delimiter or first[-1]
            headers = {one: self._header_by(one) for one in self._delimiter or _DELIMITERS}
        except UnicodeError:
            raise unreadable(self._path, f"it is not {self._encoding}") from None
        self._delimiter, header = max(headers.items(), key=lambda found: len(found[1]))
        if not any(header):
            raise unreadable(self._path, "it has no header line that names its columns")
        if not _decoded(header):
            said = f"its header is not {self._encoding}"
            raise unreadable(self._path, said, advice="Say `encoding:` in mqlsync.yaml: windows-1252, utf-16, ...")
        return header

    def _header_by(self, delimiter: str) -> tuple[str, ...]:
        """Nothing where the first line makes no sense with this delimiter."""
        with self._open() as text:
            try:
                header = next(csv.reader(self._begun(text), delimiter=delimiter, strict=True), ())
            except csv.Error:
                return ()
            return tuple(name.strip() for name in header)

    def _begun(self, text: TextIO) -> _Lines:
        lines = _Lines(text)
        for _ in range(self._skipped):
            next(lines)
        return lines

    def rows(self, wanted: Sequence[str]) -> Iterator[Row | Broken]:
        places = [(name, self.columns.index(name)) for name in dict.fromkeys(wanted) if name in self.columns]
        try:
            with self._open() as text:
                lines = self._begun(text)
                reader = csv.reader(lines, delimiter=self._delimiter or ",", strict=True)
                next(reader, None)
                yield from self._body(lines, reader, places)
        except OSError as error:
            raise unreadable(self._path, error.strerror or type(error).__name__) from None
        except UnicodeError:
            raise unreadable(self._path, f"it is not {self._encoding}", advice="It was read up to there.") from None

    def _body(self, lines: _Lines, reader: Any, places: Sequence[tuple[str, int]]) -> Iterator[Row | Broken]:
        width = len(self.columns)
        while True:
            line = lines.begin()
            try:
                found = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                lines.give_back()
                seems = next(csv.reader(lines.taken[:1], delimiter=self._delimiter or ","), [])
                reason = NEVER_CLOSED if "unexpected end" in str(error) else str(error)
                yield Broken(line=line, reason=reason, cells=_cells(seems, places))
                continue
            if not any(found):
                continue
            cells = _cells(found, places)
            if len(found) != width:
                lines.give_back()
                yield Broken(line=line, reason=f"{len(found)} cells where the header has {width}", cells=cells)
            elif not _decoded(found):
                yield Broken(line=line, reason=f"bytes that are not {self._encoding}", cells=cells)
            else:
                yield Row(line=line, cells=cells)


def _cells(found: Sequence[str], places: Sequence[tuple[str, int]]) -> Cells:
    return {name: text for name, at in places if at < len(found) and (text := found[at].strip())}


def _decoded(cells: Sequence[str]) -> bool:
    """No lone surrogate: these stand for bytes that could not be decoded."""
    return not any(not cell.isascii() and any("\ud800" <= c <= "\udfff" for c in cell) for cell in cells)


# -- Parquet -----------------------------------------------------------------------------------------------------

_TOGETHER = 1_000


class _Parquet(Table):
    def __init__(self, path: Path, zone: ZoneInfo) -> None:
        self._path = path
        self._zone = zone
        try:
            self.columns = tuple(pq.read_schema(path).names)
        except pa.ArrowException as error:
            raise unreadable(path, f"it is no Parquet file ({str(error).splitlines()[0]})") from None

    def rows(self, wanted: Sequence[str]) -> Iterator[Row | Broken]:
        names = [name for name in dict.fromkeys(wanted) if name in self.columns]
        line = 0
        try:
            with pq.ParquetFile(self._path, pre_buffer=False, buffer_size=1 << 20) as file:
                for batch in file.iter_batches(batch_size=_TOGETHER, columns=names):
                    columns = [_values(batch.column(name)) for name in names]
                    for values in zip(*columns, strict=True) if names else ():
                        line += 1
                        yield self._row(line, names, values)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._path, str(error).splitlines()[0], advice="It was read up to there.") from None

    def _row(self, line: int, names: Sequence[str], values: Sequence[Any]) -> Row | Broken:
        cells: dict[str, str] = {}
        odd: list[str] = []
        for name, value in zip(names, values, strict=True):
            if value is None:
                continue
            try:
                text = _text(value, self._zone).strip()
            except ValueError:
                odd.append(name)
                continue
            if text:
                cells[name] = text
        if odd:
            return Broken(line=line, reason=f"{', '.join(odd)}: bytes that are no text", cells=cells)
        return Row(line=line, cells=cells)


def _values(column: Any) -> list[Any]:
    """Python has no nanoseconds."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _text(value: Any, zone: ZoneInfo) -> str:
    """As a CSV file would say it. ValueError for bytes that are no text."""
    match value:
        case str() | bool() | int() | float():
            return as_text(value)
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value.normalize():f}"
        case bytes():
            return value.decode()
        case list():
            return ";".join(_text(one, zone) for one in value if one is not None)
        case _:
            return json.dumps(value, default=str, sort_keys=True)
