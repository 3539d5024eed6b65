"""Every error body that the documentation of both CRMs shows, word for word, and what it makes a connector do.

Where the documents leave room (milliseconds or seconds, a body or none, a page of the edge) both answers are here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from connectors.errors import OutcomeUnknown, RetryLater, RunCannotContinue, SignInRefused, UnexpectedAnswer
from connectors.hubspot import refusals as hubspot
from connectors.hubspot.batch import Done, Input, Missing, Turned, send
from connectors.hubspot.client import Answer
from connectors.hubspot.refusals import EdgeRefused, Locked, NotPermitted
from connectors.salesforce import refusals as salesforce
from connectors.salesforce.refusals import Item, NotPossible, item_meaning

CLOUDFLARE = "<!DOCTYPE html><html><head><title>Error 521</title></head><body>cloudflare</body></html>"

Kind = type[BaseException]


def hub(status: int, body: str, *, write: bool, after: float | None = None) -> BaseException:
    return hubspot.refusal(status, body.encode(), request="a call", write=write, after=after)


def force(status: int, body: str, *, write: bool) -> BaseException:
    return salesforce.refusal(status, body.encode(), write=write)


# -- HubSpot -----------------------------------------------------------------------------------------------------

NOT_ALLOWED = (
    '{"status":"error","message":"Property values were not valid: [{\\"isValid\\":false,'
    '\\"message\\":\\"NAM Only was not one of the allowed '
    'options: [label: \\\\\\"EMEA\\\\\\"]\\",\\"error\\":\\"%s\\",\\"name\\":\\"some_property\\"}]",'
    '"correlationId":"aeb5f871-7f07-4993-9211-075dc63e7cbf","category":"VALIDATION_ERROR"}'
)

HUBSPOT: list[tuple[int, str, Kind, Kind]] = [
    *(
        (400, NOT_ALLOWED % code, hubspot.Refused, hubspot.Refused)
        for code in ("INVALID_OPTION", "INVALID_LONG", "INVALID_EMAIL", "PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE")
    ),
    (
        400,
        '{"status":"error","message":"Duplicate IDs found in batch input: [101]. IDs must be unique",'
        '"correlationId":"c","context":{"ids":["101"]},"category":"VALIDATION_ERROR"}',
        hubspot.Refused,
        hubspot.Refused,
    ),
    (
        400,
        '{"status":"error","message":"Invalid input JSON on line 1, column 2: too many inputs, the limit is 100",'
        '"category":"VALIDATION_ERROR","correlationId":"c","errors":[{"message":"m","in":"inputs","code":"SIZE",'
        '"subCategory":"s","context":{"propertyName":["x"]}}],"links":{}}',
        hubspot.Refused,
        hubspot.Refused,
    ),
    (
        401,
        '{"status":"error","message":"Authentication credentials not found.","category":"INVALID_AUTHENTICATION"}',
        hubspot.SignInAgain,
        hubspot.SignInAgain,
    ),
    (
        401,
        '{"status":"error","message":"The OAuth token used to make this call expired 1 hour(s) ago.",'
        '"correlationId":"c","category":"EXPIRED_AUTHENTICATION","context":{"expire time":["2026-11-25T09:00:00Z"]}}',
        hubspot.SignInAgain,
        hubspot.SignInAgain,
    ),
    (
        403,
        '{"status":"error","message":"This app hasn\'t been granted all required scopes to make this call.",'
        '"correlationId":"c","context":{"missingScopes":["crm.schemas.contacts.write"]},"category":"MISSING_SCOPES"}',
        NotPermitted,
        NotPermitted,
    ),
    (
        404,
        '{"status":"error","message":"Object not found.  objectId are usually numeric.","category":"OBJECT_NOT_FOUND"}',
        hubspot.Refused,
        hubspot.Refused,
    ),
    (
        409,
        '{"status":"error","message":"Contact already exists. Existing ID: 6001","correlationId":"c",'
        '"category":"CONFLICT"}',
        hubspot.Refused,
        hubspot.Refused,
    ),
    (414, "<html><body><h1>414 Request-URI Too Large</h1></body></html>", hubspot.Refused, hubspot.Refused),
    (423, "", Locked, Locked),
    (
        429,
        '{"status":"error","message":"You have reached your ten_secondly_rolling limit.","errorType":"RATE_LIMIT",'
        '"correlationId":"c","policyName":"TEN_SECONDLY_ROLLING"}',
        RetryLater,
        RetryLater,
    ),
    (
        429,
        '{"status":"error","message":"You have reached your secondly limit.","errorType":"RATE_LIMIT",'
        '"correlationId":"c","policyName":"SECONDLY"}',
        RetryLater,
        RetryLater,
    ),
    (
        429,
        '{"status":"error","message":"You have reached your daily limit.","errorType":"RATE_LIMIT",'
        '"correlationId":"c","policyName":"DAILY"}',
        RunCannotContinue,
        RunCannotContinue,
    ),
    (429, '{"status":"error","category":"RATE_LIMITS","message":"slow down"}', RetryLater, RetryLater),
    (477, "", RetryLater, RetryLater),
    (
        500,
        '{"status":"error","message":"internal error","correlationId":"c","category":"INTERNAL_ERROR"}',
        RetryLater,
        OutcomeUnknown,
    ),
    *((status, CLOUDFLARE, RetryLater, OutcomeUnknown) for status in (502, 503, 504, 521, 522, 523, 524)),
    (530, CLOUDFLARE, EdgeRefused, OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "body", "read", "write"), HUBSPOT)
def test_hubspots_refusals(status: int, body: str, read: Kind, write: Kind) -> None:
    assert type(hub(status, body, write=False)) is read
    assert type(hub(status, body, write=True)) is write


@pytest.mark.parametrize(
    ("policy", "header", "wait"),
    [
        ("TEN_SECONDLY_ROLLING", None, 10.0),
        ("TEN_SECONDLY_ROLLING", 3.0, 3.0),
        ("TEN_SECONDLY_ROLLING", 10_000.0, 10.0),
        ("TEN_SECONDLY_ROLLING", 25_000.0, 25.0),
        ("SECONDLY", None, 1.0),
        ("SECONDLY", 1_000.0, 1.0),
        ("SECONDLY", 2.0, 2.0),
    ],
)
def test_a_wait_in_milliseconds_is_not_taken_for_hours(policy: str, header: float | None, wait: float) -> None:
    body = json.dumps({"status": "error", "errorType": "RATE_LIMIT", "policyName": policy})
    error = hub(429, body, write=False, after=header)
    assert isinstance(error, RetryLater)
    assert error.after == wait


def test_an_account_that_moves_may_ask_for_hours() -> None:
    error = hub(477, "", write=False, after=18_000.0)
    assert isinstance(error, RetryLater)
    assert error.after == 18_000.0


@pytest.mark.parametrize("code", ["INVALID_OPTION", "INVALID_LONG", "INVALID_EMAIL", "READ_ONLY_VALUE"])
def test_the_property_and_the_code_are_found_in_the_text(code: str) -> None:
    problem = hubspot.problem_of((NOT_ALLOWED % code).encode())
    assert problem.validation() == (("some_property", code),)


class Portal:
    """Answers a batch of three once: ids 1, 2 and 3, traced as a, b and c."""

    def __init__(self, status: int, body: Mapping[str, object]) -> None:
        self._answer = Answer(status=status, body=json.dumps(body).encode())

    def write(self, *call: object, **how: object) -> Answer:
        return self._answer


def done(*ids: str) -> list[dict[str, object]]:
    return [{"id": id, "properties": {}, "createdAt": "", "updatedAt": ""} for id in ids]


ENTRY = {"status": "error", "category": "VALIDATION_ERROR", "message": "x was not valid", "errors": [], "links": {}}
PARTIAL: list[tuple[str, int, dict[str, object], list[type]]] = [
    ("all done", 200, {"status": "COMPLETE", "results": done("1", "2", "3")}, [Done, Done, Done]),
    (
        "one entry names all that are absent",
        207,
        {
            "status": "COMPLETE",
            "results": done("1"),
            "numErrors": 1,
            "errors": [
                {
                    "status": "error",
                    "category": "OBJECT_NOT_FOUND",
                    "message": "Could not get some CONTACT objects, they may be deleted or not exist. "
                    "Check that ids are valid.",
                    "context": {"ids": ["2", "3"]},
                }
            ],
        },
        [Done, Turned, Turned],
    ),
    (
        "the trace is echoed in the context",
        207,
        {"results": done("1", "3"), "numErrors": 1, "errors": [ENTRY | {"context": {"objectWriteTraceId": ["b"]}}]},
        [Done, Turned, Done],
    ),
    (
        "the entry names nobody, and only one is left",
        207,
        {"results": done("1", "2"), "numErrors": 1, "errors": [ENTRY]},
        [Done, Done, Turned],
    ),
    (
        "the entry names nobody, and it may be either",
        207,
        {"results": done("1"), "numErrors": 1, "errors": [ENTRY]},
        [Done, Missing, Missing],
    ),
    ("an id that was merged away is left out", 200, {"results": done("1", "3")}, [Done, Missing, Done]),
]


@pytest.mark.parametrize(("status", "body", "kinds"), [p[1:] for p in PARTIAL], ids=[p[0] for p in PARTIAL])
def test_what_a_partial_answer_says_of_each_record(status: int, body: dict[str, object], kinds: list[type]) -> None:
    inputs = [Input(trace=trace, id=str(n), properties={"x": "1"}) for n, trace in enumerate("abc", start=1)]
    results = send(Portal(status, body), "batch_update", "/x", inputs)  # type: ignore[arg-type]  # all that is asked of it
    assert [type(results[one.trace]) for one in inputs] == kinds


# -- Salesforce --------------------------------------------------------------------------------------------------

Said = tuple[str, int, Kind, Kind, Item]
R, U, N = salesforce.Refused, OutcomeUnknown, NotPossible

SALESFORCE: list[Said] = [
    # code, HTTP status of a request, what a read raises, what a write raises, what it means for a record
    ("INVALID_SESSION_ID", 401, salesforce.SignInAgain, salesforce.SignInAgain, Item.LATER),
    ("SERVER_UNAVAILABLE", 503, RetryLater, U, Item.LATER),
    ("UNKNOWN_EXCEPTION", 500, RetryLater, salesforce.Stumbled, Item.LATER),
    ("UNABLE_TO_LOCK_ROW", 400, RetryLater, RetryLater, Item.ALONE),
    ("QUERY_TIMEOUT", 400, R, R, Item.NEVER),
    ("QUERY_TOO_COMPLICATED", 400, R, R, Item.NEVER),
    ("INVALID_QUERY_LOCATOR", 400, R, R, Item.NEVER),
    ("MALFORMED_QUERY", 400, R, R, Item.NEVER),
    ("EXCEEDED_ID_LIMIT", 400, R, R, Item.NEVER),
    ("INVALID_REPLICATION_DATE", 400, R, R, Item.NEVER),
    ("INVALID_TYPE", 400, N, N, Item.NEVER),
    ("INVALID_FIELD", 400, N, N, Item.NEVER),
    ("INVALID_FIELD_FOR_INSERT_UPDATE", 400, N, N, Item.NEVER),
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", 400, R, R, Item.NEVER),
    ("CANNOT_EXECUTE_FLOW_TRIGGER", 400, R, R, Item.NEVER),
    ("FIELD_FILTER_VALIDATION_EXCEPTION", 400, R, R, Item.NEVER),
    ("FIELD_CUSTOM_VALIDATION_EXCEPTION", 400, R, R, Item.NEVER),
    ("FIELD_INTEGRITY_EXCEPTION", 400, R, R, Item.NEVER),
    ("INVALID_TYPE_ON_FIELD_IN_RECORD", 400, R, R, Item.NEVER),
    ("NUMBER_OUTSIDE_VALID_RANGE", 400, R, R, Item.NEVER),
    ("STRING_TOO_LONG", 400, R, R, Item.NEVER),
    ("INVALID_EMAIL_ADDRESS", 400, R, R, Item.NEVER),
    ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", 400, R, R, Item.NEVER),
    ("REQUIRED_FIELD_MISSING", 400, R, R, Item.NEVER),
    ("INSUFFICIENT_ACCESS_OR_READONLY", 400, N, N, Item.NEVER),
    ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", 400, R, R, Item.NEVER),
    ("TRANSFER_REQUIRES_READ", 400, R, R, Item.NEVER),
    ("INACTIVE_OWNER_OR_USER", 400, R, R, Item.NEVER),
    ("OP_WITH_INVALID_USER_TYPE_EXCEPTION", 400, R, R, Item.NEVER),
    ("INVALID_CROSS_REFERENCE_KEY", 404, R, R, Item.LOOK),
    ("ENTITY_IS_DELETED", 404, R, R, Item.LOOK),
    ("CANNOT_UPDATE_CONVERTED_LEAD", 400, R, R, Item.LOOK),
    ("DUPLICATES_DETECTED", 400, R, R, Item.NEVER),
    ("DUPLICATE_VALUE", 400, R, R, Item.NEVER),
    ("DUPLICATE_EXTERNAL_ID", 400, R, R, Item.NEVER),
    ("DUPLICATE_DEVELOPER_NAME", 400, R, R, Item.NEVER),
    ("MALFORMED_ID", 400, R, R, Item.NEVER),
    ("INVALID_ID_FIELD", 400, R, R, Item.NEVER),
    ("MIXED_DML_OPERATION", 400, R, R, Item.NEVER),
    ("LIMIT_EXCEEDED", 403, RetryLater, RetryLater, Item.LATER),
    ("TOO_MANY_APEX_REQUESTS", 403, RetryLater, RetryLater, Item.LATER),
    ("STORAGE_LIMIT_EXCEEDED", 403, N, N, Item.LATER),
    ("ENTITY_IS_LOCKED", 400, R, R, Item.LATER),
    ("ALL_OR_NONE_OPERATION_ROLLED_BACK", 400, R, R, Item.ALONE),
    ("PROCESSING_HALTED", 400, R, R, Item.ALONE),
    ("NOT_FOUND", 404, R, R, Item.LOOK),
    ("API_DISABLED_FOR_ORG", 403, N, N, Item.NEVER),
    ("API_CURRENTLY_DISABLED", 403, N, N, Item.NEVER),
    ("UNSUPPORTED_API_VERSION", 410, N, N, Item.NEVER),
]


@pytest.mark.parametrize(("code", "status", "read", "write", "item"), SALESFORCE, ids=[s[0] for s in SALESFORCE])
def test_salesforces_refusals(code: str, status: int, read: Kind, write: Kind, item: Item) -> None:
    request = json.dumps([{"message": "it says why", "errorCode": code, "fields": ["X__c"]}])
    record = json.dumps({"statusCode": code, "message": "it says why", "fields": ["X__c"]})
    assert type(force(status, request, write=False)) is read
    assert type(force(status, request, write=True)) is write
    problem = salesforce.problem_of(record.encode())
    assert (problem.code, problem.fields) == (code, ("X__c",))
    assert item_meaning(problem) is item


@pytest.mark.parametrize("wrapping", ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER"])
def test_a_lock_inside_a_trigger_is_a_lock(wrapping: str) -> None:
    said = "LeadTrigger: execution of BeforeUpdate caused by: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access"
    assert item_meaning(salesforce.Problem(code=wrapping, message=said)) is Item.ALONE


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("TotalRequests Limit exceeded.", RunCannotContinue),
        ("ConcurrentRequests (Concurrent API Requests) Limit exceeded.", RetryLater),
    ],
)
def test_the_two_meanings_of_one_code_are_told_apart_by_its_message(message: str, kind: Kind) -> None:
    body = json.dumps([{"message": message, "errorCode": "REQUEST_LIMIT_EXCEEDED"}])
    assert type(force(403, body, write=False)) is kind
    assert type(force(403, body, write=True)) is kind


@pytest.mark.parametrize("status", [502, 504])
def test_a_page_of_the_edge_leaves_a_write_open(status: int) -> None:
    page = "<html><body><h1>Bad Gateway</h1></body></html>"
    assert type(force(status, page, write=False)) is RetryLater
    assert type(force(status, page, write=True)) is OutcomeUnknown


def oauth(error: str, description: str) -> str:
    return json.dumps({"error": error, "error_description": description})


def soap(code: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope><soapenv:Body><soapenv:Fault>'
        f"<faultcode>sf:{code}</faultcode><faultstring>{code}: it says why</faultstring><detail>"
        f"<sf:LoginFault><sf:exceptionCode>{code}</sf:exceptionCode>"
        "<sf:exceptionMessage>it says why</sf:exceptionMessage></sf:LoginFault></detail>"
        "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    )


SIGN_IN: list[tuple[int, str, Kind]] = [
    (400, oauth("invalid_grant", "authentication failure"), SignInRefused),
    (400, oauth("invalid_grant", "user hasn't approved this consumer"), SignInRefused),
    (400, oauth("invalid_grant", "expired access/refresh token"), SignInRefused),
    (400, oauth("invalid_grant", "the corporate network may not integrate"), SignInRefused),
    (400, oauth("invalid_grant", "login rate exceeded"), RetryLater),
    (400, oauth("invalid_client_id", "client identifier invalid"), SignInRefused),
    (400, oauth("invalid_client", "invalid client credentials"), SignInRefused),
    *(
        (500, soap(code), SignInRefused)
        for code in (
            "INVALID_LOGIN",
            "LOGIN_MUST_USE_SECURITY_TOKEN",
            "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
            "ORG_LOCKED",
        )
    ),
    (500, soap("LOGIN_RATE_EXCEEDED"), RetryLater),
    (503, "<html>down for maintenance</html>", RetryLater),
]


@pytest.mark.parametrize(("status", "body", "kind"), SIGN_IN)
def test_a_sign_in_that_is_refused_waits_for_a_person_unless_it_passes(status: int, body: str, kind: Kind) -> None:
    assert type(salesforce.sign_in_refusal(status, body.encode())) is kind


@pytest.mark.parametrize("status", [200, 302])
def test_no_answer_without_a_rule_is_taken_for_data(status: int) -> None:
    assert isinstance(force(status, "<html>hello</html>", write=False), UnexpectedAnswer)
