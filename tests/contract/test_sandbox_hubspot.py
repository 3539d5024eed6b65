"""The sandbox's HubSpot answers as HubSpot does: asked with HubSpot's own client, over loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import hubspot
import pytest
import urllib3
from hubspot.crm.contacts import ApiException as ContactsError
from hubspot.crm.objects.tasks import ApiException as TasksError
from hubspot.crm.properties import ApiException as PropertiesError

from connectors.sandbox import Fault, Sandbox
from connectors.sandbox.hubspot import HubSpotPortal, Limits

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox.start(at=NOW) as sandbox:
        sandbox.clock.freeze(NOW)
        yield sandbox


@pytest.fixture
def portal(box: Sandbox) -> HubSpotPortal:
    return box.hubspot


@pytest.fixture
def client(box: Sandbox) -> Any:
    return hubspot.HubSpot(access_token=box.hubspot.token, host=box.url, retry=False)


class Raw:
    """Calls without the client, for what it hides: exact bodies, headers and paths it does not know."""

    def __init__(self, box: Sandbox) -> None:
        self._pool = urllib3.PoolManager(retries=False)
        self._box = box
        self.token = box.hubspot.token

    def __call__(self, method: str, path: str, body: Any = None, **fields: str) -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        answer = self._pool.request(
            method, self._box.url + path, body=content, headers=headers, fields=fields or None if body is None else None
        )
        return answer.status, json.loads(answer.data) if answer.data else None, answer.headers

    def close(self) -> None:
        self._pool.clear()


@pytest.fixture
def raw(box: Sandbox) -> Iterator[Raw]:
    call = Raw(box)
    yield call
    call.close()


def refusal(error: Any) -> dict[str, Any]:
    body = json.loads(error.value.body)
    assert isinstance(body, dict)
    return body


def update(*inputs: tuple[str, dict[str, Any]], traced: bool = True) -> dict[str, Any]:
    return {
        "inputs": [
            {"id": id_, "properties": properties} | ({"objectWriteTraceId": f"job-{place}"} if traced else {})
            for place, (id_, properties) in enumerate(inputs)
        ]
    }


# -- listing and reading


def test_listing_pages_all_records_in_id_order_with_an_opaque_cursor(portal: HubSpotPortal, client: Any) -> None:
    ids = [portal.add("contacts", {"email": f"p{n}@example.com"}) for n in range(25)]
    api, after, seen = client.crm.contacts.basic_api, None, []
    while True:
        page = api.get_page(limit=10, after=after, properties=["email"])
        seen += [row.id for row in page.results]
        if page.paging is None:
            break
        after = page.paging.next.after
    assert seen == ids


def test_listing_refuses_more_than_100_and_50_with_history(client: Any) -> None:
    for wish in ({"limit": 101}, {"limit": 51, "properties_with_history": ["email"]}):
        with pytest.raises(ContactsError) as error:
            client.crm.contacts.basic_api.get_page(**wish)
        assert error.value.status == 400


def test_unknown_properties_are_left_out_without_a_word(portal: HubSpotPortal, client: Any) -> None:
    id_ = portal.add("contacts", {"email": "a@example.com"})
    row = client.crm.contacts.basic_api.get_by_id(id_, properties=["email", "phone", "emial"])
    assert row.properties["email"] == "a@example.com"
    assert row.properties["phone"] is None
    assert "emial" not in row.properties
    assert {"createdate", "lastmodifieddate", "hs_object_id"} <= row.properties.keys()


def test_properties_may_be_repeated_or_separated_by_commas(portal: HubSpotPortal, raw: Raw) -> None:
    portal.add("contacts", {"firstname": "Ann", "city": "Bonn"})
    for query in ("properties=firstname&properties=city", "properties=firstname,city"):
        _, body, _ = raw("GET", f"/crm/v3/objects/contacts?{query}")
        assert body["results"][0]["properties"]["firstname"] == "Ann"
        assert body["results"][0]["properties"]["city"] == "Bonn"


def test_archived_records_are_listed_apart_with_the_instant(portal: HubSpotPortal, client: Any) -> None:
    gone, kept = (portal.add("contacts", {"email": f"{n}@example.com"}) for n in "ab")
    portal.archive("contacts", gone)
    api = client.crm.contacts.basic_api
    assert [row.id for row in api.get_page().results] == [kept]
    archived = api.get_page(archived=True).results
    assert [row.id for row in archived] == [gone]
    assert archived[0].archived_at is not None
    with pytest.raises(ContactsError) as error:
        api.get_by_id(gone)
    assert (error.value.status, refusal(error)["category"]) == (404, "OBJECT_NOT_FOUND")


def test_a_contact_is_found_by_email_in_any_case(portal: HubSpotPortal, client: Any) -> None:
    id_ = portal.add("contacts", {"email": "Ann+x@Example.com"})
    row = client.crm.contacts.basic_api.get_by_id("ANN+X@example.com", id_property="email", properties=["email"])
    assert (row.id, row.properties["email"]) == (id_, "ann+x@example.com")


@pytest.mark.parametrize("path", ["/crm/v3/objects/contacts", "/crm/objects/2026-03/contacts", "/crm/v3/objects/0-1/"])
def test_both_path_versions_and_type_ids_answer(portal: HubSpotPortal, raw: Raw, path: str) -> None:
    id_ = portal.add("contacts", {})
    status, body, _ = raw("GET", path)
    assert (status, [row["id"] for row in body["results"]]) == (200, [id_])


def test_batch_read_names_all_missing_ids_in_one_entry(portal: HubSpotPortal, client: Any) -> None:
    ids = [portal.add("contacts", {}) for _ in range(2)]
    body = {"inputs": [{"id": i} for i in (*reversed(ids), "7", "8")], "properties": [], "propertiesWithHistory": []}
    answer, status, _ = client.crm.contacts.batch_api.read_with_http_info(body)
    assert status == 207
    assert {row.id for row in answer.results} == set(ids)
    assert (answer.num_errors, answer.errors[0].context["ids"]) == (1, ["7", "8"])


# -- values


@pytest.mark.parametrize(
    ("type_", "sent", "stored"),
    [
        ("number", "83.0", "83"),
        ("number", "1E3", "1000"),
        ("number", "-0.50", "-0.5"),
        ("number", 7, "7"),
        ("bool", "TRUE", "true"),
        ("bool", True, "true"),
        ("string", " kept ", " kept "),
        ("datetime", "1767225600000", "2026-01-01T00:00:00.000Z"),
        ("datetime", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.000Z"),
        ("datetime", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"),
        ("date", "2026-01-01", "2026-01-01"),
        ("date", "1767225600000", "2026-01-01"),
    ],
)
def test_values_are_kept_as_canonical_strings(
    portal: HubSpotPortal, client: Any, type_: str, sent: object, stored: str
) -> None:
    portal.add_property("contacts", "my_value", type_)
    id_ = portal.add("contacts", {})
    client.crm.contacts.basic_api.update(id_, {"properties": {"my_value": sent}})
    assert portal.get("contacts", id_)["my_value"] == stored


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("hs_lead_status", "nope", "INVALID_OPTION"),
        ("my_number", "many", "INVALID_LONG"),
        ("my_number", "NaN", "INVALID_LONG"),
        ("my_date", "1767225600001", "INVALID_DATE"),
        ("my_instant", "yesterday", "INVALID_DATE"),
        ("email", "no address", "INVALID_EMAIL"),
        ("hs_email_optout", "true", "READ_ONLY_VALUE"),
        ("hs_object_id", "1", "READ_ONLY_VALUE"),
        ("nonsense", "x", "PROPERTY_DOESNT_EXIST"),
        ("hubspot_owner_id", "1", "INVALID_OWNER"),
        ("firstname", None, "INVALID_VALUE"),
        ("firstname", "x" * 65_537, "INVALID_STRING_LENGTH"),
    ],
)
def test_bad_values_are_refused_by_name_and_code(
    portal: HubSpotPortal, client: Any, name: str, value: object, code: str
) -> None:
    for extra, type_ in (("my_number", "number"), ("my_date", "date"), ("my_instant", "datetime")):
        portal.add_property("contacts", extra, type_)
    id_ = portal.add("contacts", {})
    before = portal.get("contacts", id_)
    with pytest.raises(ContactsError) as error:
        client.crm.contacts.basic_api.update(id_, {"properties": {name: value}})
    body = refusal(error)
    assert (error.value.status, body["category"]) == (400, "VALIDATION_ERROR")
    listed = json.loads(body["message"].partition(": ")[2])
    assert [(one["name"], one["error"]) for one in listed] == [(name, code)]
    assert body["errors"][0]["code"] == code
    assert portal.get("contacts", id_) == before


def test_an_empty_string_clears(portal: HubSpotPortal, client: Any) -> None:
    id_ = portal.add("contacts", {"city": "Bonn"})
    client.crm.contacts.basic_api.update(id_, {"properties": {"city": ""}})
    assert "city" not in portal.get("contacts", id_)
    row = client.crm.contacts.basic_api.get_by_id(id_, properties=["city"])
    assert row.properties["city"] is None


# -- batch update


def test_batch_update_writes_and_answers_with_the_whole_records(box: Sandbox, client: Any) -> None:
    portal = box.hubspot
    ids = [portal.add("contacts", {"firstname": "Ann"}) for _ in range(3)]
    box.clock.move(timedelta(minutes=5))
    answer = client.crm.contacts.batch_api.update(update(*((i, {"city": "Bonn"}) for i in reversed(ids))))
    assert getattr(answer, "errors", None) is None
    assert {row.id: (row.properties["city"], row.properties["firstname"]) for row in answer.results} == dict.fromkeys(
        ids, ("Bonn", "Ann")
    )
    assert portal.get("contacts", ids[0])["lastmodifieddate"] == "2026-11-25T09:05:00.000Z"
    assert [(e.id, e.changes) for e in box.journal.writes()] == [(i, {"city": (None, "Bonn")}) for i in reversed(ids)]


@pytest.mark.parametrize("case", ["too many", "twice the same id", "unknown property"])
def test_a_batch_update_that_is_wrong_as_a_whole_writes_nothing(box: Sandbox, client: Any, case: str) -> None:
    ids = [box.hubspot.add("contacts", {}) for _ in range(101)]
    inputs = {
        "too many": [(i, {"city": "Bonn"}) for i in ids],
        "twice the same id": [(ids[0], {"city": "Bonn"}), (ids[1], {"city": "Bonn"}), (ids[0], {"city": "Ulm"})],
        "unknown property": [(ids[0], {"city": "Bonn"}), (ids[1], {"nonsense": "x"})],
    }[case]
    with pytest.raises(ContactsError) as error:
        client.crm.contacts.batch_api.update(update(*inputs))
    body = refusal(error)
    assert (error.value.status, body["category"]) == (400, "VALIDATION_ERROR")
    assert not box.journal.writes()
    if case == "twice the same id":
        assert body["context"]["ids"] == [ids[0]]
    if case == "unknown property":
        assert body["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"


@pytest.mark.parametrize(
    ("partial", "traced", "written"), [(True, True, 2), (True, False, 0), (False, True, 0), (False, False, 0)]
)
def test_a_bad_value_fails_alone_only_with_trace_ids_and_where_the_portal_does_so(
    box: Sandbox, client: Any, partial: bool, traced: bool, written: int
) -> None:
    box.hubspot.batch_update_partial = partial
    ids = [box.hubspot.add("contacts", {}) for _ in range(3)]
    body = update(
        (ids[0], {"city": "Bonn"}), (ids[1], {"hs_lead_status": "nope"}), (ids[2], {"city": "Ulm"}), traced=traced
    )
    if written:
        answer, status, _ = client.crm.contacts.batch_api.update_with_http_info(body)
        assert status == 207
        assert {row.id for row in answer.results} == {ids[0], ids[2]}
        assert answer.errors[0].context["objectWriteTraceId"] == ["job-1"]
        assert "ids" not in answer.errors[0].context
    else:
        with pytest.raises(ContactsError) as error:
            client.crm.contacts.batch_api.update(body)
        assert error.value.status == 400
    assert len(box.journal.writes()) == written


def test_a_missing_or_archived_id_is_an_entry_and_a_merged_one_is_left_out(box: Sandbox, client: Any) -> None:
    portal = box.hubspot
    kept, gone, one, two = (portal.add("contacts", {"email": f"{n}@example.com"}) for n in "abcd")
    portal.archive("contacts", gone)
    survivor = portal.merge("contacts", one, two)
    body = update(*((i, {"city": "Bonn"}) for i in (kept, gone, one, "5")))
    answer, status, _ = client.crm.contacts.batch_api.update_with_http_info(body)
    assert status == 207
    assert [row.id for row in answer.results] == [kept]
    assert [e.context for e in answer.errors] == [
        {"ids": [gone], "objectWriteTraceId": ["job-1"]},
        {"ids": ["5"], "objectWriteTraceId": ["job-3"]},
    ]
    assert "city" not in portal.get("contacts", survivor)
    answer, status, _ = client.crm.contacts.batch_api.update_with_http_info(update((two, {"city": "Bonn"})))
    assert (status, answer.results) == (200, [])
    portal.follow_merged_updates = True
    answer = client.crm.contacts.batch_api.update(update((two, {"city": "Bonn"})))
    assert [row.id for row in answer.results] == [survivor]


@pytest.mark.parametrize(("stamps", "moved"), [(True, True), (False, False)])
def test_whether_an_unchanged_value_moves_the_stamp_is_a_switch(
    box: Sandbox, client: Any, stamps: bool, moved: bool
) -> None:
    box.hubspot.stamp_unchanged = stamps
    id_ = box.hubspot.add("contacts", {"city": "Bonn"})
    before = box.hubspot.get("contacts", id_)["lastmodifieddate"]
    box.clock.move(timedelta(seconds=1))
    client.crm.contacts.batch_api.update(update((id_, {"city": "Bonn"})))
    assert (box.hubspot.get("contacts", id_)["lastmodifieddate"] != before) is moved
    assert [dict(e.changes) for e in box.journal.writes()] == ([{}] if stamps else [])


# -- lifecycle stage and owner


def test_an_earlier_stage_answers_200_and_changes_nothing(box: Sandbox, client: Any) -> None:
    id_ = box.hubspot.add("contacts", {"lifecyclestage": "opportunity"})
    answer = client.crm.contacts.batch_api.update(update((id_, {"lifecyclestage": "lead", "city": "Bonn"})))
    assert answer.results[0].properties["lifecyclestage"] == "opportunity"
    assert [e.changes for e in box.journal.writes()] == [{"city": (None, "Bonn")}]


def test_going_back_takes_a_clearing_and_a_second_request(portal: HubSpotPortal, client: Any) -> None:
    id_ = portal.add("contacts", {"lifecyclestage": "opportunity"})
    for stage in ("", "lead"):
        client.crm.contacts.batch_api.update(update((id_, {"lifecyclestage": stage})))
    assert portal.get("contacts", id_)["lifecyclestage"] == "lead"


def test_a_stage_is_stamped_when_it_is_entered(box: Sandbox, client: Any) -> None:
    id_ = box.hubspot.add("contacts", {"lifecyclestage": "lead"}, at=NOW - timedelta(days=9))
    client.crm.contacts.batch_api.update(update((id_, {"lifecyclestage": "marketingqualifiedlead"})))
    held = box.hubspot.get("contacts", id_)
    stamp = "2026-11-25T09:00:00.000Z"
    assert held["hs_v2_date_entered_lead"] == "2026-11-16T09:00:00.000Z"
    assert held["hs_v2_date_exited_lead"] == stamp
    assert held["hs_v2_date_entered_marketingqualifiedlead"] == stamp
    assert held["hs_lifecyclestage_marketingqualifiedlead_date"] == stamp


def test_own_stages_follow_the_order_of_their_options(portal: HubSpotPortal, client: Any) -> None:
    core = client.crm.properties.core_api
    known = core.get_by_name("contacts", "lifecyclestage").options
    options = [
        {"label": o.label, "value": o.value, "displayOrder": 2 * o.display_order, "hidden": False} for o in known
    ]
    options.append({"label": "Product qualified", "value": "98765", "displayOrder": 3, "hidden": False})
    core.update("contacts", "lifecyclestage", {"options": options})
    id_ = portal.add("contacts", {"lifecyclestage": "98765"})
    assert "hs_v2_date_entered_98765" in portal.get("contacts", id_)
    client.crm.contacts.basic_api.update(id_, {"properties": {"lifecyclestage": "lead"}})
    assert portal.get("contacts", id_)["lifecyclestage"] == "98765"
    client.crm.contacts.basic_api.update(id_, {"properties": {"lifecyclestage": "marketingqualifiedlead"}})
    assert portal.get("contacts", id_)["lifecyclestage"] == "marketingqualifiedlead"


def test_only_active_owners_can_be_assigned_by_their_owner_id(portal: HubSpotPortal, client: Any) -> None:
    owner = portal.add_owner("rep@example.com", "Rep", "One")
    left = portal.add_owner("left@example.com", active=False)
    user_id = str(client.crm.owners.owners_api.get_by_id(owner).user_id)
    id_ = portal.add("contacts", {"hubspot_owner_id": left})
    api = client.crm.contacts.basic_api
    api.update(id_, {"properties": {"hubspot_owner_id": owner}})
    held = portal.get("contacts", id_)
    assert (held["hubspot_owner_id"], held["hubspot_owner_assigneddate"]) == (owner, "2026-11-25T09:00:00.000Z")
    for wrong in (user_id, left, "4"):
        with pytest.raises(ContactsError) as error:
            api.update(id_, {"properties": {"hubspot_owner_id": wrong}})
        assert refusal(error)["errors"][0]["code"] == "INVALID_OWNER"
    api.update(id_, {"properties": {"hubspot_owner_id": ""}})
    assert "hubspot_owner_id" not in portal.get("contacts", id_)


def test_archived_owners_are_listed_apart_and_have_no_user_id(portal: HubSpotPortal, client: Any, raw: Raw) -> None:
    active = [portal.add_owner(f"rep{n}@example.com", "Rep", str(n)) for n in range(3)]
    queue = portal.add_owner("queue@example.com", type="QUEUE")
    left = portal.add_owner("left@example.com", active=False)
    api = client.crm.owners.owners_api
    first = api.get_page(limit=2)
    rest = api.get_page(limit=2, after=first.paging.next.after)
    assert [o.id for o in (*first.results, *rest.results)] == [*active, queue]
    assert rest.results[-1].type == "QUEUE"
    _, body, _ = raw("GET", "/crm/owners/2026-03?archived=true")
    assert [(o["id"], "userId" in o, "userIdIncludingInactive" in o) for o in body["results"]] == [(left, False, True)]


# -- search


def test_a_keyset_walk_by_id_in_a_fixed_window_sees_each_record_once(box: Sandbox, client: Any) -> None:
    portal = box.hubspot
    old = [portal.add("contacts", {}, at=NOW - timedelta(days=2)) for _ in range(3)]
    ids = [portal.add("contacts", {}, at=NOW - timedelta(hours=1)) for _ in range(450)]
    lo, hi = (str(int(at.timestamp() * 1000)) for at in (NOW - timedelta(days=1), NOW))
    seen: list[str] = []
    last = "0"
    for _ in range(10):
        filters = [
            {"propertyName": "lastmodifieddate", "operator": "BETWEEN", "value": lo, "highValue": hi},
            {"propertyName": "hs_object_id", "operator": "GT", "value": last},
        ]
        sorts = [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
        page = client.crm.contacts.search_api.do_search(
            {"filterGroups": [{"filters": filters}], "sorts": sorts, "properties": ["email"], "limit": 200}
        )
        assert page.total == len(ids) - len(seen)
        if not page.results:
            break
        seen += [row.id for row in page.results]
        last = seen[-1]
        box.hubspot.edit("contacts", old[0], {"city": "Bonn"})  # a write in between must not disturb the walk
        box.hubspot.edit("contacts", old[0], {"lastmodifieddate": NOW - timedelta(days=2)}, by="seed")
    assert seen == ids


@pytest.mark.parametrize(
    ("one", "found"),
    [
        ({"propertyName": "city", "operator": "EQ", "value": "bonn"}, "a"),
        ({"propertyName": "city", "operator": "NEQ", "value": "bonn"}, "b"),
        ({"propertyName": "my_number", "operator": "GT", "value": "9"}, "b"),
        ({"propertyName": "my_number", "operator": "LTE", "value": "9"}, "a"),
        ({"propertyName": "my_number", "operator": "BETWEEN", "value": "1", "highValue": "10"}, "ab"),
        ({"propertyName": "city", "operator": "IN", "values": ["bonn", "ulm"]}, "ab"),
        ({"propertyName": "city", "operator": "IN", "values": ["Bonn"]}, ""),
        ({"propertyName": "city", "operator": "NOT_IN", "values": ["bonn"]}, "b"),
        ({"propertyName": "city", "operator": "HAS_PROPERTY"}, "ab"),
        ({"propertyName": "city", "operator": "NOT_HAS_PROPERTY"}, "c"),
        ({"propertyName": "email", "operator": "CONTAINS_TOKEN", "value": "example.com"}, "ab"),
        ({"propertyName": "email", "operator": "CONTAINS_TOKEN", "value": "b@*"}, "b"),
        ({"propertyName": "email", "operator": "NOT_CONTAINS_TOKEN", "value": "example.com"}, "c"),
        ({"propertyName": "createdate", "operator": "GTE", "value": "2026-11-25T09:00:00Z"}, "abc"),
        ({"propertyName": "createdate", "operator": "LT", "value": "1764000000000"}, ""),
    ],
)
def test_search_operators(portal: HubSpotPortal, client: Any, one: dict[str, Any], found: str) -> None:
    portal.add_property("contacts", "my_number", "number")
    portal.add("contacts", {"firstname": "a", "email": "a@example.com", "city": "Bonn", "my_number": "9"})
    portal.add("contacts", {"firstname": "b", "email": "b@example.com", "city": "Ulm", "my_number": "10"})
    portal.add("contacts", {"firstname": "c"})
    page = client.crm.contacts.search_api.do_search(
        {"filterGroups": [{"filters": [one]}], "properties": ["firstname"], "limit": 10}
    )
    assert "".join(row.properties["firstname"] for row in page.results) == found


@pytest.mark.parametrize(
    "wish",
    [
        {"limit": 201},
        {"limit": 200, "after": "9900"},
        {"limit": 1, "after": "10000"},
        {"sorts": ["email", "city"]},
        {"filterGroups": [{"filters": [{"propertyName": "emial", "operator": "EQ", "value": "x"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "LIKE", "value": "x"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "hs_object_id", "operator": "GT", "value": 5}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "createdate", "operator": "GT", "value": "soon"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "IN", "value": "x"}]}]},
        {"filterGroups": [{"filters": []}] * 6},
        {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}] * 7}]},
    ],
)
def test_search_refuses_what_hubspot_refuses(client: Any, wish: dict[str, Any]) -> None:
    with pytest.raises(ContactsError) as error:
        client.crm.contacts.search_api.do_search(wish)
    assert error.value.status == 400


def test_search_pages_by_offset_and_sorts_once(portal: HubSpotPortal, client: Any) -> None:
    for city in ("Ulm", "Bonn", "Kiel"):
        portal.add("contacts", {"city": city})
    wish = {"sorts": [{"propertyName": "city", "direction": "DESCENDING"}], "properties": ["city"], "limit": 2}
    first = client.crm.contacts.search_api.do_search(wish)
    rest = client.crm.contacts.search_api.do_search(wish | {"after": first.paging.next.after})
    assert [row.properties["city"] for row in (*first.results, *rest.results)] == ["Ulm", "Kiel", "Bonn"]
    assert (first.total, rest.paging) == (3, None)


def test_archived_records_are_not_found(portal: HubSpotPortal, client: Any) -> None:
    portal.archive("contacts", portal.add("contacts", {}))
    assert client.crm.contacts.search_api.do_search({"limit": 10}).total == 0


def test_a_lagging_index_shows_records_as_they_were(box: Sandbox, client: Any) -> None:
    box.hubspot.index_lag = 10
    old = box.hubspot.add("contacts", {"city": "Bonn"}, at=NOW - timedelta(hours=1))
    box.hubspot.add("contacts", {"city": "Kiel"})
    box.hubspot.edit("contacts", old, {"city": "Ulm"})

    def cities() -> list[str]:
        page = client.crm.contacts.search_api.do_search({"limit": 10, "properties": ["city"]})
        return [row.properties["city"] for row in page.results]

    assert cities() == ["Bonn"]
    assert client.crm.contacts.basic_api.get_by_id(old, properties=["city"]).properties["city"] == "Ulm"
    box.clock.move(timedelta(seconds=10))
    assert cities() == ["Ulm", "Kiel"]


# -- creating, uniqueness, upsert


def test_an_existing_email_is_a_conflict_that_names_the_id_in_its_text(portal: HubSpotPortal, client: Any) -> None:
    id_ = portal.add("contacts", {"email": "a@example.com"})
    with pytest.raises(ContactsError) as error:
        client.crm.contacts.basic_api.create({"properties": {"email": "A@example.com"}})
    assert (error.value.status, refusal(error)["category"]) == (409, "CONFLICT")
    assert refusal(error)["message"] == f"Contact already exists. Existing ID: {id_}"
    portal.archive("contacts", id_)
    assert client.crm.contacts.basic_api.create({"properties": {"email": "a@example.com"}}).id != id_


def test_a_task_needs_a_date_and_hangs_on_its_contact(box: Sandbox, client: Any) -> None:
    contact = box.hubspot.add("contacts", {"email": "a@example.com"}, at=NOW - timedelta(days=1))
    owner = box.hubspot.add_owner("rep@example.com")
    properties = {
        "hs_timestamp": "2026-11-26T09:00:00Z",
        "hs_task_subject": "Call",
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": "HIGH",
        "hs_task_type": "CALL",
        "hubspot_owner_id": owner,
    }
    link = {"to": {"id": contact}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]}
    api = client.crm.objects.tasks.basic_api
    made, status, _ = api.create_with_http_info({"properties": properties, "associations": [link]})
    assert status == 201
    assert [(t["id"], t["contacts"], t["hs_timestamp"]) for t in box.hubspot.tasks()] == [
        (made.id, [contact], "2026-11-26T09:00:00.000Z")
    ]
    assert box.hubspot.get("contacts", contact)["lastmodifieddate"] == "2026-11-25T09:00:00.000Z"
    wrong_type = link | {"types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 203}]}
    box.hubspot.archive("contacts", contact)
    for body in (
        {"properties": {"hs_task_subject": "no date"}},
        {"properties": properties, "associations": [link]},
        {"properties": properties, "associations": [wrong_type]},
    ):
        with pytest.raises(TasksError) as error:
            api.create(body)
        assert error.value.status == 400
    assert len(box.hubspot.tasks()) == 1


def test_a_unique_task_key_refuses_the_second_task(portal: HubSpotPortal, client: Any, raw: Raw) -> None:
    wish = {"name": "my_key", "label": "Key", "type": "string", "fieldType": "text", "groupName": "task"}
    client.crm.properties.core_api.create("tasks", wish | {"hasUniqueValue": True})
    task = {"properties": {"hs_timestamp": "2026-11-26T09:00:00Z", "my_key": "one"}}
    first = client.crm.objects.tasks.basic_api.create(task)
    with pytest.raises(TasksError) as error:
        client.crm.objects.tasks.basic_api.create(task)
    assert (error.value.status, refusal(error)["category"]) == (409, "CONFLICT")
    fresh = {"properties": {"hs_timestamp": "2026-11-26T09:00:00Z", "my_key": "two"}}
    inputs = [task | {"objectWriteTraceId": "x"}, fresh | {"objectWriteTraceId": "y"}]
    status, body, _ = raw("POST", "/crm/v3/objects/tasks/batch/create", {"inputs": inputs})
    assert (status, len(body["results"])) == (207, 1)
    assert (body["errors"][0]["category"], body["errors"][0]["context"]) == ("CONFLICT", {"objectWriteTraceId": ["x"]})
    assert body["results"][0]["objectWriteTraceId"] == "y"
    read = {"idProperty": "my_key", "inputs": [{"id": "one"}], "properties": ["my_key"], "propertiesWithHistory": []}
    assert [row.id for row in client.crm.objects.tasks.batch_api.read(read).results] == [first.id]


def test_whether_tasks_may_have_unique_properties_is_a_switch(portal: HubSpotPortal, client: Any) -> None:
    portal.unique_task_property = False
    wish = {"name": "my_key", "label": "Key", "type": "string", "fieldType": "text", "groupName": "task"}
    with pytest.raises(PropertiesError) as error:
        client.crm.properties.core_api.create("tasks", wish | {"hasUniqueValue": True})
    assert error.value.status == 400
    assert client.crm.properties.core_api.create("tasks", wish).name == "my_key"


def test_batch_create_answers_201_and_does_not_promise_the_order(portal: HubSpotPortal, raw: Raw) -> None:
    inputs = [{"properties": {"email": f"{n}@example.com"}, "objectWriteTraceId": n} for n in "abc"]
    status, body, _ = raw("POST", "/crm/v3/objects/contacts/batch/create", {"inputs": inputs})
    assert status == 201
    assert {row["objectWriteTraceId"]: row["properties"]["email"] for row in body["results"]} == {
        n: f"{n}@example.com" for n in "abc"
    }
    assert [row["objectWriteTraceId"] for row in body["results"]] != list("abc")


def test_upsert_tells_new_from_known_and_brings_deleted_ones_back_as_new(portal: HubSpotPortal, raw: Raw) -> None:
    known, gone = (portal.add("contacts", {"email": f"{n}@example.com"}) for n in "ab")
    portal.archive("contacts", gone)
    inputs = [
        {"idProperty": "email", "id": f"{n}@example.com", "properties": {"city": "Bonn"}, "objectWriteTraceId": n}
        for n in "abc"
    ]
    status, body, _ = raw("POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": inputs})
    assert status == 200
    assert {row["properties"]["email"]: row["new"] for row in body["results"]} == {
        "a@example.com": False,
        "b@example.com": True,
        "c@example.com": True,
    }
    assert portal.get("contacts", known)["city"] == "Bonn"


# -- merges, deletes


def test_a_merge_makes_a_third_record_that_answers_for_both(box: Sandbox, client: Any) -> None:
    portal = box.hubspot
    one = portal.add("contacts", {"email": "a@example.com", "city": "Bonn", "hs_analytics_num_visits": "2"})
    two = portal.add(
        "contacts", {"email": "b@example.com", "city": "Ulm", "phone": "1", "hs_analytics_num_visits": "3"}
    )
    company = portal.add("companies", {"name": "Firm"})
    portal.associate("contacts", two, "companies", company)
    made = client.crm.contacts.basic_api.merge({"primaryObjectId": one, "objectIdToMerge": two})
    assert made.id not in (one, two)
    row = client.crm.contacts.basic_api.get_by_id(two, properties=["city", "phone", "hs_merged_object_ids"])
    assert (row.id, row.properties["city"], row.properties["phone"]) == (made.id, "Bonn", "1")
    assert row.properties["hs_merged_object_ids"] == f"{one};{two}"
    held = portal.get("contacts", made.id)
    assert held["hs_analytics_num_visits"] == "5"
    assert held["hs_calculated_merged_vids"] == f"{one}:1795597200000;{two}:1795597200000"
    by_mail = client.crm.contacts.basic_api.get_by_id("b@example.com", id_property="email")
    assert by_mail.id == made.id
    assert portal.ids("contacts") == [made.id]
    assert portal.ids("contacts", archived=True) == []
    body = {"inputs": [{"id": one}, {"id": two}], "properties": [], "propertiesWithHistory": []}
    assert [r.id for r in client.crm.contacts.batch_api.read(body).results] == [made.id]
    linked = client.crm.associations.v4.basic_api.get_page("contacts", one, "companies")
    assert [str(to.to_object_id) for to in linked.results] == [company]
    assert [(e.op, e.id) for e in box.journal.writes()] == [("merge", made.id)]


def test_an_erased_record_is_in_no_listing(portal: HubSpotPortal, client: Any) -> None:
    id_ = portal.add("contacts", {"email": "a@example.com"})
    client.crm.contacts.basic_api.purge({"objectId": "a@example.com", "idProperty": "email"})
    assert portal.ids("contacts") == portal.ids("contacts", archived=True) == []
    with pytest.raises(KeyError):
        portal.get("contacts", id_)


def test_archiving_is_204_and_restoring_keeps_the_id(box: Sandbox, client: Any) -> None:
    id_ = box.hubspot.add("contacts", {"email": "a@example.com"})
    client.crm.contacts.basic_api.archive(id_)
    assert box.hubspot.is_archived("contacts", id_)
    box.hubspot.restore("contacts", id_)
    assert client.crm.contacts.basic_api.get_by_id("a@example.com", id_property="email").id == id_


# -- associations


def test_the_first_company_is_the_primary_one(portal: HubSpotPortal, client: Any) -> None:
    contact, lonely = portal.add("contacts", {}), portal.add("contacts", {})
    first, second = portal.add("companies", {"name": "One"}), portal.add("companies", {"name": "Two"})
    for company in (first, second):
        portal.associate("contact", contact, "company", company)
    assert portal.get("contacts", contact)["associatedcompanyid"] == first
    assert portal.get("companies", second)["num_associated_contacts"] == "1"
    answer = client.crm.associations.v4.batch_api.get_page(
        "contacts", "companies", {"inputs": [{"id": contact}, {"id": lonely}]}
    )
    assert [row._from.id for row in answer.results] == [contact]
    labels = {to.to_object_id: {t.label for t in to.association_types} for to in answer.results[0].to}
    assert labels == {first: {"Primary", None}, second: {None}}
    portal.associate("contact", contact, "company", second, primary=True)
    assert portal.get("contacts", contact)["associatedcompanyid"] == second


def test_the_default_association_can_be_put_again(portal: HubSpotPortal, client: Any, raw: Raw) -> None:
    contact = portal.add("contacts", {})
    task = portal.add("tasks", {"hs_timestamp": NOW})
    for _ in range(2):
        client.crm.associations.v4.basic_api.create_default("tasks", task, "contacts", contact)
    _, body, _ = raw("GET", f"/crm/objects/2026-03/contacts/{contact}/associations/tasks?limit=500")
    assert [(row["toObjectId"], row["associationTypes"][0]["typeId"]) for row in body["results"]] == [(int(task), 203)]


def test_after_a_merge_of_companies_only_the_primarys_contacts_keep_a_primary_company(
    box: Sandbox, client: Any
) -> None:
    portal = box.hubspot
    companies = [portal.add("companies", {"name": n}) for n in ("One", "Two")]
    contacts = [portal.add("contacts", {}, at=NOW - timedelta(days=1)) for _ in companies]
    for contact, company in zip(contacts, companies, strict=True):
        portal.associate("contacts", contact, "companies", company)
    assert portal.get("contacts", contacts[0])["lastmodifieddate"] < "2026-11-25"
    survivor = portal.merge("companies", *companies)
    assert portal.get("contacts", contacts[0])["associatedcompanyid"] == survivor
    assert "associatedcompanyid" not in portal.get("contacts", contacts[1])
    assert portal.get("contacts", contacts[1])["lastmodifieddate"] == "2026-11-25T09:00:00.000Z"
    linked = client.crm.associations.v4.basic_api.get_page("companies", survivor, "contacts")
    assert [str(to.to_object_id) for to in linked.results] == contacts


def test_an_association_made_by_a_person_moves_the_stamps(box: Sandbox) -> None:
    portal = box.hubspot
    contact = portal.add("contacts", {}, at=NOW - timedelta(days=1))
    portal.associate("contacts", contact, "companies", portal.add("companies", {}), by="person")
    assert portal.get("contacts", contact)["lastmodifieddate"] == "2026-11-25T09:00:00.000Z"


# -- properties


def test_properties_can_be_created_once_and_read_back(client: Any, raw: Raw) -> None:
    group = {"name": "scoring", "label": "Scoring"}
    assert raw("POST", "/crm/v3/properties/contacts/groups", group)[0] == 201
    assert raw("POST", "/crm/v3/properties/contacts/groups", group)[0] == 409
    wish = {"name": "my_score", "label": "Score", "type": "number", "fieldType": "number", "groupName": "scoring"}
    core = client.crm.properties.core_api
    core.create("contacts", wish)
    with pytest.raises(PropertiesError) as error:
        core.create("contacts", wish)
    assert (error.value.status, refusal(error)["category"]) == (409, "CONFLICT")
    held = core.get_by_name("contacts", "my_score")
    assert (held.type, held.group_name, held.modification_metadata.read_only_value) == ("number", "scoring", False)
    inputs = [wish, wish | {"name": "my_grade", "type": "string", "fieldType": "text"}]
    status, body, _ = raw("POST", "/crm/properties/2026-03/contacts/batch/create", {"inputs": inputs})
    assert (status, [p["name"] for p in body["results"]]) == (207, ["my_grade"])
    assert body["errors"][0]["category"] == "CONFLICT"
    assert {"my_score", "my_grade"} <= {p.name for p in core.get_all("contacts").results}


def test_a_patch_replaces_the_whole_option_list(portal: HubSpotPortal, client: Any) -> None:
    portal.add_property("contacts", "my_status", "enumeration", values=["a", "b"])
    options = [{"label": v, "value": v, "displayOrder": n, "hidden": False} for n, v in enumerate("cb")]
    held = client.crm.properties.core_api.update("contacts", "my_status", {"options": options})
    assert [o.value for o in held.options] == ["c", "b"]
    with pytest.raises(ValueError, match="INVALID_OPTION"):
        portal.add("contacts", {"my_status": "a"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Score"},
        {"name": "1score"},
        {"type": "text"},
        {"fieldType": "textarea"},
        {"groupName": "nowhere"},
        {"label": ""},
        {"type": "enumeration", "fieldType": "select"},
    ],
)
def test_bad_definitions_are_refused(client: Any, wrong: dict[str, str]) -> None:
    wish = {
        "name": "my_score",
        "label": "Score",
        "type": "number",
        "fieldType": "number",
        "groupName": "contactinformation",
    }
    with pytest.raises(PropertiesError) as error:
        client.crm.properties.core_api.create("contacts", wish | wrong)
    assert error.value.status == 400


@pytest.mark.parametrize(
    ("name", "type_", "read_only"),
    [
        ("lifecyclestage", "enumeration", False),
        ("hs_lead_status", "enumeration", False),
        ("hubspot_owner_id", "enumeration", False),
        ("jobtitle", "string", False),
        ("hs_analytics_num_page_views", "number", True),
        ("hs_email_optout", "bool", True),
        ("hs_email_hard_bounce_reason_enum", "enumeration", True),
        ("lastmodifieddate", "datetime", True),
        ("hs_v2_date_entered_marketingqualifiedlead", "datetime", True),
        ("hs_unique_creation_key", "string", True),
    ],
)
def test_the_standard_catalogue_says_what_can_be_written(raw: Raw, name: str, type_: str, read_only: bool) -> None:
    _, body, _ = raw("GET", f"/crm/v3/properties/contacts/{name}")
    assert (body["type"], body["modificationMetadata"]["readOnlyValue"]) == (type_, read_only)


# -- forms, account


def test_submissions_come_newest_first_and_a_page_goes_on_where_it_ended(box: Sandbox, raw: Raw) -> None:
    form = box.hubspot.add_form("Request a demo")
    for minutes in (3, 1, 2):
        box.hubspot.add_submission(form, NOW - timedelta(minutes=minutes), {"email": f"m{minutes}@example.com"})
    path = f"/form-integrations/v1/submissions/forms/{form}"
    _, first, _ = raw("GET", f"{path}?limit=2")
    box.hubspot.add_submission(form, NOW, {"email": "m0@example.com"})
    _, rest, _ = raw("GET", f"{path}?limit=2&after={first['paging']['next']['after']}")
    rows = [*first["results"], *rest["results"]]
    assert [row["values"][0]["value"][:2] for row in rows] == ["m1", "m2", "m3"]
    assert "paging" not in rest
    assert rows[0]["submittedAt"] == int((NOW - timedelta(minutes=1)).timestamp() * 1000)
    assert raw("GET", f"{path}?limit=51")[0] == 400
    for listing in ("/marketing/v3/forms", "/marketing/forms/2026-09-beta"):
        assert [f["name"] for f in raw("GET", listing)[1]["results"]] == ["Request a demo"]


def test_the_account_names_its_portal_and_zone(portal: HubSpotPortal, raw: Raw) -> None:
    portal.time_zone = "Europe/Berlin"
    for version in ("v3", "2026-03"):
        _, body, _ = raw("GET", f"/account-info/{version}/details")
        assert (body["portalId"], body["timeZone"], body["utcOffset"]) == (4_242_424, "Europe/Berlin", "+01:00")
    _, usage, _ = raw("GET", "/account-info/v3/api-usage/daily/private-apps")
    assert usage["results"][0]["currentUsage"] == 3
    assert usage["results"][0]["resetsAt"] == "2026-11-25T23:00:00.000Z"


# -- tokens, scopes, quotas


def test_an_unknown_token_is_401(box: Sandbox) -> None:
    stranger = hubspot.HubSpot(access_token="other", host=box.url, retry=False)
    with pytest.raises(ContactsError) as error:
        stranger.crm.contacts.basic_api.get_page()
    assert (error.value.status, refusal(error)["category"]) == (401, "INVALID_AUTHENTICATION")


def test_a_missing_scope_is_403_for_its_object_only(portal: HubSpotPortal, client: Any) -> None:
    portal.scopes.discard("crm.objects.contacts.write")
    id_ = portal.add("contacts", {})
    client.crm.contacts.basic_api.get_page()
    client.crm.companies.basic_api.create({"properties": {"name": "Firm"}})
    with pytest.raises(ContactsError) as error:
        client.crm.contacts.basic_api.update(id_, {"properties": {"city": "Bonn"}})
    body = refusal(error)
    assert (error.value.status, body["category"]) == (403, "MISSING_SCOPES")
    assert body["errors"][0]["context"]["requiredGranularScopes"] == ["crm.objects.contacts.write"]


@pytest.mark.parametrize("path", ["/oauth/v1/token", "/oauth/2026-03/token"])
def test_oauth_tokens_are_given_for_the_refresh_token_and_expire(box: Sandbox, raw: Raw, path: str) -> None:
    client_id, secret, refresh = box.hubspot.oauth
    form = {"grant_type": "refresh_token", "client_id": client_id, "client_secret": secret, "refresh_token": refresh}
    pool = urllib3.PoolManager()

    def ask(fields: dict[str, str]) -> tuple[int, Any]:
        answer = pool.request("POST", box.url + path, fields=fields, encode_multipart=False)
        return answer.status, answer.json()

    status, body = ask(form)
    assert (status, body["expires_in"], body["refresh_token"]) == (200, 1800, refresh)
    assert ("hub_id" in body) is (path != "/oauth/v1/token")
    raw.token = body["access_token"]
    status, _, headers = raw("GET", "/crm/v3/objects/contacts")
    assert (status, "X-HubSpot-RateLimit-Daily" in headers) == (200, False)
    box.clock.move(timedelta(seconds=1801))
    status, error, _ = raw("GET", "/crm/v3/objects/contacts")
    assert (status, error["category"]) == (401, "EXPIRED_AUTHENTICATION")
    status, error = ask(form | {"refresh_token": "old"})
    assert (status, error["error"], error["status"]) == (400, "invalid_grant", "BAD_REFRESH_TOKEN")
    pool.clear()


def test_quotas_count_in_their_windows_and_show_in_the_headers(box: Sandbox, raw: Raw) -> None:
    box.hubspot.limits = Limits(per_10_seconds=3, search_per_second=2, per_day=100)
    for left in ("2", "1", "0"):
        status, _, headers = raw("GET", "/crm/v3/objects/contacts")
        assert (status, headers["X-HubSpot-RateLimit-Remaining"]) == (200, left)
    status, body, headers = raw("GET", "/crm/v3/objects/contacts")
    assert (status, body["policyName"], body["errorType"]) == (429, "TEN_SECONDLY_ROLLING", "RATE_LIMIT")
    assert "Retry-After" not in headers
    for _ in range(2):
        status, _, headers = raw("POST", "/crm/v3/objects/contacts/search", {"limit": 1})
        assert (status, "X-HubSpot-RateLimit-Max" in headers) == (200, False)
    status, body, headers = raw("POST", "/crm/v3/objects/contacts/search", {"limit": 1})
    assert (status, body["policyName"], body["message"]) == (429, "SECONDLY", "You have reached your secondly limit.")
    assert "X-HubSpot-RateLimit-Max" not in headers
    box.clock.move(timedelta(seconds=10))
    assert raw("GET", "/crm/v3/objects/contacts")[0] == 200
    box.hubspot.limits.per_day = 1
    assert raw("GET", "/crm/v3/objects/contacts")[1]["policyName"] == "DAILY"
    box.clock.move(timedelta(days=1))
    assert raw("GET", "/crm/v3/objects/contacts")[0] == 200


# -- faults in HubSpot's words


@pytest.mark.parametrize(
    ("path", "policy", "retry_after", "said"),
    [
        ("contacts/search", None, None, "SECONDLY"),
        ("contacts/batch/read", None, 3, "TEN_SECONDLY_ROLLING"),
        ("contacts/batch/read", "DAILY", None, "DAILY"),
    ],
)
def test_a_scripted_429_speaks_the_policy(
    box: Sandbox, raw: Raw, path: str, policy: str | None, retry_after: int | None, said: str
) -> None:
    box.faults.add(Fault(kind="rate_limited", policy=policy, retry_after=retry_after))
    status, body, headers = raw("POST", f"/crm/v3/objects/{path}", {"inputs": []})
    assert (status, body["policyName"], body["category"]) == (429, said, "RATE_LIMITS")
    assert headers.get("Retry-After") == (str(retry_after) if retry_after else None)
    assert raw("POST", f"/crm/v3/objects/{path}", {"inputs": []})[0] == 200


def test_a_scripted_partial_batch_writes_the_rest(box: Sandbox, client: Any) -> None:
    ids = [box.hubspot.add("contacts", {}) for _ in range(4)]
    box.faults.add(Fault(kind="partial_batch", match="POST */batch/update", every=2))
    body = update(*((i, {"city": "Bonn"}) for i in ids))
    answer, status, _ = client.crm.contacts.batch_api.update_with_http_info(body)
    assert (status, [row.id for row in answer.results]) == (207, [ids[1], ids[3]])
    assert [e.context["objectWriteTraceId"] for e in answer.errors] == [["job-0"], ["job-2"]]
    assert [e.id for e in box.journal.writes()] == [ids[1], ids[3]]


def test_a_scripted_expiry_is_401(box: Sandbox, client: Any) -> None:
    box.faults.add(Fault(kind="expired_token", crm="hubspot"))
    with pytest.raises(ContactsError) as error:
        client.crm.contacts.basic_api.get_page()
    assert (error.value.status, refusal(error)["category"]) == (401, "EXPIRED_AUTHENTICATION")
    client.crm.contacts.basic_api.get_page()


# -- seeding


def test_seeds_are_dated_and_ids_repeat(box: Sandbox) -> None:
    def fill(portal: HubSpotPortal) -> list[str]:
        return [
            portal.add("contacts", {"email": "a@example.com"}, at=NOW - timedelta(days=3)),
            portal.add("companies", {"name": "Firm"}),
            portal.add("contacts", {"email": "b@example.com"}, id="100000000900"),
            portal.add("contacts", {"email": "c@example.com"}, archived=True),
            portal.add_owner("rep@example.com"),
            portal.add_form("Contact us"),
        ]

    ids = fill(box.hubspot)
    with Sandbox.start(at=NOW) as other:
        assert fill(other.hubspot) == ids
    assert box.hubspot.get("contacts", ids[0])["lastmodifieddate"] == "2026-11-22T09:00:00.000Z"
    assert int(ids[3]) == 100_000_000_901
    assert {e.via for e in box.journal} == {"seed"}


@pytest.mark.parametrize("properties", [{"emial": "a@example.com"}, {"email": "no"}, {"hubspot_owner_id": "7"}])
def test_a_seed_with_a_mistake_is_refused(portal: HubSpotPortal, properties: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(properties))):
        portal.add("contacts", properties)
