"""Where a person cannot simply go to the next rep: nobody is free, or somebody has taken the owner out of our hands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sync.store import schema
from tests.support.receiver import Receiver
from tests.support.service_level import NAMES, address, with_asking, with_service_level
from tests.support.world import AS_OF, World, edit, rows, world

HOUR = timedelta(hours=1)


@pytest.fixture
def scene(tmp_path: Path, channel: Receiver) -> Iterator[World]:
    with world(tmp_path, people=6) as made:
        with_service_level(made, channel)
        with_asking(made)
        yield made


def later(scene: World, hours: float) -> None:
    now = AS_OF + hours * HOUR
    scene.box.clock.freeze(now)
    report = scene.run(as_of=now)
    assert report.exit_code == 0, (report.error, report.problems)


def people(scene: World) -> dict[str, str]:
    by_address = {row.email: row.person_id for row in rows(scene, schema.person)}
    return {name: by_address[address(name)] for name in NAMES}


def owners(scene: World, person_id: str) -> list[str]:
    every = [row for row in rows(scene, schema.assignment) if row.person_id == person_id]
    return [row.owner_key for row in sorted(every, key=lambda row: row.step)]


def notices(scene: World, person_id: str) -> Counter[str]:
    return Counter(row.kind for row in rows(scene, schema.notice) if row.person_id == person_id)


def test_who_has_nobody_else_stays_where_they_are_as_long_as_the_pool_lets_people_wait(scene: World) -> None:
    """All are on leave from the afternoon on. The wait begins when the person should have gone to another rep."""
    scene.run()
    first = {name: owners(scene, one) for name, one in people(scene).items()}
    team = scene.config / "team.yaml"
    edit(team, ("assign anyway else queue inbound", "wait 1 working hours then queue inbound"))
    text = team.read_text()
    for line in [one for one in text.splitlines() if "{name: " in one]:
        text = text.replace(line, line.replace("}", ", away: [2026-11-25..2026-12-04]}"))
    team.write_text(text)
    for hours in (4, 4.9):
        later(scene, hours)
        assert {name: owners(scene, one) for name, one in people(scene).items()} == first
    later(scene, 5)
    for name, one in people(scene).items():
        assert owners(scene, one) == [*first[name], "queue:inbound"]
        assert notices(scene, one) == {"assigned": 1, "remind": 1, "taken": 1, "gave_up": 1}
    traces = {row.person_id: row.trace for row in rows(scene, schema.assignment) if row.step == 2}
    assert {trace["rules"][-1]["wait"]["since"] for trace in traces.values()} == {"2026-11-25T16:00:00+00:00"}


def test_after_the_last_change_the_queue_gets_them_and_the_manager_hears_of_it(scene: World) -> None:
    edit(scene.config / "policy.yaml", ("give_up_after:  2 reassignments", "give_up_after:  1 reassignment"))
    scene.run()
    for hours in (4, 23.5):
        later(scene, hours)
    for one in people(scene).values():
        first, second, last = owners(scene, one)
        assert (first != second, last) == (True, "queue:inbound")
        assert notices(scene, one)["gave_up"] == 1


def test_who_was_taken_out_of_our_hands_is_reported_and_stays(scene: World) -> None:
    """Somebody sets the owner of Ada's HubSpot record to nobody; Bea's pool is no pool any more.

    Cleo goes to another rep, though by the shares it would be the turn of the one who has her.
    """
    scene.run()
    found = people(scene)
    first = {name: owners(scene, one) for name, one in found.items()}
    _whose_turn_it_is(scene, first["cleo"][0].removeprefix("rep:"))
    portal = scene.box.hubspot
    contacts = {portal.get("contacts", id).get("email"): id for id in portal.ids("contacts")}
    scene.box.clock.move(HOUR)
    portal.edit("contacts", contacts[address("ada")], {"hubspot_owner_id": ""})
    with scene.opened() as opened, opened.parts.store.write() as tx:
        a = schema.assignment
        tx.execute(a.update().where(a.c.person_id == found["bea"]).values(pool="of last year"))
    later(scene, 1.5)
    later(scene, 4)
    for name in ("ada", "bea"):
        assert owners(scene, found[name]) == first[name]
        assert notices(scene, found[name]) == {"assigned": 1, "remind": 1, "report": 1}
    assert len(set(owners(scene, found["cleo"]))) == 2
    later(scene, 5)
    assert notices(scene, found["ada"])["report"] == 1


def _whose_turn_it_is(scene: World, rep: str) -> None:
    """Give a rep so much weight that the pool would draw nobody else."""
    team = scene.config / "team.yaml"
    [line] = [one for one in team.read_text().splitlines() if rep in one and "{weight: " in one]
    heavy = f"{line.partition('{weight: ')[0]}{{weight: 99}}"
    edit(team, (line, heavy), ("    method: weighted", "    catch_up: yes\n    method: weighted"))
