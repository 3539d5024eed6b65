"""From a CRM's value to the canonical one. Pure; both connectors and nothing else use it.

A canonical value is text, a bool, an int or a float. A missing value is None. An instant is text in UTC with
milliseconds (``2026-01-02T03:04:05.678Z``), a date ``2026-01-02``: text sorts as time does, and equal moments are equal
however the CRM spelled them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from math import isfinite, nan
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit

from connectors.countries import country_code, language_code
from connectors.fields import Convert, FactField
from connectors.records import FieldKind, Scalar

__all__ = [
    "Converter",
    "as_text",
    "boolean",
    "converted",
    "converter",
    "dated",
    "domain",
    "email",
    "fold",
    "instant",
    "instant_text",
    "instants",
    "moment",
    "moments",
    "number",
    "salesforce_id",
    "to_moment",
    "whole_numbers",
]

Converter = Callable[[Scalar], Scalar | None]
"""A value that is there -> the canonical one, None when it says nothing. ValueError says what is wrong with it."""

_REMEMBERED = 4096
_CANONICAL_LENGTH = len("2026-01-02T03:04:05.678Z")
_REST_LENGTH = len("2026-01-02T03:04:05.678+0000")
_EPOCH_MS = re.compile(r"-?\d{11,14}")
_MIDNIGHT = "T00:00:00.000Z"
_NO_INSTANT = "not a date or time in a known form"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_HOST = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_YES = frozenset({"true", "yes", "1", "y", "on"})
_NO = frozenset({"false", "no", "0", "n", "off"})


def fold(text: str) -> str:
    """The form in which names are compared: NFKC, case folded, trimmed, white space runs as one space."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def email(text: str | None) -> str | None:
    """Trimmed, lower case, NFC; None when blank. No tricks with dots or plus: those are other addresses elsewhere."""
    if not text:
        return None
    if text.isascii():
        return text.strip().lower() or None
    return unicodedata.normalize("NFC", text.strip().lower()) or None


def domain(text: str) -> str:
    """``https://www.Acme.com:443/about`` -> ``acme.com``. Names beyond ASCII in their IDNA form. ValueError if none."""
    bare = text.strip().lower()
    try:
        host = urlsplit(bare if "://" in bare else f"//{bare.removeprefix('//')}").hostname or ""
    except ValueError:
        host = ""
    host = host.rstrip(".").removeprefix("www.")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            host = ""
    if not _HOST.fullmatch(host):
        raise ValueError("not a domain or web address")
    return host


def instant(value: Scalar) -> datetime:
    """An aware UTC time from ISO 8601 (``Z``, ``+0000``, ``+02:00``, any fraction, a bare date) or epoch milliseconds.

    A time without zone is UTC. ValueError when it is none of these.
    """
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)  # what HubSpot and REST answers hold, nine times in ten
        except ValueError:
            return _odd_instant(value.strip())
        return at if at.tzinfo is UTC else _odd_instant(value.strip())
    if isinstance(value, bool):
        raise ValueError(_NO_INSTANT)
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(_NO_INSTANT) from None


def instants(texts: Iterable[str | None]) -> list[datetime | None]:
    """`instant` of each, blanks as None. A column has one spelling as a rule, and is then read at twice the speed."""
    texts, parsed = list(texts), datetime.fromisoformat
    try:
        found = [parsed(text) if text else None for text in texts]
    except ValueError:
        found = []
    if found and all(at is None or at.tzinfo is UTC for at in found):
        return found
    return [instant(text) if text else None for text in texts]


