"""A person's full account made again from what the store kept: events, factors and cap losses of a day that is over.

Of most decisions only the points by rule are kept. What made them is computed a second time, from what was known then,
under the policy of then, and held against the points that were kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from scoring.cards import Fresh, Scorecard, cards
from scoring.engine import Engine
from scoring.explain import as_ledger, explain, points
from scoring.ledger import Ledger, LedgerDimension, LedgerGroup
from scoring.policy import Policy
from sync.gather import GatherRules, PersonFacts, RecordSource
from sync.history import Past
from sync.rules import Rules
from sync.run import Parts
from sync.store import versions as kept
from sync.store.db import Store
from sync.store.people import load_owner_names
from sync.store.scorecards import Scorecards
from sync.store.snapshot import BUCKETS, bucket_of
from sync.store.versions import VersionRow
from sync.versions import VersionUnknown, rules_of

__all__ = [
    "FOREVER",
    "Account",
    "Origin",
    "Rebuilt",
    "account_of",
    "differences",
    "in_use",
    "kept_card",
    "past_of",
    "rebuild",
    "under",
]

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
"""Before it lies all that is known now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What one person was scored on, and what that came to.

    before  what had been read before this instant counted
    card    the wide row that the engine makes of it, where it was asked for
    fresh   what came after the instant that was asked for
    """

    before: datetime
    records: Sequence[RecordSource]
    facts: PersonFacts
    ledger: Ledger
    card: Scorecard | None = None
    fresh: Fresh | None = None


def past_of(store: Store, rules: Rules) -> Past:
    """The past of a store as these rules gather and date it."""
    policy = rules.policy
    with store.read() as tx:
        owners = load_owner_names(tx)
    gathering = GatherRules(
        prefer=rules.fields.prefer,
        seniority=policy.seniority,
        custom=policy.custom,
        free_mail=policy.free_mail,
        owners=owners,
    )
    return Past(store=store, rules=gathering, zone=ZoneInfo(policy.timezone))


def rebuild(
    past: Past,
    engine: Engine,
    policy: Policy,
    person_id: str,
    *,
    day: date,
    before: Sequence[datetime],
    row: Scorecard | None,
    card: bool = False,
    since: datetime | None = None,
) -> Rebuilt | None:
    """Score one person for ``day`` once more. None: nothing was known.

    Parameters
    ----------
    before: what had been read before the first of these instants counts; where that does not give what ``row`` says,
        before the next. Nobody noted what a run had read when it scored: each is a good guess, and the row is the proof
    card: also make the wide row, for deciding
    since: also say what came after that
    """
    found: Rebuilt | None = None
    for one in before:
        with tempfile.TemporaryDirectory(prefix="mqlsync-past-") as folder:
            known = past.known(person_id, one, Path(folder))
            if known is None:
                continue
            made = Rebuilt(
                before=one,
                records=known.records,
                facts=known.facts,
                ledger=engine.ledgers(policy, known.bucket, day, [person_id])[person_id],
            )
            differs = row is not None and bool(differences(made.ledger, row))
            if differs and found is not None:
                continue
            if card:
                made = replace(made, card=next(cards(engine.score(policy, known.bucket, day))))
            if since is not None:
                fresh = engine.fresh(policy, known.bucket, day, {person_id: since})
                made = replace(made, fresh=fresh.get(person_id))
            if not differs:
                return made
            found = made
    return found


def in_use(parts: Parts) -> Rules:
    """The rules of the files in use."""
    return Rules(policy=parts.policy, fields=parts.fields, warnings=())


def under(tx: Connection, parts: Parts, version: str | None) -> Rules | None:
    """The rules of a version: those in use, or as kept; None where they are not kept.

    Raises
    ------
    VersionUnknown: its files do not load any more
    """
    if version is None:
        return None
    if version == parts.policy.version:
        return in_use(parts)
    row: VersionRow | None = kept.of_version(tx, version)
    return rules_of(row) if row is not None else None


def kept_card(store: Store, policy: Policy, person_id: str, day: date) -> Scorecard | None:
    """The wide row of a person that the last run of a day kept; None where there is none."""
    folder = Scorecards(folder=store.folder / "cards")
    for buckets in BUCKETS:
        row = folder.row(person_id, version=policy.scoring_hash, day=day, bucket=bucket_of(person_id, buckets))
        if row is not None:
            return next(cards(row))
    return None


# -- one account against another -----------------------------------------------------------------------------------


def differences(made: Ledger | Scorecard, row: Scorecard) -> tuple[str, ...]:
    """In what an account is not what the wide row says, most telling first; empty: they are equal."""
    return tuple(_differences(as_ledger(made), as_ledger(row)))


def _differences(made: Ledger, row: Ledger) -> Iterator[str]:
    for name in ("model", "suppressed", "grade"):
        yield from _unequal(name, getattr(row, name) or "none", getattr(made, name) or "none")
    yield from _unequal("total", points(row.total_micro), points(made.total_micro))
    for ours, theirs in ((made.fit, row.fit), (made.engagement, row.engagement)):
        yield from _of_dimension(ours, theirs)
    for line in dict.fromkeys((*row.lines, *made.lines)):
        yield from _unequal(f"gate line {line}", row.lines.get(line, False), made.lines.get(line, False))


def _of_dimension(made: LedgerDimension, row: LedgerDimension) -> Iterator[str]:
    name = made.score.value
    yield from _unequal(name, points(row.micro), points(made.micro))
    yield from _unequal(f"{name}, rounded", row.points, made.points)
    groups = {group.name: group for group in made.groups}
    before = {group.name: group for group in row.groups}
    for group in dict.fromkeys((*before, *groups)):
        yield from _of_group(f"{name}, {group}", groups.get(group), before.get(group))
    yield from _unequal(f"{name}, taken by limits", points(sum(row.lost.values())), points(sum(made.lost.values())))


def _of_group(where: str, made: LedgerGroup | None, row: LedgerGroup | None) -> Iterator[str]:
    if made is None or row is None:
        yield f"{where}: {'only kept' if made is None else 'not kept'}"
        return
    yield from _unequal(where, points(row.micro), points(made.micro))
    before = {rule.name: rule for rule in row.rules}
    for rule in made.rules:
        one = before.get(rule.name)
        if one is None:
            yield f"{where}, {rule.name}: not kept"
            continue
        said = [f"{points(r.micro)}" + (f" for {r.occurrences}" if r.occurrences else "") for r in (one, rule)]
        if (one.fired, one.micro, one.occurrences) != (rule.fired, rule.micro, rule.occurrences):
            kept_as, now = (text if r.fired else "nothing" for text, r in zip(said, (one, rule), strict=True))
            yield f"{where}, {rule.name}: {kept_as} kept, {now} made again"
    lost, before_lost = sum(made.lost.values()), sum(row.lost.values())
    yield from _unequal(f"{where}, taken by limits", points(before_lost), points(lost))


def _unequal(what: str, kept_as: object, made: object) -> Iterator[str]:
    if kept_as != made:
        yield f"{what}: {kept_as} kept, {made} made again"


# -- what is told --------------------------------------------------------------------------------------------------


class Origin(StrEnum):
    """Where an account comes from."""

    DECISION = "decision"
    REBUILT = "rebuilt"
    ROW = "row"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a person was scored on a day, as far as it is known, and whether all that is known of it agrees.

    score    of `Origin.DECISION`: the ledger kept with it; of `REBUILT`: the one made again; of `ROW`: the points kept
    row      the points by rule that the last run of the day kept
    made     the ledger made again, where that was needed and possible
    differs  in what ``made`` is not what the row says
    trouble  why nothing could be made again
    """

    score: Ledger | Scorecard
    origin: Origin
    row: Scorecard | None = None
    made: Ledger | None = None
    differs: tuple[str, ...] = ()
    trouble: str | None = None

    def score_json(self) -> dict[str, Any]:
        """Always a ledger: one made of the points kept names no events."""
        return as_ledger(self.score).to_json()

    def as_json(self) -> dict[str, Any]:
        """Where the score comes from, and how it agrees with the row of the day."""
        return {
            "from": self.origin,
            "row": self._agrees(),
            "differs": list(self.differs),
            "made_again": self.made.to_json() if self.made is not None and self.differs else None,
            "trouble": self.trouble,
        }

    def _agrees(self) -> str:
        if self.row is None:
            return "none"
        if self.origin is Origin.ROW and self.made is None:
            return "not checked"
        return "differs" if self.differs else "equal"

    def lines(self) -> Iterator[str]:
        """The account in sentences, then how sure it is."""
        yield from explain(self.score)
        match self.origin:
            case Origin.DECISION:
                yield "Kept with the decision" + ("." if self.row is None else "; equal to the points kept of the day.")
            case Origin.REBUILT if self.row is None:
                yield "Made again from what was known; no points of the day were kept to hold it against."
            case Origin.REBUILT:
                yield "Made again from what was known; equal to the points kept of the day."
            case Origin.ROW if self.made is None:
                yield f"The points by rule as kept; the events cannot be told: {self.trouble}."
            case Origin.ROW:
                yield "The points by rule as kept. Made again from what is known, they are others:"
                yield from (f"  {one}" for one in self.differs)


def account_of(stored: Ledger | None, row: Scorecard | None, make: Callable[[], Ledger | None]) -> Account | None:
    """The best account there is: as kept with the decision, else made again, and held against the row of the day.

    stored  kept with a decision of the day; a later run may have moved the points, which the row then says
    make    makes it again; None: nothing was known. What it raises as `VersionUnknown` is told as ``trouble``
    """
    if stored is not None and (row is None or not differences(stored, row)):
        return Account(score=stored, origin=Origin.DECISION, row=row)
    made: Ledger | None = None
    trouble = "nothing of the person was known then"
    try:
        made = make()
    except VersionUnknown as wrong:
        trouble = str(wrong)
    if made is None:
        return None if row is None else Account(score=row, origin=Origin.ROW, row=row, trouble=trouble)
    differs = differences(made, row) if row is not None else ()
    if row is not None and differs:
        return Account(score=row, origin=Origin.ROW, row=row, made=made, differs=differs)
    return Account(score=made, origin=Origin.REBUILT, row=row, made=made)
