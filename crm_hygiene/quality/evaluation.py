"""Holding the figures of a night against the limits."""

from __future__ import annotations

import polars as pl

from crm_hygiene.quality.limits import ALL, Limit, Limits
from crm_hygiene.quality.metric import FIGURE_KEY, FIGURES, in_words

RESULTS = pl.Schema(
    {
        "check_name": pl.String(),
        "table_name": pl.String(),
        "metric": pl.String(),
        "severity": pl.String(),
        "is_passed": pl.Boolean(),
        "row_count": pl.Int64(),
        "failed_count": pl.Int64(),
        "failing": pl.List(pl.String()),
        "observed": pl.String(),
    }
)
EXAMPLES = 20


def evaluate_limits(limits: Limits, tonight: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """What became of each limit in each table it has figures of.

    Parameters
    ----------
    tonight
        figures: `table_name`, `source`, `column_name`, `metric`, `metric_value`.
    before
        the same of the nights before, with `run_id`; empty on the first night, when nothing can have
        fallen or risen.

    Returns
    -------
    one row per limit and table: `check_name`, `table_name`, `metric`, `severity`, `is_passed`,
    `row_count` (figures judged), `failed_count`, `failing` (the worst first, in words), `observed`;
    sorted by name and table.
    """
    tonight = tonight.select(FIGURES.names())
    mean = (
        before.sort(*FIGURE_KEY, "run_id")
        .group_by(FIGURE_KEY, maintain_order=True)
        .agg(pl.col("metric_value").mean().alias("mean"))
    )
    rows = pl.concat(
        [
            frame.filter((pl.col("metric") == "row_count") & (pl.col("column_name") == "")).select(
                "table_name", "source", rows="metric_value"
            )
            for frame in (tonight, mean.rename({"mean": "metric_value"}))
        ]
    )
    most = rows.group_by("table_name", "source").agg(pl.col("rows").max())
    known = tonight.join(mean, on=FIGURE_KEY, how="left").join(most, on=["table_name", "source"], how="left")
    # A source that was there and is gone has no figure of tonight: its rows have fallen to none.
    gone = (
        mean.filter((pl.col("metric") == "row_count") & (pl.col("source") != ""))
        .join(tonight, on=FIGURE_KEY, how="anti")
        .join(most, on=["table_name", "source"], how="left")
        .with_columns(metric_value=pl.lit(0.0))
        .select(known.columns)
    )
    found = [_evaluate(limit, pl.concat([known, gone])) for limit in limits.limits]
    if not found:
        return pl.DataFrame(schema=RESULTS)
    return pl.concat(found).sort("check_name", "table_name")


def _evaluate(limit: Limit, known: pl.DataFrame) -> pl.DataFrame:
    """The rows of one limit."""
    table = pl.lit(True) if limit.table == ALL else pl.col("table_name") == limit.table
    if limit.table.endswith(".*"):
        table = pl.col("table_name").str.starts_with(limit.table[:-1])
    source = pl.lit(True) if limit.source == ALL else pl.col("source") == limit.source
    field = pl.col("column_name") != "" if limit.field == ALL else pl.col("column_name") == limit.field
    judged = known.filter((pl.col("metric") == limit.metric) & table & source & field).filter(
        pl.col("rows").fill_null(0) >= limit.at_least_rows
    )
    value, mean = pl.col("metric_value"), pl.col("mean")
    lows = [pl.lit(limit.at_least)] if limit.at_least is not None else []
    highs = [pl.lit(limit.at_most)] if limit.at_most is not None else []
    if limit.max_fall is not None:
        lows.append(mean * (1 - limit.max_fall))
    if limit.max_rise is not None:
        highs.append(pl.when(mean > 0).then(mean * (1 + limit.max_rise)))
    judged = judged.with_columns(
        low=pl.max_horizontal(lows) if lows else pl.lit(None, dtype=pl.Float64),
        high=pl.min_horizontal(highs) if highs else pl.lit(None, dtype=pl.Float64),
    ).with_columns(
        # How far beyond the bound, so that the worst comes first.
        beyond=pl.max_horizontal(pl.col("low") - value, value - pl.col("high")).fill_null(-1.0)
    )
    results = []
    for (name,), mine in sorted(judged.group_by("table_name"), key=lambda item: str(item[0])):
        failing = mine.filter(pl.col("beyond") > 1e-9).sort(
            ["beyond", *FIGURE_KEY], descending=[True, *[False] * len(FIGURE_KEY)]
        )
        told = [_told(limit, row) for row in failing.head(EXAMPLES).iter_rows(named=True)]
        figures = f"{mine.height:,} {'figure' if mine.height == 1 else 'figures'}"
        results.append(
            {
                "check_name": limit.name,
                "table_name": name,
                "metric": limit.metric,
                "severity": limit.severity,
                "is_passed": failing.is_empty(),
                "row_count": mine.height,
                "failed_count": failing.height,
                "failing": told,
                "observed": f"{failing.height:,} of {figures} beyond the limit; {told[0]}"
                if told
                else f"{figures} within the limit",
            }
        )
    return pl.DataFrame(results, schema=RESULTS)


def _told(limit: Limit, row: dict[str, object]) -> str:
    """`email of salesforce_leads: 31.0 %, at least 40.0 % (80.0 % before)`."""
    what = " of ".join(str(row[k]) for k in ("column_name", "source") if row[k]) or str(row["table_name"])
    value, low, high, mean = (row[k] for k in ("metric_value", "low", "high", "mean"))
    is_low = isinstance(low, float) and isinstance(value, float) and value < low
    bound = low if is_low else high
    assert isinstance(value, float)
    assert isinstance(bound, float)
    text = f"{what}: {in_words(limit.metric, value)}, {'at least' if is_low else 'at most'} "
    text += in_words(limit.metric, bound)
    if isinstance(mean, float) and (limit.max_fall is not None or limit.max_rise is not None):
        text += f" ({in_words(limit.metric, mean)} before)"
    return text
