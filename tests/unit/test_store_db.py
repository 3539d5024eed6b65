"""Opening a store: what is made, what is refused, and what its transactions are on SQLite."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Connection, insert, inspect, select
from sqlalchemy.dialects import postgresql

from sync.store import schema
from sync.store.db import Store, StoreError, migrate_to, to_json
from sync.store.statements import PageStatement, sqlite_time


def at(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store.open(at(tmp_path / "state" / "mqlsync.db"))
    yield opened
    opened.close()


def test_opening_makes_the_folder_the_file_and_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "store.db"
    store = Store.open(at(path))
    assert path.exists()
    assert store.folder == tmp_path / "a" / "b" / "store.db.snapshot"
    assert set(inspect(store.engine).get_table_names()) == {*schema.metadata.tables, "alembic_version"}
    store.close()


def test_records_of_an_older_store_were_first_read_when_it_began_or_when_they_were_made(store: Store) -> None:
    began, seen = "2026-03-01 09:00:00.000000", "2026-03-09 09:00:00.000000"
    record = (
        "INSERT INTO record (conn, object, id, emails, facts, current, counters, cross_refs, input_hash, version,"
        " modified_at, created_at, gone, problems, inputs_at, touched, seen_at)"
        " VALUES (?, 'contact', ?, '[]', '{}', '{}', '{}', '[]', '', '',"
        f" '{seen}', ?, 0, '[]', '{seen}', 0, '{seen}')"
    )
    with store.write() as tx:
        migrate_to(tx, "0001", down=True)
        tx.exec_driver_sql("INSERT INTO pinned VALUES ('hubspot', '1', 'portal', ?)", (began,))
        for conn, id, created in (
            ("hubspot", "older", "2020-01-01 09:00:00.000000"),
            ("hubspot", "younger", "2026-03-04 09:00:00.000000"),
            ("hubspot", "undated", None),
            ("salesforce", "of no pinned account", None),
        ):
            tx.exec_driver_sql(record, (conn, id, created))
        migrate_to(tx, "head")
        found = dict(tx.execute(select(schema.record.c.id, schema.record.c.first_seen_at)).all())
    assert {id: f"{at:%d}" for id, at in found.items()} == {
        "older": "01", "younger": "04", "undated": "01", "of no pinned account": "09",
    }  # fmt: skip


def test_a_store_of_a_newer_version_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Store.open(at(path)).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StoreError, match="newer mqlsync"):
        Store.open(at(path))
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    raw.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://here/db", "not supported"),
        ("nonsense", "no database URL"),
    ],
)
def test_urls_that_cannot_be_a_store_are_refused(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        Store.open(url)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        Store.open(at(tmp_path / "file" / "store.db"))


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("this is no database, and it is longer than a header" * 50)
    with pytest.raises(StoreError, match="nothing was changed"):
        Store.open(at(tmp_path / "store.db"))


def test_what_is_raised_rolls_back(store: Store) -> None:
    row = {"conn": "hubspot", "account_id": "1", "account_name": "a", "pinned_at": datetime(2026, 1, 1, tzinfo=UTC)}
    with pytest.raises(RuntimeError, match="stop"), store.write() as tx:  # noqa: PT012
        tx.execute(insert(schema.pinned), row)
        raise RuntimeError("stop")
    with store.read() as tx:
        assert tx.execute(select(schema.pinned)).all() == []


def test_writers_of_one_process_take_turns(store: Store) -> None:
    """Each adds one to what it read; a lost turn would lose an addition."""
    with store.write() as tx:
        tx.execute(insert(schema.pool_counter), {"pool": "p", "rep": "r", "assigned": 0})

    def add() -> None:
        for _ in range(10):
            with store.write(durable=False) as tx:
                n = tx.execute(select(schema.pool_counter.c.assigned)).scalar_one()
                tx.execute(schema.pool_counter.update().values(assigned=n + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as tx:
        assert tx.execute(select(schema.pool_counter.c.assigned)).scalar_one() == 40


def test_a_write_inside_a_write_is_an_error_not_a_deadlock(store: Store) -> None:
    with store.write(), pytest.raises(RuntimeError, match="inside another"), store.write():
        pass


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_only_pages_may_be_less_durable(store: Store, durable: bool, level: int) -> None:
    with store.write(durable=durable) as tx:
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == level


def test_readers_see_the_state_before_an_open_write(store: Store) -> None:
    with store.write() as tx:
        tx.execute(insert(schema.pool_counter), {"pool": "p", "rep": "r", "assigned": 0})
        with store.read() as other:
            assert other.execute(select(schema.pool_counter)).all() == []


def test_the_hot_path_stores_the_same_bytes_as_core(store: Store) -> None:
    moment = datetime(2026, 3, 1, 12, 30, 5, 250, tzinfo=timezone(timedelta(hours=2)))
    columns = ("conn", "account_id", "account_name", "pinned_at")
    statement = PageStatement(schema.pinned, columns)
    with store.write() as tx:
        statement.execute(tx, [("a", "1", "n", moment)])
        tx.execute(insert(schema.pinned), {"conn": "b", "account_id": "1", "account_name": "n", "pinned_at": moment})
        stored = tx.exec_driver_sql("SELECT pinned_at FROM pinned ORDER BY conn").scalars().all()
        read = tx.execute(select(schema.pinned.c.pinned_at)).scalars().all()
    assert stored[0] == stored[1] == sqlite_time(moment)
    assert read == [moment, moment]
    assert read[0].tzinfo is UTC


def test_the_hot_path_is_spelled_for_postgres_too() -> None:
    """Compiled only: no server is asked."""
    sent: list[tuple[str, list[dict[str, object]]]] = []

    class Postgres:
        dialect = postgresql.dialect()

        def exec_driver_sql(self, sql: str, rows: list[dict[str, object]]) -> None:
            sent.append((sql, rows))

    moment = datetime(2026, 3, 1, tzinfo=UTC)
    columns = ("conn", "account_id", "account_name", "pinned_at")
    PageStatement(schema.pinned, columns, keys=("conn",)).execute(
        cast("Connection", Postgres()), [("a", "1", "n", moment)]
    )
    ((sql, rows),) = sent
    assert "ON CONFLICT (conn) DO UPDATE SET account_id = excluded.account_id" in sql
    assert rows == [{"conn": "a", "account_id": "1", "account_name": "n", "pinned_at": moment}]


def test_a_time_without_zone_cannot_be_stored(store: Store) -> None:
    row = {"conn": "a", "account_id": "1", "account_name": "n", "pinned_at": datetime(2026, 1, 1)}  # noqa: DTZ001
    with pytest.raises(Exception, match="must say its zone"), store.write() as tx:
        tx.execute(insert(schema.pinned), row)


def test_json_is_compact_sorted_and_refuses_what_it_does_not_know() -> None:
    assert to_json({"b": 1, "a": [None, "ü"]}) == '{"a":[null,"ü"],"b":1}'
    with pytest.raises(NotImplementedError, match="no place"):
        to_json({"a": object()})
