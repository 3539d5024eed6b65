"""Who gets a person: the routing rules in order. Pure: counters go in and come out.

People are routed best first. A decision carries its trace: each rule with what made it false, each rep of the pool with
why not, and which comparison decided, so that "why this rep" is read and never computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scoring import hours as working_time
from scoring.conditions import OwnerState
from scoring.fact_judge import FactJudge
from scoring.phrases import say
from scoring.policy import Route, Target, TargetKind, WaitThen
from scoring.team import Delay, Hours, Team
from sync.owners import OwnerDirectory
from sync.pools import FREE, Candidate, Counter, Load, Pools

__all__ = ["Assigned", "Routed", "Waiting", "assign"]

_Trace = dict[str, Any]

MOST_BACKUPS = 5
"""Steps from backup to backup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Who an episode goes to.

    ``owner_key``: ``rep:<e-mail>``, ``queue:<name>`` or ``user:<crm>:<owner id>``. ``why`` is the name of the rule,
    ``pool`` the pool it was drawn from.
    """

    person_id: str
    episode: int
    owner_key: str
    why: str
    pool: str | None
    trace: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An episode nobody is free for: it is tried again in each run, and from ``until`` on it does not wait longer."""

    person_id: str
    episode: int
    since: datetime
    until: datetime
    why: str
    trace: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What became of people, each list in the order they were routed, and the counters after it."""

    assigned: list[Assigned]
    waiting: list[Waiting]
    counters: dict[tuple[str, str], Counter]


@dataclass(frozen=True, slots=True, kw_only=True)
class _To:
    owner_key: str
    pool: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    since: datetime
    until: datetime


def assign(
    people: Sequence[Candidate],
    team: Team,
    routing: Sequence[Route],
    directory: OwnerDirectory,
    counters: Mapping[tuple[str, str], Counter],
    *,
    as_of: datetime,
    timezone: str = "UTC",
    loads: Mapping[str, Load] | None = None,
    version: str = "",
) -> Routed:
    """Route everybody, best first.

    Parameters
    ----------
    people: in any order
    counters: (pool, rep's e-mail) -> what the rep had from the pool; a rep without one is new in it
    as_of: the instant the run decides for
    timezone: the policy's zone, in which spans of days end
    loads: rep's e-mail -> what they have in hand
    version: of the policy, for the trace
    """
    pools = Pools(team, directory, counters, loads or {}, as_of=as_of, timezone=timezone)
    router = _Router(pools=pools, routing=routing, timezone=timezone, version=version)
    found = [router.route(p) for p in sorted(people, key=lambda p: (-p.total, p.qualified_at, p.person_id))]
    return Routed(
        assigned=[one for one in found if isinstance(one, Assigned)],
        waiting=[one for one in found if isinstance(one, Waiting)],
        counters=pools.counters,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Router:
    pools: Pools
    routing: Sequence[Route]
    timezone: str
    version: str

    def route(self, person: Candidate) -> Assigned | Waiting:
        as_of = self.pools.as_of
        day = working_time.local_day(self.timezone, as_of)
        judge = FactJudge(person.facts, day, lambda owner, state: self.pools.why_not(owner, state, person) is None)
        rules: list[dict[str, Any]] = []
        trace: dict[str, Any] = {"as_of": _iso(as_of), "version": self.version, "rules": rules}
        if person.account is not None:
            trace["account"] = dict(person.account)
        for route in self.routing:
            false = judge.first_false(route.when) if route.when is not None else None
            step: _Trace = {"rule": route.name, "true": false is None}
            rules.append(step)
            if false is not None:
                step["false"] = say(false)
                step["found"] = judge.found(false)
                if isinstance(false, OwnerState) and (owner := person.facts.get(false.field)):
                    step["because"] = self.pools.why_not(owner, false.state, person)
                continue
            match self._lead_to(route, person, step, trace):
                case _To(owner_key=owner_key, pool=pool):
                    step["to"] = owner_key
                    return Assigned(
                        person_id=person.person_id,
                        episode=person.episode,
                        owner_key=owner_key,
                        why=route.name,
                        pool=pool,
                        trace=trace,
                    )
                case _Wait(since=since, until=until):
                    return Waiting(
                        person_id=person.person_id,
                        episode=person.episode,
                        since=since,
                        until=until,
                        why=route.name,
                        trace=trace,
                    )
        raise ValueError("no routing rule took the person: the last one must lead to a queue")

    # -- where a rule leads

    def _lead_to(self, route: Route, person: Candidate, step: _Trace, trace: dict[str, Any]) -> _To | _Wait | None:
        """None is the next rule."""
        if route.to.kind in (TargetKind.POOL, TargetKind.QUEUE):
            return self._to(route.to, person, step, trace)
        owner = _owner(route.to, person)
        if not owner:
            step["away"] = f"{route.to.kind} is nobody"
            return None
        why = self.pools.why_not(owner, "available", person)
        if why is None:
            return self._by_name(owner)
        step["away"] = why
        match route.if_away:
            case Target() as target:
                return self._to(target, person, step, trace)
            case WaitThen(delay=delay, then=then):
                hours = self.pools.hours(owner.partition(":")[2])
                wait = self._wait(person, hours, delay, then, step)
                return wait or self._to(then, person, step, trace)
            case "their backup":
                return self._backup(owner, person, step)
            case _:
                return None

    def _to(self, target: Target, person: Candidate, step: _Trace, trace: _Trace) -> _To | _Wait | None:
        match target.kind:
            case TargetKind.QUEUE:
                return _To(owner_key=f"queue:{target.name}")
            case TargetKind.POOL:
                return self._to_pool(target.name, person, step, trace)
            case _:
                owner = _owner(target, person)
                return (
                    self._by_name(owner) if owner and self.pools.why_not(owner, "available", person) is None else None
                )

    def _to_pool(self, name: str, person: Candidate, step: _Trace, trace: _Trace) -> _To | _Wait:
        rep, drawn = self.pools.draw(name, person)
        trace["pool"] = drawn
        if rep is not None:
            return _To(owner_key=f"rep:{rep}", pool=name)
        pool = self.pools.team.pools[name]
        queue = Target(kind=TargetKind.QUEUE, name=pool.nobody_free.queue)
        drawn["nobody_free"] = f"queue {queue.name}"
        if pool.nobody_free.wait is not None:
            wait = self._wait(person, self.pools.pool_hours(pool), pool.nobody_free.wait, queue, step)
            if wait is not None:
                return wait
        return _To(owner_key=f"queue:{queue.name}")

    def _wait(self, person: Candidate, hours: Hours | None, delay: Delay, then: Target, step: _Trace) -> _Wait | None:
        """None when the wait is over. It began when nobody was free for the first time, whatever the rules say now.

        Nor does anybody wait by a calendar that never opens again.
        """
        since = person.waiting_since or self.pools.as_of
        until = working_time.after(hours, since, delay)
        step["wait"] = {
            "since": _iso(since),
            "until": None if until is None else _iso(until),
            "then": f"{then.kind} {then.name}".rstrip(),
        }
        return _Wait(since=since, until=until) if until is not None and self.pools.as_of < until else None

    def _by_name(self, owner_key: str) -> _To:
        self.pools.took(owner_key.partition(":")[2])
        return _To(owner_key=owner_key)

    def _backup(self, owner: str, person: Candidate, step: _Trace) -> _To | None:
        """From backup to backup until somebody is free, nobody twice."""
        email = owner.partition(":")[2] if owner.startswith("rep:") else ""
        met = {email}
        asked: list[dict[str, str]] = []
        step["backups"] = asked
        while len(asked) < MOST_BACKUPS:
            rep = self.pools.team.reps.get(email)
            if rep is None or rep.backup is None or rep.backup in met:
                return None
            email = rep.backup
            met.add(email)
            skip = self.pools.skip(email, person)
            asked.append({"rep": email, "state": FREE if skip is None else skip.why})
            if skip is None:
                return self._by_name(f"rep:{email}")
        return None


def _owner(target: Target, person: Candidate) -> str:
    """The owner key a target names, blank when that is nobody."""
    if target.kind is TargetKind.REP:
        return f"rep:{target.name}"
    return person.facts.get(target.kind) or ""


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
