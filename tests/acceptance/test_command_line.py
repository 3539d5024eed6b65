"""What every command says, to people and to programs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sync.init import FILES
from sync.shown import mql_rows
from sync.store import runs
from tests.support.shell import mqlsync
from tests.support.world import AS_OF, World, edit, world

HEAVY = ("duckdb", "sqlalchemy", "hubspot", "simple_salesforce")

COMMANDS = ("demo", "init", "check", "setup", "plan", "apply", "run", "worker", "status", "runs", "explain", "dead")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two CRMs after a run. Tests here only look at it."""
    with world(tmp_path_factory.mktemp("ran"), people=100) as scene:
        assert scene.run().exit_code in (0, 5)
        yield scene


def an_mql(scene: World) -> dict:
    with scene.opened() as opened:
        return mql_rows(opened.parts.store)[0]


# -- help and usage ----------------------------------------------------------------------------------------------


def test_help_loads_neither_engine_nor_database_nor_client():
    script = f"""
import sys
from sync.cli import app
for words in [[], *([name] for name in {COMMANDS!r}), ["dead", "retry"]]:
    app([*words, "--help"], standalone_mode=False)
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"
    for name in COMMANDS:
        assert name in done.stdout


def test_the_version_is_told():
    assert mqlsync("--version").out.startswith("mqlsync 0.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--as-of", "yesterday"), "2026-11-25T12:00:00Z"),
        (("plan", "--as-of", "2026-11-25T12:00:00"), "does not say its zone"),
        (("run", "--queue", "--dry-run"), "cannot be left to a worker"),
        (("run", "--nonsense"), "--nonsense"),
        (("walk",), "walk"),
        (("explain",), "EMAIL|ID"),
    ],
)
def test_wrong_usage_is_exit_2(arguments, said, ran):
    answer = mqlsync(*arguments, scene=ran)
    assert answer.code == 2
    assert said in answer.err
    assert answer.out == ""


def test_a_job_that_is_not_there_names_those_that_are(ran):
    answer = mqlsync("run", "nightly", scene=ran)
    assert answer.code == 3
    assert "nightly" in answer.err
    assert "sync" in answer.err


def test_without_configuration_the_way_to_one_is_said(tmp_path):
    answer = mqlsync("status", "--config", str(tmp_path / "nowhere"))
    assert answer.code == 3
    assert f"mqlsync init {tmp_path / 'nowhere'}" in answer.err


# -- JSON --------------------------------------------------------------------------------------------------------

READING = [
    pytest.param(("check",), {"policy", "findings", "warnings", "exit_code"}, id="check"),
    pytest.param(("check", "--online"), {"policy", "findings", "warnings", "exit_code"}, id="check online"),
    pytest.param(("setup", "--dry-run"), {"dry_run", "changes"}, id="setup"),
    pytest.param(("plan",), {"changes", "tasks", "calls", "as_of", "policy_version", "statuses"}, id="plan"),
    pytest.param(("run", "--dry-run"), {"run", "state", "writes", "counts", "statuses", "exit_code"}, id="run"),
    pytest.param(("status",), {"people", "outbox", "dead", "conflicts", "streams", "accounts"}, id="status"),
    pytest.param(("runs",), {"runs"}, id="runs"),
    pytest.param(("dead", "list"), {"dead"}, id="dead list"),
    pytest.param(("dead", "retry"), {"released"}, id="dead retry"),
]


@pytest.mark.parametrize(("arguments", "names"), READING)
def test_json_is_one_document_with_a_version_and_nothing_else(arguments, names, ran):
    answer = mqlsync(*arguments, "--json", scene=ran)
    assert answer.code == 0, answer.err
    assert names <= set(answer.json)
    assert answer.err == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("explain", "nobody@nowhere.example"), 1),
        (("run", "nightly"), 3),
        (("dead", "retry", "999"), 1),
        (("apply", "/nowhere/plan.json"), 1),
    ],
)
def test_an_error_is_a_json_document_too(arguments, code, ran):
    answer = mqlsync(*arguments, "--json", scene=ran)
    assert answer.code == code
    assert answer.json["exit_code"] == code
    assert answer.json["error"] in answer.err.replace("\n", " ")


def test_instants_in_json_say_their_zone(ran):
    for run in mqlsync("runs", "--json", scene=ran).json["runs"]:
        for name in ("queued_at", "started_at", "finished_at"):
            assert run[name].endswith("Z")
            assert datetime.fromisoformat(run[name]).tzinfo is UTC


def test_runs_lists_as_many_as_asked(ran):
    assert len(mqlsync("runs", "--json", "--limit", "1", scene=ran).json["runs"]) == 1


def test_status_counts_everybody_once(ran):
    people = mqlsync("status", "--json", scene=ran).json["people"]
    with ran.opened() as opened, opened.parts.store.read() as tx:
        everybody = len(tx.exec_driver_sql("select person_id from person").all())
    assert sum(people.values()) == everybody > 50
    assert people["assigned"] > 0
    assert "mql" not in people


# -- text --------------------------------------------------------------------------------------------------------


def test_a_table_in_a_pipe_is_not_cut(ran):
    with ran.opened() as opened, opened.parts.store.read() as tx:
        ids = [row.run_id for row in runs.newest(tx)]
    text = mqlsync("runs", scene=ran).out
    assert all(id in text for id in ids)
    assert "…" not in text


@pytest.mark.parametrize("command", [("status",), ("runs",), ("dead", "list"), ("explain", "{mql}")])
def test_looking_at_the_store_needs_no_secrets_and_does_not_mention_them(command, ran):
    email = an_mql(ran)["email"]
    words = [word.replace("{mql}", email) for word in command]
    answer = mqlsync(*words, "--config", str(ran.config))
    assert answer.code == 0
    assert answer.err == ""
    assert answer.out


def test_a_report_says_people_it_assigned_are_assigned_and_counts_its_own_calls(tmp_path):
    with world(tmp_path, people=80) as scene, scene.opened() as opened:
        first = opened.run("sync", as_of=AS_OF)
        second = opened.run("sync", as_of=AS_OF)
    assert first.decided.statuses["assigned"] == len(first.decided.assigned) > 0
    assert "mql" not in first.decided.statuses
    assert sum(first.decided.statuses.values()) == first.decided.people
    for crm, calls in second.calls.items():
        assert 0 < sum(calls.values()) < sum(first.calls[crm].values())


def test_slots_that_were_missed_or_run_together_are_listed_with_their_number(tmp_path):
    with world(tmp_path, people=1, setup=False) as scene:
        with scene.opened() as opened, opened.parts.store.write() as tx:
            for state, slots in ((runs.RunState.COALESCED, 3), (runs.RunState.MISSED, 7)):
                runs.enqueue(
                    tx, run_id=f"r_{state}", job="sync", slot=state, slot_at=AS_OF, trigger="catch-up", now=AS_OF,
                    state=state, counts={"slots": slots},
                )  # fmt: skip
        lines = mqlsync("runs", scene=scene).out.splitlines()
        assert [line for line in lines if "coalesced (3 slots)" in line and "2026-11-25 12:00 UTC" in line]
        assert [line for line in lines if "missed (7 slots)" in line and "catch-up" in line]


# -- init, check, demo -------------------------------------------------------------------------------------------


def test_init_writes_four_files_that_check_finds_sound(tmp_path):
    made = mqlsync("init", str(tmp_path / "conf"), "--yes", "--json")
    assert made.code == 0
    assert {Path(path).name for path in made.json["written"]} == {*FILES, ".env.example"}
    checked = mqlsync("check", "--config", str(tmp_path / "conf"))
    assert checked.code == 0, checked.out + checked.err
    assert "0 errors" in checked.out
    assert "jobs.sync: next at" in checked.out
    assert "HUBSPOT_TOKEN" in checked.out


def test_the_shipped_policy_routes_to_a_pool_of_sales_with_a_fallback_queue(tmp_path):
    mqlsync("init", str(tmp_path), "--yes")
    yaml = YAML(typ="safe")
    policy, team = (yaml.load((tmp_path / name).read_text()) for name in ("policy.yaml", "team.yaml"))
    assert policy["routing"][-1]["to"] == "pool sales"
    assert team["pools"]["sales"]["nobody_free"].endswith("queue inbound")
    assert "inbound" in team["queues"]


@pytest.mark.parametrize("flags", [(), ("--yes",)])
def test_init_never_overwrites_by_itself(flags, tmp_path):
    mqlsync("init", str(tmp_path), "--yes")
    (tmp_path / "team.yaml").write_text("mine\n")
    (tmp_path / "fields.yaml").unlink()
    again = mqlsync("init", str(tmp_path), *flags)
    assert again.code == 1
    assert "team.yaml" in again.err
    assert "--force" in again.err
    assert (tmp_path / "team.yaml").read_text() == "mine\n"
    assert not (tmp_path / "fields.yaml").exists()
    assert mqlsync("init", str(tmp_path), "--force").code == 0
    assert "mine" not in (tmp_path / "team.yaml").read_text().split()


def test_a_configuration_can_be_written_as_json(tmp_path):
    mqlsync("init", str(tmp_path / "yaml"), "--yes")
    (tmp_path / "json").mkdir()
    for name in FILES:
        body = YAML(typ="safe").load((tmp_path / "yaml" / name).read_text())
        (tmp_path / "json" / name).with_suffix(".json").write_text(json.dumps(body, indent=1))
    first, second = (mqlsync("check", "--json", "--config", str(tmp_path / kind)) for kind in ("yaml", "json"))
    assert first.code == second.code == 0, second.err
    assert first.json["policy"] == second.json["policy"]


def test_check_warns_of_a_schedule_in_the_hour_that_clocks_skip(ran, tmp_path):
    mqlsync("init", str(tmp_path), "--yes")
    edit(
        tmp_path / "mqlsync.yaml",
        ("every: 15 minutes", 'cron: "30 2 * * sun", timezone: Europe/Berlin'),
    )
    answer = mqlsync("check", "--config", str(tmp_path))
    assert answer.code == 0
    assert "Europe/Berlin" in answer.out
    assert "clocks change" in answer.out


def test_the_demo_ends_with_a_second_run_that_writes_nothing(tmp_path):
    """In real time: no clock is stopped, the CRMs' windows end while the run goes on."""
    answer = mqlsync("demo", "--people", "120", "--json", "--dir", str(tmp_path / "demo"))
    assert answer.code == 0, answer.err
    body = answer.json
    assert body["people"] == 120
    assert body["runs"][0]["writes"] > 100
    assert body["runs"][1]["writes"] == 0
    assert body["mqls"]
    assert all(row["owner"] and row["reason"] and row["grade"] for row in body["mqls"])


