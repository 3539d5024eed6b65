"""A record can become another one between a run's read and its write: nobody is decided by half of what is known."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from sync.compose import Opened
from sync.store import schema
from tests.support.world import AS_OF, World, world


def assigned_in_both(opened: Opened) -> tuple[str, str, str]:
    """(person id, contact, lead) of somebody new to sales with both records."""
    link, p = schema.link.c, schema.person.c
    with opened.parts.store.read() as tx:
        new = set(tx.execute(select(p.person_id).where(p.status == "assigned")).scalars())
        links = tx.execute(select(schema.link).where(link.role == "target")).all()
    contact = {row.person_id: row.id for row in links if row.conn == "hubspot"}
    lead = {row.person_id: row.id for row in links if row.object == "lead"}
    who = min(new & contact.keys() & lead.keys())
    return who, contact[who], lead[who]


def merged(scene: World, contact: str, lead: str) -> tuple[str, str]:
    other = scene.box.hubspot.add("contacts", {"email": "other@elsewhere.example"})
    return "hubspot", scene.box.hubspot.merge("contacts", contact, other)


def converted(scene: World, contact: str, lead: str) -> tuple[str, str]:
    return "salesforce", scene.box.salesforce.convert(lead)


@pytest.mark.parametrize("become", [merged, converted])
def test_what_a_record_became_while_it_was_written_is_read_before_its_person_is_decided_again(
    tmp_path: Path, become: Callable[[World, str, str], tuple[str, str]]
) -> None:
    with world(tmp_path, people=30) as scene:
        moved: list[tuple[str, str, str]] = []

        def reached(place: str) -> None:
            if place == "decide:done" and not moved:
                who, contact, lead = assigned_in_both(opened)
                moved.append((who, *become(scene, contact, lead)))

        with scene.opened(reached) as opened:
            assert opened.run("sync", as_of=AS_OF).exit_code == 0
            [(who, conn, id)] = moved
            link, p = schema.link.c, schema.person.c
            with opened.parts.store.read() as tx:
                owner = tx.execute(select(link.person_id).where(link.conn == conn, link.id == id)).scalar_one()
                status = tx.execute(select(p.status).where(p.person_id == who)).scalar_one()
        assert owner == who
        shown = scene.box.hubspot.get("contacts", id) if conn == "hubspot" else scene.box.salesforce.get("Contact", id)
        assert shown["mql_status" if conn == "hubspot" else "MQL_Status__c"] == status
        assert scene.run().writes == 0
