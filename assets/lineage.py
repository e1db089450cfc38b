"""Column lineage of the whole lake as a table, gathered from what every asset says of its own columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg

from assets.presentation import Lineage, lineage_of
from assets.publication import Step, Tables, step_asset
from assets.turns import Turn
from crm_hygiene.lineage.columns import TABLE, ColumnGraph
from crm_hygiene.night import Night


def declared_lineage(assets: Iterable[dg.AssetsDefinition | dg.AssetSpec]) -> dict[str, Lineage]:
    """What the assets declare in Dagster's own column lineage, by table."""
    found: dict[str, Lineage] = {}
    for asset in assets:
        for spec in [asset] if isinstance(asset, dg.AssetSpec) else asset.specs:
            lineage = lineage_of(spec.metadata)
            if lineage:
                found[".".join(spec.key.path)] = lineage
    return found


def lineage_assets(declared: Mapping[str, Lineage]) -> list[dg.AssetsDefinition]:
    """quality.column_lineage: from source columns to every column of the lake."""

    def compute(night: Night) -> Tables:
        return {TABLE: ColumnGraph(night.mappings, declared).frame()}

    # Last of those that wait for nothing: files land while the gates are set up.
    return [
        step_asset(Step(name="column_lineage", tables=(TABLE,), reads=(), compute=compute, turn=Turn.LAST))
    ]
