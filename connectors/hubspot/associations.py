"""What is associated with what: https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

Read from the associations themselves, which do not lag as search does.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from connectors.hubspot.answers import Paging, following
from connectors.hubspot.client import PLURAL, Client

__all__ = ["associated"]

_AT_ONCE = 1_000
"""Most inputs of one call."""


class _Target(msgspec.Struct, frozen=True, gc=False):
    toObjectId: str | int  # noqa: N815  # HubSpot's name


class _End(msgspec.Struct, frozen=True, gc=False):
    id: str | int


class _Associated(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    from_: _End
    to: list[_Target] = msgspec.field(default_factory=list)
    paging: Paging | None = None


class _Answer(msgspec.Struct, frozen=True):
    """200, or 207 when some of the records have no association: those are in no ``results``."""

    results: list[_Associated] = msgspec.field(default_factory=list)
    errors: list[msgspec.Raw] = msgspec.field(default_factory=list)


_ANSWER = msgspec.json.Decoder(_Answer)


def associated(client: Client, from_: str, to: str, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Id -> ids of the ``to`` records it is associated with, lowest number first. Those with none are left out.

    One call for a thousand ids, and one more for a record with more than five hundred associations.
    """
    path = f"{client.paths.associations}/{PLURAL[from_]}/{PLURAL[to]}/batch/read"
    asked = list(dict.fromkeys(ids))
    found: dict[str, set[str]] = {}
    for start in range(0, len(asked), _AT_ONCE):
        inputs = [{"id": id} for id in asked[start : start + _AT_ONCE]]
        while inputs:
            answer = client.read("associations", "POST", path, read=_answer, body={"inputs": inputs})
            inputs = []
            for row in answer.results:
                here, new = found.setdefault(str(row.from_.id), set()), {str(one.toObjectId) for one in row.to}
                after = following(row.paging)
                if after is not None and not new <= here:
                    inputs.append({"id": str(row.from_.id), "after": after})
                here |= new
    return {id: tuple(sorted(targets, key=_by_number)) for id, targets in found.items() if targets}


def _answer(body: bytes) -> _Answer:
    answer = _ANSWER.decode(body)
    if not answer.results and not answer.errors and b'"results"' not in body:
        raise msgspec.ValidationError("neither results nor errors")
    return answer


def _by_number(id: str) -> tuple[int, str]:
    """Ids are numbers beyond 2^31, kept as text."""
    return len(id), id
