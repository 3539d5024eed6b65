"""HTTP/1.1 on loopback: reads requests, injects faults, counts calls, answers. Knows nothing of either CRM."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

from connectors.sandbox.clock import Clock
from connectors.sandbox.faults import Fault, FaultKind, Faults

JSON = "application/json;charset=utf-8"
HTML = "text/html;charset=utf-8"
LONGEST_TARGET = 16_000  # characters of path and query; 414 beyond


class Headers(dict[str, str]):
    """Request headers; names are looked up in any case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """The header's value, or the default."""
        return super().get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())


@dataclass(slots=True)
class Request:
    """One call. `path` is as sent (percent-encoded, no query); `segments` are its parts, decoded.

    `at_once`: calls to the same CRM that were under way when it came, itself included.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Headers
    body: bytes
    fault: Fault | None = None
    at_once: int = 1

    @property
    def segments(self) -> tuple[str, ...]:
        """The decoded parts of the path, empty ones (a trailing slash) left out."""
        return tuple(unquote(part) for part in self.path.split("/") if part)

    def one(self, name: str, default: str | None = None) -> str | None:
        """The last value of a query parameter."""
        values = self.query.get(name)
        return values[-1] if values else default

    def json(self) -> Any:
        """The body as JSON, {} when it is empty. ValueError when it is none."""
        return json.loads(self.body) if self.body else {}

    def form(self) -> dict[str, str]:
        """The form-encoded body, last value of each name."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}


@dataclass(slots=True)
class Response:
    """One answer. Dicts and lists go out as JSON, str and bytes as they are."""

    status: int = 200
    body: bytes | dict[str, Any] | list[Any] | str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON

    def encoded(self) -> bytes:
        """The body's bytes."""
        match self.body:
            case None:
                return b""
            case bytes():
                return self.body
            case str():
                return self.body.encode()
            case _:
                return json.dumps(self.body, separators=(",", ":")).encode()


class Backend(Protocol):
    """What the server asks of a CRM. `answer` holds the CRM's one lock while it looks at and changes state.

    The faults that need the CRM's own words (rate_limited, expired_token, revoked_token, repeated_page, partial_batch)
    come in `request.fault`.
    """

    def answer(self, request: Request) -> Response:
        """Looks at one call and commits it, or refuses it."""

    def state(self) -> dict[str, Any]:
        """The whole state as plain values for comparing two runs: no stamps, no ids that differ between runs."""


