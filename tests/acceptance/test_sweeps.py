"""What the CRMs never told is found by a sweep, over the wire, by the real command."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.faults import Fault, FaultKind
from tests.support.world import AS_OF, World, api_writes, world


@pytest.fixture
def scene(tmp_path: Path):
    with world(tmp_path, people=60) as made:
        made.run()
        made.box.clock.move(timedelta(days=1))
        made.run(as_of=AS_OF + timedelta(days=1))
        yield made


def store(scene: World) -> Path:
    return next(scene.config.parent.rglob("mqlsync.db"))


def ask(scene: World, query: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(store(scene))) as db, db:
        return db.execute(query, values).fetchall()


def swept(scene: World, *options: str) -> dict[str, Any]:
    done = scene.cli("sweep", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def drift(report: dict[str, Any]) -> dict[str, dict[str, int]]:
    found = {
        stream: {name: n for name, n in one.items() if n and name != "listed"}
        for stream, one in report["swept"].items()
    }
    return {stream: one for stream, one in found.items() if one}


def a_record(scene: World, conn: str, object: str, *, which: int = 0) -> str:
    rows = ask(scene, "SELECT id FROM record WHERE conn = ? AND object = ? AND NOT gone ORDER BY id", conn, object)
    return rows[which][0]


def test_a_sweep_of_what_is_in_step_finds_nothing_and_writes_nothing(scene: World) -> None:
    writes = len(api_writes(scene.box))
    report = swept(scene)
    assert drift(report) == {}
    assert report["counts"]["drift"] == 0
    assert report["swept"]["hubspot:contact"]["listed"] == len(scene.box.hubspot.ids("contact"))
    leads = [lead for lead in scene.box.salesforce.all("Lead") if not lead["IsDeleted"] and not lead["IsConverted"]]
    assert report["swept"]["salesforce:lead"]["listed"] == len(leads)
    assert len(api_writes(scene.box)) == writes


def test_deletions_merges_and_lost_records_of_both_crms_are_mended(scene: World) -> None:
    hubspot, salesforce = scene.box.hubspot, scene.box.salesforce
    contacts = [a_record(scene, "hubspot", "contact", which=n) for n in range(4)]
    leads = [a_record(scene, "salesforce", "lead", which=n) for n in range(3)]
    hubspot.archive("contact", contacts[0])
    survivor = hubspot.merge("contact", contacts[1], contacts[2])
    salesforce.delete("Lead", leads[0])
    salesforce.purge("Lead", leads[0])
    ask(scene, "DELETE FROM record WHERE id IN (?, ?)", contacts[3], leads[1])
    ask(scene, "UPDATE record SET modified_at = '2020-01-01 00:00:00.000000', facts = '{}' WHERE id = ?", leads[2])
    found = drift(swept(scene))
    assert found["hubspot:contact"] == {"gone": 3, "missed": 1}
    assert found["salesforce:lead"] == {"gone": 1, "missed": 1, "changed": 1}
    after = dict(ask(scene, "SELECT id, gone FROM record"))
    touched = (contacts[0], leads[0], contacts[3], leads[1])
    assert [after[id] for id in touched] == [1, 1, 0, 0]
    merged = ask(scene, "SELECT moved_to FROM record WHERE id IN (?, ?)", *contacts[1:3])
    assert merged == [(f"contact:{survivor}",)] * 2
    scene.run(as_of=AS_OF + timedelta(days=1))
    assert drift(swept(scene)) == {}, "it tends to nothing"
    assert "0 repaired" in scene.cli("status").stdout


def test_a_sweep_that_ran_into_the_days_quota_goes_on_the_next_time(scene: World) -> None:
    ask(scene, "DELETE FROM record WHERE id = ?", lost := a_record(scene, "salesforce", "lead"))
    limit = Fault(kind=FaultKind.RATE_LIMITED, match="GET */query/*", crm="salesforce", nth=2, times=1)
    scene.box.faults.add(limit)
    done = scene.cli("sweep", "--json")
    assert done.returncode == 6, done.stderr
    assert "(unfinished)" in scene.cli("status").stdout
    scene.box.faults.clear()
    swept(scene)
    assert ask(scene, "SELECT gone FROM record WHERE id = ?", lost) == [(0,)]


def test_a_job_may_pull_sweep_and_write_in_one_go(scene: World) -> None:
    scene.edit_settings(("do: [pull, score, assign, write]", "do: [pull, sweep, score, assign, write]"))
    gone = a_record(scene, "hubspot", "contact")
    scene.box.hubspot.archive("contact", gone)
    report = scene.run(as_of=AS_OF + timedelta(days=1))
    assert report.swept["hubspot:contact"].gone == 1
    assert ask(scene, "SELECT role FROM link WHERE id = ?", gone) == [("gone",)]
    assert scene.run(as_of=AS_OF + timedelta(days=1), dry_run=True).swept == {}
