"""The ``fit`` section: tables and rules in points, or criteria in thirds of a letter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from scoring.cards import fields_of
from scoring.conditions import LADDER, All, Condition, Dimension, FitRule, Group, Missing, Table, TableLine
from scoring.conditions import Any as AnyOf
from scoring.document import Entry, Kind, Node, Unreadable, did_you_mean
from scoring.facts import FactType
from scoring.load_points import (
    RuleNames,
    parse_points,
    read_dimension,
    read_group,
    read_rules,
    said_condition,
    said_value,
)
from scoring.phrases import Field, Names, parse_condition, parse_phrase, parse_value
from scoring.tables import MICRO

__all__ = ["FitReader"]

MAX_FIELDS = 60
_IN_POINTS = ("groups", "max", "floor")
_IN_THIRDS = ("start", "criteria")


@dataclass(frozen=True, slots=True)
class FitReader:
    """Reads the fit of one model."""

    names: Names
    rules: RuleNames

    def read(self, node: Node) -> Dimension:
        style = node.get("style")
        thirds = style is not None and style.choice(("points", "thirds")) == "thirds"
        found = node.fields(
            *("style", *_IN_POINTS, *_IN_THIRDS), required=("start", "criteria") if thirds else ("groups",)
        )
        for key in _IN_POINTS if thirds else _IN_THIRDS:
            if key in found:
                found[key].error(f"'{key}' belongs to style: {'points' if thirds else 'thirds'}", code="E04")
        made = self._thirds(found) if thirds else read_dimension(found, self._group)
        if len(fields_of(made)) > MAX_FIELDS:
            node.error(f"at most {MAX_FIELDS} different facts in tables")
        return made

    # -- points

    def _group(self, entry: Entry) -> Group:
        return read_group(entry, self._table_or_rules)

    def _table_or_rules(self, entry: Entry, found: Mapping[str, Node]) -> Group:
        table, rules = "field" in found or "points" in found, "rules" in found
        if table == rules:
            entry.node.error("a group has either field and points, or rules", at=entry.name)
        if table:
            for key in ("field", "points"):
                if key not in found:
                    entry.node.under(f"{entry.node.path}.{key}").error("this key is missing")
            if "take" in found:
                found["take"].error("a table takes its first true line: `take` is for rules")
        if table and "field" in found and "points" in found:
            made = self._table(found["field"], found["points"])
            return Group(name=entry.key, items=(made,) if made else ())
        items = tuple(self._rule(rule) for rule in read_rules(found["rules"])) if rules else ()
        return Group(name=entry.key, items=items)

    def _table(self, field_node: Node, points: Node) -> Table | None:
        field = field_node.read(self._field, None)
        if field is None:
            return None
        lines: list[TableLine] = []
        special: dict[str, int] = {}
        entries = points.pairs()
        if points.kind is Kind.MAPPING and not entries:
            points.error("a table without lines gives no points")
        for index, entry in enumerate(entries):
            micro = entry.node.read(parse_points, 0)
            key = entry.key.casefold()
            if key in ("unknown", "otherwise"):
                if key in special:
                    points.error(f"'{key}' is already given", at=entry.name)
                special[key] = micro
                last = all(later.key.casefold() == "unknown" for later in entries[index + 1 :])
                if key == "otherwise" and not last:
                    said = "'otherwise' must be last: no line after it can be reached"
                    points.error(said, at=entry.name, code="E03")
            else:
                test = self._line(entry.name.under(points.path), field)
                lines.append(TableLine(test=test, micro=micro, label=entry.key))
        return Table(
            field=field.name,
            lines=tuple(lines),
            unknown=special.get("unknown", 0),
            otherwise=special.get("otherwise", 0),
        )

    def _field(self, text: str) -> Field | None:
        return None if self.names.cannot_know(text) else self.names.fact(text)

    def _line(self, key: Node, field: Field) -> Condition:
        text = key.value.strip()
        if text.startswith("below "):
            key.error("tables use lower bounds only: write 'from'")
        elif field.type is FactType.NUMBER and re.match(r"[-+]?[0-9]", text):
            key.error(f"'{text}': tables of numbers use lower bounds only: write 'from {text}'")
        else:
            return parse_phrase(key, field, self.names)
        return All()

    def _rule(self, node: Node) -> FitRule:
        found = node.fields("name", "when", "points", "reason", required=("when", "points"))
        test = parse_condition(found["when"], self.names) if "when" in found else All()
        said = said_condition(found["when"]) if "when" in found else ""
        name, reason = self.rules.of(node, found, said)
        micro = found["points"].read(parse_points, 0) if "points" in found else 0
        return FitRule(name=name, reason=reason, test=test, micro=micro)

    # -- thirds

    def _thirds(self, found: Mapping[str, Node]) -> Dimension:
        criteria = found["criteria"].pairs() if "criteria" in found else ()
        if "criteria" in found and found["criteria"].kind is Kind.MAPPING and not criteria:
            found["criteria"].error("there are no criteria")
        return Dimension(
            groups=tuple(self._criterion(entry) for entry in criteria),
            max=(len(LADDER) - 1) * MICRO,
            floor=0,
            thirds=True,
            start=found["start"].read(_step, 0) * MICRO if "start" in found else 0,
        )

    def _criterion(self, entry: Entry) -> Group:
        """A table of one line: the weight where it matches, less the weight where not, 0 where nothing is known."""
        found = entry.node.fields("field", "match", "weight", required=("field", "match"))
        micro = found["weight"].integer(1, 3) * MICRO if "weight" in found else MICRO
        field = found["field"].read(self._field, None) if "field" in found else None
        if field is None or "match" not in found:
            return Group(name=entry.key, items=())
        test = parse_value(found["match"], field, self.names)
        if _asks_for_missing(test):
            found["match"].error("a field that is missing neither adds nor takes away: 'unknown' cannot match")
        line = TableLine(test=test, micro=micro, label=said_value(found["match"]))
        return Group(name=entry.key, items=(Table(field=field.name, lines=(line,), otherwise=-micro),))


def _step(text: str) -> int:
    if text not in LADDER:
        near = did_you_mean(text, LADDER)
        raise Unreadable(f"'{text}' is not a step of {' '.join(LADDER)}{near}")
    return LADDER.index(text)


def _asks_for_missing(test: Condition) -> bool:
    return isinstance(test, Missing) or (isinstance(test, AnyOf) and any(isinstance(one, Missing) for one in test.of))
