"""The sockets under simple-salesforce: an end to every wait, plain http for loopback only, and fixed headers.

The package hard-codes ``https://``, sets no timeout and forgets the headers of a call when it repeats it, so all
three are settled here, on the session it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from connectors.address import is_loopback
from connectors.answer_time import end_answers

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["Waits", "never_sent", "open_session", "open_wire", "sent_in_secret"]

HEADERS: Mapping[str, str] = {
    # without it the org's assignment rule may take the lead from the owner just written, on updates too
    "Sforce-Auto-Assign": "FALSE",
    # duplicate rules that only alert must not refuse a score
    "Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=false; runAsCurrentUser=false",
    "Accept": "application/json",
    "User-Agent": "mqlsync",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Seconds: ``connect``; ``write`` and ``read`` between two bytes of an answer; ``answer`` for the whole of it."""

    connect: float
    write: float
    read: float
    answer: float


class _Adapter(HTTPAdapter):
    """Ends every wait, and sends every host's requests to ``serve_at`` where that is given (loopback)."""

    def __init__(self, waits: Waits, monotonic: Callable[[], float], serve_at: SplitResult | None) -> None:
        self._waits = waits
        self._monotonic = monotonic
        self._serve_at = serve_at
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        end_answers(self.poolmanager, within=self._waits.answer, monotonic=self._monotonic)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        known = proxy in self.proxy_manager
        pools = super().proxy_manager_for(proxy, **kwargs)
        if not known:
            end_answers(pools, within=self._waits.answer, monotonic=self._monotonic)
        return pools

    def build_response(self, req: requests.PreparedRequest, resp: BaseHTTPResponse) -> requests.Response:
        response = super().build_response(req, resp)
        response.raw = _InOnePiece(resp)
        return response

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        if self._serve_at is not None:
            there = self._serve_at
            request.url = urlsplit(str(request.url))._replace(scheme=there.scheme, netloc=there.netloc).geturl()
        between = self._waits.read if request.method == "GET" else self._waits.write
        return super().send(request, stream, timeout or (self._waits.connect, between), verify, cert, proxies)


class _InOnePiece:
    """An answer whose body is read at once. In the pieces of 10 KB in which requests takes it, that is two thirds of
    what a call costs.
    """

    def __init__(self, answer: BaseHTTPResponse) -> None:
        self._answer = answer

    def stream(self, _: int, decode_content: bool | None = None) -> Iterator[bytes]:
        yield self._answer.read(decode_content=decode_content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)


class _NoPlainHttp(HTTPAdapter):
    """Stands where plain http would be: nothing leaves the machine unencrypted."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        raise requests.exceptions.InvalidSchema(f"plain http is for loopback only, not for {request.url}")


class _Session(requests.Session):
    """Follows no redirect: the token must not travel to a host nobody configured."""

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["allow_redirects"] = False
        return super().request(method, url, *args, **kwargs)


def open_session(
    base_url: str,
    *,
    waits: Waits,
    monotonic: Callable[[], float],
    proxy: str | None,
    saw: Callable[..., object],
) -> requests.Session:
    """A session for one connection. ``saw`` is called with each response, refused ones included."""
    at = urlsplit(base_url)
    local = is_loopback(at.hostname)
    session = _Session()
    session.trust_env = False  # .netrc would replace the token, environment proxies would see it
    session.headers.update(HEADERS)
    session.hooks["response"].append(saw)
    session.mount("https://", _Adapter(waits, monotonic, at if local else None))
    session.mount("http://", _Adapter(waits, monotonic, at) if local else _NoPlainHttp())
    if proxy is not None and not local:
        session.proxies = {"https": proxy}
    return session


def open_wire(session: requests.Session, token: str, host: str, version: str) -> Salesforce:
    """The package's client for a token and an instance host. Opens no connection.

    A new token takes a new one: the package keeps old hosts in its addresses when it signs in again.
    """
    wire: Salesforce = Salesforce(
        session_id=token, instance=host, version=version, session=session, object_pairs_hook=dict
    )
    wire.parse_result_to_json = _decode
    wire.headers.pop("X-PrettyPrint", None)  # the package asks for indented answers: a third more bytes
    return wire


def _decode(answer: requests.Response) -> Any:
    """The body of a good answer: an object or a list. msgspec.DecodeError for anything else."""
    value = msgspec.json.decode(answer.content)
    if not isinstance(value, dict | list):
        raise msgspec.DecodeError("neither an object nor a list")
    return value


_NO_SECRET = frozenset({"grant_type", "client_id", "username", "format"})


def sent_in_secret(request: requests.PreparedRequest) -> list[str]:
    """The credential in a request's header, and what is confidential in the form of a sign-in."""
    found = [request.headers.get("Authorization", "").partition(" ")[2]]
    if "form-urlencoded" in request.headers.get("Content-Type", "") and request.body:
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
        found += [value for name, value in parse_qsl(body) if name not in _NO_SECRET]
    return [text for text in found if text]


def never_sent(error: requests.RequestException) -> bool:
    """Whether the connection failed before a byte of the request went out (refused, no such host, connect timeout)."""
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)
