"""Runs the compiled policy over the Parquet files of a bucket of people.

An engine knows no rule. It gives the query its tables and hands the answer on; DuckDB does so in this process, in
memory, at a known limit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from scoring import compile as compiler
from scoring.cards import Fresh, Layout, schema, sections
from scoring.compile import Account, Compiled, CompiledFresh
from scoring.ledger import Ledger, build
from scoring.policy import Policy
from scoring.tables import Bucket, events_schema, people_schema

__all__ = ["DuckDbEngine", "Engine", "EngineFailed", "ledgers_of", "refuse_lacking", "since_table"]


_FEW_VALUES = 1000
"""Written as a dictionary; a column with more different values is not searched for repeated ones."""

_FILE = "file"
"""The parameter of the statement that writes."""

_Queries = TypeVar("_Queries", Compiled, CompiledFresh)


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

    def fresh(self, policy: Policy, bucket: Bucket, day: date, since: Mapping[str, datetime]) -> Mapping[str, Fresh]:
        """What events later than an instant come to, by person id.

        ``since``: person id -> the instant, with its zone. The same rules, caps, floor and rounding; ``absent_for``
        is left out, and a date without a time of day is later when it is after the date of the instant in the policy's
        timezone. Ids that are not in the bucket are left out.
        """
        ...


class DuckDbEngine:
    """DuckDB in memory. Close it, or use it in a ``with`` statement; not for several threads at once.

    threads, memory_limit  DuckDB's own settings (``1GB``); beyond the limit it spills to a temporary directory
    """

    def __init__(self, threads: int = 2, memory_limit: str = "1GB") -> None:
        self._threads = threads
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
        self._connection.execute("SET enable_progress_bar = false")  # it is drawn on stdout, also into JSON
        self._ready: _Ready[Compiled] | None = None
        self._fresh: _Ready[CompiledFresh] | None = None

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
        _Tables(self._connection).fill(ready, ready.compiled, bucket, only)
        found = self._connection.sql(ready.parsed(ready.compiled.query)).to_arrow_table()
        return found.cast(schema(ready.compiled.layout))

    def score_files(self, policy: Policy, parts: Iterable[tuple[Bucket, Path]], day: date) -> int:
        """The scorecards of each bucket into a Parquet file of its own. Returns how many people were scored.

        The files hold what `score` gives, layout included; each gets its name when it is whole. As many buckets as
        there are threads are worked on at a time, each by one thread from reading to writing: threads that share a
        query wait for one another.
        """
        ready = self._prepare(policy, day)
        (copy,) = self._connection.extract_statements(_copy(ready.compiled).sql("duckdb"))
        free: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        for _ in range(self._threads):
            free.put(self._connection.cursor())

        def work(bucket: Bucket, file: Path) -> int:
            cursor = free.get()
            try:
                return _write_scored(cursor, ready, copy, bucket, file)
            finally:
                free.put(cursor)

        self._connection.execute("SET threads TO 1")
        try:
            with ThreadPoolExecutor(self._threads, thread_name_prefix="score") as pool:
                works = [pool.submit(work, bucket, file) for bucket, file in parts]
                try:
                    return sum(one.result() for one in works)
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        finally:
            self._connection.execute(f"SET threads TO {self._threads}")
            while not free.empty():
                free.get().close()

    def ledgers(self, policy: Policy, bucket: Bucket, day: date, person_ids: Collection[str]) -> Mapping[str, Ledger]:
        """See `Engine.ledgers`."""
        ready = self._prepare(policy, day)
        account = ready.compiled.account
        _Tables(self._connection).fill(ready, account, bucket, frozenset(person_ids))
        picks, ignored, rows = (self._rows(ready, one) for one in (account.picks, account.ignored, account.detail))
        return ledgers_of(policy, day, ready.compiled.layout, rows, picks, ignored)

    def _rows(self, ready: _Ready[Compiled], query: exp.Query | None) -> list[dict[str, Any]]:
        """Few rows, as dicts. (Asked for as Arrow, the query would be planned twice.)"""
        if query is None:
            return []
        found = self._connection.execute(ready.parsed(query))
        names = [name for name, *_ in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def fresh(self, policy: Policy, bucket: Bucket, day: date, since: Mapping[str, datetime]) -> Mapping[str, Fresh]:
        """See `Engine.fresh`."""
        if self._fresh is None or self._fresh.policy is not policy or self._fresh.day != day:
            self._fresh = _Ready(self._connection, policy, day, compiler.compile_fresh(policy, day))
        ready = self._fresh
        _Tables(self._connection).fill(ready, ready.compiled, bucket, frozenset(since))
        self._connection.register("since", since_table(policy, since))
        found = self._connection.execute(ready.parsed(ready.compiled.query)).fetchall()
        return {id: Fresh(points=points, raised=raised is not None) for id, points, raised in found}

    def _prepare(self, policy: Policy, day: date) -> _Ready[Compiled]:
        """The queries, kept for the next bucket."""
        if self._ready is None or self._ready.policy is not policy or self._ready.day != day:
            self._ready = _Ready(self._connection, policy, day, compiler.compile_policy(policy, day))
        return self._ready


class _Ready(Generic[_Queries]):
    """A policy compiled for a day, and its queries as DuckDB reads them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, policy: Policy, day: date, compiled: _Queries) -> None:
        self.policy = policy
        self.day = day
        self.compiled: _Queries = compiled
        self._connection = connection
        self._parsed: dict[int, duckdb.Statement] = {}

    def parsed(self, query: exp.Query) -> duckdb.Statement:
        """One of the compiled queries as a statement: printing and parsing take as long as scoring a few people."""
        found = self._parsed.get(id(query))
        if found is None:
            (found,) = self._connection.extract_statements(query.sql("duckdb"))
            self._parsed[id(query)] = found
        return found


