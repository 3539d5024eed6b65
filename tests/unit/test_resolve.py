"""Who is who, case by case (DECISIONS 1 to 3)."""

from __future__ import annotations

import pytest

from connectors.records import RecordRef
from sync.resolve import Identity, Link, Method, ResolvedPerson, Role, follow, person_id, precedence, resolve
from tests.support.made import contact, lead, sf_contact

H1, H2 = contact(1), contact(2)
C1, C2 = sf_contact(1), sf_contact(2)
L1, L2 = lead(1), lead(2)


def rec(
    ref: RecordRef, *emails: str, names: tuple[RecordRef, ...] = (), gone: bool = False, **linked: object
) -> Identity:
    link = None
    if linked:
        link = Link(
            ref=ref,
            person_id=str(linked["person"]),
            role=Role(str(linked.get("role", "target"))),
            method=Method(str(linked.get("method", "alone"))),
            confidence=float(str(linked.get("sure", 1.0))),
        )
    return Identity(ref=ref, emails=emails, cross_refs=names, gone=gone, link=link)


def roles(person: ResolvedPerson) -> dict[RecordRef, Role]:
    return {link.ref: link.role for link in person.links}


def one(*identities: Identity, aliases: dict[RecordRef, RecordRef] | None = None) -> ResolvedPerson:
    (person,) = resolve(identities, aliases or {})
    return person


def test_records_of_one_address_are_one_person_named_after_the_hubspot_contact() -> None:
    person = one(rec(L1, "a@x.com"), rec(C1, "a@x.com"), rec(H1, "a@x.com"))
    assert person.person_id == person_id(H1)
    assert roles(person) == {H1: Role.TARGET, C1: Role.TARGET, L1: Role.SHADOW}
    assert not person.ambiguous


def test_person_ids_are_the_same_on_every_machine() -> None:
    assert person_id(H1) == "nymecensj7sfd7jn"
    assert person_id(C1) != person_id(L1) != person_id(contact("1 "))


def test_records_without_an_address_are_never_matched() -> None:
    assert [p.person_id for p in resolve([rec(H1), rec(C1), rec(L1)], {})] == sorted(map(person_id, (H1, C1, L1)))


def test_a_secondary_address_counts() -> None:
    person = one(rec(H1, "new@x.com", "old@x.com"), rec(C1, "old@x.com"))
    assert [(link.method, link.confidence) for link in person.links] == [(Method.EMAIL, 0.9)] * 2


def test_an_address_that_is_primary_on_both_sides_is_surer() -> None:
    person = one(rec(H1, "a@x.com"), rec(C1, "a@x.com"))
    assert [(link.method, link.confidence) for link in person.links] == [(Method.EMAIL, 0.95)] * 2


def test_an_id_that_one_crm_keeps_of_the_other_is_sure() -> None:
    person = one(rec(H1, "a@x.com", names=(C1,)), rec(C1, "b@y.com"))
    assert [(link.method, link.confidence) for link in person.links] == [(Method.CROSS_REFERENCE, 1.0)] * 2


def test_an_id_of_a_record_never_read_ties_nothing() -> None:
    assert one(rec(H1, names=(C1,))).links[0].method is Method.ALONE


@pytest.mark.parametrize("rivals", [(C1, C2), (L1, L2)])
def test_two_that_could_be_written_make_everybody_ambiguous(rivals: tuple[RecordRef, RecordRef]) -> None:
    person = one(rec(H1, "a@x.com"), *(rec(r, "a@x.com") for r in rivals))
    assert person.ambiguous
    assert set(roles(person).values()) == {Role.AMBIGUOUS}
    assert {link.confidence for link in person.links} == {0.5}


def test_two_hubspot_contacts_of_one_person_are_ambiguous_too() -> None:
    assert one(rec(H1, "a@x.com"), rec(H2, "b@x.com", "a@x.com")).ambiguous


def test_several_leads_beside_one_contact_are_shadows() -> None:
    person = one(rec(C1, "a@x.com"), rec(L1, "a@x.com"), rec(L2, "a@x.com"))
    assert roles(person) == {C1: Role.TARGET, L1: Role.SHADOW, L2: Role.SHADOW}


def test_a_record_that_was_written_before_stays_the_one_to_write() -> None:
    person = one(rec(C1, "a@x.com", person="p"), rec(C2, "a@x.com"))
    assert roles(person) == {C1: Role.TARGET, C2: Role.SHADOW}
    assert person.person_id == "p"


def test_a_record_that_the_other_crm_names_is_the_one_to_write() -> None:
    person = one(rec(H1, "a@x.com", names=(C2,)), rec(C1, "a@x.com"), rec(C2, "a@x.com"))
    assert roles(person) == {H1: Role.TARGET, C1: Role.SHADOW, C2: Role.TARGET}


