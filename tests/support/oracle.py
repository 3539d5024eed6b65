"""A slow, plain reading of the policy language: people and events as dicts, one rule after another.

Written from the language's description alone, sharing no code with the engine. It exists to disagree.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import groupby
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

from scoring import conditions as c
from scoring.cards import Fresh
from scoring.policy import Bands, Model, Policy

Facts = dict[str, Any]
"""Fact -> text, bool, Decimal, date, or a tuple of texts; ``name!`` -> whether an e-mail or phone is valid."""

Event = dict[str, Any]
"""event_id, kind, day, at (00:00 UTC where there is no time of day), count, attributes."""


# -- days --------------------------------------------------------------------------------------------------------


def plus_months(day: date, months: int) -> date:
    year, month = day.year, day.month
    for _ in range(months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    for d in range(day.day, 0, -1):
        try:
            return date(year, month, d)
        except ValueError:
            continue
    raise AssertionError("every month has a first day")


def months(a: date, b: date) -> int:
    k = 0
    while plus_months(a, k + 1) <= b:
        k += 1
    return k


def spans_passed(day: date, today: date, span: c.Span) -> int:
    return ((today - day).days if span.unit is c.Unit.DAY else months(day, today)) // span.n


def within(day: date, today: date, span: c.Span) -> bool:
    return day <= today and spans_passed(day, today, span) < 1


# -- texts -------------------------------------------------------------------------------------------------------


def folded(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", folded(text))


# -- conditions --------------------------------------------------------------------------------------------------


@dataclass
class View:
    """What a condition may look at. ``scores`` and ``labels`` only in gates."""

    facts: Facts
    today: date
    events: list[Event] = field(default_factory=list)
    scores: dict[c.Score, int] = field(default_factory=dict)
    labels: dict[c.Score, str | None] = field(default_factory=dict)


def holds(node: c.Condition, view: View) -> bool:
    match node:
        case c.All(of=nodes):
            return all(holds(n, view) for n in nodes)
        case c.Any(of=nodes):
            return any(holds(n, view) for n in nodes)
        case c.Not(of=inner):
            return not holds(inner, view)
        case c.ScoreAtLeast(of=of, value=value):
            return view.scores[of] >= value
        case c.ScoreBelow(of=of, value=value):
            return view.scores[of] < value
        case c.LabelIn(of=of, labels=labels):
            return view.labels[of] in labels
        case c.EventExists(match=match, window=window, at_least=n):
            found = [e for e in view.events if matches(match, e, view.today)]
            if window is not None:
                found = [e for e in found if within(e["day"], view.today, window)]
            return sum(e["count"] for e in found) >= n
    value = view.facts.get(node.field)
    if isinstance(node, c.Missing):
        return value is None
    if isinstance(node, c.Validity):
        return value is not None and view.facts[f"{node.field}!"] is node.value
    if value is None:
        return False
    match node:
        case c.Known():
            return True
        case c.Equals(value=bool() as wanted):
            return value is wanted
        case c.Equals(value=wanted):
            return value * 10**6 == wanted
        case c.OneOf(values=values, listed=True):
            return any(folded(item) in values for item in value)
        case c.OneOf(values=values):
            return folded(value) in values
        case c.DomainIn(values=values):
            return any(value.split(".")[-len(v.split(".")) :] == v.split(".") for v in values)
        case c.HasWords(phrases=phrases):
            have = words_of(value)
            return any(
                have[i : i + len(p.split())] == p.split()
                for p in phrases
                for i in range(len(have) - len(p.split()) + 1)
            )
        case c.Contains(parts=parts):
            return any(folded(value).find(p) >= 0 for p in parts)
        case c.StartsWith(parts=parts):
            return any(folded(value)[: len(p)] == p for p in parts)
        case c.AtLeast(value=bound):
            return value * 10**6 >= bound
        case c.Below(value=bound):
            return value * 10**6 < bound
        case c.DateFrom(date=bound):
            return value >= bound
        case c.DateBefore(date=bound):
            return value < bound
        case c.AgeBelow(span=span):
            return within(value, view.today, span)
        case c.AgeFrom(span=span):
            return value <= view.today and not within(value, view.today, span)
    raise AssertionError(node)


def matches(match: c.EventMatch, event: Event, today: date) -> bool:
    if event["kind"] in match.kinds and holds(match.where, View(event["attributes"], today)):
        return True
    return any(matches(other, event, today) for other in match.any_of)


# -- ignored events ----------------------------------------------------------------------------------------------


def ignored(dimension: c.Dimension, events: list[Event], facts: Facts, today: date) -> dict[str, str]:
    """Id of every event that counts for nothing -> the first line that says so. ``events``: all up to today."""
    names: dict[str, str] = {}
    for line in dimension.ignore:
        if not holds(line.when, View(facts, today)):
            continue
        of_line = [e for e in events if matches(line.match, e, today)]
        for event in passing(line.test, of_line, events):
            names.setdefault(event["event_id"], line.name)
    return names


def passing(test: Any, of_line: list[Event], events: list[Event]) -> list[Event]:
    if test is None:
        return of_line
    timed = [e for e in of_line if has_time(e)]
    match test:
        case c.SoonAfter(kind=kind, microseconds=span):
            sent = [d for d in events if d["kind"] == kind and has_time(d)]
            return [e for e in timed if any(soon(e, d, span) and one_mail(e, d) for d in sent)]
        case c.BeforeFirst(kind=kind):
            sent = [d for d in events if d["kind"] == kind and has_time(d) and mail(d) is not None]
            first = {name: min(d["at"] for d in sent if mail(d) == name) for name in {mail(d) for d in sent}}
            return [e for e in timed if mail(e) in first and e["at"] < first[mail(e)]]
        case c.Burst(n=n, attribute=name, microseconds=span):
            found = []
            for start in timed:
                held = [e for e in timed if soon(e, start, span)]
                many = len(held) if name is None else len({value_of(e, name) for e in held})
                found += held if many >= n else []
            return found
    raise AssertionError(test)


def has_time(event: Event) -> bool:
    return event["count"] == 1 and event["at"].time() != time.min


def soon(event: Event, start: Event, microseconds: int) -> bool:
    return timedelta() <= event["at"] - start["at"] < timedelta(microseconds=microseconds)


def value_of(event: Event, name: str) -> Any:
    value = event["attributes"].get(name)
    return folded(value) if isinstance(value, str) else value


def mail(event: Event) -> str | None:
    return value_of(event, "email")


def one_mail(one: Event, other: Event) -> bool:
    return mail(one) is None or mail(other) is None or mail(one) == mail(other)


# -- worth -------------------------------------------------------------------------------------------------------


def half_away(value: Fraction) -> int:
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


def worth(micro: int, fade: c.Fade, day: date, today: date) -> int:
    """Micro-points of one occurrence."""
    age = (today - day).days
    match fade.mode:
        case c.FadeMode.NONE:
            return micro
        case c.FadeMode.EXPIRE:
            return micro if within(day, today, fade.span) else 0
        case c.FadeMode.LINEAR:
            left = 1 - Fraction(fade.percent, 10_000) * spans_passed(day, today, fade.span)
            return half_away(micro * max(Fraction(0), left))
        case c.FadeMode.COMPOUND:
            return half_away(micro * (1 - Fraction(fade.percent, 10_000)) ** spans_passed(day, today, fade.span))
        case c.FadeMode.HALF_LIFE:
            whole, rest = divmod(age, fade.span.n)
            with localcontext() as context:
                context.prec = 80
                factor = (-Decimal(rest) / fade.span.n * Decimal(2).ln()).exp() if rest else Decimal(1)
                return half_away(Fraction(factor) / 2**whole * micro)
    raise AssertionError(fade)


# -- rules -------------------------------------------------------------------------------------------------------

Value = tuple[int | None, int | None]
"""Micro-points (None: nothing to count) and counted occurrences."""


def newest_first(events: list[Event]) -> list[Event]:
    by_id = sorted(events, key=lambda e: e["event_id"])
    return sorted(by_id, key=lambda e: (e["day"], e["at"]), reverse=True)


def chosen(rule: c.EventRule, view: View) -> list[Event]:
    """The occurrences a rule counts, newest first; an event with count k is there k times."""
    if not holds(rule.when, view):
        return []
    found = [e for e in view.events if matches(rule.match, e, view.today)]
    if rule.window is not None:
        found = [e for e in found if within(e["day"], view.today, rule.window)]
    found = newest_first(found)
    if rule.only_if is not None and sum(e["count"] for e in in_window(found, rule.only_if, view)) < rule.only_if.n:
        return []
    return counted(rule.count, found, view)


def in_window(events: list[Event], count: c.Count, view: View) -> list[Event]:
    return [e for e in events if count.window is None or within(e["day"], view.today, count.window)]


def counted(count: c.Count, found: list[Event], view: View) -> list[Event]:
    recent = in_window(found, count, view)
    match count.mode:
        case c.CountMode.EVERY:
            return [e for e in found for _ in range(e["count"])]
        case c.CountMode.ONCE:
            return found[:1]
        case c.CountMode.ONCE_PER_DAY:
            return first_of_each(found, lambda e: e["day"])
        case c.CountMode.ONCE_PER_WEEK:
            return first_of_each(found, lambda e: e["day"].isocalendar()[:2])
        case c.CountMode.ONCE_PER_MONTH:
            return first_of_each(found, lambda e: (e["day"].year, e["day"].month))
        case c.CountMode.ONCE_PER:
            return first_of_each(found, lambda e: attribute(e, count))
        case c.CountMode.AT_LEAST:
            return recent[:1] if sum(e["count"] for e in recent) >= count.n else []
        case c.CountMode.DISTINCT:
            values = {attribute(e, count) for e in recent} - {None}
            return recent[:1] if len(values) >= count.n else []
    raise AssertionError(count)


def attribute(event: Event, count: c.Count) -> str | None:
    return value_of(event, str(count.attribute))


def first_of_each(events: list[Event], key: Any) -> list[Event]:
    seen: set[Any] = set()
    result = []
    for event in events:
        if key(event) not in seen:
            seen.add(key(event))
            result.append(event)
    return result


def fitting(occurrences: list[tuple[Event, int]], most: int) -> list[tuple[Event, int]]:
    """``cap: newest``: while the unfaded points stay below the cap, up to the first that does not fit."""
    kept, running = [], 0
    for event, micro in occurrences:
        if running + micro > most:
            break
        running += micro
        kept.append((event, micro))
    return kept


def limited(value: int, low: int | None, high: int | None) -> int:
    value = value if high is None else min(value, high)
    return value if low is None else max(value, low)


def event_rule(rule: c.EventRule, group: c.Group, view: View) -> tuple[Value, list[Event]]:
    """The rule's value, and the occurrences its own caps leave for the group's."""
    occurrences = chosen(rule, view)
    if not occurrences:
        return (None, None), []
    if (rule.newest_first or group.newest_first) and rule.max is not None and rule.micro > 0:
        kept = [e for e, _ in fitting([(e, rule.micro) for e in occurrences], rule.max)]
    else:
        kept = occurrences
    by_day = groupby(kept, key=lambda e: e["day"])
    total = 0
    for day, events in by_day:
        sum_of_day = sum(worth(rule.micro, rule.fade, e["day"], view.today) for e in events)
        if rule.max_per_day is not None:
            sum_of_day = min(sum_of_day, worth(rule.max_per_day, rule.fade, day, view.today))
        total += sum_of_day
    return (limited(total, rule.min, rule.max), len(kept)), kept


def absent_rule(rule: c.AbsentRule, view: View) -> Value:
    days = [e["day"] for e in view.events if matches(rule.match, e, view.today)]
    if "person.created_at" in view.facts:
        days.append(view.facts["person.created_at"])
    if not days or not holds(rule.when, view) or max(days) > view.today:
        return None, None
    passed = spans_passed(max(days), view.today, rule.span)
    if passed < 1:
        return None, None
    times = passed if rule.every else 1
    return limited(times * rule.micro, rule.min, rule.max), times


def table(node: c.Table, view: View) -> int:
    if view.facts.get(node.field) is None:
        return node.unknown
    for line in node.lines:
        if holds(line.test, view):
            return line.micro
    return node.otherwise


# -- groups and dimensions ---------------------------------------------------------------------------------------


@dataclass
class Part:
    """A dimension taken apart: exact value, value by group, and by group and item."""

    micro: int
    groups: dict[str, int]
    items: dict[tuple[str, str], Value]


def group_value(group: c.Group, view: View, items: dict[tuple[str, str], Value]) -> int:
    values: list[int | None] = []
    competing: list[tuple[Event, int, int]] = []
    for place, item in enumerate(group.items):
        match item:
            case c.Table():
                value: Value = (table(item, view), None)
                name = group.name
            case c.FitRule(name=name):
                value = (item.micro if holds(item.test, view) else None, None)
            case c.EventRule(name=name):
                value, kept = event_rule(item, group, view)
                if item.micro > 0:
                    competing += [(e, item.micro, place) for e in kept]
            case c.AbsentRule(name=name):
                value = absent_rule(item, view)
        items[(group.name, name)] = value
        values.append(value[0] if isinstance(item, c.FitRule) else value[0] or 0)
    if group.newest_first and group.max is not None:
        values = newest_of_group(group, competing, values, view)
    given = [v for v in values if v is not None]
    together = sum(given) if group.combine is c.Combine.SUM else max(given, default=0)
    together = limited(together, group.min, None if group.newest_first else group.max)
    return together if group.weight is None else half_away(Fraction(together * group.weight, 10_000))


def newest_of_group(
    group: c.Group, competing: list[tuple[Event, int, int]], values: list[int | None], view: View
) -> list[int | None]:
    """The values of the positive rules after the group's ``cap: newest``."""
    competing.sort(key=lambda one: (one[0]["event_id"], one[2]))
    competing.sort(key=lambda one: (one[0]["day"], one[0]["at"]), reverse=True)
    fit = fitting([((event, place), micro) for event, micro, place in competing], group.max)
    left = list(values)
    for place, item in enumerate(group.items):
        if isinstance(item, c.EventRule) and item.micro > 0:
            left[place] = sum(worth(micro, item.fade, e["day"], view.today) for (e, p), micro in fit if p == place)
    return left


