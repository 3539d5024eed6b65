"""A sandbox in a process of its own, so that this process's CPU is the client's alone, and an installation on it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from sync.demo import prepare

AS_OF = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Both CRMs over HTTP. ``environment``: the secrets under the names the shipped configuration uses."""

    url: str
    environment: Mapping[str, str]

    def calls(self) -> dict[str, dict[str, int]]:
        """CRM -> "METHOD /path" -> how often since `forget_calls`."""
        counted = self._ask("GET", "calls")
        return {crm: counted.get(crm, {}) for crm in ("hubspot", "salesforce")}

    def forget_calls(self) -> None:
        self._ask("POST", "reset-calls")

    def written(self) -> set[tuple[str, str, str]]:
        """CRM, object and id of every record that was changed through the API."""
        entries = self._ask("GET", "journal?via=api")["entries"]
        return {(entry["crm"], entry["object"], entry["id"]) for entry in entries if entry["op"] == "update"}

    def move_clock(self, seconds: float) -> None:
        self._ask("POST", "clock", {"move": seconds})

    def delay(self, seconds: float) -> None:
        """From now on every call is answered so much later."""
        self._ask("POST", "faults", {"kind": "slow", "delay": seconds, "times": None})

    def keep_quotas(self, *, per_10_seconds: int, search_per_second: int) -> None:
        """From now on the portal refuses what goes beyond."""
        self._ask("POST", "quotas", {"per_10_seconds": per_10_seconds, "search_per_second": search_per_second})

    def refused(self) -> int:
        """Calls that the portal's quotas have refused so far."""
        return sum(self._ask("GET", "quotas")["refused"].values())

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.url}/_sandbox/{path}", data=sent, method=method)) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def sandbox(people: int) -> Iterator[Box]:
    """The same people every time."""
    command = [sys.executable, "-m", "connectors.sandbox", "--seed", str(SEED), "--at", AS_OF.isoformat()]
    process = subprocess.Popen([*command, "--people", str(people)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = ""
        while "export " not in said:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the sandbox ended before it was ready: {said}")
            said += line
        url = re.search(r"http://\S+", said)
        secrets = re.search(r"export (.*)", said)
        assert url is not None
        assert secrets is not None
        pairs = (one.split("=", 1) for one in secrets.group(1).split())
        yield Box(url=url.group(), environment=dict(pairs))
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def install(folder: Path, box: Box) -> Path:
    """The files a new installation starts with, pointing at the sandbox. Returns the configuration's directory."""
    config = prepare(folder, box.url)
    settings = config / "mqlsync.yaml"
    text = settings.read_text()
    rest = "readback_after: 90 seconds"
    assert rest in text
    settings.write_text(text.replace(rest, "readback_after: 0 seconds"))
    return config
