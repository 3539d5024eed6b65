"""Sales and marketing answer in their CRMs, or at the command line: both CRMs end where the policy says, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.records import Crm
from sync.setup import ensure, missing
from sync.store import schema
from tests.support.shell import mqlsync
from tests.support.world import World, api_writes, edit, rows, world

HOUR = timedelta(hours=1)
REVIEW_EVERYBODY = (
    "    hot_and_right:   {grade: [A1, A2, B1]}\n",
    "    hot_and_right:   {grade: [A1, A2, B1]}\n  review:\n    everybody: {fit: from 0}\n",
)


@pytest.fixture
def reviewed(tmp_path: Path) -> Iterator[World]:
    """As `scene`, with everybody who qualifies in review. The first run is done."""
    with world(tmp_path) as made:
        edit(made.config / "policy.yaml", REVIEW_EVERYBODY)
        assert made.run().exit_code == 0
        yield made


@pytest.fixture
def long_ago(tmp_path: Path) -> Iterator[World]:
    """As `reviewed`, on a day that is over wherever this runs: what is typed here is said by this machine's clock."""
    day = datetime(2025, 3, 4, 12, tzinfo=UTC)
    with world(tmp_path, at=day) as made:
        edit(made.config / "policy.yaml", REVIEW_EVERYBODY)
        assert made.run(as_of=day).exit_code == 0
        yield made


def people(scene: World, status: str) -> list[str]:
    return sorted(row.person_id for row in rows(scene, schema.person) if row.status == status)


def status(scene: World, person_id: str) -> str:
    return next(row.status for row in rows(scene, schema.person) if row.person_id == person_id)


def records_of(scene: World, person_id: str) -> dict[tuple[str, str], str]:
    """(CRM, object) -> id of every record of the person that is written."""
    found = [row for row in rows(scene, schema.link) if row.person_id == person_id and row.role == "target"]
    return {(row.conn, row.object): row.id for row in found}


def with_records(scene: World, among: list[str], *objects: tuple[str, str]) -> str:
    """The first of these people who has all of these records."""
    return next(one for one in among if set(objects) <= set(records_of(scene, one)))


def shown(scene: World, person_id: str) -> dict[str, Any]:
    """The MQL status by CRM."""
    out: dict[str, Any] = {}
    for (crm, object), id in records_of(scene, person_id).items():
        if crm == "hubspot":
            out[crm] = scene.box.hubspot.get("contacts", id).get("mql_status")
        else:
            out[crm] = scene.box.salesforce.get(object.capitalize(), id)["MQL_Status__c"]
    return out


def later(scene: World, by: timedelta = HOUR) -> Any:
    """Move the clock and run."""
    scene.box.clock.move(by)
    report = scene.run(as_of=scene.box.clock.now())
    assert report.exit_code == 0, (report.error, report.problems)
    return report


def written_since(scene: World, before: int) -> Counter[tuple[str, str]]:
    """(CRM, record) -> writes through the API."""
    return Counter((entry.crm, entry.id) for entry in api_writes(scene.box)[before:])


LEAD, CONTACT = ("salesforce", "lead"), ("hubspot", "contact")


