"""The policy as types: what the four YAML files say once nothing is left to parse.

`scoring.load` makes a `Policy` from text; the compiler, the gate, assignment and planning read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from scoring.conditions import Condition, Dimension, EventMatch
from scoring.facts import Fact
from scoring.team import Team

__all__ = [
    "Bands",
    "GateLine",
    "Grade",
    "LeadStatus",
    "Model",
    "Policy",
    "Result",
    "Route",
    "SuppressLine",
    "Target",
    "TargetKind",
    "TaskIn",
    "WritePlan",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressLine:
    name: str
    test: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Labels and their lower bounds in whole points, strictly falling; the last bound None is ``otherwise``."""

    labels: tuple[str, ...]
    bounds: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """``fit`` and ``engagement`` bands make the grade (``A1``).

    Weights of the total in hundredths of a percent, its ``max`` in micro-points.
    """

    fit: Bands | None = None
    engagement: Bands | None = None
    total_weights: tuple[int, int] = (10_000, 10_000)
    total_max: int | None = None
    total: Bands | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLine:
    name: str
    test: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One way of scoring a segment. The last model of a policy is ``default`` and has no ``when``."""

    name: str
    when: Condition | None
    fit: Dimension
    engagement: Dimension
    grade: Grade
    become_when: tuple[GateLine, ...]


class TargetKind(StrEnum):
    PERSON_OWNER = "person.owner"
    LAST_OWNER = "person.last_owner"
    COMPANY_OWNER = "company.owner"
    REP = "rep"
    POOL = "pool"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a route leads. ``name``: the rep's e-mail, the pool or the queue."""

    kind: TargetKind
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One routing rule. ``if_away``: ``their backup``, ``next rule``, or a `Target`."""

    name: str
    when: Condition | None
    to: Target
    if_away: str | Target = "next rule"


class Result(StrEnum):
    """What can be written to a CRM property (``write.<crm>.<object>``)."""

    STATUS = "status"
    GRADE = "grade"
    FIT = "fit"
    ENGAGEMENT = "engagement"
    TOTAL = "total"
    REASON = "reason"
    MODEL = "model"
    QUALIFIED_AT = "qualified_at"
    EPISODE = "episode"
    OWNER = "owner"
    VERSION = "version"
    LIFECYCLE = "lifecycle"
    LEAD_STATUS = "lead_status"


class TaskIn(StrEnum):
    SALESFORCE = "salesforce"
    HUBSPOT = "hubspot"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadStatus:
    """``lead_status: {property, mql: VALUE, only_from: [...]}``: the org's value for an MQL, and from which values."""

    property: str
    mql: str
    only_from: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WritePlan:
    """What is written where.

    properties   (crm, object) -> result -> CRM property
    lead_status  (crm, object) -> how an MQL's status value is set
    human_edit_wins  results that a person's edit in the CRM overrules
    score_step   whole points a number must move before it is written again
    task_in      the CRM that gets the follow-up task; None: Salesforce where the person has a record, else HubSpot
    task_due     working days until the task is due
    """

    properties: Mapping[tuple[str, str], Mapping[Result, str]] = field(default_factory=dict)
    lead_status: Mapping[tuple[str, str], LeadStatus] = field(default_factory=dict)
    human_edit_wins: frozenset[Result] = frozenset({Result.OWNER, Result.STATUS})
    score_step: int = 5
    task_in: TaskIn | None = None
    task_due: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One version of the policy. ``version`` is its content hash, ``scoring_hash`` that of the parts that score."""

    name: str
    version: str
    scoring_hash: str
    timezone: str
    suppress: tuple[SuppressLine, ...]
    models: tuple[Model, ...]
    hand_raise: EventMatch
    routing: tuple[Route, ...]
    write: WritePlan
    team: Team
    custom: Mapping[str, Fact] = field(default_factory=dict)
    seniority: tuple[tuple[str, tuple[str, ...]], ...] = ()
    free_mail: frozenset[str] | None = None
