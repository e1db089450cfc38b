"""The metrics there are: their names, what they mean, and which way is worse.

A figure speaks of a table and, where it has them, of a source and of a column; `""` stands for all.
What does not belong here: computing them (`records`, `distributions`, `layouts`, `entities`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

FIGURES = pl.Schema(
    {
        "table_name": pl.String,
        "source": pl.String,
        "column_name": pl.String,
        "metric": pl.String,
        "metric_value": pl.Float64,
    }
)
FIGURE_KEY = ["table_name", "source", "column_name", "metric"]


@dataclass(frozen=True)
class Metric:
    """A metric: what it means, its unit, and whether a high or a low value is bad news."""

    meaning: str
    unit: Literal["rows", "share", "days", "score", "columns", "index"]
    worse: Literal["low", "high", "either"]


METRICS: dict[str, Metric] = {
    "row_count": Metric("Rows of the table, per source where it has sources.", "rows", "either"),
    "fill_share": Metric("Share of rows in which the column is filled.", "share", "low"),
    "problem_share": Metric(
        "Share of records with a value that could not be standardised; with a column, of that column.",
        "share",
        "high",
    ),
    "quarantined": Metric("Rows of the table in quarantine.", "rows", "high"),
    "quarantine_share": Metric(
        "Rows in quarantine as a share of those and the rows let in.", "share", "high"
    ),
    "age_days": Metric(
        "Median age of the records: days since their source last changed them.", "days", "high"
    ),
    "days_since_landing": Metric(
        "Days from the source's last new file to the latest new file of any source.", "days", "high"
    ),
    "stability_index": Metric(
        "Drift of the column's distribution against the mean of the nights before (PSI); "
        "below 0.1 little, above 0.25 a different population.",
        "index",
        "high",
    ),
    "columns_appeared": Metric(
        "Columns in the source's newest files that the files before lacked.", "columns", "high"
    ),
    "columns_vanished": Metric("Columns of the files before that the newest files lack.", "columns", "high"),
    "column_appeared": Metric(
        "1: the vendor's column is new in the source's newest files.", "columns", "high"
    ),
    "column_vanished": Metric(
        "1: the vendor's column is gone from the source's newest files.", "columns", "high"
    ),
    "duplicate_share": Metric(
        "Share of the source's records that repeat another of its records: same entity.", "share", "high"
    ),
    "mean_score": Metric("Mean of a quality score over the golden rows.", "score", "low"),
    "low_score_share": Metric("Share of golden rows whose quality score is below 0.5.", "share", "high"),
    "created_so_far": Metric("Entities ever created.", "rows", "either"),
    "merged_so_far": Metric("Merges of entities so far.", "rows", "either"),
    "split_so_far": Metric("Splits of entities so far.", "rows", "either"),
    "applied_share": Metric("Share of incoming payments that are wholly applied.", "share", "low"),
    "paid_share": Metric("Share of invoices that are paid.", "share", "low"),
}


def figures(metric: str, table: str, frame: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """`frame` (`metric_value`, perhaps `source` and `column_name`) in the shape of quality.metrics.

    Null and non-finite values are left out: there was nothing to measure.
    """
    lazy = frame.lazy()
    have = lazy.collect_schema().names()
    value = pl.col("metric_value").cast(pl.Float64)
    return (
        lazy.select(
            pl.lit(table).alias("table_name"),
            *(
                (pl.col(name).fill_null("") if name in have else pl.lit("")).alias(name)
                for name in ("source", "column_name")
            ),
            pl.lit(metric).alias("metric"),
            value.round(6).alias("metric_value"),
        )
        .filter(pl.col("metric_value").is_finite())
        .collect()
        .sort(FIGURE_KEY)
    )


def in_words(metric: str, value: float) -> str:
    """A value as a person reads it: `31.2 %`, `1,204`, `12 days`, `0.31`."""
    unit = METRICS[metric].unit if metric in METRICS else "score"
    if unit == "share":
        return f"{value:.1%}".replace("%", " %")
    if unit in ("rows", "columns"):
        return f"{value:,.0f}"
    if unit == "days":
        return f"{value:,.0f} {'day' if round(value) == 1 else 'days'}"
    return f"{value:.2f}"
