"""Batches, and what becomes of each record in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import requests
import responses

from connectors.errors import RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.records import (
    Crm,
    FieldKind,
    FieldSchema,
    Found,
    Gone,
    Moved,
    Patch,
    ReadBack,
    RecordRef,
    Redirected,
    Rejected,
    Unknown,
    WriteOutcome,
    Written,
)
from connectors.retry import Patience
from connectors.salesforce.bulk_ingest import MOST_AT_ONCE, IngestJobs
from connectors.salesforce.client import Client
from connectors.salesforce.schema import Describes
from connectors.salesforce.settings import SalesforceSettings, Session
from connectors.salesforce.writer import FEWER, MOST_STUMBLES, Writer, typed

HOME = "https://acme.my.salesforce.com"
COLLECTION = f"{HOME}/services/data/v59.0/composite/sobjects"

FIELDS = {
    name: FieldSchema(name=name, kind=kind, writable=name != "Formula__c", native=native)
    for name, kind, native in (
        ("Score__c", FieldKind.NUMBER, "double"),
        ("Count__c", FieldKind.NUMBER, "int"),
        ("Paused__c", FieldKind.BOOLEAN, "boolean"),
        ("On__c", FieldKind.DATETIME, "date"),
        ("At__c", FieldKind.DATETIME, "datetime"),
        ("Status__c", FieldKind.PICKLIST, "picklist"),
        ("Formula__c", FieldKind.NUMBER, "double"),
        ("OwnerId", FieldKind.OWNER, "reference"),
    )
}


def lead(number: int) -> RecordRef:
    return RecordRef(crm=Crm.SALESFORCE, object="lead", id=f"00Q5g00000{number:05d}EAA")


def patch(number: int, **fields: str | None) -> Patch:
    return Patch(ref=lead(number), fields=fields or {"Score__c": "7"}, trace=str(number))


class Scene:
    """A writer against scripted answers. ``there``: what reading by id finds."""

    def __init__(self, wire: responses.RequestsMock) -> None:
        self.wire = wire
        self.waits: list[float] = []
        self.there: dict[RecordRef, ReadBack] = {}
        self.client = Client(
            SalesforceSettings(base_url=HOME, auth=Session(session_id="t")),
            patience=Patience(attempts=2, first_wait=0),
            sleep=lambda seconds: None,
            monotonic=lambda: 0.0,
        )
        self.writer = Writer(
            self.client,
            Describes(self.client, {"lead": FIELDS}),
            self._look,
            self.waits.append,
            IngestJobs(self.client, {}),
        )

    def _look(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> Mapping[RecordRef, ReadBack]:
        return {ref: self.there.get(ref, Gone(ref=ref, reason="none")) for ref in refs}

    def answers(self, *items: Any, status: int = 200) -> None:
        self.wire.patch(COLLECTION, json=list(items), status=status)

    def apply(self, *patches: Patch) -> tuple[WriteOutcome, ...]:
        return self.writer.apply(patches)

    def sent(self) -> list[list[dict[str, Any]]]:
        return [json.loads(call.request.body)["records"] for call in self.wire.calls]


@pytest.fixture
def scene() -> Iterator[Scene]:
    with responses.RequestsMock() as wire:
        yield Scene(wire)


def ok(number: int) -> dict[str, Any]:
    return {"id": lead(number).id, "success": True, "errors": []}


def bad(code: str, message: str = "why", *fields: str) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": list(fields)}]}


def test_values_go_out_in_the_type_of_their_field(scene: Scene) -> None:
    scene.answers(ok(1))
    scene.apply(
        patch(1, Score__c="87.0", Paused__c="true", On__c="2026-05-06", At__c="2026-05-06T07:08:09Z", Status__c=None)
    )
    [[record]] = scene.sent()
    assert record == {
        "attributes": {"type": "Lead"},
        "id": lead(1).id,
        "Score__c": 87,
        "Paused__c": True,
        "On__c": "2026-05-06",
        "At__c": "2026-05-06T07:08:09Z",
        "Status__c": None,
    }
    assert json.loads(scene.wire.calls[0].request.body)["allOrNone"] is False


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("Score__c", "87.5", 87.5),
        ("Score__c", "-3", -3),
        ("Score__c", "1e3", 1000),
        ("Count__c", "87.0", 87),
        ("Paused__c", "False", False),
        ("Paused__c", None, False),
        ("Score__c", None, None),
        ("On__c", "2026-05-06T23:59:59Z", "2026-05-06"),
        ("At__c", "2026-05-06", "2026-05-06T00:00:00Z"),
        ("At__c", "2026-05-06T09:08:09.250+02:00", "2026-05-06T07:08:09.250Z"),
        ("Status__c", "MQL", "MQL"),
    ],
)
def test_text_becomes_json(field: str, text: str | None, value: object) -> None:
    made = typed(FIELDS[field], text)
    assert (made, type(made)) == (value, type(value))


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("Score__c", "many"),
        ("Score__c", "NaN"),
        ("Count__c", "1.5"),
        ("Paused__c", "perhaps"),
        ("At__c", "soon"),
        ("On__c", "x"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_before_anything_is_sent(scene: Scene, field: str, text: str) -> None:
    [outcome] = scene.apply(patch(1, **{field: text}))
    assert isinstance(outcome, Rejected)
    assert (outcome.field, len(scene.wire.calls)) == (field, 0)


@pytest.mark.parametrize("name", ["Formula__c", "Hidden__c"])
def test_a_field_that_cannot_be_written_is_refused_after_asking_the_org_once_more(scene: Scene, name: str) -> None:
    scene.wire.get(
        f"{HOME}/services/data/v59.0/sobjects/Lead/describe",
        json={"fields": [{"name": "Formula__c", "type": "double", "updateable": False}]},
    )
    first, second = scene.apply(patch(1, **{name: "1"}), patch(2, **{name: "1"}))
    assert isinstance(first, Rejected)
    assert isinstance(second, Rejected)
    assert first.field == name
    assert "integration user" in first.reason
    assert scene.client.calls == {"describe": 1}


def test_outcomes_are_by_position(scene: Scene) -> None:
    scene.answers(ok(1), bad("STRING_TOO_LONG", "too long: ann@corp.example", "Title"), ok(3))
    first, second, third = scene.apply(patch(1), patch(2), patch(3))
    assert first == Written(ref=lead(1))
    assert second == Rejected(ref=lead(2), code="STRING_TOO_LONG", reason="too long: <address>", field="Title")
    assert third == Written(ref=lead(3))


@pytest.mark.parametrize(
    "answer",
    [
        [ok(1)],
        [ok(1), ok(2), ok(3)],
        [],
        {"hello": "world"},
    ],
)
def test_an_answer_of_another_length_says_nothing_about_anybody(scene: Scene, answer: Any) -> None:
    scene.wire.patch(COLLECTION, json=answer)
    outcomes = scene.apply(patch(1), patch(2))
    assert all(isinstance(outcome, Unknown) for outcome in outcomes)
    assert len(scene.wire.calls) == 1


@pytest.mark.parametrize(
    "item", [{}, {"success": False}, {"success": False, "errors": []}, 7, ok(9), {"id": 7, "success": True}]
)
def test_an_item_that_says_neither_yes_nor_no_or_names_another_record_is_unknown(scene: Scene, item: Any) -> None:
    scene.answers(item, ok(2))
    first, second = scene.apply(patch(1), patch(2))
    assert isinstance(first, Unknown)
    assert isinstance(second, Written)


@pytest.mark.parametrize(
    "broken",
    [
        {"body": requests.ReadTimeout()},
        {"body": requests.ConnectionError("reset")},
        {"body": "<html>gateway</html>", "status": 502},
        {"body": "<html>all is well</html>", "status": 200},
        {"json": [{"errorCode": "UNKNOWN_EXCEPTION", "message": "x"}], "status": 500},
    ],
)
def test_a_write_without_a_usable_answer_is_unknown_and_never_sent_again(scene: Scene, broken: dict[str, Any]) -> None:
    scene.wire.patch(COLLECTION, **broken)
    outcomes = scene.apply(patch(1), patch(2))
    assert all(isinstance(outcome, Unknown) for outcome in outcomes)
    assert len(scene.wire.calls) == 1


def test_a_batch_refused_whole_is_split_until_the_bad_row_stands_alone(scene: Scene) -> None:
    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        records = json.loads(request.body or b"")["records"]
        if any(record["id"] == lead(5).id for record in records):
            return 400, {}, json.dumps([{"errorCode": "JSON_PARSER_ERROR", "message": "bad row"}])
        return 200, {}, json.dumps([{"id": record["id"], "success": True, "errors": []} for record in records])

    scene.wire.add_callback("PATCH", COLLECTION, callback=answer)
    outcomes = scene.apply(*(patch(n) for n in range(8)))
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Rejected)] == [5]
    assert len(scene.wire.calls) == 1 + 2 * 3


@pytest.mark.parametrize("status", [403, 405])
def test_a_request_refused_for_no_row_of_it_is_not_split(scene: Scene, status: int) -> None:
    scene.wire.patch(COLLECTION, json=[{"errorCode": "METHOD_NOT_ALLOWED", "message": ""}], status=status)
    with pytest.raises(Exception, match=str(status)):
        scene.apply(patch(1), patch(2))
    assert len(scene.wire.calls) == 1


@pytest.mark.parametrize("status", [404, 405])
def test_a_page_of_a_proxy_in_place_of_an_answer_is_no_fault_of_a_row(scene: Scene, status: int) -> None:
    """Taken for one, every record of the batch would be parked for good."""
    scene.wire.patch(COLLECTION, body="<h1>Not Found</h1>", status=status)
    with pytest.raises(UnexpectedAnswer, match=str(status)):
        scene.apply(patch(1), patch(2))
    assert len(scene.wire.calls) == 1


def test_what_stops_a_half_sent_batch_is_told_by_the_rows_that_were_not_sent(scene: Scene) -> None:
    """After a split the first half is written; then the day's calls are used up. Nobody may lose the first half."""
    scene.answers({"errorCode": "JSON_PARSER_ERROR", "message": ""}, status=400)
    scene.answers(ok(1))
    scene.answers({"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests"}, status=403)
    first, second = scene.apply(patch(1), patch(2))
    assert isinstance(first, Written)
    assert isinstance(second, Rejected)
    assert (second.code, second.retry) == ("NOT_SENT", True)


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        ({"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests"}, RunCannotContinue),
        ({"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests"}, RetryLater),
    ],
)
def test_a_batch_that_was_not_sent_at_all_raises(scene: Scene, problem: dict[str, str], error: type[Exception]) -> None:
    scene.answers(problem, status=403)
    with pytest.raises(error):
        scene.apply(patch(1))


