"""Every row of an object changed in a window, by keyset, whatever the server does to cursors, pages and patience.

Source: REST API "Query" and "QueryAll": pages of up to 2,000 rows that the server may cut shorter, and a cursor that
may be lost. Rows are asked for by (SystemModstamp, Id), so the last row read in that order names where to go on, in
this process or the next; what is out of order names nothing (see `_Trail`). A window of many rows is read by a bulk
job instead, whose rows come in no order: there the job and its locator are the place where to go on, and a job that is
gone is begun anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from connectors.errors import RetryLater, RunCannotContinue
from connectors.records import Crm, FieldKind, Window
from connectors.salesforce import soql
from connectors.salesforce.bulk_query import JobFailed, JobLost, QueryJobs
from connectors.salesforce.client import Client, LostPlace, unread
from connectors.salesforce.refusals import NotPossible, Problem, Refused
from connectors.salesforce.schema import Describes, api_name
from connectors.salesforce.tables import Answer, Decoder, Row, Table

__all__ = ["Columns", "Row", "RowPage", "changed_rows"]

T = TypeVar("T")

_KEY = ("Id", "SystemModstamp")
"""What rows are read by: without these two there is nothing to read, and no query leaves them out."""

_OF_EVERY: dict[str, FieldKind] = {
    "SystemModstamp": FieldKind.DATETIME,
    "CreatedDate": FieldKind.DATETIME,
    "IsDeleted": FieldKind.BOOLEAN,
    "IsConverted": FieldKind.BOOLEAN,
}
"""Kinds of fields that every object has, whatever its describe shows."""

_NO_COLUMN = "No such column"

_QUOTED = re.compile(r"'([A-Za-z]\w*(?:\.\w+)*)'")
_ENTITY = re.compile(r"\bon (?:entity|sobject of type) '\w+'", re.IGNORECASE)
"""Whose column there is not: no reason to leave out the other columns of that parent."""

_BEFORE_ALL_IDS = "0" * 15
_AFTER_ALL_IDS = "z" * 18

_BEFORE_ALL = soql.Key(stamp="1970-01-01T00:00:00.000Z", id=_BEFORE_ALL_IDS)
"""Where a window begins that has no begin."""

_TOO_MUCH = ("QUERY_TIMEOUT", "OPERATION_TOO_LARGE")
"""Codes for a span with too much in it; the latter is of activities, for users who do not see everybody's."""

_TOO_LONG = (414, 431)
"""Statuses for a query that does not fit into an address. A job takes it in its body."""

_STORED = 2_000
"""Rows of a page, also of one that a job gives: as many as a query's."""

