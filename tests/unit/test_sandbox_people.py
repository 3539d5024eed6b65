"""Filling a sandbox with people: repeatable, true to the census, with histories that reach from cold to hot."""

from collections import Counter
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count

import pytest

from connectors.sandbox import Sandbox, clock
from connectors.sandbox.people import REPS, Census, populate

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


def filled(people: int, seed: int, at: datetime = NOON) -> tuple[Sandbox, Census]:
    """A sandbox that no longer answers calls, its clock stopped at ``at``."""
    with Sandbox.start(at=at) as box:
        box.clock.freeze(at)
        return box, populate(box, people=people, seed=seed)


@pytest.fixture(scope="module")
def town() -> tuple[Sandbox, Census]:
    return filled(600, seed=7)


def contacts(box: Sandbox, *, archived: bool = False) -> list[dict[str, str]]:
    return [box.hubspot.get("contact", id) for id in box.hubspot.ids("contact", archived=archived)]


def test_the_same_seed_and_day_fill_both_crms_alike(town: tuple[Sandbox, Census]) -> None:
    again, census = filled(600, seed=7)
    assert census == town[1]
    assert again.digest() == town[0].digest()


def test_another_seed_fills_them_differently(town: tuple[Sandbox, Census]) -> None:
    other, _ = filled(600, seed=8)
    assert other.digest() != town[0].digest()


def test_the_census_counts_what_is_there(town: tuple[Sandbox, Census]) -> None:
    box, census = town
    assert sum(census.kinds.values()) == census.people == 600
    assert census.records["hubspot contact"] == len(contacts(box)) + len(contacts(box, archived=True))
    for object in ("Lead", "Contact", "Account", "Task", "Event", "CampaignMember", "Opportunity"):
        assert census.records[f"salesforce {object.lower()}"] == len(box.salesforce.all(object)), object


def test_no_change_of_the_seed_looks_like_an_api_write_or_a_persons_edit(town: tuple[Sandbox, Census]) -> None:
    box, _ = town
    assert box.journal.writes(via="api") == []
    assert box.journal.writes(via="person") == []


def test_nothing_lies_in_the_future(town: tuple[Sandbox, Census]) -> None:
    box, _ = town
    assert max(one["lastmodifieddate"] for one in contacts(box)) <= box.hubspot.stamp(NOON)
    events = [datetime.fromisoformat(row["StartDateTime"]) for row in box.salesforce.all("Event")]
    assert events
    assert max(events) <= NOON


@pytest.mark.parametrize(
    "name", ["hot prospect", "owned prospect", "cold prospect", "lead beside contact", "two leads"]
)
def test_named_people_are_where_the_census_says(town: tuple[Sandbox, Census], name: str) -> None:
    box, census = town
    address = census.named[name]
    in_hubspot = [one for one in contacts(box) if one.get("email") == address]
    leads = [row for row in box.salesforce.all("Lead") if (row.get("Email") or "").lower() == address]
    people = [row for row in box.salesforce.all("Contact") if (row.get("Email") or "").lower() == address]
    match name:
        case "two leads":
            assert (len(leads), len(people)) == (2, 0)
        case "lead beside contact":
            assert (len(leads), len(people)) == (1, 1)
        case _:
            assert (len(in_hubspot), len(leads), len(people)) == (1, 1, 0)


def test_some_addresses_differ_in_case_between_the_crms(town: tuple[Sandbox, Census]) -> None:
    box, _ = town
    assert any(row["Email"] != row["Email"].lower() for row in box.salesforce.all("Lead") if row.get("Email"))


def test_converted_deleted_and_archived_records_exist(town: tuple[Sandbox, Census]) -> None:
    box, census = town
    leads = box.salesforce.all("Lead")
    assert sum(row["IsConverted"] for row in leads) == census.kinds["converted lead"]
    assert sum(row["IsDeleted"] for row in leads) == census.kinds["deleted lead"]
    assert len(contacts(box, archived=True)) == census.kinds["archived in hubspot"]


def test_customers_and_open_opportunities_are_to_be_found(town: tuple[Sandbox, Census]) -> None:
    box, _ = town
    assert any(row.get("Type") == "Customer - Direct" for row in box.salesforce.all("Account"))
    assert {row["IsClosed"] for row in box.salesforce.all("Opportunity")} == {True, False}
    assert any(one.get("lifecyclestage") == "customer" for one in contacts(box))


def test_every_sort_of_owner_owns_a_lead(town: tuple[Sandbox, Census]) -> None:
    """Active reps, somebody inactive, the integration user and a queue."""
    box, _ = town
    users = {row["Id"]: row for row in box.salesforce.all("User")}
    owners = {row["OwnerId"] for row in box.salesforce.all("Lead")}
    assert box.salesforce.user_id in owners
    assert any(id.startswith("00G") for id in owners)
    assert any(not users[id]["IsActive"] for id in owners if id in users)
    assert {email for email, *_ in REPS} <= {users[id]["Email"].lower() for id in owners if id in users}


def test_form_totals_agree_with_the_submissions(town: tuple[Sandbox, Census]) -> None:
    box, _ = town
    sent = Counter(values["email"] for form in box.hubspot.forms.values() for _, _, values, _ in form.submissions)
    everybody = contacts(box) + contacts(box, archived=True)
    totals = {one["email"]: int(one["num_conversion_events"]) for one in everybody if one.get("num_conversion_events")}
    assert totals == dict(sent)


def test_ages_count_back_from_the_given_day() -> None:
    """With `now` a month earlier than the clock, the newest submission is a month old."""
    with Sandbox.start(at=NOON) as box:
        populate(box, people=200, seed=1, now=NOON - timedelta(days=30))
    newest = max(millis for form in box.hubspot.forms.values() for millis, *_ in form.submissions)
    assert datetime.fromtimestamp(newest / 1000, UTC) < NOON - timedelta(days=30)


def test_a_negative_number_of_people_is_refused() -> None:
    with Sandbox.start(at=NOON) as box, pytest.raises(ValueError, match="people must be 0 or more"):
        populate(box, people=-1, seed=1)


def test_all_of_it_happens_at_one_instant_of_a_clock_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lead converted while the CRMs are filled, after a run's instant, would be an answer of sales to that run."""
    looks = count()

    class Hurrying(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Hurrying":
            return cls.fromtimestamp(NOON.timestamp() + next(looks), tz)

    with Sandbox.start() as box:
        monkeypatch.setattr(clock, "datetime", Hurrying)
        began = box.clock.now()
        populate(box, people=60, seed=1)
        monkeypatch.undo()
        leads = box.salesforce.all("Lead")
    converted = {row["ConvertedDate"] for row in leads if row["IsConverted"]}
    latest = max(datetime.fromisoformat(row["SystemModstamp"]) for row in leads)
    assert converted
    assert latest <= began + timedelta(seconds=1)
