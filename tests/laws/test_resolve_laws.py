"""What holds of resolving whatever the records are."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from connectors.records import RecordRef
from sync.resolve import Identity, ResolvedPerson, Role, resolve
from tests.support.made import contact, lead, sf_contact

REFS = [make(n) for make in (contact, sf_contact, lead) for n in range(1, 4)]
ADDRESSES = ["a@x.com", "b@x.com", "c@x.com", "d@x.com"]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Identity], dict[RecordRef, RecordRef]]:
    """Some records with few addresses, references and moves between them, part of it already linked."""
    refs = draw(st.lists(st.sampled_from(REFS), unique=True, min_size=1))
    identities = [
        Identity(
            ref=ref,
            emails=tuple(draw(st.lists(st.sampled_from(ADDRESSES), unique=True, max_size=2))),
            cross_refs=tuple(draw(st.lists(st.sampled_from(REFS), unique=True, max_size=1))),
            gone=draw(st.booleans()) and draw(st.booleans()),
        )
        for ref in refs
    ]
    before = {link.ref: link for person in resolve(identities, {}) for link in person.links}
    aliases: dict[RecordRef, RecordRef] = {}
    later: list[Identity] = []
    for identity in identities:
        dies = draw(st.booleans()) and draw(st.booleans())
        if (identity.gone or dies) and draw(st.booleans()):
            aliases[identity.ref] = draw(st.sampled_from([r for r in REFS if r != identity.ref]))
        later.append(
            replace(
                identity,
                emails=tuple(draw(st.lists(st.sampled_from(ADDRESSES), unique=True, max_size=2))),
                gone=identity.gone or dies,
                link=before.get(identity.ref) if draw(st.booleans()) else None,
            )
        )
    return later, aliases


def with_answer(identities: list[Identity], people: tuple[ResolvedPerson, ...]) -> list[Identity]:
    links = {link.ref: link for person in people for link in person.links}
    return [replace(identity, link=links.get(identity.ref)) for identity in identities]


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(
    world: tuple[list[Identity], dict[RecordRef, RecordRef]], random: object
) -> None:
    identities, aliases = world
    shuffled = list(identities)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert resolve(shuffled, aliases) == resolve(identities, aliases)


@given(worlds())
def test_resolving_twice_changes_nothing(world: tuple[list[Identity], dict[RecordRef, RecordRef]]) -> None:
    identities, aliases = world
    first = resolve(identities, aliases)
    again = resolve(with_answer(identities, first), aliases)
    assert [(p.person_id, p.links, p.ambiguous) for p in again] == [(p.person_id, p.links, p.ambiguous) for p in first]
    assert all(p.absorbed == () for p in again)


@given(worlds())
def test_every_live_record_belongs_to_exactly_one_person(
    world: tuple[list[Identity], dict[RecordRef, RecordRef]],
) -> None:
    identities, aliases = world
    people = resolve(identities, aliases)
    linked = [link.ref for person in people for link in person.live]
    assert sorted(linked) == sorted(i.ref for i in identities if not i.gone)
    names = [person.person_id for person in people]
    assert len(names) == len(set(names))
    assert all(link.person_id == person.person_id for person in people for link in person.links)


@given(worlds())
def test_no_crm_has_two_records_to_write_and_an_ambiguous_person_none(
    world: tuple[list[Identity], dict[RecordRef, RecordRef]],
) -> None:
    identities, aliases = world
    for person in resolve(identities, aliases):
        targets = [link.ref.crm for link in person.links if link.role is Role.TARGET]
        assert len(targets) == len(set(targets))
        if person.ambiguous:
            assert targets == []
        else:
            assert set(targets) == {link.ref.crm for link in person.live}


@given(worlds())
def test_nobody_disappears(world: tuple[list[Identity], dict[RecordRef, RecordRef]]) -> None:
    """Every person there was is there still, or was absorbed by one who is."""
    identities, aliases = world
    people = resolve(identities, aliases)
    before = {identity.link.person_id for identity in identities if identity.link}
    now = {p.person_id for p in people} | {name for p in people for name in p.absorbed}
    assert before <= now
