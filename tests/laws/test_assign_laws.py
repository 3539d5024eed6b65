"""Laws of the draw: shares, batches, order, and who never gets anybody."""

from __future__ import annotations

from collections import Counter as Tally
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.records import Crm, Owner, OwnerKind
from scoring.policy import Route, Target, TargetKind
from scoring.team import NobodyFree, Pool, PoolMethod, PoolRep, Queue, Rep, Team
from sync.assign import Assigned, assign
from sync.owners import OwnerDirectory
from sync.pools import Candidate, Counter

START = datetime(2026, 6, 15, 12, tzinfo=UTC)
ROUTING = (Route(name="all", when=None, to=Target(kind=TargetKind.POOL, name="p")),)
Key = tuple[str, str]


def email(n: int) -> str:
    return f"rep{n}@acme.com"


def team(weights: list[int], *, left: frozenset[int] = frozenset(), method: PoolMethod = PoolMethod.WEIGHTED) -> Team:
    return Team(
        reps={email(n): Rep(email=email(n), name=email(n), left=n in left) for n in range(len(weights))},
        pools={
            "p": Pool(
                name="p",
                method=method,
                nobody_free=NobodyFree(queue="q"),
                reps=tuple(PoolRep(email=email(n), weight=w) for n, w in enumerate(weights)),
            )
        },
        queues={"q": Queue(name="q")},
    )


def directory(of: Team, *, inactive: frozenset[int] = frozenset()) -> OwnerDirectory:
    owners = [
        Owner(
            crm=Crm.HUBSPOT,
            id=str(n),
            kind=OwnerKind.USER,
            email=email(n).upper(),
            name=email(n),
            active=n not in inactive,
        )
        for n in range(len(of.reps))
    ]
    return OwnerDirectory(owners=owners, team=of, crms=(Crm.HUBSPOT,))


def people(count: int) -> list[Candidate]:
    return [
        Candidate(
            person_id=f"p-{n}",
            episode=1,
            facts={},
            crms=(Crm.HUBSPOT,),
            total=n * 7919 % 101,
            qualified_at=START + timedelta(minutes=n * 31 % 17),
        )
        for n in range(count)
    ]


def in_batches(
    of: Team, who: OwnerDirectory, everybody: list[Candidate], sizes: list[int]
) -> tuple[list[Assigned], dict[Key, Counter]]:
    """Everybody routed in batches of these sizes, counters handed on, an hour between batches."""
    found: list[Assigned] = []
    counters: dict[Key, Counter] = {}
    at = START
    while everybody:
        size = sizes[len(found) % len(sizes)]
        batch, everybody = everybody[:size], everybody[size:]
        routed = assign(batch, of, ROUTING, who, counters, as_of=at)
        counters = routed.counters
        found += routed.assigned
        at += timedelta(hours=1)
    return found, counters


weights = st.lists(st.integers(1, 1000), min_size=1, max_size=6)
batches = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@given(weights, st.integers(0, 60), batches, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_shares_follow_weights_as_nearly_as_whole_people_can(of, count, sizes, random) -> None:
    """No rep could hand one person to another and bring the two nearer to their weights, in any order and batching."""
    someone = team(of)
    everybody = people(count)
    random.shuffle(everybody)
    found, counters = in_batches(someone, directory(someone), everybody, sizes)
    drawn = Tally(one.owner_key.removeprefix("rep:") for one in found)
    assert sum(drawn.values()) == count
    for a, weight_a in enumerate(of):
        assert counters.get(("p", email(a)), Counter()).assigned == drawn[email(a)]
        for b, weight_b in enumerate(of):
            assert (2 * drawn[email(a)] - 1) * weight_b <= (2 * drawn[email(b)] + 1) * weight_a


@given(st.integers(1, 6), st.integers(0, 60), batches)
@settings(max_examples=40, deadline=None)
def test_even_pools_differ_by_one_at_most(reps, count, sizes) -> None:
    someone = team([100 * (n + 1) for n in range(reps)], method=PoolMethod.EVEN)
    found, _ = in_batches(someone, directory(someone), people(count), sizes)
    drawn = Tally(one.owner_key for one in found)
    shares = [drawn[f"rep:{email(n)}"] for n in range(reps)]
    assert max(shares) - min(shares) <= 1


@given(weights, st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_who_left_or_is_inactive_gets_nobody(of, left, inactive, count) -> None:
    someone = team(of, left=frozenset(left))
    routed = assign(people(count), someone, ROUTING, directory(someone, inactive=frozenset(inactive)), {}, as_of=START)
    found, counters = routed.assigned, routed.counters
    barred = {email(n) for n in left | inactive}
    given_to = {one.owner_key.removeprefix("rep:") for one in found}
    assert not given_to & barred
    assert not {rep for _, rep in counters} & barred
    if {email(n) for n in range(len(of))} <= barred:
        assert given_to == {"queue:q"}


@given(weights, st.integers(0, 30), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_same_people_in_any_order_get_the_same_owners_and_traces(of, count, random) -> None:
    someone = team(of)
    everybody = people(count)
    shuffled = list(everybody)
    random.shuffle(shuffled)
    one = assign(everybody, someone, ROUTING, directory(someone), {}, as_of=START)
    other = assign(shuffled, someone, ROUTING, directory(someone), {}, as_of=START)
    assert one == other


@given(weights, st.integers(1, 1000), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_a_new_rep_is_neither_flooded_nor_starved(of, weight, count) -> None:
    """After joining, a rep is within one person of the level of the others."""
    before = team(of)
    _, counters = in_batches(before, directory(before), people(count), [5])
    after = team([*of, weight])
    levelled = assign(people(1), after, ROUTING, directory(after), counters, as_of=START + timedelta(days=1)).counters
    new, least = levelled["p", email(len(of))].assigned, min(
        (2 * counters["p", email(n)].assigned + 1) / w for n, w in enumerate(of)
    )  # fmt: skip
    assert 2 * new - 3 <= weight * least <= 2 * new + 1 + 1e-6
