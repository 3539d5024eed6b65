"""What of the CRMs could not be read, row or value: each is told once, however often it is read again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from connectors.records import RecordProblem
from sync.store import schema

__all__ = ["known_problems", "note_problems", "untold_doubts"]

UNREADABLE = "row not read"

Known = set[tuple[str, str, str]]
"""(record, field, reason) of each that was told."""


def known_problems(tx: Connection) -> Known:
    """All that were told so far."""
    bodies = tx.execute(select(schema.audit.c.body).where(schema.audit.c.what == UNREADABLE)).scalars()
    return {(body["record"], body["field"], body["reason"]) for body in bodies}


def note_problems(
    tx: Connection, problems: Sequence[RecordProblem], known: Known, *, at: datetime
) -> list[RecordProblem]:
    """Remember these, in the given transaction and in ``known``; return those that are new."""
    new: list[RecordProblem] = []
    rows = []
    for problem in problems:
        key = (str(problem.ref), problem.field, problem.reason)
        if key not in known:
            known.add(key)
            new.append(problem)
            body = dict(zip(("record", "field", "reason"), key, strict=True))
            rows.append({"at": at, "who": "pull", "what": UNREADABLE, "body": body})
    if rows:
        tx.execute(schema.audit.insert(), rows)
    return new


def untold_doubts(doubts: Sequence[RecordProblem], known: Known) -> list[RecordProblem]:
    """The first record with each doubt that was told of no record so far: a renamed value is in thousands of them."""
    told = {(field, reason) for _, field, reason in known} if doubts else set()
    first: dict[tuple[str, str], RecordProblem] = {}
    for doubt in doubts:
        if (doubt.field, doubt.reason) not in told:
            first.setdefault((doubt.field, doubt.reason), doubt)
    return list(first.values())
