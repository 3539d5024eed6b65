"""The greatest scores a policy can give, and what asks for more: W03, W09, and W11.

Every bound here errs to the high side: whoever is told that nobody can get there, nobody can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

from scoring.conditions import (
    LADDER,
    AbsentRule,
    All,
    Combine,
    Condition,
    CountMode,
    Dimension,
    EventExists,
    EventMatch,
    EventRule,
    Fade,
    FadeMode,
    FitRule,
    Group,
    LabelIn,
    OneOf,
    Score,
    ScoreAtLeast,
    ScoreBelow,
    Span,
    Table,
    alternatives,
)
from scoring.conditions import Any as AnyOf
from scoring.document import Kind, Node, Problem
from scoring.facts import FACTS
from scoring.fades import micro_by_age
from scoring.finding import days, key_places, points, warning
from scoring.lint_tables import reachable_lines
from scoring.phrases import kinds_of, say_span
from scoring.policy import Bands, GateLine, Model, Policy
from scoring.tables import MICRO

__all__ = ["ONE_OCCURRENCE", "WHOLE", "greatest", "lint_reach", "most_of_group"]

WHOLE = 10_000
"""Hundredths of a percent in all of it."""

ONE_OCCURRENCE = (CountMode.ONCE, CountMode.AT_LEAST, CountMode.DISTINCT)

_BETWEEN: Mapping[CountMode, int] = {
    CountMode.ONCE_PER_DAY: 1,
    CountMode.ONCE_PER_WEEK: 7,
    CountMode.ONCE_PER_MONTH: 28,
}
"""The fewest days from one counted occurrence to the one before it, the newest aside, which may be a day younger."""


def lint_reach(policy: Policy, root: Node) -> Iterator[Problem]:
    """What nobody can reach, in every model, and bounds that undo each other."""
    views = [_View.of(model, policy, root) for model in policy.models]
    for view in views:
        yield from view.unreachable_labels()
        yield from view.unreachable_lines()
        yield from view.too_old()
    yield from _no_hysteresis(policy, root)
    yield from _fresh_points(policy, root, views)


# -- the greatest score ------------------------------------------------------------------------------------------


def _most_of_table(table: Table) -> int:
    fact = FACTS.get(table.field)
    never_missing = fact is not None and (fact.missing_false or fact.missing_zero)
    possible = [table.otherwise, *(line.micro for line in reachable_lines(table))]
    return max(possible if never_missing else [*possible, table.unknown])


_SOME_DAY = date(2026, 1, 1)
"""Fading by days does not depend on the day."""


@lru_cache(maxsize=1024)
def _faded(fade: Fade, every: int, horizon: int) -> int:
    """The worth of one occurrence of a point at most ``every`` so many days, all in all, in millionths of a point.

    The newest is dated today, the next yesterday at the earliest: weeks and months end on some day.
    """
    slow = replace(fade, span=Span(days(fade.span)))
    worth = micro_by_age(MICRO, slow, _SOME_DAY, horizon)
    return sum(worth) if every == 1 else sum((worth[0], *worth[1::every]))


def _most_of_rule(rule: EventRule, horizon: int) -> int | None:
    """The greatest micro-points of a rule; None without limit. ``horizon``: the days that count at all."""
    if rule.micro <= 0:
        return max(0, rule.min or 0)
    if rule.window is not None:
        horizon = min(horizon, days(rule.window))
    once = rule.micro if rule.max_per_day is None else min(rule.micro, rule.max_per_day)
    most: int | None
    if rule.count.mode in ONE_OCCURRENCE:
        most = once
    elif rule.count.mode in _BETWEEN:
        most = _over_time(once, rule.fade, _BETWEEN[rule.count.mode], horizon)
    else:
        each = _distinct(rule)
        limits = [None if each is None else once * each]
        if rule.max_per_day is not None:
            limits.append(_over_time(rule.max_per_day, rule.fade, 1, horizon))
        most = min((limit for limit in limits if limit is not None), default=None)
    if rule.max is not None:
        capped = rule.max // rule.micro * rule.micro if rule.newest_first else rule.max
        most = capped if most is None else min(most, capped)
    return most if most is None or rule.min is None else max(most, rule.min)


def _over_time(micro: int, fade: Fade, every: int, horizon: int) -> int:
    # what rounding each occurrence can add is below half a micro-point
    return micro * _faded(fade, every, horizon) // MICRO + horizon


def _distinct(rule: EventRule) -> int | None:
    """How many values of its attribute ``once per`` can meet; None without limit."""
    if rule.count.mode is not CountMode.ONCE_PER or rule.match.any_of:
        return None
    tests = rule.match.where.of if isinstance(rule.match.where, All) else (rule.match.where,)
    named = (len(t.values) for t in tests if isinstance(t, OneOf) and t.field == rule.count.attribute)
    return min(named, default=None)


def _most_of_item(item: Table | FitRule | EventRule | AbsentRule, horizon: int) -> int | None:
    match item:
        case Table():
            return _most_of_table(item)
        case FitRule(micro=micro):
            return max(0, micro)
        case AbsentRule(min=low):
            return max(0, low or 0)
        case EventRule():
            return _most_of_rule(item, horizon)


def most_of_group(group: Group, horizon: Span, *, capped: bool = True) -> int | None:
    """The greatest micro-points of a group before its weight, None without limit.

    ``capped`` False leaves the group's own ``max`` out; ``horizon`` is the dimension's ``not_before``.
    """
    parts = [_most_of_item(item, days(horizon)) for item in group.items]
    known = [part for part in parts if part is not None]
    together = max(known, default=0) if group.combine is Combine.BEST else sum(known)
    most = together if len(known) == len(parts) else None
    if most is not None and group.min is not None:
        most = max(most, group.min)
    if capped and group.max is not None:
        most = group.max if most is None else min(most, group.max)
    return most


def greatest(dimension: Dimension) -> int | None:
    """The greatest micro-points (thirds: micro-steps) of a dimension; None without limit."""
    total = dimension.start
    for group in dimension.groups:
        most = most_of_group(group, dimension.not_before)
        if most is None:
            return dimension.max
        total += most if group.weight is None else (most * group.weight + WHOLE // 2) // WHOLE
    if dimension.max is not None:
        total = min(total, dimension.max)
    return total if dimension.floor is None else max(total, dimension.floor)


def _whole(micro: int) -> int:
    """As scores are rounded before they are compared: half up."""
    return (micro + MICRO // 2) // MICRO


# -- one model ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A model, its greatest scores, and where its sections stand.

    own    the model's mapping; for the default the whole file
    name   where to report what it takes over from the top level and cannot reach; None for the default
    lines  the ``become_when`` it uses, its own or that of the top level
    """

    model: Model
    own: Node
    name: Node | None
    lines: Node | None
    most: Mapping[Score, int | None]

    @classmethod
    def of(cls, model: Model, policy: Policy, root: Node) -> _View:
        default = policy.models[-1]
        top = root.find("mql", "become_when")
        fit, engagement = greatest(model.fit), greatest(model.engagement)
        most = {Score.FIT: fit, Score.ENGAGEMENT: engagement, Score.TOTAL: _most_total(model, fit, engagement)}
        if model is default:
            return cls(model=model, own=root, name=None, lines=top, most=most)
        models = root.get("models")
        own = models.get(model.name) if models is not None else None
        assert models is not None
        assert own is not None
        return cls(
            model=model, own=own, name=key_places(models)[model.name], lines=own.get("become_when") or top, most=most
        )

    def _beyond(self, of: Score, bound: int) -> int | None:
        """The greatest score when it is below ``bound``; None when the bound can be reached."""
        most = self.most.get(of)
        return most if most is not None and _whole(most) < bound else None

    def _ways(self) -> Iterator[tuple[GateLine, Condition, Node]]:
        """Every way through the gate, and where it stands."""
        for line in self.model.become_when:
            place = self.lines.get(line.name) if self.lines is not None else None
            for way, at in _ways(line.test, place):
                yield line, way, at

    # -- labels and lines

    def _bands(self) -> Iterator[tuple[Score, Bands, Node | None]]:
        grade = self.model.grade
        for of, bands, keys in (
            (Score.FIT, None if self.model.fit.thirds else grade.fit, ("fit",)),
            (Score.ENGAGEMENT, grade.engagement, ("engagement",)),
            (Score.TOTAL, grade.total, ("total", "bands")),
        ):
            if bands is not None:
                yield of, bands, self.own.find("grade", *keys)

    def _judged_anew(self, of: Score) -> bool:
        """Whether this model gives this score by a section of its own."""
        sections = ("fit", "engagement") if of in (Score.TOTAL, Score.GRADE) else (str(of),)
        return self.name is not None and any(self.own.get(section) is not None for section in sections)

    def unreachable_labels(self) -> Iterator[Problem]:
        for of, bands, place in self._bands():
            if place is None and not self._judged_anew(of):
                continue
            for label, bound in zip(bands.labels, bands.bounds, strict=True):
                most = None if bound is None else self._beyond(of, bound)
                if most is None:
                    continue
                reach = f"it begins at {bound}, the greatest possible {of} is {points(most)}"
                if place is not None:
                    at = key_places(place)[label]
                    yield warning("W03", place, f"nobody can get '{label}': {reach}; lower the bound", at=at)
                elif self.name is not None:
                    said = f"nobody of this model can get {of} '{label}': {reach}; give the model a grade of its own"
                    yield warning("W03", self.name, said)

    def unreachable_lines(self) -> Iterator[Problem]:
        inherited = self.name is not None and self.own.get("become_when") is None
        for line, way, place in self._ways():
            for test in _flat(way):
                if inherited and not self._judged_anew(_score_of(test)):
                    continue
                why = self._never(test, place)
                if why is not None and inherited and self.name is not None:
                    said = f"nobody of this model can pass '{line.name}': {why}; give it a become_when of its own"
                    yield warning("W03", self.name, said)
                elif why is not None:
                    yield warning("W03", place, f"nobody can pass this: {why}; ask for less")

    def _never(self, test: Condition, place: Node) -> str | None:
        match test:
            case ScoreAtLeast(of, value):
                most = self._beyond(of, value)
                return None if most is None else f"the greatest possible {of} is {points(most)}"
            case LabelIn(Score.FIT | Score.GRADE as of) if self.model.fit.thirds:
                return self._never_in_thirds(of, place)
            case _:
                return None

    def _never_in_thirds(self, of: Score, place: Node) -> str | None:
        """Each label as it is written: a bare letter means all its steps."""
        most, node = self.most[Score.FIT], place.get(of)
        assert most is not None
        best = _whole(most)
        if node is None or best >= len(LADDER) - 1:
            return None
        for item in node.items if node.kind is Kind.LIST else (node,):
            text = " ".join(item.value.split())
            step = text.removeprefix("from ")
            if text.startswith("below "):
                continue
            step = step if of is Score.FIT else step[:-1]
            bare = len(step) == 1 and not text.startswith("from ")
            lowest = min((i for i, one in enumerate(LADDER) if one == step or (bare and one[0] == step)), default=0)
            if lowest > best:
                return f"the greatest possible fit is {LADDER[best]}, below '{text}'"
        return None

    # -- events and fading

    def too_old(self) -> Iterator[Problem]:
        """W11: the line takes events whose points are gone, and asks for engagement all the same."""
        if self.name is not None and self.own.get("become_when") is None and self.own.get("engagement") is None:
            return
        for _, way, place in self._ways():
            tests = list(_flat(way))
            if not any(_wants_engagement(test) for test in tests):
                continue
            for test in tests:
                if not isinstance(test, EventExists) or test.window is None:
                    continue
                carry = self._carried(test.match)
                if carry is not None and days(test.window) > carry:
                    said = f"the event may be {say_span(test.window)} old, but its points are gone after {carry} days"
                    yield warning("W11", place, f"{said}: write 'within: {carry} days' or let the points fade later")

    def _carried(self, match: EventMatch) -> int | None:
        """How long the points of these events last at most, in days; None when for ever, or when they give none."""
        kinds = set(kinds_of(match))
        ends = [
            _carries(rule, self.model.engagement.not_before)
            for group in self.model.engagement.groups
            for rule in group.items
            if isinstance(rule, EventRule) and rule.micro > 0 and kinds & set(kinds_of(rule.match))
        ]
        known = [end for end in ends if end is not None]
        return max(known) if ends and len(known) == len(ends) else None


