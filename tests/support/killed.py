"""Run once and die at a boundary: ``python -m tests.support.killed CONFIG AS_OF PLACE NTH`` (SIGKILL).

PLACE is one that a run tells of, or ``answer:`` and a pattern of "METHOD /path": Salesforce has answered such a call.
"""

import os
import signal
import sys
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from sync.compose import load, open_parts
from tests.support.world import QUICK


def answered(pattern: str, then: Any) -> None:
    """Have ``then`` called after each answer to a call that matches."""
    send = requests.Session.send

    def watched(session: requests.Session, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        answer = send(session, request, **how)
        if fnmatchcase(f"{request.method} {urlsplit(str(request.url)).path}", pattern):
            then()
        return answer

    requests.Session.send = watched  # type: ignore[method-assign]  # this process is made to die


def main(config: str, as_of: str, place: str, nth: str) -> None:
    left = int(nth)

    def reached(name: str) -> None:
        nonlocal left
        if name == place:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    answered(place.removeprefix("answer:"), lambda: reached(place))
    with open_parts(load(Path(config)), reached=reached, patience=QUICK) as opened:
        opened.run("sync", as_of=datetime.fromisoformat(as_of))


if __name__ == "__main__":
    main(*sys.argv[1:])
