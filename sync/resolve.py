"""Who is who: which records of both CRMs are one person, and which one record of each CRM may be written.

Records belong together by an existing link, by an id that one CRM keeps of the other, or by sharing an e-mail address
(`resolve`). The answer does not depend on the order of the records, and asking again with the answer changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from connectors.records import Crm, RecordRef

__all__ = [
    "PEOPLE_OBJECTS",
    "Identity",
    "Link",
    "Method",
    "ResolvedPerson",
    "Role",
    "follow",
    "person_id",
    "precedence",
    "resolve",
]

PEOPLE_OBJECTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {Crm.HUBSPOT: ("contact",), Crm.SALESFORCE: ("contact", "lead"), Crm.FILE: ("person",)}
)
"""The objects that hold people. Of one CRM, the first that has a live record is the one written; of a file, none is."""

_RANK = {(crm, object): i for i, (crm, object) in enumerate((c, o) for c, os in PEOPLE_OBJECTS.items() for o in os)}


class Role(StrEnum):
    """What a record is to its person. Only a target is written; a gone record only passes its engagement on.

    ``READ``: a row of a file. It counts, nothing is ever written to it, and it rivals no record.
    """

    TARGET = "target"
    SHADOW = "shadow"
    READ = "read only"
    AMBIGUOUS = "ambiguous"
    GONE = "gone"


class Method(StrEnum):
    """What ties a record to its person, the strongest there is now.

    ``link``: nothing but that they were one before (an address changed since), or a merge or conversion.
    """

    ALONE = "alone"
    LINK = "link"
    CROSS_REFERENCE = "cross reference"
    EMAIL = "e-mail"


SURE = 1.0
SAME_PRIMARY_EMAIL = 0.95
SAME_OTHER_EMAIL = 0.9
AMBIGUOUS_EMAIL = 0.5
"""How sure it is that records are one person, by what ties them: ids are sure, addresses can be shared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A record, the person it belongs to, and why."""

    ref: RecordRef
    person_id: str
    role: Role
    method: Method
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What of a record decides who it is. ``emails`` normalised, primary first; ``link`` as it stands."""

    ref: RecordRef
    emails: tuple[str, ...] = ()
    cross_refs: tuple[RecordRef, ...] = ()
    gone: bool = False
    link: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPerson:
    """One person with all records. ``absorbed``: people who turned out to be this one.

    ambiguous  some CRM has two records that could be the one to write, so none of any CRM is
    """

    person_id: str
    links: tuple[Link, ...]
    ambiguous: bool
    absorbed: tuple[str, ...] = ()

    @property
    def live(self) -> tuple[Link, ...]:
        return tuple(link for link in self.links if link.role is not Role.GONE)


@lru_cache(maxsize=16_384)
def person_id(ref: RecordRef) -> str:
    """The name of a person, made from the record that comes first; the same on every machine."""
    digest = hashlib.sha256(f"{ref.crm},{ref.object},{ref.id}".encode()).digest()
    # 10 bytes are 16 letters.
    return base64.b32encode(digest[:10]).decode().lower()


def precedence(ref: RecordRef) -> tuple[int, int, str]:
    """HubSpot contact, Salesforce Contact, Lead, row of a file; of one object the smaller id (numbers as numbers)."""
    return _RANK.get((ref.crm, ref.object), len(_RANK)), len(ref.id), ref.id


def follow(ref: RecordRef, aliases: Mapping[RecordRef, RecordRef]) -> RecordRef:
    """Where a record's life goes on in the end. A circle ends before it closes."""
    seen = {ref}
    while (after := aliases.get(ref)) is not None and after not in seen:
        seen.add(after)
        ref = after
    return ref


def resolve(identities: Iterable[Identity], aliases: Mapping[RecordRef, RecordRef]) -> tuple[ResolvedPerson, ...]:
    """Group records into people and give each record its role.

    Parameters
    ----------
    identities: whole clusters: every record that shares a person, an address or a reference with one given is given
    aliases: merged or converted record -> where it went (a chain is followed)

    A gone record stays with its person, or goes with the record it moved to; one that has neither belongs to nobody.
    Where people become one, the id of the record that comes first (`precedence`) survives.
    """
    known = {identity.ref: identity for identity in sorted(identities, key=lambda i: i.ref)}
    groups = _Groups(known)
    for refs in _shared(known.values()):
        groups.join(refs)
    for identity in known.values():
        if not identity.gone:
            for ref in identity.cross_refs:
                groups.join((identity.ref, follow(ref, aliases)), live=True)
        elif (end := follow(identity.ref, aliases)) != identity.ref:
            groups.join((identity.ref, end), live=True)
    people = [_person(members, aliases) for members in groups.all()]
    return tuple(sorted((p for p in people if p is not None), key=lambda p: p.person_id))


def _shared(identities: Iterable[Identity]) -> Iterable[Sequence[RecordRef]]:
    """Records of one person, and live records of one address.

    A record without a link belongs to the person named after it, should there be one still.
    """
    same: dict[tuple[str, str], list[RecordRef]] = {}
    for identity in identities:
        if identity.link is not None or not identity.gone:
            name = identity.link.person_id if identity.link else person_id(identity.ref)
            same.setdefault(("person", name), []).append(identity.ref)
        if not identity.gone:
            for email in identity.emails:
                same.setdefault(("e-mail", email), []).append(identity.ref)
    return same.values()


