"""Following a list's cursor from page to page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from connectors.errors import UnexpectedAnswer
from connectors.hubspot.answers import Paging, following
from connectors.hubspot.client import Client
from connectors.records import Crm

__all__ = ["going_round", "pages"]


class _Paged(Protocol):
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
    """Every page from ``after`` on. A page that points back to where the list has been is asked for once more.

    UnexpectedAnswer when it still does.
    """
    been, again = {after}, False
    while True:
        here = [*query, ("after", after)] if after else query
        page = client.read(kind, "GET", path, read=read, query=here)
        further = following(page.paging)
        if further is not None and further in been:
            if again:
                raise going_round(kind, path)
            again = True
            continue
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
