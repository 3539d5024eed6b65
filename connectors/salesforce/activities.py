"""Campaign members, tasks, events and mails as engagement.

Source: Object Reference "CampaignMember", "Task", "Event", "EmailMessage". Closed activities are archived after a year
and then show only in ``queryAll``, so an activity that a query does not return is not thereby deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from connectors.fields import CrmMap, EventRule, EventSource
from connectors.normalise import email, fold, number
from connectors.records import Crm, Engagement, Page, RecordProblem, RecordRef, Window
from connectors.salesforce import soql
from connectors.salesforce.client import Client
from connectors.salesforce.reader import ref_of, text_of, value_at
from connectors.salesforce.schema import TASK_KEY, Describes, as_source
from connectors.salesforce.tasks import is_ours
from connectors.salesforce.windows import Columns, Row, changed_rows

__all__ = ["Activities"]

_PEOPLE = {"00Q": "lead", "003": "contact"}
_SURE: Mapping[str, tuple[str, ...]] = {
    "campaign member": ("CreatedDate", "IsDeleted", "LeadId", "ContactId", "Status"),
    "task": ("CreatedDate", "IsDeleted", "WhoId", "IsClosed"),
    "event": ("CreatedDate", "IsDeleted", "WhoId"),
    "email message": ("CreatedDate", "IsDeleted", "Incoming", "FromAddress", "ToAddress"),
}
"""Fields that every org has, and without which nothing can be said of an activity."""

_CAMPAIGN_WORDS: Mapping[str, str] = {
    "name": "Campaign.Name",
    "campaign": "Campaign.Name",
    "type": "Campaign.Type",
    "status": "Status",
}
"""Attributes every campaign response has, and the words a rule's ``set`` may use for them."""

_OF_EVERY = frozenset({*_CAMPAIGN_WORDS.values(), "Type"})
"""Fields, never fixed texts, also where this user cannot see them."""


