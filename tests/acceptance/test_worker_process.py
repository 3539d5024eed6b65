"""The worker and the run as processes: schedules, the queue, signals, sudden death, and what they log."""

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.faults import Fault, FaultKind
from sync.store import runs
from sync.store.runs import RunState
from tests.support.shell import Answer, mqlsync, started, until
from tests.support.world import QUICK, World, world


@contextmanager
def due_world(folder: Path, *, people: int = 40) -> Iterator[World]:
    """Now, with one slot that is due and none to come while a test lasts.

    Slots count from 1970: a job that runs every as many hours as have passed since then was due at the last full hour,
    and is next in half a century.
    """
    now = datetime.now(UTC)
    with world(folder, people=people, at=now) as scene:
        scene.edit_settings(("every: 15 minutes", f"every: {int(now.timestamp()) // 3600} hours"))
        with scene.opened() as opened, opened.parts.store.write() as tx:
            before = now - timedelta(hours=2)
            runs.enqueue(
                tx, run_id="r_before", job="sync", slot="before", slot_at=before, trigger="schedule", now=before,
                state=RunState.SUCCEEDED,
            )  # fmt: skip
        yield scene


def query(scene: World, sql: str) -> list[dict[str, Any]]:
    """Look into the store while others work on it."""
    with closing(sqlite3.connect(scene.config.parent / "state" / "mqlsync.db", timeout=30)) as store:
        store.row_factory = sqlite3.Row
        return [dict(row) for row in store.execute(sql)]


def the_runs(scene: World) -> dict[str, dict[str, Any]]:
    """Everything that was run, or is to be, since the world began."""
    listed = query(scene, "select * from job_run where run_id <> 'r_before' and state <> 'coalesced'")
    return {row["run_id"]: row for row in listed}


def ended(scene: World, *, n: int = 1) -> bool:
    states = [row["state"] for row in the_runs(scene).values()]
    return len(states) == n and set(states) <= {"succeeded", "partial"}


def written_once(scene: World) -> bool:
    """No record was given its status twice, no task and no assignment exists twice."""
    statuses = [
        (entry.crm, entry.id)
        for entry in scene.box.journal.writes(via="api")
        if entry.op == "update" and {"mql_status", "MQL_Status__c"} & set(entry.changes)
    ]
    tasks = query(scene, "select person_id, n from episode where task_key is not null")
    made = [t for t in scene.box.salesforce.tasks() if t.get("MQL_Task_Key__c")]
    made += [t for t in scene.box.hubspot.tasks() if t.get("mqlsync_task_key")]
    return 0 < len(statuses) == len(set(statuses)) and len(tasks) == len(made)


def addresses(scene: World) -> set[str]:
    hubspot, salesforce = scene.box.hubspot, scene.box.salesforce
    found = {hubspot.get("contacts", id).get("email", "") for id in hubspot.ids("contacts")}
    found |= {str(row.get("Email") or "") for kind in ("Lead", "Contact", "User") for row in salesforce.all(kind)}
    return {address.casefold() for address in found if address}


def assert_discreet(scene: World, text: str) -> None:
    """Neither a secret nor anybody's address stands in a text."""
    folded = text.casefold()
    assert [address for address in addresses(scene) if address in folded] == []
    secrets = [*scene.environment.values(), scene.box.salesforce.session_id().partition("!")[0] + "!"]
    assert [secret for secret in secrets if secret.casefold() in folded] == []


def events(lines: list[str]) -> list[dict[str, Any]]:
    """Log lines, each a JSON object with a time and a level."""
    logged = [json.loads(line) for line in lines]
    assert all({"event", "level", "timestamp"} <= set(line) for line in logged)
    return logged


def test_a_worker_runs_what_is_due_and_what_is_queued_until_it_is_stopped(tmp_path):
    with due_world(tmp_path) as scene, started(scene, "worker") as worker:
        until(lambda: ended(scene), "the slot that was due has run")
        (caught_up,) = the_runs(scene).values()
        assert caught_up["trigger"] == "catch-up"
        queued = mqlsync("run", "--queue", "--json", scene=scene).json
        assert queued["state"] == "queued"
        until(lambda: ended(scene, n=2), "the queued run has run")
        assert worker.ask_to_stop() == 0
        listed = {run["run_id"]: run for run in mqlsync("runs", "--json", scene=scene).json["runs"]}
        assert listed[queued["run"]]["trigger"] == "queue"
        assert listed[queued["run"]]["counts"]["written"] == 0
        assert written_once(scene)
        logged = events(worker.lines)
        names = [line["event"] for line in logged]
        assert names[0] == "worker.started"
        assert names[-1] == "worker.stopped"
        assert names.count("run.finished") == 2
        assert_discreet(scene, "\n".join(worker.lines))


def test_sigterm_stops_between_two_batches_and_another_worker_goes_on_with_the_same_run(tmp_path):
    with due_world(tmp_path) as scene:
        scene.box.faults.add(Fault(kind=FaultKind.SLOW, match="GET */query*", delay=0.2, times=None))
        scene.box.reset_calls()
        with started(scene, "worker") as worker:
            until(lambda: any("query" in call for call in scene.box.calls["salesforce"]), "it reads Salesforce")
            assert worker.ask_to_stop() == 0
        (interrupted,) = the_runs(scene).values()
        assert interrupted["state"] == "queued"
        assert interrupted["error"] == "interrupted"
        scene.box.faults.clear()
        with started(scene, "worker") as worker:
            until(lambda: ended(scene), "the interrupted run has ended")
            assert worker.ask_to_stop() == 0
        (run,) = the_runs(scene).values()
        assert run["run_id"] == interrupted["run_id"]
        assert run["as_of"] == interrupted["as_of"]
        assert written_once(scene)


