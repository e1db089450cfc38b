"""A party of Tryton's as one flat record: its contact mechanisms, tax identifier, address and categories.

Tryton keeps an e-mail address, a telephone number, a tax number and an address as records of their own. Here
they are fields of the party: the first active one of its kind, in Tryton's order. To write one is a part of
the party's own write, hence one transaction. What does not belong here: sending (`tryton`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import phonenumbers

from crm_hygiene.writeback.targets.tryton_values import Unfit

OBJECT = "party.party"

MECHANISMS = ("email", "phone", "mobile", "fax", "website")
PHONES = frozenset({"phone", "mobile", "fax"})
ADDRESS = ("street", "postal_code", "city", "country")
IDENTIFIER = "tax_identifier"

#: Opt-outs are categories: core Tryton has no field for them.
OPT_OUTS = ("email_opt_out", "phone_opt_out")

#: Fields of ours that are no fields of Tryton's party.
FLAT = frozenset({*MECHANISMS, *ADDRESS, IDENTIFIER, *OPT_OUTS})

#: What `search_read` is asked for, besides the party's own fields.
PARTS = (
    *(f"contact_mechanisms.{f}" for f in ("type", "value", "active", "_timestamp")),
    *(f"identifiers.{f}" for f in ("type", "code", "active", "_timestamp")),
    *(f"addresses.{f}" for f in ("street", "postal_code", "city", "active", "_timestamp")),
    "addresses.country.code",
    "tax_identifier.code",
    "categories.name",
)

#: Prefixes of VAT numbers as the European Union writes them.
_EU = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "HR", "HU", "IE", "IT",
        "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", "XI",
    }
)  # fmt: skip


@dataclass(frozen=True)
class PartyDialect:
    """What differs from one Tryton to the next.

    Attributes
    ----------
    opt_out_categories
        flat opt-out field -> name of the category that means it.
    category_ids, country_ids
        ids by name and by ISO 3166 code.
    """

    opt_out_categories: Mapping[str, str]
    category_ids: Mapping[str, int]
    country_ids: Mapping[str, int]


class Party:
    """One row of `search_read` with `PARTS`, read with inactive records."""

    def __init__(self, row: Mapping[str, Any], dialect: PartyDialect) -> None:
        self.row = row
        self.id = int(row["id"])
        self._dialect = dialect

    @property
    def version(self) -> str:
        """Changes when the party or any part of it does: the first 32 digits of a SHA-256."""
        stamps = [f"{name}={stamp}" for name, stamp in sorted(self.timestamps().items())]
        stamps += sorted(str(c["name"]) for c in self.row["categories."])
        return hashlib.sha256("\x1f".join(stamps).encode()).hexdigest()[:32]

    def timestamps(self) -> dict[str, str]:
        """Tryton's preconditions for the party and its parts: `model,id` -> time stamp."""
        stamps = {f"{OBJECT},{self.id}": str(self.row["_timestamp"])}
        for part, model in (
            ("contact_mechanisms.", "party.contact_mechanism"),
            ("identifiers.", "party.identifier"),
            ("addresses.", "party.address"),
        ):
            stamps |= {f"{model},{p['id']}": str(p["_timestamp"]) for p in self.row[part]}
        return stamps

    def value(self, field: str) -> str | None:
        """A flat field's text; None is empty."""
        if field in MECHANISMS:
            first = self._first_mechanism(field)
            return None if first is None else str(first["value"])
        if field == IDENTIFIER:
            identifier = self.row["tax_identifier."]
            return None if identifier is None else str(identifier["code"])
        if field in OPT_OUTS:
            category = self._dialect.opt_out_categories[field]
            return "true" if any(c["name"] == category for c in self.row["categories."]) else "false"
        address = self._first_address()
        if address is None:
            return None
        if field == "country":
            return None if address["country."] is None else str(address["country."]["code"])
        return str(address[field]) if address[field] else None

    def commands(self, after: Mapping[str, str | None]) -> dict[str, Any]:
        """The parts of a `party.write` (or of a create) that make the flat fields read as `after`.

        Raises
        ------
        Unfit
            if a field cannot be made so without touching more than it says.
        """
        values: dict[str, list[Any]] = {}

        def add(part: str, command: list[Any] | None) -> None:
            if command is not None:
                values.setdefault(part, []).append(command)

        for field in sorted(f for f in after if f in MECHANISMS):
            add("contact_mechanisms", self._mechanism(field, after[field]))
        if IDENTIFIER in after:
            add("identifiers", self._identifier(after[IDENTIFIER]))
        if parts := {f: after[f] for f in ADDRESS if f in after}:
            add("addresses", self._address(parts))
        for field in (f for f in OPT_OUTS if f in after):
            add("categories", self._opt_out(field, after[field]))
        return values

    def _first_mechanism(self, kind: str) -> Mapping[str, Any] | None:
        return next((m for m in self.row["contact_mechanisms."] if m["active"] and m["type"] == kind), None)

    def _mechanism(self, kind: str, text: str | None) -> list[Any] | None:
        held = self._first_mechanism(kind)
        if text is None:
            if held is None:
                return None
            active = [m for m in self.row["contact_mechanisms."] if m["active"] and m["type"] == kind]
            if len(active) > 1:
                raise Unfit(f"field {kind}: the party has {len(active)}; emptying it would show the next one")
            # Not deleted: opportunities may name it, and it can be made active again as it was.
            return ["write", [held["id"]], {"active": False}]
        if held is not None:
            return ["write", [held["id"]], {"value": text}]
        for retired in self.row["contact_mechanisms."]:
            if retired["type"] == kind and comparable(kind, retired["value"]) == comparable(kind, text):
                return ["write", [retired["id"]], {"active": True, "value": text}]
        return ["create", [{"type": kind, "value": text}]]

    def _identifier(self, text: str | None) -> list[Any] | None:
        held = self.row["tax_identifier."]
        if text is None:
            return None if held is None else ["write", [held["id"]], {"active": False}]
        kind = "eu_vat" if text[:2].upper() in _EU else None
        if held is not None:
            before = next((i["type"] for i in self.row["identifiers."] if i["id"] == held["id"]), None)
            return ["write", [held["id"]], {"type": kind or before, "code": text}]
        for retired in self.row["identifiers."]:
            is_same = comparable(IDENTIFIER, retired["code"]) == comparable(IDENTIFIER, text)
            if not retired["active"] and retired["type"] in (kind, "eu_vat") and is_same:
                return ["write", [retired["id"]], {"active": True}]
        if kind is None:
            raise Unfit("field tax_identifier: only VAT numbers with the prefix of an EU country are created")
        return ["create", [{"type": kind, "code": text}]]

    def _first_address(self) -> Mapping[str, Any] | None:
        return next((a for a in self.row["addresses."] if a["active"]), None)

    def _address(self, texts: Mapping[str, str | None]) -> list[Any] | None:
        values: dict[str, Any] = {k: v for k, v in texts.items() if k != "country"}
        if "country" in texts:
            code = texts["country"]
            if code is not None and code not in self._dialect.country_ids:
                raise Unfit("field country: Tryton has no such country; load its countries first")
            values["country"] = None if code is None else self._dialect.country_ids[code]
        held = self._first_address()
        if held is not None:
            left = {f: self.value(f) for f in ADDRESS} | dict(texts)
            # An address of which nothing is left would be an empty line in Tryton's forms.
            return ["write", [held["id"]], values if any(left.values()) else {"active": False}]
        filled = {k: v for k, v in values.items() if v is not None}
        return ["create", [filled]] if filled else None

    def _opt_out(self, field: str, text: str | None) -> list[Any]:
        name = self._dialect.opt_out_categories[field]
        if name not in self._dialect.category_ids:
            raise Unfit(
                f"field {field}: Tryton has no category '{name}'; create it, or name yours in the policy"
            )
        return ["add" if text == "true" else "remove", [self._dialect.category_ids[name]]]