_MOST_JOBS = 2
"""Jobs of one span that may be lost before it is left for later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage:
    """Rows of a window, none of them where a job is waited for."""

    table: Table
    resume: str | None

    @property
    def rows(self) -> list[Row]:
        return self.table.rows()


class Columns:
    """What can be asked of one object: the wanted fields less those that this org or user does not show.

    One hidden field in a SELECT fails the whole query, so the describe decides, and where the describe was kept from
    an earlier day, the refusal does. ``hidden`` names what was left out.

    ``sure`` are fields that every org has, asked for whatever the describe says: without them a merge or a conversion
    would go unseen.
    """

    def __init__(self, describes: Describes, object: str, wanted: Sequence[str], sure: Sequence[str] = ()) -> None:
        self.object = object
        self._describes = describes
        self._decodes: tuple[tuple[str, ...], Decoder] | None = None
        self.shown, self.hidden = describes.visible(object, list(dict.fromkeys(wanted)))
        self.shown = list(dict.fromkeys((*_KEY, *sure, *self.shown)))
        self.hidden = [name for name in self.hidden if name not in self.shown]

    def drop(self, problem: Problem) -> bool:
        """Leave out the columns that a refusal names; False when it is another one, or names none of ours."""
        if problem.code != "INVALID_FIELD" and _NO_COLUMN not in problem.message:
            return False
        named_in = _ENTITY.sub("", problem.message)
        said = {name.casefold() for name in (*problem.fields, *_QUOTED.findall(named_in))}
        named = [
            column
            for column in self.shown
            if column not in _KEY
            and (column.casefold() in said or any(part.casefold() in said for part in column.split(".")))
        ]
        self.shown = [column for column in self.shown if column not in named]
        self.hidden += named
        return bool(named)

    def asked(self, send: Callable[[str], T], where: str, order: str = "") -> T:
        """What ``send`` makes of the query for these columns, less those that are refused."""
        while True:
            try:
                return send(soql.select(self.shown, api_name(self.object), where, order))
            except (NotPossible, Refused) as refused:
                if not self.drop(refused.refusal):
                    raise

    def ask(self, client: Client, where: str, *, kind: str) -> Mapping[str, Any]:
        """The first page of these columns from ``queryAll``, as JSON."""
        return self.asked(lambda text: client.query(text, kind=kind, deleted=True), where)

    @property
    def kinds(self) -> Mapping[str, FieldKind]:
        """What the columns hold, for answers that say everything in text."""
        known = self._describes.fields(self.object)
        return _OF_EVERY | {name: known[name].kind for name in self.shown if name in known}

    def decoder(self) -> Decoder:
        """Reads the answers to a query for these columns as they are now."""
        names = tuple(self.shown)
        if self._decodes is None or self._decodes[0] != names:
            self._decodes = names, Decoder(names)
        return self._decodes[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where in a job to go on.

    locator  of the next page of its results; "" is the first, or none yet
    to       end of the span the job reads
    after    row after which it begins, in the order of keys; "" is the window's begin
    """

    job: str
    locator: str = ""
    to: datetime
    after: str = ""

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


def changed_rows(
    client: Client, columns: Columns, window: Window, resume: str | None, where: str = ""
) -> Iterator[RowPage]:
    """Pages of the window's rows, the last with ``resume`` None (it may be empty).

    A query that takes too long is cut in two by time, again and again, and at last left to a job; a lost cursor is
    replaced by a new query after the last row. A row of the second on which two halves meet can come twice. While a
    job is waited for, empty pages come: the place of the job is to be kept, and whoever reads may stop.
    """
    return _Reading(client, columns, window, resume, where).pages()


class _Trail:
    """How far the pages of one query lead: up to ``key``, every row is read.

    A page shows its rows as they are when it is fetched. One that was changed since the query was asked comes with a
    stamp of today in a place of long ago, and whoever went on behind it would step over all there is between. So a
    stamp counts only before ``until``, which is where the query ends and no later than it was asked; and where one goes
    back behind the one before it, the server keeps no order at all, and nothing counts.
    """

    def __init__(self, began: soql.Key | None, until: datetime) -> None:
        self.key = self._began = began
        self._until = until.replace(microsecond=0)
        self._at: datetime | None = None
        self._id = ""
        self._astray = False

    def follow(self, table: Table) -> None:
        rows = list(zip(table["SystemModstamp"], table["Id"], strict=True))
        if _straight(rows):  # as nearly always: then what is between the first and the last that counts is in order too
            rows = [rows[0], next((row for row in reversed(rows) if soql.instant(row[0]) < self._until), rows[0])]
        for stamp, id in rows:
            self._step(stamp, id)

    def _step(self, stamp: Any, id: Any) -> None:
        try:
            at, named = soql.instant(stamp), soql.is_id(id)
        except (TypeError, ValueError):
            return  # whoever makes records of the rows tells of it
        if not named or at >= self._until or self._astray:
            return
        if self._at is not None and at < self._at:
            self._astray, self.key = True, self._began
            return
        in_order = at != self._at or id >= self._id
        self.key = soql.Key(stamp=stamp, id=id if in_order else _BEFORE_ALL_IDS)
        self._at, self._id = at, id if in_order else _AFTER_ALL_IDS


