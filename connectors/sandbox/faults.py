"""Scripted faults: what goes wrong, for which calls, how often."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any


class FaultKind(StrEnum):
    """What can go wrong. "Applied" says whether the request is committed all the same."""

    RATE_LIMITED = "rate_limited"  # refused by quota, with the CRM's own status and body; not applied
    SERVER_ERROR = "server_error"  # `status` without a useful body (502, 503, 504: HTML); not applied
    CUT_BEFORE = "cut_before"  # the connection is closed at once; not applied
    CUT_AFTER = "cut_after"  # applied, then the connection is closed without an answer
    COMMIT_LATE = "commit_late"  # the connection is closed at once; applied after `delay` seconds of the sandbox clock
    PARTIAL_BATCH = "partial_batch"  # every `every`-th input of a batch answers with an error; the rest is applied
    HTML = "html"  # 200 with an HTML page; not applied
    TRUNCATED = "truncated"  # applied; the answer is the first half of its JSON
    SLOW = "slow"  # `delay` real seconds before the request is looked at; then applied as usual
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - a kind of fault, no secret. 401 in the CRM's own words; not applied.
    # The access token of the call has ended with it; a fixed token goes on with the next call
    REVOKED_TOKEN = "revoked_token"  # noqa: S105 - as above. 401, and all that was granted is over; see `revoke`
    REPEATED_PAGE = "repeated_page"  # applied; where a page has a successor, it names itself as that


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One scripted fault.

    match        fnmatch pattern on "METHOD /path", case as sent, without the query
    crm          "hubspot", "salesforce" or None for both
    nth          fires first at the n-th matching call (1-based) since it was added; None: at the first
    times        how many calls it hits before it is spent; None: for ever
    probability  hits a matching call only with this chance, drawn from the seeded generator of `Faults`
    retry_after  seconds for a Retry-After header; None: no such header
    status       of SERVER_ERROR
    delay        seconds, of SLOW (real) and COMMIT_LATE (sandbox clock)
    policy       of RATE_LIMITED on HubSpot: TEN_SECONDLY_ROLLING, SECONDLY or DAILY; None: what fits the path.
                 On Salesforce: CONCURRENT, too many calls at once; None: the day's are used up
    every        of PARTIAL_BATCH: inputs 0, every, 2*every ... fail; 1: all of them
    """

    kind: FaultKind
    match: str = "*"
    crm: str | None = None
    nth: int | None = None
    times: int | None = 1
    probability: float | None = None
    retry_after: int | None = None
    status: int = 500
    delay: float = 0.0
    policy: str | None = None
    every: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))

    def fails(self, index: int) -> bool:
        """Whether a PARTIAL_BATCH refuses the input at this 0-based place."""
        return self.kind is FaultKind.PARTIAL_BATCH and index % self.every == 0

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Fault:
        """Reads the control endpoint's form; TypeError or ValueError for what no fault has."""
        return cls(**fields)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0
    hits: int = 0


class Faults:
    """The faults that wait. The first armed one that fits a call hits it; the others do not count that call."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._random = random.Random(seed)  # noqa: S311 - chance that can be repeated is the point
        self.hits: list[tuple[Fault, str]] = []

    def add(self, fault: Fault) -> Fault:
        """Arms a fault and gives it back."""
        with self._lock:
            self._armed.append(_Armed(fault))
        return fault

    def clear(self) -> None:
        """Disarms everything; the record of `hits` stays."""
        with self._lock:
            self._armed.clear()

    def reseed(self, seed: int) -> None:
        """Restarts the generator behind `probability`."""
        with self._lock:
            self._random.seed(seed)

    def select(self, crm: str, call: str) -> Fault | None:
        """The fault that hits this "METHOD /path" call, if any."""
        if not self._armed:
            return None
        with self._lock:
            for armed in self._armed:
                if self._hits(armed, crm, call):
                    armed.hits += 1
                    self.hits.append((armed.fault, call))
                    return armed.fault
        return None

    def _hits(self, armed: _Armed, crm: str, call: str) -> bool:
        fault = armed.fault
        if fault.crm not in (None, crm) or (fault.times is not None and armed.hits >= fault.times):
            return False
        if not fnmatchcase(call, fault.match):
            return False
        armed.seen += 1
        if fault.nth is not None and armed.seen < fault.nth:
            return False
        return fault.probability is None or self._random.random() < fault.probability
