"""The engine against a naive reading of the policy language, on random policies, people and events."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.cards import Scorecard, cards
from scoring.conditions import Dimension, EventRule
from scoring.engine import DuckDbEngine
from scoring.ledger import Ledger, LedgerDimension
from scoring.policy import Policy
from scoring.tables import Bucket, events_schema, people_schema
from tests.support import oracle
from tests.support.engines import Naive, as_result
from tests.support.policies import (
    BUSY,
    CUSTOM,
    DAYS,
    crowded_policies,
    histories,
    policies,
    populations,
    stormy_policies,
)
from tests.support.snapshots import event_row, person_row, write_bucket, write_rows

LAW = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)

People = Mapping[str, dict[str, Any]]
Events = Mapping[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as one:
        yield one


# -- what holds for every card and ledger ------------------------------------------------------------------------


def ledger_holds(part: LedgerDimension, card: Scorecard) -> None:
    """A ledger's sums lead from the events to the score, and are those of the wide row."""
    points = card.points(part.score)
    for group, wide in zip(part.groups, points.groups, strict=True):
        for rule, item in zip(group.rules, wide.items, strict=True):
            if rule.events:
                assert rule.counted == sum(event.micro for event in rule.events)
            assert rule.micro == rule.counted - sum(rule.lost.values()) == (item.micro or 0)
            assert rule.fired is (item.micro is not None)
        assert group.micro == sum(rule.micro for rule in group.rules) - sum(group.lost.values()) == wide.micro
    summed = part.start + sum(group.micro for group in part.groups)
    assert part.micro == summed - sum(part.lost.values()) == points.micro
    assert part.points == (part.micro + 500_000) // 1_000_000 == getattr(card, part.score)


def limits_hold(dimension: Dimension, part: LedgerDimension) -> None:
    """Nothing is above a cap or below a floor, at any level."""
    assert dimension.floor is None or part.micro >= dimension.floor
    if dimension.max is not None and (dimension.floor is None or dimension.floor <= dimension.max):
        assert part.micro <= dimension.max
    for group, found in zip(dimension.groups, part.groups, strict=True):
        if group.weight is None and (group.min is None or group.max is None or group.min <= group.max):
            assert group.min is None or found.micro >= group.min
            assert group.max is None or group.newest_first or found.micro <= group.max
        for item, rule in zip(group.items, found.rules, strict=True):
            if isinstance(item, EventRule) and rule.fired and item.max is not None and item.min is None:
                assert rule.micro <= item.max


def agree(engine: DuckDbEngine, policy: Policy, people: People, events: Events, today: date) -> None:
    """Cards and ledgers are what the naive evaluator finds."""
    with tempfile.TemporaryDirectory() as folder:
        bucket = write_bucket(Path(folder), people, events, CUSTOM)
        found = {card.person_id: card for card in cards(engine.score(policy, bucket, today))}
        ledgers = engine.ledgers(policy, bucket, today, list(people))
    assert found.keys() == people.keys() == ledgers.keys()
    for person, card in found.items():
        ledger = ledgers[person]
        expected = oracle.score(policy, people[person], events[person], today)
        assert as_result(card, ledger) == expected
        assert (card.fit_micro, card.engagement_micro) == (expected.fit.micro, expected.engagement.micro)
        holds_within(policy, card, ledger)


def holds_within(policy: Policy, card: Scorecard, ledger: Ledger) -> None:
    model = next(model for model in policy.models if model.name == card.model)
    for dimension, part in ((model.fit, ledger.fit), (model.engagement, ledger.engagement)):
        ledger_holds(part, card)
        limits_hold(dimension, part)
    assert tuple(name for name, true in ledger.lines.items() if true) == card.lines
    counted = {e.event_id for group in ledger.engagement.groups for rule in group.rules for e in rule.events}
    assert counted.isdisjoint(event.event_id for event in ledger.ignored)


# -- the laws ----------------------------------------------------------------------------------------------------


@LAW
@given(draw=st.data(), policy=policies(), today=st.sampled_from(DAYS))
def test_every_score_and_every_reason_is_what_a_naive_evaluator_finds(
    engine: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date
) -> None:
    """Scores, grade, lines, models, every rule's points and count, every ignored event; ledgers add up to the same."""
    agree(engine, policy, *draw.draw(populations(today)), today)


@settings(LAW, max_examples=25)
@given(draw=st.data(), policy=crowded_policies(), today=st.sampled_from(DAYS))
def test_rules_that_compete_for_one_cap_share_it_newest_first(
    engine: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date
) -> None:
    """Small points, small caps, many events of two kinds: the order of events decides what counts."""
    agree(engine, policy, *draw.draw(populations(today, BUSY)), today)


