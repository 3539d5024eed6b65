"""The engine against a naive reading of the policy language, on random policies, people and events."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.cards import DimensionPoints, Scorecard, cards
from scoring.conditions import Score
from scoring.engine import DuckDbEngine
from scoring.ledger import LedgerDimension
from scoring.policy import Policy
from tests.support import oracle
from tests.support.policies import BUSY, CUSTOM, DAYS, KINDS, crowded_policies, policies, populations
from tests.support.snapshots import write_bucket

LAW = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as one:
        yield one


def as_part(points: DimensionPoints) -> oracle.Part:
    return oracle.Part(
        micro=points.micro,
        groups={group.name: group.micro for group in points.groups},
        items={(group.name, item.name): (item.micro, item.count) for group in points.groups for item in group.items},
    )


def as_result(card: Scorecard) -> oracle.Result:
    """A scorecard in the oracle's words, taken from its reasons."""
    return oracle.Result(
        model=card.model,
        suppressed=card.suppressed,
        grade=card.grade,
        fit=as_part(card.points(Score.FIT)),
        engagement=as_part(card.points(Score.ENGAGEMENT)),
        total_micro=card.total_micro,
        whole={Score.FIT: card.fit, Score.ENGAGEMENT: card.engagement, Score.TOTAL: card.total},
        lines=card.lines,
        unknown_groups=card.unknown_groups,
        known_groups=card.known_groups,
        hand_raise=card.hand_raise,
    )


def ledger_holds(part: LedgerDimension, points: DimensionPoints) -> None:
    """A ledger's sums lead from the events to the score, and are those of the wide row."""
    for group, wide in zip(part.groups, points.groups, strict=True):
        for rule, item in zip(group.rules, wide.items, strict=True):
            if rule.events:
                assert rule.counted == sum(event.micro for event in rule.events)
            assert rule.micro == rule.counted - sum(rule.lost.values()) == (item.micro or 0)
            assert rule.fired is (item.micro is not None)
        assert group.micro == sum(rule.micro for rule in group.rules) - sum(group.lost.values()) == wide.micro
    assert part.micro == sum(group.micro for group in part.groups) - sum(part.lost.values()) == points.micro


def agree(
    engine: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date, kinds: tuple[str, ...] = tuple(KINDS)
) -> None:
    people, events = draw.draw(populations(today, kinds))
    with tempfile.TemporaryDirectory() as folder:
        bucket = write_bucket(Path(folder), people, events, CUSTOM)
        found = {card.person_id: card for card in cards(engine.score(policy, bucket, today))}
        ledgers = engine.ledgers(policy, bucket, today, list(people))
    assert found.keys() == people.keys() == ledgers.keys()
    for person, card in found.items():
        expected = oracle.score(policy, people[person], events[person], today)
        assert as_result(card) == expected
        assert (card.fit_micro, card.engagement_micro) == (expected.fit.micro, expected.engagement.micro)
        ledger = ledgers[person]
        ledger_holds(ledger.fit, card.points(Score.FIT))
        ledger_holds(ledger.engagement, card.points(Score.ENGAGEMENT))
        assert tuple(name for name, true in ledger.lines.items() if true) == card.lines


@LAW
@given(draw=st.data(), policy=policies(), today=st.sampled_from(DAYS))
def test_every_score_and_every_reason_is_what_a_naive_evaluator_finds(
    engine: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date
) -> None:
    """Scores, grade, gate lines, models, every rule's points and count, all exact; the ledgers add up to the same."""
    agree(engine, draw, policy, today)


@settings(LAW, max_examples=40)
@given(draw=st.data(), policy=crowded_policies(), today=st.sampled_from(DAYS))
def test_rules_that_compete_for_one_cap_share_it_newest_first(
    engine: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date
) -> None:
    """Small points, small caps, many events of two kinds: the order of events decides what counts."""
    agree(engine, draw, policy, today, BUSY)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(LAW, max_examples=300)
@given(draw=st.data(), policy=policies(), today=st.sampled_from(DAYS))
def test_the_engine_and_the_naive_evaluator_agree_for_minutes(
    engine: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date
) -> None:
    """The same laws, long enough to meet the rare combinations."""
    agree(engine, draw, policy, today)
    agree(engine, draw, draw.draw(crowded_policies()), today, BUSY)
