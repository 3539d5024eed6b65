"""Run once and die at a boundary: ``python -m tests.support.killed CONFIG AS_OF PLACE NTH`` (SIGKILL)."""

import os
import signal
import sys
from datetime import datetime
from pathlib import Path

from sync.compose import load, open_parts
from tests.support.world import QUICK


def main(config: str, as_of: str, place: str, nth: str) -> None:
    left = int(nth)

    def reached(name: str) -> None:
        nonlocal left
        if name == place:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    with open_parts(load(Path(config)), reached=reached, patience=QUICK) as opened:
        opened.run("sync", as_of=datetime.fromisoformat(as_of))


if __name__ == "__main__":
    main(*sys.argv[1:])
