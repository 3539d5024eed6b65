"""Reading a file as a CRM is read: what is new, what changed, what is gone since the content that is stored.

A file has no list of its changes. So a content that is not the one stored already is read as a whole, every row is
compared with its stored version, and only what differs is handed on, at the end whatever is stored and was not met.
Going on after an interruption reads the same content from its beginning, and hands on nothing that was before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

from connectors.errors import RetryLater
from connectors.file.known import Known, Mark
from connectors.file.seen import Seen
from connectors.file.settings import FileSettings
from connectors.file.tables import Broken, Row, table, unreadable
from connectors.records import Crm, Engagement, Page, PersonRecord, RecordProblem, RecordRef, Stream, Window

__all__ = ["PAGE", "Made", "Maker", "changes", "content_of", "problem_of"]

T = TypeVar("T", PersonRecord, Engagement)

PAGE = 1_000

MOST_TOLD = 100
"""Rows of one reading that are named one by one when they cannot be read; of the others only their number is told."""

UNSURE = timedelta(seconds=2)
"""A file that changed so shortly before it was looked at may have changed once more within one tick of its stamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made(Generic[T]):
    """What a row says. ``record`` None: nothing that counts. ``id`` None: nobody can say whose row it is.

    ``reasons``: why the row, or a part of it, is not read.
    """

    id: str | None
    record: T | None = None
    version: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker(Generic[T]):
    """How rows of one kind become records.

    columns  to read
    make     what a row says; of a `Broken` one only whose it is, so that nobody is gone because of it
    gone     the record that says that an id is no longer there
    whole    a record is handed on even where its version is stored: the version does not tell all
    """

    columns: tuple[str, ...]
    make: Callable[[Row | Broken, Seen], Made[T]]
    gone: Callable[[str], T]
    whole: bool = False


@dataclass(slots=True)
class _Reading:
    """What one reading is to hand on, and what it met.

    after       rows up to this line were handed on before
    everything  also rows that are stored as they are
    nameless    some row does not say whose it is
    """

    path: Path
    after: int
    everything: bool
    told: int = 0
    untold: int = 0
    nameless: bool = False
    problems: list[RecordProblem] = field(default_factory=list)

    def tell(self, line: int, reason: str) -> None:
        if line <= self.after:
            return
        if self.told < MOST_TOLD:
            self.told += 1
            self.problems.append(problem_of(self.path, line, reason))
        else:
            self.untold += 1

    def taken(self) -> tuple[RecordProblem, ...]:
        told, self.problems = tuple(self.problems), []
        return told


def problem_of(path: Path, line: int | None, reason: str) -> RecordProblem:
    """A row that was not read, by the name of its file and its line; several of them, by that of the file alone."""
    place = path.name if line is None else f"{path.name}:{line}"
    return RecordProblem(ref=RecordRef(crm=Crm.FILE, object="row", id=place), field="row", reason=f"not read: {reason}")


def content_of(path: Path, known: Mark | None, now: datetime) -> Mark:
    """What the file holds now. Its bytes are read only where size and stamp do not tell that it is as it was.

    `RunCannotContinue`: it is not there.
    """
    try:
        there = path.stat()
        same = known is not None and (there.st_size, there.st_mtime_ns) == (known.size, known.modified_ns)
        if known is not None and same and known.read_at.timestamp() - there.st_mtime > UNSURE.total_seconds():
            return Mark(size=known.size, modified_ns=known.modified_ns, sha256=known.sha256, read_at=now)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error.strerror or type(error).__name__) from None
    return Mark(size=there.st_size, modified_ns=there.st_mtime_ns, sha256=digest, read_at=now)


def changes(
    stream: Stream,
    path: Path,
    settings: FileSettings,
    maker: Maker[T],
    known: Known,
    window: Window,
    now: Callable[[], datetime],
    resume: str | None = None,
) -> Iterator[Page[T]]:
    """Pages of what differs from the store; every row where ``window`` has no beginning.

    ``resume``: of a page; it holds for the content that page was of.

    Raises
    ------
    RunCannotContinue: there is no such file, or it is no table
    RetryLater: it was changed while it was read; nobody was taken for gone
    """
    if window.lo == window.hi:
        table(path, settings)
        return
    before = known.mark(stream) if window.lo is not None else None
    content = content_of(path, before, now())
    known.begin(stream, content, window.hi)
    if before is not None and before.sha256 == content.sha256:
        return
    reading = _Reading(path=path, after=_line_of(resume, content), everything=window.lo is None)
    with Seen.opened() as seen:
        at = 0
        for rows in _together(table(path, settings).rows(maker.columns)):
            records = _differing(stream, rows, maker, known, seen, reading)
            at = rows[-1].line
            if at > reading.after:
                yield Page(rows=tuple(records), resume=_place(content, at), problems=reading.taken())
        if content_of(path, content, now()).sha256 != content.sha256:
            raise RetryLater(
                Crm.FILE,
                f"{path} was changed while it was read.",
                advice="What was read is stored; the next run reads it again. Write it beside and rename it.",
            )
        if reading.untold:
            reading.problems.append(problem_of(path, None, f"{reading.untold:,} more rows"))
        if reading.nameless:
            kept = "whose some rows are; so nobody was taken for gone"
            reading.problems.append(problem_of(path, None, kept))
        else:
            for ids in known.ids(stream):
                if gone := seen.without(ids):
                    yield Page(rows=tuple(map(maker.gone, gone)), resume=_place(content, at))
    yield Page(rows=(), resume=None, problems=reading.taken())


def _place(content: Mark, line: int) -> str:
    return f"{content.sha256[:16]}:{line}"


def _line_of(resume: str | None, content: Mark) -> int:
    """The last line that was handed on; 0 where it was one of another content."""
    of, _, line = (resume or "").partition(":")
    return int(line) if line.isdecimal() and content.sha256.startswith(of) else 0


def _together(rows: Iterator[Row | Broken]) -> Iterator[list[Row | Broken]]:
    page: list[Row | Broken] = []
    for row in rows:
        page.append(row)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def _differing(
    stream: Stream,
    rows: Sequence[Row | Broken],
    maker: Maker[T],
    known: Known,
    seen: Seen,
    reading: _Reading,
) -> list[T]:
    """The records of a page of rows that are to be handed on."""
    made: dict[str, Made[T]] = {}
    for row in rows:
        one = maker.make(row, seen)
        for reason in one.reasons:
            reading.tell(row.line, reason)
        if one.id is None:
            reading.nameless |= isinstance(row, Broken)
        elif (line := seen.meet(one.id, row.line)) is not None:
            if isinstance(row, Row):
                reading.tell(row.line, f"it has the id of line {line}, which counts")
        elif one.record is not None and row.line > reading.after:
            made[one.id] = one
    stored = known.versions(stream, list(made))
    return [
        one.record
        for id, one in made.items()
        if one.record is not None and (reading.everything or maker.whole or stored.get(id) != one.version)
    ]
