"""Meetings, calls, mails and tasks that reps log, as engagement of the contacts they are associated with.

Activities API: https://developers.hubspot.com/docs/api-reference/latest/crm/activities/meetings/guide (and calls,
emails, tasks). Read like people, by what changed; whom they are of, through associations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.errors import RunCannotContinue
from connectors.fields import CrmMap, EventRule, EventSource
from connectors.hubspot.answers import Record, Undecodable
from connectors.hubspot.associations import associated
from connectors.hubspot.client import Client
from connectors.hubspot.dispositions import Dispositions
from connectors.hubspot.event_rules import Rules
from connectors.hubspot.reader import BATCH, Reader
from connectors.hubspot.refusals import Refused
from connectors.hubspot.schema import TASK_KEY, Schema
from connectors.hubspot.tasks import MARKER
from connectors.normalise import fold, instant, number
from connectors.records import Crm, Engagement, Page, RecordProblem, RecordRef, Window

__all__ = ["ACTIVITIES", "Activities"]

_LEFT_AT_ONCE = 3
"""HubSpot tells who takes part, and not who no longer does: so many who left since the last look are noticed."""

_WIDE = timedelta(days=5)
"""A window of a sweep, or after a long pause: worth a look at what was deleted, which no search shows."""

_BIN, _BIN_PAGES, _IN_BIN = "bin", 100, 10
"""Where to go on within the bin; at most so many pages of it; so many people of a deleted activity are taken back."""

_NOT_CALLED_YET = frozenset({"queued", "ringing", "connecting", "calling_crm_user", "in_progress"})
_NOT_SENT = frozenset({"bounced", "failed", "scheduled", "sending"})

Properties = Mapping[str, str | None]
Attributes = dict[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How one object becomes engagement.

    asked       properties that are read of it
    keys        what an ``events`` line may begin with, of one record
    at          when it was, for an event of that kind
    attributes  of its events, before the line's ``set``
    counts      whether it has happened at all
    """

    source: EventSource
    asked: tuple[str, ...]
    keys: Callable[[Properties], tuple[str, ...]]
    at: Callable[[Record, str], str | None]
    attributes: Callable[[Properties, Dispositions], Attributes] = field(default=lambda properties, dispositions: {})
    counts: Callable[[Properties], bool] = field(default=lambda properties: True)


def _meeting_at(row: Record, kind: str) -> str | None:
    """A booking is of the day somebody booked, a meeting of the day it is held on."""
    get = row.properties.get
    if kind == "meeting_booked":
        return row.createdAt or get("hs_createdate")
    return get("hs_meeting_start_time") or get("hs_timestamp")


def _call(properties: Properties, dispositions: Dispositions) -> Attributes:
    get = properties.get
    read: Attributes = {
        "direction": fold(get("hs_call_direction") or ""),
        "outcome": dispositions.name(get("hs_call_disposition") or "") or fold(get("hs_call_status") or ""),
    }
    if (length := get("hs_call_duration")) is not None and length.strip():
        read["minutes"] = number(round(number(length) / 60_000, 2))
    return read


def _mail_keys(properties: Properties) -> tuple[str, ...]:
    direction = properties.get("hs_email_direction") or ""
    return (direction, "incoming" if direction == "INCOMING_EMAIL" else "outgoing")


