"""Every error body of the API, and what it makes the connector do."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from connectors.errors import ConnectorError, OutcomeUnknown, RetryLater, RunCannotContinue, SignInRefused
from connectors.salesforce.refusals import (
    Garbled,
    Item,
    NotPossible,
    Problem,
    Refused,
    SignInAgain,
    Stumbled,
    item_meaning,
    problem_of,
    redacted,
    refusal,
    sign_in_refusal,
)


def rest(code: str, message: str = "it says why", fields: list[str] | None = None) -> bytes:
    return json.dumps([{"message": message, "errorCode": code, **({"fields": fields} if fields else {})}]).encode()


HTML = b"<html><body><h1>Bad Message 431</h1></body></html>"

REQUESTS = [
    # body, status, what a read raises, what a write raises
    (rest("INVALID_SESSION_ID"), 401, SignInAgain, SignInAgain),
    (b"not even json", 401, SignInAgain, SignInAgain),
    (rest("SERVER_UNAVAILABLE"), 503, RetryLater, OutcomeUnknown),
    (rest("UNKNOWN_EXCEPTION"), 500, RetryLater, Stumbled),
    (HTML, 502, RetryLater, OutcomeUnknown),
    (b"", 504, RetryLater, OutcomeUnknown),
    (rest("UNABLE_TO_LOCK_ROW"), 400, RetryLater, RetryLater),
    (rest("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), 403, RunCannotContinue, RunCannotContinue),
    (
        rest("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
        403,
        RetryLater,
        RetryLater,
    ),
    (b"slow down", 429, RetryLater, RetryLater),
    (rest("QUERY_TIMEOUT", "Your query request was running for too long."), 400, Refused, Refused),
    (rest("INVALID_QUERY_LOCATOR"), 400, Refused, Refused),
    (rest("MALFORMED_QUERY"), 400, Refused, Refused),
    (rest("FIELD_CUSTOM_VALIDATION_EXCEPTION"), 400, Refused, Refused),
    (rest("INVALID_FIELD", "No such column 'X__c' on entity 'Lead'"), 400, NotPossible, NotPossible),
    (rest("INVALID_TYPE"), 400, NotPossible, NotPossible),
    (rest("INSUFFICIENT_ACCESS_OR_READONLY"), 400, NotPossible, NotPossible),
    (rest("API_DISABLED_FOR_ORG"), 403, NotPossible, NotPossible),
    (rest("SOMETHING_NEW"), 403, NotPossible, NotPossible),
    (rest("LIMIT_EXCEEDED"), 403, RetryLater, RetryLater),
    (rest("STORAGE_LIMIT_EXCEEDED"), 400, NotPossible, NotPossible),
    (rest("NOT_FOUND"), 404, Refused, Refused),
    (rest("ENTITY_IS_DELETED"), 404, Refused, Refused),
    (rest("CANNOT_UPDATE_CONVERTED_LEAD"), 400, Refused, Refused),
    (rest("UNSUPPORTED_API_VERSION"), 410, NotPossible, NotPossible),
    (HTML, 431, Refused, Refused),
    (HTML, 414, Refused, Refused),
    (HTML, 400, Refused, OutcomeUnknown),
    (b"", 302, Refused, OutcomeUnknown),
    (b"", 304, Refused, OutcomeUnknown),
    (b'{"exceptionCode":"InvalidBatch","exceptionMessage":"x"}', 400, Refused, Refused),
]


@pytest.mark.parametrize(("body", "status", "read", "write"), REQUESTS)
def test_a_refused_request_is_named_by_what_to_do(
    body: bytes, status: int, read: type[Exception], write: type[Exception]
) -> None:
    assert type(refusal(status, body, write=False)) is read
    assert type(refusal(status, body, write=True)) is write


@pytest.mark.parametrize(
    ("body", "status", "quota", "credentials"),
    [
        (rest("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), 403, True, False),
        (rest("API_CURRENTLY_DISABLED"), 403, False, True),
        (rest("INVALID_FIELD"), 400, False, False),
    ],
)
def test_a_run_that_cannot_go_on_says_whether_quota_or_credentials_are_to_blame(
    body: bytes, status: int, quota: bool, credentials: bool
) -> None:
    error = refusal(status, body, write=False)
    assert isinstance(error, RunCannotContinue)
    assert (error.quota, error.credentials) == (quota, credentials)


@pytest.mark.parametrize(
    ("header", "after"),
    [("7", 7.0), ("Wed, 25 Nov 2026 00:00:30 GMT", 30.0), ("soon", None), (None, None)],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, after: float | None) -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    error = refusal(503, rest("SERVER_UNAVAILABLE"), write=False, retry_after=header, now=now)
    assert isinstance(error, RetryLater)
    assert error.after == after


ITEMS = [
    ("UNABLE_TO_LOCK_ROW", "", Item.ALONE),
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "SetScore: UNABLE_TO_LOCK_ROW, unable to obtain lock", Item.ALONE),
    ("CANNOT_EXECUTE_FLOW_TRIGGER", "a flow failed", Item.NEVER),
    ("ALL_OR_NONE_OPERATION_ROLLED_BACK", "", Item.ALONE),
    ("PROCESSING_HALTED", "", Item.ALONE),
    ("ENTITY_IS_LOCKED", "", Item.LATER),
    ("LIMIT_EXCEEDED", "", Item.LATER),
    ("TOO_MANY_APEX_REQUESTS", "", Item.LATER),
    ("STORAGE_LIMIT_EXCEEDED", "", Item.LATER),
    ("ENTITY_IS_DELETED", "", Item.LOOK),
    ("CANNOT_UPDATE_CONVERTED_LEAD", "", Item.LOOK),
    ("INVALID_CROSS_REFERENCE_KEY", "", Item.LOOK),
    *(
        (code, "", Item.NEVER)
        for code in (
            "FIELD_FILTER_VALIDATION_EXCEPTION",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "FIELD_INTEGRITY_EXCEPTION",
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "INVALID_TYPE_ON_FIELD_IN_RECORD",
            "NUMBER_OUTSIDE_VALID_RANGE",
            "STRING_TOO_LONG",
            "INVALID_EMAIL_ADDRESS",
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "REQUIRED_FIELD_MISSING",
            "INSUFFICIENT_ACCESS_OR_READONLY",
            "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
            "TRANSFER_REQUIRES_READ",
            "INACTIVE_OWNER_OR_USER",
            "OP_WITH_INVALID_USER_TYPE_EXCEPTION",
            "DUPLICATES_DETECTED",
            "DUPLICATE_VALUE",
            "DUPLICATE_EXTERNAL_ID",
            "MALFORMED_ID",
            "INVALID_ID_FIELD",
            "A_CODE_OF_TOMORROW",
        )
    ),
]


@pytest.mark.parametrize(("code", "message", "meaning"), ITEMS)
def test_a_refused_record_is_named_by_what_to_do(code: str, message: str, meaning: Item) -> None:
    assert item_meaning(Problem(code=code, message=message)) is meaning


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        (rest("INVALID_FIELD", fields=["X__c"]), "INVALID_FIELD", ("X__c",)),
        (b'{"statusCode":"STRING_TOO_LONG","message":"m","fields":["Title"]}', "STRING_TOO_LONG", ("Title",)),
        (b'{"error":"invalid_grant","error_description":"expired"}', "invalid_grant", ()),
        (
            b"<Envelope><Fault><faultcode>sf:INVALID_LOGIN</faultcode><detail><sf:exceptionCode>INVALID_LOGIN"
            b"</sf:exceptionCode></detail></Fault></Envelope>",
            "INVALID_LOGIN",
            (),
        ),
        (b"<Fault><faultcode>INVALID_SESSION_ID</faultcode></Fault>", "INVALID_SESSION_ID", ()),
        (HTML, "", ()),
        (b"[]", "", ()),
        (b"17", "", ()),
        (b"\xff\xfe", "", ()),
    ],
)
def test_every_shape_of_error_body_is_read(body: bytes, code: str, fields: tuple[str, ...]) -> None:
    problem = problem_of(body)
    assert (problem.code, problem.fields) == (code, fields)


SIGN_INS = [
    (b'{"error":"invalid_grant","error_description":"user hasn\'t approved this consumer"}', 400, SignInRefused),
    (b'{"error":"invalid_client_id"}', 400, SignInRefused),
    (b'{"error":"invalid_client","error_description":"invalid client credentials"}', 401, SignInRefused),
    (b'{"error":"invalid_grant","error_description":"login rate exceeded"}', 400, RetryLater),
    (b'{"error":"unknown_error","error_description":"retry your request"}', 400, RetryLater),
    (b"<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>", 500, SignInRefused),
    (b"<sf:exceptionCode>LOGIN_RATE_EXCEEDED</sf:exceptionCode>", 500, RetryLater),
    (b"<sf:exceptionCode>SERVER_UNAVAILABLE</sf:exceptionCode>", 500, RetryLater),
    (rest("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), 403, RunCannotContinue),
    (HTML, 503, RetryLater),
    (HTML, 200, Garbled),
    (b'{"hello": 1}', 200, Garbled),
]


@pytest.mark.parametrize(("body", "status", "kind"), SIGN_INS)
def test_a_refused_sign_in_is_named_by_what_to_do(body: bytes, status: int, kind: type[ConnectorError]) -> None:
    assert type(sign_in_refusal(status, body)) is kind


def test_an_unapproved_user_is_told_where_to_approve() -> None:
    error = sign_in_refusal(400, SIGN_INS[0][0])
    assert "Pre-authorise" in error.advice


def test_messages_carry_no_address_and_no_novel() -> None:
    said = redacted("duplicate of ann.lee@corp.example\n in\ta  list " + "x" * 1000)
    assert said.startswith("duplicate of <address> in a list x")
    assert len(said) == 300
