"""The promises of the main job, in the customer's words."""

from datetime import timedelta

import pytest

from connectors.records import Crm
from sync.shown import mql_rows
from tests.support.world import AS_OF, World, api_writes, edit, world


def mqls(scene: World) -> list[dict]:
    with scene.opened() as opened:
        return mql_rows(opened.parts.store)


def test_a_first_run_finds_mqls_and_tells_both_crms(scene):
    report = scene.run()
    assert report.exit_code in (0, 5), report.error
    found = mqls(scene)
    assert found
    assert all(row["status"] == "assigned" and row["owner"] for row in found)
    statuses = {scene.box.hubspot.get("contacts", id).get("mql_status") for id in scene.box.hubspot.ids("contacts")}
    assert {"assigned", "not_yet"} <= statuses
    leads = [lead for lead in scene.box.salesforce.all("Lead") if lead.get("MQL_Status__c") == "assigned"]
    assert leads


def test_a_second_run_writes_nothing(scene):
    first = scene.run()
    assert first.writes > 0
    before = scene.box.digest()
    seen = scene.box.journal.last_seq
    second = scene.run()
    assert second.writes == 0
    assert [e for e in scene.box.journal.since(seen) if e.via == "api"] == []
    assert scene.box.digest() == before


def test_a_run_of_the_next_hour_writes_nothing_either(scene):
    scene.run()
    scene.box.clock.freeze(AS_OF + timedelta(hours=1))
    seen = scene.box.journal.last_seq
    report = scene.run(as_of=AS_OF + timedelta(hours=1))
    assert report.writes == 0
    assert [e for e in scene.box.journal.since(seen) if e.via == "api"] == []


def test_one_task_an_episode_and_no_more(scene):
    scene.run()
    scene.run()
    tasks = scene.box.salesforce.tasks() + scene.box.hubspot.tasks()
    ours = [task for task in tasks if "mqlsync" in str(task) or "MQL_Task_Key__c" in str(task)]
    people = [row for row in mqls(scene) if not row["owner"].startswith("queue:")]
    keys = [str(task.get("MQL_Task_Key__c") or task.get("mqlsync_task_key")) for task in ours]
    keys = [key for key in keys if ":task:" in key]
    assert len(keys) == len(set(keys)) == len(people) > 0


def test_both_crms_are_told_the_same_decision(scene):
    scene.run()
    with scene.opened() as opened, opened.parts.store.read() as tx:
        from sqlalchemy import select

        from sync.store import schema

        rows = tx.execute(select(schema.desired)).all()
    by_person: dict[str, dict[str, dict]] = {}
    for row in rows:
        by_person.setdefault(row.person_id, {})[row.conn] = row.fields
    both = [crms for crms in by_person.values() if len(crms) == 2]
    assert both
    for crms in both:
        hubspot, salesforce = crms["hubspot"], crms["salesforce"]
        assert hubspot["mql_status"] == salesforce["MQL_Status__c"]
        assert hubspot["mql_grade"] == salesforce["MQL_Grade__c"]
        assert hubspot["mql_score"] == salesforce["MQL_Score__c"]


@pytest.mark.parametrize("alone", ["hubspot", "salesforce"])
def test_one_crm_alone_is_enough(tmp_path, alone):
    with world(tmp_path, setup=False) as scene:
        text = (scene.config / "mqlsync.yaml").read_text()
        start, middle = text.index("  hubspot:\n"), text.index("  salesforce:\n")
        end = text.index("owner_authority:")
        kept = text[start:middle] if alone == "hubspot" else text[middle:end]
        (scene.config / "mqlsync.yaml").write_text(text[:start] + kept + "\n" + text[end:])
        scene.setup()
        report = scene.run()
        assert report.exit_code in (0, 5), report.error
        assert set(report.written) == {Crm(alone)}
        assert report.writes > 0
        assert scene.run().writes == 0
        others = {entry.crm for entry in api_writes(scene.box)}
        assert others == {alone}


def test_a_policy_edit_is_written_and_only_its_difference(scene):
    scene.run()
    edit(scene.config / "policy.yaml", ("from 5000: 20, from 200: 30", "from 5000: 30, from 200: 30"))
    seen = scene.box.journal.last_seq
    report = scene.run()
    touched = {e.id for e in scene.box.journal.since(seen) if e.via == "api"}
    assert report.exit_code in (0, 5), report.error
    assert len(touched) < 80
    assert scene.run().writes == 0
