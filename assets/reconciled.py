"""Reconciled: payments posted to invoices, and what a person has to look at.

Money that is not conserved stops the step before anything of it is published.
"""

from __future__ import annotations

import dagster as dg
import polars as pl

from assets.publication import Step, Tables, step_asset
from assets.turns import Turn
from crm_hygiene.asof import latest_landing
from crm_hygiene.cash import Books, reconcile
from crm_hygiene.cash.entries import INVOICE_COLUMNS, PAYMENT_COLUMNS
from crm_hygiene.cash.orders import order_blocks
from crm_hygiene.cash.payers import ORGANISATION_COLUMNS
from crm_hygiene.contract import contract_of
from crm_hygiene.key_order import in_key_order
from crm_hygiene.night import Night, cash_rules_of

TABLES = (
    "reconciled.allocations",
    "reconciled.invoices",
    "reconciled.payments",
    "reconciled.exceptions",
    "reconciled.suggestions",
)
READS = (
    "conformed.invoices",
    "conformed.payments",
    "conformed.purchase_orders",
    "linked.organisation_members",
    "conformed.organisations",
    "conformed.payer_relations",
    "conformed.remittance_advices",
    "stewardship.cash_decisions",
    "reconciled.order_checks",
)

# Of wide tables, the columns that reconciling looks at.
_READ = {
    "conformed.invoices": {*INVOICE_COLUMNS, "landed_at"},
    "conformed.payments": {*PAYMENT_COLUMNS, "landed_at"},
    "conformed.organisations": {*ORGANISATION_COLUMNS},
    "linked.organisation_members": {"source", "record_id", "entity_id"},
}


def _compute(night: Night) -> Tables:
    def read(table: str) -> pl.DataFrame:
        contract = contract_of(table)
        wanted = _READ.get(table)
        if wanted is None:
            return night.lake.read(contract)
        rows = night.lake.scan(contract).select(c for c in contract.column_names if c in wanted)
        return in_key_order(rows.collect(), contract.key)

    invoices, payments, orders, members, organisations, relations, advices, decisions, checks = map(
        read, READS
    )
    books = Books(
        invoices=invoices,
        payments=payments,
        orders=orders,
        members=members,
        organisations=organisations,
        allocations=read("reconciled.allocations"),
        relations=relations,
        advices=advices,
        decisions=decisions,
        order_blocks=order_blocks(checks),
    )
    found = reconcile(books, cash_rules_of(night.config), latest_landing(invoices, payments).date())
    return {table: getattr(found, table.removeprefix("reconciled.")) for table in TABLES}


def reconciled_steps() -> list[Step]:
    """The one step of allocations, invoices and payments with their state, exceptions and suggestions."""
    return [
        Step(
            name="reconcile",
            tables=TABLES,
            reads=READS,
            compute=_compute,
            turn=Turn.BESIDE_ANOTHER,
            beside="golden",
            column_sources={
                "reconciled.invoices": ("conformed.invoices",),
                "reconciled.payments": ("conformed.payments",),
            },
        )
    ]


def reconciled_assets() -> list[dg.AssetsDefinition]:
    """Allocations, invoices and payments with their state, exceptions and ranked suggestions."""
    return [step_asset(step) for step in reconciled_steps()]
