"""Files edited between runs and under a running worker: what an edit costs, and that a wrong one costs nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.compose import Opened
from sync.store import runs
from sync.store.runs import RunRow, RunState
from tests.support.shell import mqlsync, started, until
from tests.support.world import World, edit, world

EXAMPLES = """
examples:
  - name: somebody of whom nothing is known
    expect: {mql: no}
"""

CALENDAR = ("hours:\n", "hours:\n  late: {zone: Europe/Berlin, mon-fri: 12:00-20:00}\n")

WRONG = ("event: demo_request,", "event: demo_requst,")
UNOWNED = ("unowned: [", "unowned: [Leftover_Leads, ")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("edited"), people=20) as made:
        made.run()
        made.run()
        yield made


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def decided(scene: World) -> int:
    return scene.run().counts()["people"]


def test_examples_and_the_team_put_nobody_through_again_and_points_put_everybody(scene: World) -> None:
    assert decided(scene) == 0
    append(scene.config / "policy.yaml", EXAMPLES)
    assert decided(scene) == 0
    edit(scene.config / "team.yaml", CALENDAR)
    assert decided(scene) == 0
    edit(scene.config / "policy.yaml", ("fit:\n  max: 100", "fit:\n  max: 99"))
    assert decided(scene) >= 20


def test_rules_are_renewed_when_they_are_right_and_kept_when_they_are_wrong(scene: World) -> None:
    with scene.opened() as opened:
        assert opened.renewed() is opened
        team = scene.config / "team.yaml"
        edit(team, UNOWNED)
        good = team.read_text()
        renewed = opened.renewed()
        assert "Leftover_Leads" in renewed.parts.policy.team.unowned
        assert renewed.parts.policy is renewed.loaded.policy
        assert renewed.run("sync").error is None
        team.write_text("reps: [")
        assert renewed.renewed() is renewed
        team.unlink()
        assert renewed.renewed() is renewed
        assert renewed.run("sync").error is None
        team.write_text(good)


def run_by_a_worker(opened: Opened) -> RunRow:
    """Queue a run and wait until somebody else has done it."""
    run_id = opened.enqueue("sync")

    def row() -> RunRow:
        with opened.parts.store.read() as tx:
            found = runs.find(tx, run_id)
        assert found is not None
        return found

    until(lambda: row().finished_at is not None, "the queued run has ended")
    return row()


def test_a_worker_takes_up_a_good_edit_and_goes_on_through_a_wrong_one(tmp_path: Path) -> None:
    with world(tmp_path, people=5) as scene, scene.opened() as opened, started(scene, "worker") as worker:
        policy, version = scene.config / "policy.yaml", opened.parts.policy.version
        assert run_by_a_worker(opened).policy_version == version
        edit(policy, WRONG)
        through = run_by_a_worker(opened)
        assert (through.state, through.policy_version) == (RunState.SUCCEEDED, version)

        place = f"{policy}:"
        told = mqlsync("status", scene=scene)
        assert told.code == 3
        assert f"policy: {version}; a worker goes on" in told.out
        assert place in told.out
        assert "did you mean 'demo_request'?" in told.out
        document = mqlsync("status", "--json", scene=scene)
        assert document.code == 3
        assert document.json["policy"]["version"] == version
        assert document.json["policy"]["wrong"][0].startswith(place)

        edit(policy, (WRONG[1], WRONG[0]), ("fit:\n  max: 100", "fit:\n  max: 99"))
        changed = run_by_a_worker(opened)
        assert changed.state is RunState.SUCCEEDED
        assert changed.policy_version not in (None, version)
        assert mqlsync("status", scene=scene).code == 0

        assert worker.ask_to_stop() == 0
        logged = [json.loads(line) for line in worker.lines]
        (refused,) = [line for line in logged if line["event"] == "policy.refused"]
        assert refused["in_force"] == version
        assert refused["problems"][0].startswith(place)
        (taken,) = [line for line in logged if line["event"] == "policy.changed"]
        assert (taken["before"], taken["in_force"]) == (version, changed.policy_version)
