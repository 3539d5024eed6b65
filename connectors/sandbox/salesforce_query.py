"""Runs a parsed SOQL query over the visible rows: names bound to fields, conditions to closures, rows to JSON.

One pass of compiled closures a query. Two filters are answered by an index instead: ids, and a window of
SystemModstamp, because an incremental pull asks for little else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

from connectors.sandbox.salesforce_ids import long_id
from connectors.sandbox.salesforce_schema import Field, ObjectType
from connectors.sandbox.salesforce_store import Row, Store
from connectors.sandbox.soql import (
    Aggregate,
    Both,
    Comparison,
    Condition,
    Either,
    Kind,
    Literal,
    Membership,
    Not,
    Operator,
    Order,
    Path,
    Query,
    SemiJoin,
    SoqlError,
    Wildcard,
    parse,
    stamp,
    text_of,
)

__all__ = ["Found", "run"]

Get = Callable[[Row], Any]
Test = Callable[[Row], bool]

# what a polymorphic parent (Owner, Who, What) shows through the Name pseudo-object
_NAME_FIELDS = {
    name.lower(): name
    for name in (
        *("Id", "Name", "Type", "FirstName", "LastName", "Title", "Email", "Phone"),
        *("IsActive", "Username", "Alias", "ProfileId", "UserRoleId"),
    )
}
_NUMERIC = frozenset({"int", "double", "currency", "percent"})
_MAX_JOINS = 2
_MAX_DEPTH = 5
_REFER = "Please reference your WSDL or the describe call for the appropriate names."
_HINT = f"If you are attempting to use a custom {{}}, be sure to append the '{{}}' after the {{}} name. {_REFER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All rows of a query in order, and how one becomes JSON. ``total`` alone counts for SELECT COUNT()."""

    total: int
    rows: Sequence[Row]
    render: Callable[[Row], Row]


def run(text: str, store: Store, *, root: str, include_deleted: bool = False, tooling: bool = False) -> Found:
    """Answer a query. ``root`` starts the record URLs (``/services/data/v59.0``). Raises SoqlError."""
    return _Run(parse(text), store, root, include_deleted, tooling).found()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A bound path: how to get its value from a row of the query's object, and what type of value that is."""

    path: Path
    field: Field
    get: Get