def _odd_instant(text: str) -> datetime:
    try:
        at = datetime.fromtimestamp(int(text) / 1000, UTC) if _EPOCH_MS.fullmatch(text) else _iso(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(_NO_INSTANT) from None


def _iso(text: str) -> datetime:
    if len(text) < len("2026-01-02") or text[4] != "-":  # week dates and bare numbers are ISO too, but no CRM says them
        raise ValueError
    return datetime.fromisoformat(text)


def instant_text(at: datetime) -> str:
    """The canonical spelling of an instant: UTC, milliseconds, ``Z``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def moment(value: Scalar) -> str:
    """The canonical text of a date (kept a date) or an instant. ValueError as `instant`."""
    if isinstance(value, str):
        if len(value) == _CANONICAL_LENGTH and value[-1] == "Z" and value[19] == "." and value[10] == "T":
            instant(value)
            return value
        if len(value) == _REST_LENGTH and value[23:] == "+0000" and value[19] == "." and value[10] == "T":
            instant(value)  # as Salesforce spells it
            return value[:23] + "Z"
        if _DATE.fullmatch(bare := value.strip()):
            date.fromisoformat(bare)
            return bare
    return instant_text(instant(value))


def number(value: Scalar) -> int | float:
    """An int where the value is whole, else a float. ValueError when it is no finite number."""
    if isinstance(value, str):
        if value.isdecimal() and value.isascii():
            return int(value)
        value = _float(value)
    elif isinstance(value, bool):
        raise ValueError("a yes or no where a number belongs")
    elif isinstance(value, int):
        return value
    if not isfinite(value):
        raise ValueError("not a number")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def whole_numbers(texts: Sequence[str]) -> list[int]:
    """`number` of each, what is behind the point left out. Of a column of digits no text is looked at by itself."""
    together = "".join(texts)
    if together.isdecimal() and together.isascii() and all(texts):
        return list(map(int, texts))
    return [int(number(text)) for text in texts]


def _float(text: str) -> float:
    try:
        return float(text) if "_" not in text else nan
    except ValueError:
        return nan


def boolean(value: Scalar) -> bool:
    """True or false from a JSON boolean or ``true``/``false``/``yes``/``no``/``1``/``0``. ValueError otherwise."""
    if isinstance(value, bool):
        return value
    folded = as_text(value).strip().casefold()
    if folded in _YES:
        return True
    if folded in _NO:
        return False
    raise ValueError("neither true nor false")


def as_text(value: Scalar) -> str:
    """A value as both CRMs would print it: ``true``, ``17``, ``0.5``."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def salesforce_id(text: str) -> str:
    """The 18-character form of a Salesforce id. The last three characters say which of the first 15 are capitals.

    ValueError when it has not 15 or 18 letters and digits.
    """
    bare = text.strip()
    if len(bare) not in (15, 18) or not (bare.isascii() and bare.isalnum()):
        raise ValueError("not a Salesforce id")
    stem = bare[:15]
    suffix = "".join(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[sum(1 << i for i, c in enumerate(stem[at : at + 5]) if c.isupper())]
        for at in (0, 5, 10)
    )
    return stem + suffix if len(bare) == 15 else stem + bare[15:].upper()


_BY_CONVERT: Mapping[Convert, Converter] = MappingProxyType(
    {
        Convert.COUNTRY: lambda value: country_code(as_text(value)),
        Convert.LANGUAGE: lambda value: language_code(as_text(value)),
        Convert.DOMAIN: lambda value: domain(as_text(value)),
        Convert.OWNER: lambda value: as_text(value).strip(),
        Convert.IS_SET: lambda value: True,
    }
)

_BY_KIND: Mapping[FieldKind, Converter] = MappingProxyType(
    {FieldKind.NUMBER: number, FieldKind.DATETIME: moment, FieldKind.BOOLEAN: boolean}
)

_BY_TYPE: Mapping[str, Converter] = MappingProxyType(
    {
        "number": number,
        "boolean": boolean,
        "date": moment,
        "instant": moment,
        "text": lambda value: _text(value),
        "list": lambda value: as_text(value).strip(),
    }
)


def converter(field: FactField, kind: FieldKind | None = None) -> Converter:
    """What makes the canonical value of ``field``; ``kind`` is what the CRM says the property holds.

    ``true_when`` first, then ``values`` (compared exactly, then folded; the rest passes), then ``as``, the declared
    ``type``, and the property's own kind. A blank value is None. Answers for repeated texts are remembered.
    """
    if field.true_when:
        return _remembering(_one_of(frozenset(map(fold, field.true_when))))
    by_type = _BY_TYPE.get(field.type) if field.type else _BY_KIND.get(kind) if kind else None
    last = _BY_CONVERT.get(field.convert) or by_type or _plain
    if field.values:
        return _remembering(_mapped(field.values, last))
    if last is _plain:
        return _plain
    if last is moment:
        return to_moment
    return _blank_refused(last) if last is number else _remembering(_unless_blank(last))


def dated(convert: Converter) -> Converter:
    """``convert`` for a field of days: a CRM may tell a day as the midnight it begins with, in UTC wherever one is."""

    def day(value: Scalar) -> Scalar | None:
        made = convert(value)
        return made.removesuffix(_MIDNIGHT) if isinstance(made, str) else made

    return day


LONGEST_TEXT = 10_000
"""Characters of a text that can still say something about a person; more is a mistake, or an attack on readers."""


def _plain(value: Scalar) -> Scalar | None:
    if not isinstance(value, str):
        return value
    text = value.strip()
    return (text if len(text) <= LONGEST_TEXT else _within(text)) or None


def converted(convert: Converter, texts: Sequence[str | None]) -> list[Scalar | None]:
    """``convert`` of each, blanks as None. ValueError where it refuses one. Plain texts are only stripped."""
    if convert is _plain and max(map(len, filter(None, texts)), default=0) <= LONGEST_TEXT:
        return [text.strip() or None if text else None for text in texts]
    return [convert(text) if text else None for text in texts]


def _text(value: Scalar) -> str:
    return _within(as_text(value).strip())


def _within(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{len(text):,} characters, more than {LONGEST_TEXT:,} are not read")
    return text


def _unless_blank(last: Converter) -> Converter:
    def convert(value: Scalar) -> Scalar | None:
        return None if isinstance(value, str) and not value.strip() else last(value)

    return convert


def _blank_refused(last: Converter) -> Converter:
    """The same for one that refuses blanks: so few come that each is told by its refusal."""

    def convert(value: Scalar) -> Scalar | None:
        try:
            return last(value)
        except ValueError:
            if isinstance(value, str) and not value.strip():
                return None
            raise

    return convert


to_moment = _blank_refused(moment)
"""What `converter` says of a property with times: `moment`, a blank as None."""


def moments(column: Sequence[Scalar | None]) -> list[Scalar | None]:
    """`to_moment` of each, None as None. Where all are spelled as Salesforce does, they are only looked at and cut."""
    try:
        if set(map(len, column)) == {_REST_LENGTH}:  # type: ignore[arg-type]  # what has no length is a TypeError
            texts = cast("Sequence[str]", column)
            cut: list[Scalar | None] = [
                text[:23] + "Z" for text in texts if text[23:] == "+0000" and text[19] == "." and text[10] == "T"
            ]
            if len(cut) == len(texts) == len(list(map(datetime.fromisoformat, texts))):
                return cut
    except (TypeError, ValueError):
        pass  # whatever is odd is told of by what follows
    return [None if value is None else to_moment(value) for value in column]


def _one_of(accepted: frozenset[str]) -> Converter:
    def convert(value: Scalar) -> Scalar | None:
        text = fold(as_text(value))
        return text in accepted if text else None

    return convert


def _mapped(values: Mapping[str, str], last: Converter) -> Converter:
    folded = {fold(theirs): ours for theirs, ours in reversed(list(values.items()))}

    def convert(value: Scalar) -> Scalar | None:
        text = as_text(value).strip()
        if not text:
            return None
        ours = values.get(text)
        if ours is None:
            ours = folded.get(fold(text))
        return last(value if ours is None else ours)

    return convert


class _Remembered(dict[Scalar, Scalar | None]):
    """What was made of each text. Countries, stages and domains come again and again; dropped when it is full."""

    def __init__(self, convert: Converter) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, value: Scalar) -> Scalar | None:
        answer = self._convert(value)
        if isinstance(value, str):  # 1 and True have one place in a dictionary, and are two values
            if len(self) >= _REMEMBERED:
                self.clear()
            self[value] = answer
        return answer


def _remembering(convert: Converter) -> Converter:
    return _Remembered(convert).__getitem__
