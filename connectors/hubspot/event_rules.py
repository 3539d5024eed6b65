"""Which ``events`` line of fields.yaml an activity of a portal falls under, and what ids and addresses are made of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from ipaddress import IPv6Network
from urllib.parse import urlsplit

from connectors.fields import EventRule
from connectors.normalise import fold

__all__ = ["Rules", "network_of", "path_of", "stable_id"]

_REMEMBERED = 1_000
_IPV4 = re.compile(r"(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}")


class Rules:
    """The lines of one source, in the order in which they are tried. Each combination of words is looked up once."""

    def __init__(self, rules: Sequence[EventRule]) -> None:
        self.lines = tuple(rules)
        self._known: dict[tuple[str, ...], EventRule | None] = {}

    def first(self, *keys: str, status: str = "") -> EventRule | None:
        """The first line whose key is one of ``keys``, or that takes any, and whose statuses have this one, if any.

        Compared folded; a blank key fits ``otherwise`` alone.
        """
        asked = (status, *keys)
        if asked not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[asked] = self._find(keys, status)
        return self._known[asked]

    def _find(self, keys: Sequence[str], status: str) -> EventRule | None:
        folded, said = {fold(key) for key in keys} - {""}, fold(status)
        for rule in self.lines:
            fits = rule.key is None or fold(rule.key) in folded
            if fits and (not rule.statuses or said in map(fold, rule.statuses)):
                return rule
        return None


def stable_id(*parts: object) -> str:
    """An id for what HubSpot gives none: the same parts, the same id."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def path_of(url: str | None) -> str:
    """``https://acme.com/Demo/?utm=1#top`` -> ``/Demo``; "" where there is none."""
    if not url:
        return ""
    try:
        path = urlsplit(url.strip()).path
    except ValueError:
        return ""
    return path.rstrip("/") or "/"


def network_of(address: str | None) -> str:
    """The network an address belongs to, so that a burst from one place shows and no person does: /24, /48 of IPv6."""
    if not address:
        return ""
    if known := _IPV4.fullmatch(address.strip()):
        return f"{known[1]}.0/24"
    try:
        return str(IPv6Network((address.strip(), 48), strict=False))
    except ValueError:
        return ""
