"""What each refusal of Salesforce means: the one table of error codes, for requests and for single records.

A REST error is ``[{"message", "errorCode", "fields"}]``, a record of a collections answer has ``statusCode`` instead,
OAuth says ``{"error", "error_description"}``, SOAP a fault in XML, a proxy HTML. Source: REST API Developer Guide,
"Status Codes and Error Responses" and "sObject Collections"; SOAP API "Core Data Types: StatusCode".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any

import msgspec

from connectors.errors import (
    ConnectorError,
    OutcomeUnknown,
    RetryLater,
    RunCannotContinue,
    SignInRefused,
    UnexpectedAnswer,
)
from connectors.records import Crm

__all__ = [
    "Garbled",
    "Item",
    "NotPossible",
    "Problem",
    "Refused",
    "SignInAgain",
    "Stumbled",
    "item_meaning",
    "problem_of",
    "redacted",
    "refusal",
    "sign_in_refusal",
]


class Request(Enum):
    """What a code means when it refuses a whole request."""

    SIGN_IN = auto()  # the session is over: sign in once more, send once more
    LATER = auto()  # nothing was done, it will pass
    SERVER = auto()  # the server failed: a read may be repeated, a write may have been carried out
    LIMIT = auto()  # REQUEST_LIMIT_EXCEEDED: the day's calls, or too many long ones at once
    CREDENTIALS = auto()
    CONFIG = auto()  # the org is not as the configuration says
    CALLER = auto()  # the caller has a rule for it (a lost cursor, a slow query, one bad row)


class Item(Enum):
    """What a code means when it refuses one record of a batch."""

    ALONE = auto()  # a lock or a neighbour's failure: send this record again, by itself
    LATER = auto()  # passes, but not in this run
    LOOK = auto()  # the record may be converted, merged or deleted: read it by id
    NEVER = auto()  # the same values would be refused again


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    request: Request = Request.CALLER
    item: Item = Item.NEVER
    advice: str = ""


_CREDENTIALS = Meaning(request=Request.CREDENTIALS, advice="Check the credentials and the user's permissions.")
_CALLER = Meaning()
_LATER = Meaning(request=Request.LATER, item=Item.LATER)
_GONE = Meaning(item=Item.LOOK)

CODES: Mapping[str, Meaning] = {
    # session and sign-in
    "INVALID_SESSION_ID": Meaning(request=Request.SIGN_IN, item=Item.LATER),
    "INVALID_AUTH_HEADER": Meaning(request=Request.SIGN_IN),
    "INVALID_LOGIN": _CREDENTIALS,
    "LOGIN_MUST_USE_SECURITY_TOKEN": _CREDENTIALS,
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": _CREDENTIALS,
    "PASSWORD_LOCKOUT": _CREDENTIALS,
    "ORG_LOCKED": _CREDENTIALS,
    "INSUFFICIENT_ACCESS": _CREDENTIALS,
    "INSUFFICIENT_ACCESS_OR_READONLY": _CREDENTIALS,
    "API_DISABLED_FOR_ORG": Meaning(
        request=Request.CREDENTIALS, advice='Give the user the permission "API Enabled", in an edition with API.'
    ),
    "API_CURRENTLY_DISABLED": Meaning(
        request=Request.CREDENTIALS, advice='Give the user the permission "API Enabled", in an edition with API.'
    ),
    "LOGIN_RATE_EXCEEDED": _LATER,
    # limits and trouble that passes
    "REQUEST_LIMIT_EXCEEDED": Meaning(request=Request.LIMIT, item=Item.LATER),
    "SERVER_UNAVAILABLE": Meaning(request=Request.SERVER, item=Item.LATER),
    "UNKNOWN_EXCEPTION": Meaning(request=Request.SERVER, item=Item.LATER),
    "UNABLE_TO_LOCK_ROW": Meaning(request=Request.LATER, item=Item.ALONE),
    "ENTITY_IS_LOCKED": Meaning(item=Item.LATER),
    "LIMIT_EXCEEDED": _LATER,
    "TOO_MANY_APEX_REQUESTS": _LATER,
    "STORAGE_LIMIT_EXCEEDED": Meaning(
        request=Request.CONFIG, item=Item.LATER, advice="The org's storage is full: free some or buy more."
    ),
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": Meaning(item=Item.ALONE),
    "PROCESSING_HALTED": Meaning(item=Item.ALONE),
    # queries
    "QUERY_TIMEOUT": _CALLER,
    "INVALID_QUERY_LOCATOR": _CALLER,
    "MALFORMED_QUERY": _CALLER,
    "QUERY_TOO_COMPLICATED": _CALLER,
    "OPERATION_TOO_LARGE": _CALLER,
    "EXCEEDED_ID_LIMIT": _CALLER,
    "INVALID_REPLICATION_DATE": _CALLER,
    "INVALID_TYPE": Meaning(
        request=Request.CONFIG, advice="The object does not exist in this org or is not visible to the user."
    ),
    "INVALID_FIELD": Meaning(
        request=Request.CONFIG, advice="The field does not exist or field-level security hides it from the user."
    ),
    "INVALID_FIELD_FOR_INSERT_UPDATE": Meaning(
        request=Request.CONFIG, advice="Give the user edit access to the field, or stop writing it."
    ),
    # the record lives elsewhere, or nowhere
    "ENTITY_IS_DELETED": _GONE,
    "CANNOT_UPDATE_CONVERTED_LEAD": _GONE,
    "INVALID_CROSS_REFERENCE_KEY": _GONE,
    "NOT_FOUND": _GONE,
    # the values or the org's own rules
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": _CALLER,
    "CANNOT_EXECUTE_FLOW_TRIGGER": _CALLER,
    "FIELD_FILTER_VALIDATION_EXCEPTION": _CALLER,
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": _CALLER,
    "FIELD_INTEGRITY_EXCEPTION": _CALLER,
    "INVALID_TYPE_ON_FIELD_IN_RECORD": _CALLER,
    "NUMBER_OUTSIDE_VALID_RANGE": _CALLER,
    "STRING_TOO_LONG": _CALLER,
    "INVALID_EMAIL_ADDRESS": _CALLER,
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": _CALLER,
    "REQUIRED_FIELD_MISSING": _CALLER,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": _CALLER,
    "TRANSFER_REQUIRES_READ": _CALLER,
    "INACTIVE_OWNER_OR_USER": _CALLER,
    "OP_WITH_INVALID_USER_TYPE_EXCEPTION": _CALLER,
    "DUPLICATES_DETECTED": _CALLER,
    "DUPLICATE_VALUE": _CALLER,
    "DUPLICATE_EXTERNAL_ID": _CALLER,
    "MALFORMED_ID": _CALLER,
    "INVALID_ID_FIELD": _CALLER,
}

_WRAPPING = ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER")

_NEVER_REACHED = (404, 405, 411, 413, 414, 415, 431)
"""Statuses with which a proxy, too, can only have turned a request away."""

_RATE = re.compile(r"\brate\b", re.IGNORECASE)
"""In the message of an ``invalid_grant`` that is no matter of the credentials."""

_PASSING_SIGN_IN = ("server_error", "temporarily_unavailable", "unknown_error", "LOGIN_RATE_EXCEEDED")

_CONCURRENT_WAIT = 15.0
"""Seconds to wait after "ConcurrentRequests exceeded": only calls of 20 s and more count, and they take time to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error of an answer, whatever its shape. ``code`` is empty when the answer names none."""

    code: str = ""
    message: str = ""
    fields: tuple[str, ...] = ()


class SignInAgain(Exception):
    """The session is over. Never leaves the client."""


class Garbled(RetryLater):
    """A good status with something unreadable, as a proxy sends it. If it stays so, it is an unexpected answer."""


class Refused(UnexpectedAnswer):
    """A request refused for a reason that the caller may have a rule for; without one it is an unexpected answer."""

    def __init__(self, problem: Problem, *, status: int, advice: str = "") -> None:
        super().__init__(Crm.SALESFORCE, _said(problem, status), status=status, advice=advice)
        self.refusal = problem


class Stumbled(OutcomeUnknown):
    """Salesforce itself failed at a write, and says so. It can be one record's doing; what was done is open."""


