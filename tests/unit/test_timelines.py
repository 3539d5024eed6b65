"""Years in the life of a person, day by day: who becomes an MQL, again and again, and when not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scoring import conditions as c
from scoring.episodes import ADOPTED, History, OpenEpisode, SalesState, Status
from scoring.policy import (
    GateLine,
    Grade,
    Model,
    Nurture,
    Policy,
    Reason,
    Recycle,
    Review,
    Stay,
    SuppressLine,
    WritePlan,
)
from scoring.tables import MICRO
from scoring.team import Team
from tests.support.timeline import Life, on

TWO_WEEKS = c.Fade(c.FadeMode.HALF_LIFE, c.Span(14))
MEETING = c.EventMatch(("meeting_booked",))
NEVER_RAISED = c.EventMatch(())


def policy(fade: c.Fade = TWO_WEEKS, *, wait: int = 60, hand_raise: c.EventMatch = MEETING) -> Policy:
    """Everybody is wanted; a meeting gives 60 points, a webinar 30, a chat 5; from 30 on a person is an MQL."""
    rules = tuple(
        c.EventRule(name=kind, reason=kind, match=c.EventMatch((kind,)), micro=points * MICRO, fade=fade)
        for kind, points in (("meeting_booked", 60), ("webinar_attended", 30), ("chat", 5))
    )
    return Policy(
        name="hl14",
        version="1",
        scoring_hash="1",
        timezone="UTC",
        suppress=(),
        models=(
            Model(
                name="default",
                when=None,
                fit=c.Dimension(),
                engagement=c.Dimension(groups=(c.Group(name="all", items=rules),)),
                grade=Grade(),
                become_when=(GateLine(name="hot", test=c.ScoreAtLeast(c.Score.ENGAGEMENT, 30)),),
            ),
        ),
        hand_raise=hand_raise,
        routing=(),
        write=WritePlan(),
        team=Team(),
        stay=Stay(
            at_least=c.Span(14),
            drop_when=c.ScoreBelow(c.Score.ENGAGEMENT, 20),
            lasting=c.Span(7),
            never_drop_in=frozenset({"accepted", "working"}),
        ),
        recycle=Recycle(
            reasons=(
                Reason(name="not_ready", wait=c.Span(wait), fresh_points=25),
                Reason(name="not_a_fit", never=True),
                Reason(name="bad_data", send_to_review=True),
            ),
            no_reason="not_ready",
            hand_raise_skips_wait=True,
            at_most=(3, c.Span(365)),
        ),
    )


NOT_READY = (SalesState.REJECTED, "not_ready")
MEETINGS = [(day, "meeting_booked") for day in (0, 20, 40, 60)]
WEBINARS = [(day, "webinar_attended") for day in (0, 14, 28, 42)]
THREE_TIMES = [
    *("day 0 episode 1 (hot)", "day 5 rejected not_ready"),
    *("day 20 episode 2 (hot)", "day 25 rejected not_ready"),
    *("day 40 episode 3 (hot)", "day 45 rejected not_ready"),
]


@pytest.mark.parametrize(
    ("name", "life", "last", "told"),
    [
        ("I1", Life(policy=policy(), events=[(0, "meeting_booked")]), 80,
         ["day 0 episode 1 (hot)", "day 30 dropped (faded)"]),
        ("I2", Life(policy=policy(), events=[(0, "meeting_booked"), (27, "chat")]), 80,
         ["day 0 episode 1 (hot)", "day 36 dropped (faded)"]),
        ("I3", Life(policy=policy(c.Fade(c.FadeMode.EXPIRE, c.Span(3))), events=[(0, "meeting_booked")]), 80,
         ["day 0 episode 1 (hot)", "day 14 dropped (faded)"]),
        ("I4", Life(policy=policy(), events=[(0, "meeting_booked")], sales={10: SalesState.ACCEPTED}), 120,
         ["day 0 episode 1 (hot)"]),
        ("I5", Life(policy=policy(), events=WEBINARS), 49, ["day 0 episode 1 (hot)"]),
        ("I6", Life(policy=policy(), events=[*MEETINGS[:1], (63, "webinar_attended")], sales={5: NOT_READY}), 70,
         ["day 0 episode 1 (hot)", "day 5 rejected not_ready", "day 65 episode 2 (hot)"]),
        ("I7", Life(policy=policy(), events=[*MEETINGS[:1], (60, "webinar_attended")], sales={5: NOT_READY}), 200,
         ["day 0 episode 1 (hot)", "day 5 rejected not_ready"]),
        ("I8", Life(policy=policy(c.Fade()), events=[*MEETINGS[:1], (70, "webinar_attended")],
                    sales={5: NOT_READY}), 90,
         ["day 0 episode 1 (hot)", "day 5 rejected not_ready", "day 70 episode 2 (hot)"]),
        ("I9", Life(policy=policy(), events=MEETINGS[:2], sales={5: NOT_READY}), 30,
         ["day 0 episode 1 (hot)", "day 5 rejected not_ready", "day 20 episode 2 (hot)"]),
        ("I10", Life(policy=policy(), events=MEETINGS[:2], sales={5: (SalesState.REJECTED, "not_a_fit")}), 90,
         ["day 0 episode 1 (hot)", "day 5 rejected not_a_fit"]),
        ("I11", Life(policy=policy(), events=MEETINGS, reject_after=(5, "not_ready")), 70,
         [*THREE_TIMES, "day 60 review (too_often)"]),
        ("I12", Life(policy=policy(wait=15, hand_raise=NEVER_RAISED), events=MEETINGS,
                     reject_after=(5, "not_ready")), 70,
         [*THREE_TIMES, "day 60 recycled (too_often)"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_life_goes_as_the_policy_says(name: str, life: Life, last: int, told: list[str]) -> None:
    assert life.until(last) == told


def test_who_was_found_as_an_mql_is_not_dropped_for_points_they_never_had() -> None:
    found = OpenEpisode(n=1, line=ADOPTED, adopted=True, opened_at=on(0), owner_key="rep:ana@acme.com")
    life = Life(policy=policy(), history=History(status=Status.ASSIGNED, open_episode=found, episodes=1))
    assert life.until(120) == []
    assert life.statuses[120] is Status.ASSIGNED


def test_days_without_a_run_are_made_up() -> None:
    """The outcome does not depend on how often the worker ran: it is dropped on the first day it can be seen."""
    life = Life(policy=policy(), events=[(0, "meeting_booked")], idle=frozenset(range(3, 30)))
    assert life.until(40) == ["day 0 episode 1 (hot)", "day 30 dropped (faded)"]


def test_a_hand_raise_of_the_day_of_the_rejection_counts_only_when_it_came_later() -> None:
    life = Life(policy=policy(), events=[(0, "meeting_booked"), (5, "meeting_booked")], sales={5: NOT_READY})
    assert life.until(20) == ["day 0 episode 1 (hot)", "day 5 rejected not_ready"]


def test_a_reason_the_policy_does_not_know_is_no_reason() -> None:
    life = Life(policy=policy(), events=MEETINGS[:1], sales={5: (SalesState.REJECTED, "Because")})
    assert life.until(6) == ["day 0 episode 1 (hot)", "day 5 rejected not_ready"]


def test_a_reason_is_recognised_as_the_crm_writes_it() -> None:
    life = Life(policy=policy(), events=MEETINGS[:1], sales={5: (SalesState.REJECTED, "Not a Fit")})
    assert life.until(6) == ["day 0 episode 1 (hot)", "day 5 rejected not_a_fit"]
    assert life.statuses[6] is Status.NEVER


def test_never_is_lifted_by_another_reason_only() -> None:
    """A hand raise on day 20 does not lift it; on day 30 sales corrects the reason, and the next hand raise counts."""
    life = Life(
        policy=policy(),
        events=[(0, "meeting_booked"), (20, "meeting_booked"), (31, "meeting_booked")],
        sales={5: (SalesState.REJECTED, "not_a_fit"), 30: NOT_READY},
    )
    assert life.until(32) == ["day 0 episode 1 (hot)", "day 5 rejected not_a_fit", "day 30 episode 2 (hot)"]


def test_bad_data_waits_for_a_marketer_whatever_the_score() -> None:
    life = Life(
        policy=policy(),
        events=[(0, "meeting_booked"), (10, "meeting_booked")],
        sales={5: (SalesState.REJECTED, "bad_data")},
        verdicts={40: True},
    )
    told = life.until(45)
    assert {life.statuses[day] for day in range(5, 40)} == {Status.REVIEW}
    assert told[2:] == ["day 40 episode 2 (approved)"]


def test_a_marketers_no_to_bad_data_recycles() -> None:
    life = Life(
        policy=policy(),
        events=[(0, "meeting_booked")],
        sales={5: (SalesState.REJECTED, "bad_data")},
        verdicts={10: False},
    )
    life.until(12)
    assert life.statuses[12] is Status.RECYCLED
    assert life.history.closed is not None
    assert life.history.closed.outcome == "rejected:review"


def test_who_becomes_sql_stays_it() -> None:
    life = Life(policy=policy(), events=MEETINGS, sales={3: SalesState.WORKING, 9: SalesState.SQL})
    assert life.until(70) == ["day 0 episode 1 (hot)", "day 9 sql"]
    assert (life.statuses[8], life.statuses[70]) == (Status.WORKING, Status.SQL)


def test_suppression_ends_an_episode_that_at_most_does_not_count() -> None:
    """Suppressed on days 3 to 9; on day 10 the gate is still open, and the one episode a year is not used up."""
    once = replace(policy(), suppress=(SuppressLine(name="customer", test=c.Equals("company.is_customer", True)),))
    assert once.recycle is not None
    life = Life(policy=replace(once, recycle=replace(once.recycle, at_most=(1, c.Span(365)))), events=MEETINGS[:1])
    life.until(2)
    life.facts = {"company.is_customer": True}
    for day in range(3, 10):
        life.decide(day)
    life.facts = {}
    life.decide(10)
    assert life.told == ["day 0 episode 1 (hot)", "day 3 suppressed", "day 10 episode 2 (hot)"]


def test_sales_at_work_after_a_no_keeps_the_person() -> None:
    life = Life(policy=policy(), events=MEETINGS, sales={5: NOT_READY, 10: SalesState.WORKING})
    assert life.until(30) == ["day 0 episode 1 (hot)", "day 5 rejected not_ready"]
    assert life.statuses[30] is Status.WITH_SALES


# -- review ------------------------------------------------------------------------------------------------------


def reviewed(**more: Any) -> Policy:
    return replace(policy(hand_raise=NEVER_RAISED), review=Review(sample=10_000, **more), stay=None)


def test_the_sample_waits_until_time_approves_it() -> None:
    life = Life(policy=reviewed(), events=MEETINGS[:1], approves_after=2)
    assert life.until(3) == ["day 0 episode 1 (hot)"]
    assert list(life.statuses.values()) == [Status.REVIEW, Status.REVIEW, Status.MQL, Status.MQL]


def test_a_marketers_yes_approves() -> None:
    life = Life(policy=reviewed(), events=MEETINGS[:1], verdicts={4: True})
    life.until(6)
    assert list(life.statuses.values()) == [Status.REVIEW] * 4 + [Status.MQL] * 3


def test_a_marketers_no_ends_the_episode() -> None:
    life = Life(policy=reviewed(), events=MEETINGS[:1], verdicts={4: False})
    assert life.until(6) == ["day 0 episode 1 (hot)", "day 4 rejected review"]
    assert life.statuses[6] is Status.RECYCLED


def test_a_marketers_no_follows_the_reason_the_policy_names_for_it() -> None:
    life = Life(policy=reviewed(if_rejected="not_a_fit"), events=MEETINGS, verdicts={4: False})
    assert life.until(70) == ["day 0 episode 1 (hot)", "day 4 rejected review"]
    assert life.statuses[70] is Status.NEVER


def test_a_marketers_yes_is_for_one_episode() -> None:
    life = Life(policy=reviewed(), events=[(0, "meeting_booked"), (75, "meeting_booked")],
                verdicts={4: True}, sales={10: NOT_READY})  # fmt: skip
    assert life.until(77) == ["day 0 episode 1 (hot)", "day 10 rejected not_ready", "day 75 episode 2 (hot)"]
    assert (life.statuses[4], life.statuses[77]) == (Status.MQL, Status.REVIEW)


def test_a_marketers_no_is_for_one_episode() -> None:
    life = Life(policy=reviewed(), events=[(0, "meeting_booked"), (70, "meeting_booked")], verdicts={4: False})
    assert life.until(72) == ["day 0 episode 1 (hot)", "day 4 rejected review", "day 70 episode 2 (hot)"]
    assert life.statuses[72] is Status.REVIEW


def test_a_marketers_no_to_one_who_came_too_often_is_not_asked_for_again() -> None:
    life = Life(policy=policy(), events=MEETINGS, reject_after=(5, "not_ready"), verdicts={62: False})
    life.until(64)
    assert (life.statuses[61], life.statuses[64]) == (Status.REVIEW, Status.RECYCLED)


@pytest.mark.parametrize(("day", "status"), [(0, Status.MQL), (6, Status.MQL), (7, Status.REVIEW)])
def test_a_hand_raise_of_less_than_seven_days_passes_the_sample(day: int, status: Status) -> None:
    """Asked on day 0, and looked at for the first time so many days later."""
    fast = replace(reviewed(hand_raise_skips=True), hand_raise=MEETING)
    life = Life(policy=fast, events=MEETINGS[:1], idle=frozenset(range(day)))
    life.until(day)
    assert life.statuses[day] is status


def test_what_is_needed_waits_for_the_fact_and_no_time_approves_it() -> None:
    needing = replace(reviewed(), needs=("company.name",), review=None)
    life = Life(policy=needing, events=MEETINGS[:1], approves_after=1)
    life.until(5)
    assert set(life.statuses.values()) == {Status.REVIEW}
    assert life.history.open_episode is not None
    assert life.history.open_episode.waiting == ("needs company.name",)
    life.facts = {"company.name": "Acme"}
    life.decide(6)
    assert life.statuses[6] is Status.MQL


def test_a_fact_that_comes_leads_to_the_questions_not_asked_before() -> None:
    life = Life(policy=replace(reviewed(), needs=("company.name",)), events=MEETINGS[:1])
    life.until(1)
    life.facts = {"company.name": "Acme"}
    life.decide(2)
    assert life.history.open_episode is not None
    assert life.history.open_episode.waiting == ("sample",)


def test_a_reviewer_approves_although_a_fact_is_missing() -> None:
    life = Life(policy=replace(reviewed(), needs=("company.name",)), events=MEETINGS[:1], verdicts={2: True})
    life.until(2)
    assert life.statuses[2] is Status.MQL


# -- near --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("within", "status"), [(24, Status.NOT_YET), (25, Status.NEAR)])
def test_near_are_those_a_few_points_short(within: int, status: Status) -> None:
    """A chat today is 5 points; the gate is at 30."""
    near = replace(policy(), nurture=Nurture(near_within=within, near_track="content", tracks=("content",)))
    life = Life(policy=near, events=[(3, "chat")])
    life.until(3)
    assert life.statuses[3] is status
