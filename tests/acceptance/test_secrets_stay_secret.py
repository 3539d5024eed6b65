"""A secret that a CRM, a proxy or an outage page repeats is not repeated by mqlsync: not on a terminal, in a log, in a
file or in the store. The commands are real, the secrets are told apart from everything else, and whatever is written
is searched for them, in every form in which they travel.
"""

from __future__ import annotations

import base64
import json
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.sandbox import Sandbox
from sync.compose import open_parts
from tests.support.shell import mqlsync
from tests.support.world import AS_OF, QUICK, edit, world

HOPS = {"connection", "content-length", "transfer-encoding", "date", "server", "host"}
STATUSES = (400, 401, 403, 404, 409, 423, 500, 503)


class Mirror:
    """Hands requests on to the sandbox. Those that ``repeats`` names are answered with all that they said.

    seen  every credential that passed, whatever it was called
    """

    def __init__(self, url: str) -> None:
        self.repeats: Callable[[int], bool] = lambda number: False
        self.seen: set[str] = set()
        self._url = url
        self._pool = urllib3.PoolManager(retries=False)
        self._calls = 0
        self._lock = threading.Lock()
        self._forms = cycle([(status, form) for status in STATUSES for form in ("json", "list", "page")])
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, content = mirror.answer(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._pool.clear()

    def begin(self, repeats: Callable[[int], bool]) -> None:
        with self._lock:
            self._calls, self.repeats = 0, repeats

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        with self._lock:
            self._calls += 1
            number = self._calls
            self._note(headers)
            if self.repeats(number):
                return self._repeated(*next(self._forms), method, path, headers, body)
        passed_on = {name: value for name, value in headers.items() if name.lower() not in HOPS}
        answer = self._pool.request(
            method, f"{self._url}{path}", headers=passed_on | {"Accept-Encoding": "identity"}, body=body, redirect=False
        )
        self._granted(answer.data)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOPS - {"date"}}
        return answer.status, kept, answer.data

    def _note(self, headers: Mapping[str, str]) -> None:
        bearer = headers.get("Authorization", "").partition(" ")[2]
        if bearer:
            self.seen.add(bearer)

    def _granted(self, content: bytes) -> None:
        try:
            told = json.loads(content)
        except ValueError:
            return
        if isinstance(told, dict):
            self.seen |= {str(told[name]) for name in ("access_token", "refresh_token") if told.get(name)}

    @staticmethod
    def _repeated(
        status: int, form: str, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """All that was said, where an error has its message, its code, its context, or its page."""
        said = f"{method} {path} {' '.join(f'{n}: {v}' for n, v in headers.items())} {body.decode('utf-8', 'replace')}"
        problem = {
            "status": "error",
            "message": said,
            "category": said,
            "correlationId": said,
            "context": {"id": [said]},
        }
        told = [{"message": said, "errorCode": said[:400], "fields": [said]}]
        oauth = {"error": "invalid_grant", "error_description": said}
        content: object = oauth if "token" in path else problem if form == "json" else told
        text = f"<html><body>{said}</body></html>" if form == "page" else json.dumps(content)
        kind = "text/html" if form == "page" else "application/json"
        return status, {"Content-Type": kind, "X-Repeated": quote(said)[:4000]}, text.encode()


# -- the ways to sign in -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Way:
    """The auth blocks of one way, and how the sandbox comes to accept it; ``made``: environment, and its secrets."""

    hubspot: str = '{token: "${HUBSPOT_TOKEN}"}'
    salesforce: str = '{consumer_key: "${SF_KEY}", consumer_secret: "${SF_SECRET}"}'
    made: Callable[[Sandbox, Path], dict[str, str]] = lambda box, folder: {}
    not_secret: frozenset[str] = field(default=frozenset({"SF_KEY", "CLIENT", "USER", "KEY_FILE"}))


def oauth(box: Sandbox, folder: Path) -> dict[str, str]:
    box.hubspot.rotate_refresh_token = True
    box.hubspot.oauth = ("client-7", "Zk-hubspot-client-secret", "Zk-hubspot-refresh")
    return {"CLIENT": "client-7", "HUB_SECRET": "Zk-hubspot-client-secret", "HUB_REFRESH": "Zk-hubspot-refresh"}


def refreshed(box: Sandbox, folder: Path) -> dict[str, str]:
    box.salesforce.rotate_refresh_token = True
    box.salesforce.refresh_token = "Zk-salesforce-refresh"
    return {"SF_REFRESH": "Zk-salesforce-refresh"}


def password(box: Sandbox, folder: Path) -> dict[str, str]:
    box.salesforce.password, box.salesforce.security_token = "Zk&pass<word", "Zk-security-token"
    return {"USER": box.salesforce.username, "PASSWORD": "Zk&pass<word", "SECURITY": "Zk-security-token"}


def key(box: Sandbox, folder: Path) -> dict[str, str]:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(pem)
    return {"USER": box.salesforce.username, "KEY_FILE": str(folder / "server.key")}


def session(box: Sandbox, folder: Path) -> dict[str, str]:
    return {"SESSION": box.salesforce.session_id()}


WAYS = {
    "keys and client credentials": Way(),
    "OAuth and a refresh token": Way(
        hubspot='{client_id: "${CLIENT}", client_secret: "${HUB_SECRET}", refresh_token: "${HUB_REFRESH}"}',
        salesforce='{consumer_key: "${SF_KEY}", consumer_secret: "${SF_SECRET}", refresh_token: "${SF_REFRESH}"}',
        made=lambda box, folder: oauth(box, folder) | refreshed(box, folder),
    ),
    "a password": Way(
        salesforce='{username: "${USER}", password: "${PASSWORD}", security_token: "${SECURITY}"}', made=password
    ),
    "a JWT": Way(
        salesforce='{username: "${USER}", consumer_key: "${SF_KEY}", private_key_file: "${KEY_FILE}"}', made=key
    ),
    "a session": Way(salesforce='{session_id: "${SESSION}"}', made=session),
}


@contextmanager
def mirrored(url: str) -> Iterator[Mirror]:
    made = Mirror(url)
    try:
        yield made
    finally:
        made.close()


def forms(secret: str, others: Mapping[str, str]) -> set[str]:
    """The spellings in which a secret travels: as it is, in a form, in XML, in JSON, and as Basic authentication."""
    spelled = {
        secret,
        quote(secret, safe=""),
        secret.replace("&", "&amp;").replace("<", "&lt;"),
        json.dumps(secret)[1:-1],
    }
    basic = {f"{name}:{secret}" for name in others.values()}
    return spelled | {base64.b64encode(text.encode()).decode() for text in (secret, *basic)}


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file but the one that is there to keep a refresh token, which nobody else may read, and the key itself."""
    for path in folder.rglob("*"):
        if not path.is_file() or (path.suffix == ".key" and path.parent == folder):
            continue
        if path.name.endswith("-token"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            continue
        yield str(path.relative_to(folder)), path.read_bytes()


@pytest.mark.parametrize("name", WAYS)
def test_whatever_repeats_a_secret_mqlsync_does_not(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.compose.Patience", lambda: replace(QUICK, attempts=2))
    monkeypatch.setitem(open_parts.__wrapped__.__kwdefaults__, "sleep", lambda seconds: None)
    way = WAYS[name]
    with world(tmp_path, people=12) as scene, mirrored(scene.box.url) as mirror:
        box = scene.box
        box.hubspot.token = "Zk-hubspot-token"
        box.salesforce.consumer_secret = "Zk-salesforce-secret"
        environment = {
            "HUBSPOT_TOKEN": box.hubspot.token,
            "SF_KEY": box.salesforce.consumer_key,
            "SF_SECRET": box.salesforce.consumer_secret,
        } | way.made(box, tmp_path)
        edit(
            scene.config / "mqlsync.yaml",
            (box.url, mirror.url),
            ('{token: "${HUBSPOT_TOKEN}"}', way.hubspot),
            ('{consumer_key: "${SF_KEY}", consumer_secret: "${SF_SECRET}"}', way.salesforce),
        )
        with (scene.config / "mqlsync.yaml").open("a") as settings:
            settings.write('\nnotify: {channels: {desk: {url: "${NOTIFY}"}}, reps: desk, managers: desk}\n')
        environment["NOTIFY"] = f"json://desk:Zk-notify-password@{urlsplit(mirror.url).netloc}/Zk-notify-path"
        said: dict[str, str] = {}

        def command(*arguments: str, repeats: Callable[[int], bool]) -> None:
            mirror.begin(repeats)
            answer = mqlsync(*arguments, scene=None, environment=environment | {"MQLSYNC_CONFIG": str(scene.config)})
            said[" ".join(arguments)] = answer.out + answer.err

        run = ("run", "--as-of", AS_OF.isoformat(), "--log-level", "debug")
        command("check", "--online", "--log-level", "debug", repeats=lambda number: True)
        command(*run, "--json", repeats=lambda number: number > 2)
        command(*run, repeats=lambda number: number > 12 and number % 5 == 0)
        command(*run, repeats=lambda number: False)
        for looked in (("status",), ("runs",), ("dead", "list"), ("status", "--json")):
            command(*looked, repeats=lambda number: False)

        secrets = {value for key_, value in environment.items() if key_ not in way.not_secret} | mirror.seen
        secrets |= {"Zk-notify-password", "Zk-notify-path"}
        if "KEY_FILE" in environment:
            secrets |= set(Path(environment["KEY_FILE"]).read_text().splitlines()[1:-1])
        assert len(secrets) >= 3
        spelled = {text for secret in secrets for text in forms(secret, environment) if len(text) > 7}
        told = [(where, text) for where, out in said.items() for text in spelled if text in out]
        kept = [(where, text) for where, content in written(tmp_path) for text in spelled if text.encode() in content]
        assert (told, kept) == ([], [])


def test_the_search_would_find_a_secret(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "log").write_bytes(b"Authorization: Basic " + base64.b64encode(b"key:Zk-secret") + b"\n")
    spelled = forms("Zk-secret", {"SF_KEY": "key"})
    assert [where for where, content in written(tmp_path) if any(text.encode() in content for text in spelled)] == [
        "state/log"
    ]
