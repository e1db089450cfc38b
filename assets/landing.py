"""Landing: one asset per source, and the ledger of files."""

from typing import Any

import dagster as dg

from assets.presentation import schema_metadata
from assets.publication import asset_key
from assets.resources import NightResource
from crm_hygiene.contract import contract_of
from crm_hygiene.landing import discover, land_source, landing_contract
from crm_hygiene.mapping import Mapping

LEDGER = "landing.files"


def _source_asset(mapping: Mapping) -> dg.AssetsDefinition:
    contract = landing_contract(mapping)
    key = asset_key(contract.table)

    @dg.asset(
        key=key,
        group_name="landing",
        description=f"{contract.meaning}\n\nClaims files like: {', '.join(mapping.files)}.\n\n{mapping.taught}",
        owners=["team:operator"],
        kinds={"deltalake", mapping.format if mapping.format != "auto" else "csv"},
        tags={"layer": "landing", "system": mapping.system, "pii": "true"},
        metadata=schema_metadata(contract),
        check_specs=[
            dg.AssetCheckSpec(
                name="every_file_readable",
                asset=key,
                description="Every file of the source could be read; a refused one is tried again next night.",
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
                "landed files": len(outcome.landed),
                "known files": len(outcome.known),
                "landed rows": outcome.row_count,
                "refused rows": outcome.refused_rows,
                "dagster/uri": tonight.lake.table_uri(contract.table),
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
                    metadata={file: reason for file, reason in outcome.refused.items()},
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
        yield dg.MaterializeResult(metadata={"files without a source": len(odd)})
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
