"""The key figures of a lake night by night: a few numbers a person can follow."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.quality.metric import in_words

NIGHTS = 60


@dataclass(frozen=True)
class KeyFigure:
    """One figure over the nights in which it was measured, the oldest first.

    `days` are the dates of those nights as text, `last_run_id` is the run that measured it last;
    `is_better_low` tells what a fall means, None nothing.
    """

    name: str
    meaning: str
    metric: str
    days: tuple[str, ...]
    values: tuple[float, ...]
    last_run_id: str
    is_better_low: bool | None = None

    @property
    def last_in_words(self) -> str:
        """The newest value as a person reads it."""
        return in_words(self.metric, self.values[-1])


@dataclass(frozen=True)
class _Wanted:
    name: str
    meaning: str
    metric: str
    where: pl.Expr
    fold: pl.Expr
    is_better_low: bool | None = None


def _rows_of(*tables: str) -> pl.Expr:
    return (pl.col("metric") == "row_count") & pl.col("table_name").is_in(tables)


def _one(metric: str, table: str, column: str = "", source: str = "") -> pl.Expr:
    return (
        (pl.col("metric") == metric)
        & (pl.col("table_name") == table)
        & (pl.col("column_name") == column)
        & (pl.col("source") == source)
    )


_CONFORMED = pl.col("table_name").str.starts_with("conformed.")
_VALUE = pl.col("metric_value")
_NO_COLUMN = pl.col("column_name") == ""

_WANTED = (
    _Wanted(
        "source records",
        "records of all sources, conformed",
        "row_count",
        (pl.col("metric") == "row_count") & _CONFORMED,
        _VALUE.sum(),
    ),
    _Wanted("people", "golden contacts", "row_count", _rows_of("golden.contacts"), _VALUE.sum()),
    _Wanted("organisations", "golden accounts", "row_count", _rows_of("golden.accounts"), _VALUE.sum()),
    _Wanted(
        "quality of people",
        "mean quality score of golden contacts, 0 to 1",
        "mean_score",
        _one("mean_score", "golden.contacts", "quality_score"),
        _VALUE.max(),
        False,
    ),
    _Wanted(
        "quality of organisations",
        "mean quality score of golden accounts, 0 to 1",
        "mean_score",
        _one("mean_score", "golden.accounts", "quality_score"),
        _VALUE.max(),
        False,
    ),
    _Wanted(
        "duplicate share of people",
        "records of people that are somebody already known",
        "duplicate_share",
        _one("duplicate_share", "linked.person_members"),
        _VALUE.max(),
    ),
    _Wanted(
        "fields filled",
        "mean share of filled cells over the sources' fields that are used at all",
        "fill_share",
        (pl.col("metric") == "fill_share") & _CONFORMED & (_VALUE > 0),
        _VALUE.mean(),
        False,
    ),
    _Wanted(
        "rows in quarantine",
        "rows that gates refused",
        "quarantined",
        pl.col("metric") == "quarantined",
        _VALUE.sum(),
        True,
    ),
    _Wanted(
        "strongest drift",
        "largest stability index (PSI) of any field; above 0.25 a different population",
        "stability_index",
        pl.col("metric") == "stability_index",
        _VALUE.max(),
        True,
    ),
    _Wanted(
        "invoices paid",
        "share of invoices that are paid",
        "paid_share",
        (pl.col("metric") == "paid_share") & _NO_COLUMN,
        _VALUE.max(),
        False,
    ),
    _Wanted(
        "cash exceptions",
        "questions for finance",
        "row_count",
        _rows_of("reconciled.exceptions"),
        _VALUE.sum(),
        True,
    ),
    _Wanted(
        "questions for stewards",
        "pairs and clusters that linkage could not tell by itself",
        "row_count",
        _rows_of("stewardship.review_queue"),
        _VALUE.sum(),
        True,
    ),
)


def recent_figures(lake: Lake, nights: int = NIGHTS) -> pl.DataFrame:
    """Rows of quality.metrics of the last `nights` nights, sorted by time, run and key."""
    contract = contract_of("quality.metrics")
    rows = lake.scan(contract).filter(pl.col("measured_at").is_not_null())
    times = rows.select("measured_at").unique().collect()["measured_at"].sort().tail(nights)
    return (
        rows.filter(pl.col("measured_at").is_in(times.implode())).collect().sort("measured_at", *contract.key)
    )


def key_figures(lake: Lake) -> list[KeyFigure]:
    """The key figures that were ever measured, in a fixed order, over the last `NIGHTS` nights."""
    return key_figures_of(recent_figures(lake))


def key_figures_of(rows: pl.DataFrame) -> list[KeyFigure]:
    """As `key_figures`, of rows of quality.metrics."""
    found = []
    for wanted in _WANTED:
        course = (
            rows.filter(wanted.where)
            .group_by("measured_at", "run_id")
            .agg(wanted.fold.round(6).alias("value"))
            .sort("measured_at", "run_id")
        )
        if course.is_empty():
            continue
        found.append(
            KeyFigure(
                wanted.name,
                wanted.meaning,
                wanted.metric,
                tuple(course["measured_at"].dt.strftime("%Y-%m-%d")),
                tuple(course["value"]),
                course["run_id"][-1],
                wanted.is_better_low,
            )
        )
    return found
