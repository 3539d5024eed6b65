"""When somebody rewrites a field of ours again and again: whoever gives in first is us.

A workflow that sets what we set would have both write for ever. Each time our confirmed value was replaced counts; when
that has happened too often in too few days, the field of that record is left alone until somebody says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.records import Crm, RecordRef

__all__ = ["Fight", "FightRule", "rewritten_again"]

WHERE_TO_LOOK = {
    Crm.HUBSPOT: "the property's history in the record shows which workflow or integration sets it",
    Crm.SALESFORCE: "look for a flow, a trigger or an integration that sets it (Setup, Object Manager, Flow Triggers)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FightRule:
    """``times`` in ``days``: the last of them is where we stop."""

    times: int = 3
    days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Fight:
    """A field that is not written any more. ``theirs`` is what it was set to last, ``since`` the first time of them."""

    ref: RecordRef
    person_id: str
    field: str
    theirs: str | None
    ours: str | None
    times: int
    since: datetime

    def __str__(self) -> str:
        """For a person: what happened, what was done, what to do."""
        return (
            f"{self.ref}: {self.field} was set back {self.times} times since {self.since:%Y-%m-%d %H:%M} UTC, "
            f"last to {self.theirs!r} from our {self.ours!r}; it is not written any more. Somebody else writes it: "
            f"{WHERE_TO_LOOK.get(self.ref.crm, 'find out who does')}. End that, then see `mqlsync conflicts`"
        )


def rewritten_again(before: Sequence[datetime], at: datetime, rule: FightRule) -> tuple[tuple[datetime, ...], bool]:
    """(the times that count by now, whether that is too often). ``before`` are the earlier ones, oldest first."""
    since = at - timedelta(days=rule.days)
    times = (*(one for one in before if one > since), at)
    return times, len(times) >= rule.times
