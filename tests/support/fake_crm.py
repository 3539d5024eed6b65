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
    Owner,
    Page,
    Patch,
    PersonRecord,
    ReadBack,
    RecordProblem,
    RecordRef,
    SchemaChange,
    Stream,
    StreamKind,
    TaskDraft,
    WantedField,
    Window,
    WriteOutcome,
)
from tests.support.made import DAY


@dataclass(slots=True, kw_only=True)
class FakeCrm:
    """``people``, ``companies``, ``events`` are what the CRM holds; ``changed`` says when an event was.

    before_page  called before each page is served; it may change what the CRM holds, move the clock, or raise
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

    # -- what a pull does not use ----------------------------------------------------------------------------

    def describe(self, object: str) -> Mapping[str, FieldSchema]:
        raise AssertionError("a pull describes nothing")

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> Mapping[RecordRef, ReadBack]:
        raise AssertionError("a pull reads nothing by id")

    def apply(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        raise AssertionError("a pull writes nothing")

    @property
    def batch_size(self) -> int:
        return 100

    @property
    def batches_at_once(self) -> int:
        return 1

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
