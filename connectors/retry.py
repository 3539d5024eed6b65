"""The only place that tries again. Tenacity does it; this says what, how often and how long to wait.

Only `RetryLater` is tried again: it is the one error that promises that nothing was done.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from connectors.errors import RetryLater

__all__ = ["Patience", "patiently"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one call may be tried. Times in seconds.

    attempts      tries in all, the first included
    first_wait    wait before the second try where the CRM says nothing; doubles with each try
    longest_wait  the doubling ends here
    total         never wait past this, counted from the first try: a CRM that asks for more ends the call at once, with
                  its own ``after`` in the error
    jitter        a wait grows by up to this share of itself, so that several workers do not return together
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 60.0
    total: float = 900.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.first_wait, self.longest_wait, self.total, self.jitter) < 0:
            raise ValueError(f"patience: at least one attempt and no negative times, not {self}")

    def wait(self, tried: int, asked: float | None, chance: random.Random) -> float:
        """Seconds to wait after the ``tried``-th try failed; ``asked`` is what the CRM said, if it did."""
        if asked is None:
            doubled = self.first_wait * 2.0 ** min(tried - 1, 60)
            return min(doubled * (1 + chance.random() * self.jitter), self.longest_wait)
        # Never earlier than asked; a little later, but not a quarter of an hour later because an hour was asked.
        return asked + min(asked, 1.0) * chance.random() * self.jitter


def patiently(
    call: Callable[[], T],
    *,
    patience: Patience,
    sleep: Callable[[float], object],
    monotonic: Callable[[], float],
    chance: random.Random | None = None,
) -> T:
    """The result of ``call``, tried again while it raises `RetryLater` and patience lasts; then that error itself.

    ``chance`` draws the jitter; by default a generator of its own, seeded alike for every call.
    """
    dice = chance or random.Random(0)  # noqa: S311  # spreads waits, protects nothing
    started = monotonic()

    def pause(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return patience.wait(state.attempt_number, error.after if isinstance(error, RetryLater) else None, dice)

    def used_up(state: tenacity.RetryCallState) -> bool:
        return (
            state.attempt_number >= patience.attempts or monotonic() - started + state.upcoming_sleep > patience.total
        )

    def rest(seconds: float) -> None:
        sleep(seconds)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(RetryLater), wait=pause, stop=used_up, sleep=rest, reraise=True
    )
    return retrying(call)
