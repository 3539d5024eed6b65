"""Reading many records where HubSpot itself fails at some of them: a 207 whose errors say nothing against a record.

What is left out of such an answer is not absent. It is asked for again, after the usual waits; what is left then is
asked for in smaller and smaller parts, and a record at which HubSpot fails when it is asked for alone is given up. All
the others are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from connectors.errors import RetryLater
from connectors.hubspot.client import Client
from connectors.hubspot.refusals import PASSING, Problem, problem_of
from connectors.records import Crm

__all__ = ["Part", "every_one"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Generic[R]):
    """One answer. ``answered``: of which of the ids that were asked for; ``errors``: of a 207, as they came."""

    rows: Sequence[R]
    answered: frozenset[str]
    errors: Sequence[bytes] = ()


def every_one(
    client: Client, ids: Sequence[str], ask: Callable[[Sequence[str]], Part[R]]
) -> tuple[list[R], dict[str, str]]:
    """(rows of all answers, id -> category of the error at which HubSpot cannot read it).

    RetryLater where HubSpot fails at every one of several: then it is not the records.
    """
    rows: list[R] = []
    left = list(ids)
    why = ""

    def ask_for(part: Sequence[str]) -> list[str]:
        nonlocal why
        answer = ask(part)
        rows.extend(answer.rows)
        doubtful, category = _doubtful(part, answer)
        why = category or why
        return doubtful

    def ask_again() -> None:
        nonlocal left
        left = ask_for(left)
        if left:
            raise RetryLater(Crm.HUBSPOT, f"HubSpot could answer a part only ({why}).", status=207)

    try:
        client.patiently(ask_again)
    except RetryLater as error:
        if error.status != 207:
            raise
        given_up: dict[str, str] = {}
        parts = [left]
        while parts:
            part = parts.pop()
            rest = ask_for(part)
            if len(part) == 1:
                given_up |= dict.fromkeys(rest, why)
            elif len(rest) == len(part):
                parts += [rest[: len(rest) // 2], rest[len(rest) // 2 :]]
            elif rest:
                parts.append(rest)
        if len(given_up) == len(ids) > 1:
            raise
        return rows, given_up
    return rows, {}


def _doubtful(asked: Sequence[str], answer: Part[R]) -> tuple[list[str], str]:
    """(ids that HubSpot has left out because it failed, the category it gives). Errors need not name anybody."""
    passing, final = _split(answer.errors)
    if not passing:
        return [], ""
    told = frozenset(id for problem in final for id in _named(problem))
    named = frozenset(id for problem in passing for id in _named(problem)) & frozenset(asked)
    everybody = any(not _named(problem) for problem in passing)
    doubtful = [id for id in asked if id not in answer.answered | told and (everybody or id in named)]
    return doubtful, passing[0].category


def _split(errors: Iterable[bytes]) -> tuple[list[Problem], list[Problem]]:
    problems = [problem_of(bytes(entry)) for entry in errors]
    return [p for p in problems if p.category in PASSING], [p for p in problems if p.category not in PASSING]


def _named(problem: Problem) -> tuple[str, ...]:
    return problem.named("ids", "id", "objectId", "fromObjectId")
