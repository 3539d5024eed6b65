"""The sandbox's HubSpot in its corners: switches for what is undocumented, refusals, and the rarer calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3

from connectors.sandbox import Fault, Sandbox
from connectors.sandbox.hubspot import HubSpotPortal

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox.start(at=NOW) as sandbox:
        sandbox.clock.freeze(NOW)
        yield sandbox


@pytest.fixture
def portal(box: Sandbox) -> HubSpotPortal:
    return box.hubspot


@pytest.fixture
def call(box: Sandbox) -> Iterator[Call]:
    pool = urllib3.PoolManager(retries=False)

    def send(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {box.hubspot.token}"}
        content = body if isinstance(body, str | None) else json.dumps(body)
        answer = pool.request(method, box.url + path, body=content, headers=headers)
        return answer.status, json.loads(answer.data) if answer.data else None

    yield send
    pool.clear()


# -- switches


@pytest.mark.parametrize("error", [False, True])
def test_ids_without_associations_are_left_out_or_an_error(portal: HubSpotPortal, call: Call, error: bool) -> None:
    portal.unassociated_error = error
    lonely = portal.add("contacts", {})
    status, body = call("POST", "/crm/v4/associations/contacts/tasks/batch/read", {"inputs": [{"id": lonely}]})
    assert (status, body["results"]) == (207 if error else 200, [])
    if error:
        assert body["errors"][0]["context"] == {"fromObjectId": [lonely]}
        assert body["errors"][0]["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"


@pytest.mark.parametrize("shown", [False, True])
def test_archived_records_are_seen_through_associations_or_not(portal: HubSpotPortal, call: Call, shown: bool) -> None:
    portal.archived_associations = shown
    contact, task = portal.add("contacts", {}), portal.add("tasks", {"hs_timestamp": NOW})
    portal.associate("contacts", contact, "tasks", task)
    portal.archive("tasks", task)
    _, body = call("GET", f"/crm/v4/objects/contacts/{contact}/associations/tasks")
    assert [row["toObjectId"] for row in body["results"]] == ([int(task)] if shown else [])
    portal.restore("tasks", task)
    _, body = call("GET", f"/crm/v4/objects/contacts/{contact}/associations/tasks")
    assert [row["toObjectId"] for row in body["results"]] == [int(task)]


@pytest.mark.parametrize(("status", "category"), [(409, "CONFLICT"), (400, "VALIDATION_ERROR")])
def test_a_clash_of_a_unique_value_is_409_or_400(portal: HubSpotPortal, call: Call, status: int, category: str) -> None:
    portal.unique_clash_status = status
    portal.add_property("contacts", "my_key", unique=True)
    holder, other = portal.add("contacts", {"my_key": "one"}), portal.add("contacts", {})
    got, body = call("PATCH", f"/crm/v3/objects/contacts/{other}", {"properties": {"my_key": "one"}})
    assert (got, body["category"]) == (status, category)
    assert body["message"] == f"Cannot set my_key=one: {holder} already has that value."
    portal.edit("contacts", holder, {"my_key": ""})
    assert call("PATCH", f"/crm/v3/objects/contacts/{other}", {"properties": {"my_key": "one"}})[0] == 200
    assert call("GET", "/crm/v3/objects/contacts/one?idProperty=my_key")[1]["id"] == other


# -- refusals


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/crm/v3/objects/contacts?after=page2", None, 400),
        ("GET", "/crm/v3/objects/contacts?limit=none", None, 400),
        ("GET", "/crm/v3/objects/unicorns", None, 400),
        ("GET", "/crm/v3/objects/contacts/1?idProperty=city", None, 400),
        ("GET", "/crm/v3/objects/contacts/1", None, 404),
        ("GET", "/crm/v3/owners/1", None, 404),
        ("GET", "/crm/v3/properties/contacts/emial", None, 404),
        ("GET", "/crm/v3/properties/contacts/groups/none", None, 404),
        ("GET", "/crm/v4/objects/contacts/1/associations/tasks", None, 404),
        ("GET", "/crm/v5/objects/contacts", None, 404),
        ("GET", "/crm/objects/2026-09/contacts", None, 404),
        ("GET", "/marketing/v3/forms/none", None, 404),
        ("GET", "/form-integrations/v1/submissions/forms/none", None, 404),
        ("GET", "/events/v3/events/?eventType=e_visited_page", None, 403),
        ("GET", "/crm/v4/associations/contacts/tasks/nothing", None, 404),
        ("PUT", "/crm/v3/objects/contacts", {}, 405),
        ("PUT", "/crm/v3/properties/contacts", {}, 405),
        ("PUT", "/crm/v4/objects/contacts/1/associations/default/companies/2", None, 404),
        ("PATCH", "/crm/v3/objects/contacts/1", {"properties": {}}, 404),
        ("POST", "/crm/v3/objects/contacts", "{", 400),
        ("POST", "/crm/v3/objects/contacts", [], 400),
        ("POST", "/crm/v3/objects/contacts/batch/update", {}, 400),
        ("POST", "/crm/v3/objects/contacts/batch/read", {"inputs": ["1"]}, 400),
        ("POST", "/crm/v3/objects/contacts/merge", {"primaryObjectId": "1", "objectIdToMerge": "2"}, 400),
        ("POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": [{"id": "a", "idProperty": "city"}]}, 400),
        ("POST", "/crm/v3/properties/contacts/groups", {"name": "Bad name", "label": "x"}, 400),
        ("POST", "/crm/v3/properties/contacts", {"name": "x"}, 400),
        ("PATCH", "/crm/v3/properties/contacts/email", {"label": "Mail"}, 400),
        ("PATCH", "/crm/v3/properties/contacts/hs_analytics_source", {"options": []}, 400),
        ("PATCH", "/crm/v3/properties/contacts/lifecyclestage", {"options": [{"label": "x"}]}, 400),
        ("DELETE", "/crm/v3/properties/contacts/email", None, 400),
    ],
)
def test_refusals(call: Call, method: str, path: str, body: Any, status: int) -> None:
    got, answer = call(method, path, body)
    assert (got, answer["status"]) == (status, "error")
    assert answer["correlationId"]


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [("grant_type", "password", "unsupported_grant_type"), ("client_secret", "guess", "invalid_client")],
)
def test_oauth_refusals(box: Sandbox, field: str, value: str, error: str) -> None:
    client_id, secret, refresh = box.hubspot.oauth
    form = {"grant_type": "refresh_token", "client_id": client_id, "client_secret": secret, "refresh_token": refresh}
    with urllib3.PoolManager() as pool:
        answer = pool.request("POST", box.url + "/oauth/v1/token", fields=form | {field: value}, encode_multipart=False)
        assert (answer.status, answer.json()["error"]) == (400, error)


def test_a_create_refused_for_one_of_many_writes_none(box: Sandbox, call: Call) -> None:
    inputs = [{"properties": {"city": "Bonn"}}, {"properties": {"hs_lead_status": "nope"}}]
    assert call("POST", "/crm/v3/objects/contacts/batch/create", {"inputs": inputs})[0] == 400
    twice = [{"properties": {"email": "a@example.com"}, "objectWriteTraceId": n} for n in "xy"]
    status, body = call("POST", "/crm/v3/objects/contacts/batch/create", {"inputs": twice})
    assert (status, len(body["results"]), body["errors"][0]["category"]) == (207, 1, "CONFLICT")
    assert len(box.journal.writes()) == 1


def test_a_task_for_a_missing_contact_is_refused_alone(portal: HubSpotPortal, call: Call) -> None:
    contact = portal.add("contacts", {})
    kind = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]
    inputs = [
        {
            "properties": {"hs_timestamp": "2026-11-26T00:00:00Z"},
            "associations": [{"to": {"id": id_}, "types": kind}],
            "objectWriteTraceId": id_,
        }
        for id_ in (contact, "5")
    ]
    status, body = call("POST", "/crm/v3/objects/tasks/batch/create", {"inputs": inputs})
    assert (status, [row["objectWriteTraceId"] for row in body["results"]]) == (207, [contact])
    assert body["errors"][0]["context"] == {"objectWriteTraceId": ["5"]}
    assert [task["contacts"] for task in portal.tasks()] == [[contact]]


@pytest.mark.parametrize("verb", ["read", "create", "upsert"])
def test_a_scripted_partial_batch_reaches_every_batch(box: Sandbox, call: Call, verb: str) -> None:
    ids = [box.hubspot.add("contacts", {"email": f"{n}@example.com"}) for n in range(2)]
    inputs: dict[str, list[dict[str, Any]]] = {
        "read": [{"id": i} for i in ids],
        "create": [{"properties": {"city": "Bonn"}, "objectWriteTraceId": n} for n in "ab"],
        "upsert": [{"id": f"{n}@example.com", "idProperty": "email", "properties": {}} for n in range(2)],
    }
    box.faults.add(Fault(kind="partial_batch", every=2))
    status, body = call("POST", f"/crm/v3/objects/contacts/batch/{verb}", {"inputs": inputs[verb], "properties": []})
    assert (status, len(body["results"]), len(body["errors"])) == (207, 1, 1)
    box.faults.add(Fault(kind="partial_batch", every=1))
    status, body = call("POST", f"/crm/v3/objects/contacts/batch/{verb}", {"inputs": inputs[verb], "properties": []})
    assert (status, body["results"], len(body["errors"])) == (207, [], 2)


# -- the rarer calls


def test_listing_can_bring_associations_and_history(portal: HubSpotPortal, call: Call) -> None:
    contact, company = portal.add("contacts", {"city": "Bonn"}), portal.add("companies", {})
    portal.associate("contacts", contact, "companies", company)
    query = "associations=companies&propertiesWithHistory=city,phone"
    _, body = call("GET", f"/crm/v3/objects/contacts?{query}")
    [row] = body["results"]
    assert row["associations"]["companies"]["results"] == [{"id": company, "type": "contact_to_company"}]
    assert [v["value"] for v in row["propertiesWithHistory"]["city"]] == ["Bonn"]
    assert row["propertiesWithHistory"]["phone"] == []


def test_archived_records_are_read_in_batches_when_asked_for(portal: HubSpotPortal, call: Call) -> None:
    gone, kept = portal.add("contacts", {}), portal.add("contacts", {})
    assert call("POST", "/crm/v3/objects/contacts/batch/archive", {"inputs": [{"id": gone}, {"id": "5"}]})[0] == 204
    asked = {"inputs": [{"id": gone}, {"id": kept}], "properties": []}
    for archived, found, missing in (("False", kept, gone), ("True", gone, kept)):
        status, body = call("POST", f"/crm/v3/objects/contacts/batch/read?archived={archived}", asked)
        assert (status, [r["id"] for r in body["results"]]) == (207, [found])
        assert body["errors"][0]["context"]["ids"] == [missing]


def test_associations_page_by_500(portal: HubSpotPortal, call: Call) -> None:
    company = portal.add("companies", {})
    contacts = [portal.add("contacts", {}) for _ in range(501)]
    for contact in contacts:
        portal.associate("companies", company, "contacts", contact)
    path = "/crm/v4/associations/companies/contacts/batch/read"
    _, first = call("POST", path, {"inputs": [{"id": company}]})
    [row] = first["results"]
    after = row["paging"]["next"]["after"]
    _, rest = call("POST", path, {"inputs": [{"id": company, "after": after}]})
    ids = [str(to["toObjectId"]) for to in (*row["to"], *rest["results"][0]["to"])]
    assert ids == contacts
    assert "paging" not in rest["results"][0]
    status, _ = call("POST", path, {"inputs": [{"id": str(n)} for n in range(1001)]})
    assert status == 400


def test_associations_are_made_singly_and_in_batches(portal: HubSpotPortal, call: Call) -> None:
    contact, one, two = portal.add("contacts", {}), portal.add("companies", {}), portal.add("companies", {})
    primary = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]
    path = f"/crm/v4/objects/contacts/{contact}/associations/companies/"
    assert call("PUT", path + one, [])[0] == 200
    assert call("PUT", path + two, primary)[0] == 200
    assert portal.get("contacts", contact)["associatedcompanyid"] == two
    task = portal.add("tasks", {"hs_timestamp": NOW})
    inputs = [{"from": {"id": task}, "to": {"id": to}} for to in (contact, "5")]
    status, body = call("POST", "/crm/v4/associations/tasks/contacts/batch/associate/default", {"inputs": inputs})
    assert (status, [row["toObjectId"] for row in body["results"]]) == (207, [contact])
    assert portal.tasks()[0]["contacts"] == [contact]
    _, body = call("GET", "/crm/v4/associations/contacts/companies/labels")
    assert {row["typeId"]: row["label"] for row in body["results"]} == {279: None, 1: "Primary"}


def test_a_custom_property_can_be_archived_with_its_values(portal: HubSpotPortal, call: Call) -> None:
    portal.add_property("contacts", "my_key", unique=True)
    id_ = portal.add("contacts", {"my_key": "one"})
    inputs = {"inputs": [{"name": "my_key"}, {"name": "emial"}]}
    status, body = call("POST", "/crm/v3/properties/contacts/batch/read", inputs)
    assert (status, [p["name"] for p in body["results"]]) == (207, ["my_key"])
    _, body = call("PATCH", "/crm/v3/properties/contacts/my_key", {"label": "Key", "description": "ours"})
    assert (body["label"], body["description"]) == ("Key", "ours")
    assert call("PATCH", "/crm/v3/properties/contacts/my_key", {"type": "number"})[0] == 400
    assert call("POST", "/crm/v3/properties/contacts/batch/archive", inputs)[0] == 204
    assert call("GET", "/crm/v3/properties/contacts/my_key")[0] == 404
    assert "my_key" not in portal.get("contacts", id_)
    assert call("GET", "/crm/v3/properties/contacts?archived=true")[1] == {"results": []}


def test_at_most_ten_properties_are_unique(call: Call) -> None:
    wish = {"label": "Key", "type": "string", "fieldType": "text", "groupName": "task", "hasUniqueValue": True}
    made = [call("POST", "/crm/v3/properties/tasks", wish | {"name": f"key_{n}"})[0] for n in range(11)]
    assert made == [201] * 10 + [400]


def test_owners_are_found_by_email_and_user_id_and_come_and_go(portal: HubSpotPortal, call: Call) -> None:
    owner = portal.add_owner("Rep@example.com", "Rep", "One")
    portal.add_owner("other@example.com")
    _, body = call("GET", "/crm/v3/owners/?email=rep@example.com&archived=False")
    assert [o["id"] for o in body["results"]] == [owner]
    user = body["results"][0]["userId"]
    assert call("GET", f"/crm/v3/owners/{user}?idProperty=userId")[1]["id"] == owner
    portal.deactivate_owner(owner)
    assert call("GET", f"/crm/v3/owners/{owner}")[0] == 404
    assert call("GET", f"/crm/v3/owners/{owner}?archived=true")[1]["archived"] is True
    portal.reactivate_owner(owner)
    assert call("GET", f"/crm/v3/owners/{owner}")[0] == 200


def test_forms_page(portal: HubSpotPortal, call: Call) -> None:
    guids = [portal.add_form(f"Form {n}") for n in range(3)]
    _, first = call("GET", "/marketing/v3/forms?limit=2")
    _, rest = call("GET", f"/marketing/v3/forms?limit=2&after={first['paging']['next']['after']}")
    assert [form["id"] for form in (*first["results"], *rest["results"])] == guids
    assert call("GET", f"/marketing/v3/forms/{guids[1]}")[1]["name"] == "Form 1"


def test_search_by_several_filters_or_groups_and_a_number_to_sort_by(portal: HubSpotPortal, call: Call) -> None:
    for city, pages in (("Bonn", "9"), ("Bonn", "10"), ("Ulm", "100"), ("Kiel", None)):
        portal.add("contacts", {"city": city} | ({"hs_analytics_num_page_views": pages} if pages else {}))
    city = {"propertyName": "city", "operator": "EQ", "value": "Bonn"}
    pages = [
        {"propertyName": "hs_analytics_num_page_views", "operator": "GT", "value": "8"},
        {"propertyName": "hs_analytics_num_page_views", "operator": "LT", "value": "11"},
    ]
    kiel = {"propertyName": "city", "operator": "IN", "values": ["kiel"]}
    wish = {
        "filterGroups": [{"filters": [city, *pages]}, {"filters": [kiel]}],
        "sorts": ["-hs_analytics_num_page_views"],
        "properties": ["hs_analytics_num_page_views"],
        "limit": 5,
    }
    _, body = call("POST", "/crm/v3/objects/contacts/search", wish)
    found = [row["properties"]["hs_analytics_num_page_views"] for row in body["results"]]
    assert (found, body["total"]) == (["10", "9", None], 3)
    _, body = call("POST", "/crm/v3/objects/contacts/search", {"query": "ulm", "limit": 5})
    assert body["total"] == 0, "the city is not among the searched texts"
    portal.add("contacts", {"firstname": "Ulm"})
    _, body = call("POST", "/crm/v3/objects/contacts/search", {"query": "ULM", "limit": 5})
    assert body["total"] == 1


def test_search_results_follow_every_kind_of_change(portal: HubSpotPortal, call: Call) -> None:
    """Matches are remembered between pages; nothing that changes may be missed."""
    wish = {"filterGroups": [{"filters": [{"propertyName": "city", "operator": "EQ", "value": "bonn"}]}], "limit": 9}

    def found() -> list[str]:
        return [row["id"] for row in call("POST", "/crm/v3/objects/contacts/search", wish)[1]["results"]]

    one, two = portal.add("contacts", {"city": "Bonn"}), portal.add("contacts", {"city": "Ulm"})
    assert found() == [one]
    portal.edit("contacts", two, {"city": "Bonn"})
    assert found() == [one, two]
    portal.archive("contacts", one)
    assert found() == [two]
    portal.restore("contacts", one)
    assert found() == [one, two]
    merged = portal.merge("contacts", one, two)
    assert found() == [merged]
    portal.erase("contacts", merged)
    assert found() == []


def test_a_stage_can_be_entered_twice(box: Sandbox, portal: HubSpotPortal) -> None:
    id_ = portal.add("contacts", {"lifecyclestage": "lead"})
    portal.edit("contacts", id_, {"lifecyclestage": ""})
    box.clock.move(timedelta(hours=1))
    portal.edit("contacts", id_, {"lifecyclestage": "lead"})
    assert portal.get("contacts", id_)["hs_v2_date_entered_lead"] == "2026-11-25T10:00:00.000Z"


def test_people_cannot_merge_a_record_with_itself_or_touch_unknown_ones(portal: HubSpotPortal) -> None:
    one, two = portal.add("contacts", {}), portal.add("contacts", {})
    portal.merge("contacts", one, two)
    with pytest.raises(ValueError, match="one record"):
        portal.merge("contacts", one, two)
    with pytest.raises(KeyError, match="no contact 5"):
        portal.edit("contacts", "5", {})
    with pytest.raises(ValueError, match="no new id"):
        portal.add("contacts", {}, id=one)
    with pytest.raises(ValueError, match="already"):
        portal.add_property("contacts", "email")
