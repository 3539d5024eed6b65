"""Decisions from a scorecard and a history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from scoring.cards import DimensionLayout, GroupLayout, ItemLayout, Layout, Scorecard
from scoring.conditions import Dimension, EventMatch, Score, ScoreAtLeast, Span
from scoring.episodes import (
    ADOPTED,
    MEANINGS,
    MOVES,
    ClosedEpisode,
    Decision,
    EpisodeOpened,
    History,
    OpenEpisode,
    Sales,
    SalesState,
    Seen,
    Status,
)
from scoring.policy import GateLine, Grade, Model, Nurture, Policy, Reason, Recycle, Review, WritePlan
from scoring.qualify import qualify, reason_for
from scoring.tables import MICRO
from scoring.team import Team

LINES = ("asked_for_sales", "hot_and_right")

POLICY = Policy(
    name="plain",
    version="v",
    scoring_hash="v",
    timezone="UTC",
    suppress=(),
    models=(),
    hand_raise=EventMatch(()),
    routing=(),
    write=WritePlan(),
    team=Team(),
)
"""Without review, stay, recycling and nurture."""


def layout(reasons: dict[str, str]) -> Layout:
    items = tuple(ItemLayout(name=name, reason=text, column=name, counts=None) for name, text in reasons.items())
    return Layout(
        version="v",
        day="2026-06-15",
        models=("default",),
        lines=(LINES,),
        dimensions=(
            DimensionLayout(
                score=Score.FIT,
                models=("default",),
                groups=(GroupLayout(name="g", items=items, loss="g#loss"),),
                loss="fit#loss",
            ),
            DimensionLayout(score=Score.ENGAGEMENT, models=("default",), groups=(), loss="engagement#loss"),
        ),
    )


def card(
    *,
    suppressed: str | None = None,
    lines: tuple[str, ...] = (),
    points: dict[str, float] | None = None,
    **reasons: str,
) -> Scorecard:
    given = points or {}
    texts = {name: reasons.get(name, name) for name in given}
    return Scorecard(
        person_id="p",
        model="default",
        suppressed=suppressed,
        grade="A1",
        fit=80,
        engagement=50,
        total=130,
        fit_micro=80 * MICRO,
        engagement_micro=50 * MICRO,
        total_micro=130 * MICRO,
        lines=lines,
        known_groups=1,
        unknown_groups=0,
        hand_raise=None,
        layout=layout(texts),
        values=(0, 0, *(None if value == 0 else int(value * MICRO) for value in given.values()), 0),
    )


def history(
    status: Status | None = None, *, open_: bool = False, owner: str | None = None, episodes: int = 1
) -> History:
    episode = OpenEpisode(
        n=episodes,
        line="hot_and_right",
        adopted=False,
        opened_at=datetime(2026, 6, 1, tzinfo=UTC),
        owner_key=owner,
        waiting=("sample",) if status is Status.REVIEW else (),
    )
    return History(status=status, open_episode=episode if open_ else None, episodes=episodes)


def decide(
    scorecard: Scorecard,
    before: History,
    *,
    crm_status: str | None = None,
    stage: str | None = None,
    converted: bool = False,
    reason: str | None = None,
    owner_known: bool = False,
) -> Decision:
    return qualify(
        scorecard,
        replace(before, reason=reason),
        Seen(crm_status=crm_status, lifecycle_stage=stage, converted=converted, owner_known=owner_known),
        policy=POLICY,
        as_of=datetime(2026, 6, 15, 12, tzinfo=UTC),
    )


def test_an_open_gate_opens_the_next_episode_with_all_its_true_lines() -> None:
    found = decide(card(lines=LINES, points={"company_size": 35}), history(Status.NOT_YET, episodes=2))
    assert (found.status, found.closes) == (Status.MQL, None)
    assert found.opens == EpisodeOpened(n=3, line="asked_for_sales", lines=LINES, adopted=False)
    assert found.reason == "asked_for_sales: company_size +35"
    assert (found.fit, found.engagement, found.total, found.grade, found.model) == (80, 50, 130, "A1", "default")


def test_a_closed_gate_is_not_yet() -> None:
    found = decide(card(), history(episodes=0))
    assert (found.status, found.reason, found.opens, found.closes) == (Status.NOT_YET, None, None, None)


def test_suppression_names_its_line_and_passes_no_gate() -> None:
    found = decide(card(suppressed="competitor", lines=LINES), history(Status.NOT_YET))
    assert (found.status, found.reason, found.opens) == (Status.SUPPRESSED, "competitor", None)


@pytest.mark.parametrize("status", [Status.REVIEW, Status.MQL, Status.ASSIGNED])
def test_suppression_ends_an_episode_sales_has_not_accepted(status: Status) -> None:
    found = decide(card(suppressed="student"), history(status, open_=True, owner="rep:a@b.c"), reason="old reason")
    assert (found.status, found.reason, found.closes) == (Status.SUPPRESSED, "student", "suppressed")


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.WORKING])
def test_an_accepted_episode_outlives_suppression(status: Status) -> None:
    found = decide(card(suppressed="student"), history(status, open_=True, owner="rep:a@b.c"), reason="old reason")
    assert (found.status, found.reason, found.closes) == (status, "old reason", None)


def test_suppression_lifts_itself_and_the_person_is_judged_in_the_same_run() -> None:
    found = decide(card(lines=LINES[:1]), history(Status.SUPPRESSED, episodes=1))
    assert (found.status, found.opens and found.opens.n) == (Status.MQL, 2)


@pytest.mark.parametrize(
    ("owner", "status", "expected"),
    [
        (None, Status.MQL, Status.MQL),
        ("queue:inbound", Status.MQL, Status.ASSIGNED),
        ("rep:a@b.c", Status.ASSIGNED, Status.ASSIGNED),
        (None, Status.REVIEW, Status.REVIEW),
    ],
)
def test_an_open_episode_stays_whatever_the_score_does(owner: str | None, status: Status, expected: Status) -> None:
    """Neither a closed gate nor a second hand raise nor the lifecycle stage moves it, and its reason is the first."""
    for lines in ((), LINES):
        found = decide(card(lines=lines), history(status, open_=True, owner=owner), stage="sql", reason="began so")
        assert (found.status, found.reason, found.opens, found.closes) == (expected, "began so", None, None)


@pytest.mark.parametrize(
    ("stage", "converted"),
    [("sql", False), ("opportunity", False), ("customer", False), ("evangelist", False), ("lead", True)],
)
def test_nobody_sales_already_has_gets_an_episode(stage: str, converted: bool) -> None:
    found = decide(card(lines=LINES), history(Status.NOT_YET), stage=stage, converted=converted)
    assert (found.status, found.opens) == (Status.WITH_SALES, None)


@pytest.mark.parametrize("stage", [None, "subscriber", "lead", "other", "mql"])
def test_earlier_stages_do_not_keep_the_gate_shut(stage: str | None) -> None:
    assert decide(card(lines=LINES), history(Status.NOT_YET), stage=stage).status is Status.MQL


@pytest.mark.parametrize(
    ("crm_status", "stage", "owner_known", "expected"),
    [
        ("mql", None, False, Status.MQL),
        ("mql", None, True, Status.ASSIGNED),
        ("assigned", None, True, Status.ASSIGNED),
        ("assigned", None, False, Status.MQL),
        (" Working ", None, True, Status.WORKING),
        ("accepted", None, False, Status.ACCEPTED),
        (None, "mql", True, Status.ASSIGNED),
        ("not_yet", "mql", False, Status.MQL),
    ],
)
def test_who_is_an_mql_when_first_seen_is_adopted(
    crm_status: str | None, stage: str | None, owner_known: bool, expected: Status
) -> None:
    found = decide(card(), history(episodes=0), crm_status=crm_status, stage=stage, owner_known=owner_known)
    assert found.status is expected
    assert found.opens == EpisodeOpened(n=1, line=ADOPTED, lines=(), adopted=True)
    assert found.reason is None


def test_a_crm_status_adopts_only_at_first_sight() -> None:
    found = decide(card(), history(Status.NOT_YET), crm_status="mql", stage="mql")
    assert (found.status, found.opens) == (Status.NOT_YET, None)


@pytest.mark.parametrize("crm_status", ["suppressed", "not_yet", "near", "Open - Not Contacted", ""])
def test_other_texts_in_the_crm_adopt_nothing(crm_status: str) -> None:
    assert decide(card(), history(episodes=0), crm_status=crm_status).status is Status.NOT_YET


def test_a_suppressed_person_is_not_adopted() -> None:
    found = decide(card(suppressed="customer"), history(episodes=0), crm_status="mql")
    assert (found.status, found.opens) == (Status.SUPPRESSED, None)


@pytest.mark.parametrize("crm_status", ["accepted", "working"])
def test_whom_sales_has_accepted_is_adopted_though_a_suppress_line_is_true(crm_status: str) -> None:
    found = decide(card(suppressed="open_opportunity"), history(episodes=0), crm_status=crm_status)
    assert (found.status, found.opens is not None) == (Status(crm_status), True)


@pytest.mark.parametrize("status", [Status.SQL, Status.NEVER])
def test_what_sales_had_decided_before_the_first_run_is_kept(status: Status) -> None:
    """Whatever the gate and the lifecycle stage, which is never taken back, say."""
    found = decide(card(lines=LINES), history(episodes=0), crm_status=status, stage="mql")
    assert (found.status, found.opens) == (status, None)


def test_who_was_taken_on_is_not_moved_back_by_becoming_a_customer() -> None:
    won = ClosedEpisode(n=1, outcome="sql", closed_at=SAID)
    for before in (history(Status.SQL, episodes=0), replace(history(Status.SQL), closed=won)):
        found = decide(card(suppressed="customer"), before, stage="customer", reason="began so")
        assert (found.status, found.reason) == (Status.SQL, "began so")


@pytest.mark.parametrize("status", [Status.REVIEW, Status.MQL, Status.ASSIGNED, Status.ACCEPTED])
@pytest.mark.parametrize(
    ("said", "ends", "outcome"),
    [
        (SalesState.WON, Status.SQL, "sql"),
        (SalesState.SQL, Status.SQL, "sql"),
        (SalesState.REJECTED, Status.SUPPRESSED, "rejected:not_ready"),
        (SalesState.ACCEPTED, Status.ACCEPTED, None),
    ],
)
def test_what_sales_says_of_an_mql_counts_before_a_line_that_suppresses_it(
    status: Status, said: SalesState, ends: Status, outcome: str | None
) -> None:
    """Both become true of a customer at the same moment."""
    found = qualify(
        card(suppressed="customer"),
        history(status, open_=True, owner=None if status is Status.REVIEW else "rep:a@b.c"),
        Seen(lifecycle_stage="customer", sales=Sales(state=said, at=SAID, reason="not_ready")),
        policy=POLICY,
        as_of=datetime(2026, 6, 15, 12, tzinfo=UTC),
    )
    assert (found.status, found.closes) == (ends, outcome)


@pytest.mark.parametrize("status", [Status.SQL, Status.RECYCLED, Status.NEVER])
def test_an_outcome_of_sales_is_not_undone(status: Status) -> None:
    found = decide(card(lines=LINES), history(status), reason="sales said so")
    assert (found.status, found.reason, found.opens) == (status, "sales said so", None)


IN_EPISODE = {Status.REVIEW, Status.MQL, Status.ASSIGNED, Status.ACCEPTED, Status.WORKING}


def everything() -> Policy:
    """A policy with all that can happen around the gate."""
    recycle = Recycle(
        reasons=(Reason(name="not_ready", wait=Span(30)), Reason(name="never", never=True)), no_reason="not_ready"
    )
    gate = GateLine(name="hot", test=ScoreAtLeast(Score.TOTAL, 130))
    model = Model(
        name="default",
        when=None,
        fit=Dimension(),
        engagement=Dimension(),
        grade=Grade(),
        become_when=(gate,),
    )
    return replace(POLICY, models=(model,), recycle=recycle, review=Review(), nurture=Nurture(near_within=10))


SAID = datetime(2026, 6, 10, tzinfo=UTC)
WORDS_OF_SALES = (None, *(Sales(state=state, at=SAID) for state in SalesState))
WORDS_OF_SALES += (Sales(state=SalesState.REJECTED, at=SAID, reason="never"),)
OUTCOMES = (None, "faded", "sql", "rejected:not_ready", "rejected:never")


def test_every_decision_is_a_legal_move() -> None:
    """All combinations of status, suppression, gate, stage, words and outcomes; and every legal move occurs."""
    seen: dict[Status | None, set[Status]] = {status: set() for status in (None, *Status)}
    policy = everything()
    combinations = product(
        (None, *Status), (None, "student"), ((), LINES), (None, "sql"), (None, "rep:a@b.c"), (True, False), OUTCOMES,
        WORDS_OF_SALES, ((), ("company.name",)), (0, 1), (None, "mql", "accepted", "working"),
    )  # fmt: skip
    for status, suppressed, lines, stage, owner, open_, outcome, sales, needs, reach, crm_status in combinations:
        if (open_ and status not in IN_EPISODE) or (crm_status is not None and status is not None):
            continue
        before = history(status, open_=open_, owner=owner)
        if outcome is not None:
            closed = ClosedEpisode(n=1, outcome=outcome, closed_at=datetime(2026, 4, 1, tzinfo=UTC))
            before = replace(before, closed=closed)
        found = qualify(
            replace(card(suppressed=suppressed, lines=lines), needs=needs, reach=reach),
            before,
            Seen(crm_status=crm_status, lifecycle_stage=stage, owner_known=owner is not None, sales=sales),
            policy=policy,
            as_of=datetime(2026, 6, 15, 12, tzinfo=UTC),
        )
        seen[status].add(found.status)
        assert found.closes is None or open_
        assert found.opens is None or not open_ or found.closes is not None
    assert seen == {status: set(moves) for status, moves in MOVES.items()}


def test_the_picklist_explains_every_status() -> None:
    assert set(MEANINGS) == set(Status)


def test_the_reason_names_the_three_largest_contributions() -> None:
    points = {"seniority": 25, "demo": 50, "careers": -20, "size": 35, "industry": 25, "nothing": 0}
    text = reason_for(card(points=points, demo="asked for a demo"), "asked_for_sales")
    assert text == "asked_for_sales: asked for a demo +50; size +35; seniority +25"


@pytest.mark.parametrize(("points", "shown"), [(0.4, "line"), (0.5, "line: a +1"), (9.49, "line: a +9")])
def test_the_reason_is_in_whole_points(points: float, shown: str) -> None:
    assert reason_for(card(points={"a": points}), "line") == shown


def test_the_reason_fits_255_characters() -> None:
    points = {"a": 30, "b": 20}
    text = reason_for(card(points=points, a="x" * 200, b="y" * 60), "line")
    assert text == f"line: {'x' * 200} +30"
    assert len(decide(card(suppressed="s" * 300), history()).reason or "") == 255
    assert len(reason_for(card(), "l" * 300)) == 255
