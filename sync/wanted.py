"""What every record of a person is to show, and the task that goes with it. Pure: no store, no clock but ``as_of``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from connectors.records import Crm, RecordRef
from scoring.episodes import Status
from scoring.nurture import paused, track
from scoring.policy import Policy, Result, TaskIn
from sync import notices
from sync.mapping import ReviewAnswer
from sync.owners import OwnerDirectory
from sync.plan import PlannedTask, RecordPlan, due_date, plan_record
from sync.sales import approves
from sync.settings import OwnerAuthority
from sync.store.decisions import EpisodeRow, PersonState, Target
from sync.store.records import blank_is_none

__all__ = ["Wanted"]

HUBSPOT_MQL = "marketingqualifiedlead"

_ORDER = {
    OwnerAuthority.HUBSPOT: (Crm.HUBSPOT,),
    OwnerAuthority.SALESFORCE: (Crm.SALESFORCE,),
    OwnerAuthority.BOTH: (Crm.SALESFORCE, Crm.HUBSPOT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the policy makes of people as the store has them.

    reviews  where a review is answered in a CRM: an answer that was heard is cleared
    """

    policy: Policy
    directory: OwnerDirectory
    authority: OwnerAuthority
    as_of: datetime
    reviews: Mapping[Crm, ReviewAnswer]
    _properties: dict[tuple[Crm, str], Mapping[Result, str]] = field(default_factory=dict)

    def plan(self, person: PersonState, target: Target) -> RecordPlan:
        """What one record is to show, held against what it shows."""
        properties = self.properties(target.state.ref)
        return plan_record(target.state, self._wanted(person, target, properties), properties, self.policy.write)

    def properties(self, ref: RecordRef) -> Mapping[Result, str]:
        """Where each result goes in records of this object."""
        found = self._properties.get((ref.crm, ref.object))
        if found is None:
            found = self._properties[ref.crm, ref.object] = self._properties_of(ref)
        return found

    def _properties_of(self, ref: RecordRef) -> dict[Result, str]:
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

    # -- owners

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
        if self._left_to_another(target, prop, owner_id) or not self._first_in_authority(person, ref):
            return
        wanted[Result.OWNER] = owner_id

    def _left_to_another(self, target: Target, prop: str, owner_id: str) -> bool:
        """Somebody owns the person here already and another one there: neither is overwritten, but who has left."""
        if self.authority is not OwnerAuthority.BOTH or prop in target.state.acked or owner_id == target.owner:
            return False
        key = self.directory.owner_key(target.state.ref.crm, target.owner)
        return key is not None and not self.directory.has_left(key)

    def _first_in_authority(self, person: PersonState, ref: RecordRef) -> bool:
        """The CRM that decides on owners is written first; the other one follows once it has confirmed."""
        order = self.owner_order
        if ref.crm in order:
            return True
        leader = person.target(order[0])
        if leader is None or person.assignment is None:
            return True
        prop = self.properties(leader.state.ref).get(Result.OWNER)
        if prop is None:
            return True
        confirmed = self.directory.owner_id_for(
            person.assignment.owner_key, leader.state.ref.crm, leader.state.ref.object
        )
        # What stands there already was confirmed by being read.
        return confirmed is None or confirmed in (leader.owner, leader.state.acked.get(prop))

    def owners_there(self, person: PersonState) -> Iterator[str]:
        """The owner key of whom the person has in each CRM that has a say, the weightier first; nobody is left out."""
        for crm in self.owner_order:
            target = person.target(crm)
            key = self.directory.owner_key(crm, target.owner) if target is not None else None
            if key is not None:
                yield key

    @property
    def owner_order(self) -> tuple[Crm, ...]:
        """The CRMs that have a say in who owns a person."""
        return _ORDER[self.authority]

    # -- tasks

    def task(self, person: PersonState) -> PlannedTask | None:
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
            prop = self.properties(ref).get(Result.OWNER)
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


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _task_lines(person: PersonState, episode: EpisodeRow) -> tuple[str, ...]:
    point = notices.talking_point(person.reason or "")
    return (
        f"Marketing qualified lead, grade {episode.grade} (fit {episode.fit}, engagement {episode.engagement}).",
        f"Why: {person.reason or episode.line}",
        *([point] if point is not None else []),
        f"Qualified on {episode.opened_at.date().isoformat()} by policy {episode.policy_version}.",
    )
