"""Measure, and print the table.

    python -m tests.benchmarks [--quick] [--only NAME ...] [--rounds N] [--markdown]

Each task runs in a process of its own, a few rounds, tasks taking turns; the sandbox is a further process, so that CPU
is the client's alone. Before each task the machine's load is noted, and a fixed piece of plain Python is timed: its
wall over its CPU says how long others kept it waiting. Figures below their floor are marked and nothing else happens.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from types import MappingProxyType

from tests.benchmarks import (
    bench_backfill,
    bench_connectors,
    bench_decide,
    bench_engagement,
    bench_engine,
    bench_routing,
    bench_runs,
    bench_spark,
    bench_store,
    bench_trials,
)
from tests.benchmarks.figures import FULL, QUICK, Figure, Rows, Sizes, table, timed

Task = Callable[[Sizes], Iterator[Figure]]

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "demo": bench_runs.demo,
        "runs": bench_runs.runs,
        "hubspot": bench_connectors.hubspot,
        "latency": bench_connectors.latency,
        "engagement": bench_engagement.hubspot,
        "quota": bench_connectors.quota,
        "salesforce": bench_connectors.salesforce,
        "backfill": bench_backfill.backfill,
        "store": bench_store.upsert,
        "increment": bench_store.increment,
        "scoring": bench_engine.scoring,
        "scoring-1m": bench_engine.scoring_many,
        "rescoring": bench_engine.rescoring,
        "scoring-10m": bench_engine.most,
        "spark": bench_spark.on_spark,
        "decide": bench_decide.nothing_changed,
        "routing": bench_routing.routing,
        "trials": bench_trials.trials,
        "help": bench_runs.command_line,
    }
)

ONLY_BY_NAME = frozenset({"backfill", "increment", "scoring-10m"})
"""Tasks that take so long, or so much disk, that they are not part of everything."""


def main() -> int:
    asked = _parser().parse_args()
    if asked.task is not None:
        print(json.dumps([figure.as_json() for figure in TASKS[asked.task](QUICK if asked.quick else FULL)]))  # noqa: T201
        return 0
    names = asked.only or [name for name in TASKS if name not in ONLY_BY_NAME]
    rows, waits, began = Rows(), [], perf_counter()
    rounds = asked.rounds or (1 if asked.quick else 3)
    for turn in range(rounds):
        for name in names:
            print(f"round {turn + 1} of {rounds}: {name}", file=sys.stderr)  # noqa: T201
            waits.append(_waiting())
            load = os.getloadavg()[0]
            rows.add(_measured(name, quick=asked.quick), load)
    print(table(list(rows), markdown=asked.markdown))  # noqa: T201
    if asked.quick:
        print("\nSmall sizes: fixed costs weigh more than floors and targets allow for.")  # noqa: T201
    print(  # noqa: T201
        f"\n{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}; "
        f"{rounds} rounds in {perf_counter() - began:,.0f} s; plain Python took {statistics.median(waits):.2f} "
        f"(at most {max(waits):.2f}) times its CPU in wall time."
    )
    return 0


def _measured(name: str, *, quick: bool) -> list[Figure]:
    command = [sys.executable, "-m", "tests.benchmarks", "--task", name, *(["--quick"] if quick else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [Figure(**fields) for fields in json.loads(done.stdout.splitlines()[-1])]


def _waiting() -> float:
    """Wall over CPU of a fixed piece of plain Python; 1.0 on an idle machine."""
    _, wall, cpu = timed(lambda: sum(i * i for i in range(2_000_000)))
    return wall / cpu


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: about a minute")
    parser.add_argument("--only", action="append", choices=list(TASKS), metavar="NAME", help=", ".join(TASKS))
    parser.add_argument("--rounds", type=int, default=None, help="default 3, with --quick 1")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/performance.md")
    parser.add_argument("--task", choices=list(TASKS), default=None, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
