"""team.yaml as types: who can take leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["NobodyFree", "Pool", "PoolMethod", "PoolRep", "Queue", "Rep", "Team"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rep:
    """A person who takes leads, named by e-mail in lower case. Owner ids only where team.yaml gives them."""

    email: str
    name: str
    hubspot: str | None = None
    salesforce: str | None = None
    left: bool = False
    backup: str | None = None


class PoolMethod(StrEnum):
    WEIGHTED = "weighted"
    EVEN = "even"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRep:
    """``weight`` in hundredths: 200 receives twice as many as 100."""

    email: str
    weight: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NobodyFree:
    """What a pool does when nobody is free: the queue that takes the person."""

    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    name: str
    method: PoolMethod
    nobody_free: NobodyFree
    reps: tuple[PoolRep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """``hubspot`` and ``salesforce``: owner id or queue (developer) name; None leaves the owner as it is."""

    name: str
    hubspot: str | None = None
    salesforce: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """``unowned``: e-mails (lower case) and queue names whose records count as owned by nobody."""

    reps: Mapping[str, Rep] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    unowned: frozenset[str] = frozenset()