# -- sales -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "ends", "outcome"),
    [
        ({"Status": "Working - Contacted"}, "working", None),
        (
            {"Status": "Closed - Not Converted", "MQL_Rejection_Reason__c": "no_answer"},
            "recycled",
            "rejected:no_answer",
        ),
        ({"Status": "Closed - Not Converted", "MQL_Rejection_Reason__c": "not_a_fit"}, "never", "rejected:not_a_fit"),
        ({"Status": "Closed - Not Converted"}, "recycled", "rejected:not_ready"),
    ],
)
def test_what_sales_sets_in_salesforce_is_told_to_both_crms_once(scene, answer, ends, outcome):
    scene.run()
    who = with_records(scene, people(scene, "assigned"), LEAD, CONTACT)
    scene.box.clock.move(HOUR)
    scene.box.salesforce.edit("Lead", records_of(scene, who)[LEAD], answer)
    before = len(api_writes(scene.box))
    later(scene)
    assert status(scene, who) == ends
    assert shown(scene, who) == {"hubspot": ends, "salesforce": ends}
    assert set(written_since(scene, before).values()) == {1}
    assert next(row.outcome for row in rows(scene, schema.episode) if row.person_id == who) == outcome
    assert later(scene).writes == 0


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        ({"hs_lead_status": "CONNECTED"}, "accepted"),
        ({"hs_lead_status": "UNQUALIFIED", "mql_rejection_reason": "not_a_fit"}, "never"),
        ({"lifecyclestage": "opportunity"}, "sql"),
        ({"lifecyclestage": "customer"}, "sql"),
    ],
)
def test_what_sales_sets_in_hubspot_is_told_to_both_crms_once(scene, answer, ends):
    scene.run()
    who = with_records(scene, people(scene, "assigned"), LEAD, CONTACT)
    scene.box.clock.move(HOUR)
    scene.box.hubspot.edit("contacts", records_of(scene, who)[CONTACT], answer)
    before = len(api_writes(scene.box))
    later(scene)
    assert shown(scene, who) == {"hubspot": ends, "salesforce": ends}
    assert set(written_since(scene, before).values()) == {1}
    assert later(scene).writes == 0


def test_a_lead_that_is_converted_is_taken_on_by_sales(scene):
    scene.run()
    who = with_records(scene, people(scene, "assigned"), LEAD, CONTACT)
    scene.box.clock.move(HOUR)
    scene.box.salesforce.convert(records_of(scene, who)[LEAD])
    later(scene)
    assert status(scene, who) == "sql"
    assert next(row.outcome for row in rows(scene, schema.episode) if row.person_id == who) == "sql"
    assert later(scene).writes == 0


def test_of_two_answers_the_later_one_counts(scene):
    scene.run()
    who = with_records(scene, people(scene, "assigned"), LEAD, CONTACT)
    ids = records_of(scene, who)
    scene.box.clock.move(HOUR)
    scene.box.hubspot.edit("contacts", ids[CONTACT], {"hs_lead_status": "CONNECTED"})
    scene.box.clock.move(HOUR)
    scene.box.salesforce.edit("Lead", ids[LEAD], {"Status": "Working - Contacted"})
    later(scene)
    assert status(scene, who) == "working"


@pytest.fixture
def dealing(tmp_path: Path) -> Iterator[World]:
    """As `scene`, with opportunities heard. The first run is done, the clock an hour on."""
    with world(tmp_path) as made:
        line = "    reason:   MQL_Rejection_Reason__c\n"
        heard = f"{line}    opportunity: {{open: accepted, Negotiation/Review: working, won: sql, lost: rejected}}\n"
        edit(made.config / "fields.yaml", (line, heard))
        assert made.run().exit_code == 0
        made.box.clock.move(HOUR)
        yield made


SF_CONTACT = ("salesforce", "contact")


def opportunity_of(scene: World, who: str, **fields: Any) -> tuple[str, str]:
    """A new opportunity in which the person's contact has a role: (opportunity, role)."""
    org = scene.box.salesforce
    known = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2027-01-31"}
    deal = org.add("Opportunity", known | fields)
    contact = records_of(scene, who)[SF_CONTACT]
    return deal, org.add("OpportunityContactRole", {"OpportunityId": deal, "ContactId": contact})


def test_an_opportunity_is_heard_from_its_beginning_to_its_end(dealing):
    who = with_records(dealing, people(dealing, "assigned"), SF_CONTACT)
    deal, _ = opportunity_of(dealing, who)
    later(dealing)
    assert status(dealing, who) == "accepted"
    for stage, ends in (("Negotiation/Review", "working"), ("Closed Won", "sql")):
        dealing.box.clock.move(HOUR)
        dealing.box.salesforce.edit("Opportunity", deal, {"StageName": stage})
        before = len(api_writes(dealing.box))
        later(dealing)
        assert status(dealing, who) == ends
        assert set(shown(dealing, who).values()) == {ends}
        assert set(written_since(dealing, before).values()) == {1}
        assert later(dealing).writes == 0
    assert next(row.outcome for row in rows(dealing, schema.episode) if row.person_id == who) == "sql"


