"""What is allowed in a policy and probably not meant: warnings W01 to W11, each at its place.

Reads the typed policy; the documents are asked only for places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from scoring.conditions import (
    All,
    AtLeast,
    Combine,
    Condition,
    CountMode,
    Dimension,
    DomainIn,
    EventExists,
    EventMatch,
    EventRule,
    FadeMode,
    FitRule,
    Group,
    HasWords,
    LabelIn,
    OneOf,
    Score,
    ScoreAtLeast,
    Span,
    Table,
    TableLine,
    Unit,
)
from scoring.conditions import Any as AnyOf
from scoring.document import Node, Problem
from scoring.phrases import kinds_of, say_span
from scoring.policy import Bands, Model, Policy, Target, TargetKind
from scoring.tables import MICRO

__all__ = ["lint"]

LINEAR_WHOLE = 10_000
"""Hundredths of a percent in all of it."""

_ONE_OCCURRENCE = (CountMode.ONCE, CountMode.AT_LEAST, CountMode.DISTINCT)


def lint(
    policy: Policy, policy_node: Node, team_node: Node, *, used_lists: Mapping[str, set[tuple[str, str]]]
) -> list[Problem]:
    """The warnings about a policy that loads. ``used_lists``: list -> (section, fact) of each use."""
    told: list[Problem] = []
    default = policy.models[-1]
    for model in policy.models:
        own = policy_node if model is default else policy_node.find("models", model.name)
        if own is None:
            continue
        for name, dimension, inherited in (
            ("fit", model.fit, model is not default and model.fit is default.fit),
            ("engagement", model.engagement, model is not default and model.engagement is default.engagement),
        ):
            place = own.find(name, "groups")
            if place is not None and not inherited:
                told += _Groups(dimension, place).warnings()
        told += _unreachable_cells(model, own)
        told += _too_old(model, policy_node.find("mql") if model is default else own)
    told += _routes(policy, policy_node)
    told += _unused(policy, policy_node, team_node, used_lists)
    told += _overlapping(policy, policy_node, used_lists)
    return told


def _warning(code: str, node: Node, message: str, *, at: Node | None = None) -> Problem:
    place = at or node
    return Problem(
        file=place.file,
        line=place.line,
        col=place.col,
        path=node.path,
        message=f"{code}: {message}",
        warning=True,
    )


def _points(micro: int) -> str:
    return f"{(Decimal(micro) / MICRO).normalize():f}"


def _key(node: Node, key: str) -> Node | None:
    return next((e.name for e in node.entries if e.key == key), None)


# -- groups ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Groups:
    """The groups of one dimension and where they stand."""

    dimension: Dimension
    node: Node

    def warnings(self) -> Iterator[Problem]:
        for group in self.dimension.groups:
            place = self.node.find(group.name)
            if place is None:
                continue
            yield from self._capped(group, place)
            for index, one in enumerate(group.items):
                if isinstance(one, Table):
                    yield from _table(one, group, place)
                elif (rule := place.find("rules", index)) is not None:
                    if not isinstance(one, FitRule):
                        yield from _above_max(one.micro, one.max, rule, "its own max")
                    yield from _above_max(one.micro, group.max, rule, f"the max of '{group.name}'")
                    if isinstance(one, EventRule):
                        yield from _fading(one, rule)
                        yield from _opens(one, rule)
        yield from self._scored_twice()

    def _capped(self, group: Group, place: Node) -> Iterator[Problem]:
        if group.max is None:
            return
        at = place.find("max") or place
        rules = [one for one in group.items if not isinstance(one, Table)]
        if any(r.micro > 0 for r in rules):
            for index, rule in enumerate(group.items):
                node = place.find("rules", index)
                if not isinstance(rule, Table) and rule.micro < 0 and node is not None:
                    yield _warning("W08", node, "a penalty in a group with a max: the cap can swallow it")
        fading = any(isinstance(r, EventRule) and r.fade.mode is not FadeMode.NONE and r.micro > 0 for r in rules)
        most = _most_of(group, capped=False)
        if fading and not group.newest_first and (most is None or most > group.max):
            yield _warning("W07", place, "max on a sum that fades: the cap hides the fading; see 'cap: newest'", at=at)

    def _scored_twice(self) -> Iterator[Problem]:
        """W06: one event, two rules with positive points in different groups, the same or no ``where``."""
        seen: list[tuple[Group, EventRule]] = []
        for group in self.dimension.groups:
            for index, rule in enumerate(group.items):
                if not isinstance(rule, EventRule) or rule.micro <= 0:
                    continue
                for other_group, other in seen:
                    if other_group is not group and _overlap(other, rule):
                        node = self.node.find(group.name, "rules", index)
                        if node is not None:
                            yield _warning(
                                "W06", node, f"the same event also gives points in '{other_group.name}' ({other.name})"
                            )
                        break
                seen.append((group, rule))


def _overlap(a: EventRule, b: EventRule) -> bool:
    if not set(kinds_of(a.match)) & set(kinds_of(b.match)):
        return False
    return a.match.where == All() or b.match.where == All() or a.match.where == b.match.where


def _above_max(micro: int, top: int | None, node: Node, whose: str) -> Iterator[Problem]:
    if top is not None and micro > top:
        yield _warning("W02", node, f"{_points(micro)} points can never be reached: {whose} is {_points(top)}")


def _fading(rule: EventRule, node: Node) -> Iterator[Problem]:
    if rule.max is None or rule.newest_first or rule.fade.mode is FadeMode.NONE or rule.micro <= 0:
        return
    if rule.count.mode in _ONE_OCCURRENCE and rule.micro <= rule.max:
        return
    at = node.find("max") or node
    yield _warning("W07", node, "max on a sum that fades: the cap hides the fading; see 'cap: newest'", at=at)


def _opens(rule: EventRule, node: Node) -> Iterator[Problem]:
    if rule.micro > 0 and "email_open" in rule.match.kinds and len(kinds_of(rule.match)) == 1:
        yield _warning("W10", node, "opened mails give points, and machines open most of them")


# -- tables ------------------------------------------------------------------------------------------------------


def _table(table: Table, group: Group, place: Node) -> Iterator[Problem]:
    points = place.find("points")
    if points is None:
        return
    if points.get("unknown") is None:
        yield _warning("W04", points, "no line for 'unknown': a missing value gives 0 points")
    for index, line in enumerate(table.lines):
        at = _key(points, line.label)
        hider = _hidden_by(line, table.lines[:index])
        if hider is not None:
            yield _warning(
                "W01", points, f"'{line.label}' can never be reached: '{hider}' above it takes all of it", at=at
            )
    for label, micro in (*((line.label, line.micro) for line in table.lines), ("otherwise", table.otherwise)):
        if group.max is not None and micro > group.max:
            message = f"'{label}' gives {_points(micro)} points, the max of the group is {_points(group.max)}"
            yield _warning("W02", points, message, at=_key(points, label))


def _hidden_by(line: TableLine, above: Sequence[TableLine]) -> str | None:
    """The label of the line above that already takes everything this one could."""
    for other in above:
        if _covers((other.test,), line.test):
            return other.label
    return above[-1].label if above and _covers(tuple(o.test for o in above), line.test) else None


def _covers(above: Sequence[Condition], test: Condition) -> bool:
    match test:
        case AtLeast(name, value):
            return any(isinstance(a, AtLeast) and a.field == name and a.value <= value for a in above)
        case OneOf(name, values):
            taken = {v for a in above if isinstance(a, OneOf) and a.field == name for v in a.values}
            return set(values) <= taken
        case DomainIn(name, values):
            taken = {v for a in above if isinstance(a, DomainIn) and a.field == name for v in a.values}
            return all(any(v == t or v.endswith(f".{t}") for t in taken) for v in values)
        case HasWords(name, phrases):
            taken = {p for a in above if isinstance(a, HasWords) and a.field == name for p in a.phrases}
            return set(phrases) <= taken
        case _:
            return any(a == test for a in above)


# -- what can be reached -----------------------------------------------------------------------------------------


def _most_of_rule(one: Table | FitRule | EventRule, *, capped: bool = True) -> int | None:
    """The greatest micro-points one part of a group can give; None without limit."""
    if isinstance(one, Table):
        return max(0, one.unknown, one.otherwise, *(line.micro for line in one.lines))
    if isinstance(one, FitRule) or one.micro <= 0:
        return max(0, one.micro)
    once = one.micro if one.count.mode in _ONE_OCCURRENCE else None
    if one.max is None or not capped:
        return once
    return one.max if once is None else min(once, one.max)


def _most_of(group: Group, *, capped: bool = True) -> int | None:
    """The greatest micro-points of a group, without its weight; ``capped`` applies its own max as well."""
    parts = [_most_of_rule(one) for one in group.items if isinstance(one, Table | FitRule | EventRule)]
    known = [p for p in parts if p is not None]
    together = max(known, default=0) if group.combine is Combine.BEST else sum(known)
    most = together if len(known) == len(parts) else None
    if capped and group.max is not None:
        most = group.max if most is None else min(most, group.max)
    return most


def _most(dimension: Dimension) -> int | None:
    total = 0
    for group in dimension.groups:
        most = _most_of(group)
        if most is None:
            return dimension.max
        total += most if group.weight is None else most * group.weight // LINEAR_WHOLE
    return total if dimension.max is None else min(total, dimension.max)


def _out_of_reach(dimension: Dimension, bound: int) -> str | None:
    most = _most(dimension)
    # the greatest exact score is rounded half up before it is compared
    if most is None or (most + MICRO // 2) // MICRO >= bound:
        return None
    return _points(most)


def _unreachable_cells(model: Model, own: Node) -> Iterator[Problem]:
    """W03, for the bands and gate lines that stand in this model."""
    dimensions = {Score.FIT: model.fit, Score.ENGAGEMENT: model.engagement}
    bands: dict[Score, Bands | None] = {Score.FIT: model.grade.fit, Score.ENGAGEMENT: model.grade.engagement}
    for score, dimension in dimensions.items():
        place, given = own.find("grade", score), bands[score]
        if place is None or given is None:
            continue
        for label, bound in zip(given.labels, given.bounds, strict=True):
            most = None if bound is None else _out_of_reach(dimension, bound)
            if most is not None:
                message = f"nobody can get '{label}': it begins at {bound}, the greatest possible {score} is {most}"
                yield _warning("W03", place, message, at=_key(place, label))
    for line, place in _gate(model, own):
        for test in _flat(line):
            if isinstance(test, ScoreAtLeast) and test.of in dimensions:
                most = _out_of_reach(dimensions[test.of], test.value)
                if most is not None:
                    said = f"from {test.value}"
                    yield _warning("W03", place, f"nobody can have {test.of} {said}: the greatest possible is {most}")


def _gate(model: Model, own: Node) -> Iterator[tuple[Condition, Node]]:
    lines = own.find("become_when") or own.find("mql", "become_when")
    for line in model.become_when if lines is not None else ():
        place = lines.find(line.name) if lines is not None else None
        if place is not None:
            yield line.test, place


def _flat(condition: Condition) -> Iterator[Condition]:
    match condition:
        case All(of) | AnyOf(of):
            for one in of:
                yield from _flat(one)
        case _:
            yield condition


# -- gate lines and fading ---------------------------------------------------------------------------------------


def _days(span: Span) -> int:
    """A month counts with its 31 days: a warning must not depend on the month."""
    return span.n * (1 if span.unit is Unit.DAY else 31)


def _carries(rule: EventRule) -> int | None:
    """The age in days at which a rule's points are gone; None when never (half-lives only shrink)."""
    ends = [_days(rule.window)] if rule.window is not None else []
    match rule.fade.mode:
        case FadeMode.EXPIRE:
            ends.append(_days(rule.fade.span))
        case FadeMode.LINEAR if rule.fade.percent:
            ends.append(-(-LINEAR_WHOLE // rule.fade.percent) * _days(rule.fade.span))
        case _:
            pass
    return min(ends, default=None)


def _longest_carry(model: Model, match: EventMatch) -> int | None:
    """How long the points of these events last at most; None when for ever, or when they give none."""
    kinds = set(kinds_of(match))
    rules = [
        one
        for group in model.engagement.groups
        for one in group.items
        if isinstance(one, EventRule) and one.micro > 0 and kinds & set(kinds_of(one.match))
    ]
    ends = [_carries(rule) for rule in rules]
    known = [end for end in ends if end is not None]
    return max(known) if ends and len(known) == len(ends) else None


def _too_old(model: Model, own: Node | None) -> Iterator[Problem]:
    """W11: the line takes events whose points are gone, and asks for engagement all the same."""
    lines = own.find("become_when") if own is not None else None
    if lines is None:
        return
    for line in model.become_when:
        tests = list(_flat(line.test))
        place = lines.find(line.name)
        wants = any(
            isinstance(t, ScoreAtLeast | LabelIn) and t.of in (Score.ENGAGEMENT, Score.GRADE, Score.TOTAL)
            for t in tests
        )
        for test in tests:
            if place is None or not wants or not isinstance(test, EventExists) or test.window is None:
                continue
            carry = _longest_carry(model, test.match)
            if carry is not None and _days(test.window) > carry:
                yield _warning(
                    "W11",
                    place,
                    f"the event may be {say_span(test.window)} old, but its points are gone after {carry} days",
                )


# -- routing, and what nothing uses ------------------------------------------------------------------------------


def _routes(policy: Policy, root: Node) -> Iterator[Problem]:
    place = root.find("routing")
    if place is None:
        return
    for index, route in enumerate(policy.routing[:-1]):
        if route.when is None and route.to.kind in (TargetKind.POOL, TargetKind.QUEUE):
            for node in place.items[index + 1 :]:
                yield _warning("W01", node, f"this rule can never be reached: '{route.name}' takes everybody")
            return


def _targets(policy: Policy) -> Iterator[Target]:
    for route in policy.routing:
        yield route.to
        if isinstance(route.if_away, Target):
            yield route.if_away


def _unused(
    policy: Policy, policy_node: Node, team_node: Node, used_lists: Mapping[str, set[tuple[str, str]]]
) -> Iterator[Problem]:
    targets = list(_targets(policy))
    named = {kind: {t.name for t in targets if t.kind is kind} for kind in TargetKind}
    pools = named[TargetKind.POOL]
    queues = named[TargetKind.QUEUE] | {pool.nobody_free.queue for pool in policy.team.pools.values()}
    reps = named[TargetKind.REP] | {rep.email for pool in policy.team.pools.values() for rep in pool.reps}
    reps |= {email for email, rep in policy.team.reps.items() if rep.left}
    # free_mail is also what tells a private mailbox from a company's domain
    lists = {*used_lists, "free_mail"}
    for what, node, used in (
        ("list", policy_node.find("lists"), lists),
        ("pool", team_node.find("pools"), pools),
        ("queue", team_node.find("queues"), queues),
        ("rep", team_node.find("reps"), reps),
    ):
        for entry in node.entries if node is not None else ():
            name = entry.key.casefold() if what == "rep" else entry.key
            if name not in used:
                yield _warning("W05", entry.name, f"this {what} is used nowhere")


def _overlapping(policy: Policy, root: Node, used_lists: Mapping[str, set[tuple[str, str]]]) -> Iterator[Problem]:
    """W05: two lists that routing compares with one fact share a value, so the order of the rules decides."""
    place = root.find("lists")
    if place is None:
        return
    of_fact: dict[str, list[str]] = {}
    for name, uses in used_lists.items():
        for section, fact in uses:
            if section == "routing":
                of_fact.setdefault(fact, []).append(name)
    values = {name: _listed(place.find(name)) for name in used_lists}
    for fact, names in sorted(of_fact.items()):
        ordered = sorted(names, key=lambda n: [e.key for e in place.entries].index(n))
        for index, name in enumerate(ordered):
            for other in ordered[index + 1 :]:
                shared = sorted(values[name] & values[other])
                at = _key(place, other)
                if shared and at is not None:
                    yield _warning(
                        "W05", at, f"'{name}' and '{other}' share '{shared[0]}', and routing asks {fact} for both"
                    )


def _listed(node: Node | None) -> set[str]:
    return {item.value.strip().casefold() for item in node.items} if node is not None else set()
