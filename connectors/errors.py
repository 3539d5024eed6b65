"""What can go wrong with a CRM, named by what the caller should do.

    ConnectorError
    ├── RetryLater          nothing was done; try again after `after` seconds (429, 503, locks, no connection)
    ├── OutcomeUnknown      sent, no usable answer: read the records back before sending again
    ├── RunCannotContinue   scope, the day's quota, a missing field: a person has to act
    │   └── SignInRefused   the credential itself is not accepted: nothing of this CRM works until it is replaced
    ├── SourceMissing       one kind of engagement is not to be had here: go on without it, and say so
    └── UnexpectedAnswer    the CRM said something no rule covers (HTML, truncated JSON): stop and show

A refusal of a single record is no exception: it is the `Rejected` outcome of that record.
"""

from __future__ import annotations

from connectors.records import Crm, RecordRef

__all__ = [
    "ConnectorError",
    "OutcomeUnknown",
    "RetryLater",
    "RunCannotContinue",
    "SignInRefused",
    "SourceMissing",
    "UnexpectedAnswer",
]


class ConnectorError(Exception):
    """One CRM could not do what was asked.

    Parameters
    ----------
    crm: which CRM
    problem: what happened, one sentence, without personal data or secrets
    advice: what to do now, one sentence
    """

    def __init__(self, crm: Crm, problem: str, *, advice: str = "") -> None:
        super().__init__(f"{crm}: {problem}" + (f" {advice}" if advice else ""))
        self.crm = crm
        self.problem = problem
        self.advice = advice


class RetryLater(ConnectorError):
    """Nothing was done. ``after``: seconds to wait, None when the CRM did not say. ``status``: HTTP status or 0."""

    def __init__(
        self, crm: Crm, problem: str, *, after: float | None = None, status: int = 0, advice: str = ""
    ) -> None:
        super().__init__(crm, problem, advice=advice)
        self.after = after
        self.status = status


class OutcomeUnknown(ConnectorError):
    """The request may have been carried out. ``refs`` are the records it was about."""

    def __init__(self, crm: Crm, problem: str, *, refs: tuple[RecordRef, ...] = (), advice: str = "") -> None:
        super().__init__(crm, problem, advice=advice)
        self.refs = refs


class RunCannotContinue(ConnectorError):
    """A person has to act. ``credentials``: token, permission or scope; ``quota``: the day's calls are used up."""

    def __init__(
        self, crm: Crm, problem: str, *, advice: str = "", credentials: bool = False, quota: bool = False
    ) -> None:
        super().__init__(crm, problem, advice=advice)
        self.credentials = credentials
        self.quota = quota


class SignInRefused(RunCannotContinue):
    """A token, key, password or session is unknown, ended or revoked. Asking again with it is no help, and may lock."""

    def __init__(self, crm: Crm, problem: str, *, advice: str = "") -> None:
        super().__init__(crm, problem, advice=advice, credentials=True)


class SourceMissing(ConnectorError):
    """A source of engagement that these credentials, or this account's plan, do not have. Nothing else is affected.

    Where the reading of it stood is kept: when the source appears, nothing of it was missed.
    """


class UnexpectedAnswer(ConnectorError):
    """An answer that fits no rule. ``status`` is the HTTP status; the body is not kept (it can hold personal data)."""

    def __init__(self, crm: Crm, problem: str, *, status: int, advice: str = "") -> None:
        super().__init__(crm, problem, advice=advice)
        self.status = status
