"""People and engagement from CSV or Parquet files, through the same port as a CRM. A file is only read.

A list or a warehouse export is scored by the policy that rules the CRMs; nothing can be written into it, so what is
decided of its rows is in the store (`mqlsync explain`, `mqlsync scored`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from connectors.errors import RunCannotContinue
from connectors.fields import CrmMap, ObjectMap
from connectors.file.known import Known, Mark, NothingKnown
from connectors.file.reader import PAGE, Made, Maker, changes
from connectors.file.rows import PERSON, engagement_maker, mapped_columns, people_maker
from connectors.file.seen import Seen
from connectors.file.settings import FileSettings
from connectors.file.tables import Broken, Row, Table, table
from connectors.file.values import columns_of
from connectors.records import (
    AccountInfo,
    CompanyRecord,
    Crm,
    DayQuota,
    Engagement,
    FieldKind,
    FieldSchema,
    Found,
    Gone,
    Owner,
    Page,
    Patch,
    PersonRecord,
    ReadBack,
    RecordRef,
    Rejected,
    SchemaChange,
    Sighting,
    Stream,
    StreamKind,
    TaskDraft,
    WantedField,
    Window,
    WriteOutcome,
)

__all__ = ["PERSON", "FileConnector", "FileSettings", "Known", "Mark", "NothingKnown"]

READ_ONLY = "READ_ONLY"

ANEW = "anew"
"""Where a listing goes on: at its beginning."""


class FileConnector:
    """Answers `connectors.port.Connector` for files.

    Parameters
    ----------
    fields: the files' part of the field map; ``fields.file`` is given
    known: what the store has of the files' rows
    now: the clock of the machine, aware
    """

    def __init__(
        self,
        settings: FileSettings,
        fields: CrmMap,
        *,
        known: Known | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if fields.file is None:
            raise ValueError("fields.yaml does not say which column of a file is what: write a section `file`")
        if settings.engagement is not None and fields.file.engagement is None:
            raise ValueError("fields.yaml does not say what an activity is: write `file.engagement` and `file.events`")
        self._settings = settings
        self._fields = fields
        self._columns = fields.file
        self._known = known or NothingKnown()
        self._now = now
        self._calls = {"people": 0, "engagement": 0}

    @property
    def crm(self) -> Crm:
        return Crm.FILE

    @property
    def calls(self) -> Mapping[str, int]:
        """Readings of each file by stream, those of an unchanged content included."""
        return MappingProxyType(self._calls)

    # -- what there is ---------------------------------------------------------------------------------------------

    def check(self) -> AccountInfo:
        """Looks at the headers. ``problems`` are mapped columns that are not there: they read as blank.

        RunCannotContinue: a file is not there, is no table, or lacks a column without which no row can be told
        from another.
        """
        problems: list[str] = []
        lacking: dict[str, tuple[str, ...]] = {}
        if (path := self._settings.people) is not None:
            columns = table(path, self._settings).columns
            mapped = self._fields.objects.get(PERSON) or ObjectMap(object=PERSON, facts=())
            missing = {
                column: fact for fact, of in mapped_columns(mapped).items() for column in of if column not in columns
            }
            self._needed(path, columns, (self._columns.id,))
            problems += [
                f"{path.name} has no column '{name}': {fact} reads as blank." for name, fact in missing.items()
            ]
            lacking[PERSON] = tuple(sorted(missing))
        if (path := self._settings.engagement) is not None:
            of = self._columns.engagement
            assert of is not None
            whose = [text for text in (of.person, of.email) if text is not None]
            named = [text for text in (of.kind, of.at, of.id, of.count, *whose) if text is not None]
            self._needed(path, table(path, self._settings).columns, named)
        return AccountInfo(
            crm=Crm.FILE,
            id=self._settings.name,
            name=self._settings.name,
            timezone=self._settings.zone.key,
            problems=tuple(problems),
            lacking={object: names for object, names in lacking.items() if names},
        )

    def _needed(self, path: Path, columns: Sequence[str], texts: Sequence[str]) -> None:
        missing = [f"'{name}'" for text in texts for name in columns_of(text) if name not in columns]
        twice = [f"'{name}'" for text in texts for name in columns_of(text) if columns.count(name) > 1]
        if missing or twice:
            said = f"has no column {', '.join(missing)}" if missing else f"has the column {', '.join(twice)} twice"
            raise RunCannotContinue(
                Crm.FILE,
                f"{path} {said}.",
                advice="Nothing of it was read. Correct the section `file` of fields.yaml, or the file's header.",
                credentials=True,
            )

    def day(self) -> DayQuota | None:
        """Nobody counts how often a file is read."""
        return None

    def now(self) -> datetime:
        return self._now()

    def describe(self, object: str) -> Mapping[str, FieldSchema]:
        """The columns of the people's file: texts, none of which can be written."""
        if object != PERSON or self._settings.people is None:
            return {}
        columns = table(self._settings.people, self._settings).columns
        return {name: FieldSchema(name=name, kind=FieldKind.TEXT, writable=False, native="column") for name in columns}

    def streams(self) -> tuple[Stream, ...]:
        streams: list[Stream] = []
        if self._settings.people is not None:
            streams.append(Stream(crm=Crm.FILE, kind=StreamKind.PEOPLE, name=PERSON))
        if self._settings.engagement is not None:
            streams.append(Stream(crm=Crm.FILE, kind=StreamKind.ENGAGEMENT, name="engagement"))
        return tuple(streams)

    def owners(self) -> tuple[Owner, ...]:
        """None: nobody works in a file."""
        return ()

    # -- reading ---------------------------------------------------------------------------------------------------

    def people(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        """The rows that are not stored as they are, then those that are gone. ``resume`` is a line of a content."""
        path = self._settings.people
        assert path is not None
        self._calls["people"] += 1
        return changes(stream, path, self._settings, self._people(), self._known, window, self._now, resume)

    def companies(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[CompanyRecord]]:
        """None: what a row says of a company is said of its person."""
        return iter(())

    def engagement(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """The rows that an `events` line takes; whatever is stored and is no longer there is taken back."""
        path = self._settings.engagement
        assert path is not None
        self._calls["engagement"] += 1
        maker = engagement_maker(self._fields, self._settings.zone, table(path, self._settings).columns)
        return changes(stream, path, self._settings, maker, self._known, window, self._now, resume)

    def ids(self, stream: Stream, resume: str | None) -> Iterator[Page[Sighting]]:
        """Every row that says who it is, from the beginning: ``resume`` is not taken.

        Where a row does not say it, all that are stored are taken to be there still.
        """
        nameless = False
        page: list[Sighting] = []
        with Seen.opened() as seen:
            for row, made in self._made(self._people(), seen):
                nameless |= made.id is None and isinstance(row, Broken)
                if made.id is not None and seen.meet(made.id, row.line) is None:
                    page.append(_sighting(made.id))
                if len(page) == PAGE:
                    yield Page(rows=tuple(page), resume=ANEW)
                    page = []
        for ids in self._known.ids(stream) if nameless else ():
            yield Page(rows=tuple(map(_sighting, ids)), resume=ANEW)
        yield Page(rows=tuple(page), resume=None)

    def fetch(self, stream: Stream, refs: Sequence[RecordRef]) -> Page[PersonRecord] | Page[CompanyRecord]:
        """The file is read once, whatever the number of ``refs``."""
        wanted = {ref.id for ref in refs}
        found: dict[str, PersonRecord] = {}
        with Seen.opened() as seen:
            for _, made in self._made(self._people(), seen):
                if made.id in wanted and made.id not in found and made.record is not None:
                    found[made.id] = made.record
        return Page(rows=tuple(found.values()), resume=None)

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> Mapping[RecordRef, ReadBack]:
        """The file is read once. ``fields`` are columns."""
        wanted = {ref.id: ref for ref in refs}
        people = self._people()
        found: dict[RecordRef, ReadBack] = {}
        with Seen.opened() as seen:
            for row in self._people_table().rows((*people.columns, *fields)) if wanted else ():
                made = people.make(row, seen)
                ref = wanted.get(made.id or "")
                if ref is not None and ref not in found and isinstance(row, Row):
                    values = {name: row.cells.get(name) for name in fields}
                    found[ref] = Found(ref=ref, values=values, version=made.version)
        gone = {ref: Gone(ref=ref, reason="no such row") for ref in refs if ref not in found}
        return {**found, **gone}

    def _people(self) -> Maker[PersonRecord]:
        return people_maker(self._fields, self._settings.zone, self._now())

    def _people_table(self) -> Table:
        assert self._settings.people is not None
        return table(self._settings.people, self._settings)

    def _made(self, maker: Maker[PersonRecord], seen: Seen) -> Iterator[tuple[Row | Broken, Made[PersonRecord]]]:
        for row in self._people_table().rows(maker.columns):
            yield row, maker.make(row, seen)

    @property
    def read_size(self) -> int:
        return PAGE

    # -- writing, which there is not -------------------------------------------------------------------------------

    @property
    def batch_size(self) -> int:
        return PAGE

    @property
    def bulk(self) -> None:
        return

    @property
    def batches_at_once(self) -> int:
        return 1

    def apply(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        """Refuses every patch."""
        return tuple(_refused(patch.ref) for patch in patches)

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> tuple[WriteOutcome, ...]:
        """Refuses every task."""
        return tuple(_refused(draft.person) for draft in drafts)

    def ensure_schema(self, wanted: Sequence[WantedField], *, dry_run: bool = False) -> tuple[SchemaChange, ...]:
        """Makes nothing, and says so of each field."""
        said = "not possible: a file is only read"
        return tuple(SchemaChange(object=want.object, name=want.name, what=said) for want in wanted)

    def close(self) -> None:
        """There is nothing to let go of: a file is open only while it is read."""


def _sighting(id: str) -> Sighting:
    return Sighting(ref=RecordRef(crm=Crm.FILE, object=PERSON, id=id), modified_at=None)


def _refused(ref: RecordRef) -> Rejected:
    return Rejected(ref=ref, code=READ_ONLY, reason="a file is only read; nothing was written")
