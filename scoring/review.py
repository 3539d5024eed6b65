"""Who waits for a marketer: the deterministic sample."""

from __future__ import annotations

import hashlib

__all__ = ["sampled"]


def sampled(policy_name: str, person_id: str, n: int, hundredths: int) -> bool:
    """Whether the n-th episode of a person is drawn; ``hundredths`` of a percent are.

    Drawn from names and numbers, not from chance or the policy's version: a repeat draws alike, and an edit of the
    policy reshuffles nobody.
    """
    drawn = hashlib.sha256(f"{policy_name}|sample|{person_id}|{n}".encode()).hexdigest()[:8]
    return int(drawn, 16) % 10_000 < hundredths
