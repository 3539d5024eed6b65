"""Killed at any instant and run again, the CRMs end in the state of an undisturbed run."""

from pathlib import Path

import pytest

from tests.support.world import World, differences, world

PEOPLE = 50

PARTS = 4
"""The boundaries are dealt out to so many tests, which run side by side."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[dict, int, list[str]]:
    """The final state, the number of tasks, and every boundary of a run that nothing interrupts."""
    with world(tmp_path_factory.mktemp("undisturbed"), people=PEOPLE) as scene:
        scene.run()
        places = list(scene.places)
        scene.run()
        return scene.box.state(), tasks(scene), places


def tasks(scene: World) -> int:
    return len(scene.box.salesforce.tasks()) + len(scene.box.hubspot.tasks())


def killed_and_run_again(folder: Path, place: str, nth: int, undisturbed: tuple[dict, int, list[str]]) -> None:
    state, n_tasks, _ = undisturbed
    with world(folder, people=PEOPLE) as scene:
        assert scene.run_until_killed(place, nth) == -9, f"the run never came to {place} for the {nth}. time"
        again = scene.run()
        assert again.exit_code in (0, 5), again.error
        assert tasks(scene) == n_tasks
        assert differences(state, scene.box.state()) == []
        assert scene.run().writes == 0


def crossings(places: list[str]) -> list[tuple[str, int]]:
    """Every boundary by its name, the first and the last passing of each."""
    counts: dict[str, int] = {}
    for place in places:
        counts[place] = counts.get(place, 0) + 1
    return [(place, n) for place, last in counts.items() for n in sorted({1, last})]


@pytest.mark.parametrize("place", ["decide:done", "write:salesforce:answered"])
def test_a_kill_in_the_middle_leaves_no_trace(place, tmp_path, undisturbed):
    killed_and_run_again(tmp_path, place, 1, undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_at_every_boundary_leaves_no_trace(part, tmp_path, undisturbed):
    """At least 25 boundaries: around every transaction of pull, resolve, gather, score, decide and write."""
    points = crossings(undisturbed[2])
    assert len(points) >= 25, points
    for number, (place, nth) in enumerate(points[part::PARTS]):
        killed_and_run_again(tmp_path / str(number), place, nth, undisturbed)
