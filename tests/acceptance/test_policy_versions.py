"""A policy's life as a file: looked at, tried, compared, put into use, brought back, and nothing lost on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sync.demo import prepare
from tests.support.processes import ROOT
from tests.support.shell import Answer, mqlsync, on_a_terminal
from tests.support.world import AS_OF, World, edit, leave_examples_out, world

NOW = ("--as-of", AS_OF.isoformat())

VP = "{name: a VP who asked, person: {title: VP Sales, country: US}, company: {employees: 300, industry: Finance}, "
PASSES = VP + "events: [{event: demo_request, days_ago: 1}], expect: {grade: A1, mql: asked_for_sales}}"
FAILS = VP + "events: [], expect: {grade: A1, mql: asked_for_sales}}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The files a new installation starts with, but for the examples; without anything behind them."""
    made = prepare(tmp_path, "http://127.0.0.1:9")
    leave_examples_out(made)
    return made


def policy(config: Path, *arguments: str, typed: str | None = None) -> Answer:
    return mqlsync("policy", *arguments, "--config", str(config), typed=typed)


def variant(config: Path, *replacements: tuple[str, str], name: str = "new.yaml") -> str:
    """A policy beside the configuration that differs in these texts."""
    file = config.parent / name
    file.write_bytes((config / "policy.yaml").read_bytes())
    edit(file, *replacements)
    return str(file)


def with_example(config: Path, example: str) -> str:
    file = config.parent / "with-example.yaml"
    file.write_text((config / "policy.yaml").read_text() + f"\nexamples:\n  - {example}\n")
    return str(file)


LOWER = ("A: 70, B: 50", "A: 65, B: 50")


def files(config: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(config.iterdir())}


def listed(config: Path) -> list[tuple[str, str, str]]:
    """(number, how, note) of every version, oldest first."""
    answer = policy(config, "versions", "--json")
    return [(row["number"], row["how"], row["note"]) for row in reversed(answer.json["versions"])]


# -- looking ------------------------------------------------------------------------------------------------------


def test_lint_tells_every_error_and_warning_by_file(config: Path) -> None:
    edit(config / "policy.yaml", ("from 200: 30", "form 200: 30"), ("to: pool sales", "to: pool saels"))
    edit(config / "team.yaml", ("nobody_free:", "nobody_fre:"))
    answer = policy(config, "lint")
    assert answer.code == 3
    lines = answer.out.splitlines()
    assert lines[0] == f"{config}/policy.yaml"
    assert "unknown phrase 'form 200', did you mean 'from 200'?" in lines[1]
    assert "unknown pool 'saels', did you mean 'sales'?" in lines[2]
    assert f"{config}/team.yaml" in lines
    assert lines[-1].startswith("3 errors")
    told = policy(config, "lint", "--json")
    assert told.code == 3
    assert told.json["errors"][0]["path"] == "fit.groups.company_size.points"


def test_warnings_do_not_fail_unless_that_is_asked_for(config: Path) -> None:
    answer = policy(config, "lint")
    assert answer.code == 0
    assert "W13" in answer.out
    assert policy(config, "lint", "--strict").code == 3


def test_a_failing_example_is_an_error_of_lint_with_its_place(config: Path) -> None:
    answer = policy(config, "lint", with_example(config, FAILS), "--json")
    assert answer.code == 3
    assert [one["path"] for one in answer.json["errors"]] == ["examples[0].expect.grade", "examples[0].expect.mql"]


def test_a_directory_can_be_linted_without_any_other(tmp_path: Path, config: Path) -> None:
    elsewhere = tmp_path / "theirs"
    elsewhere.mkdir()
    for name in ("policy.yaml", "team.yaml"):
        (elsewhere / name).write_bytes((config / name).read_bytes())
    answer = mqlsync("policy", "lint", str(elsewhere), "--config", str(tmp_path / "nowhere"))
    assert answer.code == 0, answer.err


