"""Scoring on Spark in local mode beside DuckDB: the same files, one question about everybody, asked twice.

Each works in a process of its own. Both must find the same sums of every column, or there are no figures.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from scoring.engine import DuckDbEngine, Engine, EngineFailed
from scoring.engine_spark import SparkEngine
from scoring.tables import Bucket
from tests.benchmarks.bench_engine import BUCKET, EVENTS, alone, policy_of
from tests.benchmarks.crowd import TODAY, Crowd
from tests.benchmarks.figures import Figure, Sizes, timed

MASTER = "local[2]"


def on_spark(sizes: Sizes) -> Iterator[Figure]:
    """No figures where Spark does not start; the reason goes to stderr."""
    people = sizes.scored
    of = f"{people:,} people, {EVENTS}"
    with tempfile.TemporaryDirectory() as folder:
        bucket = alone(_together, folder, people)
        try:
            started, spark, sums, memory = alone(_spark, bucket)
        except EngineFailed as error:
            print(error, file=sys.stderr)  # noqa: T201
            return
        duckdb, same = alone(_duckdb, bucket)
    assert sums == same
    yield Figure(what=f"Spark {MASTER}: start", of="1 process", unit="wall s", value=started)
    for name, times, other in (("first", spark[0], duckdb[0]), ("again", spark[1], duckdb[1])):
        yield Figure(what=f"scoring: Spark {MASTER}, {name}", of=of, unit="people/s", value=people / times, more=True)
        yield Figure(
            what=f"scoring: DuckDB, the same question, {name}", of=of, unit="people/s", value=people / other, more=True
        )
        yield Figure(what=f"scoring: Spark {MASTER} against DuckDB, {name}", of=of, unit="x wall", value=times / other)
    yield Figure(what=f"scoring: Spark {MASTER}, peak memory of Java", of=of, unit="MB", value=memory)


def _together(folder: str, people: int) -> Bucket:
    buckets = Crowd(folder=Path(folder), people=people, size=BUCKET).buckets()
    return Bucket(
        people=tuple(file for bucket in buckets for file in bucket.people),
        events=tuple(file for bucket in buckets for file in bucket.events),
        compacted=True,
    )


def _spark(bucket: Bucket) -> tuple[float, tuple[float, float], dict[str, int], float]:
    """Seconds until it runs, seconds of two scorings, what was found, the most memory of the Java process in MB."""
    with SparkEngine(MASTER) as engine:
        _, started, _ = timed(engine.start)
        twice, sums = _twice(engine, bucket)
    return started, twice, sums, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _duckdb(bucket: Bucket) -> tuple[tuple[float, float], dict[str, int]]:
    with DuckDbEngine() as engine:
        return _twice(engine, bucket)


def _twice(engine: Engine, bucket: Bucket) -> tuple[tuple[float, float], dict[str, int]]:
    """Seconds of two scorings, and the sum of every column of numbers."""
    policy = policy_of("thirty")
    (_, first, _), (found, again, _) = (timed(lambda: engine.score(policy, bucket, TODAY)) for _ in range(2))
    numbers = [field.name for field in found.schema if field.type == pa.int64()]
    return (first, again), {name: pc.sum(found[name]).as_py() for name in numbers}
