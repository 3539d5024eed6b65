"""What is left of a CRM's day, and whether what is to come fits into it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.records import Crm, DayQuota
from sync.forecast import DAYS, forecasts, stored
from sync.schedule import Cron, Every
from sync.store.runs import RunRow, RunState

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MIDNIGHT_IN_BERLIN = datetime(2026, 11, 25, 23, 0, tzinfo=UTC)
QUARTER = Every(interval=timedelta(minutes=15))


def run(*, job: str = "sync", calls: int = 20, state: RunState = RunState.SUCCEEDED, **days: Any) -> RunRow:
    return RunRow(
        run_id="r",
        job=job,
        slot="s",
        slot_at=NOON,
        state=state,
        stage=None,
        trigger="schedule",
        as_of=NOON,
        queued_at=NOON,
        started_at=NOON,
        finished_at=NOON,
        host=None,
        pid=None,
        policy_version=None,
        counts={DAYS: days} if days else {},
        calls={"hubspot": {"search": calls - 1, "list": 1}},
        error=None,
    )


def told(left: int, *, limit: int = 1000, resets_at: datetime | None = MIDNIGHT_IN_BERLIN) -> dict[str, Any]:
    day = DayQuota(limit=limit, left=left, resets_at=resets_at)
    form: dict[str, Any] = stored({Crm.HUBSPOT: day}, {Crm.HUBSPOT: "Europe/Berlin"})["hubspot"]
    return form


def test_the_runs_until_midnight_where_the_account_is_are_weighed_against_what_is_left() -> None:
    [day] = forecasts([run(hubspot=told(900)), run(calls=24), run(calls=22)], {"sync": QUARTER}, now=NOON)
    assert (day.left, day.limit, day.runs, day.calls, day.fits) == (900, 1000, 44, 44 * 22, False)
    assert f"{day.resets_at:%Y-%m-%d %H:%M %Z}" == "2026-11-26 00:00 CET"
    [later] = forecasts([run(hubspot=told(900))], {"sync": QUARTER}, now=NOON + timedelta(hours=2))
    assert (later.runs, later.calls, later.fits) == (36, 720, True)


def test_every_job_costs_what_its_own_runs_did() -> None:
    jobs = {
        "sync": Every(interval=timedelta(hours=1)),
        "night": Cron(expression="0 23 * * *", timezone="Europe/Berlin"),
    }
    [day] = forecasts([run(calls=10, hubspot=told(900)), run(job="night", calls=300)], jobs, now=NOON)
    assert (day.runs, day.calls) == (12, 11 * 10 + 300)


def test_a_first_load_does_not_stand_for_what_a_run_costs() -> None:
    newest = [run(calls=20, hubspot=told(900)), run(calls=21), run(calls=5_000)]
    [day] = forecasts(newest, {"sync": Every(interval=timedelta(hours=1))}, now=NOON)
    assert day.calls == 11 * 21


def test_a_day_that_has_turned_is_whole_again() -> None:
    [day] = forecasts([run(hubspot=told(3))], {}, now=NOON + timedelta(days=2))
    assert day.left == day.limit == 1000
    assert day.resets_at == datetime(2026, 11, 27, 23, 0, tzinfo=UTC)


def test_a_rolling_day_looks_24_hours_ahead() -> None:
    [day] = forecasts([run(hubspot=told(900, resets_at=None))], {"sync": Every(interval=timedelta(hours=1))}, now=NOON)
    assert (day.resets_at, day.runs) == (None, 24)


def test_without_a_run_that_ended_well_nobody_knows_what_one_takes() -> None:
    [day] = forecasts([run(state=RunState.FAILED, hubspot=told(900))], {"sync": QUARTER}, now=NOON)
    assert (day.calls, day.fits) == (None, None)


def test_the_newest_word_counts() -> None:
    [day] = forecasts([run(hubspot=told(10)), run(hubspot=told(500))], {}, now=NOON)
    assert day.left == 10
    assert forecasts([run()], {}, now=NOON) == ()
