"""Reading by query jobs: many rows for few calls, in no order.

Source: Bulk API 2.0 "Query Jobs": a page of results is named by the locator that the page before gave, and can be read
again as long as the job is there; the locator behind the last page is the word ``null``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from connectors.errors import RetryLater, UnexpectedAnswer
from connectors.records import Crm, FieldKind
from connectors.salesforce.bulk import JobLost, Jobs, lost, problem_in
from connectors.salesforce.client import Client
from connectors.salesforce.refusals import NotPossible, Refused, redacted
from connectors.salesforce.tables import Sheet, of_csv

if TYPE_CHECKING:
    import requests

__all__ = ["JobFailed", "JobLost", "QueryJobs"]

PAGE = 10_000
"""Rows of one page of results: few calls, and no more than one transaction should store."""

_TOO_SLOW = ("QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "running for too long", "retries", "took too long", "timed out")


class JobFailed(RetryLater):
    """The org gave the job up. ``too_slow``: for a reason that a shorter span does not have."""

    def __init__(self, job: str, said: str) -> None:
        super().__init__(
            Crm.SALESFORCE,
            f"query job {job} failed: {redacted(said) or 'no reason was given'}",
            advice="Nothing was changed; the next run tries anew. `limits: {bulk_reads_above: off}` reads by queries.",
        )
        self.refusal = problem_in(said)
        self.too_slow = any(word.casefold() in said.casefold() for word in _TOO_SLOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    sheet: Sheet
    following: str | None


class QueryJobs:
    """Query jobs on one object."""

    def __init__(self, client: Client, object: str) -> None:
        self._client = client
        self._kind = f"bulk {object}"
        self._jobs = Jobs(client, "query", self._kind)

    def open(self, query: str) -> str:
        """A job that has begun to read, deleted and archived rows included; its id.

        Refused and NotPossible where there can be no such job: no bulk for this object, or no more jobs today.
        """
        wish = {"operation": "queryAll", "query": query, "columnDelimiter": "COMMA", "lineEnding": "LF"}
        return self._jobs.create(wish)

    def waits(self, job: str) -> Iterator[None]:
        """Returns when the job has read everything; yields now and then before.

        JobLost, JobFailed; RetryLater when it takes longer than it may: it goes on, and may be waited for again.
        """
        for shown in self._jobs.standing(job, self._client.settings.bulk.longest_wait):
            match shown["state"]:
                case "JobComplete":
                    return
                case "Aborted":
                    raise JobLost(Crm.SALESFORCE, f"query job {job} was aborted by somebody.")
                case "Failed":
                    said = str(shown.get("errorMessage") or "")
                    self._jobs.let_go(job)
                    raise JobFailed(job, said)
                case _:
                    yield
        minutes = self._client.settings.bulk.longest_wait / 60
        raise RetryLater(
            Crm.SALESFORCE,
            f"query job {job} has not ended within {minutes:.0f} minutes.",
            advice="It goes on, and the next run takes it up.",
        )

    def results(
        self, job: str, locator: str, names: Sequence[str], kinds: Mapping[str, FieldKind]
    ) -> Iterator[tuple[Sheet, str | None]]:
        """Pages of the rows from a locator on ("" is the first), each with the locator behind it; the last has None."""

        def read(answer: requests.Response) -> _Result:
            said = answer.headers.get("Sforce-NumberOfRecords", "")
            sheet = of_csv(answer.content, names, kinds, rows=int(said) if said.isdecimal() else None)
            following = answer.headers.get("Sforce-Locator") or "null"
            return _Result(sheet=sheet, following=None if following == "null" else following)

        while True:
            beyond = f"&locator={quote(locator, safe='')}" if locator else ""
            path = self._jobs.at(job, f"/results?maxRecords={PAGE}{beyond}")
            try:
                result = self._client.fetched(path, read, kind=self._kind, accept="text/csv")
            except (Refused, NotPossible) as refused:
                if lost(refused):
                    raise JobLost(Crm.SALESFORCE, f"the results of query job {job} are gone.") from None
                raise
            yield result.sheet, result.following
            if result.following is None:
                return
            if result.following == locator:
                raise UnexpectedAnswer(Crm.SALESFORCE, f"the results of query job {job} do not go on.", status=200)
            locator = result.following

    def let_go(self, job: str) -> None:
        """Delete a job that is read. One that stays is harmless: the org deletes it after a week."""
        self._jobs.let_go(job)
