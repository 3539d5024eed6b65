"""The closed set of nodes a policy is made of.

A tree of these is read by the compiler (to SQL), by the explainer (to words) and, in tests, by a naive evaluator.
``field`` is a fact (``person.title``) or, inside an event match, an attribute (``path``). Values are already in stored
form (`scoring.tables`): texts folded, numbers as micro-units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

__all__ = [
    "LADDER",
    "AbsentRule",
    "AgeBelow",
    "AgeFrom",
    "All",
    "Any",
    "AtLeast",
    "BeforeFirst",
    "Below",
    "Burst",
    "Combine",
    "Condition",
    "Contains",
    "Count",
    "CountMode",
    "DateBefore",
    "DateFrom",
    "Dimension",
    "DomainIn",
    "Equals",
    "EventExists",
    "EventMatch",
    "EventRule",
    "Fade",
    "FadeMode",
    "FitRule",
    "Group",
    "HasWords",
    "Ignore",
    "Known",
    "LabelIn",
    "Missing",
    "Not",
    "OneOf",
    "OwnerState",
    "Score",
    "ScoreAtLeast",
    "ScoreBelow",
    "SoonAfter",
    "Span",
    "StartsWith",
    "Table",
    "TableLine",
    "Unit",
    "Validity",
    "alternatives",
    "leaves",
]


class Unit(StrEnum):
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Span:
    """A whole number of days (weeks are 7 days) or calendar months."""

    n: int
    unit: Unit = Unit.DAY


class Score(StrEnum):
    FIT = "fit"
    ENGAGEMENT = "engagement"
    TOTAL = "total"
    GRADE = "grade"


# -- conditions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class All:
    """Every one is true. Empty: true."""

    of: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Any:
    """At least one is true. Empty: false."""

    of: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    of: Condition


@dataclass(frozen=True, slots=True)
class Known:
    field: str


@dataclass(frozen=True, slots=True)
class Missing:
    field: str


@dataclass(frozen=True, slots=True)
class Equals:
    """A number (micro-units) or a boolean."""

    field: str
    value: int | bool


def _quick_hash(field: str, values: tuple[str, ...]) -> int:
    """Of equal conditions equal. A list may have a hundred thousand values, and a thousand conditions may share it."""
    return hash((field, len(values), values[:3]))


@dataclass(frozen=True, slots=True)
class OneOf:
    """A folded text, country, rank or owner is one of these. ``listed``: a list fact has one of these as an item."""

    field: str
    values: tuple[str, ...]
    listed: bool = False

    def __hash__(self) -> int:
        return _quick_hash(self.field, self.values)


@dataclass(frozen=True, slots=True)
class DomainIn:
    """The domain is one of these or below one of these (``eu.rival.io`` is below ``rival.io``)."""

    field: str
    values: tuple[str, ...]

    def __hash__(self) -> int:
        return _quick_hash(self.field, self.values)


@dataclass(frozen=True, slots=True)
class HasWords:
    """Each phrase is words joined and surrounded by one space: ``' vice president '``; any phrase suffices."""

    field: str
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contains:
    field: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StartsWith:
    field: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A number (micro-units) is at least ``value``."""

    field: str
    value: int


@dataclass(frozen=True, slots=True)
class Below:
    field: str
    value: int


@dataclass(frozen=True, slots=True)
class DateFrom:
    field: str
    date: date


@dataclass(frozen=True, slots=True)
class DateBefore:
    field: str
    date: date


@dataclass(frozen=True, slots=True)
class AgeBelow:
    """0 <= age < span (phrase ``within``)."""

    field: str
    span: Span


@dataclass(frozen=True, slots=True)
class AgeFrom:
    """age >= span (phrase ``older than``)."""

    field: str
    span: Span


@dataclass(frozen=True, slots=True)
class Validity:
    """An e-mail address or phone number that is known is valid (True) or not (False)."""

    field: str
    value: bool


@dataclass(frozen=True, slots=True)
class OwnerState:
    """``active``, ``available`` or ``working``; only in routing, never compiled to SQL."""

    field: str
    state: str


@dataclass(frozen=True, slots=True)
class ScoreAtLeast:
    """Whole points of fit, engagement or total; only in gates."""

    of: Score
    value: int


@dataclass(frozen=True, slots=True)
class ScoreBelow:
    of: Score
    value: int


