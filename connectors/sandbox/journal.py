"""What was really committed, in order: the only witness a test may trust about writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, overload

from connectors.sandbox.clock import Clock

Op = Literal["create", "update", "delete", "merge", "convert"]
Via = Literal["api", "seed", "person"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One committed change of one record. `changes` maps a property to (old, new); None is "no value"."""

    seq: int
    at: datetime
    crm: str
    object: str
    id: str
    op: Op
    changes: Mapping[str, tuple[Any, Any]]
    via: Via

    def as_json(self) -> dict[str, Any]:
        """The entry with an ISO instant and lists for pairs, ready for json.dumps."""
        return asdict(self) | {
            "at": self.at.isoformat(),
            "changes": {name: list(pair) for name, pair in self.changes.items()},
        }


class Journal(Sequence[JournalEntry]):
    """Grows only. Set `keep_seed = False` before seeding a very large sandbox to save memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: list[JournalEntry] = []
        self._seq = 0
        self.keep_seed = True

    def record(
        self, crm: str, object_: str, id_: str, op: Op, changes: Mapping[str, tuple[Any, Any]], via: Via
    ) -> None:
        """Appends one committed change, stamped by the sandbox clock. Called while the CRM's lock is held."""
        if via == "seed" and not self.keep_seed:
            return
        with self._lock:
            self._seq += 1
            entry = JournalEntry(
                seq=self._seq, at=self._clock.now(), crm=crm, object=object_, id=id_, op=op, changes=changes, via=via
            )
            self._entries.append(entry)

    def writes(self, via: Via = "api", crm: str | None = None, object: str | None = None) -> list[JournalEntry]:
        """The changes that came this way; by default what a client wrote through the API."""
        return [
            entry
            for entry in list(self._entries)
            if entry.via == via and crm in (None, entry.crm) and object in (None, entry.object)
        ]

    def since(self, seq: int) -> list[JournalEntry]:
        """The changes after this sequence number."""
        return [entry for entry in list(self._entries) if entry.seq > seq]

    @property
    def last_seq(self) -> int:
        """The number of the newest change, 0 when there is none."""
        return self._seq

    @overload
    def __getitem__(self, index: int) -> JournalEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[JournalEntry]: ...
    def __getitem__(self, index: int | slice) -> JournalEntry | list[JournalEntry]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(list(self._entries))
