"""Runs the compiled policy over the Parquet files of a bucket of people.

An engine knows no rule. It gives the query its tables and hands the answer on; DuckDB does so in this process, in
memory, at a known limit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import duckdb
import pyarrow as pa
from sqlglot import exp

from scoring import compile as compiler
from scoring.cards import Layout, schema, sections
from scoring.compile import Compiled
from scoring.ledger import Ledger, build
from scoring.policy import Policy
from scoring.tables import Bucket, events_schema, people_schema

__all__ = ["DuckDbEngine", "Engine", "EngineFailed", "ledgers_of", "refuse_lacking"]


class EngineFailed(Exception):
    """The engine asked for did not start, or broke while it scored. The message says what to do."""


class Engine(Protocol):
    """Scores the people of a bucket. Every answer depends on policy, bucket and day alone."""

    def score(self, policy: Policy, bucket: Bucket, day: date, *, only: frozenset[str] | None = None) -> pa.Table:
        """One row a person (`scoring.cards.schema`), in no particular order.

        ``day`` is the date of as_of in the policy's timezone; ``only``: these person ids.
        """
        ...

    def ledgers(self, policy: Policy, bucket: Bucket, day: date, person_ids: Collection[str]) -> Mapping[str, Ledger]:
        """The full account of a few people, by person id. Ids that are not in the bucket are left out."""
        ...


class DuckDbEngine:
    """DuckDB in memory. Close it, or use it in a ``with`` statement; not for several threads at once.

    threads, memory_limit  DuckDB's own settings (``1GB``); beyond the limit it spills to a temporary directory
    """

    def __init__(self, threads: int = 2, memory_limit: str = "1GB") -> None:
        self._spill = tempfile.TemporaryDirectory(prefix="mqlsync-score-")
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": memory_limit,
                "temp_directory": self._spill.name,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "preserve_insertion_order": False,
            },
        )
        self._ready: _Ready | None = None

    def __enter__(self) -> DuckDbEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
        self._spill.cleanup()

    def score(self, policy: Policy, bucket: Bucket, day: date, *, only: frozenset[str] | None = None) -> pa.Table:
        """See `Engine.score`."""
        ready = self._prepare(policy, day)
        self._load(policy, bucket, ready.compiled, day, only)
        return self._connection.sql(ready.query).to_arrow_table().cast(schema(ready.compiled.layout))

    def ledgers(self, policy: Policy, bucket: Bucket, day: date, person_ids: Collection[str]) -> Mapping[str, Ledger]:
        """See `Engine.ledgers`."""
        ready = self._prepare(policy, day)
        self._load(policy, bucket, ready.compiled, day, frozenset(person_ids))
        picks = self._connection.sql(ready.picks).to_arrow_table().to_pylist() if ready.picks is not None else []
        rows = self._connection.sql(ready.detail).to_arrow_table().to_pylist()
        return ledgers_of(policy, day, ready.compiled.layout, rows, picks)

    def _prepare(self, policy: Policy, day: date) -> _Ready:
        """The queries as texts, kept for the next bucket."""
        if self._ready is None or self._ready.policy is not policy or self._ready.day != day:
            compiled = compiler.compile_policy(policy, day)
            self._ready = _Ready(
                policy=policy,
                day=day,
                compiled=compiled,
                query=compiled.query.sql("duckdb"),
                detail=compiled.detail.sql("duckdb"),
                picks=compiled.picks.sql("duckdb") if compiled.picks is not None else None,
            )
        return self._ready

    def _load(self, policy: Policy, bucket: Bucket, compiled: Compiled, day: date, only: frozenset[str] | None) -> None:
        """Makes the tables people, events and fades of the connection."""
        fades = {name: pa.array([worths], pa.list_(pa.int64())) for name, worths in compiled.fades.items()}
        self._connection.register("fades", pa.table(fades or {"none": [0]}))
        if only is not None:
            self._connection.register("only_people", pa.table({"person_id": pa.array(sorted(only), pa.string())}))
        for name, files, empty, key, columns in (
            ("people", bucket.people, people_schema(policy.custom), "person_id", compiled.people),
            ("events", bucket.events, events_schema(), "event_id", compiled.events),
        ):
            raw = f"{name}_files"
            if files:
                found = self._connection.read_parquet([str(file) for file in files])
                refuse_lacking(files[0], columns - set(found.columns))
                found.create_view(raw, replace=True)
            else:
                self._connection.from_arrow(empty.empty_table()).create_view(raw, replace=True)
            dedup = len(files) > 1 and not bucket.compacted
            known_on = day if bucket.versioned and files else None
            rows = compiler.newest(raw, key, columns, dedup=dedup, only=only, known_on=known_on)
            self._show(name, rows, stored=dedup or only is not None)

    def _show(self, name: str, rows: exp.Select, *, stored: bool) -> None:
        """A view: on the files where all of them is asked for, else on the rows that count, in memory."""
        if stored:
            self._create("TABLE", f"{name}_rows", rows)
            rows = exp.select("*").from_(f"{name}_rows")
        self._create("VIEW", name, rows)

    def _create(self, kind: str, name: str, rows: exp.Select) -> None:
        create = exp.Create(this=exp.to_table(name), kind=kind, expression=rows, replace=True)
        self._connection.execute(create.sql("duckdb"))


def refuse_lacking(file: Path, lacking: Collection[str]) -> None:
    """A file lacks columns the policy asks for. Raises ValueError."""
    if lacking:
        raise ValueError(
            f"{file} has no column {min(lacking)}: it was written before the policy asked for it; "
            "nothing was scored, rebuild the snapshot"
        )


def ledgers_of(
    policy: Policy, day: date, layout: Layout, rows: Iterable[Mapping[str, Any]], picks: Iterable[Mapping[str, Any]]
) -> dict[str, Ledger]:
    """The ledgers of the people of ``rows``: the answers to `Compiled.detail` and `Compiled.picks`, in any order."""
    chosen: dict[str, dict[int, list[Mapping[str, Any]]]] = {}
    for pick in picks:
        chosen.setdefault(pick["person_id"], {}).setdefault(pick["item"], []).append(pick)
    for items in chosen.values():
        for of_item in items.values():
            of_item.sort(key=lambda pick: pick["event_id"])
            of_item.sort(key=lambda pick: (pick["day"], pick["at"]), reverse=True)
    parts = sections(policy)
    return {row["person_id"]: build(policy, day, layout, parts, row, chosen.get(row["person_id"], {})) for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A policy compiled for a day, as DuckDB's SQL."""

    policy: Policy
    day: date
    compiled: Compiled
    query: str
    detail: str
    picks: str | None
