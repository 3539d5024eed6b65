"""Roll-ups on a contact ("clicks so far"), whose growth becomes engagement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

from connectors.columns import made
from connectors.fields import EventRule
from connectors.normalise import instant, number
from connectors.records import Counter, FieldSchema, RecordProblem, RecordRef

__all__ = ["CounterPlan", "column", "plans"]


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


def column(
    plan: CounterPlan,
    refs: Sequence[RecordRef],
    held: Sequence[Mapping[str, str | None]],
    told: Mapping[int, list[RecordProblem]],
) -> list[Counter]:
    """One roll-up of every record of a page. ``told`` takes what cannot be read, by the place in the page."""
    name, dated = plan.property, plan.rule.date
    found = [plan.blank] * len(held)
    places, totals, moments = [], [], []
    for at, row in enumerate(held):
        raw = row.get(name)
        if not raw or raw == "0":
            continue
        field = name
        try:
            total = int(number(raw))
            field = dated or name
            last = row.get(dated) if dated else None
            last_at = instant(last) if last else None
        except ValueError as error:
            told[at].append(RecordProblem(ref=refs[at], field=field, reason=str(error)))
            if field == name:
                continue
            last_at = None
        places.append(at)
        totals.append(total)
        moments.append(last_at)
    risen = made(
        Counter,
        len(places),
        property=repeat(name),
        kind=repeat(plan.rule.kind),
        total=totals,
        last_at=moments,
        count_first=repeat(plan.rule.count_first),
        attributes=repeat(plan.rule.set),
    )
    for at, counter in zip(places, risen, strict=True):
        found[at] = counter
    return found