class _Run:
    def __init__(self, query: Query, store: Store, root: str, include_deleted: bool, tooling: bool) -> None:
        self._query = query
        self._store = store
        self._root = root
        self._include_deleted = include_deleted
        self._tooling = tooling
        self._joins = 0
        kind = store.kind(query.object)
        if kind is None or (kind.tooling and not tooling):
            self._at(
                "INVALID_TYPE",
                query.object_at,
                f"sObject type '{query.object}' is not supported. {_HINT.format('object', '__c', 'entity')}",
            )
        self._kind = kind

    def found(self) -> Found:
        query = self._query
        if query.counts_rows:
            return Found(total=len(self._rows()), rows=(), render=dict)
        if query.aggregates:
            rows = self._grouped()
            return Found(total=len(rows), rows=rows, render=lambda row: row)
        paths = self._selected()
        render = self._renderer(self._kind, paths, 0)
        rows = self._rows()
        if self._kind.tooling and len(rows) > 1 and {str(p).lower() for p in paths} & {"metadata", "fullname"}:
            raise SoqlError(
                "MALFORMED_QUERY",
                "When retrieving results with Metadata or FullName fields, the query qualifications must specify no "
                f"more than one row for retrieval. Result size: {len(rows)}",
            )
        return Found(total=len(rows), rows=rows, render=render)

    def _at(self, code: str, at: int, text: str) -> NoReturn:
        """Refuse, showing the place as Salesforce does."""
        source = self._query.source
        shown = source[max(0, at - 40) : at + 40].strip()
        raise SoqlError(code, f"\n{shown}\n{' ' * min(at, 40)}^\nERROR at Row:1:Column:{at + 1}\n{text}")

    # -- names

    def _no_column(self, path: Path, name: str, entity: str) -> NoReturn:
        hint = _HINT.format("field", "__c", "custom field")
        self._at(
            "INVALID_FIELD",
            path.at,
            f"No such column '{name}' on entity '{entity}'. {hint}",
        )

    def _column(self, path: Path) -> _Column:
        """Bind a path, over parents if it is dotted."""
        names = path.names
        if len(names) > 1 and names[0].lower() == self._kind.name.lower() and not self._kind.by_relationship(names[0]):
            names = names[1:]  # Lead.Id FROM Lead
        if len(names) - 1 > _MAX_DEPTH:
            self._at("MALFORMED_QUERY", path.at, f"SOQL relationships may go up to {_MAX_DEPTH} levels")
        return self._bound(path, self._kind, names)

    def _bound(self, path: Path, kind: ObjectType, names: tuple[str, ...]) -> _Column:
        if len(names) == 1:
            one = self._store.readable(kind, names[0])
            if one is None:
                self._no_column(path, names[0], kind.name)
            return _Column(path=path, field=one, get=_getter(one))
        link = self._relation(path, kind, names[0])
        follow = self._follow(link)
        if link.polymorphic:
            if len(names) > 2:
                self._no_column(path, names[1], "Name")
            inner = self._of_name(path, names[1])
        else:
            inner = self._bound(path, self._parent(path, link), names[1:])
        get = inner.get

        def value(row: Row) -> Any:
            parent = follow(row)
            return None if parent is None else get(parent)

        return _Column(path=path, field=inner.field, get=value)

    def _relation(self, path: Path, kind: ObjectType, name: str) -> Field:
        link = kind.by_relationship(name)
        if link is None or not self._store.access(kind, link)[0]:
            self._at(
                "INVALID_FIELD",
                path.at,
                f"Didn't understand relationship '{name}' in field path. "
                + _HINT.format("relationship", "__r", "custom relationship"),
            )
        return link

    def _parent(self, path: Path, link: Field) -> ObjectType:
        kind = self._store.kind(link.references[0])
        if kind is None:
            self._no_column(path, link.name, link.references[0])
        return kind

    def _of_name(self, path: Path, name: str) -> _Column:
        real = _NAME_FIELDS.get(name.lower())
        if real is None:
            self._no_column(path, name, "Name")
        kind = (
            "boolean"
            if real == "IsActive"
            else "id"
            if real == "Id"
            else "reference"
            if real.endswith("Id")
            else "string"
        )
        one = Field(name=real, type=kind, label=real)
        if real == "Type":
            return _Column(path=path, field=one, get=self._type_of)
        return _Column(path=path, field=one, get=lambda row: row.get(real))

    def _type_of(self, row: Row) -> str:
        kind = self._store.kind_of(row["Id"])
        name = kind.name if kind else ""
        return "Queue" if name == "Group" and row.get("Type") == "Queue" else name

    def _follow(self, link: Field) -> Callable[[Row], Row | None]:
        name, store = link.name, self._store
        if not link.polymorphic and (kind := store.kind(link.references[0])):
            rows = store.table(kind.name).rows
            return lambda row: rows.get(row.get(name, ""))
        return lambda row: store.seen(row.get(name, ""))

    # -- SELECT

    def _selected(self) -> list[Path]:
        paths: list[Path] = []
        for one in self._query.select:
            match one:
                case Path():
                    paths.append(one)
                case Wildcard():
                    paths += self._expanded(one)
                case Aggregate():
                    raise SoqlError("MALFORMED_QUERY", "aggregates need rows to group")
        seen: set[str] = set()
        for path in paths:
            if str(path).lower() in seen:
                raise SoqlError("INVALID_FIELD", f"duplicate field selected: {path}")
            seen.add(str(path).lower())
        return paths

    def _expanded(self, wildcard: Wildcard) -> list[Path]:
        if wildcard.group != "STANDARD" and not (self._query.limit or 201) <= 200:
            raise SoqlError("MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200")
        wanted = {"ALL": (True, False), "STANDARD": (False,), "CUSTOM": (True,)}[wildcard.group]
        fields = self._kind.fields.values()
        return [
            Path(names=(f.name,), at=0) for f in fields if f.custom in wanted and self._store.access(self._kind, f)[0]
        ]

    def _renderer(self, kind: ObjectType, paths: Iterable[Path], depth: int) -> Callable[[Row], Row]:
        """Rows of this object as nested JSON, keys in the order they were selected."""
        parts: dict[str, Callable[[Row], Any]] = {}
        below: dict[str, list[Path]] = {}
        for path in paths:
            names = path.names[depth:]
            if (
                len(names) > 1
                and depth == 0
                and names[0].lower() == kind.name.lower()
                and not kind.by_relationship(names[0])
            ):
                names = names[1:]
                path = Path(names=names, at=path.at)
            if len(names) == 1:
                column = self._bound(path, kind, names)
                parts[column.field.name] = column.get
                continue
            self._bound(path, kind, names)
            link = self._relation(path, kind, names[0])
            key = link.relationship or names[0]
            below.setdefault(key, []).append(path)
            parts.setdefault(key, dict)  # keeps the place; filled below
        for key, inner in below.items():
            parts[key] = self._nested(kind, key, inner, depth)
        url, name = f"{self._root}/sobjects/{kind.name}/", kind.name
        if kind.tooling:
            url = f"{self._root}/tooling/sobjects/{kind.name}/"

        def render(row: Row) -> Row:
            out: Row = {"attributes": {"type": name, "url": url + row["Id"]}}
            for key, get in parts.items():
                out[key] = get(row)
            return out

        return render

    def _nested(self, kind: ObjectType, key: str, paths: list[Path], depth: int) -> Callable[[Row], Row | None]:
        link = self._relation(paths[0], kind, key)
        follow = self._follow(link)
        if not link.polymorphic:
            inner = self._renderer(self._parent(paths[0], link), paths, depth + 1)

            def parent(row: Row) -> Row | None:
                target = follow(row)
                return None if target is None else inner(target)

            return parent
        columns = [self._of_name(path, path.names[depth + 1]) for path in paths]

        def named(row: Row) -> Row | None:
            target = follow(row)
            if target is None:
                return None
            real = self._store.kind_of(target["Id"])
            out: Row = {
                "attributes": {
                    "type": "Name",
                    "url": f"{self._root}/sobjects/{real.name if real else ''}/{target['Id']}",
                }
            }
            for column in columns:
                out[column.field.name] = column.get(target)
            return out

        return named

    # -- rows

    def _rows(self) -> list[Row]:
        query = self._query
        test = self._condition(query.where, nested=False) if query.where else None
        wanted = None if query.limit is None else query.offset + query.limit
        source, in_order = self._candidates()
        keys = [] if in_order else [self._sort_key(one) for one in query.order]
        rows: list[Row] = []
        for row in source:
            if self._hidden(row) or (test is not None and not test(row)):
                continue
            if wanted is not None and not keys and len(rows) >= wanted:
                break
            rows.append(row)
        for key, descending in reversed(keys):
            rows.sort(key=key, reverse=descending)
        return rows[query.offset : wanted]

    def _hidden(self, row: Row) -> bool:
        return not self._include_deleted and bool(row.get("IsDeleted") or row.get("IsArchived"))

    def _candidates(self) -> tuple[Iterable[Row], bool]:
        """The rows worth looking at, and whether they already stand in the order asked for."""
        table, where = self._store.table(self._kind.name), self._query.where
        by_stamp = [str(one.by).lower() for one in self._query.order if not one.descending]
        in_order = len(by_stamp) == len(self._query.order) and by_stamp in (
            ["systemmodstamp"],
            ["systemmodstamp", "id"],
        )
        ids = _ids(where)
        if ids is not None:
            return [table.rows[one] for one in sorted(ids) if one in table.rows], False
        lower, upper = _window(where)
        if lower or upper or in_order:
            return table.between(lower, upper), in_order
        return table.rows.values(), False

    def _sort_key(self, order: Order) -> tuple[Callable[[Row], Any], bool]:
        if isinstance(order.by, Aggregate):
            raise SoqlError("MALFORMED_QUERY", "ordering by an aggregate needs GROUP BY")
        column = self._column(order.by)
        if not column.field.filterable:
            raise SoqlError("INVALID_FIELD", f"field '{order.by}' can not be sorted in a query call")
        return _sort_key(
            column.get, column.field.textual and column.field.type not in {"id", "reference"}, order
        ), order.descending

    # -- WHERE

    def _condition(self, condition: Condition, *, nested: bool) -> Test:
        match condition:
            case Both(parts=parts):
                tests = [self._condition(part, nested=nested) for part in parts]
                return lambda row: all(test(row) for test in tests)
            case Either(parts=parts):
                tests = [self._condition(part, nested=True) for part in parts]
                return lambda row: any(test(row) for test in tests)
            case Not(inner=inner):
                test = self._condition(inner, nested=True)
                return lambda row: not test(row)
            case SemiJoin():
                return self._semi_join(condition, nested=nested)
            case Membership():
                return self._membership(condition)
            case Comparison(left=Path() as path):
                return _comparison(self._filterable(path), condition.operator, condition.right, self._store.now())
            case _:
                raise SoqlError("MALFORMED_QUERY", "aggregates belong into HAVING")

    def _filterable(self, path: Path) -> _Column:
        column = self._column(path)
        if not column.field.filterable:
            raise SoqlError("INVALID_FIELD", f"field '{path}' can not be filtered in a query call")
        return column

    def _membership(self, condition: Membership) -> Test:
        column = self._filterable(condition.path)
        get, fold, now = column.get, _folds(column.field), self._store.now()
        if any(one.kind is Kind.SPAN for one in condition.among):
            tests = [_comparison(column, Operator.EQUAL, one, now) for one in condition.among]
            return lambda row: any(test(row) for test in tests) is not condition.negated
        among = {_constant(column, one) for one in condition.among}
        if fold:
            among = {one.casefold() if isinstance(one, str) else one for one in among}

            def folded(row: Row) -> bool:
                value = get(row)
                return ((value if value is None else value.casefold()) in among) is not condition.negated

            return folded
        negated = condition.negated
        return lambda row: (get(row) in among) is not negated

    def _semi_join(self, condition: SemiJoin, *, nested: bool) -> Test:
        if nested:
            raise SoqlError(
                "MALFORMED_QUERY",
                "Semi join sub-selects are only allowed at the top level WHERE expressions "
                "and not in nested WHERE expressions.",
            )
        self._joins += 1
        if self._joins > _MAX_JOINS:
            raise SoqlError("MALFORMED_QUERY", f"Maximum {_MAX_JOINS} semi join sub-selects are allowed")
        column, query = self._filterable(condition.path), condition.query
        if (
            column.field.type not in {"id", "reference"}
            or len(query.select) != 1
            or not isinstance(query.select[0], Path)
        ):
            raise SoqlError("MALFORMED_QUERY", "The left and the selected field of a semi join must be ids")
        if query.limit is not None or query.order:
            raise SoqlError("MALFORMED_QUERY", "A semi join sub-select may not have LIMIT or ORDER BY")
        if query.where is not None and _joins_inside(query.where):
            raise SoqlError("MALFORMED_QUERY", "Nesting of semi join sub-selects is not supported")
        inner = _Run(query, self._store, self._root, self._include_deleted, self._tooling)
        selected = inner._column(query.select[0])
        if selected.field.type not in {"id", "reference"}:
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"the sub-select's field must be an id: {query.select[0]}")
        values = {selected.get(row) for row in inner._rows()} - {None}
        get, negated = column.get, condition.negated
        return lambda row: (get(row) in values) is not negated

    # -- GROUP BY

    def _grouped(self) -> list[Row]:
        query = self._query
        keys = [self._column(path) for path in query.group_by]
        grouped = {str(path).lower() for path in query.group_by}
        outputs: list[tuple[str, Callable[[list[Row]], Any]]] = []
        unnamed = 0
        for one in query.select:
            match one:
                case Aggregate():
                    outputs.append((one.alias or f"expr{unnamed}", self._aggregate(one)))
                    unnamed += one.alias is None
                case Path():
                    if str(one).lower() not in grouped:
                        raise SoqlError("MALFORMED_QUERY", f"Field must be grouped or aggregated: {one}")
                    column = self._column(one)
                    outputs.append((column.field.name, _first(column.get)))
                case Wildcard():
                    raise SoqlError("MALFORMED_QUERY", "FIELDS cannot be grouped")
        groups: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): []}
        for row in self._ungrouped():
            groups.setdefault(tuple(_fold_value(key.get(row)) for key in keys), []).append(row)
        kept = list(groups.values())
        if query.having is not None:
            having = self._having(query.having)
            kept = [group for group in kept if having(group)]
        for order in reversed(query.order):
            by = order.by
            value = self._aggregate(by) if isinstance(by, Aggregate) else _first(self._column(by).get)
            kept.sort(key=_sort_key(value, False, order), reverse=order.descending)
        last = None if query.limit is None else query.offset + query.limit
        head = {"attributes": {"type": "AggregateResult"}}
        return [head | {name: value(group) for name, value in outputs} for group in kept[query.offset : last]]

    def _ungrouped(self) -> list[Row]:
        query = self._query
        plain = Query(
            source=query.source, object=query.object, object_at=query.object_at, select=query.select, where=query.where
        )
        return _Run(plain, self._store, self._root, self._include_deleted, self._tooling)._rows()

    def _aggregate(self, aggregate: Aggregate) -> Callable[[list[Row]], Any]:
        if aggregate.of is None:
            raise SoqlError("MALFORMED_QUERY", "COUNT() must be the only selected expression")
        column = self._column(aggregate.of)
        if aggregate.function in {"SUM", "AVG"} and column.field.type not in _NUMERIC:
            raise SoqlError(
                "MALFORMED_QUERY", f"field {aggregate.of} does not support aggregate operator {aggregate.function}"
            )
        reduce, get = _REDUCERS[aggregate.function], column.get
        return lambda rows: reduce([value for row in rows if (value := get(row)) is not None])

    def _having(self, condition: Condition) -> Callable[[list[Row]], bool]:
        match condition:
            case Both(parts=parts):
                every = [self._having(part) for part in parts]
                return lambda rows: all(test(rows) for test in every)
            case Either(parts=parts):
                some = [self._having(part) for part in parts]
                return lambda rows: any(test(rows) for test in some)
            case Not(inner=inner):
                test = self._having(inner)
                return lambda rows: not test(rows)
            case Comparison(left=Aggregate() as aggregate):
                value = self._aggregate(aggregate)
                number = Field(name=aggregate.function, type="double", label=aggregate.function)
                column = _Column(path=Path(names=("value",), at=0), field=number, get=lambda row: row["value"])
                compare = _comparison(column, condition.operator, condition.right, self._store.now())
                return lambda rows: compare({"value": value(rows)})
            case _:
                plain = self._condition(condition, nested=True)
                return lambda rows: bool(rows) and plain(rows[0])


