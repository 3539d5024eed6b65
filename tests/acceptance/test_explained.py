"""`mqlsync explain`: sums that are the written scores, the decision, the owner and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from sync.explain import explanation
from sync.shown import mql_rows
from sync.store import schema
from tests.support.shell import mqlsync
from tests.support.world import World, world

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Explained:
    """After a run. ``merged``: the id that remains, the one that went, and the address that came along."""

    scene: World
    merged: tuple[str, str, str]

    def explain(self, who: str) -> dict[str, Any]:
        answer = mqlsync("explain", who, "--json", scene=self.scene)
        assert answer.code == 0, answer.err
        return answer.json

    def explain_all(self, people: list[str]) -> list[dict[str, Any]]:
        """The same for many, with the store opened once."""
        with self.scene.opened() as opened:
            return [explanation(opened.parts, person_id).as_json() for person_id in people]

    def text(self, who: str) -> list[str]:
        answer = mqlsync("explain", who, scene=self.scene)
        assert answer.code == 0, answer.err
        return answer.out.splitlines()

    @property
    def people(self) -> list[str]:
        """Every person with a record that is written."""
        with self.scene.opened() as opened, opened.parts.store.read() as tx:
            targets = select(schema.link.c.person_id).where(schema.link.c.role == "target").distinct()
            return sorted(tx.execute(targets).scalars())

    @property
    def mqls(self) -> list[dict]:
        with self.scene.opened() as opened:
            return mql_rows(opened.parts.store)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explained]:
    with world(tmp_path_factory.mktemp("ran"), people=100) as scene:
        portal = scene.box.hubspot
        lena = next(id for id, owner in portal.owners.items() if owner.email.startswith("lena.brandt"))
        portal.deactivate_owner(lena)
        one, other = (portal.add("contacts", {"email": f"{name}@two-names.example"}) for name in ("first", "second"))
        kept = portal.merge("contacts", one, other)
        gone = other if kept != other else one
        secondary = portal.get("contacts", kept)["hs_additional_emails"]
        assert scene.run().exit_code == 0
        yield Explained(scene, (kept, gone, secondary))


def written(scene: World, records: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each written record of a person shows now: score, fit, grade and status."""
    found = []
    for record in records:
        crm, object, id = record["record"].split(":")
        if record["role"] != "target":
            continue
        if crm == "hubspot":
            row: Mapping[str, Any] = scene.box.hubspot.get("contacts", id)
            names = ("mql_score", "mql_fit", "mql_grade", "mql_status")
        else:
            row = scene.box.salesforce.get(object.title(), id)
            names = ("MQL_Score__c", "MQL_Fit__c", "MQL_Grade__c", "MQL_Status__c")
        score, fit, grade, status = (row[name] for name in names)
        found.append({"engagement": int(float(score)), "fit": int(float(fit)), "grade": grade, "status": status})
    return found


def test_the_sum_of_the_reasons_is_the_score_that_both_crms_show(ran):
    """For everybody, MQL or not; a Contact or Lead beside a contact of HubSpot shows the same."""
    people = ran.people
    assert len(people) > 50
    both = 0
    for body in ran.explain_all(people):
        for name in ("fit", "engagement"):
            part = body["score"][name]
            for group in part["groups"]:
                for rule in group["rules"]:
                    assert rule["micro"] == rule["counted"] - sum(rule["lost"].values())
                assert group["micro"] == sum(r["micro"] for r in group["rules"]) - sum(group["lost"].values())
            assert part["micro"] == sum(g["micro"] for g in part["groups"]) - sum(part["lost"].values())
            assert abs(part["points"] * MICRO - part["micro"]) <= MICRO // 2
            assert part["points"] == body[name]
        assert body["score"]["grade"] == body["grade"]
        shown = written(ran.scene, body["person"]["records"])
        both += len(shown) == 2
        wanted = {"engagement": body["engagement"], "fit": body["fit"], "grade": body["grade"]}
        assert shown
        assert all(row == {**wanted, "status": body["status"]} for row in shown)
    assert both > 5


def test_the_events_of_an_mql_add_up_to_what_each_rule_counted(ran):
    counted = 0
    for row in ran.mqls:
        for group in ran.explain(row["person_id"])["score"]["engagement"]["groups"]:
            for rule in group["rules"]:
                if rule["events"]:
                    assert sum(event["micro"] for event in rule["events"]) == rule["counted"]
                    counted += 1
    assert counted > 0


