"""Real processes that a test can kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python of its own that has said "ready". Killed, but waited for only at the end: until then it is a zombie."""
    running = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == "ready\n"
        yield running
    finally:
        running.kill()
        running.wait()
        running.stdin.close()
        running.stdout.close()


def ended(running: subprocess.Popen[str]) -> None:
    """Kill it and wait until the system knows that, without taking its answer."""
    running.send_signal(signal.SIGKILL)
    state = Path(f"/proc/{running.pid}/stat")
    if state.exists():
        while state.read_text().rpartition(")")[2].split()[0] != "Z":
            threading.Event().wait(0.005)
    else:
        running.wait()
