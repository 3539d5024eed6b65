"""Publish once and die at a boundary: ``python -m tests.support.killed_publication CONFIG NEW PLACE`` (SIGKILL)."""

import os
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sync.compose import open_store
from sync.publication import How
from sync.rules import read_folder
from sync.versions import InUse, find, put_into_use


def main(config: str, new: str, place: str) -> None:
    folder = Path(config)

    def reached(name: str) -> None:
        if name == place:
            os.kill(os.getpid(), signal.SIGKILL)

    rules, in_use = find(new, folder, partial(open_store, folder)).rules(), read_folder(folder)
    with open_store(folder, make=True) as store:
        put_into_use(
            store,
            folder,
            rules.files,
            rules.policy,
            in_use=InUse(files=in_use.files, policy=in_use.policy),
            how=How.PUBLISHED,
            note="interrupted",
            who="kim",
            at=datetime(2026, 11, 25, 12, tzinfo=UTC),
            new_id=lambda: os.urandom(8).hex(),
            reached=reached,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
