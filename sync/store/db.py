"""Opening the database, bringing it up to date, and its transactions.

SQLite (write-ahead log) by default, Postgres where several workers share one store; the queries are the same. One
writer at a time, and no network call inside a transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    String,
    Table,
    Text,
    any_,
    bindparam,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.types import TypeEngine

from sync.store.schema import Instant

__all__ = ["Lookup", "PageStatement", "Store", "StoreError", "insert_into", "insert_once", "to_json"]

MIGRATIONS = Path(__file__).parent / "migrations"

BUSY_SECONDS = 60
"""How long SQLite waits for another process's transaction before it gives up."""

WAL_LIMIT = 64 * 1024 * 1024
"""Bytes the write-ahead log is cut back to after a checkpoint; long readers let it grow beyond."""

PRAGMAS = (
    "journal_mode=WAL",
    "foreign_keys=ON",
    f"journal_size_limit={WAL_LIMIT}",
    "wal_autocheckpoint=8000",  # 32 MB: a page that is written again and again goes into the database file less often
    "cache_size=-32768",  # KB: the upper parts of the indexes of ten million rows
    "synchronous=FULL",
)
"""How every connection to SQLite is set up."""

WRITE_LOCK = 0x6D716C73
"""The advisory lock of whoever writes in Postgres: what they have read stays so until they commit, as in SQLite."""


class StoreError(Exception):
    """The store cannot be used as asked. The message says why and what to do; nothing was changed."""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"a {type(value).__name__} has no place in a stored JSON column")


_encoder = msgspec.json.Encoder(enc_hook=_plain, order="sorted")


def to_json(value: Any) -> str:
    """Compact JSON with sorted keys: equal values give equal text."""
    return _encoder.encode(value).decode()


ENGINE: Mapping[str, Any] = {
    "json_serializer": to_json,
    "json_deserializer": msgspec.json.decode,
    # The values of a failed statement are people; its text says enough.
    "hide_parameters": True,
}


@dataclass(slots=True)
class Store:
    """One open store. Connections are pooled; closing lets go of them.

    url     as given, for messages (without a password)
    folder  where the Parquet snapshot lives; it can be deleted at any time
    """

    url: str
    folder: Path
    engine: Engine
    _writing: threading.Lock
    _writer: int | None = None

    @classmethod
    def open(cls, url: str, *, folder: Path | None = None, home: Path | None = None) -> Store:
        """Open, make if there is none, and bring up to date.

        Parameters
        ----------
        url: ``sqlite:///path`` or ``postgresql+psycopg://user@host/database``
        folder: of the Parquet snapshot; ``<database file>.snapshot`` for SQLite, ``state/<database>.snapshot`` else
        home: the directory that ``state`` is in, by default the one we are in

        Raises
        ------
        StoreError: the URL names no usable database, or a newer mqlsync made the store
        """
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise StoreError(f"store: {url!r} is no database URL; write sqlite:///path/to/file.db") from error
        shown = parsed.render_as_string(hide_password=True)
        place = _place(parsed, shown)
        engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgres(parsed, shown)
        store = cls(url=shown, folder=folder or (home or Path()) / place, engine=engine, _writing=threading.Lock())
        try:
            store._up_to_date()
        except DBAPIError as error:
            store.close()
            raise StoreError(f"store: {shown} cannot be opened: {error.orig}; nothing was changed") from error
        except StoreError:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view. Keep it short: the write-ahead log cannot shrink below an open one."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """The store's one write transaction; commits at the end, rolls back when anything is raised.

        ``durable`` False may lose whole transactions, newest first, when the machine (not the process) dies: for pages
        that are simply read again.
        """
        me = threading.get_ident()
        if self._writer == me:
            raise RuntimeError("a write transaction was asked for inside another one: pass `tx` on instead")
        with self._writing:
            self._writer = me
            try:
                with self.engine.connect() as opened:
                    connection = opened.execution_options(mqlsync_writes=True, mqlsync_durable=durable)
                    with connection.begin():
                        yield connection
            finally:
                self._writer = None

    # -- migrations ------------------------------------------------------------------------------------------

    def _up_to_date(self) -> None:
        scripts = ScriptDirectory(str(MIGRATIONS))
        head = scripts.get_current_head()
        known = {script.revision for script in scripts.walk_revisions()}
        with self.read() as tx:
            current = MigrationContext.configure(tx).get_current_revision()
        self._refuse_newer(current, known)
        if current == head:
            return
        with self.write() as tx:
            # Another process may have done it while this one waited for the lock.
            current = MigrationContext.configure(tx).get_current_revision()
            self._refuse_newer(current, known)
            if current != head:
                migrate_to(tx, "head")

    def _refuse_newer(self, current: str | None, known: set[str]) -> None:
        if current is not None and current not in known:
            raise StoreError(
                f"store: {self.url} was made by a newer mqlsync (version {current} of its tables); "
                "update mqlsync, or name another store. Nothing was changed"
            )


def migrate_to(tx: Connection, revision: str, *, down: bool = False) -> None:
    """Run the migrations from where ``tx`` stands to ``revision``, inside its transaction."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = tx
    if down:
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def _place(url: URL, shown: str) -> Path:
    match url.get_backend_name():
        case "sqlite":
            if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
                raise StoreError(f"store: {shown} names no file; write sqlite:///path/to/file.db")
            file = Path(url.database)
            return file.with_name(f"{file.name}.snapshot")
        case "postgresql":
            return Path("state") / f"{url.database}.snapshot"
        case other:
            raise StoreError(f"store: {other} is not supported; use sqlite:///path or postgresql+psycopg://…")


def _sqlite(url: URL) -> Engine:
    assert url.database is not None
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"store: the folder of {url.database} cannot be made: {error.strerror}") from error
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **ENGINE)

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        # SQLAlchemy begins transactions itself, see below; the driver must not.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("mqlsync_writes"):
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options['mqlsync_durable'] else 'NORMAL'}")
            # IMMEDIATE: a read that turns into a write would fail at once when somebody else wrote in between.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _postgres(url: URL, shown: str) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True, **ENGINE)
    except ModuleNotFoundError as error:
        raise StoreError(f"store: {shown} needs the package {error.name}; pip install 'mqlsync[postgres]'") from error

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("mqlsync_writes"):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return
        if not options["mqlsync_durable"]:
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")

    return engine


# -- the hot path ------------------------------------------------------------------------------------------------


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
