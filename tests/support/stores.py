"""Empty stores by copying one that was migrated once, in memory where there is a place: disks make tests wait."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sync.store.db import Store

MEMORY = Path("/dev/shm")


@contextmanager
def quick_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="mqlsync-") as folder:
        yield Path(folder)


@cache
def _migrated() -> bytes:
    with quick_folder() as folder:
        path = folder / "mqlsync.db"
        Store.open(f"sqlite:///{path}").close()
        return path.read_bytes()


@contextmanager
def empty_database() -> Iterator[str]:
    """The URL of a new store that nobody has open."""
    with quick_folder() as folder:
        path = folder / "mqlsync.db"
        path.write_bytes(_migrated())
        yield f"sqlite:///{path}"
