"""Writing by ingest jobs: many records for few calls, one reply for each, matched by id and never by place.

Source: Bulk API 2.0 "Ingest Jobs": create, upload CSV, close, wait, fetch results. Nothing happens before the job is
closed. An empty cell leaves a field alone and ``#N/A`` clears it; a job that is complete can hold refused records; the
rows of the three results come in any order. No header and no field of a job turns assignment rules off, they run where
``assignmentRuleId`` is given, and it never is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from connectors.errors import ConnectorError, OutcomeUnknown, RetryLater
from connectors.records import Crm
from connectors.salesforce import soql
from connectors.salesforce.bulk import ENDED, JobLost, Jobs, problem_in
from connectors.salesforce.client import Client
from connectors.salesforce.replies import Done, Failed, Lost, NotSent, Reply
from connectors.salesforce.tables import csv_rows

if TYPE_CHECKING:
    import requests

__all__ = ["MOST_AT_ONCE", "IngestJobs"]

MOST_AT_ONCE = 50_000
"""Most records of one job: far below the 100 MB that an upload may have, few enough to be held in memory."""

LARGEST = 90_000_000
"""Most bytes of one upload. The limit is 150 MB after an encoding that makes 4 bytes of 3."""

_KIND = "update in bulk"

_CSV = "text/csv; charset=UTF-8"

_NOT_UPLOADED = "Open"

Row = Mapping[str, str]


class IngestJobs:
    """``begun`` outlives the program: job -> object, of jobs that may still be at work."""

    def __init__(self, client: Client, begun: MutableMapping[str, str]) -> None:
        self._client = client
        self._begun = begun
        self._jobs = Jobs(client, "ingest", _KIND)

    def update(self, object: str, records: Sequence[Mapping[str, Any]]) -> list[Reply]:
        """One reply for each record, in order. ``object`` is its API name; records are as collections take them.

        Records with different fields go in jobs of their own: a cell cannot be left out of a row.
        """
        replies: list[Reply | None] = [None] * len(records)
        for some in _alike(records):
            for part in _parts([records[i] for i in some], some):
                for number, reply in zip(part, self._in_one_job(object, [records[i] for i in part]), strict=True):
                    replies[number] = reply
        return [reply if reply is not None else Lost(reason="it was in no job.") for reply in replies]

    def finish(self) -> None:
        """Wait for the jobs of a run that was cut off, and stop those that were never closed.

        After this, what is read is what they left behind: none of them writes any more. RetryLater while one does.
        """
        for job in list(self._begun):
            with suppress(JobLost):  # deleted, or never made: it writes no more
                self._ended(job)
            self._begun.pop(job, None)

    def _ended(self, job: str) -> None:
        if self._jobs.look(job)["state"] == _NOT_UPLOADED:
            self._stop(job)
        if not self._wait(job):
            raise RetryLater(
                Crm.SALESFORCE,
                f"job {job} of an earlier run is still writing, and cannot be stopped.",
                advice="What it writes is read back when it has ended; the next run looks again.",
            )
        self._jobs.let_go(job)

    # -- one job ---------------------------------------------------------------------------------------------------

    def _in_one_job(self, object: str, records: Sequence[Mapping[str, Any]]) -> list[Reply]:
        wish = {
            "object": object,
            "operation": "update",
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }
        try:
            job = self._jobs.create(wish)
        except ConnectorError as error:
            return [NotSent(error=error)] * len(records)
        self._begun[job] = object
        try:
            self._client.upload(self._jobs.at(job, "/batches"), _csv(records), kind=_KIND, type=_CSV)
        except ConnectorError as error:
            self._stop(job)
            self._begun.pop(job, None)
            return [NotSent(error=error)] * len(records)
        return self._closed(job, records)

    def _closed(self, job: str, records: Sequence[Mapping[str, Any]]) -> list[Reply]:
        """Let it work, and what became of its records. What cannot be found out is Lost, and the job stays in mind."""
        try:
            self._close(job)
            ended = self._wait(job)
            found = self._replies(job)
        except ConnectorError as error:
            return [Lost(reason=f"job {job}: {error.problem}")] * len(records)
        if not ended:
            return [found.get(record["id"]) or Lost(reason=f"job {job} was still at work.") for record in records]
        self._jobs.let_go(job)
        self._begun.pop(job, None)
        silent = Lost(reason=f"job {job} says nothing of it.")
        return [found.get(record["id"], silent) for record in records]

    def _close(self, job: str) -> None:
        """Say that all is uploaded. An answer that is lost is looked for."""
        try:
            self._jobs.move(job, "UploadComplete")
        except OutcomeUnknown:
            if self._jobs.look(job)["state"] == _NOT_UPLOADED:
                self._jobs.move(job, "UploadComplete")

    def _wait(self, job: str) -> bool:
        """Whether it has ended; one that takes too long is told to."""
        longest = self._client.settings.bulk.longest_wait
        for shown in self._jobs.standing(job, longest):
            if shown["state"] in ENDED:
                return True
        self._stop(job)
        return self._jobs.look(job)["state"] in ENDED

    def _stop(self, job: str) -> str:
        """Abort; why that was not possible, "" as a rule. What it has written by then stays written."""
        try:
            self._jobs.move(job, "Aborted")
        except ConnectorError as error:
            return error.problem
        return ""

    def _replies(self, job: str) -> dict[str, Reply]:
        """Id -> what became of the record, from the three lists."""
        found: dict[str, Reply] = {}
        for row in self._listed(job, "unprocessedrecords"):
            found[_id(row)] = Failed(problem=problem_in("PROCESSING_HALTED: the job ended before this record"))
        for row in self._listed(job, "failedResults"):
            found[_id(row)] = Failed(problem=problem_in(row.get("sf__error", "")))
        for row in self._listed(job, "successfulResults"):
            found[_id(row)] = Done(id=_id(row))
        return found

    def _listed(self, job: str, which: str) -> list[Row]:
        def read(answer: requests.Response) -> list[Row]:
            return _rows(answer.content.decode("utf-8"))

        return self._client.fetched(self._jobs.at(job, f"/{which}/"), read, kind=_KIND, accept="text/csv")


def _id(row: Row) -> str:
    id = row.get("id") or row.get("sf__id") or ""
    return soql.id18(id) if soql.is_id(id) else ""


def _rows(text: str) -> list[Row]:
    """The rows of a list, headings in small letters. ValueError when one is cut off."""
    found = csv_rows(text)
    if not found:
        return []
    heading = [name.casefold() for name in found[0]]
    return [dict(zip(heading, row, strict=True)) for row in found[1:] if row]


def _alike(records: Sequence[Mapping[str, Any]]) -> Iterable[list[int]]:
    """Numbers of the records that have the same fields."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, record in enumerate(records):
        groups.setdefault(tuple(sorted(record)), []).append(number)
    return groups.values()


def _parts(records: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    """The numbers, as many at a time as one upload takes."""
    longest = max(sum(len(cell(value)) * 4 + 3 for value in record.values()) for record in records)
    step = max(1, min(MOST_AT_ONCE, LARGEST // longest))
    return [numbers[at : at + step] for at in range(0, len(numbers), step)]


def _csv(records: Sequence[Mapping[str, Any]]) -> bytes:
    names = ["id", *(name for name in records[0] if name not in ("id", "attributes"))]
    text = io.StringIO(newline="")
    out = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    out.writerow(["Id", *names[1:]])
    out.writerows([cell(record[name]) for name in names] for record in records)
    return text.getvalue().encode()


def cell(value: Any) -> str:
    """A JSON value as a job reads it. ``#N/A`` is nothing; a text that spells it cannot be written by a job."""
    match value:
        case None | "":
            return "#N/A"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