def test_an_opportunity_that_is_lost_is_a_rejection(dealing):
    who = with_records(dealing, people(dealing, "assigned"), SF_CONTACT)
    opportunity_of(dealing, who, StageName="Closed Lost")
    later(dealing)
    assert status(dealing, who) == "recycled"


@pytest.mark.parametrize(("stage", "when"), [("Closed Won", "won_at"), ("Closed Lost", "lost_at")])
def test_an_episode_knows_when_the_sale_was_won_or_lost(dealing, stage, when):
    before = "{open: accepted, Negotiation/Review: working, won: sql, lost: rejected}"
    edit(dealing.config / "fields.yaml", (before, "{open: sql, won: won, lost: lost}"))
    who = with_records(dealing, people(dealing, "assigned"), SF_CONTACT)
    deal, _ = opportunity_of(dealing, who)
    later(dealing)
    assert status(dealing, who) == "sql"
    dealing.box.clock.move(HOUR)
    dealing.box.salesforce.edit("Opportunity", deal, {"StageName": stage})
    told = dealing.box.clock.now()
    assert later(dealing).writes == 0
    (episode,) = [row for row in rows(dealing, schema.episode) if row.person_id == who]
    assert (episode.outcome, {"won_at": episode.won_at, "lost_at": episode.lost_at}) == (
        "sql",
        {"won_at": None, "lost_at": None} | {when: told},
    )


def test_what_an_opportunity_said_outlives_an_edit_of_the_contact(dealing):
    who = with_records(dealing, people(dealing, "assigned"), SF_CONTACT)
    opportunity_of(dealing, who)
    later(dealing)
    dealing.box.clock.move(HOUR)
    dealing.box.salesforce.edit("Contact", records_of(dealing, who)[SF_CONTACT], {"Department": "Ops"})
    later(dealing)
    assert status(dealing, who) == "accepted"


def test_without_access_to_opportunities_everything_else_goes_on_and_it_is_said(dealing):
    who = with_records(dealing, people(dealing, "assigned"), SF_CONTACT)
    opportunity_of(dealing, who)
    dealing.box.salesforce.absent.add("OpportunityContactRole")
    report = later(dealing)
    assert status(dealing, who) == "assigned"
    assert any("opportunity contact role is not read" in said for said in report.warnings)
    dealing.box.salesforce.absent.clear()
    later(dealing)
    assert status(dealing, who) == "accepted"


def test_a_renamed_value_is_told_by_the_next_run_and_by_check(scene):
    scene.run()
    edit(scene.config / "fields.yaml", ("UNQUALIFIED: rejected", "NOT_FOR_US: rejected"))
    scene.box.clock.move(HOUR)
    for id in scene.box.hubspot.ids("contacts")[:3]:
        scene.box.hubspot.edit("contacts", id, {"hs_lead_status": "BAD_TIMING"})
    scene.box.clock.move(HOUR)
    report = scene.run(as_of=scene.box.clock.now())
    assert report.exit_code == 5
    assert [(p.field, "BAD_TIMING" in p.reason, "NOT_FOR_US" in p.reason) for p in report.problems] == [
        ("hs_lead_status", True, True)
    ]
    later(scene)
    said = mqlsync("check", "--online", "--json", scene=scene)
    assert said.code == 0
    assert "hubspot.contact.hs_lead_status" in [f["where"] for f in said.json["findings"]]


