"""Where a policy is said not to open its gate without news, no gate opens on a day without news."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from scoring import conditions as c
from scoring.policy import Bands, GateLine, Grade, Model, Policy
from scoring.unprompted import opens_unprompted
from tests.support import oracle
from tests.support.policies import BUSY, DAYS, KINDS, crowded_policies, policies, populations

DAYS_ON = 20

LAW = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def simpler(policy: Policy) -> Policy:
    """The same without what most often lets a gate open by itself, so that enough is left to try."""
    return replace(policy, suppress=(), models=tuple(_simpler(model) for model in policy.models[-1:]))


def _simpler(model: Model) -> Model:
    groups = tuple(
        replace(
            group,
            newest_first=False,
            items=tuple(
                item if isinstance(item, c.Table) else replace(item, micro=abs(item.micro), when=c.All())
                for item in group.items
                if isinstance(item, c.Table | c.EventRule)
            ),
        )
        for group in model.engagement.groups
    )
    gate = tuple(replace(line, test=_asked(line.test)) for line in model.become_when)
    return replace(model, engagement=replace(model.engagement, groups=groups), become_when=gate)


def _asked(test: c.Condition) -> c.Condition:
    match test:
        case c.All(of) | c.Any(of):
            return replace(test, of=tuple(map(_asked, of)))
        case c.LabelIn(of=c.Score.GRADE):
            return replace(test, labels=("A1", "B1", "B2", "1"))
        case c.ScoreBelow(of, value):
            return c.ScoreAtLeast(of, value)
        case c.Not() | c.AgeBelow() | c.AgeFrom():
            return c.ScoreAtLeast(c.Score.ENGAGEMENT, 15)
        case _:
            return test


def nothing_opens(draw: st.DataObject, policy: Policy, today: date, kinds: tuple[str, ...]) -> None:
    people, events = draw.draw(populations(today, kinds))
    for person, facts in people.items():
        before: Any = None
        for day in (today + timedelta(days=n) for n in range(-3, DAYS_ON)):
            now = oracle.score(policy, facts, events[person], day)
            if before is not None and all(event["day"] != day for event in events[person]):
                assert set(now.lines) <= set(before.lines), day
                assert now.suppressed == before.suppressed
            before = now


@LAW
@given(draw=st.data(), policy=policies() | policies().map(simpler), today=st.sampled_from(DAYS))
def test_no_gate_opens_without_news(draw: st.DataObject, policy: Policy, today: date) -> None:
    assume(opens_unprompted(policy) is None)
    assume(any(model.become_when for model in policy.models))
    nothing_opens(draw, policy, today, tuple(KINDS))


GRADE = Grade(fit=Bands(labels=("A",), bounds=(None,)), engagement=Bands(labels=("1", "2", "3"), bounds=(6, 3, None)))
_labels = st.lists(st.sampled_from(("1", "2", "3")), min_size=1, unique=True)
_gates = st.one_of(
    st.builds(c.ScoreAtLeast, st.just(c.Score.ENGAGEMENT), st.integers(1, 9)),
    st.builds(c.ScoreBelow, st.just(c.Score.TOTAL), st.integers(1, 9)),
    st.builds(c.LabelIn, st.just(c.Score.ENGAGEMENT), _labels.map(tuple)),
    st.builds(c.LabelIn, st.just(c.Score.GRADE), _labels.map(lambda digits: tuple(f"A{one}" for one in digits))),
    st.builds(c.EventExists, st.just(c.EventMatch(BUSY[:1])), st.sampled_from((3, 10)).map(c.Span)),
)


def few_rules(draw: st.DataObject, policy: Policy, today: date) -> None:
    """A few rules for the same events share a cap; the gate asks for something near what they give."""
    gate = draw.draw(st.one_of(_gates, _gates, _gates.map(c.Not)))
    line = GateLine(name="line", test=gate)
    policy = replace(policy, models=tuple(replace(model, become_when=(line,), grade=GRADE) for model in policy.models))
    assume(opens_unprompted(policy) is None)
    nothing_opens(draw, policy, today, BUSY)


@settings(LAW, max_examples=40)
@given(draw=st.data(), policy=crowded_policies(), today=st.sampled_from(DAYS))
def test_no_gate_opens_without_news_where_rules_share_a_cap(draw: st.DataObject, policy: Policy, today: date) -> None:
    few_rules(draw, policy, today)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(LAW, max_examples=3000)
@given(draw=st.data(), policy=crowded_policies(), today=st.sampled_from(DAYS))
def test_no_gate_opens_without_news_for_minutes(draw: st.DataObject, policy: Policy, today: date) -> None:
    """Long enough to meet what leaves a window and makes room for something older."""
    few_rules(draw, policy, today)
