"""How a client of the sandbox org gets its session: the OAuth token resource and the SOAP login.

A JWT's signature is not verified (the sandbox knows no certificate), nor its expiry (it is by the real clock, the
sandbox has its own): a JWT login needs the right issuer and subject.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from connectors.sandbox.clock import millis_of
from connectors.sandbox.salesforce_ids import long_id
from connectors.sandbox.salesforce_store import Row
from connectors.sandbox.server import Request, Response

if TYPE_CHECKING:
    from connectors.sandbox.salesforce import SalesforceOrg

__all__ = ["Logins"]

FIRST_WITHOUT_SOAP_LOGIN = 65
_PROLOG = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
)


class Logins:
    """Checks credentials against the org's. Called while the org's lock is held."""

    def __init__(self, org: SalesforceOrg) -> None:
        self._org = org

    def token(self, request: Request) -> Response:
        """``POST /services/oauth2/token``: a session for good credentials, else 400 with an OAuth error."""
        form = request.form()
        if self._org.revoked:
            return _oauth_error("invalid_grant", "user is inactive or the app is blocked")
        key, secret = _client(request, form)
        grant = form.get("grant_type", "")
        match grant:
            case "client_credentials" | "password" | "refresh_token":
                if key != self._org.consumer_key:
                    return _oauth_error("invalid_client_id", "client identifier invalid")
                if secret != self._org.consumer_secret and (
                    grant != "refresh_token" or self._org.secret_for_refresh or secret
                ):
                    return _oauth_error("invalid_client", "invalid client credentials")
                if grant == "password" and not self._knows(form.get("username"), form.get("password"), trusted=True):
                    return _oauth_error("invalid_grant", "authentication failure")
                if grant == "refresh_token" and form.get("refresh_token") != self._org.refresh_token:
                    return _oauth_error("invalid_grant", "expired access/refresh token")
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                claims = _claims(form.get("assertion", ""))
                if claims is None:
                    return _oauth_error("invalid_grant", "invalid assertion")
                if claims.get("iss") != self._org.consumer_key:
                    return _oauth_error("invalid_client_id", "client identifier invalid")
                if claims.get("sub") != self._org.username or not claims.get("aud"):
                    return _oauth_error("invalid_grant", "user hasn't approved this consumer")
            case _:
                return _oauth_error("unsupported_grant_type", "grant type not supported")
        body = self._granted_token(request)
        if grant == "refresh_token" and self._org.rotate_refresh_token:
            self._org.refresh_token = f"sandbox-refresh-{body['access_token'][-8:]}"
            body["refresh_token"] = self._org.refresh_token
        return Response(body=body)

    def _granted_token(self, request: Request) -> Row:
        issued = str(millis_of(self._org.now()))
        identity = f"https://login.salesforce.com/id/{self._org.org_id}/{self._org.user_id}"
        signature = hashlib.sha256(f"{identity}{issued}{self._org.consumer_secret}".encode()).digest()
        return {
            "access_token": self._org.session_id(),
            "signature": base64.b64encode(signature).decode(),
            "scope": "api refresh_token",
            "instance_url": self._instance(request, "http"),
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued,
        }

    def _instance(self, request: Request, scheme: str) -> str:
        return self._org.instance_url or f"{scheme}://{request.headers.get('host', 'sandbox.my.salesforce.com')}"

    def _knows(self, username: str | None, password: str | None, *, trusted: bool) -> bool:
        accepted = {self._org.password + self._org.security_token} | ({self._org.password} if trusted else set())
        return username == self._org.username and password in accepted

    def soap_login(self, request: Request, version: str) -> Response:
        """``POST /services/Soap/u/{version}``: a session, else a SOAP fault with status 500."""
        text = request.body.decode()
        number = version.partition(".")[0]
        if not number.isdigit() or int(number) >= FIRST_WITHOUT_SOAP_LOGIN:
            return _soap_fault("UNSUPPORTED_API_VERSION", f"login() is not available in API version {version}")
        username, password = _element(text, "username"), _element(text, "password")
        organization = long_id(_element(text, "organizationId"))
        if self._org.revoked:
            return _soap_fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
        if not self._knows(username, password, trusted=organization == self._org.org_id):
            if self._knows(username, password, trusted=True):
                return _soap_fault(
                    "LOGIN_MUST_USE_SECURITY_TOKEN", "Invalid username, password, security token; or user locked out."
                )
            return _soap_fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
        server = f"{self._instance(request, 'https')}/services/Soap/u/{version}/{self._org.org_id}"
        body = (
            f'{_PROLOG} xmlns="urn:partner.soap.sforce.com"><soapenv:Body><loginResponse><result>'
            f"<serverUrl>{html.escape(server)}</serverUrl><sessionId>{self._org.session_id()}</sessionId>"
            f"<userId>{self._org.user_id}</userId></result></loginResponse></soapenv:Body></soapenv:Envelope>"
        )
        return Response(200, body, content_type="text/xml;charset=UTF-8")


def _oauth_error(code: str, description: str) -> Response:
    return Response(400, {"error": code, "error_description": description})


def _client(request: Request, form: Mapping[str, str]) -> tuple[str, str]:
    """Key and secret, from Basic authentication or the form."""
    scheme, _, coded = str(request.headers.get("authorization", "")).partition(" ")
    if scheme.lower() == "basic":
        try:
            key, _, secret = base64.b64decode(coded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return key, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def _claims(assertion: str) -> dict[str, Any] | None:
    """The claims of a JWT, its signature unread: the sandbox knows no certificate. Expiry is left to the real clock."""
    parts = assertion.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    return claims if isinstance(claims, dict) else None


def _element(text: str, name: str) -> str:
    found = re.search(rf"<(?:\w+:)?{name}>(.*?)</(?:\w+:)?{name}>", text, re.DOTALL)
    return html.unescape(found.group(1)) if found else ""


def _soap_fault(code: str, message: str) -> Response:
    body = (
        f'{_PROLOG} xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault>'
        f"<faultcode>sf:{code}</faultcode><faultstring>{code}: {html.escape(message)}</faultstring>"
        "<detail><sf:LoginFault>"
        f"<sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{html.escape(message)}</sf:exceptionMessage>"
        "</sf:LoginFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    )
    return Response(500, body, content_type="text/xml;charset=UTF-8")
