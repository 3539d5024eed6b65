"""Whole runs: by stage, in calls, in memory; the demo as it is typed; the command line."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from time import perf_counter, process_time

from connectors.records import Crm
from sync.compose import Opened, load, open_parts
from sync.explain import explanation
from sync.run import RunReport
from sync.setup import ensure
from sync.store.runs import RunState
from tests.benchmarks.figures import Figure, Sizes, timed
from tests.benchmarks.scene import AS_OF, Box, install, sandbox

OVERLAP = timedelta(minutes=20)
"""More than `pull.overlap` of the shipped configuration: what the last run wrote is not read again."""

STAGES = ("pull", "resolve", "gather", "score", "decide", "write")

UNCOUNTED = frozenset({"token", "account", "check", "properties", "describe"})
"""Kinds of call for token, account and schema; the schemas are kept for a day."""


class Stages:
    """Where time goes: each boundary a run tells of ends a stretch of its stage."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.spent = {stage: [0.0, 0.0] for stage in (*STAGES, "rest")}
        self._at = (perf_counter(), process_time())

    def reached(self, place: str) -> None:
        now = (perf_counter(), process_time())
        stage = place.partition(":")[0]
        spent = self.spent[stage if stage in STAGES else "rest"]
        spent[0] += now[0] - self._at[0]
        spent[1] += now[1] - self._at[1]
        self._at = now

    def figures(self, name: str, of: str) -> Iterator[Figure]:
        for stage, (wall, cpu) in self.spent.items():
            if wall:
                yield Figure(what=f"{name}: {stage}", of=of, unit="wall s", value=wall)
                yield Figure(what=f"{name}: {stage}", of=of, unit="CPU s", value=cpu)
        yield from self.sums(name, of)

    def sums(self, name: str, of: str) -> Iterator[Figure]:
        yield Figure(what=f"{name}: all", of=of, unit="wall s", value=sum(wall for wall, _ in self.spent.values()))
        yield Figure(what=f"{name}: all", of=of, unit="CPU s", value=sum(cpu for _, cpu in self.spent.values()))


def runs(sizes: Sizes) -> Iterator[Figure]:
    """The first run, one that re-reads its own writes, a quiet one, and the first of the next day."""
    of = f"{sizes.people:,} people"
    stages = Stages()
    with sandbox(sizes.people) as box, tempfile.TemporaryDirectory() as folder:
        loaded = load(install(Path(folder), box), environment=box.environment)
        with open_parts(loaded, reached=stages.reached) as opened:
            ensure(opened.parts)
            first = _run(opened, box, stages, AS_OF)
            yield from stages.figures("first run", of)
            yield from _write_calls(first, box)
            yield Figure(what="first run: peak memory", of=of, unit="MB", value=_peak(), floor=1000, target=650)
            box.move_clock(OVERLAP.total_seconds())
            again = _run(opened, box, stages, AS_OF)
            yield Figure(what="second run: writes", of=of, unit="writes", value=again.writes, floor=0, target=0)
            yield from stages.sums("second run, reads its own writes", of)
            box.move_clock(OVERLAP.total_seconds())
            quiet = _run(opened, box, stages, AS_OF)
            yield from stages.figures("quiet run", of)
            yield Figure(what="quiet run: writes", of=of, unit="writes", value=quiet.writes, floor=0, target=0)
            streams = len(quiet.pulled)
            yield Figure(
                what="quiet run: API calls",
                of=f"{streams} streams",
                unit="calls",
                value=_counted(quiet, box),
                floor=streams + 4,
                target=streams + 2,
            )
            yield from _explained(opened)
            box.move_clock(timedelta(days=1).total_seconds())
            _run(opened, box, stages, AS_OF + timedelta(days=1))
            yield from stages.figures("next day's first run", of)


def _run(opened: Opened, box: Box, stages: Stages, as_of: datetime) -> RunReport:
    box.forget_calls()
    stages.begin()
    report = opened.run("sync", as_of=as_of)
    stages.reached("rest")
    if report.state is not RunState.SUCCEEDED:
        raise RuntimeError(f"the run did not succeed: {report.error or report.problems[:3]}")
    return report


