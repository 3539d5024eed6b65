"""No line of a log says who somebody is or how to sign in, and the lines about one person can still be joined."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from connectors.errors import RunCannotContinue
from connectors.records import Crm, RecordRef
from sync import log
from sync.log import Redactor

SECRET = "tok-3f9a77-from-the-environment"

HASH = r"~[0-9a-f]{12}"


class Lines:
    """What was logged, as text and as JSON."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.all[-1]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Logging as the command line sets it up; the process's own set-up comes back afterwards."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    noisy = {name: logging.getLogger(name).level for name in ("urllib3", "apscheduler", "alembic", "hubspot")}
    lines = Lines()
    log.configure(level="debug", key=b"one installation", secrets=frozenset({SECRET}), stream=lines.stream)
    yield lines
    root.handlers[:], root.level = before
    for name, level in noisy.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


SECRETS = [
    SECRET,
    "pat-na1-11111111-2222-3333-4444-555555555555",
    "00D5g00000ABCDE!AQcAQH0dMHZfz972Szmpkb58urFRkgeBGsxL_QJWwYMfAbUeeG7c1E6LYUfiDUkWe6H34r1AAwOR8B8fLEz6n04NPGRrq0FM",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "place", ["event", "value", "secret key", "nested", "list", "bytes", "exception value", "key", "foreign", "extra"]
)
def test_a_secret_is_never_in_a_line(lines: Lines, secret: str, place: str) -> None:
    logger, foreign = log.get_logger(), logging.getLogger("some.package")
    match place:
        case "event":
            logger.info(f"asked with {secret}")
        case "value":
            logger.info("x", url=f"https://host/path?{secret}")
        case "secret key":
            logger.info("x", access_token=secret, Authorization=secret, client_secret=secret)
        case "nested":
            logger.info("x", headers={"a": [{"b": secret}]})
        case "list":
            logger.info("x", values=(secret, {secret}))
        case "bytes":
            logger.info("x", body=secret.encode())
        case "exception value":
            logger.info("x", error=ValueError(secret))
        case "key":
            logger.info("x", counts={secret: 1})
        case "foreign":
            foreign.warning("answer to %s", secret)
        case _:
            foreign.warning("answer", extra={"header": secret})
    assert secret not in lines.text
    assert "***" in lines.text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Bearer abc.def-ghi", "***"),
        ("header authorization: bearer abcdef", "header authorization: ***"),
        ("?access_token=abc&x=1", "?access_token=***&x=1"),
        ('{"refresh_token": "abc", "x": 1}', '{"refresh_token": "***", "x": 1}'),
        ("grant_type=password&password=hunter2&x=1", "grant_type=password&password=***&x=1"),
        ("assertion=eyJhbGciOi.J9.x&x=1", "assertion=***&x=1"),
        ("a token bucket of 190", "a token bucket of 190"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out_of_text_and_the_rest_stays(said: str, shown: str) -> None:
    assert Redactor(b"k").text(said) == shown


def test_a_short_secret_does_not_eat_words() -> None:
    assert Redactor(b"k", frozenset({"pull"})).text("pull.page_stored") == "pull.page_stored"


@pytest.mark.parametrize(
    "said",
    [
        {"email": "ana@acme.com"},
        {"person": "<ana@acme.com>"},
        {"why": "two records of ana@acme.com."},
        {"url": "https://host/contacts?email=ana%40acme.com&x=1"},
        {"counts": {"ana@acme.com": 2}},
        {"rows": [{"name": "Ana López", "phone": "+49 151"}]},
        {"phone": 49151234},
        {"theirs": "Ana López", "ours": None},
        {"name": "Ana López", "title": "VP Sales", "address": "Ana's street"},
        {"error": LookupError("nobody named 'ana@acme.com'")},
    ],
)
def test_a_person_is_never_in_a_line(lines: Lines, said: dict[str, Any]) -> None:
    log.get_logger().warning("x", **said)
    for word in ("ana", "Ana", "López", "49151234", "+49", "VP Sales", "acme"):
        assert word not in lines.text
    assert "~" in lines.text


def test_lines_about_one_person_can_be_joined_wherever_the_address_stands(lines: Lines) -> None:
    logger = log.get_logger()
    logger.info("x", email=" Ana@Acme.com ")
    logger.info("x", why="nobody named 'ana@acme.com' is there")
    logger.info("x", url="?email=ana%40acme.com")
    logger.info("x", by={"ANA@ACME.COM": 1})
    logging.getLogger("other").warning("for %s.", "ana@acme.com")
    email, why, url, by, foreign = lines.all
    person = email["email"]
    assert why["why"] == f"nobody named '{person}' is there"
    assert url["url"] == f"?email={person}"
    assert by["by"] == {person: 1}
    assert foreign["event"] == f"for {person}."


def test_two_installations_hash_one_person_differently() -> None:
    assert Redactor(b"one").text("ana@acme.com") != Redactor(b"another").text("ana@acme.com")


def test_what_is_no_personal_value_stays_readable(lines: Lines) -> None:
    ref = RecordRef(crm=Crm.HUBSPOT, object="contact", id="512")
    log.get_logger().info("write.settled", record=ref, rows=3, share=0.5, done=True, error=None, tags=("a", "b"))
    line = lines.last
    assert line["record"] == "hubspot:contact:512"
    assert (line["rows"], line["share"], line["done"], line["error"], line["tags"]) == (3, 0.5, True, None, ["a", "b"])
    assert (line["event"], line["level"]) == ("write.settled", "info")
    assert line["timestamp"].endswith("Z")


# -- exceptions --------------------------------------------------------------------------------------------------


def sign_in(email: str, token: str) -> None:
    where = {"email": email}
    raise RunCannotContinue(Crm.HUBSPOT, f"{where['email']} may not sign in with {token}", credentials=True)


@pytest.mark.parametrize("logger", ["ours", "foreign"])
def test_a_traceback_names_functions_and_lines_but_nobody(lines: Lines, logger: str) -> None:
    try:
        sign_in("ana@acme.com", SECRET)
    except RunCannotContinue:
        if logger == "ours":
            log.get_logger().exception("run.failed")
        else:
            logging.getLogger("apscheduler.executors").exception("job failed")
    [found] = lines.last["exception"]
    assert found["exc_type"] == "RunCannotContinue"
    assert [frame["name"] for frame in found["frames"]][-1] == "sign_in"
    assert all("locals" not in frame for frame in found["frames"])
    assert "acme" not in lines.text
    assert SECRET not in lines.text
    assert len(lines.text.splitlines()) == 1


def test_the_cause_of_an_exception_is_redacted_too(lines: Lines) -> None:
    try:
        try:
            raise KeyError("ana@acme.com")
        except KeyError as cause:
            raise RuntimeError("no such person") from cause
    except RuntimeError:
        log.get_logger().exception("x")
    assert [found["exc_type"] for found in lines.last["exception"]] == ["RuntimeError", "KeyError"]
    assert "acme" not in lines.text


def test_the_values_of_a_statement_are_not_in_its_error(lines: Lines) -> None:
    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            connection.execute(text("INSERT INTO nowhere VALUES (:name, :note)"), {"name": "Ana López", "note": "a]b"})
    except DBAPIError:
        log.get_logger().exception("store.failed")
    engine.dispose()
    assert "López" not in lines.text
    assert "a]b" not in lines.text
    assert "no such table: nowhere" in lines.text


# -- set-up ------------------------------------------------------------------------------------------------------


def test_packages_that_talk_a_lot_only_warn(lines: Lines) -> None:
    logging.getLogger("urllib3.connectionpool").debug("Starting new connection")
    logging.getLogger("apscheduler.scheduler").info("Added job")
    assert lines.text == ""
    logging.getLogger("urllib3.connectionpool").warning("Retrying")
    assert lines.last["event"] == "Retrying"


def test_the_level_is_kept(lines: Lines) -> None:
    log.configure(level="warning", key=b"k", stream=lines.stream)
    log.get_logger().info("quiet")
    log.get_logger().warning("loud")
    assert [line["event"] for line in lines.all] == ["loud"]


def test_what_is_bound_to_the_context_is_in_every_line(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(run="r_1", job="sync"):
        log.get_logger().info("x")
        logging.getLogger("other").info("y")
    assert [(line["run"], line["job"]) for line in lines.all] == [("r_1", "sync")] * 2
