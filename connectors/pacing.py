"""Quota budgets: wait before a call that would be one too many, rather than be told so.

A CRM's limits are per account, and one process holds an account at a time, so a budget is a plain object. It starts
from the configured limit, believes the CRM where its headers say that less is left, gives way where it is refused all
the same, and comes back to the limit little by little.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

from connectors.errors import RunCannotContinue
from connectors.records import Crm

__all__ = ["Budget", "DayBudget"]

_LEAST, _CUT = 0.125, 0.75
"""What is left of the pace at least, however often calls are refused, and by what each refusal multiplies it."""

_REGAINED = 0.1
"""Part of a limit that comes back with each window in which nothing is refused."""


class Budget:
    """At most ``limit`` calls in any ``seconds`` seconds, however they are spread.

    slack    stretches the window by this part of it: what leaves here evenly spaced can be counted closer together
    at_once  calls that may go without a pause; further ones are spread over the window, so that nobody who has just
             looked at a record waits out the rest of a window before writing it. None: all of them may

    Thread safe; threads are served in the order they come.
    """

    def __init__(
        self,
        limit: int,
        seconds: float,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], object],
        slack: float = 0.03,
        at_once: int | None = None,
    ) -> None:
        if limit < 1 or seconds <= 0:
            raise ValueError(f"a budget needs a limit of at least 1 and a positive time, not {limit} in {seconds} s")
        self._limit = limit
        self._seconds = seconds * (1 + slack)
        self._at_once = at_once
        self._monotonic = monotonic
        self._sleep = sleep
        self._slots: list[float] = []
        self._under_way = 0
        self._due = float("-inf")
        self._not_before = float("-inf")
        self._part = 1.0
        self._moved_at = float("-inf")
        self._lock = threading.Lock()

    @contextmanager
    def one_call(self) -> Iterator[None]:
        """A call: begins at the next free moment, which is waited for, and has its answer when the block is left.

        The CRM counts it somewhere in between, and nobody can say where. So its place is free again a window after the
        answer: what was held up on its way is not counted together with what leaves a window later.
        """
        self._take(counts_now=False)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                insort(self._slots, self._monotonic())

    def acquire(self) -> float:
        """Take the next free moment and wait for it. The seconds waited.

        The call counts from then on: for a window so short that it could not wait for the answers, too.
        """
        return self._take(counts_now=True)

    def _take(self, *, counts_now: bool) -> float:
        waited = 0.0
        while True:
            with self._lock:
                now = self._monotonic()
                slot = self._reserve(now)
            if slot > now:
                self._sleep(slot - now)
                waited += slot - now
            with self._lock:
                self._give_back(slot)
                if slot >= self._not_before:
                    # a thread that was held up leaves later than it was to, and that is when its call counts
                    if counts_now:
                        insort(self._slots, max(slot, self._monotonic()))
                    else:
                        self._under_way += 1
                    return waited
                # else a refusal came back meanwhile: this moment is no longer one

    def refused(self, seconds: float) -> None:
        """The CRM said 429: no further call for the next ``seconds``, and a quarter fewer afterwards."""
        with self._lock:
            now = self._monotonic()
            self._not_before = max(self._not_before, now + seconds)
            if now < self._moved_at:
                return  # calls that were under way together are refused together: that is one refusal
            self._part = max(self._part * _CUT, _LEAST)
            self._moved_at = max(self._not_before, now + self._seconds)

    def saw(self, *, remaining: int, limit: int | None = None) -> None:
        """Take in what the headers of an answer say of this window: calls left, and the limit where it is lower.

        Other processes share the window, so fewer may be left than this one would think; more is never believed.
        """
        with self._lock:
            now = self._monotonic()
            self._forget(now)
            if limit is not None and 0 < limit < self._limit:
                self._limit = limit
            surplus = self._limit - len(self._slots) - self._under_way - max(remaining, 0)
            for _ in range(surplus):
                insort(self._slots, now)

    @property
    def allowed(self) -> int:
        """Calls in a window, as things are."""
        return max(int(self._limit * self._part), 1)

    def _reserve(self, now: float) -> float:
        self._forget(now)
        self._regain(now)
        allowed = self.allowed
        slot = max(now, self._not_before)
        if self._slots:
            slot = max(slot, self._slots[-1])
        # those under way are counted now or later: each takes the place of one that may still go
        free = max(allowed - self._under_way, 1)
        full = self._slots[-free] + self._seconds if len(self._slots) >= free else slot
        if self._at_once is not None:
            ahead = (self._at_once - 1) * self._seconds / allowed
            if full > slot:
                # waiting for the window saves up half: so what went at once in this one is spread in the next ones
                self._due = max(self._due, full + ahead / 2)
            slot = max(slot, self._due - ahead)
            self._due = max(self._due, slot) + self._seconds / allowed
        slot = max(slot, full)
        self._slots.append(slot)
        return slot

    def _give_back(self, slot: float) -> None:
        if slot in self._slots:
            self._slots.remove(slot)

    def _regain(self, now: float) -> None:
        windows = int((now - self._moved_at) // self._seconds) if self._part < 1.0 else 0
        if windows > 0:
            self._part = min(self._part + _REGAINED * windows, 1.0)
            self._moved_at += windows * self._seconds

    def _forget(self, now: float) -> None:
        del self._slots[: bisect_right(self._slots, now - self._seconds)]


class DayBudget:
    """The calls of one calendar day of the account. `acquire` raises when they are used up: waiting is no help.

    ``today`` is the date where the account is; the count starts anew when it changes. A restarted process starts at
    zero, so headers that know better are believed. ``kept`` is the part of the limit that is kept for writing: what
    reads changes stops before it.
    """

    def __init__(self, crm: Crm, limit: int, *, today: Callable[[], date], kept: float = 0.0) -> None:
        self._crm = crm
        self._limit = limit
        self._kept = int(limit * kept)
        self._today = today
        self._day: date | None = None
        self._left = limit
        self._lock = threading.Lock()

    def acquire(self, *, kept_too: bool = True) -> None:
        """Count one call. `RunCannotContinue` with ``quota`` when none is left today.

        ``kept_too``: whether it may be one of those that are kept for writing.
        """
        with self._lock:
            self._turn_page()
            if self._left <= 0:
                raise self._used_up(f"the calls of {self._day} are used up (limit {self._limit} a day).")
            if not kept_too and self._left <= self._kept:
                raise self._used_up(
                    f"{self._left} of the {self._limit} calls of {self._day} are left, and they are kept for writing."
                )
            self._left -= 1

    def saw(self, remaining: int, *, limit: int | None = None) -> None:
        """Take in how many calls the CRM says are left today. More than we count is not believed.

        ``limit``: the account's, which is taken over where it is lower than ours.
        """
        with self._lock:
            self._turn_page()
            if limit is not None and 0 < limit < self._limit:
                self._kept = self._kept * limit // self._limit
                self._limit = limit
            self._left = min(self._left, max(remaining, 0))

    @property
    def limit(self) -> int:
        return self._limit

    @property
    def left(self) -> int:
        """Calls left today, writing's included."""
        with self._lock:
            self._turn_page()
            return self._left

    def _used_up(self, problem: str) -> RunCannotContinue:
        return RunCannotContinue(
            self._crm,
            problem,
            advice="Nothing more was sent. The next run after midnight in the account's time zone goes on.",
            quota=True,
        )

    def _turn_page(self) -> None:
        today = self._today()
        if self._day != today:
            self._day, self._left = today, self._limit