def test_locked_rows_are_tried_again_alone_after_growing_waits(scene: Scene) -> None:
    scene.answers(ok(1), bad("UNABLE_TO_LOCK_ROW"), bad("CANNOT_EXECUTE_FLOW_TRIGGER", "flow: UNABLE_TO_LOCK_ROW"))
    scene.answers(bad("UNABLE_TO_LOCK_ROW"))
    scene.answers(ok(3))
    scene.answers(ok(2))
    first, second, third = scene.apply(patch(1), patch(2), patch(3))
    assert all(isinstance(outcome, Written) for outcome in (first, second, third))
    assert scene.waits == [1.0, 5.0]
    assert [len(records) for records in scene.sent()] == [3, 1, 1, 1]


def test_a_lock_that_lasts_is_a_refusal_that_passes(scene: Scene) -> None:
    for _ in range(4):
        scene.answers(bad("UNABLE_TO_LOCK_ROW"))
    [outcome] = scene.apply(patch(1))
    assert isinstance(outcome, Rejected)
    assert outcome.retry
    assert scene.waits == [1.0, 5.0, 15.0]


def test_gone_records_are_looked_up(scene: Scene) -> None:
    contact = RecordRef(crm=Crm.SALESFORCE, object="contact", id="0035g0000000001AAA")
    scene.there = {
        lead(1): Moved(ref=lead(1), to=contact, reason="converted"),
        lead(3): Found(ref=lead(3), values={}, version=""),
    }
    scene.answers(
        bad("CANNOT_UPDATE_CONVERTED_LEAD"),
        bad("ENTITY_IS_DELETED"),
        bad("INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank", "OwnerId"),
    )
    first, second, third = scene.apply(patch(1), patch(2), patch(3, OwnerId="005000000000000AAA"))
    assert first == Redirected(ref=lead(1), to=contact, reason="converted")
    assert isinstance(second, Redirected)
    assert second.to is None
    assert isinstance(third, Rejected)
    assert third.field == "OwnerId"


