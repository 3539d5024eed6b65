"""An outbox with a scripted CRM behind it: the scene of the tests of `sync.write` and `sync.store.outbox`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from connectors.records import Crm, RecordRef
from scoring.policy import Result, WritePlan
from sync.plan import Conflict, PlannedTask, PlannedWrite, RecordPlan, RecordState, op_key, plan_record
from sync.store import decisions, outbox, schema
from sync.store.db import Store
from sync.store.outbox import OutboxRow, RowState
from sync.write import Writer, WriteReport
from tests.support.scripted import Clock, ScriptedCrm

RESULTS = {
    "status": Result.STATUS,
    "score": Result.TOTAL,
    "owner": Result.OWNER,
    "stage": Result.LIFECYCLE,
    "reason": Result.REASON,
}

HUMAN = frozenset({Result.OWNER, Result.STATUS})


def planned(
    ref: RecordRef, fields: Mapping[str, str | None], base: Mapping[str, str | None] | None = None, version: str = "1"
) -> PlannedWrite:
    return PlannedWrite(ref=ref, fields=fields, base=base or {}, key=op_key(ref, version, fields))


def task_of(person: RecordRef, key: str = "p1:1:task:1", owner: str = "rep") -> PlannedTask:
    return PlannedTask(
        key=key,
        person=person,
        owner_property="owner",
        owner=owner,
        subject="Follow up",
        lines=("why",),
        due=date(2026, 11, 26),
        since=datetime(2026, 11, 25, tzinfo=UTC),
    )


@dataclass(slots=True)
class Scene:
    """One store, one CRM, one clock. ``kill_at``: the passing of ``reached`` at which the process dies."""

    store: Store
    crm: ScriptedCrm = field(default_factory=ScriptedCrm)
    clock: Clock = field(default_factory=Clock)
    adopts: bool = True
    release: str = "r1"
    readback_after: timedelta = timedelta(seconds=90)
    results: Mapping[str, Result] = field(default_factory=lambda: dict(RESULTS))
    adopted: list[tuple[str, Conflict]] = field(default_factory=list)
    moves: list[tuple[RecordRef, RecordRef | None]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    stop_after: int | None = None
    kill_at: int | None = None
    check: Callable[[Connection], None] = field(default=lambda tx: None)
    only: frozenset[str] | None = None
    wanted: dict[RecordRef, dict[str, str | None]] = field(default_factory=dict)

    # -- before

    def put(self, ref: RecordRef, base: Mapping[str, str | None] | None = None, /, **fields: str | None) -> int:
        """Plan these values for a record, as deciding does: every value wanted, and what of it is to be sent."""
        self.wanted[ref] = self.wanted.get(ref, {}) | fields
        version = str(len(self.crm.sends))
        write = planned(ref, fields, base if base is not None else dict(self.crm.values.get(ref, {})), version)
        with self.store.write() as tx:
            decisions.save_desired(tx, [(f"p{ref.id}", ref, self.wanted[ref])])
            return outbox.put(tx, [(f"p{ref.id}", write)], run_id="run", release=self.release)

    def decide(self, ref: RecordRef, /, **fields: str | None) -> None:
        """Pull, and plan everything wanted of a record, as `sync.decide` does it."""
        wanted = self.wanted[ref] = self.wanted.get(ref, {}) | fields
        with self.store.write() as tx:
            plan = self._plan(tx, ref, wanted)
            for conflict in plan.conflicts:
                adopted = conflict.result is Result.OWNER and self.adopts
                held = not adopted and not conflict.tamper
                outbox.record_conflict(tx, f"p{ref.id}", conflict, episode=1, held=held, at=self.clock.now())
                if adopted:
                    wanted["owner"] = conflict.theirs
                    outbox.acknowledge(tx, {ref: {"owner": conflict.theirs}}, at=self.clock.now())
            if plan.conflicts:
                plan = self._plan(tx, ref, wanted)
            outbox.acknowledge(tx, {ref: plan.adopted}, at=self.clock.now())
            decisions.save_desired(tx, [(f"p{ref.id}", ref, plan.desired)])
            if plan.write is None:
                outbox.drop_pending(tx, [ref])
            else:
                outbox.put(tx, [(f"p{ref.id}", plan.write)], run_id="run", release=self.release)

    def _plan(self, tx: Connection, ref: RecordRef, wanted: Mapping[str, str | None]) -> RecordPlan:
        rows = tx.execute(select(schema.outbox).where(schema.outbox.c.id == ref.id)).all()
        held = tx.execute(select(schema.conflict).where(schema.conflict.c.id == ref.id, schema.conflict.c.held)).all()
        state = RecordState(
            ref=ref,
            version=str(len(self.crm.sends)),
            current=dict(self.crm.values[ref]),
            acked=outbox.acked_fields(tx, [ref]).get(ref, {}),
            sent=tuple(attempt for row in rows for attempt in row.sent),
            held=frozenset(row.field for row in held),
        )
        properties = {result: prop for prop, result in self.results.items()}
        return plan_record(
            state, {self.results[p]: v for p, v in wanted.items()}, properties, WritePlan(human_edit_wins=HUMAN)
        )

    def put_task(self, person: RecordRef, **how: Any) -> bool:
        with self.store.write() as tx:
            return bool(outbox.put_tasks(tx, [(f"p{person.id}", task_of(person, **how))], run_id="run"))

    def acknowledge(self, ref: RecordRef, **fields: str | None) -> None:
        with self.store.write() as tx:
            outbox.acknowledge(tx, {ref: fields}, at=self.clock.now())

    def hold(self, row: OutboxRow, fields: Mapping[str, str | None]) -> None:
        """A process that died after it had committed the row as inflight, before or after sending."""
        with self.store.write() as tx:
            outbox.mark_inflight(tx, [(row, fields)], now=self.clock.now(), fence=1, batch="b")

    # -- writing

    def writer(self) -> Writer:
        def adopt(tx: Connection, person_id: str, conflict: Conflict) -> bool:
            self.adopted.append((person_id, conflict))
            if not self.adopts or conflict.result is not Result.OWNER:
                return False
            self.wanted[conflict.ref]["owner"] = conflict.theirs
            return True

        return Writer(
            store=self.store,
            connectors={self.crm.crm: self.crm},
            results={(self.crm.crm, object): self.results for object in ("contact", "lead")},
            human_edit_wins=HUMAN,
            release=self.release,
            readback_after=self.readback_after,
            now=self.clock.now,
            sleep=self.clock.sleep,
            stop=lambda: self.stop_after is not None and len(self.places) >= self.stop_after,
            reached=self._reached,
            fence=lambda: 1,
            adopt=adopt,
            moved=lambda tx, ref, to, reason: self.moves.append((ref, to)),
            batch=lambda: "batch",
            check=self.check,
            only=self.only,
        )

    def _reached(self, place: str) -> None:
        self.places.append(place)
        if self.kill_at is not None and len(self.places) >= self.kill_at:
            self.kill_at = None
            raise Killed(place)

    def write(self) -> WriteReport:
        self.places.clear()
        with self.store.write() as tx:
            outbox.release_dead(tx, release=self.release, now=self.clock.now())
        return self.writer().write()[self.crm.crm]

    # -- after

    def rows(self) -> list[Any]:
        with self.store.read() as tx:
            return list(tx.execute(select(schema.outbox).order_by(schema.outbox.c.seq)))

    def row(self, ref: RecordRef) -> OutboxRow:
        """The one open row of a record."""
        with self.store.read() as tx:
            found = outbox.ready(tx, ref.crm, now=self.clock.now() + timedelta(days=9), limit=99)
            found += outbox.inflight(tx, ref.crm)
        return next(row for row in found if row.ref == ref)

    def state(self, ref: RecordRef) -> RowState | None:
        """None: there is no row of this record any more."""
        return next((RowState(row.state) for row in self.rows() if row.id == ref.id), None)

    def acked(self, ref: RecordRef) -> dict[str, str | None]:
        with self.store.read() as tx:
            return outbox.acked_fields(tx, [ref]).get(ref, {})

    def letters(self) -> list[outbox.DeadLetter]:
        with self.store.read() as tx:
            return outbox.dead_letters(tx)

    def conflicts(self) -> list[Any]:
        with self.store.read() as tx:
            return list(tx.execute(select(schema.conflict).order_by(schema.conflict.c.seq)))


class Killed(BaseException):
    """The process ended here. Nothing may catch it and go on."""


def ref_of(id: str, object: str = "contact") -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object=object, id=id)
