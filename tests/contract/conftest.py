"""What the contract suite needs of each CRM: a sandbox side to set the scene, a connector side to test."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pytest

from connectors.fields import (
    Convert,
    CrmMap,
    EngagementColumns,
    EventRule,
    EventSource,
    FactField,
    FileColumns,
    ObjectMap,
)
from connectors.file import FileConnector, FileSettings, Mark
from connectors.port import Connector
from connectors.records import (
    Crm,
    Engagement,
    FieldKind,
    Page,
    PersonRecord,
    RecordRef,
    Stream,
    WantedField,
    Window,
)
from connectors.retry import Patience
from connectors.sandbox import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSeen:
    """A task as the CRM holds it."""

    id: str
    person: str
    owner: str
    subject: str
    body: str
    due: str


class ReadingCase(Protocol):
    """What is read, empty but for what a test adds.

    names       title, country, email -> what it is called there
    quiet_calls what a window costs in which nothing changed
    """

    crm: Crm
    sandbox: Sandbox
    names: Mapping[str, str]
    quiet_calls: int

    def connector(self) -> Connector:
        """A new one, closed when the test ends. It waits without sleeping and gives up after three tries."""
        ...

    def person(self, **values: str) -> RecordRef:
        """Somebody makes a person of these ``names`` values; last name and whatever else is compulsory is filled in."""
        ...

    def edit(self, ref: RecordRef, **values: str) -> None: ...

    def delete(self, ref: RecordRef) -> None: ...

    def engage(self, person: RecordRef, at: datetime) -> None:
        """One activity that the map makes an event of, dated ``at``."""
        ...

    def close(self) -> None: ...


class ConnectorCase(ReadingCase, Protocol):
    """One CRM, empty but for what a test adds. Properties are named as in ``names``.

    secrets what must never be seen outside of a request
    names   title, country, email, owner, score (number), grade (text), status (picklist: none, mql, sql)
    calls   update, create_task, query: fault patterns ("METHOD /path", fnmatch) of the connector's requests
    asks    the answer to a write can be asked for again: none is lost by a broken connection
    """

    calls: Mapping[str, str]
    asks: bool

    @property
    def secrets(self) -> tuple[str, ...]: ...

    def wanted(self) -> tuple[WantedField, ...]:
        """The three fields score, grade and status on the people's object. The scene starts without them."""
        ...

    def company(self, name: str) -> RecordRef: ...

    def employ(self, person: RecordRef, company: RecordRef) -> RecordRef | None:
        """The company the person belongs to from now on; None where this object belongs to none."""
        ...

    def merge(self, winner: RecordRef, loser: RecordRef) -> RecordRef:
        """The survivor."""
        ...

    def convert(self, person: RecordRef) -> RecordRef | None:
        """Who the person is from now on; None where this CRM converts nobody."""
        ...

    def owner(self, email: str, *, active: bool = True) -> str:
        """A user; the id that is written into the owner property."""
        ...

    def queue(self, name: str) -> str: ...

    def value(self, ref: RecordRef, name: str) -> str | None:
        """What the CRM holds, as text; None when blank."""
        ...

    def tasks(self) -> list[TaskSeen]: ...

    def delete_task(self, id: str) -> None: ...


PATIENCE = Patience(attempts=3, first_wait=0.0, longest_wait=0.0)


