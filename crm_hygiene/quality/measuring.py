"""Measuring a night in two stages, and its limits: sources once they are conformed, entities at the end.

quality.metrics and quality.distributions grow by one night per stage that read anything new; a night
whose tables are as they were adds nothing. Limits are held against the newest figures every night, so
a night that was stopped stops again until its data or its limits change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.asof import NEVER
from crm_hygiene.contract import Contract, contract_of, load_contracts
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.night import Night
from crm_hygiene.quality.distributions import BUCKETS, distributions, measuring_rules
from crm_hygiene.quality.entities import (
    cash_figures,
    duplicate_figures,
    golden_figures,
    history_figures,
    row_counts,
)
from crm_hygiene.quality.evaluation import evaluate_limits
from crm_hygiene.quality.layouts import landing_figures
from crm_hygiene.quality.limits import Limits, load_limits
from crm_hygiene.quality.metric import FIGURES, figures
from crm_hygiene.quality.records import ages, fill_shares, problem_shares, quarantine_figures
from crm_hygiene.quality.stability import mean_shares, stability_index

METRICS_TABLE = "quality.metrics"
DISTRIBUTIONS_TABLE = "quality.distributions"
LIMIT_RESULTS = "quality.limit_results"

_SOURCE_LAYERS = ("landing", "conformed")

_CONFORMED = tuple(name for name, contract in load_contracts().items() if contract.layer == "conformed")
_MEMBERS = ("linked.person_members", "linked.organisation_members")
_HISTORIES = ("linked.person_history", "linked.organisation_history")
_GOLDEN = (
    "golden.contacts",
    "golden.accounts",
    "golden.leads",
    "golden.relationships",
    "golden.activities",
)
_COUNTED = (
    "reconciled.invoices",
    "reconciled.payments",
    "reconciled.allocations",
    "reconciled.exceptions",
    "reconciled.suggestions",
    "reconciled.order_checks",
    "reconciled.inventory_movements",
    "stewardship.review_queue",
)

# A table of so many rows is held while it is measured.
_HELD_ROWS = 250_000

Measured = tuple[list[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Stage:
    """A time in the night at which figures are taken: its name, the tables read, and how.

    `compute` is given the night and the start of the night last measured, and returns the figures and
    the shares of quality.distributions.
    """

    name: str
    reads: tuple[str, ...]
    compute: Callable[[Night, datetime | None], Measured]

    def covers(self) -> pl.Expr:
        """True for rows of quality.metrics that belong to this stage."""
        is_source = pl.col("table_name").str.split(".").list.first().is_in(_SOURCE_LAYERS)
        return is_source if self.name == "sources" else ~is_source


@dataclass(frozen=True)
class Outcome:
    """What a stage found: figures, results of the limits (`evaluate_limits`), whether it measured anew."""

    stage: Stage
    figures: pl.DataFrame
    results: pl.DataFrame
    is_measured: bool

    def stopping(self) -> list[str]:
        """The limits that stop the night, in words."""
        broken = self.results.filter(~pl.col("is_passed") & (pl.col("severity") == "critical"))
        return [_line(row) for row in broken.iter_rows(named=True)]

    def warnings(self) -> list[str]:
        """The limits that are broken and only warn, in words."""
        broken = self.results.filter(~pl.col("is_passed") & (pl.col("severity") == "warning"))
        return [_line(row) for row in broken.iter_rows(named=True)]


def _line(row: dict[str, object]) -> str:
    return f"{row['table_name']}: {row['check_name']}: {row['observed']}"


def _measure_sources(night: Night, measured_at: datetime | None) -> Measured:
    lake, rules = night.lake, measuring_rules()
    files = (
        lake.scan(contract_of("landing.files")).select("source", "status", "header", "landed_at").collect()
    )
    landed = files.filter(pl.col("status") == "landed")["landed_at"].max()
    as_of = landed if isinstance(landed, datetime) else NEVER

    def of_table(table: str) -> tuple[list[pl.DataFrame], pl.DataFrame]:
        contract = contract_of(table)
        rows = lake.scan_often(contract, _HELD_ROWS)  # a query per column
        figures = [
            *fill_shares(contract, rows),
            *problem_shares(contract, rows),
            *ages(contract, rows, as_of),
        ]
        return figures, distributions(contract, rows, rules)

    # Many small queries, each of which keeps one core busy.
    with ThreadPoolExecutor(2, thread_name_prefix="measuring") as threads:
        measured = list(threads.map(of_table, _CONFORMED))
    found = [figure for figures, _ in measured for figure in figures]
    shares = [pl.DataFrame(schema=BUCKETS), *(share for _, share in measured)]
    found += quarantine_figures(lake.scan(contract_of("quality.quarantine")), pl.concat(found))
    found += landing_figures(files, measured_at)
    return found, pl.concat(shares)


def _measure_entities(night: Night, _: datetime | None) -> Measured:
    def scan(table: str) -> pl.LazyFrame:
        return night.lake.scan(contract_of(table))

    found = [*duplicate_figures(scan), *history_figures(scan)]
    for table in _GOLDEN:
        found += golden_figures(contract_of(table), scan(table))
    found += [*cash_figures(scan), *row_counts(scan, _COUNTED)]
    return found, pl.DataFrame(schema=BUCKETS)


SOURCES = Stage("sources", (*_CONFORMED, "landing.files", "quality.quarantine"), _measure_sources)
ENTITIES = Stage("entities", (*_MEMBERS, *_HISTORIES, *_GOLDEN, *_COUNTED), _measure_entities)
STAGES = (SOURCES, ENTITIES)


def limits_of(night: Night) -> Limits:
    """The limits in force for the night's hygiene.yaml."""
    own = night.config.limits.quality
    return load_limits(night.config.resolve(own) if own else None, night.mappings)


