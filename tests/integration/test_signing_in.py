"""Every way to sign in that mqlsync.yaml has, from the file to the wire: to begin with, and when it ends half way."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.errors import RunCannotContinue
from connectors.port import Connector
from connectors.records import Crm, Patch, RecordRef, Stream, StreamKind, Window, Written
from connectors.sandbox import Fault, FaultKind, Sandbox
from sync.compose import load, open_parts
from sync.demo import environment, prepare
from tests.support.world import QUICK

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
PEOPLE = 250


@dataclass(frozen=True, kw_only=True)
class Way:
    """One auth block. ``asked``: the kind of call that signs in; None where nothing is asked for."""

    crm: Crm
    auth: str
    asked: str | None
    scene: Callable[[Sandbox, Path], Mapping[str, str]] = lambda box, folder: {}
    version: str | None = None


def rotating_portal(box: Sandbox, folder: Path) -> Mapping[str, str]:
    box.hubspot.rotate_refresh_token = True
    return oauth_app(box, folder)


def oauth_app(box: Sandbox, folder: Path) -> Mapping[str, str]:
    client_id, secret, refresh_token = box.hubspot.oauth
    return {"CLIENT": client_id, "SECRET": secret, "REFRESH": refresh_token}


def token_in_a_file(box: Sandbox, folder: Path) -> Mapping[str, str]:
    (folder / "key").write_text(f"{box.hubspot.token}\n")
    return {}


def signing_key(box: Sandbox, folder: Path) -> Mapping[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(pem)
    return {"USER": box.salesforce.username, "KEY_FILE": str(folder / "server.key")}


def user(box: Sandbox, folder: Path) -> Mapping[str, str]:
    org = box.salesforce
    return {"USER": org.username, "PASSWORD": org.password, "SECURITY": org.security_token}


def refreshing_user(box: Sandbox, folder: Path) -> Mapping[str, str]:
    return {"REFRESH": box.salesforce.refresh_token}


def rotating_user(box: Sandbox, folder: Path) -> Mapping[str, str]:
    box.salesforce.rotate_refresh_token = True
    return refreshing_user(box, folder)


def public_app(box: Sandbox, folder: Path) -> Mapping[str, str]:
    box.salesforce.secret_for_refresh = False
    return refreshing_user(box, folder)


def session(box: Sandbox, folder: Path) -> Mapping[str, str]:
    return {"SESSION": box.salesforce.session_id()}


OAUTH = '{client_id: "${CLIENT}", client_secret: "${SECRET}", refresh_token: "${REFRESH}"}'
REFRESH = '{consumer_key: "${SF_KEY}", consumer_secret: "${SF_SECRET}", refresh_token: "${REFRESH}"}'
JWT = '{username: "${USER}", consumer_key: "${SF_KEY}", private_key_file: "${KEY_FILE}"}'
PASSWORD = '{username: "${USER}", password: "${PASSWORD}", security_token: "${SECURITY}"}'

WAYS = {
    "a service key or private app": Way(crm=Crm.HUBSPOT, auth='{token: "${HUBSPOT_TOKEN}"}', asked=None),
    "a key in a file": Way(crm=Crm.HUBSPOT, auth='{token: "${file:FILE}"}', asked=None, scene=token_in_a_file),
    "an OAuth app": Way(crm=Crm.HUBSPOT, auth=OAUTH, asked="token", scene=oauth_app),
    "an OAuth app, dated paths": Way(crm=Crm.HUBSPOT, auth=OAUTH, asked="token", scene=oauth_app, version="2026-03"),
    "an OAuth app that rotates": Way(crm=Crm.HUBSPOT, auth=OAUTH, asked="token", scene=rotating_portal),
    "client credentials": Way(
        crm=Crm.SALESFORCE, auth='{consumer_key: "${SF_KEY}", consumer_secret: "${SF_SECRET}"}', asked="sign in"
    ),
    "a JWT": Way(crm=Crm.SALESFORCE, auth=JWT, asked="sign in", scene=signing_key),
    "a JWT, newest API": Way(crm=Crm.SALESFORCE, auth=JWT, asked="sign in", scene=signing_key, version="67.0"),
    "a refresh token": Way(crm=Crm.SALESFORCE, auth=REFRESH, asked="sign in", scene=refreshing_user),
    "a refresh token that rotates": Way(crm=Crm.SALESFORCE, auth=REFRESH, asked="sign in", scene=rotating_user),
    "a refresh token without a secret": Way(
        crm=Crm.SALESFORCE,
        auth='{consumer_key: "${SF_KEY}", refresh_token: "${REFRESH}"}',
        asked="sign in",
        scene=public_app,
    ),
    "a password": Way(crm=Crm.SALESFORCE, auth=PASSWORD, asked="sign in", scene=user),
    "a session": Way(crm=Crm.SALESFORCE, auth='{session_id: "${SESSION}"}', asked=None, scene=session),
}
RENEWED = {name: way for name, way in WAYS.items() if way.asked is not None}
ROTATING = {name: way for name, way in WAYS.items() if "rotates" in name}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """An installation that signs in one way to one CRM, with people in it."""

    box: Sandbox
    way: Way
    config: Path
    environment: Mapping[str, str]
    ids: tuple[str, ...]

    @contextmanager
    def connector(self) -> Iterator[Connector]:
        loaded = load(self.config, environment=self.environment)
        with open_parts(loaded, patience=QUICK, sleep=lambda seconds: None) as opened:
            yield opened.parts.connectors[self.way.crm]

    def end_what_was_granted(self) -> None:
        if self.way.crm is Crm.HUBSPOT:
            self.box.hubspot.end_tokens()
        else:
            self.box.salesforce.expire_sessions()

    def revoke(self) -> None:
        (self.box.hubspot if self.way.crm is Crm.HUBSPOT else self.box.salesforce).revoke()

    def grant(self) -> None:
        (self.box.hubspot if self.way.crm is Crm.HUBSPOT else self.box.salesforce).grant()

    @property
    def people(self) -> Stream:
        name = "contact" if self.way.crm is Crm.HUBSPOT else "lead"
        return Stream(crm=self.way.crm, kind=StreamKind.PEOPLE, name=name)

    def patches(self, connector: Connector) -> list[Patch]:
        """As many as one `apply` takes, at most one for each person."""
        field = "jobtitle" if self.way.crm is Crm.HUBSPOT else "Title"
        return [
            Patch(
                ref=RecordRef(crm=self.way.crm, object=self.people.name, id=id), fields={field: "CTO"}, trace=f"t-{id}"
            )
            for id in self.ids[: connector.batch_size * connector.batches_at_once]
        ]

    @property
    def update(self) -> str:
        return "POST */batch/update" if self.way.crm is Crm.HUBSPOT else "PATCH */composite/sobjects"


def written_in(way: Way, text: str, folder: Path) -> str:
    """The settings with only this connection, this way."""
    head, connections, rest = re.split(r"(?ms)^(connections:.*?)^(?=\S)", text, maxsplit=1)
    kept = re.search(rf"(?ms)^  {way.crm}:\n.*?(?=^  \S|\Z)", connections)
    assert kept is not None
    auth = way.auth.replace("${file:FILE}", f"${{file:{folder}/key}}")
    block = re.sub(r"auth: \{.*\}", lambda _: f"auth: {auth}", kept[0])
    if way.version is not None:
        block = re.sub(r"api_version: \S+", f'api_version: "{way.version}"', block)
    return f"{head}connections:\n{block}\n{rest}"


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    way: Way = request.param
    with Sandbox.start(at=AT) as box:
        box.clock.freeze(AT)
        ids = tuple(somebody(box, way.crm, n) for n in range(PEOPLE))
        box.salesforce.page_size = 100
        secrets = way.scene(box, tmp_path)
        config = prepare(tmp_path, box.url)
        settings = config / "mqlsync.yaml"
        settings.write_text(written_in(way, settings.read_text(), tmp_path))
        yield Stage(box=box, way=way, config=config, environment={**environment(box), **secrets}, ids=ids)


def somebody(box: Sandbox, crm: Crm, n: int) -> str:
    email = f"p{n}@corp.example"
    if crm is Crm.HUBSPOT:
        return box.hubspot.add("contacts", {"email": email})
    return box.salesforce.add("Lead", {"LastName": f"P{n}", "Company": "Corp", "Email": email})


def ways(which: Mapping[str, Way]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stage", which.values(), ids=which.keys(), indirect=True)


@ways(WAYS)
def test_every_way_signs_in_once_and_reads_everybody(stage: Stage) -> None:
    with stage.connector() as connector:
        connector.check()
        pages = connector.people(stage.people, Window(lo=None, hi=AT), None)
        assert len({row.ref for page in pages for row in page.rows}) == PEOPLE
        if stage.way.asked is not None:
            assert connector.calls[stage.way.asked] == 1


@ways(RENEWED)
def test_an_end_between_two_pages_costs_one_sign_in_and_loses_nobody(stage: Stage) -> None:
    with stage.connector() as connector:
        pages = connector.people(stage.people, Window(lo=None, hi=AT), None)
        found = [row.ref for row in next(pages).rows]
        stage.end_what_was_granted()
        found += [row.ref for page in pages for row in page.rows]
        assert len(found) == len(set(found)) == PEOPLE
        assert connector.calls[str(stage.way.asked)] == 2


@ways(RENEWED)
def test_an_end_among_writes_costs_one_sign_in_and_writes_everything_once(stage: Stage) -> None:
    with stage.connector() as connector:
        connector.check()
        before = connector.calls[str(stage.way.asked)]
        stage.box.faults.add(Fault(kind=FaultKind.EXPIRED_TOKEN, match=stage.update))
        patches = stage.patches(connector)
        outcomes = connector.apply(patches)
        assert {type(one) for one in outcomes} == {Written}
        assert connector.calls[str(stage.way.asked)] == before + 1
    written = [entry.id for entry in stage.box.journal.writes() if entry.op == "update"]
    assert sorted(written) == sorted(patch.ref.id for patch in patches)


@ways(WAYS)
def test_a_credential_that_is_revoked_stops_with_one_error_and_no_storm(stage: Stage) -> None:
    with stage.connector() as connector:
        connector.check()
        stage.revoke()
        asked = stage.box.calls.total
        errors = []
        for _ in range(2):
            with pytest.raises(RunCannotContinue) as stopped:
                connector.apply(stage.patches(connector))
            errors.append(stopped.value)
        assert all(error.credentials for error in errors)
        most = 2 * connector.batches_at_once + 2
        assert stage.box.calls.total - asked <= most + (stage.way.asked is not None)
        secrets = [secret for name, secret in stage.environment.items() if name not in ("USER", "CLIENT", "KEY_FILE")]
        assert [one for one in secrets if any(one in f"{error}{error!r}" for error in errors)] == []


@ways(RENEWED)
def test_what_is_granted_again_works_from_the_next_check_on(stage: Stage) -> None:
    with stage.connector() as connector:
        stage.revoke()
        with pytest.raises(RunCannotContinue):
            connector.check()
        stage.grant()
        assert connector.check().crm is stage.way.crm


@ways(ROTATING)
def test_the_newest_refresh_token_is_found_by_the_next_process_and_by_nobody_else(stage: Stage) -> None:
    for _ in range(3):
        with stage.connector() as connector:
            connector.check()
            assert connector.calls[str(stage.way.asked)] == 1
    (kept,) = (stage.config.parent / "state").glob(f"*.{stage.way.crm}-token")
    newest = stage.box.hubspot.oauth[2] if stage.way.crm is Crm.HUBSPOT else stage.box.salesforce.refresh_token
    assert newest in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    others = [path for path in stage.config.parent.rglob("*") if path.is_file() and path != kept]
    assert [path for path in others if newest.encode() in path.read_bytes()] == []


@ways(ROTATING)
def test_a_refresh_token_that_is_configured_anew_counts_before_a_stored_one(stage: Stage) -> None:
    with stage.connector() as connector:
        connector.check()
    if stage.way.crm is Crm.HUBSPOT:
        stage.box.hubspot.oauth = (*stage.box.hubspot.oauth[:2], "authorised-anew")
    else:
        stage.box.salesforce.refresh_token = "authorised-anew"
    anew = replace(stage, environment={**stage.environment, "REFRESH": "authorised-anew"})
    with anew.connector() as connector:
        assert connector.check().crm is stage.way.crm


@ways({name: WAYS[name] for name in ("a key in a file",)})
def test_a_key_that_is_replaced_in_its_file_is_found_without_a_restart(stage: Stage) -> None:
    with stage.connector() as connector:
        connector.check()
        stage.box.hubspot.token = "rotated-key"
        (stage.config.parent / "key").write_text("rotated-key\n")
        assert connector.check().crm is Crm.HUBSPOT
