"""Routing in a transaction: what the store knows of people goes in, what was decided is left there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from connectors.records import Crm
from scoring import hours as working_time
from scoring.episodes import Status
from scoring.fact_judge import judged_by
from scoring.policy import Policy, Route, TargetKind
from sync.account_match import AccountMatch, AccountMatching, Accounts
from sync.assign import Routed, assign
from sync.owners import OwnerDirectory
from sync.pools import Candidate
from sync.store import people as people_store
from sync.store import routing as routing_store
from sync.store.decisions import PersonState

__all__ = ["Routing", "facts_read"]

COMPANY_OWNER = "company.owner"

_OF_ACCOUNT = ("person.email_domain", "company.name")
"""By what an account is found."""

AT_WORK = frozenset({Status.ASSIGNED, Status.ACCEPTED, Status.WORKING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What routing depends on.

    order        the CRMs that decide on owners, the weightier first
    owner_there  the owner key of whom a person has in the CRMs, None when that is nobody
    facts        (person ids) -> the facts of each in stored form
    """

    policy: Policy
    directory: OwnerDirectory
    order: Sequence[Crm]
    as_of: datetime
    owner_there: Callable[[PersonState], str | None]
    facts: Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]]]
    matching: AccountMatching = field(default_factory=AccountMatching)

    def route(
        self,
        tx: Connection,
        people: Sequence[PersonState],
        *,
        rules: Sequence[Route] | None = None,
        not_to: Mapping[str, frozenset[str]] | None = None,
        since: Mapping[str, datetime] | None = None,
    ) -> Routed:
        """Route people with an open episode; the pools' counters and who waits are stored, assignments are not.

        ``rules``: instead of the policy's; ``not_to``: person id -> reps who must not get them; ``since``: person id ->
        since when they wait, where the store does not say so.
        """
        if not people:
            return Routed(assigned=[], waiting=[], counters={})
        rules = self.policy.routing if rules is None else rules
        routed = assign(
            self._candidates(tx, people, rules, not_to or {}, since or {}),
            self.policy.team,
            rules,
            self.directory,
            routing_store.load_counters(tx),
            as_of=self.as_of,
            timezone=self.policy.timezone,
            loads=routing_store.load_loads(tx, self.directory, as_of=self.as_of),
            version=self.policy.version,
        )
        routing_store.save_counters(tx, routed.counters)
        return routed

    def _candidates(
        self,
        tx: Connection,
        people: Sequence[PersonState],
        rules: Sequence[Route],
        not_to: Mapping[str, frozenset[str]],
        since: Mapping[str, datetime],
    ) -> list[Candidate]:
        ids = [person.person_id for person in people]
        facts = self.facts(ids)
        waits = routing_store.load_waits(tx)
        last_owner = people_store.last_owner_keys(tx, ids)
        last_at = people_store.last_assigned(tx, ids)
        accounts = self._accounts(tx, people, rules)
        made: list[Candidate] = []
        for person in people:
            assert person.open_episode is not None
            at = last_at.get(person.person_id)
            own = {
                **facts[person.person_id],
                "person.owner": self.owner_there(person),
                "person.last_owner": last_owner.get(person.person_id),
                "person.last_assigned_at": working_time.local_day(self.policy.timezone, at) if at else None,
            }
            own[COMPANY_OWNER] = self.company_owner(person)
            match = _account_of(person, own, accounts)
            if match is not None:
                own[COMPANY_OWNER] = match.account.owner_key
            made.append(
                Candidate(
                    person_id=person.person_id,
                    episode=person.open_episode.n,
                    facts=own,
                    crms=tuple(target.state.ref.crm for target in person.targets),
                    total=person.open_episode.total,
                    qualified_at=person.open_episode.opened_at,
                    worked_by=_worked_by(person),
                    not_to=not_to.get(person.person_id, frozenset()),
                    waiting_since=waits.get((person.person_id, person.open_episode.n), since.get(person.person_id)),
                    account=None if match is None else _said(match),
                )
            )
        return made

    def company_owner(self, person: PersonState) -> str | None:
        """Who owns the company that a record of the person is linked to, as an owner key; None when that is nobody."""
        owners = (self.directory.owner_key(t.state.ref.crm, t.company_owner) for t in person.targets)
        return next((key for key in owners if key is not None), None)

    def _accounts(self, tx: Connection, people: Sequence[PersonState], rules: Sequence[Route]) -> Accounts | None:
        """Only where somebody is linked to no company and a rule leads to its owner."""
        matches = self.matching.domain or self.matching.name_from is not None
        if not matches or not any(rule.to.kind is TargetKind.COMPANY_OWNER for rule in rules):
            return None
        if all(_linked(person) for person in people):
            return None
        return Accounts(
            routing_store.load_accounts(tx, self.directory),
            self.matching,
            order=self.order,
            free_mail=self.policy.free_mail,
        )


def facts_read(rules: Iterable[Route]) -> frozenset[str]:
    """The facts by which these rules route people."""
    return frozenset({*_OF_ACCOUNT, *(name for rule in rules if rule.when for name in judged_by(rule.when))})


def _linked(person: PersonState) -> bool:
    return any(target.company_id is not None for target in person.targets)


def _account_of(person: PersonState, facts: Mapping[str, Any], accounts: Accounts | None) -> AccountMatch | None:
    if accounts is None or _linked(person):
        return None
    domain, name = (facts.get(fact) for fact in _OF_ACCOUNT)
    return accounts.find(domain=domain, name=name)


def _said(match: AccountMatch) -> dict[str, Any]:
    return {
        "account": str(match.account.ref),
        "name": match.account.name,
        "by": match.by,
        "confidence": match.confidence,
        "owner": match.account.owner_key,
    }


def _worked_by(person: PersonState) -> str | None:
    """Who has the open episode and is at work on it."""
    return person.assignment.owner_key if person.assignment is not None and person.status in AT_WORK else None
