"""Roll-ups on a contact ("clicks so far"), whose growth becomes engagement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat

from connectors.columns import made
from connectors.fields import EventRule
from connectors.normalise import instants, number, whole_numbers
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
    columns: Mapping[str, Sequence[str | None]],
    told: Mapping[int, list[RecordProblem]],
) -> list[Counter]:
    """One roll-up of every record of a page. ``told`` takes what cannot be read, by the place in the page."""
    name, dated = plan.property, plan.rule.date
    texts = columns[name]
    dates = columns[dated] if dated else ()
    places = [at for at, text in enumerate(texts) if text and text != "0"]
    try:
        totals = whole_numbers([texts[at] or "" for at in places])
        moments = instants(dates[at] if dated else None for at in places)
    except ValueError:
        places, totals, moments = _one_by_one(plan, refs, columns, told, places)
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
    found = [plan.blank] * len(refs)
    for at, counter in zip(places, risen, strict=True):
        found[at] = counter
    return found


def _one_by_one(
    plan: CounterPlan,
    refs: Sequence[RecordRef],
    columns: Mapping[str, Sequence[str | None]],
    told: Mapping[int, list[RecordProblem]],
    places: Sequence[int],
) -> tuple[list[int], list[int], list[datetime | None]]:
    """Places, totals and moments where some cannot be read: a record without its total has no counter."""
    kept, totals, moments = [], [], []
    for at in places:
        field, last_at = plan.property, None
        try:
            total = int(number(columns[field][at] or ""))
            field = plan.rule.date or field
            [last_at] = instants([columns[field][at] if plan.rule.date else None])
        except ValueError as error:
            told[at].append(RecordProblem(ref=refs[at], field=field, reason=str(error)))
            if field == plan.property:
                continue
        kept.append(at)
        totals.append(total)
        moments.append(last_at)
    return kept, totals, moments
