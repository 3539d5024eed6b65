"""mqlsync.yaml as types: where the CRMs are, where memory is kept, when to run.

Values are read as text and typed here, so every error has a file, a line and a column. Secrets are never in the file:
``${NAME}``, ``${NAME:-default}`` and ``${file:/path}`` are resolved after parsing, in secret and address fields only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from connectors.address import is_loopback
from connectors.records import Crm
from scoring.document import (
    Entry,
    Kind,
    Node,
    PolicyInvalid,
    Problem,
    Source,
    Unreadable,
    did_you_mean,
    parse_clock,
    parse_number,
    parse_percent,
    read_document,
)
from sync.account_match import AccountMatching
from sync.fights import FightRule
from sync.schedule import Cron, Every, Schedule

__all__ = [
    "FileConnection",
    "Guard",
    "HubSpotConnection",
    "Job",
    "Notify",
    "OwnerAuthority",
    "PullSettings",
    "SalesforceConnection",
    "Settings",
    "Spark",
    "StageName",
    "load_settings",
]


class OwnerAuthority(StrEnum):
    """Which CRM decides who owns a person; ``both``: neither overrules the other."""

    BOTH = "both"
    SALESFORCE = "salesforce"
    HUBSPOT = "hubspot"


class StageName(StrEnum):
    """What a job's ``do:`` may list."""

    PULL = "pull"
    SCORE = "score"
    ASSIGN = "assign"
    WRITE = "write"
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSpotConnection:
    """One portal. Either ``token``, or the three of OAuth.

    token_file          where ``token`` was read, if it was in a file: a token that is replaced there is found
    refresh_token_file  where to keep the refresh token HubSpot gives instead; None: beside the store
    """

    base_url: str
    api_version: str = "v3"
    token: str | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    refresh_token_file: Path | None = None
    per_10_seconds: int = 190
    search_per_second: int = 5
    per_day: int = 650_000
    kept_for_writing: float = 0.1
    at_once: int = 8
    proxy: str | None = field(default=None, repr=False)
    place: Node | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesforceConnection:
    """One org. The credentials given decide how to sign in; exactly one way is complete.

    refresh_token_file  where to keep the refresh token Salesforce gives instead; None: beside the store
    bulk_reads_above    a window of more rows is read by a bulk job; None: none is
    bulk_writes_above   more records of one object are written by a bulk job; None: never
    """

    base_url: str
    api_version: str = "59.0"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    consumer_key: str | None = field(default=None, repr=False)
    consumer_secret: str | None = field(default=None, repr=False)
    private_key_file: Path | None = None
    refresh_token: str | None = field(default=None, repr=False)
    refresh_token_file: Path | None = None
    session_id: str | None = field(default=None, repr=False)
    share_of_day: float = 0.5
    kept_for_writing: float = 0.1
    bulk_reads_above: int | None = 50_000
    bulk_writes_above: int | None = 2_000
    proxy: str | None = field(default=None, repr=False)
    place: Node | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileConnection:
    """People and engagement out of files. Relative paths count from where those of the store do."""

    name: str
    people: Path | None = None
    engagement: Path | None = None
    encoding: str = "utf-8"
    delimiter: str | None = None
    timezone: str = "UTC"
    place: Node | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSettings:
    """``settle``: how far a window ends before now; ``overlap``: how far it begins before the last one's end."""

    settle: timedelta = timedelta(0)
    overlap: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """What scores instead of DuckDB: see `scoring.engine_spark.SparkEngine`."""

    master: str = "local[*]"
    memory: str = "2g"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do when. A job without a schedule runs when asked."""

    name: str
    schedule: Schedule | None
    stages: frozenset[StageName]
    place: Node | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """More than this in one run waits for somebody's yes.

    share_of_people_changed  of all people: status or owner; looked at from ``people_min_for_share`` people on
    share_of_people_gone     of the records of people of one CRM since the last run; None: not looked at
    stream_silent_for        a stream of people without anything new, while others had; None: not looked at
    """

    new_mqls_per_run: int = 200
    owner_changes_per_run: int = 100
    share_of_people_changed: float = 0.2
    people_min_for_share: int = 50
    share_of_people_gone: float | None = 0.2
    stream_silent_for: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Who is told something beside the CRMs, and where.

    channels        name -> Apprise address, which holds secrets
    reps, managers  the channel of each; None: they are told nothing
    """

    channels: Mapping[str, str] = field(default_factory=dict, repr=False)
    reps: str | None = None
    managers: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file.

    spark    None: DuckDB scores
    notify   None: nobody is told anything beside the CRMs
    secrets  the resolved values, for the log's redactor; ``store`` may hold a password
    """

    store: str = field(repr=False)
    hubspot: HubSpotConnection | None
    salesforce: SalesforceConnection | None
    owner_authority: OwnerAuthority
    account_matching: AccountMatching
    pull: PullSettings
    jobs: Mapping[str, Job]
    readback_after: timedelta
    guard: Guard | None
    fights: FightRule = field(default_factory=FightRule)
    spark: Spark | None = None
    file: FileConnection | None = None
    notify: Notify | None = None
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def crms(self) -> tuple[Crm, ...]:
        """The CRMs that are connected. Files are none: nobody owns anything there."""
        connected = {Crm.HUBSPOT: self.hubspot, Crm.SALESFORCE: self.salesforce}
        return tuple(crm for crm, connection in connected.items() if connection is not None)

    @property
    def on_loopback(self) -> bool:
        """Every CRM that is connected stands on this machine."""
        addresses = [connection.base_url for connection in (self.hubspot, self.salesforce) if connection is not None]
        return all(is_loopback(urlsplit(address).hostname) for address in addresses)


# -- reading -----------------------------------------------------------------------------------------------------

REFERENCE = re.compile(r"\$\{(?P<file>file:)?(?P<name>[^}:]+)(?P<has_default>:-(?P<default>[^}]*))?\}")
OPENED = re.compile(r"\$\{")
LITERAL_TOKEN = re.compile(r"pat-|00D[A-Za-z0-9]{9}")

MASTER = re.compile(r"local(\[(\*|[1-9][0-9]*)\])?|yarn|(spark|k8s)://[^\s]+")
MEMORY = re.compile(r"([1-9][0-9]*)([mg])")
LEAST_MEMORY = 512
"""MB; with less Spark does not start."""

KEYS = (
    "store",
    "engine",
    "connections",
    "owner_authority",
    "account_matching",
    "pull",
    "fights",
    "jobs",
    "recovery",
    "guard",
    "notify",
)
LATER = ("workspace", "console", "alerts")

OF_AN_APP = 110
"""Calls in ten seconds that HubSpot allows an OAuth app for each account."""

SHORTEST_SECRET = 12
"""Characters of a part of a channel's address from which on it is hidden by itself: words are shorter than tokens."""

