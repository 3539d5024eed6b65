"""Read what changed in the CRMs into the store, so that nothing is missed and nothing needs to be read twice.

A stream is read in windows with a fixed upper bound; each page and the place where to go on are one transaction. The
cursor moves to the end of a window only when all of it is stored. Whatever is read again changes nothing.

Each connection is read by a thread of its own. What they read goes through one short queue to the one writer of the
store: a page is read ahead while another is stored, and a reader that is faster than the store waits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from connectors.errors import SourceMissing
from connectors.port import Connector
from connectors.records import AccountInfo, Crm, Owner, Page, RecordProblem, RecordRef, Stream, StreamKind, Window
from sync.collecting import collecting_rarely
from sync.sales import Hearing
from sync.store.accounts import Cursor, load_cursor, pin_account, save_owners, save_window
from sync.store.db import Store
from sync.store.engagement import save_engagement
from sync.store.problems import known_problems, note_problems, untold_doubts
from sync.store.records import save_companies, save_people
from sync.store.refs import SaveCounts, by_object
from sync.store.sweeps import known_of

__all__ = ["PullReport", "Source", "pull", "pull_side_by_side", "read_whole"]

LOOKS_UP_EVERY = 0.1
"""Seconds after which a thread that waits for another one looks whether it is to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One CRM, and how what it says is to be understood.

    ours, hearing  see `sync.store.records.save_people`
    mapping        hash of the field map; a stream that was read with another one is read again from the beginning
    lacking        object -> mapped properties that cannot be read. They read as blank everywhere, so that one that goes
                   away or comes back is as good as another map of its object
    account        whom the credentials speak for, when the connector was asked already
    """

    connector: Connector
    ours: Mapping[str, str] = field(default_factory=dict)
    hearing: Hearing = field(default_factory=Hearing)
    mapping: str = ""
    lacking: Mapping[str, Sequence[str]] = field(default_factory=dict)
    account: AccountInfo | None = None

    @property
    def crm(self) -> Crm:
        return self.connector.crm

    def reading(self, stream: Stream) -> str:
        """What the stream's cursor remembers of how it was read."""
        lacking = self.lacking.get(stream.name)
        return f"{self.mapping} without {','.join(sorted(lacking))}" if lacking else self.mapping

    def pages(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[Any]]:
        match stream.kind:
            case StreamKind.PEOPLE:
                return self.connector.people(stream, window, resume)
            case StreamKind.COMPANIES:
                return self.connector.companies(stream, window, resume)
            case StreamKind.ENGAGEMENT:
                return self.connector.engagement(stream, window, resume)
            case StreamKind.OWNERS:
                raise AssertionError("owners are listed whole, not in windows")

    def save(self, tx: Connection, stream: Stream, rows: Sequence[Any], now: datetime) -> SaveCounts:
        """Store rows of a stream that were read when the CRM's clock said ``now``."""
        match stream.kind:
            case StreamKind.PEOPLE:
                return save_people(tx, rows, seen_at=now, ours=self.ours, hearing=self.hearing)
            case StreamKind.COMPANIES:
                return save_companies(tx, rows, seen_at=now)
            case StreamKind.ENGAGEMENT:
                return save_engagement(tx, rows, seen_at=now)
            case StreamKind.OWNERS:
                return save_owners(tx, stream.crm, rows, seen_at=now)


def read_whole(source: Source, store: Store, refs: Sequence[RecordRef]) -> list[RecordProblem]:
    """Read those of these people's records that the store does not have, outside of any window; what is unreadable.

    The windows stay where they stand and bring them once more.
    """
    problems: list[RecordProblem] = []
    for (_, object), ids in by_object(refs).items():
        with store.read() as tx:
            known = known_of(tx, source.crm, object, ids)
        unknown = [RecordRef(crm=source.crm, object=object, id=id) for id in ids if id not in known]
        if not unknown:
            continue
        stream = Stream(crm=source.crm, kind=StreamKind.PEOPLE, name=object)
        rows = source.connector.fetch(stream, unknown).rows
        with store.write() as tx:
            problems += source.save(tx, stream, rows, source.connector.now()).problems
    return problems


