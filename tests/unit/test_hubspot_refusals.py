"""Every error body HubSpot is known to send, and what it is taken for."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from connectors.errors import ConnectorError, OutcomeUnknown, RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.hubspot.refusals import (
    EdgeRefused,
    Locked,
    NotPermitted,
    Refused,
    SignInAgain,
    problem_of,
    refusal,
    seconds,
)

HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"


def body(category: str = "", message: str = "", **more: object) -> bytes:
    return json.dumps(
        {"status": "error", "message": message, "category": category, "correlationId": "c-1"} | more
    ).encode()


def limited(policy: str) -> bytes:
    return body(
        "RATE_LIMITS",
        f"You have reached your {policy.lower()} limit.",
        errorType="RATE_LIMIT",
        policyName=policy,
    )


NOT_VALID = (
    "Property values were not valid: "
    '[{"isValid":false,"message":"NAM Only was not one of the allowed options: [a, b]","error":"INVALID_OPTION",'
    '"name":"some_property"}]'
)

TABLE: list[tuple[int, bytes, type[Exception], type[Exception], float | None]] = [
    # status, body, on a read, on a write, seconds to wait without Retry-After
    (400, body("VALIDATION_ERROR", NOT_VALID), Refused, Refused, None),
    (400, body("VALIDATION_ERROR", "Duplicate IDs found in batch input: [1]"), Refused, Refused, None),
    (400, HTML, Refused, Refused, None),
    (401, body("INVALID_AUTHENTICATION"), SignInAgain, SignInAgain, None),
    (401, body("EXPIRED_AUTHENTICATION"), SignInAgain, SignInAgain, None),
    (401, b"", SignInAgain, SignInAgain, None),
    (403, body("MISSING_SCOPES"), NotPermitted, NotPermitted, None),
    (403, HTML, NotPermitted, NotPermitted, None),
    (404, body("OBJECT_NOT_FOUND"), Refused, Refused, None),
    (404, HTML, Refused, Refused, None),
    (405, b"", UnexpectedAnswer, UnexpectedAnswer, None),
    (408, b"", RetryLater, OutcomeUnknown, None),
    (409, body("CONFLICT", "Contact already exists. Existing ID: 6001"), Refused, Refused, None),
    (413, b"", Refused, Refused, None),
    (414, HTML, Refused, Refused, None),
    (423, body(), Locked, Locked, 2.0),
    (429, limited("SECONDLY"), RetryLater, RetryLater, 1.0),
    (429, limited("TEN_SECONDLY_ROLLING"), RetryLater, RetryLater, 10.0),
    (429, limited("DAILY"), RunCannotContinue, RunCannotContinue, None),
    (429, body("", "You have reached your secondly limit."), RetryLater, RetryLater, 1.0),
    (429, body("", "You have reached your daily limit."), RunCannotContinue, RunCannotContinue, None),
    (429, HTML, RetryLater, RetryLater, 10.0),
    (477, body("MIGRATION"), RetryLater, RetryLater, 60.0),
    (500, body("INTERNAL_ERROR"), RetryLater, OutcomeUnknown, None),
    (502, HTML, RetryLater, OutcomeUnknown, None),
    (503, HTML, RetryLater, OutcomeUnknown, None),
    (504, b"", RetryLater, OutcomeUnknown, None),
    (521, HTML, RetryLater, OutcomeUnknown, None),
    (524, HTML, RetryLater, OutcomeUnknown, None),
    (530, HTML, EdgeRefused, OutcomeUnknown, None),
    (302, b"", UnexpectedAnswer, UnexpectedAnswer, None),
    (418, b"\xff\xfe", UnexpectedAnswer, UnexpectedAnswer, None),
]


@pytest.mark.parametrize(("status", "content", "reading", "writing", "wait"), TABLE)
def test_each_refusal_is_told_by_what_the_caller_should_do(
    status: int, content: bytes, reading: type[Exception], writing: type[Exception], wait: float | None
) -> None:
    read = refusal(status, content, request="search", write=False)
    write = refusal(status, content, request="batch_update", write=True)
    assert type(read) is reading
    assert type(write) is writing
    if isinstance(read, RetryLater):
        assert read.after == wait
        assert read.status == status


@pytest.mark.parametrize("status", [423, 429, 477, 503])
def test_retry_after_goes_before_what_is_usual(status: int) -> None:
    error = refusal(status, b"{}", request="search", write=False, after=7.0)
    assert isinstance(error, RetryLater)
    assert error.after == 7.0


def test_the_day_is_a_matter_of_quota_and_a_scope_of_credentials() -> None:
    day = refusal(429, limited("DAILY"), request="search", write=False)
    scope = refusal(
        403,
        body("MISSING_SCOPES", errors=[{"context": {"requiredGranularScopes": ["crm.objects.contacts.read"]}}]),
        request="search",
        write=False,
    )
    assert isinstance(day, RunCannotContinue)
    assert day.quota
    assert not day.credentials
    assert isinstance(scope, RunCannotContinue)
    assert scope.credentials
    assert "crm.objects.contacts.read" in str(scope)


def test_scopes_are_named_wherever_the_body_has_them() -> None:
    error = refusal(403, body("MISSING_SCOPES", context={"missingScopes": ["forms"]}), request="forms", write=False)
    assert "forms" in str(error)
    assert "Give the token these scopes" in str(error)


def test_an_error_names_the_call_the_code_and_the_trace_but_no_value() -> None:
    """HubSpot's messages repeat values, which can be personal."""
    error = refusal(400, body("VALIDATION_ERROR", NOT_VALID), request="batch_update", write=True)
    assert isinstance(error, ConnectorError)
    for part in ("batch_update", "400", "INVALID_OPTION", "c-1"):
        assert part in str(error)
    assert "NAM Only" not in str(error)


