"""Conformed: landed text becomes typed, standardised records of one model."""

from __future__ import annotations

import dagster as dg
import polars as pl

from assets.presentation import Lineage
from assets.publication import Step, Tables, step_asset
from crm_hygiene.conform import conform_table
from crm_hygiene.contract import contract_of
from crm_hygiene.landing import landing_column
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import Night

TABLES = (
    "people",
    "organisations",
    "interactions",
    "consents",
    "opportunities",
    "invoices",
    "purchase_orders",
    "payments",
)


# What the pipeline adds to every record, by the column of the landing table it comes from.
_ADDED = {"file": "_file", "row_number": "_row_number", "landed_at": "_landed_at"}


def _lineage(table: str, mappings: dict[str, Mapping]) -> Lineage:
    """Vendor columns behind each column of a conformed table, as the mappings say."""
    found: dict[str, dict[tuple[str, str], None]] = {}
    for name, mapping in mappings.items():
        for block in mapping.tables.get(table, ()):
            for column, expression in block.columns.items():
                origins = [(f"landing.{name}", landing_column(vendor)) for vendor in expression.columns]
                found.setdefault(column, {}).update(dict.fromkeys(origins))
            for column in _ADDED.keys() & set(contract_of(f"conformed.{table}").column_names):
                found.setdefault(column, {})[f"landing.{name}", _ADDED[column]] = None
    return {column: tuple(origins) for column, origins in found.items()}


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
        column_lineage={f"conformed.{table}": _lineage(table, mappings)},
    )


def conformed_assets(mappings: dict[str, Mapping]) -> list[dg.AssetsDefinition]:
    """One asset per conformed table."""
    return [step_asset(_step(table, mappings)) for table in TABLES]
