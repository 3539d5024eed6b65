"""One row that a CRM will not have, at any place of a full batch: it alone is refused, all others are written.

The CRM says as little as it may: the whole batch is refused, and nothing in the answer names the row. (What it says
when it is more talkative is held to in the contract suite.)
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import ceil, log2
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hubspot.batch import Done as Written
from connectors.hubspot.batch import Input, Turned, send
from connectors.hubspot.client import Answer, Client
from connectors.hubspot.reader import BATCH
from connectors.hubspot.refusals import Refused, problem_from
from connectors.salesforce.client import Client as SalesforceClient
from connectors.salesforce.refusals import Problem
from connectors.salesforce.refusals import Refused as SalesforceRefused
from connectors.salesforce.replies import Done, Failed
from connectors.salesforce.writer import COLLECTION, Collections

Bad = Collection[int]


@dataclass(slots=True)
class Portal:
    """Refuses a batch with a bad row as a whole, by one sentence; ``written`` counts how often a row was taken."""

    bad: Bad
    calls: int = 0
    written: list[int] = field(default_factory=list)

    def write(self, kind: str, method: str, path: str, body: Mapping[str, Any], **how: Any) -> Answer:
        self.calls += 1
        rows = [int(one["id"]) for one in body["inputs"]]
        if set(rows) & set(self.bad):
            said = {"status": "error", "message": "Invalid input JSON", "category": "VALIDATION_ERROR"}
            raise Refused(problem_from(said), status=400, request=f"{method} {path}")
        self.written += rows
        results = [{"id": one["id"], "objectWriteTraceId": one["objectWriteTraceId"]} for one in body["inputs"]]
        return Answer(status=200, body=json.dumps({"status": "COMPLETE", "results": results}).encode())


@dataclass(slots=True)
class Org:
    """The same of Salesforce."""

    bad: Bad
    calls: int = 0
    written: list[int] = field(default_factory=list)

    def send(self, method: str, path: str, body: Mapping[str, Any], *, kind: str) -> list[dict[str, Any]]:
        self.calls += 1
        rows = [int(one["id"]) for one in body["records"]]
        if set(rows) & set(self.bad):
            raise SalesforceRefused(Problem(code="JSON_PARSER_ERROR", message="why"), status=400)
        self.written += rows
        return [{"id": one["id"], "success": True, "errors": []} for one in body["records"]]


def hubspot(bad: Bad) -> tuple[list[int], list[int], Portal]:
    """(rows refused, rows confirmed, the portal)."""
    portal = Portal(bad)
    inputs = [Input(trace=f"t{n}", id=str(n), properties={"score": "7"}) for n in range(BATCH)]
    results = send(cast("Client", portal), "batch_update", "/contacts/batch/update", inputs)
    refused = [n for n in range(BATCH) if isinstance(results[f"t{n}"], Turned)]
    return refused, [n for n in range(BATCH) if isinstance(results[f"t{n}"], Written)], portal


def salesforce(bad: Bad) -> tuple[list[int], list[int], Org]:
    org = Org(bad)
    records = [{"id": f"{n:018}"} for n in range(COLLECTION)]
    replies = Collections(cast("SalesforceClient", org), lambda seconds: None).send("PATCH", records, kind="update")
    refused = [n for n, reply in enumerate(replies) if isinstance(reply, Failed)]
    return refused, [n for n, reply in enumerate(replies) if isinstance(reply, Done)], org


@pytest.mark.parametrize("place", range(BATCH))
def test_hubspot_refuses_it_alone(place: int) -> None:
    refused, confirmed, portal = hubspot({place})
    assert refused == [place]
    assert confirmed == sorted(portal.written) == [n for n in range(BATCH) if n != place]
    assert portal.calls <= 1 + 2 * ceil(log2(BATCH))


@pytest.mark.parametrize("place", range(COLLECTION))
def test_salesforce_refuses_it_alone(place: int) -> None:
    refused, confirmed, org = salesforce({place})
    assert refused == [place]
    assert confirmed == sorted(org.written) == [n for n in range(COLLECTION) if n != place]
    assert org.calls <= 1 + 2 * ceil(log2(COLLECTION))


@given(st.sets(st.integers(0, BATCH - 1), max_size=12))
def test_any_number_of_them_harms_no_other(bad: set[int]) -> None:
    for tried, size in ((hubspot, BATCH), (salesforce, COLLECTION)):
        refused, confirmed, crm = tried(bad)
        assert refused == sorted(bad)
        assert confirmed == sorted(crm.written) == [n for n in range(size) if n not in bad]
