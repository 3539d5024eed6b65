"""Every acceptance test starts with its own two CRMs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receiver import Receiver, receiver
from tests.support.world import World, world


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[World]:
    """80 people in both CRMs, the templates as configuration, properties made."""
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def channel() -> Iterator[Receiver]:
    """Where those who are told hear of it."""
    with receiver() as one:
        yield one
