"""Landed values: what the vendor's fields of a record held in the newest export that landed.

The vendor's own text, before anything is standardised. What does not belong here: what follows from it
(`convergence`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of, load_contracts
from crm_hygiene.lake import Lake
from crm_hygiene.landing import landing_column, landing_contract
from crm_hygiene.mapping import Mapping as SourceMapping

_PLACE = ("file", "row_number", "landed_at")


@dataclass(frozen=True)
class Landed:
    """A record's newest landed row: vendor fields, when the source last changed it, when it landed."""

    values: Mapping[str, str | None]
    observed_at: datetime
    landed_at: datetime
    is_deleted: bool = False


@dataclass(frozen=True)
class LandedSource:
    """Records of one source by id, and when the source landed last."""

    records: Mapping[str, Landed]
    last_landed_at: datetime | None = None

    def find(self, field: str, value: str) -> str | None:
        """The id of the record whose field holds the value."""
        return next((i for i, r in sorted(self.records.items()) if r.values.get(field) == value), None)


def landed_source(
    lake: Lake, mapping: SourceMapping, fields: Collection[str], record_ids: Collection[str] | None = None
) -> LandedSource:
    """The newest landed rows of a source.

    Parameters
    ----------
    lake
        with landing, and with the conformed tables that tell which row of a record is the newest.
    mapping
        of the source.
    fields
        vendor fields to read; those the mapping does not read are left out.
    record_ids
        records to read; None for all.
    """
    files = lake.scan(contract_of("landing.files"))
    landed = files.filter((pl.col("source") == mapping.source) & (pl.col("status") == "landed"))
    last: Any = landed.select(pl.col("landed_at").max()).collect().item()
    known = [name for name in mapping.vendor_columns if name in set(fields)]
    rows = lake.scan(landing_contract(mapping)).select(
        pl.col("_file").alias("file"),
        pl.col("_row_number").alias("row_number"),
        pl.col("_landed_at").alias("landed_at"),
        *(pl.col(landing_column(name)).alias(f"={name}") for name in known),
    )
    records: dict[str, Landed] = {}
    for table in sorted(mapping.tables):
        contract = load_contracts().get(f"conformed.{table}")
        if contract is None or not {"record_id", "is_deleted", *_PLACE} <= set(contract.column_names):
            continue
        newest = lake.scan(contract).filter(pl.col("source") == mapping.source)
        if record_ids is not None:
            newest = newest.filter(pl.col("record_id").is_in(sorted(record_ids)))
        told = newest.select("record_id", "observed_at", "is_deleted", *_PLACE)
        for row in told.join(rows, on=_PLACE, how="inner").collect().iter_rows(named=True):
            records[row["record_id"]] = Landed(
                {name: _value(row[f"={name}"], mapping) for name in known},
                row["observed_at"],
                row["landed_at"],
                bool(row["is_deleted"]),
            )
    return LandedSource(records, last)


def _value(text: str | None, mapping: SourceMapping) -> str | None:
    """A cell; what the source writes for nothing is nothing."""
    return None if text is None or text.strip() in ("", *mapping.nulls) else text