class NotPossible(RunCannotContinue):
    """A request that this org or this user does not allow. ``refusal`` names the field where one is to blame."""

    def __init__(self, problem: Problem, *, status: int, advice: str = "", credentials: bool = False) -> None:
        super().__init__(Crm.SALESFORCE, _said(problem, status), advice=advice, credentials=credentials)
        self.refusal = problem
        self.status = status


_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")


def redacted(text: str) -> str:
    """A message without e-mail addresses and of bearable length; it goes into logs and the list of parked records."""
    return _ADDRESS.sub("<address>", " ".join(text.split()))[:300]


def _said(problem: Problem, status: int) -> str:
    named = problem.code or "no error code"
    text = redacted(problem.message)
    return f"the request was refused with HTTP {status}, {named}" + (f": {text.rstrip('.')}." if text else ".")


_SOAP_CODE = re.compile(r"<(?:\w+:)?exceptionCode[^>]*>\s*(?:\w+:)?([A-Z_]+)\s*<")
_SOAP_FAULT = re.compile(r"<faultcode[^>]*>\s*(?:\w+:)?([A-Za-z_]+)\s*<")
_SOAP_TEXT = re.compile(r"<(?:(?:\w+:)?exceptionMessage|faultstring)[^>]*>(.*?)<", re.DOTALL)


