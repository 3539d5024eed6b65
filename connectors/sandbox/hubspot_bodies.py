"""What HubSpot's requests and answers have in common: parameters, pages, error bodies, records as JSON."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

from connectors.sandbox.hubspot_schema import ObjectType
from connectors.sandbox.hubspot_store import PortalState, Problem, Record, Table
from connectors.sandbox.server import Request, Response

BATCH = 100


class RefusalError(Exception):
    """A call that is answered with an error; nothing was committed."""

    def __init__(self, status: int, category: str | None, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.message = message
        self.headers: dict[str, str] = more.pop("headers", {})
        self.more = more


# -- what a call asks for


def json_of(request: Request) -> Any:
    """The body as JSON; refused with 400 when it is none."""
    try:
        return request.json()
    except ValueError:
        raise RefusalError(
            400, "VALIDATION_ERROR", "Invalid input JSON on line 1, column 1: Unrecognized token"
        ) from None


def object_of(request: Request) -> dict[str, Any]:
    """The body as a JSON object."""
    body = json_of(request)
    if not isinstance(body, dict):
        raise RefusalError(400, "VALIDATION_ERROR", "Invalid input JSON: an object is expected")
    return body


def inputs_of(body: Mapping[str, Any], most: int = BATCH) -> list[dict[str, Any]]:
    """The inputs of a batch call."""
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
        raise RefusalError(400, "VALIDATION_ERROR", "Invalid input JSON: inputs must be a list of objects")
    if len(inputs) > most:
        message = f"The maximum number of inputs supported in a batch request is {most}. Received {len(inputs)}"
        raise RefusalError(400, "VALIDATION_ERROR", message)
    return inputs


def limit_of(request: Request, default: int, most: int) -> int:
    """The page size."""
    text = request.one("limit") or str(default)
    if not text.isdigit() or not 0 < int(text) <= most:
        raise RefusalError(400, "VALIDATION_ERROR", f"limit must be between 1 and {most}, got {text}")
    return int(text)


def encode(place: str) -> str:
    """An opaque cursor for the page after `place`."""
    return base64.urlsafe_b64encode(place.encode()).decode()


def place_of(after: str | None) -> int:
    """What a cursor of `encode` says; -1 before the first page."""
    if not after:
        return -1
    try:
        return int(base64.urlsafe_b64decode(after.encode()))
    except (ValueError, binascii.Error):
        raise RefusalError(400, "VALIDATION_ERROR", f"after {after!r} is no cursor of this listing") from None


def names_of(values: list[str] | None) -> list[str]:
    """Repeated or comma-separated names."""
    return [name for value in values or () for name in value.split(",") if name]


def flag(request: Request, name: str) -> bool:
    """A boolean parameter, in any case."""
    return (request.one(name) or "").lower() == "true"


def table_of(portal: PortalState, object_: str) -> Table:
    """The object type a path names."""
    try:
        return portal.table(object_)
    except KeyError:
        raise RefusalError(400, "VALIDATION_ERROR", f"Unable to infer object type from: {object_}") from None


# -- what it may


def need(portal: PortalState, scope: str) -> None:
    """Refuses with 403 when the token lacks the scope."""
    if scope not in portal.scopes:
        raise RefusalError(
            403,
            "MISSING_SCOPES",
            "This app hasn't been granted all required scopes to make this call. Read more about required scopes "
            "here: https://developers.hubspot.com/scopes.",
            errors=[
                {
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": [scope]},
                }
            ],
            links={"scopes": "https://developers.hubspot.com/scopes"},
        )


def need_object(portal: PortalState, table: Table, *, write: bool) -> None:
    """The scope for reading or writing records of one object type; logged activities go with contacts."""
    name = table.kind.name
    if name in ("emails", "calls", "meetings", "notes", "communications"):
        name = "contacts"
    need(portal, f"crm.objects.{name}.{'write' if write else 'read'}")


# -- what it is answered


def batch(
    portal: PortalState, status: int, results: list[dict[str, Any]], errors: list[dict[str, Any]], started: str
) -> Response:
    """A batch answer: 207 as soon as there is an error."""
    body: dict[str, Any] = {"status": "COMPLETE", "results": results}
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    body |= {"startedAt": started, "completedAt": portal.now()}
    return Response(207 if errors else status, body)


def wanted(kind: ObjectType, names: Iterable[str]) -> tuple[str, ...]:
    """The properties to show: those asked for that exist and what always comes; without any the default ones."""
    asked = tuple(names)
    if not asked:
        return kind.shown
    always = (kind.created, kind.modified, "hs_object_id")
    return tuple(dict.fromkeys((*(name for name in asked if name in kind.properties), *always)))


def rendered(
    kind: ObjectType, record: Record, properties: Mapping[str, str], names: tuple[str, ...] | None
) -> dict[str, Any]:
    """A record as the objects API shows it; without names all values it has."""
    get = properties.get
    shown = {
        "id": record.id,
        "properties": dict(properties) if names is None else {name: get(name) for name in names},
        "createdAt": record.created,
        "updatedAt": properties[kind.modified],
        "archived": record.archived is not None,
    }
    if record.archived is not None:
        shown["archivedAt"] = record.archived
    return shown


def rate_limited(policy: str, retry_after: int | None) -> RefusalError:
    """429 by one of HubSpot's policies."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    message = f"You have reached your {policy.lower()} limit."
    return RefusalError(429, "RATE_LIMITS", message, errorType="RATE_LIMIT", policyName=policy, headers=headers)


def expired(since: str) -> RefusalError:
    """401 for a token past its time."""
    return RefusalError(401, "EXPIRED_AUTHENTICATION", f"The OAuth token used to make this call expired at {since}.")


def not_found(id_: str) -> RefusalError:
    """404 for what is missing, archived or erased."""
    return RefusalError(404, "OBJECT_NOT_FOUND", f"Object not found. objectId {id_} is not known.")


def error_entry(
    category: str, message: str, context: Mapping[str, list[str]], trace: str | None = None
) -> dict[str, Any]:
    """One entry of a batch answer's `errors`; the input's trace id is echoed in its context."""
    whole = dict(context) | ({"objectWriteTraceId": [trace]} if trace is not None else {})
    return {"status": "error", "category": category, "message": message, "context": whole}


def broken(ids: list[str] | None = None, trace: str | None = None) -> dict[str, Any]:
    """What a scripted partial failure says of one input."""
    return error_entry("INTERNAL_ERROR", "There was a problem with this input.", {"ids": ids} if ids else {}, trace)


def invalid_message(problems: list[Problem]) -> str:
    """The message of a 400 on values: HubSpot writes a JSON list into the text."""
    details = [
        {
            "isValid": False,
            "message": problem.message,
            "error": problem.code,
            "name": problem.name,
            "localizedErrorMessage": problem.message,
        }
        for problem in problems
    ]
    return f"Property values were not valid: {json.dumps(details, separators=(',', ':'))}"


def inner(problems: list[Problem]) -> list[dict[str, Any]]:
    """The same problems as the `errors` of that answer."""
    return [
        {"message": problem.message, "code": problem.code, "context": {"propertyName": [problem.name]}}
        for problem in problems
    ]
