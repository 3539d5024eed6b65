"""Rows of a listing that cannot be read: each is told of, and stops none of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from connectors.left_out import left_out
from connectors.records import Crm, RecordProblem

__all__ = ["readable", "text_in"]

T = TypeVar("T")


def readable(
    what: str, rows: Iterable[Any], read: Callable[[Any], T], *, named: str = "Id"
) -> tuple[list[T], tuple[RecordProblem, ...]]:
    """What ``read`` makes of the rows, and a problem for each that it cannot read.

    ``what`` is a word for one of them, ``named`` the field with its name.
    """
    found: list[T] = []
    problems: list[RecordProblem] = []
    for row in rows:
        try:
            found.append(read(row))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            name = row.get(named) if isinstance(row, Mapping) else None
            why = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
            problems.append(left_out(Crm.SALESFORCE, what, name if isinstance(name, str) else "", why))
    return found, tuple(problems)


def text_in(row: Mapping[str, Any], name: str) -> str:
    """A field that holds text or nothing. ValueError for anything else, and for what is no row."""
    if not isinstance(row, Mapping):
        raise ValueError("it is no record")
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value