def _most_total(model: Model, fit: int | None, engagement: int | None) -> int | None:
    if model.fit.thirds or fit is None or engagement is None:
        return None if model.fit.thirds else model.grade.total_max
    parts = zip((fit, engagement), model.grade.total_weights, strict=True)
    total = sum((most * weight + WHOLE // 2) // WHOLE for most, weight in parts)
    return total if model.grade.total_max is None else min(total, model.grade.total_max)


def _ways(test: Condition, place: Node | None) -> Iterator[tuple[Condition, Node]]:
    """The conditions of a list of mappings, each at its own place; anything else as it is."""
    if place is None:
        return
    if isinstance(test, AnyOf) and place.kind is Kind.LIST and len(place.items) == len(test.of):
        yield from zip(test.of, place.items, strict=True)
    else:
        yield test, place


def _flat(condition: Condition) -> Iterator[Condition]:
    """The tests that must all be true."""
    if isinstance(condition, All):
        for one in condition.of:
            yield from _flat(one)
    else:
        yield condition


def _score_of(test: Condition) -> Score:
    return test.of if isinstance(test, ScoreAtLeast | ScoreBelow | LabelIn) else Score.GRADE


def _wants_engagement(test: Condition) -> bool:
    return isinstance(test, ScoreAtLeast | LabelIn) and test.of in (Score.ENGAGEMENT, Score.GRADE, Score.TOTAL)


def _carries(rule: EventRule, horizon: Span) -> int | None:
    """The age in days at which a rule's points are gone; None when never (half-lives only shrink)."""
    ends = [days(rule.window)] if rule.window is not None else []
    match rule.fade.mode:
        case FadeMode.EXPIRE:
            ends.append(days(rule.fade.span))
        case FadeMode.LINEAR if rule.fade.percent:
            ends.append(-(-WHOLE // rule.fade.percent) * days(rule.fade.span))
        case _:
            pass
    return min([*ends, days(horizon)]) if ends else None


# -- stay and recycle --------------------------------------------------------------------------------------------


def _bounds(test: Condition, bands: Bands | None) -> Iterator[int]:
    """The least engagement in whole points that each way to pass the test needs."""
    match test:
        case ScoreAtLeast(Score.ENGAGEMENT, value):
            yield value
        case LabelIn(Score.ENGAGEMENT | Score.GRADE as of, labels) if bands is not None:
            least = dict(zip(bands.labels, bands.bounds, strict=True))
            for label in labels:
                bound = least.get(label if of is Score.ENGAGEMENT else label[-1:])
                if bound is not None:
                    yield bound
        case _:
            return


def _drops(test: Condition, bands: Bands | None) -> Iterator[int]:
    """Below how many points of engagement the test drops."""
    match test:
        case ScoreBelow(Score.ENGAGEMENT, value):
            yield value
        case LabelIn(Score.ENGAGEMENT, labels) if bands is not None:
            for label, above in zip(bands.labels[1:], bands.bounds, strict=False):
                if label in labels and above is not None:
                    yield above
        case _:
            return


def _no_hysteresis(policy: Policy, root: Node) -> Iterator[Problem]:
    """W09: who just qualified is dropped for the very score that qualified them."""
    if policy.stay is None:
        return
    place = root.find("mql", "stay", "drop_when")
    lowest = [
        bound
        for model in policy.models
        for line in model.become_when
        for way in alternatives(line.test)
        for test in _flat(way)
        for bound in _bounds(test, model.grade.engagement)
    ]
    dropped = [
        bound
        for model in policy.models
        for test in _flat(policy.stay.drop_when)
        for bound in _drops(test, model.grade.engagement)
    ]
    if place is not None and lowest and dropped and max(dropped) >= min(lowest):
        yield warning(
            "W09",
            place,
            f"drops below {max(dropped)}, but the gate opens from {min(lowest)}: a score at the edge would come and "
            f"go; drop below less than {min(lowest)}",
            at=place.get("engagement"),
        )


def _fresh_points(policy: Policy, root: Node, views: Iterable[_View]) -> Iterator[Problem]:
    """W11: more engagement since the rejection than there can be at all."""
    reachable = [most for view in views if (most := view.most[Score.ENGAGEMENT]) is not None]
    for reason in policy.recycle.reasons if policy.recycle is not None else ():
        place = root.find("recycle", "reasons", reason.name, "fresh_points")
        wanted = reason.fresh_points
        if place is None or wanted is None or not reachable or _whole(min(reachable)) >= wanted:
            continue
        least = points(min(reachable))
        yield warning(
            "W11", place, f"nobody can come back: the greatest possible engagement is {least}; write at most {least}"
        )
