"""Where one CRM decides on owners, the other follows within the run that was answered."""

import pytest
from sqlalchemy import select

from sync.store import schema
from tests.support.world import World, api_writes


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
