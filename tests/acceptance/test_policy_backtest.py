"""`mqlsync policy backtest`: replaying days finds what running on those days did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from sync.backtest import Backtest, Outcome, Side, back_test
from sync.candidate import load_candidate
from sync.history import TooEarly
from sync.store import schema
from sync.store.people import load_owner_names
from tests.support.world import AS_OF, World, edit, world

DAYS = 7
FIRST = AS_OF.date()
TODAY = FIRST + timedelta(days=DAYS - 1)


def form(scene: World, name: str) -> str:
    return next(guid for guid, one in scene.box.hubspot.forms.items() if one.name == name)


def ask(scene: World, contact: str, name: str) -> None:
    """A form that was sent an hour ago."""
    portal = scene.box.hubspot
    values = {"email": portal.get("contacts", contact)["email"]}
    portal.add_submission(form(scene, name), scene.box.clock.now() - timedelta(hours=1), values)


def met(scene: World, lead: str, days_ago: int) -> None:
    """A meeting and a call that somebody writes down only now."""
    at = scene.box.clock.now() - timedelta(days=days_ago)
    salesforce = scene.box.salesforce
    owner = salesforce.get("Lead", lead)["OwnerId"]
    call = {"WhoId": lead, "OwnerId": owner, "Subject": "Call", "Type": "Call", "TaskSubtype": "Call"}
    done = {"Status": "Completed", "ActivityDate": at.date().isoformat(), "CallType": "Inbound"}
    salesforce.add("Task", call | done)
    meeting = {"WhoId": lead, "OwnerId": owner, "Subject": "Meeting", "Type": "Meeting", "DurationInMinutes": 30}
    times = {"StartDateTime": at.isoformat(), "ActivityDateTime": at.isoformat(), "ActivityDate": at.date().isoformat()}
    salesforce.add("Event", meeting | times)


def contacts_of(scene: World) -> list[str]:
    portal = scene.box.hubspot
    return [id for id in sorted(portal.ids("contacts"), key=int) if portal.get("contacts", id).get("email")]


def leads_of(scene: World) -> list[str]:
    leads = scene.box.salesforce.all("Lead")
    return [lead["Id"] for lead in leads if not lead["IsConverted"] and not lead.get("IsDeleted")]


GOOD = {"Title": "VP Sales", "Country": "US", "Industry": "Technology", "NumberOfEmployees": 300}


def spring(scene: World) -> Iterator[None]:
    """A day after the other: people ask for demos, change jobs, become customers, late or on time."""
    portal, salesforce = scene.box.hubspot, scene.box.salesforce
    ids, leads = contacts_of(scene), leads_of(scene)
    for n in range(DAYS):
        scene.box.clock.freeze(AS_OF + timedelta(days=n))
        good, early = ids[2 * n], ids[2 * n + 1]
        portal.edit("contacts", good, {"jobtitle": "VP Sales", "country": "Germany"})
        ask(scene, good, "Request a demo")
        portal.edit("contacts", early, {"jobtitle": "Student"})
        ask(scene, early, "Contact sales")
        salesforce.edit("Lead", leads[n], GOOD)
        met(scene, leads[n], days_ago=n)
        if n >= 2:
            portal.edit("contacts", ids[2 * n - 3], {"jobtitle": "Director of Sales", "country": "Germany"})
            salesforce.edit("Lead", leads[n - 2], {"Title": "Student"})
        if n >= 3:
            portal.edit("contacts", ids[2 * n - 6], {"lifecyclestage": "opportunity"})
        yield


@dataclass(slots=True)
class Lived:
    """A world after its days. ``who``: contact or lead -> person."""

    scene: World
    who: dict[str, str]


def live(folder: Path, *edits: tuple[str, str]) -> Iterator[Lived]:
    with world(folder, people=60) as scene:
        for change in edits:
            edit(scene.config / "policy.yaml", change)
        for _ in spring(scene):
            report = scene.run(as_of=scene.box.clock.now())
            assert report.exit_code in (0, 5), report.error
        with scene.opened() as opened, opened.parts.store.read() as tx:
            who = dict(tx.execute(select(schema.link.c.id, schema.link.c.person_id)).all())
        yield Lived(scene=scene, who=who)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    yield from live(tmp_path_factory.mktemp("lived"))


EDIT = ("grade: [A1, A2, B1]", "grade: [A1, A2, A3, A4, B1, B2, B3]")


@pytest.fixture(scope="module")
def otherwise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """The same people on the same days, under another policy all along."""
    yield from live(tmp_path_factory.mktemp("otherwise"), EDIT)


def asked(scene: World, new: Path | None = None, *, since: date = FIRST, mature: int = 2) -> Backtest:
    with scene.opened() as opened:
        parts = opened.parts
        with parts.store.read() as tx:
            owners = load_owner_names(tx)
        return back_test(
            parts.store,
            parts.engine,
            new=parts.policy if new is None else load_candidate(opened.loaded, new),
            live=parts.policy,
            prefer=parts.fields.prefer,
            owners=owners,
            since=since,
            until=TODAY,
            today=TODAY,
            mature=mature,
        )


def really(scene: World) -> set[tuple[str, date, str]]:
    """The episodes that the runs opened."""
    e = schema.episode.c
    with scene.opened() as opened, opened.parts.store.read() as tx:
        rows = tx.execute(select(e.person_id, e.opened_at, e.line).where(e.adopted.is_(False)))
        return {(row.person_id, row.opened_at.date(), row.line) for row in rows}


def found(side: Side) -> set[tuple[str, date, str]]:
    return {(one.episode.person_id, one.episode.day, one.episode.line) for one in side.judged}


def test_the_policy_in_use_opens_the_episodes_that_its_runs_opened(lived: Lived) -> None:
    ran = really(lived.scene)
    assert len({day for _, day, _ in ran}) > 4
    report = asked(lived.scene)
    assert found(report.new) == found(report.live) == ran
    assert (report.only(report.new, report.live), report.moved()) == ((), ())


def test_another_policy_opens_the_episodes_that_runs_under_it_would_have_opened(lived: Lived, otherwise: Lived) -> None:
    ran = really(otherwise.scene)
    assert ran > really(lived.scene) or ran != really(lived.scene)
    report = asked(lived.scene, otherwise.scene.config / "policy.yaml")
    assert found(report.new) == ran
    assert found(report.live) == really(lived.scene)
    new = {one.episode.person_id for one in report.only(report.new, report.live)}
    assert new == {id for id, _, _ in ran} - {id for id, _, _ in really(lived.scene)} != set()


@pytest.mark.parametrize("days", [2, 5])
def test_a_window_that_begins_later_begins_with_who_was_in_hand_then(lived: Lived, days: int) -> None:
    since = FIRST + timedelta(days=days)
    report = asked(lived.scene, since=since)
    assert found(report.new) == {one for one in really(lived.scene) if one[1] >= since} != set()
    assert report.new.standing == 0
    assert [day.day for day in report.new.replayed.days] == [since + timedelta(days=n) for n in range(DAYS - days)]


def test_who_would_have_qualified_before_the_window_does_not_count_in_it(lived: Lived, otherwise: Lived) -> None:
    since = FIRST + timedelta(days=1)
    report = asked(lived.scene, otherwise.scene.config / "policy.yaml", since=since)
    ran = really(otherwise.scene)
    assert report.new.standing > 0
    assert found(report.new) == {one for one in ran if one[1] >= since}


def test_what_came_late_counts_from_when_it_came_and_a_title_from_when_it_was_changed(lived: Lived) -> None:
    days = {one.episode.person_id: one.episode.day for one in asked(lived.scene).new.judged}
    ids, leads = contacts_of(lived.scene), leads_of(lived.scene)
    late = [n for n in range(DAYS) if days.get(lived.who.get(leads[n], "")) == FIRST + timedelta(days=n)]
    assert len(late) > 2, "meetings of days ago, written down on that day"
    early = [ids[2 * n - 3] for n in range(2, DAYS)]
    turned = [n for n, id in enumerate(early, 2) if days.get(lived.who[id]) == FIRST + timedelta(days=n)]
    assert turned, "a student asks for sales, and two days later is none any more"


def test_what_became_of_them_is_told_with_how_sure_it_is(lived: Lived) -> None:
    report = asked(lived.scene)
    shares = report.new.precision
    mature = [one for one in report.new.judged if one.mature]
    assert report.new.too_young == len(report.new.judged) - len(mature) > 0
    won = {one.episode.person_id for one in mature if one.proves(Outcome.SQL)}
    assert shares[Outcome.SQL].n == len(mature)
    assert shares[Outcome.SQL].k == len(won) > 0
    assert shares[Outcome.WON].k == 0
    low, high = shares[Outcome.SQL].interval or (0, 0)
    assert 0 < low < len(won) / len(mature) < high < 1
    for groups in (report.new.shares(lambda one: [one.grade]), report.new.shares(lambda one: [one.line])):
        assert sum(each[Outcome.SQL].n for each in groups.values()) == len(mature)
    assert sum(report.new.weeks().values()) == len(report.new.judged)


def test_rules_are_weighed_on_everybody_who_was_not_with_sales_yet(lived: Lived) -> None:
    report = asked(lived.scene)
    by_name = {lift.rule: lift for lift in report.lifts}
    assert {lift.fired.n + lift.other.n for lift in report.lifts} == {report.lifts[0].fired.n + report.lifts[0].other.n}
    demo = by_name["asked for a demo"]
    assert 0 < demo.fired.k <= demo.fired.n
    assert demo.lift is None or demo.lift > 1


def test_a_day_before_the_first_is_refused_with_the_first_day(lived: Lived) -> None:
    with pytest.raises(TooEarly, match=f"since {FIRST}"):
        asked(lived.scene, since=FIRST - timedelta(days=1))
