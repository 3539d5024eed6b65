"""Roll-ups on a contact ("clicks so far"), whose growth becomes engagement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connectors.fields import EventRule
from connectors.normalise import instant, number
from connectors.records import Counter, FieldSchema, RecordProblem, RecordRef

__all__ = ["CounterPlan", "counter", "plans"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterPlan:
    rule: EventRule
    property: str
    blank: Counter


def plans(rules: Sequence[EventRule], known: Mapping[str, FieldSchema]) -> tuple[CounterPlan, ...]:
    """One for each mapped roll-up that the portal has."""
    return tuple(
        CounterPlan(
            rule=rule,
            property=rule.key,
            blank=Counter(
                property=rule.key,
                kind=rule.kind,
                total=0,
                last_at=None,
                count_first=rule.count_first,
                attributes=rule.set,
            ),
        )
        for rule in rules
        if rule.key is not None and rule.key in known
    )


def counter(
    plan: CounterPlan, ref: RecordRef, get: Callable[[str], str | None], problems: list[RecordProblem]
) -> Counter:
    raw = get(plan.property)
    if not raw or raw == "0":
        return plan.blank
    field = plan.property
    try:
        total = int(number(raw))
        field = plan.rule.date or field
        last = get(plan.rule.date) if plan.rule.date else None
        last_at = instant(last) if last else None
    except ValueError as error:
        problems.append(RecordProblem(ref=ref, field=field, reason=str(error)))
        if field == plan.property:
            return plan.blank
        last_at = None
    return Counter(
        property=plan.property,
        kind=plan.rule.kind,
        total=total,
        last_at=last_at,
        count_first=plan.rule.count_first,
        attributes=plan.rule.set,
    )
