"""Two policies compared, in the words of the policy language: what changed, and what work that means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar

from scoring.conditions import (
    LADDER,
    AbsentRule,
    All,
    BeforeFirst,
    Burst,
    Combine,
    Dimension,
    EventRule,
    FitRule,
    Group,
    Ignore,
    SoonAfter,
    Span,
    Table,
)
from scoring.explain import points
from scoring.phrases import say, say_span
from scoring.policy import (
    Bands,
    Example,
    GateLine,
    Grade,
    Model,
    Nurture,
    Policy,
    Recycle,
    Review,
    Route,
    Sla,
    Stay,
    SuppressLine,
    WritePlan,
)
from scoring.tables import MICRO
from scoring.team import Pool, PoolRep, Queue, Rep, Team
from scoring.wording import (
    say_bound,
    say_count,
    say_delay,
    say_fade,
    say_hours,
    say_match,
    say_micro,
    say_nobody_free,
    say_percent,
    say_pool_rep,
    say_reason,
    say_rule,
    say_target,
    say_weight,
    with_list_names,
)

__all__ = ["Change", "PolicyDiff", "Work", "compare"]

T = TypeVar("T")


class Work(StrEnum):
    """What has to be done after a policy changed."""

    EVERYBODY = "everybody is scored and decided again"
    ASSIGNMENTS = "only later assignments follow it"
    WRITES = "what the CRMs show is planned again"
    NOTHING = "nobody is moved by it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. ``path`` names the place as the file does (``fit.company_size``), ``text`` says what is new there."""

    path: str
    text: str

    @property
    def section(self) -> str:
        return self.path.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDiff:
    """``work`` is empty where the two mean the same."""

    old: str
    new: str
    changes: tuple[Change, ...]
    work: tuple[Work, ...]


def compare(old: Policy, new: Policy, *, mapped: Sequence[Change] = ()) -> PolicyDiff:
    """Every difference in meaning, in the order of the files. Comments, layout and quotes make none.

    ``mapped``: what of fields.yaml is another, which the policies do not hold.
    """
    changes = (*_policy(with_list_names(old), with_list_names(new)), *mapped)
    if old.scoring_hash != new.scoring_hash and not any(c.section in _SCORING for c in changes):
        text = "the map of CRM properties or activities is another"
        changes = (*changes, Change(path="fields", text=text))
    return PolicyDiff(old=old.version, new=new.version, changes=changes, work=tuple(_work(old, new)))


_SCORING = (
    *("timezone", "lists", "suppress", "fit", "engagement", "grade", "models", "mql", "recycle", "nurture"),
    "fields",
)


def _work(old: Policy, new: Policy) -> Iterator[Work]:
    if old.version == new.version:
        return
    moved = (
        (Work.EVERYBODY, old.scoring_hash != new.scoring_hash),
        (Work.ASSIGNMENTS, old.routing_hash != new.routing_hash),
        (Work.WRITES, old.write_hash != new.write_hash),
    )
    work = [what for what, is_so in moved if is_so]
    yield from work or [Work.NOTHING]


def _policy(old: Policy, new: Policy) -> Iterator[Change]:
    yield from _value("name", "", old.name, new.name, str)
    yield from _value("timezone", "", old.timezone, new.timezone, str)
    yield from _lists(old.lists, new.lists)
    yield from _sequence("suppress", "line", old.suppress, new.suppress, _say_suppress, _suppress)
    yield from _models(old.models, new.models)
    yield from _mql(old, new)
    yield from _recycle(old.recycle or Recycle(), new.recycle or Recycle())
    yield from _nurture(old.nurture or Nurture(), new.nurture or Nurture())
    yield from _sequence("routing", "rule", old.routing, new.routing, _say_route, _route)
    yield from _sla(old.sla, new.sla)
    yield from _write(old.write, new.write)
    yield from _examples(old.examples, new.examples)
    yield from _team(old.team, new.team)
    yield from _fields(old, new)


