"""A plan that is kept, read back and held against a later one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.records import Crm, RecordRef
from sync.decide import Decided
from sync.plan import PlannedTask, PlannedWrite, op_key
from sync.plans import PlanFile, PlanUnusable, as_document, lines
from sync.run import RunReport

AS_OF = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def write(id: str, to: dict[str, str | None], *, was: dict[str, str | None] | None = None, **ref: Any) -> PlannedWrite:
    record = RecordRef(**{"crm": Crm.HUBSPOT, "object": "contact", "id": id, **ref})
    return PlannedWrite(ref=record, fields=to, base=was or {}, key=op_key(record, ref.get("version", "1"), to))


def task(person: RecordRef) -> PlannedTask:
    return PlannedTask(
        key="p1:1:task:1",
        person=person,
        owner_property="OwnerId",
        owner="005A",
        subject="Follow up: Ana",
        lines=("why",),
        due=date(2026, 11, 26),
        since=AS_OF,
    )


def report(*writes: PlannedWrite, tasks: tuple[PlannedTask, ...] = (), people: int = 10, **how: Any) -> RunReport:
    decided = Decided(people=people, changes=[("p1", w) for w in writes], planned_tasks=[("p1", t) for t in tasks])
    return RunReport(run_id="r_1", job="sync", as_of=AS_OF, decided=decided, **how)


@dataclass
class Parts:
    """The two things a plan asks of its parts."""

    policy: Any = field(default_factory=lambda: SimpleNamespace(version="v7"))
    connectors: dict[Crm, Any] = field(
        default_factory=lambda: {
            Crm.HUBSPOT: SimpleNamespace(batch_size=100, read_size=100),
            Crm.SALESFORCE: SimpleNamespace(batch_size=200, read_size=300),
        }
    )


FIRST = write("1", {"mql_status": "mql", "score": "71"}, was={"mql_status": None, "score": "34"})
SECOND = write("00Q1", {"OwnerId": None}, was={"OwnerId": "005A"}, crm=Crm.SALESFORCE, object="lead")


def kept(path: Path, *writes: PlannedWrite, parts: Any = None) -> Path:
    path.write_text(json.dumps(as_document(report(*writes), parts or Parts()), default=str))
    return path


def test_a_kept_plan_is_read_back_whole(tmp_path: Path) -> None:
    plan = PlanFile.read(kept(tmp_path / "plan.json", FIRST, SECOND))
    assert (plan.job, plan.as_of, plan.policy_version) == ("sync", AS_OF, "v7")
    assert plan.rows == {FIRST.key: "hubspot:contact:1", SECOND.key: "salesforce:lead:00Q1"}
    assert plan.keys() == {FIRST.key, SECOND.key}


def test_planned_alike_nothing_is_refused(tmp_path: Path) -> None:
    plan = PlanFile.read(kept(tmp_path / "plan.json", FIRST, SECOND))
    assert plan.refused(report(SECOND, FIRST, write("2", {"score": "9"}))) == []


@pytest.mark.parametrize(
    "later",
    [
        pytest.param((), id="nothing to do any more"),
        pytest.param((write("1", {"mql_status": "mql", "score": "72"}),), id="other values"),
    ],
)
def test_a_row_that_would_be_planned_otherwise_is_refused_by_its_record(
    tmp_path: Path, later: tuple[PlannedWrite, ...]
) -> None:
    plan = PlanFile.read(kept(tmp_path / "plan.json", FIRST, SECOND))
    assert plan.refused(report(SECOND, *later)) == ["hubspot:contact:1"]


def test_a_record_that_has_a_newer_version_is_refused(tmp_path: Path) -> None:
    moved = PlannedWrite(ref=FIRST.ref, fields=FIRST.fields, base=FIRST.base, key=op_key(FIRST.ref, "2", FIRST.fields))
    assert PlanFile.read(kept(tmp_path / "plan.json", FIRST)).refused(report(moved)) == ["hubspot:contact:1"]


def test_a_run_that_decided_nothing_has_refused_nothing(tmp_path: Path) -> None:
    """It could not reach a CRM: to say that records have moved would be wrong."""
    plan = PlanFile.read(kept(tmp_path / "plan.json", FIRST))
    assert plan.refused(report(people=0, error="hubspot: 503")) == []


def test_a_plan_of_another_policy_is_unusable(tmp_path: Path) -> None:
    plan = PlanFile.read(kept(tmp_path / "plan.json", FIRST))
    assert plan.unusable_with(SimpleNamespace(version="v7")) is None  # type: ignore[arg-type]  # only its version is asked
    trouble = plan.unusable_with(SimpleNamespace(version="v8"))  # type: ignore[arg-type]  # only its version is asked
    assert trouble == "the plan was made with policy v7, the files here are v8; nothing was written. Plan again"


WHOLE = {"format": "mqlsync plan 1", "job": "sync", "as_of": "2026-11-25T12:00:00+00:00", "policy_version": "v7"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        ("", "is no plan"),
        ("not json", "is no plan"),
        ("[]", "is no plan"),
        ("{}", "is no plan: KeyError('format')"),
        ('{"format": "mqlsync plan 2"}', "is of format 'mqlsync plan 2', this version reads 'mqlsync plan 1'"),
        (json.dumps(WHOLE), "is no plan: KeyError('changes')"),
        (json.dumps(WHOLE | {"changes": None}), "is no plan"),
        (json.dumps(WHOLE | {"changes": ["x"]}), "is no plan"),
        (json.dumps(WHOLE | {"changes": [{"key": "k"}]}), "is no plan: KeyError('record')"),
        (json.dumps(WHOLE | {"changes": [], "as_of": "soon"}), "is no plan"),
        (json.dumps(WHOLE | {"changes": [], "as_of": "2026-11-25T12:00:00"}), "does not say its zone"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_with_its_reason(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PlanUnusable) as unusable:
        PlanFile.read(path)
    assert str(path) in str(unusable.value)
    assert says in str(unusable.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanUnusable, match="is no plan"):
        PlanFile.read(tmp_path / "plan.json")


def test_the_document_says_what_stands_there_and_what_will(tmp_path: Path) -> None:
    document = as_document(report(FIRST, tasks=(task(SECOND.ref),)), Parts())
    assert document["changes"] == [
        {
            "record": "hubspot:contact:1",
            "crm": "hubspot",
            "object": "contact",
            "id": "1",
            "person_id": "p1",
            "from": {"mql_status": None, "score": "34"},
            "to": {"mql_status": "mql", "score": "71"},
            "key": FIRST.key,
        }
    ]
    assert document["tasks"] == [
        {
            "person_id": "p1",
            "record": "salesforce:lead:00Q1",
            "owner": "005A",
            "subject": "Follow up: Ana",
            "due": date(2026, 11, 26),
        }
    ]


@pytest.mark.parametrize(
    ("contacts", "leads", "tasks", "calls"),
    [
        (0, 0, 0, {"hubspot": 0, "salesforce": 0}),
        (1, 0, 0, {"hubspot": 2, "salesforce": 0}),
        (100, 200, 0, {"hubspot": 2, "salesforce": 2}),
        (101, 301, 0, {"hubspot": 4, "salesforce": 4}),
        (0, 0, 201, {"hubspot": 0, "salesforce": 2}),
    ],
)
def test_the_calls_are_those_of_whole_batches(contacts: int, leads: int, tasks: int, calls: dict[str, int]) -> None:
    writes = [write(str(n), {"score": "1"}) for n in range(contacts)]
    writes += [write(str(n), {"score": "1"}, crm=Crm.SALESFORCE, object="lead") for n in range(leads)]
    assert as_document(report(*writes, tasks=(task(SECOND.ref),) * tasks), Parts())["calls"] == calls


def test_a_person_reads_it_line_by_line() -> None:
    made = report(FIRST, SECOND, tasks=(task(SECOND.ref),))
    assert list(lines(made, as_document(made, Parts()))) == [
        "  ~ hubspot    contact 1   mql_status: (blank) -> mql  score: 34 -> 71",
        "  ~ salesforce lead 00Q1   OwnerId: 005A -> (blank)",
        "  + task for 005A, due 2026-11-26: Follow up: Ana",
        "Plan: 2 records to change, 1 tasks to create, 0 new MQLs among 10 people decided. "
        "About 2 hubspot, 3 salesforce calls.",
    ]
