"""Scores a plain table with a policy, or with a patch that `policy suggest` wrote: through the engine, as people are.

A table has no events, so that only fit is scored. Every score is the sum of its reasons.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from scoring import derive
from scoring.cards import Scorecard, cards
from scoring.conditions import Score, Table
from scoring.document import Kind, Node, PolicyInvalid, Source, read_document
from scoring.engine import DuckDbEngine
from scoring.facts import FACTS, Fact, FactType, custom_fact
from scoring.load import load_policy
from scoring.policy import Policy
from scoring.tables import MICRO, Bucket, FactValue, people_row, people_schema
from sync.gather import parse
from sync.outcomes import PlainTable, TableUnusable, fact_of

__all__ = ["LoadedPoints", "Reason", "RowScore", "load_points", "score_rows"]

BATCH = 20_000
"""Rows scored at a time."""

_NAME = re.compile(r"(person|company)\.(custom\.)?[a-z][a-z0-9_]*")
_BOUND = re.compile(r"(from|below) -?[0-9]+(\.[0-9]+)?")

_REST = {
    "version": "version: 1\n",
    "name": "name: points\n",
    "mql": "mql: {become_when: {never: {fit: from 1000000}}}\n",
    "routing": "routing: [{to: queue nobody}]\n",
}
"""What a patch does not say and a policy must. Nobody is qualified or assigned here."""

_TEAM = b"version: 1\nqueues: {nobody: {}}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPoints:
    """A policy that scores, and the facts its fit asks for."""

    policy: Policy
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Points and what gave them. ``value``: the cell of a table's fact, None where it is not one cell."""

    name: str
    points: int | float
    value: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "points": self.points}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowScore:
    """A row's whole points; ``row`` 1 is the first below the names of the columns. The reasons add up to ``score``."""

    row: int
    score: int
    reasons: tuple[Reason, ...]

    def as_json(self) -> dict[str, Any]:
        return {"row": self.row, "score": self.score, "reasons": [reason.as_json() for reason in self.reasons]}


def load_points(path: Path) -> LoadedPoints:
    """A policy, or a part of one with `fit`. What a policy needs besides is filled in.

    Raises
    ------
    TableUnusable: the file is missing, or has no fit
    PolicyInvalid: all its errors
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TableUnusable(f"{path} cannot be read: {error.strerror}") from None
    root = read_document(content, str(path))
    if errors := [problem for problem in root.problems if not problem.warning]:
        raise PolicyInvalid(errors)
    fit = root.get("fit")
    if fit is None:
        raise TableUnusable(f"{path} has no section 'fit': a table without events has nothing else to score")
    rest = "".join(text for key, text in _REST.items() if root.get(key) is None)
    custom = _custom(root)
    beside = path.parent / "team.yaml"
    whole = root.get("routing") is not None and beside.is_file()
    policy, _ = load_policy(
        Source(str(path), content.rstrip() + b"\n" + rest.encode()),
        Source(str(beside), beside.read_bytes()) if whole else Source("team.yaml", _TEAM),
        lists=lambda name: (path.parent / name).read_text(encoding="utf-8"),
        custom=custom,
    )
    asked = {name for name, _ in _named(fit)}
    return LoadedPoints(policy=policy, facts={name: custom.get(name) or FACTS[name] for name in sorted(asked)})


def _named(node: Node) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every fact that is named below a node, with the phrases about it."""
    for entry in node.entries:
        if _NAME.fullmatch(entry.key):
            phrases = entry.node.items if entry.node.kind is Kind.LIST else (entry.node,)
            yield entry.key, tuple(str(phrase.value) for phrase in phrases)
        yield from _named(entry.node)
    field, points = node.get("field"), node.get("points")
    if field is not None and field.kind is Kind.TEXT and _NAME.fullmatch(field.value):
        yield field.value, tuple(entry.key for entry in points.entries) if points is not None else ()
    for item in node.items:
        yield from _named(item)


def _custom(root: Node) -> dict[str, Fact]:
    """The custom facts a file names; one that is compared with numbers is a number."""
    phrases: dict[str, list[str]] = {}
    for name, about in _named(root):
        if ".custom." in name:
            phrases.setdefault(name, []).extend(about)
    return {
        name: custom_fact(name, FactType.NUMBER if any(map(_BOUND.fullmatch, about)) else FactType.TEXT)
        for name, about in phrases.items()
    }


