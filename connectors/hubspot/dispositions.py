"""What the outcome of a call is named: calls carry the id of one.

Calling outcomes: https://developers.hubspot.com/docs/api-reference/legacy/crm/activities/calls/v1/get-calling-v1-dispositions
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from connectors.errors import RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.hubspot.answers import rows_of
from connectors.hubspot.client import Client
from connectors.normalise import fold

__all__ = ["Dispositions"]

_OF_EVERY_PORTAL: Mapping[str, str] = {
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "connected",
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "busy",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "no answer",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "left voicemail",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "left live message",
    "17b47fee-58de-441e-a44c-c6300d46f273": "wrong number",
}
"""Those a portal starts with. They keep these names, whatever a portal shows instead: policies are written in them."""


class _Disposition(msgspec.Struct, frozen=True):
    id: str
    label: str | None = None


class _Named(msgspec.Struct, frozen=True):
    results: list[msgspec.Raw]


_LISTS = (msgspec.json.Decoder(list[msgspec.Raw]), msgspec.json.Decoder(_Named))


class Dispositions:
    """The outcomes of one portal. Its own ones are asked for once, when the first call comes that has one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._own: Mapping[str, str] | None = None

    def name(self, id: str) -> str:
        """``connected``, ``no answer``, or an account's own in small letters; the id where nobody can tell."""
        bare = id.strip().lower()
        if not bare or bare in _OF_EVERY_PORTAL:
            return _OF_EVERY_PORTAL.get(bare, "")
        if self._own is None:
            self._own = self._asked()
        return self._own.get(bare, id)

    def _asked(self) -> Mapping[str, str]:
        """None where the token has no scope for them, the portal no such list, or its list is out of order: an activity
        with an outcome nobody knows by name is better than none."""
        try:
            rows = self._client.read("dispositions", "GET", self._client.paths.dispositions, read=_read)
        except (RunCannotContinue, UnexpectedAnswer, RetryLater) as refused:
            if isinstance(refused, RunCannotContinue) and not refused.credentials:
                raise
            return {}
        return {row.id.strip().lower(): name for row in rows if (name := fold(row.label or ""))}


def _read(body: bytes) -> list[_Disposition]:
    plain, named = _LISTS
    try:
        raws = plain.decode(body)
    except msgspec.ValidationError:
        raws = named.decode(body).results
    rows, _ = rows_of(raws, _Disposition)
    return rows
