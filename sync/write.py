"""Send what the outbox holds, and settle every row by what the CRM confirmed.

The order is what makes a crash harmless: compare with the CRM's values of this moment, commit the row as inflight with
exactly what is about to be sent, send, commit the outcome. A row without an outcome is never sent again before it was
read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
    Unread,
    WriteOutcome,
    Written,
)
from scoring.policy import Result
from sync.fights import Fight, FightRule
from sync.plan import CHECKED, KIND, Comparison, Conflict, Verdict, canonical, compare_again
from sync.store import decisions, fights, outbox
from sync.store.db import Store
from sync.store.outbox import TASK, OutboxRow
from sync.store.records import note_confirmed

__all__ = ["WriteReport", "Writer"]

MOST_ATTEMPTS = 5
"""Sends of one row that got no answer and did not take effect, before it is parked for a person to look at."""

BULK_READ = 3_000
"""Rows compared in one transaction where many wait to be written in bulk."""

Sending = tuple[OutboxRow, Mapping[str, str | None]]
"""A row, and what of it is to be sent."""

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
    fights: list[Fight] = field(default_factory=list)
    rejections: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """What of a row is not sent with the rest, as the CRM's description of it says that it would be refused."""

    fields: Mapping[str, str | None]
    why: Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Everything `write` needs to know. ``adopt`` takes over an owner a person has set, in the given transaction.

    results         (crm, object) -> property -> what it holds
    release         hash of mapping and schema: a parked row is tried again when it changes
    readback_after  how long an unanswered write rests before it is read back
    reached         called after every commit and around every send, with the name of the place
    check           raises in every transaction that must not commit any more (`runs.check_leases`)
    leads           the CRM that decides on owners, where the other one's owners follow its answers
    only            keys of the plans that may be sent, None for all; the others wait as they are (tasks are not asked)
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
    check: Callable[[Connection], None] = lambda tx: None
    leads: Crm | None = None
    only: frozenset[str] | None = None
    fights: FightRule = field(default_factory=FightRule)
    _withheld: dict[int, Withheld] = field(default_factory=dict)

    def write(self, done: Callable[[Crm, int], None] = lambda crm, rows: None) -> dict[Crm, WriteReport]:
        """Send until nothing is ready, read back what got no answer, and send again what that showed missing."""
        reports = {crm: WriteReport() for crm in self.connectors}
        while not self.stop():
            blocked: dict[Crm, set[int]] = {}
            for crm in self.connectors:
                blocked[crm] = self._send_ready(crm, reports[crm], done)
                if _needs_somebody(reports[crm].failure):
                    # The other CRM would tell people what this one cannot be told.
                    return reports
            if self.stop() or not self._settle_unanswered(reports, blocked):
                break
        return reports

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that commits only while this process may still write."""
        with self.store.write() as tx:
            self.check(tx)
            yield tx

    # -- records ---------------------------------------------------------------------------------------------

    def _send_ready(self, crm: Crm, report: WriteReport, done: Callable[[Crm, int], None]) -> set[int]:
        """Send until nothing is ready. Returns the rows that wait for another one's answer, or for another run.

        Records are compared and sent in as many calls as the connector makes at once. What does not fill all of them
        waits for the next comparison: only the last batch of an object is a small one. Where so many rows wait that
        the connector writes them in bulk, they are all compared first, and sent in one go.
        """
        blocked: set[int] = set()
        compared: list[Sending] = []
        connector = self.connectors[crm]
        looked_at = usual = connector.read_size * connector.batches_at_once
        together = 0
        while not self.stop() and report.failure is None:
            waiting = blocked | {row.seq for row, _ in compared}
            with self.store.read() as tx:
                rows = outbox.ready(tx, crm, now=self.now(), limit=looked_at, skip=waiting)
            if self.only is not None and (
                others := {r.seq for r in rows if r.ref.object != TASK and r.key not in self.only}
            ):
                blocked |= others
                continue
            try:
                if compared and (not rows or rows[0].ref.object != compared[0][0].ref.object):
                    self._send_records(connector, compared, report)
                    compared = []
                    continue
                if not rows:
                    break
                if rows[0].ref.object == TASK:
                    blocked |= self._send_tasks(connector, rows, report)
                else:
                    if not compared:
                        together, bulk = self._together(connector, rows[0].ref.object)
                        looked_at = max(usual, BULK_READ) if bulk else usual
                    sound = self._preflight(connector, self._still_ours(rows), report)
                    compared += self._compare(connector, sound, report)
                    while len(compared) >= together and not self.stop():
                        self._send_records(connector, compared[:together], report)
                        del compared[:together]
            except ConnectorError as error:
                report.failure = error
                break
            done(crm, len(rows))
        return blocked

    def _together(self, connector: Connector, object: str) -> tuple[int, bool]:
        """How many rows of an object go into one `apply`, and whether in bulk."""
        bulk = connector.bulk
        if bulk is not None:
            with self.store.read() as tx:
                waiting = outbox.waiting(tx, connector.crm, object, now=self.now())
            if waiting >= bulk.least:
                return min(waiting, bulk.most), True
        return connector.batch_size * connector.batches_at_once, False

    def _send_records(self, connector: Connector, part: Sequence[Sending], report: WriteReport) -> None:
        """Send what goes at once, and settle it: each batch by its own answer, all of them in one transaction."""
        with self._writing() as tx:
            outbox.mark_inflight(tx, part, now=self.now(), fence=self.fence(), batch=self.batch())
        self.reached(f"write:{connector.crm}:inflight")
        patches = [Patch(ref=row.ref, fields=fields, trace=row.key[:32]) for row, fields in part]
        outcomes = self._call(part, lambda: connector.apply(patches))
        self.reached(f"write:{connector.crm}:answered")
        with self._writing() as tx:
            self._settle(tx, part, outcomes, report)
            note_confirmed(tx, _confirmed(part, outcomes))
        self.reached(f"write:{connector.crm}:settled")

    def _still_ours(self, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
        """The rows without what the policy has stopped writing since they were queued; empty ones are forgotten."""
        kept: list[OutboxRow] = []
        for row in rows:
            results = self.results.get((row.ref.crm, row.ref.object), {})
            fields = {p: v for p, v in row.fields.items() if p in results}
            if fields:
                kept.append(row if len(fields) == len(row.fields) else replace(row, fields=fields))
        if len(kept) < len(rows):
            ours = {row.seq for row in kept}
            with self._writing() as tx:
                outbox.remove(tx, [row for row in rows if row.seq not in ours])
        return kept

    def _call(
        self,
        part: Sequence[Sending],
        send: Callable[[], Sequence[WriteOutcome]],
    ) -> Sequence[WriteOutcome]:
        """Send; where the connector raises, say for every row what that means."""
        try:
            return send()
        except (OutcomeUnknown, UnexpectedAnswer) as error:
            return [Unknown(ref=row.ref, reason=str(error)) for row, _ in part]
        except ConnectorError:
            # Nothing of this batch was done: the rows wait as before, and the caller hears of it.
            with self._writing() as tx:
                for row, _ in part:
                    outbox.back_to_pending(tx, row, not_before=None, answered=True, attempts=row.attempts)
            raise

    def _preflight(self, connector: Connector, rows: Sequence[OutboxRow], report: WriteReport) -> list[OutboxRow]:
        """Park what the CRM's own description says it would refuse; one bad value must not cost a call.

        Of a row with other values as well only that value waits: it is parked when the rest is settled.
        """
        if not rows:
            return []
        schema = connector.describe(rows[0].ref.object)
        sound: list[OutboxRow] = []
        refused: list[tuple[OutboxRow, Rejected]] = []
        for row in rows:
            faults = {p: f for p, v in row.fields.items() if (f := _refusal(row.ref, p, v, schema.get(p)))}
            self._withheld.pop(row.seq, None)
            if len(faults) == len(row.fields):
                refused.append((row, _in_one(list(faults.values()))))
                continue
            if faults:
                withheld = {p: row.fields[p] for p in faults}
                self._withheld[row.seq] = Withheld(fields=withheld, why=_in_one(list(faults.values())))
                row = replace(row, fields={p: v for p, v in row.fields.items() if p not in faults})
            sound.append(row)
        if refused:
            with self._writing() as tx:
                for row, fault in refused:
                    self._park(tx, row, fault, report)
        return sound

    def _compare(self, connector: Connector, rows: Sequence[OutboxRow], report: WriteReport) -> list[Sending]:
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
        """Rows -> the fields that still have to be sent. Rows that need nothing more are settled here.

        A row that was in flight while its record was planned anew is brought up to that plan: an answer that comes
        late must not bring back what is no longer wanted.
        """
        results = self.results[connector.crm, rows[0].ref.object]
        properties = sorted({p for row in rows for p in row.fields})
        read = connector.read([row.ref for row in rows], properties)
        left: dict[int, Mapping[str, str | None]] = {}
        with self._writing() as tx:
            acked = outbox.acked_fields(tx, [row.ref for row in rows])
            planned = outbox.desired_fields(tx, [row.ref for row in rows])
            confirmed: dict[RecordRef, Mapping[str, str | None]] = {}
            seen: dict[RecordRef, tuple[Mapping[str, str | None], datetime | None]] = {}
            finished: list[OutboxRow] = []
            for row in rows:
                left[row.seq] = {}
                newest = planned.get(row.ref, row.fields)
                wanted = {p: newest.get(p, v) for p, v in row.fields.items()}
                match read[row.ref]:
                    case Found(values=values):
                        seen[row.ref] = (values, None)
                        comparison = compare_again(
                            row.ref,
                            wanted=wanted,
                            now=values,
                            base=row.base,
                            acked=acked.get(row.ref, {}),
                            sent=row.sent,
                            results=results,
                            human_edit_wins=self.human_edit_wins,
                        )
                        taken, fought = self._conflicts(tx, row, comparison, report)
                        confirmed[row.ref] = comparison.done(wanted) | taken
                        send = comparison.fields(wanted)
                        left[row.seq] = {p: v for p, v in send.items() if p in newest and p not in fought}
                        if not left[row.seq]:
                            finished.append(row)
                            report.found_done += any(v is Verdict.DONE for v in comparison.verdicts.values())
                        elif left[row.seq] != row.fields:
                            # What was dropped must stay dropped when this row comes back from a lock or a silence.
                            withheld = self._withheld.get(row.seq)
                            outbox.narrow(tx, row, {**left[row.seq], **(withheld.fields if withheld else {})})
                    case Moved(to=to, reason=reason):
                        finished.append(row)
                        self._redirect(tx, row, to, reason, report)
                    case Gone(reason=reason):
                        finished.append(row)
                        self._redirect(tx, row, None, reason, report)
                    case Unread(reason=reason):
                        self._park(tx, row, Rejected(ref=row.ref, code=outbox.UNREADABLE, reason=reason), report)
                    case other:
                        assert_never(other)
            note_confirmed(tx, seen)
            outbox.acknowledge(tx, confirmed, at=self.now())
            self._let_follow(tx, rows, confirmed)
            self._finish(tx, finished, report)
        self.reached(f"write:{connector.crm}:compared")
        return left

    def _conflicts(
        self, tx: Connection, row: OutboxRow, comparison: Comparison, report: WriteReport
    ) -> tuple[dict[str, str | None], set[str]]:
        """Record each edit; return those taken over, which count as confirmed from now on, and the fields given up."""
        taken: dict[str, str | None] = {}
        fought: set[str] = set()
        for conflict in comparison.conflicts:
            fight = fights.note_rewritten(tx, row.person_id, conflict, self.fights, at=self.now())
            if fight is not None:
                report.fights.append(fight)
                fought.add(conflict.field)
                continue
            if conflict.tamper:
                report.tampered += 1
                outbox.record_conflict(tx, row.person_id, conflict, episode=None, held=False, at=self.now())
                continue
            report.conflicts += 1
            adopted = self.adopt(tx, row.person_id, conflict)
            if adopted:
                taken[conflict.field] = conflict.theirs
            outbox.record_conflict(tx, row.person_id, conflict, episode=None, held=not adopted, at=self.now())
        return taken, fought

    def _redirect(self, tx: Connection, row: OutboxRow, to: RecordRef | None, reason: str, report: WriteReport) -> None:
        report.redirected += 1
        self._withheld.pop(row.seq, None)
        self.moved(tx, row.ref, to, reason)

    def _settle(
        self, tx: Connection, part: Sequence[Sending], outcomes: Sequence[WriteOutcome], report: WriteReport
    ) -> None:
        """What a batch confirmed is stored in a few statements; what it refused, row by row."""
        confirmed: dict[RecordRef, Mapping[str, str | None]] = {}
        finished: list[OutboxRow] = []
        for (row, fields), outcome in zip(part, outcomes, strict=True):
            match outcome:
                case Written(values=values):
                    wrong = self._not_taken(row, fields, values)
                    if wrong is not None:
                        confirmed[row.ref] = {
                            p: v for p, v in fields.items() if p in values and self._holds(row.ref, p, values[p], v)
                        }
                        self._park(tx, row, wrong, report)
                        continue
                    report.written += 1
                    confirmed[row.ref] = fields
                    finished.append(row)
                case Unchanged():
                    report.found_done += 1
                    confirmed[row.ref] = fields
                    finished.append(row)
                case Rejected(retry=True) if row.attempts + 1 < MOST_ATTEMPTS:
                    rest = self.now() + LOCK_REST * (row.attempts + 1)
                    outbox.back_to_pending(tx, row, not_before=rest, answered=True)
                case Rejected():
                    self._park(tx, row, outcome, report)
                case Redirected(to=to, reason=reason):
                    self._redirect(tx, row, to, reason, report)
                    finished.append(row)
                case Unknown():
                    report.unanswered += 1
                case other:
                    assert_never(other)
        outbox.acknowledge(tx, confirmed, at=self.now())
        fights.note_written(tx, confirmed)
        self._let_follow(tx, [row for row, _ in part], confirmed)
        self._finish(tx, finished, report)

    def _finish(self, tx: Connection, rows: Sequence[OutboxRow], report: WriteReport) -> None:
        """Rows of which nothing is to be sent any more. What was withheld of them is parked with its reason."""
        outbox.remove(tx, [row for row in rows if row.seq not in self._withheld])
        for row in rows:
            withheld = self._withheld.pop(row.seq, None)
            if withheld is not None:
                outbox.narrow(tx, row, withheld.fields)
                self._park(tx, row, withheld.why, report)

    def _let_follow(
        self, tx: Connection, rows: Sequence[OutboxRow], confirmed: Mapping[RecordRef, Mapping[str, str | None]]
    ) -> None:
        """The other CRM's owner waited for this one's answer: plan these people once more, in this run."""
        for row in rows:
            if row.ref.crm != self.leads:
                continue
            results = self.results[row.ref.crm, row.ref.object]
            if any(results.get(p) is Result.OWNER for p in confirmed.get(row.ref, {})):
                decisions.mark_dirty(tx, row.person_id, "owner")

    def _not_taken(
        self, row: OutboxRow, fields: Mapping[str, str | None], values: Mapping[str, str | None]
    ) -> Rejected | None:
        """A CRM can answer "done" and keep another value (HubSpot and an earlier lifecycle stage)."""
        for prop, want in fields.items():
            if prop in values and not self._holds(row.ref, prop, values[prop], want):
                reason = f"answered success but holds {values[prop]!r} instead of {want!r}"
                return Rejected(ref=row.ref, code="NOT_TAKEN", reason=reason, field=prop)
        return None

    def _holds(self, ref: RecordRef, prop: str, value: str | None, want: str | None) -> bool:
        kind = KIND[self.results[ref.crm, ref.object][prop]]
        return canonical(kind, value) == canonical(kind, want)

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
        part: list[Sending] = []
        drafts: list[TaskDraft] = []
        for row in rows:
            confirmed = acked.get(people[row.seq], {}).get(row.fields["owner_property"])
            owner = confirmed or row.fields.get("confirmed_owner")
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
        with self._writing() as tx:
            outbox.mark_inflight(tx, part, now=self.now(), fence=self.fence(), batch=self.batch())
        self.reached(f"write:{connector.crm}:task inflight")
        outcomes = self._call(part, lambda: connector.create_tasks(drafts))
        self.reached(f"write:{connector.crm}:task answered")
        with self._writing() as tx:
            for (row, fields), outcome in zip(part, outcomes, strict=True):
                self._settle_task(tx, row, fields["owner"] or "", outcome, report)
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

    def _settle_task(
        self, tx: Connection, row: OutboxRow, owner: str, outcome: WriteOutcome, report: WriteReport
    ) -> None:
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
                if to is None:
                    outbox.remove(tx, [row])
                elif row.attempts + 1 < MOST_ATTEMPTS:
                    outbox.aim_task(tx, row, to, owner=owner)
                else:
                    reason = f"{reason}, and so on: {to} is not there either"
                    self._park(tx, row, Rejected(ref=row.ref, code="REDIRECTED", reason=reason), report)
            case Unknown():
                report.unanswered += 1
            case other:
                assert_never(other)

    # -- rows without an answer ------------------------------------------------------------------------------

    def _settle_unanswered(self, reports: Mapping[Crm, WriteReport], blocked: Mapping[Crm, set[int]]) -> bool:
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
                    # An owner found to be there lets the task go that waited for it.
                    more |= bool(blocked[crm])
                except ConnectorError as error:
                    reports[crm].failure = error
            more |= self._rest_for_locks(crm, blocked[crm])
        return more

    def _read_back(self, connector: Connector, rows: Sequence[OutboxRow], report: WriteReport) -> bool:
        records = self._still_ours([row for row in rows if row.ref.object != TASK])
        tasks = [row for row in rows if row.ref.object == TASK]
        again: list[OutboxRow] = []
        for object in sorted({row.ref.object for row in records}):
            part = [row for row in records if row.ref.object == object]
            left = self._read_and_settle(connector, part, report)
            again += [row for row in part if left[row.seq]]
        with self._writing() as tx:
            self._plan_again(tx, records)
            for row in again + tasks:
                if row.attempts >= MOST_ATTEMPTS:
                    there = "it is looked for before the next try" if row in tasks else "not there when read back"
                    reason = f"sent {row.attempts} times without an answer; {there}"
                    self._park(tx, row, Rejected(ref=row.ref, code=outbox.NO_ANSWER, reason=reason), report)
                else:
                    outbox.back_to_pending(tx, row, not_before=None, answered=False)
        self.reached(f"write:{connector.crm}:read back")
        return bool(again or tasks)

    @staticmethod
    def _plan_again(tx: Connection, rows: Sequence[OutboxRow]) -> None:
        """A row in flight is left alone by planning; where more than it holds is wanted by now, plan once more."""
        acked = outbox.acked_fields(tx, [row.ref for row in rows])
        planned = outbox.desired_fields(tx, [row.ref for row in rows])
        for row in rows:
            known = acked.get(row.ref, {})
            if any(p not in row.fields and known.get(p) != v for p, v in planned.get(row.ref, {}).items()):
                decisions.mark_dirty(tx, row.person_id, "answered")

    def _rest_for_locks(self, crm: Crm, blocked: set[int]) -> bool:
        """A locked row is worth a short wait; a longer one is the next run's. Rows in ``blocked`` wait for others."""
        with self.store.read() as tx:
            due = outbox.next_due(tx, crm, skip=blocked)
        if due is None or due - self.now() > LOCK_REST * MOST_ATTEMPTS:
            return False
        self._rest_until(due)
        return not self.stop()

    def _rest_until(self, moment: datetime) -> None:
        while not self.stop() and (left := (moment - self.now()).total_seconds()) > 0:
            self.sleep(min(left, 1.0))


def _confirmed(
    part: Sequence[Sending], outcomes: Sequence[WriteOutcome]
) -> dict[RecordRef, tuple[Mapping[str, str | None], datetime | None]]:
    """What the answers say the records hold now: what was sent, or what the CRM shows instead of it."""
    return {
        row.ref: ({**fields, **outcome.values}, outcome.modified_at)
        for (row, fields), outcome in zip(part, outcomes, strict=True)
        if isinstance(outcome, Written)
    }


def _needs_somebody(failure: ConnectorError | None) -> bool:
    """A credential, scope or permission is missing: no later call of this run can go better."""
    return isinstance(failure, RunCannotContinue) and failure.credentials


def _in_one(faults: Sequence[Rejected]) -> Rejected:
    """All that is wrong with a row, under the first code."""
    reason = "; ".join(dict.fromkeys(fault.reason for fault in faults))
    return replace(faults[0], reason=reason)


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
