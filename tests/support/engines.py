"""Everything that can score, behind one face: plain dicts of people and events in, the oracle's words out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from scoring.cards import DimensionPoints, Fresh, Scorecard, cards
from scoring.conditions import Score
from scoring.engine import DuckDbEngine, Engine
from scoring.ledger import Ledger
from scoring.policy import Policy
from tests.support import oracle
from tests.support.snapshots import write_bucket

People = Mapping[str, Mapping[str, Any]]
Events = Mapping[str, list[dict[str, Any]]]


class Scorer(Protocol):
    """What the vectors ask of an engine."""

    def score(self, policy: Policy, people: People, events: Events, today: date) -> dict[str, oracle.Result]: ...

    def fresh(
        self, policy: Policy, people: People, events: Events, today: date, since: Mapping[str, datetime]
    ) -> dict[str, Fresh]: ...


class Naive:
    """The oracle as an engine."""

    def score(self, policy: Policy, people: People, events: Events, today: date) -> dict[str, oracle.Result]:
        return {p: oracle.score(policy, dict(facts), events.get(p, []), today) for p, facts in people.items()}

    def fresh(
        self, policy: Policy, people: People, events: Events, today: date, since: Mapping[str, datetime]
    ) -> dict[str, Fresh]:
        return {p: oracle.fresh(policy, dict(people[p]), events.get(p, []), today, at) for p, at in since.items()}


class OverFiles:
    """An engine that reads Parquet files, given them.

    ``sparing``: ledgers are asked for only where events could be ignored: elsewhere they say no more than scorecards.
    """

    def __init__(self, engine: Engine, *, sparing: bool = False) -> None:
        self.engine = engine
        self.sparing = sparing

    def score(self, policy: Policy, people: People, events: Events, today: date) -> dict[str, oracle.Result]:
        with tempfile.TemporaryDirectory() as folder:
            bucket = write_bucket(Path(folder), people, events, policy.custom)
            found = {card.person_id: card for card in cards(self.engine.score(policy, bucket, today))}
            ignoring = any(events.values()) and any(model.engagement.ignore for model in policy.models)
            asked = ignoring or not self.sparing
            ledgers = self.engine.ledgers(policy, bucket, today, list(people)) if asked else {}
        assert found.keys() == people.keys()
        assert ledgers.keys() == (people.keys() if asked else set())
        return {person: as_result(card, ledgers.get(person)) for person, card in found.items()}

    def fresh(
        self, policy: Policy, people: People, events: Events, today: date, since: Mapping[str, datetime]
    ) -> dict[str, Fresh]:
        with tempfile.TemporaryDirectory() as folder:
            bucket = write_bucket(Path(folder), people, events, policy.custom)
            return dict(self.engine.fresh(policy, bucket, today, since))


@pytest.fixture(scope="module", params=["duckdb", "oracle", pytest.param("spark", marks=pytest.mark.spark)])
def scorer(request: pytest.FixtureRequest) -> Iterator[Scorer]:
    """Each engine in turn."""
    match request.param:
        case "duckdb":
            with DuckDbEngine(threads=1) as engine:
                yield OverFiles(engine)
        case "oracle":
            yield Naive()
        case "spark":
            yield OverFiles(request.getfixturevalue("spark"), sparing=True)


def as_part(points: DimensionPoints) -> oracle.Part:
    return oracle.Part(
        micro=points.micro,
        groups={group.name: group.micro for group in points.groups},
        items={(group.name, item.name): (item.micro, item.count) for group in points.groups for item in group.items},
    )


def as_result(card: Scorecard, ledger: Ledger | None) -> oracle.Result:
    """A scorecard and its ledger in the oracle's words. Without a ledger no events are ignored."""
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
        review=card.review,
        needs=card.needs,
        drop=card.drop,
        unknown=card.unknown,
        reach=card.reach,
        ignored=tuple((event.event_id, event.name) for event in ledger.ignored) if ledger is not None else (),
    )
