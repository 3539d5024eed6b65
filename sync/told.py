"""What each CRM has confirmed of a decision, which of them has not, why, and when that is tried again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, select

from connectors.records import Crm, RecordRef
from sync.store import schema
from sync.store.outbox import RETRY_DEAD_AFTER, TASK, RowState

__all__ = ["Side", "Told", "sides", "told_lines", "waiting_by_crm"]


class Told(StrEnum):
    """How far one record, or the task, has come."""

    CONFIRMED = "confirmed"
    WAITS = "waits"
    UNANSWERED = "unanswered"
    REFUSED = "refused"
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One record of a person, or their follow-up task.

    lacking   property -> what was decided and is not confirmed; of a task nothing is listed
    at        when the newest was confirmed, was sent without an answer, or was refused
    next_try  when at the latest a run tries again; None: the next run
    """

    ref: RecordRef
    told: Told
    lacking: Mapping[str, str | None] = field(default_factory=dict)
    at: datetime | None = None
    next_try: datetime | None = None
    code: str | None = None
    reason: str | None = None
    attempts: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "crm": self.ref.crm,
            "record": str(self.ref),
            "told": self.told,
            "lacking": dict(self.lacking),
            "at": self.at,
            "next_try": self.next_try,
            "code": self.code,
            "reason": self.reason,
            "attempts": self.attempts,
        }

    def __str__(self) -> str:
        what = "the follow-up task" if self.ref.object == TASK else f"{self.ref.object} {self.ref.id}"
        lacking = f" {', '.join(sorted(self.lacking))}" if self.lacking else ""
        match self.told:
            case Told.CONFIRMED:
                return f"{self.ref.crm} has confirmed {what}" + (f", last on {_moment(self.at)}" if self.at else "")
            case Told.WAITS:
                when = f"not before {_moment(self.next_try)}" if self.next_try else "by the next run"
                return f"{self.ref.crm} has yet to be told{lacking} of {what}: sent {when}"
            case Told.UNANSWERED:
                return f"{self.ref.crm} has not answered for{lacking} of {what}: the next run reads what stands there"
            case Told.REFUSED:
                again = f"tried again on {_moment(self.next_try)}, or once the policy or the property changes"
                return f"{self.ref.crm} refused{lacking} of {what} ({self.code}: {self.reason}); {again}"
            case Told.LEFT:
                return f"{self.ref.crm} shows something else as{lacking} of {what}, which is left as it is"


def sides(tx: Connection, refs: Sequence[RecordRef], task_key: str | None = None) -> list[Side]:
    """How far each of these records has come, in their order, and after them the task with this key."""
    found = [_side(tx, ref) for ref in refs]
    tasks = [_side(tx, RecordRef(crm=crm, object=TASK, id=task_key)) for crm in Crm] if task_key is not None else []
    return [side for side in (*found, *tasks) if side is not None]


def _side(tx: Connection, ref: RecordRef) -> Side | None:
    """None: nothing was ever decided of it."""
    wanted = tx.execute(select(schema.desired.c.fields).where(_is(schema.desired, ref))).scalar_one_or_none()
    acked = tx.execute(select(schema.acked).where(_is(schema.acked, ref))).first()
    row = tx.execute(select(schema.outbox).where(_is(schema.outbox, ref)).order_by(schema.outbox.c.seq.desc())).first()
    confirmed = dict(acked.fields) if acked is not None else {}
    lacking = {
        name: value for name, value in (wanted or {}).items() if name not in confirmed or confirmed[name] != value
    }
    if row is not None:
        sent = set(row.fields) if ref.object != TASK else set()
        lacking = {name: value for name, value in lacking.items() if name in sent}
        return _open(ref, row, lacking)
    if acked is None and wanted is None:
        return None
    if lacking:
        return Side(ref=ref, told=Told.LEFT, lacking=lacking)
    return Side(ref=ref, told=Told.CONFIRMED, at=acked.at if acked is not None else None)


def _open(ref: RecordRef, row: Any, lacking: Mapping[str, str | None]) -> Side:
    why = {"code": row.error_code, "reason": row.error, "attempts": row.attempts}
    match RowState(row.state):
        case RowState.PENDING:
            return Side(ref=ref, told=Told.WAITS, lacking=lacking, next_try=row.not_before, **why)
        case RowState.INFLIGHT:
            return Side(ref=ref, told=Told.UNANSWERED, lacking=lacking, at=row.sent_at, **why)
        case RowState.DEAD:
            again = row.dead_at + RETRY_DEAD_AFTER
            return Side(ref=ref, told=Told.REFUSED, lacking=lacking, at=row.dead_at, next_try=again, **why)


def waiting_by_crm(tx: Connection) -> dict[str, dict[str, Any]]:
    """CRM -> how many rows wait, have no answer, were refused; and when the next of those that rest is tried again."""
    o = schema.outbox.c
    counted = select(o.conn, o.state, func.count().label("n")).group_by(o.conn, o.state)
    told: dict[str, dict[str, Any]] = {}
    names = {RowState.PENDING: "pending", RowState.INFLIGHT: "unanswered", RowState.DEAD: "refused"}
    for row in tx.execute(counted):
        one = told.setdefault(row.conn, {**dict.fromkeys(names.values(), 0), "next_try": None})
        one[names[RowState(row.state)]] = row.n
    for state, since, rest in (
        (RowState.PENDING, o.not_before, timedelta(0)),
        (RowState.DEAD, o.dead_at, RETRY_DEAD_AFTER),
    ):
        first = select(o.conn, func.min(since).label("since")).where(o.state == state, since.is_not(None))
        for row in tx.execute(first.group_by(o.conn)):
            one = told[row.conn]
            again = row.since + rest
            one["next_try"] = again if one["next_try"] is None else min(again, one["next_try"])
    return told


def told_lines(told: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """`waiting_by_crm` in words, a line a CRM."""
    for crm, one in sorted(told.items()):
        again = f"; the first of those that rest on {_moment(one['next_try'])}" if one["next_try"] else ""
        waits = f"{one['pending']} to send, {one['unanswered']} without an answer, {one['refused']} refused"
        yield f"  {crm}: {waits}{again}"


def _is(table: Any, ref: RecordRef) -> Any:
    return (table.c.conn == ref.crm) & (table.c.object == ref.object) & (table.c.id == ref.id)


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at is not None else "no known moment"
