"""Scoring the next people while the last ones are decided: the engine works outside of Python, a decision in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from threading import Lock
from typing import TypeVar

import pyarrow as pa

from scoring.cards import Fresh
from scoring.engine import Engine
from scoring.ledger import Ledger
from scoring.policy import Policy
from scoring.tables import Bucket

__all__ = ["OneAtATime", "ahead"]

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], things: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Each thing in turn, with what ``work`` makes of it: in a thread, for the next one while this one is looked at.

    One is made ahead and no more. What ``work`` raises is raised where its turn comes. When the caller looks at no more
    of them, what is being made is waited for and thrown away.
    """
    made: tuple[T, Future[R]] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        for thing in things:
            before, made = made, (thing, pool.submit(work, thing))
            if before is not None:
                yield before[0], before[1].result()
        if made is not None:
            yield made[0], made[1].result()


@dataclass(frozen=True, slots=True)
class OneAtATime:
    """An engine that is asked by several threads: each waits for the answer of the one before."""

    engine: Engine
    _busy: Lock = field(default_factory=Lock)

    def score(self, policy: Policy, bucket: Bucket, day: date, *, only: frozenset[str] | None = None) -> pa.Table:
        with self._busy:
            return self.engine.score(policy, bucket, day, only=only)

    def ledgers(self, policy: Policy, bucket: Bucket, day: date, person_ids: Collection[str]) -> Mapping[str, Ledger]:
        with self._busy:
            return self.engine.ledgers(policy, bucket, day, person_ids)

    def fresh(self, policy: Policy, bucket: Bucket, day: date, since: Mapping[str, datetime]) -> Mapping[str, Fresh]:
        with self._busy:
            return self.engine.fresh(policy, bucket, day, since)
