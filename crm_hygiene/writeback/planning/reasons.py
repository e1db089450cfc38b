"""Reasons in words: which golden cell a change comes from, and what was read in the target."""

from __future__ import annotations

import polars as pl

from crm_hygiene.survivorship.pins import PINS
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.record_set import RecordSet


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


def last_read(frame: pl.DataFrame, records: RecordSet, inputs: PlanInputs) -> pl.Series:
    """The day (UTC, as text) on which each row of `frame` (with `r`) was last read in its target.

    It is the record's own: a record that did not come again is planned tonight in the words of last night.
    """
    landed = inputs.records(records.subject)["landed_at"].gather(frame["r"])
    return landed.dt.date().cast(pl.String).fill_null("an unknown day").alias("_last_read")


def with_reason(frame: pl.DataFrame, records: RecordSet, inputs: PlanInputs) -> pl.DataFrame:
    """`frame` (origin, before, r) plus `reason`: the golden cell, and what the field held."""
    held = (
        pl.when(pl.col("before").is_null())
        .then(pl.lit("the field was empty"))
        .otherwise(pl.lit("the field held another value"))
    )
    reason = pl.format("{}; {} when read on {}", "origin", held, last_read(frame, records, inputs))
    return frame.with_columns(reason.alias("reason")).drop("origin")
