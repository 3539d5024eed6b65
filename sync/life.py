"""The life of an MQL between store and decision: rows become a history, a decision becomes rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from scoring.cards import Scorecard
from scoring.episodes import (
    ACCEPTED_BY_SALES,
    MOST_MADE_UP,
    ClosedEpisode,
    Decision,
    History,
    OpenEpisode,
    SalesState,
    Status,
)
from scoring.hours import after
from scoring.policy import Policy
from sync.store.decisions import AssignmentRow, EpisodeRow, PersonState

__all__ = ["assigned", "episodes_after", "history_of", "missed_days", "opened", "rejected_at"]


def history_of(person: PersonState, owner_key: str | None) -> History:
    """``owner_key``: who has the open episode, None while nobody has it."""
    episode, closed = person.open_episode, person.closed_episode
    return History(
        status=Status(person.status) if person.status else None,
        open_episode=None if episode is None else _open(episode, owner_key),
        episodes=person.episodes,
        reason=person.reason,
        closed=None if closed is None else _closed(closed),
        opened=person.opened,
    )


def _open(episode: EpisodeRow, owner_key: str | None) -> OpenEpisode:
    return OpenEpisode(
        n=episode.n,
        line=episode.line,
        adopted=episode.adopted,
        opened_at=episode.opened_at,
        owner_key=owner_key,
        waiting=episode.waiting,
        approves_at=episode.approves_at,
        drop_since=date.fromisoformat(episode.drop_since) if episode.drop_since else None,
    )


def _closed(episode: EpisodeRow) -> ClosedEpisode:
    assert episode.closed_at is not None
    return ClosedEpisode(n=episode.n, outcome=episode.outcome or "", closed_at=episode.closed_at)


def rejected_at(person: PersonState) -> datetime | None:
    """When sales or a reviewer said no to the newest closed episode; None: it ended otherwise, or there is none."""
    closed = person.closed_episode
    return closed.closed_at if closed is not None and _closed(closed).rejected is not None else None


def missed_days(person: PersonState, today: date) -> tuple[date, ...]:
    """Days after the last decision and before today, oldest first: the newest few of them."""
    if person.open_episode is None or person.scored_day is None:
        return ()
    last = date.fromisoformat(person.scored_day)
    first = max(last + timedelta(days=1), today - timedelta(days=MOST_MADE_UP))
    return tuple(first + timedelta(days=n) for n in range((today - first).days))


def episodes_after(
    person: PersonState, card: Scorecard, decision: Decision, *, policy: Policy, as_of: datetime, run_id: str
) -> list[EpisodeRow]:
    """The episodes that are new or no longer what they were."""
    rows: list[EpisodeRow] = []
    before = person.open_episode
    if before is not None:
        heard = replace(before, touched_at=_touched_at(person, before))
        now = _closes(heard, decision, as_of) if decision.closes else _goes_on(heard, decision, policy, as_of)
        rows += [now] if now != before else []
    elif decision.amends is not None and person.closed_episode is not None:
        rows.append(replace(person.closed_episode, outcome=decision.amends))
    rows = _won_or_lost(person, rows)
    if decision.opens is not None:
        rows.append(
            EpisodeRow(
                person_id=person.person_id,
                n=decision.opens.n,
                opened_at=as_of,
                line=decision.opens.line,
                lines=decision.opens.lines,
                grade=card.grade,
                fit=card.fit,
                engagement=card.engagement,
                total=card.total,
                policy_version=policy.version,
                adopted=decision.opens.adopted,
                run_id=run_id,
                waiting=decision.waiting,
                approves_at=approves_at(decision.waiting, policy, as_of),
                approved_at=as_of if decision.approved is not None else None,
                approved_by=decision.approved,
                accepted_at=as_of if decision.status in ACCEPTED_BY_SALES else None,
            )
        )
    return rows


def _won_or_lost(person: PersonState, rows: list[EpisodeRow]) -> list[EpisodeRow]:
    """The rows, with what became of the newest episode that ended as ``sql``, once sales has said it."""
    said = person.sales
    episode = rows[-1] if rows else person.closed_episode
    if said is None or episode is None or episode.outcome != "sql" or said.at <= episode.opened_at:
        return rows
    match said.state:
        case SalesState.WON if episode.won_at is None:
            return [*rows[:-1], replace(episode, won_at=said.at)]
        case SalesState.LOST if episode.lost_at is None:
            return [*rows[:-1], replace(episode, lost_at=said.at)]
        case _:
            return rows


def _touched_at(person: PersonState, episode: EpisodeRow) -> datetime | None:
    """When sales touched the episode first; whatever they say of it is a touch."""
    said = person.sales
    if episode.touched_at is None and said is not None and said.at > episode.opened_at:
        return said.at
    return episode.touched_at


def _closes(episode: EpisodeRow, decision: Decision, as_of: datetime) -> EpisodeRow:
    return replace(
        episode,
        closed_at=decision.closed_at or as_of,
        outcome=decision.closes,
        waiting=(),
        approves_at=None,
        drop_since=None,
    )


def _goes_on(episode: EpisodeRow, decision: Decision, policy: Policy, as_of: datetime) -> EpisodeRow:
    accepted = decision.status in ACCEPTED_BY_SALES
    now = replace(
        episode,
        drop_since=decision.drop_since.isoformat() if decision.drop_since is not None else None,
        accepted_at=episode.accepted_at or (as_of if accepted else None),
    )
    if decision.waiting != episode.waiting:
        now = replace(now, waiting=decision.waiting, approves_at=approves_at(decision.waiting, policy, as_of))
    if decision.approved is not None:
        now = replace(now, approved_at=as_of, approved_by=decision.approved)
    return now


def opened(person: PersonState, episode: EpisodeRow, row: Mapping[str, Any]) -> PersonState:
    """Whoever had no open episode, with their new one: as the store has them from now on. ``row``: what else moved."""
    ours = () if episode.adopted else (episode.opened_at,)
    return replace(person, **row, episodes=episode.n, open_episode=episode, opened=(*person.opened, *ours))


def assigned(person: PersonState, row: AssignmentRow, *, status: Status, at: datetime) -> PersonState:
    """Whoever has an open episode, with whom it was given to: as the store has them from now on."""
    assert person.open_episode is not None
    return replace(
        person,
        status=status,
        status_since=at,
        assignment=row,
        open_episode=replace(person.open_episode, assigned_at=at),
    )


def approves_at(waiting: tuple[str, ...], policy: Policy, since: datetime) -> datetime | None:
    """When time approves somebody who began to wait then. Needed facts are waited for without end."""
    review = policy.review
    if not waiting or review is None or review.auto_approve_after is None or review.hours is None:
        return None
    if any(why.startswith("needs ") for why in waiting):
        return None
    return after(policy.team.hours[review.hours], since, review.auto_approve_after)
