"""The Salesforce half of the sandbox: an org as its REST API shows it (API 31.0 to 68.0).

Served: OAuth token and SOAP login, version list, describe, SOQL with paging, single rows, upsert by external id,
sObject collections, composite, limits, deleted/updated, custom fields over the Tooling API, Bulk API 2.0. The rules of
the records live in ``salesforce_records``; this module only speaks HTTP.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

from connectors.sandbox.clock import Clock, millis_of
from connectors.sandbox.faults import FaultKind
from connectors.sandbox.journal import Journal
from connectors.sandbox.salesforce_bulk import Bulk
from connectors.sandbox.salesforce_ids import key_prefix, long_id
from connectors.sandbox.salesforce_login import Logins
from connectors.sandbox.salesforce_query import Found, run
from connectors.sandbox.salesforce_records import Records
from connectors.sandbox.salesforce_schema import Field, ObjectType, describe_field
from connectors.sandbox.salesforce_store import Row
from connectors.sandbox.salesforce_values import Refused, Unreadable, accept, json_object
from connectors.sandbox.server import HTML, Headers, Request, Response
from connectors.sandbox.soql import SoqlError, stamp

__all__ = ["SalesforceOrg"]

OLDEST_VERSION, OLDEST_SERVED, NEWEST_VERSION = 21, 31, 68
LONGEST_URI = 16_384
MOST_RECORDS, MOST_CHUNKS, MOST_SUBREQUESTS, MOST_COSTLY_SUBREQUESTS, MOST_RETRIEVED = 200, 10, 25, 5, 2_000
CURSOR_LIFE = timedelta(days=2)
_COSTLY = re.compile(r"/v\d+\.0/(?:query|queryAll|composite/sobjects)(?:/|\?|$)")
_REFERENCE = re.compile(r"@\{([A-Za-z0-9_]+)((?:\.[A-Za-z0-9_]+|\[\d+\])*)\}")
_FILE_LIKE = re.compile(r"\.[A-Za-z]{2,4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cursor:
    found: Found
    opened: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One authenticated call: its version root, and what its headers ask for."""

    request: Request
    root: str
    version: int
    rest: tuple[str, ...]

    @property
    def auto_assign(self) -> bool:
        """Assignment rules run unless the header says FALSE: that is REST's default for creates and updates."""
        return str(self.request.headers.get("sforce-auto-assign", "TRUE")).strip().upper() != "FALSE"

    def body(self) -> dict[str, Any]:
        return json_object(self.request)


class _RolledBackError(Exception):
    """One record of an all-or-none request failed: leave the transaction, keep the results."""