@dataclass(frozen=True, slots=True)
class _Tables:
    """The tables people, events and fades of one connection; nothing of them is seen by another."""

    connection: duckdb.DuckDBPyConnection

    def fill(
        self,
        ready: _Ready[Compiled] | _Ready[CompiledFresh],
        queries: Compiled | Account | CompiledFresh,
        bucket: Bucket,
        only: frozenset[str] | None,
    ) -> None:
        """Makes them what ``queries`` read of ``bucket``, or of some of its people."""
        policy = ready.policy
        fades = {name: pa.array([worths], pa.list_(pa.int64())) for name, worths in queries.fades.items()}
        self.connection.register("fades", pa.table(fades or {"none": [0]}))
        for one in queries.lists.values():
            self.connection.register(one.table, pa.table({"value": pa.array(one.values, pa.string())}))
        if only is not None:
            self.connection.register("only_people", pa.table({"person_id": pa.array(sorted(only), pa.string())}))
        for name, files, empty, key, columns in (
            ("people", bucket.people, people_schema(policy.custom), "person_id", queries.people),
            ("events", bucket.events, events_schema(), "event_id", queries.events),
        ):
            raw = f"{name}_files"
            if files:
                refuse_lacking(files[0], columns - set(pq.read_schema(files[0]).names))
                self._read(raw, files)
            else:
                self.connection.register(f"no_{name}", empty.empty_table())
                self._create("VIEW", raw, exp.select("*").from_(f"no_{name}"))
            dedup = len(files) > 1 and not bucket.compacted
            known_on = ready.day if bucket.versioned and files else None
            settled = [file for file in files if file in bucket.settled]
            if dedup and settled and only is None and known_on is None:
                rows = self._chosen(raw, files, settled, key, columns)
            else:
                rows = compiler.newest(raw, key, columns, dedup=dedup, only=only, known_on=known_on)
            if dedup or only is not None:
                self._create("TABLE", f"{name}_rows", rows)
                rows = exp.select("*").from_(f"{name}_rows")
            # A view: on the files where all of them is asked for, else on the rows that count, in memory.
            self._create("VIEW", name, compiler.with_lists(rows, columns, queries.lists))

    def _chosen(
        self, raw: str, files: Sequence[Path], settled: Sequence[Path], key: str, columns: Iterable[str]
    ) -> exp.Query:
        """The rows that count of files of which some are settled."""
        others = [file for file in files if file not in settled]
        if not others:
            return compiler.newest(raw, key, columns, dedup=False, only=None)
        self._read(f"{raw}_settled", settled)
        self._read(f"{raw}_others", others)
        return compiler.newest_of_two(raw, f"{raw}_settled", f"{raw}_others", key, columns)

    def _read(self, name: str, files: Sequence[Path]) -> None:
        """A view of all rows of the files."""
        texts = exp.Array(expressions=[exp.Literal.string(str(file)) for file in files])
        self._create("VIEW", name, exp.select("*").from_(exp.Table(this=exp.ReadParquet(expressions=[texts]))))

    def _create(self, kind: str, name: str, rows: exp.Query) -> None:
        own = exp.Properties(expressions=[exp.TemporaryProperty()])
        create = exp.Create(this=exp.to_table(name), kind=kind, expression=rows, replace=True, properties=own)
        self.connection.execute(create.sql("duckdb"))


