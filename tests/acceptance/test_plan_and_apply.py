"""Looking before leaping: a plan writes nothing, and a kept one is carried out to the letter or refused."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from sync.store import schema
from tests.support.shell import mqlsync, on_a_terminal
from tests.support.world import AS_OF, World, api_writes, edit, world

DECIDED = (schema.episode, schema.assignment, schema.decision, schema.desired, schema.acked, schema.outbox)

NOW = ("--as-of", AS_OF.isoformat())


@pytest.fixture
def planned(tmp_path):
    """A world and a kept plan of everything its first run would do."""
    with world(tmp_path, people=25) as scene:
        file = tmp_path / "plan.json"
        before = scene.box.journal.last_seq
        answer = mqlsync("plan", "-o", str(file), *NOW, scene=scene)
        assert answer.code == 0, answer.err
        assert scene.box.journal.last_seq == before, "a plan wrote something"
        yield scene, file


def rows(scene: World) -> dict[str, int]:
    with scene.opened() as opened, opened.parts.store.read() as tx:
        return {table.name: tx.execute(select(func.count()).select_from(table)).scalar_one() for table in DECIDED}


def since(scene: World, seq: int) -> list:
    return [entry for entry in scene.box.journal.since(seq) if entry.via == "api"]


def changes(file: Path) -> dict[str, dict]:
    return {change["id"]: change for change in json.loads(file.read_text())["changes"]}


def test_a_plan_writes_nothing_and_decides_nothing(planned):
    scene, file = planned
    assert len(changes(file)) > 20
    assert set(rows(scene).values()) == {0}
    with scene.opened() as opened, opened.parts.store.read() as tx:
        assert tx.execute(select(schema.person).where(schema.person.c.status.is_not(None))).all() == []


def test_a_plan_can_be_asked_for_again_and_says_the_same(planned):
    scene, file = planned
    again = mqlsync("plan", "--json", *NOW, scene=scene)
    assert again.json["changes"] == json.loads(file.read_text())["changes"]
    assert again.json["tasks"] == json.loads(file.read_text())["tasks"]


def test_exit_8_tells_that_there_are_changes(tmp_path):
    with world(tmp_path, people=20) as scene:
        assert mqlsync("plan", "--detailed-exitcode", *NOW, scene=scene).code == 8
        assert mqlsync("plan", *NOW, scene=scene).code == 0
        assert mqlsync("run", *NOW, scene=scene).code == 0
        assert mqlsync("plan", "--detailed-exitcode", *NOW, scene=scene).code == 0


def test_the_text_names_each_record_with_what_was_and_what_will_be(planned):
    scene, file = planned
    text = mqlsync("plan", *NOW, scene=scene).out
    for id, change in changes(file).items():
        line = next(line for line in text.splitlines() if f" {id} " in line)
        for name, value in change["to"].items():
            before = change["from"].get(name) or "(blank)"
            assert f"{name}: {before} -> {value}" in line
    assert f"Plan: {len(changes(file))} records to change" in text


def test_apply_writes_exactly_the_plan(planned):
    scene, file = planned
    before = scene.box.journal.last_seq
    answer = mqlsync("apply", str(file), "--json", scene=scene)
    assert answer.code == 0, answer.err
    assert answer.json["refused"] == []
    written: dict[str, dict] = {}
    tasks = 0
    for entry in since(scene, before):
        if entry.object in ("tasks", "Task"):
            tasks += entry.op == "create"
        else:
            written.setdefault(entry.id, {}).update(entry.changes)
    wanted = changes(file)
    assert set(written) == set(wanted)
    for id, change in wanted.items():
        ours = {name: new for name, (_, new) in written[id].items() if name in change["to"]}
        assert {n: as_text(v) for n, v in ours.items()} == {n: as_text(change["to"][n]) for n in ours}
    assert tasks == len(json.loads(file.read_text())["tasks"])
    assert scene.run().writes == 0


def as_text(value: object) -> str:
    """A value of the journal as the plan spells it: Salesforce keeps numbers and instants of its own form."""
    text = str(value)
    if text.endswith(".0"):
        return text[:-2]
    return text[:19] if len(text) > 19 and text[10:11] == "T" else text


def test_a_plan_is_applied_as_of_its_own_day(planned):
    scene, file = planned
    scene.box.clock.freeze(AS_OF + timedelta(days=3))
    answer = mqlsync("apply", str(file), "--json", scene=scene)
    assert answer.code == 0, answer.err
    assert answer.json["refused"] == []
    assert answer.json["as_of"] == "2026-11-25T12:00:00Z"


def test_a_record_that_somebody_edited_meanwhile_is_refused_and_the_rest_written(planned):
    """With it whatever else the edit moved: here the score that the person's other records show."""
    scene, file = planned
    wanted = changes(file)
    edited = next(id for id, change in wanted.items() if change["crm"] == "hubspot")
    scene.box.clock.move(timedelta(seconds=5))
    scene.box.hubspot.edit("contacts", edited, {"jobtitle": "Chief Executive Officer"})
    before = scene.box.journal.last_seq
    answer = mqlsync("apply", str(file), "--json", scene=scene)
    assert answer.code == 5
    assert f"refused hubspot:contact:{edited}: it has moved since the plan was made; plan again" in answer.err
    person = {id for id, change in wanted.items() if change["person_id"] == wanted[edited]["person_id"]}
    assert answer.json["refused"] == sorted(wanted[id]["record"] for id in person)
    touched = {entry.id for entry in since(scene, before) if entry.object != "Task"}
    assert touched == set(wanted) - person
    next_run = scene.run()
    assert next_run.exit_code == 0
    assert scene.box.hubspot.get("contacts", edited)["mql_status"]
    assert scene.run().writes == 0


