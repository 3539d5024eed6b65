"""A candidate in the shadow: it decides nothing, breaks nothing, and says what a run by it would decide."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sync import shadow
from sync.store import schema
from tests.support.shell import mqlsync
from tests.support.world import AS_OF, World, differences, edit, world

NOW = ("--as-of", AS_OF.isoformat())
PEOPLE = 120

CANDIDATE = (
    ("A: 70, B: 50, C: 30", "A: 60, B: 40, C: 30"),
    (
        "asked_for_sales: {event: hand_raise, within: 7 days, fit: [A, B, C]}",
        "asked_for_sales: {event: demo_request, within: 7 days, fit: [A]}",
    ),
    ("student:          {person.seniority: student}", "student:          {person.seniority: [student, individual]}"),
)
"""Lets some in whom the policy in use keeps out, and keeps out some whom it lets in."""


def candidate(scene: World, *replacements: tuple[str, str]) -> str:
    file = scene.config.parent / "candidate.yaml"
    file.write_text((scene.config / "policy.yaml").read_text())
    edit(file, *replacements)
    return str(file)


def policy(scene: World, *arguments: str) -> Any:
    return mqlsync("policy", *arguments, scene=scene)


def episodes(scene: World) -> dict[str, tuple[str, str]]:
    """Who became an MQL, by which line and with which grade."""
    e = schema.episode.c
    with scene.opened() as opened, opened.parts.store.read() as tx:
        found = tx.execute(select(e.person_id, e.line, e.grade).where(e.adopted.is_(False))).all()
    return {row.person_id: (row.line, row.grade) for row in found}


def reasons(scene: World) -> dict[str, str]:
    p = schema.person.c
    with scene.opened() as opened, opened.parts.store.read() as tx:
        return dict(tx.execute(select(p.person_id, p.reason)).all())


def grades(scene: World) -> Mapping[str, str]:
    p = schema.person.c
    with scene.opened() as opened, opened.parts.store.read() as tx:
        return dict(tx.execute(select(p.person_id, p.grade)).all())


def a_contact(scene: World) -> str:
    """The id of a HubSpot contact who is one person with nobody else."""
    r = schema.record.c
    with scene.opened() as opened, opened.parts.store.read() as tx:
        one = select(r.id).where(r.conn == "hubspot", r.object == "contact", r.gone.is_(False)).order_by(r.id).limit(1)
        return str(tx.execute(one).scalar_one())


def test_the_report_is_what_a_run_of_the_candidate_decides_and_the_run_is_undisturbed(tmp_path: Path) -> None:
    with world(tmp_path / "shadowed", people=PEOPLE) as scene:
        begun = policy(scene, "shadow", candidate(scene, *CANDIDATE), "--note", "a wider A")
        assert begun.code == 0, begun.err
        assert mqlsync("run", *NOW, scene=scene).code == 0
        told = policy(scene, "shadow", "--json").json
        in_use, in_use_grades, shadowed = episodes(scene), grades(scene), scene.box.state()
        text = policy(scene, "shadow").out
    with world(tmp_path / "alone", people=PEOPLE) as scene:
        assert mqlsync("run", *NOW, scene=scene).code == 0
        assert differences(scene.box.state(), shadowed) == [], "the shadow showed in a CRM"
    with world(tmp_path / "published", people=PEOPLE) as scene:
        (scene.config / "policy.yaml").write_text(Path(candidate(scene, *CANDIDATE)).read_text())
        assert mqlsync("run", *NOW, scene=scene).code == 0
        by_candidate, its_reasons, its_grades = episodes(scene), reasons(scene), grades(scene)
    everybody = told["everybody"]
    become = {one["person_id"]: one for one in everybody["become"]["first"]}
    stop = {one["person_id"]: one for one in everybody["stop"]["first"]}
    assert become.keys() == by_candidate.keys() - in_use.keys()
    assert stop.keys() == in_use.keys() - by_candidate.keys()
    assert min(len(become), len(stop)) > 0, "the candidate has to let somebody in and keep somebody out"
    assert (everybody["become"]["count"], everybody["stop"]["count"]) == (len(become), len(stop))
    assert everybody["opened"] == [len(in_use), len(by_candidate)]
    assert {i: one["why"] for i, one in become.items()} == {i: its_reasons[i] for i in become}
    assert {i: tuple(one["grades"]) for i, one in (become | stop).items()} == {
        i: (in_use_grades[i], its_grades[i]) for i in become | stop
    }
    moved = [(in_use_grades[i], its_grades[i]) for i in its_grades if its_grades[i] != in_use_grades[i]]
    assert {(before, after): n for before, after, n in everybody["grades"]} == {m: moved.count(m) for m in moved}
    for bars in everybody["histograms"].values():
        assert sum(n for _, n, _ in bars) == sum(n for _, _, n in bars) == everybody["people"]
    for one in become.values():
        assert f"{one['name']}  {one['grades'][0]} -> {one['grades'][1]}  {one['why']}" in text


def test_a_run_over_those_who_changed_compares_those_and_a_day_makes_a_trend(tmp_path: Path) -> None:
    with world(tmp_path, people=40) as scene:
        policy(scene, "shadow", candidate(scene, *CANDIDATE))
        assert "No run has scored everybody since" in policy(scene, "shadow").out
        assert mqlsync("run", *NOW, scene=scene).code == 0
        contact = a_contact(scene)
        scene.box.clock.move(timedelta(seconds=5))
        scene.box.hubspot.edit("contacts", contact, {"jobtitle": "Chief Executive Officer"})
        assert mqlsync("run", *NOW, scene=scene).code == 0
        told = policy(scene, "shadow", "--json").json
        (since,) = told["since"]
        assert 0 < since["people"] < 5
        assert told["everybody"]["people"] > 30
        assert len(told["trend"]) == 1
        scene.box.clock.move(timedelta(days=1))
        later = (AS_OF + timedelta(days=1)).isoformat()
        assert mqlsync("run", "--as-of", later, scene=scene).code == 0
        told = policy(scene, "shadow", "--json").json
        assert [run["as_of"] for run in told["trend"]] == ["2026-11-25T12:00:00Z", "2026-11-26T12:00:00Z"]
        assert "Trend, of runs over everybody:" in policy(scene, "shadow").out


def test_a_candidate_that_breaks_is_a_warning_and_the_run_goes_on(tmp_path: Path, monkeypatch) -> None:
    with world(tmp_path, people=15) as scene:
        policy(scene, "shadow", candidate(scene, *CANDIDATE))

        def broken(*_: object) -> None:
            raise ZeroDivisionError("kim@example.com")

        monkeypatch.setattr(shadow.Comparison, "add", broken)
        answer = mqlsync("run", "--json", *NOW, scene=scene)
        assert answer.code == 0
        (warning,) = answer.json["warnings"]
        assert warning.endswith("was not compared: ZeroDivisionError while it was scored")
        assert answer.json["writes"] > 0
        assert policy(scene, "shadow", "--json").json["everybody"] is None


def test_facts_that_are_gathered_otherwise_end_the_comparison_with_a_reason(tmp_path: Path) -> None:
    with world(tmp_path, people=15) as scene:
        policy(scene, "shadow", candidate(scene, *CANDIDATE))
        edit(scene.config / "policy.yaml", ("timezone: UTC", "timezone: Asia/Tokyo"))
        answer = mqlsync("run", "--json", *NOW, scene=scene)
        assert answer.code == 0
        assert "its timezone is UTC, but the days of all events are those of Asia/Tokyo" in answer.json["warnings"][0]


@pytest.mark.parametrize(
    ("replacement", "said"),
    [
        (("timezone: UTC", "timezone: Asia/Tokyo"), "its timezone is Asia/Tokyo, but the days of all events"),
        (("[gmail.com, googlemail.com,", "[googlemail.com,"), "its list free_mail is another one"),
        (("from 200: 30", "form 200: 30"), "did you mean 'from 200'?"),
        (("version: 1", "version: 1  # the same"), "means the same as the policy in use"),
    ],
)
def test_what_cannot_be_compared_is_refused_at_once(tmp_path: Path, replacement, said) -> None:
    with world(tmp_path, people=1, setup=False) as scene:
        answer = policy(scene, "shadow", candidate(scene, replacement))
        assert answer.code in (1, 3)
        assert said in answer.err


def test_a_shadow_that_ended_is_compared_no_more_and_stays_to_be_read(tmp_path: Path) -> None:
    with world(tmp_path, people=15) as scene:
        policy(scene, "shadow", candidate(scene, *CANDIDATE))
        assert mqlsync("run", *NOW, scene=scene).code == 0
        assert policy(scene, "shadow", "--off").out == "The shadow ended.\n"
        assert policy(scene, "shadow", "--off").out == "There was no shadow.\n"
        assert mqlsync("run", *NOW, scene=scene).code == 0
        told = policy(scene, "shadow", "--json").json
        assert told["candidate"]["ended_at"] is not None
        assert len(told["trend"]) == 1
        assert told["since"] == []
        both = policy(scene, "shadow", "candidate.yaml", "--off")
        assert both.code == 2


def test_a_plan_compares_nothing(tmp_path: Path) -> None:
    with world(tmp_path, people=10) as scene:
        policy(scene, "shadow", candidate(scene, *CANDIDATE))
        assert mqlsync("plan", *NOW, scene=scene).code == 0
        assert policy(scene, "shadow", "--json").json["everybody"] is None
