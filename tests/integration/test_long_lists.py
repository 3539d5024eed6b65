"""Lists of very many values: what they find is what short ones find, and a policy that names them often stays small."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import long_lists
from scoring.cards import cards
from scoring.compile import compile_policy
from scoring.engine import DuckDbEngine
from scoring.engine_spark import SparkEngine
from scoring.policy import Policy
from tests.support.rules import TODAY, policy
from tests.support.snapshots import event, write_bucket

FIT = """{max: 90, groups: {domains: {rules: [
  {when: {person.email_domain: in rivals}, points: 1},
  {when: {person.email_domain: not in rivals}, points: 2},
  {name: either, when: {person.email_domain: [in rivals, acme.org]}, points: 16},
  {when: {company.name: in names}, points: 4}]}}}"""
VIEWS = """{max: 90, ignore: [{event: form_submit, where: {form: in rivals}, name: theirs}], groups: {g: {rules: [
  {event: form_submit, where: {form: in names}, points: 8},
  {event: form_submit, when: {person.email_domain: in rivals}, points: 3, max_per_day: 3}]}}}"""


def of_lists(rivals: list[str], names: list[str]) -> Policy:
    return policy(
        lists=f"{{rivals: [{', '.join(rivals)}], names: [{', '.join(names)}]}}",
        suppress="{rival: {company.name: in names, person.email_domain: in rivals}}",
        fit=FIT,
        engagement=VIEWS,
    )


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as one:
        yield one


labels = st.lists(st.sampled_from(["com", "acme", "eu", "xacme", "a-b"]), min_size=2, max_size=4)
domains = labels.map(".".join)


@settings(max_examples=8, deadline=None)
@given(
    rivals=st.lists(domains, min_size=2, max_size=5, unique=True),
    theirs=st.lists(domains | st.none(), min_size=1, max_size=8),
)
def test_a_long_list_finds_what_a_short_one_finds(
    engine: DuckDbEngine, rivals: list[str], theirs: list[str | None]
) -> None:
    """Domains and what is below them, texts, attributes of events; scores, ledgers and what is fresh."""
    people: dict[str, dict[str, Any]] = {
        f"p{n}": {} if one is None else {"person.email_domain": one, "company.name": one}
        for n, one in enumerate(theirs)
    }
    events = {
        person: [event(f"{person}:{n}", "form_submit", TODAY, form=form) for n, form in enumerate((*rivals, "other"))]
        for person in people
    }
    with tempfile.TemporaryDirectory() as folder:
        bucket = write_bucket(Path(folder), people, events)

        def found() -> tuple[Any, ...]:
            of = of_lists(rivals, ["acme.com", "eu.acme.com"])
            since = dict.fromkeys(people, datetime(2026, 1, 1, tzinfo=UTC))
            return (
                {card.person_id: card for card in cards(engine.score(of, bucket, TODAY))},
                {card.person_id: card for card in cards(engine.score(of, bucket, TODAY, only=frozenset({"p0"})))},
                engine.ledgers(of, bucket, TODAY, people),
                engine.fresh(of, bucket, TODAY, since),
            )

        short = found()
        with patch.object(long_lists, "MANY", 0):
            assert found() == short


@pytest.mark.spark
def test_it_finds_the_same_on_spark(tmp_path: Path) -> None:
    of = of_lists(["acme.com", "x.eu.acme.com"], ["acme.com", "eu.acme.com"])
    people = {d: {"person.email_domain": d} for d in ("acme.com", "eu.acme.com", "xacme.com", "com", "y.x.eu.acme.com")}
    bucket = write_bucket(tmp_path, people, {d: [event(d, "form_submit", TODAY, form="acme.com")] for d in people})
    with DuckDbEngine() as engine, SparkEngine("local[1]") as spark:
        short = sorted(cards(engine.score(of, bucket, TODAY)), key=lambda card: card.person_id)
        with patch.object(long_lists, "MANY", 0):
            of = of_lists(["acme.com", "x.eu.acme.com"], ["acme.com", "eu.acme.com"])
            assert sorted(cards(spark.score(of, bucket, TODAY)), key=lambda card: card.person_id) == short


def test_thousands_of_domains_in_hundreds_of_rules_are_written_once(engine: DuckDbEngine, tmp_path: Path) -> None:
    """Written out in each of them it would be a million values, compared one by one with everybody's domain."""
    rivals = ", ".join(f"rival{n}.com" for n in range(5_000))
    rules = ", ".join(f"{{name: r{n}, when: {{person.email_domain: in rivals}}, points: 1}}" for n in range(200))
    of = policy(lists=f"{{rivals: [{rivals}]}}", fit=f"{{max: none, groups: {{g: {{rules: [{rules}]}}}}}}")
    assert len(compile_policy(of, TODAY).query.sql("duckdb")) < 400_000
    people = {d: {"person.email_domain": d} for d in ("rival17.com", "eu.rival17.com", "xrival17.com", "rival17.org")}
    scored = cards(engine.score(of, write_bucket(tmp_path, people, {}), TODAY))
    assert {card.person_id: card.fit for card in scored} == {
        "rival17.com": 200,
        "eu.rival17.com": 200,
        "xrival17.com": 0,
        "rival17.org": 0,
    }
