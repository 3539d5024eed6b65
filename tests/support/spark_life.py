"""A process that starts Spark, kills its Java, starts it anew and ends it. Prints what it saw, as JSON."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from pathlib import Path

from scoring.engine import EngineFailed
from scoring.engine_spark import SparkEngine
from scoring.tables import Bucket
from tests.support.rules import TODAY, policy

LISTEN = "0A"
"""The state of a socket that waits for somebody, in the kernel's tables."""


def children() -> list[int]:
    """The processes we started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended while we looked
            continue
        if parent == os.getpid():
            found.append(int(folder.name))
    return found


def listens_at(process: int) -> list[str]:
    """The addresses a process listens at, in hexadecimal."""
    files = {os.readlink(file) for file in Path(f"/proc/{process}/fd").iterdir()}
    tables = [Path(f"/proc/{process}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    return sorted({row[1].partition(":")[0] for row in rows if row[3] == LISTEN and f"socket:[{row[9]}]" in files})


def ask(engine: SparkEngine) -> int:
    return engine.score(policy(), Bucket(people=(), events=()), TODAY).num_rows


def main() -> None:
    seen: dict[str, object] = {}
    ours = signal.getsignal(signal.SIGINT)
    with SparkEngine("local[1]", "600m") as engine:
        seen["name"] = engine.start()
        seen["interrupts are ours"] = signal.getsignal(signal.SIGINT) is ours
        (java,) = children()
        seen["listens at"] = listens_at(java)
        seen["heap"] = "-Xmx600m" in Path(f"/proc/{java}/cmdline").read_text().split("\0")
        seen["own group"] = os.getpgid(java) == java
        os.kill(java, signal.SIGKILL)
        try:
            ask(engine)
        except EngineFailed as error:
            seen["broke"] = str(error)
        engine.close()
        seen["asked again"] = ask(engine)
        seen["files"] = len(os.listdir(tempfile.gettempdir()))
    seen["children"] = children()
    seen["left"] = os.listdir(tempfile.gettempdir()) + os.listdir()
    print(json.dumps(seen))  # noqa: T201


if __name__ == "__main__":
    main()
