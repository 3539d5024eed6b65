"""A version of the policy on its way: named, compared, put into use, brought back.

What was in use is always kept first, so that nothing that ever decided about somebody is lost, and a version comes
back byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scoring.document import PolicyInvalid, Source
from scoring.policy import Policy
from sync import publication
from sync.publication import How, Publication
from sync.rules import FILES, Place, RuleFiles, Rules, digest, in_folder, in_memory
from sync.store import versions
from sync.store.db import Store, StoreError
from sync.store.versions import VersionRow

__all__ = [
    "LIVE",
    "InUse",
    "VersionUnknown",
    "at_path",
    "find",
    "keep_in_use",
    "previous",
    "put_into_use",
    "rules_of",
    "settle",
]

LIVE = "live"
"""How the files in use are named on the command line."""

SHORTEST = 4
"""Digits of a version that name it."""

_NUMBER = re.compile(r"v([0-9]+)")
_HASH = re.compile(rf"[0-9a-f]{{{SHORTEST},12}}")


class VersionUnknown(Exception):
    """Nothing has this name, or more than one thing. The text says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """The files of the configuration directory as they are; ``policy`` None: they do not load.

    ``wrong`` says why not.
    """

    files: Mapping[str, bytes]
    policy: Policy | None
    wrong: PolicyInvalid | StoreError | None = None


# -- naming ------------------------------------------------------------------------------------------------------


def find(what: str, folder: Path, store: Callable[[], AbstractContextManager[Store]]) -> RuleFiles:
    """The files that somebody means.

    ``live``: those in use. A directory: its files, and for those it lacks the ones in use. A file: instead of the one
    of its name, or of policy.yaml. Else the number (``v3``) or the beginning of the hash of a version in the store.

    Raises
    ------
    VersionUnknown: none of these
    StoreError: there is no store yet
    """
    publication.finish(folder)
    if what == LIVE:
        return RuleFiles((in_folder(folder),), str(folder))
    found = at_path(Path(what), folder)
    if found is not None:
        return found
    if not (_NUMBER.fullmatch(what) or _HASH.fullmatch(what)):
        raise VersionUnknown(f"{what} is no file or directory, and neither 'live' nor the name of a version")
    with store() as opened, opened.read() as tx:
        row = versions.entry(tx, _named(what, versions.entries(tx)).seq)
    return RuleFiles((in_memory(row.contents),), f"version {row.version or what}")


def at_path(path: Path, folder: Path) -> RuleFiles | None:
    """The files at a path, and for those it lacks the ones of ``folder``; None where nothing is.

    A directory gives whichever it has, a file stands for the one of its name, or for policy.yaml.
    """
    if path.is_dir():
        return RuleFiles((in_folder(path), in_folder(folder)), str(path))
    return RuleFiles((_alone(path), in_folder(folder)), str(path)) if path.exists() else None


def _alone(path: Path) -> Place:
    """A single file under the name it stands for, and list files that lie beside it."""
    stem = path.stem if f"{path.stem}.yaml" in FILES else "policy"
    name = f"{stem}.json" if path.suffix == ".json" else f"{stem}.yaml"
    beside, itself = in_folder(path.parent), in_folder(path.parent)
    rules = {*FILES, *(str(Path(one).with_suffix(".json")) for one in FILES)}

    def place(wanted: str) -> Source | None:
        if wanted == name:
            return itself(path.name)
        return beside(wanted) if wanted not in rules else None

    return place


def _named(what: str, found: list[VersionRow]) -> VersionRow:
    """The newest entry of that number or hash."""
    number = _NUMBER.fullmatch(what)
    if number is not None:
        matching = [row for row in found if row.seq == int(number[1])]
    else:
        matching = [row for row in found if row.version.startswith(what)]
    if not matching:
        raise VersionUnknown(f"there is no version {what}; `mqlsync policy versions` lists them")
    if len({row.version for row in matching}) > 1:
        listed = ", ".join(dict.fromkeys(row.version for row in matching))
        raise VersionUnknown(f"{what} is the beginning of several versions: {listed}; give more digits")
    return matching[0]


