"""Drift of distributions: the population stability index.

PSI = sum over buckets of (p - q) * ln(p / q), p and q the shares tonight and before: the symmetric
Kullback-Leibler (Jeffreys) divergence. N. Siddiqi, Credit Risk Scorecards (Wiley, 2006), reads below
0.1 as little change, 0.1 to 0.25 as some, above 0.25 as a different population.

Two samples of one population differ too: the index is then about (1/n + 1/m) times a chi-square with
(buckets - 1) degrees of freedom (B. Yurdakul, Statistical Properties of Population Stability Index,
Western Michigan University, 2018), which is why small sources are not compared.
"""

from __future__ import annotations

import polars as pl

# A bucket that one side lacks would make the index infinite; so small a share stands for none.
LEAST_SHARE = 1e-4

_CELL = ["table_name", "source", "column_name"]


def stability_index(tonight: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """The index of every table, source and column that both sides have.

    Parameters
    ----------
    tonight, before
        `table_name`, `source`, `column_name`, `bucket`, `share` (0 to 1; adds up to 1 per column).

    Returns
    -------
    `table_name`, `source`, `column_name`, `metric_value` (>= 0; 0 for equal shares), sorted.
    """
    shared = tonight.select(_CELL).unique().join(before.select(_CELL).unique(), on=_CELL)
    both = (
        tonight.select(*_CELL, "bucket", p="share")
        .join(before.select(*_CELL, "bucket", q="share"), on=[*_CELL, "bucket"], how="full", coalesce=True)
        .join(shared, on=_CELL, how="semi")
        .with_columns(pl.col("p", "q").fill_null(0.0).clip(lower_bound=LEAST_SHARE))
        .sort(*_CELL, "bucket")
    )
    term = (pl.col("p") - pl.col("q")) * (pl.col("p") / pl.col("q")).log()
    return (
        both.group_by(_CELL, maintain_order=True).agg(term.sum().round(6).alias("metric_value")).sort(_CELL)
    )


def mean_shares(nights: pl.DataFrame) -> pl.DataFrame:
    """Mean share of each bucket over the nights in which its column was measured.

    `nights` has `run_id` besides the columns of `stability_index`; a bucket a night lacks counts as 0.
    """
    counted = nights.group_by(_CELL).agg(pl.col("run_id").n_unique().alias("nights"))
    return (
        nights.sort(*_CELL, "bucket", "run_id")
        .group_by(*_CELL, "bucket", maintain_order=True)
        .agg(pl.col("share").sum())
        .join(counted, on=_CELL)
        .select(*_CELL, "bucket", share=pl.col("share") / pl.col("nights"))
        .sort(*_CELL, "bucket")
    )
