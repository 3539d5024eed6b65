"""A report that is read at a terminal or in a browser: the same tables and bars in both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

__all__ = ["Bars", "Report", "Table", "as_html", "as_text", "bar"]

WIDTH = 30
"""Characters of the longest bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``rows`` under ``head``; ``note`` stands below, without any rows alone."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """For each label two numbers, called as ``names`` say."""

    title: str
    names: tuple[str, str]
    rows: tuple[tuple[str, int, int], ...]

    @property
    def most(self) -> int:
        return max((n for _, *both in self.rows for n in both), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``lead``: what to know first, a line each."""

    title: str
    lead: tuple[str, ...]
    parts: tuple[Table | Bars, ...]


def bar(n: int, most: int, width: int = WIDTH) -> str:
    """A bar of plain characters: ``width`` for ``most``, none for 0, and never none for more than 0."""
    return "#" * max(round(n * width / most), n > 0) if most else ""


def as_text(report: Report) -> Iterator[str]:
    yield report.title
    yield from report.lead
    for part in report.parts:
        yield ""
        yield part.title
        yield from _table(part) if isinstance(part, Table) else _bars(part)


def _table(table: Table) -> Iterator[str]:
    if table.rows:
        widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
        for row in (table.head, *table.rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield f"  {'  '.join(cells)}".rstrip()
    if table.note:
        yield f"  {table.note}"


def _bars(bars: Bars) -> Iterator[str]:
    labels = max((len(label) for label, _, _ in bars.rows), default=0)
    names = max(map(len, bars.names))
    for label, *both in bars.rows:
        for shown, name, n in zip((label, ""), bars.names, both, strict=True):
            yield f"  {shown:>{labels}}  {name:<{names}}  {bar(n, bars.most)} {n:,}".rstrip()


@cache
def _pages() -> Environment:
    loader = PackageLoader("sync", "templates")
    return Environment(loader=loader, autoescape=select_autoescape(default=True), undefined=StrictUndefined)


def as_html(report: Report) -> str:
    """A page of its own: no script, no network, readable without colours."""
    return _pages().get_template("report.html").render(report=report)
