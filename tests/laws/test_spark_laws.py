"""Spark finds what DuckDB and the naive evaluator find: every column, every ledger, with ``==``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scoring.cards import cards
from scoring.document import Source
from scoring.engine import DuckDbEngine
from scoring.engine_spark import SparkEngine
from scoring.facts import ANY_KIND_EXCEPT, EVENT_KINDS
from scoring.load import load_policy
from scoring.policy import Policy
from scoring.tables import Bucket
from tests.support import oracle
from tests.support.engines import Naive, as_result
from tests.support.policies import BUSY, DAYS, crowded_policies, histories, policies, populations, stormy_policies
from tests.support.rules import TODAY, complete_policy, person
from tests.support.snapshots import event, write_bucket

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="module")
def duckdb() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as engine:
        yield engine


def alike(
    spark: SparkEngine,
    duckdb: DuckDbEngine,
    policy: Policy,
    people: dict[str, Any],
    events: dict[str, list[dict[str, Any]]],
    today: date,
    *,
    accounts: int = 1_000,
) -> None:
    """All three agree on these people: on scorecards, the ledgers of the first ``accounts``, and fresh points."""
    some = sorted(people)[:accounts]
    since = {p: datetime(today.year, today.month, today.day, 9, tzinfo=UTC) - timedelta(days=7) for p in some}
    with tempfile.TemporaryDirectory() as folder:
        bucket = write_bucket(Path(folder), people, events, policy.custom)
        of_spark, of_duckdb = (e.score(policy, bucket, today).sort_by("person_id") for e in (spark, duckdb))
        ledgers, same = (e.ledgers(policy, bucket, today, some) for e in (spark, duckdb))
        fresh, as_fresh = (e.fresh(policy, bucket, today, since) for e in (spark, duckdb))
    assert of_spark.schema.equals(of_duckdb.schema, check_metadata=True)
    assert of_spark.to_pylist() == of_duckdb.to_pylist()
    assert ledgers == same
    assert fresh == as_fresh == Naive().fresh(policy, people, events, today, since)
    for card in cards(of_spark):
        expected = oracle.score(policy, people[card.person_id], events.get(card.person_id, []), today)
        if card.person_id not in ledgers:
            expected = replace(expected, ignored=())
        assert as_result(card, ledgers.get(card.person_id)) == expected


# -- policies and histories nobody would write -------------------------------------------------------------------

BATCH = 16
"""People a question is about: a question costs Spark about a second, however few they are."""

FEW = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # what fails here is made smaller by the laws of DuckDB, or by hand
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def _everybody(draw: st.DataObject, today: date) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    return draw.draw(populations(today, size=BATCH))


def _busy(draw: st.DataObject, today: date) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    return draw.draw(populations(today, BUSY, size=BATCH))


def _clicking(draw: st.DataObject, today: date) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    events = draw.draw(histories(today, size=BATCH))
    return {one: {} for one in events}, events


Crowd = Callable[[st.DataObject, date], tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]]


def _law(policy: st.SearchStrategy[Policy], crowd: Crowd, examples: int) -> Callable[..., None]:
    @settings(FEW, max_examples=examples)
    @given(draw=st.data(), policy=policy, today=st.sampled_from(DAYS))
    def law(spark: SparkEngine, duckdb: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date) -> None:
        alike(spark, duckdb, policy, *crowd(draw, today), today)

    return law


test_any_policy_is_scored_alike = _law(policies(), _everybody, 10)
test_rules_compete_for_a_cap_alike = _law(crowded_policies(), _busy, 5)
test_scanners_are_told_from_people_alike = _law(stormy_policies(), _clicking, 5)


# -- policies somebody wrote, a crowd ----------------------------------------------------------------------------

WORDS = {
    "person.title": ("VP Sales", "Head of IT", "Marketing INTERN", "Professor", "Ingénieure, R&D", "Lead Engineer", ""),
    "person.country": ("US", "de", "NO", "IE", "BR", "XX"),
    "person.consent": ("given", "none", "withdrawn"),
    "person.email": ("a@acme.com", "b@mail.rival.io", "c@gmail.com", "d@bigcorp.example", "no address"),
    "person.phone": ("+1 212 555 0142", "+49 30 901820", "12"),
    "person.source": ("product", "ads"),
    "person.lead_status": ("In Review", "Open"),
    "person.lifecycle_stage": ("lead", "customer", "other"),
    "person.unsubscribed": ("true", "false"),
    "person.hard_bounced": ("true", "false", "false"),
    "company.name": ("Big Corp", "O'Brien & Söhne"),
    "company.industry": ("Software", "Fintech", "Farming"),
    "company.employees": ("0", "49", "49.5", "200", "1999", "2000"),
    "company.open_opportunities": ("0", "0", "0", "2"),
    "company.is_customer": ("true", "false", "false", "false"),
}
ATTRIBUTES = {
    "path": ("/pricing", "/integrations/slack", "/careers", "/careers/ops", "/blog/1"),
    "form": ("demo", "contact-sales", "unsubscribe", "guide"),
    "minutes": (4, 10, 25),
    "direction": ("inbound", "outbound"),
    "outcome": ("connected", "no answer"),
}
"""Those the policies ask for; the others are one of a few letters."""


def crowd(size: int, chance: Random) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """People with any of the facts, and up to 25 events each in 400 days; some in bursts of a second."""
    people, events = {}, {}
    for number in range(size):
        raw = {name: chance.choice(values) for name, values in WORDS.items() if chance.random() < 0.7}
        raw["person.created_at"] = (TODAY - timedelta(days=chance.randrange(-1, 500))).isoformat()
        one = f"p{number:04d}"
        people[one] = person(raw)
        events[one] = [_happened(f"{one}-{n}", chance) for n in range(chance.randrange(26))]
    return people, events


def _happened(event_id: str, chance: Random) -> dict[str, Any]:
    kind = chance.choice((*EVENT_KINDS, "email_click", "email_click", *ANY_KIND_EXCEPT))
    age = min(chance.randrange(-1, 30), 8) if chance.random() < 0.5 else chance.randrange(400)
    day = TODAY - timedelta(days=age)
    count = chance.choice((1, 1, 1, 1, 3))
    at = datetime(day.year, day.month, day.day, 10, 0, chance.randrange(12), 250_000 * chance.randrange(4), tzinfo=UTC)
    asked = [name for name in EVENT_KINDS[kind] if chance.random() < 0.8]
    given = {name: chance.choice(ATTRIBUTES.get(name, ("a", "B", "ç"))) for name in asked}
    return event(event_id, kind, day, at=at if count == 1 and chance.random() < 0.8 else None, count=count, **given)


def shipped() -> Policy:
    sources = (Source(name, (CONFIG / name).read_bytes()) for name in ("policy.yaml", "team.yaml"))
    policy, _ = load_policy(*sources, lists=lambda name: (CONFIG / name).read_text(encoding="utf-8"))
    return policy


@pytest.mark.parametrize("policy", [shipped(), complete_policy()], ids=["as shipped", "the complete example"])
def test_hundreds_of_people_are_scored_alike(spark: SparkEngine, duckdb: DuckDbEngine, policy: Policy) -> None:
    people, events = crowd(400, Random(20260615))
    alike(spark, duckdb, policy, people, events, TODAY, accounts=120)


def test_the_crowd_meets_what_the_policies_ask() -> None:
    """Or the comparison would say little: most rules of both policies give somebody points."""
    people, events = crowd(400, Random(20260615))
    for policy in (shipped(), complete_policy()):
        found = [oracle.score(policy, people[p], events[p], TODAY) for p in people]
        every = {key for one in found for part in (one.fit, one.engagement) for key in part.items}
        fired = {key for one in found for part in (one.fit, one.engagement) for key, (n, _) in part.items.items() if n}
        assert len(fired) > 0.8 * len(every)
        assert {one.suppressed for one in found} >= {line.name for line in policy.suppress[:2]}


# -- files as a snapshot has them --------------------------------------------------------------------------------


def test_an_empty_bucket_has_nobody(spark: SparkEngine) -> None:
    nobody = Bucket(people=(), events=())
    assert spark.score(complete_policy(), nobody, TODAY).num_rows == 0
    assert spark.ledgers(complete_policy(), nobody, TODAY, ["p"]) == {}
    assert spark.fresh(complete_policy(), nobody, TODAY, {"p": datetime(2026, 1, 1, tzinfo=UTC)}) == {}
