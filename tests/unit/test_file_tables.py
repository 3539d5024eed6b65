"""CSV and Parquet as people export them: every row is read, or named by its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import RunCannotContinue
from connectors.file.settings import FileSettings
from connectors.file.tables import LONGEST_ROW, Broken, Row, table
from connectors.file.values import columns_of, said, when
from tests.support.stores import quick_folder

BERLIN = ZoneInfo("Europe/Berlin")
COLUMNS = ("id", "name", "note")


def settings(path: Path, **more: str) -> FileSettings:
    return FileSettings(name="list", people=path, zone=BERLIN, **more)


def read(path: Path, *columns: str, **more: str) -> list[Row | Broken]:
    return list(table(path, settings(path, **more)).rows(columns or COLUMNS))


def cells(path: Path, **more: str) -> list[tuple[int, dict[str, str]]]:
    found = read(path, **more)
    assert all(isinstance(row, Row) for row in found), found
    return [(row.line, dict(row.cells)) for row in found]


ANN = {"id": "1", "name": "Änne", "note": "a;b,c"}
BOB = {"id": "2", "name": 'Bob "B"', "note": "two\nlines"}
PLAIN = 'id,name,note\n1,Änne,"a;b,c"\n2,"Bob ""B""","two\nlines"\n'


@pytest.mark.parametrize(
    ("content", "more"),
    [
        pytest.param(PLAIN.encode(), {}, id="plain"),
        pytest.param(PLAIN.encode("utf-8-sig"), {}, id="with a byte order mark"),
        pytest.param(PLAIN.encode("utf-8-sig"), {"encoding": "windows-1252"}, id="a mark goes before the setting"),
        pytest.param(PLAIN.encode("utf-16"), {}, id="UTF-16 as Excel saves it"),
        pytest.param(PLAIN.encode("windows-1252"), {"encoding": "windows-1252"}, id="windows-1252"),
        pytest.param(b"\n".join(PLAIN.encode().split(b"\n")[:-1]), {}, id="no line end at the end"),
        pytest.param(PLAIN.replace("\n1", "\n\n1").replace("\n2", "\n,,\n2").encode(), {"skip": "2"}, id="blank rows"),
    ],
)
def test_however_it_is_saved_the_same_rows_are_read(tmp_path: Path, content: bytes, more: dict[str, str]) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    shifted = int(more.pop("skip", "0"))
    assert cells(path, **more) == [(2 + shifted // 2, ANN), (3 + shifted, BOB)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_delimiter_and_the_line_end_are_seen(tmp_path: Path, delimiter: str, end: str) -> None:
    path = tmp_path / "people.txt"
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows([ANN, BOB])
    path.write_bytes(text.getvalue().encode())
    assert cells(path) == [(2, ANN), (3, BOB)]


def test_excels_own_word_for_the_delimiter_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("sep=;\nid;name;note\n1;A,B;x\n")
    assert cells(path) == [(3, {"id": "1", "name": "A,B", "note": "x"})]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("1,a,b\n2,a\n3,a,b\n", [(3, "2 cells where the header has 3", "2")]),
        ("1,a,b\n2,a,b,c\n3,a,b\n", [(3, "4 cells where the header has 3", "2")]),
        ('1,a,b\n2,"a,b\n3,a,b\n', [(3, "a quote is not closed", "2")]),
        ('1,a,b\n2,"a"x,b\n3,a,b\n', [(3, "',' expected after '\"'", "2")]),
        ('1,a,b\n2,a,"b\n3,a,"b\n', [(3, "',' expected after '\"'", "2"), (4, "a quote is not closed", "3")]),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_the_others_are_read(
    tmp_path: Path, body: str, told: list[tuple[int, str, str]]
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(f"id,name,note\n{body}")
    found = read(path)
    broken = [(row.line, row.reason, row.cells.get("id")) for row in found if isinstance(row, Broken)]
    assert [
        (line, reason[: len(said)], id) for (line, reason, id), (_, said, _) in zip(broken, told, strict=True)
    ] == told
    whole = {row.cells["id"] for row in found if isinstance(row, Row)}
    assert whole == {"1", "2", "3"} - {id for _, _, id in told}


def test_a_quote_that_is_never_closed_takes_its_own_row_only(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    rows = [f"{n},a,b" for n in range(3 * LONGEST_ROW)]
    rows[5] = '5,"a,b'
    path.write_text("id,name,note\n" + "\n".join(rows))
    found = read(path)
    assert [row.line for row in found if isinstance(row, Broken)] == [7]
    assert len(found) == len(rows)


def test_bytes_of_another_encoding_spoil_their_own_row_only(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"id,name,note\n1,ok,x\n2,J\xfcrgen,x\n3,ok,x\n")
    found = read(path)
    assert [(type(row), row.line) for row in found] == [(Row, 2), (Broken, 3), (Row, 4)]
    assert isinstance(found[1], Broken)
    assert found[1].reason == "bytes that are not utf-8"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("people.csv", b"", "it has no header line"),
        ("people.csv", b"\n\n", "it has no header line"),
        ("people.csv", "id,n\xe4me\n".encode("latin-1"), "its header is not utf-8"),
        ("people.parquet", b"id,name\n", "it is no Parquet file"),
        ("people.parquet", b"", "it is no Parquet file"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RunCannotContinue, match=told) as refused:
        read(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunCannotContinue, match=r"people\.csv cannot be read: No such file"):
        read(tmp_path / "people.csv")


def test_parquet_says_everything_as_text(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    at = datetime(2026, 7, 1, 12, 0)  # noqa: DTZ001  # as a warehouse has it
    pq.write_table(
        pa.table(
            {
                "text": [" Änne ", None],
                "whole": [7, None],
                "real": [7.0, 0.5],
                "money": pa.array([Decimal("7.50"), None], pa.decimal128(9, 2)),
                "yes": [True, False],
                "day": [date(2026, 7, 1), None],
                "local": pa.array([at, None], pa.timestamp("ns")),
                "zoned": pa.array([at.replace(tzinfo=UTC), None], pa.timestamp("ms", "UTC")),
                "list": [["a", "b"], []],
                "bytes": pa.array([b"x", b"\xff"], pa.binary()),
            }
        ),
        path,
    )
    columns = ("text", "whole", "real", "money", "yes", "day", "local", "zoned", "list", "bytes")
    first, second = read(path, *columns)
    assert first == Row(
        line=1,
        cells={
            "text": "Änne",
            "whole": "7",
            "real": "7",
            "money": "7.5",
            "yes": "true",
            "day": "2026-07-01",
            "local": "2026-07-01T10:00:00+00:00",
            "zoned": "2026-07-01T12:00:00+00:00",
            "list": "a;b",
            "bytes": "x",
        },
    )
    assert second == Broken(line=2, reason="bytes: bytes that are no text", cells={"real": "0.5", "yes": "false"})


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=8)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=20), st.sampled_from(",;\t|"))
def test_whatever_a_writer_quotes_is_read_back(rows: list[tuple[str, str, str]], delimiter: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    with _file(text.getvalue()) as path:
        found = cells(path, delimiter=delimiter)
    wanted = [dict(zip(COLUMNS, map(str.strip, row), strict=True)) for row in rows if any(row)]
    assert [row for _, row in found] == [{k: v for k, v in row.items() if v} for row in wanted]


@contextmanager
def _file(text: str) -> Iterator[Path]:
    with quick_folder() as folder:
        path = folder / "people.csv"
        path.write_bytes(text.encode())
        yield path


# -- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns", "value"),
    [
        ("id", ("id",), "17"),
        ("none", ("none",), None),
        ("{id}@leads.invalid", ("id",), "17@leads.invalid"),
        ("{id}-{ name }", ("id", "name"), "17-Ann"),
        ("{id}-{none}", ("id", "none"), None),
    ],
)
def test_a_value_is_a_column_or_made_of_columns(text: str, columns: tuple[str, ...], value: str | None) -> None:
    assert columns_of(text) == columns
    assert said(text)({"id": "17", "name": "Ann"}) == value


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-07-01", date(2026, 7, 1)),
        ("2026-07-01 12:00", datetime(2026, 7, 1, 10, 0, tzinfo=UTC)),
        ("2026-01-01T12:00:00", datetime(2026, 1, 1, 11, 0, tzinfo=UTC)),
        ("2026-07-01T12:00:00Z", datetime(2026, 7, 1, 12, 0, tzinfo=UTC)),
        ("2026-07-01T12:00:00.5+02:00", datetime(2026, 7, 1, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("1782900000000", datetime(2026, 7, 1, 10, 0, tzinfo=UTC)),
    ],
)
def test_a_time_without_a_zone_is_of_the_files_zone(text: str, at: date | datetime) -> None:
    assert when(text, BERLIN) == at


@pytest.mark.parametrize("text", ["yesterday", "01.07.2026", "2026-13-01", "17"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        when(text, BERLIN)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"people": Path("people.xlsx")}, "neither CSV"),
        ({"people": None}, "names at least one"),
        ({"people": Path("p.csv"), "encoding": "klingon"}, "no text encoding"),
        ({"people": Path("p.csv"), "encoding": "rot13"}, "no text encoding"),
        ({"people": Path("p.csv"), "delimiter": ";;"}, "one character"),
        ({"people": Path("p.csv"), "delimiter": '"'}, "one character"),
    ],
)
def test_settings_that_cannot_work_are_refused(more: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        FileSettings(name="list", zone=BERLIN, **more)  # type: ignore[arg-type]  # that is what is tried