@dataclass(frozen=True, slots=True)
class LabelIn:
    """The grade, or the label of one dimension, is one of these."""

    of: Score
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventMatch:
    """Which events a rule is about. ``kinds`` are real kinds: ``any`` and ``hand_raise`` are already spelled out.

    ``any_of`` are alternatives beside ``kinds``/``where`` (``hand_raise`` has one matcher a line); an event matches
    when it matches this node or one of those.
    """

    kinds: tuple[str, ...]
    where: Condition = All()
    any_of: tuple[EventMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class EventExists:
    """At least ``at_least`` occurrences of live events that match, with age in the window (None: ``not_before``)."""

    match: EventMatch
    window: Span | None = None
    at_least: int = 1


Condition = (
    All
    | Any
    | Not
    | Known
    | Missing
    | Equals
    | OneOf
    | DomainIn
    | HasWords
    | Contains
    | StartsWith
    | AtLeast
    | Below
    | DateFrom
    | DateBefore
    | AgeBelow
    | AgeFrom
    | Validity
    | OwnerState
    | ScoreAtLeast
    | ScoreBelow
    | LabelIn
    | EventExists
)


def alternatives(condition: Condition) -> tuple[Condition, ...]:
    """The conditions of which one suffices: a list of conditions has several, everything else is one."""
    return condition.of if isinstance(condition, Any) else (condition,)


def leaves(condition: Condition) -> Iterator[Condition]:
    """What a condition is put together of by ``all``, ``any`` and ``not``."""
    match condition:
        case All(of) | Any(of):
            for one in of:
                yield from leaves(one)
        case Not(of):
            yield from leaves(of)
        case _:
            yield condition


# -- scoring -----------------------------------------------------------------------------------------------------


class FadeMode(StrEnum):
    NONE = "none"
    HALF_LIFE = "half-life"
    LINEAR = "lose"
    COMPOUND = "lose compounding"
    EXPIRE = "expire after"


@dataclass(frozen=True, slots=True)
class Fade:
    """How points lose worth with age. ``percent`` in hundredths of a percent for the two ``lose`` modes."""

    mode: FadeMode = FadeMode.NONE
    span: Span = Span(1)
    percent: int = 0


class CountMode(StrEnum):
    EVERY = "every"
    ONCE = "once"
    ONCE_PER_DAY = "once per day"
    ONCE_PER_WEEK = "once per week"
    ONCE_PER_MONTH = "once per month"
    ONCE_PER = "once per attribute"
    AT_LEAST = "at least"
    DISTINCT = "distinct"


@dataclass(frozen=True, slots=True)
class Count:
    """Which occurrences count. ``attribute`` for ONCE_PER and DISTINCT; ``n`` and ``window`` for the last two."""

    mode: CountMode = CountMode.EVERY
    attribute: str | None = None
    n: int = 1
    window: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    test: Condition
    micro: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The first line whose test is true gives its points; a missing fact gives ``unknown``, the rest ``otherwise``."""

    field: str
    lines: tuple[TableLine, ...]
    unknown: int = 0
    otherwise: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRule:
    name: str
    reason: str
    test: Condition
    micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    """Points for events. ``micro``: the points of one unfaded occurrence; ``max``/``min`` limit the rule, in micro."""

    name: str
    reason: str
    match: EventMatch
    micro: int
    when: Condition = All()
    window: Span | None = None
    count: Count = Count()
    fade: Fade = Fade()
    only_if: Count | None = None
    max_per_day: int | None = None
    max: int | None = None
    min: int | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsentRule:
    """Points when the newest matching event, or the person's creation, is at least ``span`` old."""

    name: str
    reason: str
    match: EventMatch
    span: Span
    micro: int
    when: Condition = All()
    every: bool = False
    max: int | None = None
    min: int | None = None


@dataclass(frozen=True, slots=True)
class SoonAfter:
    """``within: 10 seconds of KIND``: 0 <= time since an event of ``kind`` < ``microseconds``.

    Both carry the same ``email``, or one of them has none.
    """

    kind: str
    microseconds: int


@dataclass(frozen=True, slots=True)
class BeforeFirst:
    """``before: KIND``: some event of ``kind`` carries the same ``email``, and the first of those is later."""

    kind: str


@dataclass(frozen=True, slots=True)
class Burst:
    """``at_least: 3 links in 2 seconds``: part of a span with so many different values, or events, of the line.

    ``attribute`` None counts events (``times``). A missing value is one value.
    """

    n: int
    attribute: str | None
    microseconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """Events that score nothing: those that match and pass ``test``; without a test, all that match.

    Events with a date only, or of several occurrences, never pass a test (policy-language 6.5).
    """

    name: str
    match: EventMatch
    when: Condition = All()
    test: SoonAfter | BeforeFirst | Burst | None = None


class Combine(StrEnum):
    SUM = "sum"
    BEST = "best"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """``weight`` in hundredths of a percent, None without weights. Either one `Table`, or rules."""

    name: str
    items: tuple[Table | FitRule | EventRule | AbsentRule, ...]
    combine: Combine = Combine.SUM
    max: int | None = None
    min: int | None = None
    weight: int | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """Fit or engagement. ``max`` and ``floor`` in micro-points, None for none; ``not_before`` bounds events.

    ignore  events that count for nothing in this dimension; an ignored event can still make another one ignored
    thirds  the fit is a step of `LADDER` (F is 0, A+ is 12): it starts at ``start`` (in micro-steps), every criterion
            is a group with one table that gives its weight, takes it away, or gives 0; ``max``, ``floor`` are the ends
    """

    groups: tuple[Group, ...] = ()
    max: int | None = 100_000_000
    floor: int | None = 0
    not_before: Span = Span(730)
    ignore: tuple[Ignore, ...] = ()
    thirds: bool = False
    start: int = 0


LADDER = ("F", "D-", "D", "D+", "C-", "C", "C+", "B-", "B", "B+", "A-", "A", "A+")
"""The steps of a fit in thirds of a letter, lowest first."""
