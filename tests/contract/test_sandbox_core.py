"""The sandbox's clock, faults, journal, counters and control, and that it leans on nothing of the rest."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3

import connectors.sandbox
from connectors.sandbox import Clock, Fault, Faults, Journal, Sandbox
from connectors.sandbox.server import template

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
SOURCES = sorted(Path(connectors.sandbox.__file__).parent.glob("*.py"))


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox.start(at=NOW) as sandbox:
        sandbox.clock.freeze(NOW)
        yield sandbox


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    manager = urllib3.PoolManager(retries=False)
    yield manager
    manager.clear()


class Writer:
    """Sends one write to a portal with one contact."""

    def __init__(self, box: Sandbox, pool: urllib3.PoolManager) -> None:
        self._box, self._pool = box, pool
        self.id = box.hubspot.add("contacts", {"city": "Ulm"})

    def __call__(self, city: str = "Bonn") -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            "PATCH",
            f"{self._box.url}/crm/v3/objects/contacts/{self.id}",
            json={"properties": {"city": city}},
            headers={"Authorization": f"Bearer {self._box.hubspot.token}"},
        )

    @property
    def city(self) -> str:
        return self._box.hubspot.get("contacts", self.id)["city"]


@pytest.fixture
def write(box: Sandbox, pool: urllib3.PoolManager) -> Writer:
    return Writer(box, pool)


# -- independence


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_the_sandbox_imports_none_of_our_other_code(source: Path) -> None:
    """It is a witness of the wire: shared code would make it agree with our mistakes."""
    allowed = {"connectors", *sys.stdlib_module_names} | ({"ruamel"} if source.name == "plain_file.py" else set())
    for node in ast.walk(ast.parse(source.read_text())):
        match node:
            case ast.Import(names=names):
                modules = [name.name for name in names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            case ast.ImportFrom():
                pytest.fail(f"{source.name}: relative import")
            case _:
                continue
        for module in modules:
            assert module.split(".")[0] in allowed, f"{source.name} imports {module}"
            assert not module.startswith("connectors") or module.startswith("connectors.sandbox"), module


# -- clock


def test_the_clock_runs_from_where_it_is_set_and_stands_when_frozen() -> None:
    clock = Clock(NOW)
    assert NOW <= clock.now() < NOW + timedelta(minutes=1)
    clock.freeze(NOW)
    assert clock.now() == clock.now() == NOW
    clock.move(timedelta(hours=2))
    assert clock.now() == NOW + timedelta(hours=2)
    clock.set(NOW - timedelta(days=1))
    assert clock.now() == NOW - timedelta(days=1)
    clock.thaw()
    assert NOW - timedelta(days=1) <= clock.now() < NOW


def test_the_clock_refuses_an_instant_without_zone() -> None:
    with pytest.raises(ValueError, match="zone"):
        Clock().set(datetime(2026, 11, 25))  # noqa: DTZ001 - that is the mistake


def test_the_clock_drives_the_date_header(box: Sandbox, pool: urllib3.PoolManager) -> None:
    box.clock.move(timedelta(days=1))
    assert pool.request("GET", box.url + "/_sandbox/calls").headers["Date"] == "Thu, 26 Nov 2026 09:00:00 GMT"


# -- which call a fault hits


@pytest.mark.parametrize(
    ("fields", "calls", "hit"),
    [
        ({}, 3, [1]),
        ({"times": 2}, 3, [1, 2]),
        ({"times": None}, 3, [1, 2, 3]),
        ({"nth": 2}, 4, [2]),
        ({"nth": 2, "times": 2}, 4, [2, 3]),
        ({"crm": "salesforce"}, 3, []),
        ({"match": "POST *"}, 3, []),
        ({"match": "GET /crm/*"}, 2, [1]),
    ],
)
def test_a_fault_hits_the_calls_it_names(fields: dict[str, Any], calls: int, hit: list[int]) -> None:
    faults = Faults()
    faults.add(Fault(kind="server_error", **fields))
    hits = [n for n in range(1, calls + 1) if faults.select("hubspot", "GET /crm/v3/objects/contacts")]
    assert hits == hit


def test_chance_is_seeded_and_near_its_probability() -> None:
    def drawn(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add(Fault(kind="server_error", probability=0.3, times=None))
        return [faults.select("hubspot", "GET /") is not None for _ in range(1000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 250 < sum(drawn(1)) < 350


def test_two_faults_share_the_calls_in_the_order_they_were_added() -> None:
    faults = Faults()
    first = faults.add(Fault(kind="cut_before"))
    second = faults.add(Fault(kind="server_error"))
    assert [faults.select("hubspot", "GET /") for _ in range(3)] == [first, second, None]
    assert [hit for hit, _ in faults.hits] == [first, second]


# -- what a fault does, and whether the write was committed


@pytest.mark.parametrize(("kind", "committed"), [("cut_before", False), ("cut_after", True), ("commit_late", False)])
def test_a_cut_connection_says_nothing_about_the_commit(
    box: Sandbox, write: Writer, kind: str, committed: bool
) -> None:
    box.faults.add(Fault(kind=kind))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        write()
    assert write.city == ("Bonn" if committed else "Ulm")
    assert write("Kiel").status == 200


def test_a_late_commit_comes_when_its_time_has_come(box: Sandbox, write: Writer, pool: urllib3.PoolManager) -> None:
    box.faults.add(Fault(kind="commit_late", delay=30))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        write()
    url = f"{box.url}/crm/v3/objects/contacts/{write.id}"
    for seconds, city in ((29, "Ulm"), (1, "Bonn")):
        box.clock.move(timedelta(seconds=seconds))
        pool.request("GET", url)
        assert write.city == city
    box.faults.add(Fault(kind="commit_late", delay=30))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        write("Kiel")
    assert (box.release_late(), write.city) == (1, "Kiel")


@pytest.mark.parametrize(
    ("status", "kind", "retry_after"),
    [
        (500, "json", None),
        (502, "html", None),
        (503, "html", 7),
        (504, "html", None),
        (423, "json", 2),
        (477, "json", 9),
    ],
)
def test_server_errors_commit_nothing(
    box: Sandbox, write: Writer, status: int, kind: str, retry_after: int | None
) -> None:
    box.faults.add(Fault(kind="server_error", status=status, retry_after=retry_after))
    answer = write()
    assert (answer.status, kind in answer.headers["Content-Type"]) == (status, True)
    assert answer.headers.get("Retry-After") == (str(retry_after) if retry_after else None)
    assert write.city == "Ulm"


def test_an_html_page_with_200_commits_nothing(box: Sandbox, write: Writer) -> None:
    box.faults.add(Fault(kind="html"))
    answer = write()
    assert (answer.status, answer.data[:15]) == (200, b"<!DOCTYPE html>")
    assert write.city == "Ulm"


def test_a_truncated_answer_is_committed_and_no_json(box: Sandbox, write: Writer) -> None:
    box.faults.add(Fault(kind="truncated"))
    answer = write()
    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert write.city == "Bonn"


def test_a_slow_answer_outlasts_an_impatient_client(box: Sandbox, pool: urllib3.PoolManager) -> None:
    box.faults.add(Fault(kind="slow", delay=0.3))
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request("GET", box.url + "/crm/v3/owners", timeout=urllib3.Timeout(connect=10, read=0.05))


# -- journal, counters, state


def test_the_journal_tells_seed_person_and_api_apart(box: Sandbox, write: Writer) -> None:
    box.hubspot.edit("contacts", write.id, {"city": "Kiel"})
    write("Bonn")
    told = [(e.via, e.op, e.changes.get("city")) for e in box.journal if e.crm == "hubspot"]
    assert told == [
        ("seed", "create", (None, "Ulm")),
        ("person", "update", ("Ulm", "Kiel")),
        ("api", "update", ("Kiel", "Bonn")),
    ]
    assert [e.seq for e in box.journal] == list(range(1, len(box.journal) + 1))
    last = box.journal[-1]
    assert box.journal.since(last.seq - 1) == box.journal.writes() == [last]
    assert (last.at, last.seq) == (NOW, box.journal.last_seq)


def test_a_journal_can_leave_a_large_seed_out(box: Sandbox) -> None:
    box.journal.keep_seed = False
    before = box.journal.last_seq
    box.hubspot.archive("contacts", box.hubspot.add("contacts", {}))
    assert [(e.seq, e.via) for e in box.journal.since(before)] == [(before + 1, "person")]


@pytest.mark.parametrize(
    ("path", "counted_as"),
    [
        ("/crm/v3/objects/contacts/", "/crm/v3/objects/contacts"),
        ("/crm/v3/objects/contacts/100000000001", "/crm/v3/objects/contacts/{id}"),
        ("/crm/v3/objects/contacts/a%40example.com", "/crm/v3/objects/contacts/{id}"),
        ("/crm/v3/objects/contacts/batch/update", "/crm/v3/objects/contacts/batch/update"),
        ("/crm/v4/objects/contacts/12/associations/tasks", "/crm/v4/objects/contacts/{id}/associations/tasks"),
        (
            "/form-integrations/v1/submissions/forms/5a4d0000-0000-4000-8000-000000000001",
            "/form-integrations/v1/submissions/forms/{id}",
        ),
        ("/services/data/v59.0/sobjects/Lead/00Q000000000001AAA", "/services/data/v59.0/sobjects/Lead/{id}"),
        ("/services/data/v59.0/composite/sobjects/Contact", "/services/data/v59.0/composite/sobjects/Contact"),
        (
            "/services/data/v59.0/sobjects/EmailMessage1234/describe",
            "/services/data/v59.0/sobjects/EmailMessage1234/describe",
        ),
    ],
)
def test_calls_of_one_kind_are_counted_together(path: str, counted_as: str) -> None:
    assert template(path) == counted_as


def test_calls_are_counted_by_crm_and_reset(box: Sandbox, write: Writer, pool: urllib3.PoolManager) -> None:
    write()
    pool.request("GET", box.url + "/services/data/")
    pool.request("GET", box.url + "/_sandbox/calls")
    assert dict(box.calls["hubspot"]) == {"PATCH /crm/v3/objects/contacts/{id}": 1}
    assert box.calls.total == 2
    box.reset_calls()
    assert box.calls.total == 0


def test_the_digest_sees_values_but_not_stamps(box: Sandbox, write: Writer) -> None:
    before = box.digest()
    box.clock.move(timedelta(minutes=1))
    write("Ulm")
    assert box.digest() == before
    write("Bonn")
    assert box.digest() != before
    assert box.digest(without=["city"]) == box.digest(without=["ci*"]) != before


def test_the_digest_does_not_depend_on_the_order_tasks_were_made_in() -> None:
    digests = []
    for order in ("ab", "ba"):
        with Sandbox.start(at=NOW) as box:
            for subject in order:
                box.hubspot.add("tasks", {"hs_timestamp": NOW, "hs_task_subject": subject})
            digests.append(box.digest())
    assert digests[0] == digests[1]


def test_a_defect_of_the_sandbox_is_not_passed_over(pool: urllib3.PoolManager, capsys: Any) -> None:
    with pytest.raises(RuntimeError, match="KeyError"), Sandbox.start() as box:
        assert pool.request("POST", box.url + "/_sandbox/edit", json={}).status == 500
    assert "KeyError" in capsys.readouterr().err


# -- control from other processes


def test_other_processes_can_watch_and_steer(box: Sandbox, write: Writer, pool: urllib3.PoolManager) -> None:
    base = box.url + "/_sandbox/"
    before = box.journal.last_seq
    assert pool.request("POST", base + "faults", json={"kind": "server_error", "status": 503}).status == 201
    assert write().status == 503
    assert pool.request("POST", base + "faults", json=[{"kind": "slow"}, {"kind": "cut_before"}]).json() == {"armed": 2}
    assert pool.request("DELETE", base + "faults").status == 204
    assert write().status == 200
    assert pool.request("POST", base + "faults", json={"kind": "nonsense"}).status == 400
    assert pool.request("POST", base + "clock", json={"move": 60}).json() == {"now": "2026-11-25T09:01:00+00:00"}
    edit = {"crm": "hubspot", "object": "contacts", "id": write.id, "properties": {"city": "Kiel"}}
    assert pool.request("POST", base + "edit", json=edit).status == 204
    journal = pool.request("GET", f"{base}journal?since={before}").json()
    assert [(e["via"], e["changes"]) for e in journal["entries"]] == [
        ("api", {"city": ["Ulm", "Bonn"]}),
        ("person", {"city": ["Bonn", "Kiel"]}),
    ]
    assert pool.request("GET", base + "journal?via=api").json()["last_seq"] == before + 2
    assert pool.request("GET", base + "calls").json()["total"] == 2
    assert pool.request("GET", base + "digest").json() == {"digest": box.digest()}
    assert pool.request("GET", base + "state?without=city").json() == json.loads(json.dumps(box.state(["city"])))
    assert pool.request("POST", base + "reset-calls").status == 204
    assert pool.request("GET", base + "nothing").status == 404


def test_it_listens_on_loopback_only(box: Sandbox) -> None:
    assert box.url.startswith("http://127.0.0.1:")


def test_one_connection_carries_many_calls(box: Sandbox, pool: urllib3.PoolManager) -> None:
    for _ in range(3):
        assert pool.request("GET", box.url + "/_sandbox/clock").status == 200
    [host] = [pool.pools[key] for key in pool.pools.keys()]  # noqa: SIM118 - the container does not iterate
    assert (host.num_connections, host.num_requests) == (1, 3)


def test_a_target_that_is_too_long_is_414(box: Sandbox, pool: urllib3.PoolManager) -> None:
    names = ",".join(f"some_long_property_name_{n}" for n in range(700))
    assert pool.request("GET", f"{box.url}/crm/v3/objects/contacts?properties={names}").status == 414


def test_a_chunked_body_is_read_whole(box: Sandbox, pool: urllib3.PoolManager) -> None:
    body = (part.encode() for part in ('{"move', '": 60', "}"))
    answer = pool.request("POST", box.url + "/_sandbox/clock", body=body, chunked=True)
    assert answer.json() == {"now": "2026-11-25T09:01:00+00:00"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_how_to_point_at_it_and_stops_when_told(number: signal.Signals) -> None:
    command = [
        sys.executable,
        "-m",
        "connectors.sandbox",
        "--people",
        "5",
        "--seed",
        "7",
        "--at",
        "2026-11-25T09:00:00",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SOURCES[0].parents[2]) as running:
        assert running.stdout is not None
        lines = iter(running.stdout.readline, "")
        first = next(lines)
        shown = first + "".join(line for line, _ in zip(lines, range(12), strict=False))
        url = first.split()[3]
        seen = urllib3.request("GET", url + "/_sandbox/journal").json()
        running.send_signal(number)
        assert running.wait(timeout=20) == 0
    assert "2026-11-25 09:00" in first
    assert "5 people of seed 7" in first
    assert "export HUBSPOT_TOKEN=sandbox-hubspot-token" in shown
    assert seen["last_seq"] > 0


def test_the_command_needs_the_map_with_the_file(capsys: Any) -> None:
    from connectors.sandbox.__main__ import main

    assert main(["--from", "people.csv"]) == 2
    assert "--columns" in capsys.readouterr().err


def test_a_journal_is_a_sequence() -> None:
    journal = Journal(Clock(NOW))
    assert (len(journal), list(journal), journal[:], journal.last_seq) == (0, [], [], 0)
