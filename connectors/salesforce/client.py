"""Signed-in calls to one org: one re-login at most, no blind repetition, every failure named.

The transport is simple-salesforce, but never its own refresh (unbounded for ``sf.Lead``, racy, and it drops the call's
headers) and never its ``SFType``. Source: REST API Developer Guide; section numbers of errors are in `refusals`.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from email.utils import parsedate_to_datetime
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

from connectors.errors import (
    ConnectorError,
    OutcomeUnknown,
    RetryLater,
    RunCannotContinue,
    SignInRefused,
    UnexpectedAnswer,
)
from connectors.kept_token import KeptToken
from connectors.records import Crm, DayQuota
from connectors.retry import Patience, patiently
from connectors.salesforce import soql
from connectors.salesforce.quota import DayShare
from connectors.salesforce.refusals import (
    Garbled,
    NotPossible,
    Refused,
    SignInAgain,
    redacted,
    refusal,
    sign_in_refusal,
)
from connectors.salesforce.settings import (
    ClientCredentials,
    Jwt,
    PasswordToken,
    RefreshToken,
    SalesforceSettings,
    Session,
    on_salesforce,
)
from connectors.unsaid import unsaid

if TYPE_CHECKING:
    import requests
    from simple_salesforce import Salesforce

__all__ = ["Client", "Identity", "LostPlace", "unread"]

T = TypeVar("T")

_READING = ("pull", "count", "bulk")
"""How the kinds of calls begin that read changes, and so leave alone what is kept for writing."""

_LOST_PLACES = 3
"""Times that a small query is asked anew because the server no longer knows its cursor."""

_ID_URL = re.compile(r"/id/(00D[A-Za-z0-9]{12,15})/(005[A-Za-z0-9]{12,15})")
_SOAP_USER = re.compile(rb"<(?:\w+:)?userId[^>]*>\s*(005[A-Za-z0-9]{12,15})\s*<")


class LostPlace(UnexpectedAnswer):
    """The pages of a query do not lead to its end."""

    def __init__(self, problem: str) -> None:
        super().__init__(Crm.SALESFORCE, problem, status=200)


def unread(url: str, asked: set[str]) -> str:
    """The address of a page, noted in ``asked``. LostPlace when it is there: who follows it never comes to an end."""
    if url in asked:
        raise LostPlace("the pages of a query lead back to one that was read.")
    asked.add(url)
    return url


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom the token speaks for, as far as the sign-in told."""

    org_id: str | None = None
    user_id: str | None = None


