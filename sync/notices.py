"""What people are told about MQLs beside their CRM, and in which words. Pure.

A notice has a key, ``person:episode:kind:step``, and there is one notice of a key: whatever runs again tells nothing
twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo

__all__ = [
    "AUDIENCE",
    "About",
    "Audience",
    "Count",
    "Kind",
    "Notice",
    "assigned",
    "digest",
    "digest_key",
    "gave_up",
    "hand_raised",
    "in_queue",
    "key_of",
    "reassigned",
    "remind",
    "report",
    "suppressed",
    "taken",
    "talking_point",
]

MOST_LISTED = 20
"""People named in one part of a digest; the others are counted."""


class Audience(StrEnum):
    """Who a notice is for: each has a channel of its own in mqlsync.yaml."""

    REPS = "reps"
    MANAGERS = "managers"


class Kind(StrEnum):
    ASSIGNED = "assigned"
    REMIND = "remind"
    REASSIGNED = "reassigned"
    TAKEN = "taken"
    GAVE_UP = "gave_up"
    REPORT = "report"
    SUPPRESSED = "suppressed"
    HAND_RAISE = "hand_raise"
    QUEUE = "queue"
    DIGEST = "digest"


AUDIENCE: Mapping[Kind, Audience] = MappingProxyType(
    {
        Kind.ASSIGNED: Audience.REPS,
        Kind.REMIND: Audience.REPS,
        Kind.REASSIGNED: Audience.REPS,
        Kind.TAKEN: Audience.REPS,
        Kind.GAVE_UP: Audience.MANAGERS,
        Kind.REPORT: Audience.MANAGERS,
        Kind.SUPPRESSED: Audience.REPS,
        Kind.HAND_RAISE: Audience.REPS,
        Kind.QUEUE: Audience.MANAGERS,
        Kind.DIGEST: Audience.MANAGERS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The MQL a notice is about.

    reason   the text of their episode: ``asked_for_sales: asked for a demo +50; company_size +35``
    records  where they are in the CRMs: ``salesforce lead 00Q...``
    """

    person_id: str
    n: int
    name: str
    grade: str
    reason: str
    records: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """``to``: the e-mail address of a rep or manager. ``person_id`` None: about many."""

    key: str
    person_id: str | None
    kind: Kind
    to: str
    subject: str
    body: str


def key_of(person_id: str, n: int, kind: Kind, step: int | str) -> str:
    return f"{person_id}:{n}:{kind}:{step}"


def digest_key(to: str, day: date) -> str:
    return f"{Kind.DIGEST}:{day.isoformat()}:{to}"


def talking_point(reason: str) -> str | None:
    """What to begin a conversation with, by the reasons that counted most; None where a text has none.

    ``Begin with "asked for a demo", which counted most; then company_size, seniority.``
    """
    _, said, listed = reason.partition(": ")
    names = [name for one in listed.split("; ") if (name := one.rpartition(" +")[0])] if said else []
    if not names:
        return None
    first, *others = names
    then = f"; then {', '.join(others)}" if others else ""
    return f'Begin with "{first}", which counted most{then}.'


# -- to the owner ------------------------------------------------------------------------------------------------


def assigned(about: About, step: int, *, to: str) -> Notice:
    return _notice(about, Kind.ASSIGNED, step, to, f"New MQL: {about.name}", "They are yours.")


def remind(about: About, step: int, *, to: str, since: datetime, zone: str, ends: datetime | None) -> Notice:
    """``ends``: when another rep gets the person, or the manager is told."""
    after = f" From {_when(ends, zone)} on the person goes further up." if ends is not None else ""
    told = f"Yours since {_when(since, zone)}, and nobody has touched them yet.{after}"
    return _notice(about, Kind.REMIND, step, to, f"Waits for you: {about.name}", told)


def reassigned(about: About, step: int, *, to: str, before: str) -> Notice:
    """``before``: whose they were."""
    return _notice(
        about, Kind.REASSIGNED, step, to, f"MQL given to you: {about.name}", f"They were {before}'s and are yours now."
    )


def taken(about: About, step: int, *, to: str, now: str) -> Notice:
    """``now``: whose they are."""
    told = f"Nobody touched them in time: they are {now}'s now."
    return _notice(about, Kind.TAKEN, step, to, f"MQL given to another one: {about.name}", told)


def suppressed(about: About, line: str, *, to: str) -> Notice:
    told = f"The rule {line!r} says that they are not to be handed over. As sales has accepted them, they stay yours."
    return _notice(about, Kind.SUPPRESSED, line, to, f"Not to be handed over any more: {about.name}", told)


def hand_raised(about: About, day: date, *, to: str) -> Notice:
    told = f"They asked for sales again on {day.isoformat()}."
    return _notice(about, Kind.HAND_RAISE, day.isoformat(), to, f"Asked for sales again: {about.name}", told)


# -- to managers -------------------------------------------------------------------------------------------------


def gave_up(about: About, step: int, *, to: str, queue: str, owners: Sequence[str]) -> Notice:
    """``owners``: who had the person, in this order."""
    told = f"None of {', '.join(owners)} touched them in time: they are in the queue {queue} now."
    return _notice(about, Kind.GAVE_UP, f"{step}:{to}", to, f"Nobody has followed up: {about.name}", told)


def report(about: About, step: int, *, to: str, owner: str, since: datetime, zone: str) -> Notice:
    told = f"{owner} has them since {_when(since, zone)} and has not touched them. No pool gave them away."
    return _notice(about, Kind.REPORT, f"{step}:{to}", to, f"Not followed up: {about.name}", told)


def in_queue(about: About, step: int, *, to: str, queue: str, since: datetime, zone: str) -> Notice:
    told = f"They are in the queue {queue} since {_when(since, zone)}, and nobody has taken them."
    return _notice(about, Kind.QUEUE, step, to, f"Waits in {queue}: {about.name}", told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """One part of a digest: ``what`` (``3 new``), and a line a person."""

    what: str
    lines: tuple[str, ...]


def digest(day: date, parts: Sequence[Count], *, to: str) -> Notice | None:
    """What a manager has to know of a day; None when that is nothing."""
    told = [part for part in parts if part.lines]
    if not told:
        return None
    counted = ", ".join(f"{len(part.lines)} {part.what}" for part in told)
    body = "\n\n".join("\n".join(_listed(part)) for part in told)
    subject = f"MQLs, {day.isoformat()}: {counted}"
    return Notice(key=digest_key(to, day), person_id=None, kind=Kind.DIGEST, to=to, subject=subject, body=body)


def _listed(part: Count) -> Iterator[str]:
    yield f"{len(part.lines)} {part.what}"
    for line in part.lines[:MOST_LISTED]:
        yield f"- {line}"
    if len(part.lines) > MOST_LISTED:
        yield f"- and {len(part.lines) - MOST_LISTED} more"


# -- words -------------------------------------------------------------------------------------------------------


def _notice(about: About, kind: Kind, step: int | str, to: str, subject: str, told: str) -> Notice:
    return Notice(
        key=key_of(about.person_id, about.n, kind, step),
        person_id=about.person_id,
        kind=kind,
        to=to,
        subject=subject,
        body="\n".join([told, "", *_lines(about)]),
    )


def _lines(about: About) -> Iterable[str]:
    yield f"{about.name}, grade {about.grade}" if about.grade else about.name
    yield f"Why: {about.reason}"
    if (point := talking_point(about.reason)) is not None:
        yield point
    if about.records:
        yield f"In the CRMs: {', '.join(about.records)}"


def _when(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M %Z}"
