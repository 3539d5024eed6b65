"""What of the CRMs could not be read, row or value: each is told once, however often it is read again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from connectors.records import RecordProblem
from sync.store import schema

__all__ = ["known_problems", "note_problems"]

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
