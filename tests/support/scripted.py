"""A CRM in memory whose answers are written down beforehand: the other side of `sync.write` in its tests.

A record's next sends are answered by its script, one `Act` a send; without one, the write is done and confirmed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Never

from connectors.errors import ConnectorError
from connectors.records import (
    AccountInfo,
    BulkWrites,
    Crm,
    FieldKind,
    FieldSchema,
    Found,
    Gone,
    Moved,
    Owner,
    Patch,
    ReadBack,
    RecordRef,
    Redirected,
    Rejected,
    SchemaChange,
    Stream,
    TaskDraft,
    Unchanged,
    Unknown,
    Unread,
    WantedField,
    WriteOutcome,
    Written,
)

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at
        self.slept = 0.0

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.at += timedelta(seconds=seconds)

    def forward(self, **span: float) -> None:
        self.at += timedelta(**span)


class Act(StrEnum):
    """What the CRM does with one send, and what the connector makes of its answer."""

    TAKE = "take"  # done and confirmed
    TAKE_SILENTLY = "take silently"  # done, and the answer is lost
    LOSE = "lose"  # not done, and the answer is lost
    ARRIVE_LATE = "arrive late"  # the answer is lost, and it is done just before the next send
    REFUSE = "refuse"
    REFUSE_PARTLY = "refuse partly"  # the first value is refused, the others are written
    LOCK = "lock"
    KEEP = "keep"  # answers "done" and shows that it kept what it had
    CONVERT = "convert"  # the record lives on as `moved[ref]`
    DELETE = "delete"


@dataclass(slots=True)
class ScriptedCrm:
    """``values`` is the truth of the CRM; ``sends`` every patch that was handed to it, in order."""

    crm: Crm = Crm.HUBSPOT
    values: dict[RecordRef, dict[str, str | None]] = field(default_factory=dict)
    scripts: dict[RecordRef | str, deque[Act]] = field(default_factory=dict)
    moved: dict[RecordRef, RecordRef] = field(default_factory=dict)
    unread: set[RecordRef] = field(default_factory=set)
    raising: deque[ConnectorError | None] = field(default_factory=deque)
    before_apply: Callable[[], None] | None = None
    schema: dict[str, FieldSchema] | None = None
    sends: list[Patch] = field(default_factory=list)
    reads: list[tuple[RecordRef, ...]] = field(default_factory=list)
    tasks: dict[str, TaskDraft] = field(default_factory=dict)
    drafts: list[TaskDraft] = field(default_factory=list)
    batch_size: int = 100
    batches_at_once: int = 1
    bulk: BulkWrites | None = None
    read_size: int = 100
    late: list[Patch] = field(default_factory=list)
    confirmed: list[tuple[RecordRef, Mapping[str, str | None]]] = field(default_factory=list)

    # -- what a test sets up

    def add(self, id: str, object: str = "contact", **values: str | None) -> RecordRef:
        ref = RecordRef(crm=self.crm, object=object, id=id)
        self.values[ref] = dict(values)
        return ref

    def script(self, of: RecordRef | str, *acts: Act) -> None:
        """``of``: a record, or the key of a task."""
        self.scripts.setdefault(of, deque()).extend(acts)

    def _next(self, of: RecordRef | str) -> Act:
        script = self.scripts.get(of)
        return script.popleft() if script else Act.TAKE

    def sends_to(self, ref: RecordRef) -> list[Mapping[str, str | None]]:
        return [patch.fields for patch in self.sends if patch.ref == ref]

    # -- what the writer asks

    @property
    def calls(self) -> Mapping[str, int]:
        return Counter(apply=len(self.sends), read=len(self.reads), create_tasks=len(self.drafts))

    def day(self) -> None:
        return None

    def describe(self, object: str) -> Mapping[str, FieldSchema]:
        return self.schema if self.schema is not None else _Anything()

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> Mapping[RecordRef, ReadBack]:
        assert len({ref.object for ref in refs}) == 1, "all refs of one object"
        self._raise()
        self.reads.append(tuple(refs))
        return {ref: self._read(ref, fields) for ref in refs}

    def _read(self, ref: RecordRef, fields: Sequence[str]) -> ReadBack:
        if ref in self.unread:
            return Unread(ref=ref, reason="fails at it")
        if ref in self.moved:
            return Moved(ref=ref, to=self.moved[ref], reason="converted")
        if ref not in self.values:
            return Gone(ref=ref, reason="no such record")
        return Found(ref=ref, values={name: self.values[ref].get(name) for name in fields}, version="1")

    def apply(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        usual = self.batch_size * self.batches_at_once
        assert 0 < len(patches) <= (self.bulk.most if self.bulk is not None else usual)
        assert len({patch.ref for patch in patches}) == len(patches), "no record twice"
        assert len({patch.trace for patch in patches}) == len(patches), "no trace twice"
        assert len({patch.ref.object for patch in patches}) == 1, "all patches of one object"
        if self.before_apply is not None:
            self.before_apply()
        self._raise()
        for late in self.late:
            self._take(late)
        self.late.clear()
        self.sends += patches
        outcomes = tuple(self._answer(patch) for patch in patches)
        for patch, outcome in zip(patches, outcomes, strict=True):
            if isinstance(outcome, Written) and all(
                outcome.values.get(name, value) == value for name, value in patch.fields.items()
            ):
                self.confirmed.append((patch.ref, patch.fields))
        return outcomes

    def _raise(self) -> None:
        if self.raising and (error := self.raising.popleft()) is not None:
            raise error

    def _take(self, patch: Patch) -> None:
        if patch.ref in self.values:
            self.values[patch.ref] |= patch.fields

    def _answer(self, patch: Patch) -> WriteOutcome:
        ref = patch.ref
        match self._next(ref):
            case Act.TAKE:
                self._take(patch)
                return Written(ref=ref, values=dict(patch.fields))
            case Act.TAKE_SILENTLY:
                self._take(patch)
                return Unknown(ref=ref, reason="connection reset")
            case Act.LOSE:
                return Unknown(ref=ref, reason="connection reset")
            case Act.ARRIVE_LATE:
                self.late.append(patch)
                return Unknown(ref=ref, reason="timeout")
            case Act.REFUSE:
                return Rejected(ref=ref, code="INVALID", reason="not this value", field=next(iter(patch.fields)))
            case Act.REFUSE_PARTLY:
                first = next(iter(patch.fields))
                self.values[ref] |= {name: value for name, value in patch.fields.items() if name != first}
                return Rejected(ref=ref, code="HALF", reason="the others were written", field=first)
            case Act.LOCK:
                return Rejected(ref=ref, code="LOCKED", reason="somebody else holds the row", retry=True)
            case Act.KEEP:
                return Written(ref=ref, values={name: self.values[ref].get(name) for name in patch.fields})
            case Act.CONVERT:
                return Redirected(ref=ref, to=self.moved[ref], reason="converted")
            case Act.DELETE:
                del self.values[ref]
                return Redirected(ref=ref, to=None, reason="deleted")

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> tuple[WriteOutcome, ...]:
        assert 0 < len(drafts) <= self.batch_size
        self._raise()
        self.drafts += drafts
        return tuple(self._create(draft) for draft in drafts)

    def _create(self, draft: TaskDraft) -> WriteOutcome:
        """As a CRM without a unique key: only a draft that says it was attempted is looked for first."""
        ref = RecordRef(crm=self.crm, object="task", id=draft.key)
        if draft.attempted and draft.key in self.tasks:
            return Unchanged(ref=ref, id=f"t-{draft.key}")
        match self._next(draft.key):
            case Act.TAKE:
                return self._made(ref, draft)
            case Act.TAKE_SILENTLY:
                self._made(ref, draft)
                return Unknown(ref=ref, reason="connection reset")
            case Act.LOCK:
                return Rejected(ref=ref, code="LOCKED", reason="somebody else holds the row", retry=True)
            case Act.REFUSE:
                return Rejected(ref=ref, code="INVALID", reason="not this task")
            case Act.CONVERT:
                return Redirected(ref=ref, to=self.moved[draft.person], reason="converted")
            case Act.DELETE:
                return Redirected(ref=ref, to=None, reason="deleted")
            case _:
                return Unknown(ref=ref, reason="connection reset")

    def _made(self, ref: RecordRef, draft: TaskDraft) -> Written:
        assert draft.key not in self.tasks, f"a second task {draft.key}"
        self.tasks[draft.key] = draft
        return Written(ref=ref, id=f"t-{draft.key}")

    # -- what it never asks

    def check(self) -> AccountInfo:
        return AccountInfo(crm=self.crm, id="1", name="scripted", timezone="UTC")

    def now(self) -> datetime:
        return START

    def streams(self) -> tuple[Stream, ...]:
        return ()

    def owners(self) -> tuple[Owner, ...]:
        return ()

    def people(self, *_: Any) -> Iterator[Never]:
        raise AssertionError("writing pulls nothing")

    companies = engagement = people

    def ensure_schema(self, wanted: Sequence[WantedField], *, dry_run: bool = False) -> tuple[SchemaChange, ...]:
        raise AssertionError("writing makes no properties")

    def close(self) -> None:
        return


class _Anything(Mapping[str, FieldSchema]):
    """A schema that has every property, as free text."""

    def __getitem__(self, name: str) -> FieldSchema:
        return FieldSchema(name=name, kind=FieldKind.OTHER, writable=True)

    def get(self, name: str, default: Any = None) -> FieldSchema:
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