ACTIVITIES: Mapping[str, _Kind] = {
    "meeting": _Kind(
        source=EventSource.MEETING,
        asked=("hs_meeting_outcome", "hs_meeting_start_time", "hs_timestamp", "hs_createdate", "hs_activity_type"),
        keys=lambda properties: (properties.get("hs_meeting_outcome") or "",),
        at=_meeting_at,
        attributes=lambda properties, dispositions: {"type": properties.get("hs_activity_type") or ""},
    ),
    "call": _Kind(
        source=EventSource.CALL,
        asked=("hs_timestamp", "hs_call_direction", "hs_call_disposition", "hs_call_status", "hs_call_duration"),
        keys=lambda properties: (properties.get("hs_call_direction") or "",),
        at=lambda row, kind: row.properties.get("hs_timestamp"),
        attributes=_call,
        counts=lambda properties: (properties.get("hs_call_status") or "").casefold() not in _NOT_CALLED_YET,
    ),
    "email": _Kind(
        source=EventSource.MAIL,
        asked=("hs_timestamp", "hs_email_direction", "hs_email_status"),
        keys=_mail_keys,
        at=lambda row, kind: row.properties.get("hs_timestamp"),
        counts=lambda properties: (properties.get("hs_email_status") or "").casefold() not in _NOT_SENT,
    ),
    "task": _Kind(
        source=EventSource.TASK,
        asked=("hs_task_type", "hs_task_status", "hs_task_completion_date", TASK_KEY.name),
        keys=lambda properties: (properties.get("hs_task_type") or "",),
        at=lambda row, kind: row.properties.get("hs_task_completion_date") or row.updatedAt,
        counts=lambda properties: properties.get("hs_task_status") == "COMPLETED",
    ),
}
"""Our name of an object -> what is made of it."""


