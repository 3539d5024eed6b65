"""Figures of one round, rows of several, and the table they are shown in."""

from __future__ import annotations

import re
import resource
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    records: int
    people: int
    demo_people: int
    scored: int
    many_scored: int
    most_scored: int
    repeats: int
    busy: float


FULL = Sizes(
    records=12_000,
    people=10_000,
    demo_people=2_000,
    scored=100_000,
    many_scored=1_000_000,
    most_scored=10_000_000,
    repeats=9,
    busy=51.0,
)
QUICK = Sizes(
    records=1_500,
    people=400,
    demo_people=200,
    scored=10_000,
    many_scored=0,
    most_scored=100_000,
    repeats=2,
    busy=3.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One thing measured once.

    floor, target  what it should reach, in its unit; ``more`` says that more is better
    """

    what: str
    of: str
    unit: str
    value: float
    floor: float | None = None
    target: float | None = None
    more: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The same thing in several rounds. ``loads``: the machine's load average before each."""

    first: Figure
    values: tuple[float, ...]
    loads: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def mark(self) -> str:
        """Nothing fails because of it: a busy machine is slow, and calls are asserted by the test suite."""
        if self._reaches(self.first.target):
            return "target"
        if self._reaches(self.first.floor):
            return "ok"
        return "" if self.first.floor is None and self.first.target is None else "below floor"

    def _reaches(self, bound: float | None) -> bool:
        if bound is None:
            return False
        return self.median >= bound if self.first.more else self.median <= bound


class Rows:
    """Collects figures by what they are of, in the order they first came."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], list[tuple[Figure, float]]] = {}

    def add(self, figures: Iterable[Figure], load: float) -> None:
        for figure in figures:
            self._found.setdefault((figure.what, figure.of, figure.unit), []).append((figure, load))

    def __iter__(self) -> Iterable[Row]:  # type: ignore[override]  # a generator is one
        for found in self._found.values():
            yield Row(
                first=found[0][0],
                values=tuple(figure.value for figure, _ in found),
                loads=tuple(load for _, load in found),
            )


HEADS = ("what", "of", "n", "median", "from", "to", "unit", "floor", "target", "mark", "load")


def cells(row: Row) -> tuple[str, ...]:
    first = row.first
    return (
        first.what,
        first.of,
        str(len(row.values)),
        number(row.median),
        number(min(row.values)),
        number(max(row.values)),
        first.unit,
        "" if first.floor is None else number(first.floor),
        "" if first.target is None else number(first.target),
        row.mark,
        f"{statistics.median(row.loads):.1f}",
    )


def table(rows: Sequence[Row], *, markdown: bool) -> str:
    """All rows, in aligned columns or as a Markdown table."""
    lines = [HEADS, *(cells(row) for row in rows)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(HEADS))]
    left = {0, 1, 6, 9}

    def aligned(line: Sequence[str]) -> list[str]:
        return [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]

    if not markdown:
        return "\n".join("  ".join(aligned(line)).rstrip() for line in lines)
    rule = ["-" * width if i in left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (aligned(HEADS), rule, *map(aligned, lines[1:])))


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    for bound, digits in ((100, 0), (10, 1), (1, 2), (0.1, 3)):
        if abs(value) >= bound:
            return f"{value:,.{digits}f}"
    return f"{value:.4f}"


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """What ``work`` returns, seconds of wall, seconds of this process's CPU (all its threads)."""
    wall, cpu = perf_counter(), process_time()
    result = work()
    return result, perf_counter() - wall, process_time() - cpu


def peak_memory() -> float:
    """The most memory this process has had, in MB.

    Not ``ru_maxrss`` where it can be helped: that one begins with what the process had that started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
    assert found is not None
    return int(found[1]) / 1024
