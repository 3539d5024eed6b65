"""mqlsync.yaml: what it becomes, and every mistake with its place, its path and what to do."""

# ruff: noqa: E501  (messages are compared whole, a table line is one case)

from __future__ import annotations

import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.records import Crm
from scoring.document import PolicyInvalid, Source
from sync.account_match import AccountMatching
from sync.schedule import Cron, Every
from sync.settings import Guard, OwnerAuthority, Settings, Spark, StageName, load_settings

ENVIRONMENT = {
    "HUBSPOT_TOKEN": "pat-na1-the-hubspot-token",
    "SF_KEY": "the-consumer-key",
    "SF_SECRET": "the-consumer-secret",
    "DB_PASSWORD": "the-database-password",
    "EMPTY": "",
}

HUBSPOT = 'connections:\n  hubspot: {auth: {token: "${HUBSPOT_TOKEN}"}}\n'

SALESFORCE = "connections:\n  salesforce:\n    base_url: https://acme.my.salesforce.com\n    auth: "


def read_secret(name: str) -> str:
    match name:
        case "/run/secrets/token":
            return "the-token-of-the-file\n"
        case "/run/secrets/empty":
            return "\n"
        case "/run/secrets/binary":
            return b"\xff".decode()
        case _:
            raise FileNotFoundError(2, "No such file or directory")


def load(text: str, *, online: bool = True, name: str = "mqlsync.yaml") -> tuple[Settings, list[str]]:
    source = Source(name, textwrap.dedent(text).encode())
    settings, warnings = load_settings(source, environment=ENVIRONMENT, read_secret=read_secret, online=online)
    return settings, [str(p) for p in warnings]


def problems(text: str, *, online: bool = True) -> list[str]:
    with pytest.raises(PolicyInvalid) as invalid:
        load(text, online=online)
    return [str(problem) for problem in invalid.value.problems]


# -- what it becomes ---------------------------------------------------------------------------------------------


def test_one_connection_is_enough_and_the_rest_has_defaults() -> None:
    settings, warnings = load(HUBSPOT)
    assert warnings == []
    assert settings.crms == (Crm.HUBSPOT,)
    assert settings.store == "sqlite:///state/mqlsync.db"
    assert settings.owner_authority is OwnerAuthority.BOTH
    assert settings.account_matching == AccountMatching(domain=True, name_from=None)
    assert (settings.pull.settle, settings.pull.overlap) == (timedelta(0), timedelta(minutes=15))
    assert settings.readback_after == timedelta(seconds=90)
    assert settings.guard == Guard()
    assert settings.jobs["sync"].schedule == Every(interval=timedelta(minutes=15))
    assert settings.jobs["sync"].stages == frozenset(StageName) - {StageName.SWEEP}
    assert settings.jobs["sweep"].schedule == Cron(expression="0 3 * * sun", timezone="UTC")
    assert settings.jobs["sweep"].stages == {StageName.SWEEP}


