"""What ends a credential, and what wears out a quota, as the two packages meet it over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import hubspot
import pytest
import requests
from hubspot.crm.contacts import ApiException as ContactsError
from hubspot.oauth import ApiException as OAuthError
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceRefusedRequest,
)

from connectors.sandbox import Fault, FaultKind, Sandbox

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox.start(at=NOW) as sandbox:
        sandbox.clock.freeze(NOW)
        yield sandbox


# -- HubSpot


class Portal:
    """The package, signed in by a fixed token or by one that a refresh gave."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self._api = hubspot.HubSpot(host=box.url, retry=False)

    def refresh(self, token: str | None = None) -> Any:
        client_id, secret, given = self.box.hubspot.oauth
        return self._api.oauth.tokens_api.create(
            grant_type="refresh_token", client_id=client_id, client_secret=secret, refresh_token=token or given
        )

    def page(self, token: str, **asked: Any) -> Any:
        api = hubspot.HubSpot(access_token=token, host=self.box.url, retry=False)
        return api.crm.contacts.basic_api.get_page(**asked)

    def refusal(self, token: str) -> tuple[int, str]:
        with pytest.raises(ContactsError) as refused:
            self.page(token)
        return refused.value.status, json.loads(refused.value.body)["category"]


@pytest.fixture
def portal(box: Sandbox) -> Portal:
    return Portal(box)


def test_a_portal_that_revokes_refuses_keys_tokens_and_refreshes_until_it_grants(portal: Portal) -> None:
    fixed, given = portal.box.hubspot.token, portal.refresh().access_token
    portal.box.hubspot.revoke()
    assert [portal.refusal(token) for token in (fixed, given)] == [(401, "INVALID_AUTHENTICATION")] * 2
    with pytest.raises(OAuthError) as refused:
        portal.refresh()
    assert json.loads(refused.value.body)["error"] == "invalid_grant"
    portal.box.hubspot.grant()
    assert portal.page(fixed).results == []
    assert portal.page(portal.refresh().access_token).results == []


def test_a_refresh_token_is_good_once_where_the_portal_rotates(portal: Portal) -> None:
    portal.box.hubspot.rotate_refresh_token = True
    first = portal.box.hubspot.oauth[2]
    second = portal.refresh().refresh_token
    assert second != first
    with pytest.raises(OAuthError):
        portal.refresh(first)
    assert portal.refresh(second).refresh_token not in (first, second)


def test_all_access_tokens_can_be_ended_at_once(portal: Portal) -> None:
    tokens = [portal.refresh().access_token for _ in range(2)]
    portal.box.hubspot.end_tokens()
    assert [portal.refusal(token) for token in tokens] == [(401, "EXPIRED_AUTHENTICATION")] * 2
    assert portal.page(portal.refresh().access_token).results == []


def test_a_scripted_end_ends_the_access_token_it_hits(portal: Portal) -> None:
    token = portal.refresh().access_token
    portal.box.faults.add(Fault(kind=FaultKind.EXPIRED_TOKEN, match="GET *"))
    assert portal.refusal(token)[0] == 401
    assert portal.refusal(token)[0] == 401


def test_a_scripted_revocation_lasts(portal: Portal) -> None:
    portal.box.faults.add(Fault(kind=FaultKind.REVOKED_TOKEN, match="GET *", nth=2))
    token = portal.box.hubspot.token
    assert portal.page(token).results == []
    assert [portal.refusal(token)[0] for _ in range(2)] == [401, 401]


@pytest.mark.parametrize("policy", ["TEN_SECONDLY_ROLLING", "SECONDLY", "DAILY"])
def test_every_kind_of_429_names_its_policy(portal: Portal, policy: str) -> None:
    portal.box.faults.add(Fault(kind=FaultKind.RATE_LIMITED, match="GET *", policy=policy))
    with pytest.raises(ContactsError) as refused:
        portal.page(portal.box.hubspot.token)
    body = json.loads(refused.value.body)
    assert (refused.value.status, body["policyName"], body["errorType"]) == (429, policy, "RATE_LIMIT")


def test_a_repeated_page_names_itself_as_the_next(portal: Portal) -> None:
    for n in range(30):
        portal.box.hubspot.add("contacts", {"city": str(n)})
    token = portal.box.hubspot.token
    second = portal.page(token, limit=10).paging.next.after
    portal.box.faults.add(Fault(kind=FaultKind.REPEATED_PAGE, match="GET *", times=2))
    assert portal.page(token, limit=10, after=second).paging.next.after == second
    first = portal.page(token, limit=10)
    assert portal.page(token, limit=10, after=first.paging.next.after).results[0].id == first.results[0].id
    assert portal.page(token, limit=10, after=second).paging.next.after != second


# -- Salesforce


class Loopback(HTTPAdapter):
    """Sends every https request to the sandbox, whatever host it names."""

    def __init__(self, url: str) -> None:
        self._netloc = urlsplit(url).netloc
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = urlunsplit(("http", self._netloc, *urlsplit(str(request.url))[2:]))
        kwargs["timeout"] = kwargs.get("timeout") or 20
        return super().send(request, *args, **kwargs)


