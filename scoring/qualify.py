"""Scorecard and history in, decision out: who is a marketing qualified lead, and who no longer is.

Pure: no clock, no store. A decision says what became of the person and, where an episode begins or ends, that it does;
who gets the person is decided after this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from scoring.cards import Scorecard
from scoring.facts import LIFECYCLE_STAGES
from scoring.tables import MICRO

__all__ = [
    "ADOPTED",
    "MEANINGS",
    "MOVES",
    "Decision",
    "EpisodeOpened",
    "History",
    "OpenEpisode",
    "Seen",
    "Status",
    "qualify",
    "reason_for",
]


class Status(StrEnum):
    """Where a person stands. The picklist of the status property in both CRMs is made of these; `MEANINGS` explains."""

    NOT_YET = "not_yet"
    NEAR = "near"
    SUPPRESSED = "suppressed"
    REVIEW = "review"
    MQL = "mql"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    WORKING = "working"
    SQL = "sql"
    RECYCLED = "recycled"
    NEVER = "never"
    WITH_SALES = "with_sales"


MEANINGS: Mapping[Status, str] = MappingProxyType(
    {
        Status.NOT_YET: "not qualified: no line of become_when is true",
        Status.NEAR: "not qualified, but a few points short of it",
        Status.SUPPRESSED: "never handed over while a suppress line is true",
        Status.REVIEW: "qualified, a marketer decides",
        Status.MQL: "marketing qualified, not yet assigned",
        Status.ASSIGNED: "marketing qualified, has a rep or a queue",
        Status.ACCEPTED: "sales has accepted",
        Status.WORKING: "sales is working on it",
        Status.SQL: "sales qualified",
        Status.RECYCLED: "sales said not now: back to marketing",
        Status.NEVER: "sales said never",
        Status.WITH_SALES: "known to sales before or without mqlsync",
    }
)

_BY_RULE = frozenset({Status.NOT_YET, Status.SUPPRESSED, Status.WITH_SALES, Status.MQL})
_IN_EPISODE = frozenset({Status.REVIEW, Status.MQL, Status.ASSIGNED, Status.ACCEPTED, Status.WORKING})
_OUTCOMES = frozenset({Status.SQL, Status.RECYCLED, Status.NEVER})
"""What sales decided stays: no sales outcome is read yet that could lift it."""

MOVES: Mapping[Status | None, frozenset[Status]] = MappingProxyType(
    {
        None: _BY_RULE | (_IN_EPISODE - {Status.REVIEW}),  # an adopted episode begins where the CRM has the person
        Status.NOT_YET: _BY_RULE,
        Status.NEAR: _BY_RULE,
        Status.SUPPRESSED: _BY_RULE,
        Status.WITH_SALES: _BY_RULE,
        Status.REVIEW: _BY_RULE | {Status.REVIEW},
        Status.MQL: _BY_RULE | {Status.ASSIGNED},
        Status.ASSIGNED: _BY_RULE | {Status.ASSIGNED},
        Status.ACCEPTED: _BY_RULE | {Status.ACCEPTED},
        Status.WORKING: _BY_RULE | {Status.WORKING},
        Status.SQL: frozenset({Status.SQL, Status.SUPPRESSED, Status.WITH_SALES}),
        Status.RECYCLED: frozenset({Status.RECYCLED, Status.SUPPRESSED, Status.WITH_SALES}),
        Status.NEVER: frozenset({Status.NEVER, Status.SUPPRESSED, Status.WITH_SALES}),
    }
)
"""From each status (None: never decided) the ones `qualify` may answer with. Assignment alone leads from mql on."""

ADOPTED = "adopted"
"""The line of an episode that mqlsync found, not opened."""

_ADOPTS = frozenset({Status.MQL, Status.ASSIGNED, Status.ACCEPTED, Status.WORKING})
_AT_SALES = frozenset(LIFECYCLE_STAGES[LIFECYCLE_STAGES.index("sql") :])
_REASON_LENGTH = 255
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEpisode:
    """The episode a person is in. ``line``: the gate line that opened it, or `ADOPTED`."""

    n: int
    line: str
    adopted: bool
    opened_at: datetime
    owner_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was decided before.

    ``status`` None: the person is seen for the first time; ``episodes``: how many began; ``reason``: the text stored
    when the open episode began.
    """

    status: Status | None = None
    open_episode: OpenEpisode | None = None
    episodes: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the CRMs say of a person beside the facts that are scored.

    crm_status       the status found in the CRMs, whoever wrote it (as text; other texts than a `Status` say nothing)
    lifecycle_stage  the fact, None when missing
    owner_known      whether a CRM names an owner who counts as somebody, for an adopted episode
    """

    crm_status: str | None = None
    lifecycle_stage: str | None = None
    converted: bool = False
    owner_known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeOpened:
    """An episode to begin. ``lines``: all gate lines that are true; adopted: nobody is assigned or told."""

    n: int
    line: str
    lines: tuple[str, ...]
    adopted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of a person.

    reason   text for the CRM, at most 255 characters; fixed for an episode when it opens; None: nothing to say
    closes   the outcome with which the open episode ends, None: it does not
    fit, engagement, total, grade, model   the scorecard's figures the decision rests on
    """

    person_id: str
    status: Status
    reason: str | None
    opens: EpisodeOpened | None
    closes: str | None
    fit: int
    engagement: int
    total: int
    grade: str
    model: str