LEAST_LIKENESS = 70
"""Percent below which names are alike by chance."""

DEFAULT_JOBS = {
    "sync": Job(
        name="sync",
        schedule=Every(interval=timedelta(minutes=15)),
        stages=frozenset(StageName) - {StageName.SWEEP},
    ),
    "sweep": Job(
        name="sweep",
        schedule=Cron(expression="0 3 * * sun", timezone="UTC"),
        stages=frozenset({StageName.SWEEP}),
    ),
}


def load_settings(
    source: Source, *, environment: Mapping[str, str], read_secret: Callable[[str], str], online: bool = True
) -> tuple[Settings, list[Problem]]:
    """The file as types, and its warnings.

    Parameters
    ----------
    environment: where ``${NAME}`` is looked up
    read_secret: text of the file named by ``${file:/path}``; raises OSError
    online: a secret that is not there is an error; otherwise a warning, since nobody will be contacted

    Raises
    ------
    PolicyInvalid: every error, with its place
    """
    root = read_document(source.content, source.name)
    settings = _Reader(environment, read_secret, online).settings(root)
    root.report_empty()
    errors = [problem for problem in root.problems if not problem.warning]
    if errors:
        raise PolicyInvalid(errors)
    return settings, [problem for problem in root.problems if problem.warning]


