"""An end to every answer, however slowly it comes.

A read timeout counts from one byte to the next, and an answer that comes a byte at a time never meets it. Here all of
an answer has to be there in time: its status line, its headers and its body, be it a refusal or a proxy's own.
"""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from socket import socket
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3 import PoolManager

__all__ = ["SLOWEST", "end_answers"]

SLOWEST = 32 * 1024
"""Bytes a second at which an answer may go on for as long as it is: a large file on a slow line does not drip."""


def end_answers(pools: PoolManager, *, within: float, monotonic: Callable[[], float]) -> None:
    """Let an answer through ``pools`` take ``within`` seconds, and one more for every `SLOWEST` bytes of it.

    What takes longer fails as any read that has timed out (urllib3's ReadTimeoutError): whoever knows what to do then
    has nothing to add. To be called before ``pools`` opens a connection.
    """

    class Answer(HTTPResponse):
        def __init__(self, sock: socket, *args: Any, **named: Any) -> None:
            super().__init__(sock, *args, **named)
            self.fp = BufferedReader(_InTime(self.fp.detach(), sock, within, monotonic))

    class Plain(HTTPConnection):
        response_class = Answer

    class Secure(HTTPSConnection):
        response_class = Answer

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    pools.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


class _InTime(RawIOBase):
    """The bytes of one answer as they come from the socket, and no longer than they may take."""

    def __init__(self, source: RawIOBase, sock: socket, within: float, monotonic: Callable[[], float]) -> None:
        self._source = source
        self._sock = sock
        self._between_bytes = sock.gettimeout()
        self._monotonic = monotonic
        self._end = monotonic() + within

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        left = self._end - self._monotonic()
        if left <= 0:
            raise TimeoutError("the answer came too slowly")
        self._sock.settimeout(left if self._between_bytes is None else min(left, self._between_bytes))
        read = self._source.readinto(buffer)
        self._end += (read or 0) / SLOWEST
        return read

    def close(self) -> None:
        self._source.close()
        super().close()
