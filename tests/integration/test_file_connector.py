"""A file is read like a CRM: what changed is taken, who vanished is gone, an equal content is not read again."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from connectors.errors import RetryLater, RunCannotContinue
from connectors.fields import (
    Convert,
    CrmMap,
    EngagementColumns,
    EventRule,
    EventSource,
    FactField,
    FileColumns,
    ObjectMap,
)
from connectors.file import FileConnector, FileSettings
from connectors.records import Crm, FieldKind, RecordProblem, StreamKind, WantedField, Window
from sync.pull import PullReport, pull
from sync.store import schema
from sync.store.db import Store
from sync.store.files import StoredRows

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HEADER = "Id,Mail,Title,Land\n"

FACTS = (
    FactField(fact="person.email", property="Mail"),
    FactField(fact="person.title", property="Title"),
    FactField(fact="person.country", property="Land", convert=Convert.COUNTRY),
    FactField(fact="person.created_at", fixed="2026-01-15"),
)
MAP = CrmMap(
    crm=Crm.FILE,
    objects={"person": ObjectMap(object="person", facts=FACTS)},
    events=(
        EventRule(source=EventSource.ROW, key="Demo", kind="demo_request", set={"form": "demo"}),
        EventRule(source=EventSource.ROW, key="view", kind="page_view", set={"path": "Page"}),
    ),
    file=FileColumns(
        id="Id", engagement=EngagementColumns(kind="What", at="At", person="Who", email="Mail", count="N")
    ),
)


@dataclass(slots=True)
class Desk:
    """A folder with the two files, and a store that reads them. An hour passes between two readings."""

    folder: Path
    store: Store
    map: CrmMap = MAP
    at: datetime = NOON
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def people(self) -> Path:
        return self.folder / "people.csv"

    @property
    def events(self) -> Path:
        return self.folder / "events.csv"

    def connector(self) -> FileConnector:
        events = self.events if self.events.exists() else None
        people = self.people if self.people.exists() or events is None else None
        settings = FileSettings(
            name="list", people=people, engagement=events, zone=ZoneInfo("Europe/Berlin"), **self.more
        )
        return FileConnector(settings, self.map, known=StoredRows(self.store), now=lambda: self.at)

    def pull(self, *, mapping: str = "m", reached: Callable[[str], None] = lambda place: None) -> PullReport:
        self.at += timedelta(hours=1)
        return pull(
            self.connector(),
            self.store,
            settle=timedelta(0),
            overlap=timedelta(minutes=15),
            mapping=mapping,
            reached=reached,
        )

    def write(self, body: str) -> None:
        self.people.write_text(HEADER + body)

    def stored(self) -> dict[str, tuple[str | None, bool]]:
        """id -> title, whether it is gone."""
        r = schema.record.c
        with self.store.read() as tx:
            return {
                row.id: (row.facts.get("person.title"), row.gone) for row in tx.execute(select(r.id, r.facts, r.gone))
            }

    def happened(self) -> list[tuple[str, str | None, datetime, int, dict[str, Any]]]:
        e = schema.event.c
        asked = select(e.kind, e.id, e.address, e.at, e.count, e.attributes).where(e.deleted.is_(False)).order_by(e.seq)
        with self.store.read() as tx:
            return [(r.kind, r.id or r.address, r.at, r.count, r.attributes) for r in tx.execute(asked)]


@pytest.fixture
def desk(tmp_path: Path, store: Store) -> Desk:
    return Desk(folder=tmp_path, store=store)


def counts(report: PullReport) -> dict[str, int]:
    """What moved in the store."""
    moved = {"new": 0, "changed": 0, "unchanged": 0}
    for one in report.counts.values():
        for name in moved:
            moved[name] += getattr(one, name)
    return {name: n for name, n in moved.items() if n}


def told(problems: list[RecordProblem]) -> list[str]:
    return [f"{p.ref.id} {p.reason}" for p in problems]


# -- people ------------------------------------------------------------------------------------------------------


def test_rows_become_people_by_the_map(desk: Desk) -> None:
    desk.write("1, Ann@X.com ,CEO,Deutschland\n2,,VP,\n")
    assert counts(desk.pull()) == {"new": 2}
    r = schema.record.c
    with desk.store.read() as tx:
        ann, nobody = tx.execute(select(schema.record).order_by(r.id)).all()
    assert (ann.conn, ann.object, ann.id, ann.emails) == ("file", "person", "1", ["ann@x.com"])
    assert ann.facts == {
        "person.email": "Ann@X.com",
        "person.title": "CEO",
        "person.country": "DE",
        "person.created_at": "2026-01-15",
    }
    assert ann.created_at == datetime(2026, 1, 15, tzinfo=UTC)
    assert (nobody.emails, nobody.facts) == ([], {"person.title": "VP", "person.created_at": "2026-01-15"})


def test_only_what_changed_is_taken_and_who_vanished_is_gone(desk: Desk) -> None:
    desk.write("1,a@x.com,CEO,DE\n2,b@x.com,VP,DE\n3,c@x.com,CFO,DE\n")
    desk.pull()
    desk.write("3,c@x.com,CFO,DE\n2,b@x.com,SVP,DE\n4,d@x.com,CTO,DE\n")
    assert counts(desk.pull()) == {"new": 1, "changed": 2}
    assert desk.stored() == {"1": ("CEO", True), "2": ("SVP", False), "3": ("CFO", False), "4": ("CTO", False)}
    desk.write("1,a@x.com,CEO,DE\n2,b@x.com,SVP,DE\n3,c@x.com,CFO,DE\n4,d@x.com,CTO,DE\n")
    assert counts(desk.pull()) == {"changed": 1}
    assert desk.stored()["1"] == ("CEO", False)


@pytest.mark.parametrize("touched", [False, True], ids=["as it was", "with another stamp"])
def test_an_equal_content_is_not_read_again(desk: Desk, touched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("1,a@x.com,CEO,DE\n")
    os.utime(desk.people, (NOON.timestamp() - 60,) * 2)
    desk.pull()
    if touched:
        os.utime(desk.people)
    monkeypatch.setattr("connectors.file.reader.table", _unasked)
    assert counts(desk.pull()) == {}
    assert counts(desk.pull()) == {}


def _unasked(*given: object) -> None:
    raise AssertionError("the rows were read")


def test_another_content_of_the_same_size_and_stamp_is_seen(desk: Desk) -> None:
    """Within one tick of the stamp nothing but the bytes tells."""
    desk.write("1,a@x.com,CEO,DE\n")
    stamp = (desk.at + timedelta(hours=1)).timestamp()
    os.utime(desk.people, (stamp, stamp))
    desk.pull()
    desk.write("1,a@x.com,CFO,DE\n")
    os.utime(desk.people, (stamp, stamp))
    desk.pull()
    assert desk.stored() == {"1": ("CFO", False)}


def test_an_older_copy_that_is_put_back_counts(desk: Desk) -> None:
    desk.write("1,a@x.com,CEO,DE\n")
    desk.pull()
    desk.write("1,a@x.com,Assistant,DE\n")
    os.utime(desk.people, (NOON.timestamp() - 10**7,) * 2)
    desk.pull()
    assert desk.stored() == {"1": ("Assistant", False)}


def test_another_map_reads_every_row_again(desk: Desk) -> None:
    desk.write("1,a@x.com,CEO,DE\n2,b@x.com,VP,DE\n")
    desk.pull()
    by_land = FactField(fact="person.title", property="Land")
    desk.map = replace(MAP, objects={"person": ObjectMap(object="person", facts=(by_land,))})
    desk.pull(mapping="another")
    assert desk.stored() == {"1": ("DE", False), "2": ("DE", False)}


def test_rows_that_cannot_be_read_are_named_by_line_and_their_people_stay(desk: Desk) -> None:
    desk.write("".join(f"{n},p{n}@x.com,CEO,DE\n" for n in range(1, 6)))
    desk.pull()
    desk.write(
        '1,p1@x.com,CEO,DE\n2,p2@x.com\n3,"p3@x.com,CEO,DE\n,p@x.com,CEO,DE\n5,p5@x.com,CEO,DE\n5,again@x.com,,\n'
    )
    report = desk.pull()
    assert told(report.problems) == [
        "people.csv:3 not read: 2 cells where the header has 4",
        "people.csv:4 not read: a quote is not closed",
        "people.csv:5 not read: it says nothing that names it",
        "people.csv:7 not read: it has the id of line 6, which counts",
    ]
    assert {id for id, (_, gone) in desk.stored().items() if gone} == {"4"}
    assert desk.pull().problems == []


def test_where_a_row_does_not_show_whose_it_is_nobody_is_taken_for_gone(desk: Desk) -> None:
    desk.write("1,a@x.com,CEO,DE\n2,b@x.com,VP,DE\n")
    desk.pull()
    desk.write("1,a@x.com,CEO,DE\n,b@x.com\n")
    report = desk.pull()
    assert told(report.problems)[-1] == "people.csv not read: whose some rows are; so nobody was taken for gone"
    assert not any(gone for _, gone in desk.stored().values())


def test_of_very_many_bad_rows_the_first_hundred_are_named(desk: Desk) -> None:
    desk.write("1,a@x.com,CEO,DE\n" + "2,b\n" * 2500)
    problems = told(desk.pull().problems)
    assert len(problems) == 101
    assert problems[-1] == "people.csv not read: 2,400 more rows"


def test_a_value_that_says_nothing_known_is_a_problem_of_its_row_alone(desk: Desk) -> None:
    desk.write("1,a@x.com,CEO,Atlantis\n2,b@x.com,VP,DE\n")
    report = desk.pull()
    assert [(p.ref.id, p.field) for p in report.problems] == [("1", "person.country")]
    assert set(desk.stored()) == {"1", "2"}


class Killed(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_reading_that_was_cut_off_goes_on_and_misses_nobody(desk: Desk, page: int) -> None:
    desk.write("".join(f"{n},p{n}@x.com,CEO,DE\n" for n in range(2500)))
    desk.pull()
    desk.write("".join(f"{n},p{n}@x.com,CFO,DE\n" for n in range(100, 2600)))
    passed = 0

    def die(place: str) -> None:
        nonlocal passed
        passed += place == "pull:file:person:page"
        if passed == page:
            raise Killed

    with pytest.raises(Killed):
        desk.pull(reached=die)
    desk.pull()
    found = desk.stored()
    assert {id for id, (_, gone) in found.items() if gone} == {str(n) for n in range(100)}
    assert {title for title, gone in found.values() if not gone} == {"CFO"}
    assert counts(desk.pull()) == {}


def test_a_file_that_changes_while_it_is_read_makes_nobody_gone(desk: Desk) -> None:
    desk.write("".join(f"{n},p{n}@x.com,CEO,DE\n" for n in range(1500)))
    desk.pull()
    desk.write("".join(f"{n},p{n}@x.com,CFO,DE\n" for n in range(1400)))
    connector = desk.connector()
    (stream,) = connector.streams()
    pages = connector.people(stream, Window(lo=NOON, hi=NOON + timedelta(days=1)), None)
    next(pages)
    desk.write("1,a@x.com,CEO,DE\n")
    with pytest.raises(RetryLater, match="changed while it was read"):
        list(pages)
    desk.pull()
    assert sum(not gone for _, gone in desk.stored().values()) == 1


def test_memory_does_not_grow_with_the_file(desk: Desk) -> None:
    def peak(rows: int) -> int:
        desk.write("".join(f"{n},p{n}@x.com,{'CEO ' * 30},DE\n" for n in range(rows)))
        connector = desk.connector()
        (stream,) = connector.streams()
        tracemalloc.start()
        for _ in connector.people(stream, Window(lo=None, hi=desk.at), None):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1000)
    assert peak(12_000) < 1.3 * peak(3_000)


def test_a_missing_column_is_told_and_reads_as_blank(desk: Desk) -> None:
    desk.people.write_text("Id,Mail\n1,a@x.com\n")
    account = desk.connector().check()
    assert account.problems == (
        "people.csv has no column 'Title': person.title reads as blank.",
        "people.csv has no column 'Land': person.country reads as blank.",
    )
    assert account.lacking == {"person": ("Land", "Title")}
    assert counts(desk.pull()) == {"new": 1}


@pytest.mark.parametrize(
    ("header", "said"), [("Number,Mail\n", "has no column 'Id'"), ("Id,Mail,Id\n", "has the column 'Id' twice")]
)
def test_without_the_column_that_names_a_row_nothing_is_read(desk: Desk, header: str, said: str) -> None:
    desk.people.write_text(header + "1,a@x.com\n")
    with pytest.raises(RunCannotContinue, match=said) as refused:
        desk.pull()
    assert refused.value.credentials


def test_a_file_that_is_not_there_stops_the_run_and_nobody_is_gone(desk: Desk) -> None:
    desk.write("1,a@x.com,CEO,DE\n")
    desk.pull()
    desk.people.unlink()
    with pytest.raises(RunCannotContinue, match=r"people\.csv cannot be read"):
        desk.pull()
    assert desk.stored() == {"1": ("CEO", False)}


# -- engagement --------------------------------------------------------------------------------------------------


def test_rows_become_events_of_the_person_they_name(desk: Desk) -> None:
    desk.write("1,a@x.com,CEO,DE\n")
    desk.events.write_text(
        "Who,Mail,What,At,Page,N\n"
        "1,,view,2026-11-20 10:00,/pricing,3\n"
        ",A@x.com,DEMO,2026-11-21,,\n"
        ",later@x.com,view,2026-11-22T10:00:00Z,/,\n"
        "1,,unheard of,2026-11-20,,\n"
        "1,,view,soon,,\n"
        ",,view,2026-11-20,,\n"
        "1,,view,2026-11-20,,0\n"
    )
    report = desk.pull()
    assert desk.happened() == [
        ("page_view", "1", datetime(2026, 11, 20, 9, 0, tzinfo=UTC), 3, {"path": "/pricing"}),
        ("demo_request", "1", datetime(2026, 11, 21, tzinfo=UTC), 1, {"form": "demo"}),
        ("page_view", "later@x.com", datetime(2026, 11, 22, 10, 0, tzinfo=UTC), 1, {"path": "/"}),
    ]
    assert told(report.problems) == [
        "events.csv:6 not read: At: not a date or time in a known form",
        "events.csv:7 not read: it does not say whose it is",
        "events.csv:8 not read: N: not how often something happened",
    ]


EVENTS = "Who,Mail,What,At,Page,N\n"
VIEW = "1,,view,2026-11-20,/,\n"


def test_equal_rows_without_a_name_count_each_and_once(desk: Desk) -> None:
    desk.events.write_text(EVENTS + VIEW * 3)
    assert counts(desk.pull()) == {"new": 3}
    desk.events.write_text(EVENTS + "2,,view,2026-11-20,/,\n" + VIEW * 4)
    assert counts(desk.pull()) == {"new": 2}
    desk.events.write_text(EVENTS + VIEW)
    assert counts(desk.pull()) == {"changed": 4}
    assert len(desk.happened()) == 1


def test_a_named_row_that_changes_replaces_the_event_before(desk: Desk) -> None:
    columns = EngagementColumns(kind="What", at="At", person="Who", id="{Who}-{Page}")
    desk.map = CrmMap(
        crm=Crm.FILE, objects=MAP.objects, events=MAP.events, file=FileColumns(id="Id", engagement=columns)
    )
    desk.events.write_text(EVENTS + VIEW)
    assert counts(desk.pull()) == {"new": 1}
    desk.events.write_text(EVENTS + "1,,view,2026-11-21,/,\n")
    assert counts(desk.pull()) == {"changed": 1}
    assert [at for _, _, at, _, _ in desk.happened()] == [datetime(2026, 11, 21, tzinfo=UTC)]


# -- what a file cannot do -----------------------------------------------------------------------------------------


def test_a_listing_names_every_row_once(desk: Desk) -> None:
    desk.write("".join(f"{n},p{n}@x.com,CEO,DE\n" for n in range(1200)) + "7,again@x.com,,\n8\n")
    connector = desk.connector()
    (stream,) = connector.streams()
    pages = list(connector.ids(stream, None))
    assert sorted(int(one.ref.id) for page in pages for one in page.rows) == list(range(1200))
    assert pages[-1].resume is None


def test_rows_are_fetched_and_read_by_id(desk: Desk) -> None:
    desk.write("1,a@x.com,CEO,DE\n2,b@x.com,,DE\n")
    connector = desk.connector()
    (stream,) = connector.streams()
    (whole,) = connector.people(stream, Window(lo=None, hi=desk.at), None).__next__().rows[:1]
    missing = type(whole.ref)(crm=Crm.FILE, object="person", id="9")
    assert connector.fetch(stream, [whole.ref, missing]).rows == (whole,)
    two = type(whole.ref)(crm=Crm.FILE, object="person", id="2")
    found = connector.read([two, missing], ["Title", "Land"])
    assert found[two].values == {"Title": None, "Land": "DE"}  # type: ignore[union-attr]  # it is found
    assert type(found[missing]).__name__ == "Gone"


def test_nothing_is_made_in_a_file(desk: Desk) -> None:
    desk.write("1,a@x.com,CEO,DE\n")
    before = desk.people.read_bytes()
    wanted = WantedField(object="person", name="MQL", label="MQL", kind=FieldKind.TEXT)
    (change,) = desk.connector().ensure_schema([wanted])
    assert change.what == "not possible: a file is only read"
    assert desk.people.read_bytes() == before


def test_streams_are_the_files_there_are(desk: Desk) -> None:
    desk.write("")
    desk.events.write_text(EVENTS)
    kinds = [stream.kind for stream in desk.connector().streams()]
    assert kinds == [StreamKind.PEOPLE, StreamKind.ENGAGEMENT]
    assert desk.connector().owners() == ()
    assert desk.connector().day() is None