class _Reader:
    def __init__(self, environment: Mapping[str, str], read_secret: Callable[[str], str], online: bool) -> None:
        self._environment = environment
        self._read_secret = read_secret
        self._online = online
        self._secrets: set[str] = set()

    def settings(self, root: Node) -> Settings:
        found = root.fields(*KEYS, required=("connections",), later=LATER)
        hubspot, salesforce, file = self._connections(found.get("connections"))
        pull = _clocks(found.get("pull"), settle=timedelta(0), overlap=timedelta(minutes=15))
        recovery = _clocks(found.get("recovery"), readback_after=timedelta(seconds=90))
        authority = OwnerAuthority.BOTH
        if (node := found.get("owner_authority")) is not None:
            authority = OwnerAuthority(node.choice(tuple(OwnerAuthority), "owner authority"))
            connected = {OwnerAuthority.HUBSPOT: hubspot, OwnerAuthority.SALESFORCE: salesforce}
            if authority in connected and connected[authority] is None:
                node.error(f"{authority} is to decide on owners, but it is not among the connections")
        return Settings(
            store=self._url(found["store"]) if "store" in found else "sqlite:///state/mqlsync.db",
            hubspot=hubspot,
            salesforce=salesforce,
            file=file,
            owner_authority=authority,
            account_matching=_account_matching(found.get("account_matching")),
            pull=PullSettings(settle=pull["settle"], overlap=pull["overlap"]),
            jobs=_jobs(found["jobs"]) if "jobs" in found else DEFAULT_JOBS,
            readback_after=recovery["readback_after"],
            guard=_guard(found.get("guard")),
            fights=_fights(found.get("fights")),
            spark=_spark(found["engine"]) if "engine" in found else None,
            notify=self._notify(found["notify"]) if "notify" in found else None,
            secrets=frozenset(self._secrets),
        )

    # -- connections

    def _connections(
        self, node: Node | None
    ) -> tuple[HubSpotConnection | None, SalesforceConnection | None, FileConnection | None]:
        """A connection with a ``kind`` has a name of its own."""
        if node is None:
            return None, None, None
        named = [entry for entry in node.entries if entry.node.get("kind") is not None]
        found = node.fields("hubspot", "salesforce", *(entry.key for entry in named), what="connection")
        if node.kind is Kind.MAPPING and not node.entries:
            node.error("at least one connection is needed: hubspot, salesforce, or {kind: file, people: people.csv}")
        hubspot = self._hubspot(found["hubspot"]) if "hubspot" in found else None
        salesforce = self._salesforce(found["salesforce"]) if "salesforce" in found else None
        for entry in named[1:]:
            entry.name.error(f"one connection of kind file is read, and '{named[0].key}' is one")
        return hubspot, salesforce, self._file(named[0]) if named else None

    def _file(self, entry: Entry) -> FileConnection:
        keys = ("kind", "people", "engagement", "encoding", "delimiter", "timezone")
        found = entry.node.fields(*keys)
        found["kind"].choice(("file",), "kind")
        said: dict[str, Any] = {
            key: Path(self._address(found[key])) for key in ("people", "engagement") if key in found
        }
        said |= {key: found[key].text() for key in ("encoding", "delimiter") if key in found}
        if said.get("delimiter") in ("tab", "\\t"):
            said["delimiter"] = "\t"
        if "timezone" in found:
            said["timezone"] = found["timezone"].read(_zone, "UTC")
        return FileConnection(name=entry.key, place=entry.node, **said)

    def _hubspot(self, node: Node) -> HubSpotConnection:
        found = node.fields("base_url", "api_version", "auth", "limits", "proxy", required=("auth",))
        auth: dict[str, Any] = self._auth(
            found.get("auth"), ("token",), ("client_id", "client_secret", "refresh_token"), plain=("client_id",)
        )
        if "token" in auth and found["auth"].kind is Kind.MAPPING:
            auth["token_file"] = _file_of(found["auth"])
        counts = ("per_10_seconds", "search_per_second", "per_day", "at_once")
        limits = found["limits"].fields(*counts, "kept_for_writing") if "limits" in found else {}
        if "client_id" in auth:
            auth["per_10_seconds"] = OF_AN_APP
        auth |= {name: limits[name].integer(1, 100_000_000) for name in counts if name in limits}
        auth |= _kept_for_writing(limits)
        return HubSpotConnection(
            base_url=self._address(found["base_url"]) if "base_url" in found else "https://api.hubapi.com",
            api_version=found["api_version"].choice(("v3", "2026-03"), "version") if "api_version" in found else "v3",
            proxy=self._url(found["proxy"]) if "proxy" in found else None,
            place=node,
            **auth,
        )

    def _salesforce(self, node: Node) -> SalesforceConnection:
        found = node.fields("base_url", "api_version", "auth", "limits", "proxy", required=("base_url", "auth"))
        auth: dict[str, Any] = self._auth(
            found.get("auth"),
            ("username", "password", "security_token"),
            ("username", "consumer_key", "private_key_file"),
            ("consumer_key", "consumer_secret"),
            ("consumer_key", "refresh_token"),
            ("consumer_key", "consumer_secret", "refresh_token"),
            ("session_id",),
            plain=("username", "private_key_file"),
        )
        if "private_key_file" in auth:
            auth["private_key_file"] = Path(auth["private_key_file"])
        known = ("share_of_day", "kept_for_writing", "bulk_reads_above", "bulk_writes_above")
        limits = found["limits"].fields(*known) if "limits" in found else {}
        auth |= {name: _rows_or_off(limits[name]) for name in known[2:] if name in limits}
        share = limits["share_of_day"].percent() / 10_000 if "share_of_day" in limits else 0.5
        auth |= _kept_for_writing(limits)
        return SalesforceConnection(
            base_url=self._address(found["base_url"]) if "base_url" in found else "",
            api_version=found["api_version"].text() if "api_version" in found else "59.0",
            share_of_day=share,
            proxy=self._url(found["proxy"]) if "proxy" in found else None,
            place=node,
            **auth,
        )

    def _auth(self, node: Node | None, *ways: tuple[str, ...], plain: tuple[str, ...]) -> dict[str, Any]:
        """The credentials, which have to be exactly one of ``ways``; and where a refresh token of theirs is kept."""
        if node is None:
            return {}
        known = tuple(dict.fromkeys(key for way in ways for key in way))
        given = node.fields(*known, "refresh_token_file")
        understood = node.kind is Kind.MAPPING and len(given) == len(node.entries)
        kept = given.get("refresh_token_file")
        found = {key: value for key, value in given.items() if value is not kept}
        if understood and set(found) not in [set(way) for way in ways]:
            spelled = "; or ".join("{" + ", ".join(way) + "}" for way in ways)
            node.error(f"give exactly one way to sign in: {spelled}")
        auth: dict[str, Any] = {
            key: self._address(value) if key in plain else self._secret(value) for key, value in found.items()
        }
        if kept is not None:
            if "refresh_token" not in found:
                kept.error("a refresh_token_file belongs to a refresh_token")
            auth["refresh_token_file"] = Path(self._address(kept))
        return auth

    # -- notices

    def _notify(self, node: Node) -> Notify:
        found = node.fields("channels", "reps", "managers", required=("channels",))
        pairs = found["channels"].pairs() if "channels" in found else ()
        channels = {one.key: self._channel(one.node) for one in pairs}
        if node.kind is Kind.MAPPING and not found.keys() & {"reps", "managers"}:
            node.error("nobody is told anything: name the channel of reps, of managers, or of both")
        if not channels:
            if "channels" in found:
                found["channels"].error("there are no channels")
            return Notify()
        told = {name: found[name].choice(tuple(channels), "channel") for name in ("reps", "managers") if name in found}
        return Notify(channels=channels, **told)

    def _channel(self, node: Node) -> str:
        """An Apprise address. Its parts are secrets as well: an error can show one of them alone."""
        found = node.fields("url", required=("url",))
        if "url" not in found:
            return ""
        url = self._secret(found["url"])
        self._secrets.update(part for part in re.split(r"[/:@?&=]+", url) if len(part) >= SHORTEST_SECRET)
        if url and "://" not in url:
            found["url"].error("an Apprise address is wanted: mailtos://..., slack://..., json://...")
        return url

    # -- values from outside the file

    def _address(self, node: Node) -> str:
        text = node.text()
        if len(OPENED.findall(text)) != len(REFERENCE.findall(text)):
            node.error("a '${' that is no reference: write ${NAME}, ${NAME:-default} or ${file:/path}")
            return ""
        return REFERENCE.sub(lambda reference: self._resolve(node, reference), text)

    def _url(self, node: Node) -> str:
        """An address that can hold a password, which is then a secret."""
        url = self._address(node)
        try:
            password = urlsplit(url).password
        except ValueError:
            # Whoever uses the address says what is wrong with it.
            return url
        if password:
            self._secrets.add(password)
            if password in node.value:
                node.warn("a password written in a file is read by everybody who reads the file: write ${NAME}")
        return url

    def _secret(self, node: Node) -> str:
        text = node.text()
        if LITERAL_TOKEN.match(text):
            node.error("this looks like the secret itself: write ${NAME} and put the secret into the environment")
            return ""
        if not REFERENCE.search(text):
            node.warn("a secret written in a file is read by everybody who reads the file: write ${NAME}")
        resolved = self._address(node)
        self._secrets.add(resolved)
        return resolved

    def _resolve(self, node: Node, reference: re.Match[str]) -> str:
        name = reference["name"]
        if reference["file"]:
            try:
                secret = self._read_secret(name).strip()
            except OSError as error:
                self._missing(node, f"{name} cannot be read: {error.strerror}")
                return ""
            except UnicodeDecodeError:
                self._missing(node, f"{name} cannot be read: it is no UTF-8 text")
                return ""
            if not secret:
                self._missing(node, f"{name} is empty")
            return secret
        if self._environment.get(name):
            return self._environment[name]
        if reference["has_default"]:
            return reference["default"]
        if name in self._environment:
            self._missing(node, f"{name} is empty in the environment")
            return ""
        near = did_you_mean(name, [key for key in self._environment if key.isupper()])
        self._missing(node, f"the environment has no {name}{near or ': set it before a run'}")
        return ""

    def _missing(self, node: Node, message: str) -> None:
        if self._online:
            node.error(message)
        else:
            node.warn(message)


