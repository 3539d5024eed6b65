"""Scorecards: what scoring says of a person, and how it is laid out in a table.

Reasons are stored wide, one column a rule, and put into objects and words only for the people somebody looks at. The
layout travels in the table's metadata, so that a stored table explains itself under any later policy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date

import pyarrow as pa

from scoring.conditions import Dimension, Group, Score, Table
from scoring.policy import Policy

__all__ = [
    "DimensionLayout",
    "DimensionPoints",
    "Fresh",
    "GroupLayout",
    "GroupPoints",
    "ItemLayout",
    "ItemPoints",
    "Layout",
    "Scorecard",
    "Section",
    "cards",
    "fields_of",
    "layout",
    "layout_of",
    "schema",
    "sections",
]

_METADATA = b"mqlsync.layout"
_TEXTS = ("person_id", "model", "suppressed", "grade")
_NUMBERS = (
    *("fit", "engagement", "total"),
    *("fit_micro", "engagement_micro", "total_micro"),
    *("lines", "known_groups", "unknown_groups"),
)
_HEAD = [*_TEXTS, *_NUMBERS, "hand_raise"]
_SINCE = ("review", "needs", "unknown", "reach", "drop")
"""Columns that the first tables did not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One distinct fit or engagement dimension and the models (by index) that use it."""

    score: Score
    dimension: Dimension
    models: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemLayout:
    """A rule, or a table (named like its group). ``counts``: the column of its counted occurrences, None for fit."""

    name: str
    reason: str
    column: str
    counts: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLayout:
    name: str
    items: tuple[ItemLayout, ...]
    loss: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionLayout:
    """``thirds``: points are steps of `LADDER`, and the sum begins with ``start`` (see `Dimension`)."""

    score: Score
    models: tuple[str, ...]
    groups: tuple[GroupLayout, ...]
    loss: str
    thirds: bool = False
    start: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Names of models, of their gate lines (same order) and of the reason columns; whose version, for which day.

    unknown  the fields of each model's fit tables, in the order of the models
    review, needs  names of the policy's review lines, and of the facts it needs
    """

    version: str
    day: str
    models: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    dimensions: tuple[DimensionLayout, ...]
    unknown: tuple[tuple[str, ...], ...] = ()
    review: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The reason columns, in the order of the table."""
        names: list[str] = []
        for dimension in self.dimensions:
            names.append(dimension.loss)
            for group in dimension.groups:
                names.append(group.loss)
                for item in group.items:
                    names += [item.column, item.counts] if item.counts else [item.column]
        return tuple(names)

    def dimension(self, score: Score, model: str) -> DimensionLayout:
        return next(d for d in self.dimensions if d.score is score and model in d.models)


def sections(policy: Policy) -> tuple[Section, ...]:
    """The distinct dimensions of all models, fit before engagement, in the order of the models that use them first."""
    found: list[Section] = []
    for score in (Score.FIT, Score.ENGAGEMENT):
        users: dict[Dimension, list[int]] = {}
        for index, model in enumerate(policy.models):
            users.setdefault(model.fit if score is Score.FIT else model.engagement, []).append(index)
        found += [Section(score=score, dimension=d, models=tuple(models)) for d, models in users.items()]
    return tuple(found)


def fields_of(fit: Dimension) -> tuple[str, ...]:
    """The fields of a fit's tables, each once."""
    tables = (item for group in fit.groups for item in group.items if isinstance(item, Table))
    return tuple(dict.fromkeys(table.field for table in tables))


def layout(policy: Policy, day: date) -> Layout:
    """The columns of a policy's scorecards."""
    parts = sections(policy)
    shared = {score: sum(part.score is score for part in parts) == 1 for score in (Score.FIT, Score.ENGAGEMENT)}
    return Layout(
        version=policy.version,
        day=day.isoformat(),
        models=tuple(model.name for model in policy.models),
        lines=tuple(tuple(line.name for line in model.become_when) for model in policy.models),
        dimensions=tuple(
            _dimension(
                policy, part, part.score if shared[part.score] else f"{policy.models[part.models[0]].name}:{part.score}"
            )
            for part in parts
        ),
        unknown=tuple(fields_of(model.fit) for model in policy.models),
        review=tuple(line.name for line in policy.review.lines) if policy.review is not None else (),
        needs=policy.needs,
    )


