"""Drift of schemas: columns of a source's newest files against those of its files before."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from crm_hygiene.quality.metric import figures


def landing_figures(files: pl.DataFrame, measured_at: datetime | None) -> list[pl.DataFrame]:
    """Freshness and layout of every source that ever landed a file.

    Parameters
    ----------
    files
        landing.files.
    measured_at
        when the night was measured that the layout is compared with; None if none was, then nothing
        is said of layouts. A source without a file since then has none that changed.

    Returns
    -------
    figures of `landing.<source>`: `days_since_landing`, `columns_appeared`, `columns_vanished`, and one
    `column_appeared` or `column_vanished` for each of those, named as in the file.
    """
    landed = files.filter(pl.col("status") == "landed")
    if landed.is_empty():
        return []
    latest = landed.select(pl.col("landed_at").max()).item()
    found: list[pl.DataFrame] = []
    for source in landed["source"].unique().sort():
        mine = landed.filter(pl.col("source") == source)
        table = f"landing.{source}"

        def put(metric: str, columns: list[str], values: list[float]) -> None:
            rows = pl.DataFrame(
                {"source": [source] * len(columns), "column_name": columns, "metric_value": values},  # noqa: B023
                schema={"source": pl.String, "column_name": pl.String, "metric_value": pl.Float64},
            )
            found.append(figures(metric, table, rows))  # noqa: B023

        idle = latest - mine.select(pl.col("landed_at").max()).item()
        put("days_since_landing", [""], [idle.total_seconds() / 86_400])
        if measured_at is None:
            continue
        appeared, vanished = _compared(mine, measured_at)
        put("columns_appeared", [""], [len(appeared)])
        put("columns_vanished", [""], [len(vanished)])
        put("column_appeared", appeared, [1.0] * len(appeared))
        put("column_vanished", vanished, [1.0] * len(vanished))
    return found


def _compared(mine: pl.DataFrame, measured_at: datetime) -> tuple[list[str], list[str]]:
    """Columns that appeared and that vanished since `measured_at`, sorted; blank names are no columns."""
    new = mine.filter(pl.col("landed_at") > measured_at)
    old = mine.filter(pl.col("landed_at") <= measured_at)
    last = old.filter(pl.col("landed_at") == pl.col("landed_at").max())
    now, before = _columns(new), _columns(last)
    if not now or not before:
        return [], []
    return sorted(now - before), sorted(before - now)


def _columns(files: pl.DataFrame) -> set[str]:
    names = files.select(pl.col("header").explode(empty_as_null=True, keep_nulls=True))["header"].drop_nulls()
    return {str(name).strip() for name in names if str(name).strip()}
