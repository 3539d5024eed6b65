"""The opportunities in which contacts have a role, as part of the contacts.

Source: Object Reference "OpportunityContactRole", "Opportunity". Neither moves the contact's SystemModstamp, so two
streams of people tell whose opportunities changed: one of the roles, one of the opportunities themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from connectors.errors import RunCannotContinue
from connectors.records import Deal, DealState, Page, PersonRecord, RecordProblem, Window
from connectors.salesforce import soql
from connectors.salesforce.client import Client
from connectors.salesforce.reader import READ, Reader, ref_of, value_at
from connectors.salesforce.schema import Describes, as_source, not_visible
from connectors.salesforce.unread import readable, text_in
from connectors.salesforce.windows import Columns, Row, changed_rows

__all__ = ["DEALS", "ROLES", "Deals"]

ROLES = "opportunity contact role"
DEALS = "contact opportunity"
"""The two streams."""

_OF_DEAL = ("StageName", "IsClosed", "IsWon", "SystemModstamp")


class Deals:
    def __init__(self, client: Client, describes: Describes, reader: Reader) -> None:
        self._client = client
        self._describes = describes
        self._reader = reader

    def with_deals(self, page: Page[PersonRecord]) -> Page[PersonRecord]:
        """The page's contacts with their opportunities; without, where this user may not see any: `changed` says so."""
        alive = [person.ref.id for person in page.rows if not person.gone]
        try:
            found, problems = self._of(alive) if alive else ({}, ())
        except RunCannotContinue as refused:
            if not not_visible(refused):
                raise
            return page
        rows = tuple(replace(one, deals=found[one.ref.id]) if one.ref.id in found else one for one in page.rows)
        return replace(page, rows=rows, problems=(*page.problems, *problems))

    def changed(self, stream: str, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        """Contacts, whole, whose roles or opportunities changed in the window.

        A first load takes everybody who has a role; that of the opportunities has nothing to add. SourceMissing where
        this user may not see opportunities or their roles.
        """
        object, column = (ROLES, "ContactId") if stream == ROLES else ("opportunity", "Id")
        with as_source(stream):
            self._describes.fields(ROLES)  # both are needed for either stream
            columns = Columns(self._describes, object, (column,))
            if window.lo is None and stream == DEALS:
                return
            for page in changed_rows(self._client, columns, window, resume):
                ids = [str(row[column]) for row in page.rows if row.get(column)]
                contacts = ids if stream == ROLES else self._contacts_of(ids)
                yield replace(self.with_deals(self._contacts(contacts)), resume=page.resume)

    def _contacts(self, ids: Iterable[str]) -> Page[PersonRecord]:
        refs = [ref_of("contact", id) for id in dict.fromkeys(ids)]
        if not refs:
            return Page(rows=(), resume=None)
        fetched = self._reader.fetch("contact", refs)
        people = tuple(one for one in fetched.rows if isinstance(one, PersonRecord))
        return Page(rows=people, resume=None, problems=fetched.problems)

    def _contacts_of(self, opportunities: Iterable[str]) -> list[str]:
        rows = self._roles(("ContactId",), "OpportunityId", opportunities)
        return [str(row["ContactId"]) for row in rows if row.get("ContactId")]

    def _of(self, contacts: Iterable[str]) -> tuple[Mapping[str, tuple[Deal, ...]], tuple[RecordProblem, ...]]:
        """Contact id -> its opportunities, in order of their ids; and what of them cannot be read."""
        wanted = ("ContactId", "OpportunityId", *(f"Opportunity.{name}" for name in _OF_DEAL))
        found: dict[str, dict[str, Deal]] = {}
        read, problems = readable(ROLES, self._roles(wanted, "ContactId", contacts), _role)
        for contact, deal in read:
            if deal is not None:
                found.setdefault(contact, {})[deal.id] = deal
        return {id: tuple(deals[key] for key in sorted(deals)) for id, deals in found.items()}, problems

    def _roles(self, wanted: Iterable[str], column: str, ids: Iterable[str]) -> Iterator[Row]:
        """Live roles by contact or opportunity."""
        columns = Columns(self._describes, ROLES, tuple(wanted), sure=("ContactId", "OpportunityId"))
        asked = list(dict.fromkeys(soql.id18(id) for id in ids if soql.is_id(id)))
        around = len(soql.address(soql.select(columns.shown, "OpportunityContactRole", f"{column} IN ()")))
        for some in soql.chunks(asked, READ, around=around):
            listed = ",".join(soql.literal(id) for id in some)
            query = soql.select(columns.shown, "OpportunityContactRole", f"{column} IN ({listed})")
            yield from self._client.rows(query, kind=f"pull {ROLES}")


def _role(row: Row) -> tuple[str, Deal | None]:
    """A contact, and the opportunity it has a role in; None where this user may not see that."""
    stamp, contact = value_at(row, "Opportunity.SystemModstamp"), text_in(row, "ContactId")
    if not stamp or not contact:
        return contact, None
    state = DealState.OPEN
    if value_at(row, "Opportunity.IsClosed"):
        state = DealState.WON if value_at(row, "Opportunity.IsWon") else DealState.LOST
    deal = Deal(
        id=soql.id18(row["OpportunityId"]),
        stage=value_at(row, "Opportunity.StageName") or "",
        state=state,
        at=soql.instant(stamp),
    )
    return soql.id18(contact), deal