def _straight(rows: Sequence[tuple[Any, Any]]) -> bool:
    """Whether stamps of one spelling, and ids, follow in order."""
    try:
        return {stamp[-5:] for stamp, _ in rows} == {"+0000"} and rows == sorted(rows) and soql.is_id(rows[-1][1])
    except TypeError:
        return False


class _Reading:
    """One window. ``_after``: up to here all is read. ``_todo``: the spans that are not read, the next is last."""

    def __init__(self, client: Client, columns: Columns, window: Window, resume: str | None, where: str) -> None:
        self._client = client
        self._columns = columns
        self._where = where
        self._kind = f"pull {columns.object}"
        jobs = client.settings.bulk.reads_above is not None
        self._jobs: QueryJobs | None = QueryJobs(client, columns.object) if jobs else None
        self._window = window
        self._todo = [soql.Span(lo=window.lo, hi=window.hi)]
        self._after: soql.Key | None = None
        self._begun: _Place | None = None
        self._lost_at: tuple[soql.Key | None] | None = None
        self._begun_anew = 0
        try:
            if resume is not None and resume.startswith("{"):
                self._begun = msgspec.json.decode(resume.encode(), type=_Place)
            elif resume is not None:
                self._after = soql.Key.parse(resume)
        except ValueError as error:
            raise RunCannotContinue(
                Crm.SALESFORCE, f"{error}.", advice="Read the window again from its start."
            ) from None

    def pages(self) -> Iterator[RowPage]:
        if self._begun is not None:
            self._after = soql.Key.parse(self._begun.after) if self._begun.after else None
            span = soql.Span(lo=self._window.lo, hi=self._begun.to)
            self._todo = [soql.Span(lo=self._begun.to, hi=self._window.hi)] if span.hi < self._window.hi else []
            yield from self._by_job(span, self._begun)
        while self._todo:
            span = self._todo.pop()
            if self._jobs is not None and self._client.settings.bulk.reads_above == 0:
                yield from self._by_job(span)
            else:
                yield from self._by_query(span)

    # -- by queries ------------------------------------------------------------------------------------------------

    def _condition(self, span: soql.Span) -> str:
        after = self._after
        if after is not None and span.lo is not None and soql.instant(after.stamp) < span.lo:
            after = None  # the rows between them are read, and there were none
        return soql.changed(span, after) + (f" AND {self._where}" if self._where else "")

    def _by_query(self, span: soql.Span) -> Iterator[RowPage]:
        try:
            answer = self._columns.asked(self._first, self._condition(span), "SystemModstamp, Id")
        except Refused as refused:
            if refused.status in _TOO_LONG and self._jobs is not None:
                yield from self._by_job(span)
                return
            if refused.refusal.code not in _TOO_MUCH:
                raise
            yield from self._slower(span)
            return
        if self._jobs is not None and (answer.total or 0) > (self._client.settings.bulk.reads_above or 0):
            yield from self._by_job(span)
            return
        trail, read, asked = _Trail(self._after, span.hi), 0, set[str]()
        while True:
            table = answer.table
            read += table.size
            trail.follow(table)
            self._after = trail.key
            # whatever it says, there is more: only what was counted, or an answer without a row, is the end
            short = answer.done and 0 < read < (answer.total or 0)
            whole = answer.done and not short and not self._todo
            if table.size or whole:
                yield RowPage(table=table, resume=None if whole else str(self._after or _BEFORE_ALL))
            if answer.done and not short:
                return
            try:
                if short:
                    raise LostPlace(f"a query ended after {read} of {answer.total} rows.")
                answer = self._fetched(unread(str(answer.next_url), asked))
            except (Refused, LostPlace) as lost:
                yield from self._once_more(span, lost)
                return

    def _once_more(self, span: soql.Span, lost: Refused | LostPlace) -> Iterator[RowPage]:
        """A span whose cursor is gone, leads back, ends early, or whose page takes too long.

        The rest of it, after the last row. Where that is no further than the last time, a job, which needs no order.
        """
        if self._lost_at != (self._after,):
            self._lost_at = (self._after,)
            self._todo.append(span)
        elif self._jobs is not None:
            yield from self._by_job(span)
        else:
            raise lost

    def _first(self, text: str) -> Answer:
        return self._fetched(f"queryAll/?q={soql.address(text)}")

    def _fetched(self, path: str) -> Answer:
        decode = self._columns.decoder()
        return self._client.fetched(path, lambda answer: decode(answer.content), kind=self._kind)

    def _slower(self, span: soql.Span) -> Iterator[RowPage]:
        """A span that takes too long for a query: its halves; where it has none, a job."""
        halves = self._halves(span)
        if halves is not None:
            self._todo += reversed(halves)
        elif self._jobs is not None:
            yield from self._by_job(span)
        else:
            raise self._too_slow()

    def _halves(self, span: soql.Span) -> tuple[soql.Span, soql.Span] | None:
        lo = span.lo
        if self._after is not None:
            read_to = soql.instant(self._after.stamp)
            lo = read_to if lo is None else max(lo, read_to)
        return soql.Span(lo=lo, hi=span.hi).halves()

    def _too_slow(self) -> RetryLater:
        return RetryLater(
            Crm.SALESFORCE,
            f"the rows of {api_name(self._columns.object)} changed within one second cannot be read in the time a "
            "query may take.",
            status=400,
        )

    # -- by jobs ---------------------------------------------------------------------------------------------------

    def _by_job(self, span: soql.Span, place: _Place | None = None) -> Iterator[RowPage]:
        """The rows of a span, from ``place`` in a job that was begun earlier."""
        jobs = self._jobs or QueryJobs(self._client, self._columns.object)  # one begun before is read to its end
        if place is None:
            try:
                job = self._columns.asked(jobs.open, self._condition(span))
            except (NotPossible, Refused, RetryLater):
                # no bulk for this object, user or day: what can be read by queries is, and else they say what is wrong
                self._jobs = None
                self._todo.append(span)
                return
            place = _Place(job=job, to=span.hi, after=str(self._after or ""))
            yield self._waiting(place)
        try:
            yield from self._of_job(jobs, span, place)
        except JobLost as lost:
            self._begun_anew += 1
            if self._begun_anew > _MOST_JOBS:
                raise RetryLater(Crm.SALESFORCE, lost.problem) from None
            self._todo.append(span)
        except JobFailed as failed:
            if self._columns.drop(failed.refusal):
                self._todo.append(span)
                return
            if not failed.too_slow:  # of what jobs cannot do, queries can much; what they cannot, they say
                self._jobs = None
                self._todo.append(span)
                return
            halves = self._halves(span)
            if halves is None:
                raise
            self._todo += reversed(halves)

    def _waiting(self, place: _Place) -> RowPage:
        return RowPage(table=Table(columns=dict.fromkeys(self._columns.shown, ())), resume=str(place))

    def _of_job(self, jobs: QueryJobs, span: soql.Span, place: _Place) -> Iterator[RowPage]:
        if not place.locator:
            for _ in jobs.waits(place.job):
                yield self._waiting(place)
        names, kinds = self._columns.shown, self._columns.kinds
        for sheet, locator in jobs.results(place.job, place.locator, names, kinds):
            here, left = str(place), sheet.size
            place = replace(place, locator=locator or "")
            behind = str(place) if locator is not None else self._behind_job(span)
            for table in sheet.parts(_STORED):
                left -= table.size
                yield RowPage(table=table, resume=here if left else behind)
        jobs.let_go(place.job)

    def _behind_job(self, span: soql.Span) -> str | None:
        """Where to go on when all of a job's rows are read."""
        if not self._todo:
            return None
        self._after = soql.Key(stamp=soql.moment(span.hi.replace(microsecond=0)), id=_BEFORE_ALL_IDS)
        return str(self._after)
