"""The token that goes with every call: a fixed one, one that is fetched, or one that OAuth gives for half an hour.

https://developers.hubspot.com/changelog/new-oauth-v3-api-endpoints-and-standardized-error-responses
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import msgspec

from connectors.errors import RetryLater, RunCannotContinue, SignInRefused
from connectors.hubspot.refusals import Garbled, Refused, SignInAgain
from connectors.hubspot.settings import OAuth, Token
from connectors.kept_token import KeptToken
from connectors.records import Crm

__all__ = ["SignIn"]

_EARLY = 300.0
"""Seconds before its end at which an OAuth token is replaced; half its life if that is shorter."""

_USUAL_LIFE = 1800.0
"""Seconds that an OAuth token holds, where the answer does not tell."""

_LEAVE_IT = 20.0
"""Seconds until the next try where a token that still holds could not be replaced."""


class _Granted(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float | None = None
    refresh_token: str | None = None


class SignIn:
    """Who may know the token, and when it is replaced. Thread safe: whoever comes second finds what the first fetched.

    ask    sends a form to a token address and gives the body of a good answer; raises what a read raises
    paths  the token addresses to try, the next one where there is no such
    """

    def __init__(
        self,
        token: Token,
        *,
        ask: Callable[[str, Sequence[tuple[str, str]]], bytes],
        paths: Sequence[str],
        monotonic: Callable[[], float],
    ) -> None:
        self._token = token
        self._ask = ask
        self._paths = paths
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept = KeptToken(token.refresh_token, token.kept_in) if isinstance(token, OAuth) else None
        self._now: str | None = None
        self._renew_at = self._ends_at = float("inf")
        self._refused: SignInRefused | None = None

    @property
    def problem(self) -> str:
        """What is wrong although calls go on; "" as a rule."""
        return self._kept.problem if self._kept is not None else ""

    def token(self) -> str:
        """One that should work. Fetches it where there is none, or where it is about to end."""
        with self._lock:
            if self._now is None:
                self._now = self._fetch()
            elif self._monotonic() >= self._renew_at:
                self._now = self._renewed(self._now)
            return self._now

    def instead_of(self, refused: str) -> str | None:
        """Another token than the one that was refused; None when there is no other to try."""
        with self._lock:
            if self._now != refused:
                return self._now  # another thread was refused before and has fetched one
            if isinstance(self._token, str):
                return None
            self._now = None
            self._now = self._fetch()
            return None if self._now == refused else self._now

    def try_again(self) -> None:
        """Ask once more although asking was refused: somebody may have put it right since."""
        with self._lock:
            self._refused = None

    def _renewed(self, holds: str) -> str:
        """Another token before this one ends; this one where the token address is out of order just now."""
        try:
            return self._fetch()
        except RetryLater:
            if self._monotonic() >= self._ends_at:
                raise
            self._renew_at = self._monotonic() + _LEAVE_IT
            return holds

    def _fetch(self) -> str:
        match self._token:
            case OAuth() as oauth:
                return self._granted(oauth)
            case str() as fixed:
                return _given(fixed)
            case fetch:
                return _given(fetch())

    def _granted(self, oauth: OAuth) -> str:
        """A new access token. A refusal is final until `try_again`: the same refresh token cannot fare better."""
        assert self._kept is not None
        if self._refused is not None:
            raise self._refused
        try:
            with self._kept.held() as refresh_token:
                form = [
                    ("grant_type", "refresh_token"),
                    ("client_id", oauth.client_id),
                    ("client_secret", oauth.client_secret),
                    ("refresh_token", refresh_token),
                ]
                granted = _read(self._answer(form))
                if granted.refresh_token and granted.refresh_token != refresh_token:
                    self._kept.keep(granted.refresh_token)
        except OSError as error:
            raise RunCannotContinue(
                Crm.HUBSPOT,
                f"the file of the refresh token cannot be used: {error.strerror}.",
                advice="Make it readable and writable, or name another: auth.refresh_token_file.",
                credentials=True,
            ) from error
        except SignInRefused as error:
            self._refused = error
            raise
        life = _USUAL_LIFE if granted.expires_in is None else max(granted.expires_in, 0.0)
        self._ends_at = self._monotonic() + life
        self._renew_at = self._ends_at - min(_EARLY, life / 2)
        return granted.access_token

    def _answer(self, form: Sequence[tuple[str, str]]) -> bytes:
        refused: Refused | SignInAgain | None = None
        for path in self._paths:
            try:
                return self._ask(path, form)
            except SignInAgain as error:
                refused = error
                break
            except Refused as error:
                refused = error
                if error.status != 404:
                    break
        assert refused is not None
        code = refused.refusal.what() if isinstance(refused, Refused) else "not authorised"
        raise SignInRefused(
            Crm.HUBSPOT,
            f"signing in was refused ({code}).",
            advice="Check client_id, client_secret and refresh_token; the app may have been uninstalled.",
        ) from refused


def _read(body: bytes) -> _Granted:
    try:
        return msgspec.json.decode(body, type=_Granted, strict=False)  # numbers may come as text
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Garbled(Crm.HUBSPOT, "signing in was answered with something that is no token.", status=200) from None


def _given(secret: str) -> str:
    if not secret:
        raise SignInRefused(Crm.HUBSPOT, "the token is empty.", advice="Set the connection's auth.token.")
    return secret
