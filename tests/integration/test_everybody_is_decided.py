"""Everybody is decided once a day and whenever the rules change, whatever happened to the run that began it."""

from datetime import timedelta

import pytest

from tests.support.world import AS_OF, World, differences, edit, world

LATER = AS_OF + timedelta(days=40)
"""So much later that fading has moved most scores although nobody did anything."""


@pytest.fixture
def scene(tmp_path):
    with world(tmp_path, people=40) as made:
        made.run()
        yield made


class Broken(Exception):
    """The run ends here, in the middle of whatever it was doing."""


def broken_later(scene: World, place: str) -> None:
    def reached(name: str) -> None:
        if name == place:
            raise Broken

    scene.box.clock.freeze(LATER)
    with pytest.raises(Broken), scene.opened(reached) as opened:
        opened.run("sync", as_of=LATER)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The CRMs after a first run and an undisturbed one so much later."""
    with world(tmp_path_factory.mktemp("undisturbed"), people=40) as scene:
        scene.run()
        scene.box.clock.freeze(LATER)
        assert scene.run(as_of=LATER).decided.people > 30
        assert scene.run(as_of=LATER).decided.people == 0
        return scene.box.state()


@pytest.mark.parametrize("place", ["score:bucket", "decide:done"])
def test_a_break_in_the_first_run_of_a_day_keeps_nobody_on_yesterdays_values(scene, place, undisturbed):
    """Scorecards are files: they stand although the decisions made of them were rolled back."""
    broken_later(scene, place)
    scene.run(as_of=LATER)
    assert differences(undisturbed, scene.box.state()) == []
    assert scene.run(as_of=LATER).writes == 0


def test_a_result_that_is_written_from_now_on_reaches_everybody_in_the_next_run(scene):
    scene.box.clock.freeze(AS_OF + timedelta(hours=1))
    scene.run()  # from now on no window reaches back to the first run's writes
    new = ("      fit:          mql_fit\n", "      fit:          mql_fit\n      model:        mql_model\n")
    edit(scene.config / "policy.yaml", new)
    scene.cli("setup", "--yes")
    first = scene.run()
    assert first.exit_code == 0, first.error
    shown = [scene.box.hubspot.get("contacts", id).get("mql_model") for id in scene.box.hubspot.ids("contacts")]
    assert shown.count("default") == first.writes > 0
    assert scene.run().writes == 0


def test_a_rule_that_is_taken_back_is_taken_back_in_the_crms(scene):
    """Its scorecards of this day are still there from before the edit."""
    before = scene.box.state()
    was, now = "from 5000: 20, from 200: 30", "from 5000: 20, from 200: 10"
    edit(scene.config / "policy.yaml", (was, now))
    assert scene.run().writes > 0
    edit(scene.config / "policy.yaml", (now, was))
    assert scene.run().writes > 0
    moved = differences(before, scene.box.state())
    assert not [line for line in moved if "mql_fit" in line or "MQL_Fit__c" in line]


def test_whoever_was_qualified_by_a_run_that_assigns_nobody_is_assigned_and_written_by_the_next(tmp_path):
    with world(tmp_path, people=40) as scene:
        jobs = "  look: {do: [pull, score]}\n  tell: {do: [assign, write]}\n"
        scene.edit_settings(("jobs:\n", "jobs:\n" + jobs))
        with scene.opened() as opened:
            looked = opened.run("look", as_of=AS_OF)
        assert looked.decided.statuses["mql"] > 0
        assert looked.writes == 0
        with scene.opened() as opened:
            told = opened.run("tell", as_of=AS_OF)
        assert len(told.decided.assigned) == looked.decided.statuses["mql"]
        statuses = [scene.box.hubspot.get("contacts", id).get("mql_status") for id in scene.box.hubspot.ids("contacts")]
        assert "mql" not in statuses
        assert statuses.count("assigned") > 0
