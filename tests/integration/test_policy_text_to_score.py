"""The published vectors from the text of a policy to the points: parser, compiler and engine say the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring.cards import Scorecard, cards
from scoring.document import Source
from scoring.engine import DuckDbEngine
from scoring.load import load_policy
from scoring.policy import Policy
from scoring.tables import MICRO
from tests.support.snapshots import event, write_bucket

TODAY = date(2026, 6, 15)

TEAM = b"""\
version: 1
reps: {ana@acme.com: {}}
pools: {p: {method: even, nobody_free: queue q, reps: {ana@acme.com: {}}}}
queues: {q: {}}
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as one:
        yield one


def policy(**sections: str) -> Policy:
    text = "version: 1\nname: vectors\ntimezone: America/New_York\nrouting: [{to: pool p}]\n"
    sections = {"mql": "{become_when: {never: {person.country: AQ}}}", **sections}
    text += "".join(f"{name}: {section}\n" for name, section in sections.items())
    source = Source("policy.yaml", text.encode())
    return load_policy(source, Source("team.yaml", TEAM), lists=lambda name: name)[0]


def scored(
    engine: DuckDbEngine, folder: Path, of: Policy, facts: dict[str, Any], events: list[dict[str, Any]]
) -> Scorecard:
    bucket = write_bucket(folder, {"p": facts}, {"p": events} if events else {})
    (card,) = cards(engine.score(of, bucket, TODAY))
    return card


HOME = "{home: [NO, SE], rivals: [rival.io]}"
COUNTRIES = "{field: person.country, points: {in home: 15, unknown: 3, otherwise: 1}}"
SIZES = "{field: company.employees, points: {from 2000: 25, from 200: 35, from 50: 20, unknown: 5, otherwise: 0}}"


@pytest.mark.parametrize(
    ("table", "facts", "points"),
    [
        (COUNTRIES, {"person.country": "NO"}, 15),
        (COUNTRIES, {"person.country": "no"}, 15),
        (COUNTRIES, {"person.country": "US"}, 1),
        (COUNTRIES, {}, 3),
        (SIZES, {"company.employees": "2000"}, 25),
        (SIZES, {"company.employees": "1999"}, 35),
        (SIZES, {"company.employees": "199.5"}, 20),
        (SIZES, {"company.employees": "49"}, 0),
        (SIZES, {}, 5),
        ("{field: person.seniority, points: {from head: 9, director: 7, otherwise: 1}}", {"person.seniority": "vp"}, 9),
        (
            "{field: person.seniority, points: {from head: 9, director: 7, otherwise: 1}}",
            {"person.seniority": "director"},
            7,
        ),
    ],
)
def test_tables(engine: DuckDbEngine, tmp_path: Path, table: str, facts: dict[str, Any], points: int) -> None:
    """Vectors F1 and F3."""
    card = scored(engine, tmp_path, policy(lists=HOME, fit=f"{{groups: {{t: {table}}}}}"), facts, [])
    assert card.fit_micro == points * MICRO


@pytest.mark.parametrize(
    ("when", "facts", "true"),
    [
        ("{person.title: has word student or intern}", {"person.title": "Internal Audit Director"}, False),
        ("{person.title: has word student or intern}", {"person.title": "Marketing INTERN (summer)"}, True),
        ("{person.title: has word vice president}", {"person.title": "Vice-President, Sales"}, True),
        ("{person.title: contains audit}", {"person.title": "Internal Auditor"}, True),
        ("{person.email_domain: in rivals}", {"person.email_domain": "mail.Rival.io"}, True),
        ("{person.email_domain: in rivals}", {"person.email_domain": "notrival.io"}, False),
        ("{person.email_domain: not in rivals}", {}, False),
        ("{person.consent: [none, unknown]}", {}, True),
        ("{person.consent: none}", {}, False),
        ("{person.lead_status: is in review}", {"person.lead_status": "In Review"}, True),
        ("{person.title: not has word intern}", {"person.title": "CEO"}, True),
        ("{person.seniority: from director}", {"person.seniority": "vp"}, True),
        ("{person.seniority: below director}", {}, False),
        (
            "{company.employees: below 50, person.country: US}",
            {"company.employees": 49, "person.country": "us"},
            True,
        ),
        ("{person.created_at: within 30 days}", {"person.created_at": TODAY - timedelta(days=30)}, False),
        ("{person.created_at: older than 30 days}", {"person.created_at": TODAY - timedelta(days=30)}, True),
    ],
)
def test_conditions(engine: DuckDbEngine, tmp_path: Path, when: str, facts: dict[str, Any], true: bool) -> None:
    """Vectors F4 to F17."""
    fit = f"{{groups: {{r: {{rules: [{{when: {when}, points: 1}}]}}}}}}"
    card = scored(engine, tmp_path, policy(lists=HOME, fit=fit), facts, [])
    assert card.fit_micro == (MICRO if true else 0)


