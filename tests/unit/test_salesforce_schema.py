"""Making fields, where the org helps less than it might."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import responses

from connectors.errors import RetryLater, RunCannotContinue
from connectors.records import FieldKind, FieldSchema, WantedField
from connectors.retry import Patience
from connectors.salesforce.client import Client
from connectors.salesforce.schema import TASK_KEY, Describes, SchemaMaker, field_schema
from connectors.salesforce.settings import SalesforceSettings, Session

HOME = "https://acme.my.salesforce.com"
DATA = f"{HOME}/services/data/v59.0"
SCORE = WantedField(object="lead", name="MQL_Score__c", label="MQL score", kind=FieldKind.NUMBER)
SHOWN = {"name": "MQL_Score__c", "type": "double", "updateable": True}
KEY = {"name": TASK_KEY, "type": "string", "length": 120, "unique": True, "updateable": True}
NOT_THERE = [{"errorCode": "INVALID_TYPE", "message": "sObject type 'PermissionSet' is not supported."}]


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def maker() -> tuple[SchemaMaker, Client]:
    client = Client(
        SalesforceSettings(base_url=HOME, auth=Session(session_id="t")),
        patience=Patience(attempts=1),
        sleep=lambda seconds: None,
        monotonic=lambda: 0.0,
    )
    return SchemaMaker(client, Describes(client, {})), client


def describes(wire: responses.RequestsMock, object: str, *fields: dict[str, Any]) -> None:
    wire.get(f"{DATA}/sobjects/{object}/describe", json={"fields": list(fields)})


def test_a_field_that_shows_at_once_needs_no_permission_set(wire: responses.RequestsMock) -> None:
    describes(wire, "Lead")
    describes(wire, "Task", KEY)
    wire.post(f"{DATA}/tooling/sobjects/CustomField", json={"id": "00N1", "success": True, "errors": []}, status=201)
    describes(wire, "Lead", SHOWN)
    made, client = maker()
    assert [c.what for c in made.ensure([SCORE], user_id=None)] == ["created", "present"]
    assert client.calls == {"describe": 3, "schema": 1}


def test_who_makes_fields_is_not_told_to_read_records_back(wire: responses.RequestsMock) -> None:
    describes(wire, "Lead")
    describes(wire, "Task", KEY)
    wire.post(f"{DATA}/tooling/sobjects/CustomField", body="<html>", status=504)
    made, client = maker()
    with pytest.raises(RetryLater, match="Run setup again"):
        made.ensure([SCORE], user_id=None)
    assert client.calls["schema"] == 2


def test_a_field_of_which_the_answer_says_nothing_is_made_once(wire: responses.RequestsMock) -> None:
    describes(wire, "Lead")
    describes(wire, "Task", KEY)
    wire.post(f"{DATA}/tooling/sobjects/CustomField", status=204)
    taken = [{"errorCode": "DUPLICATE_DEVELOPER_NAME", "message": "exists"}]
    wire.post(f"{DATA}/tooling/sobjects/CustomField", json=taken, status=400)
    describes(wire, "Lead", SHOWN)
    made, _ = maker()
    assert [c.what for c in made.ensure([SCORE], user_id=None)] == ["granted", "present"]


def test_a_field_nobody_can_show_us_is_named_with_the_way_out(wire: responses.RequestsMock) -> None:
    describes(wire, "Lead")
    describes(wire, "Task", KEY)
    wire.post(
        f"{DATA}/tooling/sobjects/CustomField",
        json=[{"errorCode": "DUPLICATE_DEVELOPER_NAME", "message": "exists"}],
        status=400,
    )
    wire.get(f"{DATA}/query/", json=NOT_THERE, status=400)
    made, _ = maker()
    with pytest.raises(RunCannotContinue, match=r"Lead\.MQL_Score__c exist.*Granting it failed.*permission set"):
        made.ensure([SCORE], user_id=None)


def test_without_any_key_field_setup_goes_on_with_markers(wire: responses.RequestsMock) -> None:
    describes(wire, "Task")
    wire.post(
        f"{DATA}/tooling/sobjects/CustomField",
        json=[{"errorCode": "FIELD_INTEGRITY_EXCEPTION", "message": "not on Activity"}],
        status=400,
    )
    made, client = maker()
    [change] = made.ensure([], user_id=None)
    assert change.what.startswith("not possible (FIELD_INTEGRITY_EXCEPTION)")
    assert client.calls["schema"] == 2


def test_a_key_that_stays_hidden_does_not_stop_setup(wire: responses.RequestsMock) -> None:
    describes(wire, "Task")
    wire.post(f"{DATA}/tooling/sobjects/CustomField", json={"id": "00N1", "success": True}, status=201)
    wire.get(f"{DATA}/query/", json=NOT_THERE, status=400)
    [change] = maker()[0].ensure([], user_id=None)
    assert change.what.startswith("not possible")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("DUPLICATE_DEVELOPER_NAME", "exists"),
        ("DUPLICATE_VALUE", "duplicate value found"),
        ("FIELD_INTEGRITY_EXCEPTION", "There is already a field named MQL_Score on Lead."),
    ],
)
def test_a_field_that_is_there_already_is_granted_whatever_the_refusal_is_called(
    wire: responses.RequestsMock, code: str, message: str
) -> None:
    describes(wire, "Lead")
    describes(wire, "Task", KEY)
    wire.post(f"{DATA}/tooling/sobjects/CustomField", json=[{"errorCode": code, "message": message}], status=400)
    describes(wire, "Lead", SHOWN)
    assert [c.what for c in maker()[0].ensure([SCORE], user_id=None)] == ["granted", "present"]


def test_a_key_that_cannot_be_granted_leaves_the_other_fields_granted_and_assigned(
    wire: responses.RequestsMock,
) -> None:
    """The custom fields of tasks are Activity's, and an org may want their rights named otherwise."""
    describes(wire, "Lead")
    describes(wire, "Task")
    wire.post(f"{DATA}/tooling/sobjects/CustomField", json={"id": "00N1", "success": True}, status=201)
    describes(wire, "Lead")
    describes(wire, "Task")
    wire.get(f"{DATA}/query/", json={"records": [], "done": True})
    made = {"id": "0PS5g0000000001EAA", "success": True, "errors": []}
    asked: list[str] = []

    def grants(request: Any) -> tuple[int, dict[str, str], str]:
        asked.append(f"{request.url.rpartition('/')[2]} {json.loads(request.body).get('Field', '')}".strip())
        refused = [{"errorCode": "INVALID_CROSS_REFERENCE_KEY", "message": "no such field"}]
        return (400, {}, json.dumps(refused)) if TASK_KEY in asked[-1] else (201, {}, json.dumps(made))

    for object in ("PermissionSet", "PermissionSetAssignment", "FieldPermissions"):
        wire.add_callback(responses.POST, f"{DATA}/sobjects/{object}", grants)
    describes(wire, "Lead", SHOWN)
    describes(wire, "Task")
    key = WantedField(object="task", name=TASK_KEY, label="key", kind=FieldKind.TEXT, length=64, unique=True)
    said = {c.name: c.what for c in maker()[0].ensure([key, SCORE], user_id="0055g0000000002AAA")}
    assert said["MQL_Score__c"] == "created"
    assert said[TASK_KEY].startswith("not possible")
    assert asked == [
        "PermissionSet",
        "PermissionSetAssignment",
        "FieldPermissions Lead.MQL_Score__c",
        f"FieldPermissions Task.{TASK_KEY}",
    ]


