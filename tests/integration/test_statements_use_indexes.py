"""What a run asks of the store must not cost more for every person there is."""

import re
from datetime import timedelta

from sqlalchemy import event

from tests.support.world import AS_OF, World, world

SMALL = {
    *("alias", "audit", "job_run", "merged_person", "owner", "pinned", "policy_version", "pool_counter"),
    *("schema_cache", "shadow", "snapshot", "stop", "intake"),
    *("fight", "keys"),  # `keys`: what a statement asks for, as one parameter
}
"""Tables that do not grow with the number of people."""

ONCE = {
    ("episode", None),  # once a run: who has an open episode and no rep; as long as there were MQLs
    ("episode", "sqlite_autoindex_episode_1"),  # once a run: whom sales has not touched yet, in order; the same
    ("routing_wait", None),  # once a run: who waits for a rep
    ("outbox", "ix_outbox_state"),  # once a run: how many rows wait
    ("outbox", None),  # once a day: of whom a row waits
    ("link", "sqlite_autoindex_link_1"),  # once a day: how many records of people there are
    ("person", "ix_person_email"),  # counted when the snapshot is made anew
}

PARTIAL = {"ix_answer_untold", "ix_event_unresolved", "ix_link_gone", "ix_person_dirty", "ix_record_touched"}
"""Indexes that hold only the rows asked for, so that looking through them is the point."""


def scans(scene: World, *, days: int = 0) -> set[tuple[str, str | None]]:
    """(table, index looked through) of every statement of one run that looks at all rows of something."""
    asked: dict[str, tuple[str, tuple]] = {}

    def note(connection, cursor, statement, parameters, context, many):
        if re.match(r"SELECT|UPDATE|DELETE", statement):
            first = parameters[0] if many else parameters
            asked.setdefault(re.sub(r"(\?, )+\?", "?", statement), (statement, first))

    with scene.opened() as opened:
        engine = opened.parts.store.engine
        event.listen(engine, "before_cursor_execute", note)
        report = opened.run("sync", as_of=AS_OF + timedelta(days=days))
        event.remove(engine, "before_cursor_execute", note)
        assert report.exit_code == 0, report.error
        found = set()
        with opened.parts.store.read() as tx:
            for statement, parameters in asked.values():
                for *_, step in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
                    scan = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
                    if scan is not None:
                        found.add((scan.group(1), scan.group(2)))
    return {(table, index) for table, index in found if table not in SMALL and index not in PARTIAL}


def test_no_statement_of_a_run_looks_at_all_people(tmp_path):
    with world(tmp_path) as scene:
        assert scans(scene) <= ONCE
        scene.box.clock.freeze(AS_OF + timedelta(minutes=20))
        assert scans(scene) <= ONCE
        scene.box.clock.freeze(AS_OF + timedelta(days=1))
        assert scans(scene, days=1) <= ONCE
