"""Compare what the store knows with what is in the CRM, and mend what differs.

A pull reads what the CRM says has changed. What it never said (a deletion, a record that an index forgot or that was
restored) stays unknown for ever, so now and then every id is looked at: records that were missed are fetched, those
that are gone are marked, and links that are no longer true are made anew. Engagement has no ids to list cheaply: what
happened since the last sweep is read once more. After a crash, a used up quota or a stop it goes on where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from sqlalchemy import Connection

from connectors.errors import SourceMissing
from connectors.records import (
    Found,
    Gone,
    Moved,
    Page,
    ReadBack,
    RecordProblem,
    RecordRef,
    Sighting,
    Stream,
    StreamKind,
    Unread,
    Window,
)
from sync.pull import Source
from sync.resolve import PEOPLE_OBJECTS
from sync.store import records, sweeps
from sync.store.accounts import load_cursor
from sync.store.db import Store
from sync.store.problems import known_problems, note_problems, untold_doubts
from sync.store.refs import COMPANY_OBJECT, dirty_employees
from sync.store.sweeps import Drift, Known, SweepState

__all__ = ["SweepReport", "overlooked", "sweep"]

MOST_GONE = 0.2
"""Share of an object's records above which their absence is taken for a permission that went away."""

FEW = 20
"""So many records may be gone at once, whatever share that is."""

LOOKED_UP = 300
"""Absent records looked up by id at a time."""

LOOK_BACK = timedelta(days=8)
"""How far the first sweep reads engagement again; later ones do from where the one before began."""

GONE = "gone>"
"""Begins the resume points of the half that looks up what was not seen."""


