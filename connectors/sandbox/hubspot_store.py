"""A portal's state and its rules: what a write changes besides what it says. No HTTP here."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from connectors.sandbox.clock import Clock
from connectors.sandbox.hubspot_schema import ASSOCIATION_TYPES, PRIMARY, ObjectType, Property, catalogue
from connectors.sandbox.hubspot_values import BadValueError, canonical, iso, iso_of
from connectors.sandbox.journal import Journal, Via

MERGED_COUNTERS = ("hs_analytics_num_", "hs_email_", "num_", "hs_social_", "hs_calculated_form_submissions")


@dataclass(slots=True, eq=False)
class Record:
    """One record. Instants are HubSpot's text form, which sorts as time does; cleared properties are absent."""

    id: str
    number: int
    properties: dict[str, str]
    created: str
    modified: str
    touched: str
    archived: str | None = None
    versions: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def as_of(self, cutoff: str) -> dict[str, str] | None:
        """What an index that has seen changes up to `cutoff` knows; None when it does not know the record yet."""
        if self.touched <= cutoff:
            return self.properties
        for touched, properties in reversed(self.versions):
            if touched <= cutoff:
                return properties
        return None


class Table:
    """The records of one object type, in id order for listings."""

    def __init__(self, kind: ObjectType) -> None:
        self.kind = kind
        self.by_id: dict[str, Record] = {}
        self.aliases: dict[str, str] = {}
        self.unique: dict[str, dict[str, str]] = {}
        self.generation = 0
        self.searches: dict[str, list[Record]] = {}
        self._next = kind.first_id
        self._sorted: dict[bool, list[Record]] = {}

    def new_id(self, wanted: str | None) -> str:
        """The next id, or the wanted one. ValueError when that is taken or no number."""
        if wanted is None:
            number = self._next
        elif wanted.isdigit() and wanted not in self.by_id and wanted not in self.aliases:
            number = int(wanted)
        else:
            raise ValueError(f"{self.kind.name} {wanted!r} is no new id")
        self._next = max(self._next, number + 1)
        return str(number)

    def insert(self, record: Record) -> None:
        """Adds a record, keeping the listing sorted without sorting again where ids grow."""
        self.by_id[record.id] = record
        listing = self._sorted.get(record.archived is not None)
        if listing is not None and (not listing or listing[-1].number < record.number):
            listing.append(record)
        else:
            self._sorted.clear()
        self.changed()

    def remove(self, record: Record) -> None:
        """Takes a record out of the table (merged away, erased)."""
        del self.by_id[record.id]
        self._sorted.clear()
        self.changed()

    def moved(self) -> None:
        """A record was archived or restored."""
        self._sorted.clear()
        self.changed()

    def changed(self) -> None:
        """Values changed: what a search found before is no longer true."""
        self.generation += 1
        self.searches.clear()

    def listing(self, archived: bool) -> list[Record]:
        """Live or archived records in id order. Not to be changed by the caller."""
        if archived not in self._sorted:
            rows = [record for record in self.by_id.values() if (record.archived is not None) == archived]
            rows.sort(key=lambda record: record.number)
            self._sorted[archived] = rows
        return self._sorted[archived]

    def after(self, number: int, archived: bool) -> tuple[list[Record], int]:
        """The listing and the place of the first record with a larger id."""
        rows = self.listing(archived)
        return rows, bisect_right(rows, number, key=lambda record: record.number)

    def current(self, id_: str) -> str:
        """The id a merged-away one stands for now; any other as it is."""
        while id_ in self.aliases:
            id_ = self.aliases[id_]
        return id_


@dataclass(slots=True)
class Owner:
    """A user or queue that can own records. Archived owners have no `userId` in the API."""

    id: str
    user_id: int
    email: str
    first: str
    last: str
    type: str
    active: bool
    created: str
    updated: str


@dataclass(slots=True)
class Form:
    """A form and its submissions, oldest first: (instant in ms, conversion id, values, page)."""

    guid: str
    name: str
    created: str
    submissions: list[tuple[int, str, dict[str, str], str]] = field(default_factory=list)


