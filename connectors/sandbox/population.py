"""Drawing the sandbox's people: who they are and what they did, before any CRM knows them.

A pure function of the seed. Time is only ages in days here; `connectors.sandbox.people` puts them on the calendar and
into the CRMs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import TypeVar

from connectors.sandbox.names import (
    COMPANY_ENDINGS,
    COMPANY_WORDS,
    INDUSTRIES,
    PLACES,
    PRIVATE_MAILBOXES,
    RIVALS,
    SIZES,
    STUDENT_TITLES,
    TITLES,
    Industry,
    Place,
)

__all__ = [
    "CONFERENCE_AGES",
    "MAILING_AGES",
    "SHARES",
    "WEBINAR_AGES",
    "Company",
    "CompanyRole",
    "Kind",
    "OwnerCase",
    "Person",
    "Touch",
    "TouchKind",
    "Traffic",
    "draw",
]

T = TypeVar("T")


class Kind(StrEnum):
    """What is special about a person: the one reason they are in the sandbox."""

    HUBSPOT_ONLY = "hubspot only"
    LEAD_ONLY = "lead only"
    CONTACT_ONLY = "contact only"
    HUBSPOT_AND_LEAD = "hubspot and lead"
    HUBSPOT_AND_CONTACT = "hubspot and contact"
    TWO_LEADS = "two leads"
    LEAD_BESIDE_CONTACT = "lead beside contact"
    TWO_CONTACTS = "two contacts"
    CONVERTED_LEAD = "converted lead"
    DELETED_LEAD = "deleted lead"
    ARCHIVED_IN_HUBSPOT = "archived in hubspot"
    CUSTOMER = "customer"
    OPEN_OPPORTUNITY = "open opportunity"
    WITH_SALES = "with sales"
    COMPETITOR = "competitor"
    STUDENT = "student"
    UNSUBSCRIBED = "unsubscribed"
    HARD_BOUNCED = "hard bounced"
    NO_EMAIL = "no email"


SHARES: Mapping[Kind, int] = {
    Kind.HUBSPOT_ONLY: 250,
    Kind.LEAD_ONLY: 130,
    Kind.CONTACT_ONLY: 70,
    Kind.HUBSPOT_AND_LEAD: 230,
    Kind.HUBSPOT_AND_CONTACT: 110,
    Kind.TWO_LEADS: 12,
    Kind.LEAD_BESIDE_CONTACT: 14,
    Kind.TWO_CONTACTS: 8,
    Kind.CONVERTED_LEAD: 26,
    Kind.DELETED_LEAD: 10,
    Kind.ARCHIVED_IN_HUBSPOT: 10,
    Kind.CUSTOMER: 30,
    Kind.OPEN_OPPORTUNITY: 20,
    Kind.WITH_SALES: 12,
    Kind.COMPETITOR: 8,
    Kind.STUDENT: 18,
    Kind.UNSUBSCRIBED: 22,
    Kind.HARD_BOUNCED: 12,
    Kind.NO_EMAIL: 8,
}
"""People of each kind in a thousand."""


class OwnerCase(StrEnum):
    """Who owns the person's records before mqlsync comes."""

    NOBODY = "nobody"
    REP_IN_BOTH = "a rep in both"
    REP_IN_HUBSPOT = "a rep in hubspot"
    REP_IN_SALESFORCE = "a rep in salesforce"
    REPS_DIFFER = "a different rep in each"
    INACTIVE = "somebody who left"
    INTEGRATION = "the integration user"
    NOT_IN_TEAM = "an active user outside the team"
    HUBSPOT_ONLY = "a hubspot user unknown to salesforce"


_OWNER_WEIGHTS = (
    (OwnerCase.NOBODY, 60), (OwnerCase.REP_IN_BOTH, 19), (OwnerCase.REP_IN_HUBSPOT, 4),
    (OwnerCase.REP_IN_SALESFORCE, 5), (OwnerCase.REPS_DIFFER, 1), (OwnerCase.INACTIVE, 4), (OwnerCase.INTEGRATION, 3),
    (OwnerCase.NOT_IN_TEAM, 3), (OwnerCase.HUBSPOT_ONLY, 1),
)  # fmt: skip


