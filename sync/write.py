"""Send what the outbox holds, and settle every row by what the CRM confirmed.

The order is what makes a crash harmless: compare with the CRM's values of this moment, commit the row as inflight with
exactly what is about to be sent, send, commit the outcome. A row without an outcome is never sent again before it was
read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import assert_never

from sqlalchemy import Connection

from connectors.errors import ConnectorError, OutcomeUnknown, RunCannotContinue, UnexpectedAnswer
from connectors.port import Connector
from connectors.records import (
    Crm,
    FieldKind,
    FieldSchema,
    Found,
    Gone,
    Moved,
    Patch,
    RecordRef,
    Redirected,
    Rejected,
    TaskDraft,
    Unchanged,
    Unknown,
    WriteOutcome,
    Written,
)
from scoring.policy import Result
from sync.plan import CHECKED, KIND, Comparison, Conflict, Verdict, canonical, compare_again
from sync.store import outbox
from sync.store.db import Store
from sync.store.outbox import TASK, OutboxRow

__all__ = ["WriteReport", "Writer"]

MOST_ATTEMPTS = 5
"""Sends of one row that got no answer and did not take effect, before it is parked for a person to look at."""

LOCK_REST = timedelta(seconds=5)
"""How long a row rests that the CRM refused for a passing reason, times its attempts."""


@dataclass(slots=True)
class WriteReport:
    """What became of the rows of one CRM. ``failure`` is why the rest still waits, None when nothing stopped it."""

    written: int = 0
    found_done: int = 0
    tasks: int = 0
    rejected_new: int = 0
    rejected_known: int = 0
    redirected: int = 0
    unanswered: int = 0
    conflicts: int = 0
    tampered: int = 0
    failure: ConnectorError | None = None
    rejections: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Everything `write` needs to know. ``adopt`` takes over an owner a person has set, in the given transaction.

    results         (crm, object) -> property -> what it holds
    release         hash of mapping and schema: a parked row is tried again when it changes
    readback_after  how long an unanswered write rests before it is read back
    reached         called after every commit and around every send, with the name of the place
    """

    store: Store
    connectors: Mapping[Crm, Connector]
    results: Mapping[tuple[Crm, str], Mapping[str, Result]]
    human_edit_wins: frozenset[Result]
    release: str
    readback_after: timedelta
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    stop: Callable[[], bool]
    reached: Callable[[str], None]
    fence: Callable[[], int]
    adopt: Callable[[Connection, str, Conflict], bool]
    moved: Callable[[Connection, RecordRef, RecordRef | None, str], None]
    batch: Callable[[], str]

    def write(self, done: Callable[[Crm, int], None] = lambda crm, rows: None) -> dict[Crm, WriteReport]:
        """Send until nothing is ready, read back what got no answer, and send again what that showed missing."""
        reports = {crm: WriteReport() for crm in self.connectors}
        while not self.stop():
            for crm in self.connectors:
                self._send_ready(crm, reports[crm], done)
            if self.stop() or not self._settle_unanswered(reports):
                break
        return reports

    # -- records ---------------------------------------------------------------------------------------------

    def _send_ready(self, crm: Crm, report: WriteReport, done: Callable[[Crm, int], None]) -> None:
        blocked: set[int] = set()
        connector = self.connectors[crm]
        while not self.stop() and report.failure is None:
            with self.store.read() as tx:
                rows = outbox.ready(tx, crm, now=self.now(), limit=connector.read_size, skip=blocked)
            if not rows:
                return
            try:
                if rows[0].ref.object == TASK:
                    blocked |= self._send_tasks(connector, rows, report)
                else:
                    self._send_records(connector, rows, report)
            except ConnectorError as error:
                report.failure = error
                return
            done(crm, len(rows))

    def _send_records(self, connector: Connector, rows: Sequence[OutboxRow], report: WriteReport) -> None:
        sound = self._preflight(connector, rows, report)
        sending = self._compare(connector, sound, report)
        for start in range(0, len(sending), connector.batch_size):
            part = sending[start : start + connector.batch_size]
            with self.store.write() as tx:
                outbox.mark_inflight(tx, part, now=self.now(), fence=self.fence(), batch=self.batch())
            self.reached(f"write:{connector.crm}:inflight")
            patches = [Patch(ref=row.ref, fields=fields, trace=row.key[:32]) for row, fields in part]
            outcomes = self._call(part, lambda patches=patches: connector.apply(patches))  # type: ignore[misc]  # a default binds the loop variable
            self.reached(f"write:{connector.crm}:answered")
            with self.store.write() as tx:
                for (row, fields), outcome in zip(part, outcomes, strict=True):
                    self._settle(tx, row, fields, outcome, report)
            self.reached(f"write:{connector.crm}:settled")

    def _call(
        self,
        part: Sequence[tuple[OutboxRow, Mapping[str, str | None]]],
        send: Callable[[], Sequence[WriteOutcome]],
    ) -> Sequence[WriteOutcome]:
        """Send; where the connector raises, say for every row what that means."""
        try:
            return send()
        except (OutcomeUnknown, UnexpectedAnswer) as error:
            return [Unknown(ref=row.ref, reason=str(error)) for row, _ in part]
        except ConnectorError:
            # Nothing of this batch was done: the rows wait as before, and the caller hears of it.
            with self.store.write() as tx:
                for row, _ in part:
                    outbox.back_to_pending(tx, row, not_before=None, answered=True, attempts=row.attempts)
            raise

    def _preflight(self, connector: Connector, rows: Sequence[OutboxRow], report: WriteReport) -> list[OutboxRow]:
        """Park what the CRM's own description says it would refuse; one bad value must not cost a call."""
        schema = connector.describe(rows[0].ref.object)
        sound: list[OutboxRow] = []
        refused: list[tuple[OutboxRow, Rejected]] = []
        for row in rows:
            fault = next((f for p, v in row.fields.items() if (f := _refusal(row.ref, p, v, schema.get(p)))), None)
            if fault is None:
                sound.append(row)
            else:
                refused.append((row, fault))
        if refused:
            with self.store.write() as tx:
                for row, fault in refused:
                    self._park(tx, row, fault, report)
        return sound

    def _compare(
        self, connector: Connector, rows: Sequence[OutboxRow], report: WriteReport
    ) -> list[tuple[OutboxRow, Mapping[str, str | None]]]:
        """Read what people can edit, and drop from each row what they did or what is there already."""
        results = self.results[connector.crm, rows[0].ref.object] if rows else {}
        checked = [row for row in rows if any(results[p] in CHECKED for p in row.fields)]
        if not checked:
            return [(row, row.fields) for row in rows]
        compared = self._read_and_settle(connector, checked, report)
        return [(row, compared.get(row.seq, row.fields)) for row in rows if compared.get(row.seq, row.fields)]

    def _read_and_settle(
        self, connector: Connector, rows: Sequence[OutboxRow], report: WriteReport
    ) -> dict[int, Mapping[str, str | None]]:
        """Rows -> the fields that still have to be sent. Rows that need nothing more are settled here."""
        results = self.results[connector.crm, rows[0].ref.object]
        properties = sorted({p for row in rows for p in row.fields})
        read = connector.read([row.ref for row in rows], properties)
        left: dict[int, Mapping[str, str | None]] = {}
        with self.store.write() as tx:
            acked = outbox.acked_fields(tx, [row.ref for row in rows])
            confirmed: dict[RecordRef, Mapping[str, str | None]] = {}
            finished: list[OutboxRow] = []
            for row in rows:
                left[row.seq] = {}
                match read[row.ref]:
                    case Found(values=values):
                        comparison = compare_again(
                            row.ref,
                            wanted=row.fields,
                            now=values,
                            base=row.base,
                            acked=acked.get(row.ref, {}),
                            sent=row.sent,
                            results=results,
                            human_edit_wins=self.human_edit_wins,
                        )
                        confirmed[row.ref] = comparison.done(row.fields) | self._conflicts(tx, row, comparison, report)
                        left[row.seq] = comparison.fields(row.fields)
                        if not left[row.seq]:
                            finished.append(row)
                            report.found_done += any(v is Verdict.DONE for v in comparison.verdicts.values())
                    case Moved(to=to, reason=reason):
                        finished.append(row)
                        self._redirect(tx, row, to, reason, report)
                    case Gone(reason=reason):
                        finished.append(row)
                        self._redirect(tx, row, None, reason, report)
                    case other:
                        assert_never(other)
            outbox.acknowledge(tx, confirmed, at=self.now())
            outbox.remove(tx, finished)
        self.reached(f"write:{connector.crm}:compared")
        return left

    def _conflicts(
        self, tx: Connection, row: OutboxRow, comparison: Comparison, report: WriteReport
    ) -> dict[str, str | None]:
        """Record each edit; return those taken over, which count as confirmed from now on."""
        taken: dict[str, str | None] = {}
        for conflict in comparison.conflicts:
            if conflict.tamper:
                report.tampered += 1
                outbox.record_conflict(tx, row.person_id, conflict, episode=None, held=False, at=self.now())
                continue
            report.conflicts += 1
            adopted = self.adopt(tx, row.person_id, conflict)
            if adopted:
                taken[conflict.field] = conflict.theirs
            outbox.record_conflict(tx, row.person_id, conflict, episode=None, held=not adopted, at=self.now())
        return taken

    def _redirect(self, tx: Connection, row: OutboxRow, to: RecordRef | None, reason: str, report: WriteReport) -> None:
        report.redirected += 1
        self.moved(tx, row.ref, to, reason)

    def _settle(
        self,
        tx: Connection,
        row: OutboxRow,
        fields: Mapping[str, str | None],
        outcome: WriteOutcome,
        report: WriteReport,
    ) -> None:
        match outcome:
            case Written(values=values):
                wrong = self._not_taken(row, fields, values)
                if wrong is not None:
                    self._park(tx, row, wrong, report)
                    return
                report.written += 1
                outbox.acknowledge(tx, {row.ref: fields}, at=self.now())
                outbox.remove(tx, [row])
            case Unchanged():
                report.found_done += 1
                outbox.acknowledge(tx, {row.ref: fields}, at=self.now())
                outbox.remove(tx, [row])
            case Rejected(retry=True) if row.attempts + 1 < MOST_ATTEMPTS:
                rest = self.now() + LOCK_REST * (row.attempts + 1)
                outbox.back_to_pending(tx, row, not_before=rest, answered=True)
            case Rejected():
                self._park(tx, row, outcome, report)
            case Redirected(to=to, reason=reason):
                self._redirect(tx, row, to, reason, report)
                outbox.remove(tx, [row])
            case Unknown():
                report.unanswered += 1
            case other:
                assert_never(other)

    def _not_taken(
        self, row: OutboxRow, fields: Mapping[str, str | None], values: Mapping[str, str | None]
    ) -> Rejected | None:
        """A CRM can answer "done" and keep another value (HubSpot and an earlier lifecycle stage)."""
        results = self.results[row.ref.crm, row.ref.object]
        for prop, want in fields.items():
            kind = KIND[results[prop]]
            if prop in values and canonical(kind, values[prop]) != canonical(kind, want):
                reason = f"answered success but holds {values[prop]!r} instead of {want!r}"
                return Rejected(ref=row.ref, code="NOT_TAKEN", reason=reason, field=prop)
        return None

    def _park(self, tx: Connection, row: OutboxRow, rejected: Rejected, report: WriteReport) -> None:
        new = outbox.bury(
            tx,
            row,
            code=rejected.code,
            reason=rejected.reason,
            field=rejected.field,
            release=self.release,
            at=self.now(),
        )
        report.rejections.append(rejected)
        if new:
            report.rejected_new += 1
        else:
            report.rejected_known += 1

    # -- tasks -----------------------------------------------------------------------------------------------

    def _send_tasks(self, connector: Connector, rows: Sequence[OutboxRow], report: WriteReport) -> set[int]:
        """Create the tasks whose owner is confirmed. Returns the rows that have to wait for that."""
        people = {row.seq: self._person_of(row) for row in rows}
        with self.store.read() as tx:
            acked = outbox.acked_fields(tx, list(people.values()))
        waiting: set[int] = set()
        part: list[tuple[OutboxRow, Mapping[str, str | None]]] = []
        drafts: list[TaskDraft] = []
        for row in rows:
            owner = acked.get(people[row.seq], {}).get(row.fields["owner_property"])
            if owner is None:
                waiting.add(row.seq)
                continue
            # The confirmed owner, who may be somebody a person chose after the task was planned.
            drafts.append(self._draft(row, people[row.seq], owner))
            part.append((row, {"owner": owner}))
            if len(part) == connector.batch_size:
                break
        if not part:
            return waiting
        with self.store.write() as tx:
            outbox.mark_inflight(tx, part, now=self.now(), fence=self.fence(), batch=self.batch())
        self.reached(f"write:{connector.crm}:task inflight")
        outcomes = self._call(part, lambda: connector.create_tasks(drafts))
        self.reached(f"write:{connector.crm}:task answered")
        with self.store.write() as tx:
            for (row, _), outcome in zip(part, outcomes, strict=True):
                self._settle_task(tx, row, outcome, report)
        self.reached(f"write:{connector.crm}:task settled")
        return waiting

    @staticmethod
    def _person_of(row: OutboxRow) -> RecordRef:
        object, id = row.fields["person"]
        return RecordRef(crm=row.ref.crm, object=object, id=id)

    @staticmethod
    def _draft(row: OutboxRow, person: RecordRef, owner: str) -> TaskDraft:
        return TaskDraft(
            key=row.ref.id,
            person=person,
            owner=owner,
            subject=row.fields["subject"],
            lines=tuple(row.fields["lines"]),
            due=date.fromisoformat(row.fields["due"]),
            since=datetime.fromisoformat(row.fields["since"]),
            attempted=bool(row.sent),
        )

    def _settle_task(self, tx: Connection, row: OutboxRow, outcome: WriteOutcome, report: WriteReport) -> None:
        match outcome:
            case Written(id=id) | Unchanged(id=id):
                report.tasks += isinstance(outcome, Written)
                outbox.acknowledge(tx, {row.ref: {"id": id}}, at=self.now())
                outbox.remove(tx, [row])
            case Rejected(retry=True) if row.attempts + 1 < MOST_ATTEMPTS:
                rest = self.now() + LOCK_REST * (row.attempts + 1)
                outbox.back_to_pending(tx, row, not_before=rest, answered=True)
            case Rejected():
                self._park(tx, row, outcome, report)
            case Redirected(to=to, reason=reason):
                report.redirected += 1
                self.moved(tx, self._person_of(row), to, reason)
                outbox.remove(tx, [row])
            case Unknown():
                report.unanswered += 1
            case other:
                assert_never(other)

    # -- rows without an answer ------------------------------------------------------------------------------

    def _settle_unanswered(self, reports: Mapping[Crm, WriteReport]) -> bool:
        """Wait out what has no answer, read it back, queue again what is not there. True when there is more to send."""
        more = False
        for crm, connector in self.connectors.items():
            if reports[crm].failure is not None:
                continue
            with self.store.read() as tx:
                rows = outbox.inflight(tx, crm)
            if rows:
                self._rest_until(max(row.sent_at or self.now() for row in rows) + self.readback_after)
                if self.stop():
                    return False
                try:
                    more |= self._read_back(connector, rows, reports[crm])
                except ConnectorError as error:
                    reports[crm].failure = error
            more |= self._rest_for_locks(crm)
        return more

    def _read_back(self, connector: Connector, rows: Sequence[OutboxRow], report: WriteReport) -> bool:
        records = [row for row in rows if row.ref.object != TASK]
        tasks = [row for row in rows if row.ref.object == TASK]
        again: list[OutboxRow] = []
        for object in sorted({row.ref.object for row in records}):
            part = [row for row in records if row.ref.object == object]
            left = self._read_and_settle(connector, part, report)
            again += [row for row in part if left[row.seq]]
        with self.store.write() as tx:
            for row in again + tasks:
                if row.attempts >= MOST_ATTEMPTS:
                    reason = f"sent {row.attempts} times without an answer, and not there when read back"
                    self._park(tx, row, Rejected(ref=row.ref, code="NO_ANSWER", reason=reason), report)
                else:
                    outbox.back_to_pending(tx, row, not_before=None, answered=False)
        self.reached(f"write:{connector.crm}:read back")
        return bool(again or tasks)

    def _rest_for_locks(self, crm: Crm) -> bool:
        """A locked row is worth a short wait; a longer one is the next run's."""
        with self.store.read() as tx:
            due = outbox.next_due(tx, crm)
        if due is None or due - self.now() > LOCK_REST * MOST_ATTEMPTS:
            return False
        self._rest_until(due)
        return not self.stop()

    def _rest_until(self, moment: datetime) -> None:
        while not self.stop() and (left := (moment - self.now()).total_seconds()) > 0:
            self.sleep(min(left, 1.0))


