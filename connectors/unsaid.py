"""Taking secrets out of what a server says, before anybody reads it for an error.

Gateways, debug pages and careless servers repeat a request in their answer. What is known to have been sent in secret
is taken out in every form in which it travels; nothing is guessed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, quote_plus

__all__ = ["unsaid"]

INSTEAD = b"<secret>"

SHORTEST = 4
"""Characters of a secret that is looked for: what is shorter stands in every text."""


def unsaid(content: bytes, secrets: Iterable[str]) -> bytes:
    """``content`` with `INSTEAD` where it repeats one of these: as it is, in a form, in JSON, in XML, in Base64."""
    spelled = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
    # The longest first: a secret can be a part of another one.
    for form in sorted(spelled, key=len, reverse=True):
        if form in content:
            content = content.replace(form, INSTEAD)
    return content


def _forms(secret: str) -> Iterable[bytes]:
    raw = secret.encode("utf-8", "surrogatepass")
    yield raw
    yield quote(secret, safe="").encode()
    yield quote_plus(secret).encode()
    yield json.dumps(secret)[1:-1].encode()
    yield json.dumps(secret, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    yield escape(secret, quote=True).encode("utf-8", "surrogatepass")
    yield escape(secret, quote=False).encode("utf-8", "surrogatepass")
    yield base64.b64encode(raw)
