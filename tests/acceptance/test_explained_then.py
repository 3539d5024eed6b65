"""`mqlsync explain --as-of`: what it says of a past day is what explaining said on that day."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from sync.explain import explanation
from sync.store import schema
from sync.then import then
from tests.support.shell import Answer, mqlsync
from tests.support.world import AS_OF, World, edit, world

DAYS = 3
FIRST = AS_OF.date()
GOOD = {"Title": "VP Sales", "Country": "US", "Industry": "Technology", "NumberOfEmployees": 300}
WIDER = ("grade: [A1, A2, B1]", "grade: [A1, A2, A3, A4, B1, B2, B3]")
TOLD = ("status", "policy_version", "score", "episode", "owner")


@dataclass(frozen=True, slots=True)
class Lived:
    """Three days, the last under a wider gate. ``said``: day -> person -> what `explain` said in the evening."""

    scene: World
    said: dict[date, dict[str, dict[str, Any]]]
    late: str

    def then(self, who: str, at: date | str) -> Answer:
        return mqlsync("explain", who, "--as-of", str(at), scene=self.scene)


def people(scene: World) -> list[str]:
    with scene.opened() as opened, opened.parts.store.read() as tx:
        targets = select(schema.link.c.person_id).where(schema.link.c.role == "target").distinct()
        return sorted(tx.execute(targets).scalars())


def say_all(scene: World) -> dict[str, dict[str, Any]]:
    ids = people(scene)
    with scene.opened() as opened:
        return {id: explanation(opened.parts, id).as_json() for id in ids}


def happen(scene: World, day: int) -> None:
    """People change jobs and ask for a demo; a contact is found that nobody knew."""
    portal, salesforce = scene.box.hubspot, scene.box.salesforce
    ids = [id for id in sorted(portal.ids("contacts"), key=int) if portal.get("contacts", id).get("email")]
    leads = [lead["Id"] for lead in salesforce.all("Lead") if not lead["IsConverted"] and not lead.get("IsDeleted")]
    demo = next(guid for guid, one in portal.forms.items() if one.name == "Request a demo")
    for contact in ids[2 * day : 2 * day + 2]:
        portal.edit("contacts", contact, {"jobtitle": "VP Sales", "country": "Germany"})
        at = scene.box.clock.now() - timedelta(hours=1)
        portal.add_submission(demo, at, {"email": portal.get("contacts", contact)["email"]})
    salesforce.edit("Lead", leads[day], GOOD)
    portal.edit("contacts", ids[2 * day + 5], {"jobtitle": "Student"})


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    with world(tmp_path_factory.mktemp("lived"), people=40) as scene:
        said: dict[date, dict[str, dict[str, Any]]] = {}
        late = ""
        for n in range(DAYS):
            now = AS_OF + timedelta(days=n)
            scene.box.clock.freeze(now)
            happen(scene, n)
            if n == DAYS - 1:
                late = scene.box.hubspot.add("contacts", {"email": "late@comer.example"})
                edit(scene.config / "policy.yaml", WIDER)
            report = scene.run(as_of=now)
            assert report.exit_code in (0, 5), report.error
            said[now.date()] = say_all(scene)
        yield Lived(scene=scene, said=said, late=late)


@pytest.mark.slow
def test_a_past_day_is_told_as_it_was_told_on_that_day(lived: Lived) -> None:
    """Events, factors, losses, status, version, episode and owner."""
    found: Counter[tuple[str, str]] = Counter()
    with lived.scene.opened() as opened:
        for day, told in lived.said.items():
            # Each may be a policy loaded and compiled again: some of every kind.
            kinds: Counter[tuple[str, str]] = Counter()
            for id, said in told.items():
                kind = (said["status"], said["account"]["from"])
                kinds[kind] += 1
                if kinds[kind] > 3:
                    continue
                body = then(opened.parts, id, day).as_json()
                assert {name: body[name] for name in TOLD} == {name: said[name] for name in TOLD}
                assert body["account"]["row"] == "equal", body["account"]
                found[body["account"]["from"], body["status"]] += 1
    assert found["rebuilt", "not_yet"]
    assert found["rebuilt", "assigned"]
    assert found["decision", "mql"] + found["decision", "assigned"]


def test_days_differ_and_so_does_what_is_told_of_them(lived: Lived) -> None:
    """Without this the law above could hold because nothing moved."""
    first, *_, last = lived.said.values()
    assert sum(first[id]["score"] != last[id]["score"] for id in first) > 5
    assert {one["policy_version"] for one in first.values()} != {one["policy_version"] for one in last.values()}
    assert sum(one["status"] == "assigned" for one in last.values()) > sum(
        one["status"] == "assigned" for one in first.values()
    )


def test_today_lists_the_events_of_whoever_has_no_ledger_stored(lived: Lived) -> None:
    counted = 0
    for said in lived.said[FIRST + timedelta(days=DAYS - 1)].values():
        assert said["account"]["row"] == "equal", said["account"]
        if said["account"]["from"] != "rebuilt":
            continue
        rules = [rule for group in said["score"]["engagement"]["groups"] for rule in group["rules"]]
        for rule in rules:
            if rule["events"]:
                assert sum(event["micro"] for event in rule["events"]) == rule["counted"]
                counted += 1
    assert counted > 5


def test_the_text_says_when_by_which_run_what_was_known_and_that_it_agrees(lived: Lived) -> None:
    id = next(id for id, said in lived.said[FIRST].items() if said["account"]["from"] == "rebuilt")
    answer = lived.then(id, FIRST)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].endswith(f"({id}) on {FIRST}")
    assert lines[1].startswith("As known before 2026-11-26 00:00 UTC; decided by run r_")
    assert "Known then" in lines
    assert [line for line in lines if line.startswith("  record ")]
    assert "Made again from what was known; equal to the points kept of the day." in lines
    assert [line for line in lines if line.startswith("Status ")]


def test_a_day_before_the_first_row_is_refused(lived: Lived) -> None:
    id = next(iter(lived.said[FIRST]))
    answer = lived.then(id, FIRST - timedelta(days=1))
    assert answer.code == 1
    assert answer.out == ""
    assert f"2026-11-24 cannot be told: the store knows the past since {FIRST}" in answer.err


def test_a_day_to_come_is_refused(lived: Lived) -> None:
    answer = mqlsync("explain", next(iter(lived.said[FIRST])), "--as-of", "2199-01-01", "--json", scene=lived.scene)
    assert answer.code == 1
    assert "2199-01-01 has not come yet" in answer.json["error"]


def test_somebody_who_was_not_known_then_is_said_to_be(lived: Lived) -> None:
    answer = lived.then(lived.late, FIRST)
    assert answer.code == 1
    assert f"on {FIRST} nobody here knew this person" in answer.err
    assert lived.then(lived.late, FIRST + timedelta(days=DAYS - 1)).code == 0


@pytest.mark.parametrize("text", ["yesterday", "2026-11-25T12:00:00", "2026-13-01"])
def test_what_is_no_day_is_a_usage_error(lived: Lived, text: str) -> None:
    assert lived.then(next(iter(lived.said[FIRST])), text).code == 2


def test_an_instant_before_the_days_run_is_not_told_by_that_run(lived: Lived) -> None:
    id = next(iter(lived.said[FIRST]))
    before = mqlsync("explain", id, "--as-of", "2026-11-26T11:59:59Z", "--json", scene=lived.scene)
    after = mqlsync("explain", id, "--as-of", "2026-11-26T12:00:00Z", "--json", scene=lived.scene)
    assert (before.code, after.code) == (0, 0), (before.err, after.err)
    assert before.json["run"] is None
    assert before.json["status"] is None
    assert after.json["run"] is not None
    assert after.json["status"] == lived.said[FIRST + timedelta(days=1)][id]["status"]


def test_a_row_that_says_something_else_is_shown_with_what_differs(lived: Lived, tmp_path: Path) -> None:
    """As after facts that moved without their history: the kept points count, and the difference is named."""
    id = next(id for id, said in lived.said[FIRST].items() if said["account"]["from"] == "rebuilt")
    with lived.scene.opened() as opened:
        folder = opened.parts.store.folder / "cards"
    (file,) = (path for path in folder.glob(f"*/{FIRST}/*.parquet"))
    shutil.copy(file, tmp_path / "kept")
    try:
        table = pq.read_table(file)
        one = pc.equal(table["person_id"], id)
        moved = pc.if_else(one, pc.add(table["fit"], 7), table["fit"])
        place = table.schema.get_field_index("fit")
        pq.write_table(table.set_column(place, table.schema.field("fit"), moved.cast(table["fit"].type)), file)
        answer = lived.then(id, FIRST)
        body = mqlsync("explain", id, "--as-of", str(FIRST), "--json", scene=lived.scene).json
    finally:
        shutil.copy(tmp_path / "kept", file)
    said = lived.said[FIRST][id]["score"]
    assert body["account"]["row"] == "differs"
    points = said["fit"]["points"]
    assert body["account"]["differs"] == [f"fit, rounded: {points + 7} kept, {points} made again"]
    assert body["score"]["fit"]["points"] == points + 7
    assert body["account"]["made_again"] == said
    assert "The points by rule as kept. Made again from what is known, they are others:" in answer.out


def test_a_plan_for_a_day_is_no_decision_of_that_day(lived: Lived) -> None:
    id = next(iter(lived.said[FIRST]))
    day = FIRST + timedelta(days=DAYS)
    assert mqlsync("plan", "--as-of", f"{day}T12:00:00Z", scene=lived.scene).code == 0
    assert mqlsync("run", "--dry-run", "--as-of", f"{day}T12:00:00Z", scene=lived.scene).code == 0
    last = FIRST + timedelta(days=DAYS - 1)
    body = mqlsync("explain", id, "--as-of", str(last), "--json", scene=lived.scene).json
    assert body["status"] == lived.said[last][id]["status"]
    assert lived.then(id, day).code in (0, 1)
    with lived.scene.opened() as opened, opened.parts.store.read() as tx:
        run = tx.execute(select(schema.job_run.c.trigger).order_by(schema.job_run.c.queued_at.desc())).first()
    assert run is not None
    assert run.trigger == "plan"
