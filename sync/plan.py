"""What must change in the CRMs so that they say what was decided: a comparison of values, nothing more.

Three sets of values meet for every property of a record: what is *wanted*, what the CRM *acknowledged* last, and what
it says *now*. `plan_record` compares them when deciding; `compare_again` repeats it with the values read just before
sending, or after an attempt that got no answer. Both are pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache

from connectors.records import FieldKind, RecordRef
from scoring.facts import LIFECYCLE_STAGES
from scoring.policy import Result, WritePlan

__all__ = [
    "Comparison",
    "Conflict",
    "PlannedTask",
    "PlannedWrite",
    "RecordPlan",
    "RecordState",
    "Verdict",
    "canonical",
    "compare_again",
    "due_date",
    "lifecycle_rank",
    "op_key",
    "plan_record",
    "release_key",
]

KIND: Mapping[Result, FieldKind] = {
    Result.STATUS: FieldKind.PICKLIST,
    Result.GRADE: FieldKind.TEXT,
    Result.FIT: FieldKind.NUMBER,
    Result.ENGAGEMENT: FieldKind.NUMBER,
    Result.TOTAL: FieldKind.NUMBER,
    Result.REASON: FieldKind.TEXT,
    Result.MODEL: FieldKind.TEXT,
    Result.QUALIFIED_AT: FieldKind.DATETIME,
    Result.EPISODE: FieldKind.NUMBER,
    Result.OWNER: FieldKind.OWNER,
    Result.VERSION: FieldKind.TEXT,
    Result.LIFECYCLE: FieldKind.PICKLIST,
    Result.LEAD_STATUS: FieldKind.PICKLIST,
    Result.NURTURE: FieldKind.PICKLIST,
    Result.PAUSED: FieldKind.BOOLEAN,
    Result.MISSING: FieldKind.TEXT,
    Result.REVIEW: FieldKind.PICKLIST,
}

NUMBERS = frozenset({Result.FIT, Result.ENGAGEMENT, Result.TOTAL})

WITH_NUMBERS = NUMBERS | {Result.MISSING}
"""What moves a little every day and is written only when the numbers are."""

CHECKED = frozenset({Result.OWNER, Result.STATUS, Result.LIFECYCLE, Result.LEAD_STATUS, Result.REVIEW})
"""Results whose current value is read just before they are sent: people edit these."""

HUBSPOT_STAGE_NAMES = {"marketingqualifiedlead": "mql", "salesqualifiedlead": "sql"}


def canonical(kind: FieldKind, text: str | None) -> str | None:
    """One spelling for values that are the same: ``83.0`` is ``83``, ``...00.000+0000`` is ``...00Z``, blank is None.

    What cannot be read as its kind stays as it is, so that it differs from everything we would write.
    """
    if text is None or not text.strip():
        return None
    text = text.strip()
    match kind:
        case FieldKind.NUMBER:
            return _number(text)
        case FieldKind.DATETIME:
            return _instant(text)
        case FieldKind.BOOLEAN:
            return text.lower()
        case _:
            return text


@lru_cache(maxsize=4096)
def _number(text: str) -> str:
    """Few numbers stand in many records."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return f"{number.normalize():f}" if number.is_finite() else text