class Calls:
    """How often each endpoint was called: `calls["hubspot"]` is a Counter by "METHOD /path/{id}"."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_crm: dict[str, Counter[str]] = {"hubspot": Counter(), "salesforce": Counter()}
        self._under_way: Counter[str] = Counter()
        self._most: Counter[str] = Counter()

    def begin(self, crm: str) -> int:
        """A call comes in; how many are under way now."""
        with self._lock:
            self._under_way[crm] += 1
            self._most[crm] = max(self._most[crm], self._under_way[crm])
            return self._under_way[crm]

    def end(self, crm: str) -> None:
        """It is answered."""
        with self._lock:
            self._under_way[crm] -= 1

    def most_at_once(self, crm: str) -> int:
        """The most calls that were under way at one time since `reset`."""
        with self._lock:
            return self._most[crm]

    def count(self, crm: str, call: str) -> None:
        """Adds one call."""
        with self._lock:
            self._by_crm[crm][call] += 1

    def reset(self) -> None:
        """Back to zero."""
        with self._lock:
            for counter in self._by_crm.values():
                counter.clear()
            self._most.clear()

    def __getitem__(self, crm: str) -> Counter[str]:
        with self._lock:
            return Counter(self._by_crm[crm])

    @property
    def total(self) -> int:
        """All calls of both CRMs."""
        with self._lock:
            return sum(sum(counter.values()) for counter in self._by_crm.values())

    def as_json(self) -> dict[str, Any]:
        """Total and counters of both CRMs."""
        return {"total": self.total, "hubspot": dict(self["hubspot"]), "salesforce": dict(self["salesforce"])}


# ids of both CRMs, GUIDs and e-mail addresses; Salesforce ids are 15 or 18 characters with a digit in front or second
_ID = re.compile(
    r"(?<=/)(?:\d+|[^/]*(?:@|%40)[^/]*|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=.?[0-9])\w{15}(?:\w{3})?)(?=/|$)",
    re.IGNORECASE,
)


def template(path: str) -> str:
    """The path with its record ids replaced by {id}, so that calls of one kind count together."""
    return _ID.sub("{id}", path.rstrip("/"))


def crm_of(path: str) -> str:
    """Which CRM a path belongs to."""
    return "salesforce" if path.startswith("/services") else "hubspot"


class Cut(Exception):
    """The connection is to be closed without an answer."""


class App:
    """Answers requests for both CRMs: faults, counting, then the CRM itself."""

    def __init__(
        self,
        backends: dict[str, Backend],
        control: Callable[[Request], Response],
        clock: Clock,
        faults: Faults,
        calls: Calls,
    ) -> None:
        self._backends = backends
        self._control = control
        self._clock = clock
        self._faults = faults
        self._calls = calls
        self._late: list[tuple[datetime, Backend, Request]] = []
        self._late_lock = threading.Lock()
        self._date = (0, "")
        self.crashes: list[str] = []

    def answer(self, request: Request) -> Response:
        """The answer to one call. Raises Cut where the script says that none is sent."""
        if request.path.startswith("/_sandbox"):
            return self._guarded(self._control, request)
        crm = crm_of(request.path)
        self._calls.count(crm, f"{request.method} {template(request.path)}")
        self.release_late()
        request.at_once = self._calls.begin(crm)
        try:
            return self._answered(crm, request)
        finally:
            self._calls.end(crm)

    def _answered(self, crm: str, request: Request) -> Response:
        request.fault = self._faults.select(crm, f"{request.method} {request.path}")
        backend = self._backends[crm]
        if request.fault is None:
            return self._guarded(backend.answer, request)
        return self._faulted(request.fault, crm, backend, request)

    def _faulted(self, fault: Fault, crm: str, backend: Backend, request: Request) -> Response:
        match fault.kind:
            case FaultKind.CUT_BEFORE:
                raise Cut
            case FaultKind.COMMIT_LATE:
                request.fault = None
                with self._late_lock:
                    self._late.append((self._clock.now() + timedelta(seconds=fault.delay), backend, request))
                raise Cut
            case FaultKind.CUT_AFTER:
                self._guarded(backend.answer, request)
                raise Cut
            case FaultKind.SERVER_ERROR:
                return outage(crm, fault)
            case FaultKind.HTML:
                return Response(200, _page("Please wait"), content_type=HTML)
            case FaultKind.TRUNCATED:
                response = self._guarded(backend.answer, request)
                body = response.encoded()
                response.body = body[: len(body) // 2]
                return response
            case FaultKind.SLOW:
                time.sleep(fault.delay)
                return self._guarded(backend.answer, request)
            case (
                FaultKind.RATE_LIMITED
                | FaultKind.EXPIRED_TOKEN
                | FaultKind.REVOKED_TOKEN
                | FaultKind.REPEATED_PAGE
                | FaultKind.PARTIAL_BATCH
            ):
                return self._guarded(backend.answer, request)

    def release_late(self, *, all_of_them: bool = False) -> int:
        """Commits the requests of COMMIT_LATE that are due, or all of them; how many those were."""
        if not self._late:
            return 0
        now = self._clock.now()
        with self._late_lock:
            due = [entry for entry in self._late if all_of_them or entry[0] <= now]
            self._late = [entry for entry in self._late if not (all_of_them or entry[0] <= now)]
        for _, backend, request in due:
            self._guarded(backend.answer, request)
        return len(due)

    def _guarded(self, answer: Callable[[Request], Response], request: Request) -> Response:
        try:
            return answer(request)
        except Exception:  # noqa: BLE001 - a defect of the sandbox: shown to the client, kept for the test
            text = f"{request.method} {request.path}\n{traceback.format_exc()}"
            self.crashes.append(text)
            print(f"sandbox: {text}", file=sys.stderr)  # noqa: T201
            return Response(500, {"status": "error", "message": f"the sandbox failed: {text}"})

    def date(self) -> str:
        """The Date header's value by the sandbox clock."""
        now = self._clock.now()
        second = int(now.timestamp())
        if self._date[0] != second:
            self._date = (second, format_datetime(now, usegmt=True))
        return self._date[1]


