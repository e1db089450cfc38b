"""Audit and catalog: the run's own record, and the file analysts open."""

from datetime import UTC, datetime

import dagster as dg

from assets.presentation import schema_metadata
from assets.publication import asset_key
from assets.resources import NightResource
from crm_hygiene.catalog import CatalogBuild, build_catalog
from crm_hygiene.contract import contract_of, load_contracts
from crm_hygiene.landing import landing_contract
from crm_hygiene.night import Night
from crm_hygiene.runs import RUNS, record_run

CATALOG = "catalog.duckdb"


def tables_of(night: Night) -> list[str]:
    """Every table a night can have: those with a contract and one landing table per source."""
    return [*load_contracts(), *(f"landing.{name}" for name in night.mappings)]


def refresh_catalog(night: Night) -> CatalogBuild:
    """Bring the catalog up to the live versions."""
    contracts = [*load_contracts().values(), *(landing_contract(m) for m in night.mappings.values())]
    return build_catalog(night.lake, contracts, night.config.catalog_path)


def close_failed_night(night: Night, reason: str) -> None:
    """Record a night that stopped, and let analysts see what its gates found."""
    record_run(night, tables_of(night), "stopped", datetime.now(UTC), reason)
    refresh_catalog(night)


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
        return dg.MaterializeResult(metadata={"recorded": is_recorded})

    @dg.asset(
        key=dg.AssetKey(["catalog", "duckdb"]),
        deps=[asset_key(RUNS)],
        group_name="catalog",
        description="One DuckDB file with every published table by its name, replaced in one step.",
        owners=["team:operator"],
        kinds={"duckdb"},
    )
    def catalog(context: dg.AssetExecutionContext, night: NightResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        tonight = night.of(context)
        built = refresh_catalog(tonight)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(tonight.config.catalog_path)),
                "tables copied": len(built.copied),
                "tables kept": len(built.kept),
                "bytes": built.byte_count,
            }
        )

    return [runs, catalog]
