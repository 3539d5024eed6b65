"""Bulk API 2.0 of the sandbox org: query jobs and ingest jobs, CSV in and out.

A job does its work at the moment it is uploaded, but says so only after it was asked a few times in between, as a real
one would; rows of ingest results come in another order than they were sent, and locators say nothing.
Sources: Bulk API 2.0 guide (jobs/query, jobs/ingest, result resources, header names).
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.sandbox.salesforce_ids import IdMint, long_id
from connectors.sandbox.salesforce_query import run
from connectors.sandbox.salesforce_schema import ObjectType
from connectors.sandbox.salesforce_values import Refused, accept, json_object
from connectors.sandbox.server import Request, Response
from connectors.sandbox.soql import SoqlError, parse

if TYPE_CHECKING:
    from connectors.sandbox.salesforce import SalesforceOrg

__all__ = ["Bulk"]

CSV = "text/csv"
_DELIMITERS = {"COMMA": ",", "SEMICOLON": ";", "TAB": "\t", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
_OPERATIONS = {"insert", "update", "upsert", "delete"}
_NULL = "#N/A"


@dataclass(slots=True, kw_only=True)
class _Job:
    """A job, its description as the API shows it, and its rows."""

    shown: dict[str, Any]
    version: int
    polls: int = 0
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    upload: str | None = None
    succeeded: list[list[str]] = field(default_factory=list)
    failed: list[list[str]] = field(default_factory=list)
    failure: str | None = None

    @property
    def delimiter(self) -> str:
        return _DELIMITERS[self.shown["columnDelimiter"]]

    def written(self, columns: list[str], rows: Iterable[list[str]]) -> str:
        text = io.StringIO()
        end = "\r\n" if self.shown["lineEnding"] == "CRLF" else "\n"
        out = csv.writer(text, delimiter=self.delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
        out.writerow(columns)
        out.writerows(rows)
        return text.getvalue()


class Bulk:
    """All jobs of one org. Called while the org's lock is held.

    busy      how often a job is asked about before it has ended
    failures  what the next jobs that begin to work fail with, one each
    comes_to  rows that such an ingest job has come to before it failed; the rest are unprocessed
    refuses   error code with which no job is made any more
    """

    def __init__(self, org: SalesforceOrg) -> None:
        self.busy = 1
        self.failures: list[str] = []
        self.comes_to = 0
        self.refuses: str | None = None
        self._org = org
        self._mint = IdMint()
        self._jobs: dict[str, _Job] = {}

    @property
    def query_jobs(self) -> int:
        return sum(_is(job, "query") for job in self._jobs.values())

    def work_on(self, job: str) -> None:
        """A job that has ended is at work again, and will be for as long as `busy` says."""
        self._jobs[job].shown["state"], self._jobs[job].polls = "InProgress", 0

    def answer(self, request: Request, root: str, version: int, kind: str, target: tuple[str, ...]) -> Response:
        """One call below ``jobs/query`` or ``jobs/ingest``. Raises Refused and SoqlError."""
        if kind not in {"query", "ingest"}:
            return _missing()
        if not target:
            if request.method == "GET":
                return Response(
                    body={
                        "done": True,
                        "records": [j.shown for j in self._jobs.values() if _is(j, kind)],
                        "nextRecordsUrl": None,
                    }
                )
            return self._open_query(request, root, version) if kind == "query" else self._open_ingest(request, version)
        job = self._jobs.get(target[0])
        if job is None or not _is(job, kind):
            return _missing()
        match (request.method, *target[1:]):
            case ("GET",):
                return Response(body=self._polled(job))
            case ("PATCH",):
                return self._advance(job, str(json_object(request).get("state")))
            case ("DELETE",):
                return self._drop(job)
            case ("GET", "results") if kind == "query":
                return self._results(job, request, version)
            case ("PUT", "batches") if kind == "ingest":
                return self._upload(job, request)
            case ("GET", "successfulResults"):
                return _text(job.written(["sf__Id", "sf__Created", *job.columns], reversed(job.succeeded)))
            case ("GET", "failedResults"):
                return _text(job.written(["sf__Id", "sf__Error", *job.columns], reversed(job.failed)))
            case ("GET", "unprocessedrecords" | "unprocessedRecords"):
                come_to = len(job.succeeded) + len(job.failed)
                return _text(job.written(job.columns, reversed(job.rows[come_to:])))
            case _:
                return _missing()

    # -- both kinds

    def _new(self, wish: dict[str, Any], operation: str, object_: str, version: int, state: str) -> _Job:
        if self.refuses is not None:
            raise Refused(self.refuses, "no job can be made", http=403)
        delimiter, ending = wish.get("columnDelimiter", "COMMA"), wish.get("lineEnding", "LF")
        if delimiter not in _DELIMITERS or ending not in {"LF", "CRLF"}:
            raise Refused("INVALIDENUMERATION", f"unknown delimiter or line ending: {delimiter}, {ending}")
        now = self._org.second()
        shown = {
            "id": self._mint.next("750"),
            "operation": operation,
            "object": object_,
            "createdById": self._org.user_id,
            "createdDate": now,
            "systemModstamp": now,
            "state": state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(version),
            "lineEnding": ending,
            "columnDelimiter": delimiter,
        }
        job = _Job(shown=shown, version=version)
        self._jobs[shown["id"]] = job
        return job

    def _polled(self, job: _Job) -> dict[str, Any]:
        if job.shown["state"] in {"UploadComplete", "InProgress"}:
            job.polls += 1
            ended = "JobComplete" if job.failure is None else "Failed"
            job.shown["state"] = "InProgress" if job.polls <= self.busy else ended
            if job.shown["state"] == "Failed":
                job.shown["errorMessage"] = job.failure
            job.shown["systemModstamp"] = self._org.second()
        return job.shown | {
            "retries": 0,
            "totalProcessingTime": 1,
            "apexProcessingTime": 0,
            "apiActiveProcessingTime": 1,
        }

    def _advance(self, job: _Job, state: str) -> Response:
        now = job.shown["state"]
        if state == "UploadComplete" and now == "Open":
            job.shown["state"] = state
            self._apply(job)
        elif state == "Aborted" and now in {"Open", "UploadComplete", "InProgress"}:
            job.shown["state"] = state
        else:
            raise Refused("INVALIDJOBSTATE", f"a job that is {now} cannot become {state}")
        return Response(body=job.shown)

    def _drop(self, job: _Job) -> Response:
        if job.shown["state"] not in {"JobComplete", "Aborted", "Failed"}:
            raise Refused("API_ERROR", "a job must be complete, failed or aborted before it is deleted")
        del self._jobs[job.shown["id"]]
        return Response(204)

    # -- query

    def _open_query(self, request: Request, root: str, version: int) -> Response:
        wish = json_object(request)
        operation, text = wish.get("operation"), str(wish.get("query", ""))
        if operation not in {"query", "queryAll"}:
            raise Refused("INVALIDENUMERATION", f"no operation of a query job: {operation}")
        query = parse(text)
        if query.aggregates or query.offset:
            raise SoqlError("API_ERROR", "Aggregates, GROUP BY and OFFSET are not supported by the Bulk API")
        found = run(text, self._org, root=root, include_deleted=operation == "queryAll")
        job = self._new(wish, operation, query.object, version, "UploadComplete")
        job.columns = [str(path) for path in query.select]
        for row in found.rows:
            rendered = found.render(row)
            job.rows.append([_as_text(_reached(rendered, name)) for name in job.columns])
        job.shown["numberRecordsProcessed"] = found.total
        job.failure = self.failures.pop(0) if self.failures else None
        return Response(200, job.shown)

    def _results(self, job: _Job, request: Request, version: int) -> Response:
        if job.shown["state"] != "JobComplete":
            raise Refused("INVALIDJOBSTATE", f"the job is {job.shown['state']}: no results yet")
        if version != job.version:
            raise Refused("API_ERROR", f"the job was made with version {job.version}.0", http=409)
        start, most = request.one("locator"), int(request.one("maxRecords") or 50_000)
        first = 0 if start is None else _place(start)
        page = job.rows[first : first + most]
        following = _locator(first + most) if first + most < len(job.rows) else "null"
        return _text(
            job.written(job.columns, page), {"Sforce-Locator": following, "Sforce-NumberOfRecords": str(len(page))}
        )

    # -- ingest

    def _open_ingest(self, request: Request, version: int) -> Response:
        wish = json_object(request)
        operation, kind = wish.get("operation"), self._org.kind(str(wish.get("object")))
        if operation not in _OPERATIONS or kind is None:
            raise Refused("INVALIDENUMERATION", f"no such operation or object: {operation}, {wish.get('object')}")
        if operation == "upsert" and not wish.get("externalIdFieldName"):
            raise Refused("REQUIRED_FIELD_MISSING", "externalIdFieldName is missing", "externalIdFieldName")
        job = self._new(wish, operation, kind.name, version, "Open")
        job.shown["contentUrl"] = f"services/data/v{version}.0/jobs/ingest/{job.shown['id']}/batches"
        job.shown |= {name: wish[name] for name in ("externalIdFieldName", "assignmentRuleId") if name in wish}
        return Response(200, job.shown)

    def _upload(self, job: _Job, request: Request) -> Response:
        if job.shown["state"] != "Open" or job.upload is not None:
            raise Refused("INVALIDJOBSTATE", "the job takes no more data")
        if not (request.headers.get("content-type") or "").startswith(CSV):
            raise Refused("UNSUPPORTED_MEDIA_TYPE", f"an upload is {CSV}", http=415)
        job.upload = request.body.decode("utf-8")
        reader = csv.reader(io.StringIO(job.upload, newline=""), delimiter=job.delimiter)
        rows = [row for row in reader if row]
        job.columns, job.rows = (rows[0], rows[1:]) if rows else ([], [])
        return Response(201)

    def _apply(self, job: _Job) -> None:
        kind = self._org.kind(job.shown["object"])
        assert kind is not None, "the object was known when the job was opened"
        if self.failures:
            job.failure = self.failures.pop(0)
        for row in job.rows if job.failure is None else job.rows[: self.comes_to]:
            fields = dict(zip(job.columns, row, strict=False))
            record_id = next((value for name, value in fields.items() if name.lower() == "id"), "")
            try:
                with self._org.transaction():
                    record_id, created = self._write(job, kind, fields)
            except Refused as refused:
                error = f"{refused.code}:{refused.message}:{' '.join(refused.fields) or '--'}"
                job.failed.append([record_id, error, *row])
            else:
                job.succeeded.append([record_id, str(created).lower(), *row])
        job.shown["numberRecordsProcessed"] = len(job.succeeded) + len(job.failed)
        job.shown["numberRecordsFailed"] = len(job.failed)

    def _write(self, job: _Job, kind: ObjectType, fields: dict[str, str]) -> tuple[str, bool]:
        org, operation = self._org, job.shown["operation"]
        # an empty value says nothing; #N/A says null. Assignment rules run only when the job names one
        body: dict[str, Any] = {name: None if value == _NULL else value for name, value in fields.items() if value}
        assign = bool(job.shown.get("assignmentRuleId"))
        given = next((body.pop(name) for name in list(body) if name.lower() == "id"), "")
        record_id = long_id(given) or str(given)
        match operation:
            case "insert":
                return org.create(kind, body, auto_assign=assign), True
            case "update":
                org.update(kind, record_id, body, auto_assign=assign)
                return record_id, False
            case "delete":
                org.erase(kind, record_id)
                return record_id, False
            case _:
                return self._upsert(job, kind, body, assign)

    def _upsert(self, job: _Job, kind: ObjectType, body: dict[str, Any], assign: bool) -> tuple[str, bool]:
        org, name = self._org, job.shown["externalIdFieldName"]
        one = org.readable(kind, name)
        if one is None or not one.external_id:
            raise Refused("INVALID_FIELD", f"Field name provided, {name} is not an External ID or indexed field", name)
        value = accept(one, body.pop(one.name, None))
        matches = org.table(kind.name).live(one.name, value)
        if len(matches) > 1:
            raise Refused("DUPLICATE_EXTERNAL_ID", f"{name}: more than one record found for external id", name)
        if matches:
            org.update(kind, matches[0]["Id"], body, auto_assign=assign)
            return str(matches[0]["Id"]), False
        return org.create(kind, body | {one.name: value}, auto_assign=assign), True


def _locator(place: int) -> str:
    return base64.b64encode(str(place).encode()).decode()


def _place(locator: str) -> int:
    try:
        return int(base64.b64decode(locator, validate=True))
    except ValueError:
        raise Refused("INVALID_QUERY_LOCATOR", f"no such locator: {locator}") from None


def _is(job: _Job, kind: str) -> bool:
    return (job.shown["operation"] in {"query", "queryAll"}) is (kind == "query")


def _missing() -> Response:
    return Response(404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])


def _text(body: str, headers: dict[str, str] | None = None) -> Response:
    return Response(200, body, headers or {}, CSV)


def _reached(rendered: dict[str, Any], path: str) -> Any:
    node: Any = rendered
    for name in path.split("."):
        node = None if node is None else next((v for key, v in node.items() if key.lower() == name.lower()), None)
    return node


def _as_text(value: Any) -> str:
    """A value as Bulk writes it: null is empty, and moments end in Z where REST writes +0000."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str() if value.endswith(".000+0000"):
            return value.removesuffix("+0000") + "Z"
        case _:
            return str(value)
