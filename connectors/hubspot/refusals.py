"""What HubSpot's refusals mean, in one table.

Sources: https://developers.hubspot.com/docs/api-reference/error-handling and
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines. Every field of an error body is
optional, and a proxy or the edge may answer with HTML instead, so the status decides where the body says nothing.
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

from connectors.errors import ConnectorError, OutcomeUnknown, RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.records import Crm

__all__ = [
    "MARKERS",
    "PASSING",
    "STATUSES",
    "EdgeRefused",
    "Garbled",
    "Locked",
    "Meaning",
    "NotPermitted",
    "Problem",
    "Refused",
    "SignInAgain",
    "Then",
    "meaning_of",
    "problem_from",
    "problem_of",
    "refusal",
    "seconds",
]


class Then(Enum):
    """What a refused request calls for."""

    SIGN_IN = auto()  # the token is over: get another, send once more
    LATER = auto()  # nothing was done, it will pass
    LOCKED = auto()  # a record is locked: nothing was done, the others of the batch may go on
    QUOTA = auto()  # the day's calls are used up
    CREDENTIALS = auto()  # scope or permission
    SERVER = auto()  # a read may be repeated, a write may have been carried out
    EDGE = auto()  # as SERVER; if it stays, the token is malformed
    CALLER = auto()  # the caller has a rule for it (one bad row, a long URL, no such record)
    NEVER = auto()  # no rule covers it


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """``wait``: seconds, where HubSpot sends no ``Retry-After``."""

    then: Then
    wait: float | None = None


MARKERS: Mapping[str, Meaning] = {
    # policyName of a 429
    "DAILY": Meaning(then=Then.QUOTA),
    "SECONDLY": Meaning(then=Then.LATER, wait=1.0),
    "TEN_SECONDLY_ROLLING": Meaning(then=Then.LATER, wait=10.0),
    # category
    "RATE_LIMITS": Meaning(then=Then.LATER, wait=10.0),
    "INVALID_AUTHENTICATION": Meaning(then=Then.SIGN_IN),
    "EXPIRED_AUTHENTICATION": Meaning(then=Then.SIGN_IN),
    "MISSING_SCOPES": Meaning(then=Then.CREDENTIALS),
}
"""By what the body says, which is more precise than the status. The categories of a bad value, a conflict and an absent
record add nothing to the status, so they are not here."""

STATUSES: Mapping[int, Meaning] = {
    400: Meaning(then=Then.CALLER),
    401: Meaning(then=Then.SIGN_IN),
    403: Meaning(then=Then.CREDENTIALS),
    404: Meaning(then=Then.CALLER),
    405: Meaning(then=Then.NEVER),
    408: Meaning(then=Then.SERVER),
    409: Meaning(then=Then.CALLER),
    413: Meaning(then=Then.CALLER),
    414: Meaning(then=Then.CALLER),
    415: Meaning(then=Then.NEVER),
    422: Meaning(then=Then.CALLER),
    423: Meaning(then=Then.LOCKED, wait=2.0),
    429: Meaning(then=Then.LATER, wait=10.0),
    431: Meaning(then=Then.CALLER),
    477: Meaning(then=Then.LATER, wait=60.0),  # the account moves between data centres; sends Retry-After
    530: Meaning(then=Then.EDGE),
}
"""Any other 5xx is SERVER (500-504 and the edge's 520-527), any other status NEVER."""


class Detail(msgspec.Struct, frozen=True, rename={"in_": "in"}):
    """One entry of ``errors`` inside an error body. ``context`` holds lists of text as a rule."""

    message: str = ""
    code: str = ""
    subCategory: str = ""  # noqa: N815  # HubSpot's name
    category: str = ""
    in_: str = ""
    name: str = ""
    context: dict[str, object] = msgspec.field(default_factory=dict)


class Problem(msgspec.Struct, frozen=True):
    """An error body, or one entry of a batch's ``errors``; what is missing or of another type is empty.

    foreign  the body is no JSON: something else than HubSpot's API has answered
    """

    message: str = ""
    category: str = ""
    subCategory: str = ""  # noqa: N815
    errorType: str = ""  # noqa: N815
    policyName: str = ""  # noqa: N815
    correlationId: str = ""  # noqa: N815
    code: str = ""
    error: str = ""
    id: str = ""
    context: dict[str, object] = msgspec.field(default_factory=dict)
    errors: tuple[Detail, ...] = ()
    foreign: bool = False

    def named(self, *keys: str) -> tuple[str, ...]:
        """The texts under any of these keys of ``context``, here and in the details; for ``id`` its own one, too."""
        found: list[str] = [self.id] if self.id and "id" in keys else []
        for context in (self.context, *(detail.context for detail in self.errors)):
            for key in keys:
                value = context.get(key)
                found += (
                    [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)] if value else []
                )
        return tuple(dict.fromkeys(found))

    def validation(self) -> tuple[tuple[str, str], ...]:
        """(property, error) pairs of a validation message, which carries a JSON list inside its text."""
        pairs = [(m["name"], m["error"]) for m in _embedded(self.message)]
        for detail in self.errors:
            names = _texts(detail.context.get("propertyName")) or [detail.name]
            pairs += [(name, detail.code or detail.subCategory) for name in names]
            pairs += [(m["name"], m["error"]) for m in _embedded(detail.message)]
        return tuple(dict.fromkeys((name, error) for name, error in pairs if name))

    def what(self) -> str:
        """The most precise code HubSpot gives."""
        inner = next((error for _, error in self.validation() if error), "")
        return inner or self.code or self.error or self.subCategory or self.category or self.errorType

    def reason(self) -> str:
        """The message a person can act on: the inner ones where there are some."""
        inner = [m["message"] for m in _embedded(self.message) if m["message"]]
        inner = inner or [detail.message for detail in self.errors if detail.message]
        return "; ".join(dict.fromkeys(inner)) or self.message or self.what()


