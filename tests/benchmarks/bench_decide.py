"""Deciding everybody on a day that changes nobody: what the first run of a day costs beside scoring.

One bucket is scored by the engine, and its scorecards stand for every group of people, under ids of their own. Each has
a status that stays, a contact in HubSpot and every second one a lead in Salesforce, both with confirmed scores. Since
yesterday one in five has lost a point: too little for a CRM to be told, enough for the store.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.records import Crm
from scoring.engine import DuckDbEngine
from scoring.episodes import Status
from scoring.policy import Policy, Result, WritePlan
from scoring.team import Team
from sync.decide import Decider
from sync.owners import OwnerDirectory
from sync.quiet import QuietPeople
from sync.settings import OwnerAuthority
from sync.store.db import Store
from tests.benchmarks.bench_engine import alone, policy_of
from tests.benchmarks.crowd import TODAY, Crowd
from tests.benchmarks.figures import Figure, Sizes, peak_memory, timed

__all__ = ["nothing_changed"]

GROUP = 50_000
"""People a table of scorecards, as in a run."""

HUBSPOT: Mapping[Result, str] = {
    Result.STATUS: "mql_status",
    Result.GRADE: "mql_grade",
    Result.FIT: "mql_fit",
    Result.ENGAGEMENT: "mql_score",
}
SALESFORCE = {result: f"{name.title()}__c" for result, name in HUBSPOT.items()}

CARDS, STORE = "cards.parquet", "store.db"

AS_OF = datetime(TODAY.year, TODAY.month, TODAY.day, 6, tzinfo=UTC)


def nothing_changed(sizes: Sizes) -> Iterator[Figure]:
    people = sizes.many_scored or sizes.scored
    tenth = max(people // 10, GROUP // 5)
    wall, cpu, peak = _measured(people)
    *_, small = _measured(tenth)
    of = f"{people:,} people, nobody changes"
    yield Figure(what="decide: all of them", of=of, unit="wall s", value=wall, floor=30, target=15)
    yield Figure(what="decide: all of them", of=of, unit="CPU s", value=cpu)
    yield Figure(what="decide: peak memory", of=of, unit="MB", value=peak, floor=1000, target=650)
    yield Figure(what="decide: peak memory", of=f"{tenth:,} people, nobody changes", unit="MB", value=small)


def _measured(people: int) -> tuple[float, float, float]:
    """Seconds of wall and of CPU of the transaction, its commit included, and the most memory in MB of its process."""
    with tempfile.TemporaryDirectory() as folder:
        groups: int = alone(_prepare, folder, people)
        return cast("tuple[float, float, float]", alone(_decide, folder, groups))


def _prepare(folder: str, people: int) -> int:
    """Write the scorecards and the store of yesterday. Returns how many groups of people there are."""
    cards = _scorecards(Path(folder), min(GROUP, people))
    pq.write_table(cards, Path(folder) / CARDS)
    file = Path(folder) / STORE
    Store.open(f"sqlite:///{file}").close()
    groups = max(1, people // cards.num_rows)
    connection = sqlite3.connect(file)
    for number in range(groups):
        _fill(connection, _group(cards, number))
    connection.close()
    return groups


def _decide(folder: str, groups: int) -> tuple[float, float, float]:
    cards = pq.read_table(Path(folder) / CARDS)
    policy = _writing(policy_of("thirty"))
    store = Store.open(f"sqlite:///{Path(folder) / STORE}")

    def decide() -> int:
        with store.write() as tx:
            decider = _decider(policy)
            decider.quiet = QuietPeople(policy=policy)
            decided = decider.decide(tx, (_a_point_less(_group(cards, number)) for number in range(groups)))
        assert decided.queued == 0
        assert not decided.opened
        return decided.people

    decided, wall, cpu = timed(decide)
    store.close()
    assert decided == groups * cards.num_rows
    return wall, cpu, peak_memory()


def _writing(policy: Policy) -> Policy:
    properties = {("hubspot", "contact"): HUBSPOT, ("salesforce", "lead"): SALESFORCE}
    return replace(policy, version="today", write=WritePlan(properties=properties, score_step=5))


def _decider(policy: Policy) -> Decider:
    return Decider(
        policy=policy,
        directory=OwnerDirectory(owners=(), team=Team(), crms=tuple(Crm)[:2]),
        authority=OwnerAuthority.BOTH,
        as_of=AS_OF,
        run_id="r",
        release="",
        facts=lambda ids: {},
        ledger=None,
        listing=False,
        guarded=True,
    )


# -- the scene ---------------------------------------------------------------------------------------------------


def _scorecards(folder: Path, people: int) -> pa.Table:
    (bucket,) = Crowd(folder=folder, people=people, size=people).buckets()
    with DuckDbEngine() as engine:
        return engine.score(policy_of("thirty"), bucket, TODAY).sort_by("person_id").combine_chunks()


def _group(cards: pa.Table, number: int) -> pa.Table:
    """The same scorecards under other ids, all of which come after those of the group before."""
    ids = pc.binary_join_element_wise(f"{number:04d}", cards["person_id"], "")
    return cards.set_column(cards.schema.get_field_index("person_id"), "person_id", ids)


def _a_point_less(cards: pa.Table) -> pa.Table:
    """One in five has lost a point of engagement, whoever has one to lose."""
    loses = pa.array([1 if number % 5 == 0 else 0 for number in range(cards.num_rows)], pa.int64())
    less = pc.max_element_wise(pc.subtract(cards["engagement"], loses), pa.scalar(0))
    place = cards.schema.get_field_index("engagement")
    return cards.set_column(place, cards.schema.field(place), less.cast(cards.schema.field(place).type))


def _fill(connection: sqlite3.Connection, cards: pa.Table) -> None:
    """People as yesterday's run has left them."""
    yesterday = (TODAY - timedelta(days=1)).isoformat()
    names = ("person_id", "suppressed", "lines", "reach", "fit", "engagement", "total", "grade", "model")
    people, links, confirmed = [], [], []
    for row in zip(*(cards[name].to_pylist() for name in names), strict=True):
        known = dict(zip(names, row, strict=True))
        person_id, status = known["person_id"], _status(known)
        scores = (known["fit"], known["engagement"], known["total"], known["grade"], known["model"])
        people.append((person_id, status, known["suppressed"], *scores, yesterday, "yesterday"))
        records = (("hubspot", "contact", HUBSPOT), ("salesforce", "lead", SALESFORCE))
        for conn, object, properties in records[: 1 + len(people) % 2]:
            shown = _shown(known, status, properties)
            links.append((conn, object, person_id, person_id))
            confirmed.append((conn, object, person_id, json.dumps(shown, separators=(",", ":"), sort_keys=True)))
    _insert(
        connection,
        "INSERT INTO person (person_id, status, reason, fit, engagement, total, grade, model, scored_day, "
        "policy_version, ambiguous) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        people,
    )
    _insert(
        connection,
        "INSERT INTO link (conn, object, id, person_id, role, method, confidence) "
        "VALUES (?, ?, ?, ?, 'target', 'alone', 1)",
        links,
    )
    _insert(
        connection,
        "INSERT INTO acked (conn, object, id, fields, at) VALUES (?, ?, ?, ?, '2026-06-14 06:00:00.000000')",
        confirmed,
    )


def _insert(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    connection.executemany(statement, rows)
    connection.commit()


def _status(card: Mapping[str, Any]) -> Status:
    """One that stays without an episode: whom the gate would let in is with sales."""
    if card["suppressed"] is not None:
        return Status.SUPPRESSED
    return Status.WITH_SALES if card["lines"] else Status.NOT_YET


def _shown(card: Mapping[str, Any], status: Status, properties: Mapping[Result, str]) -> dict[str, str]:
    values = {Result.STATUS: str(status), Result.GRADE: card["grade"]}
    values |= {result: str(card[result]) for result in (Result.FIT, Result.ENGAGEMENT)}
    return {properties[result]: value for result, value in values.items()}
