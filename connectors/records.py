"""The vocabulary every connector speaks: what a CRM says of a record, and what it is asked to change.

Everything here is a frozen value. Times are aware and in UTC. Ids are text exactly as the CRM gives them
(HubSpot ids exceed 2^31; Salesforce ids are the case-sensitive 18-character form).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Generic, TypeVar

__all__ = [
    "AccountInfo",
    "BulkWrites",
    "CompanyRecord",
    "Counter",
    "Crm",
    "DayQuota",
    "Deal",
    "DealState",
    "Engagement",
    "FieldKind",
    "FieldSchema",
    "Found",
    "Gone",
    "Moved",
    "Owner",
    "OwnerKind",
    "Page",
    "Patch",
    "PersonRecord",
    "ReadBack",
    "RecordProblem",
    "RecordRef",
    "Redirected",
    "Rejected",
    "Scalar",
    "SchemaChange",
    "Sighting",
    "Stream",
    "StreamKind",
    "TaskDraft",
    "Unchanged",
    "Unknown",
    "Unread",
    "WantedField",
    "Window",
    "WriteOutcome",
    "Written",
]

T = TypeVar("T")

Scalar = str | bool | int | float
"""A value as a CRM says it, after the field map: HubSpot says everything as text, Salesforce as JSON scalars."""


class Crm(StrEnum):
    """The two CRMs, and files. There is one connection to each, so this is the connection's name too."""

    HUBSPOT = "hubspot"
    SALESFORCE = "salesforce"
    FILE = "file"

    @property
    def writable(self) -> bool:
        """A file is only read: its records are never a target, nobody owns them there, and they rival nobody."""
        return self is not Crm.FILE


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RecordRef:
    """The only name of a remote record. ``object`` is lower case: contact, company, lead, account, task, person."""

    crm: Crm
    object: str
    id: str

    def __str__(self) -> str:
        return f"{self.crm}:{self.object}:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordProblem:
    """One value of one record that could not be used. The rest of the record goes on."""

    ref: RecordRef
    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A CRM roll-up such as "clicks so far"; `sync.pull` turns its growth into engagement.

    ``property`` is the CRM's name of the roll-up, ``kind`` the event kind it counts, ``last_at`` the mapped
    "last time" property. ``count_first`` is false when the first reading must not become an event. ``attributes`` are
    those of its events.
    """

    property: str
    kind: str
    total: int
    last_at: datetime | None
    count_first: bool = True
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)


class DealState(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """An opportunity in which a person has a role. ``stage`` is the CRM's value, ``at`` when it last changed."""

    id: str
    stage: str
    state: DealState
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """A HubSpot contact, or a Salesforce Lead or Contact, as the CRM has it now.

    emails      every address the CRM has for the record, primary first, as written there; often empty
    facts       canonical name (``person.title``, ``company.employees``) -> value; missing values are left out
    current     CRM property -> its text now, for every property mqlsync writes on this object; None when blank
    heard       the same for every property by which people at the CRM say something (`ObjectMap.heard`)
    deals       opportunities the person has a role in, where the field map asks for them (`CrmMap.deals`)
    owner       the CRM's owner id, None when blank
    company     the company or account the record belongs to
    cross_refs  records of other CRMs that this record names (HubSpot ``salesforcecontactid``)
    version     the CRM's own change stamp, verbatim (``updatedAt``, ``SystemModstamp``)
    gone        deleted, merged away or converted; ``moved_to`` says where its life goes on, if anywhere
    absorbed    ids of the same object that were merged into this one
    """

    ref: RecordRef
    emails: tuple[str, ...]
    facts: Mapping[str, Scalar]
    current: Mapping[str, str | None]
    owner: str | None
    version: str
    modified_at: datetime
    created_at: datetime | None = None
    company: RecordRef | None = None
    cross_refs: tuple[RecordRef, ...] = ()
    counters: tuple[Counter, ...] = ()
    gone: bool = False
    moved_to: RecordRef | None = None
    absorbed: tuple[RecordRef, ...] = ()
    problems: tuple[RecordProblem, ...] = ()
    heard: Mapping[str, str | None] = field(default_factory=dict)
    deals: tuple[Deal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyRecord:
    """A HubSpot company or a Salesforce account. ``facts`` as in `PersonRecord`, all named ``company.*``.

    ``partial``: only ``facts`` was read (a count of related records moved); everything else stays as it is stored.
    """

    ref: RecordRef
    facts: Mapping[str, Scalar]
    owner: str | None
    version: str
    modified_at: datetime
    gone: bool = False
    moved_to: RecordRef | None = None
    partial: bool = False
    problems: tuple[RecordProblem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Engagement:
    """One dated activity. (``crm``, ``source_id``) names it for ever: reading it twice is harmless.

    ``who`` is a record, or an e-mail address where the CRM knows no more (form submissions). ``at`` is a date when
    the CRM has no time of day. ``deleted`` takes back an event read before.
    """

    crm: Crm
    source_id: str
    kind: str
    at: datetime | date
    who: RecordRef | str
    count: int = 1
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)
    deleted: bool = False


class OwnerKind(StrEnum):
    USER = "user"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A CRM user or queue that can own records.

    ``id`` is what is written into the owner property (HubSpot: the owner ``id``, never ``userId``). ``name`` of a
    queue is its developer name. ``integration`` marks the user mqlsync itself signs in as.
    """

    crm: Crm
    id: str
    kind: OwnerKind
    email: str | None
    name: str
    active: bool
    label: str = ""
    objects: tuple[str, ...] = ()
    integration: bool = False


class StreamKind(StrEnum):
    PEOPLE = "people"
    COMPANIES = "companies"
    ENGAGEMENT = "engagement"
    OWNERS = "owners"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Stream:
    """What is pulled on its own with its own cursor: one object, one form, one owner listing of one CRM."""

    crm: Crm
    kind: StreamKind
    name: str

    def __str__(self) -> str:
        return f"{self.crm}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Read what changed in [``lo``, ``hi``]. ``lo`` None means everything there is (a first load)."""

    lo: datetime | None
    hi: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some rows and where to go on after them. ``resume`` is opaque; None when the window is wholly read."""

    rows: tuple[T, ...]
    resume: str | None
    problems: tuple[RecordProblem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A live record as a listing names it. ``modified_at``: None where its stamp cannot be read."""

    ref: RecordRef
    modified_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInfo:
    """Whom the credentials speak for. ``id`` is the portal id or the org id; a store is pinned to it.

    ``lacking``: object -> properties that the field map reads and these credentials do not see. They read as blank.
    """

    crm: Crm
    id: str
    name: str
    timezone: str
    problems: tuple[str, ...] = ()
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayQuota:
    """The calls a CRM allows in a day, as it has told them.

    limit      calls in all that mqlsync may make: the account's, or our share of them
    left       of these
    resets_at  when there are as many as ``limit`` again; None: each call comes back a day after it was made
    """

    limit: int
    left: int
    resets_at: datetime | None = None


# -- schema ------------------------------------------------------------------------------------------------------


class FieldKind(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    DATETIME = "datetime"
    BOOLEAN = "boolean"
    PICKLIST = "picklist"
    OWNER = "owner"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSchema:
    """One property as the CRM describes it. ``options`` are API values in the CRM's order, None when free.

    ``native`` is the CRM's own word for the type (Salesforce tells ``date`` from ``datetime``), "" when not known.
    """

    name: str
    kind: FieldKind
    writable: bool
    length: int | None = None
    options: tuple[str, ...] | None = None
    unique: bool = False
    custom: bool = False
    native: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedField:
    """A property mqlsync needs to exist on one object of one CRM.

    length   for text
    options  for picklists; ``labels`` says what people see instead of an option, where that differs
    offered  people choose among the options, so a picklist that takes any value has to show them as well
    """

    object: str
    name: str
    label: str
    kind: FieldKind
    length: int = 255
    options: tuple[str, ...] = ()
    unique: bool = False
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    offered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """What `ensure_schema` did, or would do, for one thing.

    ``what``: created, options added, granted, present; for the task key also ``not possible`` and what is done instead.
    """

    object: str
    name: str
    what: str


# -- writing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Absolute values to set on one record. None clears. ``trace`` is unique in its batch and echoed in logs."""

    ref: RecordRef
    fields: Mapping[str, str | None]
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkWrites:
    """How many patches of one object a connector writes in another way, which is worth it for many only.

    least  so many or more are wanted in one `apply`
    most   and no more than so many
    """

    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDraft:
    """A follow-up task for a rep. ``key`` names it for ever: two drafts with one key make one task.

    ``owner`` and ``person`` are of the CRM the task goes to; ``due`` is a calendar date. ``lines`` are plain text; the
    connector escapes them as its CRM needs. ``attempted`` says that an earlier send of this key got no answer.
    """

    key: str
    person: RecordRef
    owner: str
    subject: str
    lines: tuple[str, ...]
    due: date
    since: datetime
    attempted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Confirmed.

    values       what the CRM says it now holds, where its answer shows them
    modified_at  the record's stamp after this write, where the answer shows it
    id           of a created task
    """

    ref: RecordRef
    values: Mapping[str, str | None] = field(default_factory=dict)
    modified_at: datetime | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """Nothing needed to be sent: it is there already."""

    ref: RecordRef
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The CRM refused this record and would refuse it again. ``retry`` marks refusals that pass (a row lock)."""

    ref: RecordRef
    code: str
    reason: str
    field: str | None = None
    retry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirected:
    """The record is gone: converted, merged or deleted. ``to`` is where it lives on, None when nowhere."""

    ref: RecordRef
    to: RecordRef | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Sent, no usable answer. It may or may not stand in the CRM: read it back before sending again."""

    ref: RecordRef
    reason: str


WriteOutcome = Written | Unchanged | Rejected | Redirected | Unknown


# -- reading by id -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The record as it is now. ``values``: property -> text now, None when blank."""

    ref: RecordRef
    values: Mapping[str, str | None]
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The record lives on under another name (merged, converted)."""

    ref: RecordRef
    to: RecordRef
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """No such record, live, merged or converted."""

    ref: RecordRef
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """The CRM itself fails at this record, and not at others: what it holds, and whether it is there, is not known."""

    ref: RecordRef
    reason: str


ReadBack = Found | Moved | Gone | Unread