def test_a_key_of_the_length_that_is_wanted_is_long_enough(wire: responses.RequestsMock) -> None:
    describes(wire, "Task", {**KEY, "length": 64})
    key = WantedField(object="task", name=TASK_KEY, label="key", kind=FieldKind.TEXT, length=64, unique=True)
    assert [c.what for c in maker()[0].ensure([key], user_id=None)] == ["present"]


@pytest.mark.parametrize(
    ("raw", "schema"),
    [
        (
            {"name": "Status", "type": "picklist", "updateable": True, "length": 255, "picklistValues": [
                {"active": True, "value": "Open"}, {"active": False, "value": "Old"}]},
            FieldSchema(
                name="Status", kind=FieldKind.PICKLIST, writable=True, length=255, options=("Open",), native="picklist"
            ),
        ),
        (
            {"name": "OwnerId", "type": "reference", "referenceTo": ["Group", "User"], "updateable": True},
            FieldSchema(name="OwnerId", kind=FieldKind.OWNER, writable=True, native="reference"),
        ),
        (
            {"name": "AccountId", "type": "reference", "referenceTo": ["Account"], "updateable": False, "length": 18},
            FieldSchema(name="AccountId", kind=FieldKind.TEXT, writable=False, length=18, native="reference"),
        ),
        (
            {"name": "On__c", "type": "date", "updateable": True, "custom": True},
            FieldSchema(name="On__c", kind=FieldKind.DATETIME, writable=True, custom=True, native="date"),
        ),
        (
            {"name": "Where__c", "type": "location", "updateable": True},
            FieldSchema(name="Where__c", kind=FieldKind.OTHER, writable=True, native="location"),
        ),
    ],
)  # fmt: skip
def test_a_describe_becomes_a_schema(raw: dict[str, Any], schema: FieldSchema) -> None:
    assert field_schema(raw) == schema


def test_a_path_through_a_reference_is_visible_where_the_reference_is() -> None:
    known = {
        "contact": {
            name: FieldSchema(name=name, kind=FieldKind.TEXT, writable=True)
            for name in ("AccountId", "Plan__c", "Email")
        }
    }
    describes = Describes(maker()[1], known)
    shown, hidden = describes.visible(
        "contact", ["Email", "Account.Industry", "Plan__r.Tier__c", "Owner.Name", "No__c"]
    )
    assert shown == ["Email", "Account.Industry", "Plan__r.Tier__c"]
    assert hidden == ["Owner.Name", "No__c"]
