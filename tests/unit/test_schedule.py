"""Slots are a pure function of the schedule, through both changes of the clock."""

from datetime import UTC, datetime, timedelta

import pytest

from sync.schedule import Cron, Every, due, next_slots, slot_key, slots


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_interval_slots_are_the_same_for_every_process_whenever_it_starts():
    quarter = Every(interval=timedelta(minutes=15))
    first = slots(quarter, at("2026-11-25T10:01:00"), at("2026-11-25T11:00:00"))
    second = slots(quarter, at("2026-11-25T10:14:59"), at("2026-11-25T11:00:00"))
    assert first == second
    assert [slot_key(quarter, s) for s in first] == [
        f"2026-11-25T1{h}:{m}:00Z" for h, m in ((0, 15), (0, 30), (0, 45), (1, "00"))
    ]


@pytest.mark.parametrize(
    ("cron", "zone", "since", "until", "keys"),
    [
        # 02:30 happens twice in Berlin on 25 October 2026: one slot
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00", "2026-10-25T12:00:00", ["2026-10-25T02:30:00"]),
        # 02:30 does not happen on 29 March 2026: it fires once, an hour on
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00",
            "2026-03-30T12:00:00",
            ["2026-03-29T03:30:00", "2026-03-30T02:30:00"],
        ),
        (
            "0 3 * * sun",
            "UTC",
            "2026-11-20T00:00:00",
            "2026-11-30T00:00:00",
            ["2026-11-22T03:00:00", "2026-11-29T03:00:00"],
        ),
    ],
)
def test_daily_slots_survive_the_change_of_the_clock(cron, zone, since, until, keys):
    schedule = Cron(expression=cron, timezone=zone)
    assert [slot_key(schedule, s) for s in slots(schedule, at(since), at(until))] == keys


def test_missed_slots_become_the_newest_one_and_very_old_ones_are_missed():
    hourly = Every(interval=timedelta(hours=1))
    found = due(hourly, since=at("2026-11-24T00:00:00"), at=at("2026-11-25T00:30:00"), catch_up=timedelta(hours=3))
    assert found.run == at("2026-11-25T00:00:00")
    assert found.coalesced == (at("2026-11-24T22:00:00"), at("2026-11-24T23:00:00"))
    assert len(found.missed) == 21


def test_nothing_is_due_between_two_slots():
    hourly = Every(interval=timedelta(hours=1))
    assert (
        due(hourly, since=at("2026-11-25T00:00:00"), at=at("2026-11-25T00:59:00"), catch_up=timedelta(hours=3)).run
        is None
    )


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("0 9 * * 1", "name the weekdays"),
        ("0 9 1 * mon", "not both"),
        ("@daily", "five fields"),
        ("61 9 * * *", "61"),
    ],
)
def test_a_cron_line_that_programs_read_differently_is_refused(expression, says):
    with pytest.raises(ValueError, match=says):
        Cron(expression=expression, timezone="UTC")


def test_a_schedule_that_never_comes_has_no_next_slots():
    assert next_slots(Cron(expression="0 9 31 2 *", timezone="UTC"), at=at("2026-11-25T00:00:00")) == []
    assert len(next_slots(Cron(expression="0 9 * * mon", timezone="UTC"), at=at("2026-11-25T00:00:00"))) == 5