def dimension(node: c.Dimension, view: View) -> Part:
    items: dict[tuple[str, str], Value] = {}
    groups = {group.name: group_value(group, view, items) for group in node.groups}
    return Part(limited(limited(node.start + sum(groups.values()), None, node.max), node.floor, None), groups, items)


# -- the person --------------------------------------------------------------------------------------------------


@dataclass
class Result:
    model: str
    suppressed: str | None
    grade: str
    fit: Part
    engagement: Part
    total_micro: int
    whole: dict[c.Score, int]
    lines: tuple[str, ...]
    unknown_groups: int
    known_groups: int
    hand_raise: date | None
    review: tuple[str, ...]
    needs: tuple[str, ...]
    drop: bool
    unknown: tuple[str, ...]
    reach: int
    ignored: tuple[tuple[str, str], ...]


def label(bands: Bands | None, points: int) -> str | None:
    if bands is None:
        return None
    for name, bound in zip(bands.labels, bands.bounds, strict=True):
        if bound is None or points >= bound:
            return name
    return bands.labels[-1]


def half_up(micro: int) -> int:
    return floor(Fraction(micro, 10**6) + Fraction(1, 2))


LADDER = ["F", "D-", "D", "D+", "C-", "C", "C+", "B-", "B", "B+", "A-", "A", "A+"]


