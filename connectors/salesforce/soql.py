"""SOQL as text, ids, and the literals of both directions. No network.

Source: SOQL and SOSL reference (comparison operators, date formats), record ids in "Salesforce ID format".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote_plus

from connectors.normalise import salesforce_id

__all__ = [
    "Key",
    "Span",
    "address",
    "asks_for_ids",
    "changed",
    "chunks",
    "id18",
    "instant",
    "is_id",
    "literal",
    "moment",
    "select",
]

URI_LIMIT = 8_000
"""Most bytes of an encoded query. The server's wall is 16,384 for URI and headers together, proxies have lower ones."""

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?\Z")
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
)


def is_id(text: str) -> bool:
    """Whether the text can be a record id at all. Anything else must never reach a URL or a query."""
    return _ID.match(text) is not None


def id18(text: str) -> str:
    """The 18-character form. An id that has it already passes as it is: the CRM's own spelling wins."""
    return salesforce_id(text) if len(text) == 15 else text


def moment(at: datetime) -> str:
    """An aware time as a SOQL literal: UTC with ``Z``, which needs no escaping in a URL."""
    at = at.astimezone(UTC)
    fraction = f".{at.microsecond // 1000:03d}" if at.microsecond >= 1000 else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def instant(text: str) -> datetime:
    """``2024-05-06T07:08:09.000+0000`` (REST) or ``...Z`` (Bulk) as an aware UTC time. ValueError otherwise."""
    read = datetime.fromisoformat(text)
    if read.tzinfo is UTC:  # as nearly always: an offset of +0000 is read as UTC itself
        return read
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def literal(value: str | bool | int | float | date | None) -> str:
    """A value as SOQL writes it. Times must be aware; a date stays a date."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{value.translate(_ESCAPES)}'"
        case datetime():
            return moment(value)
        case date():
            return value.isoformat()
        case _:
            return repr(value)


def select(fields: Iterable[str], source: str, where: str = "", order: str = "", limit: int | None = None) -> str:
    """One query. A field named twice is an error in SOQL, so each is asked for once."""
    text = f"SELECT {', '.join(dict.fromkeys(fields))} FROM {source}"  # noqa: S608  # values come through `literal`
    if where:
        text += f" WHERE {where}"
    if order:
        text += f" ORDER BY {order}"
    if limit is not None:
        text += f" LIMIT {limit}"
    return text


def asks_for_ids(text: str) -> bool:
    """Whether a query made by `select` asks for ``Id``."""
    fields = text.removeprefix("SELECT ").partition(" FROM ")[0]
    return "Id" in fields.split(", ")


def address(soql: str) -> str:
    """The query as the value of ``q=``. Quotes, commas and parentheses are legal in a query string and left alone:
    that makes an id cost 21 bytes instead of 27, and 300 of them fit in a short URI.
    """
    return quote_plus(soql, safe="',():")


def chunks(ids: Sequence[str], most: int, around: int = 0) -> Iterator[tuple[str, ...]]:
    """Ids in groups for one ``IN (...)``: at most ``most``, and short enough for one URI.

    ``around`` is the encoded length of the rest of the query.
    """
    room = max(1, (URI_LIMIT - around) // 21)
    step = min(most, room)
    for start in range(0, len(ids), step):
        yield tuple(ids[start : start + step])


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The last row read, by the order of every incremental read: change stamp as the CRM wrote it, then id."""

    stamp: str
    id: str

    def __str__(self) -> str:
        return f"{self.stamp}|{self.id}"

    @classmethod
    def parse(cls, text: str) -> Key:
        stamp, bar, id = text.rpartition("|")
        if not bar or not is_id(id):
            raise ValueError(f"not a resume point of Salesforce: {text!r}")
        instant(stamp)
        return cls(stamp=stamp, id=id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A closed range of change stamps. ``lo`` None: from the beginning."""

    lo: datetime | None
    hi: datetime

    def halves(self) -> tuple[Span, Span] | None:
        """Two spans that cover this one (their common second is read twice), None when it is too short to cut."""
        lo = self.lo or datetime(1999, 1, 1, tzinfo=UTC)  # the year the first org was made
        if self.hi - lo < timedelta(seconds=2):
            return None
        middle = (lo + (self.hi - lo) / 2).replace(microsecond=0)
        return Span(lo=self.lo, hi=middle), Span(lo=middle, hi=self.hi)


def changed(span: Span, after: Key | None = None) -> str:
    """The condition for rows changed in the span, after a row read before.

    Stamps have whole seconds, so the bounds are widened to whole seconds: a row read twice is harmless, a row
    between two windows is lost. Many rows share one stamp, so the row to go on after is named by stamp and id.
    """
    hi = span.hi.astimezone(UTC)
    if hi.microsecond:
        hi = hi.replace(microsecond=0) + timedelta(seconds=1)
    parts = [f"SystemModstamp <= {moment(hi)}"]
    if after is not None:
        at = moment(instant(after.stamp))
        parts.append(f"(SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > {literal(after.id)}))")
    elif span.lo is not None:
        parts.insert(0, f"SystemModstamp >= {moment(span.lo.astimezone(UTC).replace(microsecond=0))}")
    return " AND ".join(parts)
