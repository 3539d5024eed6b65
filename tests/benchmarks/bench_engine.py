"""Scoring beside a plain Python loop; the measuring itself is `bench_scoring`'s."""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from scoring.engine import DuckDbEngine
from scoring.tables import Bucket
from tests.benchmarks import bench_scoring
from tests.benchmarks.figures import Figure, Sizes, timed

BUCKET = 125_000


def scoring(sizes: Sizes) -> Iterator[Figure]:
    yield from _against_the_loop(sizes.scored, floor=4, target=6)


def scoring_many(sizes: Sizes) -> Iterator[Figure]:
    if sizes.many_scored:
        yield from _against_the_loop(sizes.many_scored, floor=6, target=12)


def _against_the_loop(people: int, *, floor: float, target: float) -> Iterator[Figure]:
    of = f"{people:,} people, 10 events each"
    asked = argparse.Namespace(people=people, bucket=BUCKET, rounds=1, threads=2, memory="1GB")
    with tempfile.TemporaryDirectory() as folder:
        found = {name: (n, walls, cpus) for name, n, walls, cpus in bench_scoring.rows(asked, Path(folder))}
    each: dict[str, tuple[float, float]] = {}
    for name, (n, walls, cpus) in found.items():
        wall, cpu = statistics.median(walls), statistics.median(cpus)
        each[name] = wall / n, cpu / n
        if n > 1:
            yield Figure(what=f"scoring: {name}", of=of, unit="people/s", value=n / wall, more=True)
        else:
            yield Figure(
                what=f"scoring: {name}", of=f"1 of {people:,}", unit="ms wall", value=wall * 1e3, floor=150, target=50
            )
    engine = each["engine"]
    for name in (name for name in each if name.startswith("loop")):
        loop = each[name]
        yield Figure(
            what=f"scoring: engine against {name}", of=of, unit="x wall", value=loop[0] / engine[0],
            floor=floor, target=target, more=True,
        )  # fmt: skip
        yield Figure(
            what=f"scoring: engine against {name}", of=of, unit="x CPU", value=loop[1] / engine[1],
            floor=5, target=7, more=True,
        )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure(what="scoring: peak memory, the loops' lists included", of=of, unit="MB", value=peak)


def rescoring(sizes: Sizes) -> Iterator[Figure]:
    """One in a hundred is dirty, all over the buckets: what one query for them costs of scoring everybody."""
    people = sizes.many_scored or sizes.scored
    policy, day = bench_scoring.policy(), bench_scoring.TODAY
    with tempfile.TemporaryDirectory() as folder:
        buckets = bench_scoring.generate(Path(folder), people, BUCKET)
        together = Bucket(
            people=tuple(file for bucket in buckets for file in bucket.people),
            events=tuple(file for bucket in buckets for file in bucket.events),
            compacted=True,
        )
        ids = [id for file in together.people for id in pq.read_table(file, columns=["person_id"])[0].to_pylist()]
        dirty = frozenset(ids[::100])
        with DuckDbEngine(threads=2, memory_limit="1GB") as engine:
            engine.score(policy, together, day, only=dirty)
            part, part_wall, part_cpu = timed(lambda: engine.score(policy, together, day, only=dirty).num_rows)
            whole, wall, cpu = timed(lambda: sum(engine.score(policy, one, day).num_rows for one in buckets))
    assert (part, whole) == (len(dirty), len(ids))
    of = f"{len(dirty):,} of {len(ids):,} people"
    what = "scoring again who is dirty, of scoring everybody"
    yield Figure(what=what, of=of, unit="% wall", value=part_wall / wall * 100, floor=15, target=7)
    yield Figure(what=what, of=of, unit="% CPU", value=part_cpu / cpu * 100)
