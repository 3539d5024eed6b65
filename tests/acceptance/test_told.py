"""Whoever has to know of an MQL is told once, and only once it is so: owners, managers, whom a suppress line tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.store import schema
from tests.support.receiver import Receiver
from tests.support.service_level import MANAGER, NAMES, SLA, address, asks, with_asking, with_service_level
from tests.support.shell import mqlsync
from tests.support.world import AS_OF, World, edit, rows, world

HOUR = timedelta(hours=1)
KINDS_OF_THE_FIRST_RUN = {"assigned", "digest"}
CALL = {"Subject": "Call", "Type": "Call", "TaskSubtype": "Call", "Status": "Completed"}
LEAD, CONTACT = ("salesforce", "lead"), ("hubspot", "contact")


@pytest.fixture
def scene(tmp_path: Path, channel: Receiver) -> Iterator[World]:
    """Three people who asked for a demo, and hardly anybody else."""
    with world(tmp_path, people=6) as made:
        with_service_level(made, channel)
        with_asking(made)
        yield made


def notices(scene: World, person_id: str | None = None) -> Counter[str]:
    found = rows(scene, schema.notice)
    return Counter(row.kind for row in found if person_id is None or row.person_id == person_id)


def at_hour(scene: World, hours: float) -> datetime:
    """So many hours after noon, when the first run is."""
    now = AS_OF + hours * HOUR
    scene.box.clock.freeze(now)
    return now


def later(scene: World, hours: float) -> Any:
    report = scene.run(as_of=at_hour(scene, hours))
    assert report.exit_code == 0, (report.error, report.problems)
    return report


def person(scene: World, name: str) -> str:
    return next(row.person_id for row in rows(scene, schema.person) if row.email == address(name))


def records_of(scene: World, person_id: str) -> dict[tuple[str, str], str]:
    found = [row for row in rows(scene, schema.link) if row.person_id == person_id and row.role == "target"]
    return {(row.conn, row.object): row.id for row in found}


def episode(scene: World, person_id: str) -> Any:
    return next(row for row in rows(scene, schema.episode) if row.person_id == person_id)


# -- touches -----------------------------------------------------------------------------------------------------


def test_who_is_touched_in_time_is_not_spoken_of_again(scene: World) -> None:
    scene.run()
    called, answered, forgotten = (person(scene, name) for name in NAMES)
    lead = records_of(scene, called)[LEAD]
    at_hour(scene, 1)
    org = scene.box.salesforce
    org.add("Task", {**CALL, "CallType": "Outbound", "WhoId": lead, "OwnerId": org.get("Lead", lead)["OwnerId"]})
    scene.box.hubspot.edit("contacts", records_of(scene, answered)[CONTACT], {"hs_lead_status": "IN_PROGRESS"})
    later(scene, 1.5)
    assert episode(scene, called).touched_at == AS_OF + HOUR
    assert episode(scene, answered).touched_at == AS_OF + HOUR
    later(scene, 2)
    later(scene, 4)
    for person_id in (called, answered):
        assert notices(scene, person_id) == {"assigned": 1}
        assert [row.step for row in rows(scene, schema.assignment) if row.person_id == person_id] == [1]
    assert notices(scene, forgotten) == {"assigned": 1, "remind": 1, "taken": 1, "reassigned": 1}


def test_a_touch_that_is_heard_of_late_comes_before_what_is_due(scene: World) -> None:
    """The run that finds out is the one in which the person would go to another rep. A call that came in is none."""
    scene.run()
    who = person(scene, "ada")
    lead = records_of(scene, who)[LEAD]
    at_hour(scene, 1)
    scene.box.salesforce.add("Task", {**CALL, "CallType": "Inbound", "WhoId": lead})
    later(scene, 3)
    assert (episode(scene, who).touched_at, notices(scene, who)["remind"]) == (None, 1)
    at_hour(scene, 3.5)
    met = (AS_OF + 3.5 * HOUR).isoformat()
    meeting = {"Subject": "Met", "Type": "Meeting", "DurationInMinutes": 30}
    scene.box.salesforce.add("Event", {**meeting, "WhoId": lead, "StartDateTime": met, "ActivityDateTime": met})
    later(scene, 4)
    assert (episode(scene, who).touched_at, notices(scene, who)["taken"]) == (AS_OF + 3.5 * HOUR, 0)


# -- owners ------------------------------------------------------------------------------------------------------


def test_an_owner_hears_once_a_day_that_somebody_asks_again(scene: World) -> None:
    scene.run()
    who = person(scene, "ada")
    at_hour(scene, 0.5)
    asks(scene, "ada", at=AS_OF + 0.5 * HOUR)
    later(scene, 1)
    assert notices(scene, who) == {"assigned": 1, "hand_raise": 1}
    later(scene, 1.2)
    asks(scene, "ada", at=AS_OF + 1.3 * HOUR)
    later(scene, 1.5)
    assert notices(scene, who)["hand_raise"] == 1
    assert notices(scene, person(scene, "bea")) == {"assigned": 1}


def test_an_owner_hears_once_that_a_suppress_line_is_true_of_somebody_sales_has_accepted(
    scene: World, channel: Receiver
) -> None:
    scene.run()
    who = person(scene, "ada")
    contact = records_of(scene, who)[CONTACT]
    at_hour(scene, 1)
    scene.box.hubspot.edit("contacts", contact, {"hs_lead_status": "CONNECTED"})
    later(scene, 1.1)
    scene.box.hubspot.edit("contacts", contact, {"hs_email_optout": "true"})
    later(scene, 1.2)
    later(scene, 1.3)
    assert notices(scene, who) == {"assigned": 1, "suppressed": 1}
    assert episode(scene, who).closed_at is None
    [told] = [message for message in channel.got if message.title.startswith("Not to be handed over")]
    assert "'unsubscribed'" in told.body


@pytest.mark.parametrize("to", ["person.owner", "queue inbound"])
def test_whom_a_suppress_line_tells_gets_one_task_a_person(scene: World, to: str) -> None:
    """Ada has an owner, Bea has none; a queue has a task where it is a user."""
    edit(scene.config / "policy.yaml", ("{person.unsubscribed: true}", f"{{person.unsubscribed: true, tell: {to}}}"))
    portal = scene.box.hubspot
    contacts = {portal.get("contacts", id).get("email"): id for id in portal.ids("contacts")}
    owners = {owner.email: owner.id for owner in portal.owners.values()}
    rep = owners["ines.duarte@yourcompany.example"]
    portal.edit("contacts", contacts[address("ada")], {"hs_email_optout": "true", "hubspot_owner_id": rep})
    portal.edit("contacts", contacts[address("bea")], {"hs_email_optout": "true"})

    def told() -> list[str]:
        every = [*portal.tasks(), *scene.box.salesforce.tasks()]
        return sorted(str(task) for task in every if "Not handed over" in str(task))

    scene.run()
    found = told()
    names = ["Ada"] if to == "person.owner" else ["Ada", "Bea"]
    assert [name for name in ("Ada", "Bea") if any(name in task for task in found)] == names
    assert len(found) == len(names)
    assert all("'unsubscribed'" in task or "&#x27;unsubscribed&#x27;" in task for task in found)
    assert scene.run().writes == 0
    later(scene, 24)
    assert told() == found


# -- managers ----------------------------------------------------------------------------------------------------


def test_a_manager_is_told_once_a_day_what_there_is_to_know(scene: World, channel: Receiver) -> None:
    edit(
        scene.config / "policy.yaml",
        (f"  reassign_after: {SLA.partition('reassign_after: ')[2].partition('write')[0]}", "\n"),
    )
    scene.run()
    later(scene, 3)
    digests = [message for message in channel.got if message.title.startswith("MQLs, ")]
    assert [(message.path, " new" in message.title) for message in digests] == [(f"/{MANAGER}", True)]
    later(scene, 19)
    assert notices(scene)["digest"] == 1, "it is seven in the morning"
    later(scene, 20)
    digests = [message for message in channel.got if message.title.startswith("MQLs, ")]
    assert len(digests) == 2
    assert "overdue" in digests[1].title
    later(scene, 21)
    assert notices(scene)["digest"] == 2


# -- when nothing may be told ------------------------------------------------------------------------------------


def test_a_plan_and_a_dry_run_tell_nobody_and_keep_nothing(scene: World, channel: Receiver) -> None:
    for command in (("plan",), ("run", "--dry-run")):
        assert mqlsync(*command, "--as-of", AS_OF.isoformat(), scene=scene).code == 0
    assert channel.got == []
    assert rows(scene, schema.notice) == []


def test_without_a_block_notify_what_was_due_is_kept_and_nothing_is_sent(scene: World, channel: Receiver) -> None:
    settings = scene.config / "mqlsync.yaml"
    settings.write_text(settings.read_text().partition("\nnotify:")[0])
    said = mqlsync("check", "--json", scene=scene)
    assert [one["message"] for one in said.json["findings"] if one["where"] == "sla"] == [
        "mqlsync.yaml has no notify: nobody is reminded, MQLs only go on to other reps"
    ]
    assert scene.run().told == 0
    assert set(notices(scene)) == KINDS_OF_THE_FIRST_RUN
    assert {row.sent_at for row in rows(scene, schema.notice)} == {None}
    assert channel.got == []


def test_a_run_goes_on_when_a_channel_does_not(scene: World, channel: Receiver) -> None:
    channel.refusing = 10_000
    report = scene.run()
    assert (report.exit_code, report.told) == (0, 0)
    assert any("not accepted by their channel" in warning for warning in report.warnings)
    assert scene.run().writes == 0
    channel.refusing = 0
    assert scene.run().told == sum(notices(scene).values()) == len(channel.got)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "sent_again"), [("decide:done", 0), ("notify:answered", 1), ("notify:noted", 0)])
def test_a_kill_loses_nothing_and_repeats_at_most_what_it_interrupted(
    scene: World, channel: Receiver, place: str, sent_again: int
) -> None:
    assert scene.run_until_killed(place, 2 if place.startswith("notify") else 1) == -9
    report = scene.run()
    assert report.exit_code == 0, report.error
    every = rows(scene, schema.notice)
    assert [row.key for row in every if row.sent_at is None] == []
    sent = Counter(channel.titles())
    assert set(sent) == {row.subject for row in every}
    assert sum(sent.values()) == len(every) + sent_again


@pytest.mark.slow
def test_a_kill_between_deciding_and_writing_gives_nobody_to_two_others(scene: World) -> None:
    scene.run()
    now = at_hour(scene, 4)
    killed = _Killer("decide:done")
    with scene.opened(killed) as opened, pytest.raises(_Killed):
        opened.run("sync", as_of=now)
    assert scene.run(as_of=now).exit_code == 0
    for who in (person(scene, name) for name in NAMES):
        assert notices(scene, who) == {"assigned": 1, "remind": 1, "taken": 1, "reassigned": 1}
        assert [row.step for row in rows(scene, schema.assignment) if row.person_id == who] == [1, 2]


class _Killed(BaseException):
    pass


class _Killer:
    def __init__(self, place: str) -> None:
        self.place = place

    def __call__(self, place: str) -> None:
        if place == self.place:
            raise _Killed
