"""Who is free, and whose turn it is: the reps of team.yaml while people are routed. Pure: counters go in and out."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from math import gcd, lcm
from typing import Any
from zoneinfo import ZoneInfo

from connectors.records import Crm
from scoring import hours as working_time
from scoring.team import Hours, Pool, PoolMethod, PoolRep, Team
from sync.owners import OwnerDirectory

__all__ = ["FREE", "Candidate", "Counter", "Load", "Pools", "Skip"]

FREE = "free"

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An MQL who needs an owner.

    facts          canonical name -> value in stored form (`scoring.tables`); owners as owner keys; missing is absent
    crms           the CRMs in which the person has a record that is written
    total          greater is routed first, then the earlier ``qualified_at``, then the smaller ``person_id``
    worked_by      the owner key of whoever has the person's newest episode and is at work on it
    not_to         e-mails of reps who must not get the person (again)
    waiting_since  when nobody was free for the first time in this episode
    account        how ``company.owner`` was found where the person is linked to no company, for the trace
    """

    person_id: str
    episode: int
    facts: Mapping[str, Any]
    crms: tuple[Crm, ...]
    total: int
    qualified_at: datetime
    worked_by: str | None = None
    not_to: frozenset[str] = frozenset()
    waiting_since: datetime | None = None
    account: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """How many people a rep has had from a pool, and when the last one.

    weight  in hundredths, when the rep was last free there; None: not known
    missed  the rep was skipped since then for being away or at a cap
    """

    assigned: int = 0
    last_at: datetime | None = None
    weight: int | None = None
    missed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a rep has in hand, from whichever pool.

    ``given``: when pools gave them somebody, of the last days and in order; ``open``: open episodes that are theirs.
    """

    given: tuple[datetime, ...] = ()
    open: int = 0


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a rep is passed over. ``missed``: it counts as having missed somebody (policy-language ``catch_up``)."""

    why: str
    missed: bool = False


@dataclass(slots=True)
class _Hand:
    given: list[datetime] = field(default_factory=list)
    open: int = 0


@dataclass(frozen=True, slots=True)
class _Days:
    """Of a zone, in UTC: when the local day and ISO week of ``as_of`` begin and end."""

    day: tuple[datetime, datetime]
    week: tuple[datetime, datetime]


