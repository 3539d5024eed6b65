"""The rows of the sandbox org: versions, transactions, stamps, and who sees which field. No rule of any object here.

A row is a plain dict of its non-null fields and is never changed in place: a write puts a new dict, so a query that is
being paged keeps the rows it found. Every table knows each row twice: ``newest`` is what the next write starts from,
``rows`` what readers see. They differ only while commits are held back.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.clock import Clock
from connectors.sandbox.journal import Journal, Op, Via
from connectors.sandbox.salesforce_ids import IdMint, key_prefix
from connectors.sandbox.salesforce_schema import ACTIVITY, Field, ObjectType, standard_objects
from connectors.sandbox.soql import stamp

__all__ = ["Actor", "Row", "Store", "Table"]

Row = dict[str, Any]
STAMPS = frozenset({"Id", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who writes, through which door, and when (``at`` is a stamp)."""

    user_id: str
    via: Via
    at: str

    @property
    def api(self) -> bool:
        return self.via == "api"


@dataclass(slots=True)
class Table:
    """All rows of one object, by id."""

    kind: ObjectType
    rows: dict[str, Row] = field(default_factory=dict)
    newest: dict[str, Row] = field(default_factory=dict)
    version: int = 0
    _indexes: dict[str, dict[Any, dict[str, None]]] = field(default_factory=dict)
    _by_stamp: tuple[int, list[tuple[str, str]]] = (-1, [])

    def put(self, record_id: str, after: Row | None) -> None:
        """Make this the newest version (None: gone for good); readers do not see it yet."""
        before = self.newest.get(record_id)
        for name, index in self._indexes.items():
            old, new = before and before.get(name), after and after.get(name)
            if old is not None:
                index[_folded(old)].pop(record_id, None)
            if new is not None:
                index.setdefault(_folded(new), {})[record_id] = None
        if after is None:
            self.newest.pop(record_id, None)
        else:
            self.newest[record_id] = after

    def publish(self, record_id: str, row: Row | None) -> None:
        """Let readers see this version."""
        if row is None:
            self.rows.pop(record_id, None)
        else:
            self.rows[record_id] = row
        self.version += 1

    def having(self, name: str, value: Any) -> list[Row]:
        """The newest rows whose field equals ``value`` (texts without regard to case), oldest entry first."""
        index = self._indexes.get(name)
        if index is None:
            index = self._indexes[name] = {}
            for record_id, row in self.newest.items():
                if row.get(name) is not None:
                    index.setdefault(_folded(row[name]), {})[record_id] = None
        return [self.newest[record_id] for record_id in index.get(_folded(value), ())]

    def live(self, name: str, value: Any) -> list[Row]:
        """The same without deleted rows."""
        return [row for row in self.having(name, value) if not row.get("IsDeleted")]

    def between(self, lower: str | None, upper: str | None) -> list[Row]:
        """Visible rows in order of (SystemModstamp, Id), stamps from ``lower`` to ``upper``, both included."""
        if self._by_stamp[0] != self.version:
            self._by_stamp = (self.version, sorted((row["SystemModstamp"], key) for key, row in self.rows.items()))
        order = self._by_stamp[1]
        first = bisect_left(order, (lower, "")) if lower else 0
        last = bisect_right(order, (upper, "\x7f")) if upper else len(order)
        return [self.rows[key] for _, key in order[first:last]]


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    table: Table
    id: str
    before: Row | None
    after: Row | None
    op: Op
    via: Via
    told: bool


