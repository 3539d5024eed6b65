"""The sandbox's people under the policy that ships: some are MQL, most are not, and the cast plays its parts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from connectors.sandbox.people import REPS
from connectors.sandbox.population import Kind, Person, draw
from tests.support.world import World, world

PEOPLE, SEED = 200, 5
MQL = {"mql", "assigned"}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(Path(tmp_path_factory.mktemp("town")), people=PEOPLE, seed=SEED) as made:
        made.run()
        yield made


@pytest.fixture(scope="module")
def people() -> Mapping[str, Person]:
    """The same people, as drawn, by e-mail."""
    return {person.email: person for person in draw(PEOPLE, Random(SEED), len(REPS)) if person.email}


@pytest.fixture(scope="module")
def statuses(scored: World) -> Mapping[str, str | None]:
    """E-mail -> the status of whichever live record carries one."""
    found: dict[str, str | None] = {}
    org, portal = scored.box.salesforce, scored.box.hubspot
    for row in [*org.all("Lead"), *org.all("Contact")]:
        if row.get("Email") and not row.get("IsDeleted"):
            address = row["Email"].lower()
            found[address] = row.get("MQL_Status__c") or found.get(address)
    for one in (portal.get("contact", id) for id in portal.ids("contact")):
        if one.get("email"):
            found[one["email"]] = one.get("mql_status") or found.get(one["email"])
    return found


def test_three_to_eight_in_a_hundred_become_mql(
    people: Mapping[str, Person], statuses: Mapping[str, str | None]
) -> None:
    """The cast aside, which is there to be MQL."""
    cast = {email for email, person in people.items() if person.cast}
    share = sum(status in MQL for email, status in statuses.items() if email not in cast) / PEOPLE
    assert 0.03 <= share <= 0.08, Counter(statuses.values())


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("hot prospect", MQL),
        ("owned prospect", MQL),
        ("left-behind prospect", MQL),
        ("hubspot prospect", MQL),
        ("webinar prospect", MQL),
        ("cold prospect", {"not_yet"}),
        ("hot duplicate", {None}),
        ("hot student", {"suppressed"}),
    ],
)
def test_the_cast_plays_its_parts(
    people: Mapping[str, Person], statuses: Mapping[str, str | None], part: str, expected: set[str | None]
) -> None:
    address = next(email for email, person in people.items() if person.cast == part)
    assert statuses[address] in expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.CUSTOMER, "suppressed"),
        (Kind.OPEN_OPPORTUNITY, "suppressed"),
        (Kind.COMPETITOR, "suppressed"),
        (Kind.STUDENT, "suppressed"),
        (Kind.UNSUBSCRIBED, "suppressed"),
        (Kind.HARD_BOUNCED, "suppressed"),
        (Kind.WITH_SALES, "with_sales"),
    ],
)
def test_who_is_held_back_is_told_why(
    people: Mapping[str, Person], statuses: Mapping[str, str | None], kind: Kind, expected: str
) -> None:
    found = {email: statuses[email] for email, person in people.items() if person.kind is kind}
    assert set(found.values()) == {expected}, found


def test_ambiguous_duplicates_are_left_alone(people: Mapping[str, Person], statuses: Mapping[str, str | None]) -> None:
    twice = {Kind.TWO_LEADS, Kind.TWO_CONTACTS}
    assert {statuses[email] for email, person in people.items() if person.kind in twice} == {None}
