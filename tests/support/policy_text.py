"""A small policy and its team as text, to be edited and read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scoring.document import PolicyInvalid, Problem, Source
from scoring.load import load_policy
from scoring.policy import Policy

__all__ = ["POLICY", "TEAM", "but", "load", "no_file", "problems"]

POLICY = """\
version: 1
name: small
fit:
  groups:
    size: {field: company.employees, points: {from 200: 60, from 20: 25, unknown: 10, otherwise: 0}}
engagement:
  groups:
    all:
      fade: half-life 30 days
      rules:
        - {event: demo_request, points: 60, count: once}
        - {event: form_submit, points: 20, count: once per form}
grade: {fit: {A: 50, B: 0}, engagement: {1: 50, 2: 0}}
mql: {become_when: {good: {grade: [A1]}}}
routing: [{name: everyone, to: pool sales}]
write: {hubspot: {contact: {status: mql_status, owner: hubspot_owner_id}}}
"""

TEAM = """\
version: 1
reps: {ana@acme.com: {hubspot: 1101}, bo@acme.com: {name: Bo}}
pools: {sales: {method: even, nobody_free: queue inbound, reps: {ana@acme.com: {}, bo@acme.com: {}}}}
queues: {inbound: {}}
"""


def no_file(name: str) -> str:
    """There are no list files."""
    raise FileNotFoundError(2, "No such file or directory", name)


def load(
    policy: str = POLICY, team: str = TEAM, lists: Callable[[str], str] = no_file, **more: Any
) -> tuple[Policy, list[Problem]]:
    """What the two files become, and the warnings."""
    return load_policy(Source("policy.yaml", policy.encode()), Source("team.yaml", team.encode()), lists=lists, **more)


def problems(policy: str = POLICY, team: str = TEAM, lists: Callable[[str], str] = no_file, **more: Any) -> list[str]:
    """Every error of the two files, which have some."""
    with pytest.raises(PolicyInvalid) as invalid:
        load(policy, team, lists, **more)
    return [str(p) for p in invalid.value.problems]


def but(old: str, new: str, text: str = POLICY) -> str:
    """The policy with one text, which is in it once, replaced."""
    assert text.count(old) == 1, f"{old!r} is not exactly once in the file"
    return text.replace(old, new)