# -- review ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "ends"), [("approved", "assigned"), ("rejected", "recycled")])
def test_a_marketer_answers_in_hubspot_and_the_property_is_blank_again(reviewed, answer, ends):
    who = with_records(reviewed, people(reviewed, "review"), CONTACT)
    contact = records_of(reviewed, who)[CONTACT]
    reviewed.box.clock.move(HOUR)
    reviewed.box.hubspot.edit("contacts", contact, {"mql_review": answer})
    before = len(api_writes(reviewed.box))
    later(reviewed)
    assert set(shown(reviewed, who).values()) == {ends}
    assert not reviewed.box.hubspot.get("contacts", contact).get("mql_review")
    changed = {id for _, id in written_since(reviewed, before)} & set(records_of(reviewed, who).values())
    assert all(written_since(reviewed, before)["hubspot" if id == contact else "salesforce", id] == 1 for id in changed)
    assert later(reviewed).writes == 0
    assert [(v.person_id, v.approve, v.by) for v in rows(reviewed, schema.verdict)] == [
        (who, answer == "approved", "hubspot: mql_review")
    ]


def test_a_marketer_answers_in_salesforce(reviewed):
    who = with_records(reviewed, people(reviewed, "review"), LEAD)
    lead = records_of(reviewed, who)[LEAD]
    reviewed.box.clock.move(HOUR)
    reviewed.box.salesforce.edit("Lead", lead, {"MQL_Review__c": "approved"})
    later(reviewed)
    assert set(shown(reviewed, who).values()) == {"assigned"}
    assert reviewed.box.salesforce.get("Lead", lead)["MQL_Review__c"] is None
    assert later(reviewed).writes == 0


def test_an_answer_nobody_waited_for_is_noted_and_cleared(reviewed):
    who = with_records(reviewed, people(reviewed, "not_yet"), CONTACT)
    contact = records_of(reviewed, who)[CONTACT]
    for answer in ("approved", "approved"):
        reviewed.box.clock.move(HOUR)
        reviewed.box.hubspot.edit("contacts", contact, {"mql_review": answer})
        later(reviewed)
        assert not reviewed.box.hubspot.get("contacts", contact).get("mql_review")
        assert status(reviewed, who) == "not_yet"
    assert len(rows(reviewed, schema.verdict)) == 2
    assert later(reviewed).writes == 0


def test_who_changes_their_mind_while_a_run_decides_is_heard_by_the_next(reviewed):
    who = with_records(reviewed, people(reviewed, "review"), CONTACT)
    contact = records_of(reviewed, who)[CONTACT]
    reviewed.box.clock.move(HOUR)
    reviewed.box.hubspot.edit("contacts", contact, {"mql_review": "approved"})
    reviewed.box.clock.move(HOUR)

    def reached(place: str) -> None:
        if place == "decide:done" and reviewed.box.hubspot.get("contacts", contact)["mql_review"] == "approved":
            reviewed.box.hubspot.edit("contacts", contact, {"mql_review": "rejected"})

    with reviewed.opened(reached) as opened:
        assert opened.run("sync", as_of=reviewed.box.clock.now()).exit_code == 0
    assert reviewed.box.hubspot.get("contacts", contact)["mql_review"] == "rejected"
    later(reviewed)
    assert not reviewed.box.hubspot.get("contacts", contact).get("mql_review")
    assert [v.approve for v in rows(reviewed, schema.verdict)] == [True, False]
    assert later(reviewed).writes == 0


@pytest.mark.parametrize(
    "place", ["pull:hubspot:contact:page", "resolve:done", "decide:done", "write:hubspot:answered"]
)
def test_a_run_that_dies_hears_an_answer_once(reviewed, place):
    who = with_records(reviewed, people(reviewed, "review"), CONTACT)
    contact = records_of(reviewed, who)[CONTACT]
    reviewed.box.clock.move(HOUR)
    reviewed.box.hubspot.edit("contacts", contact, {"mql_review": "approved"})
    reviewed.box.clock.move(timedelta(minutes=1))
    assert reviewed.run_until_killed(place) == -9
    later(reviewed)
    assert len(rows(reviewed, schema.verdict)) == 1
    assert status(reviewed, who) == "assigned"
    assert not reviewed.box.hubspot.get("contacts", contact).get("mql_review")
    assert later(reviewed).writes == 0


