"""Records as a steward names and sees them: `source:record_id`, a name, the filled fields."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import TABLES, Record
from crm_hygiene.linkage.settings import EntityKind

# Fields that help nobody to tell two people apart: where the row came from, and other forms of a value.
_HIDDEN = frozenset(
    (
        "source", "record_id", "object", "is_deleted", "email_normalised", "email_domain", "email_kind",
        "full_name", "organisation_name_normalised", "problems", "file", "row_number", "landed_at",
        "content_hash", "observed_at", "owner_id", "organisation_record_id", "converted_person_record_id",
        "converted_organisation_record_id",
    )
)  # fmt: skip


def ordered(left: Record, right: Record) -> tuple[Record, Record]:
    """A pair with the smaller record first."""
    return (left, right) if left <= right else (right, left)


def frame_of(records: Iterable[Record]) -> pl.DataFrame:
    """Records as `source`, `record_id`, each once, sorted."""
    schema = {"source": pl.String, "record_id": pl.String}
    return pl.DataFrame(sorted(set(records)), schema=schema, orient="row")


def _only(table: pl.LazyFrame, records: Iterable[Record]) -> pl.LazyFrame:
    """The rows of a table about `records`; the first filter is one that reading the files can use."""
    wanted = frame_of(records)
    rows = table.filter(pl.col("record_id").is_in(wanted["record_id"].implode()))
    return rows.join(wanted.lazy(), on=["source", "record_id"], how="semi")


def members_of(lake: Lake, kind: EntityKind, records: Iterable[Record]) -> dict[Record, str]:
    """Entity of each of `records` as last published; records without one are left out."""
    found = _only(lake.scan(contract_of(f"linked.{kind}_members")), records).collect()
    return {(s, r): e for s, r, e in found.select("source", "record_id", "entity_id").iter_rows()}


def field_names(kind: EntityKind) -> list[str]:
    """Fields that a steward is shown, in the order of the contract."""
    return [c for c in contract_of(TABLES[kind]).column_names if c not in _HIDDEN]


def _shown(value: Any) -> str | None:
    if value is None or value == []:
        return None
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return ", ".join(str(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def fields_of(lake: Lake, kind: EntityKind, records: Iterable[Record]) -> dict[Record, dict[str, str]]:
    """What each record says, field by field as text, in the order of the contract; empty fields left out."""
    contract = contract_of(TABLES[kind])
    names = field_names(kind)
    found = (
        _only(lake.scan(contract), records)
        .select("source", "record_id", *names, *(["full_name"] if kind == "person" else []))
        .collect()
    )
    result = {}
    for row in found.iter_rows(named=True):
        if kind == "person" and not (row["given_name"] or row["family_name"]):
            row["family_name"] = row["full_name"]
        shown = {name: text for name in names if (text := _shown(row[name])) is not None}
        result[(row["source"], row["record_id"])] = shown
    return result


def name_of(fields: dict[str, str] | None) -> str:
    """How a person would call the record: its name, else its mail or number."""
    if not fields:
        return "(record is gone)"
    person = " ".join(fields[n] for n in ("given_name", "family_name") if n in fields)
    for text in (person, fields.get("organisation_name"), fields.get("email"), fields.get("phone")):
        if text:
            return text
    return "(no name)"


def deleted_among(lake: Lake, kind: EntityKind, records: Iterable[Record]) -> set[Record]:
    """Those of `records` that a source has told us are deleted."""
    found = (
        _only(lake.scan(contract_of(TABLES[kind])).filter(pl.col("is_deleted")), records)
        .select("source", "record_id")
        .collect()
    )
    return set(found.iter_rows())
