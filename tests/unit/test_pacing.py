"""Quota budgets on a clock that only moves when somebody waits."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import RunCannotContinue
from connectors.pacing import Budget, DayBudget
from connectors.records import Crm


class Watch:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def budget(watch: Watch, limit: int, seconds: float, slack: float = 0.0) -> Budget:
    return Budget(limit, seconds, monotonic=watch.monotonic, sleep=watch.sleep, slack=slack)


def test_calls_within_the_limit_do_not_wait() -> None:
    watch = Watch()
    five = budget(watch, 5, 1.0)
    assert [five.acquire() for _ in range(5)] == [0.0] * 5
    assert watch.slept == []


def test_the_call_past_the_limit_waits_for_the_oldest_to_leave_the_window() -> None:
    watch = Watch()
    two = budget(watch, 2, 10.0)
    two.acquire()
    watch.now += 4.0
    two.acquire()
    assert two.acquire() == pytest.approx(6.0)
    assert two.acquire() == pytest.approx(4.0)


@given(
    limit=st.integers(1, 6),
    gaps=st.lists(st.floats(0.0, 3.0, allow_nan=False), min_size=1, max_size=40),
)
def test_no_window_ever_holds_more_than_the_limit(limit: int, gaps: list[float]) -> None:
    watch = Watch()
    one = budget(watch, limit, 2.0)
    made: list[float] = []
    for gap in gaps:
        watch.now += gap
        one.acquire()
        made.append(watch.now)
    assert all(made[n + limit] - made[n] >= 2.0 - 1e-9 for n in range(len(made) - limit))


@given(
    limit=st.integers(2, 6),
    calls=st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 1.0)), min_size=1, max_size=40),
)
def test_wherever_the_crm_counts_a_call_no_window_holds_more_than_the_limit(
    limit: int, calls: list[tuple[float, float]]
) -> None:
    """Some are under way together, each takes its time, and is counted anywhere between leaving and its answer."""
    watch = Watch()
    one = budget(watch, limit, 2.0)
    under_way: list[tuple[ExitStack, float, float]] = []
    counted: list[float] = []

    def answered() -> None:
        call, left, part = under_way.pop(0)
        call.close()
        counted.append(left + part * (watch.now - left))

    for takes, part in calls:
        call = ExitStack()
        call.enter_context(one.one_call())
        under_way.append((call, watch.now, part))
        watch.now += takes
        if len(under_way) == limit - 1:
            answered()
    while under_way:
        answered()
    counted.sort()
    assert all(counted[n + limit] - counted[n] >= 2.0 - 1e-9 for n in range(len(counted) - limit))


def test_a_call_that_fails_has_taken_its_place_all_the_same() -> None:
    watch = Watch()
    one = budget(watch, 1, 10.0)

    def cut() -> None:
        with one.one_call():
            watch.now += 3.0
            raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        cut()
    assert one.acquire() == pytest.approx(10.0)


def test_slack_stretches_the_window() -> None:
    watch = Watch()
    one = budget(watch, 1, 1.0, slack=0.05)
    one.acquire()
    assert one.acquire() == pytest.approx(1.05)


def test_a_refusal_stops_every_call_for_its_time() -> None:
    watch = Watch()
    five = budget(watch, 5, 1.0)
    five.refused(10.0)
    assert five.acquire() == pytest.approx(10.0)
    assert five.acquire() == 0.0


def made_in(watch: Watch, one: Budget, calls: int) -> float:
    """Seconds that so many calls took."""
    began = watch.now
    for _ in range(calls):
        one.acquire()
    return watch.now - began


def test_a_refusal_cuts_the_pace_by_a_quarter_which_comes_back_a_tenth_a_window() -> None:
    watch = Watch()
    twenty = budget(watch, 20, 10.0)
    twenty.refused(10.0)
    assert twenty.allowed == 15
    watch.now += 20.0
    twenty.acquire()
    assert twenty.allowed == 17
    watch.now += 1000.0
    twenty.acquire()
    assert twenty.allowed == 20


def test_calls_that_are_refused_together_are_one_refusal() -> None:
    watch = Watch()
    twenty = budget(watch, 20, 10.0)
    for _ in range(8):
        twenty.refused(1.0)
    assert twenty.allowed == 15


def test_refusals_never_stop_everything() -> None:
    watch = Watch()
    five = budget(watch, 5, 1.0)
    for _ in range(50):
        five.refused(1.0)
        watch.now += 1.0
    assert five.allowed == 1


def test_a_call_that_waits_when_another_is_refused_waits_on() -> None:
    watch = Watch()
    one = budget(watch, 1, 1.0)
    one.acquire()
    sleep, told = one._sleep, iter([5.0])

    def refused_meanwhile(seconds: float) -> None:
        sleep(seconds)
        for rest in told:
            one.refused(rest)

    one._sleep = refused_meanwhile
    assert one.acquire() == pytest.approx(6.0)


def test_a_call_counts_from_when_it_leaves() -> None:
    """A thread that wakes up late must not let the next one come too close behind it."""
    watch = Watch()
    one = budget(watch, 1, 10.0)
    one.acquire()
    sleep = one._sleep

    def oversleep(seconds: float) -> None:
        sleep(seconds + 2.0)

    one._sleep = oversleep
    one.acquire()
    one._sleep = sleep
    assert one.acquire() == pytest.approx(10.0)


def test_what_does_not_go_at_once_is_spread_over_the_window() -> None:
    watch = Watch()
    one = Budget(100, 10.0, monotonic=watch.monotonic, sleep=watch.sleep, slack=0.0, at_once=50)
    assert made_in(watch, one, 50) == 0.0
    assert [one.acquire() for _ in range(3)] == pytest.approx([0.1] * 3)


def test_pauses_are_made_up_for() -> None:
    """Whoever has work for all of the budget gets all of it, though it stops to look at answers now and then."""
    watch = Watch()
    one = Budget(100, 10.0, monotonic=watch.monotonic, sleep=watch.sleep, slack=0.0, at_once=50)
    made_in(watch, one, 200)
    began = watch.now
    for _ in range(40):
        made_in(watch, one, 16)
        watch.now += 0.5
    assert 40 * 16 / (watch.now - began) >= 0.98 * 10


def test_headers_that_know_of_other_callers_are_believed() -> None:
    watch = Watch()
    ten = budget(watch, 10, 10.0)
    ten.acquire()
    ten.saw(remaining=1)
    assert ten.acquire() == 0.0
    assert ten.acquire() == pytest.approx(10.0)


def test_headers_that_promise_more_are_not() -> None:
    watch = Watch()
    two = budget(watch, 2, 10.0)
    two.acquire()
    two.saw(remaining=150, limit=190)
    two.acquire()
    assert two.acquire() == pytest.approx(10.0)


def test_a_lower_limit_in_the_headers_is_taken_over() -> None:
    watch = Watch()
    many = budget(watch, 190, 10.0)
    many.saw(remaining=3, limit=3)
    assert [many.acquire() for _ in range(3)] == [0.0] * 3
    assert many.acquire() == pytest.approx(10.0)


@pytest.mark.parametrize(("limit", "seconds"), [(0, 1.0), (-1, 1.0), (1, 0.0)])
def test_a_budget_that_allows_nothing_is_refused(limit: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="budget"):
        budget(Watch(), limit, seconds)


def test_a_day_ends_the_run_when_it_is_used_up() -> None:
    today = date(2026, 11, 25)
    day = DayBudget(Crm.HUBSPOT, 2, today=lambda: today)
    day.acquire()
    day.acquire()
    with pytest.raises(RunCannotContinue, match="2026-11-25") as raised:
        day.acquire()
    assert raised.value.quota
    today = date(2026, 11, 26)
    day.acquire()


def test_a_day_believes_the_crm_when_less_is_left() -> None:
    day = DayBudget(Crm.HUBSPOT, 1000, today=lambda: date(2026, 11, 25))
    day.saw(900_000)
    day.saw(1)
    day.acquire()
    with pytest.raises(RunCannotContinue):
        day.acquire()


def test_what_is_kept_for_writing_is_not_read_away() -> None:
    day = DayBudget(Crm.HUBSPOT, 10, today=lambda: date(2026, 11, 25), kept=0.2)
    for _ in range(8):
        day.acquire(kept_too=False)
    with pytest.raises(RunCannotContinue, match="kept for writing") as raised:
        day.acquire(kept_too=False)
    assert raised.value.quota
    day.acquire()
    day.acquire()
    with pytest.raises(RunCannotContinue, match="used up"):
        day.acquire()


def test_a_smaller_account_is_told_by_its_headers() -> None:
    day = DayBudget(Crm.HUBSPOT, 650_000, today=lambda: date(2026, 11, 25), kept=0.1)
    day.saw(100_000, limit=250_000)
    assert (day.limit, day.left) == (250_000, 100_000)
