"""Many people become MQLs in one run: qualified, matched to accounts, drawn for, and queued for the CRMs.

No CRM is asked. The store is filled, everybody is decided once by a policy that nobody meets, and the run that is
measured is the first one by a policy that one in twenty meets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

from sqlalchemy import JSON, delete, func, insert, literal, select, update

from connectors.records import CompanyRecord, Crm, Owner, OwnerKind, PersonRecord, RecordRef
from sync.compose import Opened, load, open_parts
from sync.run import RunReport
from sync.store import accounts, records, schema
from sync.store.db import Store
from tests.benchmarks.bench_engine import alone
from tests.benchmarks.figures import Figure, Sizes, peak_memory, timed
from tests.benchmarks.scene import AS_OF

ONE_IN = 20
FIRMS = 2_000
REPS = 30
PAGE = 2_000

SETTINGS = """\
store: sqlite:///mqlsync.db
connections: {hubspot: {auth: {token: made-up}}}
account_matching: {domain: on, name: 90%}
jobs: {decide: {do: [score, assign]}}
"""

UNGUARDED = "guard: off\n"
"""The first run of a store waits for approval, and is not what is measured."""

GUARDED = "guard: {new_mqls_per_run: 1000000, owner_changes_per_run: 1000000}\n"

POLICY = """\
version: 1
name: routed
fit: {{groups: {{size: {{field: company.employees, points: {{from 500: 60, from 200: 50, otherwise: 0}}}}}}}}
mql: {{become_when: {{large: {{fit: from {least}}}}}}}
routing:
  - {{name: account owner, when: {{company.owner: available}}, to: company.owner, if_away: their backup}}
  - {{name: far away, when: {{person.country: [JP, BR]}}, to: pool far}}
  - {{name: everyone else, to: pool near}}
