"""Working hours, waits, and a rep who leaves, over both CRMs: nobody is lost, nothing is written twice."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from sync.shown import status_document
from sync.store import schema
from tests.support.shell import mqlsync
from tests.support.world import AS_OF, World, api_writes, edit, rows

INES = "ines.duarte@yourcompany.example"
FEMI = "femi.adeyemi@yourcompany.example"
NOBODY = "crm.admin@yourcompany.example"
LATER = timedelta(hours=2, minutes=5)
NEXT_DAY = timedelta(days=1, hours=3)

AFTERNOONS = (
    ("{zone: Europe/London, mon-fri: 09:00-17:30}", "{zone: UTC, mon-fri: 14:00-18:00}"),
    ("assign anyway else queue inbound", "wait 4 working hours then queue inbound"),
)


def owners(scene: World) -> Counter[str]:
    """Who has how many open episodes, by the newest assignment."""
    newest = {
        (row.person_id, row.n): row.owner_key for row in sorted(rows(scene, schema.assignment), key=lambda r: r.step)
    }
    return Counter(newest.values())


def drawn(scene: World) -> list[Any]:
    return [row for row in rows(scene, schema.assignment) if row.pool is not None]


def waiting(scene: World) -> dict[str, Any]:
    return {row.person_id: row for row in rows(scene, schema.routing_wait)}


def routed(scene: World, *arguments: str) -> dict[str, Any]:
    done = mqlsync("route", *arguments, "--json", scene=scene)
    assert done.code == 0, done.err
    return done.json


def status_of(scene: World, person_id: str) -> str:
    return next(row.status for row in rows(scene, schema.person) if row.person_id == person_id)


def test_who_comes_before_the_pool_opens_waits_as_mql_and_is_drawn_when_it_does(scene: World) -> None:
    edit(scene.config / "team.yaml", *AFTERNOONS)
    scene.run()
    waits = waiting(scene)
    assert waits
    assert not drawn(scene)
    someone = min(waits)
    assert status_of(scene, someone) == "mql"
    with scene.opened() as opened:
        assert status_document(opened.parts.store, now=AS_OF)["routing"] == {"waiting": len(waits), "since": AS_OF}
    shown = routed(scene, someone)
    assert shown["steps"] == []
    assert shown["waiting"]["since"] == "2026-11-25T12:00:00Z"
    assert shown["waiting"]["trace"]["pool"]["reps"][0]["state"] == "out of hours"

    before = len(api_writes(scene.box))
    assert scene.run(as_of=AS_OF + timedelta(minutes=30)).writes == 0
    assert len(api_writes(scene.box)) == before
    assert {id: row.since for id, row in waiting(scene).items()} == {id: row.since for id, row in waits.items()}

    scene.run(as_of=AS_OF + LATER)
    assert waiting(scene) == {}
    assert {row.person_id for row in drawn(scene)} == set(waits)
    assert status_of(scene, someone) == "assigned"
    assert scene.run(as_of=AS_OF + LATER).writes == 0


def test_who_waited_long_enough_goes_to_the_queue(scene: World) -> None:
    """All are on leave, so nobody becomes free; the pool's working hours pass all the same."""
    everybody = [(f"{name}}}", f"{name}, away: [2026-11-20..2026-12-04]}}") for name in (
        "Ines Duarte", "Tomasz Wrona", "Aiko Hayashi", "Femi Adeyemi", "Lena Brandt",
    )]  # fmt: skip
    edit(scene.config / "team.yaml", *AFTERNOONS, *everybody)
    scene.run()
    waits = waiting(scene)
    assert waits
    scene.run(as_of=AS_OF + timedelta(hours=5, minutes=59))
    assert set(waiting(scene)) == set(waits)
    scene.run(as_of=AS_OF + NEXT_DAY)
    assert waiting(scene) == {}
    to_queue = {row.person_id: row for row in rows(scene, schema.assignment) if row.owner_key == "queue:inbound"}
    assert set(waits) <= set(to_queue)
    last = to_queue[min(waits)].trace["rules"][-1]
    assert last["wait"] == {
        "since": "2026-11-25T12:00:00+00:00",
        "until": "2026-11-26T14:00:00+00:00",
        "then": "queue inbound",
    }


def test_a_crash_after_somebody_waits_changes_neither_since_when_nor_for_whom(scene: World) -> None:
    edit(scene.config / "team.yaml", *AFTERNOONS)
    assert scene.run_until_killed("decide:done") == -9
    waits = {id: (row.since, row.until) for id, row in waiting(scene).items()}
    scene.run()
    assert {id: (row.since, row.until) for id, row in waiting(scene).items()} == waits
    assert waits


def test_the_people_of_a_rep_who_leaves_go_to_others_once(scene: World) -> None:
    scene.run()
    had = owners(scene)[f"rep:{INES}"]
    assert had > 1
    asked = mqlsync("route", "rebalance", INES, scene=scene)
    assert asked.code == 1
    assert "add --yes" in asked.err
    dry = routed(scene, "rebalance", INES, "--dry-run", "--as-of", AS_OF.isoformat())
    assert len(dry["moved"]) == had
    assert owners(scene)[f"rep:{INES}"] == had

    done = routed(scene, "rebalance", INES, "--yes", "--as-of", AS_OF.isoformat())
    assert done["moved"] == dry["moved"]
    assert owners(scene)[f"rep:{INES}"] == 0
    report = scene.run()
    assert report.writes == done["queued"] > 0
    assert scene.run().writes == 0
    [moved, *_] = done["moved"]
    shown = routed(scene, moved["person_id"])
    assert [step["step"] for step in shown["steps"]] == [1, 2]
    assert shown["steps"][1]["trace"]["again"] == {"why": "rebalance", "before": f"rep:{INES}"}
    why = routed(scene, "why-not", INES, "--person", moved["person_id"])
    assert why["why_not"][0] == f"{INES} was skipped: had them before"
    assert "nothing to do" in mqlsync("route", "rebalance", INES, "--yes", scene=scene).out
    unknown = mqlsync("route", "rebalance", FEMI, "--to", "sails", "--yes", scene=scene)
    assert (unknown.code, "no pool 'sails'" in unknown.err) == (1, True)


