"""The field map: canonical names on one side, each CRM's properties on the other.

`sync.mapping` reads it from fields.yaml; connectors use it to know what to ask for and how to read the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from connectors.records import Crm

__all__ = [
    "Convert",
    "CountRule",
    "CrmMap",
    "EngagementColumns",
    "EventRule",
    "EventSource",
    "FactField",
    "FieldMap",
    "FileColumns",
    "ObjectMap",
]


class Convert(StrEnum):
    """How a property becomes a canonical value (fields.yaml ``as:``)."""

    PLAIN = "plain"
    COUNTRY = "country"
    LANGUAGE = "language"
    DOMAIN = "domain"
    OWNER = "owner"
    IS_SET = "is set"


@dataclass(frozen=True, slots=True, kw_only=True)
class CountRule:
    """``{count: Opportunity, where: {IsClosed: false}}``: the number of related records that match."""

    object: str
    where: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactField:
    """One canonical fact of one object.

    ``values`` maps CRM values to ours, a value not listed passes unchanged. ``true_when`` makes a boolean: the
    property is one of these (compared folded). Exactly one of ``property``, ``count`` and ``fixed`` is given.
    ``fixed``, a value that every row has, is of files alone; their ``property`` is a column, or a text with
    ``{Column}`` in it.
    """

    fact: str
    property: str | None = None
    convert: Convert = Convert.PLAIN
    values: Mapping[str, str] = field(default_factory=dict)
    true_when: tuple[str, ...] = ()
    type: str | None = None
    count: CountRule | None = None
    fixed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMap:
    """The facts of one object, and what else is read with each record of it.

    written  properties mqlsync writes
    heard    properties by which people at the CRM say something; an object that does not have one says nothing there
    """

    object: str
    facts: tuple[FactField, ...]
    written: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()

    def properties(self) -> tuple[str, ...]:
        """Every CRM property to ask for, facts first, none twice."""
        return tuple(dict.fromkeys((*self.needed(), *self.heard)))

    def needed(self) -> tuple[str, ...]:
        """Those of them that the object ought to have."""
        names = [f.property for f in self.facts if f.property]
        return tuple(dict.fromkeys((*names, *(name for name in self.written if name not in self.heard))))


class EventSource(StrEnum):
    """What a CRM activity is recognised by (the first key of an ``events`` line)."""

    FORM = "form"
    EMAIL = "email_event"
    COUNTER = "counter"
    CAMPAIGN = "campaign_type"
    TASK = "task_type"
    MEETING = "meeting"
    ROW = "row"
    CALL = "call"
    MAIL = "email_message"
    MARKETING_EVENT = "marketing_event"
    OCCURRENCE = "event_type"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    """One ``events`` line; the first that matches decides the kind, without a match the activity is no event.

    key       form GUID, type of e-mail event, campaign type, task type, meeting type (HubSpot: its outcome), direction
              of a call or a mail, type of a marketing event or of an event occurrence, counter property; None is
              ``otherwise``
    statuses  statuses of a campaign member, or attendance states at a marketing event, that match; empty is any
    set       attribute -> CRM property whose value fills it, or a fixed text when the source has no such property
    date      counter only: the property with the time of the last one
    """

    source: EventSource
    key: str | None
    kind: str
    statuses: tuple[str, ...] = ()
    set: Mapping[str, str] = field(default_factory=dict)
    date: str | None = None
    count_first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EngagementColumns:
    """Which columns (or texts with ``{Column}``) of a file say what an activity is.

    kind           its value is what the lines of ``events`` match
    at             when it was
    person, email  whose it is: the id of a row of people, or an address; at least one is given
    id             names it for ever; None: rows that say the same are told apart by their number
    count          how often it happened; None: once
    """

    kind: str
    at: str
    person: str | None = None
    email: str | None = None
    id: str | None = None
    count: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileColumns:
    """What of a file is no fact: the column (or text) that names a person for ever, and those of the engagement."""

    id: str
    engagement: EngagementColumns | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmMap:
    """One CRM's part of fields.yaml.

    ``deals``: the opportunities in which people have a role are read with them. ``file``: of files alone.
    """

    crm: Crm
    objects: Mapping[str, ObjectMap]
    events: tuple[EventRule, ...] = ()
    deals: bool = False
    file: FileColumns | None = None

    def writing(self, written: Mapping[str, tuple[str, ...]]) -> CrmMap:
        """The same map, knowing which properties of each object mqlsync writes."""
        objects = {name: replace(one, written=written.get(name, ())) for name, one in self.objects.items()}
        return replace(self, objects=objects)

    def events_of(self, source: EventSource) -> tuple[EventRule, ...]:
        return tuple(rule for rule in self.events if rule.source is source)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMap:
    """All parts. A CRM that is not connected may be absent."""

    crms: Mapping[Crm, CrmMap]