@settings(LAW, max_examples=25)
@given(draw=st.data(), policy=stormy_policies(), today=st.sampled_from(DAYS))
def test_what_scanners_click_is_told_from_what_people_click(
    engine: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date
) -> None:
    """Mails and clicks that are seconds apart, at midnight too, some without mail, link or time."""
    events = draw.draw(histories(today))
    agree(engine, policy, {person: {} for person in events}, events, today)


@LAW
@given(draw=st.data(), policy=policies() | stormy_policies(), today=st.sampled_from(DAYS))
def test_what_is_fresh_is_what_a_naive_evaluator_finds(
    engine: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date
) -> None:
    people, events = draw.draw(populations(today))
    policy = replace(policy, timezone=draw.draw(st.sampled_from(("UTC", "America/New_York", "Pacific/Auckland"))))
    moments = st.timedeltas(timedelta(days=-40), timedelta(days=1)).map(
        lambda ago: datetime(today.year, today.month, today.day, tzinfo=UTC) + ago
    )
    since = {person: draw.draw(moments) for person in people if person != "p0"}
    with tempfile.TemporaryDirectory() as folder:
        found = engine.fresh(policy, write_bucket(Path(folder), people, events, CUSTOM), today, since)
    assert found == Naive().fresh(policy, people, events, today, since)


@LAW
@given(draw=st.data(), policy=policies() | stormy_policies(), today=st.sampled_from(DAYS))
def test_order_and_files_change_nothing_and_some_are_scored_as_all_are(
    engine: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date
) -> None:
    """Rows in another order, in files with older versions between them, in two buckets, or some people alone."""
    people, events = draw.draw(populations(today, size=4))
    rows = [(person, event) for person in events for event in events[person]]
    shuffled = draw.draw(st.permutations(rows))
    cut = draw.draw(st.integers(0, len(rows)))
    some = frozenset(draw.draw(st.sets(st.sampled_from(sorted(people)))))
    with tempfile.TemporaryDirectory() as folder:
        plain = write_bucket(Path(folder), people, events, CUSTOM)
        whole = {card.person_id: card for card in cards(engine.score(policy, plain, today))}
        only = {card.person_id: card for card in cards(engine.score(policy, plain, today, only=some))}
        split = split_bucket(Path(folder), people, shuffled, cut)
        parted = {card.person_id: card for card in cards(engine.score(policy, split, today))}
        settled = replace(split, settled=frozenset({split.people[0], split.events[0]}))
        compared = {card.person_id: card for card in cards(engine.score(policy, settled, today))}
        asked = {card.person_id: card for card in cards(engine.score(policy, settled, today, only=some))}
        apart: dict[str, Scorecard] = {}
        for part in (some, people.keys() - some):
            bucket = write_bucket(Path(folder), {p: people[p] for p in part}, {p: events[p] for p in part}, CUSTOM)
            apart |= {card.person_id: card for card in cards(engine.score(policy, bucket, today))}
    assert parted == compared == apart == whole
    assert only == asked == {person: card for person, card in whole.items() if person in some}


def split_bucket(folder: Path, people: People, rows: list[tuple[str, dict[str, Any]]], cut: int) -> Bucket:
    """The same bucket in two files each; the first also holds an outdated row of everything in the second."""
    schemas = people_schema(CUSTOM), events_schema()
    later = sorted(people)[::2]
    old = [person_row(p, {}, CUSTOM, seq=1) for p in later]
    first = [person_row(p, people[p], CUSTOM, seq=2) for p in people if p not in later]
    stale = [event_row(p, {**e, "kind": "chat"}, seq=1) for p, e in rows[cut:]]
    return Bucket(
        people=(
            write_rows(folder / "people 1", old + first, schemas[0]),
            write_rows(folder / "people 2", [person_row(p, people[p], CUSTOM, seq=2) for p in later], schemas[0]),
        ),
        events=(
            write_rows(folder / "events 1", [*stale, *(event_row(p, e, seq=2) for p, e in rows[:cut])], schemas[1]),
            write_rows(folder / "events 2", [event_row(p, e, seq=2) for p, e in rows[cut:]], schemas[1]),
        ),
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(LAW, max_examples=300)
@given(draw=st.data(), policy=policies(), today=st.sampled_from(DAYS))
def test_the_engine_and_the_naive_evaluator_agree_for_minutes(
    engine: DuckDbEngine, draw: st.DataObject, policy: Policy, today: date
) -> None:
    """The same laws, long enough to meet the rare combinations."""
    agree(engine, policy, *draw.draw(populations(today)), today)
    agree(engine, draw.draw(crowded_policies()), *draw.draw(populations(today, BUSY)), today)
    events = draw.draw(histories(today))
    agree(engine, draw.draw(stormy_policies()), {person: {} for person in events}, events, today)
