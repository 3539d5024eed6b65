"""Runs the compiled policy over the Parquet files of a bucket of people.

An engine knows no rule. It gives the query its tables and hands the answer on; DuckDB does so in this process, in
memory, at a known limit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import duckdb
import pyarrow as pa
from sqlglot import exp

from scoring import compile as compiler
from scoring.cards import schema, sections
from scoring.compile import Compiled
from scoring.ledger import Ledger, build
from scoring.policy import Policy
from scoring.tables import Bucket, events_schema, people_schema

__all__ = ["DuckDbEngine", "Engine"]


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
        self._compiled: tuple[Policy, date, Compiled] | None = None

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
        compiled = self._compile(policy, day)
        self._load(policy, bucket, compiled, only)
        return self._rows(compiled.query.sql("duckdb")).cast(schema(compiled.layout))

    def ledgers(self, policy: Policy, bucket: Bucket, day: date, person_ids: Collection[str]) -> Mapping[str, Ledger]:
        """See `Engine.ledgers`."""
        compiled = self._compile(policy, day)
        self._load(policy, bucket, compiled, frozenset(person_ids))
        picks: dict[str, dict[int, list[dict[str, Any]]]] = {}
        if compiled.picks is not None:
            for pick in self._rows(compiled.picks.sql("duckdb")).to_pylist():
                picks.setdefault(pick["person_id"], {}).setdefault(pick["item"], []).append(pick)
        for items in picks.values():
            for rows in items.values():
                rows.sort(key=lambda pick: pick["event_id"])
                rows.sort(key=lambda pick: (pick["day"], pick["at"]), reverse=True)
        parts = sections(policy)
        return {
            row["person_id"]: build(policy, day, compiled.layout, parts, row, picks.get(row["person_id"], {}))
            for row in self._rows(compiled.detail.sql("duckdb")).to_pylist()
        }

    def _compile(self, policy: Policy, day: date) -> Compiled:
        if self._compiled is None or self._compiled[0] is not policy or self._compiled[1] != day:
            self._compiled = (policy, day, compiler.compile_policy(policy, day))
        return self._compiled[2]

    def _rows(self, sql: str) -> pa.Table:
        return self._connection.sql(sql).to_arrow_table()

    def _load(self, policy: Policy, bucket: Bucket, compiled: Compiled, only: frozenset[str] | None) -> None:
        """Makes the tables people, events and fades of the connection."""
        fades = pa.table(
            {name: pa.array([worths], pa.list_(pa.int64())) for name, worths in compiled.fades.items()} or {"f": [0]}
        )
        self._connection.register("fades", fades)
        if only is not None:
            self._connection.register("only_people", pa.table({"person_id": pa.array(sorted(only), pa.string())}))
        self._source("people", bucket.people, people_schema(policy.custom), "person_id", compiled.people, only)
        self._source("events", bucket.events, events_schema(), "event_id", compiled.events, only)

    def _source(
        self,
        name: str,
        files: Sequence[Path],
        empty: pa.Schema,
        key: str,
        columns: Collection[str],
        only: frozenset[str] | None,
    ) -> None:
        """A view of the file where there is one and all of it is asked for; else a table of the rows that count."""
        raw = f"{name}_files"
        if files:
            self._connection.read_parquet([str(file) for file in files]).create_view(raw, replace=True)
        else:
            self._connection.from_arrow(empty.empty_table()).create_view(raw, replace=True)
        rows = compiler.newest(raw, key, columns, dedup=len(files) > 1, only=only is not None)
        if len(files) > 1 or only is not None:
            stored = f"{name}_rows"
            self._create("TABLE", stored, rows)
            rows = exp.select("*").from_(stored)
        self._create("VIEW", name, rows)

    def _create(self, kind: str, name: str, rows: exp.Select) -> None:
        create = exp.Create(this=exp.to_table(name), kind=kind, expression=rows, replace=True)
        self._connection.execute(create.sql("duckdb"))
