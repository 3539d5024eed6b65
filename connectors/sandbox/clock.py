"""The sandbox's own time: it drives every stamp, the index lag, token lifetimes and the Date header."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta


class Clock:
    """Runs with real time unless frozen; can be set to any instant and moved by any span.

    A frozen clock stays frozen when it is set or moved; `thaw` lets it run on from where it stands.
    """

    def __init__(self, at: datetime | None = None) -> None:
        self._lock = threading.Lock()
        self._offset = timedelta()
        self._frozen: datetime | None = None
        if at is not None:
            self.set(at)

    def now(self) -> datetime:
        """The sandbox's instant, aware, UTC."""
        with self._lock:
            return self._frozen if self._frozen is not None else datetime.now(UTC) + self._offset

    def millis(self) -> int:
        """The same instant as whole milliseconds since 1970."""
        return millis_of(self.now())

    def set(self, at: datetime) -> None:
        """Makes it `at` now. Naive times are refused with ValueError."""
        at = _aware(at)
        with self._lock:
            if self._frozen is not None:
                self._frozen = at
            else:
                self._offset = at - datetime.now(UTC)

    def move(self, span: timedelta) -> None:
        """Moves the clock forward, or back with a negative span."""
        with self._lock:
            if self._frozen is not None:
                self._frozen += span
            else:
                self._offset += span

    def freeze(self, at: datetime | None = None) -> None:
        """Stops the clock, at the given instant or where it stands."""
        instant = self.now() if at is None else _aware(at)
        with self._lock:
            self._frozen = instant

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Everything inside happens at one instant. Afterwards the clock shows what it would have shown."""
        with self._lock:
            before = self._frozen
        self.freeze()
        try:
            yield
        finally:
            with self._lock:
                self._frozen = before

    def thaw(self) -> None:
        """Lets a frozen clock run on."""
        with self._lock:
            if self._frozen is not None:
                self._offset = self._frozen - datetime.now(UTC)
                self._frozen = None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def millis_of(at: datetime) -> int:
    """Whole milliseconds since 1970 of an aware instant, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def instant_of(millis: int) -> datetime:
    """The aware UTC instant of whole milliseconds since 1970. OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(milliseconds=millis)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"the sandbox clock needs an instant with a zone, got {at!r}")
    return at.astimezone(UTC)
