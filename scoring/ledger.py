"""The ledger: one person's score down to the single event, and what every cap took away.

Everything in it comes from the engine's own queries; nothing is scored a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from scoring.cards import DimensionLayout, Layout, Section
from scoring.conditions import LADDER, AbsentRule, Combine, EventRule, FitRule, Group, Score, Table
from scoring.policy import Policy

__all__ = ["Ledger", "LedgerDimension", "LedgerEvent", "LedgerGroup", "LedgerIgnored", "LedgerRule", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """An event that counted. ``factor`` = what one occurrence is worth of its points, as an exact fraction.

    ``micro`` = ``occurrences`` times the worth of one, before any cap. ``age`` in days.
    """

    event_id: str
    day: str
    age: int
    factor: str
    occurrences: int
    micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRule:
    """A rule or table. ``counted`` = the sum of its events, or its points; ``micro`` = ``counted`` - all of ``lost``.

    ``occurrences`` are those that ``cap: newest`` left; ``points`` is one unfaded occurrence, or what a table gave.

    ``lost`` by cap: ``max_per_day``, ``cap newest``, ``max``, ``min`` (negative: given). ``fired``: it gave something,
    be it 0.
    """

    name: str
    reason: str
    fired: bool
    points: int
    occurrences: int
    counted: int
    lost: Mapping[str, int]
    micro: int
    events: tuple[LedgerEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerGroup:
    """``micro`` = the sum of the rules - all of ``lost`` (``best``, ``cap newest``, ``max``, ``min``, ``weight``)."""

    name: str
    rules: tuple[LedgerRule, ...]
    lost: Mapping[str, int]
    micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerIgnored:
    """An event that counted for nothing: ``name`` is the first line of ``ignore`` that says so. ``age`` in days."""

    event_id: str
    kind: str
    day: str
    age: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDimension:
    """``micro`` = ``start`` + the sum of the groups - all of ``lost`` (``max``, ``floor``); ``points``: rounded.

    In thirds all of them are thirds of a letter from F up, and ``step`` is what they come to: ``B+``. Else it is None.
    """

    score: Score
    start: int
    step: str | None
    groups: tuple[LedgerGroup, ...]
    lost: Mapping[str, int]
    micro: int
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All that made a person's scores. Points in micro, days as ISO text: it goes into JSON as it is."""

    person_id: str
    version: str
    day: str
    model: str
    suppressed: str | None
    grade: str
    fit: LedgerDimension
    engagement: LedgerDimension
    total_micro: int
    total: int
    lines: Mapping[str, bool]
    ignored: tuple[LedgerIgnored, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and integers."""
        made: dict[str, Any] = _plain(self)
        return made


def build(
    policy: Policy,
    day: date,
    layout: Layout,
    sections: Sequence[Section],
    row: Mapping[str, Any],
    picks: Mapping[int, Sequence[Mapping[str, Any]]],
    ignored: Sequence[Mapping[str, Any]] = (),
) -> Ledger:
    """A ledger from a row of `scoring.compile.Account.detail`, and the person's rows of ``picks`` (by item) and of
    ``ignored``."""
    model = layout.models.index(row["model"])
    lines = layout.lines[model]
    rows = _Rows(row=row, picks=picks, day=day)
    parts: dict[Score, LedgerDimension] = {}
    left_out: tuple[LedgerIgnored, ...] = ()
    item = group = 0
    for number, (section, place) in enumerate(zip(sections, layout.dimensions, strict=True)):
        if model in section.models:
            parts[section.score] = rows.dimension(number, section, place, group, item)
            names = [line.name for line in section.dimension.ignore]
            left_out += tuple(_ignored(one, names, day) for one in ignored if one["section"] == number)
        group += len(place.groups)
        item += sum(len(g.items) for g in place.groups)
    return Ledger(
        person_id=row["person_id"],
        version=policy.version,
        day=day.isoformat(),
        model=row["model"],
        suppressed=row["suppressed"],
        grade=row["grade"],
        fit=parts[Score.FIT],
        engagement=parts[Score.ENGAGEMENT],
        total_micro=row["total_micro"],
        total=row["total"],
        lines={name: bool(row["lines"] >> bit & 1) for bit, name in enumerate(lines)},
        ignored=left_out,
    )


def _ignored(row: Mapping[str, Any], names: Sequence[str], day: date) -> LedgerIgnored:
    return LedgerIgnored(
        event_id=row["event_id"],
        kind=row["kind"],
        day=row["day"].isoformat(),
        age=(day - row["day"]).days,
        name=names[row["line"]],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    row: Mapping[str, Any]
    picks: Mapping[int, Sequence[Mapping[str, Any]]]
    day: date

    def _value(self, step: str, number: int) -> int:
        return self.row.get(f"{step}#{number}") or 0

    def dimension(
        self, number: int, section: Section, place: DimensionLayout, group: int, item: int
    ) -> LedgerDimension:
        groups = []
        for index, one in enumerate(section.dimension.groups, group):
            groups.append(self._group(index, one, item))
            item += len(one.items)
        summed, most, exact = (self._value(step, number) for step in ("sum", "most", "d"))
        points = self.row[section.score]
        return LedgerDimension(
            score=section.score,
            start=place.start,
            step=LADDER[points] if place.thirds else None,
            groups=tuple(groups),
            lost=_losses({"max": summed - most, "floor": most - exact}),
            micro=exact,
            points=points,
        )

    def _group(self, number: int, group: Group, first: int) -> LedgerGroup:
        rules = tuple(self._rule(index, group, item) for index, item in enumerate(group.items, first))
        given = sum(rule.micro for rule in rules)
        joined, capped, weighted = (self._value(step, number) for step in ("joined", "capped", "g"))
        joining = "best" if group.combine is Combine.BEST else "cap newest"
        capping = "max" if capped < joined else "min"
        lost = {joining: given - joined, capping: joined - capped, "weight": capped - weighted}
        return LedgerGroup(name=group.name, rules=rules, lost=_losses(lost), micro=weighted)

    def _rule(self, number: int, group: Group, item: Table | FitRule | EventRule | AbsentRule) -> LedgerRule:
        raw, kept, value = (self._value(step, number) for step in ("raw", "kept", "v"))
        fired = self.row[f"v#{number}"] is not None
        events: tuple[LedgerEvent, ...] = ()
        points = value
        lost: dict[str, int] = {}
        if not isinstance(item, Table):
            points = item.micro
        if isinstance(item, EventRule):
            events = tuple(self._event(pick, item.micro) for pick in self.picks.get(number, ()))
            lost["max_per_day" if item.max_per_day is not None else "cap newest"] = raw - kept
        if isinstance(item, EventRule | AbsentRule):
            lost["max" if value < kept else "min"] = kept - value
        return LedgerRule(
            name=group.name if isinstance(item, Table) else item.name,
            reason=group.name if isinstance(item, Table) else item.reason,
            fired=fired,
            points=points,
            occurrences=self._value("n", number),
            counted=raw,
            lost=_losses(lost),
            micro=value,
            events=events,
        )

    def _event(self, pick: Mapping[str, Any], micro: int) -> LedgerEvent:
        return LedgerEvent(
            event_id=pick["event_id"],
            day=pick["day"].isoformat(),
            age=(self.day - pick["day"]).days,
            factor=str(Fraction(pick["worth"], micro)) if micro else "0",
            occurrences=pick["occurrences"],
            micro=pick["occurrences"] * pick["worth"],
        )


def _losses(lost: Mapping[str, int]) -> dict[str, int]:
    return {name: micro for name, micro in lost.items() if micro}


def _plain(value: Any) -> Any:
    """What `dataclasses.asdict` makes, several times as fast: nothing in a ledger is changed, so nothing is copied."""
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