def test_misuse_is_an_error_of_the_caller(scene: Scene) -> None:
    other = Patch(ref=RecordRef(crm=Crm.SALESFORCE, object="contact", id="0035g0000000001AAA"), fields={}, trace="x")
    for patches in ([patch(n) for n in range(MOST_AT_ONCE + 1)], [patch(1), patch(1)], [patch(1), other]):
        with pytest.raises(ValueError, match=r"batch"):
            scene.apply(*patches)


def test_an_empty_batch_costs_nothing(scene: Scene) -> None:
    assert scene.apply() == ()


# -- Salesforce itself fails ---------------------------------------------------------------------------------------

FAILURE = [{"errorCode": "UNKNOWN_EXCEPTION", "message": "An unexpected error occurred. ErrorId: 1-2 (3)"}]


def poisoned(scene: Scene, *numbers: int) -> None:
    """An org that fails at whatever one of these is in."""
    poison = {lead(number).id for number in numbers}

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        ids = [record["id"] for record in json.loads(request.body)["records"]]
        if poison & set(ids):
            return 500, {}, json.dumps(FAILURE)
        return 200, {}, json.dumps([{"id": id, "success": True, "errors": []} for id in ids])

    scene.wire.add_callback(responses.PATCH, COLLECTION, callback=answer)


