"""Learned points as types and as text: what `scoring.learn` finds, written as a part of policy.yaml a person can read.

Knows no numbers library, so that a patch can be shown, loaded and compared without the extra that made it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from scoring.conditions import OneOf
from scoring.document import Kind, Node
from scoring.facts import FACTS, FactType, custom_fact
from scoring.phrases import Field, Names, parse_phrase
from scoring.tables import fold

__all__ = [
    "Band",
    "Column",
    "ColumnKind",
    "Estimate",
    "LeftOut",
    "Line",
    "Method",
    "PointsTable",
    "Suggestion",
    "TooFewOutcomes",
    "area_under_curve",
    "bayes_points",
    "figures",
    "number_text",
    "patch_text",
    "phrase_of",
    "summary",
]


class Method(StrEnum):
    LOGISTIC = "logistic"
    BAYES = "bayes"


class ColumnKind(StrEnum):
    """``count``: occurrences of a kind of event; it becomes rules of engagement, the other two become tables of fit."""

    NUMBER = "number"
    TEXT = "text"
    COUNT = "count"


class TooFewOutcomes(ValueError):
    """There is not enough to learn from. The text says what there is and what would be enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What is known of everybody, in the order of the rows; None is a missing value.

    fact   the policy's name for it; for a count the kind of event
    title  the name a person knows it by: the column of the table, or the fact again
    why    a sentence why it must not be used, empty for one that may be
    """

    fact: str
    title: str
    kind: ColumnKind
    values: Sequence[float | str | None]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a table: its phrase, its whole points, and of how many rows (and won rows) that was learned."""

    phrase: str
    points: int
    n: int
    won: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsTable:
    """Lines in the order of the file: ``from`` highest first, texts by frequency, then ``unknown``, ``otherwise``."""

    fact: str
    title: str
    kind: ColumnKind
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    title: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Cross-validated area under the curve: the mean over ``folds`` test parts, and a 95 % interval for it."""

    auc: float
    low: float
    high: float
    folds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Of all rows, those with at least ``points``: how many, and how many of them were won (test parts only)."""

    points: int
    n: int
    won: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """What was learned from ``n`` rows with a known outcome, ``won`` of them won.

    doubling  points that double the odds
    step      every point value is a multiple of it
    window    days in which events are counted
    fitted    area under the curve on the very rows the points were made from: an upper bound, shown beside the estimate
    current   area under the curve of the points in use (``current_name``) on the same rows, None: not compared
    """

    method: Method
    doubling: int
    step: int
    n: int
    won: int
    window: int
    tables: tuple[PointsTable, ...]
    left_out: tuple[LeftOut, ...]
    bands: tuple[Band, ...]
    estimate: Estimate
    fitted: float
    notes: tuple[str, ...] = ()
    current: float | None = None
    current_name: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "method": self.method.value,
            "points_per_doubling": self.doubling,
            "rows": self.n,
            "won": self.won,
            "lost": self.n - self.won,
            "auc": {
                "value": round(self.estimate.auc, 4),
                "low": round(self.estimate.low, 4),
                "high": round(self.estimate.high, 4),
                "folds": self.estimate.folds,
                "on_the_rows_fitted": round(self.fitted, 4),
            },
            "current": None if self.current is None else {"name": self.current_name, "auc": round(self.current, 4)},
            "tables": [
                {
                    "fact": table.fact,
                    "column": table.title,
                    "kind": table.kind.value,
                    "lines": [
                        {"phrase": line.phrase, "points": line.points, "rows": line.n, "won": line.won}
                        for line in table.lines
                    ],
                }
                for table in self.tables
            ],
            "thresholds": [{"from": band.points, "rows": band.n, "won": band.won} for band in self.bands],
            "left_out": [{"column": left.title, "why": left.why} for left in self.left_out],
            "notes": list(self.notes),
        }


# -- figures -----------------------------------------------------------------------------------------------------


