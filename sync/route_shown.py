"""Who a person went to and why, and who waits for a rep, as the store has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from sync.explain import find_person
from sync.store import routing as routing_store
from sync.store import schema
from sync.store.decisions import AssignmentRow
from sync.store.people import load_owner_names, owner_name
from sync.trace import trace_lines, why_not

__all__ = ["Routed", "WhyNot", "routed", "why_not_them"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """An episode nobody is free for. ``why``: the rule that waits."""

    since: datetime
    until: datetime
    why: str
    trace: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """The newest episode of a person: to whom it went, step by step, or since when it waits.

    ``names``: owner key -> what people call the owner.
    """

    person_id: str
    email: str | None
    name: str | None
    episode: int | None
    opened_at: datetime | None
    closed_at: datetime | None
    steps: tuple[AssignmentRow, ...]
    waiting: Wait | None
    names: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        wait = self.waiting
        return {
            "person": {"person_id": self.person_id, "email": self.email, "name": self.name},
            "episode": None
            if self.episode is None
            else {"n": self.episode, "opened_at": self.opened_at, "closed_at": self.closed_at},
            "steps": [
                {
                    "step": step.step,
                    "owner": step.owner_key,
                    "name": self.names[step.owner_key],
                    "why": step.why,
                    "pool": step.pool,
                    "decided_at": step.decided_at,
                    "policy_version": step.policy_version,
                    "trace": step.trace,
                }
                for step in self.steps
            ],
            "waiting": None
            if wait is None
            else {"since": wait.since, "until": wait.until, "why": wait.why, "trace": wait.trace},
        }

    def lines(self) -> Iterator[str]:
        yield f"{self.name or self.email or 'A person without name and address'} ({self.person_id})"
        if self.episode is None or self.opened_at is None:
            yield "Never was an MQL: nobody was asked for."
            return
        closed = f", closed on {self.closed_at:%Y-%m-%d %H:%M} UTC" if self.closed_at is not None else ""
        yield f"Episode {self.episode}, opened on {self.opened_at:%Y-%m-%d %H:%M} UTC{closed}"
        for step in self.steps:
            yield ""
            yield f"{step.decided_at:%Y-%m-%d %H:%M} UTC: to {self.names[step.owner_key]}, by {step.why!r}"
            yield from trace_lines(step.trace)
        if self.waiting is not None:
            wait = self.waiting
            yield f"Waits for a rep since {wait.since:%Y-%m-%d %H:%M} UTC, by {wait.why!r}; each run tries again"
            yield from trace_lines(wait.trace)
        elif not self.steps:
            yield "Nobody has them yet; the next run that assigns decides."


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyNot:
    """Why a rep does not have a person. ``owner``: who has, None while the person waits."""

    person_id: str
    rep: str
    owner: str | None
    decided_at: datetime | None
    said: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "person_id": self.person_id,
            "rep": self.rep,
            "owner": self.owner,
            "decided_at": self.decided_at,
            "why_not": list(self.said),
        }


def routed(tx: Connection, who: str) -> Routed:
    """What is stored of the person's newest episode.

    ``who``: an e-mail address, a person id, or the id of a record in either CRM. Raises `explain.NobodyFound`.
    """
    person_id = find_person(tx, who)
    p, e = schema.person.c, schema.episode.c
    person = tx.execute(select(p.email, p.name).where(p.person_id == person_id)).one()
    newest = select(e.n, e.opened_at, e.closed_at).where(e.person_id == person_id).order_by(e.n.desc()).limit(1)
    episode = tx.execute(newest).first()
    steps = () if episode is None else _steps(tx, person_id, episode.n)
    owners = load_owner_names(tx)
    return Routed(
        person_id=person_id,
        email=person.email,
        name=person.name,
        episode=episode.n if episode is not None else None,
        opened_at=episode.opened_at if episode is not None else None,
        closed_at=episode.closed_at if episode is not None else None,
        steps=steps,
        waiting=_wait(tx, person_id),
        names={step.owner_key: owner_name(step.owner_key, owners) for step in steps},
    )


def _steps(tx: Connection, person_id: str, n: int) -> tuple[AssignmentRow, ...]:
    a = schema.assignment.c
    found = select(schema.assignment).where(a.person_id == person_id, a.n == n).order_by(a.step)
    return tuple(AssignmentRow(**row._mapping) for row in tx.execute(found))


def _wait(tx: Connection, person_id: str) -> Wait | None:
    rows: Sequence[Any] = routing_store.waiting(tx, person_id)
    return next((Wait(since=r.since, until=r.until, why=r.why, trace=r.trace) for r in rows), None)


def why_not_them(tx: Connection, who: str, rep: str) -> WhyNot:
    """Why a rep does not have the person, by the trace of the newest decision. Raises `explain.NobodyFound`."""
    found = routed(tx, who)
    last = found.steps[-1] if found.steps else None
    rep = rep.casefold()
    if last is not None:
        said = why_not(last.trace, rep, last.owner_key)
    elif found.waiting is not None:
        said = why_not(found.waiting.trace, rep, None)
    else:
        said = ("nothing was decided yet about who gets them",)
    return WhyNot(
        person_id=found.person_id,
        rep=rep,
        owner=last.owner_key if last is not None else None,
        decided_at=last.decided_at if last is not None else None,
        said=said,
    )
