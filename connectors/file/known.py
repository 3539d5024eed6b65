"""What is remembered of files between two runs. The store keeps it; the connector only asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from connectors.records import Stream

__all__ = ["Known", "Mark", "NothingKnown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What tells one content of a file from another. ``read_at``: when it was looked at, by this machine's clock."""

    size: int
    modified_ns: int
    sha256: str
    read_at: datetime


class Known(Protocol):
    """What the store has of a stream."""

    def versions(self, stream: Stream, ids: Sequence[str]) -> Mapping[str, str]:
        """id -> version, of those among ``ids`` that are stored and not gone."""
        ...

    def ids(self, stream: Stream) -> Iterator[Sequence[str]]:
        """All that are stored and not gone, some at a time."""
        ...

    def mark(self, stream: Stream) -> Mark | None:
        """The content that is wholly stored; None where that is not certain."""
        ...

    def begin(self, stream: Stream, mark: Mark, hi: datetime) -> None:
        """A window that ends at ``hi`` reads this content. It is certain once the stream is read up to ``hi``."""
        ...


class NothingKnown:
    """A store that has nothing and keeps nothing: every row is news."""

    def versions(self, stream: Stream, ids: Sequence[str]) -> Mapping[str, str]:
        return {}

    def ids(self, stream: Stream) -> Iterator[Sequence[str]]:
        return iter(())

    def mark(self, stream: Stream) -> Mark | None:
        return None

    def begin(self, stream: Stream, mark: Mark, hi: datetime) -> None:
        return None
