"""Replacing the files of a version all together: after a crash the directory holds the old ones or the new ones.

One file beside them, the journal, says what is to replace what. Once it has its name the publication has happened;
whatever a crash left undone is done by whoever reads the directory next. It keeps lying there, under another name,
until it is in the store as well.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from sync.store.db import StoreError

__all__ = ["How", "Publication", "UnderWay", "finish", "kept", "publish", "under_way"]

FORMAT = "mqlsync publication 1"
JOURNAL = ".publishing.json"


class How(StrEnum):
    """How a version came into use."""

    PUBLISHED = "published"
    ROLLED_BACK = "rolled back"
    EDITED = "edited in place"
    FOUND = "found in use"


class UnderWay(StoreError):
    """Another publication is under way in this directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Files to be put into use.

    files   path inside the directory -> text, the whole of the version
    before  the same for what is there: path -> SHA-256 of the content that is replaced, or removed
    """

    id: str
    version: str
    name: str
    how: How
    note: str
    who: str
    at: datetime
    restores: int | None
    files: Mapping[str, str]
    before: Mapping[str, str]

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self), "at": self.at.isoformat()}, ensure_ascii=False)

    @classmethod
    def of(cls, path: Path) -> Publication:
        """Raises StoreError for a file that is none."""
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            if read.pop("format") != FORMAT:
                raise ValueError
            return cls(**{**read, "how": How(read["how"]), "at": datetime.fromisoformat(read["at"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path} is not what mqlsync wrote, so nobody can say which files are in force; "
                "compare them with a backup, remove it, and run `mqlsync check`"
            ) from error


def publish(
    folder: Path, publication: Publication, *, reached: Callable[[str], None] = lambda place: None
) -> tuple[str, ...]:
    """Put the files into use. Returns those that somebody edited in this moment and that were left alone.

    Raises
    ------
    UnderWay: somebody else publishes into this directory; nothing was changed
    StoreError: the directory cannot be written; says what was done
    """
    journal = folder / JOURNAL
    beside = _beside(journal)
    try:
        _write(beside, publication.to_json().encode())
        reached("publish:written")
        os.link(beside, journal)  # fails where there is one
    except FileExistsError:
        raise UnderWay(f"another publication is under way in {folder}; nothing was changed, try again") from None
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}; nothing was published") from error
    finally:
        beside.unlink(missing_ok=True)
    _sync(folder)
    reached("publish:journal")
    return finish(folder, reached=reached)


def under_way(folder: Path) -> bool:
    """Whether the files may be of two versions at this moment."""
    return (folder / JOURNAL).exists()


def finish(folder: Path, *, reached: Callable[[str], None] = lambda place: None) -> tuple[str, ...]:
    """Do what is left of a publication, if there is one. Returns the files that were left alone: edited since.

    Raises
    ------
    StoreError: the directory cannot be written, or the journal is none
    """
    journal = folder / JOURNAL
    if not journal.exists():
        return ()
    try:
        publication = Publication.of(journal)
    except FileNotFoundError:
        return ()  # somebody else has just finished it
    left: list[str] = []
    try:
        for name in dict.fromkeys([*publication.files, *publication.before]):
            if not _replace(folder / name, publication.files.get(name), publication.before.get(name)):
                left.append(name)
            reached(f"publish:{name}")
        os.replace(journal, folder / f".published-{publication.id}.json")
        for path in (journal, *((folder / name).resolve() for name in publication.files)):
            _sweep(path)
        _sync(folder)
    except FileNotFoundError:
        if journal.exists():
            raise
    except OSError as error:
        raise StoreError(
            f"{error.filename} cannot be written: {error.strerror}; version {publication.version} is published in "
            "part, and nothing runs until the rest can be written too"
        ) from error
    reached("publish:done")
    return tuple(left)


def kept(folder: Path) -> Iterator[tuple[Publication, Callable[[], None]]]:
    """Publications that the store may not know yet, oldest first, each with how to forget it."""
    found = [(Publication.of(path), path) for path in folder.glob(".published-*.json")]
    for publication, path in sorted(found, key=lambda pair: pair[0].at):
        yield publication, lambda path=path: path.unlink(missing_ok=True)  # type: ignore[misc]  # the default is a path


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _replace(path: Path, text: str | None, before: str | None) -> bool:
    """One file. False where it holds neither what was nor what is to be: that is somebody's work."""
    target = path.resolve()  # a link stays a link
    there = target.read_bytes() if target.exists() else None
    wanted = text.encode() if text is not None else None
    if there == wanted:
        return True
    if (sha(there) if there is not None else None) != before:
        return False
    if wanted is None:
        path.unlink()
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(target)
    try:
        _write(beside, wanted, mode=target.stat().st_mode & 0o777 if there is not None else None)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    _sync(target.parent)
    return True


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}.tmp")


def _sweep(path: Path) -> None:
    """What a process that was killed had begun to write beside ``path``."""
    for begun in path.parent.glob(f".{path.name.lstrip('.')}.*.tmp"):
        begun.unlink(missing_ok=True)


def _write(path: Path, content: bytes, *, mode: int | None = None) -> None:
    with path.open("wb") as file:
        if mode is not None:
            os.chmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Names are on the disk too."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
