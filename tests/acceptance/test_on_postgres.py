"""A store in Postgres: the same job, the same follow-up, the same approval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from sync.store import schema
from tests.support.postgres import Postgres
from tests.support.receiver import Receiver
from tests.support.service_level import NAMES, address, with_asking, with_service_level
from tests.support.world import AS_OF, World, api_writes, differences, edit, rows, world

pytestmark = pytest.mark.postgres

ON_SQLITE = "sqlite:///state/mqlsync.db"
GATE = "  become_when:\n"
EVERYBODY = "  become_when:\n    everybody: {person.email: known}\n"
PEOPLE = 12


@pytest.fixture
def scene(tmp_path: Path, postgres: Postgres, channel: Receiver) -> Iterator[World]:
    """People in both CRMs, three of whom have asked for a demo, and a team that owes them a first touch."""
    with postgres.database() as database, world(tmp_path / "postgres", people=PEOPLE, setup=False) as made:
        made.edit_settings((ON_SQLITE, database))
        with_service_level(made, channel)
        with_asking(made)
        made.setup()
        yield made


def run(scene: World, *, at: datetime = AS_OF) -> None:
    scene.box.clock.freeze(at)
    report = scene.run(as_of=at)
    assert report.exit_code == 0, (report.error, report.problems)


def told(scene: World) -> Counter[str]:
    every = rows(scene, schema.notice)
    assert all(row.sent_at is not None for row in every)
    return Counter(row.kind for row in every)


def test_a_run_writes_what_a_run_on_sqlite_writes_and_the_next_one_nothing(
    scene: World, tmp_path: Path, channel: Receiver
) -> None:
    with world(tmp_path / "sqlite", people=PEOPLE) as other:
        with_service_level(other, channel)
        with_asking(other)
        run(other)
        expected = other.box.state()
    untouched = scene.box.state()
    run(scene)
    assert differences(scene.box.state(), expected) == []
    assert differences(untouched, expected) != []
    before = len(api_writes(scene.box))
    run(scene)
    assert len(api_writes(scene.box)) == before


def test_whoever_nobody_touches_is_followed_up_step_by_step_each_once(scene: World, channel: Receiver) -> None:
    run(scene)
    addresses = {row.email: row.person_id for row in rows(scene, schema.person)}
    people = {addresses[address(name)] for name in NAMES}
    for hours in (2, 2, 4, 4, 21.5, 23.5, 23.5, 25.5, 27.5):
        run(scene, at=AS_OF + timedelta(hours=hours))
    assignments = [row for row in rows(scene, schema.assignment) if row.person_id in people]
    assert Counter(row.step for row in assignments) == {1: 3, 2: 3, 3: 3, 4: 3}
    assert {row.owner_key for row in assignments if row.step == 4} == {"queue:inbound"}
    assert told(scene)["gave_up"] >= len(NAMES)
    assert len(channel.got) == sum(told(scene).values())


def test_what_a_guard_stopped_is_let_through_by_apply(scene: World) -> None:
    run(scene)
    scene.edit_settings(("new_mqls_per_run: 200", "new_mqls_per_run: 1"))
    edit(scene.config / "policy.yaml", (GATE, EVERYBODY))
    before, had = len(api_writes(scene.box)), len(rows(scene, schema.episode))
    stopped = scene.run()
    assert stopped.exit_code == 9, stopped.error
    assert (len(api_writes(scene.box)), len(rows(scene, schema.episode))) == (before, had)
    applied = scene.cli("apply", stopped.run_id)
    assert applied.returncode == 0, applied.stderr
    assert len(api_writes(scene.box)) > before
    assert len(rows(scene, schema.episode)) > had + 1
    run(scene)


@pytest.mark.parametrize("place", ["decide:done", "write:salesforce:answered"])
def test_a_kill_in_the_middle_changes_no_assignment_and_makes_no_second_task(scene: World, place: str) -> None:
    assert scene.run_until_killed(place) == -9
    before = {(row.person_id, row.n, row.step): row.owner_key for row in rows(scene, schema.assignment)}
    run(scene)
    after = rows(scene, schema.assignment)
    assert {(row.person_id, row.n, row.step): row.owner_key for row in after} == before
    ours = [task for task in scene.box.salesforce.tasks() if task.get("MQL_Task_Key__c")]
    assert sorted(task["MQL_Task_Key__c"] for task in ours) == sorted(f"{person}:{n}:task:1" for person, n, _ in before)
    done = len(api_writes(scene.box))
    run(scene)
    assert len(api_writes(scene.box)) == done


def test_the_snapshot_lies_beside_the_configuration_wherever_a_command_is_given(
    scene: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert scene.cli("run", "--as-of", AS_OF.isoformat()).returncode == 0
    with scene.opened() as opened:
        name = make_url(opened.parts.store.url).database
        assert opened.parts.store.folder == scene.config.parent / "state" / f"{name}.snapshot"
        assert list(opened.parts.store.folder.glob("people-*.parquet"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_edit_of_the_policy_is_one_version_however_often_it_runs(scene: World) -> None:
    run(scene)
    edit(scene.config / "policy.yaml", ("score_step: 5", "score_step: 4"))
    run(scene)
    run(scene)
    assert len(rows(scene, schema.policy_version)) == 2
