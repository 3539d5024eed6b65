"""Both CRMs are read at once into one store: nobody waits for the other, nobody runs away, both stop together."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from connectors.errors import RetryLater
from connectors.records import Crm
from sync.pull import LOOKS_UP_EVERY, PullReport, Source, pull_side_by_side
from sync.store import schema
from sync.store.db import Store
from tests.support.fake_crm import FakeCrm
from tests.support.made import contact, lead, person

PATIENCE = 20
"""Seconds after which a thread that never comes fails the test."""


@pytest.fixture
def hubspot() -> FakeCrm:
    made = FakeCrm()
    made.hold(*(person(contact(n), f"p{n}@x.com") for n in range(1, 8)))
    return made


@pytest.fixture
def salesforce() -> FakeCrm:
    made = FakeCrm(crm=Crm.SALESFORCE, id="00D")
    made.hold(*(person(lead(n), f"p{n}@x.com") for n in range(1, 8)))
    return made


def run(store: Store, *crms: FakeCrm, **more: Any) -> dict[Crm, PullReport]:
    sources = [Source(connector=crm) for crm in crms]
    return pull_side_by_side(sources, store, settle=timedelta(0), overlap=timedelta(minutes=15), **more)


def stored(store: Store, crm: Crm) -> int:
    with store.read() as tx:
        return len(tx.execute(select(schema.record.c.id).where(schema.record.c.conn == crm)).all())


def test_each_connection_is_read_whole_and_reported_alone(store: Store, hubspot: FakeCrm, salesforce: FakeCrm) -> None:
    reports = run(store, hubspot, salesforce)
    assert stored(store, Crm.HUBSPOT) == stored(store, Crm.SALESFORCE) == 7
    assert reports[Crm.HUBSPOT].rows["hubspot:contact"] == 7
    assert reports[Crm.SALESFORCE].calls == {"check": 1, "owners": 1, "company": 1, "contact": 4, "form": 1}


def test_one_is_read_while_the_other_waits_for_its_crm(store: Store, hubspot: FakeCrm, salesforce: FakeCrm) -> None:
    """HubSpot's first page comes only after all of Salesforce is stored: one after the other would never end."""
    salesforce_is_done = threading.Event()

    def wait(stream: str, resume: str | None) -> None:
        assert salesforce_is_done.wait(PATIENCE)

    def reached(place: str) -> None:
        if place == "pull:salesforce:form:done":
            salesforce_is_done.set()

    hubspot.before_page = wait
    run(store, hubspot, salesforce, reached=reached)
    assert stored(store, Crm.HUBSPOT) == 7


def test_a_page_is_read_ahead_while_another_is_stored(store: Store, hubspot: FakeCrm) -> None:
    second_is_read = threading.Event()

    def note(stream: str, resume: str | None) -> None:
        if stream == "contact" and resume == "2":
            second_is_read.set()

    def reached(place: str) -> None:
        if place == "pull:hubspot:contact:begun":
            assert second_is_read.wait(PATIENCE), "the writer has not come to the first page yet"

    hubspot.before_page = note
    run(store, hubspot, reached=reached)


def test_a_reader_that_is_faster_than_the_store_waits(store: Store, hubspot: FakeCrm) -> None:
    """However many pages there are, only a few are in memory."""
    hubspot.hold(*(person(contact(n)) for n in range(100, 160)))
    read, saved, most = 0, 0, 0

    def note(stream: str, resume: str | None) -> None:
        nonlocal read, most
        read += 1
        most = max(most, read - saved)

    def reached(place: str) -> None:
        nonlocal saved
        saved += place.endswith(":page")

    hubspot.before_page = note
    run(store, hubspot, reached=reached)
    assert saved == read > 30
    assert most <= 4, "one with the writer, one in the queue, one with the reader, one asked for"


@pytest.mark.parametrize("failing", [Crm.HUBSPOT, Crm.SALESFORCE])
def test_the_failure_of_one_stops_the_other_and_loses_nothing_that_was_stored(
    store: Store, hubspot: FakeCrm, salesforce: FakeCrm, failing: Crm
) -> None:
    crms = {Crm.HUBSPOT: hubspot, Crm.SALESFORCE: salesforce}
    other = crms[Crm.SALESFORCE if failing is Crm.HUBSPOT else Crm.HUBSPOT]

    def fail(stream: str, resume: str | None) -> None:
        if stream == "contact" and resume is not None:
            raise RetryLater(failing, "no connection")

    crms[failing].before_page = fail
    threads = threading.active_count()
    with pytest.raises(RetryLater, match="no connection"):
        run(store, hubspot, salesforce)
    assert threading.active_count() == threads, "nobody reads on behind the back of whoever was told"
    assert stored(store, failing) == 2
    calls = other.calls
    crms[failing].before_page = None
    run(store, hubspot, salesforce)
    assert stored(store, Crm.HUBSPOT) == stored(store, Crm.SALESFORCE) == 7
    assert other.calls != calls


def test_whatever_is_raised_where_pages_are_stored_ends_the_readers(
    store: Store, hubspot: FakeCrm, salesforce: FakeCrm
) -> None:
    def die(place: str) -> None:
        raise KeyboardInterrupt

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(store, hubspot, salesforce, reached=die)
    assert threading.active_count() == threads


def test_a_stop_is_heard_while_nothing_comes(store: Store, hubspot: FakeCrm) -> None:
    """Ctrl-C in a long call: the run does not wait for a page to ask whether it is to stop."""
    asked = 0
    released = threading.Event()

    def stop() -> bool:
        nonlocal asked
        asked += 1
        if asked == 12:
            released.set()
        return asked >= 12

    def hang(stream: str, resume: str | None) -> None:
        assert released.wait(PATIENCE + LOOKS_UP_EVERY)

    hubspot.before_page = hang
    report = run(store, hubspot, stop=stop)[Crm.HUBSPOT]
    assert report.interrupted
    assert stored(store, Crm.HUBSPOT) == 0
