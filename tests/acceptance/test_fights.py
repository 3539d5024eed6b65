"""A workflow that sets what we set does not keep both busy for ever."""

from __future__ import annotations

import json
from datetime import timedelta

from sqlalchemy import select

from sync.store import schema
from tests.acceptance.test_people_win import another_owner, assigned_in, owners_of
from tests.support.world import AS_OF, World

ROUNDS = 8


def set_back(scene: World, contact: str, field: str, value: str) -> None:
    """The workflow: whenever the field says something else, it says this again."""
    if scene.box.hubspot.get("contacts", contact).get(field) != value:
        scene.box.hubspot.edit("contacts", contact, {field: value})


def test_a_score_that_a_workflow_sets_back_is_given_up_and_told(scene: World) -> None:
    scene.run()
    _, contact = assigned_in(scene, "hubspot", "contact")
    told = []
    for n in range(ROUNDS):
        set_back(scene, contact, "mql_score", "1")
        scene.box.clock.move(timedelta(minutes=15))
        report = scene.run(as_of=AS_OF + timedelta(minutes=n))
        told += report.fights
    assert scene.box.hubspot.get("contacts", contact)["mql_score"] == "1", "the last word is theirs"
    assert report.writes == 0
    (fight,) = told
    assert (fight.ref.id, fight.field, fight.theirs, fight.times) == (contact, "mql_score", "1", 3)
    status = scene.cli("status").stdout
    assert "given up: 1" in status
    assert f"hubspot:contact:{contact} mql_score: '1'" in status


def test_the_rest_of_the_record_is_written_as_ever(scene: World) -> None:
    scene.run()
    _, contact = assigned_in(scene, "hubspot", "contact")
    grade = scene.box.hubspot.get("contacts", contact)["mql_grade"]
    for n in range(ROUNDS):
        set_back(scene, contact, "mql_score", "1")
        scene.run(as_of=AS_OF + timedelta(minutes=n))
    scene.box.hubspot.edit("contacts", contact, {"mql_grade": "Z9"})
    scene.run(as_of=AS_OF + timedelta(minutes=ROUNDS))
    assert scene.box.hubspot.get("contacts", contact)["mql_grade"] == grade
    assert scene.box.hubspot.get("contacts", contact)["mql_score"] == "1"


def test_how_often_is_too_often_is_a_setting(scene: World) -> None:
    scene.edit_settings(("recovery:", "fights: {times: 2, days: 1}\nrecovery:"))
    scene.run()
    _, contact = assigned_in(scene, "hubspot", "contact")
    told = []
    for n in range(3):
        set_back(scene, contact, "mql_score", "1")
        told += scene.run(as_of=AS_OF + timedelta(minutes=n)).fights
    assert [fight.times for fight in told] == [2]


def test_two_workflows_that_each_want_their_owner_come_to_rest(scene: World) -> None:
    """Each CRM sets its own owner back, and every owner that is set by hand is taken over: the worst of both."""
    scene.run()
    person_id, contact = assigned_in(scene, "hubspot", "contact")
    mine = another_owner(scene, scene.box.hubspot.get("contacts", contact)["hubspot_owner_id"])
    kind, id, theirs = salesforce_half(scene, person_id)
    told = []
    for n in range(ROUNDS * 2):
        set_back(scene, contact, "hubspot_owner_id", mine)
        if scene.box.salesforce.get(kind, id)["OwnerId"] != theirs:
            scene.box.salesforce.edit(kind, id, {"OwnerId": theirs})
        report = scene.run(as_of=AS_OF + timedelta(minutes=n))
        told += report.fights
    assert report.writes == 0, "nobody is written any more"
    assert {fight.field for fight in told} & {"hubspot_owner_id", "OwnerId"}
    assert scene.box.hubspot.get("contacts", contact)["hubspot_owner_id"] == mine
    assert scene.box.salesforce.get(kind, id)["OwnerId"] == theirs
    assert len(set(owners_of(scene, person_id).values())) == 2


def salesforce_half(scene: World, person_id: str) -> tuple[str, str, str]:
    """(object, id, owner) of the person's record in Salesforce."""
    link = schema.link.c
    with scene.opened() as opened, opened.parts.store.read() as tx:
        asked = select(link.object, link.id).where(
            link.person_id == person_id, link.conn == "salesforce", link.role == "target"
        )
        object, id = tx.execute(asked).one()
    kind = {"lead": "Lead", "contact": "Contact"}[object]
    return kind, id, scene.box.salesforce.get(kind, id)["OwnerId"]


def test_whoever_has_ended_the_other_writer_releases_the_field(scene: World) -> None:
    scene.run()
    _, contact = assigned_in(scene, "hubspot", "contact")
    score = scene.box.hubspot.get("contacts", contact)["mql_score"]
    for n in range(4):
        set_back(scene, contact, "mql_score", "1")
        scene.run(as_of=AS_OF + timedelta(minutes=n))
    (fight,) = json.loads(scene.cli("status", "--json").stdout)["fights"]
    listed = scene.cli("conflicts", "list").stdout
    assert contact in listed
    assert "fight" in listed or "again and again" in listed
    released = scene.cli("conflicts", "release", str(fight["no"]))
    assert released.returncode == 0, released.stderr
    scene.run(as_of=AS_OF + timedelta(minutes=10))
    assert scene.box.hubspot.get("contacts", contact)["mql_score"] == score
    assert scene.run(as_of=AS_OF + timedelta(minutes=10)).writes == 0
    assert "given up" not in scene.cli("status").stdout