def test_a_plan_of_another_policy_is_refused_before_anything_is_read(planned):
    scene, file = planned
    edit(scene.config / "policy.yaml", ("in home_markets: 20", "in home_markets: 19"))
    scene.box.reset_calls()
    answer = mqlsync("apply", str(file), scene=scene)
    assert answer.code == 1
    assert "Plan again" in answer.err
    assert scene.box.calls.total == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is no plan"),
        ("[1, 2]", "is no plan"),
        ('{"format": "mqlsync plan 9"}', "'mqlsync plan 9'"),
        ('{"format": "mqlsync plan 1", "job": "sync"}', "is no plan"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_way_to_one(content, said, tmp_path):
    file = tmp_path / "plan.json"
    file.write_text(content)
    answer = mqlsync("apply", str(file), "--config", str(tmp_path))
    assert answer.code == 1
    assert said in answer.err
    assert str(file) in answer.err


def test_a_dry_run_reports_what_a_run_would_do_and_leaves_no_trace(tmp_path):
    with world(tmp_path, people=20) as scene:
        dry = mqlsync("run", "--dry-run", "--json", *NOW, scene=scene)
        assert dry.code == 0
        assert dry.json["writes"] == 0
        assert set(rows(scene).values()) == {0}
        real = mqlsync("run", "--json", *NOW, scene=scene)
        assert real.json["statuses"] == dry.json["statuses"]
        assert real.json["counts"]["new_mqls"] == dry.json["counts"]["new_mqls"]
        assert real.json["writes"] > 0


def test_setup_asks_before_it_creates_fields(tmp_path):
    with world(tmp_path, people=3, setup=False) as scene:
        asked = mqlsync("setup", scene=scene)
        assert asked.code == 1
        assert "--yes" in asked.err
        assert api_writes(scene.box) == []
        looked = mqlsync("setup", "--dry-run", scene=scene)
        assert looked.code == 0
        assert "hubspot contact mql_status" in looked.out
        assert api_writes(scene.box) == []
        made = mqlsync("setup", "--yes", "--json", scene=scene)
        names = {(change["crm"], change["object"], change["name"]) for change in made.json["changes"]}
        assert {("hubspot", "contact", "mql_status"), ("salesforce", "lead", "MQL_Status__c")} <= names
        assert "assigned" in {
            option["value"] for option in scene.box.hubspot.table("contacts").kind.properties["mql_status"].options
        }
        seen = scene.box.journal.last_seq
        again = mqlsync("setup", "--yes", scene=scene)
        assert "everything is there" in again.out
        assert mqlsync("setup", scene=scene).code == 0, "nothing to make, nothing to ask"
        assert since(scene, seen) == []


@pytest.mark.parametrize(("typed", "code", "made"), [("y\n", 0, True), ("n\n", 1, False)])
def test_at_a_terminal_setup_takes_an_answer(typed, code, made, tmp_path):
    with world(tmp_path, people=1, setup=False) as scene:
        answer = on_a_terminal(scene, "setup", typed=typed)
        assert answer.code == code, answer.out
        assert "in your CRMs?" in answer.out
        assert bool(api_writes(scene.box)) is made
        assert ("Nothing was made" in answer.out) is not made


def test_a_run_shows_how_far_it_is_at_a_terminal_only(tmp_path):
    with world(tmp_path, people=10) as scene:
        answer = on_a_terminal(scene, "run", typed="")
        assert answer.code == 0
        assert "starting" in answer.out
        assert answer.out.rstrip().rpartition("\n")[2].startswith("  calls")
        assert mqlsync("run", scene=scene).err == ""


def test_setup_without_the_permission_names_it(tmp_path):
    with world(tmp_path, people=3, setup=False) as scene:
        scene.box.salesforce.customize_application = False
        answer = mqlsync("setup", "--yes", scene=scene)
        assert answer.code == 4
        assert "Customize Application" in answer.err
        assert [entry for entry in api_writes(scene.box) if entry.crm == "salesforce"] == []
