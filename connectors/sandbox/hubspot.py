"""A HubSpot portal: its API, and what its people do in it (and what a seed puts there)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from connectors.sandbox.clock import Clock, millis_of
from connectors.sandbox.hubspot_api import HubSpotApi
from connectors.sandbox.hubspot_engagement import STATES, email_event
from connectors.sandbox.hubspot_schema import FIELD_TYPES, Property, options
from connectors.sandbox.hubspot_store import Form, Limits, MarketingEvent, Owner, PortalState, Record, Table, stamp_of
from connectors.sandbox.hubspot_values import iso_of
from connectors.sandbox.journal import Journal, Via
from connectors.sandbox.server import Request, Response

__all__ = ["HubSpotPortal", "Limits"]


class HubSpotPortal(PortalState):
    """One portal. `answer` is the API; all other methods are what seeds and people do, journalled as such.

    Object types go by plural, singular or type id. Refused values raise ValueError, unknown ids KeyError; read-only
    properties (HubSpot's own counters and stamps) can be set here.
    """

    def __init__(self, clock: Clock, journal: Journal) -> None:
        super().__init__(clock, journal)
        self._api = HubSpotApi(self)

    def answer(self, request: Request) -> Response:
        """One API call."""
        return self._api.answer(request)

    # -- credentials

    def revoke(self) -> None:
        """An admin uninstalls the app and deletes the key: every call and every refresh is refused from now on."""
        with self.lock:
            self._api.gate.revoke()

    def grant(self) -> None:
        """The admin takes that back: key and refresh token are good again."""
        with self.lock:
            self._api.gate.grant()

    def end_tokens(self) -> None:
        """Every OAuth access token given out so far has expired."""
        with self.lock:
            self._api.gate.end_tokens()

    @property
    def refused(self) -> dict[str, int]:
        """Calls that were refused by a quota so far, by its policy. Scripted refusals are not among them."""
        with self.lock:
            return dict(self._api.gate.refused)

    # -- records

    def add(
        self,
        object: str,
        properties: Mapping[str, object],
        *,
        id: str | None = None,
        at: datetime | None = None,
        archived: bool = False,
        via: Via = "seed",
    ) -> str:
        """Creates a record and gives its id. `at`: when it was created and last modified (default: now)."""
        with self.lock:
            table = self.table(object)
            record = self.create(table, self.check(table, properties, seed=True), via, id_=id, at=stamp_of(at))
            if archived:
                self.archive_record(table, record, via)
            return record.id

    def edit(self, object: str, id: str, properties: Mapping[str, object], by: Via = "person") -> None:
        """A person's edit, or HubSpot's own ("seed"): the same rules as the API's, stamps move."""
        with self.lock:
            table, record = self._known(object, id)
            self.update(table, record, self.check(table, properties, record, seed=True), by)

    def archive(self, object: str, id: str, by: Via = "person") -> None:
        """Into the bin."""
        with self.lock:
            table, record = self._known(object, id)
            if record.archived is None:
                self.archive_record(table, record, by)

    def restore(self, object: str, id: str, by: Via = "person") -> None:
        """Back from the bin."""
        with self.lock:
            table, record = self._known(object, id)
            if record.archived is not None:
                self.restore_record(table, record, by)

    def erase(self, object: str, id: str, by: Via = "person") -> None:
        """A privacy deletion: gone from every listing."""
        with self.lock:
            table, record = self._known(object, id)
            self.erase_record(table, record, by)

    def merge(self, object: str, primary: str, other: str, by: Via = "person") -> str:
        """Merges two records; the survivor's new id."""
        with self.lock:
            table, first = self._known(object, primary)
            _, second = self._known(object, other)
            if first is second:
                raise ValueError(f"{object} {primary} and {other} are one record")
            return self.merge_records(table, first, second, by).id

    def associate(
        self,
        from_object: str,
        from_id: str,
        to_object: str,
        to_id: str,
        *,
        primary: bool = False,
        by: Via = "seed",
    ) -> None:
        """Associates two records both ways. A contact's first company is its primary one, a later one by `primary`.

        A person's doing moves the stamps of both records, a seed's does not.
        """
        with self.lock:
            one, two = self._known(from_object, from_id), self._known(to_object, to_id)
            types = {("contacts", "companies"): [1], ("companies", "contacts"): [2]}
            for table, record in (one, two) if by != "seed" else ():
                self.keep_version(record)
                self.touch(table, record, self.now())
            self.link(one, two, types.get((one[0].kind.name, two[0].kind.name), []) if primary else [])

    def get(self, object: str, id: str) -> dict[str, str]:
        """The properties of a live or archived record; a merged-away id answers with the survivor's."""
        with self.lock:
            return dict(self._known(object, id)[1].properties)

    def is_archived(self, object: str, id: str) -> bool:
        """Whether the record is in the bin."""
        with self.lock:
            return self._known(object, id)[1].archived is not None

    def ids(self, object: str, *, archived: bool = False) -> list[str]:
        """All ids, in order."""
        with self.lock:
            return [record.id for record in self.table(object).listing(archived)]

    def tasks(self) -> list[dict[str, Any]]:
        """Live tasks in id order: their properties, "id", and "contacts" and "companies" (ids they are linked to)."""
        with self.lock:
            return [
                dict(record.properties)
                | {
                    "id": record.id,
                    "contacts": [id_ for id_, _ in self.linked("tasks", record.id, "contacts")],
                    "companies": [id_ for id_, _ in self.linked("tasks", record.id, "companies")],
                }
                for record in self.tables["tasks"].listing(archived=False)
            ]

    def _known(self, object: str, id: str) -> tuple[Table, Record]:
        table = self.table(object)
        record = table.by_id.get(table.current(id))
        if record is None:
            raise KeyError(f"the portal has no {table.kind.singular} {id}")
        return table, record

    # -- schema, owners, forms

    def add_property(
        self,
        object: str,
        name: str,
        type: str = "string",
        *,
        label: str | None = None,
        values: Iterable[str] = (),
        unique: bool = False,
    ) -> None:
        """An admin's custom property; `values` are the options of an enumeration. ValueError when the name is taken."""
        with self.lock:
            table = self.table(object)
            if name in table.kind.properties:
                raise ValueError(f"{table.kind.name} have a property {name} already")
            field_type = {"string": "text", "enumeration": "select"}.get(type) or next(iter(FIELD_TYPES[type]))
            now = self.now()
            choices = options((("true", "Yes"), ("false", "No")) if type == "bool" else values)
            prop = Property(name, label or name, type, field_type, table.kind.group, options=choices, unique=unique)
            prop.standard = False
            prop.created = prop.updated = now
            self.define(table, prop)

    def add_owner(
        self, email: str, first: str = "", last: str = "", *, active: bool = True, type: str = "PERSON"
    ) -> str:
        """A user who can own records, or with type "QUEUE" a queue; the owner id."""
        with self.lock:
            number = len(self.owners) + 1
            now = self.now()
            id_ = str(41_629_778 + number)
            owner = Owner(id_, 9_586_503 + number, email.lower(), first, last, type, active, now, now)
            self.owners[id_] = owner
            return id_

    def deactivate_owner(self, id: str) -> None:
        """The user leaves: the owner is archived, records keep pointing to it."""
        with self.lock:
            self.owners[id].active = False
            self.owners[id].updated = self.now()

    def reactivate_owner(self, id: str) -> None:
        """The user is back."""
        with self.lock:
            self.owners[id].active = True
            self.owners[id].updated = self.now()

    def add_form(self, name: str, guid: str | None = None) -> str:
        """A form; its guid."""
        with self.lock:
            form = Form(guid or self.serial(), name, self.now())
            self.forms[form.guid] = form
            return form.guid

    def add_submission(
        self, form: str, at: datetime, values: Mapping[str, str], page_url: str = "https://www.example.com/"
    ) -> str:
        """Somebody sends a form; the conversion id. The contact's own form counters are the caller's to edit."""
        with self.lock:
            conversion = self.serial()
            self.forms[form].submissions.append((millis_of(at), conversion, dict(values), page_url))
            return conversion

    # -- e-mail events, marketing events, event occurrences

    def add_email_event(self, type: str, recipient: str, at: datetime, *, campaign: int = 1, **more: Any) -> str:
        """What a recipient did with a marketing mail; its id. ``more``: url, userAgent, filteredEvent and so on."""
        with self.lock:
            id_ = self.serial()
            self.email_events.append(email_event(id_, type, recipient, at, self.portal_id, campaign, more))
            return id_

    def add_marketing_event(
        self, name: str, starts: datetime, ends: datetime | None = None, *, type: str = "WEBINAR"
    ) -> str:
        """A webinar or another event; its id."""
        with self.lock:
            id_ = str(900_000_000_001 + len(self.marketing_events))
            end = None if ends is None else millis_of(ends)
            self.marketing_events[id_] = MarketingEvent(id_, name, type, millis_of(starts), end)
            return id_

    def attend(self, event: str, contact: str, state: str, at: datetime, *, minutes: int | None = None) -> None:
        """A contact registers, cancels, comes or stays away: the newest state counts."""
        if state not in STATES:
            raise ValueError(f"no attendance state: {state}")
        with self.lock:
            _, record = self._known("contacts", contact)
            rows = self.marketing_events[event].participations
            row = rows.setdefault(record.id, {"id": self.serial(), "contact": record.id, "createdAt": iso_of(at)})
            row["properties"] = {"attendanceState": state, "occurredAt": millis_of(at)} | (
                {"attendanceDurationSeconds": minutes * 60} if minutes is not None else {}
            )

    def add_occurrence(self, type: str, contact: str, at: datetime, properties: Mapping[str, str]) -> str:
        """A contact did something on the web site or in the product; the occurrence's id."""
        with self.lock:
            id_ = self.serial()
            self.event_types.add(type)
            row = {"id": id_, "objectType": "CONTACT", "objectId": contact, "eventType": type}
            self.occurrences.append(row | {"occurredAt": iso_of(at), "properties": dict(properties)})
            return id_

    def stamp(self, at: datetime) -> str:
        """An instant in HubSpot's text form."""
        return iso_of(at)