def area_under_curve(scores: Sequence[float], won: Sequence[bool]) -> float:
    """How often a won row has the higher score than a lost one, a tie counting half: 0.5 is chance, 1 is perfect.

    Raises ValueError where all rows have the same outcome.
    """
    positives = sum(won)
    negatives = len(won) - positives
    if not positives or not negatives:
        raise ValueError("all rows have the same outcome: there is nothing to tell apart")
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    ranks, at = 0.0, 0
    while at < len(order):
        end = at
        while end < len(order) and scores[order[end]] == scores[order[at]]:
            end += 1
        middle = (at + 1 + end) / 2
        ranks += middle * sum(won[order[i]] for i in range(at, end))
        at = end
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def bayes_points(won: int, all_won: int, lost: int, all_lost: int, *, doubling: int, values: int = 0) -> float:
    """Exact points of one value of a field: ``doubling`` x log2 of how much likelier it is among the won.

    won, lost          rows with the value
    all_won, all_lost  rows with any known value of the field
    values             how many values were seen: every count is then one more. 0: no smoothing, all counts above 0

    Odoo's predictive score, as the policy language gives it (section 18).
    """
    extra = 1 if values else 0
    return doubling * math.log2(
        ((won + extra) / (all_won + values * extra)) / ((lost + extra) / (all_lost + values * extra))
    )


# -- the patch ---------------------------------------------------------------------------------------------------


def phrase_of(fact: str, text: str) -> str:
    """The phrase that is true for this text of a fact and for no other: the text, or ``is`` and the text.

    Decided by the language's own reader: a text that it would take for something else (``from Berlin``) gets an ``is``.
    """
    plain = " ".join(text.split())
    known = FACTS.get(fact) or custom_fact(fact)
    if known.type is not FactType.TEXT or _reads_as(known.name, plain, plain):
        return plain
    return f"is {plain}"


def _reads_as(fact: str, phrase: str, text: str) -> bool:
    if phrase.casefold() in ("unknown", "otherwise"):
        return False
    node = Node(file="", line=0, col=0, path="", kind=Kind.TEXT, value=phrase, problems=[])
    test = parse_phrase(node, Field(fact, FactType.TEXT), Names(facts={}))
    return not node.problems and test == OneOf(fact, (fold(text),))


def patch_text(of: Suggestion, source: str) -> str:
    """The patch: `fit` (and `engagement`) of policy.yaml, with what each line was learned from beside it.

    ``source`` is named in the head. Loads when it stands in a policy in place of these sections.
    """
    return "\n".join([*_head(of, source), *_fit(of), *_engagement(of)]) + "\n"


def _head(of: Suggestion, source: str) -> Iterator[str]:
    yield f"# Points learned by `mqlsync policy suggest` from {source}."
    for line in figures(of):
        yield f"# {line}"
    yield "#"
    yield f"# {of.doubling} points more: the odds of winning double. 0 is the average row, for a line and for the sum."
    if of.bands:
        yield "#"
        yield "# What a threshold would have given, on rows the points were not made from (for mql.become_when):"
        for band in of.bands:
            yield f"#   from {band.points:>4}: {band.n:>7,} rows, {_share(band.won, band.n)} of them won"
    yield "#"
    yield "# To use it: read it, put these sections in place of your own in policy.yaml, set the thresholds of"
    yield "# mql.become_when and of grade (end with `otherwise`: there is no floor), then see `mqlsync plan`."
    if custom := [t for t in of.tables if ".custom." in t.fact]:
        yield "# These facts belong into fields.yaml, below an object, with the names your CRM has for them:"
        for table in custom:
            name = table.fact.rpartition(".")[2]
            value = f"{{property: {name}, type: number}}" if table.kind is ColumnKind.NUMBER else name
            yield f"#   {table.fact}: {value}" + (f"  # {_one_line(table.title)}" if table.title != name else "")


def _fit(of: Suggestion) -> Iterator[str]:
    tables = [t for t in of.tables if t.kind is not ColumnKind.COUNT]
    if not tables:
        return
    yield "fit:"
    yield "  max: none"
    yield "  floor: none"
    yield "  groups:"
    names: set[str] = set()
    for table in tables:
        yield f"    {_scalar(_group(table.fact, names))}:"
        yield f"      field: {table.fact}"
        yield "      points:"
        keys = [_scalar(line.phrase) for line in table.lines]
        lowest = _lowest_bound(table)
        wide = max(len(f"{key}: {line.points}") for key, line in zip(keys, table.lines, strict=True))
        for key, line in zip(keys, table.lines, strict=True):
            note = f"below {lowest}: " if line.phrase == "otherwise" and lowest else ""
            yield f"        {f'{key}: {line.points}':<{wide}}  # {note}{_learned_from(line)}"


