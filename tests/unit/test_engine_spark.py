"""What can be said of the engine on Spark without Spark."""

from __future__ import annotations

import re
import sys
from datetime import date
from pathlib import Path

import pytest
from sqlglot import exp
from sqlglot.errors import UnsupportedError

from scoring import sql
from scoring.compile import compile_policy
from scoring.engine import EngineFailed
from scoring.engine_spark import DIALECT, SparkEngine, spark_settings, spark_sql
from tests.support.rules import TODAY, complete_policy


@pytest.mark.parametrize(
    ("node", "printed"),
    [
        (sql.column("person.title#words", "p"), "`p`.`person.title#words`"),
        (sql.column("a`b"), "`a``b`"),
        (sql.num(2**62), "CAST(4611686018427387904 AS BIGINT)"),
        (sql.text("it's\\ 100%"), r"CAST('it\'s\\ 100%' AS STRING)"),
        (sql.age(sql.column("day"), date(2026, 6, 15)), "DATEDIFF(DAY, `day`, CAST('2026-06-15' AS DATE))"),
        (exp.Contains(this=sql.column("a"), expression=sql.text("b")), "CONTAINS(`a`, CAST('b' AS STRING))"),
        (exp.IntDiv(this=sql.column("a"), expression=sql.num(7)), "`a` DIV CAST(7 AS BIGINT)"),
        (exp.UnixMicros(this=sql.column("at")), "UNIX_MICROS(`at`)"),
        (
            exp.Bracket(this=sql.column("f0", "fades"), expressions=[sql.column("age")], offset=1),
            "GET(`fades`.`f0`, CAST((`age` - 1) AS INT))",
        ),
    ],
)
def test_a_tree_is_printed_as_spark_reads_it(node: exp.Expression, printed: str) -> None:
    assert spark_sql(node) == printed


def test_smallest_ids_come_before_missing_ones() -> None:
    """Spark puts NULL first where DuckDB puts it last, so the order is written out."""
    nth = sql.over(exp.RowNumber(), [sql.column("person_id")], sql.NEWEST_FIRST)
    assert spark_sql(nth) == (
        "ROW_NUMBER() OVER (PARTITION BY `person_id` ORDER BY `day` DESC, `at` DESC, `event_id` ASC NULLS LAST)"
    )


@pytest.mark.parametrize(
    "node",
    [
        exp.RegexpLike(this=sql.column("a"), expression=sql.text("b"), flag=sql.text("i")),
        exp.RegexpFullMatch(this=sql.column("a"), expression=sql.text("b")),
        exp.Pow(this=exp.Literal.number("0.5"), expression=sql.column("a")),
        exp.Div(this=sql.column("a"), expression=exp.Literal.number("30.0")),
    ],
    ids=lambda node: node.key,
)
def test_what_would_silently_mean_something_else_is_refused(node: exp.Expression) -> None:
    with pytest.raises(UnsupportedError, match="is not the same on Spark"):
        spark_sql(sql.select([("x", sql.case([(sql.truth(True), node)]))]))


def test_tables_of_one_name_in_two_places_stay_two() -> None:
    """Spark knows no WITH inside a UNION, so they are all written at the top."""

    def numbers(n: int, query: exp.Select) -> exp.Select:
        return query.with_("numbers", as_=sql.select([("n", sql.num(n))]))

    within = exp.select("*").from_(numbers(1, exp.select("numbers.n").from_("numbers")).subquery("inside"))
    tree = exp.select("*").from_(exp.union(numbers(2, within), numbers(3, exp.select("*").from_("numbers"))).subquery())
    printed = spark_sql(tree)
    names = {value: name for name, value in re.findall(r"(`\S+`) AS \(SELECT CAST\(([123])", printed)}
    assert len(set(names.values())) == 3
    assert f"SELECT numbers.n FROM {names['1']} AS numbers) AS inside" in printed
    assert printed.endswith(f"UNION SELECT * FROM {names['3']} AS numbers)")


def test_printing_leaves_the_tree_alone() -> None:
    tree = compile_policy(complete_policy(), TODAY).query
    before = tree.sql("duckdb")
    assert spark_sql(tree) != before
    assert tree.sql("duckdb") == before


def test_only_in_one_process_everything_listens_on_loopback() -> None:
    here = spark_settings(Path("/tmp/here"), "local[2]", "2g")
    cluster = spark_settings(Path("/tmp/here"), "spark://host:7077", "2g")
    assert {here["spark.driver.host"], here["spark.driver.bindAddress"]} == {"127.0.0.1"}
    assert not {"spark.driver.host", "spark.driver.bindAddress"} & cluster.keys()
    assert DIALECT.items() <= here.items()
    assert DIALECT.items() <= cluster.items()


def test_nothing_is_started_before_the_first_question() -> None:
    with SparkEngine("nonsense"):
        pass


def test_without_pyspark_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyspark", "pyspark.errors", "py4j", "py4j.protocol"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineFailed, match="pyspark is not installed; nothing was scored") as failed:
        SparkEngine().start()
    assert "pip install 'mqlsync[spark]'" in str(failed.value)
