"""The engine on Spark, as a guest: the files it is given, the texts it is asked for, what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring import conditions as c
from scoring.engine import DuckDbEngine, EngineFailed
from scoring.engine_spark import SparkEngine
from scoring.policy import Policy
from scoring.tables import KNOWN_FROM, KNOWN_UNTIL, MICRO, Bucket, events_schema, people_schema
from tests.support.rules import TODAY, instant, policy, viewed
from tests.support.snapshots import event, event_row, person_row, write_bucket, write_rows

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def duckdb() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as engine:
        yield engine


def fit_of(*tests: tuple[str, c.Condition], micro: int = MICRO) -> Policy:
    """A policy of rules about facts, each worth ``micro``."""
    items = tuple(c.FitRule(name=name, reason=name, test=test, micro=micro) for name, test in tests)
    plain = policy()
    dimension = c.Dimension(groups=(c.Group(name="g", items=items),), max=None, floor=None)
    return replace(plain, models=tuple(replace(model, fit=dimension) for model in plain.models))


def points(table: pa.Table) -> dict[str, tuple[int, int]]:
    """Person -> exact points of fit and engagement."""
    rows = table.select(["person_id", "fit_micro", "engagement_micro"]).to_pylist()
    return {row["person_id"]: (row["fit_micro"], row["engagement_micro"]) for row in rows}


# -- texts, days, numbers ----------------------------------------------------------------------------------------

TEXTS = (
    *("${env:HOME}", "${spark.app.name}", "it's", 'say "x"', "back\\slash", "\\", "\\n", "a\nb", "\\u0041", "\\101"),
    *("100%", "a_b", "`tick`", "-- no comment", "/* nor */", ":name", "?", "{x}", "日本", "ç", "\t", "a;b", "\x1f"),
)


def test_every_text_of_a_policy_is_that_text(spark: SparkEngine, tmp_path: Path) -> None:
    """Nothing in it is a variable, an escape, a pattern or a comment."""
    of = fit_of(*((f"rule {n}", c.OneOf("person.city", (text,))) for n, text in enumerate(TEXTS)))
    people = [{"person_id": f"p{n:02d}", "seq": 1, "person.city": text} for n, text in enumerate(TEXTS)]
    bucket = Bucket(people=(write_rows(tmp_path / "people", people, people_schema()),), events=())
    found = spark.score(of, bucket, TODAY).sort_by("person_id")
    for n in range(len(TEXTS)):
        given = found[f"fit.g.rule {n}"].to_pylist()
        assert [row for row, micro in enumerate(given) if micro] == [n]


def test_days_long_ago_are_the_days_of_the_file(spark: SparkEngine, duckdb: DuckDbEngine, tmp_path: Path) -> None:
    """Spark knows a calendar in which the days before October 1582 have other names."""
    days = [date(1, 1, 1), date(1000, 2, 28), date(1582, 10, 4), date(1582, 10, 15), date(9999, 12, 31)]
    created = "person.created_at"
    of = fit_of(
        *((f"from {day}", c.DateFrom(created, day)) for day in days),
        *((f"before {day}", c.DateBefore(created, day)) for day in days),
        *((f"the day after {day}", c.DateBefore(created, day + timedelta(days=1))) for day in days[:-1]),
    )
    people: list[dict[str, Any]] = [{"person_id": str(n), "seq": 1, created: day} for n, day in enumerate(days)]
    bucket = Bucket(people=(write_rows(tmp_path / "people", people, people_schema()),), events=())
    ours, theirs = (engine.score(of, bucket, TODAY).sort_by("person_id") for engine in (spark, duckdb))
    assert ours.to_pylist() == theirs.to_pylist()
    assert ours["fit.g.from 1582-10-04"].to_pylist() == [None, None, MICRO, MICRO, MICRO]


def test_names_that_differ_in_case_alone_are_two(spark: SparkEngine, tmp_path: Path) -> None:
    of = fit_of(("Big", c.Known("person.city")), ("big", c.Missing("person.city")))
    people = [{"person_id": "p", "seq": 1, "person.city": "Oslo"}]
    bucket = Bucket(people=(write_rows(tmp_path / "people", people, people_schema()),), events=())
    (row,) = spark.score(of, bucket, TODAY).to_pylist()
    assert (row["fit.g.Big"], row["fit.g.big"]) == (MICRO, None)


def test_a_sum_that_does_not_fit_is_an_error_and_no_number(
    spark: SparkEngine, duckdb: DuckDbEngine, tmp_path: Path
) -> None:
    of = fit_of(*((name, c.Missing("person.city")) for name in "ab"), micro=2**62)
    people = [{"person_id": "p", "seq": 1}]
    bucket = Bucket(people=(write_rows(tmp_path / "people", people, people_schema()),), events=())
    with pytest.raises(EngineFailed, match=r"engine: spark: Spark broke while it scored \(\[?.*(?i:overflow)"):
        spark.score(of, bucket, TODAY)
    with pytest.raises(Exception, match=r"(?i)overflow"):
        duckdb.score(of, bucket, TODAY)


def test_a_long_policy_is_read(spark: SparkEngine, duckdb: DuckDbEngine, tmp_path: Path) -> None:
    """Three hundred rules, one of them with a thousand phrases: Spark reads and plans by recursion."""
    many = c.HasWords("person.title", tuple(f" word {n} " for n in range(1_000)))
    rules = [(f"rule {n}", c.AtLeast("company.employees", n * MICRO)) for n in range(300)]
    people = {str(n): {"person.title": f"word {n * 250}", "company.employees": n * 75} for n in range(5)}
    bucket = write_bucket(tmp_path, people, {})
    ours, theirs = (e.score(fit_of(("many", many), *rules), bucket, TODAY) for e in (spark, duckdb))
    assert ours.sort_by("person_id").to_pylist() == theirs.sort_by("person_id").to_pylist()
    assert points(ours)["1"] == ((1 + 76) * MICRO, 0)


def test_two_storms_are_told_apart(spark: SparkEngine, duckdb: DuckDbEngine, tmp_path: Path) -> None:
    """Each line of ``ignore`` that looks for a storm has a table of its own, of the same name."""
    of = policy(
        engagement="{max: none, ignore: [{name: clicks, event: email_click, at_least: 3 links in 2 seconds}, "
        "{name: pages, event: page_view, at_least: 2 times in 2 seconds}], "
        "groups: {g: {rules: [{event: [email_click, page_view], points: 1}]}}}"
    )
    at = instant("2026-06-14T10:00:00")
    clicks = [event(f"c{n}", "email_click", at.date(), at=at + timedelta(seconds=n), link=str(n)) for n in range(2)]
    views = [event(f"v{n}", "page_view", at.date(), at=at + timedelta(seconds=n), path="/a") for n in range(2)]
    bucket = write_bucket(tmp_path, {"p": {}}, {"p": [*clicks, *views]})
    ours, theirs = (engine.ledgers(of, bucket, TODAY, ["p"]) for engine in (spark, duckdb))
    assert ours == theirs
    assert [(one.event_id, one.name) for one in ours["p"].ignored] == [("v1", "pages"), ("v0", "pages")]
    assert points(spark.score(of, bucket, TODAY)) == {"p": (0, 2 * MICRO)}


# -- files -------------------------------------------------------------------------------------------------------

VIEWS = policy(engagement="{max: none, groups: {g: {rules: [{event: page_view, points: 1}]}}}")


def test_a_path_is_a_path_and_no_pattern(spark: SparkEngine, tmp_path: Path) -> None:
    folder = tmp_path / "a b=1 [x]{y,z}*? 50%20 #ü\\"
    folder.mkdir()
    (tmp_path / "a b=1 x").mkdir()
    bucket = write_bucket(folder, {"p": {}}, {"p": viewed(1, 2)})
    assert points(spark.score(VIEWS, bucket, TODAY)) == {"p": (0, 2 * MICRO)}


def test_of_several_files_the_newest_rows_count(spark: SparkEngine, tmp_path: Path) -> None:
    first, second = viewed(1, 2)
    people = write_rows(tmp_path / "people", [person_row("p", {}, {})], people_schema())
    old = [event_row("p", {**first, "kind": "chat"}, seq=1), event_row("p", second, seq=2)]
    new = [event_row("p", first, seq=2), event_row("p", second, seq=3, deleted=True)]
    events = tuple(write_rows(tmp_path / f"events {n}", rows, events_schema()) for n, rows in enumerate((old, new)))
    assert points(spark.score(VIEWS, Bucket(people=(people,), events=events), TODAY)) == {"p": (0, MICRO)}
    apart = Bucket(people=(people,), events=events, compacted=True)
    assert points(spark.score(VIEWS, apart, TODAY)) == {"p": (0, 2 * MICRO)}


def test_a_versioned_file_shows_what_was_known_that_day(spark: SparkEngine, tmp_path: Path) -> None:
    known = [pa.field(name, pa.date32()) for name in (KNOWN_FROM, KNOWN_UNTIL)]
    age = TODAY - timedelta(days=3)
    people = [
        {"person_id": "p", "seq": 1, "person.city": "rome", KNOWN_FROM: date(2020, 1, 1), KNOWN_UNTIL: age},
        {"person_id": "p", "seq": 2, "person.city": "oslo", KNOWN_FROM: age, KNOWN_UNTIL: None},
    ]
    file = write_rows(tmp_path / "people", people, pa.schema([*people_schema(), *known]))
    bucket = Bucket(people=(file,), events=(), versioned=True)
    of = fit_of(("rome", c.OneOf("person.city", ("rome",))))
    assert points(spark.score(of, bucket, age - timedelta(days=1))) == {"p": (MICRO, 0)}
    assert points(spark.score(of, bucket, age)) == {"p": (0, 0)}


@pytest.mark.parametrize("number", [3, 150])
def test_some_are_scored_as_all_are(spark: SparkEngine, tmp_path: Path, number: int) -> None:
    """Few are named in the query, many are looked up."""
    people: dict[str, Any] = {f"p{n:03d}": {} for n in range(200)}
    bucket = write_bucket(tmp_path, people, {p: viewed(*range(n % 4)) for n, p in enumerate(people)})
    some = frozenset(sorted(people)[:number])
    whole = points(spark.score(VIEWS, bucket, TODAY))
    assert len(whole) == 200
    assert points(spark.score(VIEWS, bucket, TODAY, only=some)) == {p: whole[p] for p in some}
    assert spark.ledgers(VIEWS, bucket, TODAY, ["nobody", "p001"]).keys() == {"p001"}


def test_a_file_older_than_the_policys_facts_is_refused(spark: SparkEngine, tmp_path: Path) -> None:
    """Spark would read NULL for a column that is not there. The second file is looked at as well."""
    bucket = write_bucket(tmp_path, {"p": {}}, {})
    old = tmp_path / "old.parquet"
    pq.write_table(pq.read_table(bucket.people[0]).drop_columns(["person.city"]), old)
    both = replace(bucket, people=(*bucket.people, old))
    of = fit_of(("city", c.Known("person.city")))
    with pytest.raises(ValueError, match=r"old\.parquet has no column person\.city: .* rebuild the snapshot"):
        spark.score(of, both, TODAY)


# -- the guest ---------------------------------------------------------------------------------------------------


def test_a_second_spark_in_a_process_is_refused_and_leaves_the_first_alone(spark: SparkEngine, tmp_path: Path) -> None:
    with SparkEngine("local[1]") as second, pytest.raises(EngineFailed, match="Cannot run multiple SparkContexts"):
        second.start()
    assert points(spark.score(VIEWS, write_bucket(tmp_path, {"p": {}}, {}), TODAY)) == {"p": (0, 0)}


def test_spark_comes_and_goes_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own starts it, has it killed, starts it anew and ends it."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    command = [sys.executable, "-m", "tests.support.spark_life"]
    done = subprocess.run(command, cwd=tmp_path / "here", capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["name"].startswith("Spark 4.0.")
    assert said["interrupts are ours"]
    assert said["own group"]
    assert said["heap"]
    # 127.0.0.1, and the same as an IPv6 address
    assert said["listens at"]
    assert set(said["listens at"]) <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert said["broke"].startswith("engine: spark: Spark broke while it scored (")
    assert "nothing was stored" in said["broke"]
    assert said["asked again"] == 0
    assert said["files"] == 1
    assert said["children"] == []
    assert said["left"] == []
