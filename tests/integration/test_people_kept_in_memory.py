"""Whoever becomes an MQL is loaded once: what is remembered of them until they are planned is what the store has."""

from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, func, select

from sync.decide import Decider
from sync.store import decisions, schema
from sync.store.decisions import PersonState
from tests.support.world import AS_OF, world

KEPT: list[tuple[PersonState, PersonState]] = []


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes everybody who is not loaded again, beside what loading them would have given."""
    KEPT.clear()
    asked = Decider._people

    def people(self: Decider, tx: Connection, person_ids: Sequence[str]) -> dict[str, PersonState]:
        kept = {person_id: self._known[person_id] for person_id in person_ids if person_id in self._known}
        stored = decisions.load_people(tx, list(kept))
        KEPT.extend((kept[person_id], stored[person_id]) for person_id in kept)
        return asked(self, tx, person_ids)

    monkeypatch.setattr(Decider, "_people", people)


def test_who_is_kept_is_as_the_store_has_them(tmp_path: Path) -> None:
    with world(tmp_path, people=60) as scene:
        scene.run(as_of=AS_OF.astimezone(ZoneInfo("Asia/Tokyo")))
    assert {kept.assignment is None for kept, _ in KEPT} == {True, False}
    for kept, stored in KEPT:
        assert kept == stored
        # Equal instants of other zones would be shown as other texts.
        assert str(kept.opened) == str(stored.opened)


def test_a_rehearsal_counts_what_a_run_queues_and_keeps_none_of_it(tmp_path: Path) -> None:
    with world(tmp_path, people=60) as scene, scene.opened() as opened:
        planned = opened.run("sync", as_of=AS_OF, dry_run=True)
        with opened.parts.store.read() as tx:
            assert tx.execute(select(func.count()).select_from(schema.outbox)).scalar_one() == 0
        done = opened.run("sync", as_of=AS_OF)
    counts = ("queued", "tasks", "notices", "statuses", "people")
    assert {name: getattr(planned.decided, name) for name in counts} == {
        name: getattr(done.decided, name) for name in counts
    }
    assert planned.decided.queued > 0
    assert planned.decided.tasks > 0