def measure_stage(night: Night, stage: Stage) -> Outcome:
    """Take the figures of a stage unless its tables are as they were, and hold them against the limits.

    Raises
    ------
    ConfigurationError
        if a limit is wrong.
    LakeError
        if the lake cannot be read or written.
    """
    limits = limits_of(night)
    state = _inputs(night)
    inputs = night.inputs(*stage.reads)
    is_new = state.get(stage.name) != inputs
    if is_new:
        _append(night, stage, json.dumps({**state, stage.name: inputs}, sort_keys=True))
    tonight, before = _nights(night, stage)
    results = evaluate_limits(limits, tonight, before)
    _record(night, stage, results)
    return Outcome(stage, tonight.select(FIGURES.names()), results, is_new)


def _inputs(night: Night) -> dict[str, str]:
    """What each stage last read, as the newest commit of quality.metrics tells."""
    try:
        found = json.loads(night.lake.metadata(METRICS_TABLE).get("inputs", "{}"))
    except json.JSONDecodeError:
        return {}  # written before there were stages
    return found if isinstance(found, dict) else {}


def _append(night: Night, stage: Stage, inputs: str) -> None:
    past = _measured(night, stage)
    last = past.select(pl.col("measured_at").max()).item() if past.height else None
    found, shares = stage.compute(night, last)
    if shares.height:
        before = _distributions_before(night, past)
        drift = stability_index(shares, mean_shares(before))
        found += [
            figures("stability_index", str(table), rows)
            for (table,), rows in sorted(drift.group_by("table_name"), key=lambda item: str(item[0]))
        ]
        _add(night, contract_of(DISTRIBUTIONS_TABLE), shares, inputs, stage)
    _add(night, contract_of(METRICS_TABLE), pl.concat([pl.DataFrame(schema=FIGURES), *found]), inputs, stage)


def _add(night: Night, contract: Contract, frame: pl.DataFrame, inputs: str, stage: Stage) -> None:
    named = frame.with_columns(run_id=pl.lit(night.run_id), measured_at=pl.lit(night.started_at))
    night.lake.append(
        contract,
        [contract.shape(named).sort(contract.key)],
        night.metadata(inputs),
        once=f"metrics/{stage.name}/{night.run_id}",
    )


def _measured(night: Night, stage: Stage) -> pl.DataFrame:
    """Nights measured so far: `run_id`, `measured_at`, the oldest first."""
    rows = night.lake.scan(contract_of(METRICS_TABLE)).filter(
        stage.covers() & pl.col("measured_at").is_not_null()
    )
    return rows.select("run_id", "measured_at").unique().collect().sort("measured_at", "run_id")


def _stopped(night: Night) -> pl.Series:
    """Runs that broke a limit that stops; what they measured is nothing to compare with."""
    broken = night.lake.scan(contract_of(LIMIT_RESULTS)).filter(
        ~pl.col("is_passed") & (pl.col("severity") == "critical")
    )
    return broken.select("run_id").unique().collect()["run_id"]


def _baseline(night: Night, nights: pl.DataFrame) -> list[str]:
    """The runs to compare with: the last of `nights` that no limit stopped."""
    sound = nights.filter(~pl.col("run_id").is_in(_stopped(night).implode()))
    return sound["run_id"].tail(measuring_rules().baseline_nights).to_list()


def _distributions_before(night: Night, nights: pl.DataFrame) -> pl.DataFrame:
    runs = _baseline(night, nights)
    rows = night.lake.scan(contract_of(DISTRIBUTIONS_TABLE)).filter(pl.col("run_id").is_in(runs))
    return rows.select("run_id", *BUCKETS.names()).collect()


def _nights(night: Night, stage: Stage) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Figures of the newest night measured, and those of the nights it is compared with."""
    nights = _measured(night, stage)
    latest = nights["run_id"].tail(1).to_list()
    runs = _baseline(night, nights.head(-1))
    rows = (
        night.lake.scan(contract_of(METRICS_TABLE))
        .filter(pl.col("run_id").is_in([*latest, *runs]) & stage.covers())
        .select("run_id", *FIGURES.names())
        .collect()
    )
    is_latest = pl.col("run_id").is_in(latest)
    return rows.filter(is_latest), rows.filter(~is_latest)


def _record(night: Night, stage: Stage, results: pl.DataFrame) -> None:
    """Append the results of the limits where they differ from the last ones of the stage."""
    contract = contract_of(LIMIT_RESULTS)
    rows = night.lake.scan(contract).filter(stage.covers()).collect()
    last = rows.filter(pl.col("checked_at") == pl.col("checked_at").max())
    compared = ["check_name", "table_name", "severity", "is_passed", "observed", "failing"]
    now, then = (frame.select(compared).sort("check_name", "table_name") for frame in (results, last))
    if now.equals(then):
        return
    named = results.with_columns(run_id=pl.lit(night.run_id), checked_at=pl.lit(night.started_at))
    night.lake.append(
        contract,
        [contract.shape(named).sort(contract.key)],
        night.metadata(),
        once=f"limits/{stage.name}/{night.run_id}/{fingerprint(now.to_dicts())}",
    )
