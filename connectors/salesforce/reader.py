"""People, accounts and owners as Salesforce has them, and single records by id.

Source: Object Reference (Lead, Contact, Account, Opportunity, User, Group, QueueSobject). Merged and deleted rows show
only in ``queryAll``, with ``IsDeleted`` and the survivor in ``MasterRecordId``; a converted lead lives on as a contact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from connectors.errors import UnexpectedAnswer
from connectors.fields import CountRule, CrmMap, FactField, ObjectMap
from connectors.normalise import converter, fold
from connectors.records import (
    CompanyRecord,
    Crm,
    Found,
    Gone,
    Moved,
    Owner,
    OwnerKind,
    Page,
    PersonRecord,
    ReadBack,
    RecordProblem,
    RecordRef,
    Scalar,
    Sighting,
    Window,
)
from connectors.salesforce import soql
from connectors.salesforce.client import Client
from connectors.salesforce.schema import Describes, api_name
from connectors.salesforce.shapes import Companies, Fact, People, R, Shape, moved_to, ref_of, text_of
from connectors.salesforce.tables import Row, Table, value_at
from connectors.salesforce.unread import readable, text_in
from connectors.salesforce.windows import Columns, changed_rows

__all__ = ["READ", "Reader", "ref_of", "text_of", "value_at"]

READ = 300
"""Most ids in one ``IN (...)``."""

_OWNERS = "pull owners"

_LISTED = ("Id", "SystemModstamp")
_LIST_PAGE = 2_000

_WHERE_IT_IS: Mapping[str, tuple[str, ...]] = {
    "lead": ("IsDeleted", "MasterRecordId", "IsConverted", "ConvertedContactId"),
    "contact": ("IsDeleted", "MasterRecordId"),
    "account": ("IsDeleted", "MasterRecordId"),
}
"""Fields that say whether a record still lives, and where."""

_OWN: Mapping[str, tuple[str, ...]] = {
    "lead": ("CreatedDate", "OwnerId"),
    "contact": ("CreatedDate", "OwnerId", "AccountId"),
    "account": ("CreatedDate", "OwnerId"),
}
"""What every record tells besides its mapped facts."""


class Reader:
    """Rows to records. Columns are settled once for each object and kept."""

    def __init__(self, client: Client, describes: Describes, fields: CrmMap) -> None:
        self._client = client
        self._describes = describes
        self._fields = fields
        self._columns: dict[str, Columns] = {}
        self._facts: dict[str, tuple[Fact, ...]] = {}
        self.unread: tuple[RecordProblem, ...] = ()

    # -- windows ---------------------------------------------------------------------------------------------------

    def people(self, object: str, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        yield from self._records(object, window, resume, self._person(object))

    def _person(self, object: str) -> People:
        mapped, facts = self._fields.objects[object], self._facts_of(object)
        return People(object, facts, email=self._email(object), written=mapped.written, heard=mapped.heard)

    def companies(self, window: Window, resume: str | None) -> Iterator[Page[CompanyRecord]]:
        counts = self.counts()
        for page in self._records("account", window, resume, self._company()):
            yield self._with_counts(page, counts) if counts else page

    def _company(self) -> Companies:
        return Companies("account", self._facts_of("account"))

    def _with_counts(self, page: Page[CompanyRecord], counts: Sequence[tuple[str, CountRule]]) -> Page[CompanyRecord]:
        """The page's accounts with their related records counted, so that a whole record is whole."""
        ids = [one.ref.id for one in page.rows if not one.gone]
        counted = self._count(ids, counts) if ids else {}
        rows = tuple(replace(one, facts={**one.facts, **counted.get(one.ref.id, {})}) for one in page.rows)
        return replace(page, rows=rows)

    def opportunities(self, window: Window, resume: str | None) -> Iterator[Page[CompanyRecord]]:
        """Partial accounts: the counts of those whose opportunities changed in the window.

        The accounts' opportunities are read anew and counted here, so a count never drifts. An opportunity that moved
        to another account is counted there at once; the account it left is counted when it, or another of its
        opportunities, changes.
        """
        counts = self.counts()
        columns = Columns(self._describes, "opportunity", ("AccountId",))
        for page in changed_rows(self._client, columns, window, resume):
            read, problems = readable("opportunity", page.rows, _of_account)
            newest = {account: (stamp, at) for account, stamp, at in read if account}
            counted = self._count(list(newest), counts) if newest else {}
            rows = tuple(
                CompanyRecord(
                    ref=ref_of("account", id),
                    facts=counted[id],
                    owner=None,
                    version=stamp,
                    modified_at=at,
                    partial=True,
                )
                for id, (stamp, at) in newest.items()
            )
            yield Page(rows=rows, resume=page.resume, problems=problems)

    def counts(self) -> tuple[tuple[str, CountRule], ...]:
        """The facts of accounts that count opportunities."""
        account = self._fields.objects.get("account")
        if account is None:
            return ()
        return tuple(
            (f.fact, f.count) for f in account.facts if f.count is not None and f.count.object == "Opportunity"
        )

    def _count(self, accounts: Sequence[str], counts: Sequence[tuple[str, CountRule]]) -> dict[str, dict[str, Scalar]]:
        """Account id -> fact -> number of matching opportunities, zeros included. Deleted ones do not count."""
        names = dict.fromkeys(name for _, rule in counts for name in rule.where)
        columns = Columns(self._describes, "opportunity", ("AccountId", *names))
        counted: dict[str, dict[str, Scalar]] = {id: {fact: 0 for fact, _ in counts} for id in accounts}
        matches = [(fact, [(name, fold(value)) for name, value in rule.where.items()]) for fact, rule in counts]
        for some in soql.chunks(accounts, READ, around=400):
            listed = ",".join(soql.literal(id) for id in some)
            query = soql.select(columns.shown, "Opportunity", f"AccountId IN ({listed})")
            for row in self._client.rows(query, kind="count opportunity"):
                account = row.get("AccountId")
                here = counted.get(soql.id18(account)) if isinstance(account, str) and soql.is_id(account) else None
                if here is None:
                    continue
                for fact, wanted in matches:
                    if all(fold(text_of(value_at(row, name)) or "") == value for name, value in wanted):
                        here[fact] = int(here[fact]) + 1
        return counted

    def _records(self, object: str, window: Window, resume: str | None, shape: Shape[R]) -> Iterator[Page[R]]:
        for page in changed_rows(self._client, self.columns(object), window, resume):
            yield shape.page(page.table, page.resume)

    # -- for comparing with the store ------------------------------------------------------------------------------

    def ids(self, object: str, resume: str | None) -> Iterator[Page[Sighting]]:
        """Every live record by id, ``resume`` being the last one seen. Only an empty page is the end."""
        alive = ("IsConverted = false",) if object == "lead" else ()
        last = resume
        while True:
            beyond = () if last is None else (f"Id > {soql.literal(last)}",)
            query = soql.select(_LISTED, api_name(object), " AND ".join((*alive, *beyond)), "Id", _LIST_PAGE)
            rows = self._client.query(query, kind=f"sweep {object}")["records"]
            if not rows:
                yield Page(rows=(), resume=None)
                return
            if last == (last := rows[-1]["Id"]):
                raise UnexpectedAnswer(Crm.SALESFORCE, f"the list of {api_name(object)} does not go on.", status=200)
            seen = [Sighting(ref=ref_of(object, r["Id"]), modified_at=_instant(r.get("SystemModstamp"))) for r in rows]
            yield Page(rows=tuple(seen), resume=last)

    def fetch(self, object: str, refs: Sequence[RecordRef]) -> Page[PersonRecord] | Page[CompanyRecord]:
        """These people or accounts, whole."""
        columns = self.columns(object)
        rows = self._by_ids(columns, [ref.id for ref in refs], f"fetch {object}")
        table = Table.of_rows(columns.shown, rows)
        if object != "account":
            return self._person(object).page(table, None)
        page, counts = self._company().page(table, None), self.counts()
        return self._with_counts(page, counts) if counts else page

    def forget(self) -> None:
        """Settle the columns anew: fields were made, or made visible."""
        self._columns.clear()
        self._facts.clear()

    # -- what can be read ------------------------------------------------------------------------------------------

    def columns(self, object: str) -> Columns:
        """The columns of a person's or account's object."""
        if object not in self._columns:
            mapped = self._fields.objects[object]
            sure = (*_WHERE_IT_IS[object], *_OWN[object])
            address = () if object == "account" else (self._email(object),)
            self._columns[object] = Columns(self._describes, object, (*address, *mapped.properties()), sure)
        return self._columns[object]

    def _email(self, object: str) -> str:
        """The property with a person's address."""
        mapped = self._fields.objects[object].facts
        return next((f.property for f in mapped if f.fact == "person.email" and f.property), "Email")

    def problems(self) -> tuple[str, ...]:
        """What the configuration names and this user cannot see, in sentences."""
        said = []
        lacking = self.lacking()
        for object, mapped in self._fields.objects.items():
            for name in lacking.get(object, ()):
                use = "written" if name in mapped.written else "mapped"
                said.append(f"{api_name(object)}.{name} is {use}, but not visible to the integration user")
            said += _uncounted(object, mapped)
        return tuple(said)

    def lacking(self) -> dict[str, tuple[str, ...]]:
        """Object -> properties that the configuration names and this user cannot see."""
        lacking: dict[str, tuple[str, ...]] = {}
        for object, mapped in self._fields.objects.items():
            hidden = set(self.columns(object).hidden)
            if gone := tuple(name for name in mapped.needed() if name in hidden):
                lacking[object] = gone
        return lacking

    def _facts_of(self, object: str) -> tuple[Fact, ...]:
        if object not in self._facts:
            known = self._describes.fields(object)
            shown = set(self.columns(object).shown)
            self._facts[object] = tuple(
                Fact(name=fact.fact, property=fact.property, convert=converter(fact, known[fact.property].kind))
                if fact.property in known
                else Fact(name=fact.fact, property=fact.property, convert=converter(fact))
                for fact in self._fields.objects[object].facts
                if fact.property is not None and fact.property in shown
            )
        return self._facts[object]

    # -- owners ----------------------------------------------------------------------------------------------------

    def owners(self, user_id: str | None, username: str | None) -> tuple[Owner, ...]:
        """Internal users, active and not, and every queue with the objects it may own. One call as a rule.

        What cannot be read is left out, and noted in ``unread``.
        """
        users = soql.select(
            ["Id", "Username", "Email", "Name", "IsActive"], "User", f"UserType = {soql.literal('Standard')}"
        )
        queues = soql.select(["Id", "Name", "DeveloperName"], "Group", f"Type = {soql.literal('Queue')}")
        owned = soql.select(["QueueId", "SobjectType"], "QueueSobject")
        asked = (users, queues, owned)
        told = dict(zip(asked, self._client.several(asked, kind=_OWNERS), strict=True))

        def rows(query: str) -> Sequence[Row]:
            known = told[query]
            return self._client.rows(query, kind=_OWNERS, loose=True) if known is None else known

        found, no_users = readable("user", rows(users), lambda row: _user(row, user_id, username))
        queue_rows = rows(queues)
        pairs, no_pairs = readable("queue object", rows(owned) if queue_rows else (), _owned, named="QueueId")
        objects: dict[str, set[str]] = {}
        for queue, object in pairs:
            objects.setdefault(queue, set()).add(object)
        listed, no_queues = readable("queue", queue_rows, lambda row: _queue(row, objects))
        self.unread = (*no_users, *no_queues, *no_pairs)
        return (*found, *listed)

    # -- by id -----------------------------------------------------------------------------------------------------

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> Mapping[RecordRef, ReadBack]:
        """See `connectors.port.Connector.read`. A field this user cannot see reads as None."""
        if not refs:
            return {}
        object = refs[0].object
        if any(ref.object != object for ref in refs):
            raise ValueError("records are read one object at a time")
        columns = Columns(self._describes, object, fields, _WHERE_IT_IS.get(object, ("IsDeleted",)))
        rows = self._by_ids(columns, [ref.id for ref in refs], f"read {object}")
        found = {soql.id18(row["Id"]): row for row in rows}
        return {ref: _read_back(ref, found.get(soql.id18(ref.id)), fields) for ref in refs}

    def _by_ids(self, columns: Columns, ids: Iterable[str], kind: str) -> list[Row]:
        """The rows there are of these ids, deleted ones included."""
        asked = list(dict.fromkeys(soql.id18(id) for id in ids if soql.is_id(id)))
        around = len(soql.address(soql.select(columns.shown, api_name(columns.object), "Id IN ()")))
        rows: list[Row] = []
        for some in soql.chunks(asked, READ, around=around):
            where = f"Id IN ({','.join(soql.literal(id) for id in some)})"
            rows += self._found(columns, where, kind)
        return rows

    def _found(self, columns: Columns, where: str, kind: str) -> Sequence[Row]:
        return self._client.rest(lambda: columns.ask(self._client, where, kind=kind), kind=kind)


