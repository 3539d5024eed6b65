"""A rep leaves: whoever is theirs is given to others by the rules, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from scoring.policy import Route, Target, TargetKind
from scoring.tables import people_row
from sync.assign import Waiting
from sync.decide import Decider
from sync.explain import facts_now
from sync.run import LeaseHeld, Parts, owner_directory
from sync.store import decisions, runs, schema
from sync.store import routing as routing_store
from sync.store.decisions import PersonState
from sync.store.runs import HeldElsewhere

__all__ = ["CannotRebalance", "Moved", "Rebalanced", "Stays", "rebalance"]


class CannotRebalance(Exception):
    """What was asked for is not in team.yaml. Nothing was changed."""


class _DryRun(Exception):
    """Everything was decided and is now forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """``to``: the new owner key; ``why``: the rule."""

    person_id: str
    name: str
    to: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stays:
    """Who is still the rep's, and why."""

    person_id: str
    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalanced:
    """``queued``: records whose owner the next run writes."""

    rep: str
    as_of: datetime
    moved: tuple[Moved, ...] = ()
    stays: tuple[Stays, ...] = ()
    queued: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "rep": self.rep,
            "as_of": self.as_of,
            "moved": [{name: getattr(one, name) for name in Moved.__slots__} for one in self.moved],
            "stays": [{name: getattr(one, name) for name in Stays.__slots__} for one in self.stays],
            "queued": self.queued,
        }

    def lines(self) -> Iterator[str]:
        for one in self.moved:
            yield f"{one.name}: to {one.to.partition(':')[2]}, by {one.why!r}"
        for kept in self.stays:
            yield f"{kept.name}: stays with {self.rep}, {kept.why}"


def rebalance(parts: Parts, rep: str, *, to: str | None, as_of: datetime, dry_run: bool = False) -> Rebalanced:
    """Give everybody with an open episode of ``rep`` to somebody else, and queue the owners that the CRMs must be told.

    Parameters
    ----------
    rep: e-mail address, also of somebody who is no longer in team.yaml
    to: a pool; None: by the routing rules, as if the rep were not there
    as_of: the instant that decides who is free

    Raises
    ------
    CannotRebalance: there is no such pool
    LeaseHeld: a run is at work; nothing was changed
    """
    team = parts.policy.team
    if to is not None and to not in team.pools:
        raise CannotRebalance(f"team.yaml has no pool {to!r}; there are {', '.join(team.pools)}")
    done = Rebalanced(rep=rep.casefold(), as_of=as_of)
    try:
        with parts.store.write() as tx:
            fences = runs.take_leases(tx, ["decide"], parts.holder, now=parts.now())
            if isinstance(fences, HeldElsewhere):
                raise LeaseHeld(fences)
            done = _rebalance(tx, parts, done, to)
            runs.drop_leases(tx, fences, parts.holder)
            if dry_run:
                raise _DryRun
    except _DryRun:
        return done
    return done


def _rebalance(tx: Connection, parts: Parts, asked: Rebalanced, to: str | None) -> Rebalanced:
    key = f"rep:{asked.rep}"
    theirs = decisions.load_people(tx, routing_store.open_of(tx, key))
    able = [person for person in theirs.values() if person.targets]
    decider = _decider(tx, parts, asked.as_of)
    rules = None if to is None else (Route(name="rebalance", when=None, to=Target(kind=TargetKind.POOL, name=to)),)
    not_to = dict.fromkeys(theirs, frozenset({asked.rep}))
    routed = decider.routing().route(tx, able, rules=rules, not_to=not_to)
    rows = [decider.row_of(theirs[one.person_id], one, again="rebalance") for one in routed.assigned]
    decider.reassign(tx, rows)
    moved = tuple(
        Moved(person_id=row.person_id, name=_name(theirs[row.person_id]), to=row.owner_key, why=row.why) for row in rows
    )
    if rows:
        body = {"rep": asked.rep, "to": to, "people": {row.person_id: row.owner_key for row in rows}}
        tx.execute(
            schema.audit.insert(), {"at": parts.now(), "who": "rebalance", "what": "people given again", "body": body}
        )
    stays = (*_unclear(theirs.values()), *(_waits(theirs[one.person_id], one) for one in routed.waiting))
    return Rebalanced(rep=asked.rep, as_of=asked.as_of, moved=moved, stays=stays, queued=decider.decided.queued)


def _decider(tx: Connection, parts: Parts, as_of: datetime) -> Decider:
    return Decider(
        policy=parts.policy,
        directory=owner_directory(tx, parts),
        authority=parts.settings.owner_authority,
        as_of=as_of,
        run_id=parts.new_id(),
        release="",  # a record that a CRM refused is tried again: somebody asked for it
        facts=lambda ids: _facts(tx, parts, ids),
        ledger=lambda ids: {},
        matching=parts.settings.account_matching,
        listing=False,
        reviews=parts.fields.reviews,
    )


def _facts(tx: Connection, parts: Parts, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The facts of a few people as the store has them now, in stored form."""
    policy, zone = parts.policy, ZoneInfo(parts.policy.timezone)
    found: dict[str, Mapping[str, Any]] = {person_id: {} for person_id in ids}
    for person_id, known in facts_now(tx, parts, ids).items():
        found[person_id] = people_row(known.facts, person_id, 0, zone=zone, valid=known.valid, custom=policy.custom)
    return found


def _name(person: PersonState) -> str:
    return person.name or person.email or person.person_id


def _unclear(theirs: Iterable[PersonState]) -> Iterator[Stays]:
    for person in theirs:
        if not person.targets:
            why = "as it is not clear which records they are" if person.ambiguous else "as they have no record any more"
            yield Stays(person_id=person.person_id, name=_name(person), why=why)


def _waits(person: PersonState, wait: Waiting) -> Stays:
    why = f"as nobody is free by {wait.why!r}; try again later, or name a pool"
    return Stays(person_id=person.person_id, name=_name(person), why=why)
