"""Defects planted one by one in small policies: each is found on its line, and what only looks like one is not.

A set is a directory of `tests/support/planted`; ``# finds CODE`` stands on the line of the finding. A set whose name
begins with ``near`` has none.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from scoring.document import PolicyInvalid, Problem, Source
from scoring.load import load_policy
from sync.mapping import load_mapping

PLANTED = Path(__file__).parents[1] / "support" / "planted"
SETS = sorted(path for path in PLANTED.iterdir() if path.is_dir())
CODES = (*(f"E{n:02}" for n in range(1, 7)), *(f"W{n:02}" for n in range(1, 14)))
TODAY = date(2026, 11, 25)


@cache
def found(folder: Path) -> list[Problem]:
    fields = folder / "fields.yaml"
    mapping, told = load_mapping(Source("fields.yaml", fields.read_bytes()) if fields.exists() else None)
    team = folder / "team.yaml" if (folder / "team.yaml").exists() else PLANTED / "team.yaml"
    try:
        _, warned = load_policy(
            Source("policy.yaml", (folder / "policy.yaml").read_bytes()),
            Source("team.yaml", team.read_bytes()),
            lists=lambda name: (folder / name).read_text(encoding="utf-8"),
            custom=mapping.custom,
            arrivals=mapping.arrivals(),
            today=TODAY,
        )
    except PolicyInvalid as invalid:
        return list(invalid.problems)
    return [*told, *warned]


def expected(folder: Path) -> Counter[tuple[str, int, str]]:
    return Counter(
        (path.name, number, code)
        for path in folder.glob("*.yaml")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for codes in re.findall(r"# finds ((?:[EW]\d\d ?)+)$", line)
        for code in codes.split()
    )


@pytest.mark.parametrize("folder", SETS, ids=lambda folder: folder.name)
def test_what_is_planted_is_found_where_it_is_and_nothing_else(folder: Path) -> None:
    told = found(folder)
    assert Counter((p.file, p.line, p.code) for p in told) == expected(folder), "\n".join(map(str, told))


@pytest.mark.parametrize("folder", SETS, ids=lambda folder: folder.name)
def test_the_name_of_a_set_says_what_it_is_about(folder: Path) -> None:
    code = re.match(r"(near-)?([EW]\d\d)-", folder.name)
    assert code is not None
    assert {c for _, _, c in expected(folder)} == (set() if code[1] else {code[2]})


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_two_defects_and_a_near_miss(code: str) -> None:
    names = [folder.name for folder in SETS]
    assert sum(name.startswith(f"{code}-") for name in names) >= 2
    assert any(name.startswith(f"near-{code}-") for name in names)


def test_an_error_is_no_warning() -> None:
    told = [p for folder in SETS for p in found(folder)]
    assert {p.code for p in told if p.code.startswith("W") and not p.warning} == set()
    assert {p.code for p in told if p.code.startswith("E") and p.warning} == {"E05"}, "a pool without a usable rep"
