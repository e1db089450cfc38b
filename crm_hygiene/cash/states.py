"""States: what the ledger makes of each invoice and each payment.

What does not belong here: posting (`ledger`).
"""

from __future__ import annotations

from datetime import date

import polars as pl

from crm_hygiene.cash.ledger import INVOICE_KEY, PAYMENT_KEY, keyed, settled_by_invoice, used_by_payment
from crm_hygiene.cash.money import from_units
from crm_hygiene.contract import contract_of

_PARTS = {
    "payment": "paid_amount",
    "fee": "fee_amount",
    "discount": "discount_amount",
    "exchange": "exchange_amount",
    "credit_note": "credited_amount",
    "write_off": "written_off_amount",
    "interest": "interest_amount",
}

_SUMS = ("used", "fee", "refunded", "written_off")


def invoice_states(invoices: pl.DataFrame, effects: pl.DataFrame, today: date) -> pl.DataFrame:
    """`reconciled.invoices`: amount = open + paid + fee + discount + exchange + credited + written off.

    Parameters
    ----------
    invoices
        with `amount` in ten-thousandths, negative for credit notes, `entity_id` of the customer, and
        `is_refused` where bad data keeps the invoice out of matching.
    effects
        `ledger.with_effect` of all allocations.
    today
        the day overdue days are counted to.
    """
    state = keyed(invoices, settled_by_invoice(effects), INVOICE_KEY).with_columns(
        pl.col("settled", *_PARTS).fill_null(0)
    )
    rest = pl.col("amount") - pl.col("settled")
    is_credit = pl.col("amount") < 0
    status = (
        pl.when("is_refused").then(pl.lit("refused"))
        .when(is_credit).then(pl.lit("credit"))
        .when(rest < 0).then(pl.lit("overpaid"))
        .when(rest == 0).then(pl.lit("paid"))
        .when(rest == pl.col("amount")).then(pl.lit("open"))
        .otherwise(pl.lit("partly_paid"))
    )  # fmt: skip
    late = (pl.lit(today) - pl.col("due_date")).dt.total_days()
    is_owed = pl.col("status").is_in(["open", "partly_paid"])
    overdue = pl.col("days_overdue")
    bucket = (
        pl.when(~is_owed).then(pl.lit("settled"))
        .when(overdue <= 0).then(pl.lit("not_due"))
        .when(overdue <= 30).then(pl.lit("days_1_30"))
        .when(overdue <= 60).then(pl.lit("days_31_60"))
        .when(overdue <= 90).then(pl.lit("days_61_90"))
        .otherwise(pl.lit("over_90"))
    )  # fmt: skip
    state = (
        state.with_columns(
            pl.when(is_credit | pl.col("is_refused")).then(rest).otherwise(rest.clip(lower_bound=0))
            .alias("open_amount"),
            status.alias("status"),
            *(pl.col(kind).alias(name) for kind, name in _PARTS.items()),
            pl.col("entity_id").alias("account_entity_id"),
        )
        .with_columns(
            pl.when(is_owed).then(late.clip(lower_bound=0).fill_null(0)).otherwise(0).alias("days_overdue")
        )
        .with_columns(bucket.alias("aging_bucket"))
        .with_columns(from_units(c) for c in ("amount", "open_amount", *_PARTS.values()))
    )  # fmt: skip
    return _shaped(state, "reconciled.invoices")


def payment_states(payments: pl.DataFrame, effects: pl.DataFrame) -> pl.DataFrame:
    """`reconciled.payments`: applied + refunded + written off + unapplied = amount for every entry.

    Parameters
    ----------
    payments
        with `amount` in ten-thousandths, `account_entity_id` of the payer, and `is_duplicate`,
        `is_taken_back` and `is_parked`.
    effects
        `ledger.with_effect` of all allocations.
    """
    sums = used_by_payment(effects).drop("is_taken_back")
    state = keyed(payments, sums, PAYMENT_KEY).with_columns(pl.col(*_SUMS).fill_null(0))
    rest = pl.col("amount") - pl.col("used")
    status = (
        pl.when(pl.col("amount") < 0).then(pl.lit("outgoing"))
        .when("is_taken_back").then(pl.lit("reversed"))
        .when((rest <= 0) & (pl.col("amount") > 0)).then(pl.lit("applied"))
        .when("is_duplicate").then(pl.lit("duplicate"))
        .when("is_parked").then(pl.lit("parked"))
        .when(pl.col("used") > 0).then(pl.lit("partly_applied"))
        .otherwise(pl.lit("unapplied"))
    )  # fmt: skip
    state = state.with_columns(
        (pl.col("used") - pl.col("refunded") - pl.col("written_off")).alias("applied_amount"),
        pl.col("written_off").alias("written_off_amount"),
        pl.col("refunded").alias("refunded_amount"),
        pl.col("fee").alias("fee_amount"),
        rest.alias("unapplied_amount"),
        status.alias("status"),
    ).with_columns(
        from_units(c)
        for c in ("amount", "unapplied_amount", "applied_amount", *(f"{part}_amount" for part in _SUMS[1:]))
    )
    return _shaped(state, "reconciled.payments")


def _shaped(state: pl.DataFrame, table: str) -> pl.DataFrame:
    contract = contract_of(table)
    kept = state.select(c for c in contract.column_names if c in state.columns)
    return contract.shape(kept).sort(contract.key)