@lru_cache(maxsize=4096)
def _instant(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment.tzinfo else text


def lifecycle_rank(stage: str | None) -> int:
    """-1 for none, the place on the ladder for a known stage, beyond its end for the portal's own stages.

    A stage we do not know may stand anywhere, so nothing is ever written over it.
    """
    if stage is None:
        return -1
    name = HUBSPOT_STAGE_NAMES.get(stage, stage)
    return LIFECYCLE_STAGES.index(name) if name in LIFECYCLE_STAGES else len(LIFECYCLE_STAGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordState:
    """One record that may be written, as the store knows it.

    current  property -> text at the last read
    acked    property -> canonical text the CRM confirmed; a property not in it was never confirmed
    sent     the fields of every attempt that has no answer yet
    held     properties a person has taken over until the next episode
    """

    ref: RecordRef
    version: str
    current: Mapping[str, str | None]
    acked: Mapping[str, str | None] = field(default_factory=dict)
    sent: Sequence[Mapping[str, str | None]] = ()
    held: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWrite:
    """Absolute values to set on one record. ``base``: what stood there when this was decided."""

    ref: RecordRef
    fields: Mapping[str, str | None]
    base: Mapping[str, str | None]
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """A task for somebody, made once. ``stands``: the owner needs no write of theirs to be confirmed first.

    ``owner_property``: the record's property that shows whose the task is by now; empty: the owner's, whoever has the
    record.
    """

    key: str
    person: RecordRef
    owner_property: str
    owner: str
    subject: str
    lines: tuple[str, ...]
    due: date
    since: datetime
    stands: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A person's edit that stands against what we wanted. ``tamper``: not honoured, written again and counted."""

    ref: RecordRef
    field: str
    result: Result
    theirs: str | None
    ours: str | None
    tamper: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPlan:
    """The answer for one record.

    write    what to send, None when nothing needs to
    adopted  values found there already: acknowledged without a send
    desired  every value wanted of this record
    """

    ref: RecordRef
    write: PlannedWrite | None
    adopted: Mapping[str, str | None]
    desired: Mapping[str, str | None]
    conflicts: tuple[Conflict, ...] = ()


def op_key(ref: RecordRef, version: str, fields: Mapping[str, str | None]) -> str:
    """Names one plan for one record. It holds the version seen, so MQL -> recycled -> MQL is not taken for a repeat."""
    body = json.dumps([ref.crm, ref.object, ref.id, version, fields], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


def release_key(fields: Mapping[str, str | None], mapping: str, schema: str) -> str:
    """A parked row is tried again when its values, the mapping or the CRM's schema change."""
    body = json.dumps([fields, mapping, schema], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()[:32]


def plan_record(
    state: RecordState, wanted: Mapping[Result, str | None], properties: Mapping[Result, str], rules: WritePlan
) -> RecordPlan:
    """Compare what is wanted of one record with what was acknowledged and what stands there.

    ``wanted`` holds only the results to write: one that is left out is left alone. ``properties`` says where each goes.
    """
    desired: dict[str, str | None] = {}
    send: dict[str, str | None] = {}
    adopted: dict[str, str | None] = {}
    conflicts: list[Conflict] = []
    numbers_move = _numbers_move(state, wanted, properties, rules)
    for result, prop in properties.items():
        if result not in wanted or prop in state.held:
            continue
        want = canonical(KIND[result], wanted[result])
        now = canonical(KIND[result], state.current.get(prop))
        known = prop in state.acked
        acked = state.acked.get(prop)
        if result in WITH_NUMBERS and known and not numbers_move:
            want = acked
        desired[prop] = want
        if now == want:
            if acked != want or not known:
                adopted[prop] = want
            continue
        if result in (Result.LIFECYCLE, Result.LEAD_STATUS):
            # Set once, when the person becomes an MQL; afterwards it belongs to the people who work with it.
            forward = result is Result.LEAD_STATUS or lifecycle_rank(want) > lifecycle_rank(now)
            if forward and not (known and acked == want):
                send[prop] = want
            continue
        if result is Result.REVIEW:
            # Whatever stands there was put there by somebody, and was heard.
            send[prop] = want
            continue
        edited = known and now != acked and not _was_sent(state.sent, prop, now, KIND[result])
        if edited and result in rules.human_edit_wins:
            conflicts.append(Conflict(ref=state.ref, field=prop, result=result, theirs=now, ours=acked))
            continue
        if edited:
            conflicts.append(Conflict(ref=state.ref, field=prop, result=result, theirs=now, ours=acked, tamper=True))
        send[prop] = want
    write = None
    if send:
        base = {prop: state.current.get(prop) for prop in send}
        write = PlannedWrite(ref=state.ref, fields=send, base=base, key=op_key(state.ref, state.version, send))
    return RecordPlan(ref=state.ref, write=write, adopted=adopted, desired=desired, conflicts=tuple(conflicts))


def _was_sent(
    sent: Sequence[Mapping[str, str | None]], prop: str, value: str | None, kind: FieldKind = FieldKind.TEXT
) -> bool:
    return any(prop in attempt and canonical(kind, attempt[prop]) == value for attempt in sent)


def _numbers_move(
    state: RecordState, wanted: Mapping[Result, str | None], properties: Mapping[Result, str], rules: WritePlan
) -> bool:
    """Numbers are written together: when one is ``score_step`` away from the last written, or status or grade moves.

    Compared with the last *written* value, so slow drift is written in the end. Where no number is written there is no
    step to wait for.
    """
    if not NUMBERS & properties.keys() & wanted.keys():
        return True
    for result, prop in properties.items():
        if result not in wanted:
            continue
        want = canonical(KIND[result], wanted[result])
        if prop not in state.acked:
            if result in NUMBERS:
                return True
            continue
        acked = state.acked[prop]
        if result in (Result.STATUS, Result.GRADE) and want != acked and prop not in state.held:
            return True
        if result in NUMBERS:
            if want is None or acked is None:
                if want != acked:
                    return True
            elif abs(Decimal(want) - Decimal(acked)) >= rules.score_step:
                return True
    return False


# -- just before sending -----------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What to do with one property, knowing what stands there now."""

    DONE = "done"
    SEND = "send"
    THEIRS = "theirs"
    TAMPER = "tamper"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Each property of a row with its verdict, and the conflicts that follow."""

    verdicts: Mapping[str, Verdict]
    conflicts: tuple[Conflict, ...] = ()

    def fields(self, wanted: Mapping[str, str | None]) -> dict[str, str | None]:
        """What is left to send."""
        return {p: v for p, v in wanted.items() if self.verdicts[p] in (Verdict.SEND, Verdict.TAMPER)}

    def done(self, wanted: Mapping[str, str | None]) -> dict[str, str | None]:
        """What stands there already."""
        return {p: v for p, v in wanted.items() if self.verdicts[p] is Verdict.DONE}


def compare_again(
    ref: RecordRef,
    *,
    wanted: Mapping[str, str | None],
    now: Mapping[str, str | None],
    base: Mapping[str, str | None],
    acked: Mapping[str, str | None],
    sent: Sequence[Mapping[str, str | None]],
    results: Mapping[str, Result],
    human_edit_wins: frozenset[Result],
) -> Comparison:
    """The rule for a value that may have moved since it was decided.

    now == want: done. now is what we saw or wrote: send. Lifecycle: only forward. A field people own: theirs.
    Anything else is ours: send it, and say that somebody touched it.
    """
    verdicts: dict[str, Verdict] = {}
    conflicts: list[Conflict] = []
    for prop, want in wanted.items():
        result = results[prop]
        kind = KIND[result]
        found = canonical(kind, now.get(prop))
        ours = [canonical(kind, base.get(prop))]
        if prop in acked:
            ours.append(acked[prop])
        if found == canonical(kind, want):
            verdicts[prop] = Verdict.DONE
        elif result is Result.LIFECYCLE:
            forward = lifecycle_rank(want) > lifecycle_rank(found)
            verdicts[prop] = Verdict.SEND if forward else Verdict.LEAVE
        elif found in ours or _was_sent(sent, prop, found, kind):
            verdicts[prop] = Verdict.SEND
        elif result in (Result.LEAD_STATUS, Result.REVIEW):
            # A lead status belongs to sales by now; another answer has yet to be heard.
            verdicts[prop] = Verdict.LEAVE
        else:
            theirs = result in human_edit_wins
            verdicts[prop] = Verdict.THEIRS if theirs else Verdict.TAMPER
            conflicts.append(Conflict(ref=ref, field=prop, result=result, theirs=found, ours=want, tamper=not theirs))
    return Comparison(verdicts=verdicts, conflicts=tuple(conflicts))


def due_date(as_of: date, working_days: int) -> date:
    """The day ``working_days`` Mondays-to-Fridays after ``as_of``."""
    day = as_of
    for _ in range(working_days):
        day += timedelta(days=1)
        while day.weekday() >= 5:
            day += timedelta(days=1)
    return day
