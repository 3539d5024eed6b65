"""What comes through the sockets of a connection to Salesforce, and when the waiting ends."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import responses

from connectors.errors import RetryLater
from connectors.fields import CrmMap, FactField, ObjectMap
from connectors.records import (
    Crm,
    FieldKind,
    FieldSchema,
    Patch,
    RecordRef,
    Stream,
    StreamKind,
    Unknown,
    Window,
    Written,
)
from connectors.retry import Patience
from connectors.salesforce import SalesforceConnector, SalesforceSettings, Session
from tests.support.dripping import dripping
from tests.support.wire import Say, Wire, answers

LEADS = Stream(crm=Crm.SALESFORCE, kind=StreamKind.PEOPLE, name="lead")
LEAD = RecordRef(crm=Crm.SALESFORCE, object="lead", id="00Q5g0000000001EAA")
WINDOW = Window(lo=None, hi=datetime(2026, 11, 25, tzinfo=UTC))
PATCH = Patch(ref=LEAD, fields={"Title": "CTO"}, trace="t")
FIELDS = CrmMap(
    crm=Crm.SALESFORCE,
    objects={"lead": ObjectMap(object="lead", facts=(FactField(fact="person.title", property="Title"),))},
)
SCHEMAS = {"lead": {"Title": FieldSchema(name="Title", kind=FieldKind.TEXT, writable=True)}}
HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"


def connector(url: str, *, monotonic: Any = lambda: 0.0, **settings: Any) -> SalesforceConnector:
    return SalesforceConnector(
        SalesforceSettings(base_url=url, auth=Session(session_id="00D!secret"), **settings),
        FIELDS,
        patience=Patience(attempts=2, first_wait=0.0, longest_wait=0.0),
        sleep=lambda _: None,
        monotonic=monotonic,
        schemas=dict(SCHEMAS),
    )


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX-", HEAD % 200, HEAD % 400, HEAD % 503])
def test_an_answer_that_drips_costs_its_time_only(begun: bytes) -> None:
    """Each byte comes in time, the answer never does: a read is asked for again, and a write is left open."""
    with dripping(begun) as drip:
        sf = connector(drip.url, monotonic=drip.monotonic, answer_within=20.0)
        with pytest.raises(RetryLater, match="broke off"):
            list(sf.people(LEADS, WINDOW, None))
        [outcome] = sf.apply([PATCH])
        sf.close()
    assert isinstance(outcome, Unknown)
    assert sf.calls == {"pull lead": 2, "update": 1}


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


ROW = {"Id": LEAD.id, "SystemModstamp": "2026-05-06T07:08:09.000+0000", "Title": "x" * 300_000}
PAGE = {"totalSize": 1, "done": True, "records": [ROW]}


def test_a_body_is_read_whole_whatever_its_size_and_coding(wire: Wire) -> None:
    import msgspec

    packed = Say(body=gzip.compress(msgspec.json.encode(PAGE)), headers={"Content-Encoding": "gzip"})
    wire.script = answers(Say(body=PAGE), packed)
    sf = connector(wire.url)
    found = [page.rows for _ in range(2) for page in sf.people(LEADS, WINDOW, None)]
    sf.close()
    assert [[one.ref for one in rows] for rows in found] == [[LEAD], [LEAD]]
    assert len(wire.asked) == 2


@pytest.mark.parametrize(
    "cut",
    [
        Say(body=b'{"totalSize": 1', headers={"Content-Encoding": "gzip"}),
        Say(hang_up=True),
        Say(body=b'{"records": [{"Id"'),
    ],
)
def test_a_body_that_breaks_off_or_cannot_be_unpacked_is_asked_for_again(wire: Wire, cut: Say) -> None:
    wire.script = answers(cut, Say(body=PAGE))
    sf = connector(wire.url)
    [page] = sf.people(LEADS, WINDOW, None)
    sf.close()
    assert len(page.rows) == 1
    assert sf.calls == {"pull lead": 2}


@pytest.mark.parametrize(
    "nothing", [Say(status=204), Say(body=b""), Say(body=b"{}"), Say(body=b"[]"), Say(body=b"null")]
)
def test_a_read_that_is_answered_with_nothing_is_asked_again(wire: Wire, nothing: Say) -> None:
    described = {"fields": [{"name": "Title", "type": "string", "length": 80}]}
    wire.script = answers(nothing, Say(body=described))
    sf = connector(wire.url)
    assert set(sf.describe("contact")) == {"Title"}
    sf.close()
    assert len(wire.asked) == 2


def test_what_is_read_is_waited_for_longer_than_what_is_sent() -> None:
    """An org says after two minutes that a query takes too long. Who hangs up before asks the same thing for ever."""
    with responses.RequestsMock() as mock:
        data = "https://acme.my.salesforce.com/services/data/v59.0"
        mock.get(f"{data}/queryAll/", json={"totalSize": 0, "done": True, "records": []})
        mock.patch(f"{data}/composite/sobjects", json=[{"id": LEAD.id, "success": True, "errors": []}])
        sf = connector("https://acme.my.salesforce.com")
        list(sf.people(LEADS, WINDOW, None))
        [outcome] = sf.apply([PATCH])
        waited = [call.request.req_kwargs["timeout"] for call in mock.calls]  # type: ignore[attr-defined]  # of responses
    assert outcome == Written(ref=LEAD)
    assert waited == [(5.0, 130.0), (5.0, 60.0)]


@pytest.mark.parametrize("wrong", [{"timeout": (0.0, 1.0)}, {"query_within": 0.0}, {"answer_within": -1.0}])
def test_a_wait_that_ends_at_once_is_no_setting(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SalesforceSettings(base_url="http://127.0.0.1:1", auth=Session(session_id="t"), **wrong)
