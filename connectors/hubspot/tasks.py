"""Follow-up tasks, each made once: https://developers.hubspot.com/docs/api-reference/latest/crm/activities/tasks/guide

HubSpot has no idempotency key. Where the portal accepts a unique property on tasks, that is one: a second create is
refused. Elsewhere each task carries a marker in its text, and before anything is sent a second time the person's tasks
are read through their associations (never through search, whose index lags).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from html import escape

from connectors.errors import ConnectorError, RunCannotContinue
from connectors.hubspot.answers import Record
from connectors.hubspot.associations import associated
from connectors.hubspot.batch import Done, Input, Missing, NoAnswer, NotSent, Result, Turned, send
from connectors.hubspot.client import Client
from connectors.hubspot.reader import BATCH, Reader
from connectors.hubspot.refusals import Refused
from connectors.hubspot.schema import TASK_KEY, Schema
from connectors.hubspot.writer import rejected
from connectors.normalise import instant_text
from connectors.records import (
    Crm,
    FieldSchema,
    Gone,
    Moved,
    ReadBack,
    RecordRef,
    Redirected,
    Rejected,
    TaskDraft,
    Unchanged,
    Unknown,
    WriteOutcome,
    Written,
)

__all__ = ["MARKER", "Tasks", "marker"]

_TASK_TO_CONTACT = 204
_DUE_AT = time(9, 0, tzinfo=UTC)
_BODY = "hs_task_body"

MARKER = "[mqlsync:"
"""Begins the marker in every task of ours that has one."""

_BIN_PAGES = 100
"""Ten thousand tasks deleted in ninety days. Past that a task that was sent without an answer and deleted by its rep
before the next run could be made a second time."""


def marker(key: str) -> str:
    """What names a task in its own text. HubSpot keeps the text as it is, markup apart."""
    return f"{MARKER}{key}]"


class Tasks:
    def __init__(self, client: Client, schema: Schema, reader: Reader) -> None:
        self._client = client
        self._schema = schema
        self._reader = reader

    def create(self, drafts: Sequence[TaskDraft]) -> tuple[WriteOutcome, ...]:
        """See `HubSpotConnector.create_tasks`."""
        outcomes: dict[str, WriteOutcome] = {}
        unique = self._has_unique_key()
        for start in range(0, len(drafts), BATCH):
            part = drafts[start : start + BATCH]
            try:
                outcomes |= self._create_some(part, unique=unique)
            except ConnectorError as error:
                if not outcomes:
                    raise
                outcomes |= {
                    draft.key: Rejected(ref=_ref(draft), code="NOT_SENT", reason=error.problem, retry=True)
                    for draft in drafts[start:]
                }
                break
        return tuple(outcomes[draft.key] for draft in drafts)

    def _has_unique_key(self) -> bool:
        try:
            known = self._schema.of(TASK_KEY.object).get(TASK_KEY.name)
        except (RunCannotContinue, Refused) as refused:
            if isinstance(refused, RunCannotContinue) and refused.quota:
                raise
            return False  # properties of tasks are not for this token; the tasks themselves may be
        return isinstance(known, FieldSchema) and known.unique and known.writable

    def _create_some(self, drafts: Sequence[TaskDraft], *, unique: bool) -> dict[str, WriteOutcome]:
        attempted = [draft for draft in drafts if draft.attempted]
        there, unclear = self._there(attempted, unique=unique) if attempted else ({}, frozenset[str]())
        outcomes: dict[str, WriteOutcome] = {
            draft.key: Unchanged(ref=_ref(draft), id=there[draft.key]) for draft in drafts if draft.key in there
        }
        outcomes |= {draft.key: _perhaps_there(draft) for draft in drafts if draft.key in unclear}
        new = [draft for draft in drafts if draft.key not in outcomes]
        if not new:
            return outcomes
        path = self._client.objects("task", "batch", "create")
        results = send(self._client, "task_create", path, [_input(draft, unique=unique) for draft in new])
        open_ = [draft for draft in new if isinstance(results[draft.key], Turned | Missing)]
        found = self._look(open_, unique=unique)
        people = self._people([draft for draft in open_ if draft.key not in found])
        for draft in new:
            outcomes[draft.key] = _outcome(draft, results[draft.key], found.get(draft.key), people.get(draft.person))
        return outcomes

    # -- what is there already -------------------------------------------------------------------------------------

    def _look(self, drafts: Sequence[TaskDraft], *, unique: bool) -> Mapping[str, str]:
        """A refused create may be one too many: only the portal's tasks tell."""
        if not drafts:
            return {}
        try:
            found, _ = self._there(drafts, unique=unique)
        except ConnectorError:
            # The creates were answered already: their own outcomes stand, less precise than they could be.
            return {}
        return found

    def _there(self, drafts: Sequence[TaskDraft], *, unique: bool) -> tuple[dict[str, str], frozenset[str]]:
        """(key -> task id of those that exist, also where a rep has deleted the task since; keys nobody can tell of)"""
        found, unclear = self._by_key(drafts) if unique else self._by_marker(drafts)
        unclear -= found.keys()
        sought = [d for d in drafts if d.attempted and d.key not in found and d.key not in unclear]
        return found | self._in_bin(sought, unique=unique), unclear

    def _by_key(self, drafts: Sequence[TaskDraft]) -> tuple[dict[str, str], frozenset[str]]:
        rows, unread = self._reader.by_property("task", TASK_KEY.name, [draft.key for draft in drafts])
        return {key: row.id for row in rows if (key := row.properties.get(TASK_KEY.name))}, unread

    def _by_marker(self, drafts: Sequence[TaskDraft]) -> tuple[dict[str, str], frozenset[str]]:
        linked = associated(self._client, "contact", "task", sorted({draft.person.id for draft in drafts}))
        tasks = sorted({id for ids in linked.of.values() for id in ids})
        rows, unread = self._reader.by_ids("task", tasks, (_BODY,), archived=False)
        rest = sorted({*tasks} - {row.id for row in rows} - unread)
        deleted, unread_there = self._reader.by_ids("task", rest, (_BODY,), archived=True)
        unread |= unread_there
        found = {draft.key: row.id for row in rows + deleted for draft in drafts if _is(row, draft, unique=False)}
        unclear = (
            draft.key
            for draft in drafts
            if draft.person.id in linked.unread or not unread.isdisjoint(linked.of.get(draft.person.id, ()))
        )
        return found, frozenset(unclear)

    def _in_bin(self, drafts: Sequence[TaskDraft], *, unique: bool) -> dict[str, str]:
        """A deleted task keeps neither its unique value nor, as a rule, its associations: only the bin has it."""
        found: dict[str, str] = {}
        if drafts:
            for row in self._reader.deleted("task", (TASK_KEY.name, _BODY), pages=_BIN_PAGES):
                found |= {draft.key: row.id for draft in drafts if _is(row, draft, unique=unique)}
                if len(found) == len(drafts):
                    break
        return found

    def _people(self, drafts: Sequence[TaskDraft]) -> Mapping[RecordRef, ReadBack]:
        """A create is also refused when the person has gone meanwhile."""
        if not drafts:
            return {}
        try:
            return self._reader.read([draft.person for draft in drafts], ())
        except ConnectorError:
            return {}  # as in _look


