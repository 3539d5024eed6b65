"""Who needs no decision: people of whom nothing has moved since the last one, found in bulk.

On the first run of a day everybody is scored, and for most of them the answer is yesterday's. They are told apart by
comparing columns, before a single one is made into an object: whoever is in any doubt is decided in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Connection, and_, or_, select, union, update

from scoring.episodes import Status
from scoring.policy import Policy, Result
from sync.resolve import Role
from sync.store import schema
from sync.store.columns import read_columns
from sync.store.decisions import save_people
from sync.store.refs import PART

__all__ = ["QUIET", "Quiet", "QuietPeople", "note_drifted", "note_scored"]

QUIET = (Status.NOT_YET, Status.SUPPRESSED, Status.WITH_SALES)
"""Statuses that follow from scorecard and facts alone: no episode is open, no wait is under way."""

FEW = 3
"""Fewer than one in so many are asked for by their ids; else everybody between them is read."""

_LABELS = ("grade", "model")
_SCORES: Mapping[str, Result] = {"fit": Result.FIT, "engagement": Result.ENGAGEMENT, "total": Result.TOTAL}
_COLUMNS = ("person_id", "status", "reason", *_LABELS, *_SCORES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """The people of a table of scorecards who stay as they are, and the scorecards of everybody else.

    ids      of those who stay, and ``others`` of those between them whose stored status may have stayed but did not
    drifted  who of them has other numbers than stored: too little moved for a CRM to be told
    """

    ids: pa.Array
    others: pa.Array
    statuses: Mapping[str, int]
    drifted: pa.Table
    rest: pa.Table


@dataclass(slots=True, kw_only=True)
class QuietPeople:
    """Looks for them under one policy, in one transaction.

    A person is quiet when nobody marked them as dirty, no record of theirs is ambiguous, no row waits in the outbox, no
    episode is open, the scorecard leads to the stored status, and every number is less than ``score_step`` away from
    what each of their records was confirmed to show. Values that people changed in a CRM need no look: they would have
    marked the person.
    """

    policy: Policy
    _busy: pa.Array | None = field(default=None)

    def among(self, tx: Connection, table: pa.Table) -> Quiet:
        """Of a table of scorecards in the order of person ids, from which nobody between its ends is left out."""
        stored = known = self._stored(tx, table["person_id"][0].as_py(), table["person_id"][-1].as_py())
        place = pc.index_in(table["person_id"], value_set=known["person_id"]).combine_chunks()
        known = known.take(place)
        stays = self._stay(table, known)
        stays = pc.and_(stays, pc.invert(pc.is_in(table["person_id"], value_set=self._those_with_work(tx))))
        moved = pc.and_(stays, pc.invert(_all_equal(table, known, _SCORES)))
        if pc.any(moved).as_py():
            told = self._to_be_told(tx, table.filter(moved), few=pc.sum(moved).as_py() * FEW < table.num_rows)
            stays = pc.and_(stays, pc.invert(pc.is_in(table["person_id"], value_set=told)))
            moved = pc.and_(stays, moved)
        counted = pc.value_counts(known["status"].filter(stays))
        ids = table["person_id"].filter(stays).combine_chunks()
        return Quiet(
            ids=ids,
            others=stored["person_id"].filter(pc.invert(pc.is_in(stored["person_id"], value_set=ids))).combine_chunks(),
            statuses={one["values"].as_py(): one["counts"].as_py() for one in counted},
            drifted=table.select(["person_id", *_SCORES]).filter(moved),
            rest=table.filter(pc.invert(stays)),
        )

    def _to_be_told(self, tx: Connection, table: pa.Table, *, few: bool) -> pa.Array:
        """Whose numbers are too far from what some record of theirs shows, or may be: nothing was confirmed of it.

        ``few`` of the people between the first and the last of the table are in it.
        """
        ids = table["person_id"].combine_chunks()
        found = [pa.array([], pa.string())]
        for (conn, object), properties in self.policy.write.properties.items():
            shown = {name: properties[result] for name, result in _SCORES.items() if result in properties}
            if not shown:
                continue
            acked = _confirmed(tx, conn, object, shown, ids, few=few)
            place = pc.index_in(acked["person_id"], value_set=table["person_id"])
            acked, place = acked.filter(pc.is_valid(place)), pc.drop_null(place)
            near: Any = True
            for name in shown:
                far = pc.abs(pc.subtract(table[name].take(place), acked[name]))
                near = pc.and_(pc.fill_null(pc.less(far, self.policy.write.score_step), False), near)
            found.append(acked["person_id"].filter(pc.invert(near)).combine_chunks())
        return pa.concat_arrays(found)

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
        return pc.and_(pc.fill_null(alike, False), _all_equal(table, known, _LABELS))

    def _stored(self, tx: Connection, first: str, last: str) -> pa.Table:
        return read_columns(tx, [schema.person.c[name] for name in _COLUMNS], _may_be_quiet(first, last))

    def _those_with_work(self, tx: Connection) -> pa.Array:
        if self._busy is None:
            e, o = schema.episode.c, schema.outbox.c
            found = tx.execute(union(select(e.person_id).where(e.closed_at.is_(None)), select(o.person_id)))
            self._busy = pa.array(found.scalars().all(), pa.string())
        return self._busy


def _all_equal(table: pa.Table, known: pa.Table, names: Iterable[str]) -> Any:
    equal: Any = True
    for name in names:
        equal = pc.and_(pc.fill_null(pc.equal(table[name], known[name]), False), equal)
    return equal


def _confirmed(
    tx: Connection, conn: str, object: str, shown: Mapping[str, str], people: pa.Array, *, few: bool
) -> pa.Table:
    """What each record that is written shows: ``person_id`` and a column a number, NULL where none was confirmed.

    Of these people; unless they are ``few``, of everybody between the first and the last of them.
    """
    l, a = schema.link.c, schema.acked.c  # noqa: E741  # as in the query's aliases
    joined = schema.link.outerjoin(schema.acked, and_(a.conn == l.conn, a.object == l.object, a.id == l.id))
    # As expressions, not as columns of the primary key: SQLite would go through all records of the object, each time.
    of = and_(l.conn.concat("") == conn, l.object.concat("") == object, l.role == Role.TARGET)
    wanted = [l.person_id, *(a.fields[prop].as_string().label(name) for name, prop in shown.items())]
    whose: list[ColumnElement[bool]]
    if few:
        whose = [l.person_id.in_(people.slice(start, PART).to_pylist()) for start in range(0, len(people), PART)]
    else:
        whose = [and_(l.person_id >= people[0].as_py(), l.person_id <= people[-1].as_py())]
    found = pa.concat_tables(read_columns(tx, wanted, and_(of, some), of=joined) for some in whose)
    whole = {name: pa.chunked_array([_whole(each) for each in found[name].chunks], pa.int64()) for name in shown}
    return pa.table({"person_id": found["person_id"]} | whole)


def _whole(texts: pa.Array) -> pa.Array:
    """Scores are written as whole numbers; whatever else stands there is not ours and becomes NULL."""
    whole = pc.match_substring_regex(texts, "^-?[0-9]{1,18}$")
    return pc.if_else(whole, texts, pa.scalar(None, pa.string())).cast(pa.int64())


def _may_be_quiet(first: str, last: str) -> Any:
    p = schema.person.c
    return and_(
        p.person_id >= first, p.person_id <= last, p.dirty.is_(None), p.ambiguous.is_(False), p.status.in_(QUIET)
    )


def note_drifted(tx: Connection, quiet: Quiet) -> None:
    """These people have other numbers."""
    save_people(tx, quiet.drifted.to_pylist())


def note_scored(tx: Connection, quiet: Quiet, *, day: str, version: str) -> None:
    """The numbers of these people are those of this day and policy version.

    One statement for all between the first and the last of them, but where too many there are others.
    """
    p = schema.person.c
    moved = or_(p.scored_day.is_distinct_from(day), p.policy_version.is_distinct_from(version))
    noted = update(schema.person).values(scored_day=day, policy_version=version).where(moved)
    if len(quiet.others) <= PART < len(quiet.ids):
        between = _may_be_quiet(quiet.ids[0].as_py(), quiet.ids[-1].as_py())
        tx.execute(noted.where(between, p.person_id.not_in(quiet.others.to_pylist())))
    else:
        for start in range(0, len(quiet.ids), PART):
            tx.execute(noted.where(p.person_id.in_(quiet.ids.slice(start, PART).to_pylist())))
