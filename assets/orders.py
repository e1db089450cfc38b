"""Orders: the three-way check before payments are matched, and stock that moves after."""

from __future__ import annotations

from datetime import UTC, datetime, time

import dagster as dg

from assets.publication import Step, Tables, step_asset
from assets.turns import Turn
from crm_hygiene.asof import latest_landing
from crm_hygiene.cash.orders import check_orders, inventory_movements
from crm_hygiene.contract import contract_of
from crm_hygiene.night import Night, cash_rules_of

CHECK_READS = (
    "conformed.invoices",
    "conformed.invoice_lines",
    "conformed.purchase_orders",
    "conformed.purchase_order_lines",
    "conformed.receipts",
)
INVENTORY_READS = (
    "conformed.reservations",
    "conformed.purchase_orders",
    "conformed.purchase_order_lines",
    "reconciled.order_checks",
    "reconciled.invoices",
    "conformed.invoices",
    "conformed.payments",
)


def _check(night: Night) -> Tables:
    rules = cash_rules_of(night.config)
    invoices, invoice_lines, orders, order_lines, receipts = (
        night.lake.read(contract_of(table)) for table in CHECK_READS
    )
    checked = check_orders(
        invoices,
        invoice_lines,
        orders,
        order_lines,
        receipts,
        rules.orders,
        rules.void_statuses,
        night.systems,
    )
    return {"reconciled.order_checks": checked}


def _move(night: Night) -> Tables:
    reservations, orders, lines, checks, invoices, documents, payments = (
        night.lake.read(contract_of(table)) for table in INVENTORY_READS
    )
    # The movements are of the day their grounds landed: of reservations, orders and what was posted.
    grounds = latest_landing(reservations, orders, documents, payments)
    moved = inventory_movements(
        reservations,
        orders,
        lines,
        checks,
        invoices,
        night.lake.read(contract_of("reconciled.inventory_movements")),
        cash_rules_of(night.config).orders,
        night.systems,
        datetime.combine(grounds.date(), time(), UTC),
    )
    return {"reconciled.inventory_movements": moved}


def order_steps() -> list[Step]:
    """Order checks, which reconciliation reads, and inventory movements, which read what it posted."""
    return [
        Step(
            name="check_orders",
            tables=("reconciled.order_checks",),
            reads=CHECK_READS,
            compute=_check,
            column_sources={"reconciled.order_checks": ("conformed.invoice_lines", "conformed.invoices")},
        ),
        Step(
            name="move_inventory",
            tables=("reconciled.inventory_movements",),
            reads=INVENTORY_READS,
            compute=_move,
            turn=Turn.BESIDE_ANOTHER,
            beside="plan_writeback",
            column_sources={"reconciled.inventory_movements": ("conformed.reservations",)},
        ),
    ]


def order_assets() -> list[dg.AssetsDefinition]:
    """An asset per table of the steps."""
    return [step_asset(step) for step in order_steps()]