def _read_back(ref: RecordRef, row: Row | None, fields: Sequence[str]) -> ReadBack:
    if row is None:
        return Gone(ref=ref, reason="no such record, or this user may not see it")
    to = moved_to(
        ref.object,
        row.get("IsDeleted"),
        row.get("MasterRecordId"),
        row.get("IsConverted"),
        row.get("ConvertedContactId"),
    )
    if to is not None:
        return Moved(ref=ref, to=to, reason="converted" if row.get("IsConverted") else "merged")
    if row.get("IsDeleted"):
        return Gone(ref=ref, reason="deleted")
    if row.get("IsConverted"):
        return Gone(ref=ref, reason="converted to a contact that this user may not see")
    values = {name: text_of(value_at(row, name)) for name in fields}
    return Found(ref=ref, values=values, version=row.get("SystemModstamp") or "")


def _id_in(row: Row, name: str = "Id") -> str:
    id = text_in(row, name)
    if not soql.is_id(id):
        raise ValueError(f"{name} is no id")
    return soql.id18(id)


def _of_account(row: Row) -> tuple[str, str, datetime]:
    """The account of an opportunity, "" where it has none, and when it changed."""
    stamp = text_in(row, "SystemModstamp")
    return soql.id18(text_in(row, "AccountId")), stamp, soql.instant(stamp)


