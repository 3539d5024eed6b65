"""What is left of a CRM's calls of this day, and whether the runs that are still to come today fit into it.

From the store alone: the newest run tells what the CRM said, earlier runs what one of them costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from connectors.records import Crm, DayQuota
from sync.schedule import Schedule, slots
from sync.store.runs import RunRow, RunState

__all__ = ["DAYS", "Forecast", "forecasts", "stored"]

DAYS = "days"
"""Where a run's counts hold what its CRMs said of their day."""

RUNS_LOOKED_AT = 20
"""Newest runs of a job that say what one costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The day of one CRM.

    left       calls mqlsync may still make, as of ``told_at``; all of them when the day has turned since
    resets_at  when the count starts anew, in the account's zone; None: calls come back a day after they were made
    runs       that are due until then, or in the next 24 hours
    calls      they will take, if each takes what its job's runs took of late; None while none has run
    """

    crm: str
    limit: int
    left: int
    told_at: datetime
    resets_at: datetime | None
    runs: int
    calls: int | None

    @property
    def fits(self) -> bool | None:
        """None while nobody knows what a run takes."""
        return None if self.calls is None else self.calls <= self.left

    def as_json(self) -> dict[str, Any]:
        return {
            "limit": self.limit,
            "left": self.left,
            "told_at": self.told_at,
            "resets_at": self.resets_at,
            "planned_runs": self.runs,
            "planned_calls": self.calls,
            "fits": self.fits,
        }


def stored(days: Mapping[Crm, DayQuota], zones: Mapping[Crm, str]) -> dict[str, Any]:
    """The form in which a run's counts keep what its CRMs said."""
    return {
        str(crm): {
            "limit": day.limit,
            "left": day.left,
            "resets_at": day.resets_at.isoformat() if day.resets_at is not None else None,
            "zone": zones.get(crm, "UTC"),
        }
        for crm, day in days.items()
    }


def forecasts(newest: Sequence[RunRow], jobs: Mapping[str, Schedule], *, now: datetime) -> tuple[Forecast, ...]:
    """One for each CRM that has said something, from the newest runs (newest first) and the schedules."""
    told: dict[str, tuple[RunRow, Mapping[str, Any]]] = {}
    for run in newest:
        for crm, day in run.counts.get(DAYS, {}).items():
            told.setdefault(crm, (run, day))
    return tuple(_forecast(crm, run, day, newest, jobs, now) for crm, (run, day) in sorted(told.items()))


def _forecast(
    crm: str,
    run: RunRow,
    day: Mapping[str, Any],
    newest: Sequence[RunRow],
    jobs: Mapping[str, Schedule],
    now: datetime,
) -> Forecast:
    told_at = run.finished_at or run.queued_at
    resets_at = datetime.fromisoformat(day["resets_at"]) if day["resets_at"] is not None else None
    left = day["left"]
    if resets_at is not None and resets_at <= now:
        left, resets_at = day["limit"], _next_midnight(now, day["zone"])
    if resets_at is not None:
        resets_at = resets_at.astimezone(ZoneInfo(day["zone"]))
    until = resets_at or now + timedelta(days=1)
    due = {name: len(slots(schedule, now, until)) for name, schedule in jobs.items()}
    costs = {name: _cost(crm, name, newest) for name in due}
    known = [due[name] * cost for name, cost in costs.items() if cost is not None]
    return Forecast(
        crm=crm,
        limit=day["limit"],
        left=left,
        told_at=told_at,
        resets_at=resets_at,
        runs=sum(due.values()),
        calls=round(sum(known)) if known else None,
    )


def _cost(crm: str, job: str, newest: Sequence[RunRow]) -> float | None:
    """Calls that one run of a job takes of a CRM: the median, as a first load is like no other run."""
    done = (RunState.SUCCEEDED, RunState.PARTIAL)
    taken = [sum(run.calls.get(crm, {}).values()) for run in newest if run.job == job and run.state in done]
    return median(taken[:RUNS_LOOKED_AT]) if taken else None


def _next_midnight(now: datetime, zone: str) -> datetime:
    here = now.astimezone(ZoneInfo(zone))
    tomorrow = (here + timedelta(days=1)).date()
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
