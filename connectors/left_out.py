"""What of a listing cannot be read: owners, forms, fields. It stops none of the others, and somebody has to hear of it.

A listing has no page of its own to say so. So it is a problem of the next page that is read, whatever that is of, and
a sentence of every check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from connectors.records import Crm, Page, RecordProblem, RecordRef

__all__ = ["Untold", "left_out"]

R = TypeVar("R")


def left_out(crm: Crm, what: str, id: str, why: str) -> RecordProblem:
    """``what``: a word for one of the listing; ``id`` is blank where not even that can be read."""
    ref = RecordRef(crm=crm, object=what, id=id)
    return RecordProblem(ref=ref, field="", reason=f"is left out, it cannot be read: {why}")


class Untold:
    """Tells each of these problems once. ``found``: those of the newest listings."""

    def __init__(self, found: Callable[[], Sequence[RecordProblem]]) -> None:
        self._found = found
        self._told: frozenset[RecordProblem] = frozenset()

    def with_page(self, page: Page[R]) -> Page[R]:
        """The page, and what nobody has been told yet."""
        untold = [one for one in self._found() if one not in self._told]
        self._told |= frozenset(untold)
        return replace(page, problems=(*page.problems, *untold)) if untold else page

    def sentences(self) -> Iterator[str]:
        """All of them, told or not."""
        for one in self._found():
            yield f"the {one.ref.object} {one.ref.id or 'without a name'} {one.reason}"