def test_a_linked_lead_gives_way_to_a_contact() -> None:
    person = one(rec(L1, "a@x.com", person="p"), rec(C1, "a@x.com"))
    assert roles(person) == {C1: Role.TARGET, L1: Role.SHADOW}


def test_two_contacts_are_ambiguous_even_beside_a_linked_lead() -> None:
    assert one(rec(L1, "a@x.com", person="p"), rec(C1, "a@x.com"), rec(C2, "a@x.com")).ambiguous


def test_a_changed_address_keeps_the_link() -> None:
    person = one(rec(H1, "a@x.com", person="p"), rec(C1, "b@y.com", person="p", method="e-mail", sure=0.95))
    assert roles(person) == {H1: Role.TARGET, C1: Role.TARGET}
    assert [(link.method, link.confidence) for link in person.links] == [(Method.LINK, 1.0), (Method.LINK, 0.95)]


def test_people_who_become_one_keep_the_id_that_comes_first() -> None:
    person = one(rec(C1, "a@x.com", person="older?"), rec(H1, "a@x.com", person="from hubspot"))
    assert person.person_id == "from hubspot"
    assert person.absorbed == ("older?",)


def test_people_who_become_one_keep_the_survivors_record_to_write() -> None:
    person = one(rec(C1, "a@x.com", person="q"), rec(H1, "a@x.com", person="p"), rec(C2, "z@z.com", person="p"))
    assert roles(person) == {H1: Role.TARGET, C2: Role.TARGET, C1: Role.SHADOW}


def test_conversion_moves_the_link_from_the_lead_to_the_contact() -> None:
    person = one(rec(L1, "a@x.com", gone=True, person="p"), rec(C1, "a@x.com"), aliases={L1: C1})
    assert person.person_id == "p"
    assert roles(person) == {L1: Role.GONE, C1: Role.TARGET}


def test_conversion_into_a_known_contact_makes_one_person_of_two() -> None:
    person = one(rec(L1, gone=True, person="lead's"), rec(C1, "a@x.com", person="contact's"), aliases={L1: C1})
    assert (person.person_id, person.absorbed) == ("contact's", ("lead's",))


def test_a_chain_of_merges_is_followed_to_its_end() -> None:
    person = one(rec(contact(9), person="p", gone=True), rec(H1), aliases={contact(9): H2, H2: H1})
    assert roles(person) == {H1: Role.TARGET, contact(9): Role.GONE}


def test_a_merge_into_a_new_id_keeps_the_person() -> None:
    person = one(
        rec(H1, "a@x.com", gone=True, person="p1"),
        rec(H2, "b@x.com", gone=True, person="p2"),
        rec(contact(3), "a@x.com", "b@x.com"),
        aliases={H1: contact(3), H2: contact(3)},
    )
    assert (person.person_id, person.absorbed) == ("p1", ("p2",))
    assert roles(person)[contact(3)] is Role.TARGET


def test_a_deleted_record_stays_with_its_person_and_is_never_written() -> None:
    person = one(rec(H1, "a@x.com", person="p"), rec(C1, "a@x.com", gone=True, person="p"))
    assert roles(person) == {H1: Role.TARGET, C1: Role.GONE}
    assert person.links[0].method is Method.ALONE


def test_a_deleted_records_address_matches_nobody() -> None:
    people = resolve([rec(H1, "a@x.com"), rec(C1, "a@x.com", gone=True, person="p")], {})
    assert len(people) == 2


def test_a_deleted_record_that_never_had_a_person_gets_none() -> None:
    assert resolve([rec(H1, "a@x.com", gone=True)], {}) == ()


def test_the_duplicate_takes_over_when_the_written_record_is_deleted() -> None:
    person = one(rec(C1, "a@x.com", gone=True, person="p"), rec(L1, "a@x.com", person="p", role="shadow"))
    assert roles(person) == {L1: Role.TARGET, C1: Role.GONE}


def test_merging_the_duplicates_in_the_crm_ends_the_ambiguity() -> None:
    before = one(rec(C1, "a@x.com"), rec(C2, "a@x.com"))
    links = {link.ref: link for link in before.links}
    person = one(
        Identity(ref=C1, emails=("a@x.com",), link=links[C1]),
        Identity(ref=C2, emails=("a@x.com",), gone=True, link=links[C2]),
        aliases={C2: C1},
    )
    assert not person.ambiguous
    assert roles(person) == {C1: Role.TARGET, C2: Role.GONE}


def test_a_circle_of_aliases_ends() -> None:
    assert follow(H1, {H1: H2, H2: H1}) == H2


def test_precedence_reads_hubspot_ids_as_numbers() -> None:
    assert sorted([contact(10), contact(9), L1, C1], key=precedence) == [contact(9), contact(10), C1, L1]