class TouchKind(StrEnum):
    DEMO = "asked for a demo"
    CONTACT_SALES = "asked to talk to sales"
    GUIDE = "downloaded the guide"
    NEWSLETTER = "took the newsletter"
    WEBINAR_ATTENDED = "attended a webinar"
    WEBINAR_REGISTERED = "registered for a webinar"
    CONFERENCE = "came to a conference"
    MAILING_SENT = "was sent a mailing"
    MAILING_ANSWERED = "answered a mailing"
    CALL_INBOUND = "called"
    CALL_CONNECTED = "took a call"
    CALL_MISSED = "missed a call"
    MEETING = "met a rep"
    TASK_OPEN = "has a call planned"


WEBINAR_AGES = (5, 19, 33, 61, 110, 190, 300)
CONFERENCE_AGES = (24, 140, 380)
MAILING_AGES = (12, 75, 200)
"""Days since the campaigns took place. A touch of a campaign names it by its index here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """One thing a person did, ``age`` days ago. ``campaign`` is an index into the ages of its sort of campaign."""

    kind: TouchKind
    age: int
    campaign: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """HubSpot's totals for one contact, with days since the last of each (None: never)."""

    pages: int = 0
    visits: int = 0
    visit_age: int | None = None
    clicks: int = 0
    click_age: int | None = None
    social: int = 0
    social_age: int | None = None


