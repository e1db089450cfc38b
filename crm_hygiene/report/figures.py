"""What the report tells, read from the lake: counts and shares only, never a person's data."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.quality.measuring import LIMIT_RESULTS, SOURCES
from crm_hygiene.quality.trends import KeyFigure, key_figures_of, recent_figures

_MOST = 12

_SOURCE_METRICS = (
    "row_count",
    "problem_share",
    "quarantine_share",
    "duplicate_share",
    "age_days",
    "days_since_landing",
)


@dataclass(frozen=True)
class LastRun:
    """The newest run of audit.runs."""

    run_id: str
    status: str
    started_at: datetime
    seconds: float
    reason: str | None
    published: int


@dataclass(frozen=True)
class ReportData:
    """Everything on the page as plain data; lists hold one dict per row of a table."""

    run: LastRun | None
    measured_at: datetime | None
    trends: list[KeyFigure]
    is_first: bool
    events: dict[str, int]
    limits: list[dict[str, Any]]
    limits_held: int
    failed_checks: list[dict[str, Any]]
    checks_held: int
    landed: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    invoices: list[dict[str, Any]]
    payments: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    drifted: list[dict[str, Any]]
    troubled: list[dict[str, Any]]
    emptied: list[dict[str, Any]]
    layouts: list[dict[str, Any]]
    questions: list[dict[str, Any]]
    exceptions: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    changes: list[dict[str, Any]] = field(default_factory=list)

    def figure(self, name: str) -> KeyFigure | None:
        """A key figure by its name, None where it was never measured."""
        return next((f for f in self.trends if f.name == name), None)


def gather(lake: Lake) -> ReportData:
    """Read the figures of the report.

    Raises
    ------
    LakeError
        if the lake cannot be read.
    """

    def scan(table: str) -> pl.LazyFrame:
        return lake.scan(contract_of(table))

    rows = recent_figures(lake)
    run = _last_run(scan("audit.runs"))
    now, before = _two_nights(rows, run)
    limits, held = _limits(scan(LIMIT_RESULTS).collect())
    failed, passed = _checks(scan("quality.gate_results"))
    return ReportData(
        run=run,
        measured_at=rows["measured_at"].max() if rows.height else None,  # type: ignore[arg-type]
        trends=key_figures_of(rows),
        is_first=before.filter(pl.col("metric") == "merged_so_far").is_empty(),
        events=_events(now, before),
        limits=limits,
        limits_held=held,
        failed_checks=failed,
        checks_held=passed,
        landed=_landed(scan("landing.files")),
        changed=_changed(now, before),
        invoices=_grouped(
            scan("reconciled.invoices"),
            ["status", "currency"],
            pl.col("amount").sum(),
            pl.col("open_amount").sum(),
        ),
        payments=_grouped(
            scan("reconciled.payments"),
            ["status", "currency"],
            pl.col("amount").sum(),
            pl.col("unapplied_amount").sum(),
        ),
        sources=_sources(now),
        drifted=_top(now.filter((pl.col("metric") == "stability_index") & (pl.col("metric_value") >= 0.1))),
        troubled=_top(now.filter((pl.col("metric") == "problem_share") & (pl.col("column_name") != ""))),
        emptied=_emptied(now, before),
        layouts=now.filter(pl.col("metric").is_in(["column_appeared", "column_vanished"]))
        .select("source", "column_name", "metric")
        .sort(pl.all())
        .to_dicts(),
        questions=_grouped(scan("stewardship.review_queue"), ["question_kind", "entity_kind"]),
        exceptions=_grouped(scan("reconciled.exceptions"), ["exception_type"]),
        quarantine=_quarantine(scan("quality.quarantine")),
        changes=_grouped(scan("writeback.changes"), ["target", "object", "change_kind"]),
    )


def _two_nights(rows: pl.DataFrame, run: LastRun | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Figures of each stage as they are, and as they were the night before.

    A stage that the last run did not measure is as it was: nothing of it changed.
    """
    is_source = pl.col("table_name").str.split(".").list.first().is_in(["landing", "conformed"])
    now, before = [rows.clear()], [rows.clear()]
    for mine in (rows.filter(is_source), rows.filter(~is_source)):
        nights = mine.select("measured_at", "run_id").unique().sort("measured_at", "run_id")
        was_measured = run is None or (nights.height > 0 and nights["run_id"][-1] == run.run_id)
        for number, found in ((-1, now), (-2 if was_measured else -1, before)):
            if nights.height >= -number:
                found.append(mine.join(nights[number], on=["measured_at", "run_id"], how="semi"))
    return pl.concat(now), pl.concat(before)


def _last_run(runs: pl.LazyFrame) -> LastRun | None:
    last = runs.sort("started_at", "run_id").last().collect()
    if last.is_empty():
        return None
    row = last.row(0, named=True)
    return LastRun(
        row["run_id"],
        row["status"],
        row["started_at"],
        (row["ended_at"] - row["started_at"]).total_seconds(),
        row["reason"],
        len(json.loads(row["published"] or "{}")),
    )


def _events(now: pl.DataFrame, before: pl.DataFrame) -> dict[str, int]:
    """Entities created, merged and split since the night before; on the first night, ever."""
    found = {}
    for event in ("created", "merged", "split"):
        sums = [
            f.filter(pl.col("metric") == f"{event}_so_far").select(pl.col("metric_value").sum()).item()
            for f in (now, before)
        ]
        found[event] = int(sums[0] - sums[1])
    return found


