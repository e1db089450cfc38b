"""Records as linkage names and reads them: both kinds, their tables, their ids as people write them."""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.comparable import read_columns
from crm_hygiene.linkage.settings import EntityKind

Record = tuple[str, str]
"""(source, record_id)."""

TABLES: dict[EntityKind, str] = {"person": "conformed.people", "organisation": "conformed.organisations"}
KINDS: tuple[EntityKind, ...] = tuple(TABLES)
NOUNS: dict[EntityKind, tuple[str, str]] = {
    "person": ("person", "people"),
    "organisation": ("organisation", "organisations"),
}


def written(record: Record) -> str:
    """`source:record_id`; a source has no colon in its name, a record id may have."""
    return f"{record[0]}:{record[1]}"


def live_records(lake: Lake, kind: EntityKind) -> pl.LazyFrame:
    """The conformed records that linkage sees: not deleted, only the columns it looks at, and `landed_at`.

    The other half of the columns would fill the memory.
    """
    contract = contract_of(TABLES[kind])
    rows = lake.scan(contract).filter(~pl.col("is_deleted"))
    return rows.select(*read_columns(kind, contract.column_names), "landed_at")
