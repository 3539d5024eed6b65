"""Fields that are not ours to write are listed with what they mean, and released when somebody says so."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sync.store import schema
from sync.store.decisions import mark_dirty
from tests.acceptance.test_people_win import another_owner, assigned_in
from tests.support.shell import mqlsync
from tests.support.world import AS_OF, World, world

RUN = ("run", "--json", "--as-of", AS_OF.isoformat())


def listed(scene: World) -> list[dict[str, Any]]:
    return mqlsync("conflicts", "--json", scene=scene).json["conflicts"]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, people=30) as made:
        yield made


@pytest.fixture
def edited(scene: World) -> tuple[World, str]:
    """An MQL whose status somebody changed in HubSpot, after a run that saw it."""
    scene.run()
    _, contact = assigned_in(scene, "hubspot", "contact")
    scene.box.hubspot.edit("contacts", contact, {"mql_status": "never"})
    scene.run()
    return scene, contact


def in_both(scene: World) -> tuple[str, str]:
    """(person id, HubSpot contact) of an MQL with a rep and a record in each CRM."""
    a, link = schema.assignment.c, schema.link.c
    with scene.opened() as opened, opened.parts.store.read() as tx:
        reps = set(tx.execute(select(a.person_id).where(a.owner_key.startswith("rep:"))).scalars())
        links = tx.execute(select(schema.link).where(link.role == "target").order_by(link.person_id)).all()
    other = {row.person_id for row in links if row.conn == "salesforce"}
    return next((row.person_id, row.id) for row in links if row.conn == "hubspot" and row.person_id in reps & other)


def test_without_any_it_says_so(scene: World) -> None:
    scene.edit_settings(("owner_authority: both", "owner_authority: salesforce"))
    scene.run()
    assert mqlsync("conflicts", scene=scene).out == "Nobody's value stands against ours.\n"


def test_a_field_that_is_held_is_listed_with_both_values_and_how_it_ends(edited: tuple[World, str]) -> None:
    scene, contact = edited
    (one,) = listed(scene)
    assert (one["crm"], one["record"], one["field"]) == ("hubspot", f"hubspot:contact:{contact}", "mql_status")
    assert (one["theirs"], one["ours"], one["held"]) == ("never", "assigned", True)
    text = mqlsync("conflicts", scene=scene).out
    assert f"{one['no']}  hubspot:contact:{contact}  mql_status: 'never', ours 'assigned'" in text
    assert one["name"] in text
    assert "theirs stays" in text
    assert f"`mqlsync conflicts release {one['no']}`" in text
    assert mqlsync("conflicts", "list", scene=scene).out == text


def test_a_field_that_is_released_is_written_by_the_next_run_and_only_it(edited: tuple[World, str]) -> None:
    scene, contact = edited
    (one,) = listed(scene)
    seen = scene.box.journal.last_seq
    answer = mqlsync("conflicts", "release", str(one["no"]), scene=scene)
    assert answer.code == 0, answer.err
    assert f"released hubspot:contact:{contact} mql_status" in answer.out
    assert listed(scene) == []
    assert mqlsync(*RUN, scene=scene).code in (0, 5)
    assert scene.box.hubspot.get("contacts", contact)["mql_status"] == "assigned"
    written = [entry for entry in scene.box.journal.since(seen) if entry.via == "api"]
    assert [(entry.id, set(entry.changes) & {"mql_status", "mql_grade"}) for entry in written] == [
        (contact, {"mql_status"})
    ]
    assert mqlsync(*RUN, scene=scene).json["writes"] == 0


def test_who_edits_it_again_after_the_release_has_edited_it_again(edited: tuple[World, str]) -> None:
    scene, contact = edited
    (one,) = listed(scene)
    mqlsync("conflicts", "release", str(one["no"]), scene=scene)
    scene.box.clock.move(timedelta(minutes=1))
    scene.box.hubspot.edit("contacts", contact, {"mql_status": "recycled"})
    scene.run()
    assert scene.box.hubspot.get("contacts", contact)["mql_status"] == "recycled"
    (again,) = listed(scene)
    assert again["theirs"] == "recycled"


@pytest.mark.parametrize("numbers", [("999",), ("1", "999")])
def test_a_number_that_holds_nothing_releases_nothing(edited: tuple[World, str], numbers: tuple[str, ...]) -> None:
    scene, _ = edited
    before = listed(scene)
    refused = mqlsync("conflicts", "release", *numbers, scene=scene)
    assert refused.code == 1
    assert "has the number" in refused.err
    assert listed(scene) == before


def test_a_new_episode_writes_what_was_held_in_the_last_one(edited: tuple[World, str]) -> None:
    scene, contact = edited
    with scene.opened() as opened, opened.parts.store.write() as tx:
        link = schema.link.c
        person_id = tx.execute(select(link.person_id).where(link.conn == "hubspot", link.id == contact)).scalar_one()
        e = schema.episode.c
        ended = {"closed_at": AS_OF, "outcome": "faded"}
        tx.execute(schema.episode.update().where(e.person_id == person_id).values(**ended))
        p = schema.person.c
        tx.execute(schema.person.update().where(p.person_id == person_id).values(status="not_yet", reason=None))
        mark_dirty(tx, person_id, "test")
    scene.run()
    with scene.opened() as opened, opened.parts.store.read() as tx:
        status = tx.execute(select(schema.person.c.status).where(schema.person.c.person_id == person_id)).scalar_one()
    assert scene.box.hubspot.get("contacts", contact)["mql_status"] == status == "assigned"
    assert listed(scene) == []


def test_a_score_typed_over_is_listed_for_a_while_though_it_was_written_again(scene: World) -> None:
    scene.run()
    _, contact = assigned_in(scene, "hubspot", "contact")
    scene.box.hubspot.edit("contacts", contact, {"mql_score": "1"})
    scene.run()
    (one,) = listed(scene)
    assert (one["kind"], one["field"], one["theirs"], one["held"]) == ("tamper", "mql_score", "1", False)
    assert mqlsync("conflicts", "release", str(one["no"]), scene=scene).code == 1, "nothing is held"


def test_two_owners_of_one_mql_are_listed_while_neither_crm_decides(scene: World) -> None:
    scene.run()
    person_id, contact = in_both(scene)
    other = another_owner(scene, scene.box.hubspot.get("contacts", contact)["hubspot_owner_id"])
    before = mqlsync("conflicts", "--json", scene=scene).json["two_owners"]
    assert person_id not in {one["person_id"] for one in before}
    with scene.opened() as opened, opened.parts.store.write() as tx:
        r = schema.record.c
        tx.execute(schema.record.update().where(r.conn == "hubspot", r.id == contact).values(owner=other))
    after = mqlsync("conflicts", "--json", scene=scene).json["two_owners"]
    (one,) = [one for one in after if one not in before]
    assert one["person_id"] == person_id
    assert {owner["crm"] for owner in one["owners"]} == {"hubspot", "salesforce"}
    assert len({owner["owner"] for owner in one["owners"]}) == 2
    assert "has two owners: " in mqlsync("conflicts", scene=scene).out
    scene.edit_settings(("owner_authority: both", "owner_authority: salesforce"))
    assert mqlsync("conflicts", "--json", scene=scene).json["two_owners"] == []


def test_one_user_of_both_crms_is_no_two_owners_though_no_rep(scene: World) -> None:
    scene.run()
    person_id, contact = in_both(scene)
    o, r = schema.owner.c, schema.record.c
    with scene.opened() as opened, opened.parts.store.write() as tx:
        has = tx.execute(select(r.owner).where(r.conn == "hubspot", r.id == contact)).scalar_one()
        address = tx.execute(select(o.email).where(o.conn == "hubspot", o.id == has)).scalar_one()
        tx.execute(schema.owner.update().where(o.email == address).values(email="no.rep@acme.example"))
    listed_now = mqlsync("conflicts", "--json", scene=scene).json["two_owners"]
    assert person_id not in {one["person_id"] for one in listed_now}
