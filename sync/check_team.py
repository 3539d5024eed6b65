"""What `mqlsync check` finds in the team: leave that overlaps, calendars that stay closed, pools without anybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from zoneinfo import ZoneInfo

from connectors.records import Crm
from scoring import hours as working_time
from scoring.policy import Policy
from scoring.team import NobodyFree, Pool, Rep
from sync.owners import OwnerDirectory

__all__ = ["empty_pools", "overlapping_leave", "shut_hours"]

AHEAD = timedelta(days=90)
"""How far ahead leave is looked at."""

Span = tuple[datetime, datetime]
Told = tuple[str, str]
"""Where something is, and what is said of it."""


def shut_hours(policy: Policy, *, now: datetime) -> Iterator[Told]:
    """Calendars that do not open any more. Nobody waits by them: their people go to the queue at once."""
    for hours in policy.team.hours.values():
        if any(hours.days) and working_time.next_opening(hours, now) is None:
            yield f"team.yaml: hours.{hours.name}", "closed for good; nobody is ever free by these hours"


def overlapping_leave(policy: Policy, *, now: datetime) -> Iterator[Told]:
    """Pools all of whose reps are on leave at once, in the next 90 days."""
    for pool in policy.team.pools.values():
        here = [rep for m in pool.reps if not (rep := policy.team.reps[m.email]).left]
        if not here:
            continue
        for start, end in reduce(_both, (_leave(policy, rep, pool) for rep in here)):
            if end > now and start < now + AHEAD:
                zone = ZoneInfo(_zone(policy, here[0], pool))
                first, last = (at.astimezone(zone).strftime("%Y-%m-%d %H:%M") for at in (start, end))
                where = f"team.yaml: pools.{pool.name}"
                yield (
                    where,
                    f"all of its reps are away from {first} until {last} {zone.key}; {_instead(pool.nobody_free)}",
                )


def empty_pools(policy: Policy, crm: Crm, directory: OwnerDirectory) -> Iterator[Told]:
    """Pools of which nobody can own a person in this CRM."""
    for pool in policy.team.pools.values():
        if all(directory.why_not(member.email, (crm,)) is not None for member in pool.reps):
            where = f"team.yaml: pools.{pool.name}"
            yield where, f"none of its reps can own people in {crm}; {_instead(pool.nobody_free)}"


def _instead(nobody: NobodyFree) -> str:
    waits = "people wait, then go" if nobody.wait is not None else "people go"
    return f"{waits} to queue {nobody.queue}"


def _zone(policy: Policy, rep: Rep, pool: Pool) -> str:
    name = rep.hours or pool.hours
    return policy.timezone if name is None else policy.team.hours[name].zone


def _leave(policy: Policy, rep: Rep, pool: Pool) -> list[Span]:
    """In UTC, in order; absences that meet are one."""
    zone = ZoneInfo(_zone(policy, rep, pool))
    spans = sorted(
        (away.start.replace(tzinfo=zone).astimezone(UTC), away.end.replace(tzinfo=zone).astimezone(UTC))
        for away in rep.away
    )
    joined: list[Span] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _both(ours: Sequence[Span], theirs: Sequence[Span]) -> list[Span]:
    """The time that is in both."""
    met = ((max(a, c), min(b, d)) for a, b in ours for c, d in theirs)
    return sorted((start, end) for start, end in met if start < end)