def model_of(policy: Policy, facts: Facts, today: date) -> Model:
    return next(m for m in policy.models if m.when is None or holds(m.when, View(facts, today)))


def score(policy: Policy, facts: Facts, events: list[Event], today: date) -> Result:
    model = model_of(policy, facts, today)
    there = [e for e in events if e["day"] <= today]
    out = ignored(model.engagement, there, facts, today)
    young = [e for e in there if within(e["day"], today, model.engagement.not_before)]
    view = View(facts, today, [e for e in young if e["event_id"] not in out])
    fit, engagement = dimension(model.fit, view), dimension(model.engagement, view)
    shares = zip((fit.micro, engagement.micro), model.grade.total_weights, strict=True)
    total = limited(sum(half_away(Fraction(m * w, 10_000)) for m, w in shares), None, model.grade.total_max)
    if model.fit.thirds:
        total = engagement.micro
    whole = {
        c.Score.FIT: half_up(fit.micro),
        c.Score.ENGAGEMENT: half_up(engagement.micro),
        c.Score.TOTAL: half_up(total),
    }
    labels = {
        c.Score.FIT: label(model.grade.fit, whole[c.Score.FIT]),
        c.Score.ENGAGEMENT: label(model.grade.engagement, whole[c.Score.ENGAGEMENT]),
        c.Score.TOTAL: label(model.grade.total, whole[c.Score.TOTAL]),
    }
    if model.fit.thirds:
        labels[c.Score.FIT] = LADDER[whole[c.Score.FIT]]
    grade = (labels[c.Score.FIT] or "") + (labels[c.Score.ENGAGEMENT] or "")
    fields = [i.field for g in model.fit.groups for i in g.items if isinstance(i, c.Table)]
    unknown = [f for f in fields if facts.get(f) is None]
    counts = {"fit.unknown_groups": Decimal(len(unknown)), "fit.known_groups": Decimal(len(fields) - len(unknown))}
    gate = View(facts | counts, today, view.events, whole, labels | {c.Score.GRADE: grade})
    ways = [
        way for line in model.become_when for way in (line.test.of if isinstance(line.test, c.Any) else [line.test])
    ]
    reviews = policy.review.lines if policy.review else ()
    raised = [e["day"] for e in view.events if matches(policy.hand_raise, e, today)]
    return Result(
        model=model.name,
        suppressed=next((line.name for line in policy.suppress if holds(line.test, view)), None),
        grade=grade,
        fit=fit,
        engagement=engagement,
        total_micro=total,
        whole=whole,
        lines=tuple(line.name for line in model.become_when if holds(line.test, gate)),
        unknown_groups=len(unknown),
        known_groups=len(fields) - len(unknown),
        hand_raise=max(raised, default=None),
        review=tuple(line.name for line in reviews if holds(line.test, gate)),
        needs=tuple(name for name in policy.needs if facts.get(name) is None),
        drop=policy.stay is not None and holds(policy.stay.drop_when, gate),
        unknown=tuple(dict.fromkeys(unknown)),
        reach=sum(2**place for place, way in enumerate(ways) if holds(without_scores(way), gate)),
        ignored=tuple((e["event_id"], out[e["event_id"]]) for e in newest_first(young) if e["event_id"] in out),
    )


