"""A store full of people who came and did things over ninety days, made without any CRM.

Everything goes in through the store's own functions, a page at a time, seen on the day it happened; what a run would
have written is noted as confirmed, so that the next run finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from connectors.records import AccountInfo, CompanyRecord, Crm, Engagement, Owner, OwnerKind, PersonRecord, RecordRef
from connectors.sandbox.people import REPS
from sync.compose import Loaded, Opened, load, open_parts
from sync.demo import prepare
from sync.run import Parts, Runner, RunReport
from sync.settings import StageName
from sync.store import outbox
from sync.store.accounts import pin_account
from sync.store.db import Store
from sync.store.records import note_confirmed, save_companies, save_engagement, save_owners, save_people
from tests.benchmarks.scene import AS_OF

DAYS = 90
PAGE = 5000
SECRETS: Mapping[str, str] = {"HUBSPOT_TOKEN": "made-up", "SF_KEY": "made-up", "SF_SECRET": "made-up"}

_TITLES = ("VP Sales", "Director of Marketing", "Sales Manager", "Engineer", "Student", "Head of IT", "Analyst", "")
_COUNTRIES = ("US", "DE", "GB", "FR", "ES", "IN", "MX", "")
_INDUSTRIES = ("Technology", "Finance", "Retail", "Manufacturing", "Education", "")
_KINDS: Sequence[tuple[str, Mapping[str, str], int]] = (
    ("email_click", {}, 40),
    ("page_view", {"path": "/product"}, 25),
    ("site_visit", {}, 15),
    ("webinar_registered", {"name": "tour"}, 6),
    ("webinar_attended", {"name": "tour"}, 4),
    ("content_download", {"asset": "guide"}, 5),
    ("newsletter_signup", {}, 3),
    ("form_submit", {"form": "contact-sales"}, 1),
    ("demo_request", {"form": "demo"}, 1),
)
_WEIGHTS = [weight for _, _, weight in _KINDS]
_WRITTEN = (
    *("mql_status", "mql_grade", "mql_score", "mql_fit", "mql_reason", "mql_qualified_at", "hubspot_owner_id"),
    "lifecyclestage",
)


def configuration(folder: Path) -> Loaded:
    """The files a new installation starts with; nobody is contacted."""
    return load(prepare(folder, "http://127.0.0.1:9"), environment=SECRETS)


@contextmanager
def opened(folder: Path) -> Iterator[Opened]:
    with open_parts(configuration(folder), online=False) as found:
        yield found


def fill(store: Store, *, people: int, events: int, seed: int = 7) -> None:
    """``people`` with ``events`` each: half of these lie before the store began, the rest arrived day by day."""
    random = Random(seed)
    began = AS_OF - timedelta(days=DAYS)
    firms = max(1, people // 10)
    with store.write(durable=False) as tx:
        for crm, id in ((Crm.HUBSPOT, "1"), (Crm.SALESFORCE, "00D1")):
            pin_account(tx, AccountInfo(crm=crm, id=id, name=id, timezone="UTC"), at=began)
            save_owners(tx, crm, [_owner(crm, i, *rep) for i, rep in enumerate(REPS, 1)], seen_at=began)
        save_companies(tx, [_firm(random, n, began) for n in range(firms)], seen_at=began)
    for page in _pages([_person(random, n, firms, began) for n in range(people)]):
        with store.write(durable=False) as tx:
            save_people(tx, page, seen_at=began, ours={})
    early = people * events // 2
    before = [_event(random, n, began - timedelta(days=random.randrange(1, 200)), people) for n in range(early)]
    _save_events(store, before, began)
    a_day = (people * events - early) // DAYS
    for day in range(1, DAYS + 1):
        now = began + timedelta(days=day)
        first = early + (day - 1) * a_day
        arrived = [
            _event(random, first + n, now - timedelta(hours=random.randrange(1, 24)), people) for n in range(a_day)
        ]
        _save_events(store, arrived, now)
        changed = [_person(random, random.randrange(people), firms, now) for _ in range(people // 1000)]
        with store.write(durable=False) as tx:
            save_people(tx, changed, seen_at=now, ours={})


def _save_events(store: Store, events: Sequence[Engagement], seen_at: datetime) -> None:
    for page in _pages(events):
        with store.write(durable=False) as tx:
            save_engagement(tx, page, seen_at=seen_at)


def _pages(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[start : start + PAGE] for start in range(0, len(rows), PAGE))


def _owner(crm: Crm, number: int, email: str, first: str, last: str) -> Owner:
    return Owner(
        crm=crm,
        id=str(number),
        kind=OwnerKind.USER,
        email=email,
        name=f"{first} {last}",
        active=True,
        objects=("contact", "lead"),
    )


def _firm(random: Random, number: int, at: datetime) -> CompanyRecord:
    facts = {
        "company.name": f"Firm {number}",
        "company.employees": random.choice((5, 20, 80, 300, 9000)),
        "company.industry": random.choice(_INDUSTRIES),
    }
    return CompanyRecord(ref=_company(number), facts=facts, owner=None, version=at.isoformat(), modified_at=at)


def _company(number: int) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object="company", id=str(number + 1))


def _contact(number: int) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object="contact", id=str(number + 1))


def _person(random: Random, number: int, firms: int, at: datetime) -> PersonRecord:
    email = f"p{number}@firm{number % firms}.example"
    facts: dict[str, Any] = {
        "person.email": email,
        "person.first_name": f"P{number}",
        "person.last_name": "Made",
        "person.title": random.choice(_TITLES),
        "person.country": random.choice(_COUNTRIES),
    }
    return PersonRecord(
        ref=_contact(number),
        emails=(email,),
        facts=facts,
        current=dict.fromkeys(_WRITTEN),
        owner=None,
        version=at.isoformat(),
        modified_at=at,
        created_at=AS_OF - timedelta(days=400 + number % 300),
        company=_company(number % firms),
    )


def _event(random: Random, number: int, at: datetime, people: int) -> Engagement:
    kind, attributes, _ = random.choices(_KINDS, _WEIGHTS)[0]
    who = _contact(random.randrange(people))
    return Engagement(crm=Crm.HUBSPOT, source_id=f"e{number}", kind=kind, at=at, who=who, attributes=attributes)


def decide(parts: Parts, *, as_of: datetime = AS_OF, run_id: str = "r_made") -> RunReport:
    """Resolve, gather, score and decide as a run does, without a CRM."""
    stages = frozenset({StageName.SCORE, StageName.ASSIGN})
    return Runner(parts=parts, run_id=run_id, job="sync", stages=stages, as_of=as_of).run()


def confirm(store: Store, *, at: datetime = AS_OF) -> int:
    """Everything that waits was written and read back. Returns how many rows that were."""
    confirmed = 0
    while True:
        with store.write(durable=False) as tx:
            rows = [row for crm in Crm for row in outbox.ready(tx, crm, now=at, limit=PAGE)]
            values = {row.ref: row.fields for row in rows if row.ref.object != outbox.TASK}
            outbox.acknowledge(tx, values, at=at)
            note_confirmed(tx, {ref: (fields, at) for ref, fields in values.items()})
            outbox.remove(tx, rows)
        if not rows:
            return confirmed
        confirmed += len(rows)
