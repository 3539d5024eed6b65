"""Who needs no decision: people of whom nothing has moved since the last one, found in bulk.

On the first run of a day everybody is scored, and for most of them the answer is yesterday's. They are told apart by
comparing columns, before a single one is made into an object: whoever is in any doubt is decided in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, and_, or_, select, union, update

from scoring.policy import Policy
from scoring.qualify import Status
from sync.store import schema
from sync.store.refs import PART

__all__ = ["QUIET", "Quiet", "QuietPeople"]

QUIET = (Status.NOT_YET, Status.SUPPRESSED, Status.WITH_SALES)
"""Statuses that follow from scorecard and facts alone: no episode is open, no wait is under way."""

_NUMBERS = ("fit", "engagement", "total", "grade", "model")
_COLUMNS = ("person_id", "status", "reason", *_NUMBERS)
_TYPES = {"fit": pa.int64(), "engagement": pa.int64(), "total": pa.int64()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """The people of a table of scorecards who stay as they are, and the rows of everybody else.

    ids  sorted
    """

    ids: pa.Array
    statuses: Mapping[str, int]
    rest: pa.Table


@dataclass(slots=True, kw_only=True)
class QuietPeople:
    """Looks for them under one policy, in one transaction.

    A person is quiet when nobody marked them as dirty, no record of theirs is ambiguous, no row waits in the outbox, no
    episode is open, and status and numbers are those that the scorecard leads to. The CRMs' own values need no look:
    one that moved would have marked the person.
    """

    policy: Policy
    _busy: pa.Array | None = field(default=None)

    def among(self, tx: Connection, table: pa.Table) -> Quiet:
        """Of a table of scorecards in the order of person ids, from which nobody between its ends is left out."""
        known = self._stored(tx, table["person_id"][0].as_py(), table["person_id"][-1].as_py())
        place = pc.index_in(table["person_id"], value_set=known["person_id"]).combine_chunks()
        stays = self._stay(table, known.take(place))
        stays = pc.and_(stays, pc.invert(pc.is_in(table["person_id"], value_set=self._those_with_work(tx))))
        quiet = table.select(["person_id"]).filter(stays)
        counted = pc.value_counts(known["status"].take(place).filter(stays))
        return Quiet(
            ids=quiet["person_id"].combine_chunks(),
            statuses={one["values"].as_py(): one["counts"].as_py() for one in counted},
            rest=table.filter(pc.invert(stays)),
        )

    def _stay(self, table: pa.Table, known: pa.Table) -> pa.ChunkedArray:
        """Whether the decision would be the stored one. Who is not stored as quiet has no row and does not stay."""
        status, none = known["status"], pc.is_null(table["suppressed"])
        nobody = pc.and_(none, pc.is_null(known["reason"]))
        closed = pc.and_(nobody, pc.equal(table["lines"], 0))
        if self.policy.nurture is not None and self.policy.nurture.near_within is not None:
            # Near is a matter of points that are short, which only the full decision counts.
            closed = pc.and_(closed, pc.equal(table["reach"], 0))
        alike = pc.or_kleene(
            pc.and_kleene(pc.equal(status, Status.SUPPRESSED), pc.equal(known["reason"], table["suppressed"])),
            pc.or_kleene(
                pc.and_kleene(pc.equal(status, Status.WITH_SALES), nobody),
                pc.and_kleene(pc.equal(status, Status.NOT_YET), closed),
            ),
        )
        for name in _NUMBERS:
            alike = pc.and_kleene(alike, pc.equal(table[name], known[name]))
        return pc.fill_null(alike, False)

    def _stored(self, tx: Connection, first: str, last: str) -> pa.Table:
        p = schema.person.c
        found = tx.execute(select(*(p[name] for name in _COLUMNS)).where(_may_be_quiet(first, last))).all()
        columns: Any = zip(*found, strict=True) if found else [()] * len(_COLUMNS)
        return pa.table(
            {
                name: pa.array(column, _TYPES.get(name, pa.string()))
                for name, column in zip(_COLUMNS, columns, strict=True)
            }
        )

    def _those_with_work(self, tx: Connection) -> pa.Array:
        if self._busy is None:
            e, o = schema.episode.c, schema.outbox.c
            found = tx.execute(union(select(e.person_id).where(e.closed_at.is_(None)), select(o.person_id)))
            self._busy = pa.array(found.scalars().all(), pa.string())
        return self._busy


def _may_be_quiet(first: str, last: str) -> Any:
    p = schema.person.c
    return and_(
        p.person_id >= first, p.person_id <= last, p.dirty.is_(None), p.ambiguous.is_(False), p.status.in_(QUIET)
    )


def note_scored(tx: Connection, quiet: Quiet, *, day: str, version: str) -> None:
    """The stored numbers of these people are those of this day and policy version too: one statement a thousand."""
    p = schema.person.c
    moved = or_(p.scored_day.is_distinct_from(day), p.policy_version.is_distinct_from(version))
    noted = update(schema.person).values(scored_day=day, policy_version=version)
    for start in range(0, len(quiet.ids), PART):
        part = quiet.ids.slice(start, PART).to_pylist()
        tx.execute(noted.where(p.person_id.in_(part), moved))
