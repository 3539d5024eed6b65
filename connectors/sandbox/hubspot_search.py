"""The search endpoint's filters, over records held in memory."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from connectors.sandbox.hubspot_schema import ObjectType, Property
from connectors.sandbox.hubspot_store import Record, Table
from connectors.sandbox.hubspot_values import BadValueError, canonical, instant, iso

PAGE = 200
DEEPEST = 10_000
GROUPS, FILTERS, ALL_FILTERS = 5, 6, 18
LONGEST_QUERY = 3000
REMEMBERED = 16  # searches of one object type whose matches are kept until something is written

Properties = Mapping[str, str]
Test = Callable[[Properties], bool]
_NEEDS_VALUE = ("EQ", "NEQ", "LT", "LTE", "GT", "GTE", "BETWEEN", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN")
_TOKEN = re.compile(r"[^\W_]+")


class BadSearchError(Exception):
    """A search HubSpot would refuse with 400."""


class Search:
    """One parsed search body."""

    def __init__(self, kind: ObjectType, body: Mapping[str, Any]) -> None:
        self.kind = kind
        self.groups: list[list[Mapping[str, Any]]] = _groups(kind, body)
        self.limit = _whole(body.get("limit", 10), "limit")
        self.offset = _whole(body.get("after") or 0, "after")
        self.names: list[str] = list(body.get("properties") or ())
        self.query = str(body.get("query") or "")
        self.sort, self.descending = _sort(kind, body.get("sorts") or ())
        if not 0 < self.limit <= PAGE:
            raise BadSearchError(f"limit must be between 1 and {PAGE}, got {self.limit}")
        if self.offset + self.limit > DEEPEST:
            raise BadSearchError(
                f"the search reaches {DEEPEST} results at most, asked up to {self.offset + self.limit}"
            )
        if len(self.query) > LONGEST_QUERY:
            raise BadSearchError(f"query is longer than {LONGEST_QUERY} characters")

    def run(self, table: Table, cutoff: str | None) -> tuple[int, list[tuple[Record, Properties]]]:
        """Total and one page: records with the properties the index knows. `cutoff`: how far a lagging one has seen."""
        if cutoff is not None:
            found = self._lagging(table, cutoff)
            page = found[self.offset : self.offset + self.limit]
            return len(found), page
        rows = self._found(table)
        return len(rows), [(record, record.properties) for record in rows[self.offset : self.offset + self.limit]]

    def _lagging(self, table: Table, cutoff: str) -> list[tuple[Record, Properties]]:
        test = self._test()
        known = ((record, record.as_of(cutoff)) for record in table.listing(archived=False))
        found: list[tuple[Record, Properties]] = [
            (record, seen) for record, seen in known if seen is not None and test(seen)
        ]
        if self.sort:
            key = _sort_key(self.sort)
            found.sort(key=lambda pair: (key(pair[1]), pair[0].number), reverse=self.descending)
        return found

    def _found(self, table: Table) -> list[Record]:
        """All matches. A keyset walk asks the same with a growing id: what stays the same is looked up once."""
        above = self._id_above()
        if above is None:
            return self._cached(table, self.groups)
        rest = [[f for f in self.groups[0] if not _is_id_above(f)]]
        rows = self._cached(table, rest if rest[0] else [])
        return rows[bisect_right(rows, above, key=lambda record: record.number) :]

    def _id_above(self) -> int | None:
        sorted_by_id = self.sort is None or (self.sort.name == "hs_object_id" and not self.descending)
        if len(self.groups) != 1 or not sorted_by_id or self.query:
            return None
        marks = [f for f in self.groups[0] if _is_id_above(f)]
        return int(marks[0]["value"]) if len(marks) == 1 else None

    def _cached(self, table: Table, groups: list[list[Mapping[str, Any]]]) -> list[Record]:
        sort = None if self.sort is None or self.sort.name == "hs_object_id" else self.sort
        key = json.dumps([groups, self.query, sort and sort.name, self.descending], sort_keys=True)
        if key not in table.searches:
            test = _any_of(self.kind, groups, self.query)
            rows = [record for record in table.listing(archived=False) if test(record.properties)]
            if sort is not None:
                of = _sort_key(sort)
                rows.sort(key=lambda record: of(record.properties), reverse=self.descending)
            elif self.descending:
                rows.reverse()
            if len(table.searches) >= REMEMBERED:
                table.searches.clear()
            table.searches[key] = rows
        return table.searches[key]

    def _test(self) -> Test:
        return _any_of(self.kind, self.groups, self.query)


def _groups(kind: ObjectType, body: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    groups = [list(group.get("filters") or ()) for group in body.get("filterGroups") or ()]
    if len(groups) > GROUPS or sum(map(len, groups)) > ALL_FILTERS or any(len(group) > FILTERS for group in groups):
        raise BadSearchError(f"at most {GROUPS} filter groups, {FILTERS} filters in each and {ALL_FILTERS} in all")
    for one in (f for group in groups for f in group):
        _checked(kind, one)
    return groups


def _checked(kind: ObjectType, one: Mapping[str, Any]) -> None:
    name, operator = one.get("propertyName"), one.get("operator")
    if name not in kind.properties:
        raise BadSearchError(f"There was a problem with the request: property {name} does not exist")
    if operator in ("IN", "NOT_IN"):
        values = one.get("values")
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            raise BadSearchError(f"{operator} on {name} needs values, a list of strings")
        return
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return
    if operator not in _NEEDS_VALUE:
        raise BadSearchError(f"operator {operator} is not known")
    if not isinstance(one.get("value"), str):
        raise BadSearchError(f"{operator} on {name} needs a value, a string")
    if operator == "BETWEEN" and not isinstance(one.get("highValue"), str):
        raise BadSearchError(f"BETWEEN on {name} needs a highValue, a string")


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not str(value).isdigit():
        raise BadSearchError(f"{name} must be a whole number, got {value!r}")
    return int(str(value))


def _sort(kind: ObjectType, sorts: Any) -> tuple[Property | None, bool]:
    if not sorts:
        return None, False
    if len(sorts) > 1:
        raise BadSearchError("only one sort is possible")
    match sorts[0]:
        case {"propertyName": str(name), **rest}:
            descending = rest.get("direction", "ASCENDING") == "DESCENDING"
        case str(text):
            name, descending = text.lstrip("-"), text.startswith("-")
        case other:
            raise BadSearchError(f"{other!r} is no sort")
    if name not in kind.properties:
        raise BadSearchError(f"property {name} to sort by does not exist")
    return kind.properties[name], descending


def _sort_key(prop: Property) -> Callable[[Properties], Any]:
    name = prop.name
    if prop.type == "number":
        return lambda properties: float(properties.get(name) or "-inf")
    return lambda properties: properties.get(name, "")


def _is_id_above(one: Mapping[str, Any]) -> bool:
    return bool(one["propertyName"] == "hs_object_id" and one["operator"] == "GT" and one["value"].isdigit())


def _any_of(kind: ObjectType, groups: list[list[Mapping[str, Any]]], query: str) -> Test:
    tests = [_all_of([_filter(kind.properties[one["propertyName"]], one) for one in group]) for group in groups]

    def found(properties: Properties) -> bool:
        return not tests or any(test(properties) for test in tests)

    if not query:
        return tests[0] if len(tests) == 1 else found
    words = query.lower().split()
    searched = ("email", "firstname", "lastname", "phone", "company", "name", "domain", "hs_task_subject")

    def both(properties: Properties) -> bool:
        text = " ".join(properties.get(name, "") for name in searched).lower()
        return found(properties) and all(word in text for word in words)

    return both


def _all_of(tests: list[Test]) -> Test:
    match tests:
        case []:
            return lambda properties: True
        case [one]:
            return one
        case [one, two]:
            return lambda properties: one(properties) and two(properties)
        case _:
            return lambda properties: all(test(properties) for test in tests)


def _filter(prop: Property, one: Mapping[str, Any]) -> Test:
    name, operator = prop.name, one["operator"]
    match operator:
        case "HAS_PROPERTY":
            return lambda properties: name in properties
        case "NOT_HAS_PROPERTY":
            return lambda properties: name not in properties
        case "IN" | "NOT_IN":
            return _membership(prop, operator == "IN", one["values"])
        case "CONTAINS_TOKEN":
            return _tokens(name, one["value"])
        case "NOT_CONTAINS_TOKEN":
            contains = _tokens(name, one["value"])
            return lambda properties: not contains(properties)
        case _:
            return _comparison(prop, operator, one)


def _membership(prop: Property, wanted: bool, values: list[str]) -> Test:
    """Text is compared in lower case with the values as given: upper case in them finds nothing."""
    name = prop.name
    lower = prop.type == "string"
    known = set(values) if lower or prop.type == "enumeration" else {_value(prop, value) for value in values}

    def test(properties: Properties) -> bool:
        held = properties.get(name)
        return held is not None and ((held.lower() if lower else _held(prop, held)) in known) == wanted

    return test


def _tokens(name: str, value: str) -> Test:
    pattern = value.lower()
    words = set(_TOKEN.findall(pattern))

    def test(properties: Properties) -> bool:
        held = properties.get(name, "").lower()
        if "*" in pattern:
            return any(fnmatchcase(part, pattern) for part in (held, *held.split()))
        return bool(words) and words <= set(_TOKEN.findall(held))

    return test


def _comparison(prop: Property, operator: str, one: Mapping[str, Any]) -> Test:
    name = prop.name
    low = _value(prop, one["value"])
    high = _value(prop, one["highValue"]) if operator == "BETWEEN" else low
    compare: dict[str, Callable[[Any], bool]] = {
        "EQ": lambda held: held == low,
        "NEQ": lambda held: held != low,
        "LT": lambda held: held < low,
        "LTE": lambda held: held <= low,
        "GT": lambda held: held > low,
        "GTE": lambda held: held >= low,
        "BETWEEN": lambda held: low <= held <= high,
    }
    chosen = compare[operator]
    if prop.type in ("datetime", "date"):
        return lambda properties: name in properties and chosen(properties[name])
    if prop.type == "number":
        return lambda properties: name in properties and chosen(_number(properties[name]))
    return lambda properties: name in properties and chosen(properties[name].lower())


def _value(prop: Property, text: str) -> Any:
    """A filter value in the form its property is compared in; instants are compared as HubSpot writes them."""
    try:
        match prop.type:
            case "datetime":
                return iso(instant(text))
            case "date":
                return iso(instant(text))[:10] if text.lstrip("-").isdigit() else canonical(prop, text)
            case "number":
                return _number(canonical(prop, text))
            case _:
                return text.lower()
    except BadValueError as bad:
        raise BadSearchError(f"{text!r} is no value to compare {prop.name} with: {bad.message}") from None


def _held(prop: Property, held: str) -> Any:
    return _number(held) if prop.type == "number" else held


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
