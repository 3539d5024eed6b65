"""Scoring from Parquet to Parquet, beside plain Python and beside the zen engine.

The engine works in a process of its own, from the files to files with every reason, and its memory is that process's.
The loops and zen are given lists that are made beforehand, and their rows stay in memory. All must find the same for
every person that is looked at, or there are no figures.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from scoring.document import Source
from scoring.engine import DuckDbEngine
from scoring.load import load_policy
from scoring.policy import Policy
from scoring.tables import Bucket
from sync.store.parquet import write_sorted
from tests.benchmarks.crowd import TODAY, Crowd
from tests.benchmarks.figures import Figure, Sizes, peak_memory, timed
from tests.benchmarks.loops import AnyPolicy, ThirtyRules, differences, load
from tests.benchmarks.zen_rules import ZenRules

BUCKET = 125_000
"""People a query. Twice as many need twice the memory and save planning one query in two."""

SLICE = 50_000
"""People the loops are timed with; what one person costs them does not depend on how many there are."""

ZEN_SLICE = 2_000

EVENTS = "10 events each"

_TEAM = b"version: 1\nqueues: {nobody: {}}\n"


def policy_of(name: str) -> Policy:
    path = Path(__file__).parent / "policies" / f"{name}.yaml"
    policy, _ = load_policy(Source(path.name, path.read_bytes()), Source("team.yaml", _TEAM), lists=str)
    return policy


def scoring(sizes: Sizes) -> Iterator[Figure]:
    yield from _against_others(sizes.scored, floor=4, target=6)


def scoring_many(sizes: Sizes) -> Iterator[Figure]:
    if sizes.many_scored:
        yield from _against_others(sizes.many_scored, floor=8, target=12)


def _against_others(people: int, *, floor: float, target: float) -> Iterator[Figure]:
    of = f"{people:,} people, {EVENTS}"
    policy = policy_of("thirty")
    with tempfile.TemporaryDirectory() as folder:
        buckets = Crowd(folder=Path(folder), people=people, size=BUCKET).buckets()
        some = load(buckets[0])[:SLICE]
        loops: dict[str, AnyPolicy | ThirtyRules] = {
            "loop, any policy": AnyPolicy(policy),
            "loop, this policy by hand": ThirtyRules(policy),
        }
        walls: dict[str, list[float]] = {name: [] for name in loops}
        cpus: dict[str, list[float]] = {name: [] for name in loops}
        rows: list[tuple[Any, ...]] = []

        def neighbours() -> None:
            for name, loop in loops.items():
                rows[:], wall, cpu = timed(partial(loop.run, some))
                walls[name].append(wall / len(some))
                cpus[name].append(cpu / len(some))

        neighbours()
        wall, cpu, peak = alone(_scored, "thirty", buckets, folder)
        neighbours()
        whole_wall, whole_cpu, _ = alone(_scored, "whole", buckets, folder)
        with DuckDbEngine() as engine:
            found = engine.score(policy, buckets[0], TODAY, only=frozenset(facts["person_id"] for facts, _ in some))
        columns = loops["loop, any policy"].columns
        assert not differences(columns, rows, found)
        zens = list(_zen(some[:ZEN_SLICE], columns, rows[:ZEN_SLICE]))
    yield _speed("engine", of, people / wall)
    yield _speed("engine, policy with the whole language", of, people / whole_wall)
    yield Figure(what="scoring: engine", of=of, unit="CPU s", value=cpu)
    yield Figure(what="scoring: engine, policy with the whole language", of=of, unit="CPU s", value=whole_cpu)
    yield Figure(what="scoring: engine, peak memory", of=of, unit="MB", value=peak, floor=1000, target=650)
    for name in loops:
        each_wall, each_cpu = statistics.median(walls[name]), statistics.median(cpus[name])
        # The one that takes any policy is what the targets are about.
        meant = name == "loop, any policy"
        yield _speed(name, f"{len(some):,} people, {EVENTS}", 1 / each_wall)
        against = f"engine against {name}"
        yield _ratio(against, of, "x wall", each_wall * people / wall, (floor, target) if meant else None)
        yield _ratio(against, of, "x CPU", each_cpu * people / cpu, (5, 7) if meant else None)
    for name, each, bounds in zens:
        yield _speed(name, f"{ZEN_SLICE:,} people, {EVENTS}", 1 / each)
        yield _ratio(f"engine against {name}", of, "x wall", each * people / wall, bounds)


def _zen(
    some: Sequence[Any], columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[str, float, tuple[float, float]]]:
    """Name, wall seconds a person, floor and target."""
    for name, prepared, bounds in (
        ("zen, events in its expressions", False, (150.0, 300.0)),
        ("zen, all prepared in Python", True, (10.0, 20.0)),
    ):
        rules = ZenRules(prepared=prepared)
        inputs = rules.inputs(some)
        results, wall, _ = timed(partial(rules.run, inputs))
        assert not rules.differences(results, columns, rows)
        yield name, wall / len(inputs), bounds


def _speed(name: str, of: str, value: float) -> Figure:
    return Figure(what=f"scoring: {name}", of=of, unit="people/s", value=value, more=True)


def _ratio(name: str, of: str, unit: str, value: float, bounds: tuple[float, float] | None) -> Figure:
    floor, target = bounds or (None, None)
    return Figure(what=f"scoring: {name}", of=of, unit=unit, value=value, floor=floor, target=target, more=True)


def most(sizes: Sizes) -> Iterator[Figure]:
    """Ten million people: a million written once, and read ten times under other names. Only when asked for by name.

    What one bucket holds does not matter to the next, and so ten times the disk is not needed.
    """
    people = sizes.most_scored
    of = f"{people:,} people, {EVENTS}"
    with tempfile.TemporaryDirectory() as folder:
        some = alone(_written, folder, people // REPEATED)
        buckets = [_named_again(bucket, turn) for turn in range(REPEATED) for bucket in some]
        wall, cpu, peak = alone(_scored, "thirty", buckets, folder)
        *_, small = alone(_scored, "thirty", some, folder)
    yield _speed("engine", of, people / wall)
    yield Figure(what="scoring: engine", of=of, unit="CPU s", value=cpu)
    yield Figure(what="scoring: engine, peak memory", of=of, unit="MB", value=peak, floor=1000, target=650)
    yield Figure(
        what="scoring: peak memory of this against a tenth of the people", of=of, unit="x", value=peak / small,
        floor=1.3, target=1.1,
    )  # fmt: skip


REPEATED = 10


def _named_again(bucket: Bucket, turn: int) -> Bucket:
    """The same files under names of their own."""

    def again(files: Sequence[Path]) -> tuple[Path, ...]:
        links = tuple(file.with_name(f"{turn}-{file.name}") for file in files)
        for file, link in zip(files, links, strict=True):
            link.hardlink_to(file)
        return links

    return replace(bucket, people=again(bucket.people), events=again(bucket.events))


def rescoring(sizes: Sizes) -> Iterator[Figure]:
    """One in a hundred is dirty, all over the buckets: what one query for them costs of scoring everybody.

    Once with all files at rest, and once with newer rows of who is dirty beside them, as every refresh leaves it.
    """
    people = sizes.many_scored or sizes.scored
    policy = policy_of("thirty")
    with tempfile.TemporaryDirectory() as folder:
        buckets = Crowd(folder=Path(folder), people=people, size=BUCKET).buckets()
        ids = [id for one in buckets for file in one.people for id in _ids(file)]
        dirty, one = frozenset(ids[::100]), frozenset(ids[:1])
        grown = [_grown(bucket, dirty) for bucket in buckets]
        with DuckDbEngine() as engine:

            def again(some: Sequence[Bucket]) -> tuple[float, float]:
                together = _together(some)
                engine.score(policy, together, TODAY, only=dirty)
                scored, wall, cpu = timed(lambda: engine.score(policy, together, TODAY, only=dirty).num_rows)
                assert scored == len(dirty)
                return wall, cpu

            def everybody(some: Sequence[Bucket]) -> tuple[float, float]:
                scored, wall, cpu = timed(lambda: engine.score_files(policy, _outputs(some, folder), TODAY))
                assert scored == len(ids)
                return wall, cpu

            part, whole = again(buckets), everybody(buckets)
            grown_part, grown_whole = again(grown), everybody(grown)
            engine.ledgers(policy, buckets[0], TODAY, one)
            _, one_wall, _ = timed(lambda: engine.ledgers(policy, buckets[0], TODAY, one))
    of = f"{len(dirty):,} of {len(ids):,} people"
    what = "scoring again who is dirty, of scoring everybody"
    yield from _shares(what, of, part, whole, (10, 7))
    yield from _shares(f"{what}: with newer rows beside", of, grown_part, grown_whole, (25, 15))
    yield from _shares("scoring everybody with newer rows beside, of all at rest", of, grown_whole, whole, (200, 140))
    yield Figure(
        what="scoring: one person with the ledger, warm", of=f"1 of {BUCKET:,}", unit="ms wall", value=one_wall * 1e3,
        floor=150, target=50,
    )  # fmt: skip


def _shares(
    what: str, of: str, part: tuple[float, float], whole: tuple[float, float], bounds: tuple[float, float]
) -> Iterator[Figure]:
    for unit, some, every in zip(("% wall", "% CPU"), part, whole, strict=True):
        yield Figure(what=what, of=of, unit=unit, value=some / every * 100, floor=bounds[0], target=bounds[1])


def _ids(file: Path) -> list[str]:
    return pq.read_table(file, columns=["person_id"])["person_id"].to_pylist()


def _together(buckets: Sequence[Bucket]) -> Bucket:
    return Bucket(
        people=tuple(file for bucket in buckets for file in bucket.people),
        events=tuple(file for bucket in buckets for file in bucket.events),
        compacted=all(len(bucket.people) == 1 for bucket in buckets),
        settled=frozenset().union(*(bucket.settled for bucket in buckets)),
    )


def _grown(bucket: Bucket, dirty: frozenset[str]) -> Bucket:
    """With files beside it of what is new of these people: their facts once more, and two events in ten again."""
    added = []
    for file in (*bucket.people, *bucket.events):
        newer = pq.read_table(file, filters=pc.field("person_id").isin(list(dirty)))
        if "event_id" in newer.column_names:
            newer = newer.filter(pc.less(pc.bit_wise_and(newer["seq"], 15), 3))
        place = newer.schema.get_field_index("seq")
        newer = newer.set_column(place, newer.schema.field(place), pc.add(newer["seq"], 1))
        added.append(file.with_name(f"newer-{file.name}"))
        write_sorted(newer, newer.schema, added[-1])
    people, events = added
    settled = frozenset((*bucket.people, *bucket.events))
    return replace(bucket, people=(*bucket.people, people), events=(*bucket.events, events), settled=settled)


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` returns in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _scored(name: str, buckets: Sequence[Bucket], folder: str) -> tuple[float, float, float]:
    """Seconds of wall and of CPU, and the most memory in MB, of scoring everybody into files."""
    policy = policy_of(name)
    files = _outputs(buckets, folder)
    with DuckDbEngine() as engine:
        _, wall, cpu = timed(lambda: engine.score_files(policy, files, TODAY))
    return wall, cpu, peak_memory()


def _outputs(buckets: Sequence[Bucket], folder: str) -> list[tuple[Bucket, Path]]:
    return [(bucket, Path(folder) / f"cards-{number:04d}.parquet") for number, bucket in enumerate(buckets)]


def _written(folder: str, people: int) -> list[Bucket]:
    return Crowd(folder=Path(folder), people=people, size=BUCKET).buckets()
