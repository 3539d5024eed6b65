"""What routing reads of the store and leaves there, and that a run which breaks leaves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from connectors.records import Crm, Owner, OwnerKind, RecordRef
from scoring.team import Rep, Team
from sync import run
from sync.account_match import Account
from sync.assign import Waiting
from sync.owners import OwnerDirectory
from sync.pools import Counter, Load
from sync.store import people, routing, schema
from sync.store.db import Store
from tests.support.world import AS_OF, World, edit, world

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ANA, BO = "ana@acme.com", "bo@acme.com"
TEAM = Team(reps={email: Rep(email=email, name=email) for email in (ANA, BO)})


def user(crm: Crm, id: str, email: str) -> Owner:
    return Owner(crm=crm, id=id, kind=OwnerKind.USER, email=email, name=email, active=True)


DIRECTORY = OwnerDirectory(
    owners=[user(Crm.HUBSPOT, "1", ANA), user(Crm.HUBSPOT, "2", BO), user(Crm.SALESFORCE, "005A", ANA)],
    team=TEAM,
    crms=(Crm.HUBSPOT, Crm.SALESFORCE),
)


def episode(store: Store, person_id: str, n: int = 1, *, closed: bool = False) -> None:
    given = {"line": "fit", "lines": [], "grade": "A1", "fit": 1, "engagement": 1, "total": 1, "policy_version": "v"}
    more = {"opened_at": NOW, "adopted": False, "run_id": "r", "closed_at": NOW if closed else None}
    with store.write() as tx:
        tx.execute(insert(schema.episode).values(person_id=person_id, n=n, **given, **more))


def assigned(
    store: Store, person_id: str, owner: str, *, step: int = 1, n: int = 1, days: int = 0, pool: str | None = "p"
) -> None:
    given = {"why": "all", "pool": pool, "trace": {}, "policy_version": "v"}
    with store.write() as tx:
        tx.execute(
            insert(schema.assignment).values(
                person_id=person_id, n=n, step=step, owner_key=owner, decided_at=NOW - timedelta(days=days), **given
            )
        )


def record(store: Store, crm: Crm, object: str, id: str, owner: str | None, **more: Any) -> None:
    given: dict[str, Any] = {
        "emails": [], "facts": {}, "current": {}, "counters": {}, "cross_refs": [], "owner": owner, "gone": False,
        "input_hash": "", "version": "", "problems": [], "touched": False,
        "modified_at": NOW, "inputs_at": NOW, "first_seen_at": NOW, "seen_at": NOW,
    }  # fmt: skip
    with store.write() as tx:
        tx.execute(insert(schema.record).values(conn=crm, object=object, id=id, **(given | more)))


def linked(
    store: Store, person_id: str, crm: Crm, object: str, id: str, owner: str | None, role: str = "target"
) -> None:
    record(store, crm, object, id, owner)
    row = {"conn": crm, "object": object, "id": id, "person_id": person_id, "role": role}
    with store.write() as tx:
        tx.execute(insert(schema.link).values(method="alone", confidence=1.0, **row))


def loads(store: Store) -> Mapping[str, Load]:
    with store.read() as tx:
        return routing.load_loads(tx, DIRECTORY, as_of=NOW)


# -- what reps have in hand --------------------------------------------------------------------------------------


def test_only_what_pools_gave_these_days_counts_for_caps(store: Store) -> None:
    for number, (days, pool) in enumerate([(0, "p"), (6, "other"), (1, None), (30, "p")]):
        episode(store, f"p{number}", closed=True)
        assigned(store, f"p{number}", f"rep:{ANA}", days=days, pool=pool)
    assert loads(store) == {ANA: Load(given=(NOW - timedelta(days=6), NOW), open=0)}


def test_an_open_episode_is_whose_newest_assignment_it_is(store: Store) -> None:
    episode(store, "a")
    assigned(store, "a", f"rep:{ANA}", days=20)
    assigned(store, "a", f"rep:{BO}", step=2, days=20)
    episode(store, "b", closed=True)
    assigned(store, "b", f"rep:{BO}", days=20)
    episode(store, "c")
    assigned(store, "c", "queue:inbound", days=20, pool=None)
    assert loads(store) == {BO: Load(open=1)}


def test_what_a_crm_says_more_counts_too_and_nobody_twice(store: Store) -> None:
    episode(store, "mine")
    assigned(store, "mine", f"rep:{ANA}", days=20)
    linked(store, "mine", Crm.HUBSPOT, "contact", "1", "1")
    linked(store, "mine", Crm.SALESFORCE, "lead", "1", "005A")
    episode(store, "found")  # adopted: no assignment of ours
    linked(store, "found", Crm.HUBSPOT, "contact", "2", "2")
    linked(store, "found", Crm.SALESFORCE, "lead", "2", "005A", role="shadow")
    linked(store, "no episode", Crm.HUBSPOT, "contact", "3", "2")
    assert {email: load.open for email, load in loads(store).items()} == {ANA: 1, BO: 1}


def test_the_open_people_of_a_rep_are_those_whose_last_step_is_theirs(store: Store) -> None:
    for person_id, steps in {"a": [ANA], "b": [ANA, BO], "c": [BO, ANA], "d": [ANA]}.items():
        episode(store, person_id, closed=person_id == "d")
        for step, email in enumerate(steps, 1):
            assigned(store, person_id, f"rep:{email}", step=step)
    with store.read() as tx:
        assert routing.open_of(tx, f"rep:{ANA}") == ["a", "c"]


# -- counters and waits ------------------------------------------------------------------------------------------


def test_counters_come_back_as_they_were_left(store: Store) -> None:
    counters = {
        ("p", ANA): Counter(assigned=3, last_at=NOW, weight=250, missed=True),
        ("p", BO): Counter(),
    }
    with store.write() as tx:
        routing.save_counters(tx, counters)
    with store.read() as tx:
        assert routing.load_counters(tx) == counters


def wait(person_id: str, n: int = 1, **more: Any) -> Waiting:
    given = {"since": NOW, "until": NOW + timedelta(hours=2), "why": "all", "trace": {}}
    return Waiting(person_id=person_id, episode=n, **(given | more))


def test_a_wait_ends_with_an_assignment_or_with_the_episode(store: Store) -> None:
    episode(store, "waits", 2)
    episode(store, "given")
    assigned(store, "given", f"rep:{ANA}")
    episode(store, "closed", closed=True)
    with store.write() as tx:
        routing.save_waits(tx, [wait("waits", 2), wait("waits"), wait("given"), wait("closed"), wait("gone")])
        routing.forget_waits(tx)
        assert routing.load_waits(tx) == {("waits", 2): NOW}
        routing.save_waits(tx, [wait("waits", 2, why="other")])
        assert [row.why for row in routing.waiting(tx)] == ["other"]
        assert routing.waiting(tx, "somebody else") == []


@pytest.mark.parametrize(("own", "waits"), [(False, {("survivor", 1): NOW}), (True, {})])
def test_who_turns_out_to_be_somebody_else_waits_on_with_the_episode(
    store: Store, own: bool, waits: dict[tuple[str, int], datetime]
) -> None:
    episode(store, "loser")
    if own:
        episode(store, "survivor")
    with store.write() as tx:
        routing.save_waits(tx, [wait("loser")])
        people.merge_people(tx, "loser", "survivor", at=NOW)
        routing.forget_waits(tx)
        assert routing.load_waits(tx) == waits


def test_accounts_that_somebody_owns_are_found_with_plain_domains(store: Store) -> None:
    named = {"company.domain": "https://www.Pine.example/about", "company.name": "Pine"}
    record(store, Crm.SALESFORCE, "account", "1", "005A", facts=named)
    record(store, Crm.SALESFORCE, "account", "2", None, facts=named)
    record(store, Crm.SALESFORCE, "account", "3", "005A", facts=named, gone=True)
    record(store, Crm.HUBSPOT, "company", "4", "2", facts={"company.domain": "no domain"})
    with store.read() as tx:
        found = routing.load_accounts(tx, DIRECTORY)
    pine = RecordRef(crm=Crm.SALESFORCE, object="account", id="1")
    other = RecordRef(crm=Crm.HUBSPOT, object="company", id="4")
    assert sorted(found, key=lambda a: a.ref) == [
        Account(ref=other, domain=None, name=None, owner_key=f"rep:{BO}"),
        Account(ref=pine, domain="pine.example", name="Pine", owner_key=f"rep:{ANA}"),
    ]


# -- whole runs --------------------------------------------------------------------------------------------------

LEFT = (schema.assignment, schema.pool_counter, schema.routing_wait)


def left(scene: World) -> dict[str, list[Any]]:
    with scene.opened() as opened, opened.parts.store.read() as tx:
        return {t.name: tx.execute(select(t).order_by(*t.primary_key.columns)).all() for t in LEFT}


def half_there(scene: World) -> None:
    """Some are drawn for, some wait: one pool is open, the other one is not yet."""
    shut = "method: even, hours: later, nobody_free: wait 2 working hours then queue inbound"
    edit(
        scene.config / "team.yaml",
        ("hours:\n", "hours:\n  later: {zone: UTC, mon-fri: 14:00-18:00}\n"),
        ("pools:\n", f"pools:\n  shut: {{{shut}, reps: {{ines.duarte@yourcompany.example: {{}}}}}}\n"),
    )
    rule = "  - {name: elsewhere, when: {company.employees: from 500}, to: pool shut}\n"
    edit(scene.config / "policy.yaml", ("  - {name: everyone else,", f"{rule}  - {{name: everyone else,"))


def broken(*how: Any, **more: Any) -> None:
    raise MemoryError("after everything was decided")


def test_a_run_that_breaks_after_the_draw_leaves_nothing_and_the_next_draws_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(tmp_path / "undisturbed", people=150) as scene:
        half_there(scene)
        scene.run()
        undisturbed = left(scene)
    assert all(undisturbed.values()), {name: len(found) for name, found in undisturbed.items()}
    with world(tmp_path / "broken", people=150) as scene:
        half_there(scene)
        with monkeypatch.context() as patched:
            patched.setattr(run.people, "settle_dirty", broken)
            with pytest.raises(MemoryError):
                scene.run()
        assert not any(left(scene).values())
        scene.run(dry_run=True)
        assert not any(left(scene).values())
        scene.run()
        assert left(scene) == undisturbed
        scene.run(as_of=AS_OF)
        assert left(scene) == undisturbed
