"""What a body and one field accept: a JSON or CSV value becomes the value stored, or is refused with Salesforce's code.

Stored values are plain JSON: texts stripped of outer blanks (blank is null), whole floats for double, currency and
percent, ``2024-05-06`` for dates, ``2024-05-06T07:08:09.000+0000`` for moments, 18-character ids.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from typing import Any

from connectors.sandbox.salesforce_ids import long_id
from connectors.sandbox.salesforce_schema import Field
from connectors.sandbox.server import Request
from connectors.sandbox.soql import stamp

__all__ = ["Refused", "Unreadable", "accept", "json_object"]

_EMAIL = re.compile(r"[^\s@,;<>()\[\]]+@[^\s@,;<>()\[\]]+\.[^\s@,;<>()\[\].]{2,}")


class Refused(Exception):
    """One record is refused: the code, the sentence and the fields Salesforce would name. ``http`` for single calls."""

    def __init__(self, code: str, message: str, *fields: str, http: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields
        self.http = http


class Unreadable(Refused):
    """The value does not even have the field's JSON type: the whole request is refused, not only its record."""

    def __init__(self, kind: str, value: Any) -> None:
        token = "VALUE_STRING" if isinstance(value, str) else f"VALUE_{type(value).__name__.upper()}"
        message = f"Cannot deserialize instance of {kind} from {token} value {value}"
        super().__init__("JSON_PARSER_ERROR", f"{message} or request may be missing a required field")


def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises Refused (JSON_PARSER_ERROR)."""
    try:
        body = request.json()
    except ValueError as wrong:
        raise Refused("JSON_PARSER_ERROR", f"Unexpected character or end of input: {wrong}") from wrong
    if not isinstance(body, dict):
        raise Refused("JSON_PARSER_ERROR", "The body must be a JSON object")
    return body


def accept(field: Field, value: Any) -> Any:
    """The stored form of ``value`` for ``field``. Raises Refused, or Unreadable for a value of the wrong JSON type."""
    if value is None or (isinstance(value, str) and not value.strip() and field.type != "boolean"):
        if field.type == "boolean":
            raise Refused(
                "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{field.label}: value not of required type: null", field.name
            )
        return None
    match field.type:
        case "boolean":
            return _boolean(value)
        case "int" | "double" | "currency" | "percent":
            return _number(field, value)
        case "date":
            return _day(value)
        case "datetime":
            return _moment(value)
        case "reference" | "id":
            return _reference(field, value)
        case "complexvalue":
            return value
        case _:
            return _text(field, value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise Unreadable("boolean", value)


def _number(field: Field, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unreadable(field.type, value)
    try:
        number = float(value)
    except ValueError as wrong:
        raise Unreadable(field.type, value) from wrong
    if not math.isfinite(number):
        raise Unreadable(field.type, value)
    if field.type == "int":
        if number != int(number):
            raise Unreadable("int", value)
        if len(str(abs(int(number)))) > (field.precision or 9):
            raise _outside(field, value)
        return int(number)
    rounded = float(round(number, field.scale))
    if field.precision and abs(rounded) >= 10 ** (field.precision - field.scale):
        raise _outside(field, value)
    return rounded + 0.0  # -0.0 becomes 0.0


def _outside(field: Field, value: Any) -> Refused:
    message = f"{field.label}: value outside of valid range on numeric field: {value}"
    return Refused("NUMBER_OUTSIDE_VALID_RANGE", message, field.name)


def _day(value: Any) -> str:
    if not isinstance(value, str) or re.fullmatch(r"\d{4}-\d\d-\d\d", value) is None:
        raise Unreadable("date", value)
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError as wrong:
        raise Unreadable("date", value) from wrong


def _moment(value: Any) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as wrong:
        raise Unreadable("datetime", value) from wrong
    if moment.tzinfo is None:
        raise Unreadable("datetime", value)
    # record fields keep whole seconds
    return stamp(moment.replace(microsecond=0))


def _reference(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise Unreadable("reference", value)
    whole = long_id(value.strip())
    if whole is None:
        raise Refused("MALFORMED_ID", f"{field.label} ID: id value of incorrect type: {value}", field.name)
    return whole


def _text(field: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        raise Unreadable("string", value)
    text = value.strip()
    if field.type == "picklist" and field.restricted and text not in field.picklist:
        message = f"{field.label}: bad value for restricted picklist field: {text}"
        raise Refused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, field.name)
    if field.length and len(text) > field.length:
        message = f"{field.label}: data value too large: {text[:80]} (max length={field.length})"
        raise Refused("STRING_TOO_LONG", message, field.name)
    if field.type == "email" and _EMAIL.fullmatch(text) is None:
        raise Refused("INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {text}", field.name)
    if field.type == "multipicklist" and field.restricted:
        wrong = next((one for one in text.split(";") if one not in field.picklist), None)
        if wrong is not None:
            message = f"{field.label}: bad value for restricted picklist field: {wrong}"
            raise Refused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, field.name)
    return text
