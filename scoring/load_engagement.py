"""The ``engagement`` section: rules about events, and which events count for nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from scoring.conditions import (
    AbsentRule,
    All,
    BeforeFirst,
    Burst,
    Condition,
    Count,
    CountMode,
    Dimension,
    EventMatch,
    EventRule,
    Fade,
    Group,
    Ignore,
    SoonAfter,
    Span,
    Unit,
)
from scoring.document import Entry, Node, Unreadable, did_you_mean, parse_clock, parse_days
from scoring.facts import ATTRIBUTES, EVENT_KINDS, FactType
from scoring.load_points import (
    RuleNames,
    limits,
    parse_points,
    parse_positive,
    read_dimension,
    read_group,
    read_rules,
    said_condition,
    said_value,
)
from scoring.phrases import (
    Names,
    kinds_of,
    lacks,
    parse_condition,
    parse_count,
    parse_fade,
    parse_least,
    parse_match,
)

__all__ = ["EngagementReader"]

MAX_NOT_BEFORE_DAYS = 3650
MAX_NOT_BEFORE_MONTHS = 119
MAX_IN_A_BURST = 1_000_000
MAX_CLOCK = timedelta(hours=8_760)
_TESTS = ("within", "before", "at_least")


@dataclass(frozen=True, slots=True)
class _Fading:
    """What a rule takes over from its group."""

    fade: Fade
    newest_first: bool
    capped: bool


@dataclass(frozen=True, slots=True)
class EngagementReader:
    """Reads the engagement of one model."""

    names: Names
    rules: RuleNames

    def read(self, node: Node) -> Dimension:
        found = node.fields("max", "floor", "groups", "not_before", "ignore", required=("groups",))
        ignore = tuple(self._ignore(line) for line in found["ignore"].each()) if "ignore" in found else ()
        made = replace(read_dimension(found, self._group), ignore=ignore)
        if "not_before" in found:
            made = replace(made, not_before=found["not_before"].read(_not_before, made.not_before))
        return made

    # -- rules

    def _group(self, entry: Entry) -> Group:
        return read_group(entry, self._rules, "fade", "cap")

    def _rules(self, entry: Entry, found: Mapping[str, Node]) -> Group:
        for key in ("field", "points"):
            if key in found:
                found[key].error("tables are for fit: engagement groups have rules")
        if "rules" not in found:
            entry.node.under(f"{entry.node.path}.rules").error("this key is missing")
            return Group(name=entry.key, items=())
        newest = found["cap"].read(_newest, False) if "cap" in found else False
        passed_on = _Fading(
            fade=found["fade"].read(parse_fade, Fade()) if "fade" in found else Fade(),
            newest_first=newest,
            capped="max" in found,
        )
        nodes = read_rules(found["rules"])
        if newest and "max" not in found and not any("max" in (e.key for e in n.entries) for n in nodes):
            found["cap"].error("'cap: newest' needs a max")
        return Group(name=entry.key, items=tuple(self._rule(n, passed_on) for n in nodes), newest_first=newest)

    def _rule(self, node: Node, group: _Fading) -> EventRule | AbsentRule:
        found = node.fields(
            *("name", "event", "where", "when", "within", "points", "count", "only_if", "max_per_day"),
            *("max", "min", "fade", "cap", "absent_for", "reason"),
            required=("event", "points"),
        )
        match = parse_match(found["event"], found.get("where"), self.names) if "event" in found else EventMatch(())
        when = parse_condition(found["when"], self.names) if "when" in found else All()
        name, reason = self.rules.of(node, found, _said_event(found))
        micro = found["points"].read(parse_points, 0) if "points" in found else 0
        if "absent_for" in found:
            return _absent_rule(found, name, reason, match, micro, when)
        top, low = limits(found)
        newest = found["cap"].read(_newest, False) if "cap" in found else group.newest_first
        if "cap" in found and "max" not in found and not group.capped:
            found["cap"].error("'cap: newest' needs a max")
        per_day = found["max_per_day"].read(parse_positive, 0) if "max_per_day" in found else None
        if "max_per_day" in found and (newest or micro < 0):
            with_what = "'cap: newest'" if newest else "negative points"
            found["max_per_day"].error(f"max_per_day cannot be used with {with_what}", code="E04")
        count = partial(parse_count, kinds=kinds_of(match))
        return EventRule(
            name=name,
            reason=reason,
            match=match,
            micro=micro,
            when=when,
            window=found["within"].days() if "within" in found else None,
            count=found["count"].read(count, Count()) if "count" in found else Count(),
            fade=found["fade"].read(parse_fade, Fade()) if "fade" in found else group.fade,
            only_if=found["only_if"].read(_only_if, None) if "only_if" in found else None,
            max_per_day=per_day,
            max=top,
            min=low,
            newest_first=newest,
        )

    # -- ignored events

    def _ignore(self, node: Node) -> Ignore:
        found = node.fields("name", "event", "where", "when", *_TESTS, required=("event",))
        match = parse_match(found["event"], found.get("where"), self.names) if "event" in found else EventMatch(())
        tests = [f"{key.replace('_', ' ')} {said_value(found[key])}" for key in _TESTS if key in found]
        name, _ = self.rules.of(node, found, ", ".join([_said_event(found), *tests]))
        return Ignore(
            name=name,
            match=match,
            when=parse_condition(found["when"], self.names) if "when" in found else All(),
            test=_test(found, kinds_of(match)),
        )


def _test(found: Mapping[str, Node], kinds: Sequence[str]) -> SoonAfter | BeforeFirst | Burst | None:
    given = [key for key in found if key in _TESTS]
    for another in given[1:]:
        found[another].error(f"a line has at most one test: here are '{given[0]}' and '{another}'")
    if "within" in found:
        return found["within"].read(_soon_after, None)
    if "before" in found:
        return found["before"].read(partial(_before_first, kinds=kinds), None)
    if "at_least" in found:
        return found["at_least"].read(partial(_burst, kinds=kinds), None)
    return None


def _soon_after(text: str) -> SoonAfter | None:
    """``10 seconds of email_delivered``."""
    span, of, kind = " ".join(text.split()).partition(" of ")
    if not of:
        raise Unreadable(f"'{text}': write it like '10 seconds of email_delivered'")
    return SoonAfter(_real_kind(kind), _microseconds(span))


def _before_first(text: str, *, kinds: Sequence[str]) -> BeforeFirst | None:
    for kind in (*kinds, _real_kind(text)):
        if "email" not in EVENT_KINDS[kind]:
            raise Unreadable(f"{kind} has no email by which to tell what was before what", code="E02")
    return BeforeFirst(text)


def _burst(text: str, *, kinds: Sequence[str]) -> Burst | None:
    """``3 links in 2 seconds``, ``5 times in 1 minute``."""
    found = re.fullmatch(r"([0-9]{1,9}) (\S+) in (.+)", " ".join(text.split()))
    if found is None:
        raise Unreadable(f"'{text}': write it like '3 links in 2 seconds' or '5 times in 1 minute'")
    n, counted, span = int(found[1]), found[2], _microseconds(found[3])
    if not 1 <= n <= MAX_IN_A_BURST:
        raise Unreadable(f"'{text}': a number from 1 to {MAX_IN_A_BURST} is wanted here")
    if counted == "times":
        return Burst(n, None, span)
    attribute = counted.removesuffix("s")
    plurals = ["times", *(f"{name}s" for name, type in ATTRIBUTES.items() if type is FactType.TEXT)]
    if counted not in plurals:
        raise Unreadable(f"unknown attribute '{counted}'{did_you_mean(counted, plurals)}", code="E02")
    lacking = lacks(attribute, kinds)
    if lacking is not None:
        raise Unreadable(lacking, code="E02")
    return Burst(n, attribute, span)


def _microseconds(text: str) -> int:
    clock = parse_clock(text)
    if not timedelta() < clock <= MAX_CLOCK:
        raise Unreadable(f"'{text}': from 1 second to {MAX_CLOCK // timedelta(hours=1)} hours")
    return clock // timedelta(microseconds=1)


def _real_kind(text: str) -> str:
    if text not in EVENT_KINDS:
        raise Unreadable(f"unknown event '{text}'{did_you_mean(text, EVENT_KINDS)}", code="E02")
    return text


# -- small readers -----------------------------------------------------------------------------------------------


def _absent_rule(
    found: Mapping[str, Node], name: str, reason: str, match: EventMatch, micro: int, when: Condition
) -> AbsentRule:
    for key in ("within", "only_if", "max_per_day", "fade", "cap"):
        if key in found:
            found[key].error(f"'{key}' cannot be used with absent_for")
    if "points" in found and micro >= 0:
        found["points"].error("points for absence must be negative")
    top, low = limits(found)
    return AbsentRule(
        name=name,
        reason=reason,
        match=match,
        span=found["absent_for"].days(),
        micro=micro,
        when=when,
        every="count" in found and found["count"].choice(("once", "every")) == "every",
        max=top,
        min=low,
    )


def _not_before(text: str) -> Span:
    span = parse_days(text)
    most = MAX_NOT_BEFORE_DAYS if span.unit is Unit.DAY else MAX_NOT_BEFORE_MONTHS
    if span.n > most:
        raise Unreadable(f"'{text}': at most {most} {span.unit}s")
    return span


def _newest(text: str) -> bool:
    if text != "newest":
        raise Unreadable(f"'{text}': the only cap is 'newest'")
    return True


def _only_if(text: str) -> Count | None:
    n, window = parse_least(text)
    return Count(CountMode.AT_LEAST, n=n, window=window)


def _said_event(found: Mapping[str, Node]) -> str:
    said = said_value(found["event"]).replace("_", " ") if "event" in found else ""
    if "where" in found:
        said += f" ({said_condition(found['where'])})"
    if "when" in found:
        said += f", {said_condition(found['when'])}"
    if "absent_for" in found:
        said = f"no {said.replace('any', 'activity', 1)} for {said_value(found['absent_for'])}"
    return said
