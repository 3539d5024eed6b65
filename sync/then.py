"""What was known and decided about a person on a day that is over.

The day is told as its last run found it; where none decided, as it was known when the day ended. The score is the one
kept with the decision, or made again (`sync.rebuild`); the decision is made again from the episodes as they stood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from connectors.records import RecordRef
from scoring.cards import Scorecard
from scoring.episodes import MEANINGS, Decision, Seen, Status
from scoring.policy import Policy
from scoring.qualify import qualify, reason_for
from sync.episode_shown import episode_json, episode_line
from sync.explain import find_person, stored_ledger
from sync.history import Past, TooEarly
from sync.life import history_of, rejected_at
from sync.rebuild import FOREVER, Account, Rebuilt, account_of, in_use, kept_card, past_of, rebuild, under
from sync.replay import as_it_stood, furthest_stage, nobody, with_episodes
from sync.rules import Rules
from sync.run import Parts
from sync.store import runs, schema, versions
from sync.store.decisions import AssignmentRow, EpisodeRow, PersonState, load_episodes, load_people
from sync.store.people import owner_name
from sync.store.runs import RunRow
from sync.trace import trace_lines
from sync.versions import rules_of

__all__ = ["NotTold", "Then", "then"]

INSTANT = timedelta(microseconds=1)


class NotTold(Exception):
    """The past cannot be told: it has not come yet, nothing was kept of it, or the person was not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """One person on one day.

    run        the last one that decided on the day, None: none did, or it is too long ago to be listed
    known_at   what had been read before it counts
    decision   made again from the episodes as they stood; None without a run: nobody decided
    """

    person_id: str
    day: date
    known_at: datetime
    run: RunRow | None
    policy: Policy
    email: str | None
    name: str | None
    facts: Mapping[str, Any]
    account: Account
    decision: Decision | None
    episode: EpisodeRow | None
    assignment: AssignmentRow | None
    owner_name: str | None
    records: tuple[RecordRef, ...]

    def as_json(self) -> dict[str, Any]:
        episode, assignment, decision = self.episode, self.assignment, self.decision
        return {
            "person": {
                "person_id": self.person_id,
                "email": self.email,
                "name": self.name,
                "records": [str(ref) for ref in self.records],
            },
            "day": self.day,
            "known_at": self.known_at,
            "run": self.run.run_id if self.run is not None else None,
            "policy_version": self.policy.version,
            "facts": dict(self.facts),
            "status": decision.status if decision is not None else None,
            "reason": decision.reason if decision is not None else None,
            "score": self.account.score_json(),
            "account": self.account.as_json(),
            "episode": None if episode is None else episode_json(episode),
            "owner": None
            if assignment is None
            else {
                "owner": assignment.owner_key,
                "name": self.owner_name,
                "why": assignment.why,
                "trace": assignment.trace,
            },
        }

    def lines(self) -> Iterator[str]:
        yield f"{self.name or self.email or 'A person without name and address'} ({self.person_id}) on {self.day}"
        at = f"{self.known_at:%Y-%m-%d %H:%M} UTC"
        run = "no run that decided on that day is listed" if self.run is None else f"decided by run {self.run.run_id}"
        yield f"As known before {at}; {run}"
        yield f"Policy {self.policy.name} {self.policy.version}"
        yield ""
        yield "Known then"
        for ref in self.records:
            yield f"  record {ref}"
        for name, value in sorted(self.facts.items()):
            yield f"  {name}: {value}"
        yield ""
        yield from self.account.lines()
        yield ""
        if self.decision is not None:
            yield f"Status {self.decision.status}: {MEANINGS[self.decision.status]}"
            if self.decision.reason:
                yield f"Reason: {self.decision.reason}"
        yield from self._owner_lines()

    def _owner_lines(self) -> Iterator[str]:
        if self.episode is None:
            yield "No open episode then: nobody was assigned."
            return
        yield episode_line(self.episode)
        if self.assignment is None:
            yield "Owner: nobody was assigned then"
            return
        yield f"Owner: {self.owner_name}, by {self.assignment.why!r}"
        yield from trace_lines(self.assignment.trace)


