"""The only retry layer."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from connectors.errors import OutcomeUnknown, RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.records import Crm
from connectors.retry import Patience, patiently


class Watch:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def failing(times: int, error: Exception) -> Callable[[], str]:
    left = [times]

    def call() -> str:
        if left[0] > 0:
            left[0] -= 1
            raise error
        return "done"

    return call


def run(call: Callable[[], str], watch: Watch, **patience: float) -> str:
    settings = Patience(**({"jitter": 0.0} | patience))  # type: ignore[arg-type]
    return patiently(call, patience=settings, sleep=watch.sleep, monotonic=lambda: watch.now)


def later(after: float | None = None) -> RetryLater:
    return RetryLater(Crm.HUBSPOT, "busy", after=after)


def test_waits_double_until_the_longest() -> None:
    watch = Watch()
    assert run(failing(5, later()), watch, first_wait=1.0, longest_wait=5.0) == "done"
    assert watch.slept == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_what_the_crm_asks_for_is_waited_in_full() -> None:
    watch = Watch()
    assert run(failing(1, later(120.0)), watch, longest_wait=5.0) == "done"
    assert watch.slept == [120.0]


def test_patience_ends_with_the_last_error_itself() -> None:
    watch, error = Watch(), later()
    with pytest.raises(RetryLater) as raised:
        run(failing(99, error), watch, attempts=3)
    assert raised.value is error
    assert len(watch.slept) == 2


def test_a_wait_longer_than_patience_is_not_begun() -> None:
    """An account that moves between data centres asks for hours: the run ends, the next one comes anyway."""
    watch = Watch()
    with pytest.raises(RetryLater) as raised:
        run(failing(1, later(6 * 3600.0)), watch)
    assert raised.value.after == 6 * 3600.0
    assert watch.slept == []


def test_waits_add_up_against_patience() -> None:
    watch = Watch()
    with pytest.raises(RetryLater):
        run(failing(99, later(40.0)), watch, total=100.0)
    assert watch.slept == [40.0, 40.0]


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown(Crm.HUBSPOT, "cut"),
        RunCannotContinue(Crm.HUBSPOT, "no scope"),
        UnexpectedAnswer(Crm.HUBSPOT, "HTML", status=200),
        KeyError("a defect"),
    ],
)
def test_nothing_else_is_tried_again(error: Exception) -> None:
    watch = Watch()
    with pytest.raises(type(error)):
        run(failing(1, error), watch)
    assert watch.slept == []


def test_jitter_only_ever_adds_and_is_bounded() -> None:
    patience, dice = Patience(first_wait=1.0, longest_wait=60.0, jitter=0.25), random.Random(7)
    waits = [patience.wait(1, None, dice) for _ in range(200)]
    asked = [patience.wait(1, 30.0, dice) for _ in range(200)]
    assert min(waits) >= 1.0
    assert max(waits) <= 1.25
    assert min(asked) >= 30.0
    assert max(asked) <= 30.25
    assert len(set(waits)) > 100


def test_a_late_attempt_number_does_not_overflow() -> None:
    assert Patience(longest_wait=60.0).wait(5000, None, random.Random(1)) == 60.0


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first_wait": -1.0}, {"total": -1.0}])
def test_senseless_patience_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="patience"):
        Patience(**wrong)  # type: ignore[arg-type]
