"""Whether conditions about facts alone are true of one person: routing, and whatever is asked outside the engine.

The facts are in stored form (`scoring.tables`). Scores and events are not known here; the engine judges those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from scoring.conditions import (
    AgeBelow,
    AgeFrom,
    All,
    AtLeast,
    Below,
    Condition,
    Contains,
    DateBefore,
    DateFrom,
    DomainIn,
    Equals,
    EventExists,
    HasWords,
    Known,
    LabelIn,
    Missing,
    Not,
    OneOf,
    OwnerState,
    ScoreAtLeast,
    ScoreBelow,
    Span,
    StartsWith,
    Unit,
    Validity,
    leaves,
)
from scoring.conditions import Any as AnyOf
from scoring.facts import FACTS
from scoring.fades import months_between
from scoring.phrases import negated, say
from scoring.tables import LIST_EDGE, MICRO, valid_column, words

__all__ = ["FactJudge", "judged_by"]


class FactJudge:
    """Judges one person.

    Parameters
    ----------
    facts: canonical name -> value in stored form; missing is absent, NULL or empty
    day: the date of as_of in the policy's timezone
    owner_is: (owner, ``active`` | ``available`` | ``working``) -> whether that owner is so
    """

    def __init__(self, facts: Mapping[str, Any], day: date, owner_is: Callable[[str, str], bool]) -> None:
        known = {name: value for name, value in facts.items() if value is not None and value != ""}
        for fact in FACTS.values():
            if fact.missing_false:
                known.setdefault(fact.name, False)
            elif fact.missing_zero:
                known.setdefault(fact.name, 0)
        self._facts = known
        self._day = day
        self._owner_is = owner_is

    def first_false(self, condition: Condition) -> Condition | None:
        """The first phrase that is not true, in file order; None when all is true."""
        if isinstance(condition, All) and negated(condition) is None:
            return next((false for one in condition.of if (false := self.first_false(one)) is not None), None)
        return None if self.true(condition) else condition

    def found(self, condition: Condition) -> Any:
        """The value that made a phrase false, as plain JSON."""
        match condition:
            case All(of) | AnyOf(of):
                values = [self.found(one) for one in of]
                return values[0] if values and all(v == values[0] for v in values) else values
            case Not(of):
                return self.found(of)
            case ScoreAtLeast() | ScoreBelow() | LabelIn() | EventExists():
                return None
            case _:
                value = self._facts.get(condition.field)
        if isinstance(value, int) and not isinstance(value, bool):
            return f"{(Decimal(value) / MICRO).normalize():f}"
        return value.isoformat() if isinstance(value, date) else value

    def true(self, condition: Condition) -> bool:
        """Raises ValueError for a condition about scores or events."""
        match condition:
            case All(of):
                return all(self.true(one) for one in of)
            case AnyOf(of):
                return any(self.true(one) for one in of)
            case Not(of):
                return not self.true(of)
            case Known(name):
                return name in self._facts
            case Missing(name):
                return name not in self._facts
            case ScoreAtLeast() | ScoreBelow() | LabelIn() | EventExists():
                raise ValueError(f"facts do not tell scores or events: {say(condition)}")
            case _:
                value = self._facts.get(condition.field)
                return value is not None and self._holds(condition, value)

    def _holds(self, condition: Condition, value: Any) -> bool:
        """A test of one fact that is known."""
        match condition:
            case Equals(_, wanted):
                return bool(value == wanted)
            case OneOf(_, values, listed):
                return any(f"{LIST_EDGE}{v}{LIST_EDGE}" in value for v in values) if listed else value in values
            case DomainIn(_, values):
                return any(value == v or value.endswith(f".{v}") for v in values)
            case HasWords(_, phrases):
                said = words(value)
                return any(phrase in said for phrase in phrases)
            case Contains(_, parts):
                return any(part in value for part in parts)
            case StartsWith(_, parts):
                return bool(value.startswith(parts))
            case AtLeast(_, bound):
                return bool(value >= bound)
            case Below(_, bound):
                return bool(value < bound)
            case Validity(name, wanted):
                return self._facts.get(valid_column(name)) is wanted
            case OwnerState(_, state):
                return self._owner_is(value, state)
            case DateFrom(_, bound):
                return _day(value) >= bound
            case DateBefore(_, bound):
                return _day(value) < bound
            case AgeBelow(_, span):
                return _day(value) <= self._day and not _is_old(_day(value), self._day, span)
            case AgeFrom(_, span):
                return _is_old(_day(value), self._day, span)
            case _:
                raise ValueError(f"facts do not tell {say(condition)}")


def judged_by(condition: Condition) -> Iterator[str]:
    """The names of what a `FactJudge` looks at; where it says whether a value is valid, that is one of them."""
    for test in leaves(condition):
        match test:
            case All() | AnyOf() | Not() | ScoreAtLeast() | ScoreBelow() | LabelIn() | EventExists():
                pass
            case Validity(name):
                yield from (name, valid_column(name))
            case _:
                yield test.field


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])


def _is_old(day: date, today: date, span: Span) -> bool:
    """Whether the age has reached the span; a day to come is younger than any."""
    if span.unit is Unit.DAY:
        return (today - day).days >= span.n
    return months_between(day, today) >= span.n
