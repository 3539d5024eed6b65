"""Answers of both APIs as columns, and columns as records."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.fields import FactField
from connectors.normalise import converter, number, to_moment
from connectors.records import FieldKind
from connectors.salesforce.bulk import problem_in
from connectors.salesforce.bulk_ingest import cell
from connectors.salesforce.shapes import Companies, Fact, People, converted
from connectors.salesforce.tables import Decoder, Table, of_csv

STAMP = "2026-05-06T07:08:09.000+0000"


def body(*records: Any, **more: Any) -> bytes:
    return json.dumps({"records": list(records), "done": True, "totalSize": len(records)} | more).encode()


def test_a_page_is_decoded_to_the_columns_asked_for_and_no_others() -> None:
    names = ("Id", "Campaign.Name", "Campaign.Owner.Name", "Amount")
    answer = Decoder(names)(
        body(
            {"attributes": {"type": "X"}, "Id": "1", "Campaign": {"Name": "a", "Owner": {"Name": "o"}}, "Amount": 1.5},
            {"Id": "2", "Campaign": {"Name": "b", "Owner": None}, "Amount": None, "Other": [1]},
            {"Id": "3", "Campaign": None},
        )
    )
    assert dict(answer.table.columns) == {
        "Id": ("1", "2", "3"),
        "Amount": (1.5, None, None),
        "Campaign.Name": ("a", "b", None),
        "Campaign.Owner.Name": ("o", None, None),
    }
    assert answer.table.size == 3
    assert answer.table.rows()[1] == {"Id": "2", "Amount": None, "Campaign.Name": "b", "Campaign.Owner.Name": None}


@pytest.mark.parametrize(
    ("said", "done", "url"),
    [
        ({"done": True}, True, None),
        ({"done": None}, True, None),
        ({"done": None, "nextRecordsUrl": "/services/x"}, False, "/services/x"),
        ({"done": False, "nextRecordsUrl": "/services/x"}, False, "/services/x"),
    ],
)
def test_the_end_is_known_also_where_half_of_it_is_not_said(said: dict[str, Any], done: bool, url: str | None) -> None:
    answer = Decoder(("Id",))(body(**said))
    assert (answer.done, answer.next_url, answer.table.size) == (done, url, 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"records": {}}',
        b'{"records": [1]}',
        b'{"records": [null]}',
        b'{"records": [], "done": false}',
        body({"Id": "1"})[:-4],
        b'{"records": ["\xff"]}',
    ],
)
def test_what_is_no_page_of_a_query_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Decoder(("Id",))(content)


KINDS = {"N": FieldKind.NUMBER, "B": FieldKind.BOOLEAN, "D": FieldKind.DATETIME}


def test_cells_are_typed_as_json_has_them() -> None:
    text = 'b,n,D,Owner.Name\ntrue,87.0,2026-05-06T07:08:09.000Z,"a ""b"",\r\nc"\nfalse,1.5,2026-05-06,\n,,,x\n'
    [table] = of_csv(text.encode(), ("Owner.Name", "N", "B", "D"), KINDS, rows=3).parts(9)
    assert {name: list(column) for name, column in table.columns.items()} == {
        "Owner.Name": ['a "b",\r\nc', None, "x"],
        "N": [87, 1.5, None],
        "B": [True, False, None],
        "D": [STAMP, "2026-05-06", None],
    }


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1), st.text('ab,"\n\r ')),
        max_size=8,
    )
)
def test_every_text_comes_through_csv_as_it_is(rows: list[tuple[str, str]]) -> None:
    text = io.StringIO(newline="")
    out = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    out.writerows([("X", "Y"), *rows])
    sheet = of_csv(text.getvalue().encode(), ("X", "Y"), {}, rows=len(rows))
    read = [pair for part in sheet.parts(3) for pair in zip(part["X"], part["Y"], strict=True)]
    assert read == [(x or None, y or None) for x, y in rows]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("<html>Bad gateway</html>", None),
        ("<html>Bad gateway</html>\n", None),
        ('"Id","X"\n"1","2"\n"3"', None),
        ('"Id","X"\n"1","2"\n"3","4', None),
        ('"Id","X"\n"1","2"\n', 2),
        ('"Id"\n"1"\n', None),
        ('"Id","X"\n"1","2\n', None),
        ('"Id","X"\n"1","2","3"\n', None),
        ("Id,X\n1,2\n3,4", None),
        ("", 2),
    ],
)
def test_a_csv_page_that_is_cut_off_or_another_is_a_value_error(text: str, rows: int | None) -> None:
    with pytest.raises(ValueError, match=r"page|CSV|columns"):
        of_csv(text.encode(), ("Id", "X"), {}, rows=rows)


def test_the_last_row_may_have_no_line_end() -> None:
    [table] = of_csv(b'"Id","X"\n"1","2"', ("Id", "X"), {}, rows=1).parts(9)
    assert list(table["X"]) == ["2"]


@pytest.mark.parametrize("text", ["", '"Id","X"\n', '\ufeff"Id","X"\n'])
def test_a_job_without_rows_is_an_empty_table(text: str) -> None:
    [table] = of_csv(text.encode(), ("Id", "X"), {}, rows=0).parts(9)
    assert (table.size, list(table["X"])) == (0, [])


# -- records -------------------------------------------------------------------------------------------------------


def table(**columns: list[Any]) -> Table:
    size = max(map(len, columns.values()))
    given = {"Id": [f"00Q5g0000000{n:03d}AAA" for n in range(size)], "SystemModstamp": [STAMP] * size} | columns
    return Table(size=size, columns=given)


EMPLOYEES = Fact(name="company.employees", property="NumberOfEmployees", convert=number)


def test_a_value_that_cannot_be_read_is_a_problem_of_its_record_alone() -> None:
    shape = People("lead", [EMPLOYEES], email="Email", written=("Grade__c",), heard=())
    page = shape.page(table(NumberOfEmployees=[1, "many", None, "many", 5.0], Grade__c=[1.0, True, "", None, "A"]), "x")
    assert [person.facts for person in page.rows] == [
        {"company.employees": 1},
        {},
        {},
        {},
        {"company.employees": 5},
    ]
    assert [len(person.problems) for person in page.rows] == [0, 1, 0, 1, 0]
    assert page.rows[1].problems[0].ref == page.rows[1].ref
    assert [person.current["Grade__c"] for person in page.rows] == ["1", "true", None, None, "A"]


@pytest.mark.parametrize("convert", [number, converter(FactField(fact="x")), to_moment])
def test_a_value_with_parts_is_a_problem_of_its_record_alone(convert: Any) -> None:
    """A whole address, say, which no fact can hold."""
    shape = People("lead", [Fact(name="x", property="Address", convert=convert)], email="Email", written=(), heard=())
    page = shape.page(table(Address=[{"city": "Ulm"}, None, ["Ulm"]]), "x")
    assert [person.facts for person in page.rows] == [{}, {}, {}]
    assert [len(person.problems) for person in page.rows] == [1, 0, 1]


def test_a_row_that_is_no_record_is_a_problem_of_the_page_and_the_others_are_read() -> None:
    stamps = [STAMP, "yesterday", None, STAMP]
    page = Companies("account", []).page(table(SystemModstamp=stamps), None)
    assert [one.ref.id[12:15] for one in page.rows] == ["000", "003"]
    assert [problem.field for problem in page.problems] == ["SystemModstamp"] * 2
    assert page.rows[0].modified_at == datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b"]), st.text(max_size=3)), max_size=30))
def test_a_column_is_converted_as_its_values_are(column: list[str | None]) -> None:
    assert list(converted(column, str.upper)) == [None if value is None else value.upper() for value in column]


# -- words of jobs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code", "message", "fields"),
    [
        (
            "STRING_TOO_LONG:data value too large: x (max length=2):MQL_Grade__c --",
            "STRING_TOO_LONG",
            None,
            ("MQL_Grade__c",),
        ),
        (
            "FIELD_CUSTOM_VALIDATION_EXCEPTION:Time: not before 9:00:--",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "Time: not before 9:00",
            (),
        ),
        ("ENTITY_IS_DELETED:entity is deleted:--", "ENTITY_IS_DELETED", "entity is deleted", ()),
        (
            "INVALID_FIELD: No such column 'X__c' on entity 'Lead'",
            "INVALID_FIELD",
            "No such column 'X__c' on entity 'Lead'",
            (),
        ),
        (
            "INVALID_FIELD: \nSELECT Id,X__c\n ^\nERROR at Row:1:Column:11\nNo such column 'X__c' on entity 'Lead'.",
            "INVALID_FIELD",
            "SELECT Id,X__c\n ^\nERROR at Row:1:Column:11\nNo such column 'X__c' on entity 'Lead'.",
            (),
        ),
        ("InvalidBatch : Field name not found : X__c", "", "InvalidBatch : Field name not found : X__c", ()),
        ("", "", "", ()),
    ],
)
def test_what_went_wrong_is_read_from_the_words_of_a_job(
    said: str, code: str, message: str | None, fields: tuple[str, ...]
) -> None:
    problem = problem_in(said)
    assert (problem.code, problem.fields) == (code, fields)
    assert message is None or problem.message == message


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "#N/A"), ("", "#N/A"), (True, "true"), (False, "false"), (87, "87"), (0.5, "0.5"), ("a\nb", "a\nb")],
)
def test_a_value_is_written_as_a_job_reads_it(value: Any, text: str) -> None:
    assert cell(value) == text