def _limits(results: pl.DataFrame) -> tuple[list[dict[str, Any]], int]:
    """Broken limits, those that stop first, and how many held; of the newest results of each stage."""
    stages = results.with_columns(is_source=SOURCES.covers())
    latest = stages.filter(pl.col("checked_at") == pl.col("checked_at").max().over("is_source"))
    broken = latest.filter(~pl.col("is_passed")).sort("severity", "check_name", "table_name")
    shown = broken.select("check_name", "table_name", "severity", "failed_count", "failing").to_dicts()
    return shown, int(latest["is_passed"].sum())


def _checks(gates: pl.LazyFrame) -> tuple[list[dict[str, Any]], int]:
    """Checks that failed when their table was last computed, and how many held."""
    latest = gates.filter(pl.col("checked_at") == pl.col("checked_at").max().over("table_name")).collect()
    failed = latest.filter(~pl.col("is_passed")).sort("severity", "table_name", "check_name")
    shown = failed.select("table_name", "check_name", "severity", "failed_count").to_dicts()
    return shown, int(latest["is_passed"].sum())


def _landed(files: pl.LazyFrame) -> list[dict[str, Any]]:
    """What came in on the newest night that anything did."""
    newest = files.filter(pl.col("landed_at") == pl.col("landed_at").max())
    return (
        newest.group_by("source")
        .agg(
            files=(pl.col("status") == "landed").sum(),
            rows=pl.col("row_count").filter(pl.col("status") == "landed").sum(),
            unreadable=pl.col("refused_count").sum(),
            refused=(pl.col("status") == "refused").sum(),
        )
        .collect()
        .sort("source", nulls_last=True)
        .to_dicts()
    )


def _changed(now: pl.DataFrame, before: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows per table now and the night before, where they differ; on the first night all."""

    def rows(frame: pl.DataFrame, name: str) -> pl.DataFrame:
        counted = frame.filter((pl.col("metric") == "row_count") & (pl.col("column_name") == ""))
        return counted.group_by("table_name").agg(pl.col("metric_value").sum().cast(pl.Int64).alias(name))

    both = rows(now, "now").join(rows(before, "before"), on="table_name", how="full", coalesce=True)
    return (
        both.with_columns(pl.col("now", "before").fill_null(0))
        .filter(pl.col("now") != pl.col("before"))
        .with_columns(change=pl.col("now") - pl.col("before"))
        .sort("table_name")
        .to_dicts()
    )


def _grouped(rows: pl.LazyFrame, by: list[str], *sums: pl.Expr) -> list[dict[str, Any]]:
    return rows.group_by(by).agg(pl.len().alias("rows"), *sums).collect().sort(by, nulls_last=True).to_dicts()


def _sources(now: pl.DataFrame) -> list[dict[str, Any]]:
    """Per source its figures, the sources with most trouble first.

    A source that feeds several tables counts its rows in all of them; shares are those of its worst.
    """
    mine = now.filter(
        (pl.col("source") != "") & (pl.col("column_name") == "") & pl.col("metric").is_in(_SOURCE_METRICS)
    )
    conformed = pl.col("table_name").str.starts_with("conformed.")
    folded = mine.group_by("source", "metric").agg(
        pl.when(pl.col("metric").first() == "row_count")
        .then(pl.col("metric_value").filter(conformed).sum())
        .otherwise(pl.col("metric_value").max())
        .alias("value")
    )
    if folded.is_empty():
        return []
    wide = folded.pivot("metric", index="source", values="value")
    missing = [pl.lit(None, dtype=pl.Float64).alias(m) for m in _SOURCE_METRICS if m not in wide.columns]
    wide = wide.with_columns(missing)
    trouble = pl.col("problem_share").fill_null(0) + pl.col("quarantine_share").fill_null(0)
    return (
        wide.select("source", *_SOURCE_METRICS)
        .sort(trouble.round(6), "source", descending=[True, False])
        .to_dicts()
    )


def _top(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The largest figures."""
    key = ["table_name", "source", "column_name"]
    return (
        rows.sort(["metric_value", *key], descending=[True, False, False, False])
        .head(_MOST)
        .select(*key, "metric_value")
        .to_dicts()
    )


def _emptied(now: pl.DataFrame, before: pl.DataFrame) -> list[dict[str, Any]]:
    """Fields whose share of filled cells fell by five points or more since the night before."""
    key = ["table_name", "source", "column_name"]
    filled = pl.col("metric") == "fill_share"
    return (
        now.filter(filled)
        .join(before.filter(filled).select(*key, before="metric_value"), on=key)
        .with_columns(fell=(pl.col("before") - pl.col("metric_value")).round(6))
        .filter(pl.col("fell") >= 0.05)
        .sort(["fell", *key], descending=[True, False, False, False])
        .head(_MOST)
        .select(*key, "before", "metric_value")
        .to_dicts()
    )


def _quarantine(quarantine: pl.LazyFrame) -> list[dict[str, Any]]:
    """Refused rows per table and reason, the values in the reasons left out."""
    reasons = (
        quarantine.filter(pl.col("row").is_not_null())
        .select("table_name", "reasons")
        .explode("reasons", empty_as_null=True, keep_nulls=True)
        .collect()
    )
    cause = pl.col("reasons").map_elements(_cause, return_dtype=pl.String, skip_nulls=True)
    return (
        reasons.with_columns(reason=cause.fill_null("no reason given"))
        .group_by("table_name", "reason")
        .agg(pl.len().alias("rows"))
        .sort(["rows", "table_name", "reason"], descending=[True, False, False])
        .head(_MOST)
        .to_dicts()
    )


def _cause(reason: str) -> str:
    """A reason without its value: values may be personal data, and equal causes count together."""
    return re.split(r" \[| '|: ", reason, maxsplit=1)[0].strip()
