"""What a run may change unasked: more than that waits for somebody's yes before anything is written.

Pure. A run that is stopped has stored no decision, so that nothing of it can reach a CRM later by itself. What it would
have changed is remembered as one digest a person: exactly that is let through once somebody says yes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sync.settings import Guard

__all__ = ["Approval", "Change", "Finding", "Intake", "Limit", "judge", "of_bytes", "stopped_text", "to_bytes"]

DIGEST = 8
"""Bytes of a digest: enough to tell a few million changes apart."""


class Limit(StrEnum):
    """What can stop a run. The first three are keys of ``guard`` in mqlsync.yaml, and so are the next two."""

    NEW_MQLS = "new_mqls_per_run"
    OWNER_CHANGES = "owner_changes_per_run"
    SHARE = "share_of_people_changed"
    SHRUNKEN = "share_of_people_gone"
    SILENT = "stream_silent_for"
    FIRST_RUN = "first_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a run changes about one person.

    status  the new one; None: it stays
    known   the person had a status before: a first one is no change of somebody's standing
    mql     an episode of ours begins
    owner   ``crm:id`` of who gets the person from somebody else; None: nobody is taken away from anybody
    """

    status: str | None = None
    known: bool = False
    mql: bool = False
    owner: str | None = None

    def digest(self, person_id: str) -> bytes:
        """Names this change of this person."""
        body = f"{person_id}\n{self.status}\n{self.mql}\n{self.owner}"
        return hashlib.blake2b(body.encode(), digest_size=DIGEST).digest()

    @property
    def counts(self) -> bool:
        """Whether it is part of the share of people changed."""
        return self.owner is not None or (self.status is not None and self.known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One limit that was passed: the number found, the number allowed, and both in words. ``where``: of an input."""

    limit: Limit
    found: str
    allowed: str
    text: str
    where: str = ""

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Finding.__slots__}

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Finding:
        return cls(**{**stored, "limit": Limit(stored["limit"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Somebody's yes.

    run_id    the run it was said to; None: to a kept plan
    changes   the digests of what may pass; what is beside it counts as in any run
    findings  what was found of the input: the same once more does not stop
    people    a yes by rows instead: whom all of a kept plan's rows are of
    """

    run_id: str | None = None
    changes: Collection[bytes] = frozenset()
    findings: tuple[Finding, ...] = ()
    people: Collection[str] = frozenset()

    def allows(self, person_id: str, change: Change) -> bool:
        return person_id in self.people or change.digest(person_id) in self.changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What is known of the input of one run.

    people  connection -> how many records of people it had lately, and how many of them are gone since the last
            decisions were stored
    moved   stream -> when it last had something new; those whose silence somebody has let pass are left out
    """

    people: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    moved: Mapping[str, datetime] = field(default_factory=dict)


def judge(
    guard: Guard,
    changes: Mapping[str, Change],
    *,
    people: Callable[[], int],
    intake: Intake,
    first: bool,
    now: datetime,
    approval: Approval | None = None,
) -> tuple[Finding, ...]:
    """Every limit that these changes pass, in the order of `Limit`; none: the run goes on.

    Parameters
    ----------
    changes: by person; what ``approval`` allows does not count
    people: how many there are, for the share
    first: nothing was ever decided in this store, and the CRMs are real ones: that alone waits, once
    """
    if approval is not None:
        changes = {person_id: one for person_id, one in changes.items() if not approval.allows(person_id, one)}
    if first:
        return () if approval is not None else (_first(changes),)
    passed = set(approval.findings) if approval is not None else set()
    found = (*_numbers(guard, changes, people), *_shrunken(guard, intake), *_silent(guard, intake, now))
    return tuple(one for one in found if one not in passed)


def _first(changes: Mapping[str, Change]) -> Finding:
    mqls = sum(one.mql for one in changes.values())
    text = f"this is the first run of this store: {len(changes)} people get a status, {mqls} become MQL"
    return Finding(limit=Limit.FIRST_RUN, found=str(len(changes)), allowed="0", text=text)


def _numbers(guard: Guard, changes: Mapping[str, Change], people: Callable[[], int]) -> Iterator[Finding]:
    mqls = sum(one.mql for one in changes.values())
    if mqls > guard.new_mqls_per_run:
        text = f"{mqls} people would become MQL, at most {guard.new_mqls_per_run} may in one run"
        yield Finding(limit=Limit.NEW_MQLS, found=str(mqls), allowed=str(guard.new_mqls_per_run), text=text)
    owners = sum(one.owner is not None for one in changes.values())
    if owners > guard.owner_changes_per_run:
        text = f"{owners} people would get another owner, at most {guard.owner_changes_per_run} may in one run"
        yield Finding(limit=Limit.OWNER_CHANGES, found=str(owners), allowed=str(guard.owner_changes_per_run), text=text)
    changed = sum(one.counts for one in changes.values())
    if not changed:
        return
    among = people()
    if among >= guard.people_min_for_share and changed > guard.share_of_people_changed * among:
        allowed = f"{guard.share_of_people_changed:.0%}"
        text = f"status or owner of {changed} of {among} people would change, at most {allowed} may in one run"
        yield Finding(limit=Limit.SHARE, found=f"{changed} of {among}", allowed=allowed, text=text)


def _shrunken(guard: Guard, intake: Intake) -> Iterator[Finding]:
    if guard.share_of_people_gone is None:
        return
    for connection, (before, gone) in sorted(intake.people.items()):
        if before >= guard.people_min_for_share and gone > guard.share_of_people_gone * before:
            allowed = f"{guard.share_of_people_gone:.0%}"
            found = f"{gone} of {before}"
            text = f"{found} records of people are gone from {connection} since the last run, at most {allowed} may"
            yield Finding(limit=Limit.SHRUNKEN, found=found, allowed=allowed, text=text, where=connection)


def _silent(guard: Guard, intake: Intake, now: datetime) -> Iterator[Finding]:
    longest = guard.stream_silent_for
    if longest is None or not any(now - moved <= longest for moved in intake.moved.values()):
        return
    for stream, moved in sorted(intake.moved.items()):
        if now - moved > longest:
            allowed = _days(longest)
            text = f"{stream} has had nothing new since {moved:%Y-%m-%d %H:%M} UTC while others had: at most {allowed}"
            yield Finding(limit=Limit.SILENT, found=moved.isoformat(), allowed=allowed, text=text, where=stream)


def _days(span: timedelta) -> str:
    return f"{span.days} days" if not span.seconds else f"{span.total_seconds() / 3600:g} hours"


def to_bytes(changes: Mapping[str, Change]) -> bytes:
    """The digests of all changes, one after the other, in order."""
    return b"".join(sorted(one.digest(person_id) for person_id, one in changes.items()))


def of_bytes(digests: bytes) -> frozenset[bytes]:
    """What `to_bytes` joined."""
    return frozenset(digests[start : start + DIGEST] for start in range(0, len(digests), DIGEST))


def stopped_text(findings: Collection[Finding], *, run_id: str, job: str, written: int, again: bool) -> str:
    """What is said of a stopped run: each limit, what was and was not done, and what to type.

    ``written``: values that earlier rounds of the run had written. ``again``: it was let through once already.
    """
    limits = "; ".join(f"{one.text} ({_key(one.limit)})" for one in findings)
    moved = "What was let through is no longer all that would happen: the world has moved since. " if again else ""
    done = f"{written} values had been written before that" if written else "nothing was decided or written"
    return (
        f"{moved}Stopped for approval: {limits}. {done[0].upper()}{done[1:]}. Look: `mqlsync plan {job}`. "
        f"Let it through: `mqlsync apply {run_id}`. Or correct the rules and `mqlsync run {job}`, which decides anew."
    )


def _key(limit: Limit) -> str:
    return "a first run waits" if limit is Limit.FIRST_RUN else f"guard.{limit}"
