"""One transaction in which people are qualified, assigned and planned.

Nothing here talks to a CRM. Either all of a run's decisions, assignments and queued writes become durable together, or
none does, so a crash or a repeat draws no rep twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from sqlalchemy import Connection

from connectors.records import Crm, RecordRef
from scoring.cards import Fresh, Scorecard, cards
from scoring.episodes import Decision, History, Seen, Status
from scoring.facts import LIFECYCLE_STAGES
from scoring.nurture import lacking
from scoring.policy import Policy, Result
from scoring.qualify import qualify
from scoring.sla import Happened
from sync import notices
from sync.account_match import AccountMatching
from sync.assign import Assigned
from sync.fights import Fight, FightRule
from sync.follow_up import FollowUp, about
from sync.guard import Change
from sync.heard import Heard, owners_told, tasks_of_suppressed
from sync.life import assigned, episodes_after, history_of, missed_days, opened, rejected_at
from sync.mapping import ReviewAnswer
from sync.notices import Notice
from sync.owners import OwnerDirectory
from sync.plan import Conflict, PlannedTask, PlannedWrite, RecordPlan
from sync.quiet import QuietPeople, note_drifted, note_scored
from sync.routing import Routing
from sync.settings import OwnerAuthority
from sync.store import decisions, fights, outbox
from sync.store import notices as notice_store
from sync.store import routing as routing_store
from sync.store.decisions import AssignmentRow, EpisodeRow, PersonState
from sync.wanted import Wanted

__all__ = ["Decided", "Decider"]

_Wanting = tuple[str, RecordRef, Mapping[str, str | None]]

PART = 2000
"""People whose state is in memory at once."""


@dataclass(slots=True)
class Decided:
    """What a run decided. ``opened``: the new episodes; ``changes``: what a plan queued, for showing it.

    moves  by person, what a guard judges; empty where none does
    """

    people: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    opened: list[EpisodeRow] = field(default_factory=list)
    assigned: list[AssignmentRow] = field(default_factory=list)
    queued: int = 0
    tasks: int = 0
    conflicts: int = 0
    tampered: int = 0
    notices: int = 0
    fights: list[Fight] = field(default_factory=list)
    changes: list[tuple[str, PlannedWrite]] = field(default_factory=list)
    planned_tasks: list[tuple[str, PlannedTask]] = field(default_factory=list)
    moves: dict[str, Change] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """By person: days without a run, each with whether `Stay.drop_when` was true; what came after the newest no."""

    missed: Mapping[str, tuple[tuple[date, bool], ...]]
    fresh: Mapping[str, Fresh]


@dataclass(slots=True, kw_only=True)
class Decider:
    """What decisions depend on, and nothing else: no clock but ``as_of``, no chance.

    ledger  (person ids) -> the ledger of each as JSON, for people whose decision is stored in full; None: none is kept
    facts   (person ids) -> the facts of each in stored form, for routing
    dropping (day, person ids) -> for whom of them `Stay.drop_when` was true on that day
    fresh   person id -> instant: what each person's later events alone come to
    happened (person ids) -> the events of each that can be a touch
    stirred people of whom something is new in this run
    matching how the account of a person is found whom no CRM has linked to one
    listing keep every planned write in `Decided.changes`; a run that shows nobody what it queues need not hold them all
    quiet   finds who stays as they are; None: everybody is decided in full
    reviews where a review is answered in a CRM: an answer that was heard is cleared
    guarded `Decided.moves` is kept
    rehearsing everything will be taken back: what the CRMs are to be told is counted, but not queued
    """

    policy: Policy
    directory: OwnerDirectory
    authority: OwnerAuthority
    as_of: datetime
    run_id: str
    release: str
    facts: Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]]]
    ledger: Callable[[Sequence[str]], Mapping[str, Any]] | None
    dropping: Callable[[date, Sequence[str]], Collection[str]] = lambda day, ids: ()
    fresh: Callable[[Mapping[str, datetime]], Mapping[str, Fresh]] = lambda since: {}
    happened: Callable[[Collection[str]], Mapping[str, Sequence[Happened]]] = lambda ids: {}
    stirred: frozenset[str] = frozenset()
    assigning: bool = True
    matching: AccountMatching = field(default_factory=AccountMatching)
    listing: bool = True
    quiet: QuietPeople | None = None
    reviews: Mapping[Crm, ReviewAnswer] = field(default_factory=dict)
    guarded: bool = False
    rehearsing: bool = False
    fights: FightRule = field(default_factory=FightRule)
    decided: Decided = field(default_factory=Decided)
    _waiting: dict[str, Status] = field(default_factory=dict)
    _known: dict[str, PersonState] = field(default_factory=dict)
    _wanted: Wanted = field(init=False)

    def __post_init__(self) -> None:
        # The store gives every time back in UTC: whoever is not loaded again must not show another one.
        self.as_of = self.as_of.astimezone(UTC)
        self._wanted = Wanted(
            policy=self.policy,
            directory=self.directory,
            authority=self.authority,
            as_of=self.as_of,
            reviews=self.reviews,
        )

    def decide(self, tx: Connection, scored: Iterable[pa.Table]) -> Decided:
        """Qualify everybody in the scorecards, give new MQLs an owner, and queue what the CRMs must be told.

        Each table is in the order of person ids.
        """
        waiting: list[str] = []
        for table in scored:
            if table.num_rows and self.quiet is not None:
                table = self._leave_quiet(tx, table, self.quiet)
            for part in _in_parts(cards(table)):
                waiting += self._qualify(tx, part)
        if self.assigning:
            self._assign(tx)
            self._sla(tx)
            # An episode that a run without `assign` opened: its person need not be among the cards.
            seen = set(waiting)
            waiting += [row.person_id for row in self.decided.assigned if row.person_id not in seen]
        for start in range(0, len(waiting), PART):
            some = waiting[start : start + PART]
            self._plan(tx, self._people(tx, some).values())
            for person_id in some:
                self._known.pop(person_id, None)
        return self.decided

    def _people(self, tx: Connection, person_ids: Sequence[str]) -> dict[str, PersonState]:
        """These people as the store has them, in this order; loaded where what was done to them is not `_known`."""
        found = decisions.load_people(tx, [person_id for person_id in person_ids if person_id not in self._known])
        known = {person_id: self._known.get(person_id) or found.get(person_id) for person_id in person_ids}
        return {person_id: person for person_id, person in known.items() if person is not None}

    # -- qualify ---------------------------------------------------------------------------------------------

    def _leave_quiet(self, tx: Connection, table: pa.Table, people: QuietPeople) -> pa.Table:
        """Counts who stays as they are. Returns the scorecards of everybody else."""
        found = people.among(tx, table)
        note_drifted(tx, found)
        if not self.rehearsing:
            # Nobody asks for the day again before all this is taken back.
            note_scored(tx, found, day=self._day(), version=self.policy.version)
        self.decided.people += len(found.ids)
        for status, n in found.statuses.items():
            self._count(Status(status), n)
        return found.rest

    def _day(self) -> str:
        return self.as_of.astimezone(ZoneInfo(self.policy.timezone)).date().isoformat()

    def _qualify(self, tx: Connection, cards: Sequence[Scorecard]) -> list[str]:
        """Qualify a part and plan for whoever needs no rep. Returns the others, to be planned after `_assign`."""
        episodes: list[EpisodeRow] = []
        rows: list[dict[str, Any]] = []
        told: list[tuple[PersonState, Scorecard, Decision]] = []
        complete: list[PersonState] = []
        waiting: list[str] = []
        heard: list[Heard] = []
        for card, (person, decision) in zip(cards, self.judged(tx, cards), strict=True):
            changed = episodes_after(person, card, decision, policy=self.policy, as_of=self.as_of, run_id=self.run_id)
            episodes += changed
            if decision.opens is not None:
                self.decided.opened.append(changed[-1])
            self._note_status(person, decision)
            row = self._person_row(person, card, decision)
            if row is not None:
                rows.append(row)
            if decision.status != person.status or decision.opens is not None or decision.closes is not None:
                told.append((person, card, decision))
            if card.suppressed is not None or (person.open_episode is not None and person.dirty is not None):
                heard.append(Heard(person=person, card=card, decision=decision))
            self._count(decision.status, 1)
            if decision.opens is not None or person.open_episode is not None:
                self._waiting[person.person_id] = decision.status
            self._note_opened(person, changed, row)
            moved = decision.opens is not None or decision.closes is not None
            if moved or (person.open_episode is not None and person.assignment is None):
                waiting.append(person.person_id)
            else:
                complete.append(person if row is None else replace(person, **row))
        self.decided.people += len(cards)
        decisions.save_episodes(tx, episodes)
        decisions.save_people(tx, rows)
        outbox.release_held(tx, [p.person_id for p, _, decision in told if decision.opens is not None], at=self.as_of)
        self._save_ledgers(tx, told)
        self._tell(tx, heard)
        self._plan(tx, complete)
        return waiting

    def _note_opened(self, person: PersonState, changed: Sequence[EpisodeRow], row: Mapping[str, Any] | None) -> None:
        """Keeps whoever has become an MQL until they are planned, unless more than that becomes of them."""
        held = any(target.state.held for target in person.targets)
        if len(changed) == 1 and changed[0].n > person.episodes and not held:
            self._known[person.person_id] = opened(person, changed[0], row or {})

    def _note_status(self, person: PersonState, decision: Decision) -> None:
        if not self.guarded or decision.status == person.status:
            return
        adopted = decision.opens is not None and decision.opens.adopted
        self.decided.moves[person.person_id] = Change(
            status=decision.status,
            known=person.status is not None,
            mql=decision.status is Status.MQL and not adopted,
        )

    def judged(self, tx: Connection, cards: Sequence[Scorecard]) -> Iterator[tuple[PersonState, Decision]]:
        """What the policy makes of each of these people, as the store has them. Nothing is stored."""
        people = decisions.load_people(tx, [card.person_id for card in cards])
        beside = self._look_beside(people.values())
        for card in cards:
            person = people[card.person_id]
            seen = self._seen(person, beside)
            decision = qualify(card, self._history(person), seen, policy=self.policy, as_of=self.as_of)
            if person.ambiguous and decision.opens is not None:
                # Nobody knows yet which records this person is: an episode has to wait until that is settled.
                decision = replace(decision, status=Status(person.status or Status.NOT_YET), reason=None, opens=None)
            yield person, decision

    def _count(self, status: Status, n: int) -> None:
        self.decided.statuses[status] = self.decided.statuses.get(status, 0) + n
        if not self.decided.statuses[status]:
            del self.decided.statuses[status]

    def _history(self, person: PersonState) -> History:
        # An adopted episode has no assignment of ours: whoever the CRMs name is its owner.
        adopted = person.open_episode is not None and person.open_episode.adopted
        owner = person.assignment.owner_key if person.assignment else None
        return history_of(person, self.owner_there(person) if adopted else owner)

    def _seen(self, person: PersonState, beside: _Beside) -> Seen:
        return Seen(
            crm_status=self._status_in_crms(person),
            lifecycle_stage=_lifecycle(person),
            converted=any(t.facts.get("person.converted") is True for t in person.targets),
            owner_known=self.owner_there(person) is not None,
            sales=person.sales,
            verdict=person.verdict,
            fresh=beside.fresh.get(person.person_id),
            missed=beside.missed.get(person.person_id, ()),
        )

    def _look_beside(self, people: Iterable[PersonState]) -> _Beside:
        """Further scores that some people's decisions ask for: of days without a run, of what came after a no."""
        today = date.fromisoformat(self._day())
        since: dict[str, datetime] = {}
        asked: dict[date, list[str]] = {}
        for person in people:
            if person.open_episode is not None:
                for day in missed_days(person, today) if self.policy.stay is not None else ():
                    asked.setdefault(day, []).append(person.person_id)
            elif self.policy.recycle is not None and (rejected := rejected_at(person)) is not None:
                since[person.person_id] = rejected
        missed: dict[str, tuple[tuple[date, bool], ...]] = {}
        for day, ids in sorted(asked.items()):
            true = self.dropping(day, ids)
            for person_id in ids:
                missed[person_id] = (*missed.get(person_id, ()), (day, person_id in true))
        return _Beside(missed=missed, fresh=self.fresh(since) if since else {})

    def _person_row(self, person: PersonState, card: Scorecard, decision: Decision) -> dict[str, Any] | None:
        row = {
            "person_id": person.person_id,
            "status": decision.status,
            "status_since": person.status_since if decision.status == person.status else self.as_of,
            "fit": card.fit,
            "engagement": card.engagement,
            "total": card.total,
            "grade": card.grade,
            "model": card.model,
            "reason": decision.reason,
            "missing": self._lacking(card, decision),
            "scored_day": self._day(),
            "policy_version": self.policy.version,
            "dirty": None,
        }
        return row if any(getattr(person, name) != value for name, value in row.items()) else None

    def _lacking(self, card: Scorecard, decision: Decision) -> str | None:
        """Only where some CRM is told: finding the words costs more than the decision."""
        told = any(Result.MISSING in properties for properties in self.policy.write.properties.values())
        return lacking(self.policy, card, decision.status) if told else None

    def _status_in_crms(self, person: PersonState) -> str | None:
        """The status text the CRMs show, when mqlsync has not written any yet."""
        for target in person.targets:
            prop = self._wanted.properties(target.state.ref).get(Result.STATUS)
            if prop is not None and prop not in target.state.acked and target.state.current.get(prop):
                return target.state.current[prop]
        return None

    def _save_ledgers(self, tx: Connection, told: Sequence[tuple[PersonState, Scorecard, Decision]]) -> None:
        """The full arithmetic is kept for people whose status or episode changed, and for whom it matters."""
        if self.ledger is None:
            return
        kept = [t for t in told if t[2].opens is not None or t[2].closes is not None or t[0].status is not None]
        ledgers = self.ledger([person.person_id for person, _, _ in kept])
        decisions.save_decisions(
            tx,
            [
                {
                    "person_id": person.person_id,
                    "run_id": self.run_id,
                    "as_of": self.as_of,
                    "policy_version": self.policy.version,
                    "body": {
                        "before": person.status,
                        "decision": decision.to_json(),
                        "ledger": ledgers[person.person_id],
                    },
                }
                for person, _, decision in kept
            ],
        )

    # -- assign ----------------------------------------------------------------------------------------------

    def _assign(self, tx: Connection) -> None:
        """Every open episode of ours without an owner gets one; best people first, all in this transaction."""
        waiting = decisions.unassigned(tx)
        people = self._people(tx, waiting)
        rows: list[AssignmentRow] = []
        for_routing: list[PersonState] = []
        for person in people.values():
            if person.ambiguous or not person.targets:
                continue
            kept = next((key for key in self._wanted.owners_there(person) if not self.directory.has_left(key)), None)
            if kept is not None:
                why = "owner at work" if kept.startswith("rep:") else "owner in the CRM"
                rows.append(self._row(person, kept, why=why, trace={"kept": kept}))
            else:
                for_routing.append(person)
        rows += self._route(tx, for_routing)
        decisions.save_assignments(tx, rows)
        routing_store.forget_waits(tx)
        decisions.note_assigned(tx, rows, at=self.as_of)
        decisions.set_status(tx, sorted(row.person_id for row in rows), Status.ASSIGNED, since=self.as_of)
        for row in rows:
            self._known[row.person_id] = assigned(people[row.person_id], row, status=Status.ASSIGNED, at=self.as_of)
            if (before := self._waiting.pop(row.person_id, None)) is not None:
                self._count(before, -1)
                self._count(Status.ASSIGNED, 1)
        self.decided.assigned += rows
        self._notify(tx, self._told_of(people, rows, notices.assigned))

    # -- follow up -------------------------------------------------------------------------------------------

    def _sla(self, tx: Connection) -> None:
        """Who was not followed up: reminded, given to another one, or reported; each step once."""
        self._notify(tx, FollowUp(desk=self, events=self.happened, stirred=self.stirred).follow_up(tx))

    def _notify(self, tx: Connection, told: Iterable[Notice]) -> None:
        self.decided.notices += notice_store.put(tx, told, at=self.as_of)

    def _told_of(
        self,
        people: Mapping[str, PersonState],
        rows: Iterable[AssignmentRow],
        words: Callable[..., Notice],
        **more: str,
    ) -> Iterator[Notice]:
        """A notice to whoever got somebody; a queue is told by its alarm."""
        for row in rows:
            if (email := self.directory.email_of(row.owner_key)) is not None:
                yield words(about(people[row.person_id]), row.step, to=email, **more)

    def _tell(self, tx: Connection, heard: Sequence[Heard]) -> None:
        """Whoever has to know of these people hears of them, each once."""
        self._notify(tx, owners_told(tx, heard, self))
        tasks = tasks_of_suppressed(heard, self)
        self._count_tasks(tx, tasks)
        self.decided.planned_tasks += tasks if self.listing else []

    def owner_is_held(self, person: PersonState) -> bool:
        """Whether somebody has taken the owner of a record of theirs out of our hands."""
        return any(self._wanted.properties(t.state.ref).get(Result.OWNER) in t.state.held for t in person.targets)

    # -- owners ----------------------------------------------------------------------------------------------

    def owner_there(self, person: PersonState) -> str | None:
        """The owner the person has in the CRM that decides on owners, as an owner key; None when that is nobody."""
        return next(self._wanted.owners_there(person), None)

    def _route(self, tx: Connection, people: Sequence[PersonState]) -> list[AssignmentRow]:
        """Whoever has to wait for a rep stays an MQL without one and is routed again by the next run."""
        routed = self.routing().route(tx, people)
        routing_store.save_waits(tx, routed.waiting)
        by_id = {person.person_id: person for person in people}
        return [self.row_of(by_id[one.person_id], one) for one in routed.assigned]

    def routing(self) -> Routing:
        """Who gets a person, as this run decides it."""
        return Routing(
            policy=self.policy,
            directory=self.directory,
            order=self._wanted.owner_order,
            as_of=self.as_of,
            owner_there=self.owner_there,
            facts=self.facts,
            matching=self.matching,
        )

    def reassign(self, tx: Connection, rows: Sequence[AssignmentRow]) -> None:
        """Give people who have an owner to another one: store it, and queue what the CRMs must be told."""
        decisions.save_assignments(tx, rows)
        self.decided.assigned += rows
        for row in rows:
            self._known.pop(row.person_id, None)
        people = decisions.load_people(tx, [row.person_id for row in rows])
        for row in rows:
            before = self.directory.name_of((row.trace.get("again") or {}).get("before") or row.owner_key)
            self._notify(tx, self._told_of(people, [row], notices.reassigned, before=before))
        self._plan(tx, people.values())

    def row_of(self, person: PersonState, one: Assigned, *, again: str | None = None) -> AssignmentRow:
        """``again``: why somebody who has an owner is given to another one."""
        trace = one.trace
        if again is not None and person.assignment is not None:
            trace = {**trace, "again": {"why": again, "before": person.assignment.owner_key}}
        return self._row(person, one.owner_key, why=one.why, pool=one.pool, trace=trace)

    def _row(
        self, person: PersonState, owner_key: str, *, why: str, trace: Mapping[str, Any], pool: str | None = None
    ) -> AssignmentRow:
        assert person.open_episode is not None
        return AssignmentRow(
            person_id=person.person_id,
            n=person.open_episode.n,
            step=person.assignment.step + 1 if person.assignment is not None else 1,
            owner_key=owner_key,
            why=why,
            pool=pool,
            trace=trace,
            decided_at=self.as_of,
            policy_version=self.policy.version,
        )

    # -- plan ------------------------------------------------------------------------------------------------

    def _plan(self, tx: Connection, people: Iterable[PersonState]) -> None:
        writes: list[tuple[str, PlannedWrite]] = []
        settled: list[RecordRef] = []
        adopted: dict[RecordRef, Mapping[str, str | None]] = {}
        wanted: list[_Wanting] = []
        tasks: list[tuple[PersonState, PlannedTask]] = []
        for person in people:
            for plan in self._plan_person(tx, person):
                wanted.append((person.person_id, plan.ref, plan.desired))
                adopted[plan.ref] = plan.adopted
                if plan.write is None:
                    settled.append(plan.ref)
                else:
                    writes.append((person.person_id, plan.write))
                    self._note_owner(person, plan.write)
            task = self._wanted.task(person)
            if task is not None:
                tasks.append((person, task))
        outbox.acknowledge(tx, adopted, at=self.as_of)
        outbox.drop_pending(tx, settled)
        self.decided.queued += self._queue(tx, writes, wanted)
        self._put_tasks(tx, tasks)
        if self.listing:
            self.decided.changes += writes

    def _queue(self, tx: Connection, writes: Sequence[tuple[str, PlannedWrite]], wanted: Sequence[_Wanting]) -> int:
        if self.rehearsing:
            return outbox.count_new(tx, writes, release=self.release)
        decisions.save_desired(tx, wanted)
        return outbox.put(tx, writes, run_id=self.run_id, release=self.release)

    def _note_owner(self, person: PersonState, write: PlannedWrite) -> None:
        """Whom somebody else has now: giving a person to somebody for the first time takes them from nobody."""
        prop = self._wanted.properties(write.ref).get(Result.OWNER)
        if not self.guarded or prop is None or prop not in write.fields:
            return
        crm, owner = write.ref.crm, write.fields[prop]
        before = self.directory.owner_key(crm, write.base.get(prop))
        if before is not None and before != self.directory.owner_key(crm, owner):
            known = self.decided.moves.get(person.person_id, Change())
            self.decided.moves[person.person_id] = replace(known, owner=f"{crm}:{owner}")

    def _plan_person(self, tx: Connection, person: PersonState) -> list[RecordPlan]:
        """One plan a record. An owner that somebody changed in a CRM is taken over, and then planned for again."""
        plans = [self._wanted.plan(person, target) for target in person.targets]
        conflicts = [conflict for plan in plans for conflict in plan.conflicts]
        in_vain = self._cleared_in_vain(person, plans)
        if not conflicts and not in_vain:
            return plans
        newest = {t.state.ref: t.modified_at for t in person.targets}
        conflicts.sort(key=lambda c: newest[c.ref], reverse=True)
        fought = self._fought(tx, person, [*conflicts, *in_vain])
        conflicts = [conflict for conflict in conflicts if conflict not in fought]
        taken = next((c for c in conflicts if c.result is Result.OWNER and self.adopt(tx, person, c)), None)
        for conflict in conflicts:
            self._note(tx, person, conflict, held=not conflict.tamper and conflict is not taken)
        if taken is None and not fought:
            return plans
        if taken is not None:
            outbox.acknowledge(tx, {taken.ref: {taken.field: taken.theirs}}, at=self.as_of)
        again = decisions.load_people(tx, [person.person_id])[person.person_id]
        return [self._wanted.plan(again, target) for target in again.targets]

    def _cleared_in_vain(self, person: PersonState, plans: Sequence[RecordPlan]) -> list[Conflict]:
        """Answers to a review that are to be cleared though they were cleared before: no conflict but of a machine."""
        found: list[Conflict] = []
        for target, plan in zip(person.targets, plans, strict=True):
            prop = self._wanted.properties(plan.ref).get(Result.REVIEW)
            if prop is not None and prop in target.state.acked and plan.write is not None and prop in plan.write.fields:
                theirs = target.state.current.get(prop)
                found.append(Conflict(ref=plan.ref, field=prop, result=Result.REVIEW, theirs=theirs, ours=None))
        return found

    def _fought(self, tx: Connection, person: PersonState, conflicts: Sequence[Conflict]) -> list[Conflict]:
        """Those of fields that are replaced too often: they are left alone from now on."""
        found: list[Conflict] = []
        for conflict in conflicts:
            fight = fights.note_rewritten(tx, person.person_id, conflict, self.fights, at=self.as_of)
            if fight is not None:
                self.decided.fights.append(fight)
                found.append(conflict)
        return found

    def _note(self, tx: Connection, person: PersonState, conflict: Conflict, *, held: bool) -> None:
        n = person.open_episode.n if person.open_episode else None
        outbox.record_conflict(tx, person.person_id, conflict, episode=n, held=held, at=self.as_of)
        if conflict.tamper:
            self.decided.tampered += 1
        else:
            self.decided.conflicts += 1

    def adopt(self, tx: Connection, person: PersonState, conflict: Conflict) -> bool:
        """Make a person's choice of owner the assignment. False when it names nobody, or this CRM has no say."""
        if conflict.result is not Result.OWNER or conflict.ref.crm not in self._wanted.owner_order:
            return False
        key = self.directory.owner_key(conflict.ref.crm, conflict.theirs)
        if key is None:
            return False
        row = decisions.adopt_owner(
            tx, person, key, crm=conflict.ref.crm, at=self.as_of, policy_version=self.policy.version
        )
        return row is not None

    # -- tasks ------------------------------------------------------------------------------------------------

    def _put_tasks(self, tx: Connection, tasks: Sequence[tuple[PersonState, PlannedTask]]) -> None:
        planned = [(person.person_id, task) for person, task in tasks]
        self._count_tasks(tx, planned)
        self.decided.planned_tasks += planned
        decisions.note_tasks(tx, [(person.open_episode, task.key) for person, task in tasks if person.open_episode])

    def _count_tasks(self, tx: Connection, tasks: Sequence[tuple[str, PlannedTask]]) -> None:
        """Queues them, where anything is."""
        if self.rehearsing:
            self.decided.tasks += outbox.count_new_tasks(tx, tasks)
        else:
            self.decided.tasks += outbox.put_tasks(tx, tasks, run_id=self.run_id)

    def task_due(self) -> date:
        """See `Wanted.task_due`."""
        return self._wanted.task_due()

    def task_order(self) -> tuple[Crm, ...]:
        """See `Wanted.task_order`."""
        return self._wanted.task_order()


def _in_parts(found: Iterator[Scorecard]) -> Iterator[list[Scorecard]]:
    while part := list(islice(found, PART)):
        yield part


def _lifecycle(person: PersonState) -> str | None:
    """The furthest stage any of the person's records has."""
    stages = [s for t in person.targets if (s := t.facts.get("person.lifecycle_stage")) in LIFECYCLE_STAGES]
    return max(stages, key=LIFECYCLE_STAGES.index, default=None)