class Store:
    """Tables, transactions and stamps of one org. One lock guards it all."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self.clock = clock
        self.journal = journal
        self.lock_of_org = threading.RLock()
        self.fields_visible_at_once = False
        self._kinds = standard_objects()
        self._folded_kinds = {name.lower(): name for name in self._kinds}
        self._tables = {name: Table(kind) for name, kind in self._kinds.items()}
        self._by_prefix = {kind.prefix: name for name, kind in self._kinds.items()}
        self._mint = IdMint()
        self._changes: list[_Change] | None = None
        self._lag = timedelta()
        self._held: list[tuple[datetime, _Change]] = []
        self._grants: tuple[tuple[int, int], dict[tuple[str, str], tuple[bool, bool]]] = ((-1, -1), {})
        self.user_id = ""
        self.absent: set[str] = set()  # objects that this org does not have, or that the integration user may not see

    # -- schema

    def kind(self, name: str) -> ObjectType | None:
        """The object of this API name, in any case."""
        real = self._folded_kinds.get(name.lower())
        return self._kinds[real] if real and real not in self.absent else None

    def kinds(self) -> Iterator[ObjectType]:
        return (kind for kind in self._kinds.values() if kind.name not in self.absent)

    def table(self, name: str) -> Table:
        return self._tables[name]

    def kind_of(self, record_id: str) -> ObjectType | None:
        """The object an id belongs to, by its prefix."""
        name = self._by_prefix.get(key_prefix(record_id))
        return self._kinds[name] if name else None

    def newest(self, record_id: str) -> Row | None:
        name = self._by_prefix.get(key_prefix(record_id))
        return self._tables[name].newest.get(record_id) if name else None

    def seen(self, record_id: str) -> Row | None:
        """The version readers see."""
        name = self._by_prefix.get(key_prefix(record_id))
        return self._tables[name].rows.get(record_id) if name else None

    def access(self, kind: ObjectType, one: Field) -> tuple[bool, bool]:
        """Whether the integration user may (read, edit) this field: field-level security hides new custom fields."""
        if not one.custom or one.required or self.fields_visible_at_once:
            return True, True
        return self._granted().get((kind.name, one.name), (False, False))

    def readable(self, kind: ObjectType, name: str) -> Field | None:
        """The field of this name if the integration user may see it."""
        one = kind.find(name)
        return one if one is not None and self.access(kind, one)[0] else None

    def _granted(self) -> dict[tuple[str, str], tuple[bool, bool]]:
        permissions, assignments = self._tables["FieldPermissions"], self._tables["PermissionSetAssignment"]
        versions = (permissions.version, assignments.version)
        if self._grants[0] != versions:
            sets = {row["PermissionSetId"] for row in assignments.rows.values() if row["AssigneeId"] == self.user_id}
            granted: dict[tuple[str, str], tuple[bool, bool]] = {}
            for row in permissions.rows.values():
                if row["ParentId"] not in sets:
                    continue
                owner, _, name = row["Field"].partition(".")
                for kind in ("Task", "Event") if owner == ACTIVITY else (owner,):
                    read, edit = granted.get((kind, name), (False, False))
                    granted[kind, name] = (
                        read or bool(row.get("PermissionsRead")),
                        edit or bool(row.get("PermissionsEdit")),
                    )
            self._grants = (versions, granted)
        return self._grants[1]

    # -- time

    def now(self) -> datetime:
        return self.clock.now()

    def second(self) -> str:
        """The stamp of this moment: whole seconds, as record stamps are."""
        return stamp(self.clock.now().replace(microsecond=0))

    def hold_commits(self, seconds: float) -> None:
        """From now on a write is stamped at once but seen only ``seconds`` later by the sandbox clock; 0 ends it."""
        self._lag = timedelta(seconds=seconds)

    def settle(self) -> None:
        """Let readers see what was held back and is now due."""
        if not self._held:
            return
        now = self.now()
        due = [change for at, change in self._held if at <= now]
        self._held = [(at, change) for at, change in self._held if at > now]
        for change in due:
            change.table.publish(change.id, change.after)

    # -- writing

    def new_id(self, kind: ObjectType) -> str:
        return self._mint.next(kind.prefix)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside are committed together, or undone if an exception leaves. An inner one is a savepoint."""
        outermost = self._changes is None
        changes = self._changes = [] if self._changes is None else self._changes
        mark = len(changes)
        try:
            yield
        except BaseException:
            for change in reversed(changes[mark:]):
                change.table.put(change.id, change.before)
            del changes[mark:]
            raise
        finally:
            if outermost:
                self._changes = None
        if outermost:
            for change in changes:
                self._commit(change)

    def write(
        self, kind: ObjectType, record_id: str, after: Row | None, op: Op, by: Actor, *, told: bool = True
    ) -> None:
        """Put a new version inside the open transaction. ``told`` false: the system's own doing, not journalled."""
        assert self._changes is not None, "a write outside of a transaction"
        table = self._tables[kind.name]
        before = table.newest.get(record_id)
        table.put(record_id, after)
        change = _Change(table=table, id=record_id, before=before, after=after, op=op, via=by.via, told=told)
        self._changes.append(change)

    def _commit(self, change: _Change) -> None:
        waits = [at for at, other in self._held if other.id == change.id]
        if self._lag or waits:
            # a later version never becomes visible before an earlier one of the same row
            self._held.append((max([self.now() + self._lag, *waits]), change))
        else:
            change.table.publish(change.id, change.after)
        if change.told and (change.via != "seed" or self.journal.keep_seed):
            differences = _differences(change.before or {}, change.after or {})
            self.journal.record("salesforce", change.table.kind.name, change.id, change.op, differences, change.via)

    def stamped(self, row: Mapping[str, Any], kind: ObjectType, by: Actor, *, system: bool = False) -> Row:
        """A copy with the stamps of a write by this actor. ``system``: only SystemModstamp moves, and never back."""
        after = {name: value for name, value in row.items() if value is not None}
        if system:
            after["SystemModstamp"] = max(by.at, after["SystemModstamp"])
            return after
        after["SystemModstamp"] = by.at
        if "LastModifiedDate" in kind.fields:
            after["LastModifiedDate"] = by.at
            after["LastModifiedById"] = by.user_id
        return after


def _differences(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*before, *after])
    pairs = {name: (before.get(name), after.get(name)) for name in names if name not in STAMPS}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
