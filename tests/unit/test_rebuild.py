"""An account held against the points that were kept: equal, or in what not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scoring.cards import Scorecard, cards
from scoring.engine import DuckDbEngine
from scoring.ledger import Ledger
from scoring.policy import Policy
from sync.rebuild import Account, Origin, account_of, differences
from sync.versions import VersionUnknown
from tests.support.rules import policy
from tests.support.snapshots import event, write_bucket

TODAY = date(2026, 6, 15)
POLICY = policy(
    fit="{groups: {g: {rules: [{when: {company.employees: from 200}, points: 10, name: big}]}}}",
    engagement="{groups: {w: {max: 9, rules: [{event: email_click, points: 4, name: click}, "
    "{event: email_open, points: 1, name: open}]}}}",
)
CLICKS = [event(f"hubspot:c{n}", "email_click", TODAY - timedelta(days=n)) for n in range(3)]
BIG = {"company.employees": 800}


def scored(of: Policy, facts: dict[str, Any], events: list[dict[str, Any]]) -> tuple[Ledger, Scorecard]:
    with tempfile.TemporaryDirectory() as folder, DuckDbEngine(threads=1) as engine:
        bucket = write_bucket(Path(folder), {"p": facts}, {"p": events})
        (card,) = cards(engine.score(of, bucket, TODAY))
        return engine.ledgers(of, bucket, TODAY, ["p"])["p"], card


@pytest.fixture(scope="module")
def both() -> tuple[Ledger, Scorecard]:
    return scored(POLICY, BIG, CLICKS)


def test_a_ledger_equals_the_row_of_the_same_inputs(both: tuple[Ledger, Scorecard]) -> None:
    ledger, card = both
    assert ledger.engagement.points == 9
    assert differences(ledger, card) == ()
    assert differences(card, card) == ()


def test_what_was_not_known_is_named_by_rule_group_and_sum(both: tuple[Ledger, Scorecard]) -> None:
    row = both[1]
    less, _ = scored(POLICY, {}, CLICKS[:1])
    assert differences(less, row) == (
        "total: 19 kept, 4 made again",
        "fit: 10 kept, 0 made again",
        "fit, rounded: 10 kept, 0 made again",
        "fit, g: 10 kept, 0 made again",
        "fit, g, big: 10 kept, nothing made again",
        "engagement: 9 kept, 4 made again",
        "engagement, rounded: 9 kept, 4 made again",
        "engagement, w: 9 kept, 4 made again",
        "engagement, w, click: 12 for 3 kept, 4 for 1 made again",
        "engagement, w, taken by limits: 3 kept, 0 made again",
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"grade": "Z9"}, "grade: Z9 kept, none made again"),
        ({"suppressed": "customer"}, "suppressed: customer kept, none made again"),
        ({"total_micro": 1}, "total: 0.000001 kept, 19 made again"),
    ],
)
def test_every_figure_beside_the_points_counts_too(
    both: tuple[Ledger, Scorecard], changed: dict[str, Any], said: str
) -> None:
    ledger, card = both
    assert said in differences(replace(ledger, grade=""), replace(card, **changed))


def made(account: Ledger | None) -> Callable[[], Ledger | None]:
    return lambda: account


def refused() -> Ledger | None:
    raise VersionUnknown("version 1 does not load any more")


def never() -> Ledger | None:
    raise AssertionError("what is kept and agrees is not made again")


def test_the_best_account_there_is(both: tuple[Ledger, Scorecard]) -> None:
    ledger, row = both
    other, _ = scored(POLICY, {}, CLICKS)
    table: list[tuple[Callable[[], Account | None], Account | None]] = [
        (partial(account_of, ledger, row, never), Account(score=ledger, origin=Origin.DECISION, row=row)),
        (partial(account_of, ledger, None, never), Account(score=ledger, origin=Origin.DECISION)),
        # A later run of the day moved the points: what the decision kept is no longer the score of the day.
        (
            partial(account_of, other, row, made(ledger)),
            Account(score=ledger, origin=Origin.REBUILT, row=row, made=ledger),
        ),
        (partial(account_of, None, None, made(ledger)), Account(score=ledger, origin=Origin.REBUILT, made=ledger)),
        (
            partial(account_of, None, row, made(other)),
            Account(score=row, origin=Origin.ROW, row=row, made=other, differs=differences(other, row)),
        ),
        (
            partial(account_of, None, row, made(None)),
            Account(score=row, origin=Origin.ROW, row=row, trouble="nothing of the person was known then"),
        ),
        (
            partial(account_of, None, row, refused),
            Account(score=row, origin=Origin.ROW, row=row, trouble="version 1 does not load any more"),
        ),
        (partial(account_of, None, None, refused), None),
    ]
    for ask, expected in table:
        assert ask() == expected


def test_each_kind_of_account_says_how_sure_it_is(both: tuple[Ledger, Scorecard]) -> None:
    ledger, row = both
    other, _ = scored(POLICY, {}, CLICKS)
    asked = {
        "Kept with the decision; equal to the points kept of the day.": account_of(ledger, row, never),
        "Made again from what was known; equal to the points kept of the day.": account_of(None, row, made(ledger)),
        "Made again from what was known; no points of the day were kept to hold it against.": account_of(
            None, None, made(ledger)
        ),
        "  fit, g, big: 10 kept, nothing made again": account_of(None, row, made(other)),
        "The points by rule as kept; the events cannot be told: version 1 does not load any more.": account_of(
            None, row, refused
        ),
    }
    for line, account in asked.items():
        assert account is not None
        assert line in list(account.lines())
    assert {name: account.as_json()["row"] for name, account in asked.items() if account is not None} == dict(
        zip(asked, ("equal", "equal", "none", "differs", "not checked"), strict=True)
    )
