"""Landing: one asset per source, and the ledger of files."""

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg

from assets.apart import done
from assets.presentation import schema_metadata, table_metadata
from assets.publication import asset_key
from assets.resources import NightResource
from assets.retries import tried_again
from assets.turns import Turn
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.landing import discover, file_name, land_source, landing_contract
from crm_hygiene.linkage.records import TABLES as LINKED
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


def landing_turn(mapping: Mapping) -> Turn:
    """Before that of other sources where linkage reads what lands."""
    is_linked = any(f"conformed.{table}" in LINKED.values() for table in mapping.tables)
    return Turn.LANDING_FOR_LINKAGE if is_linked else Turn.LANDING


def landing_work(mapping: Mapping) -> str:
    """Name of the work that lands a source."""
    return landing_contract(mapping).table


def new_bytes(night: Night) -> dict[str, int]:
    """Bytes of each source's exports that are newer than the last night's catalog."""
    catalog = night.config.catalog_path
    replaced_at = catalog.stat().st_mtime if catalog.exists() else 0.0
    claimed = discover(night.config, night.mappings).claimed
    files = {source: [path.stat() for path in paths] for source, paths in claimed.items()}
    return {
        source: sum(file.st_size for file in mine if file.st_mtime > replaced_at)
        for source, mine in files.items()
    }


def landed(night: Night, log: logging.Logger, mapping: Mapping) -> Iterator[dg.MaterializeResult[Any]]:
    """Land the new files of a source and say what came of each."""
    contract = landing_contract(mapping)
    found = discover(night.config, night.mappings)
    outcome = land_source(night, mapping, found.claimed[mapping.source])
    for warning in outcome.warnings:
        log.warning(warning)
    for file, reason in outcome.refused.items():
        log.error(f"{file} refused: {reason}")
    if outcome.landed:
        log.info(f"{mapping.source}: {outcome.row_count:,} rows from {', '.join(outcome.landed)}")
    yield dg.MaterializeResult(
        asset_key=asset_key(contract.table),
        metadata={
            "new files": ", ".join(outcome.landed) or "none",
            "files landed before": len(outcome.known),
            "files refused": len(outcome.refused),
            "rows landed": outcome.row_count,
            "rows refused": outcome.refused_rows,
            **_standing(night, contract),
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
        op_tags=landing_turn(mapping).tags,
    )
    def land(context: dg.AssetExecutionContext, night: NightResource) -> Any:
        work = partial(landed, mapping=mapping)
        with tried_again(context):
            tonight = night.of(context)

            def reads() -> int:
                return new_bytes(tonight)[mapping.source]

            yield from done(landing_work(mapping), work, tonight, context.log, reads)

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
        odd = {file_name(tonight.config, p): "no source claims it" for p in found.unclaimed}
        odd |= {
            file_name(tonight.config, p): f"claimed by {' and '.join(names)}"
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