class HubSpotCase:
    """The contact of a portal."""

    crm = Crm.HUBSPOT
    quiet_calls = 1
    asks = False
    names: Mapping[str, str] = {
        "title": "jobtitle",
        "country": "country",
        "email": "email",
        "owner": "hubspot_owner_id",
        "score": "mql_score",
        "grade": "mql_grade",
        "status": "mql_status",
    }
    calls: Mapping[str, str] = {
        "update": "POST */contacts/batch/update",
        "create_task": "POST */tasks/batch/create",
        "query": "POST */contacts/search",
    }

    def __init__(self, sandbox: Sandbox, version: str = "v3") -> None:
        self.sandbox = sandbox
        self.version = version
        self.waited: list[float] = []
        self._open: list[Connector] = []
        self._form: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.sandbox.hubspot.token,)

    def connector(self) -> Connector:
        from connectors.hubspot import HubSpotConnector, HubSpotSettings

        settings = HubSpotSettings(
            base_url=self.sandbox.url,
            api_version=self.version,  # type: ignore[arg-type]  # one of the two, from the parameter list below
            token=self.sandbox.hubspot.token,
            per_10_seconds=100_000,
            search_per_second=100_000,
        )
        made = HubSpotConnector(settings, self._map(), patience=PATIENCE, sleep=self.waited.append)
        self._open.append(made)
        return made

    def _map(self) -> CrmMap:
        contact = (
            FactField(fact="person.email", property="email"),
            FactField(fact="person.title", property="jobtitle"),
            FactField(fact="person.country", property="country", convert=Convert.COUNTRY),
            FactField(fact="person.created_at", property="createdate"),
            FactField(fact="person.owner", property="hubspot_owner_id", convert=Convert.OWNER),
        )
        written = ("mql_score", "mql_grade", "mql_status", "hubspot_owner_id")
        return CrmMap(
            crm=Crm.HUBSPOT,
            objects={
                "contact": ObjectMap(object="contact", facts=contact, written=written),
                "company": ObjectMap(object="company", facts=(FactField(fact="company.name", property="name"),)),
            },
            events=(EventRule(source=EventSource.FORM, key=None, kind="form_submit"),),
        )

    def wanted(self) -> tuple[WantedField, ...]:
        return (
            WantedField(object="contact", name="mql_score", label="MQL score", kind=FieldKind.NUMBER),
            WantedField(object="contact", name="mql_grade", label="MQL grade", kind=FieldKind.TEXT, length=2),
            WantedField(
                object="contact",
                name="mql_status",
                label="MQL status",
                kind=FieldKind.PICKLIST,
                options=("none", "mql", "sql"),
            ),
        )

    def person(self, **values: str) -> RecordRef:
        properties = {"lastname": "Person"} | {self.names[name]: value for name, value in values.items()}
        return RecordRef(crm=self.crm, object="contact", id=self.sandbox.hubspot.add("contacts", properties))

    def company(self, name: str) -> RecordRef:
        return RecordRef(crm=self.crm, object="company", id=self.sandbox.hubspot.add("companies", {"name": name}))

    def employ(self, person: RecordRef, company: RecordRef) -> RecordRef | None:
        self.sandbox.hubspot.associate("contacts", person.id, "companies", company.id)
        return company

    def edit(self, ref: RecordRef, **values: str) -> None:
        self.sandbox.hubspot.edit("contacts", ref.id, {self.names[name]: value for name, value in values.items()})

    def delete(self, ref: RecordRef) -> None:
        self.sandbox.hubspot.archive("contacts", ref.id)

    def merge(self, winner: RecordRef, loser: RecordRef) -> RecordRef:
        return RecordRef(crm=self.crm, object="contact", id=self.sandbox.hubspot.merge("contacts", winner.id, loser.id))

    def convert(self, person: RecordRef) -> RecordRef | None:
        return None

    def engage(self, person: RecordRef, at: datetime) -> None:
        portal = self.sandbox.hubspot
        if self._form is None:
            self._form = portal.add_form("Request a demo")
        portal.add_submission(self._form, at, {"email": portal.get("contacts", person.id)["email"]})

    def owner(self, email: str, *, active: bool = True) -> str:
        return self.sandbox.hubspot.add_owner(email, "Some", "Body", active=active)

    def queue(self, name: str) -> str:
        return self.sandbox.hubspot.add_owner("", name, "", type="QUEUE")

    def value(self, ref: RecordRef, name: str) -> str | None:
        return self.sandbox.hubspot.get("contacts", ref.id).get(self.names[name]) or None

    def tasks(self) -> list[TaskSeen]:
        return [
            TaskSeen(
                id=task["id"],
                person=task["contacts"][0],
                owner=task["hubspot_owner_id"],
                subject=task["hs_task_subject"],
                body=task["hs_task_body"],
                due=task["hs_timestamp"][:10],
            )
            for task in self.sandbox.hubspot.tasks()
        ]

    def delete_task(self, id: str) -> None:
        self.sandbox.hubspot.archive("tasks", id)

    def close(self) -> None:
        for one in self._open:
            one.close()


