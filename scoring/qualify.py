"""Scorecard and history in, decision out: who is a marketing qualified lead, and who no longer is.

Pure: no clock, no store. A decision says what became of the person and, where an episode begins or ends, that it does;
who gets the person is decided after this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from scoring.cards import Scorecard
from scoring.conditions import Span, Unit
from scoring.episodes import (
    ACCEPTED_BY_SALES,
    ADOPTED,
    APPROVED,
    FADED,
    REJECTED,
    REVIEWER,
    SAMPLE,
    TOO_OFTEN,
    ClosedEpisode,
    Decision,
    EpisodeOpened,
    History,
    OpenEpisode,
    SalesState,
    Seen,
    Status,
)
from scoring.facts import LIFECYCLE_STAGES
from scoring.fades import months_between
from scoring.near import shortfall
from scoring.policy import Policy, Reason
from scoring.review import sampled
from scoring.tables import MICRO, words

__all__ = ["qualify", "reason_for", "rule_of"]

_FOUND = frozenset({Status.MQL, Status.ASSIGNED, Status.ACCEPTED, Status.WORKING, Status.SQL, Status.NEVER})
_OUTCOMES = frozenset({Status.SQL, Status.RECYCLED, Status.NEVER})
_AT_SALES = frozenset(LIFECYCLE_STAGES[LIFECYCLE_STAGES.index("sql") :])
_FRESH_DAYS = 7
"""So long a hand raise takes a person past the review."""

_REASON_LENGTH = 255
_REASONS_SHOWN = 3


def qualify(card: Scorecard, history: History, seen: Seen, *, policy: Policy, as_of: datetime) -> Decision:
    """Decides one person at the instant ``as_of``; the card is for its date in the policy's timezone."""
    case = _Case(card=card, history=history, seen=seen, policy=policy, as_of=as_of)
    return case.outside(history.closed) if history.open_episode is None else case.inside(history.open_episode)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One person at one instant."""

    card: Scorecard
    history: History
    seen: Seen
    policy: Policy
    as_of: datetime

    # -- in an episode, where the gate is not asked --

    def inside(self, episode: OpenEpisode) -> Decision:
        status = self._status_inside(episode)
        # Before suppression: whoever was won is a customer by now, and most policies suppress those.
        sales = self.seen.sales
        if sales is not None and sales.at > episode.opened_at:
            match sales.state:
                case SalesState.SQL | SalesState.WON | SalesState.LOST:
                    return self._decision(Status.SQL, self.history.reason, closes="sql", closed_at=sales.at)
                case SalesState.REJECTED:
                    return self._rejected(episode, self._known_reason(sales.reason), sales.at)
                case SalesState.ACCEPTED | SalesState.WORKING:
                    status = Status(sales.state)
        if self.card.suppressed is not None and status not in ACCEPTED_BY_SALES:
            return self._decision(Status.SUPPRESSED, self.card.suppressed, closes="suppressed", closed_at=self.as_of)
        waiting: tuple[str, ...] = ()
        approved = None
        if status is Status.REVIEW:
            verdict = self.seen.verdict
            if verdict is not None and verdict.at > episode.opened_at and not verdict.approve:
                return self._rejected(episode, REVIEWER, verdict.at)
            approved = self._approved(episode)
            waiting = self._still_waiting(episode) if approved is None else ()
            status = Status.REVIEW if approved is None else Status.MQL
        drop_since = self._drop_since(episode)
        if self._dropped(episode, status, drop_since):
            closed = ClosedEpisode(n=episode.n, outcome=FADED, closed_at=self.as_of)
            return replace(self.outside(closed), closes=FADED, closed_at=self.as_of)
        return self._decision(status, self.history.reason, waiting=waiting, approved=approved, drop_since=drop_since)

    def _status_inside(self, episode: OpenEpisode) -> Status:
        if self.history.status in ACCEPTED_BY_SALES:
            return self.history.status
        if episode.waiting:
            return Status.REVIEW
        return Status.ASSIGNED if episode.owner_key is not None else Status.MQL

    def _rejected(self, episode: OpenEpisode, reason: str, at: datetime) -> Decision:
        """The episode ends, and nothing opens in the same breath, whatever the reason's waiting time."""
        closed = ClosedEpisode(n=episode.n, outcome=f"{REJECTED}{reason}", closed_at=at)
        if self.card.suppressed is not None:
            return self._decision(Status.SUPPRESSED, self.card.suppressed, closes=closed.outcome, closed_at=at)
        if self._with_sales():
            return self._decision(Status.WITH_SALES, None, closes=closed.outcome, closed_at=at)
        status, waiting = self._standing(reason)
        return self._decision(status, f"{closed.outcome}", waiting=waiting, closes=closed.outcome, closed_at=at)

    def _standing(self, reason: str) -> tuple[Status, tuple[str, ...]]:
        """Where a rejection leaves a person, and what a marketer is waited for."""
        rule = rule_of(self.policy, reason)
        if rule is not None and rule.never:
            return Status.NEVER, ()
        if rule is not None and rule.send_to_review:
            return Status.REVIEW, (reason,)
        return Status.RECYCLED, ()

    def _known_reason(self, given: str | None) -> str:
        """The reason as the policy names it: CRMs show ``Not ready`` or ``not_ready``."""
        recycle = self.policy.recycle
        said = "_".join(words(given).split()) if given else ""
        if recycle is None:
            return said or "no_reason"
        by_words = {"_".join(words(r.name).split()): r.name for r in recycle.reasons}
        return by_words.get(said) or recycle.no_reason or said or "no_reason"

    # -- review --

    def _review(self, n: int) -> tuple[str, ...]:
        """Why the n-th episode has to wait for a marketer; empty: approved at once."""
        if self.card.needs:
            return tuple(f"needs {fact}" for fact in self.card.needs)
        review = self.policy.review
        if review is None or (review.hand_raise_skips and self._raised_lately()):
            return ()
        if self.card.review:
            return self.card.review
        return (SAMPLE,) if sampled(self.policy.name, self.card.person_id, n, review.sample) else ()

    def _raised_lately(self) -> bool:
        day = self.card.hand_raise
        return day is not None and (self._today - day).days < _FRESH_DAYS

    def _still_waiting(self, episode: OpenEpisode) -> tuple[str, ...]:
        """Facts that were needed may be known by now: then the other questions are asked, once."""
        if any(why.startswith("needs ") for why in episode.waiting):
            return self._review(episode.n)
        skips = self.policy.review is not None and self.policy.review.hand_raise_skips
        return () if skips and self._raised_lately() else episode.waiting

    def _approved(self, episode: OpenEpisode) -> str | None:
        """Who lets the episode pass now, None: it waits on."""
        verdict = self.seen.verdict
        if verdict is not None and verdict.approve and verdict.at > episode.opened_at:
            return verdict.by
        waiting = self._still_waiting(episode)
        if not waiting:
            return "rule"
        needed = any(why.startswith("needs ") for why in (*waiting, *episode.waiting))
        due = episode.approves_at is not None and self.as_of >= episode.approves_at
        return "time" if due and not needed else None

    # -- stay --

    def _drop_since(self, episode: OpenEpisode) -> date | None:
        """Since when ``drop_when`` has been true without a break, made-up days included."""
        if self.policy.stay is None:
            return None
        since = episode.drop_since
        for day, true in (*self.seen.missed, (self._today, self.card.drop)):
            since = (since or day) if true else None
        return since

    def _dropped(self, episode: OpenEpisode, status: Status, drop_since: date | None) -> bool:
        """An adopted episode is never dropped: it was not opened by this gate."""
        stay = self.policy.stay
        if stay is None or drop_since is None or episode.adopted or status in stay.never_drop_in:
            return False
        return self._passed(drop_since, stay.lasting) and self._passed(self._date(episode.opened_at), stay.at_least)

    # -- in no episode --

    def outside(self, closed: ClosedEpisode | None) -> Decision:
        found = self._found() if self.history.status is None else None
        if Status.SQL in (found, self.history.status) if closed is None else closed.outcome == "sql":
            return self._decision(Status.SQL, self.history.reason)
        if self.card.suppressed is not None and found not in ACCEPTED_BY_SALES:
            return self._decision(Status.SUPPRESSED, self.card.suppressed)
        if self._with_sales():
            return self._decision(Status.WITH_SALES, None)
        if closed is not None and closed.rejected is not None:
            return self._recycling(closed, closed.rejected)
        if closed is None and self.history.status in _OUTCOMES:
            return self._decision(self.history.status, self.history.reason)
        if found is Status.NEVER:
            return self._decision(found, None)
        if found is not None:
            opened = EpisodeOpened(n=self._next, line=ADOPTED, lines=self.card.lines, adopted=True)
            return self._decision(self._adopted_status(found), None, opens=opened)
        if not self.card.lines:
            return self._not_yet()
        last = self._date(closed.closed_at) if closed is not None else date.min
        return self._gate(closed, raised=self.card.hand_raise is not None and self.card.hand_raise > last)

    def _found(self) -> Status | None:
        """The status of a person of whom somebody had decided before mqlsync came, or before its store was lost."""
        known = (self.seen.crm_status or "").strip().casefold()
        if known in _FOUND:
            return Status(known)
        return Status.MQL if self.seen.lifecycle_stage == Status.MQL else None

    def _with_sales(self) -> bool:
        return self.seen.lifecycle_stage in _AT_SALES or self.seen.converted

    def _adopted_status(self, found: Status) -> Status:
        """As far as sales has come stays; before that, having an owner makes the difference."""
        sales = self.seen.sales
        if sales is not None and sales.state in (SalesState.ACCEPTED, SalesState.WORKING):
            return Status(sales.state)
        if found in ACCEPTED_BY_SALES:
            return found
        return Status.ASSIGNED if self.seen.owner_known else Status.MQL

    def _recycling(self, closed: ClosedEpisode, reason: str) -> Decision:
        """After a rejection: its waiting time, and points that are fresh; or a hand raise."""
        sales, amends = self.seen.sales, None
        if sales is not None and sales.at > closed.closed_at:
            match sales.state:
                case SalesState.SQL | SalesState.WON | SalesState.LOST:
                    return self._decision(Status.SQL, self.history.reason, amends="sql")
                case SalesState.ACCEPTED | SalesState.WORKING:
                    return self._decision(Status.WITH_SALES, None)
                case SalesState.REJECTED if sales.reason is not None and self._known_reason(sales.reason) != reason:
                    reason = self._known_reason(sales.reason)
                    amends = f"{REJECTED}{reason}"
        verdict = self.seen.verdict
        rule = rule_of(self.policy, reason)
        if rule is not None and rule.send_to_review and verdict is not None and verdict.at > closed.closed_at:
            if verdict.approve:
                return replace(self._open(waiting=()), approved=verdict.by)
            amends, reason = f"{REJECTED}{REVIEWER}", REVIEWER
            rule = rule_of(self.policy, reason)
        if rule is not None and not rule.never and not rule.send_to_review and self.card.lines:
            skips = self.policy.recycle is not None and self.policy.recycle.hand_raise_skips_wait
            if self._rested(rule, closed) or (skips and self._raised_since):
                return replace(self._gate(closed, raised=self._raised_since), amends=amends)
        status, waiting = self._standing(reason)
        return self._decision(status, f"{REJECTED}{reason}", waiting=waiting, amends=amends)

    def _rested(self, rule: Reason, closed: ClosedEpisode) -> bool:
        waited = rule.wait is None or self._passed(self._date(closed.closed_at), rule.wait)
        points = self.seen.fresh.points if self.seen.fresh is not None else 0
        return waited and points >= (rule.fresh_points or 0)

    @property
    def _raised_since(self) -> bool:
        """Whether the person has asked for sales since the newest rejection."""
        return self.seen.fresh is not None and self.seen.fresh.raised

    def _gate(self, closed: ClosedEpisode | None, *, raised: bool) -> Decision:
        """A line is true. ``raised``: the person has asked for sales since the last episode."""
        limit = self.policy.recycle.at_most if self.policy.recycle is not None else None
        if (
            limit is not None
            and sum(not self._passed(self._date(at), limit[1]) for at in self.history.opened) >= limit[0]
        ):
            verdict = self.seen.verdict
            said = verdict is not None and closed is not None and verdict.at > closed.closed_at
            if said and verdict is not None and verdict.approve:
                return replace(self._open(waiting=()), approved=verdict.by)
            if raised and not said:
                return self._decision(Status.REVIEW, TOO_OFTEN, waiting=(TOO_OFTEN,))
            return self._decision(Status.RECYCLED, TOO_OFTEN)
        return self._open(waiting=self._review(self._next))

    def _open(self, *, waiting: tuple[str, ...]) -> Decision:
        line = self.card.lines[0] if self.card.lines else APPROVED
        opened = EpisodeOpened(n=self._next, line=line, lines=self.card.lines, adopted=False)
        status = Status.REVIEW if waiting else Status.MQL
        return self._decision(status, reason_for(self.card, line), opens=opened, waiting=waiting)

    def _not_yet(self) -> Decision:
        nurture = self.policy.nurture
        short = shortfall(self.policy, self.card) if nurture is not None and nurture.near_within is not None else None
        if short is not None and nurture is not None and short.points <= (nurture.near_within or 0):
            return self._decision(Status.NEAR, None, near=short.points)
        return self._decision(Status.NOT_YET, None)

    # -- small things --

    @property
    def _next(self) -> int:
        return self.history.episodes + 1

    @property
    def _today(self) -> date:
        return date.fromisoformat(self.card.layout.day)

    def _date(self, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.policy.timezone)).date()

    def _passed(self, since: date, span: Span) -> bool:
        if span.unit is Unit.DAY:
            return (self._today - since).days >= span.n
        return months_between(since, self._today) >= span.n

    def _decision(
        self,
        status: Status,
        reason: str | None,
        *,
        opens: EpisodeOpened | None = None,
        closes: str | None = None,
        closed_at: datetime | None = None,
        amends: str | None = None,
        waiting: tuple[str, ...] = (),
        approved: str | None = None,
        drop_since: date | None = None,
        near: int | None = None,
    ) -> Decision:
        card = self.card
        return Decision(
            person_id=card.person_id,
            status=status,
            reason=reason if reason is None else reason[:_REASON_LENGTH],
            opens=opens,
            closes=closes,
            closed_at=closed_at,
            amends=amends,
            waiting=waiting,
            approved=approved,
            drop_since=drop_since,
            near=near,
            fit=card.fit,
            engagement=card.engagement,
            total=card.total,
            grade=card.grade,
            model=card.model,
        )


def rule_of(policy: Policy, reason: str) -> Reason | None:
    """The rule of ``recycle`` for the reason of a rejection; None where it has none.

    A reviewer's no follows ``review.if_rejected``, else ``recycle.no_reason``.
    """
    recycle = policy.recycle
    if recycle is None:
        return None
    if reason == REVIEWER:
        reason = (policy.review.if_rejected if policy.review else None) or recycle.no_reason or ""
    return next((rule for rule in recycle.reasons if rule.name == reason), None)


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
