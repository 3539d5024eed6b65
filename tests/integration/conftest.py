"""An empty store for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync.store.db import Store
from tests.support.stores import empty_database, quick_folder


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of an empty store that nobody has open."""
    with quick_folder() as folder:
        yield empty_database(folder)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = Store.open(database)
    yield opened
    opened.close()
