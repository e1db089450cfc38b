"""Small order books for tests: rows of the conformed contracts from short dictionaries."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from crm_hygiene.cash.orders import check_orders, inventory_movements
from crm_hygiene.cash.rules import RULES_FILE, load_cash_rules
from crm_hygiene.contract import contract_of

Row = dict[str, Any]
CASH_RULES = load_cash_rules(RULES_FILE)
RULES = CASH_RULES.orders
SYSTEMS = {"erp_invoices": "erp", "erp_lines": "erp", "erp_orders": "erp", "erp_stock": "erp"}
NIGHT = datetime(2024, 6, 1, tzinfo=UTC)
_MONEY = pl.Decimal(18, 4)


def rows_of(table: str, rows: Iterable[Row], **defaults: Any) -> pl.DataFrame:
    contract = contract_of(table)
    filled = [{**dict.fromkeys(contract.column_names), **defaults, **row} for row in rows]
    for row in filled:
        for name, kind in contract.schema.items():
            if kind == _MONEY and row[name] is not None:
                row[name] = Decimal(str(row[name]))
    return pl.DataFrame(filled, schema=contract.schema) if filled else contract.empty()


def invoices(*rows: Row) -> pl.DataFrame:
    return rows_of(
        "conformed.invoices", rows, source="erp_invoices", is_deleted=False, currency="EUR",
        issue_date=date(2024, 5, 1), document_kind="invoice", customer_record_id="C1",
    )  # fmt: skip


def invoice_lines(*rows: Row) -> pl.DataFrame:
    return rows_of("conformed.invoice_lines", rows, source="erp_lines", currency="EUR")


def orders(*rows: Row) -> pl.DataFrame:
    return rows_of(
        "conformed.purchase_orders", rows, source="erp_orders", is_deleted=False, currency="EUR",
        customer_record_id="C1", document_status="open",
    )  # fmt: skip


def order_lines(*rows: Row) -> pl.DataFrame:
    return rows_of("conformed.purchase_order_lines", rows, source="erp_orders", currency="EUR")


def receipts(*rows: Row) -> pl.DataFrame:
    return rows_of("conformed.receipts", rows, source="erp_stock")


def reservations(*rows: Row) -> pl.DataFrame:
    return rows_of("conformed.reservations", rows, source="erp_stock", location="HAM")


def paid(*rows: Row) -> pl.DataFrame:
    """`reconciled.invoices`; `paid_amount` 0 and the rest open unless given."""
    filled = []
    for row in rows:
        settled = Decimal(str(row.get("paid_amount", 0))) + Decimal(str(row.get("credited_amount", 0)))
        filled.append({"open_amount": Decimal(str(row["amount"])) - settled, "paid_amount": 0, **row})
    return rows_of(
        "reconciled.invoices", filled, source="erp_invoices", currency="EUR", fee_amount=0, status="open"
    )


def checked(
    bills: pl.DataFrame,
    lines: pl.DataFrame,
    known: pl.DataFrame,
    known_lines: pl.DataFrame,
    arrived: pl.DataFrame | None = None,
    rules: Any = RULES,
) -> pl.DataFrame:
    arrived = receipts() if arrived is None else arrived
    return check_orders(bills, lines, known, known_lines, arrived, rules, CASH_RULES.void_statuses, SYSTEMS)


def moved(
    held: pl.DataFrame,
    known: pl.DataFrame,
    known_lines: pl.DataFrame,
    checks: pl.DataFrame,
    states: pl.DataFrame,
    previous: pl.DataFrame | None = None,
    rules: Any = RULES,
    as_of: datetime = NIGHT,
) -> pl.DataFrame:
    before = contract_of("reconciled.inventory_movements").empty() if previous is None else previous
    return inventory_movements(held, known, known_lines, checks, states, before, rules, SYSTEMS, as_of)
