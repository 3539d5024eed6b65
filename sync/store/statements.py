"""Statements that are built once, or spelled differently by the two databases.

Rows come and go by the thousand: what SQLAlchemy Core does for each statement, and each row, is most of what they cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    String,
    Table,
    Text,
    any_,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from sync.store.db import to_json
from sync.store.schema import Instant

__all__ = ["Lookup", "PageStatement", "among", "insert", "insert_into", "insert_once", "sqlite_time", "upsert"]


def insert_into(table: Table, dialect: Dialect) -> Any:
    """An INSERT that can say ON CONFLICT: both dialects spell it alike, SQLAlchemy keeps a class for each."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)


def insert_once(tx: Connection, table: Table, row: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Insert unless a row with these keys is there. Says whether this call did it."""
    made = insert_into(table, tx.dialect).values(**row).on_conflict_do_nothing(index_elements=keys)
    # The row is asked for: how many there were not every driver says.
    return tx.execute(made.returning(table.c[keys[0]])).first() is not None


class PageStatement:
    """An INSERT compiled once and sent straight to the driver: half the cost of the same statement through Core.

    Rows are tuples in the order of ``columns``; JSON columns take the encoded text.
    """

    def __init__(self, table: Table, columns: Sequence[str], *, keys: Sequence[str] = (), keep: bool = False) -> None:
        """With ``keys``, a row that exists already gets every other column replaced; with ``keep`` it stays."""
        self._keep = keep
        self._table = table
        self._columns = tuple(columns)
        self._keys = tuple(keys)
        self._compiled: dict[str, tuple[str, Callable[[Sequence[Sequence[Any]]], list[Any]]]] = {}

    def execute(self, tx: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Send all rows in one executemany."""
        if not rows:
            return
        if tx.dialect.name not in self._compiled:
            self._compiled[tx.dialect.name] = self._compile(tx)
        sql, arrange = self._compiled[tx.dialect.name]
        tx.exec_driver_sql(sql, arrange(rows))

    def _compile(self, tx: Connection) -> tuple[str, Callable[[Sequence[Sequence[Any]]], list[Any]]]:
        statement = insert_into(self._table, tx.dialect)
        if self._keys:
            rest = {} if self._keep else {n: statement.excluded[n] for n in self._columns if n not in self._keys}
            there = {"index_elements": list(self._keys)}
            statement = (
                statement.on_conflict_do_update(set_=rest, **there)
                if rest
                else statement.on_conflict_do_nothing(**there)
            )
        compiled = statement.compile(dialect=tx.dialect, column_keys=list(self._columns))
        times = [isinstance(self._table.c[name].type, Instant) for name in self._columns]
        moments = [i for i, is_time in enumerate(times) if is_time]
        on_sqlite = tx.dialect.name == "sqlite"
        if compiled.positional:
            assert compiled.positiontup is not None
            order = [self._columns.index(name) for name in compiled.positiontup]
        else:
            order = []
        in_order = order == list(range(len(self._columns)))

        def arrange(rows: Sequence[Sequence[Any]]) -> list[Any]:
            # A page has few times of its own: most columns of a row, and some of all rows, hold the same object.
            told: dict[int, str | None] = {}
            arranged: list[Any] = []
            for row in rows:
                values = list(row)
                if on_sqlite:
                    for i in moments:
                        value = values[i]
                        if value is not None:
                            key = id(value)
                            if key not in told:
                                told[key] = sqlite_time(value)
                            values[i] = told[key]
                if order:
                    arranged.append(tuple(values) if in_order else tuple([values[i] for i in order]))
                else:
                    arranged.append(dict(zip(self._columns, values, strict=True)))
            return arranged

        return str(compiled), arrange


def upsert(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> None:
    """Insert, or replace every other column where the keys exist already. Every row has the same columns."""
    if rows:
        columns = tuple(rows[0])
        _statement(table, columns, tuple(keys)).execute(tx, _in_order(table, columns, rows))


def insert(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert: a row that is there already is an error the database raises. Every row has the same columns."""
    upsert(tx, table, rows, ())


@cache
def _statement(table: Table, columns: tuple[str, ...], keys: tuple[str, ...]) -> PageStatement:
    return PageStatement(table, columns, keys=keys)


def _in_order(table: Table, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    encoded = [isinstance(table.c[name].type, JSON) for name in columns]
    named = list(zip(columns, encoded, strict=True))
    return [tuple([to_json(row[name]) if is_json else row[name] for name, is_json in named]) for row in rows]


def among(tx: Connection, column: ColumnElement[Any], keys: Sequence[str]) -> ColumnElement[bool]:
    """Whether the column is one of the keys, which are one parameter: a statement is not written anew for their number.

    Worth it where some thousand keys are asked for again and again.
    """
    dialect = tx.dialect.name
    return _among(dialect, column, bindparam("keys", _as_one(dialect, keys), _KEYS[dialect], unique=True))


_KEYS: Mapping[str, TypeEngine[Any]] = {"sqlite": Text(), "postgresql": postgresql.ARRAY(String)}


def _among(dialect: str, column: ColumnElement[Any], keys: BindParameter[Any]) -> ColumnElement[bool]:
    if dialect != "sqlite":
        return column == any_(keys)
    each = func.json_each(keys).table_valued("value", name="keys")
    return column.in_(select(each.c.value))


def _as_one(dialect: str, keys: Sequence[str]) -> str | list[str]:
    return to_json(list(keys)) if dialect == "sqlite" else list(keys)


class Lookup:
    """A SELECT by some fixed values and many keys, built once: the keys are one parameter, not one each."""

    def __init__(self, columns: Sequence[Any], table: Table, fixed: Sequence[str], key: str) -> None:
        """Rows of ``table`` whose ``fixed`` columns have the given values and whose ``key`` is one of the keys."""
        self._columns, self._table, self._fixed, self._key = tuple(columns), table, tuple(fixed), key
        self._statements: dict[str, Any] = {}

    def rows(self, tx: Connection, keys: Sequence[str], **fixed: str) -> Any:
        """The rows found, for at most some thousand keys."""
        dialect = tx.dialect.name
        if dialect not in self._statements:
            self._statements[dialect] = self._built(dialect)
        return tx.execute(self._statements[dialect], {**fixed, "keys": _as_one(dialect, keys)})

    def _built(self, dialect: str) -> Any:
        named = [self._table.c[name] == bindparam(name) for name in self._fixed]
        keys = bindparam("keys", type_=_KEYS[dialect])
        return select(*self._columns).where(*named, _among(dialect, self._table.c[self._key], keys))


def sqlite_time(value: datetime | None) -> str | None:
    """The text SQLAlchemy stores a time as on SQLite, so that both paths write the same bytes."""
    if value is None:
        return None
    utc = value if value.tzinfo is UTC else value.astimezone(UTC)
    return utc.isoformat(" ", "microseconds")[: len("2026-01-02 03:04:05.000000")]
