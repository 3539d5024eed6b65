"""Quota budgets: wait before a call that would be one too many, rather than be told so.

A CRM's limits are per account, and one process holds an account at a time, so a budget is a plain object. It starts
from the configured limit and believes the CRM where its headers say that less is left.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import date

from connectors.errors import RunCannotContinue
from connectors.records import Crm

__all__ = ["Budget", "DayBudget"]


class Budget:
    """At most ``limit`` calls in any ``seconds`` seconds, however they are spread.

    ``slack`` stretches the window a little: what leaves here evenly spaced can arrive closer together.
    Thread safe; threads are served in the order they come.
    """

    def __init__(
        self,
        limit: int,
        seconds: float,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], object],
        slack: float = 0.05,
    ) -> None:
        if limit < 1 or seconds <= 0:
            raise ValueError(f"a budget needs a limit of at least 1 and a positive time, not {limit} in {seconds} s")
        self._limit = limit
        self._seconds = seconds * (1 + slack)
        self._monotonic = monotonic
        self._sleep = sleep
        self._slots: deque[float] = deque()
        self._not_before = float("-inf")
        self._lock = threading.Lock()

    def acquire(self) -> float:
        """Take the next free moment and wait for it. The seconds waited."""
        with self._lock:
            now = self._monotonic()
            self._forget(now)
            slot = max(now, self._not_before)
            if len(self._slots) >= self._limit:
                slot = max(slot, self._slots[-self._limit] + self._seconds)
            self._slots.append(slot)
        wait = slot - now
        if wait > 0:
            self._sleep(wait)
        return wait

    def penalise(self, seconds: float) -> None:
        """No further call for the next ``seconds``: the CRM said 429."""
        with self._lock:
            self._not_before = max(self._not_before, self._monotonic() + seconds)

    def saw(self, *, remaining: int, limit: int | None = None) -> None:
        """Take in what the headers of an answer say of this window: calls left, and the limit where it is lower.

        Other processes share the window, so fewer may be left than this one would think; more is never believed.
        """
        with self._lock:
            now = self._monotonic()
            self._forget(now)
            if limit is not None and 0 < limit < self._limit:
                self._limit = limit
            surplus = self._limit - len(self._slots) - max(remaining, 0)
            self._slots.extend([now] * max(surplus, 0))

    def _forget(self, now: float) -> None:
        while self._slots and self._slots[0] + self._seconds <= now:
            self._slots.popleft()


class DayBudget:
    """The calls of one calendar day of the account. `acquire` raises when they are used up: waiting is no help.

    ``today`` is the date where the account is; the count starts anew when it changes. A restarted process starts at
    zero, so headers that know better are believed.
    """

    def __init__(self, crm: Crm, limit: int, *, today: Callable[[], date]) -> None:
        self._crm = crm
        self._limit = limit
        self._today = today
        self._day: date | None = None
        self._left = limit
        self._lock = threading.Lock()

    def acquire(self) -> None:
        """Count one call. `RunCannotContinue` with ``quota`` when none is left today."""
        with self._lock:
            self._turn_page()
            if self._left <= 0:
                raise RunCannotContinue(
                    self._crm,
                    f"the calls of {self._day} are used up (limit {self._limit} a day).",
                    advice="Nothing more was sent. The next run after midnight in the account's time zone goes on.",
                    quota=True,
                )
            self._left -= 1

    def saw(self, remaining: int) -> None:
        """Take in how many calls the CRM says are left today. More than we count is not believed."""
        with self._lock:
            self._turn_page()
            self._left = min(self._left, max(remaining, 0))

    def _turn_page(self) -> None:
        today = self._today()
        if self._day != today:
            self._day, self._left = today, self._limit
