"""A policy that is not in use yet, loaded beside the one that is."""

from __future__ import annotations

from pathlib import Path

from scoring.document import Source
from scoring.load import load_policy
from scoring.policy import Policy
from sync.compose import Loaded
from sync.mapping import load_mapping

__all__ = ["CandidateUnusable", "load_candidate"]


class CandidateUnusable(Exception):
    """What was named cannot be tried. The text says why and what to do; nothing was read from a CRM."""


def load_candidate(loaded: Loaded, new: Path) -> Policy:
    """The policy of a file, or of a directory with policy.yaml and whatever else of a configuration.

    The team and the lists that are not beside it are those in use; the field map always is.

    Raises
    ------
    PolicyInvalid: every error of its files
    CandidateUnusable: there is no such policy, or it comes with another field map
    """
    folder = new if new.is_dir() else new.parent
    policy = _find(folder, "policy.yaml") if new.is_dir() else Source(str(new), _read(new))
    if policy is None:
        raise CandidateUnusable(f"{new} has no policy.yaml; name the file, or a directory that has one")
    team = (_find(folder, "team.yaml") if new.is_dir() else None) or _find(loaded.folder, "team.yaml")
    assert team is not None  # the configuration in use was loaded with it
    fields = _find(folder, "fields.yaml") if new.is_dir() else None
    if fields is not None and load_mapping(fields)[0].hash != loaded.fields.hash:
        raise CandidateUnusable(
            f"{fields.name} maps other fields than the configuration in use: what the CRMs have in them has not been "
            "read yet, so nobody can say what they would change. Take it away to try the rest"
        )
    found, _ = load_policy(
        policy,
        team,
        lists=lambda name: _list_text(name, folder, loaded.folder),
        custom=loaded.fields.custom,
        seniority=loaded.fields.seniority,
        fields_hash=loaded.fields.hash,
        mapped=loaded.fields.facts_by_property(),
    )
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CandidateUnusable(f"{path} cannot be read: {error.strerror}") from None


def _find(folder: Path, name: str) -> Source | None:
    """The file, or the same in JSON."""
    for path in (folder / name, (folder / name).with_suffix(".json")):
        if path.exists():
            return Source(str(path), _read(path))
    return None


def _list_text(name: str, folder: Path, in_use: Path) -> str:
    beside = folder / name
    return (beside if beside.exists() else in_use / name).read_text(encoding="utf-8")
