"""A plan a person can read, keep and apply later.

A kept plan names every row by its operation key, which holds the values and the version of the record they were planned
against. Applying plans anew and sends only rows whose key is in the file, so a record that has moved is refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from scoring.policy import Policy
from sync.run import Parts, RunReport

__all__ = ["PlanFile", "PlanUnusable", "as_document", "lines"]

FORMAT = "mqlsync plan 1"


class PlanUnusable(Exception):
    """The file is no plan of this version. Nothing was read from a CRM and nothing was written."""


def as_document(report: RunReport, parts: Parts) -> dict[str, Any]:
    """The plan as JSON: every change with what stands there now, every task, and the calls it will cost."""
    changes = [
        {
            "record": str(write.ref),
            "crm": write.ref.crm,
            "object": write.ref.object,
            "id": write.ref.id,
            "person_id": person_id,
            "from": dict(write.base),
            "to": dict(write.fields),
            "key": write.key,
        }
        for person_id, write in report.decided.changes
    ]
    tasks = [
        {
            "person_id": person_id,
            "record": str(task.person),
            "owner": task.owner,
            "subject": task.subject,
            "due": task.due,
        }
        for person_id, task in report.decided.planned_tasks
    ]
    return {
        "format": FORMAT,
        "job": report.job,
        "as_of": report.as_of.isoformat(),
        "policy_version": parts.policy.version,
        "people": report.decided.people,
        "new_mqls": sum(not e.adopted for e in report.decided.opened),
        "statuses": report.decided.statuses,
        "changes": changes,
        "tasks": tasks,
        "calls": _cost(report, parts),
        "guard": [one.as_json() for one in report.findings],
        "error": report.error,
    }


def _cost(report: RunReport, parts: Parts) -> dict[str, int]:
    """Calls that writing will make: one a batch of records or tasks, and one for each batch of records read first."""
    cost: dict[str, int] = {}
    for crm, connector in parts.connectors.items():
        rows = Counter(write.ref.object for _, write in report.decided.changes if write.ref.crm is crm)
        tasks = sum(task.person.crm is crm for _, task in report.decided.planned_tasks)
        writes = sum(-(-n // connector.batch_size) for n in (*rows.values(), tasks))
        reads = sum(-(-n // connector.read_size) for n in rows.values())
        cost[crm] = writes + reads
    return cost


def lines(report: RunReport, document: Mapping[str, Any]) -> Iterator[str]:
    """The plan for a terminal."""
    for change in document["changes"]:
        moves = "  ".join(f"{p}: {_shown(change['from'].get(p))} -> {_shown(v)}" for p, v in change["to"].items())
        yield f"  ~ {change['crm']:<10} {change['object']} {change['id']}   {moves}"
    for task in document["tasks"]:
        yield f"  + task for {task['owner']}, due {task['due']}: {task['subject']}"
    calls = ", ".join(f"{n} {crm}" for crm, n in document["calls"].items())
    yield (
        f"Plan: {len(document['changes'])} records to change, {len(document['tasks'])} tasks to create, "
        f"{document['new_mqls']} new MQLs among {document['people']} people decided. About {calls or 'no'} calls."
    )
    for finding in document["guard"]:
        yield f"A run would stop for approval before it writes: {finding['text']}"


def _shown(value: str | None) -> str:
    return "(blank)" if value is None or value == "" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """A kept plan."""

    job: str
    as_of: datetime
    policy_version: str
    rows: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> PlanFile:
        """Raises `PlanUnusable` with what is wrong with the file."""
        try:
            body = json.loads(path.read_text())
            if body["format"] != FORMAT:
                raise PlanUnusable(f"{path} is of format {body['format']!r}, this version reads {FORMAT!r}; plan again")
            as_of = datetime.fromisoformat(body["as_of"])
            if as_of.tzinfo is None:
                raise ValueError(f"as_of {body['as_of']} does not say its zone")
            return cls(
                job=body["job"],
                as_of=as_of,
                policy_version=body["policy_version"],
                rows={change["key"]: change["record"] for change in body["changes"]},
            )
        except OSError as error:
            raise PlanUnusable(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise PlanUnusable(f"{path} is no plan: {error!r}; make one with `mqlsync plan -o {path}`") from error

    def unusable_with(self, policy: Policy) -> str | None:
        """Why this plan does not go with today's policy, None when it does."""
        if policy.version == self.policy_version:
            return None
        return (
            f"the plan was made with policy {self.policy_version}, the files here are {policy.version}; "
            "nothing was written. Plan again"
        )

    def keys(self) -> frozenset[str]:
        return frozenset(self.rows)

    def refused(self, report: RunReport) -> list[str]:
        """Records of the file whose row could not be planned alike any more. None while a run decided nothing."""
        if not report.decided.people and report.error is not None:
            return []
        planned = {write.key for _, write in report.decided.changes}
        return sorted(record for key, record in self.rows.items() if key not in planned)
