"""A value that a CRM would refuse waits alone: the rest of its record goes, and so do all other records."""

from __future__ import annotations

import pytest

from connectors.records import FieldKind, FieldSchema
from sync.store.db import Store
from tests.support.outbox_rows import Scene
from tests.support.scripted import Act

SCORE = FieldSchema(name="score", kind=FieldKind.NUMBER, writable=True)
STATUS = FieldSchema(name="status", kind=FieldKind.PICKLIST, writable=True, options=("mql", "assigned"))
LOCKED = FieldSchema(name="reason", kind=FieldKind.TEXT, writable=False)
OPEN = FieldSchema(name="reason", kind=FieldKind.TEXT, writable=True)


@pytest.fixture
def scene(store: Store) -> Scene:
    made = Scene(store=store)
    made.crm.schema = {"score": SCORE, "status": STATUS, "reason": LOCKED}
    return made


def waits(scene: Scene) -> list[tuple[str, dict[str, str | None], str]]:
    return [(letter.ref.id, dict(letter.fields), letter.code) for letter in scene.letters()]


def test_the_rest_is_sent_and_the_value_is_parked_with_its_reason(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0", status=None, reason=None)
    scene.put(ref, score="71", status="mql", reason="demo")
    report = scene.write()
    assert (report.written, report.rejected_new) == (1, 1)
    assert scene.crm.sends_to(ref) == [{"score": "71", "status": "mql"}]
    assert scene.acked(ref) == {"score": "71", "status": "mql"}
    assert waits(scene) == [("1", {"reason": "demo"}, "READ_ONLY")]


def test_nothing_is_sent_again_while_it_waits(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0", reason=None)
    scene.put(ref, score="71", reason="demo")
    scene.write()
    scene.put(ref, reason="demo")
    assert scene.write().rejected_known == 0
    assert len(scene.crm.sends_to(ref)) == 1


def test_what_comes_later_is_sent_and_the_same_value_waits_on_without_being_news(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0", reason=None)
    scene.put(ref, score="71", reason="demo")
    scene.write()
    scene.put(ref, score="80", reason="demo")
    report = scene.write()
    assert (report.written, report.rejected_new, report.rejected_known) == (1, 0, 1)
    assert waits(scene) == [("1", {"reason": "demo"}, "READ_ONLY")]


def test_it_goes_when_the_field_can_be_written(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0", reason=None)
    scene.put(ref, score="71", reason="demo")
    scene.write()
    assert scene.crm.schema is not None
    scene.crm.schema["reason"] = OPEN
    scene.release = "another schema"
    assert scene.write().written == 1
    assert scene.crm.values[ref]["reason"] == "demo"
    assert scene.rows() == []


def test_it_waits_also_where_the_rest_stands_there_already(scene: Scene) -> None:
    ref = scene.crm.add("1", status="mql", reason=None)
    scene.put(ref, {"status": None, "reason": None}, status="mql", reason="demo")
    scene.write()
    assert scene.crm.sends == []
    assert waits(scene) == [("1", {"reason": "demo"}, "READ_ONLY")]


def test_all_that_is_wrong_with_a_record_stands_in_one_row(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0", status=None, reason=None)
    scene.put(ref, score="71", status="mq1", reason="demo")
    scene.write()
    [letter] = scene.letters()
    assert dict(letter.fields) == {"status": "mq1", "reason": "demo"}
    assert "option" in letter.reason
    assert "cannot be written" in letter.reason


@pytest.mark.parametrize("act", [Act.LOCK, Act.TAKE_SILENTLY, Act.LOSE, Act.REFUSE])
def test_a_lock_a_silence_or_a_refusal_of_the_rest_loses_neither(scene: Scene, act: Act) -> None:
    ref = scene.crm.add("1", score="0", reason=None)
    scene.put(ref, score="71", reason="demo")
    scene.crm.script(ref, act)
    scene.write()
    scene.release = "another"
    scene.write()
    assert scene.crm.values[ref]["score"] == "71"
    assert waits(scene) == [("1", {"reason": "demo"}, "READ_ONLY")]


def test_the_record_that_is_gone_takes_its_value_with_it(scene: Scene) -> None:
    ref = scene.crm.add("1", score="0", reason=None)
    scene.put(ref, score="71", reason="demo")
    scene.crm.script(ref, Act.DELETE)
    scene.write()
    assert scene.moves == [(ref, None)]
    assert scene.letters() == []


@pytest.mark.parametrize("size", [100, 200], ids=["HubSpot's batch", "Salesforce's batch"])
def test_a_row_that_is_refused_at_any_place_of_a_batch_is_parked_alone_and_no_other_is_sent_again(
    scene: Scene, size: int
) -> None:
    """Place after place: each time the rest is confirmed, and the next run has only that one to try."""
    scene.crm.schema = None
    scene.crm.batch_size = size
    refs = [scene.crm.add(str(n), score="0") for n in range(size)]
    for place in range(0, size, 1 if size == 100 else 7):
        value = str(1000 + place)
        for ref in refs:
            scene.put(ref, score=value)
        scene.crm.script(refs[place], Act.REFUSE)
        scene.crm.sends.clear()
        report = scene.write()
        assert (report.written, report.rejected_new) == (size - 1, 1)
        assert [letter.ref for letter in scene.letters()] == [refs[place]]
        scene.release = f"after {place}"
        scene.crm.sends.clear()
        assert scene.write().written == 1
        assert [patch.ref for patch in scene.crm.sends] == [refs[place]]
        assert scene.rows() == []
