"""A policy tried: on today's people, on ninety past days; and the pass of a day on which nobody moves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from scoring.policy import Policy
from sync.backtest import back_test
from sync.candidate import load_candidate
from sync.compose import Opened
from sync.store.people import load_owner_names
from sync.whatif import what_if
from tests.benchmarks import ninety_days
from tests.benchmarks.figures import Figure, Sizes, peak_memory, timed
from tests.benchmarks.scene import AS_OF

EVENTS = 10
"""Of each person."""

WIDER = ("grade: [A1, A2, B1]", "grade: [A1, A2, A3, B1, B2]")


def trials(sizes: Sizes) -> Iterator[Figure]:
    of = f"{sizes.scored:,} people, {EVENTS} events each"
    with tempfile.TemporaryDirectory() as name, ninety_days.opened(Path(name)) as opened:
        parts = opened.parts
        ninety_days.fill(parts.store, people=sizes.scored, events=EVENTS)
        report = ninety_days.decide(parts)
        assert report.decided.people == sizes.scored, report.error
        ninety_days.confirm(parts.store)
        again, _, _ = timed(lambda: ninety_days.decide(parts, as_of=AS_OF + timedelta(seconds=1), run_id="r_again"))
        assert again.decided.queued == 0, again.counts()
        new = _wider(opened, Path(name))
        found, wall, cpu = timed(lambda: what_if(parts, new, as_of=AS_OF))
        assert found.moved, "a wider gate lets more in"
        yield Figure(what="policy whatif", of=of, unit="wall s", value=wall, floor=5)
        yield Figure(what="policy whatif", of=of, unit="CPU s", value=cpu)
        next_day, wall, cpu = timed(lambda: ninety_days.decide(parts, as_of=AS_OF + timedelta(days=1), run_id="r_next"))
        assert next_day.decided.people == sizes.scored, next_day.error
        yield Figure(what="next day's decisions, few of whom move", of=of, unit="wall s", value=wall)
        yield Figure(what="next day's decisions, few of whom move", of=of, unit="CPU s", value=cpu)
        yield from _backtest(opened, new, of)


def _wider(opened: Opened, folder: Path) -> Policy:
    file = folder / "wider.yaml"
    file.write_text((opened.loaded.folder / "policy.yaml").read_text().replace(*WIDER))
    return load_candidate(opened.loaded, file)


def _backtest(opened: Opened, new: Policy, of: str) -> Iterator[Figure]:
    parts = opened.parts
    with parts.store.read() as tx:
        owners = load_owner_names(tx)
    found, wall, cpu = timed(
        lambda: back_test(
            parts.store,
            parts.engine,
            new=new,
            live=parts.policy,
            prefer=parts.fields.prefer,
            owners=owners,
            since=AS_OF.date() - timedelta(days=ninety_days.DAYS - 1),
            until=AS_OF.date(),
            today=AS_OF.date(),
        )
    )
    assert len(found.new.judged) > len(found.live.judged) > 0
    what = f"policy backtest, {ninety_days.DAYS} days, both policies"
    yield Figure(what=what, of=of, unit="wall s", value=wall, floor=180)
    yield Figure(what=what, of=of, unit="CPU s", value=cpu)
    yield Figure(what=what, of=of, unit="MB at most", value=peak_memory())
