"""`mqlsync policy suggest` and `score`, as they are typed, on a made-up table and on a made-up store."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from typer.testing import CliRunner, Result

from scoring.episodes import Status
from sync import cli
from sync.compose import load
from sync.gather import GatherRules
from sync.init import write_templates
from sync.outcomes import from_store
from sync.store import decisions, people, records, schema
from sync.store.db import Store
from sync.store.decisions import EpisodeRow
from tests.support.made import DAY, contact, did, person
from tests.support.outcomes import as_csv, made_table
from tests.support.stores import new_store

X_EDUCATION = Path(__file__).parents[2] / "docs" / "x-education"
REAL = os.environ.get("MQLSYNC_REAL_LEADS")


def mqlsync(*arguments: str | Path, rc: int = 0) -> Result:
    result = CliRunner().invoke(cli.app, ["policy", *map(str, arguments)])
    assert result.exit_code == rc, result.output
    return result


def answer(*arguments: str | Path, rc: int = 0) -> Any:
    body = json.loads(mqlsync(*arguments, "--json", rc=rc).stdout)
    assert body["schema_version"] == 1
    return body


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "people.csv"
    file.write_text(as_csv(made_table()), encoding="utf-8")
    return file


def test_a_table_becomes_a_patch_that_scores_another_table(table: Path, tmp_path: Path) -> None:
    """The whole way: learn, read, score people never seen, and rank them as well as was promised."""
    patch, other = tmp_path / "patch.yaml", tmp_path / "other.csv"
    said = mqlsync("suggest", "--from", table, "--outcome", "Won", "--leaks", "Close Reason,Paid", "--out", patch)
    auc, low, high = map(float, re.search(r"AUC ([\d.]+) \(95 % interval ([\d.]+) to ([\d.]+)\)", said.stdout).groups())
    assert 0.5 < low < auc < high < 1
    assert "800 rows with a known outcome" in said.stdout
    assert "Close Reason: you named it" in said.stdout
    text = patch.read_text(encoding="utf-8")
    assert not {"close_reason", "paid", "person_id"} & set(re.findall(r"person\.custom\.(\w+)", text))
    other.write_text(as_csv(made_table(600, seed=99)), encoding="utf-8")
    scored = answer("score", patch, "--from", other, "--outcome", "Won")
    assert [row["row"] for row in scored["rows"]] == list(range(1, 601))
    assert all(row["score"] == sum(reason["points"] for reason in row["reasons"]) for row in scored["rows"])
    assert all(isinstance(row["score"], int) for row in scored["rows"])
    assert low - 0.03 < scored["auc"]["value"] < high + 0.03
    assert (scored["auc"]["rows"], scored["auc"]["won"]) == (600, sum(r[-1] == "1" for r in made_table(600, seed=99)))


def test_the_table_to_score_needs_no_outcome_and_no_order(table: Path, tmp_path: Path) -> None:
    patch, other = tmp_path / "patch.yaml", tmp_path / "other.csv"
    mqlsync("suggest", "--from", table, "--outcome", "Won", "--out", patch)
    other.write_text('Role,channel,VISITS\nHead of Sales,"Fair, Berlin",20\nintern,Mail #1,0\n,,\n', encoding="utf-8")
    best, worst, unknown = answer("score", patch, "--from", other)["rows"]
    assert best["score"] > unknown["score"] > worst["score"]
    assert {"channel", "role"} <= {reason["name"] for reason in best["reasons"]}
    lines = mqlsync("score", patch, "--from", other).stdout.splitlines()
    assert lines[0].startswith(f"row 1: {best['score']} (")


def test_the_same_command_twice_writes_the_same_patch(table: Path, tmp_path: Path) -> None:
    patch = tmp_path / "patch.yaml"
    mqlsync("suggest", "--from", table, "--outcome", "Won", "--out", patch)
    first = patch.read_bytes()
    mqlsync("suggest", "--from", table, "--outcome", "Won", "--out", patch)
    assert patch.read_bytes() == first


def test_bayes_is_the_other_method(table: Path) -> None:
    found = answer("suggest", "--from", table, "--outcome", "Won", "--method", "bayes", "--repeats", "1")
    assert found["method"] == "bayes"
    lines = [line for made in found["tables"] for line in made["lines"]]
    assert any(line["points"] % 5 for line in lines)
    assert all(line["points"] == 0 for line in lines if line["phrase"] == "unknown")


def test_points_in_use_are_compared_on_the_same_rows(table: Path, tmp_path: Path) -> None:
    poor = tmp_path / "poor.yaml"
    poor.write_text(
        "fit: {groups: {v: {field: person.custom.visits, points: {from 1: 5, unknown: 0, otherwise: 0}}}}\n"
    )
    found = answer("suggest", "--from", table, "--outcome", "Won", "--against", poor, "--repeats", "1")
    assert found["current"]["name"] == str(poor)
    assert found["current"]["auc"] < found["auc"]["low"]
    shown = mqlsync("suggest", "--from", table, "--outcome", "Won", "--against", poor, "--repeats", "1").stderr
    assert f"AUC of {poor} on the same rows: {found['current']['auc']:.3f}" in shown


def test_without_a_file_the_patch_is_all_that_goes_to_stdout(table: Path) -> None:
    said = mqlsync("suggest", "--from", table, "--outcome", "Won", "--repeats", "1")
    assert said.stdout.startswith("# Points learned by `mqlsync policy suggest` from people.csv.")
    assert "Left out:" in said.stderr
    assert "Left out:" not in said.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--outcome", "Wun"), "has no column 'Wun', did you mean 'Won'?"),
        (("--outcome", "Won", "--leaks", "Payd"), "has no column 'Payd', did you mean 'Paid'?"),
        (("--outcome", "Won", "--keep", "Payd"), "has no column 'Payd'"),
        (("--outcome", "Role"), "which says neither won nor lost"),
        ((), "--from needs --outcome COLUMN"),
        (("--outcome", "Won", "--lost-after", "90"), "--lost-after is for people of the store"),
        (("--outcome", "Won", "--out", "/nowhere/patch.yaml"), "/nowhere/patch.yaml cannot be written"),
        (("--outcome", "Won", "--against", "/nowhere.yaml"), "/nowhere.yaml cannot be read"),
    ],
)
def test_a_wrong_request_ends_with_a_sentence(table: Path, arguments: tuple[str, ...], said: str) -> None:
    result = mqlsync("suggest", "--from", table, *arguments, "--repeats", "1", rc=1)
    assert said in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.output
    assert said in answer("suggest", "--from", table, *arguments, "--repeats", "1", rc=1)["error"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (made_table(20), "20 rows with a known outcome are too few to learn from"),
        ([row for row in made_table() if row[-1] == "1"], "are won: there is nothing to tell apart"),
        ([(*row[:-1], "") for row in made_table(60)], "0 rows with a known outcome"),
    ],
)
def test_too_little_to_learn_from_writes_nothing(tmp_path: Path, rows: list[tuple[str, ...]], said: str) -> None:
    file, patch = tmp_path / "t.csv", tmp_path / "patch.yaml"
    file.write_text(as_csv(rows), encoding="utf-8")
    assert said in mqlsync("suggest", "--from", file, "--outcome", "Won", "--out", patch, rc=1).stderr
    assert not patch.exists()


def test_a_file_of_somebody_else_is_not_overwritten(table: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\n")
    said = mqlsync("suggest", "--from", table, "--outcome", "Won", "--out", policy, rc=1)
    assert "was not written by `policy suggest`" in said.stderr
    assert policy.read_text() == "version: 1\n"


def test_the_missing_extra_is_named(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scoring.learn", None)
    said = mqlsync("suggest", "--from", table, "--outcome", "Won", rc=1)
    assert "pip install 'mqlsync[learn]'" in said.stderr


def test_scoring_needs_no_extra(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patch = tmp_path / "p.yaml"
    patch.write_text(
        "fit: {groups: {v: {field: person.custom.visits, points: {from 1: 5, unknown: 0, otherwise: 0}}}}\n"
    )
    for module in ("scoring.learn", "sklearn", "numpy", "scipy"):
        monkeypatch.setitem(sys.modules, module, None)
    assert answer("score", patch, "--from", table, "--outcome", "Won")["auc"]["rows"] == 800


@pytest.mark.parametrize(
    ("patch", "said", "rc"),
    [
        ("fit: {groups: {v: {field: person.custom.age, points: {from 1: 5}}}}", "no column for 'age'", 1),
        ("engagement: {groups: {}}", "has no section 'fit'", 1),
        ("fit: [", "is not YAML", 3),
        (
            "fit: {groups: {v: {field: person.custom.visits, points: {from 10: 9, form 1: 5}}}}",
            "did you mean 'from 1'?",
            3,
        ),
    ],
)
def test_points_that_cannot_score_the_table_say_why(
    table: Path, tmp_path: Path, patch: str, said: str, rc: int
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(patch + "\n")
    assert said in mqlsync("score", file, "--from", table, rc=rc).stderr


def test_a_whole_policy_scores_a_table_by_its_fit(tmp_path: Path) -> None:
    """The policy of the documentation, with its team beside it."""
    file = tmp_path / "t.csv"
    titles = "Minutes on site,Visits,Origin,Source,Occupation,Specialization,Won"
    file.write_text(f"{titles}\n1200,3,Lead Add Form,Reference,Working Professional,Finance,1\n50,1,,,,,0\n")
    found = answer("score", X_EDUCATION / "policy.yaml", "--from", file, "--outcome", "Won")
    assert [row["score"] for row in found["rows"]] == [35 + 0 + 40 + 15 + 55 + 0, -20 - 25 + 0 + 0 - 20 - 20]
    assert found["auc"]["value"] == 1.0


# -- the store ---------------------------------------------------------------------------------------------------


def make_people(store: Store, *, qualified: bool) -> None:
    """200 people: heads are mostly won; so are those who asked for a demo before they qualified. Clicks come after."""
    chance = random.Random(8)
    known, events = [], []
    for n in range(200):
        title = chance.choice(("Head of Sales", "Analyst"))
        asked = chance.random() < 0.4
        won = chance.random() < 0.1 + 0.35 * (title == "Head of Sales") + 0.45 * asked
        stage = {"person.lifecycle_stage": "sql"} if won else {}
        facts = {"person.title": title, "person.visits": 50 if won else 5, **stage}
        known.append(person(contact(n), f"p{n}@example.com", facts=facts, created_at=DAY))
        if asked:
            events.append(did(contact(n), f"demo-{n}", kind="demo_request", at=DAY - timedelta(days=3)))
        if won:
            events.append(did(contact(n), f"click-{n}", kind="email_click", at=DAY + timedelta(days=2)))
    with store.write() as tx:
        records.save_people(tx, known, seen_at=DAY, ours={})
        records.save_engagement(tx, events, seen_at=DAY)
    with store.write() as tx:
        people.resolve_touched(tx, at=DAY)
    with store.write() as tx:
        ids = people.person_ids(tx, None, start="", below=None, after=None, limit=500)
        tx.execute(update(schema.person).values(status=Status.NOT_YET, fit=1, total=1))
        sources = people.load_sources(tx, ids, {})
        won_ids = [i for i in ids if "person.lifecycle_stage" in sources[i].records[0].facts]
        if qualified:
            ended = dict.fromkeys(won_ids, None) | {i: "faded" for i in ids if i not in won_ids}
            decisions.save_episodes(tx, [_episode(i, outcome) for i, outcome in sorted(ended.items())])


def _episode(person_id: str, outcome: str | None) -> EpisodeRow:
    closed_at = None if outcome is None else DAY + timedelta(days=30)
    return EpisodeRow(
        person_id=person_id, n=1, opened_at=DAY, line="hot", lines=("hot",), grade="A1", fit=40, engagement=10,
        total=50, policy_version="v", adopted=False, run_id="r", closed_at=closed_at, outcome=outcome,
    )  # fmt: skip


NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The templates as configuration, with people in the store they name."""
    config, state = tmp_path / "config", tmp_path / "state"
    write_templates(config)
    state.mkdir()
    store = new_store(state, "mqlsync")
    make_people(store, qualified=True)
    store.close()
    return config