def qualify(card: Scorecard, history: History, seen: Seen) -> Decision:
    """Decides one person."""
    if history.open_episode is not None:
        return _in_episode(card, history, history.open_episode)
    if card.suppressed is not None:
        return _decision(card, Status.SUPPRESSED, card.suppressed)
    if seen.lifecycle_stage in _AT_SALES or seen.converted:
        return _decision(card, Status.WITH_SALES, None)
    if history.status in _OUTCOMES:
        return _decision(card, history.status, history.reason)
    found = _found_status(seen.crm_status, seen.lifecycle_stage)
    if history.status is None and found is not None:
        opened = EpisodeOpened(n=history.episodes + 1, line=ADOPTED, lines=card.lines, adopted=True)
        return _decision(card, _adopted_status(found, seen.owner_known), None, opens=opened)
    if card.lines:
        line = card.lines[0]
        opened = EpisodeOpened(n=history.episodes + 1, line=line, lines=card.lines, adopted=False)
        return _decision(card, Status.MQL, reason_for(card, line), opens=opened)
    return _decision(card, Status.NOT_YET, None)


def _in_episode(card: Scorecard, history: History, episode: OpenEpisode) -> Decision:
    """While an episode is open the gate is not asked; only suppression before sales has accepted ends it."""
    accepted = history.status in (Status.ACCEPTED, Status.WORKING)
    if card.suppressed is not None and not accepted:
        return _decision(card, Status.SUPPRESSED, card.suppressed, closes=Status.SUPPRESSED.value)
    if history.status is not None and (accepted or history.status is Status.REVIEW):
        return _decision(card, history.status, history.reason)
    return _decision(card, Status.ASSIGNED if episode.owner_key is not None else Status.MQL, history.reason)


def _found_status(crm_status: str | None, lifecycle_stage: str | None) -> Status | None:
    """The status of a person whom somebody made an MQL, or more, before mqlsync came; else None."""
    known = crm_status.strip().casefold() if crm_status is not None else ""
    if known in _ADOPTS:
        return Status(known)
    return Status.MQL if lifecycle_stage == Status.MQL else None


def _adopted_status(found: Status, owner_known: bool) -> Status:
    """As far as sales has come stays; before that, having an owner makes the difference."""
    if found in (Status.ACCEPTED, Status.WORKING):
        return found
    return Status.ASSIGNED if owner_known else Status.MQL


def _decision(
    card: Scorecard,
    status: Status,
    reason: str | None,
    *,
    opens: EpisodeOpened | None = None,
    closes: str | None = None,
) -> Decision:
    return Decision(
        person_id=card.person_id,
        status=status,
        reason=reason if reason is None else reason[:_REASON_LENGTH],
        opens=opens,
        closes=closes,
        fit=card.fit,
        engagement=card.engagement,
        total=card.total,
        grade=card.grade,
        model=card.model,
    )


def reason_for(card: Scorecard, line: str) -> str:
    """Why the gate opened: its line and the three largest contributions, in whole points, as far as 255 characters go.

    ``asked_for_sales: asked for a demo +50; company_size +35; seniority +25``
    """
    shown: list[str] = []
    for item in card.contributions()[:_REASONS_SHOWN]:
        points = ((item.micro or 0) + MICRO // 2) // MICRO
        text = "; ".join([*shown, f"{item.reason} +{points}"])
        if points == 0 or len(line) + len(": ") + len(text) > _REASON_LENGTH:
            break
        shown.append(f"{item.reason} +{points}")
    return (f"{line}: {'; '.join(shown)}" if shown else line)[:_REASON_LENGTH]
