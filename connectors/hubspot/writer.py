"""Setting values by record id: https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch/update

Never an upsert: that would bring back a person somebody deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from connectors.errors import ConnectorError, OutcomeUnknown, UnexpectedAnswer
from connectors.hubspot.batch import Done, Input, Missing, NoAnswer, NotSent, Result, Turned, send
from connectors.hubspot.client import Client
from connectors.hubspot.reader import BATCH, Reader
from connectors.hubspot.refusals import Problem
from connectors.hubspot.schema import Schema
from connectors.normalise import instant
from connectors.records import (
    Crm,
    Found,
    Gone,
    Moved,
    Patch,
    ReadBack,
    RecordRef,
    Redirected,
    Rejected,
    Unknown,
    WriteOutcome,
    Written,
)

__all__ = ["BATCHES_A_THREAD", "Writer", "rejected"]

BATCHES_A_THREAD = 2
"""Batches that may be given at once, for each call that may be under way."""

STAGE = "lifecyclestage"


class Writer:
    def __init__(self, client: Client, reader: Reader, schema: Schema) -> None:
        self._client = client
        self._reader = reader
        self._schema = schema

    def apply(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        """See `HubSpotConnector.apply`."""
        if not patches:
            return ()
        self._check(patches)
        parts = [patches[start : start + BATCH] for start in range(0, len(patches), BATCH)]
        tried = self._client.together(self._tried, parts)
        failures = [one for one in tried if isinstance(one, ConnectorError)]
        if len(failures) == len(parts):
            raise failures[0]
        return tuple(
            outcome
            for part, one in zip(parts, tried, strict=True)
            for outcome in (_failed(part, one) if isinstance(one, ConnectorError) else one)
        )

    def _tried(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...] | ConnectorError:
        """What became of one batch. An error is handed over: it says nothing of the other batches."""
        try:
            return self._batch(patches)
        except ConnectorError as error:
            return error

    def _batch(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        inputs = [
            Input(trace=patch.trace, id=patch.ref.id, properties={n: v or "" for n, v in patch.fields.items()})
            for patch in patches
        ]
        path = self._client.objects(patches[0].ref.object, "batch", "update")
        results = send(self._client, "batch_update", path, inputs)
        unclear = [patch for patch in patches if _has_to_be_read(patch, results[patch.trace])]
        now = self._look(unclear)
        outcomes = (_outcome(patch, results[patch.trace], now.get(patch.ref)) for patch in patches)
        return tuple(self._doubting(outcome) for outcome in outcomes)

    def _check(self, patches: Sequence[Patch]) -> None:
        most = BATCH * BATCHES_A_THREAD * self._client.settings.at_once
        if len(patches) > most:
            raise ValueError(f"at most {most} patches at once, not {len(patches)}")
        if len({patch.ref.object for patch in patches}) > 1:
            raise ValueError("patches of one object only")
        refs, traces = {patch.ref for patch in patches}, {patch.trace for patch in patches}
        if min(len(refs), len(traces)) < len(patches):
            raise ValueError("no record and no trace twice in a batch")

    def _doubting(self, outcome: WriteOutcome) -> WriteOutcome:
        """A property that was just made is not known everywhere in HubSpot at once: that refusal passes."""
        if isinstance(outcome, Rejected) and outcome.code == "PROPERTY_DOESNT_EXIST":
            return replace(outcome, retry=outcome.field in self._schema.seen(outcome.ref.object))
        return outcome

    def _look(self, patches: Sequence[Patch]) -> Mapping[RecordRef, ReadBack]:
        """Where the answer leaves it open. A record that cannot be read either stays unknown."""
        if not patches:
            return {}
        names = tuple(dict.fromkeys(name for patch in patches for name in patch.fields))
        try:
            return self._reader.read([patch.ref for patch in patches], names)
        except ConnectorError:
            # The writes are done or not: that is what the outcomes have to say, and "unknown" is true of these.
            return {}


def _failed(patches: Sequence[Patch], error: ConnectorError) -> tuple[WriteOutcome, ...]:
    """One batch failed as a whole, while others were carried out."""
    if isinstance(error, OutcomeUnknown | UnexpectedAnswer):
        return tuple(Unknown(ref=patch.ref, reason=error.problem) for patch in patches)
    return tuple(_not_sent(patch.ref, error.problem) for patch in patches)


def _not_sent(ref: RecordRef, reason: str) -> Rejected:
    return Rejected(ref=ref, code="NOT_SENT", reason=f"nothing was written: {reason}", retry=True)


def _has_to_be_read(patch: Patch, result: Result) -> bool:
    match result:
        case Missing() | Turned(absent=True):
            return True
        case Done(record=record):
            return bool(patch.fields.get(STAGE)) and record.id == patch.ref.id and STAGE not in record.properties
        case _:
            return False


def _outcome(patch: Patch, result: Result, now: ReadBack | None) -> WriteOutcome:
    ref = patch.ref
    match result:
        case Done(record=record) if record.id != ref.id:
            to = RecordRef(crm=Crm.HUBSPOT, object=ref.object, id=record.id)
            return Redirected(ref=ref, to=to, reason=f"merged into {record.id}, which took the values")
        case Done(record=record):
            values = {name: record.properties[name] or None for name in patch.fields if name in record.properties}
            if isinstance(now, Found):
                values[STAGE] = now.values[STAGE]
            return _stage_kept(patch, values) or Written(ref=ref, values=values, modified_at=_stamp(record.updatedAt))
        case Turned(absent=True) | Missing() if isinstance(now, Moved):
            return Redirected(ref=ref, to=now.to, reason=now.reason)
        case Turned(absent=True) | Missing() if isinstance(now, Gone):
            return Redirected(ref=ref, to=None, reason=now.reason)
        case Turned(problem=problem, absent=absent, passing=passing):
            return rejected(ref, problem, patch.fields, retry=absent or passing)
        case Missing(status=status):
            return Unknown(ref=ref, reason=f"HTTP {status} names this record neither as done nor as refused")
        case NoAnswer(reason=reason):
            return Unknown(ref=ref, reason=reason)
        case NotSent(reason=reason):
            return _not_sent(ref, reason)


def _stamp(text: str | None) -> datetime | None:
    """What cannot be read is as good as not shown: the write itself is confirmed all the same."""
    try:
        return instant(text) if text else None
    except ValueError:
        return None


def _stage_kept(patch: Patch, values: Mapping[str, str | None]) -> Rejected | None:
    """HubSpot answers 200 to a backward move of the lifecycle stage, and does not make it."""
    want, holds = patch.fields.get(STAGE), values.get(STAGE)
    if not want or STAGE not in values or (holds or "").casefold() == want.casefold():
        return None
    others = [name for name in patch.fields if name != STAGE]
    return Rejected(
        ref=patch.ref,
        code="LIFECYCLE_BACKWARD",
        reason=f"HubSpot kept {STAGE} at {holds!r} instead of {want!r}"
        + (f"; {', '.join(others)} were written" if others else ""),
        field=STAGE,
    )


def rejected(ref: RecordRef, problem: Problem, fields: Mapping[str, object], *, retry: bool = False) -> Rejected:
    """The refusal of one record, with the property it is about where HubSpot names one of ours."""
    named = [name for name, _ in problem.validation()] + list(problem.named("propertyName"))
    trace = f" (correlation id {problem.correlationId})" if problem.correlationId else ""
    return Rejected(
        ref=ref,
        code=problem.what() or "REFUSED",
        reason=(problem.reason() or "refused without a reason") + trace,
        field=next((name for name in named if name in fields), None),
        retry=retry,
    )