def test_a_person_is_found_by_every_name_they_have(ran):
    kept, gone, secondary = ran.merged
    person = ran.explain(kept)["person"]
    for who in (gone, secondary, secondary.upper(), person["email"], person["person_id"]):
        assert ran.explain(who)["person"]["person_id"] == person["person_id"]


def test_a_salesforce_id_is_known_in_both_of_its_forms(ran):
    lead = next(lead for lead in ran.scene.box.salesforce.all("Lead") if lead.get("MQL_Status__c"))
    long = ran.explain(lead["Id"])["person"]["person_id"]
    assert ran.explain(lead["Id"][:15])["person"]["person_id"] == long


def test_somebody_unknown_is_exit_1_and_says_what_was_looked_for(ran):
    answer = mqlsync("explain", "nobody@nowhere.example", scene=ran.scene)
    assert answer.code == 1
    assert "nobody@nowhere.example" in answer.err
    assert answer.out == ""


def test_the_text_has_points_sum_grade_decision_owner_and_reason(ran):
    for row in ran.mqls:
        lines = ran.text(row["email"])
        owner = row["owner"].partition(":")[2]
        body = ran.explain(row["email"])
        for start in (
            f"Fit: {row['fit']}",
            f"Engagement: {row['engagement']}",
            "Total: ",
            f"Grade: {row['grade']}",
            "Status assigned",
            f"Reason: {row['reason']}",
            "Episode 1, opened by",
            f"Owner: {owner}, by {row['why']!r}",
        ):
            assert [line for line in lines if line.startswith(start)], (start, lines)
        fired = [rule for group in body["score"]["engagement"]["groups"] for rule in group["rules"] if rule["fired"]]
        text = "\n".join(lines)
        assert all(rule["name"] in text for rule in fired if rule["micro"])


def test_who_was_passed_over_in_the_pool_is_said_with_numbers_and_reasons(ran):
    drawn = [row for row in ran.mqls if row["why"] == "everyone else"]
    assert drawn
    for row in drawn:
        lines = ran.text(row["person_id"])
        owner = row["owner"].removeprefix("rep:")
        (picked,) = [line for line in lines if line.startswith("  > ")]
        assert picked.startswith(f"  > {owner}: ")
        passed = [line for line in lines if line.startswith("    ") and "@yourcompany.example: " in line]
        assert len(passed) == 4
        for line in [picked, *passed]:
            assert "so far, weight " in line
            assert "share " in line
        assert [line for line in lines if line.startswith("  decided by ")]
        assert [line for line in lines if "rule 'everyone else': yes" in line]
        assert [line for line in lines if "rule 'who has the company': no, because" in line]
    inactive = [line for line in ran.text(drawn[0]["person_id"]) if "lena.brandt" in line]
    in_hubspot = "hubspot" in str(ran.explain(drawn[0]["person_id"])["person"]["records"])
    assert ("skipped, inactive in CRM" in inactive[0]) == in_hubspot


def test_the_json_holds_the_same_trace(ran):
    row = next(row for row in ran.mqls if row["why"] == "everyone else")
    owner = ran.explain(row["person_id"])["owner"]
    assert owner["owner"] == row["owner"]
    assert owner["trace"]["pool"]["pick"] == row["owner"].removeprefix("rep:")
    assert {rep["rep"] for rep in owner["trace"]["pool"]["reps"]} == {
        f"{name}@yourcompany.example"
        for name in ("ines.duarte", "tomasz.wrona", "aiko.hayashi", "femi.adeyemi", "lena.brandt")
    }


def test_a_person_who_is_not_ready_is_explained_too(ran):
    others = sorted(set(ran.people) - {row["person_id"] for row in ran.mqls})
    lines = ran.text(others[0])
    assert [line for line in lines if line.startswith("Fit: ")]
    assert [line for line in lines if line.startswith("Gate line hot_and_right: ")]
    assert "No open episode: nobody is assigned." in lines


def test_a_duplicate_is_named_with_the_record_that_is_written(ran):
    with ran.scene.opened() as opened, opened.parts.store.read() as tx:
        row = tx.execute(select(schema.conflict).where(schema.conflict.c.kind == "duplicate")).first()
    assert row is not None
    text = "\n".join(ran.text(row.person_id))
    assert f"Duplicate: {row.conn}:{row.object}:{row.id} is the same person as {row.theirs}, which is written" in text
