"""Salesforce record ids: 15 case-sensitive characters, or 18 with a checksum of the upper-case ones.

Source: Salesforce's published algorithm (``70130000001tcyI`` -> ``...AAQ``).
"""

from __future__ import annotations

import re

__all__ = ["IdMint", "key_prefix", "long_id"]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ID = re.compile(r"[0-9A-Za-z]{15}(?:[A-Z0-5]{3})?")


def _checksum(id15: str) -> str:
    groups = (id15[0:5], id15[5:10], id15[10:15])
    return "".join(_CHECK[sum(1 << i for i, c in enumerate(group) if "A" <= c <= "Z")] for group in groups)


def long_id(text: object) -> str | None:
    """The 18-character form of a 15- or 18-character id; None if it is neither, or its checksum is wrong."""
    if not isinstance(text, str) or _ID.fullmatch(text) is None:
        return None
    whole = text[:15] + _checksum(text[:15])
    return whole if len(text) == 15 or text == whole else None


def key_prefix(record_id: str) -> str:
    """The three characters that say which object an id belongs to."""
    return record_id[:3]


class IdMint:
    """Gives out ids in order, per prefix, so that the same seed always has the same ids."""

    def __init__(self, pod: str = "5g0000") -> None:
        self._pod = pod
        self._given: dict[str, int] = {}

    def next(self, prefix: str) -> str:
        number = self._given[prefix] = self._given.get(prefix, 0) + 1
        tail = ""
        for _ in range(6):
            number, digit = divmod(number, 62)
            tail = _ALPHABET[digit] + tail
        id15 = f"{prefix}{self._pod}{tail}"
        return id15 + _checksum(id15)