class Activities:
    """The streams ``meeting``, ``call``, ``email`` and ``task``, each if it has a line in fields.yaml."""

    def __init__(self, client: Client, schema: Schema, reader: Reader, fields: CrmMap) -> None:
        self._client = client
        self._schema = schema
        self._reader = reader
        self._fields = fields
        self._dispositions = Dispositions(client)

    def streams(self) -> tuple[str, ...]:
        return tuple(object for object, kind in ACTIVITIES.items() if self._fields.events_of(kind.source))

    def read(self, object: str, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """What changed in the window: one call where nothing did, else one more a page for the associations.

        An activity that was engagement and no longer is (reopened, cancelled, another person's) is taken back. In a
        first load there is nothing to take back. A window of days begins with what was deleted.
        """
        kind = ACTIVITIES[object]
        rules = self._fields.events_of(kind.source)
        known = self._properties(object) if any(rule.set for rule in rules) or object == "task" else frozenset()
        named = (source for rule in rules for source in rule.set.values() if source.isidentifier())
        asked = [*kind.asked, *(source for source in named if source in known or not known)]
        if object == "task" and TASK_KEY.name not in known:
            asked.append("hs_task_body")  # a body can be long: read only where our own tasks are known by nothing else
        read = _Read(object, kind, Rules(rules), known, self._dispositions)
        if window.lo is not None and window.hi - window.lo >= _WIDE and resume in (None, _BIN):
            yield from self._deleted(object)
        resume = None if resume == _BIN else resume
        for rows, broken, after in self._reader.rows(object, asked, window, resume):
            yield self._page(read, rows, broken, window, after)

    def _deleted(self, object: str) -> Iterator[Page[Engagement]]:
        """What lies in the bin is taken back. Whose it was is not told there any more."""
        gone: list[Engagement] = []
        for row in self._reader.deleted(object, (), pages=_BIN_PAGES):
            gone += (_taken_back(object, row.id, place) for place in range(_IN_BIN))
            if len(gone) >= _IN_BIN * BATCH:
                yield Page(rows=tuple(gone), resume=_BIN)
                gone = []
        if gone:
            yield Page(rows=tuple(gone), resume=_BIN)

    def _properties(self, object: str) -> frozenset[str]:
        """Names of the object's properties; none where this token may not list them."""
        try:
            return frozenset(self._schema.of(object))
        except (RunCannotContinue, Refused) as refused:
            if isinstance(refused, RunCannotContinue) and refused.quota:
                raise
            return frozenset()

    def _page(
        self,
        read: _Read,
        rows: Sequence[Record],
        broken: Sequence[Undecodable],
        window: Window,
        after: str | None,
    ) -> Page[Engagement]:
        problems = [_problem(read.object, row.id, f"cannot be read: {row.reason}") for row in broken]
        events: list[Engagement] = []
        told: dict[str, _Told | None] = {}
        for row in rows:
            try:
                told[row.id] = None if row.archived else read.told(row)
            except ValueError as error:
                problems.append(_problem(read.object, row.id, str(error)))
        take_back = window.lo is not None
        of_whom = [id for id, one in told.items() if take_back or one is not None]
        people = associated(self._client, read.object, "contact", of_whom)
        problems += [
            _problem(read.object, id, f"HubSpot cannot tell whose it is ({why})") for id, why in people.unread.items()
        ]
        for id in of_whom:
            if id not in people.unread:
                events += _events(read.object, id, told[id], people.of.get(id, ()), take_back=take_back)
        return Page(rows=tuple(events), resume=after, problems=tuple(problems))


@dataclass(frozen=True, slots=True)
class _Told:
    """What a record says: the kind of event, when, and with which attributes."""

    kind: str
    at: datetime
    attributes: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class _Read:
    """One object, the lines that make events of it, and what is known of the portal: properties, names of outcomes."""

    object: str
    kind: _Kind
    rules: Rules
    known: frozenset[str]
    dispositions: Dispositions

    def told(self, row: Record) -> _Told | None:
        """None: no event. ValueError says what cannot be read."""
        properties = row.properties
        if not self.kind.counts(properties) or _is_ours(properties):
            return None
        rule = self.rules.first(*self.kind.keys(properties))
        if rule is None:
            return None
        at = self.kind.at(row, rule.kind)
        if not at:
            raise ValueError("it says nowhere when it was")
        attributes = self._attributes(rule, properties)
        return _Told(rule.kind, instant(at), {name: value for name, value in attributes.items() if value != ""})

    def _attributes(self, rule: EventRule, properties: Properties) -> Attributes:
        """The object's own, and the line's ``set``.

        A text that names a property (HubSpot's own begin with ``hs_``) stands for its value, any other for itself.
        """
        filled = self.kind.attributes(properties, self.dispositions)
        for name, source in rule.set.items():
            if source in self.kind.asked and name in filled:
                continue  # the object's own attribute of that name is made of it
            of_property = source in self.known or source.startswith("hs_") or bool(properties.get(source))
            value: Any = (properties.get(source) or "") if of_property else source
            filled[name] = number(value) if name == "minutes" and value else value
        return filled


def _is_ours(properties: Properties) -> bool:
    return bool(properties.get(TASK_KEY.name)) or MARKER in (properties.get("hs_task_body") or "")


def _events(
    object: str, id: str, told: _Told | None, people: Sequence[str], *, take_back: bool
) -> Iterator[Engagement]:
    """One for each person who takes part, named by their place: a merge gives a new id, and is no new activity."""
    first = 0
    if told is not None:
        first = len(people)
        for place, contact in enumerate(people):
            who = RecordRef(crm=Crm.HUBSPOT, object="contact", id=contact)
            name = f"{object}:{id}:{place}"
            yield Engagement(
                crm=Crm.HUBSPOT, source_id=name, kind=told.kind, at=told.at, who=who, attributes=told.attributes
            )
    for place in range(first, len(people) + _LEFT_AT_ONCE) if take_back else ():
        yield _taken_back(object, id, place)


def _taken_back(object: str, id: str, place: int) -> Engagement:
    """Whose it was, of which kind and when, is known where it is stored."""
    name = f"{object}:{id}:{place}"
    return Engagement(crm=Crm.HUBSPOT, source_id=name, kind="", at=_EPOCH, who=_NOBODY, deleted=True)


_EPOCH, _NOBODY = datetime(1970, 1, 1, tzinfo=UTC), RecordRef(crm=Crm.HUBSPOT, object="contact", id="")


def _problem(object: str, id: str, reason: str) -> RecordProblem:
    return RecordProblem(ref=RecordRef(crm=Crm.HUBSPOT, object=object, id=id), field="", reason=reason)
