"""Past days decided again under one policy, each with what was known on it.

The deciding is the run's own (`scoring.qualify`, `sync.life`); only people whose scorecard can matter are looked at.
Between two days a person who is in no episode can only be let in by news, unless the policy says otherwise
(`scoring.unprompted`): so on most days few are scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, select

from scoring.cards import Fresh, Scorecard, cards
from scoring.engine import Engine
from scoring.episodes import Decision, Sales, Seen, Status, Verdict
from scoring.facts import LIFECYCLE_STAGES
from scoring.policy import Policy
from scoring.qualify import qualify
from scoring.tables import KNOWN_FROM, KNOWN_UNTIL, Bucket
from scoring.unprompted import opens_unprompted
from sync.history import Past, PersonPast, people_pasts
from sync.life import episodes_after, history_of, rejected_at
from sync.sales import latest, read_stored
from sync.store import schema
from sync.store.decisions import EpisodeRow, PersonState

__all__ = ["DayCount", "News", "Qualified", "Replay", "Replayed", "World", "as_it_stood", "furthest_stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualified:
    """An episode that a policy opened on a past day."""

    person_id: str
    day: date
    line: str
    lines: tuple[str, ...]
    grade: str
    fit: int
    engagement: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCount:
    """One day: episodes opened and closed on it, and open at its end."""

    day: date
    opened: int
    closed: int
    in_hand: int
    scored: int


@dataclass(slots=True)
class Replayed:
    """What one policy did. ``standing``: who qualified on the day before the first, and so did already."""

    policy: Policy
    qualified: list[Qualified] = field(default_factory=list)
    standing: list[Qualified] = field(default_factory=list)
    days: list[DayCount] = field(default_factory=list)
    everybody_because: str | None = None


# -- what does not depend on the policy --------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class News:
    """Of whom something came to be known, by day; and who was a marketing qualified lead in a CRM when first read."""

    by_day: dict[date, list[pa.Array]] = field(default_factory=dict)
    found: dict[date, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, buckets: Sequence[Bucket]) -> News:
        """A day is news for a person when a row begins or ends on it, or an event that was known is dated it."""
        news = cls()
        for bucket in buckets:
            for file in bucket.people:
                columns = ["person_id", "person.lifecycle_stage", KNOWN_FROM, KNOWN_UNTIL]
                table = pq.read_table(file, columns=columns)
                news._add(table["person_id"], table[KNOWN_FROM])
                news._add(table["person_id"], table[KNOWN_UNTIL])
                news._find(table)
            for file in bucket.events:
                table = pq.read_table(file, columns=["person_id", "day", KNOWN_FROM, KNOWN_UNTIL])
                news._add(table["person_id"], pc.max_element_wise(table["day"], table[KNOWN_FROM]))
                news._add(table["person_id"], table[KNOWN_UNTIL])
        return news

    def _add(self, ids: pa.ChunkedArray, days: pa.ChunkedArray) -> None:
        moved = pa.table({"id": ids.cast(pa.string()), "day": days}).drop_null().group_by(["day", "id"]).aggregate([])
        moved = moved.sort_by("day")
        counted = pc.value_counts(moved["day"])
        start = 0
        for one in counted:
            n = one["counts"].as_py()
            some = moved["id"].slice(start, n).combine_chunks()
            self.by_day.setdefault(one["values"].as_py(), []).append(some)
            start += n

    def _find(self, table: pa.Table) -> None:
        """Rows of a person follow one another, oldest first: only the first says how they were found."""
        ids = table["person_id"].cast(pa.string()).combine_chunks()
        if not len(ids):
            return
        first = pa.concat_arrays([pa.array([True]), pc.not_equal(ids[1:], ids[:-1])])
        mql = pc.and_(first, pc.fill_null(pc.equal(table["person.lifecycle_stage"], "mql"), False))
        for row in table.filter(mql).select(["person_id", KNOWN_FROM]).to_pylist():
            self.found.setdefault(row[KNOWN_FROM], set()).add(row["person_id"])

    def on(self, day: date) -> frozenset[str]:
        return frozenset(id for some in self.by_day.get(day, ()) for id in some.to_pylist())


@dataclass(slots=True, kw_only=True)
class World:
    """What the store says of people beside their facts.

    first     the first day that is replayed
    since     the first day that counts: whoever was in hand before it stays so
    sales     the latest word of sales on each person, of which alone is known when it was said
    verdicts  those of marketers, oldest first
    """

    past: Past
    first: date
    since: date
    episodes: Mapping[str, Sequence[EpisodeRow]]
    sales: Mapping[str, Sales]
    verdicts: Mapping[str, Sequence[Verdict]]
    ambiguous: frozenset[str]
    _people: dict[str, PersonPast] = field(default_factory=dict)

    @classmethod
    def of(cls, past: Past, *, first: date, since: date) -> World:
        """Everything but the facts, which are read for whom they are asked."""
        p, e = schema.person.c, schema.episode.c
        own: dict[str, list[EpisodeRow]] = {}
        with past.store.read() as tx:
            for row in tx.execute(select(schema.episode).order_by(e.person_id, e.n)):
                made = EpisodeRow(**{**row._mapping, "lines": tuple(row.lines), "waiting": tuple(row.waiting)})
                own.setdefault(row.person_id, []).append(made)
            ambiguous = frozenset(tx.execute(select(p.person_id).where(p.ambiguous)).scalars())
            sales, verdicts = _sales(tx), _verdicts(tx)
        return cls(
            past=past, first=first, since=since, episodes=own, sales=sales, verdicts=verdicts, ambiguous=ambiguous
        )

    def load(self, ids: Iterable[str]) -> None:
        """Read what is not known yet of these people."""
        wanted = sorted({id for id in ids if id not in self._people})
        if not wanted:
            return
        with self.past.store.read() as tx:
            self._people.update(people_pasts(tx, wanted, self.past.rules))

    def person(self, person_id: str) -> PersonPast:
        return self._people[person_id]

    def found_by_hand(self, day: date) -> frozenset[str]:
        """Whom a run took over as an MQL of the CRM on this day."""
        return frozenset(
            id for id, own in self.episodes.items() if own[0].adopted and self.past.day(own[0].opened_at) == day
        )

    def seen(self, person_id: str, day: date) -> Seen:
        """What the CRMs and marketers had said by the end of a day."""
        end = self.past.end(day)
        past = self.person(person_id)
        targets = [r for r in past.before(end).records if r.target and not r.gone and person_id not in self.ambiguous]
        own = self.episodes.get(person_id, ())
        found = own[0] if own and own[0].adopted and own[0].opened_at < end else None
        sales, verdicts = self.sales.get(person_id), self.verdicts.get(person_id, ())
        return Seen(
            crm_status=None if found is None else _found_as(found),
            lifecycle_stage=furthest_stage(r.facts.get("person.lifecycle_stage") for r in targets),
            converted=any(r.facts.get("person.converted") is True for r in targets),
            owner_known=found is not None,
            sales=sales if sales is not None and sales.at < end else None,
            verdict=next((v for v in reversed(verdicts) if v.at < end), None),
        )

    def at_the_start(self) -> dict[str, list[EpisodeRow]]:
        """The episodes that had begun before the first day that counts, as they stood then, by person."""
        start = self.past.end(self.since - timedelta(days=1))
        found = {
            id: [as_it_stood(episode, start) for episode in own if episode.opened_at < start]
            for id, own in self.episodes.items()
        }
        return {id: own for id, own in found.items() if own}


def _sales(tx: Connection) -> dict[str, Sales]:
    link, record = schema.link.c, schema.record
    joined = select(link.person_id, record.c.sales).join(
        record, (record.c.conn == link.conn) & (record.c.object == link.object) & (record.c.id == link.id)
    )
    found: dict[str, Sales] = {}
    for row in tx.execute(joined.where(record.c.gone.is_(False), record.c.sales.is_not(None))):
        word = latest([found.get(row.person_id), read_stored(row.sales)])
        if word is not None:
            found[row.person_id] = word
    return found


def _verdicts(tx: Connection) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = {}
    for row in tx.execute(select(schema.verdict).order_by(schema.verdict.c.seq)):
        made = Verdict(approve=row.approve, at=row.at, by=row.by, why=row.why)
        found.setdefault(row.person_id, []).append(made)
    return found


def furthest_stage(stages: Iterable[Any]) -> str | None:
    """The furthest lifecycle stage that is one."""
    return max((s for s in stages if s in LIFECYCLE_STAGES), key=LIFECYCLE_STAGES.index, default=None)


def _found_as(episode: EpisodeRow) -> str:
    """The status that the CRM showed, as far as an adopted episode tells."""
    taken = episode.accepted_at is not None and episode.accepted_at == episode.opened_at
    return Status.ACCEPTED if taken else Status.MQL


_CAME: Mapping[str, tuple[str, ...]] = {
    "closed_at": ("outcome",),
    "approved_at": ("approved_by",),
    **dict.fromkeys(("assigned_at", "touched_at", "accepted_at", "won_at", "lost_at"), ()),
}
"""Time of an episode -> what came with it."""


def as_it_stood(episode: EpisodeRow, start: datetime) -> EpisodeRow:
    """An episode as it stood at an instant: what came later is not known yet."""
    later: dict[str, Any] = {}
    for time, what in _CAME.items():
        at = getattr(episode, time)
        if at is not None and at >= start:
            later |= dict.fromkeys((time, *what))
    episode = replace(episode, **later)
    return replace(episode, drop_since=None) if episode.closed_at is None else episode


def _status_in(newest: EpisodeRow) -> Status:
    if newest.closed_at is not None:
        return Status.NOT_YET
    return Status.ACCEPTED if newest.accepted_at is not None else Status.MQL


def nobody(person_id: str, status: Status | None) -> PersonState:
    """Somebody of whom nothing was decided but a status."""
    return PersonState(
        person_id=person_id, email=None, name=None, ambiguous=False, dirty=None, status=status, status_since=None,
        reason=None, fit=None, engagement=None, total=None, grade=None, model=None, scored_day=None,
        policy_version=None, episodes=0, open_episode=None, assignment=None, targets=(),
    )  # fmt: skip


def with_episodes(person: PersonState, own: Sequence[EpisodeRow]) -> PersonState:
    """The same person with these episodes, in the order they began."""
    closed = [episode for episode in own if episode.closed_at is not None]
    return replace(
        person,
        episodes=own[-1].n if own else 0,
        open_episode=own[-1] if own and own[-1].closed_at is None else None,
        closed_episode=closed[-1] if closed else None,
        opened=tuple(e.opened_at for e in own if not e.adopted and e.outcome != "suppressed"),
    )


# -- one policy --------------------------------------------------------------------------------------------------

HELD = "held"
"""Stands for whoever the episode would have been given to: from the same run on somebody has it."""


@dataclass(slots=True, kw_only=True)
class Replay:
    """Replays days, one after the other, under one policy.

    bucket  everybody, with what was known on each day
    """

    policy: Policy
    engine: Engine
    bucket: Bucket
    world: World
    news: News
    replayed: Replayed = field(init=False)
    _people: dict[str, PersonState] = field(init=False)
    _own: dict[str, list[EpisodeRow]] = field(init=False)
    _watched: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.replayed = Replayed(policy=self.policy, everybody_because=opens_unprompted(self.policy))
        self._own = self.world.at_the_start()
        self._people = {id: with_episodes(nobody(id, _status_in(own[-1])), own) for id, own in self._own.items()}
        self._watched = {id for id, person in self._people.items() if not self._rests(person)}

    def _rests(self, person: PersonState) -> bool:
        """Whether nothing but being suppressed can move somebody in hand: no wait, no word of sales, no ``stay``."""
        episode = person.open_episode
        in_hand = episode is not None and not episode.waiting
        return in_hand and self.policy.stay is None and person.person_id not in self.world.sales

    def day(self, day: date, *, before_first: bool = False) -> None:
        """Decide one day; every day that follows it is the next.

        ``before_first``: the day before those that are asked for; whoever qualifies on it stood there already.
        """
        asked = None
        if day != self.world.first and self.replayed.everybody_because is None:
            asked = self.news.on(day) | self._watched
        table = self.engine.score(self.policy, self.bucket, day, only=asked)
        opened, closed = 0, 0
        for card, person, decision in self._decided(table, day):
            rows = self._after(person, card, decision, day)
            closed += decision.closes is not None
            if decision.opens is None or decision.opens.adopted:
                continue
            opened += 1
            made = rows[-1]
            into = self.replayed.standing if before_first else self.replayed.qualified
            into.append(
                Qualified(
                    person_id=made.person_id,
                    day=day,
                    line=made.line,
                    lines=made.lines,
                    grade=made.grade,
                    fit=made.fit,
                    engagement=made.engagement,
                    total=made.total,
                )
            )
        if not before_first:
            in_hand = sum(person.open_episode is not None for person in self._people.values())
            self.replayed.days.append(
                DayCount(day=day, opened=opened, closed=closed, in_hand=in_hand, scored=table.num_rows)
            )

    def _decided(self, table: pa.Table, day: date) -> Iterator[tuple[Scorecard, PersonState, Decision]]:
        """The people whose scorecard can change anything, with what becomes of them."""
        found = self.world.found_by_hand(day) | self.news.found.get(day, set())
        watched = pa.array(sorted({*self._watched, *found}), pa.string())
        resting = pa.array(sorted(self._people.keys() - self._watched - found), pa.string())
        free, rests = pc.is_null(table["suppressed"]), pc.is_in(table["person_id"], value_set=resting)
        # Whoever rests is looked at when suppressed, everybody else when not.
        gate = pc.and_(pc.xor(free, rests), pc.or_(rests, pc.greater(table["lines"], 0)))
        some = table.filter(pc.or_(gate, pc.is_in(table["person_id"], value_set=watched)))
        ids = some["person_id"].to_pylist()
        self.world.load(ids)
        people = {id: self._people.get(id) or nobody(id, self._status(id, day)) for id in ids}
        fresh = self._fresh(people.values(), day)
        as_of = self._as_of(day)
        for card in cards(some):
            person = people[card.person_id]
            seen = replace(self.world.seen(card.person_id, day), fresh=fresh.get(card.person_id))
            owner = HELD if person.open_episode is not None and not person.open_episode.waiting else None
            decision = qualify(card, history_of(person, owner), seen, policy=self.policy, as_of=as_of)
            if card.person_id in self.world.ambiguous and decision.opens is not None:
                continue
            yield card, person, decision

    def _status(self, person_id: str, day: date) -> Status | None:
        """None on the day a person is read for the first time: only then the CRMs' own status is taken over."""
        first = self.world.past.day(self.world.person(person_id).first_read())
        return None if first == day else Status.NOT_YET

    def _fresh(self, people: Iterable[PersonState], day: date) -> Mapping[str, Fresh]:
        since = {p.person_id: at for p in people if p.open_episode is None and (at := rejected_at(p)) is not None}
        if self.policy.recycle is None or not since:
            return {}
        return self.engine.fresh(self.policy, self.bucket, day, since)

    def _as_of(self, day: date) -> datetime:
        return self.world.past.end(day) - timedelta(microseconds=1)

    def _after(self, person: PersonState, card: Scorecard, decision: Decision, day: date) -> list[EpisodeRow]:
        """Remember what became of a person who is or was in an episode."""
        rows = episodes_after(person, card, decision, policy=self.policy, as_of=self._as_of(day), run_id="back-test")
        own = {episode.n: episode for episode in self._own.get(person.person_id, ())}
        own |= {row.n: row for row in rows}
        if own or decision.status is Status.REVIEW:
            stays = replace(person, status=decision.status, reason=decision.reason, scored_day=day.isoformat())
            self._own[person.person_id] = [own[n] for n in sorted(own)]
            now = self._people[person.person_id] = with_episodes(stays, self._own[person.person_id])
            (self._watched.discard if self._rests(now) else self._watched.add)(person.person_id)
        return rows
