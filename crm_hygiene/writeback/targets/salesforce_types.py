"""Salesforce's field types: values as its API takes them, and as it gives them back.

What does not belong here: which records and fields are read or written (`salesforce`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from email.utils import format_datetime
from typing import Any

_NUMBER_TYPES = frozenset({"double", "currency", "percent", "int", "long"})
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})
_ID = re.compile(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?")
_ID_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


@dataclass(frozen=True)
class FieldType:
    """A field as `describe` tells it: `type` in Salesforce's words, `scale` digits after the point."""

    name: str
    type: str = "string"
    scale: int = 0

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.type in _NUMBER_TYPES


def field_types(description: Mapping[str, Any]) -> dict[str, FieldType]:
    """Field types by name, from an sObject describe."""
    fields: Iterable[Mapping[str, Any]] = description.get("fields") or ()
    return {
        str(f["name"]): FieldType(str(f["name"]), str(f.get("type", "string")), int(f.get("scale") or 0))
        for f in fields
    }


def is_id(text: str) -> bool:
    """Whether a text has the form of a record id, of 15 or 18 characters."""
    return _ID.fullmatch(text) is not None


def long_id(text: str) -> str:
    """A record id of 18 characters: the last three tell the case of the first fifteen."""
    if not is_id(text) or len(text) == 18:
        return text
    parts = (text[i : i + 5] for i in (0, 5, 10))
    return text + "".join(_ID_DIGITS[sum(c.isupper() << i for i, c in enumerate(part))] for part in parts)


def plain_number(number: Decimal) -> str:
    """A number without exponent and trailing zeros."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def as_text(value: Any) -> str | None:
    """A JSON value of Salesforce's as text; an empty text is an empty field."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return plain_number(Decimal(str(value)))
    return None if value in (None, "") else str(value)


def _moment(text: str) -> datetime | None:
    """An ISO 8601 date and time in UTC, to the second; None if it is none. Without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def http_date(version: str | None) -> str | None:
    """LastModifiedDate as an HTTP date, to the second; None if it cannot be read."""
    moment = _moment(version) if version else None
    return format_datetime(moment, usegmt=True) if moment else None


def normalised(value: str | None, field: FieldType) -> str | None:
    """A value as Salesforce would give it back; one that it would refuse is left as it is."""
    text = (value or "").strip().replace("\r\n", "\n").replace("\r", "\n")
    if field.type == "boolean":
        # A checkbox is never empty.
        return "true" if text.lower() in _TRUE else "false" if text.lower() in _FALSE or not text else text
    if not text:
        return None
    if field.is_number:
        try:
            number = Decimal(text)
            return plain_number(number.quantize(Decimal(1).scaleb(-field.scale), rounding=ROUND_HALF_UP))
        except InvalidOperation:
            return text
    if field.type == "email":
        return text.lower()
    if field.type in ("reference", "id"):
        return long_id(text)
    if field.type == "datetime":
        moment = _moment(text)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000") if moment else text
    if field.type == "date":
        try:
            return date.fromisoformat(text[:10]).isoformat()
        except ValueError:
            return text
    return text


def as_json(value: str | None, field: FieldType) -> Any:
    """A value as the REST API takes it; one that is not of its type goes as text, for Salesforce to refuse.

    Raises
    ------
    ValueError
        for a number with more digits than a JSON number carries exactly.
    """
    text = normalised(value, field)
    if text is None:
        return None
    if field.type == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if field.is_number:
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        if number == number.to_integral_value():
            return int(number)
        if Decimal(repr(float(number))) != number:
            raise ValueError(f"{field.name}: more digits than Salesforce keeps")
        return float(number)
    return text
