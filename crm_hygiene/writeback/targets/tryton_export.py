"""Tryton's export: CSV files for the landing folder, as `crm_hygiene/sources/tryton_*.yaml` read them.

    python -m crm_hygiene.writeback.targets.tryton_export --config hygiene.yaml

signs in as the policy of target `tryton` says and writes `landing/tryton/*.csv`. The files hold what Tryton
holds and not when it came to: no time of a change, no ids of a party's parts. Equal content so gives equal
bytes, and what was undone can be shown to be as it was. What does not belong here: what the columns mean.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm_hygiene.config import load_config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.policy import TargetPolicy, target_policies
from crm_hygiene.writeback.targets.tryton import TrytonTarget, open_target
from crm_hygiene.writeback.targets.tryton_parties import (
    ADDRESS,
    IDENTIFIER,
    MECHANISMS,
    OPT_OUTS,
    PARTS,
    Party,
    exported,
)
from crm_hygiene.writeback.targets.tryton_rpc import CallRefused
from crm_hygiene.writeback.targets.tryton_values import as_text

_PAGE = 500

#: Parties in this category are people, all others organisations: core Tryton does not tell them apart.
DEFAULT_PERSON_CATEGORY = "Person"

PARTY_COLUMNS = (
    "id", "code", "name", "active", "replaced_by", *MECHANISMS, IDENTIFIER, *ADDRESS, *OPT_OUTS, "categories",
    "created_at",
)  # fmt: skip
OPPORTUNITY_COLUMNS = (
    "id", "number", "party", "party_is_person", "description", "state", "amount", "currency", "start_date",
    "end_date",
)  # fmt: skip
INVOICE_COLUMNS = (
    "id", "number", "reference", "party", "customer", "party_name", "tax_identifier", "invoice_date",
    "currency", "total_amount", "document_kind", "state",
)  # fmt: skip
ENTRY_COLUMNS = (
    "id",
    "statement",
    "number",
    "date",
    "amount",
    "currency",
    "party",
    "party_name",
    "description",
)
LINE_COLUMNS = ("id", "origin", "related_to", "amount", "currency", "date", "description")

_Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Parties:
    """Ids of the people, and of the party that each replaced one was replaced by."""

    people: frozenset[int]
    heirs: Mapping[int, int]

    def heir(self, number: int) -> int:
        """The party that stands for this one now."""
        seen = {number}
        while (heir := self.heirs.get(number)) is not None and heir not in seen:
            seen.add(heir)
            number = heir
        return number


@dataclass(frozen=True)
class _Table:
    """One file: which records, in which columns, from which fields of Tryton's."""

    model: str
    domain: list[Any]
    columns: tuple[str, ...]
    fields: tuple[str, ...]
    row: Callable[[_Row, _Parties], list[str | None]]