def test_test_tells_of_each_example_whether_it_holds_and_why_not(config: Path) -> None:
    none = policy(config, "test")
    assert (none.code, none.out[:22]) == (0, "There are no examples.")
    good = policy(config, "test", with_example(config, PASSES))
    assert (good.code, good.out) == (0, "ok   a VP who asked\n1 example, 0 failed\n")
    bad = policy(config, "test", with_example(config, FAILS))
    assert bad.code == 1
    assert bad.out.splitlines()[0] == "FAIL a VP who asked"
    assert bad.out.splitlines()[2] == (
        "       mql: expected asked_for_sales, got no: event: demo_request or meeting_booked or form_submit, "
        "within 7 days: there is no such event"
    )
    told = policy(config, "test", with_example(config, FAILS), "--json")
    assert told.json["failed"] == 1
    assert [d["key"] for d in told.json["examples"][0]["differences"]] == ["grade", "mql"]


def test_diff_says_in_words_what_is_new_and_what_work_follows(config: Path) -> None:
    new = variant(config, LOWER, ("from 200: 30", "from 200: 28"))
    answer = policy(config, "diff", "live", new)
    assert answer.code == 0
    assert answer.out.splitlines()[1:] == [
        "fit",
        "  company_size: from 200 gives 28 instead of 30",
        "grade",
        "  fit: A from 65 instead of 70",
        "=> everybody is scored and decided again",
    ]
    assert policy(config, "diff", new, new).out.splitlines()[1:] == ["They mean the same."]
    told = policy(config, "diff", "live", new, "--json").json
    assert told["changes"][0] == {
        "section": "fit",
        "path": "fit.company_size",
        "text": "from 200 gives 28 instead of 30",
    }
    assert [work["part"] for work in told["work"]] == ["everybody"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("diff", "live", "nothing.yaml"), 1, "nothing.yaml is no file or directory"),
        (("publish", "nothing.yaml", "--note", "x"), 1, "nothing.yaml is no file or directory"),
        (("diff", "live", "v1"), 3, "there is no store yet"),
        (("versions",), 3, "there is no store yet"),
        (("shadow",), 3, "there is no store yet"),
        (("rollback", "--note", "x"), 3, "there is no store yet"),
    ],
)
def test_what_is_not_there_is_told_in_a_sentence(
    config: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    answer = policy(config, *arguments, "--json")
    assert answer.code == code
    assert said in answer.err
    assert answer.json["exit_code"] == code
    assert not (config.parent / "state").exists(), "looking made a store"


# -- putting into use ---------------------------------------------------------------------------------------------


def test_publish_refuses_a_policy_with_an_error_or_a_failing_example(config: Path) -> None:
    before = files(config)
    wrong = policy(config, "publish", variant(config, ("from 200: 30", "form 200: 30")), "--note", "x", "--yes")
    assert wrong.code == 3
    assert "did you mean 'from 200'?" in wrong.err
    failing = policy(config, "publish", with_example(config, FAILS), "--note", "x", "--yes")
    assert failing.code == 3
    assert "the example 'a VP who asked' fails: expected asked_for_sales, got no" in failing.err
    assert files(config) == before
    assert policy(config, "versions").code == 3, "there is nothing to list"


def test_publish_shows_the_difference_and_asks(config: Path) -> None:
    before = files(config)
    new = variant(config, LOWER)
    asked = policy(config, "publish", new, "--note", "x")
    assert asked.code == 1
    assert "fit: A from 65 instead of 70" in asked.out
    assert "add --yes" in asked.err
    looked = policy(config, "publish", new, "--note", "x", "--dry-run")
    assert looked.code == 0
    assert "Nothing was changed." in looked.out
    assert files(config) == before
    assert policy(config, "publish", new).code == 2, "every version has a note"
    assert policy(config, "publish", new, "--note", " ", "--yes").code == 2, "that says something"


def test_what_is_published_is_in_use_comments_and_all(config: Path) -> None:
    new = variant(config, LOWER, ("# 2. FIT:", "# 2. What we want, said the board:"))
    answer = policy(config, "publish", new, "--note", "more MQLs for the new team", "--yes", "--json")
    assert answer.code == 0
    assert answer.json["published"] is True
    assert (config / "policy.yaml").read_bytes() == Path(new).read_bytes()
    assert listed(config) == [
        ("v1", "found in use", "as found before the next version"),
        ("v2", "published", "more MQLs for the new team"),
    ]
    assert policy(config, "diff", "v1", "live").out.splitlines()[2] == "  fit: A from 65 instead of 70"
    again = policy(config, "publish", new, "--note", "again", "--yes")
    assert again.out == "These are the files in use: there is nothing to do.\n"


def test_a_directory_brings_several_files_and_the_others_stay(config: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "policy.yaml").write_text(
        (config / "policy.yaml")
        .read_text()
        .replace("[first-rival.example, second-rival.example]", "file lists/rivals.txt")
    )
    (theirs / "lists").mkdir()
    (theirs / "lists" / "rivals.txt").write_text("first-rival.example\nthird-rival.example  # since May\n")
    team = (config / "team.yaml").read_bytes()
    answer = policy(config, "publish", str(theirs), "--note", "rivals in a file", "--yes")
    assert answer.code == 0, answer.err
    assert "competitors: +third-rival.example -second-rival.example" in answer.out
    assert (config / "lists" / "rivals.txt").read_text().endswith("# since May\n")
    assert (config / "team.yaml").read_bytes() == team
    back = policy(config, "rollback", "--note", "not yet", "--yes")
    assert back.code == 0, back.err
    assert "competitors: +second-rival.example -third-rival.example" in back.out


def test_rollback_brings_every_byte_back(config: Path) -> None:
    path = config / "policy.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + "# façon maison\r\n".encode())
    first = files(config)
    assert policy(config, "publish", variant(config, ("A: 70", "A: 65")), "--note", "one", "--yes").code == 0
    assert policy(config, "publish", variant(config, ("A: 65", "A: 60")), "--note", "two", "--yes").code == 0
    back = policy(config, "rollback", "v1", "--note", "too many", "--yes")
    assert back.code == 0, back.err
    assert files(config) == first
    one_back = policy(config, "rollback", "--note", "no, the newest", "--yes")
    assert "A from 60 instead of 70" in one_back.out
    assert listed(config)[2:] == [
        ("v3", "published", "two"),
        ("v4", "rolled back", "too many"),
        ("v5", "rolled back", "no, the newest"),
    ]


def test_rollback_is_refused_where_there_is_nothing_to_go_back_to(config: Path) -> None:
    assert policy(config, "publish", variant(config, LOWER), "--note", "one", "--yes").code == 0
    assert policy(config, "rollback", "v9", "--note", "x", "--yes").code == 1
    unknown = policy(config, "rollback", "ffff", "--note", "x", "--yes")
    assert unknown.code == 1
    assert "there is no version ffff; `mqlsync policy versions` lists them" in unknown.err


def test_a_policy_that_was_broken_by_hand_can_be_rolled_back(config: Path) -> None:
    good = (config / "policy.yaml").read_bytes()
    assert policy(config, "publish", variant(config, LOWER), "--note", "one", "--yes").code == 0
    (config / "policy.yaml").write_text("version: 1\nname: [\n")
    back = policy(config, "rollback", "v1", "--note", "repair", "--yes")
    assert back.code == 0, back.err
    assert "The files in use do not load" in back.out
    assert (config / "policy.yaml").read_bytes() == good
    assert [how for _, how, _ in listed(config)] == ["found in use", "published", "edited in place", "rolled back"]


class NobodyContacted(World):
    """A configuration with nothing behind it, for commands in a process of their own."""

    @property
    def environment(self) -> dict[str, str]:
        return {}


@pytest.mark.parametrize(("typed", "code", "published"), [("n\n", 1, False), ("y\n", 0, True)])
def test_at_a_terminal_publish_takes_an_answer(config: Path, typed: str, code: int, published: bool) -> None:
    new = variant(config, LOWER)
    scene = NobodyContacted(box=None, config=config)  # type: ignore[arg-type]  # nobody is contacted
    answer = on_a_terminal(scene, "policy", "publish", new, "--note", "x", typed=typed)
    assert answer.code == code, answer.out
    assert "into use? [y/N]" in answer.out
    assert ((config / "policy.yaml").read_bytes() == Path(new).read_bytes()) is published


PLACES = ["publish:written", "publish:journal", "publish:policy.yaml", "publish:team.yaml", "publish:done"]


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_while_publishing_leaves_the_old_version_or_the_new_one(place: str, config: Path) -> None:
    theirs = config.parent / "theirs"
    theirs.mkdir()
    for name in ("policy.yaml", "team.yaml"):
        (theirs / name).write_text((config / name).read_text().replace(*LOWER) + f"# new {name}\n")
    before = {name: (config / name).read_bytes() for name in ("policy.yaml", "team.yaml")}
    after = {name: (theirs / name).read_bytes() for name in ("policy.yaml", "team.yaml")}
    command = [sys.executable, "-m", "tests.support.killed_publication", str(config), str(theirs), place]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr
    checked = mqlsync("policy", "lint", "--config", str(config))
    assert checked.code == 0, checked.out
    found = {name: (config / name).read_bytes() for name in ("policy.yaml", "team.yaml")}
    published = place != "publish:written"
    assert found == (after if published else before)
    expected = [("v1", "found in use", "as found before the next version")]
    if published:
        expected.append(("v2", "published", "interrupted"))
    assert listed(config) == expected
    assert policy(config, "publish", str(theirs), "--note", "again", "--yes").code == 0
    assert {name: (config / name).read_bytes() for name in after} == after
    assert [name for name in files(config) if name.endswith(".tmp") or "publish" in name] == []


# -- runs ---------------------------------------------------------------------------------------------------------


def test_a_run_never_starts_with_a_failing_example(tmp_path: Path) -> None:
    with world(tmp_path, people=5) as scene:
        good = (scene.config / "policy.yaml").read_text()
        (scene.config / "policy.yaml").write_text(f"{good}\nexamples:\n  - {FAILS}\n")
        scene.box.reset_calls()
        for command in ("run", "plan", "check"):
            answer = mqlsync(command, scene=scene)
            assert answer.code == 3
            assert "examples[0].expect.mql: the example 'a VP who asked' fails" in answer.err
        assert scene.box.calls.total == 0
        (scene.config / "policy.yaml").write_text(f"{good}\nexamples:\n  - {PASSES}\n")
        assert mqlsync("run", *NOW, scene=scene).code == 0


def test_versions_say_how_much_was_decided_under_each(tmp_path: Path) -> None:
    """Also under one that somebody edited in place: the first run that decides by it keeps it."""
    with world(tmp_path, people=40) as scene:
        config = scene.config
        assert mqlsync("run", *NOW, scene=scene).code == 0
        assert mqlsync("run", *NOW, scene=scene).code == 0
        edit(config / "policy.yaml", LOWER)
        waiting = policy(config, "versions")
        assert "edited in place; no run has decided by it yet" in waiting.out
        assert mqlsync("plan", *NOW, scene=scene).code == 0
        assert len(listed(config)) == 1, "a plan decides nothing"
        ran = mqlsync("run", "--json", *NOW, scene=scene)
        assert ran.code == 0
        rows = policy(config, "versions", "--json").json["versions"]
        assert [(row["how"], row["live"]) for row in rows] == [("edited in place", True), ("found in use", False)]
        assert rows[0]["note"] == f"found by run {ran.json['run']}"
        assert rows[1]["runs"] == 2
        assert rows[0]["people"] + rows[1]["people"] == ran.json["counts"]["people"]
        assert rows[0]["people"] > 0
        assert policy(config, "diff", rows[1]["version"][:6], "live").out.splitlines()[2].startswith("  fit: A from 65")
