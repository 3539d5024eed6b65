"""A whole run by bulk jobs ends where one by single calls ends, whenever it is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import World, api_writes, differences, world

PEOPLE = 30
SINGLY = "limits: {share_of_day: 50%}"
IN_BULK = "limits: {share_of_day: 50%, bulk_reads_above: 0, bulk_writes_above: 0}"


@contextmanager
def bulk_world(folder: Path) -> Iterator[World]:
    """Jobs end at once: nobody waits for them in earnest."""
    with world(folder, people=PEOPLE) as scene:
        scene.edit_settings((SINGLY, IN_BULK))
        scene.box.salesforce.bulk.busy = 0
        yield scene


@pytest.fixture(scope="module")
def singly(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str]]:
    """The state that runs without jobs come to, and every record of the org they wrote, as often as they did."""
    with world(tmp_path_factory.mktemp("singly"), people=PEOPLE) as scene:
        scene.run()
        scene.run()
        return scene.box.state(), written(scene)


def written(scene: World) -> list[str]:
    return sorted(entry.id for entry in api_writes(scene.box) if entry.crm == "salesforce")


def test_jobs_read_and_write_what_single_calls_do(tmp_path: Path, singly: tuple[dict[str, Any], list[str]]) -> None:
    with bulk_world(tmp_path) as scene:
        scene.run()
        calls = scene.box.calls["salesforce"]
        assert calls["POST /services/data/v59.0/jobs/query"] > 4
        assert calls["POST /services/data/v59.0/jobs/ingest"] >= 2
        assert scene.run().writes == 0
        assert differences(singly[0], scene.box.state()) == []


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("place", "nth"),
    [
        pytest.param("answer:POST */jobs/query", 4, marks=SLOW),
        pytest.param("answer:GET */results", 4, marks=SLOW),
        pytest.param("answer:POST */jobs/ingest", 1, marks=SLOW),
        ("answer:PUT */batches", 1),
        pytest.param("answer:PATCH */jobs/ingest/*", 2, marks=SLOW),
        pytest.param("answer:GET */successfulResults/", 1, marks=SLOW),
    ],
)
def test_a_kill_between_two_calls_of_a_job_loses_and_doubles_nothing(
    place: str, nth: int, tmp_path: Path, singly: tuple[dict[str, Any], list[str]]
) -> None:
    with bulk_world(tmp_path) as scene:
        assert scene.run_until_killed(place, nth) == -9, f"the run never came to {place}"
        again = scene.run()
        assert again.exit_code in (0, 5), again.error
        assert differences(singly[0], scene.box.state()) == []
        assert scene.run().writes == 0
        assert written(scene) == singly[1], "no record was written twice"
