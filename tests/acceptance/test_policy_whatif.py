"""`mqlsync policy whatif`: what it says is what publishing the policy and running it does."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sync.candidate import load_candidate
from sync.store import schema
from sync.store.people import load_owner_names, owner_name
from sync.whatif import IN_HAND, Kind, WhatIf, what_if
from tests.support.world import AS_OF, World, edit, world

EDITS: dict[str, tuple[str, str]] = {
    "a wider gate": ("grade: [A1, A2, B1]", "grade: [A1, A2, A3, B1, B2]"),
    "more for clicks": ("points: 3, max: 12", "points: 9, max: 45"),
    "fewer wanted": ("{person.seniority: student}", "{person.country: in home_markets}"),
    "a narrower gate": ("grade: [A1, A2, A3, B1, B2]", "grade: [A1]"),
    "another bound": ("{A: 70, B: 50, C: 30, D: 0}", "{A: 60, B: 40, C: 20, D: 0}"),
    "all wanted again": ("{person.country: in home_markets}", "{person.seniority: student}"),
    "told more": ("      fit:          mql_fit\n", "      fit:          mql_fit\n      model:        mql_model\n"),
}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        # What is compared is what an edit does, however much that is.
        made.edit_settings(("share_of_people_changed: 20%", "share_of_people_changed: 100%"))
        made.run()
        yield made


def edited(scene: World, name: str) -> Path:
    """A directory with the configuration in use and one edit."""
    folder = scene.config.parent / "edited"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(scene.config, folder)
    edit(folder / "policy.yaml", EDITS[name])
    return folder


def asked(scene: World, new: Path) -> WhatIf:
    with scene.opened() as opened:
        policy = load_candidate(opened.loaded, new)
        return what_if(opened.parts, policy, as_of=scene.box.clock.now())


def published(scene: World, new: Path) -> Counter[tuple[str, str]]:
    """(crm, object) -> records that the run under the new policy changed."""
    shutil.copy(new / "policy.yaml", scene.config / "policy.yaml")
    scene.cli("setup", "--yes")
    seen = scene.box.journal.last_seq
    report = scene.run(as_of=scene.box.clock.now())
    assert report.exit_code == 0, report.error
    written = {(e.crm, e.object, e.id) for e in scene.box.journal.since(seen) if e.via == "api"}
    return Counter((str(crm), object.lower().removesuffix("s")) for crm, object, _ in written)


def people(scene: World) -> dict[str, dict[str, Any]]:
    p, a = schema.person.c, schema.assignment.c
    with scene.opened() as opened, opened.parts.store.read() as tx:
        names = load_owner_names(tx)
        drawn = tx.execute(select(a.person_id, a.owner_key).order_by(a.n, a.step))
        owners = {row.person_id: owner_name(row.owner_key, names) for row in drawn}
        rows = tx.execute(select(p.person_id, p.status, p.grade, p.fit, p.engagement, p.total, p.reason)).all()
    return {row.person_id: {**row._mapping, "owner": owners.get(row.person_id)} for row in rows}


@pytest.mark.slow
def test_what_it_says_is_what_publishing_and_running_does(scene: World) -> None:
    """One edit after the other, each on top of the last, every second one on another day."""
    kinds: set[Kind] = set()
    lapsed = 0
    for n, name in enumerate(EDITS):
        scene.box.clock.freeze(AS_OF + timedelta(days=n // 2))
        told = says_what_happens(scene, name, same_day=n % 2 == 1)
        assert told.moved or told.lapsed or name == "told more"
        kinds |= set(told.moved)
        lapsed += len(told.lapsed)
    assert kinds >= {Kind.BECOMES, Kind.SUPPRESSED, Kind.RELEASED, Kind.GRADE}
    assert lapsed


def says_what_happens(scene: World, name: str, *, same_day: bool) -> WhatIf:
    new = edited(scene, name)
    before = people(scene)
    told = asked(scene, new)
    assert people(scene) == before
    written = published(scene, new)
    after = people(scene)

    scored = {id: row for id, row in after.items() if row["status"] is not None}
    assert told.people == len(scored)
    assert {s: n.after for s, n in told.statuses.items() if n.after} == Counter(r["status"] for r in scored.values())
    found = {one.person_id: one for each in told.moved.values() for one in each}
    for id, row in scored.items():
        if (one := found.get(id)) is None:
            assert not same_day or row["status"] == before[id]["status"]
            continue
        assert {n: getattr(one.after, n) for n in ("status", "grade", "fit", "engagement", "total", "reason")} == {
            n: row[n] for n in ("status", "grade", "fit", "engagement", "total", "reason")
        }
        if row["status"] in IN_HAND:
            assert row["owner"] == one.after.owner
    became = {id for id, row in scored.items() if row["status"] in IN_HAND and before[id]["status"] not in IN_HAND}
    assert {one.person_id for one in told.moved.get(Kind.BECOMES, ())} == became
    assert {key: n.after for key, n in told.writes.items() if n.after} == {
        k: n for k, n in written.items() if k[1] != "task"
    }
    assert sum(n.after for n in told.tasks.values()) == sum(n for (_, object), n in written.items() if object == "task")
    assert sum(n.after for n in told.owners.values()) == len(became)
    assert sum(bar.people.after for bar in told.histograms["fit"]) == len(scored)
    return told


def test_the_same_policy_moves_nobody(scene: World) -> None:
    told = asked(scene, scene.config)
    assert (told.moved, told.lapsed, told.grades) == ({}, (), {})
    assert all(n.before == n.after for n in told.writes.values())
