"""One run: the stages in order, and the report of what became of every record.

`pull -> resolve -> gather -> score -> decide (qualify, assign, follow up, plan) -> write -> settle -> notify`
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from connectors.errors import ConnectorError, RetryLater, RunCannotContinue, SignInRefused
from connectors.port import Connector
from connectors.records import AccountInfo, Crm, DayQuota, RecordProblem, RecordRef
from scoring.cards import Fresh, Scorecard
from scoring.engine import Engine, EngineFailed
from scoring.episodes import Decision
from scoring.policy import Policy, Result
from scoring.sla import TOUCHES, Happened
from scoring.version import content_hash
from sync.ahead import OneAtATime, ahead
from sync.decide import Decided, Decider
from sync.drift import drifted, lacking_facts, once_written, others_told
from sync.fights import Fight
from sync.guard import Approval, Change, Finding, judge, stopped_text, to_bytes
from sync.log import get_logger
from sync.mapping import Mapping as FieldsFile
from sync.mapping import SalesState
from sync.notify import Teller
from sync.owners import OwnerDirectory, takers
from sync.plan import Conflict
from sync.pull import PullReport, Source, pull_side_by_side, read_whole
from sync.quiet import QuietPeople
from sync.resolve import PEOPLE_OBJECTS
from sync.routing import facts_read
from sync.sales import Hearing, not_offered
from sync.settings import OwnerAuthority, Settings, StageName
from sync.shadow import Beside
from sync.store import accounts, decisions, outbox, people, records, reviews, runs, stops
from sync.store.db import Store
from sync.store.decisions import Asked, PersonState
from sync.store.problems import known_problems, note_problems
from sync.store.runs import HeldElsewhere, Holder, LeaseLost, RunState
from sync.store.scorecards import KEPT, Scorecards
from sync.store.snapshot import Snapshot, SnapshotReport
from sync.store.sweeps import Drift
from sync.sweep import sweep
from sync.write import Writer, WriteReport

__all__ = ["Parts", "Progress", "RunReport", "Runner", "exit_code"]

MOST_ROUNDS = 4
"""Times a run decides and writes again because writing showed something new (a conversion, somebody's edit)."""

SCORED_TOGETHER = 30_000
"""People in one query: it costs a tenth of a second before it looks at anybody, and memory for all it looks at.

The next one is asked while these are decided, so that only the first is waited for.
"""


Progress = Callable[[str, int, int | None], None]
"""(stage, done, of): told now and then; ``of`` is None while the end is not known."""


@dataclass(slots=True)
class RunReport:
    """What one run did. ``writes`` counts values a CRM confirmed: records and tasks.

    findings    the limits of the guard that were passed, or would be by a run like this dry one
    days, zones what each CRM said of its calls of the day, and where it has its midnight
    signed_out  a CRM does not accept the credential any more
    """

    run_id: str
    job: str
    as_of: datetime
    state: RunState = RunState.SUCCEEDED
    pulled: dict[str, int] = field(default_factory=dict)
    swept: dict[str, Drift] = field(default_factory=dict)
    told: int = 0
    decided: Decided = field(default_factory=Decided)
    written: dict[Crm, WriteReport] = field(default_factory=dict)
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[RecordProblem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()
    days: dict[Crm, DayQuota] = field(default_factory=dict)
    zones: dict[Crm, str] = field(default_factory=dict)
    signed_out: bool = False
    error: str | None = None
    exit_code: int = 0

    @property
    def writes(self) -> int:
        return sum(report.written + report.tasks for report in self.written.values())

    @property
    def fights(self) -> list[Fight]:
        """Fields that were given up, because somebody else writes them again and again."""
        return [*self.decided.fights, *(one for written in self.written.values() for one in written.fights)]

    def as_json(self) -> dict[str, Any]:
        """The whole report."""
        return {
            "run": self.run_id,
            "job": self.job,
            "state": self.state,
            "as_of": self.as_of,
            "writes": self.writes,
            "pulled": self.pulled,
            "swept": {stream: asdict(drift) for stream, drift in self.swept.items()},
            "statuses": self.decided.statuses,
            "counts": self.counts(),
            "calls": self.calls,
            "problems": [{"record": str(p.ref), "field": p.field, "reason": p.reason} for p in self.problems],
            "rejections": [
                {"record": str(r.ref), "field": r.field, "code": r.code, "reason": r.reason}
                for written in self.written.values()
                for r in written.rejections
            ],
            "fights": [{"record": str(f.ref), "field": f.field, "what": str(f)} for f in self.fights],
            "warnings": self.warnings,
            "guard": [one.as_json() for one in self.findings],
            "error": self.error,
            "exit_code": self.exit_code,
        }

    def counts(self) -> dict[str, Any]:
        """The figures a run is listed with."""
        return {
            "pulled": sum(self.pulled.values()),
            "people": self.decided.people,
            "new_mqls": sum(not e.adopted for e in self.decided.opened),
            "assigned": len(self.decided.assigned),
            "queued": self.decided.queued,
            "written": sum(r.written for r in self.written.values()),
            "tasks": sum(r.tasks for r in self.written.values()),
            "unchanged": sum(r.found_done for r in self.written.values()),
            "rejected": sum(r.rejected_new + r.rejected_known for r in self.written.values()),
            "conflicts": self.decided.conflicts + sum(r.conflicts for r in self.written.values()),
            "tampered": self.decided.tampered + sum(r.tampered for r in self.written.values()),
            "redirected": sum(r.redirected for r in self.written.values()),
            "problems": len(self.problems),
            "told": self.told,
            "fights": len(self.fights),
            "drift": sum(drift.repaired for drift in self.swept.values()),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What `sync.compose` puts together. Time, sleep and ids are arguments: a test passes its own.

    reached  called with the name of every boundary a crash could fall on
    renew    forget what is known since an earlier run of the properties of one object of one CRM
    """

    settings: Settings
    policy: Policy
    fields: FieldsFile
    store: Store
    connectors: Mapping[Crm, Connector]
    engine: Engine
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    new_id: Callable[[], str]
    holder: Holder
    reached: Callable[[str], None] = lambda place: None
    renew: Callable[[Crm, str], None] = lambda crm, object: None


MOST_FAILED_BEATS = 2
"""Heartbeats in a row that may fail before a run takes its leases for lost."""

RUNS_KEPT = timedelta(days=90)
"""How long finished runs are listed."""


class LeaseHeld(Exception):
    """Another process works on one of these accounts. Nothing was read and nothing was written by this one."""

    def __init__(self, held: HeldElsewhere) -> None:
        super().__init__(
            f"{held.name} is being worked on by process {held.pid} on {held.host}; nothing was read or written. "
            "Wait for it, or look at `mqlsync runs`"
        )


class Interrupted(Exception):
    """The run was asked to stop and did, between two batches."""


class GuardStopped(Exception):
    """What was decided is more than may happen unasked, and is now forgotten."""

    def __init__(self, findings: tuple[Finding, ...], changes: Mapping[str, Change]) -> None:
        super().__init__("; ".join(one.text for one in findings))
        self.findings = findings
        self.changes = changes


class DryRun(Exception):
    """Everything was decided and is now forgotten."""


@dataclass(slots=True, kw_only=True)
class Runner:
    """Does one run. ``stop`` is asked between pages and batches.

    rehearsed    called once everything is decided in a dry run, in the transaction that is taken back after it
    beside       a candidate that is scored beside the policy, without consequences
    asked_as_of  the instant it was asked to decide as of; None: nobody asked for one
    approval     what somebody has let through though the guard stopped it
    accept_gone  see `sync.sweep.sweep`
    """

    parts: Parts
    run_id: str
    job: str
    stages: frozenset[StageName]
    as_of: datetime
    dry_run: bool = False
    accept_gone: bool = False
    release: Callable[[], str] = lambda: ""
    only: frozenset[str] | None = None
    asked_as_of: datetime | None = None
    approval: Approval | None = None
    stop: Callable[[], bool] = lambda: False
    progress: Progress = lambda stage, done, of: None
    rehearsed: Callable[[Connection], None] = lambda tx: None
    beside: Beside | None = None
    _fences: dict[str, int] = field(default_factory=dict)
    _accounts: dict[Crm, AccountInfo] = field(default_factory=dict)
    _lost: threading.Event = field(default_factory=threading.Event)
    _elsewhere: set[RecordRef] = field(default_factory=set)
    _engine: OneAtATime = field(init=False)

    def __post_init__(self) -> None:
        self._engine = OneAtATime(self.parts.engine)

    def run(self) -> RunReport:
        """All stages. Never raises for what a CRM or a record did: the report says it, with the exit code."""
        with bound_contextvars(run=self.run_id, job=self.job):
            return self._run()

    def _run(self) -> RunReport:
        report = RunReport(run_id=self.run_id, job=self.job, as_of=self.as_of)
        log = get_logger()
        before = {crm: dict(connector.calls) for crm, connector in self.parts.connectors.items()}
        try:
            self._check(report)
            with self._leases():
                self._stages(report)
        except Interrupted:
            report.state, report.error, report.exit_code = RunState.QUEUED, "interrupted", 75
        except LeaseLost as lost:
            report.state, report.error, report.exit_code = RunState.QUEUED, str(lost), 75
        except LeaseHeld as held:
            report.state, report.error, report.exit_code = RunState.FAILED, str(held), 7
        except ConnectorError as error:
            report.state, report.error, report.exit_code = RunState.FAILED, str(error), exit_code(error)
            report.signed_out = isinstance(error, SignInRefused)
        except GuardStopped as stopped:
            report.state, report.exit_code = RunState.WAITING, 9
            report.error = self._stopped_text(report, stopped)
        except EngineFailed as broken:
            report.state, report.error, report.exit_code = RunState.FAILED, str(broken), 1
        for crm, connector in self.parts.connectors.items():
            made = {kind: n - before[crm].get(kind, 0) for kind, n in connector.calls.items()}
            report.calls[crm] = {kind: n for kind, n in made.items() if n}
            if (day := connector.day()) is not None:
                report.days[crm] = day
            if crm in self._accounts:
                report.zones[crm] = self._accounts[crm].timezone
        self._conclude(report)
        log.info("run.finished", state=report.state, exit_code=report.exit_code, error=report.error, **report.counts())
        return report

    # -- before ----------------------------------------------------------------------------------------------

    def _check(self, report: RunReport) -> None:
        """Prove the credentials, the accounts and the fields before anything is taken or changed."""
        for connector in self.parts.connectors.values():
            account = connector.check()
            self._accounts[account.crm] = account
            report.warnings += self._drift_told(connector, account)
            with self.parts.store.write() as tx:
                accounts.pin_account(tx, account, at=self.parts.now())
        if StageName.WRITE in self.stages and not self.dry_run:
            for connector in self.parts.connectors.values():
                self._check_fields(connector, report)

    def _drift_told(self, connector: Connector, account: AccountInfo) -> list[str]:
        """What of the field map this CRM does not show or offer any more, and what the connector says besides."""
        found = drifted(self.parts.policy, self.parts.fields, connector, account)
        return [*map(str, found), *(f"{account.crm}: {problem}" for problem in others_told(account, found))]

    def _check_fields(self, connector: Connector, report: RunReport) -> None:
        """A property that is not there would refuse every record: one error instead.

        One that was written once and has gone away since is a warning: what it is to say waits, the rest is written.
        """
        broken, others = self._unusable(connector)
        for name, _ in broken:
            # As an earlier run heard it, perhaps: it may be mended by now.
            self.parts.renew(connector.crm, name.partition(".")[0])
        if broken:
            broken, others = self._unusable(connector)
        names: dict[str, list[str]] = {}
        for name, why in broken:
            names.setdefault(why, []).append(name)
        problem = "; ".join(f"{', '.join(of)}: {why}" for why, of in names.items())
        if names and not others:
            raise RunCannotContinue(connector.crm, f"{problem}.", advice="Nothing was written.", credentials=True)
        warning = f"{connector.crm}: {problem}; what it is to say waits, all else is written (`mqlsync dead list`)"
        if names and warning not in report.warnings:
            report.warnings.append(warning)

    def _unusable(self, connector: Connector) -> tuple[list[tuple[str, str]], bool]:
        with self.parts.store.read() as tx:
            return once_written(tx, self.parts.policy, connector)

    @contextmanager
    def _leases(self) -> Iterator[None]:
        """Hold every account this run touches, all or none, with one heartbeat. Waits a minute for another host."""
        store, holder = self.parts.store, self.parts.holder
        with store.read() as tx:
            pinned = accounts.pinned_accounts(tx)
        names = [f"{crm}:{pinned[crm]}" for crm in self.parts.connectors] + ["decide"]
        waited = 0.0
        while True:
            with store.write() as tx:
                taken = runs.take_leases(tx, names, holder, now=self.parts.now())
            if not isinstance(taken, HeldElsewhere):
                break
            if waited >= 60 or self.stop():
                raise LeaseHeld(taken)
            self.parts.sleep(1.0)
            waited += 1.0
        self._fences = taken
        done = threading.Event()
        beat = threading.Thread(target=self._beat, args=(done,), name="heartbeat", daemon=True)
        beat.start()
        try:
            yield
        finally:
            done.set()
            beat.join()
            with store.write() as tx:
                runs.drop_leases(tx, self._fences, holder)

    def _beat(self, done: threading.Event) -> None:
        """Renew until ``done``. A lease that was taken, or a store that fails twice in a row, stops the run."""
        failed = 0
        while not done.wait(15):
            try:
                with self.parts.store.write() as tx:
                    runs.renew_leases(tx, self._fences, self.parts.holder, now=self.parts.now())
                failed = 0
            except LeaseLost as lost:
                failed = MOST_FAILED_BEATS
                get_logger().error("run.lease_lost", run=self.run_id, job=self.job, error=str(lost))
            except SQLAlchemyError as error:
                failed += 1
                kind = type(error).__name__
                get_logger().error("run.heartbeat_failed", run=self.run_id, job=self.job, error=kind, times=failed)
            if failed >= MOST_FAILED_BEATS:
                self._lost.set()
                return

    def _stopping(self) -> bool:
        return self.stop() or self._lost.is_set()

    def _go_on(self) -> None:
        if self._stopping():
            raise Interrupted

    @contextmanager
    def _deciding(self) -> Iterator[Connection]:
        """A write transaction that commits only while the leases are ours."""
        with self.parts.store.write() as tx:
            yield tx
            runs.check_leases(tx, self._fences)

    # -- stages ----------------------------------------------------------------------------------------------

    def _stages(self, report: RunReport) -> None:
        if StageName.PULL in self.stages:
            try:
                self._pull(report)
            except RunCannotContinue as error:
                if error.quota and StageName.WRITE in self.stages and not self.dry_run:
                    self._write(report)  # what waits is sent from the calls that are kept for it
                raise
        if StageName.SWEEP in self.stages and not self.dry_run:
            self._sweep(report)
        self._decide_and_write(report)
        if StageName.WRITE in self.stages and not self.dry_run:
            self._notify(report)

    def _decide_and_write(self, report: RunReport) -> None:
        for turn in range(MOST_ROUNDS):
            self._go_on()
            if self.stages & {StageName.SCORE, StageName.ASSIGN}:
                self._decide(report)
            if self.dry_run or StageName.WRITE not in self.stages:
                return
            self._go_on()
            again = self._write(report)
            if not again or self.only is not None or turn == MOST_ROUNDS - 1:
                return
            self._read_elsewhere(report)

    def _read_elsewhere(self, report: RunReport) -> None:
        """What a record has become while it was written: without it the person would be decided by the rest alone."""
        for crm, connector in self.parts.connectors.items():
            refs = sorted((ref for ref in self._elsewhere if ref.crm is crm), key=str)
            report.problems += read_whole(self._source(connector), self.parts.store, refs) if refs else []
        self._elsewhere.clear()

    def _pull(self, report: RunReport) -> None:
        self._note("pull")
        pulled = pull_side_by_side(
            [self._source(connector) for connector in self.parts.connectors.values()],
            self.parts.store,
            settle=self.parts.settings.pull.settle,
            overlap=self.parts.settings.pull.overlap,
            stop=self._stopping,
            reached=self._pulled,
        )
        for one in pulled.values():
            for stream, n in one.rows.items():
                report.pulled[stream] = report.pulled.get(stream, 0) + n
            report.problems += one.problems
            report.warnings += one.left_out
        self._note_moved(pulled)
        if any(one.interrupted for one in pulled.values()):
            raise Interrupted

    def _sweep(self, report: RunReport) -> None:
        """Compare with the CRMs. What that showed is decided in this run, or by the next one that scores."""
        self._note("sweep")
        for crm, connector in self.parts.connectors.items():
            if not crm.writable:
                continue  # a file is read whole whenever it changes
            swept = sweep(
                self._source(connector),
                self.parts.store,
                overlap=self.parts.settings.pull.overlap,
                accept_gone=self.accept_gone,
                stop=self._stopping,
                reached=self._pulled,
            )
            report.swept |= swept.found
            report.problems += swept.problems
            report.warnings += swept.warnings
            if swept.interrupted:
                raise Interrupted

    def _note_moved(self, pulled: Mapping[Crm, PullReport]) -> None:
        """Which streams of people had something new, for the guard."""
        counts = {stream: counted for one in pulled.values() for stream, counted in one.counts.items()}
        streams = [
            (crm, object, (found := counts.get(f"{crm}:{object}")) is not None and found.new + found.changed > 0)
            for crm in pulled
            for object in PEOPLE_OBJECTS.get(crm, ())
        ]
        with self.parts.store.write() as tx:
            stops.note_moved(tx, streams, at=self.parts.now())

    def _source(self, connector: Connector) -> Source:
        return Source(
            connector=connector,
            ours=self._ours(connector.crm),
            hearing=self._hearing(connector),
            mapping=self.parts.fields.reading(connector.crm),
            lacking=lacking_facts(self.parts.fields, connector.crm, self._accounts[connector.crm]),
            account=self._accounts[connector.crm],
        )

    def _pulled(self, place: str) -> None:
        self.progress(place, 0, None)
        self.parts.reached(place)

    def _ours(self, crm: Crm) -> dict[str, str]:
        """Canonical fact -> property, for facts read from properties that we also write."""
        ours: dict[str, str] = {}
        for (c, _), properties in self.parts.policy.write.properties.items():
            if c == crm and (prop := properties.get(Result.LIFECYCLE)):
                ours["person.lifecycle_stage"] = prop
        for (c, _), rule in self.parts.policy.write.lead_status.items():
            if c == crm:
                ours["person.lead_status"] = rule.property
        return ours

    def _hearing(self, connector: Connector) -> Hearing:
        """What sales and marketing say in this CRM, with the values that fields.yaml names and nobody can choose."""
        crm = connector.crm
        rule = self.parts.fields.sales_states.get(crm)
        gone: dict[str, tuple[str, ...]] = {}
        for object in PEOPLE_OBJECTS[crm] if rule is not None else ():
            if rule is not None and unchoosable(connector, object, rule):
                # Described yesterday, perhaps: the value may have been made since.
                self.parts.renew(crm, object)
                gone[object] = unchoosable(connector, object, rule)
        return Hearing(sales=rule, review=self.parts.fields.reviews.get(crm), gone=gone)

    def _decide(self, report: RunReport) -> None:
        """Resolve, gather, score, then one transaction of decisions."""
        parts = self.parts
        self._note("score")
        with self._deciding() as tx:
            found = people.resolve_touched(tx, at=parts.now())
            decisions.mark_due(tx, self.as_of)
            reviews.tell_answers(tx, parts.fields.reviews)
        get_logger().info("resolve.people_found", **asdict(found))
        parts.reached("resolve:done")
        snapshot = Snapshot.of(parts.store)
        refreshed = snapshot.refresh(
            parts.store,
            timezone=parts.policy.timezone,
            prefer=parts.fields.prefer,
            seniority=parts.policy.seniority,
            custom=parts.policy.custom,
            free_mail=parts.policy.free_mail,
        )
        self._tell_unreadable(refreshed, report)
        parts.reached("gather:done")
        day = self.as_of.astimezone(ZoneInfo(parts.policy.timezone)).date()
        scorecards = Scorecards(folder=parts.store.folder / "cards")
        asked = self._asked(day)
        with parts.store.read() as tx:
            last = decisions.everybody_asked(tx)
        whole = last.decided != asked.decided
        whole |= not scorecards.whole(parts.policy.scoring_hash, day, refreshed.buckets)
        try:
            with closing(self._score(scorecards, refreshed, day, whole=whole)) as scored, self._deciding() as tx:
                decider = self._decider(tx, refreshed, day)
                first = last.decided is None
                decider.guarded = self._guarded(first)
                if whole and last.planned == asked.planned:
                    decider.quiet = QuietPeople(policy=parts.policy)
                decided = decider.decide(tx, scored)
                people.settle_dirty(tx, refreshed.dirty)
                if whole:
                    decisions.note_everybody_asked(tx, asked)
                self._judge(tx, report, decided, first=first, whole=whole)
                _add(report.decided, decided)
                if self.dry_run:
                    self.rehearsed(tx)
                    raise DryRun
        except DryRun:
            return
        except GuardStopped as stopped:
            parts.reached("decide:stopped")
            self._keep_stop(stopped)
            raise
        if self.beside is not None:
            self.beside.finished = True
        parts.reached("decide:done")

    # -- guard -----------------------------------------------------------------------------------------------

    def _guarded(self, first: bool) -> bool:
        """A first run of the CRMs of this machine is somebody trying things."""
        settings = self.parts.settings
        return settings.guard is not None and not (first and settings.on_loopback)

    def _judge(self, tx: Connection, report: RunReport, decided: Decided, *, first: bool, whole: bool) -> None:
        """Raises `GuardStopped` for more than may happen unasked: what earlier rounds did counts too."""
        guard, now = self.parts.settings.guard, self.parts.now()
        approval = self._approval(decided)
        if guard is not None and self._guarded(first):
            changes = {**report.decided.moves, **decided.moves}
            report.findings = judge(
                guard,
                changes,
                people=lambda: people.count(tx),
                intake=stops.intake(tx),
                first=first,
                now=now,
                approval=approval,
            )
            if report.findings and not self.dry_run:
                raise GuardStopped(report.findings, changes)
        stops.note_passed(tx, self.run_id, approval)
        if guard is not None:
            stops.note_people(tx, counted=whole, at=now)

    def _approval(self, decided: Decided) -> Approval | None:
        """Somebody's yes: to a run that was stopped, or to the rows of a kept plan."""
        if self.only is None:
            return self.approval
        others = {person_id for person_id, write in decided.changes if write.key not in self.only}
        return Approval(people=decided.moves.keys() - others)

    def _keep_stop(self, stopped: GuardStopped) -> None:
        """Nothing was decided; what would have been waits for a yes."""
        with self._deciding() as tx:
            stops.save(
                tx,
                run_id=self.run_id,
                job=self.job,
                at=self.parts.now(),
                as_of=self.asked_as_of,
                policy_version=self.parts.policy.version,
                findings=stopped.findings,
                changes=to_bytes(stopped.changes),
            )

    def _stopped_text(self, report: RunReport, stopped: GuardStopped) -> str:
        again = self.approval is not None
        return stopped_text(stopped.findings, run_id=self.run_id, job=self.job, written=report.writes, again=again)

    # -- deciding --------------------------------------------------------------------------------------------

    def _tell_unreadable(self, refreshed: SnapshotReport, report: RunReport) -> None:
        """Values that say something, but not what their fact can hold, count as missing and are listed once."""
        found = [RecordProblem(ref=p.ref, field=p.fact, reason=p.reason) for p in refreshed.problems]
        if not found or self.dry_run:
            return
        with self._deciding() as tx:
            report.problems += note_problems(tx, found, known_problems(tx), at=self.parts.now())

    def _asked(self, day: date) -> Asked:
        """What everybody is decided by, once they are: the rules that can move anybody's values, and the day.

        Not the team: who is assigned stays so, and a changed team must not put everybody through.
        """
        policy = self.parts.policy
        told = content_hash(policy.write, self.parts.settings.owner_authority, *_nurtured(policy))
        shown = any(Result.VERSION in properties for properties in policy.write.properties.values())
        return Asked(
            decided=content_hash(policy.scoring_hash, told, day.isoformat()),
            planned=content_hash(told, policy.version) if shown else told,
        )

    def _score(
        self, scorecards: Scorecards, refreshed: SnapshotReport, day: date, *, whole: bool
    ) -> Generator[pa.Table]:
        """Everybody once a day and whenever the rules change, else whoever is dirty. A dry run keeps no scorecards."""
        policy = self.parts.policy

        def asked(numbers: tuple[int, ...]) -> frozenset[str] | None:
            return None if whole else frozenset().union(*map(refreshed.dirty_in, numbers))

        def score(numbers: tuple[int, ...]) -> pa.Table:
            # In the order of buckets, so that a part of them is in few.
            bucket = refreshed.together(numbers)
            return self._engine.score(policy, bucket, day, only=asked(numbers)).sort_by("person_id")

        for numbers, table in ahead(score, refreshed.groups(everybody=whole, most=SCORED_TOGETHER)):
            self._go_on()
            if not self.dry_run:
                for number, some in refreshed.apart(table, numbers):
                    scorecards.save(some, version=policy.scoring_hash, day=day, bucket=number, whole=whole)
            self.parts.reached("score:bucket")
            if self.beside is not None:
                judge = partial(self._judged, refreshed, day)
                self.beside.compare(table, refreshed.together(numbers), day, only=asked(numbers), judge=judge)
            yield table

    def _judged(
        self, refreshed: SnapshotReport, day: date, policy: Policy, cards: Sequence[Scorecard]
    ) -> Iterator[tuple[PersonState, Decision]]:
        """What a policy would decide of people as they were before this run."""
        with self.parts.store.read() as tx:
            yield from self._decider(tx, refreshed, day, policy).judged(tx, cards)

    def _decider(self, tx: Connection, refreshed: SnapshotReport, day: date, policy: Policy | None = None) -> Decider:
        parts = self.parts
        policy = policy or parts.policy
        routed_by = facts_read(policy.routing)
        return Decider(
            policy=policy,
            directory=self._directory(tx),
            authority=parts.settings.owner_authority,
            as_of=self.as_of,
            run_id=self.run_id,
            release=self.release(),
            facts=lambda ids: refreshed.facts(ids, routed_by),
            ledger=None if self.dry_run else lambda ids: self._ledgers(refreshed, day, ids),
            dropping=lambda on, ids: self._dropping(refreshed, policy, on, ids),
            fresh=lambda since: self._fresh(refreshed, policy, day, since),
            happened=lambda ids: _happened(refreshed, ids),
            stirred=refreshed.dirty,
            assigning=StageName.ASSIGN in self.stages,
            matching=parts.settings.account_matching,
            listing=self.dry_run or self.only is not None,
            reviews=parts.fields.reviews,
            rehearsing=self.dry_run,
            fights=parts.settings.fights,
        )

    def _directory(self, tx: Connection) -> OwnerDirectory:
        return owner_directory(tx, self.parts)

    def _ledgers(self, refreshed: SnapshotReport, day: date, ids: Sequence[str]) -> dict[str, Any]:
        """The full arithmetic of each of these people, as JSON."""
        if not ids:
            return {}
        bucket = refreshed.together(refreshed.by_bucket(ids))
        ledgers = self._engine.ledgers(self.parts.policy, bucket, day, ids)
        return {person_id: ledger.to_json() for person_id, ledger in ledgers.items()}

    def _dropping(self, refreshed: SnapshotReport, policy: Policy, day: date, ids: Sequence[str]) -> frozenset[str]:
        """For whom of these people `Stay.drop_when` was true on a day without a run, by the facts of now."""
        bucket = refreshed.together(refreshed.by_bucket(ids))
        table = self._engine.score(policy, bucket, day, only=frozenset(ids))
        return frozenset(table["person_id"].filter(table["drop"]).to_pylist())

    def _fresh(
        self, refreshed: SnapshotReport, policy: Policy, day: date, since: Mapping[str, datetime]
    ) -> Mapping[str, Fresh]:
        bucket = refreshed.together(refreshed.by_bucket(since))
        return self._engine.fresh(policy, bucket, day, since)

    # -- write -----------------------------------------------------------------------------------------------

    def _write(self, report: RunReport) -> bool:
        """Send what waits. True when writing showed something that has to be decided again."""
        self._note("write")
        with self._deciding() as tx:
            if self.only is None:
                outbox.release_dead(tx, release=self.release(), now=self.parts.now())
            sending = outbox.counts(tx)["pending"]
        if sending:
            # Known since yesterday, perhaps; a property that went away would refuse every record.
            for crm, object in self.parts.policy.write.properties:
                self.parts.renew(Crm(crm), object)
            for connector in self.parts.connectors.values():
                self._check_fields(connector, report)
        sent = 0

        def done(crm: Crm, rows: int) -> None:
            nonlocal sent
            sent += rows
            self.progress(f"write {crm}", sent, sending)

        written = self._writer().write(done)
        for crm, one in written.items():
            report.written[crm] = _sum(report.written.get(crm), one)
        for one in written.values():
            if one.failure is not None:
                raise one.failure
        self._go_on()
        with self.parts.store.read() as tx:
            return people.any_touched(tx)

    def _writer(self) -> Writer:
        parts = self.parts
        return Writer(
            store=parts.store,
            connectors={crm: one for crm, one in parts.connectors.items() if crm.writable},
            results=_results(parts.policy, parts.fields),
            human_edit_wins=parts.policy.write.human_edit_wins,
            release=self.release(),
            readback_after=parts.settings.readback_after,
            now=parts.now,
            sleep=parts.sleep,
            stop=self._stopping,
            reached=parts.reached,
            fence=lambda: self._fences.get("decide", 0),
            adopt=self._adopt,
            moved=self._moved,
            batch=parts.new_id,
            only=self.only,
            check=lambda tx: runs.check_leases(tx, self._fences),
            leads=leading(parts.settings.owner_authority, parts.connectors),
            fights=parts.settings.fights,
        )

    def _adopt(self, tx: Connection, person_id: str, conflict: Conflict) -> bool:
        """Somebody changed the owner between our read and our write: theirs is the assignment."""
        people_found = decisions.load_people(tx, [person_id])
        if person_id not in people_found:
            return False
        decider = Decider(
            policy=self.parts.policy,
            directory=self._directory(tx),
            authority=self.parts.settings.owner_authority,
            as_of=self.as_of,
            run_id=self.run_id,
            release=self.release(),
            facts=lambda ids: {},
            ledger=lambda ids: {},
        )
        taken = decider.adopt(tx, people_found[person_id], conflict)
        if taken:
            decisions.mark_dirty(tx, person_id, "owner")
        return taken

    def _moved(self, tx: Connection, ref: RecordRef, to: RecordRef | None, reason: str) -> None:
        records.mark_moved(tx, ref, to, reason=reason, at=self.parts.now())
        if to is not None:
            self._elsewhere.add(to)

    # -- notify ----------------------------------------------------------------------------------------------

    def _notify(self, report: RunReport) -> None:
        """Tell people of what the CRMs have confirmed. What cannot be told waits; the run is no worse for it."""
        parts = self.parts
        if parts.settings.notify is None:
            return
        self._note("notify")
        told = Teller(
            store=parts.store,
            notify=parts.settings.notify,
            now=parts.now,
            check=lambda tx: runs.check_leases(tx, self._fences),
            reached=parts.reached,
            stop=self._stopping,
        ).tell(as_of=self.as_of)
        report.told += told.sent
        report.warnings += told.problems

    # -- after -----------------------------------------------------------------------------------------------

    def _note(self, stage: str) -> None:
        """Say where the run is: in the log, on the terminal, in its row."""
        get_logger().info("run.stage_began", stage=stage)
        self.progress(stage, 0, None)
        with self.parts.store.write() as tx:
            runs.note(tx, self.run_id, stage=stage)

    def _conclude(self, report: RunReport) -> None:
        """Newly refused records make a run partial; parked ones that were known do not. Old history is let go."""
        with self.parts.store.write() as tx:
            runs.forget_before(tx, self.parts.now() - RUNS_KEPT)
        Scorecards(folder=self.parts.store.folder / "cards").forget(before=self.as_of.date() - KEPT)
        if report.exit_code == 0 and (report.problems or any(w.rejected_new for w in report.written.values())):
            report.state, report.exit_code = RunState.PARTIAL, 5


def exit_code(error: ConnectorError) -> int:
    """What the command line answers when this stopped it (operations: 4 credentials, 6 quota, 1 else)."""
    match error:
        case RunCannotContinue(credentials=True):
            return 4
        case RunCannotContinue(quota=True) | RetryLater(status=429):
            return 6
        case _:
            return 1


def owner_directory(tx: Connection, parts: Parts) -> OwnerDirectory:
    """Who can own what, as the CRMs said at the last pull."""
    crms = parts.settings.crms
    return OwnerDirectory(
        owners=accounts.load_owners(tx),
        team=parts.policy.team,
        crms=crms,
        takes=takers(parts.policy.write, deciding(parts.settings.owner_authority, crms)),
    )


def leading(authority: OwnerAuthority, crms: Collection[Crm]) -> Crm | None:
    """The CRM whose owners the other one follows; None where neither does."""
    first = {OwnerAuthority.HUBSPOT: Crm.HUBSPOT, OwnerAuthority.SALESFORCE: Crm.SALESFORCE}.get(authority)
    return first if len(crms) > 1 else None


def deciding(authority: OwnerAuthority, crms: Sequence[Crm]) -> tuple[Crm, ...]:
    """The connected CRMs that have a say in who owns a person, the weightier first."""
    order = {
        OwnerAuthority.HUBSPOT: (Crm.HUBSPOT,),
        OwnerAuthority.SALESFORCE: (Crm.SALESFORCE,),
        OwnerAuthority.BOTH: (Crm.SALESFORCE, Crm.HUBSPOT),
    }[authority]
    return tuple(crm for crm in order if crm in crms)


def unchoosable(connector: Connector, object: str, rule: SalesState) -> tuple[str, ...]:
    """The values of a sales state that an object's picklist does not offer; none where it has no such picklist."""
    there = connector.describe(object).get(rule.property)
    return () if there is None or there.options is None else not_offered(rule, there.options)


def _results(policy: Policy, fields: FieldsFile) -> dict[tuple[Crm, str], dict[str, Result]]:
    """(CRM, object) -> property -> the result it holds."""
    results: dict[tuple[Crm, str], dict[str, Result]] = {}
    for (crm, object), properties in policy.write.properties.items():
        results[Crm(crm), object] = {prop: result for result, prop in properties.items()}
    for (crm, object), rule in policy.write.lead_status.items():
        results.setdefault((Crm(crm), object), {})[rule.property] = Result.LEAD_STATUS
    for (crm, object), prop in fields.answers().items():
        results.setdefault((Crm(crm), object), {})[prop] = Result.REVIEW
    return results


def _nurtured(policy: Policy) -> tuple[Any, ...]:
    """What tracks and rests follow from, where a CRM is told of them."""
    written = {result for properties in policy.write.properties.values() for result in properties}
    return (policy.nurture, policy.recycle, policy.review) if written & {Result.NURTURE, Result.PAUSED} else ()


def _happened(refreshed: SnapshotReport, person_ids: Collection[str]) -> dict[str, tuple[Happened, ...]]:
    """The events of people by which sales can have touched them."""
    return {
        person_id: tuple(
            Happened(kind=row["kind"], at=row["at"], timed=row["timed"], direction=row["direction"]) for row in rows
        )
        for person_id, rows in refreshed.events(person_ids, TOUCHES).items()
    }


def _add(total: Decided, one: Decided) -> None:
    """A later round of one run: its figures are added, its statuses are the newest."""
    if not total.people:
        total.people, total.statuses = one.people, dict(one.statuses)
    for name in ("queued", "tasks", "conflicts", "tampered", "notices"):
        setattr(total, name, getattr(total, name) + getattr(one, name))
    for name in ("opened", "assigned", "changes", "planned_tasks", "fights"):
        getattr(total, name).extend(getattr(one, name))
    total.moves |= one.moves


def _sum(before: WriteReport | None, one: WriteReport) -> WriteReport:
    if before is None:
        return one
    for name in (
        "written",
        "found_done",
        "tasks",
        "rejected_new",
        "rejected_known",
        "redirected",
        "unanswered",
        "conflicts",
        "tampered",
    ):
        setattr(one, name, getattr(before, name) + getattr(one, name))
    one.rejections[:0] = before.rejections
    one.fights[:0] = before.fights
    return one