class Pools:
    """The reps while the people of one run are routed. ``counters`` and loads move with everybody who is given away.

    Parameters
    ----------
    counters: (pool, rep's e-mail) -> what the rep had from the pool; a rep without one is new in it
    loads: rep's e-mail -> what they have in hand
    as_of: the instant that is now
    timezone: the policy's zone, for reps and pools without hours
    """

    def __init__(
        self,
        team: Team,
        directory: OwnerDirectory,
        counters: Mapping[tuple[str, str], Counter],
        loads: Mapping[str, Load],
        *,
        as_of: datetime,
        timezone: str,
    ) -> None:
        self.team = team
        self.as_of = as_of
        self.counters = dict(counters)
        self._directory = directory
        self._timezone = timezone
        self._hands = {email: _Hand(list(load.given), load.open) for email, load in loads.items()}
        self._member = {(name, m.email): m for name, pool in team.pools.items() for m in pool.reps}
        self._home: dict[str, Pool] = {}
        for pool in team.pools.values():
            for member in pool.reps:
                self._home.setdefault(member.email, pool)
        self._known: dict[tuple[str, tuple[Crm, ...]], str | None] = {}
        self._there: dict[tuple[str, str | None, bool], Skip | None] = {}
        self._days: dict[str, _Days] = {}

    # -- who is free

    def hours(self, email: str, pool: Pool | None = None) -> Hours | None:
        """The calendar of a rep: their own, else the pool's, by default the first of team.yaml that has them."""
        return self.team.calendar(email, pool or self._home.get(email))

    def pool_hours(self, pool: Pool) -> Hours | None:
        return None if pool.hours is None else self.team.hours[pool.hours]

    def skip(self, email: str, person: Candidate, pool: Pool | None = None, *, any_hours: bool = False) -> Skip | None:
        """Why a rep cannot take the person now, the first reason in the order of policy-language 12.3; None: free.

        ``pool``: whose hours and caps apply, by default those of the first pool of team.yaml that has the rep.
        ``any_hours``: hours and holidays do not matter.
        """
        skip = self._not_in_reach(email, person)
        if skip is not None:
            return skip
        pool = pool or self._home.get(email)
        name = pool.name if pool is not None else None
        key = (email, name, any_hours)
        if key not in self._there:
            self._there[key] = self._not_there(email, pool, any_hours)
        member = self._member.get((name, email)) if name is not None else None
        return self._there[key] or (self._at_cap(member, pool) if member is not None else None)

    def why_not(self, owner_key: str, state: str, person: Candidate) -> str | None:
        """Why an owner is not as wanted; None when they are.

        ``active``: a rep who has not left and can own the person in the CRMs that take an owner; ``available``: also
        free now; ``working``: active, and at work on the person's newest episode.
        """
        kind, _, name = owner_key.partition(":")
        if kind != "rep":
            return f"{name} is no rep"
        skip = self.skip(name, person) if state == "available" else self._not_in_reach(name, person)
        if skip is not None:
            return f"{name}: {skip.why}"
        return f"{name}: not at work on them" if state == "working" and owner_key != person.worked_by else None

    def _not_in_reach(self, email: str, person: Candidate) -> Skip | None:
        key = (email, person.crms)
        if key not in self._known:
            self._known[key] = self._directory.why_not(email, person.crms)
        why = self._known[key]
        if why is not None:
            return Skip(why)
        return Skip("had them before") if email in person.not_to else None

    def _not_there(self, email: str, pool: Pool | None, any_hours: bool) -> Skip | None:
        hours = self.hours(email, pool)
        absence = working_time.away(self.team.reps[email], self.as_of, self._zone(email, pool))
        if absence is not None:
            return Skip(f"away {absence.text}", missed=True)
        if any_hours:
            return None
        if working_time.is_holiday(hours, self.as_of):
            return Skip("holiday")
        return None if working_time.is_open(hours, self.as_of) else Skip("out of hours")

    def _zone(self, email: str, pool: Pool | None) -> str:
        """The rep's, else the pool's, else the policy's."""
        hours = self.hours(email, pool)
        return self._timezone if hours is None else hours.zone

    def _at_cap(self, member: PoolRep, pool: Pool | None) -> Skip | None:
        hand = self._hands.get(member.email)
        if hand is None:
            return None
        if member.per_day is not None or member.per_week is not None:
            days = self._days_of(self._zone(member.email, pool))
            today, week = _within(hand.given, days.day), _within(hand.given, days.week)
            if member.per_day is not None and today >= member.per_day:
                return Skip(f"at cap {today}/{member.per_day} today", missed=True)
            if member.per_week is not None and week >= member.per_week:
                return Skip("at cap this week", missed=True)
        if member.open is not None and hand.open >= member.open:
            return Skip(f"at cap {member.open} open", missed=True)
        return None

    def _days_of(self, zone: str) -> _Days:
        if zone not in self._days:
            today = working_time.local_day(zone, self.as_of)
            monday = today - timedelta(days=today.weekday())
            self._days[zone] = _Days(day=_span(zone, today, 1), week=_span(zone, monday, 7))
        return self._days[zone]

    # -- whose turn it is

    def took(self, email: str, pool: Pool | None = None) -> None:
        """Count somebody who was given to a rep, by a pool or by name."""
        hand = self._hands.setdefault(email, _Hand())
        hand.open += 1
        if pool is None:
            return
        insort(hand.given, self.as_of)
        before = self.counters.get((pool.name, email), Counter())
        self.counters[pool.name, email] = replace(before, assigned=before.assigned + 1, last_at=self.as_of)

    def draw(self, name: str, person: Candidate) -> tuple[str | None, dict[str, Any]]:
        """The rep whose turn it is, who has the person from now on; None when nobody is free. With the trace of it."""
        pool = self.team.pools[name]
        skips = {member.email: self.skip(member.email, person, pool) for member in pool.reps}
        trace: dict[str, Any] = {"pool": name}
        if pool.nobody_free.anyway and all(skips.values()):
            skips = {member.email: self.skip(member.email, person, pool, any_hours=True) for member in pool.reps}
            trace["anyway"] = "nobody was free: hours and holidays did not matter"
        levelled = self._level(pool, skips)
        trace["reps"] = [self._row(pool, member, skips[member.email]) for member in pool.reps]
        if levelled:
            trace["levelled"] = levelled
        free = [member for member in pool.reps if skips[member.email] is None]
        trace["pick"] = None
        if not free:
            return None, trace
        trace["pick"], trace["decided_by"] = self._first(pool, free, person)
        self.took(trace["pick"], pool)
        return trace["pick"], trace

    def _first(self, pool: Pool, free: Sequence[PoolRep], person: Candidate) -> tuple[str, str]:
        """The smallest share, the longest wait, the smaller draw; and which of these comparisons decided."""
        if len(free) == 1:
            return free[0].email, "the only one free"
        scale = lcm(*(_weight(pool, member) for member in free))
        shares = {m.email: (2 * self._count(pool, m) + 1) * (scale // _weight(pool, m)) for m in free}
        least = min(shares.values())
        tied = [email for email, share in shares.items() if share == least]
        if len(tied) == 1:
            return tied[0], "share"
        waits = {email: self._counter(pool, email).last_at or NEVER for email in tied}
        longest = min(waits.values())
        tied = [email for email in tied if waits[email] == longest]
        if len(tied) == 1:
            return tied[0], "wait"
        drawn = {hashlib.sha256(f"{pool.name}|{e}|{person.person_id}".encode()).hexdigest(): e for e in tied}
        return drawn[min(drawn)], "draw"

    def _counter(self, pool: Pool, email: str) -> Counter:
        return self.counters.get((pool.name, email), Counter())

    def _count(self, pool: Pool, member: PoolRep) -> int:
        """What is shared out evenly: people had from the pool, or people in hand."""
        if pool.method is PoolMethod.LEAST_OPEN:
            hand = self._hands.get(member.email)
            return 0 if hand is None else hand.open
        return self._counter(pool, member.email).assigned

    def _level(self, pool: Pool, skips: Mapping[str, Skip | None]) -> list[dict[str, Any]]:
        """Reps who are back, new or of another weight begin at the level of the others: nobody is flooded.

        Whoever is away or at a cap now is noted, to be levelled when they are free again.
        """
        back: list[PoolRep] = []
        steady: list[PoolRep] = []
        for member in pool.reps:
            skip, counter = skips[member.email], self.counters.get((pool.name, member.email))
            if skip is not None:
                if skip.missed and counter is not None and not counter.missed:
                    self.counters[pool.name, member.email] = replace(counter, missed=True)
            elif counter is None or counter.missed or counter.weight not in (None, _weight(pool, member)):
                back.append(member)
            else:
                steady.append(member)
                if counter.weight is None:
                    self.counters[pool.name, member.email] = replace(counter, weight=_weight(pool, member))
        levels = not pool.catch_up and pool.method is not PoolMethod.LEAST_OPEN and bool(steady)
        levelled: list[dict[str, Any]] = []
        for member in back:
            before = self._counter(pool, member.email)
            after = max(before.assigned, self._level_of(pool, member, steady)) if levels else before.assigned
            self.counters[pool.name, member.email] = replace(
                before, assigned=after, weight=_weight(pool, member), missed=False
            )
            if after != before.assigned:
                levelled.append({"rep": member.email, "before": before.assigned, "after": after})
        return levelled

    def _level_of(self, pool: Pool, member: PoolRep, steady: Sequence[PoolRep]) -> int:
        """ceil(weight * least share of the steady ones - 1/2), in whole numbers."""
        weight = _weight(pool, member)
        # ceil(w * (2a + 1) / 2v - 1/2) = ceil((w * (2a + 1) - v) / 2v), smallest where the share of v is
        exact = ((weight * (2 * self._count(pool, s) + 1) - _weight(pool, s), 2 * _weight(pool, s)) for s in steady)
        return min(-(-above // below) for above, below in exact)

    def _row(self, pool: Pool, member: PoolRep, skip: Skip | None) -> dict[str, Any]:
        counter = self._counter(pool, member.email)
        weight, count = _weight(pool, member), self._count(pool, member)
        row: dict[str, Any] = {
            "rep": member.email,
            "state": FREE if skip is None else skip.why,
            "assigned": counter.assigned,
            "weight": _as_number(weight),
            "ratio": _fraction(50 * (2 * count + 1), weight),
            "last": _as_moment(counter.last_at) if counter.last_at else None,
        }
        return row | {"open": count} if pool.method is PoolMethod.LEAST_OPEN else row


def _weight(pool: Pool, member: PoolRep) -> int:
    """In hundredths."""
    return 100 if pool.method is PoolMethod.EVEN else member.weight


# A run asks for the same few again and again: a row a rep for everybody who is routed.


@lru_cache(maxsize=256)
def _as_number(hundredths: int) -> str:
    return f"{(Decimal(hundredths) / 100).normalize():f}"


@lru_cache(maxsize=256)
def _as_moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _fraction(above: int, below: int) -> str:
    """In its lowest terms: ``13/4``, ``3``."""
    common = gcd(above, below)
    above, below = above // common, below // common
    return str(above) if below == 1 else f"{above}/{below}"


def _span(zone: str, first: date, days: int) -> tuple[datetime, datetime]:
    """So many local days, in UTC."""
    ends = (datetime.combine(day, time(), ZoneInfo(zone)) for day in (first, first + timedelta(days=days)))
    start, end = (at.astimezone(UTC) for at in ends)
    return start, end


def _within(instants: Sequence[datetime], span: tuple[datetime, datetime]) -> int:
    return bisect_left(instants, span[1]) - bisect_left(instants, span[0])
