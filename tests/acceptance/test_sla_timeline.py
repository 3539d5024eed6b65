"""An MQL whom nobody touches, hour by hour over both CRMs: reminded, given on twice, then the queue and the manager."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sync.store import schema
from tests.support.receiver import Receiver
from tests.support.service_level import DESK, MANAGER, NAMES, with_asking, with_service_level
from tests.support.world import World, api_writes, edit, rows, world

PEOPLE = 30


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Of November 2026: the 25th is a Wednesday. The office is open from 9 to 17:30, in UTC."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def scene(tmp_path: Path, channel: Receiver) -> Iterator[World]:
    """A team with a service level, a manager, a queue in both CRMs, and channels for reps and managers."""
    with world(tmp_path, people=PEOPLE) as made:
        with_service_level(made, channel)
        with_asking(made)
        yield made


def run(scene: World, now: datetime) -> Any:
    """Move the clock, run, run again; nothing is left to write or to tell, and both CRMs say the same."""
    scene.box.clock.freeze(now)
    report = scene.run(as_of=now)
    assert report.exit_code == 0, (report.error, report.problems)
    again = scene.run(as_of=now)
    assert (again.writes, again.told) == (0, 0)
    assert apart(scene) == []
    return report


def newest(scene: World) -> dict[str, Any]:
    """Person -> the newest assignment that began with a pool."""
    found: dict[str, Any] = {}
    drawn = set()
    for row in sorted(rows(scene, schema.assignment), key=lambda row: row.step):
        found[row.person_id] = row
        drawn |= {row.person_id} if row.step == 1 and row.pool is not None else set()
    return {person_id: found[person_id] for person_id in drawn}


def owners_of(scene: World, person_id: str) -> list[str]:
    every = [row for row in rows(scene, schema.assignment) if row.person_id == person_id]
    return [row.owner_key for row in sorted(every, key=lambda row: row.step)]


def apart(scene: World) -> list[Any]:
    """People of a pool whose records in the two CRMs show another status or owner. A Contact can belong to no queue."""
    users = {str(user["Id"]): str(user["Email"]).lower() for user in scene.box.salesforce.all("User")}
    owners = {row.id: row.email for row in rows(scene, schema.owner) if row.conn == "hubspot"}
    assigned = {person_id: row.owner_key for person_id, row in newest(scene).items()}
    shown: dict[str, dict[str, tuple[Any, Any]]] = {}
    for link in rows(scene, schema.link):
        if link.role != "target" or link.person_id not in assigned:
            continue
        queued = assigned[link.person_id].startswith("queue:")
        if link.conn == "hubspot":
            record = scene.box.hubspot.get("contacts", link.id)
            owner = owners.get(record.get("hubspot_owner_id"))
            status = record.get("mql_status")
        else:
            record = scene.box.salesforce.get(link.object.capitalize(), link.id)
            owner = users.get(str(record["OwnerId"]), "a queue")
            status = record["MQL_Status__c"]
        expected = {"a queue", DESK} if queued else {assigned[link.person_id].partition(":")[2]}
        fits = owner in expected or (queued and link.object == "contact" and link.conn == "salesforce")
        shown.setdefault(link.person_id, {})[link.conn] = (status, fits)
    assert any(len(said) == 2 for said in shown.values())
    return [
        (person, said)
        for person, said in shown.items()
        if len({status for status, _ in said.values()}) > 1 or not all(fits for _, fits in said.values())
    ]


def told(scene: World) -> Counter[str]:
    """How many notices of each kind there are; all of them were sent."""
    every = rows(scene, schema.notice)
    assert all(row.sent_at is not None for row in every), [row.key for row in every if row.sent_at is None]
    return Counter(row.kind for row in every)


@pytest.mark.slow
def test_from_the_assignment_to_the_manager(scene: World, channel: Receiver) -> None:
    first = run(scene, at(25, 12))
    drawn = newest(scene)
    pooled = len(drawn)
    others = first.counts()["assigned"] - pooled
    assert (pooled >= len(NAMES), others > 0) == (True, True)
    assert told(scene)["assigned"] == first.counts()["assigned"]
    greeted = next(message for message in channel.got if message.title.startswith("New MQL"))
    assert "Why: " in greeted.body
    assert 'Begin with "' in greeted.body

    # whoever has somebody goes on leave: the clock runs all the same, and nobody is given to them any more
    away = drawn[min(drawn)].owner_key.removeprefix("rep:")
    team = scene.config / "team.yaml"
    line = next(one for one in team.read_text().splitlines() if one.startswith(f"  {away}:") and "name" in one)
    edit(team, (line, line.replace("}", ", away: [2026-11-25..2026-12-04]}")))

    assert run(scene, at(25, 13, 59)).told == 0
    assert told(scene)["remind"] == 0
    assert run(scene, at(25, 14)).told == pooled + others
    assert told(scene)["remind"] == pooled + others

    run(scene, at(25, 16))
    second = newest(scene)
    assert all(second[one].step == 2 and second[one].owner_key != drawn[one].owner_key for one in drawn)
    assert all((row.why, row.trace["again"]["why"]) == ("sla", "sla") for row in second.values())
    assert f"rep:{away}" not in {row.owner_key for row in second.values()}
    assert (told(scene)["taken"], told(scene)["reassigned"]) == (pooled, pooled)
    assert told(scene)["report"] == others

    # half an hour before five thirty is half an hour of work: the rest of the two comes in the morning
    assert run(scene, at(25, 17, 29)).told == 0
    run(scene, at(26, 9, 30))
    assert told(scene)["remind"] == 2 * pooled + others
    run(scene, at(26, 11, 30))
    third = newest(scene)
    assert {one.step for one in third.values()} == {3}
    for one in drawn:
        assert len(set(owners_of(scene, one))) == 3

    run(scene, at(26, 13, 30))
    assert told(scene)["remind"] == 3 * pooled + others
    run(scene, at(26, 15, 30))
    assert {one.owner_key for one in newest(scene).values()} == {"queue:inbound"}
    assert told(scene)["gave_up"] == pooled
    gone = [message for message in channel.got if message.title.startswith("Nobody has followed up")]
    assert {message.path for message in gone} == {f"/{MANAGER}"}
    assert {row.outcome for row in rows(scene, schema.episode) if row.person_id in drawn} == {None}

    run(scene, at(26, 16, 30))
    assert told(scene)["queue"] == pooled
    before = len(api_writes(scene.box))
    assert run(scene, at(26, 17)).told == 0
    assert len(api_writes(scene.box)) == before
    assert len(channel.got) == sum(told(scene).values())
    assert len({row.key for row in rows(scene, schema.notice)}) == len(channel.got)
