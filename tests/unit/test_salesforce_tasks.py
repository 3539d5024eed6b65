"""Tasks that the org refuses because a value is taken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import responses

from connectors.records import Crm, RecordRef, Rejected, TaskDraft, Unchanged, WriteOutcome
from connectors.retry import Patience
from connectors.salesforce.client import Client
from connectors.salesforce.schema import TASK_KEY, Describes
from connectors.salesforce.settings import SalesforceSettings, Session
from connectors.salesforce.tasks import TaskMaker

HOME = "https://acme.my.salesforce.com"
DATA = f"{HOME}/services/data/v59.0"
PERSON = RecordRef(crm=Crm.SALESFORCE, object="lead", id="00Q5g0000000001EAA")
MADE = "00T5g0000000009EAA"
DRAFT = TaskDraft(
    key="p:1:task:1",
    person=PERSON,
    owner="0055g0000000002AAA",
    subject="Follow up",
    lines=(),
    due=date(2026, 11, 26),
    since=datetime(2026, 11, 25, tzinfo=UTC),
    attempted=False,
)
NONE: dict[str, Any] = {"totalSize": 0, "done": True, "records": []}
FOUND: dict[str, Any] = {"totalSize": 1, "done": True, "records": [{"Id": MADE, TASK_KEY: DRAFT.key}]}


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def refused(wire: responses.RequestsMock, message: str, fields: list[str], *looked: dict[str, Any]) -> WriteOutcome:
    """What becomes of a draft whose creation is refused so. ``looked``: what looking for it before and after finds."""
    wire.get(f"{DATA}/sobjects/Task/describe", json={"fields": [{"name": TASK_KEY, "type": "string"}]})
    for body in looked:
        wire.get(f"{DATA}/queryAll/", status=body.get("status", 200), json=body.get("errors", body))
    error = {"statusCode": "DUPLICATE_VALUE", "message": message, "fields": fields}
    wire.post(f"{DATA}/composite/sobjects", json=[{"success": False, "errors": [error]}])
    client = Client(
        SalesforceSettings(base_url=HOME, auth=Session(session_id="t")),
        patience=Patience(attempts=1),
        sleep=lambda seconds: None,
        monotonic=lambda: 0.0,
    )
    maker = TaskMaker(client, Describes(client, {}), lambda refs, fields: {}, lambda seconds: None)
    [outcome] = maker.create([DRAFT])
    return outcome


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (f"duplicate value found: {TASK_KEY} duplicates value on record with id: {MADE}", []),
        ("duplicate value found: <unknown> duplicates value on record with id: <unknown>", [TASK_KEY]),
        ("duplicate value found: <unknown> duplicates value on record with id: <unknown>", []),
    ],
)
def test_a_key_that_is_taken_is_a_task_that_is_there(
    wire: responses.RequestsMock, message: str, fields: list[str]
) -> None:
    assert refused(wire, message, fields, NONE, FOUND) == Unchanged(ref=PERSON, id=MADE)


def test_a_refusal_that_names_the_key_is_proof_enough_where_the_task_cannot_be_seen(
    wire: responses.RequestsMock,
) -> None:
    assert refused(wire, "taken", [TASK_KEY], NONE, NONE) == Unchanged(ref=PERSON, id=None)


@pytest.mark.parametrize("fields", [[], ["Ticket__c"]])
def test_a_value_that_is_taken_in_another_field_is_no_task(wire: responses.RequestsMock, fields: list[str]) -> None:
    """Taken for one, nobody would ever be told to follow up."""
    outcome = refused(wire, "duplicate value found: Ticket__c duplicates value on record", fields, NONE, NONE)
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.retry) == ("DUPLICATE_VALUE", False)


def test_whose_value_is_taken_is_looked_up_again_where_that_failed(wire: responses.RequestsMock) -> None:
    down = {"status": 503, "errors": [{"errorCode": "SERVER_UNAVAILABLE", "message": ""}]}
    outcome = refused(wire, "taken", [], NONE, down)
    assert isinstance(outcome, Rejected)
    assert outcome.retry
