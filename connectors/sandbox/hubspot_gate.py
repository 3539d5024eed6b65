"""Who may call and how often: tokens, OAuth, quotas, and the faults that speak in their words."""

from __future__ import annotations

from collections import Counter, deque
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox.faults import FaultKind
from connectors.sandbox.hubspot_bodies import RefusalError, expired, rate_limited
from connectors.sandbox.hubspot_store import PortalState
from connectors.sandbox.server import Request, Response

# what a portal without quotas of its own says in its headers
SHOWN_PER_10_SECONDS = 190
SHOWN_PER_DAY = 650_000


class Gate:
    """Holds the issued tokens and the quota windows."""

    def __init__(self, portal: PortalState) -> None:
        self._portal = portal
        self._tokens: dict[str, datetime] = {}
        self._given = 0
        self._window: deque[int] = deque()
        self._searches: deque[int] = deque()
        self._day = ("", 0)
        self._revoked = False
        self.refused: Counter[str] = Counter()

    @property
    def calls_today(self) -> int:
        """Calls since midnight in the account's zone."""
        return self._day[1]

    def refuse_by_fault(self, request: Request) -> None:
        """Raises the refusal a scripted fault asks for, if it is one of those."""
        fault = request.fault
        if fault is None:
            return
        if fault.kind is FaultKind.RATE_LIMITED:
            policy = fault.policy or ("SECONDLY" if request.path.endswith("/search") else "TEN_SECONDLY_ROLLING")
            raise rate_limited(policy, fault.retry_after)
        if fault.kind is FaultKind.EXPIRED_TOKEN:
            self._tokens.pop(_bearer(request), None)
            raise expired(self._portal.now())
        if fault.kind is FaultKind.REVOKED_TOKEN:
            self.revoke()

    def revoke(self) -> None:
        """The app is uninstalled and the key deleted: whatever was granted is refused until `grant`."""
        self._revoked = True
        self._tokens.clear()

    def grant(self) -> None:
        """Somebody grants anew what was revoked, by the same key and refresh token."""
        self._revoked = False

    def end_tokens(self) -> None:
        """Every access token given out so far is past its time."""
        self._tokens = dict.fromkeys(self._tokens, self._portal.clock.now())

    def authenticate(self, request: Request) -> bool:
        """Whether the call came with an OAuth token (else with the static one). Refuses with 401."""
        token = _bearer(request)
        if token == self._portal.token and not self._revoked:
            return False
        ends = self._tokens.get(token)
        if ends is None:
            raise RefusalError(
                401,
                "INVALID_AUTHENTICATION",
                "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find "
                "more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
            )
        if ends <= self._portal.clock.now():
            raise expired(ends.isoformat())
        return True

    def count(self, is_search: bool) -> None:
        """Failed calls count too, but a refused one by quota does not fill the window again."""
        portal = self._portal
        now = portal.clock.millis()
        limits = portal.limits
        if is_search and limits.search_per_second is not None:
            _forget(self._searches, now - 1000)
            if len(self._searches) >= limits.search_per_second:
                raise self._refusal("SECONDLY")
            self._searches.append(now)
        today = portal.clock.now().astimezone(ZoneInfo(portal.time_zone)).date().isoformat()
        used = self._day[1] if self._day[0] == today else 0
        if limits.per_day is not None and used >= limits.per_day:
            raise self._refusal("DAILY")
        if limits.per_10_seconds is not None and not is_search:
            _forget(self._window, now - 10_000)
            if len(self._window) >= limits.per_10_seconds:
                raise self._refusal("TEN_SECONDLY_ROLLING")
            self._window.append(now)
        self._day = (today, used + 1)

    def _refusal(self, policy: str) -> RefusalError:
        self.refused[policy] += 1
        return rate_limited(policy, None)

    def headers(self, *, daily: bool) -> dict[str, str]:
        """The quota headers of an answer; without quotas those of a Professional account, never used up."""
        limits = self._portal.limits
        most = limits.per_10_seconds or SHOWN_PER_10_SECONDS
        headers = {
            "X-HubSpot-RateLimit-Max": str(most),
            "X-HubSpot-RateLimit-Remaining": str(max(0, most - max(1, len(self._window)))),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        }
        if daily:
            per_day = limits.per_day or SHOWN_PER_DAY
            headers["X-HubSpot-RateLimit-Daily"] = str(per_day)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(0, per_day - self.calls_today))
        return headers

    def token(self, request: Request) -> Response:
        """Gives an access token for a refresh token, in the form of OAuth v1 or of 2026-03."""
        portal = self._portal
        form = request.form() if request.method == "POST" else {}
        client, secret, refresh = portal.oauth
        if form.get("grant_type") != "refresh_token":
            return self._bad_token("unsupported_grant_type", "BAD_GRANT_TYPE", "missing or unsupported grant_type")
        if (form.get("client_id"), form.get("client_secret")) != (client, secret):
            return self._bad_token("invalid_client", "BAD_CLIENT_ID", "missing or unknown client id or secret")
        if form.get("refresh_token") != refresh or self._revoked:
            return self._bad_token("invalid_grant", "BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        self._given += 1
        token = f"sandbox-hubspot-access-{self._given}"
        self._tokens[token] = portal.clock.now() + timedelta(seconds=portal.token_lifetime)
        if portal.rotate_refresh_token:
            refresh = f"sandbox-hubspot-refresh-{self._given}"
            portal.oauth = (client, secret, refresh)
        body: dict[str, Any] = {
            "access_token": token,
            "refresh_token": refresh,
            "expires_in": portal.token_lifetime,
            "token_type": "bearer",
        }
        if "v1" not in request.segments:
            body |= {"hub_id": portal.portal_id, "user_id": 1, "scopes": sorted(portal.scopes)}
            body["token_use"] = "access_token"  # noqa: S105 - HubSpot's word for the kind of token
        return Response(200, body)

    def _bad_token(self, error: str, status: str, message: str) -> Response:
        body = {"error": error, "error_description": message, "status": status, "message": message}
        return Response(400, body | {"correlationId": self._portal.serial()})


def _bearer(request: Request) -> str:
    """The token of the call, "" without one."""
    scheme, _, token = str(request.headers.get("authorization", "")).partition(" ")
    return token if scheme == "Bearer" else ""


def _forget(window: deque[int], before: int) -> None:
    while window and window[0] <= before:
        window.popleft()
