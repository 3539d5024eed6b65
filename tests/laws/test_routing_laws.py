"""Laws of routing with hours, leave and caps: nobody gets a person they must not, whatever came before."""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.records import Crm
from scoring import hours as working_time
from scoring.policy import Route, Target, TargetKind, WaitThen
from scoring.team import Away, Delay, Hours, NobodyFree, Pool, PoolMethod, PoolRep, Queue, Rep, Team
from sync.assign import Assigned, Routed, assign
from sync.owners import OwnerDirectory
from sync.pools import Candidate, Counter, Load
from tests.support.owners import listed

START = datetime(2026, 6, 15, tzinfo=UTC)
ZONES = ("UTC", "America/New_York", "Pacific/Kiritimati")
REPS = [f"rep{n}@acme.com" for n in range(4)]


@st.composite
def calendars(draw: st.DrawFn, name: str) -> Hours:
    def day() -> tuple[tuple[int, int], ...]:
        edges = sorted(draw(st.sets(st.integers(0, 24), max_size=4)))
        return tuple((60 * a, 60 * b) for a, b in zip(edges[::2], edges[1::2], strict=False))

    days = tuple(day() for _ in range(7))
    return Hours(name=name, zone=draw(st.sampled_from(ZONES)), days=days, holidays=draw(st.sampled_from([None, "US"])))


@st.composite
def absences(draw: st.DrawFn) -> tuple[Away, ...]:
    begins = draw(st.integers(0, 240))
    start = (START + timedelta(hours=begins)).replace(tzinfo=None)
    away = Away(text="soon", start=start, end=start + timedelta(hours=draw(st.integers(1, 72))))
    return draw(st.sampled_from([(), (away,)]))


cap = st.one_of(st.none(), st.integers(1, 4))
names = st.sampled_from([None, "one", "two"])


@st.composite
def teams(draw: st.DrawFn) -> Team:
    reps = {
        email: Rep(
            email=email,
            name=email,
            left=draw(st.integers(0, 9)) == 0,
            hours=draw(names),
            away=draw(absences()),
            backup=draw(st.sampled_from([None, *(other for other in REPS if other != email)])),
        )
        for email in REPS
    }
    members = [
        PoolRep(email=email, weight=draw(st.integers(1, 300)), per_day=draw(cap), per_week=draw(cap), open=draw(cap))
        for email in REPS
    ]
    wait = draw(st.sampled_from([None, Delay(minutes=120, working=True), Delay(minutes=90, working=False)]))
    pool = Pool(
        name="p",
        method=draw(st.sampled_from(PoolMethod)),
        nobody_free=NobodyFree(queue="q", wait=wait, anyway=wait is None and draw(st.booleans())),
        reps=tuple(members[: draw(st.integers(1, 4))]),
        hours=draw(names),
        catch_up=draw(st.booleans()),
    )
    return Team(
        reps=reps,
        pools={"p": pool},
        queues={"q": Queue(name="q")},
        hours={name: draw(calendars(name)) for name in ("one", "two")},
    )


@st.composite
def rules(draw: st.DrawFn) -> tuple[Route, ...]:
    """Perhaps an owner by name, in any of the ways a rule can go on, then the pool."""
    to_pool = Target(kind=TargetKind.POOL, name="p")
    if_away = draw(
        st.sampled_from(
            ["next rule", "their backup", to_pool, WaitThen(delay=Delay(minutes=60, working=True), then=to_pool)]
        )
    )
    by_name = Route(
        name="by name",
        when=None,
        to=draw(st.sampled_from([Target(kind=TargetKind.REP, name=REPS[0]), Target(kind=TargetKind.PERSON_OWNER)])),
        if_away=if_away,
    )
    last = Route(name="all", when=None, to=to_pool)
    return draw(st.sampled_from([(last,), (by_name, last)]))


def crowd(count: int) -> list[Candidate]:
    return [
        Candidate(
            person_id=f"p-{n}",
            episode=1,
            facts={"person.owner": f"rep:{REPS[n % 4]}"} if n % 3 == 0 else {},
            crms=(Crm.HUBSPOT,),
            total=n * 7919 % 101,
            qualified_at=START + timedelta(minutes=n * 31 % 17),
        )
        for n in range(count)
    ]


class Office:
    """Runs one after the other, each told what the ones before it left; who waits comes again."""

    def __init__(self, team: Team, routing: tuple[Route, ...], inactive: set[str]) -> None:
        self.team, self.routing, self.inactive = team, routing, inactive
        self.directory = OwnerDirectory(owners=listed(team, inactive=inactive), team=team, crms=(Crm.HUBSPOT,))
        self.counters: dict[tuple[str, str], Counter] = {}
        self.loads: dict[str, Load] = {}
        self.given: list[tuple[datetime, Assigned]] = []
        self.waiting: list[Candidate] = []

    def run(self, people: list[Candidate], at: datetime) -> Routed:
        everybody = [*people, *self.waiting]
        routed = assign(everybody, self.team, self.routing, self.directory, self.counters, as_of=at, loads=self.loads)
        assert {one.person_id for one in (*routed.assigned, *routed.waiting)} == {p.person_id for p in everybody}
        self.counters = routed.counters
        since = {one.person_id: one.since for one in routed.waiting}
        self.waiting = [replace(p, waiting_since=since[p.person_id]) for p in everybody if p.person_id in since]
        for one in routed.assigned:
            self.given.append((at, one))
            email = one.owner_key.removeprefix("rep:")
            if one.owner_key.startswith("rep:"):
                load = self.loads.get(email, Load())
                self.loads[email] = Load(given=(*load.given, at) if one.pool else load.given, open=load.open + 1)
        return routed


