"""A policy that is not in use yet, loaded beside the one that is."""

from __future__ import annotations

from pathlib import Path

from scoring.policy import Policy
from sync.compose import Loaded
from sync.versions import at_path

__all__ = ["CandidateUnusable", "load_candidate"]


class CandidateUnusable(Exception):
    """What was named cannot be tried. The text says why and what to do; nothing was read from a CRM."""


def load_candidate(loaded: Loaded, new: Path) -> Policy:
    """The policy of a file, or of a directory with some of the files of a configuration. The others are those in use.

    Raises
    ------
    PolicyInvalid: every error of its files
    StoreError: a file cannot be read
    CandidateUnusable: there is no such policy, or it comes with another field map
    """
    files = at_path(new, loaded.folder)
    if files is None:
        raise CandidateUnusable(f"{new} is no file or directory; name a policy.yaml, or a directory that has one")
    rules = files.rules()
    if rules.fields.hash != loaded.fields.hash:
        raise CandidateUnusable(
            "its fields.yaml maps other fields than the configuration in use: what the CRMs have in them has not been "
            "read yet, so nobody can say what they would change. Take it away to try the rest"
        )
    return rules.policy
