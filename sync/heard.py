"""What a decision heard of people that somebody has to know: owners of open MQLs, and whom a suppress line tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from sqlalchemy import Connection

from connectors.records import Crm
from scoring.cards import Fresh, Scorecard
from scoring.episodes import Decision, Status
from scoring.policy import Policy, Target, TargetKind, TaskIn
from sync import notices
from sync.follow_up import about
from sync.notices import Notice
from sync.owners import OwnerDirectory
from sync.plan import PlannedTask
from sync.routing import Routing
from sync.store import notices as notice_store
from sync.store.decisions import PersonState

__all__ = ["Heard", "Listener", "owners_told", "tasks_of_suppressed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Somebody who was decided, as they were before."""

    person: PersonState
    card: Scorecard
    decision: Decision

    @property
    def owner_key(self) -> str | None:
        """Who has them in an open episode of ours that goes on."""
        person = self.person
        if person.open_episode is None or person.open_episode.adopted or self.decision.closes is not None:
            return None
        return person.assignment.owner_key if person.assignment is not None else None


class Listener(Protocol):
    """What the decision lends."""

    policy: Policy
    directory: OwnerDirectory
    as_of: datetime

    def fresh(self, since: Mapping[str, datetime], /) -> Mapping[str, Fresh]: ...

    def routing(self) -> Routing: ...

    def owner_there(self, person: PersonState) -> str | None: ...

    def task_order(self) -> tuple[Crm, ...]: ...

    def task_due(self) -> date: ...


def owners_told(tx: Connection, heard: Sequence[Heard], by: Listener) -> list[Notice]:
    """Of an open MQL: that they asked for sales again, or that a suppress line has become true. Each once."""
    told: dict[str, Notice] = {}
    raised: dict[str, PersonState] = {}
    for one in heard:
        to = by.directory.email_of(one.owner_key) if one.owner_key is not None else None
        if to is None:
            continue
        if one.card.suppressed is not None:
            notice = notices.suppressed(about(one.person), one.card.suppressed, to=to)
            told[notice.key] = notice
        if one.card.hand_raise is not None:
            notice = notices.hand_raised(about(one.person), one.card.hand_raise, to=to)
            told[notice.key] = notice
            raised[notice.key] = one.person
    new = told.keys() - notice_store.known(tx, told)
    again = _raised_again([raised[key] for key in sorted(new & raised.keys())], by)
    return [told[key] for key in sorted(new) if key not in raised or raised[key].person_id in again]


def _raised_again(people: Sequence[PersonState], by: Listener) -> frozenset[str]:
    """Who of them has asked for sales since their episode opened. A scorecard knows the day only."""
    since = {p.person_id: p.open_episode.opened_at for p in people if p.open_episode is not None}
    fresh = by.fresh(since) if since else {}
    return frozenset(person_id for person_id, found in fresh.items() if found.raised)


# -- suppress.LINE.tell ------------------------------------------------------------------------------------------


def tasks_of_suppressed(heard: Sequence[Heard], by: Listener) -> list[tuple[str, PlannedTask]]:
    """(person id, a task for whoever has to know), for people whom a line suppresses that tells somebody.

    One a line and person: the task's key says both. Of whom sales took on there is nothing to tell.
    """
    tell = {line.name: line.tell for line in by.policy.suppress if line.tell is not None}
    if not tell or by.policy.write.task_in is TaskIn.NONE:
        return []
    tasks: list[tuple[str, PlannedTask]] = []
    for one in heard:
        to = tell.get(one.card.suppressed or "") if one.decision.status is not Status.SQL else None
        task = _task(one, to, by) if to is not None else None
        if task is not None:
            tasks.append((one.person.person_id, task))
    return tasks


def _task(one: Heard, to: Target, by: Listener) -> PlannedTask | None:
    """None where whoever has to know is nobody, or can have no task in a CRM that knows the person."""
    person, card = one.person, one.card
    for crm in by.task_order():
        record = person.target(crm)
        owner = _owner(person, to, crm, by) if record is not None else None
        if record is None or owner is None:
            continue
        scores = f"grade {card.grade} (fit {card.fit}, engagement {card.engagement})"
        return PlannedTask(
            key=f"{person.person_id}:0:tell:{card.suppressed}",
            person=record.state.ref,
            owner_property="",
            owner=owner,
            stands=True,
            subject=f"Not handed over: {person.name or person.email or 'somebody you know'}"[:255],
            lines=(f"The rule {card.suppressed!r} keeps them from being handed over; {scores}.",),
            due=by.task_due(),
            since=by.as_of,
        )
    return None


def _owner(person: PersonState, to: Target, crm: Crm, by: Listener) -> str | None:
    """The id of the user; of a queue where it takes tasks in this CRM, else of the user whom it tells."""
    match to.kind:
        case TargetKind.COMPANY_OWNER:
            key = by.routing().company_owner(person)
        case TargetKind.PERSON_OWNER:
            key = by.owner_there(person)
        case _:
            key = f"queue:{to.name}"
    owner = by.directory.owner_id_for(key, crm, "task") if key is not None else None
    queue = by.policy.team.queues.get(to.name) if to.kind is TargetKind.QUEUE else None
    if owner is None and queue is not None and queue.tell is not None:
        return by.directory.user_id(queue.tell, crm)
    return owner
