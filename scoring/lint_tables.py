"""Tables of fit: lines that can never be reached (W01), points beyond the cap (W02), no line for the unknown (W04)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from scoring.conditions import (
    AtLeast,
    Condition,
    Contains,
    DomainIn,
    Equals,
    Group,
    HasWords,
    Known,
    Missing,
    OneOf,
    StartsWith,
    Table,
    TableLine,
)
from scoring.document import Node, Problem
from scoring.facts import FACTS
from scoring.finding import key_places, points, warning
from scoring.implied import apart
from scoring.tables import words

__all__ = ["lint_table", "reachable_lines"]

LONGEST_LOOKED_INTO = 80
"""Characters of a text up to which its parts are looked up."""


def lint_table(table: Table, group: Group, place: Node) -> Iterator[Problem]:
    """``place`` is the group; findings are told of its ``points``."""
    lines = place.get("points")
    if lines is None:
        return
    where = key_places(lines)
    if "unknown" not in {key.casefold() for key in where} and _can_be_missing(table):
        yield warning("W04", lines, "no line for 'unknown': a missing value gives 0 points; write 'unknown: 0'")
    for line, hiders in _hidden(table):
        if len(hiders) == 1:
            said = f"'{hiders[0]}' above it takes all of it; write it above that line, or leave it out"
        else:
            said = "the lines above it take all of it; write it above them, or leave it out"
        yield warning("W01", lines, f"'{line.label}' can never be reached: {said}", at=where.get(line.label))
    for label, micro in (*((line.label, line.micro) for line in table.lines), ("otherwise", table.otherwise)):
        if group.max is not None and micro > group.max:
            most = points(group.max)
            message = (
                f"'{label}' gives {points(micro)} points, the max of the group is {most}; write {most} or raise max"
            )
            yield warning("W02", lines, message, at=where.get(label))


def reachable_lines(table: Table) -> list[TableLine]:
    hidden = {id(line) for line, _ in _hidden(table)}
    return [line for line in table.lines if id(line) not in hidden]


def _can_be_missing(table: Table) -> bool:
    fact = FACTS.get(table.field)
    return fact is None or not (fact.missing_false or fact.missing_zero)


def _hidden(table: Table) -> Iterator[tuple[TableLine, tuple[str, ...]]]:
    """The lines that can never be reached, each with the labels of those that take its values."""
    taken = _Taken()
    for line in table.lines:
        hiders = [taken.by(test) for test in apart(line.test)]
        if hiders and None not in hiders:
            yield line, tuple(dict.fromkeys(hider for hider in hiders if hider is not None))
        for test in apart(line.test):
            taken.add(test, line.label)


@dataclass(slots=True)
class _Taken:
    """What the lines read so far take of one fact; each look-up costs the same however many they were.

    equal     texts, numbers or booleans: value -> label
    domains, phrases, parts, starts: the same for the other tests of texts
    from_     the lowest bound of a number, and its label
    known     the label of a line that takes every known value
    others    tests of which nothing is known but that they are the same
    """

    equal: dict[str | int | bool, str] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    phrases: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    starts: dict[str, str] = field(default_factory=dict)
    from_: tuple[int, str] | None = None
    known: str | None = None
    others: dict[Condition, str] = field(default_factory=dict)

    def add(self, test: Condition, label: str) -> None:
        match test:
            case OneOf(_, (value,), False):
                self.equal.setdefault(value, label)
            case Equals(_, value):
                self.equal.setdefault(value, label)
            case DomainIn(_, (value,)):
                self.domains.setdefault(value, label)
            case HasWords(_, (phrase,)):
                self.phrases.setdefault(phrase, label)
            case Contains(_, (part,)):
                self.parts.setdefault(part, label)
            case StartsWith(_, (part,)):
                self.starts.setdefault(part, label)
            case AtLeast(_, bound):
                if self.from_ is None or bound < self.from_[0]:
                    self.from_ = (bound, label)
            case Known():
                self.known = self.known or label
            case _:
                self.others.setdefault(test, label)

    def by(self, test: Condition) -> str | None:
        """The label of the line that takes all that passes ``test``, one of `apart`."""
        if self.known is not None and not isinstance(test, Missing):
            return self.known
        match test:
            case OneOf(_, (value,), False):
                return self.equal.get(value) or self._of_text(value)
            case Equals(_, value):
                return self.equal.get(value) or (None if isinstance(value, bool) else self._of_number(value))
            case AtLeast(_, bound):
                return self._of_number(bound)
            case DomainIn(_, (value,)):
                labels = value.split(".")
                return _first(self.domains, (".".join(labels[at:]) for at in range(len(labels))))
            case HasWords(_, (phrase,)):
                return self._of_words(phrase)
            case Contains(_, (part,)):
                return _first(self.parts, _pieces(part))
            case StartsWith(_, (part,)):
                return _first(self.starts, _heads(part)) or _first(self.parts, _pieces(part))
            case _:
                return self.others.get(test)

    def _of_number(self, value: int) -> str | None:
        return self.from_[1] if self.from_ is not None and self.from_[0] <= value else None

    def _of_text(self, text: str) -> str | None:
        found = _first(self.starts, _heads(text)) if self.starts else None
        found = found or (_first(self.parts, _pieces(text)) if self.parts else None)
        return found or (self._of_words(words(text)) if self.phrases else None)

    def _of_words(self, phrase: str) -> str | None:
        each = phrase[:LONGEST_LOOKED_INTO].split()
        runs = (f" {' '.join(each[i:j])} " for i in range(len(each)) for j in range(i + 1, len(each) + 1))
        return _first(self.phrases, runs)


def _first(labels: Mapping[str, str], keys: Iterator[str]) -> str | None:
    return next((labels[key] for key in keys if key in labels), None)


def _heads(text: str) -> Iterator[str]:
    return (text[:end] for end in range(1, min(len(text), LONGEST_LOOKED_INTO) + 1))


def _pieces(text: str) -> Iterator[str]:
    text = text[:LONGEST_LOOKED_INTO]
    return (text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1))
