"""A refresh token that its server may replace at any use: where the newest one is, and who may use it now.

RFC 6749 section 6: a server may answer a refresh with another refresh token and end the one that was used. So the
newest one is stored before anything is done with the access token, and no two processes refresh at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

__all__ = ["KeptToken"]


class _Kept(msgspec.Struct, frozen=True):
    instead_of: str
    refresh_token: str


class KeptToken:
    """The refresh token to use next.

    given  as configured
    path   file that holds the newest one, readable by its owner only, with ``<path>.lock`` beside it; None: it is kept
           in memory, for as long as this object lives

    The file counts for the configured token it came from: whoever configures another one starts anew.
    """

    def __init__(self, given: str, path: Path | None = None) -> None:
        self._given = given
        self._origin = hashlib.sha256(given.encode()).hexdigest()
        self._path = path
        self._newest: str | None = None
        self.problem = ""

    def __repr__(self) -> str:
        return f"KeptToken(path={str(self._path)!r})" if self._path else "KeptToken()"

    @contextmanager
    def held(self) -> Iterator[str]:
        """The token, while no other process that knows the file can use it."""
        if self._path is None:
            yield self._newest or self._given
            return
        with self._locked(self._path.with_name(f"{self._path.name}.lock")):
            yield self._newest or self._stored(self._path) or self._given

    def keep(self, token: str) -> None:
        """Remember what the server returned. Call it inside `held`.

        Where the file cannot be written the token lives on in this process, and ``problem`` says what that means.
        """
        if self._path is None:
            self._newest = token
            return
        try:
            self._write(self._path, token)
        except OSError as error:
            self._newest = token
            self.problem = (
                f"the new refresh token cannot be stored in {self._path} ({error.strerror}): this process goes on with "
                "it, the next one may have to be given another. Make the file writable."
            )
        else:
            self._newest, self.problem = None, ""

    def _stored(self, path: Path) -> str | None:
        """What the file holds; None when it is not there, not readable as such, or of another configured token."""
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None
        return kept.refresh_token if kept.instead_of == self._origin else None

    def _write(self, path: Path, token: str) -> None:
        content = msgspec.json.encode(_Kept(instead_of=self._origin, refresh_token=token))
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        descriptor = _opened(path)
        if descriptor is None:
            yield  # nothing can be stored there either, which `keep` will say
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _opened(path: Path) -> int | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
