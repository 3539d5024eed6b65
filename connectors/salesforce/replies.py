"""What became of one record of a batch, whichever way the batch went."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.errors import ConnectorError
from connectors.salesforce.refusals import Problem

__all__ = ["Done", "Failed", "Lost", "NotSent", "Reply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """``success: true``."""

    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """This record was refused; nothing of it was written."""

    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Sent, and no usable answer about this record. ``stumbled``: Salesforce itself failed at the request."""

    reason: str
    stumbled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """The request with this record was turned away whole, for a reason that is not in its records."""

    error: ConnectorError


Reply = Done | Failed | Lost | NotSent
