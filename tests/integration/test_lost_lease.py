"""Whoever lost its lease to another process neither decides nor sends any more, and says so."""

import pytest
from sqlalchemy import update

from connectors.records import Crm
from sync.store import schema
from sync.store.runs import RunState
from tests.support.world import AS_OF, world


@pytest.mark.parametrize("place", ["gather:done", "decide:done", "write:hubspot:inflight", "write:hubspot:settled"])
def test_a_run_that_lost_its_lease_stops_where_it_stands(tmp_path, place):
    with world(tmp_path, people=40) as scene:
        seen: list[int] = []

        def reached(name: str) -> None:
            if name == place and not seen:
                seen.append(scene.box.journal.last_seq)
                with opened.parts.store.write() as tx:
                    tx.execute(update(schema.lease).values(holder="another", fence=schema.lease.c.fence + 1))

        with scene.opened(reached) as opened:
            report = opened.run("sync", as_of=AS_OF)
        assert seen, f"the run never came to {place}"
        assert report.exit_code == 75
        assert report.state is RunState.QUEUED
        assert "taken over by another process" in str(report.error)
        # Of a batch that was on its way already the answer is lost to us; the next run reads it back.
        late = [e for e in scene.box.journal.since(seen[0]) if e.via == "api"]
        assert {e.crm for e in late} <= ({Crm.HUBSPOT} if place == "write:hubspot:inflight" else set())
        assert len(late) <= 100
        with scene.opened() as opened, opened.parts.store.write() as tx:
            tx.execute(update(schema.lease).values(holder=None, expires_at=None))
        again = scene.run()
        assert again.exit_code == 0, again.error
        assert scene.run().writes == 0
