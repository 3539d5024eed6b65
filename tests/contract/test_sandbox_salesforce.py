"""The sandbox org as simple-salesforce meets it: every request below goes through the real client, over HTTP."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from connectors.sandbox import Fault, FaultKind, Sandbox
from connectors.sandbox.salesforce import SalesforceOrg

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Loopback(HTTPAdapter):
    """Sends every https request to the sandbox, whatever host it names."""

    def __init__(self, url: str) -> None:
        self._netloc = urlsplit(url).netloc
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = urlunsplit(("http", self._netloc, *urlsplit(str(request.url))[2:]))
        kwargs["timeout"] = kwargs.get("timeout") or 20
        return super().send(request, *args, **kwargs)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox.start(at=NOW) as box:
        box.clock.freeze(NOW)
        yield box


@pytest.fixture
def org(box: Sandbox) -> SalesforceOrg:
    return box.salesforce


@pytest.fixture
def http(box: Sandbox) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", Loopback(box.url))
        yield session


@pytest.fixture
def sf(org: SalesforceOrg, http: requests.Session) -> Any:
    return connect(org, http)


def connect(org: SalesforceOrg, http: requests.Session, **more: Any) -> Any:
    keys = {"consumer_key": org.consumer_key, "consumer_secret": org.consumer_secret, "domain": "acme.my"}
    return Salesforce(**(keys | more), session=http, object_pairs_hook=dict)


def lead(org: SalesforceOrg, last: str = "Adams", **fields: Any) -> str:
    at = fields.pop("at", None)
    return org.add("Lead", {"LastName": last, "Company": "ACME", **fields}, at=at)


def codes(caught: pytest.ExceptionInfo[Any]) -> list[str]:
    return [one["errorCode"] for one in caught.value.content]


def patch(sf: Any, *records: dict[str, Any], object: str = "Lead", **more: Any) -> list[dict[str, Any]]:
    body = {"records": [{"attributes": {"type": object}, **one} for one in records], **more}
    return sf.restful("composite/sobjects", method="PATCH", json=body)


def post(sf: Any, *records: dict[str, Any], object: str = "Task", **more: Any) -> list[dict[str, Any]]:
    body = {"records": [{"attributes": {"type": object}, **one} for one in records], **more}
    return sf.restful("composite/sobjects", method="POST", json=body)


def status_codes(results: list[dict[str, Any]]) -> list[str]:
    """``ok`` or the first status code, item by item."""
    return ["ok" if one["success"] else one["errors"][0]["statusCode"] for one in results]


def make_field(sf: Any, full_name: str, *, shown: bool = True, **metadata: Any) -> str:
    """A custom field through the Tooling API, and the permission to see it."""
    body = {"FullName": full_name, "Metadata": {"label": full_name.partition(".")[2][:-3], **metadata}}
    field_id = sf.toolingexecute("sobjects/CustomField", method="POST", data=body)["id"]
    if shown:
        grant(sf, full_name)
    return field_id


def grant(sf: Any, full_name: str, *, edit: bool = True) -> None:
    found = sf.query("SELECT Id FROM PermissionSet WHERE Name = 'Sync'")["records"]
    if found:
        permission_set = found[0]["Id"]
    else:
        permission_set = sf.PermissionSet.create({"Name": "Sync", "Label": "Sync"})["id"]
        user = sf.query("SELECT Id FROM User WHERE Username LIKE 'integration@%'")["records"][0]["Id"]
        sf.PermissionSetAssignment.create({"AssigneeId": user, "PermissionSetId": permission_set})
    owner = full_name.partition(".")[0]
    for name in ("Task", "Event") if owner == "Activity" else (owner,):
        field = full_name.replace("Activity", name)
        wish = {"ParentId": permission_set, "SobjectType": name, "Field": field, "PermissionsRead": True}
        sf.FieldPermissions.create(wish | {"PermissionsEdit": edit})


def fields_of(sf: Any, object: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in getattr(sf, object).describe()["fields"]}


# -- login


def test_client_credentials_open_a_session(sf: Any, org: SalesforceOrg) -> None:
    assert sf.session_id.startswith(org.org_id[:15] + "!")
    assert sf.query("SELECT Id FROM Organization")["records"][0]["Id"] == org.org_id


def test_a_token_names_the_user_and_the_instance(box: Sandbox, http: requests.Session) -> None:
    org = box.salesforce
    form = {"grant_type": "refresh_token", "client_id": org.consumer_key, "client_secret": org.consumer_secret}
    answer = http.post(f"{box.url}/services/oauth2/token", data=form | {"refresh_token": org.refresh_token})
    body = answer.json()
    assert body["id"].endswith(f"/id/{org.org_id}/{org.user_id}")
    assert (body["token_type"], body["instance_url"]) == ("Bearer", box.url)
    assert body["issued_at"] == str(int(NOW.timestamp() * 1000))


@pytest.mark.parametrize(
    ("login", "code"),
    [
        ({"consumer_key": "other"}, "invalid_client_id"),
        ({"consumer_secret": "other"}, "invalid_client"),
        ({"username": "integration@sandbox.example", "password": "wrong"}, "invalid_grant"),
    ],
)
def test_wrong_keys_are_refused_with_oauths_words(
    org: SalesforceOrg, http: requests.Session, login: dict[str, str], code: str
) -> None:
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        connect(org, http, **login)
    assert caught.value.code == code


def test_username_and_password_log_in_by_oauth(org: SalesforceOrg, http: requests.Session) -> None:
    sf = connect(org, http, username=org.username, password=org.password)
    assert sf.query("SELECT COUNT() FROM User")["totalSize"] == 3


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({}, None),
        ({"iss": "other"}, "invalid_client_id"),
        ({"sub": "nobody@sandbox.example"}, "invalid_grant"),
        ({"aud": ""}, "invalid_grant"),
    ],
)
def test_a_jwt_needs_the_right_issuer_and_subject(
    box: Sandbox, http: requests.Session, claims: dict[str, str], error: str | None
) -> None:
    org = box.salesforce
    own = {"iss": org.consumer_key, "sub": org.username, "aud": "https://login.salesforce.com"} | claims
    middle = base64.urlsafe_b64encode(json.dumps(own).encode()).rstrip(b"=").decode()
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": f"e30.{middle}.c2ln"}
    body = http.post(f"{box.url}/services/oauth2/token", data=form).json()
    assert body.get("error") == error
    assert ("access_token" in body) is (error is None)


def test_a_login_may_name_another_instance(org: SalesforceOrg, http: requests.Session) -> None:
    org.instance_url = "https://elsewhere.my.salesforce.com"
    assert connect(org, http).sf_instance == "elsewhere.my.salesforce.com"


def test_an_unknown_grant_is_refused(box: Sandbox, http: requests.Session) -> None:
    answer = http.post(f"{box.url}/services/oauth2/token", data={"grant_type": "magic"})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_soap_login_needs_the_security_token(org: SalesforceOrg, http: requests.Session) -> None:
    own = {"username": org.username, "password": org.password, "session": http}
    sf = Salesforce(security_token=org.security_token, **own)
    assert sf.query("SELECT COUNT() FROM User")["totalSize"] == 3
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        Salesforce(security_token="", **own)
    assert caught.value.code == "LOGIN_MUST_USE_SECURITY_TOKEN"


def test_soap_login_from_a_trusted_address_names_the_organization(org: SalesforceOrg, http: requests.Session) -> None:
    sf = Salesforce(username=org.username, password=org.password, organizationId=org.org_id, session=http)
    assert sf.query("SELECT COUNT() FROM User")["totalSize"] == 3


def test_a_wrong_password_is_an_invalid_login(org: SalesforceOrg, http: requests.Session) -> None:
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        Salesforce(username=org.username, password="wrong", security_token="x", session=http)
    assert caught.value.code == "INVALID_LOGIN"


def test_soap_login_no_longer_exists_in_version_65(org: SalesforceOrg, http: requests.Session) -> None:
    own = {"username": org.username, "password": org.password, "security_token": org.security_token}
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        Salesforce(**own, session=http, version="65.0")
    assert caught.value.code == "UNSUPPORTED_API_VERSION"


def test_an_expired_session_is_401_and_the_client_logs_in_again(
    org: SalesforceOrg, sf: Any, http: requests.Session
) -> None:
    org.expire_sessions()
    assert sf.query("SELECT COUNT() FROM User")["totalSize"] == 3
    direct = Salesforce(session_id=org.session_id(), instance="acme.my.salesforce.com", session=http)
    org.expire_sessions()
    with pytest.raises(SalesforceExpiredSession) as caught:
        direct.query("SELECT Id FROM User")
    assert codes(caught) == ["INVALID_SESSION_ID"]


def test_a_single_session_org_ends_the_session_before(org: SalesforceOrg, http: requests.Session) -> None:
    org.single_session = True
    first = Salesforce(session_id=org.session_id(), instance="acme.my.salesforce.com", session=http)
    assert first.query("SELECT COUNT() FROM User")["totalSize"] == 3
    org.session_id()
    with pytest.raises(SalesforceExpiredSession):
        first.query("SELECT COUNT() FROM User")


def test_an_idle_session_ends_after_its_lifetime(box: Sandbox, http: requests.Session) -> None:
    box.salesforce.session_lifetime = timedelta(hours=2)
    direct = Salesforce(session_id=box.salesforce.session_id(), instance="acme.my.salesforce.com", session=http)
    box.clock.move(timedelta(hours=1))
    assert direct.query("SELECT COUNT() FROM User")["totalSize"] == 3
    box.clock.move(timedelta(hours=3))
    with pytest.raises(SalesforceExpiredSession):
        direct.query("SELECT COUNT() FROM User")


# -- versions and limits


@pytest.mark.parametrize(
    ("version", "status"), [("30.0", 410), ("20.0", 404), ("69.0", 404), ("31.0", 200), ("68.0", 200)]
)
def test_served_versions_are_31_to_68(box: Sandbox, http: requests.Session, version: str, status: int) -> None:
    token = {"Authorization": f"Bearer {box.salesforce.session_id()}"}
    assert http.get(f"{box.url}/services/data/v{version}/", headers=token).status_code == status


def test_the_version_list_needs_no_session(box: Sandbox, http: requests.Session) -> None:
    listed = http.get(f"{box.url}/services/data").json()
    assert (listed[0]["version"], listed[-1]["version"]) == ("31.0", "68.0")
    assert {one["version"]: one["label"] for one in listed}["67.0"] == "Summer '26"


def test_the_resource_root_names_the_identity(sf: Any, org: SalesforceOrg) -> None:
    assert sf.restful("")["identity"].endswith(f"{org.org_id}/{org.user_id}")


def test_every_answer_tells_the_usage(sf: Any, org: SalesforceOrg) -> None:
    org.daily_limit = 500
    sf.query("SELECT Id FROM Lead")
    assert (sf.api_usage["api-usage"].used, sf.api_usage["api-usage"].total) == (1, 500)
    assert sf.limits()["DailyApiRequests"] == {"Max": 500, "Remaining": 498}


def test_a_spent_day_refuses_until_24_hours_have_gone(sf: Any, box: Sandbox) -> None:
    box.salesforce.daily_limit = 1
    sf.query("SELECT Id FROM Lead")
    with pytest.raises(SalesforceRefusedRequest) as caught:
        sf.query("SELECT Id FROM Lead")
    assert codes(caught) == ["REQUEST_LIMIT_EXCEEDED"]
    box.clock.move(timedelta(hours=25))
    assert sf.query("SELECT Id FROM Lead")["totalSize"] == 0


def test_a_scripted_limit_is_403_or_503(sf: Any, box: Sandbox) -> None:
    box.faults.add(Fault(kind=FaultKind.RATE_LIMITED, crm="salesforce"))
    with pytest.raises(SalesforceRefusedRequest):
        sf.query("SELECT Id FROM Lead")
    box.faults.add(Fault(kind=FaultKind.RATE_LIMITED, crm="salesforce", status=503))
    with pytest.raises(SalesforceGeneralError) as caught:
        sf.query("SELECT Id FROM Lead")
    assert (caught.value.status, codes(caught)) == (503, ["SERVER_UNAVAILABLE"])


def test_a_scripted_expiry_ends_the_session_it_hits(box: Sandbox, sf: Any) -> None:
    before = sf.session_id
    box.faults.add(Fault(kind=FaultKind.EXPIRED_TOKEN, crm="salesforce"))
    assert sf.query("SELECT COUNT() FROM User")["totalSize"] == 3
    assert sf.session_id != before


def test_a_query_longer_than_a_uri_may_be_is_414_with_html(sf: Any) -> None:
    ids = "','".join(["00Q5g0000000001EAA"] * 900)
    with pytest.raises(SalesforceGeneralError) as caught:
        sf.query(f"SELECT Id FROM Lead WHERE Id IN ('{ids}')")
    assert caught.value.status == 414
    assert "<h1>" in str(caught.value.content)


# -- SOQL over REST


def test_pages_follow_their_locator(sf: Any, org: SalesforceOrg) -> None:
    made = [lead(org, f"L{n}") for n in range(7)]
    org.page_size = 3
    first = sf.query("SELECT Id FROM Lead")
    assert (first["totalSize"], first["done"], len(first["records"])) == (7, False, 3)
    assert first["nextRecordsUrl"].endswith("-3")
    assert [one["Id"] for one in sf.query_all("SELECT Id FROM Lead")["records"]] == made


def test_a_page_keeps_the_rows_it_found(sf: Any, org: SalesforceOrg) -> None:
    made = [lead(org, f"L{n}") for n in range(4)]
    org.page_size = 2
    first = sf.query("SELECT Id, LastName FROM Lead")
    org.edit("Lead", made[3], {"LastName": "Changed"})
    org.delete("Lead", made[2])
    rest = sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    assert [one["LastName"] for one in rest["records"]] == ["L2", "L3"]
    assert "nextRecordsUrl" not in rest


def test_the_batch_size_is_asked_by_header_200_at_least(sf: Any, org: SalesforceOrg) -> None:
    for n in range(250):
        lead(org, f"L{n}")
    page = sf.query("SELECT Id FROM Lead", headers={"Sforce-Query-Options": "batchSize=10"})
    assert len(page["records"]) == 200


@pytest.mark.parametrize("locator", ["01g000000000000AAA-2000", "nonsense"])
def test_a_locator_nobody_gave_out_is_invalid(sf: Any, locator: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.query_more(locator)
    assert codes(caught) == ["INVALID_QUERY_LOCATOR"]


def test_a_locator_lives_two_days(sf: Any, box: Sandbox) -> None:
    for n in range(3):
        lead(box.salesforce, f"L{n}")
    box.salesforce.page_size = 2
    first = sf.query("SELECT Id FROM Lead")
    box.clock.move(timedelta(days=2, seconds=1))
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    assert codes(caught) == ["INVALID_QUERY_LOCATOR"]


def test_rows_carry_type_url_and_null_parents(sf: Any, org: SalesforceOrg) -> None:
    person = org.add("Contact", {"LastName": "Adams"})
    row = sf.query("SELECT Id, Account.Industry, SystemModstamp FROM Contact")["records"][0]
    assert row["attributes"] == {"type": "Contact", "url": f"/services/data/v59.0/sobjects/Contact/{person}"}
    assert row["Account"] is None
    assert row["SystemModstamp"] == "2026-03-02T09:00:00.000+0000"


def test_query_all_shows_the_deleted_and_the_archived(sf: Any, org: SalesforceOrg) -> None:
    gone = lead(org)
    org.delete("Lead", gone)
    old = org.add("Task", {"Subject": "old", "Status": "Completed", "IsArchived": True})
    assert sf.query("SELECT Id FROM Lead")["totalSize"] == 0
    assert sf.query("SELECT Id FROM Lead", include_deleted=True)["records"][0]["Id"] == gone
    assert sf.query("SELECT Id FROM Task")["totalSize"] == 0
    assert sf.query("SELECT Id FROM Task", include_deleted=True)["records"][0]["Id"] == old


def test_ten_thousand_rows_come_by_keyset_each_once(sf: Any, org: SalesforceOrg) -> None:
    made = {lead(org, f"L{n}", at=NOW - timedelta(seconds=n // 3000)) for n in range(10_000)}
    seen: list[str] = []
    stamp, last = "1970-01-01T00:00:00Z", "000000000000000AAA"
    while True:
        page = sf.query(
            "SELECT Id, SystemModstamp FROM Lead WHERE SystemModstamp < 2026-03-02T09:00:01Z "
            f"AND (SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > '{last}')) "
            "ORDER BY SystemModstamp, Id LIMIT 2000"
        )["records"]
        if not page:
            break
        seen += [one["Id"] for one in page]
        stamp, last = page[-1]["SystemModstamp"].replace("+0000", "Z"), page[-1]["Id"]
    assert len(seen) == 10_000
    assert set(seen) == made


# -- describe


def test_describe_tells_what_a_preflight_asks(sf: Any) -> None:
    lead_fields = fields_of(sf, "Lead")
    assert lead_fields["OwnerId"]["referenceTo"] == ["User", "Group"]
    assert lead_fields["OwnerId"]["relationshipName"] == "Owner"
    assert (lead_fields["Company"]["length"], lead_fields["Company"]["nillable"]) == (255, False)
    assert [lead_fields[name]["updateable"] for name in ("IsConverted", "SystemModstamp", "Email")] == [
        False,
        False,
        True,
    ]
    assert {lead_fields[n]["type"] for n in ("Status", "Email", "AnnualRevenue", "NumberOfEmployees", "Id")} == {
        *("picklist", "email", "currency", "int", "id")
    }
    assert lead_fields["Status"]["picklistValues"][0]["value"] == "Open - Not Contacted"
    assert fields_of(sf, "Contact")["OwnerId"]["referenceTo"] == ["User"]


def test_global_describe_lists_objects_but_not_tooling(sf: Any) -> None:
    names = {one["name"] for one in sf.describe()["sobjects"]}
    assert {"Lead", "Contact", "Group", "LeadStatus", "FieldPermissions"} <= names
    assert "CustomField" not in names


def test_describe_is_304_until_the_schema_moves(box: Sandbox, sf: Any) -> None:
    since = {"If-Modified-Since": "Mon, 02 Mar 2026 09:00:00 GMT"}
    assert sf.restful("sobjects/Lead/describe", headers=since)["name"] == "Lead"  # the second is not over yet
    box.clock.move(timedelta(seconds=1))
    with pytest.raises(SalesforceGeneralError) as caught:
        sf.restful("sobjects/Lead/describe", headers=since)
    assert caught.value.status == 304
    box.clock.move(timedelta(minutes=1))
    make_field(sf, "Lead.MQL_Score__c", type="Number", precision=6, scale=2)
    assert sf.restful("sobjects/Lead/describe", headers=since)["name"] == "Lead"


def test_an_object_the_org_has_not_is_not_found(sf: Any) -> None:
    with pytest.raises(SalesforceResourceNotFound):
        sf.Quote.describe()


# -- custom fields


def test_a_new_field_is_invisible_until_it_is_granted(sf: Any, org: SalesforceOrg) -> None:
    someone = lead(org)
    make_field(sf, "Lead.MQL_Score__c", shown=False, type="Number", precision=6, scale=2)
    assert "MQL_Score__c" not in fields_of(sf, "Lead")
    with pytest.raises(SalesforceMalformedRequest) as unread:
        sf.query("SELECT MQL_Score__c FROM Lead")
    with pytest.raises(SalesforceMalformedRequest) as unwritten:
        sf.Lead.update(someone, {"MQL_Score__c": 5})
    assert codes(unread) == codes(unwritten) == ["INVALID_FIELD"]
    assert "No such column 'MQL_Score__c' on entity 'Lead'" in unread.value.content[0]["message"]
    grant(sf, "Lead.MQL_Score__c")
    sf.Lead.update(someone, {"MQL_Score__c": 87})
    assert sf.query("SELECT MQL_Score__c FROM Lead")["records"][0]["MQL_Score__c"] == 87.0
    field = fields_of(sf, "Lead")["MQL_Score__c"]
    assert (field["type"], field["precision"], field["scale"], field["updateable"]) == ("double", 6, 2, True)


def test_a_field_granted_for_reading_only_cannot_be_written(sf: Any, org: SalesforceOrg) -> None:
    someone = lead(org)
    make_field(sf, "Lead.MQL_Reason__c", shown=False, type="Text", length=80)
    grant(sf, "Lead.MQL_Reason__c", edit=False)
    assert fields_of(sf, "Lead")["MQL_Reason__c"]["updateable"] is False
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.Lead.update(someone, {"MQL_Reason__c": "why"})
    assert codes(caught) == ["INVALID_FIELD_FOR_INSERT_UPDATE"]


def test_fields_may_be_visible_at_once_where_the_org_says_so(sf: Any, org: SalesforceOrg) -> None:
    org.fields_visible_at_once = True
    make_field(sf, "Contact.MQL_Date__c", shown=False, type="DateTime")
    assert fields_of(sf, "Contact")["MQL_Date__c"]["type"] == "datetime"


def test_the_same_field_twice_is_a_duplicate(sf: Any) -> None:
    make_field(sf, "Lead.MQL_Score__c", type="Number", precision=6, scale=2)
    with pytest.raises(SalesforceMalformedRequest) as caught:
        make_field(sf, "Lead.MQL_Score__c", type="Number", precision=6, scale=2)
    assert codes(caught) == ["DUPLICATE_DEVELOPER_NAME"]


def test_the_tooling_api_finds_a_field_by_name(sf: Any) -> None:
    made = make_field(sf, "Lead.MQL_Score__c", type="Number", precision=6, scale=2)
    where = "WHERE TableEnumOrId = 'Lead' AND DeveloperName = 'MQL_Score'"
    found = sf.toolingexecute(f"query/?q=SELECT Id, Metadata, Precision FROM CustomField {where}")["records"]
    assert [(one["Id"], one["Metadata"]["precision"], one["Precision"]) for one in found] == [(made, 6, 6)]


def test_a_field_of_activity_is_on_task_and_event(sf: Any) -> None:
    make_field(sf, "Activity.MQL_Key__c", type="Text", length=64, unique=True, externalId=True)
    for name in ("Task", "Event"):
        field = fields_of(sf, name)["MQL_Key__c"]
        assert (field["unique"], field["externalId"], field["length"]) == (True, True, 64)


def test_a_unique_key_refuses_the_second_task(sf: Any) -> None:
    make_field(sf, "Activity.MQL_Key__c", type="Text", length=64, unique=True)
    once = {"Subject": "Call", "MQL_Key__c": "p:1"}
    assert status_codes(post(sf, once)) == ["ok"]
    again = post(sf, once | {"MQL_Key__c": "P:1"}, {"Subject": "Other", "MQL_Key__c": "p:2"})
    assert status_codes(again) == ["DUPLICATE_VALUE", "ok"]


def test_an_org_may_silently_refuse_uniqueness_on_activity(sf: Any, org: SalesforceOrg) -> None:
    org.unique_activity_fields = False
    make_field(sf, "Activity.MQL_Key__c", type="Text", length=64, unique=True)
    assert fields_of(sf, "Task")["MQL_Key__c"]["unique"] is False
    once = {"Subject": "Call", "MQL_Key__c": "p:1"}
    assert status_codes(post(sf, once, once)) == ["ok", "ok"]


def test_without_customize_application_no_field_is_made(sf: Any, org: SalesforceOrg) -> None:
    org.customize_application = False
    with pytest.raises(SalesforceRefusedRequest) as caught:
        make_field(sf, "Lead.MQL_Score__c", type="Number", precision=6, scale=2)
    assert codes(caught) == ["INSUFFICIENT_ACCESS"]


@pytest.mark.parametrize(
    ("name", "metadata", "code"),
    [
        ("Lead.Score", {"type": "Number", "precision": 6, "scale": 0}, "FIELD_INTEGRITY_EXCEPTION"),
        ("Lead.Score__c", {"type": "Number"}, "FIELD_INTEGRITY_EXCEPTION"),
        ("Lead.Score__c", {"type": "Text", "length": 300}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ("Lead.Score__c", {"type": "Picklist"}, "FIELD_INTEGRITY_EXCEPTION"),
        ("Lead.Score__c", {"type": "Magic"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ("Task.Score__c", {"type": "Text", "length": 3}, "INVALID_FIELD"),
    ],
)
def test_metadata_that_makes_no_field_is_refused(sf: Any, name: str, metadata: dict[str, Any], code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        make_field(sf, name, **metadata)
    assert codes(caught) == [code]


def test_a_picklist_can_be_given_more_values(sf: Any, org: SalesforceOrg) -> None:
    def values(*names: str) -> dict[str, Any]:
        options = [{"fullName": name, "label": name, "default": False} for name in names]
        return {"type": "Picklist", "valueSet": {"restricted": True, "valueSetDefinition": {"value": options}}}

    someone = lead(org)
    made = make_field(sf, "Lead.MQL_Status__c", **values("MQL"))
    assert status_codes(patch(sf, {"id": someone, "MQL_Status__c": "Review"})) == [
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    ]
    more = {"Metadata": {"label": "MQL Status", **values("MQL", "Review")}}
    sf.toolingexecute(f"sobjects/CustomField/{made}", method="PATCH", data=more)
    assert status_codes(patch(sf, {"id": someone, "MQL_Status__c": "Review"})) == ["ok"]


# -- single rows


def test_a_row_is_created_read_changed_and_deleted(sf: Any, org: SalesforceOrg) -> None:
    made = sf.Lead.create({"LastName": "Adams", "FirstName": "Ann", "Company": "ACME"})
    assert made["success"] is True
    got = sf.Lead.get(made["id"])
    assert (got["Name"], got["Status"], got["OwnerId"]) == ("Ann Adams", "Open - Not Contacted", org.user_id)
    assert sf.Lead.update(made["id"][:15], {"Title": "  CEO "}) == 204
    assert org.get("Lead", made["id"])["Title"] == "CEO"
    assert sf.Lead.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound) as caught:
        sf.Lead.get(made["id"])
    assert codes(caught) == ["ENTITY_IS_DELETED"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"Nonsense": 1}, "INVALID_FIELD"),
        ({"IsConverted": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Company": "x" * 256}, "STRING_TOO_LONG"),
        ({"LastName": None}, "REQUIRED_FIELD_MISSING"),
        ({"LastName": "  "}, "REQUIRED_FIELD_MISSING"),
        ({"Email": "nobody"}, "INVALID_EMAIL_ADDRESS"),
        ({"NumberOfEmployees": 999_999_999}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"OwnerId": "005xx"}, "MALFORMED_ID"),
        ({"OwnerId": "0055g000000zzzz"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"OwnerId": "0035g0000000001"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"HasOptedOutOfEmail": None}, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
        ({"Status": "Closed - Converted"}, "INVALID_STATUS"),
        ({"HasOptedOutOfEmail": "perhaps"}, "JSON_PARSER_ERROR"),
        ({"EmailBouncedDate": "2026-01-01T00:00:00"}, "JSON_PARSER_ERROR"),
        ({"Id": "00Q5g0000000001EAA"}, "INVALID_FIELD"),
    ],
)
def test_a_bad_value_is_refused_by_its_code(sf: Any, org: SalesforceOrg, body: dict[str, Any], code: str) -> None:
    someone = lead(org)
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.Lead.update(someone, body)
    assert codes(caught) == [code]


@pytest.mark.parametrize("record_id", ["00Q000000000000", "0015g0000000001", "short"])
def test_an_id_that_is_no_lead_of_the_org_is_not_found(sf: Any, record_id: str) -> None:
    with pytest.raises(SalesforceResourceNotFound) as caught:
        sf.Lead.update(record_id, {"Title": "x"})
    assert codes(caught) == ["NOT_FOUND"]


def test_a_body_that_is_not_json_is_a_parser_error(sf: Any) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.restful("sobjects/Lead", method="POST", data="{nonsense")
    assert codes(caught) == ["JSON_PARSER_ERROR"]


def test_a_status_that_is_no_option_is_taken_as_it_is(sf: Any, org: SalesforceOrg) -> None:
    """Lead.Status is an unrestricted picklist: the API accepts any text."""
    someone = lead(org)
    sf.Lead.update(someone, {"Status": "Wrking"})
    assert org.get("Lead", someone)["Status"] == "Wrking"


def test_a_conditional_update_sees_a_later_change(sf: Any, box: Sandbox) -> None:
    someone = lead(box.salesforce)
    box.clock.move(timedelta(minutes=1))
    box.salesforce.edit("Lead", someone, {"Title": "CEO"})
    with pytest.raises(SalesforceGeneralError) as caught:
        sf.Lead.update(someone, {"Title": "x"}, headers={"If-Unmodified-Since": "Mon, 02 Mar 2026 09:00:30 GMT"})
    assert caught.value.status == 412
    sf.Lead.update(someone, {"Title": "x"}, headers={"If-Unmodified-Since": "Mon, 02 Mar 2026 09:01:00 GMT"})


def test_an_upsert_creates_then_updates(sf: Any, org: SalesforceOrg) -> None:
    make_field(sf, "Activity.MQL_Key__c", type="Text", length=64, unique=True, externalId=True)
    created = sf.Task.upsert("MQL_Key__c/abc", {"Subject": "Call"}, raw_response=True)
    updated = sf.Task.upsert("MQL_Key__c/abc", {"Subject": "Call again"}, raw_response=True)
    assert (created.status_code, created.json()["created"]) == (201, True)
    assert (updated.status_code, updated.json()["created"]) == (200, False)
    assert [task["Subject"] for task in org.tasks()] == ["Call again"]
    assert sf.Task.get_by_custom_id("MQL_Key__c", "abc")["Id"] == created.json()["id"]


def test_an_upsert_that_fits_several_rows_is_300(sf: Any) -> None:
    make_field(sf, "Lead.Ext__c", type="Text", length=64, externalId=True)
    for name in ("a", "b"):
        sf.Lead.create({"LastName": name, "Company": "ACME", "Ext__c": "same"})
    with pytest.raises(SalesforceMoreThanOneRecord):
        sf.Lead.upsert("Ext__c/same", {"Title": "x"})


# -- rules of the records


def test_every_write_moves_the_stamp_also_an_equal_one(sf: Any, box: Sandbox) -> None:
    someone = lead(box.salesforce, Title="CEO")
    box.clock.move(timedelta(seconds=90))
    sf.Lead.update(someone, {"Title": "CEO"})
    row = box.salesforce.get("Lead", someone)
    assert row["SystemModstamp"] == "2026-03-02T09:01:30.000+0000"
    assert row["LastModifiedById"] == box.salesforce.user_id
    assert [dict(entry.changes) for entry in box.journal.writes()] == [{}]


def test_the_assignment_rule_takes_the_owner_unless_the_header_says_no(sf: Any, org: SalesforceOrg) -> None:
    rule, mine = org.add_user("rule@x.example", "Rule Owner"), org.add_user("rep@x.example", "Rita Rep")
    org.assignment_rule_owner = rule
    someone = lead(org)
    sf.Lead.update(someone, {"OwnerId": mine})
    assert org.get("Lead", someone)["OwnerId"] == rule
    sf.Lead.update(someone, {"OwnerId": mine}, headers={"Sforce-Auto-Assign": "false"})
    assert org.get("Lead", someone)["OwnerId"] == mine
    patch(sf, {"id": someone, "Title": "x"})
    assert org.get("Lead", someone)["OwnerId"] == rule


def test_only_those_who_may_own_do(sf: Any, org: SalesforceOrg) -> None:
    gone = org.add_user("gone@x.example", "Gone Rep", active=False)
    queue, other = org.add_queue("Leads", "Leads"), org.add_queue("Cases", "Cases", objects=("Case",))
    someone, person = lead(org), org.add("Contact", {"LastName": "Adams"})
    results = [patch(sf, {"id": someone, "OwnerId": owner})[0] for owner in (gone, queue, other)]
    assert status_codes(results) == ["INACTIVE_OWNER_OR_USER", "ok", "FIELD_INTEGRITY_EXCEPTION"]
    assert status_codes(patch(sf, {"id": person, "OwnerId": queue}, object="Contact")) == [
        "INVALID_CROSS_REFERENCE_KEY"
    ]


def test_a_row_of_an_inactive_owner_takes_other_changes(sf: Any, org: SalesforceOrg) -> None:
    rep = org.add_user("rep@x.example", "Rita Rep")
    someone = lead(org, OwnerId=rep)
    org.edit("User", rep, {"IsActive": False})
    assert status_codes(patch(sf, {"id": someone, "Title": "CEO"}, {"id": lead(org), "OwnerId": rep})) == [
        *("ok", "INACTIVE_OWNER_OR_USER")
    ]


def test_a_lead_as_who_leaves_no_room_for_a_what(sf: Any, org: SalesforceOrg) -> None:
    account = org.add("Account", {"Name": "ACME"})
    results = post(sf, {"WhoId": lead(org), "WhatId": account}, {"WhoId": lead(org)}, {"WhatId": account})
    assert status_codes(results) == ["FIELD_INTEGRITY_EXCEPTION", "ok", "ok"]


def test_a_task_moves_its_parents_last_activity_and_stamp(sf: Any, box: Sandbox) -> None:
    org = box.salesforce
    someone = lead(org)
    box.clock.move(timedelta(minutes=5))
    sf.Task.create({"WhoId": someone, "Subject": "Call", "ActivityDate": "2026-03-04"})
    row = org.get("Lead", someone)
    assert row["LastActivityDate"] == "2026-03-04"
    assert row["SystemModstamp"] == "2026-03-02T09:05:00.000+0000"
    assert row["LastModifiedDate"] == "2026-03-02T09:00:00.000+0000"


def test_a_closed_task_knows_when_it_was_completed(sf: Any, org: SalesforceOrg) -> None:
    made = sf.Task.create({"Subject": "Call", "Status": "Completed"})["id"]
    row = sf.Task.get(made)
    assert (row["IsClosed"], row["CompletedDateTime"]) == (True, "2026-03-02T09:00:00.000+0000")
    sf.Task.update(made, {"Status": "Not Started"})
    assert (org.get("Task", made)["IsClosed"], org.get("Task", made)["CompletedDateTime"]) == (False, None)


def test_a_campaign_member_is_there_once_and_its_status_decides_the_response(sf: Any, org: SalesforceOrg) -> None:
    campaign, someone = org.add("Campaign", {"Name": "Webinar", "Type": "Webinar"}), lead(org)
    once = {"CampaignId": campaign, "LeadId": someone}
    results = post(sf, once, once, {"CampaignId": campaign}, object="CampaignMember")
    assert status_codes(results) == ["ok", "DUPLICATE_VALUE", "REQUIRED_FIELD_MISSING"]
    sf.CampaignMember.update(results[0]["id"], {"Status": "Responded"})
    query = "SELECT HasResponded, FirstRespondedDate, Campaign.Type FROM CampaignMember"
    row = sf.query(query)["records"][0]
    assert (row["HasResponded"], row["FirstRespondedDate"]) == (True, "2026-03-02")
    assert row["Campaign"]["Type"] == "Webinar"


def test_a_converted_lead_lives_on_as_a_contact(sf: Any, org: SalesforceOrg) -> None:
    campaign = org.add("Campaign", {"Name": "Webinar"})
    someone = lead(org, FirstName="Ann", Email="ann@acme.example", City="Bonn")
    member = org.add("CampaignMember", {"CampaignId": campaign, "LeadId": someone})
    call = org.add("Task", {"WhoId": someone, "Subject": "Call"})
    person = org.convert(someone)
    row = org.get("Lead", someone)
    assert (row["IsConverted"], row["ConvertedContactId"], row["ConvertedDate"]) == (True, person, "2026-03-02")
    contact = sf.query("SELECT Name, Email, MailingCity, Account.Name FROM Contact")["records"][0]
    assert (contact["Name"], contact["Email"], contact["MailingCity"]) == ("Ann Adams", "ann@acme.example", "Bonn")
    assert contact["Account"]["Name"] == "ACME"
    assert org.get("Task", call)["WhoId"] == person
    assert (org.get("CampaignMember", member)["LeadId"], org.get("CampaignMember", member)["ContactId"]) == (
        someone,
        person,
    )
    assert status_codes(patch(sf, {"id": someone, "Title": "x"})) == ["CANNOT_UPDATE_CONVERTED_LEAD"]
    assert status_codes(post(sf, {"WhoId": someone})) == ["CANNOT_UPDATE_CONVERTED_LEAD"]


def test_a_merged_lead_is_seen_only_by_query_all_and_names_its_winner(sf: Any, org: SalesforceOrg) -> None:
    winner, loser = lead(org, "Winner"), lead(org, "Loser")
    call = org.add("Task", {"WhoId": loser, "Subject": "Call"})
    org.merge("Lead", winner, loser)
    query = "SELECT Id, MasterRecordId FROM Lead WHERE IsDeleted = true"
    assert sf.query(query)["totalSize"] == 0
    assert sf.query(query, include_deleted=True)["records"][0]["MasterRecordId"] == winner
    assert org.get("Task", call)["WhoId"] == winner
    assert status_codes(patch(sf, {"id": loser, "Title": "x"})) == ["ENTITY_IS_DELETED"]


def test_a_merge_keeps_one_membership_of_a_campaign(org: SalesforceOrg) -> None:
    campaign = org.add("Campaign", {"Name": "Webinar"})
    winner, loser = lead(org, "Winner"), lead(org, "Loser")
    for someone in (winner, loser):
        org.add("CampaignMember", {"CampaignId": campaign, "LeadId": someone})
    org.merge("Lead", winner, loser)
    assert [one["LeadId"] for one in org.all("CampaignMember") if not one["IsDeleted"]] == [winner]


def test_a_deleted_record_can_come_back(sf: Any, org: SalesforceOrg) -> None:
    someone = lead(org)
    org.delete("Lead", someone)
    org.undelete("Lead", someone)
    assert sf.query("SELECT Id FROM Lead")["records"][0]["Id"] == someone
    org.purge("Lead", someone)
    assert sf.query("SELECT Id FROM Lead", include_deleted=True)["totalSize"] == 0


def test_a_held_commit_is_stamped_now_and_seen_later(sf: Any, box: Sandbox) -> None:
    org = box.salesforce
    org.hold_commits(300)
    late = lead(org, "Late")
    org.hold_commits(0)
    box.clock.move(timedelta(minutes=2))
    early = lead(org, "Early")
    query = "SELECT Id, SystemModstamp FROM Lead ORDER BY SystemModstamp"
    assert [one["Id"] for one in sf.query(query)["records"]] == [early]
    box.clock.move(timedelta(minutes=3))
    rows = sf.query(query)["records"]
    assert [one["Id"] for one in rows] == [late, early]
    assert rows[0]["SystemModstamp"] == "2026-03-02T09:00:00.000+0000"


def test_a_locked_row_refuses_as_often_as_it_was_told(sf: Any, org: SalesforceOrg) -> None:
    someone, other = lead(org), lead(org)
    org.lock(someone, 2)
    tries = [status_codes(patch(sf, {"id": someone, "Title": "x"}, {"id": other, "Title": "x"})) for _ in range(3)]
    assert tries == [["UNABLE_TO_LOCK_ROW", "ok"], ["UNABLE_TO_LOCK_ROW", "ok"], ["ok", "ok"]]


# -- collections


def test_results_stand_in_the_order_of_the_records(sf: Any, org: SalesforceOrg) -> None:
    first, second = lead(org), lead(org)
    results = patch(
        sf,
        {"id": second, "Title": "b"},
        {"id": "00Q000000000000", "Title": "?"},
        {"id": "nonsense", "Title": "?"},
        {"id": first, "Nonsense": "?"},
        {"id": first, "Title": "a"},
        {"id": first[:15], "Title": "again"},
    )
    # the refused write to `first` counts as its first mention: the next ones are duplicates
    assert status_codes(results) == [
        *("ok", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID", "INVALID_FIELD", "DUPLICATE_VALUE", "DUPLICATE_VALUE")
    ]
    assert results[0]["id"] == second
    assert "id" not in results[1]


def test_all_or_none_takes_everything_back(sf: Any, box: Sandbox) -> None:
    someone, other = lead(box.salesforce), lead(box.salesforce)
    results = patch(sf, {"id": someone, "Title": "a"}, {"id": other, "Company": None}, allOrNone=True)
    assert status_codes(results) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert box.salesforce.get("Lead", someone)["Title"] is None
    assert box.journal.writes() == []


def test_a_value_of_the_wrong_json_type_refuses_the_whole_request(sf: Any, box: Sandbox) -> None:
    someone, other = lead(box.salesforce), lead(box.salesforce)
    with pytest.raises(SalesforceMalformedRequest) as caught:
        patch(sf, {"id": someone, "Title": "a"}, {"id": other, "NumberOfEmployees": "many"})
    assert codes(caught) == ["JSON_PARSER_ERROR"]
    assert box.journal.writes() == []


def test_more_than_200_records_or_10_runs_of_a_type_are_refused(sf: Any, org: SalesforceOrg) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        post(sf, *[{"Subject": "x"}] * 201)
    assert codes(caught) == ["EXCEEDED_ID_LIMIT"]
    mixed = [
        {"attributes": {"type": name}, "LastName": "x", **({"Company": "x"} if name == "Lead" else {})}
        for name in ("Lead", "Contact") * 6
    ]
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.restful("composite/sobjects", method="POST", json={"records": mixed})
    assert codes(caught) == ["LIMIT_EXCEEDED"]
    sorted_ones = sorted(mixed, key=lambda one: one["attributes"]["type"])
    assert status_codes(sf.restful("composite/sobjects", method="POST", json={"records": sorted_ones})) == ["ok"] * 12


def test_setup_objects_do_not_mix_with_others(sf: Any, org: SalesforceOrg) -> None:
    records = [{"attributes": {"type": "Lead"}, "LastName": "x"}, {"attributes": {"type": "Group"}, "Name": "x"}]
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.restful("composite/sobjects", method="POST", json={"records": records})
    assert codes(caught) == ["MIXED_DML_OPERATION"]


def test_a_collection_upsert_says_which_were_created(sf: Any, org: SalesforceOrg) -> None:
    make_field(sf, "Lead.Ext__c", type="Text", length=64, externalId=True, unique=True)
    body = {"attributes": {"type": "Lead"}, "LastName": "x", "Company": "y"}
    records = [body | {"Ext__c": "a"}, body | {"Ext__c": "b"}, body | {"Ext__c": "A"}]
    call = {"method": "PATCH", "json": {"records": records}}
    results = sf.restful("composite/sobjects/Lead/Ext__c", **call)
    assert status_codes(results) == ["ok", "ok", "DUPLICATE_VALUE"]
    again = sf.restful("composite/sobjects/Lead/Ext__c", **call)
    assert [one.get("created") for one in results + again] == [True, True, None, False, False, None]


def test_a_collection_is_read_with_null_for_what_is_gone(sf: Any, org: SalesforceOrg) -> None:
    here, gone = lead(org, "Here"), lead(org, "Gone")
    org.delete("Lead", gone)
    params = {"ids": f"{gone},{here},00Q000000000000", "fields": "Id,LastName"}
    rows = sf.restful("composite/sobjects/Lead", params=params)
    assert [row and row["LastName"] for row in rows] == [None, "Here", None]
    body = {"ids": [here], "fields": ["LastName"]}
    assert sf.restful("composite/sobjects/Lead", method="POST", json=body)[0]["Id"] == here


def test_a_collection_is_deleted_by_ids(sf: Any, org: SalesforceOrg) -> None:
    one, other = lead(org), lead(org)
    results = sf.restful("composite/sobjects", method="DELETE", params={"ids": f"{one},{other},{one}"})
    assert status_codes(results) == ["ok", "ok", "DUPLICATE_VALUE"]
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 0


def test_a_scripted_partial_batch_commits_the_others_only(sf: Any, box: Sandbox) -> None:
    made = [lead(box.salesforce, f"L{n}") for n in range(5)]
    box.faults.add(Fault(kind=FaultKind.PARTIAL_BATCH, match="PATCH */composite/sobjects*"))
    results = patch(sf, *[{"id": one, "Title": "x"} for one in made])
    assert status_codes(results) == ["UNABLE_TO_LOCK_ROW", "ok", "UNKNOWN_EXCEPTION", "ok", "UNABLE_TO_LOCK_ROW"]
    assert [box.salesforce.get("Lead", one)["Title"] for one in made] == [None, "x", None, "x", None]


# -- composite


def test_a_composite_request_uses_what_came_before(sf: Any, org: SalesforceOrg) -> None:
    root = "/services/data/v59.0"
    wishes = [
        {"method": "POST", "url": f"{root}/sobjects/Account", "referenceId": "a", "body": {"Name": "ACME"}},
        {
            "method": "POST",
            "url": f"{root}/sobjects/Contact",
            "referenceId": "c",
            "body": {"LastName": "Adams", "AccountId": "@{a.id}"},
        },
        {"method": "GET", "url": f"{root}/query/?q=SELECT+Account.Name+FROM+Contact", "referenceId": "q"},
        {"method": "GET", "url": f"{root}/sobjects/Account/@{{q.records[0].Nonsense}}", "referenceId": "n"},
    ]
    answers = sf.restful("composite", method="POST", json={"compositeRequest": wishes})["compositeResponse"]
    assert [one["httpStatusCode"] for one in answers] == [201, 201, 200, 400]
    assert answers[2]["body"]["records"][0]["Account"]["Name"] == "ACME"
    assert answers[3]["body"][0]["errorCode"] == "PROCESSING_HALTED"


def test_an_all_or_none_composite_leaves_nothing_behind(sf: Any, box: Sandbox) -> None:
    url = "/services/data/v59.0/sobjects/Account"
    bodies = ({"Name": "ACME"}, {"Nonsense": 1}, {"Name": "Other"})
    wishes = [{"method": "POST", "url": url, "referenceId": f"r{n}", "body": one} for n, one in enumerate(bodies)]
    body = {"allOrNone": True, "compositeRequest": wishes}
    answers = sf.restful("composite", method="POST", json=body)["compositeResponse"]
    assert [one["body"][0]["errorCode"] for one in answers] == [
        "PROCESSING_HALTED",
        "INVALID_FIELD",
        "PROCESSING_HALTED",
    ]
    assert box.journal.writes() == []


def test_a_composite_request_holds_25(sf: Any) -> None:
    wishes = [{"method": "GET", "url": "/services/data/v59.0/limits", "referenceId": f"r{n}"} for n in range(26)]
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.restful("composite", method="POST", json={"compositeRequest": wishes})
    assert codes(caught) == ["LIMIT_EXCEEDED"]
    assert (
        len(sf.restful("composite", method="POST", json={"compositeRequest": wishes[:25]})["compositeResponse"]) == 25
    )


# -- changes of a window


def test_updated_and_deleted_tell_the_ids_of_a_window(sf: Any, box: Sandbox) -> None:
    org = box.salesforce
    kept, gone = lead(org, at=NOW - timedelta(days=5)), lead(org, at=NOW - timedelta(days=5))
    org.edit("Lead", kept, {"Title": "x"})
    org.delete("Lead", gone)
    window = (NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    assert sf.Lead.updated(*window)["ids"] == [kept]
    deleted = sf.Lead.deleted(*window)
    assert [one["id"] for one in deleted["deletedRecords"]] == [gone]
    assert deleted["latestDateCovered"] == "2026-03-02T10:00:00.000+0000"


@pytest.mark.parametrize(
    ("start", "end"), [(timedelta(seconds=-30), timedelta(0)), (timedelta(days=-16), timedelta(0))]
)
def test_a_window_too_short_or_too_old_is_refused(sf: Any, start: timedelta, end: timedelta) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.Lead.deleted(NOW + start, NOW + end)
    assert codes(caught) == ["INVALID_REPLICATION_DATE"]


# -- bulk


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_bulk_query_comes_in_pages_of_csv(sf: Any, org: SalesforceOrg) -> None:
    made = [lead(org, f'L,"{n}"\nx') for n in range(5)]
    query = "SELECT Id, LastName, Owner.Name, Title, IsConverted FROM Lead"
    pages = list(sf.bulk2.Lead.query(query, max_records=2, wait=0.001))
    rows = [row for page in pages for row in rows_of(page)]
    assert [len(rows_of(page)) for page in pages] == [2, 2, 1]
    assert [row["Id"] for row in rows] == made
    first = {"Id": made[0], "LastName": 'L,"0"\nx', "Owner.Name": "Sandbox Admin", "Title": "", "IsConverted": "false"}
    assert rows[0] == first


def test_a_bulk_update_reports_row_by_row(sf: Any, org: SalesforceOrg) -> None:
    good, bad = lead(org, Title="CEO", City="Bonn"), lead(org)
    records = [{"Id": good, "Title": "#N/A", "City": ""}, {"Id": bad, "Title": "x" * 200, "City": ""}]
    job = sf.bulk2.Lead.update(records=records, wait=0.001)[0]
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (2, 1)
    assert (org.get("Lead", good)["Title"], org.get("Lead", good)["City"]) == (None, "Bonn")
    failed = rows_of(sf.bulk2.Lead.get_failed_records(job["job_id"]))
    assert (failed[0]["sf__Id"], failed[0]["sf__Error"].split(":")[0]) == (bad, "STRING_TOO_LONG")
    assert [row["sf__Id"] for row in rows_of(sf.bulk2.Lead.get_successful_records(job["job_id"]))] == [good]


def test_a_bulk_insert_runs_no_assignment_rule(sf: Any, org: SalesforceOrg) -> None:
    org.assignment_rule_owner = org.add_user("rule@x.example", "Rule Owner")
    sf.bulk2.Lead.insert(records=[{"LastName": "a", "Company": "b"}], wait=0.001)
    assert [one["OwnerId"] for one in org.all("Lead")] == [org.user_id]


# -- determinism


def test_equal_seeds_have_equal_ids_and_states() -> None:
    def seeded() -> Sandbox:
        box = Sandbox(at=NOW)
        box.clock.freeze(NOW)
        someone = lead(box.salesforce, Email="ann@acme.example")
        box.salesforce.add("Task", {"WhoId": someone, "Subject": "Call"})
        box._server.server_close()
        return box

    one, other = seeded(), seeded()
    assert one.salesforce.state() == other.salesforce.state()


def test_the_state_leaves_out_what_differs_between_equal_runs(sf: Any, box: Sandbox) -> None:
    org = box.salesforce
    someone = lead(org)
    states = []
    for _ in range(2):
        made = sf.Task.create({"WhoId": someone, "Subject": "Call", "ActivityDate": "2026-03-04"})["id"]
        states.append(org.state())
        sf.Task.delete(made)
        org.purge("Task", made)
        box.clock.move(timedelta(minutes=1))
    assert states[0] == states[1]
    assert states[0]["Task by API"][0]["Subject"] == "Call"
