"""A HubSpot portal: its state, what people do in it, and its API."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.sandbox.clock import Clock
from connectors.sandbox.journal import Journal, Via
from connectors.sandbox.server import Request, Response


@dataclass(slots=True)
class Limits:
    """Quotas the portal enforces; None: none."""

    per_10_seconds: int | None = None
    search_per_second: int | None = None
    per_day: int | None = None


class HubSpotPortal:
    """One portal. Public methods without a "via" of their own are what seeds and people do; `answer` is the API."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._lock = threading.RLock()
        self.token = "sandbox-hubspot-token"  # noqa: S105 - a stand-in's token
        self.oauth = ("sandbox-client", "sandbox-client-secret", "sandbox-refresh-token")
        self.portal_id = 4_242_424
        self.time_zone = "UTC"
        self.limits = Limits()
        self._records: dict[str, dict[str, dict[str, Any]]] = {}

    def add(
        self,
        object: str,
        properties: Mapping[str, object],
        *,
        id: str | None = None,
        at: datetime | None = None,
        archived: bool = False,
        via: Via = "seed",
    ) -> str:
        """Creates a record and gives its id. `at` is its creation and modification instant (default: now)."""
        with self._lock:
            records = self._records.setdefault(object, {})
            new = id or str(1001 + len(records))
            records[new] = dict(properties)
            self._journal.record("hubspot", object, new, "create", {k: (None, v) for k, v in properties.items()}, via)
            return new

    def edit(self, object: str, id: str, properties: Mapping[str, object], by: Via = "person") -> None:
        """A person's edit in the CRM: validated like an API write, stamps move."""
        raise NotImplementedError

    def archive(self, object: str, id: str, via: Via = "person") -> None:
        """Moves a record to the bin."""
        raise NotImplementedError

    def merge(self, object: str, primary: str, other: str, via: Via = "person") -> str:
        """Merges two records; the survivor's new id."""
        raise NotImplementedError

    def add_owner(
        self, email: str, first: str = "", last: str = "", *, active: bool = True, type: str = "PERSON"
    ) -> str:
        """Creates an owner, or with type "QUEUE" a queue; its owner id."""
        raise NotImplementedError

    def add_form(self, name: str, guid: str | None = None) -> str:
        """Creates a form; its guid."""
        raise NotImplementedError

    def add_submission(
        self, form: str, at: datetime, values: Mapping[str, str], page_url: str = "https://www.example.com/"
    ) -> None:
        """Somebody sends a form. The contact's form counters are the seed's business."""
        raise NotImplementedError

    def associate(self, from_object: str, from_id: str, to_object: str, to_id: str) -> None:
        """Associates two records, both ways; the first company of a contact becomes its primary one."""
        raise NotImplementedError

    def get(self, object: str, id: str) -> dict[str, str]:
        """The properties of a live, archived or merged-away (then the survivor's) record. KeyError when unknown."""
        raise NotImplementedError

    def tasks(self) -> list[dict[str, Any]]:
        """Live tasks, each its properties plus "id" and "contacts" (ids)."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """The portal as plain values, see `Sandbox.state`."""
        raise NotImplementedError

    def answer(self, request: Request) -> Response:
        """One API call."""
        raise NotImplementedError
