"""Landing: one asset per source, and the ledger of files."""

from typing import Any

import dagster as dg

from assets.presentation import schema_metadata, table_metadata
from assets.publication import asset_key
from assets.resources import NightResource
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.landing import discover, land_source, landing_contract
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import Night

LEDGER = "landing.files"


def _description(mapping: Mapping, contract: Contract) -> str:
    files = ", ".join(f"`{pattern}`" for pattern in mapping.files)
    taught = f"\n\nWhat its exports have taught: {mapping.taught.strip()}" if mapping.taught else ""
    return f"{contract.meaning}\n\nFiles in the landing folder that belong to it: {files}.{taught}"


def _standing(night: Night, contract: Contract) -> dict[str, Any]:
    """Row count, address and preview of an append-only table; what changed is what landed."""
    found = table_metadata(night.lake, contract, None)
    return {name: value for name, value in found.items() if not name.startswith("rows ")}


def _source_asset(mapping: Mapping) -> dg.AssetsDefinition:
    contract = landing_contract(mapping)
    key = asset_key(contract.table)

    @dg.asset(
        key=key,
        group_name="landing",
        description=_description(mapping, contract),
        owners=["team:operator"],
        kinds={"deltalake", mapping.format if mapping.format != "auto" else "csv"},
        tags={"layer": "landing", "system": mapping.system, "pii": "true"},
        metadata=schema_metadata(contract),
        check_specs=[
            dg.AssetCheckSpec(
                name="every_file_readable",
                asset=key,
                description="Every file of the source could be read; a refused file is tried again "
                "the next night and stops no other.",
            )
        ],
        retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    )
    def land(context: dg.AssetExecutionContext, night: NightResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        tonight = night.of(context)
        found = discover(tonight.config, tonight.mappings)
        outcome = land_source(tonight, mapping, found.claimed[mapping.source])
        for warning in outcome.warnings:
            context.log.warning(warning)
        for file, reason in outcome.refused.items():
            context.log.error(f"{file} refused: {reason}")
        if outcome.landed:
            context.log.info(f"{mapping.source}: {outcome.row_count:,} rows from {', '.join(outcome.landed)}")
        return dg.MaterializeResult(
            metadata={
                "new files": ", ".join(outcome.landed) or "none",
                "files landed before": len(outcome.known),
                "files refused": len(outcome.refused),
                "rows landed": outcome.row_count,
                "rows refused": outcome.refused_rows,
                **_standing(tonight, contract),
                **(
                    {"warnings": dg.MetadataValue.md("\n".join(f"- {w}" for w in outcome.warnings))}
                    if outcome.warnings
                    else {}
                ),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="every_file_readable",
                    passed=not outcome.refused,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata=dict(outcome.refused),
                )
            ],
        )

    return land


def _ledger_asset(mappings: dict[str, Mapping]) -> dg.AssetsDefinition:
    contract = contract_of(LEDGER)

    @dg.asset(
        key=asset_key(LEDGER),
        deps=[asset_key(f"landing.{name}") for name in mappings],
        group_name="landing",
        description=contract.meaning,
        owners=["team:operator"],
        kinds={"deltalake"},
        tags={"layer": "landing"},
        metadata=schema_metadata(contract),
        check_specs=[
            dg.AssetCheckSpec(
                name="every_file_claimed",
                asset=asset_key(LEDGER),
                description="Every file in the landing folder belongs to exactly one source.",
            )
        ],
    )
    def files(context: dg.AssetExecutionContext, night: NightResource) -> Any:
        tonight = night.of(context)
        found = discover(tonight.config, tonight.mappings)
        folder = tonight.config.landing_folder
        odd = {p.relative_to(folder).as_posix(): "no source claims it" for p in found.unclaimed}
        odd |= {
            p.relative_to(folder).as_posix(): f"claimed by {' and '.join(names)}"
            for p, names in found.contested.items()
        }
        for file, why in odd.items():
            context.log.info(f"{file} did not land: {why}")
        yield dg.MaterializeResult(
            metadata={"files without a source": len(odd), **_standing(tonight, contract)}
        )
        yield dg.AssetCheckResult(
            check_name="every_file_claimed",
            passed=not odd,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=odd,
        )

    return files


def landing_assets(mappings: dict[str, Mapping]) -> list[dg.AssetsDefinition]:
    """An asset per source and the ledger of files after them."""
    return [*(_source_asset(mapping) for mapping in mappings.values()), _ledger_asset(mappings)]
