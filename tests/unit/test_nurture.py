"""Which track marketing has a person in, when its mail rests, and what a person is said to lack."""

from dataclasses import replace

import pytest

from scoring import nurture
from scoring.cards import Scorecard
from scoring.conditions import EventMatch, Span, Unit
from scoring.episodes import Status
from scoring.nurture import lacking, paused, track
from scoring.policy import Nurture, Policy, Reason, Recycle, Review, WritePlan
from scoring.team import Team

RECYCLE = Recycle(
    reasons=(
        Reason(name="not_ready", wait=Span(n=60, unit=Unit.DAY), nurture="webinars"),
        Reason(name="no_budget", wait=Span(n=90, unit=Unit.DAY)),
        Reason(name="bad_data", send_to_review=True),
    ),
    no_reason="not_ready",
)
NURTURE = Nurture(
    tracks=("webinars", "content", "comeback"),
    near_within=15,
    near_track="content",
    faded="comeback",
    pause_in=frozenset({"assigned", "accepted", "working"}),
)

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
    recycle=RECYCLE,
    review=Review(if_rejected="not_ready"),
    nurture=NURTURE,
)


@pytest.mark.parametrize(
    ("status", "outcome", "expected"),
    [
        ("recycled", "rejected:not_ready", "webinars"),
        ("recycled", "rejected:review", "webinars"),
        ("recycled", "rejected:no_budget", None),
        ("recycled", "rejected:unheard_of", None),
        ("recycled", None, None),
        ("recycled", "faded", "comeback"),
        ("not_yet", "faded", "comeback"),
        ("near", "faded", "comeback"),
        ("near", None, "content"),
        ("near", "rejected:not_ready", "content"),
        ("near", "suppressed", "content"),
        ("not_yet", None, None),
        ("not_yet", "rejected:not_ready", None),
        ("mql", None, None),
        ("assigned", None, None),
        ("sql", "sql", None),
        ("with_sales", "faded", None),
        ("suppressed", "faded", None),
        ("never", "rejected:not_ready", None),
        ("review", "rejected:bad_data", None),
    ],
)
def test_the_first_track_that_fits(status: str, outcome: str | None, expected: str | None) -> None:
    assert track(POLICY, status, outcome) == expected


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("outcome", [None, "faded", "rejected:not_ready"])
def test_without_nurture_nobody_has_a_track_and_nobody_rests(status: Status, outcome: str | None) -> None:
    plain = replace(POLICY, nurture=None)
    assert track(plain, status, outcome) is None
    assert not paused(plain, status)


@pytest.mark.parametrize("status", list(Status))
def test_mail_rests_in_the_listed_statuses_only(status: Status) -> None:
    assert paused(POLICY, status) is (status in {"assigned", "accepted", "working"})


CARD = Scorecard.__new__(Scorecard)


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        ("not_yet", "8 points short of A2", "8 points short of A2"),
        ("near", "8 points short of A2", "8 points short of A2"),
        ("recycled", "8 points short of A2", "8 points short of A2"),
        ("recycled", None, None),
        ("assigned", "8 points short of A2", None),
        ("with_sales", "8 points short of A2", None),
        ("never", "8 points short of A2", None),
        ("near", "x" * 255, "x" * 255),
        ("near", "x" * 256, "x" * 252 + "..."),
    ],
)
def test_what_is_lacking_is_said_of_whom_marketing_may_still_bring(
    status: str, said: str | None, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nurture, "missing", lambda policy, card: said)
    assert lacking(POLICY, CARD, status) == expected
