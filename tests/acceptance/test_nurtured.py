"""Marketing's side of an MQL, seen in both CRMs: the track, the resting mail, and what somebody lacks."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sync.store import schema
from tests.support.world import AS_OF, World, edit, world

NURTURE = """
nurture:
  tracks: [webinars, content]
  near_mql: {within: 15 points, track: content}
  pause_in: [assigned, accepted, working]

routing:
"""

HUBSPOT = "      lifecycle:    lifecyclestage"
SALESFORCE = "      qualified_at: MQL_Qualified_At__c\n"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, people=80, setup=False) as made:
        edit(
            made.config / "policy.yaml",
            ("\nrouting:\n", NURTURE),
            ("not_ready: {wait: 60 days, fresh_points: 25}", "not_ready: {wait: 60 days, nurture: webinars}"),
            (HUBSPOT, f"      nurture: mql_nurture\n      paused: mql_paused\n      missing: mql_missing\n{HUBSPOT}"),
            (
                SALESFORCE,
                f"{SALESFORCE}      nurture: MQL_Nurture__c\n      paused: MQL_Paused__c\n"
                "      missing: MQL_Missing__c\n",
            ),
        )
        made.setup()
        yield made


def shown(scene: World) -> dict[tuple[str, str], dict[str, Any]]:
    """(crm, record id) -> status, track, whether mail rests, and what is missing, of every record that is written."""
    with scene.opened() as opened, opened.parts.store.read() as tx:
        links = tx.execute(select(schema.link).where(schema.link.c.role == "target")).all()
    found = {}
    for link in links:
        if link.conn == "hubspot":
            record = scene.box.hubspot.get("contacts", link.id)
            values = [record.get(f"mql_{name}") or None for name in ("status", "nurture", "paused", "missing")]
            values[2] = {"true": True, "false": False, None: None}[values[2]]
        else:
            record = scene.box.salesforce.get(link.object.title(), link.id)
            values = [record[f"MQL_{name}__c"] for name in ("Status", "Nurture", "Paused", "Missing")]
        names = ("status", "track", "paused", "missing")
        found[link.conn, link.id] = {"person": link.person_id, **dict(zip(names, values, strict=True))}
    return found


def test_both_crms_show_the_track_the_rest_and_what_is_missing(scene: World) -> None:
    assert scene.run().exit_code in (0, 5)
    records = shown(scene)
    statuses = {record["status"] for record in records.values()}
    assert {"near", "assigned", "not_yet"} <= statuses
    for record in records.values():
        assert record["track"] == ("content" if record["status"] == "near" else None)
        assert record["paused"] is (record["status"] == "assigned")
        if record["status"] == "near":
            assert "short of" in record["missing"]
        if record["status"] not in ("near", "not_yet", "recycled"):
            assert record["missing"] is None
    by_person: dict[str, set[Any]] = {}
    for record in records.values():
        by_person.setdefault(record["person"], set()).add((record["track"], record["paused"], record["missing"]))
    assert {len(values) for values in by_person.values()} == {1}
    assert len(records) > len(by_person)
    assert scene.run().writes == 0


def test_a_rejection_starts_the_track_of_its_reason_and_mail_again(scene: World) -> None:
    scene.run()
    lead = next(
        id
        for (crm, id), record in sorted(shown(scene).items())
        if crm == "salesforce" and record["status"] == "assigned" and id.startswith("00Q")
    )
    scene.box.clock.move(timedelta(hours=1))
    scene.box.salesforce.edit(
        "Lead", lead, {"Status": "Closed - Not Converted", "MQL_Rejection_Reason__c": "not_ready"}
    )
    scene.box.clock.move(timedelta(hours=1))
    report = scene.run(as_of=AS_OF + timedelta(hours=2))
    assert report.exit_code in (0, 5), report.error
    person = shown(scene)["salesforce", lead]["person"]
    theirs = [record for record in shown(scene).values() if record["person"] == person]
    assert {(record["track"], record["paused"]) for record in theirs} == {("webinars", False)}
    assert scene.run(as_of=AS_OF + timedelta(hours=2)).writes == 0


def test_a_rule_of_nurture_that_changes_is_told_to_everybody_it_concerns(scene: World) -> None:
    scene.run()
    edit(scene.config / "policy.yaml", ("pause_in: [assigned, accepted, working]", "pause_in: [suppressed]"))
    scene.run()
    records = shown(scene)
    assert "suppressed" in {record["status"] for record in records.values()}
    assert all(record["paused"] is (record["status"] == "suppressed") for record in records.values())
    assert scene.run().writes == 0


def test_days_that_move_scores_a_little_write_nothing(scene: World) -> None:
    scene.run()
    before = shown(scene)
    scene.box.clock.move(timedelta(days=1))
    scene.run(as_of=AS_OF + timedelta(days=1))
    after = shown(scene)
    moved = {key for key in before if before[key]["missing"] != after[key]["missing"]}
    numbers = ("mql_score", "mql_fit")
    for crm, id in moved:
        if crm == "hubspot":
            history = [entry for entry in scene.box.journal.writes(via="api") if entry.id == id]
            assert len(history) >= 2
            assert set(numbers) & set(history[-1].changes) or "mql_status" in history[-1].changes
    assert len(moved) < len(before) / 2
