"""When a job is due. The only module that imports APScheduler.

A *slot* is the instant a run is for. Slots are a pure function of the schedule; the trigger is never jittered, because
a moved slot would be another slot. Interval schedules count from midnight UTC of 1970-01-01, so that every process
names the same slots; daily and weekly schedules are read in their own timezone, and the second firing of the hour that
is repeated in autumn has the slot of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

__all__ = ["Cron", "Due", "Every", "Schedule", "Ticker", "due", "next_slots", "slot_key"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_SLOTS = 1000
"""More missed slots than this are not listed one by one: a worker that slept for a year has other troubles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """``every: 15 minutes``"""

    interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """``cron: "0 3 * * sun"`` in a timezone. Five fields; weekdays by name only, because 0 means two different days."""

    expression: str
    timezone: str

    def __post_init__(self) -> None:
        fields = self.expression.split()
        if len(fields) != 5:
            raise ValueError(f"a cron line has five fields (minute hour day month weekday), this one has {len(fields)}")
        if any(c.isdigit() for c in fields[4]):
            raise ValueError("name the weekdays (mon, tue, ... sun): numbers mean different days in different programs")
        if fields[2] != "*" and fields[4] != "*":
            raise ValueError("give a day of the month or a weekday, not both: programs disagree on what both mean")
        self.trigger()

    def trigger(self) -> CronTrigger:
        minute, hour, day, month, weekday = self.expression.split()
        zone = ZoneInfo(self.timezone)
        return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=zone)


Schedule = Every | Cron


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What a look at the clock found: the slot to run, older ones it stands for, and those too old to matter."""

    run: datetime | None
    coalesced: tuple[datetime, ...] = ()
    missed: tuple[datetime, ...] = ()


def slot_key(schedule: Schedule, slot: datetime) -> str:
    """The name of a slot. Sorting names sorts times within one schedule.

    Cron slots are named by wall time without the offset: 02:30 that happens twice in autumn is one slot.
    """
    if isinstance(schedule, Every):
        return slot.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return slot.astimezone(ZoneInfo(schedule.timezone)).strftime("%Y-%m-%dT%H:%M:%S")


def slots(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """Every slot in (after, until], oldest first, at most the newest `MOST_SLOTS`, none named twice."""
    found: list[datetime] = []
    if isinstance(schedule, Every):
        n = (after - EPOCH) // schedule.interval + 1
        last = (until - EPOCH) // schedule.interval
        return [EPOCH + schedule.interval * k for k in range(max(n, last - MOST_SLOTS + 1), last + 1)]
    seen: set[str] = set()
    moment = _next(schedule, after)
    while moment is not None and moment <= until:
        if slot_key(schedule, moment) not in seen:
            seen.add(slot_key(schedule, moment))
            found.append(moment)
        moment = _next(schedule, moment)
    return found[-MOST_SLOTS:]


def _next(schedule: Cron, after: datetime) -> datetime | None:
    """The first firing later than ``after``, in UTC: two local times of the repeated hour compare as equal."""
    asked = after.astimezone(UTC)
    while True:
        asked += timedelta(seconds=1)
        found: datetime | None = schedule.trigger().get_next_fire_time(None, asked)
        if found is None or found.astimezone(UTC) > after:
            return found.astimezone(UTC) if found is not None else None
        # In the repeated hour the trigger answers with the first of the two times; ask from beyond it.
        asked += timedelta(hours=1)


def due(schedule: Schedule, *, since: datetime, at: datetime, catch_up: timedelta) -> Due:
    """What is to run at ``at`` when everything up to ``since`` is done.

    Several missed slots become the newest one. Slots older than ``catch_up`` are missed: too late to help.
    """
    found = slots(schedule, since, at)
    missed = tuple(slot for slot in found if at - slot > catch_up)
    alive = [slot for slot in found if at - slot <= catch_up]
    return Due(run=alive[-1] if alive else None, coalesced=tuple(alive[:-1]), missed=missed)


def next_slots(schedule: Schedule, *, at: datetime, n: int = 5) -> list[datetime]:
    """The coming slots, fewer than ``n`` when the schedule ends (``31 2`` never comes)."""
    if isinstance(schedule, Every):
        first = (at - EPOCH) // schedule.interval + 1
        return [EPOCH + schedule.interval * (first + k) for k in range(n)]
    out: list[datetime] = []
    moment = _next(schedule, at)
    while moment is not None and len(out) < n:
        out.append(moment)
        moment = _next(schedule, moment)
    return out


class Ticker:
    """Calls ``tick(job)`` at each of a job's times, from APScheduler's own threads.

    A late or repeated call is harmless: what is due is computed from the store, not from the call.
    """

    def __init__(self, jobs: dict[str, Schedule], tick: Callable[[str], None]) -> None:
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        for name, schedule in jobs.items():
            if isinstance(schedule, Every):
                seconds = schedule.interval.total_seconds()
                self._scheduler.add_job(tick, "interval", seconds=seconds, start_date=EPOCH, args=[name], id=name)
            else:
                self._scheduler.add_job(tick, schedule.trigger(), args=[name], id=name)

    def start(self) -> None:
        self._scheduler.start()

    def pause(self) -> None:
        self._scheduler.pause()

    def stop(self) -> None:
        """Return at once; a tick that is under way only inserts a row."""
        self._scheduler.shutdown(wait=False)
