"""A channel on this machine that Apprise can send to, and what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass(slots=True)
class Message:
    """``path``: where it was sent to, unquoted."""

    path: str
    title: str
    body: str


@dataclass(slots=True)
class Receiver:
    """``refusing``: how many of the next messages are answered with an error."""

    url: str = ""
    refusing: int = 0
    got: list[Message] = field(default_factory=list)

    def titles(self) -> list[str]:
        return [message.title for message in self.got]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listens until the end of the block."""
    found = Receiver()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.refusing > 0:
                found.refusing -= 1
                self.send_response(503)
            else:
                found.got.append(Message(unquote(self.path), body["title"], body["message"]))
                self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    found.url = f"json://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