def outage(crm: str, fault: Fault) -> Response:
    """A failing edge or back end: 502 to 504 and 52x as HTML pages, others in the CRM's own form."""
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if 502 <= fault.status <= 504 or 520 <= fault.status <= 530:
        return Response(fault.status, _page(_phrase(fault.status)), headers, HTML)
    if crm == "salesforce":
        body: Any = [{"message": "An unexpected error occurred.", "errorCode": "UNKNOWN_EXCEPTION"}]
        return Response(fault.status, body, headers)
    body = {
        "status": "error",
        "message": "internal error",
        "correlationId": "00000000-0000-4000-8000-000000000000",
        "category": "INTERNAL_ERROR",
    }
    return Response(fault.status, body, headers)


def _page(title: str) -> str:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"


_PHRASES = {int(status): status.phrase for status in HTTPStatus}


def _too_long() -> Response:
    """What the edge of both CRMs says to a URI beyond its limit."""
    return Response(414, _page("Bad Message 414"), content_type=HTML)


def _phrase(status: int) -> str:
    return _PHRASES.get(status, "Unknown")


class _Connection(socketserver.StreamRequestHandler):
    """One kept connection: a plain loop, because the standard handler's header parser costs more than the answer."""

    disable_nagle_algorithm = True
    rbufsize = 64 * 1024
    wbufsize = 0
    server: Server

    def handle(self) -> None:
        self.server.opened(self.connection)
        try:
            while self._exchange():
                pass
        except (OSError, ValueError):
            return  # the client went away or talks no HTTP: nobody is left to tell
        finally:
            self.server.closed(self.connection)

    def _exchange(self) -> bool:
        line = self.rfile.readline(128 * 1024)
        if not line.strip():
            return False
        method, target, version = line.decode("latin-1").split()
        headers = Headers()
        while (line := self.rfile.readline(64 * 1024)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        path, _, query = target.partition("?")
        body = self._body(headers)
        request = Request(method, path, parse_qs(query, keep_blank_values=True) if query else {}, headers, body)
        try:
            response = self.server.app.answer(request) if len(target) <= LONGEST_TARGET else _too_long()
        except Cut:
            return False
        keep = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        self._send(method, response, keep)
        return keep

    def _body(self, headers: Headers) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length", "0")))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):
            pass
        return b"".join(chunks)

    def _send(self, method: str, response: Response, keep: bool) -> None:
        body = response.encoded()
        lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}", f"Date: {self.server.app.date()}"]
        if response.status != HTTPStatus.NO_CONTENT:
            lines += [f"Content-Type: {response.content_type}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        if not keep:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.wfile.write(head + (b"" if method == "HEAD" or response.status == HTTPStatus.NO_CONTENT else body))


class Server(socketserver.ThreadingTCPServer):
    """Listens on 127.0.0.1 only; a daemon thread a connection."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox", daemon=True
        )

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Begins to accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Stops accepting and closes the connections still open."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._open_lock:
            for connection in self._open:
                _hang_up(connection)

    def opened(self, connection: socket.socket) -> None:
        """Remembers a connection, so that `stop` can end it."""
        with self._open_lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forgets a connection."""
        with self._open_lock:
            self._open.discard(connection)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was faster
