"""A credential that is over stops a run and lets its job rest; a day that is over still writes what waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.sandbox.faults import Fault, FaultKind
from connectors.sandbox.hubspot import Limits
from sync.schedule import Every
from sync.store import runs
from sync.store.runs import RunRow, RunState
from sync.worker import Worker
from tests.support.shell import mqlsync
from tests.support.world import AS_OF, World, world


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, people=30) as scene:
        yield scene


@pytest.fixture
def by_oauth(small: World) -> Mapping[str, str]:
    """HubSpot as an app that rotates its refresh tokens; the secrets the environment needs then."""
    client_id, secret, refresh_token = small.box.hubspot.oauth
    small.box.hubspot.rotate_refresh_token = True
    signing_in = f'{{client_id: {client_id}, client_secret: "${{SECRET}}", refresh_token: "${{REFRESH}}"}}'
    small.edit_settings(('{token: "${HUBSPOT_TOKEN}"}', signing_in))
    return {"SECRET": secret, "REFRESH": refresh_token}


def test_a_run_signs_in_by_a_refresh_token_that_moves_on_with_every_process(
    small: World, by_oauth: Mapping[str, str]
) -> None:
    first = mqlsync("run", "--json", "--as-of", AS_OF.isoformat(), scene=small, environment=by_oauth)
    assert first.code in (0, 5), first.err
    again = mqlsync("run", "--json", "--as-of", AS_OF.isoformat(), scene=small, environment=by_oauth)
    assert (again.code, again.json["writes"]) == (0, 0)


def test_a_revoked_credential_is_exit_4_with_one_sentence_and_no_secret(
    small: World, by_oauth: Mapping[str, str]
) -> None:
    small.box.hubspot.revoke()
    small.box.reset_calls()
    answer = mqlsync("run", scene=small, environment=by_oauth)
    assert answer.code == 4
    said = answer.out + answer.err
    assert said.count("signing in was refused") == 1
    assert "BAD_REFRESH_TOKEN" in said or "invalid_grant" in said
    assert [secret for secret in by_oauth.values() if secret in said] == []
    assert small.box.calls["hubspot"] == {"POST /oauth/2026-03/token": 1}


def work(scene: World, now: datetime, *, since: datetime) -> list[RunRow]:
    """What a worker runs that was started at ``since`` and finds what is due ``now``."""
    executed: list[RunRow] = []
    with scene.opened() as opened:
        store, clock = opened.parts.store, iter([now + timedelta(seconds=n) for n in range(10_000)])

        def execute(row: RunRow, stopping: object) -> object:
            executed.append(row)
            return opened._execute(row, stop=lambda: False, requeue=True)

        worker = Worker(
            store=store,
            jobs={"sync": Every(interval=timedelta(minutes=15))},
            execute=execute,
            holder=opened.parts.holder,
            now=lambda: next(clock),
            new_id=opened.parts.new_id,
            poll=timedelta(milliseconds=1),
            since=since,
        )
        worker.run(threading.Event(), idle=lambda: True)
    return executed


def test_a_job_whose_credential_is_revoked_rests_until_somebody_acts(small: World) -> None:
    """Told by the run that meets it and by `status`: not by a refused call every quarter of an hour."""
    began = datetime.now(UTC) + timedelta(seconds=1)
    assert work(small, began, since=began) == []  # a new job waits for its first slot
    small.box.hubspot.revoke()
    [met] = work(small, began + timedelta(minutes=15), since=began - timedelta(days=1))
    asked = small.box.calls.total
    assert work(small, began + timedelta(minutes=30), since=began - timedelta(days=1)) == []
    assert work(small, began + timedelta(hours=9), since=began - timedelta(days=1)) == []
    assert small.box.calls.total == asked
    status = mqlsync("status", "--json", scene=small).json
    assert [(one["job"], one["run"]) for one in status["resting"]] == [("sync", met.run_id)]
    shown = mqlsync("status", scene=small).out
    assert "job sync rests since" in shown
    assert "mqlsync run sync --queue" in shown
    small.box.hubspot.grant()
    assert mqlsync("run", "--queue", scene=small).code == 0
    [queued] = work(small, began + timedelta(hours=9, minutes=15), since=began - timedelta(days=1))
    assert queued.trigger == "queue"
    assert mqlsync("status", "--json", scene=small).json["resting"] == []
    [due] = work(small, began + timedelta(hours=9, minutes=45), since=began - timedelta(days=1))
    assert due.trigger == "catch-up"


def test_a_worker_that_is_started_again_tries_again(small: World) -> None:
    began = datetime.now(UTC) + timedelta(seconds=1)
    work(small, began, since=began)
    small.box.hubspot.revoke()
    assert len(work(small, began + timedelta(minutes=15), since=began - timedelta(days=1))) == 1
    later = began + timedelta(minutes=30)
    assert len(work(small, later, since=later)) == 1


# -- quotas ------------------------------------------------------------------------------------------------------


def test_status_tells_what_is_left_of_the_day_and_until_when(small: World) -> None:
    now = datetime.now(UTC)
    small.box.clock.freeze(now)  # the command line has the machine's clock, and the portal's day must not be over by it
    zone, midnight, called = ("Asia/Tokyo", "15:00", "JST") if now.hour != 14 else ("Asia/Kolkata", "18:30", "IST")
    small.box.hubspot.time_zone = zone
    small.box.hubspot.limits = Limits(per_day=2_000)
    mqlsync("run", scene=small)
    document = mqlsync("status", "--json", scene=small).json
    hubspot, salesforce = document["days"]["hubspot"], document["days"]["salesforce"]
    assert 1_900 < hubspot["left"] < hubspot["limit"] == 2_000
    assert hubspot["resets_at"].endswith(f"T{midnight}:00Z")  # midnight there
    assert hubspot["planned_runs"] > 0
    assert hubspot["planned_calls"] > 0
    assert (salesforce["limit"], salesforce["resets_at"]) == (50_000, None)
    shown = mqlsync("status", scene=small).out
    assert "of 2,000 calls left until" in shown
    assert called in shown


def test_what_waits_is_written_from_the_calls_that_reading_leaves_alone(small: World) -> None:
    """Nine tenths of the day are read away: nothing is read any more, and yet nothing waits to be written."""
    small.edit_settings(("per_day: 650000", "per_day: 650000, kept_for_writing: 50%"))
    small.box.faults.add(Fault(kind=FaultKind.RATE_LIMITED, match="POST */contacts/batch/update", policy="DAILY"))
    assert mqlsync("run", scene=small).code == 6
    assert mqlsync("status", "--json", scene=small).json["outbox"]["pending"] > 0
    used = sum(small.box.calls["hubspot"].values())
    small.box.hubspot.limits = Limits(per_day=2 * used)
    answer = mqlsync("run", "--json", scene=small)
    assert answer.code == 6
    assert "kept for writing" in answer.json["error"]
    assert answer.json["writes"] > 0
    outbox = mqlsync("status", "--json", scene=small).json["outbox"]
    assert (outbox["pending"], outbox["unanswered"]) == (0, 0)


def test_the_run_row_of_a_refused_credential_says_so(small: World) -> None:
    small.box.salesforce.revoke()
    assert mqlsync("run", scene=small).code == 4
    with small.opened() as opened, opened.parts.store.read() as tx:
        found = runs.signed_out(tx, "sync")
        assert found is not None
        assert found.state is RunState.FAILED
        assert runs.signed_out(tx, "sync", since=datetime.now(UTC) + timedelta(minutes=1)) is None
