"""Quality: figures of the night, the limits on them, and the tables that gates write as they go."""

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from assets.apart import done, newly_stored_bytes
from assets.conformed import TABLES
from assets.gate_log import QUARANTINE
from assets.presentation import schema_metadata, table_metadata
from assets.publication import asset_key
from assets.resources import NightResource
from assets.retries import tried_again
from crm_hygiene.contract import contract_of
from crm_hygiene.night import Night
from crm_hygiene.quality.measuring import (
    DISTRIBUTIONS_TABLE,
    ENTITIES,
    LIMIT_RESULTS,
    METRICS_TABLE,
    SOURCES,
    Outcome,
    Stage,
    measure_stage,
)
from crm_hygiene.quality.trends import key_figures
from crm_hygiene.report.charts import data_uri, sparkline

CONFORMED = tuple(f"conformed.{t}" for t in TABLES)

# Tables of the second stage whose limits stop what comes after the figures.
LIMITED = (
    "linked.person_members",
    "linked.organisation_members",
    "golden.contacts",
    "golden.accounts",
    "golden.leads",
    "golden.relationships",
    "golden.activities",
    "reconciled.invoices",
    "reconciled.payments",
    "reconciled.exceptions",
    "reconciled.suggestions",
    "reconciled.order_checks",
    "reconciled.inventory_movements",
    "stewardship.review_queue",
)

SOURCES_WORK = "limits_of_sources"
METRICS_WORK = METRICS_TABLE

_MEANING = (
    "Figures of the table held against expectations/limits.yaml and the user's own limits. A broken "
    "`stop` keeps what comes after from running, a broken `warn` is told."
)

Evaluated = dg.AssetCheckResult | dg.MaterializeResult[Any]


def _limit_metadata(mine: pl.DataFrame) -> dict[str, Any]:
    """What a table's limits saw: how many figures, how many beyond, and those in words."""
    broken = mine.filter(~pl.col("is_passed"))
    found: dict[str, Any] = {
        "limits": mine.height,
        "figures judged": int(mine["row_count"].sum()),
        "figures beyond a limit": int(mine["failed_count"].sum()),
    }
    if broken.height:
        lines = []
        for row in broken.iter_rows(named=True):
            what = "stops" if row["severity"] == "critical" else "warns"
            lines.append(f"- **{row['check_name']}** ({what})")
            lines += [f"    - {text}" for text in row["failing"]]
        found["beyond the limits"] = dg.MetadataValue.md("\n".join(lines))
    return found


def _limit_checks(
    outcome: Outcome, checks: dict[str, tuple[dg.AssetKey, str]]
) -> Iterator[dg.AssetCheckResult]:
    """One check result per table of `checks`: table -> the asset and the name of the check on it."""
    for table, (key, name) in checks.items():
        mine = outcome.results.filter(pl.col("table_name") == table)
        stops = mine.filter(~pl.col("is_passed") & (pl.col("severity") == "critical")).height > 0
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=bool(mine["is_passed"].all()),
            severity=dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN,
            metadata=_limit_metadata(mine),
        )


def _evaluated(
    night: Night, stage: Stage, log: logging.Logger, checks: dict[str, tuple[dg.AssetKey, str]]
) -> Iterator[Evaluated]:
    """Measure a stage; its checks, then a failure where a limit stops the night."""
    outcome = measure_stage(night, stage)
    for line in outcome.warnings():
        log.warning(f"limit: {line}")
    if stage is ENTITIES and not outcome.stopping():
        yield dg.MaterializeResult(
            asset_key=asset_key(METRICS_TABLE), metadata=_metrics_metadata(night, outcome)
        )
    yield from _limit_checks(outcome, checks)
    if outcome.stopping():
        raise dg.Failure(
            "a limit stops the night, what comes after is as it was: " + " | ".join(outcome.stopping()),
            allow_retries=False,
        )


