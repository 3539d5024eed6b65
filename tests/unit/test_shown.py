"""What people read: runs, status, parked records, new MQLs. No value of a CRM can spoil it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

from connectors.errors import RetryLater
from connectors.records import Crm, RecordProblem, RecordRef, Rejected
from sync.decide import Decided
from sync.run import RunReport
from sync.shown import (
    MqlTable,
    dead_row,
    dead_table,
    mql_rows,
    run_lines,
    run_row,
    runs_table,
    status_document,
    status_lines,
    trouble_lines,
)
from sync.store import outbox, runs, schema
from sync.store.db import Store
from sync.store.runs import RunRow, RunState
from sync.write import WriteReport
from tests.support.outbox_rows import planned
from tests.support.stores import new_store, quick_folder

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

REF = RecordRef(crm=Crm.HUBSPOT, object="contact", id="512")


@pytest.fixture
def store() -> Iterator[Store]:
    with quick_folder() as folder:
        opened = new_store(folder)
        yield opened
        opened.close()


def shown(what: Table | MqlTable, width: int = 160) -> str:
    """As a terminal would show it."""
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(what)
    return stream.getvalue()


def row(**how: Any) -> RunRow:
    body: dict[str, Any] = dict.fromkeys(RunRow.__slots__) | {
        "run_id": "r_1",
        "job": "sync",
        "slot": "2026-11-25T12:00:00Z",
        "state": RunState.SUCCEEDED,
        "trigger": "schedule",
        "queued_at": NOW,
        "counts": {},
        "calls": {},
    }
    return RunRow(**(body | how))


# -- a run -------------------------------------------------------------------------------------------------------


def report(**how: Any) -> RunReport:
    return RunReport(run_id="r_1", job="sync", as_of=NOW, **how)


def test_a_run_is_told_in_a_few_lines() -> None:
    decided = Decided(people=3, statuses={"nurture": 2, "mql": 1})
    written = {Crm.HUBSPOT: WriteReport(written=2, tasks=1, found_done=4, rejected_new=1, rejected_known=2)}
    made = report(
        pulled={"hubspot:contact": 7, "hubspot:company": 0},
        decided=decided,
        written=written,
        calls={"hubspot": {"search": 3, "batch_update": 1}},
    )
    assert list(run_lines(made)) == [
        "run r_1 (sync, as of 2026-11-25 12:00 UTC): succeeded",
        "  pulled    7 rows: hubspot:contact 7",
        "  decided   3 people: mql 1, nurture 2",
        "  MQLs      0 new, 0 assigned",
        "  hubspot   2 written, 1 tasks, 4 there already, 3 rejected, 0 unanswered, 0 left to people",
        "  calls     hubspot 4",
    ]


def test_every_trouble_is_told_with_its_record() -> None:
    made = report(
        problems=[RecordProblem(ref=REF, field="person.employees", reason="'many' is no number")],
        written={Crm.HUBSPOT: WriteReport(rejections=[Rejected(ref=REF, code="INVALID", reason="not this value")])},
        error="hubspot: the token was revoked",
    )
    assert list(trouble_lines(made)) == [
        "hubspot:contact:512: person.employees: 'many' is no number",
        "hubspot:contact:512: record: INVALID: not this value",
        "hubspot: the token was revoked",
    ]


def test_what_was_not_written_is_said_to_wait() -> None:
    failure = RetryLater(Crm.HUBSPOT, "503", status=503)
    made = report(written={Crm.HUBSPOT: WriteReport(failure=failure)}, error=str(failure))
    assert list(trouble_lines(made)) == ["hubspot: 503 What was not written waits and is sent by the next run."]


def test_long_lists_are_cut_and_the_rest_is_counted() -> None:
    problem = RecordProblem(ref=REF, field="f", reason="r")
    rejections = [Rejected(ref=REF, code="C", reason=f"reason {n}") for n in range(22)]
    made = report(problems=[problem] * 23, written={Crm.HUBSPOT: WriteReport(rejections=rejections)})
    lines = list(trouble_lines(made))
    assert len(lines) == 20 + 1 + 20 + 1
    assert lines[20] == "... and 3 more values that could not be read; see --json"
    assert lines[41] == "... and 2 more refusals; see `mqlsync dead list`"


# -- runs --------------------------------------------------------------------------------------------------------


def test_runs_are_listed_with_their_figures() -> None:
    done = row(
        slot_at=NOW - timedelta(minutes=15),
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=41.26),
        counts={"pulled": 1240, "written": 37, "new_mqls": 3, "rejected": 0},
    )
    by_hand = row(run_id="r_2", slot="manual:r_2", state=RunState.RUNNING, trigger="manual")
    text = shown(runs_table([done, by_hand])).splitlines()
    assert " ".join(text[0].split()) == "run job for state pulled written new MQLs rejected time by"
    assert " ".join(text[1].split()) == "r_1 sync 2026-11-25 11:45 UTC succeeded 1240 37 3 0 41.3s schedule"
    assert " ".join(text[2].split()) == "r_2 sync 2026-11-25 12:00 UTC running manual"


def test_a_run_is_json_by_the_names_of_its_fields(store: Store) -> None:
    with store.write() as tx:
        runs.enqueue(tx, run_id="r_1", job="sync", slot="s", trigger="schedule", now=NOW, slot_at=NOW)
    with store.read() as tx:
        body = json.loads(json.dumps([run_row(one) for one in runs.newest(tx)], default=str))
    assert set(body[0]) == set(RunRow.__slots__)
    assert (body[0]["run_id"], body[0]["state"], body[0]["slot_at"]) == ("r_1", "queued", "2026-11-25 12:00:00+00:00")


# -- status ------------------------------------------------------------------------------------------------------


def park(store: Store, ref: RecordRef, code: str, reason: str) -> None:
    with store.write() as tx:
        outbox.put(tx, [("p1", planned(ref, {"score": "71"}))], run_id="r", release="k")
        [waiting] = outbox.ready(tx, ref.crm, now=NOW, limit=1)
        outbox.bury(tx, waiting, code=code, reason=reason, field="score", release="k", at=NOW)


def test_an_empty_store_says_so(store: Store) -> None:
    document = status_document(store, now=NOW)
    assert list(status_lines(document)) == [
        "policy: no run yet",
        "people: none yet",
        "waiting: 0 to score, 0 to send, 0 without an answer",
        "parked: 0",
        "conflicts: none; ambiguous people: 0",
    ]


def test_status_counts_what_waits_and_what_is_parked(store: Store) -> None:
    park(store, REF, "INVALID", "not this value")
    waiting = RecordRef(crm=Crm.HUBSPOT, object="contact", id="2")
    flying = RecordRef(crm=Crm.SALESFORCE, object="lead", id="3")
    with store.write() as tx:
        for person_id, status, dirty, ambiguous in (
            ("p1", "mql", None, False),
            ("p2", "mql", "new", False),
            ("p3", None, None, True),
        ):
            person = {"person_id": person_id, "status": status, "dirty": dirty, "ambiguous": ambiguous}
            tx.execute(insert(schema.person), person)
        for ref in (waiting, flying):
            outbox.put(tx, [("p2", planned(ref, {"score": "1"}))], run_id="r", release="k")
        [row] = outbox.ready(tx, Crm.SALESFORCE, now=NOW, limit=1)
        outbox.mark_inflight(tx, [(row, {"score": "1"})], now=NOW, fence=1, batch="b")
        pinned = {"conn": "hubspot", "account_id": "77", "account_name": "Acme", "pinned_at": NOW}
        tx.execute(insert(schema.pinned), pinned)
        cursor = {"conn": "hubspot", "stream": "contact", "lo": NOW, "mapping": "m", "updated_at": NOW}
        tx.execute(insert(schema.cursor), cursor)
        tx.execute(insert(schema.cursor), cursor | {"stream": "company", "lo": None, "window_hi": NOW})
    document = status_document(store, now=NOW + timedelta(minutes=2))
    assert document["dead"] == {"rows": 1, "by_code": {"INVALID": 1}}
    assert document["streams"]["hubspot:contact"]["age_seconds"] == 120
    assert list(status_lines(document)) == [
        "policy: no run yet",
        "hubspot: Acme (77)",
        "people: mql 2, undecided 1",
        "waiting: 1 to score, 1 to send, 1 without an answer",
        "  hubspot: 1 to send, 0 without an answer, 1 refused; the first of those that rest on 2026-11-26 12:00 UTC",
        "  salesforce: 0 to send, 1 without an answer, 0 refused",
        "parked: 1 (INVALID 1); mqlsync dead list",
        "conflicts: none; ambiguous people: 1",
        "  hubspot:company: never read (unfinished)",
        "  hubspot:contact: read to 2026-11-25 12:00:00 UTC",
    ]


def test_a_parked_record_is_shown_with_what_was_wanted(store: Store) -> None:
    park(store, REF, "INVALID", "[/not] this [value]")
    with store.read() as tx:
        [letter] = outbox.dead_letters(tx)
    assert dead_row(letter) == {
        "no": letter.seq,
        "record": "hubspot:contact:512",
        "person_id": "p1",
        "field": "score",
        "code": "INVALID",
        "reason": "[/not] this [value]",
        "wanted": {"score": "71"},
        "parked_at": NOW,
        "attempts": 0,
    }
    assert "[/not] this [value]" in shown(dead_table([letter]))


# -- new MQLs ----------------------------------------------------------------------------------------------------


def qualify(
    store: Store, person_id: str, *, total: int, closed: bool = False, adopted: bool = False, **how: Any
) -> None:
    with store.write() as tx:
        person = {"person_id": person_id, "ambiguous": False, "email": f"{person_id}@x.com", "status": "mql"}
        tx.execute(insert(schema.person), person | {"name": how.get("name"), "reason": how.get("reason")})
        episode = {
            "person_id": person_id,
            "n": 1,
            "opened_at": NOW,
            "line": "fit and engaged",
            "lines": [],
            "grade": "A1",
            "fit": 40,
            "engagement": total - 40,
            "total": total,
            "policy_version": "v",
            "adopted": adopted,
            "closed_at": NOW if closed else None,
            "run_id": how.get("run_id", "r_1"),
        }
        tx.execute(insert(schema.episode), episode)


def assign(store: Store, person_id: str, *owners: str) -> None:
    with store.write() as tx:
        for step, owner in enumerate(owners, 1):
            drawn = {"person_id": person_id, "n": 1, "step": step, "owner_key": owner, "why": f"route {step}"}
            drawn |= {"trace": {}, "decided_at": NOW, "policy_version": "v"}
            tx.execute(insert(schema.assignment), drawn)


def test_new_mqls_are_listed_best_first_with_their_newest_owner(store: Store) -> None:
    qualify(store, "p1", total=60)
    qualify(store, "p2", total=90)
    qualify(store, "p3", total=95, closed=True)
    qualify(store, "p4", total=99, adopted=True)
    qualify(store, "p5", total=70, run_id="r_2")
    assign(store, "p2", "rep:kim@x.com", "rep:ana@x.com")
    rows = mql_rows(store)
    assert [(r["person_id"], r["score"], r["owner"], r["why"]) for r in rows] == [
        ("p2", 90, "rep:ana@x.com", "route 2"),
        ("p5", 70, None, None),
        ("p1", 60, None, None),
    ]
    assert [r["person_id"] for r in mql_rows(store, run_id="r_2")] == ["p5"]


def test_names_and_reasons_in_brackets_are_shown_as_they_are(store: Store) -> None:
    qualify(store, "p1", total=60, name="[/b] Bob", reason="fit [company size]")
    assign(store, "p1", "queue:[bold]")
    text = shown(MqlTable(mql_rows(store)))
    for word in ("1 new MQLs", "[/b] Bob", "fit [company size]", "[bold]"):
        assert word in text


def test_the_table_of_mqls_is_cut_at_the_best(store: Store) -> None:
    for n in range(5):
        qualify(store, f"p{n}", total=50 + n)
    text = shown(MqlTable(mql_rows(store), most=2))
    assert "5 new MQLs, the best 2" in text
    assert "p4@x.com" in text
    assert "p2@x.com" not in text
    assert text.count("nobody yet") == 2
