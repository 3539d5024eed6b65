"""Rows column by column, decoded from the answers of both APIs: JSON of a query, CSV of a bulk job.

A page has thousands of rows and some twenty columns: what is done once for a column costs twenty steps, what is done
for each value tens of thousands. So answers are decoded into columns, and nothing after that knows of their form.
Source: REST API "Query"; Bulk API 2.0 "Get Results for a Query Job" (CSV, null is an empty cell, times end in ``Z``).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import msgspec

from connectors.records import FieldKind

__all__ = ["Answer", "Decoder", "Row", "Sheet", "Table", "csv_rows", "of_csv", "value_at"]

Row = Mapping[str, Any]
"""One row: field, or path through a relationship (``Campaign.Name``) -> value."""


def value_at(row: Row, path: str) -> Any:
    """A field of a row, also through a relationship (``Campaign.Name``); None where the parent is missing."""
    if path in row or "." not in path:
        return row.get(path)
    here: Any = row
    for part in path.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Some rows. ``columns``: name as asked for -> its values; all have ``size`` of them."""

    size: int = 0
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @classmethod
    def of_rows(cls, names: Sequence[str], rows: Sequence[Row]) -> Table:
        return cls(size=len(rows), columns={name: [value_at(row, name) for row in rows] for name in names})

    def __getitem__(self, name: str) -> Sequence[Any]:
        """The values of a column; of one that was not asked for, as many Nones."""
        column = self.columns.get(name)
        return list(repeat(None, self.size)) if column is None else column

    def parts(self, most: int) -> Iterator[Table]:
        """The rows in tables of their own, so many in each; one table where there are none."""
        if self.size <= most:
            yield self
            return
        for at in range(0, self.size, most):
            columns = {name: column[at : at + most] for name, column in self.columns.items()}
            yield Table(size=min(most, self.size - at), columns=columns)

    def rows(self) -> list[Row]:
        names = tuple(self.columns)
        return [dict(zip(names, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One page of a query. ``total``: rows of the whole query, None where that is not said."""

    table: Table
    done: bool
    next_url: str | None
    total: int | None


class Decoder:
    """Decodes the answers of one query. Fields nobody asked for, as ``attributes``, are not even made objects of.

    ValueError (as is msgspec's) for what is no page of a query.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._branch = _Branch([(name.split("."), name) for name in names])
        page = msgspec.defstruct(
            "Page",
            [
                ("records", list[self._branch.type] | None, None),  # type: ignore[name-defined]  # made at run time
                ("done", bool | None, None),
                ("nextRecordsUrl", str | None, None),
                ("totalSize", int | None, None),
            ],
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(page)

    def __call__(self, content: bytes) -> Answer:
        page = self._decoder.decode(content)
        if page.records is None:
            raise ValueError("a query was answered without records")
        done = page.nextRecordsUrl is None if page.done is None else page.done
        if not done and not page.nextRecordsUrl:
            raise ValueError("a query says that there is more, but not where to read it")
        columns: dict[str, Sequence[Any]] = {}
        self._branch.spread(page.records, columns)
        table = Table(size=len(page.records), columns=columns)
        return Answer(table=table, done=done, next_url=page.nextRecordsUrl, total=page.totalSize)


class _Branch:
    """A row, or a parent of one, as a type made for exactly the fields that were asked for."""

    def __init__(self, paths: Iterable[tuple[Sequence[str], str]]) -> None:
        self._leaves: dict[str, str] = {}
        below: dict[str, list[tuple[Sequence[str], str]]] = {}
        for path, name in paths:
            if len(path) == 1:
                self._leaves[path[0]] = name
            else:
                below.setdefault(path[0], []).append((path[1:], name))
        self._below = {parent: _Branch(some) for parent, some in below.items()}
        keys = [*self._leaves, *self._below]
        kinds = [Any] * len(self._leaves) + [branch.type | None for branch in self._below.values()]
        self.type: Any = msgspec.defstruct(
            "Row",
            [(f"f{i}", kind, None) for i, kind in enumerate(kinds)],
            rename={f"f{i}": key for i, key in enumerate(keys)},
            gc=False,  # none refers back: nothing for the collector to find
        )
        self._absent = (None,) * len(keys)

    def spread(self, found: Sequence[Any], into: dict[str, Sequence[Any]]) -> None:
        """Add the columns of these rows or parents, some of which may be None."""
        astuple, absent = msgspec.structs.astuple, self._absent
        tuples = [absent if one is None else astuple(one) for one in found]
        columns = list(zip(*tuples, strict=True)) if tuples else [()] * len(absent)
        into.update(zip(self._leaves.values(), columns, strict=False))
        for branch, column in zip(self._below.values(), columns[len(self._leaves) :], strict=True):
            branch.spread(column, into)


class Sheet:
    """A page of a job: its rows are read, and become objects of Python only a part at a time.

    All of them at once would be in memory twice, and take a third longer for it.
    """

    def __init__(self, columns: Mapping[str, Any], kinds: Mapping[str, FieldKind], size: int) -> None:
        self.size = size
        self._columns = columns
        self._kinds = kinds

    def parts(self, most: int) -> Iterator[Table]:
        """The rows in tables of so many; one table where there are none."""
        for at in range(0, max(self.size, 1), most):
            yield Table(
                size=min(most, self.size - at),
                columns={
                    name: _typed(column.slice(at, most).to_pylist(), self._kinds.get(name, FieldKind.TEXT))
                    for name, column in self._columns.items()
                },
            )


def of_csv(content: bytes, names: Sequence[str], kinds: Mapping[str, FieldKind], *, rows: int | None = None) -> Sheet:
    """A CSV page with a heading, its values as JSON would have them. Columns come in any order, headings in any case.

    ``rows``: how many there must be, where that was said. ValueError for what is not this query's page, or cut off.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    found = _columns(content, frozenset(name.casefold() for name in names))
    missing = [name for name in names if name.casefold() not in found]
    if missing:
        raise ValueError(f"a page of a job lacks the column {missing[0]}")
    columns = {name: found[name.casefold()] for name in names}
    size = len(next(iter(columns.values()), ()))
    if rows is not None and rows != size:
        raise ValueError("a page of a job is cut off")
    return Sheet(columns, kinds, size)


def _columns(content: bytes, wanted: frozenset[str]) -> Mapping[str, Any]:
    """The wanted columns by heading in small letters, blanks as None. Arrow reads them at twice the speed of `csv`.

    Arrow takes a text that ends inside a cell for whole, so that is looked at first.
    """
    from pyarrow import array, py_buffer, string
    from pyarrow import csv as arrow

    if not content or content.isspace():  # an answer without rows may be without a heading
        return {name: array([], string()) for name in wanted}
    if content.count(b'"') % 2 or not content.endswith((b"\n", b'"')):
        raise ValueError("a page of a job is cut off")
    [heading] = csv_rows(content.partition(b"\n")[0].decode())
    mine = [name for name in heading if name.casefold() in wanted]
    table = arrow.read_csv(
        py_buffer(content),
        read_options=arrow.ReadOptions(use_threads=False, block_size=len(content) + 1),
        parse_options=arrow.ParseOptions(newlines_in_values=True),
        convert_options=arrow.ConvertOptions(
            column_types=dict.fromkeys(mine, string()),
            include_columns=mine,
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    return {name.casefold(): table.column(name) for name in mine}


def csv_rows(text: str) -> list[list[str]]:
    """The cells of a CSV text, line ends inside them kept. ValueError when it is cut off or none."""
    try:
        return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"no CSV: {error}") from None


def _typed(column: Sequence[str | None], kind: FieldKind) -> Sequence[Any]:
    match kind:
        case FieldKind.BOOLEAN:
            return list(map(_BOOLEANS.__getitem__, column))
        case FieldKind.NUMBER:
            return _each(_number, column)
        case FieldKind.DATETIME:
            return [value[:-1] + "+0000" if value is not None and value[-1] == "Z" else value for value in column]
        case _:
            return column


class _OrItself(dict[str | None, Any]):
    """What is not among the keys is left as it is."""

    def __missing__(self, value: str | None) -> str | None:
        return value


_BOOLEANS = _OrItself({"true": True, "false": False})


def _number(text: str | None) -> int | float | str | None:
    """What cannot be read is left for whoever reports it."""
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def _each(convert: Callable[[Any], Any], column: Sequence[Any]) -> Sequence[Any]:
    """The column converted, each value once."""
    answers = {value: convert(value) for value in set(column)}
    return [answers[value] for value in column]