class _Groups:
    """Disjoint sets of records."""

    def __init__(self, known: Mapping[RecordRef, Identity]) -> None:
        self._known = known
        self._parent = {ref: ref for ref in known}

    def _root(self, ref: RecordRef) -> RecordRef:
        while (parent := self._parent[ref]) != ref:
            self._parent[ref] = ref = self._parent[parent]
        return ref

    def join(self, refs: Sequence[RecordRef], *, live: bool = False) -> None:
        """Put these together. ``live``: only where the last one is known and live."""
        if live and (refs[-1] not in self._known or self._known[refs[-1]].gone):
            return
        first = self._root(refs[0])
        for ref in refs[1:]:
            self._parent[self._root(ref)] = first

    def all(self) -> Iterable[list[Identity]]:
        members: dict[RecordRef, list[Identity]] = {}
        for ref, identity in self._known.items():
            members.setdefault(self._root(ref), []).append(identity)
        return members.values()


def _person(members: Sequence[Identity], aliases: Mapping[RecordRef, RecordRef]) -> ResolvedPerson | None:
    live = sorted((m for m in members if not m.gone), key=lambda m: precedence(m.ref))
    linked = sorted((m for m in members if m.link), key=lambda m: (precedence(m.ref)[0], m.gone, precedence(m.ref)))
    links = [m.link for m in linked if m.link is not None]
    if not live and not links:
        return None
    name = links[0].person_id if links else person_id(live[0].ref)
    targets = _targets(live, name, aliases)
    roles = _roles(live, targets)
    ties = _ties(live, aliases, ambiguous=targets is None)
    out = [
        Link(ref=m.ref, person_id=name, role=roles[m.ref], method=ties[m.ref][0], confidence=ties[m.ref][1])
        for m in live
    ]
    out += [
        Link(ref=m.ref, person_id=name, role=Role.GONE, method=Method.LINK, confidence=SURE) for m in members if m.gone
    ]
    return ResolvedPerson(
        person_id=name,
        links=tuple(sorted(out, key=lambda link: precedence(link.ref))),
        ambiguous=targets is None,
        absorbed=tuple(sorted({link.person_id for link in links} - {name})),
    )


def _targets(
    live: Sequence[Identity], name: str, aliases: Mapping[RecordRef, RecordRef]
) -> frozenset[RecordRef] | None:
    """The one record of each CRM that may be written; None when a CRM has several and nothing tells which."""
    named = {follow(ref, aliases) for m in live for ref in m.cross_refs}
    targets = set()
    for crm, objects in PEOPLE_OBJECTS.items():
        of_crm = [m for m in live if m.ref.crm == crm and m.ref.crm.writable]
        rivals = next((found for o in objects if (found := [m for m in of_crm if m.ref.object == o])), [])
        if not rivals:
            continue
        was_target = [m for m in rivals if m.link and m.link.role is Role.TARGET]
        choices = (
            rivals,
            [m for m in was_target if m.link and m.link.person_id == name],
            was_target,
            [m for m in rivals if m.ref in named],
        )
        chosen = next((c[0] for c in choices if len(c) == 1), None)
        if chosen is None:
            return None
        targets.add(chosen.ref)
    return frozenset(targets)


def _roles(live: Sequence[Identity], targets: frozenset[RecordRef] | None) -> dict[RecordRef, Role]:
    roles = {m.ref: Role.READ for m in live if not m.ref.crm.writable}
    written = [m.ref for m in live if m.ref not in roles]
    if targets is None:
        return roles | dict.fromkeys(written, Role.AMBIGUOUS)
    return roles | {ref: Role.TARGET if ref in targets else Role.SHADOW for ref in written}


def _ties(
    live: Sequence[Identity], aliases: Mapping[RecordRef, RecordRef], *, ambiguous: bool
) -> dict[RecordRef, tuple[Method, float]]:
    if len(live) == 1:
        return {live[0].ref: (Method.ALONE, SURE)}
    refs = {m.ref for m in live}
    pairs = [(m.ref, follow(ref, aliases)) for m in live for ref in m.cross_refs]
    crossed = {ref for pair in pairs if pair[1] in refs and pair[0] != pair[1] for ref in pair}
    holders: dict[str, int] = {}
    primaries: dict[str, int] = {}
    for m in live:
        for email in dict.fromkeys(m.emails):
            holders[email] = holders.get(email, 0) + 1
        for email in m.emails[:1]:
            primaries[email] = primaries.get(email, 0) + 1
    ties: dict[RecordRef, tuple[Method, float]] = {}
    for m in live:
        if m.ref in crossed:
            ties[m.ref] = (Method.CROSS_REFERENCE, SURE)
        elif any(holders[email] > 1 for email in m.emails):
            same_primary = any(primaries[email] > 1 for email in m.emails[:1])
            sure = SAME_PRIMARY_EMAIL if same_primary else SAME_OTHER_EMAIL
            ties[m.ref] = (Method.EMAIL, AMBIGUOUS_EMAIL if ambiguous else sure)
        else:
            # Only the past holds it here: as sure as it was then.
            before = m.link.confidence if m.link is not None else SURE
            ties[m.ref] = (Method.LINK, before)
    return ties
