"""`python -m connectors.sandbox`: both CRMs in the foreground, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from connectors.sandbox.box import Sandbox
from connectors.sandbox.people import populate
from connectors.sandbox.plain_file import ColumnMapError, load

_EPILOG = """
control over HTTP, for other processes (paths below /_sandbox):
  GET    journal?since=SEQ&via=api   committed changes            GET  calls    how often each endpoint was called
  GET    digest, state?without=NAME  both CRMs, without stamps     GET  clock    the sandbox's instant
  POST   clock    {"set": ISO} {"freeze": ISO|null} {"move": SECONDS} {"thaw": true}
  POST   faults   {"kind": "cut_after", "match": "POST /crm/*/batch/update", "nth": 2}   (or a list)
  DELETE faults   disarm all          POST release-late   commit what commit_late faults hold back
  POST   edit     {"crm": "hubspot", "object": "contacts", "id": ID, "properties": {...}}   a person's edit
  POST   quotas   {"per_10_seconds": N, "search_per_second": N, "per_day": N}, of the portal    GET  quotas   refusals
  POST   reset-calls
"""

_READY = """\
sandbox ready at {url}  ({at:%Y-%m-%d %H:%M:%S} UTC{filled})

# in mqlsync.yaml:
connections:
  hubspot:
    base_url: {url}
    auth: {{token: "${{HUBSPOT_TOKEN}}"}}
  salesforce:
    base_url: {url}
    auth: {{consumer_key: "${{SF_KEY}}", consumer_secret: "${{SF_SECRET}}"}}

# in the shell that runs mqlsync:
export HUBSPOT_TOKEN={token} SF_KEY={key} SF_SECRET={secret}

# or with OAuth for HubSpot:
#   auth: {{client_id: {oauth[0]}, client_secret: {oauth[1]}, refresh_token: {oauth[2]}}}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until it is told to stop. 0 then; 2 for arguments or files that cannot be used."""
    wish = _parser().parse_args(argv)
    if (wish.file is None) != (wish.columns is None):
        print("--from and --columns belong together", file=sys.stderr)  # noqa: T201
        return 2
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    with Sandbox.start(port=wish.port, at=wish.at) as box:
        try:
            filled = _fill(box, wish)
        except (ColumnMapError, OSError) as problem:
            print(problem, file=sys.stderr)  # noqa: T201
            return 2
        hubspot, salesforce = box.hubspot, box.salesforce
        ready = _READY.format(
            url=box.url,
            at=box.clock.now(),
            filled=filled,
            token=hubspot.token,
            oauth=hubspot.oauth,
            key=salesforce.consumer_key,
            secret=salesforce.consumer_secret,
        )
        print(ready, flush=True)  # noqa: T201
        stop.wait()
    return 0


def _fill(box: Sandbox, wish: argparse.Namespace) -> str:
    if wish.file is not None:
        return f", {load(box, wish.file, wish.columns)} rows of {wish.file.name}"
    if wish.people:
        populate(box, people=wish.people, seed=wish.seed)
        return f", {wish.people} people of seed {wish.seed}"
    return ", empty"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m connectors.sandbox",
        description="A local HubSpot portal and Salesforce org on 127.0.0.1.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--people", type=int, default=0, metavar="N", help="make up N people with their histories")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="which people (default 1)")
    parser.add_argument("--port", type=int, default=0, metavar="P", help="port (default: any free one)")
    parser.add_argument("--at", type=_instant, default=None, metavar="ISO", help="the clock at start (default: now)")
    parser.add_argument("--from", dest="file", type=Path, default=None, metavar="CSV", help="fill from this file ...")
    parser.add_argument("--columns", type=Path, default=None, metavar="YAML", help="... by this column map")
    return parser


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
