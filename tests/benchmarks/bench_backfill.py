"""A first load: how near it comes to what its calls alone take, and how much of everybody it holds in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from sync.compose import load, open_parts
from tests.benchmarks.bench_connectors import LATENCY, UNPACED
from tests.benchmarks.bench_engine import alone
from tests.benchmarks.figures import Figure, Sizes, peak_memory, timed
from tests.benchmarks.scene import AS_OF, install, sandbox

JOB = ("jobs:\n", "jobs:\n  load: {do: [pull]}\n")


def backfill(sizes: Sizes) -> Iterator[Figure]:
    """Into a new store, both CRMs side by side: at a distance, then all at once."""
    some, many = sizes.scored // 2, sizes.many_scored or sizes.scored
    wall, _, _, longest = _alone(some, LATENCY)
    of = f"{some:,} people, {LATENCY * 1e3:.0f} ms a call"
    what = "first load: of what the calls to one CRM take"
    yield Figure(what=what, of=of, unit="x wall", value=wall / (longest * LATENCY), floor=1.1)
    wall, cpu, peak, _ = _alone(many, 0.0)
    of = f"{many:,} people, at once"
    yield Figure(what="first load", of=of, unit="wall s", value=wall)
    yield Figure(what="first load", of=of, unit="CPU s", value=cpu)
    yield Figure(what="first load: peak memory", of=of, unit="MB", value=peak, floor=400)


def _alone(people: int, delay: float) -> tuple[float, float, float, int]:
    return cast("tuple[float, float, float, int]", alone(_loaded, people, delay))


def _loaded(people: int, delay: float) -> tuple[float, float, float, int]:
    """Seconds of wall and CPU, the most memory in MB, and the calls to the CRM that was called more often."""
    with sandbox(people) as box, tempfile.TemporaryDirectory() as folder:
        config = install(Path(folder), box)
        settings = config / "mqlsync.yaml"
        text = settings.read_text(encoding="utf-8")
        for old, new in (JOB, UNPACED):
            assert old in text
            text = text.replace(old, new)
        settings.write_text(text, encoding="utf-8")
        with open_parts(load(config, environment=box.environment), level="error") as opened:
            if delay:
                box.delay(delay)
            report, wall, cpu = timed(lambda: opened.run("load", as_of=AS_OF))
            assert report.exit_code == 0, report.error
            calls = [sum(connector.calls.values()) for connector in opened.parts.connectors.values()]
    return wall, cpu, peak_memory(), max(calls)
