"""Why a person stands where they stand: the stored arithmetic, the decision, the owner, and what the CRMs were told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from connectors.normalise import email as normal_email
from connectors.normalise import salesforce_id
from connectors.records import RecordRef
from scoring.episodes import MEANINGS, Status
from scoring.ledger import Ledger
from sync.episode_shown import episode_json, episode_line, verdict_json, verdict_line
from sync.gather import GatherRules, PersonFacts, gather
from sync.rebuild import FOREVER, Account, account_of, in_use, kept_card, past_of, rebuild, under
from sync.run import Parts
from sync.store import decisions, schema
from sync.store.decisions import EpisodeRow, PersonState
from sync.store.outbox import acked_fields
from sync.store.people import load_owner_names, load_sources, owner_name
from sync.told import Side, sides
from sync.trace import trace_lines
from sync.versions import VersionUnknown

__all__ = ["Explanation", "NobodyFound", "explanation", "facts_now", "find_person", "stored_ledger"]


class NobodyFound(Exception):
    """Nobody in the store answers to what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """``account``: of the day the person was last scored, None: not yet. ``episodes``: all, in the order they began."""

    person: PersonState
    episodes: tuple[EpisodeRow, ...]
    account: Account | None
    decided_at: datetime | None
    records: tuple[Mapping[str, Any], ...]
    written: Mapping[RecordRef, Mapping[str, str | None]]
    conflicts: tuple[Mapping[str, Any], ...]
    sides: tuple[Side, ...] = ()
    owner_name: str | None = None

    def as_json(self) -> dict[str, Any]:
        person, episode, assignment = self.person, self.person.open_episode, self.person.assignment
        return {
            "person": {
                "person_id": person.person_id,
                "email": person.email,
                "name": person.name,
                "ambiguous": person.ambiguous,
                "records": list(self.records),
            },
            "status": person.status,
            "status_since": person.status_since,
            "reason": person.reason,
            "grade": person.grade,
            "fit": person.fit,
            "engagement": person.engagement,
            "total": person.total,
            "model": person.model,
            "policy_version": person.policy_version,
            "scored_day": person.scored_day,
            "score": self.account.score_json() if self.account is not None else None,
            "account": self.account.as_json() if self.account is not None else None,
            "episode": None if episode is None else episode_json(episode),
            "episodes": [episode_json(one) for one in self.episodes],
            "review": None if person.verdict is None else verdict_json(person.verdict),
            "owner": None
            if assignment is None
            else {
                "owner": assignment.owner_key,
                "name": self.owner_name,
                "why": assignment.why,
                "trace": assignment.trace,
            },
            "written": {str(ref): dict(fields) for ref, fields in self.written.items()},
            "told": [side.as_json() for side in self.sides],
            "conflicts": list(self.conflicts),
        }

    def lines(self) -> Iterator[str]:
        person = self.person
        yield f"{person.name or person.email or 'A person without name and address'} ({person.person_id})"
        for record in self.records:
            yield f"  {record['record']}  {record['role']}, by {record['method']}"
        yield ""
        if person.ambiguous:
            yield "Ambiguous: several records claim this person, so nothing is written. Merge them in the CRM."
        if person.status is not None:
            since = f" since {person.status_since:%Y-%m-%d}" if person.status_since else ""
            yield f"Status {person.status}{since}: {MEANINGS[Status(person.status)]}"
        if person.reason:
            yield f"Reason: {person.reason}"
        yield ""
        if self.account is None:
            yield "Not scored yet; the next run does it."
        else:
            yield from self.account.lines()
        yield ""
        yield from self._owner_lines()
        yield from self._written_lines()

    def _owner_lines(self) -> Iterator[str]:
        episode, assignment = self.person.open_episode, self.person.assignment
        yield from map(episode_line, self.episodes)
        if self.person.verdict is not None:
            yield f"Marketing: {verdict_line(self.person.verdict)}"
        if episode is None:
            yield "No open episode: nobody is assigned."
            return
        if assignment is None:
            yield "Owner: nobody was assigned"
            return
        yield f"Owner: {self.owner_name}, by {assignment.why!r}"
        yield from trace_lines(assignment.trace)

    def _written_lines(self) -> Iterator[str]:
        for ref, fields in self.written.items():
            if ref.object != "task":
                shown = ", ".join(f"{name} = {value}" for name, value in sorted(fields.items()) if value is not None)
                yield f"Confirmed by {ref.crm} for {ref.object} {ref.id}: {shown}"
        yield from map(str, self.sides)
        yield from map(_conflict_line, self.conflicts)


def _conflict_line(conflict: Mapping[str, Any]) -> str:
    kind, record, theirs = conflict["kind"], conflict["record"], conflict["theirs"]
    match kind:
        case "duplicate":
            return f"Duplicate: {record} is the same person as {theirs}, which is written; merge or convert it"
        case "ambiguous":
            return f"Ambiguous: {record} is one of {theirs}; nothing is written until they are merged"
        case "tamper":
            return f"Changed by hand: {record} had {theirs!r} as {conflict['field']}; it was written again"
        case _:
            left = "it stays" if conflict["held"] else "it was taken over"
            return f"Changed by hand: {record} has {theirs!r} as {conflict['field']}; {left}"