class SalesforceCase:
    """The lead of an org. ``engage`` is a webinar the lead answered."""

    crm = Crm.SALESFORCE
    quiet_calls = 1
    asks = False
    bulk: Mapping[str, int] = {}
    names: Mapping[str, str] = {
        "title": "Title",
        "country": "Country",
        "email": "Email",
        "owner": "OwnerId",
        "score": "MQL_Score__c",
        "grade": "MQL_Grade__c",
        "status": "MQL_Status__c",
    }
    calls: Mapping[str, str] = {
        "update": "PATCH */composite/sobjects",
        "create_task": "POST */composite/sobjects",
        "query": "GET */query*",
    }

    def __init__(self, sandbox: Sandbox, version: str = "59.0") -> None:
        self.sandbox = sandbox
        self.version = version
        self.waited: list[float] = []
        self._open: list[Connector] = []

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.sandbox.salesforce.consumer_secret, self.sandbox.salesforce.session_id())

    def connector(self) -> Connector:
        from connectors.salesforce import Bulk, ClientCredentials, SalesforceConnector, SalesforceSettings

        org = self.sandbox.salesforce
        auth = ClientCredentials(consumer_key=org.consumer_key, consumer_secret=org.consumer_secret)
        settings = SalesforceSettings(
            base_url=self.sandbox.url, api_version=self.version, auth=auth, bulk=Bulk(**self.bulk)
        )
        made = SalesforceConnector(settings, self._map(), patience=PATIENCE, sleep=self.waited.append)
        self._open.append(made)
        return made

    def _map(self) -> CrmMap:
        lead = (
            FactField(fact="person.email", property="Email"),
            FactField(fact="person.title", property="Title"),
            FactField(fact="person.country", property="Country", convert=Convert.COUNTRY),
            FactField(fact="person.created_at", property="CreatedDate"),
            FactField(fact="person.owner", property="OwnerId", convert=Convert.OWNER),
        )
        written = ("MQL_Score__c", "MQL_Grade__c", "MQL_Status__c", "OwnerId")
        return CrmMap(
            crm=Crm.SALESFORCE,
            objects={
                "lead": ObjectMap(object="lead", facts=lead, written=written),
                "account": ObjectMap(object="account", facts=(FactField(fact="company.name", property="Name"),)),
            },
            events=(EventRule(source=EventSource.CAMPAIGN, key=None, kind="campaign_response"),),
        )

    def wanted(self) -> tuple[WantedField, ...]:
        return (
            WantedField(object="lead", name="MQL_Score__c", label="MQL score", kind=FieldKind.NUMBER),
            WantedField(object="lead", name="MQL_Grade__c", label="MQL grade", kind=FieldKind.TEXT, length=2),
            WantedField(
                object="lead",
                name="MQL_Status__c",
                label="MQL status",
                kind=FieldKind.PICKLIST,
                options=("none", "mql", "sql"),
            ),
        )

    def person(self, **values: str) -> RecordRef:
        fields = {"LastName": "Person", "Company": "Unknown"} | self._fields(values)
        return RecordRef(crm=self.crm, object="lead", id=self.sandbox.salesforce.add("Lead", fields))

    def company(self, name: str) -> RecordRef:
        return RecordRef(crm=self.crm, object="account", id=self.sandbox.salesforce.add("Account", {"Name": name}))

    def employ(self, person: RecordRef, company: RecordRef) -> RecordRef | None:
        """A Lead names its company in words; it belongs to an Account when it is converted."""
        self.sandbox.salesforce.edit("Lead", person.id, {"Company": "Acme"})
        return None

    def edit(self, ref: RecordRef, **values: str) -> None:
        self.sandbox.salesforce.edit("Lead", ref.id, self._fields(values))

    def delete(self, ref: RecordRef) -> None:
        self.sandbox.salesforce.delete("Lead", ref.id)

    def merge(self, winner: RecordRef, loser: RecordRef) -> RecordRef:
        self.sandbox.salesforce.merge("Lead", winner.id, loser.id)
        return winner

    def convert(self, person: RecordRef) -> RecordRef | None:
        contact = self.sandbox.salesforce.convert(person.id)
        return RecordRef(crm=self.crm, object="contact", id=contact)

    def engage(self, person: RecordRef, at: datetime) -> None:
        org = self.sandbox.salesforce
        campaign = org.add("Campaign", {"Name": "Pricing webinar", "Type": "Webinar"})
        org.add("CampaignMember", {"CampaignId": campaign, "LeadId": person.id, "Status": "Sent"}, at=at)

    def owner(self, email: str, *, active: bool = True) -> str:
        return self.sandbox.salesforce.add_user(email, "Some Body", active=active)

    def queue(self, name: str) -> str:
        return self.sandbox.salesforce.add_queue(name, name)

    def value(self, ref: RecordRef, name: str) -> str | None:
        held = self.sandbox.salesforce.get("Lead", ref.id).get(self.names[name])
        return None if held is None else f"{held:g}" if isinstance(held, int | float) else str(held)

    def tasks(self) -> list[TaskSeen]:
        return [
            TaskSeen(
                id=task["Id"],
                person=task["WhoId"],
                owner=task["OwnerId"],
                subject=task["Subject"],
                body=task["Description"],
                due=task["ActivityDate"],
            )
            for task in self.sandbox.salesforce.tasks()
        ]

    def delete_task(self, id: str) -> None:
        self.sandbox.salesforce.delete("Task", id)

    def _fields(self, values: Mapping[str, str]) -> dict[str, object]:
        return {self.names[name]: float(value) if name == "score" else value for name, value in values.items()}

    def close(self) -> None:
        for one in self._open:
            one.close()


