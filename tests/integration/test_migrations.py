"""The migrations make the schema, in either store, and never half of it."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, inspect, select

from sync.store import schema
from sync.store.db import Store, migrate_to
from tests.support.processes import process

OPENS = """
import sys
from sync.store.db import Store

print("ready", flush=True)
sys.stdin.readline()
Store.open(sys.argv[1]).close()
print("opened", flush=True)
"""


def test_the_migrations_make_exactly_the_schema(store: Store) -> None:
    with store.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), schema.metadata) == []


def test_the_migrations_go_up_down_and_up_again(store: Store) -> None:
    with store.write() as tx:
        migrate_to(tx, "base", down=True)
        assert inspect(tx).get_table_names() == ["alembic_version"]
        migrate_to(tx, "head")
        assert compare_metadata(MigrationContext.configure(tx), schema.metadata) == []


def test_a_failed_migration_leaves_the_old_tables(store: Store) -> None:
    """The whole migration is one transaction, on SQLite too."""
    with pytest.raises(RuntimeError, match="stop"), store.write() as tx:  # noqa: PT012
        migrate_to(tx, "base", down=True)
        raise RuntimeError("stop")
    with store.read() as tx:
        assert tx.execute(select(func.count()).select_from(schema.record)).scalar_one() == 0


def test_of_two_processes_that_open_an_old_store_at_once_one_migrates_and_the_other_waits(
    database: str, store: Store
) -> None:
    with store.write() as tx:
        migrate_to(tx, "0004", down=True)
    with process(OPENS, database) as one, process(OPENS, database) as two:
        for running in (one, two):
            assert running.stdin is not None
            running.stdin.write("go\n")
            running.stdin.flush()
        assert [running.stdout.readline() for running in (one, two) if running.stdout is not None] == ["opened\n"] * 2
    with store.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx), schema.metadata) == []
