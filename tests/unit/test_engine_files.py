"""Which rows of which files the engine scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scoring.cards import cards
from scoring.engine import DuckDbEngine
from scoring.facts import custom_fact
from scoring.tables import Bucket, events_schema, people_schema
from tests.support.rules import TODAY, policy, viewed
from tests.support.snapshots import event, event_row, person_row, write_bucket, write_rows

COUNTRY = "{groups: {country: {field: person.country, points: {NO: 15, SE: 15, unknown: 3, otherwise: 1}}}}"
VIEWS = "{max: none, groups: {g: {rules: [{event: page_view, points: 1}]}}}"


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as one:
        yield one


def test_newer_rows_replace_older_ones_and_deleted_events_are_gone(engine: DuckDbEngine, tmp_path: Path) -> None:
    """With several files the greatest seq of a person, and of an event, counts; whichever file it is in."""
    old, new, other = viewed(0, 1, 2)
    people = [
        write_rows(tmp_path / "p2", [person_row("p", {"person.country": "SE"}, {}, seq=2)], people_schema()),
        write_rows(
            tmp_path / "p1",
            [person_row("p", {"person.country": "US"}, {}, seq=1), person_row("q", {}, {}, seq=1)],
            people_schema(),
        ),
    ]
    events = [
        write_rows(
            tmp_path / "e1",
            [event_row("p", old, seq=1), event_row("p", new, seq=1), event_row("q", other, seq=1)],
            events_schema(),
        ),
        write_rows(
            tmp_path / "e2",
            [event_row("p", {**old, "count": 5}, seq=3), event_row("p", new, seq=2, deleted=True)],
            events_schema(),
        ),
    ]
    bucket = Bucket(people=tuple(people), events=tuple(events))
    of = policy(fit=COUNTRY, engagement=VIEWS)
    found = {card.person_id: (card.fit, card.engagement) for card in cards(engine.score(of, bucket, TODAY))}
    assert found == {"p": (15, 5), "q": (3, 1)}
    some = engine.score(of, bucket, TODAY, only=frozenset({"q", "nobody"}))
    assert [(card.person_id, card.engagement) for card in cards(some)] == [("q", 1)]


@pytest.mark.parametrize("settled", [False, True])
def test_an_event_that_went_over_to_somebody_is_each_persons_own(
    engine: DuckDbEngine, tmp_path: Path, settled: bool
) -> None:
    """Each person's newest row of it counts, in whatever bucket the other is: who lost it has a row that says so."""
    one, two = viewed(0, 1)
    people = write_rows(tmp_path / "p", [person_row(p, {}, {}) for p in ("a", "b", "c")], people_schema())
    old = write_rows(tmp_path / "e1", [event_row("a", one, seq=2), event_row("c", two, seq=2)], events_schema())
    new = write_rows(
        tmp_path / "e2",
        [event_row("a", one, seq=5, deleted=True), event_row("b", one, seq=6), event_row("b", two, seq=4)],
        events_schema(),
    )
    bucket = Bucket(people=(people,), events=(old, new), settled=frozenset({old}) if settled else frozenset())
    of = policy(engagement=VIEWS)
    found = {card.person_id: card.engagement for card in cards(engine.score(of, bucket, TODAY))}
    assert found == {"a": 0, "b": 2, "c": 1}
    for person, points in found.items():
        assert [c.engagement for c in cards(engine.score(of, bucket, TODAY, only=frozenset({person})))] == [points]


def test_files_that_are_all_settled_are_read_side_by_side(engine: DuckDbEngine, tmp_path: Path) -> None:
    (first,) = viewed(0)
    people = [write_rows(tmp_path / f"p{p}", [person_row(p, {}, {})], people_schema()) for p in ("a", "b")]
    events = [write_rows(tmp_path / f"e{p}", [event_row(p, first)], events_schema()) for p in ("a", "b")]
    bucket = Bucket(people=tuple(people), events=tuple(events), settled=frozenset([*people, *events]))
    found = cards(engine.score(policy(engagement=VIEWS), bucket, TODAY))
    assert sorted((card.person_id, card.engagement) for card in found) == [("a", 1), ("b", 1)]


def test_a_bucket_without_files_holds_nobody(engine: DuckDbEngine) -> None:
    table = engine.score(policy(fit=COUNTRY), Bucket(people=(), events=()), TODAY)
    assert table.num_rows == 0


def test_nothing_is_drawn_on_stdout_however_long_a_question_takes() -> None:
    """DuckDB draws a progress bar after two seconds, also where stdout is a file that should hold JSON alone."""
    with DuckDbEngine(threads=1) as one:
        ((drawn,),) = one._connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    assert drawn is False


def test_files_older_than_the_policys_facts_are_refused(engine: DuckDbEngine, tmp_path: Path) -> None:
    """An absent column is not a missing fact: everybody would be scored as unknown."""
    of = policy(
        custom={"person.custom.use_case": custom_fact("person.custom.use_case")},
        fit="{groups: {g: {rules: [{when: {person.custom.use_case: known}, points: 1}]}}}",
    )
    with pytest.raises(ValueError, match=r"people.parquet has no column person.custom.use_case.*rebuild the snapshot"):
        engine.score(of, write_bucket(tmp_path, {"p": {}}, {}), TODAY)


def test_compacted_files_are_read_side_by_side(engine: DuckDbEngine, tmp_path: Path) -> None:
    """Several buckets in one query: every person is in one of the files only, so no rows are compared."""
    parts = []
    for person in ("p", "q"):
        (tmp_path / person).mkdir()
        parts.append(write_bucket(tmp_path / person, {person: {}}, {person: [event(person, "page_view", TODAY)]}))
    together = Bucket(
        people=parts[0].people + parts[1].people, events=parts[0].events + parts[1].events, compacted=True
    )
    found = cards(engine.score(policy(engagement=VIEWS), together, TODAY))
    assert sorted((card.person_id, card.engagement) for card in found) == [("p", 1), ("q", 1)]
