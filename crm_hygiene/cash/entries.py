"""Entries and claims: payments and invoices numbered for the ledger, what is bad about them named.

A bad row (an unknown currency, cents of a currency without them, a zero payment, a negative invoice)
stays in the tables with its reason and out of matching. What does not belong here: who paid (`payers`).
"""

from __future__ import annotations

from functools import cache

import polars as pl
from babel.numbers import get_currency_precision, list_currencies

from crm_hygiene.cash.ledger import INVOICE_KEY, PAYMENT_KEY
from crm_hygiene.cash.money import UNITS, to_units
from crm_hygiene.cash.payers import parties_of_documents
from crm_hygiene.cash.references import normalised
from crm_hygiene.cash.rules import CashRules

INVOICE_COLUMNS: dict[str, pl.DataType] = {
    **dict.fromkeys(
        [
            "source",
            "record_id",
            "invoice_number",
            "customer_record_id",
            "customer_name",
            "organisation_name_normalised",
            "tax_id",
            "iban",
            "purchase_order_number",
            "payment_reference",
            "currency",
            "document_status",
            "document_kind",
            "corrects_invoice_number",
        ],
        pl.String(),
    ),
    **dict.fromkeys(["issue_date", "due_date"], pl.Date()),
    **dict.fromkeys(["amount", "discount_percent", "late_interest_percent"], pl.Decimal(18, 4)),
    "discount_days": pl.Int64(),
    "is_deleted": pl.Boolean(),
}
PAYMENT_COLUMNS: dict[str, pl.DataType] = {
    **dict.fromkeys(
        [
            "source",
            "record_id",
            "currency",
            "payer_name",
            "organisation_name_normalised",
            "payer_iban",
            "payer_tax_id",
            "remittance_text",
            "end_to_end_id",
            "creditor_reference",
            "bank_reference",
            "entry_key",
            "statement_kind",
            "payment_kind",
            "instructed_currency",
            "virtual_account",
            "reversed_reference",
        ],
        pl.String(),
    ),
    "booked_date": pl.Date(),
    **dict.fromkeys(["amount", "instructed_amount", "charges_amount"], pl.Decimal(18, 4)),
    "exchange_rate": pl.Decimal(38, 10),
    "is_reversal": pl.Boolean(),
}
_STATEMENTS = ["statement", "notification", "interim", "ledger"]


