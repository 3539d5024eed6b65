"""What marketing does meanwhile: the track a person is nurtured in, and whether their marketing mail rests.

What a track sends is built in the CRM; here it is only named.
"""

from __future__ import annotations

from scoring.cards import Scorecard
from scoring.episodes import FADED, REJECTED, Status
from scoring.near import missing
from scoring.policy import Policy
from scoring.qualify import rule_of

__all__ = ["lacking", "paused", "track"]

_WITH_MARKETING = frozenset({Status.NOT_YET, Status.NEAR, Status.RECYCLED})
"""Statuses of people whom marketing may still bring to the gate, or back to it."""

_LENGTH = 255
"""Characters of a text property in Salesforce."""


def track(policy: Policy, status: str, outcome: str | None) -> str | None:
    """The track of somebody with this status; None: no track.

    The first that fits: the track of sales' reason while the person is recycled, ``faded`` after a drop, the track of
    ``near_mql`` while the person is near. ``outcome`` is that of the newest episode; None while it is open, or where
    there was none.
    """
    nurture = policy.nurture
    if nurture is None or status not in _WITH_MARKETING:
        return None
    if status == Status.RECYCLED and outcome is not None and outcome.startswith(REJECTED):
        reason = rule_of(policy, outcome.removeprefix(REJECTED))
        if reason is not None and reason.nurture is not None:
            return reason.nurture
    if outcome == FADED and nurture.faded is not None:
        return nurture.faded
    return nurture.near_track if status == Status.NEAR else None


def paused(policy: Policy, status: str) -> bool:
    """Whether marketing mail rests because sales works with the person."""
    return policy.nurture is not None and status in policy.nurture.pause_in


def lacking(policy: Policy, card: Scorecard, status: str) -> str | None:
    """What marketing reads a person lacks to qualify, at most 255 characters; None once sales has them, or never will.

    ``8 engagement points short of A2; unknown: company.employees (up to 35)``
    """
    text = missing(policy, card) if status in _WITH_MARKETING else None
    return text if text is None or len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."
