"""Records of Tryton's as they are now, of whatever object, with what tells whether they changed.

What does not belong here: what is written (`tryton`), and what a party's parts mean (`tryton_parties`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Outcome
from crm_hygiene.writeback.target import TargetUnavailable
from crm_hygiene.writeback.targets import tryton_postings
from crm_hygiene.writeback.targets.tryton_parties import FLAT, OBJECT, PARTS, Party, PartyDialect, own_fields
from crm_hygiene.writeback.targets.tryton_rpc import CallRefused, TrytonSession
from crm_hygiene.writeback.targets.tryton_values import text_of

_ALSO_INACTIVE = {"active_test": False}


@dataclass(frozen=True)
class Record:
    """A row of any object as read: `value` gives a field's text."""

    version: str
    is_deleted: bool
    timestamps: Mapping[str, str]
    value: Callable[[str], str | None]
    party: Party | None = None


def telling(name: str) -> tuple[str, ...]:
    """Fields that Tryton's messages repeat: read so that they can be masked."""
    return ("name", "code") if name == OBJECT else ()


class Reader:
    """Reads through one session; what it learns of objects, categories and countries it keeps as long.

    Every method may raise a `TargetError`, and a `ConfigurationError` if the user may not read an object.
    """

    def __init__(self, session: TrytonSession, opt_outs: Mapping[str, str]) -> None:
        self._session = session
        self._opt_outs = dict(opt_outs)
        self._descriptions: dict[str, dict[str, Any]] = {}
        self._dialect: PartyDialect | None = None

    def records(self, name: str, numbers: Sequence[int], fields: Sequence[str]) -> dict[int, Record]:
        """Records with `fields`, `telling` and all of a party's parts, by id."""
        own = own_fields(name, [*fields, *telling(name)])
        self.check(name, own)
        described = self.describe(name)
        also = ["active"] if "active" in described else []
        is_party, is_line = name == OBJECT, name == tryton_postings.OBJECT
        asked = [tryton_postings.READ_AS.get(f, f) if is_line else f for f in own]
        rows = self.rows(name, numbers, [*asked, *also, *(PARTS if is_party else ()), "_timestamp"])
        records = {}
        for number, row in rows.items():
            party = Party(row, self.party_dialect()) if is_party else None

            def value(field: str, row: dict[str, Any] = row, party: Party | None = party) -> str | None:
                if party is not None and field in FLAT:
                    return party.value(field)
                if is_line:
                    return tryton_postings.held_text(field, row)
                return text_of(described[field], row[field])

            stamps = {f"{name},{number}": str(row["_timestamp"])} if party is None else party.timestamps()
            version = str(row["_timestamp"]) if party is None else party.version
            records[number] = Record(version, not row.get("active", True), stamps, value, party)
        return records

    def rows(self, name: str, numbers: Sequence[int], fields: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Rows by id, inactive ones too; all of one call are of one transaction."""
        if not numbers:
            return {}
        rows = self.search(name, [["id", "in", list(numbers)]], fields)
        return {int(row["id"]): row for row in rows}

    def search(self, name: str, domain: list[Any], fields: Sequence[str]) -> list[dict[str, Any]]:
        """Rows that a domain finds, inactive ones too."""
        asked = sorted({*fields, "id"})
        try:
            rows: list[dict[str, Any]] = self._session.call(
                f"model.{name}.search_read", domain, 0, None, None, asked, context=_ALSO_INACTIVE
            )
        except CallRefused as refused:
            # Nothing was asked of a single record yet: it is the user's rights, or Tryton itself.
            if refused.outcome is Outcome.RETRY:
                raise TargetUnavailable(f"tryton: {name} cannot be read now: {refused.text}") from None
            raise ConfigurationError(
                f"tryton: {name} cannot be read: {refused.text.splitlines()[0]} (docs/targets/tryton.md says "
                "what its user needs)"
            ) from None
        return rows

    def check(self, name: str, fields: Sequence[str]) -> None:
        """Refuse fields that the object does not have; flat ones are not asked here."""
        known = self.describe(name)
        for field in fields:
            if field not in known:
                names = [*known, *(FLAT if name == OBJECT else ())]
                raise ConfigurationError(f"tryton: {name} has no field '{field}'{nearest(field, names)}")

    def describe(self, name: str) -> dict[str, Any]:
        """Tryton's descriptions of an object's fields, asked once per session."""
        if name not in self._descriptions:
            try:
                self._descriptions[name] = self._session.call(f"model.{name}.fields_get", None)
            except CallRefused as refused:
                raise ConfigurationError(
                    f"tryton: there is no object '{name}', or '{refused.code}' keeps the user from it"
                ) from None
        return self._descriptions[name]

    def party_dialect(self) -> PartyDialect:
        """Categories and countries by their names, as of the sign-in."""
        if self._dialect is None:
            categories = self.search("party.category", [], ["name"])
            countries = self.search("country.country", [], ["code"])
            self._dialect = PartyDialect(
                self._opt_outs,
                {str(c["name"]): int(c["id"]) for c in categories},
                {str(c["code"]): int(c["id"]) for c in countries},
            )
        return self._dialect