def calendar(team: Team, email: str) -> Hours | None:
    pool = team.pools["p"]
    of_pool = pool.hours if any(member.email == email for member in pool.reps) else None
    name = team.reps[email].hours or of_pool
    return None if name is None else team.hours[name]


life = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 40)), min_size=1, max_size=8)
"""So many new people, and so many hours until the next run."""


def live(office: Office, turns: list[tuple[int, int]]) -> None:
    at, people = START, crowd(sum(count for count, _ in turns))
    for count, hours in turns:
        office.run(people[:count], at)
        people, at = people[count:], at + timedelta(hours=hours)


@given(teams(), rules(), life, st.sets(st.sampled_from(REPS)))
@settings(max_examples=150, deadline=None)
def test_nobody_gets_a_person_when_they_must_not(team, routing, turns, inactive) -> None:
    """Not who left, is inactive or away, is out of hours (but where a pool says anyway), or is at a cap."""
    office = Office(team, routing, inactive)
    live(office, turns)
    members = {member.email: member for member in team.pools["p"].reps}
    days: Tally[tuple[str, object]] = Tally()
    weeks: Tally[tuple[str, object]] = Tally()
    in_hand: Tally[str] = Tally()
    for at, one in office.given:
        if one.owner_key == "queue:q":
            continue
        email = one.owner_key.removeprefix("rep:")
        hours = calendar(team, email)
        zone = "UTC" if hours is None else hours.zone
        assert not team.reps[email].left
        assert email not in inactive
        wall = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert not any(away.start <= wall < away.end for away in team.reps[email].away)
        assert working_time.is_open(hours, at) or "anyway" in one.trace.get("pool", {})
        in_hand[email] += 1
        member = members.get(email)
        if one.pool is not None:
            day = working_time.local_day(zone, at)
            days[email, day] += 1
            weeks[email, day.isocalendar()[:2]] += 1
        if member is not None:
            assert member.open is None or in_hand[email] <= member.open
    for email, member in members.items():
        assert all(n <= (member.per_day or n) for (who, _), n in days.items() if who == email)
        assert all(n <= (member.per_week or n) for (who, _), n in weeks.items() if who == email)


@given(teams(), rules(), st.integers(0, 25), st.integers(0, 200), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_same_people_in_any_order_get_the_same_owners_waits_and_traces(team, routing, count, hours, random) -> None:
    at, everybody = START + timedelta(hours=hours), crowd(count)
    shuffled = list(everybody)
    random.shuffle(shuffled)
    assert Office(team, routing, set()).run(everybody, at) == Office(team, routing, set()).run(shuffled, at)


@given(teams(), rules(), life)
@settings(max_examples=100, deadline=None)
def test_nobody_waits_longer_than_they_were_told(team, routing, turns) -> None:
    office, told = Office(team, routing, set()), {}
    at, people = START, crowd(sum(count for count, _ in turns))
    for count, hours in turns:
        routed = office.run(people[:count], at)
        for one in routed.waiting:
            assert one.since <= at < one.until
            assert told.setdefault(one.person_id, one.since) == one.since
        people, at = people[count:], at + timedelta(hours=hours)


@given(teams(), life)
@settings(max_examples=100, deadline=None)
def test_a_counter_never_falls_and_grows_by_what_the_pool_gave_or_to_a_level(team, turns) -> None:
    office = Office(team, (Route(name="all", when=None, to=Target(kind=TargetKind.POOL, name="p")),), set())
    at, people = START, crowd(sum(count for count, _ in turns))
    for count, hours in turns:
        before = office.counters
        routed = office.run(people[:count], at)
        drawn = Tally(one.trace["pool"]["pick"] for one in routed.assigned if one.pool is not None)
        raised = {
            (one.pool or "p", row["rep"]): row["after"] - row["before"]
            for one in (*routed.assigned, *routed.waiting)
            for row in one.trace["pool"].get("levelled", ())
        }
        for key, counter in routed.counters.items():
            had = before.get(key, Counter()).assigned
            assert counter.assigned == had + drawn[key[1]] + raised.get(key, 0)
            assert raised.get(key, 0) >= 0
        if team.pools["p"].catch_up or team.pools["p"].method is PoolMethod.LEAST_OPEN:
            assert not raised
        people, at = people[count:], at + timedelta(hours=hours)
