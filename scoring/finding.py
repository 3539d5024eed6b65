"""A warning about a policy at its place, and the few words findings have in common."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from scoring.conditions import Span, Unit
from scoring.document import Node, Problem
from scoring.tables import MICRO

__all__ = ["days", "fewest_days", "key_places", "points", "warning"]


def warning(code: str, node: Node, message: str, *, at: Node | None = None) -> Problem:
    """The path is that of ``node``, the place that of ``at`` where it is narrower."""
    place = at or node
    return Problem(
        file=place.file,
        line=place.line,
        col=place.col,
        path=node.path,
        message=f"{code}: {message}",
        warning=True,
        code=code,
    )


def points(micro: int) -> str:
    return f"{(Decimal(micro) / MICRO).normalize():f}"


def key_places(node: Node) -> Mapping[str, Node]:
    """Where each key of a mapping stands."""
    return {entry.key: entry.name for entry in node.entries}


def days(span: Span) -> int:
    """The most days a span can have: a month counts with its 31 days, as no finding may depend on the month."""
    return span.n * (1 if span.unit is Unit.DAY else 31)


def fewest_days(span: Span) -> int:
    return span.n * (1 if span.unit is Unit.DAY else 28)
