"""Of one decision: which CRM has confirmed it, which has not, why, and when that is tried again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sync.store import schema
from tests.acceptance.test_conflicts_listed import in_both
from tests.support.shell import mqlsync
from tests.support.world import World, world


def told(scene: World, who: str) -> dict[str, dict[str, Any]]:
    return {side["record"]: side for side in mqlsync("explain", who, "--json", scene=scene).json["told"]}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, people=30) as made:
        yield made


@pytest.fixture
def assigned(scene: World) -> tuple[World, str, str, str]:
    """A world after its run; an MQL with records in both CRMs: person, contact, and the Salesforce record."""
    scene.run()
    person_id, contact = in_both(scene)
    with scene.opened() as opened, opened.parts.store.read() as tx:
        link = schema.link.c
        theirs = select(link.object, link.id).where(
            link.person_id == person_id, link.conn == "salesforce", link.role == "target"
        )
        object, id = tx.execute(theirs).one()
    return scene, person_id, f"hubspot:contact:{contact}", f"salesforce:{object}:{id}"


def outbox_row(scene: World, record: str, **values: Any) -> None:
    """As if the CRM had left this of the record open."""
    conn, object, id = record.split(":")
    with scene.opened() as opened, opened.parts.store.write() as tx:
        a = schema.acked.c
        here = (a.conn == conn) & (a.object == object) & (a.id == id)
        fields = dict(tx.execute(select(a.fields).where(here)).scalar_one())
        name = next(name for name in fields if name.lower().startswith("mql_grade"))
        wanted = {name: fields.pop(name)}
        tx.execute(schema.acked.update().where(here).values(fields=fields))
        row = {
            "op_key": "x", "conn": conn, "object": object, "id": id, "person_id": "p", "fields": wanted, "base": {},
            "sent": [], "attempts": 1, "run_id": "r",
        }  # fmt: skip
        tx.execute(schema.outbox.insert(), {**row, **values})


def test_both_crms_have_confirmed_what_a_run_decided(assigned: tuple[World, str, str, str]) -> None:
    scene, person_id, contact, other = assigned
    sides = told(scene, person_id)
    assert sides[contact]["told"] == sides[other]["told"] == "confirmed"
    assert any(side["record"].split(":")[1] == "task" and side["told"] == "confirmed" for side in sides.values())
    assert (
        f"hubspot has confirmed contact {contact.rpartition(':')[2]}, last on "
        in mqlsync("explain", person_id, scene=scene).out
    )


@pytest.mark.parametrize(
    ("values", "state", "said"),
    [
        ({"state": "pending"}, "waits", "salesforce has yet to be told MQL_Grade__c of "),
        ({"state": "inflight"}, "unanswered", "salesforce has not answered for MQL_Grade__c of "),
        (
            {"state": "dead", "error_code": "FIELD_INTEGRITY", "error": "no", "release_key": "k"},
            "refused",
            "(FIELD_INTEGRITY: no); tried again on 2026-11-26 12:00 UTC, or once the policy or the property changes",
        ),
    ],
)
def test_the_side_that_failed_is_named_with_why_and_when_it_is_tried_again(
    assigned: tuple[World, str, str, str], values: dict[str, Any], state: str, said: str
) -> None:
    scene, person_id, contact, other = assigned
    if state == "refused":
        values = {**values, "dead_at": scene.box.clock.now()}
    outbox_row(scene, other, **values)
    sides = told(scene, person_id)
    assert sides[contact]["told"] == "confirmed"
    assert sides[other]["told"] == state
    assert list(sides[other]["lacking"]) == ["MQL_Grade__c"]
    assert said in mqlsync("explain", person_id, scene=scene).out
    by_crm = mqlsync("status", "--json", scene=scene).json["outbox"]["by_crm"]
    name = {"waits": "pending"}.get(state, state)
    assert by_crm["salesforce"][name] == 1
    assert by_crm["salesforce"]["next_try"] == ("2026-11-26T12:00:00Z" if state == "refused" else None)
    text = mqlsync("status", scene=scene).out
    assert "  salesforce: " in text
