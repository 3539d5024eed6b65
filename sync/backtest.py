"""A policy against the past: whom it would have made an MQL, when, and what became of them.

Every figure is about episodes that the policy opens when the past is replayed day by day (`sync.replay`), beside those
of the policy in use on the same days. What became of a person is what the store knows today; outcomes that a person had
reached already on the day they qualified prove nothing and are left out.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import select

from scoring.cards import layout_of
from scoring.engine import Engine
from scoring.episodes import TAKEN_ON, SalesState
from scoring.facts import LIFECYCLE_STAGES
from scoring.policy import Policy
from scoring.tables import KNOWN_FROM, KNOWN_UNTIL, Bucket
from sync.gather import GatherRules, OwnerNames, gather
from sync.history import Past
from sync.replay import News, Qualified, Replay, Replayed, World
from sync.store import schema
from sync.store.db import Store
from sync.store.refs import parts

__all__ = ["Backtest", "Judged", "Outcome", "RuleLift", "Share", "Side", "back_test", "wilson"]

Z = 1.959963984540054
"""Standard deviations that hold 95 % of a normal distribution."""


class Outcome(StrEnum):
    """How far sales got with a person; each includes the ones after it.

    accepted  sales accepted, or anything further
    sql       sales qualified: the lifecycle stage, a conversion, the word of sales, an open opportunity
    won       the company or the person is a customer
    """

    ACCEPTED = "accepted"
    SQL = "sql"
    WON = "won"


_ORDER = tuple(Outcome)
_AT_SALES = frozenset(LIFECYCLE_STAGES[LIFECYCLE_STAGES.index("sql") :])
_CUSTOMERS = frozenset(LIFECYCLE_STAGES[LIFECYCLE_STAGES.index("customer") :])


LIFTED = Outcome.SQL
"""The outcome that rules are weighed by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """``k`` of ``n``, with the 95 % interval of Wilson (0..1); without any there is none."""

    k: int
    n: int

    @property
    def value(self) -> float | None:
        return self.k / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return wilson(self.k, self.n) if self.n else None

    def as_json(self) -> dict[str, Any]:
        interval = self.interval
        return {
            "k": self.k,
            "n": self.n,
            "share": None if self.value is None else round(self.value, 4),
            "low": None if interval is None else round(interval[0], 4),
            "high": None if interval is None else round(interval[1], 4),
        }


