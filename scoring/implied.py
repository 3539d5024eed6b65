"""What can be said of two conditions for certain: that one follows from the other, or that something meets both.

A no is never a proof: it only says that this page does not know better.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product
from types import MappingProxyType

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
    EventMatch,
    HasWords,
    Known,
    LabelIn,
    Missing,
    Not,
    OneOf,
    OwnerState,
    Score,
    ScoreAtLeast,
    ScoreBelow,
    Span,
    StartsWith,
    leaves,
)
from scoring.conditions import Any as AnyOf
from scoring.finding import days, fewest_days
from scoring.tables import MICRO, words

__all__ = ["apart", "implies", "meet", "subject"]

MOST_WITNESSES = 200
"""How many made-up events are tried before two matchers count as not known to meet."""

_KNOWING = (OneOf, DomainIn, HasWords, Contains, StartsWith, AtLeast, DateFrom, DateBefore, AgeBelow, AgeFrom)
"""Tests that only a known fact can pass. Equality and ``below`` are not here: some missing facts are false or 0."""

_OWNER_STATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"active": ("active", "available", "working"), "available": ("available",), "working": ("working",)}
)
"""State -> the states that include it."""


def subject(condition: Condition) -> str | None:
    """The one fact, attribute or score a test is about; None for anything that joins several."""
    match condition:
        case All() | AnyOf() | EventExists():
            return None
        case Not(of):
            return subject(of)
        case ScoreAtLeast(of) | ScoreBelow(of) | LabelIn(of):
            return f"score {of}"
        case _:
            return condition.field


def apart(condition: Condition) -> Iterator[Condition]:
    """The tests of which any suffices, down to a single value each."""
    match condition:
        case AnyOf(of):
            for one in of:
                yield from apart(one)
        case OneOf(name, values, listed):
            yield from (OneOf(name, (value,), listed) for value in values)
        case DomainIn(name, values):
            yield from (DomainIn(name, (value,)) for value in values)
        case HasWords(name, phrases):
            yield from (HasWords(name, (phrase,)) for phrase in phrases)
        case Contains(name, parts):
            yield from (Contains(name, (part,)) for part in parts)
        case StartsWith(name, parts):
            yield from (StartsWith(name, (part,)) for part in parts)
        case _:
            yield condition


# -- one follows from the other ----------------------------------------------------------------------------------


def implies(a: Condition, b: Condition) -> bool:
    """It is certain that ``b`` is true wherever ``a`` is."""
    if a == b:
        return True
    if isinstance(a, AnyOf):
        return all(implies(one, b) for one in a.of)
    if isinstance(b, All):
        return all(implies(a, one) for one in b.of)
    if isinstance(b, AnyOf):
        return any(implies(a, one) for one in b.of) or (isinstance(a, All) and any(implies(one, b) for one in a.of))
    if isinstance(a, All):
        return any(implies(one, b) for one in a.of)
    if isinstance(b, Not):
        return implies(b.of, a.of) if isinstance(a, Not) else _excludes(a, b.of)
    if isinstance(a, EventExists) and isinstance(b, EventExists):
        return _event_implies(a, b)
    if isinstance(a, LabelIn) and isinstance(b, LabelIn):
        return _labels_imply(a, b)
    return subject(a) == subject(b) and subject(a) is not None and _test_implies(a, b)


def _test_implies(a: Condition, b: Condition) -> bool:
    """Two tests of one subject."""
    match a, b:
        case _, Known():
            return isinstance(a, _KNOWING)
        case OneOf(_, these, listed), OneOf(_, those, also_listed):
            return listed == also_listed and set(these) <= set(those)
        case OneOf(_, these, False), StartsWith() | Contains() | HasWords():
            return all(_text_passes(text, b) for text in these)
        case DomainIn(_, these), DomainIn(_, those):
            return all(any(v == t or v.endswith(f".{t}") for t in those) for v in these)
        case HasWords(_, these), HasWords(_, those):
            return all(any(t in p for t in those) for p in these)
        case Contains(_, these), Contains(_, those):
            return all(any(t in p for t in those) for p in these)
        case StartsWith(_, these), StartsWith(_, those):
            return all(p.startswith(those) for p in these)
        case StartsWith(_, these), Contains(_, those):
            return all(any(t in p for t in those) for p in these)
        case OwnerState(_, this), OwnerState(_, that):
            return this in _OWNER_STATES.get(that, ())
        case ScoreAtLeast(_, this), ScoreAtLeast(_, that):
            return this >= that
        case ScoreBelow(_, this), ScoreBelow(_, that):
            return this <= that
        case _:
            return _bound_implies(a, b)


def _bound_implies(a: Condition, b: Condition) -> bool:
    """Numbers, dates and ages."""
    match a, b:
        case ((AtLeast(_, this) | Equals(_, this)), AtLeast(_, that)):
            return not isinstance(this, bool) and this >= that
        case Below(_, this), Below(_, that):
            return this <= that
        case Equals(_, this), Below(_, that):
            return not isinstance(this, bool) and this < that
        case DateFrom(_, since), DateFrom(_, from_day):
            return since >= from_day
        case DateBefore(_, until), DateBefore(_, before_day):
            return until <= before_day
        case AgeBelow(_, span), AgeBelow(_, longer):
            return _fits(span, longer)
        case AgeFrom(_, longer), AgeFrom(_, span):
            return _fits(span, longer)
        case _:
            return False


def _fits(span: Span, longer: Span) -> bool:
    return span.n <= longer.n if span.unit is longer.unit else days(span) <= fewest_days(longer)


def _text_passes(text: str, test: StartsWith | Contains | HasWords) -> bool:
    match test:
        case StartsWith(_, parts):
            return text.startswith(parts)
        case Contains(_, parts):
            return any(part in text for part in parts)
        case HasWords(_, phrases):
            return any(phrase in words(text) for phrase in phrases)


def _labels_imply(a: LabelIn, b: LabelIn) -> bool:
    """A grade is a fit label and one digit of engagement."""
    of: Iterable[str] = a.labels
    if a.of is Score.GRADE and b.of is Score.FIT:
        of = [label[:-1] for label in a.labels]
    elif a.of is Score.GRADE and b.of is Score.ENGAGEMENT:
        of = [label[-1:] for label in a.labels]
    elif a.of is not b.of:
        return False
    return set(of) <= set(b.labels)


def _event_implies(a: EventExists, b: EventExists) -> bool:
    if a.at_least < b.at_least or not _match_implies(a.match, b.match):
        return False
    return b.window is None or (a.window is not None and _fits(a.window, b.window))


def _match_implies(a: EventMatch, b: EventMatch) -> bool:
    """Every event of ``a`` matches ``b``."""
    return all(
        any(kind in other.kinds and implies(one.where, other.where) for other in _parts(b))
        for one in _parts(a)
        for kind in one.kinds
    )


def _parts(match: EventMatch) -> Iterator[EventMatch]:
    yield match
    for one in match.any_of:
        yield from _parts(one)


def _excludes(a: Condition, b: Condition) -> bool:
    """It is certain that no value passes both tests."""
    if subject(a) != subject(b):
        return False
    match a, b:
        case OneOf(_, these, False), OneOf(_, those, False):
            return not set(these) & set(those)
        case OneOf(_, these, False), StartsWith() | Contains() | HasWords():
            return not any(_text_passes(text, b) for text in these)
        case (AtLeast(_, low), Below(_, high)) | (Below(_, high), AtLeast(_, low)):
            return low >= high
        case DomainIn(_, these), DomainIn(_, those):
            return not any(v == t or v.endswith(f".{t}") or t.endswith(f".{v}") for v in these for t in those)
        case _:
            return False


# -- something meets both ----------------------------------------------------------------------------------------


def meet(a: EventMatch, b: EventMatch) -> bool:
    """It is certain that some event matches both: one is made up that does."""
    return any(
        set(one.kinds) & set(other.kinds) and _witness(All((one.where, other.where)))
        for one in _parts(a)
        for other in _parts(b)
    )


_Value = str | int | None


def _witness(where: Condition) -> bool:
    """Some choice of attributes passes ``where``, out of the values that it names itself."""
    values: dict[str, dict[_Value, None]] = {}
    for test in leaves(where):
        for name, value in _suggested(test):
            values.setdefault(name, {None: None})[value] = None
    names = list(values)
    made = product(*(reversed(values[name]) for name in names))
    return any(_passes(where, dict(zip(names, chosen, strict=True))) for chosen in islice(made, MOST_WITNESSES))


def _suggested(test: Condition) -> Iterator[tuple[str, _Value]]:
    """Values that pass the test, and one that does not: for a ``not`` around it."""
    match test:
        case OneOf(name, texts) | StartsWith(name, texts) | Contains(name, texts):
            yield from ((name, text) for text in ("\x00", *texts))
        case HasWords(name, phrases):
            yield from ((name, text.strip()) for text in ("\x00", *phrases))
        case AtLeast(name, bound) | Below(name, bound) | Equals(name, bound):
            yield from ((name, number) for number in (bound - MICRO, bound))
        case Known(name) | Missing(name):
            yield name, "\x00"
        case _:
            return


def _passes(condition: Condition, event: Mapping[str, _Value]) -> bool:
    match condition:
        case All(of):
            return all(_passes(one, event) for one in of)
        case AnyOf(of):
            return any(_passes(one, event) for one in of)
        case Not(of):
            return not _passes(of, event)
        case Missing(name):
            return event[name] is None
        case Known(name):
            return event[name] is not None
        case OneOf(name, texts):
            return event[name] in texts
        case StartsWith(name) | Contains(name) | HasWords(name):
            text = event[name]
            return isinstance(text, str) and _text_passes(text, condition)
        case AtLeast(name, bound) | Below(name, bound) | Equals(name, bound):
            number = event[name]
            return isinstance(number, int) and _number_passes(number, condition, bound)
        case _:
            return False


def _number_passes(number: int, test: AtLeast | Below | Equals, bound: int) -> bool:
    match test:
        case AtLeast():
            return number >= bound
        case Below():
            return number < bound
        case Equals():
            return number == bound
