"""Audit and catalog: the run's own record, and the file analysts open."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg

from assets.apart import done, newly_stored_bytes
from assets.presentation import schema_metadata, table_metadata
from assets.publication import asset_key
from assets.resources import NightResource
from crm_hygiene.catalog import CatalogBuild, build_catalog
from crm_hygiene.contract import Contract, contract_of, load_contracts
from crm_hygiene.lake_copies import fetch_catalog, share_catalog
from crm_hygiene.landing import landing_contract
from crm_hygiene.night import Night
from crm_hygiene.report import write_report
from crm_hygiene.runs import RUNS, published_by, record_run

CATALOG_WORK = "catalog"

# Written as a by-product of steps or by stewards; Dagster learns of them when the run is recorded.
_BY_PRODUCTS = (
    "quality.quarantine",
    "quality.gate_results",
    "stewardship.decisions",
    "stewardship.cash_decisions",
    "stewardship.pins",
    "writeback.outbox",
    "writeback.deliveries",
    "writeback.approvals",
)

# With its salt the suppression list can be tried against a list of known addresses.
_KEPT_BACK = ("privacy.salts",)


def tables_of(night: Night) -> list[str]:
    """Every table a night can have: those with a contract and one landing table per source."""
    return [*load_contracts(), *(f"landing.{name}" for name in night.mappings)]


def _in_catalog(night: Night) -> dict[str, Contract]:
    """Contracts of the tables that the catalog has, by table."""
    contracts = {table: c for table, c in load_contracts().items() if table not in _KEPT_BACK}
    return contracts | {c.table: c for c in map(landing_contract, night.mappings.values())}


def refresh_catalog(night: Night) -> CatalogBuild:
    """Bring the catalog up to the live versions."""
    contracts = list(_in_catalog(night).values())
    fetch_catalog(night.config, night.lake)  # the last night may have been another machine's
    config = night.config
    built = build_catalog(
        night.lake, contracts, config.catalog_path, config.catalog.history_days, config.limits.memory
    )
    share_catalog(night.config, night.lake)
    return built


def _by_products(night: Night) -> Iterator[dg.AssetMaterialization]:
    """How the tables stand that have no computation of their own."""
    for table in _BY_PRODUCTS:
        if night.lake.exists(table):
            found = table_metadata(night.lake, contract_of(table), None)
            shown = {name: value for name, value in found.items() if not name.startswith("rows ")}
            yield dg.AssetMaterialization(asset_key=asset_key(table), metadata=shown)


def failure_reasons(events: Sequence[dg.DagsterEvent]) -> dict[str, str]:
    """The innermost error of each failed step in one line, by step."""
    found = {}
    for event in events:
        if not event.is_step_failure:
            continue
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            found[event.step_key or ""] = data.user_failure_data.description
            continue
        error = data.error
        while error is not None and error.cause is not None:
            error = error.cause
        found[event.step_key or ""] = (error.message if error else "").strip().split("\n")[0]
    return found


def record_stopped(night: Night, reason: str) -> None:
    """Record a night that stopped."""
    record_run(night, tables_of(night), "stopped", datetime.now(UTC), reason)


def close_failed_night(night: Night, reason: str, instance: dg.DagsterInstance) -> None:
    """Record a night that stopped; let stewards and analysts see what its gates found."""
    record_stopped(night, reason)
    for by_product in _by_products(night):
        instance.report_runless_asset_event(by_product)
    refresh_catalog(night)
    write_report(night)


def replaced_catalog(night: Night, log: logging.Logger) -> Iterator[dg.MaterializeResult[Any]]:
    """Bring the catalog up to the live versions and say which tables were renewed."""
    built = refresh_catalog(night)
    yield dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(night.config.catalog_path)),
            "tables renewed": len(built.renewed),
            "tables kept": len(built.kept),
            "bytes": built.byte_count,
        }
    )


def audit_assets(last: list[str]) -> list[dg.AssetsDefinition]:
    """The record of the run after the tables in `last`, and the catalog after it."""
    contract = contract_of(RUNS)

    @dg.asset(
        key=asset_key(RUNS),
        deps=[asset_key(table) for table in last],
        group_name="audit",
        description=contract.meaning,
        owners=[f"team:{contract.owner}"],
        kinds={"deltalake"},
        tags={"layer": "audit"},
        metadata=schema_metadata(contract),
    )
    def runs(context: dg.AssetExecutionContext, night: NightResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        tonight = night.of(context)
        is_recorded = record_run(tonight, tables_of(tonight), "succeeded", datetime.now(UTC), None)
        for by_product in _by_products(tonight):
            context.log_event(by_product)
        return dg.MaterializeResult(
            metadata={
                "recorded": is_recorded,
                "tables changed": len(published_by(tonight.lake, tonight.run_id, tables_of(tonight))),
                **table_metadata(tonight.lake, contract, None),
            }
        )

    @dg.asset(
        key=dg.AssetKey(["catalog", "duckdb"]),
        deps=[asset_key(RUNS)],
        group_name="catalog",
        description="One DuckDB file for analysts: every table by its name, what each column means, and how"
        " tables stood on past nights (`as_of`). It is replaced in one step: open it read-only, leave it"
        " open, and connect again for the newest night. docs/analysts.md, docs/queries.md.",
        owners=["team:operator"],
        kinds={"duckdb"},
        tags={"layer": "catalog"},
    )
    def catalog(context: dg.AssetExecutionContext, night: NightResource) -> Any:
        tonight = night.of(context)
        reads = partial(newly_stored_bytes, tonight, _in_catalog(tonight))
        yield from done(CATALOG_WORK, replaced_catalog, tonight, context.log, reads)

    return [runs, catalog]
