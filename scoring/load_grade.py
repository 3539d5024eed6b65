"""The ``grade`` section, and the labels by which conditions name a score."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial

from scoring.conditions import LADDER, Dimension, Score
from scoring.document import Kind, Node, Unreadable
from scoring.load_points import parse_positive, parse_whole
from scoring.policy import Bands, Grade
from scoring.tables import MICRO

__all__ = ["NO_NUMBER", "STEPS", "Scale", "check_floors", "graded", "misnamed", "read_grade"]

STEPS = Bands(labels=LADDER[::-1], bounds=tuple(range(len(LADDER)))[::-1])
"""The labels of a fit in thirds: each step of the ladder is one."""

NO_NUMBER = "fit is in thirds, a step of F to A+ and no number"


def read_grade(node: Node) -> Grade:
    """The section as it stands; `graded` makes it that of a model."""
    found = node.fields("fit", "engagement", "total")
    total = found["total"].fields("weights", "max", "bands") if "total" in found else {}
    weights = (10_000, 10_000)
    if "weights" in total:
        given = total["weights"].fields("fit", "engagement", required=("fit", "engagement"))
        if len(given) == 2:
            weights = (given["fit"].percent(), given["engagement"].percent())
    return Grade(
        fit=_bands(found["fit"], _LABELS["fit"], "one letter") if "fit" in found else None,
        engagement=_bands(found["engagement"], _LABELS["engagement"], "one digit") if "engagement" in found else None,
        total_weights=weights,
        total_max=total["max"].read(parse_positive, 0) if "max" in total else None,
        total=_bands(total["bands"], r"\S.*", "a word") if "bands" in total else None,
    )


_LABELS = {"fit": r"[A-Za-z]", "engagement": r"[0-9]"}


def misnamed(node: Node | None) -> bool:
    """Whether the section has a label that cannot be one: then nobody knows which labels are meant elsewhere."""
    parts = ((node.get(part), pattern) for part, pattern in _LABELS.items()) if node is not None else ()
    return any(
        not re.fullmatch(pattern, entry.key) for part, pattern in parts if part is not None for entry in part.entries
    )


def graded(grade: Grade, node: Node | None, fit: Dimension, *, at: Node | None) -> Grade:
    """The grade of a model with this fit: thirds bring their own labels and leave no total.

    ``at``: where to report, for a model that takes the section of the top level.
    """
    if not fit.thirds:
        return grade
    for key, instead in (("fit", "its labels are the steps"), ("total", "there is no total")):
        given = node.get(key) if node is not None else None
        if given is not None and at is not None:
            said = f"{NO_NUMBER}, and grade.{key} (line {given.line}) is for points: give this model its own grade"
            at.error(said, code="E04")
        elif given is not None:
            given.error(f"{NO_NUMBER}: {instead}", code="E04")
    return replace(grade, fit=STEPS, total=None)


def check_floors(node: Node, grade: Grade, fit: Dimension, engagement: Dimension, *, at: Node | None) -> None:
    """The last label must take whatever is left down to the floor."""
    floors = (fit.floor, engagement.floor)
    total = (
        None
        if any(f is None and w for f, w in zip(floors, grade.total_weights, strict=True))
        else sum((f or 0) * w // 10_000 for f, w in zip(floors, grade.total_weights, strict=True))
    )
    checks = (
        (grade.fit, fit.floor, ("fit",)),
        (grade.engagement, engagement.floor, ("engagement",)),
        (grade.total, total, ("total", "bands")),
    )
    for bands, floor, keys in checks:
        if bands is None or not bands.bounds or bands.bounds[-1] is None:
            continue
        below = floor is None or bands.bounds[-1] * MICRO > floor
        place = node.find(*keys)
        if below and place is not None:
            least = "there is no floor" if floor is None else f"the floor is {Decimal(floor) / MICRO:f}"
            (at or place).error(
                f"nobody below {bands.bounds[-1]} has a label, and {least}: end with '{bands.labels[-1]}: otherwise'",
                code="E03",
            )


def _bands(node: Node, pattern: str, what: str) -> Bands:
    labels: list[str] = []
    bounds: list[int | None] = []
    entries = node.pairs()
    if node.kind is Kind.MAPPING and not entries:
        node.error("there are no labels")
    previous: int | None = None
    for index, entry in enumerate(entries):
        if not re.fullmatch(pattern, entry.key):
            node.error(f"'{entry.key}': a label is {what}", at=entry.name)
        last = index == len(entries) - 1
        bound = entry.node.read(partial(_bound, last=last), None)
        if bound is not None and previous is not None and bound >= previous:
            entry.node.error(f"{bound} is not below {previous}: bounds fall strictly", code="E03")
        previous = bound if bound is not None else previous
        labels.append(entry.key)
        bounds.append(bound)
    return Bands(labels=tuple(labels), bounds=tuple(bounds))


def _bound(text: str, *, last: bool) -> int | None:
    if text == "otherwise":
        if not last:
            raise Unreadable("'otherwise' must be last", code="E03")
        return None
    return parse_whole(text)


# -- labels ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scale:
    """By what one model is graded. ``misnamed``: its labels are wrong, which is said where they stand."""

    thirds: bool
    grade: Grade
    misnamed: bool = False

    def labels(self, of: Score) -> Mapping[str, tuple[str, ...]]:
        """Every label a condition may name, and the labels it means: a bare letter means all its steps."""
        match of:
            case Score.GRADE:
                digits = self.grade.engagement.labels if self.grade.engagement else ()
                fits = self.labels(Score.FIT)
                return {f"{f}{e}": tuple(f"{step}{e}" for step in steps) for f, steps in fits.items() for e in digits}
            case Score.FIT if self.thirds:
                return {step: _meant(step) for step in STEPS.labels}
            case Score.FIT:
                return _themselves(self.grade.fit)
            case Score.ENGAGEMENT:
                return _themselves(self.grade.engagement)
            case Score.TOTAL:
                return _themselves(self.grade.total)


def _themselves(bands: Bands | None) -> Mapping[str, tuple[str, ...]]:
    labels: Iterable[str] = bands.labels if bands is not None else ()
    return {label: (label,) for label in labels}


def _meant(step: str) -> tuple[str, ...]:
    return tuple(one for one in STEPS.labels if one[0] == step) if len(step) == 1 else (step,)
