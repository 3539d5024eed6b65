"""Following a list's cursor from page to page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from connectors.errors import UnexpectedAnswer
from connectors.hubspot.answers import Paging, following
from connectors.hubspot.client import Client
from connectors.hubspot.refusals import Refused
from connectors.records import Crm

__all__ = ["going_round", "pages"]


class _Paged(Protocol):
    @property
    def results(self) -> Sequence[object]: ...

    @property
    def paging(self) -> Paging | None: ...


P = TypeVar("P", bound=_Paged)


def pages(
    client: Client,
    kind: str,
    path: str,
    read: Callable[[bytes], P],
    query: Sequence[tuple[str, str]],
    after: str | None = None,
) -> Iterator[P]:
    """Every page from ``after`` on, or from the first where that cursor, of an earlier run, is refused by now.

    A page that points back to where the list has been is asked for once more. UnexpectedAnswer when it still does,
    unless nothing is on it and it points to itself: that is the end.
    """
    resume, been, again = after, {after}, False
    while True:
        here = [*query, ("after", after)] if after else query
        try:
            page = client.read(kind, "GET", path, read=read, query=here)
        except Refused as refused:
            if refused.status != 400 or after is None or after != resume:
                raise
            after = resume = None
            been = {None}
            continue
        further = following(page.paging)
        if further is not None and further in been:
            if not again:
                again = True
                continue
            if not page.results and further == after:
                return
            raise going_round(kind, path)
        yield page
        if further is None:
            return
        after, again = further, False
        been.add(after)


def going_round(kind: str, what: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        Crm.HUBSPOT,
        f"the {kind} of {what} goes round in a circle: a page brought nothing new.",
        status=200,
        advice="What was read so far is stored; the next run begins this window again.",
    )
