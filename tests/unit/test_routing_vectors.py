"""The vectors of routing: the complete example's team, days in November and December 2026, London time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.records import Crm
from scoring.document import read_document
from scoring.load_team import read_team
from scoring.policy import Route, Target, TargetKind
from scoring.team import Team
from sync.assign import Routed, assign
from sync.owners import OwnerDirectory
from sync.pools import Candidate, Counter, Load
from tests.support.owners import listed

LONDON = ZoneInfo("Europe/London")
COMPLETE = (Path(__file__).parents[1] / "support" / "complete" / "team.yaml").read_bytes()

Counters = Mapping[tuple[str, str], Counter]


def team(text: str | bytes) -> Team:
    root = read_document(text.encode() if isinstance(text, str) else text, "team.yaml")
    made = read_team(root)
    assert [str(problem) for problem in root.problems if not problem.warning] == []
    return made


def two_reps(catch_up: str, *, away: str) -> str:
    return f"""\
version: 1
reps: {{ana@acme.com: {{}}, bo@acme.com: {{away: [{away}]}}}}
pools:
  p:
    method: weighted
    nobody_free: queue inbound
    catch_up: {catch_up}
    reps: {{ana@acme.com: {{weight: 1}}, bo@acme.com: {{weight: 1}}}}
queues: {{inbound: {{hubspot: none}}}}
"""


THREE = """\
version: 1
reps: {ana@acme.com: {}, bo@acme.com: {}, cy@acme.com: {}}
pools:
  p:
    method: weighted
    nobody_free: queue inbound
    reps: {ana@acme.com: {weight: 2}, bo@acme.com: {weight: 1}, cy@acme.com: {weight: 1}}
queues: {inbound: {hubspot: none}}
"""


def at(day: int, hour: int, minute: int = 0, second: int = 0, *, month: int = 12, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=LONDON)


class Day:
    """People who come one a minute, each in a run of its own; what pools gave is carried on."""

    def __init__(self, of: Team, pool: str, loads: Mapping[str, Load] | None = None) -> None:
        self.team = of
        self.rules = (Route(name="all", when=None, to=Target(kind=TargetKind.POOL, name=pool)),)
        self.directory = OwnerDirectory(owners=listed(of), team=of, crms=(Crm.HUBSPOT,))
        self.counters: Counters = {}
        self.loads = dict(loads or {})

    def run(self, person_id: str, when: datetime) -> Routed:
        person = Candidate(person_id=person_id, episode=1, facts={}, crms=(Crm.HUBSPOT,), total=1, qualified_at=when)
        routed = assign([person], self.team, self.rules, self.directory, self.counters, as_of=when, loads=self.loads)
        self.counters = routed.counters
        for one in routed.assigned:
            email = one.owner_key.removeprefix("rep:")
            load = self.loads.get(email, Load())
            self.loads[email] = Load(given=(*load.given, when), open=load.open + 1)
        return routed

    def draw(self, prefix: str, count: int, start: datetime) -> str:
        """The first names of who got each of them; ``nobody`` where they have to wait."""
        names: list[str] = []
        for n in range(count):
            routed = self.run(f"{prefix}-{n + 1}", start + timedelta(minutes=n))
            keys = [one.owner_key.removeprefix("rep:").partition("@")[0] for one in routed.assigned]
            names += keys or ["nobody"]
        return " ".join(names)

    def states(self, when: datetime) -> dict[str, str]:
        """First name -> free, or why not."""
        routed = self.run("x", when)
        [one] = [*routed.assigned, *routed.waiting]
        return {row["rep"].partition("@")[0]: row["state"] for row in one.trace["pool"]["reps"]}


def free(states: Mapping[str, str]) -> Sequence[str]:
    return [name for name, state in states.items() if state == "free"]


def test_j1_weight_two_receives_twice_as_many() -> None:
    assert Day(team(THREE), "p").draw("p", 8, at(23, 10, 1, month=11)) == "ana bo cy ana ana bo cy ana"


def test_j2_and_j3_caps_of_a_day_and_the_day_after() -> None:
    day = Day(team(COMPLETE), "emea")
    monday = day.draw("p", 16, at(23, 10, 1, month=11))
    assert monday == "ana cy bo ana ana cy bo ana ana cy bo ana bo bo bo nobody"
    states = day.states(at(23, 11, month=11))
    assert states == {"ana": "at cap 6/6 today", "bo": "at cap 6/6 today", "cy": "at cap 3/3 today"}
    assert day.draw("q", 6, at(24, 10, 1, month=11)) == "ana cy ana ana cy ana"


@pytest.mark.parametrize(
    ("when", "who"), [(at(3, 17, 29, 59), ["ana", "cy"]), (at(3, 17, 30), [])], ids=["17:29:59", "17:30:00"]
)
def test_j4_the_day_ends_at_half_past_five(when: datetime, who: Sequence[str]) -> None:
    assert free(Day(team(COMPLETE), "emea").states(when)) == who


@pytest.mark.parametrize(
    ("when", "who", "state"),
    [
        (at(3, 12, 59), "bo", "free"),
        (at(3, 13), "bo", "away 2026-12-03 13:00-17:30"),
        (at(2, 12, month=1, year=2027), "cy", "away 2026-12-21..2027-01-02"),
        (at(4, 12, month=1, year=2027), "cy", "free"),
        (at(2, 12, month=1, year=2027), "ana", "out of hours"),
        (at(25, 12), "ana", "holiday"),
        (at(28, 12), "ana", "holiday"),
    ],
)
def test_j5_to_j7_the_first_reason_is_recorded(when: datetime, who: str, state: str) -> None:
    assert Day(team(COMPLETE), "emea").states(when)[who] == state


@pytest.mark.parametrize(
    ("catch_up", "first", "second"),
    [("no", "ana ana ana ana", "bo ana bo ana bo ana"), ("yes", "ana ana ana ana", "bo bo bo bo ana bo")],
)
def test_j8_and_j9_who_was_away_is_levelled_or_receives_what_was_missed(catch_up: str, first: str, second: str) -> None:
    day = Day(team(two_reps(catch_up, away="2026-11-23")), "p")
    assert day.draw("d", 4, at(23, 10, month=11)) == first
    assert day.draw("e", 6, at(24, 10, month=11)) == second


def test_j10_least_open_gives_to_who_has_fewest_in_hand() -> None:
    of = team(COMPLETE)
    day = Day(of, "enterprise", {"fay@acme.com": Load(open=3), "gus@acme.com": Load(open=1)})
    assert day.draw("p", 3, at(23, 15, month=11)) == "gus gus fay"
