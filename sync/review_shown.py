"""Who waits for a marketer, as it is shown: why, since when, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from scoring.episodes import Status, Verdict
from sync.episode_shown import verdict_json, verdict_line
from sync.explain import find_person
from sync.store import decisions, schema
from sync.store.decisions import PersonState
from sync.store.reviews import in_review

__all__ = ["NotInReview", "Waiting", "to_be_answered", "waiting"]


class NotInReview(Exception):
    """Nobody waits for a verdict on this person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Somebody in review.

    why          ``needs company.name``, a review line, ``sample``, a recycle reason, ``too_often``
    approves_at  when time approves it; None: only a marketer does, or the facts that are needed
    verdict      what was said since, which the next run decides by
    """

    person: PersonState
    since: datetime | None
    why: tuple[str, ...]
    approves_at: datetime | None
    verdict: Verdict | None

    def as_json(self) -> dict[str, Any]:
        person, episode = self.person, self.person.open_episode
        return {
            "person_id": person.person_id,
            "email": person.email,
            "name": person.name,
            "since": self.since,
            "why": list(self.why),
            "episode": episode.n if episode is not None else None,
            "grade": person.grade,
            "total": person.total,
            "approves_at": self.approves_at,
            "approves_by": list(self.ended_by()),
            "verdict": None if self.verdict is None else verdict_json(self.verdict),
        }

    def ended_by(self) -> tuple[str, ...]:
        """What lets the person pass besides a marketer: the names of needed facts, or ``time``."""
        needed = tuple(why.removeprefix("needs ") for why in self.why if why.startswith("needs "))
        return needed or (("time",) if self.approves_at is not None else ())

    def lines(self) -> Iterator[str]:
        person = self.person
        since = f"{self.since:%Y-%m-%d %H:%M} UTC" if self.since is not None else "an unknown time"
        who = f"{person.name or 'without a name'} <{person.email or 'no address'}> ({person.person_id})"
        yield f"{who}, grade {person.grade}, waits since {since}: {', '.join(self.why) or 'no reason is stored'}"
        match self.ended_by():
            case ("time",):
                yield f"  approved by itself at {self.approves_at:%Y-%m-%d %H:%M} UTC"
            case ():
                yield "  only a marketer ends it"
            case facts:
                yield f"  looked at again by itself once {' and '.join(facts)} is known"
        if self.verdict is not None:
            yield f"  {verdict_line(self.verdict)}; the next run decides by it"


def waiting(tx: Connection, person_ids: Sequence[str] | None = None) -> list[Waiting]:
    """Everybody in review, or whoever of these people is; longest first."""
    ids = [one for one in in_review(tx) if person_ids is None or one in person_ids]
    found = decisions.load_people(tx, ids)
    decided = _decided(tx, ids)
    return [_waiting(found[one], decided.get(one, {})) for one in ids]


def _decided(tx: Connection, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    d = schema.decision.c
    out: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(ids), decisions.PART):
        part = ids[start : start + decisions.PART]
        for row in tx.execute(select(d.person_id, d.body).where(d.person_id.in_(part))):
            out[row.person_id] = row.body["decision"]
    return out


def _waiting(person: PersonState, decided: Mapping[str, Any]) -> Waiting:
    """Who waits before an episode (sent to review, too often) waits for what the decision says."""
    episode = person.open_episode
    verdict = person.verdict
    since = person.status_since
    fresh = verdict is not None and since is not None and verdict.at > since
    return Waiting(
        person=person,
        since=since,
        why=episode.waiting if episode is not None else tuple(decided.get("waiting", ())),
        approves_at=episode.approves_at if episode is not None else None,
        verdict=verdict if fresh else None,
    )


def to_be_answered(tx: Connection, who: Sequence[str]) -> dict[str, str]:
    """Person id -> how to call them, of everybody named; one who is named twice counts once.

    Raises
    ------
    NobodyFound: one is not known
    NotInReview: nobody waits for a verdict on one
    """
    asked = {find_person(tx, one): one for one in who}
    found = decisions.load_people(tx, list(asked))
    for person_id, one in asked.items():
        person = found[person_id]
        if person.status != Status.REVIEW:
            stands = f"is {person.status}" if person.status is not None else "was not decided yet"
            raise NotInReview(f"{one!r} is not in review: the person {stands}")
    return {person_id: found[person_id].email or found[person_id].name or person_id for person_id in asked}