def test_a_worker_that_was_killed_while_writing_is_recovered_by_the_next(tmp_path):
    with due_world(tmp_path) as scene:
        scene.box.faults.add(Fault(kind=FaultKind.SLOW, match="POST */contacts/batch/update", delay=1.5))
        with started(scene, "worker") as worker:
            until(lambda: bool(query(scene, "select * from outbox where state = 'inflight'")), "rows are on their way")
            assert worker.ask_to_stop(signal.SIGKILL) == -signal.SIGKILL
        (dead,) = the_runs(scene).values()
        assert dead["state"] == "running"
        with started(scene, "worker") as worker:
            until(lambda: ended(scene), "the lost run has ended")
            assert worker.ask_to_stop() == 0
        (run,) = the_runs(scene).values()
        assert (run["run_id"], run["as_of"]) == (dead["run_id"], dead["as_of"])
        assert "worker.run_lost" in [line["event"] for line in events(worker.lines)]
        assert query(scene, "select * from outbox") == []
        assert written_once(scene)


def test_two_workers_on_one_store_run_a_slot_once(tmp_path):
    with due_world(tmp_path) as scene, started(scene, "worker") as one, started(scene, "worker") as other:
        until(lambda: ended(scene), "the slot has run")
        queued = [mqlsync("run", "--queue", "--json", scene=scene).json["run"] for _ in range(2)]
        until(lambda: ended(scene, n=3), "both queued runs have run")
        assert one.ask_to_stop() == other.ask_to_stop() == 0
        finished = [line["run"] for line in events(one.lines + other.lines) if line["event"] == "run.finished"]
        assert sorted(finished) == sorted(the_runs(scene))
        assert set(queued) < set(finished)
        assert written_once(scene)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_run_that_is_asked_to_stop_says_so_and_the_next_goes_on(number, code, tmp_path):
    with world(tmp_path, people=20) as scene:
        scene.box.faults.add(Fault(kind=FaultKind.SLOW, match="GET */query*", delay=0.2, times=None))
        scene.box.reset_calls()
        with started(scene, "run") as run:
            until(lambda: any("query" in call for call in scene.box.calls["salesforce"]), "it reads Salesforce")
            assert run.ask_to_stop(number) == code
        assert "interrupted" in run.lines[-1]
        scene.box.faults.clear()
        assert scene.run().writes > 0
        assert scene.run().writes == 0
        assert written_once(scene)


# -- what is logged ----------------------------------------------------------------------------------------------


def at_debug(scene: World, *arguments: str, **environment: str) -> Answer:
    return mqlsync(*arguments, "--log-level", "debug", scene=scene, environment=environment)


def logged_lines(answer: Answer) -> list[str]:
    return [line for line in answer.err.splitlines() if line.startswith("{")]


def test_nothing_personal_and_no_secret_is_logged_at_any_level(tmp_path, monkeypatch):
    """A good run, one that is refused, one that meets records that make no sense, and one of a broken CRM."""
    monkeypatch.setattr("sync.compose.Patience", lambda: QUICK)
    with world(tmp_path, people=15) as scene:
        contacts = scene.box.hubspot.table("contacts")
        odd = scene.box.hubspot.add("contacts", {"email": "odd@acme.example"})
        contacts.by_id[odd].properties["createdate"] = "odd@acme.example"
        status = contacts.kind.properties["mql_status"]
        answers = [at_debug(scene, "check", "--online")]
        status.options = tuple(option for option in status.options if option["value"] != "suppressed")
        answers += [at_debug(scene, "run"), at_debug(scene, "run")]
        assert [answer.code for answer in answers] == [0, 5, 0]
        answers.append(at_debug(scene, "run", HUBSPOT_TOKEN="pat-na1-wrong-token"))
        answers.append(at_debug(scene, "run", SF_SECRET="wrong-secret-value"))
        scene.box.faults.add(Fault(kind=FaultKind.HTML, match="GET */query*", times=None))
        answers.append(at_debug(scene, "run"))
        assert [answer.code for answer in answers[3:]] == [4, 4, 1]
        for answer in answers:
            assert_discreet(scene, answer.err)
            assert "pat-na1-wrong-token" not in answer.err
            assert "wrong-secret-value" not in answer.err
            if answer is not answers[0]:
                assert "run.finished" in [line["event"] for line in events(logged_lines(answer))]


def test_a_defect_is_told_without_the_values_it_happened_to(tmp_path):
    with world(tmp_path, people=5) as scene:
        scene.run()
        somebody = sorted(addresses(scene))[0]
        with closing(sqlite3.connect(tmp_path / "state" / "mqlsync.db")) as store:
            store.execute("alter table outbox rename to gone")
            store.commit()
        with started(scene, "run") as run:
            assert run.end() == 1
        (defect,) = [
            line for line in events([line for line in run.lines if line.startswith("{")]) if "crash" in line["event"]
        ]
        assert defect["exception"]
        assert "defect of mqlsync" in run.lines[-1]
        assert somebody not in "\n".join(run.lines)
        assert_discreet(scene, "\n".join(run.lines))