@dataclass(slots=True)
class PullReport:
    """What was read from one CRM.

    rows         stream -> rows seen, those that were stored already included
    counts       stream -> what became of them
    problems     values that could not be used and that were not known to be so before
    calls        HTTP requests by kind, of this pull alone
    left_out     streams that cannot be read here, and why: no scope, no plan. They stay where they stand
    interrupted  asked to stop: the windows go on where they stand
    """

    rows: dict[str, int] = field(default_factory=dict)
    counts: dict[str, SaveCounts] = field(default_factory=dict)
    problems: list[RecordProblem] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    interrupted: bool = False

    def add(self, stream: Stream, counts: SaveCounts, problems: Sequence[RecordProblem]) -> None:
        """Count a page."""
        self.rows[str(stream)] = self.rows.get(str(stream), 0) + counts.rows
        self.counts[str(stream)] = self.counts.get(str(stream), SaveCounts()).plus(counts)
        self.problems += [*problems, *counts.problems]


class _Stop(Exception):
    """Between two pages."""


def pull(
    connector: Connector,
    store: Store,
    *,
    settle: timedelta,
    overlap: timedelta,
    stop: Callable[[], bool] = lambda: False,
    reached: Callable[[str], None] = lambda place: None,
    **understood: Any,
) -> PullReport:
    """`pull_side_by_side` of one CRM. ``understood``: the rest of its `Source`."""
    source = Source(connector=connector, **understood)
    return pull_side_by_side([source], store, settle=settle, overlap=overlap, stop=stop, reached=reached)[source.crm]


def pull_side_by_side(
    sources: Sequence[Source],
    store: Store,
    *,
    settle: timedelta,
    overlap: timedelta,
    stop: Callable[[], bool] = lambda: False,
    reached: Callable[[str], None] = lambda place: None,
) -> dict[Crm, PullReport]:
    """Read every stream of each CRM up to now. The first failure of one CRM stops the others between two pages.

    Parameters
    ----------
    settle: a window ends so long before the CRM's clock, for changes that are not visible at once
    overlap: a window begins so long before the end of the last one, for changes that became visible late
    stop: asked between pages, in the calling thread
    reached: told the name of each place, after its commit, in the calling thread

    Raises
    ------
    StoreError: the credentials are for another account than the store's
    ConnectorError: a CRM could not go on; all that was read is stored, and the next pull goes on from there
    """
    before = {source.crm: dict(source.connector.calls) for source in sources}
    reports = {source.crm: PullReport() for source in sources}
    for source in sources:
        account = source.account or source.connector.check()
        with store.write() as tx:
            pin_account(tx, account, at=source.connector.now())
    with store.read() as tx:
        told = known_problems(tx)
    line = _Line(len(sources))
    readers = [_Reader(source=s, store=store, settle=settle, overlap=overlap, line=line) for s in sources]
    threads = [
        threading.Thread(target=copy_context().run, args=(one.read,), name=f"pull {one.source.crm}", daemon=True)
        for one in readers
    ]
    for thread in threads:
        thread.start()
    try:
        with collecting_rarely():  # pages are let go of when they are stored
            for step in line.steps(len(readers), stop):
                _store(step, store, told, reports[step.source.crm], reached)
    except _Stop:
        for report in reports.values():
            report.interrupted = True
    finally:
        line.close()
        for thread in threads:
            thread.join()
    for source in sources:
        made, was = source.connector.calls, before[source.crm]
        reports[source.crm].calls = {kind: n - was.get(kind, 0) for kind, n in made.items() if n > was.get(kind, 0)}
    return reports


