"""Every row of an object changed in a window, by keyset, whatever the server does to cursors, pages and patience.

Source: REST API "Query" and "QueryAll": pages of up to 2,000 rows that the server may cut shorter, and a cursor that
may be lost. Rows come by (SystemModstamp, Id), so the last row read names where to go on, in this process or the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.errors import RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.records import Crm, Window
from connectors.salesforce import soql
from connectors.salesforce.client import Client
from connectors.salesforce.refusals import NotPossible, Refused
from connectors.salesforce.schema import Describes, api_name

__all__ = ["Columns", "RowPage", "changed_rows"]

Row = Mapping[str, Any]

_KEY = ("Id", "SystemModstamp")
"""What rows are read by: without these two there is nothing to read, and no query leaves them out."""

_QUOTED = re.compile(r"'([A-Za-z]\w*(?:\.\w+)*)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage:
    rows: Sequence[Row]
    resume: str | None


class Columns:
    """What can be asked of one object: the wanted fields less those that this org or user does not show.

    One hidden field in a SELECT fails the whole query, so the describe decides, and where the describe was kept from
    an earlier day, the refusal does. ``hidden`` names what was left out.

    ``sure`` are fields that every org has, asked for whatever the describe says: without them a merge or a conversion
    would go unseen.
    """

    def __init__(self, describes: Describes, object: str, wanted: Sequence[str], sure: Sequence[str] = ()) -> None:
        self.object = object
        self.shown, self.hidden = describes.visible(object, list(dict.fromkeys(wanted)))
        self.shown = list(dict.fromkeys((*_KEY, *sure, *self.shown)))
        self.hidden = [name for name in self.hidden if name not in self.shown]

    def drop(self, refused: NotPossible) -> bool:
        """Leave out the columns that an INVALID_FIELD names; False when it names none of ours."""
        said = {name.casefold() for name in (*refused.refusal.fields, *_QUOTED.findall(refused.refusal.message))}
        named = [
            column
            for column in self.shown
            if column not in _KEY
            and (column.casefold() in said or any(part.casefold() in said for part in column.split(".")))
        ]
        self.shown = [column for column in self.shown if column not in named]
        self.hidden += named
        return bool(named)

    def ask(self, client: Client, where: str, *, order: str = "", kind: str) -> Mapping[str, Any]:
        """The first page of these columns from ``queryAll``."""
        while True:
            text = soql.select(self.shown, api_name(self.object), where, order)
            try:
                return client.query(text, kind=kind, deleted=True)
            except NotPossible as refused:
                if refused.refusal.code != "INVALID_FIELD" or not self.drop(refused):
                    raise


def changed_rows(
    client: Client, columns: Columns, window: Window, resume: str | None, where: str = ""
) -> Iterator[RowPage]:
    """Pages of the window's rows, the last with ``resume`` None (it may be empty).

    A query that takes too long is cut in two by time, again and again; a lost cursor is replaced by a new query after
    the last row. A row of the second on which two halves meet can come twice.
    """
    kind = f"pull {columns.object}"
    try:
        after = soql.Key.parse(resume) if resume is not None else None
    except ValueError as error:
        raise RunCannotContinue(Crm.SALESFORCE, f"{error}.", advice="Read the window again from its start.") from None
    todo = [soql.Span(lo=window.lo, hi=window.hi)]
    lost_at: soql.Key | None = None
    lost = False
    while todo:
        span = todo.pop()
        condition = soql.changed(span, after) + (f" AND {where}" if where else "")
        try:
            page = columns.ask(client, condition, order="SystemModstamp, Id", kind=kind)
        except Refused as refused:
            if refused.refusal.code != "QUERY_TIMEOUT":
                raise
            todo += reversed(_halved(span, after, columns.object))
            continue
        while True:
            rows = page["records"]
            after = _key(rows[-1], columns.object) if rows else after
            whole = page["done"] and not todo
            if rows or whole:
                yield RowPage(rows=rows, resume=None if whole else str(after))
            if page["done"]:
                break
            try:
                page = client.more(page["nextRecordsUrl"], kind=kind)
            except Refused:
                # the cursor is gone (INVALID_QUERY_LOCATOR), or its page takes too long: ask again after the last row
                if lost and lost_at == after:
                    raise
                lost, lost_at = True, after
                todo.append(span)
                break


def _halved(span: soql.Span, after: soql.Key | None, object: str) -> tuple[soql.Span, soql.Span]:
    lo = span.lo
    if after is not None:
        read_to = soql.instant(after.stamp)
        lo = read_to if lo is None else max(lo, read_to)
    halves = soql.Span(lo=lo, hi=span.hi).halves()
    if halves is None:
        raise RetryLater(
            Crm.SALESFORCE,
            f"the rows of {api_name(object)} changed within one second cannot be read in the time a query may take.",
            status=400,
        )
    return halves


def _key(row: Row, object: str) -> soql.Key:
    stamp, id = row.get("SystemModstamp"), row.get("Id")
    if not isinstance(stamp, str) or not isinstance(id, str):
        raise UnexpectedAnswer(
            Crm.SALESFORCE, f"a row of {api_name(object)} has no id or no SystemModstamp.", status=200
        )
    return soql.Key(stamp=stamp, id=id)
