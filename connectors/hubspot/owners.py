"""The owners of a portal.

https://developers.hubspot.com/docs/api-reference/crm-crm-owners-v3/guide
"""

from __future__ import annotations

import msgspec

from connectors.hubspot.answers import Undecodable, listing
from connectors.hubspot.client import Client
from connectors.hubspot.paging import pages
from connectors.normalise import email
from connectors.records import Crm, Owner, OwnerKind

__all__ = ["owners"]

_PAGE = 100


class _OwnerRow(msgspec.Struct, frozen=True):
    id: str | int
    email: str | None = None
    firstName: str | None = None  # noqa: N815
    lastName: str | None = None  # noqa: N815
    type: str | None = None
    archived: bool | None = None


def owners(client: Client) -> tuple[tuple[Owner, ...], tuple[Undecodable, ...]]:
    """(owners, rows that are none). All, each time: an owner's stamp does not move when the user behind it changes."""
    found: dict[str, Owner] = {}
    broken: list[Undecodable] = []
    for archived in ("true", "false"):
        query = [("limit", str(_PAGE)), ("archived", archived)]
        for page in pages(client, "owners", client.paths.owners, lambda body: listing(body, _OwnerRow), query):
            broken += page.broken
            for row in page.results:
                one = _owner(row, active=archived == "false" and not row.archived)
                found[one.id] = one
    return tuple(sorted(found.values(), key=lambda owner: (not owner.active, owner.id))), tuple(broken)


def _owner(row: _OwnerRow, *, active: bool) -> Owner:
    address = email(row.email)
    name = " ".join(part.strip() for part in (row.firstName, row.lastName) if part and part.strip())
    return Owner(
        crm=Crm.HUBSPOT,
        id=str(row.id),
        kind=OwnerKind.QUEUE if (row.type or "").upper() == "QUEUE" else OwnerKind.USER,
        email=address,
        name=name or address or str(row.id),
        active=active,
        label=name,
    )