def _texts(value: object) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return [str(value)] if value else []


_EMBEDDED = re.compile(r"\[\s*\{.*\}\s*\]", re.DOTALL)


def _embedded(message: str) -> list[dict[str, str]]:
    found = _EMBEDDED.search(message)
    if found is None:
        return []
    try:
        entries = msgspec.json.decode(found.group())
    except msgspec.DecodeError:
        return []
    keys = ("name", "error", "message")
    return [{key: str(entry.get(key) or "") for key in keys} for entry in entries if isinstance(entry, dict)]


def problem_of(body: bytes) -> Problem:
    """The error in an answer's body; an empty one when the body is no JSON object."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Problem(foreign=bool(body.strip()))
    return problem_from(raw)


def problem_from(raw: object) -> Problem:
    """The same from decoded JSON. Fields of another type than documented are left out."""
    if not isinstance(raw, dict):
        return Problem()
    details = raw.get("errors")
    return Problem(
        **_only_texts(
            raw,
            ("message", "category", "subCategory", "errorType", "policyName", "correlationId", "code", "error", "id"),
        ),
        context=raw["context"] if isinstance(raw.get("context"), dict) else {},
        errors=tuple(
            Detail(
                **_only_texts(one, ("message", "code", "subCategory", "category", "name")),
                in_=str(one.get("in") or ""),
                context=one["context"] if isinstance(one.get("context"), dict) else {},
            )
            for one in (details if isinstance(details, list) else [])
            if isinstance(one, dict)
        ),
    )


def _only_texts(raw: Mapping[str, object], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key in keys if isinstance(value := raw.get(key), str)}


PASSING = frozenset({"INTERNAL_ERROR", "RATE_LIMITS", "SERVICE_UNAVAILABLE", "TIMEOUT", "LOCKED"})
"""Categories that say nothing against an input. Whether a write was carried out stays open."""


class SignInAgain(Exception):
    """401. Nothing was done. Caught by the client alone."""


class Refused(UnexpectedAnswer):
    """The request was refused as it stands; its caller knows a way on, or lets this go up."""

    def __init__(self, problem: Problem, *, status: int, request: str) -> None:
        super().__init__(Crm.HUBSPOT, _said(request, status, problem), status=status)
        self.refusal = problem

    @property
    def absent(self) -> bool:
        """There is no such record. A 404 in somebody else's words is about the address, not about a record."""
        return self.status == 404 and not self.refusal.foreign

    @property
    def misdirected(self) -> bool:
        """The request did not reach HubSpot's API, so nothing of it was refused."""
        return self.status == 404 and self.refusal.foreign


class Garbled(RetryLater):
    """A read was answered with something unreadable. Tried again like any `RetryLater`; if it stays, unexpected."""


