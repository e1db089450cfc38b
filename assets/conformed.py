"""Conformed: landed text becomes typed, standardised records of one model."""

from __future__ import annotations

import json

import dagster as dg
import polars as pl

from assets.publication import Step, Tables, step_asset
from assets.turns import Turn
from crm_hygiene.conform import conform_changes, conform_parts, conform_table, is_streamed
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.lineage.columns import conformed_lineage
from crm_hygiene.linkage.records import TABLES as LINKED
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import Night
from crm_hygiene.standardise.libraries import library_versions

TABLES = (
    "people",
    "organisations",
    "interactions",
    "consents",
    "opportunities",
    "users",
    "person_versions",
    "invoices",
    "invoice_lines",
    "purchase_orders",
    "purchase_order_lines",
    "receipts",
    "reservations",
    "remittance_advices",
    "payer_relations",
    "payments",
)


def _libraries(night: Night, computed: Tables | None) -> str:
    """Another numbering plan or another list of suffixes makes other values of the same rows."""
    return json.dumps(library_versions())


def landing_versions(night: Night, table: str, reads: tuple[str, ...]) -> dict[str, int | None] | None:
    """Versions of the landing tables the live table was made from, if the same rules made it; else None.

    The commit names the versions; that rules and libraries are the same follows from its fingerprint of
    inputs, which is the one of these versions by the rules of this night.
    """
    live = night.lake.metadata(table)
    versions: dict[str, int | None] = json.loads(live.get("pins") or "{}")
    if set(versions) != set(reads):
        return None
    states = {name: "absent" if v is None else f"v{v}" for name, v in versions.items()}
    then = fingerprint([fingerprint([night.rules, states]), _libraries(night, None)])
    return versions if live.get("inputs") == then else None


def _step(table: str, mappings: dict[str, Mapping]) -> Step:
    name = f"conformed.{table}"
    reads = tuple(f"landing.{source}" for source, m in mappings.items() if table in m.tables)

    def compute(night: Night) -> Tables:
        since = landing_versions(night, name, reads)
        if since is not None:
            return {name: conform_changes(night, table, since)}
        conform = conform_parts if is_streamed(night, table) else conform_table
        return {name: conform(night, table)}

    def again(night: Night, refused: pl.DataFrame) -> pl.DataFrame:
        return conform_table(night, table, refused)

    return Step(
        name=f"conform_{table}",
        tables=(name,),
        reads=(),
        landing_reads=reads,
        compute=compute,
        again=again,
        column_lineage={name: conformed_lineage(table, mappings)},
        extra=_libraries,
        pins={name: reads},
        turn=Turn.CONFORMING_FOR_LINKAGE if name in LINKED.values() else Turn.USUAL,
    )


def conformed_steps(mappings: dict[str, Mapping]) -> list[Step]:
    """One step per conformed table."""
    return [_step(table, mappings) for table in TABLES]


def conformed_assets(mappings: dict[str, Mapping]) -> list[dg.AssetsDefinition]:
    """One asset per conformed table."""
    return [step_asset(step) for step in conformed_steps(mappings)]
