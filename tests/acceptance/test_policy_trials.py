"""`mqlsync policy whatif` and `backtest` as typed: texts, JSON, pages, and what goes wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.world import World, edit, world

WIDER = ("grade: [A1, A2, B1]", "grade: [A1, A2, A3, B1, B2]")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("trials"), people=120) as made:
        made.run()
        yield made


@pytest.fixture(scope="module")
def wider(scene: World) -> Path:
    new = scene.config.parent / "wider.yaml"
    shutil.copy(scene.config / "policy.yaml", new)
    edit(new, WIDER)
    return new


def answer(scene: World, *words: str | Path) -> dict[str, object]:
    done = scene.cli("policy", *map(str, words), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["schema_version"] == 1
    return found


def test_whatif_names_who_would_become_an_mql_and_changes_nothing(scene: World, wider: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    before = scene.box.journal.last_seq
    said = scene.cli("policy", "whatif", str(wider), "--names", "2", "--html", str(page))
    assert said.returncode == 0, said.stderr
    found = answer(scene, "whatif", wider)
    become = found["moved"]["becomes"]
    assert len(become) > 2
    assert f"Becomes MQL: {len(become)}" in said.stdout
    assert become[0]["name"] in said.stdout
    assert f"And {len(become) - 2} more." in said.stdout
    assert become[0]["after"]["reason"].split(":")[0] == "hot_and_right"
    assert become[0]["name"] in page.read_text(encoding="utf-8")
    assert sum(pair["after"] for pair in found["owners"].values()) == len(become)
    assert scene.box.journal.last_seq == before
    assert answer(scene, "whatif", wider)["moved"] == found["moved"]


def test_whatif_of_the_policy_in_use_moves_nobody(scene: World) -> None:
    said = scene.cli("policy", "whatif", str(scene.config / "policy.yaml"))
    assert "Nobody would move." in said.stdout


def test_backtest_of_today_finds_what_the_run_of_today_did_and_more_with_a_wider_gate(
    scene: World, wider: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    found = answer(scene, "backtest", wider, "--since", "0d", "--mature", "0", "--html", page)
    assert len(found["new"]["episodes"]) > len(found["live"]["episodes"]) > 0
    assert sum(found["new"]["weeks"].values()) == len(found["new"]["episodes"])
    judged = {outcome: share["n"] for outcome, share in found["live"]["precision"].items()}
    assert judged["sql"] == judged["won"] == len(found["live"]["episodes"])
    assert 0 < judged["accepted"] <= judged["sql"], "whom sales had accepted before says nothing about the policy"
    assert all(share["low"] <= share["share"] <= share["high"] for share in found["new"]["precision"].values())
    said = scene.cli("policy", "backtest", str(wider), "--since", "0d")
    counted = f"New MQLs: {len(found['new']['episodes'])} instead of {len(found['live']['episodes'])}."
    assert counted in said.stdout
    assert counted in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["backtest", "NEW", "--since", "90d"], 1, "the store knows the past since"),
        (["backtest", "NEW", "--since", "soon"], 2, "write 90d or 2026-09-01"),
        (["backtest", "NEW", "--since", "0d", "--until", "2020-01-01"], 2, "the first one first"),
        (["whatif", "nowhere.yaml"], 1, "is no file or directory"),
        (["whatif", "NEW", "--html", "/nowhere/page.html"], 1, "cannot be written"),
        (["whatif", "NEW", "--as-of", "noon"], 2, "2026-11-25T12:00:00Z"),
    ],
)
def test_what_is_wrong_is_said(scene: World, wider: Path, words: list[str], code: int, message: str) -> None:
    done = scene.cli("policy", *(str(wider) if word == "NEW" else word for word in words))
    assert done.returncode == code
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_a_policy_with_an_error_is_not_tried(scene: World, tmp_path: Path) -> None:
    new = tmp_path / "policy.yaml"
    shutil.copy(scene.config / "policy.yaml", new)
    edit(new, ("event: demo_request,", "event: demo_requst,"))
    done = scene.cli("policy", "whatif", str(new))
    assert done.returncode == 3
    assert "did you mean 'demo_request'?" in done.stderr
