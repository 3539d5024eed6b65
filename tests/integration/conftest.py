"""An empty store for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.store.db import Store
from tests.support.stores import empty_database


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The URL of an empty store that nobody has open."""
    return empty_database(tmp_path)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = Store.open(database)
    yield opened
    opened.close()
