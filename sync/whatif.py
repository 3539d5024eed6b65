"""What a policy would do if it were in use now: the run itself, in a transaction that is taken back.

Two rehearsals from the same store, for the same instant: one under the policy in use, one under the new one. What
differs between them is the edit, and nothing but the edit: not the day's fading, not news that waits to be decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, select

from scoring.cards import Fresh
from scoring.engine import Engine
from scoring.episodes import Status
from scoring.ledger import Ledger
from scoring.policy import Policy
from scoring.tables import Bucket
from sync.collecting import collecting_rarely
from sync.run import Parts, Runner, RunReport
from sync.settings import StageName
from sync.store import schema
from sync.store.columns import read_in_order
from sync.store.people import load_owner_names, owner_name

__all__ = ["IN_HAND", "Bar", "Kind", "Moved", "NotRehearsed", "Pair", "Standing", "WhatIf", "what_if"]

IN_HAND = frozenset({Status.REVIEW, Status.MQL, Status.ASSIGNED, Status.ACCEPTED, Status.WORKING})
"""Statuses of people who are marketing qualified: an episode is open."""

BIN = 10
"""Points in one bar of a histogram."""

SCORES = ("fit", "engagement", "total")
_TEXTS = ("status", "grade", "reason")


class NotRehearsed(Exception):
    """No rehearsal was held: another process decides, or it was stopped. Nothing was changed."""

    def __init__(self, report: RunReport) -> None:
        super().__init__(report.error or f"the rehearsal ended as {report.state}")
        self.exit_code = report.exit_code


class Kind(StrEnum):
    """How the edit moves a person, in the order in which it is told. Each person is told once, under the first."""

    BECOMES = "becomes MQL"
    SUPPRESSED = "is suppressed"
    STOPS = "stops being MQL"
    RELEASED = "is no longer suppressed"
    OWNER = "goes to another owner"
    GRADE = "is graded differently"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one person stands after a rehearsal. ``line``: of the open episode; ``owner``: as people call them."""

    status: str
    grade: str
    reason: str | None
    fit: int
    engagement: int
    total: int
    line: str | None
    owner: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A person and both standings. ``email`` and ``name`` as the store has them."""

    person_id: str
    email: str | None
    name: str | None
    before: Standing
    after: Standing

    def kind(self) -> Kind | None:
        before, after = self.before, self.after
        if after.status in IN_HAND and before.status not in IN_HAND:
            return Kind.BECOMES
        if after.status != before.status and Status.SUPPRESSED in (before.status, after.status):
            return Kind.SUPPRESSED if after.status == Status.SUPPRESSED else Kind.RELEASED
        if before.status in IN_HAND and after.status not in IN_HAND:
            return Kind.STOPS
        if after.owner != before.owner:
            return Kind.OWNER
        return Kind.GRADE if after.grade != before.grade else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A number under the policy in use and under the new one."""

    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """People with at least ``start`` points and fewer than the next bar's."""

    start: int
    people: Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One policy by name and version."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What the new policy would do.

    people      everybody who has been scored
    moved       kind -> the people, best first
    lapsed      whose episode stays open although no gate line is true any more under the new policy
    grades      (before, after) -> people, only where they differ
    histograms  score -> bars; of the fit only where both policies give points, or both steps
    thirds      fits are steps of a ladder, not points
    statuses    status -> people
    owners      owner -> people they get in this run
    writes      (crm, object) -> records this run changes in the CRMs; ``tasks`` by crm
    """

    as_of: datetime
    live: Told
    new: Told
    people: int
    moved: Mapping[Kind, tuple[Moved, ...]]
    lapsed: tuple[Moved, ...]
    grades: Mapping[tuple[str, str], int]
    histograms: Mapping[str, tuple[Bar, ...]]
    thirds: bool
    statuses: Mapping[str, Pair]
    owners: Mapping[str, Pair]
    writes: Mapping[tuple[str, str], Pair]
    tasks: Mapping[str, Pair]

    def count(self, kind: Kind) -> int:
        return len(self.moved.get(kind, ()))


def what_if(parts: Parts, new: Policy, *, as_of: datetime) -> WhatIf:
    """Rehearse a run for ``as_of`` under the policy in use and under ``new``.

    No CRM is asked, and nothing is changed but the snapshot, which is brought up to date.

    Raises
    ------
    NotRehearsed: another process holds the lease on deciding
    """
    with collecting_rarely():
        before = _rehearse(parts, parts.policy, as_of=as_of)
        after = _rehearse(parts, new, as_of=as_of)
        return _compared(before, after)


# -- one rehearsal -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Rehearsal:
    """What the store held when everything was decided.

    people  a row a person in the order of ids, with e-mail address, name, status, grade, reason and scores
    lines   who has an open episode -> its line; ``owners``: -> who has it
    drawn   owner -> people given to them by this run
    shut    whoever was scored and has no true gate line
    """

    policy: Policy
    as_of: datetime
    report: RunReport | None = None
    people: pa.Table | None = None
    lines: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    drawn: Counter[str] = field(default_factory=Counter)
    shut: list[pa.ChunkedArray] = field(default_factory=list)


def _rehearse(parts: Parts, policy: Policy, *, as_of: datetime) -> _Rehearsal:
    found = _Rehearsal(policy=policy, as_of=as_of)
    engine = _Watched(engine=parts.engine, shut=found.shut)
    run_id = parts.new_id()
    runner = Runner(
        parts=replace(parts, policy=policy, connectors={}, engine=engine),
        run_id=run_id,
        job="whatif",
        stages=frozenset({StageName.SCORE, StageName.ASSIGN}),
        as_of=as_of,
        dry_run=True,
        rehearsed=lambda tx: _keep(tx, found),
    )
    found.report = runner.run()
    if found.people is None:
        raise NotRehearsed(found.report)
    names = _owner_names(parts)
    found.drawn.update(owner_name(row.owner_key, names) for row in found.report.decided.assigned)
    return found


def _owner_names(parts: Parts) -> Mapping[tuple[str, str], str]:
    with parts.store.read() as tx:
        return load_owner_names(tx)


def _keep(tx: Connection, found: _Rehearsal) -> None:
    p, e, a = schema.person.c, schema.episode.c, schema.assignment.c
    names = ("person_id", "email", "name", *_TEXTS, *SCORES)
    found.people = read_in_order(tx, [p[name] for name in names], p.status.is_not(None))
    is_open = select(e.person_id, e.line).where(e.closed_at.is_(None))
    found.lines = {row.person_id: row.line for row in tx.execute(is_open)}
    held = (
        select(a.person_id, a.owner_key)
        .join(schema.episode, (e.person_id == a.person_id) & (e.n == a.n))
        .where(e.closed_at.is_(None))
        .order_by(a.person_id, a.step)
    )
    called = load_owner_names(tx)
    found.owners = {row.person_id: owner_name(row.owner_key, called) for row in tx.execute(held)}


@dataclass(frozen=True, slots=True)
class _Watched:
    """The same engine; whoever it finds no true gate line for is noted."""

    engine: Engine
    shut: list[pa.ChunkedArray]

    def score(self, policy: Policy, bucket: Bucket, day: date, *, only: frozenset[str] | None = None) -> pa.Table:
        table = self.engine.score(policy, bucket, day, only=only)
        self.shut.append(table["person_id"].filter(pc.equal(table["lines"], 0)))
        return table

    def ledgers(self, policy: Policy, bucket: Bucket, day: date, person_ids: Collection[str]) -> Mapping[str, Ledger]:
        return self.engine.ledgers(policy, bucket, day, person_ids)

    def fresh(self, policy: Policy, bucket: Bucket, day: date, since: Mapping[str, datetime]) -> Mapping[str, Fresh]:
        return self.engine.fresh(policy, bucket, day, since)


# -- what differs ------------------------------------------------------------------------------------------------


def _compared(before: _Rehearsal, after: _Rehearsal) -> WhatIf:
    assert before.report is not None
    assert after.report is not None
    assert before.people is not None
    assert after.people is not None
    steps, new_steps = _in_steps(before.policy), _in_steps(after.policy)
    compared = [name for name in SCORES if name == "engagement" or steps == new_steps]
    moved: dict[Kind, list[Moved]] = {}
    for one in _moved(before, after):
        kind = one.kind()
        if kind is not None:
            moved.setdefault(kind, []).append(one)
    return WhatIf(
        as_of=after.as_of,
        live=Told(name=before.policy.name, version=before.policy.version),
        new=Told(name=after.policy.name, version=after.policy.version),
        people=after.people.num_rows,
        moved={kind: _best_first(moved[kind]) for kind in Kind if kind in moved},
        lapsed=_best_first(_lapsed(before, after)),
        grades=_grades(before.people, after.people),
        histograms={
            name: _bars(before.people[name], after.people[name], 1 if steps and name == "fit" else BIN)
            for name in compared
        },
        thirds=steps and new_steps,
        statuses=_pairs(_counted(before.people["status"]), _counted(after.people["status"])),
        owners=_pairs(before.drawn, after.drawn),
        writes=_pairs(_writes(before.report), _writes(after.report)),
        tasks=_pairs(_tasks(before.report), _tasks(after.report)),
    )


def _best_first(found: list[Moved]) -> tuple[Moved, ...]:
    return tuple(sorted(found, key=lambda one: (-one.after.total, one.person_id)))


def _moved(before: _Rehearsal, after: _Rehearsal) -> list[Moved]:
    """Whoever has another status, grade or owner: rows of both tables are of the same people, in the same order."""
    assert before.people is not None
    assert after.people is not None
    differ: Any = False
    for name in ("status", "grade"):
        differ = pc.or_(pc.not_equal(before.people[name], after.people[name]), differ)
    regiven = [id for id, owner in after.owners.items() if before.owners.get(id) not in (None, owner)]
    differ = pc.or_(differ, pc.is_in(after.people["person_id"], value_set=pa.array(regiven, pa.string())))
    return _as_moved(before, after, differ)


def _lapsed(before: _Rehearsal, after: _Rehearsal) -> list[Moved]:
    """Whom the new gate would not let in, of those who are in hand and stay so."""
    assert after.people is not None
    shut = pa.chunked_array([chunk for array in after.shut for chunk in array.chunks], pa.string())
    is_open = pa.array(sorted(after.lines.keys() & before.lines.keys()), pa.string())
    ids = after.people["person_id"]
    return _as_moved(before, after, pc.and_(pc.is_in(ids, value_set=shut), pc.is_in(ids, value_set=is_open)))


def _as_moved(before: _Rehearsal, after: _Rehearsal, which: Any) -> list[Moved]:
    assert before.people is not None
    assert after.people is not None
    rows = zip(before.people.filter(which).to_pylist(), after.people.filter(which).to_pylist(), strict=True)
    return [
        Moved(
            person_id=now["person_id"],
            email=now["email"],
            name=now["name"],
            before=_standing(was, before),
            after=_standing(now, after),
        )
        for was, now in rows
    ]


def _standing(row: Mapping[str, Any], of: _Rehearsal) -> Standing:
    return Standing(
        **{name: row[name] for name in (*_TEXTS, *SCORES)},
        line=of.lines.get(row["person_id"]),
        owner=of.owners.get(row["person_id"]),
    )


def _grades(before: pa.Table, after: pa.Table) -> dict[tuple[str, str], int]:
    both = pa.table({"before": before["grade"], "after": after["grade"]})
    both = (
        both.filter(pc.not_equal(both["before"], both["after"]))
        .group_by(["before", "after"])
        .aggregate([([], "count_all")])
    )
    return {
        (row["before"], row["after"]): row["count_all"]
        for row in both.sort_by([("before", "ascending"), ("after", "ascending")]).to_pylist()
    }


def _in_steps(policy: Policy) -> bool:
    return any(model.fit.thirds for model in policy.models)


def _bars(before: pa.ChunkedArray, after: pa.ChunkedArray, width: int) -> tuple[Bar, ...]:
    counted = [
        _counted(pc.multiply(pc.cast(pc.floor(pc.divide(pc.cast(of, pa.float64()), width)), pa.int64()), width))
        for of in (before, after)
    ]
    found = [*counted[0], *counted[1]]
    if not found:
        return ()
    return tuple(
        Bar(start=start, people=Pair(before=counted[0].get(start, 0), after=counted[1].get(start, 0)))
        for start in range(min(found), max(found) + width, width)
    )


def _counted(values: Any) -> dict[Any, int]:
    return {one["values"].as_py(): one["counts"].as_py() for one in pc.value_counts(values)}


def _pairs(before: Mapping[Any, int], after: Mapping[Any, int]) -> dict[Any, Pair]:
    return {key: Pair(before=before.get(key, 0), after=after.get(key, 0)) for key in sorted({*before, *after}, key=str)}


def _writes(report: RunReport) -> Counter[tuple[str, str]]:
    return Counter((write.ref.crm.value, write.ref.object) for _, write in report.decided.changes)


def _tasks(report: RunReport) -> Counter[str]:
    return Counter(task.person.crm.value for _, task in report.decided.planned_tasks)
