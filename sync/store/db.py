"""Opening the database, bringing it up to date, and its transactions.

SQLite (write-ahead log) by default, Postgres where several workers share one store; the queries are the same. One
writer at a time, and no network call inside a transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError

__all__ = ["Store", "StoreError", "migrate_to", "to_json"]

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
