"""Who gets a person: the routing rules, and the draw from a pool. Pure: counters go in and come out.

People are routed best first. A decision carries its trace: each rule with what made it false, each rep of the pool with
why not, and which comparison decided, so that "why this rep" is read and never computed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from connectors.records import Crm, Owner, OwnerKind
from scoring.fact_judge import FactJudge
from scoring.phrases import say
from scoring.policy import Result, Route, Target, TargetKind, WritePlan
from scoring.team import Pool, PoolMethod, PoolRep, Team

__all__ = ["Assigned", "Candidate", "Counter", "OwnerDirectory", "assign", "takers"]

QUEUE_PREFIX = "00G"
"""How the id of a Salesforce group, and so of a queue, begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An MQL who needs an owner.

    facts         canonical name -> value in stored form (`scoring.tables`); owners as owner keys; missing is absent
    crms          the CRMs in which the person has a record that is written
    total         greater is routed first, then the earlier ``qualified_at``, then the smaller ``person_id``
    """

    person_id: str
    episode: int
    facts: Mapping[str, Any]
    crms: tuple[Crm, ...]
    total: int
    qualified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """How many people a rep has had from a pool, and when the last one."""

    assigned: int = 0
    last_at: datetime | None = None


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


# -- owners ------------------------------------------------------------------------------------------------------


def takers(write: WritePlan, deciding: Iterable[Crm]) -> tuple[Crm, ...]:
    """The CRMs, of those that decide on owners, to which the policy writes one."""
    writing = {crm for (crm, _), properties in write.properties.items() if Result.OWNER in properties}
    return tuple(crm for crm in deciding if crm in writing)


class OwnerDirectory:
    """Who can own records, as the CRMs last said, and who of them is a rep.

    Parameters
    ----------
    owners: users and queues of both CRMs
    team: team.yaml; its owner ids go before e-mail addresses
    crms: the connected CRMs
    takes: the CRMs in which a rep must be able to own a person to be given one; None: all of them
    """

    def __init__(
        self, *, owners: Iterable[Owner], team: Team, crms: Sequence[Crm], takes: Sequence[Crm] | None = None
    ) -> None:
        self._team = team
        self.crms = tuple(crms)
        self.takes = self.crms if takes is None else tuple(takes)
        self._owners = {(o.crm, o.id): o for o in owners}
        self._unowned = {name.casefold() for name in team.unowned}
        self._users: dict[tuple[Crm, str], Owner] = {}
        for owner in sorted(self._owners.values(), key=lambda o: (not o.active, o.id)):
            # several users can share an address; the active one is meant
            if owner.email and owner.kind is OwnerKind.USER:
                self._users.setdefault((owner.crm, owner.email.casefold()), owner)
        self._of_rep: dict[tuple[Crm, str], str] = {}
        self._rep_of: dict[tuple[Crm, str], str] = {}
        for crm in Crm:
            for email in team.reps:
                self._enter(crm, email)

    def _enter(self, crm: Crm, email: str) -> None:
        rep = self._team.reps[email]
        given = rep.hubspot if crm is Crm.HUBSPOT else rep.salesforce
        if given is not None:
            owner_id = self._whole_id(crm, given)
            self._of_rep[crm, email] = owner_id
            self._rep_of[crm, owner_id] = email
            return
        user = self._users.get((crm, email))
        if user is not None:
            self._of_rep[crm, email] = user.id
            for (of, owner_id), owner in self._owners.items():
                if of is crm and owner.kind is OwnerKind.USER and (owner.email or "").casefold() == email:
                    self._rep_of.setdefault((crm, owner_id), email)

    def _whole_id(self, crm: Crm, given: str) -> str:
        """The id as the CRM says it: Salesforce shows people the first 15 of its 18 characters."""
        if crm is Crm.SALESFORCE and len(given) == 15:
            return next((i for of, i in self._owners if of is crm and i[:15] == given), given)
        return given

    # -- from a CRM to us

    def owner_key(self, crm: Crm, owner_id: str | None) -> str | None:
        """Who owns a record, None when that is nobody: blank, a queue, inactive, mqlsync itself, or ``unowned``.

        An id the CRM has not listed is somebody.
        """
        if not owner_id:
            return None
        owner = self._owners.get((crm, owner_id))
        if owner is None:
            if crm is Crm.SALESFORCE and owner_id.startswith(QUEUE_PREFIX):
                return None
        elif owner.kind is OwnerKind.QUEUE or not owner.active or owner.integration or self._is_unowned(owner):
            return None
        email = self._rep_of.get((crm, owner_id))
        return f"rep:{email}" if email is not None else f"user:{crm}:{owner_id}"

    def _is_unowned(self, owner: Owner) -> bool:
        names = {name.casefold() for name in (owner.email, owner.name, owner.label, owner.id) if name}
        return bool(names & self._unowned)

    # -- from us to a CRM

    def owner_id_for(self, owner_key: str, crm: Crm, object: str) -> str | None:
        """The owner id to write on a record of ``object``; None leaves the owner as it is.

        None for whoever cannot own it: not mapped to this CRM, inactive, or a queue that does not take the object.
        """
        kind, _, name = owner_key.partition(":")
        match kind:
            case "rep":
                return self._active_id(crm, self._of_rep.get((crm, name)))
            case "queue":
                return self._queue_id(name, crm, object)
            case _:
                of, _, owner_id = name.partition(":")
                if of == crm:
                    return owner_id
                owner = self._owners.get((Crm(of), owner_id))
                twin = self._users.get((crm, owner.email.casefold())) if owner and owner.email else None
                return self._active_id(crm, twin.id if twin else None)

    def _active_id(self, crm: Crm, owner_id: str | None) -> str | None:
        owner = self._owners.get((crm, owner_id)) if owner_id is not None else None
        return owner.id if owner is not None and owner.active else None

    def _queue_id(self, name: str, crm: Crm, object: str) -> str | None:
        queue = self._team.queues.get(name)
        wanted = None if queue is None else queue.hubspot if crm is Crm.HUBSPOT else queue.salesforce
        owner = self._named(crm, wanted) if wanted is not None else None
        if owner is None or not owner.active:
            return None
        if crm is Crm.SALESFORCE and owner.kind is OwnerKind.QUEUE:
            takes = {o.casefold() for o in owner.objects} or {"lead"}
            # no queue of any org can own a Contact, whatever its list of objects says
            if object not in takes or object == "contact":
                return None
        return owner.id

    def _named(self, crm: Crm, wanted: str) -> Owner | None:
        """A queue or user by id, developer name, label or e-mail address, queues first."""
        found = self._owners.get((crm, self._whole_id(crm, wanted)))
        if found is not None:
            return found
        folded = wanted.casefold()
        return next(
            (
                o
                for o in sorted(self._owners.values(), key=lambda o: (o.kind is not OwnerKind.QUEUE, o.id))
                if o.crm is crm and folded in {n.casefold() for n in (o.name, o.label, o.email) if n}
            ),
            None,
        )

    # -- reps

    def is_active(self, owner_key: str | None, crms: Sequence[Crm]) -> bool:
        """Whether an owner is a rep at work: of team.yaml, not left, active where these CRMs take an owner."""
        kind, _, email = (owner_key or "").partition(":")
        return kind == "rep" and self.why_not(email, crms) is None

    def why_not(self, email: str, crms: Sequence[Crm]) -> str | None:
        """Why a rep cannot take a person with records in ``crms``; None when they can."""
        rep = self._team.reps.get(email)
        if rep is None or rep.left:
            return "left"
        deciding = [crm for crm in self.takes if crm in crms] or [crm for crm in self.crms if crm in crms]
        ids = {crm: self._of_rep.get((crm, email)) for crm in deciding}
        owners = {crm: self._owners.get((crm, i)) for crm, i in ids.items() if i is not None}
        if any(owner is not None and not owner.active for owner in owners.values()):
            return "inactive in CRM"
        unmapped = next((crm for crm in deciding if owners.get(crm) is None), None)
        return f"unmapped in {unmapped}" if unmapped is not None else None

    def problems(self) -> tuple[str, ...]:
        """What team.yaml says and a CRM does not know: one sentence each, for `check`."""
        found: list[str] = []
        for rep in self._team.reps.values():
            why = None if rep.left else self.why_not(rep.email, self.crms)
            if why is not None:
                found.append(f"{rep.email} is {why}: people who would be theirs go to the next rep or to the queue")
        for queue in self._team.queues.values():
            for crm, wanted in ((Crm.HUBSPOT, queue.hubspot), (Crm.SALESFORCE, queue.salesforce)):
                if crm in self.crms and wanted is not None and self._named(crm, wanted) is None:
                    found.append(f"queue {queue.name}: {crm} has no owner or queue '{wanted}'; the owner stays")
        return tuple(found)


# -- assignment --------------------------------------------------------------------------------------------------


def assign(
    people: Sequence[Candidate],
    team: Team,
    routing: Sequence[Route],
    directory: OwnerDirectory,
    counters: Mapping[tuple[str, str], Counter],
    *,
    as_of: datetime,
    timezone: str = "UTC",
) -> tuple[list[Assigned], dict[tuple[str, str], Counter]]:
    """Route everybody, best first.

    Parameters
    ----------
    people: in any order
    counters: (pool, rep's e-mail) -> what the rep had from the pool; a rep without one is new in it
    as_of: the instant the run decides for
    timezone: the policy's zone, in which spans of days end

    Returns
    -------
    One `Assigned` a person in the order they were routed, and the counters after it.
    """
    draw = _Draw(team, directory, dict(counters), as_of)
    day = as_of.astimezone(ZoneInfo(timezone)).date()
    ordered = sorted(people, key=lambda p: (-p.total, p.qualified_at, p.person_id))
    return [_route(person, routing, draw, day) for person in ordered], draw.counters


def _route(person: Candidate, routing: Sequence[Route], draw: _Draw, day: date) -> Assigned:
    judge = FactJudge(person.facts, day, lambda owner, state: draw.directory.is_active(owner, person.crms))
    rules: list[dict[str, Any]] = []
    trace: dict[str, Any] = {"as_of": draw.as_of.astimezone(UTC).isoformat(), "rules": rules}
    for route in routing:
        false = judge.first_false(route.when) if route.when is not None else None
        step: dict[str, Any] = {"rule": route.name, "true": false is None}
        rules.append(step)
        if false is not None:
            step["false"] = say(false)
            step["found"] = judge.found(false)
            continue
        found = _lead_to(route, person, draw, step)
        if found is not None:
            owner_key, pool, drawn = found
            step["to"] = owner_key
            if drawn is not None:
                trace["pool"] = drawn
            return Assigned(
                person_id=person.person_id,
                episode=person.episode,
                owner_key=owner_key,
                why=route.name,
                pool=pool,
                trace=trace,
            )
    raise ValueError("no routing rule took the person: the last one must lead to a queue")


_Found = tuple[str, str | None, dict[str, Any] | None]


def _lead_to(route: Route, person: Candidate, draw: _Draw, step: dict[str, Any]) -> _Found | None:
    """Where a rule leads: owner key, pool and the trace of the draw; None is the next rule."""
    match route.to.kind:
        case TargetKind.POOL | TargetKind.QUEUE:
            return _to(route.to, person, draw)
        case TargetKind.REP:
            owner = f"rep:{route.to.name}"
        case _:
            owner = person.facts.get(route.to.kind) or ""
    if not owner:
        step["away"] = f"{route.to.kind} is nobody"
        return None
    if draw.directory.is_active(owner, person.crms):
        return owner, None, None
    kind, _, name = owner.partition(":")
    step["away"] = f"{name}: {draw.directory.why_not(name, person.crms)}" if kind == "rep" else f"{name} is no rep"
    return _to(route.if_away, person, draw) if isinstance(route.if_away, Target) else None


def _to(target: Target, person: Candidate, draw: _Draw) -> _Found:
    if target.kind is TargetKind.QUEUE:
        return f"queue:{target.name}", None, None
    owner, drawn = draw.pick(target.name, person)
    if owner is None:
        return f"queue:{draw.team.pools[target.name].nobody_free.queue}", None, drawn
    return f"rep:{owner}", target.name, drawn


@dataclass(slots=True)
class _Draw:
    """The pools while people are routed; ``counters`` move with every pick."""

    team: Team
    directory: OwnerDirectory
    counters: dict[tuple[str, str], Counter]
    as_of: datetime

    def pick(self, name: str, person: Candidate) -> tuple[str | None, dict[str, Any]]:
        """The rep whose turn it is, None when nobody can, with the trace of the draw."""
        pool = self.team.pools[name]
        reasons = {member.email: self.directory.why_not(member.email, person.crms) for member in pool.reps}
        free = [member for member in pool.reps if reasons[member.email] is None]
        levelled = self._level(pool, free)
        trace: dict[str, Any] = {
            "pool": name,
            "reps": [self._row(pool, member, reasons[member.email]) for member in pool.reps],
        }
        if levelled:
            trace["levelled"] = levelled
        if not free:
            trace["pick"] = None
            trace["nobody_free"] = f"queue {pool.nobody_free.queue}"
            return None, trace
        ranked = sorted((self._rank(pool, member, person), member.email) for member in free)
        trace["pick"] = ranked[0][1]
        trace["decided_by"] = _decided_by([rank for rank, _ in ranked])
        picked = name, ranked[0][1]
        before = self.counters[picked]
        self.counters[picked] = Counter(assigned=before.assigned + 1, last_at=self.as_of)
        return ranked[0][1], trace

    def _weight(self, pool: Pool, member: PoolRep) -> Fraction:
        return Fraction(1) if pool.method is PoolMethod.EVEN else Fraction(member.weight, 100)

    def _ratio(self, pool: Pool, member: PoolRep) -> Fraction:
        return (self.counters[pool.name, member.email].assigned + Fraction(1, 2)) / self._weight(pool, member)

    def _rank(self, pool: Pool, member: PoolRep, person: Candidate) -> tuple[Fraction, datetime, str]:
        last = self.counters[pool.name, member.email].last_at or datetime.min.replace(tzinfo=UTC)
        draw = hashlib.sha256(f"{pool.name}|{member.email}|{person.person_id}".encode()).hexdigest()
        return self._ratio(pool, member), last, draw

    def _level(self, pool: Pool, free: Sequence[PoolRep]) -> list[dict[str, Any]]:
        """Reps who are new in the pool begin at the others' level: nobody has to be caught up with."""
        old = [member for member in free if (pool.name, member.email) in self.counters]
        least = min((self._ratio(pool, member) for member in old), default=None)
        levelled: list[dict[str, Any]] = []
        for member in free:
            if (pool.name, member.email) in self.counters:
                continue
            level = 0
            if least is not None:
                exact = self._weight(pool, member) * least - Fraction(1, 2)
                level = max(0, -(-exact.numerator // exact.denominator))
            self.counters[pool.name, member.email] = Counter(assigned=level)
            if level:
                levelled.append({"rep": member.email, "before": 0, "after": level})
        return levelled

    def _row(self, pool: Pool, member: PoolRep, reason: str | None) -> dict[str, Any]:
        counter = self.counters.get((pool.name, member.email), Counter())
        ratio = (counter.assigned + Fraction(1, 2)) / self._weight(pool, member)
        return {
            "rep": member.email,
            "state": reason or "free",
            "assigned": counter.assigned,
            "weight": str((Decimal(member.weight) / 100).normalize()) if pool.method is PoolMethod.WEIGHTED else "1",
            "ratio": str(ratio),
            "last": counter.last_at.astimezone(UTC).isoformat() if counter.last_at else None,
        }


def _decided_by(ranks: Sequence[tuple[Fraction, datetime, str]]) -> str:
    """Which comparison set the first apart from the second."""
    if len(ranks) == 1:
        return "the only one free"
    first, second = ranks[0], ranks[1]
    if first[0] != second[0]:
        return "share"
    return "wait" if first[1] != second[1] else "draw"