def ways_of(test: c.Condition) -> tuple[c.Condition, ...]:
    return test.of if isinstance(test, c.Any) else (test,)


def without_scores(node: c.Condition) -> c.Condition:
    """What is left to ask when every score is as it should be."""
    match node:
        case c.All(of=nodes):
            return c.All(tuple(map(without_scores, nodes)))
        case c.Any(of=nodes):
            return c.Any(tuple(map(without_scores, nodes)))
        case c.Not(of=inner) if asks_scores(inner):
            return c.All()
        case _:
            return c.All() if asks_scores(node) else node


def asks_scores(node: c.Condition) -> bool:
    match node:
        case c.All(of=nodes) | c.Any(of=nodes):
            return any(map(asks_scores, nodes))
        case c.Not(of=inner):
            return asks_scores(inner)
        case _:
            return isinstance(node, c.ScoreAtLeast | c.ScoreBelow | c.LabelIn)


def fresh(policy: Policy, facts: Facts, events: list[Event], today: date, since: datetime) -> Fresh:
    """What came later than an instant comes to; absence is not asked."""
    model = model_of(policy, facts, today)
    there = [e for e in events if e["day"] <= today]
    out = ignored(model.engagement, there, facts, today)
    local = since.astimezone(ZoneInfo(policy.timezone)).date()
    later = [
        e
        for e in there
        if within(e["day"], today, model.engagement.not_before)
        and e["event_id"] not in out
        and (e["day"] > local if e["at"].time() == time.min else e["at"] > since)
    ]
    groups = tuple(
        replace(group, items=tuple(i for i in group.items if not isinstance(i, c.AbsentRule)))
        for group in model.engagement.groups
    )
    part = dimension(replace(model.engagement, groups=groups), View(facts, today, later))
    raised = any(matches(policy.hand_raise, e, today) for e in later)
    return Fresh(points=half_up(part.micro), raised=raised)
