"""Property values: everything is a string; what each type accepts and how HubSpot writes it back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from connectors.sandbox.clock import instant_of, millis_of
from connectors.sandbox.hubspot_schema import Property

_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\".]+(\.[^@\s,;<>\".]+)+")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
LONGEST = 65_536  # characters of a text


class BadValueError(Exception):
    """A value its property does not accept. `code` is HubSpot's word, e.g. INVALID_OPTION."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@lru_cache(maxsize=65_536)
def iso(millis: int) -> str:
    """Milliseconds as HubSpot writes an instant: 2026-01-02T03:04:05.678Z."""
    return instant_of(millis).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_of(at: datetime) -> str:
    """The same for an aware datetime."""
    return iso(millis_of(at))


def canonical(prop: Property, value: object) -> str:
    """The value as it is stored. "" clears. BadValueError when the property does not accept it."""
    text = _text(prop, value)
    if text == "":
        return ""
    return _READERS[prop.type](prop, text)


def _text(prop: Property, value: object) -> str:
    match value:
        case str():
            return value.strip() if prop.type != "string" else value
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return str(value)
        case float():
            return repr(value)
        case datetime():
            return iso_of(value)
        case date():
            return value.isoformat()
        case _:
            raise BadValueError("INVALID_VALUE", f"{value!r} is no value for {prop.name}")


def _string(prop: Property, text: str) -> str:
    if len(text) > LONGEST:
        raise BadValueError("INVALID_STRING_LENGTH", f"Property {prop.name} is longer than {LONGEST} characters")
    if prop.name != "email":
        return text
    lowered = text.strip().lower()
    if not _EMAIL.fullmatch(lowered):
        raise BadValueError("INVALID_EMAIL", f"Email address {text} is invalid")
    return lowered


def _number(prop: Property, text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise BadValueError("INVALID_LONG", f"{text} was not a valid long.") from None
    if not number.is_finite():
        raise BadValueError("INVALID_LONG", f"{text} was not a valid long.")
    plain = format(number, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def _boolean(prop: Property, text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise BadValueError("INVALID_OPTION", f"{text} was not one of the allowed options: [true, false]")
    return text.lower()


def _enumeration(prop: Property, text: str) -> str:
    if prop.owner or (prop.read_only and not prop.options):
        return text  # owners are looked up by the portal; merged ids are no options
    allowed = {option["value"] for option in prop.options}
    for part in text.split(";") if prop.field_type == "checkbox" else [text]:
        if part not in allowed:
            listed = ", ".join(prop.values)
            raise BadValueError("INVALID_OPTION", f"{part} was not one of the allowed options: [{listed}]")
    return text


def _datetime(prop: Property, text: str) -> str:
    return iso(instant(text))


def _date(prop: Property, text: str) -> str:
    if _DAY.fullmatch(text):
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise BadValueError("INVALID_DATE", f"{text} is no date") from None
    at = instant_of(instant(text))
    if at - datetime(at.year, at.month, at.day, tzinfo=UTC) != timedelta():
        raise BadValueError("INVALID_DATE", f"{text} is at {at:%H:%M:%S.%f} UTC, not midnight!")
    return at.date().isoformat()


_READERS: dict[str, Callable[[Property, str], str]] = {
    "string": _string,
    "number": _number,
    "bool": _boolean,
    "enumeration": _enumeration,
    "datetime": _datetime,
    "date": _date,
}


@lru_cache(maxsize=65_536)
def instant(text: str) -> int:
    """Milliseconds of an ISO instant or of epoch milliseconds in a string; BadValueError otherwise."""
    try:
        if text.lstrip("-").isdigit():
            millis = int(text)
            instant_of(millis)
            return millis
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise BadValueError("INVALID_DATE", f"{text} was not a valid date/time") from None
    return millis_of(at if at.tzinfo is not None else at.replace(tzinfo=UTC))
