"""An empty store for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync.store.db import Store
from tests.support.stores import empty_database


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of an empty store that nobody has open."""
    with empty_database() as url:
        yield url


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = Store.open(database)
    yield opened
    opened.close()
