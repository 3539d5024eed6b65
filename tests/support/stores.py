"""Empty stores for tests: migrated once in a process, then copied, so that a test does not pay for the migrations."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sync.store.db import Store

MEMORY = Path("/dev/shm")


@cache
def _migrated() -> bytes:
    with quick_folder() as folder:
        path = folder / "store.db"
        Store.open(f"sqlite:///{path}").close()
        return path.read_bytes()


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory where there is a place for it: tests with many commits need not wait for a disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="mqlsync-") as folder:
        yield Path(folder)


def empty_database(folder: Path, name: str = "store") -> str:
    """The URL of an empty store in ``folder`` that is up to date and that nobody has open."""
    path = folder / f"{name}.db"
    path.write_bytes(_migrated())
    return f"sqlite:///{path}"


def new_store(folder: Path, name: str = "store") -> Store:
    """The same, open."""
    return Store.open(empty_database(folder, name))
