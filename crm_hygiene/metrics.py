"""Figures per run and table, to be followed over time (`quality.metrics`).

Shares are 0 to 1, rounded to 6 places. What is measured is what went through the night; limits on
the figures do not belong here.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import Contract, contract_of


def fill_shares(contract: Contract, rows: pl.LazyFrame) -> pl.DataFrame:
    """Share of filled cells per source and column of a conformed table, and its row counts.

    Returns
    -------
    columns `table_name`, `source`, `column_name`, `metric` (`fill_share` or `row_count`),
    `metric_value`.
    """
    measured = [c for c in contract.column_names if c not in (*contract.key, "problems")]
    counted = rows.group_by("source").agg(
        pl.len().cast(pl.Float64).alias("row_count"),
        *(pl.col(c).is_not_null().mean().alias(c) for c in measured),
    )
    long = counted.unpivot(index="source", variable_name="name", value_name="metric_value")
    is_count = pl.col("name") == "row_count"
    return (
        long.select(
            pl.lit(contract.table).alias("table_name"),
            "source",
            pl.when(is_count).then(pl.lit("")).otherwise("name").alias("column_name"),
            pl.when(is_count).then(pl.lit("row_count")).otherwise(pl.lit("fill_share")).alias("metric"),
            pl.col("metric_value").round(6),
        )
        .collect()
        .sort(pl.all())
    )


def duplicate_share(kind: str, members: pl.LazyFrame) -> pl.DataFrame:
    """Share of records of each source that repeat another record of the same source and entity."""
    return (
        members.group_by("source")
        .agg((1 - pl.col("entity_id").n_unique() / pl.len()).round(6).alias("metric_value"))
        .select(
            pl.lit(f"linked.{kind}_members").alias("table_name"),
            "source",
            pl.lit("").alias("column_name"),
            pl.lit("duplicate_share").alias("metric"),
            "metric_value",
        )
        .collect()
        .sort(pl.all())
    )


def quarantine_counts(quarantine: pl.LazyFrame) -> pl.DataFrame:
    """Quarantined rows per table and source."""
    return (
        quarantine.group_by("table_name", pl.col("source").fill_null(""))
        .agg(pl.len().cast(pl.Float64).alias("metric_value"))
        .select(
            "table_name",
            "source",
            pl.lit("").alias("column_name"),
            pl.lit("quarantined").alias("metric"),
            "metric_value",
        )
        .collect()
        .sort(pl.all())
    )


def with_run(run_id: str, frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Rows of quality.metrics for one run."""
    contract = contract_of("quality.metrics")
    return contract.shape(pl.concat(frames).with_columns(run_id=pl.lit(run_id)))
