"""What people do in their CRMs between two runs is theirs."""

from sqlalchemy import select

from sync.shown import mql_rows
from sync.store import schema
from tests.support.world import World


def assigned_in(scene: World, crm: str, object: str) -> tuple[str, str]:
    """(person_id, record id) of an MQL that a rep has, with a record of that kind to edit."""
    with scene.opened() as opened:
        reps = {row["person_id"] for row in mql_rows(opened.parts.store) if row["owner"].startswith("rep:")}
        with opened.parts.store.read() as tx:
            found = tx.execute(
                select(schema.link.c.person_id, schema.link.c.id).where(
                    schema.link.c.conn == crm, schema.link.c.object == object, schema.link.c.role == "target"
                )
            )
            return next((row.person_id, row.id) for row in sorted(found) if row.person_id in reps)


def owners_of(scene: World, person_id: str) -> dict[str, str | None]:
    """The owner each CRM shows for a person's records, as an e-mail address."""
    emails = {str(u["Id"]): str(u["Email"]).lower() for u in scene.box.salesforce.all("User")}
    with scene.opened() as opened, opened.parts.store.read() as tx:
        links = tx.execute(
            select(schema.link).where(schema.link.c.person_id == person_id, schema.link.c.role == "target")
        ).all()
        owners = {row.id: row.email for row in tx.execute(select(schema.owner).where(schema.owner.c.conn == "hubspot"))}
    shown: dict[str, str | None] = {}
    for link in links:
        if link.conn == "hubspot":
            shown["hubspot"] = owners.get(scene.box.hubspot.get("contacts", link.id).get("hubspot_owner_id"))
        else:
            kind = {"lead": "Lead", "contact": "Contact"}[link.object]
            shown["salesforce"] = emails.get(str(scene.box.salesforce.get(kind, link.id)["OwnerId"]))
    return shown


def another_owner(scene: World, current: str) -> str:
    with scene.opened() as opened, opened.parts.store.read() as tx:
        rows = tx.execute(
            select(schema.owner).where(
                schema.owner.c.conn == "hubspot", schema.owner.c.active, schema.owner.c.kind == "user"
            )
        ).all()
        reps = opened.parts.policy.team.reps
        return next(row.id for row in sorted(rows, key=lambda r: r.id) if row.email in reps and row.id != current)


def test_an_owner_that_a_person_chose_stays_and_the_other_crm_hears_of_it(scene):
    scene.run()
    person_id, contact = assigned_in(scene, "hubspot", "contact")
    before = scene.box.hubspot.get("contacts", contact)["hubspot_owner_id"]
    chosen = another_owner(scene, before)
    scene.box.hubspot.edit("contacts", contact, {"hubspot_owner_id": chosen})
    scene.run()
    assert scene.box.hubspot.get("contacts", contact)["hubspot_owner_id"] == chosen
    assert len(set(owners_of(scene, person_id).values())) == 1
    assert scene.run().writes == 0


def test_a_status_that_a_person_set_stays(scene):
    scene.run()
    _, contact = assigned_in(scene, "hubspot", "contact")
    scene.box.hubspot.edit("contacts", contact, {"mql_status": "working"})
    scene.run()
    assert scene.box.hubspot.get("contacts", contact)["mql_status"] == "working"
    assert scene.run().writes == 0
    assert scene.box.hubspot.get("contacts", contact)["mql_status"] == "working"


def test_a_score_that_somebody_typed_over_is_written_again(scene):
    scene.run()
    _, contact = assigned_in(scene, "hubspot", "contact")
    score = scene.box.hubspot.get("contacts", contact)["mql_score"]
    scene.box.hubspot.edit("contacts", contact, {"mql_score": "1"})
    assert scene.run().counts()["tampered"] == 1
    assert scene.box.hubspot.get("contacts", contact)["mql_score"] == score


def test_a_lifecycle_stage_never_moves_backward(scene):
    before = {
        id: scene.box.hubspot.get("contacts", id).get("lifecyclestage") for id in scene.box.hubspot.ids("contacts")
    }
    scene.run()
    ladder = ["", "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer"]
    moved = 0
    for id, was in before.items():
        now = scene.box.hubspot.get("contacts", id).get("lifecyclestage") or ""
        if (was or "") in ladder and now in ladder:
            assert ladder.index(now) >= ladder.index(was or "")
            moved += now != (was or "")
    assert moved > 0


def test_converted_deleted_and_ambiguous_records_are_never_written(scene):
    scene.run()
    scene.run()
    written = {(entry.crm, entry.id) for entry in scene.box.journal.writes(via="api")}
    converted = {lead["Id"] for lead in scene.box.salesforce.all("Lead") if lead.get("IsConverted")}
    with scene.opened() as opened, opened.parts.store.read() as tx:
        ambiguous = tx.execute(select(schema.link).where(schema.link.c.role == "ambiguous")).all()
        gone = tx.execute(select(schema.record).where(schema.record.c.gone)).all()
    assert converted
    assert ambiguous
    assert not {("salesforce", id) for id in converted} & written
    assert not {(row.conn, row.id) for row in ambiguous} & written
    assert not {(row.conn, row.id) for row in gone} & written
