"""The org's daily calls, and our share of them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from connectors.records import DayQuota

__all__ = ["DayShare", "Usage"]

LEAVE_FREE = 0.95
"""Part of the org's calls that may be gone before mqlsync stops, whoever used them: the rest is for people."""

_DAY = 24 * 3600.0
_SLOT = 600.0

_WHOLE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")
_OURS = re.compile(r"per-app-api-usage=(\d+)/(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """``Sforce-Limit-Info: api-usage=25/5000; per-app-api-usage=17/250(appName=x)``. ``ours``: of our app alone."""

    used: int
    total: int
    ours: int | None = None

    @classmethod
    def parse(cls, header: str) -> Usage | None:
        whole, ours = _WHOLE.search(header), _OURS.search(header)
        if whole is None or int(whole[2]) == 0:
            return None
        return cls(used=int(whole[1]), total=int(whole[2]), ours=int(ours[1]) if ours else None)


class DayShare:
    """Says when to stop calling.

    The limit is a rolling 24 hours for the whole org. Our part of it is what Salesforce counts for our app, or, where
    it does not count apps, the calls this connector made in the last 24 hours (a restarted process starts at zero).
    ``kept`` is the part of our share that is kept for writing.
    """

    def __init__(self, share: float, monotonic: Callable[[], float], *, kept: float = 0.0) -> None:
        self._share = share
        self._kept = kept
        self._monotonic = monotonic
        self._slots: deque[tuple[int, int]] = deque()
        self._usage: Usage | None = None

    def call(self) -> None:
        """Count one call of ours."""
        slot = int(self._monotonic() // _SLOT)
        if self._slots and self._slots[-1][0] == slot:
            self._slots[-1] = (slot, self._slots[-1][1] + 1)
        else:
            self._slots.append((slot, 1))

    def saw(self, header: str | None) -> None:
        """Take in the header of an answer."""
        self._usage = (Usage.parse(header) if header else None) or self._usage

    def made(self) -> int:
        """Calls of ours in the last 24 hours."""
        oldest = int((self._monotonic() - _DAY) // _SLOT)
        while self._slots and self._slots[0][0] < oldest:
            self._slots.popleft()
        return sum(count for _, count in self._slots)

    def now(self) -> DayQuota | None:
        """Our share and what is left of it; None while Salesforce has told no figures."""
        usage = self._usage
        if usage is None:
            return None
        limit = int(self._share * usage.total)
        free = int(LEAVE_FREE * usage.total) - usage.used
        return DayQuota(limit=limit, left=max(min(limit - self._ours(usage), free), 0))

    def _ours(self, usage: Usage) -> int:
        return self.made() if usage.ours is None else usage.ours

    def spent(self, *, kept_too: bool = True) -> str | None:
        """Why no further call may be made, None while there is room.

        ``kept_too``: whether the call may be one of those that are kept for writing.
        """
        now = self._usage
        if now is None:
            return None
        ours, share = self._ours(now), self._share * now.total
        if ours >= share:
            return f"mqlsync has used its share of the day, {ours} of {now.total} calls ({self._share:.0%})"
        if not kept_too and ours >= share * (1 - self._kept):
            return f"mqlsync has used {ours} calls of its share of the day, and the rest of it is kept for writing"
        if now.used >= LEAVE_FREE * now.total:
            return f"the org has used {now.used} of its {now.total} calls of the day"
        return None
