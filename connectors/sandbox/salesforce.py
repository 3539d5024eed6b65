"""A Salesforce org (its author replaces this first outline)."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.clock import Clock
from connectors.sandbox.journal import Journal
from connectors.sandbox.server import Request, Response


class SalesforceOrg:
    """One org."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal

    def answer(self, request: Request) -> Response:
        """One API call."""
        return Response(404, [{"errorCode": "NOT_FOUND", "message": "not there yet"}])

    def edit(self, object: str, id: str, fields: dict[str, object], by: str = "person") -> None:
        """A person's edit."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """The org as plain values."""
        return {}
