"""The examples of a policy, scored and held against what they expect.

An example is a made-up person. It is written into the same tables and scored by the same query as everybody else, so
that what it proves is what a run does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from scoring.cards import GroupPoints, Scorecard, cards
from scoring.conditions import (
    All,
    Condition,
    EventExists,
    LabelIn,
    Score,
    ScoreAtLeast,
    ScoreBelow,
    alternatives,
)
from scoring.derive import add_derived, validity
from scoring.document import Problem
from scoring.engine import Engine
from scoring.explain import points
from scoring.fact_judge import FactJudge
from scoring.facts import LIFECYCLE_STAGES
from scoring.load_grade import Scale
from scoring.near import label, missing
from scoring.phrases import negated, say
from scoring.policy import Example, ExampleEvent, Model, Policy, Target, TargetKind
from scoring.qualify import reason_for
from scoring.tables import MICRO, Bucket, event_row, events_schema, people_row, people_schema

__all__ = ["Checked", "Difference", "check_examples", "failures"]

AS_OF = date(2026, 6, 15)
"""The day of an example that names none: examples do not age."""

NOON = time(12)
NO = "no"

_AT_SALES = LIFECYCLE_STAGES[LIFECYCLE_STAGES.index("sql") :]
_OWNERS = (TargetKind.PERSON_OWNER, TargetKind.LAST_OWNER, TargetKind.COMPANY_OWNER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing an example expects and does not get. ``key`` is that of ``expect``; ``why`` may be empty."""

    key: str
    expected: str
    got: str
    why: str

    def __str__(self) -> str:
        return f"expected {self.expected}, got {self.got}{f': {self.why}' if self.why else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An example and what differs. ``card``: how it was scored."""

    example: Example
    card: Scorecard
    differences: tuple[Difference, ...]


def check_examples(policy: Policy, engine: Engine) -> tuple[Checked, ...]:
    """Score all examples, those of one day together, and compare. In the order of the file."""
    zone = ZoneInfo(policy.timezone)
    by_day: dict[date, list[int]] = {}
    moments = [example.as_of or datetime.combine(AS_OF, NOON, zone) for example in policy.examples]
    for number, moment in enumerate(moments):
        by_day.setdefault(moment.astimezone(zone).date(), []).append(number)
    found: dict[int, Checked] = {}
    for day, numbers in by_day.items():
        people = {number: _person_row(policy, number, policy.examples[number], zone) for number in numbers}
        events = [row for number in numbers for row in _event_rows(number, policy.examples[number], day, zone)]
        for card in _scored(policy, engine, day, list(people.values()), events):
            number = int(card.person_id)
            judge = _Check(policy=policy, example=policy.examples[number], card=card, row=people[number], day=day)
            found[number] = judge.checked()
    return tuple(found[number] for number in sorted(found))


def failures(checked: Iterable[Checked]) -> list[Problem]:
    """An error at its place for everything that differs."""
    found: list[Problem] = []
    for one in checked:
        for difference in one.differences:
            at = one.example.place.get(difference.key) or one.example.place.get("")
            file, line, col, path = at or ("policy.yaml", 1, 1, "examples")
            text = f"the example '{one.example.name}' fails: {difference}"
            found.append(Problem(file=file, line=line, col=col, path=path, message=text))
    return found


# -- the tables --------------------------------------------------------------------------------------------------


def _person_row(policy: Policy, number: int, example: Example, zone: ZoneInfo) -> dict[str, Any]:
    facts = {"identity.confidence": Decimal(1), **example.facts}
    add_derived(facts, seniority_table=policy.seniority, free_mail=policy.free_mail)
    return people_row(facts, _id(number), 1, zone=zone, valid=validity(facts), custom=policy.custom)


def _id(number: int) -> str:
    return f"{number:06d}"


def _event_rows(number: int, example: Example, day: date, zone: ZoneInfo) -> Iterator[dict[str, Any]]:
    for index, event in enumerate(example.events):
        yield event_row(
            _id(number),
            f"example:{number}:{index}",
            event.kind,
            _at(event, day, zone),
            zone=zone,
            count=event.count,
            attributes=event.attributes,
        )


def _at(event: ExampleEvent, day: date, zone: ZoneInfo) -> datetime | date:
    return datetime.combine(day - timedelta(days=event.days_ago), NOON, zone) if event.at is None else event.at


def _scored(
    policy: Policy, engine: Engine, day: date, people: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]
) -> Iterator[Scorecard]:
    with tempfile.TemporaryDirectory(prefix="mqlsync-examples-") as name:
        bucket = Bucket(
            people=(_write(Path(name) / "people.parquet", people, people_schema(policy.custom)),),
            events=(_write(Path(name) / "events.parquet", events, events_schema()),),
        )
        yield from cards(engine.score(policy, bucket, day))


