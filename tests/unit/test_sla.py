"""What is due for MQLs whom nobody touches, in working hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.policy import Sla, Target, TargetKind
from scoring.sla import Due, Happened, Held, Step, alarm_at, due, first_touch, reassigned_at
from scoring.team import Delay, Hours, NobodyFree, Pool, PoolMethod, PoolRep, Queue, Rep, Team

NINE_TO_FIVE = ((9 * 60, 17 * 60),)
OFFICE = Hours(
    name="office", zone="UTC", days=(*(NINE_TO_FIVE,) * 5, (), ()), closed=((date(2026, 11, 26), date(2026, 11, 26)),)
)
LATE = Hours(name="late", zone="UTC", days=(((13 * 60, 21 * 60),),) * 7)
TWICE = Sla(
    first_touch=Delay(minutes=240, working=True),
    reassign_after=Delay(minutes=480, working=True),
    give_up_after=2,
    then=Target(kind=TargetKind.QUEUE, name="inbound"),
)
REMINDED_ONLY = Sla(first_touch=Delay(minutes=60, working=True))
FOREVER = Sla(first_touch=Delay(minutes=60, working=True), reassign_after=Delay(minutes=120, working=True))


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Of November 2026: the 23rd is a Monday, the 26th a day on which the office is closed."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def held(since: datetime, *, hours: Hours | None = OFFICE, pooled: bool = True, changes: int = 0) -> Held:
    return Held(since=since, hours=hours, pooled=pooled, changes=changes)


@pytest.mark.parametrize(
    ("who", "rules", "now", "steps"),
    [
        (held(at(23, 10)), TWICE, at(23, 13, 59), []),
        (held(at(23, 10)), TWICE, at(23, 14), [Step.REMIND]),
        (held(at(23, 10)), TWICE, at(24, 9, 59), [Step.REMIND]),
        (held(at(23, 10)), TWICE, at(24, 10), [Step.REMIND, Step.REASSIGN]),
        (held(at(23, 10), changes=1), TWICE, at(24, 10), [Step.REMIND, Step.REASSIGN]),
        (held(at(23, 10), changes=2), TWICE, at(24, 10), [Step.REMIND, Step.GIVE_UP]),
        (held(at(23, 10), changes=9), FOREVER, at(23, 12), [Step.REMIND, Step.REASSIGN]),
        (held(at(23, 10), pooled=False), TWICE, at(24, 10), [Step.REMIND, Step.REPORT]),
        (held(at(23, 10), pooled=False, changes=2), TWICE, at(24, 10), [Step.REMIND, Step.REPORT]),
        (held(at(23, 10)), REMINDED_ONLY, at(30, 10), [Step.REMIND]),
        # at night, on a closed day and at the weekend no time passes
        (held(at(25, 16)), TWICE, at(27, 11, 59), []),
        (held(at(25, 16)), TWICE, at(27, 12), [Step.REMIND]),
        (held(at(27, 18)), TWICE, at(30, 12, 59), []),
        # another calendar, and none
        (held(at(23, 10), hours=LATE), TWICE, at(23, 16, 59), []),
        (held(at(23, 10), hours=LATE), TWICE, at(23, 17), [Step.REMIND]),
        (held(at(28, 22), hours=None), TWICE, at(29, 2), [Step.REMIND]),
    ],
)
def test_the_steps_that_are_due(who: Held, rules: Sla, now: datetime, steps: list[Step]) -> None:
    assert [one.step for one in due(who, rules, as_of=now)] == steps


def test_a_step_says_since_when_it_is_due_and_is_not_due_again_when_it_is_done() -> None:
    who = held(at(23, 10), pooled=False)
    reminded, reported = Due(step=Step.REMIND, at=at(23, 14)), Due(step=Step.REPORT, at=at(24, 10))
    assert due(who, TWICE, as_of=at(30, 12)) == (reminded, reported)
    assert due(who, TWICE, as_of=at(30, 12), done={Step.REMIND}) == (reported,)
    assert due(who, TWICE, as_of=at(30, 12), done={Step.REMIND, Step.REPORT}) == ()
    assert reassigned_at(who, TWICE) == at(24, 10)
    assert reassigned_at(who, REMINDED_ONLY) is None


def test_nothing_is_due_by_a_calendar_that_never_opens() -> None:
    never = Hours(name="never", zone="UTC", days=((),) * 7)
    assert due(held(at(23, 10), hours=never), TWICE, as_of=at(30, 12)) == ()


@pytest.mark.parametrize(
    ("queue", "hours", "alarm"),
    [
        (Queue(name="q", tell="m@x.y", alarm_after=Delay(minutes=120, working=True)), OFFICE, at(24, 10)),
        (Queue(name="q", tell="m@x.y", alarm_after=Delay(minutes=120, working=False)), OFFICE, at(23, 18)),
        (Queue(name="q", tell="m@x.y", alarm_after=Delay(minutes=120, working=True)), None, at(23, 18)),
        (Queue(name="q", tell="m@x.y"), OFFICE, None),
    ],
)
def test_when_a_queue_gives_alarm(queue: Queue, hours: Hours | None, alarm: datetime | None) -> None:
    assert alarm_at(queue, hours, at(23, 16)) == alarm


GIVEN = at(23, 10)


@pytest.mark.parametrize(
    ("events", "touched"),
    [
        ([], None),
        ([Happened(kind="email_reply", at=at(23, 11))], at(23, 11)),
        ([Happened(kind="meeting_held", at=at(24, 11)), Happened(kind="meeting_booked", at=at(23, 12))], at(23, 12)),
        ([Happened(kind="email_reply", at=GIVEN)], None),
        ([Happened(kind="email_reply", at=at(23, 9, 59))], None),
        ([Happened(kind="page_view", at=at(23, 11)), Happened(kind="email_click", at=at(23, 11))], None),
        ([Happened(kind="call", at=at(23, 11), direction="outbound")], at(23, 11)),
        ([Happened(kind="call", at=at(23, 11), direction="inbound")], None),
        ([Happened(kind="call", at=at(23, 11), direction="internal")], None),
        ([Happened(kind="call", at=at(23, 11))], at(23, 11)),
        # of what has a date only the day of the assignment counts
        ([Happened(kind="call", at=at(23, 0), timed=False)], at(23, 0)),
        ([Happened(kind="call", at=at(22, 0), timed=False)], None),
    ],
)
def test_the_first_touch(events: list[Happened], touched: datetime | None) -> None:
    assert first_touch(events, since=GIVEN, zone="UTC") == touched


def test_a_day_is_the_day_of_the_policys_zone() -> None:
    late = datetime(2026, 11, 24, 3, tzinfo=UTC)
    call = Happened(kind="call", at=at(23, 0), timed=False)
    assert first_touch([call], since=late, zone="America/New_York") == at(23, 0)
    assert first_touch([call], since=late, zone="UTC") is None


def test_the_calendar_of_a_rep_is_their_own_else_the_pools_else_none() -> None:
    def pool(name: str, hours: str | None, *reps: str) -> Pool:
        members = tuple(PoolRep(email=rep) for rep in reps)
        return Pool(name=name, method=PoolMethod.EVEN, nobody_free=NobodyFree(queue="q"), reps=members, hours=hours)

    first, second = pool("first", "office", "ana", "bo"), pool("second", None, "bo", "cy")
    team = Team(
        reps={"ana": Rep(email="ana", name="Ana"), "bo": Rep(email="bo", name="Bo", hours="late")},
        pools={"first": first, "second": second},
        hours={"office": OFFICE, "late": LATE},
    )
    assert [team.calendar(rep) for rep in ("ana", "bo", "cy", "stranger")] == [OFFICE, LATE, None, None]
    assert team.calendar("ana", second) is None
    assert (team.home("bo"), team.home("cy"), team.home("stranger")) == (first, second, None)


# -- laws --------------------------------------------------------------------------------------------------------


def lived(runs: list[int], rules: Sla, *, pooled: bool, touched: int | None) -> list[tuple[int, Step]]:
    """(which assignment, step) of everything that is done when runs come at these minutes after the assignment."""
    taken: list[tuple[int, Step]] = []
    step, changes, since, has_pool = 1, 0, GIVEN, pooled
    done: set[Step] = set()
    for minute in runs:
        now = GIVEN + timedelta(minutes=minute)
        if touched is not None and minute >= touched:
            break
        who = held(since, pooled=has_pool, changes=changes)
        for one in due(who, rules, as_of=now, done=done):
            taken.append((step, one.step))
            done.add(one.step)
            if one.step in (Step.REASSIGN, Step.GIVE_UP):
                step, since, done = step + 1, now, set()
                changes += one.step is Step.REASSIGN
            if one.step is Step.GIVE_UP:
                return taken
    return taken


MINUTES = st.integers(0, 14 * 24 * 60)
RULES = st.sampled_from([TWICE, REMINDED_ONLY, FOREVER])


@given(runs=st.lists(MINUTES, max_size=30), rules=RULES, pooled=st.booleans())
def test_no_step_is_taken_twice_however_often_it_runs(runs: list[int], rules: Sla, pooled: bool) -> None:
    taken = lived(sorted(runs), rules, pooled=pooled, touched=None)
    assert len(taken) == len(set(taken))


@given(runs=st.lists(MINUTES, max_size=30), last=MINUTES, rules=RULES)
def test_who_keeps_a_person_is_told_the_same_however_often_it_runs(runs: list[int], last: int, rules: Sla) -> None:
    often = sorted([*(minute for minute in runs if minute <= last), last])
    assert lived(often, rules, pooled=False, touched=None) == lived([last], rules, pooled=False, touched=None)


@given(runs=st.lists(MINUTES, min_size=1, max_size=30))
def test_a_person_goes_the_same_way_however_often_it_runs(runs: list[int]) -> None:
    """Fewer runs come less far, since the clock of each rep starts when they get the person; but on the same way."""
    whole = lived(list(range(0, 30 * 24 * 60, 15)), TWICE, pooled=True, touched=None)
    assert whole == [
        *((1, step) for step in (Step.REMIND, Step.REASSIGN)),
        *((2, step) for step in (Step.REMIND, Step.REASSIGN)),
        *((3, step) for step in (Step.REMIND, Step.GIVE_UP)),
    ]
    taken = lived(sorted(runs), TWICE, pooled=True, touched=None)
    assert taken == whole[: len(taken)]


@given(runs=st.lists(MINUTES, max_size=30), touched=MINUTES, rules=RULES, pooled=st.booleans())
def test_nothing_is_due_after_a_touch(runs: list[int], touched: int, rules: Sla, pooled: bool) -> None:
    told = lived(sorted(runs), rules, pooled=pooled, touched=touched)
    assert told == lived(sorted(m for m in runs if m < touched), rules, pooled=pooled, touched=None)
