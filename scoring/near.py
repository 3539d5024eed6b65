"""How far a person is from qualifying, in points and in words.

Everything comes from the scorecard: which gate lines only points keep closed (``reach``), and which fit facts are
unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from scoring.cards import Scorecard
from scoring.conditions import All, Condition, LabelIn, Score, ScoreAtLeast, ScoreBelow, Table, alternatives
from scoring.explain import points
from scoring.policy import Bands, Model, Policy

__all__ = ["Shortfall", "Step", "label", "missing", "shortfall"]

_SCORES = (Score.FIT, Score.ENGAGEMENT, Score.TOTAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One bound not reached: ``target`` as a person says it (``A2``, ``60``), and the whole points short of it."""

    target: str
    short: Mapping[Score, int]

    def __str__(self) -> str:
        parts = [f"{n} {score}" for score, n in self.short.items()]
        last = list(self.short.values())[-1]
        return f"{' and '.join(parts)} {'point' if last == 1 else 'points'} short of {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """The nearest way through the gate: ``line`` would be true with ``points`` whole points more, as ``steps`` say."""

    line: str
    points: int
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return " and ".join(map(str, self.steps))


def shortfall(policy: Policy, card: Scorecard) -> Shortfall | None:
    """The least number of points that would open the gate, by the line nearest to it.

    None where points cannot help: no line has all its other conditions true, or the fit is in thirds. A gate that is
    open has a shortfall of 0 points. Of equal lines and cells the first counts.
    """
    model = _model(policy, card)
    if model.fit.thirds:
        return None
    found: Shortfall | None = None
    bit = 0
    for line in model.become_when:
        for alternative in alternatives(line.test):
            if card.reach >> bit & 1:
                for steps in _ways(alternative, model, card):
                    lacking = _points(steps)
                    if found is None or lacking < found.points:
                        found = Shortfall(line=line.name, points=lacking, steps=steps)
            bit += 1
    return found


def missing(policy: Policy, card: Scorecard) -> str | None:
    """What a person lacks to qualify, in words; None when the gate is open, or shut by a suppress line.

    ``8 engagement points short of A2; unknown: company.employees (up to 35)``. What an unknown fact could add is the
    most that its tables give.
    """
    if card.suppressed is not None or card.lines:
        return None
    model = _model(policy, card)
    short = shortfall(policy, card)
    said = [str(short)] if short is not None and short.points else []
    unknown = [f"{field} ({most})" for field in dict.fromkeys(card.unknown) if (most := _most(model, field))]
    if unknown:
        said.append(f"unknown: {', '.join(unknown)}")
    return "; ".join(said) or None


def _model(policy: Policy, card: Scorecard) -> Model:
    return next(model for model in policy.models if model.name == card.model)


# -- points to a line --------------------------------------------------------------------------------------------


def _ways(test: Condition, model: Model, card: Scorecard) -> Iterator[tuple[Step, ...]]:
    """Each way to make the score conditions of ``test`` true by points alone: the bounds still to be reached."""
    conditions = test.of if isinstance(test, All) else (test,)
    options = [list(_options(one, model, card)) for one in conditions]
    for chosen in product(*options):
        yield tuple(step for step in chosen if step is not None)


def _points(steps: tuple[Step, ...]) -> int:
    """One score counts once, by the furthest of its bounds."""
    return sum(max((step.short.get(score, 0) for step in steps), default=0) for score in _SCORES)


def _options(condition: Condition, model: Model, card: Scorecard) -> Iterator[Step | None]:
    """What would make one condition true: a step each; None: nothing is lacking. Nothing at all: points cannot."""
    match condition:
        case ScoreAtLeast(of, bound):
            lacking = bound - getattr(card, of)
            yield Step(target=str(bound), short={of: lacking}) if lacking > 0 else None
        case ScoreBelow(of, bound):
            if getattr(card, of) < bound:
                yield None
        case LabelIn(Score.GRADE, cells):
            if card.grade in cells:
                yield None
                return
            for cell in cells:
                bounds = {
                    Score.FIT: _bound(model.grade.fit, cell[:-1]),
                    Score.ENGAGEMENT: _bound(model.grade.engagement, cell[-1:]),
                }
                yield from _up_to(cell, bounds, card)
        case LabelIn(of, labels):
            bands = {
                Score.FIT: model.grade.fit,
                Score.ENGAGEMENT: model.grade.engagement,
                Score.TOTAL: model.grade.total,
            }[of]
            if label(bands, getattr(card, of)) in labels:
                yield None
                return
            for one in labels:
                yield from _up_to(one, {of: _bound(bands, one)}, card)
        case _:
            yield None  # true already: that is what `reach` says


def _up_to(target: str, bounds: Mapping[Score, int | None], card: Scorecard) -> Iterator[Step]:
    """The step to a label, unless the person is beyond its bounds already: then it is not points that are lacking."""
    lacking = {of: bound - getattr(card, of) for of, bound in bounds.items() if bound is not None}
    short = {of: n for of, n in lacking.items() if n > 0}
    if short:
        yield Step(target=target, short=short)


def _bound(bands: Bands | None, label: str) -> int | None:
    """The least points of a label; None where there is no least."""
    return dict(zip(bands.labels, bands.bounds, strict=True)).get(label) if bands is not None else None


def label(bands: Bands | None, value: int) -> str | None:
    """The label of whole points; None without bands. Below the last bound the last one."""
    if bands is None:
        return None
    found = (label for label, bound in zip(bands.labels, bands.bounds, strict=True) if bound is None or value >= bound)
    return next(found, bands.labels[-1])


# -- unknown facts -----------------------------------------------------------------------------------------------


def _most(model: Model, field: str) -> str | None:
    """``up to 35``: the most that the tables of this fact can give; None when that is nothing."""
    most = 0
    for group in model.fit.groups:
        for item in group.items:
            if isinstance(item, Table) and item.field == field:
                best = max([*(line.micro for line in item.lines), item.otherwise])
                if group.max is not None:
                    best = min(best, group.max)
                most += max(0, best if group.weight is None else best * group.weight // 10_000)
    if not most:
        return None
    return f"up to {points(most)}{' thirds' if model.fit.thirds else ''}"
