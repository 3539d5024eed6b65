"""What people at the CRMs say of a person: sales, how far they are; a marketer, whether somebody may go to sales.

Pure: property values become words. A CRM does not tell when a single property was edited, so the time of a word is the
modification time of the record in the read that first showed it: never earlier than the edit, and later only where the
record was changed again before it was read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.records import Deal
from scoring.episodes import Sales, SalesState
from scoring.tables import fold
from sync.mapping import ReviewAnswer
from sync.mapping import SalesState as SalesRule

__all__ = [
    "Hearing",
    "approves",
    "deal_word",
    "latest",
    "not_offered",
    "read_stored",
    "sales_word",
    "stored",
    "unknown_value",
]

_WEIGHT = tuple(SalesState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What is listened for in the records of one CRM.

    gone  object -> values of the sales state that fields.yaml names and that its picklist there does not offer any more
    """

    sales: SalesRule | None = None
    review: ReviewAnswer | None = None
    gone: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def sales_word(rule: SalesRule, heard: Mapping[str, str | None], *, at: datetime, before: Sales | None) -> Sales | None:
    """What sales says by a record's properties now; None: nothing.

    ``at``: when the record was modified. ``before``: what they said at the last read; a word that did not move keeps
    its time. ``won_when`` is stronger than ``sql_when``, and that than ``values``.
    """
    state = _state(rule, heard)
    if state is None:
        return None
    reason = _text(heard.get(rule.reason)) if rule.reason is not None and state is SalesState.REJECTED else None
    if before is not None and (before.state, before.reason) == (state, reason):
        return before
    return Sales(state=state, at=at, reason=reason)


def _state(rule: SalesRule, heard: Mapping[str, str | None]) -> SalesState | None:
    for state, tests in ((SalesState.WON, rule.won_when), (SalesState.SQL, rule.sql_when)):
        for prop, values in tests.items():
            if (said := _text(heard.get(prop))) is not None and fold(said) in map(fold, values):
                return state
    said = _text(heard.get(rule.property))
    if said is None:
        return None
    return next((SalesState(state) for value, state in rule.values.items() if fold(value) == fold(said)), None)


def deal_word(rule: SalesRule, deals: Iterable[Deal], *, before: Sales | None) -> Sales | None:
    """What sales says by the opportunities a person has a role in: the latest that says anything; None: nothing.

    A stage that ``rule`` names counts before whether the opportunity is open, won or lost.
    """
    words = {fold(word): SalesState(state) for word, state in rule.opportunity.items()}
    said = [
        Sales(state=state, at=deal.at, reason=None)
        for deal in deals
        if (state := words.get(fold(deal.stage), words.get(deal.state.value))) is not None
    ]
    word = latest(said)
    if word is not None and before is not None and (before.state, before.reason) == (word.state, word.reason):
        return before
    return word


def _text(value: str | None) -> str | None:
    return (value.strip() or None) if value is not None else None


def not_offered(rule: SalesRule, offered: Collection[str]) -> tuple[str, ...]:
    """Values that mean something by fields.yaml, and that nobody can choose any more."""
    there = {fold(value) for value in offered}
    return tuple(value for value in rule.values if fold(value) not in there)


def unknown_value(rule: SalesRule, heard: Mapping[str, str | None], gone: Collection[str]) -> str | None:
    """What is wrong with a record's value that nobody can interpret; None: nothing is.

    A value that fields.yaml does not name says nothing, and most are meant so. But when a value that it does name has
    gone from the picklist (``gone``), one that it does not may be the new name of that.
    """
    said = _text(heard.get(rule.property))
    if said is None or not gone or fold(said) in map(fold, rule.values):
        return None
    names = ", ".join(map(repr, gone))
    return (
        f"{said!r} may be the new name of {names}, which cannot be chosen any more: correct sales_state in fields.yaml"
    )


def approves(rule: ReviewAnswer, value: str | None) -> bool | None:
    """A marketer's yes or no; None: the property says neither."""
    said = fold(value or "")
    if said in map(fold, rule.approve):
        return True
    return False if said in map(fold, rule.reject) else None


def latest(said: Iterable[Sales | None]) -> Sales | None:
    """The word that counts where records differ: the latest, of equally late ones the weightiest."""
    given = [sales for sales in said if sales is not None]
    return max(given, key=lambda sales: (sales.at, -_WEIGHT.index(sales.state), sales.reason or ""), default=None)


def stored(sales: Sales | None) -> dict[str, Any] | None:
    """As ``record.sales`` keeps it."""
    if sales is None:
        return None
    return {"state": sales.state.value, "at": sales.at.isoformat(), "reason": sales.reason}


def read_stored(body: Mapping[str, Any] | None) -> Sales | None:
    """The reverse of `stored`."""
    if body is None:
        return None
    return Sales(state=SalesState(body["state"]), at=datetime.fromisoformat(body["at"]), reason=body["reason"])