def score_rows(points: LoadedPoints, table: PlainTable, day: date) -> Iterator[RowScore]:
    """The rows of a table in their order.

    A cell that cannot be read as its fact is missing, as it is for people.

    Raises
    ------
    TableUnusable: the table lacks a column that the points ask for
    """
    at = _places(points, table)
    zone = ZoneInfo(points.policy.timezone)
    groups = {group.name: group.items[0] for model in points.policy.models for group in model.fit.groups}
    fields = {name: one.field for name, one in groups.items() if isinstance(one, Table)}
    with DuckDbEngine() as engine, tempfile.TemporaryDirectory(prefix="mqlsync-table-") as folder:
        file = Path(folder) / "people.parquet"
        for start in range(0, len(table.rows), BATCH):
            batch = table.rows[start : start + BATCH]
            rows = [_person(points, at, cells, n, zone) for n, cells in enumerate(batch)]
            pq.write_table(pa.Table.from_pylist(rows, people_schema(points.policy.custom)), file)
            scored = engine.score(points.policy, Bucket(people=(file,), events=(), compacted=True), day)
            for card in sorted(cards(scored), key=lambda card: card.person_id):
                n = int(card.person_id)
                said = {group: batch[n][at[fact]] for group, fact in fields.items()}
                yield RowScore(row=start + n + 1, score=card.fit, reasons=tuple(_reasons(card, said)))


def _places(points: LoadedPoints, table: PlainTable) -> dict[str, int]:
    """Fact -> column: the one whose name in a policy is the fact's."""
    names = {fact_of(title).removeprefix("person.custom."): at for at, title in enumerate(table.titles)}
    at: dict[str, int] = {}
    lacking: list[str] = []
    for fact in points.facts:
        scope, _, rest = fact.removeprefix("person.").removeprefix("custom.").rpartition(".")
        place = names.get(fact.replace(".", "_"), names.get(f"{scope}_{rest}" if scope else rest, names.get(rest)))
        if place is None:
            lacking.append(rest)
        else:
            at[fact] = place
    if lacking:
        some = ", ".join(map(repr, lacking))
        raise TableUnusable(
            f"{table.name} has no column for {some}, which the points ask for; it has {', '.join(table.titles[:10])}"
            + (", ..." if len(table.titles) > 10 else "")
        )
    return at


def _person(
    points: LoadedPoints, at: Mapping[str, int], cells: tuple[str, ...], n: int, zone: ZoneInfo
) -> dict[str, Any]:
    facts: dict[str, FactValue] = {}
    for name, fact in points.facts.items():
        try:
            value = parse(fact, cells[at[name]])
        except ValueError:
            continue
        if value is not None:
            facts[name] = value
    valid: dict[str, bool] = {}
    if isinstance(email := facts.get("person.email"), str):
        valid["person.email"] = derive.email_is_valid(email)
    if isinstance(phone := facts.get("person.phone"), str):
        country = facts.get("person.country")
        valid["person.phone"] = derive.phone_is_valid(phone, country if isinstance(country, str) else None)
    return people_row(facts, f"{n:09d}", 1, zone=zone, valid=valid, custom=points.policy.custom)


def _reasons(card: Scorecard, said: Mapping[str, str]) -> Iterator[Reason]:
    """What gave points, greatest first; then what limits took away and what rounding changed."""
    fit = card.points(Score.FIT)
    given = [item for group in fit.groups for item in group.items if item.micro]
    for item in sorted(given, key=lambda item: -abs(item.micro or 0)):
        yield Reason(name=item.reason, points=_number(item.micro or 0), value=said.get(item.name))
    if lost := fit.loss + sum(group.loss for group in fit.groups):
        yield Reason(name="limits and weights", points=_number(-lost))
    if rounded := card.fit * MICRO - fit.micro:
        yield Reason(name="rounding", points=_number(rounded))


def _number(micro: int) -> int | float:
    return micro // MICRO if micro % MICRO == 0 else micro / MICRO
