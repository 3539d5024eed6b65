"""A Postgres server for the tests: made in a folder of its own, reached through a socket in it, gone after them.

Texts in it sort as people sort them, as in most databases there are, and not by their bytes as in SQLite: whoever
relies on an order has to ask for it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from sync.store.db import Store

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian and Ubuntu have the programs of a server, by its version."""

QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "max_connections=100")
"""Nothing here has to outlive the machine, and nobody else may reach it."""


class NoPostgres(Exception):
    """There is no server to start. The text says what to install."""


@dataclass(slots=True)
class Postgres:
    """A running server. ``folder`` has its socket; ``count`` databases were made."""

    folder: Path
    count: int = field(default=0)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://mqlsync@/{database}?host={self.folder}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty store that is up to date and that nobody has open."""
        if self.count == 0:
            self._tell("CREATE DATABASE migrated")
            Store.open(self.url("migrated"), home=self.folder).close()
        self.count += 1
        name = f"store{self.count}"
        self._tell(f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self._tell(f"DROP DATABASE {name} WITH (FORCE)")

    def _tell(self, command: str) -> None:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(command)
        finally:
            engine.dispose()


@contextmanager
def running() -> Iterator[Postgres]:
    """A server with nothing in it. Root starts it as nobody: it refuses to run as root.

    Raises
    ------
    NoPostgres: none is installed
    """
    programs = _programs()
    nobody = pwd.getpwnam("nobody")
    who: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="mqlsync-pg-") as made:
        folder = Path(made)
        who = who if os.getuid() == 0 else {}
        if who:
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)

        def call(name: str, *arguments: str) -> None:
            command = [str(programs / name), "-D", str(folder / "db"), *arguments]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **who)
            log = folder / "log"
            assert done.returncode == 0, (done.stderr, log.read_text() if log.exists() else "")

        people = ("--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
        call("initdb", "--username=mqlsync", "--auth=trust", "--no-sync", *people)
        settings = " ".join(f"-c {one}" for one in (*QUICK, f"unix_socket_directories={folder}"))
        call("pg_ctl", "start", "--wait", "--silent", "--log", str(folder / "log"), "--options", settings)
        try:
            yield Postgres(folder)
        finally:
            call("pg_ctl", "stop", "--wait", "--silent", "--mode=immediate")


def _programs() -> Path:
    found = shutil.which("pg_ctl")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3]))
    if not versions:
        raise NoPostgres("there is no Postgres server here; on Debian and Ubuntu: apt-get install postgresql")
    return versions[-1].parent
