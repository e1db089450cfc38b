"""Conformed: landed text becomes typed, standardised records of one model."""

from __future__ import annotations

import dagster as dg
import polars as pl

from assets.publication import Step, Tables, step_asset
from crm_hygiene.conform import conform_table
from crm_hygiene.lineage.columns import conformed_lineage
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import Night

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


def _step(table: str, mappings: dict[str, Mapping]) -> Step:
    def compute(night: Night) -> Tables:
        return {f"conformed.{table}": conform_table(night, table)}

    def again(night: Night, refused: pl.DataFrame) -> pl.DataFrame:
        return conform_table(night, table, refused)

    return Step(
        name=f"conform_{table}",
        tables=(f"conformed.{table}",),
        reads=(),
        landing_reads=tuple(f"landing.{name}" for name, m in mappings.items() if table in m.tables),
        compute=compute,
        again=again,
        column_lineage={f"conformed.{table}": conformed_lineage(table, mappings)},
    )


def conformed_assets(mappings: dict[str, Mapping]) -> list[dg.AssetsDefinition]:
    """One asset per conformed table."""
    return [step_asset(_step(table, mappings)) for table in TABLES]
