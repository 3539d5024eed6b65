"""What jobs of both kinds have in common: asking how they stand, waiting, stopping, letting go.

Source: Bulk API 2.0 "Query Jobs" and "Ingest Jobs". The package's own ways are not used: its waiting has no end, aborts
a job for one lost answer, and never signs in again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from connectors.errors import ConnectorError, RetryLater, UnexpectedAnswer
from connectors.records import Crm
from connectors.salesforce.client import Client
from connectors.salesforce.refusals import NotPossible, Problem, Refused

__all__ = ["ENDED", "JobLost", "Jobs", "is_job", "lost", "problem_in"]

ENDED = ("JobComplete", "Failed", "Aborted")

_FIRST_WAIT = 1.0
_LONGEST_PAUSE = 15.0
"""Seconds between two questions how a job stands: each is a call of the day's."""

_JOB = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?\Z")
_CODE = re.compile(r"\A\W*([A-Z][A-Z_]+[A-Z])\b\s*:?\s*(.*)", re.DOTALL)


class JobLost(RetryLater):
    """The job is gone, was aborted by somebody, or its results can no longer be read: what it was for begins anew."""


def is_job(text: str) -> bool:
    """Whether the text can be a job's id at all. Anything else must never reach a URL."""
    return _JOB.match(text) is not None


def problem_in(text: str) -> Problem:
    """``CODE: message`` and ``CODE:message:fields``, as jobs word what went wrong."""
    found = _CODE.match(text)
    if found is None:
        return Problem(message=text)
    message, colon, fields = found[2].rpartition(":")
    listed = tuple(name for name in re.split(r"[\s,]+", fields) if name not in ("", "--"))
    # a sentence is none: "ERROR at Row:1:Column:11 No such column 'X__c' on entity 'Lead'"
    if colon and all(re.fullmatch(r"[A-Za-z]\w*(?:\.\w+)*", name) for name in listed):
        return Problem(code=found[1], message=message.strip(), fields=listed)
    return Problem(code=found[1], message=found[2].strip())


class Jobs:
    """The jobs of one kind (``query`` or ``ingest``). ``kind`` is what their calls are counted as."""

    def __init__(self, client: Client, resource: str, kind: str) -> None:
        self._client = client
        self._resource = f"jobs/{resource}"
        self._kind = kind

    def create(self, wish: dict[str, Any]) -> str:
        """The id of a new job. Made twice, the other one does nothing."""
        answer = self._client.send("POST", self._resource, wish, kind=self._kind, harmless=True)
        id = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(id, str) or not is_job(id):
            raise UnexpectedAnswer(Crm.SALESFORCE, "a job was made, but the answer does not name it.", status=200)
        return id

    def at(self, job: str, below: str = "") -> str:
        if not is_job(job):
            raise JobLost(Crm.SALESFORCE, "what was kept of a job is no job's id.")
        return f"{self._resource}/{job}{below}"

    def look(self, job: str) -> dict[str, Any]:
        """The job as it stands. JobLost when there is none."""
        try:
            shown = self._client.get(self.at(job), kind=self._kind)
        except (Refused, NotPossible) as refused:
            if lost(refused):
                raise JobLost(Crm.SALESFORCE, f"there is no job {job} (any more).") from None
            raise
        if not isinstance(shown, dict) or not isinstance(shown.get("state"), str):
            raise UnexpectedAnswer(Crm.SALESFORCE, f"job {job} does not say how it stands.", status=200)
        return shown

    def standing(self, job: str, longest: float) -> Iterator[dict[str, Any]]:
        """The job as it stands, again and again, until it has ended or ``longest`` seconds were waited."""
        waited, pause = 0.0, _FIRST_WAIT
        while True:
            shown = self.look(job)
            yield shown
            if shown["state"] in ENDED or waited >= longest:
                return
            self._client.rest_for(pause)
            waited += pause
            pause = min(2 * pause, _LONGEST_PAUSE)

    def move(self, job: str, state: str) -> None:
        """Make it ``UploadComplete`` or ``Aborted``. Raises what `Client.send` does."""
        self._client.send("PATCH", self.at(job), {"state": state}, kind=self._kind)

    def let_go(self, job: str) -> str:
        """Delete a job that has ended. What failed about it, "" as a rule: the org deletes it after a week anyway."""
        try:
            self._client.send("DELETE", self.at(job), None, kind=self._kind, harmless=True)
        except ConnectorError as error:
            return error.problem
        return ""


def lost(refused: Refused | NotPossible) -> bool:
    return refused.status in (404, 409, 410) or refused.refusal.code in ("NOT_FOUND", "INVALID_QUERY_LOCATOR")
