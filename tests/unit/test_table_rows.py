"""Facts and events as rows of the two tables that scoring reads."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from scoring.facts import FactType, custom_fact
from scoring.tables import event_row, events_schema, page_path, people_row, people_schema

BERLIN = ZoneInfo("Europe/Berlin")
CUSTOM = {
    "person.custom.langs": custom_fact("person.custom.langs", FactType.LIST),
    "person.custom.since": custom_fact("person.custom.since", FactType.DATE),
}


def row(facts: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = people_row(facts, "p", 7, zone=BERLIN, custom=CUSTOM, **more)
    (back,) = pa.Table.from_pylist([made], people_schema(CUSTOM)).to_pylist()
    assert back == made
    return made


def test_a_row_has_a_column_for_everything_and_only_that() -> None:
    assert set(row({})) == set(people_schema(CUSTOM).names)


def test_missing_facts_are_null_save_those_that_are_false_or_zero() -> None:
    known = {name: value for name, value in row({}).items() if value is not None}
    assert known == {
        "person_id": "p",
        "seq": 7,
        "person.unsubscribed": False,
        "person.hard_bounced": False,
        "person.converted": False,
        "company.is_customer": False,
        "company.open_opportunities": 0,
    }


@pytest.mark.parametrize(
    ("fact", "value", "columns"),
    [
        ("person.title", "Vice-President,  Sales", {"": "vice-president, sales", "#words": " vice president sales "}),
        ("person.title", "-", {"": "-", "#words": ""}),
        ("person.country", "DE", {"": "de"}),
        ("person.lifecycle_stage", "mql", {"": "mql"}),
        ("company.employees", Decimal("12.5"), {"": 12_500_000}),
        ("person.created_at", datetime(2026, 1, 1, 23, 30, tzinfo=UTC), {"": date(2026, 1, 2)}),
        ("person.created_at", date(2026, 1, 1), {"": date(2026, 1, 1)}),
        ("person.custom.since", date(2026, 1, 1), {"": date(2026, 1, 1)}),
        ("person.custom.langs", ("Go", "C  Sharp"), {"": "\x1fgo\x1fc sharp\x1f"}),
        ("company.is_customer", True, {"": True}),
        ("identity.confidence", Decimal("0.95"), {"": 950_000}),
    ],
)
def test_values_are_stored_in_the_form_they_are_compared_in(fact: str, value: Any, columns: dict[str, Any]) -> None:
    made = row({fact: value})
    assert {end: made[fact + end] for end in columns} == columns


def test_validity_stands_beside_addresses_and_numbers() -> None:
    made = row({"person.email": "A@x.com", "person.phone": "1"}, valid={"person.email": True, "person.phone": False})
    assert (made["person.email"], made["person.email#valid"]) == ("a@x.com", True)
    assert (made["person.phone"], made["person.phone#valid"]) == ("1", False)


def test_a_value_of_another_type_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match=r"person.title is a text"):
        people_row({"person.title": Decimal(1)}, "p", 1, zone=BERLIN)


def event(at: datetime | date, **more: Any) -> dict[str, Any]:
    made = event_row("p", "hubspot:1", "page_view", at, zone=BERLIN, **more)
    (back,) = pa.Table.from_pylist([made], events_schema()).to_pylist()
    assert back == made
    assert set(made) == set(events_schema().names)
    return made


@pytest.mark.parametrize(
    ("at", "timed", "day", "stored"),
    [
        (datetime(2026, 1, 1, 23, 30, tzinfo=UTC), True, date(2026, 1, 2), datetime(2026, 1, 1, 23, 30, tzinfo=UTC)),
        (datetime(2026, 1, 1, 23, 30, tzinfo=UTC), False, date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)),
        (date(2026, 1, 1), True, date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
    ],
    ids=[
        "an instant has a local day",
        "a counter's instant is only good for its day",
        "a date is that date everywhere",
    ],
)
def test_days_of_events(at: datetime | date, timed: bool, day: date, stored: datetime) -> None:
    made = event(at, timed=timed)
    assert (made["day"], made["at"]) == (day, stored)
    assert made["timed"] == (timed and isinstance(at, datetime))


def test_attributes_are_folded_with_their_words_and_minutes_are_micro_minutes() -> None:
    given = {"form": "Contact  Sales", "path": "https://x.com/Pricing/?q=1", "minutes": "2.5", "other": "x"}
    made = event(date(2026, 1, 1), attributes=given)
    assert (made["form"], made["form#words"]) == ("contact sales", " contact sales ")
    assert (made["path"], made["path#words"]) == ("/pricing", " pricing ")
    assert made["minutes"] == 2_500_000
    assert made["asset"] is None


@pytest.mark.parametrize("minutes", ["long", None, True, "NaN", float("inf")])
def test_minutes_that_are_no_number_are_missing(minutes: Any) -> None:
    assert event(date(2026, 1, 1), attributes={"minutes": minutes})["minutes"] is None


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("https://acme.com/pricing/?a=1#b", "/pricing"),
        ("http://acme.com", "/"),
        ("acme.com/a/b/", "/a/b"),
        ("/careers/", "/careers"),
        ("/", "/"),
        ("pricing", "/pricing"),
        ("/a:b/c?x", "/a:b/c"),
        (" /x ", "/x"),
    ],
)
def test_a_path_is_stored_without_scheme_host_query_fragment_and_final_slash(address: str, path: str) -> None:
    assert page_path(address) == path