class Client:
    """One org. Opens no connection before the first call; safe to call from one thread at a time.

    Every method may raise RetryLater (patience used up), RunCannotContinue or UnexpectedAnswer; `send` also
    OutcomeUnknown, and then nobody knows whether it was carried out.
    """

    def __init__(
        self,
        settings: SalesforceSettings,
        *,
        patience: Patience,
        sleep: Callable[[float], object],
        monotonic: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.calls: Counter[str] = Counter()
        self.identity = Identity()
        self.clock: datetime | None = None
        self._patience = patience
        self._sleep = sleep
        self._monotonic = monotonic
        self._day = DayShare(settings.share_of_day, monotonic, kept=settings.kept_for_writing)
        self._session: requests.Session | None = None
        self._wire: Salesforce | None = None
        self._signing_in = threading.Lock()
        auth = settings.auth
        self._kept = KeptToken(auth.refresh_token, auth.kept_in) if isinstance(auth, RefreshToken) else None
        self._locked_out: SignInRefused | None = None
        self._heard = threading.local()

    # -- calls -----------------------------------------------------------------------------------------------------

    def query(self, text: str, *, kind: str = "query", deleted: bool = False, loose: bool = False) -> Mapping[str, Any]:
        """The first page of a SOQL query: ``{"records", "done", "nextRecordsUrl"?, "totalSize"}``.

        ``deleted`` asks ``queryAll``: rows in the recycle bin, merged rows and archived activities as well. ``loose``:
        rows may be anything, the caller looks at each; else one that is none, or nobody's, is an UnexpectedAnswer.
        """
        path = f"{'queryAll' if deleted else 'query'}/?q={soql.address(text)}"
        answer = self._read(kind, lambda wire: _said(wire.restful(path)))
        return self._page(answer, ids=soql.asks_for_ids(text), loose=loose)

    def more(self, next_url: str, *, kind: str = "query", ids: bool = False, loose: bool = False) -> Mapping[str, Any]:
        """The page behind a ``nextRecordsUrl``. ``ids``: its query asked for them. ``loose`` as in `query`."""
        path = self._path(next_url)
        answer = self._read(kind, lambda wire: _said(wire.query_more(path, identifier_is_url=True)))
        return self._page(answer, ids=ids, loose=loose)

    @staticmethod
    def _path(next_url: str) -> str:
        parts = urlsplit(next_url)  # documented as a path; a whole address is cut down to one, the host stays ours
        path = parts._replace(scheme="", netloc="").geturl()
        if not path.startswith("/services/"):
            raise UnexpectedAnswer(Crm.SALESFORCE, "the address of the next page is no path of the API.", status=200)
        return path

    def rest_for(self, seconds: float) -> None:
        """Let time pass between two calls."""
        self._sleep(seconds)

    def rows(
        self, text: str, *, kind: str = "query", deleted: bool = False, loose: bool = False
    ) -> list[Mapping[str, Any]]:
        """All rows of a small query, from its start again where the server loses its place in them."""
        return self.rest(lambda: self.query(text, kind=kind, deleted=deleted, loose=loose), kind=kind, loose=loose)

    def rest(
        self, first: Callable[[], Mapping[str, Any]], *, kind: str, loose: bool = False
    ) -> list[Mapping[str, Any]]:
        """The rows of a query whose first page ``first`` asks for, and of all pages behind it."""
        for again in range(_LOST_PLACES, -1, -1):
            page = first()
            found, asked, counted = list(page["records"]), set[str](), page.get("totalSize")
            ids = not loose and bool(found) and "Id" in found[0]
            try:
                while not page["done"]:
                    page = self.more(unread(page["nextRecordsUrl"], asked), kind=kind, ids=ids, loose=loose)
                    found += page["records"]
                if isinstance(counted, int) and len(found) < counted:
                    raise LostPlace(f"a query ended after {len(found)} of {counted} rows.")
            except LostPlace:
                if not again:
                    raise
            except Refused:  # the cursor is gone, by whatever name: INVALID_QUERY_LOCATOR, or not found
                if not again:
                    raise
            else:
                return found
        raise AssertionError("the last round returns or raises")

    def several(self, texts: Sequence[str], *, kind: str) -> list[list[Mapping[str, Any]] | None]:
        """All rows of each of at most five small queries, for one call. None: not to be had so, ask for it by itself.

        The caller looks at each row, as after a ``loose`` `query`. Source: REST API "Composite". Asking is all that is
        done, so it is tried again like a read.
        """
        base = f"/services/data/v{self.settings.api_version}/query/?q="
        asked = [
            {"method": "GET", "url": base + soql.address(text), "referenceId": f"query{number}"}
            for number, text in enumerate(texts)
        ]
        try:
            answer = self.send(
                "POST", "composite", {"allOrNone": False, "compositeRequest": asked}, kind=kind, harmless=True
            )
        except (Refused, NotPossible):
            answer = None
        parts = answer.get("compositeResponse") if isinstance(answer, dict) else None
        said = {part.get("referenceId"): part for part in parts or () if _refers(part)}
        return [self._part(said.get(f"query{number}"), text, kind) for number, text in enumerate(texts)]

    def _part(self, part: Mapping[str, Any] | None, text: str, kind: str) -> list[Mapping[str, Any]] | None:
        """The rows of one query of several, those behind its first page included."""
        if part is None or part.get("httpStatusCode") != 200:
            return None
        try:
            begun = iter([self._page(part.get("body"), ids=False, loose=True)])
        except UnexpectedAnswer:
            return None
        return self.rest(lambda: next(begun, None) or self.query(text, kind=kind, loose=True), kind=kind, loose=True)

    def get(self, path: str, *, kind: str) -> Any:
        """A resource under ``/services/data/vXX.0/``, which is never an empty one."""
        return self._read(kind, lambda wire: _said(wire.restful(path)))

    def fetched(
        self, path: str, read: Callable[[requests.Response], T], *, kind: str, accept: str = "application/json"
    ) -> T:
        """A resource as ``read`` understands its answer; ValueError of it is an answer that cannot be read.

        ``path``: under ``/services/data/vXX.0/``, or a ``nextRecordsUrl``.
        """
        whole = self._path(path) if path.startswith(("/", "http")) else None

        def call(wire: Salesforce) -> T:
            url = f"https://{wire.sf_instance}{whole}" if whole is not None else f"{wire.base_url}{path}"
            # the package's one way to an answer that it has not decoded
            return read(wire._call_salesforce("GET", url, name=kind, headers={"Accept": accept}))

        return self._read(kind, call)

    def upload(self, path: str, content: bytes, *, kind: str, type: str) -> None:
        """Put content where it does nothing yet: sent again like a read."""

        def call(wire: Salesforce) -> None:
            headers = {"Content-Type": type}
            wire._call_salesforce("PUT", f"{wire.base_url}{path}", name=kind, data=content, headers=headers)

        self._in_time(lambda: self._exchange(kind, call, write=False))

    def send(self, method: str, path: str, body: object, *, kind: str, harmless: bool = False) -> Any:
        """Something that may change the org. Sent again only where it certainly was not carried out.

        ``harmless``: carried out twice it is no worse than once, and it is tried again like a read. Body None: none.
        """
        import msgspec

        content = None if body is None else msgspec.json.encode(body)
        if harmless:
            return self._read(kind, lambda wire: wire.restful(path, method=method, data=content))
        return patiently(
            lambda: self._exchange(kind, lambda wire: wire.restful(path, method=method, data=content), write=True),
            patience=self._patience,
            sleep=self._sleep,
            monotonic=self._monotonic,
        )

    def sign_in(self) -> Identity:
        """Whom the credentials speak for. Signs in unless that is done already."""
        self._in_time(self._signed_in)
        return self.identity

    def ask_who(self) -> Identity:
        """As `sign_in`; where that told no user, what ``userinfo`` says, if the token may ask it."""
        if self.sign_in().user_id is None:
            try:
                said = self._read("sign in", lambda wire: wire.oauth2("userinfo"))
            except (RunCannotContinue, UnexpectedAnswer):
                return self.identity
            user = said.get("user_id") if isinstance(said, dict) else None
            if isinstance(user, str) and soql.is_id(user):
                self.identity = Identity(org_id=self.identity.org_id, user_id=soql.id18(user))
        return self.identity

    def day(self) -> DayQuota | None:
        """What is left for mqlsync of the org's rolling day; None while no answer has told."""
        return self._day.now()

    @property
    def problem(self) -> str:
        """What is wrong with the sign-in although calls go on; "" as a rule."""
        return self._kept.problem if self._kept is not None else ""

    def try_again(self) -> None:
        """Sign in once more although that was refused: somebody may have put it right since."""
        self._locked_out = None

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = self._wire = None

    def _read(self, kind: str, call: Callable[[Salesforce], T]) -> T:
        return self._in_time(lambda: self._exchange(kind, call, write=False))

    def _in_time(self, call: Callable[[], T]) -> T:
        """Tried again as long as patience lasts. What nobody can read even then is no outage but a wrong answer."""
        try:
            return patiently(call, patience=self._patience, sleep=self._sleep, monotonic=self._monotonic)
        except Garbled as error:
            raise UnexpectedAnswer(Crm.SALESFORCE, error.problem, status=error.status, advice=error.advice) from None

    @staticmethod
    def _page(answer: Any, *, ids: bool, loose: bool = False) -> Mapping[str, Any]:
        """A query's answer with ``done`` certain. Some servers leave ``nextRecordsUrl`` or ``done`` out at the end.

        ``ids``: every row has to have one, or nobody could say whose it is.
        """
        if not isinstance(answer, dict) or not isinstance(answer.get("records"), list):
            raise UnexpectedAnswer(Crm.SALESFORCE, "a query was answered without records.", status=200)
        for row in () if loose else answer["records"]:
            if not isinstance(row, dict) or (ids and not _is_named(row.get("Id"))):
                raise UnexpectedAnswer(Crm.SALESFORCE, "a query was answered with a row that is none.", status=200)
        following, done = answer.get("nextRecordsUrl"), answer.get("done")
        done = not following if done is None else done
        if not done and not following:
            raise UnexpectedAnswer(
                Crm.SALESFORCE, "a query says that there is more, but not where to read it.", status=200
            )
        return {**answer, "done": done}

    # -- one request -----------------------------------------------------------------------------------------------

    def _exchange(self, kind: str, call: Callable[[Salesforce], T], *, write: bool) -> T:
        """One request; when the session is over, one sign-in and the request once more."""
        wire = self._signed_in()
        try:
            return self._once(kind, call, wire, write=write)
        except SignInAgain:
            wire = self._signed_in(instead_of=wire)
        try:
            return self._once(kind, call, wire, write=write)
        except SignInAgain:
            raise SignInRefused(
                Crm.SALESFORCE,
                "the session is refused right after signing in.",
                advice="The token must be good for the REST API (scope api), and base_url the My Domain, "
                "not a lightning.force.com address.",
            ) from None

    def _once(self, kind: str, call: Callable[[Salesforce], T], wire: Salesforce, *, write: bool) -> T:
        import requests
        from simple_salesforce.exceptions import SalesforceError

        self._may_call(kind)
        self._count(kind)
        # `from None` throughout: the package's and requests' texts carry the URL, and with it names and addresses
        try:
            return call(wire)
        except SalesforceError as error:
            raise self._refused(error.status, write=write) from None
        except requests.RequestException as error:
            raise self._broken(error, write=write) from None
        except ValueError:  # msgspec's, that of a codec, and that of a reader of our own
            raise self._unreadable(write=write) from None

    @property
    def _last(self) -> requests.Response | None:
        """This thread's newest answer; None while a request is on its way."""
        last: requests.Response | None = getattr(self._heard, "answer", None)
        return last

    @_last.setter
    def _last(self, answer: requests.Response | None) -> None:
        self._heard.answer = answer

    def _may_call(self, kind: str) -> None:
        why = self._day.spent(kept_too=not kind.startswith(_READING))
        if why is not None:
            raise RunCannotContinue(
                Crm.SALESFORCE,
                f"{why}.",
                advice="Nothing more was sent. Run again later, or raise limits.share_of_day.",
                quota=True,
            )

    def _count(self, kind: str) -> None:
        self.calls[kind] += 1
        self._day.call()
        self._last = None

    def _saw(self, answer: requests.Response, *_: object, **__: object) -> None:
        """Called by the session with every answer, refused ones included."""
        self._last = answer
        self._day.saw(answer.headers.get("Sforce-Limit-Info"))
        date = answer.headers.get("Date")
        if date is not None:
            try:
                self.clock = parsedate_to_datetime(date)
            except ValueError:
                return  # a server without a readable clock keeps the last reading

    def _refused(self, status: int, *, write: bool) -> ConnectorError | SignInAgain:
        content = self._said(self._last) if self._last is not None else b""
        after = self._last.headers.get("Retry-After") if self._last is not None else None
        return refusal(status, content, write=write, retry_after=after, now=self.clock)

    def _said(self, answer: requests.Response) -> bytes:
        """A body without what was sent in secret."""
        from connectors.salesforce.transport import sent_in_secret

        auth = self.settings.auth
        configured = [getattr(auth, one.name) for one in fields(auth) if not one.repr]
        return unsaid(answer.content, [*sent_in_secret(answer.request), *(text for text in configured if text)])

    def _broken(self, error: requests.RequestException, *, write: bool) -> ConnectorError:
        """A request without an answer."""
        from requests import exceptions as broken

        from connectors.salesforce.transport import never_sent

        what = type(error).__name__
        if isinstance(error, broken.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return RunCannotContinue(
                Crm.SALESFORCE, "its certificate is not trusted here.", advice="Check base_url and the proxy."
            )
        if isinstance(error, broken.InvalidURL | broken.InvalidSchema | broken.InvalidHeader | broken.MissingSchema):
            return RunCannotContinue(Crm.SALESFORCE, f"its address or token cannot be used ({what}).")
        if never_sent(error) or not write:
            return RetryLater(Crm.SALESFORCE, f"no connection, or it broke off ({what}).")
        return OutcomeUnknown(
            Crm.SALESFORCE, f"the connection broke before the answer ({what}).", advice="Read the records back."
        )

    def _unreadable(self, *, write: bool) -> ConnectorError:
        if write:
            return OutcomeUnknown(
                Crm.SALESFORCE, "a write was answered with something unreadable.", advice="Read the records back."
            )
        return Garbled(
            Crm.SALESFORCE,
            "a read was answered with something that is no JSON (a proxy, or an outage page).",
            status=200,
            advice="Check base_url and the proxy; nothing was changed.",
        )

    # -- signing in ------------------------------------------------------------------------------------------------

    def _signed_in(self, *, instead_of: Salesforce | None = None) -> Salesforce:
        """The current client of the package; a new one when the one given has lost its session.

        Whoever comes second finds the token that the first has fetched: servers may end the old token at each login.
        """
        with self._signing_in:
            if self._wire is None or self._wire is instead_of:
                self._wire = None
                token, host = self._sign_in(expired=instead_of is not None)
                from connectors.salesforce.transport import open_wire

                self._wire = open_wire(self._open_session(), token, host, self.settings.api_version)
            return self._wire

    def _open_session(self) -> requests.Session:
        if self._session is None:
            from connectors.salesforce.transport import Waits, open_session

            connect, between = self.settings.timeout
            waits = Waits(
                connect=connect, write=between, read=self.settings.query_within, answer=self.settings.answer_within
            )
            self._session = open_session(
                self.settings.base_url,
                waits=waits,
                monotonic=self._monotonic,
                proxy=self.settings.proxy,
                saw=self._saw,
            )
        return self._session

    def _sign_in(self, *, expired: bool) -> tuple[str, str]:
        """Token and instance host."""
        auth = self.settings.auth
        if isinstance(auth, Session):
            if expired:
                raise SignInRefused(
                    Crm.SALESFORCE,
                    "the session_id has expired or is not valid for the REST API.",
                    advice="Give a new one, or an auth block that can sign in by itself.",
                )
            self.identity = Identity(org_id=_org_of(auth.session_id))
            return auth.session_id, self.settings.host
        token, host = self._granted()
        self._learn_identity(token)
        if not self.settings.loopback and not on_salesforce(host.partition(":")[0]):
            raise RunCannotContinue(
                Crm.SALESFORCE,
                f"the sign-in sent us to {host}, which is not a Salesforce domain; nothing was sent there.",
                advice="Check base_url and the proxy.",
                credentials=True,
            )
        return token, host

    def _granted(self) -> tuple[str, str]:
        """Token and host from whichever flow is configured. A refusal is final until `try_again`."""
        if self._locked_out is not None:
            raise self._locked_out
        try:
            if self._kept is None:
                return self._log_in(self._by_package)
            with self._kept.held() as refresh_token:
                granted = self._log_in(lambda: self._by_refresh_token(refresh_token))
                rotated = self._rotated()
                if rotated is not None and rotated != refresh_token:
                    self._kept.keep(rotated)
                return granted
        except OSError as error:
            raise RunCannotContinue(
                Crm.SALESFORCE,
                f"the file of the refresh token cannot be used: {error.strerror}.",
                advice="Make it readable and writable, or name another: auth.refresh_token_file.",
                credentials=True,
            ) from None
        except SignInRefused as error:
            self._locked_out = error
            raise

    def _by_package(self) -> tuple[str, str]:
        from simple_salesforce.login import SalesforceLogin

        found: tuple[str, str] = SalesforceLogin(
            session=self._open_session(), sf_version=self.settings.api_version, **self._login_arguments()
        )
        return found

    def _by_refresh_token(self, refresh_token: str) -> tuple[str, str]:
        """The one flow the package does not have, sent and read by its own means."""
        from simple_salesforce.login import token_login

        auth = self.settings.auth
        assert isinstance(auth, RefreshToken)
        form = {"grant_type": "refresh_token", "client_id": auth.consumer_key, "refresh_token": refresh_token}
        if auth.consumer_secret is not None:
            form["client_secret"] = auth.consumer_secret
        url = f"https://{self.settings.domain}.salesforce.com/services/oauth2/token"
        found: tuple[str, str] = token_login(
            url, form, self.settings.domain, auth.consumer_key, None, None, self._open_session()
        )
        return found

    def _rotated(self) -> str | None:
        """The refresh token of the newest answer, which apps that rotate them send along."""
        import msgspec

        answer = self._last
        try:
            said = msgspec.json.decode(answer.content) if answer is not None else None
        except msgspec.DecodeError:
            return None
        token = said.get("refresh_token") if isinstance(said, dict) else None
        return token if isinstance(token, str) and token else None

    def _log_in(self, send: Callable[[], tuple[str, str]]) -> tuple[str, str]:
        import jwt
        import requests
        from simple_salesforce.exceptions import SalesforceError

        self._open_session()
        self._count("sign in")
        try:
            with warnings.catch_warnings():
                # the package prints how to approve an app in a browser; our error says it
                warnings.simplefilter("ignore", UserWarning)
                token, host = send()
        except requests.RequestException as error:
            raise self._broken(error, write=False) from None
        except (jwt.PyJWTError, ValueError) as error:
            if self._last is not None:  # it was sent, so it is the answer that cannot be read
                raise self._sign_in_refused() from None
            raise SignInRefused(
                Crm.SALESFORCE,
                f"the private key cannot sign ({type(error).__name__}).",
                advice="It must be an RSA key in PEM form.",
            ) from None
        except (SalesforceError, AttributeError, TypeError, ExpatError):
            # besides its own error the package stumbles over answers that are neither token nor error
            raise self._sign_in_refused() from None
        if not isinstance(token, str) or not token or not isinstance(host, str):
            raise self._sign_in_refused()
        return token, host.split("/", 1)[0]

    def _sign_in_refused(self) -> ConnectorError:
        last = self._last
        if last is None:
            return UnexpectedAnswer(Crm.SALESFORCE, "signing in failed before anything was sent.", status=0)
        return sign_in_refusal(last.status_code, self._said(last), retry_after=last.headers.get("Retry-After"))

    def _login_arguments(self) -> dict[str, str]:
        """What the package's login needs for the configured flow."""
        settings = self.settings
        match settings.auth:
            case ClientCredentials() as app:
                return {
                    "consumer_key": app.consumer_key,
                    "consumer_secret": app.consumer_secret,
                    "domain": settings.domain,
                }
            case PasswordToken() as user:
                return {
                    "username": user.username,
                    "password": user.password,
                    "security_token": escape(user.security_token),  # the package escapes the other two only
                    "domain": settings.domain,
                }
            case Jwt() as signed:
                return {
                    "username": signed.username,
                    "consumer_key": signed.consumer_key,
                    "privatekey": self._private_key(signed),
                    "instance_url": settings.domain,  # a prefix, despite its name
                    "domain": settings.audience,
                }
            case RefreshToken() | Session():
                raise AssertionError("the package signs in by neither")

    @staticmethod
    def _private_key(auth: Jwt) -> str:
        if auth.private_key is not None:
            return auth.private_key
        try:
            with open(str(auth.private_key_file), encoding="ascii") as file:
                return file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise RunCannotContinue(
                Crm.SALESFORCE,
                f"private_key_file {auth.private_key_file} cannot be read: {redacted(str(error))}.",
                credentials=True,
            ) from None

    def _learn_identity(self, token: str) -> None:
        """Org and user from the token answer's ``id`` address, SOAP's ``userId``, or the token itself."""
        content = self._last.content if self._last is not None else b""
        named = _ID_URL.search(content.decode("utf-8", "replace").replace("\\/", "/"))
        if named is not None:
            self.identity = Identity(org_id=soql.id18(named[1]), user_id=soql.id18(named[2]))
            return
        user = _SOAP_USER.search(content)
        self.identity = Identity(
            org_id=_org_of(token) or self.identity.org_id,
            user_id=soql.id18(user[1].decode()) if user else self.identity.user_id,
        )


def _said(answer: Any) -> Any:
    """What a read was answered. The package makes None of a 204, of ``{}`` and of ``[]``: something else answered."""
    if answer is None:
        raise ValueError("nothing was said")
    return answer


def _org_of(token: str) -> str | None:
    """A session id is ``<15-character org id>!<secret>``."""
    org, bang, _ = token.partition("!")
    return soql.id18(org) if bang and org.startswith("00D") and soql.is_id(org) else None


def _is_named(id: Any) -> bool:
    return isinstance(id, str) and id != ""


def _refers(part: Any) -> bool:
    return isinstance(part, dict) and _is_named(part.get("referenceId"))
