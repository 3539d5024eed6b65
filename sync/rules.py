"""The files that make a version of the policy: policy.yaml, team.yaml, fields.yaml and the list files they name.

They are read together, from a directory, from memory, or from one over the other: a candidate that brings only its
policy.yaml takes the rest from the configuration in use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from scoring.document import PolicyInvalid, Problem, Source
from scoring.load import load_policy
from scoring.policy import Policy
from sync import mapping, publication
from sync.store.db import StoreError

__all__ = ["FILES", "Place", "RuleFiles", "Rules", "digest", "in_folder", "in_memory", "read_folder"]

FILES = ("policy.yaml", "team.yaml", "fields.yaml")

READS = 5
"""Times a directory is read again because somebody published or edited while it was read."""

Place = Callable[[str], Source | None]
"""Gives the file of a name, None where it has none. Raises OSError for one that is there and cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the files say. ``files``: those that were read, by their path inside the directory."""

    policy: Policy
    fields: mapping.Mapping
    warnings: tuple[Problem, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class RuleFiles:
    """Reads the files; the first of ``places`` that has one gives it, be it in JSON (``policy.json``).

    where  how messages call the place
    taken  what was read
    """

    places: tuple[Place, ...]
    where: str
    taken: dict[str, bytes] = field(default_factory=dict)

    def rules(self, *, today: date | None = None) -> Rules:
        """The files as types. ``today``: warn of absences long over as well.

        Raises
        ------
        PolicyInvalid: all errors of all of them
        StoreError: policy.yaml or team.yaml is not there, twice there (``policy.json``), or cannot be read
        """
        policy, team = self._needed("policy.yaml"), self._needed("team.yaml")
        fields, found = mapping.read_mapping(self._source("fields.yaml"))
        problems = [p for p in found if not p.warning]
        warnings = [p for p in found if p.warning]
        made = None
        try:
            made, told = load_policy(
                policy,
                team,
                lists=self._list,
                custom=fields.custom,
                all_custom=not problems,
                seniority=fields.seniority,
                fields_hash=fields.hash,
                mapped=fields.facts_by_property(),
                arrivals=fields.arrivals(),
                today=today,
            )
        except PolicyInvalid as invalid:
            problems += invalid.problems
        if problems or made is None:
            raise PolicyInvalid(problems)
        return Rules(policy=made, fields=fields, warnings=(*warnings, *told), files=dict(self.taken))

    def moved(self) -> bool:
        """Whether a file that was read is another one by now."""
        return any(self._find(name) != content for name, content in self.taken.items())

    def read(self) -> Mapping[str, bytes]:
        """The files as they are, whatever they say, without lists that the policy does not get to name."""
        for name in FILES:
            self._source(name)
        return dict(self.taken)

    def _needed(self, name: str) -> Source:
        found = self._source(name)
        if found is None:
            raise StoreError(f"{Path(self.where) / name} is missing; `mqlsync init new` writes one into the folder new")
        return found

    def _source(self, name: str) -> Source | None:
        for place in self.places:
            found: dict[str, Source] = {}
            for variant in (name, str(Path(name).with_suffix(".json"))):
                try:
                    source = place(variant)
                except OSError as error:
                    raise StoreError(f"{variant} of {self.where} cannot be read: {error.strerror}") from None
                if source is not None:
                    found[variant] = source
            if len(found) > 1:
                raise StoreError(f"{self.where} has {' and '.join(found)}: take away the one that is not meant")
            for variant, source in found.items():
                self.taken[variant] = source.content
                return source
        return None

    def _find(self, name: str) -> bytes | None:
        found = next((source for place in self.places if (source := place(name)) is not None), None)
        return found.content if found is not None else None

    def _list(self, name: str) -> str:
        content = self._find(name)
        if content is None:
            raise FileNotFoundError(f"there is no such file in {self.where}")
        self.taken[name] = content
        return content.decode("utf-8")


def in_folder(folder: Path) -> Place:
    """The files of a directory."""

    def find(name: str) -> Source | None:
        path = folder / name
        return Source(str(path), path.read_bytes()) if path.exists() else None

    return find


def in_memory(files: Mapping[str, bytes]) -> Place:
    """Files as they were kept."""
    return lambda name: Source(name, files[name]) if name in files else None


def digest(files: Mapping[str, bytes]) -> str:
    """The same for the same bytes, comments and all."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return whole.hexdigest()


def read_folder(folder: Path, *, today: date | None = None) -> Rules:
    """The rules of a directory, all of one moment: a publication that was interrupted is finished first.

    Raises
    ------
    PolicyInvalid, StoreError: as `RuleFiles.rules`
    """
    for turn in range(READS):
        left = publication.finish(folder)
        files = RuleFiles((in_folder(folder),), str(folder))
        try:
            rules = files.rules(today=today)
        except (PolicyInvalid, StoreError):
            if turn < READS - 1 and (files.moved() or publication.under_way(folder)):
                continue
            raise
        if turn == READS - 1 or not (files.moved() or publication.under_way(folder)):
            return replace(rules, warnings=(*(_left_alone(folder, name) for name in left), *rules.warnings))
    raise AssertionError("the last turn returns or raises")


def _left_alone(folder: Path, name: str) -> Problem:
    text = "edited while its publication was interrupted: left as it is; `mqlsync policy versions` has what was meant"
    return Problem(file=str(folder / name), line=1, col=1, path="", message=text, warning=True)