# -- tools -------------------------------------------------------------------------------------------------------


def _value(path: str, word: str, old: T, new: T, said: Callable[[T], str]) -> Iterator[Change]:
    """``max 60 instead of 40``."""
    if old != new:
        yield Change(path=path, text=f"{word} {said(new)} instead of {said(old)}".strip())


def _optional(path: str, word: str, old: T | None, new: T | None, said: Callable[[Any], str]) -> Iterator[Change]:
    """A setting that may be absent."""
    if old == new:
        return
    if old is None:
        assert new is not None
        yield Change(path=path, text=f"new: {word} {said(new)}")
    elif new is None:
        yield Change(path=path, text=f"no {word} any more (it was {said(old)})")
    else:
        yield from _value(path, word, old, new, said)


def _truth(path: str, word: str, old: bool, new: bool) -> Iterator[Change]:
    if old != new:
        yield Change(path=path, text=f"{word} {'true' if new else 'false'} instead of {'true' if old else 'false'}")


def _items(path: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    """A set of names: what came, what went."""
    came = [item for item in new if item not in old]
    went = [item for item in old if item not in new]
    if came or went:
        yield Change(path=path, text=" ".join([*(f"+{item}" for item in came), *(f"-{item}" for item in went)]))


def _mapping(
    path: str,
    what: str,
    old: Mapping[str, T],
    new: Mapping[str, T],
    said: Callable[[T], str],
    changed: Callable[[str, T, T], Iterator[Change]],
) -> Iterator[Change]:
    """Named parts whose order means nothing."""
    for name, one in old.items():
        if name not in new:
            yield Change(path=path, text=f"{what} {name} removed ({said(one)})")
        elif one != new[name]:
            yield from changed(f"{path}.{name}", one, new[name])
    for name, one in new.items():
        if name not in old:
            yield Change(path=path, text=f"new {what} {name}: {said(one)}")


def _sequence(
    path: str,
    what: str,
    old: Sequence[Any],
    new: Sequence[Any],
    said: Callable[[Any], str],
    changed: Callable[[str, Any, Any], Iterator[Change]],
) -> Iterator[Change]:
    """Named parts in an order that matters."""
    before, after = {one.name: one for one in old}, {one.name: one for one in new}
    yield from _mapping(path, what, before, after, said, changed)
    stay = _in_order([name for name in before if name in after], list(after))
    for index, name in enumerate(after):
        if name in before and name not in stay:
            place = f"after {list(after)[index - 1]}" if index else "to the top"
            yield Change(path=path, text=f"{what} {name} moved {place}")


def _in_order(old: Sequence[str], new: Sequence[str]) -> set[str]:
    """The longest part of ``old`` that comes in the same order in ``new``: what did not move."""
    place = {name: index for index, name in enumerate(new)}
    runs: list[list[str]] = [[]]
    for name in old:
        longest = max((run for run in runs if not run or place[run[-1]] < place[name]), key=lambda run: len(run))
        runs.append([*longest, name])
    longest = max(runs, key=lambda run: len(run))
    return set(longest)


# -- who is never handed over, and lists -------------------------------------------------------------------------


def _lists(old: Mapping[str, Sequence[str]], new: Mapping[str, Sequence[str]]) -> Iterator[Change]:
    yield from _mapping("lists", "list", old, new, lambda items: ", ".join(items), _items)


def _say_suppress(line: SuppressLine) -> str:
    tell = f", tell {say_target(line.tell)}" if line.tell is not None else ""
    return f"{say(line.test)}{tell}"


def _suppress(path: str, old: SuppressLine, new: SuppressLine) -> Iterator[Change]:
    yield from _value(path, "", old.test, new.test, say)
    yield from _optional(path, "tell", old.tell, new.tell, say_target)


# -- models ------------------------------------------------------------------------------------------------------


def _models(old: Sequence[Model], new: Sequence[Model]) -> Iterator[Change]:
    """The sections at the top level first, then what each model has of its own."""
    before, after = old[-1], new[-1]
    yield from _dimension("fit", before.fit, after.fit)
    yield from _dimension("engagement", before.engagement, after.engagement)
    yield from _grade("grade", before.grade, after.grade)
    yield from _sequence("mql.become_when", "gate line", before.become_when, after.become_when, _say_line, _line)

    def changed(path: str, one: Model, other: Model) -> Iterator[Change]:
        return _model(path, one, before, other, after)

    yield from _sequence("models", "model", old[:-1], new[:-1], _say_model, changed)


def _say_model(model: Model) -> str:
    return say(model.when) if model.when is not None else "everybody"


def _model(path: str, old: Model, old_top: Model, new: Model, new_top: Model) -> Iterator[Change]:
    """A section that is the top level's in both was told there."""
    yield from _optional(path, "when", old.when, new.when, say)
    for name, compared in (("fit", _dimension), ("engagement", _dimension), ("grade", _grade)):
        one, other = getattr(old, name), getattr(new, name)
        if (one, other) != (getattr(old_top, name), getattr(new_top, name)):
            yield from compared(f"{path}.{name}", one, other)
    if (old.become_when, new.become_when) != (old_top.become_when, new_top.become_when):
        yield from _sequence(f"{path}.become_when", "gate line", old.become_when, new.become_when, _say_line, _line)


# -- fit and engagement ------------------------------------------------------------------------------------------


def _dimension(path: str, old: Dimension, new: Dimension) -> Iterator[Change]:
    if old.thirds != new.thirds:
        style = {True: "thirds", False: "points"}
        yield Change(path=path, text=f"style {style[new.thirds]} instead of {style[old.thirds]}")
    elif new.thirds:
        yield from _value(path, "start", old.start, new.start, lambda step: LADDER[step // MICRO])
    else:
        yield from _value(path, "max", old.max, new.max, say_micro)
        yield from _value(path, "floor", old.floor, new.floor, say_micro)
    yield from _value(path, "not_before", old.not_before, new.not_before, say_span)
    yield from _sequence(f"{path}.ignore", "line", old.ignore, new.ignore, _say_ignore, _ignore)
    before, after = ({group.name: group for group in one.groups} for one in (old, new))
    yield from _mapping(path, "group", before, after, _say_group, _group)


def _say_ignore(line: Ignore) -> str:
    parts = [say_match(line.match)]
    if line.when != All():
        parts.append(f"when {say(line.when)}")
    match line.test:
        case SoonAfter(kind, microseconds):
            parts.append(f"within {_clock(microseconds)} of {kind}")
        case BeforeFirst(kind):
            parts.append(f"before {kind}")
        case Burst(n, attribute, microseconds):
            parts.append(f"at least {n} {f'{attribute}s' if attribute else 'times'} in {_clock(microseconds)}")
    return ", ".join(parts)


def _clock(microseconds: int) -> str:
    seconds = microseconds // MICRO
    for size, unit in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    raise AssertionError("a span of time is whole seconds")


def _ignore(path: str, old: Ignore, new: Ignore) -> Iterator[Change]:
    yield Change(path=path, text=f"{_say_ignore(new)} instead of {_say_ignore(old)}")


def _say_group(group: Group) -> str:
    match group.items:
        case (Table() as table,):
            lines = [f"{line.label} gives {points(line.micro)}" for line in table.lines]
            return f"{table.field}: {', '.join(lines)}"
        case rules:
            return f"{len(rules)} {'rule' if len(rules) == 1 else 'rules'}"


def _group(path: str, old: Group, new: Group) -> Iterator[Change]:
    if old.combine is not new.combine:
        text = "only its best rule counts" if new.combine is Combine.BEST else "its rules are added"
        yield Change(path=path, text=text)
    yield from _optional(path, "max", old.max, new.max, say_micro)
    yield from _optional(path, "min", old.min, new.min, say_micro)
    yield from _optional(path, "weight", old.weight, new.weight, say_percent)
    if old.newest_first != new.newest_first:
        yield Change(path=path, text="the cap is on the newest" if new.newest_first else "the cap is on the sum")
    match old.items, new.items:
        case (Table() as before,), (Table() as after,):
            yield from _table(path, before, after)
        case _:
            yield from _rules(path, old.items, new.items)


def _table(path: str, old: Table, new: Table) -> Iterator[Change]:
    yield from _value(path, "field", old.field, new.field, str)
    before, after = ({line.label: line for line in table.lines} for table in (old, new))
    for label, line in before.items():
        if label not in after:
            yield Change(path=path, text=f"{label} removed (it gave {points(line.micro)})")
        elif line.micro != after[label].micro:
            yield Change(path=path, text=f"{label} gives {points(after[label].micro)} instead of {points(line.micro)}")
    for label, line in after.items():
        if label not in before:
            yield Change(path=path, text=f"new: {label} gives {points(line.micro)}")
    if [label for label in before if label in after] != [label for label in after if label in before]:
        yield Change(path=path, text=f"its lines are tested in another order: {', '.join(after)}")
    for word in ("unknown", "otherwise"):
        yield from _value(path, f"{word} gives", getattr(old, word), getattr(new, word), points)


_Rule = FitRule | EventRule | AbsentRule


def _rules(path: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Change]:
    """Rules by name. What all rules of a group share is told of the group."""
    before, after = ({_rule_name(rule): rule for rule in rules} for rules in (old, new))
    fades = {(a.fade, b.fade) for a, b in _pairs(before, after)}
    shared = len(fades) == 1 and len(_pairs(before, after)) > 1
    if shared:
        ((was, becomes),) = fades
        yield from _value(path, "fade", was, becomes, say_fade)

    def changed(place: str, one: _Rule | Table, other: _Rule | Table) -> Iterator[Change]:
        return _rule(place, one, other, fade=not shared)

    yield from _mapping(path, "rule", before, after, _say_item, changed)


def _pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[EventRule, EventRule]]:
    found = [(old[name], new[name]) for name in old if name in new]
    return [(a, b) for a, b in found if isinstance(a, EventRule) and isinstance(b, EventRule)]


def _rule_name(item: _Rule | Table) -> str:
    return item.field if isinstance(item, Table) else f"'{item.name}'"


def _say_item(item: _Rule | Table) -> str:
    return f"a table of {item.field}" if isinstance(item, Table) else say_rule(item)


def _rule(path: str, old: _Rule | Table, new: _Rule | Table, *, fade: bool) -> Iterator[Change]:
    match old, new:
        case FitRule(), FitRule():
            yield from _value(path, "when", old.test, new.test, say)
        case EventRule(), EventRule():
            yield from _event_rule(path, old, new, fade=fade)
        case AbsentRule(), AbsentRule():
            yield from _value(path, "event", old.match, new.match, say_match)
            yield from _value(path, "when", old.when, new.when, say)
            yield from _value(path, "absent_for", old.span, new.span, say_span)
            yield from _truth(path, "every time", old.every, new.every)
        case _:
            yield Change(path=path, text=f"{_say_item(new)} instead of {_say_item(old)}")
            return
    yield from _value(path, "gives", old.micro, new.micro, points)
    if not isinstance(old, FitRule) and not isinstance(new, FitRule):
        yield from _optional(path, "max", old.max, new.max, say_micro)
        yield from _optional(path, "min", old.min, new.min, say_micro)
    yield from _value(path, "reason", old.reason, new.reason, lambda text: f"'{text}'")


def _event_rule(path: str, old: EventRule, new: EventRule, *, fade: bool) -> Iterator[Change]:
    yield from _value(path, "event", old.match, new.match, say_match)
    yield from _value(path, "when", old.when, new.when, say)
    yield from _optional(path, "within", old.window, new.window, say_span)
    yield from _value(path, "count", old.count, new.count, say_count)
    yield from _optional(path, "only_if", old.only_if, new.only_if, say_count)
    yield from _optional(path, "max_per_day", old.max_per_day, new.max_per_day, say_micro)
    if fade:
        yield from _value(path, "fade", old.fade, new.fade, say_fade)
    if old.newest_first != new.newest_first:
        yield Change(path=path, text="the cap is on the newest" if new.newest_first else "the cap is on the sum")


# -- grade and gate ----------------------------------------------------------------------------------------------


def _grade(path: str, old: Grade, new: Grade) -> Iterator[Change]:
    for name in ("fit", "engagement"):
        yield from _bands(f"{path}.{name}", getattr(old, name), getattr(new, name))
    weights = "fit {} and engagement {}".format
    yield from _value(
        f"{path}.total",
        "weights",
        old.total_weights,
        new.total_weights,
        lambda pair: weights(*map(say_percent, pair)),
    )
    yield from _optional(f"{path}.total", "max", old.total_max, new.total_max, say_micro)
    yield from _bands(f"{path}.total", old.total, new.total)


def _bands(path: str, old: Bands | None, new: Bands | None) -> Iterator[Change]:
    if old is None or new is None:
        yield from _optional(path, "labels", old, new, _say_bands)
        return
    before, after = (dict(zip(one.labels, one.bounds, strict=True)) for one in (old, new))
    for label in dict.fromkeys([*before, *after]):
        if label not in after:
            yield Change(path=path, text=f"label {label} removed (it was from {say_bound(before[label])})")
        elif label not in before:
            yield Change(path=path, text=f"new label {label} from {say_bound(after[label])}")
        elif before[label] != after[label]:
            text = f"{label} from {say_bound(after[label])} instead of {say_bound(before[label])}"
            yield Change(path=path, text=text)


def _say_bands(bands: Bands) -> str:
    return ", ".join(f"{label} from {say_bound(b)}" for label, b in zip(bands.labels, bands.bounds, strict=True))


def _say_line(line: GateLine) -> str:
    return say(line.test)


def _line(path: str, old: GateLine, new: GateLine) -> Iterator[Change]:
    yield from _value(path, "", old.test, new.test, say)


def _mql(old: Policy, new: Policy) -> Iterator[Change]:
    yield from _value("mql.hand_raise", "", old.hand_raise, new.hand_raise, say_match)
    yield from _items("mql.needs", old.needs, new.needs)
    yield from _stay(old.stay, new.stay)
    yield from _review(old.review or Review(), new.review or Review())


def _stay(old: Stay | None, new: Stay | None) -> Iterator[Change]:
    path = "mql.stay"
    if old is None or new is None:
        yield from _optional(path, "rule", old, new, lambda stay: f"dropped when {say(stay.drop_when)}")
        return
    yield from _value(path, "drop_when", old.drop_when, new.drop_when, say)
    yield from _value(path, "for", old.lasting, new.lasting, say_span)
    yield from _value(path, "at_least", old.at_least, new.at_least, say_span)
    yield from _items(f"{path}.never_drop_in", sorted(old.never_drop_in), sorted(new.never_drop_in))


def _review(old: Review, new: Review) -> Iterator[Change]:
    path = "mql.review"
    yield from _sequence(path, "line", old.lines, new.lines, _say_line, _line)
    yield from _value(path, "sample", old.sample, new.sample, say_percent)
    yield from _truth(path, "hand_raise_skips", old.hand_raise_skips, new.hand_raise_skips)
    yield from _optional(path, "auto_approve_after", old.auto_approve_after, new.auto_approve_after, say_delay)
    yield from _optional(path, "hours", old.hours, new.hours, str)
    yield from _optional(path, "if_rejected", old.if_rejected, new.if_rejected, str)


# -- what follows the gate ---------------------------------------------------------------------------------------


def _recycle(old: Recycle, new: Recycle) -> Iterator[Change]:
    path = "recycle"
    before, after = ({reason.name: reason for reason in one.reasons} for one in (old, new))
    yield from _mapping(
        f"{path}.reasons",
        "reason",
        before,
        after,
        say_reason,
        lambda place, one, other: _value(place, "", one, other, say_reason),
    )
    yield from _optional(path, "no_reason", old.no_reason, new.no_reason, str)
    yield from _truth(path, "hand_raise_skips_wait", old.hand_raise_skips_wait, new.hand_raise_skips_wait)
    yield from _optional(path, "at_most", old.at_most, new.at_most, _say_limit)


def _say_limit(limit: tuple[int, Span]) -> str:
    n, span = limit
    return f"{n} in {say_span(span)}"


def _nurture(old: Nurture, new: Nurture) -> Iterator[Change]:
    path = "nurture"
    yield from _items(f"{path}.tracks", old.tracks, new.tracks)
    yield from _optional(f"{path}.near_mql", "within", old.near_within, new.near_within, lambda n: f"{n} points")
    yield from _optional(f"{path}.near_mql", "track", old.near_track, new.near_track, str)
    yield from _optional(path, "faded", old.faded, new.faded, str)
    yield from _items(f"{path}.pause_in", sorted(old.pause_in), sorted(new.pause_in))


def _say_route(route: Route) -> str:
    when = f"when {say(route.when)}, " if route.when is not None else ""
    return f"{when}to {say_target(route.to)}"


def _route(path: str, old: Route, new: Route) -> Iterator[Change]:
    yield from _optional(path, "when", old.when, new.when, say)
    yield from _value(path, "to", old.to, new.to, say_target)
    yield from _value(path, "if_away", old.if_away, new.if_away, say_target)


def _sla(old: Sla | None, new: Sla | None) -> Iterator[Change]:
    path = "sla"
    if old is None or new is None:
        yield from _optional(path, "first_touch", old, new, lambda sla: say_delay(sla.first_touch))
        return
    yield from _value(path, "first_touch", old.first_touch, new.first_touch, say_delay)
    yield from _optional(path, "reassign_after", old.reassign_after, new.reassign_after, say_delay)
    yield from _optional(path, "give_up_after", old.give_up_after, new.give_up_after, str)
    yield from _optional(path, "then", old.then, new.then, say_target)


# -- write, examples ---------------------------------------------------------------------------------------------


def _write(old: WritePlan, new: WritePlan) -> Iterator[Change]:
    before, after = (
        {
            f"{crm}.{object}.{result}": prop
            for (crm, object), properties in one.properties.items()
            for result, prop in properties.items()
        }
        for one in (old, new)
    )
    yield from _mapping(
        "write", "result", before, after, str, lambda path, one, other: _value(path, "", one, other, str)
    )
    was, becomes = ({f"{crm}.{object}": rule for (crm, object), rule in one.lead_status.items()} for one in (old, new))
    for place in dict.fromkeys([*was, *becomes]):
        yield from _optional(
            f"write.{place}.lead_status",
            "value",
            was.get(place),
            becomes.get(place),
            lambda rule: f"{rule.mql} in {rule.property}, only from {', '.join(rule.only_from)}",
        )
    yield from _items("write.human_edit_wins", sorted(old.human_edit_wins), sorted(new.human_edit_wins))
    yield from _value("write.score_step", "", old.score_step, new.score_step, str)
    yield from _value("write.task", "in", old.task_in, new.task_in, lambda crm: str(crm or "the CRM of the person"))
    yield from _value("write.task", "due", old.task_due, new.task_due, lambda n: f"{n} working days")


def _examples(old: Sequence[Example], new: Sequence[Example]) -> Iterator[Change]:
    before, after = ({f"'{one.name}'": one for one in examples} for examples in (old, new))
    yield from _mapping("examples", "example", before, after, _say_example, _example)


def _say_example(example: Example) -> str:
    expected = (
        f"{one.name} {getattr(example.expect, one.name)}"
        for one in fields(example.expect)
        if isinstance(getattr(example.expect, one.name), str)
    )
    return ", ".join(expected) or "it expects points"


def _example(path: str, old: Example, new: Example) -> Iterator[Change]:
    what = [
        word
        for word, one, other in (
            ("its facts", old.facts, new.facts),
            ("its events", old.events, new.events),
            ("its day", old.as_of, new.as_of),
            ("what it expects", old.expect, new.expect),
        )
        if one != other
    ]
    if what:
        yield Change(path=path, text=f"other: {', '.join(what)}")


# -- team.yaml, fields.yaml --------------------------------------------------------------------------------------


def _team(old: Team, new: Team) -> Iterator[Change]:
    yield from _mapping(
        "team.hours",
        "hours",
        old.hours,
        new.hours,
        say_hours,
        lambda path, one, other: _value(path, "", one, other, say_hours),
    )
    yield from _mapping("team.reps", "rep", old.reps, new.reps, lambda rep: rep.name, _rep)
    yield from _mapping("team.pools", "pool", old.pools, new.pools, _say_pool, _pool)
    yield from _mapping("team.queues", "queue", old.queues, new.queues, _say_queue, _queue)
    for pool in dict.fromkeys([*old.managers, *new.managers]):
        yield from _optional(f"team.managers.{pool}", "manager", old.managers.get(pool), new.managers.get(pool), str)
    yield from _items("team.unowned", sorted(old.unowned), sorted(new.unowned))


def _rep(path: str, old: Rep, new: Rep) -> Iterator[Change]:
    yield from _value(path, "name", old.name, new.name, str)
    if old.left != new.left:
        yield Change(path=path, text="has left" if new.left else "is back")
    for word in ("hubspot", "salesforce", "backup", "hours"):
        yield from _optional(path, word, getattr(old, word), getattr(new, word), str)
    before, after = ([away.text for away in one.away] for one in (old, new))
    yield from _items(f"{path}.away", before, after)


def _say_pool(pool: Pool) -> str:
    return f"{pool.method}, {', '.join(rep.email for rep in pool.reps)}"


def _pool(path: str, old: Pool, new: Pool) -> Iterator[Change]:
    yield from _value(path, "method", old.method, new.method, str)
    yield from _value(path, "nobody_free", old.nobody_free, new.nobody_free, say_nobody_free)
    yield from _optional(path, "hours", old.hours, new.hours, str)
    if old.catch_up != new.catch_up:
        yield Change(path=path, text=f"catch_up {'yes' if new.catch_up else 'no'}")
    before, after = ({rep.email: rep for rep in one.reps} for one in (old, new))
    yield from _mapping(path, "rep", before, after, say_pool_rep, _pool_rep)


def _pool_rep(path: str, old: PoolRep, new: PoolRep) -> Iterator[Change]:
    yield from _value(path, "weight", old.weight, new.weight, say_weight)
    for word in ("per_day", "per_week", "open"):
        yield from _optional(path, word, getattr(old, word), getattr(new, word), str)


def _say_queue(queue: Queue) -> str:
    named = [f"{crm} {name}" for crm, name in (("hubspot", queue.hubspot), ("salesforce", queue.salesforce)) if name]
    return ", ".join(named) or "leaves the owner"


def _queue(path: str, old: Queue, new: Queue) -> Iterator[Change]:
    for word in ("hubspot", "salesforce", "tell", "hours"):
        yield from _optional(path, word, getattr(old, word), getattr(new, word), str)
    yield from _optional(path, "alarm_after", old.alarm_after, new.alarm_after, say_delay)


def _fields(old: Policy, new: Policy) -> Iterator[Change]:
    before, after = ({name: str(fact.type) for name, fact in one.custom.items()} for one in (old, new))
    yield from _mapping(
        "fields", "fact", before, after, str, lambda path, one, other: _value(path, "", one, other, str)
    )
    if old.seniority != new.seniority:
        yield Change(path="fields.seniority", text="other words say how senior a title is")