def rules_of(row: VersionRow) -> Rules:
    """What the files of a version say. Raises VersionUnknown where they do not load any more."""
    try:
        return RuleFiles((in_memory(row.contents),), f"version {row.version}").rules()
    except (PolicyInvalid, StoreError) as wrong:
        why = str(wrong).splitlines()[0]
        raise VersionUnknown(f"version {row.version} was in use, but does not load any more: {why}") from None


def previous(store: Store, in_use: InUse, what: str | None) -> VersionRow:
    """The version to bring back: the one named, or the newest that has other files than those in use.

    Raises
    ------
    VersionUnknown: there is none
    """
    with store.read() as tx:
        found = versions.entries(tx)
        if what is not None:
            return versions.entry(tx, _named(what, found).seq)
        mine = digest(in_use.files)
        other = next((row for row in found if row.digest != mine and row.version), None)
        if other is None:
            raise VersionUnknown("there is no earlier version to go back to; `mqlsync policy versions` lists them")
        return versions.entry(tx, other.seq)


# -- putting into use --------------------------------------------------------------------------------------------


def put_into_use(
    store: Store,
    folder: Path,
    new: Mapping[str, bytes],
    policy: Policy,
    *,
    in_use: InUse,
    how: How,
    note: str,
    who: str,
    at: datetime,
    new_id: Callable[[], str],
    restores: int | None = None,
    reached: Callable[[str], None] = lambda place: None,
) -> tuple[str, ...]:
    """Replace the files in use, keeping both versions. Returns the files that somebody edited meanwhile.

    Lists that the new version does not name any more stay where they are.

    Raises
    ------
    StoreError: somebody else publishes just now, or the directory cannot be written
    """
    settle(store, folder)
    keep_in_use(store, in_use, note="as found before the next version", who=who, at=at, new_id=new_id)
    gone = {name for name in in_use.files if name not in new and _is_rules(name)}
    before = {name: publication.sha(content) for name, content in in_use.files.items() if name in new or name in gone}
    for name in new:
        # a list that the version in use does not name
        path = folder / name
        if name not in before and path.exists():
            before[name] = publication.sha(path.read_bytes())
    one = Publication(
        id=new_id(),
        version=policy.version,
        name=policy.name,
        how=how,
        note=note,
        who=who,
        at=at,
        restores=restores,
        files={name: content.decode("utf-8") for name, content in new.items()},
        before=before,
    )
    left = publication.publish(folder, one, reached=reached)
    settle(store, folder)
    return left


def _is_rules(name: str) -> bool:
    return f"{Path(name).stem}.yaml" in FILES and "/" not in name


def settle(store: Store, folder: Path) -> None:
    """What was published into the directory, and the store may not know of: a crash came between."""
    for one, forget in publication.kept(folder):
        with store.write() as tx:
            versions.record(tx, one)
        forget()


def keep_in_use(store: Store, in_use: InUse, *, note: str, who: str, at: datetime, new_id: Callable[[], str]) -> None:
    """Files in use that are not the newest version in the store were edited in place: they become one."""
    with store.write() as tx:
        last = versions.newest(tx)
        version = in_use.policy.version if in_use.policy is not None else ""
        known = last is not None and (last.digest, last.version) == (digest(in_use.files), version)
        if known or not in_use.files:
            return
        one = Publication(
            id=new_id(),
            version=version,
            name=in_use.policy.name if in_use.policy is not None else "",
            how=How.EDITED if last is not None else How.FOUND,
            note=note,
            who=who,
            at=at,
            restores=None,
            files={name: content.decode("utf-8", "replace") for name, content in in_use.files.items()},
            before={},
        )
        versions.record(tx, one)


def note_run(
    store: Store, files: Mapping[str, bytes], policy: Policy, *, run_id: str, at: datetime, new_id: Callable[[], str]
) -> None:
    """A run is about to decide by these files. A version that nobody published is kept as edited in place."""
    with store.read() as tx:
        last = versions.newest(tx)
    if last is None or last.version != policy.version:
        keep_in_use(
            store,
            InUse(files=files, policy=policy),
            note=f"found by run {run_id}",
            who="run",
            at=at,
            new_id=new_id,
        )