def test_people_of_the_store_become_tables_and_rules_beside_the_policy_in_use(installed: Path) -> None:
    found = answer("suggest", "--config", installed)
    assert (found["rows"], found["current"]) == (200, {"name": "the policy in use", "auc": 0.5})
    facts = {table["fact"]: table for table in found["tables"]}
    assert {"person.title", "person.seniority"} & facts.keys()
    assert facts["demo_request"]["lines"][0]["points"] > 0
    assert found["auc"]["low"] > 0.6
    policy = installed / "policy.yaml"
    text = re.sub(r"(?ms)^(fit|engagement|grade|mql|examples):.*?(?=^\S|\Z)", "", policy.read_text(encoding="utf-8"))
    policy.write_text(text + found["policy"] + "mql: {become_when: {likely: {total: from 20}}}\n", encoding="utf-8")
    assert load(installed, online=False).policy.models[-1].engagement.groups[0].name == "demo_request"


def test_a_fact_of_the_store_can_be_named_as_a_leak(installed: Path) -> None:
    found = answer("suggest", "--config", installed, "--leaks", "person.title,person.seniority,person.department")
    assert [table["fact"] for table in found["tables"]] == ["demo_request"]
    said = mqlsync("suggest", "--config", installed, "--leaks", "person.titel", rc=1).stderr
    assert "there is no fact 'person.titel', did you mean 'person.title'?" in said


