"""One portal over the wire: the package's low-level call, with our paths, budgets, timeouts and error table.

The order of one call is fixed: budget, call, body, status, decode. Tenacity around it is the only thing that tries
again, and it never repeats a write that may have been carried out.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec

from connectors.errors import (
    ConnectorError,
    OutcomeUnknown,
    RetryLater,
    RunCannotContinue,
    SignInRefused,
    UnexpectedAnswer,
)
from connectors.hubspot.refusals import EdgeRefused, Garbled, SignInAgain, refusal, seconds
from connectors.hubspot.settings import ApiVersion, HubSpotSettings
from connectors.hubspot.signing import SignIn
from connectors.pacing import Budget, DayBudget
from connectors.records import Crm, DayQuota
from connectors.retry import Patience, patiently
from connectors.unsaid import unsaid

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PLURAL", "Answer", "Client", "Paths"]

T = TypeVar("T")
S = TypeVar("S")

_FOR_WRITING = frozenset(
    {
        *("account", "usage", "token", "batch_read", "read", "associations"),
        *("properties", "properties_create", "properties_update", "property_groups", "batch_update", "task_create"),
    }
)
"""Kinds of calls that may be made from what is kept for writing: those that write, and those a write needs first."""

_CONFIDENTIAL = ("client_secret", "refresh_token")
"""Of the form that asks for a token."""

_WINDOW = 10
"""Seconds of the limit that holds for all calls but searches."""

_BURST = 0.5
"""Part of the calls of ten seconds that may go at once; the others are spread."""

PLURAL: Mapping[str, str] = MappingProxyType(
    {
        "contact": "contacts",
        "company": "companies",
        "task": "tasks",
        "meeting": "meetings",
        "call": "calls",
        "email": "emails",
    }
)
"""Our name of an object -> its name in paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where each call goes in one version of the API. The only place that knows a version."""

    objects: str
    properties: str
    associations: str
    owners: str
    account: str
    usage: str
    forms: tuple[str, ...]
    submissions: str
    email_events: str
    marketing_events: str
    occurrences: str
    dispositions: str
    token: tuple[str, ...]

    @classmethod
    def of(cls, version: ApiVersion) -> Paths:
        return _PATHS[version]


_SUBMISSIONS = "/form-integrations/v1/submissions/forms"  # has no successor yet, nor a stable one the list of forms
_EMAIL_EVENTS = "/email/public/v1/events"  # no successor either
_DISPOSITIONS = "/calling/v1/dispositions"  # nor here
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
            usage="/account-info/v3/api-usage/daily/private-apps",
            forms=(_V3_FORMS, _NEW_FORMS),
            submissions=_SUBMISSIONS,
            email_events=_EMAIL_EVENTS,
            marketing_events="/marketing/v3/marketing-events",
            occurrences="/events/v3/events",
            dispositions=_DISPOSITIONS,
            token=(_NEW_TOKEN, _V1_TOKEN),
        ),
        "2026-03": Paths(
            objects="/crm/objects/2026-03",
            properties="/crm/properties/2026-03",
            associations="/crm/associations/2026-03",
            owners="/crm/owners/2026-03",
            account="/account-info/2026-03/details",
            usage="/account-info/2026-03/api-usage/daily/private-apps",
            forms=(_V3_FORMS, _NEW_FORMS),
            submissions=_SUBMISSIONS,
            email_events=_EMAIL_EVENTS,
            marketing_events="/marketing/marketing-events/2026-03",
            occurrences="/events/event-occurrences/2026-03",
            dispositions=_DISPOSITIONS,
            token=(_NEW_TOKEN,),
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes


class Client:
    """One portal. Opens no connection before the first call. Thread safe.

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
        burst = max(int(settings.per_10_seconds * _BURST), 1)
        self._general = Budget(
            settings.per_10_seconds, float(_WINDOW), monotonic=monotonic, sleep=sleep, slack=0.01, at_once=burst
        )
        self._search = Budget(settings.search_per_second, 1.0, monotonic=monotonic, sleep=sleep, slack=0.04)
        self._day = DayBudget(Crm.HUBSPOT, settings.per_day, today=self._today, kept=settings.kept_for_writing)
        self.day_is_told = False
        self.sign_in = SignIn(settings.token, ask=self._token_answer, paths=self.paths.token, monotonic=monotonic)
        self._api: Any = None
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

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
            return self.patiently(once)
        except Garbled as error:
            raise UnexpectedAnswer(
                Crm.HUBSPOT,
                error.problem,
                status=error.status,
                advice="Something between here and HubSpot answers in its place, or the API has changed.",
            ) from error
        except EdgeRefused as error:
            raise SignInRefused(
                Crm.HUBSPOT, error.problem, advice="This is how a token of the wrong form is answered."
            ) from error

    def patiently(self, call: Callable[[], T], patience: Patience | None = None) -> T:
        """What ``call`` gives, tried again while it raises RetryLater and patience lasts."""
        return patiently(call, patience=patience or self._patience, sleep=self._sleep, monotonic=self._monotonic)

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

        return self.patiently(once, patience)

    def together(self, work: Callable[[S], T], parts: Sequence[S]) -> list[T]:
        """What ``work`` makes of each part, in their order, with up to `HubSpotSettings.at_once` of them under way.

        All of them are finished before this returns or raises; what is raised is the error of the first that failed.
        """
        if len(parts) < 2 or self.settings.at_once < 2:
            return [work(part) for part in parts]
        self._open()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.settings.at_once, thread_name_prefix="hubspot")
        under_way = [self._threads.submit(work, part) for part in parts]
        wait(under_way)
        return [one.result() for one in under_way]

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None
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
        token = self.sign_in.token()
        try:
            return self._send(kind, method, path, token=token, query=query, body=body, write=write)
        except SignInAgain as refused:
            another = self.sign_in.instead_of(token)
            if another is None:
                raise _no_longer_valid(refused) from None
        try:
            return self._send(kind, method, path, token=another, query=query, body=body, write=write)
        except SignInAgain as refused:
            raise _no_longer_valid(refused) from None

    def _send(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        token: str | None,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        form: Sequence[tuple[str, str]] = (),
        write: bool,
    ) -> Answer:
        search = kind == "search"
        self._day.acquire(kept_too=kind in _FOR_WRITING)
        with self._general.one_call():
            if search:
                self._search.acquire()
            with self._lock:
                self.calls[kind] += 1
            status, content, headers = self._call(
                kind, method, path, token=token, query=query, body=body, form=form, write=write
            )
        self._heed(headers, search=search)
        if 200 <= status < 300:
            return Answer(status=status, body=content)
        after = seconds(headers.get("Retry-After"), self.clock)
        sent_in_secret = [token or "", *(value for name, value in form if name in _CONFIDENTIAL)]
        error = refusal(status, unsaid(content, sent_in_secret), request=kind, write=write, after=after)
        if status == 429 and isinstance(error, RetryLater) and error.after is not None:
            (self._search if search else self._general).refused(error.after)
        if isinstance(error, RunCannotContinue) and error.quota:
            self._day.saw(0)  # asking again is no help before the day is over
        raise error

    def _call(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        token: str | None,
        query: Sequence[tuple[str, str]],
        body: object,
        form: Sequence[tuple[str, str]],
        write: bool,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """(status, body, headers) of whatever came back, ConnectorError when nothing usable did."""
        api = self._open()
        try:
            response = api.call_api(
                f"{path}?{_encoded(query)}" if query else path,  # the package would walk through it three times
                method,
                header_params={"Content-Type": "application/x-www-form-urlencoded"}
                if token is None
                else {"Authorization": f"Bearer {token}"},
                body=body,
                post_params=list(form),
                auth_settings=[],
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
        with self._lock:
            if self._api is None:
                self._api = self._made()
            return self._api

    def _made(self) -> Any:
        from hubspot import HubSpot

        from connectors.answer_time import end_answers

        wanted: dict[str, object] = {
            "host": self.settings.host,
            "base_url": self.settings.host,
            "retry": False,
            "connection_pool_maxsize": max(self.settings.at_once, 1),
        }
        if self.settings.proxy:
            wanted["proxy"] = self.settings.proxy
        api = HubSpot(**wanted).crm.contacts.basic_api.api_client
        end_answers(api.rest_client.pool_manager, within=self.settings.answer_within, monotonic=self._monotonic)
        api.set_default_header("Accept", "application/json")
        api.set_default_header("Accept-Encoding", "gzip")
        return api

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
        window = _whole(headers, "X-HubSpot-RateLimit-Interval-Milliseconds")
        if left is not None and window in (None, _WINDOW * 1000):  # some answers tell of another limit, of a second
            self._general.saw(remaining=left, limit=limit)
        today = _whole(headers, "X-HubSpot-RateLimit-Daily-Remaining")
        if today is not None:
            self.learn_day(left=today, limit=_whole(headers, "X-HubSpot-RateLimit-Daily"))

    def learn_day(self, *, left: int, limit: int | None) -> None:
        """What HubSpot says of the account's calls of this day."""
        self._day.saw(left, limit=limit)
        self.day_is_told = True

    def day(self) -> DayQuota | None:
        """The calls of this day, as HubSpot has told them; None while it has not."""
        if not self.day_is_told:
            return None
        here = self._here()
        midnight = datetime.combine(here.date() + timedelta(days=1), time(), here.tzinfo)
        return DayQuota(limit=self._day.limit, left=self._day.left, resets_at=midnight.astimezone(UTC))

    def _here(self) -> datetime:
        """The time where the account is, by its own clock as far as it is known."""
        now = datetime.now(UTC)
        if self.clock is not None:
            now = self.clock + timedelta(seconds=self._monotonic() - self._clock_at)
        return now.astimezone(self.zone or UTC)

    def _today(self) -> date:
        return self._here().date()

    # -- signing in ------------------------------------------------------------------------------------------------

    def _token_answer(self, path: str, form: Sequence[tuple[str, str]]) -> bytes:
        return self._send("token", "POST", path, token=None, form=form, write=False).body


def _encoded(query: Sequence[tuple[str, str]]) -> str:
    return "&".join([_pair(*pair) for pair in query])


@lru_cache(maxsize=1024)
def _pair(name: str, value: str) -> str:
    """A listing names its sixty properties for every page."""
    return urlencode([(name, value)])


def _no_longer_valid(refused: SignInAgain) -> ConnectorError:
    return SignInRefused(
        Crm.HUBSPOT, str(refused), advice="Set a valid token: this one is unknown, expired or rotated."
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
