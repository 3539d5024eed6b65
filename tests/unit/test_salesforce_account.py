"""Proving the credentials and naming the org, whatever the user may not see."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import responses

from connectors.errors import RunCannotContinue, UnexpectedAnswer
from connectors.fields import CrmMap, FactField, ObjectMap
from connectors.records import Crm, Stream, StreamKind, Window
from connectors.retry import Patience
from connectors.salesforce import SalesforceConnector, SalesforceSettings, Session

HOME = "https://acme.my.salesforce.com"
DATA = f"{HOME}/services/data/v59.0"
ORG = "00D5g0000000001EAA"
FIELDS = CrmMap(
    crm=Crm.SALESFORCE,
    objects={"lead": ObjectMap(object="lead", facts=(FactField(fact="person.title", property="Title"),))},
)
DESCRIBE = {"fields": [{"name": "Title", "type": "string", "updateable": True}]}
LIMITS = {"DailyApiRequests": {"Max": 15000, "Remaining": 14998}}


def connector(session_id: str = f"{ORG[:15]}!token") -> SalesforceConnector:
    settings = SalesforceSettings(base_url=HOME, auth=Session(session_id=session_id))
    return SalesforceConnector(settings, FIELDS, patience=Patience(attempts=1), sleep=lambda seconds: None)


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def page(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"totalSize": len(rows), "done": True, "records": list(rows)}


def test_one_query_is_enough(wire: responses.RequestsMock) -> None:
    wire.get(f"{DATA}/query/", json=page({"Id": ORG, "Name": "Acme", "TimeZoneSidKey": "Europe/Berlin"}))
    wire.get(f"{DATA}/sobjects/Lead/describe", json=DESCRIBE)
    info = connector().check()
    assert (info.id, info.name, info.timezone, info.problems) == (ORG, "Acme", "Europe/Berlin", ())


def test_without_view_setup_a_describe_is_the_proof(wire: responses.RequestsMock) -> None:
    wire.get(f"{DATA}/limits/", json=[{"errorCode": "INSUFFICIENT_ACCESS", "message": "View Setup"}], status=403)
    wire.get(f"{DATA}/sobjects/Lead/describe", json=DESCRIBE)
    wire.get(f"{DATA}/query/", json=[{"errorCode": "INVALID_TYPE", "message": "Organization"}], status=400)
    info = connector().check()
    assert (info.id, info.name, info.timezone) == (ORG, "acme.my.salesforce.com", "UTC")


def test_who_may_not_read_the_org_is_believed_by_its_limits(wire: responses.RequestsMock) -> None:
    wire.get(f"{DATA}/query/", json=[{"errorCode": "INVALID_TYPE", "message": "Organization"}], status=400)
    wire.get(f"{DATA}/limits/", json=LIMITS)
    wire.get(f"{DATA}/sobjects/Lead/describe", json=DESCRIBE)
    one = connector()
    assert one.check().id == ORG
    assert one.calls["check"] == 2


def test_the_org_itself_says_its_id_where_the_token_does_not(wire: responses.RequestsMock) -> None:
    wire.get(f"{DATA}/query/", json=page({"Id": ORG[:15]}))
    wire.get(f"{DATA}/sobjects/Lead/describe", json=DESCRIBE)
    assert connector("opaque").check().id == ORG


def test_an_org_nobody_can_name_is_an_error(wire: responses.RequestsMock) -> None:
    wire.get(f"{DATA}/limits/", json=LIMITS)
    wire.get(f"{DATA}/query/", json=page())
    with pytest.raises(UnexpectedAnswer, match="which org"):
        connector("opaque").check()


def test_a_user_without_the_api_is_told_so(wire: responses.RequestsMock) -> None:
    disabled = [{"errorCode": "API_DISABLED_FOR_ORG", "message": "no"}]
    wire.get(f"{DATA}/query/", json=disabled, status=403)
    wire.get(f"{DATA}/limits/", json=disabled, status=403)
    with pytest.raises(RunCannotContinue, match="API Enabled") as refused:
        connector().check()
    assert refused.value.credentials


def test_an_object_out_of_sight_is_named(wire: responses.RequestsMock) -> None:
    wire.get(f"{DATA}/sobjects/Lead/describe", json=[{"errorCode": "NOT_FOUND", "message": "x"}], status=404)
    with pytest.raises(RunCannotContinue, match="object Lead does not exist"):
        connector().describe("lead")


@pytest.mark.parametrize(
    ("answer", "ours"),
    [
        ({"json": {"user_id": "0055g0000000002AAA", "organization_id": ORG}}, True),
        ({"json": [{"errorCode": "NOT_FOUND", "message": ""}], "status": 404}, False),
        ({"body": "Bad_OAuth_Token", "status": 403}, False),
        ({"body": "<html>", "content_type": "text/html"}, False),
    ],
)
def test_whose_a_given_session_is_is_asked_once_and_may_stay_open(
    wire: responses.RequestsMock, answer: dict[str, Any], ours: bool
) -> None:
    wire.get(f"{HOME}/services/oauth2/userinfo", **answer)
    user = {"Id": "0055g0000000002AAA", "Username": "sync@acme.com", "IsActive": True}
    parts = [
        {"referenceId": f"query{number}", "httpStatusCode": 200, "body": body}
        for number, body in enumerate((page(user), page(), page()))
    ]
    wire.post(f"{DATA}/composite", json={"compositeResponse": parts})
    one = connector()
    assert [owner.integration for owner in one.owners()] == [ours]
    assert [owner.integration for owner in one.owners()] == [ours]
    assert one.calls["sign in"] == 1


@pytest.mark.parametrize(
    ("status", "answer"),
    [(200, page({"Id": ORG})), (403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "not for you"}])],
)
def test_the_clock_is_the_servers_also_for_a_user_who_may_not_read_the_org(
    wire: responses.RequestsMock, status: int, answer: object
) -> None:
    """Nor is View Setup needed for it, which ``limits`` asks for."""
    wire.get(f"{DATA}/query/", json=answer, status=status, headers={"Date": "Wed, 25 Nov 2026 12:00:00 GMT"})
    assert connector().now().isoformat() == "2026-11-25T12:00:00+00:00"


def test_nothing_is_imported_or_opened_before_the_first_call() -> None:
    """`mqlsync --help` must not pay for the package."""
    code = "import connectors.salesforce, sys; print({'simple_salesforce', 'requests'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert said.stdout.strip() == "set()"


@pytest.mark.parametrize("row", [None, {}, {"Id": None}, {"Id": 7}, {"Id": ""}, "00Q5g0000000001EAA"])
def test_a_row_that_is_no_record_ends_a_listing_in_words(wire: responses.RequestsMock, row: Any) -> None:
    """A listing that left it out would take the record for gone."""
    wire.get(f"{DATA}/query/", json=page({"Id": "00Q5g0000000001EAA", "SystemModstamp": None}, row))
    people = Stream(crm=Crm.SALESFORCE, kind=StreamKind.PEOPLE, name="lead")
    with pytest.raises(UnexpectedAnswer, match="a row that is none"):
        list(connector().ids(people, None))


@pytest.mark.parametrize("stamp", [None, "", "yesterday", 7])
def test_a_record_without_a_readable_stamp_is_listed(wire: responses.RequestsMock, stamp: Any) -> None:
    wire.get(f"{DATA}/query/", json=page({"Id": "00Q5g0000000001EAA", "SystemModstamp": stamp}))
    wire.get(f"{DATA}/query/", json=page())
    people = Stream(crm=Crm.SALESFORCE, kind=StreamKind.PEOPLE, name="lead")
    seen = [one for listed in connector().ids(people, None) for one in listed.rows]
    assert [(one.ref.id, one.modified_at) for one in seen] == [("00Q5g0000000001EAA", None)]


# -- listings ------------------------------------------------------------------------------------------------------

PAGE_OF_NOBODY = {"totalSize": 0, "done": True, "records": []}
FINE = {"Id": "0055g0000000001AAA", "Username": "rep@corp.example", "Email": "rep@corp.example", "IsActive": True}
QUEUE = {"Id": "00G5g0000000001AAA", "Name": "Inbound", "DeveloperName": "Inbound"}


def owner_listing(wire: responses.RequestsMock, *answers: list[Any]) -> SalesforceConnector:
    """Users, queues and what queues may own, as the org lists them; then an empty page of leads."""
    parts = [
        {"referenceId": f"query{number}", "httpStatusCode": 200, "body": page(*rows)}
        for number, rows in enumerate(answers)
    ]
    wire.post(f"{DATA}/composite", json={"compositeResponse": parts})
    wire.get(f"{DATA}/sobjects/Lead/describe", json=DESCRIBE)
    wire.get(f"{DATA}/queryAll/", json=PAGE_OF_NOBODY)
    wire.get(f"{HOME}/services/oauth2/userinfo", status=403)
    return connector()


def told(sf: SalesforceConnector) -> list[tuple[str, str]]:
    """What the problems of the next two pages are of."""
    window = Window(lo=None, hi=datetime(2026, 11, 25, tzinfo=UTC))
    stream = Stream(crm=Crm.SALESFORCE, kind=StreamKind.PEOPLE, name="lead")
    pages = [page for _ in range(2) for page in sf.people(stream, window, None)]
    assert not pages[1].problems
    return [(one.ref.object, one.ref.id) for one in pages[0].problems]


@pytest.mark.parametrize(
    "wrong",
    [None, "x", {}, {"Id": 7}, {"Id": "x"}, FINE | {"Id": ["005"]}, FINE | {"Username": 1}, FINE | {"Email": {}}],
)
def test_a_user_that_cannot_be_read_hides_no_other_and_is_told_once(wire: responses.RequestsMock, wrong: Any) -> None:
    sf = owner_listing(wire, [wrong, FINE], [], [])
    assert [owner.id for owner in sf.owners()] == [FINE["Id"]]
    assert [object for object, _ in told(sf)] == ["user"]


@pytest.mark.parametrize("wrong", [None, {}, {"Id": "x"}, QUEUE | {"Name": 1}])
def test_a_queue_that_cannot_be_read_hides_no_other(wire: responses.RequestsMock, wrong: Any) -> None:
    pair = {"QueueId": QUEUE["Id"], "SobjectType": "Lead"}
    sf = owner_listing(wire, [], [QUEUE, wrong], [None, {"QueueId": 1}, pair, {**pair, "SobjectType": 2}])
    [queue] = sf.owners()
    assert (queue.id, queue.objects) == (QUEUE["Id"], ("lead",))
    assert sorted({object for object, _ in told(sf)}) == ["queue", "queue object"]


@pytest.mark.parametrize(
    "wrong",
    [None, "x", {"type": "string"}, {"name": 7}, {"name": "Odd__c", "type": ["string"]}],
)
def test_a_described_field_that_cannot_be_read_hides_no_other(wire: responses.RequestsMock, wrong: Any) -> None:
    wire.get(f"{DATA}/sobjects/Lead/describe", json={"fields": [wrong, *DESCRIBE["fields"]]})
    wire.get(f"{DATA}/query/", json=page({"Id": ORG, "Name": "Acme"}))
    sf = connector()
    assert "Title" in sf.describe("lead")
    assert [said for said in sf.check().problems if "cannot be read" in said]


def test_a_picklist_value_without_a_name_is_no_option(wire: responses.RequestsMock) -> None:
    values: list[Any] = [None, {"label": "x"}, {"value": 1}, {"value": "Web"}, {"value": "Old", "active": False}]
    field = {"name": "LeadSource", "type": "picklist", "picklistValues": values}
    wire.get(f"{DATA}/sobjects/Lead/describe", json={"fields": [field]})
    assert connector().describe("lead")["LeadSource"].options == ("Web",)
