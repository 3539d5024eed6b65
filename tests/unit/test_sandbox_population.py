"""The sandbox's people, as drawn: the same for the same seed, in the promised shares, with the promised histories."""

from random import Random

import pytest

from connectors.sandbox.population import (
    SHARES,
    WEBINAR_AGES,
    Kind,
    OwnerCase,
    Person,
    TouchKind,
    draw,
    quotas,
)


@pytest.fixture(scope="module")
def thousand() -> tuple[Person, ...]:
    return draw(1000, Random(11), reps=5)


def test_the_same_seed_draws_the_same_people(thousand: tuple[Person, ...]) -> None:
    assert draw(1000, Random(11), reps=5) == thousand


def test_another_seed_draws_other_people(thousand: tuple[Person, ...]) -> None:
    other = draw(1000, Random(12), reps=5)
    assert [p.email for p in other] != [p.email for p in thousand]


def test_shares_are_exact_for_a_thousand(thousand: tuple[Person, ...]) -> None:
    assert {kind: sum(p.kind is kind for p in thousand) for kind in Kind} == SHARES


@pytest.mark.parametrize("people", [0, 1, 7, 38, 60, 100, 333, 4999])
def test_shares_add_up_for_any_number(people: int) -> None:
    counts = quotas(people)
    assert sum(counts.values()) == people
    assert min(counts.values()) >= 0


@pytest.mark.parametrize("people", [38, 60, 100])
def test_a_small_sandbox_has_one_of_every_kind(people: int) -> None:
    assert min(quotas(people).values()) >= 1


def test_an_address_is_ascii_and_nobody_elses(thousand: tuple[Person, ...]) -> None:
    addresses = [p.email for p in thousand if p.email]
    assert len(set(addresses)) == len(addresses)
    assert all(address.isascii() and address == address.lower() and " " not in address for address in addresses)


def test_names_come_in_several_scripts(thousand: tuple[Person, ...]) -> None:
    names = "".join(p.first + p.last for p in thousand)
    scripts = {
        "latin with marks": any("À" <= c <= "ž" for c in names),
        "cyrillic": any("Ѐ" <= c <= "ӿ" for c in names),
        "devanagari": any("ऀ" <= c <= "ॿ" for c in names),
        "han": any("一" <= c <= "鿿" for c in names),
        "arabic": any("؀" <= c <= "ۿ" for c in names),
        "hebrew": any("֐" <= c <= "׿" for c in names),
        "hangul": any("가" <= c <= "힣" for c in names),
    }
    assert all(scripts.values()), scripts


def test_nobody_without_an_address_has_one(thousand: tuple[Person, ...]) -> None:
    assert all((p.email == "") == (p.kind is Kind.NO_EMAIL) for p in thousand)


def test_everybody_is_in_some_crm_and_older_than_what_they_did(thousand: tuple[Person, ...]) -> None:
    for p in thousand:
        assert p.hubspot or p.leads or p.contacts
        assert all(p.age > touch.age for touch in p.touches)


def test_duplicates_have_the_records_their_kind_says(thousand: tuple[Person, ...]) -> None:
    shapes = {kind: {(p.leads, p.contacts) for p in thousand if p.kind is kind} for kind in Kind}
    assert shapes[Kind.TWO_LEADS] == {(2, 0)}
    assert shapes[Kind.LEAD_BESIDE_CONTACT] == {(1, 1)}
    assert shapes[Kind.TWO_CONTACTS] == {(0, 2)}
    assert shapes[Kind.LEAD_ONLY] == {(1, 0)}


def test_a_campaign_is_joined_once(thousand: tuple[Person, ...]) -> None:
    """Salesforce refuses a second membership, so who attended a webinar is not also registered for it."""
    webinars = (TouchKind.WEBINAR_ATTENDED, TouchKind.WEBINAR_REGISTERED)
    for p in thousand:
        joined = [t.campaign for t in p.touches if t.kind in webinars]
        assert len(set(joined)) == len(joined)
        assert all(WEBINAR_AGES[t.campaign or 0] == t.age for t in p.touches if t.kind in webinars)


def test_most_are_cold_and_few_are_hot() -> None:
    people = [p for p in draw(4000, Random(3), reps=5) if p.kind is Kind.HUBSPOT_AND_LEAD]
    asked = [p for p in people if any(t.kind is TouchKind.DEMO and t.age < 30 for t in p.touches)]
    quiet = [p for p in people if all(t.age > 90 for t in p.touches)]
    assert 0.01 < len(asked) / len(people) < 0.08
    assert len(quiet) / len(people) > 0.5


def test_every_owner_case_occurs_and_most_people_belong_to_nobody(thousand: tuple[Person, ...]) -> None:
    cases = [p.owner for p in thousand]
    assert set(cases) == set(OwnerCase)
    assert cases.count(OwnerCase.NOBODY) > 500


@pytest.mark.parametrize("people", [100, 250, 1000])
def test_the_cast_is_complete_from_a_hundred_people_on(people: int) -> None:
    cast = {p.cast: p for p in draw(people, Random(people), reps=5) if p.cast}
    assert {"hot prospect", "owned prospect", "cold prospect", "webinar prospect", "hot student"} <= set(cast)
    hot = cast["hot prospect"]
    assert hot.hubspot
    assert hot.leads == 1
    assert [t.kind for t in hot.touches] == [TouchKind.DEMO]
