"""Sending many inputs in one call and telling what became of each, whatever form the answer takes.

HubSpot answers a batch with 200 or 201 (all done, but for ids that were merged away: those are silently left out), 207
(some refused, each with its reason) or 400, 409, 413 (nothing done, because of one). See "Batch endpoints" at
https://developers.hubspot.com/docs/api-reference/error-handling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from connectors.errors import ConnectorError, OutcomeUnknown, RetryLater, RunCannotContinue, UnexpectedAnswer
from connectors.hubspot.answers import Record, batch_answer
from connectors.hubspot.client import Client
from connectors.hubspot.refusals import PASSING, Locked, Problem, Refused, problem_from
from connectors.retry import Patience

__all__ = ["Done", "Input", "Missing", "NoAnswer", "NotSent", "Result", "Turned", "send"]

_CARRIED_BY_ALL = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"})
"""Refusals that hit every input that sets the property, whatever the value."""

_ONE_TRY = Patience(attempts=1, first_wait=0.0, longest_wait=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input. ``id`` is "" for a create; ``more`` is sent beside id and properties.

    ``made``: whether a record is the one this create made, for answers that echo no trace.
    """

    trace: str
    properties: Mapping[str, str]
    id: str = ""
    more: Mapping[str, object] | None = None
    made: Callable[[Record], bool] | None = None

    def body(self) -> dict[str, object]:
        named: dict[str, object] = {"id": self.id} if self.id else {}
        return named | {"properties": dict(self.properties), "objectWriteTraceId": self.trace} | dict(self.more or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """HubSpot answers with this record."""

    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """Refused. ``absent``: there is no such record. ``passing``: HubSpot itself failed, nothing is wrong with it."""

    problem: Problem
    absent: bool = False
    passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The answer names it neither as done nor as refused."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Sent; nobody knows."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Nothing was done with it, for a reason that passes."""

    reason: str


Result = Done | Turned | Missing | NoAnswer | NotSent


def send(client: Client, kind: str, path: str, inputs: Sequence[Input]) -> dict[str, Result]:
    """What became of each input, by trace. Raises only when nothing at all was sent.

    An input whose outcome is unknown is not sent again here; one that was refused with its batch is, in a smaller one.
    """
    results: dict[str, Result] = {}
    waiting: list[tuple[Sequence[Input], Patience | None]] = [(inputs, None)]
    while waiting:
        part, patience = waiting.pop()
        try:
            answer = client.write(
                kind, "POST", path, {"inputs": [one.body() for one in part]}, repeatable=False, patience=patience
            )
        except OutcomeUnknown as unknown:
            results |= {one.trace: NoAnswer(reason=unknown.problem) for one in part}
        except UnexpectedAnswer as refused:
            if isinstance(refused, Refused) and not refused.misdirected:
                certain, rest = _apart(part, refused)
                results |= {one.trace: _turned(refused) for one in certain}
                waiting += [(group, patience) for group in rest]
            elif len(part) == len(inputs):
                raise
            else:  # the others were answered: theirs stands
                results |= {one.trace: NoAnswer(reason=refused.problem) for one in part}
        except Locked as locked:
            if len(part) == 1:
                results[part[0].trace] = NotSent(reason=locked.problem)
            else:
                waiting += [(group, _ONE_TRY) for group in _halves(part)]
        except (RetryLater, RunCannotContinue) as error:
            if not results and not waiting and len(part) == len(inputs):
                raise
            return results | _not_sent([part, *(group for group, _ in waiting)], error)
        else:
            results |= _settled(part, answer.status, answer.body)
    return results


def _not_sent(parts: Sequence[Sequence[Input]], error: ConnectorError) -> dict[str, Result]:
    return {one.trace: NotSent(reason=error.problem) for part in parts for one in part}


def _turned(refused: Refused) -> Turned:
    return _refusal(refused.refusal, absent=refused.absent)


def _refusal(problem: Problem, *, absent: bool = False) -> Turned:
    return Turned(problem=problem, absent=absent or _absent(problem), passing=problem.category in PASSING)


def _absent(problem: Problem) -> bool:
    return problem.category == "OBJECT_NOT_FOUND" or any(
        "OBJECT_NOT_FOUND" in (detail.code, detail.category, detail.subCategory) for detail in problem.errors
    )


# -- a batch refused whole -----------------------------------------------------------------------------------------


def _apart(part: Sequence[Input], refused: Refused) -> tuple[Sequence[Input], list[Sequence[Input]]]:
    """(inputs that are refused for certain, smaller batches of the others).

    The body may name the input (trace, id) or the property. Where it names nothing usable, halves: a bad input among a
    hundred then costs fourteen more calls.
    """
    if len(part) == 1:
        return part, []
    problem = refused.refusal
    named = set(problem.named("objectWriteTraceId", "ids", "id"))
    certain = [one for one in part if one.trace in named or one.id in named]
    if not certain:
        certain = [one for one in part if _surely(one, problem)]
    if certain:
        rest = [one for one in part if one not in certain]
        # A batch can be refused for one input and name another's property: those that are left are sent as they are.
        return certain, [rest] if rest else []
    suspects = [one for one in part if _perhaps(one, problem)]
    if 0 < len(suspects) < len(part):
        return [], [suspects, [one for one in part if one not in suspects]]
    return [], _halves(part)


def _surely(one: Input, problem: Problem) -> bool:
    return any(error in _CARRIED_BY_ALL and name in one.properties for name, error in problem.validation())


def _perhaps(one: Input, problem: Problem) -> bool:
    """The property is named, and the refused value stands in the message."""
    said = problem.reason()
    return any(one.properties.get(name) and one.properties[name] in said for name, _ in problem.validation())


def _halves(part: Sequence[Input]) -> list[Sequence[Input]]:
    middle = len(part) // 2
    return [part[middle:], part[:middle]]


# -- a batch answered in parts -------------------------------------------------------------------------------------


def _settled(part: Sequence[Input], status: int, body: bytes) -> dict[str, Result]:
    try:
        answer = batch_answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {one.trace: NoAnswer(reason=f"answered with HTTP {status} and an unreadable body") for one in part}
    traces = {one.trace for one in part}
    by_id = {one.id: one.trace for one in part if one.id}
    results: dict[str, Result] = {}
    nameless: list[Problem] = []
    for raw in answer.errors:
        problem = problem_from(msgspec.json.decode(raw))
        named = [text for text in problem.named("objectWriteTraceId") if text in traces]
        named = named or [by_id[id] for id in problem.named("ids", "id", "objectId") if id in by_id]
        if not named and len(part) == 1:
            named = [part[0].trace]
        results |= {trace: _refusal(problem) for trace in named}
        if not named:
            nameless.append(problem)
    for record in answer.results:
        trace = record.objectWriteTraceId if record.objectWriteTraceId in traces else by_id.get(record.id)
        if trace is None:
            trace = next((one.trace for one in part if one.made is not None and one.made(record)), None)
        if trace is not None:
            results[trace] = Done(record=record)
    left = [one.trace for one in part if one.trace not in results]
    if len(left) == len(nameless) == 1:
        return results | {left[0]: _refusal(nameless[0])}
    return results | {trace: Missing(status=status) for trace in left}