def test_a_reason_that_sends_to_review_waits_for_a_marketer_who_opens_a_new_episode(scene):
    edit(scene.config / "policy.yaml", ("    not_a_fit: {never: true}", "    not_a_fit: {send_to: review}"))
    scene.run()
    who = with_records(scene, people(scene, "assigned"), LEAD, CONTACT)
    ids = records_of(scene, who)
    scene.box.clock.move(HOUR)
    told = {"hs_lead_status": "UNQUALIFIED", "mql_rejection_reason": "not_a_fit"}
    scene.box.hubspot.edit("contacts", ids[CONTACT], told)
    later(scene)
    assert set(shown(scene, who).values()) == {"review"}
    said = mqlsync("review", "list", "--json", scene=scene).json["waiting"]
    assert [(one["person_id"], one["why"], one["episode"]) for one in said] == [(who, ["not_a_fit"], None)]
    scene.box.clock.move(HOUR)
    scene.box.hubspot.edit("contacts", ids[CONTACT], {"mql_review": "approved"})
    later(scene)
    assert set(shown(scene, who).values()) == {"assigned"}
    assert [row.n for row in rows(scene, schema.episode) if row.person_id == who] == [1, 2]
    assert later(scene).writes == 0


def test_who_waits_for_a_needed_fact_goes_on_once_it_is_known(tmp_path):
    with world(tmp_path) as scene:
        edit(scene.config / "policy.yaml", ("mql:\n", "mql:\n  needs: [person.custom.salutation]\n"))
        mapped = "    person.city:             city\n"
        edit(scene.config / "fields.yaml", (mapped, mapped + "    person.custom.salutation: salutation\n"))
        scene.run()
        waiting = people(scene, "review")
        said = mqlsync("review", "list", "--json", scene=scene).json["waiting"]
        assert {(*one["why"], *one["approves_by"]) for one in said} == {
            ("needs person.custom.salutation", "person.custom.salutation")
        }
        who = with_records(scene, waiting, CONTACT)
        scene.box.clock.move(HOUR)
        scene.box.hubspot.edit("contacts", records_of(scene, who)[CONTACT], {"salutation": "Dr."})
        later(scene)
        assert status(scene, who) == "assigned"
        assert people(scene, "review") == sorted(set(waiting) - {who})


def test_time_approves_after_working_hours_and_not_before(tmp_path):
    with world(tmp_path) as scene:
        by_time = "    everybody: {fit: from 0}\n    auto_approve_after: 2 working hours\n    hours: office\n"
        edit(scene.config / "policy.yaml", (REVIEW_EVERYBODY[0], REVIEW_EVERYBODY[0] + "  review:\n" + by_time))
        scene.run()
        waiting = people(scene, "review")
        assert waiting
        told = mqlsync("review", "list", scene=scene).out
        assert told.count("approved by itself at 2026-11-25 14:00 UTC") == len(waiting)
        later(scene, timedelta(minutes=119))
        assert people(scene, "review") == waiting
        later(scene, timedelta(minutes=1))
        assert people(scene, "review") == []
        assert {row.approved_by for row in rows(scene, schema.episode) if row.person_id in waiting} == {"time"}


# -- the command line --------------------------------------------------------------------------------------------


def addresses(scene: World, ids: list[str]) -> list[str]:
    return [row.email for one in ids for row in rows(scene, schema.person) if row.person_id == one]


