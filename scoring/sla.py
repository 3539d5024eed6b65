"""How soon sales must touch an MQL: what is due for whoever nobody has touched. Pure: the instant is an argument."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from scoring import hours as working_time
from scoring.policy import Sla
from scoring.team import Hours, Queue

__all__ = ["TOUCHES", "Due", "Happened", "Held", "Step", "alarm_at", "due", "first_touch", "reassigned_at"]

CALL = "call"
TOUCHES = frozenset({"email_reply", "meeting_booked", "meeting_held", CALL})
"""Kinds of events by which sales touches a person. No event says whose it is, so anybody's counts."""

_NOT_BY_US = frozenset({"inbound", "internal"})


class Step(StrEnum):
    """What becomes of an MQL whom nobody touches, in this order."""

    REMIND = "remind"
    """The owner is reminded."""
    REASSIGN = "reassign"
    """Another rep of the pool gets the person, and the clock starts anew."""
    GIVE_UP = "give_up"
    """The queue gets the person, the manager is told."""
    REPORT = "report"
    """The manager is told; the owner, whom no pool gave the person, keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An MQL in somebody's hands.

    since    when they were given it: the clock starts there
    hours    the calendar that is counted in, None: always open. Who is away is not spared
    pooled   a pool gave it to them, and can give it to another one
    changes  how often it went to another rep for want of a touch
    """

    since: datetime
    hours: Hours | None
    pooled: bool
    changes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """``at``: the instant from which the step was due."""

    step: Step
    at: datetime


def due(held: Held, rules: Sla, *, as_of: datetime, done: Collection[Step] = ()) -> tuple[Due, ...]:
    """The steps that are due at ``as_of`` for somebody whom nobody has touched, without those that are ``done``.

    A step that was missed, because nothing ran when it was due, is due all the same: however often it is asked, the
    same steps come out in the same order. What ends this assignment comes last.
    """
    if as_of - held.since < timedelta(minutes=rules.first_touch.minutes):
        return ()  # no calendar is quicker than the clock
    found: list[Due] = []
    reminded = working_time.after(held.hours, held.since, rules.first_touch)
    if reminded is not None:
        found.append(Due(step=Step.REMIND, at=reminded))
    passed = reassigned_at(held, rules)
    if passed is not None:
        found.append(Due(step=_last_step(held, rules), at=passed))
    return tuple(one for one in found if one.at <= as_of and one.step not in done)


def reassigned_at(held: Held, rules: Sla) -> datetime | None:
    """When an assignment that nobody follows up ends, or is reported; None: never."""
    if rules.reassign_after is None:
        return None
    return working_time.after(held.hours, held.since, rules.reassign_after)


def _last_step(held: Held, rules: Sla) -> Step:
    if not held.pooled:
        return Step.REPORT
    spent = rules.give_up_after is not None and held.changes >= rules.give_up_after
    return Step.GIVE_UP if spent else Step.REASSIGN


def alarm_at(queue: Queue, hours: Hours | None, since: datetime) -> datetime | None:
    """When somebody who waits in a queue since then is reported; None: never."""
    return None if queue.alarm_after is None else working_time.after(hours, since, queue.alarm_after)


# -- touches -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One event. ``timed`` False: only its day is known, and ``at`` is the midnight before it in UTC.

    ``direction`` of a call, in lower case; None: not said.
    """

    kind: str
    at: datetime
    timed: bool = True
    direction: str | None = None


def first_touch(events: Iterable[Happened], *, since: datetime, zone: str) -> datetime | None:
    """The first event by which sales touched a person after ``since``.

    A call counts unless it came in. Of what has a date only nobody can say whether it was before ``since`` or after on
    that day: it counts, since it is worse to take a person from a rep who has called.
    """
    day = working_time.local_day(zone, since)
    later = (
        event.at
        for event in events
        if _is_touch(event) and (event.at > since if event.timed else event.at.date() >= day)
    )
    return min(later, default=None)


def _is_touch(event: Happened) -> bool:
    return event.kind in TOUCHES and not (event.kind == CALL and event.direction in _NOT_BY_US)
