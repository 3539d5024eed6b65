"""The words for the life of an MQL: statuses, episodes, what sales and marketing say, and what is decided.

An *episode* is one time as an MQL, from the gate to its outcome. All figures count episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from scoring.cards import Fresh

__all__ = [
    "ACCEPTED_BY_SALES",
    "ADOPTED",
    "APPROVED",
    "FADED",
    "MEANINGS",
    "MOST_MADE_UP",
    "MOVES",
    "REJECTED",
    "REVIEWER",
    "SAMPLE",
    "TAKEN_ON",
    "TOO_OFTEN",
    "ClosedEpisode",
    "Decision",
    "EpisodeOpened",
    "History",
    "OpenEpisode",
    "Sales",
    "SalesState",
    "Seen",
    "Status",
    "Verdict",
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
        Status.RECYCLED: "sales or a marketer said not now: back to marketing",
        Status.NEVER: "sales or a marketer said never",
        Status.WITH_SALES: "known to sales before or without mqlsync",
    }
)

_BY_RULE = frozenset(set(Status) - {Status.ASSIGNED, Status.ACCEPTED, Status.WORKING})
"""What can become of a person who is in no episode, or whose episode ends."""

_IN_EPISODE = frozenset({Status.REVIEW, Status.MQL, Status.ASSIGNED, Status.ACCEPTED, Status.WORKING})
ACCEPTED_BY_SALES = frozenset({Status.ACCEPTED, Status.WORKING})
"""From here on an episode is sales' own: only sales ends it."""

MOVES: Mapping[Status | None, frozenset[Status]] = MappingProxyType(
    {
        None: _BY_RULE | _IN_EPISODE,  # an adopted episode begins where the CRM has the person
        **{status: _BY_RULE for status in Status if status not in _IN_EPISODE},
        Status.REVIEW: _BY_RULE | ACCEPTED_BY_SALES,
        Status.MQL: _BY_RULE | ACCEPTED_BY_SALES | {Status.ASSIGNED},
        Status.ASSIGNED: _BY_RULE | ACCEPTED_BY_SALES | {Status.ASSIGNED},
        Status.ACCEPTED: _BY_RULE | ACCEPTED_BY_SALES,
        Status.WORKING: _BY_RULE | ACCEPTED_BY_SALES,
    }
)
"""From each status (None: never decided) the ones `qualify` may answer with. Assignment alone leads from mql on."""

ADOPTED = "adopted"
"""The line of an episode that mqlsync found, not opened."""

APPROVED = "approved"
"""The line of an episode that a marketer opened while no gate line was true."""

FADED = "faded"
"""The outcome of an episode that ``mql.stay`` dropped."""

REJECTED = "rejected:"
"""How the outcomes begin by which sales says no, or a reviewer: then it is ``rejected:review``."""

REVIEWER, SAMPLE, TOO_OFTEN = "review", "sample", "too_often"

MOST_MADE_UP = 31
"""Days without a run that are made up for ``mql.stay``."""


# -- what is known -----------------------------------------------------------------------------------------------


class SalesState(StrEnum):
    """What sales has said. Where both CRMs spoke at the same instant, the first here counts.

    Whoever is won or lost had been taken on: both end an episode as ``sql`` does.
    """

    WON = "won"
    LOST = "lost"
    SQL = "sql"
    WORKING = "working"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


TAKEN_ON = frozenset({SalesState.SQL, SalesState.WON, SalesState.LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sales:
    """The latest word of sales. ``reason``: why they said no, as the CRM has it; None: they gave none."""

    state: SalesState
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A marketer's decision about somebody in review."""

    approve: bool
    at: datetime
    by: str
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEpisode:
    """The episode a person is in.

    line        the gate line that opened it, `ADOPTED` or `APPROVED`
    waiting     why it waits in review (``needs company.name``, a review line, `SAMPLE`); empty: it does not wait
    approves_at when time approves it; None: never
    drop_since  the date since which ``mql.stay.drop_when`` has been true without a break; None: it is not true
    """

    n: int
    line: str
    adopted: bool
    opened_at: datetime
    owner_key: str | None = None
    waiting: tuple[str, ...] = ()
    approves_at: datetime | None = None
    drop_since: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedEpisode:
    """The newest episode that is over. ``outcome``: ``sql``, ``rejected:<reason>``, ``faded``, ``suppressed``, ...

    ``closed_at``: for a rejection when sales or the reviewer said so.
    """

    n: int
    outcome: str
    closed_at: datetime

    @property
    def rejected(self) -> str | None:
        """The reason of a rejection, None where the episode ended otherwise."""
        return self.outcome.removeprefix(REJECTED) if self.outcome.startswith(REJECTED) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was decided before.

    status    None: the person is seen for the first time
    episodes  how many began
    reason    the text stored when the open episode began
    closed    the newest closed episode
    opened    when each episode began that ``recycle.at_most`` counts: adopted and suppressed ones aside
    """

    status: Status | None = None
    open_episode: OpenEpisode | None = None
    episodes: int = 0
    reason: str | None = None
    closed: ClosedEpisode | None = None
    opened: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a person beside the facts that are scored.

    crm_status       the status found in the CRMs, whoever wrote it (as text; other texts than a `Status` say nothing)
    lifecycle_stage  the fact, None when missing
    owner_known      whether a CRM names an owner who counts as somebody, for an adopted episode
    sales            the latest word of sales
    verdict          the latest verdict of a marketer
    fresh            what events later than the newest rejection come to; None: there are none, or no rejection
    missed           days since the last decision without one, oldest first, each with whether ``drop_when`` was true;
                     for people in an episode, at most `MOST_MADE_UP`
    """

    crm_status: str | None = None
    lifecycle_stage: str | None = None
    converted: bool = False
    owner_known: bool = False
    sales: Sales | None = None
    verdict: Verdict | None = None
    fresh: Fresh | None = None
    missed: tuple[tuple[date, bool], ...] = ()


# -- what is decided ---------------------------------------------------------------------------------------------


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

    reason      text for the CRM, at most 255 characters; fixed for an episode when it opens; None: nothing to say
    closes      the outcome with which the open episode ends; None: it does not
    closed_at   when it ended, for a rejection the instant of sales' or the reviewer's word
    amends      another outcome for the newest closed episode: the reason was changed, or a marketer said no
    waiting     why the person waits for a marketer, in an episode or before one
    approved    who let a waiting episode pass just now: a reviewer, ``time`` or ``rule``
    drop_since  of the open episode, as it is from now on (see `OpenEpisode`)
    near        whole points short of the nearest gate line, for somebody `Status.NEAR`
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
    closed_at: datetime | None = None
    amends: str | None = None
    waiting: tuple[str, ...] = ()
    approved: str | None = None
    drop_since: date | None = None
    near: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and numbers; dates and instants as ISO texts."""
        plain = asdict(self)
        return {name: value.isoformat() if isinstance(value, date) else value for name, value in plain.items()}
