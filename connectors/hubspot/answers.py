"""The shapes of HubSpot's answers, decoded by msgspec straight from the bytes.

Only what is read is declared; everything else in an answer is skipped unparsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from connectors.normalise import as_text

__all__ = [
    "BatchAnswer",
    "Listing",
    "PageRead",
    "Paging",
    "Record",
    "RecordPage",
    "Undecodable",
    "batch_answer",
    "decode",
    "listing",
    "record_page",
    "rows_of",
]

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, gc=False):
    """A CRM object. Property values are text or null, whatever their type."""

    id: str
    properties: dict[str, str | None] = msgspec.field(default_factory=dict)
    createdAt: str | None = None  # noqa: N815  # HubSpot's names, here and below
    updatedAt: str | None = None  # noqa: N815
    archived: bool = False
    objectWriteTraceId: str | None = None  # noqa: N815


class Next(msgspec.Struct, frozen=True):
    after: str | int | None = None


class Paging(msgspec.Struct, frozen=True):
    next: Next | None = None


def following(paging: Paging | None) -> str | None:
    """The cursor of the next page, None at the end."""
    after = paging.next.after if paging is not None and paging.next is not None else None
    return None if after is None or after == "" else str(after)


class RecordPage(msgspec.Struct, frozen=True):
    """A page of a list or a search. ``results`` has no default: an answer without it is no page."""

    results: list[Record]
    paging: Paging | None = None


class BatchAnswer(msgspec.Struct, frozen=True):
    """200 or 207 of a batch call. ``errors`` are kept as they are: their shape varies."""

    results: list[Record] = msgspec.field(default_factory=list)
    errors: list[msgspec.Raw] = msgspec.field(default_factory=list)
    broken: tuple[Undecodable, ...] = ()


class _Batch(msgspec.Struct, frozen=True):
    """The same on the wire, where ``results`` may be left out if there are errors."""

    results: list[Record] | None = None
    errors: list[msgspec.Raw] | None = None


class _RawBatch(msgspec.Struct, frozen=True):
    results: list[msgspec.Raw] | None = None
    errors: list[msgspec.Raw] | None = None


class Undecodable(msgspec.Struct, frozen=True):
    """A row of a page that is no record. ``id`` is "" when not even that could be read."""

    id: str
    reason: str


class PageRead(msgspec.Struct, frozen=True):
    """A page as far as it could be read. ``last``: the id of its last row, whatever it is; "" of an empty page."""

    rows: list[Record]
    broken: tuple[Undecodable, ...]
    after: str | None
    last: str


class _RawPage(msgspec.Struct, frozen=True):
    results: list[msgspec.Raw]
    paging: Paging | None = None


class _LooseRecord(msgspec.Struct, frozen=True):
    id: str | int
    properties: dict[str, str | bool | int | float | None] | None = None
    createdAt: str | int | None = None  # noqa: N815
    updatedAt: str | int | None = None  # noqa: N815
    archived: bool | None = None
    objectWriteTraceId: str | None = None  # noqa: N815


_PAGE = msgspec.json.Decoder(RecordPage)
_RAW = msgspec.json.Decoder(_RawPage)
_BATCH = msgspec.json.Decoder(_Batch)
_RAW_BATCH = msgspec.json.Decoder(_RawBatch)
_LOOSE = msgspec.json.Decoder(_LooseRecord)


def decode(body: bytes, type: type[T]) -> T:
    """msgspec.DecodeError (or its ValidationError) when the body is not such an answer."""
    return msgspec.json.decode(body, type=type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """A page of a listing that is small and read whole: its rows, and those that are none."""

    results: list[T]
    broken: list[Undecodable]
    paging: Paging | None


def listing(body: bytes, type: type[T]) -> Listing[T]:
    """DecodeError when it cannot be read as a whole, or no row of it can."""
    page = _RAW.decode(body)
    rows, broken = rows_of(page.results, type)
    return Listing(results=rows, broken=broken, paging=page.paging)


def rows_of(raws: Iterable[msgspec.Raw], type: type[T]) -> tuple[list[T], list[Undecodable]]:
    """The rows of a listing, and those that are none. ValidationError where not one is: then it is no such listing."""
    rows: list[T] = []
    broken: list[Undecodable] = []
    for raw in raws:
        try:
            rows.append(msgspec.json.decode(raw, type=type))
        except msgspec.DecodeError as error:
            broken.append(Undecodable(id=_name_of(raw, ("id", "objectId", "name")), reason=str(error)))
    if broken and not rows:
        raise msgspec.ValidationError(broken[0].reason)
    return rows, broken


def record_page(body: bytes) -> PageRead:
    """A page. DecodeError when it cannot be read as a whole.

    The first decoder takes what HubSpot documents; the second, ten times slower, takes a page apart row by row.
    """
    try:
        page = _PAGE.decode(body)
    except msgspec.ValidationError:
        raw = _RAW.decode(body)
    else:
        return PageRead(
            rows=page.results, broken=(), after=following(page.paging), last=page.results[-1].id if page.results else ""
        )
    rows = list(_rows(raw.results))
    return PageRead(
        rows=[row for row in rows if isinstance(row, Record)],
        broken=tuple(row for row in rows if isinstance(row, Undecodable)),
        after=following(raw.paging),
        last=next((row.id for row in reversed(rows) if row.id), ""),
    )


def batch_answer(body: bytes) -> BatchAnswer:
    """The answer of a batch call. Rows that cannot be read are told apart from the rest."""
    broken: tuple[Undecodable, ...] = ()
    try:
        batch = _BATCH.decode(body)
        results, errors = batch.results, batch.errors
    except msgspec.ValidationError:
        raw = _RAW_BATCH.decode(body)
        rows = None if raw.results is None else list(_rows(raw.results))
        results = None if rows is None else [row for row in rows if isinstance(row, Record)]
        broken = tuple(row for row in rows or () if isinstance(row, Undecodable))
        errors = raw.errors
    if results is None and not errors:
        raise msgspec.ValidationError("neither results nor errors")
    return BatchAnswer(results=results or [], errors=errors or [], broken=broken)


def _rows(results: list[msgspec.Raw]) -> Iterator[Record | Undecodable]:
    for raw in results:
        try:
            loose = _LOOSE.decode(raw)
        except msgspec.DecodeError as error:
            yield Undecodable(id=_name_of(raw, ("id",)), reason=str(error))
            continue
        yield Record(
            id=str(loose.id),
            properties={
                name: None if value is None else as_text(value) for name, value in (loose.properties or {}).items()
            },
            createdAt=None if loose.createdAt is None else as_text(loose.createdAt),
            updatedAt=None if loose.updatedAt is None else as_text(loose.updatedAt),
            archived=bool(loose.archived),
            objectWriteTraceId=loose.objectWriteTraceId,
        )


def _name_of(raw: msgspec.Raw, keys: Sequence[str]) -> str:
    """The first of these that a row has and that can name it; "" where there is none."""
    try:
        row = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return ""
    named = (row.get(key) for key in keys) if isinstance(row, dict) else ()
    return next((str(one) for one in named if isinstance(one, str | int)), "")