class CompanyRole(StrEnum):
    PLAIN = "plain"
    CUSTOMER = "customer"
    IN_TALKS = "in talks"
    RIVAL = "rival"


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """``owner``: index of the rep who has the account, None for nobody."""

    number: int
    name: str
    domain: str
    role: CompanyRole
    place: Place
    employees: int | None
    industry: Industry | None
    owner: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One human being.

    email     as most people would write it, "" for none
    shouting  Salesforce has the address in mixed case
    company   None for private people without one
    country   as a CRM spells it, None when nobody asked
    hubspot, leads, contacts  how many records there are, before a kind's own mishap (conversion, deletion)
    rep       index of the rep for the owner cases that need one
    age       days since the first record was made
    """

    number: int
    kind: Kind
    first: str
    last: str
    email: str
    shouting: bool
    title: str | None
    phone: str | None
    country: str | None
    city: str
    company: Company | None
    hubspot: bool
    leads: int
    contacts: int
    owner: OwnerCase
    rep: int
    age: int
    touches: tuple[Touch, ...]
    traffic: Traffic
    cast: str | None = None


def quotas(people: int) -> dict[Kind, int]:
    """How many people of each kind: exact shares by largest remainder, and one of each once there is room for all."""
    total = sum(SHARES.values())
    counts = {kind: people * share // total for kind, share in SHARES.items()}
    by_remainder = sorted(SHARES, key=lambda kind: -(people * SHARES[kind] % total))
    for kind in by_remainder[: people - sum(counts.values())]:
        counts[kind] += 1
    if people >= 2 * len(SHARES):
        for kind in SHARES:
            if not counts[kind]:
                counts[max(counts, key=lambda k: counts[k])] -= 1
                counts[kind] = 1
    return counts


def draw(people: int, rng: Random, reps: int) -> tuple[Person, ...]:
    """So many people, in the order of their numbers; ``reps`` is how many reps there are to own them."""
    kinds = [kind for kind, count in quotas(people).items() for _ in range(count)]
    rng.shuffle(kinds)
    companies = _companies(people, rng, reps)
    drawn = [_person(number, kind, companies, rng, reps) for number, kind in enumerate(kinds, start=1)]
    if people >= 100:
        _give_parts(drawn, companies)
    return tuple(drawn)


# -- companies


def _pick(rng: Random, weighted: Sequence[tuple[T, int]]) -> T:
    return rng.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


def _companies(people: int, rng: Random, reps: int) -> Mapping[CompanyRole, Sequence[Company]]:
    """Companies by role. The first plain one is where the cast works: of the right size, trade and country."""
    counts = {
        CompanyRole.PLAIN: max(8, people // 6),
        CompanyRole.CUSTOMER: max(1, people // 60),
        CompanyRole.IN_TALKS: max(1, people // 80),
    }
    made: dict[CompanyRole, list[Company]] = {}
    number = 0
    for role, count in counts.items():
        for _ in range(count):
            number += 1
            made.setdefault(role, []).append(_company(number, role, rng, reps))
    made[CompanyRole.PLAIN][0] = replace(
        made[CompanyRole.PLAIN][0], employees=420, industry=INDUSTRIES[0], place=PLACES[0], owner=None
    )
    rivals = [
        replace(_company(number + i, CompanyRole.RIVAL, rng, reps), name=name, domain=domain, owner=None)
        for i, (name, domain) in enumerate(RIVALS, start=1)
    ]
    return made | {CompanyRole.RIVAL: rivals}


def _company(number: int, role: CompanyRole, rng: Random, reps: int) -> Company:
    word, ending = rng.choice(COMPANY_WORDS), rng.choice(COMPANY_ENDINGS)
    middle = _pick(rng, SIZES)
    place = rng.choices(PLACES, [place.weight for place in PLACES])[0]
    return Company(
        number=number,
        name=f"{word} {ending} {number}",
        domain=f"{word}-{ending}-{number}.example".lower(),
        role=role,
        place=place,
        employees=None if rng.random() < 0.1 else max(1, round(middle * rng.uniform(0.7, 1.4))),
        industry=None if rng.random() < 0.08 else rng.choices(INDUSTRIES, [one.weight for one in INDUSTRIES])[0],
        owner=rng.randrange(reps) if rng.random() < 0.15 else None,
    )


# -- people

_SIMPLE_SHAPES = ((True, 0, 0), (True, 1, 0), (True, 0, 1))
_SHAPES: Mapping[Kind, Sequence[tuple[bool, int, int]]] = {
    Kind.HUBSPOT_ONLY: ((True, 0, 0),),
    Kind.LEAD_ONLY: ((False, 1, 0),),
    Kind.CONTACT_ONLY: ((False, 0, 1),),
    Kind.HUBSPOT_AND_LEAD: ((True, 1, 0),),
    Kind.HUBSPOT_AND_CONTACT: ((True, 0, 1),),
    Kind.TWO_LEADS: ((True, 2, 0), (False, 2, 0)),
    Kind.LEAD_BESIDE_CONTACT: ((True, 1, 1), (False, 1, 1)),
    Kind.TWO_CONTACTS: ((True, 0, 2), (False, 0, 2)),
    Kind.CONVERTED_LEAD: ((True, 1, 0), (False, 1, 0)),
    Kind.DELETED_LEAD: ((True, 1, 0),),
    Kind.ARCHIVED_IN_HUBSPOT: ((True, 0, 0), (True, 1, 0)),
    Kind.CUSTOMER: ((True, 0, 0), (True, 0, 1), (False, 0, 1)),
    Kind.OPEN_OPPORTUNITY: ((True, 0, 0), (True, 0, 1), (False, 0, 1)),
    Kind.WITH_SALES: ((True, 0, 0), (True, 0, 1)),
    Kind.NO_EMAIL: ((True, 0, 0), (False, 1, 0), (False, 0, 1)),
}
"""HubSpot contact or not, Leads, Contacts: one of these for each kind; kinds not named have a simple shape."""

_ROLES: Mapping[Kind, CompanyRole] = {
    Kind.CUSTOMER: CompanyRole.CUSTOMER,
    Kind.OPEN_OPPORTUNITY: CompanyRole.IN_TALKS,
    Kind.COMPETITOR: CompanyRole.RIVAL,
}


def _person(
    number: int, kind: Kind, companies: Mapping[CompanyRole, Sequence[Company]], rng: Random, reps: int
) -> Person:
    hubspot, leads, contacts = rng.choice(_SHAPES.get(kind, _SIMPLE_SHAPES))
    company: Company = rng.choice(companies[_ROLES.get(kind, CompanyRole.PLAIN)])
    private = kind not in _ROLES and rng.random() < 0.14
    # three of four work where their company sits
    place = company.place if rng.random() < 0.75 else rng.choices(PLACES, [one.weight for one in PLACES])[0]
    given, family = rng.choice(place.given), rng.choice(place.family)
    domain = rng.choice(PRIVATE_MAILBOXES) if private else _mail_domain(company, rng)
    touches, traffic = _history(_warmth(kind, rng), rng)
    oldest = max([0, *(touch.age for touch in touches), *(a for a in (traffic.visit_age, traffic.click_age) if a)])
    return Person(
        number=number,
        kind=kind,
        first=given.text,
        last=family.text.replace("_", " "),
        email="" if kind is Kind.NO_EMAIL else f"{given.latin}.{family.latin}.{number}@{domain}",
        shouting=rng.random() < 0.12,
        title=_title(kind, rng),
        phone=_phone(place, rng),
        country=rng.choice(place.spellings) if rng.random() > 0.07 else None,
        city=rng.choice(place.cities),
        company=None if private and not contacts and rng.random() < 0.6 else company,
        hubspot=hubspot,
        leads=leads,
        contacts=contacts,
        owner=_pick(rng, _OWNER_WEIGHTS),
        rep=rng.randrange(reps),
        age=oldest + 1 + rng.randrange(400),
        touches=touches,
        traffic=traffic,
    )


def _mail_domain(company: Company, rng: Random) -> str:
    """Large companies use subdomains now and then."""
    return f"mail.{company.domain}" if (company.employees or 0) > 1000 and rng.random() < 0.3 else company.domain


def _title(kind: Kind, rng: Random) -> str | None:
    if kind is Kind.STUDENT:
        return rng.choice(STUDENT_TITLES)
    return None if rng.random() < 0.08 else _pick(rng, TITLES)


def _phone(place: Place, rng: Random) -> str | None:
    chance = rng.random()
    if chance < 0.45:
        return None
    if chance < 0.48:
        return "12345"
    return "".join(str(rng.randrange(10)) if sign == "#" else sign for sign in place.phone)


# -- what they did


class _Warmth(StrEnum):
    HOT = "hot"
    WARM = "warm"
    LUKEWARM = "lukewarm"
    COLD = "cold"
    NONE = "none"


_ORDINARY = ((_Warmth.HOT, 8), (_Warmth.WARM, 12), (_Warmth.LUKEWARM, 26), (_Warmth.COLD, 36), (_Warmth.NONE, 18))
_REMARKABLE = ((_Warmth.HOT, 35), (_Warmth.WARM, 25), (_Warmth.LUKEWARM, 20), (_Warmth.COLD, 20))
_HELD_BACK = frozenset(
    {Kind.CUSTOMER, Kind.OPEN_OPPORTUNITY, Kind.WITH_SALES, Kind.COMPETITOR, Kind.STUDENT, Kind.UNSUBSCRIBED}
)
"""Kinds that no interest, however great, makes an MQL. Many of them are hot, so that it shows."""


def _warmth(kind: Kind, rng: Random) -> _Warmth:
    return _pick(rng, _REMARKABLE if kind in _HELD_BACK else _ORDINARY)


@dataclass(frozen=True, slots=True)
class _Habit:
    """How a warmth behaves: touches lie ``youngest`` to ``oldest`` days back, each kind with its chance."""

    youngest: int
    oldest: int
    chances: Mapping[TouchKind, float]
    visits: tuple[int, int]
    clicks: tuple[int, int]


_HABITS: Mapping[_Warmth, _Habit] = {
    _Warmth.HOT: _Habit(
        0, 14,
        {TouchKind.DEMO: 0.5, TouchKind.CONTACT_SALES: 0.35, TouchKind.GUIDE: 0.5, TouchKind.NEWSLETTER: 0.2,
         TouchKind.WEBINAR_ATTENDED: 0.55, TouchKind.CALL_INBOUND: 0.3, TouchKind.MEETING: 0.3,
         TouchKind.CONFERENCE: 0.2},
        (4, 20), (1, 8),
    ),
    _Warmth.WARM: _Habit(
        4, 50,
        {TouchKind.DEMO: 0.08, TouchKind.CONTACT_SALES: 0.08, TouchKind.GUIDE: 0.4, TouchKind.NEWSLETTER: 0.3,
         TouchKind.WEBINAR_REGISTERED: 0.3, TouchKind.WEBINAR_ATTENDED: 0.35, TouchKind.CONFERENCE: 0.15,
         TouchKind.CALL_CONNECTED: 0.2, TouchKind.MAILING_ANSWERED: 0.2, TouchKind.TASK_OPEN: 0.1},
        (2, 9), (0, 5),
    ),
    _Warmth.LUKEWARM: _Habit(
        40, 180,
        {TouchKind.DEMO: 0.02, TouchKind.GUIDE: 0.3, TouchKind.NEWSLETTER: 0.35, TouchKind.WEBINAR_REGISTERED: 0.3,
         TouchKind.WEBINAR_ATTENDED: 0.1, TouchKind.CONFERENCE: 0.1, TouchKind.MAILING_SENT: 0.4,
         TouchKind.CALL_MISSED: 0.15, TouchKind.TASK_OPEN: 0.05},
        (1, 5), (0, 3),
    ),
    _Warmth.COLD: _Habit(
        130, 700,
        {TouchKind.DEMO: 0.02, TouchKind.GUIDE: 0.12, TouchKind.NEWSLETTER: 0.25, TouchKind.MAILING_SENT: 0.4,
         TouchKind.WEBINAR_REGISTERED: 0.1, TouchKind.CALL_MISSED: 0.1, TouchKind.CONFERENCE: 0.06},
        (0, 3), (0, 1),
    ),
}  # fmt: skip

_CAMPAIGNS: Mapping[TouchKind, tuple[int, ...]] = {
    TouchKind.WEBINAR_ATTENDED: WEBINAR_AGES,
    TouchKind.WEBINAR_REGISTERED: WEBINAR_AGES,
    TouchKind.CONFERENCE: CONFERENCE_AGES,
    TouchKind.MAILING_SENT: MAILING_AGES,
    TouchKind.MAILING_ANSWERED: MAILING_AGES,
}


def _history(warmth: _Warmth, rng: Random) -> tuple[tuple[Touch, ...], Traffic]:
    if warmth is _Warmth.NONE:
        return (), Traffic()
    habit = _HABITS[warmth]
    touches = [_touch(kind, habit, rng) for kind, chance in habit.chances.items() if rng.random() < chance]
    visits = rng.randint(*habit.visits)
    clicks = rng.randint(*habit.clicks)
    social = rng.randint(1, 6) if rng.random() < 0.1 else 0

    def age() -> int:
        return rng.randint(habit.youngest, habit.oldest)

    traffic = Traffic(
        pages=visits * rng.randint(1, 6),
        visits=visits,
        visit_age=age() if visits else None,
        clicks=clicks,
        click_age=age() if clicks else None,
        social=social,
        social_age=age() if social else None,
    )
    # one membership a campaign: who attended had registered before
    once = {(_CAMPAIGNS.get(touch.kind, touch.kind), touch.campaign): touch for touch in touches}
    return tuple(once.values()), traffic


def _touch(kind: TouchKind, habit: _Habit, rng: Random) -> Touch:
    """A campaign touch takes the campaign nearest to the age that was drawn, and its day."""
    age = rng.randint(habit.youngest, habit.oldest)
    ages = _CAMPAIGNS.get(kind)
    if ages is None:
        return Touch(kind=kind, age=age)
    campaign = min(range(len(ages)), key=lambda i: abs(ages[i] - age))
    return Touch(kind=kind, age=ages[campaign], campaign=campaign)


# -- the fixed cast


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A named person for tests and the demo: a good company, a good title, and this history and owner."""

    name: str
    kind: Kind
    touches: tuple[Touch, ...] = (Touch(kind=TouchKind.DEMO, age=1),)
    traffic: Traffic = Traffic(pages=14, visits=5, visit_age=1)
    owner: OwnerCase = OwnerCase.NOBODY
    title: str = "VP of Sales"


