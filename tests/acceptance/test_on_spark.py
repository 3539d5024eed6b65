"""`engine: spark`: the same job, by the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.world import AS_OF, World, differences, world

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

ON_SPARK = ("engine: duckdb", "engine: {spark: {master: 'local[2]', memory: 1g}}")


def run(scene: World) -> None:
    done = scene.cli("run", "--as-of", AS_OF.isoformat())
    assert done.returncode in (0, 5), done.stderr


def test_a_run_on_spark_writes_what_a_run_on_duckdb_writes(tmp_path: Path) -> None:
    (tmp_path / "duckdb").mkdir()
    with world(tmp_path / "duckdb", people=60) as scene:
        run(scene)
        expected = scene.box.state()
    (tmp_path / "spark").mkdir()
    with world(tmp_path / "spark", people=60) as scene:
        scene.edit_settings(ON_SPARK)
        untouched = scene.box.state()
        run(scene)
        assert differences(scene.box.state(), expected) == []
        assert differences(untouched, expected) != []


def test_check_starts_spark_and_says_so(scene: World) -> None:
    scene.edit_settings(ON_SPARK)
    done = scene.cli("check")
    assert done.returncode == 0, done.stderr
    assert "engine: Spark 4.0" in done.stdout
    assert "on local[2], Java " in done.stdout


def test_without_java_check_says_what_to_install_and_a_run_scores_nothing(
    scene: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.edit_settings(ON_SPARK)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    before = scene.box.state()
    checked = scene.cli("check")
    assert checked.returncode == 3
    assert "apt-get install openjdk-17-jre-headless" in checked.stdout
    ran = scene.cli("run", "--as-of", AS_OF.isoformat())
    assert ran.returncode == 1
    assert "Java did not start" in ran.stdout + ran.stderr
    assert "nothing was scored" in ran.stdout + ran.stderr
    assert differences(before, scene.box.state()) == []
    scene.edit_settings(ON_SPARK[::-1])
    run(scene)
    assert differences(before, scene.box.state()) != []
