"""How to reach one org, and as whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from connectors.address import is_loopback

__all__ = [
    "Auth",
    "Bulk",
    "ClientCredentials",
    "Jwt",
    "PasswordToken",
    "RefreshToken",
    "SalesforceSettings",
    "Session",
    "on_salesforce",
]

SALESFORCE_DOMAINS = (".salesforce.com", ".force.com", ".cloudforce.com", ".salesforce.mil")

PASSWORD_LOGIN_ENDS = 65.0
"""The first API version without SOAP ``login()``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """OAuth client credentials: the app's configured run-as user. Works at the org's My Domain only."""

    consumer_key: str
    consumer_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordToken:
    """SOAP ``login()`` with password and security token ("" where the IP range is trusted). Ends with API 65.0."""

    username: str
    password: str = field(repr=False)
    security_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwt:
    """OAuth JWT bearer, signed with RS256. The user must be pre-authorised for the app. One of the two keys."""

    username: str
    consumer_key: str
    private_key_file: str | Path | None = None
    private_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.private_key_file is None) == (self.private_key is None):
            raise ValueError("salesforce auth: give private_key_file or private_key, one of the two")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """OAuth refresh token of a user who has let the app in. ``consumer_secret`` None: the app asks for none.

    ``kept_in``: file for the one Salesforce returns instead, where the app rotates them (see `KeptToken`).
    """

    consumer_key: str
    refresh_token: str = field(repr=False)
    consumer_secret: str | None = field(default=None, repr=False)
    kept_in: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A token somebody else has obtained. It cannot be renewed: when it ends, the run ends."""

    session_id: str = field(repr=False)


Auth = ClientCredentials | PasswordToken | Jwt | RefreshToken | Session


def on_salesforce(host: str | None) -> bool:
    """Whether a host is one of Salesforce's own."""
    return host is not None and f".{host.lower()}".endswith(SALESFORCE_DOMAINS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """When bulk jobs are worth their calls. ValueError names the key that cannot work.

    reads_above   a window of more rows is read by a job; 0: every window; None: none
    writes_above  as many patches of one object are written by a job; 0: always; None: never
    longest_wait  seconds to wait for one job
    """

    reads_above: int | None = 50_000
    writes_above: int | None = 2_000
    longest_wait: float = 3_600.0

    def __post_init__(self) -> None:
        if min(self.reads_above or 0, self.writes_above or 0) < 0 or self.longest_wait <= 0:
            raise ValueError("salesforce limits.bulk: no negative numbers, and a time to wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesforceSettings:
    """One connection. ValueError names the key that cannot work.

    base_url      the org's My Domain, ``https://acme.my.salesforce.com`` (or login/test.salesforce.com where the flow
                  allows). A loopback address serves every host of this CRM itself, plain http allowed
    share_of_day  the part of the org's daily API calls that mqlsync may use
    kept_for_writing  the part of that share that what reads changes leaves alone
    bulk          when jobs do what single calls could
    timeout       seconds to connect, and between two bytes of an answer to what is sent
    query_within  the latter for what is read: an org works on a query for 120 seconds before it says that this is too
                  long, and who does not wait for it never learns to ask for less
    answer_within  seconds for the whole of an answer (see `answer_time`: more for a large one)
    proxy         address of an https proxy; the environment is never asked
    """

    base_url: str
    auth: Auth
    api_version: str = "59.0"
    share_of_day: float = 0.5
    kept_for_writing: float = 0.1
    bulk: Bulk = Bulk()
    timeout: tuple[float, float] = (5.0, 60.0)
    query_within: float = 130.0
    answer_within: float = 140.0
    proxy: str | None = None

    def __post_init__(self) -> None:
        at = urlsplit(self.base_url)
        if not self.loopback:
            if at.scheme != "https":
                raise ValueError(f"salesforce base_url: https is required outside loopback, not {self.base_url}")
            if not on_salesforce(at.hostname):
                raise ValueError(f"salesforce base_url: {at.hostname} is not on a Salesforce domain")
            if not isinstance(self.auth, Session) and not str(at.hostname).lower().endswith(".salesforce.com"):
                raise ValueError(
                    f"salesforce base_url: signing in works at *.salesforce.com, not at {at.hostname}; "
                    "give the org's My Domain, or a session_id"
                )
            if isinstance(self.auth, ClientCredentials) and self.domain in ("login", "test"):
                raise ValueError("salesforce base_url: client credentials need the org's My Domain, not a login page")
        elif at.scheme not in ("http", "https"):
            raise ValueError(f"salesforce base_url: http or https, not {self.base_url}")
        if not 0 < self.share_of_day <= 1:
            raise ValueError(
                f"salesforce limits.share_of_day: more than 0 % and at most 100 %, not {self.share_of_day:%}"
            )
        if min(*self.timeout, self.query_within, self.answer_within) <= 0:
            raise ValueError("salesforce timeout, query_within, answer_within: positive seconds")
        if not 0 <= self.kept_for_writing < 1:
            raise ValueError(f"salesforce limits.kept_for_writing: below 100 %, not {self.kept_for_writing:.0%}")
        try:
            version = float(self.api_version)
        except ValueError:
            raise ValueError(f'salesforce api_version: like "59.0", not {self.api_version!r}') from None
        if isinstance(self.auth, PasswordToken) and version >= PASSWORD_LOGIN_ENDS:
            raise ValueError(
                f"salesforce auth: password login does not exist in API {self.api_version} (it ended with 64.0); "
                "use consumer_key with private_key_file, or consumer_key with consumer_secret"
            )

    @property
    def loopback(self) -> bool:
        return is_loopback(urlsplit(self.base_url).hostname)

    @property
    def host(self) -> str:
        """Host and port of ``base_url``, as the package wants an instance."""
        return urlsplit(self.base_url).netloc

    @property
    def domain(self) -> str:
        """What the package puts before ``.salesforce.com`` to sign in."""
        if self.loopback:
            return "loopback.my" if isinstance(self.auth, ClientCredentials) else "login"
        return str(urlsplit(self.base_url).hostname).lower().removesuffix(".salesforce.com")

    @property
    def audience(self) -> str:
        """The login host a JWT is made out to: ``test`` for sandboxes, else ``login``."""
        sandbox = self.domain == "test" or ".sandbox." in f"{self.domain}." or "--" in self.domain
        return "test" if sandbox else "login"