def _kept_for_writing(limits: Mapping[str, Node]) -> dict[str, float]:
    kept = limits.get("kept_for_writing")
    return {} if kept is None else {"kept_for_writing": kept.percent() / 10_000}


def _rows_or_off(node: Node) -> int | None:
    """A number of records; None for ``off``."""

    def parse(text: str) -> int | None:
        if text.strip().casefold() in ("off", "no", "false"):
            return None
        number = parse_number(text)
        if number < 0 or number != number.to_integral_value():
            raise Unreadable(f"'{text}': write off, or a whole number of records")
        return int(number)

    return node.read(parse, None)


def _file_of(auth: Node) -> Path | None:
    """The file that the token of an auth block is read from; None where it is from elsewhere."""
    entry = next((pair.node for pair in auth.pairs() if pair.key == "token"), None)
    reference = REFERENCE.fullmatch(entry.text().strip()) if entry is not None else None
    return Path(reference["name"]) if reference is not None and reference["file"] else None


def _spark(node: Node) -> Spark | None:
    """``duckdb``, ``spark``, or ``{spark: MASTER}``, or ``{spark: {master, memory}}``."""
    default = Spark()
    if node.kind is not Kind.MAPPING:
        return default if node.choice(("duckdb", "spark"), "engine") == "spark" else None
    found = node.fields("spark", required=("spark",), what="engine")
    if (spark := found.get("spark")) is None:
        return None
    if spark.kind is not Kind.MAPPING:
        return Spark(master=spark.read(_master, default.master))
    of = spark.fields("master", "memory")
    return Spark(
        master=of["master"].read(_master, default.master) if "master" in of else default.master,
        memory=of["memory"].read(_memory, default.memory) if "memory" in of else default.memory,
    )