class BulkCase(SalesforceCase):
    """The same, each window and each patch through a bulk job: made, asked twice, read, deleted."""

    quiet_calls = 5
    asks = True
    bulk: Mapping[str, int] = {"reads_above": 0, "writes_above": 0}
    calls: Mapping[str, str] = {
        "update": "PATCH */jobs/ingest/*",
        "create_task": "POST */composite/sobjects",
        "query": "GET */jobs/query/*",
    }


class Memory:
    """What a store would know of a file: every page is kept as it is handed on."""

    def __init__(self) -> None:
        self._rows: dict[Stream, dict[str, str]] = {}
        self._marks: dict[Stream, tuple[Mark, bool]] = {}

    def keep(self, stream: Stream, page: Page[Any]) -> None:
        rows = self._rows.setdefault(stream, {})
        for row in page.rows:
            if isinstance(row, Engagement):
                rows[row.source_id] = ""
            elif row.gone:
                rows.pop(row.ref.id, None)
            else:
                rows[row.ref.id] = row.version
        if page.resume is None:
            self._marks[stream] = (self._marks[stream][0], True)

    def versions(self, stream: Stream, ids: Sequence[str]) -> Mapping[str, str]:
        rows = self._rows.get(stream, {})
        return {id: rows[id] for id in ids if id in rows}

    def ids(self, stream: Stream) -> Iterator[Sequence[str]]:
        yield list(self._rows.get(stream, {}))

    def mark(self, stream: Stream) -> Mark | None:
        mark, certain = self._marks.get(stream, (None, False))
        return mark if certain else None

    def begin(self, stream: Stream, mark: Mark, hi: datetime) -> None:
        self._marks[stream] = (mark, False)