@pytest.fixture
def http(box: Sandbox) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", Loopback(box.url))
        yield session


def connect(box: Sandbox, http: requests.Session, **by: str) -> Any:
    org = box.salesforce
    app = {"consumer_key": org.consumer_key, "consumer_secret": org.consumer_secret, "domain": "sandbox.my"}
    return Salesforce(session=http, **(by or app))


def test_an_org_that_revokes_refuses_every_way_in_until_it_grants(box: Sandbox, http: requests.Session) -> None:
    org = box.salesforce
    held = connect(box, http)
    by_session = Salesforce(
        session=http, session_id=held.session_id, instance="sandbox.my.salesforce.com", version="59.0"
    )
    org.revoke()
    with pytest.raises(SalesforceExpiredSession):
        by_session.query("SELECT Id FROM Organization")
    with pytest.raises(SalesforceAuthenticationFailed):
        connect(box, http)
    user = {"username": org.username, "password": org.password, "security_token": org.security_token}
    with pytest.raises(SalesforceAuthenticationFailed):
        connect(box, http, **user)
    org.grant()
    assert connect(box, http).query("SELECT Id FROM Organization")["totalSize"] == 1


def refresh(box: Sandbox, http: requests.Session, **more: str) -> dict[str, Any]:
    form = {"grant_type": "refresh_token", "client_id": box.salesforce.consumer_key, **more}
    body: dict[str, Any] = http.post(f"{box.url}/services/oauth2/token", data=form).json()
    return body


def test_a_refresh_token_rotates_where_the_app_says_so(box: Sandbox, http: requests.Session) -> None:
    org = box.salesforce
    first, secret = org.refresh_token, org.consumer_secret
    assert "refresh_token" not in refresh(box, http, refresh_token=first, client_secret=secret)
    org.rotate_refresh_token = True
    second = refresh(box, http, refresh_token=first, client_secret=secret)["refresh_token"]
    again = refresh(box, http, refresh_token=first, client_secret=secret)
    assert again == {"error": "invalid_grant", "error_description": "expired access/refresh token"}
    assert "access_token" in refresh(box, http, refresh_token=second, client_secret=secret)


def test_a_public_app_refreshes_without_a_secret(box: Sandbox, http: requests.Session) -> None:
    token = box.salesforce.refresh_token
    assert refresh(box, http, refresh_token=token)["error"] == "invalid_client"
    box.salesforce.secret_for_refresh = False
    assert "access_token" in refresh(box, http, refresh_token=token)
    assert refresh(box, http, refresh_token=token, client_secret="wrong")["error"] == "invalid_client"


def test_too_many_calls_at_once_are_refused(box: Sandbox, http: requests.Session) -> None:
    org = connect(box, http)
    box.salesforce.most_at_once = 2
    box.faults.add(Fault(kind=FaultKind.SLOW, match="GET */query*", delay=0.2, times=None))
    start = threading.Barrier(4, timeout=20)

    def ask(_: int) -> str:
        start.wait()
        answer = requests.get(
            f"{box.url}/services/data/v59.0/query/?q=SELECT+Id+FROM+Lead",
            headers={"Authorization": f"Bearer {org.session_id}"},
            timeout=20,
        )
        return "" if answer.ok else answer.json()[0]["message"]

    with ThreadPoolExecutor(4) as four:
        said = list(four.map(ask, range(4)))
    assert box.calls.most_at_once("salesforce") == 4
    assert sorted(said)[:2] == ["", ""]
    assert said.count("ConcurrentRequests (Concurrent API Requests) Limit exceeded.") == 2


def test_a_scripted_limit_of_calls_at_once_says_so(box: Sandbox, http: requests.Session) -> None:
    org = connect(box, http)
    box.faults.add(Fault(kind=FaultKind.RATE_LIMITED, match="GET */query*", policy="CONCURRENT"))
    with pytest.raises(SalesforceRefusedRequest, match="ConcurrentRequests"):
        org.query("SELECT Id FROM Lead")


def test_a_repeated_page_of_a_query_names_itself(box: Sandbox, http: requests.Session) -> None:
    org = connect(box, http)
    for n in range(500):
        box.salesforce.add("Lead", {"LastName": str(n), "Company": "A"})
    few = {"headers": {"Sforce-Query-Options": "batchSize=200"}}
    second = org.query("SELECT Id FROM Lead", **few)["nextRecordsUrl"]
    box.faults.add(Fault(kind=FaultKind.REPEATED_PAGE, match="GET */query/*"))
    assert org.query_more(second, identifier_is_url=True, **few)["nextRecordsUrl"] == second
    assert org.query_more(second, identifier_is_url=True, **few)["nextRecordsUrl"] != second


def test_a_session_ends_after_a_while_of_silence(box: Sandbox, http: requests.Session) -> None:
    box.salesforce.session_lifetime = timedelta(hours=2)
    token = connect(box, http).session_id
    held = Salesforce(session=http, session_id=token, instance="sandbox.my.salesforce.com")
    box.clock.move(timedelta(hours=3))
    with pytest.raises(SalesforceExpiredSession):
        held.query("SELECT Id FROM Lead")
