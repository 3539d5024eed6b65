"""What a transaction may rely on, in either store: a reader sees one moment, and writers come one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from sync.store import schema
from sync.store.db import Store

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def theirs(database: str, tmp_path: Path) -> Iterator[Store]:
    """The same store, as another process has it open."""
    opened = Store.open(database, home=tmp_path)
    yield opened
    opened.close()


def approve(store: Store) -> None:
    with store.write() as tx:
        tx.execute(schema.verdict.insert().values(person_id="p", approve=True, at=NOW, by="mia"))


def verdicts(tx: Connection) -> int:
    return tx.execute(select(func.count()).select_from(schema.verdict)).scalar_one()


def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(store: Store, theirs: Store) -> None:
    with store.read() as tx:
        assert verdicts(tx) == 0
        approve(theirs)
        assert verdicts(tx) == 0
    with store.read() as tx:
        assert verdicts(tx) == 1


@pytest.mark.parametrize("durable", [True, False])
def test_what_a_writer_has_read_stays_so_until_it_is_done(store: Store, theirs: Store, durable: bool) -> None:
    """A marketer who speaks while people are decided is heard by the next decision, never lost between the two."""
    speaks = threading.Thread(target=approve, args=(theirs,))
    with store.write(durable=durable) as tx:
        assert verdicts(tx) == 0
        speaks.start()
        speaks.join(timeout=0.3)
        assert speaks.is_alive(), "somebody else wrote in the middle of it"
        assert verdicts(tx) == 0
    speaks.join(timeout=60)
    with store.read() as tx:
        assert verdicts(tx) == 1


def test_a_writer_that_fails_leaves_the_way_free(store: Store, theirs: Store) -> None:
    with pytest.raises(DBAPIError), store.write() as tx:
        tx.execute(schema.verdict.insert().values(person_id=None, approve=True, at=NOW, by="mia"))
    approve(theirs)
    with store.read() as tx:
        assert verdicts(tx) == 1
