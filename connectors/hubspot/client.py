"""One portal over the wire: the package's low-level call, with our paths, budgets, timeouts and error table.

The order of one call is fixed: budget, call, body, status, decode. Tenacity around it is the only thing that tries
again, and it never repeats a write that may have been carried out.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from connectors.errors import ConnectorError, OutcomeUnknown, RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.hubspot.answers import decode
from connectors.hubspot.refusals import EdgeRefused, Garbled, Refused, SignInAgain, refusal, seconds
from connectors.hubspot.settings import ApiVersion, HubSpotSettings, OAuth
from connectors.pacing import Budget, DayBudget
from connectors.records import Crm
from connectors.retry import Patience, patiently

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PLURAL", "Answer", "Client", "Paths"]

T = TypeVar("T")

_EARLY = 300.0
"""Seconds before its end at which an OAuth token is replaced; half its life if that is shorter."""

PLURAL: Mapping[str, str] = MappingProxyType({"contact": "contacts", "company": "companies", "task": "tasks"})
"""Our name of an object -> its name in paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where each call goes in one version of the API. The only place that knows a version."""

    objects: str
    properties: str
    associations: str
    owners: str
    account: str
    forms: tuple[str, ...]
    submissions: str
    token: tuple[str, ...]

    @classmethod
    def of(cls, version: ApiVersion) -> Paths:
        return _PATHS[version]


_SUBMISSIONS = "/form-integrations/v1/submissions/forms"  # has no successor yet, nor a stable one the list of forms
_V3_FORMS, _NEW_FORMS = "/marketing/v3/forms", "/marketing/forms/2026-09-beta"
_V1_TOKEN, _NEW_TOKEN = "/oauth/v1/token", "/oauth/2026-03/token"  # paths. v1 ends on 2027-02-16

_PATHS: Mapping[ApiVersion, Paths] = MappingProxyType(
    {
        "v3": Paths(
            objects="/crm/v3/objects",
            properties="/crm/v3/properties",
            associations="/crm/v4/associations",
            owners="/crm/v3/owners",
            account="/account-info/v3/details",
            forms=(_V3_FORMS, _NEW_FORMS),
            submissions=_SUBMISSIONS,
            token=(_NEW_TOKEN, _V1_TOKEN),
        ),
        "2026-03": Paths(
            objects="/crm/objects/2026-03",
            properties="/crm/properties/2026-03",
            associations="/crm/associations/2026-03",
            owners="/crm/owners/2026-03",
            account="/account-info/2026-03/details",
            forms=(_V3_FORMS, _NEW_FORMS),
            submissions=_SUBMISSIONS,
            token=(_NEW_TOKEN,),
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float = 1800.0
    refresh_token: str | None = None


class Client:
    """One portal. Opens no connection before the first call.

    `read` repeats whatever fails in passing and may raise RetryLater, RunCannotContinue, UnexpectedAnswer or `Refused`.
    `write` repeats only what was certainly not done; OutcomeUnknown says that nobody knows.
    """

    def __init__(
        self,
        settings: HubSpotSettings,
        *,
        patience: Patience,
        sleep: Callable[[float], object],
        monotonic: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.paths = Paths.of(settings.api_version)
        self.calls: Counter[str] = Counter()
        self.clock: datetime | None = None
        self.zone: ZoneInfo | None = None
        self._clock_at = 0.0
        self._patience = patience
        self._sleep = sleep
        self._monotonic = monotonic
        self._general = Budget(settings.per_10_seconds, 10.0, monotonic=monotonic, sleep=sleep)
        self._search = Budget(settings.search_per_second, 1.0, monotonic=monotonic, sleep=sleep)
        self._day = DayBudget(Crm.HUBSPOT, settings.per_day, today=self._today)
        self._api: Any = None
        self._signing_in = threading.Lock()
        self._refresh_token = settings.token.refresh_token if isinstance(settings.token, OAuth) else ""
        self._renew_at = float("inf")
        self._sign_in_failed: RunCannotContinue | None = None

    # -- paths -----------------------------------------------------------------------------------------------------

    def objects(self, object: str, *rest: str) -> str:
        return "/".join((self.paths.objects, PLURAL[object], *(quote(part, safe="") for part in rest)))

    def properties(self, object: str, *rest: str) -> str:
        return "/".join((self.paths.properties, PLURAL[object], *(quote(part, safe="") for part in rest)))

    # -- calls -----------------------------------------------------------------------------------------------------

    def read(
        self,
        kind: str,
        method: Literal["GET", "POST"],
        path: str,
        *,
        read: Callable[[bytes], T],
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
    ) -> T:
        """What ``read`` makes of the answer. ``read`` raises msgspec.DecodeError for what it cannot use."""

        def once() -> T:
            answer = self._exchange(kind, method, path, query=query, body=body, write=False)
            try:
                return read(answer.body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Garbled(
                    Crm.HUBSPOT,
                    f"{kind} was answered with HTTP {answer.status} and an unreadable body ({error}).",
                    status=answer.status,
                ) from None

        try:
            return patiently(once, patience=self._patience, sleep=self._sleep, monotonic=self._monotonic)
        except Garbled as error:
            raise UnexpectedAnswer(
                Crm.HUBSPOT,
                error.problem,
                status=error.status,
                advice="Something between here and HubSpot answers in its place, or the API has changed.",
            ) from error
        except EdgeRefused as error:
            raise RunCannotContinue(
                Crm.HUBSPOT,
                error.problem,
                advice="This is how a token of the wrong form is answered.",
                credentials=True,
            ) from error

    def write(
        self,
        kind: str,
        method: Literal["POST", "PATCH"],
        path: str,
        body: object,
        *,
        repeatable: bool = False,
        patience: Patience | None = None,
    ) -> Answer:
        """The answer (200, 201, 204 or 207), or OutcomeUnknown; `Refused` and RetryLater mean that nothing was done.

        ``repeatable``: doing it twice is the same as once, so it is tried again instead, and RetryLater may then mean
        that it was done.
        """

        def once() -> Answer:
            try:
                return self._exchange(kind, method, path, body=body, write=True)
            except OutcomeUnknown as unknown:
                if not repeatable:
                    raise
                raise RetryLater(Crm.HUBSPOT, unknown.problem) from unknown

        return patiently(once, patience=patience or self._patience, sleep=self._sleep, monotonic=self._monotonic)

    def close(self) -> None:
        if self._api is not None:
            self._api.rest_client.pool_manager.clear()
            self._api.close()
            self._api = None

    # -- one request -----------------------------------------------------------------------------------------------

    def _exchange(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        write: bool,
    ) -> Answer:
        """One request, and a second one where the token was over."""
        search = kind == "search"
        self._sign_in(because_refused=False)
        try:
            return self._send(kind, method, path, query=query, body=body, write=write, search=search)
        except SignInAgain as refused:
            if not self._sign_in(because_refused=True):
                raise self._no_longer_valid(refused) from None
        try:
            return self._send(kind, method, path, query=query, body=body, write=write, search=search)
        except SignInAgain as refused:
            raise self._no_longer_valid(refused) from None

    def _send(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        form: Sequence[tuple[str, str]] = (),
        write: bool,
        search: bool = False,
    ) -> Answer:
        self._day.acquire()
        self._general.acquire()
        if search:
            self._search.acquire()
        self.calls[kind] += 1
        status, content, headers = self._call(kind, method, path, query=query, body=body, form=form, write=write)
        self._heed(headers, search=search)
        if 200 <= status < 300:
            return Answer(status=status, body=content)
        after = seconds(headers.get("Retry-After"), self.clock)
        error = refusal(status, content, request=kind, write=write, after=after)
        if status == 429 and isinstance(error, RetryLater) and error.after is not None:
            (self._search if search else self._general).penalise(error.after)
        raise error

    def _call(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]],
        body: object,
        form: Sequence[tuple[str, str]],
        write: bool,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """(status, body, headers) of whatever came back, ConnectorError when nothing usable did."""
        api = self._open()
        try:
            response = api.call_api(
                path,
                method,
                query_params=list(query),
                header_params={"Content-Type": "application/x-www-form-urlencoded"} if form else {},
                body=body,
                post_params=list(form),
                auth_settings=[] if form else ["oauth2"],
                _preload_content=False,
                _request_timeout=self.settings.timeout,
            )
            return response.status, response.data, response.headers
        except Exception as error:  # noqa: BLE001  # each module of the package has error classes of its own
            refused = _refused_answer(error)
            if refused is not None:
                return refused
            self._broken(kind, error, write=write)

    def _broken(self, kind: str, error: Exception, *, write: bool) -> NoReturn:
        """The exchange itself failed: say whether the request can have reached HubSpot."""
        from urllib3 import exceptions as broken

        # A broken TLS exchange is an ApiException without a body, which the package then fails to decode.
        tls = isinstance(error, broken.SSLError) or getattr(error.__context__, "status", None) == 0
        if tls and "CERTIFICATE" in f"{error} {getattr(error.__context__, 'reason', '')}".upper():
            raise RunCannotContinue(
                Crm.HUBSPOT,
                f"the certificate of {self.settings.host} is not trusted here.",
                advice="Check base_url and proxy, and the machine's certificate authorities. Nothing was sent.",
            ) from error
        if not tls and not isinstance(error, broken.HTTPError | OSError):
            raise error
        cause = error.original_error if isinstance(error, broken.ProxyError) else error
        why = "the TLS exchange failed" if tls else type(cause).__name__
        never_sent = isinstance(cause, broken.NewConnectionError | broken.ConnectTimeoutError)
        if never_sent or not write:
            raise RetryLater(Crm.HUBSPOT, f"{kind}: no answer ({why}).") from error
        raise OutcomeUnknown(
            Crm.HUBSPOT, f"{kind} was sent and got no answer ({why}).", advice="Read the records back."
        ) from error

    def _open(self) -> Any:
        """The package's API client: one for every call, so that connections are kept."""
        if self._api is None:
            from hubspot import HubSpot

            wanted: dict[str, object] = {"host": self.settings.host, "base_url": self.settings.host, "retry": False}
            if self.settings.proxy:
                wanted["proxy"] = self.settings.proxy
            if not isinstance(self.settings.token, OAuth):
                wanted["access_token"] = self._token()
            api = HubSpot(**wanted).crm.contacts.basic_api.api_client
            api.set_default_header("Accept", "application/json")
            api.set_default_header("Accept-Encoding", "gzip")
            self._api = api
        return self._api

    # -- what headers say ------------------------------------------------------------------------------------------

    def _heed(self, headers: Mapping[str, str], *, search: bool) -> None:
        stamp = headers.get("Date")
        if stamp:
            try:
                self.clock = parsedate_to_datetime(stamp).astimezone(UTC)
                self._clock_at = self._monotonic()
            except ValueError:
                pass  # a proxy's fantasy; the next answer brings another
        if search:
            return
        limit, left = _whole(headers, "X-HubSpot-RateLimit-Max"), _whole(headers, "X-HubSpot-RateLimit-Remaining")
        if left is not None:
            self._general.saw(remaining=left, limit=limit)
        today = _whole(headers, "X-HubSpot-RateLimit-Daily-Remaining")
        if today is not None:
            self._day.saw(today)

    def _today(self) -> date:
        """The account's calendar day, by its own clock as far as it is known."""
        if self.clock is None:
            return datetime.now(UTC).date()
        now = self.clock + timedelta(seconds=self._monotonic() - self._clock_at)
        return now.astimezone(self.zone or UTC).date()

    # -- signing in ------------------------------------------------------------------------------------------------

    def _sign_in(self, *, because_refused: bool) -> bool:
        """Have a token that should work. With ``because_refused``: whether there is another one to try."""
        token = self.settings.token
        if isinstance(token, str):
            return False
        api = self._open()
        with self._signing_in:
            if isinstance(token, OAuth):
                if because_refused or api.configuration.access_token is None or self._monotonic() >= self._renew_at:
                    api.configuration.access_token = self._refresh(token)
                return True
            if not because_refused:
                return False
            refused, api.configuration.access_token = api.configuration.access_token, token()
            return bool(api.configuration.access_token != refused)

    def _token(self) -> str:
        token = self.settings.token
        assert not isinstance(token, OAuth)
        secret = token if isinstance(token, str) else token()
        if not secret:
            raise RunCannotContinue(
                Crm.HUBSPOT, "the token is empty.", advice="Set the connection's auth.token.", credentials=True
            )
        return secret

    def _refresh(self, oauth: OAuth) -> str:
        """A new access token. A refusal is final: asking again with the same refresh token cannot help."""
        if self._sign_in_failed is not None:
            raise self._sign_in_failed
        form = [
            ("grant_type", "refresh_token"),
            ("client_id", oauth.client_id),
            ("client_secret", oauth.client_secret),
            ("refresh_token", self._refresh_token),
        ]
        try:
            answer = self._token_answer(form)
        except RunCannotContinue as error:
            if error.credentials:
                self._sign_in_failed = error
            raise
        try:
            token = decode(answer.body, _Token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Garbled(
                Crm.HUBSPOT, "signing in was answered with something that is no token.", status=answer.status
            ) from None
        if token.refresh_token and token.refresh_token != self._refresh_token:
            self._refresh_token = token.refresh_token
            if oauth.keep is not None:
                oauth.keep(token.refresh_token)
        life = max(token.expires_in, 0.0)
        self._renew_at = self._monotonic() + life - min(_EARLY, life / 2)
        return token.access_token

    def _token_answer(self, form: Sequence[tuple[str, str]]) -> Answer:
        refused: Refused | SignInAgain | None = None
        for path in self.paths.token:
            try:
                return self._send("token", "POST", path, form=form, write=False)
            except SignInAgain as error:
                refused = error
                break
            except Refused as error:
                refused = error
                if error.status != 404:
                    break
        assert refused is not None
        code = refused.refusal.what() if isinstance(refused, Refused) else "not authorised"
        raise RunCannotContinue(
            Crm.HUBSPOT,
            f"signing in was refused ({code}).",
            advice="Check client_id, client_secret and refresh_token; the app may have been uninstalled.",
            credentials=True,
        ) from refused

    def _no_longer_valid(self, refused: SignInAgain) -> ConnectorError:
        return RunCannotContinue(
            Crm.HUBSPOT,
            str(refused),
            advice="Set a valid token: this one is unknown, expired or rotated.",
            credentials=True,
        )


def _refused_answer(error: Exception) -> tuple[int, bytes, Mapping[str, str]] | None:
    """The answer inside one of the package's errors. It decodes the body as UTF-8 and fails itself where it is not."""
    seen = error.__context__ if isinstance(error, UnicodeDecodeError | AttributeError) else error
    status, headers, body = (getattr(seen, name, None) for name in ("status", "headers", "body"))
    if not isinstance(status, int) or status == 0 or headers is None:
        return None
    return status, body.encode() if isinstance(body, str) else body or b"", headers


def _whole(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name) or ""
    return int(text) if text.isdecimal() else None
