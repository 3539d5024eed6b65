"""Queries as text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce import soql
from connectors.salesforce.soql import Key, Span

AT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("o'neil\\x\n", "'o\\'neil\\\\x\\n'"),
        ('say "hi"', "'say \\\"hi\\\"'"),
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (1.5, "1.5"),
        (AT, "2026-05-06T07:08:09Z"),
        (AT.replace(microsecond=120_000), "2026-05-06T07:08:09.120Z"),
        (datetime(2026, 5, 6, 9, 8, 9, tzinfo=timezone(timedelta(hours=2))), "2026-05-06T07:08:09Z"),
        (date(2026, 5, 6), "2026-05-06"),
    ],
)
def test_literals(value: object, text: str) -> None:
    assert soql.literal(value) == text  # type: ignore[arg-type]  # the table holds every type a literal takes


@pytest.mark.parametrize(
    ("given_id", "full"),
    [("70130000001tcyI", "70130000001tcyIAAQ"), ("00558000001N0Ke", "00558000001N0KeAAK")],
)
def test_short_ids_get_their_checksum(given_id: str, full: str) -> None:
    assert soql.id18(given_id) == full
    assert soql.id18(full) == full


def test_a_long_id_is_left_as_the_org_spells_it() -> None:
    assert soql.id18("00Q000000000001AAA") == "00Q000000000001AAA"


@pytest.mark.parametrize("text", ["../Account/001", "http://x", "00Q00000000001' OR", "", "00Q000000000001A", "ü" * 15])
def test_what_cannot_be_an_id_is_told_from_one(text: str) -> None:
    assert not soql.is_id(text)


@pytest.mark.parametrize("text", ["2024-05-06T07:08:09.000+0000", "2024-05-06T07:08:09Z", "2024-05-06T09:08:09+02:00"])
def test_times_come_in_three_spellings(text: str) -> None:
    assert soql.instant(text) == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_a_window_is_widened_to_whole_seconds_because_stamps_have_whole_seconds() -> None:
    span = Span(lo=AT.replace(microsecond=999_999), hi=AT.replace(microsecond=1))
    assert soql.changed(span) == "SystemModstamp >= 2026-05-06T07:08:09Z AND SystemModstamp <= 2026-05-06T07:08:10Z"


def test_a_first_load_has_no_lower_bound() -> None:
    assert soql.changed(Span(lo=None, hi=AT)) == "SystemModstamp <= 2026-05-06T07:08:09Z"


def test_a_restart_goes_on_after_the_last_row_by_stamp_and_id() -> None:
    key = Key(stamp="2026-05-06T07:08:09.000+0000", id="00Q5g0000000001EAA")
    assert soql.changed(Span(lo=None, hi=AT + timedelta(hours=1)), key) == (
        "SystemModstamp <= 2026-05-06T08:08:09Z AND (SystemModstamp > 2026-05-06T07:08:09Z "
        "OR (SystemModstamp = 2026-05-06T07:08:09Z AND Id > '00Q5g0000000001EAA'))"
    )


def test_resume_points_survive_being_text() -> None:
    key = Key(stamp="2026-05-06T07:08:09.000+0000", id="00Q5g0000000001EAA")
    assert Key.parse(str(key)) == key


@pytest.mark.parametrize("text", ["", "x", "|", "2026-05-06T07:08:09Z|' OR 1", "yesterday|00Q5g0000000001EAA"])
def test_a_foreign_resume_point_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message differs by what is wrong
        Key.parse(text)


def test_halves_cover_the_span_and_meet_in_one_second() -> None:
    halves = Span(lo=AT, hi=AT + timedelta(seconds=5)).halves()
    assert halves is not None
    assert halves[0].lo == AT
    assert halves[0].hi == halves[1].lo
    assert halves[1].hi == AT + timedelta(seconds=5)


def test_a_span_of_a_second_cannot_be_halved() -> None:
    assert Span(lo=AT, hi=AT + timedelta(seconds=1)).halves() is None


@given(st.integers(min_value=0, max_value=1000), st.integers(min_value=0, max_value=7000))
def test_chunks_lose_nothing_and_fit_in_one_address(count: int, around: int) -> None:
    ids = [f"00Q5g00000{i:05d}EAA" for i in range(count)]
    groups = list(soql.chunks(ids, 300, around))
    assert [id for group in groups for id in group] == ids
    for group in groups:
        listed = soql.address(",".join(soql.literal(id) for id in group))
        assert len(group) == 1 or len(listed) + around <= soql.URI_LIMIT


def test_three_hundred_ids_are_one_short_query() -> None:
    ids = [f"00Q5g00000{i:05d}EAA" for i in range(300)]
    assert len(list(soql.chunks(ids, 300, around=1500))) == 1


@given(st.text())
def test_an_address_says_what_the_query_said(text: str) -> None:
    query = soql.select(["Id"], "Lead", f"Name = {soql.literal(text.encode(errors='replace').decode())}")
    assert unquote_plus(soql.address(query)) == query