_DRAFT = "5"
"""``EmailMessage.Status``, whose values are numbers in every org."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matched:
    """A row that a rule recognised: which rule, of whom, when.

    ``count`` is false of what has not happened yet. ``part`` tells several events of one row apart.
    """

    rule: EventRule
    who: RecordRef | str
    at: datetime | date
    count: bool = True
    part: str = ""


class Activities:
    """The engagement streams. ``describes`` says which of the rules' fields exist; a text that is no field is fixed."""

    def __init__(self, client: Client, describes: Describes, fields: CrmMap) -> None:
        self._client = client
        self._describes = describes
        self._fields = fields

    def read(self, stream: str, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """Pages of one of the streams ``campaign member``, ``task``, ``event``, ``email message``.

        SourceMissing where this org does not have the object, or the user may not see it.
        """
        with as_source(stream):
            yield from self._read(stream, window, resume)

    def _read(self, stream: str, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        match stream:
            case "campaign member":
                return self._campaign_members(window, resume)
            case "task":
                return self._tasks(window, resume)
            case "event":
                return self._events(window, resume)
            case "email message":
                return self._mails(window, resume)
            case _:
                raise ValueError(f"Salesforce has no engagement stream named {stream!r}")

    # -- the four objects -----------------------------------------------------------------------------------------

    def _campaign_members(self, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        rules = self._fields.events_of(EventSource.CAMPAIGN)
        own = ("HasResponded", "FirstRespondedDate", *sorted(set(_CAMPAIGN_WORDS.values())))

        def match(row: Row) -> Sequence[_Matched]:
            # after a conversion both are filled, and the activity is the contact's
            who = _person(row.get("ContactId")) or _person(row.get("LeadId"))
            rule = _first(rules, value_at(row, "Campaign.Type"), row.get("Status"))
            if who is None or rule is None:
                return ()
            responded = row.get("FirstRespondedDate") if row.get("HasResponded") else None
            at = date.fromisoformat(responded[:10]) if responded else soql.instant(row["CreatedDate"])
            return (_Matched(rule=rule, who=who, at=at),)

        def attributes(rule: EventRule, row: Row) -> dict[str, str | int | float]:
            sources = {**_CAMPAIGN_WORDS, **{a: _CAMPAIGN_WORDS.get(s, s) for a, s in rule.set.items()}}
            return self._attributes(sources, "campaign member", row)

        yield from self._stream("campaign member", own, rules, match, attributes, window, resume)

    def _tasks(self, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        rules = self._fields.events_of(EventSource.TASK)
        own = ("Type", "TaskSubtype", "CompletedDateTime", "LastModifiedDate", "CallDurationInSeconds")
        # descriptions can be whole e-mails, so they are read only where our own tasks are known by nothing else
        mark = TASK_KEY if TASK_KEY in self._describes.fields("task") else "Description"

        def match(row: Row) -> Sequence[_Matched]:
            who = _person(row.get("WhoId"))
            if who is None or is_ours(row):
                return ()
            rule = _first(rules, row.get("Type") or row.get("TaskSubtype"), None)
            if rule is None:
                return ()
            at = row.get("CompletedDateTime") or row.get("LastModifiedDate") or row["SystemModstamp"]
            return (_Matched(rule=rule, who=who, at=soql.instant(at), count=bool(row.get("IsClosed"))),)

        def attributes(rule: EventRule, row: Row) -> dict[str, str | int | float]:
            read = self._attributes(rule.set, "task", row)
            seconds = row.get("CallDurationInSeconds")
            if seconds is not None and "minutes" not in read:
                read["minutes"] = _minutes(seconds)
            return read

        yield from self._stream("task", (*own, mark), rules, match, attributes, window, resume)

    def _events(self, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        rules = self._fields.events_of(EventSource.MEETING)
        own = ("Type", "EventSubtype", "StartDateTime", "ActivityDate", "IsAllDayEvent", "IsChild", "IsRecurrence")

        def match(row: Row) -> Sequence[_Matched]:
            who = _person(row.get("WhoId"))
            # a group event has a copy for each invitee, a series a master beside its meetings: each meeting counts once
            if who is None or row.get("IsChild") or row.get("IsRecurrence"):
                return ()
            rule = _first(rules, row.get("Type") or row.get("EventSubtype"), None)
            start, day = row.get("StartDateTime"), row.get("ActivityDate")
            if rule is None or not (start or day):
                return ()
            if rule.kind == "meeting_booked":  # of the day somebody booked it
                return (_Matched(rule=rule, who=who, at=soql.instant(row["CreatedDate"])),)
            whole_day = day and (row.get("IsAllDayEvent") or not start)
            at = date.fromisoformat(str(day)) if whole_day else soql.instant(str(start))
            return (_Matched(rule=rule, who=who, at=at),)

        def attributes(rule: EventRule, row: Row) -> dict[str, str | int | float]:
            return self._attributes({"type": "Type", **rule.set}, "event", row)

        yield from self._stream("event", own, rules, match, attributes, window, resume)

    def _mails(self, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """A mail knows people by address. Each recipient of one that went out has an event; that it was opened is one
        more."""
        rules = self._fields.events_of(EventSource.MAIL)
        own = ("Status", "MessageDate", "FirstOpenedDate")

        def match(row: Row) -> Sequence[_Matched]:
            incoming, opened = bool(row.get("Incoming")), row.get("FirstOpenedDate")
            sent = soql.instant(row.get("MessageDate") or row["CreatedDate"])
            people = _addresses(row.get("FromAddress" if incoming else "ToAddress"))
            told = [("incoming" if incoming else "outgoing", sent, "")]
            if opened and not incoming:
                told.append(("opened", soql.instant(opened), ":opened"))
            return [
                _Matched(rule=rule, who=who, at=at, count=row.get("Status") != _DRAFT, part=f":{place}{suffix}")
                for key, at, suffix in told
                if (rule := _first(rules, key, None)) is not None
                for place, who in enumerate(people)
            ]

        def attributes(rule: EventRule, row: Row) -> dict[str, str | int | float]:
            return self._attributes(rule.set, "email message", row)

        yield from self._stream("email message", own, rules, match, attributes, window, resume)

    # -- common ----------------------------------------------------------------------------------------------------

    def _stream(
        self,
        object: str,
        own: Sequence[str],
        rules: Sequence[EventRule],
        match: Callable[[Row], Sequence[_Matched]],
        attributes: Callable[[EventRule, Row], dict[str, str | int | float]],
        window: Window,
        resume: str | None,
    ) -> Iterator[Page[Engagement]]:
        """Pages of one object's engagement.

        A row that was engagement and no longer is (deleted, reopened, another type) is taken back. In a first load
        there is nothing to take back, and a campaign's many unanswered members are passed over.
        """
        known = self._describes.fields(object)
        named = [source for rule in rules for source in rule.set.values() if source in known]
        columns = Columns(self._describes, object, (*own, *named), _SURE[object])
        take_back = window.lo is not None
        for page in changed_rows(self._client, columns, window, resume):
            found: list[Engagement] = []
            problems: list[RecordProblem] = []
            for row in page.rows:
                try:
                    ref = ref_of(object, row["Id"])
                    found += _engagement(ref, row, match(row), attributes, rules, take_back=take_back)
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    reason = f"the activity cannot be read: {type(error).__name__}: {error}"
                    odd = RecordRef(crm=Crm.SALESFORCE, object=object, id=str(row["Id"]))
                    problems.append(RecordProblem(ref=odd, field="at", reason=reason))
            yield Page(rows=tuple(found), resume=page.resume, problems=tuple(problems))

    def _attributes(self, sources: Mapping[str, str], object: str, row: Row) -> dict[str, str | int | float]:
        """Attribute -> value: of the field where the source names one, else the source as a fixed text."""
        known = self._describes.fields(object)
        read: dict[str, str | int | float] = {}
        for attribute, source in sources.items():
            value = value_at(row, source) if source in known or source in _OF_EVERY else source
            if value is None or value == "":
                continue
            if attribute == "minutes":
                read[attribute] = _minutes(value) if source == "CallDurationInSeconds" else number(value)
            elif attribute == "direction":
                read[attribute] = fold(str(value))
            else:
                read[attribute] = text_of(value) or ""
        return read


def _minutes(seconds: Any) -> int | float:
    return number(round(number(seconds) / 60, 2))


def _engagement(
    ref: RecordRef,
    row: Row,
    matched: Sequence[_Matched],
    attributes: Callable[[EventRule, Row], dict[str, str | int | float]],
    rules: Sequence[EventRule],
    *,
    take_back: bool,
) -> list[Engagement]:
    alive = [one for one in matched if one.count and not row.get("IsDeleted")]
    if alive:
        return [replace(_bare(ref, one), attributes=attributes(one.rule, row)) for one in alive]
    who = _person(row.get("ContactId") or row.get("LeadId") or row.get("WhoId"))
    if not take_back or is_ours(row):
        return []
    gone = matched or (
        [_Matched(rule=rules[0], who=who, at=soql.instant(row["CreatedDate"]))] if who is not None else []
    )
    return [replace(_bare(ref, one), deleted=True) for one in gone]


def _bare(ref: RecordRef, one: _Matched) -> Engagement:
    source = f"{ref.object}:{ref.id}{one.part}"
    return Engagement(crm=Crm.SALESFORCE, source_id=source, kind=one.rule.kind, at=one.at, who=one.who)


def _first(rules: Sequence[EventRule], key: Any, status: Any) -> EventRule | None:
    """The first rule for a type and status; a rule without a type takes any."""
    folded = fold(key) if isinstance(key, str) else ""
    said = fold(status) if isinstance(status, str) else ""
    for rule in rules:
        fits = rule.key is None or fold(rule.key) == folded
        if fits and (not rule.statuses or said in {fold(one) for one in rule.statuses}):
            return rule
    return None


def _person(id: Any) -> RecordRef | None:
    """A lead or contact by the prefix of its id; None for anything else."""
    object = _PEOPLE.get(id[:3]) if isinstance(id, str) else None
    return ref_of(object, id) if object and isinstance(id, str) else None


def _addresses(listed: Any) -> list[str]:
    """``a@x.com; B@x.com`` -> the addresses, none twice."""
    parts = listed.split(";") if isinstance(listed, str) else ()
    return list(dict.fromkeys(address for part in parts if (address := email(part))))
