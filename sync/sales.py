"""What sales says of a person, as their records in both CRMs show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from scoring.episodes import Sales, SalesState

__all__ = ["latest", "read_stored", "stored"]

_WEIGHT = tuple(SalesState)


def latest(said: Iterable[Sales | None]) -> Sales | None:
    """The word that counts where records differ: the latest, of equally late ones the weightiest."""
    given = [sales for sales in said if sales is not None]
    return max(given, key=lambda sales: (sales.at, -_WEIGHT.index(sales.state)), default=None)


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
