"""Read what changed in a CRM into the store, so that nothing is missed and nothing needs to be read twice.

A stream is read in windows with a fixed upper bound; each page and the place where to go on are one transaction. The
cursor moves to the end of a window only when all of it is stored. Whatever is read again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from connectors.port import Connector
from connectors.records import AccountInfo, Page, PersonRecord, RecordProblem, Stream, StreamKind, Window
from sync.sales import Hearing
from sync.store.accounts import Cursor, load_cursor, pin_account, save_owners, save_window
from sync.store.db import Store
from sync.store.engagement import save_engagement
from sync.store.problems import known_problems, note_problems, untold_doubts
from sync.store.records import save_companies, save_people
from sync.store.refs import SaveCounts

__all__ = ["PullReport", "pull"]

Save = Callable[[Connection, Sequence[Any], datetime], SaveCounts]


@dataclass(slots=True)
class PullReport:
    """What was read from one CRM.

    rows         stream -> rows seen, those that were stored already included
    counts       stream -> what became of them
    problems     values that could not be used and that were not known to be so before
    calls        HTTP requests by kind, of this pull alone
    interrupted  asked to stop: the windows go on where they stand
    """

    rows: dict[str, int] = field(default_factory=dict)
    counts: dict[str, SaveCounts] = field(default_factory=dict)
    problems: list[RecordProblem] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
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
    ours: Mapping[str, str] | None = None,
    hearing: Hearing | None = None,
    mapping: str = "",
    account: AccountInfo | None = None,
    stop: Callable[[], bool] = lambda: False,
    reached: Callable[[str], None] = lambda place: None,
) -> PullReport:
    """Read every stream of one CRM up to now.

    Parameters
    ----------
    settle: a window ends so long before the CRM's clock, for changes that are not visible at once
    overlap: a window begins so long before the end of the last one, for changes that became visible late
    ours, hearing: see `sync.store.records.save_people`
    mapping: hash of the field map; a stream that was read with another one is read again from the beginning
    account: whom the credentials speak for, when the connector was asked already
    stop: asked between pages
    reached: told the name of each place, after its commit

    Raises
    ------
    StoreError: the credentials are for another account than the store's
    ConnectorError: the CRM could not go on; all that was read is stored, and the next pull goes on from there
    """
    report = PullReport()
    before = dict(connector.calls)
    account = account or connector.check()
    now = connector.now()
    with store.write() as tx:
        pin_account(tx, account, at=now)
        told = known_problems(tx)
    reader = _Reader(
        connector=connector,
        store=store,
        settle=settle,
        overlap=overlap,
        mapping=mapping,
        ours=ours or {},
        hearing=hearing or Hearing(),
        stop=stop,
        reached=reached,
        report=report,
        told=told,
    )
    try:
        for stream in connector.streams():
            reader.read(stream)
    except _Stop:
        report.interrupted = True
    report.calls = {kind: n - before.get(kind, 0) for kind, n in connector.calls.items() if n > before.get(kind, 0)}
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    connector: Connector
    store: Store
    settle: timedelta
    overlap: timedelta
    mapping: str
    ours: Mapping[str, str]
    hearing: Hearing
    stop: Callable[[], bool]
    reached: Callable[[str], None]
    report: PullReport
    told: set[tuple[str, str, str]]

    def read(self, stream: Stream) -> None:
        """Finish the window that was begun, then read on to now."""
        self._go_on()
        if stream.kind is StreamKind.OWNERS:
            self._owners(stream)
            return
        with self.store.read() as tx:
            known = load_cursor(tx, stream)
        if known is None or known.mapping != self.mapping:
            known = Cursor(lo=None, window=None, resume=None, mapping=self.mapping)
        if known.window is not None:
            known = self._window(stream, known, known.window)
        self._window(stream, known, self._next_window(known))

    def _next_window(self, known: Cursor) -> Window:
        hi = self.connector.now() - self.settle
        # A CRM's clock that was set back must not turn the window round.
        return Window(lo=None if known.lo is None else min(known.lo - self.overlap, hi), hi=hi)

    def _window(self, stream: Stream, known: Cursor, window: Window) -> Cursor:
        """Read one window to its end. Its bounds are stored first: whoever goes on after a crash reads the same one."""
        self._go_on()
        cursor = replace(known, window=window)
        if known.window is None:
            now = self.connector.now()
            with self.store.write(durable=False) as tx:
                save_window(tx, stream, cursor, at=now)
            self._tell(stream, "begun")
        done = replace(cursor, lo=window.hi, window=None, resume=None)
        closed = False
        for page in self._pages(stream, window, cursor.resume):
            cursor = done if page.resume is None else replace(cursor, resume=page.resume)
            now = self.connector.now()
            with self.store.write(durable=False) as tx:
                counts = self._save(stream)(tx, page.rows, now)
                doubts = untold_doubts(counts.doubts, self.told)
                problems = note_problems(tx, [*page.problems, *doubts], self.told, at=now)
                save_window(tx, stream, cursor, at=now)
            closed = page.resume is None
            self.report.add(stream, counts, problems)
            self._tell(stream, "page")
            if not closed:
                self._go_on()
        if not closed:
            now = self.connector.now()
            with self.store.write(durable=False) as tx:
                save_window(tx, stream, done, at=now)
        self._tell(stream, "done")
        return done

    def _pages(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[Any]]:
        match stream.kind:
            case StreamKind.PEOPLE:
                return self.connector.people(stream, window, resume)
            case StreamKind.COMPANIES:
                return self.connector.companies(stream, window, resume)
            case StreamKind.ENGAGEMENT:
                return self.connector.engagement(stream, window, resume)
            case StreamKind.OWNERS:
                raise AssertionError("owners are listed whole, not in windows")

    def _save(self, stream: Stream) -> Save:
        match stream.kind:
            case StreamKind.PEOPLE:
                return self._save_people
            case StreamKind.COMPANIES:
                return lambda tx, rows, now: save_companies(tx, rows, seen_at=now)
            case StreamKind.ENGAGEMENT:
                return lambda tx, rows, now: save_engagement(tx, rows, seen_at=now)
            case StreamKind.OWNERS:
                raise AssertionError("owners are listed whole, not in windows")

    def _save_people(self, tx: Connection, rows: Sequence[PersonRecord], now: datetime) -> SaveCounts:
        return save_people(tx, rows, seen_at=now, ours=self.ours, hearing=self.hearing)

    def _owners(self, stream: Stream) -> None:
        owners = self.connector.owners()
        now = self.connector.now()
        with self.store.write() as tx:
            counts = save_owners(tx, stream.crm, owners, seen_at=now)
        self.report.add(stream, counts, ())
        self._tell(stream, "done")

    def _tell(self, stream: Stream, place: str) -> None:
        self.reached(f"pull:{stream}:{place}")

    def _go_on(self) -> None:
        if self.stop():
            raise _Stop
