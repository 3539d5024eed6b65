"""The command line as a user has it: in this process for speed, or as a process of its own."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from typer.testing import CliRunner

from sync.cli import app
from tests.support.world import World

SECRETS = ("HUBSPOT_TOKEN", "SF_KEY", "SF_SECRET")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one document on stdout; fails when there is anything beside it."""
        assert self.out.count("\n") == 1, self.out
        body = json.loads(self.out)
        assert body["schema_version"] == 1
        return dict(body)


def mqlsync(
    *arguments: str, scene: World | None = None, environment: Mapping[str, str] | None = None, typed: str | None = None
) -> Answer:
    """Run a command in this process, with the secrets of ``scene`` unless ``environment`` has others."""
    env: dict[str, str | None] = {**dict.fromkeys((*SECRETS, "MQLSYNC_CONFIG")), "NO_COLOR": "1", "COLUMNS": "200"}
    if scene is not None:
        env |= {**scene.environment, "MQLSYNC_CONFIG": str(scene.config)}
    result = CliRunner().invoke(app, arguments, env={**env, **(environment or {})}, input=typed, prog_name="mqlsync")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


@dataclass(slots=True)
class Process:
    """A command that goes on; ``lines`` is its stderr once it has ended."""

    running: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def ask_to_stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end. Returns the exit code."""
        self.running.send_signal(number)
        return self.end()

    def end(self) -> int:
        _, err = self.running.communicate(timeout=60)
        self.lines += err.splitlines()
        return self.running.returncode


@contextmanager
def started(scene: World, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Process]:
    """A command in a process of its own, ended at the latest with the block."""
    command = [sys.executable, "-c", "from sync.cli import main; main()", *arguments]
    env = {**os.environ, **scene.environment, "MQLSYNC_CONFIG": str(scene.config), "NO_COLOR": "1"}
    running = subprocess.Popen(
        command, env={**env, **(environment or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield Process(running)
    finally:
        if running.poll() is None:
            running.kill()
            running.communicate()


def on_a_terminal(scene: World, *arguments: str, typed: str) -> Answer:
    """The command with a terminal around it, at which somebody types. Its whole screen is ``out``."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from sync.cli import main; main()", *arguments]
    env = {**os.environ, **scene.environment, "MQLSYNC_CONFIG": str(scene.config), "TERM": "xterm", "COLUMNS": "120"}
    running = subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, typed.encode())
    screen = b""
    try:
        while some := _read(ours):
            screen += some
        return Answer(running.wait(timeout=60), screen.decode().replace("\r\n", "\n"), "")
    finally:
        os.close(ours)
        if running.poll() is None:
            running.kill()
            running.wait()


def _read(terminal: int) -> bytes:
    """What is on the screen now; nothing once the process has left it, which Linux tells as an error."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


def until(true: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Wait for something another process does; fails with ``what`` when it does not come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)
