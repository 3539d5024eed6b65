"""HubSpot's HTTP API over a portal's state: paths, statuses and bodies of v3/v4 and of 2026-03."""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox.clock import millis_of
from connectors.sandbox.faults import FaultKind
from connectors.sandbox.hubspot_schema import (
    ASSOCIATION_TYPES,
    FIELD_TYPES,
    NAME,
    PRIMARY,
    UNIQUE_MAX,
    ObjectType,
    Property,
    group_json,
    options,
    stage_stamps,
)
from connectors.sandbox.hubspot_search import BadSearchError, Search
from connectors.sandbox.hubspot_store import InvalidError, Owner, PortalState, Problem, Record, Table
from connectors.sandbox.hubspot_values import iso
from connectors.sandbox.server import Request, Response

BATCH = 100
LIST_PAGE = 100
LIST_PAGE_WITH_HISTORY = 50
ASSOCIATION_BATCH = 1000
ASSOCIATION_PAGE = 500
OWNER_PAGE = 500
SUBMISSION_PAGE = 50

# what a portal without quotas of its own says in its headers
SHOWN_PER_10_SECONDS = 190
SHOWN_PER_DAY = 650_000


class RefusalError(Exception):
    """A call that is answered with an error; nothing was committed."""

    def __init__(self, status: int, category: str | None, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.message = message
        self.headers: dict[str, str] = more.pop("headers", {})
        self.more = more


@dataclass(slots=True)
class _Write:
    """One input of a batch write that passed its checks."""

    record: Record | None
    clean: dict[str, str]
    trace: str | None
    links: list[tuple[Table, Record, list[int]]]


class HubSpotApi:
    """Answers calls. Holds tokens and quota windows; everything else is the portal's."""

    def __init__(self, portal: PortalState) -> None:
        self._portal = portal
        self._tokens: dict[str, datetime] = {}
        self._window: deque[int] = deque()
        self._searches: deque[int] = deque()
        self._day = ("", 0)

    def answer(self, request: Request) -> Response:
        """One call, whole or not at all."""
        portal = self._portal
        with portal.lock:
            try:
                if request.fault is not None:
                    self._refuse_by_fault(request)
                response = self._routed(request)
            except RefusalError as refusal:
                response = self._refusal(refusal)
            return response

    # -- gate: tokens, quotas, faults

    def _refuse_by_fault(self, request: Request) -> None:
        fault = request.fault
        if fault is None:
            return
        if fault.kind is FaultKind.RATE_LIMITED:
            policy = fault.policy or ("SECONDLY" if request.path.endswith("/search") else "TEN_SECONDLY_ROLLING")
            raise _rate_limited(policy, fault.retry_after)
        if fault.kind is FaultKind.EXPIRED_TOKEN:
            raise _expired(self._portal.now())

    def _routed(self, request: Request) -> Response:
        segments = _family(request.segments)
        if segments[:1] == ("oauth",):
            return self._token(request)
        by_oauth = self._authenticated(request)
        is_search = segments[-1:] == ("search",)
        self._count(is_search)
        response = self._route(request, segments)
        if not is_search:
            response.headers |= self._quota_headers(daily=not by_oauth)
        return response

    def _authenticated(self, request: Request) -> bool:
        """Whether it was an OAuth token; a static one otherwise."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer" and token == self._portal.token:
            return False
        ends = self._tokens.get(token) if scheme == "Bearer" else None
        if ends is None:
            raise RefusalError(
                401,
                "INVALID_AUTHENTICATION",
                "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find "
                "more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
            )
        if ends <= self._portal.clock.now():
            raise _expired(ends.isoformat())
        return True

    def _count(self, is_search: bool) -> None:
        """Failed calls count too, but a refused one by quota does not fill the window again."""
        portal = self._portal
        now = portal.clock.millis()
        limits = portal.limits
        if is_search and limits.search_per_second is not None:
            _forget(self._searches, now - 1000)
            if len(self._searches) >= limits.search_per_second:
                raise _rate_limited("SECONDLY", None)
            self._searches.append(now)
        today = portal.clock.now().astimezone(ZoneInfo(portal.time_zone)).date().isoformat()
        used = self._day[1] if self._day[0] == today else 0
        if limits.per_day is not None and used >= limits.per_day:
            raise _rate_limited("DAILY", None)
        if limits.per_10_seconds is not None and not is_search:
            _forget(self._window, now - 10_000)
            if len(self._window) >= limits.per_10_seconds:
                raise _rate_limited("TEN_SECONDLY_ROLLING", None)
            self._window.append(now)
        self._day = (today, used + 1)

    def _quota_headers(self, *, daily: bool) -> dict[str, str]:
        limits = self._portal.limits
        most = limits.per_10_seconds or SHOWN_PER_10_SECONDS
        headers = {
            "X-HubSpot-RateLimit-Max": str(most),
            "X-HubSpot-RateLimit-Remaining": str(max(0, most - max(1, len(self._window)))),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        }
        if daily:
            per_day = limits.per_day or SHOWN_PER_DAY
            headers["X-HubSpot-RateLimit-Daily"] = str(per_day)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(0, per_day - self._day[1]))
        return headers

    def _need(self, scope: str) -> None:
        if scope not in self._portal.scopes:
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

    def _refusal(self, refusal: RefusalError) -> Response:
        body: dict[str, Any] = {"status": "error", "message": refusal.message, "correlationId": self._portal.serial()}
        if refusal.category is not None:
            body["category"] = refusal.category
        return Response(refusal.status, body | refusal.more, dict(refusal.headers))

    # -- OAuth

    def _token(self, request: Request) -> Response:
        portal = self._portal
        form = request.form() if request.method == "POST" else {}
        client, secret, refresh = portal.oauth
        if form.get("grant_type") != "refresh_token":
            return self._bad_token("unsupported_grant_type", "BAD_GRANT_TYPE", "missing or unsupported grant_type")
        if (form.get("client_id"), form.get("client_secret")) != (client, secret):
            return self._bad_token("invalid_client", "BAD_CLIENT_ID", "missing or unknown client id or secret")
        if form.get("refresh_token") != refresh:
            return self._bad_token("invalid_grant", "BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        token = f"sandbox-hubspot-access-{len(self._tokens) + 1}"
        self._tokens[token] = portal.clock.now() + timedelta(seconds=portal.token_lifetime)
        body: dict[str, Any] = {
            "access_token": token,
            "refresh_token": refresh,
            "expires_in": portal.token_lifetime,
            "token_type": "bearer",
        }
        if "v1" not in request.segments:
            body |= {"hub_id": portal.portal_id, "user_id": 1, "scopes": sorted(portal.scopes)}
            body["token_use"] = "access_token"  # noqa: S105 - HubSpot's word for the kind of token
        return Response(200, body)

    def _bad_token(self, error: str, status: str, message: str) -> Response:
        body = {"error": error, "error_description": message, "status": status, "message": message}
        return Response(400, body | {"correlationId": self._portal.serial()})

    # -- routes

    def _route(self, request: Request, segments: tuple[str, ...]) -> Response:
        match (request.method, *segments):
            case (method, "objects", object_, *rest):
                return self._objects(request, method, self._table(object_), tuple(rest))
            case (method, "associations", from_, to, *rest):
                return self._associations(request, method, self._table(from_), self._table(to), tuple(rest))
            case ("GET", "owners"):
                return self._owners(request)
            case ("GET", "owners", id_):
                return self._owner(request, id_)
            case (method, "properties", object_, *rest):
                return self._properties(request, method, self._table(object_), tuple(rest))
            case ("GET", "account", "details"):
                return Response(200, self._account())
            case ("GET", "account", "api-usage", "daily", "private-apps"):
                return Response(200, {"results": [self._usage()]})
            case ("GET", "forms"):
                return self._forms(request)
            case ("GET", "forms", guid):
                return Response(200, self._form_json(guid))
            case ("GET", "submissions", guid):
                return self._submissions(request, guid)
            case ("GET", "events", *_):
                raise RefusalError(403, "MISSING_SCOPES", "This account's plan does not include event analytics.")
            case _:
                raise RefusalError(404, None, "resource not found")

    def _table(self, object_: str) -> Table:
        try:
            return self._portal.table(object_)
        except KeyError:
            raise RefusalError(400, "VALIDATION_ERROR", f"Unable to infer object type from: {object_}") from None

    def _objects(self, request: Request, method: str, table: Table, rest: tuple[str, ...]) -> Response:
        self._need_object(table, write=_writes(method, rest))
        match (method, *rest):
            case ("GET",):
                return self._list(request, table)
            case ("POST",):
                return self._create(request, table)
            case ("POST", "search"):
                return self._search(request, table)
            case ("POST", "merge"):
                return self._merge(request, table)
            case ("POST", "gdpr-delete"):
                return self._erase(request, table)
            case ("POST", "batch", "read"):
                return self._batch_read(request, table)
            case ("POST", "batch", "update"):
                return self._batch_update(request, table)
            case ("POST", "batch", "upsert"):
                return self._batch_upsert(request, table)
            case ("POST", "batch", "create"):
                return self._batch_create(request, table)
            case ("POST", "batch", "archive"):
                return self._batch_archive(request, table)
            case ("GET", id_):
                return self._read(request, table, id_)
            case ("PATCH", id_):
                return self._update(request, table, id_)
            case ("DELETE", id_):
                record = table.by_id.get(table.current(id_))
                if record is not None and record.archived is None:
                    self._portal.archive_record(table, record, "api")
                return Response(204)
            case ("GET", id_, "associations", to):
                return self._linked(request, table, id_, self._table(to))
            case ("PUT", id_, "associations", "default", to, to_id):
                return self._put_default(table, id_, self._table(to), to_id)
            case ("PUT", id_, "associations", to, to_id):
                types = [int(one["associationTypeId"]) for one in self._json(request) or ()]
                return self._put_default(table, id_, self._table(to), to_id, types)
            case _:
                raise RefusalError(405, None, "Method Not Allowed")

    def _need_object(self, table: Table, *, write: bool) -> None:
        name = table.kind.name
        if name in ("emails", "calls", "meetings", "notes", "communications"):
            name = "contacts"
        self._need(f"crm.objects.{name}.{'write' if write else 'read'}")

    def _json(self, request: Request) -> Any:
        try:
            return request.json()
        except ValueError:
            raise RefusalError(
                400, "VALIDATION_ERROR", "Invalid input JSON on line 1, column 1: Unrecognized token"
            ) from None

    # -- one record

    def _list(self, request: Request, table: Table) -> Response:
        history = _names(request.query.get("propertiesWithHistory"))
        limit = self._limit(request, 10, LIST_PAGE_WITH_HISTORY if history else LIST_PAGE)
        archived = _flag(request, "archived")
        rows, start = table.after(self._cursor(request.one("after")), archived)
        page = rows[start : start + limit]
        names = _wanted(table.kind, _names(request.query.get("properties")))
        links = [self._table(name) for name in _names(request.query.get("associations"))]
        results = [self._shown(table, record, names, history=history, links=links) for record in page]
        body: dict[str, Any] = {"results": results}
        if start + limit < len(rows):
            after = _encode(str(page[-1].number))
            body["paging"] = {"next": {"after": after, "link": f"{request.path}?limit={limit}&after={after}"}}
        return Response(200, body)

    def _read(self, request: Request, table: Table, id_: str) -> Response:
        record = self._located(table, id_, request.one("idProperty"))
        if record is None or (record.archived is not None) != _flag(request, "archived"):
            raise _not_found(id_)
        names = _wanted(table.kind, _names(request.query.get("properties")))
        history = _names(request.query.get("propertiesWithHistory"))
        links = [self._table(name) for name in _names(request.query.get("associations"))]
        return Response(200, self._shown(table, record, names, history=history, links=links))

    def _located(self, table: Table, id_: str, id_property: str | None) -> Record | None:
        if id_property in (None, "hs_object_id"):
            return table.by_id.get(table.current(id_))
        if id_property not in table.unique:
            raise RefusalError(
                400, "VALIDATION_ERROR", f"Property {id_property} is not a unique property of {table.kind.name}"
            )
        return self._portal.by_unique(table, str(id_property), id_)

    def _create(self, request: Request, table: Table) -> Response:
        body = self._object(self._json(request))
        links = self._inline_links(table, body)
        try:
            record = self._commit_new(table, self._checked_new(table, body), links)
        except InvalidError as invalid:
            raise self._invalid(invalid.problems) from None
        return Response(201, self._shown(table, record, None))

    def _update(self, request: Request, table: Table, id_: str) -> Response:
        record = self._located(table, id_, request.one("idProperty"))
        if record is None or record.archived is not None:
            raise _not_found(id_)
        properties = self._object(self._json(request)).get("properties") or {}
        try:
            clean = self._portal.check(table, properties, record)
        except InvalidError as invalid:
            raise self._invalid(invalid.problems) from None
        self._portal.update(table, record, clean, "api")
        return Response(200, self._shown(table, record, None))

    def _merge(self, request: Request, table: Table) -> Response:
        body = self._object(self._json(request))
        primary, other = (
            table.by_id.get(table.current(str(body.get(name)))) for name in ("primaryObjectId", "objectIdToMerge")
        )
        if primary is None or other is None or primary is other or primary.archived or other.archived:
            raise RefusalError(400, "VALIDATION_ERROR", "Both objects to merge must exist, be live and be different")
        record = self._portal.merge_records(table, primary, other, "api")
        return Response(200, self._shown(table, record, None))

    def _erase(self, request: Request, table: Table) -> Response:
        body = self._object(self._json(request))
        record = self._located(table, str(body.get("objectId")), body.get("idProperty"))
        if record is not None:
            self._portal.erase_record(table, record, "api")
        return Response(204)

    def _search(self, request: Request, table: Table) -> Response:
        try:
            search = Search(table.kind, self._object(self._json(request)))
        except BadSearchError as bad:
            raise RefusalError(400, "VALIDATION_ERROR", f"There was a problem with the request: {bad}") from None
        portal = self._portal
        lag = portal.index_lag
        cutoff = iso(portal.clock.millis() - round(lag * 1000)) if lag > 0 else None
        try:
            total, page = search.run(table, cutoff)
        except BadSearchError as bad:
            raise RefusalError(400, "VALIDATION_ERROR", f"There was a problem with the request: {bad}") from None
        names = _wanted(table.kind, search.names)
        body: dict[str, Any] = {
            "total": total,
            "results": [_rendered(table.kind, record, seen, names) for record, seen in page],
        }
        if search.offset + len(page) < total:
            body["paging"] = {"next": {"after": str(search.offset + len(page))}}
        return Response(200, body)

    # -- batches

    def _inputs(self, body: Mapping[str, Any], most: int = BATCH) -> list[dict[str, Any]]:
        inputs = body.get("inputs")
        if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
            raise RefusalError(400, "VALIDATION_ERROR", "Invalid input JSON: inputs must be a list of objects")
        if len(inputs) > most:
            raise RefusalError(
                400,
                "VALIDATION_ERROR",
                f"The maximum number of inputs supported in a batch request is {most}. Received {len(inputs)}",
            )
        return inputs

    def _batch_read(self, request: Request, table: Table) -> Response:
        started = self._portal.now()
        body = self._object(self._json(request))
        inputs = self._inputs(body)
        archived = _flag(request, "archived")
        id_property = body.get("idProperty")
        history = list(body.get("propertiesWithHistory") or ())
        names = _wanted(table.kind, body.get("properties") or ())
        found: dict[str, Record] = {}
        missing: list[str] = []
        errors: list[dict[str, Any]] = []
        for place, one in enumerate(inputs):
            id_ = str(one.get("id"))
            if request.fault is not None and request.fault.fails(place):
                errors.append(_broken(ids=[id_]))
                continue
            record = self._located(table, id_, id_property)
            if record is None or (record.archived is not None) != archived:
                missing.append(id_)
            else:
                found[record.id] = record
        if missing:
            kind = table.kind.singular.upper()
            message = f"Could not get some {kind} objects, they may be deleted or not exist. Check that ids are valid."
            errors.insert(0, _error_entry("OBJECT_NOT_FOUND", message, {"ids": missing}))
        rows = sorted(found.values(), key=lambda record: record.number)
        results = [self._shown(table, record, names, history=history) for record in rows]
        return self._batch(200, results, errors, started)

    def _batch_update(self, request: Request, table: Table) -> Response:
        started = self._portal.now()
        inputs = self._inputs(self._object(self._json(request)))
        self._refuse_duplicates([(one.get("idProperty"), str(one.get("id"))) for one in inputs])
        self._refuse_unknown(table, inputs)
        traced = _all_traced(inputs)
        writes: list[_Write] = []
        errors: list[dict[str, Any]] = []
        claims: dict[tuple[str, str], int] = {}
        problems: list[Problem] = []
        for place, one in enumerate(inputs):
            id_, trace = str(one.get("id")), one.get("objectWriteTraceId")
            if request.fault is not None and request.fault.fails(place):
                errors.append(_broken(ids=[id_], trace=trace))
                continue
            merged = table.current(id_) != id_
            if merged and not self._portal.follow_merged_updates:
                continue  # HubSpot's answer leaves such an input out without a word
            record = self._located(table, id_, one.get("idProperty"))
            if record is None or record.archived is not None:
                message = f"Could not find {table.kind.singular.upper()} with id {id_}"
                errors.append(_error_entry("OBJECT_NOT_FOUND", message, {"ids": [id_]}, trace))
                continue
            self._gather(table, one, place, record, writes, errors, claims, problems)
        self._refuse_unless_partial(problems, traced and self._portal.batch_update_partial)
        results = []
        for write in writes:
            if write.record is not None:
                self._portal.update(table, write.record, write.clean, "api")
                results.append((write.record, write.trace))
        results.sort(key=lambda pair: pair[0].number)
        return self._batch(200, [self._traced(table, *pair) for pair in results], errors, started)

    def _batch_create(self, request: Request, table: Table) -> Response:
        started = self._portal.now()
        inputs = self._inputs(self._object(self._json(request)))
        self._refuse_unknown(table, inputs)
        traced = _all_traced(inputs)
        writes: list[_Write] = []
        errors: list[dict[str, Any]] = []
        claims: dict[tuple[str, str], int] = {}
        problems: list[Problem] = []
        for place, one in enumerate(inputs):
            if request.fault is not None and request.fault.fails(place):
                errors.append(_broken(trace=one.get("objectWriteTraceId")))
                continue
            self._gather(table, one, place, None, writes, errors, claims, problems)
        self._refuse_unless_partial(problems, traced)
        created = [(self._commit_new(table, write.clean, write.links), write.trace) for write in writes]
        # no order is promised: answer in another than the asked one
        results = [self._traced(table, *pair) for pair in reversed(created)]
        return self._batch(201, results, errors, started)

    def _batch_upsert(self, request: Request, table: Table) -> Response:
        started = self._portal.now()
        inputs = self._inputs(self._object(self._json(request)))
        for one in inputs:
            if one.get("idProperty") not in table.unique:
                raise RefusalError(400, "VALIDATION_ERROR", f"idProperty {one.get('idProperty')} is no unique property")
        self._refuse_duplicates([(one["idProperty"], str(one.get("id"))) for one in inputs])
        self._refuse_unknown(table, inputs)
        traced = _all_traced(inputs)
        writes: list[_Write] = []
        errors: list[dict[str, Any]] = []
        claims: dict[tuple[str, str], int] = {}
        problems: list[Problem] = []
        for place, one in enumerate(inputs):
            if request.fault is not None and request.fault.fails(place):
                errors.append(_broken(ids=[str(one.get("id"))], trace=one.get("objectWriteTraceId")))
                continue
            name, value = one["idProperty"], str(one.get("id"))
            record = self._portal.by_unique(table, name, value)
            filled = one | {"properties": {name: value, **(one.get("properties") or {})}}
            self._gather(table, filled, place, record, writes, errors, claims, problems)
        self._refuse_unless_partial(problems, traced)
        results = []
        for write in writes:
            new = write.record is None
            if write.record is None:
                record = self._commit_new(table, write.clean, [])
            else:
                record = write.record
                self._portal.update(table, record, write.clean, "api")
            results.append(self._traced(table, record, write.trace) | {"new": new})
        return self._batch(200, results, errors, started)

    def _gather(
        self,
        table: Table,
        one: Mapping[str, Any],
        place: int,
        record: Record | None,
        writes: list[_Write],
        errors: list[dict[str, Any]],
        claims: dict[tuple[str, str], int],
        problems: list[Problem],
    ) -> None:
        """Checks one input of a batch: into `writes`, or into `errors` and `problems`."""
        trace = one.get("objectWriteTraceId")
        try:
            if record is None:
                links = self._inline_links(table, one)
                clean = self._checked_new(table, one)
            else:
                links = []
                clean = self._portal.check(table, one.get("properties") or {}, record)
            for name in table.unique:
                if clean.get(name) and claims.setdefault((name, clean[name]), place) != place:
                    raise InvalidError([Problem(name, "CONFLICT", f"{clean[name]} is in this batch twice")])
        except InvalidError as invalid:
            problems += invalid.problems
            errors.append(self._invalid_entry(invalid.problems, trace))
        except RefusalError as refusal:
            problems.append(Problem("associations", refusal.category or "VALIDATION_ERROR", refusal.message))
            errors.append(_error_entry(refusal.category or "VALIDATION_ERROR", refusal.message, {}, trace))
        else:
            writes.append(_Write(record, clean, trace, links))

    def _batch_archive(self, request: Request, table: Table) -> Response:
        for one in self._inputs(self._object(self._json(request))):
            record = table.by_id.get(table.current(str(one.get("id"))))
            if record is not None and record.archived is None:
                self._portal.archive_record(table, record, "api")
        return Response(204)

    def _refuse_duplicates(self, keys: list[tuple[Any, str]]) -> None:
        twice = sorted({id_ for name, id_ in keys if keys.count((name, id_)) > 1}) if len(set(keys)) < len(keys) else []
        if twice:
            message = f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique"
            raise RefusalError(400, "VALIDATION_ERROR", message, context={"ids": twice})

    def _refuse_unknown(self, table: Table, inputs: Iterable[Mapping[str, Any]]) -> None:
        """A property that does not exist fails the whole batch, trace ids or not."""
        names = {name for one in inputs for name in one.get("properties") or {}}
        unknown = sorted(names - table.kind.properties.keys())
        if unknown:
            raise self._invalid(
                [Problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist') for name in unknown]
            )

    def _refuse_unless_partial(self, problems: list[Problem], partial: bool) -> None:
        if problems and not partial:
            raise self._invalid(problems)

    def _batch(
        self, status: int, results: list[dict[str, Any]], errors: list[dict[str, Any]], started: str
    ) -> Response:
        body: dict[str, Any] = {"status": "COMPLETE", "results": results}
        if errors:
            body |= {"numErrors": len(errors), "errors": errors}
        body |= {"startedAt": started, "completedAt": self._portal.now()}
        return Response(207 if errors else status, body)

    # -- what writes have in common

    def _object(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise RefusalError(400, "VALIDATION_ERROR", "Invalid input JSON: an object is expected")
        return body

    def _checked_new(self, table: Table, body: Mapping[str, Any]) -> dict[str, str]:
        properties = body.get("properties") or {}
        clean = self._portal.check(table, properties)
        if "hs_timestamp" in table.kind.properties and not clean.get("hs_timestamp"):
            raise InvalidError(
                [Problem("hs_timestamp", "REQUIRED_FIELD", f"hs_timestamp is required to create {table.kind.name}")]
            )
        return clean

    def _commit_new(
        self, table: Table, clean: Mapping[str, str], links: list[tuple[Table, Record, list[int]]]
    ) -> Record:
        record = self._portal.create(table, clean, "api")
        for to_table, to, types in links:
            self._portal.link((table, record), (to_table, to), types)
            # new activity moves the stamp of what it is about
            self._portal.keep_version(to)
            self._portal.touch(to_table, to, self._portal.now())
        return record

    def _inline_links(self, table: Table, body: Mapping[str, Any]) -> list[tuple[Table, Record, list[int]]]:
        links = []
        for one in body.get("associations") or ():
            types = [int(kind["associationTypeId"]) for kind in one.get("types") or ()]
            to_table = self._table_of_type(table, types)
            id_ = str((one.get("to") or {}).get("id"))
            record = to_table.by_id.get(to_table.current(id_))
            if record is None or record.archived is not None:
                kind = to_table.kind.singular.upper()
                raise RefusalError(
                    400, "VALIDATION_ERROR", f"One or more associations are not valid: {kind} {id_} does not exist"
                )
            links.append((to_table, record, types))
        return links

    def _table_of_type(self, table: Table, types: list[int]) -> Table:
        for (from_, to), known in ASSOCIATION_TYPES.items():
            if from_ == table.kind.name and types and set(types) <= set(known):
                return self._portal.tables[to]
        raise RefusalError(400, "VALIDATION_ERROR", f"association types {types} are not valid from {table.kind.name}")

    def _invalid(self, problems: list[Problem]) -> RefusalError:
        clash = next((p for p in problems if p.code == "CONFLICT"), None)
        if clash is not None and len(problems) == 1:
            status = 409 if clash.name == "email" else self._portal.unique_clash_status
            return RefusalError(status, "CONFLICT" if status == 409 else "VALIDATION_ERROR", clash.message)
        return RefusalError(400, "VALIDATION_ERROR", _invalid_message(problems), errors=_inner(problems))

    def _invalid_entry(self, problems: list[Problem], trace: str | None) -> dict[str, Any]:
        if [p.code for p in problems] == ["CONFLICT"]:
            return _error_entry("CONFLICT", problems[0].message, {}, trace)
        return _error_entry("VALIDATION_ERROR", _invalid_message(problems), {}, trace) | {"errors": _inner(problems)}

    # -- showing records

    def _traced(self, table: Table, record: Record, trace: str | None) -> dict[str, Any]:
        shown = self._shown(table, record, None)
        return shown if trace is None else shown | {"objectWriteTraceId": trace}

    def _shown(
        self,
        table: Table,
        record: Record,
        names: tuple[str, ...] | None,
        *,
        history: Iterable[str] = (),
        links: Iterable[Table] = (),
    ) -> dict[str, Any]:
        shown = _rendered(table.kind, record, record.properties, names)
        history = tuple(history)
        if history:
            shown["propertiesWithHistory"] = {
                name: [
                    {"value": record.properties[name], "timestamp": record.modified, "sourceType": "INTEGRATION"}
                    for _ in range(name in record.properties)
                ]
                for name in history
                if name in table.kind.properties
            }
        associations = {}
        for to in links:
            linked = self._portal.linked(table.kind.name, record.id, to.kind.name)
            if linked:
                of = f"{table.kind.singular}_to_{to.kind.singular}"
                associations[to.kind.name] = {"results": [{"id": id_, "type": of} for id_, _ in linked]}
        return shown | ({"associations": associations} if associations else {})

    # -- associations

    def _associations(self, request: Request, method: str, from_: Table, to: Table, rest: tuple[str, ...]) -> Response:
        match (method, *rest):
            case ("GET", "labels"):
                types = ASSOCIATION_TYPES.get((from_.kind.name, to.kind.name), ())
                rows = [{"category": "HUBSPOT_DEFINED", "typeId": t, "label": PRIMARY.get(t)} for t in types]
                return Response(200, {"results": rows})
            case ("POST", "batch", "read"):
                self._need_object(from_, write=False)
                return self._batch_linked(request, from_, to)
            case ("POST", "batch", "associate", "default") | ("POST", "batch", "create"):
                self._need_object(from_, write=True)
                return self._batch_associate(request, from_, to)
            case _:
                raise RefusalError(404, None, "resource not found")

    def _batch_linked(self, request: Request, from_: Table, to: Table) -> Response:
        started = self._portal.now()
        inputs = self._inputs(self._object(self._json(request)), ASSOCIATION_BATCH)
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for one in inputs:
            id_ = str(one.get("id"))
            linked = self._portal.linked(from_.kind.name, id_, to.kind.name)
            if not linked:
                if self._portal.unassociated_error:
                    message = f"No {to.kind.singular} is associated with {from_.kind.singular} {id_}."
                    entry = _error_entry("OBJECT_NOT_FOUND", message, {"fromObjectId": [id_]})
                    errors.append(entry | {"subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"})
                continue
            page, paging = self._link_page(linked, one.get("after"), ASSOCIATION_PAGE)
            results.append({"from": {"id": id_}, "to": page} | paging)
        return self._batch(200, results, errors, started)

    def _link_page(
        self, linked: list[tuple[str, set[int]]], after: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        above = self._cursor(after)
        rest = [pair for pair in linked if int(pair[0]) > above]
        page = [
            {
                "toObjectId": int(id_),
                "associationTypes": [
                    {"category": "HUBSPOT_DEFINED", "typeId": type_, "label": PRIMARY.get(type_)}
                    for type_ in sorted(types)
                ],
            }
            for id_, types in rest[:limit]
        ]
        more = {"paging": {"next": {"after": _encode(rest[limit - 1][0])}}} if len(rest) > limit else {}
        return page, more

    def _linked(self, request: Request, table: Table, id_: str, to: Table) -> Response:
        if table.current(id_) not in table.by_id:
            raise _not_found(id_)
        limit = self._limit(request, ASSOCIATION_PAGE, ASSOCIATION_PAGE)
        linked = self._portal.linked(table.kind.name, id_, to.kind.name)
        page, paging = self._link_page(linked, request.one("after"), limit)
        return Response(200, {"results": page} | paging)

    def _put_default(self, table: Table, id_: str, to: Table, to_id: str, types: Iterable[int] = ()) -> Response:
        ends = [(t, t.by_id.get(t.current(i))) for t, i in ((table, id_), (to, to_id))]
        for (_, record), asked in zip(ends, (id_, to_id), strict=True):
            if record is None or record.archived is not None:
                raise _not_found(asked)
        (a, a_record), (b, b_record) = ends
        if a_record is None or b_record is None:
            raise _not_found(id_)
        self._portal.link((a, a_record), (b, b_record), types)
        forth, back = (
            ASSOCIATION_TYPES.get((a.kind.name, b.kind.name)),
            ASSOCIATION_TYPES.get((b.kind.name, a.kind.name)),
        )
        results = [
            {
                "from": {"id": one.id},
                "to": {"id": two.id},
                "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": known[0]},
            }
            for one, two, known in ((a_record, b_record, forth), (b_record, a_record, back))
            if known
        ]
        now = self._portal.now()
        return Response(200, {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now})

    def _batch_associate(self, request: Request, from_: Table, to: Table) -> Response:
        started = self._portal.now()
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for one in self._inputs(self._object(self._json(request)), ASSOCIATION_BATCH):
            a, b = str(one["from"]["id"]), str(one["to"]["id"])
            types = [int(kind["associationTypeId"]) for kind in one.get("types") or ()]
            try:
                self._put_default(from_, a, to, b, types)
            except RefusalError as refusal:
                errors.append(_error_entry("OBJECT_NOT_FOUND", refusal.message, {"ids": [a, b]}))
            else:
                results.append(
                    {"fromObjectTypeId": from_.kind.type_id, "fromObjectId": a, "toObjectId": b, "labels": []}
                )
        return self._batch(200, results, errors, started)

    # -- owners, account, forms

    def _owners(self, request: Request) -> Response:
        self._need("crm.objects.owners.read")
        archived, email = _flag(request, "archived"), request.one("email")
        limit = self._limit(request, 100, OWNER_PAGE)
        above = self._cursor(request.one("after"))
        rows = [
            owner
            for owner in sorted(self._portal.owners.values(), key=lambda owner: int(owner.id))
            if owner.active != archived and int(owner.id) > above and (email is None or owner.email == email.lower())
        ]
        body: dict[str, Any] = {"results": [_owner_json(owner) for owner in rows[:limit]]}
        if len(rows) > limit:
            body["paging"] = {"next": {"after": _encode(rows[limit - 1].id)}}
        return Response(200, body)

    def _owner(self, request: Request, id_: str) -> Response:
        self._need("crm.objects.owners.read")
        by_user = request.one("idProperty") == "userId"
        archived = _flag(request, "archived")
        for owner in self._portal.owners.values():
            if (str(owner.user_id) if by_user else owner.id) == id_ and owner.active != archived:
                return Response(200, _owner_json(owner))
        raise _not_found(id_)

    def _account(self) -> dict[str, Any]:
        portal = self._portal
        offset = portal.clock.now().astimezone(ZoneInfo(portal.time_zone)).utcoffset() or timedelta()
        minutes = int(offset.total_seconds() // 60)
        sign = "-" if minutes < 0 else "+"
        return {
            "portalId": portal.portal_id,
            "accountType": "DEVELOPER_TEST",
            "timeZone": portal.time_zone,
            "companyCurrency": "EUR",
            "additionalCurrencies": [],
            "utcOffset": f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}",
            "utcOffsetMilliseconds": minutes * 60_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        }

    def _usage(self) -> dict[str, Any]:
        portal = self._portal
        here = portal.clock.now().astimezone(ZoneInfo(portal.time_zone))
        midnight = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return {
            "name": "private-apps-api-calls-daily",
            "usageLimit": portal.limits.per_day or SHOWN_PER_DAY,
            "currentUsage": self._day[1],
            "collectedAt": portal.now(),
            "fetchStatus": "SUCCESS",
            "resetsAt": iso(millis_of(midnight)),
        }

    def _forms(self, request: Request) -> Response:
        self._need("forms")
        limit = self._limit(request, 20, 1000)
        guids = list(self._portal.forms)
        start = self._cursor(request.one("after")) if request.one("after") else 0
        body: dict[str, Any] = {"results": [self._form_json(guid) for guid in guids[start : start + limit]]}
        if start + limit < len(guids):
            body["paging"] = {"next": {"after": _encode(str(start + limit))}}
        return Response(200, body)

    def _form_json(self, guid: str) -> dict[str, Any]:
        self._need("forms")
        form = self._portal.forms.get(guid)
        if form is None:
            raise _not_found(guid)
        return {
            "id": form.guid,
            "name": form.name,
            "createdAt": form.created,
            "updatedAt": form.created,
            "archived": False,
            "formType": "hubspot",
            "fieldGroups": [],
            "configuration": {"language": "en", "cloneable": True, "editable": True, "archivable": True},
            "displayOptions": {"renderRawHtml": False, "theme": "default_style", "submitButtonText": "Submit"},
            "legalConsentOptions": {"type": "none"},
        }

    def _submissions(self, request: Request, guid: str) -> Response:
        """Newest first. A page goes on below the submission it ended with, whatever has come in since."""
        self._need("forms")
        form = self._portal.forms.get(guid)
        if form is None:
            raise _not_found(guid)
        limit = self._limit(request, 20, SUBMISSION_PAGE)
        rows = sorted(enumerate(form.submissions), key=lambda row: (row[1][0], row[0]), reverse=True)
        after = request.one("after")
        if after:
            last = self._cursor(after)
            start = next((place for place, row in enumerate(rows) if row[0] == last), len(rows)) + 1
        else:
            start = 0
        page = rows[start : start + limit]
        body: dict[str, Any] = {
            "results": [
                {
                    "conversionId": conversion,
                    "submittedAt": at,
                    "values": [{"name": n, "value": v, "objectTypeId": "0-1"} for n, v in values.items()],
                    "pageUrl": page_url,
                }
                for _, (at, conversion, values, page_url) in page
            ]
        }
        if start + limit < len(rows):
            body["paging"] = {"next": {"after": _encode(str(page[-1][0]))}}
        return Response(200, body)

    # -- properties

    def _properties(self, request: Request, method: str, table: Table, rest: tuple[str, ...]) -> Response:
        if method != "GET" and rest[-1:] != ("read",):
            name = table.kind.name if table.kind.name in ("companies", "deals") else "contacts"
            self._need(f"crm.schemas.{name}.write")
        known, groups = table.kind.properties, table.kind.groups
        match (method, *rest):
            case ("GET",):
                return Response(200, {"results": [prop.as_json() for prop in known.values()]})
            case ("POST",):
                return Response(201, self._define(table, self._object(self._json(request))).as_json())
            case ("POST", "batch", verb):
                return self._batch_properties(request, table, verb)
            case ("GET", "groups"):
                return Response(200, {"results": list(groups.values())})
            case ("POST", "groups"):
                return self._add_group(table, self._object(self._json(request)))
            case ("GET", "groups", name):
                if name not in groups:
                    raise _not_found(name)
                return Response(200, groups[name])
            case ("GET", name):
                return Response(200, self._property(table, name).as_json())
            case ("PATCH", name):
                return Response(
                    200, self._redefine(table, self._property(table, name), self._object(self._json(request)))
                )
            case ("DELETE", name):
                self._undefine(table, self._property(table, name))
                return Response(204)
            case _:
                raise RefusalError(405, None, "Method Not Allowed")

    def _property(self, table: Table, name: str) -> Property:
        prop = table.kind.properties.get(name)
        if prop is None:
            raise RefusalError(404, "OBJECT_NOT_FOUND", f"Property {name} of {table.kind.name} does not exist")
        return prop

    def _batch_properties(self, request: Request, table: Table, verb: str) -> Response:
        started = self._portal.now()
        inputs = self._inputs(self._object(self._json(request)))
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for one in inputs:
            name = str(one.get("name"))
            try:
                match verb:
                    case "create":
                        results.append(self._define(table, one).as_json())
                    case "read":
                        results.append(self._property(table, name).as_json())
                    case "archive":
                        self._undefine(table, self._property(table, name))
                    case _:
                        raise RefusalError(404, None, "resource not found")
            except RefusalError as refusal:
                context = {"propertyName": [name]}
                errors.append(_error_entry(refusal.category or "VALIDATION_ERROR", refusal.message, context))
        if verb == "archive":
            return Response(204)
        return self._batch(201 if verb == "create" else 200, results, errors, started)

    def _define(self, table: Table, wish: Mapping[str, Any]) -> Property:
        kind = table.kind
        missing = [key for key in ("name", "label", "type", "fieldType", "groupName") if not wish.get(key)]
        if missing:
            raise RefusalError(400, "VALIDATION_ERROR", f"Some required fields were not set: [{', '.join(missing)}]")
        name = str(wish["name"])
        if name in kind.properties:
            raise RefusalError(409, "CONFLICT", f"A property named '{name}' already exists.")
        self._refuse_bad_definition(kind, name, wish)
        now = self._portal.now()
        prop = Property(
            name=name,
            label=str(wish["label"]),
            type=str(wish["type"]),
            field_type=str(wish["fieldType"]),
            group=str(wish["groupName"]),
            description=str(wish.get("description") or ""),
            options=_options(wish.get("options") or ()),
            unique=bool(wish.get("hasUniqueValue")),
            standard=False,
            form_field=bool(wish.get("formField")),
            hidden=bool(wish.get("hidden")),
            display_order=int(wish.get("displayOrder", -1)),
            created=now,
            updated=now,
        )
        if prop.type == "bool" and not prop.options:
            prop.options = options((("true", "Yes"), ("false", "No")))
        self._portal.define(table, prop)
        return prop

    def _refuse_bad_definition(self, kind: ObjectType, name: str, wish: Mapping[str, Any]) -> None:
        bad = None
        if not NAME.fullmatch(name):
            bad = f"The name '{name}' is invalid: lowercase letters, digits and underscores, beginning with a letter"
        elif wish["type"] not in FIELD_TYPES:
            bad = f"type {wish['type']} is not one of {sorted(FIELD_TYPES)}"
        elif wish["fieldType"] not in FIELD_TYPES[wish["type"]]:
            bad = f"fieldType {wish['fieldType']} does not fit type {wish['type']}"
        elif wish["groupName"] not in kind.groups:
            bad = f"The property group {wish['groupName']} does not exist"
        elif wish["type"] == "enumeration" and not wish.get("options"):
            bad = "An enumeration needs options"
        elif wish.get("hasUniqueValue") and wish["type"] not in ("string", "number"):
            bad = "Only string and number properties can have unique values"
        elif wish.get("hasUniqueValue") and kind.name == "tasks" and not self._portal.unique_task_property:
            bad = "Properties with unique values are not supported for object type TASK"
        elif (
            wish.get("hasUniqueValue")
            and sum(not p.standard and p.unique for p in kind.properties.values()) >= UNIQUE_MAX
        ):
            bad = f"at most {UNIQUE_MAX} properties with unique values"
        if bad is not None:
            raise RefusalError(400, "VALIDATION_ERROR", bad)

    def _redefine(self, table: Table, prop: Property, wish: Mapping[str, Any]) -> dict[str, Any]:
        metadata = prop.as_json()["modificationMetadata"]
        if prop.type != wish.get("type", prop.type) or "hasUniqueValue" in wish:
            raise RefusalError(400, "VALIDATION_ERROR", f"type and uniqueness of {prop.name} cannot be changed")
        if wish.keys() - {"options"} and metadata["readOnlyDefinition"]:
            raise RefusalError(400, "VALIDATION_ERROR", f"the definition of {prop.name} is read only")
        if "options" in wish:
            if metadata["readOnlyOptions"]:
                raise RefusalError(400, "VALIDATION_ERROR", f"the options of {prop.name} are read only")
            prop.options = _options(wish["options"])  # the list is replaced, not added to
            if prop.name == "lifecyclestage":
                for stamp in (stamp for value in prop.values for stamp in stage_stamps(value)):
                    table.kind.properties.setdefault(stamp.name, stamp)
        prop.label = str(wish.get("label", prop.label))
        prop.description = str(wish.get("description", prop.description))
        prop.hidden = bool(wish.get("hidden", prop.hidden))
        prop.form_field = bool(wish.get("formField", prop.form_field))
        prop.updated = self._portal.now()
        return prop.as_json()

    def _undefine(self, table: Table, prop: Property) -> None:
        if prop.standard:
            raise RefusalError(400, "VALIDATION_ERROR", f"{prop.name} is HubSpot's own and cannot be archived")
        del table.kind.properties[prop.name]
        table.unique.pop(prop.name, None)
        for record in table.by_id.values():
            record.properties.pop(prop.name, None)
        table.changed()

    def _add_group(self, table: Table, wish: Mapping[str, Any]) -> Response:
        name, label = str(wish.get("name") or ""), str(wish.get("label") or "")
        if not NAME.fullmatch(name) or not label:
            raise RefusalError(400, "VALIDATION_ERROR", "A group needs a valid name and a label")
        if name in table.kind.groups:
            raise RefusalError(409, "CONFLICT", f"A property group named '{name}' already exists.")
        table.kind.groups[name] = group_json(name, label, int(wish.get("displayOrder", -1)))
        return Response(201, table.kind.groups[name])

    # -- parameters

    def _limit(self, request: Request, default: int, most: int) -> int:
        text = request.one("limit") or str(default)
        if not text.isdigit() or not 0 < int(text) <= most:
            raise RefusalError(400, "VALIDATION_ERROR", f"limit must be between 1 and {most}, got {text}")
        return int(text)

    def _cursor(self, after: str | None) -> int:
        if not after:
            return -1
        try:
            return int(base64.urlsafe_b64decode(after.encode()))
        except (ValueError, binascii.Error):
            raise RefusalError(400, "VALIDATION_ERROR", f"after {after!r} is no cursor of this listing") from None


# -- small pieces of HubSpot's bodies


_FAMILIES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("crm", "v3", "objects"): ("objects",),
    ("crm", "v4", "objects"): ("objects",),
    ("crm", "objects", "2026-03"): ("objects",),
    ("crm", "v4", "associations"): ("associations",),
    ("crm", "associations", "2026-03"): ("associations",),
    ("crm", "v3", "owners"): ("owners",),
    ("crm", "owners", "2026-03"): ("owners",),
    ("crm", "v3", "properties"): ("properties",),
    ("crm", "properties", "2026-03"): ("properties",),
    ("account-info", "v3"): ("account",),
    ("account-info", "2026-03"): ("account",),
    ("marketing", "v3", "forms"): ("forms",),
    ("marketing", "forms", "2026-09-beta"): ("forms",),
    ("form-integrations", "v1", "submissions", "forms"): ("submissions",),
    ("events", "v3", "events"): ("events",),
    ("events", "event-occurrences", "2026-03"): ("events",),
    ("oauth", "v1", "token"): ("oauth",),
    ("oauth", "v3", "token"): ("oauth",),
    ("oauth", "2026-03", "token"): ("oauth",),
}


def _family(segments: tuple[str, ...]) -> tuple[str, ...]:
    """The path without its version: ("objects", "contacts", "batch", "read"); () for what does not exist."""
    for length in (4, 3, 2):
        family = _FAMILIES.get(segments[:length])
        if family is not None:
            return family + segments[length:]
    return ()


def _writes(method: str, rest: tuple[str, ...]) -> bool:
    return method != "GET" and rest not in (("search",), ("batch", "read"))


def _wanted(kind: ObjectType, names: Iterable[str]) -> tuple[str, ...]:
    """The properties to show: those asked for that exist and what always comes; without any the default ones."""
    asked = tuple(names)
    if not asked:
        return kind.shown
    always = (kind.created, kind.modified, "hs_object_id")
    return tuple(dict.fromkeys((*(name for name in asked if name in kind.properties), *always)))


def _rendered(
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


def _names(values: list[str] | None) -> list[str]:
    """Repeated or comma-separated names."""
    return [name for value in values or () for name in value.split(",") if name]


def _flag(request: Request, name: str) -> bool:
    return (request.one(name) or "").lower() == "true"


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _forget(window: deque[int], before: int) -> None:
    while window and window[0] <= before:
        window.popleft()


def _all_traced(inputs: list[dict[str, Any]]) -> bool:
    traces = [one.get("objectWriteTraceId") for one in inputs]
    return None not in traces and len(set(traces)) == len(traces)


def _rate_limited(policy: str, retry_after: int | None) -> RefusalError:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    message = f"You have reached your {policy.lower()} limit."
    return RefusalError(429, "RATE_LIMITS", message, errorType="RATE_LIMIT", policyName=policy, headers=headers)


def _expired(since: str) -> RefusalError:
    return RefusalError(401, "EXPIRED_AUTHENTICATION", f"The OAuth token used to make this call expired at {since}.")


def _not_found(id_: str) -> RefusalError:
    return RefusalError(404, "OBJECT_NOT_FOUND", f"Object not found. objectId {id_} is not known.")


def _error_entry(
    category: str, message: str, context: Mapping[str, list[str]], trace: str | None = None
) -> dict[str, Any]:
    whole = dict(context) | ({"objectWriteTraceId": [trace]} if trace is not None else {})
    return {"status": "error", "category": category, "message": message, "context": whole}


def _broken(ids: list[str] | None = None, trace: str | None = None) -> dict[str, Any]:
    """What a scripted partial failure says of one input."""
    return _error_entry("INTERNAL_ERROR", "There was a problem with this input.", {"ids": ids} if ids else {}, trace)


def _invalid_message(problems: list[Problem]) -> str:
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


def _inner(problems: list[Problem]) -> list[dict[str, Any]]:
    return [
        {"message": problem.message, "code": problem.code, "context": {"propertyName": [problem.name]}}
        for problem in problems
    ]


def _options(wish: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    chosen = []
    for place, option in enumerate(wish):
        if not option.get("label") or option.get("value") in (None, ""):
            raise RefusalError(400, "VALIDATION_ERROR", "each option needs a label and a value")
        chosen.append(
            {
                "label": str(option["label"]),
                "value": str(option["value"]),
                "displayOrder": int(option.get("displayOrder", place)),
                "hidden": bool(option.get("hidden", False)),
            }
        )
    if len({option["value"] for option in chosen}) < len(chosen):
        raise RefusalError(400, "VALIDATION_ERROR", "option values must be different")
    return chosen


def _owner_json(owner: Owner) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": owner.id,
        "email": owner.email,
        "type": owner.type,
        "firstName": owner.first,
        "lastName": owner.last,
        "userIdIncludingInactive": owner.user_id,
        "createdAt": owner.created,
        "updatedAt": owner.updated,
        "archived": not owner.active,
    }
    if owner.active:
        shown["userId"] = owner.user_id
    return shown
