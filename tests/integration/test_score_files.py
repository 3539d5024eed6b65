"""Scoring many buckets into files side by side gives what scoring each by itself gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scoring.cards import layout_of
from scoring.engine import DuckDbEngine
from scoring.tables import Bucket
from tests.benchmarks.bench_engine import policy_of
from tests.benchmarks.crowd import TODAY, Crowd
from tests.benchmarks.loops import AnyPolicy, ThirtyRules, differences, load

PEOPLE, SIZE = 700, 200


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> list[Bucket]:
    return Crowd(folder=tmp_path_factory.mktemp("crowd"), people=PEOPLE, size=SIZE).buckets()


@pytest.fixture
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine() as one:
        yield one


@pytest.mark.parametrize("name", ["thirty", "whole"])
def test_files_hold_what_scoring_gives(engine: DuckDbEngine, buckets: list[Bucket], tmp_path: Path, name: str) -> None:
    """Every row, every column and its type, and the layout that says what the columns are."""
    policy = policy_of(name)
    files = [tmp_path / f"{number}.parquet" for number in range(len(buckets))]
    assert engine.score_files(policy, zip(buckets, files, strict=True), TODAY) == PEOPLE
    for bucket, file in zip(buckets, files, strict=True):
        scored, written = engine.score(policy, bucket, TODAY), pq.read_table(file)
        assert written.cast(scored.schema).sort_by("person_id").equals(scored.sort_by("person_id"))
        assert layout_of(written) == layout_of(scored)
    assert sorted(tmp_path.iterdir()) == files


def test_a_bucket_that_cannot_be_scored_leaves_no_file_and_the_engine_goes_on(
    engine: DuckDbEngine, buckets: list[Bucket], tmp_path: Path
) -> None:
    policy, lost, found = policy_of("thirty"), tmp_path / "lost.parquet", tmp_path / "found.parquet"
    nowhere = Bucket(people=buckets[0].people, events=(tmp_path / "gone.parquet",))
    with pytest.raises(FileNotFoundError, match=r"gone\.parquet"):
        engine.score_files(policy, [(nowhere, lost)], TODAY)
    assert not lost.exists()
    assert engine.score_files(policy, [(buckets[0], found)], TODAY) == SIZE
    assert engine.score(policy, buckets[0], TODAY).num_rows == SIZE


def test_both_plain_loops_of_the_benchmark_find_what_the_engine_finds(
    engine: DuckDbEngine, buckets: list[Bucket]
) -> None:
    """What the engine is measured against does the same work, reason by reason."""
    policy, people = policy_of("thirty"), load(buckets[0])
    scored = engine.score(policy, buckets[0], TODAY)
    for loop in (AnyPolicy(policy), ThirtyRules(policy)):
        assert differences(loop.columns, loop.run(people), scored) == []


def test_only_some_people_are_scored_as_they_are_among_all(engine: DuckDbEngine, buckets: list[Bucket]) -> None:
    policy = policy_of("whole")
    everybody = engine.score(policy, buckets[1], TODAY)
    for some in (frozenset(everybody["person_id"].to_pylist()[:3]), frozenset(everybody["person_id"].to_pylist()[::2])):
        rows = engine.score(policy, buckets[1], TODAY, only=some).sort_by("person_id").to_pylist()
        assert rows == [row for row in everybody.sort_by("person_id").to_pylist() if row["person_id"] in some]