class Locked(RetryLater):
    """A write met a locked record. Nothing was done."""


class EdgeRefused(RetryLater):
    """HTTP 530. If it stays, the token has the wrong form."""


class NotPermitted(RunCannotContinue):
    """403: the token is good, and a scope or the account's plan is missing for this call."""


def _said(request: str, status: int, problem: Problem) -> str:
    """Without HubSpot's message: it repeats values, which can be personal."""
    code = problem.what()
    trace = f", correlation id {problem.correlationId}" if problem.correlationId else ""
    return f"{request} was answered with HTTP {status}{f' {code}' if code else ''}{trace}."


def meaning_of(status: int, problem: Problem) -> Meaning:
    """The line of the tables that applies. A 429 without policyName is told apart by its message."""
    if status == 429:
        told = problem.policyName or _policy_in(problem.message)
        return MARKERS.get(told, STATUSES[429])
    for marker in (problem.category, problem.subCategory):
        if status in (401, 403) and marker in MARKERS:
            return MARKERS[marker]
    if status in STATUSES:
        return STATUSES[status]
    return Meaning(then=Then.SERVER if status >= 500 else Then.NEVER)


def _policy_in(message: str) -> str:
    said = message.casefold()
    return next((p for p in ("TEN_SECONDLY_ROLLING", "SECONDLY", "DAILY") if p.casefold() in said), "")


def refusal(
    status: int, body: bytes, *, request: str, write: bool, after: float | None = None
) -> ConnectorError | SignInAgain:
    """What to raise for an answer outside 200-299.

    ``request`` names the call in one or two words. ``write``: whether a failing server may have changed something.
    ``after``: the ``Retry-After`` header in seconds.
    """
    problem = problem_of(body)
    meaning = meaning_of(status, problem)
    said = _said(request, status, problem)
    wait = _wait(status, after, meaning.wait)
    match meaning.then:
        case Then.SIGN_IN:
            return SignInAgain(said)
        case Then.LATER:
            return RetryLater(Crm.HUBSPOT, said, after=wait, status=status)
        case Then.LOCKED:
            return Locked(Crm.HUBSPOT, said, after=wait, status=status)
        case Then.QUOTA:
            return RunCannotContinue(
                Crm.HUBSPOT,
                f"the account's calls of this day are used up ({request}).",
                advice="Nothing more was sent. The next run after midnight in the account's time zone goes on.",
                quota=True,
            )
        case Then.CREDENTIALS:
            scopes = problem.named("missingScopes", "requiredScopes", "requiredGranularScopes", "scopes")
            return NotPermitted(
                Crm.HUBSPOT,
                said + (f" Missing scopes: {', '.join(scopes)}." if scopes else ""),
                advice="Give the token these scopes."
                if scopes
                else "Check the token's scopes and the user's permissions.",
                credentials=True,
            )
        case Then.SERVER | Then.EDGE if write:
            return OutcomeUnknown(Crm.HUBSPOT, said, advice="Read the records back.")
        case Then.SERVER:
            return RetryLater(Crm.HUBSPOT, said, after=wait, status=status)
        case Then.EDGE:
            return EdgeRefused(Crm.HUBSPOT, said, after=wait, status=status)
        case Then.CALLER:
            return Refused(problem, status=status, request=request)
        case Then.NEVER:
            return UnexpectedAnswer(
                Crm.HUBSPOT, said, status=status, advice="Check base_url and api_version of the connection."
            )


_FAR_BEYOND = 10
"""So many times the window of a limit nobody has to wait for it."""


def _wait(status: int, after: float | None, usual: float | None) -> float | None:
    """``Retry-After`` before what is usual. For some limits HubSpot says it in milliseconds: 10000 for ten seconds.

    A zero says nothing: the next try would be refused like this one.
    """
    if not after or usual is None:
        return after or usual
    if status == 429 and after > _FAR_BEYOND * usual:
        return max(usual, after / 1000)
    return after


def seconds(header: str | None, now: datetime | None) -> float | None:
    """``Retry-After`` in seconds: a number or a date. None when absent or unreadable."""
    if not header:
        return None
    try:
        told = float(header)
    except ValueError:
        pass
    else:
        return told if 0 <= told < float("inf") else None
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (until - now).total_seconds()) if now and until.tzinfo else None
