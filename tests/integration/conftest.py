"""An empty store for each test: in SQLite, and with `-m postgres` in Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.store.db import Store
from tests.support.stores import empty_database, quick_folder


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty store that nobody has open."""
    if request.param == "postgres":
        with request.getfixturevalue("postgres").database() as url:
            yield url
    else:
        with quick_folder() as folder:
            yield empty_database(folder)


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(database, home=tmp_path)
    yield opened
    opened.close()
