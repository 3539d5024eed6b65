"""Whoever needs no decision is left out in bulk; everything is as if everybody had been decided one by one."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sync import quiet, run
from sync.decide import Decider
from sync.store import schema
from tests.support.world import AS_OF, World, differences, edit, world

TABLES = (schema.person, schema.episode, schema.assignment, schema.pool_counter, schema.desired, schema.acked)


def contents(scene: World) -> dict[str, list[dict[str, Any]]]:
    with scene.opened() as opened, opened.parts.store.read() as tx:
        return {
            table.name: [
                {name: value for name, value in row._mapping.items() if name not in ("run_id", "at")}
                for row in tx.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in TABLES
        }


def live(scene: World) -> Iterator[str]:
    """Three days and an edit of the rules in between; people do things and change."""
    portal = scene.box.hubspot
    ids = sorted(portal.ids("contacts"))
    yield "first"
    scene.box.clock.freeze(AS_OF + timedelta(days=1))
    portal.edit("contacts", ids[0], {"jobtitle": "Student", "country": "Germany"})
    portal.edit("contacts", ids[1], {"mql_fit": "99"})
    yield "next day"
    edit(scene.config / "policy.yaml", ("from vp: 25, from director: 22", "from vp: 25, from director: 12"))
    yield "new points"
    scene.box.clock.freeze(AS_OF + timedelta(days=30))
    yield "a month later"
    edit(scene.config / "policy.yaml", ("  competitor:       {person.email_domain: in competitors}\n", ""))
    edit(scene.config / "policy.yaml", ("      fit:          mql_fit\n", ""))
    yield "told less"


def tell(folder: Path) -> tuple[list[Any], list[Any]]:
    """What every run of that life answered and left, and how many people it looked at one by one."""
    told, looked = [], []
    with world(folder, people=60) as scene:
        for _ in live(scene):
            as_of = scene.box.clock.now()
            with scene.opened() as opened:
                report = opened.run("sync", as_of=as_of)
            told.append([report.decided.people, dict(report.decided.statuses), report.writes, contents(scene)])
            looked.append(LOOKED.copy())
            LOOKED.clear()
    return told, looked


LOOKED: list[str] = []


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    LOOKED.clear()
    qualified = Decider._qualify

    def qualify(self: Decider, tx: Any, cards: Any) -> Any:
        LOOKED.extend(card.person_id for card in cards)
        return qualified(self, tx, cards)

    monkeypatch.setattr(Decider, "_qualify", qualify)


@pytest.mark.slow
@pytest.mark.parametrize("few", [0, 10**9], ids=["by their ids", "everybody between"])
def test_whoever_is_left_out_would_have_stayed_as_they_are(
    few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "FEW", few)
    told, looked = tell(tmp_path / "quick")
    monkeypatch.setattr(run, "QuietPeople", lambda **how: None)
    expected, everybody = tell(tmp_path / "slow")
    assert differences(told, expected) == []
    shares = [len(some) / len(all) for some, all in zip(looked, everybody, strict=True)]
    # The first run knows nobody; what the CRMs are told is then compared anew for everybody.
    assert shares[0] == shares[4] == 1
    assert max(shares[1:4]) < 0.8
