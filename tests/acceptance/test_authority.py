"""`owner_authority`: one CRM decides who owns a person, the other one is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from sync.shown import mql_rows
from tests.support.shell import mqlsync
from tests.support.world import AS_OF, World, world

REPS = ("ines.duarte", "tomasz.wrona", "aiko.hayashi", "femi.adeyemi", "lena.brandt")

OTHER = {"hubspot": "salesforce", "salesforce": "hubspot"}


@dataclass(slots=True)
class Both:
    """People made by hand in both CRMs, ready to become MQLs."""

    scene: World
    hubspot_ids: dict[str, str]
    salesforce_ids: dict[str, str]

    def hot(self, name: str, *, hubspot: str | None = None, salesforce: str | None = None) -> None:
        """Somebody who asked for a demo yesterday; ``hubspot`` and ``salesforce`` name the rep who owns them there."""
        box, email = self.scene.box, f"{name}@pine-instruments.example"
        portal, org = box.hubspot, box.salesforce
        facts = {"email": email, "firstname": name.title(), "lastname": "Byrne", "jobtitle": "VP of Marketing"}
        owner = {"hubspot_owner_id": self.owner("hubspot", hubspot)} if hubspot else {}
        self.hubspot_ids[name] = portal.add("contacts", {**facts, "country": "Ireland", **owner}, at=AS_OF)
        form = next(guid for guid, form in portal.forms.items() if form.name == "Request a demo")
        portal.add_submission(form, AS_OF - timedelta(days=1), {"email": email})
        admin = next(user["Id"] for user in org.all("User") if user["Email"] == "crm.admin@yourcompany.example")
        self.salesforce_ids[name] = org.add(
            "Lead",
            {"LastName": "Byrne", "FirstName": name.title(), "Email": email, "Company": "Pine Instruments",
             "NumberOfEmployees": 600, "Country": "Ireland", "Title": "VP of Marketing",
             "OwnerId": self.owner("salesforce", salesforce) if salesforce else admin},
            at=AS_OF,
        )  # fmt: skip

    def owner(self, crm: str, rep: str) -> str:
        address = f"{rep}@yourcompany.example"
        if crm == "hubspot":
            return next(id for id, owner in self.scene.box.hubspot.owners.items() if owner.email == address)
        users = self.scene.box.salesforce.all("User")
        return next(str(user["Id"]) for user in users if str(user["Email"]).casefold() == address)

    def shown(self, name: str) -> dict[str, str]:
        """The rep each CRM shows now."""
        box = self.scene.box
        ids = {
            "hubspot": box.hubspot.get("contacts", self.hubspot_ids[name]).get("hubspot_owner_id"),
            "salesforce": box.salesforce.get("Lead", self.salesforce_ids[name])["OwnerId"],
        }
        return {crm: next((rep for rep in REPS if self.owner(crm, rep) == id), str(id)) for crm, id in ids.items()}

    def give(self, name: str, crm: str, rep: str) -> None:
        """Somebody changes the owner by hand, a minute later."""
        box = self.scene.box
        box.clock.move(timedelta(minutes=1))
        if crm == "hubspot":
            box.hubspot.edit("contacts", self.hubspot_ids[name], {"hubspot_owner_id": self.owner(crm, rep)})
        else:
            box.salesforce.edit("Lead", self.salesforce_ids[name], {"OwnerId": self.owner(crm, rep)}, by="person")

    def why(self, name: str) -> tuple[str, str]:
        """(owner, rule) of the episode."""
        with self.scene.opened() as opened:
            rows = {row["email"]: row for row in mql_rows(opened.parts.store)}
        row = rows[f"{name}@pine-instruments.example"]
        return row["owner"].removeprefix("rep:").partition("@")[0], row["why"]


@contextmanager
def both(folder: Path, authority: str) -> Iterator[Both]:
    with world(folder, people=3) as scene:
        scene.edit_settings(("owner_authority: both", f"owner_authority: {authority}"))
        yield Both(scene, {}, {})


@pytest.mark.parametrize("authority", ["salesforce", "hubspot"])
def test_the_owner_of_the_deciding_crm_is_told_to_the_other(authority, tmp_path):
    with both(tmp_path, authority) as people:
        people.hot("nuala", hubspot="ines.duarte", salesforce="aiko.hayashi")
        decided = {"hubspot": "ines.duarte", "salesforce": "aiko.hayashi"}[authority]
        assert people.scene.run().exit_code == 0
        assert people.why("nuala") == (decided, "owner at work")
        assert people.shown("nuala") == {"hubspot": decided, "salesforce": decided}
        assert people.scene.run().writes == 0


def test_without_an_authority_neither_owner_is_overwritten(tmp_path):
    with both(tmp_path, "both") as people:
        people.hot("nuala", hubspot="ines.duarte", salesforce="aiko.hayashi")
        people.hot("orla", salesforce="aiko.hayashi")
        people.hot("sean", hubspot="ines.duarte")
        people.scene.run()
        assert people.shown("nuala") == {"hubspot": "ines.duarte", "salesforce": "aiko.hayashi"}
        assert people.shown("orla") == {"hubspot": "aiko.hayashi", "salesforce": "aiko.hayashi"}
        assert people.shown("sean") == {"hubspot": "ines.duarte", "salesforce": "ines.duarte"}
        assert people.scene.run().writes == 0


@pytest.mark.parametrize("authority", ["salesforce", "hubspot"])
def test_an_owner_only_in_the_other_crm_does_not_decide(authority, tmp_path):
    """Drawn from the pool all the same, and written to the deciding CRM first."""
    with both(tmp_path, authority) as people:
        people.hot("nuala", **{OTHER[authority]: "lena.brandt"})
        before = people.scene.box.journal.last_seq
        people.scene.run()
        owner, why = people.why("nuala")
        assert why == "everyone else"
        assert people.shown("nuala") == {"hubspot": owner, "salesforce": owner}
        names = {"hubspot": "hubspot_owner_id", "salesforce": "OwnerId"}
        ids = {people.hubspot_ids["nuala"], people.salesforce_ids["nuala"]}
        order = [e.crm for e in people.scene.box.journal.since(before) if e.id in ids and names[e.crm] in e.changes]
        assert order[0] == authority
        assert people.scene.run().writes == 0


@pytest.mark.parametrize("authority", ["salesforce", "hubspot"])
def test_a_change_by_hand_in_the_deciding_crm_is_told_to_the_other(authority, tmp_path):
    with both(tmp_path, authority) as people:
        people.hot("nuala")
        people.scene.run()
        chosen = next(rep for rep in REPS if rep != people.why("nuala")[0])
        people.give("nuala", authority, chosen)
        people.scene.run()
        assert people.why("nuala") == (chosen, "adopted")
        assert people.shown("nuala") == {"hubspot": chosen, "salesforce": chosen}
        assert people.scene.run().writes == 0
        text = mqlsync("explain", "nuala@pine-instruments.example", scene=people.scene).out
        assert f"set by hand in {authority}" in text


@pytest.mark.parametrize("authority", ["salesforce", "hubspot"])
def test_a_change_by_hand_in_the_other_crm_stays_there_and_decides_nothing(authority, tmp_path):
    with both(tmp_path, authority) as people:
        people.hot("nuala")
        people.scene.run()
        drawn, _ = people.why("nuala")
        chosen = next(rep for rep in REPS if rep != drawn)
        people.give("nuala", OTHER[authority], chosen)
        report = people.scene.run()
        assert people.why("nuala")[0] == drawn
        assert people.shown("nuala") == {authority: drawn, OTHER[authority]: chosen}
        assert report.decided.conflicts == 1
        assert people.scene.run().writes == 0
        text = mqlsync("explain", "nuala@pine-instruments.example", scene=people.scene).out
        assert "Changed by hand" in text
        assert "it stays" in text


def test_a_change_by_hand_counts_in_either_crm_when_both_decide(tmp_path):
    with both(tmp_path, "both") as people:
        people.hot("nuala")
        people.scene.run()
        for crm in ("hubspot", "salesforce"):
            chosen = next(rep for rep in REPS if rep != people.why("nuala")[0])
            people.give("nuala", crm, chosen)
            people.scene.run()
            assert people.shown("nuala") == {"hubspot": chosen, "salesforce": chosen}
        assert people.scene.run().writes == 0


def test_an_authority_that_is_not_connected_is_a_wrong_configuration(tmp_path):
    mqlsync("init", str(tmp_path), "--yes")
    settings = tmp_path / "mqlsync.yaml"
    text = settings.read_text().replace("owner_authority: both", "owner_authority: salesforce")
    start, end = text.index("  salesforce:\n"), text.index("owner_authority:")
    settings.write_text(text[:start] + "\n" + text[end:])
    answer = mqlsync("check", "--config", str(tmp_path))
    assert answer.code == 3
    assert "owner_authority: salesforce is to decide on owners, but it is not among the connections" in answer.err