def _refusal(ref: RecordRef, prop: str, value: str | None, schema: FieldSchema | None) -> Rejected | None:
    """What the CRM's description of a property says against a value, before it is sent."""
    if schema is None:
        reason = f"{ref.crm} shows no property {prop} on {ref.object}; nothing was sent. Run `mqlsync setup`"
        return Rejected(ref=ref, code="NO_SUCH_PROPERTY", reason=reason, field=prop)
    if not schema.writable:
        reason = f"{ref.crm} says {prop} cannot be written by these credentials; nothing was sent"
        return Rejected(ref=ref, code="READ_ONLY", reason=reason, field=prop)
    if value is None:
        return None
    if schema.options is not None and value not in schema.options and schema.kind is FieldKind.PICKLIST:
        reason = f"{value!r} is not an option of {prop} in {ref.crm}; nothing was sent. Run `mqlsync setup`"
        return Rejected(ref=ref, code="NO_SUCH_OPTION", reason=reason, field=prop)
    if schema.length is not None and len(value) > schema.length and schema.kind is FieldKind.TEXT:
        reason = f"{len(value)} characters do not fit into {prop} ({schema.length}) in {ref.crm}; nothing was sent"
        return Rejected(ref=ref, code="TOO_LONG", reason=reason, field=prop)
    return None


def quota_stopped(reports: Mapping[Crm, WriteReport]) -> bool:
    """Some CRM's calls for the day are used up."""
    failures = [report.failure for report in reports.values()]
    return any(isinstance(f, RunCannotContinue) and f.quota for f in failures)
