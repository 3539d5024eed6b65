"""Scores put into sentences, and tables that explain themselves."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring import conditions as c
from scoring.cards import Scorecard, cards, layout, layout_of
from scoring.engine import DuckDbEngine
from scoring.episodes import History, Seen
from scoring.explain import explain, points
from scoring.ledger import Ledger
from scoring.policy import Bands, GateLine, Grade, Model, Policy, SuppressLine, WritePlan
from scoring.qualify import qualify
from scoring.tables import MICRO
from scoring.team import Team
from tests.support.rules import instant, policy
from tests.support.snapshots import event, write_bucket

TODAY = date(2026, 6, 15)

SIZE = c.Table(
    field="company.employees",
    lines=(c.TableLine(test=c.AtLeast("company.employees", 200 * MICRO), micro=35 * MICRO, label="from 200"),),
    unknown=5 * MICRO,
)
MAILBOX = c.FitRule(
    name="private mailbox",
    reason="private mailbox",
    test=c.OneOf("person.email_domain", ("gmail.com",)),
    micro=-20 * MICRO,
)
HALF = c.Fade(c.FadeMode.HALF_LIFE, c.Span(14))
DEMO = c.EventRule(
    name="asked for a demo",
    reason="asked for a demo",
    match=c.EventMatch(("demo_request",)),
    micro=50 * MICRO,
    count=c.Count(c.CountMode.ONCE),
)
CLICKS = c.EventRule(
    name="clicked",
    reason="clicked in our mail",
    match=c.EventMatch(("email_click",)),
    micro=3 * MICRO,
    fade=HALF,
    max=12 * MICRO,
    newest_first=True,
)
MODEL = Model(
    name="default",
    when=None,
    fit=c.Dimension(groups=(c.Group(name="company_size", items=(SIZE,)), c.Group(name="doubts", items=(MAILBOX,)))),
    engagement=c.Dimension(groups=(c.Group(name="website", items=(DEMO, CLICKS), max=40 * MICRO),)),
    grade=Grade(fit=Bands(labels=("A", "B"), bounds=(30, 0)), engagement=Bands(labels=("1", "2"), bounds=(30, None))),
    become_when=(
        GateLine(name="asked", test=c.EventExists(c.EventMatch(("demo_request",)), c.Span(7))),
        GateLine(name="cold", test=c.ScoreBelow(c.Score.ENGAGEMENT, 10)),
    ),
)
POLICY = Policy(
    name="words",
    version="3f2a9c1e0b7d",
    scoring_hash="0" * 12,
    timezone="UTC",
    suppress=(SuppressLine(name="customer", test=c.Equals("company.is_customer", True)),),
    models=(MODEL,),
    hand_raise=c.EventMatch(("demo_request",)),
    routing=(),
    write=WritePlan(),
    team=Team(),
)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[pa.Table, Ledger]]:
    two_weeks = TODAY - timedelta(days=14)
    events = [
        event("hubspot:d1", "demo_request", TODAY - timedelta(days=1)),
        event("hubspot:c1", "email_click", two_weeks, count=7),
    ]
    facts = {"company.employees": 800, "person.email_domain": "gmail.com"}
    bucket = write_bucket(tmp_path_factory.mktemp("scored"), {"p1": facts}, {"p1": events})
    with DuckDbEngine(threads=1) as engine:
        yield engine.score(POLICY, bucket, TODAY), engine.ledgers(POLICY, bucket, TODAY, ["p1", "p2"])["p1"]


def the_card(scored: tuple[pa.Table, Ledger]) -> Scorecard:
    (card,) = cards(scored[0])
    return card


def test_a_ledger_is_explained_event_by_event_and_adds_up(scored: tuple[pa.Table, Ledger]) -> None:
    card = the_card(scored)
    decision = qualify(card, History(), Seen(), policy=POLICY, as_of=datetime(2026, 6, 15, 12, tzinfo=UTC))
    assert explain(scored[1], decision) == [
        "Person p1 on 2026-06-15 under policy version 3f2a9c1e0b7d, model default",
        "Fit: 15",
        "  company_size: +35",
        "  doubts: -20",
        "    private mailbox: -20",
        "Engagement: 40",
        "  website: +40",
        "    asked for a demo: +50 (1 time)",
        "      2026-06-14 (1 day ago): +50  hubspot:d1",
        "    clicked: +6 (4 times)",
        "      2026-06-01 (14 days ago, 7 times 1.5, 50% of 3): +10.5  hubspot:c1",
        "      older than the newest that fit: -4.5",
        "    over the limit: -16",
        "Total: 55",
        "Grade: B1",
        "Suppressed: no",
        "Gate line asked: true",
        "Gate line cold: false",
        "Status: mql (marketing qualified, not yet assigned)",
        "Episode 1: opened by asked",
        "Reason: asked: asked for a demo +50; company_size +35; clicked in our mail +6",
    ]


def test_a_scorecard_is_explained_without_events(scored: tuple[pa.Table, Ledger]) -> None:
    assert explain(the_card(scored))[5:10] == [
        "Engagement: 40",
        "  website: +40",
        "    asked for a demo: +50 (1 time)",
        "    clicked: +6 (4 times)",
        "    by limits and weights: -16",
    ]


def ledger_of(of: Policy, facts: dict[str, Any], events: list[dict[str, Any]]) -> tuple[Ledger, Scorecard]:
    with tempfile.TemporaryDirectory() as folder, DuckDbEngine(threads=1) as engine:
        bucket = write_bucket(Path(folder), {"p": facts}, {"p": events})
        (card,) = cards(engine.score(of, bucket, TODAY))
        return engine.ledgers(of, bucket, TODAY, ["p"])["p"], card


def test_a_ledger_says_what_was_ignored_and_why() -> None:
    of = policy(
        engagement="{ignore: [{name: scanner click, event: email_click, within: 10 seconds of email_delivered}, "
        "{name: mail opens, event: email_open}], groups: {g: {rules: [{event: email_click, points: 2, name: click}]}}}"
    )
    at = instant("2026-06-14T14:00:00")
    events = [
        event("hubspot:d", "email_delivered", date(2026, 6, 14), at=at, email="m"),
        event("hubspot:c", "email_click", date(2026, 6, 14), at=at + timedelta(seconds=3), email="m"),
        event("hubspot:real", "email_click", TODAY, email="m"),
        *(event(f"hubspot:o{n:02}", "email_open", TODAY, email="m") for n in range(12)),
    ]
    ledger, _ = ledger_of(of, {}, events)
    lines = explain(ledger)
    start = lines.index("Ignored: 13 events")
    assert lines[start - 3 : start + 4] == [
        "  g: +2",
        "    click: +2 (1 time)",
        "      2026-06-15 (today): +2  hubspot:real",
        "Ignored: 13 events",
        "  mail opens: 12",
        "    2026-06-15 (today): email_open  hubspot:o00",
        "    2026-06-15 (today): email_open  hubspot:o01",
    ]
    assert lines[start + 12 : start + 15] == [
        "    2 older events",
        "  scanner click: 1",
        "    2026-06-14 (1 day ago): email_click  hubspot:c",
    ]


def test_a_fit_in_thirds_is_explained_by_its_criteria() -> None:
    of = policy(
        fit="{style: thirds, start: D, criteria: {"
        "company_size: {field: company.employees, match: from 200, weight: 2}, "
        "title: {field: person.seniority, match: from manager, weight: 2}, "
        "industry: {field: company.industry, match: Software, weight: 3}}}",
        grade="{engagement: {1: 50, 2: 0}}",
    )
    ledger, card = ledger_of(of, {"company.employees": 800, "person.seniority": "lead"}, [])
    expected = ["Fit: D, in thirds of a letter from D", "  company_size: +2", "  title: -2", "  industry: 0"]
    assert explain(ledger)[1:6] == [*expected, "Engagement: 0"]
    assert explain(card)[1:6] == [*expected, "Engagement: 0"]
    assert "Grade: D2" in explain(card)
    assert not [line for line in explain(card) if line.startswith("Total")]
    assert ledger.fit.step == "D"
    assert card.unknown == ("company.industry",)


def test_what_the_ends_of_the_ladder_take_away_is_told() -> None:
    of = policy(
        fit="{style: thirds, start: A, criteria: {size: {field: company.employees, match: from 2, weight: 3}}}",
        grade="{engagement: {1: 0}}",
    )
    for facts, expected in (
        ({"company.employees": 2}, ["Fit: A+, in thirds of a letter from A", "  size: +3", "  over the limit: -2"]),
        ({"company.employees": 1}, ["Fit: B, in thirds of a letter from A", "  size: -3", "Engagement: 0"]),
    ):
        assert explain(ledger_of(of, facts, [])[0])[1:4] == expected


def test_long_lists_of_events_end_in_one_line_with_their_sum(tmp_path: Path) -> None:
    given = [event(f"e{n:02}", "email_click", TODAY, email=str(n)) for n in range(13)]
    every = replace(CLICKS, max=None, newest_first=False)
    engagement = c.Dimension(groups=(c.Group(name="website", items=(every,)),))
    of = replace(POLICY, models=(replace(MODEL, engagement=engagement),))
    with DuckDbEngine(threads=1) as engine:
        ledger = engine.ledgers(of, write_bucket(tmp_path, {"p": {}}, {"p": given}), TODAY, ["p"])["p"]
    lines = explain(ledger)
    assert lines[lines.index("    clicked: +39 (13 times)") + 11] == "      3 older events: +9"


@pytest.mark.parametrize(
    ("micro", "plain", "signed"),
    [
        (0, "0", "0"),
        (1, "0.000001", "+0.000001"),
        (-500_000, "-0.5", "-0.5"),
        (9_516_952, "9.516952", "+9.516952"),
        (20 * MICRO, "20", "+20"),
    ],
)
def test_points_are_shown_exactly(micro: int, plain: str, signed: str) -> None:
    assert (points(micro), points(micro, signed=True)) == (plain, signed)


def test_the_rounding_is_shown_where_there_is_one(tmp_path: Path) -> None:
    given = [event("e", "email_click", TODAY - timedelta(days=14))]
    with DuckDbEngine(threads=1) as engine:
        ledger = engine.ledgers(POLICY, write_bucket(tmp_path, {"p": {}}, {"p": given}), TODAY, ["p"])["p"]
    assert "Engagement: 2 (1.5 before rounding)" in explain(ledger)


def test_a_ledger_is_json_with_exact_factors(scored: tuple[pa.Table, Ledger]) -> None:
    read = json.loads(json.dumps(scored[1].to_json()))
    clicked = read["engagement"]["groups"][0]["rules"][1]
    (one,) = clicked["events"]
    assert one == {
        "event_id": "hubspot:c1",
        "day": "2026-06-01",
        "age": 14,
        "factor": "1/2",
        "occurrences": 7,
        "micro": 10_500_000,
    }
    assert Fraction(one["factor"]) * clicked["points"] * one["occurrences"] == one["micro"]
    assert (clicked["counted"], clicked["lost"], clicked["micro"]) == (10_500_000, {"cap newest": 4_500_000}, 6_000_000)
    assert read["lines"] == {"asked": True, "cold": False}


def test_a_stored_table_explains_itself(scored: tuple[pa.Table, Ledger], tmp_path: Path) -> None:
    """Layout and names travel in the file: no policy is needed to read it."""
    path = tmp_path / "cards.parquet"
    pq.write_table(scored[0], path)
    read = pq.read_table(path)
    assert list(cards(read)) == [the_card(scored)]
    assert layout_of(read) == layout(POLICY, TODAY)


def test_a_table_of_an_earlier_version_is_read(scored: tuple[pa.Table, Ledger]) -> None:
    """It has neither the columns nor the names of what is true of a person beside the gate: nothing is."""
    table = scored[0]
    place = json.loads(table.schema.metadata[b"mqlsync.layout"])
    for name in ("unknown", "review", "needs"):
        del place[name]
    for dimension in place["dimensions"]:
        del dimension["thirds"], dimension["start"]
    old = table.drop_columns(["review", "needs", "unknown", "reach", "drop"]).replace_schema_metadata(
        {b"mqlsync.layout": json.dumps(place).encode()}
    )
    (card,) = cards(old)
    new = the_card(scored)
    assert (card.review, card.needs, card.unknown, card.reach, card.drop) == ((), (), (), 0, False)
    assert (card.fit, card.lines, card.values, card.points(c.Score.FIT)) == (
        *(new.fit, new.lines, new.values),
        new.points(c.Score.FIT),
    )


def test_another_table_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no scorecards"):
        layout_of(pa.table({"person_id": ["p"]}))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (replace(MODEL, when=c.ScoreAtLeast(c.Score.FIT, 1)), "only stand in become_when"),
        (replace(MODEL, when=c.EventExists(DEMO.match)), "suppress and in become_when"),
        (replace(MODEL, become_when=(GateLine(name="x", test=c.OwnerState("person.owner", "active")),)), "in routing"),
        (
            replace(MODEL, become_when=tuple(GateLine(name=str(n), test=c.All()) for n in range(63))),
            "more than 62 lines",
        ),
    ],
)
def test_what_cannot_be_scored_is_said(model: Model, message: str, tmp_path: Path) -> None:
    of = replace(POLICY, models=(replace(model, name="first"), MODEL))
    with DuckDbEngine(threads=1) as engine, pytest.raises(ValueError, match=message):
        engine.score(of, write_bucket(tmp_path, {}, {}), TODAY)
