"""Reasons in words: which golden cell a change comes from, and what was read in the target."""

from __future__ import annotations

from datetime import date

import polars as pl

from crm_hygiene.writeback.planning.inputs import PlanInputs


def origin_of(inputs: PlanInputs, table: str, column: str) -> pl.DataFrame:
    """entity_id, `origin`: "golden.contacts.phone from hubspot_contacts 77 by rule recency"."""
    cell = f"{table}.{column}"
    return (
        inputs.provenance.filter((pl.col("table_name") == table) & (pl.col("column_name") == column))
        .select(
            "entity_id",
            pl.format("{} from {} {} by rule {}", pl.lit(cell), "source", "record_id", "rule").alias(
                "origin"
            ),
        )
        .unique("entity_id", keep="any")
    )


def with_origin(frame: pl.DataFrame, inputs: PlanInputs, table: str, column: str) -> pl.DataFrame:
    """`frame` (with entity_id) plus `origin`; without provenance only the cell is named."""
    unstated = pl.lit(f"{table}.{column} has a value")
    found = frame.join(origin_of(inputs, table, column), on="entity_id", how="left", maintain_order="left")
    return found.with_columns(pl.coalesce("origin", unstated))


def with_reason(
    frame: pl.DataFrame, inputs: PlanInputs, table: str, column: str, as_of: date
) -> pl.DataFrame:
    """`frame` (entity_id, before) plus `reason`: the golden cell, and what the field held."""
    held = (
        pl.when(pl.col("before").is_null())
        .then(pl.lit(f"the field was empty when read on {as_of}"))
        .otherwise(pl.lit(f"the field held another value when read on {as_of}"))
    )
    told = with_origin(frame, inputs, table, column)
    return told.with_columns(pl.format("{}; {}", "origin", held).alias("reason")).drop("origin")