def _user(row: Row, user_id: str | None, username: str | None) -> Owner:
    id, name = _id_in(row), text_in(row, "Username")
    ours = id == user_id if user_id else bool(username) and name.casefold() == str(username).casefold()
    return Owner(
        crm=Crm.SALESFORCE,
        id=id,
        kind=OwnerKind.USER,
        email=text_in(row, "Email") or None,
        name=text_in(row, "Name") or name,
        label=name,
        active=bool(row.get("IsActive")),
        integration=ours,
    )


def _owned(row: Row) -> tuple[str, str]:
    """Id of a queue, and an object that it may own."""
    return _id_in(row, "QueueId"), text_in(row, "SobjectType").lower()


def _queue(row: Row, objects: Mapping[str, Iterable[str]]) -> Owner:
    id, label = _id_in(row), text_in(row, "Name")
    return Owner(
        crm=Crm.SALESFORCE,
        id=id,
        kind=OwnerKind.QUEUE,
        email=None,
        name=text_in(row, "DeveloperName") or label or id,
        label=label,
        active=True,
        objects=tuple(sorted(objects.get(id, ()))),
    )


def _uncounted(object: str, mapped: ObjectMap) -> list[str]:
    def understood(fact: FactField) -> bool:
        return fact.count is None or (object == "account" and fact.count.object == "Opportunity")

    return [
        f"{fact.fact} of {object} counts {fact.count.object}, but only an account's Opportunity can be counted"
        for fact in mapped.facts
        if fact.count is not None and not understood(fact)
    ]


def _instant(text: Any) -> datetime | None:
    """None for none, and for one that cannot be read."""
    try:
        return soql.instant(text) if text else None
    except (ValueError, TypeError):
        return None