def problem_of(content: bytes | Any) -> Problem:
    """The first error in an answer's body (bytes), or in one parsed JSON value."""
    if not isinstance(content, bytes):
        return _from_json(content)
    try:
        return _from_json(msgspec.json.decode(content))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _from_text(content.decode("utf-8", "replace"))


def _from_json(value: Any) -> Problem:
    if isinstance(value, list):
        return _from_json(value[0]) if value else Problem()
    if not isinstance(value, dict):
        return Problem()
    code = value.get("errorCode") or value.get("statusCode") or value.get("exceptionCode") or value.get("error")
    message = value.get("message") or value.get("exceptionMessage") or value.get("error_description") or ""
    fields = value.get("fields")
    named = tuple(f for f in fields if isinstance(f, str)) if isinstance(fields, list) else ()
    return Problem(code=code if isinstance(code, str) else "", message=str(message), fields=named)


def _from_text(text: str) -> Problem:
    code = _SOAP_CODE.search(text) or _SOAP_FAULT.search(text)
    if code is None:
        return Problem(message="the answer is not JSON (a proxy, or an outage page)" if text.strip() else "")
    message = _SOAP_TEXT.search(text)
    return Problem(code=code.group(1), message=message.group(1).strip() if message else "")


def refusal(
    status: int, content: bytes, *, write: bool, retry_after: str | None = None, now: datetime | None = None
) -> ConnectorError | SignInAgain:
    """What to raise for an answer of status 300 and above (or 200 with a body that is no JSON).

    ``write`` tells whether a failure of the server may have changed something. ``retry_after`` is the header.
    """
    problem = problem_of(content)
    meaning = CODES.get(problem.code) or _by_status(status)
    match meaning.request:
        case Request.SIGN_IN:
            return SignInAgain()
        case Request.LIMIT if "concurrent" not in problem.message.casefold():
            return RunCannotContinue(
                Crm.SALESFORCE,
                "the org's API calls of the last 24 hours are used up (REQUEST_LIMIT_EXCEEDED).",
                advice="Nothing more was sent. Wait until calls of a day ago fall out of the window.",
                quota=True,
            )
        case Request.LIMIT:
            return RetryLater(Crm.SALESFORCE, _said(problem, status), after=_CONCURRENT_WAIT, status=status)
        case Request.SERVER if write:
            unknown = Stumbled if problem.code == "UNKNOWN_EXCEPTION" else OutcomeUnknown
            return unknown(Crm.SALESFORCE, _said(problem, status), advice="Read the records back.")
        case Request.LATER | Request.SERVER:
            return RetryLater(Crm.SALESFORCE, _said(problem, status), after=seconds(retry_after, now), status=status)
        case Request.CREDENTIALS:
            return NotPossible(problem, status=status, advice=meaning.advice, credentials=True)
        case Request.CONFIG:
            return NotPossible(problem, status=status, advice=meaning.advice)
        case Request.CALLER if write and not problem.code and status not in _NEVER_REACHED:
            return OutcomeUnknown(Crm.SALESFORCE, _said(problem, status), advice="Read the records back.")
        case Request.CALLER:
            return Refused(problem, status=status, advice=meaning.advice)


