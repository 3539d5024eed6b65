"""What a store of many people does otherwise than one of few: its people are in many buckets, scored together."""

from datetime import timedelta

import pytest

from sync import run
from sync.store import snapshot
from tests.support.world import AS_OF, World, differences, world


def scores(scene: World) -> dict[str, tuple]:
    with scene.opened() as opened, opened.parts.store.read() as tx:
        asked = "SELECT person_id, status, fit, engagement, total, grade, reason FROM person"
        return {row[0]: tuple(row[1:]) for row in tx.exec_driver_sql(asked)}


def edit_somebody(scene: World) -> None:
    """Two people change: the next run scores them and nobody else."""
    scene.box.clock.freeze(AS_OF + timedelta(hours=1))
    for id in scene.box.hubspot.ids("contacts")[:2]:
        scene.box.hubspot.edit("contacts", id, {"jobtitle": "Chief Revenue Officer"})


@pytest.mark.parametrize("together", [1, 50_000])
def test_people_in_many_buckets_come_out_as_in_one(tmp_path, monkeypatch, together):
    with world(tmp_path / "one") as few:
        few.run()
        edit_somebody(few)
        few.run()
        expected, told = scores(few), few.box.state()
    monkeypatch.setattr(snapshot, "SMALL", -1)
    monkeypatch.setattr(run, "SCORED_TOGETHER", together)
    with world(tmp_path / "many") as many:
        first = many.run()
        edit_somebody(many)
        second = many.run()
        assert (first.exit_code, second.exit_code) == (0, 0)
        assert many.places.count("score:bucket") == 1 or together == 1
        assert 0 < second.decided.people < first.decided.people
        assert scores(many) == expected
        assert differences(many.box.state(), told) == []