def then(parts: Parts, who: str, at: date | datetime) -> Then:
    """What was known and decided about a person at the end of a day, or at an instant of it.

    Raises
    ------
    NobodyFound: nobody is called so today
    NotTold: the day has not come, nothing was kept of it, or nobody knew the person
    VersionUnknown: the version of the policy that was in use does not load any more
    """
    moment = _moment(parts, at)
    if moment.run is None:
        try:
            past_of(parts.store, in_use(parts)).refuse_before_first(moment.day)
        except TooEarly as early:
            raise NotTold(str(early)) from None
    with parts.store.read() as tx:
        person_id = find_person(tx, who)
        rules = _rules(tx, parts, moment)
    past = past_of(parts.store, rules)
    if moment.run is not None:
        # The policy of then may count its days in another zone.
        moment = replace(moment, day=past.day(moment.as_of))
    return _Telling(parts=parts, rules=rules, past=past, moment=moment, person_id=person_id).then()


# -- which moment is meant -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """A day: ``as_of`` of what was decided on it last, ``end``: what was read before it was known then."""

    day: date
    as_of: datetime
    end: datetime
    run: RunRow | None


def _moment(parts: Parts, at: date | datetime) -> _Moment:
    zone = ZoneInfo(parts.policy.timezone)
    instant = at if isinstance(at, datetime) else None
    day = at.astimezone(zone).date() if isinstance(at, datetime) else at
    begin, end = (datetime.combine(day + timedelta(days=n), time.min, zone).astimezone(UTC) for n in (0, 1))
    until = min(end, instant + INSTANT) if instant is not None else end
    with parts.store.read() as tx:
        run = runs.last_deciding(tx, since=begin, before=until)
        later = runs.last_deciding(tx, since=until, before=FOREVER)
    if run is None and later is None and (instant or begin) > parts.now():
        raise NotTold(f"{at} has not come yet; `mqlsync explain` without --as-of tells how it is now")
    as_of = run.as_of if run is not None and run.as_of is not None else until - INSTANT
    return _Moment(day=day, as_of=as_of, end=until, run=run)


def _rules(tx: Connection, parts: Parts, moment: _Moment) -> Rules:
    """Those the day's run decided by; else what was in use when the day ended."""
    found = under(tx, parts, moment.run.policy_version) if moment.run is not None else None
    if found is not None:
        return found
    row = versions.in_use_before(tx, moment.end)
    if row is None:
        first = versions.entries(tx)
        since = f"the first that is kept is of {first[-1].at:%Y-%m-%d}" if first else "none was kept yet"
        raise NotTold(f"{moment.day} cannot be told: no version of the policy is known to have been in use; {since}")
    return under(tx, parts, row.version) or rules_of(row)


