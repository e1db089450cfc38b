"""Figures of conformed tables per source and field: how full, how sound, how old, how much refused."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from crm_hygiene.contract import Contract
from crm_hygiene.quality.metric import figures

_ABOUT_THE_ROW = {"problems", "file", "row_number", "content_hash", "landed_at", "observed_at", "is_deleted"}


def measured_columns(contract: Contract) -> list[str]:
    """Columns that hold what the source says, not where the row comes from."""
    return [c for c in contract.column_names if c not in {*contract.key, *_ABOUT_THE_ROW}]


def fill_shares(contract: Contract, rows: pl.LazyFrame) -> list[pl.DataFrame]:
    """`row_count` per source and `fill_share` per source and column."""
    measured = measured_columns(contract)
    counted = (
        rows.group_by("source")
        .agg(pl.len().alias("row_count"), *(pl.col(c).is_not_null().mean().alias(c) for c in measured))
        .collect()
    )
    counts = counted.select("source", metric_value="row_count")
    filled = counted.drop("row_count").unpivot(
        index="source", variable_name="column_name", value_name="metric_value"
    )
    return [figures("row_count", contract.table, counts), figures("fill_share", contract.table, filled)]


def problem_shares(contract: Contract, rows: pl.LazyFrame) -> list[pl.DataFrame]:
    """Share of records with a problem per source, and per source and column that has any.

    A problem names its column first: `email: no such domain`.
    """
    if "problems" not in contract.column_names:
        return []
    has = pl.col("problems").list.len().fill_null(0) > 0
    whole = rows.group_by("source").agg(has.mean().alias("metric_value"), pl.len().alias("rows")).collect()
    names = pl.col("problems").list.eval(pl.element().str.extract(r"^([a-z_]+)\b", 1)).list.unique()
    by_column = (
        rows.filter(has)
        .select("source", column_name=names)
        .explode("column_name", empty_as_null=True, keep_nulls=True)
        .filter(pl.col("column_name").is_in(contract.column_names))
        .group_by("source", "column_name")
        .agg(pl.len().alias("found"))
        .collect()
        .join(whole.select("source", "rows"), on="source")
        .with_columns(metric_value=pl.col("found") / pl.col("rows"))
    )
    return [
        figures("problem_share", contract.table, whole),
        figures("problem_share", contract.table, by_column),
    ]


def ages(contract: Contract, rows: pl.LazyFrame, as_of: datetime) -> list[pl.DataFrame]:
    """Median age of each source's records in days at `as_of`, by the source's own time of change."""
    if "observed_at" not in contract.column_names:
        return []
    age = (pl.lit(as_of) - pl.col("observed_at")).dt.total_seconds() / 86_400
    return [
        figures("age_days", contract.table, rows.group_by("source").agg(age.median().alias("metric_value")))
    ]


def quarantine_figures(quarantine: pl.LazyFrame, counts: pl.DataFrame) -> list[pl.DataFrame]:
    """Rows in quarantine per table and source, and their share of all that came.

    Parameters
    ----------
    quarantine
        quality.quarantine; a row without a record and without a content is a refused file and not counted.
    counts
        figures of metric `row_count`: what was let in.
    """
    refused = (
        quarantine.filter(pl.col("row").is_not_null())
        .group_by("table_name", pl.col("source").fill_null(""))
        .agg(pl.len().cast(pl.Float64).alias("refused"))
        .collect()
    )
    let_in = counts.filter(pl.col("metric") == "row_count").select("table_name", "source", "metric_value")
    both = let_in.join(refused, on=["table_name", "source"], how="full", coalesce=True).with_columns(
        pl.col("refused", "metric_value").fill_null(0.0)
    )
    found = []
    for (table,), rows in sorted(both.group_by("table_name"), key=lambda item: str(item[0])):
        share = rows.with_columns(
            metric_value=pl.col("refused") / (pl.col("refused") + pl.col("metric_value"))
        )
        found += [
            figures("quarantined", str(table), rows.with_columns(metric_value="refused")),
            figures("quarantine_share", str(table), share),
        ]
    return found