def _master(text: str) -> str:
    if not MASTER.fullmatch(text):
        raise Unreadable(f"'{text}' is no place where Spark runs: local[2], local[*], spark://host:7077, k8s://…, yarn")
    return text


def _memory(text: str) -> str:
    amount = MEMORY.fullmatch(text)
    if amount is None or int(amount[1]) * (1024 if amount[2] == "g" else 1) < LEAST_MEMORY:
        raise Unreadable(f"'{text}' is no memory for Spark: at least {LEAST_MEMORY}m, as in 2g")
    return text


def _account_matching(node: Node | None) -> AccountMatching:
    """``{domain: on, name: off}``; ``name`` may say how alike names must be: ``90%``."""
    default = AccountMatching()
    found = node.fields("domain", "name") if node is not None else {}
    domain, name = found.get("domain"), found.get("name")
    return AccountMatching(
        domain=default.domain if domain is None else domain.choice(("on", "off")) == "on",
        name_from=default.name_from if name is None else name.read(_likeness, None),
    )


def _likeness(text: str) -> int | None:
    """In whole percent."""
    if text == "off":
        return None
    hundredths = parse_percent(text)
    if hundredths % 100 or not LEAST_LIKENESS <= hundredths // 100 <= 100:
        raise Unreadable(f"'{text}': write off, or how alike names must be, from {LEAST_LIKENESS}% to 100%")
    return hundredths // 100


