"""HubSpot properties: what a field of the plan is called there, and how HubSpot gives its value back.

Pure data, read from the properties API or told by the policy. What does not belong here: requests
(`hubspot`), files (`hubspot_files`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from crm_hygiene.contract import nearest

#: Object type ids as the imports and associations APIs publish them.
OBJECT_TYPE_IDS = {
    "contact": "0-1",
    "company": "0-2",
    "deal": "0-3",
    "ticket": "0-5",
    "product": "0-7",
    "line_item": "0-8",
    "quote": "0-14",
    "invoice": "0-53",
    "lead": "0-136",
}

_PLURALS = {"companies": "company"}

_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})


def object_type(name: str) -> str:
    """`Contacts`, `contact` and `0-1` are one; a custom object's name stays as it is."""
    key = name.strip().lower()
    by_id = {number: singular for singular, number in OBJECT_TYPE_IDS.items()}
    for candidate in (key, by_id.get(key, ""), _PLURALS.get(key, ""), key.removesuffix("s")):
        if candidate in OBJECT_TYPE_IDS:
            return candidate
    return name.strip()


class UnknownField(Exception):  # noqa: N818 - named as what it is
    """The object has no such property, or its label stands for several."""


@dataclass(frozen=True)
class Property:
    """One property: `kind` is the API's `type`, `field_type` its `fieldType`, `options` label -> value."""

    name: str
    label: str = ""
    kind: str = "string"
    field_type: str = "text"
    options: Mapping[str, str] = field(default_factory=dict)
    is_read_only: bool = False

    def normalise(self, value: str | None) -> str | None:
        """The value as HubSpot gives it back after it was written; an empty text is no value.

        Booleans become `true` or `false`, numbers lose trailing zeros, a date is ISO 8601 and a time is in
        UTC with milliseconds, several choices are sorted, an option's label becomes its value, an e-mail
        address or a domain is lower case. What does not read as its kind stays as it is.
        """
        text = (value or "").strip()
        if not text:
            return None
        if self.kind == "bool" or self.field_type == "booleancheckbox":
            return "true" if text.lower() in _TRUE else "false" if text.lower() in _FALSE else text
        if self.kind == "number":
            return _number(text)
        if self.kind == "date":
            return _date(text)
        if self.kind == "datetime":
            return _time(text)
        if self.kind == "enumeration":
            return self._choices(text)
        if self.name in ("email", "hs_additional_emails", "domain"):
            return text.lower()
        return text

    def _choices(self, text: str) -> str:
        values = set(self.options.values())
        one = text if text in values else self.options.get(text, text)
        if self.field_type != "checkbox":
            return one
        parts = [p.strip() for p in text.split(";")]
        parts = [p if p in values else self.options.get(p, p) for p in parts if p]
        return ";".join(sorted(set(parts))) or text


def _number(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    # An exponent past this prints as kilobytes of zeros; nobody's property holds such a number.
    if not number.is_finite() or abs(number.adjusted()) > 60:
        return text
    plain = format(number, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def _moment(text: str) -> datetime | None:
    try:
        if text.removeprefix("-").isdecimal() and text.isascii() and len(text) > 8:
            return datetime.fromtimestamp(int(text) / 1000, tz=UTC)
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        moment = _moment(text)
        return text if moment is None else moment.date().isoformat()


def _time(text: str) -> str:
    moment = _moment(text)
    if moment is None:
        return text
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Properties:
    """The properties of one object, found by the plan's field: by the policy's `names`, name or label."""

    def __init__(self, object_name: str, properties: Iterable[Property], names: Mapping[str, str]) -> None:
        self._object = object_name
        self._by_name = {p.name: p for p in properties}
        self._names = names
        self._by_label: dict[str, list[Property]] = {}
        for known in self._by_name.values():
            self._by_label.setdefault(known.label.strip().lower(), []).append(known)

    def of(self, name: str) -> Property:
        """The property a field of the plan means.

        Raises
        ------
        UnknownField
            naming the nearest property, or those that share the label.
        """
        given = self._names.get(name, name)
        if given in self._by_name:
            return self._by_name[given]
        labelled = self._by_label.get(given.strip().lower(), [])
        if len(labelled) == 1:
            return labelled[0]
        if labelled:
            several = ", ".join(sorted(p.name for p in labelled))
            raise UnknownField(
                f"{self._object}: the label '{given}' stands for {several}; name one under `names:`"
            )
        known = sorted([*self._by_name, *(p.label for p in self._by_name.values())])
        raise UnknownField(f"{self._object} has no property '{given}'{nearest(given, known)}")