def _dimension(policy: Policy, section: Section, path: str) -> DimensionLayout:
    return DimensionLayout(
        score=section.score,
        models=tuple(policy.models[index].name for index in section.models),
        groups=tuple(_group(group, section.score, f"{path}.{group.name}") for group in section.dimension.groups),
        loss=f"{path}#loss",
        thirds=section.dimension.thirds,
        start=section.dimension.start,
    )


def _group(group: Group, score: Score, path: str) -> GroupLayout:
    items = []
    for item in group.items:
        if isinstance(item, Table):
            items.append(ItemLayout(name=group.name, reason=group.name, column=path, counts=None))
        else:
            column = f"{path}.{item.name}"
            counts = f"{column}#count" if score is Score.ENGAGEMENT else None
            items.append(ItemLayout(name=item.name, reason=item.reason, column=column, counts=counts))
    return GroupLayout(name=group.name, items=tuple(items), loss=f"{path}#loss")


def schema(of: Layout) -> pa.Schema:
    """The columns of a scorecard table, one row a person.

    model, suppressed   names; ``suppressed`` is the first true suppress line, NULL for none
    grade               empty where the policy has no bands
    fit, engagement, total                    whole points; a fit in thirds: its step on `LADDER`
    fit_micro, engagement_micro, total_micro  exact micro-points: after caps and floors, before rounding
    lines               the true gate lines as bits, the first line is 1
    review, needs, unknown, reach   bits too, see `Scorecard`
    drop                whether `Stay.drop_when` is true
    known_groups, unknown_groups              fit tables whose field is known, or is not
    hand_raise          day of the newest live hand raise, NULL for none

    Then for every dimension its ``#loss`` and for every group its ``#loss`` (what caps, floors, weights and "best" took
    away, negative where they gave), for every rule its micro-points after its own caps (NULL where it gave nothing) and
    its ``#count`` of counted occurrences. Of the columns of another model's dimension all are NULL.
    """
    fields = [pa.field(name, pa.string()) for name in _TEXTS]
    fields += [pa.field(name, pa.int64()) for name in _NUMBERS]
    fields.append(pa.field("hand_raise", pa.date32()))
    fields += [pa.field(name, pa.bool_() if name == "drop" else pa.int64()) for name in _SINCE]
    fields += [pa.field(name, pa.int64()) for name in of.columns]
    return pa.schema(fields, metadata={_METADATA: json.dumps(asdict(of), separators=(",", ":")).encode()})