def test_every_key_is_read() -> None:
    settings, warnings = load(
        """\
        store: postgresql+psycopg://mqlsync:${DB_PASSWORD}@host/db
        engine: duckdb
        connections:
          hubspot:
            base_url: http://127.0.0.1:${PORT:-8000}
            api_version: "2026-03"
            auth: {client_id: id, client_secret: "${SF_SECRET}", refresh_token: "${file:/run/secrets/token}"}
            limits: {per_10_seconds: 100, search_per_second: 4, per_day: 250000, at_once: 4, kept_for_writing: 20%}
            proxy: http://proxy:3128
          salesforce:
            base_url: https://acme.my.salesforce.com
            api_version: "62.0"
            auth: {username: me@acme.com, consumer_key: "${SF_KEY}", private_key_file: /keys/sf.pem}
            limits: {share_of_day: 30%, bulk_reads_above: 10000, bulk_writes_above: off}
        owner_authority: salesforce
        account_matching: {domain: off, name: 90%}
        pull: {settle: 30 seconds, overlap: 1 hour}
        jobs:
          sync: {every: 5 minutes, do: [pull, score]}
          night: {cron: "30 2 * * mon", timezone: Europe/Berlin, do: [pull, score, assign, write]}
          by_hand: {do: [write]}
        recovery: {readback_after: 0 seconds}
        guard: {new_mqls_per_run: 5, share_of_people_changed: 10%}
        """
    )
    assert warnings == []
    assert settings.store == "postgresql+psycopg://mqlsync:the-database-password@host/db"
    hubspot, salesforce = settings.hubspot, settings.salesforce
    assert hubspot is not None
    assert salesforce is not None
    assert (hubspot.base_url, hubspot.api_version) == ("http://127.0.0.1:8000", "2026-03")
    assert (hubspot.client_id, hubspot.client_secret) == ("id", "the-consumer-secret")
    assert (hubspot.refresh_token, hubspot.token) == ("the-token-of-the-file", None)
    assert (hubspot.per_10_seconds, hubspot.search_per_second, hubspot.per_day) == (100, 4, 250_000)
    assert (hubspot.at_once, hubspot.kept_for_writing) == (4, 0.2)
    assert hubspot.proxy == "http://proxy:3128"
    assert (salesforce.username, salesforce.consumer_key) == ("me@acme.com", "the-consumer-key")
    assert (salesforce.private_key_file, salesforce.share_of_day) == (Path("/keys/sf.pem"), 0.3)
    assert (salesforce.bulk_reads_above, salesforce.bulk_writes_above) == (10_000, None)
    assert settings.crms == (Crm.HUBSPOT, Crm.SALESFORCE)
    assert settings.owner_authority is OwnerAuthority.SALESFORCE
    assert settings.account_matching == AccountMatching(domain=False, name_from=90)
    assert settings.pull.overlap == timedelta(hours=1)
    assert settings.readback_after == timedelta(0)
    assert settings.jobs["night"].schedule == Cron(expression="30 2 * * mon", timezone="Europe/Berlin")
    assert settings.jobs["by_hand"].schedule is None
    assert settings.jobs["sync"].stages == {StageName.PULL, StageName.SCORE}
    assert settings.guard == Guard(new_mqls_per_run=5, share_of_people_changed=0.1)


def test_the_guard_can_be_off() -> None:
    assert load(HUBSPOT + "guard: off\n")[0].guard is None


@pytest.mark.parametrize(
    ("engine", "spark"),
    [
        ("duckdb", None),
        ("spark", Spark(master="local[*]", memory="2g")),
        ("{spark: local}", Spark(master="local")),
        ("{spark: 'spark://host:7077'}", Spark(master="spark://host:7077")),
        ("{spark: {}}", Spark()),
        ("{spark: {master: 'local[2]', memory: 512m}}", Spark(master="local[2]", memory="512m")),
        ("{spark: {master: yarn, memory: 1g}}", Spark(master="yarn", memory="1g")),
    ],
)
def test_the_engine_is_duckdb_or_spark_somewhere(engine: str, spark: Spark | None) -> None:
    settings, warnings = load(HUBSPOT + f"engine: {engine}\n")
    assert (settings.spark, warnings) == (spark, [])


def test_the_same_in_json_is_the_same() -> None:
    body = '{"connections": {"hubspot": {"auth": {"token": "${HUBSPOT_TOKEN}"}}}, "guard": {"new_mqls_per_run": 5}}'
    settings, warnings = load(body, name="mqlsync.json")
    assert warnings == []
    assert settings.hubspot is not None
    assert settings.hubspot.token == ENVIRONMENT["HUBSPOT_TOKEN"]
    assert settings.guard == Guard(new_mqls_per_run=5)


def test_an_oauth_app_has_a_smaller_window_unless_told_otherwise() -> None:
    signing_in = '{client_id: id, client_secret: "${SF_SECRET}", refresh_token: "${SF_KEY}"}'
    of_an_app, _ = load(f"connections:\n  hubspot: {{auth: {signing_in}}}\n")
    told, _ = load(f"connections:\n  hubspot: {{auth: {signing_in}, limits: {{per_10_seconds: 90}}}}\n")
    token, _ = load(HUBSPOT)
    assert [one.hubspot.per_10_seconds for one in (of_an_app, told, token) if one.hubspot] == [110, 90, 190]