def _write_scored(
    connection: duckdb.DuckDBPyConnection, ready: _Ready[Compiled], copy: duckdb.Statement, bucket: Bucket, file: Path
) -> int:
    """One bucket's scorecards into its file. Returns how many."""
    _Tables(connection).fill(ready, ready.compiled, bucket, None)
    beside = file.with_name(f"{file.name}.tmp")
    ((people,),) = connection.execute(copy, {_FILE: str(beside)}).fetchall()
    beside.replace(file)
    return int(people)


def _copy(compiled: Compiled) -> exp.Copy:
    """The scorecards into the Parquet file that is given as a parameter."""
    options = {
        "FORMAT": exp.var("PARQUET"),
        "COMPRESSION": exp.var("ZSTD"),
        "COMPRESSION_LEVEL": exp.Literal.number(1),
        "PARQUET_VERSION": exp.var("V2"),
        "DICTIONARY_SIZE_LIMIT": exp.Literal.number(_FEW_VALUES),
        "KV_METADATA": exp.Struct(
            expressions=[
                exp.PropertyEQ(
                    this=exp.to_identifier(key.decode(), quoted=True), expression=exp.Literal.string(text.decode())
                )
                for key, text in schema(compiled.layout).metadata.items()
            ]
        ),
    }
    return exp.Copy(
        this=compiled.query.subquery(),
        kind=False,
        files=[exp.Placeholder(this=_FILE)],
        params=[exp.CopyParameter(this=exp.var(name), expression=value) for name, value in options.items()],
    )


def refuse_lacking(file: Path, lacking: Collection[str]) -> None:
    """A file lacks columns the policy asks for. Raises ValueError."""
    if lacking:
        raise ValueError(
            f"{file} has no column {min(lacking)}: it was written before the policy asked for it; "
            "nothing was scored, rebuild the snapshot"
        )


def since_table(policy: Policy, since: Mapping[str, datetime]) -> pa.Table:
    """The table ``since`` of `scoring.compile.CompiledFresh`."""
    zone = ZoneInfo(policy.timezone)
    return pa.table(
        {
            "person_id": pa.array(since, pa.string()),
            "at": pa.array(since.values(), pa.timestamp("us", tz="UTC")),
            "day": pa.array([at.astimezone(zone).date() for at in since.values()], pa.date32()),
        }
    )


def ledgers_of(
    policy: Policy,
    day: date,
    layout: Layout,
    rows: Iterable[Mapping[str, Any]],
    picks: Iterable[Mapping[str, Any]],
    ignored: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Ledger]:
    """The ledgers of the people of ``rows``: the answers to `Account`'s queries of these names, in any order."""
    chosen: dict[str, dict[int, list[Mapping[str, Any]]]] = {}
    for pick in _newest_first(picks):
        chosen.setdefault(pick["person_id"], {}).setdefault(pick["item"], []).append(pick)
    left_out: dict[str, list[Mapping[str, Any]]] = {}
    for event in _newest_first(ignored):
        left_out.setdefault(event["person_id"], []).append(event)
    parts = sections(policy)
    return {
        person: build(policy, day, layout, parts, row, chosen.get(person, {}), left_out.get(person, ()))
        for row in rows
        for person in (row["person_id"],)
    }


def _newest_first(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    by_id = sorted(events, key=lambda event: event["event_id"])
    return sorted(by_id, key=lambda event: (event["day"], event["at"]), reverse=True)
