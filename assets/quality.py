"""Quality: figures of the night, and the tables that gates write as they go."""

import dagster as dg

from assets.conformed import TABLES
from assets.presentation import schema_metadata, table_metadata
from assets.publication import asset_key
from assets.resources import NightResource
from crm_hygiene.contract import contract_of
from crm_hygiene.metrics import duplicate_share, fill_shares, quarantine_counts, with_run

METRICS = "quality.metrics"
QUARANTINE = "quality.quarantine"
READS = (*(f"conformed.{t}" for t in TABLES), "linked.person_members", "linked.organisation_members")


def _metrics() -> dg.AssetsDefinition:
    contract = contract_of(METRICS)

    @dg.asset(
        key=asset_key(METRICS),
        deps=[asset_key(t) for t in (*READS, QUARANTINE)],
        group_name="quality",
        description=contract.meaning,
        owners=[f"team:{contract.owner}"],
        kinds={"deltalake", "polars"},
        tags={"layer": "quality"},
        metadata=schema_metadata(contract),
    )
    def metrics(context: dg.AssetExecutionContext, night: NightResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        tonight = night.of(context)
        inputs = tonight.inputs(*READS)
        if not tonight.lake.is_current(METRICS, inputs):
            lake = tonight.lake
            frames = [
                fill_shares(contract_of(t), lake.scan(contract_of(t)))
                for t in READS
                if t.startswith("conformed")
            ]
            frames += [
                duplicate_share(kind, lake.scan(contract_of(f"linked.{kind}_members")))
                for kind in ("person", "organisation")
            ]
            frames.append(quarantine_counts(lake.scan(contract_of(QUARANTINE))))
            lake.append(
                contract,
                [with_run(tonight.run_id, frames)],
                tonight.metadata(inputs),
                once=f"metrics/{tonight.run_id}",
            )
        return dg.MaterializeResult(metadata=table_metadata(tonight.lake, contract, None))

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
    """Metrics of the night; quarantine, gate results and decisions as tables others write."""
    return [
        _metrics(),
        _written_by_gates(QUARANTINE, READS[: len(TABLES)]),
        _written_by_gates("quality.gate_results", ()),
        _written_by_gates("stewardship.decisions", ()),
    ]
