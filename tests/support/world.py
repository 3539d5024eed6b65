"""Two sandbox CRMs with people in them and an installation that works on them: the scene of the acceptance tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from connectors.retry import Patience
from connectors.sandbox import Sandbox
from connectors.sandbox.people import populate
from sync.compose import Opened, load, open_parts
from sync.demo import environment, prepare
from sync.run import RunReport
from sync.setup import ensure

AS_OF = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

QUICK = Patience(attempts=6, first_wait=0.001, longest_wait=0.01, jitter=0.0)
"""Tries as often as in life, without the waits."""


@dataclass(slots=True)
class World:
    """``places`` lists every boundary the last run passed, in order."""

    box: Sandbox
    config: Path
    places: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.box)

    @contextmanager
    def opened(
        self, reached: Callable[[str], None] | None = None, *, sleep: Callable[[float], None] = time.sleep
    ) -> Iterator[Opened]:
        self.places.clear()
        loaded = load(self.config, environment=self.environment)
        with open_parts(loaded, reached=reached or self.places.append, patience=QUICK, sleep=sleep) as opened:
            yield opened

    def setup(self) -> None:
        with self.opened() as opened:
            ensure(opened.parts)

    def run(self, *, as_of: datetime = AS_OF, **how: Any) -> RunReport:
        with self.opened() as opened:
            return opened.run("sync", as_of=as_of, **how)

    def run_until_killed(self, place: str, nth: int = 1) -> int:
        """A process of its own that kills itself at the ``nth`` passing of ``place``. Returns its exit code."""
        command = [sys.executable, "-m", "tests.support.killed", str(self.config), AS_OF.isoformat(), place, str(nth)]
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode in (-9, 0), done.stderr
        return done.returncode

    def cli(self, *arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
        """The real command line, in a process of its own."""
        command = [sys.executable, "-c", "from sync.cli import main; main()", *arguments]
        env = {**os.environ, **self.environment, "MQLSYNC_CONFIG": str(self.config), "NO_COLOR": "1"}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=180, check=False, **how)

    def edit_settings(self, *replacements: tuple[str, str]) -> None:
        edit(self.config / "mqlsync.yaml", *replacements)


def edit(path: Path, *replacements: tuple[str, str]) -> None:
    """Replace texts that must be there."""
    text = path.read_text()
    for old, new in replacements:
        assert old in text, f"{path.name} has no {old!r}"
        text = text.replace(old, new)
    path.write_text(text)


def leave_examples_out(config: Path) -> None:
    """Examples are tried at every start, and fail when a test changes what they speak of. They are the last section."""
    policy = config / "policy.yaml"
    text, section, _ = policy.read_text().partition("\n# 9. EXAMPLES")
    assert section
    policy.write_text(f"{text}\n")


@contextmanager
def world(
    folder: Path, *, people: int = 80, seed: int = 7, setup: bool = True, at: datetime = AS_OF
) -> Iterator[World]:
    """A fresh world in which it is ``at`` and stays so: the same ``people`` and ``seed`` make the same one."""
    with Sandbox.start(at=at) as box:
        box.clock.freeze(at)
        populate(box, people=people, seed=seed)
        config = prepare(folder, box.url)
        leave_examples_out(config)
        made = World(box=box, config=config)
        made.edit_settings(("readback_after: 90 seconds", "readback_after: 0 seconds"))
        if setup:
            made.setup()
        yield made


def rows(scene: World, table: Table) -> list[Any]:
    """What a table of the store holds."""
    with scene.opened() as opened, opened.parts.store.read() as tx:
        return list(tx.execute(select(table)).all())


def api_writes(box: Sandbox) -> list[Any]:
    """What was committed through the API, oldest first."""
    return list(box.journal.writes(via="api"))


def differences(left: Any, right: Any, path: str = "") -> Sequence[str]:
    """Where two states differ, for a message a person can read."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = sorted(set(left) | set(right), key=str)
        return [d for key in keys for d in differences(left.get(key), right.get(key), f"{path}/{key}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [d for i, (a, b) in enumerate(zip(left, right, strict=True)) for d in differences(a, b, f"{path}[{i}]")]
    return [] if left == right else [f"{path}: {left!r} != {right!r}"]