write: {{hubspot: {{contact: {{status: mql_status, grade: mql_grade, reason: mql_reason, owner: hubspot_owner_id}}}}}}
"""


def routing(sizes: Sizes) -> Iterator[Figure]:
    people, fifth = sizes.scored, sizes.scored // 5
    wall, cpu, peak = _measured(people)
    *_, small = _measured(fifth)
    what, of = "new MQLs: scored, decided, routed, queued", f"{people // ONE_IN:,} of {people:,} people"
    yield Figure(what=what, of=of, unit="wall s", value=wall, floor=10, target=6)
    yield Figure(what=what, of=of, unit="CPU s", value=cpu)
    yield Figure(what="new MQLs: peak memory", of=of, unit="MB", value=peak)
    yield Figure(what="new MQLs: peak memory", of=f"{fifth // ONE_IN:,} of {fifth:,} people", unit="MB", value=small)


def _measured(people: int) -> tuple[float, float, float]:
    """Seconds of wall and of CPU of the run, and the most memory in MB of its process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "config"
        alone(_yesterday, folder, people)
        return cast("tuple[float, float, float]", alone(_today, folder, people // ONE_IN))


def _yesterday(folder: Path, people: int) -> None:
    _install(folder)
    with _opened(folder) as opened:
        _fill(opened.parts.store, people)
        _decide(opened)
        _confirm(opened.parts.store)


def _today(folder: Path, new: int) -> tuple[float, float, float]:
    (folder / "policy.yaml").write_text(POLICY.format(least=50))
    (folder / "mqlsync.yaml").write_text(SETTINGS + GUARDED)
    with _opened(folder) as opened:
        report, wall, cpu = timed(lambda: _decide(opened))
    assert report.counts()["new_mqls"] == report.counts()["assigned"] == new, report.counts()
    pools = {row.pool for row in report.decided.assigned}
    assert pools == {None, "far", "near"}, pools
    return wall, cpu, peak_memory()


def _opened(folder: Path) -> AbstractContextManager[Opened]:
    return open_parts(load(folder, environment={}, online=False), online=False, level="error")


def _decide(opened: Opened) -> RunReport:
    report = opened.run("decide", as_of=AS_OF)
    if report.error is not None:
        raise RuntimeError(report.error)
    return report


def _confirm(store: Store) -> None:
    """As if the CRM had taken everything, and had been read since."""
    o, r = schema.outbox.c, schema.record.c
    sent = select(o.fields).where(o.conn == r.conn, o.object == r.object, o.id == r.id).scalar_subquery()
    with store.write() as tx:
        tx.execute(update(schema.record).values(current=func.coalesce(sent, "{}", type_=JSON)))
        rows = select(o.conn, o.object, o.id, o.fields, literal(AS_OF, schema.acked.c.at.type))
        tx.execute(delete(schema.acked))
        tx.execute(insert(schema.acked).from_select(["conn", "object", "id", "fields", "at"], rows))
        tx.execute(delete(schema.outbox))


def _install(folder: Path) -> None:
    folder.mkdir()
    reps = [f"rep{n}@acme.example" for n in range(REPS)]
    listed = "\n".join(f"  {rep}: {{backup: {reps[n - 1]}}}" for n, rep in enumerate(reps))
    near = "\n".join(f"      {rep}: {{weight: {n % 3 + 1}, per_day: 900, open: 5000}}" for n, rep in enumerate(reps))
    far = ", ".join(f"{rep}: {{}}" for rep in reps[::3])
    (folder / "mqlsync.yaml").write_text(SETTINGS + UNGUARDED)
    (folder / "policy.yaml").write_text(POLICY.format(least=55))
    (folder / "fields.yaml").write_text("version: 1\nhubspot: {contact: {person.email: email}}\n")
    (folder / "team.yaml").write_text(
        "version: 1\n"
        "hours: {office: {zone: Europe/London, mon-fri: 09:00-17:30, holidays: GB-ENG}}\n"
        f"reps:\n{listed}\n"
        "pools:\n"
        f"  near:\n    method: weighted\n    hours: office\n    nobody_free: queue inbound\n    reps:\n{near}\n"
        f"  far: {{method: least open, hours: office, nobody_free: queue inbound, reps: {{{far}}}}}\n"
        "queues: {inbound: {hubspot: none}}\n"
    )


def _fill(store: Store, people: int) -> None:
    """Contacts without a company; a few of them are of an account by their address, or by the name they gave."""
    with store.write(durable=False) as tx:
        accounts.save_owners(tx, Crm.HUBSPOT, [_user(n) for n in range(REPS)], seen_at=AS_OF)
        records.save_companies(tx, [_firm(n) for n in range(FIRMS)], seen_at=AS_OF)
    for start in range(0, people, PAGE):
        with store.write(durable=False) as tx:
            page = [_contact(n) for n in range(start, min(start + PAGE, people))]
            records.save_people(tx, page, seen_at=AS_OF, ours={})


def _user(n: int) -> Owner:
    email = f"rep{n}@acme.example"
    return Owner(crm=Crm.HUBSPOT, id=str(n), kind=OwnerKind.USER, email=email, name=f"Rep {n}", active=True)


def _firm(n: int) -> CompanyRecord:
    return CompanyRecord(
        ref=RecordRef(crm=Crm.HUBSPOT, object="company", id=f"f{n}"),
        facts={"company.domain": f"firm{n}.example", "company.name": f"{_word(n)} Trading Ltd"},
        owner=str(n % REPS),
        version="1",
        modified_at=AS_OF,
    )


def _contact(n: int) -> PersonRecord:
    email = f"p{n}@firm{n % (FIRMS * 4)}.example"
    facts = {
        "person.email": email,
        "person.country": ("GB", "DE", "JP", "BR")[n // ONE_IN % 4],
        "company.employees": 200 if n % ONE_IN == 0 else 20,
        "company.name": f"{_word(n * 7)} Tradin",
    }
    return PersonRecord(
        ref=RecordRef(crm=Crm.HUBSPOT, object="contact", id=str(n)),
        emails=(email,),
        facts=facts,
        current={},
        owner=None,
        version="1",
        modified_at=AS_OF,
        created_at=AS_OF,
    )


def _word(n: int) -> str:
    """Names that begin in many ways."""
    return "".join(chr(97 + n // 26**place % 26) for place in range(5)).title()