class KeptFile(FileConnector):
    """A connector whose pages reach a store."""

    def __init__(self, settings: FileSettings, fields: CrmMap, memory: Memory, now: Callable[[], datetime]) -> None:
        super().__init__(settings, fields, known=memory, now=now)
        self._memory = memory

    def people(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        for page in super().people(stream, window, resume):
            self._memory.keep(stream, page)
            yield page

    def engagement(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        for page in super().engagement(stream, window, resume):
            self._memory.keep(stream, page)
            yield page


class FileCase:
    """A list and its visits. Only the reading half of the contract is asked of it."""

    crm = Crm.FILE
    quiet_calls = 1
    names: Mapping[str, str] = {"title": "Title", "country": "Land", "email": "Mail"}

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._folder = tempfile.TemporaryDirectory(prefix="mqlsync-")
        self._people: dict[str, dict[str, str]] = {}
        self._visits: list[dict[str, str]] = []
        self._memory = Memory()
        self._save()

    def _save(self) -> None:
        folder = Path(self._folder.name)
        for name, columns, rows in (
            ("people.csv", ("Id", *self.names.values()), [{"Id": id} | row for id, row in self._people.items()]),
            ("visits.csv", ("Who", "What", "At"), self._visits),
        ):
            with (folder / name).open("w", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, columns)
                table.writeheader()
                table.writerows(rows)

    def connector(self) -> FileConnector:
        folder = Path(self._folder.name)
        settings = FileSettings(
            name="list", people=folder / "people.csv", engagement=folder / "visits.csv", zone=ZoneInfo("UTC")
        )
        facts = (
            FactField(fact="person.email", property="Mail"),
            FactField(fact="person.title", property="Title"),
            FactField(fact="person.country", property="Land", convert=Convert.COUNTRY),
            FactField(fact="person.created_at", fixed="2026-01-15T09:00:00Z"),
        )
        fields = CrmMap(
            crm=Crm.FILE,
            objects={"person": ObjectMap(object="person", facts=facts)},
            events=(EventRule(source=EventSource.ROW, key=None, kind="site_visit"),),
            file=FileColumns(id="Id", engagement=EngagementColumns(kind="What", at="At", person="Who")),
        )
        return KeptFile(settings, fields, self._memory, self.sandbox.clock.now)

    def person(self, **values: str) -> RecordRef:
        id = f"p{len(self._people)}"
        self._people[id] = {self.names[name]: value for name, value in values.items()}
        with (Path(self._folder.name) / "people.csv").open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, ("Id", *self.names.values())).writerow({"Id": id} | self._people[id])
        return RecordRef(crm=self.crm, object="person", id=id)

    def edit(self, ref: RecordRef, **values: str) -> None:
        self._people[ref.id] |= {self.names[name]: value for name, value in values.items()}
        self._save()

    def delete(self, ref: RecordRef) -> None:
        del self._people[ref.id]
        self._save()

    def engage(self, person: RecordRef, at: datetime) -> None:
        self._visits.append({"Who": person.id, "What": "visit", "At": at.isoformat()})
        self._save()

    def close(self) -> None:
        self._folder.cleanup()


CASES: Mapping[str, Callable[[Sandbox], ConnectorCase]] = {
    "hubspot-v3": HubSpotCase,
    "hubspot-2026-03": lambda sandbox: HubSpotCase(sandbox, "2026-03"),
    "salesforce-59.0": SalesforceCase,
    "salesforce-67.0": lambda sandbox: SalesforceCase(sandbox, "67.0"),
    "salesforce-bulk": BulkCase,
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start() as running:
        yield running


READ: Mapping[str, Callable[[Sandbox], ReadingCase]] = {**CASES, "file": FileCase}


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[ConnectorCase]:
    """One CRM, at a time where everything added so far is visible to searches."""
    made = CASES[request.param](sandbox)
    yield made
    made.close()


@pytest.fixture(params=sorted(READ))
def reading(request: pytest.FixtureRequest, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReadingCase]:
    """One CRM, or a file: whatever is read. A page of a file is as long as one of HubSpot's."""
    monkeypatch.setattr("connectors.file.reader.PAGE", 100)
    made = READ[request.param](sandbox)
    yield made
    made.close()
