"""Two writers of one field do not write for ever: whoever answers us, and however, we stop first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.records import RecordRef
from scoring.policy import Result, WritePlan
from sync.fights import FightRule, rewritten_again
from sync.plan import RecordState, plan_record
from sync.store import fights, outbox
from sync.store.db import Store
from tests.support.made import contact
from tests.support.stores import new_store, quick_folder

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
REF: RecordRef = contact(1)
FIELD = "mql_fit"

spans = st.integers(0, 20 * 24).map(lambda hours: timedelta(hours=hours))
rules = st.builds(FightRule, times=st.integers(2, 6), days=st.integers(1, 60))


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with quick_folder() as folder:
        opened = new_store(folder)
        yield opened
        opened.close()


class Duel:
    """Our half of it, as a run does it: read, plan, count, write. Returns whether we wrote."""

    def __init__(self, store: Store, rule: FightRule) -> None:
        self.store, self.rule, self.wrote = store, rule, 0
        self.value: str | None = None
        with store.write() as tx:
            for table in (fights.schema.fight, fights.schema.conflict, fights.schema.acked):
                tx.execute(table.delete())

    def run(self, want: str, at: datetime, lost: bool = False) -> bool:
        with self.store.write() as tx:
            acked = outbox.acked_fields(tx, [REF]).get(REF, {})
            held = frozenset(row.field for row in fights.standing(tx))
            state = RecordState(ref=REF, version=str(at), current={FIELD: self.value}, acked=acked, held=held)
            plan = plan_record(state, {Result.FIT: want}, {Result.FIT: FIELD}, WritePlan())
            for conflict in plan.conflicts:
                if fights.note_rewritten(tx, "p1", conflict, self.rule, at=at) is not None:
                    plan = replace(plan, write=None)
            outbox.acknowledge(tx, {REF: plan.adopted}, at=at)
            if plan.write is None or lost:
                return False
            outbox.acknowledge(tx, {REF: plan.write.fields}, at=at)
            fights.note_written(tx, {REF: plan.write.fields})
        self.value = plan.write.fields[FIELD]
        self.wrote += 1
        return True


REWRITERS: dict[str, Callable[[str | None, int], str | None]] = {
    "always the same": lambda ours, n: "0",
    "always another": lambda ours, n: f"9{n}",
    "blanks it": lambda ours, n: None,
    "one more than ours": lambda ours, n: str(int(ours or 0) + 1),
}


@pytest.mark.parametrize("rewriter", REWRITERS)
@given(rule=rules, pause=spans, wants=st.lists(st.integers(10, 14), min_size=1, max_size=3))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_machine_that_answers_every_write_ends_our_writing(
    store: Store, rewriter: str, rule: FightRule, pause: timedelta, wants: list[int]
) -> None:
    """As often as the rule says, if its answers come fast enough to count; never more often than it allows."""
    duel, at, written = Duel(store, rule), NOW, []
    for n in range(3 * rule.times):
        if duel.run(str(wants[n % len(wants)]), at):
            written.append(at)
        duel.value = REWRITERS[rewriter](duel.value, n)
        at += pause
    fast_enough = pause * (rule.times - 1) < timedelta(days=rule.days)
    if fast_enough:
        assert len(written) <= rule.times
    for first in written:
        within = [one for one in written if first <= one < first + timedelta(days=rule.days)]
        assert len(within) <= rule.times + 1, "so many in any such span, for ever"


@given(rule=rules, plans=st.integers(2, 8))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_one_edit_counts_once_however_often_it_is_planned_against(store: Store, rule: FightRule, plans: int) -> None:
    """The CRM is down, a guard holds the run: the same edit meets plan after plan."""
    duel = Duel(store, rule)
    duel.run("10", NOW)
    duel.value = "0"
    for n in range(plans * rule.times):
        duel.run("10", NOW + timedelta(minutes=n), lost=True)
    assert duel.run("10", NOW + timedelta(days=1)), "it was one edit, and ours is written again"


@given(rule=rules)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_who_releases_a_field_gets_a_whole_new_count(store: Store, rule: FightRule) -> None:
    duel, at = Duel(store, rule), NOW

    def fight() -> int:
        nonlocal at
        before = duel.wrote
        for _ in range(2 * rule.times):
            duel.run("10", at)
            duel.value = "0"
            at += timedelta(minutes=1)
        return duel.wrote - before

    assert fight() == rule.times, "the first write was no answer to anything"
    with store.write() as tx:
        conflict = fights.schema.conflict
        tx.execute(conflict.update().values(held=False, settled_at=at))
    assert fight() == rule.times - 1


@given(before=st.lists(spans, max_size=12), rule=rules)
def test_only_what_lies_within_the_days_counts(before: list[timedelta], rule: FightRule) -> None:
    earlier = sorted(NOW - span for span in before)
    times, too_often = rewritten_again(earlier, NOW, rule)
    assert times[-1] == NOW
    assert all(NOW - one < timedelta(days=rule.days) for one in times)
    assert too_often == (len(times) >= rule.times)
    assert len(times) == 1 + sum(NOW - one < timedelta(days=rule.days) for one in earlier)