def _clocks(node: Node | None, **defaults: timedelta) -> dict[str, timedelta]:
    found = node.fields(*defaults) if node is not None else {}
    return {name: found[name].clock() if name in found else default for name, default in defaults.items()}


def _jobs(node: Node) -> dict[str, Job]:
    return {entry.key: _job(entry.key, entry.node) for entry in node.pairs()}


def _job(name: str, node: Node) -> Job:
    found = node.fields("every", "cron", "timezone", "do", required=("do",))
    stages = frozenset(_stage(stage) for stage in found["do"].each()) if "do" in found else frozenset()
    if "do" in found and found["do"].kind is Kind.LIST and not found["do"].items:
        found["do"].error("a job does at least one of " + ", ".join(StageName))
    if "every" in found and "cron" in found:
        node.error("give every or cron, not both")
    if "timezone" in found and "cron" not in found:
        found["timezone"].error("a timezone belongs to cron; every counts in real time")
    return Job(name=name, schedule=_schedule(found), stages=stages, place=node)


def _stage(node: Node) -> StageName:
    return StageName(node.choice(tuple(StageName), "stage"))


def _schedule(found: Mapping[str, Node]) -> Schedule | None:
    hourly: Schedule = Every(interval=timedelta(hours=1))
    if (every := found.get("every")) is not None:
        return every.read(lambda text: Every(interval=_interval(text)), hourly)
    if (cron := found.get("cron")) is None:
        return None
    zone = found["timezone"].read(_zone, "UTC") if "timezone" in found else "UTC"

    def parse(text: str) -> Schedule:
        try:
            return Cron(expression=text, timezone=zone)
        except ValueError as error:
            raise Unreadable(str(error)) from error

    return cron.read(parse, hourly)


def _interval(text: str) -> timedelta:
    interval = parse_clock(text)
    if interval < timedelta(seconds=10):
        raise Unreadable("a job cannot run more often than every 10 seconds")
    return interval


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        near = did_you_mean(text, sorted(available_timezones()))
        raise Unreadable(f"unknown timezone '{text}'{near}") from None
    return text


def _fights(node: Node | None) -> FightRule:
    default = FightRule()
    found = node.fields("times", "days") if node is not None else {}
    return FightRule(
        times=found["times"].integer(2, 1_000) if "times" in found else default.times,
        days=found["days"].integer(1, 3_650) if "days" in found else default.days,
    )


def _guard(node: Node | None) -> Guard | None:
    default = Guard()
    if node is None:
        return default
    if node.kind is Kind.TEXT:
        if node.text() not in ("off", ""):
            node.error("write 'guard: off', or a block with its limits")
        return None
    numbers = ("new_mqls_per_run", "owner_changes_per_run", "people_min_for_share")
    found = node.fields(*numbers, "share_of_people_changed", "share_of_people_gone", "stream_silent_for")
    limits: dict[str, Any] = {name: found[name].integer(0, 1_000_000_000) for name in numbers if name in found}
    if (share := found.get("share_of_people_changed")) is not None:
        limits["share_of_people_changed"] = share.percent() / 10_000
    if (gone := found.get("share_of_people_gone")) is not None:
        limits["share_of_people_gone"] = gone.read(_share_or_off, None)
    if (silent := found.get("stream_silent_for")) is not None:
        limits["stream_silent_for"] = silent.read(_days_or_off, None)
    return Guard(**limits)


def _share_or_off(text: str) -> float | None:
    return None if text == "off" else parse_percent(text) / 10_000


def _days_or_off(text: str) -> timedelta | None:
    if text == "off":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,3}) +days?", text)
    if found is None:
        raise Unreadable(f"'{text}': write off, or a number of days like '14 days'")
    return timedelta(days=int(found[1]))
