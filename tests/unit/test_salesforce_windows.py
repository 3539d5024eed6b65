"""Reading a window to its end, whatever the server does to cursors, pages and patience."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.records import FieldKind, FieldSchema, Window
from connectors.salesforce import soql
from connectors.salesforce.refusals import NotPossible, Problem, Refused
from connectors.salesforce.schema import Describes
from connectors.salesforce.settings import Bulk, SalesforceSettings, Session
from connectors.salesforce.windows import Columns, changed_rows

AT = datetime(2026, 5, 6, tzinfo=UTC)
KNOWN = {
    "lead": {
        name: FieldSchema(name=name, kind=FieldKind.TEXT, writable=True)
        for name in ("Id", "SystemModstamp", "Email", "Title", "OwnerId")
    }
}

_LOWER = re.compile(r"SystemModstamp >= (\S+)")
_UPPER = re.compile(r"SystemModstamp <= (\S+)")
_AFTER = re.compile(r"SystemModstamp > (\S+) OR .* Id > '(\w+)'")


def row(second: int, number: int) -> dict[str, Any]:
    stamp = (AT + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return {"Id": f"00Q5g00000{number:05d}EAA", "SystemModstamp": stamp}


class Answered:
    def __init__(self, body: Mapping[str, Any]) -> None:
        self.content = msgspec.json.encode(body)


class Org:
    """Answers the queries of one window from a list of rows, a few a page, and misbehaves as told.

    slow       a query that spans more seconds than this times out
    loses      cursors (by number, from 1) that are gone when asked for
    """

    def __init__(
        self, rows: list[dict[str, Any]], page: int, *, slow: float | None = None, loses: set[int] | None = None
    ):
        self.rows = sorted(rows, key=lambda r: (r["SystemModstamp"], r["Id"]))
        self.page = page
        self.slow = slow
        self.loses = loses or set()
        self.cursors: list[list[dict[str, Any]]] = []
        self.asked: list[str] = []
        self.hidden: set[str] = set()
        self.settings = SalesforceSettings(
            base_url="http://127.0.0.1:1", auth=Session(session_id="00D!x"), bulk=Bulk(reads_above=None)
        )

    def fetched(self, path: str, read: Callable[[Any], Any], *, kind: str) -> Any:
        if path.isdecimal():
            return read(Answered(self.more(path)))
        assert path.startswith("queryAll/?q=")
        return read(Answered(self.query(unquote_plus(path.partition("=")[2]))))

    def query(self, text: str) -> Mapping[str, Any]:
        self.asked.append(text)
        for name in self.hidden:
            if re.search(rf"\b{name}\b", text.partition(" FROM ")[0]):
                problem = Problem(code="INVALID_FIELD", message=f"No such column '{name}' on entity 'Lead'")
                raise NotPossible(problem, status=400)
        lower, upper, after = _LOWER.search(text), _UPPER.search(text), _AFTER.search(text)
        assert upper is not None
        hi = soql.instant(upper[1])
        lo = soql.instant(after[1]) if after else soql.instant(lower[1]) if lower else datetime(1999, 1, 1, tzinfo=UTC)
        if self.slow is not None and (hi - lo).total_seconds() > self.slow:
            raise Refused(Problem(code="QUERY_TIMEOUT"), status=400)
        # without the id in the order, rows of one stamp come as the server likes
        kept = self.rows if text.endswith("ORDER BY SystemModstamp, Id") else self.rows[::-1]
        found = [r for r in kept if lo <= soql.instant(r["SystemModstamp"]) <= hi]
        if after:
            found = [r for r in found if (soql.instant(r["SystemModstamp"]), r["Id"]) > (lo, after[2])]
        return self._answer(found)

    def more(self, url: str) -> Mapping[str, Any]:
        number = int(url)
        if number in self.loses:
            raise Refused(Problem(code="INVALID_QUERY_LOCATOR"), status=400)
        return self._answer(self.cursors[number - 1])

    def _answer(self, found: list[dict[str, Any]]) -> Mapping[str, Any]:
        head, rest = found[: self.page], found[self.page :]
        if not rest:
            return {"records": head, "done": True}
        self.cursors.append(rest)
        return {"records": head, "done": False, "nextRecordsUrl": str(len(self.cursors))}


def read(org: Org, window: Window, resume: str | None = None, wanted: tuple[str, ...] = ()) -> list[Any]:
    columns = Columns(Describes(org, dict(KNOWN)), "lead", ("Id", "SystemModstamp", *wanted))  # type: ignore[arg-type]  # a stand-in
    return list(changed_rows(org, columns, window, resume))  # type: ignore[arg-type]  # a stand-in


WHOLE = Window(lo=None, hi=AT + timedelta(hours=1))


@given(
    seconds=st.lists(st.integers(min_value=0, max_value=6), max_size=40),
    page=st.integers(min_value=1, max_value=7),
    loses=st.sets(st.integers(min_value=1, max_value=6), max_size=3),
    stop=st.integers(min_value=0, max_value=10),
)
def test_no_row_is_lost_whatever_breaks_and_wherever_the_process_ends(
    seconds: list[int], page: int, loses: set[int], stop: int
) -> None:
    """Equal stamps, cursors lost on the way, a restart after any page: every row is read."""
    rows = [row(second, number) for number, second in enumerate(seconds)]
    first = read(Org(rows, page, loses=loses), WHOLE)
    read_before = first[: min(stop, len(first) - 1)]
    resume = read_before[-1].resume if read_before else None
    seen = [r["Id"] for p in read_before for r in p.rows]
    seen += [r["Id"] for p in read(Org(rows, page), WHOLE, resume) for r in p.rows]
    assert sorted(seen) == sorted(r["Id"] for r in rows)
    assert [p.resume is None for p in first] == [False] * (len(first) - 1) + [True]


class Busy(Org):
    """Rows are changed while they are read: a page shows them as they are now, in the place they had."""

    def __init__(self, *args: Any, changed: set[int], **how: Any) -> None:
        super().__init__(*args, **how)
        self.changed = changed

    def _answer(self, found: list[dict[str, Any]]) -> Mapping[str, Any]:
        now = (WHOLE.hi + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        answer = super()._answer(found)
        changed = {self.rows[at]["Id"] for at in self.changed if at < len(self.rows)}
        shown = [r | {"SystemModstamp": now} if r["Id"] in changed else r for r in answer["records"]]
        return {**answer, "records": shown}


@given(
    seconds=st.lists(st.integers(min_value=0, max_value=6), max_size=40),
    page=st.integers(min_value=1, max_value=7),
    loses=st.sets(st.integers(min_value=1, max_value=6), max_size=3),
    changed=st.sets(st.integers(min_value=0, max_value=39), max_size=12),
    stop=st.integers(min_value=0, max_value=10),
)
def test_a_row_changed_while_it_is_read_takes_no_other_with_it(
    seconds: list[int], page: int, loses: set[int], changed: set[int], stop: int
) -> None:
    """Its stamp of today stands where the next question would begin, if it were believed."""
    rows = [row(second, number) for number, second in enumerate(seconds)]
    try:
        first = read(Busy(rows, page, changed=changed, loses=loses), WHOLE)
    except Refused:  # lost twice at the same row
        return
    before = first[: min(stop, len(first) - 1)]
    seen = {r["Id"] for p in before for r in p.rows}
    seen |= {r["Id"] for p in read(Org(rows, page), WHOLE, before[-1].resume if before else None) for r in p.rows}
    assert seen == {r["Id"] for r in rows} == {r["Id"] for p in first for r in p.rows}


@pytest.mark.parametrize("seed", range(8))
def test_rows_that_come_in_no_order_are_all_read_although_the_cursor_is_lost(seed: int) -> None:
    class Careless(Org):
        def query(self, text: str) -> Mapping[str, Any]:
            self.rows = random.Random(seed).sample(self.rows, len(self.rows))
            return super().query(text)

    rows = [row(number // 2, number) for number in range(20)]
    pages = read(Careless(rows, 4, loses={2}), WHOLE)
    assert {r["Id"] for p in pages for r in p.rows} == {r["Id"] for r in rows}
    resumed = read(Careless(rows, 4), WHOLE, pages[1].resume)
    assert {r["Id"] for p in (*pages[:2], *resumed) for r in p.rows} == {r["Id"] for r in rows}


def test_ids_of_one_second_in_another_order_begin_that_second_again() -> None:
    rows = [row(0, 1), row(1, 3), row(1, 2), row(1, 5), row(2, 4)]
    org = Org(rows, 3)
    org.rows = rows  # as the server has them
    pages = read(org, WHOLE)
    assert pages[0].resume is not None
    again = read(Org(rows, 9), WHOLE, pages[0].resume)
    assert [r["Id"] for p in again for r in p.rows] == [rows[at]["Id"] for at in (2, 1, 3, 4)]


def test_an_empty_window_is_one_call_and_one_empty_page() -> None:
    org = Org([], 10)
    [page] = read(org, WHOLE)
    assert (page.rows, page.resume, len(org.asked)) == ([], None, 1)


def test_a_query_that_takes_too_long_is_cut_in_two_by_time() -> None:
    rows = [row(second, second) for second in range(0, 64, 4)]
    org = Org(rows, 100, slow=20)
    pages = read(org, Window(lo=AT, hi=AT + timedelta(seconds=64)))
    assert {r["Id"] for p in pages for r in p.rows} == {r["Id"] for r in rows}
    assert pages[-1].resume is None
    assert all(p.resume is not None for p in pages[:-1])


@pytest.mark.parametrize("code", ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE"])
def test_a_span_with_too_much_in_it_is_cut_in_two_whatever_it_is_called(code: str) -> None:
    class Strict(Org):
        def query(self, text: str) -> Mapping[str, Any]:
            try:
                return super().query(text)
            except Refused as refused:
                raise Refused(Problem(code=code), status=refused.status) from None

    rows = [row(second, second) for second in range(0, 64, 4)]
    pages = read(Strict(rows, 100, slow=20), Window(lo=AT, hi=AT + timedelta(seconds=64)))
    assert {r["Id"] for p in pages for r in p.rows} == {r["Id"] for r in rows}


def test_a_half_without_rows_is_not_asked_for_again_with_the_next() -> None:
    """Else each question would begin at the last row read, and be as long as the one that was too long."""
    rows = [row(0, 1), *(row(second, second) for second in range(56, 64, 2))]
    first = soql.Key(stamp=rows[0]["SystemModstamp"], id=rows[0]["Id"])
    org = Org(rows, 100, slow=20)
    pages = read(org, Window(lo=AT, hi=AT + timedelta(seconds=64)), str(first))
    assert {r["Id"] for p in pages for r in p.rows} == {r["Id"] for r in rows[1:]}
    assert len(org.asked) <= 8


def test_a_page_that_says_it_is_the_last_before_all_that_was_counted_is_not() -> None:
    class Hasty(Org):
        def _answer(self, found: list[dict[str, Any]]) -> Mapping[str, Any]:
            return {"records": found[: self.page], "done": True, "totalSize": len(found)}

    rows = [row(second // 3, second) for second in range(25)]
    pages = read(Hasty(rows, 4), WHOLE)
    assert [r["Id"] for p in pages for r in p.rows] == [r["Id"] for r in rows]
    assert [p.resume is None for p in pages] == [False] * 6 + [True]


def test_a_count_that_is_never_reached_is_no_loop() -> None:
    class Boasting(Org):
        def _answer(self, found: list[dict[str, Any]]) -> Mapping[str, Any]:
            return {"records": found, "done": True, "totalSize": len(found) + 7}

    org = Boasting([row(0, 1), row(1, 2)], 4)
    assert [len(p.rows) for p in read(org, WHOLE)] == [2, 0]
    assert len(org.asked) == 2


def test_one_second_that_takes_too_long_is_for_later() -> None:
    with pytest.raises(RetryLater, match="within one second"):
        read(Org([], 10, slow=-1), Window(lo=AT, hi=AT + timedelta(seconds=9)))


def test_a_cursor_that_is_lost_without_progress_is_an_error_not_a_loop() -> None:
    class Empty(Org):
        def _answer(self, found: list[dict[str, Any]]) -> Mapping[str, Any]:
            return {"records": [], "done": False, "nextRecordsUrl": "1"}

    org = Empty([row(0, 1)], 2, loses={1})
    with pytest.raises(UnexpectedAnswer):
        read(org, WHOLE)
    assert len(org.asked) == 2


def test_pages_that_lead_back_are_left_and_the_query_goes_on_after_the_last_row() -> None:
    """Followed, they would be read for ever."""

    class Circling(Org):
        def more(self, url: str) -> Mapping[str, Any]:
            return {**super().more(url), "done": False, "nextRecordsUrl": url}

    rows = [row(second // 3, second) for second in range(25)]
    org = Circling(rows, 4)
    pages = read(org, WHOLE)
    assert [r["Id"] for p in pages for r in p.rows] == [r["Id"] for r in rows]
    assert len(org.asked) == 4


def test_pages_that_lead_back_without_a_row_are_an_error_not_a_loop() -> None:
    class Stuck(Org):
        def _answer(self, found: list[dict[str, Any]]) -> Mapping[str, Any]:
            return {"records": [], "done": False, "nextRecordsUrl": "1"}

        def more(self, url: str) -> Mapping[str, Any]:
            return self._answer([])

    org = Stuck([], 2)
    with pytest.raises(UnexpectedAnswer, match="lead back"):
        read(org, WHOLE)
    assert len(org.asked) == 2


def test_a_field_that_went_out_of_sight_is_left_out_and_the_window_read() -> None:
    org = Org([row(0, 1)], 10)
    org.hidden = {"Title"}
    columns = Columns(Describes(org, dict(KNOWN)), "lead", ("Id", "SystemModstamp", "Email", "Title", "Nope__c"))  # type: ignore[arg-type]  # a stand-in
    [page] = changed_rows(org, columns, WHOLE, None)  # type: ignore[arg-type]  # a stand-in
    assert len(page.rows) == 1
    assert columns.shown == ["Id", "SystemModstamp", "Email"]
    assert columns.hidden == ["Nope__c", "Title"]


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("No such column 'Type' on entity 'Campaign'. If you use a custom field, append '__c'.", ["Campaign.Name"]),
        ("Didn't understand relationship 'Campaign' in field path.", []),
        ("No such column 'Email' on entity 'Lead'", ["Campaign.Name", "Campaign.Type"]),
    ],
)
def test_a_refusal_costs_the_column_it_names_not_all_of_the_parent(message: str, left: list[str]) -> None:
    fields = {name: FieldSchema(name=name, kind=FieldKind.TEXT, writable=True) for name in ("CampaignId", "Email")}
    columns = Columns(Describes(Org([], 1), {"x": fields}), "x", ("Campaign.Name", "Campaign.Type", "Email"))  # type: ignore[arg-type]  # a stand-in
    assert columns.drop(Problem(code="INVALID_FIELD", message=message))
    assert [name for name in columns.shown if "." in name] == left


def test_a_refusal_that_names_none_of_our_fields_is_shown() -> None:
    org = Org([], 10)
    org.hidden = {"SystemModstamp"}
    with pytest.raises(NotPossible):
        read(org, WHOLE)


def test_a_resume_point_of_something_else_is_refused() -> None:
    with pytest.raises(RunCannotContinue, match="resume point"):
        read(Org([], 10), WHOLE, "after=1234")