@cache
def _decimals() -> pl.DataFrame:
    """Every ISO 4217 currency with the step of its smallest coin in ten-thousandths."""
    names = sorted(list_currencies())
    steps = [UNITS // 10 ** min(get_currency_precision(name), 4) for name in names]
    return pl.DataFrame({"currency": names, "coin": steps}, schema={"currency": pl.String, "coin": pl.Int64})


def _selected(frame: pl.DataFrame, columns: dict[str, pl.DataType]) -> pl.DataFrame:
    have = set(frame.columns)
    return frame.select(
        (pl.col(c).cast(kind) if c in have else pl.lit(None, kind)).alias(c) for c, kind in columns.items()
    )


def _with_coin_refusal(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `currency_refusal`: why the currency, or the amount in it, is none."""
    unknown = pl.format("{} is no ISO 4217 currency", "currency")
    return (
        frame.join(_decimals(), on="currency", how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("coin").is_null())
            .then(unknown)
            .when(pl.col("amount") % pl.col("coin") != 0)
            .then(pl.format("the amount is no whole number of the smallest coin of {}", "currency"))
            .alias("currency_refusal")
        )
        .drop("coin")
    )


def numbered_invoices(
    invoices: pl.DataFrame, members: pl.DataFrame, held: pl.DataFrame, rules: CashRules
) -> pl.DataFrame:
    """Invoices in key order with row number `i`, `party` and `entity_id`.

    `amount` is in ten-thousandths and negative for credit notes. `is_matchable` is false for deleted, void
    and refused ones; of the former only those of `held` (invoice keys with allocations) are kept.
    """
    is_void = pl.col("document_status").str.to_lowercase().str.strip_chars().is_in(list(rules.void_statuses))
    held = (
        held.select(INVOICE_KEY)
        .drop_nulls()
        .unique()
        .rename(dict(zip(INVOICE_KEY, ["source", "record_id"], strict=True)))
    )
    is_credit_note = (pl.col("document_kind") == "credit_note").fill_null(value=False)
    is_odd = pl.col("document_kind").is_in(["invoice", "debit_note"]).fill_null(value=False)
    known = (
        _selected(invoices, INVOICE_COLUMNS)
        .filter(pl.col("amount").is_not_null() & pl.col("currency").is_not_null())
        .join(held.with_columns(pl.lit(value=True).alias("is_held")), on=["source", "record_id"], how="left")
        .with_columns(
            (~pl.col("is_deleted").fill_null(value=False) & ~is_void.fill_null(value=False)).alias("is_live")
        )
        .filter(pl.col("is_live") | pl.col("is_held").fill_null(value=False))
        .with_columns(to_units("amount"))
        .with_columns(
            pl.when(is_credit_note).then(-pl.col("amount").abs()).otherwise("amount").alias("amount")
        )
    )
    known = _with_coin_refusal(known).with_columns(
        pl.when(is_odd & (pl.col("amount") < 0))
        .then(pl.lit("an invoice of a negative amount is no credit note"))
        .otherwise("currency_refusal")
        .alias("refusal")
    )
    known = known.with_columns(
        pl.col("refusal").is_not_null().alias("is_refused"),
        (pl.col("is_live") & pl.col("refusal").is_null()).alias("is_matchable"),
        normalised("invoice_number").alias("number"),
    ).sort("source", "record_id")
    known = parties_of_documents(known, members).with_row_index("i")
    return known.with_columns(pl.col("i").cast(pl.Int64))


def numbered_payments(payments: pl.DataFrame, allocated: pl.DataFrame, rules: CashRules) -> pl.DataFrame:
    """Payments in booking order with row number `p`.

    Adds `is_taking_back` (a reversal or return), `is_repeat` (the same entry delivered again, by
    `entry_key`; the one that holds allocations, then a statement's, is the entry), `refusal` with
    `refusal_type`, and `is_matchable`: money in of a customer that nothing keeps out.
    """
    holds = (
        allocated.select(PAYMENT_KEY)
        .drop_nulls()
        .unique()
        .rename(dict(zip(PAYMENT_KEY, ["source", "record_id"], strict=True)))
    )
    known = (
        _selected(payments, PAYMENT_COLUMNS)
        .filter(pl.col("amount").is_not_null() & pl.col("currency").is_not_null())
        .with_columns(
            *(to_units(c) for c in ("amount", "instructed_amount", "charges_amount")),
            pl.col("remittance_text").str.slice(0, rules.references.max_text),
        )
        .join(holds.with_columns(pl.lit(value=True).alias("holds")), on=["source", "record_id"], how="left")
    )
    kind = pl.col("payment_kind")
    by_kind = kind.is_in(["reversal", "return"]).fill_null(value=False)
    known = _with_coin_refusal(known).with_columns(
        (pl.col("is_reversal").fill_null(value=False) | by_kind).alias("is_taking_back")
    )
    known = known.with_columns(
        pl.when(pl.col("currency_refusal").is_not_null())
        .then(pl.lit("CURRENCY"))
        .when(pl.col("amount") == 0)
        .then(pl.lit("AMOUNT"))
        .when(kind.is_in(["charge", "interest"]) & (pl.col("amount") > 0))
        .then(pl.lit("UNKNOWN"))
        .alias("refusal_type"),
        pl.coalesce(
            "currency_refusal",
            pl.when(pl.col("amount") == 0).then(pl.lit("a payment of nothing")),
            pl.when(kind.is_in(["charge", "interest"])).then(
                pl.format("the bank's {}, not a customer's payment", kind)
            ),
        ).alias("refusal"),
    )
    first = [
        ~pl.col("holds").fill_null(value=False),
        *(pl.col("statement_kind").fill_null("statement") != name for name in _STATEMENTS[:2]),
        pl.col("source"),
        pl.col("record_id"),
    ]
    known = known.sort(first)
    repeated = (
        pl.col("entry_key").is_not_null() & ~pl.struct("entry_key", "amount", "currency").is_first_distinct()
    )
    known = known.with_columns(repeated.alias("is_repeat")).with_columns(
        (
            (pl.col("amount") > 0)
            & pl.col("refusal_type").is_null()
            & ~pl.col("is_taking_back")
            & ~pl.col("is_repeat")
        ).alias("is_matchable")
    )
    known = known.drop("holds", "currency_refusal").sort(
        "booked_date", "source", "record_id", nulls_last=True
    )
    return known.with_row_index("p").with_columns(pl.col("p").cast(pl.Int64))