def test_a_refresh_token_signs_in_to_salesforce_with_or_without_a_secret() -> None:
    settings, _ = load(SALESFORCE + '{consumer_key: "${SF_KEY}", refresh_token: "${SF_SECRET}"}\n')
    assert settings.salesforce is not None
    assert (settings.salesforce.refresh_token, settings.salesforce.consumer_secret) == ("the-consumer-secret", None)
    settings, _ = load(
        SALESFORCE + '{consumer_key: "${SF_KEY}", consumer_secret: "${SF_SECRET}", refresh_token: "${SF_SECRET}",'
        " refresh_token_file: state/kept}\n"
    )
    assert settings.salesforce is not None
    assert settings.salesforce.refresh_token_file == Path("state/kept")


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("${file:/run/secrets/token}", Path("/run/secrets/token")),
        ("${HUBSPOT_TOKEN}", None),
        ("a-${file:/run/secrets/token}", None),
    ],
)
def test_a_token_that_is_all_of_a_file_is_looked_up_there_again(written: str, file: Path | None) -> None:
    settings, _ = load(f'connections:\n  hubspot: {{auth: {{token: "{written}"}}}}\n')
    assert settings.hubspot is not None
    assert settings.hubspot.token_file == file


# -- secrets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "token"),
    [
        ("${HUBSPOT_TOKEN}", "pat-na1-the-hubspot-token"),
        ("${NOT_SET:-a default}", "a default"),
        ("${EMPTY:-a default}", "a default"),
        ("${HUBSPOT_TOKEN:-a default}", "pat-na1-the-hubspot-token"),
        ("${file:/run/secrets/token}", "the-token-of-the-file"),
        ("${SF_KEY}-${SF_SECRET}", "the-consumer-key-the-consumer-secret"),
    ],
)
def test_a_secret_is_resolved_and_known_to_the_redactor(written: str, token: str) -> None:
    settings, warnings = load(f'connections:\n  hubspot: {{auth: {{token: "{written}"}}}}\n')
    assert warnings == []
    assert settings.hubspot is not None
    assert settings.hubspot.token == token
    assert token in settings.secrets


def test_no_secret_is_in_a_repr() -> None:
    settings, _ = load(
        SALESFORCE
        + '{consumer_key: "${SF_KEY}", consumer_secret: "${SF_SECRET}"}\n    proxy: http://me:${DB_PASSWORD}@proxy\n'
        + '  hubspot: {auth: {token: "${HUBSPOT_TOKEN}"}}\nstore: postgresql://me:${DB_PASSWORD}@host/db\n'
    )
    shown = repr(settings) + repr(settings.hubspot) + repr(settings.salesforce)
    secrets = ("the-consumer-key", "the-consumer-secret", "pat-na1-the-hubspot-token", "the-database-password")
    assert [secret for secret in secrets if secret in shown] == []
    assert settings.secrets == set(secrets)


def test_a_secret_in_the_file_is_warned_of_and_named_by_its_place() -> None:
    _, warnings = load("connections:\n  hubspot: {auth: {token: so-secret}}\nstore: postgresql://me:pw1234@host/db\n")
    assert warnings == [
        "mqlsync.yaml:2:27: connections.hubspot.auth.token: a secret written in a file is read by everybody who reads the file: write ${NAME}",
        "mqlsync.yaml:3:8: store: a password written in a file is read by everybody who reads the file: write ${NAME}",
    ]


def test_a_secret_that_is_not_there_is_a_warning_while_nobody_is_contacted() -> None:
    settings, warnings = load('connections:\n  hubspot: {auth: {token: "${NOWHERE}"}}\n', online=False)
    assert settings.hubspot is not None
    assert len(warnings) == 1
    assert "the environment has no NOWHERE" in warnings[0]


