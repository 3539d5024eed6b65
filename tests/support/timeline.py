"""A person's life under a policy, one decision a day at noon, without store or CRM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from scoring import conditions as c
from scoring.cards import Fresh, Scorecard, layout
from scoring.episodes import (
    ClosedEpisode,
    Decision,
    History,
    OpenEpisode,
    Sales,
    SalesState,
    Seen,
    Status,
    Verdict,
)
from scoring.policy import Policy
from scoring.qualify import qualify
from tests.support import oracle

DAY_0 = date(2026, 1, 1)
NOON, ELEVEN = time(12), time(11)


def on(day: int, at: time = NOON) -> datetime:
    """Noon, or another hour, of the day with this number, in UTC."""
    return datetime.combine(DAY_0 + timedelta(days=day), at, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Life:
    """Days are counted from 2026-01-01. Events happen at 11:00, sales and reviewers speak at noon, before the decision.

    events  (day, kind)
    sales   day -> state, or (rejected, reason)
    reject_after  days after every opening on which sales says no, with the reason
    approves_after  days after which time approves whoever waits in review
    idle    days on which nothing is decided
    """

    policy: Policy
    events: Iterable[tuple[int, str]] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    sales: Mapping[int, SalesState | tuple[SalesState, str]] = field(default_factory=dict)
    verdicts: Mapping[int, bool] = field(default_factory=dict)
    reject_after: tuple[int, str] | None = None
    approves_after: int | None = None
    idle: frozenset[int] = frozenset()
    history: History = field(default_factory=History)
    told: list[str] = field(default_factory=list)
    statuses: dict[int, Status] = field(default_factory=dict)
    _sales: Sales | None = None
    _verdict: Verdict | None = None
    _decided: int = -1

    def until(self, last: int) -> list[str]:
        """What happened by the day ``last``, in the words of a timeline: ``day 0 episode 1 (hot)``."""
        for day in range(last + 1):
            self._hear(day)
            if day not in self.idle:
                self.decide(day)
        return self.told

    def _hear(self, day: int) -> None:
        said = self.sales.get(day)
        episode = self.history.open_episode
        if said is None and self.reject_after is not None and episode is not None:
            after, reason = self.reject_after
            if (on(day) - episode.opened_at).days == after:
                said = (SalesState.REJECTED, reason)
        if said is not None:
            state, reason = said if isinstance(said, tuple) else (said, None)
            self._sales = Sales(state=state, at=on(day), reason=reason)
        if day in self.verdicts:
            self._verdict = Verdict(approve=self.verdicts[day], at=on(day), by="mia@acme.com")

    def _events(self) -> list[oracle.Event]:
        return [
            {
                "event_id": f"e{n}",
                "kind": kind,
                "day": on(day).date(),
                "at": on(day, ELEVEN),
                "timed": True,
                "count": 1,
                "attributes": {},
            }
            for n, (day, kind) in enumerate(self.events)
        ]

    def card(self, day: int) -> Scorecard:
        """The day's scorecard, by the oracle."""
        today = on(day).date()
        found = oracle.score(self.policy, dict(self.facts), self._events(), today)
        drop = self.policy.stay is not None and oracle.holds(
            self.policy.stay.drop_when, oracle.View(dict(self.facts), today, [], found.whole, {})
        )
        return Scorecard(
            person_id="p",
            model=found.model,
            suppressed=found.suppressed,
            grade=found.grade,
            fit=found.whole[c.Score.FIT],
            engagement=found.whole[c.Score.ENGAGEMENT],
            total=found.whole[c.Score.TOTAL],
            fit_micro=found.fit.micro,
            engagement_micro=found.engagement.micro,
            total_micro=found.total_micro,
            lines=found.lines,
            known_groups=found.known_groups,
            unknown_groups=found.unknown_groups,
            hand_raise=found.hand_raise,
            needs=tuple(f for f in self.policy.needs if self.facts.get(f) is None),
            drop=drop,
            reach=1,
            layout=layout(self.policy, today),
            values=tuple(0 for _ in layout(self.policy, today).columns),
        )

    def _fresh(self, day: int) -> Fresh | None:
        """What came later than the newest rejection."""
        closed = self.history.closed
        if closed is None or closed.rejected is None:
            return None
        return oracle.fresh(self.policy, dict(self.facts), self._events(), on(day).date(), closed.closed_at)

    def decide(self, day: int) -> None:
        """The decision of one day, after those of all days before."""
        missed = range(self._decided + 1, day)
        seen = Seen(
            sales=self._sales,
            verdict=self._verdict,
            fresh=self._fresh(day),
            missed=tuple((on(d).date(), self.card(d).drop) for d in missed) if self.history.open_episode else (),
        )
        decision = qualify(self.card(day), self.history, seen, policy=self.policy, as_of=on(day))
        self._decided = day
        self._tell(day, decision)
        self.history = self._after(day, decision)
        self.statuses[day] = decision.status

    def _tell(self, day: int, decision: Decision) -> None:
        if decision.closes is not None:
            kind, _, reason = decision.closes.partition(":")
            word = {"faded": "dropped (faded)", "rejected": f"rejected {reason}"}.get(kind, kind)
            self.told.append(f"day {day} {word}")
        if decision.opens is not None:
            self.told.append(f"day {day} episode {decision.opens.n} ({decision.opens.line})")
        elif decision.reason == "too_often" and self.history.reason != "too_often":
            self.told.append(f"day {day} {decision.status} (too_often)")

    def _after(self, day: int, decision: Decision) -> History:
        before, episode, closed = self.history, self.history.open_episode, self.history.closed
        opened = before.opened
        if decision.closes is not None and episode is not None:
            at = decision.closed_at or on(day)
            closed = ClosedEpisode(n=episode.n, outcome=decision.closes, closed_at=at)
            if decision.closes == "suppressed":
                opened = opened[:-1]
            episode = None
        if decision.amends is not None and closed is not None:
            closed = replace(closed, outcome=decision.amends)
        if decision.opens is not None:
            episode = OpenEpisode(
                n=decision.opens.n, line=decision.opens.line, adopted=decision.opens.adopted, opened_at=on(day)
            )
            opened = (*opened, on(day))
        if episode is not None:
            waits = decision.waiting
            due = episode.approves_at
            if waits != episode.waiting:
                due = on(day + self.approves_after) if waits and self.approves_after is not None else None
            episode = replace(episode, waiting=waits, approves_at=due, drop_since=decision.drop_since)
        return History(
            status=decision.status,
            open_episode=episode,
            episodes=before.episodes + (decision.opens is not None),
            reason=decision.reason,
            closed=closed,
            opened=opened,
        )