def _metrics_metadata(night: Night, outcome: Outcome) -> dict[str, Any]:
    """Key figures as numbers, which Dagster plots night by night, and their course so far as a picture."""
    lines = ["| figure | last night | course |", "|---|---:|---|"]
    numbers: dict[str, Any] = {}
    for figure in key_figures(night.lake):
        numbers[figure.name] = figure.values[-1]
        picture = data_uri(sparkline(figure.values))
        lines.append(f"| {figure.name} | {figure.last_in_words} | ![{figure.name}]({picture}) |")
    return {
        **numbers,
        "limits broken": int((~outcome.results["is_passed"]).sum()),
        "course of the key figures": dg.MetadataValue.md("\n".join(lines)),
        **table_metadata(night.lake, contract_of(METRICS_TABLE), None),
    }


def measured_sources(night: Night, log: logging.Logger) -> Iterator[Evaluated]:
    """Figures and limits of the conformed tables."""
    return _evaluated(night, SOURCES, log, {table: (asset_key(table), "limits") for table in CONFORMED})


def measured_entities(night: Night, log: logging.Logger) -> Iterator[Evaluated]:
    """Figures and limits of what is made of the conformed tables."""
    key = asset_key(METRICS_TABLE)
    return _evaluated(night, ENTITIES, log, {table: (key, _check_name(table)) for table in LIMITED})


def _source_limits() -> dg.AssetChecksDefinition:
    """Figures and limits of the sources: one blocking check per conformed table, in one step."""

    @dg.multi_asset_check(
        name=SOURCES_WORK,
        specs=[
            dg.AssetCheckSpec("limits", asset=asset_key(t), description=_MEANING, blocking=True)
            for t in CONFORMED
        ],
    )
    def limits_of_sources(context: dg.AssetCheckExecutionContext, night: NightResource) -> Any:
        with tried_again(context):
            tonight = night.of(context)
            reads = partial(newly_stored_bytes, tonight, SOURCES.reads)
            yield from done(SOURCES_WORK, measured_sources, tonight, context.log, reads)

    return limits_of_sources


def _check_name(table: str) -> str:
    return f"limits_of_{table.replace('.', '_')}"


def _metrics() -> dg.AssetsDefinition:
    contract = contract_of(METRICS_TABLE)
    key = asset_key(METRICS_TABLE)

    @dg.asset(
        key=key,
        deps=[asset_key(t) for t in (*CONFORMED, *ENTITIES.reads, QUARANTINE)],
        group_name="quality",
        description=contract.meaning,
        owners=[f"team:{contract.owner}"],
        kinds={"deltalake", "polars"},
        tags={"layer": "quality"},
        metadata=schema_metadata(contract),
        check_specs=[
            dg.AssetCheckSpec(_check_name(t), asset=key, description=f"{t}. {_MEANING}", blocking=True)
            for t in LIMITED
        ],
    )
    def metrics(context: dg.AssetExecutionContext, night: NightResource) -> Any:
        with tried_again(context):
            tonight = night.of(context)
            reads = partial(newly_stored_bytes, tonight, ENTITIES.reads)
            yield from done(METRICS_WORK, measured_entities, tonight, context.log, reads)

    return metrics


def _written_by_gates(table: str, deps: tuple[str, ...]) -> dg.AssetSpec:
    """A table that steps write as a by-product of their gates; it has no computation of its own."""
    contract = contract_of(table)
    return dg.AssetSpec(
        key=asset_key(table),
        group_name=contract.layer,
        description=contract.meaning,
        owners=[f"team:{contract.owner}"],
        kinds={"deltalake"},
        tags={"layer": contract.layer},
        metadata=schema_metadata(contract),
        deps=[asset_key(t) for t in deps],
    )


def quality_assets() -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Figures of the night; tables that gates and limits write as they go."""
    return [
        _metrics(),
        _written_by_gates(QUARANTINE, CONFORMED),
        _written_by_gates("quality.gate_results", ()),
        _written_by_gates(DISTRIBUTIONS_TABLE, CONFORMED),
        _written_by_gates(LIMIT_RESULTS, ()),
        _written_by_gates("stewardship.decisions", ()),
        _written_by_gates("stewardship.cash_decisions", ()),
        _written_by_gates("stewardship.pins", ()),
        _written_by_gates("writeback.outbox", ()),
        _written_by_gates("writeback.deliveries", ()),
        _written_by_gates("writeback.approvals", ()),
    ]


def quality_checks() -> list[dg.AssetChecksDefinition]:
    """The limits on sources, which stop linkage and what follows."""
    return [_source_limits()]