def _by_status(status: int) -> Meaning:
    """For answers whose code is missing or not in the table."""
    match status:
        case 401:
            return Meaning(request=Request.SIGN_IN)
        case 403:
            return _CREDENTIALS
        case 410:
            return Meaning(request=Request.CONFIG, advice="This API version is retired: set a newer api_version.")
        case 414 | 431:
            return Meaning(advice="The query is too long for a URL: map fewer fields.")
        case 408:
            return Meaning(request=Request.SERVER)
        case 429:
            return Meaning(request=Request.LATER)
        case _ if status >= 500:
            return Meaning(request=Request.SERVER)
        case _:
            return _CALLER


def seconds(retry_after: str | None, now: datetime | None) -> float | None:
    """The ``Retry-After`` header in seconds: a number or a date. None when absent or unreadable."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until - now).total_seconds()) if now and until.tzinfo else None


def sign_in_refusal(status: int, content: bytes, *, retry_after: str | None = None) -> ConnectorError:
    """What to raise when the login or token endpoint says no, whatever the flow."""
    problem = problem_of(content)
    rate = problem.code == "invalid_grant" and _RATE.search(problem.message) is not None
    passing = status in (408, 429) or (status >= 500 and problem.code not in CODES)
    if problem.code == "REQUEST_LIMIT_EXCEEDED":
        error = refusal(status, content, write=False)
        assert isinstance(error, ConnectorError)
        return error
    if (
        rate
        or passing
        or problem.code in _PASSING_SIGN_IN
        or CODES.get(problem.code, _CALLER).request is Request.SERVER
    ):
        return RetryLater(
            Crm.SALESFORCE,
            f"signing in failed for now (HTTP {status}, {problem.code or 'no code'}).",
            after=seconds(retry_after, None),
            status=status,
        )
    if not problem.code:
        kind = Garbled if status < 300 else UnexpectedAnswer
        return kind(
            Crm.SALESFORCE,
            f"the sign-in page answered HTTP {status} with something that is neither a token nor an error.",
            status=status,
            advice="Check base_url: it must be the org's My Domain, or login.salesforce.com.",
        )
    advice = "Check the connection's auth block and the app's and user's settings in Salesforce."
    if "approved this consumer" in problem.message:
        advice = (
            "Pre-authorise the user for the app: its policy 'Admin approved users', with the user's permission set."
        )
    return SignInRefused(
        Crm.SALESFORCE,
        f"signing in was refused: {problem.code}" + (f", {redacted(problem.message)}." if problem.message else "."),
        advice=advice,
    )


def item_meaning(problem: Problem) -> Item:
    """What to do with one record that a batch refused. An unknown code is final, so that it is shown, not repeated."""
    if problem.code in _WRAPPING and "UNABLE_TO_LOCK_ROW" in problem.message:
        return Item.ALONE
    return CODES.get(problem.code, _CALLER).item
