"""Which properties the policy writes, and making them in the CRMs."""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.port import Connector
from connectors.records import Crm, FieldKind, SchemaChange, WantedField
from scoring.episodes import Status
from scoring.policy import Policy, Result, TaskIn
from sync.mapping import Mapping, ReviewAnswer, SalesState
from sync.plan import KIND
from sync.resolve import PEOPLE_OBJECTS

if TYPE_CHECKING:
    from sync.run import Parts

__all__ = ["Change", "ensure", "heard_fields", "missing", "unusable_fields", "wanted_fields"]

GIVEN = frozenset({Result.OWNER, Result.LIFECYCLE, Result.LEAD_STATUS})
"""Results that go into properties the CRMs have of their own."""

LABELS = {
    Result.STATUS: "MQL status",
    Result.GRADE: "MQL grade",
    Result.FIT: "MQL fit",
    Result.ENGAGEMENT: "MQL engagement",
    Result.TOTAL: "MQL total score",
    Result.REASON: "MQL reason",
    Result.MODEL: "MQL scoring model",
    Result.QUALIFIED_AT: "MQL qualified at",
    Result.EPISODE: "MQL episode",
    Result.VERSION: "MQL policy version",
    Result.NURTURE: "MQL nurture track",
    Result.PAUSED: "MQL marketing paused",
    Result.MISSING: "MQL missing",
}

TASK_KEY = {Crm.HUBSPOT: "mqlsync_task_key", Crm.SALESFORCE: "MQL_Task_Key__c"}
"""The property that names a task for ever, so that it cannot be made twice."""

Options = collections.abc.Mapping[Result, tuple[str, ...]]

TASK_OBJECT = {Crm.HUBSPOT: "task", Crm.SALESFORCE: "task"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing made, or to be made, in one CRM."""

    crm: Crm
    change: SchemaChange

    def __str__(self) -> str:
        return f"{self.crm} {self.change.object} {self.change.name}: {self.change.what}"

    def as_json(self) -> dict[str, Any]:
        return {"crm": self.crm, "object": self.change.object, "name": self.change.name, "what": self.change.what}


def wanted_fields(policy: Policy, crm: Crm) -> tuple[WantedField, ...]:
    """The properties of our own that the policy writes in one CRM, and the task key where tasks go there."""
    if not crm.writable:
        return ()
    options: Options = {Result.STATUS: tuple(Status)}
    if policy.nurture is not None:
        options = {**options, Result.NURTURE: policy.nurture.tracks}
    fields = [
        _field(object, result, name, options)
        for (on, object), properties in sorted(policy.write.properties.items())
        for result, name in properties.items()
        if on == crm and result not in GIVEN
    ]
    if policy.write.task_in in (None, TaskIn(crm)):
        fields.append(
            WantedField(
                object=TASK_OBJECT[crm],
                name=TASK_KEY[crm],
                label="mqlsync task key",
                kind=FieldKind.TEXT,
                length=64,
                unique=True,
                description="Names the follow-up task of one MQL episode. Written by mqlsync; do not edit.",
            )
        )
    return tuple(fields)


def _field(object: str, result: Result, name: str, options: Options) -> WantedField:
    return WantedField(
        object=object,
        name=name,
        label=LABELS[result],
        kind=KIND[result],
        length=255,
        options=options.get(result, ()),
        description="Written by mqlsync.",
    )


def heard_fields(policy: Policy, fields: Mapping, connector: Connector) -> tuple[WantedField, ...]:
    """The picklists in which sales and marketing say something, where this CRM has none or one that lacks options.

    The reason of a rejection is wanted where the policy has `recycle.reasons`, on objects that have the property of the
    sales state. A property that is no picklist is the org's own way to say it: it is left as it is.
    """
    crm = connector.crm
    wanted: list[WantedField] = []
    rule, review = fields.sales_states.get(crm), fields.reviews.get(crm)
    for object in PEOPLE_OBJECTS[crm]:
        there = connector.describe(object)
        asked = [_review_field(object, review)] if review is not None else []
        if rule is not None and rule.property in there:
            asked += _reason_field(object, rule, policy)
        wanted += [w for w in asked if w.name not in there or there[w.name].kind is FieldKind.PICKLIST]
    return tuple(wanted)


def _reason_field(object: str, rule: SalesState, policy: Policy) -> list[WantedField]:
    if rule.reason is None or policy.recycle is None:
        return []
    names = tuple(reason.name for reason in policy.recycle.reasons)
    return [
        WantedField(
            object=object,
            name=rule.reason,
            label="MQL rejection reason",
            kind=FieldKind.PICKLIST,
            options=names,
            labels={name: _readable(name) for name in names},
            offered=True,
            description="Why sales says no. Read by mqlsync.",
        )
    ]


def _review_field(object: str, review: ReviewAnswer) -> WantedField:
    answers = (*review.approve, *review.reject)
    return WantedField(
        object=object,
        name=review.property,
        label="MQL review",
        kind=FieldKind.PICKLIST,
        options=answers,
        labels={answer: _readable(answer) for answer in answers},
        offered=True,
        description="A marketer's answer for somebody in review. Read, then cleared, by mqlsync.",
    )


def _readable(name: str) -> str:
    """``not_ready`` -> ``Not ready``."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def unusable_fields(policy: Policy, connector: Connector) -> list[tuple[str, str]]:
    """(``contact.mql_grade``, what is wrong with it) for every property the policy writes that cannot be written.

    The task key is not among them: without it tasks carry a marker.
    """
    found: list[tuple[str, str]] = []
    ours = {(want.object, want.name) for want in wanted_fields(policy, connector.crm)}
    for object, name in _written(policy, connector.crm):
        there = connector.describe(object).get(name)
        if there is not None and there.writable:
            continue
        make = "run `mqlsync setup`" if (object, name) in ours else "correct `write` in policy.yaml"
        why = f"not there; {make}" if there is None else "not writable by these credentials; grant edit access"
        found.append((f"{object}.{name}", why))
    return found


def _written(policy: Policy, crm: Crm) -> list[tuple[str, str]]:
    """Every (object, property) of a CRM that the policy writes."""
    written = [
        (object, name) for (on, object), of in policy.write.properties.items() if on == crm for name in of.values()
    ]
    written += [(object, rule.property) for (on, object), rule in policy.write.lead_status.items() if on == crm]
    return sorted(set(written))


def missing(parts: Parts) -> list[Change]:
    """What `ensure` would make. Changes nothing."""
    return _ask(parts, dry_run=True)


def ensure(parts: Parts) -> list[Change]:
    """Make what is missing, in every connected CRM. Repeating it makes nothing."""
    return _ask(parts, dry_run=False)


def _ask(parts: Parts, *, dry_run: bool) -> list[Change]:
    changes: list[Change] = []
    for crm, connector in parts.connectors.items():
        heard = heard_fields(parts.policy, parts.fields, connector)
        found = connector.ensure_schema((*wanted_fields(parts.policy, crm), *heard), dry_run=dry_run)
        changes += _made(crm, found)
    return changes


def _made(crm: Crm, found: Iterable[SchemaChange]) -> list[Change]:
    return [Change(crm=crm, change=change) for change in found if change.what != "present"]
