"""What fit and engagement have in common: points, limits, weights, and the names of rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from scoring.conditions import Combine, Dimension, Group
from scoring.document import Entry, Kind, Node, Unreadable, parse_number
from scoring.phrases import to_micro

__all__ = [
    "RuleNames",
    "limits",
    "parse_points",
    "parse_positive",
    "parse_whole",
    "read_dimension",
    "read_group",
    "read_rules",
    "said_condition",
    "said_value",
]

MAX_POINTS = 1_000_000


def parse_points(text: str) -> int:
    """Points in micro-points: at most 3 decimals, at most a million."""
    number = parse_number(text)
    if number * 1000 != (number * 1000).to_integral_value():
        raise Unreadable(f"'{text}': points have at most 3 decimals")
    if abs(number) > MAX_POINTS:
        raise Unreadable(f"'{text}': points are from -{MAX_POINTS} to {MAX_POINTS}")
    return to_micro(number)


def parse_positive(text: str) -> int:
    """Points above 0, in micro-points."""
    micro = parse_points(text)
    if micro <= 0:
        raise Unreadable(f"'{text}': above 0 is wanted here", code="E04")
    return micro


def parse_whole(text: str) -> int:
    """A score in whole points."""
    number = parse_number(text)
    if number != number.to_integral_value() or abs(number) > MAX_POINTS:
        raise Unreadable(f"'{text}': scores are whole numbers here")
    return int(number)


def _points_or_none(text: str) -> int | None:
    return None if text == "none" else parse_points(text)


def _best(text: str) -> Combine:
    if text != "best":
        raise Unreadable(f"'{text}': 'best' is wanted here; without `take` the rules are added")
    return Combine.BEST


# -- dimensions, groups, rules -----------------------------------------------------------------------------------


def read_dimension(found: Mapping[str, Node], group: Callable[[Entry], Group]) -> Dimension:
    """``groups``, ``max`` and ``floor`` of a dimension in points. ``group`` reads one group."""
    plain = Dimension()
    groups: tuple[Group, ...] = ()
    if "groups" in found:
        groups = tuple(group(entry) for entry in found["groups"].pairs())
        if found["groups"].kind is Kind.MAPPING and not groups:
            found["groups"].error("there are no groups")
        _check_weights(found["groups"], groups)
    top = found["max"].read(_points_or_none, None) if "max" in found else plain.max
    floor = found["floor"].read(_points_or_none, None) if "floor" in found else plain.floor
    if top is not None and top <= 0:
        found["max"].error("max must be above 0", code="E04")
    elif top is not None and floor is not None and floor >= top:
        found["floor" if "floor" in found else "max"].error("the floor must be below max", code="E04")
    return Dimension(groups=groups, max=top, floor=floor)


def read_group(entry: Entry, make: Callable[[Entry, Mapping[str, Node]], Group], *more: str) -> Group:
    """One group: its limits around what ``make`` reads. ``more``: the keys that only this dimension has."""
    found = entry.node.fields("field", "points", "rules", "take", "max", "min", "weight", *more)
    group = make(entry, found)
    top, low = limits(found)
    return replace(
        group,
        combine=found["take"].read(_best, Combine.SUM) if "take" in found else Combine.SUM,
        max=top,
        min=low,
        weight=found["weight"].percent() if "weight" in found else None,
    )


def read_rules(node: Node) -> tuple[Node, ...]:
    rules = node.each()
    if node.kind is Kind.LIST and not rules:
        node.error("there are no rules")
    return rules


def limits(found: Mapping[str, Node]) -> tuple[int | None, int | None]:
    """``max`` and ``min`` in micro-points."""
    top = found["max"].read(parse_points, 0) if "max" in found else None
    low = found["min"].read(parse_points, 0) if "min" in found else None
    if top is not None and top <= 0:
        found["max"].error("max must be above 0", code="E04")
    elif top is not None and low is not None and low > top:
        found["min"].error("min is above max", code="E04")
    return top, low


def _check_weights(node: Node, groups: Sequence[Group]) -> None:
    weighted = [g for g in groups if g.weight is not None]
    if not weighted:
        return
    without = [f"'{g.name}'" for g in groups if g.weight is None]
    if without:
        verb = "has" if len(without) == 1 else "have"
        node.error(f"{', '.join(without)} {verb} no weight: all groups have one, or none has", code="E04")
    total = sum(g.weight or 0 for g in weighted)
    if len(weighted) == len(groups) and total != 10_000:
        node.error(f"the weights add up to {(Decimal(total) / 100).normalize():f}%, not to 100%", code="E04")


@dataclass(slots=True)
class RuleNames:
    """The names of one model's rules, and the line of each. ``made``: how often a text stood in for a name."""

    lines: dict[str, int] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)

    def of(self, node: Node, found: Mapping[str, Node], said: str) -> tuple[str, str]:
        """The name and the reason of a rule.

        Names are unique; ``said``, made from the condition, stands in for one and is numbered if need be.
        """
        if "name" in found:
            name = found["name"].text()
            if name in self.lines:
                found["name"].error(f"the name '{name}' is already used on line {self.lines[name]}")
        else:
            name, n = said, self.made.get(said, 1)
            while name in self.lines:
                n += 1
                name = f"{said} ({n})"
            self.made[said] = n
        self.lines.setdefault(name, node.line)
        return name, found["reason"].text() if "reason" in found else (name if "name" in found else said)


# -- texts made from conditions ----------------------------------------------------------------------------------


def said_value(node: Node) -> str:
    if node.kind is Kind.LIST:
        return " or ".join(said_value(item) for item in node.items)
    return " ".join(node.value.split())


def said_condition(node: Node) -> str:
    """``company employees from 200, country in emea``: a condition in its author's words."""
    if node.kind is Kind.LIST:
        return " or ".join(said_condition(item) for item in node.items)
    said = []
    for entry in node.entries:
        scope, _, rest = entry.key.partition(".")
        name = rest.rpartition(".")[2] or scope
        said.append(f"{'company ' if scope == 'company' else ''}{name.replace('_', ' ')} {said_value(entry.node)}")
    return ", ".join(said)