def explanation(parts: Parts, who: str) -> Explanation:
    """Everything the store knows of why a person stands where they stand.

    ``who``: an e-mail address (a secondary one too), a person id, or the id of a record in either CRM, also of one that
    was merged into another.

    Raises
    ------
    NobodyFound: with what was looked for
    """
    with parts.store.read() as tx:
        person_id = find_person(tx, who)
        person = decisions.load_people(tx, [person_id])[person_id]
        episodes = decisions.load_episodes(tx, [person_id]).get(person_id, [])
        links = tx.execute(select(schema.link).where(schema.link.c.person_id == person_id)).all()
        stored = tx.execute(select(schema.decision).where(schema.decision.c.person_id == person_id)).first()
        conflicts = tx.execute(
            select(schema.conflict).where(
                schema.conflict.c.person_id == person_id, schema.conflict.c.settled_at.is_(None)
            )
        ).all()
        refs = [target.state.ref for target in person.targets]
        written = acked_fields(tx, refs)
        episode = person.open_episode
        told = sides(tx, refs, episode.task_key if episode is not None else None)
        given = person.assignment
        owner = owner_name(given.owner_key, load_owner_names(tx)) if given is not None else None
    return Explanation(
        person=person,
        episodes=tuple(episodes),
        owner_name=owner,
        account=_account(parts, person, stored_ledger(stored.body) if stored is not None else None),
        decided_at=stored.as_of if stored is not None else None,
        records=tuple(
            {"record": f"{row.conn}:{row.object}:{row.id}", "role": row.role, "method": row.method} for row in links
        ),
        written=written,
        sides=tuple(told),
        conflicts=tuple(
            {
                "kind": row.kind,
                "record": f"{row.conn}:{row.object}:{row.id}",
                "field": row.field,
                "theirs": row.theirs,
                "ours": row.ours,
                "held": row.held,
            }
            for row in conflicts
        ),
    )


def facts_now(tx: Connection, parts: Parts, ids: Sequence[str]) -> dict[str, PersonFacts]:
    """The facts of a few people as the store has them now. People without a live record are left out."""
    rules = GatherRules(
        prefer=parts.fields.prefer,
        seniority=parts.policy.seniority,
        custom=parts.policy.custom,
        free_mail=parts.policy.free_mail,
        owners=load_owner_names(tx),
    )
    gathered = {person_id: gather(sources, rules) for person_id, sources in load_sources(tx, ids, rules.owners).items()}
    return {person_id: known for person_id, known in gathered.items() if known is not None}


def find_person(tx: Connection, who: str) -> str:
    """The id of the person with this e-mail address, person id, or record id in either CRM. Raises `NobodyFound`."""
    link, address, alias = schema.link, schema.record_email, schema.alias
    survivor = (alias.c.conn == link.c.conn) & (alias.c.new_object == link.c.object) & (alias.c.new_id == link.c.id)
    lookups = [
        select(schema.person.c.person_id).where(schema.person.c.person_id == who),
        select(link.c.person_id)
        .join(
            address, (address.c.conn == link.c.conn) & (address.c.object == link.c.object) & (address.c.id == link.c.id)
        )
        .where(address.c.email == normal_email(who)),
        select(link.c.person_id).where(link.c.id.in_(_spellings(who))),
        select(link.c.person_id).join(alias, survivor).where(alias.c.old_id.in_(_spellings(who))),
    ]
    for lookup in lookups:
        found: list[str] = sorted(set(tx.execute(lookup).scalars()))
        if len(found) == 1:
            return found[0]
        if found:
            raise NobodyFound(f"{who!r} is {len(found)} people: {', '.join(found)}. Ask for one of these ids")
    raise NobodyFound(
        f"nobody here has {who!r} as address, person id or record id. Was the person pulled yet? See `status`"
    )


def _spellings(id: str) -> list[str]:
    """An id as given, and as the store has it: Salesforce shows people the first 15 of its 18 characters."""
    try:
        return [id, salesforce_id(id)]
    except ValueError:
        return [id]


def _account(parts: Parts, person: PersonState, stored: Ledger | None) -> Account | None:
    """The score of the day the person was last scored, down to the events."""
    if person.scored_day is None:
        return None
    day = date.fromisoformat(person.scored_day)
    rules = in_use(parts)
    trouble: VersionUnknown | None = None
    try:
        with parts.store.read() as tx:
            rules = under(tx, parts, person.policy_version) or rules
    except VersionUnknown as wrong:
        trouble = wrong
    policy = rules.policy
    row = kept_card(parts.store, policy, person.person_id, day)

    def make() -> Ledger | None:
        if trouble is not None:
            raise trouble
        past = past_of(parts.store, rules)
        # Of whom nothing came to be known since, all that is known is what they were scored on.
        before = (FOREVER, past.end(day))
        made = rebuild(past, parts.engine, policy, person.person_id, day=day, before=before, row=row)
        return made.ledger if made is not None else None

    return account_of(stored if stored is not None and stored.day == person.scored_day else None, row, make)


def stored_ledger(body: Mapping[str, Any] | None) -> Ledger | None:
    """The ledger that was kept with a decision, None where none was."""
    stored = (body or {}).get("ledger")
    return None if stored is None else msgspec.convert(stored, Ledger)
