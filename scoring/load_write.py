"""The ``write`` section of policy.yaml: which result goes to which property of which object."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scoring.document import Node, Unreadable
from scoring.load_grade import NO_NUMBER
from scoring.policy import LeadStatus, Result, TaskIn, WritePlan

__all__ = ["read_write"]

_WRITTEN = tuple(str(result) for result in Result if result is not Result.REVIEW)

_NUMBERS = (Result.FIT, Result.TOTAL)
"""Results that there are none of where fit is in thirds."""


def read_write(node: Node, mapped: Mapping[tuple[str, str], Mapping[str, str]], *, thirds: bool) -> WritePlan:
    """The ``write`` section.

    ``mapped``: (crm, object) -> property -> the fact it is read as. ``thirds``: some model's fit is a step.
    """
    found = node.fields("hubspot", "salesforce", "human_edit_wins", "score_step", "task")
    properties: dict[tuple[str, str], Mapping[Result, str]] = {}
    statuses: dict[tuple[str, str], LeadStatus] = {}
    for crm, objects in (("hubspot", ("contact",)), ("salesforce", ("lead", "contact"))):
        for name, one in (found[crm].fields(*objects, what="object") if crm in found else {}).items():
            properties[crm, name], status = _written(one, crm, name, mapped.get((crm, name), {}))
            for key in _NUMBERS if thirds else ():
                if (place := one.get(key)) is not None:
                    place.error(f"{NO_NUMBER}: write 'grade' instead of '{key}'")
            if status is not None:
                statuses[crm, name] = status
    plain = WritePlan()
    task = found["task"].fields("in", "due") if "task" in found else {}
    wins = plain.human_edit_wins
    if "human_edit_wins" in found:
        wins = frozenset(Result(item.choice(_WRITTEN, "result")) for item in found["human_edit_wins"].each())
    return WritePlan(
        properties=properties,
        lead_status=statuses,
        human_edit_wins=wins,
        score_step=found["score_step"].integer(1, 1000) if "score_step" in found else plain.score_step,
        task_in=TaskIn(task["in"].choice([str(t) for t in TaskIn])) if "in" in task else None,
        task_due=task["due"].read(_working_days, plain.task_due) if "due" in task else plain.task_due,
    )


def _written(node: Node, crm: str, name: str, facts: Mapping[str, str]) -> tuple[dict[Result, str], LeadStatus | None]:
    found = node.fields(*_WRITTEN, what="result")
    properties: dict[Result, str] = {}
    status = None
    if "lead_status" in found:
        status = _lead_status(found["lead_status"], crm, name)
    if "lifecycle" in found and crm != "hubspot":
        found["lifecycle"].error("lifecycle is written to HubSpot only")
    users: dict[str, str] = {}
    for key, value in found.items():
        prop = status.property if key == "lead_status" and status else value.read(_property, "")
        first = users.setdefault(prop, key)
        if prop and first != key:
            value.error(f"'{prop}' is already written with '{first}'")
        fact = facts.get(prop)
        if fact is not None and key not in ("owner", "lifecycle", "lead_status"):
            value.error(f"'{prop}' is read as {fact}: what mqlsync writes must not be a fact")
        properties[Result(key)] = prop
    return properties, status


def _working_days(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,2}) +working +days?", text)
    if found is None:
        raise Unreadable(f"'{text}': write it like '1 working day'")
    return int(found[1])


def _property(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text):
        raise Unreadable(f"'{text}' is not the name of a property")
    return text


_LEAD_STATUS = {("hubspot", "contact"): "hs_lead_status", ("salesforce", "lead"): "Status"}


def _lead_status(node: Node, crm: str, name: str) -> LeadStatus:
    known = _LEAD_STATUS.get((crm, name))
    found = node.fields(
        *("property", "mql", "only_from"), required=("mql", "only_from", *(() if known else ("property",)))
    )
    return LeadStatus(
        property=found["property"].read(_property, "") if "property" in found else known or "",
        mql=found["mql"].text() if "mql" in found else "",
        only_from=tuple(item.text() for item in found["only_from"].each()) if "only_from" in found else (),
    )
