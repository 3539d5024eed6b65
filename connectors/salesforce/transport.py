"""The sockets under simple-salesforce: timeouts, plain http for loopback only, and fixed headers.

The package hard-codes ``https://``, sets no timeout and forgets the headers of a call when it repeats it, so all
three are settled here, on the session it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from connectors.address import is_loopback

__all__ = ["never_sent", "open_session", "open_wire", "sent_in_secret"]

HEADERS: Mapping[str, str] = {
    # without it the org's assignment rule may take the lead from the owner just written, on updates too
    "Sforce-Auto-Assign": "FALSE",
    # duplicate rules that only alert must not refuse a score
    "Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=false; runAsCurrentUser=false",
    "Accept": "application/json",
    "User-Agent": "mqlsync",
}


class _Adapter(HTTPAdapter):
    """Fills in the timeout, and sends every host's requests to ``serve_at`` where that is given (loopback)."""

    def __init__(self, timeout: tuple[float, float], serve_at: SplitResult | None) -> None:
        self._timeout = timeout
        self._serve_at = serve_at
        super().__init__(max_retries=0)

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
        return super().send(request, stream, timeout or self._timeout, verify, cert, proxies)


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
    timeout: tuple[float, float],
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
    session.mount("https://", _Adapter(timeout, at if local else None))
    session.mount("http://", _Adapter(timeout, at) if local else _NoPlainHttp())
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