@dataclass(slots=True)
class MarketingEvent:
    """A webinar or the like. Times in ms; participations by contact id, in the order of registration."""

    id: str
    name: str
    type: str
    starts: int
    ends: int | None
    participations: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """One property value that is refused. `code` is HubSpot's word."""

    name: str
    code: str
    message: str


class InvalidError(ValueError):
    """Values that are refused; nothing was written."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.name}: {p.message} ({p.code})" for p in problems))
        self.problems = problems


@dataclass(slots=True)
class Limits:
    """Quotas the portal enforces, by the sandbox clock; None: none."""

    per_10_seconds: int | None = None
    search_per_second: int | None = None
    per_day: int | None = None


class PortalState:
    """Everything a portal knows, and the switches for what HubSpot does not document."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self.clock = clock
        self.journal = journal
        self.lock = threading.RLock()
        self.token = "sandbox-hubspot-token"  # noqa: S105 - a stand-in's token
        self.oauth = ("sandbox-hubspot-client", "sandbox-hubspot-secret", "sandbox-hubspot-refresh")
        self.token_lifetime = 1800  # seconds
        self.rotate_refresh_token = False  # a refresh ends the refresh token it was made with
        self.portal_id = 4_242_424
        self.time_zone = "UTC"
        self.limits = Limits()
        self.scopes = set(ALL_SCOPES)

        self.batch_update_partial = True  # bad values among good: 207 when every input has its trace id; else 400
        self.stamp_unchanged = True  # a write that changes nothing moves the modification stamp
        self.index_lag = 0.0  # seconds (sandbox clock) until search knows a change
        self.unique_task_property = True  # tasks accept custom properties with unique values
        self.unique_clash_status = 409  # or 400
        self.follow_merged_updates = False  # batch update of a merged-away id: True writes to the survivor
        self.unassociated_error = False  # associations batch read: True answers 207 for ids without any
        self.archived_associations = False  # associations show archived records

        self.kinds = catalogue()
        self.tables = {name: Table(kind) for name, kind in self.kinds.items()}
        self.names = {alias: name for name, kind in self.kinds.items() for alias in (name, kind.singular, kind.type_id)}
        self.links: dict[tuple[str, str], dict[str, dict[str, set[int]]]] = {}
        self.owners: dict[str, Owner] = {}
        self.forms: dict[str, Form] = {}
        self.email_events: list[dict[str, Any]] = []
        self.marketing_events: dict[str, MarketingEvent] = {}
        self.event_analytics = False  # the plan includes event occurrences
        self.event_types = {"e_visited_page"}
        self.occurrences: list[dict[str, Any]] = []
        self._serial = 0
        for table in self.tables.values():
            table.unique = {name: {} for name in table.kind.uniques()}

    # -- finding

    def table(self, object_: str) -> Table:
        """The table of an object type by plural, singular or type id. KeyError when there is none."""
        return self.tables[self.names[object_.lower()]]

    def find(self, object_: str, id_: str) -> Record | None:
        """The record by id, live or archived, merged-away ids answering with the survivor."""
        table = self.table(object_)
        return table.by_id.get(table.current(id_))

    def by_unique(self, table: Table, name: str, value: str) -> Record | None:
        """The live record that holds this value of a unique property."""
        wanted = value.strip().lower() if name == "email" else value
        id_ = table.unique.get(name, {}).get(wanted)
        return table.by_id.get(id_) if id_ is not None else None

    def now(self) -> str:
        """The instant a commit is stamped with."""
        return iso(self.clock.millis())

    def serial(self) -> str:
        """A new UUID, the same in every run that does the same."""
        self._serial += 1
        return str(UUID(int=(0x5A4D << 112) | (0x4000 << 64) | (0x8000 << 48) | self._serial))

    # -- checking values

    def check(
        self, table: Table, properties: Mapping[str, object], record: Record | None = None, *, seed: bool = False
    ) -> dict[str, str]:
        """The values as they would be stored. InvalidError with every problem. A seed may set read-only values."""
        clean: dict[str, str] = {}
        problems: list[Problem] = []
        for name, value in properties.items():
            prop = table.kind.properties.get(name)
            if prop is None:
                problems.append(Problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
                continue
            if prop.read_only and not seed:
                problems.append(
                    Problem(name, "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
                )
                continue
            try:
                clean[name] = canonical(prop, value)
            except BadValueError as bad:
                problems.append(Problem(name, bad.code, bad.message))
                continue
            if prop.owner and clean[name]:
                problems += self._owner_problems(name, clean[name], record, seed=seed)
        problems += self._clashes(table, clean, record)
        if problems:
            raise InvalidError(problems)
        return clean

    def _owner_problems(self, name: str, value: str, record: Record | None, *, seed: bool) -> list[Problem]:
        owner = self.owners.get(value)
        if owner is not None and (owner.active or seed):
            return []
        if owner is not None and record is not None and record.properties.get(name) == value:
            return []
        why = "does not exist" if owner is None else "is deactivated"
        return [Problem(name, "INVALID_OWNER", f"The owner {value} {why} and cannot be assigned.")]

    def _clashes(self, table: Table, clean: Mapping[str, str], record: Record | None) -> list[Problem]:
        problems = []
        for name, index in table.unique.items():
            holder = index.get(clean.get(name, ""))
            if holder is not None and (record is None or record.id != holder):
                kind = table.kind.singular.capitalize()
                problems.append(
                    Problem(
                        name,
                        "CONFLICT",
                        f"{kind} already exists. Existing ID: {holder}"
                        if name == "email"
                        else f"Cannot set {name}={clean[name]}: {holder} already has that value.",
                    )
                )
        return problems

    # -- committing

    def create(
        self, table: Table, clean: Mapping[str, str], via: Via, *, id_: str | None = None, at: str | None = None
    ) -> Record:
        """Commits a new record with checked values."""
        kind = table.kind
        now = self.now()
        stamp = at or now
        new = table.new_id(id_)
        given = {name: value for name, value in clean.items() if value}
        record = Record(new, int(new), {}, stamp, stamp, stamp if at else now)
        record.properties = {kind.created: stamp, kind.modified: stamp, "hs_object_id": new}
        changes: dict[str, tuple[str | None, str | None]] = {name: (None, value) for name, value in given.items()}
        self._apply(table, record, changes, stamp)
        # seeds may bring stamps of their own, which those of this commit must not hide
        record.properties |= given
        record.created = record.properties[kind.created]
        record.modified = record.properties[kind.modified]
        table.insert(record)
        self.journal.record("hubspot", kind.name, new, "create", changes, via)
        return record

    def update(self, table: Table, record: Record, clean: Mapping[str, str], via: Via) -> None:
        """Commits checked values. An earlier lifecycle stage is ignored, as is what is so already.

        The journal gets an entry without changes when only the modification stamp moved.
        """
        changes = self._changes(table, record, clean)
        if not changes and not self.stamp_unchanged:
            return
        now = self.now()
        self.keep_version(record)
        self._apply(table, record, changes, now)
        self.touch(table, record, now)
        self.journal.record("hubspot", table.kind.name, record.id, "update", changes, via)

    def _changes(
        self, table: Table, record: Record, clean: Mapping[str, str]
    ) -> dict[str, tuple[str | None, str | None]]:
        changes: dict[str, tuple[str | None, str | None]] = {}
        for name, value in clean.items():
            old = record.properties.get(name, "")
            if value == old:
                continue
            if name == "lifecyclestage" and self._is_backward(table, old, value):
                continue
            changes[name] = (old or None, value or None)
        return changes

    def _is_backward(self, table: Table, old: str, new: str) -> bool:
        if not old or not new:
            return False
        order = table.kind.properties["lifecyclestage"].values
        return old in order and order.index(new) < order.index(old)

    def keep_version(self, record: Record) -> None:
        """Remembers how the record was, for a search index that lags behind."""
        if self.index_lag > 0:
            record.versions = [*record.versions[-20:], (record.touched, dict(record.properties))]

    def touch(self, table: Table, record: Record, now: str) -> None:
        """Moves the modification stamp."""
        record.modified = record.touched = now
        record.properties[table.kind.modified] = now
        table.changed()

    def _apply(
        self, table: Table, record: Record, changes: Mapping[str, tuple[str | None, str | None]], now: str
    ) -> None:
        properties = record.properties
        for name, (old, new) in changes.items():
            if new is None:
                properties.pop(name, None)
            else:
                properties[name] = new
            if name in table.unique:
                self._reindex(table, name, record.id, old, new)
            if name == "lifecyclestage":
                self._stamp_stage(table, record, old, new, now)
            elif name == "hubspot_owner_id":
                properties["hubspot_owner_assigneddate"] = now
            elif name == "email" and new is not None:
                properties["hs_email_domain"] = new.rpartition("@")[2]

    def _reindex(self, table: Table, name: str, id_: str, old: str | None, new: str | None) -> None:
        index = table.unique[name]
        if old is not None and index.get(old) == id_:
            del index[old]
        if new is not None:
            index[new] = id_

    def _stamp_stage(self, table: Table, record: Record, old: str | None, new: str | None, now: str) -> None:
        known = table.kind.properties
        stamps = {f"hs_v2_date_exited_{old}": now, f"hs_v2_date_entered_{new}": now}
        stamps[f"hs_lifecyclestage_{new}_date"] = now
        for name, value in stamps.items():
            if name in known:
                record.properties[name] = value

    def archive_record(self, table: Table, record: Record, via: Via) -> None:
        """Into the bin: hidden, its unique values free again, restorable."""
        record.archived = record.touched = self.now()
        for name in table.unique:
            self._reindex(table, name, record.id, record.properties.get(name), None)
        table.moved()
        self._count_contacts(table, record)
        self.journal.record("hubspot", table.kind.name, record.id, "delete", {}, via)

    def restore_record(self, table: Table, record: Record, via: Via) -> None:
        """Back from the bin, with its id."""
        record.archived = None
        for name in table.unique:
            self._reindex(table, name, record.id, None, record.properties.get(name))
        self.touch(table, record, self.now())
        table.moved()
        self._count_contacts(table, record)
        self.journal.record("hubspot", table.kind.name, record.id, "create", {}, via)

    def erase_record(self, table: Table, record: Record, via: Via) -> None:
        """Gone for ever, from every listing."""
        for name in table.unique:
            self._reindex(table, name, record.id, record.properties.get(name), None)
        for (from_, to), links in self.links.items():
            if from_ == table.kind.name:
                links.pop(record.id, None)
            if to == table.kind.name:
                for targets in links.values():
                    targets.pop(record.id, None)
        table.remove(record)
        self.journal.record("hubspot", table.kind.name, record.id, "delete", {}, via)

    def merge_records(self, table: Table, primary: Record, other: Record, via: Via) -> Record:
        """Both become aliases of a third record, with the primary's values before the other's."""
        kind = table.kind
        now = self.now()
        new = table.new_id(None)
        properties = other.properties | primary.properties
        for name, prop in kind.properties.items():
            if prop.read_only and prop.type == "number" and name.startswith(MERGED_COUNTERS):
                total = sum(int(r.properties.get(name, "0").split(".")[0]) for r in (primary, other))
                if total:
                    properties[name] = str(total)
        old_ids = [
            id_
            for r in (primary, other)
            for id_ in (*filter(None, r.properties.get("hs_merged_object_ids", "").split(";")), r.id)
        ]
        properties |= {
            "hs_object_id": new,
            "hs_merged_object_ids": ";".join(old_ids),
            kind.created: min(primary.created, other.created),
            kind.modified: now,
        }
        if kind.name == "contacts":
            properties |= self._merged_contact(primary, other)
            if "associatedcompanyid" not in primary.properties:
                properties.pop("associatedcompanyid", None)  # the other's primary label is dropped
        for loser in (primary, other):
            for name in table.unique:
                self._reindex(table, name, loser.id, loser.properties.get(name), None)
            table.remove(loser)
            table.aliases[loser.id] = new
        record = Record(new, int(new), properties, properties[kind.created], now, now)
        self._index(table, record)
        table.insert(record)
        for loser in (primary, other):
            self._move_links(kind.name, loser.id, new, keep_primary=loser is primary)
        if kind.name == "companies":
            self._follow_company(primary.id, other.id, new, now)
        self.journal.record("hubspot", kind.name, new, "merge", {"merged": (f"{primary.id};{other.id}", new)}, via)
        return record

    def _follow_company(self, primary: str, other: str, new: str, now: str) -> None:
        """The primary company of contacts after their company was merged; of the other company's there is none."""
        contacts = self.tables["contacts"]
        for contact in contacts.by_id.values():
            held = contact.properties.get("associatedcompanyid")
            if held in (primary, other):
                self.keep_version(contact)
                if held == primary:
                    contact.properties["associatedcompanyid"] = new
                else:
                    del contact.properties["associatedcompanyid"]
                self.touch(contacts, contact, now)

    def _merged_contact(self, primary: Record, other: Record) -> dict[str, str]:
        stamp = self.clock.millis()
        vids = [
            part
            for r in (primary, other)
            for part in (
                *filter(None, r.properties.get("hs_calculated_merged_vids", "").split(";")),
                f"{r.id}:{stamp}",
            )
        ]
        more = [
            address
            for r in (primary, other)
            for address in (r.properties.get("email", ""), *r.properties.get("hs_additional_emails", "").split(";"))
        ]
        main = primary.properties.get("email") or other.properties.get("email", "")
        extra = dict.fromkeys(address for address in more if address and address != main)
        merged = {"hs_calculated_merged_vids": ";".join(vids)}
        return merged | ({"hs_additional_emails": ";".join(extra)} if extra else {})

    def _index(self, table: Table, record: Record) -> None:
        for name, index in table.unique.items():
            value = record.properties.get(name)
            if value:
                index[value] = record.id
            if name == "email":
                for address in filter(None, record.properties.get("hs_additional_emails", "").split(";")):
                    index[address] = record.id

    # -- associations

    def link(self, from_: tuple[Table, Record], to: tuple[Table, Record], types: Iterable[int] = ()) -> None:
        """Associates two records both ways. Without types: the default ones; the first company is the primary."""
        (table, record), (to_table, to_record) = from_, to
        for a, b, forth in ((record, to_record, True), (to_record, record, False)):
            pair = (table.kind.name, to_table.kind.name) if forth else (to_table.kind.name, table.kind.name)
            known = ASSOCIATION_TYPES.get(pair, (1_000_000 + sum(map(ord, pair[0] + pair[1])),))
            targets = self.links.setdefault(pair, {}).setdefault(a.id, {})
            wanted = set(types if forth else ()) or {known[0]}
            targets.setdefault(b.id, set()).update(wanted | {known[0]})
        if {table.kind.name, to_table.kind.name} == {"contacts", "companies"}:
            contact, company = (record, to_record) if table.kind.name == "contacts" else (to_record, record)
            if "associatedcompanyid" not in contact.properties or wanted_primary(types):
                self._make_primary(contact, company)
            self._count_contacts(self.tables["companies"], company)

    def _make_primary(self, contact: Record, company: Record) -> None:
        for pair, type_, of, target in (
            (("contacts", "companies"), 1, contact.id, company.id),
            (("companies", "contacts"), 2, company.id, contact.id),
        ):
            targets = self.links[pair][of]
            if type_ == 1:
                for types in targets.values():
                    types.discard(type_)
            targets[target].add(type_)
        contact.properties["associatedcompanyid"] = company.id
        self.tables["contacts"].changed()

    def _count_contacts(self, table: Table, record: Record) -> None:
        """Keeps num_associated_contacts of the companies concerned."""
        if table.kind.name == "contacts":
            ids = list(self.links.get(("contacts", "companies"), {}).get(record.id, {}))
        elif table.kind.name == "companies":
            ids = [record.id]
        else:
            return
        contacts, companies = self.tables["contacts"].by_id, self.tables["companies"]
        for id_ in ids:
            company = companies.by_id.get(id_)
            if company is not None:
                targets = self.links.get(("companies", "contacts"), {}).get(id_, {})
                live = sum(1 for target in targets if target in contacts and contacts[target].archived is None)
                company.properties["num_associated_contacts"] = str(live)

    def _move_links(self, name: str, old: str, new: str, *, keep_primary: bool) -> None:
        for (from_, to), links in self.links.items():
            if from_ == name and old in links:
                mine = links.setdefault(new, {})
                for target, types in links.pop(old).items():
                    kept = types if keep_primary else {t for t in types if t not in PRIMARY}
                    mine.setdefault(target, set()).update(kept)
            if to == name:
                for targets in links.values():
                    if old in targets:
                        types = targets.pop(old)
                        kept = types if keep_primary else {t for t in types if t not in PRIMARY}
                        targets.setdefault(new, set()).update(kept)

    def linked(self, from_: str, id_: str, to: str) -> list[tuple[str, set[int]]]:
        """Ids and association types of what a record is linked to, in id order; archived ones only by the switch."""
        targets = self.links.get((from_, to), {}).get(self.tables[from_].current(id_), {})
        rows = self.tables[to].by_id
        return [
            (target, types)
            for target, types in sorted(targets.items(), key=lambda pair: int(pair[0]))
            if target in rows and (self.archived_associations or rows[target].archived is None)
        ]

    # -- schema

    def define(self, table: Table, prop: Property) -> None:
        """Adds a property; a unique one gets its index."""
        table.kind.properties[prop.name] = prop
        if prop.unique:
            table.unique.setdefault(prop.name, {})

    # -- comparing runs

    def state(self) -> dict[str, Any]:
        """Records by id without stamps, tasks by content without ids, associations, custom properties."""
        with self.lock:
            objects: dict[str, Any] = {}
            for name, table in self.tables.items():
                if name == "tasks":
                    continue
                objects[name] = {
                    id_: _comparable(record)
                    for id_, record in sorted(table.by_id.items(), key=lambda pair: int(pair[0]))
                }
            custom = {
                name: {p.name: p.type for p in kind.properties.values() if not p.standard}
                for name, kind in self.kinds.items()
            }
            return {
                "objects": objects,
                "tasks": sorted((self._comparable_task(r) for r in self.tables["tasks"].by_id.values()), key=repr),
                "associations": {
                    f"{from_}->{to}": {
                        id_: sorted(targets, key=int) for id_, targets in sorted(links.items()) if targets
                    }
                    for (from_, to), links in sorted(self.links.items())
                    if "tasks" not in (from_, to)
                },
                "properties": {name: dict(sorted(props.items())) for name, props in custom.items() if props},
            }

    def _comparable_task(self, record: Record) -> dict[str, Any]:
        return _comparable(record) | {
            "linked": {to: [id_ for id_, _ in self.linked("tasks", record.id, to)] for to in ("contacts", "companies")}
        }


def wanted_primary(types: Iterable[int]) -> bool:
    """Whether the association is asked for as the primary one."""
    return any(type_ in PRIMARY for type_ in types)


_STAMPS = ("lastmodifieddate", "hs_lastmodifieddate", "hs_createdate", "hs_object_id", "hubspot_owner_assigneddate")


def _comparable(record: Record) -> dict[str, Any]:
    shown = {
        name: value
        for name, value in sorted(record.properties.items())
        if name not in _STAMPS and not name.startswith(("hs_v2_", "hs_lifecyclestage_"))
    }
    return {"properties": shown, "archived": record.archived is not None}


ALL_SCOPES = (
    "oauth",
    "forms",
    "content",
    "crm.objects.owners.read",
    "crm.objects.marketing_events.read",
    *(
        f"crm.objects.{name}.{verb}"
        for name in ("contacts", "companies", "tasks", "deals", "tickets", "activities")
        for verb in ("read", "write")
    ),
    *(f"crm.schemas.{name}.{verb}" for name in ("contacts", "companies", "deals") for verb in ("read", "write")),
)


def stamp_of(at: datetime | None) -> str | None:
    """A seed's instant in HubSpot's form."""
    return None if at is None else iso_of(at)
