"""Where one CRM decides on owners, the other follows within the run that was answered."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from sync.store import schema
from tests.support.world import AS_OF, World, api_writes, edit


def owners_apart(scene: World) -> list[str]:
    """People with an open episode whose records in the two CRMs have different owners."""
    emails = {str(u["Id"]): str(u["Email"]).lower() for u in scene.box.salesforce.all("User")}
    with scene.opened() as opened, opened.parts.store.read() as tx:
        owners = {row.id: row.email for row in tx.execute(select(schema.owner).where(schema.owner.c.conn == "hubspot"))}
        reps = {row.person_id for row in tx.execute(select(schema.assignment)) if row.owner_key.startswith("rep:")}
        links = tx.execute(select(schema.link).where(schema.link.c.role == "target")).all()
    shown: dict[str, dict[str, str | None]] = {person: {} for person in reps}
    for link in links:
        if link.person_id not in reps:
            continue
        if link.conn == "hubspot":
            name = owners.get(scene.box.hubspot.get("contacts", link.id).get("hubspot_owner_id"))
        else:
            kind = {"lead": "Lead", "contact": "Contact"}[link.object]
            name = emails.get(str(scene.box.salesforce.get(kind, link.id)["OwnerId"]))
        shown[link.person_id][link.conn] = name
    both = {person: names for person, names in shown.items() if len(names) == 2}
    assert both, "nobody is in both CRMs"
    return [person for person, names in both.items() if len(set(names.values())) > 1]


@pytest.mark.parametrize("authority", ["salesforce", "hubspot"])
def test_the_other_crm_follows_in_the_same_run_and_the_next_writes_nothing(scene, authority):
    """The follower waits for the leader's answer, not for the next run; so does a task whose owner waits with it."""
    scene.edit_settings(("owner_authority: both", f"owner_authority: {authority}"))
    scene.run()
    assert owners_apart(scene) == []
    before = len(api_writes(scene.box))
    assert scene.run().writes == 0
    assert len(api_writes(scene.box)) == before


def test_where_each_crm_has_an_owner_of_its_own_the_task_goes_to_the_one_beside_it(scene):
    """Neither owner is overwritten, so no write will ever confirm one: the task must not wait for that."""
    policy = scene.config / "policy.yaml"
    edit(policy, ("task: {due: 1 working day}", "task: {in: hubspot, due: 1 working day}"))
    portal, org = scene.box.hubspot, scene.box.salesforce
    with scene.opened() as opened:
        reps = sorted(opened.parts.policy.team.reps)
        ids = {(o.crm, o.email): o.id for c in opened.parts.connectors.values() for o in c.owners() if o.active}
    here, there = ids["hubspot", reps[0]], ids["salesforce", reps[1]]
    email = "ada@pine-instruments.example"
    facts = {"email": email, "firstname": "Ada", "jobtitle": "VP of Marketing", "country": "Ireland"}
    contact = portal.add("contacts", {**facts, "hubspot_owner_id": here}, at=AS_OF)
    form = next(guid for guid, form in portal.forms.items() if form.name == "Request a demo")
    portal.add_submission(form, AS_OF - timedelta(days=1), {"email": email})
    firm = {"Company": "Pine Instruments", "NumberOfEmployees": 600, "Country": "Ireland", "Title": "VP of Marketing"}
    lead = org.add("Lead", {"LastName": "Byrne", "Email": email, **firm, "OwnerId": there}, at=AS_OF)
    scene.run()
    assert (portal.get("contacts", contact)["hubspot_owner_id"], org.get("Lead", lead)["OwnerId"]) == (here, there)
    with scene.opened() as opened, opened.parts.store.read() as tx:
        assert tx.execute(select(schema.outbox)).all() == []
        person = tx.execute(select(schema.link.c.person_id).where(schema.link.c.id == lead)).scalar_one()
        done = select(schema.acked.c.fields).where(schema.acked.c.id == f"{person}:1:task:1")
        [task] = tx.execute(done).scalars()
    assert portal.get("tasks", task["id"])["hubspot_owner_id"] == here
