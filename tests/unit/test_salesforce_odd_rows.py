"""A row that cannot be read costs itself, and is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import responses

from connectors.fields import CountRule, CrmMap, EventRule, EventSource, FactField, ObjectMap
from connectors.records import Crm, Page, PersonRecord, Stream, StreamKind, Window
from connectors.retry import Patience
from connectors.salesforce import SalesforceConnector, SalesforceSettings, Session

HOME = "https://acme.my.salesforce.com"
DATA = f"{HOME}/services/data/v59.0"
STAMP = "2026-05-06T07:08:09.000+0000"
WINDOW = Window(lo=datetime(2026, 5, 1, tzinfo=UTC), hi=datetime(2026, 11, 25, tzinfo=UTC))
OPEN = FactField(
    fact="company.open_opportunities", count=CountRule(object="Opportunity", where={"IsClosed": "false"}), type="number"
)
FIELDS = CrmMap(
    crm=Crm.SALESFORCE,
    objects={
        "contact": ObjectMap(object="contact", facts=(FactField(fact="person.title", property="Title"),)),
        "account": ObjectMap(object="account", facts=(OPEN,)),
    },
    events=(EventRule(source=EventSource.CAMPAIGN, key=None, kind="campaign_response"),),
    deals=True,
)


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        for name, fields in {
            "Contact": ["Title"],
            "Opportunity": ["AccountId", "IsClosed", "StageName", "IsWon"],
            "OpportunityContactRole": ["ContactId", "OpportunityId"],
            "CampaignMember": ["Status", "LeadId", "ContactId"],
        }.items():
            described = [{"name": field, "type": "string"} for field in fields]
            mock.get(f"{DATA}/sobjects/{name}/describe", json={"fields": described})
        mock.assert_all_requests_are_fired = False
        yield mock


def page(*rows: Any) -> dict[str, Any]:
    return {"totalSize": len(rows), "done": True, "records": list(rows)}


def connector() -> SalesforceConnector:
    settings = SalesforceSettings(base_url=HOME, auth=Session(session_id="t"))
    return SalesforceConnector(settings, FIELDS, patience=Patience(attempts=1), sleep=lambda seconds: None)


def stream(kind: StreamKind, name: str) -> Stream:
    return Stream(crm=Crm.SALESFORCE, kind=kind, name=name)


ACCOUNT = "0015g0000000001AAA"
CONTACT = {"Id": "0035g0000000001AAA", "SystemModstamp": STAMP, "Title": "CTO"}


@pytest.mark.parametrize("wrong", [{"AccountId": 7}, {"SystemModstamp": "yesterday"}, {"AccountId": "x" * 14 + "-"}])
def test_an_opportunity(wire: responses.RequestsMock, wrong: dict[str, Any]) -> None:
    fine = {"Id": "0065g0000000001AAA", "SystemModstamp": STAMP, "AccountId": ACCOUNT, "IsClosed": False}
    odd = fine | {"Id": "0065g0000000002AAA", "AccountId": "0015g0000000002AAA"} | wrong
    wire.get(f"{DATA}/queryAll/", json=page(odd, fine))
    wire.get(f"{DATA}/query/", json=page(fine, fine | {"AccountId": 7}, fine | {"AccountId": None}))
    [read] = connector().companies(stream(StreamKind.COMPANIES, "opportunity"), WINDOW, None)
    assert {one.ref.id: one.facts for one in read.rows} == {ACCOUNT: {OPEN.fact: 1}}
    assert [problem.ref.id for problem in read.problems] == [odd["Id"]]


def people(wire: responses.RequestsMock, *roles: Any) -> Page[PersonRecord]:
    wire.get(f"{DATA}/queryAll/", json=page(CONTACT))
    wire.get(f"{DATA}/query/", json=page(*roles))
    [read] = connector().people(stream(StreamKind.PEOPLE, "contact"), WINDOW, None)
    return read


DEAL = {"StageName": "Proposal", "IsClosed": False, "IsWon": False, "SystemModstamp": STAMP}
ROLE = {"Id": "00K5g0000000001AAA", "ContactId": CONTACT["Id"], "OpportunityId": "0065g0000000001AAA"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"Opportunity": DEAL | {"SystemModstamp": "yesterday"}},
        {"Opportunity": DEAL, "OpportunityId": None},
        {"Opportunity": DEAL, "ContactId": 7},
    ],
)
def test_a_role_in_an_opportunity(wire: responses.RequestsMock, wrong: dict[str, Any]) -> None:
    odd = ROLE | {"Id": "00K5g0000000002AAA"} | wrong
    read = people(wire, odd, ROLE | {"Opportunity": DEAL})
    assert [[deal.id for deal in one.deals] for one in read.rows] == [[ROLE["OpportunityId"]]]
    assert [problem.ref.id for problem in read.problems] == [odd["Id"]]


@pytest.mark.parametrize("id", [None, 7, "0035g00000000-1", ""])
def test_a_person(wire: responses.RequestsMock, id: Any) -> None:
    wire.get(f"{DATA}/queryAll/", json=page(CONTACT, CONTACT | {"Id": id}))
    wire.get(f"{DATA}/query/", json=page())
    [read] = connector().people(stream(StreamKind.PEOPLE, "contact"), WINDOW, None)
    assert [one.ref.id for one in read.rows] == [CONTACT["Id"]]
    assert len(read.problems) == 1


@pytest.mark.parametrize("wrong", [{"Id": None}, {"Id": 7}, {"CreatedDate": "yesterday"}])
def test_an_activity(wire: responses.RequestsMock, wrong: dict[str, Any]) -> None:
    fine = {
        "Id": "00v5g0000000001AAA",
        "SystemModstamp": STAMP,
        "CreatedDate": STAMP,
        "ContactId": CONTACT["Id"],
        "Status": "Sent",
    }
    wire.get(f"{DATA}/queryAll/", json=page(fine | {"Id": "00v5g0000000002AAA"} | wrong, fine))
    [read] = connector().engagement(stream(StreamKind.ENGAGEMENT, "campaign member"), WINDOW, None)
    assert len(read.rows) == 1
    assert len(read.problems) == 1