def views(*ages: int, count: int = 1, **attributes: Any) -> list[dict[str, Any]]:
    return [
        event(f"v{n}", "page_view", TODAY - timedelta(days=age), count=count, **attributes)
        for n, age in enumerate(ages)
    ]


def features(*names: str | None) -> list[dict[str, Any]]:
    return [event(f"f{n}", "product_use", TODAY, feature=name) for n, name in enumerate(names)]


@pytest.mark.parametrize(
    ("group", "events", "micro"),
    [
        ("fade: half-life 14 days, rules: [{event: page_view, points: 10}]", views(1), 9_516_952),
        ("fade: lose 50% every 30 days, rules: [{event: page_view, points: 10}]", views(59), 5_000_000),
        ("fade: lose 50% every 30 days compounding, rules: [{event: page_view, points: 10}]", views(90), 1_250_000),
        ("fade: expire after 90 days, rules: [{event: page_view, points: 10}]", views(90), 0),
        ("fade: half-life 14 days, rules: [{event: page_view, points: 10, fade: none}]", views(200), 10_000_000),
        ("rules: [{event: page_view, points: 1, within: 7 days}]", views(6, 7), 1_000_000),
        ("fade: half-life 7 days, rules: [{event: page_view, points: 10, count: once}]", views(7, 14), 5_000_000),
        (
            "rules: [{event: page_view, points: 10, count: at least 5 in 7 days}]",
            [*views(0, count=4), event("w", "page_view", TODAY - timedelta(days=6))],
            10_000_000,
        ),
        ("rules: [{event: product_use, points: 10, count: distinct feature at least 3}]", features("a", "A", "b"), 0),
        (
            "rules: [{event: product_use, points: 10, count: distinct feature at least 3}]",
            features("b", "a", "c", "b"),
            10_000_000,
        ),
        ("rules: [{event: page_view, points: 8, only_if: at least 3 in 30 days}]", views(0, 0), 0),
        ("rules: [{event: page_view, points: 8, only_if: at least 3 in 30 days}]", views(0, 0, 0), 24_000_000),
        (
            "fade: half-life 14 days, rules: [{event: page_view, points: 5, max: 20, cap: newest}]",
            views(*[14] * 10),
            10_000_000,
        ),
        ("rules: [{event: page_view, where: {path: /careers/*}, points: 1}]", views(0, path="/careers/x"), 1_000_000),
        ("rules: [{event: page_view, where: {path: /careers/*}, points: 1}]", views(0, path="/careers"), 0),
    ],
)
def test_engagement(engine: DuckDbEngine, tmp_path: Path, group: str, events: list[dict[str, Any]], micro: int) -> None:
    """Vectors A8, B, C and D2."""
    text = f"{{max: none, groups: {{g: {{{group}}}}}}}"
    assert scored(engine, tmp_path, policy(engagement=text), {}, events).engagement_micro == micro


@pytest.mark.parametrize(
    ("call", "points"),
    [
        ({"direction": "outbound", "outcome": "no answer"}, 0),
        ({"direction": "outbound"}, 0),
        ({"direction": "outbound", "outcome": "Connected"}, 1),
        ({"direction": "inbound", "outcome": "no answer"}, 1),
        ({}, 1),
    ],
)
def test_any_leaves_out_calls_that_nobody_took(
    engine: DuckDbEngine, tmp_path: Path, call: dict[str, str], points: int
) -> None:
    events = [event("c", "call", TODAY, **call), event("d", "email_delivered", TODAY)]
    text = "{groups: {g: {rules: [{event: any, points: 1}]}}}"
    assert scored(engine, tmp_path, policy(engagement=text), {}, events).engagement == points


def test_the_gate_takes_labels_bounds_and_events(engine: DuckDbEngine, tmp_path: Path) -> None:
    of = policy(
        engagement="{groups: {g: {rules: [{event: page_view, points: 40}]}}}",
        grade="{fit: {A: 50, B: 0}, engagement: {1: 50, 2: 30, 3: 0}}",
        mql="{become_when: {a: {grade: [B2]}, b: {engagement: [1]}, c: {engagement: from 40, event: page_view, "
        "within: 7 days}, d: {total: below 40}, e: {event: page_view, count: at least 2 in 7 days}}}",
    )
    card = scored(engine, tmp_path, of, {}, views(3))
    assert (card.grade, card.lines) == ("B2", ("a", "c"))