def wilson(k: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share of ``k`` in ``n`` > 0 (E. B. Wilson, 1927)."""
    p, z2 = k / n, Z * Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An episode and what became of its person.

    reached  what is known today; ``before``: what had been reached already on the day of qualification
    mature   whether the episode is old enough to be judged
    """

    episode: Qualified
    email: str | None
    name: str | None
    reached: Outcome | None
    before: Outcome | None
    mature: bool

    def counts_for(self, outcome: Outcome) -> bool:
        return self.mature and not _has(self.before, outcome)

    def proves(self, outcome: Outcome) -> bool:
        return _has(self.reached, outcome)


def _has(reached: Outcome | None, outcome: Outcome) -> bool:
    return reached is not None and _ORDER.index(reached) >= _ORDER.index(outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One policy's half of the report.

    standing   qualified on the day before the first already; they count nowhere else
    too_young  episodes younger than asked for, not judged
    everybody_because  why everybody had to be scored every day, None: only whoever there was news of
    """

    name: str
    version: str
    judged: tuple[Judged, ...]
    standing: int
    replayed: Replayed

    @property
    def too_young(self) -> int:
        return sum(not one.mature for one in self.judged)

    def shares(self, of: Callable[[Qualified], Iterable[str]]) -> dict[str, dict[Outcome, Share]]:
        """Share of episodes that reached each outcome, by whatever ``of`` names of them."""
        groups: dict[str, list[Judged]] = {}
        for one in self.judged:
            for name in of(one.episode):
                groups.setdefault(name, []).append(one)
        return {name: _shares(each) for name, each in sorted(groups.items())}

    @property
    def precision(self) -> dict[Outcome, Share]:
        return _shares(self.judged)

    def weeks(self) -> dict[date, int]:
        """Monday -> episodes opened in its week, weeks without any included."""
        days = [day.day for day in self.replayed.days]
        found = {monday(day): 0 for day in days}
        for one in self.judged:
            found[monday(one.episode.day)] += 1
        return found


def _shares(judged: Iterable[Judged]) -> dict[Outcome, Share]:
    some = list(judged)
    return {
        outcome: Share(
            k=sum(one.proves(outcome) for one in some if one.counts_for(outcome)),
            n=sum(one.counts_for(outcome) for one in some),
        )
        for outcome in Outcome
    }


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLift:
    """A rule on one past day: how many of those it fired for reached the outcome later, and of the others."""

    rule: str
    group: str
    dimension: str
    fired: Share
    other: Share

    @property
    def lift(self) -> float | None:
        """The ratio of both shares, None where one of them is unknown or nobody else got there."""
        fired, other = self.fired.value, self.other.value
        return fired / other if fired is not None and other else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a policy would have done.

    mature      days an episode must be old to be judged
    lift_day    the day on which rules are weighed, by who got as far as `LIFTED` after it
    """

    since: date
    until: date
    mature: int
    new: Side
    live: Side
    lift_day: date
    lifts: tuple[RuleLift, ...]

    def only(self, side: Side, other: Side) -> tuple[Judged, ...]:
        """Episodes of people whom the other policy did not let in on these days."""
        others = {one.episode.person_id for one in other.judged}
        return tuple(one for one in side.judged if one.episode.person_id not in others)

    def moved(self) -> tuple[tuple[Judged, Judged], ...]:
        """People whom both let in, on another day: (in use, new), by their first episodes."""
        firsts: list[dict[str, Judged]] = []
        for side in (self.live, self.new):
            first: dict[str, Judged] = {}
            for one in side.judged:
                first.setdefault(one.episode.person_id, one)
            firsts.append(first)
        both = [(firsts[0][id], firsts[1][id]) for id in firsts[0] if id in firsts[1]]
        return tuple(pair for pair in both if pair[0].episode.day != pair[1].episode.day)


def back_test(
    store: Store,
    engine: Engine,
    *,
    new: Policy,
    live: Policy,
    prefer: Mapping[str, str],
    owners: OwnerNames,
    since: date,
    until: date,
    today: date,
    mature: int = 30,
    progress: Callable[[str, int, int | None], None] = lambda stage, done, of: None,
) -> Backtest:
    """Replay the days from ``since`` to ``until`` under both policies, and judge what they did by what is known today.

    Raises
    ------
    TooEarly: nothing was kept of ``since``; it says from which day on
    """
    test = _Test(since=since, until=until, today=today, mature=mature, engine=engine, progress=progress)
    pasts = {policy.version: _past(store, policy, prefer, owners) for policy in (live, new)}
    for past in pasts.values():
        past.refuse_before_first(since)
    sides: dict[str, Side] = {}
    for policies in ([live, new],) if pasts[live.version] == pasts[new.version] else ([live], [new]):
        with tempfile.TemporaryDirectory(prefix="mqlsync-past-") as folder:
            test.read(pasts[policies[0].version], Path(folder))
            sides |= {policy.version: test.side(policy) for policy in policies if policy.version not in sides}
            if new in policies:
                lifts = tuple(test.lifts(new))
    return Backtest(
        since=since,
        until=until,
        mature=mature,
        new=sides[new.version],
        live=sides[live.version],
        lift_day=test.lift_day,
        lifts=lifts,
    )


def _past(store: Store, policy: Policy, prefer: Mapping[str, str], owners: OwnerNames) -> Past:
    rules = GatherRules(
        prefer=prefer, seniority=policy.seniority, custom=policy.custom, free_mail=policy.free_mail, owners=owners
    )
    return Past(store=store, rules=rules, zone=ZoneInfo(policy.timezone))


# -- replaying and judging ---------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Test:
    """One back-test under way. ``read`` comes first: policies that gather facts alike share what it wrote."""

    since: date
    until: date
    today: date
    mature: int
    engine: Engine
    progress: Callable[[str, int, int | None], None]
    past: Past = field(init=False)
    world: World = field(init=False)
    news: News = field(init=False)
    buckets: tuple[Bucket, ...] = field(init=False)

    @property
    def lift_day(self) -> date:
        return max(self.since, self.until - timedelta(days=self.mature))

    def read(self, past: Past, folder: Path) -> None:
        """Write down what was known on each day, the day before the first included where there is one."""
        self.progress("read the past", 0, None)
        first = max(self.since - timedelta(days=1), past.first_day() or self.since)
        self.past = past
        self.buckets = past.write(folder, since=first, until=max(self.until, self.today))
        self.world = World.of(past, first=first, since=self.since)
        self.news = News.of(self.buckets)

    def side(self, policy: Policy) -> Side:
        """Replay every day under one policy."""
        bucket = Bucket(
            people=tuple(file for one in self.buckets for file in one.people),
            events=tuple(file for one in self.buckets for file in one.events),
            compacted=True,
            versioned=True,
        )
        replay = Replay(policy=policy, engine=self.engine, bucket=bucket, world=self.world, news=self.news)
        days = (self.until - self.world.first).days + 1
        for n in range(days):
            self.progress(f"replay {policy.name} {policy.version}", n, days)
            day = self.world.first + timedelta(days=n)
            replay.day(day, before_first=day < self.since)
        replayed = replay.replayed
        return Side(
            name=policy.name,
            version=policy.version,
            judged=tuple(self._judged(replayed.qualified)),
            standing=len(replayed.standing),
            replayed=replayed,
        )

    def _judged(self, episodes: Sequence[Qualified]) -> Iterator[Judged]:
        for part in parts(episodes):
            names = self._names([one.person_id for one in part])
            for one in part:
                then, now = (self._reached(one.person_id, end) for end in (self.past.end(one.day), FOREVER))
                email, name = names.get(one.person_id, (None, None))
                yield Judged(
                    episode=one,
                    email=email,
                    name=name,
                    reached=now,
                    before=then,
                    mature=(self.today - one.day).days >= self.mature,
                )

    def _names(self, ids: Sequence[str]) -> dict[str, tuple[str | None, str | None]]:
        p = schema.person.c
        with self.past.store.read() as tx:
            found = tx.execute(select(p.person_id, p.email, p.name).where(p.person_id.in_(ids)))
            return {row.person_id: (row.email, row.name) for row in found}

    def _reached(self, person_id: str, end: datetime) -> Outcome | None:
        """How far sales had got with a person whom the replay has looked at, as far as was known before an instant."""
        found = gather(self.world.person(person_id).before(end), self.past.rules)
        return _furthest(found.facts if found is not None else {}, self.world, person_id, end)

    # -- rules -----------------------------------------------------------------------------------------------

    def lifts(self, policy: Policy) -> Iterator[RuleLift]:
        """Each rule on the day for it: whom it fired for, and how many of them got to sales after that day.

        Everybody counts who was not with sales on that day, whether or not the policy would let them in.
        """
        self.progress("weigh the rules", 0, None)
        fired: dict[tuple[str, str, str], Counter[bool]] = {}
        everybody: Counter[bool] = Counter()
        for bucket in self.buckets:
            won = self._later(bucket)
            table = self.engine.score(policy, bucket, self.lift_day)
            table = table.filter(pc.is_in(table["person_id"], value_set=pa.array(sorted(won), pa.string())))
            later = pa.array([won[id] for id in table["person_id"].to_pylist()], pa.bool_())
            everybody.update(later.to_pylist())
            for dimension in layout_of(table).dimensions:
                for group in dimension.groups:
                    for item in group.items:
                        gave = pc.fill_null(pc.not_equal(table[item.column], 0), False)
                        key = (dimension.score.value, group.name, item.name)
                        fired.setdefault(key, Counter()).update(later.filter(gave.combine_chunks()).to_pylist())
        for (score, group_name, rule), some in fired.items():
            yield RuleLift(
                rule=rule,
                group=group_name,
                dimension=score,
                fired=Share(k=some[True], n=some.total()),
                other=Share(k=everybody[True] - some[True], n=everybody.total() - some.total()),
            )

    def _later(self, bucket: Bucket) -> dict[str, bool]:
        """Whoever was not with sales on the day of the lifts -> whether they have got there since."""
        names = ["person_id", *_FACTS, KNOWN_FROM, KNOWN_UNTIL]
        table = pa.concat_tables([pq.read_table(file, columns=names) for file in bucket.people])
        end = self.past.end(self.lift_day)
        then = pc.and_(
            pc.less_equal(table[KNOWN_FROM], self.lift_day),
            pc.fill_null(pc.greater(table[KNOWN_UNTIL], self.lift_day), True),
        )
        now = pc.is_null(table[KNOWN_UNTIL])
        open_then = {
            row["person_id"]
            for row in table.filter(then).to_pylist()
            if not _has(_furthest(row, self.world, row["person_id"], end), LIFTED)
        }
        return dict.fromkeys(open_then, False) | {
            row["person_id"]: _has(_furthest(row, self.world, row["person_id"], FOREVER), LIFTED)
            for row in table.filter(now).to_pylist()
            if row["person_id"] in open_then
        }


FOREVER = datetime(9999, 1, 1, tzinfo=UTC)

_FACTS = ("person.lifecycle_stage", "person.converted", "company.is_customer", "company.open_opportunities")


def _furthest(facts: Mapping[str, Any], world: World, person_id: str, end: datetime) -> Outcome | None:
    """How far sales got: by the facts, which are of then, and by what sales said and episodes became before ``end``."""
    stage = facts.get("person.lifecycle_stage")
    sales = world.sales.get(person_id)
    said = sales.state if sales is not None and sales.at < end else None
    if facts.get("company.is_customer") or stage in _CUSTOMERS or said is SalesState.WON:
        return Outcome.WON
    own = world.episodes.get(person_id, ())
    ended = any(e.outcome == "sql" and e.closed_at is not None and e.closed_at < end for e in own)
    if (
        stage in _AT_SALES
        or facts.get("person.converted")
        or (facts.get("company.open_opportunities") or 0) > 0
        or said in TAKEN_ON
        or ended
    ):
        return Outcome.SQL
    taken = any(e.accepted_at is not None and e.accepted_at < end for e in own)
    return Outcome.ACCEPTED if taken or said in (SalesState.ACCEPTED, SalesState.WORKING) else None
