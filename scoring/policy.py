"""The policy as types: what the four YAML files say once nothing is left to parse.

`scoring.load` makes a `Policy` from text; the compiler, the gate, assignment and planning read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from scoring.conditions import Condition, Dimension, EventMatch, Span
from scoring.facts import Fact
from scoring.tables import FactValue
from scoring.team import Delay, Team

__all__ = [
    "Bands",
    "Example",
    "ExampleEvent",
    "Expected",
    "GateLine",
    "Grade",
    "LeadStatus",
    "Model",
    "Nurture",
    "Policy",
    "Reason",
    "Recycle",
    "Result",
    "Review",
    "Route",
    "Sla",
    "Stay",
    "SuppressLine",
    "Target",
    "TargetKind",
    "TaskIn",
    "WaitThen",
    "WritePlan",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressLine:
    """``tell``: who gets a task about it, once a person and reason (an owner or a queue)."""

    name: str
    test: Condition
    tell: Target | None = None


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
    """One routing rule. ``if_away``: ``their backup``, ``next rule``, or where else the person goes."""

    name: str
    when: Condition | None
    to: Target
    if_away: str | Target | WaitThen = "next rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitThen:
    """``wait 2 working hours then queue inbound``."""

    delay: Delay
    then: Target


# -- the life of an MQL ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """When an open episode ends by itself: ``drop_when`` true without a break for ``lasting``, none younger than
    ``at_least``, none whose status is in ``never_drop_in``."""

    drop_when: Condition
    lasting: Span
    at_least: Span
    never_drop_in: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Who waits for a marketer.

    lines         named conditions as in the gate
    sample        share of everybody else, in hundredths of a percent
    hours         the calendar of team.yaml that ``auto_approve_after`` is counted in
    if_rejected   the recycle reason of a reviewer's no; None: `Recycle.no_reason`
    """

    lines: tuple[GateLine, ...] = ()
    sample: int = 0
    hand_raise_skips: bool = False
    auto_approve_after: Delay | None = None
    hours: str | None = None
    if_rejected: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What follows when sales says no for this reason. ``fresh_points`` in whole points; ``nurture`` is a track."""

    name: str
    wait: Span | None = None
    fresh_points: int | None = None
    nurture: str | None = None
    never: bool = False
    send_to_review: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycle:
    """``at_most``: how many episodes may open within a span. ``no_reason``: the reason when sales gives none."""

    reasons: tuple[Reason, ...] = ()
    no_reason: str | None = None
    hand_raise_skips_wait: bool = False
    at_most: tuple[int, Span] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nurture:
    """Tracks for who is not with sales. ``near_within``: whole points short of a gate line that make a person near."""

    tracks: tuple[str, ...] = ()
    near_within: int | None = None
    near_track: str | None = None
    faded: str | None = None
    pause_in: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sla:
    """How soon sales must touch an MQL. ``then``: the queue after ``give_up_after`` reassignments."""

    first_touch: Delay
    reassign_after: Delay | None = None
    give_up_after: int | None = None
    then: Target | None = None


# -- examples ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleEvent:
    """``at`` None: noon, in the policy's timezone, of ``days_ago`` days before the example's date."""

    kind: str
    days_ago: int = 0
    at: datetime | date | None = None
    count: int = 1
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come out; None is not asked. ``mql``, ``suppressed``: a line's name, or ``no``.

    ``route``: the target of the first routing rule that is true, as the file says it. ``points`` in whole points by the
    name of a group or dimension. ``missing``: what the person lacks to qualify, in words.
    """

    grade: str | None = None
    fit: str | None = None
    engagement: str | None = None
    total: str | None = None
    model: str | None = None
    mql: str | None = None
    suppressed: str | None = None
    needs: tuple[str, ...] | None = None
    review: tuple[str, ...] | None = None
    route: str | None = None
    missing: str | None = None
    points: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A made-up person and what the policy must say of them. ``facts`` are parsed, without the derived ones.

    ``as_of`` None: noon of 2026-06-15 in the policy's timezone. ``place``: file, line, column and path of each key of
    ``expect`` (and of the example itself, under an empty key), for reporting.
    """

    name: str
    facts: Mapping[str, FactValue]
    events: tuple[ExampleEvent, ...]
    expect: Expected
    as_of: datetime | None = None
    place: Mapping[str, tuple[str, int, int, str]] = field(default_factory=dict, compare=False)


class Result(StrEnum):
    """What can be written to a CRM property (``write.<crm>.<object>``).

    REVIEW is not among what policy.yaml writes: it is the property by which fields.yaml lets a marketer answer a
    review, and it is only ever cleared.
    """

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
    NURTURE = "nurture"
    PAUSED = "paused"
    MISSING = "missing"
    LIFECYCLE = "lifecycle"
    LEAD_STATUS = "lead_status"
    REVIEW = "review"


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
    """One version of the policy.

    version       its content hash
    scoring_hash  of the parts that decide about people: another one asks for everybody to be decided again
    routing_hash  of routing, sla and team: another one counts for later assignments
    write_hash    of the section ``write``
    lists         their items as the files say them, sorted; conditions hold them already, in stored form
    needs         facts without which a qualified person waits in review
    """

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
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    review: Review | None = None
    stay: Stay | None = None
    recycle: Recycle | None = None
    nurture: Nurture | None = None
    sla: Sla | None = None
    examples: tuple[Example, ...] = ()
    routing_hash: str = ""
    write_hash: str = ""
