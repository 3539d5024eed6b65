"""Nobody forgets an MQL: in a decision's transaction, whoever was not followed up is noticed and what is due is done.

Touches are noted first, so that nothing is due after one. The assignments this makes and the notices it returns belong
to the same transaction as everything else a run decides: however often a run dies, each step is taken once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from scoring.policy import Policy, Route, Target, TargetKind
from scoring.sla import Due, Happened, Held, Step, alarm_at, due, first_touch, reassigned_at
from scoring.team import Hours
from sync import notices
from sync.assign import Assigned
from sync.notices import About, Count, Kind, Notice, key_of
from sync.owners import OwnerDirectory
from sync.routing import Routing
from sync.store import decisions, untouched
from sync.store import notices as notice_store
from sync.store.decisions import AssignmentRow, PersonState
from sync.store.untouched import Assignee, Listed, Untouched

__all__ = ["SLA", "Desk", "FollowUp", "about"]

SLA = "sla"
"""The rule, and the reason in the trace, of assignments that were not followed up."""

DIGEST_FROM = time(8)
"""By the policy's clock: the first run of a day after it tells the managers."""

Events = Callable[[Collection[str]], Mapping[str, Sequence[Happened]]]


class Desk(Protocol):
    """What the decision lends."""

    policy: Policy
    directory: OwnerDirectory
    as_of: datetime

    def routing(self) -> Routing: ...

    def row_of(self, person: PersonState, one: Assigned, *, again: str | None = None) -> AssignmentRow: ...

    def reassign(self, tx: Connection, rows: Sequence[AssignmentRow]) -> None: ...

    def owner_is_held(self, person: PersonState) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Late:
    """One who was not followed up. ``had``: everybody who had the episode, in order."""

    row: Untouched
    held: Held
    had: tuple[Assignee, ...]
    person: PersonState
    steps: tuple[Due, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """Follows up in one transaction.

    events   (person ids) -> what happened to each that can be a touch
    stirred  people of whom something is new in this run: an event of theirs may be a touch
    """

    desk: Desk
    events: Events
    stirred: frozenset[str]

    def follow_up(self, tx: Connection) -> list[Notice]:
        """Do what is due. Returns the notices that follow; those that were written before may be among them."""
        rows = untouched.in_hand(tx)
        overdue = [row for row in rows if self._overdue(row)]
        done = self._done(tx, overdue)
        # Of most of them everything was told long ago: whoever is left is looked at.
        overdue = [row for row in overdue if self._overdue(row, done[row.person_id])]
        asked = {row.person_id for row in overdue} | self.stirred
        touched = self._note_touches(tx, [row for row in rows if row.person_id in asked])
        overdue = [row for row in overdue if row.person_id not in touched]
        found = self._alarms(tx, [row for row in overdue if _queue_of(row)])
        late = self._late(tx, [row for row in overdue if not _queue_of(row)], done)
        found += [notice for one in late for notice in self._told(one)]
        found += self._move(tx, late)
        found += self._digests(tx)
        return found

    # -- what is due

    def _overdue(self, row: Untouched, done: Collection[Step] = ()) -> bool:
        """Whether something is due that was not done. A queue has one step: that it is reported."""
        as_of = self.desk.as_of
        if (name := _queue_of(row)) is not None:
            at = self._alarm_at(name, row.since)
            return at is not None and at <= as_of and Step.REPORT not in done
        rules = self.desk.policy.sla
        return rules is not None and bool(due(self._held(row), rules, as_of=as_of, done=done))

    def _alarm_at(self, name: str, since: datetime) -> datetime | None:
        team = self.desk.policy.team
        queue = team.queues.get(name)
        if queue is None or queue.tell is None:
            return None
        return alarm_at(queue, None if queue.hours is None else team.hours[queue.hours], since)

    def _held(self, row: Untouched, had: Sequence[Assignee] = (), *, free: bool = True) -> Held:
        """``free``: nobody has taken the owner out of our hands."""
        return Held(
            since=row.since,
            hours=self._hours(row),
            pooled=free and row.pool in self.desk.policy.team.pools,
            changes=sum(one.why == SLA for one in had),
        )

    def _hours(self, row: Untouched) -> Hours | None:
        team = self.desk.policy.team
        kind, _, email = row.owner_key.partition(":")
        return team.calendar(email, team.pools.get(row.pool or "")) if kind == "rep" else None

    def _note_touches(self, tx: Connection, rows: Sequence[Untouched]) -> frozenset[str]:
        events = self.events([row.person_id for row in rows]) if rows else {}
        zone = self.desk.policy.timezone
        touched = {
            (row.person_id, row.n): at
            for row in rows
            if (at := first_touch(events.get(row.person_id, ()), since=row.assigned_at, zone=zone)) is not None
        }
        untouched.mark_touched(tx, touched)
        return frozenset(person_id for person_id, _ in touched)

    def _late(self, tx: Connection, rows: Sequence[Untouched], done: Mapping[str, Collection[Step]]) -> list[_Late]:
        rules = self.desk.policy.sla
        if rules is None or not rows:
            return []
        had = untouched.assignees(tx, {row.person_id: row.n for row in rows})
        people = decisions.load_people(tx, [row.person_id for row in rows])
        late: list[_Late] = []
        for row in rows:
            person, those = people[row.person_id], had[row.person_id]
            held = self._held(row, those, free=bool(person.targets) and not self.desk.owner_is_held(person))
            steps = due(held, rules, as_of=self.desk.as_of, done=done[row.person_id])
            if steps:
                late.append(_Late(row=row, held=held, had=those, person=person, steps=steps))
        return late

    def _done(self, tx: Connection, rows: Sequence[Untouched]) -> dict[str, frozenset[Step]]:
        """By person the steps taken that leave the assignment alone, or of which there is nobody to be told."""
        keys = {row.person_id: {Step.REMIND: self._reminder(row), Step.REPORT: self._reports(row)} for row in rows}
        there = notice_store.known(tx, (key for own in keys.values() for some in own.values() for key in some))
        return {
            person_id: frozenset(step for step, some in own.items() if there.issuperset(some))
            for person_id, own in keys.items()
        }

    def _reminder(self, row: Untouched) -> list[str]:
        told = self.desk.directory.email_of(row.owner_key) is not None
        return [key_of(row.person_id, row.n, Kind.REMIND, row.step)] if told else []

    def _reports(self, row: Untouched) -> list[str]:
        if _queue_of(row) is not None:
            return [key_of(row.person_id, row.n, Kind.QUEUE, row.step)]
        return [key_of(row.person_id, row.n, Kind.REPORT, f"{row.step}:{to}") for to in self._managers(row)]

    # -- who is told

    def _managers(self, row: Untouched | Listed) -> tuple[str, ...]:
        """The manager of the pool; of whom no pool has, every manager: somebody has to hear."""
        team = self.desk.policy.team
        manager = team.managers.get(self._pool(row) or "")
        return (manager,) if manager is not None else tuple(sorted(set(team.managers.values())))

    def _pool(self, row: Untouched | Listed) -> str | None:
        kind, _, email = (row.owner_key or "").partition(":")
        home = self.desk.policy.team.home(email) if kind == "rep" else None
        return row.pool or (None if home is None else home.name)

    def _alarms(self, tx: Connection, rows: Sequence[Untouched]) -> list[Notice]:
        people = decisions.load_people(tx, [row.person_id for row in rows])
        queues, zone = self.desk.policy.team.queues, self.desk.policy.timezone
        found: list[Notice] = []
        for row in rows:
            name = _queue_of(row) or ""
            to = queues[name].tell
            if to is not None:
                who = about(people[row.person_id])
                found.append(notices.in_queue(who, row.step, to=to, queue=name, since=row.since, zone=zone))
        return found

    def _told(self, late: _Late) -> Iterator[Notice]:
        row, zone, rules = late.row, self.desk.policy.timezone, self.desk.policy.sla
        who, owner = about(late.person), self.desk.directory.email_of(row.owner_key)
        for one in late.steps:
            if one.step is Step.REMIND and owner is not None and rules is not None:
                ends = reassigned_at(late.held, rules)
                yield notices.remind(who, row.step, to=owner, since=row.since, zone=zone, ends=ends)
            elif one.step is Step.REPORT:
                name = self._name(row.owner_key)
                for manager in self._managers(row):
                    yield notices.report(who, row.step, to=manager, owner=name, since=row.since, zone=zone)

    # -- who is given to another one

    def _move(self, tx: Connection, late: Sequence[_Late]) -> list[Notice]:
        """Pool by pool, so that each draw knows of the ones before."""
        found: list[Notice] = []
        again: dict[str, list[_Late]] = {}
        for one in late:
            if one.steps[-1].step is Step.REASSIGN and one.row.pool is not None:
                again.setdefault(one.row.pool, []).append(one)
        for pool, some in sorted(again.items()):
            found += self._give(tx, some, self._drawn(tx, pool, some))
        given_up = [one for one in late if one.steps[-1].step is Step.GIVE_UP]
        return found + self._give(tx, given_up, [self._to_queue(one) for one in given_up])

    def _drawn(self, tx: Connection, pool: str, late: Sequence[_Late]) -> list[Assigned]:
        """Whom nobody is free for waits, with who has them, as long as the pool lets people wait."""
        routed = self.desk.routing().route(
            tx,
            [one.person for one in late],
            rules=(Route(name=SLA, when=None, to=Target(kind=TargetKind.POOL, name=pool)),),
            not_to={one.row.person_id: frozenset(_reps(one.had)) for one in late},
            since={one.row.person_id: one.steps[-1].at for one in late},
        )
        return routed.assigned

    def _to_queue(self, late: _Late) -> Assigned:
        policy = self.desk.policy
        assert policy.sla is not None
        assert policy.sla.then is not None
        owner_key = f"queue:{policy.sla.then.name}"
        rule = {"rule": SLA, "true": True, "to": owner_key, "changes": late.held.changes}
        trace = {"as_of": self.desk.as_of.astimezone(UTC).isoformat(), "version": policy.version, "rules": [rule]}
        row = late.row
        return Assigned(person_id=row.person_id, episode=row.n, owner_key=owner_key, why=SLA, pool=None, trace=trace)

    def _give(self, tx: Connection, late: Sequence[_Late], given: Sequence[Assigned]) -> list[Notice]:
        by_id = {one.row.person_id: one for one in late}
        rows = [self.desk.row_of(by_id[one.person_id].person, one, again=SLA) for one in given]
        self.desk.reassign(tx, rows)
        return [notice for row in rows for notice in self._told_of_change(by_id[row.person_id], row)]

    def _told_of_change(self, late: _Late, row: AssignmentRow) -> Iterator[Notice]:
        """The one who had the person; and if nobody has them now, the manager. Who gets them is told by the desk."""
        who, before = about(late.person), self.desk.directory.email_of(late.row.owner_key)
        if before is not None:
            yield notices.taken(who, row.step, to=before, now=self._name(row.owner_key))
        kind, _, queue = row.owner_key.partition(":")
        if kind == "queue":
            owners = [self._name(one.owner_key) for one in late.had]
            for manager in self._managers(late.row):
                yield notices.gave_up(who, row.step, to=manager, queue=queue, owners=owners)

    def _name(self, owner_key: str) -> str:
        return self.desk.directory.name_of(owner_key)

    # -- digests

    def _digests(self, tx: Connection) -> list[Notice]:
        """What each manager has to know, once a day: new MQLs, who waits for a review, who is overdue."""
        as_of, team = self.desk.as_of, self.desk.policy.team
        wall = as_of.astimezone(ZoneInfo(self.desk.policy.timezone))
        managers = sorted(set(team.managers.values()))
        keys = {to: notices.digest_key(to, wall.date()) for to in managers}
        done = notice_store.known(tx, keys.values())
        told = [to for to in managers if keys[to] not in done] if wall.time() >= DIGEST_FROM else []
        if not told:
            return []
        review = untouched.waiting_for_review(tx)
        late = [row for row in untouched.in_hand(tx) if self._overdue(row)]
        names = untouched.names_of(tx, [row.person_id for row in late])
        found: list[Notice] = []
        for to in told:
            since = notice_store.newest(tx, Kind.DIGEST, to=to) or as_of - timedelta(days=1)
            new = [one for one in untouched.opened_since(tx, since) if to in self._managers(one)]
            parts = (
                Count(what="new", lines=tuple(map(self._line, new))),
                Count(what="waiting for a review", lines=tuple(map(self._line, review))),
                Count(
                    what="overdue",
                    lines=tuple(
                        f"{names[row.person_id]}: {self._name(row.owner_key)} since {row.since:%Y-%m-%d %H:%M} UTC"
                        for row in late
                        if to in self._managers(row)
                    ),
                ),
            )
            if (notice := notices.digest(wall.date(), parts, to=to)) is not None:
                found.append(notice)
        return found

    def _line(self, one: Listed) -> str:
        has = "" if one.owner_key is None else f": {self._name(one.owner_key)}"
        return f"{one.name}, grade {one.grade}{has}"


def about(person: PersonState) -> About:
    """A person in an open episode, as a notice tells of them."""
    episode = person.open_episode
    return About(
        person_id=person.person_id,
        n=episode.n if episode is not None else 0,
        name=person.name or person.email or person.person_id,
        grade=episode.grade if episode is not None else person.grade or "",
        reason=person.reason or (episode.line if episode is not None else ""),
        records=tuple(f"{t.state.ref.crm} {t.state.ref.object} {t.state.ref.id}" for t in person.targets),
    )


def _queue_of(row: Untouched) -> str | None:
    kind, _, name = row.owner_key.partition(":")
    return name if kind == "queue" else None


def _reps(had: Iterable[Assignee]) -> Iterator[str]:
    for one in had:
        kind, _, email = one.owner_key.partition(":")
        if kind == "rep":
            yield email
