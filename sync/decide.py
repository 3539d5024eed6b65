"""One transaction in which people are qualified, assigned and planned.

Nothing here talks to a CRM. Either all of a run's decisions, assignments and queued writes become durable together, or
none does, so a crash or a repeat draws no rep twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from sqlalchemy import Connection

from connectors.records import Crm, RecordRef
from scoring.cards import Fresh, Scorecard, cards
from scoring.episodes import Decision, History, Seen, Status
from scoring.facts import LIFECYCLE_STAGES
from scoring.nurture import lacking, paused, track
from scoring.policy import Policy, Result, TaskIn
from scoring.qualify import qualify
from scoring.sla import Happened
from sync import notices
from sync.account_match import AccountMatching
from sync.assign import Assigned
from sync.fights import Fight, FightRule
from sync.follow_up import FollowUp, about
from sync.guard import Change
from sync.heard import Heard, owners_told, tasks_of_suppressed
from sync.life import episodes_after, history_of, missed_days, rejected_at
from sync.mapping import ReviewAnswer
from sync.notices import Notice
from sync.owners import OwnerDirectory
from sync.plan import Conflict, PlannedTask, PlannedWrite, RecordPlan, due_date, plan_record
from sync.quiet import QuietPeople, note_scored
from sync.routing import Routing
from sync.sales import approves
from sync.settings import OwnerAuthority
from sync.store import decisions, fights, outbox
from sync.store import notices as notice_store
from sync.store import routing as routing_store
from sync.store.decisions import AssignmentRow, EpisodeRow, PersonState, Target
from sync.store.records import blank_is_none

__all__ = ["Decided", "Decider"]

PART = 2000
"""People whose state is in memory at once."""

HUBSPOT_MQL = "marketingqualifiedlead"


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
    fights: FightRule = field(default_factory=FightRule)
    decided: Decided = field(default_factory=Decided)
    _waiting: dict[str, Status] = field(default_factory=dict)

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
            self._plan(tx, decisions.load_people(tx, waiting[start : start + PART]).values())
        return self.decided

    # -- qualify ---------------------------------------------------------------------------------------------

    def _leave_quiet(self, tx: Connection, table: pa.Table, people: QuietPeople) -> pa.Table:
        """Counts who stays as they are. Returns the scorecards of everybody else."""
        found = people.among(tx, table)
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
            prop = self._properties(target.state.ref).get(Result.STATUS)
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
        people = decisions.load_people(tx, waiting)
        rows: list[AssignmentRow] = []
        for_routing: list[PersonState] = []
        for person in people.values():
            if person.ambiguous or not person.targets:
                continue
            kept = next((key for key in self._owners_there(person) if not self.directory.has_left(key)), None)
            if kept is not None:
                why = "owner at work" if kept.startswith("rep:") else "owner in the CRM"
                rows.append(self._row(person, kept, why=why, trace={"kept": kept}))
            else:
                for_routing.append(person)
        rows += self._route(tx, for_routing)
        decisions.save_assignments(tx, rows)
        routing_store.forget_waits(tx)
        assigned = {row.person_id: row for row in rows}
        decisions.save_episodes(
            tx,
            [
                replace(person.open_episode, assigned_at=self.as_of)
                for person in people.values()
                if person.person_id in assigned and person.open_episode is not None
            ],
        )
        decisions.set_status(tx, sorted(assigned), Status.ASSIGNED, since=self.as_of)
        for person_id in assigned:
            if (before := self._waiting.pop(person_id, None)) is not None:
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
        self.decided.tasks += outbox.put_tasks(tx, tasks, run_id=self.run_id)
        self.decided.planned_tasks += tasks if self.listing else []

    def owner_is_held(self, person: PersonState) -> bool:
        """Whether somebody has taken the owner of a record of theirs out of our hands."""
        return any(self._properties(t.state.ref).get(Result.OWNER) in t.state.held for t in person.targets)

    # -- owners ----------------------------------------------------------------------------------------------

    def owner_there(self, person: PersonState) -> str | None:
        """The owner the person has in the CRM that decides on owners, as an owner key; None when that is nobody."""
        return next(self._owners_there(person), None)

    def _owners_there(self, person: PersonState) -> Iterator[str]:
        """The owner in each CRM that has a say, the weightier first."""
        for crm in self._owner_order():
            target = person.target(crm)
            key = self.directory.owner_key(crm, target.owner) if target is not None else None
            if key is not None:
                yield key

    def _owner_order(self) -> tuple[Crm, ...]:
        match self.authority:
            case OwnerAuthority.HUBSPOT:
                return (Crm.HUBSPOT,)
            case OwnerAuthority.SALESFORCE:
                return (Crm.SALESFORCE,)
            case OwnerAuthority.BOTH:
                return (Crm.SALESFORCE, Crm.HUBSPOT)

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
            order=self._owner_order(),
            as_of=self.as_of,
            owner_there=self.owner_there,
            facts=self.facts,
            matching=self.matching,
        )

    def reassign(self, tx: Connection, rows: Sequence[AssignmentRow]) -> None:
        """Give people who have an owner to another one: store it, and queue what the CRMs must be told."""
        decisions.save_assignments(tx, rows)
        self.decided.assigned += rows
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
        wanted: list[tuple[str, RecordRef, Mapping[str, str | None]]] = []
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
            task = self._task_of(person)
            if task is not None:
                tasks.append((person, task))
        outbox.acknowledge(tx, adopted, at=self.as_of)
        outbox.drop_pending(tx, settled)
        decisions.save_desired(tx, wanted)
        self.decided.queued += outbox.put(tx, writes, run_id=self.run_id, release=self.release)
        self._put_tasks(tx, tasks)
        if self.listing:
            self.decided.changes += writes

    def _note_owner(self, person: PersonState, write: PlannedWrite) -> None:
        """Whom somebody else has now: giving a person to somebody for the first time takes them from nobody."""
        prop = self._properties(write.ref).get(Result.OWNER)
        if not self.guarded or prop is None or prop not in write.fields:
            return
        crm, owner = write.ref.crm, write.fields[prop]
        before = self.directory.owner_key(crm, write.base.get(prop))
        if before is not None and before != self.directory.owner_key(crm, owner):
            known = self.decided.moves.get(person.person_id, Change())
            self.decided.moves[person.person_id] = replace(known, owner=f"{crm}:{owner}")

    def _plan_person(self, tx: Connection, person: PersonState) -> list[RecordPlan]:
        """One plan a record. An owner that somebody changed in a CRM is taken over, and then planned for again."""
        plans = [self._plan_target(person, target) for target in person.targets]
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
        return [self._plan_target(again, target) for target in again.targets]

    def _cleared_in_vain(self, person: PersonState, plans: Sequence[RecordPlan]) -> list[Conflict]:
        """Answers to a review that are to be cleared though they were cleared before: no conflict but of a machine."""
        found: list[Conflict] = []
        for target, plan in zip(person.targets, plans, strict=True):
            prop = self._properties(plan.ref).get(Result.REVIEW)
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
        if conflict.result is not Result.OWNER or conflict.ref.crm not in self._owner_order():
            return False
        key = self.directory.owner_key(conflict.ref.crm, conflict.theirs)
        if key is None:
            return False
        row = decisions.adopt_owner(
            tx, person, key, crm=conflict.ref.crm, at=self.as_of, policy_version=self.policy.version
        )
        return row is not None

    def _plan_target(self, person: PersonState, target: Target) -> RecordPlan:
        properties = self._properties(target.state.ref)
        return plan_record(target.state, self._wanted(person, target, properties), properties, self.policy.write)

    def _properties(self, ref: RecordRef) -> dict[Result, str]:
        properties = dict(self.policy.write.properties.get((ref.crm, ref.object), {}))
        lead_status = self.policy.write.lead_status.get((ref.crm, ref.object))
        if lead_status is not None:
            properties[Result.LEAD_STATUS] = lead_status.property
        review = self.reviews.get(ref.crm)
        if review is not None:
            properties[Result.REVIEW] = review.property
        return properties

    def _wanted(
        self, person: PersonState, target: Target, properties: Mapping[Result, str]
    ) -> dict[Result, str | None]:
        """The text of every result this record is to show. What is left out is left alone."""
        episode = person.open_episode
        wanted: dict[Result, str | None] = {
            Result.STATUS: person.status,
            Result.GRADE: person.grade,
            Result.FIT: _text(person.fit),
            Result.ENGAGEMENT: _text(person.engagement),
            Result.TOTAL: _text(person.total),
            Result.REASON: person.reason,
            Result.MODEL: person.model,
            Result.VERSION: person.policy_version,
            Result.MISSING: person.missing,
            **self._nurture(person),
        }
        if self._answered(target):
            wanted[Result.REVIEW] = None
        if episode is None or episode.adopted or episode.waiting:
            return wanted
        wanted[Result.QUALIFIED_AT] = episode.opened_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted[Result.EPISODE] = str(episode.n)
        wanted[Result.LIFECYCLE] = HUBSPOT_MQL
        self._want_lead_status(target, wanted)
        self._want_owner(person, target, properties, wanted)
        return wanted

    def _nurture(self, person: PersonState) -> dict[Result, str | None]:
        status = person.status or Status.NOT_YET
        ended = person.closed_episode if person.open_episode is None else None
        return {
            Result.NURTURE: track(self.policy, status, None if ended is None else ended.outcome),
            Result.PAUSED: str(paused(self.policy, status)).lower(),
        }

    def _answered(self, target: Target) -> bool:
        """Whether the record shows the very answer that was heard, and no other one that has yet to be."""
        rule = self.reviews.get(target.state.ref.crm)
        if rule is None or approves(rule, target.answer) is None:
            return False
        return blank_is_none(target.state.current.get(rule.property)) == target.answer

    def _want_lead_status(self, target: Target, wanted: dict[Result, str | None]) -> None:
        rule = self.policy.write.lead_status.get((target.state.ref.crm, target.state.ref.object))
        if rule is not None and target.state.current.get(rule.property) in rule.only_from:
            wanted[Result.LEAD_STATUS] = rule.mql

    def _want_owner(
        self,
        person: PersonState,
        target: Target,
        properties: Mapping[Result, str],
        wanted: dict[Result, str | None],
    ) -> None:
        prop = properties.get(Result.OWNER)
        if person.assignment is None or prop is None:
            return
        ref = target.state.ref
        owner_id = self.directory.owner_id_for(person.assignment.owner_key, ref.crm, ref.object)
        if owner_id is None:
            return
        if self._left_to_another(target, prop, owner_id) or not self._first_in_authority(person, ref, properties):
            return
        wanted[Result.OWNER] = owner_id

    def _left_to_another(self, target: Target, prop: str, owner_id: str) -> bool:
        """Somebody owns the person here already and another one there: neither is overwritten, but who has left."""
        if self.authority is not OwnerAuthority.BOTH or prop in target.state.acked or owner_id == target.owner:
            return False
        key = self.directory.owner_key(target.state.ref.crm, target.owner)
        return key is not None and not self.directory.has_left(key)

    def _first_in_authority(self, person: PersonState, ref: RecordRef, properties: Mapping[Result, str]) -> bool:
        """The CRM that decides on owners is written first; the other one follows once it has confirmed."""
        order = self._owner_order()
        if ref.crm in order:
            return True
        leader = person.target(order[0])
        if leader is None or person.assignment is None:
            return True
        prop = self._properties(leader.state.ref).get(Result.OWNER)
        if prop is None:
            return True
        confirmed = self.directory.owner_id_for(
            person.assignment.owner_key, leader.state.ref.crm, leader.state.ref.object
        )
        # What stands there already was confirmed by being read.
        return confirmed is None or confirmed in (leader.owner, leader.state.acked.get(prop))

    # -- tasks ------------------------------------------------------------------------------------------------

    def _put_tasks(self, tx: Connection, tasks: Sequence[tuple[PersonState, PlannedTask]]) -> None:
        planned = [(person.person_id, task) for person, task in tasks]
        self.decided.tasks += outbox.put_tasks(tx, planned, run_id=self.run_id)
        self.decided.planned_tasks += planned
        decisions.save_episodes(
            tx,
            [
                replace(person.open_episode, task_key=task.key)
                for person, task in tasks
                if person.open_episode is not None
            ],
        )

    def _task_of(self, person: PersonState) -> PlannedTask | None:
        """One task an episode, in the CRM where the rep works."""
        episode, assignment = person.open_episode, person.assignment
        if (
            episode is None
            or episode.adopted
            or episode.task_key is not None
            or assignment is None
            or assignment.owner_key.startswith("queue:")
            or self.policy.write.task_in is TaskIn.NONE
        ):
            return None
        for crm in self.task_order():
            target = person.target(crm)
            if target is None:
                continue
            ref = target.state.ref
            owner = self.directory.owner_id_for(assignment.owner_key, ref.crm, ref.object)
            prop = self._properties(ref).get(Result.OWNER)
            if owner is None or prop is None:
                continue
            theirs = target.owner if self._left_to_another(target, prop, owner) else None
            return PlannedTask(
                key=f"{person.person_id}:{episode.n}:task:1",
                person=ref,
                owner_property=prop,
                owner=theirs or owner,
                stands=theirs is not None,
                subject=f"Follow up: {person.name or person.email or 'new MQL'}"[:255],
                lines=_task_lines(person, episode),
                due=self.task_due(),
                since=episode.opened_at,
            )
        return None

    def task_due(self) -> date:
        day = self.as_of.astimezone(ZoneInfo(self.policy.timezone)).date()
        return due_date(day, self.policy.write.task_due)

    def task_order(self) -> tuple[Crm, ...]:
        match self.policy.write.task_in:
            case TaskIn.HUBSPOT:
                return (Crm.HUBSPOT,)
            case TaskIn.SALESFORCE:
                return (Crm.SALESFORCE,)
            case _:
                return (Crm.SALESFORCE, Crm.HUBSPOT)


def _in_parts(found: Iterator[Scorecard]) -> Iterator[list[Scorecard]]:
    while part := list(islice(found, PART)):
        yield part


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _lifecycle(person: PersonState) -> str | None:
    """The furthest stage any of the person's records has."""
    stages = [s for t in person.targets if (s := t.facts.get("person.lifecycle_stage")) in LIFECYCLE_STAGES]
    return max(stages, key=LIFECYCLE_STAGES.index, default=None)


def _task_lines(person: PersonState, episode: EpisodeRow) -> tuple[str, ...]:
    point = notices.talking_point(person.reason or "")
    return (
        f"Marketing qualified lead, grade {episode.grade} (fit {episode.fit}, engagement {episode.engagement}).",
        f"Why: {person.reason or episode.line}",
        *([point] if point is not None else []),
        f"Qualified on {episode.opened_at.date().isoformat()} by policy {episode.policy_version}.",
    )
