"""A loopback server that says whatever a test wants it to say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, kw_only=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, list[str]]
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Say:
    """``body``: bytes as they are, anything else as JSON. ``hang_up``: close without a word."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False


Script = Callable[[Asked], Say]


class Wire:
    """A loopback server. ``script`` answers; ``asked`` is what came in."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: Script = lambda asked: Say(status=500)
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65_536  # head and body in one packet

            def answer(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                at = urlsplit(self.path)
                text = raw.decode()
                form = "urlencoded" in (self.headers.get("Content-Type") or "")
                asked = Asked(
                    method=self.command,
                    path=at.path,
                    query=parse_qs(at.query),
                    body=parse_qs(text) if form else json.loads(text) if text else None,
                    headers=dict(self.headers),
                )
                wire.asked.append(asked)
                say = wire.script(asked)
                if say.hang_up:
                    self.close_connection = True
                    return
                content = say.body if isinstance(say.body, bytes) else json.dumps(say.body).encode()
                self.send_response(say.status)
                for name, value in {"Content-Type": "application/json", **say.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


def answers(*says: Say) -> Script:
    """One after the other; the last one for ever."""
    left = list(says)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]