def _write(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> Path:
    columns = {name: [row.get(name) for row in rows] for name in schema.names}
    pq.write_table(pa.table(columns, schema=schema), path)
    return path


# -- the comparison ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """One example and its scorecard. ``row``: its facts in stored form."""

    policy: Policy
    example: Example
    card: Scorecard
    row: Mapping[str, Any]
    day: date

    def checked(self) -> Checked:
        return Checked(example=self.example, card=self.card, differences=tuple(self._differences()))

    @property
    def _model(self) -> Model:
        return next(model for model in self.policy.models if model.name == self.card.model)

    def _differences(self) -> Iterator[Difference]:
        expect, card = self.example.expect, self.card
        if expect.model is not None and expect.model != card.model:
            yield self._model_differs(expect.model)
        if expect.suppressed is not None and expect.suppressed != (card.suppressed or NO):
            yield self._suppressed_differs(expect.suppressed)
        for of in (Score.GRADE, Score.FIT, Score.ENGAGEMENT, Score.TOTAL):
            wanted = getattr(expect, of)
            if wanted is not None and not self._is(of, wanted):
                yield Difference(key=of, expected=wanted, got=self._shown(of, wanted), why=self._why_score(of))
        yield from self._points()
        if expect.mql is not None and expect.mql != self._line():
            yield Difference(key="mql", expected=expect.mql, got=self._line(), why=self._why_line(expect.mql))
        for key, names, true in (("needs", expect.needs, card.needs), ("review", expect.review, card.review)):
            if names is not None and set(names) != set(true):
                yield Difference(key=key, expected=_listed(names), got=_listed(true), why="")
        if expect.route is not None:
            yield from self._route(expect.route)
        lacking = missing(self.policy, card) or "nothing"
        if expect.missing is not None and expect.missing != lacking:
            yield Difference(key="missing", expected=f"'{expect.missing}'", got=f"'{lacking}'", why="")

    def _model_differs(self, wanted: str) -> Difference:
        why = ""
        for model in self.policy.models:
            if model.name == self.card.model:
                why = f"{model.name} is true before it"
                break
            if model.name == wanted and model.when is not None:
                why = self._false(model.when)
                break
        return Difference(key="model", expected=wanted, got=self.card.model, why=why)

    def _suppressed_differs(self, wanted: str) -> Difference:
        line = next((line for line in self.policy.suppress if line.name == wanted), None)
        false = self._judge.first_false(line.test) if line is not None else None
        if line is not None and false is None:
            why = f"{self.card.suppressed} is true before it"
        elif line is not None:
            why = self._false(line.test)
        else:
            true = next(line for line in self.policy.suppress if line.name == self.card.suppressed)
            why = say(true.test)
        return Difference(key="suppressed", expected=wanted, got=self.card.suppressed or NO, why=why)

    # -- scores

    def _is(self, of: Score, wanted: str) -> bool:
        labels = Scale(self._model.fit.thirds, self._model.grade).labels(of).get(wanted)
        if labels is not None:
            return self._label(of) in labels
        return of is not Score.GRADE and Decimal(getattr(self.card, of)) == Decimal(wanted)

    def _label(self, of: Score) -> str | None:
        grade = self._model.grade
        bands = {Score.FIT: grade.fit, Score.ENGAGEMENT: grade.engagement, Score.TOTAL: grade.total}
        return self.card.grade if of is Score.GRADE else label(bands[of], getattr(self.card, of))

    def _shown(self, of: Score, wanted: str) -> str:
        """What there is, as a label where one was wanted."""
        number = "" if of is Score.GRADE else str(getattr(self.card, of))
        if wanted.lstrip("-").replace(".", "", 1).isdigit() and wanted not in self._labels(of):
            return number
        said = self._label(of) or "no label"
        return f"{said} ({number})" if number else said

    def _labels(self, of: Score) -> Mapping[str, tuple[str, ...]]:
        return Scale(self._model.fit.thirds, self._model.grade).labels(of)

    def _why_score(self, of: Score) -> str:
        scores = (Score.FIT, Score.ENGAGEMENT) if of in (Score.GRADE, Score.TOTAL) else (of,)
        return "; ".join(f"{score} {getattr(self.card, score)}: {self._reasons(score)}" for score in scores)

    def _reasons(self, score: Score) -> str:
        part = self.card.points(score)
        said = [f"{group.name} {points(group.micro, signed=True)}" for group in part.groups if _gave(group)]
        if part.loss:
            said.append(f"limits {points(-part.loss, signed=True)}")
        return ", ".join(said) or "nothing gave points"

    def _points(self) -> Iterator[Difference]:
        groups = {
            group.name: group for score in (Score.FIT, Score.ENGAGEMENT) for group in self.card.points(score).groups
        }
        for name, wanted in self.example.expect.points.items():
            key, why = f"points.{name}", ""
            if name in (Score.FIT, Score.ENGAGEMENT, Score.TOTAL):
                got, why = getattr(self.card, name), self._why_score(Score(name))
            elif name in groups:
                got, why = _whole(groups[name].micro), _reasons_of(groups[name])
            else:
                yield Difference(
                    key=key, expected=str(wanted), got="nothing", why=f"model {self.card.model} has no such group"
                )
                continue
            if got != wanted:
                yield Difference(key=key, expected=str(wanted), got=str(got), why=why)

    # -- the gate

    @property
    def _with_sales(self) -> bool:
        return self.row["person.lifecycle_stage"] in _AT_SALES or self.row["person.converted"] is True

    def _line(self) -> str:
        """The line that makes the person an MQL, or ``no``."""
        if self.card.suppressed is not None or self._with_sales or not self.card.lines:
            return NO
        return self.card.lines[0]

    def _why_line(self, wanted: str) -> str:
        if wanted == NO:
            return reason_for(self.card, self.card.lines[0])
        if self.card.suppressed is not None:
            return f"suppressed by {self.card.suppressed}"
        if self._with_sales:
            return "already with sales"
        line = next((line for line in self._model.become_when if line.name == wanted), None)
        if line is None:
            return f"model {self.card.model} has no such line"
        return f"{self.card.lines[0]} is true before it" if wanted in self.card.lines else self._false(line.test)

    def _false(self, test: Condition) -> str:
        """The first phrase of a condition that is false, in file order, and what was found instead."""
        first = alternatives(test)[0]
        events: list[Condition] = []
        for one in first.of if isinstance(first, All) and negated(first) is None else (first,):
            match one:
                case EventExists():
                    events.append(one)
                case ScoreAtLeast(of) | ScoreBelow(of):
                    if not self._holds(one):
                        return f"{say(one)} is false, it is {getattr(self.card, of)}"
                case LabelIn(of):
                    if not self._holds(one):
                        return f"{say(one)} is false, it is {self._label(of)}"
                case _:
                    false = self._judge.first_false(one)
                    if false is not None:
                        found = self._judge.found(false)
                        return f"{say(false)} is false, it is {'unknown' if found is None else found}"
        # The engine alone knows the live events. Everything else is true, so it is these that are not there.
        return f"{say(events[0])}: there is no such event" if events else ""

    def _holds(self, condition: ScoreAtLeast | ScoreBelow | LabelIn) -> bool:
        match condition:
            case ScoreAtLeast(of, value):
                return bool(getattr(self.card, of) >= value)
            case ScoreBelow(of, value):
                return bool(getattr(self.card, of) < value)
            case LabelIn(of, labels):
                return self._label(of) in labels

    # -- facts and routing

    @property
    def _judge(self) -> FactJudge:
        """An owner of an example is one who is at work."""
        known = {
            "fit.known_groups": self.card.known_groups * MICRO,
            "fit.unknown_groups": self.card.unknown_groups * MICRO,
        }
        return FactJudge({**self.row, **known}, self.day, lambda owner, state: True)

    def _route(self, wanted: str) -> Iterator[Difference]:
        judge = self._judge
        for route in self.policy.routing:
            if route.when is None or judge.true(route.when):
                if route.to.kind in _OWNERS and not self.row.get(route.to.kind):
                    continue
                got = _target(route.to)
                if got != wanted:
                    why = f"rule '{route.name}' is the first that is true{self._why_not_to(wanted)}"
                    yield Difference(key="route", expected=wanted, got=got, why=why)
                return

    def _why_not_to(self, wanted: str) -> str:
        """Why the first rule that leads where it was expected is not true."""
        rule = next((r for r in self.policy.routing if _target(r.to) == wanted and r.when is not None), None)
        false = self._judge.first_false(rule.when) if rule is not None and rule.when is not None else None
        return f"; of '{rule.name}', {self._false(false)}" if rule is not None and false is not None else ""


def _target(target: Target) -> str:
    return str(target.kind) if target.kind in _OWNERS else f"{target.kind} {target.name}"


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join(names)}]"


def _whole(micro: int) -> int:
    """Half up, as scores are rounded."""
    return (micro + MICRO // 2) // MICRO


def _gave(group: GroupPoints) -> bool:
    return any(item.micro is not None for item in group.items)


def _reasons_of(group: GroupPoints) -> str:
    said = [f"{item.reason} {points(item.micro, signed=True)}" for item in group.items if item.micro is not None]
    if group.loss:
        said.append(f"limits {points(-group.loss, signed=True)}")
    return ", ".join(said) or "nothing gave points"