@pytest.mark.parametrize("poison", [[0], [199], [17, 150], [0, 1, 2]])
def test_a_record_at_which_salesforce_itself_fails_keeps_no_other_from_being_written(
    scene: Scene, poison: list[int]
) -> None:
    """Each time as if what has no answer had been read back, and not been there."""
    poisoned(scene, *poison)
    left = list(range(200))
    for _ in range(3):
        before = len(scene.sent())
        outcomes = scene.apply(*(patch(number) for number in left))
        sent = [record["id"] for records in scene.sent()[before:] for record in records]
        assert sorted(sent) == sorted(lead(number).id for number in left), "each once"
        left = [number for number, one in zip(left, outcomes, strict=True) if isinstance(one, Unknown)]
        assert all(isinstance(one, Unknown | Written) for one in outcomes)
    assert left == poison


def test_where_salesforce_fails_at_everything_what_is_left_waits(scene: Scene) -> None:
    poisoned(scene, *range(200))
    scene.apply(*(patch(number) for number in range(200)))
    outcomes = scene.apply(*(patch(number) for number in range(200)))
    assert len(scene.sent()) == 1 + MOST_STUMBLES + 1
    waits = [one for one in outcomes if isinstance(one, Rejected)]
    assert {(one.code, one.retry) for one in waits} == {("NOT_SENT", True)}
    assert len(waits) == 200 - (MOST_STUMBLES + 1) * FEWER


def test_a_failure_that_is_not_its_own_word_is_not_looked_into(scene: Scene) -> None:
    """A gateway's: whatever is behind it may still be at work."""
    scene.wire.patch(COLLECTION, body="<html>Bad gateway</html>", status=502)
    assert all(isinstance(one, Unknown) for one in scene.apply(patch(1), patch(2)))
    assert len(scene.sent()) == 1
