"""Parts of a policy in the words of the policy language, for whoever reads a typed policy and not its file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date
from decimal import Decimal
from typing import TypeVar, cast

from scoring.conditions import (
    AbsentRule,
    All,
    Count,
    CountMode,
    DomainIn,
    EventMatch,
    EventRule,
    Fade,
    FadeMode,
    FitRule,
    OneOf,
)
from scoring.explain import points
from scoring.phrases import say, say_span
from scoring.policy import Policy, Reason, Target, TargetKind, WaitThen
from scoring.tables import fold
from scoring.team import Delay, Hours, NobodyFree, PoolRep

__all__ = [
    "say_bound",
    "say_count",
    "say_delay",
    "say_fade",
    "say_hours",
    "say_match",
    "say_micro",
    "say_nobody_free",
    "say_percent",
    "say_pool_rep",
    "say_reason",
    "say_rule",
    "say_target",
    "say_weight",
    "with_list_names",
]

T = TypeVar("T")

_OWNERS = (TargetKind.PERSON_OWNER, TargetKind.LAST_OWNER, TargetKind.COMPANY_OWNER)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def say_micro(micro: int | None) -> str:
    """Points; ``none`` for no limit."""
    return "none" if micro is None else points(micro)


def say_percent(hundredths: int | None) -> str:
    """``40%`` of hundredths of a percent; ``none``."""
    return "none" if hundredths is None else f"{(Decimal(hundredths) / 100).normalize():f}%"


def say_bound(bound: int | None) -> str:
    """The bound of a label."""
    return "otherwise" if bound is None else str(bound)


def say_fade(fade: Fade) -> str:
    match fade.mode:
        case FadeMode.NONE:
            return "none"
        case FadeMode.HALF_LIFE:
            return f"half-life {say_span(fade.span)}"
        case FadeMode.EXPIRE:
            return f"expire after {say_span(fade.span)}"
        case FadeMode.LINEAR | FadeMode.COMPOUND:
            compounding = " compounding" if fade.mode is FadeMode.COMPOUND else ""
            return f"lose {say_percent(fade.percent)} every {say_span(fade.span)}{compounding}"


def say_count(count: Count) -> str:
    window = f" in {say_span(count.window)}" if count.window is not None else ""
    match count.mode:
        case CountMode.ONCE_PER:
            return f"once per {count.attribute}"
        case CountMode.AT_LEAST:
            return f"at least {count.n}{window}"
        case CountMode.DISTINCT:
            return f"distinct {count.attribute} at least {count.n}{window}"
        case _:
            return str(count.mode)


def say_match(match: EventMatch) -> str:
    """``page_view (path: /pricing) or demo_request``."""
    kinds = " or ".join(match.kinds)
    here = [kinds if match.where == All() else f"{kinds} ({say(match.where)})"] if match.kinds else []
    return " or ".join([*here, *map(say_match, match.any_of)])


def say_rule(rule: FitRule | EventRule | AbsentRule) -> str:
    """A rule without its name: what it looks at, what it gives, and how that is limited."""
    match rule:
        case FitRule():
            return f"{say(rule.test)} gives {points(rule.micro)}"
        case AbsentRule():
            said = f"no {say_match(rule.match)} for {say_span(rule.span)} gives {points(rule.micro)}"
            return ", ".join([said, *(["every time"] if rule.every else []), *_limits(rule)])
        case EventRule():
            parts = [f"{say_match(rule.match)} gives {points(rule.micro)}"]
            if rule.count != Count():
                parts.append(say_count(rule.count))
            if rule.window is not None:
                parts.append(f"within {say_span(rule.window)}")
            if rule.only_if is not None:
                parts.append(f"only if {say_count(rule.only_if)}")
            if rule.max_per_day is not None:
                parts.append(f"at most {points(rule.max_per_day)} a day")
            if rule.fade != Fade():
                parts.append(say_fade(rule.fade))
            return ", ".join([*parts, *_limits(rule)])


def _limits(rule: EventRule | AbsentRule) -> Iterator[str]:
    if rule.when != All():
        yield f"when {say(rule.when)}"
    if rule.max is not None:
        yield f"max {points(rule.max)}"
    if rule.min is not None:
        yield f"min {points(rule.min)}"


def say_delay(delay: Delay) -> str:
    """``4 working hours``, ``30 minutes``."""
    hours, minutes = divmod(delay.minutes, 60)
    n, unit = (hours, "hour") if not minutes else (delay.minutes, "minute")
    return f"{n} {'working ' if delay.working else ''}{unit}{'' if n == 1 else 's'}"


def say_target(target: str | Target | WaitThen | None) -> str:
    """``pool emea``, ``person.owner``, ``their backup``, ``wait 2 working hours then queue inbound``."""
    match target:
        case None:
            return "nobody"
        case str():
            return target
        case WaitThen(delay=delay, then=then):
            return f"wait {say_delay(delay)} then {say_target(then)}"
        case Target(kind=kind, name=name):
            return str(kind) if kind in _OWNERS else f"{kind} {name}"


def say_nobody_free(nobody: NobodyFree) -> str:
    if nobody.anyway:
        return f"assign anyway else queue {nobody.queue}"
    return (
        f"wait {say_delay(nobody.wait)} then queue {nobody.queue}"
        if nobody.wait is not None
        else f"queue {nobody.queue}"
    )


def say_weight(hundredths: int) -> str:
    return f"{(Decimal(hundredths) / 100).normalize():f}"


def say_pool_rep(rep: PoolRep) -> str:
    parts = [f"weight {say_weight(rep.weight)}"]
    caps = (("a day", rep.per_day), ("a week", rep.per_week), ("open", rep.open))
    return ", ".join([*parts, *(f"at most {n} {word}" for word, n in caps if n is not None)])


def say_hours(hours: Hours) -> str:
    days: list[str] = []
    for day, intervals in zip(_DAYS, hours.days, strict=True):
        if intervals:
            days.append(f"{day} {' '.join(f'{_clock(a)}-{_clock(b)}' for a, b in intervals)}")
    parts = [hours.zone, *days]
    if hours.holidays is not None:
        parts.append(f"holidays {hours.holidays}")
    parts += [f"closed {_dates(first, last)}" for first, last in hours.closed]
    return ", ".join(parts)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _dates(first: date, last: date) -> str:
    return first.isoformat() if first == last else f"{first.isoformat()}..{last.isoformat()}"


def say_reason(reason: Reason) -> str:
    """What follows a rejection for this reason."""
    parts: list[str] = []
    if reason.never:
        parts.append("never")
    if reason.send_to_review:
        parts.append("to review")
    if reason.wait is not None:
        parts.append(f"wait {say_span(reason.wait)}")
    if reason.fresh_points is not None:
        parts.append(f"{reason.fresh_points} fresh points")
    if reason.nurture is not None:
        parts.append(f"nurture {reason.nurture}")
    return ", ".join(parts) or "nothing"


# -- lists -------------------------------------------------------------------------------------------------------


def with_list_names(policy: Policy) -> Policy:
    """The policy with ``in LIST`` where a condition has the values of one of its lists. Only for reading."""
    names = {name: frozenset(map(fold, items)) for name, items in policy.lists.items()}
    return replace(
        policy,
        **{
            name: _named(getattr(policy, name), names)
            for name in ("suppress", "models", "hand_raise", "routing", "review", "stay")
        },
    )


def _named(part: T, lists: Mapping[str, frozenset[str]]) -> T:
    if isinstance(part, OneOf | DomainIn):
        return cast("T", replace(part, values=tuple(_listed(part.values, lists))))
    if isinstance(part, tuple):
        return cast("T", tuple(_named(one, lists) for one in part))
    if is_dataclass(part) and not isinstance(part, type):
        return replace(part, **{one.name: _named(getattr(part, one.name), lists) for one in fields(part)})
    return part


def _listed(values: Iterable[str], lists: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Whole lists by their names, the largest first, then what is left."""
    left = dict.fromkeys(values)
    for name, items in sorted(lists.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        if len(items) > 1 and items <= left.keys():
            yield f"in {name}"
            for item in items:
                del left[item]
    yield from left
