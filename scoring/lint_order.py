"""Lines of which the first true one decides: those that an earlier one always forestalls (W01)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from scoring.conditions import All, Condition, DomainIn, OneOf, alternatives
from scoring.document import Node, Problem
from scoring.finding import warning
from scoring.implied import implies, subject
from scoring.policy import Policy, TargetKind

__all__ = ["lint_order"]

MOST_COMPARED = 30
"""With how many of the earlier lines that may forestall a line it is compared."""


def lint_order(policy: Policy, root: Node) -> Iterator[Problem]:
    """Suppress lines, models, gate lines and routing rules."""
    yield from _forestalled(
        ((line.name, line.test, root.find("suppress", line.name)) for line in policy.suppress),
        "this line can never be the reason: whoever it is about is already stopped by '{first}'; leave it out, or write"
        " it above",
    )
    yield from _forestalled(
        ((m.name, m.when, root.find("models", m.name, "when")) for m in policy.models if m.when is not None),
        "this model is never used: '{first}' above it takes everybody it is for; write it above that one",
    )
    default = policy.models[-1]
    for model in policy.models:
        lines = root.find("mql", "become_when") if model is default else root.find("models", model.name, "become_when")
        if lines is not None:
            yield from _forestalled(
                ((line.name, line.test, lines.get(line.name)) for line in model.become_when),
                "this line can never be the reason: '{first}' above it is true whenever it is; leave it out, or write"
                " it above",
            )
    yield from _routes(policy, root)


def _routes(policy: Policy, root: Node) -> Iterator[Problem]:
    """Only pools and queues take everybody: an owner or a rep can be away, and the next rule is asked."""
    place = root.get("routing")
    if place is None:
        return
    kinds = (TargetKind.POOL, TargetKind.QUEUE)
    lines = [
        (route.name, route.when or All(), node, route.to.kind in kinds)
        for route, node in zip(policy.routing, place.items, strict=True)
    ]
    earlier = _Earlier()
    for name, test, node, takes in lines:
        first = earlier.forestalling(test)
        if first is not None:
            who = "everybody" if first.test == All() else "everybody it is for"
            said = f"this rule can never be reached: '{first.name}' takes {who}; write it above that rule"
            yield warning("W01", node, said)
        if takes:
            earlier.add(_Line(name, test))


def _forestalled(lines: Iterable[tuple[str, Condition, Node | None]], said: str) -> Iterator[Problem]:
    earlier = _Earlier()
    for name, test, node in lines:
        first = earlier.forestalling(test)
        if first is not None and node is not None:
            yield warning("W01", node, said.format(first=first.name))
        earlier.add(_Line(name, test))


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    test: Condition


@dataclass(slots=True)
class _Earlier:
    """The lines above, found again by one value that each of their ways asks for."""

    by_value: dict[tuple[str, str], list[_Line]] = field(default_factory=dict)
    by_subject: dict[str, list[_Line]] = field(default_factory=dict)
    always: list[_Line] = field(default_factory=list)

    def add(self, line: _Line) -> None:
        for way in alternatives(line.test):
            tests = _tests(way)
            if not tests:
                self.always.append(line)
                continue
            named = next((test for test in tests if isinstance(test, OneOf | DomainIn)), None)
            if named is not None:
                for value in named.values:
                    self.by_value.setdefault((named.field, value), []).append(line)
            else:
                self.by_subject.setdefault(_about(tests[0]), []).append(line)

    def forestalling(self, test: Condition) -> _Line | None:
        """A line above that is certainly true whenever ``test`` is."""
        # every way must be forestalled by the same line: the candidates of one way are enough
        way = next(iter(alternatives(test)), None)
        if way is None:
            return None
        return next((c for c in islice(self._near(way), MOST_COMPARED) if implies(test, c.test)), None)

    def _near(self, way: Condition) -> Iterator[_Line]:
        tests = _tests(way)
        values = (
            self.by_value.get((test.field, value), ())
            for test in tests
            if isinstance(test, OneOf | DomainIn)
            # a line above must take the first value as well, and of domains perhaps as a subdomain
            for value in _wider(test)
        )
        subjects = (self.by_subject.get(about, ()) for about in dict.fromkeys(_about(test) for test in tests))
        return chain(self.always, chain.from_iterable(values), chain.from_iterable(subjects))


def _wider(test: OneOf | DomainIn) -> Sequence[str]:
    first = test.values[0]
    if isinstance(test, OneOf):
        return (first,)
    labels = first.split(".")
    return [".".join(labels[at:]) for at in range(len(labels))]


def _tests(way: Condition) -> Sequence[Condition]:
    """The tests of a conjunction, taken out of inner ones."""
    if not isinstance(way, All):
        return (way,)
    return tuple(test for one in way.of for test in _tests(one))


def _about(test: Condition) -> str:
    return subject(test) or type(test).__name__
