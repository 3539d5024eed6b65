"""Signing in, staying signed in, and what never leaves the machine."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests
import responses
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.address import is_loopback
from connectors.errors import OutcomeUnknown, RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.retry import Patience
from connectors.salesforce.client import Client
from connectors.salesforce.settings import (
    Auth,
    ClientCredentials,
    Jwt,
    PasswordToken,
    SalesforceSettings,
    Session,
)

ORG, USER = "00D5g0000000001EAA", "0055g0000000002AAA"
HOME = "https://acme.my.salesforce.com"
TOKEN_PAGE = f"{HOME}/services/oauth2/token"
QUERY = f"{HOME}/services/data/v59.0/query/"
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
EMPTY = {"totalSize": 0, "done": True, "records": []}
APP = ClientCredentials(consumer_key="key", consumer_secret="s3cret")


def client(auth: Auth = APP, base_url: str = HOME, *, attempts: int = 1, **settings: object) -> Client:
    return Client(
        SalesforceSettings(base_url=base_url, auth=auth, **settings),  # type: ignore[arg-type]  # keyword passing
        patience=Patience(attempts=attempts, first_wait=0),
        sleep=lambda seconds: None,
        monotonic=lambda: 0.0,
    )


def token(access: str = f"{ORG[:15]}!one", instance: str = HOME, **more: str) -> dict[str, str]:
    return {"access_token": access, "instance_url": instance, "token_type": "Bearer", **more}


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        yield mock


def test_client_credentials_sign_in_at_my_domain_as_the_apps_user(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token(id=f"https://login.salesforce.com/id/{ORG}/{USER}"))
    wire.get(QUERY, json=EMPTY)
    one = client()
    one.query("SELECT Id FROM Lead")
    sent = wire.calls[0].request
    assert sent.headers["Authorization"] == "Basic " + base64.b64encode(b"key:s3cret").decode()
    assert parse_qs(str(sent.body)) == {"grant_type": ["client_credentials"]}
    assert wire.calls[1].request.headers["Authorization"] == f"Bearer {ORG[:15]}!one"
    assert (one.identity.org_id, one.identity.user_id) == (ORG, USER)


def test_a_jwt_is_made_out_to_the_login_host_and_sent_to_my_domain(wire: responses.RequestsMock) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    wire.post("https://acme--uat.sandbox.my.salesforce.com/services/oauth2/token", json=token())
    wire.get(QUERY, json=EMPTY)
    auth = Jwt(username="sync@acme.com", consumer_key="key", private_key=pem)
    client(auth, "https://acme--uat.sandbox.my.salesforce.com").query("SELECT Id FROM Lead")
    claims = str(parse_qs(str(wire.calls[0].request.body))["assertion"][0]).split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert (said["iss"], said["sub"], said["aud"]) == ("key", "sync@acme.com", "https://test.salesforce.com")


def test_a_password_login_learns_user_and_org_from_the_soap_answer(wire: responses.RequestsMock) -> None:
    answer = (
        f"<x><serverUrl>https://acme-api.my.salesforce.com/services/Soap/u/59.0</serverUrl>"
        f"<sessionId>{ORG[:15]}!one</sessionId><userId>{USER}</userId></x>"
    )
    wire.post(f"{HOME}/services/Soap/u/59.0", body=answer)
    wire.get(QUERY, json=EMPTY)
    one = client(PasswordToken(username="u@acme.com", password="p&w", security_token="t&k"))
    one.query("SELECT Id FROM Lead")
    assert "p&amp;wt&amp;k" in str(wire.calls[0].request.body)
    assert (one.identity.org_id, one.identity.user_id) == (ORG, USER)


def test_a_given_session_signs_in_nowhere(wire: responses.RequestsMock) -> None:
    wire.get(QUERY, json=EMPTY)
    one = client(Session(session_id=f"{ORG[:15]}!given"))
    one.query("SELECT Id FROM Lead")
    assert one.identity.org_id == ORG
    assert one.calls == {"query": 1}


def test_an_ended_session_is_renewed_once_and_the_call_repeated_with_all_its_headers(
    wire: responses.RequestsMock,
) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.patch(f"{HOME}/services/data/v59.0/composite/sobjects", json=EXPIRED, status=401)
    wire.post(TOKEN_PAGE, json=token(f"{ORG[:15]}!two"))
    wire.patch(f"{HOME}/services/data/v59.0/composite/sobjects", json=[{"success": True}])
    one = client()
    one.send("PATCH", "composite/sobjects", {"records": []}, kind="update")
    writes = [call.request for call in wire.calls if call.request.method == "PATCH"]
    assert [w.headers["Sforce-Auto-Assign"] for w in writes] == ["FALSE", "FALSE"]
    assert {w.headers["Sforce-Duplicate-Rule-Header"] for w in writes} == {
        "allowSave=true; includeRecordDetails=false; runAsCurrentUser=false"
    }
    assert writes[1].headers["Authorization"] == f"Bearer {ORG[:15]}!two"
    assert one.calls == {"sign in": 2, "update": 2}


def test_a_session_that_never_holds_costs_one_renewal_not_a_storm(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, json=EXPIRED, status=401)
    one = client(attempts=5)
    with pytest.raises(RunCannotContinue, match="right after signing in") as refused:
        one.query("SELECT Id FROM Lead")
    assert refused.value.credentials
    assert one.calls == {"sign in": 2, "query": 2}


def test_a_given_session_that_ended_ends_the_run(wire: responses.RequestsMock) -> None:
    wire.get(QUERY, body="<html>401</html>", status=401)
    with pytest.raises(RunCannotContinue, match="session_id has expired") as ended:
        client(Session(session_id="x!y")).query("SELECT Id FROM Lead")
    assert ended.value.credentials


def test_a_renewal_that_names_another_instance_moves_every_address_there(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, json=EXPIRED, status=401)
    wire.post(TOKEN_PAGE, json=token("x!two", "https://moved.my.salesforce.com"))
    wire.get("https://moved.my.salesforce.com/services/data/v59.0/query/", json=EMPTY)
    assert client().query("SELECT Id FROM Lead")["done"] is True


def test_a_token_for_a_host_outside_salesforce_is_never_used(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token(instance="https://salesforce.com.evil.example"))
    with pytest.raises(RunCannotContinue, match="not a Salesforce domain"):
        client().query("SELECT Id FROM Lead")
    assert len(wire.calls) == 1


def test_on_loopback_every_host_is_served_at_the_base_url(wire: responses.RequestsMock) -> None:
    """The token names a real instance, and still nothing leaves the machine."""
    wire.post("http://127.0.0.1:8099/services/oauth2/token", json=token(instance=HOME))
    wire.get("http://127.0.0.1:8099/services/data/v59.0/query/", json=EMPTY)
    client(base_url="http://127.0.0.1:8099").query("SELECT Id FROM Lead")


def test_the_token_follows_no_redirect(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, status=302, headers={"Location": "https://elsewhere.example/"})
    with pytest.raises(UnexpectedAnswer):
        client().query("SELECT Id FROM Lead")


def test_a_next_page_cannot_name_another_host(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.get(f"{HOME}/services/data/v59.0/query/01g-2000", json=EMPTY)
    one = client()
    one.more("https://evil.example/services/data/v59.0/query/01g-2000")
    with pytest.raises(UnexpectedAnswer, match="no path of the API"):
        one.more("@evil.example/x")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, '{"error":"invalid_grant","error_description":"authentication failure"}', RunCannotContinue),
        (503, "<html>down</html>", RetryLater),
        (200, "<html>hello</html>", UnexpectedAnswer),
        (200, '{"access_token":"x"}', UnexpectedAnswer),
        (200, '["odd"]', UnexpectedAnswer),
        (400, "[]", UnexpectedAnswer),
    ],
)
def test_a_failed_sign_in_is_named(
    wire: responses.RequestsMock, status: int, body: str, error: type[Exception]
) -> None:
    wire.post(TOKEN_PAGE, body=body, status=status)
    with pytest.raises(error):
        client().query("SELECT Id FROM Lead")


def test_a_user_who_has_not_approved_the_app_is_an_error_without_a_warning(wire: responses.RequestsMock) -> None:
    wire.post(
        TOKEN_PAGE,
        json={"error": "invalid_grant", "error_description": "user hasn't approved this consumer"},
        status=400,
    )
    with pytest.raises(RunCannotContinue, match="Pre-authorise"):
        client().query("SELECT Id FROM Lead")


@pytest.mark.parametrize("key", ["not a key", ""])
def test_a_key_that_cannot_sign_is_named_before_anything_is_sent(wire: responses.RequestsMock, key: str) -> None:
    with pytest.raises(RunCannotContinue, match="private key") as refused:
        client(Jwt(username="u", consumer_key="k", private_key=key)).query("SELECT Id FROM Lead")
    assert refused.value.credentials
    assert len(wire.calls) == 0


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunCannotContinue, match=r"server\.key"):
        client(Jwt(username="u", consumer_key="k", private_key_file=tmp_path / "server.key")).query("SELECT Id FROM A")


# -- answers that are none


def refused_connection() -> Exception:
    from urllib3.connectionpool import HTTPSConnectionPool
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    pool = HTTPSConnectionPool("acme.my.salesforce.com")
    return requests.ConnectionError(MaxRetryError(pool, "/", NewConnectionError(pool, "refused")))  # type: ignore[arg-type]  # only its type is looked at


@pytest.mark.parametrize(
    ("broken", "read", "write"),
    [
        (refused_connection, RetryLater, RetryLater),
        (requests.ConnectTimeout, RetryLater, RetryLater),
        (requests.ReadTimeout, RetryLater, OutcomeUnknown),
        (lambda: requests.ConnectionError("reset by peer"), RetryLater, OutcomeUnknown),
        (requests.exceptions.ChunkedEncodingError, RetryLater, OutcomeUnknown),
        (lambda: requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), RunCannotContinue, RunCannotContinue),
    ],
)
def test_a_broken_connection_is_repeatable_only_when_nothing_was_sent_or_nothing_could_change(
    wire: responses.RequestsMock, broken: Callable[[], Exception], read: type[Exception], write: type[Exception]
) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, body=broken())
    wire.post(f"{HOME}/services/data/v59.0/sobjects/Task", body=broken())
    one = client()
    with pytest.raises(read):
        one.query("SELECT Id FROM Lead")
    with pytest.raises(write):
        one.send("POST", "sobjects/Task", {}, kind="create task")


def test_an_unreadable_answer_is_read_once_more_and_a_write_is_not_sent_again(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, body='{"totalSize": 1, "rec')
    wire.get(QUERY, json=EMPTY)
    wire.post(f"{HOME}/services/data/v59.0/sobjects/Task", body="<html>200 and yet</html>")
    one = client(attempts=4)
    assert one.query("SELECT Id FROM Lead")["records"] == []
    with pytest.raises(OutcomeUnknown):
        one.send("POST", "sobjects/Task", {}, kind="create task")
    assert one.calls == {"sign in": 1, "query": 2, "create task": 1}


def test_html_is_an_outage_until_patience_ends(wire: responses.RequestsMock) -> None:
    """Three unreadable answers in a row are bad luck; where all are, the error says what came."""
    wire.post(TOKEN_PAGE, json=token())
    for _ in range(3):
        wire.get(QUERY, body="<html>maintenance</html>")
    wire.get(QUERY, json=EMPTY)
    assert client(attempts=5).query("SELECT Id FROM Lead")["records"] == []
    wire.get(QUERY, body="<html>maintenance</html>")
    one = client(attempts=5)
    with pytest.raises(UnexpectedAnswer, match="no JSON"):
        one.query("SELECT Id FROM Lead")
    assert one.calls["query"] == 5


def test_a_sign_in_page_that_answers_html_is_tried_again(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, body="<html>please wait</html>")
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, json=EMPTY)
    one = client(attempts=3)
    assert one.query("SELECT Id FROM Lead")["records"] == []
    assert one.calls == {"sign in": 2, "query": 1}


@pytest.mark.parametrize(("status", "code"), [(400, "INVALID_QUERY_LOCATOR"), (404, "NOT_FOUND")])
def test_a_small_query_whose_cursor_is_lost_is_asked_again(
    wire: responses.RequestsMock, status: int, code: str
) -> None:
    page = {"records": [{"Id": "1"}], "done": False, "nextRecordsUrl": "/services/data/v59.0/query/01g-1"}
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, json=page)
    wire.get(f"{HOME}/services/data/v59.0/query/01g-1", status=status, json=[{"errorCode": code}])
    wire.get(f"{HOME}/services/data/v59.0/query/01g-1", json={"records": [{"Id": "2"}], "done": True})
    one = client(attempts=3)
    assert [row["Id"] for row in one.rows("SELECT Id FROM Lead")] == ["1", "2"]
    assert one.calls["query"] == 4


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ({"records": [{"Id": "2"}], "done": False, "nextRecordsUrl": "/services/data/v59.0/query/01g-1"}, "lead back"),
        ({"records": [{"Id": "2"}], "done": True, "nextRecordsUrl": None}, "ended after 2 of 3 rows"),
    ],
)
def test_a_small_query_that_does_not_come_to_its_end_is_asked_again_and_then_an_error(
    wire: responses.RequestsMock, broken: dict[str, object], complaint: str
) -> None:
    """Not followed for ever, and never taken for whole: who is not among the rows would be taken for gone."""
    first = {"totalSize": 3, "records": [{"Id": "1"}], "nextRecordsUrl": "/services/data/v59.0/query/01g-1"}
    last = {"records": [{"Id": "2"}, {"Id": "3"}], "done": None}
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, json=first)
    wire.get(f"{HOME}/services/data/v59.0/query/01g-1", json=broken)
    wire.get(f"{HOME}/services/data/v59.0/query/01g-1", json=last)
    assert [row["Id"] for row in client().rows("SELECT Id FROM Lead")] == ["1", "2", "3"]
    wire.replace(responses.GET, f"{HOME}/services/data/v59.0/query/01g-1", json=broken)
    one = client()
    with pytest.raises(UnexpectedAnswer, match=complaint):
        one.rows("SELECT Id FROM Lead")
    assert one.calls["query"] == 8


def test_a_server_error_is_tried_again_for_a_read_only(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, status=503, json=[{"errorCode": "SERVER_UNAVAILABLE", "message": ""}])
    wire.get(QUERY, json=EMPTY)
    wire.post(f"{HOME}/services/data/v59.0/sobjects/Task", status=503, body="<html/>")
    one = client(attempts=3)
    assert one.query("SELECT Id FROM Lead")["done"]
    with pytest.raises(OutcomeUnknown):
        one.send("POST", "sobjects/Task", {}, kind="create task")
    assert one.calls == {"sign in": 1, "query": 2, "create task": 1}


def test_errors_carry_neither_query_nor_token(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, status=400, json=[{"errorCode": "MALFORMED_QUERY", "message": "near ann@corp.example"}])
    with pytest.raises(UnexpectedAnswer) as shown:
        client().query("SELECT Id FROM Lead WHERE Email = 'ann@corp.example'")
    assert "ann@" not in str(shown.value)
    assert shown.value.__cause__ is None
    assert shown.value.__suppress_context__


# -- quota


def test_the_run_stops_before_the_call_that_would_go_past_our_share(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.get(QUERY, json=EMPTY, headers={"Sforce-Limit-Info": "api-usage=5/10"})
    one = client(share_of_day=0.3)
    one.query("SELECT Id FROM Lead")
    one.query("SELECT Id FROM Lead")
    with pytest.raises(RunCannotContinue, match="share of the day") as stopped:
        one.query("SELECT Id FROM Lead")
    assert stopped.value.quota
    assert one.calls["query"] == 2


def test_the_days_end_stops_the_run_without_a_second_try(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN_PAGE, json=token())
    wire.get(
        QUERY, status=403, json=[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    )
    one = client(attempts=5)
    with pytest.raises(RunCannotContinue) as stopped:
        one.query("SELECT Id FROM Lead")
    assert stopped.value.quota
    assert one.calls["query"] == 1


# -- settings


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.example", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        (None, False),
    ],
)
def test_loopback_is_a_literal(host: str | None, local: bool) -> None:
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"base_url": "http://acme.my.salesforce.com", "auth": APP}, "https is required"),
        ({"base_url": "http://10.0.0.1", "auth": APP}, "https is required"),
        ({"base_url": "https://acme.example", "auth": APP}, "not on a Salesforce domain"),
        ({"base_url": "https://notsalesforce.com", "auth": APP}, "not on a Salesforce domain"),
        ({"base_url": "https://login.salesforce.com", "auth": APP}, "My Domain"),
        ({"base_url": "https://acme.lightning.force.com", "auth": APP}, r"works at \*\.salesforce\.com"),
        ({"base_url": HOME, "auth": APP, "share_of_day": 0.0}, "share_of_day"),
        ({"base_url": HOME, "auth": APP, "api_version": "v59"}, "api_version"),
        (
            {
                "base_url": HOME,
                "auth": PasswordToken(username="u", password="p", security_token=""),
                "api_version": "65.0",
            },
            "password login does not exist in API 65.0",
        ),
    ],
)
def test_settings_that_cannot_work_are_named(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        SalesforceSettings(**settings)  # type: ignore[arg-type]  # the table holds every kind of setting


def test_a_jwt_needs_one_key() -> None:
    with pytest.raises(ValueError, match="one of the two"):
        Jwt(username="u", consumer_key="k")


def test_secrets_are_not_printed() -> None:
    for auth in (
        APP,
        PasswordToken(username="u", password="s3cret", security_token="s3cret"),
        Session(session_id="s3cret"),
        Jwt(username="u", consumer_key="k", private_key="s3cret"),
    ):
        assert "s3cret" not in repr(SalesforceSettings(base_url=HOME, auth=auth))