def test_several_people_are_approved_or_rejected_at_once_and_the_next_run_does_it(long_ago):
    waiting = people(long_ago, "review")
    listed = mqlsync("review", "list", "--json", scene=long_ago).json["waiting"]
    assert sorted(one["person_id"] for one in listed) == waiting
    assert {tuple(one["why"]) for one in listed} == {("everybody",)}
    assert {one["approves_at"] for one in listed} == {None}
    yes, no = waiting[:2], waiting[2:3]
    said = mqlsync("review", "approve", *addresses(long_ago, yes), "--why", "seen", "--by", "jo", scene=long_ago)
    assert said.code == 0
    assert "takes effect at the next run" in said.out
    assert mqlsync("review", "reject", *no, "--reason", "a student", scene=long_ago).code == 0
    assert people(long_ago, "review") == waiting
    told = {v.person_id: (v.approve, v.by, v.why) for v in rows(long_ago, schema.verdict)}
    assert {one: told[one] for one in yes} == dict.fromkeys(yes, (True, "jo", "seen"))
    assert told[no[0]][::2] == (False, "a student")
    listed = mqlsync("review", "list", scene=long_ago).out
    assert listed.count("the next run decides by it") == 3
    long_ago.box.clock.set(max(v.at for v in rows(long_ago, schema.verdict)) + HOUR)
    assert long_ago.run(as_of=long_ago.box.clock.now()).exit_code == 0
    assert [status(long_ago, one) for one in (*yes, *no)] == ["assigned", "assigned", "recycled"]
    kept = mqlsync("explain", no[0], scene=long_ago).out
    assert "Marketing: rejected by " in kept
    assert "UTC: a student\n" in kept
    assert mqlsync("explain", yes[0], "--json", scene=long_ago).json["review"]["why"] == "seen"


def test_who_is_not_in_review_or_not_known_is_refused_and_so_are_the_others(reviewed):
    waiting, quiet = people(reviewed, "review")[0], people(reviewed, "not_yet")[0]
    for other, said in (
        (quiet, "is not in review: the person is not_yet"),
        ("nobody@nowhere.example", "nobody here has"),
    ):
        refused = mqlsync("review", "approve", waiting, other, scene=reviewed)
        assert refused.code == 1
        assert said in refused.err
        assert "Nobody was approved" in refused.err
    assert rows(reviewed, schema.verdict) == []


def test_one_person_is_shown_with_facts_reasons_and_episode(reviewed):
    who = people(reviewed, "review")[0]
    told = mqlsync("review", "show", who, scene=reviewed)
    assert told.code == 0
    for part in ("waits since", "everybody", "person.email: ", "Status review", "Episode 1"):
        assert part in told.out
    assert "E+" not in told.out, "numbers are shown as people write them"
    body = mqlsync("review", "show", who, "--json", scene=reviewed).json
    assert body["waiting"]["person_id"] == who
    assert body["facts"]["person.email"]
    assert body["episode"]["n"] == 1


# -- set-up ------------------------------------------------------------------------------------------------------


def test_setup_makes_what_people_choose_from_and_adds_what_the_policy_has_since(scene):
    made = scene.box.hubspot.table("contacts").kind.properties["mql_rejection_reason"].options
    options = {option["value"]: option["label"] for option in made}
    assert options == {"not_ready": "Not ready", "no_answer": "No answer", "not_a_fit": "Not a fit"}
    for object in ("Lead", "Contact"):
        assert salesforce_options(scene, object, "MQL_Review__c") == ["approved", "rejected"]
    assert salesforce_options(scene, "Lead", "MQL_Rejection_Reason__c") == ["not_ready", "no_answer", "not_a_fit"]
    edit(scene.config / "policy.yaml", ("    not_a_fit: {never: true}", "    too_small: {wait: 90 days}"))
    said = mqlsync("check", "--online", scene=scene).out
    assert "hubspot.contact.mql_rejection_reason: lacks the options too_small" in said
    with scene.opened() as opened:
        assert {str(c) for c in missing(opened.parts)} == {
            "hubspot contact mql_rejection_reason: options added",
            "salesforce lead MQL_Rejection_Reason__c: options added",
        }
        ensure(opened.parts)
        assert missing(opened.parts) == []
    assert "not_a_fit" in salesforce_options(scene, "Lead", "MQL_Rejection_Reason__c")
    assert "too_small" in salesforce_options(scene, "Lead", "MQL_Rejection_Reason__c")


def salesforce_options(scene: World, object: str, name: str) -> list[str]:
    with scene.opened() as opened:
        there = opened.parts.connectors[Crm.SALESFORCE].describe(object.lower())[name]
        return list(there.options or ())
