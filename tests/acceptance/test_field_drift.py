"""Fields that change under a running installation are named and survived; what they were to say waits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from connectors.records import Crm
from sync.shown import trouble_lines
from sync.store import schema
from tests.support.world import World, api_writes, edit, world


@pytest.fixture
def scene(tmp_path):
    with world(tmp_path, people=25) as made:
        assert made.run().exit_code == 0
        yield made


def remove(scene: World, crm: str) -> str:
    """The score of fit goes away where people are written."""
    if crm == "hubspot":
        scene.box.hubspot.table("contacts").kind.properties.pop("mql_fit")
        return "contact.mql_fit"
    scene.box.salesforce.kind("Lead").remove("MQL_Fit__c")
    return "lead.MQL_Fit__c"


def forbid(scene: World, crm: str) -> str:
    """It may only be read."""
    if crm == "hubspot":
        kept = scene.box.hubspot.table("contacts").kind.properties
        kept["mql_fit"] = replace(kept["mql_fit"], read_only=True)
        return "contact.mql_fit"
    org = scene.box.salesforce
    for permission in org.all("FieldPermissions"):
        if permission["Field"] == "Lead.MQL_Fit__c":
            org.edit("FieldPermissions", permission["Id"], {"PermissionsEdit": False})
    return "lead.MQL_Fit__c"


def move_scores(scene: World) -> None:
    edit(scene.config / "policy.yaml", ("in home_markets: 20", "in home_markets: 12"))


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
@pytest.mark.parametrize("change", [remove, forbid])
def test_a_written_field_that_goes_away_parks_what_it_was_to_say_and_nothing_else(scene: World, crm, change) -> None:
    """Known descriptions are kept for a day; before anything is sent they are asked for again."""
    field = change(scene, crm)
    move_scores(scene)
    report = scene.run()
    assert report.exit_code == 5, report.error
    name = field.partition(".")[2]
    assert any(field in warning and "waits" in warning for warning in report.warnings)
    refused = [r for written in report.written.values() for r in written.rejections]
    assert {r.field for r in refused} == {name}
    told = [line for line in trouble_lines(report) if name in line]
    assert len(told) == 1, "one reason is told once"
    assert f"and {len(refused) - 1} more" in told[0]
    written = [entry for entry in api_writes(scene.box) if entry.id in {r.ref.id for r in refused}]
    assert written, "their other values are written"
    assert name in scene.cli("dead", "list").stdout
    assert scene.run().writes == 0
    checked = scene.cli("check", "--online")
    assert checked.returncode == 4
    assert field in checked.stdout


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
def test_when_the_field_is_back_what_waited_is_written(scene: World, crm) -> None:
    remove(scene, crm)
    move_scores(scene)
    waiting = len([r for written in scene.run().written.values() for r in written.rejections])
    assert waiting
    scene.setup()
    again = scene.run()
    assert again.exit_code == 0
    assert sum(written.written for written in again.written.values()) == waiting
    assert scene.run().writes == 0
    assert "Nothing is parked" in scene.cli("dead", "list").stdout


def test_an_option_that_is_gone_parks_the_records_that_need_it(tmp_path) -> None:
    with world(tmp_path, people=25) as scene:
        kept = scene.box.hubspot.table("contacts").kind.properties
        status = kept["mql_status"]
        kept["mql_status"] = replace(status, options=[o for o in status.options if o["value"] != "assigned"])
        checked = scene.cli("check", "--online")
        assert checked.returncode == 4
        assert "lacks the options assigned" in checked.stdout
        report = scene.run()
        assert report.exit_code == 5
        refused = report.written[Crm.HUBSPOT].rejections
        assert {(r.field, r.code) for r in refused} == {("mql_status", "NO_SUCH_OPTION")}
        grades = {scene.box.hubspot.get("contacts", r.ref.id).get("mql_grade") for r in refused}
        assert None not in grades, "the rest of the record is written"
        kept["mql_status"] = status
        scene.cli("check", "--online")
        again = scene.run()
        assert again.written[Crm.HUBSPOT].written == len(refused)
        assert scene.run().writes == 0


@pytest.mark.parametrize(
    ("crm", "kind", "property", "fact"),
    [("hubspot", "contacts", "jobtitle", "person.title"), ("salesforce", "Lead", "Title", "person.title")],
)
def test_a_scored_property_that_goes_away_counts_as_unknown_for_everybody_and_is_told(
    scene: World, crm: str, kind: str, property: str, fact: str
) -> None:
    """Also for records that nobody has touched since: they are read again."""
    titles = facts_of(scene, crm, fact)
    assert titles
    if crm == "hubspot":
        taken = scene.box.hubspot.table(kind).kind.properties.pop(property)
    else:
        lead = scene.box.salesforce.kind(kind)
        taken = lead.fields[property]
        lead.remove(property)
    checked = scene.cli("check", "--online").stdout
    assert property in checked
    assert fact in checked
    report = scene.run()
    assert report.exit_code in (0, 5), report.error
    assert any(property in w and fact in w and "unknown" in w for w in report.warnings), report.warnings
    assert facts_of(scene, crm, fact) == {}
    assert scene.run().writes == 0
    if crm == "hubspot":
        scene.box.hubspot.table(kind).kind.properties[property] = taken
    else:
        scene.box.salesforce.kind(kind).add(taken)
    scene.cli("check", "--online")
    back = scene.run()
    assert not any(property in w for w in back.warnings)
    assert facts_of(scene, crm, fact) == titles


def facts_of(scene: World, crm: str, fact: str) -> dict[str, str]:
    r = schema.record.c
    object = "contact" if crm == "hubspot" else "lead"
    with scene.opened() as opened, opened.parts.store.read() as tx:
        found = tx.execute(select(r.id, r.facts).where(r.conn == crm, r.object == object, r.gone.is_(False)))
        return {row.id: row.facts[fact] for row in found if fact in row.facts}
