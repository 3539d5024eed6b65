"""A CRM in memory that `pull` cannot tell from a real one: windows by change stamp, pages, a clock, a call count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.records import (
    AccountInfo,
    CompanyRecord,
    Crm,
    DayQuota,
    Engagement,
    FieldSchema,
    Found,
    Gone,
    Moved,
    Owner,
    Page,
    Patch,
    PersonRecord,
    ReadBack,
    RecordProblem,
    RecordRef,
    SchemaChange,
    Sighting,
    Stream,
    StreamKind,
    TaskDraft,
    Unread,
    WantedField,
    Window,
    WriteOutcome,
)
from tests.support.made import DAY


@dataclass(slots=True, kw_only=True)
class FakeCrm:
    """``people``, ``companies``, ``events`` are what the CRM holds; ``changed`` says when an event was.

    before_page  called before each page is served; it may change what the CRM holds, move the clock, or raise
    unlisted     live records that the list of ids leaves out
    unread       records at which it fails when they are read by id
    closes       whether the last page says that it is the last, or only the end of the iterator does
    """

    crm: Crm = Crm.HUBSPOT
    id: str = "100"
    people_held: dict[RecordRef, PersonRecord] = field(default_factory=dict)
    companies_held: dict[RecordRef, CompanyRecord] = field(default_factory=dict)
    events_held: dict[str, tuple[datetime, Engagement]] = field(default_factory=dict)
    owners_held: tuple[Owner, ...] = ()
    page_problems: tuple[RecordProblem, ...] = ()
    clock: datetime = DAY
    page_size: int = 2
    closes: bool = True
    windows: list[tuple[str, Window, str | None]] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)
    before_page: Any = None
    unlisted: frozenset[RecordRef] = frozenset()
    unread: frozenset[RecordRef] = frozenset()

    def hold(self, *records: PersonRecord | CompanyRecord) -> None:
        """These are what the CRM says from now on."""
        for record in records:
            if isinstance(record, PersonRecord):
                self.people_held[record.ref] = record
            else:
                self.companies_held[record.ref] = record

    def happened(self, *events: Engagement, changed: datetime = DAY) -> None:
        for one in events:
            self.events_held[one.source_id] = (changed, one)

    # -- the port --------------------------------------------------------------------------------------------

    @property
    def calls(self) -> Mapping[str, int]:
        return dict(self.made)

    def _call(self, kind: str) -> None:
        self.made[kind] = self.made.get(kind, 0) + 1

    def check(self) -> AccountInfo:
        self._call("check")
        return AccountInfo(crm=self.crm, id=self.id, name="Acme", timezone="UTC")

    def now(self) -> datetime:
        return self.clock

    def streams(self) -> tuple[Stream, ...]:
        kinds = {
            StreamKind.OWNERS: "owners",
            StreamKind.COMPANIES: "company",
            StreamKind.PEOPLE: "contact",
            StreamKind.ENGAGEMENT: "form",
        }
        return tuple(Stream(crm=self.crm, kind=kind, name=name) for kind, name in kinds.items())

    def owners(self) -> tuple[Owner, ...]:
        self._call("owners")
        return self.owners_held

    def people(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        return self._pages(
            stream, window, resume, lambda: [(p.ref.id, p.modified_at, p) for p in self.people_held.values()]
        )

    def companies(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[CompanyRecord]]:
        return self._pages(
            stream, window, resume, lambda: [(c.ref.id, c.modified_at, c) for c in self.companies_held.values()]
        )

    def engagement(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        return self._pages(stream, window, resume, lambda: [(id, at, e) for id, (at, e) in self.events_held.items()])

    def _pages(self, stream: Stream, window: Window, resume: str | None, held: Any) -> Iterator[Page[Any]]:
        """Keyset by id, over what the CRM holds at the time of each page."""
        self.windows.append((stream.name, window, resume))
        while True:
            if self.before_page is not None:
                self.before_page(stream.name, resume)
            self._call(stream.name)
            found = [
                (id, row)
                for id, at, row in sorted(held(), key=lambda one: one[0])
                if (window.lo is None or at >= window.lo) and at <= window.hi and (resume is None or id > resume)
            ]
            part = found[: self.page_size]
            last = len(found) <= self.page_size
            rows = tuple(row for _, row in part)
            resume = part[-1][0] if part else resume
            yield Page(rows=rows, resume=None if last and self.closes else resume, problems=self.page_problems)
            if last:
                return

    # -- what a sweep asks -----------------------------------------------------------------------------------

    def _held(self, stream: Stream) -> Mapping[RecordRef, PersonRecord | CompanyRecord]:
        return self.people_held if stream.kind is StreamKind.PEOPLE else self.companies_held

    def ids(self, stream: Stream, resume: str | None) -> Iterator[Page[Sighting]]:
        """Keyset by id, live records only, without those in ``unlisted``."""
        while True:
            if self.before_page is not None:
                self.before_page(f"sweep {stream.name}", resume)
            self._call(f"ids {stream.name}")
            live = sorted((r.ref.id, r) for r in self._held(stream).values() if not r.gone)
            found = [(id, r) for id, r in live if r.ref not in self.unlisted and (resume is None or id > resume)]
            part = found[: self.page_size]
            last = len(found) <= self.page_size
            resume = part[-1][0] if part else resume
            seen = tuple(Sighting(ref=r.ref, modified_at=r.modified_at) for _, r in part)
            yield Page(rows=seen, resume=None if last else resume)
            if last:
                return

    def fetch(self, stream: Stream, refs: Sequence[RecordRef]) -> Page[Any]:
        self._call(f"fetch {stream.name}")
        held = self._held(stream)
        return Page(rows=tuple(held[ref] for ref in refs if ref in held), resume=None)

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> Mapping[RecordRef, ReadBack]:
        assert not fields, "a sweep asks where records are, not what they say"
        self._call("read")
        held: dict[RecordRef, PersonRecord | CompanyRecord] = {**self.people_held, **self.companies_held}
        return {ref: self._where(ref, held.get(ref)) for ref in refs}

    def _where(self, ref: RecordRef, record: PersonRecord | CompanyRecord | None) -> ReadBack:
        if ref in self.unread:
            return Unread(ref=ref, reason="fails at it")
        if record is not None and record.moved_to is not None:
            return Moved(ref=ref, to=record.moved_to, reason="merged")
        if record is None or record.gone:
            return Gone(ref=ref, reason="deleted")
        return Found(ref=ref, values={}, version=record.version)

    # -- what a pull does not use ----------------------------------------------------------------------------

    def describe(self, object: str) -> Mapping[str, FieldSchema]:
        raise AssertionError("a pull describes nothing")

    def apply(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        raise AssertionError("a pull writes nothing")

    @property
    def batch_size(self) -> int:
        return 100

    @property
    def batches_at_once(self) -> int:
        return 1

    @property
    def bulk(self) -> None:
        return

    def day(self) -> DayQuota | None:
        return None

    @property
    def read_size(self) -> int:
        return 100

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> tuple[WriteOutcome, ...]:
        raise AssertionError("a pull writes nothing")

    def ensure_schema(self, wanted: Sequence[WantedField], *, dry_run: bool = False) -> tuple[SchemaChange, ...]:
        raise AssertionError("a pull changes no schema")

    def close(self) -> None:
        self.made.clear()
