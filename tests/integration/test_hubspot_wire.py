"""The HubSpot connector against a server that says whatever a test wants it to say."""

from __future__ import annotations

import gzip
import json
import socket
import stat
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.fields import Convert, CrmMap, EventRule, EventSource, FactField, ObjectMap
from connectors.hubspot import HubSpotConnector, HubSpotSettings, OAuth
from connectors.hubspot.refusals import Locked, refusal
from connectors.records import (
    Counter,
    Crm,
    FieldKind,
    FieldSchema,
    Found,
    Gone,
    Moved,
    Patch,
    PersonRecord,
    RecordRef,
    Redirected,
    Rejected,
    Stream,
    StreamKind,
    TaskDraft,
    Unchanged,
    Unknown,
    Unread,
    WantedField,
    Window,
    Written,
)
from connectors.retry import Patience
from tests.support.dripping import dripping
from tests.support.wire import Asked, Say, Wire, answers

HI = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LO = datetime(2026, 11, 25, 11, 0, tzinfo=UTC)
PEOPLE = Stream(crm=Crm.HUBSPOT, kind=StreamKind.PEOPLE, name="contact")


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


CONTACT = (
    FactField(fact="person.title", property="jobtitle"),
    FactField(fact="person.country", property="country", convert=Convert.COUNTRY),
    FactField(fact="person.page_views", property="views"),
)
FIELDS = CrmMap(
    crm=Crm.HUBSPOT,
    objects={"contact": ObjectMap(object="contact", facts=CONTACT, written=("mql_score",))},
    events=(
        EventRule(source=EventSource.FORM, key="Request a demo", kind="demo_request", set={"form": "demo"}),
        EventRule(source=EventSource.FORM, key="guid-2", kind="form_submit"),
        EventRule(source=EventSource.COUNTER, key="clicks", kind="email_click", date="last_click"),
    ),
)


def schema(**kinds: FieldKind) -> dict[str, FieldSchema]:
    return {name: FieldSchema(name=name, kind=kind, writable=True) for name, kind in kinds.items()}


KNOWN = schema(
    jobtitle=FieldKind.TEXT,
    country=FieldKind.TEXT,
    views=FieldKind.NUMBER,
    mql_score=FieldKind.NUMBER,
    clicks=FieldKind.NUMBER,
    last_click=FieldKind.DATETIME,
    salesforceleadid=FieldKind.TEXT,
    salesforcecontactid=FieldKind.TEXT,
)
UNIQUE_KEY = {"mqlsync_task_key": FieldSchema(name="mqlsync_task_key", kind=FieldKind.TEXT, writable=True, unique=True)}


@dataclass
class Bench:
    wire: Wire
    slept: list[float] = field(default_factory=list)
    opened: list[HubSpotConnector] = field(default_factory=list)
    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def connector(
        self,
        *,
        url: str = "",
        token: Any = "secret-token",
        fields: CrmMap = FIELDS,
        unique: bool = False,
        **settings: Any,
    ) -> HubSpotConnector:
        made = HubSpotConnector(
            HubSpotSettings(base_url=url or self.wire.url, token=token, **settings),
            fields,
            patience=Patience(attempts=3, first_wait=0.5, jitter=0.0),
            sleep=self.sleep,
            monotonic=lambda: self.now,
            schemas={"contact": KNOWN, "task": UNIQUE_KEY if unique else {}},
        )
        self.opened.append(made)
        return made


@pytest.fixture
def bench(wire: Wire) -> Iterator[Bench]:
    made = Bench(wire=wire)
    yield made
    for one in made.opened:
        one.close()


def record(id: str, **properties: str | None) -> dict[str, Any]:
    stamp = "2026-11-25T11:30:00.000Z"
    return {
        "id": id,
        "properties": {"lastmodifieddate": stamp, **properties},
        "createdAt": stamp,
        "updatedAt": stamp,
        "archived": False,
    }


def rows(*records: dict[str, Any], after: str | None = None) -> Say:
    return Say(body={"results": list(records)} | ({"paging": {"next": {"after": after}}} if after else {}))


EMPTY = rows()


def read_all(connector: HubSpotConnector, *, lo: datetime | None = LO, resume: str | None = None) -> list[Any]:
    return list(connector.people(PEOPLE, Window(lo=lo, hi=HI), resume))


def ref(id: str) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object="contact", id=id)


def patches(count: int, **fields: str | None) -> list[Patch]:
    return [Patch(ref=ref(str(n)), fields=dict(fields) or {"mql_score": "5"}, trace=f"trace-{n}") for n in range(count)]


