"""The whole job on one machine: two stand-in CRMs with people in them, set-up, plan, run, and a second run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.sandbox import Sandbox
from connectors.sandbox.people import populate
from sync.compose import load, open_parts
from sync.init import write_templates
from sync.run import Progress, RunReport
from sync.setup import ensure
from sync.shown import MqlTable, mql_rows, run_lines, trouble_lines

__all__ = ["DemoResult", "environment", "prepare", "show"]

STORE_FILES = ("mqlsync.db", "mqlsync.db-wal", "mqlsync.db-shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """Both runs and the MQLs of the first."""

    people: int
    mqls: list[dict[str, Any]]
    runs: list[RunReport]

    @property
    def exit_code(self) -> int:
        """0 when both runs went through and the second wrote nothing."""
        through = all(run.exit_code in (0, 5) for run in self.runs)
        return 0 if through and len(self.runs) == 2 and self.runs[1].writes == 0 else 1

    def as_json(self) -> dict[str, Any]:
        return {"people": self.people, "mqls": self.mqls, "runs": [run.as_json() for run in self.runs]}


def environment(box: Sandbox) -> dict[str, str]:
    """The secrets of the sandbox under the names the templates use."""
    return {
        "HUBSPOT_TOKEN": box.hubspot.token,
        "SF_KEY": box.salesforce.consumer_key,
        "SF_SECRET": box.salesforce.consumer_secret,
    }


def prepare(folder: Path, url: str) -> Path:
    """The templates with both addresses pointing at ``url``. Returns the configuration's directory."""
    config = folder / "config"
    write_templates(config, force=True)
    settings = config / "mqlsync.yaml"
    text = settings.read_text()
    for address in ("https://api.hubapi.com", "https://yourcompany.my.salesforce.com"):
        text = text.replace(address, url)
    settings.write_text(text)
    return config


def _forget_last_demo(folder: Path) -> None:
    """A demo starts from nothing; only what an earlier demo made is removed."""
    for name in STORE_FILES:
        (folder / "state" / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "state" / "mqlsync.db.snapshot", ignore_errors=True)


def show(
    *,
    people: int,
    seed: int,
    as_of: datetime | None,
    folder: Path,
    say: Callable[[Any], None],
    progress: AbstractContextManager[Progress],
) -> DemoResult:
    """Do it all, telling ``say`` what happens."""
    _forget_last_demo(folder)
    with Sandbox.start(at=as_of or datetime.now(UTC)) as box, progress as tell:
        populate(box, people=people, seed=seed)
        as_of = box.clock.now()  # what the CRMs are filled with has happened by then
        config = prepare(folder, box.url)
        say(f"Two CRMs with {people} people stand at {box.url} (HubSpot and Salesforce, on this machine only).")
        say(f"Configuration: {config}/ - the four files a new installation starts with.\n")
        loaded = load(config, environment=environment(box))
        with open_parts(loaded) as opened:
            made = ensure(opened.parts)
            say(f"mqlsync setup: {len(made)} properties, fields and permissions made.\n")
            planned = opened.run("sync", as_of=as_of, dry_run=True, progress=tell, trigger="plan")
            _say_plan(planned, say)
            first = opened.run("sync", as_of=as_of, progress=tell)
            _say_run("The first run", first, say)
            mqls = mql_rows(opened.parts.store, run_id=first.run_id)
            say(MqlTable(mqls))
            second = opened.run("sync", as_of=as_of, progress=tell)
            _say_run("\nThe second run", second, say)
    say(f"\nWrites: {first.writes} in the first run, {second.writes} in the second.")
    if mqls:
        say(f"Ask why:  mqlsync explain {mqls[0]['email'] or mqls[0]['person_id']} --config {config}")
    return DemoResult(people=people, mqls=mqls, runs=[first, second])


def _say_plan(planned: RunReport, say: Callable[[Any], None]) -> None:
    by_record: Mapping[str, int] = _by_record(planned)
    shown = ", ".join(f"{n} {name}" for name, n in sorted(by_record.items()))
    new = sum(not episode.adopted for episode in planned.decided.opened)
    say(f"mqlsync plan: {new} new MQLs; to change: {shown or 'nothing'}; nothing written yet.\n")


def _by_record(planned: RunReport) -> dict[str, int]:
    counts: dict[str, int] = {}
    for _, write in planned.decided.changes:
        name = f"{write.ref.crm} {write.ref.object}s"
        counts[name] = counts.get(name, 0) + 1
    return counts


def _say_run(title: str, report: RunReport, say: Callable[[Any], None]) -> None:
    say(f"{title}:")
    for line in run_lines(report):
        say(line)
    for line in trouble_lines(report):
        say(f"  {line}")
    say("")