def new_party(dialect: PartyDialect) -> Party:
    """A party that is not there yet: every part is empty."""
    empty: dict[str, Sequence[Any]] = {
        "contact_mechanisms.": (), "identifiers.": (), "addresses.": (), "categories.": ()
    }  # fmt: skip
    return Party({"id": -1, "_timestamp": "", "tax_identifier.": None, **empty}, dialect)


def is_flat(object_name: str, field: str) -> bool:
    """Whether a field is one of a party's parts."""
    return object_name == OBJECT and field in FLAT


def own_fields(object_name: str, fields: Collection[str]) -> list[str]:
    """The fields that are the object's own in Tryton."""
    return sorted(f for f in fields if not is_flat(object_name, f))


def comparable(field: str, text: str | None) -> str | None:
    """A flat field's text without what Tryton may do to it when it is written.

    A server with `phonenumbers` writes telephone numbers in international format: with a prefix they are
    E.164 here. Tax numbers are formatted by their country's rules: letters and digits are left.
    """
    if text is None or not text.strip():
        return "false" if field in OPT_OUTS else None
    if field in PHONES:
        try:
            number = phonenumbers.parse(text)
        except phonenumbers.NumberParseException:
            return text.strip()
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    if field in OPT_OUTS:
        return "true" if text.casefold() in ("true", "1", "yes") else "false"
    if field == IDENTIFIER:
        return "".join(c for c in text if c.isalnum()).upper() or None
    return text if field in ADDRESS else text.strip()


def exported(field: str, text: str | None) -> str | None:
    """A flat field's text for the export: a number in the server's international format goes out as E.164.

    So the next landing shows what was sent as it was sent. Any other spelling goes out as it is.
    """
    if text is None or field not in PHONES:
        return text
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return text
    formats = phonenumbers.PhoneNumberFormat
    is_formatted = phonenumbers.format_number(number, formats.INTERNATIONAL) == text
    return str(phonenumbers.format_number(number, formats.E164)) if is_formatted else text