# -- mistakes ----------------------------------------------------------------------------------------------------

WAYS = (
    "give exactly one way to sign in: {username, password, security_token}; or {username, consumer_key,"
    " private_key_file}; or {consumer_key, consumer_secret}; or {consumer_key, refresh_token};"
    " or {consumer_key, consumer_secret, refresh_token}; or {session_id}"
)

MISTAKES = [
    ("", ["1:1: the file is empty"]),
    ("store: sqlite:///x.db\n", ["1:1: connections: this key is missing"]),
    ("connections:\n", ["1:1: connections: no value"]),
    ("connections: [hubspot]\n", ["1:14: connections: a mapping is wanted here, not a list"]),
    (
        "connections: {}\n",
        [
            "1:14: connections: at least one connection is needed: hubspot, salesforce, or "
            "{kind: file, people: people.csv}"
        ],
    ),
    (
        "connections:\n  hubspt: {}\n",
        [
            "2:3: connections.hubspt: unknown connection, did you mean 'hubspot'?",
            "2:11: connections.hubspt.auth: this key is missing",
        ],
    ),
    ("connections:\n  hubspot:\n", ["2:3: connections.hubspot: no value"]),
    ("connections:\n  hubspot: {}\n", ["2:12: connections.hubspot.auth: this key is missing"]),
    (
        "connections:\n  hubspot: {auth: {tokn: x}}\n",
        ["2:20: connections.hubspot.auth.tokn: unknown key, did you mean 'token'?"],
    ),
    ("connections:\n  hubspot: {auth: {token: }}\n", ["2:20: connections.hubspot.auth.token: no value"]),
    (
        "connections:\n  hubspot: {auth: {client_id: x}}\n",
        [
            "2:19: connections.hubspot.auth: give exactly one way to sign in: {token}; or {client_id, client_secret, refresh_token}"
        ],
    ),
    (
        "connections:\n  hubspot: {auth: {token: pat-na1-abc}}\n",
        [
            "2:27: connections.hubspot.auth.token: this looks like the secret itself: write ${NAME} and put the secret into the environment"
        ],
    ),
    (
        'connections:\n  hubspot: {auth: {token: "${HUBSPOT_TOKN}"}}\n',
        ["2:27: connections.hubspot.auth.token: the environment has no HUBSPOT_TOKN, did you mean 'HUBSPOT_TOKEN'?"],
    ),
    (
        'connections:\n  hubspot: {auth: {token: "${NOWHERE}"}}\n',
        ["2:27: connections.hubspot.auth.token: the environment has no NOWHERE: set it before a run"],
    ),
    (
        'connections:\n  hubspot: {auth: {token: "${EMPTY}"}}\n',
        ["2:27: connections.hubspot.auth.token: EMPTY is empty in the environment"],
    ),
    (
        'connections:\n  hubspot: {auth: {token: "${HUBSPOT_TOKEN"}}\n',
        [
            "2:27: connections.hubspot.auth.token: a '${' that is no reference: write ${NAME}, ${NAME:-default} or ${file:/path}"
        ],
    ),
    (
        'connections:\n  hubspot: {auth: {token: "${}"}}\n',
        [
            "2:27: connections.hubspot.auth.token: a '${' that is no reference: write ${NAME}, ${NAME:-default} or ${file:/path}"
        ],
    ),
    (
        'connections:\n  hubspot: {auth: {token: "${file:/none}"}}\n',
        ["2:27: connections.hubspot.auth.token: /none cannot be read: No such file or directory"],
    ),
    (
        'connections:\n  hubspot: {auth: {token: "${file:/run/secrets/empty}"}}\n',
        ["2:27: connections.hubspot.auth.token: /run/secrets/empty is empty"],
    ),
    (
        'connections:\n  hubspot: {auth: {token: "${file:/run/secrets/binary}"}}\n',
        ["2:27: connections.hubspot.auth.token: /run/secrets/binary cannot be read: it is no UTF-8 text"],
    ),
    (SALESFORCE + "{username: a, password: b}\n", [f"4:11: connections.salesforce.auth: {WAYS}"]),
    (
        SALESFORCE + '{session_id: "${SF_KEY}", refresh_token_file: kept}\n',
        ["4:57: connections.salesforce.auth.refresh_token_file: a refresh_token_file belongs to a refresh_token"],
    ),
    (
        SALESFORCE + '{session_id: "${SF_KEY}"}\n    limits: {bulk_reads_above: -5}\n',
        [
            "5:32: connections.salesforce.limits.bulk_reads_above: '-5': write off, or a whole number of records",
        ],
    ),
    (SALESFORCE + "{}\n", [f"4:11: connections.salesforce.auth: {WAYS}"]),
    (SALESFORCE + "[]\n", ["4:11: connections.salesforce.auth: a mapping is wanted here, not a list"]),
    (
        SALESFORCE + "{session_id: 00D5g00000ABCDE!xyz}\n",
        [
            "4:24: connections.salesforce.auth.session_id: this looks like the secret itself: write ${NAME} and put the secret into the environment"
        ],
    ),
    (
        'connections:\n  salesforce: {auth: {session_id: "${SF_KEY}"}}\n',
        ["2:15: connections.salesforce.base_url: this key is missing"],
    ),
    (HUBSPOT + "jbos: {}\n", ["3:1: jbos: unknown key, did you mean 'jobs'?"]),
    (HUBSPOT + "store: a\nstore: b\n", ["4:1: store: this key is already on line 3"]),
    (HUBSPOT + "console: {}\n", ["3:1: console: 'console' is not supported by this version yet"]),
    (HUBSPOT + "engine: {}\n", ["3:9: engine.spark: this key is missing"]),
    (
        HUBSPOT + "engine: {duckdb: {}}\n",
        ["3:9: engine.spark: this key is missing", "3:10: engine.duckdb: unknown engine"],
    ),
    (
        HUBSPOT + "engine: {spark: host}\n",
        [
            "3:17: engine.spark: 'host' is no place where Spark runs: local[2], local[*], spark://host:7077, k8s://…, yarn"
        ],
    ),
    (
        HUBSPOT + "engine: {spark: {master: local, memory: 511m}}\n",
        ["3:41: engine.spark.memory: '511m' is no memory for Spark: at least 512m, as in 2g"],
    ),
    (HUBSPOT + "engine: {spark: {cores: 4}}\n", ["3:18: engine.spark.cores: unknown key"]),
    (HUBSPOT + "engine: duckbd\n", ["3:9: engine: unknown engine 'duckbd', did you mean 'duckdb'?"]),
    (
        HUBSPOT + "owner_authority: salesforce\n",
        ["3:18: owner_authority: salesforce is to decide on owners, but it is not among the connections"],
    ),
    (
        HUBSPOT + "owner_authority: marketing\n",
        ["3:18: owner_authority: unknown owner authority 'marketing'; there are both, salesforce, hubspot"],
    ),
    (
        HUBSPOT + "account_matching: {domain: maybe, name: 60%}\n",
        [
            "3:28: account_matching.domain: 'maybe' is not one of on, off",
            "3:41: account_matching.name: '60%': write off, or how alike names must be, from 70% to 100%",
        ],
    ),
    (
        HUBSPOT + "account_matching: {name: 92.5%}\n",
        ["3:26: account_matching.name: '92.5%': write off, or how alike names must be, from 70% to 100%"],
    ),
    (
        HUBSPOT + "pull: {settle: 5}\n",
        ["3:16: pull.settle: '5' is not a time span: write it like '10 seconds', '5 minutes' or '2 hours'"],
    ),
    (HUBSPOT + "recovery: {readback: 5 seconds}\n", ["3:12: recovery.readback: unknown key"]),
    (HUBSPOT + "jobs: [sync]\n", ["3:7: jobs: a mapping is wanted here, not a list"]),
    (HUBSPOT + "jobs:\n  sync: {every: 5 minutes}\n", ["4:9: jobs.sync.do: this key is missing"]),
    (
        HUBSPOT + "jobs:\n  sync: {every: 5 minutes, do: []}\n",
        ["4:32: jobs.sync.do: a job does at least one of pull, score, assign, write, sweep"],
    ),
    (
        HUBSPOT + "jobs:\n  sync: {every: 5 minutes, do: [push]}\n",
        ["4:33: jobs.sync.do[0]: unknown stage 'push'; there are pull, score, assign, write, sweep"],
    ),
    (
        HUBSPOT + "jobs:\n  sync: {every: 5 minuts, do: [pull]}\n",
        ["4:17: jobs.sync.every: '5 minuts' is not a time span: write it like '10 seconds', '5 minutes' or '2 hours'"],
    ),
    (
        HUBSPOT + "jobs:\n  sync: {every: 9 seconds, do: [pull]}\n",
        ["4:17: jobs.sync.every: a job cannot run more often than every 10 seconds"],
    ),
    (
        HUBSPOT + 'jobs:\n  sync: {every: 5 minutes, cron: "0 9 * * *", do: [pull]}\n',
        ["4:9: jobs.sync: give every or cron, not both"],
    ),
    (
        HUBSPOT + "jobs:\n  sync: {every: 5 minutes, timezone: UTC, do: [pull]}\n",
        ["4:38: jobs.sync.timezone: a timezone belongs to cron; every counts in real time"],
    ),
    (
        HUBSPOT + 'jobs:\n  sync: {cron: "0 9 * *", do: [pull]}\n',
        ["4:16: jobs.sync.cron: a cron line has five fields (minute hour day month weekday), this one has 4"],
    ),
    (
        HUBSPOT + 'jobs:\n  sync: {cron: "0 9 * * 1", do: [pull]}\n',
        [
            "4:16: jobs.sync.cron: name the weekdays (mon, tue, ... sun): numbers mean different days in different programs"
        ],
    ),
    (
        HUBSPOT + 'jobs:\n  sync: {cron: "0 9 * * *", timezone: Europe/Berlni, do: [pull]}\n',
        ["4:39: jobs.sync.timezone: unknown timezone 'Europe/Berlni', did you mean 'Europe/Berlin'?"],
    ),
    (HUBSPOT + "guard: on\n", ["3:8: guard: write 'guard: off', or a block with its limits"]),
    (
        HUBSPOT + "guard: {new_mqls_per_rn: 5}\n",
        ["3:9: guard.new_mqls_per_rn: unknown key, did you mean 'new_mqls_per_run'?"],
    ),
    (
        HUBSPOT + "guard: {new_mqls_per_run: -1}\n",
        ["3:27: guard.new_mqls_per_run: '-1': a whole number from 0 to 1000000000 is wanted here"],
    ),
    (
        HUBSPOT + "guard: {share_of_people_changed: 0.2}\n",
        ["3:34: guard.share_of_people_changed: '0.2': a percentage has a %: write 20%"],
    ),
]


@pytest.mark.parametrize(
    ("text", "says"), MISTAKES, ids=[" ".join(text[-40:].split()) or "empty" for text, _ in MISTAKES]
)
def test_a_mistake_is_told_once_with_its_place(text: str, says: list[str]) -> None:
    assert problems(text) == [f"mqlsync.yaml:{one}" for one in says]


def test_all_mistakes_are_told_at_once() -> None:
    found = problems(HUBSPOT + "engine: duckbd\nguard: on\njobs:\n  sync: {every: 1 second, do: [push]}\n")
    assert len(found) == 4


def test_the_path_of_a_json_file_is_named() -> None:
    with pytest.raises(PolicyInvalid) as invalid:
        load('{"connections": {"hubspot": {"auth": {"token": "${NOWHERE}"}}}}', name="conf/mqlsync.json")
    assert [str(p) for p in invalid.value.problems] == [
        "conf/mqlsync.json:1:48: connections.hubspot.auth.token: the environment has no NOWHERE: set it before a run"
    ]
