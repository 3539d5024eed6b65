"""How often Python looks for garbage.

It looks after so many objects made, and now and then through all there are. Where many are made that live until they
are let go of one by one, there is none to be found, and the looking is a quarter of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collecting_rarely"]

MADE_BETWEEN = 200_000
"""Objects made, beyond those that are gone again, between two looks."""


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Look only after `MADE_BETWEEN`; as before when it is over. It counts for all threads."""
    before = gc.get_threshold()
    gc.set_threshold(MADE_BETWEEN, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