def test_a_new_mql_of_a_rep_who_has_left_goes_to_somebody_who_has_not(scene: World) -> None:
    """Whatever the CRMs say: there Ines is active, and owns records. Whoever is no MQL stays with her."""
    org, portal = scene.box.salesforce, scene.box.hubspot
    hers = {
        *(owner for owner, one in portal.owners.items() if one.email == INES),
        *(user["Id"] for user in org.all("User") if str(user["Email"]).lower() == INES),
    }
    before = _owners_in_crms(scene)
    edit(scene.config / "team.yaml", ("{name: Ines Duarte}", "{name: Ines Duarte, status: left}"))
    scene.run()
    assert owners(scene)[f"rep:{INES}"] == 0
    mqls = {row.person_id for row in rows(scene, schema.assignment)}
    were_hers = {ref for ref, owner in before.items() if owner in hers}
    of_mqls = {(row.conn, row.id) for row in rows(scene, schema.link) if row.person_id in mqls and row.role == "target"}
    after = _owners_in_crms(scene)
    assert were_hers & of_mqls
    assert {ref for ref in were_hers if after[ref] not in hers} == were_hers & of_mqls
    assert scene.run().writes == 0


def _owners_in_crms(scene: World) -> dict[tuple[str, str], str | None]:
    org, portal = scene.box.salesforce, scene.box.hubspot
    contacts = {("hubspot", id): portal.get("contacts", id).get("hubspot_owner_id") for id in portal.ids("contacts")}
    people = {("salesforce", one["Id"]): one["OwnerId"] for kind in ("Lead", "Contact") for one in org.all(kind)}
    return {**contacts, **people}


def test_a_rebalance_while_a_run_is_at_work_changes_nothing(scene: World) -> None:
    scene.run()
    had = owners(scene)
    said: list[Any] = []

    def meanwhile(place: str) -> None:
        if place == "decide:done" and not said:
            said.append(scene.cli("route", "rebalance", INES, "--yes"))

    with scene.opened(meanwhile) as opened:
        opened.run("sync", as_of=AS_OF)
    assert said[0].returncode == 7, said[0].stderr
    assert owners(scene) == had


def test_why_this_rep_and_why_not_another_are_read_from_the_store(scene: World) -> None:
    scene.run()
    one = next(row for row in drawn(scene) if len(row.trace["pool"]["reps"]) == 5)
    winner = one.owner_key.removeprefix("rep:")
    shown = mqlsync("route", one.person_id, scene=scene)
    assert f"> {winner}" in shown.out
    assert "decided by" in shown.out
    other = next(row["rep"] for row in one.trace["pool"]["reps"] if row["rep"] != winner)
    for rep, said in ((other, f"{winner} came first by"), (winner, f"{winner} has them")):
        assert said in mqlsync("route", "why-not", rep, "--person", one.person_id, scene=scene).out
    edit(scene.config / "team.yaml", ("weight: 2", "weight: 7"))
    assert mqlsync("route", one.person_id, scene=scene).out == shown.out
    assert mqlsync("route", "nobody@nowhere.example", scene=scene).code == 1


def test_a_lead_of_an_accounts_domain_goes_to_who_owns_the_account(scene: World) -> None:
    """No Lead is linked to an Account; the domain of its address tells."""
    org = scene.box.salesforce
    users = {str(user["Email"]).lower(): user["Id"] for user in org.all("User")}
    site = "https://www.pine-instruments.example"
    account = org.add("Account", {"Name": "Pine", "Website": site, "OwnerId": users[FEMI]}, at=AS_OF)
    firm = {"Company": "P. I.", "NumberOfEmployees": 600, "Country": "Ireland", "Title": "VP of Marketing"}
    address = {"LastName": "Byrne", "Email": "ada@eu.pine-instruments.example", "OwnerId": users[NOBODY]}
    lead = org.add("Lead", {**firm, **address}, at=AS_OF)
    portal = scene.box.hubspot
    form = next(guid for guid, form in portal.forms.items() if form.name == "Request a demo")
    portal.add("contacts", {"email": address["Email"], "firstname": "Ada"}, at=AS_OF)
    portal.add_submission(form, AS_OF - timedelta(days=1), {"email": address["Email"]})
    scene.run()
    shown = routed(scene, lead)
    [step] = shown["steps"]
    assert (step["why"], step["owner"]) == ("who has the company", f"rep:{FEMI}")
    assert org.get("Lead", lead)["OwnerId"] == users[FEMI]
    assert step["trace"]["account"] == {
        "account": f"salesforce:account:{account}",
        "name": "Pine",
        "by": "domain",
        "confidence": 0.9,
        "owner": f"rep:{FEMI}",
    }
