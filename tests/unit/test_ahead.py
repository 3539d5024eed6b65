"""The next people are scored while the last ones are decided."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from typing import Any

import pytest

from sync.ahead import OneAtATime, ahead

LONG = 30
"""Seconds after which something that should have happened has not."""


def test_each_comes_in_its_turn_with_what_was_made_of_it() -> None:
    assert list(ahead(lambda n: n * n, range(5))) == [(n, n * n) for n in range(5)]
    assert list(ahead(str, ())) == []


def test_the_next_one_is_made_while_one_is_looked_at() -> None:
    begun = {n: threading.Event() for n in range(3)}

    def work(n: int) -> int:
        begun[n].set()
        return n

    made = ahead(work, range(3))
    next(made)
    assert begun[1].wait(LONG), "nobody has asked for the second one yet"


def test_no_more_than_one_is_made_ahead() -> None:
    taken: list[int] = []

    def things() -> Iterator[int]:
        for n in range(10):
            taken.append(n)
            yield n

    made = ahead(lambda n: n, things())
    next(made)
    assert taken == [0, 1]


def test_what_goes_wrong_is_told_where_its_turn_comes() -> None:
    made = ahead(lambda n: 1 // n, (1, 0, 1))
    assert next(made) == (1, 1)
    with pytest.raises(ZeroDivisionError):
        next(made)


def test_whoever_stops_looking_waits_for_what_is_being_made() -> None:
    ended = threading.Event()
    begun, may_end = threading.Event(), threading.Event()

    def work(n: int) -> int:
        if n == 1:
            begun.set()
            assert may_end.wait(LONG)
            ended.set()
        return n

    with closing(ahead(work, range(3))) as made:
        next(made)
        assert begun.wait(LONG)
        may_end.set()
    assert ended.is_set()


class Slow:
    """An engine that cannot stand two questions at a time."""

    def __init__(self) -> None:
        self.asked = 0
        self.most = 0
        self.met = threading.Barrier(2)

    def _answer(self, *args: Any, **named: Any) -> Any:
        self.asked += 1
        self.most = max(self.most, self.asked)
        try:
            self.met.wait(0.05)  # for somebody who must not come
        except threading.BrokenBarrierError:
            self.met.reset()
        self.asked -= 1
        return {}

    score = ledgers = fresh = _answer


def test_an_engine_is_asked_by_one_thread_at_a_time() -> None:
    slow: Any = Slow()
    engine, policy, bucket, day = OneAtATime(slow), slow, slow, date(2026, 1, 1)
    with ThreadPoolExecutor(3) as pool:
        asked = [
            pool.submit(engine.score, policy, bucket, day),
            pool.submit(engine.ledgers, policy, bucket, day, ()),
            pool.submit(engine.fresh, policy, bucket, day, {}),
        ]
        assert [one.result() for one in asked] == [{}, {}, {}]
    assert slow.most == 1
