"""team.yaml as types: who can take leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

__all__ = ["Away", "Delay", "Hours", "NobodyFree", "Pool", "PoolMethod", "PoolRep", "Queue", "Rep", "Team"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """``4 working hours``, ``30 minutes``. ``working``: counted while the calendar it is measured in is open."""

    minutes: int
    working: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When work is done.

    days      for Monday to Sunday the open intervals, half-open, in minutes since midnight, wall clock of ``zone``
    holidays  a code of the package `holidays`: a country (``US``) or country and subdivision (``GB-ENG``)
    closed    further closed days, first and last of each, both included
    """

    name: str
    zone: str
    days: tuple[tuple[tuple[int, int], ...], ...]
    holidays: str | None = None
    closed: tuple[tuple[date, date], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """An absence: from ``start`` until before ``end``, wall clock without zone. ``text`` as team.yaml says it."""

    text: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rep:
    """A person who takes leads, named by e-mail in lower case. Owner ids only where team.yaml gives them.

    ``hours`` replace the pool's; ``backup`` is the e-mail of another rep.
    """

    email: str
    name: str
    hubspot: str | None = None
    salesforce: str | None = None
    left: bool = False
    backup: str | None = None
    hours: str | None = None
    away: tuple[Away, ...] = ()


class PoolMethod(StrEnum):
    WEIGHTED = "weighted"
    EVEN = "even"
    LEAST_OPEN = "least open"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRep:
    """``weight`` in hundredths: 200 receives twice as many as 100.

    ``per_day``, ``per_week``: most new assignments, of any pool, on the rep's local date and in its ISO week.
    ``open``: most open episodes owned.
    """

    email: str
    weight: int = 100
    per_day: int | None = None
    per_week: int | None = None
    open: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NobodyFree:
    """What a pool does when nobody is free.

    ``wait`` None and not ``anyway``: to the queue at once. ``wait``: try again for so long, then the queue.
    ``anyway``: hours and holidays are ignored, and if there is still nobody, the queue.
    """

    queue: str
    wait: Delay | None = None
    anyway: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """``catch_up``: a rep who was away or at a cap gets afterwards what was missed."""

    name: str
    method: PoolMethod
    nobody_free: NobodyFree
    reps: tuple[PoolRep, ...]
    hours: str | None = None
    catch_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """``hubspot`` and ``salesforce``: owner id or queue (developer) name; None leaves the owner as it is.

    ``tell``: e-mail of who hears of people waiting here longer than ``alarm_after``, counted in ``hours``.
    """

    name: str
    hubspot: str | None = None
    salesforce: str | None = None
    tell: str | None = None
    alarm_after: Delay | None = None
    hours: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """``unowned``: e-mails (lower case) and queue names whose records count as owned by nobody.

    ``managers``: pool -> the e-mail of who hears when nobody of the pool touches a lead.
    """

    reps: Mapping[str, Rep] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    unowned: frozenset[str] = frozenset()
    hours: Mapping[str, Hours] = field(default_factory=dict)
    managers: Mapping[str, str] = field(default_factory=dict)

    def home(self, email: str) -> Pool | None:
        """The first pool that has a rep."""
        return next((pool for pool in self.pools.values() if any(m.email == email for m in pool.reps)), None)

    def calendar(self, email: str, pool: Pool | None = None) -> Hours | None:
        """The hours of a rep: their own, else the pool's, by default that of their home; None: always at work."""
        rep = self.reps.get(email)
        pool = pool or self.home(email)
        name = (rep.hours if rep is not None else None) or (pool.hours if pool is not None else None)
        return None if name is None else self.hours[name]
