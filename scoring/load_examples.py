"""The ``examples`` section: made-up people and what the policy must say of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from scoring.conditions import Score
from scoring.document import (
    COMMA,
    Entry,
    Kind,
    Node,
    Unreadable,
    did_you_mean,
    parse_boolean,
    parse_date,
    parse_instant,
    parse_number,
)
from scoring.facts import ATTRIBUTES, EVENT_KINDS, FactType
from scoring.load_grade import Scale
from scoring.load_routing import Targets
from scoring.phrases import Field, Names, lacks, one_value
from scoring.policy import Example, ExampleEvent, Expected, Policy, TargetKind
from scoring.tables import FactValue, fold

__all__ = ["Answers", "ExampleReader"]

MAX_DAYS_AGO = 36_500
MAX_COUNT = 1_000_000
_OF_EVENT = ("event", "days_ago", "at", "count")
_SCOPES = ("person", "company", "identity")
_DERIVED = {"person.email_domain": "person.email", "person.seniority": "person.title"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What may be expected of one policy: the names it has, and by score the labels it gives.

    ``numbers``: the scores of which whole points may be expected as well; ``misnamed``: as of `Scale`.
    """

    models: Collection[str]
    lines: Collection[str]
    suppressed: Collection[str]
    needs: Collection[str]
    reviews: Collection[str]
    points: Collection[str]
    labels: Mapping[Score, Collection[str]]
    numbers: frozenset[Score]
    misnamed: bool = False

    @classmethod
    def of(cls, policy: Policy, *, misnamed: bool) -> Answers:
        scales = [Scale(model.fit.thirds, model.grade) for model in policy.models]
        groups = (g.name for model in policy.models for d in (model.fit, model.engagement) for g in d.groups)
        in_points = any(not scale.thirds for scale in scales)
        return cls(
            models=dict.fromkeys(model.name for model in policy.models),
            lines=dict.fromkeys(("no", *(line.name for model in policy.models for line in model.become_when))),
            suppressed=dict.fromkeys(("no", *(line.name for line in policy.suppress))),
            needs=policy.needs,
            reviews=[line.name for line in policy.review.lines] if policy.review is not None else [],
            points=dict.fromkeys(("fit", "engagement", "total", *groups)),
            labels={
                of: dict.fromkeys(one for scale in scales for meant in scale.labels(of).values() for one in meant)
                for of in Score
            },
            misnamed=misnamed,
            numbers=frozenset({Score.ENGAGEMENT, Score.TOTAL, *((Score.FIT,) if in_points else ())}),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleReader:
    """Reads examples about one policy."""

    names: Names
    targets: Targets
    answers: Answers

    def read(self, node: Node) -> tuple[Example, ...]:
        examples: list[Example] = []
        lines: dict[str, int] = {}
        for item in node.each():
            example = self._example(item)
            if example.name in lines:
                place = item.get("name") or item
                place.error(f"the name '{example.name}' is already used on line {lines[example.name]}")
            lines.setdefault(example.name, item.line)
            examples.append(example)
        return tuple(examples)

    def _example(self, node: Node) -> Example:
        found = node.fields("name", *_SCOPES, "events", "as_of", "expect", required=("name", "expect"))
        facts: dict[str, FactValue] = {}
        for scope in _SCOPES:
            for entry in found[scope].pairs() if scope in found else ():
                value = self._fact(entry, f"{scope}.{entry.key}")
                if value is not None:
                    facts[f"{scope}.{entry.key}"] = value
        events = tuple(_event(one) for one in found["events"].each()) if "events" in found else ()
        expect, places = self._expected(found["expect"]) if "expect" in found else (Expected(), {})
        none: datetime | None = None
        return Example(
            name=found["name"].text() if "name" in found else "",
            facts=facts,
            events=tuple(event for event in events if event is not None),
            expect=expect,
            as_of=found["as_of"].read(parse_instant, none) if "as_of" in found else None,
            place={key: (at.file, at.line, at.col, at.path) for key, at in {"": node, **places}.items()},
        )

    # -- facts

    def _fact(self, entry: Entry, name: str) -> FactValue | None:
        """What a fact holds; None when it is missing (``unknown``) or the file is wrong about it."""
        if self.names.cannot_know(name):
            return None
        try:
            field = self.names.fact(name)
        except Unreadable as why:
            more = COMMA if entry.node.kind is Kind.EMPTY and not str(why).endswith("?") else ""
            scope, _, short = entry.key.partition(".")
            if scope in _SCOPES and entry.key in self.names.facts:
                more = f": write {scope}: {{{short}: ...}}, each fact stands below what it is a fact of"
            entry.name.error(f"{why}{more}", code=why.code)
            return None
        if name in _DERIVED:
            entry.name.error(f"'{name}' is derived: give {_DERIVED[name]} instead")
            return None
        if field.type is FactType.LIST and entry.node.items:
            return tuple(item.text() for item in entry.node.items)
        none: FactValue | None = None
        return entry.node.read(lambda text: _fact_value(text, field), none)

    # -- what is expected

    def _expected(self, node: Node) -> tuple[Expected, dict[str, Node]]:
        found = dict(
            node.fields(
                *("grade", "fit", "engagement", "total", "model", "mql", "suppressed", "needs", "review", "route"),
                *("missing", "points"),
            )
        )
        answers = self.answers
        points = self._points(found["points"]) if "points" in found else {}

        def one(key: str, known: Collection[str], what: str) -> str | None:
            return found[key].read(_known(known, what), "") if key in found else None

        def several(key: str, known: Collection[str], what: str) -> tuple[str, ...] | None:
            if key not in found:
                return None
            return tuple(item.read(_known(known, what), "") for item in found[key].each())

        def score(of: Score) -> str | None:
            return found[of].read(self._score(of), "") if of in found else None

        expected = Expected(
            grade=score(Score.GRADE),
            fit=score(Score.FIT),
            engagement=score(Score.ENGAGEMENT),
            total=score(Score.TOTAL),
            model=one("model", answers.models, "model"),
            mql=one("mql", answers.lines, "line of become_when"),
            suppressed=one("suppressed", answers.suppressed, "line of suppress"),
            needs=several("needs", answers.needs, "fact of mql.needs"),
            review=several("review", answers.reviews, "line of mql.review"),
            route=found["route"].read(self._route, "") if "route" in found else None,
            missing=found["missing"].text() if "missing" in found else None,
            points={name: place.integer(-1_000_000, 1_000_000, 0) for name, place in points.items()},
        )
        return expected, {**found, **{f"points.{name}": place for name, place in points.items()}}

    def _score(self, of: Score) -> Callable[[str], str]:
        """A label; of a dimension or the total also a number of whole points."""
        known, numbers = self.answers.labels[of], of in self.answers.numbers

        def parse(text: str) -> str:
            if text in known or self.answers.misnamed or (numbers and re.fullmatch(r"-?[0-9]{1,7}", text)):
                return text
            near = did_you_mean(text, known) or (f": it is one of {', '.join(known)}" if known else "")
            raise Unreadable(f"unknown {of} '{text}'{near}")

        return parse

    def _route(self, text: str) -> str:
        """A target as the file says it, with single spaces; a rep in lower case."""
        target = self.targets.parse(text)
        owners = (TargetKind.PERSON_OWNER, TargetKind.LAST_OWNER, TargetKind.COMPANY_OWNER)
        return str(target.kind) if target.kind in owners else f"{target.kind} {target.name}"

    def _points(self, node: Node) -> dict[str, Node]:
        known = self.answers.points
        found: dict[str, Node] = {}
        for entry in node.pairs():
            if entry.key not in known:
                node.error(f"unknown group '{entry.key}'{did_you_mean(entry.key, known)}", at=entry.name)
            else:
                found[entry.key] = entry.node
        return found


def _known(known: Collection[str], what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise Unreadable(f"unknown {what} '{text}'{did_you_mean(text, known)}")
        return text

    return parse


# -- values ------------------------------------------------------------------------------------------------------


def _fact_value(text: str, field: Field) -> FactValue | None:
    if fold(text) == "unknown":
        return None
    match field.type:
        case FactType.NUMBER:
            return parse_number(text)
        case FactType.BOOLEAN:
            return parse_boolean(text)
        case FactType.DATE:
            return parse_date(text)
        case FactType.INSTANT:
            return _moment(text)
        case FactType.LIST:
            return (text,)
        case FactType.OWNER:
            return fold(text)
        case FactType.COUNTRY:
            return one_value(text, field).upper()
        case FactType.DOMAIN | FactType.ONE_OF | FactType.ORDERED:
            return one_value(text, field)
        case _:
            return text


def _moment(text: str) -> date | datetime:
    return parse_instant(text) if "T" in text else parse_date(text)


def _event(node: Node) -> ExampleEvent | None:
    kind_node = node.get("event")
    if kind_node is None:
        node.fields(*_OF_EVENT, *ATTRIBUTES, required=("event",))
        return None
    kind = kind_node.read(_kind, "")
    if not kind:
        return None
    attributes: dict[str, str] = {}
    known = True
    for entry in node.entries:
        if entry.key in _OF_EVENT:
            continue
        lacking = lacks(entry.key, (kind,))
        if lacking is not None:
            near = did_you_mean(entry.key, _OF_EVENT)
            node.error(f"unknown key{near}" if near else lacking, at=entry.name, code="E02")
            known = not near
        elif ATTRIBUTES[entry.key] is FactType.NUMBER:
            attributes[entry.key] = f"{entry.node.read(parse_number, Decimal()):f}"
        else:
            attributes[entry.key] = entry.node.text()
    days, at, count = node.get("days_ago"), node.get("at"), node.get("count")
    if known and (days is None) == (at is None):
        node.error("say when: either days_ago or at")
    none: date | datetime | None = None
    return ExampleEvent(
        kind=kind,
        days_ago=days.integer(0, MAX_DAYS_AGO) if days is not None else 0,
        at=at.read(_moment, none) if at is not None else None,
        count=count.integer(1, MAX_COUNT) if count is not None else 1,
        attributes=attributes,
    )


def _kind(text: str) -> str:
    if text not in EVENT_KINDS:
        raise Unreadable(f"unknown event '{text}'{did_you_mean(text, EVENT_KINDS)}", code="E02")
    return text
