"""Whether a gate can open although nothing was heard of a person: merely because a day passed.

Most policies only let points fade, so that between two pieces of news nobody comes nearer to the gate, and whoever
replays the past need not score everybody every day. Some do not: a penalty that fades, a date that comes of age, a
grade that is asked to be low. The answer is careful: where it cannot be sure it says that it can.
"""

from __future__ import annotations

from collections.abc import Iterator

from scoring.conditions import (
    AbsentRule,
    AgeBelow,
    AgeFrom,
    All,
    Any,
    Condition,
    Dimension,
    EventExists,
    EventRule,
    FitRule,
    Group,
    LabelIn,
    Not,
    Score,
    ScoreBelow,
    Table,
    leaves,
)
from scoring.policy import Bands, Grade, Model, Policy

__all__ = ["opens_unprompted"]


def opens_unprompted(policy: Policy) -> str | None:
    """Why somebody's gate can open, or a suppress line begin or cease to be true, without any news; None: none can.

    News is a changed fact, an event that becomes known or is corrected, and the day an event is dated.
    """
    for line in policy.suppress:
        if _moves(line.test):
            return f"suppress.{line.name} depends on the day"
    for model in policy.models:
        found = next(_of_model(model), None)
        if found is not None:
            return found
    return None


def _of_model(model: Model) -> Iterator[str]:
    if model.when is not None and _moves(model.when):
        yield f"model {model.name} depends on the day"
    for dimension in (model.fit, model.engagement):
        yield from _of_dimension(dimension)
    for line in model.become_when:
        if _rises(line.test, model.grade):
            yield f"mql.become_when.{line.name} can become true by itself"


def _of_dimension(dimension: Dimension) -> Iterator[str]:
    for ignore in dimension.ignore:
        if _moves(ignore.when):
            yield f"ignore line {ignore.name} depends on the day"
    for group in dimension.groups:
        if group.newest_first:
            # What leaves one rule's window makes room for what another rule counts.
            yield f"group {group.name} has cap: newest"
        yield from _of_group(group)


def _of_group(group: Group) -> Iterator[str]:
    for item in group.items:
        match item:
            case Table():
                tests = [line.test for line in item.lines]
            case FitRule():
                tests = [item.test]
            case EventRule():
                tests = [item.when]
                if item.micro < 0:
                    yield f"rule {item.name} takes points away, and that fades"
            case AbsentRule():
                tests = [item.when]
                if item.micro > 0:
                    yield f"rule {item.name} gives points for absence"
        if any(_moves(test) for test in tests):
            yield f"group {group.name} depends on the day"


def _moves(test: Condition) -> bool:
    """Whether it can become another without news, in either direction."""
    return any(isinstance(one, AgeBelow | AgeFrom | EventExists) for one in leaves(test))


def _rises(test: Condition, grade: Grade) -> bool:
    """Whether a condition of a gate can become true although engagement only falls and windows only move on."""
    match test:
        case All(of) | Any(of):
            return any(_rises(one, grade) for one in of)
        case Not(of):
            return _falls(of)
        case AgeBelow() | AgeFrom():
            return True
        case ScoreBelow(of=Score.FIT):
            return False
        case ScoreBelow():
            return True
        case LabelIn():
            return not _upward(test, grade)
        case _:
            return False


def _falls(test: Condition) -> bool:
    """Whether a condition of a gate can cease to be true without news; anything on engagement, events or ages may."""
    match test:
        case All(of) | Any(of):
            return any(_falls(one) for one in of)
        case Not(of):
            return _falls(of)
        case LabelIn(of=of):
            return of is not Score.FIT
        case _:
            return _moves(test) or (hasattr(test, "of") and test.of is not Score.FIT)


def _upward(test: LabelIn, grade: Grade) -> bool:
    """Whether more engagement never leads out of the labels."""
    match test.of:
        case Score.FIT:
            return True
        case Score.ENGAGEMENT:
            return _from_the_top(set(test.labels), grade.engagement)
        case Score.TOTAL:
            return _from_the_top(set(test.labels), grade.total)
        case Score.GRADE:
            by_fit: dict[str, set[str]] = {}
            for label in test.labels:
                by_fit.setdefault(label[:-1], set()).add(label[-1])
            return all(_from_the_top(digits, grade.engagement) for digits in by_fit.values())


def _from_the_top(labels: set[str], bands: Bands | None) -> bool:
    return bands is not None and labels == set(bands.labels[: len(labels)])
