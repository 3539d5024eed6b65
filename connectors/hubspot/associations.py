"""What is associated with what: https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

Read from the associations themselves, which do not lag as search does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from connectors.hubspot.answers import Paging, following
from connectors.hubspot.client import PLURAL, Client
from connectors.hubspot.paging import going_round
from connectors.hubspot.partial import Part, every_one

__all__ = ["Associated", "associated"]

_AT_ONCE = 1_000
"""Most inputs of one call."""

_LOOKS = 2
"""So often the same page of one record is asked for."""


class _Target(msgspec.Struct, frozen=True, gc=False):
    toObjectId: str | int  # noqa: N815  # HubSpot's name


class _End(msgspec.Struct, frozen=True, gc=False):
    id: str | int


class _Associated(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    from_: _End
    to: list[_Target] | None = None
    paging: Paging | None = None


class _Answer(msgspec.Struct, frozen=True):
    """200, or 207 when some of the records have no association: those are in no ``results``."""

    results: list[_Associated] | None = None
    errors: list[msgspec.Raw] | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Associated:
    """Id -> ids of what it is associated with, lowest number first; those with none are left out.

    ``unread``: id -> why HubSpot could not tell. It may have some.
    """

    of: Mapping[str, tuple[str, ...]]
    unread: Mapping[str, str]


def associated(client: Client, from_: str, to: str, ids: Iterable[str]) -> Associated:
    """The ``to`` records of each.

    One call for a thousand ids, and one more for a record with more than five hundred associations.
    """
    path = f"{client.paths.associations}/{PLURAL[from_]}/{PLURAL[to]}/batch/read"
    asked = list(dict.fromkeys(ids))
    found: dict[str, set[str]] = {}
    unread: dict[str, str] = {}
    been: Counter[tuple[str, str]] = Counter()
    for start in range(0, len(asked), _AT_ONCE):
        further: dict[str, str | None] = dict.fromkeys(asked[start : start + _AT_ONCE])
        while further:
            rows, failed = every_one(client, list(further), partial(_ask, client, path, further))
            unread |= failed
            further = {}
            for row in rows:
                id, after = str(row.from_.id), following(row.paging)
                targets = {str(one.toObjectId) for one in row.to or ()}
                found.setdefault(id, set()).update(targets)
                if after is not None and (targets or not been[id, after]):
                    been[id, after] += 1
                    if been[id, after] > _LOOKS:
                        raise going_round("associations", from_)
                    further[id] = after
    told = {id: targets for id, targets in found.items() if targets and id not in unread}
    return Associated(of={id: tuple(sorted(targets, key=_by_number)) for id, targets in told.items()}, unread=unread)


def _ask(client: Client, path: str, further: Mapping[str, str | None], ids: Sequence[str]) -> Part[_Associated]:
    """A page of each of these; ``further``: where in its associations."""
    inputs = [{"id": id} if (after := further[id]) is None else {"id": id, "after": after} for id in ids]
    answer = client.read("associations", "POST", path, read=_answer, body={"inputs": inputs})
    rows = answer.results or ()
    return Part(
        rows=rows,
        answered=frozenset(str(row.from_.id) for row in rows),
        errors=[bytes(entry) for entry in answer.errors or ()],
    )


def _answer(body: bytes) -> _Answer:
    answer = _ANSWER.decode(body)
    if answer.results is None and not answer.errors:
        raise msgspec.ValidationError("neither results nor errors")
    return answer


def _by_number(id: str) -> tuple[int, str]:
    """Ids are numbers beyond 2^31, kept as text."""
    return len(id), id
