"""How a column, or a text made of several, says a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from connectors.fields import FactField
from connectors.file.tables import Cells
from connectors.normalise import instant

__all__ = ["Said", "columns_of", "said", "said_by", "when"]

COLUMN = re.compile(r"\{([^{}]+)\}")

Said = Callable[[Cells], str | None]
"""The text of a row; None when it says nothing."""


def columns_of(text: str) -> tuple[str, ...]:
    """``{Prospect ID}@leads.invalid`` -> ``("Prospect ID",)``; a text without braces is a column itself."""
    return tuple(name.strip() for name in COLUMN.findall(text)) or (text,)


def said(text: str) -> Said:
    """The column of that name, or the text with the cell of each ``{Column}`` in it; nothing if one is blank."""
    names = columns_of(text)
    if names == (text,):
        return lambda cells: cells.get(text)

    def filled(cells: Cells) -> str | None:
        if not all(name in cells for name in names):
            return None
        return COLUMN.sub(lambda found: cells[found[1].strip()], text)

    return filled


@dataclass(frozen=True, slots=True)
class _Fixed:
    text: str

    def __call__(self, cells: Cells) -> str | None:
        return self.text


def said_by(field: FactField) -> Said:
    """How a row says a fact: always the same, or by its cells."""
    if field.fixed is not None:
        return _Fixed(field.fixed)
    return said(field.property or "")


def when(text: str, zone: ZoneInfo) -> datetime | date:
    """A bare date stays one; a time that does not say its zone is one of ``zone``. ValueError: neither."""
    bare = text.strip()
    try:
        if len(bare) == len("2026-01-02"):
            return date.fromisoformat(bare)
        read = datetime.fromisoformat(bare)
    except ValueError:
        return instant(bare)
    return instant(bare) if read.tzinfo else instant(read.replace(tzinfo=zone).isoformat())
