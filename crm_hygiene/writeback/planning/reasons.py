"""Reasons in words: which golden cell a change comes from, and what was read in the target."""

from __future__ import annotations

from datetime import date

import polars as pl

from crm_hygiene.survivorship.pins import PINS
from crm_hygiene.writeback.planning.inputs import PlanInputs


def with_origin(frame: pl.DataFrame, inputs: PlanInputs, table: str, column: str) -> pl.DataFrame:
    """`frame` (with entity_id) plus `origin` and `is_pinned`, of the cells of one golden column.

    `origin` is "golden.contacts.phone from hubspot_contacts 77 by rule recency"; without provenance only
    the cell is named, and nobody pinned it.
    """
    cell = f"{table}.{column}"
    asked = frame.select(pl.col("entity_id").unique())
    told = (
        inputs.provenance.filter((pl.col("table_name") == table) & (pl.col("column_name") == column))
        .select("entity_id", "source", "record_id", "rule")
        .join(asked.lazy(), on="entity_id", how="semi")
        .unique("entity_id", keep="any")
        .collect()
    )
    said = told.select(
        "entity_id",
        origin=pl.format("{} from {} {} by rule {}", pl.lit(cell), "source", "record_id", "rule"),
        is_pinned=pl.col("source") == PINS,
    )
    found = frame.join(said, on="entity_id", how="left", maintain_order="left")
    return found.with_columns(
        pl.coalesce("origin", pl.lit(f"{cell} has a value")), pl.col("is_pinned").fill_null(value=False)
    )


def with_reason(frame: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """`frame` (origin, before) plus `reason`: the golden cell, and what the field held."""
    held = (
        pl.when(pl.col("before").is_null())
        .then(pl.lit(f"the field was empty when read on {as_of}"))
        .otherwise(pl.lit(f"the field held another value when read on {as_of}"))
    )
    return frame.with_columns(pl.format("{}; {}", "origin", held).alias("reason")).drop("origin")