_CAST = (
    _Part(name="hot prospect", kind=Kind.HUBSPOT_AND_LEAD),
    _Part(name="owned prospect", kind=Kind.HUBSPOT_AND_LEAD, owner=OwnerCase.REP_IN_BOTH),
    _Part(name="left-behind prospect", kind=Kind.HUBSPOT_AND_CONTACT, owner=OwnerCase.INACTIVE),
    _Part(name="hubspot prospect", kind=Kind.HUBSPOT_ONLY),
    _Part(
        name="webinar prospect",
        kind=Kind.LEAD_ONLY,
        touches=tuple(
            Touch(kind=TouchKind.WEBINAR_ATTENDED, age=age, campaign=i) for i, age in enumerate(WEBINAR_AGES[:3])
        ),
    ),
    _Part(name="cold prospect", kind=Kind.HUBSPOT_AND_LEAD, touches=(), traffic=Traffic()),
    _Part(name="hot duplicate", kind=Kind.TWO_CONTACTS),
    _Part(name="hot student", kind=Kind.STUDENT, title="Student"),
)


def _give_parts(drawn: list[Person], companies: Mapping[CompanyRole, Sequence[Company]]) -> None:
    """Lets the first people of the right kind play the cast."""
    good = companies[CompanyRole.PLAIN][0]
    taken: set[int] = set()
    for part in _CAST:
        place = next(i for i, one in enumerate(drawn) if one.kind is part.kind and i not in taken)
        taken.add(place)
        local = drawn[place].email.partition("@")[0]
        drawn[place] = replace(
            drawn[place],
            cast=part.name,
            email=f"{local}@{good.domain}",
            company=good,
            country=good.place.spellings[0],
            title=part.title,
            phone=None,
            touches=part.touches,
            traffic=part.traffic,
            owner=part.owner,
        )
