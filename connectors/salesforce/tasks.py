"""Follow-up tasks, each created once.

A task is named by a key in a custom field of Activity. Where the describe shows that field as unique, the org itself
refuses a second one; where it is not unique, or not there, what exists is looked for first. Then one residue remains: a
request that commits after it was read back can make a second task. Source: Object Reference "Task".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from connectors.errors import ConnectorError
from connectors.records import (
    Moved,
    ReadBack,
    RecordRef,
    Rejected,
    TaskDraft,
    Unchanged,
    WriteOutcome,
    Written,
)
from connectors.salesforce import soql
from connectors.salesforce.client import Client
from connectors.salesforce.refusals import Item, item_meaning, redacted
from connectors.salesforce.replies import Failed, Reply
from connectors.salesforce.schema import TASK_KEY, Describes
from connectors.salesforce.writer import COLLECTION, Collections, elsewhere, outcome

__all__ = ["TaskMaker", "is_ours", "marker"]

SUBJECT_LENGTH = 255
DESCRIPTION_LENGTH = 32_000
KEYS_PER_QUERY = 200


def marker(key: str) -> str:
    """The last line of a description where the org has no key field."""
    return f"[mqlsync {key}]"


def _by_object(people: Sequence[RecordRef]) -> list[list[RecordRef]]:
    """Records are read one object at a time."""
    return [[one for one in people if one.object == object] for object in dict.fromkeys(one.object for one in people)]


def is_ours(row: Mapping[str, Any]) -> bool:
    """Whether a task row is one of our follow-ups: they are no engagement of the person."""
    return bool(row.get(TASK_KEY)) or "[mqlsync " in (row.get("Description") or "")


class TaskMaker:
    """See `connectors.port.Connector.create_tasks`. ``look`` reads records by id."""

    def __init__(
        self,
        client: Client,
        describes: Describes,
        look: Callable[[Sequence[RecordRef], Sequence[str]], Mapping[RecordRef, ReadBack]],
        sleep: Callable[[float], object],
    ) -> None:
        self._client = client
        self._describes = describes
        self._look = look
        self._collections = Collections(client, sleep)

    def create(self, drafts: Sequence[TaskDraft]) -> tuple[WriteOutcome, ...]:
        """One outcome for each draft, in order; ``ref`` is the draft's person, ``id`` the task's."""
        if drafts and not self._describes.fetched("task"):
            self._describes.forget("task")  # how a task is named must not hang on a schema kept from before the setup
        by_key = {draft.key: draft for draft in reversed(drafts)}  # of two drafts with one key, the first is made
        outcomes: dict[str, WriteOutcome] = {}
        todo = list(by_key.values())
        for start in range(0, len(todo), COLLECTION):
            batch = todo[start : start + COLLECTION]
            try:
                outcomes.update(self._create_batch(batch))
            except ConnectorError as error:
                if not outcomes:
                    raise
                outcomes |= {
                    draft.key: Rejected(
                        ref=draft.person, code="NOT_SENT", reason=f"not sent: {error.problem}", retry=True
                    )
                    for draft in todo[start:]
                }
                break
        return tuple(self._for_draft(draft, by_key[draft.key], outcomes[draft.key]) for draft in drafts)

    @staticmethod
    def _for_draft(draft: TaskDraft, made: TaskDraft, outcome: WriteOutcome) -> WriteOutcome:
        if draft is not made and isinstance(outcome, Written):
            return Unchanged(ref=draft.person, id=outcome.id)
        return outcome

    def _create_batch(self, drafts: Sequence[TaskDraft]) -> dict[str, WriteOutcome]:
        there = self._existing(drafts)
        new = [draft for draft in drafts if draft.key not in there]
        outcomes: dict[str, WriteOutcome] = {
            draft.key: Unchanged(ref=draft.person, id=there[draft.key]) for draft in drafts if draft.key in there
        }
        if new:
            replies = self._collections.send("POST", [self._record(draft) for draft in new], kind="create task")
            for draft, reply in zip(new, replies, strict=True):
                outcomes[draft.key] = outcome(draft.person, reply)
            self._settle_duplicates(new, replies, outcomes)
            self._settle_gone(new, replies, outcomes)
        return outcomes

    # -- what exists -----------------------------------------------------------------------------------------------

    def _existing(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """Key -> id of the drafts' tasks that exist, deleted and archived ones included."""
        if TASK_KEY in self._describes.fields("task"):
            return self._by_key([draft.key for draft in drafts])
        return self._by_marker(drafts)

    def _by_key(self, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(keys), KEYS_PER_QUERY):
            listed = ",".join(soql.literal(key) for key in keys[start : start + KEYS_PER_QUERY])
            query = soql.select(["Id", TASK_KEY], "Task", f"{TASK_KEY} IN ({listed})")
            for row in self._client.rows(query, kind="find task", deleted=True):
                found[row[TASK_KEY]] = soql.id18(row["Id"])
        return found

    def _by_marker(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """By the last line of the description, among the tasks made since that can be the drafts'."""
        since = min(draft.since for draft in drafts)
        keys = {marker(draft.key): draft.key for draft in drafts}
        found: dict[str, str] = {}
        for whose in self._whose(drafts):
            where = f"{whose} AND CreatedDate >= {soql.moment(since)}"
            query = soql.select(["Id", "Description"], "Task", where)
            for row in self._client.rows(query, kind="find task", deleted=True):
                last = (row.get("Description") or "").rstrip().rpartition("\n")[2].strip()
                if last in keys:
                    found[keys[last]] = soql.id18(row["Id"])
        return found

    def _whose(self, drafts: Sequence[TaskDraft]) -> Iterator[str]:
        """Conditions for tasks that can be the drafts': those of their people, and, where one was sent, our own.

        By the time it is looked for, it can be somebody else's: its person was merged or converted, or is another
        record of the same person now, or a rep has moved it.
        """
        people = [draft.person for draft in drafts]
        sent = [draft.person for draft in drafts if draft.attempted]
        us = self._client.sign_in().user_id
        if sent and us is not None:
            yield f"CreatedById = {soql.literal(us)}"
        elif sent:
            there = [self._look(some, ()) for some in _by_object(sent)]
            people += [one.to for found in there for one in found.values() if isinstance(one, Moved)]
        ids = list(dict.fromkeys(soql.id18(person.id) for person in people))
        for some in soql.chunks(ids, KEYS_PER_QUERY):
            yield f"WhoId IN ({','.join(soql.literal(id) for id in some)})"

    # -- one task --------------------------------------------------------------------------------------------------

    def _record(self, draft: TaskDraft) -> Mapping[str, Any]:
        """The JSON of one task. A task of a lead must not name an account or opportunity (WhatId), so none does."""
        keyed = TASK_KEY in self._describes.fields("task")
        end = "" if keyed else f"\n{marker(draft.key)}"
        text = "\n".join(draft.lines)[: DESCRIPTION_LENGTH - len(end)] + end
        record: dict[str, Any] = {
            "attributes": {"type": "Task"},
            "WhoId": soql.id18(draft.person.id),
            "OwnerId": soql.id18(draft.owner),
            "Subject": draft.subject[:SUBJECT_LENGTH],
            "ActivityDate": draft.due.isoformat(),
            "Description": text,
        }
        for field, wanted in (("Status", "Not Started"), ("Priority", "High")):
            picklist = self._describes.picklist("task", field)
            value = picklist.choose(wanted) if picklist is not None else None
            if value is not None:
                record[field] = value
        if keyed:
            record[TASK_KEY] = draft.key
        return record

    # -- refusals --------------------------------------------------------------------------------------------------

    def _settle_duplicates(
        self, drafts: Sequence[TaskDraft], replies: Iterable[Reply], outcomes: dict[str, WriteOutcome]
    ) -> None:
        """The key is taken: a request that had no answer did create the task.

        A value that is taken can be that of another field of the org's: then no task was made, and it stays a refusal.
        """
        taken = {
            draft.key: (draft, reply.problem)
            for draft, reply in zip(drafts, replies, strict=True)
            if isinstance(reply, Failed) and reply.problem.code in ("DUPLICATE_VALUE", "DUPLICATE_EXTERNAL_ID")
        }
        if not taken:
            return
        found: Mapping[str, str] | None = None
        with suppress(ConnectorError):  # a refusal that names the key proves the task without its id
            found = self._existing([draft for draft, _ in taken.values()])
        for key, (draft, problem) in taken.items():
            id = found.get(key) if found is not None else None
            if id is not None or TASK_KEY in problem.message or TASK_KEY in problem.fields:
                outcomes[key] = Unchanged(ref=draft.person, id=id)
            elif found is None:
                reason = f"refused ({redacted(problem.message)}), and it could not be looked up whether it is there"
                outcomes[key] = Rejected(ref=draft.person, code=problem.code, reason=reason, retry=True)

    def _settle_gone(
        self, drafts: Sequence[TaskDraft], replies: Iterable[Reply], outcomes: dict[str, WriteOutcome]
    ) -> None:
        """The person was converted, merged or deleted meanwhile, unless it is the owner that does not exist."""
        gone = {
            draft.key: (draft.person, reply.problem)
            for draft, reply in zip(drafts, replies, strict=True)
            if isinstance(reply, Failed) and item_meaning(reply.problem) is Item.LOOK
        }
        for object in {person.object for person, _ in gone.values()}:
            there = {key: pair for key, pair in gone.items() if pair[0].object == object}
            try:
                found = self._look(tuple(dict.fromkeys(person for person, _ in there.values())), ())
            except ConnectorError as error:
                for key, (person, problem) in there.items():
                    reason = f"refused ({redacted(problem.message)}), and the person could not be read: {error.problem}"
                    outcomes[key] = Rejected(ref=person, code=problem.code, reason=reason, retry=True)
                continue
            for key, (person, problem) in there.items():
                outcomes[key] = elsewhere(person, found.get(person), problem)
