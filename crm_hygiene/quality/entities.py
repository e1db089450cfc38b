"""Figures of who is who, of golden rows, of cash and of queues."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from crm_hygiene.contract import Contract
from crm_hygiene.golden.quality_score import PARTS
from crm_hygiene.quality.metric import figures

LOW_SCORE = 0.5

Scan = Callable[[str], pl.LazyFrame]


def duplicate_figures(scan: Scan) -> list[pl.DataFrame]:
    """Share of records of each source that repeat another record of the same source and entity.

    Also over all sources (`source` empty): how many records fewer there are once the same are one.
    """
    found = []
    for kind in ("person", "organisation"):
        table = f"linked.{kind}_members"
        share = (1 - pl.col("entity_id").n_unique() / pl.len()).alias("metric_value")
        members = scan(table).select("source", "entity_id")
        found += [
            figures("duplicate_share", table, members.group_by("source").agg(share)),
            figures("duplicate_share", table, members.filter(pl.len() > 0).select(share)),
            figures("row_count", table, members.group_by("source").agg(metric_value=pl.len())),
        ]
    return found


def history_figures(scan: Scan) -> list[pl.DataFrame]:
    """Entities created, merged and split so far."""
    found = []
    for kind in ("person", "organisation"):
        table = f"linked.{kind}_history"
        events = scan(table).group_by("event").agg(metric_value=pl.len()).collect()
        for event in ("created", "merged", "split"):
            counted = events.filter(pl.col("event") == event).select(pl.col("metric_value").sum())
            found.append(figures(f"{event}_so_far", table, counted))
    return found


def golden_figures(contract: Contract, rows: pl.LazyFrame) -> list[pl.DataFrame]:
    """Rows, fill shares and, where rows are scored, mean scores of a golden table; no sources."""
    table = contract.table
    measured = [c for c in contract.column_names if c not in {*contract.key, "quality_score", *PARTS}]
    filled = rows.select(pl.col(c).is_not_null().mean() for c in measured).collect()
    found = [
        figures("row_count", table, rows.select(metric_value=pl.len())),
        figures(
            "fill_share",
            table,
            filled.unpivot(variable_name="column_name", value_name="metric_value"),
        ),
    ]
    if "quality_score" in contract.column_names:
        # Scores have four decimals: summed as whole numbers, no order of rows changes the mean.
        whole = [
            (pl.col(c) * 10_000).round().cast(pl.Int64).mean() / 10_000 for c in ("quality_score", *PARTS)
        ]
        means = rows.select(whole).collect()
        found += [
            figures(
                "mean_score", table, means.unpivot(variable_name="column_name", value_name="metric_value")
            ),
            figures(
                "low_score_share",
                table,
                rows.select(metric_value=(pl.col("quality_score") < LOW_SCORE).mean()),
            ),
        ]
    return found


def cash_figures(scan: Scan) -> list[pl.DataFrame]:
    """Shares of invoices paid and of payments applied, and the rows of both and of the exceptions."""
    paid = scan("reconciled.invoices").filter(pl.len() > 0)
    incoming = scan("reconciled.payments").filter(pl.col("status") != "outgoing")
    return [
        figures(
            "paid_share", "reconciled.invoices", paid.select(metric_value=(pl.col("status") == "paid").mean())
        ),
        figures(
            "applied_share",
            "reconciled.payments",
            incoming.select(metric_value=(pl.col("status") == "applied").mean()),
        ),
    ]


def row_counts(scan: Scan, tables: tuple[str, ...]) -> list[pl.DataFrame]:
    """Rows of tables that are not counted per source."""
    return [figures("row_count", t, scan(t).select(metric_value=pl.len())) for t in tables]