_REDUCERS: dict[str, Callable[[list[Any]], Any]] = {
    "COUNT": len,
    "COUNT_DISTINCT": lambda values: len({_fold_value(value) for value in values}),
    "SUM": lambda values: sum(values) if values else None,
    "AVG": lambda values: sum(values) / len(values) if values else None,
    "MIN": lambda values: min(values, default=None),
    "MAX": lambda values: max(values, default=None),
}


def _getter(one: Field) -> Get:
    name = one.name
    if one.type == "boolean":
        return lambda row: row.get(name, False)
    return lambda row: row.get(name)


def _first(get: Get) -> Callable[[list[Row]], Any]:
    return lambda rows: get(rows[0]) if rows else None


def _fold_value(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _folds(one: Field) -> bool:
    return one.textual and one.type not in {"id", "reference"} and not one.case_sensitive


def _sort_key(get: Callable[[Any], Any], folded: bool, order: Order) -> Callable[[Any], Any]:
    # one flag puts the nulls where they belong, whichever way the sort runs
    null_flag = order.nulls_last != order.descending

    def key(row: Any) -> tuple[bool, Any]:
        value = get(row)
        if value is None:
            return (null_flag, "")
        return (not null_flag, value.casefold() if folded else value)

    return key


def _joins_inside(condition: Condition) -> bool:
    match condition:
        case SemiJoin():
            return True
        case Both(parts=parts) | Either(parts=parts):
            return any(_joins_inside(part) for part in parts)
        case Not(inner=inner):
            return _joins_inside(inner)
        case _:
            return False


# -- literals


def _mismatch(column: _Column, literal: Literal) -> SoqlError:
    quotes = "should not be enclosed in quotes" if literal.kind is Kind.TEXT else "should be enclosed in quotes"
    wanted = {"datetime": "dateTime", "reference": "id"}.get(column.field.type, column.field.type)
    return SoqlError(
        "INVALID_FIELD", f"value of filter criterion for field '{column.path}' must be of type {wanted} and {quotes}"
    )


def _constant(column: _Column, literal: Literal, *, like: bool = False) -> Any:
    """The stored form of a literal, after checking that it fits the field's type."""
    one = column.field
    match literal.kind:
        case Kind.NULL:
            return None
        case Kind.TEXT if one.type in {"id", "reference"}:
            text = text_of(str(literal.value))
            whole = long_id(text) if text else None
            if text and whole is None:
                raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {text}")
            return whole
        case Kind.TEXT if one.textual:
            return text_of(str(literal.value), like=like) or None
        case Kind.NUMBER if one.type in _NUMERIC:
            return literal.value
        case Kind.BOOLEAN if one.type == "boolean":
            return literal.value
        case Kind.DAY if one.type == "date":
            return literal.value
        case Kind.MOMENT if one.type == "datetime":
            return literal.value
        case _:
            raise _mismatch(column, literal)


def _span(literal: Literal, today: date) -> tuple[date, date]:
    """First day and the day after the last of a date literal, UTC."""
    name, _, count = str(literal.value).partition(":")
    one = timedelta(days=1)
    match name:
        case "YESTERDAY":
            return today - one, today
        case "TOMORROW":
            return today + one, today + 2 * one
        case "LAST_N_DAYS":
            return today - timedelta(days=int(count)), today + one
        case "NEXT_N_DAYS":
            return today + one, today + timedelta(days=int(count) + 1)
        case _:
            return today, today + one


def _comparison(column: _Column, operator: Operator, literal: Literal, now: datetime) -> Test:
    get = column.get
    if literal.kind is Kind.SPAN:
        return _in_span(column, operator, literal, now)
    if operator is Operator.LIKE:
        return _like(column, literal)
    value = _constant(column, literal)
    if column.field.type == "boolean" and operator not in {Operator.EQUAL, Operator.UNEQUAL}:
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on boolean field: {column.path}")
    if value is None:
        if operator is Operator.EQUAL:
            return lambda row: get(row) is None
        if operator is Operator.UNEQUAL:
            return lambda row: get(row) is not None
        return lambda row: False
    if _folds(column.field):
        value, plain = value.casefold(), get

        def get(row: Row) -> Any:
            found = plain(row)
            return None if found is None else found.casefold()

    match operator:
        case Operator.EQUAL:
            return lambda row: get(row) == value
        case Operator.UNEQUAL:
            return lambda row: get(row) != value
        case Operator.LESS:
            return lambda row: (found := get(row)) is not None and found < value
        case Operator.AT_MOST:
            return lambda row: (found := get(row)) is not None and found <= value
        case Operator.MORE:
            return lambda row: (found := get(row)) is not None and found > value
        case Operator.AT_LEAST:
            return lambda row: (found := get(row)) is not None and found >= value


def _like(column: _Column, literal: Literal) -> Test:
    if not column.field.textual or column.field.type in {"id", "reference"}:
        raise SoqlError(
            "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {column.field.type} field: {column.path}"
        )
    text = _constant(column, literal, like=True) or ""
    parts = {"%": ".*", "_": "."}
    pattern = "".join(
        re.escape(piece[1:]) if piece.startswith("\\") and len(piece) > 1 else parts.get(piece, re.escape(piece))
        for piece in re.findall(r"\\.|.", text, re.DOTALL)
    )
    matches = re.compile(pattern, re.IGNORECASE | re.DOTALL).fullmatch
    get = column.get
    return lambda row: (found := get(row)) is not None and matches(found) is not None


def _in_span(column: _Column, operator: Operator, literal: Literal, now: datetime) -> Test:
    if column.field.type not in {"date", "datetime"}:
        raise _mismatch(column, literal)
    first, after = _span(literal, now.astimezone(UTC).date())
    exact = column.field.type == "datetime"
    low, high = (
        stamp(datetime(d.year, d.month, d.day, tzinfo=UTC)) if exact else d.isoformat() for d in (first, after)
    )
    get = column.get
    tests: dict[Operator, Callable[[str], bool]] = {
        Operator.EQUAL: lambda found: low <= found < high,
        Operator.UNEQUAL: lambda found: not low <= found < high,
        Operator.LESS: lambda found: found < low,
        Operator.AT_MOST: lambda found: found < high,
        Operator.MORE: lambda found: found >= high,
        Operator.AT_LEAST: lambda found: found >= low,
    }
    test = tests.get(operator)
    if test is None:
        raise SoqlError(
            "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {column.field.type} field: {column.path}"
        )
    return lambda row: (found := get(row)) is not None and test(found)


# -- what an index can answer


def _ids(condition: Condition | None) -> set[str] | None:
    """The ids a row must be among, if the condition says so at its top."""
    match condition:
        case Both(parts=parts):
            return next((ids for part in parts if (ids := _ids(part)) is not None), None)
        case Membership(path=Path(names=(name,)), among=among, negated=False) if name.lower() == "id":
            literals = among
        case Comparison(left=Path(names=(name,)), operator=Operator.EQUAL, right=literal) if name.lower() == "id":
            literals = (literal,)
        case _:
            return None
    given = (long_id(one.value) for one in literals if one.kind is Kind.TEXT)
    return {one for one in given if one is not None}


def _window(condition: Condition | None) -> tuple[str | None, str | None]:
    """The SystemModstamps between which every row must lie for the condition to hold; None where it is open."""
    match condition:
        case Both(parts=parts):
            windows = [_window(part) for part in parts]
            lowers = [low for low, _ in windows if low]
            uppers = [high for _, high in windows if high]
            return max(lowers, default=None), min(uppers, default=None)
        case Either(parts=parts):
            windows = [_window(part) for part in parts]
            lowers = [low for low, _ in windows if low]
            uppers = [high for _, high in windows if high]
            every = len(windows)
            return min(lowers) if len(lowers) == every else None, max(uppers) if len(uppers) == every else None
        case Comparison(
            left=Path(names=(name,)), operator=operator, right=Literal(kind=Kind.MOMENT, value=str(at))
        ) if name.lower() == "systemmodstamp":
            match operator:
                case Operator.EQUAL:
                    return at, at
                case Operator.LESS | Operator.AT_MOST:
                    return None, at
                case Operator.MORE | Operator.AT_LEAST:
                    return at, None
                case _:
                    return None, None
        case _:
            return None, None
