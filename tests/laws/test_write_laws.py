"""Whatever a CRM answers and wherever the process dies: what is wanted arrives once, or is listed with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.records import RecordRef
from sync.store import schema
from sync.store.db import Store
from sync.store.outbox import RowState
from tests.support.outbox_rows import Killed, Scene
from tests.support.scripted import Act
from tests.support.stores import new_store, quick_folder

STATUSES = ("nurture", "mql", "assigned")
SCORES = ("10", "40", "71")
OWNERS = ("rep-1", "rep-2")

RECORDS = 3


@dataclass(frozen=True)
class Plan:
    """Deciding wants these values of a record."""

    record: int
    values: dict[str, str]


@dataclass(frozen=True)
class Edit:
    """A person sets a property in the CRM."""

    record: int
    property: str
    value: str


@dataclass(frozen=True)
class Run:
    """One process that writes, and dies at the passing of a boundary or not at all."""

    dies_at: int | None


@dataclass(frozen=True)
class Wait:
    """So long that parked rows are tried again."""


record = st.integers(0, RECORDS - 1)

plans = st.builds(
    Plan,
    record,
    st.fixed_dictionaries(
        {"status": st.sampled_from(STATUSES)},
        optional={"score": st.sampled_from(SCORES), "owner": st.sampled_from(OWNERS)},
    ),
)

edits = st.one_of(
    st.builds(Edit, record, st.just("status"), st.just("disqualified")),
    st.builds(Edit, record, st.just("owner"), st.just("somebody")),
    st.builds(Edit, record, st.just("score"), st.just("99")),
)

runs = st.builds(Run, st.one_of(st.none(), st.integers(1, 9)))

steps = st.lists(st.one_of(plans, plans, runs, runs, edits, st.just(Wait())), min_size=1, max_size=12)

acts = st.sampled_from([act for act in Act if act not in (Act.CONVERT, Act.DELETE, Act.KEEP, Act.ARRIVE_LATE)])

scripts = st.tuples(*[st.lists(acts, max_size=8)] * RECORDS)

task_scripts = st.tuples(
    *[st.lists(st.sampled_from([Act.TAKE_SILENTLY, Act.LOSE, Act.LOCK, Act.REFUSE]), max_size=5)] * RECORDS
)

unhurried = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Told:
    """Every value that a property of a record ever had in the CRM, to hold `acked` against."""

    scene: Scene
    refs: list[RecordRef]

    def __post_init__(self) -> None:
        self.held: dict[tuple[RecordRef, str], set[str | None]] = {}
        self.look()

    def look(self) -> None:
        for ref in self.refs:
            for name, value in self.scene.crm.values[ref].items():
                self.held.setdefault((ref, name), set()).add(value)
        for ref, fields in self.scene.crm.confirmed:
            for name, value in fields.items():
                self.held.setdefault((ref, name), set()).add(value)

    def check(self) -> None:
        self.look()
        for ref in self.refs:
            for name, value in self.scene.acked(ref).items():
                assert value in self.held[ref, name], f"{ref} {name}: {value!r} was never there"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """One for all examples, which empty it: opening one costs more than an example."""
    with quick_folder() as folder:
        opened = new_store(folder)
        yield opened
        opened.close()


def made(store: Store) -> tuple[Scene, list[RecordRef], Told]:
    with store.write() as tx:
        for table in (schema.outbox, schema.acked, schema.desired, schema.conflict, schema.fight):
            tx.execute(table.delete())
    scene = Scene(store=store)
    refs = [scene.crm.add(str(n), status=None, score=None, owner=None) for n in range(RECORDS)]
    return scene, refs, Told(scene, refs)


def play(scene: Scene, refs: list[RecordRef], told: Told, steps: Sequence[object]) -> None:
    for step in steps:
        match step:
            case Plan(record=n, values=values):
                scene.decide(refs[n], **values)
            case Edit(record=n, property=name, value=value):
                scene.crm.values[refs[n]][name] = value
            case Run(dies_at=boundary):
                scene.kill_at = boundary
                with suppress(Killed):
                    scene.write()
                scene.kill_at = None
            case Wait():
                scene.clock.forward(days=1)
        told.check()


def one_more_run(scene: Scene) -> None:
    """Pull, decide, write; nobody dies. Twice, because writing can show an edit that deciding has to take in."""
    for _ in range(2):
        for ref in scene.wanted:
            scene.decide(ref)
        scene.write()


def recover(scene: Scene) -> None:
    """The CRM answers every question from now on."""
    for script in scene.crm.scripts.values():
        script.clear()
    scene.release = "another"


def of_people(scene: Scene) -> dict[tuple[str, str], str | None]:
    """(record, property) -> what a person made of it."""
    return {(row.id, row.field): row.theirs for row in scene.conflicts() if row.kind == "human edit"}


def given_up(scene: Scene) -> set[tuple[str, str]]:
    """(record, property) of what somebody else wrote too often."""
    return {(row.id, row.field) for row in scene.conflicts() if row.kind == "fight"}


@unhurried
@given(steps=steps, scripts=scripts)
def test_every_wanted_value_arrives_or_stands_back_for_a_person(
    store: Store, steps: list[object], scripts: tuple[list[Act], ...]
) -> None:
    scene, refs, told = made(store)
    for ref, script in zip(refs, scripts, strict=True):
        scene.crm.script(ref, *script)
    play(scene, refs, told, steps)
    recover(scene)
    one_more_run(scene)
    told.check()
    assert scene.rows() == []
    theirs = of_people(scene)
    for ref, wanted in scene.wanted.items():
        now = scene.crm.values[ref]
        for name, value in wanted.items():
            stands = theirs.get((ref.id, name)) == now[name] or (ref.id, name) in given_up(scene)
            assert now[name] == value or stands, (ref, name, now, wanted)
    calls = len(scene.crm.sends)
    one_more_run(scene)
    assert len(scene.crm.sends) == calls


@unhurried
@given(steps=steps, scripts=scripts)
def test_until_then_every_open_row_says_why_it_is_open(
    store: Store, steps: list[object], scripts: tuple[list[Act], ...]
) -> None:
    scene, refs, told = made(store)
    for ref, script in zip(refs, scripts, strict=True):
        scene.crm.script(ref, *script)
    play(scene, refs, told, steps)
    one_more_run(scene)
    told.check()
    parked = {row.id: (row.state, row.error_code, row.error) for row in scene.rows()}
    assert all(state == RowState.DEAD and code and reason for state, code, reason in parked.values())
    theirs = of_people(scene)
    for ref, wanted in scene.wanted.items():
        for name, value in wanted.items():
            arrived = scene.crm.values[ref][name] == value
            assert arrived or ref.id in parked or (ref.id, name) in theirs


@unhurried
@given(steps=st.lists(runs, max_size=8), scripts=scripts, of_tasks=task_scripts)
def test_a_task_is_made_once_however_often_the_process_dies(
    store: Store, steps: list[object], scripts: tuple[list[Act], ...], of_tasks: tuple[list[Act], ...]
) -> None:
    """The scripted CRM fails the test when a second task of one key is made."""
    scene, refs, told = made(store)
    for n, (ref, script, of_task) in enumerate(zip(refs, scripts, of_tasks, strict=True)):
        scene.crm.script(ref, *script)
        scene.crm.script(f"p{n}:1:task:1", *of_task)
        scene.decide(ref, owner="rep-1", status="mql")
        scene.put_task(ref, key=f"p{n}:1:task:1")
    play(scene, refs, told, steps)
    recover(scene)
    one_more_run(scene)
    scene.release = "once more, for what had used up its attempts"
    scene.write()
    assert scene.rows() == []
    assert sorted(scene.crm.tasks) == [f"p{n}:1:task:1" for n in range(RECORDS)]
    assert {task.owner for task in scene.crm.tasks.values()} == {"rep-1"}


@unhurried
@given(plans=st.lists(plans, min_size=1, max_size=4), deaths=st.lists(st.integers(1, 9), max_size=4))
def test_what_was_taken_is_not_sent_again_for_a_lost_answer(store: Store, plans: list[Plan], deaths: list[int]) -> None:
    """The CRM takes every send. However often the process dies, before it or after: one send a record."""
    scene, refs, told = made(store)
    for plan in plans:
        scene.decide(refs[plan.record], **plan.values)
    play(scene, refs, told, [Run(dies_at=death) for death in deaths])
    scene.write()
    for ref in scene.wanted:
        assert len(scene.crm.sends_to(ref)) == 1
        assert scene.crm.values[ref].items() >= scene.wanted[ref].items()
