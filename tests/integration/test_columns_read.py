"""Columns read at once hold what the rows hold, however many pieces they come in."""

import pytest
from sqlalchemy import select

from sync.store import columns, schema
from sync.store.columns import read_columns, read_in_order
from sync.store.db import Store

PEOPLE = schema.person.c
COLUMNS = (PEOPLE.person_id, PEOPLE.email, PEOPLE.fit)
ROWS = [
    {"person_id": "c", "email": 'an "odd"\n[address]', "fit": 0},
    {"person_id": "a", "email": None, "fit": -3},
    {"person_id": "d", "email": "ü@example.org", "fit": None},
    {"person_id": "b", "email": "[1]", "fit": 2**30},
]


@pytest.fixture
def filled(store: Store) -> Store:
    with store.write() as tx:
        tx.execute(schema.person.insert(), [row | {"ambiguous": False} for row in ROWS])
    return store


@pytest.mark.parametrize("piece", [1, 2, 3, 4, 5])
def test_pieces_make_the_whole_in_order(filled: Store, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "PIECE", piece)
    with filled.read() as tx:
        found = read_in_order(tx, COLUMNS, PEOPLE.person_id != "d")
    assert found.to_pylist() == sorted(
        (row for row in ROWS if row["person_id"] != "d"), key=lambda row: row["person_id"]
    )


def test_no_row_is_an_empty_table_with_the_same_columns(filled: Store) -> None:
    with filled.read() as tx:
        none = read_in_order(tx, COLUMNS, PEOPLE.person_id == "nobody")
        some = read_columns(tx, COLUMNS, PEOPLE.person_id == "a")
    assert none.num_rows == 0
    assert none.schema == some.schema


def test_each_row_stays_together(filled: Store) -> None:
    with filled.read() as tx:
        found = read_columns(tx, COLUMNS, PEOPLE.fit.is_not(None)).to_pylist()
        rows = [dict(row._mapping) for row in tx.execute(select(*COLUMNS).where(PEOPLE.fit.is_not(None)))]
    assert sorted(found, key=str) == sorted(rows, key=str)