# -- the person then -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Telling:
    parts: Parts
    rules: Rules
    past: Past
    moment: _Moment
    person_id: str

    def then(self) -> Then:
        moment, store, policy = self.moment, self.parts.store, self.rules.policy
        with store.read() as tx:
            person = load_people(tx, [self.person_id])[self.person_id]
            stored = tx.execute(select(schema.decision).where(schema.decision.c.person_id == self.person_id)).first()
            own = self._episodes(tx)
            assignment = self._assignment(tx, own)
        row = kept_card(store, policy, self.person_id, moment.day)
        standing = with_episodes(nobody(self.person_id, Status.NOT_YET), own)
        made = rebuild(
            self.past,
            self.parts.engine,
            policy,
            self.person_id,
            day=moment.day,
            before=self._before(person),
            row=row,
            card=True,
            since=rejected_at(standing) if standing.open_episode is None else None,
        )
        if made is None or made.card is None:
            raise NotTold(self._unknown())
        body = stored.body if stored is not None and stored.as_of <= moment.as_of else None
        of_the_day = stored is not None and body is not None and self.past.day(stored.as_of) == moment.day
        account = account_of(stored_ledger(body) if of_the_day else None, row, lambda: made.ledger)
        assert account is not None
        owner = assignment.owner_key if assignment is not None else None
        standing = replace(standing, reason=_reason(person, standing.open_episode, body, made.card))
        return Then(
            person_id=self.person_id,
            day=moment.day,
            known_at=min(made.before, self.parts.now()) if made.before == FOREVER else made.before,
            run=moment.run,
            policy=policy,
            email=made.facts.email,
            name=made.facts.name,
            facts=made.facts.facts,
            account=account,
            decision=self._decision(person, standing, made, made.card, owner) if moment.run is not None else None,
            episode=standing.open_episode,
            assignment=assignment,
            owner_name=None if owner is None else owner_name(owner, self.past.rules.owners),
            records=tuple(sorted(record.ref for record in made.records if not record.gone)),
        )

    def _before(self, person: PersonState) -> list[datetime]:
        """Up to when what was read may have counted, the likeliest first.

        Records are dated by the CRMs' clock, so a day as the back-test has it. A run for a past day read the CRMs
        later than on it; and of whom nothing came to be known since the newest run, all that is known counted.
        """
        moment = self.moment
        first = self.past.first_day()
        found = [moment.end] if first is not None and first <= moment.day else []
        if moment.run is not None and moment.run.finished_at is not None:
            found.append(moment.run.finished_at)
            found += [FOREVER] if person.scored_day == moment.day.isoformat() else []
        return found

    def _episodes(self, tx: Connection) -> list[EpisodeRow]:
        """As they stood after the day's run, oldest first."""
        until = self.moment.as_of + INSTANT
        own = load_episodes(tx, [self.person_id]).get(self.person_id, [])
        return [as_it_stood(episode, until) for episode in own if episode.opened_at < until]

    def _decision(
        self, person: PersonState, standing: PersonState, made: Rebuilt, card: Scorecard, owner: str | None
    ) -> Decision:
        """What the run decided, made again from the episodes as they stood after it: deciding twice changes nothing."""
        targets = [r for r in made.records if r.target and not r.gone and not person.ambiguous]
        seen = Seen(
            lifecycle_stage=furthest_stage(r.facts.get("person.lifecycle_stage") for r in targets),
            converted=any(r.facts.get("person.converted") is True for r in targets),
            sales=person.sales if person.sales is not None and person.sales.at < made.before else None,
            verdict=person.verdict if person.verdict is not None and person.verdict.at < made.before else None,
            fresh=made.fresh,
        )
        history = history_of(standing, owner)
        decision = qualify(card, history, seen, policy=self.rules.policy, as_of=self.moment.as_of)
        if decision.opens is not None:
            # It was not opened: nobody knew then which records the person is.
            return replace(decision, status=Status.NOT_YET, reason=None, opens=None)
        return decision

    def _unknown(self) -> str:
        first, day = self.past.first_read(self.person_id), self.moment.day
        if first is not None and self.past.day(first) <= day:
            return f"on {day} no record of this person was live: nothing was scored"
        read = f"the first record was read on {self.past.day(first)}" if first is not None else "no record was read"
        return f"on {day} nobody here knew this person: {read}"

    def _assignment(self, tx: Connection, own: list[EpisodeRow]) -> AssignmentRow | None:
        """Who had the open episode then."""
        if not own or own[-1].closed_at is not None:
            return None
        a = schema.assignment.c
        found = select(schema.assignment).where(
            a.person_id == self.person_id, a.n == own[-1].n, a.decided_at <= self.moment.as_of
        )
        row = tx.execute(found.order_by(a.step.desc()).limit(1)).first()
        return None if row is None else AssignmentRow(**row._mapping)


def _reason(
    person: PersonState, episode: EpisodeRow | None, body: Mapping[str, Any] | None, card: Scorecard
) -> str | None:
    """The text that stood since the episode began, as far as it is kept."""
    if episode is None:
        return None
    if person.open_episode is not None and person.open_episode.n == episode.n:
        return person.reason
    kept = (body or {}).get("decision", {}).get("reason")
    if kept is not None:
        return str(kept)
    return reason_for(card, episode.line) if episode.lines == card.lines else None