def layout_of(table: pa.Table | pa.Schema) -> Layout:
    """The layout a scorecard table was written with.

    Raises ValueError for a table that is none.
    """
    metadata = (table if isinstance(table, pa.Schema) else table.schema).metadata or {}
    if _METADATA not in metadata:
        raise ValueError("this table holds no scorecards: its metadata names no layout")
    read = json.loads(metadata[_METADATA])
    return Layout(
        version=read["version"],
        day=read["day"],
        models=tuple(read["models"]),
        lines=tuple(tuple(names) for names in read["lines"]),
        dimensions=tuple(
            DimensionLayout(
                score=Score(d["score"]),
                models=tuple(d["models"]),
                groups=tuple(
                    GroupLayout(name=g["name"], items=tuple(ItemLayout(**i) for i in g["items"]), loss=g["loss"])
                    for g in d["groups"]
                ),
                loss=d["loss"],
                thirds=d.get("thirds", False),
                start=d.get("start", 0),
            )
            for d in read["dimensions"]
        ),
        unknown=tuple(tuple(names) for names in read.get("unknown", ())),
        review=tuple(read.get("review", ())),
        needs=tuple(read.get("needs", ())),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPoints:
    """What one rule or table gave. ``micro``: None where it gave nothing; ``count``: counted occurrences."""

    name: str
    reason: str
    micro: int | None
    count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPoints:
    """``micro`` = the sum of the items - ``loss``."""

    name: str
    micro: int
    loss: int
    items: tuple[ItemPoints, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionPoints:
    """``micro`` = ``start`` + the sum of the groups - ``loss``: the exact score."""

    score: Score
    start: int
    micro: int
    loss: int
    groups: tuple[GroupPoints, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """What came after an instant: whole ``points`` of engagement, and whether somebody ``raised`` a hand since."""

    points: int
    raised: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """One person's scores and reasons under one policy version on one day.

    lines   true gate lines in the policy's order, also when a suppress line is true
    review  true review lines; needs: facts the policy needs that are missing; drop: `Stay.drop_when` is true
    unknown fields of the model's fit tables that are missing, in the policy's order
    reach   bits over the alternatives of the model's gate lines, in order (a line that is one condition has one, a list
            of conditions one each): everything but its conditions on scores and grades is true
    values  of the reason columns, in the layout's order; read them with `points`
    """

    person_id: str
    model: str
    suppressed: str | None
    grade: str
    fit: int
    engagement: int
    total: int
    fit_micro: int
    engagement_micro: int
    total_micro: int
    lines: tuple[str, ...]
    known_groups: int
    unknown_groups: int
    hand_raise: date | None
    review: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    drop: bool = False
    unknown: tuple[str, ...] = ()
    reach: int = 0
    layout: Layout
    values: tuple[int | None, ...]

    @property
    def reasons(self) -> dict[str, int | None]:
        """The values by column name."""
        return dict(zip(self.layout.columns, self.values, strict=True))

    def points(self, score: Score) -> DimensionPoints:
        """Fit or engagement, taken apart into groups and rules."""
        place, reasons = self.layout.dimension(score, self.model), self.reasons
        groups = tuple(_group_points(group, reasons) for group in place.groups)
        loss = reasons[place.loss] or 0
        micro = place.start + sum(g.micro for g in groups) - loss
        return DimensionPoints(score=score, start=place.start, micro=micro, loss=loss, groups=groups)

    def contributions(self) -> list[ItemPoints]:
        """Rules and tables that gave points, greatest first; equal ones in the policy's order."""
        reasons = self.reasons
        # Most rules give a person nothing: no objects are made of those.
        items = [
            _item_points(item, reasons)
            for score in (Score.FIT, Score.ENGAGEMENT)
            for group in self.layout.dimension(score, self.model).groups
            for item in group.items
            if (reasons[item.column] or 0) > 0
        ]
        return sorted(items, key=lambda item: -(item.micro or 0))


def _group_points(place: GroupLayout, reasons: Mapping[str, int | None]) -> GroupPoints:
    items = tuple(_item_points(item, reasons) for item in place.items)
    loss = reasons[place.loss] or 0
    return GroupPoints(name=place.name, micro=sum(i.micro or 0 for i in items) - loss, loss=loss, items=items)


def _item_points(place: ItemLayout, reasons: Mapping[str, int | None]) -> ItemPoints:
    return ItemPoints(
        name=place.name,
        reason=place.reason,
        micro=reasons[place.column],
        count=reasons[place.counts] if place.counts else None,
    )


def cards(table: pa.Table) -> Iterator[Scorecard]:
    """The rows of a scorecard table, in its order. Of what an older table has no columns for, nothing is true."""
    place = layout_of(table)
    lines = dict(zip(place.models, place.lines, strict=True))
    fields = dict(zip(place.models, place.unknown, strict=False))
    wide = place.columns
    names = [*_HEAD, *(name for name in _SINCE if name in table.column_names)]
    for batch in table.to_batches(max_chunksize=10_000):
        heads = batch.select(names).to_pylist()
        values = zip(*(batch.column(name).to_pylist() for name in wide), strict=True)
        for head, row in zip(heads, values, strict=True):
            model = head["model"]
            head["lines"] = _true(lines[model], head["lines"])
            head["review"] = _true(place.review, head.get("review"))
            head["needs"] = _true(place.needs, head.get("needs"))
            head["unknown"] = _true(fields.get(model, ()), head.get("unknown"))
            yield Scorecard(**head, layout=place, values=row)


def _true(names: Sequence[str], bits: int | None) -> tuple[str, ...]:
    return tuple(name for bit, name in enumerate(names) if bits >> bit & 1) if bits else ()