def test_the_demo_tells_what_it_does(tmp_path):
    folder = str(tmp_path / "demo")
    assert mqlsync("demo", "--people", "30", "--dir", folder).code == 0
    again = mqlsync("demo", "--people", "60", "--dir", folder)
    assert again.code == 0, "a demo starts anew where another one ended"
    for words in ("60 people", "mqlsync setup:", "mqlsync plan:", "new MQLs", "in the second", "mqlsync explain"):
        assert words in again.out
    assert "Writes: 0" not in again.out
    assert ", 0 in the second" in again.out


# -- one at a time -----------------------------------------------------------------------------------------------


def hold(scene: World, until: datetime) -> None:
    """Another machine works on both accounts."""
    other = runs.Holder(name="r_other", host="another-machine", pid=4242, started="1")
    with scene.opened() as opened, opened.parts.store.write() as tx:
        names = ["decide", f"hubspot:{scene.box.hubspot.portal_id}", f"salesforce:{scene.box.salesforce.org_id}"]
        assert not isinstance(runs.take_leases(tx, names, other, now=until), runs.HeldElsewhere)


def test_while_another_process_works_on_the_accounts_a_run_waits_and_then_gives_up(tmp_path):
    with world(tmp_path, people=30) as scene:
        hold(scene, datetime.now(UTC) + timedelta(hours=1))
        waits: list[float] = []
        before = scene.box.journal.last_seq
        with scene.opened(sleep=waits.append) as opened:
            report = opened.run("sync", as_of=AS_OF)
        assert report.exit_code == 7
        assert "another-machine" in report.error
        assert 55 <= sum(waits) <= 65
        assert report.pulled == {}
        assert scene.box.journal.last_seq == before


def test_a_run_goes_on_when_the_other_one_ends_meanwhile(tmp_path):
    with world(tmp_path, people=30) as scene:
        hold(scene, datetime.now(UTC) + timedelta(hours=1))
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                with opened.parts.store.write() as tx:
                    tx.exec_driver_sql("update lease set holder = null, expires_at = null")

        with scene.opened(sleep=sleep) as opened:
            report = opened.run("sync", as_of=AS_OF)
        assert report.exit_code in (0, 5)
        assert report.writes > 0
        assert len(waits) == 3