class SalesforceOrg(Records):
    """One org. The attributes below the credentials are switches a test or a seed may set at any time.

    page_size             rows a query page holds (the real one: 2000)
    daily_limit           API calls in 24 hours; the next one answers 403 REQUEST_LIMIT_EXCEEDED
    single_session        a login ends the session before
    instance_url          what a login names as the instance; None: the address the client came to
    session_lifetime      idle time after which a session ends; None: never
    rotate_refresh_token  a refresh ends the refresh token it was made with
    secret_for_refresh    the app's secret is needed for a refresh
    most_at_once          calls under way beyond which one is refused; None: any (the real limit counts calls of 20 s)
    """

    def __init__(self, clock: Clock, journal: Journal) -> None:
        super().__init__(clock, journal)
        self.consumer_key = "sandbox-key"
        self.consumer_secret = "sandbox-secret"  # noqa: S105 - the sandbox keeps no secret
        self.password = "sandbox-password"  # noqa: S105 - the sandbox keeps no secret
        self.security_token = "sandbox-token"  # noqa: S105 - the sandbox keeps no secret
        self.refresh_token = "sandbox-refresh"  # noqa: S105 - the sandbox keeps no secret
        self.page_size = 2_000
        self.daily_limit = 100_000
        self.single_session = False
        self.instance_url: str | None = None
        self.session_lifetime: timedelta | None = None
        self.rotate_refresh_token = False
        self.secret_for_refresh = True
        self.most_at_once: int | None = None
        self.revoked = False
        self._sessions: dict[str, datetime] = {}
        self._sessions_given = 0
        self._cursors: dict[str, _Cursor] = {}
        self._calls_by_hour: Counter[int] = Counter()
        self.bulk = Bulk(self)
        self._logins = Logins(self)

    # -- sessions

    def session_id(self) -> str:
        """A ready session of the integration user."""
        with self.lock_of_org:
            if self.single_session:
                self._sessions.clear()
            self._sessions_given += 1
            secret = hashlib.sha256(f"{self.org_id}{self._sessions_given}".encode()).hexdigest()
            token = f"{self.org_id[:15]}!AQ4AQ{secret}"
            self._sessions[token] = self.now()
            return token

    def expire_sessions(self) -> None:
        """Every session given out so far answers 401 from now on."""
        with self.lock_of_org:
            self._sessions.clear()

    def revoke(self) -> None:
        """An admin blocks the app and freezes the user: sessions end, and no way to sign in works until `grant`."""
        with self.lock_of_org:
            self._sessions.clear()
            self.revoked = True

    def grant(self) -> None:
        """The admin takes that back."""
        with self.lock_of_org:
            self.revoked = False

    @property
    def api_calls(self) -> int:
        """Calls that counted in the last 24 hours of the sandbox clock."""
        hour = self._hour()
        return sum(count for at, count in self._calls_by_hour.items() if hour - 24 < at <= hour)

    def _hour(self) -> int:
        return millis_of(self.now()) // 3_600_000

    # -- the door

    def answer(self, request: Request) -> Response:
        """One call, whole: nothing else of this org happens meanwhile."""
        with self.lock_of_org:
            self.settle()
            return self._answer(request)

    def _answer(self, request: Request) -> Response:
        too_long = _oversize(request)
        if too_long is not None:
            return too_long
        match request.segments:
            case ("services", "oauth2", "token") if request.method == "POST":
                return self._logins.token(request)
            case ("services", "Soap", "u", version, *_):
                return self._logins.soap_login(request, version)
            case ("services", "data"):
                return Response(body=_versions())
            case ("services", "data", version, *rest):
                return self._versioned(request, version, tuple(rest))
            case _:
                return _error(404, "NOT_FOUND", "The requested resource does not exist")

    def _versioned(self, request: Request, version: str, rest: tuple[str, ...]) -> Response:
        number = re.fullmatch(r"v(\d+)\.0", version)
        if number is None or not OLDEST_VERSION <= int(number.group(1)) <= NEWEST_VERSION:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        if int(number.group(1)) < OLDEST_SERVED:
            return _error(410, "UNSUPPORTED_API_VERSION", f"API version {version} is retired")
        fault = request.fault
        token = str(request.headers.get("authorization", "")).partition(" ")[2].strip()
        if fault is not None and fault.kind is FaultKind.EXPIRED_TOKEN:
            self._sessions.pop(token, None)
        if fault is not None and fault.kind is FaultKind.REVOKED_TOKEN:
            self.revoke()
        if not self._session_holds(token):
            return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")
        call = _Call(request=request, root=f"/services/data/{version}", version=int(number.group(1)), rest=rest)
        response = self._within_limits(call)
        if fault is not None and fault.kind is FaultKind.REPEATED_PAGE:
            _repeat(request, response)
        response.headers["Sforce-Limit-Info"] = f"api-usage={self.api_calls}/{self.daily_limit}"
        return response

    def _session_holds(self, token: str) -> bool:
        used = self._sessions.get(token)
        if used is None or (self.session_lifetime is not None and self.now() - used > self.session_lifetime):
            return False
        self._sessions[token] = self.now()
        return True

    def _within_limits(self, call: _Call) -> Response:
        fault = call.request.fault
        limited = fault is not None and fault.kind is FaultKind.RATE_LIMITED
        if fault is not None and limited and fault.status == 503:
            response = _error(503, "SERVER_UNAVAILABLE", "The server is temporarily unable to answer. Try again later.")
        elif (limited and fault is not None and fault.policy == "CONCURRENT") or (
            self.most_at_once is not None and call.request.at_once > self.most_at_once
        ):
            response = _error(
                403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
            )
        elif limited or self.api_calls >= self.daily_limit:
            response = _error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        else:
            self._calls_by_hour[self._hour()] += 1
            return self._routed(call)
        if fault is not None and fault.retry_after is not None:
            response.headers["Retry-After"] = str(fault.retry_after)
        return response

    def _routed(self, call: _Call) -> Response:
        try:
            return self._route(call)
        except Refused as refused:
            return _error(refused.http, refused.code, refused.message, refused.fields)
        except SoqlError as wrong:
            return _error(400, wrong.code, wrong.message)

    def _route(self, call: _Call) -> Response:
        method, rest = call.request.method, call.rest
        match (method, *rest):
            case ("GET",):
                return Response(body=self._root(call))
            case ("GET", "query" | "queryAll" as resource):
                return self._query(call, include_deleted=resource == "queryAll")
            case ("GET", "query" | "queryAll", locator):
                return self._more(call, locator)
            case ("GET", "limits"):
                return Response(body=self._limits())
            case ("GET", "sobjects"):
                return self._describe_global(call)
            case ("POST", "composite"):
                return self._composite(call)
            case (_, "composite", "sobjects", *target):
                return self._collections(call, tuple(target))
            case (_, "sobjects", name, *target):
                return self._sobject(call, self._served(name), tuple(target))
            case (_, "tooling", *target):
                return self._tooling(call, tuple(target))
            case (_, "jobs", kind, *target):
                return self.bulk.answer(call.request, call.root, call.version, kind, tuple(target))
            case _:
                return _error(404, "NOT_FOUND", "The requested resource does not exist")

    # -- what there is

    def _root(self, call: _Call) -> Row:
        names = ("query", "queryAll", "sobjects", "limits", "composite", "tooling", "jobs")
        identity = f"https://login.salesforce.com/id/{self.org_id}/{self.user_id}"
        return {name: f"{call.root}/{name}" for name in names} | {"identity": identity}

    def _limits(self) -> Row:
        left = max(self.daily_limit - self.api_calls, 0)
        return {
            "DailyApiRequests": {"Max": self.daily_limit, "Remaining": left},
            "DailyAsyncApexExecutions": {"Max": 250_000, "Remaining": 250_000},
            "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
            "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000 - self.bulk.query_jobs},
            "DataStorageMB": {"Max": 10_240, "Remaining": 10_000},
            "FileStorageMB": {"Max": 10_240, "Remaining": 10_240},
            "HourlyTimeBasedWorkflow": {"Max": 1_000, "Remaining": 1_000},
            "SingleEmail": {"Max": 5_000, "Remaining": 5_000},
        }

    def _served(self, name: str) -> ObjectType:
        kind = self.kind(name)
        if kind is None or kind.tooling:
            raise Refused("NOT_FOUND", "The requested resource does not exist", http=404)
        return kind

    def _unchanged_since(self, call: _Call, changed: str) -> bool:
        since = call.request.headers.get("if-modified-since")
        # in the second of the change nobody can tell whether it came before or after
        return since is not None and _http_date(since) >= changed and self.second() > changed

    def _describe_global(self, call: _Call) -> Response:
        if self._unchanged_since(call, self.schema_changed_at):
            return Response(304)
        objects = [_summary(kind, call.root) for kind in self.kinds() if not kind.tooling]
        return Response(body={"encoding": "UTF-8", "maxBatchSize": MOST_RECORDS, "sobjects": objects})

    def _describe(self, call: _Call, kind: ObjectType) -> Response:
        if self._unchanged_since(call, self.schema_changed_at):
            return Response(304)
        fields = []
        for one in kind.fields.values():
            readable, editable = self.access(kind, one)
            if readable:
                fields.append(describe_field(one, editable=editable))
        children = [
            {"childSObject": child.name, "field": one.name, "cascadeDelete": False, "relationshipName": child.plural}
            for child in self.kinds()
            for one in child.fields.values()
            if kind.name in one.references and not child.tooling
        ]
        master = {"active": True, "available": True, "defaultRecordTypeMapping": True, "master": True, "name": "Master"}
        master["developerName"] = "Master"
        master["recordTypeId"] = "012000000000000AAA"
        whole = _summary(kind, call.root) | {
            "fields": fields,
            "childRelationships": children,
            "recordTypeInfos": [master],
        }
        return Response(body=whole, headers={"Last-Modified": _as_http_date(self.schema_changed_at)})

    # -- SOQL

    def _query(self, call: _Call, *, include_deleted: bool, tooling: bool = False) -> Response:
        text = call.request.one("q")
        if text is None:
            raise Refused("MALFORMED_QUERY", "SOQL query is missing: parameter q")
        found = run(text, self, root=call.root, include_deleted=include_deleted, tooling=tooling)
        return self._page(call, found, 0, None)

    def _more(self, call: _Call, locator: str) -> Response:
        cursor_id, _, offset = locator.rpartition("-")
        cursor = self._cursors.get(cursor_id)
        if cursor is None or not offset.isdigit() or self.now() - cursor.opened > CURSOR_LIFE:
            raise Refused("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(call, cursor.found, int(offset), cursor_id)

    def _page(self, call: _Call, found: Found, offset: int, cursor_id: str | None) -> Response:
        size = self._page_rows(call)
        rows = found.rows[offset : offset + size]
        done = offset + size >= len(found.rows)
        body: Row = {"totalSize": found.total, "done": done}
        if not done:
            if cursor_id is None:
                cursor_id = self._mint.next("01g")
                self._cursors[cursor_id] = _Cursor(found=found, opened=self.now())
            body["nextRecordsUrl"] = f"{call.root}/query/{cursor_id}-{offset + size}"
        body["records"] = [found.render(row) for row in rows]
        return Response(body=body)

    def _page_rows(self, call: _Call) -> int:
        asked = re.search(r"batchSize\s*=\s*(\d+)", str(call.request.headers.get("sforce-query-options", "")))
        return min(max(int(asked.group(1)), 200), 2_000, self.page_size) if asked else self.page_size

    # -- one object, one row

    def _sobject(self, call: _Call, kind: ObjectType, target: tuple[str, ...]) -> Response:
        match (call.request.method, *target):
            case ("GET",):
                return Response(body={"objectDescribe": _summary(kind, call.root), "recentItems": []})
            case ("POST",):
                record_id = self.create(kind, call.body(), auto_assign=call.auto_assign)
                location = {"Location": f"{call.root}/sobjects/{kind.name}/{record_id}"}
                return Response(201, {"id": record_id, "success": True, "errors": []}, location)
            case ("GET", "describe"):
                return self._describe(call, kind)
            case ("GET", "updated"):
                return self._updated(call, kind)
            case ("GET", "deleted"):
                return self._deleted(call, kind)
            case (_, record_id):
                return self._row(call, kind, record_id)
            case (_, external, value):
                return self._by_external_id(call, kind, external, value)
            case _:
                return _error(404, "NOT_FOUND", "The requested resource does not exist")

    def _row(self, call: _Call, kind: ObjectType, record_id: str) -> Response:
        whole = long_id(record_id)
        if whole is None or key_prefix(whole) != kind.prefix:
            message = f"Provided external ID field does not exist or is not accessible: {record_id}"
            return _error(404, "NOT_FOUND", message)
        method = call.request.method
        row = self.seen(whole) if method == "GET" else self.newest(whole)
        if row is None:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        if row.get("IsDeleted"):
            return _error(404, "ENTITY_IS_DELETED", "entity is deleted")
        match method:
            case "GET":
                if self._unchanged_since(call, row["SystemModstamp"]):
                    return Response(304)
                fields = [name for name in (call.request.one("fields") or "").split(",") if name]
                return Response(body=self._shown(call, kind, row, fields))
            case "PATCH":
                since = call.request.headers.get("if-unmodified-since")
                if since is not None and row.get("LastModifiedDate", "") > _http_date(since):
                    return _error(412, "PRECONDITION_FAILED", "The record was changed since")
                body = call.body()
                if "id" in {name.lower() for name in body}:
                    raise Refused("INVALID_FIELD", "The Id field should not be specified in the sobject data.")
                self.update(kind, whole, body, auto_assign=call.auto_assign)
                return Response(204)
            case "DELETE":
                self.erase(kind, whole)
                return Response(204)
            case _:
                return _error(
                    405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are HEAD,GET,PATCH,DELETE"
                )

    def _shown(self, call: _Call, kind: ObjectType, row: Row, names: list[str]) -> Row:
        fields: list[Field] = []
        for name in names or kind.fields:
            one = self.readable(kind, name)
            if one is not None:
                fields.append(one)
            elif names:
                raise Refused("INVALID_FIELD", f"No such column '{name}' on entity '{kind.name}'")
        head = {"attributes": {"type": kind.name, "url": f"{call.root}/sobjects/{kind.name}/{row['Id']}"}}
        values = {one.name: row.get(one.name, False if one.type == "boolean" else None) for one in fields}
        return head | values | {"Id": row["Id"]}

    def _external(self, kind: ObjectType, name: str) -> Field:
        one = self.readable(kind, name)
        if one is None or not (one.external_id or one.id_lookup):
            message = f"Provided external ID field does not exist or is not accessible: {name}"
            raise Refused("NOT_FOUND", message, http=404)
        return one

    def _matches(self, kind: ObjectType, one: Field, value: Any) -> list[Row]:
        rows = self.table(kind.name).live(one.name, value)
        return [row for row in rows if not one.case_sensitive or row[one.name] == value]

    def _by_external_id(self, call: _Call, kind: ObjectType, name: str, text: str) -> Response:
        one = self._external(kind, name)
        method = call.request.method
        if _FILE_LIKE.search(text[-5:]):
            # the real servers take such a path for a file's
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        value = accept(one, text)
        matches = self._matches(kind, one, value)
        if len(matches) > 1:
            return Response(300, [f"{call.root}/sobjects/{kind.name}/{row['Id']}" for row in matches])
        if method in {"GET", "DELETE"} or (method == "PATCH" and call.request.one("updateOnly") == "true"):
            if not matches:
                return _error(404, "NOT_FOUND", "The requested resource does not exist")
            if method != "PATCH":
                return self._row(call, kind, matches[0]["Id"])
        if method != "PATCH":
            return _error(
                405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are HEAD,GET,PATCH,DELETE"
            )
        body = call.body()
        if one.name.lower() in {key.lower() for key in body}:
            raise Refused("INVALID_FIELD", f"The {one.name} field should not be specified in the sobject data.")
        if matches:
            self.update(kind, matches[0]["Id"], body, auto_assign=call.auto_assign)
            done = {"id": matches[0]["Id"], "success": True, "errors": [], "created": False}
            return Response(200, done) if call.version >= 46 else Response(204)
        record_id = self.create(kind, body | {one.name: value}, auto_assign=call.auto_assign)
        return Response(201, {"id": record_id, "success": True, "errors": [], "created": True})

    # -- changes of a time window

    def _window(self, call: _Call, days: int) -> tuple[str, str]:
        try:
            start, end = (datetime.fromisoformat(str(call.request.one(name))) for name in ("start", "end"))
            start, end = start.astimezone(UTC), end.astimezone(UTC)
        except ValueError as wrong:
            raise Refused("INVALID_REPLICATION_DATE", f"start and end must be dates with a zone: {wrong}") from wrong
        if end - start <= timedelta(minutes=1):
            raise Refused("INVALID_REPLICATION_DATE", "startDate must be more than one minute before endDate")
        if start < self.now() - timedelta(days=days):
            raise Refused("INVALID_REPLICATION_DATE", f"startDate before org's replication retention of {days} days")
        return stamp(start), stamp(end)

    def _updated(self, call: _Call, kind: ObjectType) -> Response:
        start, end = self._window(call, 30)
        rows = self.table(kind.name).between(start, end)
        return Response(body={"ids": [row["Id"] for row in rows if not row.get("IsDeleted")], "latestDateCovered": end})

    def _deleted(self, call: _Call, kind: ObjectType) -> Response:
        start, end = self._window(call, 15)
        rows = self.table(kind.name).between(start, end)
        deleted = [{"id": row["Id"], "deletedDate": row["SystemModstamp"]} for row in rows if row.get("IsDeleted")]
        earliest = stamp(self.now() - timedelta(days=15))
        return Response(body={"deletedRecords": deleted, "earliestDateAvailable": earliest, "latestDateCovered": end})

    # -- sObject collections

    def _collections(self, call: _Call, target: tuple[str, ...]) -> Response:
        match (call.request.method, *target):
            case ("POST",):
                return self._each(call, call.body(), self._create_one)
            case ("PATCH",):
                return self._each(call, call.body(), self._update_one)
            case ("DELETE",):
                ids = [one for one in (call.request.one("ids") or "").split(",") if one]
                wish = {"allOrNone": call.request.one("allOrNone") == "true", "records": [{"id": one} for one in ids]}
                return self._each(call, wish, self._delete_one)
            case ("GET", name):
                ids, fields = ((call.request.one(key) or "").split(",") for key in ("ids", "fields"))
                return self._retrieve(call, self._served(name), ids, fields)
            case ("POST", name):
                body = call.body()
                return self._retrieve(call, self._served(name), body.get("ids", []), body.get("fields", []))
            case ("PATCH", name, external):
                kind = self._served(name)
                one = self._external(kind, external)
                return self._each(
                    call, call.body(), lambda c, record, seen: self._upsert_one(c, record, seen, kind, one)
                )
            case _:
                return _error(405, "METHOD_NOT_ALLOWED", "This resource does not allow the method")

    def _retrieve(self, call: _Call, kind: ObjectType, ids: list[str], fields: list[str]) -> Response:
        if len(ids) > MOST_RETRIEVED:
            raise Refused("EXCEEDED_ID_LIMIT", f"cannot retrieve more than {MOST_RETRIEVED} records in one call")
        if not [name for name in fields if name]:
            raise Refused("REQUIRED_FIELD_MISSING", "fields are missing")
        records: list[Row | None] = []
        for record_id in ids:
            whole = long_id(record_id)
            if whole is None:
                raise Refused("MALFORMED_ID", f"{kind.label} ID: id value of incorrect type: {record_id}")
            row = self.table(kind.name).rows.get(whole)
            records.append(None if row is None or row.get("IsDeleted") else self._shown(call, kind, row, fields))
        return Response(body=records)

    def _each(self, call: _Call, wish: Row, write: Callable[[_Call, Row, set[str]], Row]) -> Response:
        """Apply one write to every record, in order; one result each, at the same place."""
        records = wish.get("records")
        if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
            raise Refused("JSON_PARSER_ERROR", "records must be a list of objects")
        self._check_size(records)
        whole = wish.get("allOrNone") is True
        results: list[Row] = []
        seen: set[str] = set()
        try:
            with self.transaction():
                for index, record in enumerate(records):
                    results.append(self._result(call, record, index, seen, write))
                if whole and not all(one["success"] for one in results):
                    raise _RolledBackError
        except _RolledBackError:
            back = _failed("ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid")
            results = [back if one["success"] else one for one in results]
        return Response(body=results)

    def _result(
        self, call: _Call, record: Row, index: int, seen: set[str], write: Callable[[_Call, Row, set[str]], Row]
    ) -> Row:
        fault = call.request.fault
        if fault is not None and fault.fails(index):
            return _scripted_failure(index // fault.every)
        try:
            with self.transaction():
                return write(call, record, seen)
        except Unreadable:
            raise  # not this record but the request is refused, as a whole
        except Refused as refused:
            return _failed(refused.code, refused.message, refused.fields)

    def _check_size(self, records: list[Row]) -> None:
        if len(records) > MOST_RECORDS:
            message = f"record limit reached. cannot submit more than {MOST_RECORDS} records into this call"
            raise Refused("EXCEEDED_ID_LIMIT", message)
        types = [
            str((one.get("attributes") or {}).get("type") or key_prefix(str(one.get("id", "")))) for one in records
        ]
        chunks = sum(1 for i, one in enumerate(types) if i == 0 or one != types[i - 1])
        if chunks > MOST_CHUNKS:
            message = f"Cannot have more than {MOST_CHUNKS} chunks in a single operation."
            raise Refused("LIMIT_EXCEEDED", f"{message} Please rearrange the data to reduce chunking.")
        kinds = {kind.setup for one in types if (kind := self.kind(one) or self.kind_of(one)) is not None}
        if len(kinds) > 1:
            raise Refused(
                "MIXED_DML_OPERATION", "DML operation on setup object is not permitted together with a non-setup object"
            )

    def _typed(self, record: Row) -> ObjectType:
        attributes = record.get("attributes")
        name = attributes.get("type") if isinstance(attributes, dict) else None
        if not isinstance(name, str):
            raise Unreadable("sobject", record)  # a record without attributes.type makes the whole request unreadable
        kind = self.kind(name)
        if kind is None or kind.tooling:
            raise Refused("INVALID_TYPE", f"sObject type '{name}' is not supported.")
        return kind

    def _create_one(self, call: _Call, record: Row, seen: set[str]) -> Row:
        kind = self._typed(record)
        if any(name.lower() == "id" for name in record):
            raise Refused("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", "Id")
        record_id = self.create(kind, record, auto_assign=call.auto_assign)
        return {"id": record_id, "success": True, "errors": []}

    def _update_one(self, call: _Call, record: Row, seen: set[str]) -> Row:
        kind = self._typed(record)
        given = next((value for name, value in record.items() if name.lower() == "id"), None)
        if given is None:
            raise Refused("MISSING_ARGUMENT", "Id not specified in an update call", "Id")
        record_id = _once(long_id(given) or str(given), seen, "Duplicate id specified")
        body = {name: value for name, value in record.items() if name.lower() != "id"}
        self.update(kind, record_id, body, auto_assign=call.auto_assign)
        return {"id": record_id, "success": True, "errors": []}

    def _upsert_one(self, call: _Call, record: Row, seen: set[str], kind: ObjectType, one: Field) -> Row:
        if self._typed(record) is not kind:
            raise Refused("INVALID_TYPE", f"all records must be of type {kind.name}")
        if one.type != "id" and any(name.lower() == "id" for name in record):
            raise Refused("INVALID_FIELD", "The Id field should not be specified in the sobject data.")
        value = accept(one, next((v for name, v in record.items() if name.lower() == one.name.lower()), None))
        if value is None:
            raise Refused("MISSING_ARGUMENT", f"{one.name} not specified", one.name)
        _once(str(value).casefold(), seen, "Duplicate external id specified")
        matches = self._matches(kind, one, value)
        if len(matches) > 1:
            raise Refused("DUPLICATE_EXTERNAL_ID", f"{one.name}: more than one record found for external id", one.name)
        if not matches:
            record_id = self.create(kind, record, auto_assign=call.auto_assign)
            return {"id": record_id, "success": True, "errors": [], "created": True}
        body = {name: given for name, given in record.items() if name.lower() != one.name.lower()}
        self.update(kind, matches[0]["Id"], body, auto_assign=call.auto_assign)
        return {"id": matches[0]["Id"], "success": True, "errors": [], "created": False}

    def _delete_one(self, call: _Call, record: Row, seen: set[str]) -> Row:
        whole = long_id(record["id"])
        kind = self.kind_of(whole) if whole else None
        if whole is None or kind is None:
            raise Refused("MALFORMED_ID", f"malformed id {record['id']}", "Id")
        self.erase(kind, _once(whole, seen, "Duplicate id specified"))
        return {"id": whole, "success": True, "errors": []}

    # -- composite

    def _composite(self, call: _Call) -> Response:
        body = call.body()
        wishes = body.get("compositeRequest")
        if not isinstance(wishes, list) or not wishes or not all(isinstance(one, dict) for one in wishes):
            raise Refused("JSON_PARSER_ERROR", "compositeRequest must be a list of subrequests")
        if len(wishes) > MOST_SUBREQUESTS:
            raise Refused("LIMIT_EXCEEDED", f"A composite request may hold {MOST_SUBREQUESTS} subrequests")
        if sum(bool(_COSTLY.search(str(one.get("url")))) for one in wishes) > MOST_COSTLY_SUBREQUESTS:
            raise Refused(
                "LIMIT_EXCEEDED", f"A composite request may hold {MOST_COSTLY_SUBREQUESTS} queries and collections"
            )
        answers: list[Row] = []
        bodies: dict[str, Any] = {}
        if body.get("allOrNone") is not True:
            for index, wish in enumerate(wishes):
                answers.append(self._subrequest(call, wish, index, bodies))
            return Response(body={"compositeResponse": answers})
        try:
            with self.transaction():
                for index, wish in enumerate(wishes):
                    answers.append(self._subrequest(call, wish, index, bodies))
                    if answers[-1]["httpStatusCode"] >= 400:
                        raise _RolledBackError
        except _RolledBackError:
            halted = [
                {
                    "errorCode": "PROCESSING_HALTED",
                    "message": "The transaction was rolled back since another operation failed.",
                }
            ]
            culprit = answers[-1]
            answers = [
                culprit if i == len(answers) - 1 else _subanswer(wish, 400, halted) for i, wish in enumerate(wishes)
            ]
        return Response(body={"compositeResponse": answers})

    def _subrequest(self, call: _Call, wish: Row, index: int, bodies: dict[str, Any]) -> Row:
        fault, method = call.request.fault, str(wish.get("method", "GET"))
        if fault is not None and fault.fails(index) and method != "GET":
            failure = _scripted_failure(index // fault.every)["errors"][0]
            return _subanswer(
                wish, 400, [{"errorCode": failure["statusCode"], "message": failure["message"], "fields": []}]
            )
        try:
            url = str(_resolved(wish.get("url", ""), bodies))
            content = _resolved(wish.get("body"), bodies)
        except KeyError as missing:
            message = f"Invalid reference specified. No value for {missing.args[0]} found in earlier answers"
            return _subanswer(wish, 400, [{"errorCode": "PROCESSING_HALTED", "message": message}])
        path, _, query = url.partition("?")
        sent = b"" if content is None else json.dumps(content).encode()
        own = {str(name).lower(): str(value) for name, value in (wish.get("httpHeaders") or {}).items()}
        headers = Headers(dict(call.request.headers) | own)
        inner = Request(method, path, parse_qs(query, keep_blank_values=True), headers, sent)
        match inner.segments:
            case ("services", "data", _, *rest):
                part = replace(call, request=inner, rest=tuple(rest))
                answer = self._routed(part)
            case _:
                answer = _error(404, "NOT_FOUND", "The requested resource does not exist")
        bodies[str(wish.get("referenceId"))] = answer.body
        return _subanswer(wish, answer.status, answer.body, answer.headers)

    # -- custom fields

    def _tooling(self, call: _Call, target: tuple[str, ...]) -> Response:
        match (call.request.method, *target):
            case ("GET", "query"):
                return self._query(call, include_deleted=False, tooling=True)
            case ("GET", "query", locator):
                return self._more(call, locator)
            case ("POST", "sobjects", "CustomField"):
                self._may_customize()
                field_id = self.add_field(*_field_wish(call.body()))
                done = {"id": field_id, "success": True, "errors": [], "warnings": [], "infos": []}
                return Response(201, done)
            case (method, "sobjects", "CustomField", field_id):
                whole = long_id(field_id)
                row = self.newest(whole) if whole else None
                if row is None or whole is None:
                    return _error(404, "NOT_FOUND", "The requested resource does not exist")
                return self._custom_field(call, method, row)
            case _:
                return _error(404, "NOT_FOUND", "The requested resource does not exist")

    def _custom_field(self, call: _Call, method: str, row: Row) -> Response:
        kind = self._kinds["CustomField"]
        if method == "GET":
            return Response(body=self._shown(call, kind, row, []))
        self._may_customize()
        if method == "PATCH":
            metadata = call.body().get("Metadata")
            self.change_field(row["Id"], metadata if isinstance(metadata, dict) else {})
        else:
            self.drop_field(row["Id"])
        return Response(204)

    def _may_customize(self) -> None:
        if not self.customize_application:
            raise Refused("INSUFFICIENT_ACCESS", "insufficient access rights on object id", http=403)


# -- pieces without an org


def _repeat(request: Request, response: Response) -> None:
    """The page of a query names itself as its successor, where it has one and is not the first."""
    body = response.body
    if isinstance(body, dict) and "nextRecordsUrl" in body and re.search(r"/query(?:All)?/[^/]+$", request.path):
        body["nextRecordsUrl"] = request.path


def _error(status: int, code: str, message: str, fields: tuple[str, ...] = ()) -> Response:
    error: Row = {"message": message, "errorCode": code}
    if fields:
        error["fields"] = list(fields)
    return Response(status, [error])


def _failed(code: str, message: str, fields: tuple[str, ...] = ()) -> Row:
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": list(fields)}]}


def _scripted_failure(nth: int) -> Row:
    """What a partial batch answers for a record: a lock that was not free, or the server's own trouble, in turns."""
    if nth % 2 == 0:
        return _failed("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
    return _failed(
        "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support: 1-1 (1)"
    )


def _once(key: str, seen: set[str], complaint: str) -> str:
    if key in seen:
        raise Refused("DUPLICATE_VALUE", f"{complaint}: {key}")
    seen.add(key)
    return key


def _oversize(request: Request) -> Response | None:
    uri = len(request.path) + (len(urlencode(request.query, doseq=True)) + 1 if request.query else 0)
    if uri > LONGEST_URI:
        return Response(414, "<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", content_type=HTML)
    if uri + sum(len(name) + len(value) + 4 for name, value in request.headers.items()) > LONGEST_URI:
        return Response(
            431, "<h1>Bad Message 431</h1><pre>reason: Request Header Fields Too Large</pre>", content_type=HTML
        )
    return None


def _versions() -> list[Any]:
    # three releases a year; 59.0 was Winter '24
    return [
        {
            "label": f"{('Winter', 'Spring', 'Summer')[(v - 59) % 3]} '{24 + (v - 59) // 3}",
            "url": f"/services/data/v{v}.0",
            "version": f"{v}.0",
        }
        for v in range(OLDEST_SERVED, NEWEST_VERSION + 1)
    ]


def _http_date(text: str) -> str:
    """An RFC 1123 date as a stamp. Raises Refused."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError as wrong:
        raise Refused("INVALID_HEADER", f"malformed date in a conditional header: {text}") from wrong
    return stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _as_http_date(at: str) -> str:
    return f"{datetime.fromisoformat(at):%a, %d %b %Y %H:%M:%S} GMT"


def _summary(kind: ObjectType, root: str) -> Row:
    url = f"{root}/sobjects/{kind.name}"
    return {
        "activateable": False,
        "createable": kind.createable,
        "custom": False,
        "customSetting": False,
        "deletable": kind.deletable,
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "keyPrefix": kind.prefix,
        "label": kind.label,
        "labelPlural": kind.plural,
        "layoutable": True,
        "mergeable": kind.mergeable,
        "mruEnabled": True,
        "name": kind.name,
        "queryable": True,
        "replicateable": "SystemModstamp" in kind.fields,
        "retrieveable": True,
        "searchable": not kind.setup,
        "triggerable": not kind.setup,
        "undeletable": "IsDeleted" in kind.fields,
        "updateable": kind.updateable,
        "urls": {"sobject": url, "describe": f"{url}/describe", "rowTemplate": f"{url}/{{ID}}"},
    }


def _field_wish(body: Row) -> tuple[str, dict[str, Any]]:
    name, metadata = body.get("FullName"), body.get("Metadata")
    if not isinstance(name, str) or not isinstance(metadata, dict):
        raise Refused(
            "REQUIRED_FIELD_MISSING", "Required fields are missing: [FullName, Metadata]", "FullName", "Metadata"
        )
    return name, metadata


def _subanswer(wish: Row, status: int, body: Any, headers: Mapping[str, str] | None = None) -> Row:
    return {
        "body": body,
        "httpHeaders": dict(headers or {}),
        "httpStatusCode": status,
        "referenceId": wish.get("referenceId"),
    }


def _resolved(value: Any, bodies: Mapping[str, Any]) -> Any:
    """A subrequest's url or body, ``@{ref.path}`` replaced from the earlier answers. KeyError for one that has none."""
    match value:
        case str():
            return _REFERENCE.sub(lambda found: str(_looked_up(found, bodies)), value)
        case dict():
            return {name: _resolved(one, bodies) for name, one in value.items()}
        case list():
            return [_resolved(one, bodies) for one in value]
        case _:
            return value


def _looked_up(found: re.Match[str], bodies: Mapping[str, Any]) -> Any:
    node: Any = bodies.get(found.group(1))
    for step in re.findall(r"\.([A-Za-z0-9_]+)|\[(\d+)\]", found.group(2)):
        name, place = step
        if name and isinstance(node, dict) and name in node:
            node = node[name]
        elif place and isinstance(node, list) and int(place) < len(node):
            node = node[int(place)]
        else:
            raise KeyError(found.group(0))
    if node is None or isinstance(node, dict | list):
        raise KeyError(found.group(0))
    return node
