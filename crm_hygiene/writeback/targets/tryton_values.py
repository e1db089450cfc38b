"""Values of Tryton's fields as text, and back, by the description that `fields_get` gives of a field.

What does not belong here: fields of a party that are records of their own (`tryton_parties`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Description = Mapping[str, Any]

_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})


class Unfit(Exception):  # noqa: N818 - named as what the value is
    """A value or a field that cannot be what was asked; the message names the field, never the value."""


def as_text(value: object) -> str | None:
    """A value that Tryton gave, as text: plain decimals without trailing zeros, ISO dates, ids."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return _plain(value)
    if isinstance(value, float):
        return _plain(Decimal(repr(value)))
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)


def text_of(description: Description, value: object) -> str | None:
    """`as_text`, knowing the field: a boolean of SQLite's comes as 0 or 1."""
    if description["type"] == "boolean":
        return "true" if value else "false"
    return as_text(value)


def value_of(name: str, description: Description, text: str | None) -> Any:
    """What Tryton takes for a text.

    Raises
    ------
    Unfit
        if the text is none of the field's type, or the field holds other records.
    """
    kind = description["type"]
    if kind in ("one2many", "many2many", "one2one", "dict", "binary"):
        raise Unfit(f"field {name} is of type {kind}, which is not written as text")
    if kind == "boolean":
        word = (text or "false").strip().casefold()
        if word not in _TRUE | _FALSE:
            raise Unfit(f"field {name}: neither true nor false")
        return word in _TRUE
    if text is None or text == "":
        return None
    try:
        if kind in ("integer", "many2one"):
            return int(text)
        if kind == "float":
            return float(text)
        if kind == "numeric":
            return Decimal(text)
        if kind == "date":
            return date.fromisoformat(text)
        if kind in ("datetime", "timestamp"):
            return datetime.fromisoformat(text)
    except (ValueError, InvalidOperation):
        raise Unfit(f"field {name}: not a value of type {kind}") from None
    return _stripped(description, text)


def normal_text(name: str, description: Description, text: str | None) -> str | None:
    """A text as it would be read back after it was written; one that does not fit stays as it is."""
    try:
        return text_of(description, value_of(name, description, text))
    except Unfit:
        return text


def _stripped(description: Description, text: str) -> str | None:
    # Tryton takes blanks off both ends of a char field unless the field says otherwise.
    strip = description.get("strip", description["type"] == "char")
    if strip in (True, "leading"):
        text = text.lstrip()
    if strip in (True, "trailing"):
        text = text.rstrip()
    return text or None


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
