"""A loopback server whose answers come a byte at a time."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Drip:
    """Each look at the clock takes a second, and lets one more byte of the answer go."""

    url: str
    now: float = 0.0
    let_go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def monotonic(self) -> float:
        self.now += 1.0
        self.let_go.release()
        return self.now


@contextmanager
def dripping(at_once: bytes) -> Iterator[Drip]:
    """A server that answers each request with ``at_once`` and goes on with one ``x`` after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        drip = Drip(url=f"http://127.0.0.1:{server.getsockname()[1]}")
        over = threading.Event()

        def answer() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    if over.is_set():
                        return
                    connection.recv(65_536)
                    try:
                        connection.sendall(at_once)
                        while not over.is_set() and not _hung_up(connection):
                            if drip.let_go.acquire(timeout=0.01):
                                connection.sendall(b"x")
                    except OSError:
                        continue  # the client has hung up

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield drip
        finally:
            over.set()
            socket.create_connection(server.getsockname()).close()
            thread.join()


def _hung_up(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable) and not connection.recv(1)