# -- between readers and writer ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What a reader asks to be stored in one transaction.

    place    what is told when that is done
    cursor   where the stream stands after it; None for owners, and where it stands there already
    rows     None when none were read
    now      the CRM's clock when it was read
    missing  why the stream cannot be read at all
    """

    source: Source
    stream: Stream
    place: str
    cursor: Cursor | None
    now: datetime
    rows: Sequence[Any] | None = None
    problems: tuple[RecordProblem, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class _End:
    """A reader has nothing more to say: all is read, or this is why not."""

    failure: BaseException | None = None


class _Line:
    """The way from the readers to the writer, as long as there are readers: nobody reads far ahead."""

    def __init__(self, length: int) -> None:
        self._queue: queue.Queue[_Step | _End] = queue.Queue(maxsize=max(length, 1))
        self._closed = threading.Event()

    def put(self, step: _Step | _End) -> None:
        """Wait for room. Raises _Stop when nobody takes any more."""
        while not self._closed.is_set():
            try:
                self._queue.put(step, timeout=LOOKS_UP_EVERY)
            except queue.Full:
                continue
            return
        raise _Stop

    def steps(self, readers: int, stop: Callable[[], bool]) -> Iterator[_Step]:
        """What to store, until every reader has ended. Raises what one of them raised, or _Stop when asked to."""
        while readers:
            if stop():
                raise _Stop
            try:
                step = self._queue.get(timeout=LOOKS_UP_EVERY)
            except queue.Empty:
                continue
            if isinstance(step, _Step):
                yield step
            elif step.failure is not None:
                raise step.failure
            else:
                readers -= 1

    def close(self) -> None:
        self._closed.set()


def _store(
    step: _Step,
    store: Store,
    told: set[tuple[str, str, str]],
    report: PullReport,
    reached: Callable[[str], None],
) -> None:
    """One transaction of the writer, and the name of the place that is reached by it."""
    if step.rows is not None or step.cursor is not None:
        # Owners are listed whole and have no cursor that would have them read again.
        with store.write(durable=step.cursor is None) as tx:
            if step.rows is not None:
                counts = step.source.save(tx, step.stream, step.rows, step.now)
                doubts = untold_doubts(counts.doubts, told)
                problems = note_problems(tx, [*step.problems, *doubts], told, at=step.now)
                report.add(step.stream, counts, problems)
            if step.cursor is not None:
                save_window(tx, step.stream, step.cursor, at=step.now)
    if step.missing:
        report.left_out.append(step.missing)
    reached(f"pull:{step.stream}:{step.place}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """One connection, read in a thread of its own. Only this thread calls the connector meanwhile."""

    source: Source
    store: Store
    settle: timedelta
    overlap: timedelta
    line: _Line

    def read(self) -> None:
        """Every stream, to its end. Never raises: the writer hears of it."""
        try:
            for stream in self.source.connector.streams():
                try:
                    self._stream(stream)
                except SourceMissing as missing:
                    self._put(stream, "left out", None, missing=str(missing))
            self.line.put(_End())
        except _Stop:
            return
        except BaseException as failure:  # noqa: BLE001  # the writer raises it, in the thread that can tell of it
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        try:
            self.line.put(_End(failure))
        except _Stop:
            return

    def _stream(self, stream: Stream) -> None:
        """Finish the window that was begun, then read on to now."""
        if stream.kind is StreamKind.OWNERS:
            owners: tuple[Owner, ...] = self.source.connector.owners()
            self._put(stream, "done", None, owners)
            return
        with self.store.read() as tx:
            known = load_cursor(tx, stream)
        mapping = self.source.reading(stream)
        if known is None or known.mapping != mapping:
            known = Cursor(lo=None, window=None, resume=None, mapping=mapping)
        if known.window is not None:
            known = self._window(stream, known, known.window)
        self._window(stream, known, self._next_window(known))

    def _next_window(self, known: Cursor) -> Window:
        hi = self.source.connector.now() - self.settle
        # A CRM's clock that was set back must not turn the window round.
        return Window(lo=None if known.lo is None else min(known.lo - self.overlap, hi), hi=hi)

    def _window(self, stream: Stream, known: Cursor, window: Window) -> Cursor:
        """Read one window to its end. Its bounds are stored first: whoever goes on after a crash reads the same one."""
        cursor = replace(known, window=window)
        if known.window is None:
            self._put(stream, "begun", cursor)
        done = replace(cursor, lo=window.hi, window=None, resume=None)
        closed = False
        for page in self.source.pages(stream, window, cursor.resume):
            closed = page.resume is None
            cursor = done if closed else replace(cursor, resume=page.resume)
            self._put(stream, "page", cursor, page.rows, page.problems)
        self._put(stream, "done", None if closed else done)
        return done

    def _put(
        self,
        stream: Stream,
        place: str,
        cursor: Cursor | None,
        rows: Sequence[Any] | None = None,
        problems: tuple[RecordProblem, ...] = (),
        missing: str = "",
    ) -> None:
        self.line.put(
            _Step(
                source=self.source,
                stream=stream,
                place=place,
                cursor=cursor,
                now=self.source.connector.now(),
                rows=rows,
                problems=problems,
                missing=missing,
            )
        )
