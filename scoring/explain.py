"""A score and a decision in sentences, for the person who asks why.

Every number of points shown is exact, and what stands below a line adds up to it: points of rules, then what caps took
away. What fading left of an event's points is said in rounded percent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

from scoring.cards import GroupPoints, Scorecard
from scoring.conditions import LADDER, Score
from scoring.episodes import MEANINGS, Decision
from scoring.ledger import Ledger, LedgerDimension, LedgerEvent, LedgerGroup, LedgerIgnored, LedgerRule
from scoring.tables import MICRO

__all__ = ["as_ledger", "explain", "points"]

_EVENTS_SHOWN = 10

_CAPS = {
    "max_per_day": "over the daily limit",
    "cap newest": "older than the newest that fit",
    "max": "over the limit",
    "min": "raised to the lower limit",
    "best": "not the best of the group",
    "weight": "by the group's weight",
    "floor": "raised to the floor",
    "caps": "by limits and weights",
}


def explain(of: Ledger | Scorecard, decision: Decision | None = None) -> list[str]:
    """Lines of plain text, two spaces deeper a level. A ledger names the events too, a scorecard only the rules."""
    ledger = as_ledger(of)
    return [
        f"Person {ledger.person_id} on {ledger.day} under policy version {ledger.version}, model {ledger.model}",
        *_dimension(ledger.fit),
        *_dimension(ledger.engagement),
        *_ignored(ledger),
        *([f"Total: {_shown(ledger.total, ledger.total_micro)}"] if ledger.fit.step is None else []),
        *([f"Grade: {ledger.grade}"] if ledger.grade else []),
        f"Suppressed: {ledger.suppressed}" if ledger.suppressed is not None else "Suppressed: no",
        *(f"Gate line {name}: {'true' if true else 'false'}" for name, true in ledger.lines.items()),
        *(_decision(decision) if decision is not None else ()),
    ]


def as_ledger(of: Ledger | Scorecard) -> Ledger:
    """The same in one shape: a ledger as it is, a scorecard as a ledger without events."""
    return of if isinstance(of, Ledger) else _of_card(of)


def points(micro: int, *, signed: bool = False) -> str:
    """Micro-points as exact points without needless zeros: ``9.516952``, ``+35``, ``-0.5``."""
    whole, rest = divmod(abs(micro), MICRO)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    sign = "-" if micro < 0 else "+" if signed and micro else ""
    return f"{sign}{whole}{fraction}"


def _shown(whole: int, micro: int) -> str:
    return str(whole) if whole * MICRO == micro else f"{whole} ({points(micro)} before rounding)"


def _dimension(part: LedgerDimension) -> Iterator[str]:
    if part.step is None:
        yield f"{part.score.value.capitalize()}: {_shown(part.points, part.micro)}"
    else:
        yield f"{part.score.value.capitalize()}: {part.step}, in thirds of a letter from {LADDER[part.start // MICRO]}"
    for group in part.groups:
        yield from _group(group)
    yield from _losses(part.lost, "  ")


def _group(group: LedgerGroup) -> Iterator[str]:
    fired = [rule for rule in group.rules if rule.fired]
    if not fired and not group.lost:
        return
    if len(fired) == 1 and not group.lost and fired[0].name == group.name:  # a table is its group
        yield f"  {group.name}: {points(group.micro, signed=True)}"
        return
    yield f"  {group.name}: {points(group.micro, signed=True)}"
    for rule in fired:
        yield from _rule(rule)
    yield from _losses(group.lost, "    ")


def _rule(rule: LedgerRule) -> Iterator[str]:
    times = f" ({rule.occurrences} {'time' if rule.occurrences == 1 else 'times'})" if rule.occurrences else ""
    yield f"    {rule.name}: {points(rule.micro, signed=True)}{times}"
    for event in rule.events[:_EVENTS_SHOWN]:
        yield f"      {_event(event, rule.points)}"
    rest = rule.events[_EVENTS_SHOWN:]
    if rest:
        yield f"      {len(rest)} older events: {points(sum(event.micro for event in rest), signed=True)}"
    yield from _losses(rule.lost, "      ")


def _event(event: LedgerEvent, unfaded: int) -> str:
    """``unfaded``: what one occurrence gives on its first day."""
    each = f", {event.occurrences} times {points(event.micro // event.occurrences)}" if event.occurrences > 1 else ""
    left = Fraction(event.factor)
    faded = f", {_percent(left)} of {points(unfaded)}" if unfaded and left != 1 else ""
    return f"{event.day} ({_ago(event.age)}{each}{faded}): {points(event.micro, signed=True)}  {event.event_id}"


def _percent(part: Fraction) -> str:
    return f"{Decimal(round(part * 1000)) / 10:f}%"


def _ago(age: int) -> str:
    return "today" if age == 0 else f"{age} {'day' if age == 1 else 'days'} ago"


def _ignored(ledger: Ledger) -> Iterator[str]:
    """What counted for nothing, by the line that says so, in the order of the newest."""
    names: dict[str, list[LedgerIgnored]] = {}
    for event in ledger.ignored:
        names.setdefault(event.name, []).append(event)
    if names:
        yield f"Ignored: {len(ledger.ignored)} {'event' if len(ledger.ignored) == 1 else 'events'}"
    for name, events in names.items():
        yield f"  {name}: {len(events)}"
        for event in events[:_EVENTS_SHOWN]:
            yield f"    {event.day} ({_ago(event.age)}): {event.kind}  {event.event_id}"
        if len(events) > _EVENTS_SHOWN:
            yield f"    {len(events) - _EVENTS_SHOWN} older events"


def _losses(lost: Mapping[str, int], indent: str) -> Iterator[str]:
    for cap, micro in lost.items():
        yield f"{indent}{_CAPS[cap]}: {points(-micro, signed=True)}"


def _decision(decision: Decision) -> Iterator[str]:
    yield f"Status: {decision.status} ({MEANINGS[decision.status]})"
    if decision.closes is not None:
        yield f"The open episode ends: {decision.closes}"
    if decision.opens is not None:
        how = "taken over as found" if decision.opens.adopted else f"opened by {decision.opens.line}"
        yield f"Episode {decision.opens.n}: {how}"
    if decision.reason is not None:
        yield f"Reason: {decision.reason}"


# -- a scorecard as a ledger without events ----------------------------------------------------------------------


def _of_card(card: Scorecard) -> Ledger:
    names = dict(zip(card.layout.models, card.layout.lines, strict=True))[card.model]
    return Ledger(
        person_id=card.person_id,
        version=card.layout.version,
        day=card.layout.day,
        model=card.model,
        suppressed=card.suppressed,
        grade=card.grade,
        fit=_part(card, Score.FIT, card.fit),
        engagement=_part(card, Score.ENGAGEMENT, card.engagement),
        total_micro=card.total_micro,
        total=card.total,
        lines={name: name in card.lines for name in names},
    )


def _part(card: Scorecard, score: Score, whole: int) -> LedgerDimension:
    part = card.points(score)
    return LedgerDimension(
        score=score,
        start=part.start,
        step=LADDER[whole] if card.layout.dimension(score, card.model).thirds else None,
        groups=tuple(_of_points(group) for group in part.groups),
        lost={"caps": part.loss} if part.loss else {},
        micro=part.micro,
        points=whole,
    )


def _of_points(group: GroupPoints) -> LedgerGroup:
    rules = tuple(
        LedgerRule(
            name=item.name,
            reason=item.reason,
            fired=item.micro is not None,
            points=item.micro or 0,
            occurrences=item.count or 0,
            counted=item.micro or 0,
            lost={},
            micro=item.micro or 0,
        )
        for item in group.items
    )
    return LedgerGroup(name=group.name, rules=rules, lost={"caps": group.loss} if group.loss else {}, micro=group.micro)