@dataclass(slots=True)
class SweepReport:
    """What became of each stream of one CRM. ``interrupted``: asked to stop, and goes on there the next time."""

    found: dict[str, Drift] = field(default_factory=dict)
    problems: list[RecordProblem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def repaired(self) -> int:
        return sum(drift.repaired for drift in self.found.values())


class _Stop(Exception):
    """Between two pages."""


def sweep(
    source: Source,
    store: Store,
    *,
    overlap: timedelta,
    accept_gone: bool = False,
    stop: Callable[[], bool] = lambda: False,
    reached: Callable[[str], None] = lambda place: None,
) -> SweepReport:
    """Compare every stream of one CRM with the store.

    A stream that has not been pulled to an end, or by another field map, is passed over: the next pull reads it whole.

    Parameters
    ----------
    overlap: see `sync.pull.pull_side_by_side`
    accept_gone: records that are gone are marked however many they are
    stop, reached: see there

    Raises
    ------
    ConnectorError: the CRM could not go on (a quota is used up); the next sweep goes on from there
    """
    report = SweepReport()
    with store.read() as tx:
        told = known_problems(tx)
    work = _Sweep(
        source=source,
        store=store,
        overlap=overlap,
        accept_gone=accept_gone,
        stop=stop,
        reached=reached,
        report=report,
        told=told,
    )
    try:
        for stream in source.connector.streams():
            if stream.kind is StreamKind.OWNERS:
                continue
            try:
                work.stream(stream)
            except SourceMissing as missing:
                report.warnings.append(str(missing))
    except _Stop:
        report.interrupted = True
    return report


def overlooked(seen: Iterable[Sighting], known: Mapping[str, Known], read_to: datetime) -> list[RecordRef]:
    """What a pull up to ``read_to`` ought to have brought: records unknown, known in an older version, or as gone.

    A change later than that is the next pull's, and a record without a readable stamp has been told of.
    """
    refs: list[RecordRef] = []
    for one in seen:
        if one.modified_at is None or one.modified_at > read_to:
            continue
        stored = known.get(one.ref.id)
        if stored is None or stored.gone or stored.modified_at < one.modified_at:
            refs.append(one.ref)
    return refs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    source: Source
    store: Store
    overlap: timedelta
    accept_gone: bool
    stop: Callable[[], bool]
    reached: Callable[[str], None]
    report: SweepReport
    told: set[tuple[str, str, str]]

    def stream(self, stream: Stream) -> None:
        """Begin, or go on with the one that was begun."""
        with self.store.read() as tx:
            cursor, state = load_cursor(tx, stream), sweeps.load_sweep(tx, stream)
        if cursor is None or cursor.lo is None or cursor.mapping != self.source.reading(stream):
            self.report.warnings.append(f"{stream} was not swept: the next pull reads all of it")
            return
        if state is None or state.finished_at is not None:
            with self.store.write() as tx:
                state = sweeps.begin(tx, stream, at=self._now())
            self._told(stream, "begun")
        self.report.found[str(stream)] = state.found
        if self._of_records(stream):
            # What lies within the overlap is read again by the next pull anyway.
            state = self._list(stream, state, cursor.lo - self.overlap)
            state = self._look_up(stream, state)
        else:
            state = self._read_again(stream, state, cursor.lo)
        with self.store.write() as tx:
            if stream.kind is StreamKind.PEOPLE:
                state.found.links += sweeps.mend_links(tx, stream.crm, stream.name)
            sweeps.forget_seen(tx, stream)
            sweeps.save_sweep(tx, stream, replace(state, resume=None, finished_at=self._now()))
        self._told(stream, "done")

    def _of_records(self, stream: Stream) -> bool:
        """Its rows are whole records with ids to list; of Salesforce's opportunities only their number is kept."""
        return stream.name in (*PEOPLE_OBJECTS[stream.crm], COMPANY_OBJECT.get(stream.crm))

    def _list(self, stream: Stream, state: SweepState, read_to: datetime) -> SweepState:
        """Look at every id of the CRM."""
        if state.resume is not None and state.resume.startswith(GONE):
            return state
        for page in self.source.connector.ids(stream, state.resume):
            with self.store.read() as tx:
                known = sweeps.known_of(tx, stream.crm, stream.name, [one.ref.id for one in page.rows])
            fetched = self._fetch(stream, overlooked(page.rows, known, read_to))
            state = replace(state, resume=GONE if page.resume is None else page.resume)
            with self.store.write(durable=False) as tx:
                self._save(tx, stream, fetched, state)
                sweeps.note_seen(tx, (one.ref for one in page.rows))
                state.found.listed += len(page.rows)
                sweeps.save_sweep(tx, stream, state)
            self._told(stream, "page")
        return replace(state, resume=GONE)

    def _look_up(self, stream: Stream, state: SweepState) -> SweepState:
        """Look at every record of the store that was not among them: by id, for a list can leave one out."""
        with self.store.read() as tx:
            absent, live = sweeps.count_unseen(tx, stream.crm, stream.name, before=state.began_at)
        if absent > max(FEW, live * MOST_GONE) and not self.accept_gone:
            state.found.left = absent
            self.report.warnings.append(
                f"{absent} of {live} records of {stream} are not in the CRM's list; none of them was marked as gone. "
                "A permission may have been taken away: look at one of them in the CRM. "
                "If they are gone: `mqlsync sweep --accept-gone`"
            )
            return state
        assert state.resume is not None
        after = state.resume.removeprefix(GONE)
        while refs := self._unseen(stream, state, after):
            after = refs[-1].id
            answers = self.source.connector.read(refs, ())
            alive = [ref for ref in refs if isinstance(answers[ref], Found)]
            fetched = self._fetch(stream, alive)
            state = replace(state, resume=f"{GONE}{after}")
            with self.store.write() as tx:
                self._save(tx, stream, fetched, state)
                self._bury(tx, stream, [answers[ref] for ref in refs], state.found)
                sweeps.note_seen(tx, alive)
                sweeps.save_sweep(tx, stream, state)
            self._told(stream, "looked up")
        return state

    def _unseen(self, stream: Stream, state: SweepState, after: str) -> list[RecordRef]:
        with self.store.read() as tx:
            return sweeps.unseen(tx, stream.crm, stream.name, before=state.began_at, after=after, limit=LOOKED_UP)

    def _bury(self, tx: Connection, stream: Stream, answers: Sequence[ReadBack], found: Drift) -> None:
        for answer in answers:
            match answer:
                case Found() | Unread():
                    continue
                case Moved(ref=ref, to=to, reason=reason):
                    records.mark_moved(tx, ref, to, reason=reason, at=self._now())
                case Gone(ref=ref, reason=reason):
                    records.mark_moved(tx, ref, None, reason=reason, at=self._now())
                case other:
                    assert_never(other)
            found.gone += 1
            if stream.kind is StreamKind.COMPANIES:
                dirty_employees(tx, [ref])

    def _read_again(self, stream: Stream, state: SweepState, read_to: datetime) -> SweepState:
        """What has no ids to list: everything since the sweep before, once more."""
        since = (state.since or state.began_at - LOOK_BACK) - self.overlap
        window = Window(lo=min(since, read_to), hi=read_to)
        for page in self.source.pages(stream, window, state.resume):
            state = replace(state, resume=page.resume)
            with self.store.write(durable=False) as tx:
                self._save(tx, stream, page, state)
                state.found.listed += len(page.rows)
                sweeps.save_sweep(tx, stream, state)
            self._told(stream, "page")
        return state

    def _fetch(self, stream: Stream, refs: Sequence[RecordRef]) -> Page[Any]:
        return self.source.connector.fetch(stream, refs) if refs else Page(rows=(), resume=None)

    def _save(self, tx: Connection, stream: Stream, page: Page[Any], state: SweepState) -> None:
        """Store what the store did not have, and count it."""
        now = self._now()
        counts = self.source.save(tx, stream, page.rows, now)
        doubts = untold_doubts(counts.doubts, self.told)
        new = note_problems(tx, [*page.problems, *doubts], self.told, at=now)
        self.report.problems += [*new, *counts.problems]
        state.found.missed += counts.new
        state.found.changed += counts.changed

    def _now(self) -> datetime:
        return self.source.connector.now()

    def _told(self, stream: Stream, place: str) -> None:
        """After a commit: say where it stands, and stop there when asked to."""
        self.reached(f"sweep:{stream}:{place}")
        if self.stop():
            raise _Stop