def test_an_empty_store_says_what_is_missing(tmp_path: Path) -> None:
    write_templates(tmp_path / "config")
    said = mqlsync("suggest", "--config", tmp_path / "config", rc=1).stderr
    assert "0 rows with a known outcome are too few to learn from" in said


def test_engagement_before_the_qualification_becomes_rules(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    make_people(store, qualified=True)
    known = from_store(store, rules=GatherRules(), timezone="UTC", now=NOW)
    store.close()
    assert len(known.won) == 200
    assert known.current == (50.0,) * 200
    by_name = {column.fact: column for column in known.columns}
    assert "email_click" not in by_name, "what happened after the qualification was counted"
    assert sum(by_name["demo_request"].values) > 40
    assert "goes on growing" in by_name["person.visits"].why
    assert "is the outcome" in by_name["person.lifecycle_stage"].why
    assert by_name["person.title"].why == ""


def test_where_nobody_qualified_facts_alone_are_used(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    make_people(store, qualified=False)
    known = from_store(store, rules=GatherRules(), timezone="UTC", now=NOW)
    assert set(known.won) == {True}, "an open person counted as lost"
    assert "--lost-after DAYS" in known.notes[0]
    known = from_store(store, rules=GatherRules(), timezone="UTC", now=NOW, lost_after=timedelta(days=30))
    store.close()
    assert len(known.won) == 200
    assert {column.fact for column in known.columns if not column.why} >= {"person.title", "person.seniority"}
    assert not any(column.kind == "count" for column in known.columns)
    assert any(note.startswith("Facts only") for note in known.notes)


# -- real people -------------------------------------------------------------------------------------------------


if REAL is not None:

    @pytest.mark.slow
    def test_real_people_are_ranked_better_than_the_vendors_score(tmp_path: Path) -> None:
        """On the public X Education leads: without the columns known afterwards, and on a part never learned from."""
        with Path(REAL).open(encoding="utf-8-sig", newline="") as file:
            titles, *rows = csv.reader(file)
        kept, seen, patch = tmp_path / "kept.csv", tmp_path / "seen.csv", tmp_path / "patch.yaml"
        for path, part in ((seen, [r for i, r in enumerate(rows) if i % 3]), (kept, rows[::3])):
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([titles, *part])
        leaks = "Tags,Lead Quality,Lead Profile,Last Notable Activity"
        vendor = ",".join(t for t in titles if t.startswith("Asymmetrique"))
        arguments = ("--outcome", "Converted", "--leaks", leaks, "--leaks", vendor)
        assert answer("suggest", "--from", REAL, *arguments)["auc"]["value"] >= 0.88
        mqlsync("suggest", "--from", seen, *arguments, "--out", patch)
        scored = answer("score", patch, "--from", kept, "--outcome", "Converted")
        assert scored["auc"]["value"] >= 0.88
