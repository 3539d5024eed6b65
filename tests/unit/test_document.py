"""The positioned reader: what it accepts, and where it says something is wrong."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from scoring.conditions import Span, Unit
from scoring.document import (
    Kind,
    PolicyInvalid,
    Problem,
    Unreadable,
    did_you_mean,
    parse_boolean,
    parse_clock,
    parse_date,
    parse_days,
    parse_delay,
    parse_instant,
    parse_number,
    parse_percent,
    parse_working_time,
    read_document,
)
from scoring.team import Delay


def told(content: bytes | str) -> list[str]:
    node = read_document(content, "f.yaml")
    node.report_empty()
    return [str(p) for p in node.problems]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a: this key is already on line 1"),
        ("a: {b: 1, c: {d: 1, d: 2}}\n", "f.yaml:1:21: a.c.d: this key is already on line 1"),
        ("a: &x 1\n", "f.yaml:1:4: a: anchors (&name) are not allowed"),
        (
            "a: !!str 1\n",
            "f.yaml:1:4: a: tags (!name) are not allowed: every value is text, the key says what it means",
        ),
        ("<<: {a: 1}\n", "f.yaml:1:1: <<: merge keys (<<) are not allowed"),
        ("a: {b: c, d}\n", "f.yaml:1:11: a.d: no value"),
        ("a:\n  - x\n  -\n", "f.yaml:3:4: a[1]: no value"),
        ("a: 1\n---\nb: 1\n", "f.yaml:2:1: a file is one document: there is a second one here"),
        ("%YAML 1.1\n---\na: 1\n", "f.yaml:2:1: files are read as YAML 1.2: take the %YAML line away"),
        ("", "f.yaml:1:1: the file is empty"),
        ("# nothing but this\n", "f.yaml:1:1: the file is empty"),
        (b"a: 1\nb: \xff\n", "f.yaml:2:4: this is not UTF-8"),
        ("a: 1\nb: \x07\n", "f.yaml:2:4: this character is not allowed in YAML"),
        ("? [a]\n: b\n", "f.yaml:1:3: a key is a text: give the list a name under 'lists' and write 'in NAME'"),
        ("{a: 1}: b\n", "f.yaml:1:1: a key is a text"),
        (b"a: " + b"x" * (2 * 1024 * 1024), "f.yaml:1:1: the file is larger than 2 MiB"),
        ('a: "\\ud83d"\n', "f.yaml:1:4: a: half a character: \\uD800 to \\uDFFF come in pairs"),
    ],
)
def test_a_file_outside_the_subset_is_told_with_its_place(content: bytes | str, problem: str) -> None:
    assert told(content) == [problem]


def test_an_alias_is_an_error_even_beside_its_anchor() -> None:
    assert told("a: &x 1\nb: *x\n") == [
        "f.yaml:1:4: a: anchors (&name) are not allowed",
        "f.yaml:2:4: b: aliases (*name) are not allowed",
    ]


def test_deep_nesting_is_refused_without_exhausting_the_stack() -> None:
    (problem,) = told("a: " + "[" * 5000 + "]" * 5000)
    assert problem.endswith("nested deeper than 40 levels")


@pytest.mark.parametrize("rest", ["b: " + "[" * 99, "---\nb: 1", "b: [", "b: \x07"])
def test_of_a_file_that_cannot_be_read_to_its_end_nothing_else_is_said(rest: str) -> None:
    node = read_document(f"a: {{x, y: 1}}\n{rest}\n", "f.yaml")
    node.fields("version", required=("version",))
    (problem,) = PolicyInvalid(node.problems).problems
    assert problem.line >= 2


def test_a_mapping_can_be_looked_at_without_one_of_its_keys() -> None:
    node = read_document("a: 1\nb: 2\n", "f.yaml").without("a")
    assert ([entry.key for entry in node.entries], node.get("a")) == (["b"], None)
    assert node.find("b") is not None


def test_every_scalar_is_text_whatever_yaml_would_make_of_it() -> None:
    written = ["NO", "on", "012", "17:00", "2026-12-21", "null", "~", "1e3", "0x1F", "true"]
    root = read_document(f"[{', '.join(written)}]", "f.yaml")
    assert [item.value for item in root.items] == written
    assert {item.kind for item in root.items} == {Kind.TEXT}


def test_json_is_read_with_the_same_places() -> None:
    root = read_document('{"name": "x",\n "emoji": "\\ud83d\\ude00", "list": [1, true]}', "f.json")
    assert not root.problems
    assert root.find("emoji").value == "\U0001f600"
    place = root.find("list", 1)
    assert (place.line, place.col, place.value, place.path) == (2, 39, "true", "list[1]")


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read_document(b"\xef\xbb\xbfname: x\n", "f.yaml").find("name").value == "x"


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_number, "012", Decimal(12)),
        (parse_number, "-5", Decimal(-5)),
        (parse_number, "0.25", Decimal("0.25")),
        (parse_number, "123456789012.123456", Decimal("123456789012.123456")),
        (parse_percent, "5%", 500),
        (parse_percent, "0.5%", 50),
        (parse_percent, "100%", 10_000),
        (parse_boolean, "true", True),
        (parse_boolean, "false", False),
        (parse_days, "14 days", Span(14)),
        (parse_days, "1 day", Span(1)),
        (parse_days, "2 weeks", Span(14)),
        (parse_days, "3 months", Span(3, Unit.MONTH)),
        (parse_clock, "0 seconds", timedelta(0)),
        (parse_clock, "15 minutes", timedelta(minutes=15)),
        (parse_clock, "2 hours", timedelta(hours=2)),
        (parse_date, "2026-12-21", date(2026, 12, 21)),
        (parse_delay, "90 minutes", Delay(minutes=90, working=False)),
        (parse_delay, "1 hour", Delay(minutes=60, working=False)),
        (parse_delay, "2  working  hours", Delay(minutes=120, working=True)),
        (parse_working_time, "30 working minutes", Delay(minutes=30, working=True)),
        (parse_instant, "2026-12-21T14:00:00Z", datetime(2026, 12, 21, 14, tzinfo=UTC)),
        (parse_instant, "2026-12-21T14:00+02:00", datetime(2026, 12, 21, 12, tzinfo=UTC)),
        (parse_instant, "2026-12-21T14:00:00.5Z", datetime(2026, 12, 21, 14, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_scalars_become_their_type(parse, text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_number, "1,000", "'1,000': write 1000"),
        (parse_number, "50%", "'50%': a plain number is wanted here, not a percentage"),
        (parse_number, "2k", "'2k' is not a number (at most 12 digits before and 6 after the point)"),
        (parse_number, "1e3", "'1e3' is not a number (at most 12 digits before and 6 after the point)"),
        (parse_number, "1.1234567", "'1.1234567' is not a number (at most 12 digits before and 6 after the point)"),
        (parse_number, "٣", "'٣' is not a number (at most 12 digits before and 6 after the point)"),
        (parse_percent, "0.05", "'0.05': a percentage has a %: write 5%"),
        (parse_percent, "101%", "'101%': a percentage is from 0% to 100%"),
        (parse_boolean, "yes", "'yes': write true or false"),
        (parse_boolean, "True", "'True': write true or false"),
        (parse_days, "14", "'14': say of what: write '14 days'"),
        (parse_days, "24 hours", "scoring counts whole days: write '1 day'"),
        (parse_days, "36 hours", "scoring counts whole days: write '2 days'"),
        (parse_days, "3 mnths", "'3 mnths': unknown unit 'mnths', did you mean 'months'?"),
        (parse_days, "0 days", "'0 days': from 1 to 36500 days"),
        (parse_clock, "5 min", "'5 min' is not a time span: write it like '10 seconds', '5 minutes' or '2 hours'"),
        (parse_date, "21.12.2026", "'21.12.2026': write 2026-12-21"),
        (parse_date, "2026-02-30", "'2026-02-30': there is no such day"),
        (parse_delay, "1 second", "'1 second' is not a time span: write it like '4 working hours' or '30 minutes'"),
        (parse_delay, "0 minutes", "'0 minutes': from 1 minute to 8760 hours"),
        (parse_delay, "999999999 hours", "'999999999 hours': from 1 minute to 8760 hours"),
        (parse_working_time, "4 business hours", "'4 business hours': write '4 working hours'"),
        (parse_working_time, "4 hours", "'4 hours': working time is wanted here: write '4 working hours'"),
        (
            parse_instant,
            "2026-12-21T14:00:00",
            "'2026-12-21T14:00:00' does not say its zone: write 2026-12-21T14:00:00Z for UTC, or an offset like +02:00",
        ),
        (parse_instant, "2026-12-21T25:00Z", "'2026-12-21T25:00Z': there is no such instant"),
        (parse_instant, "2026-12-21", "'2026-12-21' is not an instant: write it like 2026-12-21T14:00:00Z"),
    ],
)
def test_a_scalar_of_another_type_says_what_to_write(parse, text: str, message: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("word", "names", "answer"),
    [
        ("emae", ["emea", "americas"], ", did you mean 'emea'?"),
        ("gven", ["given", "none"], ", did you mean 'given'?"),
        ("pageview", ["page_view", "site_visit"], ", did you mean 'page_view'?"),
        ("em", ["emea"], ""),
        ("us", ["eu"], ""),
        ("completely", ["different"], ""),
        ("abcdefgh", ["abcdefgh_extra"], ""),
    ],
)
def test_the_nearest_name_is_proposed_only_when_near(word: str, names: list[str], answer: str) -> None:
    assert did_you_mean(word, names) == answer


def test_unknown_missing_and_postponed_keys_are_told_apart() -> None:
    root = read_document("later: y\nzzzzz: 1\n", "f.yaml")
    assert root.fields("name", "age", required=("name",), later=("later",)) == {}
    assert [str(p) for p in root.problems] == [
        "f.yaml:1:1: later: 'later' is not supported by this version yet",
        "f.yaml:2:1: zzzzz: unknown key",
        "f.yaml:1:1: name: this key is missing",
    ]


@pytest.mark.parametrize(
    ("content", "name"), [("nmae: x\n", "x"), ("nmae: x\nname: y\n", "y"), ("name: y\nnmae: x\n", "y")]
)
def test_a_misspelt_key_is_one_error_and_read_as_the_one_meant_unless_that_is_there(content: str, name: str) -> None:
    root = read_document(content, "f.yaml")
    assert root.fields("name", required=("name",))["name"].text() == name
    (problem,) = root.problems
    assert problem.message == "unknown key, did you mean 'name'?"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a: {b: 1,000}", "f.yaml:1:8: a.b: inside { } a comma starts a new key: write 1000"),
        (
            "a: {b: from 1,000,500.25, c: 2}",
            "f.yaml:1:8: a.b: inside { } a comma starts a new key: write from 1000500.25",
        ),
        ("a: {from 1,000: 5, c: 2}", "f.yaml:1:5: a.from 1000: inside { } a comma starts a new key: write from 1000"),
        (
            "a: {from 1,000,500: 5}",
            "f.yaml:1:5: a.from 1000500: inside { } a comma starts a new key: write from 1000500",
        ),
    ],
)
def test_a_comma_within_a_number_inside_braces_is_one_error_at_the_number(content: str, problem: str) -> None:
    assert told(content) == [problem]


@pytest.mark.parametrize("content", ["a: {b: 1,200: 5}", "a: {100: 5,200: 6}", "a: {b: x,c: 1}"])
def test_a_comma_between_two_keys_is_none_of_a_number(content: str) -> None:
    assert told(content) == []


def test_readers_report_the_wrong_kind_and_go_on() -> None:
    root = read_document("a: [1]\nb: {c: 1}\nc: x\nd: 7\n", "f.yaml")
    a, b, c, d = (root.find(key) for key in "abcd")
    assert (a.text(), b.each(), c.pairs(), d.integer(1, 5), c.choice(("one", "two"))) == ("", (), (), 1, "one")
    assert [str(p) for p in root.problems] == [
        "f.yaml:1:4: a: a text is wanted here, not a list",
        "f.yaml:2:4: b: a list is wanted here, not a mapping",
        "f.yaml:3:4: c: a mapping is wanted here, not a text",
        "f.yaml:4:4: d: '7': a whole number from 1 to 5 is wanted here",
        "f.yaml:3:4: c: 'x' is not one of one, two",
    ]


def test_the_exception_lists_problems_by_file_line_and_column() -> None:
    def problem(file: str, line: int, col: int) -> Problem:
        return Problem(file=file, line=line, col=col, path="p", message="m")

    scattered = [problem("b", 1, 1), problem("a", 10, 1), problem("a", 2, 9), problem("a", 2, 3), problem("b", 1, 1)]
    assert str(PolicyInvalid(scattered)).splitlines() == ["a:2:3: p: m", "a:2:9: p: m", "a:10:1: p: m", "b:1:1: p: m"]