def _ref(draft: TaskDraft) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object="task", id=draft.key)


def _perhaps_there(draft: TaskDraft) -> Rejected:
    reason = "no task was made: HubSpot fails at telling whether an earlier attempt has made it"
    return Rejected(ref=_ref(draft), code="NOT_SENT", reason=reason, retry=True)


def _input(draft: TaskDraft, *, unique: bool) -> Input:
    lines = [escape(line) for line in draft.lines]
    if not unique:
        lines.append(escape(marker(draft.key)))
    properties = {
        "hs_timestamp": instant_text(datetime.combine(draft.due, _DUE_AT)),
        "hs_task_subject": draft.subject,
        _BODY: "<br>".join(lines),
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": "HIGH",
        "hs_task_type": "TODO",
        "hubspot_owner_id": draft.owner,
    }
    kinds = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": _TASK_TO_CONTACT}]
    return Input(
        trace=draft.key,
        properties=properties | ({TASK_KEY.name: draft.key} if unique else {}),
        more={"associations": [{"to": {"id": draft.person.id}, "types": kinds}]},
        made=lambda record: _is(record, draft, unique=unique),
    )


def _is(record: Record, draft: TaskDraft, *, unique: bool) -> bool:
    if unique:
        return record.properties.get(TASK_KEY.name) == draft.key
    return marker(draft.key) in (record.properties.get(_BODY) or "")


def _outcome(draft: TaskDraft, result: Result, there: str | None, person: ReadBack | None) -> WriteOutcome:
    ref = _ref(draft)
    match result:
        case Done(record=record):
            return Written(ref=ref, id=record.id)
        case Missing() if there is not None:
            return Written(ref=ref, id=there)
        case Turned() if there is not None:
            return Unchanged(ref=ref, id=there)
        case Turned() if isinstance(person, Moved):
            return Redirected(ref=ref, to=person.to, reason=person.reason)
        case Turned() if isinstance(person, Gone):
            return Redirected(ref=ref, to=None, reason=person.reason)
        case Turned(problem=problem, passing=True):
            return Unknown(ref=ref, reason=f"HubSpot failed at this task: {problem.what()}")
        case Turned(problem=problem):
            return rejected(ref, problem, {"hubspot_owner_id": draft.owner, TASK_KEY.name: draft.key})
        case Missing(status=status):
            return Unknown(ref=ref, reason=f"HTTP {status} names this task neither as made nor as refused")
        case NoAnswer(reason=reason):
            return Unknown(ref=ref, reason=reason)
        case NotSent(reason=reason):
            return Rejected(ref=ref, code="NOT_SENT", reason=f"no task was made: {reason}", retry=True)
