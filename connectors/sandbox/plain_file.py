"""Filling the sandbox from a plain CSV of leads: which column becomes which property of which record.

The column map is YAML; docs/real-leads.md describes it. All that is wrong with it is said at once, each problem with
its file and line, before the first record is made.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from connectors.sandbox.box import Sandbox
from connectors.sandbox.salesforce_values import Refused

__all__ = ["ColumnMapError", "load"]

_OBJECTS = ("hubspot contact", "salesforce Lead", "salesforce Contact")
_TYPES = ("text", "number")
_TOP = ("version", "created", "not_answered", "reps", "queues", "fields", "records")
_SALESFORCE_TYPES: Mapping[str, Mapping[str, object]] = {
    "text": {"type": "Text", "length": 255},
    "number": {"type": "Number", "precision": 18, "scale": 4},
}
_COLUMN = re.compile(r"\{([^{}]+)\}")


class ColumnMapError(Exception):
    """A column map or CSV file that cannot be used. ``problems``: one line each, ``file:line: what is wrong``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """How a property gets its value: ``text`` with each ``{Column}`` replaced; then ``values`` says it differently."""

    text: str
    values: Mapping[str, str]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _ColumnMap:
    """``records`` and ``fields`` go by one of `_OBJECTS`; a field's value is its type. ``reps``: e-mail -> name."""

    created: datetime
    not_answered: frozenset[str]
    reps: Mapping[str, str]
    queues: Mapping[str, str]
    fields: Mapping[str, Mapping[str, str]]
    fields_line: int
    records: Sequence[tuple[str, Mapping[str, _Value]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of the file: its number and its cells by column, blank and not answered ones left out."""

    line: int
    cells: Mapping[str, str]


def load(box: Sandbox, csv_path: Path, columns_path: Path) -> int:
    """Makes the records of every row of a CSV file (UTF-8, column names in the first line); returns how many rows.

    A row makes one record for each entry of ``records``, all with the fixed ``created`` date. Cells that are blank or
    not answered make no property. Raises `ColumnMapError` with every problem of both files before anything is made,
    or with the row a CRM would refuse, and OSError when a file cannot be opened.
    """
    plan = _Reader(columns_path).read()
    rows = _rows(csv_path, columns_path, plan)
    _hire(box, plan)
    for object, fields in plan.fields.items():
        try:
            _make_fields(box, object, fields)
        except (ValueError, Refused) as refused:
            raise ColumnMapError([f"{columns_path}:{plan.fields_line}: fields of {object}: {refused}"]) from refused
    for row in rows:
        for object, values in plan.records:
            properties = {name: said for name, value in values.items() if (said := _said(value, row.cells)) is not None}
            try:
                _add(box, object, properties, plan.created)
            except ValueError as refused:
                problem = f"{csv_path}:{row.line}: {object}: {refused}. The rows above this one are loaded."
                raise ColumnMapError([problem]) from refused
    return len(rows)


def _said(value: _Value, cells: Mapping[str, str]) -> str | None:
    """The text for one row; None when a column it needs was not answered."""
    if any(column not in cells for column in _COLUMN.findall(value.text)):
        return None
    text = _COLUMN.sub(lambda match: cells[match[1]], value.text)
    return value.values.get(text, text) or None


# -- the CRMs


def _hire(box: Sandbox, plan: _ColumnMap) -> None:
    """The reps, as users of both CRMs, and the queues."""
    for email, name in plan.reps.items():
        first, _, last = name.rpartition(" ")
        box.hubspot.add_owner(email, first, last)
        box.salesforce.add_user(email, name)
    for developer_name, label in plan.queues.items():
        box.salesforce.add_queue(label, developer_name)


def _make_fields(box: Sandbox, object: str, fields: Mapping[str, str]) -> None:
    """Custom properties, visible to whoever signs in. ValueError or Refused when one is there already."""
    crm, _, kind = object.partition(" ")
    if crm == "hubspot":
        for name, type in fields.items():
            box.hubspot.add_property(kind, name, {"text": "string"}.get(type, type))
        return
    granted = box.salesforce.add("PermissionSet", {"Name": f"Plain_File_{kind}", "Label": f"Plain file {kind}"})
    box.salesforce.add("PermissionSetAssignment", {"PermissionSetId": granted, "AssigneeId": box.salesforce.user_id})
    for name, type in fields.items():
        box.salesforce.add_field(f"{kind}.{name}", {"label": name.removesuffix("__c"), **_SALESFORCE_TYPES[type]})
        grant = {"SobjectType": kind, "Field": f"{kind}.{name}", "PermissionsRead": True, "PermissionsEdit": True}
        box.salesforce.add("FieldPermissions", {"ParentId": granted, **grant})


def _add(box: Sandbox, object: str, properties: Mapping[str, str], created: datetime) -> None:
    crm, _, kind = object.partition(" ")
    if crm == "hubspot":
        box.hubspot.add(kind, properties, at=created)
    else:
        box.salesforce.add(kind, properties, at=created)


# -- the CSV file


def _rows(csv_path: Path, columns_path: Path, plan: _ColumnMap) -> list[_Row]:
    """Every row, after the map was held against the columns."""
    with csv_path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        columns = next(reader, [])
        problems = list(_unknown_columns(plan, columns, csv_path, columns_path))
        problems += [
            f"{csv_path}:1: column {c!r} is there twice" for c in dict.fromkeys(columns) if columns.count(c) > 1
        ]
        rows: list[_Row] = []
        for cells in reader:
            if len(cells) > len(columns):
                problems.append(f"{csv_path}:{reader.line_num}: {len(cells)} cells under {len(columns)} columns")
            named = {column: cell.strip() for column, cell in zip(columns, cells, strict=False)}
            answered = {column: cell for column, cell in named.items() if cell and cell not in plan.not_answered}
            if cells:
                rows.append(_Row(line=reader.line_num, cells=answered))
    if problems:
        raise ColumnMapError(problems)
    return rows


def _unknown_columns(plan: _ColumnMap, columns: list[str], csv_path: Path, columns_path: Path) -> Iterator[str]:
    for object, values in plan.records:
        for name, value in values.items():
            for column in _COLUMN.findall(value.text):
                if column not in columns:
                    yield (
                        f"{columns_path}:{value.line}: {object} {name}: {csv_path.name} has no column {column!r}"
                        f"{_nearest(column, columns)}"
                    )


def _nearest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f", did you mean {near[0]!r}?" if near else ""


# -- the column map


class _Reader:
    """Reads one column map, collecting what is wrong with it. Every scalar is text: ``No`` stays a word."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._problems: list[str] = []

    def read(self) -> _ColumnMap:
        try:
            root: Node | None = YAML(typ="safe", pure=True).compose(self._path.read_text(encoding="utf-8"))
        except MarkedYAMLError as wrong:
            line = wrong.problem_mark.line + 1 if wrong.problem_mark else 1
            raise ColumnMapError([f"{self._path}:{line}: not YAML: {wrong.problem}"]) from wrong
        top = self._mapping(root, "the file", _TOP)
        if self._text(top.get("version"), "version") != "1":
            self._problem(top.get("version") or root, "version: write 1, the version of this format")
        plan = _ColumnMap(
            created=self._instant(top.get("created") or root),
            not_answered=frozenset(
                self._text(one, "not_answered") for one in self._list(top.get("not_answered"), "not_answered")
            ),
            reps=self._texts(top.get("reps"), "reps"),
            queues=self._texts(top.get("queues"), "queues"),
            fields=self._fields(top.get("fields")),
            fields_line=_line(top.get("fields")),
            records=[self._record(one) for one in self._list(top.get("records"), "records")],
        )
        if not plan.records:
            self._problem(top.get("records") or root, "records: names no record to make of a row")
        if self._problems:
            raise ColumnMapError(self._problems)
        return plan

    def _fields(self, node: Node | None) -> dict[str, dict[str, str]]:
        fields: dict[str, dict[str, str]] = {}
        for object, inner in self._mapping(node, "fields", _OBJECTS).items():
            fields[object] = {}
            for name, kind in self._mapping(inner, f"fields of {object}").items():
                fields[object][name] = self._one_of(kind, f"type of {name}", _TYPES)
        return fields

    def _record(self, node: Node) -> tuple[str, dict[str, _Value]]:
        keys = self._mapping(node, "a record", ("object", "properties"))
        object = self._one_of(keys.get("object") or node, "object", _OBJECTS)
        properties = self._mapping(keys.get("properties") or node, f"properties of {object}")
        return object, {name: self._value(name, one) for name, one in properties.items()}

    def _value(self, name: str, node: Node) -> _Value:
        if isinstance(node, ScalarNode):
            return _Value(text=self._text(node, name), values={}, line=_line(node))
        keys = self._mapping(node, name, ("column", "values"))
        column = self._text(keys.get("column") or node, f"column of {name}")
        return _Value(
            text=f"{{{column}}}", values=self._texts(keys.get("values"), f"values of {name}"), line=_line(node)
        )

    def _instant(self, node: Node | None) -> datetime:
        text = self._text(node, "created")
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            at = datetime(1970, 1, 1)  # noqa: DTZ001 - without a zone, so that it is refused below
        if at.tzinfo is None:
            self._problem(node, f"created: {text!r} is no instant, write one like 2026-06-01T09:00:00Z")
        return at.astimezone(UTC)

    def _mapping(self, node: Node | None, what: str, known: Sequence[str] | None = None) -> dict[str, Node]:
        """Key -> node. ``known``: the only keys there may be."""
        if node is None:
            return {}
        if not isinstance(node, MappingNode):
            self._problem(node, f"{what}: write keys with values here")
            return {}
        keys: dict[str, Node] = {}
        for key, value in node.value:
            name = self._text(key, what)
            if name in keys:
                self._problem(key, f"{what}: {name!r} is there twice")
            elif known is not None and name not in known:
                self._problem(
                    key, f"{what}: unknown key {name!r}{_nearest(name, known) or f', known are {_listed(known)}'}"
                )
            if isinstance(value, ScalarNode) and not value.value:
                self._problem(key, f"{what}: {name!r} has no value")
            else:
                keys[name] = value
        return keys

    def _texts(self, node: Node | None, what: str) -> dict[str, str]:
        return {key: self._text(value, what) for key, value in self._mapping(node, what).items()}

    def _list(self, node: Node | None, what: str) -> list[Node]:
        if node is None:
            return []
        if not isinstance(node, SequenceNode):
            self._problem(node, f"{what}: write a list here")
            return []
        return list(node.value)

    def _text(self, node: Node | None, what: str) -> str:
        if not isinstance(node, ScalarNode) or not node.value:
            self._problem(node, f"{what}: write a text here")
            return ""
        return str(node.value)

    def _one_of(self, node: Node, what: str, known: Sequence[str]) -> str:
        text = self._text(node, what)
        if text and text not in known:
            self._problem(node, f"{what}: {text!r} is not known{_nearest(text, known) or f', write {_listed(known)}'}")
        return text

    def _problem(self, node: Node | None, message: str) -> None:
        self._problems.append(f"{self._path}:{_line(node)}: {message}")


def _line(node: Node | None) -> int:
    """The line a node begins on; 1 for what is not there."""
    return 1 if node is None else int(node.start_mark.line) + 1


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