def _engagement(of: Suggestion) -> Iterator[str]:
    """Counts as rules that add up: each further threshold gives what it is worth more than the one below it."""
    tables = [t for t in of.tables if t.kind is ColumnKind.COUNT]
    if not tables:
        return
    yield "engagement:"
    yield "  max: none"
    yield "  floor: none"
    yield "  groups:"
    for table in tables:
        yield f"    {table.fact}:"
        yield "      rules:"
        steps = [line for line in table.lines if line.phrase.startswith("from ")]
        base = next(line.points for line in table.lines if line.phrase == "otherwise")
        for line in reversed(steps):
            times = line.phrase.removeprefix("from ")
            spoken = table.fact.replace("_", " ")
            yield f"        - name: {spoken}, {times} in {of.window} days"
            yield f"          event: {table.fact}"
            yield f"          count: at least {times} in {of.window} days"
            yield f"          points: {line.points - base}  # {_learned_from(line)}"
            base = line.points


def _lowest_bound(table: PointsTable) -> str:
    if table.kind is ColumnKind.TEXT:
        return ""
    bounds = [line.phrase.removeprefix("from ") for line in table.lines if line.phrase.startswith("from ")]
    return bounds[-1] if bounds else ""


def _learned_from(line: Line) -> str:
    return f"n = {line.n:,}, {_share(line.won, line.n)} won" if line.n else "nobody seen"


def _share(part: int, of: int) -> str:
    return f"{100 * part / of:.0f} %" if of else "none"


def _group(fact: str, taken: set[str]) -> str:
    name = fact.removeprefix("person.").removeprefix("custom.").replace(".", "_")
    unique, n = name, 1
    while unique in taken:
        n += 1
        unique = f"{name}_{n}"
    taken.add(unique)
    return unique


_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _./&+()'-]*")


def _scalar(text: str) -> str:
    """A YAML scalar: plain where no reader can mistake it, else in double quotes, as JSON writes them."""
    return text if _PLAIN.fullmatch(text) and not text.endswith(" ") else json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())


# -- for a terminal ----------------------------------------------------------------------------------------------


def figures(of: Suggestion) -> Iterator[str]:
    """Sample sizes and how well it ranks, beside the points in use."""
    yield f"{of.n:,} rows with a known outcome: {of.won:,} won ({_share(of.won, of.n)}), {of.n - of.won:,} lost."
    e = of.estimate
    yield (
        f"AUC {e.auc:.3f} (95 % interval {e.low:.3f} to {e.high:.3f}) of the whole points, method {of.method}: "
        f"cross-validated, {e.folds} test parts, each scored by points made without it."
    )
    if of.current is not None:
        yield f"AUC of {of.current_name} on the same rows: {of.current:.3f}."
    yield from of.notes


def summary(of: Suggestion) -> Iterator[str]:
    """What a terminal shows: the figures, the tables, what was left out and why."""
    yield from figures(of)
    if of.current is None:
        yield "Not compared with points in use: name a policy or an earlier patch with --against FILE."
    yield f"AUC {of.fitted:.3f} on the rows the points were made from; expect the cross-validated figure."
    yield ""
    for table in of.tables:
        lows, highs = min(line.points for line in table.lines), max(line.points for line in table.lines)
        yield f"  {_one_line(table.title)}: {lows:+d} to {highs:+d} points in {len(table.lines)} lines"
    if of.left_out:
        yield ""
        yield "Left out:"
        for left in of.left_out:
            yield f"  {_one_line(left.title)}: {left.why}"


def number_text(value: float) -> str:
    """A bound as the language reads it: at most six decimals, no exponent."""
    text = f"{Decimal(str(round(value, 6))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
