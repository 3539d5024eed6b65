"""How often garbage is looked for."""

from __future__ import annotations

import gc

import pytest

from sync.collecting import MADE_BETWEEN, collecting_rarely


def looked_for() -> tuple[int, int, int]:
    with collecting_rarely():
        return gc.get_threshold()


def broken_off() -> None:
    with collecting_rarely():
        raise ZeroDivisionError


def test_it_is_looked_for_rarely_and_then_as_before() -> None:
    before = gc.get_threshold()
    assert looked_for() == (MADE_BETWEEN, *before[1:])
    assert gc.get_threshold() == before


def test_it_is_looked_for_as_before_also_after_a_failure() -> None:
    before = gc.get_threshold()
    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert gc.get_threshold() == before