def _counted(run: RunReport, box: Box) -> int:
    """Calls of ``run`` that are not for token, account or schema. The sandbox must have seen the same number in all."""
    made = sum(n for kinds in run.calls.values() for n in kinds.values())
    seen = sum(n for calls in box.calls().values() for n in calls.values())
    assert made == seen, (run.calls, box.calls())
    return sum(n for kinds in run.calls.values() for kind, n in kinds.items() if kind not in UNCOUNTED)


def _write_calls(report: RunReport, box: Box) -> Iterator[Figure]:
    """Calls against the fewest that batches of 100 and 200 allow, objects written apart."""
    written = Counter((crm, object) for crm, object, _ in box.written())
    for crm, batch, read, update, back in (
        (Crm.HUBSPOT, 100, 100, "POST /crm/v3/objects/contacts/batch/update", "/contacts/batch/read"),
        (Crm.SALESFORCE, 200, 300, "PATCH", "Id IN"),
    ):
        rows = [n for (c, _), n in written.items() if c == crm]
        calls = box.calls()[crm.value]
        of = f"{sum(rows):,} records"
        yield Figure(
            what=f"{crm}: write calls",
            of=of,
            unit="calls",
            value=sum(n for endpoint, n in calls.items() if endpoint.startswith(update)),
            floor=sum(ceil(n / batch) for n in rows),
        )
        if crm is Crm.HUBSPOT:
            reads = sum(n for endpoint, n in calls.items() if back in endpoint)
        else:
            reads = sum(n for kind, n in report.calls[crm].items() if kind.startswith("read "))
        yield Figure(
            what=f"{crm}: owner, status and lifecycle read before writing",
            of=of,
            unit="calls",
            value=reads,
            floor=sum(ceil(n / read) for n in rows),
        )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _explained(opened: Opened) -> Iterator[Figure]:
    """The page of one person, as the command and a console would make it, once everything is warm."""
    with opened.parts.store.read() as tx:
        who = tx.exec_driver_sql("SELECT person_id FROM decision ORDER BY person_id LIMIT 1").scalar_one()
    explanation(opened.parts, who)
    lines, wall, _ = timed(lambda: list(explanation(opened.parts, who).lines()))
    assert lines
    yield Figure(
        what="one person explained, warm", of="1 person", unit="ms wall", value=wall * 1e3, floor=150, target=50
    )


def demo(sizes: Sizes) -> Iterator[Figure]:
    """The command itself, in a fresh process and an empty directory: both CRMs, set-up, plan and two runs."""
    of = f"{sizes.demo_people:,} people"
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        _mqlsync("demo", "--people", str(sizes.demo_people), cwd=folder)
        whole = perf_counter() - began
        rows = _run_times(Path(folder) / "demo" / "state" / "mqlsync.db")
    yield Figure(what="mqlsync demo: both runs together", of=of, unit="wall s", value=sum(rows), floor=30)
    yield Figure(what="mqlsync demo: all of it, CRMs, set-up and plan included", of=of, unit="wall s", value=whole)


def _run_times(store: Path) -> list[float]:
    """Seconds of each run that was not the plan."""
    with sqlite3.connect(store) as connection:
        found = connection.execute("SELECT started_at, finished_at FROM job_run WHERE trigger <> 'plan'").fetchall()
    connection.close()
    assert len(found) == 2
    return [(datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() for start, end in found]


def command_line(sizes: Sizes) -> Iterator[Figure]:
    for _ in range(2):  # the second time nothing is read from the disk
        began = perf_counter()
        _mqlsync("--help")
        wall = perf_counter() - began
    yield Figure(what="mqlsync --help", of="1 process", unit="wall s", value=wall, floor=0.6, target=0.3)


def _mqlsync(*arguments: str, cwd: str | None = None) -> None:
    """As installed: the script beside the interpreter."""
    command = [str(Path(sys.executable).with_name("mqlsync")), *arguments]
    subprocess.run(command, cwd=cwd, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, check=True)