# -- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://api.hubapi.com",
        "http://10.0.0.1:80",
        "http://localhost.evil.example",
        "http://127.0.0.1.nip.io",
        "http://[::2]",
        "ftp://127.0.0.1",
        "api.hubapi.com",
        "https://api.hubapi.com/crm",
        "https://user@api.hubapi.com",
    ],
)
def test_only_https_or_loopback_is_spoken_to(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        HubSpotSettings(base_url=url, token="x")


@pytest.mark.parametrize(
    "url",
    ["https://api.hubapi.com", "http://127.0.0.1:1", "http://127.8.9.1", "http://[::1]:5", "http://localhost:8080/"],
)
def test_https_and_loopback_are(url: str) -> None:
    assert not HubSpotSettings(base_url=url, token="x").host.endswith("/")


def test_secrets_are_in_no_repr() -> None:
    oauth = OAuth(client_id="id", client_secret="s3cret", refresh_token="r3fresh")
    shown = repr(HubSpotSettings(base_url="https://x.example", token=oauth)) + repr(oauth)
    shown += repr(HubSpotSettings(base_url="https://x.example", token="t0ken"))
    assert not any(secret in shown for secret in ("s3cret", "r3fresh", "t0ken"))


@pytest.mark.parametrize(
    "wrong",
    [{"api_version": "v2"}, {"per_day": 0}, {"search_per_second": -1}, {"timeout": (0.0, 1.0)}, {"answer_within": 0.0}],
)
def test_settings_that_cannot_work_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HubSpotSettings(base_url="https://x.example", token="x", **wrong)


# -- reading -------------------------------------------------------------------------------------------------------


def test_a_window_is_walked_by_id_until_a_page_is_empty(bench: Bench) -> None:
    bench.wire.script = answers(rows(record("9"), record("10")), rows(record("2000000000000")), EMPTY)
    pages = read_all(bench.connector())
    assert [page.resume for page in pages] == ["10", "2000000000000", None]
    bodies = [asked.body for asked in bench.wire.asked]
    span = {
        "propertyName": "lastmodifieddate",
        "operator": "BETWEEN",
        "value": str(int(LO.timestamp() * 1000)),
        "highValue": str(int(HI.timestamp() * 1000)),
    }
    after_ten = {"propertyName": "hs_object_id", "operator": "GT", "value": "10"}
    assert bodies[0]["filterGroups"] == [{"filters": [span]}]
    assert bodies[1]["filterGroups"] == [{"filters": [span, after_ten]}]
    assert all(body["after"] == "0" and body["limit"] == 200 for body in bodies)
    assert {"hs_merged_object_ids", "salesforceleadid", "clicks", "last_click"} <= set(bodies[0]["properties"])


def test_a_search_that_ignores_the_keyset_is_stopped(bench: Bench) -> None:
    bench.wire.script = answers(rows(record("1"), record("2")))
    with pytest.raises(UnexpectedAnswer, match="circle"):
        read_all(bench.connector())


def test_a_page_that_points_back_is_asked_for_once_more(bench: Bench) -> None:
    bench.wire.script = answers(
        rows(record("1"), after="x"), rows(record("1"), after="x"), rows(record("2"), after="y"), rows(record("3"))
    )
    pages = read_all(bench.connector(), lo=None)
    assert [[row.ref.id for row in page.rows] for page in pages] == [["1"], ["2"], ["3"]]
    assert [call.query.get("after") for call in bench.wire.asked] == [None, ["x"], ["x"], ["y"]]


@pytest.mark.parametrize("circle", [("x",), ("x", "y")], ids=["a cursor that repeats", "two that lead to each other"])
def test_a_list_that_goes_round_is_left_for_the_search_and_read_to_its_end(
    bench: Bench, circle: tuple[str, ...]
) -> None:
    listed = [rows(record(str(n)), after=after) for n, after in enumerate((*circle, circle[0], circle[0]))]
    bench.wire.script = answers(*listed, rows(*(record(str(n)) for n in range(5))), EMPTY)
    pages = read_all(bench.connector(), lo=None)
    assert {row.ref.id for page in pages for row in page.rows} == {"0", "1", "2", "3", "4"}
    assert [page.resume for page in pages][-2:] == ["id>4", None]
    bench.wire.script = answers(rows(record("5")), EMPTY)
    bench.wire.asked.clear()
    read_all(bench.connector(), lo=None, resume="id>4")
    filters = bench.wire.asked[0].body["filterGroups"][0]["filters"]
    assert filters[1] == {"propertyName": "hs_object_id", "operator": "GT", "value": "4"}


def test_the_ids_of_everybody_come_from_the_list_with_nothing_but_their_stamps(bench: Bench) -> None:
    broken = {"id": "3", "properties": {"lastmodifieddate": ["no"]}}
    bench.wire.script = answers(rows(record("1"), record("2"), broken))
    seen = [sighting for page in bench.connector().ids(PEOPLE, None) for sighting in page.rows]
    assert [(s.ref.id, s.modified_at is None) for s in seen] == [("1", False), ("2", False), ("3", True)]
    assert bench.wire.asked[0].query["properties"] == ["lastmodifieddate"]


def test_of_many_absent_records_one_call_tells_those_in_the_bin(bench: Bench) -> None:
    asked = [ref(str(n)) for n in range(1, 5)]
    dead = [record(str(n)) | {"archived": True} for n in range(1, 5)]
    bench.wire.script = answers(EMPTY, rows(*dead))
    found = bench.connector().read(asked, ())
    assert all(isinstance(found[one], Gone) for one in asked)
    assert len(bench.wire.asked) == 2


def test_an_empty_page_in_the_middle_does_not_end_a_list(bench: Bench) -> None:
    bench.wire.script = answers(rows(record("1"), after="a"), rows(after="b"), rows(record("2")))
    pages = read_all(bench.connector(), lo=None)
    assert [row.ref.id for page in pages for row in page.rows] == ["1", "2"]
    assert [page.resume for page in pages] == ["a", "b", None]


def test_a_cursor_of_an_earlier_run_that_is_refused_starts_the_list_again(bench: Bench) -> None:
    bench.wire.script = answers(Say(status=400, body={"category": "VALIDATION_ERROR"}), rows(record("1")))
    pages = read_all(bench.connector(), lo=None, resume="stale")
    assert [row.ref.id for page in pages for row in page.rows] == ["1"]
    assert "after" not in bench.wire.asked[1].query


def test_records_at_which_hubspot_itself_failed_are_asked_for_again(bench: Bench) -> None:
    failed = {"status": "error", "category": "INTERNAL_ERROR", "message": "internal error", "context": {"ids": ["2"]}}
    half = Say(status=207, body={"status": "COMPLETE", "results": [record("1")], "errors": [failed]})
    bench.wire.script = answers(half, rows(record("1"), record("2")))
    connector = bench.connector()
    page = connector.fetch(PEOPLE, [ref("1"), ref("2")])
    assert [one.ref.id for one in page.rows] == ["1", "2"]
    assert [[one["id"] for one in asked.body["inputs"]] for asked in bench.wire.asked] == [["1", "2"], ["2"]]


@pytest.mark.parametrize("named", [True, False])
def test_a_record_at_which_hubspot_always_fails_costs_itself_alone(bench: Bench, named: bool) -> None:
    def script(asked: Asked) -> Say:
        ids = [one["id"] for one in asked.body["inputs"]]
        if "7" not in ids:
            return rows(*map(record, ids))
        failed = {"category": "INTERNAL_ERROR", "context": {"ids": ["7"]} if named else {}}
        there = [record(id) for id in ids if named and id != "7"]
        return Say(status=207, body={"status": "COMPLETE", "results": there, "errors": [failed]})

    bench.wire.script = script
    page = bench.connector().fetch(PEOPLE, [ref(str(n)) for n in range(10)])
    assert {one.ref.id for one in page.rows} == set("012345689")
    (problem,) = page.problems
    assert problem.ref == ref("7")
    assert "INTERNAL_ERROR" in problem.reason
    assert bench.slept == [0.5, 1.0]
    assert len(bench.wire.asked) <= 12


def test_a_hubspot_that_fails_at_every_record_is_out_of_order_itself(bench: Bench) -> None:
    failed = {"category": "INTERNAL_ERROR", "context": {}}
    bench.wire.script = answers(Say(status=207, body={"results": [], "errors": [failed]}))
    with pytest.raises(RetryLater, match="INTERNAL_ERROR"):
        bench.connector().fetch(PEOPLE, [ref("1"), ref("2")])


def test_an_address_that_is_not_there_is_no_record_that_is_gone(bench: Bench) -> None:
    """A proxy's own 404 says nothing about a record: nothing is taken for deleted."""
    bench.wire.script = lambda asked: Say(status=404, body=b"<html>not here</html>")
    with pytest.raises(UnexpectedAnswer):
        bench.connector().read([ref("1")], ["jobtitle"])


def test_properties_that_do_not_fit_an_address_are_read_by_batch(bench: Bench) -> None:
    names = [f"a_property_with_a_long_name_{n:04}" for n in range(300)]
    facts = tuple(FactField(fact=f"person.custom.{name}", property=name) for name in names)
    wide = CrmMap(crm=Crm.HUBSPOT, objects={"contact": ObjectMap(object="contact", facts=facts)})
    connector = HubSpotConnector(
        HubSpotSettings(base_url=bench.wire.url, token="x"),
        wide,
        schemas={"contact": schema(**dict.fromkeys(names, FieldKind.TEXT))},
    )
    bench.opened.append(connector)
    bench.wire.script = answers(rows({"id": "1"}), rows(record("1", **{names[0]: "x"})))
    (page,) = read_all(connector, lo=None)
    assert page.rows[0].facts == {f"person.custom.{names[0]}": "x"}
    assert [asked.path.rpartition("/")[2] for asked in bench.wire.asked] == ["contacts", "read"]
    assert bench.wire.asked[1].body["inputs"] == [{"id": "1"}]


def test_an_address_a_proxy_finds_too_long_is_shortened_in_the_same_way(bench: Bench) -> None:
    bench.wire.script = answers(Say(status=414, body=b"<html>"), rows({"id": "1"}), rows(record("1", jobtitle="CTO")))
    (page,) = read_all(bench.connector(), lo=None)
    assert page.rows[0].facts["person.title"] == "CTO"


def test_one_bad_value_costs_that_value_and_one_bad_row_that_row(bench: Bench) -> None:
    no_stamp = record("3") | {"updatedAt": None}
    no_stamp["properties"] = {"lastmodifieddate": "yesterday"}
    bench.wire.script = answers(
        rows(
            record("1", jobtitle="CTO", country="Atlantis", views="lots", clicks="4", last_click="never"),
            {"properties": {}},
            no_stamp,
            {
                "id": 4,
                "properties": {"jobtitle": True, "views": 7, "lastmodifieddate": "1764070200000"},
                "createdAt": "",
            },
            {"id": "5", "properties": {"jobtitle": {"a": 1}}},
        ),
        EMPTY,
    )
    page, _ = read_all(bench.connector())
    assert [row.ref.id for row in page.rows] == ["1", "4"]
    assert page.rows[0].facts == {"person.title": "CTO"}
    assert sorted(problem.field for problem in page.rows[0].problems) == ["country", "last_click", "views"]
    assert page.rows[0].counters == (Counter(property="clicks", kind="email_click", total=4, last_at=None),)
    assert page.rows[1].facts == {"person.title": "true", "person.page_views": 7}
    assert {problem.ref.id for problem in page.problems} == {"", "3", "5"}
    assert page.resume == "5"


def test_a_contact_tells_who_it_absorbed_and_who_it_is_elsewhere(bench: Bench) -> None:
    bench.wire.script = answers(
        rows(
            record(
                "30",
                email=" Ana@Example.com",
                hs_additional_emails="b@example.com;ANA@example.com; c@example.com",
                hs_merged_object_ids="10;20",
                hs_calculated_merged_vids="20:1700000000000;25:1700000000001;30:1",
                salesforceleadid="00Q5g00000AbCdE",
                salesforcecontactid="nonsense",
                associatedcompanyid="7",
                hubspot_owner_id="41",
                clicks="3",
                last_click="1764070200000",
                mql_score="",
            )
        ),
        EMPTY,
    )
    page, _ = read_all(bench.connector())
    (ana,) = page.rows
    assert ana.emails == ("Ana@Example.com", "b@example.com", "c@example.com")
    assert [one.id for one in ana.absorbed] == ["10", "20", "25"]
    assert ana.cross_refs == (RecordRef(crm=Crm.SALESFORCE, object="lead", id="00Q5g00000AbCdEEAV"),)
    assert [problem.field for problem in ana.problems] == ["salesforcecontactid"]
    assert (ana.company, ana.owner, ana.current) == (
        RecordRef(crm=Crm.HUBSPOT, object="company", id="7"),
        "41",
        {"mql_score": None},
    )
    assert ana.counters[0].total == 3
    assert ana.counters[0].last_at == datetime(2025, 11, 25, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "content", [b"<html>maintenance</html>", b"{}", b'{"results": null}', b'{"results": [{"id"', b"", b"\xff\xfe"]
)
def test_an_answer_that_is_no_page_is_never_taken_for_an_empty_one(bench: Bench, content: bytes) -> None:
    bench.wire.script = answers(Say(body=content))
    with pytest.raises(UnexpectedAnswer):
        read_all(bench.connector())
    assert len(bench.wire.asked) == 3


def test_packed_answers_are_unpacked(bench: Bench) -> None:
    packed = gzip.compress(json.dumps({"results": []}).encode())
    bench.wire.script = answers(Say(body=packed, headers={"Content-Encoding": "gzip"}))
    assert len(read_all(bench.connector())) == 1
    assert bench.wire.asked[0].headers["Accept-Encoding"] == "gzip"


def test_a_cursor_may_be_a_number(bench: Bench) -> None:
    page = {"results": [record("1")], "paging": {"next": {"after": 200}}}
    bench.wire.script = answers(Say(body=page), rows(record("2")))
    assert [page.resume for page in read_all(bench.connector(), lo=None)] == ["200", None]


def test_trouble_on_the_way_is_waited_out(bench: Bench) -> None:
    bench.wire.script = answers(Say(status=502, body=b"\xff<html>"), Say(hang_up=True), EMPTY)
    assert len(read_all(bench.connector())) == 1
    assert bench.slept == [0.5, 1.0]


def test_a_redirect_is_not_followed(bench: Bench) -> None:
    """The token must not travel to an address nobody configured."""
    bench.wire.script = answers(Say(status=302, headers={"Location": f"{bench.wire.url}/elsewhere"}))
    with pytest.raises(UnexpectedAnswer, match="302"):
        read_all(bench.connector())
    assert len(bench.wire.asked) == 1


def test_a_server_that_never_answers_costs_the_timeout_only(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        connector = bench.connector(url=url, timeout=(1.0, 0.05))
        with pytest.raises(RetryLater, match="ReadTimeout"):
            read_all(connector)
        (outcome,) = connector.apply(patches(1))
    assert isinstance(outcome, Unknown)
    assert connector.calls == {"search": 3, "batch_update": 1}


HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX-", HEAD % 200, HEAD % 400, HEAD % 503])
def test_an_answer_that_drips_costs_its_time_only(begun: bytes) -> None:
    """Each byte comes in time, the answer never does: a read is asked for again, and a write is left open."""
    with dripping(begun) as drip:
        settings = HubSpotSettings(base_url=drip.url, token="secret", answer_within=20.0)
        patience = Patience(attempts=2, first_wait=0.0, longest_wait=0.0)
        connector = HubSpotConnector(
            settings,
            FIELDS,
            patience=patience,
            sleep=lambda _: None,
            monotonic=drip.monotonic,
            schemas={"contact": KNOWN},
        )
        with pytest.raises(RetryLater, match="ReadTimeout"):
            read_all(connector)
        (outcome,) = connector.apply(patches(1))
        connector.close()
    assert isinstance(outcome, Unknown)
    assert connector.calls == {"search": 2, "batch_update": 1}


def test_a_server_that_is_not_there_has_done_nothing(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    connector = bench.connector(url=url)
    with pytest.raises(RetryLater):
        connector.apply(patches(2))
    assert connector.calls == {"batch_update": 3}


def test_a_broken_tls_exchange_is_told_as_that(bench: Bench) -> None:
    """The package fails to read its own error there."""
    connector = bench.connector(url=bench.wire.url.replace("http://", "https://"))
    with pytest.raises(RetryLater, match="TLS"):
        read_all(connector)
    (outcome,) = connector.apply(patches(1))
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize(
    ("policy", "header", "waits"),
    [("SECONDLY", None, [1.0]), ("TEN_SECONDLY_ROLLING", None, [10.0]), ("SECONDLY", "3", [3.0]), ("", None, [10.0])],
)
def test_a_429_waits_as_long_as_its_policy(bench: Bench, policy: str, header: str | None, waits: list[float]) -> None:
    body = {"status": "error", "errorType": "RATE_LIMIT", "category": "RATE_LIMITS", "policyName": policy}
    bench.wire.script = answers(Say(status=429, body=body, headers={"Retry-After": header} if header else {}), EMPTY)
    read_all(bench.connector())
    assert bench.slept == waits


def test_the_end_of_the_days_quota_is_not_waited_for(bench: Bench) -> None:
    bench.wire.script = answers(Say(status=429, body={"policyName": "DAILY"}))
    with pytest.raises(RunCannotContinue) as raised:
        read_all(bench.connector())
    assert raised.value.quota
    assert bench.slept == []


def test_headers_say_when_the_day_is_over(bench: Bench) -> None:
    bench.wire.script = answers(Say(body={"results": []}, headers={"X-HubSpot-RateLimit-Daily-Remaining": "0"}))
    connector = bench.connector()
    with pytest.raises(RunCannotContinue) as raised:
        connector.owners()
    assert raised.value.quota
    assert len(bench.wire.asked) == 1


ACCOUNT = {"portalId": 1, "timeZone": "Europe/Berlin"}
USAGE = {"results": [{"name": "private-apps-api-calls-daily", "usageLimit": 250_000, "currentUsage": 49_000}]}


@pytest.mark.parametrize(
    ("usage", "left"),
    [
        (Say(body=USAGE), 200_999),  # one call since
        (Say(status=403, body={"category": "MISSING_SCOPES"}), None),
        (Say(status=404, body=b"<html>"), None),
        (Say(status=503, body=b"<html>"), None),
        (Say(body={"results": [{"usageLimit": None, "currentUsage": None}]}), None),
    ],
)
def test_where_no_header_tells_of_the_day_the_usage_page_is_asked_once(
    bench: Bench, usage: Say, left: int | None
) -> None:
    bench.wire.script = lambda asked: usage if "api-usage" in asked.path else Say(body=ACCOUNT)
    connector = bench.connector()
    for _ in range(2):
        connector.check()
    day = connector.day()
    assert (None if day is None else day.left) == left
    assert len({asked.path for asked in bench.wire.asked}) == 2
    assert connector.calls["account"] == 2
    if left is not None:
        assert connector.calls["usage"] == 1


def test_an_oauth_app_has_no_usage_page_to_ask(bench: Bench) -> None:
    portal = Portal()
    bench.wire.script = lambda asked: Say(body=ACCOUNT) if "account-info" in asked.path else portal(asked)
    connector = bench.connector(token=oauth())
    connector.check()
    assert connector.day() is None
    assert connector.calls["usage"] == 0


def test_the_day_ends_at_midnight_where_the_account_is(bench: Bench) -> None:
    told = {
        "Date": "Wed, 25 Nov 2026 12:00:00 GMT",
        "X-HubSpot-RateLimit-Daily": "250000",
        "X-HubSpot-RateLimit-Daily-Remaining": "100",
    }
    bench.wire.script = lambda asked: Say(body=ACCOUNT, headers=told)
    connector = bench.connector()
    connector.check()
    day = connector.day()
    assert day is not None
    assert (day.limit, day.left) == (250_000, 100)
    assert day.resets_at == datetime(2026, 11, 25, 23, 0, tzinfo=UTC)
    assert connector.calls["usage"] == 0


def test_an_account_that_moves_ends_the_run_at_once(bench: Bench) -> None:
    bench.wire.script = answers(Say(status=477, headers={"Retry-After": "21600"}))
    with pytest.raises(RetryLater) as raised:
        read_all(bench.connector())
    assert raised.value.after == 21600.0
    assert bench.slept == []


def test_searches_keep_their_own_pace(bench: Bench) -> None:
    bench.wire.script = answers(*(rows(record(str(n))) for n in range(12)), EMPTY)
    read_all(bench.connector(search_per_second=5))
    assert len(bench.wire.asked) == 13
    assert sum(bench.slept) == pytest.approx(2 * 1.04)


@pytest.mark.parametrize("version", ["v3", "2026-03"])
def test_one_switch_moves_every_path(bench: Bench, version: Any) -> None:
    bench.wire.script = answers(rows())
    connector = bench.connector(api_version=version, fields=CrmMap(crm=Crm.HUBSPOT, objects=FIELDS.objects))
    read_all(connector)
    read_all(connector, lo=None)
    connector.owners()
    paths = {asked.path for asked in bench.wire.asked}
    dated = {"/crm/objects/2026-03/contacts/search", "/crm/objects/2026-03/contacts", "/crm/owners/2026-03"}
    plain = {"/crm/v3/objects/contacts/search", "/crm/v3/objects/contacts", "/crm/v3/owners"}
    assert paths == (plain if version == "v3" else dated)


# -- signing in ----------------------------------------------------------------------------------------------------


def test_a_fixed_token_that_is_refused_ends_the_run(bench: Bench) -> None:
    bench.wire.script = answers(Say(status=401, body={"category": "INVALID_AUTHENTICATION"}))
    with pytest.raises(RunCannotContinue) as raised:
        read_all(bench.connector())
    assert raised.value.credentials
    assert "secret-token" not in str(raised.value)
    assert len(bench.wire.asked) == 1
    assert bench.wire.asked[0].headers["Authorization"] == "Bearer secret-token"


def test_a_token_that_was_rotated_is_fetched_again(bench: Bench) -> None:
    tokens = iter(["old", "new"])
    bench.wire.script = lambda asked: EMPTY if asked.headers["Authorization"] == "Bearer new" else Say(status=401)
    read_all(bench.connector(token=lambda: next(tokens)))
    assert len(bench.wire.asked) == 2


def test_a_token_of_the_wrong_form_is_told_as_that(bench: Bench) -> None:
    bench.wire.script = answers(Say(status=530, body=b"<html>"))
    with pytest.raises(RunCannotContinue) as raised:
        read_all(bench.connector())
    assert raised.value.credentials


class Portal:
    """Gives out access tokens t1, t2 ... and takes only the newest."""

    def __init__(self, *, token_path: str = "/oauth/2026-03/token", life: float = 1800) -> None:
        self.issued = 0
        self.token_path = token_path
        self.life = life
        self.refusal: Say | None = None
        self.revoked = False

    def __call__(self, asked: Asked) -> Say:
        if asked.path == self.token_path:
            if self.refusal:
                return self.refusal
            assert asked.body["grant_type"] == ["refresh_token"]
            assert asked.body["client_secret"] == ["s3cret"]
            self.issued += 1
            self.revoked = False
            return Say(
                body={"access_token": f"t{self.issued}", "refresh_token": f"r{self.issued}", "expires_in": self.life}
            )
        if asked.path.startswith("/oauth/"):
            return Say(status=404, body=b"<html>")
        right = asked.headers.get("Authorization") == f"Bearer t{self.issued}" and not self.revoked
        return EMPTY if right else Say(status=401, body={"category": "EXPIRED_AUTHENTICATION"})


def oauth(kept_in: Path | None = None) -> OAuth:
    return OAuth(client_id="id", client_secret="s3cret", refresh_token="r0", kept_in=kept_in)


def test_an_oauth_token_is_fetched_once_and_renewed_before_its_end(bench: Bench) -> None:
    portal = Portal()
    bench.wire.script = portal
    connector = bench.connector(token=oauth())
    read_all(connector)
    bench.now += 1400.0
    read_all(connector)
    assert portal.issued == 1
    bench.now += 200.0
    read_all(connector)
    assert portal.issued == 2
    assert bench.wire.asked[-2].body["refresh_token"] == ["r1"]


def test_a_refresh_token_that_was_replaced_is_stored_for_the_next_process(bench: Bench, tmp_path: Path) -> None:
    portal, kept_in = Portal(), tmp_path / "state" / "hubspot-token"
    bench.wire.script = portal
    read_all(bench.connector(token=oauth(kept_in)))
    read_all(bench.connector(token=oauth(kept_in)))
    assert [asked.body["refresh_token"] for asked in bench.wire.asked if asked.path == portal.token_path] == [
        ["r0"],
        ["r1"],
    ]
    assert stat.S_IMODE(kept_in.stat().st_mode) == 0o600


def test_a_token_address_out_of_order_does_no_harm_while_the_token_holds(bench: Bench) -> None:
    portal = Portal()
    bench.wire.script = portal
    connector = bench.connector(token=oauth())
    read_all(connector)
    portal.refusal = Say(status=503, body=b"<html>")
    bench.now += 1600.0
    read_all(connector)
    portal.refusal = None
    bench.now += 100.0
    read_all(connector)
    assert portal.issued == 2


def test_eight_threads_that_meet_an_ended_token_cost_one_refresh(bench: Bench) -> None:
    portal = Portal()
    meeting = threading.Barrier(8, timeout=20)

    def script(asked: Asked) -> Say:
        if asked.path != portal.token_path and asked.headers.get("Authorization") == "Bearer t1" and portal.revoked:
            meeting.wait()  # all eight are under way before the first is refused
            return Say(status=401, body={"category": "EXPIRED_AUTHENTICATION"})
        return portal(asked) if "batch" not in asked.path else found(asked)

    bench.wire.script = script
    connector = bench.connector(token=oauth())
    read_all(connector)
    portal.revoked = True
    read = connector.read([ref(str(n)) for n in range(800)], ["mql_score"])
    assert len(read) == 800
    assert portal.issued == 2


def found(asked: Asked) -> Say:
    return rows(*(record(one["id"], mql_score="5") for one in asked.body["inputs"]))


def test_batches_go_side_by_side_and_one_that_fails_fails_alone(bench: Bench) -> None:
    meeting = threading.Barrier(3, timeout=20)

    def script(asked: Asked) -> Say:
        meeting.wait()
        first = asked.body["inputs"][0]["id"]
        if first == "100":
            return Say(status=503, body=b"<html>")
        if first == "200":
            return Say(status=429, body={"policyName": "DAILY"})
        return done(*asked.body["inputs"])

    bench.wire.script = script
    outcomes = bench.connector().apply(patches(300))
    assert [type(one) for one in outcomes] == [Written] * 100 + [Unknown] * 100 + [Rejected] * 100
    assert {one.retry for one in outcomes if isinstance(one, Rejected)} == {True}
    assert [one.ref for one in outcomes] == [ref(str(n)) for n in range(300)]


def test_a_reason_that_stops_every_batch_is_raised(bench: Bench) -> None:
    bench.wire.script = answers(Say(status=429, body={"policyName": "DAILY"}))
    with pytest.raises(RunCannotContinue) as raised:
        bench.connector().apply(patches(300))
    assert raised.value.quota


def test_an_oauth_token_refused_early_is_renewed_once(bench: Bench) -> None:
    portal = Portal()
    bench.wire.script = portal
    connector = bench.connector(token=oauth())
    read_all(connector)
    portal.revoked = True
    read_all(connector)
    assert portal.issued == 2


def test_a_portal_that_refuses_every_token_is_asked_twice_only(bench: Bench) -> None:
    portal = Portal()
    bench.wire.script = lambda asked: portal(asked) if asked.path.startswith("/oauth/") else Say(status=401)
    with pytest.raises(RunCannotContinue) as raised:
        read_all(bench.connector(token=oauth()))
    assert raised.value.credentials
    assert portal.issued == 2


def test_an_app_that_was_uninstalled_is_not_asked_again(bench: Bench) -> None:
    portal = Portal()
    portal.refusal = Say(status=400, body={"error": "invalid_grant", "status": "BAD_REFRESH_TOKEN", "message": "m"})
    bench.wire.script = portal
    connector = bench.connector(token=oauth())
    for _ in range(3):
        with pytest.raises(RunCannotContinue, match="invalid_grant") as raised:
            read_all(connector)
        assert raised.value.credentials
    assert len(bench.wire.asked) == 1


def test_a_portal_that_only_knows_the_old_token_path_is_served(bench: Bench) -> None:
    portal = Portal(token_path="/oauth/v1/token")
    bench.wire.script = portal
    read_all(bench.connector(token=oauth()))
    assert portal.issued == 1


# -- writing -------------------------------------------------------------------------------------------------------


def done(*inputs: Mapping[str, Any], echo: bool = True, **more: Any) -> Say:
    return Say(
        status=207 if more.get("errors") else 200,
        body={
            "status": "COMPLETE",
            "results": [
                record(one["id"], **one["properties"])
                | ({"objectWriteTraceId": one["objectWriteTraceId"]} if echo else {})
                for one in inputs
            ],
        }
        | more,
    )


def test_every_input_carries_its_own_trace_and_blank_clears(bench: Bench) -> None:
    bench.wire.script = lambda asked: done(*asked.body["inputs"])
    bench.connector().apply([Patch(ref=ref("1"), fields={"a": "x", "b": None}, trace="t-1")])
    (asked,) = bench.wire.asked
    assert asked.body == {"inputs": [{"id": "1", "properties": {"a": "x", "b": ""}, "objectWriteTraceId": "t-1"}]}
    assert asked.path.endswith("/contacts/batch/update")


def test_answers_are_matched_by_name_never_by_place(bench: Bench) -> None:
    bench.wire.script = lambda asked: done(*reversed(asked.body["inputs"]), echo=False)
    outcomes = bench.connector().apply([Patch(ref=ref(i), fields={"a": i}, trace=f"t{i}") for i in "123"])
    assert [(type(o), o.ref.id, o.values) for o in outcomes] == [(Written, i, {"a": i}) for i in "123"]  # type: ignore[union-attr]


def test_a_record_the_answer_does_not_name_is_looked_up(bench: Bench) -> None:
    """200 and the id is not among the results: merged away, deleted, or a mystery."""

    def script(asked: Asked) -> Say:
        match asked.path.rsplit("/contacts", 1)[1]:
            case "/batch/update":
                return done(asked.body["inputs"][0])
            case "/batch/read":
                return Say(status=207, body={"results": [record("3")], "errors": [{"category": "OBJECT_NOT_FOUND"}]})
            case "/1":
                return Say(body=record("77"))
            case _:
                return Say(status=404, body={"category": "OBJECT_NOT_FOUND"})

    bench.wire.script = script
    written, moved, gone, mystery = bench.connector().apply(patches(4))
    assert isinstance(written, Written)
    assert isinstance(moved, Redirected)
    assert moved.to == ref("77")
    assert isinstance(gone, Redirected)
    assert gone.to is None
    assert isinstance(mystery, Unknown)


def test_a_survivor_that_took_the_values_is_named(bench: Bench) -> None:
    bench.wire.script = lambda asked: Say(body={"results": [record("99") | {"objectWriteTraceId": "trace-0"}]})
    (outcome,) = bench.connector().apply(patches(1))
    assert isinstance(outcome, Redirected)
    assert outcome.to == ref("99")


def test_a_refused_batch_is_halved_until_the_bad_record_stands_alone(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        inputs = asked.body["inputs"]
        if any(one["id"] == "37" for one in inputs):
            return Say(status=400, body={"category": "VALIDATION_ERROR", "message": "no", "correlationId": "c-9"})
        return done(*inputs)

    bench.wire.script = script
    outcomes = bench.connector().apply(patches(100))
    assert [type(o) for o in outcomes] == [Rejected if n == 37 else Written for n in range(100)]
    assert "c-9" in outcomes[37].reason  # type: ignore[union-attr]
    assert len(bench.wire.asked) <= 15


@pytest.mark.parametrize(
    ("context", "bad"), [({"ids": ["2"]}, {2}), ({"objectWriteTraceId": ["trace-3", "trace-1"]}, {1, 3})]
)
def test_a_refusal_that_names_the_records_costs_one_more_call(
    bench: Bench, context: dict[str, list[str]], bad: set[int]
) -> None:
    bench.wire.script = lambda asked: (
        Say(status=400, body={"category": "VALIDATION_ERROR", "message": "no", "context": context})
        if len(asked.body["inputs"]) == 5
        else done(*asked.body["inputs"])
    )
    outcomes = bench.connector().apply(patches(5))
    assert [isinstance(o, Rejected) for o in outcomes] == [n in bad for n in range(5)]
    assert len(bench.wire.asked) == 2


def test_a_property_that_does_not_exist_condemns_those_that_set_it_at_once(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        if any("gone" in one["properties"] for one in asked.body["inputs"]):
            inner = [{"isValid": False, "message": "does not exist", "error": "PROPERTY_DOESNT_EXIST", "name": "gone"}]
            message = f"Property values were not valid: {json.dumps(inner)}"
            return Say(status=400, body={"category": "VALIDATION_ERROR", "message": message})
        return done(*asked.body["inputs"])

    bench.wire.script = script
    sent = [Patch(ref=ref(str(n)), fields={"gone" if n % 2 else "a": "1"}, trace=f"t{n}") for n in range(40)]
    outcomes = bench.connector().apply(sent)
    assert [isinstance(o, Rejected) for o in outcomes] == [n % 2 == 1 for n in range(40)]
    assert {(o.code, o.field) for o in outcomes if isinstance(o, Rejected)} == {("PROPERTY_DOESNT_EXIST", "gone")}
    assert len(bench.wire.asked) == 2


def test_a_half_whose_answer_is_lost_is_unknown_and_the_other_half_is_told(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        inputs = asked.body["inputs"]
        if len(inputs) == 4:
            return Say(status=400, body={"category": "VALIDATION_ERROR"})
        return Say(hang_up=True) if inputs[0]["id"] == "0" else done(*inputs)

    bench.wire.script = script
    outcomes = bench.connector().apply(patches(4))
    assert [type(o) for o in outcomes] == [Unknown, Unknown, Written, Written]
    assert len(bench.wire.asked) == 3


def test_what_was_not_sent_after_something_was_is_told_as_such(bench: Bench) -> None:
    """`apply` never raises for what was sent: the quota ends in the middle of a split batch."""

    def script(asked: Asked) -> Say:
        inputs = asked.body["inputs"]
        if len(inputs) == 4:
            return Say(status=400, body={"category": "VALIDATION_ERROR"})
        return done(*inputs) if inputs[0]["id"] == "0" else Say(status=429, body={"policyName": "DAILY"})

    bench.wire.script = script
    outcomes = bench.connector().apply(patches(4))
    assert [type(o) for o in outcomes] == [Written, Written, Rejected, Rejected]
    assert all(o.retry and o.code == "NOT_SENT" for o in outcomes[2:])  # type: ignore[union-attr]


def test_a_429_on_a_write_is_waited_for_and_sent_again(bench: Bench) -> None:
    left = [Say(status=429, body={"policyName": "TEN_SECONDLY_ROLLING"})]
    bench.wire.script = lambda asked: left.pop() if left else done(*asked.body["inputs"])
    (outcome,) = bench.connector().apply(patches(1))
    assert isinstance(outcome, Written)
    assert bench.slept == [10.0]


def test_one_locked_record_waits_alone(bench: Bench) -> None:
    bench.wire.script = lambda asked: (
        Say(status=423) if any(one["id"] == "3" for one in asked.body["inputs"]) else done(*asked.body["inputs"])
    )
    outcomes = bench.connector().apply(patches(8))
    assert [type(o) for o in outcomes] == [Rejected if n == 3 else Written for n in range(8)]
    assert outcomes[3].retry  # type: ignore[union-attr]


def test_a_stage_that_did_not_move_is_not_reported_as_written(bench: Bench) -> None:
    kept = {"lifecyclestage": "customer", "mql_score": "5"}
    bench.wire.script = lambda asked: Say(body={"results": [record("0", **kept)]})
    (outcome,) = bench.connector().apply(patches(1, lifecyclestage="marketingqualifiedlead", mql_score="5"))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.field) == ("LIFECYCLE_BACKWARD", "lifecyclestage")
    assert "mql_score were written" in outcome.reason


def test_a_stage_the_answer_does_not_show_is_read_back(bench: Bench) -> None:
    bench.wire.script = lambda asked: (
        Say(body={"results": [record("0", mql_score="5")]})
        if asked.path.endswith("/update")
        else Say(body={"results": [record("0", lifecyclestage="customer")]})
    )
    (outcome,) = bench.connector().apply(patches(1, lifecyclestage="lead"))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "LIFECYCLE_BACKWARD"


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"results"', b"{}", b"null"])
def test_a_success_without_a_word_about_the_records_is_unknown(bench: Bench, content: bytes) -> None:
    bench.wire.script = answers(Say(body=content))
    outcomes = bench.connector().apply(patches(2))
    assert [type(o) for o in outcomes] == [Unknown, Unknown]
    assert len(bench.wire.asked) == 1


def test_a_refusal_that_names_nobody_is_of_the_only_one_left(bench: Bench) -> None:
    """With one refusal and one input left over, the answer is not open to doubt."""
    bench.wire.script = lambda asked: done(
        *asked.body["inputs"][:2], errors=[{"category": "VALIDATION_ERROR", "message": "not so"}]
    )
    outcomes = bench.connector().apply(patches(3))
    assert [type(o) for o in outcomes] == [Written, Written, Rejected]
    assert len(bench.wire.asked) == 1


def test_a_207_may_come_without_results(bench: Bench) -> None:
    entry = {"category": "VALIDATION_ERROR", "message": "no", "context": {"ids": ["0", "1"]}}
    bench.wire.script = lambda asked: Say(status=207, body={"errors": [entry], "numErrors": 1})
    assert [type(o) for o in bench.connector().apply(patches(2))] == [Rejected, Rejected]


def test_a_property_that_was_just_made_may_be_unknown_for_a_while(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        (name,) = asked.body["inputs"][0]["properties"]
        inner = {"message": "no", "code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": [name]}}
        return Say(status=400, body={"category": "VALIDATION_ERROR", "errors": [inner]})

    bench.wire.script = script
    connector = bench.connector()
    (known,) = connector.apply(patches(1, mql_score="5"))
    (unknown,) = connector.apply(patches(1, never_made="5"))
    assert [(o.code, o.retry) for o in (known, unknown) if isinstance(o, Rejected)] == [
        ("PROPERTY_DOESNT_EXIST", True),
        ("PROPERTY_DOESNT_EXIST", False),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        [Patch(ref=ref("1"), fields={}, trace="a"), Patch(ref=ref("1"), fields={}, trace="b")],
        [Patch(ref=ref("1"), fields={}, trace="a"), Patch(ref=ref("2"), fields={}, trace="a")],
        [Patch(ref=ref(str(n)), fields={}, trace=str(n)) for n in range(1601)],
        [
            Patch(ref=ref("1"), fields={}, trace="a"),
            Patch(ref=RecordRef(crm=Crm.HUBSPOT, object="company", id="1"), fields={}, trace="b"),
        ],
    ],
)
def test_a_batch_no_portal_would_take_is_not_sent(bench: Bench, wrong: list[Patch]) -> None:
    with pytest.raises(ValueError, match=r"twice|at most|one object"):
        bench.connector().apply(wrong)
    assert bench.wire.asked == []


def test_reading_by_id_uses_what_the_batch_already_tells(bench: Bench) -> None:
    """A survivor in the same batch names the ids it absorbed: no call for each of them."""
    bench.wire.script = lambda asked: (
        Say(status=207, body={"results": [record("9", hs_merged_object_ids="1;2"), record("3") | {"archived": True}]})
        if asked.method == "POST"
        else Say(status=404)
    )
    found = bench.connector().read([ref("1"), ref("9"), ref("3"), ref("4")], ["jobtitle"])
    assert isinstance(found[ref("1")], Moved)
    assert found[ref("1")].to == ref("9")  # type: ignore[union-attr]
    assert isinstance(found[ref("3")], Gone)
    assert isinstance(found[ref("4")], Gone)
    assert len(bench.wire.asked) == 2


# -- tasks ---------------------------------------------------------------------------------------------------------


def draft(n: int = 1, *, attempted: bool = False) -> TaskDraft:
    return TaskDraft(
        key=f"person{n}:1:task:1",
        person=ref(str(n)),
        owner="41",
        subject="Call",
        lines=("a < b", 'say "hello" & go'),
        due=date(2026, 12, 1),
        since=LO,
        attempted=attempted,
    )


def made(asked: Asked, *, id: str = "500") -> Say:
    results = [record(f"{id}{n}", **one["properties"]) for n, one in enumerate(asked.body["inputs"])]
    return Say(status=201, body={"results": results})


def test_a_task_is_one_create_with_everything_in_it(bench: Bench) -> None:
    bench.wire.script = made
    (outcome,) = bench.connector(unique=True).create_tasks([draft()])
    assert outcome == Written(ref=RecordRef(crm=Crm.HUBSPOT, object="task", id="person1:1:task:1"), id="5000")
    (asked,) = bench.wire.asked
    assert asked.path.endswith("/tasks/batch/create")
    assert asked.body["inputs"] == [
        {
            "properties": {
                "hs_timestamp": "2026-12-01T09:00:00.000Z",
                "hs_task_subject": "Call",
                "hs_task_body": "a &lt; b<br>say &quot;hello&quot; &amp; go",
                "hs_task_status": "NOT_STARTED",
                "hs_task_priority": "HIGH",
                "hs_task_type": "TODO",
                "hubspot_owner_id": "41",
                "mqlsync_task_key": "person1:1:task:1",
            },
            "objectWriteTraceId": "person1:1:task:1",
            "associations": [
                {
                    "to": {"id": "1"},
                    "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}],
                }
            ],
        }
    ]


def test_several_tasks_are_matched_by_key(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        answer = made(asked)
        return Say(status=201, body={"results": list(reversed(answer.body["results"]))})

    bench.wire.script = script
    for unique in (True, False):
        outcomes = bench.connector(unique=unique).create_tasks([draft(n) for n in (1, 2, 3)])
        assert [outcome.id for outcome in outcomes] == ["5000", "5001", "5002"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (409, {"category": "CONFLICT", "message": "exists"}),
        (400, {"category": "VALIDATION_ERROR", "message": "Cannot set value. 55 already has that value."}),
        (
            207,
            {
                "results": [],
                "errors": [{"category": "CONFLICT", "context": {"objectWriteTraceId": ["person1:1:task:1"]}}],
            },
        ),
    ],
)
def test_a_clash_of_the_key_means_that_the_task_is_there(bench: Bench, status: int, body: dict[str, Any]) -> None:
    def script(asked: Asked) -> Say:
        if asked.path.endswith("/create"):
            return Say(status=status, body=body)
        assert asked.body["idProperty"] == "mqlsync_task_key"
        return Say(body={"results": [record("55", mqlsync_task_key="person1:1:task:1")]})

    bench.wire.script = script
    (outcome,) = bench.connector(unique=True).create_tasks([draft()])
    assert isinstance(outcome, Unchanged)
    assert outcome.id == "55"


def test_a_refused_task_that_is_nowhere_is_rejected(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        if asked.path.endswith("/create"):
            inner = {
                "message": "not an owner",
                "code": "INVALID_OWNER_ID",
                "context": {"propertyName": ["hubspot_owner_id"]},
            }
            return Say(status=400, body={"category": "VALIDATION_ERROR", "errors": [inner]})
        return Say(body={"results": [record("1")] if "contacts" in asked.path else []})

    bench.wire.script = script
    (outcome,) = bench.connector(unique=True).create_tasks([draft()])
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.field) == ("INVALID_OWNER_ID", "hubspot_owner_id")


def test_a_task_for_somebody_merged_away_is_redirected(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        if asked.path.endswith("/create"):
            return Say(status=400, body={"category": "VALIDATION_ERROR", "message": "no such contact"})
        return Say(body=record("77")) if asked.method == "GET" else rows()

    bench.wire.script = script
    (outcome,) = bench.connector(unique=True).create_tasks([draft()])
    assert isinstance(outcome, Redirected)
    assert outcome.to == ref("77")


def test_a_portal_that_fails_at_a_task_leaves_it_open(bench: Bench) -> None:
    entry = {"category": "INTERNAL_ERROR", "context": {"objectWriteTraceId": ["person1:1:task:1"]}}
    bench.wire.script = lambda asked: (
        Say(status=207, body={"results": [], "errors": [entry]}) if asked.path.endswith("/create") else rows()
    )
    (outcome,) = bench.connector(unique=True).create_tasks([draft()])
    assert isinstance(outcome, Unknown)


def test_without_a_unique_property_the_marker_is_looked_for_before_a_second_send(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        if "/associations/" in asked.path:
            assert asked.body["inputs"][0]["id"] in ("1", "2")
            page = {"paging": {"next": {"after": "n"}}} if "after" not in asked.body["inputs"][0] else {}
            tasks = [{"toObjectId": 70 if page else 71}]
            return Say(body={"results": [{"from": {"id": "1"}, "to": tasks, **page}]})
        if asked.path.endswith("/batch/read"):
            live = asked.query["archived"] == ["false"]
            other = "x<br>[mqlsync:person10:1:task:1]"
            return (
                rows(record("70", hs_task_body=other))
                if live
                else rows(record("71", hs_task_body="b<br>[mqlsync:person1:1:task:1]"))
            )
        return made(asked) if asked.method == "POST" else rows()

    bench.wire.script = script
    first, second = bench.connector().create_tasks([draft(1, attempted=True), draft(2, attempted=True)])
    assert isinstance(first, Unchanged)
    assert first.id == "71"
    assert isinstance(second, Written)
    created = [asked for asked in bench.wire.asked if asked.path.endswith("/create")]
    assert len(created) == 1
    assert "[mqlsync:person2:1:task:1]" in created[0].body["inputs"][0]["properties"]["hs_task_body"]
    assert "mqlsync_task_key" not in created[0].body["inputs"][0]["properties"]


def test_a_person_whose_tasks_cannot_be_read_gets_no_second_one_and_others_get_theirs(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        if "associations" in asked.path:
            errors = [{"category": "INTERNAL_ERROR", "context": {"fromObjectId": ["1"]}}]
            failed = any(one["id"] == "1" for one in asked.body["inputs"])
            return Say(status=207, body={"results": [], "errors": errors if failed else [{"category": "NONE"}]})
        return made(asked) if asked.method == "POST" else rows()

    bench.wire.script = script
    first, second = bench.connector().create_tasks([draft(1, attempted=True), draft(2, attempted=True)])
    assert isinstance(first, Rejected)
    assert (first.code, first.retry) == ("NOT_SENT", True)
    assert isinstance(second, Written)


# -- forms ---------------------------------------------------------------------------------------------------------


FORMS = {
    "results": [
        {"id": "guid-1", "name": "request A demo", "archived": False},
        {"id": "guid-2", "name": "Newsletter", "archived": False},
        {"id": "guid-3", "name": "Nobody maps this", "archived": False},
        {"id": "guid-4", "name": "Request a demo", "archived": True},
    ]
}


def submission(at: datetime, n: int, **values: str) -> dict[str, Any]:
    return {
        "conversionId": f"conv-{n}",
        "submittedAt": int(at.timestamp() * 1000),
        "values": [{"name": name, "value": value} for name, value in values.items()],
        "pageUrl": "https://acme.com/Demo/?utm=1#top",
    }


def test_only_forms_that_make_events_are_streams(bench: Bench) -> None:
    bench.wire.script = answers(Say(body=FORMS))
    streams = bench.connector().streams()
    assert [s.name for s in streams] == ["owners", "contact", "form:guid-1", "form:guid-2"]
    assert len(bench.wire.asked) == 1


def test_forms_out_of_scope_are_a_problem_of_the_account_not_the_end_of_the_run(bench: Bench) -> None:
    bench.wire.script = lambda asked: (
        Say(status=403, body={"category": "MISSING_SCOPES", "context": {"missingScopes": ["forms"]}})
        if "forms" in asked.path
        else Say(body={"portalId": 7, "timeZone": "Europe/Berlin"})
    )
    connector = bench.connector()
    assert [s.name for s in connector.streams()] == ["owners", "contact"]
    account = connector.check()
    assert (account.id, account.timezone) == ("7", "Europe/Berlin")
    assert any("forms" in problem for problem in account.problems)


@pytest.mark.parametrize("status", [403, 404])
def test_a_portal_without_forms_has_none(bench: Bench, status: int) -> None:
    bench.wire.script = lambda asked: Say(status=status, body=b"<html>")
    assert [s.name for s in bench.connector().streams()] == ["owners", "contact"]


def test_a_form_deleted_meanwhile_is_an_empty_stream_with_a_problem(bench: Bench) -> None:
    bench.wire.script = lambda asked: Say(body=FORMS) if asked.path.endswith("v3/forms") else Say(status=404)
    connector = bench.connector()
    stream = connector.streams()[-1]
    (page,) = connector.engagement(stream, Window(lo=LO, hi=HI), None)
    assert page.rows == ()
    assert page.resume is None
    assert len(page.problems) == 1


def test_submissions_are_read_newest_first_until_the_window_begins(bench: Bench) -> None:
    early, before = datetime(2026, 11, 25, 11, 10, tzinfo=UTC), datetime(2026, 11, 25, 10, 50, tzinfo=UTC)
    late = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
    first = [
        submission(late, 1, email="late@x.com"),
        submission(early, 2, Email=" Ana@X.com "),
        submission(early, 3, firstname="nobody"),
        {"conversionId": "broken"},
    ]
    second = [submission(early, 4, email="b@x.com"), submission(before, 5, email="old@x.com")]

    def script(asked: Asked) -> Say:
        if asked.path == "/marketing/v3/forms":
            return Say(body=FORMS)
        assert asked.path == "/form-integrations/v1/submissions/forms/guid-1"
        after = {"paging": {"next": {"after": "more" if "after" not in asked.query else "even-more"}}}
        return Say(body={"results": first if "after" not in asked.query else second} | after)

    bench.wire.script = script
    connector = bench.connector()
    stream = next(s for s in connector.streams() if s.name == "form:guid-1")
    pages = list(connector.engagement(stream, Window(lo=LO, hi=HI), None))
    events = [row for page in pages for row in page.rows]
    assert [(e.source_id, e.who, e.kind, e.at) for e in events] == [
        ("conv-2", "ana@x.com", "demo_request", early),
        ("conv-4", "b@x.com", "demo_request", early),
    ]
    assert events[0].attributes == {"form": "demo", "page": "/Demo"}
    assert sorted(problem.field for problem in pages[0].problems) == ["email", "submittedAt"]
    assert [page.resume for page in pages] == ["more", None]
    resumed = list(bench.connector().engagement(stream, Window(lo=LO, hi=HI), "more"))
    assert [row.source_id for page in resumed for row in page.rows] == ["conv-4"]


def test_a_submission_without_an_id_has_a_stable_one(bench: Bench) -> None:
    early = datetime(2026, 11, 25, 11, 10, tzinfo=UTC)
    nameless = [{**submission(early, 1, email=who), "conversionId": None} for who in ("a@x.com", "b@x.com")]
    bench.wire.script = lambda asked: Say(body=FORMS if asked.path.endswith("v3/forms") else {"results": nameless})
    connector = bench.connector()
    stream = next(s for s in connector.streams() if s.name == "form:guid-2")
    ids = [
        [row.source_id for row in page.rows]
        for _ in range(2)
        for page in connector.engagement(stream, Window(lo=None, hi=HI), None)
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


# -- the account ---------------------------------------------------------------------------------------------------


def test_mapped_properties_the_portal_lacks_are_named(bench: Bench) -> None:
    more = (*CONTACT, FactField(fact="person.city", property="town"))
    fields = CrmMap(crm=Crm.HUBSPOT, objects={"contact": ObjectMap(object="contact", facts=more)})
    bench.wire.script = answers(Say(body={"portalId": 7, "timeZone": "no/where"}))
    account = bench.connector(fields=fields).check()
    assert len(account.problems) == 1
    assert "town" in account.problems[0]


def test_setup_goes_on_where_tasks_take_no_properties(bench: Bench) -> None:
    """Nothing says that tasks can have properties at all: the answer may be anything but yes."""
    for status in (400, 403, 404, 405):
        bench.wire.script = lambda asked, status=status: (  # type: ignore[misc]  # a default binds the loop variable
            Say(status=status, body=b"<html>") if "/tasks" in asked.path else Say(body={"results": []})
        )
        (change,) = bench.connector().ensure_schema([])
        assert change.name == "mqlsync_task_key"
        assert change.what.startswith("not possible")


def test_properties_are_described_whatever_is_left_out(bench: Bench) -> None:
    rows = [
        {"name": "a"},
        {
            "name": "b",
            "type": "enumeration",
            "fieldType": None,
            "options": [
                {"value": "y", "displayOrder": None},
                {"value": "x", "displayOrder": 0, "hidden": None, "label": None},
            ],
        },
        {"name": "c", "type": "number", "calculated": True, "modificationMetadata": None},
        {"name": "d", "type": "bool", "modificationMetadata": {"readOnlyValue": True}},
        {"name": "e", "type": "json", "archived": True},
        {"name": "f", "type": "object_coordinates"},
    ]
    bench.wire.script = answers(Say(body={"results": rows}))
    described = bench.connector(fields=FIELDS).describe("company")
    assert set(described) == set("abcdf")
    assert described["b"].options == ("x", "y")
    assert [described[name].writable for name in "abcd"] == [True, True, False, False]
    assert [described[name].kind for name in "abcdf"] == [
        FieldKind.TEXT,
        FieldKind.PICKLIST,
        FieldKind.NUMBER,
        FieldKind.BOOLEAN,
        FieldKind.OTHER,
    ]


def test_the_clock_is_the_date_header(bench: Bench) -> None:
    bench.wire.script = answers(Say(body={"portalId": 7}))
    connector = bench.connector()
    now = connector.now()
    assert now.tzinfo is UTC
    assert now.microsecond == 0
    assert connector.calls["account"] == 1


def test_the_package_is_loaded_by_the_first_call_only() -> None:
    """`mqlsync --help` must not pay for it."""
    import subprocess
    import sys

    code = "import sys, connectors.hubspot as h; sys.exit('hubspot' in sys.modules or 'urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- answers that are odd ------------------------------------------------------------------------------------------


def test_owners_end_at_an_empty_page_that_points_to_itself(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        if "true" in asked.query["archived"]:
            return EMPTY
        following = {"paging": {"next": {"after": "1"}}}
        found = [] if asked.query.get("after") else [{"id": 1, "email": None, "type": None}]
        return Say(body={"results": found} | following)

    bench.wire.script = script
    assert [owner.id for owner in bench.connector().owners()] == ["1"]


def test_a_row_of_the_bin_is_gone_whether_or_not_it_says_so(bench: Bench) -> None:
    def script(asked: Asked) -> Say:
        in_bin = asked.query.get("archived") == ["true"]
        return Say(body={"results": [{"id": str(n)} for n in range(3)]}) if in_bin else Say(status=207, body=EMPTY.body)

    bench.wire.script = script
    found = bench.connector().read([ref(str(n)) for n in range(3)], ["jobtitle"])
    assert all(isinstance(one, Gone) for one in found.values())


def test_a_row_of_the_bin_in_a_live_list_is_no_sighting(bench: Bench) -> None:
    bench.wire.script = answers(rows(record("1"), record("2") | {"archived": True}))
    seen = [one.ref.id for page in bench.connector().ids(PEOPLE, None) for one in page.rows]
    assert seen == ["1"]


def test_a_proxys_404_to_a_write_buries_nobody(bench: Bench) -> None:
    bench.wire.script = lambda asked: Say(status=404, body=b"<html>nginx")
    with pytest.raises(UnexpectedAnswer):
        bench.connector().apply(patches(3))
    assert len(bench.wire.asked) == 1, "it is not halved: no record is at fault"


def test_what_half_a_batch_was_answered_stands_whatever_the_other_half_meets(bench: Bench) -> None:
    met: list[list[str]] = []

    def script(asked: Asked) -> Say:
        met.append([one["id"] for one in asked.body["inputs"]])
        if len(met) == 1:
            return Say(status=400, body={"message": "?"})
        return (
            rows(*(record(id, mql_score="5") for id in met[-1])) if len(met) == 2 else Say(status=415, body=b"<html>")
        )

    bench.wire.script = script
    outcomes = bench.connector().apply(patches(4))
    assert [type(one) for one in outcomes] == [Written, Written, Unknown, Unknown]


@pytest.mark.parametrize(("status", "waits"), [(429, 10.0), (423, 2.0), (503, None)])
def test_a_wait_of_nothing_is_no_wait(status: int, waits: float | None) -> None:
    """The next try would be refused like this one: what is usual is waited for instead."""
    error = refusal(status, b"{}", request="x", write=False, after=0.0)
    assert isinstance(error, RetryLater | Locked)
    assert error.after == waits


@pytest.mark.parametrize("life", ["1800", None, 1800])
def test_a_token_of_which_no_life_is_told_is_used(bench: Bench, life: Any) -> None:
    def script(asked: Asked) -> Say:
        granted = {"access_token": "t", "expires_in": life, "refresh_token": None}
        return Say(body=granted) if "oauth" in asked.path else EMPTY

    bench.wire.script = script
    read_all(bench.connector(token=OAuth(client_id="i", client_secret="sssss", refresh_token="rrrrr")))
    assert sum("oauth" in asked.path for asked in bench.wire.asked) == 1


@pytest.mark.parametrize(("limit", "used", "told"), [(None, None, False), ("100", "40", True)])
def test_a_usage_page_may_say_numbers_as_text_or_not_at_all(bench: Bench, limit: Any, used: Any, told: bool) -> None:
    usage = {"name": "x", "fetchStatus": "FAILED", "usageLimit": limit, "currentUsage": used}

    def script(asked: Asked) -> Say:
        return Say(body={"results": [usage]} if "usage" in asked.path else {"portalId": "7"})

    bench.wire.script = script
    connector = bench.connector()
    connector.check()
    assert bench.slept == []
    assert (connector.day() is not None) is told


@pytest.mark.parametrize("body", [b"<html>", {"message": "no"}])
def test_a_first_call_that_finds_nothing_says_what_to_look_at(bench: Bench, body: Any) -> None:
    bench.wire.script = lambda asked: Say(status=404, body=body)
    with pytest.raises(UnexpectedAnswer, match="api_version"):
        bench.connector().check()


def test_a_row_of_a_batch_that_cannot_be_read_is_told(bench: Bench) -> None:
    bench.wire.script = answers(rows(record("1"), {"id": "2", "properties": {"jobtitle": ["x"]}}))
    page = bench.connector().fetch(PEOPLE, [ref("1"), ref("2")])
    assert ([one.ref.id for one in page.rows], len(page.problems)) == (["1"], 1)


def test_an_option_keeps_what_an_admin_wrote_of_it(bench: Bench) -> None:
    there = {"value": "a", "label": "A", "description": "why"}
    known = {"name": "reason", "type": "enumeration", "fieldType": "select", "options": [there]}
    bench.wire.script = lambda asked: Say(body={"results": [known]})
    wanted = WantedField(object="contact", name="reason", label="R", kind=FieldKind.PICKLIST, options=("a", "b"))
    bench.connector().ensure_schema([wanted])
    (asked,) = [one for one in bench.wire.asked if one.method == "PATCH"]
    assert [one.get("description") for one in asked.body["options"]] == ["why", None]


def test_an_owner_that_cannot_be_read_costs_itself_alone_and_is_told_once(bench: Bench) -> None:
    good, bad = {"id": "1", "email": "ann@acme.com"}, {"id": "2", "email": ["bob@acme.com"]}

    def script(asked: Asked) -> Say:
        if "owners" in asked.path:
            return Say(body={"results": [good, bad] if asked.query["archived"] == ["false"] else []})
        return Say(body={"portalId": 7}) if "account" in asked.path else EMPTY

    bench.wire.script = script
    connector = bench.connector()
    assert [owner.id for owner in connector.owners()] == ["1"]
    assert any("owner 2" in problem for problem in connector.check().problems)
    told = [problem for _ in range(2) for page in read_all(connector) for problem in page.problems]
    assert [(one.ref.object, one.ref.id) for one in told] == [("owner", "2")]


@pytest.mark.parametrize("name", ["odd", None])
def test_a_form_that_cannot_be_read_costs_itself_alone(bench: Bench, name: str | None) -> None:
    bad = {"id": "guid-9" if name else None, "name": [name], "archived": False}
    bench.wire.script = answers(Say(body={"results": [*FORMS["results"], bad]}), EMPTY)
    connector = bench.connector()
    assert [one.name for one in connector.streams() if one.name.startswith("form:")] == ["form:guid-1", "form:guid-2"]
    [page] = read_all(connector)
    assert [(one.ref.object, one.ref.id) for one in page.problems] == [("form", "guid-9" if name else "")]


def test_a_property_that_cannot_be_read_costs_itself_alone(bench: Bench) -> None:
    good = {"name": "jobtitle", "type": "string"}
    bad = {"name": "country", "type": "enumeration", "options": [{"value": 7}]}

    def script(asked: Asked) -> Say:
        return Say(body={"results": [good, bad]} if "properties" in asked.path else {"portalId": 7})

    bench.wire.script = script
    connector = HubSpotConnector(
        HubSpotSettings(base_url=bench.wire.url, token="secret"), FIELDS, sleep=bench.sleep, monotonic=lambda: bench.now
    )
    bench.opened.append(connector)
    assert set(connector.describe("contact")) == {"jobtitle"}
    assert any("contact property country" in problem and "7" not in problem for problem in connector.check().problems)


def test_a_listing_of_which_nothing_can_be_read_is_none(bench: Bench) -> None:
    """Nobody may take it for a portal without owners: everybody would be given another one."""
    bench.wire.script = answers(Say(body={"results": [{"id": ["1"]}, {"id": ["2"]}]}))
    with pytest.raises(UnexpectedAnswer, match="owners"):
        bench.connector().owners()


@pytest.mark.parametrize("told", ["2026-01-02", "1767312000000", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00.000Z"])
def test_a_day_is_a_day_however_it_is_told(bench: Bench, told: str) -> None:
    """As an instant it would be the day before, wherever the account is west of Greenwich."""
    day = FactField(fact="person.born", property="born")
    fields = CrmMap(crm=Crm.HUBSPOT, objects={"contact": ObjectMap(object="contact", facts=(day,))})

    def script(asked: Asked) -> Say:
        if "properties" in asked.path:
            return Say(body={"results": [{"name": "born", "type": "date"}]})
        return rows(record("1", born=told))

    bench.wire.script = script
    settings = HubSpotSettings(base_url=bench.wire.url, token="secret")
    connector = HubSpotConnector(settings, fields, sleep=bench.sleep, monotonic=lambda: bench.now)
    bench.opened.append(connector)
    [person] = connector.fetch(PEOPLE, [ref("1")]).rows
    assert person.facts == {"person.born": "2026-01-02"}


@pytest.mark.parametrize(("window", "waits"), [("1000", False), ("10000", True), (None, True)])
def test_headers_of_another_limit_are_not_taken_for_this_one(bench: Bench, window: str | None, waits: bool) -> None:
    headers = {"X-HubSpot-RateLimit-Max": "19", "X-HubSpot-RateLimit-Remaining": "0"}
    headers |= {"X-HubSpot-RateLimit-Daily-Remaining": "5000"}
    headers |= {"X-HubSpot-RateLimit-Interval-Milliseconds": window} if window else {}
    bench.wire.script = answers(Say(body={"portalId": 7}, headers=headers))
    connector = bench.connector()
    for _ in range(2):
        connector.check()
    assert bool(bench.slept) is waits


def test_a_record_may_be_named_by_the_error_itself(bench: Bench) -> None:
    refused = [{"category": "VALIDATION_ERROR", "message": f"no {id}", "id": id} for id in ("2", "1")]
    bench.wire.script = answers(Say(status=207, body={"results": [record("0")], "errors": refused}))
    first, second, third = bench.connector().apply(patches(3))
    assert isinstance(first, Written)
    assert isinstance(second, Rejected)
    assert isinstance(third, Rejected)
    assert (second.reason, third.reason) == ("no 1", "no 2")
    assert len(bench.wire.asked) == 1


@pytest.mark.parametrize("alone", [Say(status=500, body={"category": "INTERNAL_ERROR"}), None])
def test_a_record_at_which_hubspot_fails_when_it_is_compared_keeps_no_other_from_being_read(
    bench: Bench, alone: Say | None
) -> None:
    """In the answer of its batch, or where it is asked for alone because the batch does not name it."""

    def script(asked: Asked) -> Say:
        if asked.method == "GET":
            return alone or Say(status=404, body={"category": "OBJECT_NOT_FOUND"})
        ids = [one["id"] for one in asked.body["inputs"]]
        told: dict[str, Any] = {"results": [record(id, mql_score="5") for id in ids if id != "7"]}
        if alone is None and "7" in ids:
            told["errors"] = [{"category": "INTERNAL_ERROR", "context": {"ids": ["7"]}}]
        return Say(status=207, body=told | ({} if told["results"] or "errors" in told else {"errors": [{}]}))

    bench.wire.script = script
    refs = [ref("6"), ref("7"), ref("8")]
    read = bench.connector().read(refs, ["mql_score"])
    assert [isinstance(read[one], Found) for one in refs] == [True, False, True]
    assert isinstance(unread := read[refs[1]], Unread)
    assert "INTERNAL_ERROR" in unread.reason


def test_a_hubspot_that_is_out_of_order_is_no_record_that_cannot_be_read(bench: Bench) -> None:
    bench.wire.script = lambda asked: Say(status=503) if asked.method == "GET" else Say(body={"results": [record("1")]})
    with pytest.raises(RetryLater):
        bench.connector().read([ref("1"), ref("2")], ["mql_score"])


def test_a_total_whose_date_the_portal_does_not_have_counts_without_one(bench: Bench) -> None:
    bench.wire.script = answers(rows(record("1", clicks="3")))
    connector = HubSpotConnector(
        HubSpotSettings(base_url=bench.wire.url, token="secret"),
        FIELDS,
        sleep=bench.sleep,
        monotonic=lambda: bench.now,
        schemas={"contact": {name: one for name, one in KNOWN.items() if name != "last_click"}},
    )
    bench.opened.append(connector)
    [person] = connector.fetch(PEOPLE, [ref("1")]).rows
    assert isinstance(person, PersonRecord)
    assert [(one.total, one.last_at) for one in person.counters] == [(3, None)]