def test_the_property_and_its_error_are_read_from_the_text_of_the_message() -> None:
    problem = problem_of(body("VALIDATION_ERROR", NOT_VALID))
    assert problem.validation() == (("some_property", "INVALID_OPTION"),)
    assert problem.what() == "INVALID_OPTION"
    assert problem.reason().startswith("NAM Only was not one")


def test_and_from_the_inner_errors() -> None:
    inner = {"message": "x is read only", "code": "READ_ONLY_VALUE", "context": {"propertyName": ["x"]}}
    problem = problem_of(body("VALIDATION_ERROR", "no", errors=[inner]))
    assert problem.validation() == (("x", "READ_ONLY_VALUE"),)
    assert problem.reason() == "x is read only"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        HTML,
        b"\xff\xfe",
        b'{"message": 5, "context": [1], "errors": {"a": 1}, "category": null}',
        b'{"errors": [null, 3, {"context": "x", "message": ["a"]}]}',
        b'{"message": "Property values were not valid: [{broken}]"}',
        b'{"message": "[{\\"name\\": 7}] [1, 2]"}',
    ],
)
def test_no_body_is_too_strange_to_be_read(content: bytes) -> None:
    problem = problem_of(content)
    assert problem.validation() in ((), (("7", ""),))
    assert problem.named("ids") == ()
    assert isinstance(problem.reason(), str)


NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "now", "expected"),
    [
        ("10", None, 10.0),
        ("0.5", None, 0.5),
        ("Wed, 25 Nov 2026 12:00:30 GMT", NOW, 30.0),
        ("Wed, 25 Nov 2026 11:00:00 GMT", NOW, 0.0),
        ("Wed, 25 Nov 2026 12:00:30 GMT", None, None),
        ("soon", NOW, None),
        ("-1", None, None),
        ("nan", None, None),
        ("inf", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_retry_after_in_both_forms(header: str | None, now: datetime | None, expected: float | None) -> None:
    assert seconds(header, now) == expected
