"""Rules of fit and engagement, and ignored events: W02, W06, W07, W08 and W10."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice

from scoring.conditions import (
    AbsentRule,
    All,
    BeforeFirst,
    Combine,
    Condition,
    Dimension,
    EventRule,
    FadeMode,
    FitRule,
    Group,
    Ignore,
    OneOf,
    SoonAfter,
    Table,
)
from scoring.document import Node, Problem
from scoring.finding import points, warning
from scoring.implied import implies, meet
from scoring.lint_reach import ONE_OCCURRENCE, WHOLE, most_of_group
from scoring.lint_tables import lint_table
from scoring.phrases import kinds_of

__all__ = ["Arrivals", "lint_dimension"]

Arrivals = Mapping[str, Collection[str]]
"""Kind of event -> what fields.yaml makes it of: ``form``, ``counter``, ..."""

MOST_COMPARED = 20
"""With how many of the rules that may meet one it is compared; what is found comes from the nearest of them."""

_FADES_AWAY = "max on a sum that fades: the cap hides the fading; write 'cap: newest', or leave max out"


def lint_dimension(dimension: Dimension, node: Node, arrivals: Arrivals | None) -> Iterator[Problem]:
    """``node`` is the section, ``fit`` or ``engagement``; thirds have nothing here that could be wrong."""
    groups = node.get("groups")
    if dimension.thirds or groups is None:
        return
    for group in dimension.groups:
        place = groups.get(group.name)
        if place is None:
            continue
        yield from _capped(group, place, dimension)
        for index, one in enumerate(group.items):
            if isinstance(one, Table):
                yield from lint_table(one, group, place)
            elif (rule := place.find("rules", index)) is not None:
                yield from _out_of_reach(one, rule, group, dimension)
                if isinstance(one, EventRule):
                    yield from _fading(one, rule)
                    yield from _opens(one, rule, dimension.ignore)
    yield from _scored_twice(dimension, groups)
    yield from _only_counted(dimension, node, arrivals)


# -- caps --------------------------------------------------------------------------------------------------------


def _out_of_reach(
    rule: FitRule | EventRule | AbsentRule, node: Node, group: Group, dimension: Dimension
) -> Iterator[Problem]:
    """W02: more points than the first cap above them lets through."""
    caps: list[tuple[int | None, str]] = []
    if isinstance(rule, EventRule):
        caps = [(rule.max, "its own max"), (rule.max_per_day, "its max_per_day")]
    caps.append((group.max, f"the max of '{group.name}'"))
    if dimension.max is not None:
        weight = group.weight or WHOLE
        caps.append((dimension.max * WHOLE // weight, "the max of all groups together, by the weight of this one"))
        if weight == WHOLE:
            caps[-1] = (dimension.max, "the max of all groups together")
    for most, whose in caps:
        if most is not None and rule.micro > most:
            said = f"{points(rule.micro)} points can never be reached: {whose} is {points(most)}"
            yield warning("W02", node, f"{said}; write {points(most)}, or raise the max", at=node.get("points"))
            return


def _capped(group: Group, place: Node, dimension: Dimension) -> Iterator[Problem]:
    rules = [one for one in group.items if not isinstance(one, Table)]
    positive = any(rule.micro > 0 for rule in rules)
    most = most_of_group(group, dimension.not_before, capped=False)
    capped = group.max is not None and (most is None or most > group.max)
    # an event rule with nothing to count is worth 0, and beats a penalty; a line of fit that is not true is not there
    beaten = group.combine is Combine.BEST and not any(isinstance(rule, FitRule) for rule in rules)
    for index, rule in enumerate(rules if positive and (capped or beaten) else ()):
        node = place.find("rules", index)
        if rule.micro < 0 and node is not None:
            why = "the cap can swallow it" if capped else "'take: best' takes the others"
            where = "a max" if capped else "'take: best'"
            yield warning("W08", node, f"a penalty in a group with {where}: {why}; put it in a group of its own")
    fading = any(isinstance(r, EventRule) and r.fade.mode is not FadeMode.NONE and r.micro > 0 for r in rules)
    if fading and capped and not group.newest_first:
        yield warning("W07", place, _FADES_AWAY, at=place.get("max"))


def _fading(rule: EventRule, node: Node) -> Iterator[Problem]:
    if rule.max is None or rule.newest_first or rule.fade.mode is FadeMode.NONE or rule.micro <= 0:
        return
    if rule.count.mode in ONE_OCCURRENCE and rule.micro <= rule.max:
        return
    yield warning("W07", node, _FADES_AWAY, at=node.get("max"))


# -- events scored twice -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scored:
    group: str
    rule: EventRule


@dataclass(slots=True)
class _Seen:
    """The rules above, found again by what their events are: kind, and one attribute with its value."""

    by_value: dict[tuple[str, str, str], list[_Scored]] = field(default_factory=dict)
    open: dict[str, list[_Scored]] = field(default_factory=dict)
    all: dict[str, list[_Scored]] = field(default_factory=dict)

    def add(self, scored: _Scored) -> None:
        keys = _values(scored.rule)
        for kind in kinds_of(scored.rule.match):
            self.all.setdefault(kind, []).append(scored)
            if keys is None:
                self.open.setdefault(kind, []).append(scored)
            for name, value in keys or ():
                self.by_value.setdefault((kind, name, value), []).append(scored)

    def near(self, rule: EventRule) -> Iterator[_Scored]:
        """Rules that may be about the same events, those of the same values first."""
        keys = _values(rule)
        kinds = kinds_of(rule.match)
        if keys is None:
            return chain.from_iterable(self.all.get(kind, ()) for kind in kinds)
        same = (self.by_value.get((kind, name, value), ()) for kind in kinds for name, value in keys)
        return chain(chain.from_iterable(same), *(self.open.get(kind, ()) for kind in kinds))


def _values(rule: EventRule) -> list[tuple[str, str]] | None:
    """The values of the one attribute that every event of the rule has; None when there is no such attribute."""
    if rule.match.any_of:
        return None
    where = rule.match.where
    tests: Iterable[Condition] = where.of if isinstance(where, All) else (where,)
    named = next((test for test in tests if isinstance(test, OneOf)), None)
    return None if named is None else [(named.field, value) for value in named.values]


def _scored_twice(dimension: Dimension, groups: Node) -> Iterator[Problem]:
    """W06: one event for which two rules of different groups surely give positive points."""
    seen = _Seen()
    for group in dimension.groups:
        here: list[_Scored] = []
        for index, rule in enumerate(group.items):
            if not isinstance(rule, EventRule) or rule.micro <= 0:
                continue
            other = next((s for s in islice(seen.near(rule), MOST_COMPARED) if _both(s.rule, rule)), None)
            node = groups.find(group.name, "rules", index)
            if other is not None and node is not None:
                said = f"the same event also gives points in '{other.group}' ({other.rule.name})"
                yield warning("W06", node, f"{said}; let one of them say `where` the other does not apply")
            here.append(_Scored(group.name, rule))
        for scored in here:
            seen.add(scored)


def _both(a: EventRule, b: EventRule) -> bool:
    """It is certain that one event of one person can count for both."""
    return (implies(a.when, b.when) or implies(b.when, a.when)) and meet(a.match, b.match)


# -- machines ----------------------------------------------------------------------------------------------------


def _opens(rule: EventRule, node: Node, ignore: Iterable[Ignore]) -> Iterator[Problem]:
    if rule.micro <= 0 or "email_open" not in kinds_of(rule.match):
        return
    if any(_ignores_all(line, "email_open") for line in ignore):
        return
    yield warning(
        "W10",
        node,
        "opened mails give points, and machines open most of them; score email_click or email_reply instead",
        at=node.get("event"),
    )


def _ignores_all(line: Ignore, kind: str) -> bool:
    match = line.match
    return line.test is None and line.when == All() and match.where == All() and kind in match.kinds


def _only_counted(dimension: Dimension, node: Node, arrivals: Arrivals | None) -> Iterator[Problem]:
    """W10: a test of seconds for events of which only a total and a day are known."""
    lines = node.get("ignore")
    if arrivals is None or lines is None:
        return
    counted = {kind for kind, sources in arrivals.items() if set(sources) == {"counter"}}
    for line, place in zip(dimension.ignore, lines.items, strict=True):
        if line.test is None:
            continue
        about = set(kinds_of(line.match))
        if isinstance(line.test, SoonAfter | BeforeFirst) and line.test.kind in counted:
            about = {line.test.kind}
        if about <= counted:
            kinds = " and ".join(sorted(about))
            said = f"{kinds} arrives only as a growing total, without a time of day: this can never be true"
            yield warning("W10", place, f"{said}; map single events in fields.yaml, or leave the test out")