def export_tables(
    target: TrytonTarget, folder: Path, person_category: str, tables: Collection[str] | None = None
) -> dict[str, int]:
    """Write people, organisations, opportunities, invoices, statement entries and lines as CSV files.

    Parameters
    ----------
    target
        signed in.
    folder
        where the files go; a file is replaced at once, when it is whole.
    person_category
        whose parties are people.
    tables
        files to write, without `.csv`; None for all.

    Returns
    -------
    dict
        file name -> rows.

    Raises
    ------
    TargetError
        if Tryton does not answer.
    ConfigurationError
        if its user may not read one of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dialect = target.reader.party_dialect()
    parties = [Party(row, dialect) for row in _pages(target, "party.party", [], _PARTY_FIELDS)]
    of_people = (p.id for p in parties if any(c["name"] == person_category for c in p.row["categories."]))
    replaced = {p.id: int(p.row["replaced_by"]) for p in parties if p.row["replaced_by"] is not None}
    known = _Parties(frozenset(of_people), replaced)
    written: dict[str, int] = {}
    for name in TABLES:
        if tables is not None and name not in tables:
            continue
        path = folder / f"{name}.csv"
        if table := _TABLES.get(name):
            rows = (table.row(row, known) for row in _pages(target, table.model, table.domain, table.fields))
            written[path.name] = _write(path, table.columns, rows)
        else:
            chosen = (_party(p) for p in parties if (p.id in known.people) == (name == "people"))
            written[path.name] = _write(path, PARTY_COLUMNS, chosen)
    return written


#: Drafts have no number and are owed by nobody; what suppliers bill us is not ours to be paid.
_POSTED: list[Any] = [["state", "in", ["posted", "paid"]], ["type", "=", "out"]]
_LIVE: list[Any] = [["statement.state", "!=", "cancelled"]]

_PARTY_FIELDS = ("name", "code", "active", "replaced_by", "create_date", "_timestamp", *PARTS)
_OPPORTUNITY_FIELDS = (
    "number", "party", "description", "state", "amount", "currency.code", "start_date", "end_date"
)  # fmt: skip
_INVOICE_FIELDS = (
    "number", "reference", "party", "party.name", "party_tax_identifier.code", "invoice_date",
    "currency.code", "total_amount", "state",
)  # fmt: skip
_ENTRY_FIELDS = (
    "statement", "number", "date", "amount", "currency.code", "party", "party.name", "description"
)  # fmt: skip
_LINE_FIELDS = ("origin", "related_to", "amount", "currency.code", "date", "description")


def _pages(
    target: TrytonTarget, model: str, domain: Sequence[Any], fields: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """All rows by id, a page of so many at a time, inactive ones too."""
    after = 0
    while True:
        asked = ([*domain, ["id", ">", after]], 0, _PAGE, [["id", "ASC"]], sorted({*fields, "id"}))
        try:
            page = target.session.call(f"model.{model}.search_read", *asked, context={"active_test": False})
        except CallRefused as refused:
            raise ConfigurationError(
                f"tryton: {model} cannot be exported: {refused.text.splitlines()[0]} "
                "(docs/targets/tryton.md says which group it takes; --tables leaves it out)"
            ) from None
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1]["id"]


def _write(path: Path, columns: Sequence[str], rows: Iterator[list[str | None]]) -> int:
    count = 0
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow(["" if cell is None else cell for cell in row])
            count += 1
    partial.replace(path)
    return count


def _party(party: Party) -> list[str | None]:
    row = party.row
    own: dict[str, Callable[[], str | None]] = {
        "id": lambda: str(party.id),
        "code": lambda: as_text(row["code"]),
        "name": lambda: as_text(row["name"]),
        "active": lambda: "true" if row["active"] else "false",
        "replaced_by": lambda: as_text(row["replaced_by"]),
        # Tryton keeps UTC without saying so.
        "created_at": lambda: f"{row['create_date']:%Y-%m-%dT%H:%M:%SZ}",
        "categories": lambda: "; ".join(sorted(str(c["name"]) for c in row["categories."])),
    }
    return [own[c]() if c in own else exported(c, party.value(c)) for c in PARTY_COLUMNS]


def _opportunity(row: _Row, parties: _Parties) -> list[str | None]:
    is_person = None if row["party"] is None else str(row["party"] in parties.people).lower()
    told = {"party_is_person": is_person, "currency": _nested(row, "currency.", "code")}
    return [told[c] if c in told else as_text(row[c]) for c in OPPORTUNITY_COLUMNS]


def _invoice(row: _Row, parties: _Parties) -> list[str | None]:
    told = {
        # A posted invoice keeps its party; what it is owed by is the one that replaced it.
        "customer": str(parties.heir(row["party"])),
        "party_name": _nested(row, "party.", "name"),
        "tax_identifier": _nested(row, "party_tax_identifier.", "code"),
        "currency": _nested(row, "currency.", "code"),
        "document_kind": "credit_note" if row["total_amount"] < 0 else "invoice",
    }
    return [told[c] if c in told else as_text(row[c]) for c in INVOICE_COLUMNS]


def _entry(row: _Row, _: _Parties) -> list[str | None]:
    told = {"party_name": _nested(row, "party.", "name"), "currency": _nested(row, "currency.", "code")}
    return [told[c] if c in told else as_text(row[c]) for c in ENTRY_COLUMNS]


def _line(row: _Row, _: _Parties) -> list[str | None]:
    told = {"currency": _nested(row, "currency.", "code")}
    return [told[c] if c in told else as_text(row[c]) for c in LINE_COLUMNS]


def _nested(row: _Row, field: str, name: str) -> str | None:
    return None if row[field] is None else as_text(row[field][name])


_TABLES = {
    "opportunities": _Table("sale.opportunity", [], OPPORTUNITY_COLUMNS, _OPPORTUNITY_FIELDS, _opportunity),
    "invoices": _Table("account.invoice", _POSTED, INVOICE_COLUMNS, _INVOICE_FIELDS, _invoice),
    "statement_entries": _Table("account.statement.origin", _LIVE, ENTRY_COLUMNS, _ENTRY_FIELDS, _entry),
    "statement_lines": _Table("account.statement.line", _LIVE, LINE_COLUMNS, _LINE_FIELDS, _line),
}
TABLES = ("people", "organisations", *_TABLES)


def main(arguments: list[str] | None = None) -> None:
    """Export the Tryton of hygiene.yaml's target `tryton` into its landing folder; print what was written."""
    from crm_hygiene.writeback.delivery.secrets import load_secrets

    parser = argparse.ArgumentParser(description="Export Tryton into the landing folder.")
    parser.add_argument("--config", type=Path, default=Path("hygiene.yaml"))
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="files; default: all")
    given = parser.parse_args(arguments)
    config = load_config(given.config)
    policy: TargetPolicy | None = target_policies(config).get("tryton")
    if policy is None:
        raise ConfigurationError("hygiene.yaml lists no target tryton (docs/targets/tryton.md)")
    secrets = load_secrets(policy.secrets, config.base, config.secrets_file)
    target = open_target(policy, secrets, config.base)
    target.connect()
    try:
        category = policy.connection.get("person_category", DEFAULT_PERSON_CATEGORY)
        folder = config.landing_folder / "tryton"
        for name, rows in export_tables(target, folder, category, given.tables).items():
            print(f"{name}: {rows}")
    finally:
        target.close()


if __name__ == "__main__":
    main()
